//! The signing table: who vouches for which author.

use mail::{Address, Domain};

/// Whose mail an entry is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// One address.
    Address(Address),
    /// A domain, without those below it.
    Domain(Domain),
    /// Every domain below this one: `*.example.com`.
    Below(Domain),
}

/// A line of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Whose mail.
    pub who: Who,
    /// The domain that vouches: `d=`.
    pub domain: Domain,
    /// The selectors of its keys; empty for all that are in use.
    pub selectors: Vec<String>,
}

/// The signing table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table(Vec<Entry>);

/// What is wrong with the words for whose mail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is neither an address, a domain, nor *.DOMAIN")]
pub struct WhoError(String);

impl Who {
    /// Reads `ann@example.com`, `example.com` or `*.example.com`.
    ///
    /// # Errors
    ///
    /// [`WhoError`].
    pub fn parse(text: &str) -> Result<Self, WhoError> {
        let wrong = || WhoError(text.to_owned());
        if let Some(parent) = text.strip_prefix("*.") {
            return Domain::parse(parent).map(Self::Below).map_err(|_| wrong());
        }
        if text.contains('@') {
            return Address::parse(text).map(Self::Address).map_err(|_| wrong());
        }
        let domain = Domain::parse(text).map_err(|_| wrong())?;
        if domain.literal().is_some() { Err(wrong()) } else { Ok(Self::Domain(domain)) }
    }

    /// The domain it names, which vouches where the entry names no other.
    pub fn domain(&self) -> &Domain {
        match self {
            Self::Address(address) => address.domain(),
            Self::Domain(domain) | Self::Below(domain) => domain,
        }
    }

    /// How closely it fits an author; `None` where it does not.
    fn fits(&self, author: &Address) -> Option<usize> {
        match self {
            Self::Address(address) => (address.to_key() == author.to_key()).then_some(usize::MAX),
            Self::Domain(domain) => (domain == author.domain()).then_some(usize::MAX - 1),
            Self::Below(parent) => {
                author.domain().is_below(parent).then_some(parent.as_str().len())
            }
        }
    }
}

impl std::fmt::Display for Who {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address}"),
            Self::Domain(domain) => write!(f, "{domain}"),
            Self::Below(domain) => write!(f, "*.{domain}"),
        }
    }
}

impl Table {
    /// A table of these entries.
    pub fn new(entries: Vec<Entry>) -> Self {
        Self(entries)
    }

    /// The entries as they are written.
    pub fn entries(&self) -> &[Entry] {
        &self.0
    }

    /// The entry for an author: the address goes before the domain, the domain before those
    /// it lies below, the nearer of those before the farther.
    pub fn find(&self, author: &Address) -> Option<&Entry> {
        self.0
            .iter()
            .filter_map(|entry| Some((entry.who.fits(author)?, entry)))
            .max_by_key(|(closeness, _)| *closeness)
            .map(|(_, entry)| entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_entry_vouches() {
        let entry = |who: &str| {
            let who = Who::parse(who).unwrap();
            Entry { domain: who.domain().clone(), who, selectors: Vec::new() }
        };
        let table = Table::new(
            ["*.example.com", "example.com", "*.b.example.com", "ann@example.com"]
                .map(entry)
                .to_vec(),
        );
        for (author, who) in [
            ("Ann@example.com", Some("ann@example.com")),
            ("bob@example.com", Some("example.com")),
            ("bob@a.example.com", Some("*.example.com")),
            ("bob@x.b.example.com", Some("*.b.example.com")),
            ("bob@xexample.com", None),
            ("bob@com", None),
        ] {
            let author = Address::parse(author).unwrap();
            let found = table.find(&author).map(|entry| entry.who.to_string());
            assert_eq!(found.as_deref(), who, "{author}");
        }
    }

    #[test]
    fn whose_mail_is_an_address_a_domain_or_those_below_it() {
        for bad in ["", "*", "*.", "@example.com", "[127.0.0.1]", "a b"] {
            assert!(Who::parse(bad).is_err(), "{bad}");
        }
    }
}
