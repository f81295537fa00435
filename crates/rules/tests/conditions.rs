//! Every condition and every action, once with facts it fits and once with facts it does not.

mod common;

use common::{NOW, With, policy, stranger};
use rules::facts::{AccountKind, Attachment, HeaderField, MessageFacts};
use rules::{Facts, Outcome, SignIn, Stage};
use tls::{Certificate, Fingerprint, Version};

const TABLES: &str = "
table domains domains {
    .a.example
}
table people addresses {
    ann@a.example
    @b.example
}
table nets networks {
    198.51.100.0/24
    2001:db8::/32
}
table words patterns {
    *urgent*
    /^re:/
}
";

/// Whether a rule with this one condition matches when everything is known.
fn holds(condition: &str, facts: &Facts) -> bool {
    let text = format!("{TABLES}rule r {{\n when all {{\n {condition}\n }}\n discard\n}}\n");
    policy(&text).decide(facts, Stage::Data).outcome == Outcome::Discard
}

/// A message with everything a condition can look at.
fn full() -> Facts {
    let mut facts = stranger().tls(Version::Tls13).signed_in("ann@a.example");
    facts = facts.from("Ann@a.example").to_ours("bob@x.a.example");
    facts.client_name = Some("mx.a.example".parse().unwrap());
    facts.recipient_count = Some(3);
    let certificate = Certificate {
        sha256: Fingerprint::of(b"certificate"),
        spki_sha256: Fingerprint::of(b"key"),
        subject: "CN=scanner 7".into(),
        issuer: "CN=our authority".into(),
        names: Vec::new(),
        not_before: NOW,
        not_after: NOW,
    };
    facts.tls.as_mut().unwrap().peer_chain = vec![certificate];
    let attachment = |name: &str, media_type: &str, size_octets| Attachment {
        name: Some(name.into()),
        media_type: media_type.into(),
        size_octets,
    };
    facts.message = Some(MessageFacts {
        size_octets: 2 << 20,
        subject: Some("Re: your invoice".into()),
        headers: vec![
            HeaderField { name: "List-Id".into(), value: "<news.a.example>".into() },
            HeaderField { name: "Received".into(), value: "from one".into() },
            HeaderField { name: "received".into(), value: "from two".into() },
        ],
        attachments: vec![
            attachment("invoice.pdf", "application/pdf", 1 << 20),
            attachment("run.EXE", "application/octet-stream", 10),
        ],
    });
    facts
}

#[test]
fn every_condition_holds_for_the_facts_it_names_and_no_others() {
    let print = Fingerprint::of(b"certificate");
    let other = Fingerprint::of(b"other");
    let facts = full();
    for (fits, does_not) in [
        ("connection is tls", "connection is plain"),
        ("tls version is 1.3", "tls version is 1.2"),
        ("tls version at least 1.2", "tls version not at least 1.3"),
        ("tls cipher is TLS_AES_128_GCM_SHA256", "tls cipher is TLS_AES_256_GCM_SHA384"),
        ("tls cipher matches *aes_128*", "tls cipher matches *chacha*"),
        ("client certificate is present", "client certificate is not present"),
        ("client certificate subject matches cn=scanner*", "client certificate subject is CN=x"),
        (
            format!("client certificate fingerprint is {print}").as_str(),
            format!("client certificate fingerprint is {other}").as_str(),
        ),
        ("listener is MX", "listener is smtps"),
        ("client ip is 198.51.100.0/24", "client ip is 198.51.100.1"),
        ("client ip is 10.0.0.1 198.51.100.9", "client ip is not 198.51.100.9"),
        ("client ip in table nets", "client ip not in table nets"),
        ("client name is .a.example", "client name is a.example"),
        ("client name is known", "client name matches *.isp.example"),
        ("helo is CLIENT.example.net", "helo matches *.example.org"),
        ("connection is authenticated", "connection is not authenticated"),
        ("authenticated as ann@A.example", "authenticated as bob@a.example"),
        ("authenticated in table people", "authenticated matches bob*"),
        ("sender is ann@a.example", "sender is bob@a.example"),
        ("sender in table people", "sender is null"),
        ("sender matches ann@*", "sender matches *@b.example"),
        ("sender domain is a.example", "sender domain is .a.example"),
        ("recipient is BOB@x.a.example", "recipient is bob@a.example"),
        ("recipient domain is .a.example", "recipient domain is a.example"),
        ("recipient domain in table domains", "recipient domain not in table domains"),
        ("recipient in table domains", "recipient in table people"),
        ("recipient account is mailbox", "recipient account is alias group"),
        ("recipient account is known", "recipient account is not known"),
        ("recipient is local", "recipient is relayed"),
        ("delivery is local", "delivery is relaying"),
        ("recipient count over 2", "recipient count over 3"),
        ("recipient count is 3", "recipient count under 3"),
        ("message size over 1MB", "message size over 2MB"),
        ("message size under 3MB", "message size under 2MB"),
        ("header list-id matches *news*", "header List-Id is other"),
        ("header Received is \"from two\"", "header Received is \"from three\""),
        ("header X-None is not present", "header X-None matches *"),
        ("subject matches *INVOICE", "subject matches invoice"),
        ("subject in table words", "subject not in table words"),
        ("attachment name matches *.exe", "attachment name matches *.zip"),
        ("attachment name not matches *.zip", "attachment name not matches *.pdf"),
        ("attachment type is application/PDF", "attachment type matches image/*"),
        ("attachment size over 1000KB", "attachment size over 1MB"),
        ("attachment count over 1", "attachment count over 2"),
        ("time is 10:00-10:03", "time is 10:03-10:00"),
        ("weekday is monday", "weekday is tue wed thu fri sat sun"),
    ] {
        assert!(holds(fits, &facts), "{fits}");
        assert!(!holds(does_not, &facts), "{does_not}");
    }
}

