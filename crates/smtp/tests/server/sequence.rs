//! Commands in and out of order.

use smtp::server::{Answer, Channel, Question};
use smtp::{Refusal, Reply};

use crate::driver::{accept_all, refuse, settings, transcript, transcript_with};

#[test]
fn a_message_is_taken_from_greeting_to_farewell() {
    let messages = transcript(
        "
        S: 220 mx.example ESMTP Mailkeep
        C: HELO client.example
        S: 250 mx.example
        C: MAIL FROM:<ann@a.example>
        S: 250 2.1.0 Ok
        C: RCPT TO:<bob@b.example>
        S: 250 2.1.5 Ok
        C: RCPT TO:<Postmaster>
        S: 250 2.1.5 Ok
        C: DATA
        S: 354 End data with <CR><LF>.<CR><LF>
        C: Subject: hello
        C:
        C: ..dot
        C: .
        S: 250 2.0.0 Ok: queued as ID
        C: QUIT
        S: 221 2.0.0 Bye
        -- CLOSED --
        ",
        accept_all,
    );
    let [message] = &messages[..] else { panic!("{messages:?}") };
    assert_eq!(message.content, b"Subject: hello\r\n\r\n.dot\r\n");
    let recipients: Vec<String> =
        message.envelope.recipients.iter().map(|r| r.address.to_string()).collect();
    assert_eq!(recipients, ["bob@b.example", "postmaster@mx.example"]);
}

#[test]
fn commands_out_of_order_say_what_comes_first() {
    transcript(
        "
        S: 220 mx.example ESMTP Mailkeep
        C: MAIL FROM:<ann@a.example>
        S: 503 5.5.1 Bad sequence of commands: greet with EHLO first
        C: STARTTLS
        S: 503 5.5.1 Bad sequence of commands: greet with EHLO first
        C: RSET
        S: 250 2.0.0 Ok
        -- HELLO --
        C: RCPT TO:<bob@b.example>
        S: 503 5.5.1 Bad sequence of commands: MAIL comes first
        C: DATA
        S: 503 5.5.1 Bad sequence of commands: MAIL comes first
        C: MAIL FROM:<ann@a.example>
        S: 250 2.1.0 Ok
        C: MAIL FROM:<eve@a.example>
        S: 503 5.5.1 Bad sequence of commands: a transaction is under way
        C: AUTH PLAIN
        S: 503 5.5.1 Bad sequence of commands: a transaction is under way
        C: DATA
        S: 503 5.5.1 Bad sequence of commands: RCPT comes first
        C: RSET
        -- RESET --
        S: 250 2.0.0 Ok
        C: DATA
        S: 503 5.5.1 Bad sequence of commands: MAIL comes first
        ",
        accept_all,
    );
}

#[test]
fn commands_in_a_wrong_form_say_the_right_one() {
    transcript(
        "
        S: 220 mx.example ESMTP Mailkeep
        C: EHLO
        S: 501 5.5.4 A host name or an address literal is expected
        C: EHLO two names
        S: 501 5.5.4 A host name or an address literal is expected
        C: EHLO <script>
        S: 501 5.5.4 A host name or an address literal is expected
        C: LHLO client.example
        S: 500 5.5.1 Command not recognized
        -- HELLO --
        C: FOO
        S: 500 5.5.1 Command not recognized
        C:
        S: 500 5.5.1 Command not recognized
        C: MAIL FROM:ann@a.example
        S: 501 5.5.4 Syntax: MAIL FROM:<address> [parameters]
        C: MAIL FROM:<ann>
        S: 501 5.1.7 Bad sender address: the address has no domain
        C: MAIL FROM:<ann@a.example> COLOUR=blue
        S: 555 5.5.4 Parameter COLOUR is not offered here
        C: DATA now
        S: 501 5.5.4 Syntax: DATA
        C: QUIT now
        S: 501 5.5.4 Syntax: QUIT
        C: VRFY
        S: 501 5.5.4 Syntax: VRFY address
        C: EXPN staff
        S: 502 5.5.1 EXPN is not offered here
        ",
        accept_all,
    );
}

#[test]
fn helpful_commands_work_at_any_time() {
    transcript(
        "
        S: 220 mx.example ESMTP Mailkeep
        C: NOOP anything
        S: 250 2.0.0 Ok
        C: HELP
        S: 214-2.0.0 EHLO HELO LHLO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP STARTTLS AUTH QUIT
        S: 214 2.0.0 See RFC 5321; what is offered stands in the reply to EHLO
        -- HELLO --
        C: MAIL FROM:<>
        S: 250 2.1.0 Ok
        C: VRFY bob
        S: 252 2.5.0 Cannot verify, but will take mail and try to deliver it
        C: RCPT TO:<bob@b.example>
        S: 250 2.1.5 Ok
        C: QUIT
        -- RESET --
        S: 221 2.0.0 Bye
        -- CLOSED --
        ",
        accept_all,
    );
}

