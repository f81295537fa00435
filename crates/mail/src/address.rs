//! A mailbox address and the reverse-path.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::domain::{Domain, DomainError};

/// The longest local part, in octets (RFC 5321 section 4.5.3.1.1).
pub const LOCAL_PART_MAX_OCTETS: usize = 64;

/// A mailbox: a local part and a domain (RFC 5321 section 4.1.2, RFC 6531 section 3.3).
///
/// The local part is kept unquoted and as given: only its own domain may say
/// whether case matters. The domain is canonical.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    local: Box<str>,
    domain: Domain,
}

/// Why a text is not an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// There is no `@`.
    #[error("the address has no domain")]
    NoDomain,
    /// The local part is empty.
    #[error("the address has nothing before its @")]
    NoLocalPart,
    /// More than [`LOCAL_PART_MAX_OCTETS`] before the `@`.
    #[error("the part before the @ is longer than {LOCAL_PART_MAX_OCTETS} octets")]
    LocalPartTooLong,
    /// The local part is neither a dot-string nor a well-formed quoted string.
    #[error("the part before the @ is not well formed")]
    LocalPart,
    /// The domain is wrong.
    #[error(transparent)]
    Domain(#[from] DomainError),
}

impl Address {
    /// Reads `local@domain`, where local is a dot-string or a quoted string.
    /// Characters beyond ASCII are accepted; see [`Self::needs_smtputf8`].
    ///
    /// # Errors
    ///
    /// [`AddressError`] says which part is wrong.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let (local, domain) = if let Some(rest) = text.strip_prefix('"') {
            let (local, after) = unquote(rest)?;
            (local, after.strip_prefix('@').ok_or(AddressError::NoDomain)?)
        } else {
            let (local, domain) = text.split_once('@').ok_or(AddressError::NoDomain)?;
            check_dot_string(local)?;
            (local.to_owned(), domain)
        };
        if local.len() > LOCAL_PART_MAX_OCTETS {
            return Err(AddressError::LocalPartTooLong);
        }
        Ok(Self { local: local.into(), domain: Domain::parse(domain)? })
    }

    /// Puts an address together from an unquoted local part and a domain.
    ///
    /// # Errors
    ///
    /// [`AddressError`] when the local part is empty, too long or holds a control character.
    pub fn new(local: &str, domain: Domain) -> Result<Self, AddressError> {
        match local {
            "" => Err(AddressError::NoLocalPart),
            _ if local.len() > LOCAL_PART_MAX_OCTETS => Err(AddressError::LocalPartTooLong),
            _ if local.chars().any(char::is_control) => Err(AddressError::LocalPart),
            _ => Ok(Self { local: local.into(), domain }),
        }
    }

    /// The unquoted local part, as given.
    pub fn local(&self) -> &str {
        &self.local
    }

    /// The domain.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// The key under which our own domains look a mailbox up: local part in lower case.
    pub fn to_key(&self) -> String {
        format!("{}@{}", self.local.to_lowercase(), self.domain)
    }

    /// Whether the address can only travel under SMTPUTF8 (RFC 6531): its local part is not ASCII.
    pub fn needs_smtputf8(&self) -> bool {
        !self.local.is_ascii()
    }
}

/// Reads up to the closing quote; gives the unquoted text and what follows the quote.
fn unquote(text: &str) -> Result<(String, &str), AddressError> {
    let mut local = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' if local.is_empty() => return Err(AddressError::NoLocalPart),
            '"' => return Ok((local, &text[at + 1..])),
            '\\' => match chars.next() {
                Some((_, escaped)) if escaped == ' ' || escaped.is_ascii_graphic() => {
                    local.push(escaped);
                }
                _ => return Err(AddressError::LocalPart),
            },
            c if c.is_control() => return Err(AddressError::LocalPart),
            c => local.push(c),
        }
    }
    Err(AddressError::LocalPart)
}

fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || "!#$%&'*+-/=?^_`{|}~".contains(c)
        || (!c.is_ascii() && !c.is_control())
}

fn check_dot_string(local: &str) -> Result<(), AddressError> {
    if local.is_empty() {
        return Err(AddressError::NoLocalPart);
    }
    let atom = |atom: &str| !atom.is_empty() && atom.chars().all(is_atext);
    if local.split('.').all(atom) { Ok(()) } else { Err(AddressError::LocalPart) }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if check_dot_string(&self.local).is_ok() {
            return write!(f, "{}@{}", self.local, self.domain);
        }
        f.write_str("\"")?;
        for c in self.local.chars() {
            if c == '"' || c == '\\' {
                f.write_str("\\")?;
            }
            write!(f, "{c}")?;
        }
        write!(f, "\"@{}", self.domain)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Address {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Address {
    type Error = AddressError;
    fn try_from(text: String) -> Result<Self, AddressError> {
        Self::parse(&text)
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_string()
    }
}

/// Who is told when a message cannot be delivered: the reverse-path (RFC 5321 section 3.3).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ReversePath {
    /// `<>`: nobody. Notifications are sent so, and nothing is ever sent back to it.
    Null,
    /// A mailbox.
    Address(Address),
}

impl ReversePath {
    /// The mailbox, if there is one.
    pub fn address(&self) -> Option<&Address> {
        match self {
            Self::Null => None,
            Self::Address(address) => Some(address),
        }
    }
}

impl fmt::Display for ReversePath {
    /// Without angle brackets; the null path is empty.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => Ok(()),
            Self::Address(address) => address.fmt(f),
        }
    }
}

impl TryFrom<String> for ReversePath {
    type Error = AddressError;
    fn try_from(text: String) -> Result<Self, AddressError> {
        if text.is_empty() { Ok(Self::Null) } else { Address::parse(&text).map(Self::Address) }
    }
}

impl From<ReversePath> for String {
    fn from(path: ReversePath) -> Self {
        path.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quoting_is_only_as_much_as_needed() {
        for (given, shown) in [
            ("ann@clinic.example", "ann@clinic.example"),
            ("\"ann\"@Clinic.Example", "ann@clinic.example"),
            ("\"ann lee\"@clinic.example", "\"ann lee\"@clinic.example"),
            ("\"a\\\"b\"@clinic.example", "\"a\\\"b\"@clinic.example"),
            ("\"a@b\"@clinic.example", "\"a@b\"@clinic.example"),
            ("ann@[192.0.2.1]", "ann@[192.0.2.1]"),
            ("änn@clinic.example", "änn@clinic.example"),
        ] {
            assert_eq!(Address::parse(given).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn malformed_addresses_say_what_is_wrong() {
        for (given, wrong) in [
            ("ann", AddressError::NoDomain),
            ("@clinic.example", AddressError::NoLocalPart),
            ("\"\"@clinic.example", AddressError::NoLocalPart),
            ("ann..lee@clinic.example", AddressError::LocalPart),
            (".ann@clinic.example", AddressError::LocalPart),
            ("ann lee@clinic.example", AddressError::LocalPart),
            ("\"ann@clinic.example", AddressError::LocalPart),
            ("ann@", AddressError::Domain(DomainError::Empty)),
        ] {
            assert_eq!(Address::parse(given), Err(wrong), "{given}");
        }
        let long = format!("{}@clinic.example", "a".repeat(65));
        assert_eq!(Address::parse(&long), Err(AddressError::LocalPartTooLong));
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back_the_same(local in "[ -~]{1,20}", domain in "[a-z]{1,9}\\.example") {
            let address = Address::new(&local, Domain::parse(&domain).unwrap()).unwrap();
            prop_assert_eq!(Address::parse(&address.to_string()).unwrap(), address);
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC*") {
            let _ = Address::parse(&text);
        }
    }
}
