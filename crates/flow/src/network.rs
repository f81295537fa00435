//! Networks by longest prefix, and what counts as one client.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use prefix_trie::PrefixMap;
use rules::lookup::canonical;

/// Prefix bits of one client: an IPv4 address, an IPv6 /64.
const CLIENT_BITS: (u8, u8) = (32, 64);
/// Prefix bits of a neighbourhood: IPv4 /24, IPv6 /56.
const NEIGHBOURS_BITS: (u8, u8) = (24, 56);

/// What counts as one client: an IPv4 address, or the /64 of an IPv6 address.
pub fn client_network(ip: IpAddr) -> IpNet {
    network_of(ip, CLIENT_BITS)
}

/// The network a client shares with its neighbours: IPv4 /24, IPv6 /56.
pub fn neighbours(ip: IpAddr) -> IpNet {
    network_of(ip, NEIGHBOURS_BITS)
}

fn network_of(ip: IpAddr, (v4, v6): (u8, u8)) -> IpNet {
    let ip = ip.to_canonical();
    let bits = if ip.is_ipv4() { v4 } else { v6 };
    IpNet::new(ip, bits).map_or_else(|_| ip.into(), |net| net.trunc())
}

/// What a client is before it says anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Never banned, never counted.
    Friendly,
    /// Refused by the configuration.
    Denied,
    /// Refused until its ban ends.
    Banned,
}

/// Values by network, for adding, removing and finding in the time of the prefix length.
#[derive(Debug, Clone)]
pub struct Networks<T> {
    v4: PrefixMap<Ipv4Net, T>,
    v6: PrefixMap<Ipv6Net, T>,
}

impl<T> Networks<T> {
    /// Keeps `value` for `network`; gives what was kept there.
    pub fn insert(&mut self, network: IpNet, value: T) -> Option<T> {
        match canonical(network) {
            IpNet::V4(net) => self.v4.insert(net, value),
            IpNet::V6(net) => self.v6.insert(net, value),
        }
    }

    /// Forgets what is kept for exactly `network`.
    pub fn remove(&mut self, network: IpNet) -> Option<T> {
        match canonical(network) {
            IpNet::V4(net) => self.v4.remove(&net),
            IpNet::V6(net) => self.v6.remove(&net),
        }
    }

    /// What is kept for exactly `network`.
    pub fn at(&self, network: IpNet) -> Option<&T> {
        match canonical(network) {
            IpNet::V4(net) => self.v4.get(&net),
            IpNet::V6(net) => self.v6.get(&net),
        }
    }

    /// The first value, from the widest network that holds `ip` to the narrowest, that passes.
    pub fn find(&self, ip: IpAddr, mut passes: impl FnMut(&T) -> bool) -> Option<&T> {
        match ip.to_canonical() {
            IpAddr::V4(ip) => self.v4.cover_values(&Ipv4Net::from(ip)).find(|v| passes(v)),
            IpAddr::V6(ip) => self.v6.cover_values(&Ipv6Net::from(ip)).find(|v| passes(v)),
        }
    }

    /// Whether any network holds `ip`.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match ip.to_canonical() {
            IpAddr::V4(ip) => self.v4.get_lpm(&Ipv4Net::from(ip)).is_some(),
            IpAddr::V6(ip) => self.v6.get_lpm(&Ipv6Net::from(ip)).is_some(),
        }
    }

    /// How many networks there are.
    pub fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every value, IPv4 first, by network.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.v4.values().chain(self.v6.values())
    }
}

impl<T> Default for Networks<T> {
    fn default() -> Self {
        Self { v4: PrefixMap::new(), v6: PrefixMap::new() }
    }
}

impl FromIterator<IpNet> for Networks<()> {
    fn from_iter<I: IntoIterator<Item = IpNet>>(networks: I) -> Self {
        let mut all = Self::default();
        for network in networks {
            all.insert(network, ());
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_an_address_or_a_64() {
        let client = |ip: &str| client_network(ip.parse().unwrap()).to_string();
        assert_eq!(client("192.0.2.7"), "192.0.2.7/32");
        assert_eq!(client("::ffff:192.0.2.7"), "192.0.2.7/32");
        assert_eq!(client("2001:db8:1:2:3::4"), "2001:db8:1:2::/64");
        assert_eq!(neighbours("192.0.2.7".parse().unwrap()).to_string(), "192.0.2.0/24");
        let six = neighbours("2001:db8:1:2ff::4".parse().unwrap());
        assert_eq!(six.to_string(), "2001:db8:1:200::/56");
    }

    #[test]
    fn a_hundred_thousand_networks_are_each_found_and_no_other() {
        let networks: Networks<()> = (0..100_000_u32)
            .map(|n| IpNet::new(IpAddr::V4((0x0B00_0000 + n * 512).into()), 24).unwrap())
            .collect();
        assert_eq!(networks.len(), 100_000);
        for n in (0..100_000_u32).step_by(97) {
            let inside = IpAddr::V4((0x0B00_0000 + n * 512 + 77).into());
            let outside = IpAddr::V4((0x0B00_0000 + n * 512 + 256 + 77).into());
            assert!(networks.contains(inside) && !networks.contains(outside), "{inside}");
        }
    }
}
