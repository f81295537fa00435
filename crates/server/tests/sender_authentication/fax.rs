//! The decision table of fax accounts (`crates/fax/tests/decisions.txt`), each row played
//! through the running server: the client's address, the zone of SPF, the envelope, the author.

use std::net::IpAddr;
use std::process::Command;

use lab::{Behaviour, Records};

use crate::signing::{Key, sign};
use crate::support::Server;
use crate::support::partners::Lab;
use crate::support::peers::{program, run_with_input};
use crate::world::{Sending, World, add};

const TABLE: &str = include_str!("../../../fax/tests/decisions.txt");
/// The rows that can be played; those that trust domains of an account without any lock
/// cannot, because no configuration may say so.
const PLAYED_MIN: usize = 85;
const PASSWORD: &str = "correct horse battery staple";

/// An account of the table, under each of its locks a domain of its own.
fn account(white_list: &str, protection: &str) -> String {
    let name = format!("w-{white_list}-p-{protection}");
    let mut locks = String::new();
    if white_list == "on" {
        locks.push_str("mail-server-white-list 10.0.0.0/8, 2001:db8::/32\n");
    }
    if protection != "off" {
        locks.push_str(&format!("spoofing-protection on softfail {protection}\n"));
    }
    if !locks.is_empty() {
        locks.push_str("trusted-domains partner.example\n");
    }
    format!(
        "fax {name} {{\n domains {name}.fax.test\n organisation Clinic\n\
         main-number \"+1 202 555 0199\"\n country US\n user ann@clinic.example\n {locks}\
         transport none\n notices off\n}}\n"
    )
}

fn world(mode: &str) -> World {
    let lab = Lab::new();
    let dns = lab.dns(Records::new());
    let accounts: String = ["off", "on"]
        .iter()
        .flat_map(|list| ["off", "accept", "reject"].map(|protection| account(list, protection)))
        .collect();
    let server = Server::start(&format!(
        "hostname mail.test\n\
         data @DIR@/data\n\
         dns {{ server {}; timeout 300ms; attempts 1; cache off }}\n\
         certificate mail {{ local-authority; names mail.test }}\n\
         listener mx {{ address 127.0.0.1; port 0; tls starttls; certificate mail; auth optional; proxy-protocol from 127.0.0.1 }}\n\
         domain clinic.example {{ mailboxes local }}\n\
         domain evil.example {{ mailboxes local }}\n\
         sender-authentication {{ mode {mode} }}\n\
         bans {{ incidents off }}\n\
         {accounts}",
        dns.address()
    ));
    World::of(lab, dns, server)
}

/// The zone under which SPF of every domain comes out as `spf`.
fn zone(spf: &str, key: &Key) -> Records {
    let mut records = Records::new().ttl(0);
    for domain in ["clinic.example", "partner.example", "evil.example"] {
        records = match spf {
            "pass" => records.txt(domain, "v=spf1 +all"),
            "fail" => records.txt(domain, "v=spf1 -all"),
            "softfail" => records.txt(domain, "v=spf1 ~all"),
            "neutral" => records.txt(domain, "v=spf1 ?all"),
            "none" => records.txt(domain, "no record of SPF"),
            "temperror" => records.behave(domain, Behaviour::ServFail),
            "permerror" => records.txt(domain, "v=spf1 nonsense -all"),
            other => panic!("{other} is no result of SPF"),
        };
    }
    records = add(records, "_dmarc.clinic.example TXT v=DMARC1; p=none");
    records.txt("e._domainkey.clinic.example", &key.record())
}

fn message(author: &str, key: &Key) -> String {
    let authors = author.trim_end_matches('!').replace('+', ", ");
    let from = if author == "-" { String::new() } else { format!("From: {authors}\r\n") };
    let message = format!("{from}Subject: a fax\r\n\r\nThe referral.\r\n");
    if !author.ends_with('!') {
        return message;
    }
    let domain = authors.split('@').nth(1).expect("an address");
    let tags = format!("v=1; a=ed25519-sha256; c=relaxed/relaxed; d={domain}; s=e; h=from");
    sign(&message, "DKIM-Signature", &tags, key)
}

/// What the server must say.
fn reply_of(outcome: &str) -> &'static str {
    match outcome {
        "registered" | "trusted" => "250 2.0.0",
        "unknown-sender" => "550 5.7.1 This sender may not send faxes here",
        "white-list" => "550 5.7.1 This mail server may not send faxes here",
        "spoofing" => "550 5.7.23 SPF does not confirm",
        "spf-unavailable" => "451 4.7.24 SPF of the sender's domain cannot be checked",
        "misaligned" => "550 5.7.1 The author is not of the sender's domain",
        other => panic!("{other} is no outcome"),
    }
}

