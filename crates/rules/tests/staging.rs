//! Deciding step by step comes to the same as deciding with everything known.

mod common;

use common::stranger;
use mail::ReversePath;
use proptest::prelude::*;
use rules::analysis::Code;
use rules::facts::{AccountKind, Attachment, HeaderField, MessageFacts, RecipientFacts};
use rules::{
    Condition, Facts, Number, Origin, Outcome, Policy, Rule, RuleSet, Settings, Severity, Stage,
    Statement,
};
use tls::Version;

const TESTS: [&str; 22] = [
    "connection is tls",
    "connection is not tls",
    "tls version is 1.3",
    "tls version not at least 1.3",
    "tls cipher not matches *AES_256*",
    "listener is mx",
    "client ip is 198.51.100.0/24",
    "client ip not in table trusted-networks",
    "client name is known",
    "helo matches client.*",
    "authenticated is any",
    "authenticated is not ann@a.example",
    "sender is null",
    "sender domain is a.example",
    "sender domain in table force-encrypt",
    "recipient domain is b.example",
    "recipient account is alias",
    "delivery is relaying",
    "message size over 100",
    "recipient count over 2",
    "header X-Flag is not present",
    "attachment name matches *.exe",
];

const ACTIONS: [&str; 14] = [
    "plain-connections authenticated plain",
    "plain-connections not-authenticated",
    "tls-connections authenticated login",
    "starttls off",
    "relay-encryption required",
    "relay-tls-versions 1.3",
    "add-header X-A b",
    "tag-subject [x]",
    "add-recipient j@a.example",
    "accept",
    "reject",
    "defer",
    "discard",
    "quarantine",
];

fn test() -> impl Strategy<Value = Condition> {
    (0..TESTS.len()).prop_map(|at| {
        let words: Vec<_> = TESTS[at].split(' ').collect();
        Condition::Test(rules::words::parse_test(&words, Origin::BUILT_IN).unwrap())
    })
}

fn condition() -> impl Strategy<Value = Condition> {
    test().prop_recursive(3, 12, 4, |inner| {
        let parts = proptest::collection::vec(inner, 0..4);
        prop_oneof![
            parts.clone().prop_map(Condition::All),
            parts.clone().prop_map(Condition::Any),
            parts.prop_map(Condition::None),
        ]
    })
}

fn rule() -> impl Strategy<Value = Rule> {
    (condition(), proptest::collection::vec(0..ACTIONS.len(), 1..3)).prop_map(|(when, actions)| {
        let then = actions.into_iter().map(|at| {
            let words: Vec<_> = ACTIONS[at].split(' ').collect();
            let action = rules::words::parse_action(&words).unwrap();
            Statement { action, origin: Origin::BUILT_IN }
        });
        Rule { name: String::new(), origin: Origin::BUILT_IN, when, then: then.collect() }
    })
}

/// A set of rules that compiles: those whose actions come too late are left out.
fn rule_set() -> impl Strategy<Value = RuleSet> {
    proptest::collection::vec(rule(), 0..7).prop_map(|mut rules| {
        for (at, rule) in rules.iter_mut().enumerate() {
            rule.name = format!("r{at}");
        }
        let mut set = RuleSet {
            rules,
            trusted_networks: vec!["198.51.100.0/25".parse().unwrap()],
            force_encrypt: common::force_encrypt("a.example\n"),
            ..RuleSet::default()
        };
        if let Err(findings) = set.compile() {
            let bad = |rule: &Rule| {
                findings
                    .iter()
                    .any(|f| f.severity == Severity::Error && f.rule.as_ref() == Some(&rule.name))
            };
            set.rules.retain(|rule| !bad(rule));
        }
        set
    })
}

fn facts() -> impl Strategy<Value = Facts> {
    let session =
        (any::<bool>(), proptest::option::of(any::<bool>()), any::<bool>(), any::<bool>());
    let envelope = (0..3usize, any::<bool>(), any::<bool>(), 1..4u32);
    let message = (0..200u64, any::<bool>(), any::<bool>());
    (session, envelope, message).prop_map(|(session, envelope, message)| {
        let mut facts = stranger();
        let (near, tls, named, signed_in) = session;
        facts.client_ip = format!("198.51.100.{}", if near { 9 } else { 200 }).parse().ok();
        facts.client_name = named.then(|| "mx.a.example".parse().unwrap());
        let version = |new| if new { Version::Tls13 } else { Version::Tls12 };
        facts.tls = tls.map(|new| Box::new(rules::hints::handshake(version(new))));
        facts.authenticated = signed_in.then(|| "ann@a.example".into());
        let (sender, local, alias, count) = envelope;
        facts.sender = Some(match sender {
            0 => ReversePath::Null,
            1 => ReversePath::Address("x@a.example".parse().unwrap()),
            _ => ReversePath::Address("x@c.example".parse().unwrap()),
        });
        facts.recipient = Some(RecipientFacts {
            address: "y@b.example".parse().unwrap(),
            is_local: local,
            account: (local && alias).then_some(AccountKind::Alias),
        });
        facts.recipient_count = Some(count);
        let (size_octets, flag, attached) = message;
        let field = HeaderField { name: "x-flag".into(), value: "1".into() };
        let attachment = Attachment {
            name: Some("a.exe".into()),
            media_type: "application/octet-stream".into(),
            size_octets: 10,
        };
        facts.message = Some(MessageFacts {
            size_octets,
            subject: None,
            headers: if flag { vec![field] } else { Vec::new() },
            attachments: if attached { vec![attachment] } else { Vec::new() },
        });
        facts
    })
}

