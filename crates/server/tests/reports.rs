//! Reports about our domains: what arrives is read, kept and shown, and nothing hostile harms.

mod support;

use std::io::Write;
use std::process::Command;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use support::peers::{program, run_with_input};
use support::{Server, wait_for};

const PASSWORD: &str = "correct horse battery staple";

fn start() -> Server {
    let server = Server::start(
        "hostname mail.inside.test\n\
         postmaster ann@inside.test\n\
         data @DIR@/data\n\
         certificate mail { local-authority; names mail.inside.test }\n\
         listener mx { address 127.0.0.1; port 0; tls starttls; certificate mail }\n\
         domain inside.test { mailboxes local }\n\
         sender-authentication { mode off }\n\
         dmarc-reports { receive-at dmarc@inside.test }\n",
    );
    server.account("ann@inside.test", PASSWORD);
    server
}

fn xml(organisation: &str, domain: &str, count: u64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let begin = now.as_secs() - 86_400;
    format!(
        "<?xml version=\"1.0\"?><feedback><report_metadata><org_name>{organisation}</org_name>\
         <email>x@receiver.test</email><report_id>{organisation}-1</report_id><date_range>\
         <begin>{begin}</begin><end>{}</end></date_range></report_metadata><policy_published>\
         <domain>{domain}</domain><p>none</p></policy_published>\
         <record><row><source_ip>192.0.2.7</source_ip><count>{count}</count><policy_evaluated>\
         <disposition>none</disposition><dkim>pass</dkim><spf>fail</spf></policy_evaluated></row>\
         <identifiers><header_from>{domain}</header_from></identifiers><auth_results/></record>\
         <record><row><source_ip>198.51.100.9</source_ip><count>1</count><policy_evaluated>\
         <disposition>none</disposition><dkim>fail</dkim><spf>fail</spf></policy_evaluated></row>\
         <identifiers><header_from>{domain}</header_from></identifiers><auth_results/></record>\
         </feedback>",
        begin + 86_399
    )
}

/// Packed by the gzip of the distribution.
fn gzip(content: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program("gzip"))
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("gzip");
    let mut input = child.stdin.take().unwrap();
    let content = content.to_vec();
    let writer = std::thread::spawn(move || input.write_all(&content));
    let output = child.wait_with_output().expect("gzip ends");
    writer.join().unwrap().unwrap();
    output.stdout
}

/// Sends an attachment to the address for reports, with swaks.
fn send(server: &Server, kind: &str, attachment: &[u8]) {
    let mut encoded = String::new();
    for line in BASE64_STANDARD.encode(attachment).as_bytes().chunks(76) {
        encoded.push_str(std::str::from_utf8(line).unwrap());
        encoded.push('\n');
    }
    let message = format!(
        "From: reports@receiver.test\nTo: dmarc@inside.test\nSubject: Report Domain: inside.test\n\
         MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"b\"\n\n\
         --b\nContent-Type: text/plain\n\nA report.\n\n--b\nContent-Type: {kind}\n\
         Content-Transfer-Encoding: base64\n\n{encoded}\n--b--\n"
    );
    let mut swaks = Command::new(program("swaks"));
    swaks.args(["--server", &server.address("mx").to_string(), "--data", "-"]);
    swaks.args(["--from", "reports@receiver.test", "--to", "dmarc@inside.test"]);
    run_with_input(&mut swaks, message.as_bytes()).ok();
}

fn reports(server: &Server) -> serde_json::Value {
    serde_json::from_str(&server.ok(&["dmarc", "reports", "--json"])).unwrap()
}

#[test]
fn a_report_that_arrives_is_kept_once_and_shown_with_its_sources() {
    let server = start();
    let report = xml("receiver.test", "inside.test", 11);
    send(&server, "application/gzip", &gzip(report.as_bytes()));
    send(&server, "application/gzip", &gzip(report.as_bytes()));
    send(&server, "text/xml", xml("other.test", "inside.test", 3).as_bytes());
    let shown = reports(&server);
    let list = shown["reports"].as_array().unwrap();
    assert_eq!(list.len(), 2, "{shown}");
    let one = list.iter().find(|r| r["organisation"] == "receiver.test").unwrap();
    assert_eq!((&one["messages"], &one["passed"]), (&12.into(), &11.into()));
    let text = server.ok(&["dmarc", "reports", "--domain", "inside.test"]);
    assert!(text.contains("91.7% passed"), "{text}");
    let sources = server.ok(&["dmarc", "sources", "inside.test"]);
    assert!(
        sources.contains("192.0.2.7") && sources.contains("2 sources from 2 reports"),
        "{sources}"
    );
    assert!(server.maildir_in("data/mail", "ann@inside.test").is_empty(), "no report is mail");
    let dns = server.ok(&["dns", "inside.test"]);
    assert!(dns.contains("rua=mailto:dmarc@inside.test"), "{dns}");
}

#[test]
fn what_is_no_report_about_us_goes_to_the_postmaster_and_harms_nobody() {
    let server = start();
    let bomb = gzip(&vec![b'<'; 200 * 1024 * 1024]);
    send(&server, "application/gzip", &bomb);
    let laughs =
        "<!DOCTYPE x [<!ENTITY a \"aaaaaaaa\"><!ENTITY b \"&a;&a;&a;\">]><feedback>&b;</feedback>";
    send(&server, "application/gzip", &gzip(laughs.as_bytes()));
    send(&server, "application/xml", "<a>".repeat(100_000).as_bytes());
    send(&server, "application/zip", b"PK\x03\x04nothing");
    send(&server, "application/gzip", &gzip(xml("eve.test", "stranger.test", 1).as_bytes()));
    assert_eq!(reports(&server)["reports"].as_array().unwrap().len(), 0);
    wait_for(|| (server.maildir_in("data/mail", "ann@inside.test").len() == 5).then_some(()))
        .expect("the postmaster sees what came");
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib: u64 = peak.trim().trim_end_matches(" kB").trim().parse().unwrap();
    assert!(kib < 400 * 1024, "at most {kib} KiB");
}
