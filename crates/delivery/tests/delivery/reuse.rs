//! Connections that carry more than one message.

use std::sync::Arc;
use std::time::Duration;

use crate::world::{Internet, agent, by, demanding, encrypted, job, only, opportunistic, status};
use delivery::{PoolSettings, Route, SmartHost};
use lab::{Authority, Fault, Partner, Script, Stage};
use tls::Requirement;

fn to(partner: &Partner) -> Route {
    let address = partner.address();
    Route::SmartHost(SmartHost::new(address.ip().into(), address.port()))
}

#[tokio::test]
async fn many_messages_share_a_connection_and_its_handshake() {
    let net = Internet::start().await;
    for _ in 0..5 {
        let attempt = net.agent.attempt(&job(&["bob@partner.test"]), &encrypted()).await;
        assert!(only(&attempt).is_delivered());
        assert!(attempt.contacts[0].verdict.as_ref().unwrap().is_met());
    }
    let partner = net.world.partner("partner.test").unwrap();
    assert_eq!((partner.counters().connections, partner.counters().handshakes), (1, 1));
    assert_eq!(net.agent.idle_connections(), 1);
    net.agent.close_idle().await;
    assert_eq!(net.agent.idle_connections(), 0);
    assert_eq!(partner.violations(), Vec::<String>::new());
}

#[tokio::test]
async fn another_demand_takes_another_connection() {
    let net = Internet::start().await;
    for requirement in [Requirement::none(), Requirement::opportunistic(), Requirement::encrypted()]
    {
        let demander = demanding(requirement);
        let attempt = net.agent.attempt(&job(&["bob@partner.test"]), &demander).await;
        assert!(!attempt.contacts[0].reused);
    }
    assert_eq!(net.world.partner("partner.test").unwrap().counters().connections, 3);
    let again = net.agent.attempt(&job(&["bob@partner.test"]), &encrypted()).await;
    assert!(again.contacts[0].reused);
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_is_replaced_without_a_word() {
    let net = Internet::start().await;
    let partner = Partner::start_anywhere(
        Script::named("a.test")
            .fault(Fault::at(Stage::Mail).farewell("421 4.4.2 Idle too long").after(1).first(1)),
    )
    .await
    .unwrap();
    for _ in 0..3 {
        let attempt = net.agent.attempt(&by(to(&partner), &["bob@a.test"]), &opportunistic()).await;
        assert!(only(&attempt).is_delivered(), "{attempt:#?}");
        assert_eq!(attempt.contacts.len(), 1);
    }
    assert_eq!(partner.counters().connections, 2);
    assert_eq!(partner.messages().len(), 3);
}

#[tokio::test]
async fn a_fresh_connection_that_is_closed_is_a_trouble() {
    let net = Internet::start().await;
    let partner = Partner::start_anywhere(
        Script::named("a.test").fault(Fault::at(Stage::Mail).farewell("421 4.3.2 Busy")),
    )
    .await
    .unwrap();
    let attempt = net.agent.attempt(&by(to(&partner), &["bob@a.test"]), &opportunistic()).await;
    assert_eq!(status(&attempt), "4.3.2");
    assert_eq!(partner.counters().connections, 1);
}

#[tokio::test]
async fn a_kept_connection_that_loses_the_final_reply_is_not_tried_twice() {
    let net = Internet::start().await;
    let partner = Partner::start_anywhere(
        Script::named("a.test").fault(Fault::at(Stage::Content).close().after(1)),
    )
    .await
    .unwrap();
    let send = by(to(&partner), &["bob@a.test"]);
    assert!(only(&net.agent.attempt(&send, &opportunistic()).await).is_delivered());
    let lost = net.agent.attempt(&send, &opportunistic()).await;
    assert!(crate::world::trouble(&lost).uncertain);
    assert_eq!(partner.complete_messages().len(), 2);
}

#[tokio::test]
async fn idle_connections_end_in_time_and_with_quit() {
    let pool = PoolSettings { idle: Duration::from_millis(200), ..PoolSettings::default() };
    let net = Internet::with(|settings| settings.pool = pool).await;
    let attempt = net.agent.attempt(&job(&["bob@partner.test"]), &opportunistic()).await;
    assert!(only(&attempt).is_delivered());
    assert_eq!(net.agent.idle_connections(), 1);
    tokio::time::sleep(Duration::from_millis(1_600)).await;
    assert_eq!(net.agent.idle_connections(), 0);
    let transcript = net.world.partner("partner.test").unwrap().transcript().join("\n");
    assert!(transcript.contains("QUIT"), "{transcript}");
}

#[tokio::test]
async fn a_connection_carries_no_more_messages_than_it_may() {
    let pool = PoolSettings { messages_max: 2, ..PoolSettings::default() };
    let net = Internet::with(|settings| settings.pool = pool).await;
    for _ in 0..4 {
        net.agent.attempt(&job(&["bob@partner.test"]), &opportunistic()).await;
    }
    assert_eq!(net.world.partner("partner.test").unwrap().counters().connections, 2);
}

#[tokio::test]
async fn attempts_at_once_use_connections_of_their_own() {
    let net = Internet::start().await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let agent = net.agent.clone();
        tasks.spawn(async move { agent.attempt(&job(&["bob@partner.test"]), &encrypted()).await });
    }
    for attempt in tasks.join_all().await {
        assert!(only(&attempt).is_delivered(), "{attempt:#?}");
    }
    let partner = net.world.partner("partner.test").unwrap();
    assert_eq!(partner.messages().len(), 40);
    assert_eq!(partner.violations(), Vec::<String>::new());
}

