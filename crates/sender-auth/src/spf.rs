//! Whether a client may send for a domain (RFC 7208).
//!
//! [`check`] is the function `check_host()` of RFC 7208 section 4: a record is read whole
//! before any of it is used, and what may be asked of DNS on its behalf is limited.

mod evaluate;
mod macros;
mod record;

use std::net::IpAddr;
use std::time::Duration;

use crate::{Dns, Outcome};

pub use macros::EXPANSION_MAX_OCTETS;
pub use record::RECORD_MAX_OCTETS;

/// Terms of all records of one check that may ask DNS (RFC 7208 section 4.6.4).
pub const LOOKUPS_MAX: usize = 10;
/// Of these, how many may find nothing (RFC 7208 section 4.6.4).
pub const VOID_LOOKUPS_MAX: usize = 2;
/// Mail exchangers of one `mx` (RFC 7208 section 4.6.4).
pub const EXCHANGERS_MAX: usize = 10;
/// Names of the client that are looked at (RFC 7208 section 4.6.4).
pub const CLIENT_NAMES_MAX: usize = 10;
/// The longest time one check takes (RFC 7208 section 4.6.4 asks for at least 20 seconds).
pub const CHECK_MAX: Duration = Duration::from_secs(20);
/// The longest explanation that is passed on, in octets.
pub const EXPLANATION_MAX_OCTETS: usize = 320;

/// Whose permission is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// The name in EHLO or HELO (RFC 7208 section 2.3).
    Helo,
    /// The reverse-path (RFC 7208 section 2.4).
    MailFrom,
}

impl Identity {
    /// The word in Received-SPF (RFC 7208 section 9.1).
    pub const fn word(self) -> &'static str {
        match self {
            Self::Helo => "helo",
            Self::MailFrom => "mailfrom",
        }
    }
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The address of the client.
    pub client: IpAddr,
    /// What it said in EHLO or HELO.
    pub helo: &'a str,
    /// The reverse-path: local part and domain; `None` for the null one.
    pub sender: Option<(&'a str, &'a str)>,
    /// Which identity is checked. Of a null reverse-path that is always [`Identity::Helo`].
    pub identity: Identity,
    /// This server's name, for explanations.
    pub receiver: &'a str,
    /// Seconds since 1970, for explanations.
    pub now_secs: i64,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whose permission was asked for.
    pub identity: Identity,
    /// The domain that was asked.
    pub domain: String,
    /// What it came to.
    pub outcome: Outcome,
    /// The term that decided, as the domain wrote it.
    pub term: Option<String>,
    /// What is wrong, after an error.
    pub problem: Option<String>,
    /// What the domain says to those it refuses; printable ASCII of bounded length.
    pub explanation: Option<String>,
}

impl Question<'_> {
    /// The domain whose record is read.
    pub fn domain(&self) -> &str {
        match (self.identity, self.sender) {
            (Identity::MailFrom, Some((_, domain))) => domain,
            (Identity::MailFrom, None) | (Identity::Helo, _) => self.helo,
        }
    }

    /// Local part and domain that stand for the sender (RFC 7208 section 4.3).
    fn sender(&self) -> (&str, &str) {
        match (self.identity, self.sender) {
            (Identity::MailFrom, Some((local, domain))) if !local.is_empty() => (local, domain),
            (Identity::MailFrom, Some((_, domain))) => (POSTMASTER, domain),
            (Identity::MailFrom, None) | (Identity::Helo, _) => (POSTMASTER, self.helo),
        }
    }
}

/// Asks a domain whether the client may use it. Takes at most [`CHECK_MAX`].
pub async fn check(dns: &dyn Dns, question: &Question<'_>) -> Finding {
    let identity = match question.sender {
        Some(_) => question.identity,
        None => Identity::Helo,
    };
    let question = Question { identity, ..*question };
    let found = tokio::time::timeout(CHECK_MAX, evaluate::check_host(dns, &question)).await;
    let verdict = found.unwrap_or_else(|_| evaluate::Verdict {
        problem: Some(format!("the check took more than {} seconds", CHECK_MAX.as_secs())),
        ..evaluate::Verdict::of(Outcome::TempError)
    });
    Finding {
        identity,
        domain: question.domain().to_owned(),
        outcome: verdict.outcome,
        term: verdict.term,
        problem: verdict.problem,
        explanation: verdict.explanation,
    }
}

/// The local part of a sender that has none (RFC 7208 section 4.3).
const POSTMASTER: &str = "postmaster";
