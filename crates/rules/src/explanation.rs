//! Why: which rules were looked at, on which facts, and what each did.
//!
//! A decision keeps only which rules it looked at; the words are made here, from the same
//! policy and facts, when somebody asks.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::action::{Action, version_word};
use crate::decision::{Decision, Looked, Step};
use crate::fact::{Fact, Seen};
use crate::facts::Facts;
use crate::matcher::{Truth, View};
use crate::policy::{Node, Number, Policy};
use crate::rule::Origin;
use crate::stage::Stage;

/// The most values of one fact that are shown.
pub const SEEN_MAX: usize = 5;
/// The most characters shown of one value.
pub const SEEN_MAX_CHARS: usize = 100;

/// A decision in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The stage.
    pub stage: Stage,
    /// The rules looked at, in order.
    pub rules: Vec<Told>,
    /// The rules not looked at, since one above ended the matter.
    pub not_reached: Vec<Number>,
    /// What came of it: `REJECT 550 5.7.10 Use STARTTLS`.
    pub outcome: String,
    /// The rule that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Number>,
}

/// One rule that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Its number.
    pub number: Number,
    /// Its name.
    pub name: String,
    /// Its line.
    pub origin: Origin,
    /// What came of it.
    pub result: RuleResult,
    /// Its conditions, each with what was seen.
    pub tests: Vec<TestTold>,
    /// The actions that it took, as the configuration has them.
    pub did: Vec<String>,
}

/// What came of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RuleResult {
    /// Its condition holds.
    Matched,
    /// Its condition holds, but a rule above may still decide first.
    WaitsForAbove,
    /// Its condition does not hold.
    NotMatched,
    /// Its facts are not all known yet.
    NotKnownYet,
}

/// One condition and the fact it was held against.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestTold {
    /// The condition, as the configuration has it.
    pub condition: String,
    /// Whether it holds; `None` while that is not known.
    pub holds: Option<bool>,
    /// The values seen, at most [`SEEN_MAX`]; none when the fact is absent or not known.
    pub seen: Vec<String>,
}

impl Policy {
    /// Puts `decision` into words. It must be this policy's decision on these facts.
    pub fn explain(&self, facts: &Facts, decision: &Decision) -> Explanation {
        let steps = &decision.trace.steps;
        let after = self.rules().skip(steps.len());
        Explanation {
            stage: decision.stage,
            rules: steps
                .iter()
                .filter_map(|step| self.tell(facts, decision.stage, *step))
                .collect(),
            not_reached: after.map(|(_, number, _)| number).collect(),
            outcome: decision.outcome.to_string(),
            by: decision.by.map(|id| self.number(id)),
        }
    }

    fn tell(&self, facts: &Facts, stage: Stage, step: Step) -> Option<Told> {
        let compiled = self.rules.get(usize::from(step.rule.0))?;
        let rule = &compiled.rule;
        let view = match step.looked {
            Looked::MatchedForNow => View::ForNow,
            Looked::Matched | Looked::MatchedBehind | Looked::NotMatched | Looked::Waiting => {
                View::ForGood
            }
        };
        let mut truths = Vec::new();
        ask_each(&compiled.when, facts, stage, view, &mut truths);
        let tests = rule.when.tests().into_iter().zip(truths).map(|(test, truth)| TestTold {
            condition: test.to_string(),
            holds: match truth {
                Truth::True => Some(true),
                Truth::False => Some(false),
                Truth::Unknown => None,
            },
            seen: if stage < test.fact.info().stage {
                Vec::new()
            } else {
                values(&test.fact, facts)
            },
        });
        let applies = |action: &Action| match (step.looked, action) {
            (Looked::Matched, _) | (Looked::MatchedBehind, Action::Set(_)) => true,
            (Looked::MatchedForNow, Action::Set(setting)) => setting.stage() == Stage::Hello,
            (Looked::MatchedBehind | Looked::MatchedForNow, Action::Verdict(_))
            | (Looked::NotMatched | Looked::Waiting, _) => false,
        };
        let taken = rule.then.iter().map(|statement| &statement.action);
        let last = taken.clone().position(|a| matches!(a, Action::Verdict(_)));
        let taken = taken.take(last.map_or(usize::MAX, |at| at + 1));
        Some(Told {
            number: self.number(step.rule),
            name: rule.name.clone(),
            origin: rule.origin.clone(),
            result: match step.looked {
                Looked::Matched | Looked::MatchedForNow => RuleResult::Matched,
                Looked::MatchedBehind => RuleResult::WaitsForAbove,
                Looked::NotMatched => RuleResult::NotMatched,
                Looked::Waiting => RuleResult::NotKnownYet,
            },
            tests: tests.collect(),
            did: taken.filter(|action| applies(action)).map(ToString::to_string).collect(),
        })
    }
}

