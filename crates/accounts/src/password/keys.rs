//! Verifiers of mechanisms in which the password itself never travels.
//!
//! Each is as good as a password for its own mechanism to whoever steals it (the keys of SCRAM
//! are not: RFC 5802 section 9), so each is made only where the configuration names it.

use std::fmt;

use aws_lc_rs::{digest, hmac, pbkdf2};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::{APP_PASSWORDS_MAX, Password};
use crate::sasl::md5;

/// Iterations of PBKDF2 for new keys; RFC 7677 section 4 asks for 4,096 at least.
pub const SCRAM_ITERATIONS: u32 = 20_000;
/// The most iterations that a stored row may name; clients refuse more.
pub const SCRAM_ITERATIONS_MAX: u32 = 1_000_000;
/// Octets of a salt.
pub const SCRAM_SALT_OCTETS: usize = 16;
const KEY_OCTETS_MAX: usize = 32;
/// Passwords of one account: its own, and its app passwords.
const RING_MAX: usize = APP_PASSWORDS_MAX + 1;

/// A verifier that is kept beside the Argon2id hash where the configuration wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kept {
    /// Keys for SCRAM-SHA-1 (RFC 5802).
    ScramSha1,
    /// Keys for SCRAM-SHA-256 (RFC 7677).
    ScramSha256,
    /// The HMAC state for CRAM-MD5 (RFC 2195).
    CramMd5,
    /// The digest of user, realm and password for DIGEST-MD5 (RFC 2831).
    DigestMd5,
}

impl Kept {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::ScramSha1, Self::ScramSha256, Self::CramMd5, Self::DigestMd5];

    /// Its mechanism's name, as the configuration writes it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::ScramSha1 => "scram-sha-1",
            Self::ScramSha256 => "scram-sha-256",
            Self::CramMd5 => "cram-md5",
            Self::DigestMd5 => "digest-md5",
        }
    }
}

/// The hash of a SCRAM mechanism.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScramHash {
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
}

impl ScramHash {
    /// Which verifier it needs.
    pub const fn kept(self) -> Kept {
        match self {
            Self::Sha1 => Kept::ScramSha1,
            Self::Sha256 => Kept::ScramSha256,
        }
    }

    /// Octets of a key.
    pub const fn octets(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    pub(crate) fn digest(self, octets: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Self::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &digest::SHA256,
        };
        digest::digest(algorithm, octets).as_ref().to_vec()
    }

    pub(crate) fn hmac(self, key: &[u8], octets: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Self::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => hmac::HMAC_SHA256,
        };
        hmac::sign(&hmac::Key::new(algorithm, key), octets).as_ref().to_vec()
    }
}

/// What a server keeps for SCRAM (RFC 5802 section 3): with it a proof can be checked, and
/// none can be made.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScramKeys {
    /// The salt.
    #[serde(with = "base64_octets")]
    pub salt: Vec<u8>,
    /// Iterations of PBKDF2.
    pub iterations: u32,
    /// `StoredKey`.
    #[serde(with = "base64_octets")]
    pub stored: Vec<u8>,
    /// `ServerKey`.
    #[serde(with = "base64_octets")]
    pub server: Vec<u8>,
}

impl ScramKeys {
    /// The keys of `password` with the salt of its owner. Takes milliseconds: not for an async
    /// thread.
    pub(crate) fn new(hash: ScramHash, password: &Password, owner: &Owner<'_>) -> Option<Self> {
        Self::with(hash, password, owner.salt(hash), SCRAM_ITERATIONS)
    }

    fn with(hash: ScramHash, password: &Password, salt: Vec<u8>, iterations: u32) -> Option<Self> {
        let algorithm = match hash {
            ScramHash::Sha1 => pbkdf2::PBKDF2_HMAC_SHA1,
            ScramHash::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
        };
        let rounds = std::num::NonZeroU32::new(iterations)?;
        let mut salted = Zeroizing::new(vec![0; hash.octets()]);
        let prepared = password.saslprep();
        pbkdf2::derive(algorithm, rounds, &salt, prepared.as_bytes(), &mut salted);
        let client = Zeroizing::new(hash.hmac(&salted, b"Client Key"));
        let stored = hash.digest(&client);
        let server = hash.hmac(&salted, b"Server Key");
        Some(Self { salt, iterations, stored, server })
    }

    /// Keys that fit no password, with the salt that `owner` would have: who asks cannot tell
    /// that there is no such account.
    pub(crate) fn of_nobody(hash: ScramHash, owner: &Owner<'_>) -> Self {
        Self {
            salt: owner.salt(hash),
            iterations: SCRAM_ITERATIONS,
            stored: owner.told("stored", hash, hash.octets()),
            server: owner.told("server", hash, hash.octets()),
        }
    }

