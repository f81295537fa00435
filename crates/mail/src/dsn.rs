//! Delivery status notifications: telling a sender what became of a message
//! (RFC 3461, RFC 3464, RFC 6522, RFC 6533).
//!
//! A [`Notice`] is plain data; [`Notice::compose`] makes the message: words for
//! people first, the fields for programs second, and of the original what may be
//! returned. Nothing a remote host or a sender wrote can begin a field or a part.
//!
//! The body of the original is returned only where the sender asked for it with
//! `RET=FULL`, and never when the message could not be protected as demanded: the
//! way back may be no better.
//!
//! A [`Report`] is such a notice of another server, read.

mod encode;
mod fields;
mod read;
mod text;

use std::time::Duration;

use crate::header::{Header, NewField, encode_words};
use crate::{Address, Body, Domain, DsnReturn, Status, Timestamp, TraceId};
use encode::Encoding;
pub use read::{Report, Reported, Said};

/// The largest original that is returned whole, in octets.
pub const RETURN_MAX_OCTETS: usize = 64 * 1024;
/// The most octets of an original's header that are returned.
pub const RETURN_HEADER_MAX_OCTETS: usize = 16 * 1024;
/// The most recipients one notice speaks of; the caller makes several for more.
pub const RECIPIENTS_MAX: usize = 1_000;
/// The longest text of a remote host that is repeated, in characters.
pub const REMOTE_TEXT_MAX_CHARS: usize = 1_000;
/// The longest subject that is repeated, in characters.
const SUBJECT_MAX_CHARS: usize = 200;

/// What became of a message, for its sender.
#[derive(Debug, Clone)]
pub struct Notice<'a> {
    /// The name of the notice, which is a message itself.
    pub id: TraceId,
    /// Now.
    pub at: Timestamp,
    /// This host.
    pub reporting_mta: &'a Domain,
    /// Who the notice comes from; `MAILER-DAEMON` at this host if nobody is named.
    /// Its envelope has the null reverse-path in any case.
    pub from: Option<&'a Address>,
    /// The sender of the original. Where the original had the null reverse-path
    /// there is no notice.
    pub to: &'a Address,
    /// The original transaction asked for SMTPUTF8, so its sender can read RFC 6533 forms.
    pub smtputf8: bool,
    /// The name of the original on this host.
    pub original_id: TraceId,
    /// The sender's name for the transaction, decoded from xtext.
    pub envid: Option<&'a str>,
    /// When the original came.
    pub arrival: Timestamp,
    /// The name of the host it came from, as that host gave it.
    pub received_from: Option<&'a str>,
    /// What the sender asked to be returned.
    pub dsn_return: Option<DsnReturn>,
    /// What became of each recipient; at most [`RECIPIENTS_MAX`] are used.
    pub recipients: &'a [RecipientNotice],
    /// The original.
    pub original: Original<'a>,
}

/// The original message, or as much of it as is at hand.
#[derive(Debug, Clone, Copy)]
pub struct Original<'a> {
    /// Its first octets: at least the header, at best [`RETURN_MAX_OCTETS`].
    pub content: &'a [u8],
    /// Whether that is all of it.
    pub whole: bool,
}

/// What became of one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientNotice {
    /// The address it was to go to in the end.
    pub recipient: Address,
    /// `ORCPT`, as `type;address`, decoded from xtext.
    pub orcpt: Option<String>,
    /// What was done.
    pub action: Action,
    /// The enhanced status code.
    pub status: Status,
    /// Why, for people.
    pub reason: Reason,
    /// The host that answered last, by name.
    pub remote_mta: Option<String>,
    /// That host's SMTP reply, any text.
    pub reply: Option<String>,
    /// When it was tried last.
    pub last_attempt: Option<Timestamp>,
}

/// What was done about a recipient (RFC 3464 section 2.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Given up.
    Failed,
    /// Waiting; tried again until the instant.
    Delayed {
        /// When it will be given up.
        retry_until: Timestamp,
    },
    /// In the mailbox.
    Delivered,
    /// Passed to a host that sends no notices of success.
    Relayed,
    /// Passed to the members of a list.
    Expanded,
}

impl Action {
    fn word(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Delayed { .. } => "delayed",
            Self::Delivered => "delivered",
            Self::Relayed => "relayed",
            Self::Expanded => "expanded",
        }
    }
}