/// The same over TLS after signing in, by swaks.
fn say_signed_in(world: &World, sending: &Sending<'_>, account: &str) -> String {
    let mut swaks = Command::new(program("swaks"));
    swaks.args(["--server", &world.server.address("mx").to_string(), "--data", "-"]);
    swaks.args(["--from", sending.from, "--to", sending.to, "--tls", "--auth", "PLAIN"]);
    swaks.args(["--auth-user", account, "--auth-password", PASSWORD, "--helo", sending.helo]);
    swaks.args(["--proxy-family", "TCP4", "--proxy-source", &sending.client.to_string()]);
    swaks.args(["--proxy-source-port", "4711", "--proxy-dest", "203.0.113.1"]);
    swaks.args(["--proxy-dest-port", "25"]);
    let said = run_with_input(&mut swaks, sending.message.as_bytes()).stdout;
    // Over TLS, a refusal has a star.
    let mut replies = said
        .lines()
        .filter_map(|line| line.strip_prefix("<~* ").or_else(|| line.strip_prefix("<~  ")));
    let last = replies.rfind(|reply| !reply.starts_with("221"));
    last.unwrap_or_else(|| panic!("{said}")).to_owned()
}

/// Plays the rows that `plays` wants; says how many there were.
fn play(mode: &str, plays: impl Fn(&[&str]) -> bool) -> usize {
    let world = world(mode);
    let key = Key::ed25519();
    for account in ["ann@clinic.example", "bob@clinic.example", "eve@evil.example"] {
        world.server.account(account, PASSWORD);
    }
    let mut wrong = String::new();
    let mut played = 0;
    for line in TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let row: Vec<&str> = line.split(" | ").collect();
        let &[white_list, protection, client, spf, sender, author, signed_in, outcome] = &row[..]
        else {
            panic!("a row has eight columns: {line}")
        };
        let is_unlocked = white_list == "off" && protection == "off";
        if (is_unlocked && sender.ends_with("@partner.example")) || !plays(&row) {
            continue;
        }
        world.publish(zone(spf, &key));
        let client: IpAddr = client.parse().expect("an address");
        let sending = Sending {
            client,
            helo: "client.test",
            from: if sender == "<>" { "" } else { sender },
            to: &format!("2025550123@w-{white_list}-p-{protection}.fax.test"),
            message: &message(author, &key),
        };
        let reply = match signed_in {
            "-" => world.send(&sending),
            account => say_signed_in(&world, &sending, account),
        };
        if !reply.starts_with(reply_of(outcome)) {
            wrong.push_str(&format!("{line}\n    the server said: {reply}\n"));
        }
        played += 1;
    }
    assert!(wrong.is_empty(), "{wrong}");
    played
}

#[test]
fn every_row_of_the_fax_decision_table_holds_over_smtp() {
    let played = play("annotate", |_| true);
    assert!(played >= PLAYED_MIN, "{played} rows");
}

#[test]
fn explain_says_of_a_fax_what_spf_would_make_of_it() {
    let world = world("off");
    let key = Key::ed25519();
    let explained = |more: &[&str]| {
        let fax = ["--to", "2025550123@w-off-p-reject.fax.test", "--client", "10.1.2.3"];
        let arguments = [&["explain", "--from", "ann@clinic.example"], &fax[..], more].concat();
        let output = world.server.run(&arguments);
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    for (spf, by) in [
        ("pass", None),
        ("softfail", Some("fax-spoofing-protection")),
        ("fail", Some("fax-spoofing-protection")),
        ("temperror", Some("fax-spf-unavailable")),
    ] {
        // Of the zone as it is, and of what is said of it.
        world.publish(zone(spf, &key));
        let asked = explained(&[]);
        world.publish(Records::new());
        let given = explained(&["--spf", spf]);
        for (is_taken, text) in [asked, given] {
            assert_eq!(is_taken, by.is_none(), "{spf}: {text}");
            assert!(by.is_none_or(|by| text.contains(by)), "{spf}: {text}");
        }
    }
}

#[test]
fn spoofing_protection_asks_spf_even_where_senders_are_not_checked() {
    let played = play("off", |row| row[1] != "off" && !row[5].ends_with('!'));
    assert!(played > 40, "{played} rows");
}
