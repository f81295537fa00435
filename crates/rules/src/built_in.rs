//! The rules that hold before any is written. They stand before the others, and
//! their numbers begin with 0.

pub mod authentication;
mod fax;
mod ownership;
mod scan;

use std::fmt::Write as _;

use tls::{Level, Version};

pub use authentication::{SenderChecks, Treatment};

use crate::action::{Action, Response, Setting, SignIn, Verdict};
use crate::fact::Fact;
use crate::policy::RuleSet;
use crate::rule::{Condition, Origin, Rule, Statement};
use crate::test::{Relation, Test, Value, Word};

pub use ownership::SenderMatch;
pub use scan::{Course, Scanning};

/// The table of clients that may relay without signing in.
pub const TRUSTED_NETWORKS: &str = "trusted-networks";
/// The Force Encrypt entries for mail that comes in.
pub const FORCE_ENCRYPT: &str = "force-encrypt";
/// Those of them that ask for TLS 1.3.
pub const FORCE_ENCRYPT_TLS_1_3: &str = "force-encrypt-tls-1.3";

/// Tables that are always there.
pub const TABLES: [&str; 3] = [TRUSTED_NETWORKS, FORCE_ENCRYPT, FORCE_ENCRYPT_TLS_1_3];

/// Built-in rules that say no in the words of the case at hand.
pub const FLOW: [&str; 7] = [
    "denied-client",
    "banned-client",
    "size-limit",
    "recipients-limit",
    "quota-reached",
    "recipients-quota-reached",
    "fax-quota-reached",
];

/// The built-in rules under `set`, in order: 0.1, 0.2 and so on.
pub fn rules(set: &RuleSet) -> Vec<Rule> {
    let mut rules = always(set);
    rules.extend(authentication::rules(&set.sender_checks).into_iter().map(|(rule, _)| rule));
    rules.extend(set.scanning.into_iter().flat_map(scan::rules).map(|(rule, _)| rule));
    rules.extend(ownership::rules(set.sender_must_match).into_iter().map(|(rule, _)| rule));
    rules.extend(set.lists.rules().into_iter().map(|(rule, _)| rule));
    rules.extend(set.has_fax.then(fax::rules).into_iter().flatten().map(|(rule, _)| rule));
    rules
}

/// Those that are there under every configuration.
fn always(set: &RuleSet) -> Vec<Rule> {
    vec![
        rule(
            "no-auth-in-clear",
            Condition::ALWAYS,
            vec![
                Action::Set(Setting::PlainConnections(SignIn::Off)),
                Action::Set(Setting::TlsConnections(SignIn::Mechanisms(Vec::new()))),
            ],
        ),
        rule("relay-control", relaying_by_a_stranger(), vec![reject(1, "Relaying denied")]),
        rule(
            "force-encrypt-inbound",
            Condition::All(vec![
                test(Fact::Tls, true, Relation::Is(vec![Value::Present])),
                listed(FORCE_ENCRYPT),
            ]),
            vec![reject(10, "This sender's mail is accepted only over TLS: use STARTTLS")],
        ),
        rule(
            "force-encrypt-inbound-version",
            Condition::All(vec![
                test(Fact::TlsVersion, true, Relation::AtLeast(Version::Tls13)),
                listed(FORCE_ENCRYPT_TLS_1_3),
            ]),
            vec![reject(10, "This sender's mail is accepted only over TLS 1.3")],
        ),
        rule(
            "default-encryption",
            Condition::ALWAYS,
            vec![
                Action::Set(Setting::StartTls(true)),
                Action::Set(Setting::RelayEncryption(set.default_encryption)),
            ],
        ),
        rule(
            "denied-client",
            is(Fact::ClientStanding, &[Word::Denied]),
            vec![respond(554, (5, 7, 1), "Your network is not served here")],
        ),
        rule(
            "banned-client",
            is(Fact::ClientStanding, &[Word::Banned]),
            vec![respond(554, (5, 7, 1), "Your network is banned for a time")],
        ),
        rule(
            "size-limit",
            is(
                Fact::LimitExceeded,
                &[Word::Message, Word::Header, Word::Attachment, Word::Attachments],
            ),
            vec![respond(552, (5, 3, 4), "Too large")],
        ),
        rule(
            "recipients-limit",
            is(Fact::LimitExceeded, &[Word::Recipients]),
            vec![respond(452, (4, 5, 3), "Too many recipients for one message")],
        ),
        rule(
            "quota-reached",
            is(Fact::QuotaReached, &[Word::Messages, Word::Octets]),
            vec![respond(450, (4, 7, 1), "Sending quota reached")],
        ),
        rule(
            "recipients-quota-reached",
            is(Fact::QuotaReached, &[Word::Recipients]),
            vec![respond(452, (4, 5, 3), "Sending quota of recipients reached")],
        ),
        rule(
            "fax-quota-reached",
            is(Fact::QuotaReached, &[Word::Faxes, Word::Pages]),
            vec![respond(452, (4, 5, 3), "Sending quota of faxes reached")],
        ),
    ]
}

