//! Drives a session from a script, and keeps what came of it.
//!
//! A script's lines: `C:` is said by the client with CRLF (lines in a row are sent at once); `C>`
//! is sent as it is, with Rust's escapes; `S:` is one line of a reply. `-- HELLO --` is EHLO and
//! its reply; `-- TLS --` completes a handshake; `-- END --`, `-- TIMEOUT --` and `-- SHUTDOWN --` are
//! given to the session; `-- RESET --`, `-- AUTH ABANDONED --`, `-- SECURITY name --` and `-- CLOSED --`
//! are expected from it.

use std::sync::Arc;

use mail::Envelope;
use smtp::server::{
    Answer, Channel, ContentFacts, Input, Output, Phase, Protocol, Question, Session, Settings,
    Timeout,
};
use smtp::{Mechanism, Refusal, Reply};

/// A message that was committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub envelope: Envelope,
    pub facts: ContentFacts,
    pub content: Vec<u8>,
}

pub struct Driver<'a> {
    pub session: Session,
    pub log: Vec<String>,
    pub messages: Vec<Message>,
    pub most_held_octets: usize,
    policy: Box<dyn FnMut(&Question) -> Answer + 'a>,
    content: Vec<u8>,
}

pub fn settings() -> Settings {
    Settings::new("mx.example".parse().unwrap(), Protocol::Smtp)
}

/// Says yes to everything; offers all there is.
pub fn accept_all(question: &Question) -> Answer {
    match question {
        Question::Connect
        | Question::Mail { .. }
        | Question::Rcpt(_)
        | Question::Data
        | Question::Vrfy(_)
        | Question::Unknown(_) => Answer::Yes,
        Question::Hello { .. } => {
            let mut offer = settings().offer();
            offer.starttls = true;
            offer.auth = vec![Mechanism::Plain, Mechanism::Login];
            Answer::Offer(offer)
        }
        Question::AuthStart { .. } | Question::AuthContinue(_) => {
            Answer::Authenticated { identity: "ann".to_owned() }
        }
        Question::Commit(_) => Answer::Accepted("ID".to_owned()),
    }
}

pub fn refuse(code: u16, text: impl Into<std::borrow::Cow<'static, str>>) -> Answer {
    Answer::Refuse(Refusal::new(Reply::new(code, 7, 1, text)))
}

/// Plays `script` in the clear under common settings.
pub fn transcript(script: &str, policy: impl FnMut(&Question) -> Answer) -> Vec<Message> {
    transcript_with(settings(), Channel::Clear, script, policy)
}

/// Plays `script` and compares what the session says with what it should.
pub fn transcript_with(
    settings: Settings,
    channel: Channel,
    script: &str,
    policy: impl FnMut(&Question) -> Answer,
) -> Vec<Message> {
    let mut driver = Driver::new(settings, channel, policy);
    let script: Vec<&str> = script.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    driver.play(&script);
    pretty_compare(&script, &driver.log);
    driver.messages
}

fn pretty_compare(script: &[&str], log: &[String]) {
    let (script, log) = (script.join("\n"), log.join("\n"));
    assert!(script == log, "expected:\n{script}\n\ncame:\n{log}\n");
}

impl<'a> Driver<'a> {
    pub fn new(
        settings: Settings,
        channel: Channel,
        policy: impl FnMut(&Question) -> Answer + 'a,
    ) -> Self {
        let session = Session::new(Arc::new(settings), channel);
        let mut driver = Self {
            session,
            log: Vec::new(),
            messages: Vec::new(),
            most_held_octets: 0,
            policy: Box::new(policy),
            content: Vec::new(),
        };
        driver.drain();
        driver
    }

    pub fn feed(&mut self, bytes: &[u8]) {
        self.give(Input::Bytes(bytes));
    }

