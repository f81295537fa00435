//! What a connection showed of itself.

use std::collections::BTreeSet;
use std::fmt;

use mail::Timestamp;
use serde::{Deserialize, Serialize};

use crate::algorithm::{Group, Suite};
use crate::fingerprint::Fingerprint;
use crate::requirement::Proof;
use crate::version::Version;

/// What was seen of one connection, or of the attempt to make one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Observed {
    /// The message did not leave this server: a mailbox, a pipe, a fax modem.
    Local,
    /// The connection stands and is not encrypted.
    Plaintext(Plaintext),
    /// The handshake is complete.
    Encrypted(Box<Handshake>),
    /// TLS was tried, and this connection is lost.
    Failed(Failure),
}

/// Why a connection is in the clear.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Plaintext {
    /// The peer does not offer STARTTLS, or it was removed on the way.
    NotOffered,
    /// The peer offers STARTTLS and answered it with this reply, such as `454 4.7.0 Later`.
    Refused {
        /// The reply code: 400 to 599.
        code: u16,
        /// The reply's text.
        text: String,
    },
    /// TLS was not tried, since nothing asked for it.
    NotTried,
    /// TLS had failed on an earlier connection, and this one was made without it.
    AfterFailure(Failure),
}

/// How TLS failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The kind, which decides whether waiting may help.
    pub kind: FailureKind,
    /// What was seen, in the words of the library or the peer.
    pub detail: String,
}

/// The ways in which TLS fails before there is a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// The bytes were not a handshake, or an alert ended it.
    Handshake,
    /// The peer speaks none of the versions or suites that were offered.
    NoCommonGround,
    /// The peer's signature over the handshake was wrong: it does not hold the key.
    Signature,
    /// The peer wants a certificate that was not sent, or refused the one that was.
    ClientCertificate,
    /// The connection ended in the middle of the handshake.
    Closed,
    /// The handshake took too long.
    Timeout,
    /// Bytes in the clear followed the reply to STARTTLS (RFC 3207; CVE-2011-0411).
    Injected,
    /// DNS failed or its answer was bogus, so that the demand itself is unknown.
    Dns,
    /// What was demanded cannot be met by any peer: no version or suite is left.
    Impossible,
}

/// What a completed handshake negotiated and showed. It belongs to exactly one connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handshake {
    /// The version.
    pub version: Version,
    /// The cipher suite.
    pub suite: Suite,
    /// The key-exchange group; absent where a TLS 1.2 session was resumed.
    pub group: Option<Group>,
    /// The host name the client asked for (RFC 6066 section 3).
    pub sni: Option<String>,
    /// The application protocol (RFC 7301).
    pub alpn: Option<String>,
    /// Whether an earlier session was continued.
    pub resumed: bool,
    /// What the peer presented, its own certificate first; at most [`CHAIN_MAX`].
    pub peer_chain: Vec<Certificate>,
    /// What was found about the peer's certificate.
    pub verification: Verification,
    /// The certificate of ours that was in use, if any.
    pub own_certificate: Option<Fingerprint>,
}

/// The most certificates of a chain that are kept as facts.
pub const CHAIN_MAX: usize = 8;

/// A certificate as the evidence keeps it. Texts are cut at 256 characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// SHA-256 of the certificate.
    pub sha256: Fingerprint,
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub spki_sha256: Fingerprint,
    /// The subject's distinguished name.
    pub subject: String,
    /// The issuer's distinguished name.
    pub issuer: String,
    /// The DNS names and addresses it covers; at most 32.
    pub names: Vec<String>,
    /// Start of validity.
    pub not_before: Timestamp,
    /// End of validity.
    pub not_after: Timestamp,
}

/// What was found about the peer's certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verification {
    /// The peer showed none.
    NoCertificate,
    /// The peer is who it should be.
    Trusted {
        /// The name that was verified.
        name: String,
        /// How that name was known.
        anchor: Anchor,
        /// [`Proof::WebPki`], [`Proof::Dane`] or both; others follow from them and the chain.
        by: BTreeSet<Proof>,
    },
    /// The peer may be anyone.
    Untrusted {
        /// The name that was looked for.
        name: String,
        /// What is wrong.
        reason: Distrust,
    },
}

/// How the name of the peer was known, weakest first.
///
/// A certificate for a name proves little when anybody on the way could have
/// supplied the name.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Anchor {
    /// An MX record without DNSSEC.
    #[default]
    UnsignedDns,
    /// It is the recipient's domain or lies below it.
    RecipientDomain,
    /// A chain of secure DNS answers (RFC 4035).
    SecureDns,
    /// The domain's MTA-STS policy lists it.
    MtaSts,
    /// The administrator wrote it.
    Configured,
}

