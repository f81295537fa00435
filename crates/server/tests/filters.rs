//! The real binary with real filters: opendkim, clamd, Rspamd, spamd; and with bad milters.

mod support;

use std::time::{Duration, Instant};

use support::filters::{
    Deed, DkimKey, EICAR, GTUBE, Scripted, clamav_milter, clamd, free_port, opendkim, packet,
    rspamd, rspamd_milter, spamd,
};
use support::tls::Terms;
use support::{Client, Server, wait_for};

const PASSWORD: &str = "correct horse battery staple";

/// A server for `inside.test`, with a port for other servers and one for people.
fn start(more: &str) -> Server {
    Server::start(&format!(
        "hostname mail.test\n\
         data @DIR@/data\n\
         certificate mail {{ local-authority; names mail.test }}\n\
         listener mx {{ address 127.0.0.1; port 0; tls off }}\n\
         listener submission {{ protocol submission; address 127.0.0.1; port 0; tls starttls; \
             certificate mail }}\n\
         domain inside.test {{ recipients any; deliver-to maildir @DIR@/maildir }}\n\
         domain clinic.test {{ mailboxes local }}\n\
         {more}\n"
    ))
}

fn greeted(server: &Server) -> Client {
    let mut client = server.connect("mx");
    client.expect("EHLO client.example.net", "250");
    client
}

/// A message with these words; its reply.
fn send(server: &Server, words: &str) -> String {
    let content = format!(
        "From: ann@example.net\nTo: bob@inside.test\nSubject: words\n\
         Date: Mon, 02 Mar 2026 10:00:00 +0000\nMessage-ID: <1@example.net>\n\n{words}\n"
    );
    greeted(server).message("ann@example.net", &["bob@inside.test"], &content)
}

#[test]
fn clamd_finds_a_virus_on_the_way_in_and_on_the_way_out() {
    let clamd = clamd();
    let server = start(&format!(
        "scanner clam {{ type clamd; at {} }}\nscanning {{ headers on }}",
        clamd.at
    ));
    assert!(send(&server, "Hello").starts_with("250"), "{}", server.log());
    let mail = server.wait_for_mail("bob@inside.test", 1);
    assert!(mail[0].contains("\nX-Virus-Scanned: clean\n"), "{}", mail[0]);
    let reply = send(&server, EICAR);
    assert_eq!(reply, "550 5.7.1 The message carries a virus");
    server.account("ana@clinic.test", PASSWORD);
    let mut client = server.connect("submission");
    client.expect("EHLO client.example.net", "250");
    client.starttls(&Terms::asking_for("mail.test"));
    client.expect("EHLO client.example.net", "250");
    assert!(client.sign_in("ana@clinic.test", PASSWORD).starts_with("235"));
    let content = format!("From: ana@clinic.test\nSubject: out\n\n{EICAR}\n");
    let reply = client.message("ana@clinic.test", &["bob@inside.test"], &content);
    assert_eq!(reply, "550 5.7.1 The message carries a virus");
    let trace = server.ok(&["trace", "--since", "1h", "--json"]);
    let refused: serde_json::Value = serde_json::from_str(&trace).expect("a list");
    let id = refused["messages"][0]["id"].as_str().expect("an id").to_owned();
    let told = support::wait_for(|| {
        let told = server.ok(&["trace", &id]);
        told.contains("scanner clam").then_some(told)
    })
    .expect("the trace names the scanner");
    assert!(told.contains("virus: Mailkeep.Test.EICAR"), "{told}");
    assert!(told.contains("virus-found"), "{told}");
}

#[test]
fn a_virus_can_be_set_aside_and_let_go() {
    let clamd = clamd();
    let server = start(&format!(
        "scanner clam {{ type clamd; at {} }}\nscanning {{ virus quarantine }}",
        clamd.at
    ));
    assert!(send(&server, EICAR).starts_with("250"), "{}", server.log());
    let list = server.ok(&["quarantine", "list", "--json"]);
    let list: serde_json::Value = serde_json::from_str(&list).expect("a list");
    let entry = &list["entries"][0];
    assert_eq!(entry["reason"], "A virus was found", "{list}");
    let id = entry["id"].as_str().expect("an id");
    assert!(server.ok(&["quarantine", "show", id]).contains("A virus was found"));
    assert_eq!(server.maildir("bob@inside.test").len(), 0);
    server.ok(&["quarantine", "release", id]);
    assert!(server.wait_for_mail("bob@inside.test", 1)[0].contains(EICAR));
}

