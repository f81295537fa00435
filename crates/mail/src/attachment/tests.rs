use proptest::prelude::*;

use super::*;

fn scan(message: &str) -> Content {
    let mut scanner = Scanner::new();
    scanner.push(message.replace('\n', "\r\n").as_bytes());
    scanner.finish()
}

fn listed(content: &Content) -> Vec<(Option<&str>, &str, u64)> {
    let attachments = content.attachments.iter();
    attachments.map(|a| (a.name.as_deref(), a.media_type.as_str(), a.octets)).collect()
}

const MIXED: &str = "\
Content-Type: multipart/mixed; boundary=outer

preamble
--outer
Content-Type: multipart/alternative; boundary=\"inner\"

--inner

plain
--inner
Content-Type: text/html

<p>rich</p>
--inner--
--outer
Content-Type: application/pdf; name=scan.pdf
Content-Transfer-Encoding: base64

aGVsbG8g
d29ybGQ=
--outer
Content-Type: text/plain
Content-Disposition: attachment; filename=Notes.TXT

12345
--outer--
epilogue
";

#[test]
fn attachments_are_found_with_name_type_and_size() {
    let content = scan(MIXED);
    assert_eq!(content.parts, 4);
    assert_eq!(
        listed(&content),
        [(Some("scan.pdf"), "application/pdf", 11), (Some("Notes.TXT"), "text/plain", 7),]
    );
    assert_eq!(content.attachments[1].extension().as_deref(), Some("txt"));
    assert_eq!(content.oddities, []);
}

#[test]
fn a_message_in_a_message_is_looked_into() {
    let content = scan(
        "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n\n\
         Subject: inner\nContent-Type: image/png; name=x.png\n\ndata\n--b--\n",
    );
    let found = listed(&content);
    assert_eq!(found[0], (None, "message/rfc822", 61));
    assert_eq!(found[1], (Some("x.png"), "image/png", 6));
}

#[test]
fn a_message_without_mime_is_one_part_of_text() {
    let content = scan("Subject: x\n\nhello\n");
    assert_eq!((content.parts, content.attachment_count), (1, 0));
    assert!(!content.encrypted);
    assert!(scan("Content-Type: multipart/encrypted; boundary=b\n\n--b--\n").encrypted);
}

#[test]
fn a_hundred_thousand_parts_meet_a_limit() {
    let mut message = String::from("Content-Type: multipart/mixed; boundary=b\n\n");
    for _ in 0..100_000 {
        message.push_str("--b\nContent-Type: image/png\n\n");
    }
    let content = scan(&message);
    assert_eq!(content.parts, PARTS_MAX);
    assert_eq!(content.attachments.len(), ATTACHMENTS_MAX);
    assert!(content.oddities.contains(&Oddity::TooManyParts));
}

#[test]
fn endless_depth_and_circles_meet_a_limit() {
    let level = |n| format!("Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n");
    let message: String = (0..1_000).map(level).collect();
    assert!(scan(&message).oddities.contains(&Oddity::TooDeep));
    let circle = "Content-Type: multipart/mixed; boundary=b\n\n--b\n".repeat(1_000);
    let content = scan(&circle);
    assert!(content.oddities.contains(&Oddity::RepeatedBoundary));
    let nested = "Content-Type: message/rfc822\n\n".repeat(1_000);
    assert!(scan(&nested).oddities.contains(&Oddity::TooDeep));
}

#[test]
fn what_no_honest_program_writes_is_named() {
    for (message, oddity) in [
        ("Content-Type: multipart/mixed\n\nx\n", Oddity::Boundary),
        ("Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n", Oddity::Unfinished),
        ("Content-Type: text/plain\nContent-Type: image/png\n\nx\n", Oddity::RepeatedField),
        ("no header at all\n\nx\n", Oddity::PartHeader),
    ] {
        assert!(scan(message).oddities.contains(&oddity), "{message}");
    }
}

#[test]
fn a_header_that_does_not_end_is_not_kept() {
    let mut scanner = Scanner::new();
    for _ in 0..50 {
        scanner.push("Subject: a header bomb\r\n".repeat(1_000).as_bytes());
        assert!(scanner.header.len() <= HEADER_MAX_OCTETS);
    }
    assert!(scanner.finish().oddities.contains(&Oddity::PartHeader));
}

proptest! {
    #[test]
    fn the_same_message_in_any_pieces_gives_the_same(cut in 1usize..60) {
        let message = MIXED.replace('\n', "\r\n");
        let mut scanner = Scanner::new();
        for piece in message.as_bytes().chunks(cut) {
            scanner.push(piece);
        }
        prop_assert_eq!(scanner.finish(), scan(MIXED));
    }

    #[test]
    fn any_octets_are_scanned_without_panic(
        lines in proptest::collection::vec(
            prop_oneof![
                Just("Content-Type: multipart/mixed; boundary=b\r\n".to_owned()),
                Just("Content-Type: message/rfc822\r\n".to_owned()),
                Just("Content-Transfer-Encoding: base64\r\n".to_owned()),
                Just("--b\r\n".to_owned()),
                Just("--b--\r\n".to_owned()),
                Just("\r\n".to_owned()),
                "\\PC{0,20}\n?",
            ],
            0..60,
        ),
    ) {
        let mut scanner = Scanner::new();
        scanner.push(lines.concat().as_bytes());
        let content = scanner.finish();
        prop_assert!(content.attachments.len() as u64 <= u64::from(content.attachment_count));
    }
}
