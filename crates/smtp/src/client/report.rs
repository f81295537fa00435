//! What became of a transaction, and why a session failed.

use std::fmt;

use mail::Status;

use super::content::BareLineEnd;
use crate::reply::{Reply, ReplyError};

/// What the session waits for. The driver chooses its timeout by it (RFC 5321 section 4.5.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// The greeting.
    Greeting,
    /// The reply to EHLO, HELO or LHLO.
    Hello,
    /// The reply to STARTTLS.
    StartTls,
    /// A reply within AUTH.
    SignIn,
    /// The reply to MAIL.
    Mail,
    /// The reply to RCPT.
    Rcpt,
    /// The reply to DATA.
    DataStart,
    /// Content being sent.
    DataBlock,
    /// The reply to the end of the data.
    DataEnd,
    /// The reply to RSET.
    Reset,
    /// The reply to QUIT.
    Quit,
    /// Nothing: the session is at rest.
    Idle,
}

impl Phase {
    /// The phase in a few words, fit after "at" and "waiting for".
    pub const fn words(self) -> &'static str {
        match self {
            Self::Greeting => "the greeting",
            Self::Hello => "EHLO",
            Self::StartTls => "STARTTLS",
            Self::SignIn => "AUTH",
            Self::Mail => "MAIL",
            Self::Rcpt => "RCPT",
            Self::DataStart => "DATA",
            Self::DataBlock => "sending the content",
            Self::DataEnd => "the end of the data",
            Self::Reset => "RSET",
            Self::Quit => "QUIT",
            Self::Idle => "rest",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

/// Why a session ended early. It cannot be used further.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The peer does not serve us: greeting or EHLO refused.
    #[error("the peer refused at {phase}: {}", reply.summary())]
    Refused {
        /// Where.
        phase: Phase,
        /// Its words.
        reply: Reply,
    },
    /// 421: the peer is closing (RFC 5321 section 3.8).
    #[error("the peer is closing at {phase}: {}", reply.summary())]
    Closing {
        /// Where.
        phase: Phase,
        /// Its words.
        reply: Reply,
    },
    /// The connection ended.
    #[error("the connection was lost at {phase}")]
    Lost {
        /// Where.
        phase: Phase,
    },
    /// The peer was silent for too long.
    #[error("the peer did not answer in time at {phase}")]
    TimedOut {
        /// Where.
        phase: Phase,
    },
    /// What the peer sent is not SMTP.
    #[error("at {phase}: {error}")]
    Malformed {
        /// Where.
        phase: Phase,
        /// What is wrong with it.
        error: ReplyError,
    },
    /// A reply that makes no sense there, such as 250 to DATA.
    #[error("the peer gave an unexpected reply at {phase}: {}", reply.summary())]
    Unexpected {
        /// Where.
        phase: Phase,
        /// Its words.
        reply: Reply,
    },
    /// The peer sent a reply before it was asked: its replies can no longer be told apart.
    #[error("the peer sent a reply to nothing")]
    Unsolicited,
    /// Octets came in the clear after the reply to STARTTLS (RFC 3207 section 4.2; CVE-2011-0411).
    #[error("the peer sent more in the clear after its reply to STARTTLS")]
    Injected,
    /// The content was not what the survey said; the final dot was not sent.
    #[error("{0}; it was not sent")]
    Unclean(#[from] BareLineEnd),
    /// More or fewer octets than announced to BDAT; the message was not sent.
    #[error("the content has another length than announced")]
    ContentLength,
    /// The content ended before its last piece; the final dot was not sent.
    #[error("the content could not be read to its end")]
    ContentCutShort,
}

impl Failure {
    /// The status a recipient has who was waiting when this happened.
    pub fn status(&self) -> Status {
        match self {
            Self::Refused { reply, .. } | Self::Closing { reply, .. } => {
                reply.status().unwrap_or(Status::new(reply.class(), 3, 2))
            }
            Self::Lost { .. } | Self::TimedOut { .. } => Status::new(4, 4, 2),
            Self::Malformed { .. } | Self::Unexpected { .. } | Self::Unsolicited => {
                Status::new(4, 5, 0)
            }
            Self::Injected => Status::new(4, 7, 5),
            Self::Unclean(_) | Self::ContentLength => Status::new(5, 6, 0),
            Self::ContentCutShort => Status::new(4, 3, 0),
        }
    }

    /// The peer's last words, where the failure is one.
    pub fn reply(&self) -> Option<&Reply> {
        match self {
            Self::Refused { reply, .. }
            | Self::Closing { reply, .. }
            | Self::Unexpected { reply, .. } => Some(reply),
            Self::Lost { .. }
            | Self::TimedOut { .. }
            | Self::Malformed { .. }
            | Self::Unsolicited
            | Self::Injected
            | Self::Unclean(_)
            | Self::ContentLength
            | Self::ContentCutShort => None,
        }
    }
}

/// What a message needs and the peer does not offer. Nothing was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// The message was sent with REQUIRETLS (RFC 8689 section 4.2.1).
    #[error("the message requires REQUIRETLS, which the peer does not offer")]
    RequireTls,
    /// An address or the header is not ASCII (RFC 6531 section 3.4).
    #[error("the message needs SMTPUTF8, which the peer does not offer")]
    SmtpUtf8,
    /// The content is not 7-bit (RFC 6152 section 3).
    #[error("the content is 8-bit and the peer does not offer 8BITMIME")]
    EightBit,
    /// The content is binary (RFC 3030 section 3).
    #[error("the content is binary and the peer does not offer CHUNKING and BINARYMIME")]
    Binary,
    /// The message is larger than the peer takes (RFC 1870 section 6.3).
    #[error("the message has {octets} octets and the peer takes {limit}")]
    TooBig {
        /// The message's size.
        octets: u64,
        /// What the peer offered.
        limit: u64,
    },
}

impl Unfit {
    /// The status for the sender: always permanent, for this peer.
    pub const fn status(self) -> Status {
        match self {
            Self::RequireTls => Status::new(5, 7, 30),
            Self::SmtpUtf8 => Status::new(5, 6, 7),
            Self::EightBit | Self::Binary => Status::new(5, 6, 3),
            Self::TooBig { .. } => Status::new(5, 3, 4),
        }
    }
}

/// What became of one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// The peer took responsibility (RFC 5321 section 4.2.5).
    Accepted(Reply),
    /// The peer refused, for now (4xx) or for good (5xx).
    Refused {
        /// At which command.
        phase: Phase,
        /// Its words.
        reply: Reply,
    },
    /// The peer cannot take it; nothing was sent for this recipient.
    Unfit(Unfit),
    /// The session failed first.
    Broken {
        /// How.
        failure: Failure,
        /// The end of the data was sent and its reply never came: the peer may
        /// have the message. It is sent again all the same (RFC 5321 section 4.5.4.1,
        /// RFC 1047).
        uncertain: bool,
    },
}

