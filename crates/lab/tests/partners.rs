//! Partners do what their scripts say, seen from a raw client.

mod client;

use std::time::{Duration, Instant};

use client::{Client, connect, trusting};
use lab::partner::{AuthSeen, Outcome, Versions};
use lab::{Authority, Fault, Identity, Partner, Script, Stage, Tls};
use tokio::io::{AsyncRead, AsyncWrite};

const SOON: Duration = Duration::from_secs(5);

async fn partner(script: Script) -> Partner {
    Partner::start_anywhere(script).await.unwrap()
}

async fn greeted(partner: &Partner) -> Client<tokio::net::TcpStream> {
    let mut client = connect(partner.address()).await;
    client.talk(&[("", "220 "), ("EHLO client.test", "250")]).await;
    client
}

async fn send_one<S: AsyncRead + AsyncWrite + Unpin>(client: &mut Client<S>) {
    client
        .talk(&[
            ("MAIL FROM:<ann@client.test> SIZE=20", "250"),
            ("RCPT TO:<bob@partner.test> NOTIFY=NEVER", "250"),
            ("DATA", "354"),
            ("Subject: x\r\n\r\n..\r\n.", "250"),
        ])
        .await;
}

#[tokio::test]
async fn a_message_is_kept_as_it_was_sent() {
    let partner = partner(Script::named("mx.partner.test")).await;
    let mut client = greeted(&partner).await;
    send_one(&mut client).await;
    client.talk(&[("QUIT", "221")]).await;
    let message = partner.wait_for(1, SOON).await.unwrap().remove(0);
    assert_eq!(message.hello, "client.test");
    assert_eq!(message.sender, "ann@client.test");
    assert_eq!(message.sender_parameters, ["SIZE=20"]);
    assert_eq!(message.recipients[0].address, "bob@partner.test");
    assert_eq!(message.recipients[0].parameters, ["NOTIFY=NEVER"]);
    assert_eq!(message.text(), "Subject: x\r\n\r\n.\r\n");
    assert_eq!(message.tls, None);
    assert_eq!(partner.violations(), Vec::<String>::new());
    assert_eq!(partner.counters().mail_in_clear, 1);
}

#[tokio::test]
async fn chunks_make_one_message() {
    let partner = partner(Script::named("mx.partner.test")).await;
    let mut client = greeted(&partner).await;
    client
        .talk(&[("MAIL FROM:<> BODY=BINARYMIME", "250"), ("RCPT TO:<b@partner.test>", "250")])
        .await;
    client.send("BDAT 4\r\nab\r\n").await;
    client.talk(&[("", "250")]).await;
    client.send("BDAT 3 LAST\r\n\0\n.").await;
    client.talk(&[("", "250")]).await;
    let message = partner.messages().remove(0);
    assert_eq!(&message.content[..], b"ab\r\n\0\n.");
    assert!(message.chunked);
    assert_eq!(partner.violations(), Vec::<String>::new());
}

#[tokio::test]
async fn tls_is_seen_with_version_and_name() {
    let authority = Authority::new("test").unwrap();
    for (versions, seen) in [(Versions::Both, "TLSv1.3"), (Versions::Tls12, "TLSv1.2")] {
        let script = Script::named("mx.partner.test")
            .certificate(authority.issue(&["mx.partner.test"]).unwrap())
            .versions(versions);
        let partner = partner(script).await;
        let mut client = greeted(&partner).await;
        client.talk(&[("STARTTLS", "220")]).await;
        let mut config = trusting(&authority, None);
        config.alpn_protocols = Vec::new();
        let mut client = client.encrypt(config, "mx.partner.test").await.unwrap();
        client.talk(&[("MAIL FROM:<a@b.test>", "503"), ("EHLO client.test", "250")]).await;
        assert!(!client.say("EHLO client.test").await.contains("STARTTLS"));
        send_one(&mut client).await;
        let tls = partner.messages().remove(0).tls.unwrap();
        assert_eq!(tls.version, seen);
        assert_eq!(tls.sni.as_deref(), Some("mx.partner.test"));
        assert!(tls.suite.starts_with("TLS_"), "{}", tls.suite);
        assert!(tls.group.is_some());
        assert_eq!(partner.counters().handshakes, 1);
    }
}

#[tokio::test]
async fn bad_certificates_fail_a_strict_client() {
    let authority = Authority::new("test").unwrap();
    let stranger = Authority::new("stranger").unwrap();
    let name = ["mx.partner.test"];
    for (what, identity) in [
        ("self-signed", Identity::self_signed(&name).unwrap()),
        ("wrong name", authority.issue(&["mx.other.test"]).unwrap()),
        ("expired", authority.issue_expired(&name).unwrap()),
        ("unknown authority", stranger.issue(&name).unwrap()),
    ] {
        let partner = partner(Script::named("mx.partner.test").certificate(identity)).await;
        let mut client = greeted(&partner).await;
        client.talk(&[("STARTTLS", "220")]).await;
        let result = client.encrypt(trusting(&authority, None), name[0]).await;
        assert!(result.is_err(), "{what}");
    }
}

