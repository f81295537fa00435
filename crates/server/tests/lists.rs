//! Lists, greylisting and reputation through the running server: a real name server, clients
//! by the PROXY protocol.

mod support;

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lab::{Behaviour, Records};
use support::partners::Lab;
use support::{Client, Server, shown, wait_for};

/// A server for `inside.test` behind a balancer, which asks the name server at `dns`.
fn configuration(dns: &str, more: &str) -> String {
    format!(
        "hostname mail.test\n\
         data @DIR@/data\n\
         dns {{ server {dns}; timeout 1s; attempts 1; cache off }}\n\
         sender-authentication {{ mode off }}\n\
         domain inside.test {{ recipients any; deliver-to maildir @DIR@/maildir }}\n\
         listener mx {{ address 127.0.0.1; port 0; tls off; proxy-protocol from 127.0.0.1 }}\n\
         listener page {{ address 127.0.0.1; port 0; protocol metrics }}\n\
         {more}\n"
    )
}

/// A list of clients that passes its test.
fn healthy(records: Records, zone: &str) -> Records {
    records.a(&format!("2.0.0.127.{zone}"), [127, 0, 0, 2])
}

/// A session of a client with this IPv4 address, which has said EHLO.
fn client(server: &Server, ip: &str) -> Client {
    let mut client = Client::connect_silently(server.address("mx"));
    client.send(format!("PROXY TCP4 {ip} 198.51.100.1 4711 25\r\n").as_bytes());
    let greeting = client.reply();
    assert!(greeting.starts_with("220 "), "{greeting}");
    client.expect("EHLO client.example.net", "250");
    client
}

/// The page of metrics.
fn page(server: &Server) -> String {
    let mut scraper = Client::connect_silently(server.address("page"));
    scraper.send(b"GET /metrics HTTP/1.1\r\nHost: mail.test\r\n\r\n");
    scraper.rest()
}

/// What RCPT answers a client with this address.
fn rcpt(server: &Server, ip: &str) -> String {
    let mut client = client(server, ip);
    client.expect("MAIL FROM:<a@example.net>", "250");
    client.say("RCPT TO:<ann@inside.test>")
}

/// What the end of a message answers a client with this address.
fn message(server: &Server, ip: &str, content: &str) -> String {
    client(server, ip).message("a@example.net", &["ann@inside.test"], content)
}

/// The traces of all messages in this state, once there is one.
fn traces(server: &Server, state: &str) -> String {
    let found = wait_for(|| {
        let output = server.run(&["trace", "--domain", "example.net", "--json"]);
        let list: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
        if list["schema"] == "mailkeep.trace/1" {
            // There is only one, so it is shown at once.
            return Some(server.ok(&["trace", "--domain", "example.net"]));
        }
        let rows = list["messages"].as_array()?;
        let wanted = |row: &&serde_json::Value| {
            row["state"].as_str().is_some_and(|found| found.contains(state))
        };
        let ids: Vec<String> =
            rows.iter().filter(wanted).map(|row| row["id"].as_str().unwrap_or("").into()).collect();
        (!ids.is_empty())
            .then(|| ids.iter().map(|id| server.ok(&["trace", id])).collect::<String>())
    });
    found.unwrap_or_else(|| panic!("nothing is {state}: {}", server.log()))
}

/// Waits until `lists status` says this of a list.
fn wait_for_state(server: &Server, list: &str, state: &str) -> serde_json::Value {
    let found = wait_for(|| {
        let output = server.run(&["lists", "status", "--json"]);
        let status: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
        let rows = status["lists"].as_array()?.clone();
        rows.into_iter().find(|row| row["name"] == list && row["state"] == state)
    });
    found.unwrap_or_else(|| {
        panic!(
            "{list} is not {state}: {}\n{}",
            shown(&server.run(&["lists", "status"])),
            server.log()
        )
    })
}

