//! Hashes and how entries are linked by them.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use mail::Envelope;
use serde::{Deserialize, Serialize};

/// A SHA-256, shown as 64 lower-case hexadecimal digits; only that form is read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

/// What the first entry of a chain is linked to.
pub const GENESIS: Digest = Digest([0; 32]);

impl Digest {
    /// The SHA-256 of these octets.
    pub fn of(octets: &[u8]) -> Self {
        Self(to_array(digest(&SHA256, octets).as_ref()))
    }

    /// A SHA-256 computed elsewhere.
    pub const fn from_bytes(octets: [u8; 32]) -> Self {
        Self(octets)
    }

    /// The 32 octets.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// The hash of the entry number `seq`, given the SHA-256 of its payload, after an entry
/// with the hash `previous`: SHA-256(previous ‖ seq as 8 octets, big-endian ‖ payload digest).
///
/// The store links whole payloads the same way; here the digest is enough, so that a
/// proof can link entries without showing them.
pub fn link(previous: Digest, seq: u64, payload: Digest) -> Digest {
    let mut octets = [0; 72];
    octets[..32].copy_from_slice(&previous.0);
    octets[32..40].copy_from_slice(&seq.to_be_bytes());
    octets[40..].copy_from_slice(&payload.0);
    Digest::of(&octets)
}

/// The digest of an envelope: of its JSON form, fields in the order of the type.
pub fn envelope_digest(envelope: &Envelope) -> Digest {
    // An envelope is plain data: there is no map with other keys and no failing part in it.
    Digest::of(&serde_json::to_vec(envelope).unwrap_or_default())
}

pub(crate) fn to_array<const N: usize>(octets: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    for (slot, octet) in array.iter_mut().zip(octets) {
        *slot = *octet;
    }
    array
}

/// The text is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("64 lower-case hexadecimal digits are expected")]
pub struct DigestError;

impl FromStr for Digest {
    type Err = DigestError;
    fn from_str(text: &str) -> Result<Self, DigestError> {
        from_hex(text).map(Self).ok_or(DigestError)
    }
}

/// Exactly `N` octets in lower-case hexadecimal.
pub(crate) fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let nibble = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    if text.len() != 2 * N {
        return None;
    }
    let mut octets = [0; N];
    for (slot, pair) in octets.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *slot = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(octets)
}

pub(crate) fn to_hex(octets: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    octets.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
}

impl TryFrom<String> for Digest {
    type Error = DigestError;
    fn try_from(text: String) -> Result<Self, DigestError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        to_hex(&self.0, f)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_linked_as_the_store_links_them() {
        let payload = b"{\"v\":1}";
        let previous = Digest::of(b"before");
        let here = link(previous, 7, Digest::of(payload));
        assert_eq!(*here.as_bytes(), store::chain::link(previous.as_bytes(), 7, payload));
        assert_eq!(*GENESIS.as_bytes(), store::chain::GENESIS);
    }

    #[test]
    fn a_digest_has_one_written_form() {
        let digest = Digest::of(b"x");
        let text = digest.to_string();
        assert_eq!(text.parse(), Ok(digest));
        assert!(text.to_uppercase().parse::<Digest>().is_err());
        assert!(text[1..].parse::<Digest>().is_err());
        assert!("".parse::<Digest>().is_err());
    }
}
