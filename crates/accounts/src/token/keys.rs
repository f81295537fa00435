//! The keys that an identity provider publishes, kept for a while.

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
};
use mail::Timestamp;
use serde::Deserialize;
use tokio::io::AsyncReadExt as _;
use tokio::sync::Mutex;

use super::{TokenRefusal, decode};

/// Octets of one set of keys.
pub const KEYS_MAX_OCTETS: usize = 256 * 1024;
/// Keys of one set that are kept.
const KEYS_MAX: usize = 64;
/// A set is read again after this time.
const FRESH: Duration = Duration::from_secs(5 * 60);
/// The least time between two readings, however many tokens name unknown keys.
const PAUSE: Duration = Duration::from_secs(5);
/// While the provider cannot be reached, its last keys serve this long.
const STALE: Duration = Duration::from_secs(24 * 60 * 60);
/// How long one reading may take.
const FETCH_MAX: Duration = Duration::from_secs(10);

/// One reading under way.
pub type Fetching<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>, String>> + Send + 'a>>;

/// Where a set of keys comes from: a file, or a web server.
pub trait KeySource: fmt::Debug + Send + Sync {
    /// Reads the set (RFC 7517 section 5), at most [`KEYS_MAX_OCTETS`]. An error says why in
    /// words.
    fn fetch(&self) -> Fetching<'_>;
}

/// A set of keys in a file.
#[derive(Debug, Clone)]
pub struct KeysFile(pub PathBuf);

impl KeySource for KeysFile {
    fn fetch(&self) -> Fetching<'_> {
        Box::pin(async {
            let failed = |error: std::io::Error| format!("{}: {error}", self.0.display());
            let file = tokio::fs::File::open(&self.0).await.map_err(failed)?;
            let mut octets = Vec::new();
            let mut bounded = file.take(KEYS_MAX_OCTETS as u64 + 1);
            bounded.read_to_end(&mut octets).await.map_err(failed)?;
            Ok(octets)
        })
    }
}

/// A way to sign that is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    Rs256,
    Es256,
    EdDsa,
}

impl Algorithm {
    pub(super) fn named(alg: &str) -> Option<Self> {
        match alg {
            "RS256" => Some(Self::Rs256),
            "ES256" => Some(Self::Es256),
            "EdDSA" => Some(Self::EdDsa),
            _ => None,
        }
    }
}

/// A published key.
#[derive(Debug)]
struct Key {
    kid: Option<String>,
    material: Material,
}

#[derive(Debug)]
enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
}

impl Material {
    const fn algorithm(&self) -> Algorithm {
        match self {
            Self::Rsa { .. } => Algorithm::Rs256,
            Self::P256(_) => Algorithm::Es256,
            Self::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    fn verifies(&self, signed: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Rsa { n, e } => PublicKeyComponents { n, e }
                .verify(&RSA_PKCS1_2048_8192_SHA256, signed, signature)
                .is_ok(),
            Self::P256(point) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
                .verify(signed, signature)
                .is_ok(),
            Self::Ed25519(point) => {
                UnparsedPublicKey::new(&ED25519, point).verify(signed, signature).is_ok()
            }
        }
    }
}

/// The keys of one provider.
pub(super) struct Keys {
    source: Box<dyn KeySource>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    keys: Vec<Key>,
    read: Option<Timestamp>,
    tried: Option<Timestamp>,
    failure: Option<String>,
}

impl Keys {
    pub(super) fn new(source: Box<dyn KeySource>) -> Self {
        Self { source, kept: Mutex::new(Kept::default()) }
    }