#[test]
fn a_listed_client_is_refused_with_the_reason_and_others_are_not() {
    let lab = Lab::new();
    let records = healthy(Records::new(), "bl.test")
        .a("66.2.0.192.bl.test", [127, 0, 0, 4])
        .txt("66.2.0.192.bl.test", "see https://bl.test/192.0.2.66")
        .a("67.2.0.192.bl.test", [127, 0, 0, 10]);
    let dns = lab.dns(records);
    let server = Server::start(&configuration(
        &dns.address().to_string(),
        "dnsbl bl.test { codes { 127.0.0.4-7 exploits 5 } }",
    ));
    wait_for_state(&server, "bl.test", "works");
    assert_eq!(
        rcpt(&server, "192.0.2.66"),
        "550 5.7.1 Refused: 192.0.2.66 is listed by bl.test (exploits); see https://bl.test/192.0.2.66"
    );
    assert!(rcpt(&server, "192.0.2.65").starts_with("250 "));
    // An answer that no code names is no listing.
    assert!(rcpt(&server, "192.0.2.67").starts_with("250 "));
    // Private addresses are not told to the list.
    assert!(rcpt(&server, "10.0.0.66").starts_with("250 "));
    assert!(!dns.asked().iter().any(|asked| asked.name.starts_with("66.0.0.10.")));
    let trace = traces(&server, "refused");
    assert!(trace.contains("192.0.2.66 is listed by bl.test (exploits): weighs 5"), "{trace}");
    assert!(trace.contains(" dnsbl"), "{trace}");
    let explained = server.run(&[
        "explain",
        "--listener",
        "mx",
        "--client",
        "192.0.2.66",
        "--from",
        "a@example.net",
        "--to",
        "ann@inside.test",
    ]);
    assert!(shown(&explained).contains("192.0.2.66 is listed by bl.test"), "{}", shown(&explained));
    let output = server.run(&["lists", "test", "192.0.2.66", "--json"]);
    let test: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((output.status.code(), &test["score"]), (Some(2), &5.into()), "{test}");
}

#[test]
fn a_list_that_answers_never_holds_no_mail() {
    let lab = Lab::new();
    let dns = lab
        .dns(healthy(Records::new(), "slow.test").behave("7.2.0.192.slow.test", Behaviour::Silent));
    let server = Server::start(&configuration(
        &dns.address().to_string(),
        "dnsbl slow.test { timeout 500ms; test-every 1h }",
    ));
    wait_for_state(&server, "slow.test", "works");
    let began = Instant::now();
    assert!(message(&server, "192.0.2.7", "Subject: x\n\nText").starts_with("250 "));
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    server.wait_for_mail("ann@inside.test", 1);
    // After some failures in a row it is not even asked.
    for _ in 0..4 {
        assert!(rcpt(&server, "192.0.2.7").starts_with("250 "));
    }
    wait_for_state(&server, "slow.test", "suspended");
    let began = Instant::now();
    assert!(rcpt(&server, "192.0.2.7").starts_with("250 "));
    assert!(began.elapsed() < Duration::from_millis(400), "{:?}", began.elapsed());
}

#[test]
fn broken_lists_refuse_nobody_and_raise_an_alarm() {
    let lab = Lab::new();
    let client = "9.2.0.192";
    let listed = |records: Records, zone: &str, answer: [u8; 4]| {
        records.a(&format!("{client}.{zone}"), answer)
    };
    let records = Records::new()
        // Lists everything.
        .a("2.0.0.127.all.test", [127, 0, 0, 2])
        .a("1.0.0.127.all.test", [127, 0, 0, 2])
        // Refuses public resolvers.
        .a("2.0.0.127.refusing.test", [127, 255, 255, 254])
        .a("1.0.0.127.refusing.test", [127, 255, 255, 254])
        // The page of a domain that was sold.
        .a("2.0.0.127.sold.test", [203, 0, 113, 80])
        .a("1.0.0.127.sold.test", [203, 0, 113, 80])
        .behave("2.0.0.127.failing.test", Behaviour::ServFail);
    let records = listed(records, "all.test", [127, 0, 0, 2]);
    let records = listed(records, "nothing.test", [127, 0, 0, 2]);
    let records = listed(records, "refusing.test", [127, 255, 255, 254]);
    let records = listed(records, "sold.test", [203, 0, 113, 80]);
    let records = listed(records, "failing.test", [127, 0, 0, 2]);
    let dns = lab.dns(records.ttl(0));
    let zones = ["all.test", "nothing.test", "refusing.test", "sold.test", "failing.test"];
    let lists: String =
        zones.iter().map(|zone| format!("dnsbl {zone} {{ test-every 1s }}\n")).collect();
    let server = Server::start(&configuration(&dns.address().to_string(), &lists));
    for zone in zones {
        let row = wait_for_state(&server, zone, "suspended");
        assert!(row["fault"].is_string(), "{row}");
    }
    assert!(rcpt(&server, "192.0.2.9").starts_with("250 "));
    assert_eq!(server.run(&["lists", "status"]).status.code(), Some(2));
    assert!(server.ok(&["status"]).contains("ALARM: suspended lists: all.test"));
    assert!(server.log().contains("ALARM"), "{}", server.log());
    let page = page(&server);
    assert!(page.contains("mailkeep_list_suspended{kind=\"all.test\"} 1"), "{page}");
    // It works again as soon as it is in order.
    dns.behave("1.0.0.127.all.test", Behaviour::NxDomain).expect("a name");
    wait_for_state(&server, "all.test", "works");
    assert!(
        rcpt(&server, "192.0.2.9")
            .starts_with("550 5.7.1 Refused: 192.0.2.9 is listed by all.test")
    );
}