#[tokio::test]
async fn a_smart_host_is_signed_in_to_once_a_connection_and_only_under_tls() {
    let net = Internet::start().await;
    let partner = net.world.partner("smarthost.test").unwrap();
    let credentials =
        smtp::client::Credentials::new(lab::world::SMARTHOST_USER, lab::world::SMARTHOST_PASSWORD);
    let mut smart = SmartHost::new("mx.smarthost.test".parse().unwrap(), partner.address().port());
    let without = by(Route::SmartHost(smart.clone()), &["bob@far.test"]);
    assert_eq!(status(&net.agent.attempt(&without, &encrypted()).await), "5.7.0");
    smart.credentials = credentials;
    let send = by(Route::SmartHost(smart.clone()), &["bob@far.test"]);
    for _ in 0..3 {
        let attempt = net.agent.attempt(&send, &encrypted()).await;
        assert!(only(&attempt).is_delivered(), "{attempt:#?}");
    }
    assert_eq!(partner.counters().sign_ins, 1);
    let clear = net.agent.attempt(&send, &demanding(Requirement::none())).await;
    assert_eq!(status(&clear), "4.7.11");
    assert_eq!((partner.counters().sign_ins, partner.counters().sign_ins_failed), (1, 0));
    smart.credentials = smtp::client::Credentials::new("gateway", "wrong");
    let wrong = by(Route::SmartHost(smart), &["bob@far.test"]);
    let attempt = net.agent.attempt(&wrong, &encrypted()).await;
    assert_eq!(status(&attempt), "4.7.8", "ours to mend, so the mail waits");
    assert_eq!(partner.violations(), Vec::<String>::new());
}

#[tokio::test]
async fn a_smart_host_may_ask_for_our_certificate_and_speak_tls_from_the_start() {
    let net = Internet::start().await;
    let clients = Authority::new("Client authority").unwrap();
    let certificate = clients.issue(&["mail.clinic.test"]).unwrap();
    let (chain, key) = (certificate.chain_pem().as_bytes(), certificate.key_pem().as_bytes());
    let identity = tls::Identity::from_pem(chain, "ours", key, "ours").unwrap();
    let agent = agent(&net.world, Some(Arc::new(identity)), |_| {});
    for implicit in [false, true] {
        let mut script = Script::named("relay.test")
            .certificate(net.world.authority().issue(&["localhost"]).unwrap())
            .client_certificates_of(&clients);
        if implicit {
            script = script.tls(lab::Tls::Implicit);
        }
        let partner = Partner::start_anywhere(script).await.unwrap();
        let address = partner.address();
        let mut smart = SmartHost::new(address.ip().into(), address.port());
        smart.implicit_tls = implicit;
        let bare = by(Route::SmartHost(smart.clone()), &["bob@far.test"]);
        let attempt = agent.attempt(&bare, &encrypted()).await;
        assert!(only(&attempt).is_temporary(), "{attempt:#?}");
        smart.client_certificate = Some("missing".into());
        let missing = by(Route::SmartHost(smart.clone()), &["bob@far.test"]);
        assert_eq!(status(&agent.attempt(&missing, &encrypted()).await), "4.3.5");
        smart.client_certificate = Some("ours".into());
        let send = by(Route::SmartHost(smart), &["bob@far.test"]);
        let attempt = agent.attempt(&send, &encrypted()).await;
        assert!(only(&attempt).is_delivered(), "{attempt:#?}");
        let seen = partner.messages()[0].tls.clone().unwrap();
        assert!(seen.client_certificate.is_some());
    }
}
