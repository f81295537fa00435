//! Why a command was refused, and the reply that says so.

use mail::AddressError;

use crate::reply::Reply;
use crate::xtext::XtextError;

/// A refusal to give to the peer, built by policy or from a [`Fault`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What the peer is told.
    pub reply: Reply,
    /// Whether the connection ends after the reply.
    pub close: bool,
}

impl Refusal {
    /// A refusal after which the session goes on.
    pub fn new(reply: Reply) -> Self {
        Self { reply, close: false }
    }

    /// A refusal after which the connection ends.
    pub fn closing(reply: Reply) -> Self {
        Self { reply, close: true }
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self { reply: fault.reply(), close: fault.loses_step() }
    }
}

/// What the protocol itself finds wrong with a command or with content.
///
/// `Display` is for the log; [`reply`](Self::reply) is for the peer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No such command.
    #[error("unknown command")]
    UnknownCommand,
    /// A command we know and do not offer here.
    #[error("{0} is not offered")]
    NotOffered(&'static str),
    /// A command at a time when it makes no sense; the text says what is missing.
    #[error("bad sequence of commands: {0}")]
    BadSequence(&'static str),
    /// The command's form is wrong; the text is the right one.
    #[error("wrong form of command, expected {0}")]
    Syntax(&'static str),
    /// The name after EHLO, HELO or LHLO cannot be a host's.
    #[error("not a host name or address literal after EHLO, HELO or LHLO")]
    HelloName,
    /// The reverse-path is wrong.
    #[error("sender address: {0}")]
    Sender(AddressError),
    /// The forward-path is wrong.
    #[error("recipient address: {0}")]
    Recipient(AddressError),
    /// An address beyond ASCII in a transaction without SMTPUTF8 (RFC 6531 section 3.5).
    #[error("address needs SMTPUTF8")]
    NeedsSmtpUtf8,
    /// A parameter that is unknown, or whose extension is not offered.
    #[error("parameter {0} is not offered")]
    UnknownParameter(String),
    /// A parameter given twice.
    #[error("parameter {0} is given twice")]
    RepeatedParameter(String),
    /// A parameter's value is wrong; the second text is what it takes.
    #[error("parameter {0} takes {1}")]
    ParameterValue(&'static str, &'static str),
    /// A parameter's value is not xtext.
    #[error("parameter {0} is not xtext: {1}")]
    Xtext(&'static str, XtextError),
    /// REQUIRETLS outside TLS (RFC 8689 section 2).
    #[error("REQUIRETLS without TLS")]
    RequireTlsInClear,
    /// CR, LF in a command, or a line that LF alone ends.
    #[error("bare CR or LF in a command")]
    LineEnding,
    /// A control character in a command.
    #[error("control character in a command")]
    ControlCharacter,
    /// A command that is not UTF-8.
    #[error("command is not UTF-8")]
    NotUtf8,
    /// A command line beyond the limit.
    #[error("command line is longer than {limit_octets} octets")]
    LineTooLong {
        /// The longest line taken, with its CRLF.
        limit_octets: usize,
    },
    /// A BDAT whose size cannot be told, so that command and content cannot be told apart.
    #[error("BDAT without a readable size")]
    ChunkSize,
    /// No recipient was accepted.
    #[error("no valid recipients")]
    NoRecipients,
    /// More recipients than one transaction takes.
    #[error("more than {limit} recipients")]
    TooManyRecipients {
        /// The most recipients in one transaction.
        limit: u32,
    },
    /// The message, or the size declared for it, is beyond the limit.
    #[error("message is larger than {limit_octets} octets")]
    TooLarge {
        /// The largest message taken.
        limit_octets: u64,
    },
    /// A CR or LF alone in content: what SMTP smuggling needs (CVE-2023-51764).
    #[error("bare CR or LF in content")]
    ContentLineEnding,
    /// A NUL in content that is not BINARYMIME.
    #[error("NUL in content")]
    ContentNul,
    /// A line of content beyond the limit (RFC 5322 section 2.1.1).
    #[error("a line of content is longer than {limit_octets} octets")]
    ContentLineTooLong {
        /// The longest line taken, without its CRLF.
        limit_octets: usize,
    },
    /// AUTH where only an encrypted connection offers it.
    #[error("AUTH before STARTTLS")]
    AuthNeedsTls,
    /// A mechanism that is not offered.
    #[error("authentication mechanism is not offered")]
    MechanismNotOffered,
    /// A response that is not base64.
    #[error("authentication response is not base64")]
    NotBase64,
    /// The client took its authentication back.
    #[error("authentication cancelled by the client")]
    AuthCancelled,
    /// The driver gave an answer that does not fit the question.
    #[error("answer does not fit the question")]
    Misanswered,
}

impl Fault {
    /// The reply for the peer. It names no path or rule of ours.
    pub fn reply(&self) -> Reply {
        match self {
            Self::UnknownCommand => Reply::new(500, 5, 1, "Command not recognized"),
            Self::NotOffered(command) => {
                Reply::new(502, 5, 1, format!("{command} is not offered here"))
            }
            Self::BadSequence(missing) => {
                Reply::new(503, 5, 1, format!("Bad sequence of commands: {missing}"))
            }
            Self::Syntax(form) => Reply::new(501, 5, 4, format!("Syntax: {form}")),
            Self::HelloName => {
                Reply::new(501, 5, 4, "A host name or an address literal is expected")
            }
            Self::Sender(error) => Reply::new(501, 1, 7, format!("Bad sender address: {error}")),
            Self::Recipient(error) => {
                Reply::new(501, 1, 3, format!("Bad recipient address: {error}"))
            }
            Self::NeedsSmtpUtf8 => {
                Reply::new(553, 6, 7, "Address has non-ASCII characters: SMTPUTF8 is needed")
            }
            Self::UnknownParameter(keyword) => {
                Reply::new(555, 5, 4, format!("Parameter {keyword} is not offered here"))
            }
            Self::RepeatedParameter(keyword) => {
                Reply::new(501, 5, 4, format!("Parameter {keyword} is given twice"))
            }
            Self::ParameterValue(keyword, takes) => {
                Reply::new(501, 5, 4, format!("Parameter {keyword} takes {takes}"))
            }
            Self::Xtext(keyword, error) => {
                Reply::new(501, 5, 4, format!("Parameter {keyword} is not xtext: {error}"))
            }
            Self::RequireTlsInClear => {
                Reply::new(530, 7, 10, "REQUIRETLS is valid only under TLS: use STARTTLS first")
            }
            Self::LineEnding => {
                Reply::new(500, 5, 2, "Bare CR or LF in a command: lines end with CR LF")
            }
            Self::ControlCharacter => Reply::new(500, 5, 2, "Control character in a command"),
            Self::NotUtf8 => Reply::new(500, 5, 2, "Command is not UTF-8"),
            Self::LineTooLong { limit_octets } => {
                Reply::new(500, 5, 6, format!("Line is longer than {limit_octets} octets"))
            }
            Self::ChunkSize => Reply::new(501, 5, 4, "Syntax: BDAT octets [LAST]"),
            Self::NoRecipients => Reply::new(554, 5, 1, "No valid recipients"),
            Self::TooManyRecipients { limit } => {
                Reply::new(452, 5, 3, format!("Too many recipients: at most {limit} a message"))
            }
            Self::TooLarge { limit_octets } => {
                Reply::new(552, 3, 4, format!("Message is larger than {limit_octets} octets"))
            }
            Self::ContentLineEnding => {
                Reply::new(550, 6, 11, "Message refused: it has a bare CR or LF in it")
            }
            Self::ContentNul => Reply::new(550, 6, 0, "Message refused: it has a NUL in it"),
            Self::ContentLineTooLong { limit_octets } => Reply::new(
                554,
                6,
                0,
                format!("Message refused: it has a line longer than {limit_octets} octets"),
            ),
            Self::AuthNeedsTls => {
                Reply::new(538, 7, 11, "Encryption is needed to authenticate: use STARTTLS first")
            }
            Self::MechanismNotOffered => {
                Reply::new(504, 5, 4, "Authentication mechanism is not offered")
            }
            Self::NotBase64 => Reply::new(501, 5, 2, "Authentication response is not base64"),
            Self::AuthCancelled => Reply::new(501, 7, 0, "Authentication cancelled"),
            Self::Misanswered => Reply::new(451, 3, 0, "Local error, try again later"),
        }
    }

    /// Whether what follows can no longer be told from content, so that the connection must end.
    pub fn loses_step(&self) -> bool {
        matches!(self, Self::ChunkSize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lost_chunk_ends_the_connection() {
        assert!(Refusal::from(Fault::ChunkSize).close);
        assert!(!Refusal::from(Fault::UnknownCommand).close);
        assert_eq!(
            Fault::TooManyRecipients { limit: 3 }.reply().to_string(),
            "452 4.5.3 Too many recipients: at most 3 a message\r\n"
        );
    }
}
