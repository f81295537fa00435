//! The client's side of SMTP and LMTP, as transcripts.
//!
//! `C:` lines that follow one another must leave in one write; `S:` lines that follow
//! one another arrive in one read; `␊` is a bare LF. `*` is what our side wishes, `=` what it learns.

use mail::envelope::Body;
use mail::{DsnReturn, Envelope, Notify, Recipient, ReversePath};
use smtp::client::{Credentials, Input, Output, Protocol, Session, Settings, Survey, Transaction};
const BODY: &str = "Subject: Lunch\r\n\r\nAt noon.\r\n";
fn envelope(recipients: &[&str]) -> Envelope {
    let sender = ReversePath::Address("ann@client.example".parse().unwrap());
    let recipients = recipients.iter().map(|r| Recipient::new(r.parse().unwrap())).collect();
    Envelope { recipients, ..Envelope::from(sender) }
}
struct Case {
    protocol: Protocol,
    envelope: Envelope,
    content: Vec<u8>,
}

fn to(recipients: &[&str]) -> Case {
    Case { protocol: Protocol::Smtp, envelope: envelope(recipients), content: BODY.into() }
}

impl Case {
    fn lmtp(self) -> Self {
        Self { protocol: Protocol::Lmtp, ..self }
    }

    fn content(self, content: impl Into<Vec<u8>>) -> Self {
        Self { content: content.into(), ..self }
    }

    fn with(mut self, change: impl FnOnce(&mut Envelope)) -> Self {
        change(&mut self.envelope);
        self
    }

    /// Plays `script` after a greeting and an EHLO that offers `offers`.
    fn greeted(self, offers: &str, script: &str) {
        let hello = match self.protocol {
            Protocol::Smtp => "EHLO",
            Protocol::Lmtp => "LHLO",
        };
        let mut whole =
            format!("S: 220 mx.example ESMTP\nC: {hello} client.example\nS: 250-mx.example\n");
        for offer in offers.split(',').filter(|o| !o.is_empty()) {
            whole.extend(["S: 250-", offer.trim(), "\n"]);
        }
        whole += "S: 250 HELP\n= ready\n";
        whole += script;
        self.transcript(&whole);
    }

    fn transcript(self, script: &str) {
        let mut session = Session::new(Settings {
            hello: "client.example".parse().unwrap(),
            protocol: self.protocol,
            implicit_tls: false,
        });
        let lines: Vec<&str> =
            script.lines().map(str::trim_start).filter(|line| !line.is_empty()).collect();
        let mut said: Vec<String> = Vec::new();
        let mut at = 0;
        while at < lines.len() {
            let (mark, rest) = lines[at].split_at(2);
            match mark.trim() {
                "S:" => {
                    let mut bytes = String::new();
                    while let Some(line) = lines.get(at).and_then(|l| l.strip_prefix("S:")) {
                        bytes += line.strip_prefix(' ').unwrap_or(line);
                        bytes += "\r\n";
                        at += 1;
                    }
                    assert!(said.is_empty(), "before line {at}: unexpected {said:?}");
                    session.handle(Input::Bytes(bytes.as_bytes()));
                }
                "C:" => {
                    let mut bytes = String::new();
                    while let Some(line) = lines.get(at).and_then(|l| l.strip_prefix("C:")) {
                        bytes += &line.strip_prefix(' ').unwrap_or(line).replace('␊', "\n");
                        bytes += "\r\n";
                        at += 1;
                    }
                    let first = if said.is_empty() { None } else { Some(said.remove(0)) };
                    assert_eq!(first, Some(format!("C {bytes}")), "line {at} of {script}");
                }
                "*" => {
                    self.wish(&mut session, rest.trim());
                    at += 1;
                }
                "=" => {
                    let first = if said.is_empty() { None } else { Some(said.remove(0)) };
                    assert_eq!(first.as_deref(), Some(rest.trim()), "line {at} of {script}");
                    at += 1;
                }
                other => panic!("unknown mark {other:?}"),
            }
            while let Some(output) = session.poll() {
                self.hear(&mut session, output, &mut said);
            }
        }
        assert!(said.is_empty(), "left over: {said:?}");
    }

