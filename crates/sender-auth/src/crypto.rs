//! Public keys of signatures, and whether a signature fits.

use aws_lc_rs::signature::{ED25519, RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY};
use aws_lc_rs::signature::{UnparsedPublicKey, VerificationAlgorithm};

/// The shortest RSA key whose signatures count, in bits (RFC 8301 section 3.2).
pub const RSA_MIN_BITS: usize = 1_024;
/// The longest one, in bits; the work grows with the square.
pub const RSA_MAX_BITS: usize = 8_192;
/// Octets of an Ed25519 key (RFC 8032).
const ED25519_OCTETS: usize = 32;

/// How a signature is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// `rsa-sha256` (RFC 6376).
    RsaSha256,
    /// `ed25519-sha256` (RFC 8463).
    Ed25519Sha256,
}

impl Algorithm {
    /// The word in `a=`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::RsaSha256 => "rsa-sha256",
            Self::Ed25519Sha256 => "ed25519-sha256",
        }
    }

    /// The word in `k=` of its keys.
    pub const fn key_word(self) -> &'static str {
        match self {
            Self::RsaSha256 => "rsa",
            Self::Ed25519Sha256 => "ed25519",
        }
    }
}

/// A public key as DNS has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    algorithm: Algorithm,
    octets: Vec<u8>,
}

/// Why octets are no key that counts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// They are not a key of this kind.
    #[error("the key cannot be read")]
    Unreadable,
    /// It is an RSA key outside of [`RSA_MIN_BITS`] and [`RSA_MAX_BITS`].
    #[error("an RSA key of {0} bits is not accepted")]
    Length(usize),
}

impl PublicKey {
    /// A key of `algorithm`: for RSA a `SubjectPublicKeyInfo` or an `RSAPublicKey`, for
    /// Ed25519 its 32 octets.
    ///
    /// # Errors
    ///
    /// [`KeyError`].
    pub fn new(algorithm: Algorithm, octets: Vec<u8>) -> Result<Self, KeyError> {
        match algorithm {
            Algorithm::RsaSha256 => {
                let bits = rsa_bits(&octets).ok_or(KeyError::Unreadable)?;
                if !(RSA_MIN_BITS..=RSA_MAX_BITS).contains(&bits) {
                    return Err(KeyError::Length(bits));
                }
            }
            Algorithm::Ed25519Sha256 if octets.len() != ED25519_OCTETS => {
                return Err(KeyError::Unreadable);
            }
            Algorithm::Ed25519Sha256 => {}
        }
        Ok(Self { algorithm, octets })
    }

    /// The bits of an RSA key.
    pub fn rsa_bits(&self) -> Option<usize> {
        match self.algorithm {
            Algorithm::RsaSha256 => rsa_bits(&self.octets),
            Algorithm::Ed25519Sha256 => None,
        }
    }

    /// Whether `signature` was made over `data` with the other half of this key.
    pub fn verifies(&self, data: &[u8], signature: &[u8]) -> bool {
        let verify = |algorithm: &'static dyn VerificationAlgorithm, data: &[u8]| {
            UnparsedPublicKey::new(algorithm, &self.octets).verify(data, signature).is_ok()
        };
        match self.algorithm {
            Algorithm::RsaSha256 => verify(&RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, data),
            // RFC 8463 section 3 signs the hash.
            Algorithm::Ed25519Sha256 => verify(&ED25519, crate::canonical::sha256(data).as_ref()),
        }
    }
}

/// The bits of the modulus of an RSA key in DER.
fn rsa_bits(der: &[u8]) -> Option<usize> {
    let (SEQUENCE, inner, _) = element(der)? else { return None };
    let modulus = match element(inner)? {
        (INTEGER, modulus, _) => modulus,
        (SEQUENCE, _, rest) => {
            let (BIT_STRING, bits, _) = element(rest)? else { return None };
            let (SEQUENCE, key, _) = element(bits.strip_prefix(&[0])?)? else { return None };
            let (INTEGER, modulus, _) = element(key)? else { return None };
            modulus
        }
        _ => return None,
    };
    let first = modulus.iter().position(|octet| *octet != 0)?;
    let modulus = &modulus[first..];
    Some(modulus.len() * 8 - modulus[0].leading_zeros() as usize)
}

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;

/// One element of DER: its tag, its content, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81 => (usize::from(*rest.first()?), rest.get(1..)?),
        0x82 => (usize::from(u16::from_be_bytes([*rest.first()?, *rest.get(1)?])), rest.get(2..)?),
        _ => return None,
    };
    Some((tag, rest.get(..length)?, rest.get(length..)?))
}