/// The truth of every test, in the order in which [`crate::Condition::tests`] has them.
fn ask_each(node: &Node, facts: &Facts, stage: Stage, view: View, into: &mut Vec<Truth>) {
    match node {
        Node::All(parts) | Node::Any(parts) | Node::None(parts) => {
            for part in parts {
                ask_each(part, facts, stage, view, into);
            }
        }
        Node::Test(matcher) => into.push(matcher.truth(facts, stage, view)),
    }
}

/// The values of a fact, as people read them.
pub(crate) fn values(fact: &Fact, facts: &Facts) -> Vec<String> {
    let mut values = Vec::new();
    fact.seen(facts, |seen| {
        values.push(show(fact, facts, seen));
        values.len() >= SEEN_MAX
    });
    if values.is_empty() && *fact == Fact::Tls {
        values.push("plain".into());
    }
    values
}

fn show(fact: &Fact, facts: &Facts, seen: Seen<'_>) -> String {
    let text = match seen {
        Seen::Present => match facts.tls.as_deref() {
            Some(tls) if *fact == Fact::Tls => tls.version.to_string(),
            Some(_) | None => "present".into(),
        },
        Seen::Version(version) => version_word(version).into(),
        Seen::Suite(suite) => suite.to_string(),
        Seen::Fingerprint(print) => print.to_string(),
        Seen::Text(text) => text.to_owned(),
        Seen::Address(address) => address.to_string(),
        Seen::Domain(domain) => domain.to_string(),
        Seen::Ip(ip) => ip.to_canonical().to_string(),
        Seen::Number(number) => fact.amount(number),
        Seen::Word(word) => word.word().into(),
        Seen::Minute(minute) => format!("{:02}:{:02}", minute / 60, minute % 60),
        Seen::Weekday(day) => day.word().into(),
    };
    // What came over the wire may hold anything; on a terminal it must not.
    let clean = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    text.chars().take(SEEN_MAX_CHARS).map(clean).collect()
}

impl RuleResult {
    /// The words shown.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Matched => "matched",
            Self::WaitsForAbove => "matched, waits for a rule above",
            Self::NotMatched => "not matched",
            Self::NotKnownYet => "not known yet",
        }
    }
}

impl TestTold {
    /// `yes`, `no` or `not known yet`.
    pub const fn answer(&self) -> &'static str {
        match self.holds {
            Some(true) => "yes",
            Some(false) => "no",
            None => "not known yet",
        }
    }
}

impl fmt::Display for Explanation {
    /// A line for each rule, its conditions and actions below it, and the outcome last.
    /// Built-in rules that did not match are left out; `{:#}` shows them too.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for rule in &self.rules {
            let built_in = matches!(rule.number, Number::BuiltIn(_));
            if f.alternate() || !built_in || rule.result == RuleResult::Matched {
                rule.fmt(f)?;
            }
        }
        if !self.not_reached.is_empty() {
            writeln!(f, "not reached: {}", numbers(&self.not_reached))?;
        }
        writeln!(f, "-> {}", self.outcome)
    }
}

/// `rule 4`, or `rules 4, 5`.
pub(crate) fn numbers(numbers: &[Number]) -> String {
    let list: Vec<_> = numbers.iter().map(ToString::to_string).collect();
    format!("rule{} {}", if list.len() == 1 { "" } else { "s" }, list.join(", "))
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, name, result) = (self.number, &self.name, self.result.words());
        writeln!(f, "rule {number} {name}: {result} ({})", self.origin)?;
        for test in &self.tests {
            writeln!(f, "    {test}")?;
        }
        self.did.iter().try_for_each(|action| writeln!(f, "    {action}"))
    }
}

impl fmt::Display for TestTold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.condition, self.answer())?;
        if self.holds.is_none() {
            return Ok(());
        }
        match &self.seen[..] {
            [] => f.write_str(" (absent)"),
            seen => write!(f, " ({})", seen.join(", ")),
        }
    }
}
