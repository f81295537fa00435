//! Mail with other people's servers and clients, both ways, under TLS with proven
//! certificates: Debian's Postfix and Exim, and Python's `smtplib`.

#![allow(dead_code, reason = "each test uses its part of the support")]

mod support;

#[path = "support/mta.rs"]
mod mta;

use std::fs;
use std::process::Command;

use mta::{Mta, Other, free_port};
use support::examples::root;
use support::partners::Lab;
use support::peers::{program, run};
use support::tls::Terms;
use support::{Client, Server, wait_for};
use tempfile::TempDir;

const PASSWORD: &str = "correct horse battery staple";
const OURS: &str = "keep.test";
const HOST: &str = "mail.keep.test";

/// A server that sends mail for `postfix.test` and `exim.test` only to their proven hosts.
fn start(lab: &Lab, postfix: u16, exim: u16) -> Server {
    let folder = TempDir::new().expect("a temporary folder");
    let identity = lab.authority.issue(&[HOST, "localhost"]).expect("a certificate");
    for (name, text) in [
        ("authority.pem", lab.authority.pem()),
        ("chain.pem", identity.chain_pem().to_owned()),
        ("key.pem", identity.key_pem().to_owned()),
    ] {
        fs::write(folder.path().join(name), text).expect("a file is written");
    }
    let server = Server::start_in(
        folder,
        &format!(
            "
            hostname  {HOST}
            data      @DIR@/data
            trusted-networks 127.0.0.1/32
            ca-bundle @DIR@/authority.pem
            certificate mail {{ file @DIR@/chain.pem; key @DIR@/key.pem }}
            listener mx {{ address 127.0.0.1; port 0; tls starttls; certificate mail }}
            listener submission {{
                address 127.0.0.1; port 0; protocol submission; tls starttls
                certificate mail; auth required
            }}
            listener smtps {{
                address 127.0.0.1; port 0; protocol submission; tls implicit
                certificate mail; auth required
            }}
            domain {OURS} {{ mailboxes local }}
            hosts {{ mx.postfix.test 127.0.0.1; mx.exim.test 127.0.0.1 }}
            mx {{ postfix.test mx.postfix.test:{postfix}; exim.test mx.exim.test:{exim} }}
            delivery {{ default-encryption verified }}
            queue {{ retry 500ms 1s 2s; jitter 0 }}
            "
        ),
    );
    server.account("ann@keep.test", PASSWORD);
    server
}

/// What other servers know of ours.
fn known(server: &Server) -> Other {
    Other { domain: OURS, host: HOST, address: server.address("mx") }
}

/// Messages that are easily bent on the way. Each has its number in the subject.
fn difficult() -> Vec<Vec<u8>> {
    let bodies: [&[u8]; 7] = [
        b"Plain words.\r\n",
        // Dots at the beginnings of lines, and what looks like an end.
        b".\r\n..\r\n...\r\n.QUIT\r\n. \r\n\r\n.\r\n",
        "Grüße, 8bit: ÄÖÜ 日本語\r\n".as_bytes(),
        // White space at the ends of lines and of the message.
        b"trailing \t \r\n\t\r\n  \r\n\r\n\r\n",
        b"",
        b"From the start of a line\r\n>From quoted\r\n--\r\n-- \r\n",
        b"latin \xe9\xfc\xdf, and a control\x07 character\r\n",
    ];
    let long_lines = [vec![b'x'; 998], b"\r\n".to_vec(), vec![b'y'; 997]].concat();
    let large =
        b"0123456789abcdefghijklmnopqrstuvwxyz, line by line, to the end\r\n".repeat(16_000);
    let more = [[long_lines, b"\r\n".to_vec()].concat(), large];
    let bodies = bodies.iter().map(|body| body.to_vec()).chain(more);
    let message = |(number, body): (usize, Vec<u8>)| {
        let head = format!(
            "From: Somebody <somebody@elsewhere.test>\r\n\
             To: Friends: a@x.test,\r\n\tb@x.test;\r\n\
             Subject: difficult {number}\r\n\
             Date: Sun, 22 Nov 2026 12:00:00 +0000\r\n\
             Message-ID: <difficult-{number}@elsewhere.test>\r\n\
             X-Folded: one\r\n  two\r\n\tthree\r\n\
             MIME-Version: 1.0\r\n\
             Content-Type: text/plain; charset=utf-8\r\n\
             Content-Transfer-Encoding: 8bit\r\n\r\n"
        );
        [head.into_bytes(), body].concat()
    };
    bodies.enumerate().map(message).collect()
}

/// Maildir has LF where the wire has CRLF.
fn as_stored(message: &[u8]) -> Vec<u8> {
    let mut stored = Vec::with_capacity(message.len());
    for (at, &octet) in message.iter().enumerate() {
        if octet != b'\r' || message.get(at + 1) != Some(&b'\n') {
            stored.push(octet);
        }
    }
    stored
}

