//! What the directory keeps, and the form in which the store keeps it.

use mail::{Address, Domain, Timestamp};
use serde::{Deserialize, Serialize};

use crate::AccountError;
use crate::password::{AppPassword, Keys, PasswordHash, ScramHash, ScramRing, Which};

/// Somebody with a mailbox, who may sign in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The address, as it was given when the account was made.
    pub address: Address,
    /// Who it belongs to.
    #[serde(default)]
    pub kind: Kind,
    /// Mail is kept, but nobody signs in and nothing is delivered.
    #[serde(default)]
    pub disabled: bool,
    /// When it was made.
    pub created: Timestamp,
    /// What proves a sign-in. A mechanism that needs another verifier has a field of its own
    /// here, present only where it is enabled.
    #[serde(default)]
    pub credentials: Credentials,
}

/// Who an account belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A person.
    #[default]
    Person,
    /// A device or a program that sends mail.
    Service,
}

/// What proves a sign-in.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Credentials {
    /// The hash of the password. Without it no password is right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<PasswordHash>,
    /// Verifiers of the same password for mechanisms that need another, as far as the
    /// configuration wants them.
    #[serde(default, skip_serializing_if = "is_default")]
    pub keys: Keys,
    /// When the password was last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<Timestamp>,
    /// Hashes of earlier passwords, the newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<PasswordHash>,
    /// Passwords of single programs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub app_passwords: Vec<AppPassword>,
    /// SHA-256 of client certificates that open the account, in small hexadecimal digits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<String>,
    /// A second factor is demanded, which mail protocols cannot ask for: the account's
    /// password alone opens none of them.
    #[serde(default, skip_serializing_if = "is_default")]
    pub second_factor: bool,
}

impl Credentials {
    /// The keys of every password by which a client may prove itself with `hash`, as far as they
    /// share a salt. Behind a second factor the app passwords count, before it the account's.
    pub(crate) fn scram(&self, hash: ScramHash) -> Option<ScramRing> {
        let own = self.keys.scram(hash).map(|keys| (Which::Account, keys.clone()));
        let apps = self.app_passwords.iter().filter_map(|app| {
            app.keys.scram(hash).map(|keys| (Which::App(app.id.clone()), keys.clone()))
        });
        if self.second_factor {
            ScramRing::of(apps.chain(own))
        } else {
            ScramRing::of(own.into_iter().chain(apps))
        }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Another name for an account, or for a mailbox elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alias {
    /// The name.
    pub address: Address,
    /// What it stands for.
    pub target: Address,
    /// When it was made.
    pub created: Timestamp,
}

/// A name for many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// The name.
    pub address: Address,
    /// Who gets its mail: accounts, aliases and other groups of ours, and mailboxes elsewhere.
    pub members: Vec<Address>,
    /// When it was made.
    pub created: Timestamp,
}

/// The row of a domain. Every domain with entries has one, so that they can be found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredDomain {
    pub name: Domain,
    pub created: Timestamp,
    /// Whether it was added here. If not, only the configuration makes it ours.
    pub added: bool,
}

/// An account, an alias or a group: what an address of ours is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "kebab-case")]
#[expect(clippy::large_enum_variant, reason = "most rows are accounts, and none is kept")]
pub enum Entry {
    /// An account.
    Account(Account),
    /// An alias.
    Alias(Alias),
    /// A group.
    Group(Group),
}

impl Entry {
    /// Its address.
    pub fn address(&self) -> &Address {
        match self {
            Self::Account(account) => &account.address,
            Self::Alias(alias) => &alias.address,
            Self::Group(group) => &group.address,
        }
    }

    /// The key of its local part within its domain.
    pub(super) fn key(&self) -> String {
        key_of(self.address())
    }

    pub(super) fn to_json(&self) -> Result<Vec<u8>, AccountError> {
        write(&self.address().to_string(), self)
    }

    pub(super) fn from_json(name: &str, json: &[u8]) -> Result<Self, AccountError> {
        read(name, json)
    }
}

impl StoredDomain {
    pub(super) fn to_json(&self) -> Result<Vec<u8>, AccountError> {
        write(self.name.as_str(), self)
    }

    pub(super) fn from_json(name: &str, json: &[u8]) -> Result<Self, AccountError> {
        read(name, json)
    }
}

/// The key of a local part within its domain: in lower case, since our own domains do not
/// tell mailboxes apart by case (RFC 5321 section 2.4).
pub(super) fn key_of(address: &Address) -> String {
    address.local().to_lowercase()
}

fn write<T: Serialize>(name: &str, row: &T) -> Result<Vec<u8>, AccountError> {
    serde_json::to_vec(row).map_err(|source| AccountError::Row { name: name.to_owned(), source })
}

fn read<'a, T: Deserialize<'a>>(name: &str, json: &'a [u8]) -> Result<T, AccountError> {
    serde_json::from_slice(json)
        .map_err(|source| AccountError::Row { name: name.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_written_by_an_earlier_release_are_read() {
        let json = br#"{"entry":"account","address":"ann@clinic.example","created":5}"#;
        let Entry::Account(ann) = Entry::from_json("ann", json).unwrap() else {
            panic!("not an account")
        };
        assert_eq!((ann.kind, ann.disabled), (Kind::Person, false));
        assert_eq!(ann.credentials, Credentials::default());
        let entry = Entry::Account(ann);
        assert_eq!(Entry::from_json("ann", &entry.to_json().unwrap()).unwrap(), entry);
        assert!(matches!(Entry::from_json("ann", b"{}"), Err(AccountError::Row { .. })));
    }
}
