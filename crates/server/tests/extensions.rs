//! One session over the wire for each extension of SMTP.

mod support;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use lab::Script;
use support::partners::Lab;
use support::tls::Terms;
use support::{Client, Server};

const PASSWORD: &str = "correct horse battery staple";

/// A server for `inside.test`, whose mailboxes are made as mail comes.
fn configuration(more: &str) -> String {
    format!(
        "hostname mail.test\n\
         data @DIR@/data\n\
         certificate mail {{ local-authority; names mail.test }}\n\
         listener mx {{ address 127.0.0.1; port 0; tls starttls; certificate mail }}\n\
         domain inside.test {{ recipients any; deliver-to maildir @DIR@/maildir }}\n\
         domain mail.test {{ mailboxes local }}\n\
         {more}\n"
    )
}

fn start(more: &str) -> Server {
    Server::start(&configuration(more))
}

fn greeted(server: &Server) -> Client {
    let mut client = server.connect("mx");
    client.expect("EHLO client.example.net", "250");
    client
}

/// The keywords that EHLO offers.
fn offers(reply: &str) -> Vec<String> {
    reply.lines().skip(1).map(|line| line[4..].to_owned()).collect()
}

#[test]
fn ehlo_offers_everything_and_helo_nothing() {
    let server = start("");
    let mut client = server.connect("mx");
    let clear = offers(&client.expect("EHLO client.example.net", "250-mail.test"));
    for keyword in [
        "PIPELINING",
        "SIZE 52428800",
        "8BITMIME",
        "SMTPUTF8",
        "DSN",
        "CHUNKING",
        "BINARYMIME",
        "ENHANCEDSTATUSCODES",
        "STARTTLS",
    ] {
        assert!(clear.iter().any(|offer| offer == keyword), "{keyword}: {clear:?}");
    }
    assert!(clear.iter().any(|offer| offer.starts_with("LIMITS ")), "{clear:?}");
    assert!(!clear.iter().any(|offer| offer == "REQUIRETLS"), "{clear:?}");
    client.starttls(&Terms::asking_for("mail.test"));
    let tls = offers(&client.expect("EHLO client.example.net", "250-mail.test"));
    assert!(tls.iter().any(|offer| offer == "REQUIRETLS"), "{tls:?}");
    assert!(tls.iter().any(|offer| offer == "AUTH PLAIN LOGIN"), "{tls:?}");
    assert!(!tls.iter().any(|offer| offer == "STARTTLS"), "{tls:?}");
    let helo = server.connect("mx").expect("HELO client.example.net", "250 mail.test");
    assert_eq!(helo.lines().count(), 1, "{helo}");
}

#[test]
fn the_plain_commands_have_their_replies() {
    let server = start("");
    greeted(&server).transcript(
        "C: NOOP
         S: 250 2.0.0
         C: NOOP whatever it is
         S: 250 2.0.0
         C: HELP
         S: 214 2.0.0
         C: VRFY ann
         S: 252 2.5.0
         C: EXPN list
         S: 502 5.5.1
         C: TURN
         S: 50
         C: WHATEVER
         S: 500 5.5.1
         C: DATA
         S: 503 5.5.1
         C: RCPT TO:<a@inside.test>
         S: 503 5.5.1
         C: MAIL FROM:<a@example.net>
         S: 250 2.1.0
         C: MAIL FROM:<a@example.net>
         S: 503 5.5.1
         C: RCPT TO:<nobody@mail.test>
         S: 550 5.1.1
         C: RSET
         S: 250 2.0.0
         C: RCPT TO:<a@inside.test>
         S: 503 5.5.1
         C: QUIT
         S: 221 2.0.0",
    );
}