    /// Whether a stored row is within our limits.
    pub(crate) fn is_sound(&self, hash: ScramHash) -> bool {
        (1..=SCRAM_ITERATIONS_MAX).contains(&self.iterations)
            && (1..=64).contains(&self.salt.len())
            && self.stored.len() == hash.octets()
            && self.server.len() == hash.octets()
            && hash.octets() <= KEY_OCTETS_MAX
    }

    /// Whether `proof` proves the password over `message` (RFC 5802 section 3).
    pub(crate) fn admits(&self, hash: ScramHash, message: &[u8], proof: &[u8]) -> bool {
        if proof.len() != hash.octets() {
            return false;
        }
        let signature = hash.hmac(&self.stored, message);
        let client: Vec<u8> = signature.iter().zip(proof).map(|(a, b)| a ^ b).collect();
        hash.digest(&client).ct_eq(&self.stored).into()
    }

    /// What proves to the client that the server knows its keys.
    pub(crate) fn signature(&self, hash: ScramHash, message: &[u8]) -> Vec<u8> {
        hash.hmac(&self.server, message)
    }
}

/// Whose keys they are. All SCRAM keys of one owner have one salt for each hash, so that a
/// client can be told it before anybody knows which password it will use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owner<'a> {
    /// The account's address, in any case of letters.
    pub user: &'a str,
    /// A secret of this server: without it nobody can tell salts in advance.
    pub secret: &'a [u8],
}

impl Owner<'_> {
    fn salt(&self, hash: ScramHash) -> Vec<u8> {
        self.told("salt", hash, SCRAM_SALT_OCTETS)
    }

    fn told(&self, what: &str, hash: ScramHash, octets: usize) -> Vec<u8> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.secret);
        let text = format!("{what}\0{}\0{}", hash.kept().word(), self.user.to_lowercase());
        let mut told = hmac::sign(&key, text.as_bytes()).as_ref().to_vec();
        told.truncate(octets);
        told
    }
}

/// Which of an account's passwords.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Which {
    /// Its own.
    Account,
    /// The app password of this id.
    App(String),
}

/// The keys of all passwords that one client may prove, under one salt.
#[derive(Debug)]
pub struct ScramRing {
    /// Never empty; all with the salt and iterations of the first.
    keys: Vec<(Which, ScramKeys)>,
}

impl ScramRing {
    /// The keys that fit no password, for an account that does not exist.
    pub(crate) fn of_nobody(hash: ScramHash, owner: &Owner<'_>) -> Self {
        Self { keys: vec![(Which::Account, ScramKeys::of_nobody(hash, owner))] }
    }

    /// These keys as far as they go with the first. `None` without any.
    pub(crate) fn of(keys: impl IntoIterator<Item = (Which, ScramKeys)>) -> Option<Self> {
        let mut keys: Vec<_> = keys.into_iter().take(RING_MAX).collect();
        let first = keys.first()?.1.clone();
        keys.retain(|(_, key)| key.salt == first.salt && key.iterations == first.iterations);
        Some(Self { keys })
    }

    /// Salt and iterations for the client.
    pub(crate) fn salt(&self) -> Option<(&[u8], u32)> {
        self.keys.first().map(|(_, first)| (first.salt.as_slice(), first.iterations))
    }

    /// Which password `proof` proves over `message`, and what proves to the client that the
    /// server knows its keys. It takes the same time for one key and for as many as can be.
    pub(crate) fn admit(
        &self,
        hash: ScramHash,
        message: &[u8],
        proof: &[u8],
    ) -> Option<(Which, Vec<u8>)> {
        let mut found = None;
        for (which, keys) in self.keys.iter().cycle().take(RING_MAX) {
            if keys.admits(hash, message, proof) {
                found = Some((which, keys));
            }
        }
        found.map(|(which, keys)| (which.clone(), keys.signature(hash, message)))
    }
}

/// What a server keeps for CRAM-MD5: the two states of HMAC-MD5 into which the password has
/// already gone (RFC 2195 section 3).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CramKey(#[serde(with = "base64_octets")] Vec<u8>);

impl CramKey {
    /// The key of `password`.
    pub(crate) fn new(password: &Password) -> Self {
        let octets = password.as_bytes();
        let mut key = Zeroizing::new([0_u8; md5::BLOCK_OCTETS]);
        if octets.len() > md5::BLOCK_OCTETS {
            key[..16].copy_from_slice(&md5::digest(octets));
        } else {
            key[..octets.len()].copy_from_slice(octets);
        }
        let padded = |pad: u8| {
            let block = Zeroizing::new(key.map(|octet| octet ^ pad));
            md5::State::START.after(&block).to_octets()
        };
        Self([padded(0x36), padded(0x5c)].concat())
    }

