//! One scripted session per extension.

use mail::{Body, DsnReturn, Notify};
use smtp::Extensions;
use smtp::server::{Answer, Channel, Question};

use crate::driver::{accept_all, settings, transcript, transcript_with};

#[test]
fn everything_offered_stands_in_the_reply_to_ehlo() {
    transcript(
        "
        S: 220 mx.example ESMTP Mailkeep
        C: EHLO client.example
        S: 250-mx.example
        S: 250-PIPELINING
        S: 250-8BITMIME
        S: 250-SMTPUTF8
        S: 250-DSN
        S: 250-CHUNKING
        S: 250-BINARYMIME
        S: 250-ENHANCEDSTATUSCODES
        S: 250-STARTTLS
        S: 250-SIZE 52428800
        S: 250-AUTH PLAIN LOGIN
        S: 250 LIMITS RCPTMAX=1000
        ",
        accept_all,
    );
    transcript_with(
        settings(),
        Channel::Tls,
        "
        S: 220 mx.example ESMTP Mailkeep
        C: EHLO client.example
        S: 250-mx.example
        S: 250-PIPELINING
        S: 250-8BITMIME
        S: 250-SMTPUTF8
        S: 250-DSN
        S: 250-CHUNKING
        S: 250-BINARYMIME
        S: 250-ENHANCEDSTATUSCODES
        S: 250-REQUIRETLS
        S: 250-SIZE 52428800
        S: 250-AUTH PLAIN LOGIN
        S: 250 LIMITS RCPTMAX=1000
        ",
        accept_all,
    );
}

#[test]
fn what_is_not_offered_is_not_taken() {
    let bare = |question: &Question| match question {
        Question::Hello { .. } => Answer::Offer(Extensions::default()),
        other => accept_all(other),
    };
    transcript(
        "
        S: 220 mx.example ESMTP Mailkeep
        C: EHLO client.example
        S: 250 mx.example
        C: STARTTLS
        S: 502 5.5.1 STARTTLS is not offered here
        C: AUTH PLAIN
        S: 502 5.5.1 AUTH is not offered here
        C: BDAT 6
        C: NOOP
        S: 502 5.5.1 BDAT is not offered here
        C: MAIL FROM:<ann@a.example> SIZE=1
        S: 555 5.5.4 Parameter SIZE is not offered here
        C: MAIL FROM:<ann@a.example> BODY=8BITMIME
        S: 555 5.5.4 Parameter BODY is not offered here
        C: MAIL FROM:<ann@a.example> SMTPUTF8
        S: 555 5.5.4 Parameter SMTPUTF8 is not offered here
        C: MAIL FROM:<ann@a.example> RET=FULL
        S: 555 5.5.4 Parameter RET is not offered here
        C: MAIL FROM:<ann@a.example> ENVID=1
        S: 555 5.5.4 Parameter ENVID is not offered here
        C: MAIL FROM:<ann@a.example> AUTH=<>
        S: 555 5.5.4 Parameter AUTH is not offered here
        C: MAIL FROM:<ann@a.example>
        S: 250 2.1.0 Ok
        C: RCPT TO:<bob@b.example> NOTIFY=NEVER
        S: 555 5.5.4 Parameter NOTIFY is not offered here
        C: RCPT TO:<bob@b.example> ORCPT=rfc822;bob@b.example
        S: 555 5.5.4 Parameter ORCPT is not offered here
        ",
        bare,
    );
}

#[test]
fn pipelined_commands_are_answered_in_order() {
    let messages = transcript(
        "
        S: 220 mx.example ESMTP Mailkeep
        -- HELLO --
        C: MAIL FROM:<ann@a.example>
        C: RCPT TO:<bob@b.example>
        C: RCPT TO:<eve>
        C: RCPT TO:<eve@b.example>
        C: DATA
        S: 250 2.1.0 Ok
        S: 250 2.1.5 Ok
        S: 501 5.1.3 Bad recipient address: the address has no domain
        S: 250 2.1.5 Ok
        S: 354 End data with <CR><LF>.<CR><LF>
        C: one
        C: .
        C: MAIL FROM:<>
        C: RCPT TO:<ann@a.example>
        C: DATA
        C: two
        C: .
        C: QUIT
        S: 250 2.0.0 Ok: queued as ID
        S: 250 2.1.0 Ok
        S: 250 2.1.5 Ok
        S: 354 End data with <CR><LF>.<CR><LF>
        S: 250 2.0.0 Ok: queued as ID
        S: 221 2.0.0 Bye
        -- CLOSED --
        ",
        accept_all,
    );
    assert_eq!(messages[0].envelope.recipients.len(), 2);
    assert_eq!(messages[1].content, b"two\r\n");
}

