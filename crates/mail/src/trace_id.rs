//! The name of one message on this server.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Names one accepted (or refused) message from its first command to its last
/// outcome: 48 bits of milliseconds and 80 random bits, so that names sort by
/// time. Shown as 26 characters of Crockford's base 32, as a ULID is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TraceId(u128);

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const LENGTH: usize = 26;

impl TraceId {
    /// A new name for something that begins at `now_ms` (milliseconds since 1970).
    pub fn generate(now_ms: i64) -> Self {
        let time = u128::from(now_ms.max(0) as u64 & 0xFFFF_FFFF_FFFF);
        let random = fastrand::u128(..) & ((1 << 80) - 1);
        Self(time << 80 | random)
    }

    /// The highest name of something that began at `at_ms` or before.
    pub fn latest(at_ms: i64) -> Self {
        let time = u128::from(at_ms.max(0) as u64 & 0xFFFF_FFFF_FFFF);
        Self(time << 80 | ((1 << 80) - 1))
    }

    /// The 16 octets kept in the store; their order is the order of time.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// The name kept as `bytes`.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }

    /// The lowest and highest name that begin with `prefix` (1 to 26 characters,
    /// any case), or `None` when no name can.
    pub fn range_of_prefix(prefix: &str) -> Option<(Self, Self)> {
        if prefix.is_empty() || prefix.len() > LENGTH || !prefix.is_ascii() {
            return None;
        }
        let fill = |c: char| -> Option<Self> {
            let mut text = prefix.to_owned();
            text.extend(std::iter::repeat_n(c, LENGTH - prefix.len()));
            text.parse().ok()
        };
        Some((fill('0')?, fill('Z')?))
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; LENGTH];
        for (place, slot) in text.iter_mut().enumerate() {
            let shift = 5 * (LENGTH - 1 - place);
            *slot = ALPHABET[(self.0 >> shift) as usize & 31];
        }
        f.pad(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not a message's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a message id: 26 letters and digits are expected")]
pub struct TraceIdError(String);

impl FromStr for TraceId {
    type Err = TraceIdError;
    fn from_str(text: &str) -> Result<Self, TraceIdError> {
        let wrong = || TraceIdError(text.to_owned());
        if text.len() != LENGTH {
            return Err(wrong());
        }
        let mut value: u128 = 0;
        for (place, byte) in text.bytes().enumerate() {
            let digit =
                ALPHABET.iter().position(|&a| a == byte.to_ascii_uppercase()).ok_or_else(wrong)?;
            // The first character carries only three bits.
            let digit = if place == 0 { digit & 7 } else { digit };
            value = value << 5 | digit as u128;
        }
        Ok(Self(value))
    }
}

impl TryFrom<String> for TraceId {
    type Error = TraceIdError;
    fn try_from(text: String) -> Result<Self, TraceIdError> {
        text.parse()
    }
}

impl From<TraceId> for String {
    fn from(id: TraceId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_sort_by_time() {
        let early = TraceId::generate(1_700_000_000_000);
        let late = TraceId::generate(1_700_000_000_001);
        assert!(early < late && early.to_string() < late.to_string());
        assert_eq!(early.to_string().parse(), Ok(early));
        assert_eq!(TraceId::from_bytes(early.to_bytes()), early);
    }

    #[test]
    fn a_prefix_covers_exactly_the_names_that_begin_so() {
        let id = TraceId::generate(1_700_000_000_000);
        let (low, high) = TraceId::range_of_prefix(&id.to_string()[..8].to_lowercase()).unwrap();
        assert!(low <= id && id <= high);
        assert_eq!(low.to_string()[..8], high.to_string()[..8]);
        assert_eq!(TraceId::range_of_prefix("not an id!"), None);
    }
}