/// Asserts that `stored` is the message with nothing but trace fields before it, and gives those.
fn fields_before(stored: &[u8], message: &[u8]) -> String {
    let wanted = as_stored(message);
    let begins = stored.len().checked_sub(wanted.len());
    let begins = begins.filter(|&at| stored[at..] == wanted).unwrap_or_else(|| {
        let shown = |octets: &[u8]| {
            let end = octets.len().min(3_000);
            String::from_utf8_lossy(&octets[..end]).into_owned()
        };
        panic!("sent:\n{}\nstored:\n{}", shown(&wanted), shown(stored))
    });
    let before = String::from_utf8(stored[..begins].to_vec()).expect("trace fields are text");
    for line in before.lines().filter(|line| !line.starts_with([' ', '\t'])) {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        assert!(TRACE_FIELDS.contains(&name.as_str()), "{line}");
    }
    before
}

/// What servers write before a message.
const TRACE_FIELDS: [&str; 8] = [
    "return-path",
    "delivered-to",
    "x-original-to",
    "received",
    "envelope-to",
    "delivery-date",
    "authentication-results",
    "received-spf",
];

/// Sends from a session that has said EHLO.
fn send(client: &mut Client, from: &str, to: &str, content: &[u8]) {
    client.expect(&format!("MAIL FROM:<{from}> BODY=8BITMIME"), "250");
    client.expect(&format!("RCPT TO:<{to}>"), "250");
    client.expect("DATA", "354");
    for line in content.split_inclusive(|&octet| octet == b'\n') {
        let dot: &[u8] = if line.starts_with(b".") { b"." } else { b"" };
        client.send(&[dot, line].concat());
    }
    client.expect(".", "250");
}

/// A session with a peer, under TLS.
fn session(mta: &Mta) -> Client {
    let mut client = Client::connect(mta.address);
    client.expect("EHLO client.test", "250");
    client.starttls(&Terms::asking_for(&format!("mx.{}", mta.domain)));
    client.expect("EHLO client.test", "250");
    client
}

/// Every difficult message, to the peer and from it.
fn exchange(server: &Server, mta: &Mta, encrypted: &str) {
    let messages = difficult();
    let mut ours = server.connect("mx");
    ours.expect("EHLO client.test", "250");
    let mut theirs = session(mta);
    for message in &messages {
        send(&mut ours, "ann@keep.test", &mta.mailbox(), message);
        send(&mut theirs, &mta.mailbox(), "ann@keep.test", message);
    }
    for (number, message) in messages.iter().enumerate() {
        let subject = format!("Subject: difficult {number}\n");
        let there = mta.wait_for_mail(subject.as_bytes());
        let before = fields_before(&there, message);
        assert!(before.contains(encrypted), "{before}");
        assert!(before.contains("by mail.keep.test"), "{before}");

        let find = || {
            let mut mail = server.contents_in("data/mail", "ann@keep.test").into_iter();
            mail.find(|mail| String::from_utf8_lossy(mail).contains(&subject))
        };
        let here = wait_for(find).unwrap_or_else(|| panic!("no {subject}\n{}", mta.log()));
        let before = fields_before(&here, message);
        assert!(before.contains("with ESMTPS") && before.contains("(TLS 1.3)"), "{before}");
        assert!(before.contains(&format!("by mx.{}", mta.domain)), "{before}");
    }
    assert_eq!(mta.mail().len(), messages.len(), "{}", mta.log());
    let evidence = server.ok(&["evidence", "export"]);
    let attempts = evidence.lines().filter(|line| line.contains("attempted"));
    let there = format!("mx.{}", mta.domain);
    let proven = attempts.filter(|line| line.contains("PROVEN") && line.contains(&there)).count();
    assert_eq!(proven, messages.len(), "{evidence}");
}

/// A notification in Ann's mailbox that has `words` in it.
fn notice(server: &Server, words: &str) -> String {
    let find = || {
        let mail = server.maildir_in("data/mail", "ann@keep.test");
        mail.into_iter().find(|mail| mail.contains("multipart/report") && mail.contains(words))
    };
    wait_for(find).unwrap_or_else(|| {
        panic!("{:?}\n{}", server.maildir_in("data/mail", "ann@keep.test"), server.log())
    })
}