#[test]
fn size_is_checked_when_it_is_declared() {
    let mut declared = Vec::new();
    let full = |question: &Question| match question {
        Question::Mail { declared_octets, .. } => {
            declared.push(*declared_octets);
            if *declared_octets == Some(900) {
                return Answer::Refuse(smtp::Refusal::new(smtp::Reply::new(
                    452,
                    3,
                    1,
                    "Disk is full",
                )));
            }
            Answer::Yes
        }
        Question::Hello { .. } => {
            Answer::Offer(Extensions { size: Some(1000), ..settings().offer() })
        }
        other => accept_all(other),
    };
    transcript(
        "
        S: 220 mx.example ESMTP Mailkeep
        -- HELLO --
        C: MAIL FROM:<ann@a.example> SIZE=1001
        S: 552 5.3.4 Message is larger than 1000 octets
        C: MAIL FROM:<ann@a.example> SIZE=99999999999999999999
        S: 552 5.3.4 Message is larger than 1000 octets
        C: MAIL FROM:<ann@a.example> SIZE=900
        S: 452 4.3.1 Disk is full
        C: MAIL FROM:<ann@a.example> SIZE=many
        S: 501 5.5.4 Parameter SIZE takes a number of octets
        C: MAIL FROM:<ann@a.example> SIZE=0
        S: 250 2.1.0 Ok
        ",
        full,
    );
    assert_eq!(declared, [Some(900), None]);
}

#[test]
fn eight_bit_content_is_noted() {
    let messages = transcript(
        "
        S: 220 mx.example ESMTP Mailkeep
        -- HELLO --
        C: MAIL FROM:<ann@a.example> BODY=8bitmime
        C: RCPT TO:<bob@b.example>
        C: DATA
        S: 250 2.1.0 Ok
        S: 250 2.1.5 Ok
        S: 354 End data with <CR><LF>.<CR><LF>
        C: Grüße
        C: .
        S: 250 2.0.0 Ok: queued as ID
        ",
        accept_all,
    );
    assert_eq!(messages[0].envelope.body, Body::EightBitMime);
    assert!(messages[0].facts.eight_bit);
    assert_eq!(messages[0].facts.longest_line_octets, 7);
}

#[test]
fn addresses_beyond_ascii_need_smtputf8() {
    let messages = transcript(
        r"
        S: 220 mx.example ESMTP Mailkeep
        -- HELLO --
        C: MAIL FROM:<änn@a.example>
        S: 553 5.6.7 Address has non-ASCII characters: SMTPUTF8 is needed
        C: MAIL FROM:<ann@ä.example>
        S: 553 5.6.7 Address has non-ASCII characters: SMTPUTF8 is needed
        C: MAIL FROM:<ann@a.example>
        S: 250 2.1.0 Ok
        C: RCPT TO:<böb@b.example>
        S: 553 5.6.7 Address has non-ASCII characters: SMTPUTF8 is needed
        C: RSET
        -- RESET --
        S: 250 2.0.0 Ok
        C: MAIL FROM:<änn@a.example> SMTPUTF8
        S: 250 2.1.0 Ok
        C: RCPT TO:<böb@ü.example>
        S: 250 2.1.5 Ok
        C: DATA
        S: 354 End data with <CR><LF>.<CR><LF>
        C: .
        S: 250 2.0.0 Ok: queued as ID
        C> NOOP \xff\xfe\r\n
        S: 500 5.5.2 Command is not UTF-8
        ",
        accept_all,
    );
    let envelope = &messages[0].envelope;
    assert!(envelope.smtputf8);
    assert_eq!(envelope.recipients[0].address.to_string(), "böb@xn--tda.example");
}