#[test]
fn pipelined_commands_are_answered_in_order() {
    let server = start("");
    let mut client = greeted(&server);
    client.send(
        b"MAIL FROM:<a@example.net>\r\nRCPT TO:<one@inside.test>\r\nRCPT TO:<x@elsewhere.test>\r\n\
          RCPT TO:<two@inside.test>\r\nDATA\r\n",
    );
    let replies = client.replies(5);
    let codes: Vec<&str> = replies.iter().map(|reply| &reply[..9]).collect();
    assert_eq!(codes[..4], ["250 2.1.0", "250 2.1.5", "550 5.7.1", "250 2.1.5"]);
    assert!(codes[4].starts_with("354 "), "{codes:?}");
    client.send(b"Subject: a group\r\n\r\nText\r\n.\r\nMAIL FROM:<>\r\nRSET\r\nNOOP\r\nQUIT\r\n");
    let replies = client.replies(5);
    let codes: Vec<&str> = replies.iter().map(|reply| &reply[..9]).collect();
    assert_eq!(codes, ["250 2.0.0", "250 2.1.0", "250 2.0.0", "250 2.0.0", "221 2.0.0"]);
    assert_eq!(client.rest(), "");
    server.wait_for_mail("one@inside.test", 1);
    server.wait_for_mail("two@inside.test", 1);
}

#[test]
fn size_is_kept_to_whether_it_was_declared_or_not() {
    let server = start("limits { message 20KB; line 2000 }");
    let mut client = server.connect("mx");
    let offered = offers(&client.expect("EHLO client.example.net", "250"));
    assert!(offered.iter().any(|offer| offer == "SIZE 20480"), "{offered:?}");
    client.expect("MAIL FROM:<a@example.net> SIZE=20481", "552 5.3.4");
    client.expect("MAIL FROM:<a@example.net> SIZE=many", "501 ");
    client.expect("MAIL FROM:<a@example.net> SIZE=20480", "250");
    client.expect("RSET", "250");
    let large = format!("Subject: large\n\n{}", "a line of text that is quite long\n".repeat(700));
    let reply = client.message("a@example.net", &["ann@inside.test"], &large);
    assert!(reply.starts_with("552 5.3.4"), "{reply}");
    let reply = client.message("a@example.net", &["ann@inside.test"], "Subject: small\n\nText");
    assert!(reply.starts_with("250 2.0.0"), "{reply}");
    client.expect("QUIT", "221");
    let mail = server.wait_for_mail("ann@inside.test", 1);
    assert!(mail[0].contains("Subject: small"), "{}", mail[0]);
}

/// What was stored of a message after the fields that Mailkeep put before it.
fn stored(server: &Server, address: &str) -> Vec<u8> {
    server.wait_for_mail(address, 1);
    let content = server.contents_in("maildir", address).remove(0);
    let began = b"X-Begin: here";
    let at = content.windows(began.len()).position(|window| window == began);
    content[at.expect("the message's own header")..].to_vec()
}

#[test]
fn eight_bit_content_is_kept_octet_by_octet() {
    let server = start("");
    let mut client = greeted(&server);
    client.expect("MAIL FROM:<a@example.net> BODY=8BITMIME", "250");
    client.expect("RCPT TO:<ann@inside.test>", "250");
    client.expect("DATA", "354");
    let mut content = b"X-Begin: here\r\nContent-Transfer-Encoding: 8bit\r\n\r\n".to_vec();
    content.extend((1..=255u8).filter(|octet| !b"\r\n".contains(octet)));
    content.extend(b"\r\n");
    client.send(&content);
    client.expect(".", "250 2.0.0");
    assert_eq!(unix(&stored(&server, "ann@inside.test")), unix(&content));
    client.expect("MAIL FROM:<a@example.net> BODY=9BIT", "501 ");
}

/// Lines ended as a Maildir may end them.
fn unix(content: &[u8]) -> Vec<u8> {
    let text: Vec<u8> = content.to_vec();
    let mut lines = Vec::with_capacity(text.len());
    let mut octets = text.iter().copied().peekable();
    while let Some(octet) = octets.next() {
        if octet != b'\r' || octets.peek() != Some(&b'\n') {
            lines.push(octet);
        }
    }
    lines
}

