//! Asking the rules: what holds for one recipient at one stage, and why.

use std::fmt;
use std::sync::Arc;

use crate::action::Response;
use crate::facts::Facts;
use crate::matcher::{Truth, View};
use crate::policy::{CompiledRule, Node, Policy, Ready, RuleId};
use crate::settings::Settings;
use crate::stage::Stage;

/// What the rules say at a stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The stage it is about.
    pub stage: Stage,
    /// What becomes of the message for this recipient.
    pub outcome: Outcome,
    /// The rule that gave the verdict; `None` while there is none, and for the
    /// acceptance that follows when no rule gives one.
    pub by: Option<RuleId>,
    /// The settings in force.
    pub settings: Settings,
    /// The rules that were looked at.
    pub trace: Trace,
}

/// What becomes of a message for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing is decided yet; go on.
    Continue,
    /// Taken.
    Accept,
    /// Refused for good, with this reply.
    Reject(Arc<Response>),
    /// Refused for now, with this reply.
    Defer(Arc<Response>),
    /// Taken and dropped.
    Discard,
    /// Taken and held, for this reason.
    Quarantine(Arc<str>),
}

impl fmt::Display for Outcome {
    /// `REJECT 550 5.7.10 Use STARTTLS`, `ACCEPT`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Continue => f.pad("CONTINUE"),
            Self::Accept => f.pad("ACCEPT"),
            Self::Reject(response) => write!(f, "REJECT {response}"),
            Self::Defer(response) => write!(f, "DEFER {response}"),
            Self::Discard => f.pad("DISCARD"),
            Self::Quarantine(reason) => write!(f, "QUARANTINE {reason}"),
        }
    }
}

impl Outcome {
    /// Whether the matter is ended.
    pub fn is_final(&self) -> bool {
        *self != Self::Continue
    }

    /// The reply that refuses, if it does.
    pub fn refusal(&self) -> Option<&Response> {
        match self {
            Self::Reject(response) | Self::Defer(response) => Some(response),
            Self::Continue | Self::Accept | Self::Discard | Self::Quarantine(_) => None,
        }
    }
}

/// The rules that were looked at, in order; [`Policy::explain`] says on which facts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    pub(crate) steps: Vec<Step>,
}

/// A rule and what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) rule: RuleId,
    pub(crate) looked: Looked,
}

/// What came of looking at a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Looked {
    /// Its condition holds; its actions apply.
    Matched,
    /// Its condition holds, but a rule above may still give a verdict.
    MatchedBehind,
    /// Its condition holds until the next EHLO; its settings of the session apply.
    MatchedForNow,
    /// Its condition does not hold.
    NotMatched,
    /// Its condition is not known yet.
    Waiting,
}

impl Trace {
    /// The rules whose actions apply, in order.
    pub fn matched(&self) -> impl Iterator<Item = RuleId> {
        self.steps.iter().filter(|step| step.looked.applies()).map(|step| step.rule)
    }
}

impl Looked {
    pub(crate) const fn applies(self) -> bool {
        match self {
            Self::Matched | Self::MatchedForNow => true,
            Self::MatchedBehind | Self::NotMatched | Self::Waiting => false,
        }
    }
}

impl Policy {
    /// What the rules say about `facts` at `stage`, for the recipient in the facts.
    ///
    /// What is decided stays decided at every later stage: a rule whose facts are not
    /// all known holds back the verdicts below it. (A written rule that refuses does not
    /// wait for a built-in one: those only refuse, too.) At [`Stage::Hello`] the settings of
    /// the session are those for the connection as it is now. From [`Stage::Data`] on
    /// everything is known, and what no rule refuses is accepted.
    pub fn decide(&self, facts: &Facts, stage: Stage) -> Decision {
        let mut settings = Settings::default();
        let mut trace = Trace { steps: Vec::with_capacity(self.rules.len()) };
        let mut waiting = Waiting::default();
        for (id, rule) in (0..).map(RuleId).zip(&self.rules) {
            let looked = look(rule, facts, stage, waiting);
            trace.steps.push(Step { rule: id, looked });
            match looked {
                Looked::NotMatched => {}
                Looked::Waiting => waiting.note(rule, self.is_written(id)),
                Looked::MatchedForNow => {
                    let of_session = rule.settings.iter().filter(|s| s.is_of_session());
                    of_session.for_each(|setting| setting.apply(&mut settings, id));
                    waiting.note(rule, self.is_written(id));
                }
                Looked::Matched | Looked::MatchedBehind => {
                    rule.settings.iter().for_each(|setting| setting.apply(&mut settings, id));
                    let Some(verdict) = &rule.verdict else { continue };
                    let (outcome, by) = if looked.applies() {
                        (verdict.outcome(), Some(id))
                    } else {
                        (Outcome::Continue, None)
                    };
                    return Decision { stage, outcome, by, settings, trace };
                }
            }
        }
        let ended = stage >= Stage::Data && !waiting.written && !waiting.built_in;
        let outcome = if ended { Outcome::Accept } else { Outcome::Continue };
        Decision { stage, outcome, by: None, settings, trace }
    }
}

