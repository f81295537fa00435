//! Email to fax over the wire: real sessions, real pages, real files.

mod support;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use fax::work::{Fields, Request};
use fax::{Cover, Language, Paper, Resolution};
use lab::{Partner, Script};
use serde_json::Value;
use support::faxes::{faxes, wait_for_state};
use support::partners::Lab;
use support::{Server, shown, wait_for};

/// A server whose clinic faxes by `transport`, under `security`.
fn clinic(security: &str, transport: &str) -> Server {
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
To: \"Dr. Kim Ortega\" <2025550100@fax.clinic.example>
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

/// The folder of the one fax in the spool.
fn spooled(server: &Server) -> PathBuf {
    spooled_in(server, "spool")
}

fn spooled_in(server: &Server, spool: &str) -> PathBuf {
    wait_for(|| {
        let folders = fs::read_dir(server.dir().join(spool)).ok()?.flatten();
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
    let reply = send(&server, "ann@clinic.example", &["2025550100@fax.clinic.example"], MAIL);
    assert!(reply.starts_with("250"), "{reply}");

    let folder = spooled(&server);
    let job: Value = serde_json::from_slice(&fs::read(folder.join("job.json")).unwrap()).unwrap();
    assert_eq!((&job["number"], &job["pages"]), (&"+12025550100".into(), &1.into()));
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
        "Subject: Fax to +12025550100 was accepted and waits for a line",
        "Subject: Fax to +12025550100 was sent",
        "Auto-Submitted: auto-generated",
        "Subject          Referral",
        "Billing code     4711",
        "Confirmed pages  1",
    ] {
        assert!(mails.contains(says), "{says}: {mails}");
    }

    let trace = server.ok(&["trace", fax["message"].as_str().unwrap()]);
    for says in [
        "to the fax account clinic",
        "+12025550100 queued",
        "dialling",
        "+12025550100 sent, 1 of 1",
    ] {
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
fn a_notice_has_the_pages_where_the_account_says_so() {
    let locks = "mail-server-white-list 127.0.0.1; notice-pages on";
    let server = clinic(locks, "spool @DIR@/spool");
    send(&server, "ann@clinic.example", &["2025550100@fax.clinic.example"], MAIL);
    answer(&spooled(&server), r#"{"state":"sent","pages":1}"#);
    let mails = server.wait_for_mail("ann@clinic.example", 2);
    let (accepted, sent): (Vec<&String>, Vec<&String>) =
        mails.iter().partition(|mail| mail.contains("waits for a line"));
    assert!(!accepted[0].contains("application/pdf"), "{}", accepted[0]);
    let (_, part) = sent[0].split_once("Content-Type: application/pdf").expect("a PDF");
    let part = part.replace("\r\n", "\n");
    let (_, body) = part.split_once("\n\n").unwrap();
    let coded: String = body.lines().take_while(|line| !line.starts_with("--")).collect();
    let pdf = base64::prelude::BASE64_STANDARD.decode(coded).unwrap();
    let id = faxes(&server)[0]["id"].as_str().unwrap().to_owned();
    let drawn = fs::read(server.dir().join(format!("data/fax/{id}.tif"))).unwrap();
    assert!(pdf == pages::paper::pdf(&drawn).unwrap());
}

/// The clinic, with a doctor at another domain that is forced to TLS.
fn clinic_of(ward: &Partner) -> Server {
    let security = "mail-server-white-list 127.0.0.1; notice-pages on; user lee@ward.example";
    Server::start(&format!(
        "{}
        mx {{ ward.example {} }}
        delivery {{ loopback on }}
        force-encrypt {{ ward.example direction out }}",
        configuration(security, "spool @DIR@/spool"),
        ward.address()
    ))
}

#[test]
fn notices_with_pages_go_over_tls_where_it_is_forced_or_not_at_all() {
    let lab = Lab::new();
    let identity = lab.identity("mx.ward.example");
    let ward = lab.partner(Script::named("mx.ward.example").certificate(identity));
    let server = clinic_of(&ward);
    let mail = MAIL.replace("ann@clinic.example", "lee@ward.example");
    send(&server, "lee@ward.example", &["2025550100@fax.clinic.example"], &mail);
    answer(&spooled(&server), r#"{"state":"sent","pages":1}"#);
    let notices = lab.wait_for(&ward, 2);
    assert!(notices.iter().all(|notice| notice.tls.is_some()), "{:?}", ward.transcript());
    assert!(notices.iter().any(|notice| notice.text().contains("application/pdf")));

    let ward = lab.partner(Script::named("mx.ward.example"));
    let server = clinic_of(&ward);
    send(&server, "lee@ward.example", &["2025550100@fax.clinic.example"], &mail);
    answer(&spooled(&server), r#"{"state":"sent","pages":1}"#);
    wait_for_state(&server, "sent");
    let tried = || (ward.counters().connections > 1).then_some(());
    assert!(wait_for(tried).is_some(), "{:?}\n{}", ward.transcript(), server.log());
    assert_eq!(ward.counters().mail, 0, "{:?}", ward.transcript());
    let evidence = server.ok(&["evidence", "export"]);
    assert!(evidence.contains("TLS"), "{evidence}");
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
        ("2025550100/nocovr", "550 5.1.1 No fax is sent: the fax option \"nocovr\" is not known"),
    ] {
        client.expect(&format!("RCPT TO:<{local}@fax.clinic.example>"), says);
    }
    client.expect("RCPT TO:<FAX=+1.202.555-0123/T33S=6377@fax.clinic.example>", "250");
    client.expect("RSET", "250");
    client.expect("MAIL FROM:<eve@evil.example>", "250");
    client.expect("RCPT TO:<2025550100@fax.clinic.example>", "550 5.7.1 This sender may not");
    client.expect("RSET", "250");
    client.expect("MAIL FROM:<>", "250");
    client.expect("RCPT TO:<2025550100@fax.clinic.example>", "550 5.7.1 This sender may not");
    let tested = server.run(&["fax", "test-number", "clinic", "911"]);
    assert!(shown(&tested).contains("emergency") && !tested.status.success());
    assert!(
        server.ok(&["fax", "test-number", "clinic", "(202) 555-0123"]).contains("+12025550123")
    );
}

#[test]
fn seven_digits_ring_in_the_area_of_the_account_and_are_refused_where_there_is_none() {
    for (area, reply) in [
        ("", "550 5.1.1 No fax is sent: the fax number has no area code"),
        ("area-code 202", "250"),
    ] {
        let server = clinic(&format!("mail-server-white-list 127.0.0.1; {area}"), "none");
        let mut client = server.connect("mx");
        client.expect("EHLO client.example", "250");
        client.expect("MAIL FROM:<ann@clinic.example>", "250");
        client.expect("RCPT TO:<5550100@fax.clinic.example>", reply);
        let tested = shown(&server.run(&["fax", "test-number", "clinic", "555-0100"]));
        let says = if area.is_empty() { "no area code" } else { "dialled as +12025550100" };
        assert!(tested.contains(says), "{tested}");
    }
}

#[test]
fn a_number_is_tested_by_the_configuration_alone() {
    let folder = tempfile::TempDir::new().unwrap();
    let here = folder.path().to_str().unwrap();
    let text = configuration("mail-server-white-list 127.0.0.1", "none").replace("@DIR@", here);
    fs::write(folder.path().join("mailkeep.conf"), text).unwrap();
    for (number, says) in [("2025550123", "dialled as +12025550123"), ("911", "emergency")] {
        let tested = support::run(folder.path(), &["fax", "test-number", "clinic", number], b"");
        assert!(shown(&tested).contains(says), "{}", shown(&tested));
        assert_eq!(tested.status.success(), number != "911");
    }
    let none = support::run(folder.path(), &["fax", "test-number", "ward", "911"], b"");
    assert!(shown(&none).contains("There is no fax account") && !none.status.success());
    assert!(!folder.path().join("data").exists(), "it leaves nothing behind");
}

#[test]
fn a_mail_server_that_is_not_on_the_white_list_sends_no_fax_and_explain_says_why() {
    let server = clinic("mail-server-white-list 10.0.0.0/8, 192.0.2.25", "none");
    let mut client = server.connect("mx");
    client.expect("EHLO client.example", "250");
    client.expect("MAIL FROM:<ann@clinic.example>", "250");
    client.expect("RCPT TO:<2025550100@fax.clinic.example>", "550 5.7.1 This mail server may not");
    // Ordinary mail is no business of the fax service.
    client.expect("RCPT TO:<ann@clinic.example>", "250");
    let explained = server.run(&[
        "explain",
        "--from",
        "ann@clinic.example",
        "--to",
        "2025550100@fax.clinic.example",
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
    let to = ["2025550100@fax.clinic.example"];
    let reply = send(&server, "kim@partner.example", &to, MAIL);
    assert!(reply.starts_with("550 5.7.1 The author is not of the sender's domain"), "{reply}");
    let own = MAIL.replace("ann@clinic.example>", "kim@partner.example>");
    let reply = send(&server, "kim@partner.example", &to, &own);
    assert!(reply.starts_with("250"), "{reply}");
    let fax = wait_for_state(&server, "waiting");
    assert_eq!(fax["sender"], "kim@partner.example");
    // Explain judges the author as the session did.
    let explain = |more: &[&str]| {
        let from = ["explain", "--from", "kim@partner.example", "--client", "127.0.0.1", "--to"];
        shown(&server.run(&[&from[..], &to, more].concat()))
    };
    let message = server.dir().join("mail.eml");
    for (mail, author, is_refused) in
        [(MAIL, "ann@clinic.example", true), (own.as_str(), "kim@partner.example", false)]
    {
        fs::write(&message, mail).unwrap();
        for more in [&["--author", author][..], &[message.to_str().unwrap()]] {
            let told = explain(more);
            assert_eq!(
                told.contains("The author is not of the sender's domain"),
                is_refused,
                "{told}"
            );
        }
    }
    assert!(!explain(&[]).contains("The author is not"), "nobody is known before the data");
    // Someone of a trusted domain is not a person here.
    let mut client = server.connect("mx");
    let offered = client.say("EHLO client.example");
    assert!(!offered.contains("AUTH"), "{offered}");
}

#[test]
fn the_same_message_twice_is_one_fax_unless_the_first_was_given_up() {
    let server = clinic("mail-server-white-list 127.0.0.1", "none");
    let to = ["2025550100@fax.clinic.example"];
    let again = |to: &[&str], mail: &str| {
        let reply = send(&server, "ann@clinic.example", to, mail);
        assert!(reply.starts_with("250"), "{reply}");
        reply
    };
    let wait_for_faxes = |count: usize| {
        let all = || Some(faxes(&server)).filter(|faxes| faxes.len() == count);
        wait_for(all).unwrap_or_else(|| panic!("{:?}\n{}", faxes(&server), server.log()))
    };
    again(&to, MAIL);
    let first = wait_for_faxes(1).remove(0);
    // What servers on the way add is no difference; what a person wrote is one.
    let mut second = String::new();
    for number in 2..4 {
        second = again(&to, &format!("Received: from a by b; {number}\n{MAIL}"));
    }
    let id = |reply: &str| reply.split_whitespace().last().unwrap_or_default().to_owned();
    let traced = || {
        let trace = server.run(&["trace", &id(&second)]);
        shown(&trace).contains("this message is faxed already").then_some(())
    };
    assert!(wait_for(traced).is_some(), "{}", shown(&server.run(&["trace", &id(&second)])));
    assert_eq!(wait_for_faxes(1)[0]["id"], first["id"]);
    // Another text, another number, and another name are other faxes.
    again(&to, &MAIL.replace("referral.", "referral!"));
    wait_for_faxes(2);
    again(&["2025550123@fax.clinic.example", to[0]], MAIL);
    wait_for_faxes(3);
    again(&to, &MAIL.replace("<one@", "<two@"));
    wait_for_faxes(4);
    // What was given up may be sent again.
    server.ok(&["fax", "cancel", first["id"].as_str().unwrap()]);
    again(&to, MAIL);
    wait_for_faxes(5);
}

#[test]
fn without_a_transport_a_fax_waits_and_says_so() {
    let server = clinic("mail-server-white-list 127.0.0.1", "none");
    send(&server, "ann@clinic.example", &["2025550100@fax.clinic.example"], MAIL);
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
To: 2025550100@fax.clinic.example
Subject: x
Message-ID: <two@clinic.example>
MIME-Version: 1.0
Content-Type: application/octet-stream; name=\"setup.exe\"
Content-Transfer-Encoding: base64

TVqQAAMAAAAEAAAA
";
    let reply = send(&server, "ann@clinic.example", &["2025550100@fax.clinic.example"], mail);
    assert!(reply.starts_with("250"), "{reply}");
    let mails = server.wait_for_mail("ann@clinic.example", 1).join("\n");
    assert!(mails.contains("setup.exe") && mails.contains("is a program"), "{mails}");
    assert!(faxes(&server).is_empty());
}

#[test]
fn a_language_has_a_template_of_the_accounts_own() {
    let folder = tempfile::TempDir::new().unwrap();
    // It has no place for the text, which shows that it is this one.
    let template = "title {organisation} | TÉLÉCOPIE\nfield À | {to}\nrule\nnotice {notice}\n";
    fs::write(folder.path().join("cover-fr.txt"), template).unwrap();
    let security = "mail-server-white-list 127.0.0.1; cover-template fr cover-fr.txt";
    let server = Server::start_in(folder, &configuration(security, "none"));
    let text = "A line of a long letter.\n".repeat(150);
    for language in ["en", "fr"] {
        let mail = format!(
            "From: ann@clinic.example\nTo: 2025550100@fax.clinic.example\n\
             Subject: {language} [fax: lang={language}]\n\
             Message-ID: <{language}@clinic.example>\n\n{text}"
        );
        let reply = send(&server, "ann@clinic.example", &["2025550100@fax.clinic.example"], &mail);
        assert!(reply.starts_with("250"), "{reply}");
    }
    let drawn = wait_for(|| Some(faxes(&server)).filter(|faxes| faxes.len() == 2));
    let mut pages: Vec<u64> =
        drawn.expect("two faxes").iter().filter_map(|fax| fax["pages"].as_u64()).collect();
    pages.sort_unstable();
    assert!(pages[0] == 1 && pages[1] > 1, "{pages:?}");
}

#[test]
fn a_character_that_no_font_has_is_a_warning_until_a_font_is_named() {
    let chinese = "fonts /usr/share/fonts/truetype/wqy/wqy-microhei.ttc";
    let mail = MAIL
        .replace("please find", "\u{8bf7}\u{67e5}\u{6536}")
        .replace("Date:", "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nDate:");
    for (fonts, warned) in [("", true), (chinese, false)] {
        let security = format!("mail-server-white-list 127.0.0.1; {fonts}");
        let server = clinic(&security, "none");
        let reply = send(&server, "ann@clinic.example", &["2025550100@fax.clinic.example"], &mail);
        assert!(reply.starts_with("250"), "{reply}");
        let notice = server.wait_for_mail("ann@clinic.example", 1).join("\n");
        let fax = wait_for(|| faxes(&server).pop()).expect("a fax");
        let id = fax["id"].as_str().unwrap();
        let shown = server.ok(&["fax", "show", id]);
        let warning = "warning      3 missing glyphs (Chinese characters): ";
        assert_eq!(shown.contains(warning), warned, "{shown}");
        let told: Value = serde_json::from_str(&server.ok(&["fax", "show", id, "--json"])).unwrap();
        assert_eq!(told["missing-glyphs"]["count"] == 3, warned, "{told}");
        assert_eq!(notice.contains("Warning: no font here"), warned, "{notice}");
    }
}

#[test]
fn after_a_crash_in_a_call_the_transport_is_asked_and_nothing_is_sent_twice() {
    let mut server = clinic("mail-server-white-list 127.0.0.1", "spool @DIR@/spool");
    send(&server, "ann@clinic.example", &["2025550100@fax.clinic.example"], MAIL);
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
fn an_uncertain_fax_that_is_cancelled_is_stopped_at_once_and_not_at_the_next_look() {
    let white_list = "mail-server-white-list 127.0.0.1";
    let mut server = clinic(white_list, "spool @DIR@/spool");
    send(&server, "ann@clinic.example", &["2025550100@fax.clinic.example"], MAIL);
    let folder = spooled(&server);
    answer(&folder, r#"{"state":"sending","page":1}"#);
    let fax = wait_for_state(&server, "sending");
    // Nobody can be asked, so the next look is a minute off.
    assert!(server.reload(&configuration(white_list, "none")).status.success());
    server.kill();
    server.restart();
    wait_for_state(&server, "uncertain");
    let reloaded = server.reload(&configuration(white_list, "spool @DIR@/spool"));
    assert!(reloaded.status.success(), "{}", shown(&reloaded));
    assert!(folder.exists());
    let asked = Instant::now();
    server.ok(&["fax", "cancel", fax["id"].as_str().unwrap()]);
    wait_for_state(&server, "cancelled");
    assert!(asked.elapsed() < Duration::from_secs(10), "it took {:?}", asked.elapsed());
    assert!(!folder.exists(), "the other program has it no more");
}

#[test]
fn a_wish_to_stop_outlives_the_server() {
    let white_list = "mail-server-white-list 127.0.0.1";
    let mut server = clinic(white_list, "spool @DIR@/spool");
    send(&server, "ann@clinic.example", &["2025550100@fax.clinic.example"], MAIL);
    let folder = spooled(&server);
    answer(&folder, r#"{"state":"sending","page":1}"#);
    let fax = wait_for_state(&server, "sending");
    assert!(server.reload(&configuration(white_list, "none")).status.success());
    server.kill();
    server.restart();
    wait_for_state(&server, "uncertain");
    server.ok(&["fax", "cancel", fax["id"].as_str().unwrap()]);
    wait_for_state(&server, "cancelling");
    assert!(folder.exists(), "it cannot be stopped without its transport");
    server.kill();
    fs::write(server.dir().join("mailkeep.conf"), {
        let here = server.dir().to_str().unwrap();
        configuration(white_list, "spool @DIR@/spool").replace("@DIR@", here)
    })
    .unwrap();
    server.restart();
    wait_for_state(&server, "cancelled");
    assert!(!folder.exists());
}

#[test]
fn a_busy_line_is_tried_again_and_a_wish_to_stop_is_heard() {
    let server = clinic("mail-server-white-list 127.0.0.1", "spool @DIR@/spool");
    send(&server, "ann@clinic.example", &["2025550100@fax.clinic.example"], MAIL);
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

#[test]
fn the_process_that_draws_can_open_nothing_and_start_nothing() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_mailkeep"))
        .args([fax::work::COMMAND, "draw", "0"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let limits = format!("/proc/{}/limits", child.id());
    let until = Instant::now() + Duration::from_secs(20);
    let limit = |name: &str| -> Option<String> {
        let text = fs::read_to_string(&limits).ok()?;
        let line = text.lines().find(|line| line.starts_with(name))?.to_owned();
        Some(line[name.len()..].split_whitespace().next()?.to_owned())
    };
    // They are set before anything is read, so they stand while it waits for its request.
    while limit("Max file size").as_deref() != Some("0") {
        assert!(Instant::now() < until, "it does not lock itself up");
        std::thread::sleep(Duration::from_millis(20));
    }
    for (name, wanted) in [
        ("Max open files", "3"),
        ("Max processes", "0"),
        ("Max file size", "0"),
        ("Max cpu time", "60"),
        ("Max address space", "1610612736"),
    ] {
        assert_eq!(limit(name).as_deref(), Some(wanted), "{name}");
    }
    let request = Request {
        resolution: Resolution::Standard,
        paper: Paper::A4,
        cover: Cover::Text,
        language: Language::En,
        template: None,
        pages_max: 20,
        leaves_out: false,
        names_left_out: false,
        without: Vec::new(),
        recipients: vec![Fields::default()],
    };
    let mut request = serde_json::to_vec(&request).unwrap();
    request.extend(b"\nFrom: a@example.com\r\n\r\nHello\r\n");
    child.stdin.take().unwrap().write_all(&request).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stdout.starts_with(b"{\"drawn\""));
}

#[test]
fn where_the_best_transport_is_down_the_next_carries_the_fax_and_then_answers_for_it_alone() {
    // Nothing listens on port 1.
    let transports = "hylafax 127.0.0.1:1 for +1
            transport spool @DIR@/spare
            transport spool @DIR@/far for +44";
    let mut server = clinic("mail-server-white-list 127.0.0.1", transports);
    let tested = server.ok(&["fax", "test-number", "clinic", "2025550123"]);
    let by = "by HylaFAX at 127.0.0.1:1, else spool folder";
    assert!(tested.contains(by) && !tested.contains("/far"), "{tested}");

    send(&server, "ann@clinic.example", &["2025550123@fax.clinic.example"], MAIL);
    let folder = spooled_in(&server, "spare");
    let fax = wait_for_state(&server, "dialling");
    assert!(fax["line"].as_str().unwrap().ends_with("/spare"), "{fax}");
    assert_eq!(fax["counters"]["dials"], 2, "{fax}");

    // Nobody knows what became of it: nobody else gets it, and the one that has it is asked.
    server.kill();
    server.restart();
    wait_for_state(&server, "uncertain");
    answer(&folder, r#"{"state":"busy"}"#);
    let fax = wait_for_state(&server, "waiting");
    assert_eq!(fax["counters"]["busy"], 1, "a busy line is no reason to go elsewhere: {fax}");
    assert!(!server.dir().join("far").exists());

    // The next round begins with the best again.
    server.ok(&["fax", "resend", fax["id"].as_str().unwrap()]);
    answer(&spooled_in(&server, "spare"), r#"{"state":"sent","pages":1}"#);
    let fax = wait_for_state(&server, "sent");
    assert_eq!(fax["counters"]["dials"], 4, "{fax}");
    let trace = server.ok(&["trace", fax["message"].as_str().unwrap()]);
    assert!(trace.contains("waiting: the fax line cannot be reached"), "{trace}");
    let shown = server.ok(&["fax", "accounts"]);
    assert!(shown.contains("HylaFAX at 127.0.0.1:1 for +1, spool folder"), "{shown}");
}

#[test]
fn pages_go_first_then_the_record_and_the_evidence_says_so() {
    let kept = "spool @DIR@/spool
            keep-pages 1s
            keep-records 6s";
    let server = clinic("mail-server-white-list 127.0.0.1", kept);
    send(&server, "ann@clinic.example", &["2025550100@fax.clinic.example"], MAIL);
    let folder = spooled(&server);
    let (waiting, files) = (faxes(&server), server.dir().join("data/fax"));
    let id = waiting[0]["id"].as_str().unwrap();
    let file = files.join(format!("{id}.tif"));
    std::thread::sleep(std::time::Duration::from_millis(2_500));
    assert!(file.exists(), "nothing is removed before it has ended");
    answer(&folder, r#"{"state":"sent","pages":1}"#);
    let fax = wait_for_state(&server, "sent");
    assert!(wait_for(|| (!file.exists()).then_some(())).is_some(), "{}", server.log());
    let shown = server.ok(&["fax", "show", id]);
    assert!(shown.contains("its pages, 20") && shown.contains("4711"), "{shown}");
    let table = server.ok(&["fax", "jobs", "--csv"]);
    let mut lines = table.lines();
    assert!(lines.next().unwrap().starts_with("fax,message,account,sender,number,billing,"));
    let line = lines.next().unwrap();
    for says in
        [id, "\"ann@clinic.example\",\"'+12025550100\",\"4711\"", "\"sent\",\"1\",\"1\",\"1\""]
    {
        assert!(line.contains(says), "{says}: {line}");
    }
    assert!(wait_for(|| faxes(&server).is_empty().then_some(())).is_some(), "{}", server.log());
    let trace = server.ok(&["trace", fax["message"].as_str().unwrap()]);
    for says in ["sent: its pages were removed", "sent: what was known of it was removed"] {
        assert!(trace.contains(says), "{says}: {trace}");
    }
}
