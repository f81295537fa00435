//! Faxes that go on by mail: to an off-ramp, and what it reports back.

mod support;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use lab::partner::{Fault, Message, Stage};
use lab::{Partner, Script};
use serde_json::Value;
use support::faxes::{faxes, wait_for_state};
use support::partners::Lab;
use support::{Server, shown, wait_for};

const MAIL: &str = "From: Ann Lee <ann@clinic.example>
To: 2025550100@fax.clinic.example
Subject: Referral
Date: Mon, 2 Mar 2026 10:02:11 +0000
Message-ID: <one@clinic.example>

Dear Dr. Ortega,

please find the referral.
";
const TO: &str = "2025550123@fax.clinic.example";
const OFFRAMP: &str = "FAX=+12025550123@offramp.example";

/// A clinic whose faxes go by `transports`, the off-ramp being at `offramp`.
fn clinic(offramp: SocketAddr, transports: &str, more: &str) -> Server {
    Server::start(&format!(
        "hostname mx.clinic.example
        data @DIR@/data
        listener mx {{ port 0; address 127.0.0.1; tls off }}
        domain clinic.example {{ deliver-to maildir @DIR@/maildir }}
        fax clinic {{
            domains fax.clinic.example
            organisation \"Clinic of Example\"
            main-number \"+1 202 555 0199\"
            country US
            user ann@clinic.example
            mail-server-white-list 127.0.0.1
            {transports}
        }}
        mx {{ offramp.example {offramp} }}
        delivery {{ loopback on }}
        {more}
        "
    ))
}

fn fax_it(server: &Server, to: &str) {
    let mut client = server.connect("mx");
    client.expect("EHLO client.example", "250");
    let reply = client.message("ann@clinic.example", &[to], MAIL);
    assert!(reply.starts_with("250"), "{reply}");
}

/// The fax as the off-ramp got it, once it did.
fn taken(lab: &Lab, partner: &Partner) -> Message {
    lab.wait_for(partner, 1).remove(0)
}

/// A notification to `to`; what the server says to it.
fn report(server: &Server, from: &str, to: &str, envid: &str, action: &str) -> String {
    let mut client = server.connect("mx");
    client.expect("EHLO offramp.example", "250");
    client.expect(&format!("MAIL FROM:<{from}>"), "250");
    let reply = client.say(&format!("RCPT TO:<{to}>"));
    if !reply.starts_with("250") {
        return reply;
    }
    client.expect("DATA", "354");
    let text = format!(
        "From: MAILER-DAEMON@offramp.example\r\nTo: <{to}>\r\nSubject: Report\r\n\
         Date: Mon, 2 Mar 2026 10:03:11 +0000\r\nMessage-ID: <{action}.{envid}@offramp.example>\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n\
         --b\r\nContent-Type: text/plain\r\n\r\nAbout your fax.\r\n\
         --b\r\nContent-Type: message/delivery-status\r\n\r\n\
         Reporting-MTA: dns; offramp.example\r\nOriginal-Envelope-Id: {envid}\r\n\r\n\
         Final-Recipient: rfc822; {OFFRAMP}\r\nAction: {action}\r\nStatus: 5.0.0\r\n\
         Diagnostic-Code: x-fax; the line is busy\r\n--b--\r\n"
    );
    client.send(text.as_bytes());
    client.say(".")
}

/// Runs a program of libtiff-tools.
fn tiff(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program} (Debian package libtiff-tools): {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", shown(&output));
    shown(&output)
}

/// The file in a mail to an off-ramp.
fn tiff_of(content: &str) -> Vec<u8> {
    let end = content.find("\r\n\r\n").unwrap() + 2;
    let (header, body) = content.split_at(end);
    for says in [
        "Content-Type: image/tiff; application=faxbw\r\n",
        "Content-Transfer-Encoding: base64\r\n",
        "MIME-Version: 1.0\r\n",
    ] {
        assert!(header.contains(says), "{header}");
    }
    assert!(!header.contains("Subject") && !header.contains("Referral"), "{header}");
    let body: String = body.split_whitespace().collect();
    base64::prelude::BASE64_STANDARD.decode(body).unwrap()
}

fn same_pages(folder: &Path, one: &Path, other: &Path) {
    let mut plain = Vec::new();
    for (place, file) in [one, other].into_iter().enumerate() {
        let to = folder.join(format!("plain-{place}.tif"));
        tiff(
            "tiffcp",
            &["-c", "none", "-f", "msb2lsb", file.to_str().unwrap(), to.to_str().unwrap()],
        );
        plain.push(to.display().to_string());
    }
    tiff("tiffcmp", &["-t", &plain[0], &plain[1]]);
}

