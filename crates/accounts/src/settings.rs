//! How one may sign in, as the configuration says.

use std::sync::Arc;

use crate::kerberos::Kerberos;
use crate::password::{Kept, Policy};
use crate::token::Tokens;

/// How one may sign in.
#[derive(Debug, Clone, Default)]
pub struct SignInSettings {
    /// The server's name: the realm of DIGEST-MD5 and the origin of CRAM-MD5's challenges.
    pub realm: String,
    /// The verifiers that are kept beside the Argon2id hash.
    pub kept: Vec<Kept>,
    /// What a new password must be, and how long it holds.
    pub policy: Policy,
    /// Who judges tokens, if any are taken.
    pub tokens: Option<Arc<Tokens>>,
    /// Who judges Kerberos tickets, if any are taken.
    pub kerberos: Option<Kerberos>,
    /// How a client certificate names an account.
    pub certificates: Certificates,
}

/// How a client certificate names an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Certificates {
    /// It does not: EXTERNAL is not offered.
    #[default]
    Off,
    /// By its SHA-256, which the account has.
    Fingerprint,
    /// By its SHA-256, or by the mail address it was issued for, if an authority of the
    /// listener vouches for it.
    Address,
}
