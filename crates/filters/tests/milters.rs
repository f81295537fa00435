//! A chain of milters against filters that behave and filters that do not.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use filters::message::Message;
use filters::milter::codec::{Decoder, encode};
use filters::milter::{Chain, Client, Macros, Milter, OnFailure, Outcome, Timeouts};
use filters::{Dialer, Endpoint};
use mail::Domain;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use web_client::{Addresses, Names};

struct Nowhere;

impl Names for Nowhere {
    fn addresses<'a>(&'a self, _: &'a Domain) -> Addresses<'a> {
        Box::pin(async { Err("no names here".to_owned()) })
    }
}

/// The commands a filter heard: the letter and the content of each.
type Heard = Arc<tokio::sync::Mutex<Vec<(u8, Vec<u8>)>>>;

/// A filter that answers each command by a script: the letter of the command, and what to
/// send. What is not in the script is answered with "continue". Gives what it heard.
#[derive(Clone, Default)]
struct Script {
    options: (u32, u32, u32),
    answers: Vec<(u8, Vec<u8>)>,
    /// Closes after this command.
    dies_at: Option<u8>,
    /// Never answers this command.
    hangs_at: Option<u8>,
}

const ALL: (u32, u32, u32) = (6, 0x1ff, 0x400);

fn packet(kind: u8, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encode(&mut out, kind, content);
    out
}

async fn start(script: Script) -> (u16, Heard) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = Arc::new(tokio::sync::Mutex::new(Vec::new()));
    let keep = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, script.clone(), Arc::clone(&keep)));
        }
    });
    (port, heard)
}

async fn serve(mut stream: TcpStream, script: Script, heard: Heard) {
    let mut decoder = Decoder::default();
    let mut buffer = [0; 4_096];
    loop {
        while let Ok(Some(command)) = decoder.next_packet() {
            heard.lock().await.push((command.kind, command.content.to_vec()));
            if script.dies_at == Some(command.kind) {
                return;
            }
            if script.hangs_at == Some(command.kind) {
                tokio::time::sleep(Duration::from_secs(60)).await;
            }
            let scripted = script.answers.iter().find(|(kind, _)| *kind == command.kind);
            let answer = match (command.kind, scripted) {
                (_, Some((_, answer))) => answer.clone(),
                (b'O', None) => {
                    let (version, actions, steps) = script.options;
                    packet(b'O', &[version, actions, steps].map(u32::to_be_bytes).concat())
                }
                (b'D' | b'A' | b'K', None) => continue,
                (b'Q', None) => return,
                (_, None) => packet(b'c', b""),
            };
            if stream.write_all(&answer).await.is_err() {
                return;
            }
        }
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(read) => decoder.push(&buffer[..read]),
        }
    }
}

fn milter(name: &str, port: u16, on_failure: OnFailure) -> Arc<Milter> {
    let short = Duration::from_millis(400);
    Arc::new(Milter {
        name: name.to_owned(),
        endpoint: Endpoint::Tcp { host: IpAddr::from([127, 0, 0, 1]).into(), port },
        timeouts: Timeouts {
            connect: short,
            command: short,
            content: short,
            end: short,
            message: 3 * short,
        },
        on_failure,
        body_max_octets: 1_000,
    })
}

fn chain(milters: impl IntoIterator<Item = Arc<Milter>>) -> Chain {
    Chain::new(milters, Dialer::new(Arc::new(Nowhere), true))
}

fn client() -> Client {
    Client { name: "[192.0.2.1]".to_owned(), address: Some(([192, 0, 2, 1].into(), 25)) }
}

const TEXT: &str = "Subject: one\r\nX-Old: a\r\n\r\nThe body\r\n";