#[test]
fn international_addresses_need_smtputf8_and_get_it() {
    let server = start("");
    let mut client = greeted(&server);
    client.expect("MAIL FROM:<b\u{fc}cher@example.net>", "553 5.6.7");
    client.expect("MAIL FROM:<a@example.net>", "250");
    client.expect("RCPT TO:<\u{3b4}\u{3bf}\u{3ba}@inside.test>", "553 5.6.7");
    client.expect("RSET", "250");
    client.expect("MAIL FROM:<b\u{fc}cher@example.net> SMTPUTF8", "250");
    client.expect("RCPT TO:<\u{3b4}\u{3bf}\u{3ba}@inside.test>", "250");
    client.expect("DATA", "354");
    client.send("Subject: Gr\u{fc}\u{df}e\r\n\r\nText\r\n".as_bytes());
    client.expect(".", "250");
    // A folder's name is ASCII, whatever the mailbox's is.
    let mail = server.wait_for_mail("%CE%B4%CE%BF%CE%BA@inside.test", 1);
    assert!(mail[0].contains("Gr\u{fc}\u{df}e"), "{}", mail[0]);
    assert!(mail[0].contains("with UTF8SMTP id"), "{}", mail[0]);
}

#[test]
fn a_delivery_notification_is_sent_when_success_is_asked_for() {
    let server = start("");
    server.account("ann@mail.test", PASSWORD);
    let mut client = greeted(&server);
    client.expect("MAIL FROM:<ann@mail.test> RET=HDRS ENVID=QQ314159", "250");
    client.expect(
        "RCPT TO:<bob@inside.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Bob+2Btag@elsewhere.test",
        "250",
    );
    client.expect("RCPT TO:<eve@inside.test> NOTIFY=NEVER", "250");
    client.expect("DATA", "354");
    client.send(b"Subject: tell me\r\n\r\nA secret text\r\n");
    client.expect(".", "250");
    let notices = server.wait_for_mail_in("data/mail", "ann@mail.test", 1);
    let notice = &notices[0];
    for line in [
        "Original-Envelope-Id: QQ314159",
        "Original-Recipient: rfc822; Bob+tag@elsewhere.test",
        "Final-Recipient: rfc822; bob@inside.test",
        "Action: delivered",
        "Status: 2.",
    ] {
        assert!(notice.contains(line), "{line}:\n{notice}");
    }
    for secret in ["A secret text", "eve@", "Remote-MTA"] {
        assert!(!notice.contains(secret), "{secret}:\n{notice}");
    }
    for wrong in ["RET=SOME", "ENVID=+3", "ENVID=", "RET"] {
        client.expect(&format!("MAIL FROM:<a@example.net> {wrong}"), "501 ");
    }
    client.expect("MAIL FROM:<a@example.net>", "250");
    for wrong in ["NOTIFY=NEVER,SUCCESS", "NOTIFY=MAYBE", "ORCPT=bob", "NOTIFY="] {
        client.expect(&format!("RCPT TO:<bob@inside.test> {wrong}"), "501 ");
    }
}

#[test]
fn chunks_are_taken_as_they_are_and_dots_mean_nothing_in_them() {
    let server = start("");
    let mut client = greeted(&server);
    let content = b"X-Begin: here\r\n\r\n.\r\n..\r\n.two\r\n\r\n.\r\nQUIT\r\n";
    client.expect("MAIL FROM:<a@example.net>", "250");
    client.expect("RCPT TO:<ann@inside.test>", "250");
    // Everything at once: commands and chunks in one write (RFC 3030 section 4.2).
    let mut wire = format!("BDAT {}\r\n", 20).into_bytes();
    wire.extend(&content[..20]);
    wire.extend(b"BDAT 0\r\n");
    wire.extend(format!("BDAT {} LAST\r\n", content.len() - 20).as_bytes());
    wire.extend(&content[20..]);
    wire.extend(b"NOOP\r\n");
    client.send(&wire);
    let replies = client.replies(4);
    assert!(replies.iter().all(|reply| reply.starts_with("250 2.0.0")), "{replies:?}");
    assert_eq!(unix(&stored(&server, "ann@inside.test")), unix(content));

    client.expect("MAIL FROM:<a@example.net>", "250");
    client.expect("RCPT TO:<ann@inside.test>", "250");
    client.send(b"BDAT 5\r\nabc\r\n");
    client.reply();
    client.expect("DATA", "503 ");
    client.expect("RSET", "250");
    client.send(b"BDAT 4 LAST\r\nab\r\n");
    let reply = client.reply();
    assert!(reply.starts_with("503 "), "{reply}");
    client.expect("NOOP", "250");
}

