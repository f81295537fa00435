//! Why certificates, keys, authorities or TLS settings cannot be used.

use std::io;
use std::path::PathBuf;

/// What was wrong with what an administrator gave, with the file and the way out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read.
    #[error(
        "cannot read {}: check that it exists and that the user of the service may read it",
        path.display()
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file could not be written.
    #[error(
        "cannot write {}: check the folder's owner and that the disk is not full",
        path.display()
    )]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// More than [`crate::certificate::PEM_MAX_OCTETS`].
    #[error("{origin} is larger than any certificate file: give the PEM file of one host")]
    TooLarge {
        /// The file.
        origin: String,
    },
    /// Nothing between `BEGIN CERTIFICATE` and `END CERTIFICATE`.
    #[error(
        "{origin} holds no certificate: it must be PEM, with the host's certificate first and its \
         issuers after it (fullchain.pem of most ACME clients)"
    )]
    NoCertificate {
        /// The file.
        origin: String,
    },
    /// No private key in the file.
    #[error(
        "{origin} holds no private key: it must be PEM with BEGIN PRIVATE KEY, BEGIN EC PRIVATE \
         KEY or BEGIN RSA PRIVATE KEY"
    )]
    NoKey {
        /// The file.
        origin: String,
    },
    /// The private key has a passphrase.
    #[error(
        "the private key in {origin} has a passphrase, and nobody is there to type it: write it \
         without one (openssl pkey -in old.key -out new.key) and keep the file readable for the \
         service only"
    )]
    EncryptedKey {
        /// The file.
        origin: String,
    },
    /// The PEM or DER cannot be read.
    #[error("{origin} cannot be read: {detail}")]
    Malformed {
        /// The file.
        origin: String,
        /// What is wrong.
        detail: String,
    },
    /// The key is of a kind that is not supported.
    #[error(
        "the private key in {origin} cannot be used ({detail}): take ECDSA P-256 or P-384, \
         Ed25519, or RSA of 2048 bits or more"
    )]
    UnsupportedKey {
        /// The file.
        origin: String,
        /// What is wrong.
        detail: String,
    },
    /// The key belongs to another certificate.
    #[error(
        "the private key in {key} does not belong to the first certificate in {certificate}: \
         give the two files of the same order, and the host's certificate before its issuers"
    )]
    KeyMismatch {
        /// The file of the certificate.
        certificate: String,
        /// The file of the key.
        key: String,
    },
    /// A listener has no certificate at all.
    #[error("a listener with TLS needs at least one certificate")]
    NoDefault,
    /// No trusted authority in what was given as such.
    #[error("{origin} holds no certificate of an authority")]
    NoRoots {
        /// The file.
        origin: String,
    },
    /// Versions and suites exclude each other.
    #[error(
        "no cipher suite is left for {versions}: allow more suites, or leave them to their default"
    )]
    NoSuite {
        /// The versions that were asked for.
        versions: String,
    },
    /// A name for a certificate is not a host name or address.
    #[error("\"{name}\" is not a host name or address that a certificate can be for")]
    Name {
        /// The name.
        name: String,
    },
    /// A certificate could not be made.
    #[error("cannot make a certificate: {detail}")]
    Issue {
        /// The library's words.
        detail: String,
    },
    /// The TLS library refused the settings.
    #[error("these TLS settings cannot be used: {detail}")]
    Settings {
        /// The library's words.
        detail: String,
    },
}
