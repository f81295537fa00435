//! The built-in rules that follow from the checks of a sender.

use super::{rule, test};
use crate::action::{Action, Response, Verdict};
use crate::fact::Fact;
use crate::rule::{Condition, Rule};
use crate::test::{Relation, Value, Word};

/// What is done with a message for what a check came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Treatment {
    /// Nothing: no rule is made.
    #[default]
    Accept,
    /// It is refused for good.
    Reject,
    /// It is refused for now.
    Defer,
    /// It is held for a person to look at.
    Quarantine,
}

/// What follows from the checks of a sender. The default is nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SenderChecks {
    /// SPF: the domain of the reverse-path does not let the client send for it.
    pub spf_fail: Treatment,
    /// SPF: the name in EHLO does not.
    pub spf_helo_fail: Treatment,
    /// SPF: it probably does not.
    pub spf_softfail: Treatment,
    /// SPF: it does not say.
    pub spf_neutral: Treatment,
    /// SPF: it has no record.
    pub spf_none: Treatment,
    /// SPF: its record cannot be used.
    pub spf_permerror: Treatment,
    /// SPF: DNS gave no reliable answer.
    pub spf_temperror: Treatment,
    /// DMARC failed, and the author's domain asks for refusal.
    pub dmarc_reject: Treatment,
    /// DMARC failed, and it asks for suspicion.
    pub dmarc_quarantine: Treatment,
    /// DMARC: DNS gave no reliable answer, and a policy may be there.
    pub dmarc_temperror: Treatment,
    /// Nobody can say who the author is.
    pub unclear_from: Treatment,
}

/// The beginning of the names of the rules about SPF.
pub const SPF: &str = "spf-";
/// The beginning of the names of the rules about DMARC.
pub const DMARC: &str = "dmarc-";
/// The name of the rule about unclear authors.
pub const UNCLEAR_FROM: &str = "unclear-from";

/// The rules, each with what it is for.
pub(super) fn rules(checks: &SenderChecks) -> Vec<(Rule, &'static str)> {
    let is = |fact, word| test(fact, false, Relation::Is(vec![Value::Word(word)]));
    let not = |fact, word| test(fact, true, Relation::Is(vec![Value::Word(word)]));
    let all = |tests: Vec<Condition>| Condition::All(tests);
    let rows: [(&str, Treatment, Condition, Status, &str, &str); 11] = [
        (
            "spf-fail",
            checks.spf_fail,
            all(vec![is(Fact::Spf, Word::Fail)]),
            SPF_FAILED,
            "SPF: the sender's domain does not let this client send for it",
            "A client that the sender's domain does not let send for it is refused (RFC 7208).",
        ),
        (
            "spf-helo-fail",
            checks.spf_helo_fail,
            all(vec![is(Fact::SpfHelo, Word::Fail)]),
            SPF_FAILED,
            "SPF: the name in EHLO does not let this client use it",
            "A client that may not use the name it gives itself is refused (RFC 7208).",
        ),
        (
            "spf-softfail",
            checks.spf_softfail,
            all(vec![is(Fact::Spf, Word::SoftFail)]),
            SPF_FAILED,
            "SPF: the sender's domain probably does not let this client send for it",
            "The sender's domain probably does not let the client send for it.",
        ),
        (
            "spf-neutral",
            checks.spf_neutral,
            all(vec![is(Fact::Spf, Word::Neutral)]),
            SPF_FAILED,
            "SPF: the sender's domain does not say whether this client sends for it",
            "The sender's domain does not say whether the client sends for it.",
        ),
        (
            "spf-none",
            checks.spf_none,
            all(vec![is(Fact::Spf, Word::None)]),
            SPF_FAILED,
            "SPF: the sender's domain has no record",
            "The sender's domain has no SPF record.",
        ),
        (
            "spf-permerror",
            checks.spf_permerror,
            all(vec![is(Fact::Spf, Word::PermError)]),
            (7, 24),
            "SPF: the record of the sender's domain cannot be used",
            "The SPF record of the sender's domain cannot be used.",
        ),
        (
            "spf-temperror",
            checks.spf_temperror,
            all(vec![is(Fact::Spf, Word::TempError)]),
            DNS_FAILED,
            "SPF: the record of the sender's domain could not be had from DNS, try again later",
            "The SPF record of the sender's domain could not be had from DNS.",
        ),
        (
            UNCLEAR_FROM,
            checks.unclear_from,
            all(vec![
                is(Fact::Dmarc, Word::PermError),
                test(Fact::AuthorDomain, true, Relation::Is(vec![Value::Present])),
            ]),
            (6, 0),
            "The message must have one From field with an address",
            "A message that does not say clearly who its author is.",
        ),
        (
            "dmarc-reject",
            checks.dmarc_reject,
            all(vec![is(Fact::Dmarc, Word::Fail), is(Fact::DmarcDisposition, Word::Reject)]),
            (7, 26),
            "DMARC: the author's domain asks to refuse mail that is not from it",
            "The author's domain asks to refuse what is not from it (RFC 9989).",
        ),
        (
            "dmarc-quarantine",
            checks.dmarc_quarantine,
            all(vec![is(Fact::Dmarc, Word::Fail), is(Fact::DmarcDisposition, Word::Quarantine)]),
            (7, 26),
            "DMARC: the author's domain asks for suspicion of mail that is not from it",
            "The author's domain asks for suspicion of what is not from it (RFC 9989).",
        ),
        (
            "dmarc-temperror",
            checks.dmarc_temperror,
            all(vec![is(Fact::Dmarc, Word::TempError), not(Fact::DmarcPolicy, Word::None)]),
            DNS_FAILED,
            "DMARC: the author's domain could not be checked for lack of DNS, try again later",
            "The author's domain could not be checked for lack of DNS, and may have a policy.",
        ),
    ];
    rows.into_iter()
        .filter_map(|(name, treatment, when, status, text, doc)| {
            let verdict = verdict(treatment, status, text)?;
            Some((rule(name, when, vec![Action::Verdict(verdict)]), doc))
        })
        .collect()
}

/// Subject and detail of an enhanced status (RFC 3463).
type Status = (u16, u16);
/// SPF validation failed (RFC 7372).
const SPF_FAILED: Status = (7, 23);
/// Directory server failure, which DNS is (RFC 7208 section 8.6).
const DNS_FAILED: Status = (4, 3);

fn verdict(treatment: Treatment, (subject, detail): Status, text: &str) -> Option<Verdict> {
    let response = |code, class| Response {
        code,
        status: mail::Status::new(class, subject, detail),
        text: text.to_owned(),
    };
    match treatment {
        Treatment::Accept => None,
        Treatment::Reject => Some(Verdict::Reject(response(550, 5))),
        Treatment::Defer => Some(Verdict::Defer(response(451, 4))),
        Treatment::Quarantine => Some(Verdict::Quarantine { reason: text.to_owned() }),
    }
}