    /// Whether the key named `kid` signed.
    pub(super) async fn verify(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
        signed: &[u8],
        signature: &[u8],
        now: Timestamp,
    ) -> Result<(), TokenRefusal> {
        let mut kept = self.kept.lock().await;
        if kept.read.is_none_or(|read| now.since(read) >= FRESH) {
            self.read(&mut kept, now).await;
        }
        if !kept.keys.iter().any(|key| key.fits(kid, algorithm)) {
            self.read(&mut kept, now).await;
        }
        if kept.read.is_none_or(|read| now.since(read) >= STALE) {
            return Err(TokenRefusal::Keys(kept.failure.clone().unwrap_or_default()));
        }
        let mut fitting = kept.keys.iter().filter(|key| key.fits(kid, algorithm)).peekable();
        if fitting.peek().is_none() {
            return Err(TokenRefusal::UnknownKey);
        }
        if fitting.any(|key| key.material.verifies(signed, signature)) {
            Ok(())
        } else {
            Err(TokenRefusal::Signature)
        }
    }

    /// Reads the set, unless that was tried just now. A failure leaves the keys as they are.
    async fn read(&self, kept: &mut Kept, now: Timestamp) {
        if kept.tried.is_some_and(|tried| now.since(tried) < PAUSE) {
            return;
        }
        kept.tried = Some(now);
        let fetched = tokio::time::timeout(FETCH_MAX, self.source.fetch()).await;
        let keys = match fetched {
            Ok(Ok(octets)) => parse(&octets),
            Ok(Err(why)) => Err(why),
            Err(_) => Err("no answer in time".to_owned()),
        };
        match keys {
            Ok(keys) => {
                *kept = Kept { keys, read: Some(now), tried: Some(now), failure: None };
            }
            Err(why) => {
                tracing::warn!(source = ?self.source, why, "the keys for tokens cannot be read");
                kept.failure = Some(why);
            }
        }
    }
}

impl Key {
    /// A token that names a key is held against that one, others against all of the kind.
    fn fits(&self, kid: Option<&str>, algorithm: Algorithm) -> bool {
        self.material.algorithm() == algorithm && (kid.is_none() || self.kid.as_deref() == kid)
    }

    /// `None` for keys of other kinds or purposes, which a set may well have.
    fn read(stored: &StoredKey) -> Option<Self> {
        if stored.purpose.as_deref().is_some_and(|purpose| purpose != "sig") {
            return None;
        }
        let part = |text: &Option<String>| decode(text.as_deref()?).ok();
        let material = match (stored.kty.as_str(), stored.crv.as_deref()) {
            ("RSA", _) => Material::Rsa { n: part(&stored.n)?, e: part(&stored.e)? },
            ("EC", Some("P-256")) => {
                let (x, y) = (part(&stored.x)?, part(&stored.y)?);
                if x.len() != 32 || y.len() != 32 {
                    return None;
                }
                Material::P256([vec![4], x, y].concat())
            }
            ("OKP", Some("Ed25519")) => Material::Ed25519(part(&stored.x)?),
            _ => return None,
        };
        // A key that says what it is for is used for nothing else.
        match stored.alg.as_deref().map(Algorithm::named) {
            None => {}
            Some(named) if named == Some(material.algorithm()) => {}
            Some(_) => return None,
        }
        Some(Self { kid: stored.kid.clone(), material })
    }
}

#[derive(Deserialize)]
struct StoredSet {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct StoredKey {
    kty: String,
    #[serde(default, rename = "use")]
    purpose: Option<String>,
    #[serde(default)]
    alg: Option<String>,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    crv: Option<String>,
    #[serde(default)]
    n: Option<String>,
    #[serde(default)]
    e: Option<String>,
    #[serde(default)]
    x: Option<String>,
    #[serde(default)]
    y: Option<String>,
}

fn parse(octets: &[u8]) -> Result<Vec<Key>, String> {
    if octets.len() > KEYS_MAX_OCTETS {
        return Err(format!("more than {KEYS_MAX_OCTETS} octets of keys"));
    }
    let set: StoredSet = serde_json::from_slice(octets).map_err(|error| error.to_string())?;
    let stored = set.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok());
    Ok(stored.filter_map(|key: StoredKey| Key::read(&key)).take(KEYS_MAX).collect())
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("source", &self.source).finish_non_exhaustive()
    }
}
