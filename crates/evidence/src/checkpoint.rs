//! Signatures that fix the chain at a point.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{self, ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail::Timestamp;
use serde::{Deserialize, Serialize};

use crate::chain::{from_hex, to_array, to_hex};
use crate::{Digest, EvidenceError};

/// What a signature of a checkpoint begins with, so that it means nothing else.
const CHECKPOINT_DOMAIN: &[u8] = b"mailkeep evidence checkpoint v1\n";
const PUBLIC_KEY_OCTETS: usize = 32;
const SIGNATURE_OCTETS: usize = 64;
const KEY_ID_OCTETS: usize = 8;
/// Key id, number of the checkpoint before, signature.
const BLOB_OCTETS: usize = KEY_ID_OCTETS + 8 + SIGNATURE_OCTETS;

/// The private half of the operator's key (Ed25519, RFC 8032). The caller keeps it.
pub struct Signer {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl Signer {
    /// A new key, and its secret form (PKCS #8) to keep.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::SigningKey`] when the system gives no randomness.
    pub fn generate() -> Result<(Self, Vec<u8>), EvidenceError> {
        let rng = aws_lc_rs::rand::SystemRandom::new();
        let secret = Ed25519KeyPair::generate_pkcs8(&rng).map_err(|_| EvidenceError::SigningKey)?;
        let secret = secret.as_ref().to_vec();
        Ok((Self::from_secret(&secret)?, secret))
    }

    /// The key kept as `secret`.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::SigningKey`] when it is not one.
    pub fn from_secret(secret: &[u8]) -> Result<Self, EvidenceError> {
        let pair = Ed25519KeyPair::from_pkcs8(secret).map_err(|_| EvidenceError::SigningKey)?;
        let public = PublicKey(to_array(pair.public_key().as_ref()));
        Ok(Self { pair, public })
    }

    /// The public half, to give to whoever verifies.
    pub fn public_key(&self) -> PublicKey {
        self.public
    }

    /// Signs the chain up to the entry `seq` with the hash `hash`, at `at`; `previous` is
    /// the entry of the checkpoint before, 0 if there is none.
    pub fn checkpoint(&self, previous: u64, seq: u64, hash: Digest, at: Timestamp) -> Checkpoint {
        let signature = self.sign(&checkpoint_message(previous, seq, hash, at));
        Checkpoint { seq, hash, at, previous, key: self.public.id(), signature }
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Signature {
        Signature(to_array(self.pair.sign(message).as_ref()))
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.public.id())
    }
}

/// The public half of the operator's key: one line of base 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; PUBLIC_KEY_OCTETS]);

impl PublicKey {
    /// Its short name.
    pub fn id(&self) -> KeyId {
        KeyId(to_array(Digest::of(&self.0).as_bytes()))
    }

