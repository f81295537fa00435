//! What is vouched for, and how.

use std::time::Duration;

use mail::Domain;

use crate::located::Located;

/// `signing { }`
#[derive(Debug, Clone, PartialEq)]
pub struct Signing {
    /// Whose mail is signed; empty by default.
    pub table: signing::Table,
    /// How long a new key is published before it signs.
    pub publish_first: Located<Duration>,
}

/// `srs { }`
#[derive(Debug, Clone, PartialEq)]
pub struct Srs {
    /// The domain of rewritten senders.
    pub domain: Located<Domain>,
    /// How long they are good for bounces.
    pub lifetime: Located<Duration>,
}