    fn wish(&self, session: &mut Session, wish: &str) {
        match wish {
            "send" => {
                let survey = Survey::of(&self.content);
                let content = match self.envelope.body {
                    Body::BinaryMime => survey.finish_binary(),
                    Body::SevenBit | Body::EightBitMime => survey.finish().unwrap_or_default(),
                };
                session.send(&Transaction { envelope: &self.envelope, content }).unwrap();
            }
            "starttls" => session.start_tls().unwrap(),
            "sign in" => session.sign_in(Credentials::new("ann", "secret").unwrap()).unwrap(),
            "quit" => session.quit(),
            "end" => session.handle(Input::End),
            "timeout" => session.handle(Input::Timeout),
            "handshake" => session.handle(Input::TlsReady),
            other => panic!("unknown wish {other:?}"),
        }
    }

    fn hear(&self, session: &mut Session, output: Output, said: &mut Vec<String>) {
        match output {
            Output::Send(bytes) => said.push(format!("C {}", String::from_utf8(bytes).unwrap())),
            Output::StartTls => said.push("start TLS".into()),
            Output::Ready => said.push("ready".into()),
            Output::StartTlsRefused(reply) => {
                said.push(format!("no TLS: {}", reply.summary()));
            }
            Output::SignedIn(Ok(())) => said.push("signed in".into()),
            Output::SignedIn(Err(error)) => said.push(format!("not signed in: {error}")),
            Output::Content => session.content(&self.content, true).unwrap(),
            Output::Done(report) => {
                for (recipient, fate) in self.envelope.recipients.iter().zip(&report.fates) {
                    let local = recipient.address.local();
                    said.push(format!("{local} {}: {fate}", fate.status()));
                }
            }
            Output::Failed(failure) => said.push(format!("failed: {failure}")),
            Output::Close => said.push("close".into()),
        }
    }
}

#[test]
fn a_message_takes_three_writes_where_pipelining_is_offered() {
    to(&["bob@mx.example", "eve@mx.example"]).greeted(
        "PIPELINING, SIZE 1000, ENHANCEDSTATUSCODES",
        "
        * send
        C: MAIL FROM:<ann@client.example> SIZE=28
        C: RCPT TO:<bob@mx.example>
        C: RCPT TO:<eve@mx.example>
        C: DATA
        S: 250 2.1.0 Ok
        S: 250 2.1.5 Ok
        S: 550 5.1.1 No such user
        S: 354 Go on
        C: Subject: Lunch
        C:
        C: At noon.
        C: .
        S: 250 2.0.0 Queued as 17
        = bob 2.0.0: 250 2.0.0 Queued as 17
        = eve 5.1.1: refused at RCPT: 550 5.1.1 No such user
        * quit
        C: QUIT
        S: 221 2.0.0 Bye
        = close
        ",
    );
}

#[test]
fn without_pipelining_each_reply_is_awaited() {
    to(&["bob@mx.example"]).greeted(
        "",
        "
        * send
        C: MAIL FROM:<ann@client.example>
        S: 250 Ok
        C: RCPT TO:<bob@mx.example>
        S: 250 Ok
        C: DATA
        S: 354 Go on
        C: Subject: Lunch
        C:
        C: At noon.
        C: .
        S: 451 Try later
        = bob 4.0.0: refused at the end of the data: 451 Try later
        ",
    );
}

#[test]
fn when_mail_is_refused_nobody_receives() {
    to(&["bob@mx.example", "eve@mx.example"]).greeted(
        "PIPELINING",
        "
        * send
        C: MAIL FROM:<ann@client.example>
        C: RCPT TO:<bob@mx.example>
        C: RCPT TO:<eve@mx.example>
        C: DATA
        S: 451 4.7.1 Greylisted
        S: 503 5.5.1 Need MAIL
        S: 503 5.5.1 Need MAIL
        S: 503 5.5.1 Need RCPT
        = bob 4.7.1: refused at MAIL: 451 4.7.1 Greylisted
        = eve 4.7.1: refused at MAIL: 451 4.7.1 Greylisted
        ",
    );
}

