//! Listeners at work: balancers, certificates by name, client certificates, LMTP, and changes
//! of certificate and configuration while sessions are open.

mod support;

use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use lab::partner::{Fault, Stage};
use lab::{Authority, Identity, Script};
use support::partners::Lab;
use support::tls::Terms;
use support::{Client, Server, shown, wait_for};
use tempfile::TempDir;

/// A server for `inside.test`, whose mailboxes are made as mail comes.
fn configuration(more: &str) -> String {
    format!(
        "hostname mail.test\n\
         data @DIR@/data\n\
         certificate mail {{ local-authority; names mail.test }}\n\
         domain inside.test {{ recipients any; deliver-to maildir @DIR@/maildir }}\n\
         domain mail.test {{ mailboxes local }}\n\
         {more}\n"
    )
}

const MX: &str = "listener mx { address 127.0.0.1; port 0; tls starttls; certificate mail }";

fn write(folder: &Path, name: &str, identity: &Identity) {
    std::fs::write(folder.join(format!("{name}.pem")), identity.chain_pem()).expect("written");
    std::fs::write(folder.join(format!("{name}.key")), identity.key_pem()).expect("written");
}

fn deliver(client: &mut Client, subject: &str) -> String {
    let content = format!("Subject: {subject}\n\nText");
    client.message("a@example.net", &["ann@inside.test"], &content)
}

// ---- PROXY protocol -----------------------------------------------------------------------

const BALANCED: &str = "
listener mx {
    address 127.0.0.1; port 0; tls starttls; certificate mail
    proxy-protocol from 127.0.0.1
}
listener direct { address 127.0.0.1; port 0; tls off }
trusted-networks 192.0.2.0/24
mx { outside.test 127.0.0.1:9 }
sender-authentication { mode off }
";

/// A connection of a balancer that has sent `header`.
fn balanced(server: &Server, header: &[u8]) -> Client {
    let mut client = Client::connect_silently(server.address("mx"));
    client.send(header);
    client
}

/// A header of version 2 for a client at this IPv4 address.
fn version_2(client: [u8; 4]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    header.extend(client);
    header.extend([198, 51, 100, 1, 0x12, 0x67, 0, 25]);
    header
}

#[test]
fn a_balancer_tells_who_the_client_is() {
    let server = Server::start(&configuration(BALANCED));
    let headers = [
        b"PROXY TCP4 203.0.113.7 198.51.100.1 4711 25\r\n".to_vec(),
        b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 25\r\n".to_vec(),
        version_2([203, 0, 113, 8]),
    ];
    for (count, (header, ip)) in
        headers.iter().zip(["[203.0.113.7]", "[IPv6:2001:db8::7]", "[203.0.113.8]"]).enumerate()
    {
        let mut client = balanced(&server, header);
        assert!(client.reply().starts_with("220 "));
        client.hello_under_tls();
        assert!(deliver(&mut client, ip).starts_with("250"));
        let mail = server.wait_for_mail("ann@inside.test", count + 1);
        assert!(mail.iter().any(|mail| mail.contains(ip)), "{ip}: {mail:?}");
    }
}

#[test]
fn what_a_client_may_do_follows_the_address_the_balancer_names() {
    let server = Server::start(&configuration(BALANCED));
    for (client, reply) in [([192, 0, 2, 9], "250"), ([203, 0, 113, 9], "550 5.7.1")] {
        let mut client = balanced(&server, &version_2(client));
        assert!(client.reply().starts_with("220 "));
        client.expect("EHLO client.example.net", "250");
        client.expect("MAIL FROM:<a@example.net>", "250");
        client.expect("RCPT TO:<b@outside.test>", reply);
    }
}

#[test]
fn a_health_check_speaks_for_the_balancer() {
    let server = Server::start(&configuration(BALANCED));
    for header in [&b"PROXY UNKNOWN\r\n"[..], b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"] {
        let mut client = balanced(&server, header);
        assert!(client.reply().starts_with("220 "));
        client.expect("EHLO client.example.net", "250");
        client.expect("QUIT", "221");
    }
}

#[test]
fn without_its_header_a_balancer_is_not_served_and_from_others_it_is_an_error() {
    let server = Server::start(&configuration(BALANCED));
    for wrong in [
        &b"EHLO client.example.net\r\n"[..],
        b"PROXY TCP4 1.2.3.4\r\n",
        b"\r\n\r\n\0\r\nQUIT\nxxxx",
    ] {
        let rest = balanced(&server, wrong).rest();
        assert_eq!(rest, "", "{}", String::from_utf8_lossy(wrong));
    }
    let mut client = server.connect("direct");
    client.expect("PROXY TCP4 192.0.2.9 198.51.100.1 4711 25", "500 ");
    client.expect("EHLO client.example.net", "250");
    client.expect("MAIL FROM:<a@example.net>", "250");
    client.expect("RCPT TO:<b@outside.test>", "550 5.7.1");
}

