//! One look at one fact: the fact, how it is compared, and with what.

use std::fmt;

use ipnet::IpNet;
use mail::{Address, Domain};
use serde::{Deserialize, Serialize};
use tls::{Fingerprint, Suite, Version};

use crate::action::version_word;
use crate::fact::Fact;
use crate::pattern::Pattern;
use crate::rule::Origin;

/// `FACT is VALUE`, `FACT in table NAME`, and so on.
#[derive(Debug, Clone, PartialEq)]
pub struct Test {
    /// What is looked at.
    pub fact: Fact,
    /// Whether the answer is turned round: `is not`, `not matches`.
    ///
    /// Of a fact with several values (header fields, attachments) "not" means
    /// that none of them fits.
    pub negated: bool,
    /// How it is compared, and with what.
    pub relation: Relation,
    /// Where it is written.
    pub origin: Origin,
}

/// How a fact is compared.
#[derive(Debug, Clone, PartialEq)]
pub enum Relation {
    /// `is`: equals one of these.
    Is(Vec<Value>),
    /// `in table`: found in the table of this name.
    InTable(String),
    /// `matches`: one of these patterns fits.
    Matches(Vec<Pattern>),
    /// `over`: more than this count, or these octets.
    Over(u64),
    /// `under`: less than this count, or these octets.
    Under(u64),
    /// `at least`: this TLS version or a later one.
    AtLeast(Version),
}

/// What a fact is compared with.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `tls`, `any`, `present`: it is there at all.
    Present,
    /// One of a few words.
    Word(Word),
    /// A TLS version.
    Version(Version),
    /// A cipher suite.
    Suite(Suite),
    /// The SHA-256 of a certificate.
    Fingerprint(Fingerprint),
    /// A text; compared without regard to ASCII case.
    Text(String),
    /// A mailbox; compared without regard to case.
    Address(Address),
    /// A domain, or everything below one.
    Domain(DomainPattern),
    /// An address or a network.
    Network(IpNet),
    /// A count, or octets.
    Number(u64),
    /// A span of the day, UTC.
    Hours(Hours),
    /// A day of the week, UTC.
    Weekday(Weekday),
}

/// Words that some facts are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Word {
    /// The sender is `<>`.
    Null,
    /// The recipient is ours to deliver.
    Local,
    /// The recipient is at a domain that is not ours.
    Relaying,
    /// The recipient is a mailbox here.
    Mailbox,
    /// The recipient is another name of a mailbox here.
    Alias,
    /// The recipient is a list of others.
    Group,
    /// The address belongs to the account that signed in.
    Own,
    /// The address belongs to somebody else.
    Foreign,
    /// A filter has nothing against the message.
    Passed,
    /// A filter found a virus.
    Infected,
    /// A filter takes it for spam.
    Spam,
    /// A filter wants it set aside.
    Quarantined,
    /// The message was too long for a filter.
    Skipped,
    /// A filter gave no verdict.
    Failed,
    /// It wants the message to come again later.
    Greylist,
    /// It wants a mark in the header.
    #[serde(rename = "add-header")]
    AddHeader,
    /// It wants a mark in the subject.
    #[serde(rename = "rewrite-subject")]
    RewriteSubject,
    /// It wants the message refused for now.
    #[serde(rename = "soft-reject")]
    SoftReject,
    /// There was nothing to check, or nothing is asked for.
    None,
    /// A check passed.
    Pass,
    /// A check failed.
    Fail,
    /// It probably failed (SPF).
    SoftFail,
    /// Nothing follows from a check.
    Neutral,
    /// It passed in a way that is not accepted here.
    Policy,
    /// DNS gave no reliable answer.
    TempError,
    /// What was published or signed cannot be understood.
    PermError,
    /// The domain asks for suspicion.
    Quarantine,
    /// The domain asks for refusal.
    Reject,
    /// The client is never banned.
    Friendly,
    /// The client is turned away by the configuration.
    Denied,
    /// The client is turned away for a time.
    Banned,
    /// The whole message.
    Message,
    /// The header of the message.
    Header,
    /// One attachment.
    Attachment,
    /// All attachments.
    Attachments,
    /// Messages, counted.
    Messages,
    /// Recipients, counted.
    Recipients,
    /// Octets, counted.
    Octets,
    /// Faxes, counted.
    Faxes,
    /// Pages of faxes, counted.
    Pages,
    /// Lists say to take it.
    Allow,
    /// The sender has to come again.
    Waiting,
    /// Account security of a fax account: nobody the account knows.
    #[serde(rename = "unknown-sender")]
    UnknownSender,
    /// The same: the mail server is not on the white list.
    #[serde(rename = "white-list")]
    WhiteList,
    /// The same: SPF does not prove the sender.
    Spoofing,
    /// The same: SPF cannot be evaluated now.
    #[serde(rename = "spf-unavailable")]
    SpfUnavailable,
    /// The same: the author is not of the sender's domain.
    Misaligned,
}