#[test]
fn an_off_ramp_gets_the_very_pages_in_profile_s_and_its_report_is_the_last_word() {
    let lab = Lab::new();
    let offramp = lab.partner(Script::named("offramp.example"));
    let server = clinic(offramp.address(), "transport t37 offramp.example", "");
    fax_it(&server, "FAX=+1.202.555.0123/T33S=6377@fax.clinic.example");
    let got = taken(&lab, &offramp);
    let fax = wait_for_state(&server, "handed over");
    let id = fax["id"].as_str().unwrap();

    assert_eq!(got.recipients[0].address, "FAX=+12025550123/T33S=6377@offramp.example");
    assert!(got.sender_parameters.contains(&"RET=HDRS".to_owned()), "{got:?}");
    assert!(got.sender_parameters.contains(&format!("ENVID={id}")), "{got:?}");
    assert_eq!(got.recipients[0].parameters[0], "NOTIFY=SUCCESS,FAILURE");
    assert!(got.sender.ends_with("@fax.clinic.example"), "{}", got.sender);

    let file = server.dir().join("got.tif");
    fs::write(&file, tiff_of(&got.text())).unwrap();
    let info = tiff("tiffinfo", &[file.to_str().unwrap()]);
    for says in ["CCITT Group 3", "lsb-to-msb", "Image Width: 1728", "204, 196", "Page Number: 0-1"]
    {
        assert!(info.contains(says), "{says}: {info}");
    }
    same_pages(server.dir(), &file, &server.dir().join(format!("data/fax/{id}.tif")));

    // A report counts only where the secret is known, from nobody, about this fax.
    let (path, envid) = (got.sender.as_str(), id);
    let guessed = path.replacen(&path[31..35], "0000", 1);
    let reply = report(&server, "", &guessed, envid, "delivered");
    assert!(reply.starts_with("550 5.1.1"), "{reply}");
    let reply = report(&server, "eve@evil.example", path, envid, "delivered");
    assert!(reply.starts_with("550 5.7.1"), "{reply}");
    for (envid, action) in [("another", "delivered"), (envid, "relayed"), (envid, "expanded")] {
        assert!(report(&server, "", path, envid, action).starts_with("250"), "{action}");
    }
    let ignored = || server.log().matches("a report is ignored").count();
    assert!(wait_for(|| (ignored() == 3).then_some(())).is_some(), "{}", server.log());
    assert_eq!(wait_for_state(&server, "handed over")["confirmed"], 0);

    assert!(report(&server, "", path, envid, "delivered").starts_with("250"));
    let fax = wait_for_state(&server, "sent");
    assert_eq!((&fax["confirmed"], &fax["counters"]["dials"]), (&1.into(), &1.into()));
    // The first report that says so is the last word, whoever sends another.
    assert!(report(&server, "", path, envid, "failed").starts_with("250"));
    assert!(wait_for(|| (ignored() == 4).then_some(())).is_some(), "{}", server.log());
    assert_eq!(faxes(&server)[0]["state"], "sent");

    let trace = server.ok(&["trace", fax["message"].as_str().unwrap()]);
    for says in ["mailed", "handed over", "+12025550123 sent, 1 of 1"] {
        assert!(trace.contains(says), "{says}: {trace}");
    }
    let show = server.ok(&["fax", "show", id]);
    assert!(show.contains("T.37 off-ramp offramp.example"), "{show}");
    let mails = server.wait_for_mail("ann@clinic.example", 3).join("\n");
    for says in ["was handed over", "you hear again when it reports", "was sent"] {
        assert!(mails.contains(says), "{says}: {mails}");
    }
    assert_eq!(offramp.violations(), Vec::<String>::new());
}

#[test]
fn another_mailkeep_as_the_off_ramp_reports_delivery_and_failure_by_itself() {
    let lab = Lab::new();
    // The clinic's address is known only when it runs, so a partner stands in for its MX.
    let back = lab.partner(Script::named("mx.clinic.example"));
    let offramp = Server::start(&format!(
        "hostname mx.offramp.example
        data @DIR@/data
        listener mx {{ port 0; address 127.0.0.1; tls off }}
        domain offramp.example {{ deliver-to maildir @DIR@/maildir; recipients any }}
        mx {{ fax.clinic.example {} }}
        delivery {{ loopback on }}",
        back.address()
    ));
    let server = clinic(offramp.address("mx"), "transport t37 offramp.example", "");
    fax_it(&server, TO);
    wait_for_state(&server, "handed over");
    let report = lab.wait_for(&back, 1).remove(0);
    assert!(report.text().contains("Action: delivered"), "{}", report.text());
    let mut client = server.connect("mx");
    client.expect("EHLO mx.offramp.example", "250");
    let reply = client.message("", &[&report.recipients[0].address], &report.text());
    assert!(reply.starts_with("250"), "{reply}");
    wait_for_state(&server, "sent");
}