/// What no rule can change, applied after all of them.
pub const FORCE_ENCRYPT_OUTBOUND: &str = "force-encrypt-outbound";

/// The built-in rules as the configuration would have them, with their numbers and what
/// they are for.
pub fn show(set: &RuleSet) -> String {
    let mut reasons = vec![
        "AUTH is not offered in the clear; every mechanism that works is offered under TLS.",
        "Mail for a domain that is not ours is taken only from who signed in or from trusted networks.",
        "Mail from a listed domain or address is taken only over TLS.",
        "Mail from an entry with min-tls 1.3 is taken only over TLS 1.3.",
        "STARTTLS is offered, and tried on the way out.",
        "Clients that flow { deny } names are turned away before a greeting.",
        "Clients that are banned are turned away before a greeting (mailkeep ban list).",
        "A message over a limit of size-limits { } or of the listener is refused.",
        "More recipients than size-limits { } allows are refused, for another message.",
        "Who has reached a quota { } waits until there is room.",
        "The same for recipients.",
        "The same for faxes and their pages, number by number.",
    ];
    let scan = set.scanning.into_iter().flat_map(scan::rules).map(|(_, reason)| reason);
    let ownership = ownership::rules(set.sender_must_match).into_iter().map(|(_, reason)| reason);
    let mut text = String::new();
    let rules = rules(set);
    let checks = authentication::rules(&set.sender_checks);
    reasons.extend(checks.iter().map(|(_, reason)| *reason));
    reasons.extend(scan);
    reasons.extend(ownership);
    reasons.extend(set.lists.rules().into_iter().map(|(_, reason)| reason));
    reasons.extend(set.has_fax.then(fax::rules).into_iter().flatten().map(|(_, reason)| reason));
    for ((minor, rule), reason) in (1..).zip(&rules).zip(reasons) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "# 0.{minor} {reason}\n{rule}");
    }
    let _ = writeln!(
        text,
        "# 0.{} {FORCE_ENCRYPT_OUTBOUND}: applied after every rule, and no rule weakens it.\n\
         # Mail for a listed domain, or through an MX whose name or address is listed, goes out\n\
         # with the protection its entry demands, or not at all.",
        rules.len() + 1
    );
    for entry in &set.force_encrypt {
        let _ = writeln!(text, "#   {entry}    ({})", entry.origin);
    }
    text
}

fn relaying_by_a_stranger() -> Condition {
    Condition::All(vec![
        test(Fact::Delivery, false, Relation::Is(vec![Value::Word(Word::Relaying)])),
        test(Fact::Authenticated, true, Relation::Is(vec![Value::Present])),
        test(Fact::ClientIp, true, Relation::InTable(TRUSTED_NETWORKS.into())),
    ])
}

fn listed(table: &str) -> Condition {
    Condition::Any(vec![
        test(Fact::SenderDomain, false, Relation::InTable(table.into())),
        test(Fact::ClientIp, false, Relation::InTable(table.into())),
    ])
}

fn test(fact: Fact, negated: bool, relation: Relation) -> Condition {
    Condition::Test(Test { fact, negated, relation, origin: Origin::BUILT_IN })
}

fn is(fact: Fact, words: &[Word]) -> Condition {
    test(fact, false, Relation::Is(words.iter().copied().map(Value::Word).collect()))
}

/// A refusal; for a time where its code says so.
fn respond(code: u16, (class, subject, detail): (u8, u16, u16), text: &str) -> Action {
    let response =
        Response { code, status: mail::Status::new(class, subject, detail), text: text.into() };
    Action::Verdict(if code < 500 { Verdict::Defer(response) } else { Verdict::Reject(response) })
}

fn reject(detail: u16, text: &str) -> Action {
    let status = mail::Status::new(5, 7, detail);
    Action::Verdict(Verdict::Reject(Response { code: 550, status, text: text.into() }))
}

fn rule(name: &str, when: Condition, actions: Vec<Action>) -> Rule {
    let origin = || Origin::BUILT_IN;
    let then = actions.into_iter().map(|action| Statement { action, origin: origin() }).collect();
    Rule { name: name.into(), origin: origin(), when, then }
}

/// The level of protection on the way out when nothing else is said.
pub const DEFAULT_ENCRYPTION: Level = Level::Opportunistic;