#[test]
fn a_list_that_begins_to_refuse_is_suspended_at_once() {
    let lab = Lab::new();
    let dns = lab.dns(
        healthy(Records::new().ttl(0), "bl.test").a("9.2.0.192.bl.test", [127, 255, 255, 255]),
    );
    let server = Server::start(&configuration(
        &dns.address().to_string(),
        "dnsbl bl.test { test-every 1h }",
    ));
    wait_for_state(&server, "bl.test", "works");
    assert!(rcpt(&server, "192.0.2.9").starts_with("250 "));
    let row = wait_for_state(&server, "bl.test", "suspended");
    assert!(row["fault"].as_str().is_some_and(|fault| fault.contains("127.255.255.255")), "{row}");
}

#[test]
fn shadow_lists_record_and_allow_lists_outweigh() {
    let lab = Lab::new();
    let mut records = Records::new();
    for zone in ["bad.test", "shadow.test", "good.test"] {
        records = healthy(records, zone);
    }
    let records = records
        .a("1.2.0.192.bad.test", [127, 0, 0, 2])
        .a("2.2.0.192.bad.test", [127, 0, 0, 2])
        .a("2.2.0.192.good.test", [127, 0, 0, 3])
        .a("3.2.0.192.shadow.test", [127, 0, 0, 2])
        .a("4.2.0.192.bad.test", [127, 0, 0, 2]);
    let dns = lab.dns(records);
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("own.txt"), "198.51.100.0/24  sold us junk\n")
        .expect("written");
    let server = Server::start_in(
        folder,
        &configuration(
            &dns.address().to_string(),
            "dnsbl bad.test { weight 3; except 192.0.2.4 }\n\
         dnsbl shadow.test { action shadow }\n\
         dnsbl good.test { action allow; weight 3 }\n\
         dnsbl own { file @DIR@/own.txt; action score; weight 7 }\n\
         rules { rule much { when all { dnsbl-score over 6 }; reject 550 5.7.1 \"Too much: {dnsbl}\" } }",
        ),
    );
    for list in ["bad.test", "shadow.test", "good.test"] {
        wait_for_state(&server, list, "works");
    }
    assert!(rcpt(&server, "192.0.2.1").starts_with("550 "));
    assert!(rcpt(&server, "192.0.2.2").starts_with("250 "));
    assert!(rcpt(&server, "192.0.2.4").starts_with("250 "));
    assert_eq!(
        rcpt(&server, "198.51.100.9"),
        "550 5.7.1 Too much: 198.51.100.9 is listed by own; sold us junk"
    );
    assert!(message(&server, "192.0.2.2", "Subject: x\n\nText").starts_with("250 "));
    assert!(message(&server, "192.0.2.3", "Subject: x\n\nText").starts_with("250 "));
    let trace = traces(&server, "");
    assert!(trace.contains("listed by shadow.test (127.0.0.2): shadow"), "{trace}");
    assert!(trace.contains("listed by good.test (127.0.0.3): allows 3"), "{trace}");
    assert!(server.log().contains("listed by a shadow list"), "{}", server.log());
}

const LINKS: &str = "\
Subject: offer
From: Shop <news@shop.example.com>
Content-Type: multipart/alternative; boundary=b

--b
Content-Type: text/plain

Hello
--b
Content-Type: text/html
Content-Transfer-Encoding: quoted-printable

<a href=3D\"http://www.ev=
il.com/x\">here</a>
--b--
";

