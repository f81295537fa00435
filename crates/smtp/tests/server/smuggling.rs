//! SMTP smuggling (CVE-2023-51764, -51765, -51766): only CRLF.CRLF ends content, only CRLF a command.

use smtp::server::Channel;

use crate::driver::{Driver, accept_all, settings, transcript};

/// Every sequence some server took for the end of content.
const FALSE_ENDS: [&[u8]; 16] = [
    b"\n.\n",
    b"\n.\r\n",
    b"\r\n.\n",
    b"\r.\r",
    b"\r.\n",
    b"\n.\r",
    b"\r.\r\n",
    b"\r\n.\r",
    b"\r\r\n.\r\r\n",
    b"\r\n\0.\r\n",
    b"\r\n.\0\r\n",
    b"\r\n.\r\0\n",
    b"\n\n.\r\n",
    b"\r\n.\r\r\n",
    b"\n\r.\r\n",
    b"\r\n\r.\r\n",
];

const SMUGGLED: &[u8] =
    b"MAIL FROM:<eve@a.example>\r\nRCPT TO:<bob@b.example>\r\nDATA\r\nsmuggled\r\n.\r\n";

#[test]
fn no_false_end_ends_content() {
    for end in FALSE_ENDS {
        let shown = end.escape_ascii();
        let wire = [&b"Subject: a\r\n\r\nfirst"[..], end, SMUGGLED].concat();
        for size in [1, 2, 3, 5, wire.len()] {
            let mut driver = Driver::new(settings(), Channel::Clear, accept_all);
            driver.feed(b"EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<bob@b.example>\r\nDATA\r\n");
            driver.log.clear();
            for piece in wire.chunks(size) {
                driver.feed(piece);
            }
            let replies: Vec<&String> = driver.log.iter().filter(|l| l.starts_with('S')).collect();
            assert_eq!(replies.len(), 1, "{shown}: one end, one reply: {replies:?}");
            assert!(replies[0].starts_with("S: 550 5.6."), "{shown}: {replies:?}");
            assert!(driver.messages.is_empty(), "{shown}");
        }
    }
}

#[test]
fn no_false_end_passes_through_a_chunk() {
    for end in FALSE_ENDS {
        let mut driver = Driver::new(settings(), Channel::Clear, accept_all);
        driver.feed(b"EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<bob@b.example>\r\n");
        driver.feed(
            &[format!("BDAT {} LAST\r\n", end.len() + 2).as_bytes(), b"x", end, b"y"].concat(),
        );
        assert!(driver.messages.is_empty(), "{}", end.escape_ascii());
        assert!(driver.log.last().unwrap().starts_with("S: 550 5.6."), "{:?}", driver.log);
    }
}

#[test]
fn a_line_of_two_dots_is_a_dot_and_not_the_end() {
    let messages = transcript(
        "
        S: 220 mx.example ESMTP Mailkeep
        -- HELLO --
        C: MAIL FROM:<ann@a.example>
        C: RCPT TO:<bob@b.example>
        C: DATA
        C: ..
        C: .
        S: 250 2.1.0 Ok
        S: 250 2.1.5 Ok
        S: 354 End data with <CR><LF>.<CR><LF>
        S: 250 2.0.0 Ok: queued as ID
        ",
        accept_all,
    );
    assert_eq!(messages[0].content, b".\r\n");
}

#[test]
fn only_crlf_ends_a_command() {
    transcript(
        r"
        S: 220 mx.example ESMTP Mailkeep
        C> NOOP\n
        S: 500 5.5.2 Bare CR or LF in a command: lines end with CR LF
        C> QUIT\n
        C> QUIT\r\nNOOP\r\n
        S: 250 2.0.0 Ok
        C> NOOP\rQUIT\r\n
        S: 500 5.5.2 Control character in a command
        C> NOOP\r\r\n
        S: 500 5.5.2 Control character in a command
        C> NO\0OP\r\n
        S: 500 5.5.2 Control character in a command
        C> NOOP\n\r\n
        S: 500 5.5.2 Bare CR or LF in a command: lines end with CR LF
        ",
        accept_all,
    );
}