    pub fn give(&mut self, input: Input<'_>) {
        self.session.handle(input);
        self.most_held_octets = self.most_held_octets.max(self.session.held_octets());
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.session.poll() {
            match output {
                Output::Reply(reply) => {
                    self.log.extend(
                        reply
                            .to_string()
                            .lines()
                            .map(|line| format!("S: {line}").trim_end().to_owned()),
                    );
                }
                Output::Ask(question) => self.answer(question),
                Output::Content(piece) => {
                    assert!(piece.len() <= smtp::server::CONTENT_PIECE_MAX_OCTETS);
                    self.content.extend_from_slice(&piece);
                }
                Output::Reset => {
                    self.content.clear();
                    self.log.push("-- RESET --".to_owned());
                }
                Output::AuthAbandoned => self.log.push("-- AUTH ABANDONED --".to_owned()),
                Output::StartTls => assert_eq!(self.session.phase(), Phase::Handshake),
                Output::Security(incident) => {
                    self.log.push(format!("-- SECURITY {} --", incident.name()));
                }
                Output::Close => {
                    assert_eq!(self.session.phase(), Phase::Closed);
                    self.log.push("-- CLOSED --".to_owned());
                }
            }
        }
    }

    fn answer(&mut self, question: Question) {
        assert_eq!(self.session.phase(), Phase::Answer);
        assert!(!self.session.wants_input());
        let answer = (self.policy)(&question);
        if let Question::Commit(commit) = question {
            let content = std::mem::take(&mut self.content);
            assert_eq!(commit.content.octets, content.len() as u64);
            if !matches!(answer, Answer::Refuse(_)) {
                let (envelope, facts) = (commit.envelope, commit.content);
                self.messages.push(Message { envelope, facts, content });
            }
        }
        self.session.handle(Input::Answer(answer));
        self.most_held_octets = self.most_held_octets.max(self.session.held_octets());
    }

    fn play(&mut self, script: &[&str]) {
        let mut at = 0;
        while let Some(&line) = script.get(at) {
            at += 1;
            let mut sent = match line {
                "-- HELLO --" => {
                    let before = self.log.len();
                    self.feed(b"EHLO client.example\r\n");
                    assert!(self.log[before].starts_with("S: 250-mx.example"), "{:?}", self.log);
                    self.log.truncate(before);
                    self.log.push(line.to_owned());
                    continue;
                }
                "-- TLS --" => {
                    self.log.push(line.to_owned());
                    assert_eq!(self.session.phase(), Phase::Handshake, "{}", self.log.join("\n"));
                    self.give(Input::TlsReady);
                    continue;
                }
                "-- END --" | "-- TIMEOUT --" | "-- SHUTDOWN --" => {
                    self.log.push(line.to_owned());
                    self.give(match line {
                        "-- END --" => Input::End,
                        "-- SHUTDOWN --" => Input::Shutdown,
                        _ => Input::Timeout(Timeout::Idle),
                    });
                    continue;
                }
                _ => said_by_client(line),
            };
            if sent.is_empty() {
                continue;
            }
            self.log.push(line.to_owned());
            while let Some(next) = script.get(at).filter(|next| !said_by_client(next).is_empty()) {
                self.log.push((*next).to_owned());
                sent.extend(said_by_client(next));
                at += 1;
            }
            self.feed(&sent);
        }
    }
}

fn said_by_client(line: &str) -> Vec<u8> {
    if let Some(raw) = line.strip_prefix("C> ") {
        return unescape(raw);
    }
    match line.strip_prefix("C:") {
        Some(text) => format!("{}\r\n", text.strip_prefix(' ').unwrap_or(text)).into_bytes(),
        None => Vec::new(),
    }
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => match rest.next().unwrap() {
                b'r' => b'\r',
                b'n' => b'\n',
                b'0' => 0,
                b'x' => {
                    let hex = [rest.next().unwrap(), rest.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap()
                }
                other => other,
            },
            plain => plain,
        });
    }
    bytes
}
