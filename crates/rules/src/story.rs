//! The whole way of one message through the rules, stage by stage: what `explain` prints.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::action::SignIn;
use crate::decision::{Decision, Outcome};
use crate::explanation::{Explanation, RuleResult, Told, numbers, values};
use crate::fact::Fact;
use crate::facts::Facts;
use crate::hints::{Hint, change_one_thing};
use crate::policy::{Number, Policy, RuleId};
use crate::stage::Stage;

/// What the rules do with a message for one recipient, from the connection on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Story {
    /// The stages at which something happened, in order.
    pub chapters: Vec<Chapter>,
    /// What came of it.
    pub outcome: String,
    /// The rule that decided.
    pub by: Option<Number>,
    /// The written rules that were not reached.
    pub not_reached: Vec<Number>,
    /// Single changes that would change the outcome.
    pub hints: Vec<Hint>,
}

/// One stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chapter {
    /// The stage.
    pub stage: Stage,
    /// What is so, or was decided, in one line; empty when a rule says it.
    pub headline: String,
    /// The rules that made it so.
    pub because: Vec<Told>,
    /// All that was looked at.
    pub explanation: Explanation,
}

impl Policy {
    /// Tells the way of a message to the recipient in `facts`. Nothing happens by it.
    pub fn story(&self, facts: &Facts) -> Story {
        let mut chapters = Vec::new();
        let mut last = self.decide(facts, Stage::Connect);
        for stage in Stage::ALL {
            last = self.decide(facts, stage);
            let explanation = self.explain(facts, &last);
            let refused = last.outcome.is_final() && last.outcome != Outcome::Accept;
            chapters.extend(self.chapter(facts, &last, explanation));
            if refused {
                break;
            }
        }
        let explanation = self.explain(facts, &last);
        let written = |number: &Number| matches!(number, Number::Written(_));
        Story {
            chapters,
            outcome: last.outcome.to_string(),
            by: explanation.by,
            not_reached: explanation.not_reached.into_iter().filter(written).collect(),
            hints: change_one_thing(self, facts),
        }
    }

    fn chapter(
        &self,
        facts: &Facts,
        decision: &Decision,
        explanation: Explanation,
    ) -> Option<Chapter> {
        let of = |ids: &[RuleId]| -> Vec<Told> {
            let wanted: Vec<_> = ids.iter().map(|id| self.number(*id)).collect();
            let rules = explanation.rules.iter();
            rules.filter(|told| wanted.contains(&told.number)).cloned().collect()
        };
        let stage = decision.stage;
        let (headline, because) = match stage {
            Stage::Connect => (connection(facts), Vec::new()),
            Stage::Hello => session(facts, decision),
            Stage::Relay => self.way_out(facts, decision),
            Stage::Auth | Stage::Mail | Stage::Rcpt | Stage::Data => (String::new(), Vec::new()),
        };
        let decided = match decision.by {
            Some(by) if decision.outcome != Outcome::Accept => of(&[by]),
            Some(_) | None => Vec::new(),
        };
        let mut because: Vec<Told> = of(&because);
        because.extend(decided);
        (!headline.is_empty() || !because.is_empty()).then_some(Chapter {
            stage,
            headline,
            because,
            explanation,
        })
    }

    /// How the message leaves, when it does.
    fn way_out(&self, facts: &Facts, decision: &Decision) -> (String, Vec<RuleId>) {
        let Some(recipient) = facts.recipient.as_ref().filter(|recipient| !recipient.is_local)
        else {
            return (String::new(), Vec::new());
        };
        let settings = &decision.settings;
        let now = facts.now.map_or_else(mail::Timestamp::default, |moment| moment.0);
        let domain = recipient.address.domain();
        let demands = self.demands(settings, domain, None, None, now);
        let host = settings.relay_host.as_ref();
        let to = host.map_or_else(|| domain.to_string(), |chosen| chosen.value.to_string());
        let sources: Vec<_> = demands.deciding().iter().map(ToString::to_string).collect();
        let headline = format!("to {to}: {} (by {})", demands.joined(), sources.join(", "));
        let mut because: Vec<RuleId> = host.iter().map(|chosen| chosen.by).collect();
        because.extend(settings.relay_encryption.iter().map(|chosen| chosen.by));
        because.extend(settings.relay_tls_versions.iter().map(|chosen| chosen.by));
        because.retain(|id| self.is_written(*id));
        (headline, because)
    }
}

/// What EHLO offers.
fn session(facts: &Facts, decision: &Decision) -> (String, Vec<RuleId>) {
    let settings = &decision.settings;
    let under_tls = facts.tls.is_some();
    let starttls = match (under_tls, settings.offers_starttls()) {
        (true, _) => "",
        (false, true) => "STARTTLS offered; ",
        (false, false) => "STARTTLS not offered; ",
    };
    let auth = match settings.sign_in(under_tls) {
        SignIn::Off => "AUTH not offered".to_owned(),
        SignIn::Mechanisms(list) if list.is_empty() => "AUTH offered".to_owned(),
        SignIn::Mechanisms(list) => {
            let names: Vec<_> = list.iter().map(|mechanism| mechanism.name()).collect();
            format!("AUTH {} offered", names.join(" "))
        }
    };
    let chosen = if under_tls { &settings.tls_connections } else { &settings.plain_connections };
    (format!("{starttls}{auth}"), chosen.iter().map(|chosen| chosen.by).collect())
}

fn connection(facts: &Facts) -> String {
    let mut parts = Vec::new();
    for (word, fact) in
        [("listener ", Fact::Listener), ("", Fact::ClientIp), ("", Fact::ClientName)]
    {
        parts.extend(values(&fact, facts).iter().map(|value| format!("{word}{value}")));
    }
    parts.extend(values(&Fact::Tls, facts));
    parts.join(", ")
}

const STAGE_WIDTH: usize = 10;
const NAME_WIDTH: usize = 46;
const CONDITION_WIDTH: usize = 42;

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let indent = " ".repeat(STAGE_WIDTH + 2);
        for chapter in &self.chapters {
            let mut stage = chapter.stage.word();
            if !chapter.headline.is_empty() {
                writeln!(f, "  {stage:STAGE_WIDTH$}{}", chapter.headline)?;
                stage = "";
            }
            for told in &chapter.because {
                let because = if stage.is_empty() { "  because " } else { "" };
                let name = format!("{because}rule {} {}", told.number, told.name);
                writeln!(f, "  {stage:STAGE_WIDTH$}{name:NAME_WIDTH$} {}", told.origin)?;
                stage = "";
                if because.is_empty() && told.result == RuleResult::Matched {
                    for test in &told.tests {
                        let condition = &test.condition;
                        let seen = match &test.seen[..] {
                            [] => String::new(),
                            seen => format!(" ({})", seen.join(", ")),
                        };
                        writeln!(
                            f,
                            "{indent}  {condition:CONDITION_WIDTH$} {}{seen}",
                            test.answer()
                        )?;
                    }
                }
            }
        }
        writeln!(f, "{indent}-> {}", self.outcome)?;
        if !self.not_reached.is_empty() {
            writeln!(f, "  not reached: {}", numbers(&self.not_reached))?;
        }
        for (at, hint) in self.hints.iter().enumerate() {
            let lead = if at == 0 { "\nChange one thing: " } else { "                  " };
            writeln!(f, "{lead}{hint}")?;
        }
        Ok(())
    }
}