/// The rules above that may still give a verdict.
#[derive(Debug, Clone, Copy, Default)]
struct Waiting {
    /// A built-in one, which can only refuse.
    built_in: bool,
    /// A written one.
    written: bool,
}

impl Waiting {
    fn note(&mut self, rule: &CompiledRule, is_written: bool) {
        let place = if is_written { &mut self.written } else { &mut self.built_in };
        *place |= rule.verdict.is_some();
    }

    /// Whether `verdict` has to wait. A refusal need not wait for a built-in rule:
    /// with that one the message would be refused too, only later.
    fn holds_back(self, verdict: &Ready) -> bool {
        self.written || (self.built_in && !verdict.refuses())
    }
}

impl Policy {
    /// The decision at the first stage, up to `last`, at which the matter ends; else the
    /// one at `last`. This is what live mail comes to when no step in between fails.
    pub fn decide_through(&self, facts: &Facts, last: Stage) -> Decision {
        let before = Stage::ALL.into_iter().filter(|stage| *stage < last);
        // Acceptance may come early, but settings for the way out come last.
        let ended = before
            .map(|stage| self.decide(facts, stage))
            .find(|decision| decision.outcome.is_final() && decision.outcome != Outcome::Accept);
        ended.unwrap_or_else(|| self.decide(facts, last))
    }
}

fn look(rule: &CompiledRule, facts: &Facts, stage: Stage, waiting: Waiting) -> Looked {
    match truth(&rule.when, facts, stage, View::ForGood) {
        Truth::True if rule.verdict.as_ref().is_some_and(|v| waiting.holds_back(v)) => {
            Looked::MatchedBehind
        }
        Truth::True => Looked::Matched,
        Truth::False => Looked::NotMatched,
        Truth::Unknown if rule.is_of_session && stage < Stage::Mail => {
            match truth(&rule.when, facts, stage, View::ForNow) {
                Truth::True => Looked::MatchedForNow,
                Truth::False | Truth::Unknown => Looked::Waiting,
            }
        }
        Truth::Unknown => Looked::Waiting,
    }
}

/// Whether a condition holds at `stage`: false as soon as one part settles it, unknown
/// only while a part that could settle it is unknown.
pub(crate) fn truth(node: &Node, facts: &Facts, stage: Stage, view: View) -> Truth {
    match node {
        Node::All(parts) => until(parts, Truth::False, facts, stage, view),
        Node::Any(parts) => until(parts, Truth::True, facts, stage, view),
        Node::None(parts) => !until(parts, Truth::True, facts, stage, view),
        Node::Test(matcher) => matcher.truth(facts, stage, view),
    }
}

/// The truth of parts of which one with `decisive` settles them all.
fn until(parts: &[Node], decisive: Truth, facts: &Facts, stage: Stage, view: View) -> Truth {
    let mut all = !decisive;
    for part in parts {
        match truth(part, facts, stage, view) {
            Truth::Unknown => all = Truth::Unknown,
            known if known == decisive => return decisive,
            Truth::True | Truth::False => {}
        }
    }
    all
}

impl Ready {
    fn refuses(&self) -> bool {
        match self {
            Self::Reject(_) | Self::Defer(_) => true,
            Self::Accept | Self::Discard | Self::Quarantine(_) => false,
        }
    }

    fn outcome(&self) -> Outcome {
        match self {
            Self::Accept => Outcome::Accept,
            Self::Reject(response) => Outcome::Reject(Arc::clone(response)),
            Self::Defer(response) => Outcome::Defer(Arc::clone(response)),
            Self::Discard => Outcome::Discard,
            Self::Quarantine(reason) => Outcome::Quarantine(Arc::clone(reason)),
        }
    }
}