#[test]
fn dsn_wishes_are_kept_decoded() {
    let messages = transcript(
        "
        S: 220 mx.example ESMTP Mailkeep
        -- HELLO --
        C: MAIL FROM:<ann@a.example> RET=HDRS ENVID=QQ+2B1
        S: 250 2.1.0 Ok
        C: RCPT TO:<bob@b.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;bob+2Bx@b.example
        S: 250 2.1.5 Ok
        C: RCPT TO:<eve@b.example> NOTIFY=NEVER,DELAY
        S: 501 5.5.4 Parameter NOTIFY takes NEVER, or a list of SUCCESS, FAILURE and DELAY
        C: RCPT TO:<eve@b.example> ORCPT=rfc822;a+0D+0Ab
        S: 501 5.5.4 Parameter ORCPT is not xtext: it stands for a control character or for octets that are not UTF-8
        C: RCPT TO:<eve@b.example> NOTIFY=NEVER
        S: 250 2.1.5 Ok
        C: DATA
        S: 354 End data with <CR><LF>.<CR><LF>
        C: .
        S: 250 2.0.0 Ok: queued as ID
        ",
        accept_all,
    );
    let envelope = &messages[0].envelope;
    assert_eq!(envelope.dsn_return, Some(DsnReturn::Headers));
    assert_eq!(envelope.envid.as_deref(), Some("QQ+1"));
    let [bob, eve] = &envelope.recipients[..] else { panic!() };
    assert_eq!(bob.notify, Notify { success: true, failure: true, delay: false });
    assert_eq!(bob.orcpt.as_deref(), Some("rfc822;bob+x@b.example"));
    assert_eq!(eve.notify, Notify::NEVER);
}

#[test]
fn chunks_bring_content_without_dots() {
    let messages = transcript(
        r"
        S: 220 mx.example ESMTP Mailkeep
        -- HELLO --
        C: MAIL FROM:<ann@a.example>
        C: RCPT TO:<bob@b.example>
        C: BDAT 7
        C> .\r\n..\r\n
        C: BDAT 0
        C: BDAT 4 LAST
        C> \r\n.\n
        S: 250 2.1.0 Ok
        S: 250 2.1.5 Ok
        S: 250 2.0.0 7 octets received
        S: 250 2.0.0 7 octets received
        -- RESET --
        -- SECURITY content-line-ending --
        S: 550 5.6.11 Message refused: it has a bare CR or LF in it
        C: MAIL FROM:<ann@a.example>
        C: RCPT TO:<bob@b.example>
        C: BDAT 3
        C> a\r\n
        C: BDAT 0 LAST
        S: 250 2.1.0 Ok
        S: 250 2.1.5 Ok
        S: 250 2.0.0 3 octets received
        S: 250 2.0.0 Ok: queued as ID
        ",
        accept_all,
    );
    assert_eq!(messages[0].content, b"a\r\n");
}

#[test]
fn a_chunk_may_end_within_a_line_ending() {
    let messages = transcript(
        r"
        S: 220 mx.example ESMTP Mailkeep
        -- HELLO --
        C: MAIL FROM:<ann@a.example>
        C: RCPT TO:<bob@b.example>
        C: BDAT 2
        C> a\r
        S: 250 2.1.0 Ok
        S: 250 2.1.5 Ok
        S: 250 2.0.0 2 octets received
        C: BDAT 2 LAST
        C> \nb
        S: 250 2.0.0 Ok: queued as ID
        C: MAIL FROM:<ann@a.example>
        C: RCPT TO:<bob@b.example>
        C: BDAT 2 LAST
        C> a\r
        S: 250 2.1.0 Ok
        S: 250 2.1.5 Ok
        -- RESET --
        -- SECURITY content-line-ending --
        S: 550 5.6.11 Message refused: it has a bare CR or LF in it
        ",
        accept_all,
    );
    assert_eq!(messages[0].content, b"a\r\nb");
}

#[test]
fn chunks_out_of_order_are_refused_and_passed_over() {
    transcript(
        r"
        S: 220 mx.example ESMTP Mailkeep
        C: BDAT 6 LAST
        C> QUIT\r\n
        S: 502 5.5.1 BDAT is not offered here
        -- HELLO --
        C: BDAT 6 LAST
        C> QUIT\r\n
        S: 503 5.5.1 Bad sequence of commands: MAIL and RCPT come before BDAT
        C: MAIL FROM:<ann@a.example>
        C: BDAT 6
        C> QUIT\r\n
        S: 250 2.1.0 Ok
        S: 503 5.5.1 Bad sequence of commands: RCPT comes first
        C: RCPT TO:<bob@b.example>
        C: BDAT 3
        C> a\r\n
        S: 250 2.1.5 Ok
        S: 250 2.0.0 3 octets received
        C: DATA
        S: 503 5.5.1 Bad sequence of commands: only BDAT or RSET may follow BDAT
        C: RCPT TO:<eve@b.example>
        S: 503 5.5.1 Bad sequence of commands: only BDAT or RSET may follow BDAT
        C: MAIL FROM:<eve@a.example>
        S: 503 5.5.1 Bad sequence of commands: a transaction is under way
        C: NOOP
        S: 250 2.0.0 Ok
        C: RSET
        -- RESET --
        S: 250 2.0.0 Ok
        C: BDAT 0 LAST
        S: 503 5.5.1 Bad sequence of commands: MAIL and RCPT come before BDAT
        ",
        accept_all,
    );
}