impl Fate {
    /// Whether the peer has the message.
    pub fn is_accepted(&self) -> bool {
        matches!(self, Self::Accepted(_))
    }

    /// The enhanced status: the peer's own, or what its code stands for.
    pub fn status(&self) -> Status {
        match self {
            Self::Accepted(reply) => reply.status().unwrap_or(Status::new(2, 0, 0)),
            Self::Refused { phase, reply } => {
                reply.status().unwrap_or_else(|| implied(*phase, reply))
            }
            Self::Unfit(unfit) => unfit.status(),
            Self::Broken { failure, .. } => failure.status(),
        }
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted(reply) => f.write_str(&reply.summary()),
            Self::Refused { phase, reply } => {
                write!(f, "refused at {phase}: {}", reply.summary())
            }
            Self::Unfit(unfit) => unfit.fmt(f),
            Self::Broken { failure, uncertain: false } => failure.fmt(f),
            Self::Broken { failure, uncertain: true } => {
                write!(f, "{failure}; the peer may have taken the message")
            }
        }
    }
}

/// The status a bare code stands for (RFC 3463, RFC 5248 section 2.4 by example).
fn implied(phase: Phase, reply: &Reply) -> Status {
    let (subject, detail) = match (phase, reply.code()) {
        (Phase::Rcpt, 550 | 551 | 553) => (1, 1),
        (Phase::Rcpt, 452) => (5, 3),
        (_, 452) => (3, 1),
        (_, 552) => (3, 4),
        (_, 421) => (3, 2),
        (_, 530 | 535) => (7, 0),
        (_, _) => (0, 0),
    };
    Status::new(reply.class(), subject, detail)
}

/// What became of a transaction: one fate a recipient, in the envelope's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The fates, in the order of the envelope's recipients.
    pub fates: Vec<Fate>,
    /// The peer offers DSN and was told what the sender wants to know. If not,
    /// a wished notice of success is due from us, as "relayed" (RFC 3461 section 5.2.2).
    pub dsn_passed_on: bool,
}