/// The facts as a driver has them at a stage; what is not there yet is absent.
fn known_at(facts: &Facts, stage: Stage) -> Facts {
    let mut known = facts.clone();
    if stage < Stage::Hello {
        (known.helo, known.tls) = (None, None);
    }
    if stage < Stage::Auth {
        // The first EHLO comes before STARTTLS.
        (known.authenticated, known.tls) = (None, None);
    }
    if stage < Stage::Mail {
        known.sender = None;
    }
    if stage < Stage::Rcpt {
        known.recipient = None;
    }
    if stage < Stage::Data {
        (known.recipient_count, known.message) = (None, None);
    }
    known
}

/// What live mail comes to: the first stage that ends it.
fn live(policy: &Policy, facts: &Facts) -> (Outcome, Option<Number>) {
    for stage in Stage::ALL {
        let decision = policy.decide(&known_at(facts, stage), stage);
        if decision.outcome.is_final() {
            return (decision.outcome, decision.by.map(|id| policy.number(id)));
        }
    }
    panic!("nothing is decided at the end");
}

fn of_message(mut settings: Settings) -> Settings {
    settings.plain_connections = None;
    settings.tls_connections = None;
    settings.starttls = None;
    settings
}

/// Both refuse, and one of them by a built-in rule: a written rule may refuse before the
/// built-in one below which it stands knows its facts.
fn both_refuse(policy: &Policy, live: &Outcome, all: &rules::Decision) -> bool {
    live.refusal().is_some()
        && all.outcome.refusal().is_some()
        && all.by.is_some_and(|id| !policy.is_written(id))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn deciding_by_stages_comes_to_the_same_as_with_everything_known(
        set in rule_set(),
        facts in facts(),
    ) {
        let policy = set.compile().unwrap();
        let all = policy.decide(&facts, Stage::Data);
        let (outcome, by) = live(&policy, &facts);
        if !both_refuse(&policy, &outcome, &all) {
            prop_assert_eq!(&outcome, &all.outcome);
            prop_assert_eq!(by, all.by.map(|id| policy.number(id)));
        }
        // A dry run with everything known tells what live mail comes to.
        prop_assert_eq!(&policy.decide_through(&facts, Stage::Data).outcome, &outcome);
        // The way out is decided as the acceptance was.
        let relay = policy.decide(&facts, Stage::Relay);
        prop_assert_eq!(&relay.outcome, &all.outcome);
        prop_assert_eq!(of_message(relay.settings), of_message(all.settings.clone()));
        // Explanations agree with decisions and never panic.
        for stage in Stage::ALL {
            let decision = policy.decide(&facts, stage);
            let told = policy.explain(&facts, &decision);
            prop_assert_eq!(told.outcome, decision.outcome.to_string());
            prop_assert_eq!(told.rules.len() + told.not_reached.len(), policy.rules().count());
        }
        // What EHLO offers on the connection as it is holds with everything known, too,
        // unless a rule that knows the message ends it.
        let hello = policy.decide(&facts, Stage::Hello);
        if all.by.is_none() && facts.authenticated.is_none() {
            prop_assert_eq!(hello.settings.plain_connections, all.settings.plain_connections);
            prop_assert_eq!(hello.settings.tls_connections, all.settings.tls_connections);
            prop_assert_eq!(hello.settings.starttls, all.settings.starttls);
        }
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn a_rule_said_to_be_dead_never_acts(set in rule_set(), all in proptest::collection::vec(facts(), 8)) {
        let policy = set.compile().unwrap();
        let dead: Vec<_> = rules::analyse(&set)
            .into_iter()
            .filter(|finding| matches!(finding.code, Code::Unreachable | Code::NeverMatches))
            .filter_map(|finding| finding.rule)
            .collect();
        for facts in &all {
            let decision = policy.decide(facts, Stage::Relay);
            // Built-in refusals stand above; below them nothing is looked at.
            let acted = decision.trace.matched().chain(decision.by);
            let acted: Vec<_> = acted.filter_map(|id| policy.rule(id)).map(|rule| &rule.name).collect();
            for name in &dead {
                prop_assert!(!acted.contains(&name), "{name} acted");
            }
        }
    }
}
