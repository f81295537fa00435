//! What a rule does: it sets something, or it ends the matter.

use std::fmt;
use std::time::Duration;

use mail::{Address, Domain, Status};
use smtp::Mechanism;
use tls::{Level, Version};

use crate::stage::Stage;

/// One action of a rule.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Holds until a later rule changes it.
    Set(Setting),
    /// The first one ends the evaluation for that recipient.
    Verdict(Verdict),
}

/// A setting: of the session, of the message, or of its way out.
#[derive(Debug, Clone, PartialEq)]
pub enum Setting {
    /// `plain-connections`: signing in before TLS.
    PlainConnections(SignIn),
    /// `tls-connections`: signing in under TLS.
    TlsConnections(SignIn),
    /// `starttls`: whether STARTTLS is offered.
    StartTls(bool),
    /// `relay-host`: the smart host.
    RelayHost(RelayHost),
    /// `relay-encryption`: the least protection on the way out.
    RelayEncryption(Level),
    /// `relay-tls-versions`: the only TLS versions on the way out.
    RelayTlsVersions(Vec<Version>),
    /// `add-header`: a header field put at the top.
    AddHeader {
        /// The field's name.
        name: String,
        /// Its unfolded value.
        value: String,
    },
    /// `remove-header`: every field of this name goes.
    RemoveHeader {
        /// The field's name.
        name: String,
    },
    /// `tag-subject`: a text put before the subject.
    TagSubject(String),
    /// `redirect`: the message goes there instead.
    Redirect(Address),
    /// `add-recipient`: the message goes there too.
    AddRecipient(Address),
    /// `rate-class`: the class of limits that counts this message.
    RateClass(String),
    /// `tarpit`: replies come this much later.
    Tarpit(Duration),
}

/// Whether and how a client may sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignIn {
    /// `not-authenticated`: AUTH is not offered.
    Off,
    /// `authenticated`: these mechanisms are offered; none named means all that work.
    Mechanisms(Vec<Mechanism>),
}

/// A smart host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayHost {
    /// Its name, or its address as a literal.
    pub host: Domain,
    /// Its port.
    pub port: u16,
    /// TLS from the first byte, instead of STARTTLS.
    pub implicit_tls: bool,
    /// The name of the credentials to sign in with.
    pub credentials: Option<String>,
    /// The name of the certificate to show.
    pub client_certificate: Option<String>,
}

/// An action that ends the evaluation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Taken, without looking at later rules.
    Accept,
    /// Refused for good, with this reply.
    Reject(Response),
    /// Refused for now, with this reply.
    Defer(Response),
    /// Taken and dropped.
    Discard,
    /// Taken and held for a person to look at.
    Quarantine {
        /// Why, for that person.
        reason: String,
    },
}

/// The reply a peer gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The SMTP code; 4xx to defer, 5xx to reject.
    pub code: u16,
    /// The enhanced status; its class is that of the code.
    pub status: Status,
    /// The words after it, on one line.
    pub text: String,
}

impl Setting {
    /// The stage at which it must be decided.
    pub const fn stage(&self) -> Stage {
        match self {
            Self::PlainConnections(_) | Self::TlsConnections(_) | Self::StartTls(_) => Stage::Hello,
            Self::AddHeader { .. }
            | Self::RemoveHeader { .. }
            | Self::TagSubject(_)
            | Self::Redirect(_)
            | Self::AddRecipient(_)
            | Self::Tarpit(_) => Stage::Data,
            Self::RelayHost(_)
            | Self::RelayEncryption(_)
            | Self::RelayTlsVersions(_)
            | Self::RateClass(_) => Stage::Relay,
        }
    }