#[test]
fn what_is_absent_is_nothing_rather_than_something() {
    let mut bare = Facts::default().to("x@y.example").signed_in("a@b.example");
    bare.message = Some(MessageFacts::default());
    bare.authenticated = Some("ann@a.example".into());
    for absent in [
        "connection is tls",
        "tls version at least 1.2",
        "client certificate subject matches *",
        "client ip is 0.0.0.0/1",
        "client name is known",
        "helo matches *",
        "sender domain matches *",
        "sender is null",
        "recipient account is known",
        "subject matches *",
        "attachment size under 1GB",
    ] {
        assert!(!holds(absent, &bare), "{absent}");
    }
    let mut group = full();
    group.recipient.as_mut().unwrap().account = Some(AccountKind::Group);
    assert!(holds("recipient account is group", &group));
    let mut bounce = full();
    bounce.sender = Some(mail::ReversePath::Null);
    assert!(holds("sender is null", &bounce) && !holds("sender domain matches *", &bounce));
}

#[test]
fn all_any_and_none_nest() {
    let text = "rule r {
        when all {
            any {
                sender domain is nowhere.example
                none {
                    connection is plain
                    subject matches nothing
                }
            }
            none {
                all {
                    connection is tls
                    helo is other
                }
            }
        }
        discard
    }";
    assert_eq!(policy(text).decide(&full(), Stage::Data).outcome, Outcome::Discard);
    let mut plain = full();
    plain.tls = None;
    assert_eq!(policy(text).decide(&plain, Stage::Data).outcome, Outcome::Accept);
}

#[test]
fn every_setting_reaches_the_decision_with_its_rule() {
    let policy = policy(
        "rule first {
             starttls off
             plain-connections authenticated scram-sha-256
             tls-connections authenticated plain
             relay-host smart.example:25 credentials smart certificate ours
             relay-encryption verified
             relay-tls-versions 1.3
             add-header X-One 1
             remove-header X-Two
             tag-subject [a]
             redirect a@a.example
             add-recipient j@a.example
             rate-class bulk
         }
         rule second {
             add-header X-Three 3
             tag-subject [b]
             add-recipient k@a.example
         }",
    );
    let settings = policy.decide(&full(), Stage::Relay).settings;
    let rule = |id| policy.rule(id).unwrap().name.as_str();
    assert!(!settings.offers_starttls());
    assert_eq!(settings.sign_in(false).to_string(), "authenticated scram-sha-256");
    assert_eq!(*settings.sign_in(true), SignIn::Mechanisms(vec![smtp::Mechanism::Plain]));
    let host = settings.relay_host.unwrap();
    assert_eq!(host.value.to_string(), "smart.example:25 credentials smart certificate ours");
    assert_eq!(rule(host.by), "first");
    assert_eq!(settings.relay_encryption.unwrap().value, tls::Level::Authenticated);
    assert!(!settings.relay_tls_versions.unwrap().value.contains(Version::Tls12));
    assert_eq!(settings.headers.len(), 3);
    let tag = settings.subject_tag.unwrap();
    assert_eq!((&*tag.value, rule(tag.by)), ("[b]", "second"));
    assert_eq!(settings.redirect.unwrap().value.to_string(), "a@a.example");
    let copies: Vec<_> = settings.add_recipients.iter().map(|c| c.value.to_string()).collect();
    assert_eq!(copies, ["j@a.example", "k@a.example"]);
    assert_eq!(&*settings.rate_class.unwrap().value, "bulk");
}