#[test]
fn a_lone_dot_ends_data_that_nobody_receives() {
    to(&["bob@mx.example"]).greeted(
        "PIPELINING",
        "
        * send
        C: MAIL FROM:<ann@client.example>
        C: RCPT TO:<bob@mx.example>
        C: DATA
        S: 250 Ok
        S: 550 5.1.1 No such user
        S: 354 Go on
        C: .
        S: 554 5.5.1 No valid recipients
        = bob 5.1.1: refused at RCPT: 550 5.1.1 No such user
        ",
    );
}

#[test]
fn a_transaction_that_did_not_end_is_reset_before_the_next() {
    to(&["bob@mx.example"]).greeted(
        "PIPELINING",
        "
        * send
        C: MAIL FROM:<ann@client.example>
        C: RCPT TO:<bob@mx.example>
        C: DATA
        S: 250 Ok
        S: 450 4.2.1 Mailbox busy
        S: 554 5.5.1 No valid recipients
        = bob 4.2.1: refused at RCPT: 450 4.2.1 Mailbox busy
        * send
        C: RSET
        C: MAIL FROM:<ann@client.example>
        C: RCPT TO:<bob@mx.example>
        C: DATA
        S: 250 Ok
        S: 250 Ok
        S: 250 Ok
        S: 354 Go on
        C: Subject: Lunch
        C:
        C: At noon.
        C: .
        S: 250 Ok
        = bob 2.0.0: 250 Ok
        * send
        C: MAIL FROM:<ann@client.example>
        C: RCPT TO:<bob@mx.example>
        C: DATA
        ",
    );
}

#[test]
fn a_refused_data_counts_for_every_recipient_that_was_taken() {
    to(&["bob@mx.example", "eve@mx.example"]).greeted(
        "PIPELINING",
        "
        * send
        C: MAIL FROM:<ann@client.example>
        C: RCPT TO:<bob@mx.example>
        C: RCPT TO:<eve@mx.example>
        C: DATA
        S: 250 Ok
        S: 250 Ok
        S: 550 5.1.1 No
        S: 451 4.3.0 Not now
        = bob 4.3.0: refused at DATA: 451 4.3.0 Not now
        = eve 5.1.1: refused at RCPT: 550 5.1.1 No
        ",
    );
}

#[test]
fn a_final_reply_that_never_comes_leaves_doubt() {
    for (wish, how) in [
        ("end", "the connection was lost at the end of the data"),
        ("timeout", "the peer did not answer in time at the end of the data"),
    ] {
        to(&["bob@mx.example"]).greeted(
            "PIPELINING",
            &format!(
                "
                * send
                C: MAIL FROM:<ann@client.example>
                C: RCPT TO:<bob@mx.example>
                C: DATA
                S: 250 Ok
                S: 250 Ok
                S: 354 Go on
                C: Subject: Lunch
                C:
                C: At noon.
                C: .
                * {wish}
                = bob 4.4.2: {how}; the peer may have taken the message
                = failed: {how}
                "
            ),
        );
    }
}

#[test]
fn a_connection_lost_before_the_content_leaves_no_doubt() {
    to(&["bob@mx.example"]).greeted(
        "PIPELINING",
        "
        * send
        C: MAIL FROM:<ann@client.example>
        C: RCPT TO:<bob@mx.example>
        C: DATA
        S: 250 Ok
        * end
        = bob 4.4.2: the connection was lost at RCPT
        = failed: the connection was lost at RCPT
        ",
    );
}

#[test]
fn a_peer_may_close_with_421_at_any_time() {
    to(&["bob@mx.example", "eve@mx.example"]).greeted(
        "PIPELINING",
        "
        * send
        C: MAIL FROM:<ann@client.example>
        C: RCPT TO:<bob@mx.example>
        C: RCPT TO:<eve@mx.example>
        C: DATA
        S: 250 Ok
        S: 550 5.1.1 No
        S: 421 4.3.2 Closing
        = bob 5.1.1: refused at RCPT: 550 5.1.1 No
        = eve 4.3.2: the peer is closing at RCPT: 421 4.3.2 Closing
        = failed: the peer is closing at RCPT: 421 4.3.2 Closing
        ",
    );
    to(&[]).greeted(
        "",
        "
        S: 421 4.4.2 Idle too long
        = failed: the peer is closing at rest: 421 4.4.2 Idle too long
        ",
    );
    to(&[]).transcript(
        "
        S: 421 Busy
        = failed: the peer is closing at the greeting: 421 Busy
        ",
    );
}

