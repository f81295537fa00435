//! The walkthroughs that the server was asked for from the start: B4, B5, B6, Force Encrypt.

mod common;

use common::{NOW, With, policy, rule_set, stranger};
use expect_test::expect;
use rules::{Outcome, SignIn, Stage, analyse};
use tls::{Level, Version};

const B4: &str = "
rule disableAUTH_on_non_SSL {
    plain-connections not-authenticated
}
rule enableAUTH_on_SSL {
    tls-connections authenticated plain login
}";

const B5: &str = r#"
local mydomain.com other.com
rule allow_only_tls_for_mydomain_com {
    when all {
        connection is not tls
        recipient domain is mydomain.com
    }
    reject 550 5.7.10 "Accepting only secure delivery (STARTTLS) for mydomain.com"
}"#;

const B6: &str = "
rule use_only_tls12_and_13_when_relaying {
    when all {
        delivery is relaying
        recipient domain is example.com
    }
    relay-host smarthost.example.com:465
    relay-encryption required
    relay-tls-versions 1.2 1.3
}";

#[test]
fn b4_auth_is_offered_under_tls_only() {
    let policy = policy(B4);
    let plain = policy.decide(&stranger(), Stage::Hello);
    assert_eq!(*plain.settings.sign_in(false), SignIn::Off);
    assert!(plain.settings.offers_starttls());
    let tls = policy.decide(&stranger().tls(Version::Tls13), Stage::Hello);
    assert_eq!(tls.settings.sign_in(true).to_string(), "authenticated plain login");
    assert!(analyse(&rule_set(B4)).is_empty());
}

