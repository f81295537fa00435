//! SHA-256 fingerprints of certificates and public keys.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};

/// The SHA-256 of a certificate or of its SubjectPublicKeyInfo, both in DER.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of these octets.
    pub fn of(der: &[u8]) -> Self {
        let mut octets = [0; 32];
        octets.copy_from_slice(digest::digest(&digest::SHA256, der).as_ref());
        Self(octets)
    }

    /// The 32 octets.
    pub const fn octets(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first four octets, for lines that people scan: `9f:3c:00:b1`.
    pub fn short(&self) -> String {
        hex(&self.0[..4])
    }
}

fn hex(octets: &[u8]) -> String {
    use fmt::Write as _;
    let mut text = String::with_capacity(octets.len() * 3);
    for (at, octet) in octets.iter().enumerate() {
        let colon = if at == 0 { "" } else { ":" };
        // Writing to a String cannot fail.
        let _ = write!(text, "{colon}{octet:02x}");
    }
    text
}

/// The text is not the SHA-256 of anything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is not a SHA-256 fingerprint: write 64 hexadecimal digits, with or without colons"
)]
pub struct FingerprintError(String);

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    /// Reads hexadecimal digits in any case, in pairs joined by colons or not,
    /// with or without `sha256:` ahead of them.
    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let wrong = || FingerprintError(text.chars().take(TEXT_MAX_CHARS).collect());
        let digits = match text.get(..7) {
            Some(tag) if tag.eq_ignore_ascii_case("sha256:") => &text[7..],
            _ => text,
        };
        let digits = digits.as_bytes();
        let stride = match digits.len() {
            64 => 2,
            95 => 3,
            _ => return Err(wrong()),
        };
        let mut octets = [0; 32];
        for (at, pair) in digits.chunks(stride).enumerate() {
            if pair.get(2).is_some_and(|&colon| colon != b':') {
                return Err(wrong());
            }
            let nibble = |digit: u8| char::from(digit).to_digit(16);
            let (Some(high), Some(low)) = (nibble(pair[0]), nibble(pair[1])) else {
                return Err(wrong());
            };
            octets[at] = (high * 16 + low) as u8;
        }
        Ok(Self(octets))
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = FingerprintError;
    fn try_from(text: String) -> Result<Self, FingerprintError> {
        text.parse()
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How much of a wrong text an error repeats.
const TEXT_MAX_CHARS: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_in_the_forms_that_tools_print() {
        let print = Fingerprint::of(b"certificate");
        let colons = print.to_string();
        let plain = colons.replace(':', "");
        for form in
            [colons.clone(), colons.to_uppercase(), plain.clone(), format!("SHA256:{plain}")]
        {
            assert_eq!(form.parse(), Ok(print), "{form}");
        }
        assert!(colons.starts_with(&print.short()));
    }

    #[test]
    fn what_is_not_a_fingerprint_is_refused() {
        let good = Fingerprint::of(b"").to_string();
        let spaced = good.replace(':', " ");
        let short = &good[..92];
        let letters = good.replace(|c: char| c.is_ascii_digit(), "g");
        for bad in ["", "9f", "sha256:", &spaced, short, &letters, "é".repeat(32).as_str()] {
            assert!(bad.parse::<Fingerprint>().is_err(), "{bad}");
        }
    }
}
