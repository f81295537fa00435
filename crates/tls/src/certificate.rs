//! Our certificates with their keys, and the facts of anybody's certificate.

use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use mail::Timestamp;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;
use x509_parser::time::ASN1Time;

use crate::error::Error;
use crate::fingerprint::Fingerprint;
use crate::observed::Certificate;
use crate::provider;

/// The largest PEM file that is read.
pub const PEM_MAX_OCTETS: usize = 1 << 20;
/// The most certificates of a chain that are sent.
pub const CHAIN_SENT_MAX: usize = 16;

/// A certificate of ours with its chain and its private key, which belong together.
///
/// The key never appears in `Debug`.
pub struct Identity {
    certified: Arc<CertifiedKey>,
    facts: Certificate,
}

/// What an administrator should know about a certificate that nevertheless works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// Its time is over; peers that look will refuse it.
    Expired {
        /// When it ended.
        not_after: Timestamp,
    },
    /// Its time has not begun.
    NotYetValid {
        /// When it begins.
        not_before: Timestamp,
    },
    /// It ends soon.
    ExpiresSoon {
        /// Whole days that are left.
        days: i64,
    },
    /// It is for no name, so that no peer can verify it.
    NoNames,
    /// A certificate of the chain is not followed by its issuer.
    ChainBroken {
        /// The subject of the one whose issuer does not follow.
        subject: String,
    },
}

impl Identity {
    /// Reads a certificate chain and its key from PEM files, which may be the same file.
    ///
    /// # Errors
    ///
    /// [`Error`] names the file and the way out.
    pub fn load(chain: &Path, key: &Path) -> Result<Self, Error> {
        let (chain_pem, key_pem) = (read(chain)?, read(key)?);
        let (chain, key) = (chain.display().to_string(), key.display().to_string());
        Self::from_pem(&chain_pem, &chain, &key_pem, &key)
    }

    /// The same from texts; the origins are what errors call them.
    ///
    /// # Errors
    ///
    /// [`Error`] names the origin and the way out.
    pub fn from_pem(
        chain_pem: &[u8],
        chain_origin: &str,
        key_pem: &[u8],
        key_origin: &str,
    ) -> Result<Self, Error> {
        let chain = read_chain(chain_pem, chain_origin)?;
        let facts = Certificate::read(&chain[0]).map_err(|unreadable| Error::Malformed {
            origin: chain_origin.to_owned(),
            detail: unreadable.to_string(),
        })?;
        let key = read_key(key_pem, key_origin)?;
        let unsupported = |error: rustls::Error| Error::UnsupportedKey {
            origin: key_origin.to_owned(),
            detail: error.to_string(),
        };
        let signer = provider::all().key_provider.load_private_key(key).map_err(unsupported)?;
        let certified = CertifiedKey::new(chain, signer);
        match certified.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
            Err(rustls::Error::InconsistentKeys(_)) => {
                return Err(Error::KeyMismatch {
                    certificate: chain_origin.to_owned(),
                    key: key_origin.to_owned(),
                });
            }
            Err(error) => {
                return Err(Error::Malformed {
                    origin: chain_origin.to_owned(),
                    detail: error.to_string(),
                });
            }
        }
        Ok(Self { certified: Arc::new(certified), facts })
    }

    /// The certificate's facts.
    pub fn facts(&self) -> &Certificate {
        &self.facts
    }

    /// Chain and key as the TLS library wants them.
    pub fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }

    /// What an administrator should know at `now`.
    pub fn warnings(&self, now: Timestamp) -> Vec<Warning> {
        let mut warnings = Vec::new();
        let Certificate { not_before, not_after, .. } = self.facts;
        let (left_ms, life_ms) = (not_after.0 - now.0, not_after.0 - not_before.0);
        if left_ms <= 0 {
            warnings.push(Warning::Expired { not_after });
        } else if not_before > now {
            warnings.push(Warning::NotYetValid { not_before });
        } else if left_ms < (life_ms / 3).min(EXPIRY_NOTICE_DAYS * DAY_MS) {
            warnings.push(Warning::ExpiresSoon { days: left_ms / DAY_MS });
        }
        if self.facts.names.is_empty() {
            warnings.push(Warning::NoNames);
        }
        let chain: Vec<_> =
            self.certified.cert.iter().filter_map(|der| Certificate::read(der).ok()).collect();
        let broken = chain.windows(2).find(|pair| pair[0].issuer != pair[1].subject);
        if let Some(pair) = broken {
            warnings.push(Warning::ChainBroken { subject: pair[0].subject.clone() });
        }
        warnings
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("facts", &self.facts).finish_non_exhaustive()
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired { not_after } => {
                write!(f, "the certificate expired on {}: renew it now", not_after.to_rfc3339())
            }
            Self::NotYetValid { not_before } => write!(
                f,
                "the certificate is valid from {} on: check the clock",
                not_before.to_rfc3339()
            ),
            Self::ExpiresSoon { days: 0 } => f.write_str("the certificate ends within a day"),
            Self::ExpiresSoon { days: 1 } => f.write_str("the certificate ends in 1 day"),
            Self::ExpiresSoon { days } => write!(f, "the certificate ends in {days} days"),
            Self::NoNames => {
                f.write_str("the certificate is for no host name, so that no peer can verify it")
            }
            Self::ChainBroken { subject } => write!(
                f,
                "the issuer of \"{subject}\" does not follow it in the file: put the issuers in \
                 order after the certificate"
            ),
        }
    }
}

