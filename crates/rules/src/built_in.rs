//! The rules that hold before any is written. They stand before the others, and
//! their numbers begin with 0.

mod fax;
mod scan;

use std::fmt::Write as _;

use tls::{Level, Version};

use crate::action::{Action, Response, Setting, SignIn, Verdict};
use crate::fact::Fact;
use crate::policy::RuleSet;
use crate::rule::{Condition, Origin, Rule, Statement};
use crate::test::{Relation, Test, Value, Word};

pub use scan::{Course, Scanning};

/// The table of clients that may relay without signing in.
pub const TRUSTED_NETWORKS: &str = "trusted-networks";
/// The Force Encrypt entries for mail that comes in.
pub const FORCE_ENCRYPT: &str = "force-encrypt";
/// Those of them that ask for TLS 1.3.
pub const FORCE_ENCRYPT_TLS_1_3: &str = "force-encrypt-tls-1.3";

/// Tables that are always there.
pub const TABLES: [&str; 3] = [TRUSTED_NETWORKS, FORCE_ENCRYPT, FORCE_ENCRYPT_TLS_1_3];

/// The built-in rules under `set`, in order: 0.1, 0.2 and so on.
pub fn rules(set: &RuleSet) -> Vec<Rule> {
    let mut rules = vec![
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
    ];
    rules.extend(set.scanning.into_iter().flat_map(scan::rules).map(|(rule, _)| rule));
    rules.extend(set.has_fax.then(fax::rules).into_iter().flatten().map(|(rule, _)| rule));
    rules
}

/// What no rule can change, applied after all of them.
pub const FORCE_ENCRYPT_OUTBOUND: &str = "force-encrypt-outbound";

/// The built-in rules as the configuration would have them, with their numbers and what
/// they are for.
pub fn show(set: &RuleSet) -> String {
    let reasons = [
        "AUTH is not offered in the clear; every mechanism that works is offered under TLS.",
        "Mail for a domain that is not ours is taken only from who signed in or from trusted networks.",
        "Mail from a listed domain or address is taken only over TLS.",
        "Mail from an entry with min-tls 1.3 is taken only over TLS 1.3.",
        "STARTTLS is offered, and tried on the way out.",
    ];
    let scan = set.scanning.into_iter().flat_map(scan::rules).map(|(_, reason)| reason);
    let fax = set.has_fax.then(fax::rules).into_iter().flatten().map(|(_, reason)| reason);
    let reasons = reasons.into_iter().chain(scan).chain(fax);
    let mut text = String::new();
    let rules = rules(set);
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
