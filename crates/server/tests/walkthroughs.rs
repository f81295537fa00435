//! The shipped examples, run as they are on free ports, with swaks and OpenSSL as clients.

mod support;

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use lab::partner::{Tls, Versions};
use lab::{Fault, Partner, Script, Stage};
use support::examples::{on_any_port, shipped};
use support::partners::Lab;
use support::peers::{Pipes, Ran, Sessions, program, run};
use support::{Client, Server, wait_for};

const PASSWORD: &str = "correct horse battery staple";

/// Runs swaks against a listener. What it is told after the address decides the rest.
fn swaks(server: SocketAddr, arguments: &[&str]) -> Ran {
    let port = server.port().to_string();
    let host = server.ip().to_string();
    run(Command::new(program("swaks"))
        .args(["--server", &host, "--port", &port, "--ehlo", "client.example.net"])
        .args(["--timeout", "20"])
        .args(arguments))
}

/// The lines a server said to swaks, before (`<-`, `<**`) and after (`<~`, `<~*`) TLS began.
fn said(ran: &Ran, under_tls: bool) -> Vec<String> {
    let marks: [&str; 2] = if under_tls { ["<~ ", "<~*"] } else { ["<- ", "<**"] };
    ran.all()
        .lines()
        .filter(|line| marks.iter().any(|mark| line.starts_with(mark)))
        .map(|line| line[3..].trim().to_owned())
        .collect()
}

/// Signs in over TLS and submits a message by swaks.
fn submit(server: &Server, from: &str, to: &str, more: &[&str]) -> Ran {
    let sign_in = ["--tls", "--auth", "PLAIN", "--auth-user", from, "--auth-password", PASSWORD];
    let envelope = ["--from", from, "--to", to];
    swaks(server.address("submission"), &[&sign_in[..], &envelope, more].concat())
}

/// The example with one of its texts replaced, which must be there.
fn with(example: &str, old: &str, new: &str) -> String {
    assert!(example.contains(old), "the example has no {old}");
    example.replace(old, new)
}

// ---- B4 ---------------------------------------------------------------------------------

#[test]
fn auth_is_not_offered_before_tls_and_is_offered_after_it() {
    let server = Server::start(&on_any_port("b4-auth-only-on-tls.conf"));
    server.account("ann@mydomain.com", PASSWORD);
    for listener in ["mx", "submission"] {
        let clear = swaks(server.address(listener), &["--quit-after", "EHLO"]);
        assert_eq!(clear.code, Some(0), "{}", clear.all());
        let offered = said(&clear, false);
        assert!(offered.iter().any(|line| line.ends_with("STARTTLS")), "{offered:?}");
        assert!(!offered.iter().any(|line| line.contains("AUTH")), "{offered:?}");

        let tls = swaks(server.address(listener), &["--tls", "--quit-after", "EHLO"]);
        assert_eq!(tls.code, Some(0), "{}", tls.all());
        let before = said(&tls, false);
        assert!(!before.iter().any(|line| line.contains("AUTH")), "{before:?}");
        let after = said(&tls, true);
        assert!(after.iter().any(|line| line.ends_with("AUTH PLAIN LOGIN")), "{after:?}");
        assert!(!after.iter().any(|line| line.contains("STARTTLS")), "{after:?}");
    }
    let implicit = swaks(server.address("smtps"), &["--tls-on-connect", "--quit-after", "EHLO"]);
    let offered = said(&implicit, true);
    assert!(offered.iter().any(|line| line.ends_with("AUTH PLAIN LOGIN")), "{offered:?}");
}

