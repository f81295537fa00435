//! A list of one's own: a file of addresses, networks and domains, looked up without DNS.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use ipnet::IpNet;
use mail::Domain;

/// The most entries of one file.
pub const ENTRIES_MAX: usize = 1_000_000;
/// The largest file, in octets.
pub const FILE_MAX_OCTETS: u64 = 64 * 1024 * 1024;

/// Addresses, networks and domains, each perhaps with a reason.
#[derive(Debug, Clone, Default)]
pub struct OwnList {
    networks: HashMap<IpNet, Option<Box<str>>>,
    /// The lengths of prefixes that occur, longest first.
    v4_lengths: Vec<u8>,
    v6_lengths: Vec<u8>,
    domains: HashMap<Domain, Option<Box<str>>>,
}

/// A line that is no entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OwnListError {
    /// Neither address, network nor domain.
    #[error("line {line}: \"{text}\" is no address, network or domain")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// Its first word.
        text: String,
    },
    /// More than [`ENTRIES_MAX`].
    #[error("there are more than {ENTRIES_MAX} entries")]
    TooMany,
}

/// An entry that fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The reason given beside it.
    pub reason: Option<&'a str>,
}

impl OwnList {
    /// Reads a file: on each line an address, a network or a domain, and after it perhaps a
    /// reason; `#` begins a comment.
    ///
    /// # Errors
    ///
    /// [`OwnListError`] names the first line at fault.
    pub fn parse(text: &str) -> Result<Self, OwnListError> {
        let mut list = Self::default();
        let mut lengths: (HashSet<u8>, HashSet<u8>) = Default::default();
        for (line, content) in (1..).zip(text.lines()) {
            let content = content.split('#').next().unwrap_or_default().trim();
            let (word, reason) = content.split_once(char::is_whitespace).unwrap_or((content, ""));
            if word.is_empty() {
                continue;
            }
            if list.len() >= ENTRIES_MAX {
                return Err(OwnListError::TooMany);
            }
            let reason = crate::reason(reason).map(String::into_boxed_str);
            let network =
                word.parse::<IpNet>().or_else(|_| word.parse::<IpAddr>().map(IpNet::from));
            match network {
                Ok(network) => {
                    let network = network.trunc();
                    match network {
                        IpNet::V4(net) => lengths.0.insert(net.prefix_len()),
                        IpNet::V6(net) => lengths.1.insert(net.prefix_len()),
                    };
                    list.networks.insert(network, reason);
                }
                Err(_) => match Domain::parse(word.trim_start_matches('.')) {
                    Ok(domain) if domain.as_str().contains('.') => {
                        list.domains.insert(domain, reason);
                    }
                    Ok(_) | Err(_) => {
                        let text = word.chars().take(80).collect();
                        return Err(OwnListError::Line { line, text });
                    }
                },
            }
        }
        let longest_first = |lengths: HashSet<u8>| {
            let mut lengths: Vec<u8> = lengths.into_iter().collect();
            lengths.sort_unstable_by(|a, b| b.cmp(a));
            lengths
        };
        list.v4_lengths = longest_first(lengths.0);
        list.v6_lengths = longest_first(lengths.1);
        Ok(list)
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.networks.len() + self.domains.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most precise entry that holds `ip`.
    pub fn address(&self, ip: IpAddr) -> Option<Entry<'_>> {
        let lengths = if ip.is_ipv4() { &self.v4_lengths } else { &self.v6_lengths };
        lengths.iter().find_map(|length| {
            let network = IpNet::new(ip, *length).ok()?.trunc();
            self.networks.get(&network).map(|reason| Entry { reason: reason.as_deref() })
        })
    }

    /// The entry of `domain` or of the nearest domain above it.
    pub fn domain(&self, domain: &Domain) -> Option<Entry<'_>> {
        domain.ancestors().find_map(|name| {
            let name = Domain::parse(name).ok()?;
            self.domains.get(&name).map(|reason| Entry { reason: reason.as_deref() })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# ours\n\
        192.0.2.1   sent viruses on Monday\n\
        198.51.100.0/24\n\
        2001:db8::/32 # all of them\n\
        bad.example  phishing\n";

    #[test]
    fn addresses_networks_and_domains_are_found_with_their_reasons() {
        let list = OwnList::parse(FILE).unwrap();
        assert_eq!(list.len(), 4);
        let address = |ip: &str| list.address(ip.parse().unwrap());
        assert_eq!(address("192.0.2.1").unwrap().reason, Some("sent viruses on Monday"));
        assert_eq!(address("198.51.100.77").unwrap().reason, None);
        assert!(address("2001:db8:7::1").is_some());
        assert!(address("192.0.2.2").is_none() && address("2001:db9::1").is_none());
        let domain = |name: &str| list.domain(&name.parse().unwrap());
        assert_eq!(domain("www.bad.example").unwrap().reason, Some("phishing"));
        assert!(domain("notbad.example").is_none());
    }

    #[test]
    fn a_line_that_is_no_entry_is_named() {
        let error = OwnList::parse("192.0.2.1\nnot an entry\n").unwrap_err();
        assert_eq!(error.to_string(), "line 2: \"not\" is no address, network or domain");
    }
}