#[test]
fn binary_content_comes_in_chunks_only() {
    let server = start("");
    let mut client = greeted(&server);
    client.expect("MAIL FROM:<a@example.net> BODY=BINARYMIME", "250");
    client.expect("RCPT TO:<ann@inside.test>", "250");
    client.expect("DATA", "503 ");
    client.expect("RSET", "250");
    let mut content = b"X-Begin: here\r\nContent-Transfer-Encoding: binary\r\n\r\n".to_vec();
    content.extend([0, 1, 2, b'\r', 3, b'\n', 4, 0xff, 0x80, b'\r', b'\n', b'.', b'\r', b'\n']);
    content.extend([b'x'; 3000]);
    client.expect("MAIL FROM:<a@example.net> BODY=BINARYMIME", "250");
    client.expect("RCPT TO:<ann@inside.test>", "250");
    client.send(format!("BDAT {} LAST\r\n", content.len()).as_bytes());
    client.send(&content);
    let reply = client.reply();
    assert!(reply.starts_with("250 2.0.0"), "{reply}");
    let kept = stored(&server, "ann@inside.test");
    let tail = &content[content.len() - 3000 - 9..];
    assert!(kept.windows(tail.len()).any(|window| window == tail) || unix(&kept) == unix(&content));
}

#[test]
fn replies_carry_enhanced_status_codes() {
    let server = start("");
    let mut client = greeted(&server);
    for (command, status) in [
        ("NOOP", "250 2.0.0 "),
        ("MAIL FROM:<a@example.net> WHAT=ever", "555 5.5.4 "),
        ("MAIL FROM:a@", "501 5."),
        ("MAIL FROM:<a@example.net>", "250 2.1.0 "),
        ("RCPT TO:<x@elsewhere.test>", "550 5.7.1 "),
        ("RCPT TO:<nobody@mail.test>", "550 5.1.1 "),
        ("DATA", "554 5.5.1 "),
        ("RSET", "250 2.0.0 "),
        ("VRFY x", "252 2.5.0 "),
        ("QUIT", "221 2.0.0 "),
    ] {
        let reply = client.say(command);
        assert!(reply.starts_with(status), "{command}: expected {status}, got {reply}");
    }
}

fn login(text: &str) -> String {
    BASE64_STANDARD.encode(text)
}

#[test]
fn clients_sign_in_by_plain_and_by_login() {
    let server = start("");
    server.account("ann@mail.test", PASSWORD);
    let good = login(&format!("\0ann@mail.test\0{PASSWORD}"));
    let user = login("ann@mail.test");
    let password = login(PASSWORD);
    let sessions = [
        format!("C: AUTH PLAIN {good}\nS: 235 2.7.0"),
        format!("C: AUTH PLAIN\nS: 334\nC: {good}\nS: 235 2.7.0"),
        format!(
            "C: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: {user}\nS: 334 UGFzc3dvcmQ6\nC: {password}\nS: 235 2.7.0"
        ),
        format!("C: AUTH LOGIN {user}\nS: 334 UGFzc3dvcmQ6\nC: {password}\nS: 235 2.7.0"),
        format!("C: auth plain {good}\nS: 235 2.7.0\nC: AUTH PLAIN {good}\nS: 503 5.5.1"),
        "C: AUTH PLAIN\nS: 334\nC: *\nS: 501 5.7.0\nC: NOOP\nS: 250".to_owned(),
        "C: AUTH LOGIN\nS: 334\nC: *\nS: 501 5.7.0\nC: NOOP\nS: 250".to_owned(),
        "C: AUTH PLAIN not!base64\nS: 501 5.5.2".to_owned(),
        "C: AUTH CRAM-MD5\nS: 504 5.5.4".to_owned(),
        format!("C: AUTH PLAIN {}\nS: 535 5.7.8", login("\0ann@mail.test\0wrong password")),
        format!("C: AUTH PLAIN {}\nS: 535 5.7.8", login("\0eve@mail.test\0correct horse")),
        "C: MAIL FROM:<a@example.net>\nS: 250\nC: AUTH PLAIN\nS: 503 5.5.1".to_owned(),
    ];
    for session in sessions {
        let mut client = server.connect("mx");
        client.hello_under_tls();
        client.transcript(&session);
    }
    greeted(&server).expect(&format!("AUTH PLAIN {good}"), "5");
}

