//! What the configuration says, in the types the server runs on.
//!
//! Every value keeps its place, so that a decision can name the line it comes from.
//! Limits and times that can be switched off are `Option`: `None` means `off`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use mail::{Address, Domain};

use crate::located::Located;
use crate::secret::Secret;
use crate::source::{Sources, Span};

mod authentication;
mod delivery;
mod directory;
mod fax;
mod fax_gateway;
mod fax_provider;
mod filters;
mod flow;
mod listener;
mod lists;
mod sign_in;
mod signing;
mod target;

pub use self::lists::{Dnsbl, Greylisting, List, ListSource, Reputation, Uribl};
pub use authentication::{AuthenticationMode, DmarcOverride, DmarcPolicy, SenderAuthentication};
pub use delivery::{Delivery, IpFamilies, Queue, RateClass};
pub use directory::LdapDirectory;
pub use fax::{FaxAccount, FaxInbound, FaxLine, FaxNotices, FaxSource, FaxTransport, FaxUser};
pub use fax_gateway::FaxGateway;
pub use fax_provider::{
    FAX_ID, FaxProvider, ProviderBody, ProviderDocument, ProviderSignIn, Webhooks,
};
pub use filters::{Holding, MilterEntry, Quarantine, ScannerEntry, Scanning};
pub use flow::{Bans, Flow, Quota, SizeLimits};
pub use listener::{Auth, ClientCertificates, Extension, Listener, ListenerTls, Protocol, TlsMode};
pub use sign_in::{AccountCertificates, Gssapi, KeysAt, SignIn, Tokens, Verifier};
pub use signing::{ArcSealing, DmarcReports, Signing, Srs};
pub use target::{Host, LmtpTarget, Route, Target};

/// A configuration without errors.
#[derive(Debug, Clone)]
pub struct Config {
    /// This server's name: in greetings, EHLO, Received and notifications.
    pub hostname: Located<Domain>,
    /// Who looks after the mail here.
    pub postmaster: Located<Address>,
    /// The folder of everything the server keeps.
    pub data: Located<PathBuf>,
    /// The name under which results stand in Authentication-Results (RFC 8601 section 2.5).
    pub authserv_id: Located<Domain>,
    /// The words after the name in the 220 greeting.
    pub greeting: Located<String>,
    /// Which versions are spoken unless a listener or rule says more.
    pub tls_policy: Located<TlsPolicy>,
    /// Clients that may relay without signing in; empty by default, loopback too.
    pub trusted_networks: Located<Vec<IpNet>>,
    /// How names are looked up.
    pub dns: Dns,
    /// Addresses of names that are not asked from DNS.
    pub hosts: Vec<HostEntry>,
    /// Where mail for a domain goes instead of to its MX.
    pub mx: Vec<MxEntry>,
    /// Certificate authorities trusted beside the system's, PEM.
    pub ca_bundle: Option<Located<PathBuf>>,
    /// What to sign in with at smart hosts.
    pub credentials: Vec<Credentials>,
    /// Certificates by name.
    pub certificates: Vec<Certificate>,
    /// Where the server listens.
    pub listeners: Vec<Listener>,
    /// Directories elsewhere that know people of our domains.
    pub directories: Vec<LdapDirectory>,
    /// How accounts sign in.
    pub sign_in: SignIn,
    /// The domains that are ours.
    pub domains: Vec<LocalDomain>,
    /// The accounts that turn mail into faxes.
    pub fax_accounts: Vec<FaxAccount>,
    /// The providers that fax by HTTPS.
    pub fax_providers: Vec<FaxProvider>,
    /// The gateways that fax by T.38.
    pub fax_gateways: Vec<FaxGateway>,
    /// The rules, tables and Force Encrypt entries, as written.
    pub rule_set: rules::RuleSet,
    /// The same, compiled.
    pub policy: Arc<rules::Policy>,
    /// Limits of sessions on every listener that has none of its own.
    pub limits: Limits,
    /// How long the server waits.
    pub timeouts: Timeouts,
    /// Retries, notices and concurrency.
    pub queue: Queue,
    /// How mail leaves.
    pub delivery: Delivery,
    /// Classes that rules put messages in, to send them at a slower rate.
    pub rate_classes: Vec<RateClass>,
    /// Which mail of ours is signed.
    pub signing: Signing,
    /// For whom mail that passes is sealed; `None` switches it off.
    pub arc_sealing: Option<ArcSealing>,
    /// What is done with aggregate reports.
    pub dmarc_reports: DmarcReports,
    /// How senders are rewritten; `None` switches it off.
    pub srs: Option<Srs>,
    /// The milters, in order.
    pub milters: Vec<MilterEntry>,
    /// The scanners.
    pub scanners: Vec<ScannerEntry>,
    /// What happens to what scanners find.
    pub scanning: Scanning,
    /// How large messages may be, by direction, domain or account.
    pub size_limits: Vec<SizeLimits>,
    /// How much each account may send in a time.
    pub quotas: Vec<Quota>,
    /// Which clients are let in before anything is said.
    pub flow: Flow,
    /// When a client is turned away for a time.
    pub bans: Bans,
    /// Lists of clients.
    pub dnsbl: Vec<Dnsbl>,
    /// Lists of domains.
    pub uribl: Vec<Uribl>,
    /// How strangers are treated; `None` for like everyone.
    pub greylisting: Option<Greylisting>,
    /// How senders are remembered; `None` for not at all.
    pub reputation: Option<Reputation>,
    /// When the mail of an account is held.
    pub holding: Holding,
    /// Mail that was set aside.
    pub quarantine: Quarantine,
    /// The record of every hop.
    pub evidence: Evidence,
    /// Who a message is from.
    pub sender_authentication: SenderAuthentication,
    /// What is logged.
    pub log: Log,
    /// The socket of the command line; `None` switches it off.
    pub control: Located<Option<PathBuf>>,
    /// The texts all this was read from.
    pub sources: Sources,
}