impl Word {
    /// As the configuration has it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Local => "local",
            Self::Relaying => "relaying",
            Self::Mailbox => "mailbox",
            Self::Alias => "alias",
            Self::Group => "group",
            Self::Own => "own",
            Self::Foreign => "foreign",
            Self::Passed => "passed",
            Self::Infected => "infected",
            Self::Spam => "spam",
            Self::Quarantined => "quarantined",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
            Self::Greylist => "greylist",
            Self::AddHeader => "add-header",
            Self::RewriteSubject => "rewrite-subject",
            Self::SoftReject => "soft-reject",
            Self::None => "none",
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::SoftFail => "softfail",
            Self::Neutral => "neutral",
            Self::Policy => "policy",
            Self::TempError => "temperror",
            Self::PermError => "permerror",
            Self::Quarantine => "quarantine",
            Self::Reject => "reject",
            Self::Friendly => "friendly",
            Self::Denied => "denied",
            Self::Banned => "banned",
            Self::Message => "message",
            Self::Header => "header",
            Self::Attachment => "attachment",
            Self::Attachments => "attachments",
            Self::Messages => "messages",
            Self::Recipients => "recipients",
            Self::Octets => "octets",
            Self::Faxes => "faxes",
            Self::Pages => "pages",
            Self::Allow => "allow",
            Self::Waiting => "waiting",
            Self::UnknownSender => "unknown-sender",
            Self::WhiteList => "white-list",
            Self::Spoofing => "spoofing",
            Self::SpfUnavailable => "spf-unavailable",
            Self::Misaligned => "misaligned",
        }
    }
}

/// `example.com` is that domain alone; `.example.com` and `*.example.com` are all names below it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DomainPattern {
    /// The domain.
    pub domain: Domain,
    /// The names below it are meant, and not it itself.
    pub below: bool,
}

impl DomainPattern {
    /// Reads `example.com`, `.example.com` or `*.example.com`.
    ///
    /// # Errors
    ///
    /// [`mail::DomainError`] says which part is wrong.
    pub fn parse(text: &str) -> Result<Self, mail::DomainError> {
        let below = text.strip_prefix("*.").or_else(|| text.strip_prefix('.'));
        Ok(Self { domain: Domain::parse(below.unwrap_or(text))?, below: below.is_some() })
    }

    /// Whether `domain` is meant.
    pub fn covers(&self, domain: &Domain) -> bool {
        if self.below { domain.is_below(&self.domain) } else { *domain == self.domain }
    }
}

/// From `from` up to but not at `to`, in minutes after midnight, UTC. A span
/// whose end is not after its start goes over midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hours {
    /// The first minute, 0 to 1439.
    pub from: u16,
    /// The minute after the last, 0 to 1440.
    pub to: u16,
}

impl Hours {
    /// Reads `08:00-18:30`.
    pub fn parse(text: &str) -> Option<Self> {
        let minute = |text: &str| -> Option<u16> {
            let (hours, minutes) = text.split_once(':')?;
            let digits = |t: &str| {
                (t.len() == 2 && t.bytes().all(|b| b.is_ascii_digit()))
                    .then(|| t.parse().ok())
                    .flatten()
            };
            let (hours, minutes): (u16, u16) = (digits(hours)?, digits(minutes)?);
            (minutes < 60 && hours * 60 + minutes <= MINUTES_A_DAY).then_some(hours * 60 + minutes)
        };
        let (from, to) = text.split_once('-')?;
        let (from, to) = (minute(from)?, minute(to)?);
        (from < MINUTES_A_DAY && from != to).then_some(Self { from, to })
    }

    /// Whether `minute` of the day lies within.
    pub const fn covers(self, minute: u16) -> bool {
        if self.from < self.to {
            self.from <= minute && minute < self.to
        } else {
            self.from <= minute || minute < self.to
        }
    }
}

/// Minutes from midnight to midnight.
pub const MINUTES_A_DAY: u16 = 24 * 60;

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Weekday {
    /// Monday.
    Monday,
    /// Tuesday.
    Tuesday,
    /// Wednesday.
    Wednesday,
    /// Thursday.
    Thursday,
    /// Friday.
    Friday,
    /// Saturday.
    Saturday,
    /// Sunday.
    Sunday,
}