#[test]
fn a_signed_in_client_is_named_in_received_but_not_its_address() {
    let server = start("");
    server.account("ann@mail.test", PASSWORD);
    let mut client = server.connect("mx");
    client.hello_under_tls();
    assert!(client.sign_in("ann@mail.test", PASSWORD).starts_with("235"));
    client.message("ann@mail.test", &["bob@inside.test"], "Subject: hello\n\nText");
    let mail = server.wait_for_mail("bob@inside.test", 1);
    assert!(mail[0].contains("with\n\tESMTPSA") || mail[0].contains("with ESMTPSA"), "{}", mail[0]);
    assert!(!mail[0].contains("127.0.0.1"), "{}", mail[0]);
}

#[test]
fn starttls_forgets_everything_that_was_said_before() {
    let server = start("");
    let mut client = greeted(&server);
    client.expect("STARTTLS now", "501 5.5.4");
    client.expect("MAIL FROM:<a@example.net>", "250");
    client.expect("RCPT TO:<ann@inside.test>", "250");
    client.expect("STARTTLS", "503 5.5.1");
    client.expect("RSET", "250");
    client.starttls(&Terms::asking_for("mail.test"));
    client.expect("MAIL FROM:<a@example.net>", "503 5.5.1");
    client.expect("EHLO client.example.net", "250");
    client.expect("STARTTLS", "50");
    let reply = client.message("a@example.net", &["ann@inside.test"], "Subject: x\n\nText");
    assert!(reply.starts_with("250"), "{reply}");
    let mail = server.wait_for_mail("ann@inside.test", 1);
    assert!(mail[0].contains("ESMTPS"), "{}", mail[0]);
    assert!(mail[0].contains("(TLS 1.3)"), "{}", mail[0]);
}

#[test]
fn commands_smuggled_behind_starttls_end_the_session() {
    let server = start("");
    let mut client = greeted(&server);
    client.send(b"STARTTLS\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<ann@inside.test>\r\n");
    let rest = client.rest();
    assert!(!rest.contains("250"), "{rest}");
    assert!(rest.contains("421 ") || rest.is_empty(), "{rest}");
    let log = support::wait_for(|| Some(server.log()).filter(|log| log.contains("security: ")));
    assert!(log.is_some(), "{}", server.log());
}

#[test]
fn tls_1_2_is_spoken_with_whoever_has_nothing_newer() {
    let server = start("");
    let mut client = greeted(&server);
    client.starttls(&Terms::asking_for("mail.test").tls12());
    let seen = client.handshake.clone().expect("a handshake");
    assert_eq!(seen.version, "TLSv1_2");
    assert!(seen.suite.contains("ECDHE"), "{}", seen.suite);
    client.expect("EHLO client.example.net", "250");
}