#[test]
fn a_message_longer_than_the_scanner_takes_is_a_choice() {
    let clamd = clamd();
    let long = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n".repeat(3_000);
    let scanner = |more: &str| format!("scanner clam {{ type clamd; at {}; {more} }}", clamd.at);
    // The scanner's own limit is below ours: it says so in the middle of the stream.
    let server = start(&scanner("max-size 1MB"));
    assert!(send(&server, &long).starts_with("451 4.7.1"), "{}", server.log());
    let server = start(&scanner("max-size 100KB; oversized pass"));
    assert!(send(&server, &long).starts_with("250"), "{}", server.log());
    let server = start(&scanner("max-size 100KB; oversized fail"));
    assert!(send(&server, &long).starts_with("451 4.7.1"), "{}", server.log());
}

#[test]
fn rspamd_has_spam_refused() {
    let rspamd = rspamd();
    let server = start(&format!(
        "scanner rs {{ type rspamd; at {} }}\nscanning {{ headers on }}",
        rspamd.at
    ));
    assert!(send(&server, "Hello").starts_with("250"), "{}", server.log());
    let mail = server.wait_for_mail("bob@inside.test", 1);
    assert!(mail[0].contains("\nX-Spam-Status: No, score=0 "), "{}", mail[0]);
    assert!(!mail[0].contains("X-Virus-Scanned"), "nobody looked for one: {}", mail[0]);
    assert_eq!(send(&server, GTUBE), "550 5.7.1 The message is refused as spam");
}

#[test]
fn what_a_scanner_takes_for_spam_lowers_the_reputation_of_its_sender() {
    let rspamd = rspamd();
    let server = start(&format!(
        "scanner rs {{ type rspamd; at {} }}\nreputation {{ }}\n\
         rules {{ rule bad {{ when all {{ reputation under 45 }}; \
             reject 550 5.7.1 \"Your reputation\" }} }}",
        rspamd.at
    ));
    let mail = || greeted(&server).say("MAIL FROM:<ann@example.net>");
    assert!(send(&server, "Hello").starts_with("250"), "{}", server.log());
    assert!(mail().starts_with("250"));
    // How many it takes is the reputation's matter; three are enough.
    for _ in 0..3 {
        let mut client = greeted(&server);
        if !client.say("MAIL FROM:<ann@example.net>").starts_with("250") {
            break;
        }
        client.expect("RCPT TO:<bob@inside.test>", "250");
        client.expect("DATA", "354");
        client.say(&format!("Subject: words\r\n\r\n{GTUBE}\r\n."));
    }
    let is_refused = || (mail() == "550 5.7.1 Your reputation").then_some(());
    assert!(wait_for(is_refused).is_some(), "{}", server.log());
}

#[test]
fn spamassassins_score_is_a_condition() {
    let spamd = spamd();
    let server = start(&format!(
        "scanner sa {{ type spamd; at {} }}\n\
         rules {{ rule aside {{ when all {{ spam score over 900; scanner sa is spam }}; \
             quarantine \"Looks like spam\" }} }}",
        spamd.at
    ));
    assert!(send(&server, "Hello Bob, shall we meet on Monday at ten?").starts_with("250"));
    server.wait_for_mail("bob@inside.test", 1);
    assert!(send(&server, GTUBE).starts_with("250"), "{}", server.log());
    assert!(server.ok(&["quarantine", "list"]).contains("Looks like spam"));
    let id = server.ok(&["quarantine", "list"]);
    let told = server.ok(&["trace", id.split(' ').next().expect("an id")]);
    assert!(told.contains("GTUBE"), "{told}");
}

#[test]
fn a_scanner_that_is_down_is_open_or_closed_by_choice() {
    let port = free_port();
    for kind in ["clamd", "spamd", "rspamd"] {
        let scanner = |course: &str| {
            format!("scanner s {{ type {kind}; at 127.0.0.1:{port}; on-failure {course} }}")
        };
        let server = start(&scanner("closed"));
        let reply = send(&server, "Hello");
        assert!(reply.starts_with("451 4.7.1 The message cannot be checked now"), "{reply}");
        let server = start(&scanner("open"));
        assert!(send(&server, "Hello").starts_with("250"), "{}", server.log());
    }
}