    /// Whether `digest`, in small hexadecimal digits, answers `challenge`.
    pub(crate) fn admits(&self, challenge: &[u8], digest: &str) -> bool {
        let ([inner, outer], []) = self.0.as_chunks::<16>() else { return false };
        let inner = md5::State::from_octets(inner).finish(1, challenge);
        let whole = md5::State::from_octets(outer).finish(1, &inner);
        md5::hex(&whole).as_bytes().ct_eq(digest.as_bytes()).into()
    }
}

/// What a server keeps for DIGEST-MD5: `H(user:realm:password)` (RFC 2831 section 2.1.2.1).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DigestKey {
    /// The realm it was made for.
    pub realm: String,
    #[serde(with = "base64_octets")]
    digest: Vec<u8>,
}

impl DigestKey {
    /// The key of `user`, as clients must write it, and `password` in `realm`.
    pub(crate) fn new(user: &str, realm: &str, password: &Password) -> Option<Self> {
        let secret = std::str::from_utf8(password.as_bytes()).ok()?;
        let mut octets = Zeroizing::new(latin1_or_utf8(user));
        octets.push(b':');
        octets.extend(latin1_or_utf8(realm));
        octets.push(b':');
        octets.extend(latin1_or_utf8(secret));
        Some(Self { realm: realm.to_owned(), digest: md5::digest(&octets).to_vec() })
    }

    pub(crate) fn octets(&self) -> &[u8] {
        &self.digest
    }
}

/// Text that fits ISO 8859-1 is hashed in it (RFC 2831 section 2.1.2.1).
fn latin1_or_utf8(text: &str) -> Vec<u8> {
    let latin1: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
    latin1.unwrap_or_else(|| text.as_bytes().to_vec())
}

/// Every verifier of one password that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Keys {
    /// For SCRAM-SHA-1 and its -PLUS form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scram_sha_1: Option<ScramKeys>,
    /// For SCRAM-SHA-256 and its -PLUS form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scram_sha_256: Option<ScramKeys>,
    /// For CRAM-MD5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cram_md5: Option<CramKey>,
    /// For DIGEST-MD5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest_md5: Option<DigestKey>,
}

impl Keys {
    /// Those of `kept` for `user` in `realm`. Not for an async thread.
    pub(crate) fn new(kept: &[Kept], password: &Password, owner: &Owner<'_>, realm: &str) -> Self {
        let mut keys = Self::default();
        for kind in kept {
            match kind {
                Kept::ScramSha1 => {
                    keys.scram_sha_1 = ScramKeys::new(ScramHash::Sha1, password, owner);
                }
                Kept::ScramSha256 => {
                    keys.scram_sha_256 = ScramKeys::new(ScramHash::Sha256, password, owner);
                }
                Kept::CramMd5 => keys.cram_md5 = Some(CramKey::new(password)),
                Kept::DigestMd5 => keys.digest_md5 = DigestKey::new(owner.user, realm, password),
            }
        }
        keys
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.are(&[])
    }

    /// Whether it has this one.
    pub fn has(&self, kind: Kept) -> bool {
        match kind {
            Kept::ScramSha1 => self.scram_sha_1.is_some(),
            Kept::ScramSha256 => self.scram_sha_256.is_some(),
            Kept::CramMd5 => self.cram_md5.is_some(),
            Kept::DigestMd5 => self.digest_md5.is_some(),
        }
    }

    /// Whether it has exactly those of `kept`; if not, they are made when the password is
    /// next seen, and those no longer wanted go.
    pub fn are(&self, kept: &[Kept]) -> bool {
        Kept::ALL.into_iter().all(|kind| self.has(kind) == kept.contains(&kind))
    }

    pub(crate) fn scram(&self, hash: ScramHash) -> Option<&ScramKeys> {
        match hash {
            ScramHash::Sha1 => self.scram_sha_1.as_ref(),
            ScramHash::Sha256 => self.scram_sha_256.as_ref(),
        }
        .filter(|keys| keys.is_sound(hash))
    }
}

macro_rules! hidden {
    ($($name:ident)*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(...)"))
            }
        }
    )*};
}
hidden!(ScramKeys CramKey DigestKey);

