//! What leaves, and how protected, to partners of every temper.

use crate::world::{Internet, demanding, encrypted, job, only, opportunistic, status, trouble};
use delivery::{Approach, Cause, Route};
use tls::{Demands, FailureKind, Level, Observed, Plaintext, Protection, Requirement, Source};

/// Every partner, what happens at each level of demand, and how.
#[tokio::test]
async fn mail_leaves_as_protected_as_demanded_or_not_at_all() {
    let net = Internet::start().await;
    let rows = [
        ("partner.test", "PROVEN", "PROVEN", "PROVEN"),
        ("tls12.test", "PROVEN", "PROVEN", "PROVEN"),
        ("oldpartner.test", "NOT ENCRYPTED", "5.7.10", "5.7.10"),
        ("stripped.test", "NOT ENCRYPTED", "5.7.10", "5.7.10"),
        ("refusing.test", "NOT ENCRYPTED", "4.7.10", "4.7.10"),
        ("garbage.test", "NOT ENCRYPTED", "4.7.5", "4.7.5"),
        ("dropper.test", "NOT ENCRYPTED", "4.7.5", "4.7.5"),
        ("hangup.test", "NOT ENCRYPTED", "4.7.5", "4.7.5"),
        ("selfsigned.test", "ENCRYPTED", "ENCRYPTED", "4.7.5"),
        ("wrongname.test", "ENCRYPTED", "ENCRYPTED", "4.7.5"),
        ("expired.test", "ENCRYPTED", "ENCRYPTED", "4.7.5"),
        ("stranger.test", "ENCRYPTED", "ENCRYPTED", "4.7.5"),
    ];
    for (domain, lax, strict, proven) in rows {
        let recipient = format!("bob@{domain}");
        for (requirement, expected) in [
            (Requirement::opportunistic(), lax),
            (Requirement::encrypted(), strict),
            (Requirement::authenticated(), proven),
        ] {
            let level = requirement.level;
            let attempt = net.agent.attempt(&job(&[&recipient]), &demanding(requirement)).await;
            let found = if let Some(contact) = attempt.taker(only(&attempt)) {
                word(contact.verdict.as_ref().unwrap().protection).to_owned()
            } else {
                assert_eq!(trouble(&attempt).cause, Cause::Protection, "{domain} {level:?}");
                status(&attempt)
            };
            assert_eq!(found, expected, "{domain} {level:?}: {attempt:#?}");
            net.agent.close_idle().await;
        }
        let partner = net.world.partner(domain).unwrap();
        let in_clear = partner.counters().mail_in_clear;
        assert_eq!(in_clear, u64::from(lax == "NOT ENCRYPTED"), "{domain}: envelopes in the clear");
        assert_eq!(partner.violations(), Vec::<String>::new(), "{domain}");
    }
}

fn word(protection: Protection) -> &'static str {
    match protection {
        Protection::Proven => "PROVEN",
        Protection::Encrypted => "ENCRYPTED",
        Protection::NotEncrypted => "NOT ENCRYPTED",
        Protection::NotSent => "NOT SENT",
        Protection::Local => "LOCAL",
    }
}

#[tokio::test]
async fn every_exchanger_is_tried_before_giving_up() {
    let net = Internet::start().await;
    let attempt = net.agent.attempt(&job(&["bob@twomx.test"]), &encrypted()).await;
    assert!(only(&attempt).is_delivered(), "{attempt:#?}");
    let seen: Vec<_> = attempt
        .contacts
        .iter()
        .map(|contact| (contact.host.as_str(), contact.verdict.as_ref().unwrap().is_met()))
        .collect();
    assert_eq!(seen, [("mx1.twomx.test", false), ("mx2.twomx.test", true)]);
    assert_eq!(net.world.partner("mx1.twomx.test").unwrap().counters().mail, 0);
}