#[test]
fn the_first_verdict_ends_it() {
    for (verdict, shown) in [
        ("accept", "ACCEPT"),
        ("reject 554 5.7.1 no", "REJECT 554 5.7.1 no"),
        ("defer 451 4.7.1 later", "DEFER 451 4.7.1 later"),
        ("discard", "DISCARD"),
        ("quarantine why", "QUARANTINE why"),
    ] {
        let text = format!("rule a {{\n {verdict}\n}}\nrule b {{\n reject\n}}\n");
        let decision = policy(&text).decide(&full(), Stage::Data);
        assert_eq!(decision.outcome.to_string(), shown);
    }
}

#[test]
fn recipients_of_one_message_get_verdicts_of_their_own() {
    let policy = policy(
        "rule r {\n when all {\n recipient is ann@a.example\n message size over 1KB\n }\n quarantine big\n}",
    );
    let facts = stranger().from("x@y.example").size(2048);
    let outcome = |to| policy.decide(&facts.clone().to_ours(to), Stage::Data).outcome.to_string();
    assert_eq!(outcome("ann@a.example"), "QUARANTINE big");
    assert_eq!(outcome("bob@a.example"), "ACCEPT");
}

#[test]
fn a_refusal_comes_as_early_as_its_facts() {
    let policy = policy(
        "rule ip {\n when all {\n client ip is 198.51.100.9\n }\n reject 554 5.7.1 go\n}\n\
         rule from {\n when all {\n sender domain is bad.example\n }\n reject 550 5.7.1 no\n}",
    );
    assert_eq!(
        policy.decide(&stranger(), Stage::Connect).outcome.to_string(),
        "REJECT 554 5.7.1 go"
    );
    let mut other = stranger().from("a@bad.example");
    other.client_ip = "198.51.100.10".parse().ok();
    assert_eq!(policy.decide(&other, Stage::Hello).outcome, Outcome::Continue);
    assert_eq!(policy.decide(&other, Stage::Mail).outcome.to_string(), "REJECT 550 5.7.1 no");
}

#[test]
fn a_verdict_waits_for_the_rules_above_it() {
    let policy = policy(
        "local a.example\n rule known {\n when all {\n recipient is postmaster@a.example\n }\n accept\n}\n\
         rule ip {\n when all {\n client ip is 198.51.100.9\n }\n reject 554 5.7.1 go\n}",
    );
    assert_eq!(policy.decide(&stranger(), Stage::Connect).outcome, Outcome::Continue);
    let to = |who| policy.decide(&stranger().from("a@b.example").to_ours(who), Stage::Rcpt).outcome;
    assert_eq!(to("ann@a.example").to_string(), "REJECT 554 5.7.1 go");
    assert_eq!(to("postmaster@a.example"), Outcome::Accept);
}

#[test]
fn mail_in_the_clear_is_refused_at_mail_and_not_before_starttls_had_its_chance() {
    let policy =
        policy("rule tls {\n when all {\n connection is not tls\n }\n reject 530 5.7.0 tls\n}");
    for stage in [Stage::Connect, Stage::Hello, Stage::Auth] {
        assert_eq!(policy.decide(&stranger(), stage).outcome, Outcome::Continue);
    }
    assert_eq!(policy.decide(&stranger(), Stage::Mail).outcome.to_string(), "REJECT 530 5.7.0 tls");
    let tls = stranger().tls(Version::Tls12);
    assert_eq!(policy.decide(&tls, Stage::Mail).outcome, Outcome::Continue);
}