/// Plays a whole message; gives what the chain makes of it and the message afterwards.
async fn play(chain: &mut Chain) -> (Outcome, String) {
    let macros = Macros::default();
    let mut message = Message::read(&Bytes::from_static(TEXT.as_bytes())).unwrap();
    for outcome in [
        chain.connect(client(), &macros).await,
        chain.helo("client.example", &macros).await,
        chain.mail(&["<ann@example.org>".to_owned()], &macros).await,
        chain.rcpt(&["<bob@example.net>".to_owned()], &macros).await,
        chain.data(&macros).await,
    ] {
        if outcome != Outcome::Continue {
            return (outcome, String::new());
        }
    }
    let (outcome, _) = chain.message(&mut message, &macros, |_| true).await;
    let text = [&message.head()[..], message.body()].concat();
    (outcome, String::from_utf8(text).unwrap())
}

fn code(outcome: &Outcome) -> Option<u16> {
    match outcome {
        Outcome::Refuse(refusal) => Some(refusal.code),
        Outcome::Continue | Outcome::Discard { .. } => None,
    }
}

#[tokio::test]
async fn every_stage_is_heard_in_order_with_its_macros() {
    let (port, heard) = start(Script { options: ALL, ..Script::default() }).await;
    let mut chain = chain([milter("one", port, OnFailure::Tempfail)]);
    let mut macros = Macros::default();
    macros.set("j", "mail.test");
    macros.set("i", "01ABC");
    chain.connect(client(), &macros).await;
    chain.helo("client.example", &macros).await;
    chain.unknown("XFOO bar", &macros).await;
    chain.mail(&["<ann@example.org>".to_owned(), "SIZE=5".to_owned()], &macros).await;
    chain.rcpt(&["<bob@example.net>".to_owned()], &macros).await;
    chain.data(&macros).await;
    let mut message = Message::read(&Bytes::from_static(TEXT.as_bytes())).unwrap();
    chain.message(&mut message, &macros, |_| true).await;
    chain.quit().await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let heard = heard.lock().await;
    let kinds: String = heard.iter().map(|(kind, _)| char::from(*kind)).collect();
    assert_eq!(kinds, "ODCHUDMRDTLLDNBDEQ");
    let of = |kind: u8| heard.iter().find(|(k, _)| *k == kind).unwrap().1.clone();
    assert_eq!(of(b'C'), b"[192.0.2.1]\x004\x00\x19192.0.2.1\0");
    assert_eq!(of(b'M'), b"<ann@example.org>\0SIZE=5\0");
    assert_eq!(of(b'U'), b"XFOO bar\0");
    assert_eq!(of(b'L'), b"Subject\0one\0");
    assert_eq!(of(b'B'), b"The body\r\n");
    assert_eq!(of(b'D'), b"Cj\0mail.test\0");
}

#[tokio::test]
async fn each_milter_sees_the_changes_of_the_one_before() {
    let changes = [
        packet(b'm', b"\0\0\0\x01X-Old\0b\0"),
        packet(b'h', b"X-New\0c\0"),
        packet(b'b', b"Other\r\n"),
        packet(b'c', b""),
    ];
    let first =
        Script { options: ALL, answers: vec![(b'E', changes.concat())], ..Script::default() };
    let (first, _) = start(first).await;
    let (second, heard) = start(Script { options: ALL, ..Script::default() }).await;
    let mut chain = chain([
        milter("first", first, OnFailure::Tempfail),
        milter("second", second, OnFailure::Tempfail),
    ]);
    let (outcome, text) = play(&mut chain).await;
    assert_eq!(outcome, Outcome::Continue);
    assert_eq!(text, "Subject: one\r\nX-Old: b\r\nX-New: c\r\n\r\nOther\r\n");
    let heard = heard.lock().await;
    let fields: Vec<&[u8]> =
        heard.iter().filter(|(kind, _)| *kind == b'L').map(|(_, c)| &c[..]).collect();
    assert_eq!(fields, [&b"Subject\0one\0"[..], b"X-Old\0b\0", b"X-New\0c\0"]);
    assert!(heard.contains(&(b'B', b"Other\r\n".to_vec())));
    let findings = chain.take_findings();
    assert_eq!(findings[0].what, "passed; changed X-Old; added X-New; changed the body");
}