/// Why it came so, in the terms a sender can use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// It went well.
    Done,
    /// The receiving host refused, or asked to wait; its reply says why.
    Refused,
    /// The receiving host could not be reached; words such as `connection timed out`.
    Unreachable(String),
    /// The recipient's domain does not exist or takes no mail.
    NoSuchDomain,
    /// The domain could not receive the message with the protection demanded.
    Protection(Shortfall),
    /// A rule of this server; its text.
    Rule(String),
    /// It waited too long.
    Expired {
        /// How long it was tried.
        after: Duration,
        /// What stood in the way last.
        last: Option<String>,
    },
    /// An administrator took it out of the queue.
    Cancelled,
    /// Something else, in words.
    Other(String),
}

/// A demand on the way of a message that was not met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortfall {
    /// The receiving domain.
    pub domain: Domain,
    /// What is demanded, in words: `an encrypted connection to a verified server`.
    pub demanded: String,
    /// Who demands it, in words: `Force Encrypt`.
    pub demanded_by: String,
    /// What was found, in words: `mx1.bank.example does not offer TLS`.
    pub found: String,
}

/// A notice ready to be queued. Its reverse-path is null.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Composed {
    /// The message, every line ending in CRLF.
    pub content: Vec<u8>,
    /// Whether it can only travel under SMTPUTF8.
    pub smtputf8: bool,
    /// Always 7-bit unless the sender's address itself is beyond ASCII.
    pub body: Body,
}

impl Notice<'_> {
    /// The notice as a message.
    pub fn compose(&self) -> Composed {
        let header = Header::scan(self.original.content).ok();
        let boundary = format!("mailkeep-{}", self.id);
        let mut out = Vec::with_capacity(4_096);
        self.write_header(header.as_ref(), &boundary, &mut out);

        let words = text::words(self, &subject_of(header.as_ref()));
        let encoding = Encoding::least_for(words.as_bytes());
        begin_part(&boundary, "text/plain; charset=utf-8", encoding, &mut out);
        encoding.write(words.as_bytes(), &mut out);

        let status = fields::delivery_status(self, self.is_global());
        let (kind, encoding) = if self.is_global() {
            ("message/global-delivery-status", Encoding::least_for(status.as_bytes()))
        } else {
            ("message/delivery-status", Encoding::SevenBit)
        };
        begin_part(&boundary, kind, encoding, &mut out);
        encoding.write(status.as_bytes(), &mut out);

        if let Some(header) = header {
            self.write_original(&header, &boundary, &mut out);
        }
        out.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        let smtputf8 = !out.is_ascii();
        let body = if smtputf8 { Body::EightBitMime } else { Body::SevenBit };
        Composed { content: out, smtputf8, body }
    }

    /// Whether the forms of RFC 6533 are used: the sender can read them and something
    /// in the notice needs them.
    fn is_global(&self) -> bool {
        let needs = |r: &RecipientNotice| {
            r.recipient.needs_smtputf8() || r.orcpt.as_ref().is_some_and(|orcpt| !orcpt.is_ascii())
        };
        self.smtputf8 && self.recipients.iter().any(needs)
    }

    fn recipients(&self) -> &[RecipientNotice] {
        &self.recipients[..self.recipients.len().min(RECIPIENTS_MAX)]
    }

    fn write_header(&self, original: Option<&Header<'_>>, boundary: &str, out: &mut Vec<u8>) {
        let host = self.reporting_mta;
        let daemon = format!("MAILER-DAEMON@{host}");
        let from = match self.from {
            Some(from) if !from.needs_smtputf8() => from.to_string(),
            _ => daemon,
        };
        let mut subject = text::subject_prefix(self).to_owned();
        let about = subject_of(original);
        if !about.is_empty() {
            subject = format!("{subject}: {about}");
        }
        if !subject.is_ascii() {
            subject = encode_words(&subject);
        }
        let report = if self.is_global() { "global-delivery-status" } else { "delivery-status" };
        let mut field = |name: &str, value: &str| {
            let field = NewField::folded(name, value.split(' '));
            out.extend_from_slice(field.as_str().as_bytes());
        };
        field("From", &format!("Mail Delivery System <{from}>"));
        field("To", &format!("<{}>", self.to));
        field("Subject", &subject);
        field("Date", &self.at.to_rfc5322());
        field("Message-ID", &format!("<{}@{host}>", self.id));
        if let Some(id) = original.and_then(Header::message_id).filter(|id| is_plain_id(id)) {
            field("In-Reply-To", &format!("<{id}>"));
            field("References", &format!("<{id}>"));
        }
        field("Auto-Submitted", "auto-replied");
        field("MIME-Version", "1.0");
        let kind = format!("multipart/report; report-type={report}; boundary=\"{boundary}\"");
        field("Content-Type", &kind);
        out.extend_from_slice(b"\r\nThis is a delivery status notification in MIME format.\r\n");
    }

    /// Writes the third part: the original or its header.
    fn write_original(&self, header: &Header<'_>, boundary: &str, out: &mut Vec<u8>) {
        let content = self.original.content;
        if self.may_return_whole() {
            if content.is_ascii() && Encoding::fits_seven_bit(content) {
                begin_part(boundary, "message/rfc822", Encoding::SevenBit, out);
                out.extend_from_slice(content);
                return;
            }
            if self.is_global() {
                // Unlike message/rfc822, this type may be encoded (RFC 6532 section 3.7).
                begin_part(boundary, "message/global", Encoding::Base64, out);
                Encoding::Base64.write(content, out);
                return;
            }
        }
        let head = returned_header(header);
        let encoding = Encoding::least_for(&head);
        let kind = match (self.is_global(), head.is_ascii()) {
            (true, false) => "message/global-headers",
            (_, _) => "text/rfc822-headers",
        };
        begin_part(boundary, kind, encoding, out);
        encoding.write(&head, out);
    }

    /// `RET` concerns failures only (RFC 3461 section 4.3).
    fn may_return_whole(&self) -> bool {
        let failed = self.recipients().iter().any(|r| r.action == Action::Failed);
        let unprotected =
            self.recipients().iter().any(|r| matches!(r.reason, Reason::Protection(_)));
        failed
            && !unprotected
            && self.dsn_return == Some(DsnReturn::Full)
            && self.original.whole
            && self.original.content.len() <= RETURN_MAX_OCTETS
    }
}

