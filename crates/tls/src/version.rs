//! The versions of TLS, and words that name nothing.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A version of TLS that is spoken here.
///
/// TLS 1.0 and 1.1 are formally deprecated (RFC 8996) and need a build with `legacy-tls`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Version {
    /// RFC 5246.
    #[serde(rename = "1.2")]
    Tls12,
    /// RFC 8446.
    #[serde(rename = "1.3")]
    Tls13,
}

/// A set of [`Version`]s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "Vec<Version>", into = "Vec<Version>")]
pub struct Versions(u8);

impl Versions {
    /// TLS 1.2 and 1.3.
    pub const ALL: Self = Self(0b11);
    /// No version.
    pub const NONE: Self = Self(0);

    /// `version` and everything newer.
    pub const fn at_least(version: Version) -> Self {
        match version {
            Version::Tls12 => Self(0b11),
            Version::Tls13 => Self(0b10),
        }
    }

    /// This one version.
    pub const fn only(version: Version) -> Self {
        Self(version.bit())
    }

    /// Whether `version` is in the set.
    pub const fn contains(self, version: Version) -> bool {
        self.0 & version.bit() != 0
    }

    /// Whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What is in both.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Oldest first.
    pub fn iter(self) -> impl Iterator<Item = Version> {
        [Version::Tls12, Version::Tls13].into_iter().filter(move |&version| self.contains(version))
    }
}

impl Default for Versions {
    fn default() -> Self {
        Self::ALL
    }
}

impl FromIterator<Version> for Versions {
    fn from_iter<I: IntoIterator<Item = Version>>(versions: I) -> Self {
        Self(versions.into_iter().fold(0, |set, version| set | version.bit()))
    }
}

impl From<Vec<Version>> for Versions {
    fn from(versions: Vec<Version>) -> Self {
        versions.into_iter().collect()
    }
}

impl From<Versions> for Vec<Version> {
    fn from(versions: Versions) -> Self {
        versions.iter().collect()
    }
}

impl Version {
    const fn bit(self) -> u8 {
        match self {
            Self::Tls12 => 0b01,
            Self::Tls13 => 0b10,
        }
    }

    /// The bare number: `1.3`.
    pub const fn number(self) -> &'static str {
        match self {
            Self::Tls12 => "1.2",
            Self::Tls13 => "1.3",
        }
    }
}

/// A word that names no level, version, suite or group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WordError {
    /// Nothing of that name.
    #[error("unknown {what} \"{word}\": write one of {}", allowed.join(", "))]
    Unknown {
        /// What was expected.
        what: &'static str,
        /// What was found.
        word: String,
        /// What can be written instead.
        allowed: Vec<&'static str>,
    },
    /// A version that RFC 8996 retired.
    #[error(
        "{word} is deprecated (RFC 8996): it needs a build with the legacy-tls feature and a \
         listener or rule that names it; write 1.2 or 1.3"
    )]
    Legacy {
        /// What was found.
        word: String,
    },
}

impl WordError {
    pub(crate) fn new(what: &'static str, word: &str, allowed: &[&'static str]) -> Self {
        Self::Unknown {
            what,
            word: word.chars().take(WORD_MAX_CHARS).collect(),
            allowed: allowed.to_vec(),
        }
    }
}

impl FromStr for Version {
    type Err = WordError;

    /// Reads `1.3`, `tls1.3`, `TLSv1.3` or `TLS 1.3`.
    fn from_str(text: &str) -> Result<Self, WordError> {
        let lower = text.to_ascii_lowercase();
        let number = lower.strip_prefix("tls").unwrap_or(&lower);
        let number = number.trim_start_matches([' ', 'v', '-']);
        match number {
            "1.3" => Ok(Self::Tls13),
            "1.2" => Ok(Self::Tls12),
            "1" | "1.0" | "1.1" => Err(WordError::Legacy { word: format!("TLS {number}") }),
            _ if matches!(lower.as_str(), "sslv2" | "sslv3" | "ssl2" | "ssl3") => {
                Err(WordError::Legacy { word: lower.to_ascii_uppercase() })
            }
            _ => Err(WordError::new("TLS version", text, &["1.2", "1.3"])),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TLS {}", self.number())
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<_> = self.iter().map(Version::number).collect();
        if numbers.is_empty() {
            return f.write_str("no version of TLS");
        }
        write!(f, "TLS {}", numbers.join(" or "))
    }
}

/// How much of a wrong word an error repeats.
const WORD_MAX_CHARS: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_administrators_write_them() {
        for form in ["1.3", "tls1.3", "TLSv1.3", "TLS 1.3"] {
            assert_eq!(form.parse(), Ok(Version::Tls13), "{form}");
        }
        assert!("1.4".parse::<Version>().is_err());
    }

    #[test]
    fn retired_versions_are_refused_with_the_reason() {
        for form in ["1.0", "TLSv1", "tls1.1", "SSLv3"] {
            let error = form.parse::<Version>().unwrap_err();
            assert!(error.to_string().contains("RFC 8996"), "{form}: {error}");
        }
    }
}
