//! A catalogue of bad configurations, each named by its finding.

mod common;

use common::{NOW, rule_set};
use rules::{Severity, analyse};

/// The findings of `text`, as `code rule line` with `!` for errors.
fn found(text: &str) -> Vec<String> {
    let set = rule_set(text);
    let findings = analyse(&set);
    let has_error = findings.iter().any(|finding| finding.severity == Severity::Error);
    assert_eq!(set.compile().is_err(), has_error, "only errors stop a configuration");
    for finding in &findings {
        assert!(!finding.message.is_empty() && !finding.help.is_empty());
    }
    findings
        .iter()
        .map(|f| {
            let mark = if f.severity == Severity::Error { "!" } else { "" };
            format!("{}{mark} {} {}", f.code, f.rule.as_deref().unwrap_or("-"), f.origin.line)
        })
        .collect()
}

#[track_caller]
fn finds(text: &str, expected: &[&str]) {
    assert_eq!(found(text), expected, "{text}");
}

#[test]
fn a_good_configuration_has_no_finding() {
    finds(
        "local clinic.example
         trusted-networks 10.0.0.0/8
         table partners domains {
             bank.example
             .bank.example
         }
         force-encrypt {
             bank.example verified
             .bank.example
             192.0.2.0/24
         }
         rule disableAUTH_on_non_SSL {
             plain-connections not-authenticated
         }
         rule enableAUTH_on_SSL {
             tls-connections authenticated plain login
         }
         rule no_big_mail {
             when all {
                 message size over 25MB
             }
             reject 552 5.3.4
         }
         rule partners {
             when all {
                 recipient domain in table partners
                 connection is authenticated
             }
             relay-encryption verified
             accept
         }
         rule relay_from_scanners {
             when all {
                 delivery is relaying
                 client ip is 10.0.0.0/8
             }
             rate-class scanners
             accept
         }
         rule rest {
             accept
         }",
        &[],
    );
}

#[test]
fn c109_a_fact_is_looked_up_in_a_table_of_another_kind() {
    finds(
        "table nets networks {
             192.0.2.0/24
         }
         rule a {
             when all {
                 recipient domain in table nets
                 sender in table trusted-networks
             }
             reject
         }",
        &["C109! a 6", "C109! a 7"],
    );
}

#[test]
fn c113_a_table_is_not_there() {
    finds(
        "rule a {
             when all {
                 sender domain in table nowhere
             }
             reject
         }",
        &["C113! a 3"],
    );
}

#[test]
fn c114_names_are_taken() {
    finds(
        "table t domains {
             a.example
         }
         table t domains {
             b.example
         }
         table trusted-networks networks {
             192.0.2.1
         }
         rule a {
             when all {
                 sender domain in table t
                 client ip in table trusted-networks
             }
             defer
         }
         rule a {
             reject
         }",
        &["C114! - 4", "C114! - 7", "C114! a 17"],
    );
}

#[test]
fn c118_no_rule_looks_in_a_table() {
    finds("table t domains {\n a.example\n}", &["C118 - 1"]);
}

#[test]
fn c201_an_action_belongs_to_an_earlier_stage_than_its_conditions() {
    finds(
        "rule a {
             when all {
                 recipient domain is a.example
             }
             tls-connections authenticated plain
         }
         rule b {
             when any {
                 connection is tls
                 sender is null
             }
             starttls offered
         }
         rule c {
             when all {
                 connection is tls
             }
             tls-connections authenticated login
         }",
        &["C201! a 5", "C201! b 12"],
    );
}

