//! Whether a chain of certificates leads to a trusted authority, for a name.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mail::Timestamp;
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::{
    ParsedCertificate, WebPkiClientVerifier,
    danger::{ClientCertVerified, ClientCertVerifier},
};
use rustls::{CertificateError, RootCertStore};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use crate::certificate;
use crate::error::Error;
use crate::observed::{Certificate, Distrust};
use crate::provider;

/// The authorities that are trusted.
pub struct Roots {
    store: Arc<RootCertStore>,
    clients: Option<Arc<dyn ClientCertVerifier>>,
}

/// Where trusted authorities come from. All that are named are trusted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct RootSources {
    /// Mozilla's list, built into the program.
    pub built_in: bool,
    /// The operating system's list (`SSL_CERT_FILE` and `SSL_CERT_DIR` are heard).
    pub system: bool,
    /// PEM files with further authorities.
    pub bundles: Vec<PathBuf>,
    /// Further authorities as PEM texts.
    pub pem: Vec<String>,
}

impl Roots {
    /// Reads and joins the sources. None at all is allowed: then nobody is trusted.
    ///
    /// # Errors
    ///
    /// [`Error`] if a bundle cannot be read or holds no authority. Single damaged
    /// entries of the system's list are passed over with a log line.
    pub fn load(sources: &RootSources) -> Result<Self, Error> {
        let mut store = RootCertStore::empty();
        if sources.built_in {
            store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        if sources.system {
            let found = rustls_native_certs::load_native_certs();
            for error in &found.errors {
                tracing::warn!(%error, "part of the system's list of authorities is unreadable");
            }
            let (added, passed_over) = store.add_parsable_certificates(found.certs);
            if added == 0 {
                return Err(Error::NoRoots { origin: "the system's list".to_owned() });
            }
            tracing::debug!(added, passed_over, "read the system's list of authorities");
        }
        for path in &sources.bundles {
            add(&mut store, &certificate::read(path)?, &path.display().to_string())?;
        }
        for text in &sources.pem {
            add(&mut store, text.as_bytes(), "the given authority")?;
        }
        Self::from_store(store)
    }

    /// Trusts these authorities and no others.
    ///
    /// # Errors
    ///
    /// [`Error`] if a text holds no authority.
    pub fn only(pem: impl IntoIterator<Item = impl Into<String>>) -> Result<Self, Error> {
        let pem = pem.into_iter().map(Into::into).collect();
        Self::load(&RootSources { pem, ..RootSources::default() })
    }

    fn from_store(store: RootCertStore) -> Result<Self, Error> {
        let store = Arc::new(store);
        let clients = if store.is_empty() {
            None
        } else {
            let builder = WebPkiClientVerifier::builder_with_provider(
                Arc::clone(&store),
                Arc::clone(provider::all()),
            );
            let verifier = builder
                .allow_unauthenticated()
                // A list of Mozilla's size would not fit into many clients' buffers.
                .clear_root_hint_subjects()
                .build()
                .map_err(|error| Error::Settings { detail: error.to_string() })?;
            Some(verifier)
        };
        Ok(Self { store, clients })
    }

    /// How many authorities are trusted.
    pub fn len(&self) -> usize {
        self.store.len()
    }

    /// Whether nobody is trusted.
    pub fn is_empty(&self) -> bool {
        self.store.is_empty()
    }

    /// Whether a server's `chain`, its own certificate first, leads to one of these
    /// authorities at `now`. Names are another question: [`is_for`].
    ///
    /// # Errors
    ///
    /// [`Distrust`] says what is wrong.
    pub fn check_server(
        &self,
        chain: &[CertificateDer<'_>],
        now: Timestamp,
    ) -> Result<(), Distrust> {
        let (leaf, issuers) = split(chain)?;
        let parsed = ParsedCertificate::try_from(leaf).map_err(|error| distrust(&error, leaf))?;
        let algorithms = provider::all().signature_verification_algorithms.all;
        let issuers = &issuers[..issuers.len().min(ISSUERS_MAX)];
        let at = unix_time(now);
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.store, issuers, at, algorithms)
            .map_err(|error| distrust(&error, leaf))
    }

    /// The same for the certificate of a client.
    ///
    /// # Errors
    ///
    /// [`Distrust`] says what is wrong.
    pub fn check_client(
        &self,
        chain: &[CertificateDer<'_>],
        now: Timestamp,
    ) -> Result<(), Distrust> {
        let (leaf, issuers) = split(chain)?;
        let Some(verifier) = &self.clients else {
            return Err(without_issuer(leaf));
        };
        let issuers = &issuers[..issuers.len().min(ISSUERS_MAX)];
        verifier
            .verify_client_cert(leaf, issuers, unix_time(now))
            .map(|_| ())
            .map_err(|error| distrust(&error, leaf))
    }
}

impl Roots {
    /// As [`Roots::check_client`], in the words of the library and at its time.
    pub(crate) fn require_client(
        &self,
        leaf: &CertificateDer<'_>,
        issuers: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        match &self.clients {
            Some(verifier) => verifier.verify_client_cert(leaf, issuers, now),
            None => Err(CertificateError::UnknownIssuer.into()),
        }
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Roots").field("len", &self.store.len()).finish_non_exhaustive()
    }
}

/// Whether `leaf` is a certificate for `name` (RFC 6125; the subject's common name
/// does not count).
pub fn is_for(leaf: &CertificateDer<'_>, name: &ServerName<'_>) -> bool {
    ParsedCertificate::try_from(leaf).is_ok_and(|parsed| verify_server_name(&parsed, name).is_ok())
}

fn add(store: &mut RootCertStore, text: &[u8], origin: &str) -> Result<(), Error> {
    certificate::check_size(text, origin)?;
    let mut found = Vec::new();
    for der in CertificateDer::pem_slice_iter(text) {
        found.push(der.map_err(|error| certificate::malformed(origin, &error))?);
    }
    let (added, _) = store.add_parsable_certificates(found);
    if added == 0 {
        return Err(Error::NoRoots { origin: origin.to_owned() });
    }
    Ok(())
}

fn split<'a, 'c>(
    chain: &'a [CertificateDer<'c>],
) -> Result<(&'a CertificateDer<'c>, &'a [CertificateDer<'c>]), Distrust> {
    chain
        .split_first()
        .ok_or_else(|| Distrust::Malformed { detail: "there is no certificate".to_owned() })
}

