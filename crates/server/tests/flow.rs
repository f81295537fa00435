//! Limits, quotas and bans of the real server, over the wire.

mod support;

use std::time::{Duration, Instant};

use serde_json::Value;
use support::tls::Terms;
use support::{Client, Server, wait_for};

const PASSWORD: &str = "correct horse battery staple";

/// A server for `clinic.example` that takes mail from outside and from who signs in.
fn configuration(more: &str) -> String {
    format!(
        "hostname mail.test\ndata @DIR@/data\ncertificate mail {{ local-authority }}\n\
         listener mx {{ address 127.0.0.1; port 0; tls starttls; certificate mail }}\n\
         listener submission {{ address 127.0.0.1; port 0; protocol submission; tls starttls; certificate mail }}\n\
         domain clinic.example {{ deliver-to maildir @DIR@/maildir; recipients accounts }}\n\
         {more}\n"
    )
}

fn start(more: &str) -> Server {
    let server = Server::start(&configuration(more));
    for name in ["ann", "bob", "chief"] {
        server.account(&format!("{name}@clinic.example"), PASSWORD);
    }
    server
}

/// A session that has signed in; and what EHLO offered before.
fn signed_in(server: &Server, account: &str) -> Client {
    let mut client = server.connect("submission");
    client.expect("EHLO client.example.net", "250");
    client.starttls(&Terms::asking_for("mail.test"));
    client.expect("EHLO client.example.net", "250");
    let reply = client.sign_in(account, PASSWORD);
    assert!(reply.starts_with("235"), "{reply}");
    client
}

fn stranger(server: &Server) -> Client {
    let mut client = server.connect("mx");
    client.expect("EHLO client.example.net", "250");
    client
}

fn json(server: &Server, arguments: &[&str]) -> Value {
    let mut arguments = arguments.to_vec();
    arguments.push("--json");
    serde_json::from_str(&server.ok(&arguments)).expect("JSON")
}

/// A message with one attachment for each size, in octets once decoded.
fn with_attachments(sizes: &[usize]) -> String {
    let mut text = "From: <ann@clinic.example>\nSubject: parts\nMIME-Version: 1.0\n\
                    Content-Type: multipart/mixed; boundary=b\n\n"
        .to_owned();
    for size in sizes {
        text.push_str("--b\nContent-Type: application/octet-stream\n");
        text.push_str("Content-Disposition: attachment; filename=a.bin\n\n");
        for _ in 0..size / 64 {
            text.push_str(&"x".repeat(62));
            text.push('\n');
        }
    }
    text.push_str("--b--\n");
    text
}

const SIZES: &str = "
limits { message 40KB; recipients 9 }
size-limits everyone { attachment 4KB; attachments 6KB; recipients 3 }
size-limits out { direction out; message 30KB; header 2KB }
size-limits scanner { direction out; accounts bob@clinic.example; message 200KB; attachment 100KB; attachments 150KB }
size-limits chief { direction in; accounts chief@clinic.example; message 90KB; attachment 80KB; attachments 80KB }
";

#[test]
fn the_size_that_ehlo_offers_follows_the_account() {
    let server = start(SIZES);
    let mut client = server.connect("submission");
    client.expect("EHLO client.example.net", "250");
    client.starttls(&Terms::asking_for("mail.test"));
    let before = client.expect("EHLO client.example.net", "250");
    assert!(before.contains("SIZE 92160"), "the most any recipient may get: {before}");
    assert!(client.sign_in("bob@clinic.example", PASSWORD).starts_with("235"));
    let after = client.expect("EHLO client.example.net", "250");
    assert!(after.contains("SIZE 204800"), "{after}");
    client.transcript(
        "
        C: MAIL FROM:<bob@clinic.example> SIZE=204801
        S: 552 5.3.4
        C: MAIL FROM:<bob@clinic.example> SIZE=204800
        S: 250
        ",
    );
    // Without another EHLO the limit follows all the same.
    let mut ann = signed_in(&server, "ann@clinic.example");
    ann.transcript(
        "
        C: MAIL FROM:<ann@clinic.example> SIZE=30721
        S: 552 5.3.4
        C: MAIL FROM:<ann@clinic.example> SIZE=30720
        S: 250
        ",
    );
}