/// `tls-policy`: which TLS is spoken where nothing else is said. The versions of
/// listeners and of delivery already follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsPolicy {
    /// TLS 1.3 and 1.2.
    Modern,
    /// TLS 1.3 only.
    Strict,
}

/// `dns { }`
#[derive(Debug, Clone, PartialEq)]
pub struct Dns {
    /// Resolvers asked in turn; empty means those of the system.
    pub servers: Located<Vec<SocketAddr>>,
    /// How long one question waits for its answer.
    pub timeout: Located<Duration>,
    /// How often a question is asked before it has failed.
    pub attempts: Located<u32>,
    /// Whether answers are kept for their time to live.
    pub cache: Located<bool>,
}

/// A line of `hosts { }`.
#[derive(Debug, Clone, PartialEq)]
pub struct HostEntry {
    /// The name.
    pub name: Located<Domain>,
    /// Its addresses, never none.
    pub addresses: Vec<IpAddr>,
}

/// A line of `mx { }`.
#[derive(Debug, Clone, PartialEq)]
pub struct MxEntry {
    /// The recipients' domain.
    pub domain: Located<Domain>,
    /// Where its mail goes, first choice first; never none.
    pub targets: Vec<Target>,
}

/// `credentials NAME { }`
#[derive(Debug, Clone, PartialEq)]
pub struct Credentials {
    /// The name that `relay-host ... credentials NAME` uses.
    pub name: Located<String>,
    /// The user name.
    pub user: Located<String>,
    /// Where the password is kept.
    pub password: Located<Secret>,
}

/// `certificate NAME { }`
#[derive(Debug, Clone, PartialEq)]
pub struct Certificate {
    /// The name that listeners use.
    pub name: Located<String>,
    /// Where it comes from.
    pub source: CertificateSource,
}

/// Where a certificate comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum CertificateSource {
    /// PEM files.
    Files {
        /// The chain, leaf first.
        chain: Located<PathBuf>,
        /// The private key.
        key: Located<PathBuf>,
    },
    /// Made by the local authority in the data folder.
    LocalAuthority {
        /// The names it is for; never none.
        names: Located<Vec<Domain>>,
    },
}

/// `domain NAME { }`
#[derive(Debug, Clone, PartialEq)]
pub struct LocalDomain {
    /// The domain.
    pub name: Located<Domain>,
    /// Where its mail goes.
    pub route: Located<Route>,
    /// Which recipients are taken.
    pub recipients: Located<Recipients>,
    /// Who gets mail for recipients that do not exist.
    pub catch_all: Option<Located<Address>>,
    /// The protection demanded on the way to a `smtp` or `lmtp` route over TCP.
    pub encryption: Located<tls::Level>,
}

/// `recipients`: which recipients of a domain are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recipients {
    /// Those with an account here; others are refused with 550 5.1.1.
    Accounts,
    /// All: the next server knows who exists, or a mailbox is made for each.
    Any,
}

/// `limits { }`: what one client may ask of the server.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// The largest message, in octets.
    pub message: Located<u64>,
    /// The largest header section, in octets.
    pub header: Located<u64>,
    /// The longest line of a message, in octets without CRLF (RFC 5321 section 4.5.3.1.6).
    pub line: Located<u32>,
    /// Recipients of one transaction.
    pub recipients: Located<u32>,
    /// Connections at a time.
    pub connections: Located<Option<u32>>,
    /// Connections at a time from one network: IPv4 /24, IPv6 /56.
    pub connections_per_network: Located<Option<u32>>,
    /// Transactions in one connection.
    pub messages_per_connection: Located<Option<u32>>,
    /// Commands in one connection.
    pub commands: Located<Option<u32>>,
    /// Refused commands in one connection.
    pub errors: Located<Option<u32>>,
    /// Failed sign-ins in one connection.
    pub sign_in_failures: Located<Option<u32>>,
    /// Received fields of a message, against loops (RFC 5321 section 6.3).
    pub received_hops: Located<u32>,
    /// The slowest that message content may come, in octets a second over a minute.
    pub data_rate: Located<Option<u64>>,
}

