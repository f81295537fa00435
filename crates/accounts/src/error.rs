//! What can go wrong with domains, accounts and passwords.

use mail::{Address, Domain};
use store::StoreError;

use crate::directory::{MEMBERS_MAX, PATTERNS_MAX};
use crate::password::{APP_PASSWORDS_MAX, PASSWORD_MAX_OCTETS};

/// Why something about a domain, an account or a password was not done.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The domain is not one of ours.
    #[error("{0} is not a domain of this server; add it first")]
    NotOurs(Domain),
    /// The domain is one of ours already.
    #[error("{0} is a domain of this server already")]
    DomainExists(Domain),
    /// The domain is ours because the configuration names it.
    #[error("{0} is named in the configuration; take it out there")]
    DomainConfigured(Domain),
    /// The domain still has accounts or aliases.
    #[error("{domain} still has {entries} accounts and aliases; remove them first")]
    DomainInUse {
        /// The domain.
        domain: Domain,
        /// How many it has.
        entries: usize,
    },
    /// There is an account or alias of that address.
    #[error("there already is an account or alias {0}")]
    Exists(Address),
    /// There is no account or alias of that address.
    #[error("there is no account or alias {0}")]
    NoAccount(Address),
    /// The address names an alias where an account is needed.
    #[error("{0} is an alias, not an account")]
    IsAlias(Address),
    /// The address names a group where an account is needed.
    #[error("{0} is a group, not an account")]
    IsGroup(Address),
    /// A group has no members, or too many.
    #[error("the group {0} needs 1 to {MEMBERS_MAX} members")]
    Members(Address),
    /// A domain has as many aliases with `*` as it can.
    #[error("{0} has {PATTERNS_MAX} aliases with * already")]
    Patterns(Domain),
    /// An alias would lead back to itself, or over too many others.
    #[error("the alias {0} would lead back to itself or over too many aliases")]
    AliasLoop(Address),
    /// A mailbox at an address literal cannot be ours.
    #[error("{0} is an address literal, not a domain")]
    Literal(Domain),
    /// A new password is too short.
    #[error("a password needs at least {0} characters")]
    PasswordShort(usize),
    /// A password is longer than is read.
    #[error("a password has at most {PASSWORD_MAX_OCTETS} octets")]
    PasswordLong,
    /// A password holds control characters, or nothing.
    #[error("a password is empty or holds control characters")]
    PasswordCharacters,
    /// A new password is the address, or its first part, once or repeated.
    #[error("a password must not be made of the address")]
    PasswordIsAddress,
    /// A new password is one that many have, or that was stolen somewhere.
    #[error("this password is known from breaches; choose another")]
    PasswordBreached,
    /// A new password was the account's before.
    #[error("this password was used before; choose a new one")]
    PasswordReused,
    /// The list of breached passwords cannot be read.
    #[error("the list of breached passwords cannot be read")]
    BreachedList(#[source] std::io::Error),
    /// An app password cannot be made.
    #[error("an app password cannot be made: {0}")]
    AppPassword(&'static str),
    /// The account has as many app passwords as it can.
    #[error("an account can have {APP_PASSWORDS_MAX} app passwords; revoke one first")]
    AppPasswords,
    /// There is no app password of that id.
    #[error("there is no app password {0}")]
    NoAppPassword(String),
    /// A certificate's fingerprint is not one, or another account's.
    #[error("{0}")]
    Certificate(String),
    /// A password hash is not an Argon2id hash within our limits.
    #[error("not a usable Argon2id hash: {0}")]
    Hash(String),
    /// The computation of a hash failed or was cut short.
    #[error("computing a password hash: {0}")]
    Hashing(String),
    /// Too many passwords wait to be checked.
    #[error("too many sign-ins at a time")]
    Busy,
    /// A row of the store is not what this release writes.
    #[error("the stored row of {name} cannot be read")]
    Row {
        /// The account or domain.
        name: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
