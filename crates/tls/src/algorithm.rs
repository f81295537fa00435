//! Cipher suites and key-exchange groups by their registered names (IANA TLS parameters).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::version::WordError;

/// A TLS cipher suite by its registered number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Suite(pub u16);

/// A key-exchange group by its registered number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Group(pub u16);

impl Suite {
    /// Every suite that can be chosen, strongest first; all have forward secrecy and AEAD.
    pub fn all() -> impl Iterator<Item = Self> {
        SUITES.iter().map(|&(number, _)| Self(number))
    }

    /// The registered name, if it is one that can be chosen.
    pub fn name(self) -> Option<&'static str> {
        name(SUITES, self.0)
    }
}

impl Group {
    /// The hybrid of X25519 and ML-KEM-768.
    pub const X25519_MLKEM768: Self = Self(0x11ec);

    /// The registered name, if it is known here.
    pub fn name(self) -> Option<&'static str> {
        name(GROUPS, self.0)
    }

    /// Whether a recording of the session stays closed to a quantum computer.
    pub fn is_post_quantum(self) -> bool {
        matches!(self.0, 0x11eb..=0x11ed | 0x0200..=0x0202)
    }
}

fn name(table: &'static [(u16, &'static str)], number: u16) -> Option<&'static str> {
    table.iter().find(|&&(known, _)| known == number).map(|&(_, name)| name)
}

fn show(name: Option<&'static str>, number: u16, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match name {
        Some(name) => f.pad(name),
        None => write!(f, "0x{number:04x}"),
    }
}

fn read(table: &[(u16, &str)], text: &str) -> Option<u16> {
    if let Some(digits) = text.strip_prefix("0x") {
        return u16::from_str_radix(digits, 16).ok();
    }
    table.iter().find(|&&(_, name)| name.eq_ignore_ascii_case(text)).map(|&(number, _)| number)
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(self.name(), self.0, f)
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(self.name(), self.0, f)
    }
}

impl FromStr for Suite {
    type Err = WordError;

    /// Reads a registered name in any case, or a number such as `0x1301`.
    fn from_str(text: &str) -> Result<Self, WordError> {
        read(SUITES, text).map(Self).ok_or_else(|| {
            let names: Vec<_> = SUITES.iter().map(|&(_, name)| name).collect();
            WordError::new("cipher suite", text, &names)
        })
    }
}

impl FromStr for Group {
    type Err = WordError;

    /// Reads a registered name in any case, or a number such as `0x001d`.
    fn from_str(text: &str) -> Result<Self, WordError> {
        read(GROUPS, text).map(Self).ok_or_else(|| {
            let names: Vec<_> = GROUPS.iter().map(|&(_, name)| name).collect();
            WordError::new("key-exchange group", text, &names)
        })
    }
}

impl TryFrom<String> for Suite {
    type Error = WordError;
    fn try_from(text: String) -> Result<Self, WordError> {
        text.parse()
    }
}

impl TryFrom<String> for Group {
    type Error = WordError;
    fn try_from(text: String) -> Result<Self, WordError> {
        text.parse()
    }
}

impl From<Suite> for String {
    fn from(suite: Suite) -> Self {
        suite.to_string()
    }
}

impl From<Group> for String {
    fn from(group: Group) -> Self {
        group.to_string()
    }
}

/// The suites of TLS 1.3 (RFC 8446 appendix B.4) and the ECDHE AEAD suites of TLS 1.2
/// (RFC 5289, RFC 7905).
const SUITES: &[(u16, &str)] = &[
    (0x1302, "TLS_AES_256_GCM_SHA384"),
    (0x1301, "TLS_AES_128_GCM_SHA256"),
    (0x1303, "TLS_CHACHA20_POLY1305_SHA256"),
    (0xc02c, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
    (0xc02b, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
    (0xcca9, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"),
    (0xc030, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"),
    (0xc02f, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
    (0xcca8, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"),
];

const GROUPS: &[(u16, &str)] = &[
    (0x11ec, "X25519MLKEM768"),
    (0x11eb, "SecP256r1MLKEM768"),
    (0x11ed, "SecP384r1MLKEM1024"),
    (0x0200, "MLKEM512"),
    (0x0201, "MLKEM768"),
    (0x0202, "MLKEM1024"),
    (0x001d, "x25519"),
    (0x001e, "x448"),
    (0x0017, "secp256r1"),
    (0x0018, "secp384r1"),
    (0x0019, "secp521r1"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_back_as_its_number() {
        for suite in Suite::all().chain([Suite(0xc013)]) {
            assert_eq!(suite.to_string().parse(), Ok(suite));
        }
        for &(number, _) in GROUPS {
            assert_eq!(Group(number).to_string().parse(), Ok(Group(number)));
        }
        assert!("TLS_RSA_WITH_RC4_128_MD5".parse::<Suite>().is_err());
        assert!("ffdhe2048".parse::<Group>().is_err());
    }

    #[test]
    fn only_hybrid_and_ml_kem_groups_are_post_quantum() {
        assert!(Group::X25519_MLKEM768.is_post_quantum());
        assert!(!Group(0x001d).is_post_quantum());
    }
}
