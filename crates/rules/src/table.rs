//! Named lists that conditions look in, as written and compiled.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use mail::{Address, Domain};

use crate::fact::{Kind, Seen};
use crate::lookup::{DomainMap, NetworkMap};
use crate::pattern::{Pattern, PatternError, Patterns};
use crate::rule::Origin;
use crate::test::DomainPattern;
use crate::words::network;

/// The most entries of one table.
pub const ENTRIES_MAX: usize = 2_000_000;
/// The most patterns of one table; they are compiled into one automaton.
pub const PATTERNS_MAX: usize = 10_000;

/// A list that conditions look in with `in table NAME`.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Unique among the tables.
    pub name: String,
    /// Where it is written.
    pub origin: Origin,
    /// What it lists.
    pub entries: Entries,
}

/// What a table lists, in the order written.
#[derive(Debug, Clone, PartialEq)]
pub enum Entries {
    /// Domains, and names below domains.
    Domains(Vec<DomainPattern>),
    /// Mailboxes.
    Addresses(Vec<AddressPattern>),
    /// Addresses and networks.
    Networks(Vec<IpNet>),
    /// Patterns of text.
    Patterns(Vec<Pattern>),
}

/// A mailbox, or everyone at a domain.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AddressPattern {
    /// `ann@clinic.example`
    One(Address),
    /// `@clinic.example`
    Everyone(Domain),
}

impl Entries {
    /// An empty list of the kind that `word` names: `domains`, `addresses`, `networks`
    /// or `patterns`.
    pub fn of_kind(word: &str) -> Option<Self> {
        match word {
            "domains" => Some(Self::Domains(Vec::new())),
            "addresses" => Some(Self::Addresses(Vec::new())),
            "networks" => Some(Self::Networks(Vec::new())),
            "patterns" => Some(Self::Patterns(Vec::new())),
            _ => None,
        }
    }

    /// The word of its kind.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Domains(_) => "domains",
            Self::Addresses(_) => "addresses",
            Self::Networks(_) => "networks",
            Self::Patterns(_) => "patterns",
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Domains(list) => list.len(),
            Self::Addresses(list) => list.len(),
            Self::Networks(list) => list.len(),
            Self::Patterns(list) => list.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads one more entry.
    ///
    /// # Errors
    ///
    /// [`EntryError`] says what is wrong with it; the list stays as it was.
    pub fn push(&mut self, text: &str) -> Result<(), EntryError> {
        let wrong = |expected: &'static str, why: String| EntryError::NotA {
            found: text.to_owned(),
            expected,
            why: if why.is_empty() { why } else { format!(": {why}") },
        };
        if self.len() >= ENTRIES_MAX {
            return Err(EntryError::TooMany { limit: ENTRIES_MAX });
        }
        match self {
            Self::Domains(list) => list.push(
                DomainPattern::parse(text).map_err(|error| wrong("a domain", error.to_string()))?,
            ),
            Self::Addresses(list) => list.push(match text.strip_prefix('@') {
                Some(domain) => AddressPattern::Everyone(
                    Domain::parse(domain).map_err(|error| wrong("a domain", error.to_string()))?,
                ),
                None => AddressPattern::One(
                    Address::parse(text).map_err(|error| wrong("an address", error.to_string()))?,
                ),
            }),
            Self::Networks(list) => {
                list.push(network(text).map_err(|why| wrong("an address or a network", why))?);
            }
            Self::Patterns(list) if list.len() >= PATTERNS_MAX => {
                return Err(EntryError::TooMany { limit: PATTERNS_MAX });
            }
            Self::Patterns(list) => {
                list.push(
                    Pattern::parse(text).map_err(|error| wrong("a pattern", error.to_string()))?,
                );
            }
        }
        Ok(())
    }
}

/// Why a text is no entry of a table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// It is not of the table's kind.
    #[error("\"{found}\" is not {expected}{why}")]
    NotA {
        /// What was written.
        found: String,
        /// What belongs in the table.
        expected: &'static str,
        /// What is wrong with it, after a colon; or empty.
        why: String,
    },
    /// The table is full.
    #[error("the table has more than {limit} entries")]
    TooMany {
        /// The most it may have.
        limit: usize,
    },
}

