//! Where a recipient's mail goes.

use std::fmt;
use std::path::PathBuf;

use mail::{Domain, Envelope};
use smtp::client::Credentials;

use crate::content::Content;

/// A destination, as the rules and the configuration chose it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Route {
    /// To the mail exchangers of a domain (RFC 5321 section 5.1); to the address of a literal.
    Mx(Domain),
    /// To one host that passes the mail on.
    SmartHost(SmartHost),
    /// To an LMTP server (RFC 2033).
    Lmtp(Lmtp),
    /// Into Maildir folders of ours.
    Maildir(MaildirRoute),
    /// To the fax account of this name. The fax service takes it, not the agent.
    Fax(String),
}

/// A smart host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SmartHost {
    /// Its name, or its address as a literal.
    pub host: Domain,
    /// Its port.
    pub port: u16,
    /// TLS from the first byte, instead of STARTTLS (RFC 8314 section 3.3).
    pub implicit_tls: bool,
    /// What to sign in with; only ever sent over TLS.
    pub credentials: Option<Credentials>,
    /// The name, among [`Settings::client_certificates`](crate::Settings), of the certificate to show.
    pub client_certificate: Option<String>,
}

impl SmartHost {
    /// A smart host without sign-in.
    pub fn new(host: Domain, port: u16) -> Self {
        Self { host, port, implicit_tls: false, credentials: None, client_certificate: None }
    }
}

/// An LMTP server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Lmtp {
    /// By TCP.
    Tcp {
        /// Its name, or its address as a literal.
        host: Domain,
        /// Its port.
        port: u16,
    },
    /// By a Unix socket.
    Unix(PathBuf),
}

/// A tree of Maildir folders: `root/domain/local-part/{tmp,new,cur}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MaildirRoute {
    /// Where the tree begins.
    pub root: PathBuf,
}

impl fmt::Display for Route {
    /// In a few words, such as `mail exchangers of example.org`. Holds no secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mx(domain) => write!(f, "mail exchangers of {domain}"),
            Self::SmartHost(smart) => write!(f, "smart host {}:{}", smart.host, smart.port),
            Self::Lmtp(Lmtp::Tcp { host, port }) => write!(f, "LMTP at {host}:{port}"),
            Self::Lmtp(Lmtp::Unix(path)) => write!(f, "LMTP at {}", path.display()),
            Self::Maildir(maildir) => write!(f, "Maildir under {}", maildir.root.display()),
            Self::Fax(account) => write!(f, "fax account {account}"),
        }
    }
}

/// One message for one destination.
#[derive(Debug, Clone)]
pub struct Job {
    /// The domain that Force Encrypt and MTA-STS are asked about: that of the
    /// recipients, also where the route is a smart host.
    pub domain: Domain,
    /// Where to.
    pub route: Route,
    /// The envelope with the recipients of this group alone.
    pub envelope: Envelope,
    /// The content.
    pub content: Content,
}