/// Why a certificate is not trusted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Distrust {
    /// It is signed by itself.
    SelfSigned,
    /// No trusted authority stands at the end of its chain.
    UnknownIssuer,
    /// Its validity, or that of an issuer, is over.
    Expired {
        /// When it ended, where known.
        not_after: Option<Timestamp>,
    },
    /// Its validity has not begun.
    NotYetValid,
    /// It is for other names.
    WrongName {
        /// The names it is for.
        presented: Vec<String>,
    },
    /// It is not meant for this use.
    WrongPurpose,
    /// Its issuer withdrew it.
    Revoked,
    /// It, or a signature in its chain, cannot be used.
    Malformed {
        /// What is wrong.
        detail: String,
    },
}

impl Observed {
    /// The handshake, where there is one.
    pub fn handshake(&self) -> Option<&Handshake> {
        match self {
            Self::Encrypted(handshake) => Some(handshake),
            Self::Local | Self::Plaintext(_) | Self::Failed(_) => None,
        }
    }
}

impl Handshake {
    /// The certificate the peer holds the key of.
    pub fn leaf(&self) -> Option<&Certificate> {
        self.peer_chain.first()
    }
}

impl Failure {
    /// A failure with what was seen; at most 300 characters of it are kept.
    pub fn new(kind: FailureKind, detail: impl fmt::Display) -> Self {
        Self { kind, detail: detail.to_string().chars().take(DETAIL_MAX_CHARS).collect() }
    }

    /// Whether waiting may help.
    pub fn may_pass(&self) -> bool {
        self.kind.may_pass()
    }
}

impl FailureKind {
    /// Whether waiting may help.
    ///
    /// A peer without a version in common must change its software or we our demand.
    /// Everything else has passing causes: an overloaded or misconfigured host, or
    /// somebody on the way.
    pub fn may_pass(self) -> bool {
        match self {
            Self::NoCommonGround | Self::Impossible => false,
            Self::Handshake
            | Self::Signature
            | Self::ClientCertificate
            | Self::Closed
            | Self::Timeout
            | Self::Injected
            | Self::Dns => true,
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Handshake => "the TLS handshake failed",
            Self::NoCommonGround => "no TLS version or cipher suite in common",
            Self::Signature => "the peer does not hold the key of its certificate",
            Self::ClientCertificate => "the peer did not accept our client certificate",
            Self::Closed => "the peer closed the connection during the TLS handshake",
            Self::Timeout => "the TLS handshake took too long",
            Self::Injected => "bytes in the clear followed the reply to STARTTLS",
            Self::Dns => "DNS failed",
            Self::Impossible => "the demands exclude each other",
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.detail.is_empty() {
            return write!(f, "{}", self.kind);
        }
        write!(f, "{} ({})", self.kind, self.detail)
    }
}

impl fmt::Display for Plaintext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOffered => f.write_str("the peer does not offer STARTTLS"),
            Self::Refused { code, text } => {
                write!(f, "the peer refused STARTTLS with \"{}\"", format!("{code} {text}").trim())
            }
            Self::NotTried => f.write_str("TLS was not tried"),
            Self::AfterFailure(failure) => write!(f, "sent without TLS after {failure}"),
        }
    }
}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SelfSigned => f.write_str("it is self-signed"),
            Self::UnknownIssuer => f.write_str("its issuer is not a trusted authority"),
            Self::Expired { not_after: Some(end) } => {
                write!(f, "it expired on {}", day(*end))
            }
            Self::Expired { not_after: None } => f.write_str("it has expired"),
            Self::NotYetValid => f.write_str("it is not valid yet"),
            Self::WrongName { presented } if presented.is_empty() => {
                f.write_str("it is for no name at all")
            }
            Self::WrongName { presented } => {
                let shown: Vec<_> = presented.iter().take(3).map(String::as_str).collect();
                let more = if presented.len() > 3 { " and others" } else { "" };
                write!(f, "it is for {}{more}", shown.join(", "))
            }
            Self::WrongPurpose => f.write_str("it is not meant for this use"),
            Self::Revoked => f.write_str("it was revoked"),
            Self::Malformed { detail } => write!(f, "it cannot be used: {detail}"),
        }
    }
}

fn day(instant: Timestamp) -> String {
    instant.to_rfc3339().chars().take(10).collect()
}

impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnsignedDns => "a name from unsigned DNS",
            Self::RecipientDomain => "a name of the recipient's domain",
            Self::SecureDns => "a name from DNSSEC",
            Self::MtaSts => "a name from the MTA-STS policy",
            Self::Configured => "the configured name",
        })
    }
}

const DETAIL_MAX_CHARS: usize = 300;