#[tokio::test]
async fn the_address_of_an_exchanger_can_demand_protection() {
    let net = Internet::start().await;
    let listed = net.world.partner("oldpartner.test").unwrap().address().ip();
    let demander = move |approach: &Approach<'_>| {
        assert_eq!(approach.host, "mx.oldpartner.test");
        let demands = Demands::by_default(Requirement::opportunistic());
        let source = Source::ForceEncrypt { entry: listed.to_string(), line: 3 };
        match approach.ip {
            Some(ip) if ip == listed => demands.and(source, Requirement::encrypted()),
            Some(_) | None => demands,
        }
    };
    let attempt = net.agent.attempt(&job(&["bob@oldpartner.test"]), &demander).await;
    assert_eq!(status(&attempt), "5.7.10");
    let text = &trouble(&attempt).text;
    assert!(text.contains("Force Encrypt") && text.contains("line 3"), "{text}");
}

#[tokio::test]
async fn mail_sent_in_the_clear_after_a_failure_says_so() {
    let net = Internet::start().await;
    let attempt = net.agent.attempt(&job(&["bob@garbage.test"]), &opportunistic()).await;
    let verdict = attempt.taker(only(&attempt)).unwrap().verdict.clone().unwrap();
    assert!(
        matches!(&verdict.observed, Observed::Plaintext(Plaintext::AfterFailure(_))),
        "{verdict}"
    );
}

#[tokio::test]
async fn without_any_demand_tls_is_not_tried() {
    let net = Internet::start().await;
    let none = demanding(Requirement::at(Level::None));
    let attempt = net.agent.attempt(&job(&["bob@partner.test"]), &none).await;
    assert!(only(&attempt).is_delivered());
    assert_eq!(net.world.partner("partner.test").unwrap().counters().handshakes, 0);
}

#[tokio::test]
async fn missing_protection_that_may_come_back_waits_and_the_sender_hears_early() {
    let net = Internet::start().await;
    let attempt = net.agent.attempt(&job(&["bob@dropper.test"]), &encrypted()).await;
    assert!(attempt.waits_for_protection());
    let verdict = attempt.contacts[0].verdict.as_ref().unwrap();
    let Observed::Failed(failure) = &verdict.observed else { panic!("{verdict}") };
    assert_eq!(failure.kind, FailureKind::Closed);
    let gone = net.agent.attempt(&job(&["bob@oldpartner.test"]), &encrypted()).await;
    assert!(!gone.waits_for_protection(), "that is final");
}

#[tokio::test]
async fn an_attempt_survives_being_written_down() {
    let net = Internet::start().await;
    for recipient in ["bob@partner.test", "bob@oldpartner.test", "bob@dropper.test"] {
        let attempt = net.agent.attempt(&job(&[recipient]), &encrypted()).await;
        let text = serde_json::to_string(&attempt).unwrap();
        let read: delivery::Attempt = serde_json::from_str(&text).unwrap();
        assert_eq!(read, attempt);
    }
}

#[tokio::test]
async fn a_probe_tells_beforehand_and_sends_nothing() {
    let net = Internet::start().await;
    for (domain, impossible, status) in [
        ("partner.test", false, None),
        ("twomx.test", false, None),
        ("oldpartner.test", true, Some("5.7.10")),
        ("dropper.test", false, Some("4.7.5")),
        ("nomail.test", false, Some("5.1.10")),
    ] {
        let domain: mail::Domain = domain.parse().unwrap();
        let route = Route::Mx(domain.clone());
        let probe = net.agent.probe(&domain, &route, &encrypted()).await;
        assert_eq!(probe.is_impossible(), impossible, "{domain}");
        let found = probe.trouble().map(|trouble| trouble.status.to_string());
        assert_eq!(found.as_deref(), status, "{domain}: {probe:#?}");
        for host in &probe.hosts {
            let partner = net.world.partner(&host.host).unwrap();
            assert_eq!(partner.counters().mail, 0);
            assert_eq!(partner.violations(), Vec::<String>::new());
        }
    }
}
