//! What can go wrong while a lab is set up.

use std::io;
use std::net::SocketAddr;

/// Why a part of the lab could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The address is not a loopback address. Nothing of the lab may be reached from outside.
    #[error("{0} is not a loopback address")]
    NotLoopback(SocketAddr),
    /// A socket could not be opened.
    #[error("opening {address}")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A certificate could not be made.
    #[error("making a certificate for {name}")]
    Certificate {
        /// The name it was for.
        name: String,
        /// Why.
        #[source]
        source: rcgen::Error,
    },
    /// A TLS configuration was refused by the TLS library.
    #[error("configuring TLS")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A text is not a DNS name.
    #[error("\"{0}\" is not a DNS name")]
    Name(String),
    /// More names than a [`Dns`](crate::Dns) holds.
    #[error("more than {0} names")]
    TooManyNames(usize),
}

impl From<rustls::Error> for LabError {
    fn from(error: rustls::Error) -> Self {
        Self::Tls(error.into())
    }
}

/// Refuses every address beyond loopback.
pub(crate) fn only_loopback(address: SocketAddr) -> Result<SocketAddr, LabError> {
    if address.ip().is_loopback() { Ok(address) } else { Err(LabError::NotLoopback(address)) }
}
