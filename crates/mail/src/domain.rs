//! A domain name or address literal, as mail uses them.

use std::borrow::Borrow;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest domain, in octets of its A-label form (RFC 5321 section 4.5.3.1.2).
pub const DOMAIN_MAX_OCTETS: usize = 255;
const LABEL_MAX_OCTETS: usize = 63;

/// A domain in canonical form: lower case, A-labels (RFC 5890), no trailing dot;
/// or an address literal such as `[192.0.2.1]` (RFC 5321 section 4.1.3).
///
/// Two domains are equal exactly when mail treats them as the same place.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Domain(Box<str>);

/// Why a text is not a domain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DomainError {
    /// Nothing was there.
    #[error("the domain is empty")]
    Empty,
    /// More than [`DOMAIN_MAX_OCTETS`].
    #[error("the domain is longer than {DOMAIN_MAX_OCTETS} octets")]
    TooLong,
    /// A label is empty, longer than 63 octets, or has a character that is not allowed.
    #[error("\"{label}\" is not a valid label of a domain")]
    Label {
        /// The label at fault.
        label: String,
    },
    /// Not convertible to A-labels (RFC 5891).
    #[error("\"{name}\" is not a valid internationalized domain")]
    Idna {
        /// The name at fault.
        name: String,
    },
    /// A bracketed text that holds no address.
    #[error("\"{literal}\" is not an address literal")]
    Literal {
        /// The literal at fault.
        literal: String,
    },
}

impl Domain {
    /// Reads a domain name or an address literal, in any case, with U- or A-labels,
    /// with or without a trailing dot.
    ///
    /// # Errors
    ///
    /// [`DomainError`] says which part is wrong.
    pub fn parse(text: &str) -> Result<Self, DomainError> {
        if text.starts_with('[') {
            return Self::parse_literal(text);
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        if name.is_empty() {
            return Err(DomainError::Empty);
        }
        if name.len() > 4 * DOMAIN_MAX_OCTETS {
            return Err(DomainError::TooLong);
        }
        let ascii = if name.is_ascii() {
            name.to_ascii_lowercase()
        } else {
            idna::domain_to_ascii(name).map_err(|_| DomainError::Idna { name: name.to_owned() })?
        };
        if ascii.len() > DOMAIN_MAX_OCTETS {
            return Err(DomainError::TooLong);
        }
        for label in ascii.split('.') {
            check_label(label)?;
        }
        Ok(Self(ascii.into()))
    }

    fn parse_literal(text: &str) -> Result<Self, DomainError> {
        let wrong = || DomainError::Literal { literal: text.to_owned() };
        let inner = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).ok_or_else(wrong)?;
        let ip: IpAddr = match inner.get(..5) {
            Some(tag) if tag.eq_ignore_ascii_case("IPv6:") => {
                IpAddr::V6(inner[5..].parse().map_err(|_| wrong())?)
            }
            _ => IpAddr::V4(inner.parse().map_err(|_| wrong())?),
        };
        Ok(Self::from(ip))
    }

    /// The canonical text: A-labels, lower case; a literal keeps its brackets.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address, when this is an address literal.
    pub fn literal(&self) -> Option<IpAddr> {
        let inner = self.0.strip_prefix('[')?.strip_suffix(']')?;
        match inner.strip_prefix("IPv6:") {
            Some(v6) => v6.parse().ok().map(IpAddr::V6),
            None => inner.parse().ok().map(IpAddr::V4),
        }
    }

    /// The name for people: U-labels where they can be shown.
    pub fn to_unicode(&self) -> String {
        if self.0.contains("xn--") {
            idna::domain_to_unicode(&self.0).0
        } else {
            self.0.to_string()
        }
    }

