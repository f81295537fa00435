//! What became of each recipient, and what was seen on the way.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mail::{Status, Timestamp};
use serde::{Deserialize, Serialize};
use smtp::Reply;
use smtp::client::{Failure, Fate};
use tls::{Demands, Observed, Verdict};

/// One attempt to deliver a message to a group of recipients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// One a recipient, in the order of the job's envelope.
    pub outcomes: Vec<Outcome>,
    /// Every host that was contacted, in order; at most
    /// [`CONTACTS_MAX`](crate::plan::CONTACTS_MAX).
    pub contacts: Vec<Contact>,
}

/// What became of one recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Outcome {
    /// The next host, or the mailbox, has the message.
    Delivered(Delivered),
    /// Try again later.
    Temporary(Trouble),
    /// Trying again will not help.
    Permanent(Trouble),
}

/// Where a message went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivered {
    /// Which of [`Attempt::contacts`] took it.
    pub contact: usize,
    /// The host that took it, or `local` for a mailbox of ours.
    pub host: String,
    /// Its last words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<RemoteReply>,
    /// How it travelled on.
    pub onward: Onward,
}

/// What a notice of success would say, if the sender wished one (RFC 3461 section 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Onward {
    /// To a host that knows DSN and was told what the sender wishes: nothing is due from us.
    WithDsn,
    /// To a host that does not know DSN: a wished notice is due from us, saying "relayed".
    Relayed,
    /// Into the mailbox: a wished notice is due from us, saying "delivered".
    Final,
}

/// Why a recipient was not served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// The enhanced status for the notice.
    pub status: Status,
    /// What it is about.
    pub cause: Cause,
    /// In words, for the log, the notice and the trace.
    pub text: String,
    /// The host that said so or could not be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The host's own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<RemoteReply>,
    /// The host may have taken the message although its reply never came;
    /// another attempt may deliver it twice.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub uncertain: bool,
    /// Sooner than this an attempt is of no use, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

/// What a trouble is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// DNS: no such domain, no mail for it, or no answer.
    Dns,
    /// The mail would come back to us.
    Loop,
    /// The demo does not connect beyond loopback.
    Egress,
    /// No connection.
    Connect,
    /// The protection demanded was not to be had. When temporary, the sender is
    /// told early.
    Protection,
    /// A smart host did not let us sign in.
    SignIn,
    /// The host refused.
    Refused,
    /// The host cannot take such a message.
    Unfit,
    /// The session failed.
    Session,
    /// The content cannot be sent.
    Content,
    /// The disk, for local mailboxes.
    Disk,
    /// A limit of ours for this destination.
    Throttled,
}

/// What a host said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteReply {
    /// The three digits.
    pub code: u16,
    /// The enhanced status, where it gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// The text; `\n` between lines. At most [`REPLY_TEXT_MAX_CHARS`] characters.
    pub text: String,
}

/// The most of a remote reply's text that is kept.
pub const REPLY_TEXT_MAX_CHARS: usize = 1_000;

/// A host that was contacted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// Its name, as DNS or the route gives it; a path for a Unix socket.
    pub host: String,
    /// Where it was reached; `None` for a Unix socket or a mailbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<SocketAddr>,
    /// Its name and address came from DNSSEC-signed records that validated.
    pub dns_secure: bool,
    /// The connection was open from an earlier message.
    pub reused: bool,
    /// The protection demanded and found; `None` when it did not come so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Arc<Verdict>>,
    /// The last thing it said about this message, or why we got no further.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_reply: Option<RemoteReply>,
    /// Why this host was left without success, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// When it was turned to.
    pub started: Timestamp,
    /// When it was left.
    pub ended: Timestamp,
}

impl Attempt {
    /// An attempt on this machine, where nothing is demanded of the way. `host` is its name in
    /// traces.
    pub fn local(host: &str, started: Timestamp, ended: Timestamp, outcomes: Vec<Outcome>) -> Self {
        let contact = Contact {
            host: host.to_owned(),
            address: None,
            dns_secure: false,
            reused: false,
            verdict: Some(Arc::new(tls::judge(&Demands::new(), &Observed::Local))),
            last_reply: None,
            trouble: None,
            started,
            ended,
        };
        Self { started, ended, outcomes, contacts: vec![contact] }
    }

    /// An attempt that ended before anything was contacted, the same for all.
    pub fn without_contact(at: Timestamp, recipients: usize, outcome: &Outcome) -> Self {
        Self {
            started: at,
            ended: at,
            outcomes: vec![outcome.clone(); recipients],
            contacts: Vec::new(),
        }
    }

    /// Whether the sender should hear early that the message waits for the
    /// protection it demands.
    pub fn waits_for_protection(&self) -> bool {
        self.outcomes
            .iter()
            .any(|o| matches!(o, Outcome::Temporary(trouble) if trouble.cause == Cause::Protection))
    }