#[test]
fn each_limit_has_its_reply_and_the_most_specific_one_wins() {
    let server = start(SIZES);
    let mut ann = signed_in(&server, "ann@clinic.example");
    let from = "ann@clinic.example";
    let to = ["bob@clinic.example"];
    let mut say = |message: &str| ann.message(from, &to, message);
    let reply = say(&with_attachments(&[4_160]));
    assert_eq!(reply, "552 5.3.4 An attachment has 4160 octets, more than the 4096 allowed");
    let reply = say(&with_attachments(&[3_200, 3_200]));
    assert_eq!(
        reply,
        "552 5.3.4 The attachments together have 6400 octets, more than the 6144 allowed"
    );
    let long = "\n y y y y y y y y y y".repeat(150);
    let reply = say(&format!("Subject: x\nX-Long: y{long}\n\nText\n"));
    assert!(reply.starts_with("552 5.3.4 The header has "), "{reply}");
    assert!(say(&with_attachments(&[3_200])).starts_with("250"));
    let reply = say(&format!("Subject: x\n\n{}", "0123456789\n".repeat(3_000)));
    assert!(reply.starts_with("552 5.3.4 "), "{reply}");
    ann.transcript(
        "
        C: MAIL FROM:<ann@clinic.example>
        S: 250
        C: RCPT TO:<ann@clinic.example>
        S: 250
        C: RCPT TO:<bob@clinic.example>
        S: 250
        C: RCPT TO:<chief@clinic.example>
        S: 250
        C: RCPT TO:<postmaster@clinic.example>
        S: 452 4.5.3
        C: RSET
        S: 250
        ",
    );
    let mut bob = signed_in(&server, "bob@clinic.example");
    let reply = bob.message("bob@clinic.example", &to, &with_attachments(&[90_048, 50_048]));
    assert!(reply.starts_with("250"), "{reply}");

    // From outside it is the recipient's limit that counts.
    let mut outside = stranger(&server);
    let large = with_attachments(&[60_032]);
    let reply = outside.message("x@example.net", &["chief@clinic.example"], &large);
    assert!(reply.starts_with("250"), "{reply}");
    let reply = outside.message("x@example.net", &["bob@clinic.example"], &large);
    assert!(reply.starts_with("552 5.3.4 The message has "), "{reply}");
    outside.transcript(
        "
        C: MAIL FROM:<x@example.net> SIZE=60000
        S: 250
        C: RCPT TO:<bob@clinic.example>
        S: 552 5.3.4 The message has 60000 octets, more than the 40960 allowed
        C: RCPT TO:<chief@clinic.example>
        S: 250
        ",
    );
    assert!(server.log().contains("rule=\"size-limit\""), "{}", server.log());
}

const QUOTA: &str = "
quota sending {
    messages 5 per hour
    recipients 20 per day
    octets 100KB per day
    except accounts chief@clinic.example
    except groups press@clinic.example
    warn-at 60
}
";