#[test]
fn c202_a_rule_is_never_reached() {
    // Behind a rule for everything.
    finds("rule a {\n reject\n}\nrule b {\n relay-encryption required\n}", &["C202 b 4"]);
    // Behind a wider rule.
    finds(
        "rule a {
             when all {
                 sender domain is .example
             }
             reject
         }
         rule b {
             when all {
                 sender domain is bank.example
                 connection is tls
             }
             accept
         }",
        &["C202 b 7"],
    );
    // Behind rules that together leave nothing.
    finds(
        "rule a {
             when all {
                 delivery is local
             }
             accept
         }
         rule b {
             when all {
                 recipient domain is a.example
                 delivery is relaying
             }
             defer
         }
         rule c {
             when all {
                 recipient domain is a.example
             }
             reject
         }",
        &["C202 c 14"],
    );
    // Behind a network, a table, a pattern, a number.
    for (wide, narrow) in [
        ("client ip is 192.0.2.0/24", "client ip is 192.0.2.7"),
        ("sender domain in table t", "sender domain is a.example"),
        ("helo matches *.example", "helo is mx.a.example"),
        ("message size over 1MB", "message size over 2MB"),
        ("tls version is 1.2 1.3", "connection is tls"),
        ("connection is tls", "client certificate is present"),
        ("tls version at least 1.2", "tls version is 1.3"),
        ("sender domain is a.example b.example", "sender is ann@b.example"),
        ("weekday is saturday sunday", "weekday is sunday"),
        ("delivery is local", "recipient account is alias"),
    ] {
        let table = "table t domains {\n a.example\n}\nrule u {\n when all {\n\
                     sender domain in table t\n helo is x\n }\n tag-subject x\n}\n";
        finds(
            &format!(
                "{table}rule a {{\n when all {{\n {wide}\n }}\n reject\n}}\n\
                 rule b {{\n when all {{\n {narrow}\n }}\n defer\n}}"
            ),
            &["C202 b 17"],
        );
    }
}

#[test]
fn c203_conditions_exclude_each_other() {
    for (one, other) in [
        ("connection is tls", "connection is not tls"),
        ("connection is not tls", "tls version is 1.3"),
        ("tls version is 1.2", "tls version at least 1.3"),
        ("recipient domain is a.example", "recipient domain is b.example"),
        ("recipient domain is a.example", "recipient domain is not a.example b.example"),
        ("recipient domain is a.example", "recipient domain is .a.example"),
        ("sender is ann@a.example", "sender domain is b.example"),
        ("sender is null", "sender domain is a.example"),
        ("client ip is 192.0.2.0/24", "client ip is not 192.0.0.0/16"),
        ("client ip is 192.0.2.0/24", "client ip is 198.51.100.1"),
        ("message size over 2MB", "message size under 1MB"),
        ("recipient count over 5", "recipient count not over 9"),
        ("delivery is local", "delivery is relaying"),
        ("delivery is not local", "delivery is not relaying"),
        ("delivery is relaying", "recipient account is mailbox"),
        ("helo is localhost", "helo matches *.example"),
        ("weekday is monday", "weekday is saturday sunday"),
        ("connection is authenticated", "authenticated is not any"),
        ("subject matches *x*", "subject not matches *x*"),
    ] {
        let text = format!("rule a {{\n when all {{\n {one}\n {other}\n }}\n reject\n}}");
        let expected: &[&str] =
            // "over 5" and "not over 9" leave 6 to 9.
            if one.starts_with("recipient count") { &[] } else { &["C203 a 1"] };
        finds(&text, expected);
        // Of one or the other there is always a case.
        finds(&text.replace("when all", "when any"), &[]);
    }
    finds("rule a {\n when any {\n }\n reject\n}", &["C203 a 1"]);
    // Fields and attachments have several values, so these do not exclude each other.
    finds(
        "rule a {\n when all {\n attachment name matches *.pdf\n attachment name matches *.exe\n }\n defer\n}",
        &[],
    );
}

