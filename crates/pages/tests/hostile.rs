//! Messages that are wrong, enormous or hostile: each ends as a refusal in words, soon.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use fax::work::{Fields, Request};
use fax::{Cover, Language, Paper, Resolution};
use pages::job::{Drawn, draw};
use pages::letters::Fonts;
use pages::message::Means;
use pages::{Trouble, tiff_f};

fn request() -> Request {
    Request {
        resolution: Resolution::Standard,
        paper: Paper::A4,
        cover: Cover::Text,
        language: Language::En,
        template: None,
        pages_max: 20,
        leaves_out: false,
        names_left_out: false,
        without: Vec::new(),
        recipients: vec![Fields { organisation: "Clinic".into(), ..Fields::default() }],
    }
}

/// A message with a text and one attachment.
fn with(name: &str, kind: &str, octets: &[u8]) -> Vec<u8> {
    let mut message = format!(
        "From: a@example.com\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=b\r\n\r\n\
         --b\r\nContent-Type: text/plain\r\n\r\nSee the document.\r\n\
         --b\r\nContent-Type: {kind}; name=\"{name}\"\r\n\
         Content-Disposition: attachment; filename=\"{name}\"\r\n\
         Content-Transfer-Encoding: binary\r\n\r\n"
    )
    .into_bytes();
    message.extend_from_slice(octets);
    message.extend_from_slice(b"\r\n--b--\r\n");
    message
}

fn drawn(request: &Request, message: &[u8]) -> Result<Drawn, Trouble> {
    let fonts = Fonts::load(Vec::new()).unwrap();
    draw(request, &Means { fonts: &fonts, pdfs: &[], tell: &|_| {} }, message)
}

fn refusal(message: &[u8]) -> String {
    drawn(&request(), message).expect_err("it is faxed").to_string()
}

fn pages(message: &[u8]) -> Drawn {
    drawn(&request(), message).expect("it is not faxed")
}

/// Pages that are white squares: enough for counting.
fn pdf(count: usize) -> Vec<u8> {
    let mut file = b"%PDF-1.4\n".to_vec();
    let mut places = Vec::new();
    let mut object = |file: &mut Vec<u8>, body: &str| {
        places.push(file.len());
        let number = places.len();
        file.extend(format!("{number} 0 obj\n{body}\nendobj\n").bytes());
    };
    object(&mut file, "<< /Type /Catalog /Pages 2 0 R >>");
    let mut kids = String::new();
    for page in 0..count {
        write!(kids, "{} 0 R ", page + 3).unwrap();
    }
    object(&mut file, &format!("<< /Type /Pages /Count {count} /Kids [{kids}] >>"));
    for _ in 0..count {
        object(&mut file, "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] >>");
    }
    let start = file.len();
    file.extend(format!("xref\n0 {}\n0000000000 65535 f \n", places.len() + 1).bytes());
    for place in &places {
        file.extend(format!("{place:010} 00000 n \n").bytes());
    }
    let size = places.len() + 1;
    file.extend(
        format!("trailer << /Size {size} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n").bytes(),
    );
    file
}

#[test]
fn a_document_of_ten_thousand_pages_is_refused_by_its_count() {
    assert_eq!(pages(&with("a.pdf", "application/pdf", &pdf(3))).faxes[0].pages, 4);
    let many = with("a.pdf", "application/pdf", &pdf(10_000));
    let began = Instant::now();
    assert_eq!(refusal(&many), "it has more than 20 pages");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[test]
fn a_damaged_document_is_named() {
    for octets in [&b"%PDF-1.7 and nothing"[..], b"%PDF-", &pdf(1)[..60]] {
        let why = refusal(&with("plan.pdf", "application/pdf", octets));
        assert!(why.starts_with("\"plan.pdf\" cannot be read"), "{why}");
    }
    let why = refusal(&with("a.png", "image/png", b"\x89PNG\r\n\x1a\nnothing"));
    assert!(why.starts_with("\"a.png\" cannot be read"), "{why}");
}

#[test]
fn a_document_with_a_password_is_named_and_one_with_an_empty_password_is_faxed() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(
        at("a.ps"),
        "%!PS\n/Helvetica findfont 20 scalefont setfont 72 700 moveto (x) show showpage\n",
    )
    .unwrap();
    for (user, name) in [("secret", "locked.pdf"), ("", "open.pdf")] {
        let made = Command::new("ps2pdf")
            .args(["-sOwnerPassword=owner", &format!("-sUserPassword={user}")])
            .args([at("a.ps"), at(name)])
            .status()
            .expect("ps2pdf (Debian package ghostscript)");
        assert!(made.success());
    }
    let locked = with("locked.pdf", "application/pdf", &fs::read(at("locked.pdf")).unwrap());
    assert_eq!(refusal(&locked), "\"locked.pdf\" is protected by a password");
    let open = with("open.pdf", "application/pdf", &fs::read(at("open.pdf")).unwrap());
    assert_eq!(pages(&open).faxes[0].pages, 2);
}