#[test]
fn opendkim_signs_and_the_next_opendkim_verifies() {
    let key = DkimKey::new();
    let (signs, verifies) = (opendkim(&key, true), opendkim(&key, false));
    let server = start(&format!(
        "milter signer {{ at {} }}\nmilter verifier {{ at {} }}",
        signs.at, verifies.at
    ));
    let content = "From: ana@clinic.test\nTo: bob@inside.test\nSubject: signed\n words\n\
                   Date: Mon, 02 Mar 2026 10:00:00 +0000\nMessage-ID: <1@clinic.test>\n\n\
                   Text with\n\ntwo paragraphs\n";
    let reply = greeted(&server).message("ana@clinic.test", &["bob@inside.test"], content);
    assert!(reply.starts_with("250"), "{reply}\n{}", server.log());
    let mail = server.wait_for_mail("bob@inside.test", 1).remove(0);
    assert!(mail.contains("\nDKIM-Signature: v=1; a=rsa-sha256;"), "{mail}");
    assert!(mail.contains("d=clinic.test; s=sel;"), "{mail}");
    assert!(mail.contains("verifier.test;") && mail.contains("dkim=pass"), "{mail}");
    assert!(mail.contains("\nSubject: signed\n words\n"), "{mail}");
    let id = reply.rsplit(' ').next().expect("an id");
    let told = server.ok(&["trace", id]);
    assert!(told.contains("milter signer: "), "{told}");
    assert!(told.contains("added DKIM-Signature"), "{told}");
}

#[test]
fn a_milter_changes_header_body_and_envelope() {
    let changes = [
        packet(b'm', b"\0\0\0\x01Subject\0other words\0"),
        packet(b'i', b"\0\0\0\x01X-Top\0first\0"),
        packet(b'h', b"X-Last\0second\n line\0"),
        packet(b'b', b"Another body\r\n"),
        packet(b'+', b"<carl@inside.test>\0"),
        packet(b'-', b"<dora@inside.test>\0"),
        packet(b'e', b"<bounces@example.net>\0"),
        packet(b'c', b""),
    ];
    let milter = Scripted::start(&[(b'E', Deed::Say(changes.concat()))]);
    let server = start(&format!("milter changer {{ at {} }}", milter.at()));
    let content = "From: ann@example.net\nSubject: words\n\nThe body\n";
    let to = ["bob@inside.test", "dora@inside.test"];
    let reply = greeted(&server).message("ann@example.net", &to, content);
    assert!(reply.starts_with("250"), "{reply}\n{}", server.log());
    let mail = server.wait_for_mail("bob@inside.test", 1).remove(0);
    assert!(mail.contains("Return-Path: <bounces@example.net>"), "{mail}");
    assert!(
        mail.ends_with(
            "X-Top: first\nFrom: ann@example.net\nSubject: other words\n\
             X-Last: second\n line\n\nAnother body\n"
        ),
        "{mail}"
    );
    server.wait_for_mail("carl@inside.test", 1);
    assert!(server.maildir("dora@inside.test").is_empty());
    let heard = milter.heard.lock().expect("what was heard");
    let of = |kind: u8| heard.iter().find(|(k, _)| *k == kind).expect("a command").1.clone();
    assert!(of(b'C').starts_with(b"[127.0.0.1]\x004"));
    assert_eq!(of(b'H'), b"client.example.net\0");
    assert!(of(b'M').starts_with(b"<ann@example.net>\0"));
}

#[test]
fn a_milter_refuses_one_recipient_and_the_others_get_the_mail() {
    let answer = [packet(b'y', b"550 5.1.1 Not this one\0")].concat();
    let milter = Scripted::start(&[(b'R', Deed::Say(answer))]);
    let server = start(&format!("milter picky {{ at {} }}", milter.at()));
    let mut client = greeted(&server);
    client.expect("MAIL FROM:<ann@example.net>", "250");
    assert_eq!(client.say("RCPT TO:<bob@inside.test>"), "550 5.1.1 Not this one");
}

#[test]
fn clamav_milter_refuses_a_virus() {
    let clamd = clamd();
    let milter = clamav_milter(&clamd);
    let server = start(&format!("milter clamav {{ at {} }}", milter.at));
    assert!(send(&server, "Hello").starts_with("250"), "{}", server.log());
    let mail = server.wait_for_mail("bob@inside.test", 1);
    assert!(mail[0].contains("\nX-Virus-Status: Clean\n"), "{}", mail[0]);
    assert_eq!(send(&server, EICAR), "550 5.7.1 Infected with Mailkeep.Test.EICAR.UNOFFICIAL");
}

#[test]
fn rspamd_as_a_milter_refuses_spam() {
    let rspamd = rspamd_milter();
    let server = start(&format!("milter rspamd {{ at {} }}", rspamd.at));
    assert!(send(&server, "Hello").starts_with("250"), "{}", server.log());
    server.wait_for_mail("bob@inside.test", 1);
    let reply = send(&server, GTUBE);
    assert!(reply.starts_with("554 5.7.1 "), "{reply}");
}

