//! A certificate authority of our own, for the demo, the lab and closed networks.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use mail::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};

use crate::certificate::Identity;
use crate::error::Error;

/// A local authority: it issues certificates that those trust who were given
/// [`Authority::certificate_pem`].
pub struct Authority {
    certificate_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// What a certificate is to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// Host names, wildcards and addresses; the first is also the subject.
    pub names: Vec<String>,
    /// Start of validity.
    pub not_before: Timestamp,
    /// End of validity.
    pub not_after: Timestamp,
}

/// A new certificate and its key.
#[derive(Clone, PartialEq, Eq)]
pub struct Issued {
    /// The certificate and its issuers, in PEM.
    pub chain_pem: String,
    /// The private key, PKCS#8 in PEM. Secret.
    pub key_pem: String,
}

impl Leaf {
    /// A certificate for `names` that begins an hour before `now`, for clocks that
    /// differ, and ends after [`LEAF_DAYS`].
    pub fn new<N: Into<String>>(names: impl IntoIterator<Item = N>, now: Timestamp) -> Self {
        Self {
            names: names.into_iter().map(Into::into).collect(),
            not_before: Timestamp(now.0.saturating_sub(HOUR_MS)),
            not_after: now.plus(days(LEAF_DAYS)),
        }
    }

    /// The same with another life.
    #[must_use]
    pub fn valid(self, not_before: Timestamp, not_after: Timestamp) -> Self {
        Self { not_before, not_after, ..self }
    }

    /// This certificate signed by its own new key, as careless partners have it.
    ///
    /// # Errors
    ///
    /// [`Error::Name`] or [`Error::Issue`].
    pub fn self_signed(&self) -> Result<Issued, Error> {
        let key = KeyPair::generate().map_err(issue)?;
        let certificate = self.params()?.self_signed(&key).map_err(issue)?;
        Ok(Issued { chain_pem: certificate.pem(), key_pem: key.serialize_pem() })
    }

    fn params(&self) -> Result<CertificateParams, Error> {
        let first = self.names.first().map_or("", String::as_str);
        if first.is_empty() {
            return Err(Error::Name { name: String::new() });
        }
        let mut params = CertificateParams::new(self.names.clone())
            .map_err(|_| Error::Name { name: self.names.join(", ") })?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, first);
        params.not_before = instant(self.not_before);
        params.not_after = instant(self.not_after);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        Ok(params)
    }
}

impl Authority {
    /// A new authority called `name`, valid for [`AUTHORITY_DAYS`] from `now`. The
    /// caller keeps both texts of the answer; the key is secret.
    ///
    /// # Errors
    ///
    /// [`Error::Issue`] if the system gives no random numbers.
    pub fn create(name: &str, now: Timestamp) -> Result<(Self, Issued), Error> {
        let key = KeyPair::generate().map_err(issue)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = instant(Timestamp(now.0.saturating_sub(HOUR_MS)));
        params.not_after = instant(now.plus(days(AUTHORITY_DAYS)));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).map_err(issue)?;
        let issued = Issued { chain_pem: certificate.pem(), key_pem: key.serialize_pem() };
        let authority =
            Self { certificate_pem: certificate.pem(), issuer: Issuer::new(params, key) };
        Ok((authority, issued))
    }

    /// The authority of texts kept from [`Authority::create`].
    ///
    /// # Errors
    ///
    /// [`Error`] if they are damaged or do not belong together.
    pub fn from_pem(certificate_pem: &str, key_pem: &str) -> Result<Self, Error> {
        // Checks that the two belong together.
        Identity::from_pem(
            certificate_pem.as_bytes(),
            ORIGIN,
            key_pem.as_bytes(),
            &format!("{ORIGIN} (key)"),
        )?;
        let key = KeyPair::from_pem(key_pem).map_err(issue)?;
        let issuer = Issuer::from_ca_cert_pem(certificate_pem, key).map_err(issue)?;
        Ok(Self { certificate_pem: certificate_pem.to_owned(), issuer })
    }

    /// What those need who are to trust it.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Issues a certificate with a new ECDSA P-256 key.
    ///
    /// # Errors
    ///
    /// [`Error::Name`] or [`Error::Issue`].
    pub fn issue(&self, leaf: &Leaf) -> Result<Issued, Error> {
        let mut params = leaf.params()?;
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(issue)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(issue)?;
        Ok(Issued { chain_pem: certificate.pem(), key_pem: key.serialize_pem() })
    }
}

