//! What a hostile milter sends: never a panic, packets bounded, changes only where they
//! belong, and a field it asks for is one field.

#![no_main]

use filters::Message;
use filters::milter::{Command, Event, Macros, Session};
use libfuzzer_sys::fuzz_target;

/// The longest body that is taken.
const BODY_MAX: usize = 4_096;

fuzz_target!(|data: &[u8]| {
    let Some((&cut, data)) = data.split_first() else { return };
    let cut = usize::from(cut).max(1);
    let mut session = Session::new(BODY_MAX);
    session.offer();
    let original = b"From: a@example.org\r\nSubject: one\r\n\r\nbody\r\n";
    let mut message = Message::read(&bytes::Bytes::from_static(original)).unwrap();
    let commands = [Command::Helo("mx"), Command::EndOfHeader, Command::Body(b"x"), Command::End];
    let mut next = commands.iter().cycle();
    for piece in data.chunks(cut) {
        session.feed(piece);
        loop {
            match session.poll() {
                Err(_) => return,
                Ok(None) => break,
                Ok(Some(Event::Progress)) => {}
                Ok(Some(Event::Ready)) => {}
                Ok(Some(Event::Answer(_, changes))) => {
                    for change in &changes {
                        message.apply(change, session.leading_space());
                    }
                }
            }
            if let Some(command) = next.next() {
                session.say(command, &Macros::default(), &mut Vec::new());
            }
        }
    }
    let head = message.head();
    assert!(message.body().len() <= BODY_MAX.max(original.len()));
    let again = [&head[..], message.body()].concat();
    if let Ok(read) = Message::read(&again.into()) {
        assert_eq!(read.fields().len(), message.fields().len());
    }
});
