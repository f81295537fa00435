//! How accounts sign in.

use std::path::PathBuf;
use std::time::Duration;

use mail::Domain;

use crate::located::Located;

/// `sign-in { }`
#[derive(Debug, Clone, PartialEq)]
pub struct SignIn {
    /// What is kept of passwords beside their Argon2id hashes; none twice.
    pub verifiers: Located<Vec<Verifier>>,
    /// The fewest characters of a new password.
    pub password_length: Located<u64>,
    /// A sorted list of SHA-1 hashes of passwords that may not be chosen.
    pub breached_passwords: Option<Located<PathBuf>>,
    /// How many passwords back none may be chosen again.
    pub password_history: Located<u64>,
    /// How long a password holds.
    pub password_expiry: Located<Option<Duration>>,
    /// How a client certificate names an account.
    pub client_certificates: Located<AccountCertificates>,
    /// Which sender addresses must belong to who signed in.
    pub sender_must_match: Located<rules::built_in::SenderMatch>,
    /// The identity provider whose tokens are taken.
    pub tokens: Option<Tokens>,
    /// The Kerberos realm whose tickets are taken.
    pub gssapi: Option<Gssapi>,
}

/// A verifier beside the Argon2id hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verifier {
    /// For SCRAM-SHA-256.
    ScramSha256,
    /// For SCRAM-SHA-1.
    ScramSha1,
    /// For CRAM-MD5.
    CramMd5,
    /// For DIGEST-MD5.
    DigestMd5,
}

impl Verifier {
    /// Every verifier with its word in the configuration.
    pub const WORDS: [(Self, &'static str); 4] = [
        (Self::ScramSha256, "scram-sha-256"),
        (Self::ScramSha1, "scram-sha-1"),
        (Self::CramMd5, "cram-md5"),
        (Self::DigestMd5, "digest-md5"),
    ];

    /// Whether who steals it can sign in with it.
    pub const fn is_as_good_as_a_password(self) -> bool {
        match self {
            Self::ScramSha256 | Self::ScramSha1 => false,
            Self::CramMd5 | Self::DigestMd5 => true,
        }
    }
}

/// How a client certificate names an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountCertificates {
    /// It does not.
    Off,
    /// By its SHA-256.
    Fingerprint,
    /// By its SHA-256, or the mail address it was issued for.
    Address,
}

/// `tokens { }`
#[derive(Debug, Clone, PartialEq)]
pub struct Tokens {
    /// The `iss` of every token.
    pub issuer: Located<String>,
    /// One of these is in the `aud`; never none.
    pub audiences: Located<Vec<String>>,
    /// Where the keys are.
    pub keys: Located<KeysAt>,
    /// What `scope` must hold.
    pub scope: Option<Located<String>>,
    /// The claim with the account's address.
    pub claim: Located<String>,
}

/// `gssapi { }`
#[derive(Debug, Clone, PartialEq)]
pub struct Gssapi {
    /// The realm of those who sign in.
    pub realm: Located<String>,
    /// The principal of this server.
    pub service: String,
    /// The domain of their accounts.
    pub domain: Located<Domain>,
}

/// Where a set of keys is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeysAt {
    /// In a file.
    File(PathBuf),
    /// At an http or https address; http is for this machine alone.
    Web(String),
}