#[test]
fn openssl_sees_the_same_and_proves_the_certificate() {
    let server = Server::start(&on_any_port("b4-auth-only-on-tls.conf"));
    let authority = server.dir().join("data-b4/authority/ca.pem");
    let mut command = Command::new(program("openssl"));
    command
        .args(["s_client", "-quiet", "-starttls", "smtp", "-connect"])
        .arg(server.address("submission").to_string())
        .arg("-CAfile")
        .arg(&authority)
        .args(["-verify_return_error", "-verify_hostname", "mail.mydomain.com"]);
    let mut client = Client::over(Box::new(Pipes::open(&mut command)));
    let offered = client.expect("EHLO client.example.net", "250-mail.mydomain.com");
    assert!(offered.lines().any(|line| line[4..] == *"AUTH PLAIN LOGIN"), "{offered}");
    client.expect("QUIT", "221 ");

    let mut clear = server.connect("submission");
    let offered = clear.expect("EHLO client.example.net", "250-mail.mydomain.com");
    assert!(!offered.contains("AUTH"), "{offered}");
}

#[test]
fn swaks_signs_in_under_tls_only() {
    let server = Server::start(&on_any_port("b4-auth-only-on-tls.conf"));
    server.account("ann@mydomain.com", PASSWORD);
    let user = ["--auth-user", "ann@mydomain.com", "--auth-password", PASSWORD];
    for mechanism in ["PLAIN", "LOGIN"] {
        let sign_in = ["--auth", mechanism, "--quit-after", "AUTH"];
        let tls = swaks(server.address("submission"), &[&sign_in[..], &user, &["--tls"]].concat());
        assert_eq!(tls.code, Some(0), "{}", tls.all());
        let smtps = [&sign_in[..], &user, &["--tls-on-connect"]].concat();
        let smtps = swaks(server.address("smtps"), &smtps);
        assert_eq!(smtps.code, Some(0), "{}", smtps.all());
        let clear = swaks(server.address("submission"), &[&sign_in[..], &user].concat());
        assert_ne!(clear.code, Some(0), "{}", clear.all());
    }
    let wrong = ["--auth-user", "ann@mydomain.com", "--auth-password", "incorrect horse"];
    let arguments = [&["--tls", "--auth", "PLAIN", "--quit-after", "AUTH"][..], &wrong].concat();
    let wrong = swaks(server.address("submission"), &arguments);
    assert_ne!(wrong.code, Some(0), "{}", wrong.all());
    assert!(wrong.all().contains("535 5.7.8"), "{}", wrong.all());
}

#[test]
fn a_client_that_signs_in_without_being_asked_to_is_refused_in_the_clear() {
    let server = Server::start(&on_any_port("b4-auth-only-on-tls.conf"));
    server.account("ann@mydomain.com", PASSWORD);
    let mut client = server.connect("submission");
    client.expect("EHLO client.example.net", "250-");
    let reply = client.say("AUTH PLAIN AGFubkBteWRvbWFpbi5jb20AY29ycmVjdA==");
    assert!(reply.starts_with('5'), "{reply}");
    client.expect("MAIL FROM:<ann@mydomain.com>", "530 ");
}

#[test]
fn the_wrong_order_of_the_two_rules_makes_the_checker_warn() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let file = folder.path().join("mailkeep.conf");
    let check = |text: &str| {
        std::fs::write(&file, text).expect("the configuration is written");
        support::run(folder.path(), &["config", "check"], b"")
    };
    let example = shipped("b4-auth-only-on-tls.conf");
    let right = check(&example);
    assert!(right.status.success(), "{}", support::shown(&right));
    assert!(support::shown(&right).contains("no error, no warning"), "{}", support::shown(&right));

    let off = "rule disableAUTH_on_non_SSL {\n        plain-connections  not-authenticated\n    }";
    let on =
        "rule enableAUTH_on_SSL {\n        tls-connections    authenticated  plain login\n    }";
    let swapped = with(&example, off, "FIRST").replace(on, off).replace("FIRST", on);
    assert_ne!(swapped, example);
    let wrong = support::shown(&check(&swapped));
    assert!(wrong.contains("no error, 1 warning"), "{wrong}");
    assert!(wrong.contains("switches authentication off after \"enableAUTH_on_SSL\""), "{wrong}");
}

