//! Sending quotas of faxes and pages, over SMTP.

mod support;

use serde_json::Value;
use support::faxes::faxes;
use support::{Server, shown, wait_for};

fn clinic(quotas: &str) -> Server {
    Server::start(
        &"hostname mx.clinic.example
        data @DIR@/data
        control @DIR@/control
        listener mx { port 0; address 127.0.0.1; tls off; limits { recipients 100 } }
        domain clinic.example { deliver-to maildir @DIR@/maildir }
        fax clinic {
            domains fax.clinic.example
            organisation \"Clinic of Example\"
            main-number \"+1 202 555 0199\"
            country US
            user ann@clinic.example
            user bob@clinic.example
            mail-server-white-list 127.0.0.1
            transport none
        }
        queue { retry 1s }
        @QUOTAS@
        "
        .replace("@QUOTAS@", quotas),
    )
}

/// A message to so many numbers, from the first on; the replies to RCPT and the last one.
fn send(server: &Server, from: &str, numbers: std::ops::Range<u32>, words: &str) -> Vec<String> {
    let mut client = server.connect("mx");
    client.expect("EHLO client.example", "250");
    client.expect(&format!("MAIL FROM:<{from}>"), "250");
    let mut replies: Vec<String> = numbers
        .map(|n| client.say(&format!("RCPT TO:<20255501{n:02}@fax.clinic.example>")))
        .collect();
    if replies.iter().any(|reply| reply.starts_with("250")) {
        client.expect("DATA", "354");
        let id = "Message-ID: <one@clinic.example>";
        let content = format!("From: {from}\nSubject: Result\n{id}\n\n{words}\n.");
        replies.push(client.say(&content.replace('\n', "\r\n")));
    }
    replies
}

fn wait_for_faxes(server: &Server, count: usize) -> Vec<Value> {
    let all = || Some(faxes(server)).filter(|faxes| faxes.len() == count);
    wait_for(all).unwrap_or_else(|| panic!("{:?}\n{}", faxes(server), server.log()))
}

#[test]
fn a_quota_of_a_fax_account_counts_what_all_its_senders_fax_together() {
    let server = clinic(
        "quota whole { faxes 5 per day; for fax-accounts clinic }
         quota paper { pages 5 per day; for fax-accounts clinic }
         quota each { faxes 4 per day; for accounts @clinic.example }",
    );
    let sent = send(&server, "ann@clinic.example", 0..3, "One page.");
    assert!(sent.iter().all(|reply| reply.starts_with("250")), "{sent:?}");
    // Of what ann has left bob has two, whose own quota is untouched.
    let sent = send(&server, "bob@clinic.example", 10..13, "One page.");
    let taken: Vec<&str> = sent.iter().map(|reply| &reply[..3]).collect();
    assert_eq!(taken, ["250", "250", "452", "250"], "{sent:?}");
    assert!(sent[2].contains("Sending quota whole allows 5 faxes per day"), "{}", sent[2]);
    wait_for_faxes(&server, 5);
    let shown = server.ok(&["quota", "show"]);
    let line = |start: &str, says: &str| {
        shown.lines().any(|line| line.starts_with(start) && line.contains(says))
    };
    assert!(line("fax clinic ", "whole") && line("fax clinic ", "paper"), "{shown}");
    assert!(line("ann@clinic.example", "each") && line("bob@clinic.example", "each"), "{shown}");
    let sent = send(&server, "ann@clinic.example", 20..21, "One page.");
    assert!(sent[0].starts_with("452"), "{sent:?}");
    server.ok(&["quota", "reset", "fax clinic"]);
    let sent = send(&server, "ann@clinic.example", 20..21, "One page.");
    assert!(sent[0].starts_with("250"), "{sent:?}");
}

#[test]
fn of_fifty_numbers_a_quota_of_forty_takes_forty_and_refuses_ten_at_rcpt() {
    let mut server = clinic("quota faxing { faxes 40 per day; for accounts @clinic.example }");
    let replies = send(&server, "ann@clinic.example", 0..50, "The result is good.");
    let refusal = "452 4.5.3 Sending quota faxing allows 40 faxes per day";
    for (n, reply) in replies.iter().enumerate() {
        let wanted = if (40..50).contains(&n) { refusal } else { "250" };
        assert!(reply.starts_with(wanted), "{n}: {reply}");
    }
    wait_for_faxes(&server, 40);
    let told = server.wait_for_mail("ann@clinic.example", 41).join("\n");
    assert!(told.contains("faxing: 40 faxes of 40 faxes per day"), "{told}");

    // Another sender has a quota of its own, and a restart forgets nothing.
    server.kill();
    server.restart();
    let replies = send(&server, "ann@clinic.example", 50..51, "Again.");
    assert!(replies[0].starts_with(refusal), "{replies:?}");
    let said = shown(&server.run(&[
        "explain",
        "--from",
        "ann@clinic.example",
        "--to",
        "2025550150@fax.clinic.example",
        "--client",
        "127.0.0.1",
    ]));
    assert!(said.contains("fax-quota-reached"), "{said}");
    let replies = send(&server, "bob@clinic.example", 50..51, "The result is good.");
    assert!(replies.iter().all(|reply| reply.starts_with("250")), "{replies:?}");
    wait_for_faxes(&server, 41);
    server.ok(&["quota", "reset", "ann@clinic.example"]);
    let replies = send(&server, "ann@clinic.example", 51..52, "The result is good.");
    assert!(replies.iter().all(|reply| reply.starts_with("250")), "{replies:?}");
}

#[test]
fn a_fax_of_more_pages_than_are_left_comes_back_and_the_others_go_on() {
    let server =
        clinic("quota paper { pages 7 per month; warn-at off; for accounts @clinic.example }");
    let long = "A line of the report.\n".repeat(150);
    // Five pages each: one fits, and of the second not all of it.
    let replies = send(&server, "ann@clinic.example", 0..2, &long);
    assert!(replies.iter().all(|reply| reply.starts_with("250")), "{replies:?}");
    let made = wait_for_faxes(&server, 1);
    assert_eq!((&made[0]["pages"], &made[0]["state"]), (&5.into(), &"waiting".into()));
    let mails = server.wait_for_mail("ann@clinic.example", 2).join("\n");
    let why = "The fax has 5 pages and was not sent: Sending quota paper allows 7 pages per month";
    let words: Vec<&str> = mails.split_whitespace().collect();
    assert!(words.join(" ").contains(why), "{mails}");

    let replies = send(&server, "ann@clinic.example", 2..3, "Short enough.");
    assert!(replies.iter().all(|reply| reply.starts_with("250")), "{replies:?}");
    wait_for_faxes(&server, 2);
    let listed = server.ok(&["quota", "show"]);
    assert!(listed.contains("6 pages"), "{listed}");
    let replies = send(&server, "ann@clinic.example", 3..5, "One more.");
    let refusal = "452 4.5.3 Sending quota paper allows 7 pages per month";
    assert!(replies[0].starts_with("250") && replies[1].starts_with(refusal), "{replies:?}");
}