#[test]
fn a_quota_holds_warns_once_survives_a_crash_and_is_reset() {
    let mut server = start(QUOTA);
    let mut ann = signed_in(&server, "ann@clinic.example");
    let from = "ann@clinic.example";
    for n in 1..=5 {
        let reply = ann.message(from, &["bob@clinic.example"], &format!("Subject: {n}\n\nText\n"));
        assert!(reply.starts_with("250"), "{n}: {reply}");
    }
    let reply = ann.say("MAIL FROM:<ann@clinic.example>");
    assert!(
        reply.starts_with(
            "450 4.7.1 Sending quota sending allows 5 messages per hour; there is room again in "
        ) && reply.ends_with(" UTC"),
        "{reply}"
    );
    let warnings = server.wait_for_mail("ann@clinic.example", 1);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].contains("  sending: 3 messages of 5 messages per hour"),
        "{}",
        warnings[0]
    );

    // Others are not held by it, and exceptions not at all: an account, or a group's members.
    server.account("eve@clinic.example", PASSWORD);
    server.ok(&["account", "group", "media@clinic.example", "eve@clinic.example"]);
    server.ok(&["account", "group", "press@clinic.example", "media@clinic.example"]);
    for (account, count) in
        [("bob@clinic.example", 1), ("chief@clinic.example", 9), ("eve@clinic.example", 7)]
    {
        let mut client = signed_in(&server, account);
        for _ in 0..count {
            let reply = client.message(account, &["bob@clinic.example"], "Subject: x\n\nText\n");
            assert!(reply.starts_with("250"), "{account}: {reply}");
        }
    }

    server.kill();
    server.restart();
    let mut again = signed_in(&server, "ann@clinic.example");
    again.expect("MAIL FROM:<ann@clinic.example>", "450 4.7.1");
    let shown = json(&server, &["quota", "show", "Ann@clinic.example"]);
    let messages = &shown["counters"][0];
    assert_eq!((&messages["used"], &messages["max"]), (&5.into(), &5.into()), "{shown}");
    assert!(!shown.to_string().contains("bob@"), "{shown}");

    server.ok(&["quota", "reset", "ann@clinic.example"]);
    again.expect("MAIL FROM:<ann@clinic.example>", "250");
    let explained = server.ok(&["evidence", "export"]);
    assert!(explained.contains("reset a quota"), "the evidence knows who did it");
}

#[test]
fn recipients_and_octets_are_counted_and_what_can_never_pass_is_refused_for_good() {
    let server = start(
        "quota small { recipients 2 per day; octets 10KB per day; warn-at off }\n\
         limits { recipients 20 }",
    );
    let mut ann = signed_in(&server, "ann@clinic.example");
    ann.transcript(
        "
        C: MAIL FROM:<ann@clinic.example>
        S: 250
        C: RCPT TO:<ann@clinic.example>
        S: 250
        C: RCPT TO:<bob@clinic.example>
        S: 250
        C: RCPT TO:<chief@clinic.example>
        S: 550 5.5.3 Sending quota small allows 2 recipients per day, and this alone is more
        C: RSET
        S: 250
        C: MAIL FROM:<ann@clinic.example> SIZE=10241
        S: 552 5.3.4 Sending quota small allows
        ",
    );
    let big = format!("Subject: x\n\n{}", "0123456789\n".repeat(700));
    assert!(ann.message("ann@clinic.example", &["bob@clinic.example"], &big).starts_with("250"));
    let reply = ann.message("ann@clinic.example", &["bob@clinic.example"], &big);
    assert!(reply.starts_with("450 4.7.1 Sending quota small allows 10KB per day"), "{reply}");
    let text = "Subject: x\n\nText\n";
    assert!(ann.message("ann@clinic.example", &["bob@clinic.example"], text).starts_with("250"));
    let reply = ann.say("MAIL FROM:<ann@clinic.example>");
    assert!(reply.starts_with("452 4.5.3 Sending quota small allows 2 recipients"), "{reply}");
}

