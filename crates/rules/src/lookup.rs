//! Compiled look-ups by name and by address; the most specific entry is found first.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use mail::Domain;
use prefix_trie::PrefixMap;

use crate::test::DomainPattern;

/// Values by domain: a hash of names, walked from a name to its parents.
#[derive(Debug, Clone)]
pub struct DomainMap<T> {
    names: HashMap<Domain, Cell<T>>,
}

/// What one name holds: for itself, and for the names below it.
#[derive(Debug, Clone)]
struct Cell<T> {
    itself: Vec<T>,
    below: Vec<T>,
}

impl<T> DomainMap<T> {
    /// Adds `value` for everything `pattern` covers.
    pub fn insert(&mut self, pattern: &DomainPattern, value: T) {
        let empty = || Cell { itself: Vec::new(), below: Vec::new() };
        let cell = self.names.entry(pattern.domain.clone()).or_insert_with(empty);
        if pattern.below { cell.below.push(value) } else { cell.itself.push(value) }
    }

    /// The values that cover `domain`, most specific pattern first: the name itself,
    /// then each parent. Values of one pattern come together.
    pub fn covering<'a, 'd>(
        &'a self,
        domain: &'d Domain,
    ) -> impl Iterator<Item = &'a [T]> + use<'a, 'd, T> {
        domain
            .ancestors()
            .enumerate()
            .filter_map(|(depth, name)| {
                let cell = self.names.get(name)?;
                Some(if depth == 0 { &cell.itself[..] } else { &cell.below[..] })
            })
            .filter(|values| !values.is_empty())
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

impl<T> Default for DomainMap<T> {
    fn default() -> Self {
        Self { names: HashMap::new() }
    }
}

/// Values by network: a prefix trie for each family.
#[derive(Debug, Clone)]
pub struct NetworkMap<T> {
    v4: PrefixMap<Ipv4Net, Vec<T>>,
    v6: PrefixMap<Ipv6Net, Vec<T>>,
}

impl<T> NetworkMap<T> {
    /// Adds `value` for every address of `network`.
    pub fn insert(&mut self, network: IpNet, value: T) {
        match canonical(network) {
            IpNet::V4(net) => self.v4.entry(net).or_default().push(value),
            IpNet::V6(net) => self.v6.entry(net).or_default().push(value),
        }
    }

    /// The values of the networks that `ip` lies in, longest prefix first. Values of
    /// one network come together.
    pub fn covering(&self, ip: IpAddr) -> impl Iterator<Item = &[T]> {
        let mut found: Vec<&[T]> = match ip.to_canonical() {
            IpAddr::V4(ip) => self.v4.cover_values(&Ipv4Net::from(ip)).map(Vec::as_slice).collect(),
            IpAddr::V6(ip) => self.v6.cover_values(&Ipv6Net::from(ip)).map(Vec::as_slice).collect(),
        };
        found.reverse();
        found.into_iter()
    }

    /// The values of the longest prefix that covers `ip`.
    pub fn longest(&self, ip: IpAddr) -> Option<&[T]> {
        match ip.to_canonical() {
            IpAddr::V4(ip) => self.v4.get_lpm(&Ipv4Net::from(ip)).map(|(_, v)| v.as_slice()),
            IpAddr::V6(ip) => self.v6.get_lpm(&Ipv6Net::from(ip)).map(|(_, v)| v.as_slice()),
        }
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }
}

impl<T> Default for NetworkMap<T> {
    fn default() -> Self {
        Self { v4: PrefixMap::new(), v6: PrefixMap::new() }
    }
}

/// An IPv4 network written as IPv4-mapped IPv6 (RFC 4291 section 2.5.5.2) is that IPv4
/// network; host bits are cleared.
pub fn canonical(network: IpNet) -> IpNet {
    const MAPPED_BITS: u8 = 96;
    if let IpNet::V6(net) = network
        && net.prefix_len() >= MAPPED_BITS
        && let Some(v4) = net.network().to_ipv4_mapped()
        && let Ok(net) = Ipv4Net::new(v4, net.prefix_len() - MAPPED_BITS)
    {
        return IpNet::V4(net);
    }
    network.trunc()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_mapped_address_is_its_ipv4_address() {
        let mut map = NetworkMap::default();
        map.insert("::ffff:192.0.2.0/120".parse().unwrap(), 1);
        map.insert("198.51.100.0/24".parse().unwrap(), 2);
        assert_eq!(map.longest("192.0.2.9".parse().unwrap()), Some(&[1][..]));
        assert_eq!(map.longest("::ffff:198.51.100.7".parse().unwrap()), Some(&[2][..]));
        assert_eq!(map.longest("192.0.3.9".parse().unwrap()), None);
    }

    fn net() -> impl Strategy<Value = IpNet> {
        let v4 = (0u32..64, 26u8..=32)
            .prop_map(|(ip, len)| IpNet::new(IpAddr::V4(ip.into()), len).unwrap().trunc());
        let v6 = (0u128..64, 122u8..=128).prop_map(|(ip, len)| {
            IpNet::new(IpAddr::V6((ip | 1 << 100).into()), len).unwrap().trunc()
        });
        prop_oneof![v4, v6]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn networks_are_found_as_by_looking_at_each(
            nets in proptest::collection::vec(net(), 0..12),
            low in 0u8..64,
            six: bool,
        ) {
            let ip = if six {
                IpAddr::V6((u128::from(low) | 1 << 100).into())
            } else {
                IpAddr::V4(u32::from(low).into())
            };
            let mut map = NetworkMap::default();
            for net in &nets {
                map.insert(*net, *net);
            }
            let mut naive: Vec<IpNet> = nets.into_iter().filter(|net| net.contains(&ip)).collect();
            naive.sort_by_key(|net| std::cmp::Reverse(net.prefix_len()));
            let found: Vec<IpNet> = map.covering(ip).flatten().copied().collect();
            prop_assert_eq!(&found, &naive);
            prop_assert_eq!(map.longest(ip).map(|nets| nets[0]), naive.first().copied());
        }

        #[test]
        fn domains_are_found_as_by_looking_at_each(
            patterns in proptest::collection::vec("(\\.)?([ab]\\.){0,3}[ab]", 0..12),
            domain in "([ab]\\.){0,4}[ab]",
        ) {
            let domain = Domain::parse(&domain).unwrap();
            let mut map = DomainMap::default();
            let patterns: Vec<_> =
                patterns.iter().map(|text| DomainPattern::parse(text).unwrap()).collect();
            for pattern in &patterns {
                map.insert(pattern, pattern);
            }
            let mut naive: Vec<_> = patterns.iter().filter(|p| p.covers(&domain)).collect();
            naive.sort_by_key(|p| (p.below, std::cmp::Reverse(p.domain.as_str().len())));
            let found: Vec<_> = map.covering(&domain).flatten().copied().collect();
            prop_assert_eq!(found, naive);
        }
    }
}