/// `timeouts { }`
#[derive(Debug, Clone, PartialEq)]
pub struct Timeouts {
    /// In: the next command (RFC 5321 section 4.5.3.2.7).
    pub command: Located<Duration>,
    /// In: the next part of message content.
    pub data: Located<Duration>,
    /// Both ways: a TLS handshake.
    pub handshake: Located<Duration>,
    /// In: a whole connection.
    pub session: Located<Option<Duration>>,
    /// Sessions that still run when the server stops.
    pub shutdown: Located<Duration>,
    /// Out: the connection.
    pub connect: Located<Duration>,
    /// Out: the greeting (section 4.5.3.2.1).
    pub greeting: Located<Duration>,
    /// Out: the reply to a command (sections 4.5.3.2.2, 4.5.3.2.3).
    pub reply: Located<Duration>,
    /// Out: the reply to DATA (section 4.5.3.2.4).
    pub data_start: Located<Duration>,
    /// Out: sending a part of the content (section 4.5.3.2.5).
    pub data_block: Located<Duration>,
    /// Out: the reply to the final dot (section 4.5.3.2.6).
    pub data_end: Located<Duration>,
}

/// `evidence { }`
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// Whether every hop is recorded.
    pub record: Located<bool>,
    /// The longest time between two signed checkpoints.
    pub checkpoint_every: Located<Duration>,
    /// The most entries between two signed checkpoints.
    pub checkpoint_entries: Located<u32>,
}

/// `log { }`
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    /// The form of a line.
    pub format: Located<LogFormat>,
    /// The least level that is written.
    pub level: Located<LogLevel>,
}

/// `format` of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One line for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// `level` of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// What needs someone now.
    Error,
    /// What needs someone soon.
    Warn,
    /// Each message and sign-in.
    Info,
    /// Each step.
    Debug,
    /// Each byte of a session that is not secret.
    Trace,
}

impl Config {
    /// The place of a value as rules, logs and evidence name it.
    pub fn origin(&self, span: Option<Span>) -> rules::Origin {
        span.map_or(rules::Origin::BUILT_IN, |span| origin(&self.sources, span))
    }

    /// The certificate of a name.
    pub fn certificate(&self, name: &str) -> Option<&Certificate> {
        self.certificates.iter().find(|certificate| *certificate.name == name)
    }

    /// The credentials of a name.
    pub fn credentials(&self, name: &str) -> Option<&Credentials> {
        self.credentials.iter().find(|credentials| *credentials.name == name)
    }

    /// The domain of ours that `domain` is.
    pub fn domain(&self, domain: &Domain) -> Option<&LocalDomain> {
        self.domains.iter().find(|ours| *ours.name == *domain)
    }

    /// The fax account of a name.
    pub fn fax_account(&self, name: &str) -> Option<&FaxAccount> {
        self.fax_accounts.iter().find(|account| *account.name == name)
    }

    /// The gateway of a name.
    pub fn fax_gateway(&self, name: &str) -> Option<&FaxGateway> {
        self.fax_gateways.iter().find(|gateway| *gateway.name == name)
    }

    /// The provider of a name.
    pub fn fax_provider(&self, name: &str) -> Option<&FaxProvider> {
        self.fax_providers.iter().find(|provider| *provider.name == name)
    }

    /// The targets that `mx { }` names for a domain.
    pub fn mx(&self, domain: &Domain) -> Option<&MxEntry> {
        self.mx.iter().find(|entry| *entry.domain == *domain)
    }

    /// Warnings about Force Encrypt entries whose time is over at `now`.
    pub fn expired(&self, now: mail::Timestamp) -> Vec<crate::Diagnostic> {
        let findings = rules::analysis::expired(&self.rule_set, now);
        findings.iter().map(|finding| crate::build::finding(finding, &self.sources)).collect()
    }

    /// The listener of a name.
    pub fn listener(&self, name: &str) -> Option<&Listener> {
        self.listeners.iter().find(|listener| *listener.name == name)
    }
}

/// The place of a span, for the types of `rules`.
pub(crate) fn origin(sources: &Sources, span: Span) -> rules::Origin {
    let (path, position) = sources.locate(span);
    rules::Origin::new(path.to_string_lossy(), position.line, position.column)
}
