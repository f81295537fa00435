//! A test made ready: its words resolved, its patterns and tables compiled.

use std::net::IpAddr;
use std::sync::Arc;

use mail::Timestamp;
use tls::{Version, Versions};

use crate::fact::{Fact, Seen};
use crate::facts::Facts;
use crate::force_encrypt::{Direction, ForceEncrypt};
use crate::pattern::{PatternError, Patterns};
use crate::stage::Stage;
use crate::table::{Compiled, text_of};
use crate::test::{Relation, Test, Value};

/// True, false, or not known yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truth {
    /// It holds, whatever else becomes known.
    True,
    /// It does not hold, whatever else becomes known.
    False,
    /// It depends on what is not known yet.
    Unknown,
}

impl Truth {
    /// `True` or `False`.
    pub const fn of(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

impl std::ops::Not for Truth {
    type Output = Self;
    fn not(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
            Self::Unknown => Self::Unknown,
        }
    }
}

/// How to read the absence of a fact that may still come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// It is not known: what is decided now must hold to the end.
    ForGood,
    /// It is absent: what is decided now holds until the next EHLO.
    ForNow,
}

/// A test ready to be asked.
#[derive(Debug, Clone)]
pub(crate) struct Matcher {
    fact: Fact,
    negated: bool,
    stage: Stage,
    settled: Stage,
    accept: Accept,
}

/// What a value must be.
#[derive(Debug, Clone)]
enum Accept {
    Values(Vec<Value>),
    /// `is` with texts alone; lower case.
    Keys(Vec<String>),
    Versions(Versions),
    Over(u64),
    Under(u64),
    Patterns(Patterns),
    Table(Arc<Compiled>),
    ForceEncrypt {
        table: Arc<ForceEncrypt>,
        below: Option<Version>,
    },
}

/// A table as a condition finds it.
#[derive(Debug, Clone)]
pub(crate) enum Found {
    Table(Arc<Compiled>),
    /// The Force Encrypt entries for mail that comes in; with `below`, only those that
    /// ask for more than it.
    ForceEncrypt {
        table: Arc<ForceEncrypt>,
        below: Option<Version>,
    },
}

impl Matcher {
    /// Compiles `test`; `None` when its table is not there.
    pub(crate) fn new(
        test: &Test,
        table: impl Fn(&str) -> Option<Found>,
    ) -> Result<Option<Self>, PatternError> {
        let accept = match &test.relation {
            Relation::Is(values) => of_values(values),
            Relation::InTable(name) => match table(name) {
                None => return Ok(None),
                Some(Found::Table(table)) => Accept::Table(table),
                Some(Found::ForceEncrypt { table, below }) => Accept::ForceEncrypt { table, below },
            },
            Relation::Matches(patterns) => Accept::Patterns(Patterns::compile(patterns)?),
            Relation::Over(limit) => Accept::Over(*limit),
            Relation::Under(limit) => Accept::Under(*limit),
            Relation::AtLeast(version) => Accept::Versions(Versions::at_least(*version)),
        };
        let info = test.fact.info();
        Ok(Some(Self {
            fact: test.fact.clone(),
            negated: test.negated,
            stage: info.stage,
            settled: info.settled,
            accept,
        }))
    }

    /// Whether the test holds at `stage`.
    pub(crate) fn truth(&self, facts: &Facts, stage: Stage, view: View) -> Truth {
        if stage < self.stage {
            return Truth::Unknown;
        }
        let mut any = false;
        let found = self.fact.seen(facts, |value| {
            any = true;
            self.accept.fits(&value, facts)
        });
        if !any && stage < self.settled && view == View::ForGood {
            return Truth::Unknown;
        }
        Truth::of(found != self.negated)
    }
}

fn of_values(values: &[Value]) -> Accept {
    let version = |value: &Value| if let Value::Version(v) = value { Some(*v) } else { None };
    if let Some(versions) = values.iter().map(version).collect::<Option<Vec<_>>>() {
        return Accept::Versions(versions.into_iter().collect());
    }
    let key = |value: &Value| match value {
        Value::Text(text) => Some(text.to_ascii_lowercase()),
        Value::Present
        | Value::Word(_)
        | Value::Version(_)
        | Value::Suite(_)
        | Value::Fingerprint(_)
        | Value::Address(_)
        | Value::Domain(_)
        | Value::Network(_)
        | Value::Number(_)
        | Value::Hours(_)
        | Value::Weekday(_) => None,
    };
    if let Some(keys) = values.iter().map(key).collect::<Option<Vec<_>>>() {
        return Accept::Keys(keys);
    }
    Accept::Values(values.to_vec())
}

impl Accept {
    fn fits(&self, seen: &Seen<'_>, facts: &Facts) -> bool {
        match self {
            Self::Values(values) => values.iter().any(|value| equals(value, seen)),
            Self::Keys(keys) => match seen {
                Seen::Text(text) => keys.iter().any(|key| key.eq_ignore_ascii_case(text)),
                _ => false,
            },
            Self::Versions(versions) => match seen {
                Seen::Version(version) => versions.contains(*version),
                _ => false,
            },
            Self::Over(limit) => matches!(seen, Seen::Number(number) if number > limit),
            Self::Under(limit) => matches!(seen, Seen::Number(number) if number < limit),
            Self::Patterns(patterns) => text_of(seen).is_some_and(|text| patterns.fits(&text)),
            Self::Table(table) => table.contains(seen),
            Self::ForceEncrypt { table, below } => {
                let now = facts.now.map_or(Timestamp(i64::MIN), |moment| moment.0);
                let entries = match seen {
                    Seen::Domain(domain) => table.for_domain(domain, Direction::In, now),
                    Seen::Ip(ip) => table.for_address(*ip, Direction::In, now),
                    _ => Vec::new(),
                };
                entries.iter().any(|entry| below.is_none_or(|old| entry.min_version > Some(old)))
            }
        }
    }
}

/// Whether a value seen is the value written.
fn equals(value: &Value, seen: &Seen<'_>) -> bool {
    match (value, seen) {
        (Value::Present, _) => true,
        (Value::Word(a), Seen::Word(b)) => a == b,
        (Value::Version(a), Seen::Version(b)) => a == b,
        (Value::Suite(a), Seen::Suite(b)) => a == b,
        (Value::Fingerprint(a), Seen::Fingerprint(b)) => a == b,
        (Value::Text(a), Seen::Text(b)) => a.eq_ignore_ascii_case(b),
        (Value::Address(a), Seen::Address(b)) => {
            a.domain() == b.domain() && a.local().to_lowercase() == b.local().to_lowercase()
        }
        (Value::Domain(pattern), Seen::Domain(domain)) => pattern.covers(domain),
        (Value::Network(net), Seen::Ip(ip)) => contains(net, *ip),
        (Value::Number(a), Seen::Number(b)) => a == b,
        (Value::Hours(hours), Seen::Minute(minute)) => hours.covers(*minute),
        (Value::Weekday(a), Seen::Weekday(b)) => a == b,
        (
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
            | Value::Weekday(_),
            _,
        ) => false,
    }
}

fn contains(net: &ipnet::IpNet, ip: IpAddr) -> bool {
    crate::lookup::canonical(*net).contains(&ip.to_canonical())
}