#[test]
fn a_link_to_a_listed_domain_is_refused_however_it_is_encoded() {
    let lab = Lab::new();
    let records = Records::new()
        .a("test.dbl.test", [127, 0, 0, 2])
        .a("evil.com.dbl.test", [127, 0, 0, 4])
        .txt("evil.com.dbl.test", "phishing")
        .a("bad-sender.com.dbl.test", [127, 0, 0, 2])
        .a("test.shadow.test", [127, 0, 0, 2])
        .a("example.com.shadow.test", [127, 0, 0, 2])
        .a("test.broken.test", [127, 0, 0, 2])
        .a("invalid.broken.test", [127, 0, 0, 2])
        .a("fine.com.broken.test", [127, 0, 0, 2]);
    let dns = lab.dns(records);
    let server = Server::start(&configuration(
        &dns.address().to_string(),
        "uribl dbl.test { codes { 127.0.0.&6 abused } }\n\
         uribl shadow.test { action shadow }\n\
         uribl broken.test { }",
    ));
    wait_for_state(&server, "dbl.test", "works");
    wait_for_state(&server, "shadow.test", "works");
    wait_for_state(&server, "broken.test", "suspended");
    let refusal = "550 5.7.1 Refused: evil.com is listed by dbl.test (abused); phishing";
    assert_eq!(message(&server, "192.0.2.1", LINKS), refusal);
    let from = "From: x@bad-sender.com\nSubject: x\n\nText";
    assert!(message(&server, "192.0.2.1", from).contains("bad-sender.com is listed by dbl.test"));
    let fine = "From: x@example.com\nSubject: x\n\nSee https://fine.com/";
    assert!(message(&server, "192.0.2.1", fine).starts_with("250 "));
    let output = server.run(&["lists", "test", "www.evil.com"]);
    assert_eq!(output.status.code(), Some(2), "{}", shown(&output));
    assert!(shown(&output).contains("dbl.test evil.com (abused): reject"), "{}", shown(&output));
    let parts = "--b\nContent-Type: text/plain\n\nhttp://evil.com/\n".repeat(20_000);
    let hostile =
        format!("Subject: x\nContent-Type: multipart/mixed; boundary=b\n\n{parts}--b--\n");
    assert_eq!(message(&server, "192.0.2.1", &hostile), refusal);
}

#[test]
fn strangers_come_again_and_are_known_also_after_a_restart() {
    let lab = Lab::new();
    let dns = lab.dns(Records::new());
    let mut server = Server::start(&configuration(
        &dns.address().to_string(),
        "greylisting { delay 2s; window 1h; allow-after 2; except 198.51.100.0/24 }\n\
         trusted-networks 203.0.113.0/24",
    ));
    client(&server, "192.0.2.1").transcript(
        "C: MAIL FROM:<a@example.net>
         S: 250
         C: RCPT TO:<ann@inside.test>
         S: 451 4.7.1 Greylisted
         C: RCPT TO:<bob@inside.test>
         S: 451 4.7.1 Greylisted",
    );
    // Too soon, and from another host of the network.
    assert!(rcpt(&server, "192.0.2.2").starts_with("451 4.7.1 "));
    for exempt in ["198.51.100.1", "203.0.113.1"] {
        assert!(rcpt(&server, exempt).starts_with("250 "), "{exempt}");
    }
    server.kill();
    server.restart();
    std::thread::sleep(Duration::from_secs(2));
    assert!(rcpt(&server, "192.0.2.2").starts_with("250 "));
    assert!(rcpt(&server, "192.0.2.1").starts_with("250 "));
    // The second triplet makes the whole network known.
    client(&server, "192.0.2.1").transcript(
        "C: MAIL FROM:<a@example.net>
         S: 250
         C: RCPT TO:<bob@inside.test>
         S: 250
         C: RCPT TO:<never-seen@inside.test>
         S: 250",
    );
    assert!(rcpt(&server, "192.0.3.1").starts_with("451 4.7.1 "));
    let page = page(&server);
    assert!(page.contains("mailkeep_greylisting_total{kind=\"waiting\"}"), "{page}");
}

#[test]
fn a_domain_that_spf_proves_is_one_client_from_all_its_networks() {
    let lab = Lab::new();
    let dns = lab.dns(Records::new().txt("example.net", "v=spf1 ip4:192.0.2.0/23 -all"));
    let more = "greylisting { delay 1s; allow-after off }";
    let configuration = configuration(&dns.address().to_string(), more)
        .replace("authentication { mode off }", "authentication { mode annotate }");
    let server = Server::start(&configuration);
    for stranger in ["192.0.2.1", "198.51.100.1"] {
        assert!(rcpt(&server, stranger).starts_with("451 4.7.1 "), "{stranger}");
    }
    std::thread::sleep(Duration::from_secs(1));
    assert!(rcpt(&server, "192.0.3.1").starts_with("250 "), "the same sender, elsewhere");
    assert!(rcpt(&server, "198.51.101.1").starts_with("451 4.7.1 "), "nobody vouches for it");
}

