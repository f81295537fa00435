//! What the component benchmarks share: configurations of a size, facts, and a server session
//! that is told yes to everything.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::sync::Arc;

use config::Config;
use mail::Timestamp;
use rules::{Facts, RecipientFacts};
use smtp::server::{Answer, Channel, Input, Output, Protocol, Question, Session, Settings};

/// A configuration's text with `more` in it, otherwise as small as one can be.
pub fn text(more: &str) -> String {
    format!(
        "hostname mail.clinic.example\npostmaster postmaster@clinic.example\n\
         listener mx {{ address 127.0.0.1; port 2525; tls off }}\n\
         domain clinic.example {{ deliver-to smtp 127.0.0.1:2600 }}\n{more}"
    )
}

/// Reads a configuration's text.
///
/// # Panics
///
/// With the findings, when the checker refuses it.
pub fn config(text: &str) -> Config {
    let outcome = config::parse(text);
    let findings = outcome.render();
    outcome.config.unwrap_or_else(|| panic!("{findings}"))
}

/// A table of `entries` networks, `10.0.0.0/28` and those after it, and a rule that looks
/// in it.
pub fn networks(entries: u32) -> String {
    let mut text = String::from("table listed networks {\n");
    for n in 0..entries {
        let _ = writeln!(text, "    {}/28", Ipv4Addr::from(0x0A00_0000 + (n << 4)));
    }
    text.push_str("}\nrules { rule listed { when all { client ip in table listed }; reject } }\n");
    text
}

/// A table of `entries` domains and a rule that looks in it.
pub fn domains(entries: u32) -> String {
    let mut text = String::from("table listed domains {\n");
    for n in 0..entries {
        let _ = writeln!(text, "    d{n}.partner.example");
    }
    text.push_str(
        "}\nrules { rule listed { when all { recipient domain in table listed }; reject } }\n",
    );
    text
}

/// `count` rules of the usual kinds, none of which matches.
pub fn rules(count: u32) -> String {
    let mut text = String::from("rules {\n");
    for n in 0..count {
        let _ = match n % 4 {
            0 => writeln!(
                text,
                "rule r{n} {{ when all {{ recipient domain is d{n}.example }}; reject }}"
            ),
            1 => writeln!(
                text,
                "rule r{n} {{ when all {{ sender is u{n}@partner.example }}; defer }}"
            ),
            2 => writeln!(
                text,
                "rule r{n} {{ when all {{ client ip is 10.{}.{}.0/24 }}; reject }}",
                n / 256,
                n % 256
            ),
            _ => writeln!(
                text,
                "rule r{n} {{ when all {{ message size over {}MB; sender domain is d{n}.example }}; discard }}",
                1 + n % 50
            ),
        };
    }
    text.push_str("}\n");
    text
}

/// The facts of a message from a stranger to a user of ours.
///
/// # Panics
///
/// Never: the addresses are well formed.
pub fn facts() -> Facts {
    let address = |text: &str| mail::Address::parse(text).expect("well formed");
    Facts {
        now: Some(rules::Moment(Timestamp(1_772_445_731_042))),
        listener: Some("mx".to_owned()),
        client_ip: Some(Ipv4Addr::new(198, 51, 100, 9).into()),
        helo: Some("mail.stranger.example".to_owned()),
        sender: Some(mail::ReversePath::Address(address("ana@stranger.example"))),
        recipient: Some(RecipientFacts {
            address: address("dr.lee@clinic.example"),
            is_local: true,
            account: None,
        }),
        recipient_count: Some(1),
        message: Some(rules::MessageFacts { size_octets: 4096, ..rules::MessageFacts::default() }),
        ..Facts::default()
    }
}

/// A message of `octets`, dot-stuffed and ended as DATA wants it.
pub fn content(octets: usize) -> Vec<u8> {
    let mut content = b"From: <ana@stranger.example>\r\nSubject: run\r\n\r\n".to_vec();
    let line = b"The quick brown fox jumps over the lazy dog, again and again and again.\r\n";
    while content.len() + line.len() < octets {
        content.extend_from_slice(line);
    }
    content.extend_from_slice(b".\r\n");
    content
}

/// A server session, driven as the server drives it but told yes at once.
pub struct Peer {
    session: Session,
    /// What it replied, in wire form.
    pub replies: Vec<u8>,
    /// Octets of content it handed out.
    pub content_octets: usize,
    offer: smtp::Extensions,
}

impl Peer {
    /// A session that has heard EHLO.
    ///
    /// # Panics
    ///
    /// Never: the host name is well formed.
    pub fn greeted() -> Self {
        let hostname = "mx.clinic.example".parse().expect("well formed");
        let settings = Settings { messages_max: None, ..Settings::new(hostname, Protocol::Smtp) };
        let offer = settings.offer();
        let session = Session::new(Arc::new(settings), Channel::Clear);
        let mut peer = Self { session, replies: Vec::new(), content_octets: 0, offer };
        peer.drain();
        peer.say(b"EHLO mail.stranger.example\r\n");
        peer
    }

    /// Gives the session octets and lets it answer.
    pub fn say(&mut self, octets: &[u8]) {
        self.session.handle(Input::Bytes(octets));
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.session.poll() {
            match output {
                Output::Reply(reply) => reply.write_to(&mut self.replies),
                Output::Content(piece) => self.content_octets += piece.len(),
                Output::Ask(question) => {
                    let answer = self.answer(&question);
                    self.session.handle(Input::Answer(answer));
                }
                Output::Reset
                | Output::AuthAbandoned
                | Output::Security(_)
                | Output::StartTls
                | Output::Close => {}
            }
        }
    }

    fn answer(&self, question: &Question) -> Answer {
        match question {
            Question::Hello { .. } => Answer::Offer(self.offer.clone()),
            Question::Commit(_) => Answer::Accepted("0001".to_owned()),
            Question::Connect
            | Question::AuthStart { .. }
            | Question::AuthContinue(_)
            | Question::Mail { .. }
            | Question::Rcpt(_)
            | Question::Data
            | Question::Vrfy(_)
            | Question::Unknown(_) => Answer::Yes,
        }
    }
}