#[test]
fn c204_a_setting_is_undone() {
    finds(
        "rule a {
             plain-connections authenticated scram-sha-256
         }
         rule b {
             plain-connections not-authenticated
         }",
        &["C204 a 2"],
    );
    finds(
        "rule a {
             when all {
                 recipient domain is a.example
             }
             relay-encryption required
         }
         rule b {
             when all {
                 recipient domain is .example a.example
             }
             relay-encryption verified
         }",
        &["C204 a 5"],
    );
    // A verdict in between keeps it for some.
    finds(
        "rule a {
             relay-encryption required
         }
         rule keep {
             when all {
                 sender domain is a.example
             }
             accept
         }
         rule b {
             relay-encryption verified
         }",
        &[],
    );
    // Settings that add up do not undo each other.
    finds("rule a {\n add-header A b\n}\nrule b {\n add-header A c\n}", &[]);
}

#[test]
fn c205_actions_follow_a_verdict() {
    finds("rule a {\n quarantine\n tag-subject x\n}", &["C205 a 3"]);
}

#[test]
fn c206_passwords_can_travel_in_the_clear() {
    finds("rule a {\n plain-connections authenticated plain\n}", &["C206 a 2"]);
    finds("rule a {\n plain-connections authenticated\n}", &["C206 a 2"]);
    finds("rule a {\n plain-connections authenticated scram-sha-256 cram-md5\n}", &[]);
    finds(
        "rule a {
             when all {
                 listener is mx
             }
             plain-connections authenticated login
         }",
        &["C206 a 5"],
    );
    finds(
        "rule a {\n when all {\n connection is tls\n }\n plain-connections authenticated login\n}",
        &[],
    );
    finds("rule a {\n relay-host smart.example:587 credentials smart\n}", &["C206 a 2"]);
    finds(
        "rule a {\n relay-host smart.example:587 credentials smart\n relay-encryption required\n}",
        &[],
    );
}

#[test]
fn c207_the_server_is_an_open_relay() {
    for open in [
        "delivery is relaying",
        "delivery is not local",
        "recipient domain is partner.example",
        "recipient is ann@partner.example",
        "recipient is relayed",
    ] {
        let text =
            format!("local ours.example\nrule a {{\n when all {{\n {open}\n }}\n accept\n}}");
        finds(&text, &["C207! a 6"]);
        for closed in [
            "connection is authenticated",
            "client ip is 10.0.0.0/8",
            "client ip in table trusted-networks",
        ] {
            finds(&text.replace("when all {", &format!("when all {{\n {closed}")), &[]);
        }
        let forged = text.replace("when all {", "when all {\n sender domain is ours.example");
        finds(&forged, &["C207! a 7"]);
    }
    finds(
        "local ours.example\nrule a {\n when all {\n recipient domain is ours.example\n }\n accept\n}",
        &[],
    );
    finds(
        "table t domains {
             partner.example
         }
         rule a {
             when all {
                 recipient domain in table t
             }
             accept
         }",
        &["C207! a 8"],
    );
    finds("trusted-networks 0.0.0.0/0", &["C207! - 0"]);
    finds("trusted-networks ::/0", &["C207! - 0"]);
    finds("trusted-networks 10.0.0.0/8 128.0.0.0/1", &["C207 - 0"]);
}

#[test]
fn c208_entries_and_tables_overlap() {
    let used = |kind: &str, fact: &str, entries: &str| {
        format!(
            "table t {kind} {{\n{entries}\n}}\nrule a {{\n when all {{\n {fact} in table t\n }}\n reject\n}}"
        )
    };
    finds(&used("domains", "sender domain", ".example\n a.example"), &["C208 - 1"]);
    finds(&used("domains", "sender domain", "a.example\n .a.example"), &[]);
    finds(&used("networks", "client ip", "10.0.0.0/8\n 10.1.0.0/16"), &["C208 - 1"]);
    finds(&used("addresses", "sender", "@a.example\n ann@a.example"), &["C208 - 1"]);
    finds(
        "table t domains {
             a.example
         }
         table u domains {
             b.example
             a.example
         }
         rule a {
             when any {
                 sender domain in table t
                 recipient domain in table u
             }
             reject
         }",
        &["C208 - 4"],
    );
    finds(
        "force-encrypt {\n .example\n .bank.example\n bank.example\n}",
        &["C208 - 3", "C208 - 4"],
    );
    finds("force-encrypt {\n 10.0.0.0/8\n 10.1.0.0/16 verified\n}", &[]);
}

