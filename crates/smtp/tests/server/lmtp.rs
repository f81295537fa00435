//! LMTP (RFC 2033).

use smtp::server::{Answer, Channel, Protocol, Question, Settings};
use smtp::{Refusal, Reply};

use crate::driver::{Message, accept_all, refuse, settings, transcript_with};

fn lmtp(script: &str, policy: impl FnMut(&Question) -> Answer) -> Vec<Message> {
    let settings = Settings { protocol: Protocol::Lmtp, ..settings() };
    transcript_with(settings, Channel::Clear, script, policy)
}

const BEGIN: &str = "
    S: 220 mx.example LMTP Mailkeep
    C: HELO client.example
    S: 500 5.5.1 Command not recognized
    C: EHLO client.example
    S: 500 5.5.1 Command not recognized
    C: LHLO client.example
    S: 250-mx.example
    S: 250-CHUNKING
    S: 250 ENHANCEDSTATUSCODES
    C: MAIL FROM:<ann@a.example>
    C: RCPT TO:<bob@b.example>
    C: RCPT TO:<eve>
    C: RCPT TO:<eve@b.example>
    S: 250 2.1.0 Ok
    S: 250 2.1.5 Ok
    S: 501 5.1.3 Bad recipient address: the address has no domain
    S: 250 2.1.5 Ok
";

fn each(question: &Question) -> Answer {
    match question {
        Question::Hello { .. } => Answer::Offer(smtp::Extensions {
            chunking: true,
            enhanced_status_codes: true,
            ..smtp::Extensions::default()
        }),
        Question::Commit(_) => Answer::PerRecipient(vec![
            Ok("1".to_owned()),
            Err(Refusal::new(Reply::new(452, 2, 2, "Mailbox is full"))),
        ]),
        other => accept_all(other),
    }
}

#[test]
fn each_recipient_gets_a_reply() {
    for content in [
        "C: DATA\nS: 354 End data with <CR><LF>.<CR><LF>\nC: hello\nC: .",
        "C: BDAT 7\nC: hello\nS: 250 2.0.0 7 octets received\nC: BDAT 0 LAST",
    ] {
        let script = format!(
            "{BEGIN}{content}
            S: 250 2.0.0 Ok: queued as 1
            S: 452 4.2.2 Mailbox is full
            C: NOOP
            S: 250 2.0.0 Ok
            "
        );
        assert_eq!(lmtp(&script, each)[0].content, b"hello\r\n");
    }
}

#[test]
fn a_refusal_is_said_to_each_recipient() {
    let refusing = |question: &Question| match question {
        Question::Commit(_) => refuse(554, "No"),
        other => each(other),
    };
    let script = format!(
        "{BEGIN}
        C: DATA
        S: 354 End data with <CR><LF>.<CR><LF>
        C: .
        S: 554 5.7.1 No
        S: 554 5.7.1 No
        "
    );
    assert!(lmtp(&script, refusing).is_empty());
    let flawed = format!(
        r"{BEGIN}
        C: BDAT 2 LAST
        C> \n\n
        -- RESET --
        -- SECURITY content-line-ending --
        S: 550 5.6.11 Message refused: it has a bare CR or LF in it
        S: 550 5.6.11 Message refused: it has a bare CR or LF in it
        "
    );
    assert!(lmtp(&flawed, each).is_empty());
    let closed = |question: &Question| match question {
        Question::Data => refuse(451, "Not now"),
        other => each(other),
    };
    let chunk = format!(
        "{BEGIN}
        C: BDAT 7 LAST
        C: hello
        -- RESET --
        S: 451 4.7.1 Not now
        S: 451 4.7.1 Not now
        "
    );
    assert!(lmtp(&chunk, closed).is_empty());
}

#[test]
fn a_missing_outcome_is_a_local_error() {
    let short = |question: &Question| match question {
        Question::Commit(_) => Answer::PerRecipient(vec![Ok("1".to_owned())]),
        other => each(other),
    };
    let script = format!(
        "{BEGIN}
        C: DATA
        S: 354 End data with <CR><LF>.<CR><LF>
        C: .
        S: 250 2.0.0 Ok: queued as 1
        S: 451 4.3.0 Local error, try again later
        "
    );
    lmtp(&script, short);
}
