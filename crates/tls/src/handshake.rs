//! The facts of a handshake, taken from the connection itself.

use std::io;

use rustls::{AlertDescription, CertificateError, CommonState, HandshakeKind, ProtocolVersion};

use crate::algorithm::{Group, Suite};
use crate::observed::{CHAIN_MAX, Certificate, Failure, FailureKind, Handshake, Verification};
use crate::version::Version;

/// What the connection negotiated and showed.
///
/// Fails only on a connection whose handshake is not complete, or of a version that
/// was never offered.
pub(crate) fn facts(
    connection: &CommonState,
    sni: Option<String>,
    verification: Verification,
) -> Result<Handshake, Failure> {
    let unfinished = || Failure::new(FailureKind::Handshake, "the handshake is not complete");
    let version = match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => Version::Tls12,
        Some(ProtocolVersion::TLSv1_3) => Version::Tls13,
        _ => return Err(unfinished()),
    };
    let suite = connection.negotiated_cipher_suite().ok_or_else(unfinished)?;
    let chain = connection.peer_certificates().unwrap_or_default();
    Ok(Handshake {
        version,
        suite: Suite(suite.suite().into()),
        group: connection.negotiated_key_exchange_group().map(|group| Group(group.name().into())),
        sni,
        alpn: connection.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned()),
        resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
        peer_chain: chain.iter().take(CHAIN_MAX).map(|der| Certificate::of_peer(der)).collect(),
        verification,
        own_certificate: None,
    })
}

impl Failure {
    /// What an error of a TLS stream means. With TLS 1.3 a server that dislikes the
    /// client's certificate says so only after the client's handshake is complete, so
    /// that the first read may bring such an error too.
    pub fn from_io(error: &io::Error) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match inner {
            Some(tls) => Self::new(kind(tls), tls),
            None => match error.kind() {
                io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe => Self::new(FailureKind::Closed, ""),
                io::ErrorKind::TimedOut => Self::new(FailureKind::Timeout, ""),
                _ => Self::new(FailureKind::Handshake, error),
            },
        }
    }
}

fn kind(error: &rustls::Error) -> FailureKind {
    match error {
        rustls::Error::PeerIncompatible(_) => FailureKind::NoCommonGround,
        rustls::Error::AlertReceived(alert) => match alert {
            AlertDescription::ProtocolVersion
            | AlertDescription::InsufficientSecurity
            | AlertDescription::InappropriateFallback => FailureKind::NoCommonGround,
            AlertDescription::CertificateRequired
            | AlertDescription::NoCertificate
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied => FailureKind::ClientCertificate,
            _ => FailureKind::Handshake,
        },
        rustls::Error::NoCertificatesPresented => FailureKind::ClientCertificate,
        rustls::Error::InvalidCertificate(CertificateError::BadSignature) => FailureKind::Signature,
        _ => FailureKind::Handshake,
    }
}