#[test]
fn bad_mail_lowers_a_reputation_that_a_restart_keeps_and_a_rule_reads() {
    let lab = Lab::new();
    let dns = lab.dns(healthy(Records::new(), "bl.test").a("9.2.0.192.bl.test", [127, 0, 0, 2]));
    let mut server = Server::start(&configuration(
        &dns.address().to_string(),
        "dnsbl bl.test { }\n\
         reputation { half-life 7d }\n\
         rules {\n\
           rule slow { when all { reputation under 45 }; tarpit 2s }\n\
           rule bad { when all { reputation under 30 }; reject 550 5.7.1 \"Your reputation\" }\n\
         }",
    ));
    wait_for_state(&server, "bl.test", "works");
    for _ in 0..3 {
        assert!(rcpt(&server, "192.0.2.9").starts_with("550 "));
    }
    // A neighbour in the network that is on no list bears it too.
    let mail = |server: &Server, ip: &str| client(server, ip).say("MAIL FROM:<a@example.net>");
    wait_for(|| (mail(&server, "192.0.2.10") == "550 5.7.1 Your reputation").then_some(()))
        .expect("a bad reputation");
    server.kill();
    server.restart();
    let began = Instant::now();
    assert_eq!(mail(&server, "192.0.2.10"), "550 5.7.1 Your reputation");
    assert!(began.elapsed() >= Duration::from_secs(2), "{:?}", began.elapsed());
    assert!(mail(&server, "192.0.3.10").starts_with("250 "));
}

/// rbldnsd of the distribution, with a list of clients and one of domains.
struct Rbldnsd {
    child: Child,
    _folder: tempfile::TempDir,
    address: String,
}

impl Rbldnsd {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).expect("a zone is written");
        };
        write("clients", ":127.0.0.4:listed, see https://bl.test/?$\n127.0.0.2\n192.0.2.0/28\n");
        write("six", ":127.0.0.2:listed\n0:0:0:0:0:ffff:7f00:2\n2001:db8:bad::/48\n");
        write("names", ":127.0.0.2:bad name\ntest\n.evil.com\n");
        let port = {
            let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
            socket.local_addr().expect("an address").port()
        };
        let child = Command::new("/usr/sbin/rbldnsd")
            .args(["-n", "-b", &format!("127.0.0.1/{port}"), "-w"])
            .arg(folder.path())
            .args(["bl.test:ip4set:clients", "bl.test:ip6trie:six", "dbl.test:dnset:names"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("rbldnsd starts; cargo xtask peers installs it");
        Self { child, _folder: folder, address: format!("127.0.0.1:{port}") }
    }
}

impl Drop for Rbldnsd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn rbldnsd_is_understood_for_both_families_and_for_domains() {
    let rbldnsd = Rbldnsd::start();
    let server = Server::start(&configuration(
        &rbldnsd.address,
        "dnsbl bl.test { test-every 1s }\nuribl dbl.test { test-every 1s }",
    ));
    let row = wait_for_state(&server, "bl.test", "works");
    assert_eq!(row["ipv6"], true, "{row}");
    wait_for_state(&server, "dbl.test", "works");
    let reply = rcpt(&server, "192.0.2.5");
    assert!(reply.contains("192.0.2.5 is listed by bl.test (127.0.0.4); listed, see"), "{reply}");
    assert!(rcpt(&server, "192.0.2.16").starts_with("250 "));
    let mut client = Client::connect_silently(server.address("mx"));
    client.send(b"PROXY TCP6 2001:db8:bad::7 2001:db8::1 4711 25\r\n");
    client.transcript(
        "S: 220
         C: EHLO client.example.net
         S: 250
         C: MAIL FROM:<a@example.net>
         S: 250
         C: RCPT TO:<ann@inside.test>
         S: 550 5.7.1 Refused: 2001:db8:bad::7 is listed by bl.test",
    );
    assert!(message(&server, "192.0.2.99", LINKS).contains("evil.com is listed by dbl.test"));
}