#[test]
fn a_421_after_the_data_is_an_answer_and_leaves_no_doubt() {
    to(&["bob@mx.example"]).greeted(
        "PIPELINING",
        "
        * send
        C: MAIL FROM:<ann@client.example>
        C: RCPT TO:<bob@mx.example>
        C: DATA
        S: 250 Ok
        S: 250 Ok
        S: 354 Go on
        C: Subject: Lunch
        C:
        C: At noon.
        C: .
        S: 421 4.3.2 Shutting down
        = bob 4.3.2: refused at the end of the data: 421 4.3.2 Shutting down
        = failed: the peer is closing at the end of the data: 421 4.3.2 Shutting down
        ",
    );
}

#[test]
fn a_greeting_of_5xx_is_no_service() {
    to(&[]).transcript(
        "
        S: 554 5.7.1 Go away
        = failed: the peer refused at the greeting: 554 5.7.1 Go away
        ",
    );
}

#[test]
fn helo_follows_an_ehlo_that_is_not_known() {
    to(&["bob@mx.example"]).transcript(
        "
        S: 220 old.example
        C: EHLO client.example
        S: 500 What?
        C: HELO client.example
        S: 250 old.example
        = ready
        * send
        C: MAIL FROM:<ann@client.example>
        ",
    );
}

#[test]
fn everything_is_asked_again_under_tls() {
    to(&["bob@mx.example"]).greeted(
        "STARTTLS, PIPELINING, DSN",
        "
        * starttls
        C: STARTTLS
        S: 220 2.0.0 Go on
        = start TLS
        * handshake
        C: EHLO client.example
        S: 250-mx.example
        S: 250 REQUIRETLS
        = ready
        * send
        C: MAIL FROM:<ann@client.example>
        ",
    );
}

#[test]
fn octets_behind_the_reply_to_starttls_end_the_session() {
    to(&[]).greeted(
        "STARTTLS",
        "
        * starttls
        C: STARTTLS
        S: 220 2.0.0 Go on
        S: 250 mx.example
        = failed: the peer sent more in the clear after its reply to STARTTLS
        ",
    );
}

#[test]
fn a_refused_starttls_leaves_the_session_whole() {
    to(&["bob@mx.example"]).greeted(
        "STARTTLS",
        "
        * starttls
        C: STARTTLS
        S: 454 4.7.0 No certificate today
        = no TLS: 454 4.7.0 No certificate today
        * send
        C: MAIL FROM:<ann@client.example>
        ",
    );
}

#[test]
fn a_password_never_leaves_in_the_clear() {
    to(&[]).greeted(
        "AUTH PLAIN LOGIN",
        "
        * sign in
        = not signed in: a password is only sent over TLS
        ",
    );
}

fn under_tls(offers: &str, script: &str) {
    let script = format!(
        "
        * starttls
        C: STARTTLS
        S: 220 Go on
        = start TLS
        * handshake
        C: EHLO client.example
        S: 250-mx.example
        S: 250 {offers}
        = ready
        {script}"
    );
    to(&["bob@mx.example"]).greeted("STARTTLS", &script);
}

#[test]
fn a_smart_host_is_signed_in_to_under_tls() {
    under_tls(
        "AUTH LOGIN PLAIN",
        "
        * sign in
        C: AUTH PLAIN AGFubgBzZWNyZXQ=
        S: 235 2.7.0 Welcome
        = signed in
        ",
    );
    under_tls(
        "AUTH LOGIN",
        "
        * sign in
        C: AUTH LOGIN
        S: 334 VXNlcm5hbWU6
        C: YW5u
        S: 334 UGFzc3dvcmQ6
        C: c2VjcmV0
        S: 535 5.7.8 Wrong
        = not signed in: the peer refused the credentials: 535 5.7.8 Wrong
        ",
    );
    under_tls(
        "AUTH SCRAM-SHA-256",
        "
        * sign in
        = not signed in: the peer offers no AUTH mechanism that we can use
        ",
    );
}

