//! The step to TLS (RFC 3207).

use smtp::server::{Channel, Input};

use crate::driver::{Driver, accept_all, settings, transcript, transcript_with};

#[test]
fn tls_forgets_everything_said_before() {
    transcript(
        "
        S: 220 mx.example ESMTP Mailkeep
        -- HELLO --
        C: AUTH PLAIN AGFubgBwYXNz
        S: 235 2.7.0 Authentication successful
        C: MAIL FROM:<ann@a.example>
        S: 250 2.1.0 Ok
        C: STARTTLS
        S: 503 5.5.1 Bad sequence of commands: a transaction is under way
        C: RSET
        -- RESET --
        S: 250 2.0.0 Ok
        C: STARTTLS
        S: 220 2.0.0 Ready to start TLS
        -- TLS --
        C: MAIL FROM:<ann@a.example>
        S: 503 5.5.1 Bad sequence of commands: greet with EHLO first
        -- HELLO --
        C: STARTTLS
        S: 503 5.5.1 Bad sequence of commands: TLS is active already
        C: AUTH PLAIN AGFubgBwYXNz
        S: 235 2.7.0 Authentication successful
        ",
        accept_all,
    );
}

#[test]
fn input_between_starttls_and_tls_ends_the_connection() {
    for injected in ["C: NOOP", "C> N", r"C> \0"] {
        transcript(
            &format!(
                "
                S: 220 mx.example ESMTP Mailkeep
                -- HELLO --
                C: STARTTLS
                {injected}
                -- SECURITY starttls-injection --
                S: 421 4.7.0 mx.example Input after STARTTLS and before TLS, closing connection
                -- CLOSED --
                "
            ),
            accept_all,
        );
    }
}

#[test]
fn input_during_the_handshake_ends_the_connection() {
    let mut driver = Driver::new(settings(), Channel::Clear, accept_all);
    driver.feed(b"EHLO client.example\r\nSTARTTLS\r\n");
    driver.log.clear();
    driver.feed(b"MAIL FROM:<eve@a.example>\r\n");
    driver.give(Input::TlsReady);
    driver.feed(b"NOOP\r\n");
    assert_eq!(driver.log, ["-- SECURITY starttls-injection --", "-- CLOSED --"]);
}

#[test]
fn injection_behind_pipelined_commands_is_found_too() {
    transcript(
        "
        S: 220 mx.example ESMTP Mailkeep
        -- HELLO --
        C: NOOP
        C: VRFY bob
        C: STARTTLS
        C: EHLO eve.example
        S: 250 2.0.0 Ok
        S: 252 2.5.0 Cannot verify, but will take mail and try to deliver it
        -- SECURITY starttls-injection --
        S: 421 4.7.0 mx.example Input after STARTTLS and before TLS, closing connection
        -- CLOSED --
        ",
        accept_all,
    );
}

#[test]
fn the_way_a_message_came_is_named() {
    let mut driver = Driver::new(settings(), Channel::Clear, accept_all);
    driver.feed(b"HELO client.example\r\n");
    assert_eq!(driver.session.transmission_type(false), "SMTP");
    driver.feed(b"EHLO client.example\r\n");
    assert_eq!(driver.session.transmission_type(false), "ESMTP");
    assert_eq!(driver.session.hello(), Some("client.example"));
    driver.feed(b"STARTTLS\r\n");
    driver.give(Input::TlsReady);
    assert_eq!((driver.session.hello(), driver.session.identity()), (None, None));
    driver.feed(b"EHLO client.example\r\nAUTH PLAIN AGFubgBwYXNz\r\n");
    assert_eq!(driver.session.transmission_type(false), "ESMTPSA");
    assert_eq!(driver.session.transmission_type(true), "UTF8SMTPSA");
    assert_eq!(driver.session.identity(), Some("ann"));
}

#[test]
fn a_handshake_that_ends_says_nothing() {
    for end in ["-- END --", "-- TIMEOUT --"] {
        transcript_with(
            settings(),
            Channel::Clear,
            &format!(
                "
                S: 220 mx.example ESMTP Mailkeep
                -- HELLO --
                C: STARTTLS
                S: 220 2.0.0 Ready to start TLS
                {end}
                -- CLOSED --
                "
            ),
            accept_all,
        );
    }
}