#[tokio::test]
async fn replies_mean_what_the_protocol_says() {
    for (stage, answer, expected) in [
        (b'C', packet(b'r', b""), Some(550)),
        (b'H', packet(b't', b""), Some(451)),
        (b'M', packet(b'y', b"553 5.1.8 No such sender\0"), Some(553)),
        (b'R', packet(b'r', b""), Some(550)),
        (b'T', packet(b'f', b""), Some(451)),
        (b'L', packet(b'4', b""), Some(421)),
        (b'N', packet(b'y', b"452 4.2.2 Full\0"), Some(452)),
        (b'B', packet(b'r', b""), Some(550)),
        (b'B', packet(b's', b""), None),
        (b'E', packet(b'a', b""), None),
        (b'M', packet(b'a', b""), None),
    ] {
        let script =
            Script { options: ALL, answers: vec![(stage, answer.clone())], ..Script::default() };
        let (port, _) = start(script).await;
        let (outcome, _) = play(&mut chain([milter("one", port, OnFailure::Tempfail)])).await;
        assert_eq!(code(&outcome), expected, "{} {answer:?}", char::from(stage));
    }
}

#[tokio::test]
async fn what_a_milter_discards_is_taken_and_dropped() {
    for stage in *b"MRTLE" {
        let answers = vec![(stage, packet(b'd', b""))];
        let (port, _) = start(Script { options: ALL, answers, ..Script::default() }).await;
        let (outcome, _) = play(&mut chain([milter("one", port, OnFailure::Tempfail)])).await;
        assert_eq!(outcome, Outcome::Discard { by: "one".into() }, "{}", char::from(stage));
    }
}

#[tokio::test]
async fn a_milter_is_not_told_what_it_left_out() {
    let steps = 0x01 | 0x02 | 0x04 | 0x10 | 0x40 | 0x80 | 0x200 | 0x8000;
    let answers = vec![(b'R', Vec::new()), (b'L', Vec::new())];
    let (port, heard) =
        start(Script { options: (6, 0, steps), answers, ..Script::default() }).await;
    let (outcome, _) = play(&mut chain([milter("one", port, OnFailure::Tempfail)])).await;
    assert_eq!(outcome, Outcome::Continue);
    let heard = heard.lock().await;
    let kinds: String =
        heard.iter().map(|(kind, _)| char::from(*kind)).filter(|kind| *kind != 'D').collect();
    assert_eq!(kinds, "ORLLE");
}

/// Every way to be a bad milter, and where it shows.
fn bad() -> Vec<(&'static str, Script)> {
    let script = |answers| Script { options: ALL, answers, ..Script::default() };
    vec![
        ("hangs at MAIL", Script { options: ALL, hangs_at: Some(b'M'), ..Script::default() }),
        ("hangs at the options", Script { hangs_at: Some(b'O'), ..Script::default() }),
        ("hangs at the end", Script { options: ALL, hangs_at: Some(b'E'), ..Script::default() }),
        ("dies at DATA", Script { options: ALL, dies_at: Some(b'T'), ..Script::default() }),
        ("dies mid-message", Script { options: ALL, dies_at: Some(b'B'), ..Script::default() }),
        ("a version of its own", Script { options: (9, 0, 0), ..Script::default() }),
        ("steps of its own", Script { options: (6, 0, 1 << 30), ..Script::default() }),
        ("a length of four gigabytes", script(vec![(b'M', u32::MAX.to_be_bytes().to_vec())])),
        ("a length of nothing", script(vec![(b'M', vec![0, 0, 0, 0])])),
        ("half a packet", script(vec![(b'E', vec![0, 0, 0, 9, b'c'])])),
        ("an answer of no kind", script(vec![(b'R', packet(b'Z', b""))])),
        ("two answers", script(vec![(b'M', packet(b'c', b"").repeat(2))])),
        ("a change at RCPT", script(vec![(b'R', packet(b'h', b"X\0y\0"))])),
        ("a body at the header", script(vec![(b'L', packet(b'b', b"x"))])),
        ("skip at the end", script(vec![(b'E', packet(b's', b""))])),
        ("a reply of success", script(vec![(b'M', packet(b'y', b"250 2.0.0 Ok\0"))])),
        ("options again", script(vec![(b'M', packet(b'O', &[0; 12]))])),
        ("a body without end", script(vec![(b'E', packet(b'b', &[b'x'; 600]).repeat(9))])),
        ("changes without end", script(vec![(b'E', packet(b'h', b"X\0y\0").repeat(3_000))])),
    ]
}