// ---- certificates -------------------------------------------------------------------------

#[test]
fn each_host_name_has_its_own_certificate() {
    let authority = Authority::new("Authority").expect("an authority");
    let folder = TempDir::new().expect("a folder");
    let names = ["mail.test", "mx.clinic.test", "mx.bank.test"];
    let identities = names.map(|name| authority.issue(&[name]).expect("a certificate"));
    for (name, identity) in names.iter().zip(&identities) {
        write(folder.path(), name, identity);
    }
    let text = configuration(
        "certificate usual { file @DIR@/mail.test.pem; key @DIR@/mail.test.key }
         certificate clinic { file @DIR@/mx.clinic.test.pem; key @DIR@/mx.clinic.test.key }
         certificate bank { file @DIR@/mx.bank.test.pem; key @DIR@/mx.bank.test.key }
         listener mx {
             address 127.0.0.1; port 0; tls starttls; certificate usual
             certificate-for mx.clinic.test clinic
             certificate-for mx.bank.test bank
         }
         listener smtps { address 127.0.0.1; port 0; tls implicit; certificate bank; protocol submission }",
    );
    let server = Server::start_in(folder, &text);
    for (asked, expected) in [
        ("mail.test", 0),
        ("mx.clinic.test", 1),
        ("MX.bank.test", 2),
        ("unknown.test", 0),
        ("127.0.0.1", 0), // no name is asked for
    ] {
        let mut client = server.connect("mx");
        client.expect("EHLO client.example.net", "250");
        client.starttls(&Terms::asking_for(asked));
        let seen = client.handshake.clone().expect("a handshake").certificate;
        assert_eq!(seen, identities[expected].chain()[0].to_vec(), "{asked}");
    }
    let smtps = Client::connect_tls(server.address("smtps"), &Terms::asking_for("mail.test"));
    let seen = smtps.handshake.clone().expect("a handshake").certificate;
    assert_eq!(seen, identities[2].chain()[0].to_vec());
}