/// A table ready for look-ups: constant time for names and mailboxes, the length of
/// the address for networks, one pass over the text for patterns.
#[derive(Debug, Clone)]
pub enum Compiled {
    /// Domains.
    Domains(DomainMap<u32>),
    /// Mailboxes.
    Addresses(AddressMap),
    /// Networks.
    Networks(Box<NetworkMap<u32>>),
    /// Patterns.
    Patterns(Patterns),
}

/// Mailboxes by key and by domain.
#[derive(Debug, Clone, Default)]
pub struct AddressMap {
    one: HashMap<String, u32>,
    everyone: HashMap<Domain, u32>,
}

impl Compiled {
    /// Compiles the entries of a table.
    ///
    /// # Errors
    ///
    /// [`PatternError`] when patterns together need too much memory.
    pub fn new(entries: &Entries) -> Result<Self, PatternError> {
        Ok(match entries {
            Entries::Domains(list) => {
                let mut map = DomainMap::default();
                numbered(list).for_each(|(at, pattern)| map.insert(pattern, at));
                Self::Domains(map)
            }
            Entries::Addresses(list) => {
                let mut map = AddressMap::default();
                for (at, pattern) in numbered(list) {
                    match pattern {
                        AddressPattern::One(one) => map.one.entry(one.to_key()).or_insert(at),
                        AddressPattern::Everyone(all) => {
                            map.everyone.entry(all.clone()).or_insert(at)
                        }
                    };
                }
                Self::Addresses(map)
            }
            Entries::Networks(list) => {
                let mut map = NetworkMap::default();
                numbered(list).for_each(|(at, net)| map.insert(*net, at));
                Self::Networks(Box::new(map))
            }
            Entries::Patterns(list) => Self::Patterns(Patterns::compile(list)?),
        })
    }

    /// The index of the entry that holds `seen`: the most specific one.
    pub fn find(&self, seen: &Seen<'_>) -> Option<usize> {
        let first = |values: &[u32]| values.first().map(|at| *at as usize);
        match (self, seen) {
            (Self::Domains(map), seen) => map.covering(domain_of(seen)?).next().and_then(first),
            (Self::Addresses(map), Seen::Address(address)) => {
                let one = || map.one.get(&address.to_key());
                let all = || map.everyone.get(address.domain());
                one().or_else(all).map(|at| *at as usize)
            }
            (Self::Addresses(map), Seen::Text(text)) => {
                map.one.get(&text.to_lowercase()).map(|at| *at as usize)
            }
            (Self::Networks(map), Seen::Ip(ip)) => map.longest(*ip).and_then(first),
            (Self::Patterns(patterns), seen) => patterns.fitting(&text_of(seen)?).first().copied(),
            (Self::Addresses(_) | Self::Networks(_), _) => None,
        }
    }

    /// Whether any entry holds `seen`.
    pub fn contains(&self, seen: &Seen<'_>) -> bool {
        match self {
            Self::Patterns(patterns) => text_of(seen).is_some_and(|text| patterns.fits(&text)),
            Self::Domains(_) | Self::Addresses(_) | Self::Networks(_) => self.find(seen).is_some(),
        }
    }
}

fn numbered<T>(list: &[T]) -> impl Iterator<Item = (u32, &T)> {
    (0..).zip(list)
}

fn domain_of<'a>(seen: &Seen<'a>) -> Option<&'a Domain> {
    match seen {
        Seen::Domain(domain) => Some(domain),
        Seen::Address(address) => Some(address.domain()),
        Seen::Present
        | Seen::Version(_)
        | Seen::Suite(_)
        | Seen::Fingerprint(_)
        | Seen::Text(_)
        | Seen::Ip(_)
        | Seen::Number(_)
        | Seen::Word(_)
        | Seen::Minute(_)
        | Seen::Weekday(_) => None,
    }
}

