//! People whom other directories keep.

use std::time::Duration;

use mail::Domain;

use crate::located::Located;
use crate::secret::Secret;

/// `directory NAME { }`
#[derive(Debug, Clone, PartialEq)]
pub struct LdapDirectory {
    /// Its name.
    pub name: Located<String>,
    /// Where it is, and how the connection is protected.
    pub server: Located<ldap::Server>,
    /// The domains whose people it knows; never none.
    pub domains: Located<Vec<Domain>>,
    /// The entry below which people are looked for.
    pub base: Located<String>,
    /// How a person is found by an address.
    pub filter: Located<ldap::Filter>,
    /// The attribute with the person's own address.
    pub address_attribute: Located<String>,
    /// As whom people are looked for, and where the password for that is kept.
    pub bind: Option<(Located<String>, Located<Secret>)>,
    /// How long one question may take.
    pub timeout: Located<Duration>,
    /// How long an answer is believed.
    pub cache: Located<Duration>,
}
