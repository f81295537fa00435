//! Office files over the wire: real sessions, the real LibreOffice.

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use support::Server;
use support::faxes::wait_for_fax;

/// A server that faxes into a folder, with `office` in its account.
fn clinic(office: &str) -> Server {
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
            cover never
            user ann@clinic.example
            mail-server-white-list 127.0.0.1
            {office}
        }}
        queue {{ retry 1s }}
        "
    ))
}

fn send(server: &Server, files: &[(&str, Vec<u8>)]) {
    let mut mail = String::from(
        "From: ann@clinic.example\nSubject: files\nMessage-ID: <one@clinic.example>\n\
         MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n",
    );
    for (name, octets) in files {
        let lines: Vec<String> = STANDARD
            .encode(octets)
            .as_bytes()
            .chunks(76)
            .map(|line| String::from_utf8_lossy(line).into_owned())
            .collect();
        mail.push_str(&format!(
            "--b\nContent-Type: application/octet-stream; name=\"{name}\"\n\
             Content-Disposition: attachment; filename=\"{name}\"\n\
             Content-Transfer-Encoding: base64\n\n{}\n",
            lines.join("\n")
        ));
    }
    mail.push_str("--b--\n");
    let mut client = server.connect("mx");
    client.expect("EHLO client.example", "250");
    let reply = client.message("ann@clinic.example", &["2025550100@fax.clinic.example"], &mail);
    assert!(reply.starts_with("250"), "{reply}");
}

/// A file that LibreOffice made of another. Debian packages `libreoffice-writer-nogui` and
/// `libreoffice-calc-nogui`.
fn made(folder: &Path, from: &str, content: &str, to: &str) -> Vec<u8> {
    let source = folder.join(from);
    fs::write(&source, content).unwrap();
    let output = Command::new("soffice")
        .arg(format!("-env:UserInstallation=file://{}/profile", folder.display()))
        .args(["--headless", "--norestore", "--convert-to", to, "--outdir"])
        .args([folder, &source])
        .env("HOME", folder)
        .output()
        .expect("soffice (Debian package libreoffice-writer-nogui)");
    fs::read(source.with_extension(to)).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[test]
fn documents_and_sheets_become_pages_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let letter = made(folder.path(), "letter.txt", "The referral of 4711\n", "docx");
    let sheet = made(folder.path(), "sheet.csv", "Name,Value\nDana,5\n", "xlsx");
    let server = clinic("");
    send(&server, &[("Letter.docx", letter), ("sheet.xlsx", sheet)]);
    let fax = wait_for_fax(&server);
    assert_eq!(fax["pages"], 2, "{fax}");
    let to = folder.path().join("pages");
    server.ok(&["fax", "pages", fax["id"].as_str().unwrap(), "--to", to.to_str().unwrap()]);
    let sizes: Vec<u64> =
        fs::read_dir(&to).unwrap().map(|page| page.unwrap().metadata().unwrap().len()).collect();
    assert_eq!(sizes.len(), 2);
    if let Some(shown) = std::env::var_os("OFFICE_SHOWN") {
        for page in fs::read_dir(&to).unwrap().flatten() {
            fs::copy(page.path(), Path::new(&shown).join(page.file_name())).unwrap();
        }
    }
}

/// A slide, as LibreOffice writes it into one file.
const SLIDE: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<office:document xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"
 xmlns:draw="urn:oasis:names:tc:opendocument:xmlns:drawing:1.0"
 xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"
 xmlns:svg="urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0" office:version="1.2"
 office:mimetype="application/vnd.oasis.opendocument.presentation">
<office:body><office:presentation><draw:page draw:name="one">
<draw:frame svg:width="20cm" svg:height="5cm" svg:x="2cm" svg:y="2cm"><draw:text-box>
<text:p>Rounds at seven</text:p></draw:text-box></draw:frame>
</draw:page></office:presentation></office:body></office:document>"#;

#[test]
fn presentations_and_files_of_old_offices_become_pages() {
    let folder = tempfile::tempdir().unwrap();
    let files: Vec<(String, Vec<u8>)> = [
        ("letter.txt", "The referral of 4711\n", "doc"),
        ("letter.txt", "The referral of 4711\n", "odt"),
        ("sheet.csv", "Name,Value\nDana,5\n", "xls"),
        ("sheet.csv", "Name,Value\nDana,5\n", "ods"),
        ("slide.fodp", SLIDE, "ppt"),
        ("slide.fodp", SLIDE, "pptx"),
        ("slide.fodp", SLIDE, "odp"),
    ]
    .map(|(from, content, to)| (format!("a.{to}"), made(folder.path(), from, content, to)))
    .into();
    let server = clinic("");
    let named: Vec<(&str, Vec<u8>)> =
        files.iter().map(|(name, octets)| (name.as_str(), octets.clone())).collect();
    send(&server, &named);
    let fax = wait_for_fax(&server);
    assert_eq!(fax["pages"], files.len(), "{fax}");
}

#[test]
fn where_there_is_no_libreoffice_the_sender_is_asked_for_a_pdf() {
    for (office, says) in [
        ("office /nowhere/soffice", "LibreOffice is not installed here; send it as PDF"),
        ("office off", "office files are not converted here; send it as PDF"),
        ("office /bin/true", "LibreOffice made nothing of it; send it as PDF"),
    ] {
        let server = clinic(office);
        send(&server, &[("letter.rtf", b"{\\rtf1 x}".to_vec())]);
        let mails = server.wait_for_mail("ann@clinic.example", 1).join("\n");
        let flat = mails.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains("letter.rtf") && flat.contains(says), "{mails}");
    }
}
