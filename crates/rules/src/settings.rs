//! The settings in force after a decision, each with the rule that made it.

use std::sync::Arc;
use std::time::Duration;

use mail::Address;
use tls::{Level, Versions};

use crate::action::{RelayHost, Setting, SignIn};
use crate::policy::RuleId;

/// A setting and the rule it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen<T> {
    /// What is set.
    pub value: T,
    /// By which rule.
    pub by: RuleId,
}

/// An edit of the header, in the order in which it is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderEdit {
    /// A field is put at the top.
    Add {
        /// Its name.
        name: String,
        /// Its unfolded value.
        value: String,
    },
    /// Every field of this name goes.
    Remove {
        /// Its name.
        name: String,
    },
}

/// What the rules looked at so far have set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Signing in before TLS.
    pub plain_connections: Option<Chosen<Arc<SignIn>>>,
    /// Signing in under TLS.
    pub tls_connections: Option<Chosen<Arc<SignIn>>>,
    /// Whether STARTTLS is offered.
    pub starttls: Option<Chosen<bool>>,
    /// The smart host.
    pub relay_host: Option<Chosen<Arc<RelayHost>>>,
    /// The least protection on the way out.
    pub relay_encryption: Option<Chosen<Level>>,
    /// The only TLS versions on the way out.
    pub relay_tls_versions: Option<Chosen<Versions>>,
    /// Edits of the header.
    pub headers: Vec<Chosen<Arc<HeaderEdit>>>,
    /// A text put before the subject.
    pub subject_tag: Option<Chosen<Arc<str>>>,
    /// Where the message goes instead.
    pub redirect: Option<Chosen<Arc<Address>>>,
    /// Where the message goes too.
    pub add_recipients: Vec<Chosen<Arc<Address>>>,
    /// The class of limits that counts the message.
    pub rate_class: Option<Chosen<Arc<str>>>,
    /// How much later replies come.
    pub tarpit: Option<Chosen<Duration>>,
}

impl Settings {
    /// How a client may sign in on a connection that is under TLS, or is not.
    pub fn sign_in(&self, under_tls: bool) -> &SignIn {
        let chosen = if under_tls { &self.tls_connections } else { &self.plain_connections };
        chosen.as_ref().map_or(&SignIn::Off, |chosen| &chosen.value)
    }

    /// Whether STARTTLS is offered where the listener can.
    pub fn offers_starttls(&self) -> bool {
        self.starttls.as_ref().is_none_or(|chosen| chosen.value)
    }
}

/// A setting made ready to be applied many times without copying its text.
#[derive(Debug, Clone)]
pub(crate) enum Prepared {
    PlainConnections(Arc<SignIn>),
    TlsConnections(Arc<SignIn>),
    StartTls(bool),
    RelayHost(Arc<RelayHost>),
    RelayEncryption(Level),
    RelayTlsVersions(Versions),
    Header(Arc<HeaderEdit>),
    TagSubject(Arc<str>),
    Redirect(Arc<Address>),
    AddRecipient(Arc<Address>),
    RateClass(Arc<str>),
    Tarpit(Duration),
}

impl Prepared {
    pub(crate) fn new(setting: &Setting) -> Self {
        match setting {
            Setting::PlainConnections(sign_in) => Self::PlainConnections(Arc::new(sign_in.clone())),
            Setting::TlsConnections(sign_in) => Self::TlsConnections(Arc::new(sign_in.clone())),
            Setting::StartTls(on) => Self::StartTls(*on),
            Setting::RelayHost(host) => Self::RelayHost(Arc::new(host.clone())),
            Setting::RelayEncryption(level) => Self::RelayEncryption(*level),
            Setting::RelayTlsVersions(list) => {
                Self::RelayTlsVersions(list.iter().copied().collect())
            }
            Setting::AddHeader { name, value } => {
                let (name, value) = (name.clone(), value.clone());
                Self::Header(Arc::new(HeaderEdit::Add { name, value }))
            }
            Setting::RemoveHeader { name } => {
                Self::Header(Arc::new(HeaderEdit::Remove { name: name.clone() }))
            }
            Setting::TagSubject(tag) => Self::TagSubject(tag.as_str().into()),
            Setting::Redirect(address) => Self::Redirect(Arc::new(address.clone())),
            Setting::AddRecipient(address) => Self::AddRecipient(Arc::new(address.clone())),
            Setting::RateClass(class) => Self::RateClass(class.as_str().into()),
            Setting::Tarpit(delay) => Self::Tarpit(*delay),
        }
    }

    /// Whether it is about the session rather than the message.
    pub(crate) fn is_of_session(&self) -> bool {
        match self {
            Self::PlainConnections(_) | Self::TlsConnections(_) | Self::StartTls(_) => true,
            Self::RelayHost(_)
            | Self::RelayEncryption(_)
            | Self::RelayTlsVersions(_)
            | Self::Header(_)
            | Self::TagSubject(_)
            | Self::Redirect(_)
            | Self::AddRecipient(_)
            | Self::RateClass(_)
            | Self::Tarpit(_) => false,
        }
    }

    pub(crate) fn apply(&self, settings: &mut Settings, by: RuleId) {
        match self {
            Self::PlainConnections(v) => settings.plain_connections = chosen(v, by),
            Self::TlsConnections(v) => settings.tls_connections = chosen(v, by),
            Self::StartTls(v) => settings.starttls = chosen(v, by),
            Self::RelayHost(v) => settings.relay_host = chosen(v, by),
            Self::RelayEncryption(v) => settings.relay_encryption = chosen(v, by),
            Self::RelayTlsVersions(v) => settings.relay_tls_versions = chosen(v, by),
            Self::Header(v) => settings.headers.extend(chosen(v, by)),
            Self::TagSubject(v) => settings.subject_tag = chosen(v, by),
            Self::Redirect(v) => settings.redirect = chosen(v, by),
            Self::AddRecipient(v) => settings.add_recipients.extend(chosen(v, by)),
            Self::RateClass(v) => settings.rate_class = chosen(v, by),
            Self::Tarpit(v) => settings.tarpit = chosen(v, by),
        }
    }
}

#[allow(
    clippy::unnecessary_wraps,
    reason = "every place it goes to is an Option or extends from one"
)]
fn chosen<T: Clone>(value: &T, by: RuleId) -> Option<Chosen<T>> {
    Some(Chosen { value: value.clone(), by })
}
