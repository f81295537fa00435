//! Reports that are sent: what came in a domain's name is told to the server of that domain.

use std::net::IpAddr;

use lab::Records;

use crate::support::partners::Lab;
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
