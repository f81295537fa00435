//! What is vouched for, and how.

use std::time::Duration;

use mail::{Address, Domain};

use crate::located::Located;

/// `signing { }`
#[derive(Debug, Clone, PartialEq)]
pub struct Signing {
    /// Whose mail is signed; empty by default.
    pub table: signing::Table,
    /// How long a new key is published before it signs.
    pub publish_first: Located<Duration>,
}

/// `arc-sealing { }`
#[derive(Debug, Clone, PartialEq)]
pub struct ArcSealing {
    /// The recipients' domains that get sealed mail; never none.
    pub partners: Located<Vec<Domain>>,
    /// The domain that seals.
    pub domain: Located<Domain>,
}

/// `dmarc-reports { }`
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DmarcReports {
    /// Where reports about our domains arrive.
    pub receive_at: Option<Located<Address>>,
    /// Whether reports are sent to domains that ask for them.
    pub send: bool,
}

/// `srs { }`
#[derive(Debug, Clone, PartialEq)]
pub struct Srs {
    /// The domain of rewritten senders.
    pub domain: Located<Domain>,
    /// How long they are good for bounces.
    pub lifetime: Located<Duration>,
}
