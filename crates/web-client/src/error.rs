//! What can go wrong.

use std::io;
use std::time::Duration;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The host has no address.
    #[error("{host} has no address: {reason}")]
    NoAddress {
        /// The host.
        host: String,
        /// What the look-up says.
        reason: String,
    },
    /// Connections may only go to this machine, and the host is another one.
    #[error("{host} is not on this machine, and connections may not leave it")]
    NotAllowed {
        /// The host.
        host: String,
    },
    /// No connection.
    #[error("no connection to {host}")]
    Connect {
        /// The host, or the path of the socket.
        host: String,
        /// The last address's error.
        source: io::Error,
    },
    /// The handshake failed.
    #[error("no TLS with {host}: {failure}")]
    Tls {
        /// The host.
        host: String,
        /// What failed.
        failure: tls::Failure,
    },
    /// The certificate is not one to trust.
    #[error("the certificate of {host} is not trusted: {reason}")]
    Untrusted {
        /// The host.
        host: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It took longer than allowed.
    #[error("no answer within {} s", .0.as_secs_f32())]
    Timeout(Duration),
    /// The answer's body is longer than allowed.
    #[error("the answer is longer than {limit} octets")]
    TooLong {
        /// The limit, in octets.
        limit: usize,
    },
    /// A header field of the request cannot be sent.
    #[error("the header field {name} cannot be sent")]
    Field {
        /// Its name.
        name: String,
    },
    /// The request or the answer is not HTTP as it should be.
    #[error("the exchange failed: {0}")]
    Http(#[from] hyper::Error),
}

impl Error {
    /// Whether the same request may succeed later.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::NoAddress { .. }
            | Self::Connect { .. }
            | Self::Tls { .. }
            | Self::Timeout(_)
            | Self::Http(_) => true,
            Self::NotAllowed { .. }
            | Self::Untrusted { .. }
            | Self::TooLong { .. }
            | Self::Field { .. } => false,
        }
    }
}