    /// This name and each of its parents, nearest first: `a.b.c`, `b.c`, `c`.
    ///
    /// A literal has no parents.
    pub fn ancestors(&self) -> impl Iterator<Item = &str> {
        let mut next = Some(self.as_str());
        let literal = self.0.starts_with('[');
        std::iter::from_fn(move || {
            let this = next?;
            next = if literal { None } else { this.split_once('.').map(|(_, parent)| parent) };
            Some(this)
        })
    }

    /// Whether this is a name below `parent` (and not `parent` itself).
    pub fn is_below(&self, parent: &Domain) -> bool {
        self.0.strip_suffix(parent.as_str()).is_some_and(|head| head.ends_with('.'))
    }
}

fn check_label(label: &str) -> Result<(), DomainError> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let good = !label.is_empty()
        && label.len() <= LABEL_MAX_OCTETS
        && label.bytes().all(allowed)
        && !label.starts_with('-')
        && !label.ends_with('-');
    if good { Ok(()) } else { Err(DomainError::Label { label: label.to_owned() }) }
}

impl From<IpAddr> for Domain {
    fn from(ip: IpAddr) -> Self {
        Self(match ip {
            IpAddr::V4(v4) => format!("[{v4}]").into(),
            IpAddr::V6(v6) => format!("[IPv6:{v6}]").into(),
        })
    }
}

impl FromStr for Domain {
    type Err = DomainError;
    fn from_str(text: &str) -> Result<Self, DomainError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Domain {
    type Error = DomainError;
    fn try_from(text: String) -> Result<Self, DomainError> {
        Self::parse(&text)
    }
}

impl From<Domain> for String {
    fn from(domain: Domain) -> Self {
        domain.0.into()
    }
}

impl Borrow<str> for Domain {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_place_has_one_form() {
        let forms = ["Bücher.Example", "xn--bcher-kva.example", "BÜCHER.example."];
        for form in forms {
            assert_eq!(Domain::parse(form).unwrap().as_str(), "xn--bcher-kva.example");
        }
        assert_eq!(Domain::parse("bücher.example").unwrap().to_unicode(), "bücher.example");
    }

    #[test]
    fn literals_are_read_and_written_in_their_canonical_form() {
        let v6 = Domain::parse("[ipv6:2001:DB8:0::1]").unwrap();
        assert_eq!(v6.as_str(), "[IPv6:2001:db8::1]");
        assert_eq!(v6.literal(), Some("2001:db8::1".parse().unwrap()));
        assert_eq!(
            Domain::parse("[192.0.2.1]").unwrap().literal(),
            Some("192.0.2.1".parse().unwrap())
        );
        assert!(Domain::parse("[192.0.2.256]").is_err());
        assert!(Domain::parse("[2001:db8::1]").is_err());
    }

    #[test]
    fn what_is_not_a_domain_is_refused_by_its_label() {
        for bad in
            ["", ".", "a..b", "-a.example", "a-.example", "a b.example", "a\u{200b}\u{0}.example"]
        {
            assert!(Domain::parse(bad).is_err(), "{bad:?}");
        }
        let long = "a".repeat(64);
        assert_eq!(Domain::parse(&long), Err(DomainError::Label { label: long.clone() }));
        let long = vec!["abcdefgh"; 40].join(".");
        assert_eq!(Domain::parse(&long), Err(DomainError::TooLong));
    }

    #[test]
    fn ancestors_walk_to_the_root_and_stop() {
        let domain = Domain::parse("mx.clinic.example").unwrap();
        assert_eq!(
            domain.ancestors().collect::<Vec<_>>(),
            ["mx.clinic.example", "clinic.example", "example"]
        );
        assert_eq!(Domain::parse("[192.0.2.1]").unwrap().ancestors().count(), 1);
    }

    #[test]
    fn below_means_a_whole_label_below() {
        let parent = Domain::parse("bank.example").unwrap();
        assert!(Domain::parse("mx.bank.example").unwrap().is_below(&parent));
        assert!(!Domain::parse("notbank.example").unwrap().is_below(&parent));
        assert!(!parent.is_below(&parent));
    }
}