    /// Its word in the configuration.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::PlainConnections(_) => "plain-connections",
            Self::TlsConnections(_) => "tls-connections",
            Self::StartTls(_) => "starttls",
            Self::RelayHost(_) => "relay-host",
            Self::RelayEncryption(_) => "relay-encryption",
            Self::RelayTlsVersions(_) => "relay-tls-versions",
            Self::AddHeader { .. } => "add-header",
            Self::RemoveHeader { .. } => "remove-header",
            Self::TagSubject(_) => "tag-subject",
            Self::Redirect(_) => "redirect",
            Self::AddRecipient(_) => "add-recipient",
            Self::RateClass(_) => "rate-class",
            Self::Tarpit(_) => "tarpit",
        }
    }

    /// Whether a later setting of the same word replaces it, rather than adding to it.
    pub const fn replaces(&self) -> bool {
        match self {
            Self::PlainConnections(_)
            | Self::TlsConnections(_)
            | Self::StartTls(_)
            | Self::RelayHost(_)
            | Self::RelayEncryption(_)
            | Self::RelayTlsVersions(_)
            | Self::TagSubject(_)
            | Self::Redirect(_)
            | Self::RateClass(_)
            | Self::Tarpit(_) => true,
            Self::AddHeader { .. } | Self::RemoveHeader { .. } | Self::AddRecipient(_) => false,
        }
    }
}

impl Verdict {
    /// Its word in the configuration.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Reject(_) => "reject",
            Self::Defer(_) => "defer",
            Self::Discard => "discard",
            Self::Quarantine { .. } => "quarantine",
        }
    }
}

/// The word for a level of protection on the way out.
pub const fn level_word(level: Level) -> &'static str {
    match level {
        Level::None => "none",
        Level::Opportunistic => "opportunistic",
        Level::Encrypted => "required",
        Level::Authenticated => "verified",
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set(setting) => setting.fmt(f),
            Self::Verdict(verdict) => verdict.fmt(f),
        }
    }
}

/// A text as the configuration quotes it.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for c in self.0.chars() {
            if matches!(c, '"' | '\\') {
                f.write_str("\\")?;
            }
            write!(f, "{c}")?;
        }
        f.write_str("\"")
    }
}

impl fmt::Display for Setting {
    /// As the configuration has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())?;
        match self {
            Self::PlainConnections(sign_in) | Self::TlsConnections(sign_in) => {
                write!(f, " {sign_in}")
            }
            Self::StartTls(on) => f.write_str(if *on { " offered" } else { " off" }),
            Self::RelayHost(host) => write!(f, " {host}"),
            Self::RelayEncryption(level) => write!(f, " {}", level_word(*level)),
            Self::RelayTlsVersions(versions) => {
                versions.iter().try_for_each(|version| write!(f, " {}", version_word(*version)))
            }
            Self::AddHeader { name, value } => write!(f, " {name} {}", Quoted(value)),
            Self::RemoveHeader { name } => write!(f, " {name}"),
            Self::TagSubject(tag) => write!(f, " {}", Quoted(tag)),
            Self::Redirect(address) | Self::AddRecipient(address) => write!(f, " {address}"),
            Self::RateClass(class) => write!(f, " {class}"),
            Self::Tarpit(delay) => write!(f, " {}s", delay.as_secs()),
        }
    }
}

/// The configuration's word for a TLS version: `1.2`, `1.3`.
pub const fn version_word(version: Version) -> &'static str {
    match version {
        Version::Tls12 => "1.2",
        Version::Tls13 => "1.3",
    }
}

impl fmt::Display for SignIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("not-authenticated"),
            Self::Mechanisms(mechanisms) => {
                f.write_str("authenticated")?;
                mechanisms.iter().try_for_each(|m| write!(f, " {}", m.name().to_ascii_lowercase()))
            }
        }
    }
}

impl fmt::Display for RelayHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)?;
        if self.implicit_tls != (self.port == IMPLICIT_TLS_PORT) {
            f.write_str(if self.implicit_tls { " tls implicit" } else { " tls starttls" })?;
        }
        if let Some(name) = &self.credentials {
            write!(f, " credentials {name}")?;
        }
        if let Some(name) = &self.client_certificate {
            write!(f, " certificate {name}")?;
        }
        Ok(())
    }
}

/// The port on which TLS comes first unless said otherwise (RFC 8314 section 3.3).
pub const IMPLICIT_TLS_PORT: u16 = 465;

impl fmt::Display for Verdict {
    /// As the configuration has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())?;
        match self {
            Self::Accept | Self::Discard => Ok(()),
            Self::Reject(response) | Self::Defer(response) => {
                write!(f, " {} {} {}", response.code, response.status, Quoted(&response.text))
            }
            Self::Quarantine { reason } => write!(f, " {}", Quoted(reason)),
        }
    }
}

impl fmt::Display for Response {
    /// As the peer sees it: `550 5.7.10 Must use TLS`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.code, self.status, self.text)
    }
}
