//! The cases of a condition: lists of tests that hold together.

use tls::Version;

use super::values::{Lists, is_single};
use crate::fact::Fact;
use crate::rule::Condition;
use crate::test::{Relation, Test, Value, Weekday, Word};

/// The most cases of one condition that are looked at.
pub(super) const CASES_MAX: usize = 512;
/// The most tests of one case.
const TESTS_MAX: usize = 100;

/// A test that holds, or with `holds` false one that does not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Literal<'a> {
    pub(super) test: &'a Test,
    pub(super) holds: bool,
}

/// Tests that hold together.
pub(super) type Case<'a> = Vec<Literal<'a>>;

/// There are more than [`CASES_MAX`] cases, or more than [`TESTS_MAX`] tests in one.
#[derive(Debug)]
pub(super) struct TooMany;

impl Literal<'_> {
    /// Whether the fact must have a value that passes the relation.
    pub(super) fn is_positive(&self) -> bool {
        self.holds != self.test.negated
    }
}

/// The possible cases in which `condition` holds, or with `holds` false does not.
pub(super) fn cases<'a>(
    condition: &'a Condition,
    holds: bool,
    lists: &Lists<'_>,
) -> Result<Vec<Case<'a>>, TooMany> {
    match (condition, holds) {
        (Condition::Test(test), holds) => Ok(vec![vec![Literal { test, holds }]]),
        (Condition::All(parts), true) => together(parts, true, lists),
        (Condition::None(parts), true) | (Condition::Any(parts), false) => {
            together(parts, false, lists)
        }
        (Condition::Any(parts), true) | (Condition::None(parts), false) => {
            either(parts, true, lists)
        }
        (Condition::All(parts), false) => either(parts, false, lists),
    }
}

fn either<'a>(
    parts: &'a [Condition],
    holds: bool,
    lists: &Lists<'_>,
) -> Result<Vec<Case<'a>>, TooMany> {
    let mut all = Vec::new();
    for part in parts {
        all.extend(cases(part, holds, lists)?);
        if all.len() > CASES_MAX {
            return Err(TooMany);
        }
    }
    Ok(all)
}

fn together<'a>(
    parts: &'a [Condition],
    holds: bool,
    lists: &Lists<'_>,
) -> Result<Vec<Case<'a>>, TooMany> {
    let mut all = vec![Vec::new()];
    for part in parts {
        all = product(&all, &cases(part, holds, lists)?, lists)?;
    }
    Ok(all)
}

/// The possible cases in which one of `left` and one of `right` hold together.
pub(super) fn product<'a>(
    left: &[Case<'a>],
    right: &[Case<'a>],
    lists: &Lists<'_>,
) -> Result<Vec<Case<'a>>, TooMany> {
    let mut all = Vec::new();
    for a in left {
        for b in right {
            let mut case = a.clone();
            for literal in b {
                let known = |l: &Literal<'_>| {
                    l.is_positive() == literal.is_positive()
                        && l.test.fact == literal.test.fact
                        && l.test.relation == literal.test.relation
                };
                if !case.iter().any(known) {
                    case.push(*literal);
                }
            }
            if case.len() > TESTS_MAX {
                return Err(TooMany);
            }
            if is_possible(&case, lists) {
                all.push(case);
            }
            if all.len() > CASES_MAX {
                return Err(TooMany);
            }
        }
    }
    Ok(all)
}

/// Whether the tests of a case can hold together, as far as can be told.
fn is_possible(case: &Case<'_>, lists: &Lists<'_>) -> bool {
    case.iter().all(|literal| !is_excluded(literal, case, lists))
        && agrees_across_facts(case, lists)
}

/// Whether the other tests of the case leave `literal` no value.
fn is_excluded(literal: &Literal<'_>, case: &Case<'_>, lists: &Lists<'_>) -> bool {
    let fact = &literal.test.fact;
    let same = || case.iter().filter(|other| other.test.fact == *fact);
    if let Some(values) = every_value(fact) {
        // One of few values: try them all.
        return !values.iter().any(|value| {
            same()
                .all(|l| lists.passes(value, &l.test.relation).is_none_or(|p| p == l.is_positive()))
        });
    }
    if !literal.is_positive() {
        return same().any(|other| {
            other.is_positive() && lists.within(&other.test.relation, &literal.test.relation)
        });
    }
    if is_single(fact) && bounds(&mut same()).is_some_and(|(low, high)| low > high) {
        return true;
    }
    let Relation::Is(values) = &literal.test.relation else { return false };
    let left = |value: &&Value| {
        same().all(|other| {
            if !other.is_positive() {
                return lists.passes(value, &other.test.relation) != Some(true);
            }
            !is_single(fact) || lists.passes(value, &other.test.relation) != Some(false)
        })
    };
    !values.iter().any(|value| left(&value))
}

