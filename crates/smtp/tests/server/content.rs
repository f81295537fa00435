//! Content of every kind.

use smtp::Extensions;
use smtp::server::{Answer, CONTENT_OVERRUN_MAX_OCTETS, Channel, Question, Settings};

use crate::driver::{Driver, accept_all, settings, transcript, transcript_with};

const BEGIN: &str = "
    S: 220 mx.example ESMTP Mailkeep
    -- HELLO --
    C: MAIL FROM:<ann@a.example>
    C: RCPT TO:<bob@b.example>
    C: DATA
    S: 250 2.1.0 Ok
    S: 250 2.1.5 Ok
    S: 354 End data with <CR><LF>.<CR><LF>
";

#[test]
fn flawed_content_is_refused_after_its_end() {
    for (content, reply) in [
        (r"C> a\0b\r\n", "S: 550 5.6.0 Message refused: it has a NUL in it"),
        ("C: 12345678901", "S: 554 5.6.0 Message refused: it has a line longer than 10 octets"),
    ] {
        let settings = Settings { text_line_max_octets: 10, ..settings() };
        let script = format!(
            "{BEGIN}{content}\nC: more\nC: .\n-- RESET --\n{reply}\nC: NOOP\nS: 250 2.0.0 Ok"
        );
        let messages = transcript_with(settings, Channel::Clear, &script, accept_all);
        assert!(messages.is_empty());
    }
}

#[test]
fn content_beyond_the_limit_is_read_to_its_end() {
    let settings = Settings { message_max_octets: 20, ..settings() };
    let small = |question: &Question| match question {
        Question::Hello { .. } => {
            Answer::Offer(Extensions { pipelining: true, chunking: true, ..Extensions::default() })
        }
        other => accept_all(other),
    };
    let script = format!(
        "{BEGIN}
        C: 123456789012345678
        C: .
        S: 250 2.0.0 Ok: queued as ID
        C: MAIL FROM:<ann@a.example>
        C: RCPT TO:<bob@b.example>
        C: DATA
        C: 1234567890123456789
        C: .
        S: 250 2.1.0 Ok
        S: 250 2.1.5 Ok
        S: 354 End data with <CR><LF>.<CR><LF>
        -- RESET --
        S: 552 5.3.4 Message is larger than 20 octets
        C: MAIL FROM:<ann@a.example>
        C: RCPT TO:<bob@b.example>
        C: BDAT 11
        C: 123456789
        C: BDAT 11
        C: 123456789
        C: BDAT 0 LAST
        S: 250 2.1.0 Ok
        S: 250 2.1.5 Ok
        S: 250 2.0.0 11 octets received
        -- RESET --
        S: 552 5.3.4 Message is larger than 20 octets
        S: 503 5.5.1 Bad sequence of commands: MAIL and RCPT come before BDAT
        "
    );
    let messages = transcript_with(settings, Channel::Clear, &script, small);
    assert_eq!(messages.len(), 1);
}

#[test]
fn content_far_beyond_the_limit_ends_the_connection() {
    let settings = Settings { message_max_octets: 1000, ..settings() };
    let small = |question: &Question| match question {
        Question::Hello { .. } => Answer::Offer(Extensions::default()),
        other => accept_all(other),
    };
    let mut driver = Driver::new(settings, Channel::Clear, small);
    driver.feed(b"EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<bob@b.example>\r\nDATA\r\n");
    driver.log.clear();
    let piece = b"x".repeat(65_536);
    for _ in 0..=CONTENT_OVERRUN_MAX_OCTETS / 65_536 {
        driver.feed(&piece);
    }
    assert_eq!(
        driver.log,
        [
            "-- RESET --",
            "-- SECURITY endless --",
            "S: 552 5.3.4 Message is far larger than 1000 octets, closing connection",
            "-- CLOSED --"
        ]
    );
    assert!(driver.most_held_octets < 1000);
}

#[test]
fn a_message_without_its_end_is_never_taken() {
    for cut in ["-- END --", "-- TIMEOUT --"] {
        let farewell = if cut == "-- END --" {
            ""
        } else {
            "S: 421 4.4.2 mx.example Timeout: nothing came for too long, closing connection"
        };
        for content in ["C: half", r"C> half\r\n.", r"C> half\r\n.\r", "C: .."] {
            let script = format!("{BEGIN}{content}\n{cut}\n-- RESET --\n{farewell}\n-- CLOSED --");
            assert!(transcript(&script, accept_all).is_empty());
        }
    }
    let chunk = "
        S: 220 mx.example ESMTP Mailkeep
        -- HELLO --
        C: MAIL FROM:<ann@a.example>
        C: RCPT TO:<bob@b.example>
        C: BDAT 100 LAST
        C: half
        S: 250 2.1.0 Ok
        S: 250 2.1.5 Ok
        -- END --
        -- RESET --
        -- CLOSED --
    ";
    assert!(transcript(chunk, accept_all).is_empty());
}

#[test]
fn large_content_comes_out_in_pieces_as_it_went_in() {
    let mut driver = Driver::new(settings(), Channel::Clear, accept_all);
    driver.feed(b"EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<bob@b.example>\r\nDATA\r\n");
    let content = b"The quick brown fox jumps over the lazy dog.\r\n".repeat(20_000);
    for piece in content.chunks(200_000) {
        driver.feed(piece);
    }
    driver.feed(b".\r\n");
    assert_eq!(driver.messages[0].content, content);
}