// ---- B5 ---------------------------------------------------------------------------------

#[test]
fn one_domain_is_served_only_over_tls_and_the_other_as_it_comes() {
    let server = Server::start(&on_any_port("b5-only-tls-for-mydomain.conf"));
    let mx = server.address("mx");
    let refusal = "550 5.7.10 Accepting only secure delivery (STARTTLS) for mydomain.com";

    let clear = swaks(mx, &["--from", "a@example.net", "--to", "dr.lee@mydomain.com"]);
    assert_eq!(clear.code, Some(24), "{}", clear.all());
    assert!(said(&clear, false).iter().any(|line| line == refusal), "{}", clear.all());

    let tls = swaks(mx, &["--from", "a@example.net", "--to", "dr.lee@mydomain.com", "--tls"]);
    assert_eq!(tls.code, Some(0), "{}", tls.all());
    let other = swaks(mx, &["--from", "a@example.net", "--to", "dr.lee@other.com"]);
    assert_eq!(other.code, Some(0), "{}", other.all());

    let mail = server.wait_for_mail_in("data-b5/mydomain.com", "dr.lee@mydomain.com", 1);
    assert!(mail[0].contains("(TLS 1.3)"), "{}", mail[0]);
    server.wait_for_mail_in("data-b5/other.com", "dr.lee@other.com", 1);
}

#[test]
fn both_domains_in_one_session_get_their_own_verdicts() {
    let server = Server::start(&on_any_port("b5-only-tls-for-mydomain.conf"));
    let both = "one@mydomain.com,two@other.com,three@mydomain.com";
    let ran = swaks(server.address("mx"), &["--from", "a@example.net", "--to", both]);
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    let refused = said(&ran, false).iter().filter(|line| line.starts_with("550 5.7.10")).count();
    assert_eq!(refused, 2, "{}", ran.all());
    server.wait_for_mail_in("data-b5/other.com", "two@other.com", 1);
    assert!(!server.dir().join("data-b5/mydomain.com").exists());

    let shown = server.ok(&["trace", "--address", "one@mydomain.com"]);
    assert!(shown.contains("refused"), "{shown}");
}

// ---- B6 ---------------------------------------------------------------------------------

/// The example, with the smart host on a port of the test's.
fn relaying(port: u16) -> String {
    let example = on_any_port("b6-relay-with-tls12-13.conf");
    let example =
        with(&example, "smarthost.example.com:10466", &format!("smarthost.example.com:{port}"));
    format!("{example}\nqueue {{ retry 200ms 1h; jitter 0; policy-notice off }}\n")
}

fn smart_host(lab: &Lab, versions: Versions) -> Partner {
    let name = "smarthost.example.com";
    let script = Script::named(name).certificate(lab.identity(name));
    lab.partner(script.tls(Tls::Implicit).versions(versions))
}

#[test]
fn relayed_mail_goes_to_the_smart_hosts_tls_port_with_tls_1_2_or_1_3() {
    let lab = Lab::new();
    for (versions, expected) in
        [(Versions::Both, "TLSv1.3"), (Versions::Tls12, "TLSv1.2"), (Versions::Tls13, "TLSv1.3")]
    {
        let partner = smart_host(&lab, versions);
        let server = Server::start(&relaying(partner.address().port()));
        server.account("ann@mydomain.com", PASSWORD);
        let ran = submit(&server, "ann@mydomain.com", "bob@example.com", &[]);
        assert_eq!(ran.code, Some(0), "{}", ran.all());
        let messages = lab.wait_for(&partner, 1);
        let seen = messages[0].tls.as_ref().expect("TLS");
        assert_eq!(seen.version, expected);
        assert_eq!(seen.sni.as_deref(), Some("smarthost.example.com"));
        assert_eq!(messages[0].sender, "ann@mydomain.com");
        assert_eq!(partner.counters().mail_in_clear, 0);
        assert_eq!(partner.violations(), Vec::<String>::new());
    }
}

