//! What holds for any octets.

use proptest::collection::vec;
use proptest::prelude::*;
use smtp::server::{Channel, Phase, Protocol, Settings, UNREAD_MAX_OCTETS};

use crate::driver::{Driver, Message, accept_all, settings};

/// A piece of a session, plausible or not.
fn fragment() -> impl Strategy<Value = Vec<u8>> {
    let said = prop::sample::select(vec![
        "EHLO a.example\r\n",
        "HELO a.example\r\n",
        "LHLO a.example\r\n",
        "MAIL FROM:<ann@a.example>\r\n",
        "MAIL FROM:<> BODY=BINARYMIME SIZE=5\r\n",
        "RCPT TO:<bob@b.example>\r\n",
        "RCPT TO:<eve>\r\n",
        "RCPT TO:<b@b.example> NOTIFY=NEVER ORCPT=rfc822;a+2Bb\r\n",
        "DATA\r\n",
        ".\r\n",
        "\r\n.\r\n",
        "..text\r\n",
        "text\r\n",
        "\n.\r\n",
        "\r.\r\n",
        "\r",
        "\n",
        ".",
        "\0",
        "RSET\r\n",
        "NOOP\r\n",
        "QUIT\r\n",
        "VRFY x\r\n",
        "AUTH PLAIN AGFubgBwYXNz\r\n",
        "AUTH LOGIN\r\n",
        "*\r\n",
        "BDAT 0 LAST\r\n",
        "BDAT 5\r\nab\r\nc",
        "BDAT 3 LAST\r\nx\r\n",
        "BDAT 12 LAST\r\nMAIL FROM:\r\n",
        "BDAT 999999999999\r\n",
        "MAIL FROM:<>\r\nRCPT TO:<bob@b.example>\r\nDATA\r\nhi\r\n.\r\n",
        "HELP\r\n",
        "GET / HTTP/1.1\r\n",
    ]);
    prop_oneof![
        20 => said.prop_map(|text| text.as_bytes().to_vec()),
        2 => vec(any::<u8>(), 0..40),
        1 => (1_900_usize..3_000).prop_map(|length| vec![b'x'; length]),
    ]
}

fn small(protocol: Protocol) -> Settings {
    Settings {
        protocol,
        message_max_octets: 2_000,
        text_line_max_octets: 60,
        recipients_max: 3,
        errors_max: 8,
        idle_commands_max: 12,
        ..settings()
    }
}

/// Plays pieces to a new session; gives what it said and took.
fn play<'a>(
    protocol: Protocol,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> (Vec<String>, Vec<Message>) {
    let mut driver = Driver::new(small(protocol), Channel::Tls, accept_all);
    for piece in pieces {
        driver.feed(piece);
        assert!(driver.most_held_octets <= UNREAD_MAX_OCTETS);
        let phase = driver.session.phase();
        assert!(phase != Phase::Answer, "every question was answered");
        assert!(driver.session.wants_input() || phase == Phase::Closed);
    }
    (driver.log, driver.messages)
}

/// `bytes` cut at each of `cuts`.
fn cut<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    at.extend([0, bytes.len()]);
    at.sort_unstable();
    at.windows(2).map(|ends| &bytes[ends[0]..ends[1]]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_same_octets_split_anywhere_give_the_same_replies(
        begin in any::<bool>(),
        lmtp in any::<bool>(),
        fragments in vec(fragment(), 0..25),
        cuts in vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let protocol = if lmtp { Protocol::Lmtp } else { Protocol::Smtp };
        let hello: &[u8] = if lmtp { b"LHLO a\r\n" } else { b"EHLO a\r\n" };
        let mut bytes = if begin { hello.to_vec() } else { Vec::new() };
        bytes.extend(fragments.concat());
        let whole = play(protocol, std::iter::once(&bytes[..]));
        prop_assert_eq!(&whole, &play(protocol, cut(&bytes, &cuts).into_iter()));
        prop_assert_eq!(&whole, &play(protocol, bytes.chunks(1)));
    }

    #[test]
    fn any_octets_leave_a_session_that_listens_or_is_over(
        pieces in vec(vec(any::<u8>(), 0..300), 0..10),
    ) {
        play(Protocol::Smtp, pieces.iter().map(Vec::as_slice));
    }

    #[test]
    fn content_arrives_as_it_was_sent(
        lines in vec("[.a-z ]{0,60}", 0..20),
        chunk in 1_usize..200,
        size in 1_usize..100,
    ) {
        let content: Vec<u8> = lines.iter().flat_map(|l| format!("{l}\r\n").into_bytes()).collect();
        let mut wire = b"EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<b@b.example>\r\nDATA\r\n".to_vec();
        for line in &lines {
            wire.extend(if line.starts_with('.') { &b"."[..] } else { b"" });
            wire.extend(line.bytes().chain(*b"\r\n"));
        }
        wire.extend(b".\r\nMAIL FROM:<>\r\nRCPT TO:<b@b.example>\r\n");
        for part in content.chunks(chunk) {
            wire.extend(format!("BDAT {}\r\n", part.len()).bytes());
            wire.extend(part);
        }
        wire.extend(b"BDAT 0 LAST\r\n");
        let mut driver = Driver::new(settings(), Channel::Clear, accept_all);
        for piece in wire.chunks(size) {
            driver.feed(piece);
        }
        let contents: Vec<&[u8]> = driver.messages.iter().map(|m| &m.content[..]).collect();
        prop_assert_eq!(contents, [&content[..], &content[..]]);
    }
}
