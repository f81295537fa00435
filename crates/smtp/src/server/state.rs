//! Where a session stands, and what belongs to that place.

use mail::{Envelope, Recipient};

use super::content::Decoder;
use crate::command::Chunk;
use crate::refusal::Refusal;

/// Where a session stands. What is known lives in the state that has it.
#[derive(Debug)]
pub(super) enum State {
    /// A question is open; nothing is read until it is answered.
    Asking(Asked),
    /// Policy refused the client at its greeting: only QUIT makes sense.
    Rejected,
    /// Our greeting is out, the client's is not in.
    Connected,
    /// The client has greeted.
    Greeted,
    /// MAIL was accepted; recipients are being named.
    Addressing(Box<Transaction>),
    /// Content comes by DATA.
    Receiving(Box<Content>),
    /// Between two chunks.
    Chunking(Box<Content>),
    /// Within a chunk.
    InChunk(Box<Content>, Chunk),
    /// Within a chunk that is refused.
    Draining(Drain),
    /// A challenge is out.
    Authenticating,
    /// STARTTLS was granted; the driver is shaking hands.
    Handshaking,
    /// It is over.
    Closed,
}

/// Which question is open, and what to go on with.
#[derive(Debug)]
pub(super) enum Asked {
    Connect,
    Hello { name: String, extended: bool },
    Auth,
    Mail(Box<Transaction>),
    Rcpt(Box<Transaction>, Recipient),
    Data(Box<Transaction>),
    FirstChunk(Box<Transaction>, Chunk),
    Commit { recipients: usize },
    Vrfy(Box<State>),
    Unknown(Box<State>),
}

/// A mail transaction without its content.
#[derive(Debug)]
pub(super) struct Transaction {
    pub envelope: Envelope,
    /// Some recipient was refused.
    pub refused: bool,
}

/// A mail transaction whose content is coming.
#[derive(Debug)]
pub(super) struct Content {
    pub transaction: Transaction,
    pub decoder: Decoder,
}

/// Octets to pass over, and what to say then.
#[derive(Debug)]
pub(super) struct Drain {
    pub octets: u64,
    pub refusal: Refusal,
    /// How many replies the client waits for.
    pub replies: usize,
    pub next: Box<State>,
}

/// What a session waits for; the driver times it accordingly (RFC 5321 section 4.5.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The answer to a question.
    Answer,
    /// A command.
    Command,
    /// A response to a challenge.
    AuthResponse,
    /// Content of a message.
    Content,
    /// The TLS handshake.
    Handshake,
    /// Nothing: it is over.
    Closed,
}

impl State {
    pub(super) fn phase(&self) -> Phase {
        match self {
            Self::Asking(_) => Phase::Answer,
            Self::Rejected
            | Self::Connected
            | Self::Greeted
            | Self::Addressing(_)
            | Self::Chunking(_) => Phase::Command,
            Self::Authenticating => Phase::AuthResponse,
            Self::Receiving(_) | Self::InChunk(..) | Self::Draining(_) => Phase::Content,
            Self::Handshaking => Phase::Handshake,
            Self::Closed => Phase::Closed,
        }
    }

    /// The transaction that policy knows of and that has no outcome yet.
    pub(super) fn transaction(&self) -> Option<&Transaction> {
        match self {
            Self::Asking(
                Asked::Mail(transaction)
                | Asked::Rcpt(transaction, _)
                | Asked::Data(transaction)
                | Asked::FirstChunk(transaction, _),
            )
            | Self::Addressing(transaction) => Some(transaction),
            Self::Receiving(content) | Self::Chunking(content) | Self::InChunk(content, _) => {
                Some(&content.transaction)
            }
            Self::Asking(Asked::Vrfy(state) | Asked::Unknown(state)) => state.transaction(),
            Self::Draining(drain) => drain.next.transaction(),
            Self::Asking(
                Asked::Connect | Asked::Hello { .. } | Asked::Auth | Asked::Commit { .. },
            )
            | Self::Rejected
            | Self::Connected
            | Self::Greeted
            | Self::Authenticating
            | Self::Handshaking
            | Self::Closed => None,
        }
    }

    /// Whether an AUTH exchange is under way.
    pub(super) fn is_authenticating(&self) -> bool {
        matches!(self, Self::Authenticating | Self::Asking(Asked::Auth))
    }
}