#[test]
fn parallel_sessions_together_stay_within_a_quota() {
    let server = start("quota tight { messages 10 per hour; warn-at off }");
    let accepted: usize = std::thread::scope(|scope| {
        let sessions: Vec<_> = (0..6)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = signed_in(&server, "ann@clinic.example");
                    let mut accepted = 0;
                    for _ in 0..5 {
                        if !client.say("MAIL FROM:<ann@clinic.example>").starts_with("250") {
                            break;
                        }
                        client.expect("RCPT TO:<bob@clinic.example>", "250");
                        client.expect("DATA", "354");
                        client.send(b"Subject: x\r\n\r\nText\r\n");
                        accepted += usize::from(client.say(".").starts_with("250"));
                    }
                    accepted
                })
            })
            .collect();
        sessions.into_iter().map(|session| session.join().expect("a session")).sum()
    });
    assert_eq!(accepted, 10);
    assert_eq!(server.wait_for_mail("bob@clinic.example", 10).len(), 10);
}

#[test]
fn who_is_denied_or_too_fast_is_turned_away_before_a_greeting() {
    let server = start("flow { friendly none; deny 127.0.0.0/8 }");
    let mut client = Client::connect_silently(server.address("mx"));
    assert_eq!(client.reply(), "554 5.7.1 Your network is not served here");
    let explained = server.run(&[
        "explain",
        "--from",
        "x@example.net",
        "--to",
        "ann@clinic.example",
        "--client",
        "127.0.0.1",
    ]);
    let explained = String::from_utf8_lossy(&explained.stdout).into_owned();
    assert!(explained.contains("denied-client"), "{explained}");

    let server = start("flow { friendly none; client-rate 3 1h }");
    for _ in 0..3 {
        stranger(&server).expect("QUIT", "221");
    }
    let mut client = Client::connect_silently(server.address("mx"));
    assert!(client.reply().starts_with("421 4.7.0 Too many connections from your network"));
}

#[test]
fn a_table_of_ten_thousand_networks_is_denied_and_friends_are_served() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let mut list = String::new();
    for n in 0..10_000_u32 {
        let ip = std::net::Ipv4Addr::from(0x0B00_0000 + n * 256);
        list.push_str(&format!("{ip}/24\n"));
    }
    list.push_str("127.0.0.0/8\n");
    std::fs::write(folder.path().join("blocked"), list).expect("written");
    let text = configuration(
        "table blocked networks file blocked\n flow { friendly none; deny table blocked }",
    );
    let server = Server::start_in(folder, &text);
    let mut client = Client::connect_silently(server.address("mx"));
    assert!(client.reply().starts_with("554 5.7.1"));
    let friendly = text.replace("friendly none", "friendly 127.0.0.1");
    assert!(server.reload(&friendly).status.success(), "{}", server.log());
    stranger(&server).expect("QUIT", "221");
}

const BANS: &str = "
flow { friendly none }
bans { incidents 4; within 10m; time 1h; spamtrap trap@clinic.example }
";

fn is_banned(server: &Server) -> bool {
    let mut client = Client::connect_silently(server.address("mx"));
    client.reply() == "554 5.7.1 Your network is banned for a time"
}

fn search_for_mailboxes(server: &Server) {
    let mut client = stranger(server);
    client.expect("MAIL FROM:<x@example.net>", "250");
    for n in 0..10 {
        if client.say(&format!("RCPT TO:<user{n}@clinic.example>")).is_empty() {
            return;
        }
    }
}

#[test]
fn a_search_for_mailboxes_ends_in_a_ban_that_survives_a_crash_and_is_lifted() {
    let mut server = start(BANS);
    search_for_mailboxes(&server);
    assert!(wait_for(|| is_banned(&server).then_some(())).is_some(), "{}", server.log());
    let log = server.log();
    assert!(log.contains("security: abuse ip=127.0.0.1 service=smtp kind=rcpt-scan"), "{log}");
    assert!(log.contains("security: ban network=127.0.0.1/32 service=smtp until=20"), "{log}");
    let listed = json(&server, &["ban", "list"]);
    assert_eq!(listed["bans"][0]["network"], "127.0.0.1/32", "{listed}");

    server.kill();
    server.restart();
    assert!(is_banned(&server));
    server.ok(&["ban", "remove", "127.0.0.1"]);
    stranger(&server).expect("QUIT", "221");
    assert!(!server.run(&["ban", "remove", "127.0.0.1"]).status.success());
}