    pub(crate) fn verifies(&self, message: &[u8], signature: &Signature) -> bool {
        UnparsedPublicKey::new(&ED25519 as &dyn signature::VerificationAlgorithm, &self.0)
            .verify(message, &signature.0)
            .is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl FromStr for PublicKey {
    type Err = EvidenceError;
    fn from_str(text: &str) -> Result<Self, EvidenceError> {
        let octets = STANDARD.decode(text.trim()).map_err(|_| EvidenceError::PublicKey)?;
        octets.try_into().map(Self).map_err(|_| EvidenceError::PublicKey)
    }
}

/// The short name of a key: the first eight octets of its SHA-256, in hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId([u8; KEY_ID_OCTETS]);

impl TryFrom<String> for KeyId {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, &'static str> {
        from_hex(&text).map(Self).ok_or("16 lower-case hexadecimal digits are expected")
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        to_hex(&self.0, f)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An Ed25519 signature, shown in base 64.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Signature([u8; SIGNATURE_OCTETS]);

impl TryFrom<String> for Signature {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, &'static str> {
        let wrong = "88 characters of base 64 are expected";
        STANDARD.decode(&text).map_err(|_| wrong)?.try_into().map(Self).map_err(|_| wrong)
    }
}

impl From<Signature> for String {
    fn from(signature: Signature) -> Self {
        STANDARD.encode(signature.0)
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

/// A signed statement that the chain had this hash after this entry. Each names the
/// checkpoint before it, so that none can be left out unseen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// The last entry it covers.
    pub seq: u64,
    /// That entry's hash.
    pub hash: Digest,
    /// When it was signed.
    pub at: Timestamp,
    /// The entry of the checkpoint before it; 0 for the first.
    pub previous: u64,
    /// The key that signed.
    pub key: KeyId,
    /// Over `mailkeep evidence checkpoint v1`, LF, then seq, hash, time and the previous
    /// checkpoint's seq, numbers as 8 octets, big-endian.
    pub signature: Signature,
}

impl Checkpoint {
    /// Whether `key` signed it.
    pub fn is_signed_by(&self, key: &PublicKey) -> bool {
        let message = checkpoint_message(self.previous, self.seq, self.hash, self.at);
        self.key == key.id() && key.verifies(&message, &self.signature)
    }

    /// The part that the store keeps beside seq, hash and time.
    pub fn to_blob(&self) -> Vec<u8> {
        [&self.key.0[..], &self.previous.to_be_bytes(), &self.signature.0].concat()
    }

    /// The checkpoint kept with `blob`.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::Checkpoint`] when the blob is not one.
    pub fn from_blob(
        seq: u64,
        hash: Digest,
        at: Timestamp,
        blob: &[u8],
    ) -> Result<Self, EvidenceError> {
        if blob.len() != BLOB_OCTETS {
            return Err(EvidenceError::Checkpoint { seq });
        }
        let (key, rest) = blob.split_at(KEY_ID_OCTETS);
        let (previous, signature) = rest.split_at(8);
        Ok(Self {
            seq,
            hash,
            at,
            previous: u64::from_be_bytes(to_array(previous)),
            key: KeyId(to_array(key)),
            signature: Signature(to_array(signature)),
        })
    }
}

fn checkpoint_message(previous: u64, seq: u64, hash: Digest, at: Timestamp) -> Vec<u8> {
    let mut message = CHECKPOINT_DOMAIN.to_vec();
    message.extend_from_slice(&seq.to_be_bytes());
    message.extend_from_slice(hash.as_bytes());
    message.extend_from_slice(&at.0.to_be_bytes());
    message.extend_from_slice(&previous.to_be_bytes());
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_bound_to_all_it_says_and_to_its_key() {
        let (signer, secret) = Signer::generate().unwrap();
        let (other, _) = Signer::generate().unwrap();
        let key = Signer::from_secret(&secret).unwrap().public_key();
        assert_eq!(key, signer.public_key());
        let good = signer.checkpoint(3, 9, Digest::of(b"x"), Timestamp(5));
        assert!(good.is_signed_by(&key));
        assert!(!good.is_signed_by(&other.public_key()));
        for bad in [
            Checkpoint { seq: 8, ..good.clone() },
            Checkpoint { previous: 2, ..good.clone() },
            Checkpoint { hash: Digest::of(b"y"), ..good.clone() },
            Checkpoint { at: Timestamp(6), ..good.clone() },
        ] {
            assert!(!bad.is_signed_by(&key));
        }
        let kept = Checkpoint::from_blob(9, good.hash, good.at, &good.to_blob()).unwrap();
        assert_eq!(kept, good);
        assert!(Checkpoint::from_blob(9, good.hash, good.at, b"short").is_err());
    }

    #[test]
    fn a_public_key_is_one_line_of_text() {
        let (signer, _) = Signer::generate().unwrap();
        let text = format!("{}\n", signer.public_key());
        assert_eq!(text.parse::<PublicKey>().unwrap(), signer.public_key());
        assert!("AAAA".parse::<PublicKey>().is_err());
    }
}
