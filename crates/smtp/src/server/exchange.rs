//! What passes between a session and its driver.

use std::fmt;

use bytes::Bytes;
use mail::{Envelope, Recipient};

use crate::extensions::Extensions;
use crate::mechanism::Mechanism;
use crate::refusal::{Fault, Refusal};
use crate::reply::Reply;
use crate::secret::Secret;

/// What the driver tells the session.
#[derive(Debug)]
pub enum Input<'a> {
    /// Octets from the client, decrypted; at most [`UNREAD_MAX_OCTETS`](super::UNREAD_MAX_OCTETS) at once.
    Bytes(&'a [u8]),
    /// The handshake that [`Output::StartTls`] asked for is done.
    TlsReady,
    /// The answer to the last [`Output::Ask`].
    Answer(Answer),
    /// The client took too long.
    Timeout(Timeout),
    /// The server is going down: the session ends at the next point where nothing is lost.
    Shutdown,
    /// The client closed its side. What it said before is still carried out;
    /// a message without its end is dropped.
    End,
}

/// What took too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timeout {
    /// Nothing came within the phase's time (RFC 5321 section 4.5.3.2).
    Idle,
    /// Content came, but too slowly.
    Slow,
    /// The session as a whole.
    Session,
}

/// What the session tells the driver. Order matters: carry each out before the next.
///
/// Replies may be gathered and written together, at the latest before the driver
/// reads again, starts TLS, or closes (RFC 2920 section 3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Say this to the client.
    Reply(Reply),
    /// Ask policy, and hand in [`Input::Answer`]. Until then the session reads no further.
    Ask(Question),
    /// A piece of the message's content, in order, as it will be stored: CRLF line endings, no dot-stuffing.
    /// At most [`CONTENT_PIECE_MAX_OCTETS`](super::CONTENT_PIECE_MAX_OCTETS).
    Content(Bytes),
    /// The transaction that [`Question::Mail`] began is over without a message: forget it and its content.
    Reset,
    /// The exchange that [`Question::AuthStart`] began is over without a result.
    AuthAbandoned,
    /// After the replies before this one, shake hands as TLS server; then [`Input::TlsReady`].
    StartTls,
    /// Something worth a line in the security log happened.
    Security(Incident),
    /// Write what is left to write and close. Always the last output.
    Close,
}

/// What only policy can decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// A client connected: greet it? Answers: `Yes`, `Refuse`.
    Connect,
    /// The client greeted. Answers: `Offer`, `Refuse`.
    Hello {
        /// The client's name for itself; not verified.
        name: String,
        /// EHLO or LHLO rather than HELO.
        extended: bool,
    },
    /// The client wants to authenticate. Answers: `Challenge`, `Authenticated`, `Refuse`.
    AuthStart {
        /// One of the mechanisms offered.
        mechanism: Mechanism,
        /// The initial response, decoded, if the client sent one.
        initial: Option<Secret>,
    },
    /// The client's response to the last challenge, decoded. Answers as for `AuthStart`.
    AuthContinue(Secret),
    /// A transaction begins. Answers: `Yes`, `Refuse`.
    Mail {
        /// The envelope, without recipients yet.
        envelope: Envelope,
        /// The size the client declared, in octets; within the limit.
        declared_octets: Option<u64>,
    },
    /// One more recipient. Answers: `Yes`, `Refuse`.
    Rcpt(Recipient),
    /// All recipients are known, content comes next. Answers: `Yes`, `Refuse` (which ends the transaction).
    Data,
    /// The message is complete, and all of its content has been handed out. Answers: `Accepted`,
    /// `Refuse`; under LMTP also `PerRecipient`. No [`Output::Reset`] follows.
    Commit(Box<Commit>),
    /// VRFY of this text. Answers: `Yes` (252, neither confirmed nor denied), `Refuse`.
    Vrfy(String),
    /// A line that is no command. Answers: `Yes` (500, as ever), `Refuse` (with another reply).
    Unknown(String),
}

/// A complete message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Who it is from and for.
    pub envelope: Envelope,
    /// What was seen of its content.
    pub content: ContentFacts,
}

/// What was seen of a message's content while it passed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ContentFacts {
    /// Its size in octets, as handed out.
    pub octets: u64,
    /// It has octets beyond ASCII.
    pub eight_bit: bool,
    /// Its longest line, in octets without CRLF; 0 for BINARYMIME.
    pub longest_line_octets: usize,
}

/// What policy decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Go on.
    Yes,
    /// Go on, and offer these extensions.
    Offer(Extensions),
    /// No.
    Refuse(Refusal),
    /// Send this challenge to the client (RFC 4954 section 4).
    Challenge(Vec<u8>),
    /// The client is who it claims to be.
    Authenticated {
        /// The account.
        identity: String,
    },
    /// The message is ours now and durable; the text is its id.
    Accepted(String),
    /// LMTP: for each recipient, in the order of the envelope, the message's id or a refusal.
    PerRecipient(Vec<Result<String, Refusal>>),
}

impl Answer {
    /// The answer to a question of yes or no.
    pub(super) fn permission(self) -> Result<(), Refusal> {
        match self {
            Self::Yes => Ok(()),
            Self::Refuse(refusal) => Err(refusal),
            Self::Offer(_)
            | Self::Challenge(_)
            | Self::Authenticated { .. }
            | Self::Accepted(_)
            | Self::PerRecipient(_) => Err(Fault::Misanswered.into()),
        }
    }

    /// The answer to a greeting.
    pub(super) fn offer(self) -> Result<Extensions, Refusal> {
        match self {
            Self::Offer(extensions) => Ok(extensions),
            other => other.permission().map(|()| Extensions::default()),
        }
    }

    /// The answer to a commit: what each of `recipients` is told.
    pub(super) fn outcomes(self, recipients: usize) -> Vec<Result<String, Refusal>> {
        match self {
            Self::Accepted(id) => vec![Ok(id); recipients],
            Self::Refuse(refusal) => vec![Err(refusal); recipients],
            Self::PerRecipient(mut outcomes) => {
                outcomes.resize(recipients, Err(Fault::Misanswered.into()));
                outcomes
            }
            Self::Yes | Self::Offer(_) | Self::Challenge(_) | Self::Authenticated { .. } => {
                vec![Err(Fault::Misanswered.into()); recipients]
            }
        }
    }
}

/// What the security log should know of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Incident {
    /// Plaintext after STARTTLS, meant to be believed under TLS (CVE-2011-0411).
    StartTlsInjection,
    /// The client spoke before our greeting.
    EarlyTalker,
    /// A web browser, or something that makes one speak to us.
    HttpClient,
    /// A bare CR or LF in content, as SMTP smuggling needs it.
    ContentLineEnding,
    /// Too many errors, or commands without a message.
    Abuse,
    /// A line or content without end.
    Endless,
    /// Too many failed authentications.
    AuthFailures,
}

impl Incident {
    /// A word for the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::StartTlsInjection => "starttls-injection",
            Self::EarlyTalker => "early-talker",
            Self::HttpClient => "http-client",
            Self::ContentLineEnding => "content-line-ending",
            Self::Abuse => "abuse",
            Self::Endless => "endless",
            Self::AuthFailures => "auth-failures",
        }
    }
}

impl fmt::Display for Incident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