#[test]
fn clients_show_certificates_where_they_are_asked_to() {
    let ours = Authority::new("Client authority").expect("an authority");
    let strange = Authority::new("Another authority").expect("an authority");
    let folder = TempDir::new().expect("a folder");
    std::fs::write(folder.path().join("clients.pem"), ours.pem()).expect("written");
    let text = configuration(
        "listener must { address 127.0.0.1; port 0; tls starttls; certificate mail; client-certificate require @DIR@/clients.pem }
         listener may { address 127.0.0.1; port 0; tls starttls; certificate mail; client-certificate ask @DIR@/clients.pem }
         rules {
             rule scanners_only {
                 when all {
                     listener is may
                     none { client certificate subject matches \"*scanner.test*\" }
                 }
                 reject 550 5.7.1 \"Show the certificate of a scanner\"
             }
         }",
    );
    let server = Server::start_in(folder, &text);
    let good = ours.issue(&["scanner.test"]).expect("a certificate");
    let bad = strange.issue(&["scanner.test"]).expect("a certificate");
    let plain = || Terms::asking_for("mail.test");

    let attempt = |listener: &str, terms: &Terms| -> String {
        let mut client = server.connect(listener);
        client.expect("EHLO client.example.net", "250");
        client.expect("STARTTLS", "220");
        if client.encrypt(terms).is_err() {
            return "no handshake".to_owned();
        }
        // With TLS 1.3 a client learns only afterwards what became of its certificate.
        if !client.say("EHLO client.example.net").starts_with("250") {
            return "no session".to_owned();
        }
        let mail = client.say("MAIL FROM:<a@example.net>");
        if mail.starts_with("250") { client.say("RCPT TO:<ann@inside.test>") } else { mail }
    };
    for terms in [plain(), plain().tls12()] {
        assert!(attempt("must", &terms.clone().showing(good.clone())).starts_with("250"));
        for refused in [terms.clone(), terms.clone().showing(bad.clone())] {
            let reply = attempt("must", &refused);
            assert!(reply.starts_with("no "), "{reply}");
        }
        assert!(attempt("may", &terms.clone().showing(good.clone())).starts_with("250"));
        let without = attempt("may", &terms);
        assert!(without.starts_with("550 5.7.1 Show the certificate"), "{without}");
    }
}

#[test]
fn a_smart_host_is_shown_the_certificate_that_is_meant_for_it() {
    let lab = Lab::new();
    let ours = lab.identity("gateway.test");
    let script = Script::named("smart.test").certificate(lab.identity("smart.test"));
    let partner = lab.partner(script.client_certificates_of(&lab.authority));
    let folder = TempDir::new().expect("a folder");
    write(folder.path(), "gateway", &ours);
    let text = configuration(&format!(
        "{MX}
         trusted-networks 127.0.0.0/8
         certificate gateway {{ file @DIR@/gateway.pem; key @DIR@/gateway.key }}
         hosts {{ smart.test 127.0.0.1 }}
         rules {{
             rule by_the_smart_host {{
                 when all {{ delivery is relaying }}
                 relay-host smart.test:{} certificate gateway
                 relay-encryption required
             }}
         }}",
        partner.address().port()
    ));
    let server = Server::start_in(folder, &text);
    let mut client = server.connect("mx");
    client.expect("EHLO client.example.net", "250");
    let reply = client.message("a@example.net", &["b@outside.test"], "Subject: x\n\nText");
    assert!(reply.starts_with("250"), "{reply}");
    let messages = lab.wait_for(&partner, 1);
    let tls = messages[0].tls.as_ref().expect("TLS");
    assert_eq!(tls.client_certificate.as_deref(), Some(&ours.chain()[0][..]));
}

/// Sends messages one session after another until told to stop; counts those accepted.
fn keep_sending(server: &Server, stop: &AtomicBool, sent: &AtomicUsize) {
    while !stop.load(Ordering::Relaxed) {
        let mut client = server.connect("mx");
        client.hello_under_tls();
        for _ in 0..3 {
            let reply = deliver(&mut client, "under load");
            assert!(reply.starts_with("250"), "{reply}");
            sent.fetch_add(1, Ordering::Relaxed);
        }
        client.expect("QUIT", "221");
    }
}

#[test]
fn a_certificate_is_changed_under_load_without_a_lost_session() {
    let authority = Authority::new("Authority").expect("an authority");
    let folder = TempDir::new().expect("a folder");
    let issue = || authority.issue(&["mail.test"]).expect("a certificate");
    let first = issue();
    write(folder.path(), "mail", &first);
    let text = configuration(
        "certificate files { file @DIR@/mail.pem; key @DIR@/mail.key }
         listener mx { address 127.0.0.1; port 0; tls starttls; certificate files }",
    );
    let server = Server::start_in(folder, &text);
    let (stop, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
    let shown_now = || {
        let mut client = server.connect("mx");
        client.hello_under_tls();
        client.handshake.clone().expect("a handshake").certificate
    };
    let mut open = server.connect("mx");
    open.hello_under_tls();
    assert_eq!(shown_now(), first.chain()[0].to_vec());
    std::thread::scope(|scope| {
        let senders: Vec<_> =
            (0..3).map(|_| scope.spawn(|| keep_sending(&server, &stop, &sent))).collect();
        for _ in 0..4 {
            let next = issue();
            let before = sent.load(Ordering::Relaxed);
            write(server.dir(), "mail", &next);
            server.ok(&["reload"]);
            assert_eq!(shown_now(), next.chain()[0].to_vec());
            assert!(deliver(&mut open, "open all the time").starts_with("250"));
            assert!(wait_for(|| (sent.load(Ordering::Relaxed) > before).then_some(())).is_some());
        }
        // Files that do not belong together change nothing.
        let last = shown_now();
        std::fs::write(server.dir().join("mail.pem"), issue().chain_pem()).expect("written");
        assert!(!server.run(&["reload"]).status.success());
        assert_eq!(shown_now(), last);
        stop.store(true, Ordering::Relaxed);
        for sender in senders {
            sender.join().expect("a session was lost");
        }
    });
    open.expect("QUIT", "221");
    let messages = sent.load(Ordering::Relaxed) + 4;
    server.wait_for_mail("ann@inside.test", messages);
    assert_eq!(server.maildir("ann@inside.test").len(), messages);
}

// ---- changes of the configuration -----------------------------------------------------------

#[test]
fn a_reload_drops_no_session_and_later_transactions_follow_it() {
    let refuses_bob = "rules { rule no_bob { when all { recipient is bob@inside.test }; reject \"Bob has left\" } }";
    let server = Server::start(&configuration(MX));
    let mut open = server.connect("mx");
    open.expect("EHLO client.example.net", "250");
    open.expect("MAIL FROM:<a@example.net>", "250");
    open.expect("RCPT TO:<bob@inside.test>", "250");
    open.expect("DATA", "354");
    open.send(b"Subject: half of it\r\n\r\nbefore, ");
    let address = server.address("mx");

    let other = "listener other { address 127.0.0.1; port 0; tls off }";
    let changed = server.reload(&configuration(&format!("{MX}\n{other}\n{refuses_bob}")));
    assert!(changed.status.success(), "{}", shown(&changed));
    open.expect("after\r\n.", "250");
    open.expect("MAIL FROM:<a@example.net>", "250");
    open.expect("RCPT TO:<bob@inside.test>", "550 5.7.1 Bob has left");
    open.expect("RCPT TO:<ann@inside.test>", "250");
    open.expect("RSET", "250");
    let mail = server.wait_for_mail("bob@inside.test", 1);
    assert!(mail[0].contains("before, after"), "{}", mail[0]);

    // The first listener stays where it was, the second one is there too.
    let mut again = Client::connect(address);
    again.expect("EHLO client.example.net", "250");
    let status = server.ok(&["status"]);
    assert!(status.contains("other"), "{status}");

    // A listener that is gone takes no more, and lets who is there finish.
    let gone = server.reload(&configuration(other));
    assert!(gone.status.success(), "{}", shown(&gone));
    let refused = wait_for(|| TcpStream::connect(address).is_err().then_some(()));
    assert!(refused.is_some(), "{address} still answers");
    assert!(deliver(&mut open, "the last").starts_with("250"));
    again.expect("QUIT", "221");
}

#[test]
fn a_bad_configuration_changes_nothing_when_it_is_reloaded() {
    let server = Server::start(&configuration(MX));
    let mut open = server.connect("mx");
    open.expect("EHLO client.example.net", "250");
    let revision = |server: &Server| {
        let status: serde_json::Value =
            serde_json::from_str(&server.ok(&["status", "--json"])).expect("JSON");
        status["revision"].clone()
    };
    let before = revision(&server);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let extra = "\nlistener extra { address 127.0.0.1; port 0; tls off }\n";
    let no = "rules { rule nobody { reject \"Nobody\" } }";
    let bad = [
        (format!("{MX}\n{no}\nlisten everywhere"), "listen"),
        (
            format!("{MX}\n{no}\nrules {{ rule a {{ when all {{ moon is full }}; accept }} }}"),
            "moon",
        ),
        (format!("{MX}\n{no}\nlistener two {{ address 127.0.0.1; port {port}; tls off }}"), "two"),
        (
            format!("{MX}\n{no}\ncertificate lost {{ file @DIR@/none.pem; key @DIR@/none.key }}"),
            "none.pem",
        ),
    ];
    for (text, named) in bad {
        let output = server.reload(&configuration(&format!("{text}{extra}")));
        assert!(!output.status.success(), "{}", shown(&output));
        assert!(shown(&output).contains(named), "{named}: {}", shown(&output));
        assert!(deliver(&mut open, "as before").starts_with("250"));
        assert_eq!(revision(&server), before);
        assert!(!server.ok(&["status"]).contains("extra"));
        let mut new = server.connect("mx");
        new.expect("EHLO client.example.net", "250");
        new.expect("MAIL FROM:<a@example.net>", "250");
        new.expect("RCPT TO:<ann@inside.test>", "250");
    }
}

#[test]
fn a_signal_reloads_too() {
    let server = Server::start(&configuration(MX));
    let mut open = server.connect("mx");
    open.expect("EHLO client.example.net", "250");
    let text = configuration(&format!("{MX}\nrules {{ rule all {{ reject \"Closed today\" }} }}"));
    let here = server.dir().to_str().expect("a plain name");
    std::fs::write(server.dir().join("mailkeep.conf"), text.replace("@DIR@", here))
        .expect("written");
    let sent =
        std::process::Command::new("kill").args(["-HUP", &server.pid().to_string()]).status();
    assert!(sent.expect("kill").success());
    let closed = wait_for(|| {
        open.expect("RSET", "250");
        let reply = open.say("MAIL FROM:<a@example.net>");
        let reply =
            if reply.starts_with("250") { open.say("RCPT TO:<ann@inside.test>") } else { reply };
        reply.contains("Closed today").then_some(())
    });
    assert!(closed.is_some(), "{}", server.log());
}

// ---- LMTP -----------------------------------------------------------------------------------

#[test]
fn lmtp_answers_for_each_recipient() {
    let server = Server::start(&configuration(
        "listener lmtp { address 127.0.0.1; port 0; protocol lmtp }
         rules {
             rule eve_gets_no_large_mail {
                 when all { recipient is eve@inside.test; message size over 1KB }
                 reject 552 5.2.3 \"Too large for Eve\"
             }
         }",
    ));
    let mut client = server.connect("lmtp");
    client.expect("EHLO front.test", "500 ");
    client.expect("LHLO front.test", "250");
    client.expect("MAIL FROM:<a@example.net>", "250");
    client.expect("RCPT TO:<ann@inside.test>", "250");
    client.expect("RCPT TO:<nobody@mail.test>", "550 5.1.1");
    client.expect("RCPT TO:<eve@inside.test>", "250");
    client.expect("RCPT TO:<bob@inside.test>", "250");
    client.expect("DATA", "354");
    client.send(b"Subject: large\r\n\r\n");
    for _ in 0..40 {
        client.send(b"a line that is long enough to make the message large\r\n");
    }
    client.send(b".\r\n");
    let replies = client.replies(3);
    assert!(replies[0].starts_with("250 2."), "{replies:?}");
    assert!(replies[1].starts_with("552 5.2.3 Too large for Eve"), "{replies:?}");
    assert!(replies[2].starts_with("250 2."), "{replies:?}");
    client.expect("MAIL FROM:<>", "250");
    client.expect("DATA", "5");
    client.expect("QUIT", "221");
    for address in ["ann@inside.test", "bob@inside.test"] {
        let mail = server.wait_for_mail(address, 1);
        assert!(mail[0].contains("with LMTP id"), "{}", mail[0]);
    }
    assert!(server.maildir("eve@inside.test").is_empty());
}

#[test]
fn mail_goes_out_by_lmtp_and_each_recipient_has_its_own_end() {
    let lab = Lab::new();
    let fault = Fault::at(Stage::Content)
        .recipient("full@behind.test")
        .reply("552 5.2.2 This mailbox is full");
    let partner = lab.partner(Script::named("store.test").lmtp().fault(fault));
    let server = Server::start(&configuration(&format!(
        "{MX}\ndomain behind.test {{ deliver-to lmtp 127.0.0.1:{} }}",
        partner.address().port()
    )));
    server.account("sender@mail.test", "correct horse battery staple");
    let mut client = server.connect("mx");
    client.expect("EHLO client.example.net", "250");
    let to = ["ann@behind.test", "full@behind.test", "bob@behind.test"];
    let reply = client.message("sender@mail.test", &to, "Subject: for three\n\n.Text");
    assert!(reply.starts_with("250"), "{reply}");
    let messages = lab.wait_for(&partner, 1);
    assert!(messages[0].text().contains("Subject: for three"));
    assert_eq!(partner.violations(), Vec::<String>::new());
    let notices = server.wait_for_mail_in("data/mail", "sender@mail.test", 1);
    assert!(notices[0].contains("Status: 5.2.2"), "{}", notices[0]);
    assert!(notices[0].contains("Final-Recipient: rfc822; full@behind.test"), "{}", notices[0]);
    assert!(!notices[0].contains("Final-Recipient: rfc822; ann@"), "{}", notices[0]);
    assert!(wait_for(|| server.ok(&["queue", "list"]).contains("Nothing").then_some(())).is_some());
}

// ---- stopping ---------------------------------------------------------------------------------

#[test]
fn a_server_that_stops_lets_a_message_finish_and_says_goodbye() {
    let mut server = Server::start(&configuration(&format!("{MX}\ntimeouts {{ shutdown 10s }}")));
    let mut idle = server.connect("mx");
    idle.expect("EHLO client.example.net", "250");
    let mut busy = server.connect("mx");
    busy.expect("EHLO client.example.net", "250");
    busy.expect("MAIL FROM:<a@example.net>", "250");
    busy.expect("RCPT TO:<ann@inside.test>", "250");
    busy.expect("DATA", "354");
    busy.send(b"Subject: half of it\r\n\r\nbefore, ");
    server.terminate();
    let reply = idle.reply();
    assert!(reply.starts_with("421 "), "{reply}");
    let taken = busy.say("after\r\n.");
    server.wait_until_gone();
    let log = server.log();
    assert!(log.contains("stopping"), "{log}");
    server.restart();
    let mut client = server.connect("mx");
    client.expect("EHLO client.example.net", "250");
    assert!(deliver(&mut client, "the next day").starts_with("250"));
    let expected = if taken.starts_with("250") { 2 } else { 1 };
    let mail = server.wait_for_mail("ann@inside.test", expected);
    assert_eq!(mail.len(), expected, "{taken}\n{mail:?}");
    assert!(taken.starts_with("250") || taken.starts_with("421"), "{taken}");
}