/// Every value of a fact that has few and is never absent.
fn every_value(fact: &Fact) -> Option<Vec<Value>> {
    match fact {
        Fact::Delivery => Some(vec![Value::Word(Word::Local), Value::Word(Word::Relaying)]),
        Fact::Weekday => Some(Weekday::ALL.map(Value::Weekday).to_vec()),
        _ => None,
    }
}

/// The least and greatest number that the tests leave.
fn bounds<'a>(literals: &mut dyn Iterator<Item = &'a Literal<'a>>) -> Option<(u64, u64)> {
    let (mut low, mut high, mut any) = (0, u64::MAX, false);
    for literal in literals {
        match (&literal.test.relation, literal.is_positive()) {
            (Relation::Over(limit), true) => low = low.max(limit.saturating_add(1)),
            (Relation::Over(limit), false) => high = high.min(*limit),
            (Relation::Under(0), true) => return Some((1, 0)),
            (Relation::Under(limit), true) => high = high.min(limit - 1),
            (Relation::Under(limit), false) => low = low.max(*limit),
            _ => continue,
        }
        any = true;
    }
    any.then_some((low, high))
}

/// What one fact says about another.
fn agrees_across_facts(case: &Case<'_>, lists: &Lists<'_>) -> bool {
    let has = |fact: &Fact| case.iter().any(|l| l.is_positive() && l.test.fact == *fact);
    let lacks = |fact: &Fact| {
        case.iter().any(|l| {
            !l.is_positive()
                && l.test.fact == *fact
                && l.test.relation == Relation::Is(vec![Value::Present])
        })
    };
    let certificate = has(&Fact::CertificateSubject) || has(&Fact::CertificateFingerprint);
    let tls = certificate
        || has(&Fact::ClientCertificate)
        || has(&Fact::TlsVersion)
        || has(&Fact::TlsCipher);
    let must_be = |fact: Fact, word: Word| {
        case.iter().any(|l| {
            l.is_positive()
                && l.test.fact == fact
                && l.test.relation == Relation::Is(vec![Value::Word(word)])
        })
    };
    let local = Value::Word(Word::Local);
    let relaying = case.iter().any(|l| {
        l.test.fact == Fact::Delivery
            && lists.passes(&local, &l.test.relation) == Some(!l.is_positive())
    });
    let versions = || case.iter().filter(|l| l.test.fact == Fact::TlsVersion);
    let no_version = [Version::Tls12, Version::Tls13].map(Value::Version).iter().all(|version| {
        versions().any(|l| lists.passes(version, &l.test.relation) == Some(!l.is_positive()))
    });
    !((tls && lacks(&Fact::Tls))
        || (has(&Fact::Tls) && no_version)
        || (certificate && lacks(&Fact::ClientCertificate))
        || (relaying && has(&Fact::RecipientAccount))
        || (must_be(Fact::Sender, Word::Null) && has(&Fact::SenderDomain))
        || domains_exclude(case, &Fact::Sender, &Fact::SenderDomain, lists)
        || domains_exclude(case, &Fact::Recipient, &Fact::RecipientDomain, lists))
}

/// Whether no address asked for lies in a domain asked for.
fn domains_exclude(case: &Case<'_>, address: &Fact, domain: &Fact, lists: &Lists<'_>) -> bool {
    let of = |fact: &Fact| {
        let fact = fact.clone();
        case.iter().filter(move |l| l.test.fact == fact)
    };
    of(address).filter(|l| l.is_positive()).any(|l| {
        let Relation::Is(values) = &l.test.relation else { return false };
        values.iter().all(|value| {
            let Value::Address(address) = value else { return false };
            let pattern =
                crate::test::DomainPattern { domain: address.domain().clone(), below: false };
            let value = Value::Domain(pattern);
            of(domain).any(|d| lists.passes(&value, &d.test.relation) == Some(!d.is_positive()))
        })
    })
}