    /// The contact that took a recipient's message.
    pub fn taker(&self, outcome: &Outcome) -> Option<&Contact> {
        match outcome {
            Outcome::Delivered(delivered) => self.contacts.get(delivered.contact),
            Outcome::Temporary(_) | Outcome::Permanent(_) => None,
        }
    }
}

impl Outcome {
    /// A trouble, temporary or permanent as its status says.
    pub fn of(trouble: Trouble) -> Self {
        if trouble.status.is_temporary() {
            Self::Temporary(trouble)
        } else {
            Self::Permanent(trouble)
        }
    }

    /// Whether the message is off our hands.
    pub fn is_delivered(&self) -> bool {
        matches!(self, Self::Delivered(_))
    }

    /// Whether another attempt may help.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Temporary(_))
    }

    /// The trouble, if it is one.
    pub fn trouble(&self) -> Option<&Trouble> {
        match self {
            Self::Delivered(_) => None,
            Self::Temporary(trouble) | Self::Permanent(trouble) => Some(trouble),
        }
    }

    /// The status for the notice.
    pub fn status(&self) -> Status {
        match self {
            Self::Delivered(delivered) => delivered
                .reply
                .as_ref()
                .and_then(|reply| reply.status)
                .unwrap_or(Status::new(2, 0, 0)),
            Self::Temporary(trouble) | Self::Permanent(trouble) => trouble.status,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delivered(Delivered { host, reply: Some(reply), .. }) => {
                write!(f, "delivered to {host}: {reply}")
            }
            Self::Delivered(Delivered { host, reply: None, .. }) => {
                write!(f, "delivered to {host}")
            }
            Self::Temporary(trouble) => write!(f, "deferred ({}): {trouble}", trouble.status),
            Self::Permanent(trouble) => write!(f, "failed ({}): {trouble}", trouble.status),
        }
    }
}

impl Trouble {
    /// A trouble without a host.
    pub fn new(status: Status, cause: Cause, text: impl Into<String>) -> Self {
        Self {
            status,
            cause,
            text: text.into(),
            host: None,
            reply: None,
            uncertain: false,
            retry_after_ms: None,
        }
    }

    /// The same at `host`.
    #[must_use]
    pub fn at(self, host: impl Into<String>) -> Self {
        Self { host: Some(host.into()), ..self }
    }

    /// The same, not to be tried again before `wait` has passed.
    #[must_use]
    pub fn retry_after(self, wait: Duration) -> Self {
        Self { retry_after_ms: Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)), ..self }
    }

    /// What a recipient suffers when the session fails.
    pub fn of_failure(failure: &Failure, host: &str) -> Self {
        let cause = match failure {
            Failure::Refused { .. } | Failure::Closing { .. } => Cause::Refused,
            Failure::Lost { .. }
            | Failure::TimedOut { .. }
            | Failure::Malformed { .. }
            | Failure::Unexpected { .. }
            | Failure::Unsolicited => Cause::Session,
            Failure::Injected => Cause::Protection,
            Failure::Unclean(_) | Failure::ContentLength | Failure::ContentCutShort => {
                Cause::Content
            }
        };
        Self {
            reply: failure.reply().map(RemoteReply::from),
            ..Self::new(failure.status(), cause, failure.to_string()).at(host)
        }
    }

    /// What a fate short of acceptance means; `None` when it was accepted.
    pub(crate) fn of_fate(fate: &Fate, host: &str) -> Option<Self> {
        let (cause, reply, uncertain) = match fate {
            Fate::Accepted(_) => return None,
            Fate::Refused { reply, .. } => (Cause::Refused, Some(reply), false),
            Fate::Unfit(_) => (Cause::Unfit, None, false),
            Fate::Broken { failure, uncertain } => {
                let trouble = Self::of_failure(failure, host);
                return Some(Self { text: fate.to_string(), uncertain: *uncertain, ..trouble });
            }
        };
        Some(Self {
            reply: reply.map(RemoteReply::from),
            uncertain,
            ..Self::new(fate.status(), cause, fate.to_string()).at(host)
        })
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Some(host) => write!(f, "{host}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

impl From<&Reply> for RemoteReply {
    fn from(reply: &Reply) -> Self {
        let text = reply.text();
        let end = text.char_indices().nth(REPLY_TEXT_MAX_CHARS).map_or(text.len(), |(at, _)| at);
        Self { code: reply.code(), status: reply.status(), text: text[..end].to_owned() }
    }
}

impl fmt::Display for RemoteReply {
    /// On one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(status) = self.status {
            write!(f, " {status}")?;
        }
        for line in self.text.split('\n').map(str::trim).filter(|line| !line.is_empty()) {
            write!(f, " {line}")?;
        }
        Ok(())
    }
}
