//! What is known about one message for one recipient, as far as it has come.

use std::net::IpAddr;

use mail::{Address, Domain, ReversePath, Timestamp};
use serde::{Deserialize, Serialize};
use tls::Handshake;

mod ownership;

pub use ownership::Ownership;

use crate::flow_facts::FlowFacts;
use crate::test::{MINUTES_A_DAY, Weekday, Word};

pub mod authentication;

pub use authentication::{AuthenticationFacts, SignatureFacts};

/// The facts that rules look at.
///
/// The driver fills them in as the session goes on and says at each decision
/// which [`Stage`](crate::Stage) is reached; what is absent at a stage that
/// should know it counts as not there. Recorded facts replay the decision.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// The instant of the connection; it stays the same to the end, so that
    /// every stage reads the same clock.
    pub now: Option<Moment>,
    /// The name of the listener.
    pub listener: Option<String>,
    /// The address of the client.
    pub client_ip: Option<IpAddr>,
    /// The client's name by reverse look-up, if the look-up back gave the same address.
    pub client_name: Option<Domain>,
    /// What the client said in EHLO, HELO or LHLO.
    pub helo: Option<String>,
    /// The handshake, when the connection is under TLS; its chain is the client's.
    pub tls: Option<Box<Handshake>>,
    /// The account that signed in.
    pub authenticated: Option<String>,
    /// The reverse-path.
    pub sender: Option<ReversePath>,
    /// The recipient that the decision is about.
    pub recipient: Option<RecipientFacts>,
    /// What account security says, where the recipient is a fax machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fax: Option<crate::fax::FaxFacts>,
    /// How many recipients the transaction has.
    pub recipient_count: Option<u32>,
    /// The message itself.
    pub message: Option<MessageFacts>,
    /// Who the sender is found to be; absent where that was not checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authentication: Option<Box<AuthenticationFacts>>,
    /// What filters said of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scan: Option<crate::scan::ScanFacts>,
    /// Whether the sender's addresses belong to who signed in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ownership: Option<Ownership>,
    /// What flow control found: bans, limits, quotas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow: Option<FlowFacts>,
    /// What lists and memory say about the client, the sender and the links.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lists: Option<crate::lists::ListFacts>,
}

/// One recipient and what this server knows of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecipientFacts {
    /// The forward-path.
    pub address: Address,
    /// Its domain is one of ours, so delivering to it is not relaying.
    pub is_local: bool,
    /// What it is here; `None` when it is nothing here, or not ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountKind>,
}

/// What a local recipient is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccountKind {
    /// A mailbox.
    Mailbox,
    /// Another name of a mailbox.
    Alias,
    /// A list of others.
    Group,
}

impl AccountKind {
    /// The word that conditions use.
    pub const fn word(self) -> Word {
        match self {
            Self::Mailbox => Word::Mailbox,
            Self::Alias => Word::Alias,
            Self::Group => Word::Group,
        }
    }
}

/// The message, as far as rules look at it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MessageFacts {
    /// Its size as it came, in octets.
    pub size_octets: u64,
    /// The decoded subject.
    pub subject: Option<String>,
    /// Its header fields, in order, unfolded.
    pub headers: Vec<HeaderField>,
    /// Its attachments, in order.
    pub attachments: Vec<Attachment>,
}

/// One header field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderField {
    /// The name, in any case.
    pub name: String,
    /// The unfolded value, without surrounding blanks.
    pub value: String,
}

/// One attachment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// The file name it carries.
    pub name: Option<String>,
    /// The media type: `application/pdf`.
    pub media_type: String,
    /// The decoded size, in octets.
    pub size_octets: u64,
}

/// An instant, read as a clock and a calendar in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Moment(pub Timestamp);

const MS_A_MINUTE: i64 = 60_000;
const MS_A_DAY: i64 = 24 * 60 * MS_A_MINUTE;

impl Moment {
    /// The minute of the day, 0 to 1439.
    pub const fn minute_of_day(self) -> u16 {
        (self.0.0.div_euclid(MS_A_MINUTE)).rem_euclid(MINUTES_A_DAY as i64) as u16
    }

    /// The day of the week.
    pub const fn weekday(self) -> Weekday {
        // 1970-01-01 was a Thursday.
        Weekday::ALL[((self.0.0.div_euclid(MS_A_DAY)) + 3).rem_euclid(7) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_knows_its_minute_and_its_day() {
        let moment = Moment(Timestamp(1_772_445_731_042)); // 2026-03-02T10:02:11Z
        assert_eq!(moment.minute_of_day(), 10 * 60 + 2);
        assert_eq!(moment.weekday(), Weekday::Monday);
        let before = Moment(Timestamp(-1)); // 1969-12-31T23:59:59Z
        assert_eq!((before.minute_of_day(), before.weekday()), (1439, Weekday::Wednesday));
    }
}