#[test]
fn c209_legal_and_likely_to_surprise() {
    finds("rule a {\n}", &["C209 a 1"]);
    finds("rule a {\n relay-tls-versions 1.3\n}", &["C209 a 2"]);
    finds("rule a {\n relay-tls-versions 1.3\n relay-encryption required\n}", &[]);
    finds("rule a {\n relay-encryption none\n}", &["C209 a 2"]);
    finds(
        "rule a {
             starttls off
         }
         rule b {
             when all {
                 connection is not tls
             }
             reject
         }",
        &["C209 a 2"],
    );
    finds("force-encrypt {\n a.example\n}\nrule a {\n starttls off\n}", &["C209 a 5"]);
}

#[test]
fn c210_a_rule_would_weaken_force_encrypt() {
    let with = |condition: &str, action: &str| {
        format!(
            "force-encrypt {{\n bank.example verified min-tls 1.3\n .bank.example\n in.example direction in\n}}\n\
             rule a {{\n when all {{\n {condition}\n }}\n {action}\n}}"
        )
    };
    let weak = "relay-encryption opportunistic";
    finds(&with("recipient domain is bank.example", weak), &["C210! a 10"]);
    finds(&with("recipient domain is mx.bank.example", weak), &["C210! a 10"]);
    finds(&with("recipient is ann@bank.example", weak), &["C210! a 10"]);
    finds(&with("recipient domain is bank.example", "relay-encryption required"), &["C210 a 10"]);
    finds(&with("recipient domain is bank.example", "relay-encryption verified"), &[]);
    finds(&with("recipient domain is in.example", weak), &[]);
    finds(&with("recipient domain is other.example", weak), &[]);
    finds(
        &with(
            "recipient domain is bank.example",
            "relay-encryption verified\n relay-tls-versions 1.2",
        ),
        &["C210! a 11"],
    );
}

#[test]
fn c212_too_many_cases_are_said_and_not_silently_skipped() {
    let values: Vec<_> = (0..600).map(|n| format!("helo is h{n}")).collect();
    let text = format!("rule a {{\n when any {{\n{}\n }}\n reject\n}}", values.join("\n"));
    finds(&text, &["C212 a 1"]);
}

#[test]
fn c402_an_entry_is_there_twice() {
    finds("force-encrypt {\n a.example\n a.example verified\n}", &["C402 - 3"]);
    finds("force-encrypt {\n a.example direction in\n a.example direction out verified\n}", &[]);
    finds(
        "table t networks {\n 192.0.2.1\n 192.0.2.1\n}\nrule a {\n when all {\n client ip in table t\n }\n reject\n}",
        &["C402 - 1"],
    );
}

#[test]
fn c405_an_entry_has_expired() {
    let set =
        rule_set("force-encrypt {\n a.example until 2026-03-01\n b.example until 2026-03-02\n}");
    let expired = rules::analysis::expired(&set, NOW);
    let shown: Vec<_> = expired.iter().map(|f| (f.code.text(), f.origin.line)).collect();
    assert_eq!(shown, [("C405", 2)]);
}

#[test]
fn a_long_list_of_rules_is_looked_at_in_a_moment() {
    let rules: Vec<_> = (0..2_000)
        .map(|n| {
            let action = if n % 2 == 0 { "reject" } else { "relay-encryption required" };
            format!("rule r{n} {{\n when any {{\n helo matches *h{n}*\n sender domain is d{n}.example\n }}\n {action}\n}}")
        })
        .collect();
    let set = rule_set(&rules.join("\n"));
    let start = std::time::Instant::now();
    let findings = analyse(&set);
    assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
    assert!(findings.iter().all(|finding| finding.severity == Severity::Warning));
}