fn begin_part(boundary: &str, kind: &str, encoding: Encoding, out: &mut Vec<u8>) {
    // The boundary holds random bits drawn after the original came: nothing in the
    // original can have foreseen it.
    let head = format!("\r\n--{boundary}\r\nContent-Type: {kind}\r\n{}\r\n", encoding.field());
    out.extend_from_slice(head.as_bytes());
}

fn subject_of(header: Option<&Header<'_>>) -> String {
    clean(&header.map(Header::subject).unwrap_or_default(), SUBJECT_MAX_CHARS)
}

/// The fields of the original as lines that may be sent, cut before the field that
/// would exceed [`RETURN_HEADER_MAX_OCTETS`].
fn returned_header(header: &Header<'_>) -> Vec<u8> {
    let mut head = Vec::new();
    for field in header.fields() {
        let bytes = field.as_bytes();
        if head.len() + bytes.len() > RETURN_HEADER_MAX_OCTETS {
            break;
        }
        for line in bytes.split(|&b| b == b'\n').filter(|line| !line.is_empty()) {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            head.extend(line.iter().map(|&b| if b == b'\r' || b == 0 { b' ' } else { b }));
            head.extend_from_slice(b"\r\n");
        }
    }
    head
}

/// Text of others on one line: no control characters, single spaces, a limited length.
fn clean(text: &str, max_chars: usize) -> String {
    let mut out = String::new();
    let visible = text.chars().map(|c| if c.is_control() || is_invisible(c) { ' ' } else { c });
    for c in visible.take(max_chars) {
        if c != ' ' || !(out.is_empty() || out.ends_with(' ')) {
            out.push(c);
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// Characters that reorder or hide text (Unicode Annex 9) and line separators.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
}

/// An identifier that can stand between angle brackets without harm.
fn is_plain_id(id: &str) -> bool {
    const ID_MAX_OCTETS: usize = 250;
    id.len() <= ID_MAX_OCTETS
        && id.contains('@')
        && id.bytes().all(|b| b.is_ascii_graphic() && b != b'<' && b != b'>')
}

#[cfg(test)]
mod tests;