#[test]
fn b4_in_the_other_order_is_a_warning() {
    let mut set = rule_set(B4);
    set.rules.reverse();
    let findings = analyse(&set);
    assert_eq!(findings.len(), 1);
    expect![[r#"
        warning[C204]: rule disableAUTH_on_non_SSL: it switches authentication off after "enableAUTH_on_SSL" has switched it on (mailkeep.conf:3)
          help: put it before "enableAUTH_on_SSL": what switches authentication off comes before what allows it"#]]
    .assert_eq(&findings[0].to_string());
    assert!(set.compile().is_ok());
}

#[test]
fn b5_only_the_named_domain_is_refused_and_only_in_the_clear() {
    let policy = policy(B5);
    let from = stranger().from("ana@their_domain.com");
    assert_eq!(policy.decide(&from, Stage::Mail).outcome, Outcome::Continue);
    let refused = policy.decide(&from.clone().to_ours("dr.lee@mydomain.com"), Stage::Rcpt);
    assert_eq!(
        refused.outcome.to_string(),
        "REJECT 550 5.7.10 Accepting only secure delivery (STARTTLS) for mydomain.com"
    );
    let other = policy.decide(&from.clone().to_ours("dr.lee@other.com"), Stage::Data);
    assert_eq!(other.outcome, Outcome::Accept);
    let tls = from.tls(Version::Tls12).to_ours("dr.lee@mydomain.com");
    assert_eq!(policy.decide(&tls, Stage::Data).outcome, Outcome::Accept);
}

#[test]
fn b6_relayed_mail_goes_to_the_smart_host_with_the_versions_named() {
    let policy = policy(B6);
    let facts = stranger().tls(Version::Tls13).signed_in("ann@clinic.example");
    let to = facts.clone().from("ann@clinic.example").to("bob@example.com");
    let decision = policy.decide(&to, Stage::Relay);
    let host = decision.settings.relay_host.as_ref().unwrap();
    assert_eq!(host.value.to_string(), "smarthost.example.com:465");
    assert!(host.value.implicit_tls);
    let domain = "example.com".parse().unwrap();
    let demands = policy.demands(&decision.settings, &domain, None, None, NOW);
    assert_eq!(demands.joined().level, Level::Encrypted);
    let sources: Vec<_> = demands.iter().map(|demand| demand.source.to_string()).collect();
    assert_eq!(sources[0], "rule \"use_only_tls12_and_13_when_relaying\" (line 2)");

    let elsewhere =
        policy.decide(&facts.from("ann@clinic.example").to("bob@other.com"), Stage::Relay);
    assert!(elsewhere.settings.relay_host.is_none());
    let demands =
        policy.demands(&elsewhere.settings, &"other.com".parse().unwrap(), None, None, NOW);
    assert_eq!(demands.joined().level, Level::Opportunistic);
}

#[test]
fn strangers_do_not_relay() {
    let policy = policy("trusted-networks 10.0.0.0/8 2001:db8::/32\n");
    let to = |facts: rules::Facts| facts.from("a@b.example").to("bob@example.com");
    let outcome = |facts| policy.decide(&to(facts), Stage::Rcpt).outcome.to_string();
    assert_eq!(outcome(stranger()), "REJECT 550 5.7.1 Relaying denied");
    assert_eq!(outcome(stranger().tls(Version::Tls13)), "REJECT 550 5.7.1 Relaying denied");
    assert_eq!(outcome(stranger().signed_in("ann@clinic.example")), "CONTINUE");
    for (ip, may) in
        [("10.1.2.3", true), ("::ffff:10.1.2.3", true), ("2001:db8::1", true), ("127.0.0.1", false)]
    {
        let mut facts = stranger();
        facts.client_ip = Some(ip.parse().unwrap());
        assert_eq!(outcome(facts) == "CONTINUE", may, "{ip}");
    }
}

#[test]
fn no_rule_opens_relaying_for_strangers() {
    let policy = policy("rule all {\n accept\n}\n");
    let facts = stranger().from("a@b.example").to("bob@example.com");
    assert_eq!(
        policy.decide_through(&facts, Stage::Data).outcome.to_string(),
        "REJECT 550 5.7.1 Relaying denied"
    );
}

#[test]
fn mail_from_a_listed_partner_must_come_over_tls() {
    let policy = policy(
        "local clinic.example
         force-encrypt {
             their_domain.com
             207.219.44.0/24
             new.example min-tls 1.3
             out.example direction out
             old.example until 2026-01-01
         }",
    );
    let outcome = |facts: rules::Facts| {
        policy.decide_through(&facts.to_ours("ann@clinic.example"), Stage::Data).outcome.to_string()
    };
    let refused = "REJECT 550 5.7.10 This sender's mail is accepted only over TLS: use STARTTLS";
    assert_eq!(outcome(stranger().from("ana@their_domain.com")), refused);
    assert_eq!(outcome(stranger().from("ana@sub.their_domain.com")), "ACCEPT");
    let by_address = |ip: &str| {
        let mut facts = stranger().from("someone@else.example");
        facts.client_ip = Some(ip.parse().unwrap());
        facts
    };
    assert_eq!(outcome(by_address("207.219.44.7")), refused);
    assert_eq!(outcome(by_address("::ffff:207.219.44.7")), refused);
    assert_eq!(outcome(by_address("207.219.45.7")), "ACCEPT");
    let mut bounce = by_address("207.219.44.7");
    bounce.sender = Some(mail::ReversePath::Null);
    assert_eq!(outcome(bounce), refused);
    assert_eq!(outcome(stranger().tls(Version::Tls12).from("ana@their_domain.com")), "ACCEPT");
    assert_eq!(
        outcome(stranger().tls(Version::Tls12).from("a@new.example")),
        "REJECT 550 5.7.10 This sender's mail is accepted only over TLS 1.3"
    );
    assert_eq!(outcome(stranger().tls(Version::Tls13).from("a@new.example")), "ACCEPT");
    assert_eq!(outcome(stranger().from("a@out.example")), "ACCEPT");
    assert_eq!(outcome(stranger().from("a@old.example")), "ACCEPT");
}

#[test]
fn a_plain_connection_from_a_listed_address_may_still_say_starttls() {
    let policy = policy("force-encrypt {\n 198.51.100.9\n}\n");
    for stage in [Stage::Connect, Stage::Hello] {
        assert_eq!(policy.decide(&stranger(), stage).outcome, Outcome::Continue);
    }
    assert!(
        policy.decide(&stranger().from("a@b.example"), Stage::Mail).outcome.refusal().is_some()
    );
}

#[test]
fn nothing_a_rule_says_weakens_force_encrypt() {
    let policy = policy(
        "force-encrypt {\n bank.example verified\n}\n\
         rule none {\n relay-encryption none\n}\n",
    );
    let facts = stranger().signed_in("a@b.example").from("a@b.example").to("x@bank.example");
    let decision = policy.decide(&facts, Stage::Relay);
    let demands =
        policy.demands(&decision.settings, &"bank.example".parse().unwrap(), None, None, NOW);
    assert_eq!(demands.joined().level, Level::Authenticated);
    let other = policy.demands(&decision.settings, &"b.example".parse().unwrap(), None, None, NOW);
    assert_eq!(other.joined().level, Level::None);
}

#[test]
fn a_decision_explains_itself() {
    let policy = policy(&format!("{B4}{B5}\nrule tag {{\n tag-subject [x]\n}}\n"));
    let facts = stranger().from("ana@their_domain.com").to_ours("dr.lee@mydomain.com");
    let decision = policy.decide(&facts, Stage::Rcpt);
    expect![[r#"
        rule 0.1 no-auth-in-clear: matched (built in)
            plain-connections not-authenticated
            tls-connections authenticated
        rule 0.5 default-encryption: matched (built in)
            starttls offered
            relay-encryption opportunistic
        rule 1 disableAUTH_on_non_SSL: matched (mailkeep.conf:2)
            plain-connections not-authenticated
        rule 2 enableAUTH_on_SSL: matched (mailkeep.conf:5)
            tls-connections authenticated plain login
        rule 3 allow_only_tls_for_mydomain_com: matched (mailkeep.conf:9)
            connection is not tls: yes (plain)
            recipient domain is mydomain.com: yes (mydomain.com)
            reject 550 5.7.10 "Accepting only secure delivery (STARTTLS) for mydomain.com"
        not reached: rule 4
        -> REJECT 550 5.7.10 Accepting only secure delivery (STARTTLS) for mydomain.com
    "#]]
    .assert_eq(&policy.explain(&facts, &decision).to_string());
}

#[test]
fn a_dry_run_tells_the_whole_way_and_what_would_change_it() {
    let policy = policy(&format!("{B4}{B5}\nrule tag {{\n tag-subject [x]\n}}\n"));
    let facts = stranger().from("ana@their_domain.com").to_ours("dr.lee@mydomain.com");
    expect![[r"
          connect   listener mx, 198.51.100.9, plain
          ehlo      STARTTLS offered; AUTH not offered
                      because rule 1 disableAUTH_on_non_SSL        mailkeep.conf:2
          rcpt      rule 3 allow_only_tls_for_mydomain_com         mailkeep.conf:9
                      connection is not tls                      yes (plain)
                      recipient domain is mydomain.com           yes (mydomain.com)
                    -> REJECT 550 5.7.10 Accepting only secure delivery (STARTTLS) for mydomain.com
          not reached: rule 4

        Change one thing: with --tls 1.3 the result is ACCEPT
    "]]
    .assert_eq(&policy.story(&facts).to_string());
}

#[test]
fn a_dry_run_shows_the_way_out() {
    let policy = policy(&format!("force-encrypt {{\n example.com min-tls 1.3\n}}{B6}"));
    let facts = stranger().tls(Version::Tls13).signed_in("ann@clinic.example");
    let facts = facts.from("ann@clinic.example").to("bob@example.com");
    let story = policy.story(&facts);
    expect![[r#"
          connect   listener mx, 198.51.100.9, TLS 1.3
          ehlo      AUTH offered
                      because rule 0.1 no-auth-in-clear            built in
          relay     to smarthost.example.com:465: encrypted, TLS 1.3 (by rule "use_only_tls12_and_13_when_relaying" (line 4), Force Encrypt "example.com" (line 2))
                      because rule 1 use_only_tls12_and_13_when_relaying mailkeep.conf:4
                    -> ACCEPT

        Change one thing: not signed in the result is REJECT 550 5.7.1 Relaying denied
    "#]].assert_eq(&story.to_string());
}

#[test]
fn built_in_rules_are_shown_as_rules() {
    let set = rule_set("force-encrypt {\n bank.example verified\n}\n");
    expect![[r#"
        # 0.1 AUTH is not offered in the clear; every mechanism that works is offered under TLS.
        rule no-auth-in-clear {
            plain-connections not-authenticated
            tls-connections authenticated
        }

        # 0.2 Mail for a domain that is not ours is taken only from who signed in or from trusted networks.
        rule relay-control {
            when all {
                delivery is relaying
                connection is not authenticated
                client ip not in table trusted-networks
            }
            reject 550 5.7.1 "Relaying denied"
        }

        # 0.3 Mail from a listed domain or address is taken only over TLS.
        rule force-encrypt-inbound {
            when all {
                connection is not tls
                any {
                    sender domain in table force-encrypt
                    client ip in table force-encrypt
                }
            }
            reject 550 5.7.10 "This sender's mail is accepted only over TLS: use STARTTLS"
        }

        # 0.4 Mail from an entry with min-tls 1.3 is taken only over TLS 1.3.
        rule force-encrypt-inbound-version {
            when all {
                tls version not at least 1.3
                any {
                    sender domain in table force-encrypt-tls-1.3
                    client ip in table force-encrypt-tls-1.3
                }
            }
            reject 550 5.7.10 "This sender's mail is accepted only over TLS 1.3"
        }

        # 0.5 STARTTLS is offered, and tried on the way out.
        rule default-encryption {
            starttls offered
            relay-encryption opportunistic
        }

        # 0.6 Clients that flow { deny } names are turned away before a greeting.
        rule denied-client {
            when all {
                client standing is denied
            }
            reject 554 5.7.1 "Your network is not served here"
        }

        # 0.7 Clients that are banned are turned away before a greeting (mailkeep ban list).
        rule banned-client {
            when all {
                client standing is banned
            }
            reject 554 5.7.1 "Your network is banned for a time"
        }

        # 0.8 A message over a limit of size-limits { } or of the listener is refused.
        rule size-limit {
            when all {
                limit exceeded is message header attachment attachments
            }
            reject 552 5.3.4 "Too large"
        }

        # 0.9 More recipients than size-limits { } allows are refused, for another message.
        rule recipients-limit {
            when all {
                limit exceeded is recipients
            }
            defer 452 4.5.3 "Too many recipients for one message"
        }

        # 0.10 Who has reached a quota { } waits until there is room.
        rule quota-reached {
            when all {
                quota reached is messages octets
            }
            defer 450 4.7.1 "Sending quota reached"
        }

        # 0.11 The same for recipients.
        rule recipients-quota-reached {
            when all {
                quota reached is recipients
            }
            defer 452 4.5.3 "Sending quota of recipients reached"
        }

        # 0.12 The same for faxes and their pages, number by number.
        rule fax-quota-reached {
            when all {
                quota reached is faxes pages
            }
            defer 452 4.5.3 "Sending quota of faxes reached"
        }

        # 0.13 force-encrypt-outbound: applied after every rule, and no rule weakens it.
        # Mail for a listed domain, or through an MX whose name or address is listed, goes out
        # with the protection its entry demands, or not at all.
        #   bank.example verified    (mailkeep.conf:2)
    "#]].assert_eq(&rules::built_in::show(&set));
}

#[test]
fn an_explanation_is_kept_as_json_and_read_back() {
    let policy = policy(B5);
    let facts = stranger().from("ana@their_domain.com").to_ours("dr.lee@mydomain.com");
    let explanation = policy.explain(&facts, &policy.decide(&facts, Stage::Rcpt));
    let json = serde_json::to_string(&explanation).unwrap();
    assert_eq!(serde_json::from_str::<rules::Explanation>(&json).unwrap(), explanation);
    let kept = serde_json::to_string(&facts).unwrap();
    let again: rules::Facts = serde_json::from_str(&kept).unwrap();
    assert_eq!(policy.explain(&again, &policy.decide(&again, Stage::Rcpt)), explanation);
}