#[test]
fn a_milter_hears_of_what_is_no_command_and_may_word_its_refusal() {
    let answer = packet(b'y', b"550 5.7.0 No tricks here\0");
    let milter = Scripted::start(&[(b'U', Deed::Say(answer))]);
    let server = start(&format!("milter strict {{ at {} }}", milter.at()));
    let mut client = greeted(&server);
    client.expect("MAIL FROM:<ann@example.net>", "250");
    assert_eq!(client.say("XTRICK one two"), "550 5.7.0 No tricks here");
    // The transaction goes on.
    client.expect("RCPT TO:<bob@inside.test>", "250");
    let heard = milter.heard.lock().expect("what was heard");
    assert!(heard.contains(&(b'U', b"XTRICK one two\0".to_vec())), "{heard:?}");
}

#[test]
fn a_milter_sets_a_message_aside_or_drops_it() {
    let aside = [packet(b'q', b"odd words\0"), packet(b'c', b"")].concat();
    let milter = Scripted::start(&[(b'E', Deed::Say(aside))]);
    let server = start(&format!("milter judge {{ at {} }}", milter.at()));
    assert!(send(&server, "Hello").starts_with("250"), "{}", server.log());
    let list = server.ok(&["quarantine", "list"]);
    assert!(list.contains("milter judge: odd words"), "{list}");
    let milter = Scripted::start(&[(b'L', Deed::Say(packet(b'd', b"")))]);
    let server = start(&format!("milter judge {{ at {} }}", milter.at()));
    let reply = send(&server, "Hello");
    assert!(reply.starts_with("250"), "{reply}");
    let told = server.ok(&["trace", reply.rsplit(' ').next().expect("an id")]);
    assert!(told.contains("milter judge: discarded"), "{told}");
    assert!(server.ok(&["ledger", "check"]).contains("discarded"), "{told}");
}

#[test]
fn a_bad_milter_has_a_clear_result_in_bounded_time() {
    let endless = packet(b'h', b"X-More\0y\0").repeat(2_000);
    let deeds = [
        ("hangs at MAIL", b'M', Deed::Hang),
        ("hangs at the end", b'E', Deed::Hang),
        ("dies mid-message", b'B', Deed::Die),
        ("lies about lengths", b'M', Deed::Say(u32::MAX.to_be_bytes().to_vec())),
        ("answers out of phase", b'R', Deed::Say(packet(b'h', b"X\0y\0"))),
        ("answers twice", b'M', Deed::Say(packet(b'c', b"").repeat(2))),
        ("works without end", b'E', Deed::Work),
        ("changes without end", b'E', Deed::Say(endless)),
    ];
    for (what, at, deed) in deeds {
        let milter = Scripted::start(&[(at, deed)]);
        let limits = "connect-timeout 1s; command-timeout 1s; content-timeout 1s; \
                      end-timeout 1s; message-timeout 2s";
        let server = start(&format!(
            "milter bad {{ at {}; listeners mx; on-failure tempfail; {limits} }}",
            milter.at()
        ));
        let began = Instant::now();
        let mut client = greeted(&server);
        let mut reply = String::new();
        for command in ["MAIL FROM:<ann@example.net>", "RCPT TO:<bob@inside.test>", "DATA"] {
            reply = client.say(command);
            if reply.starts_with('4') {
                break;
            }
        }
        if reply.starts_with("354") {
            reply = client.say("Subject: x\r\n\r\nHello\r\n.");
        }
        assert_eq!(reply, "451 4.7.1 The message cannot be checked now", "{what}");
        assert!(began.elapsed() < Duration::from_secs(15), "{what}: {:?}", began.elapsed());
        // The session goes on, and the server with it.
        client.expect("RSET", "250");
    }
}

#[test]
fn a_milter_that_is_down_is_passed_over_or_its_mail_set_aside_by_choice() {
    let port = free_port();
    let milter = |course: &str| format!("milter m {{ at 127.0.0.1:{port}; on-failure {course} }}");
    let server = start(&milter("accept"));
    assert!(send(&server, "Hello").starts_with("250"), "{}", server.log());
    server.wait_for_mail("bob@inside.test", 1);
    let server = start(&milter("quarantine"));
    assert!(send(&server, "Hello").starts_with("250"), "{}", server.log());
    assert!(server.ok(&["quarantine", "list"]).contains("milter m: no answer"));
    let server = start(&milter("reject"));
    let reply = greeted(&server).say("MAIL FROM:<ann@example.net>");
    assert_eq!(reply, "550 5.7.1 The message cannot be checked");
}