/// The certificates of a PEM text, in its order; at least one.
pub(crate) fn read_chain(text: &[u8], origin: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let malformed = |error: pem::Error| malformed(origin, &error);
    check_size(text, origin)?;
    let chain = CertificateDer::pem_slice_iter(text)
        .take(CHAIN_SENT_MAX)
        .collect::<Result<Vec<_>, _>>()
        .map_err(malformed)?;
    if chain.is_empty() {
        return Err(Error::NoCertificate { origin: origin.to_owned() });
    }
    Ok(chain)
}

fn read_key(text: &[u8], origin: &str) -> Result<PrivateKeyDer<'static>, Error> {
    check_size(text, origin)?;
    let has = |word: &[u8]| text.windows(word.len()).any(|part| part == word);
    if has(b"BEGIN ENCRYPTED PRIVATE KEY") || has(b"Proc-Type: 4,ENCRYPTED") {
        return Err(Error::EncryptedKey { origin: origin.to_owned() });
    }
    PrivateKeyDer::from_pem_slice(text).map_err(|error| match error {
        pem::Error::NoItemsFound => Error::NoKey { origin: origin.to_owned() },
        error => malformed(origin, &error),
    })
}

pub(crate) fn malformed(origin: &str, error: &pem::Error) -> Error {
    Error::Malformed { origin: origin.to_owned(), detail: format!("not valid PEM: {error}") }
}

pub(crate) fn check_size(text: &[u8], origin: &str) -> Result<(), Error> {
    if text.len() > PEM_MAX_OCTETS {
        return Err(Error::TooLarge { origin: origin.to_owned() });
    }
    Ok(())
}

/// A whole file, or why not; never more than [`PEM_MAX_OCTETS`] and one.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    use std::io::Read as _;
    let wrong = |source| Error::Read { path: path.to_owned(), source };
    let mut octets = Vec::new();
    let file = fs::File::open(path).map_err(wrong)?;
    file.take(PEM_MAX_OCTETS as u64 + 1).read_to_end(&mut octets).map_err(wrong)?;
    Ok(octets)
}

/// The octets are not a certificate (RFC 5280).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a certificate: {0}")]
pub struct Unreadable(String);

impl Certificate {
    /// The facts of a certificate in DER.
    ///
    /// # Errors
    ///
    /// [`Unreadable`] if the octets are no certificate, or are more than one.
    pub fn read(der: &[u8]) -> Result<Self, Unreadable> {
        let (rest, parsed) =
            X509Certificate::from_der(der).map_err(|error| Unreadable(text(&error.to_string())))?;
        if !rest.is_empty() {
            return Err(Unreadable("octets follow it".to_owned()));
        }
        Ok(Self {
            sha256: Fingerprint::of(der),
            spki_sha256: Fingerprint::of(parsed.public_key().raw),
            subject: text(&parsed.subject().to_string()),
            issuer: text(&parsed.issuer().to_string()),
            names: names(&parsed),
            not_before: timestamp(parsed.validity().not_before),
            not_after: timestamp(parsed.validity().not_after),
        })
    }

    /// The facts of what a peer sent as its certificate, be it one or not.
    ///
    /// For octets that are none, both fingerprints are those of the octets.
    pub fn of_peer(der: &[u8]) -> Self {
        Self::read(der).unwrap_or_else(|unreadable| Self {
            sha256: Fingerprint::of(der),
            spki_sha256: Fingerprint::of(der),
            subject: unreadable.to_string(),
            issuer: String::new(),
            names: Vec::new(),
            not_before: Timestamp(0),
            not_after: Timestamp(0),
        })
    }

    /// What people call it: its first name, or its subject.
    pub fn called(&self) -> &str {
        self.names.first().map_or(&self.subject, String::as_str)
    }
}

fn names(parsed: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = parsed.subject_alternative_name() else {
        return Vec::new();
    };
    let name = |general: &GeneralName<'_>| match general {
        GeneralName::DNSName(name) => Some(text(&name.to_ascii_lowercase())),
        GeneralName::IPAddress(octets) => address(octets),
        _ => None,
    };
    extension.value.general_names.iter().filter_map(name).take(NAMES_MAX).collect()
}

fn address(octets: &[u8]) -> Option<String> {
    if let Ok(v4) = <[u8; 4]>::try_from(octets) {
        return Some(std::net::Ipv4Addr::from(v4).to_string());
    }
    <[u8; 16]>::try_from(octets).ok().map(|v6| std::net::Ipv6Addr::from(v6).to_string())
}

fn timestamp(time: ASN1Time) -> Timestamp {
    Timestamp(time.timestamp().saturating_mul(1000))
}

/// A text of a stranger, made fit for a log line.
fn text(raw: &str) -> String {
    raw.chars()
        .take(TEXT_MAX_CHARS)
        .map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
        .collect()
}

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// A notice comes this long before the end, or in the last third of a short life.
const EXPIRY_NOTICE_DAYS: i64 = 21;
const NAMES_MAX: usize = 32;
const TEXT_MAX_CHARS: usize = 256;