#[test]
fn mail_to_a_spamtrap_bans_and_looks_like_mail_to_anyone_unknown() {
    let server = start(BANS);
    let mut client = stranger(&server);
    client.expect("MAIL FROM:<x@example.net>", "250");
    let unknown = client.say("RCPT TO:<nobody@clinic.example>");
    let trapped = client.say("RCPT TO:<Trap@clinic.example>");
    assert_eq!(unknown, trapped);
    assert!(is_banned(&server));
    // The session that is open can finish nothing new.
    client.expect("RSET", "250");
    client.expect("MAIL FROM:<x@example.net>", "421 4.7.0");
}

#[test]
fn failed_sign_ins_and_commands_behind_starttls_lead_to_a_ban_and_friends_have_none() {
    let server = start(BANS);
    let mut injector = stranger(&server);
    injector.send(b"STARTTLS\r\nEHLO client.example.net\r\n");
    injector.reply();
    let mut guesser = server.connect("submission");
    guesser.expect("EHLO client.example.net", "250");
    guesser.starttls(&Terms::asking_for("mail.test"));
    guesser.expect("EHLO client.example.net", "250");
    for n in 0..3 {
        if guesser.sign_in(&format!("user{n}@clinic.example"), "wrong wrong wrong").is_empty() {
            break;
        }
    }
    assert!(is_banned(&server), "{}", server.log());

    let server = start(&BANS.replace("friendly none", "friendly 127.0.0.0/8"));
    for _ in 0..5 {
        search_for_mailboxes(&server);
    }
    assert!(!is_banned(&server));
}

#[test]
fn an_operator_bans_a_network_for_a_time_with_and_without_a_server() {
    let mut server = start("flow { friendly none }");
    server.ok(&["ban", "add", "127.0.0.0/8", "--for", "2s", "--reason", "a try"]);
    assert!(is_banned(&server));
    let began = Instant::now();
    assert!(wait_for(|| (!is_banned(&server)).then_some(())).is_some());
    assert!(began.elapsed() < Duration::from_secs(10));
    assert!(!server.run(&["ban", "add", "0.0.0.0/0"]).status.success());
    assert!(!server.run(&["ban", "add", "nonsense"]).status.success());

    server.terminate();
    server.wait_until_gone();
    server.ok(&["ban", "add", "127.0.0.1"]);
    assert!(server.ok(&["ban", "list"]).contains("127.0.0.1/32"));
    server.restart();
    assert!(is_banned(&server));
}

#[test]
fn an_account_is_locked_where_it_is_guessed_at_and_a_crash_does_not_lift_it() {
    let mut server = start("flow { friendly none }\nbans { incidents off }");
    drop(signed_in(&server, "bob@clinic.example"));
    let sign_in = |server: &Server, account: &str, password: &str| {
        let mut client = server.connect("submission");
        client.expect("EHLO client.example.net", "250");
        client.starttls(&Terms::asking_for("mail.test"));
        client.expect("EHLO client.example.net", "250");
        client.sign_in(account, password)
    };
    for _ in 0..6 {
        let reply = sign_in(&server, "ann@clinic.example", "wrong wrong wrong");
        assert!(reply.starts_with("535 5.7.8"), "{reply}");
    }
    let locked = sign_in(&server, "ann@clinic.example", PASSWORD);
    assert!(locked.starts_with("454 4.7.0"), "{locked}");
    // Written down within a second.
    std::thread::sleep(Duration::from_millis(2_500));
    server.kill();
    server.restart();
    assert_eq!(sign_in(&server, "ANN@clinic.example", PASSWORD), locked);
    let began = Instant::now();
    drop(signed_in(&server, "bob@clinic.example"));
    assert!(began.elapsed() < Duration::from_secs(5), "who is known here is not even slowed down");
}
