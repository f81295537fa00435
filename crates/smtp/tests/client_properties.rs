//! What holds for the client whatever a peer sends.

use mail::{Envelope, Recipient, ReversePath};
use proptest::prelude::*;
use smtp::client::{Credentials, Input, Output, Protocol, Session, Settings, Survey, Transaction};

const CONTENT: &[u8] = b"Subject: x\r\n\r\n.\r\nend\r\n";

/// Plays a peer's octets, split as given, against a client that wants all there is.
/// Gives everything the client said and learnt.
fn play(parts: &[&[u8]], protocol: Protocol) -> Vec<String> {
    let mut session = Session::new(Settings {
        hello: "client.example".parse().unwrap(),
        protocol,
        implicit_tls: false,
    });
    let mut envelope = Envelope::from(ReversePath::Null);
    for name in ["a@mx.example", "b@mx.example"] {
        envelope.recipients.push(Recipient::new(name.parse().unwrap()));
    }
    let content = Survey::of(CONTENT).finish().unwrap();
    let mut log = Vec::new();
    let mut reports = 0;
    for part in parts {
        session.handle(Input::Bytes(part));
        drain(&mut session, &envelope, content, &mut log, &mut reports);
    }
    session.handle(Input::End);
    drain(&mut session, &envelope, content, &mut log, &mut reports);
    assert!(session.poll().is_none());
    log
}

fn drain(
    session: &mut Session,
    envelope: &Envelope,
    content: smtp::client::Content,
    log: &mut Vec<String>,
    reports: &mut u32,
) {
    while let Some(output) = session.poll() {
        log.push(format!("{output:?}"));
        match output {
            Output::Ready if !session.is_tls_active() && session.extensions().starttls => {
                session.start_tls().unwrap();
            }
            Output::Ready => {
                session.sign_in(Credentials::new("u", "p").unwrap()).unwrap();
            }
            Output::StartTls => session.handle(Input::TlsReady),
            Output::StartTlsRefused(_) | Output::SignedIn(_) => {
                session.send(&Transaction { envelope, content }).unwrap();
            }
            Output::Content => session.content(CONTENT, true).unwrap(),
            Output::Done(report) => {
                assert_eq!(report.fates.len(), 2, "one fate a recipient");
                *reports += 1;
                // A failed session cannot go on; a whole one says goodbye.
                session.quit();
            }
            Output::Send(_) | Output::Failed(_) | Output::Close => {}
        }
    }
}

/// Replies as peers give them, right and wrong, in any order.
fn reply() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "(220|250|354|235|334|221) [ -~]{0,20}\r\n",
        2 => "(250-(PIPELINING|STARTTLS|SIZE 10|8BITMIME|AUTH PLAIN|DSN|CHUNKING)\r\n){0,4}250 mx\r\n",
        2 => "(421|450|451|452|454|500|530|535|550|552|554) ([45]\\.[0-7]\\.[0-9]{1,2} )?[a-z ]{0,9}\r\n",
        1 => "[ -~]{0,10}(\r\n|\n|\r)",
    ]
}

proptest! {
    #[test]
    fn no_octets_make_the_client_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        play(&[&bytes], Protocol::Smtp);
        play(&[&bytes], Protocol::Lmtp);
    }

    #[test]
    fn every_recipient_has_one_fate_whatever_is_replied(
        replies in proptest::collection::vec(reply(), 0..16),
    ) {
        for protocol in [Protocol::Smtp, Protocol::Lmtp] {
            let parts: Vec<&[u8]> = replies.iter().map(String::as_bytes).collect();
            let log = play(&parts, protocol);
            let sent = log.iter().filter(|line| line.contains("77, 65, 73, 76, 32")).count();
            let done = log.iter().filter(|line| line.starts_with("Done")).count();
            prop_assert!(done >= sent.min(1), "{log:#?}");
        }
    }

    #[test]
    fn a_client_that_was_not_told_to_go_on_sends_no_content(
        replies in proptest::collection::vec(reply(), 0..16),
    ) {
        let parts: Vec<&[u8]> =
            replies.iter().map(String::as_bytes).filter(|r| !r.starts_with(b"3")).collect();
        let log = play(&parts, Protocol::Smtp);
        prop_assert!(!log.iter().any(|line| line == "Content"), "{log:#?}");
    }

    /// Splitting may only hide that something came too early, never add to what is said.
    #[test]
    fn octets_split_within_a_line_read_the_same(
        replies in proptest::collection::vec(reply(), 1..10),
        at in any::<prop::sample::Index>(),
    ) {
        let whole: Vec<&[u8]> = replies.iter().map(String::as_bytes).collect();
        let cut = at.index(replies.len());
        let line = replies[cut].as_bytes();
        let (head, tail) = line.split_at(line.len() / 2);
        let mut split = whole.clone();
        split.splice(cut..=cut, [head, tail]);
        // A reply of several lines that is cut between two of them is still one reply.
        prop_assert_eq!(play(&whole, Protocol::Smtp), play(&split, Protocol::Smtp));
    }
}
