//! AUTH exchanges (RFC 4954).

use smtp::Mechanism;
use smtp::server::{Answer, Channel, Question, Settings};

use crate::driver::{accept_all, refuse, settings, transcript_with};

fn under_tls(script: &str, policy: impl FnMut(&Question) -> Answer) {
    transcript_with(settings(), Channel::Tls, script, policy);
}

/// LOGIN as a policy would answer it.
fn login(question: &Question) -> Answer {
    match question {
        Question::AuthStart { mechanism: Mechanism::Login, initial: None } => {
            Answer::Challenge(b"Username:".to_vec())
        }
        Question::AuthStart { mechanism: Mechanism::Plain, initial: None } => {
            Answer::Challenge(Vec::new())
        }
        Question::AuthStart { initial: Some(secret), .. } => match secret.expose() {
            b"\0ann\0pass" => Answer::Authenticated { identity: "ann".to_owned() },
            b"" => Answer::Challenge(b"empty".to_vec()),
            _ => refuse(535, "Wrong name or password"),
        },
        Question::AuthContinue(secret) => match secret.expose() {
            b"ann" => Answer::Challenge(b"Password:".to_vec()),
            b"pass" | b"\0ann\0pass" => Answer::Authenticated { identity: "ann".to_owned() },
            _ => refuse(535, "Wrong name or password"),
        },
        other => accept_all(other),
    }
}

#[test]
fn credentials_may_come_at_once_or_bit_by_bit() {
    for exchange in [
        "C: AUTH PLAIN AGFubgBwYXNz",
        "C: auth plain
        S: 334
        C: AGFubgBwYXNz",
        "C: AUTH LOGIN
        S: 334 VXNlcm5hbWU6
        C: YW5u
        S: 334 UGFzc3dvcmQ6
        C: cGFzcw==",
        "C: AUTH PLAIN =
        S: 334 ZW1wdHk=
        C: AGFubgBwYXNz",
    ] {
        under_tls(
            &format!(
                "
                S: 220 mx.example ESMTP Mailkeep
                -- HELLO --
                {exchange}
                S: 235 2.7.0 Authentication successful
                C: AUTH PLAIN AGFubgBwYXNz
                S: 503 5.5.1 Bad sequence of commands: already authenticated
                -- HELLO --
                C: AUTH PLAIN AGFubgBwYXNz
                S: 503 5.5.1 Bad sequence of commands: already authenticated
                "
            ),
            login,
        );
    }
}

#[test]
fn an_exchange_can_be_cancelled_or_spoilt() {
    under_tls(
        "
        S: 220 mx.example ESMTP Mailkeep
        -- HELLO --
        C: AUTH LOGIN
        S: 334 VXNlcm5hbWU6
        C: *
        -- AUTH ABANDONED --
        S: 501 5.7.0 Authentication cancelled
        C: AUTH LOGIN
        S: 334 VXNlcm5hbWU6
        C: not base64!
        -- AUTH ABANDONED --
        S: 501 5.5.2 Authentication response is not base64
        C: AUTH PLAIN AGFub
        S: 501 5.5.2 Authentication response is not base64
        C: AUTH PLAIN AGFubgBwYXNz more
        S: 501 5.5.4 Syntax: AUTH mechanism [initial-response]
        C: AUTH
        S: 501 5.5.4 Syntax: AUTH mechanism [initial-response]
        C: AUTH CRAM-MD5
        S: 504 5.5.4 Authentication mechanism is not offered
        C: AUTH NONSENSE
        S: 504 5.5.4 Authentication mechanism is not offered
        C: AUTH LOGIN
        S: 334 VXNlcm5hbWU6
        -- END --
        -- AUTH ABANDONED --
        -- CLOSED --
        ",
        login,
    );
}

#[test]
fn auth_hidden_before_tls_says_so() {
    let hidden = |question: &Question| match question {
        Question::Hello { .. } => {
            let mut offer = settings().offer();
            offer.starttls = true;
            Answer::Offer(offer)
        }
        other => accept_all(other),
    };
    transcript_with(
        settings(),
        Channel::Clear,
        "
        S: 220 mx.example ESMTP Mailkeep
        -- HELLO --
        C: AUTH PLAIN AGFubgBwYXNz
        S: 538 5.7.11 Encryption is needed to authenticate: use STARTTLS first
        ",
        hidden,
    );
}

#[test]
fn repeated_failures_end_the_connection() {
    let settings = Settings { auth_failures_max: 2, ..settings() };
    transcript_with(
        settings,
        Channel::Tls,
        "
        S: 220 mx.example ESMTP Mailkeep
        -- HELLO --
        C: AUTH PLAIN AGFubgB3cm9uZw==
        S: 535 5.7.1 Wrong name or password
        C: AUTH PLAIN AGFubgB3cm9uZw==
        S: 535 5.7.1 Wrong name or password
        -- SECURITY auth-failures --
        S: 421 4.7.0 mx.example Too many failed authentications, closing connection
        -- CLOSED --
        ",
        login,
    );
}

#[test]
fn responses_may_be_long_but_not_endless() {
    let fits = "A".repeat(12_288 - 2);
    let long = "A".repeat(12_288 - 1);
    under_tls(
        &format!(
            "
            S: 220 mx.example ESMTP Mailkeep
            -- HELLO --
            C: AUTH LOGIN
            S: 334 VXNlcm5hbWU6
            C: {}
            -- AUTH ABANDONED --
            S: 501 5.5.2 Authentication response is not base64
            C: AUTH LOGIN
            S: 334 VXNlcm5hbWU6
            C: {long}
            -- AUTH ABANDONED --
            S: 500 5.5.6 Line is longer than 12288 octets
            C: NOOP
            S: 250 2.0.0 Ok
            ",
            &fits
        ),
        login,
    );
}
