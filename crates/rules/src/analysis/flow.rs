//! Order: what is never reached, never matches, or is undone further down.

use super::cases::{Case, cases, product};
use super::values::Lists;
use super::{Code, Findings, Note, Severity};
use crate::action::{Action, Setting, SignIn, Verdict};
use crate::policy::RuleSet;
use crate::rule::{Condition, Rule, Statement};

/// How many rules below a setting are searched for one that undoes it.
const LOOK_AHEAD_MAX: usize = 200;

pub(super) fn check(set: &RuleSet, findings: &mut Findings) {
    let lists = Lists::new(set);
    for rule in &set.rules {
        stages(rule, findings);
        dead_actions(rule, findings);
    }
    reach(set, &lists, findings);
    undone(set, &lists, findings);
    sign_in_order(set, findings);
}

/// The verdict of a rule, if it gives one.
pub(super) fn verdict(rule: &Rule) -> Option<(&Verdict, &Statement)> {
    rule.then.iter().find_map(|statement| match &statement.action {
        Action::Verdict(verdict) => Some((verdict, statement)),
        Action::Set(_) => None,
    })
}

/// The settings of a rule that take effect.
pub(super) fn settings(rule: &Rule) -> impl Iterator<Item = (&Setting, &Statement)> {
    rule.then.iter().map_while(|statement| match &statement.action {
        Action::Set(setting) => Some((setting, statement)),
        Action::Verdict(_) => None,
    })
}

fn stages(rule: &Rule, findings: &mut Findings) {
    for (setting, statement) in settings(rule) {
        let late =
            rule.when.tests().into_iter().find(|test| test.fact.info().stage > setting.stage());
        if let Some(test) = late {
            let (word, now) = (setting.word(), setting.stage());
            let then = test.fact.info().stage;
            findings.error(
                Code::StageTooLate,
                rule,
                &statement.origin,
                format!("{word} is decided at {now}, but \"{test}\" is known at {then} only"),
                format!("ask for facts that are known at {now}, or take {word} out of this rule"),
            );
            findings.beside(&test.origin);
        }
    }
}

fn dead_actions(rule: &Rule, findings: &mut Findings) {
    let Some((verdict, given)) = verdict(rule) else { return };
    let mut after =
        rule.then.iter().skip_while(|statement| !std::ptr::eq(*statement, given)).skip(1);
    if let Some(dead) = after.next() {
        findings.warning(
            Code::DeadActions,
            rule,
            &dead.origin,
            format!("this never happens: {} ends the rule", verdict.word()),
            format!("move it before {}", verdict.word()),
        );
        findings.beside(&given.origin);
    }
}

/// What is left for each rule after the rules above it have taken their cases.
fn reach(set: &RuleSet, lists: &Lists<'_>, findings: &mut Findings) {
    let mut left: Vec<Case<'_>> = vec![Vec::new()];
    let mut limited = false;
    for (at, rule) in set.rules.iter().enumerate() {
        let Ok(own) = cases(&rule.when, true, lists) else {
            limit(rule, &mut limited, findings);
            continue;
        };
        if own.is_empty() {
            findings.warning(
                Code::NeverMatches,
                rule,
                &rule.origin,
                "its conditions exclude each other, so it never matches".into(),
                "take one of them out, or join them with any".into(),
            );
            continue;
        }
        // Past the limit the rules above are known in part only: what is left is too much,
        // so that nothing wrong is said.
        match product(&left, &own, lists) {
            Ok(reached) if reached.is_empty() => unreachable(set, at, lists, findings),
            Ok(_) => {}
            Err(_) => limit(rule, &mut limited, findings),
        }
        if verdict(rule).is_some() && !limited {
            let remaining = cases(&rule.when, false, lists);
            match remaining.and_then(|others| product(&left, &others, lists)) {
                Ok(smaller) => left = smaller,
                Err(_) => limit(rule, &mut limited, findings),
            }
        }
    }
}

fn limit(rule: &Rule, limited: &mut bool, findings: &mut Findings) {
    if !std::mem::replace(limited, true) {
        findings.warning(
            Code::AnalysisLimit,
            rule,
            &rule.origin,
            "too many cases to look at: from here on some findings may be missing".into(),
            "move long lists of values into tables".into(),
        );
    }
}

