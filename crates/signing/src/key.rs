//! A private key that signs mail.

use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// How a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    /// `rsa-sha256`, which every verifier knows (RFC 8301).
    Rsa,
    /// `ed25519-sha256` (RFC 8463).
    Ed25519,
}

/// What is wrong with a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is no key, or of a kind that signs no mail.
    #[error("this is no private key in PKCS #8 or PKCS #1 for RSA or Ed25519")]
    Unreadable,
    /// RFC 8301 section 3.2.
    #[error("an RSA key of {bits} bits is too short: verifiers want at least {RSA_MIN_BITS}")]
    TooShort {
        /// Its length.
        bits: usize,
    },
    /// The library's random numbers or arithmetic failed.
    #[error("the key could not be made or used")]
    Failed,
}

/// The shortest RSA key that is taken; verifiers refuse shorter ones.
pub const RSA_MIN_BITS: usize = 1024;
/// The longest PEM text that is looked at.
const PEM_MAX_OCTETS: usize = 64 * 1024;

/// A private key.
pub struct Key(Pair);

enum Pair {
    Rsa(Box<RsaKeyPair>),
    Ed25519(Ed25519KeyPair),
}

impl Key {
    /// A new key: RSA of 2,048 bits, or Ed25519.
    ///
    /// # Errors
    ///
    /// [`KeyError::Failed`].
    pub fn generate(algorithm: Algorithm) -> Result<Self, KeyError> {
        Ok(Self(match algorithm {
            Algorithm::Rsa => Pair::Rsa(Box::new(
                RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| KeyError::Failed)?,
            )),
            Algorithm::Ed25519 => {
                Pair::Ed25519(Ed25519KeyPair::generate().map_err(|_| KeyError::Failed)?)
            }
        }))
    }

    /// A key from its PKCS #8 (or, for RSA, PKCS #1) octets.
    ///
    /// # Errors
    ///
    /// [`KeyError::Unreadable`] and [`KeyError::TooShort`].
    pub fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8(der) {
            return Ok(Self(Pair::Ed25519(pair)));
        }
        // OpenSSL writes version 1 of the form, which has no public key.
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
            return Ok(Self(Pair::Ed25519(pair)));
        }
        let pair = RsaKeyPair::from_pkcs8(der).or_else(|_| RsaKeyPair::from_der(der));
        let pair = pair.map_err(|_| KeyError::Unreadable)?;
        let bits = pair.public_modulus_len() * 8;
        if bits < RSA_MIN_BITS {
            return Err(KeyError::TooShort { bits });
        }
        Ok(Self(Pair::Rsa(Box::new(pair))))
    }

    /// A key from a PEM file, as OpenSSL and OpenDKIM write it.
    ///
    /// # Errors
    ///
    /// As [`Self::from_der`].
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        if text.len() > PEM_MAX_OCTETS {
            return Err(KeyError::Unreadable);
        }
        let mut inside = false;
        let mut base64 = Zeroizing::new(String::new());
        for line in text.lines().map(str::trim) {
            if line.starts_with("-----BEGIN ") && line.ends_with("PRIVATE KEY-----") {
                inside = true;
            } else if inside && line.starts_with("-----END ") {
                break;
            } else if inside {
                base64.push_str(line);
            }
        }
        let der = BASE64_STANDARD.decode(base64.as_bytes()).map_err(|_| KeyError::Unreadable)?;
        Self::from_der(&Zeroizing::new(der))
    }

    /// Its octets in PKCS #8, to be kept where nobody else can read them.
    ///
    /// # Errors
    ///
    /// [`KeyError::Failed`].
    pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let octets = match &self.0 {
            Pair::Rsa(pair) => AsDer::<Pkcs8V1Der<'_>>::as_der(&**pair)
                .map_err(|_| KeyError::Failed)?
                .as_ref()
                .to_vec(),
            Pair::Ed25519(pair) => pair.to_pkcs8().map_err(|_| KeyError::Failed)?.as_ref().to_vec(),
        };
        Ok(Zeroizing::new(octets))
    }

    /// How it signs.
    pub fn algorithm(&self) -> Algorithm {
        match &self.0 {
            Pair::Rsa(_) => Algorithm::Rsa,
            Pair::Ed25519(_) => Algorithm::Ed25519,
        }
    }

    /// The public key as `p=` of its record has it: a SubjectPublicKeyInfo for RSA
    /// (RFC 6376 section 3.6.1), the bare octets for Ed25519 (RFC 8463 section 4).
    ///
    /// # Errors
    ///
    /// [`KeyError::Failed`].
    pub fn public(&self) -> Result<Vec<u8>, KeyError> {
        match &self.0 {
            Pair::Rsa(pair) => {
                let der = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key());
                Ok(der.map_err(|_| KeyError::Failed)?.as_ref().to_vec())
            }
            Pair::Ed25519(pair) => Ok(pair.public_key().as_ref().to_vec()),
        }
    }

    /// Signs `input`, the canonical fields of a message. Takes about a millisecond of a core
    /// for RSA: not for a thread that serves connections.
    ///
    /// # Errors
    ///
    /// [`KeyError::Failed`].
    pub(crate) fn sign(&self, input: &[u8]) -> Result<Vec<u8>, KeyError> {
        match &self.0 {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), input, &mut signature)
                    .map_err(|_| KeyError::Failed)?;
                Ok(signature)
            }
            // RFC 8463 section 3: what is signed is the hash.
            Pair::Ed25519(pair) => {
                let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, input);
                let signature = pair.try_sign(hash.as_ref()).map_err(|_| KeyError::Failed)?;
                Ok(signature.as_ref().to_vec())
            }
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.algorithm())
    }
}

impl Algorithm {
    /// The word of `a=`.
    pub fn signature_word(self) -> &'static str {
        match self {
            Self::Rsa => "rsa-sha256",
            Self::Ed25519 => "ed25519-sha256",
        }
    }

    /// The word of `k=` in a key's record.
    pub fn key_word(self) -> &'static str {
        match self {
            Self::Rsa => "rsa",
            Self::Ed25519 => "ed25519",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key_word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_same_after_it_was_kept() {
        for algorithm in [Algorithm::Rsa, Algorithm::Ed25519] {
            let key = Key::generate(algorithm).unwrap();
            let again = Key::from_der(&key.to_pkcs8().unwrap()).unwrap();
            assert_eq!(again.algorithm(), algorithm);
            assert_eq!(again.public().unwrap(), key.public().unwrap());
            assert_eq!(again.sign(b"x").unwrap(), key.sign(b"x").unwrap());
        }
    }

    #[test]
    fn a_pem_file_is_read_and_anything_else_refused() {
        let key = Key::generate(Algorithm::Ed25519).unwrap();
        let pem = format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            BASE64_STANDARD.encode(&*key.to_pkcs8().unwrap())
        );
        assert_eq!(Key::from_pem(&pem).unwrap().public().unwrap(), key.public().unwrap());
        for bad in ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n", "-----BEGIN CERTIFICATE-----"] {
            assert_eq!(Key::from_pem(bad).unwrap_err(), KeyError::Unreadable, "{bad}");
        }
    }

    #[test]
    fn a_key_shows_nothing_of_itself() {
        assert_eq!(format!("{:?}", Key::generate(Algorithm::Ed25519).unwrap()), "Key(ed25519)");
    }
}