/// Failure and success reported in both directions.
fn notify(server: &Server, mta: &Mta) {
    // What the peer refuses becomes a notice of ours, which Python can read.
    let nobody = format!("nobody@{}", mta.domain);
    let mut ours = server.connect("mx");
    ours.expect("EHLO client.test", "250");
    ours.expect("MAIL FROM:<ann@keep.test> RET=HDRS ENVID=QQ314159", "250");
    ours.expect(&format!("RCPT TO:<{nobody}> NOTIFY=FAILURE"), "250");
    ours.expect("DATA", "354");
    ours.send(b"From: <ann@keep.test>\r\nTo: <x@x.test>\r\nSubject: to nobody\r\n\r\nhello\r\n");
    ours.expect(".", "250");
    let told = notice(server, &nobody);
    let file = server.dir().join(format!("notice-{}.eml", mta.domain));
    fs::write(&file, told.replace('\n', "\r\n")).expect("the notice is written");
    let script = root().join("tests/interop/dsn_parse.py");
    run(Command::new(program("python3")).arg(script).arg(&file)).ok();
    assert!(told.contains("Action: failed") && told.contains("Status: 5."), "{told}");

    // What the peer delivers it reports itself, when the sender asked for that.
    ours.expect("MAIL FROM:<ann@keep.test> ENVID=QQ271828", "250");
    ours.expect(&format!("RCPT TO:<{}> NOTIFY=SUCCESS", mta.mailbox()), "250");
    ours.expect("DATA", "354");
    ours.send(b"From: <ann@keep.test>\r\nSubject: tell me\r\n\r\nhello\r\n");
    ours.expect(".", "250");
    let told = notice(server, "QQ271828");
    assert!(told.contains("Action: delivered"), "{told}");
    assert!(told.contains(&format!("Reporting-MTA: dns; mx.{}", mta.domain)), "{told}");

    // What we refuse the peer returns to its sender, with our reply.
    let mut theirs = session(mta);
    send(
        &mut theirs,
        &mta.mailbox(),
        "nobody@keep.test",
        b"Subject: to nobody here\r\n\r\nhello\r\n",
    );
    let returned = mta.wait_for_mail(b"550 5.1.1");
    let returned = String::from_utf8_lossy(&returned).into_owned();
    assert!(returned.contains("nobody@keep.test"), "{returned}");
}

#[test]
fn mail_passes_both_ways_with_postfix_over_tls_and_nothing_of_it_changes() {
    let lab = Lab::new();
    let port = free_port();
    let server = start(&lab, port, 1);
    let postfix = Mta::postfix(&lab, port, &known(&server));
    exchange(&server, &postfix, "(using TLSv1.3 with cipher");
    notify(&server, &postfix);
}

#[test]
fn mail_passes_both_ways_with_exim_over_tls_and_nothing_of_it_changes() {
    let lab = Lab::new();
    let port = free_port();
    let server = start(&lab, 1, port);
    let exim = Mta::exim(&lab, port, &known(&server));
    exchange(&server, &exim, "with esmtps  (TLS1.3)");
    notify(&server, &exim);
}

#[test]
fn a_proven_certificate_is_asked_of_postfix_and_by_it() {
    let (lab, other) = (Lab::new(), Lab::new());
    let port = free_port();
    let server = start(&lab, port, 1);
    // This Postfix is of another authority, and believes only that one.
    let postfix = Mta::postfix(&other, port, &known(&server));
    let mut ours = server.connect("mx");
    ours.expect("EHLO client.test", "250");
    send(&mut ours, "ann@keep.test", &postfix.mailbox(), b"Subject: secret\r\n\r\nsecret\r\n");
    let waits = wait_for(|| {
        let told = server.ok(&["evidence", "export"]);
        (told.contains("attempted") && told.contains("NOT SENT")).then_some(())
    });
    assert!(waits.is_some(), "{}\n{}", server.ok(&["queue", "list"]), server.log());
    assert!(server.ok(&["queue", "list"]).contains(&postfix.mailbox()));
    assert!(!postfix.log().contains("from=<ann@keep.test>"), "{}", postfix.log());

    send(&mut session(&postfix), &postfix.mailbox(), "ann@keep.test", b"Subject: x\r\n\r\nx\r\n");
    let refused = wait_for(|| {
        let log = postfix.log();
        log.contains("Server certificate not verified").then_some(())
    });
    assert!(refused.is_some(), "{}", postfix.log());
    assert!(server.maildir_in("data/mail", "ann@keep.test").is_empty());
}

#[test]
fn pythons_smtplib_submits_under_tls_and_its_message_arrives_as_it_was_written() {
    let lab = Lab::new();
    let server = start(&lab, 1, 2);
    let script = root().join("tests/interop/smtplib_client.py");
    let ran = run(Command::new(program("python3"))
        .arg(script)
        .args(["--submission", &server.address("submission").port().to_string()])
        .args(["--smtps", &server.address("smtps").port().to_string()])
        .args(["--user", "ann@keep.test"])
        .arg("--authority")
        .arg(server.dir().join("authority.pem"))
        .arg("--written")
        .arg(server.dir())
        .env("SMTP_PASSWORD", PASSWORD));
    let said = ran.ok();
    assert!(said.contains("ok  submission") && said.contains("ok  smtps"), "{said}");
    let stored = {
        server.wait_for_mail_in("data/mail", "ann@keep.test", 2);
        server.contents_in("data/mail", "ann@keep.test")
    };
    assert_eq!(stored.len(), 2);
    for way in ["submission", "smtps"] {
        let written = fs::read(server.dir().join(way)).expect("what Python sent");
        let subject = format!("Subject: by {way}");
        let stored = stored.iter().find(|mail| String::from_utf8_lossy(mail).contains(&subject));
        let before = fields_before(stored.expect("the message"), &written);
        assert!(before.contains("with UTF8SMTPSA") || before.contains("with ESMTPSA"), "{before}");
    }
}
