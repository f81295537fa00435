//! What an entry can say.
//!
//! Names of fields and kinds are part of the evidence format: once released they stay.

use std::net::IpAddr;

use mail::{Address, ReversePath, Status, Timestamp, TraceId};
use serde::{Deserialize, Serialize};

use crate::Digest;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Event {
    /// A message was taken: the promise of a 250.
    Accepted(Box<Accepted>),
    /// A connection, command or message was refused.
    Refused(Box<Refused>),
    /// An attempt was made to pass a message on.
    Attempted(Box<Attempted>),
    /// Recipients reached their final state.
    Finished(Finished),
    /// A person did something with a message, or with the server.
    AdminAction(AdminAction),
    /// A configuration took effect.
    ConfigChanged(ConfigChanged),
    /// An account or a domain was changed.
    AccountChanged(AccountChanged),
    /// The server started.
    Started(Started),
    /// A fax that a message became has come to another state.
    FaxChanged(Box<FaxChanged>),
}

impl Event {
    /// What was accepted, where this says so.
    pub fn accepted(&self) -> Option<&Accepted> {
        match self {
            Self::Accepted(accepted) => Some(accepted),
            Self::Refused(_)
            | Self::Attempted(_)
            | Self::Finished(_)
            | Self::AdminAction(_)
            | Self::ConfigChanged(_)
            | Self::AccountChanged(_)
            | Self::Started(_)
            | Self::FaxChanged(_) => None,
        }
    }
}

/// A fax that has come to another state. It is about the message it was made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaxChanged {
    /// The fax.
    pub fax: TraceId,
    /// The account it is sent by.
    pub account: String,
    /// The number it is for.
    pub number: String,
    /// Where it stands, in a word.
    pub state: String,
    /// The same in words for a person, where they say more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// How many pages it has.
    pub pages: u32,
    /// How many of them the other machine has confirmed.
    pub confirmed: u32,
    /// SHA-256 of the file of its pages.
    pub sha256: Digest,
    /// What the transport calls it, once it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport: Option<String>,
    /// The transport, by its name in the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
}

/// A message that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// Where it came from.
    pub origin: Origin,
    /// The message.
    pub message: MessageFacts,
    /// The envelope.
    pub envelope: EnvelopeFacts,
    /// Who signed in, if anyone did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authenticated: Option<Authenticated>,
    /// The TLS session it came over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Box<tls::Handshake>>,
    /// Who the sender was found to be, if that was checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<Box<crate::SenderAuthentication>>,
    /// What lists said about the client and the links.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lists: Vec<lists::Finding>,
    /// What the rules said.
    pub decision: Decision,
    /// Every recipient that was promised something.
    pub recipients: Vec<Promise>,
    /// What filters said, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<FilterFinding>,
}

/// What a filter said of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilterFinding {
    /// The filter: `milter opendkim`, `scanner clamav`.
    pub by: String,
    /// In words.
    pub what: String,
}

/// Where a message came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// A client connected.
    Listener {
        /// The listener's name in the configuration.
        name: String,
        /// Its port.
        port: u16,
        /// The protocol keyword, such as `ESMTPSA` (RFC 3848).
        protocol: String,
        /// The client.
        client: Client,
    },
    /// This server wrote it: a notice about another message.
    Notice {
        /// That message.
        about: TraceId,
    },
    /// It was handed over on this host: a command, an API, the demo.
    Injected {
        /// By whom.
        by: String,
    },
}

/// A client, as it was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// Its address.
    pub ip: IpAddr,
    /// The name of the address in DNS, if forward and reverse agree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The name it gave itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub helo: Option<String>,
}

/// What is kept of the message itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageFacts {
    /// SHA-256 of the content as it is kept.
    pub sha256: Digest,
    /// The size of the content.
    pub octets: u64,
    /// The subject, decoded, if the configuration keeps subjects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The message identifier without angle brackets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
}

/// What is kept of the envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvelopeFacts {
    /// [`envelope_digest`](crate::envelope_digest) of the envelope as it came.
    pub sha256: Digest,
    /// The reverse-path.
    pub from: ReversePath,
    /// The transaction asked for REQUIRETLS.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub require_tls: bool,
}

/// Who signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authenticated {
    /// The account.
    pub identity: String,
    /// How: a SASL mechanism, or `certificate`.
    pub mechanism: String,
}

/// What the rules said about a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The revision of the configuration in force.
    pub revision: u64,
    /// The rules that did something, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleEffect>,
    /// The verdict in a word: `relay`, `deliver`, `quarantine`, `discard`, `refuse`.
    pub verdict: String,
}

/// A rule that did something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleEffect {
    /// The rule.
    pub rule: RuleRef,
    /// When: the stage's word.
    pub stage: String,
    /// What it did, in words: `set relay-encryption encrypted`.
    pub effect: String,
}

/// A rule of the configuration, as people find it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleRef {
    /// Its place in the order, as traces show it: `4`, `0.2` for one that is built in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// Its name.
    pub name: String,
    /// `file:line`, if it is written in a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
}

/// A recipient that was promised something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promise {
    /// The address. It names the promise within the message, to the end.
    pub address: Address,
    /// What was decided for it, in words: `relay`, `deliver`.
    pub verdict: String,
    /// The rule that added the recipient or decided about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<RuleRef>,
}