mod base64_octets {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(octets: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&BASE64_STANDARD.encode(octets))
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Vec<u8>, D::Error> {
        BASE64_STANDARD.decode(String::deserialize(from)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;

    fn owner(user: &str) -> Owner<'_> {
        Owner { user, secret: b"secret" }
    }

    #[test]
    fn a_proof_opens_with_the_password_it_was_made_with() {
        let hash = ScramHash::Sha256;
        let keys = |text: &str| ScramKeys::new(hash, &password(text), &owner("ann")).unwrap();
        let proof = |text: &str| -> Vec<u8> {
            let mut salted = [0; 32];
            let rounds = std::num::NonZeroU32::new(SCRAM_ITERATIONS).unwrap();
            let salt = owner("ann").salt(hash);
            let algorithm = pbkdf2::PBKDF2_HMAC_SHA256;
            pbkdf2::derive(algorithm, rounds, &salt, text.as_bytes(), &mut salted);
            let client = hash.hmac(&salted, b"Client Key");
            let signature = hash.hmac(&hash.digest(&client), b"message");
            client.iter().zip(&signature).map(|(a, b)| a ^ b).collect()
        };
        let mut elsewhere = keys("elsewhere");
        elsewhere.salt = vec![1; SCRAM_SALT_OCTETS];
        let ring = ScramRing::of([
            (Which::Account, keys("own")),
            (Which::App("a1".to_owned()), keys("first")),
            (Which::App("a2".to_owned()), keys("second")),
            (Which::App("a3".to_owned()), elsewhere),
        ])
        .unwrap();
        let which = |text: &str| ring.admit(hash, b"message", &proof(text)).map(|found| found.0);
        assert_eq!(which("own"), Some(Which::Account));
        assert_eq!(which("second"), Some(Which::App("a2".to_owned())));
        assert_eq!(which("third"), None);
        assert_eq!(which("elsewhere"), None, "another salt than the client was told");
        assert!(ScramRing::of([]).is_none());
    }

    fn password(text: &str) -> Password {
        Password::prepare(text).unwrap()
    }

    /// The keys of the example of RFC 5802 section 5 or RFC 7677 section 3: "pencil".
    pub(crate) fn pencil(hash: ScramHash) -> ScramKeys {
        let salt = match hash {
            ScramHash::Sha1 => "QSXCR+Q6sek8bf92",
            ScramHash::Sha256 => "W22ZaJ0SNY7soEsUEjb6gQ==",
        };
        let salt = BASE64_STANDARD.decode(salt).unwrap();
        ScramKeys::with(hash, &password("pencil"), salt, 4096).unwrap()
    }

    #[test]
    fn the_example_of_rfc_2195_comes_out() {
        let key = CramKey::new(&password("tanstaaftanstaaf"));
        let challenge = b"<1896.697170952@postoffice.reston.mci.net>";
        assert!(key.admits(challenge, "b913a602c7eda7a495b4e6e7334d3890"));
        assert!(!key.admits(challenge, "b913a602c7eda7a495b4e6e7334d3891"));
        assert!(!key.admits(challenge, ""));
    }

    #[test]
    fn a_key_longer_than_a_block_is_hashed_first() {
        // RFC 2202 section 2, test 6, with a password of the same length in letters.
        let key = CramKey::new(&password(&"a".repeat(80)));
        let again = CramKey::new(&password(&"a".repeat(81)));
        assert_ne!(key, again);
    }

    #[test]
    fn keys_of_nobody_are_stable_and_their_own() {
        let keys = |user: &str| ScramKeys::of_nobody(ScramHash::Sha256, &owner(user));
        assert_eq!(keys("Ann@clinic.example"), keys("ann@clinic.example"));
        assert_ne!(keys("ann@clinic.example").salt, keys("bob@clinic.example").salt);
        let other = Owner { user: "ann@clinic.example", secret: b"other" };
        assert_ne!(
            ScramKeys::of_nobody(ScramHash::Sha256, &other).salt,
            keys("ann@clinic.example").salt
        );
        assert!(keys("ann").is_sound(ScramHash::Sha256));
        assert!(ScramKeys::of_nobody(ScramHash::Sha1, &owner("ann")).is_sound(ScramHash::Sha1));
        let real = ScramKeys::new(ScramHash::Sha256, &password("open"), &owner("ann")).unwrap();
        assert_eq!(real.salt, keys("ann").salt, "nobody looks like somebody");
    }

    #[test]
    fn only_what_is_wanted_is_made_and_it_reads_back() {
        let kept = [Kept::ScramSha256, Kept::DigestMd5];
        let owner = owner("ann@clinic.example");
        let keys = Keys::new(&kept, &password("open sesame"), &owner, "mail.example");
        assert!(keys.are(&kept) && !keys.are(&[Kept::ScramSha256]));
        assert!(keys.cram_md5.is_none() && keys.scram_sha_1.is_none());
        let json = serde_json::to_string(&keys).unwrap();
        assert!(!json.contains("open sesame"), "{json}");
        assert_eq!(serde_json::from_str::<Keys>(&json).unwrap(), keys);
        assert!(!format!("{keys:?}").contains("salt"), "{keys:?}");
    }
}
