//! A document that would take for ever brings down the process that draws it, and nothing else.

mod support;

use std::fmt::Write as _;
use std::fs;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use support::{Server, wait_for};

/// A page of so many curves that no drawing of it ends in time.
fn page_of_curves() -> String {
    let mut curves = String::new();
    for n in 0..300_000_u64 {
        let (x, y) = (n * 7919 % 595, n * 104_729 % 842);
        let (across, down) = (n * 31 % 595, n * 17 % 842);
        writeln!(curves, "{x} {y} m {across} {y} {x} {down} {down} {across} c b").unwrap();
    }
    let mut file = String::from("%PDF-1.4\n");
    let bodies = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Count 1 /Kids [3 0 R] >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R >>".to_owned(),
        format!("<< /Length {} >>\nstream\n{curves}\nendstream", curves.len()),
    ];
    let mut places = Vec::new();
    for (number, body) in (1..).zip(&bodies) {
        places.push(file.len());
        writeln!(file, "{number} 0 obj\n{body}\nendobj").unwrap();
    }
    let start = file.len();
    write!(file, "xref\n0 5\n0000000000 65535 f \n").unwrap();
    for place in places {
        writeln!(file, "{place:010} 00000 n ").unwrap();
    }
    write!(file, "trailer << /Size 5 /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n").unwrap();
    file
}

/// A mail with a document.
fn with_document(id: &str, document: &str) -> String {
    let encoded = BASE64_STANDARD.encode(document);
    let lines: Vec<&str> =
        encoded.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!(
        "From: ann@clinic.example\nTo: 5550100@fax.clinic.example\nSubject: {id}\n\
         Message-ID: <{id}@clinic.example>\nMIME-Version: 1.0\n\
         Content-Type: application/pdf; name=\"plan.pdf\"\n\
         Content-Transfer-Encoding: base64\n\n{}\n",
        lines.join("\n")
    )
}

/// Resident memory of the server, in KiB.
fn resident(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_page_too_complex_to_draw_costs_one_process_and_the_next_fax_is_drawn() {
    let server = Server::start(
        "hostname mx.clinic.example
        data @DIR@/data
        control @DIR@/control
        limits { message 100MB }
        listener mx { port 0; address 127.0.0.1; tls off }
        domain clinic.example { deliver-to maildir @DIR@/maildir }
        fax clinic {
            domains fax.clinic.example
            organisation \"Clinic of Example\"
            main-number \"+1 202 555 0199\"
            country US
            user ann@clinic.example { number \"+1 202 555 0101\" }
            mail-server-white-list 127.0.0.1
            transport spool @DIR@/spool
        }",
    );
    let mut client = server.connect("mx");
    client.expect("EHLO client.example", "250");
    let mut fax = |content: &str| {
        let to = ["5550100@fax.clinic.example"];
        let reply = client.message("ann@clinic.example", &to, content);
        assert!(reply.starts_with("250"), "{reply}");
    };
    let before = resident(&server);
    fax(&with_document("curves", &page_of_curves()));
    // The process has a minute of CPU and 90 seconds in all.
    let told = || Some(server.maildir("ann@clinic.example")).filter(|mails| !mails.is_empty());
    let mails = (0..4).find_map(|_| wait_for(told)).expect("the sender hears of it").join("\n");
    assert!(mails.contains("too complex"), "{mails}");
    let grown = resident(&server).saturating_sub(before);
    assert!(grown < 64 * 1024, "the server has grown by {grown} KiB");
    fax(
        "From: ann@clinic.example\nSubject: x\nMessage-ID: <x@clinic.example>\n\nA short letter.\n",
    );
    let drawn = wait_for(|| {
        let folder = fs::read_dir(server.dir().join("spool")).ok()?.flatten().next()?;
        folder.path().join("document.tif").exists().then_some(())
    });
    assert!(drawn.is_some(), "{}", server.log());
}
