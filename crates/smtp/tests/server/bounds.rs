//! What a client can make a session do is bounded.

use smtp::server::{
    COMMAND_LINE_MAX_OCTETS, Channel, Input, LINE_OVERRUN_MAX_OCTETS, Session, Settings,
    UNREAD_MAX_OCTETS,
};
use std::sync::Arc;

use crate::driver::{Driver, accept_all, settings, transcript, transcript_with};

#[test]
fn too_many_errors_end_the_connection() {
    transcript_with(
        Settings { errors_max: 2, ..settings() },
        Channel::Clear,
        "
        S: 220 mx.example ESMTP Mailkeep
        C: FOO
        C: BAR
        C: BAZ
        C: QUX
        S: 500 5.5.1 Command not recognized
        S: 500 5.5.1 Command not recognized
        S: 500 5.5.1 Command not recognized
        -- SECURITY abuse --
        S: 421 4.7.0 mx.example Too many errors, closing connection
        -- CLOSED --
        ",
        accept_all,
    );
}

#[test]
fn an_accepted_message_forgives() {
    let settings = Settings { errors_max: 1, idle_commands_max: 2, ..settings() };
    let messages = transcript_with(
        settings,
        Channel::Clear,
        "
        S: 220 mx.example ESMTP Mailkeep
        C: FOO
        S: 500 5.5.1 Command not recognized
        -- HELLO --
        C: NOOP
        S: 250 2.0.0 Ok
        C: MAIL FROM:<ann@a.example>
        C: RCPT TO:<bob@b.example>
        C: DATA
        C: .
        S: 250 2.1.0 Ok
        S: 250 2.1.5 Ok
        S: 354 End data with <CR><LF>.<CR><LF>
        S: 250 2.0.0 Ok: queued as ID
        C: FOO
        S: 500 5.5.1 Command not recognized
        C: NOOP
        C: RSET
        C: NOOP
        S: 250 2.0.0 Ok
        S: 250 2.0.0 Ok
        -- SECURITY abuse --
        S: 421 4.7.0 mx.example Too many commands without a message, closing connection
        -- CLOSED --
        ",
        accept_all,
    );
    assert_eq!(messages.len(), 1);
}

#[test]
fn every_idle_command_counts() {
    let settings = Settings { idle_commands_max: 3, errors_max: 100, ..settings() };
    for command in
        ["NOOP", "RSET", "HELP", "VRFY bob", "EHLO a", "HELO a", "BDAT 0", "MAIL FROM:<>\r\nRSET"]
    {
        let mut driver = Driver::new(settings.clone(), Channel::Clear, accept_all);
        for _ in 0..5 {
            driver.feed(format!("{command}\r\n").as_bytes());
        }
        assert_eq!(driver.log.last().unwrap(), "-- CLOSED --", "{command}: {:?}", driver.log);
    }
}

#[test]
fn commands_are_counted_until_a_message_is_accepted() {
    let settings = Settings { commands_max: 4, ..settings() };
    transcript_with(
        settings,
        Channel::Clear,
        "
        S: 220 mx.example ESMTP Mailkeep
        -- HELLO --
        C: MAIL FROM:<>
        C: RCPT TO:<a@b.example>
        C: RCPT TO:<a@b.example>
        C: RCPT TO:<a@b.example>
        S: 250 2.1.0 Ok
        S: 250 2.1.5 Ok
        S: 250 2.1.5 Ok
        -- RESET --
        -- SECURITY abuse --
        S: 421 4.7.0 mx.example Too many commands without a message, closing connection
        -- CLOSED --
        ",
        accept_all,
    );
}

#[test]
fn a_hundred_thousand_recipients_are_not_kept() {
    let settings = Settings { recipients_max: 10, commands_max: 200_000, ..settings() };
    let mut asked = 0;
    let counting = |question: &smtp::server::Question| {
        asked += u32::from(matches!(question, smtp::server::Question::Rcpt(_)));
        accept_all(question)
    };
    let mut driver = Driver::new(settings, Channel::Clear, counting);
    driver.feed(b"EHLO a\r\nMAIL FROM:<>\r\n");
    let some = b"RCPT TO:<bob@b.example>\r\n".repeat(1000);
    for _ in 0..100 {
        driver.feed(&some);
    }
    driver.feed(b"DATA\r\n.\r\n");
    let refused = driver.log.iter().filter(|line| line.starts_with("S: 452 4.5.3 ")).count();
    assert_eq!(refused, 99_990);
    assert_eq!(driver.messages[0].envelope.recipients.len(), 10);
    assert!(driver.most_held_octets <= some.len());
    drop(driver);
    assert_eq!(asked, 10);
}

#[test]
fn an_overlong_line_is_one_error_and_little_memory() {
    let mut driver = Driver::new(settings(), Channel::Clear, accept_all);
    driver.log.clear();
    let mut line = b"NOOP ".to_vec();
    line.resize(500_000, b'x');
    for piece in line.chunks(1000) {
        driver.feed(piece);
    }
    driver.feed(b"\r\nNOOP\r\n");
    assert_eq!(driver.log, ["S: 500 5.5.6 Line is longer than 2048 octets", "S: 250 2.0.0 Ok"]);
    assert!(driver.most_held_octets <= COMMAND_LINE_MAX_OCTETS);
}

#[test]
fn an_endless_line_ends_the_connection() {
    let mut driver = Driver::new(settings(), Channel::Clear, accept_all);
    driver.log.clear();
    let piece = vec![b'x'; 65_536];
    for _ in 0..=LINE_OVERRUN_MAX_OCTETS / piece.len() {
        driver.feed(&piece);
    }
    assert_eq!(
        driver.log,
        [
            "S: 500 5.5.6 Line is longer than 2048 octets",
            "-- SECURITY endless --",
            "S: 421 4.7.0 mx.example A line has no end, closing connection",
            "-- CLOSED --"
        ]
    );
}

#[test]
fn input_ahead_of_an_answer_is_bounded() {
    let mut session = Session::new(Arc::new(settings()), Channel::Clear);
    let noops = b"NOOP\r\n".repeat(10_000);
    let mut most = 0;
    while session.phase() != smtp::server::Phase::Closed {
        session.handle(Input::Bytes(&noops));
        most = most.max(session.held_octets());
    }
    assert!(most <= UNREAD_MAX_OCTETS);
    assert_eq!(session.held_octets(), 0);
}

#[test]
fn names_in_greetings_are_lenient() {
    for name in [
        "laptop",
        "under_score.example",
        "[192.0.2.1]",
        "[IPv6:2001:db8::1]",
        "müller-pc",
        "10.0.0.1",
    ] {
        transcript(
            &format!("S: 220 mx.example ESMTP Mailkeep\nC: HELO {name}\nS: 250 mx.example"),
            accept_all,
        );
    }
}