#[tokio::test]
async fn tls_breaks_in_every_way_it_can() {
    let authority = Authority::new("test").unwrap();
    for tls in [Tls::Garbage, Tls::DroppedInHandshake, Tls::Injected, Tls::DroppedAfterHandshake] {
        let script = Script::named("mx.partner.test")
            .certificate(authority.issue(&["mx.partner.test"]).unwrap())
            .tls(tls);
        let partner = partner(script).await;
        let mut client = greeted(&partner).await;
        client.talk(&[("STARTTLS", "220")]).await;
        let injected = client.unread.starts_with(b"250 2.0.0 forged\r\n");
        assert_eq!(injected, tls == Tls::Injected, "{tls:?}");
        if injected {
            continue;
        }
        let handshake = client.encrypt(trusting(&authority, None), "mx.partner.test").await;
        match handshake {
            Err(_) => assert_ne!(tls, Tls::DroppedAfterHandshake),
            Ok(mut client) => {
                assert_eq!(tls, Tls::DroppedAfterHandshake);
                assert_eq!(client.reply().await, "");
            }
        }
        let counters = partner.counters();
        assert_eq!(counters.handshakes + counters.handshakes_failed, 1, "{tls:?}");
    }
}

#[tokio::test]
async fn starttls_is_missing_struck_out_or_refused() {
    let authority = Authority::new("test").unwrap();
    for (tls, offered, reply) in [
        (Tls::NotOffered, false, "500"),
        (Tls::Stripped, false, "500"),
        (Tls::Refused, true, "454 4.7.0"),
    ] {
        let mut script = Script::named("mx.partner.test");
        if tls != Tls::NotOffered {
            script = script.certificate(authority.issue(&["mx.partner.test"]).unwrap());
        }
        let partner = partner(script.tls(tls)).await;
        let mut client = greeted(&partner).await;
        let hello = client.say("EHLO client.test").await;
        assert_eq!(hello.contains("STARTTLS"), offered, "{hello}");
        assert_eq!(hello.contains("XXXXXXXX"), tls == Tls::Stripped, "{hello}");
        client.talk(&[("STARTTLS", reply)]).await;
        send_one(&mut client).await;
    }
}

#[tokio::test]
async fn a_client_certificate_can_be_demanded() {
    let authority = Authority::new("test").unwrap();
    let script = Script::named("mx.partner.test")
        .certificate(authority.issue(&["mx.partner.test"]).unwrap())
        .tls(Tls::Implicit)
        .client_certificates_of(&authority);
    let partner = partner(script).await;
    let own = authority.issue(&["client.test"]).unwrap();
    let client = connect(partner.address()).await;
    let mut client =
        client.encrypt(trusting(&authority, Some(&own)), "mx.partner.test").await.unwrap();
    client.talk(&[("", "220"), ("EHLO client.test", "250")]).await;
    send_one(&mut client).await;
    let seen = partner.messages().remove(0).tls.unwrap();
    assert_eq!(seen.client_certificate.as_deref(), Some(&own.chain()[0][..]));

    let client = connect(partner.address()).await;
    let without = client.encrypt(trusting(&authority, None), "mx.partner.test").await;
    let greeting = match without {
        Ok(mut client) => client.reply().await,
        Err(_) => String::new(),
    };
    assert_eq!(greeting, "");
}

#[tokio::test]
async fn signing_in_is_demanded_and_recorded() {
    let partner = partner(Script::named("smarthost.test").only_user("gateway", "secret")).await;
    let mut client = greeted(&partner).await;
    client
        .talk(&[
            ("MAIL FROM:<a@client.test>", "530 5.7.0"),
            ("AUTH PLAIN AGdhdGV3YXkAd3Jvbmc=", "535"),
            ("AUTH PLAIN not-base64", "501"),
            ("AUTH LOGIN", "334 VXNlcm5hbWU6"),
            ("Z2F0ZXdheQ==", "334 UGFzc3dvcmQ6"),
            ("c2VjcmV0", "235"),
        ])
        .await;
    send_one(&mut client).await;
    let auth = partner.messages().remove(0).auth;
    assert_eq!(auth, Some(AuthSeen { mechanism: "LOGIN".into(), user: "gateway".into() }));
    let counters = partner.counters();
    assert_eq!((counters.sign_ins, counters.sign_ins_failed), (1, 1));
    assert!(!partner.transcript().join("\n").contains("c2VjcmV0"));
}

#[tokio::test]
async fn faults_strike_where_they_are_put() {
    let script = Script::named("mx.partner.test")
        .fault(Fault::at(Stage::Rcpt).recipient("no@partner.test").reply("550 5.1.1 No"))
        .fault(Fault::at(Stage::Rcpt).reply("450 4.2.0 Later\nmuch later").first(1))
        .fault(Fault::at(Stage::Content).reply("554 5.6.0 Not this").first(1));
    let partner = partner(script).await;
    let mut client = greeted(&partner).await;
    client
        .talk(&[
            ("MAIL FROM:<a@client.test>", "250"),
            ("RCPT TO:<no@partner.test>", "550 5.1.1"),
            ("RCPT TO:<yes@partner.test>", "450-4.2.0 Later|450 much later"),
            ("RCPT TO:<yes@partner.test>", "250"),
            ("DATA", "354"),
            ("x\r\n.", "554"),
        ])
        .await;
    send_one(&mut client).await;
    assert_eq!(partner.messages().len(), 1);
    let complete = partner.complete_messages();
    assert_eq!(complete[0].outcome, Outcome::Refused("554 5.6.0 Not this".into()));
    partner.add_fault(Fault::at(Stage::Mail).farewell("421 4.3.2 Going down"));
    client.talk(&[("MAIL FROM:<a@client.test>", "421"), ("", "")]).await;
}