impl Weekday {
    /// Every day, Monday first.
    pub const ALL: [Self; 7] = [
        Self::Monday,
        Self::Tuesday,
        Self::Wednesday,
        Self::Thursday,
        Self::Friday,
        Self::Saturday,
        Self::Sunday,
    ];

    /// Its English name, lower case.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Monday => "monday",
            Self::Tuesday => "tuesday",
            Self::Wednesday => "wednesday",
            Self::Thursday => "thursday",
            Self::Friday => "friday",
            Self::Saturday => "saturday",
            Self::Sunday => "sunday",
        }
    }
}

impl fmt::Display for Test {
    /// As the configuration has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not = if self.negated { " not" } else { "" };
        if self.fact == Fact::Authenticated && self.relation == Relation::Is(vec![Value::Present]) {
            return write!(f, "connection is{not} authenticated");
        }
        write!(f, "{}", self.fact)?;
        match &self.relation {
            Relation::Is(values) => {
                write!(f, " is{not}")?;
                let present = self.fact.info().present;
                values.iter().try_for_each(|value| match value {
                    Value::Present => write!(f, " {present}"),
                    Value::Word(_)
                    | Value::Version(_)
                    | Value::Suite(_)
                    | Value::Fingerprint(_)
                    | Value::Text(_)
                    | Value::Address(_)
                    | Value::Domain(_)
                    | Value::Network(_)
                    | Value::Number(_)
                    | Value::Hours(_)
                    | Value::Weekday(_) => write!(f, " {value}"),
                })
            }
            Relation::InTable(table) => write!(f, "{not} in table {table}"),
            Relation::Matches(patterns) => {
                write!(f, "{not} matches")?;
                patterns.iter().try_for_each(|pattern| write!(f, " {pattern}"))
            }
            Relation::Over(limit) => write!(f, "{not} over {}", self.fact.amount(*limit)),
            Relation::Under(limit) => write!(f, "{not} under {}", self.fact.amount(*limit)),
            Relation::AtLeast(version) => write!(f, "{not} at least {}", version_word(*version)),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Present => f.write_str("present"),
            Self::Word(word) => f.write_str(word.word()),
            Self::Version(version) => f.write_str(version_word(*version)),
            Self::Suite(suite) => write!(f, "{suite}"),
            Self::Fingerprint(print) => write!(f, "{print}"),
            Self::Text(text) if text.contains([' ', ',', ';', '"', '{', '}']) => {
                write!(f, "{text:?}")
            }
            Self::Text(text) => f.write_str(text),
            Self::Address(address) => write!(f, "{address}"),
            Self::Domain(pattern) => write!(f, "{pattern}"),
            Self::Network(net) if net.prefix_len() == net.max_prefix_len() => {
                write!(f, "{}", net.addr())
            }
            Self::Network(net) => write!(f, "{net}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Hours(hours) => write!(f, "{hours}"),
            Self::Weekday(day) => f.write_str(day.word()),
        }
    }
}

impl fmt::Display for DomainPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.below { "." } else { "" }, self.domain)
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (self.from, self.to);
        write!(f, "{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_may_go_over_midnight() {
        let office = Hours::parse("08:00-18:30").unwrap();
        assert!(
            office.covers(8 * 60) && office.covers(18 * 60 + 29) && !office.covers(18 * 60 + 30)
        );
        let night = Hours::parse("22:00-06:00").unwrap();
        assert!(night.covers(23 * 60) && night.covers(0) && !night.covers(6 * 60));
        assert_eq!(night.to_string(), "22:00-06:00");
        for bad in
            ["8:00-18:00", "08:00", "08:60-09:00", "24:00-25:00", "08:00-08:00", "a8:00-09:00"]
        {
            assert_eq!(Hours::parse(bad), None, "{bad}");
        }
        assert!(Hours::parse("00:00-24:00").unwrap().covers(1439));
    }

    #[test]
    fn a_leading_dot_means_the_names_below_alone() {
        let below = DomainPattern::parse("*.Bank.example").unwrap();
        assert_eq!(below.to_string(), ".bank.example");
        assert!(below.covers(&"mx.bank.example".parse().unwrap()));
        assert!(!below.covers(&"bank.example".parse().unwrap()));
        assert!(!below.covers(&"notbank.example".parse().unwrap()));
    }
}
