//! What holds where scanners are configured.

use super::{rule, test};
use crate::action::{Action, Response, Verdict};
use crate::fact::Fact;
use crate::rule::{Condition, Rule};
use crate::test::{Relation, Value, Word};

/// What happens to what scanners find, unless a rule of the administrator says it. Without
/// scanners there is nothing to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scanning {
    /// A virus.
    pub virus: Course,
    /// A spam scanner wants it refused.
    pub spam: Course,
}

/// What happens to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// It is refused.
    Reject,
    /// It is set aside.
    Quarantine,
    /// The administrator's rules decide.
    Rules,
}

/// The rules, each with what it is for.
pub(super) fn rules(scanning: Scanning) -> Vec<(Rule, &'static str)> {
    let is = |fact, value| Condition::All(vec![test(fact, false, Relation::Is(vec![value]))]);
    let mut rules = vec![(
        rule(
            "scan-failed",
            is(Fact::Scan, Value::Present),
            vec![refuse(451, 4, "The message cannot be checked now, try again later")],
        ),
        "Mail waits outside while a scanner with `on-failure closed` gives no verdict.",
    )];
    let virus = match scanning.virus {
        Course::Reject => Some(refuse(550, 5, "The message carries a virus")),
        Course::Quarantine => Some(quarantine("A virus was found")),
        Course::Rules => None,
    };
    if let Some(action) = virus {
        let rule = rule("virus-found", is(Fact::Virus, Value::Present), vec![action]);
        rules.push((rule, "Mail with a virus does not pass."));
    }
    let spam = match scanning.spam {
        Course::Reject => Some(refuse(550, 5, "The message is refused as spam")),
        Course::Quarantine => Some(quarantine("A scanner wants it refused as spam")),
        Course::Rules => None,
    };
    if let Some(action) = spam {
        let when = is(Fact::SpamAction, Value::Word(Word::Reject));
        rules.push((
            rule("spam-refused", when, vec![action]),
            "Mail that a spam scanner wants refused is.",
        ));
        let when = is(Fact::SpamAction, Value::Word(Word::SoftReject));
        let later = refuse(451, 4, "Try again later");
        let why = "Mail that a spam scanner wants to come again later has to.";
        rules.push((rule("spam-deferred", when, vec![later]), why));
    }
    rules
}

fn refuse(code: u16, class: u8, text: &str) -> Action {
    let response = Response { code, status: mail::Status::new(class, 7, 1), text: text.into() };
    Action::Verdict(if class == 5 { Verdict::Reject(response) } else { Verdict::Defer(response) })
}

fn quarantine(reason: &str) -> Action {
    Action::Verdict(Verdict::Quarantine { reason: reason.into() })
}
