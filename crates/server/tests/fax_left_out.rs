//! Attachments that cannot become pages, where the account has them left out: real sessions, the
//! pages as they are sent.

mod support;

use std::fs;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use support::Server;
use support::faxes::wait_for_fax;

/// A server that leaves out what is bad, with `more` in its account.
fn clinic(more: &str) -> Server {
    Server::start(&format!(
        "hostname mx.clinic.example
        data @DIR@/data
        control @DIR@/control
        listener mx {{ port 0; address 127.0.0.1; tls off }}
        domain clinic.example {{ deliver-to maildir @DIR@/maildir }}
        fax clinic {{
            domains fax.clinic.example
            organisation Clinic
            main-number \"+1 202 555 0199\"
            country US
            office /nowhere/soffice
            user ann@clinic.example
            mail-server-white-list 127.0.0.1
            bad-attachments leave-out
            {more}
        }}
        queue {{ retry 1s }}
        "
    ))
}

/// Sends a text with files.
fn send(server: &Server, to: &str, text: &str, files: &[(&str, &[u8])]) {
    let mut mail = format!(
        "From: ann@clinic.example\nSubject: files\nMessage-ID: <one@clinic.example>\n\
         MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n\
         --b\nContent-Type: text/plain\n\n{text}\n"
    );
    for (name, octets) in files {
        let kind = if name == &LETTER.0 { "text/plain" } else { "application/octet-stream" };
        mail.push_str(&format!(
            "--b\nContent-Type: {kind}; name=\"{name}\"\n\
             Content-Disposition: attachment; filename=\"{name}\"\n\
             Content-Transfer-Encoding: base64\n\n{}\n",
            STANDARD.encode(octets)
        ));
    }
    mail.push_str("--b--\n");
    let mut client = server.connect("mx");
    client.expect("EHLO client.example", "250");
    let reply = client.message("ann@clinic.example", &[to], &mail);
    assert!(reply.starts_with("250"), "{reply}");
}

const PROGRAM: (&str, &[u8]) = ("setup.exe", b"MZ\x90\0");
const LETTER: (&str, &[u8]) = ("letter.txt", b"The letter of 4711.\n");

/// Its pages as pictures, in their order.
fn pictures(server: &Server, fax: &Value, test: &str) -> Vec<Vec<u8>> {
    let to = server.dir().join("pages");
    let id = fax["id"].as_str().unwrap();
    let said = server.ok(&["fax", "pages", id, "--to", to.to_str().unwrap()]);
    let paths: Vec<PathBuf> = said.lines().map(PathBuf::from).collect();
    if let Some(shown) = std::env::var_os("LEFT_OUT_SHOWN").map(PathBuf::from) {
        for (number, path) in (1..).zip(&paths) {
            fs::copy(path, shown.join(format!("{test}-{number}.png"))).unwrap();
        }
    }
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

#[test]
fn a_bad_attachment_is_left_out_and_the_cover_page_and_the_notice_say_so() {
    for (language, to) in
        [("en", "2025550100@fax.clinic.example"), ("fr", "2025550100/lang=fr@fax.clinic.example")]
    {
        let server = clinic("");
        let office: (&str, &[u8]) = ("report.rtf", b"{\\rtf1 x}");
        send(&server, to, "See the letter.", &[PROGRAM, office, LETTER]);
        let fax = wait_for_fax(&server);
        assert_eq!(fax["pages"], 2, "a cover page and the letter: {fax}");
        let with_note = pictures(&server, &fax, language);

        let program = "\"setup.exe\" is a program, which cannot be faxed";
        let office = "\"report.rtf\" is an office file that could not be made a PDF";
        let notice = server.wait_for_mail("ann@clinic.example", 1).join("\n");
        let id = fax["id"].as_str().unwrap();
        let shown = server.ok(&["fax", "show", id]);
        let trace = server.ok(&["trace", fax["message"].as_str().unwrap()]);
        for says in [program, office] {
            assert!(notice.contains(says), "{notice}");
            assert!(shown.contains(&format!("left out     {says}")), "{shown}");
        }
        assert!(notice.contains("not everything is in the fax"), "{notice}");
        assert!(trace.contains(&format!("queued; left out: {program}; {office}")), "{trace}");
        let told: Value = serde_json::from_str(&server.ok(&["fax", "show", id, "--json"])).unwrap();
        assert_eq!(told["left-out"][0]["name"], "setup.exe", "{told}");
        assert_eq!(told["left-out"][1]["why"], "not-converted", "{told}");

        // The letter is the same without the others, and the cover page is not.
        let server = clinic("");
        send(&server, to, "See the letter.", &[LETTER]);
        let without = pictures(&server, &self::wait_for_fax(&server), &format!("{language}-whole"));
        assert_eq!(without.len(), 2);
        assert!(with_note[0].len() > without[0].len() + 1_000, "the cover page has a note");
    }
}

#[test]
fn without_a_cover_page_a_page_of_its_own_says_what_is_not_there() {
    let server = clinic("cover never; subject private");
    send(&server, "2025550100@fax.clinic.example", "", &[PROGRAM, LETTER]);
    let fax = wait_for_fax(&server);
    assert_eq!(fax["pages"], 2, "{fax}");
    assert!(pictures(&server, &fax, "note")[0].len() > 2_000);
    // What is private is not told by the name of a file either.
    let notice = server.wait_for_mail("ann@clinic.example", 1).join("\n");
    let shown = server.ok(&["fax", "show", fax["id"].as_str().unwrap()]);
    let evidence = server.ok(&["evidence", "export"]);
    for text in [&notice, &shown, &evidence] {
        assert!(text.contains("an attachment is a program, which cannot be faxed"), "{text}");
        assert!(!text.contains("setup.exe"), "{text}");
    }
}

#[test]
fn where_nothing_is_left_the_message_comes_back() {
    let server = clinic("");
    send(&server, "2025550100@fax.clinic.example", "", &[PROGRAM]);
    let mail = server.wait_for_mail("ann@clinic.example", 1).join("\n");
    assert!(mail.contains("setup.exe") && mail.contains("is a program"), "{mail}");
    let jobs = server.ok(&["fax", "jobs"]);
    assert!(jobs.contains("There is no such fax"), "{jobs}");
}
