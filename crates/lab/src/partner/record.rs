//! What a partner saw: messages, counts, the client's mistakes.

use std::collections::VecDeque;
use std::net::SocketAddr;

use bytes::Bytes;

/// A message whose content arrived in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The name the client gave in EHLO, HELO or LHLO.
    pub hello: String,
    /// The reverse-path without its brackets.
    pub sender: String,
    /// The parameters of MAIL, as sent: `SIZE=123`, `RET=HDRS`.
    pub sender_parameters: Vec<String>,
    /// The recipients that were taken.
    pub recipients: Vec<Recipient>,
    /// The content, dot-unstuffed, with its CRLFs.
    pub content: Bytes,
    /// What the client was told.
    pub outcome: Outcome,
    /// TLS as it was; `None` for plaintext.
    pub tls: Option<TlsSeen>,
    /// Who signed in.
    pub auth: Option<AuthSeen>,
    /// The client.
    pub peer: SocketAddr,
    /// The connection, counted from 1.
    pub connection: u64,
    /// Whether it came by BDAT (RFC 3030) and not by DATA.
    pub chunked: bool,
}

impl Message {
    /// The content as text, what is not UTF-8 replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.content).into_owned()
    }
}

/// A recipient that was taken at RCPT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// The forward-path without its brackets.
    pub address: String,
    /// The parameters of RCPT, as sent: `NOTIFY=NEVER`.
    pub parameters: Vec<String>,
}

/// What a client was told about a complete message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// 250. In LMTP: for one recipient or more.
    Accepted,
    /// This reply.
    Refused(String),
    /// Nothing: the partner closed or fell silent.
    Unanswered,
}

/// How a connection was encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSeen {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: String,
    /// The suite by its registered name.
    pub suite: String,
    /// The key-exchange group.
    pub group: Option<String>,
    /// The server name the client asked for.
    pub sni: Option<String>,
    /// The protocols the client offered (RFC 7301).
    pub alpn: Vec<String>,
    /// The client's certificate, DER.
    pub client_certificate: Option<Vec<u8>>,
}

/// A successful sign-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthSeen {
    /// The mechanism by its registered name.
    pub mechanism: String,
    /// The user.
    pub user: String,
}

/// How often things happened at a partner, since it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Connections taken.
    pub connections: u64,
    /// TLS handshakes completed.
    pub handshakes: u64,
    /// TLS handshakes that failed or were broken off.
    pub handshakes_failed: u64,
    /// Successful sign-ins.
    pub sign_ins: u64,
    /// Failed sign-ins.
    pub sign_ins_failed: u64,
    /// MAIL commands.
    pub mail: u64,
    /// MAIL commands on a connection without TLS.
    pub mail_in_clear: u64,
    /// RCPT commands.
    pub rcpt: u64,
    /// Messages accepted.
    pub accepted: u64,
    /// Messages complete, and refused or left unanswered.
    pub not_accepted: u64,
}

/// Everything a partner remembers.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub counters: Counters,
    messages: VecDeque<Message>,
    content_octets: usize,
    violations: VecDeque<String>,
    lines: VecDeque<String>,
}

impl Record {
    pub fn keep(&mut self, message: Message) {
        match message.outcome {
            Outcome::Accepted => self.counters.accepted += 1,
            Outcome::Refused(_) | Outcome::Unanswered => self.counters.not_accepted += 1,
        }
        self.content_octets += message.content.len();
        self.messages.push_back(message);
        while self.messages.len() > MESSAGES_KEPT
            || (self.content_octets > CONTENT_KEPT_OCTETS && self.messages.len() > 1)
        {
            if let Some(oldest) = self.messages.pop_front() {
                self.content_octets -= oldest.content.len();
            }
        }
    }

    pub fn messages(&self) -> impl Iterator<Item = &Message> {
        self.messages.iter()
    }

    pub fn forget_messages(&mut self) {
        self.messages.clear();
        self.content_octets = 0;
    }

    pub fn violation(&mut self, what: String) {
        push_bounded(&mut self.violations, what, VIOLATIONS_KEPT);
    }

    pub fn violations(&self) -> Vec<String> {
        self.violations.iter().cloned().collect()
    }

    pub fn line(&mut self, connection: u64, who: char, text: &str) {
        let shown: String = text.chars().take(LINE_KEPT_CHARS).collect();
        push_bounded(&mut self.lines, format!("{connection} {who}: {shown}"), LINES_KEPT);
    }

    pub fn lines(&self) -> Vec<String> {
        self.lines.iter().cloned().collect()
    }
}

fn push_bounded(kept: &mut VecDeque<String>, text: String, limit: usize) {
    if kept.len() == limit {
        kept.pop_front();
    }
    kept.push_back(text);
}

/// Messages remembered; older ones are forgotten.
pub const MESSAGES_KEPT: usize = 1_000;
/// Octets of content remembered over all messages; older messages are forgotten.
pub const CONTENT_KEPT_OCTETS: usize = 128 << 20;
/// Mistakes of clients remembered.
pub const VIOLATIONS_KEPT: usize = 200;
/// Lines of transcripts remembered.
pub const LINES_KEPT: usize = 2_000;
const LINE_KEPT_CHARS: usize = 200;