impl Issued {
    /// Certificate and key, ready for use.
    ///
    /// # Errors
    ///
    /// [`Error`] only if the texts were changed.
    pub fn identity(&self) -> Result<Identity, Error> {
        Identity::from_pem(
            self.chain_pem.as_bytes(),
            ORIGIN,
            self.key_pem.as_bytes(),
            &format!("{ORIGIN} (key)"),
        )
    }
}

impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issued").field("chain_pem", &self.chain_pem).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority")
            .field("certificate_pem", &self.certificate_pem)
            .finish_non_exhaustive()
    }
}

/// Writes a secret so that nobody else can ever read it: mode 0600 from the first
/// octet, all of it or nothing, on the disk when this returns.
///
/// # Errors
///
/// [`Error::Write`] names the file.
pub fn write_secret(path: &Path, text: &str) -> Result<(), Error> {
    write(path, text, 0o600).map_err(|source| Error::Write { path: path.to_owned(), source })
}

/// The same for what everybody may read: mode 0644.
///
/// # Errors
///
/// [`Error::Write`] names the file.
pub fn write_public(path: &Path, text: &str) -> Result<(), Error> {
    write(path, text, 0o644).map_err(|source| Error::Write { path: path.to_owned(), source })
}

fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let aside = path.with_file_name(name);
    let written = (|| {
        let mut file =
            fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&aside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&aside, path)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    })();
    if written.is_err() {
        // The cause is what the caller hears; a left-over is only untidy.
        let _ = fs::remove_file(&aside);
    }
    written
}

#[allow(clippy::needless_pass_by_value)]
fn issue(error: rcgen::Error) -> Error {
    Error::Issue { detail: error.to_string() }
}

/// Certificates end before the year 10000 and begin after 1950 (RFC 5280 section 4.1.2.5).
fn instant(at: Timestamp) -> time::OffsetDateTime {
    let seconds = at.0.div_euclid(1000).clamp(-631_152_000, 253_402_300_799);
    time::OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(time::OffsetDateTime::UNIX_EPOCH)
}

const fn days(count: u32) -> Duration {
    Duration::from_secs(count as u64 * 24 * 60 * 60)
}

/// The life of an issued certificate.
pub const LEAF_DAYS: u32 = 90;
/// The life of the authority.
pub const AUTHORITY_DAYS: u32 = 3650;
const HOUR_MS: i64 = 60 * 60 * 1000;
const ORIGIN: &str = "the local authority";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::Roots;

    const NOW: Timestamp = Timestamp(1_772_445_731_042);

    #[test]
    fn an_authority_read_back_issues_what_those_trust_who_trusted_it_before() {
        let (authority, kept) = Authority::create("Local authority", NOW).unwrap();
        let roots = Roots::only([authority.certificate_pem()]).unwrap();
        let again = Authority::from_pem(&kept.chain_pem, &kept.key_pem).unwrap();
        let identity = again
            .issue(&Leaf::new(["mail.ours.example", "127.0.0.1"], NOW))
            .and_then(|issued| issued.identity())
            .unwrap();
        assert_eq!(roots.check_server(&identity.certified().cert, NOW), Ok(()));
        assert_eq!(roots.check_client(&identity.certified().cert, NOW), Ok(()));
        let other = Authority::create("Local authority", NOW).unwrap().1;
        assert!(Authority::from_pem(&kept.chain_pem, &other.key_pem).is_err());
    }

    #[test]
    fn what_is_no_name_gets_no_certificate() {
        let authority = Authority::create("Local authority", NOW).unwrap().0;
        assert!(authority.issue(&Leaf::new(Vec::<String>::new(), NOW)).is_err());
        assert!(authority.issue(&Leaf::new(["bücher.example"], NOW)).is_err());
    }

    #[test]
    fn a_secret_is_its_owners_alone_from_the_first_octet() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("authority.key");
        for text in ["first", "second"] {
            write_secret(&path, text).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let error = write_secret(&folder.path().join("no/such/file"), "").unwrap_err();
        assert!(error.to_string().starts_with("cannot write "), "{error}");
    }
}