#[test]
fn a_smart_host_without_an_allowed_version_gets_nothing() {
    let port = free_port();
    let mut old = s_server(port, &["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"]);
    let server = Server::start(&relaying(port));
    server.account("ann@mydomain.com", PASSWORD);
    let ran = submit(&server, "ann@mydomain.com", "bob@example.com", &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    let log = wait_for(|| Some(server.log()).filter(|log| log.contains("not sent")));
    assert!(log.is_some(), "{}", server.log());
    let notices = server.wait_for_mail_in("data-b6/mail", "ann@mydomain.com", 1);
    assert!(notices[0].contains("Status: 5.7.10"), "{}", notices[0]);
    assert!(notices[0].contains("use_only_tls12_and_13_when_relaying"), "{}", notices[0]);
    old.stop();
    assert!(!old.said().contains("MAIL FROM"), "{}", old.said());
    assert!(!old.said().contains("EHLO"), "{}", old.said());
}

#[test]
fn a_smart_host_is_spoken_to_by_openssl_in_each_version() {
    for option in ["-tls1_2", "-tls1_3"] {
        let port = free_port();
        let mut peer = s_server(port, &[option]);
        let server = Server::start(&relaying(port));
        server.account("ann@mydomain.com", PASSWORD);
        let ran = submit(&server, "ann@mydomain.com", "bob@example.com", &[]);
        assert_eq!(ran.code, Some(0), "{}", ran.all());
        // OpenSSL speaks only this version, and shows that the handshake was done. It does
        // not greet, so nothing is sent.
        let shown = wait_for(|| peer.said().contains("CIPHER is").then_some(()));
        assert!(shown.is_some(), "{}", peer.said());
        peer.stop();
    }
}

#[test]
fn a_smart_host_that_speaks_in_the_clear_gets_nothing() {
    let lab = Lab::new();
    let partner = lab.partner(Script::named("smarthost.example.com"));
    let server = Server::start(&relaying(partner.address().port()));
    server.account("ann@mydomain.com", PASSWORD);
    let ran = submit(&server, "ann@mydomain.com", "bob@example.com", &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    assert!(wait_for(|| (partner.counters().connections > 0).then_some(())).is_some());
    assert!(wait_for(|| server.log().contains("not sent").then_some(())).is_some());
    assert_eq!(partner.counters().mail, 0, "{:?}", partner.transcript());
}

// ---- Force Encrypt ------------------------------------------------------------------------

/// The example, where mail for the listed domain goes to a partner of the test's.
fn forcing(partner: &Partner) -> String {
    let example = on_any_port("force-encrypt.conf");
    let port = partner.address().port();
    format!(
        "{example}\n\
         mx {{ their_domain.com 127.0.0.1:{port} }}\n\
         queue {{ retry 300ms 500ms; jitter 0; policy-notice 0s }}\n"
    )
}

const LISTED: &str = "dr.lee@their_domain.com";

#[test]
fn mail_for_a_listed_domain_is_not_sent_without_starttls_and_the_sender_reads_why() {
    let lab = Lab::new();
    for tls in [Tls::NotOffered, Tls::Stripped] {
        let partner = lab.partner(Script::named("mx.their_domain.com").tls(tls));
        let server = Server::start(&forcing(&partner));
        server.account("ann@mydomain.com", PASSWORD);
        let ran = submit(&server, "ann@mydomain.com", LISTED, &["--body", "A secret finding"]);
        assert_eq!(ran.code, Some(0), "{}", ran.all());

        let notices = server.wait_for_mail_in("data-force-encrypt/mail", "ann@mydomain.com", 1);
        let notice = &notices[0];
        assert!(notice.contains("Status: 5.7.10"), "{notice}");
        assert!(notice.contains(&format!("Final-Recipient: rfc822; {LISTED}")), "{notice}");
        assert!(notice.contains("Action: failed"), "{notice}");
        let words = notice.to_lowercase();
        assert!(words.contains("encrypt") && words.contains("their_domain.com"), "{notice}");
        assert!(notice.contains("auto-replied"), "{notice}");

        assert_eq!(partner.counters().mail, 0, "{:?}", partner.transcript());
        assert_eq!(partner.complete_messages().len(), 0);

        // Now it is known, and the next sender hears it while the session lasts.
        let again = submit(&server, "ann@mydomain.com", LISTED, &[]);
        assert_eq!(again.code, Some(24), "{}", again.all());
        assert!(again.all().contains("550 5.7.10"), "{}", again.all());
    }
}

#[test]
fn a_broken_handshake_makes_mail_wait_and_the_sender_is_told_early() {
    let lab = Lab::new();
    let script =
        Script::named("mx.their_domain.com").certificate(lab.identity("mx.their_domain.com"));
    let partner = lab.partner(script.clone().tls(Tls::Garbage));
    let server = Server::start(&forcing(&partner));
    server.account("ann@mydomain.com", PASSWORD);
    let ran = submit(&server, "ann@mydomain.com", LISTED, &["--body", "A secret finding"]);
    assert_eq!(ran.code, Some(0), "{}", ran.all());

    let notices = server.wait_for_mail_in("data-force-encrypt/mail", "ann@mydomain.com", 1);
    assert!(notices[0].contains("Action: delayed"), "{}", notices[0]);
    assert!(notices[0].contains("their_domain.com"), "{}", notices[0]);
    assert_eq!(partner.counters().mail, 0, "{:?}", partner.transcript());
    let listed = server.ok(&["queue", "list"]);
    assert!(listed.contains(LISTED), "{listed}");

    // As soon as the partner is well again the message leaves, encrypted.
    partner.follow(script).expect("a better script");
    let messages = lab.wait_for(&partner, 1);
    assert!(messages[0].tls.is_some());
    assert!(messages[0].text().contains("A secret finding"));
    assert_eq!(partner.counters().mail_in_clear, 0);
}

#[test]
fn a_listed_partner_with_tls_gets_its_mail() {
    let lab = Lab::new();
    let script = Script::named("mx.their_domain.com").certificate(lab.identity("elsewhere.test"));
    let partner = lab.partner(script);
    let server = Server::start(&forcing(&partner));
    server.account("ann@mydomain.com", PASSWORD);
    let ran = submit(&server, "ann@mydomain.com", LISTED, &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    let messages = lab.wait_for(&partner, 1);
    assert!(messages[0].tls.is_some());
    assert_eq!(partner.counters().mail_in_clear, 0);
}

#[test]
fn every_host_of_a_listed_domain_is_tried_before_the_sender_is_told() {
    let lab = Lab::new();
    let clear = lab.partner(Script::named("mx1.their_domain.com"));
    let name = "mx2.their_domain.com";
    let good = lab.partner(Script::named(name).certificate(lab.identity(name)));
    let text = with(
        &forcing(&clear),
        &format!("127.0.0.1:{}", clear.address().port()),
        &format!("127.0.0.1:{} 127.0.0.1:{}", clear.address().port(), good.address().port()),
    );
    let server = Server::start(&text);
    server.account("ann@mydomain.com", PASSWORD);
    let ran = submit(&server, "ann@mydomain.com", LISTED, &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    assert!(lab.wait_for(&good, 1)[0].tls.is_some());
    assert_eq!(clear.counters().mail, 0);
}

#[test]
fn a_partner_that_refuses_in_the_session_costs_nothing_but_its_own_reply() {
    let lab = Lab::new();
    let name = "mx.their_domain.com";
    let fault = Fault::at(Stage::Rcpt).reply("550 5.1.1 There is nobody of that name");
    let partner = lab.partner(Script::named(name).certificate(lab.identity(name)).fault(fault));
    let server = Server::start(&forcing(&partner));
    server.account("ann@mydomain.com", PASSWORD);
    let ran = submit(&server, "ann@mydomain.com", LISTED, &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    let notices = server.wait_for_mail_in("data-force-encrypt/mail", "ann@mydomain.com", 1);
    assert!(notices[0].contains("Status: 5.1.1"), "{}", notices[0]);
    // The refusal had nothing to do with protection, so the next recipient is taken.
    let next = submit(&server, "ann@mydomain.com", "other@their_domain.com", &[]);
    assert_eq!(next.code, Some(0), "{}", next.all());
}

#[test]
fn mail_from_a_listed_domain_or_address_is_refused_in_the_clear() {
    let example = on_any_port("force-encrypt.conf");
    let example = with(&example, "204.10.243.26", "204.10.243.26\n    127.0.0.9\n    127.7.0.0/16");
    let server = Server::start(&example);
    server.account("ann@mydomain.com", PASSWORD);
    let mx = server.address("mx");
    let to = ["--to", "ann@mydomain.com"];
    let from = |sender: &'static str| ["--from", sender];
    let at = |address: &'static str| ["--local-interface", address];

    for sender in
        ["a@their_domain.com", "a@mail.their_domain.com", "a@bank.example", "a@INSURER.example"]
    {
        let clear = swaks(mx, &[&to[..], &from(sender)].concat());
        assert_ne!(clear.code, Some(0), "{}", clear.all());
        assert!(clear.all().contains("550 5.7.10"), "{}", clear.all());
        let tls = swaks(mx, &[&to[..], &from(sender), &["--tls"]].concat());
        assert_eq!(tls.code, Some(0), "{}", tls.all());
    }
    for address in ["127.0.0.9", "127.7.1.2"] {
        let clear = swaks(mx, &[&to[..], &from("a@example.net"), &at(address)].concat());
        assert!(clear.all().contains("550 5.7.10"), "{}", clear.all());
        let tls = swaks(mx, &[&to[..], &from("a@example.net"), &at(address), &["--tls"]].concat());
        assert_eq!(tls.code, Some(0), "{}", tls.all());
    }
    // What is not listed, or only for mail that goes out, comes as it can.
    for sender in ["a@example.net", "a@lab.example", "a@nottheir_domain.com"] {
        let clear = swaks(mx, &[&to[..], &from(sender)].concat());
        assert_eq!(clear.code, Some(0), "{}", clear.all());
    }
    server.wait_for_mail_in("data-force-encrypt/mail", "ann@mydomain.com", 9);
}

// ---- openssl s_server ----------------------------------------------------------------------

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    socket.local_addr().expect("its address").port()
}

/// OpenSSL's TLS server, which speaks no SMTP: it shows what reaches it.
fn s_server(port: u16, options: &[&str]) -> Sessions {
    let authority = lab::Authority::new("Other authority").expect("an authority");
    let identity = authority.issue(&["smarthost.example.com"]).expect("a certificate");
    let folder = tempfile::TempDir::new().expect("a folder");
    std::fs::write(folder.path().join("chain.pem"), identity.chain_pem()).expect("written");
    std::fs::write(folder.path().join("key.pem"), identity.key_pem()).expect("written");
    let mut command = Command::new(program("openssl"));
    command.args(["s_server", "-accept", &format!("127.0.0.1:{port}"), "-key"]);
    command.arg(folder.path().join("key.pem")).arg("-cert").arg(folder.path().join("chain.pem"));
    let sessions = Sessions::open(command.args(options), folder);
    let began = wait_for(|| sessions.said().contains("ACCEPT").then_some(()));
    assert!(began.is_some(), "openssl s_server does not start: {}", sessions.said());
    std::thread::sleep(Duration::from_millis(50));
    sessions
}