#[tokio::test]
async fn a_bad_milter_has_the_result_that_was_chosen_for_it_in_bounded_time() {
    for (what, script) in bad() {
        let (port, _) = start(script).await;
        for (course, expected) in [(OnFailure::Tempfail, Some(451)), (OnFailure::Reject, Some(550))]
        {
            let began = Instant::now();
            let (outcome, _) = play(&mut chain([milter("bad", port, course)])).await;
            assert_eq!(code(&outcome), expected, "{what}");
            assert!(began.elapsed() < Duration::from_secs(3), "{what}");
        }
        let (good, heard) = start(Script { options: ALL, ..Script::default() }).await;
        let milters =
            [milter("bad", port, OnFailure::Accept), milter("good", good, OnFailure::Tempfail)];
        let (outcome, text) = play(&mut chain(milters)).await;
        assert_eq!(outcome, Outcome::Continue, "{what}");
        assert_eq!(text, TEXT, "{what}: nothing of a failed milter's changes is kept");
        assert!(heard.lock().await.iter().any(|(kind, _)| *kind == b'E'), "{what}");
        let mut chain = chain([milter("bad", port, OnFailure::Quarantine)]);
        let (outcome, _) = play(&mut chain).await;
        assert_eq!(outcome, Outcome::Continue, "{what}");
        let held = chain.take_quarantine();
        assert_eq!(held.len(), 1, "{what}: {held:?}");
    }
}

#[tokio::test]
async fn progress_lengthens_the_wait_but_not_without_end() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let options = [6u32, 0, 0x7f & !0x10].map(u32::to_be_bytes).concat();
                if stream.write_all(&packet(b'O', &options)).await.is_err() {
                    return;
                }
                loop {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    if stream.write_all(&packet(b'p', b"")).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    let began = Instant::now();
    let (outcome, _) = play(&mut chain([milter("busy", port, OnFailure::Tempfail)])).await;
    assert_eq!(code(&outcome), Some(451));
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_milter_that_comes_back_is_told_what_it_missed() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let mut chain = chain([milter("late", port, OnFailure::Tempfail)]);
    let macros = Macros::default();
    assert_eq!(chain.connect(client(), &macros).await, Outcome::Continue);
    assert_eq!(chain.helo("client.example", &macros).await, Outcome::Continue);
    let mail = ["<ann@example.org>".to_owned()];
    assert_eq!(code(&chain.mail(&mail, &macros).await), Some(451));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.unwrap();
    let heard = Arc::new(tokio::sync::Mutex::new(Vec::new()));
    let keep = Arc::clone(&heard);
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        serve(stream, Script { options: ALL, ..Script::default() }, keep).await;
    });
    assert_eq!(chain.mail(&mail, &macros).await, Outcome::Continue);
    let kinds: String = heard.lock().await.iter().map(|(kind, _)| char::from(*kind)).collect();
    assert_eq!(kinds, "OCHM");
}

#[tokio::test]
async fn a_message_given_up_is_aborted_before_the_next() {
    let (port, heard) = start(Script { options: ALL, ..Script::default() }).await;
    let mut chain = chain([milter("one", port, OnFailure::Tempfail)]);
    let macros = Macros::default();
    chain.connect(client(), &macros).await;
    let mail = ["<ann@example.org>".to_owned()];
    chain.mail(&mail, &macros).await;
    chain.mail(&mail, &macros).await;
    let kinds: String = heard.lock().await.iter().map(|(kind, _)| char::from(*kind)).collect();
    assert_eq!(kinds, "OCMAM");
}