fn unreachable(set: &RuleSet, at: usize, lists: &Lists<'_>, findings: &mut Findings) {
    let rule = &set.rules[at];
    // One rule above that takes every case by itself makes the better message.
    let above = set.rules[..at].iter().filter(|above| verdict(above).is_some());
    let alone = above.clone().find(|above| implies(&rule.when, &above.when, lists));
    let (message, related) = match alone {
        Some(above) => {
            (format!("it is never reached: \"{}\" above decides first", above.name), Some(above))
        }
        None => {
            ("it is never reached: the rules above decide every case".into(), above.clone().next())
        }
    };
    let help = match verdict(rule) {
        Some(_) => "move it up, or narrow the rule above".into(),
        None => "move it up: settings must stand before the verdict that ends the matter".into(),
    };
    findings.warning(Code::Unreachable, rule, &rule.origin, message, help);
    if let Some(above) = related {
        findings.beside(&above.origin);
    }
}

/// Whether `whole` surely holds wherever `part` does.
pub(super) fn implies(part: &Condition, whole: &Condition, lists: &Lists<'_>) -> bool {
    let both = || product(&cases(part, true, lists)?, &cases(whole, false, lists)?, lists);
    both().is_ok_and(|left| left.is_empty())
}

/// Whether both may hold, as far as can be told.
fn meet(a: &Condition, b: &Condition, lists: &Lists<'_>) -> bool {
    let both = || product(&cases(a, true, lists)?, &cases(b, true, lists)?, lists);
    both().is_ok_and(|left| !left.is_empty())
}

fn undone(set: &RuleSet, lists: &Lists<'_>, findings: &mut Findings) {
    for (at, rule) in set.rules.iter().enumerate() {
        if verdict(rule).is_some() {
            continue;
        }
        for (setting, statement) in settings(rule).filter(|(setting, _)| setting.replaces()) {
            let later = set.rules[at + 1..].iter().take(LOOK_AHEAD_MAX);
            // A verdict in between lets some message keep the setting.
            let until_kept = later.take_while(|later| {
                verdict(later).is_none() || !meet(&rule.when, &later.when, lists)
            });
            let mut undoing = until_kept.filter_map(|later| {
                let mut same = settings(later).filter(|(other, _)| other.word() == setting.word());
                same.next().map(|(other, _)| (later, other))
            });
            let Some((later, other)) =
                undoing.find(|(later, _)| implies(&rule.when, &later.when, lists))
            else {
                continue;
            };
            let (message, help) = if other == setting {
                (
                    format!("\"{}\" below sets the same again", later.name),
                    "remove one of the two".into(),
                )
            } else {
                (
                    format!("\"{}\" below always changes {} again", later.name, setting.word()),
                    format!("move it below \"{}\", or remove it", later.name),
                )
            };
            findings.warning(Code::SettingUndone, rule, &statement.origin, message, help);
            findings.beside(&later.origin);
        }
    }
}

/// Signing in is switched off first and on afterwards, so that the last word read on it
/// is the one that opens something.
fn sign_in_order(set: &RuleSet, findings: &mut Findings) {
    for (at, rule) in set.rules.iter().enumerate() {
        let offs: Vec<_> = settings(rule).collect();
        let sets_tls = offs.iter().any(|(s, _)| matches!(s, Setting::TlsConnections(_)));
        let Some((_, statement)) =
            offs.iter().find(|(s, _)| **s == Setting::PlainConnections(SignIn::Off))
        else {
            continue;
        };
        let turns_on = |above: &&Rule| {
            settings(above)
                .any(|(s, _)| matches!(s, Setting::TlsConnections(SignIn::Mechanisms(_))))
        };
        if sets_tls {
            continue;
        }
        if let Some(above) = set.rules[..at].iter().find(turns_on) {
            let message = format!(
                "it switches authentication off after \"{}\" has switched it on",
                above.name
            );
            let help = format!(
                "put it before \"{}\": what switches authentication off comes before what allows it",
                above.name
            );
            findings.add(
                Code::SettingUndone,
                Severity::Warning,
                &statement.origin,
                Note {
                    rule: Some(rule.name.clone()),
                    message,
                    help,
                    related: Some(above.origin.clone()),
                },
            );
        }
    }
}
