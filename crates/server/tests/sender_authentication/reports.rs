//! Reports that are sent: what came in a domain's name is told to the server of that domain.

use std::fs;
use std::net::IpAddr;
use std::process::Command;

use lab::Records;

use crate::signing::{Key, sign};
use crate::support::examples::root;
use crate::support::partners::Lab;
use crate::support::peers::{program, run, run_with_input};
use crate::support::{Server, wait_for};
use crate::world::{Sending, World, add};

/// Reports about `author.test` arrive here.
fn author() -> Server {
    Server::start(
        "hostname mx.author.test\n\
         data @DIR@/data\n\
         listener mx { address 127.0.0.1; port 0; tls off }\n\
         domain author.test { recipients any; deliver-to maildir @DIR@/maildir }\n\
         domain else.test { recipients any; deliver-to maildir @DIR@/maildir }\n\
         sender-authentication { mode off }\n\
         dmarc-reports { receive-at dmarc@author.test }\n",
    )
}

fn receiver(author: &Server) -> World {
    let lab = Lab::new();
    let dns = lab.dns(Records::new());
    let at = author.address("mx");
    let server = Server::start(&format!(
        "hostname mail.test\n\
         data @DIR@/data\n\
         dns {{ server {}; timeout 500ms; attempts 1; cache off }}\n\
         mx {{ author.test {at}; else.test {at} }}\n\
         listener mx {{ address 127.0.0.1; port 0; tls off; proxy-protocol from 127.0.0.1 }}\n\
         domain inside.test {{ recipients any; deliver-to maildir @DIR@/maildir }}\n\
         sender-authentication {{ mode annotate }}\n\
         dmarc-reports {{ send on }}\n",
        dns.address()
    ));
    World::of(lab, dns, server)
}

fn records(permission: bool) -> Records {
    let rua = "mailto:dmarc@author.test!1m,mailto:dmarc@else.test";
    let mut lines = vec![
        "author.test TXT v=spf1 ip4:192.0.2.1 -all".to_owned(),
        format!("_dmarc.author.test TXT v=DMARC1; p=quarantine; aspf=s; rua={rua}"),
        "quiet.test TXT v=spf1 -all".to_owned(),
        "_dmarc.quiet.test TXT v=DMARC1; p=none".to_owned(),
    ];
    if permission {
        lines.push("author.test._report._dmarc.else.test TXT v=DMARC1".to_owned());
    }
    lines.iter().fold(Records::new().ttl(0), |records, line| add(records, line))
}

fn send(world: &World, client: &str, domain: &str) {
    let client: IpAddr = client.parse().unwrap();
    let reply = world.send(&Sending {
        client,
        helo: "client.test",
        from: &format!("ann@{domain}"),
        to: "bob@inside.test",
        message: &format!("From: Ann <ann@{domain}>\r\nSubject: a case\r\n\r\nText\r\n"),
    });
    assert!(reply.starts_with("250"), "{reply}");
}

#[test]
fn a_domain_that_wants_reports_learns_who_sent_in_its_name() {
    let author = author();
    let world = receiver(&author);
    world.publish(records(false));
    send(&world, "192.0.2.1", "author.test");
    send(&world, "192.0.2.1", "author.test");
    send(&world, "198.51.100.66", "author.test");
    send(&world, "198.51.100.66", "quiet.test");
    // The day is not over.
    assert_eq!(world.server.ok(&["dmarc", "send"]), "0 reports sent\n");
    // What was counted survives a restart; else.test has not said that it wants reports.
    let mut world = world;
    world.server.terminate();
    world.server.wait_until_gone();
    world.server.restart();
    assert_eq!(world.server.ok(&["dmarc", "send", "--today"]), "1 report sent\n");
    let reports = || -> serde_json::Value {
        serde_json::from_str(&author.ok(&["dmarc", "reports", "--json"])).unwrap()
    };
    let found = wait_for(|| reports()["reports"].as_array().unwrap().first().cloned());
    let report = found.unwrap_or_else(|| panic!("no report came: {}", world.server.log()));
    assert_eq!(report["organisation"], "mail.test");
    assert_eq!((&report["messages"], &report["passed"]), (&3.into(), &2.into()), "{report}");
    let sources = author.ok(&["dmarc", "sources", "author.test"]);
    assert!(sources.contains("192.0.2.1") && sources.contains("198.51.100.66"), "{sources}");
    // It is told once.
    assert_eq!(world.server.ok(&["dmarc", "send", "--today"]), "0 reports sent\n");

    world.publish(records(true));
    send(&world, "192.0.2.1", "author.test");
    assert_eq!(world.server.ok(&["dmarc", "send", "--today"]), "2 reports sent\n");
    let mail = author.wait_for_mail("dmarc@else.test", 1).join("");
    assert!(mail.contains("filename=\"mail.test!author.test!"), "{mail}");
}