#[tokio::test]
async fn a_partner_can_die_after_the_final_dot() {
    let script = Script::named("mx.partner.test").fault(Fault::at(Stage::Content).close().first(1));
    let partner = partner(script).await;
    let mut client = greeted(&partner).await;
    client
        .talk(&[
            ("MAIL FROM:<a@client.test>", "250"),
            ("RCPT TO:<b@partner.test>", "250"),
            ("DATA", "354"),
        ])
        .await;
    assert_eq!(client.say("x\r\n.").await, "");
    assert_eq!(partner.complete_messages()[0].outcome, Outcome::Unanswered);
    assert!(partner.messages().is_empty());
}

#[tokio::test]
async fn lmtp_answers_for_each_recipient() {
    let script = Script::named("store.test")
        .lmtp()
        .fault(Fault::at(Stage::Content).recipient("full@store.test").reply("452 4.2.2 Full"));
    let partner = partner(script).await;
    let mut client = connect(partner.address()).await;
    client
        .talk(&[
            ("", "220"),
            ("EHLO client.test", "500"),
            ("LHLO client.test", "250"),
            ("MAIL FROM:<a@client.test>", "250"),
            ("RCPT TO:<full@store.test>", "250"),
            ("RCPT TO:<ann@store.test>", "250"),
            ("DATA", "354"),
            ("x\r\n.", "452 4.2.2 Full"),
            ("", "250 2.1.5 <ann@store.test>"),
        ])
        .await;
}

#[tokio::test]
async fn what_a_client_does_wrong_is_noted() {
    let partner = partner(Script::named("mx.partner.test").extensions(&["SIZE 100"])).await;
    let mut client = greeted(&partner).await;
    client.send("MAIL FROM:<a@client.test>\r\nRCPT TO:<b@partner.test>\r\n").await;
    client.talk(&[("", "250"), ("", "250"), ("DATA", "354")]).await;
    client.talk(&[("a\nb\rc\r\n.\nd\r\né\r\n.", "250")]).await;
    client.talk(&[("MAIL FROM:<a@client.test> RET=FULL", "555"), ("BDAT 0 LAST", "502")]).await;
    client.talk(&[("MAIL FROM:<a@client.test> SIZE=101", "552")]).await;
    let noted = partner.violations().join("\n");
    for wanted in ["ahead of the reply", "bare LF", "bare CR", "eight-bit", "RET=FULL", "BDAT"] {
        assert!(noted.contains(wanted), "{wanted} is not in:\n{noted}");
    }
}

#[tokio::test]
async fn content_beyond_the_size_is_drained_and_refused() {
    let partner = partner(Script::named("mx.partner.test").extensions(&["SIZE 100"])).await;
    let mut client = greeted(&partner).await;
    client
        .talk(&[
            ("MAIL FROM:<a@client.test>", "250"),
            ("RCPT TO:<b@partner.test>", "250"),
            ("DATA", "354"),
            (&format!("{}\r\n.", "0123456789\r\n".repeat(50)), "552 5.3.4"),
            ("NOOP", "250"),
        ])
        .await;
    assert!(partner.messages().is_empty());
}

#[tokio::test]
async fn a_tarpit_takes_its_time() {
    let delay = Duration::from_millis(100);
    let partner = partner(Script::named("mx.tarpit.test").slow(delay, Duration::ZERO)).await;
    let began = Instant::now();
    greeted(&partner).await;
    assert!(began.elapsed() >= 2 * delay);
}

#[tokio::test]
async fn silence_is_no_answer_at_all() {
    let partner =
        partner(Script::named("mx.partner.test").fault(Fault::at(Stage::Connect).silence())).await;
    let mut client = connect(partner.address()).await;
    let wait = tokio::time::timeout(Duration::from_millis(200), client.reply()).await;
    assert!(wait.is_err());
}

#[tokio::test]
async fn nothing_listens_beyond_loopback() {
    let started = Partner::start(([0, 0, 0, 0], 0).into(), Script::named("mx.test")).await;
    assert!(matches!(started, Err(lab::LabError::NotLoopback(_))));
}

#[tokio::test]
async fn waiting_in_vain_shows_what_was_seen() {
    let partner = partner(Script::named("mx.partner.test")).await;
    greeted(&partner).await;
    let waited = partner.wait_for(1, Duration::from_millis(50)).await.unwrap_err().to_string();
    assert!(waited.contains("1 C: EHLO client.test"), "{waited}");
}