#[test]
fn a_chunk_without_a_readable_size_ends_the_connection() {
    for size in ["", " x", " -1", " 18446744073709551616", " 5 LAS", " 5 LAST LAST"] {
        transcript(
            &format!(
                "
                S: 220 mx.example ESMTP Mailkeep
                -- HELLO --
                C: BDAT{size}
                C: NOOP
                S: 501 5.5.4 Syntax: BDAT octets [LAST]
                -- CLOSED --
                "
            ),
            accept_all,
        );
    }
    transcript(
        "
        S: 220 mx.example ESMTP Mailkeep
        -- HELLO --
        C: BDAT 18446744073709551615
        C: NOOP
        S: 503 5.5.1 Bad sequence of commands: MAIL and RCPT come before BDAT
        -- CLOSED --
        ",
        accept_all,
    );
}

#[test]
fn binary_content_comes_only_by_chunks() {
    let messages = transcript(
        r"
        S: 220 mx.example ESMTP Mailkeep
        -- HELLO --
        C: MAIL FROM:<ann@a.example> BODY=BINARYMIME
        C: RCPT TO:<bob@b.example>
        C: DATA
        S: 250 2.1.0 Ok
        S: 250 2.1.5 Ok
        S: 503 5.5.1 Bad sequence of commands: BODY=BINARYMIME takes BDAT, not DATA
        C: BDAT 5 LAST
        C> \0\r\n.\n
        S: 250 2.0.0 Ok: queued as ID
        ",
        accept_all,
    );
    assert_eq!(messages[0].content, b"\0\r\n.\n");
    assert_eq!(messages[0].envelope.body, Body::BinaryMime);
}

#[test]
fn requiretls_is_taken_only_under_tls() {
    let script = "
        S: 220 mx.example ESMTP Mailkeep
        -- HELLO --
        C: MAIL FROM:<ann@a.example> REQUIRETLS
    ";
    let refused = "S: 530 5.7.10 REQUIRETLS is valid only under TLS: use STARTTLS first";
    transcript(&format!("{script}{refused}"), accept_all);
    let mut asked = false;
    let note = |question: &Question| {
        if let Question::Mail { envelope, .. } = question {
            asked = envelope.require_tls;
        }
        accept_all(question)
    };
    transcript_with(settings(), Channel::Tls, &format!("{script}S: 250 2.1.0 Ok"), note);
    assert!(asked);
}

#[test]
fn limits_are_told_and_kept() {
    let strict = |question: &Question| match question {
        Question::Hello { .. } => {
            let mut offer = settings().offer();
            offer.limits.mail_max = Some(2);
            offer.limits.rcpt_max = Some(1);
            Answer::Offer(Extensions { limits: offer.limits, ..Extensions::default() })
        }
        other => accept_all(other),
    };
    transcript(
        "
        S: 220 mx.example ESMTP Mailkeep
        C: EHLO client.example
        S: 250-mx.example
        S: 250 LIMITS MAILMAX=2 RCPTMAX=1
        C: MAIL FROM:<ann@a.example>
        S: 250 2.1.0 Ok
        C: RCPT TO:<bob@b.example>
        S: 250 2.1.5 Ok
        C: RCPT TO:<eve@b.example>
        S: 452 4.5.3 Too many recipients: at most 1 a message
        C: RSET
        -- RESET --
        S: 250 2.0.0 Ok
        C: MAIL FROM:<ann@a.example>
        S: 250 2.1.0 Ok
        C: RSET
        -- RESET --
        S: 250 2.0.0 Ok
        C: MAIL FROM:<ann@a.example>
        S: 421 4.7.0 mx.example Too many messages in one session, closing connection
        -- CLOSED --
        ",
        strict,
    );
}
