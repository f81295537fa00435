//! How the values that two tests ask for lie to each other.

use std::cell::RefCell;
use std::collections::HashMap;

use ipnet::IpNet;

use crate::fact::{Fact, Seen};
use crate::pattern::{Pattern, Patterns};
use crate::policy::RuleSet;
use crate::table::{Compiled, Entries, Table};
use crate::test::{Relation, Value};

/// Whether every value that is `part` is `whole` too.
pub(super) fn value_within(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (_, Value::Present) => true,
        (Value::Domain(part), Value::Domain(whole)) => {
            part == whole || (whole.below && part.domain.is_below(&whole.domain))
        }
        (Value::Network(part), Value::Network(whole)) => contains(whole, part),
        (Value::Text(part), Value::Text(whole)) => part.eq_ignore_ascii_case(whole),
        (Value::Address(part), Value::Address(whole)) => part.to_key() == whole.to_key(),
        (part, whole) => part == whole,
    }
}

/// Whether some value is both.
fn values_meet(a: &Value, b: &Value) -> bool {
    value_within(a, b) || value_within(b, a)
}

fn contains(whole: &IpNet, part: &IpNet) -> bool {
    match (crate::lookup::canonical(*whole), crate::lookup::canonical(*part)) {
        (IpNet::V4(whole), IpNet::V4(part)) => whole.contains(&part),
        (IpNet::V6(whole), IpNet::V6(part)) => whole.contains(&part),
        (IpNet::V4(_), IpNet::V6(_)) | (IpNet::V6(_), IpNet::V4(_)) => false,
    }
}

/// The one value that a written value is, as a fact would show it.
fn seen(value: &Value) -> Option<Seen<'_>> {
    match value {
        Value::Text(text) => Some(Seen::Text(text)),
        Value::Address(address) => Some(Seen::Address(address)),
        Value::Domain(pattern) if !pattern.below => Some(Seen::Domain(&pattern.domain)),
        Value::Network(net) if net.prefix_len() == net.max_prefix_len() => {
            Some(Seen::Ip(net.addr()))
        }
        Value::Suite(suite) => Some(Seen::Suite(*suite)),
        Value::Domain(_)
        | Value::Network(_)
        | Value::Present
        | Value::Word(_)
        | Value::Version(_)
        | Value::Fingerprint(_)
        | Value::Number(_)
        | Value::Hours(_)
        | Value::Weekday(_) => None,
    }
}

/// Tables and patterns, so that single values can be tried against them.
pub(super) struct Lists<'a> {
    tables: Vec<(&'a Table, Option<Compiled>)>,
    patterns: RefCell<HashMap<Vec<Pattern>, Option<Patterns>>>,
}

impl<'a> Lists<'a> {
    pub(super) fn new(set: &'a RuleSet) -> Self {
        let compile = |table: &'a Table| (table, Compiled::new(&table.entries).ok());
        Self { tables: set.tables.iter().map(compile).collect(), patterns: RefCell::default() }
    }

    /// The entries of a table.
    pub(super) fn entries(&self, name: &str) -> Option<&'a Entries> {
        self.tables.iter().find(|(table, _)| table.name == name).map(|(table, _)| &table.entries)
    }

    /// Whether every value that is `value` passes `relation`; `None` if that cannot be told.
    pub(super) fn passes(&self, value: &Value, relation: &Relation) -> Option<bool> {
        match relation {
            Relation::Is(values) => {
                if values.iter().any(|whole| value_within(value, whole)) {
                    return Some(true);
                }
                let meet = values.iter().any(|other| values_meet(value, other));
                if meet { None } else { Some(false) }
            }
            Relation::InTable(name) => {
                let (_, table) = self.tables.iter().find(|(table, _)| table.name == *name)?;
                Some(table.as_ref()?.contains(&seen(value)?))
            }
            Relation::Matches(patterns) => {
                let text = crate::table::text_of(&seen(value)?)?;
                let mut compiled = self.patterns.borrow_mut();
                if !compiled.contains_key(patterns) {
                    compiled.insert(patterns.clone(), Patterns::compile(patterns).ok());
                }
                Some(compiled.get(patterns)?.as_ref()?.fits(&text))
            }
            Relation::Over(limit) => number(value).map(|number| number > *limit),
            Relation::Under(limit) => number(value).map(|number| number < *limit),
            Relation::AtLeast(oldest) => match value {
                Value::Version(version) => Some(version >= oldest),
                _ => None,
            },
        }
    }

    /// Whether everything that passes `part` surely passes `whole`.
    pub(super) fn within(&self, part: &Relation, whole: &Relation) -> bool {
        if part == whole {
            return true;
        }
        match (part, whole) {
            (_, Relation::Is(values)) if values.contains(&Value::Present) => true,
            (Relation::Is(values), whole) => {
                values.iter().all(|value| self.passes(value, whole) == Some(true))
            }
            (Relation::Over(part), Relation::Over(whole)) => part >= whole,
            (Relation::Under(part), Relation::Under(whole)) => part <= whole,
            (Relation::AtLeast(part), Relation::AtLeast(whole)) => part >= whole,
            (Relation::Matches(part), Relation::Matches(whole)) => {
                part.iter().all(|pattern| whole.contains(pattern))
            }
            (
                Relation::InTable(_)
                | Relation::Matches(_)
                | Relation::Over(_)
                | Relation::Under(_)
                | Relation::AtLeast(_),
                _,
            ) => false,
        }
    }
}

fn number(value: &Value) -> Option<u64> {
    if let Value::Number(number) = value { Some(*number) } else { None }
}

/// Whether a fact has one value at most.
pub(super) fn is_single(fact: &Fact) -> bool {
    match fact {
        Fact::Header(_)
        | Fact::AttachmentName
        | Fact::AttachmentType
        | Fact::AttachmentSize
        | Fact::Dkim
        | Fact::DkimDomain
        | Fact::AuthorDomain
        | Fact::ArcSealer
        | Fact::VirusName
        | Fact::Dnsbl
        | Fact::Uribl => false,
        Fact::Tls
        | Fact::TlsVersion
        | Fact::TlsCipher
        | Fact::ClientCertificate
        | Fact::CertificateSubject
        | Fact::CertificateFingerprint
        | Fact::Listener
        | Fact::ClientIp
        | Fact::ClientName
        | Fact::Helo
        | Fact::Authenticated
        | Fact::Sender
        | Fact::SenderDomain
        | Fact::Recipient
        | Fact::RecipientDomain
        | Fact::RecipientAccount
        | Fact::SenderAddress
        | Fact::FromAddress
        | Fact::FaxDenial
        | Fact::Delivery
        | Fact::RecipientCount
        | Fact::MessageSize
        | Fact::Subject
        | Fact::AttachmentCount
        | Fact::Scan
        | Fact::Virus
        | Fact::SpamScore
        | Fact::SpamAction
        | Fact::Milter(_)
        | Fact::Scanner(_)
        | Fact::Time
        | Fact::Weekday
        | Fact::Spf
        | Fact::SpfHelo
        | Fact::Dmarc
        | Fact::DmarcPolicy
        | Fact::DmarcDisposition
        | Fact::Arc
        | Fact::ClientStanding
        | Fact::LimitExceeded
        | Fact::QuotaReached
        | Fact::DnsblScore
        | Fact::DnsblVerdict
        | Fact::UriblScore
        | Fact::UriblVerdict
        | Fact::Greylisting
        | Fact::Reputation => true,
    }
}