/// Something that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Where it came from.
    pub origin: Origin,
    /// The stage of the session: `connect`, `hello`, `auth`, `mail`, `rcpt`, `data`.
    pub stage: String,
    /// The reverse-path, once given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<ReversePath>,
    /// The recipient refused; absent when it was the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<Address>,
    /// Who had signed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authenticated: Option<Authenticated>,
    /// The TLS session, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Box<tls::Handshake>>,
    /// Who the sender was found to be, if that was checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<Box<crate::SenderAuthentication>>,
    /// The reply that was given.
    pub reply: String,
    /// What lists said about the client and the links.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lists: Vec<lists::Finding>,
    /// The rule that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<RuleRef>,
    /// The revision of the configuration in force.
    pub revision: u64,
    /// What filters said, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<FilterFinding>,
}

/// An attempt to pass a message on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempted {
    /// The how-manieth, from 1.
    pub number: u32,
    /// Where to.
    pub target: Target,
    /// The host that was spoken to in the end, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<IpAddr>,
    /// Its port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The protection that was demanded and seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Box<tls::Verdict>>,
    /// Hosts that were tried before and did not do, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<Tried>,
    /// The DKIM signatures it left with, each as DOMAIN/SELECTOR.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signed: Vec<String>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// The last reply to the whole message, such as that to its final dot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<String>,
    /// What became of each recipient in this attempt.
    pub recipients: Vec<TriedRecipient>,
    /// When the recipients that wait are tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Timestamp>,
}

/// Where an attempt leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// By which way.
    pub way: TargetKind,
    /// A domain, a host, a mailbox.
    pub name: String,
}

/// The ways out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetKind {
    /// The mail exchangers of a domain.
    Mx,
    /// A host the configuration names.
    SmartHost,
    /// A delivery agent by LMTP.
    Lmtp,
    /// A mailbox of this server.
    Mailbox,
    /// A fax account of this server, which makes faxes of it.
    Fax,
}

/// A host that was tried and did not do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    /// Its name.
    pub host: String,
    /// Its address, if it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<IpAddr>,
    /// Why not, in words.
    pub why: String,
    /// The protection seen, if it came to that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Box<tls::Verdict>>,
}

/// What became of a recipient in one attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriedRecipient {
    /// The recipient, as promised.
    pub address: Address,
    /// What became of it.
    pub result: TriedResult,
    /// The enhanced status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// The reply about this recipient, where it differs from that to the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<String>,
}

/// The result of an attempt for one recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TriedResult {
    /// Taken.
    Taken,
    /// To be tried again.
    Deferred,
    /// Refused for good.
    Refused,
}

/// Recipients that reached their final state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    /// Each with its state.
    pub recipients: Vec<FinishedRecipient>,
}

/// A recipient and its final state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinishedRecipient {
    /// The recipient, as promised.
    pub address: Address,
    /// The state.
    pub ending: Ending,
    /// Why, in words; absent where it went well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The rule that discarded or quarantined it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<RuleRef>,
    /// The notice that told the sender.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<TraceId>,
}

/// The final state of a recipient. There is exactly one for every promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// Put into a mailbox of ours, or handed over by LMTP.
    Delivered,
    /// Taken by another server.
    Relayed,
    /// Given up; the sender was told if the sender can be told.
    Bounced,
    /// Dropped by a named rule.
    Discarded,
    /// Kept aside by a named rule.
    Quarantined,
    /// Taken out by an operator without telling the sender.
    Cancelled,
}

impl Ending {
    /// Every ending, in the order in which the ledger shows them.
    pub const ALL: [Self; 6] = [
        Self::Delivered,
        Self::Relayed,
        Self::Bounced,
        Self::Discarded,
        Self::Quarantined,
        Self::Cancelled,
    ];

    /// The word for it.
    pub fn word(self) -> &'static str {
        store::Ending::from(self).word()
    }
}

impl From<store::Ending> for Ending {
    fn from(ending: store::Ending) -> Self {
        match ending {
            store::Ending::Delivered => Self::Delivered,
            store::Ending::Relayed => Self::Relayed,
            store::Ending::Bounced => Self::Bounced,
            store::Ending::Discarded => Self::Discarded,
            store::Ending::Quarantined => Self::Quarantined,
            store::Ending::Cancelled => Self::Cancelled,
        }
    }
}

impl From<Ending> for store::Ending {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Delivered => Self::Delivered,
            Ending::Relayed => Self::Relayed,
            Ending::Bounced => Self::Bounced,
            Ending::Discarded => Self::Discarded,
            Ending::Quarantined => Self::Quarantined,
            Ending::Cancelled => Self::Cancelled,
        }
    }
}

/// Something a person did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdminAction {
    /// Who.
    pub by: String,
    /// What, in a word: `hold`, `release`, `reroute`, `cancel`, `export`.
    pub action: String,
    /// With what: a message, a queue, a mailbox.
    pub subject: String,
    /// More, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// A configuration that took effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigChanged {
    /// Its revision.
    pub revision: u64,
    /// Who made it.
    pub author: String,
    /// Why.
    pub reason: String,
    /// SHA-256 of its text.
    pub sha256: Digest,
}

/// An account or domain that was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountChanged {
    /// Who changed it.
    pub by: String,
    /// The account or domain.
    pub account: String,
    /// What was changed, in words and without secrets.
    pub change: String,
}

/// The start of the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The release.
    pub version: String,
    /// The revision of the configuration in force.
    pub revision: u64,
}
