//! What is missing where a demand is not met, and whether waiting may help.

use std::fmt;

use mail::Status;
use serde::{Deserialize, Serialize};

use crate::algorithm::Suite;
use crate::observed::{Anchor, Distrust, Failure, FailureKind, Plaintext};
use crate::requirement::Proofs;
use crate::version::{Version, Versions};

/// What is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shortfall {
    /// Encryption is demanded and the connection is in the clear.
    InClear(Plaintext),
    /// Encryption is demanded and TLS failed.
    Failed(Failure),
    /// The session has a version that was not allowed.
    Version {
        /// What was negotiated.
        found: Version,
        /// What was allowed.
        allowed: Versions,
    },
    /// The session has a cipher suite that was not allowed.
    Suite {
        /// What was negotiated.
        found: Suite,
    },
    /// The peer did not prove who it is.
    Unproven {
        /// The proofs of which one was missing.
        wanted: Proofs,
        /// What is wrong with its certificate, where web PKI was looked at and failed.
        reason: Option<Distrust>,
    },
    /// The certificate is good for a name that is not known well enough.
    Anchor {
        /// How the name was known.
        found: Anchor,
        /// How well it must be known.
        wanted: Anchor,
    },
}

impl Shortfall {
    /// Whether waiting may help. If not, and every host of the recipient says the
    /// same, the sender is told at once.
    ///
    /// A certificate that proves nothing waits: it may be renewed, and an attacker
    /// on the way must not be able to make mail bounce.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::InClear(Plaintext::Refused { code, .. }) => *code < 500,
            Self::InClear(Plaintext::AfterFailure(failure)) | Self::Failed(failure) => {
                failure.may_pass()
            }
            Self::InClear(Plaintext::NotOffered | Plaintext::NotTried)
            | Self::Version { .. }
            | Self::Suite { .. }
            | Self::Anchor { .. } => false,
            Self::Unproven { .. } => true,
        }
    }

    /// The enhanced status: x.7.10 where encryption is missing, x.7.5 where it failed,
    /// 4.4.3 for DNS (RFC 3463, RFC 5248).
    pub fn status(&self) -> Status {
        let class = if self.may_pass() { 4 } else { 5 };
        match self {
            Self::Failed(failure) | Self::InClear(Plaintext::AfterFailure(failure)) => {
                match failure.kind {
                    FailureKind::Dns => Status::new(4, 4, 3),
                    FailureKind::NoCommonGround | FailureKind::Impossible => {
                        Status::new(class, 7, 10)
                    }
                    FailureKind::Handshake
                    | FailureKind::Signature
                    | FailureKind::ClientCertificate
                    | FailureKind::Closed
                    | FailureKind::Timeout
                    | FailureKind::Injected => Status::new(class, 7, 5),
                }
            }
            Self::InClear(_) | Self::Version { .. } | Self::Suite { .. } => {
                Status::new(class, 7, 10)
            }
            Self::Unproven { .. } | Self::Anchor { .. } => Status::new(class, 7, 5),
        }
    }
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InClear(why) => write!(f, "{why}"),
            Self::Failed(failure) => write!(f, "{failure}"),
            Self::Version { found, allowed } => {
                write!(f, "the connection uses {found} and only {allowed} is allowed")
            }
            Self::Suite { found } => {
                write!(f, "the connection uses {found}, which is not allowed")
            }
            Self::Unproven { wanted: _, reason: Some(reason) } => {
                write!(f, "the certificate of the peer proves nothing: {reason}")
            }
            Self::Unproven { wanted, reason: None } => {
                write!(f, "the peer gave no proof of who it is by {wanted}")
            }
            Self::Anchor { found, wanted } => {
                write!(f, "the certificate is for {found}, where {wanted} is demanded")
            }
        }
    }
}
