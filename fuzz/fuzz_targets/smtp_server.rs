//! Octets from a hostile client: no panic, bounded memory, the same replies however
//! they are split, and no line ending in content that another server might misread.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use mail::Body;
use smtp::server::{
    Answer, Channel, Input, Output, Phase, Protocol, Question, Session, Settings, UNREAD_MAX_OCTETS,
};
use smtp::{Mechanism, Refusal, Reply};

const MESSAGE_MAX_OCTETS: u64 = 4_096;

fuzz_target!(|data: &[u8]| {
    let [choices, part, bytes @ ..] = data else { return };
    let protocol = if choices & 1 == 0 { Protocol::Smtp } else { Protocol::Lmtp };
    let whole = play(protocol, bytes.chunks(bytes.len().max(1)));
    let split = play(protocol, bytes.chunks(usize::from(*part).max(1)));
    assert_eq!(whole, split);
});

/// What the session said and took, in order.
fn play<'a>(protocol: Protocol, parts: impl Iterator<Item = &'a [u8]>) -> Vec<String> {
    let Ok(hostname) = "mx.example".parse() else { return Vec::new() };
    let settings = Arc::new(Settings {
        message_max_octets: MESSAGE_MAX_OCTETS,
        recipients_max: 4,
        ..Settings::new(hostname, protocol)
    });
    let mut session = Session::new(Arc::clone(&settings), Channel::Tls);
    let (mut said, mut content) = (Vec::new(), Vec::new());
    for input in std::iter::once(&[][..]).chain(parts).map(Input::Bytes).chain([Input::End]) {
        session.handle(input);
        assert!(session.held_octets() <= UNREAD_MAX_OCTETS);
        while let Some(output) = session.poll() {
            match output {
                Output::Ask(question) => {
                    if let Question::Commit(commit) = &question {
                        check(&content, commit.envelope.body);
                        assert_eq!(commit.content.octets, content.len() as u64);
                        said.push(format!("{commit:?} {content:?}"));
                        content.clear();
                    }
                    session.handle(Input::Answer(answer(&settings, question)));
                }
                Output::Content(piece) => content.extend_from_slice(&piece),
                Output::Reset => content.clear(),
                Output::Reply(reply) => said.push(reply.to_string()),
                Output::Security(incident) => said.push(incident.name().to_owned()),
                Output::AuthAbandoned | Output::StartTls | Output::Close => {}
            }
            assert!(content.len() as u64 <= MESSAGE_MAX_OCTETS + UNREAD_MAX_OCTETS as u64);
        }
    }
    assert_eq!(session.phase(), Phase::Closed);
    said
}

/// Every CR has its LF and every LF its CR, unless the content is binary.
fn check(content: &[u8], body: Body) {
    if body == Body::BinaryMime {
        return;
    }
    assert!(!content.contains(&0));
    for (at, &byte) in content.iter().enumerate() {
        match byte {
            b'\r' => assert_eq!(content.get(at + 1), Some(&b'\n')),
            b'\n' => assert_eq!(content[..at].last(), Some(&b'\r')),
            _ => {}
        }
    }
}

fn answer(settings: &Settings, question: Question) -> Answer {
    let no = || Answer::Refuse(Refusal::new(Reply::new(550, 7, 1, "No")));
    match question {
        Question::Connect
        | Question::Mail { .. }
        | Question::Data
        | Question::Vrfy(_)
        | Question::Unknown(_) => {
            Answer::Yes
        }
        Question::Hello { .. } => {
            let mut offer = settings.offer();
            offer.auth = vec![Mechanism::Plain, Mechanism::Login];
            Answer::Offer(offer)
        }
        Question::AuthStart { initial: None, .. } => Answer::Challenge(b"go on".to_vec()),
        Question::AuthStart { initial: Some(secret), .. } | Question::AuthContinue(secret) => {
            match secret.expose() {
                b"" => Answer::Challenge(Vec::new()),
                [0, ..] => Answer::Authenticated { identity: "ann".to_owned() },
                _ => no(),
            }
        }
        Question::Rcpt(recipient) if recipient.address.local().starts_with('x') => no(),
        Question::Rcpt(_) => Answer::Yes,
        Question::Commit(_) => Answer::Accepted("ID".to_owned()),
    }
}
