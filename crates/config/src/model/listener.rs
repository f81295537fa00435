//! Where the server listens, and what it offers there.

use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use mail::Domain;

use super::Limits;
use crate::located::Located;

/// `listener NAME { }`
#[derive(Debug, Clone, PartialEq)]
pub struct Listener {
    /// The name, as rules, logs and evidence show it.
    pub name: Located<String>,
    /// The sockets, never none; port 0 lets the system choose.
    pub sockets: Located<Vec<SocketAddr>>,
    /// What is spoken.
    pub protocol: Located<Protocol>,
    /// TLS; `None` for `tls off`.
    pub tls: Option<ListenerTls>,
    /// Whether clients may or must sign in. Rules can only offer less.
    pub auth: Located<Auth>,
    /// The only clients that are served; empty means all.
    pub from: Located<Vec<IpNet>>,
    /// Balancers that must speak the PROXY protocol (versions 1 and 2); empty means none.
    pub proxy_protocol_from: Located<Vec<IpNet>>,
    /// Extensions that are not offered.
    pub without: Located<Vec<Extension>>,
    /// The name shown here instead of the server's.
    pub hostname: Located<Domain>,
    /// The limits here: the server's, with those of the listener's own `limits { }`.
    pub limits: Limits,
}

/// The TLS of a listener.
#[derive(Debug, Clone, PartialEq)]
pub struct ListenerTls {
    /// When TLS begins.
    pub mode: Located<TlsMode>,
    /// The name of the certificate shown when no host name fits.
    pub certificate: Located<String>,
    /// Host names (SNI) with a certificate of their own, by its name.
    pub certificates_for: Vec<(Located<Domain>, String)>,
    /// The versions spoken.
    pub versions: Located<tls::Versions>,
    /// The suites spoken; empty means all that have forward secrecy and AEAD.
    pub suites: Located<Vec<tls::Suite>>,
    /// Whether clients are asked for a certificate.
    pub client_certificates: Located<ClientCertificates>,
}

/// When TLS begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// After the STARTTLS command (RFC 3207).
    StartTls,
    /// With the first octet (RFC 8314).
    Implicit,
}

/// What a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// SMTP from other servers (RFC 5321).
    Smtp,
    /// Message submission (RFC 6409).
    Submission,
    /// LMTP (RFC 2033).
    Lmtp,
    /// Prometheus metrics over HTTP.
    Metrics,
    /// What fax providers tell, over HTTP.
    Webhooks,
}

/// Whether clients may or must sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// AUTH is not offered.
    Off,
    /// AUTH is offered.
    Optional,
    /// Without AUTH nothing is taken.
    Required,
}

/// Whether clients are asked for a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientCertificates {
    /// Not asked.
    Off,
    /// Asked; a client without one, or with an untrusted one, is served all the same.
    Ask {
        /// The authorities, PEM; `None` means any certificate is only recorded.
        authorities: Option<PathBuf>,
    },
    /// Asked; without a trusted one the handshake fails.
    Require {
        /// The authorities, PEM.
        authorities: PathBuf,
    },
}

/// A service extension that a listener can leave out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extension {
    /// PIPELINING (RFC 2920).
    Pipelining,
    /// SIZE (RFC 1870).
    Size,
    /// 8BITMIME (RFC 6152).
    EightBitMime,
    /// SMTPUTF8 (RFC 6531).
    SmtpUtf8,
    /// DSN (RFC 3461).
    Dsn,
    /// CHUNKING (RFC 3030).
    Chunking,
    /// BINARYMIME (RFC 3030).
    BinaryMime,
    /// ENHANCEDSTATUSCODES (RFC 2034).
    EnhancedStatusCodes,
    /// REQUIRETLS (RFC 8689).
    RequireTls,
    /// LIMITS (RFC 9422).
    Limits,
    /// The VRFY command.
    Vrfy,
}

impl Extension {
    /// Every extension with its word in the configuration.
    pub const WORDS: [(Self, &'static str); 11] = [
        (Self::Pipelining, "pipelining"),
        (Self::Size, "size"),
        (Self::EightBitMime, "8bitmime"),
        (Self::SmtpUtf8, "smtputf8"),
        (Self::Dsn, "dsn"),
        (Self::Chunking, "chunking"),
        (Self::BinaryMime, "binarymime"),
        (Self::EnhancedStatusCodes, "enhancedstatuscodes"),
        (Self::RequireTls, "requiretls"),
        (Self::Limits, "limits"),
        (Self::Vrfy, "vrfy"),
    ];
}
