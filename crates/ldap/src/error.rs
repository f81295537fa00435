//! What can go wrong with a directory.

use std::io;
use std::time::Duration;

/// Why a directory gave no answer. None of these says anything about a person.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The host has no address.
    #[error("{host} has no address: {reason}")]
    NoAddress {
        /// The host.
        host: String,
        /// Why.
        reason: String,
    },
    /// Nothing answers there.
    #[error("cannot connect to {host}")]
    Connect {
        /// The host.
        host: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The connection broke.
    #[error("the connection to the directory broke")]
    Io(#[from] io::Error),
    /// The handshake failed.
    #[error("TLS with {host} failed: {failure}")]
    Tls {
        /// The host.
        host: String,
        /// What was seen.
        failure: tls::Failure,
    },
    /// The directory's certificate cannot be trusted.
    #[error("the certificate of {host} cannot be trusted: {reason}")]
    Untrusted {
        /// The host.
        host: String,
        /// Why not.
        reason: String,
    },
    /// The directory took too long.
    #[error("the directory did not answer within {0:?}")]
    Timeout(Duration),
    /// What came is not LDAP, or more than is read.
    #[error("the directory's answer cannot be read: {0}")]
    Malformed(&'static str),
    /// The directory refused what this server itself asked.
    #[error("the directory refused {what}: result {code} {text:?}")]
    Refused {
        /// What was asked.
        what: &'static str,
        /// The result code (RFC 4511 appendix A).
        code: u32,
        /// Its words.
        text: String,
    },
    /// More than one person fits, so none is meant.
    #[error("more than one entry fits")]
    Ambiguous,
}