#[test]
fn requiretls_is_offered_under_tls_and_followed_on_the_way_out() {
    let lab = Lab::new();
    let able = lab.partner(
        Script::named("mx.able.test").certificate(lab.identity("mx.able.test")).extensions(&[
            "PIPELINING",
            "8BITMIME",
            "ENHANCEDSTATUSCODES",
            "REQUIRETLS",
        ]),
    );
    let unable =
        lab.partner(Script::named("mx.unable.test").certificate(lab.identity("mx.unable.test")));
    let folder = tempfile::TempDir::new().expect("a folder");
    std::fs::write(folder.path().join("ca.pem"), lab.authority.pem()).expect("written");
    let text = configuration(&format!(
        "trusted-networks 127.0.0.0/8\nca-bundle @DIR@/ca.pem\n\
         hosts {{ mx.able.test 127.0.0.1; mx.unable.test 127.0.0.1 }}\n\
         mx {{ able.test mx.able.test:{}; unable.test mx.unable.test:{} }}",
        able.address().port(),
        unable.address().port()
    ));
    let server = Server::start_in(folder, &text);
    server.account("ann@mail.test", PASSWORD);
    greeted(&server).expect("MAIL FROM:<ann@mail.test> REQUIRETLS", "530 5.7.");
    let mut client = server.connect("mx");
    assert!(offers(&client.hello_under_tls()).contains(&"REQUIRETLS".to_owned()));
    for to in ["bob@able.test", "bob@unable.test"] {
        client.expect("MAIL FROM:<ann@mail.test> REQUIRETLS", "250");
        client.expect(&format!("RCPT TO:<{to}>"), "250");
        client.expect("DATA", "354");
        client.expect("Subject: only so\r\n\r\nText\r\n.", "250");
    }
    let taken = lab.wait_for(&able, 1);
    assert!(taken[0].sender_parameters.contains(&"REQUIRETLS".to_owned()), "{taken:?}");
    let notices = server.wait_for_mail_in("data/mail", "ann@mail.test", 1);
    assert!(notices[0].contains("unable.test"), "{}", notices[0]);
    assert!(notices[0].contains("Status: 5.7.30"), "{}", notices[0]);
    assert_eq!(unable.complete_messages().len(), 0);
}

#[test]
fn limits_are_announced_and_kept_to() {
    let server = start("limits { recipients 3; messages-per-connection 2 }");
    let mut client = server.connect("mx");
    let offered = offers(&client.expect("EHLO client.example.net", "250"));
    let limits = offered.iter().find(|offer| offer.starts_with("LIMITS ")).expect("LIMITS");
    assert!(limits.contains("RCPTMAX=3") && limits.contains("MAILMAX=2"), "{limits}");
    client.expect("MAIL FROM:<a@example.net>", "250");
    for number in 1..=3 {
        client.expect(&format!("RCPT TO:<r{number}@inside.test>"), "250");
    }
    client.expect("RCPT TO:<r4@inside.test>", "452 4.5.3");
    client.expect("DATA", "354");
    client.expect("Subject: three\r\n\r\nText\r\n.", "250");
    let reply = client.message("a@example.net", &["r1@inside.test"], "Subject: two\n\nText");
    assert!(reply.starts_with("250"), "{reply}");
    let reply = client.say("MAIL FROM:<a@example.net>");
    assert!(reply.starts_with("421 ") || reply.starts_with("452 "), "{reply}");
    server.wait_for_mail("r1@inside.test", 2);
}

#[test]
fn what_a_listener_is_without_is_neither_offered_nor_taken() {
    let text = configuration("").replace(
        "certificate mail }\ndomain",
        "certificate mail; without pipelining size 8bitmime smtputf8 dsn chunking binarymime \
         enhancedstatuscodes requiretls limits vrfy }\ndomain",
    );
    let server = Server::start(&text);
    let mut client = server.connect("mx");
    let offered = offers(&client.expect("EHLO client.example.net", "250"));
    assert_eq!(offered, ["STARTTLS"]);
    client.transcript(
        "C: MAIL FROM:<a@example.net> BODY=8BITMIME
         S: 555
         C: MAIL FROM:<a@example.net> SIZE=10
         S: 555
         C: MAIL FROM:<a@example.net> RET=HDRS
         S: 555
         C: MAIL FROM:<a@example.net> SMTPUTF8
         S: 555
         C: BDAT 0 LAST
         S: 502
         C: VRFY ann
         S: 502
         C: MAIL FROM:<a@example.net>
         S: 250
         C: RSET
         S: 250",
    );
    client.starttls(&Terms::asking_for("mail.test"));
    let offered = offers(&client.expect("EHLO client.example.net", "250"));
    assert_eq!(offered, ["AUTH PLAIN LOGIN"]);
}