fn unix_time(at: Timestamp) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_millis(u64::try_from(at.0).unwrap_or(0)))
}

fn distrust(error: &rustls::Error, leaf: &CertificateDer<'_>) -> Distrust {
    let rustls::Error::InvalidCertificate(error) = error else {
        return Distrust::Malformed { detail: error.to_string() };
    };
    match error {
        CertificateError::Expired => Distrust::Expired { not_after: None },
        CertificateError::ExpiredContext { not_after, .. } => {
            let seconds = i64::try_from(not_after.as_secs()).unwrap_or(i64::MAX);
            Distrust::Expired { not_after: Some(Timestamp(seconds.saturating_mul(1000))) }
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Distrust::NotYetValid
        }
        CertificateError::UnknownIssuer => without_issuer(leaf),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Distrust::WrongName { presented: Certificate::of_peer(leaf).names }
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            Distrust::WrongPurpose
        }
        CertificateError::Revoked => Distrust::Revoked,
        // What the library calls otherwise, it could not use.
        other => {
            if is_self_issued(leaf) {
                return Distrust::SelfSigned;
            }
            Distrust::Malformed { detail: other.to_string() }
        }
    }
}

fn without_issuer(leaf: &CertificateDer<'_>) -> Distrust {
    if is_self_issued(leaf) { Distrust::SelfSigned } else { Distrust::UnknownIssuer }
}

fn is_self_issued(leaf: &CertificateDer<'_>) -> bool {
    X509Certificate::from_der(leaf)
        .is_ok_and(|(_, parsed)| parsed.subject().as_raw() == parsed.issuer().as_raw())
}

/// The most issuers of a peer's chain that are looked at.
const ISSUERS_MAX: usize = 8;
