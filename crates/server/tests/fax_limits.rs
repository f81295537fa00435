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
        "From: ann@clinic.example\nTo: 2025550100@fax.clinic.example\nSubject: {id}\n\
         Message-ID: <{id}@clinic.example>\nMIME-Version: 1.0\n\
         Content-Type: application/pdf; name=\"plan.pdf\"\n\
         Content-Transfer-Encoding: base64\n\n{}\n",
        lines.join("\n")
    )
}

/// A mail with a text, a document and a letter behind it.
fn with_letter(id: &str, document: &str) -> String {
    let document = with_document(id, document);
    let (header, document) = document.split_once("Content-Type").unwrap();
    format!(
        "{header}Content-Type: multipart/mixed; boundary=b\n\n--b\n\nThe plan.\n\
         --b\nContent-Type{document}\n\
         --b\nContent-Type: text/plain; name=\"letter.txt\"\n\
         Content-Disposition: attachment; filename=\"letter.txt\"\n\nA letter.\n--b--\n"
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
        }
        fax ward {
            domains fax.ward.example
            organisation \"The Ward\"
            main-number \"+1 202 555 0188\"
            country US
            user ann@clinic.example
            mail-server-white-list 127.0.0.1
            bad-attachments leave-out
            transport spool @DIR@/ward
        }",
    );
    let mut client = server.connect("mx");
    client.expect("EHLO client.example", "250");
    let mut fax = |to: &str, content: &str| {
        let reply = client.message("ann@clinic.example", &[to], content);
        assert!(reply.starts_with("250"), "{reply}");
    };
    let before = resident(&server);
    let curves = page_of_curves();
    fax("2025550100@fax.clinic.example", &with_document("curves", &curves));
    fax("2025550100/cover@fax.ward.example", &with_letter("curves-and-letter", &curves));
    // The process has a minute of CPU and 90 seconds in all.
    let told = || Some(server.maildir("ann@clinic.example")).filter(|mails| mails.len() == 2);
    let mails = (0..6).find_map(|_| wait_for(told)).expect("the sender hears of it").join("\n");
    let mails = mails.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(mails.contains("too complex to draw within the time"), "{mails}");
    // Where the account leaves out what is bad, what brought the process down is known.
    assert!(mails.contains("\"plan.pdf\" is too complex to draw"), "{mails}");
    let grown = resident(&server).saturating_sub(before);
    // Each of the two messages may be in memory twice.
    assert!(grown < 128 * 1024, "the server has grown by {grown} KiB");
    fax(
        "2025550100@fax.clinic.example",
        "From: ann@clinic.example\nSubject: x\nMessage-ID: <x@clinic.example>\n\nA short letter.\n",
    );
    let drawn = wait_for(|| {
        let folder = fs::read_dir(server.dir().join("spool")).ok()?.flatten().next()?;
        folder.path().join("document.tif").exists().then_some(())
    });
    assert!(drawn.is_some(), "{}", server.log());
}