#[test]
fn our_report_is_read_by_python_and_valid_by_the_schema_of_rfc_7489() {
    let author = author();
    let world = receiver(&author);
    let key = Key::rsa();
    let record =
        "_dmarc.author.test TXT v=DMARC1; p=reject; pct=60; fo=1; rua=mailto:dmarc@else.test";
    let lines = [
        "author.test TXT v=spf1 ip4:192.0.2.1 -all",
        record,
        "author.test._report._dmarc.else.test TXT v=DMARC1",
        "client.test TXT v=spf1 ip6:2001:db8::7 -all",
        "_dmarc.trying.author.test TXT v=DMARC1; p=reject; t=y; rua=mailto:dmarc@else.test",
        "trying.author.test._report._dmarc.else.test TXT v=DMARC1",
    ];
    let records = lines.iter().fold(Records::new().ttl(0), |records, line| add(records, line));
    world.publish(records.txt("s._domainkey.author.test", &key.record()));
    let message = "From: Ann <ann@author.test>\r\nSubject: a case\r\n\r\nText\r\n";
    let tags = "v=1; a=rsa-sha256; c=relaxed/relaxed; d=author.test; s=s; h=from:subject";
    let signed = sign(message, "DKIM-Signature", tags, &key);
    let torn = signed.replace("Text", "Other text");
    let trying = message.replace("@author.test", "@trying.author.test");
    for (client, from, message) in [
        ("192.0.2.1", "ann@author.test", signed.as_str()),
        ("198.51.100.66", "x@elsewhere.test", &torn),
        ("2001:db8::7", "", message),
        ("198.51.100.66", "ann@trying.author.test", &trying),
    ] {
        let client: IpAddr = client.parse().unwrap();
        let to = "bob@inside.test";
        let reply = world.send(&Sending { client, helo: "client.test", from, to, message });
        assert!(reply.starts_with("250"), "{reply}");
    }
    assert_eq!(world.server.ok(&["dmarc", "send", "--today"]), "2 reports sent\n");
    let mut read = String::new();
    for mail in author.wait_for_mail("dmarc@else.test", 2) {
        let file = author.dir().join("report.eml");
        fs::write(&file, &mail).unwrap();
        let script = root().join("tests/interop/dmarc_report.py");
        let xml = run(Command::new(program("python3")).arg(script).arg(&file)).ok();
        let schema = root().join("crates/server/tests/sender_authentication/rfc7489.xsd");
        let mut xmllint = Command::new(program("xmllint"));
        xmllint.arg("--noout").arg("--schema").arg(schema).arg("-");
        let valid = run_with_input(&mut xmllint, xml.as_bytes());
        assert_eq!(valid.code, Some(0), "{}\n{xml}", valid.all());
        read.push_str(&xml);
    }
    for told in [
        "<pct>60</pct>",
        "<fo>1</fo>",
        "<envelope_from></envelope_from>",
        "<scope>helo</scope>",
        "<scope>mfrom</scope>",
        "<source_ip>2001:db8::7</source_ip>",
        "<selector>s</selector>",
    ] {
        assert!(read.contains(told), "{told}\n{read}");
    }
}
