//! Email to fax over the wire: real sessions, real pages, real files.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use support::{Server, shown, wait_for};

/// A server whose clinic faxes by `transport`, under `security`.
fn clinic(security: &str, transport: &str) -> Server {
    support::has_drawing_program();
    Server::start(&configuration(security, transport))
}

fn configuration(security: &str, transport: &str) -> String {
    format!(
        "hostname mx.clinic.example
        data @DIR@/data
        control @DIR@/control
        listener mx {{ port 0; address 127.0.0.1; tls off }}
        domain clinic.example {{ deliver-to maildir @DIR@/maildir }}
        domain partner.example {{ deliver-to maildir @DIR@/maildir }}
        fax clinic {{
            domains fax.clinic.example
            organisation \"Clinic of Example\"
            main-number \"+1 202 555 0199\"
            country US
            user ann@clinic.example {{ number \"+1 202 555 0101\" }}
            {security}
            transport {transport}
        }}
        queue {{ retry 1s }}
        "
    )
}

const MAIL: &str = "From: Ann Lee <ann@clinic.example>
To: \"Dr. Kim Ortega\" <5550100@fax.clinic.example>
Subject: Referral [fax: bill=4711]
Date: Mon, 2 Mar 2026 10:02:11 +0000
Message-ID: <one@clinic.example>

Dear Dr. Ortega,

please find the referral.
";

fn send(server: &Server, from: &str, to: &[&str], content: &str) -> String {
    let mut client = server.connect("mx");
    client.expect("EHLO client.example", "250");
    client.message(from, to, content)
}

fn faxes(server: &Server) -> Vec<Value> {
    let answer: Value = serde_json::from_str(&server.ok(&["fax", "jobs", "--json"])).unwrap();
    answer["faxes"].as_array().cloned().unwrap_or_default()
}

/// Waits until there is one fax and it stands so.
fn wait_for_state(server: &Server, state: &str) -> Value {
    wait_for(|| faxes(server).into_iter().find(|fax| fax["state"] == state))
        .unwrap_or_else(|| panic!("no fax is {state}: {:?}\n{}", faxes(server), server.log()))
}

/// The folder of the one fax in the spool.
fn spooled(server: &Server) -> PathBuf {
    wait_for(|| {
        let folders = fs::read_dir(server.dir().join("spool")).ok()?.flatten();
        folders.map(|entry| entry.path()).find(|path| path.extension().is_none())
    })
    .unwrap_or_else(|| panic!("nothing is in the spool\n{}", server.log()))
}

fn answer(folder: &Path, status: &str) {
    fs::write(folder.join("status.new"), status).unwrap();
    fs::rename(folder.join("status.new"), folder.join("status.json")).unwrap();
}

#[test]
fn a_mail_becomes_pages_and_its_sender_hears_how_it_ended() {
    let server = clinic("mail-server-white-list 127.0.0.1", "spool @DIR@/spool");
    let reply = send(&server, "ann@clinic.example", &["5550100@fax.clinic.example"], MAIL);
    assert!(reply.starts_with("250"), "{reply}");

    let folder = spooled(&server);
    let job: Value = serde_json::from_slice(&fs::read(folder.join("job.json")).unwrap()).unwrap();
    assert_eq!((&job["number"], &job["pages"]), (&"+15550100".into(), &1.into()));
    assert_eq!((&job["caller"], &job["billing"]), (&"+12025550101".into(), &"4711".into()));
    let info = Command::new("tiffinfo").arg(folder.join("document.tif")).output();
    let info = shown(&info.expect("tiffinfo (Debian package libtiff-tools)"));
    for says in ["Image Width: 1728 Image Length: 2292", "CCITT Group 4", "Page Number: 0-1"] {
        assert!(info.contains(says), "{info}");
    }

    answer(&folder, r#"{"state":"sending","page":1}"#);
    wait_for_state(&server, "sending");
    answer(&folder, r#"{"state":"sent","pages":1}"#);
    let fax = wait_for_state(&server, "sent");
    assert_eq!((&fax["confirmed"], &fax["billing"]), (&1.into(), &"4711".into()));
    assert!(wait_for(|| (!folder.exists()).then_some(())).is_some(), "the spool keeps nothing");

    let mails = server.wait_for_mail("ann@clinic.example", 2).join("\n");
    for says in [
        "Subject: Fax to +15550100 was accepted and waits for a line",
        "Subject: Fax to +15550100 was sent",
        "Auto-Submitted: auto-generated",
        "Subject          Referral",
        "Billing code     4711",
        "Confirmed pages  1",
    ] {
        assert!(mails.contains(says), "{says}: {mails}");
    }

    let trace = server.ok(&["trace", fax["message"].as_str().unwrap()]);
    for says in
        ["to the fax account clinic", "+15550100 queued", "dialling", "+15550100 sent, 1 of 1"]
    {
        assert!(trace.contains(says), "{says}: {trace}");
    }
    let pictures = server.dir().join("pictures");
    let id = fax["id"].as_str().unwrap();
    let said = server.ok(&["fax", "pages", id, "--to", pictures.to_str().unwrap()]);
    let png = fs::read(said.trim()).unwrap();
    assert!(png.starts_with(b"\x89PNG") && png.len() > 5_000, "{said}");
    assert!(server.ok(&["fax", "show", id]).contains("1, 1 confirmed"));
}

#[test]
fn a_number_that_must_not_ring_is_refused_at_rcpt_in_words() {
    let server = clinic("mail-server-white-list 127.0.0.1", "none");
    let mut client = server.connect("mx");
    client.expect("EHLO client.example", "250");
    client.expect("MAIL FROM:<ann@clinic.example>", "250");
    for (local, says) in [
        ("abc", "550 5.1.1 No fax is sent: it is not a fax number"),
        ("911", "550 5.1.1 No fax is sent: emergency numbers are never called"),
        ("19005550123", "550 5.1.1 No fax is sent: premium-rate"),
        ("5550100/nocovr", "550 5.1.1 No fax is sent: the fax option \"nocovr\" is not known"),
    ] {
        client.expect(&format!("RCPT TO:<{local}@fax.clinic.example>"), says);
    }
    client.expect("RCPT TO:<FAX=+1.202.555-0123/T33S=6377@fax.clinic.example>", "250");
    client.expect("RSET", "250");
    client.expect("MAIL FROM:<eve@evil.example>", "250");
    client.expect("RCPT TO:<5550100@fax.clinic.example>", "550 5.7.1 This sender may not");
    client.expect("RSET", "250");
    client.expect("MAIL FROM:<>", "250");
    client.expect("RCPT TO:<5550100@fax.clinic.example>", "550 5.7.1 This sender may not");
    let tested = server.run(&["fax", "test-number", "clinic", "911"]);
    assert!(shown(&tested).contains("emergency") && !tested.status.success());
    assert!(
        server.ok(&["fax", "test-number", "clinic", "(202) 555-0123"]).contains("+12025550123")
    );
}

#[test]
fn a_mail_server_that_is_not_on_the_white_list_sends_no_fax_and_explain_says_why() {
    let server = clinic("mail-server-white-list 10.0.0.0/8, 192.0.2.25", "none");
    let mut client = server.connect("mx");
    client.expect("EHLO client.example", "250");
    client.expect("MAIL FROM:<ann@clinic.example>", "250");
    client.expect("RCPT TO:<5550100@fax.clinic.example>", "550 5.7.1 This mail server may not");
    // Ordinary mail is no business of the fax service.
    client.expect("RCPT TO:<ann@clinic.example>", "250");
    let explained = server.run(&[
        "explain",
        "--from",
        "ann@clinic.example",
        "--to",
        "5550100@fax.clinic.example",
        "--client",
        "203.0.113.9",
    ]);
    assert!(shown(&explained).contains("fax-mail-server-white-list"), "{}", shown(&explained));
    let accounts = server.ok(&["fax", "accounts"]);
    assert!(accounts.contains("10.0.0.0/8, 192.0.2.25/32"), "{accounts}");
}

#[test]
fn what_the_envelope_proves_is_not_lent_to_another_author() {
    let security = "mail-server-white-list 127.0.0.1; trusted-domains partner.example";
    let server = clinic(security, "none");
    let to = ["5550100@fax.clinic.example"];
    let reply = send(&server, "kim@partner.example", &to, MAIL);
    assert!(reply.starts_with("550 5.7.1 The author is not of the sender's domain"), "{reply}");
    let own = MAIL.replace("ann@clinic.example>", "kim@partner.example>");
    let reply = send(&server, "kim@partner.example", &to, &own);
    assert!(reply.starts_with("250"), "{reply}");
    let fax = wait_for_state(&server, "waiting");
    assert_eq!(fax["sender"], "kim@partner.example");
    // Someone of a trusted domain is not a person here.
    let mut client = server.connect("mx");
    let offered = client.say("EHLO client.example");
    assert!(!offered.contains("AUTH"), "{offered}");
}

#[test]
fn without_a_transport_a_fax_waits_and_says_so() {
    let server = clinic("mail-server-white-list 127.0.0.1", "none");
    send(&server, "ann@clinic.example", &["5550100@fax.clinic.example"], MAIL);
    let fax = wait_for_state(&server, "waiting");
    assert_eq!(fax["detail"], "waiting: no transport is configured, so the fax was not sent");
    assert_eq!(fax["counters"]["dials"], 0);
    let id = fax["id"].as_str().unwrap();
    assert!(server.ok(&["fax", "cancel", id]).contains("is cancelled"));
    let mails = server.wait_for_mail("ann@clinic.example", 2).join("\n");
    assert!(mails.contains("was cancelled") && !mails.contains("was sent"), "{mails}");
}

#[test]
fn a_message_that_cannot_be_faxed_comes_back_with_the_reason() {
    let server = clinic("mail-server-white-list 127.0.0.1", "none");
    let mail = "From: ann@clinic.example
To: 5550100@fax.clinic.example
Subject: x
Message-ID: <two@clinic.example>
MIME-Version: 1.0
Content-Type: application/octet-stream; name=\"setup.exe\"
Content-Transfer-Encoding: base64

TVqQAAMAAAAEAAAA
";
    let reply = send(&server, "ann@clinic.example", &["5550100@fax.clinic.example"], mail);
    assert!(reply.starts_with("250"), "{reply}");
    let mails = server.wait_for_mail("ann@clinic.example", 1).join("\n");
    assert!(mails.contains("setup.exe") && mails.contains("is a program"), "{mails}");
    assert!(faxes(&server).is_empty());
}

#[test]
fn after_a_crash_in_a_call_the_transport_is_asked_and_nothing_is_sent_twice() {
    let mut server = clinic("mail-server-white-list 127.0.0.1", "spool @DIR@/spool");
    send(&server, "ann@clinic.example", &["5550100@fax.clinic.example"], MAIL);
    let folder = spooled(&server);
    answer(&folder, r#"{"state":"sending","page":1}"#);
    wait_for_state(&server, "sending");
    let document = folder.join("document.tif");
    let written = fs::metadata(&document).unwrap().modified().unwrap();
    server.kill();
    server.restart();
    wait_for_state(&server, "uncertain");
    assert_eq!(fs::metadata(&document).unwrap().modified().unwrap(), written);
    answer(&folder, r#"{"state":"sent","pages":1}"#);
    let fax = wait_for_state(&server, "sent");
    assert_eq!(fax["counters"]["dials"], 1);
    let trace = server.ok(&["trace", fax["message"].as_str().unwrap()]);
    assert!(trace.contains("uncertain"), "{trace}");
}

#[test]
fn a_busy_line_is_tried_again_and_a_wish_to_stop_is_heard() {
    let server = clinic("mail-server-white-list 127.0.0.1", "spool @DIR@/spool");
    send(&server, "ann@clinic.example", &["5550100@fax.clinic.example"], MAIL);
    answer(&spooled(&server), r#"{"state":"busy"}"#);
    let fax = wait_for_state(&server, "waiting");
    assert_eq!(fax["counters"]["busy"], 1);
    let id = fax["id"].as_str().unwrap();
    server.ok(&["fax", "resend", id]);
    let folder = spooled(&server);
    wait_for_state(&server, "dialling");
    server.ok(&["fax", "cancel", id]);
    wait_for_state(&server, "cancelled");
    assert!(!folder.exists());
}
