//! The compiled table: who is listed, most specific entry first.

use std::net::IpAddr;

use mail::{Domain, Timestamp};
use tls::{Demand, Demands};

use crate::force_encrypt::entry::{Direction, Entry, Key};
use crate::lookup::{DomainMap, NetworkMap};

/// Every entry, ready for look-ups by name and by address.
#[derive(Debug, Clone, Default)]
pub struct ForceEncrypt {
    entries: Vec<Entry>,
    domains: DomainMap<u32>,
    networks: NetworkMap<u32>,
}

impl ForceEncrypt {
    /// Compiles `entries`, in the order written.
    pub fn new(entries: Vec<Entry>) -> Self {
        let mut table = Self { entries, ..Self::default() };
        for (at, entry) in (0..).zip(&table.entries) {
            match &entry.key {
                Key::Domain(pattern) => table.domains.insert(pattern, at),
                Key::Network(network) => table.networks.insert(*network, at),
            }
        }
        table
    }

    /// The entries, in the order written.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entries of the most specific key that covers `domain` and has one that
    /// applies at `now` in `direction` ([`Direction::Both`] asks for either).
    pub fn for_domain(&self, domain: &Domain, direction: Direction, now: Timestamp) -> Vec<&Entry> {
        match domain.literal() {
            Some(ip) => self.for_address(ip, direction, now),
            None => self.first_live(self.domains.covering(domain), direction, now),
        }
    }

    /// The entries of the longest prefix that holds `ip` and has one that applies at
    /// `now` in `direction`.
    pub fn for_address(&self, ip: IpAddr, direction: Direction, now: Timestamp) -> Vec<&Entry> {
        if self.networks.is_empty() {
            return Vec::new();
        }
        self.first_live(self.networks.covering(ip), direction, now)
    }

    fn first_live<'a>(
        &'a self,
        keys: impl Iterator<Item = &'a [u32]>,
        direction: Direction,
        now: Timestamp,
    ) -> Vec<&'a Entry> {
        let meant = |entry: &&Entry| entry.is_live(now) && goes(entry.direction, direction);
        keys.map(|key| -> Vec<&Entry> {
            key.iter().filter_map(|at| self.entries.get(*at as usize)).filter(meant).collect()
        })
        .find(|live| !live.is_empty())
        .unwrap_or_default()
    }

    /// What is demanded of a connection that carries mail for `domain`: of the domain
    /// itself, of the name of its MX and of the address connected to, as far as known.
    /// Demands are joined, so the most demanding of the three wins.
    pub fn demands(
        &self,
        domain: &Domain,
        mx: Option<&Domain>,
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> Demands {
        let mut found: Vec<Demand> = Vec::new();
        let names = [Some(domain), mx].into_iter().flatten();
        let by_name = names.flat_map(|name| self.for_domain(name, Direction::Out, now));
        let by_address =
            address.into_iter().flat_map(|ip| self.for_address(ip, Direction::Out, now));
        for entry in by_name.chain(by_address) {
            let demand = entry.demand();
            if !found.contains(&demand) {
                found.push(demand);
            }
        }
        found.into_iter().collect()
    }

    /// The entries under which mail from `domain`, by a client at `address`, must come over TLS.
    pub fn inbound(
        &self,
        domain: Option<&Domain>,
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> Vec<&Entry> {
        let by_name = domain.into_iter().flat_map(|d| self.for_domain(d, Direction::In, now));
        let by_address =
            address.into_iter().flat_map(|ip| self.for_address(ip, Direction::In, now));
        by_name.chain(by_address).collect()
    }
}

fn goes(entry: Direction, asked: Direction) -> bool {
    match asked {
        Direction::In => entry.is_in(),
        Direction::Out => entry.is_out(),
        Direction::Both => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::force_encrypt::List;

    fn table(text: &str) -> ForceEncrypt {
        ForceEncrypt::new(List::parse(text, "list").unwrap().into_entries())
    }

    fn shown(entries: &[&Entry]) -> Vec<String> {
        entries.iter().map(ToString::to_string).collect()
    }

    const NOW: Timestamp = Timestamp(1_772_445_731_042); // 2026-03-02

    #[test]
    fn the_most_specific_entry_speaks_for_a_name() {
        let table = table("bank.example verified\n.bank.example\n.example verified\n");
        let find =
            |name: &str| shown(&table.for_domain(&name.parse().unwrap(), Direction::Out, NOW));
        assert_eq!(find("bank.example"), ["bank.example verified"]);
        assert_eq!(find("mx.bank.example"), [".bank.example"]);
        assert_eq!(find("clinic.example"), [".example verified"]);
        assert!(find("example").is_empty() && find("bank.test").is_empty());
    }

    #[test]
    fn an_expired_entry_or_one_of_the_other_way_lets_the_wider_one_speak() {
        let table = table(
            "192.0.2.7 verified until 2026-01-01\n192.0.2.0/28 verified direction in\n192.0.2.0/24\n",
        );
        let find = |way| shown(&table.for_address("192.0.2.7".parse().unwrap(), way, NOW));
        assert_eq!(find(Direction::Out), ["192.0.2.0/24"]);
        assert_eq!(find(Direction::In), ["192.0.2.0/28 verified direction in"]);
        let then = Timestamp(0);
        let ip = "192.0.2.7".parse().unwrap();
        assert_eq!(table.for_address(ip, Direction::In, then)[0].origin.line, 1);
    }

    #[test]
    fn domain_mx_and_address_each_add_their_demand() {
        let table = table("clinic.example\nmx.host.example verified\n192.0.2.0/24 min-tls 1.3\n");
        let (domain, mx) = ("clinic.example".parse().unwrap(), "mx.host.example".parse().unwrap());
        let demands = table.demands(&domain, Some(&mx), "192.0.2.9".parse().ok(), NOW);
        let sources: Vec<_> = demands.iter().map(|d| d.source.to_string()).collect();
        assert_eq!(
            sources,
            [
                "Force Encrypt \"clinic.example\" (line 1)",
                "Force Encrypt \"mx.host.example\" (line 2)",
                "Force Encrypt \"192.0.2.0/24\" (line 3)",
            ]
        );
        let joined = demands.joined();
        assert_eq!(joined.level, tls::Level::Authenticated);
        assert!(!joined.versions.contains(tls::Version::Tls12));
        assert!(table.demands(&"other.example".parse().unwrap(), None, None, NOW).is_empty());
    }

    #[test]
    fn a_recipient_at_an_address_literal_is_found_by_its_address() {
        let table = table("192.0.2.0/24\n");
        let literal = "[192.0.2.9]".parse().unwrap();
        assert!(!table.demands(&literal, None, None, NOW).is_empty());
    }
}