/// A client that has signed in as an account of ours.
fn signed_in(server: &Server, account: &str) -> Client {
    let mut client = server.connect("submission");
    client.expect("EHLO client.example.net", "250");
    client.starttls(&Terms::asking_for("mail.test"));
    client.expect("EHLO client.example.net", "250");
    assert!(client.sign_in(account, PASSWORD).starts_with("235"), "{}", server.log());
    client
}

const ANA: &str = "ana@clinic.test";

#[test]
fn an_account_that_sends_viruses_is_held_and_its_administrator_is_told() {
    let clamd = clamd();
    let mut server = start(&format!(
        "postmaster admin@inside.test\n\
         scanner clam {{ type clamd; at {} }}\n\
         holding {{ spam 2 }}",
        clamd.at
    ));
    server.account(ANA, PASSWORD);
    let send = |server: &Server, words: &str| {
        let content = format!("From: {ANA}\nSubject: out\n\n{words}\n");
        signed_in(server, ANA).message(ANA, &["bob@inside.test"], &content)
    };
    assert!(send(&server, "first").starts_with("250"));
    server.wait_for_mail("bob@inside.test", 1);
    assert!(send(&server, EICAR).starts_with("550"));
    assert_eq!(server.ok(&["hold", "list"]).trim(), "No account is held.");
    assert!(send(&server, EICAR).starts_with("550"));
    let told = server.wait_for_mail("admin@inside.test", 1).remove(0);
    assert!(told.contains("Subject: Mail of ana@clinic.test is held"), "{told}");
    assert!(told.contains("mailkeep hold release ana@clinic.test"), "{told}");
    server.terminate();
    server.wait_until_gone();
    server.restart();
    assert!(send(&server, "second").starts_with("250"), "sign-in and sending go on");
    assert!(server.ok(&["hold", "list"]).contains("2 messages with spam or a virus"));
    assert!(server.ok(&["queue", "list", "--held"]).contains("account held: ana@clinic.test"));
    assert_eq!(server.maildir("bob@inside.test").len(), 1);
    assert!(server.ok(&["hold", "release", ANA]).contains("1 message on the way"));
    assert!(server.wait_for_mail("bob@inside.test", 2).iter().any(|m| m.contains("second")));
    assert!(send(&server, "third").starts_with("250"));
    server.wait_for_mail("bob@inside.test", 3);
    assert_eq!(server.maildir("admin@inside.test").len(), 1, "told once");
    assert!(!server.run(&["hold", "release", ANA]).status.success());
}

#[test]
fn a_burst_to_strangers_is_held_and_can_be_dropped() {
    let server = start(
        "postmaster admin@inside.test\n\
         holding { first-time-recipients 2 }",
    );
    server.account(ANA, PASSWORD);
    let send = |to: &[&str]| {
        let content = format!("From: {ANA}\nSubject: out\n\nHello\n");
        signed_in(&server, ANA).message(ANA, to, &content)
    };
    assert!(send(&["one@inside.test", "two@inside.test"]).starts_with("250"));
    assert!(send(&["one@inside.test", "two@inside.test"]).starts_with("250"));
    server.wait_for_mail("two@inside.test", 2);
    assert!(send(&["three@inside.test"]).starts_with("250"), "it is taken and waits");
    server.wait_for_mail("admin@inside.test", 1);
    let list = server.ok(&["hold", "list"]);
    assert!(list.contains("more than 2 recipients it never wrote to before"), "{list}");
    assert!(server.ok(&["hold", "release", ANA, "--drop"]).contains("1 message removed"));
    assert!(server.maildir("three@inside.test").is_empty());
    server.ok(&["ledger", "check"]);
}

#[test]
fn mail_set_aside_is_removed_when_its_time_is_over() {
    let aside = [packet(b'q', b"odd words\0"), packet(b'c', b"")].concat();
    let milter = Scripted::start(&[(b'E', Deed::Say(aside))]);
    let more = format!("milter judge {{ at {} }}\nquarantine {{ keep 2s }}", milter.at());
    let server = start(&more);
    let reply = send(&server, "Hello");
    let id = reply.rsplit(' ').next().expect("an id");
    let shown = server.ok(&["quarantine", "show", id]);
    assert!(shown.contains("filter   milter judge: passed; set aside: odd words"), "{shown}");
    let gone = support::wait_for(|| {
        server.ok(&["quarantine", "list"]).contains("Nothing is in quarantine").then_some(())
    });
    assert!(gone.is_some(), "{}", server.log());
    assert!(server.ok(&["trace", id]).contains("quarantine is over"));
    server.ok(&["ledger", "check"]);
}
