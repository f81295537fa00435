//! What an attempt ended with, for one recipient.

use std::time::Duration;

use mail::Status;
use mail::dsn::Reason;

/// What became of one recipient in one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The next host, or the mailbox, has the message.
    Delivered(Delivered),
    /// Trying again may help.
    Temporary(Trouble),
    /// Trying again will not help.
    Permanent(Trouble),
    /// Nothing was tried: the destination could take no more, or the server is
    /// stopping. It is no attempt and tells nobody anything.
    NotTried {
        /// When it may be tried.
        again_after: Duration,
    },
}

/// Where a message went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// How it travelled on.
    pub onward: Onward,
    /// The host that took it; `None` for a mailbox of ours.
    pub host: Option<String>,
    /// Its last words.
    pub reply: Option<String>,
}

/// How a message travelled on, and so what a notice of success would say
/// (RFC 3461 section 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Onward {
    /// To a host that knows DSN and was told what the sender wishes.
    WithDsn,
    /// To a host that does not know DSN.
    Relayed,
    /// Into the mailbox, or over LMTP.
    Final,
}

/// Why a recipient was not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The enhanced status for the notice.
    pub status: Status,
    /// Whether the sender is told early.
    pub subject: Subject,
    /// Why, for the sender.
    pub reason: Reason,
    /// In words, for the queue list and the log.
    pub text: String,
    /// The host that said so.
    pub host: Option<String>,
    /// Its reply.
    pub reply: Option<String>,
    /// Sooner than this an attempt is of no use.
    pub retry_after: Option<Duration>,
}

/// What a trouble is about, as far as the schedule asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// The protection that was demanded was not to be had: the sender may wish
    /// to know within minutes, not hours.
    Protection,
    /// Anything else.
    Other,
}

/// What a reply means for the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Taken.
    Positive,
    /// Try again.
    Temporary,
    /// Give up.
    Permanent,
}

/// What a reply to `phase` means: its code decides, and its enhanced status
/// only refines it (RFC 5321 section 4.2.1, RFC 3463 section 2).
///
/// `552` in reply to RCPT means too many recipients and is temporary, whatever
/// its first digit says (RFC 5321 section 4.5.3.1.10), unless its status says
/// that the message is too big (5.3.4, 5.2.3) or its mailbox is full (5.2.2).
pub fn classify(code: u16, status: Option<Status>, reply_to_rcpt: bool) -> Class {
    match code {
        200..=299 => Class::Positive,
        552 if reply_to_rcpt && !about_size(status) => Class::Temporary,
        500..=599 => Class::Permanent,
        // 4xx, and anything that is no reply at all: the peer may recover.
        _ => Class::Temporary,
    }
}

fn about_size(status: Option<Status>) -> bool {
    status.is_some_and(|s| matches!((s.class, s.subject, s.detail), (5, 3, 4) | (5, 2, 2 | 3)))
}

impl Trouble {
    /// A trouble with its words, about no protection and no host.
    pub fn new(status: Status, reason: Reason, text: impl Into<String>) -> Self {
        Self {
            status,
            subject: Subject::Other,
            reason,
            text: text.into(),
            host: None,
            reply: None,
            retry_after: None,
        }
    }

    /// The trouble's status with the class that `permanent` asks for.
    pub(crate) fn status_as(&self, permanent: bool) -> Status {
        Status { class: if permanent { 5 } else { 4 }, ..self.status }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_decides_and_the_status_refines() {
        let status = |text: &str| Some(text.parse().unwrap());
        for (code, given, rcpt, class) in [
            (250, status("2.1.5"), true, Class::Positive),
            (421, None, false, Class::Temporary),
            (450, status("4.7.1"), true, Class::Temporary),
            (550, status("5.1.1"), true, Class::Permanent),
            (550, status("4.2.2"), true, Class::Permanent),
            (554, status("5.7.10"), false, Class::Permanent),
            (552, None, true, Class::Temporary),
            (552, status("5.5.3"), true, Class::Temporary),
            (552, status("5.2.2"), true, Class::Permanent),
            (552, status("5.3.4"), true, Class::Permanent),
            (552, None, false, Class::Permanent),
            (354, None, false, Class::Temporary),
            (0, None, false, Class::Temporary),
        ] {
            assert_eq!(classify(code, given, rcpt), class, "{code} {given:?} {rcpt}");
        }
    }
}