#[test]
fn an_endless_challenge_is_cancelled() {
    under_tls(
        "AUTH PLAIN",
        "
        * sign in
        C: AUTH PLAIN AGFubgBzZWNyZXQ=
        S: 334
        C: AGFubgBzZWNyZXQ=
        S: 334 more
        C: *
        S: 501 5.7.0 Cancelled
        = not signed in: the peer refused the credentials: 501 5.7.0 Cancelled
        ",
    );
}

#[test]
fn lmtp_answers_for_each_recipient() {
    to(&["bob@mx.example", "eve@mx.example", "joe@mx.example"]).lmtp().greeted(
        "PIPELINING",
        "
        * send
        C: MAIL FROM:<ann@client.example>
        C: RCPT TO:<bob@mx.example>
        C: RCPT TO:<eve@mx.example>
        C: RCPT TO:<joe@mx.example>
        S: 250 Ok
        S: 250 Ok
        S: 550 5.1.1 No
        S: 250 Ok
        C: DATA
        S: 354 Go on
        C: Subject: Lunch
        C:
        C: At noon.
        C: .
        S: 250 2.0.0 Stored
        S: 452 4.2.2 Full
        = bob 2.0.0: 250 2.0.0 Stored
        = eve 5.1.1: refused at RCPT: 550 5.1.1 No
        = joe 4.2.2: refused at the end of the data: 452 4.2.2 Full
        ",
    );
}

#[test]
fn lmtp_sends_no_data_that_nobody_receives() {
    to(&["bob@mx.example"]).lmtp().greeted(
        "PIPELINING",
        "
        * send
        C: MAIL FROM:<ann@client.example>
        C: RCPT TO:<bob@mx.example>
        S: 250 Ok
        S: 550 5.1.1 No
        = bob 5.1.1: refused at RCPT: 550 5.1.1 No
        ",
    );
}

#[test]
fn lmtp_recipients_already_answered_are_not_in_doubt() {
    to(&["bob@mx.example", "eve@mx.example"]).lmtp().greeted(
        "",
        "
        * send
        C: MAIL FROM:<ann@client.example>
        S: 250 Ok
        C: RCPT TO:<bob@mx.example>
        S: 250 Ok
        C: RCPT TO:<eve@mx.example>
        S: 250 Ok
        C: DATA
        S: 354 Go on
        C: Subject: Lunch
        C:
        C: At noon.
        C: .
        S: 250 Stored
        * end
        = bob 2.0.0: 250 Stored
        = eve 4.4.2: the connection was lost at the end of the data; the peer may have taken the message
        = failed: the connection was lost at the end of the data
        ",
    );
}

#[test]
fn what_the_peer_lacks_is_said_before_anything_is_sent() {
    to(&["bob@mx.example"]).with(|e| e.require_tls = true).greeted(
        "",
        "
        * send
        = bob 5.7.30: the message requires REQUIRETLS, which the peer does not offer
        ",
    );
    to(&["bob@mx.example"]).content("Subject: a\r\n\r\n\u{e4}\r\n").greeted(
        "",
        "
        * send
        = bob 5.6.3: the content is 8-bit and the peer does not offer 8BITMIME
        ",
    );
    to(&["bob@mx.example"])
        .with(|e| e.smtputf8 = true)
        .content("Subject: \u{e4}\r\n\r\na\r\n")
        .greeted(
            "8BITMIME",
            "
            * send
            = bob 5.6.7: the message needs SMTPUTF8, which the peer does not offer
            ",
        );
    to(&["bob@mx.example"]).with(|e| e.body = Body::BinaryMime).greeted(
        "8BITMIME, CHUNKING",
        "
        * send
        = bob 5.6.3: the content is binary and the peer does not offer CHUNKING and BINARYMIME
        ",
    );
    to(&["bob@mx.example"]).greeted(
        "SIZE 20",
        "
        * send
        = bob 5.3.4: the message has 28 octets and the peer takes 20
        ",
    );
}

