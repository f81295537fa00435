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

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use x509_parser::der_parser::parse_der;

    use super::*;
    use crate::authority::{Authority, Issued, Leaf};

    const NOW: Timestamp = Timestamp(1_772_445_731_042);

    fn issued(names: &[&str]) -> Issued {
        let authority = Authority::create("Lab", NOW).unwrap().0;
        authority.issue(&Leaf::new(names.iter().copied(), NOW)).unwrap()
    }

    fn load(chain: &str, key: &str) -> Result<Identity, String> {
        Identity::from_pem(chain.as_bytes(), "mx.pem", key.as_bytes(), "mx.key")
            .map_err(|error| error.to_string())
    }

    fn pem(label: &str, der: &[u8]) -> String {
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
    }

    /// The key inside a PKCS#8 envelope (RFC 5958 section 2).
    fn inner(pkcs8: &[u8]) -> Vec<u8> {
        let (_, envelope) = parse_der(pkcs8).unwrap();
        envelope.as_sequence().unwrap()[2].as_slice().unwrap().to_vec()
    }

    #[test]
    fn keys_are_read_in_each_form_that_tools_write() {
        let leaf = issued(&["mx1.bank.example", "192.0.2.8", "2001:db8::8"]);
        let identity = load(&leaf.chain_pem, &leaf.key_pem).unwrap();
        assert_eq!(identity.facts().names, ["mx1.bank.example", "192.0.2.8", "2001:db8::8"]);
        assert_eq!(identity.facts().subject, "CN=mx1.bank.example");
        assert_eq!(identity.facts().issuer, "CN=Lab");
        let key = rcgen::KeyPair::from_pem(&leaf.key_pem).unwrap();
        let sec1 = pem("EC PRIVATE KEY", &inner(&key.serialize_der()));
        assert!(load(&leaf.chain_pem, &sec1).is_ok());
        let both = format!("{}{}", leaf.key_pem, leaf.chain_pem);
        assert!(load(&both, &both).is_ok());

        let rsa = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
        let params = rcgen::CertificateParams::new(vec!["mx1.bank.example".to_owned()]).unwrap();
        let chain = params.self_signed(&rsa).unwrap().pem();
        let pkcs1 = pem("RSA PRIVATE KEY", &inner(&rsa.serialize_der()));
        for key in [rsa.serialize_pem(), pkcs1] {
            assert!(load(&chain, &key).is_ok());
        }
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_the_file_and_the_way_out() {
        let (leaf, other) = (issued(&["mx1.bank.example"]), issued(&["mx1.bank.example"]));
        let refused = |chain: &str, key: &str| load(chain, key).unwrap_err();
        let (chain, key) = (leaf.chain_pem.as_str(), leaf.key_pem.as_str());
        for (error, words) in [
            (
                refused(chain, &other.key_pem),
                "mx.key does not belong to the first certificate in mx",
            ),
            (refused(key, key), "mx.pem holds no certificate"),
            (refused(chain, chain), "mx.key holds no private key"),
            (refused("", ""), "mx.pem holds no certificate"),
            (refused(chain, &pem("ENCRYPTED PRIVATE KEY", b"x")), "has a passphrase"),
            (refused(chain, &pem("PRIVATE KEY", b"x")), "take ECDSA P-256"),
            (refused(&pem("CERTIFICATE", b"x"), key), "mx.pem cannot be read: not a certificate"),
            (refused(&chain[..chain.len() - 30], key), "mx.pem cannot be read: not valid PEM"),
            (refused(&" ".repeat(PEM_MAX_OCTETS + 1), key), "larger than any certificate file"),
        ] {
            assert!(error.contains(words), "{error}");
        }
        let missing = Identity::load(Path::new("/nowhere/mx.pem"), Path::new("mx.key"));
        assert!(missing.unwrap_err().to_string().starts_with("cannot read /nowhere/mx.pem"));
    }

    #[test]
    fn an_administrator_hears_of_the_end_in_time() {
        let leaf = issued(&["mx1.bank.example"]);
        let identity = load(&leaf.chain_pem, &leaf.key_pem).unwrap();
        let after = |days: i64| {
            let warnings = identity.warnings(Timestamp(NOW.0 + days * DAY_MS));
            warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
        };
        assert_eq!(after(0), "");
        assert_eq!(after(68), "");
        assert_eq!(after(70), "the certificate ends in 19 days");
        assert_eq!(after(89), "the certificate ends within a day");
        assert!(after(91).starts_with("the certificate expired on 2026-05-31T"), "{}", after(91));
        assert!(after(-1).contains("check the clock"));
    }

    #[test]
    fn a_chain_out_of_order_is_noticed() {
        let authority = Authority::create("Lab", NOW).unwrap().0;
        let stranger = Authority::create("Stranger", NOW).unwrap().0;
        let leaf = authority.issue(&Leaf::new(["mx1.bank.example"], NOW)).unwrap();
        let with = |issuer: &str| {
            let chain = format!("{}{issuer}", leaf.chain_pem);
            load(&chain, &leaf.key_pem).unwrap().warnings(NOW)
        };
        assert_eq!(with(authority.certificate_pem()), []);
        let subject = "CN=mx1.bank.example".to_owned();
        assert_eq!(with(stranger.certificate_pem()), [Warning::ChainBroken { subject }]);
    }

    #[test]
    fn what_a_stranger_sends_as_a_certificate_is_kept_as_facts_and_harms_no_log() {
        let facts = Certificate::of_peer(b"no certificate\r\n");
        assert_eq!(facts.sha256, facts.spki_sha256);
        assert!(facts.subject.starts_with("not a certificate"));
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, "evil\r\nsecurity: fake");
        let key = rcgen::KeyPair::generate().unwrap();
        let facts = Certificate::of_peer(params.self_signed(&key).unwrap().der());
        assert!(!facts.subject.contains(['\r', '\n']), "{}", facts.subject);
        assert!(Certificate::of_peer(&vec![0x30; 70_000]).subject.len() <= 1100);
    }

    #[test]
    fn the_key_never_shows() {
        let leaf = issued(&["mx1.bank.example"]);
        let shown = format!("{:?} {:?}", leaf, leaf.identity().unwrap());
        assert!(!shown.contains("PRIVATE KEY") && !shown.to_lowercase().contains("key_pem"));
    }
}