/// The text that patterns look at.
pub(crate) fn text_of<'a>(seen: &Seen<'a>) -> Option<std::borrow::Cow<'a, str>> {
    match seen {
        Seen::Text(text) => Some((*text).into()),
        Seen::Domain(domain) => Some(domain.as_str().into()),
        Seen::Address(address) => Some(address.to_string().into()),
        Seen::Suite(suite) => Some(suite.to_string().into()),
        Seen::Present
        | Seen::Version(_)
        | Seen::Fingerprint(_)
        | Seen::Ip(_)
        | Seen::Number(_)
        | Seen::Word(_)
        | Seen::Minute(_)
        | Seen::Weekday(_) => None,
    }
}

/// Whether a fact of `kind` can be looked up in a table of the kind of `entries`.
pub fn fits(kind: Kind, entries: &Entries) -> bool {
    match entries {
        Entries::Domains(_) => matches!(kind, Kind::Domain | Kind::Address),
        Entries::Addresses(_) => matches!(kind, Kind::Address | Kind::Text),
        Entries::Networks(_) => kind == Kind::Ip,
        Entries::Patterns(_) => crate::words::has_text(kind),
    }
}

/// Whether every address of `ip`'s kind lies in the list of networks.
pub fn covers_everything(networks: &[IpNet]) -> bool {
    let any = |ip: IpAddr| networks.iter().any(|net| net.prefix_len() == 0 && net.contains(&ip));
    any(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED))
        || any(IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED))
}

impl fmt::Display for AddressPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(address) => write!(f, "{address}"),
            Self::Everyone(domain) => write!(f, "@{domain}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(kind: &str, entries: &[&str]) -> Compiled {
        let mut list = Entries::of_kind(kind).unwrap();
        for entry in entries {
            list.push(entry).unwrap();
        }
        Compiled::new(&list).unwrap()
    }

    #[test]
    fn the_most_specific_entry_is_found() {
        let domains = table("domains", &[".example", "bank.example", ".bank.example"]);
        let find = |name: &str| domains.find(&Seen::Domain(&name.parse().unwrap()));
        assert_eq!(find("bank.example"), Some(1));
        assert_eq!(find("mx.bank.example"), Some(2));
        assert_eq!(find("clinic.example"), Some(0));
        assert_eq!(find("example"), None);

        let networks = table("networks", &["192.0.2.0/24", "192.0.2.7", "2001:db8::/32"]);
        let find = |ip: &str| networks.find(&Seen::Ip(ip.parse().unwrap()));
        assert_eq!(find("192.0.2.7"), Some(1));
        assert_eq!(find("192.0.2.8"), Some(0));
        assert_eq!(find("2001:db8::1"), Some(2));
        assert_eq!(find("2001:db9::1"), None);
    }

    #[test]
    fn mailboxes_are_found_in_any_case_and_by_their_domain() {
        let addresses = table("addresses", &["Ann@Clinic.example", "@bank.example"]);
        let find = |text: &str| addresses.find(&Seen::Address(&text.parse().unwrap()));
        assert_eq!(find("ann@clinic.example"), Some(0));
        assert_eq!(find("bob@clinic.example"), None);
        assert_eq!(find("anyone@bank.example"), Some(1));
        assert_eq!(addresses.find(&Seen::Text("ANN@clinic.example")), Some(0));
    }

    #[test]
    fn patterns_look_at_text() {
        let patterns = table("patterns", &["*.exe", "/^invoice/"]);
        assert_eq!(patterns.find(&Seen::Text("Invoice 7")), Some(1));
        assert!(patterns.contains(&Seen::Text("a.EXE")));
        assert!(!patterns.contains(&Seen::Text("a.txt")));
    }

    #[test]
    fn an_entry_of_another_kind_is_refused_with_its_reason() {
        let mut networks = Entries::of_kind("networks").unwrap();
        assert_eq!(
            networks.push("192.0.2.1/24").unwrap_err().to_string(),
            "\"192.0.2.1/24\" is not an address or a network: the network is 192.0.2.0/24"
        );
        assert!(networks.push("bank.example").is_err());
        assert!(networks.is_empty());
    }
}