#[test]
fn an_enormous_picture_is_refused_before_it_is_decoded() {
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
    png.extend(30_000_u32.to_be_bytes());
    png.extend(30_000_u32.to_be_bytes());
    png.extend([8, 2, 0, 0, 0]);
    // The checksum of these bytes; a reader that checks it first must find it right.
    png.extend(crc(&png[12..]).to_be_bytes());
    png.extend(b"\0\0\0\0IDAT");
    png.extend(crc(b"IDAT").to_be_bytes());
    let began = Instant::now();
    let why = refusal(&with("big.png", "image/png", &png));
    assert_eq!(why, "\"big.png\" is larger than 20000 by 20000 dots");
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

/// CRC-32 as PNG has it.
fn crc(octets: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for octet in octets {
        crc ^= u32::from(*octet);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

#[test]
fn what_cannot_be_faxed_is_named_and_nothing_is_left_out_silently() {
    for (name, kind, octets, says) in [
        ("setup.exe", "application/octet-stream", &b"MZ"[..], "is a program"),
        ("song.mp3", "audio/mpeg", b"ID3", "is sound or film"),
        ("letter.docx", "application/zip", b"PK\x03\x04", "it is no complete document"),
        ("all.zip", "application/zip", b"PK\x03\x04", "is an archive"),
        ("winmail.dat", "application/ms-tnef", b"\x78\x9f", "is a container of Outlook"),
    ] {
        let why = refusal(&with(name, kind, octets));
        assert!(why.contains(name) && why.contains(says), "{why}");
    }
}

/// Acceptance case 15 of the fax design.
#[test]
fn what_cannot_be_faxed_is_left_out_with_words_where_that_is_wanted() {
    let leaving_out =
        |cover| Request { leaves_out: true, names_left_out: true, cover, ..request() };
    for (name, kind, octets, says) in [
        ("setup.exe", "application/octet-stream", &b"MZ"[..], "is a program"),
        ("macro.docm", "application/octet-stream", b"PK\x03\x04", "is an archive"),
        ("plan.pdf", "application/pdf", b"%PDF-1.7 and nothing", "is damaged"),
        ("a.png", "image/png", b"\x89PNG\r\n\x1a\nnothing", "is damaged"),
        ("letter.docx", "application/zip", b"PK\x03\x04", "is damaged"),
        ("many.pdf", "application/pdf", &pdf(30), "to more than 20 pages"),
    ] {
        let message = with(name, kind, octets);
        for cover in [Cover::Text, Cover::Always, Cover::Never] {
            let drawn = drawn(&leaving_out(cover), &message).expect("it is not faxed");
            assert_eq!(drawn.faxes[0].pages, 1, "{name}");
            let told = drawn.left_out.iter().map(ToString::to_string).collect::<Vec<_>>();
            let [told] = told.as_slice() else { panic!("{told:?}") };
            assert!(told.contains(name) && told.contains(says), "{told}");
        }
        let unnamed = Request { names_left_out: false, ..leaving_out(Cover::Text) };
        let told = drawn(&unnamed, &message).expect("it is not faxed").left_out[0].to_string();
        assert!(told.starts_with("an attachment") && told.contains(says), "{told}");
    }
    // With 20 pages of its own it would be the cover page that is too much.
    let message = with("many.pdf", "application/pdf", &pdf(20));
    assert_eq!(refusal(&message), "it has more than 20 pages");
    let drawn = drawn(&leaving_out(Cover::Text), &message).expect("it is not faxed");
    assert_eq!((drawn.faxes[0].pages, drawn.left_out.len()), (1, 1));
}

#[test]
fn where_all_is_left_out_there_is_no_fax() {
    let leaving_out = Request { leaves_out: true, names_left_out: true, ..request() };
    let message = b"From: a@example.com\r\nMIME-Version: 1.0\r\n\
        Content-Type: application/octet-stream; name=\"setup.exe\"\r\n\r\nMZ";
    let why = drawn(&leaving_out, message).expect_err("it is faxed").to_string();
    assert_eq!(why, "\"setup.exe\" is a program, which cannot be faxed");
    // A text that is too long is no attachment.
    let header = b"From: a@example.com\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n";
    let long = [&header[..], "a long text of many words ".repeat(80_000).as_bytes()].concat();
    let why = drawn(&leaving_out, &long).expect_err("it is faxed").to_string();
    assert_eq!(why, "it has more than 20 pages");
}

#[test]
fn a_message_with_nothing_in_it_is_no_blank_page() {
    for message in [
        &b"From: a@example.com\r\nSubject: x\r\n\r\n"[..],
        b"From: a@example.com\r\n\r\n  \r\n\r\n",
        b"From: a@example.com\r\nContent-Type: text/html\r\n\r\n<p> </p><img src=x>",
    ] {
        assert_eq!(drawn(&request(), message).unwrap_err(), Trouble::Nothing);
    }
}

#[test]
fn long_lines_many_writings_and_odd_characters_do_no_harm() {
    let header = b"From: a@example.com\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n";
    let message = |text: &str| [&header[..], text.as_bytes()].concat();
    let one_line = message(&"x".repeat(100_000));
    assert_eq!(refusal(&one_line), "it has more than 20 pages");
    let long = message(&"a long text of many words ".repeat(80_000));
    assert_eq!(refusal(&long), "it has more than 20 pages");
    let mixed = message(
        "abc\0def \u{202e}abc \u{5e9}\u{5dc}\u{5d5}\u{5dd} \u{65e5}\u{672c} \u{1f600}\u{200b}",
    );
    let drawn = pages(&mixed);
    assert!(drawn.missing.characters.contains('\u{65e5}'), "{}", drawn.missing);
    assert_eq!(drawn.faxes[0].pages, 1);
}

#[test]
fn an_empty_list_of_pages_is_an_empty_file_and_not_a_crash() {
    let profile = pages::Profile::Simple;
    assert_eq!(tiff_f::write(&[], Resolution::Fine, profile).len(), 8);
}
