//! The names by which lists are asked (RFC 5782 sections 2.1, 2.4 and 3).

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use mail::Domain;

/// The address every IPv4 list holds (section 5).
pub const TEST_LISTED_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
/// The address no IPv4 list holds (section 5).
pub const TEST_UNLISTED_V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// The address every IPv6 list holds: `::FFFF:7F00:2` (section 5).
pub const TEST_LISTED_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0x7f00, 2));
/// The address no IPv6 list holds: `::FFFF:7F00:1` (section 5).
pub const TEST_UNLISTED_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0x7f00, 1));
/// The name every list of domains holds (section 5).
pub const TEST_LISTED_NAME: &str = "test";
/// The name no list of domains holds (section 5).
pub const TEST_UNLISTED_NAME: &str = "invalid";

/// The name to ask whether `ip` is in the list `zone`: its octets, or for IPv6 its
/// nibbles, backwards.
///
/// ```
/// let zone = "bl.example".parse().unwrap();
/// let name = |ip: &str| lists::query::address(ip.parse().unwrap(), &zone).unwrap();
/// assert_eq!(name("192.0.2.99").as_str(), "99.2.0.192.bl.example");
/// assert!(name("2001:db8::1").as_str().starts_with("1.0.0.0."));
/// ```
///
/// `None` when the name would be too long.
pub fn address(ip: IpAddr, zone: &Domain) -> Option<Domain> {
    let mut name = String::with_capacity(64 + zone.as_str().len());
    // Writing to a String cannot fail.
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            let _ = write!(name, "{d}.{c}.{b}.{a}.");
        }
        IpAddr::V6(ip) => {
            for octet in ip.octets().into_iter().rev() {
                let _ = write!(name, "{:x}.{:x}.", octet & 15, octet >> 4);
            }
        }
    }
    name.push_str(zone.as_str());
    Domain::parse(&name).ok()
}

/// The name to ask whether `domain` is in the list `zone`.
///
/// `None` for an address literal, and when the name would be too long.
pub fn domain(domain: &Domain, zone: &Domain) -> Option<Domain> {
    if domain.literal().is_some() {
        return None;
    }
    Domain::parse(&format!("{domain}.{zone}")).ok()
}

/// Whether public lists can know anything of `ip`: it is no address of a private,
/// local or reserved network. The networks of documentation count as public.
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            let shared = a == 100 && (64..128).contains(&b);
            !(ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_unspecified()
                || ip.is_multicast()
                || ip.is_broadcast()
                || shared)
        }
        IpAddr::V6(ip) => {
            !(ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_multicast()
                || ip.is_unique_local()
                || ip.is_unicast_link_local())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_address_is_asked_nibble_by_nibble_as_the_rfc_shows() {
        let zone = "ugly.example.com".parse().unwrap();
        let name = address("2001:db8:1:2:3:4:567:89ab".parse().unwrap(), &zone).unwrap();
        assert_eq!(
            name.as_str(),
            "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.ugly.example.com"
        );
        let test = address(TEST_LISTED_V6, &zone).unwrap();
        assert!(test.as_str().starts_with("2.0.0.0.0.0.f.7.f.f.f.f.0."), "{test}");
    }

    #[test]
    fn a_domain_stands_before_the_zone_and_a_literal_is_not_asked() {
        let zone = "dbl.example".parse().unwrap();
        let asked = domain(&"bücher.example".parse().unwrap(), &zone).unwrap();
        assert_eq!(asked.as_str(), "xn--bcher-kva.example.dbl.example");
        assert!(domain(&"[192.0.2.1]".parse().unwrap(), &zone).is_none());
        let long: Domain = format!("{}.{0}.{0}.{0}", "a".repeat(60)).parse().unwrap();
        assert!(domain(&long, &"a-rather-long-zone.example".parse().unwrap()).is_none());
    }

    #[test]
    fn private_addresses_are_not_told_to_strangers() {
        for private in ["10.1.2.3", "127.0.0.1", "192.168.1.1", "100.64.0.1", "::1", "fd00::1"] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
        for public in ["192.0.2.1", "8.8.8.8", "100.128.0.1", "2001:db8::1"] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }
}