#[test]
fn a_report_of_failure_says_why_and_the_sender_hears_it() {
    let lab = Lab::new();
    let offramp = lab.partner(Script::named("offramp.example"));
    let server = clinic(offramp.address(), "transport t37 offramp.example", "");
    fax_it(&server, TO);
    let got = taken(&lab, &offramp);
    let fax = wait_for_state(&server, "handed over");
    let id = fax["id"].as_str().unwrap();
    assert!(report(&server, "", &got.sender, id, "failed").starts_with("250"));
    let fax = wait_for_state(&server, "failed");
    let why = "the off-ramp could not deliver it: the line is busy";
    assert_eq!(fax["detail"], format!("failed: {why}"));
    let mails = server.wait_for_mail("ann@clinic.example", 3).join("\n");
    assert!(mails.contains(why), "{mails}");
}

#[test]
fn a_mail_the_off_ramp_refuses_lets_the_next_transport_carry_the_fax() {
    let lab = Lab::new();
    let offramp = lab.partner(Script::named("offramp.example"));
    offramp.add_fault(Fault::at(Stage::Rcpt).reply("550 5.1.1 We do not call there"));
    let two = "transport t37 offramp.example
            transport spool @DIR@/spool for +44";
    let both = "transport t37 offramp.example for +1202
            transport spool @DIR@/spool";
    // Where no other transport fits, it has failed, in the off-ramp's words.
    let server = clinic(offramp.address(), two, "");
    fax_it(&server, TO);
    let fax = wait_for_state(&server, "failed");
    assert!(fax["detail"].as_str().unwrap().contains("We do not call there"), "{fax}");
    let mails = server.wait_for_mail("ann@clinic.example", 2);
    assert!(mails.iter().all(|mail| !mail.contains("Undelivered")), "{mails:?}");

    let server = clinic(offramp.address(), both, "");
    fax_it(&server, TO);
    // It is `dialling` on the off-ramp's line before, so the line is waited for as well.
    let on_spool = |fax: &Value| {
        fax["state"] == "dialling" && fax["line"].as_str().is_some_and(|at| at.ends_with("/spool"))
    };
    let fax = wait_for(|| faxes(&server).into_iter().find(on_spool));
    let fax = fax.unwrap_or_else(|| panic!("{:?}\n{}", faxes(&server), server.log()));
    let id = fax["id"].as_str().unwrap();
    let document = server.dir().join("spool").join(id).join("document.tif");
    assert!(wait_for(|| document.exists().then_some(())).is_some(), "{}", server.log());
    assert!(offramp.messages().is_empty());
}

#[test]
fn where_tls_is_forced_and_the_off_ramp_has_none_nothing_is_sent_and_the_sender_is_told() {
    let lab = Lab::new();
    let offramp = lab.partner(Script::named("offramp.example"));
    let more = "force-encrypt { offramp.example }";
    let server = clinic(offramp.address(), "transport t37 offramp.example", more);
    fax_it(&server, TO);
    let fax = wait_for_state(&server, "failed");
    assert!(fax["detail"].as_str().unwrap().contains("TLS"), "{fax}");
    let mails = server.wait_for_mail("ann@clinic.example", 2).join("\n");
    assert!(mails.contains("was not sent") && mails.contains("TLS"), "{mails}");
    assert!(offramp.complete_messages().is_empty(), "{:?}", offramp.transcript());
}

#[test]
fn a_crash_sends_nothing_twice_and_a_cancelled_fax_is_not_mailed() {
    let lab = Lab::new();
    let offramp = lab.partner(Script::named("offramp.example"));
    // It takes the fax, and the server is killed before it hears so.
    offramp.add_fault(Fault::at(Stage::Content).silence());
    let mut server = clinic(offramp.address(), "transport t37 offramp.example", "");
    fax_it(&server, TO);
    let got = wait_for(|| offramp.complete_messages().pop())
        .unwrap_or_else(|| panic!("{:?}\n{}", offramp.transcript(), server.log()));
    server.kill();
    offramp.clear_faults();
    server.restart();
    let fax = wait_for_state(&server, "uncertain");
    let id = fax["id"].as_str().unwrap().to_owned();
    server.ok(&["queue", "retry", "--all"]);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(offramp.complete_messages().len(), 1, "{:?}", offramp.transcript());
    assert!(report(&server, "", &got.sender, &id, "delivered").starts_with("250"));
    wait_for_state(&server, "sent");

    // One that waits in the queue waits there after a restart, and may be cancelled.
    offramp.add_fault(Fault::at(Stage::Mail).reply("451 4.3.0 Later"));
    fax_it(&server, "2025550124@fax.clinic.example");
    wait_for_state(&server, "mailed");
    server.kill();
    server.restart();
    let fax = wait_for_state(&server, "mailed");
    server.ok(&["fax", "cancel", fax["id"].as_str().unwrap()]);
    wait_for_state(&server, "cancelled");
    offramp.clear_faults();
    server.ok(&["queue", "retry", "--all"]);
    let is_empty = || server.ok(&["queue", "list"]).contains("Nothing").then_some(());
    assert!(wait_for(is_empty).is_some(), "{}\n{}", server.ok(&["queue", "list"]), server.log());
    assert_eq!(offramp.complete_messages().len(), 1);
}
