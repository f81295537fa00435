//! Tokens of an identity provider: signed JSON (RFC 7519) whose keys it publishes (RFC 7517).
//!
//! Accepted are RS256, ES256 and EdDSA, and only with a key of that very kind; `none` and
//! every keyed hash are refused whatever the keys say (RFC 8725 section 3.1).

mod keys;

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use mail::Timestamp;
use serde::Deserialize;
use zeroize::Zeroizing;

pub use keys::{Fetching, KEYS_MAX_OCTETS, KeySource, KeysFile};

use keys::{Algorithm, Keys};

/// A token as a client gave it; never shown.
pub struct Token(Zeroizing<String>);

impl Token {
    /// The token in this text.
    pub fn new(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(...)")
    }
}

/// Which tokens open an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSettings {
    /// `iss`, exactly.
    pub issuer: String,
    /// One of these must be in `aud`.
    pub audiences: Vec<String>,
    /// What `scope` (or `scp`) must hold, if anything.
    pub scope: Option<String>,
    /// The claim with the account's address.
    pub claim: String,
}

/// Judges tokens of one identity provider.
#[derive(Debug)]
pub struct Tokens {
    settings: TokenSettings,
    keys: Keys,
}

/// Why a token opens nothing. For the log; the client hears `invalid_token`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefusal {
    /// It is not three parts of base64url with JSON in them.
    #[error("it is not a signed token")]
    Malformed,
    /// Its algorithm is not one of ours.
    #[error("its algorithm {0:?} is not accepted")]
    Algorithm(String),
    /// It has extensions that must be understood.
    #[error("it has critical extensions")]
    Critical,
    /// No key of the provider is the one it names.
    #[error("its key is not among those the provider publishes")]
    UnknownKey,
    /// The signature is wrong.
    #[error("its signature is wrong")]
    Signature,
    /// Another issuer made it.
    #[error("another issuer made it")]
    Issuer,
    /// It is for somebody else.
    #[error("it is meant for another audience")]
    Audience,
    /// Its time is over.
    #[error("its time is over")]
    Expired,
    /// Its time has not come.
    #[error("its time has not come")]
    NotYet,
    /// The scope is missing.
    #[error("it lacks the scope")]
    Scope,
    /// It names no address, or one that is not verified.
    #[error("it names no verified address")]
    Identity,
    /// The keys cannot be had now.
    #[error("the provider's keys cannot be read: {0}")]
    Keys(String),
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    crit: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Claims {
    #[serde(default)]
    iss: Option<String>,
    #[serde(default)]
    aud: Option<Many>,
    #[serde(default)]
    exp: Option<f64>,
    #[serde(default)]
    nbf: Option<f64>,
    #[serde(default)]
    scope: Option<Many>,
    #[serde(default)]
    scp: Option<Many>,
    #[serde(default)]
    email_verified: Option<bool>,
    #[serde(flatten)]
    others: serde_json::Map<String, serde_json::Value>,
}

/// One text or a list of them.
#[derive(Deserialize)]
#[serde(untagged)]
enum Many {
    One(String),
    List(Vec<String>),
}

impl Many {
    fn has(&self, wanted: &str) -> bool {
        match self {
            Self::One(one) => one == wanted,
            Self::List(list) => list.iter().any(|one| one == wanted),
        }
    }

    fn has_word(&self, wanted: &str) -> bool {
        match self {
            Self::One(words) => words.split(' ').any(|word| word == wanted),
            Self::List(list) => list.iter().any(|one| one == wanted),
        }
    }
}

impl Tokens {
    /// A judge whose keys come from `source`.
    pub fn new(settings: TokenSettings, source: Box<dyn KeySource>) -> Self {
        Self { settings, keys: Keys::new(source) }
    }

    /// What it was made with.
    pub fn settings(&self) -> &TokenSettings {
        &self.settings
    }

    /// The address that `token` proves at `now`.
    ///
    /// # Errors
    ///
    /// [`TokenRefusal::Keys`] may pass; all others are final.
    pub async fn judge(&self, token: &Token, now: Timestamp) -> Result<String, TokenRefusal> {
        let text = token.expose();
        let mut parts = text.split('.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenRefusal::Malformed);
        };
        let signed = &text[..header.len() + 1 + claims.len()];
        let header: Header = json(header)?;
        let algorithm = Algorithm::named(&header.alg).ok_or(TokenRefusal::Algorithm(header.alg))?;
        if header.crit.is_some() {
            return Err(TokenRefusal::Critical);
        }
        let signature = decode(signature)?;
        let kid = header.kid.as_deref();
        self.keys.verify(kid, algorithm, signed.as_bytes(), &signature, now).await?;
        self.identity(&json(claims)?, now)
    }

    fn identity(&self, claims: &Claims, now: Timestamp) -> Result<String, TokenRefusal> {
        let settings = &self.settings;
        if claims.iss.as_deref() != Some(&settings.issuer) {
            return Err(TokenRefusal::Issuer);
        }
        let audience = claims.aud.as_ref();
        if !audience.is_some_and(|aud| settings.audiences.iter().any(|ours| aud.has(ours))) {
            return Err(TokenRefusal::Audience);
        }
        let now_secs = now.0 as f64 / 1_000.0;
        if !claims.exp.is_some_and(|exp| now_secs < exp + SKEW_SECS) {
            return Err(TokenRefusal::Expired);
        }
        if claims.nbf.is_some_and(|nbf| now_secs + SKEW_SECS < nbf) {
            return Err(TokenRefusal::NotYet);
        }
        if let Some(scope) = &settings.scope {
            let mut scopes = claims.scope.iter().chain(&claims.scp);
            if !scopes.any(|given| given.has_word(scope)) {
                return Err(TokenRefusal::Scope);
            }
        }
        let identity = match settings.claim.as_str() {
            "iss" => claims.iss.as_deref(),
            claim => claims.others.get(claim).and_then(serde_json::Value::as_str),
        };
        match identity {
            Some(address) if settings.claim != "email" || claims.email_verified != Some(false) => {
                Ok(address.to_owned())
            }
            Some(_) | None => Err(TokenRefusal::Identity),
        }
    }
}

fn decode(part: &str) -> Result<Vec<u8>, TokenRefusal> {
    BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenRefusal::Malformed)
}

fn json<T: for<'a> Deserialize<'a>>(part: &str) -> Result<T, TokenRefusal> {
    serde_json::from_slice(&decode(part)?).map_err(|_| TokenRefusal::Malformed)
}

/// How far the clocks of two servers may be apart.
const SKEW_SECS: f64 = 60.0;

#[cfg(test)]
mod tests;
