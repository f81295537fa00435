//! How sessions end that neither side ends by QUIT.

use smtp::server::{Channel, EarlyTalkers, Input, Output, Question, Session, Settings};
use std::sync::Arc;

use crate::driver::{accept_all, settings, transcript};

#[test]
fn shutdown_waits_for_content_and_no_longer() {
    let messages = transcript(
        "
        S: 220 mx.example ESMTP Mailkeep
        -- HELLO --
        C: MAIL FROM:<ann@a.example>
        C: RCPT TO:<bob@b.example>
        C: DATA
        S: 250 2.1.0 Ok
        S: 250 2.1.5 Ok
        S: 354 End data with <CR><LF>.<CR><LF>
        -- SHUTDOWN --
        C: text
        C: .
        C: MAIL FROM:<ann@a.example>
        S: 250 2.0.0 Ok: queued as ID
        S: 421 4.3.2 mx.example Service is shutting down, closing connection
        -- CLOSED --
        ",
        accept_all,
    );
    assert_eq!(messages.len(), 1);
    transcript(
        "
        S: 220 mx.example ESMTP Mailkeep
        -- HELLO --
        C: MAIL FROM:<ann@a.example>
        S: 250 2.1.0 Ok
        -- SHUTDOWN --
        -- RESET --
        S: 421 4.3.2 mx.example Service is shutting down, closing connection
        -- CLOSED --
        ",
        accept_all,
    );
}

#[test]
fn silence_is_answered_with_421() {
    transcript(
        "
        S: 220 mx.example ESMTP Mailkeep
        C> NOO
        -- TIMEOUT --
        S: 421 4.4.2 mx.example Timeout: nothing came for too long, closing connection
        -- CLOSED --
        -- TIMEOUT --
        -- END --
        ",
        accept_all,
    );
}

#[test]
fn browsers_are_sent_away() {
    for line in ["GET / HTTP/1.1", "POST / HTTP/1.1", "Host: mx.example", "CONNECT a:1 HTTP/1.1"] {
        transcript(
            &format!(
                "
                S: 220 mx.example ESMTP Mailkeep
                C: {line}
                C: MAIL FROM:<eve@a.example>
                -- SECURITY http-client --
                S: 421 4.7.0 mx.example This is a mail server, not a web server, closing connection
                -- CLOSED --
                "
            ),
            accept_all,
        );
    }
}

#[test]
fn tls_on_a_clear_port_is_told_so() {
    transcript(
        r"
        S: 220 mx.example ESMTP Mailkeep
        C> \x16\x03\x01\x02\0\x01
        S: 421 4.7.0 mx.example TLS on a port that begins in the clear: use STARTTLS, closing connection
        -- CLOSED --
        ",
        accept_all,
    );
}

fn speak_early(settings: Settings) -> Vec<Output> {
    let mut session = Session::new(Arc::new(settings), Channel::Clear);
    assert_eq!(session.poll(), Some(Output::Ask(Question::Connect)));
    session.handle(Input::Bytes(b"NOOP\r\n"));
    assert_eq!(session.poll(), None);
    session.handle(Input::Answer(accept_all(&Question::Connect)));
    std::iter::from_fn(|| session.poll()).collect()
}

fn words(outputs: &[Output]) -> Vec<String> {
    outputs
        .iter()
        .map(|output| match output {
            Output::Reply(reply) => reply.summary(),
            Output::Security(incident) => incident.name().to_owned(),
            other => format!("{other:?}"),
        })
        .collect()
}

#[test]
fn early_talkers_are_noted_and_refused_if_so_set() {
    assert_eq!(
        words(&speak_early(settings())),
        ["early-talker", "220 mx.example ESMTP Mailkeep", "250 2.0.0 Ok"]
    );
    let strict = Settings { early_talkers: EarlyTalkers::Refuse, ..settings() };
    assert_eq!(
        words(&speak_early(strict)),
        ["early-talker", "554 5.5.1 You spoke before the greeting", "Close"]
    );
}

#[test]
fn what_was_said_before_the_end_is_still_carried_out() {
    let mut session = Session::new(Arc::new(settings()), Channel::Clear);
    session.handle(Input::Bytes(
        b"HELO a\r\nMAIL FROM:<>\r\nRCPT TO:<bob@b.example>\r\nDATA\r\nx\r\n.\r\nQUIT\r\n",
    ));
    session.handle(Input::End);
    let mut said = Vec::new();
    while let Some(output) = session.poll() {
        if let Output::Ask(question) = &output {
            session.handle(Input::Answer(accept_all(question)));
        } else if let Output::Reply(reply) = &output {
            said.push(reply.code());
        }
    }
    assert_eq!(said, [220, 250, 250, 250, 354, 250, 221]);
}
