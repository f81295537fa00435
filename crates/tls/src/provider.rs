//! Cryptography: which suites and groups are used, and proof that a peer holds its key.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use mail::Timestamp;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{
    CertificateError, DigitallySignedStruct, PeerIncompatible, SignatureScheme,
    SupportedProtocolVersion,
};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use crate::algorithm::Suite;
use crate::error::Error;
use crate::version::{Version, Versions};

static ALL: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| Arc::new(aws_lc_rs::default_provider()));

/// Everything that is supported: hybrid X25519MLKEM768 first, then X25519, P-256 and
/// P-384; TLS 1.3 and the ECDHE AEAD suites of TLS 1.2.
pub(crate) fn all() -> &'static Arc<CryptoProvider> {
    &ALL
}

/// A selection from [`all`].
pub(crate) fn select(
    versions: Versions,
    suites: Option<&BTreeSet<Suite>>,
    hybrid: bool,
) -> Result<Arc<CryptoProvider>, Error> {
    let mut provider = CryptoProvider::clone(all());
    if let Some(suites) = suites {
        provider.cipher_suites.retain(|suite| suites.contains(&Suite(suite.suite().into())));
    }
    if !hybrid {
        provider.kx_groups.retain(|group| !crate::Group(group.name().into()).is_post_quantum());
    }
    let usable = |version: &SupportedProtocolVersion| {
        provider.cipher_suites.iter().any(|suite| suite.version() == version)
    };
    if !protocol_versions(versions).into_iter().any(usable) {
        return Err(Error::NoSuite { versions: versions.to_string() });
    }
    Ok(Arc::new(provider))
}

pub(crate) fn protocol_versions(versions: Versions) -> Vec<&'static SupportedProtocolVersion> {
    versions
        .iter()
        .map(|version| match version {
            Version::Tls12 => &rustls::version::TLS12,
            Version::Tls13 => &rustls::version::TLS13,
        })
        .collect()
}

/// The time as the last caller gave it: the library's own look at the time would be a
/// second clock.
#[derive(Debug, Default)]
pub(crate) struct Clock(AtomicU64);

impl Clock {
    pub(crate) fn set(&self, now: Timestamp) {
        self.0.store(u64::try_from(now.0).unwrap_or(0), Ordering::Relaxed);
    }
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        let since = Duration::from_millis(self.0.load(Ordering::Relaxed));
        Some(UnixTime::since_unix_epoch(since))
    }
}

/// Accepts every certificate and no wrong signature.
///
/// The handshake so proves that the peer holds the key of the certificate it showed.
/// Whether that certificate means anything is found out afterwards, from the chain of
/// that very connection (`trust`), so that the finding cannot belong to another.
#[derive(Debug)]
pub(crate) struct Possession;

impl ServerCertVerifier for Possession {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        all().signature_verification_algorithms.supported_schemes()
    }
}

/// Whether the key of `cert` made the signature of a TLS 1.2 handshake.
pub(crate) fn verify_tls12(
    message: &[u8],
    cert: &CertificateDer<'_>,
    dss: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, rustls::Error> {
    let algorithms = &all().signature_verification_algorithms;
    rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
        .or_else(|error| verify_unusual(error, message, cert, dss))
}

/// Whether the key of `cert` made the signature of a TLS 1.3 handshake.
pub(crate) fn verify_tls13(
    message: &[u8],
    cert: &CertificateDer<'_>,
    dss: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, rustls::Error> {
    let algorithms = &all().signature_verification_algorithms;
    rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
        .or_else(|error| verify_unusual(error, message, cert, dss))
}

/// A second look with a more patient parser, where the certificate was too odd for
/// the first (version 1, say). Never where the first found the signature wrong.
fn verify_unusual(
    error: rustls::Error,
    message: &[u8],
    cert: &CertificateDer<'_>,
    dss: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, rustls::Error> {
    let parse_failed = match &error {
        rustls::Error::InvalidCertificate(found) => !matches!(
            found,
            CertificateError::BadSignature
                | CertificateError::UnsupportedSignatureAlgorithmContext { .. }
                | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. }
        ),
        _ => false,
    };
    let Ok((_, parsed)) = X509Certificate::from_der(cert) else {
        return Err(error);
    };
    if !parse_failed {
        return Err(error);
    }
    let key = parsed.public_key();
    // The identifier without its own tag and length, as the algorithms compare it.
    let Some(key_algorithm) = sequence_content(key.raw).and_then(sequence_content) else {
        return Err(error);
    };
    let known = all().signature_verification_algorithms.mapping;
    // A scheme and a kind of key (with its curve) leave one algorithm.
    let algorithm = known
        .iter()
        .filter(|(scheme, _)| *scheme == dss.scheme)
        .flat_map(|(_, algorithms)| algorithms.iter())
        .find(|algorithm| algorithm.public_key_alg_id().as_ref() == key_algorithm)
        .ok_or(PeerIncompatible::NoSignatureSchemesInCommon)?;
    algorithm
        .verify_signature(key.subject_public_key.data.as_ref(), message, dss.signature())
        .map(|()| HandshakeSignatureValid::assertion())
        .map_err(|_| CertificateError::BadSignature.into())
}

/// The content of the DER SEQUENCE at the start of `der`.
fn sequence_content(der: &[u8]) -> Option<&[u8]> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    if tag != 0x30 {
        return None;
    }
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 => rest.split_first().map(|(&octet, rest)| (usize::from(octet), rest))?,
        0x82 => {
            let (octets, rest) = rest.split_at_checked(2)?;
            (usize::from(octets[0]) << 8 | usize::from(octets[1]), rest)
        }
        _ => return None,
    };
    rest.get(..length)
}