#[test]
fn one_address_beyond_ascii_does_not_keep_the_others_waiting() {
    to(&["j\u{f6}rg@mx.example", "bob@mx.example"]).greeted(
        "PIPELINING",
        "
        * send
        C: MAIL FROM:<ann@client.example>
        C: RCPT TO:<bob@mx.example>
        C: DATA
        S: 250 Ok
        S: 250 Ok
        S: 354 Go on
        C: Subject: Lunch
        C:
        C: At noon.
        C: .
        S: 250 Ok
        = j\u{f6}rg 5.6.7: the message needs SMTPUTF8, which the peer does not offer
        = bob 2.0.0: 250 Ok
        ",
    );
}

#[test]
fn what_the_message_needs_is_asked_for_where_it_is_offered() {
    to(&["j\u{f6}rg@mx.example"])
        .with(|e| {
            e.dsn_return = Some(DsnReturn::Headers);
            e.envid = Some("a+b c".into());
            e.recipients[0].notify = Notify::NEVER;
            e.recipients[0].orcpt = Some("rfc822;j=x@mx.example".into());
        })
        .content("Subject: \u{e4}\r\n\r\na\r\n")
        .greeted(
            "PIPELINING, DSN, 8BITMIME, SMTPUTF8, SIZE",
            "
            * send
            C: MAIL FROM:<ann@client.example> SIZE=18 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=a+2Bb+20c
            C: RCPT TO:<j\u{f6}rg@mx.example> NOTIFY=NEVER ORCPT=rfc822;j+3Dx@mx.example
            C: DATA
            ",
        );
}

#[test]
fn notices_are_sent_from_nobody() {
    to(&["bob@mx.example"]).with(|e| e.reverse_path = ReversePath::Null).greeted(
        "",
        "
        * send
        C: MAIL FROM:<>
        ",
    );
}

#[test]
fn binary_content_goes_as_it_is_by_bdat() {
    to(&["bob@mx.example"])
        .with(|e| e.body = Body::BinaryMime)
        .content("a: b\r\n\r\n.\nx\r\n")
        .greeted(
            "PIPELINING, CHUNKING, BINARYMIME, 8BITMIME",
            "
            * send
            C: MAIL FROM:<ann@client.example> BODY=BINARYMIME
            C: RCPT TO:<bob@mx.example>
            S: 250 Ok
            S: 250 Ok
            C: BDAT 13 LAST
            C: a: b
            C:
            C: .␊x
            S: 250 Taken
            = bob 2.0.0: 250 Taken
            ",
        );
}

#[test]
fn content_with_a_bare_line_end_is_never_ended() {
    to(&["bob@mx.example"]).content("a: b\r\n\r\nx\n.\r\nMAIL FROM:<eve@x>\r\n").greeted(
        "PIPELINING",
        "
        * send
        C: MAIL FROM:<ann@client.example>
        C: RCPT TO:<bob@mx.example>
        C: DATA
        S: 250 Ok
        S: 250 Ok
        S: 354 Go on
        = bob 5.6.0: the content has a bare CR or LF at octet 9; it was not sent
        = failed: the content has a bare CR or LF at octet 9; it was not sent
        ",
    );
}

#[test]
fn replies_that_were_not_asked_for_end_the_session() {
    to(&[]).transcript(
        "
        S: 220 mx.example
        S: 250 mx.example
        = failed: the peer sent a reply to nothing
        ",
    );
    to(&[]).greeted(
        "",
        "
        S: 250 Ok
        = failed: the peer sent a reply to nothing
        ",
    );
}

#[test]
fn replies_that_make_no_sense_end_the_session() {
    to(&["bob@mx.example"]).greeted(
        "PIPELINING",
        "
        * send
        C: MAIL FROM:<ann@client.example>
        C: RCPT TO:<bob@mx.example>
        C: DATA
        S: 250 Ok
        S: 250 Ok
        S: 250 Delivered already
        = bob 4.5.0: the peer gave an unexpected reply at DATA: 250 Delivered already
        = failed: the peer gave an unexpected reply at DATA: 250 Delivered already
        ",
    );
    to(&[]).transcript(
        "
        S: hello there
        = failed: at the greeting: the peer's line is not an SMTP reply
        ",
    );
}