#[test]
fn a_second_greeting_ends_the_transaction() {
    transcript(
        "
        S: 220 mx.example ESMTP Mailkeep
        -- HELLO --
        C: MAIL FROM:<ann@a.example>
        S: 250 2.1.0 Ok
        C: HELO again
        -- RESET --
        S: 250 mx.example
        C: RCPT TO:<bob@b.example>
        S: 503 5.5.1 Bad sequence of commands: MAIL comes first
        ",
        accept_all,
    );
}

#[test]
fn policy_speaks_at_every_step() {
    let mut step = 0;
    transcript(
        "
        S: 220 mx.example ESMTP Mailkeep
        C: EHLO first
        S: 550 5.7.1 hello
        C: MAIL FROM:<ann@a.example>
        S: 503 5.5.1 Bad sequence of commands: greet with EHLO first
        -- HELLO --
        C: MAIL FROM:<first@a.example>
        S: 550 5.7.1 mail
        C: MAIL FROM:<ann@a.example>
        S: 250 2.1.0 Ok
        C: RCPT TO:<first@b.example>
        S: 450 4.7.1 rcpt
        C: DATA
        S: 554 5.5.1 No valid recipients
        C: RCPT TO:<bob@b.example>
        S: 250 2.1.5 Ok
        C: VRFY bob
        S: 550 5.7.1 vrfy
        C: DATA
        -- RESET --
        S: 451 4.7.1 data
        C: MAIL FROM:<ann@a.example>
        C: RCPT TO:<bob@b.example>
        C: DATA
        S: 250 2.1.0 Ok
        S: 250 2.1.5 Ok
        S: 354 End data with <CR><LF>.<CR><LF>
        C: .
        S: 554 5.7.1 commit
        C: NOOP
        S: 250 2.0.0 Ok
        ",
        |question| {
            let mut once = |at: u32, code, text| {
                if step == at {
                    step += 1;
                    refuse(code, text)
                } else {
                    accept_all(question)
                }
            };
            match question {
                Question::Hello { .. } => once(0, 550, "hello"),
                Question::Mail { .. } => once(1, 550, "mail"),
                Question::Rcpt(_) => once(2, 450, "rcpt"),
                Question::Vrfy(_) => once(3, 550, "vrfy"),
                Question::Data => once(4, 451, "data"),
                Question::Commit(_) => once(5, 554, "commit"),
                other => accept_all(other),
            }
        },
    );
}

#[test]
fn a_line_that_is_no_command_is_refused_in_the_words_of_policy() {
    transcript(
        "
        S: 220 mx.example ESMTP Mailkeep
        C: XTRICK one  two
        S: 550 5.7.1 No XTRICK one  two here
        C: NOOP
        S: 250 2.0.0 Ok
        ",
        |question| match question {
            Question::Unknown(line) => refuse(550, format!("No {line} here")),
            other => accept_all(other),
        },
    );
}

#[test]
fn a_refused_client_may_only_quit() {
    let refuse_connection = |question: &Question| match question {
        Question::Connect => refuse(554, "No mail from you"),
        other => accept_all(other),
    };
    transcript(
        "
        S: 554 5.7.1 No mail from you
        C: EHLO client.example
        S: 503 5.5.1 Bad sequence of commands: QUIT is expected
        C: QUIT
        S: 221 2.0.0 Bye
        -- CLOSED --
        ",
        refuse_connection,
    );
}

#[test]
fn a_refusal_may_end_the_connection() {
    let close = |question: &Question| match question {
        Question::Rcpt(_) => Answer::Refuse(Refusal::closing(Reply::new(550, 7, 1, "Go away"))),
        other => accept_all(other),
    };
    transcript(
        "
        S: 220 mx.example ESMTP Mailkeep
        -- HELLO --
        C: MAIL FROM:<ann@a.example>
        S: 250 2.1.0 Ok
        C: RCPT TO:<bob@b.example>
        C: NOOP
        S: 550 5.7.1 Go away
        -- RESET --
        -- CLOSED --
        C: NOOP
        ",
        close,
    );
    transcript(
        "
        S: 421 4.7.1 Too many connections
        -- CLOSED --
        ",
        |_| refuse(421, "Too many connections"),
    );
}

#[test]
fn an_answer_that_does_not_fit_is_a_local_error() {
    let muddled = |question: &Question| match question {
        Question::Mail { .. } | Question::AuthStart { .. } => Answer::Accepted("ID".to_owned()),
        other => accept_all(other),
    };
    transcript_with(
        settings(),
        Channel::Tls,
        "
        S: 220 mx.example ESMTP Mailkeep
        -- HELLO --
        C: MAIL FROM:<ann@a.example>
        S: 451 4.3.0 Local error, try again later
        C: AUTH PLAIN
        S: 451 4.3.0 Local error, try again later
        ",
        muddled,
    );
}
