//! Two lines on loopback, each with its fax machine, and a network between them that loses
//! datagrams. Also the program of those machines: see `main`.

use std::future::{Future, pending};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fax::Resolution;
use pages::{Bitmap, Coding, Profile, show, tiff_f};
use t38::engine::work::{COMMAND, Start, Task};
use t38::engine::{Engine, Told, worker};
use t38::media::{Done, Keeper, carry};
use t38::sip::{Call, Incoming, Line, NotConnected, Settings};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::timeout;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(COMMAND) {
        return worker::run();
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    run(&runtime, "a fax arrives dot for dot", a_fax_arrives(0));
    run(&runtime, "a fax arrives where one datagram in twenty is lost", a_fax_arrives(5));
    run(&runtime, "what was not kept is not confirmed", what_was_not_kept_is_not_confirmed());
    run(&runtime, "hanging up keeps the pages that came", hanging_up_keeps_what_came());
    run(&runtime, "the last word of a machine that has ended is read", the_last_word_is_read());
    run(&runtime, "a call begins with fax", a_call(false));
    run(&runtime, "a call begins with voice", a_call(true));
    run(&runtime, "a call is refused, cancelled, ended", calls_end());
    run(&runtime, "strangers are not heard", strangers_are_not_heard());
    ExitCode::SUCCESS
}

/// Runs a test, where the arguments name none or a part of its name.
fn run(runtime: &tokio::runtime::Runtime, name: &str, test: impl Future<Output = ()>) {
    let mut wanted = std::env::args().skip(1).filter(|word| !word.starts_with('-')).peekable();
    if wanted.peek().is_some() && !wanted.any(|part| name.contains(&part)) {
        return;
    }
    let begun = Instant::now();
    let in_time = runtime.block_on(async { timeout(Duration::from_secs(120), test).await });
    assert!(in_time.is_ok(), "{name}: it does not come to an end");
    println!("test {name} ... ok, {:.1} s", begun.elapsed().as_secs_f32());
}

/// A page like writing, one like a photograph (more than a block of error correction), and one
/// that is nearly white.
fn three_pages() -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(7);
    let mut writing = Bitmap::white(2_156);
    for _ in 0..2_000 {
        let (left, top) = (random.usize(100..1_500), random.usize(100..2_000));
        writing.fill(left, top, random.usize(2..60), random.usize(2..8));
    }
    let mut photograph = Bitmap::white(2_156);
    for row in 200..1_600 {
        for column in 200..1_500 {
            if random.usize(0..1_300) < column - 200 {
                photograph.blacken(column, row);
            }
        }
    }
    let mut white = Bitmap::white(2_156);
    white.fill(800, 1_000, 10, 10);
    let pages = [writing, photograph, white];
    tiff_f::write(&pages, Resolution::Fine, Profile::Extended(Coding::Mmr))
}

/// The file as libtiff reads it, in strips that every reader takes.
fn in_strips(file: &[u8]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from.tif"), folder.path().join("to.tif"));
    std::fs::write(&from, file).unwrap();
    let copied = Command::new("tiffcp")
        .args(["-c", "g4", "-r", "64", "-f", "msb2lsb"])
        .arg(&from)
        .arg(&to)
        .status();
    assert!(copied.unwrap().success(), "libtiff does not read the file");
    std::fs::read(&to).unwrap()
}

fn assert_same(sent: &[u8], received: &[u8], pages: usize) {
    let received = &in_strips(received);
    for page in 1..=pages {
        let (sent, received) = (show::page(sent, page).unwrap(), show::page(received, page));
        assert!(sent == received.unwrap(), "page {page} is another");
    }
    assert!(show::page(received, pages + 1).is_err(), "there are more pages than {pages}");
}

fn task(sends: bool) -> Task {
    let ident = if sends { "+12025550199" } else { "+12025550123" };
    Task { sends, ident: ident.to_owned(), subaddress: None, is_paced: false }
}

async fn machine(sends: bool, pages: &[u8]) -> Engine {
    let program: PathBuf = std::env::current_exe().unwrap();
    Engine::ready(&program, &task(sends), pages).await.unwrap()
}

/// Remembers what it kept, and keeps no more than it is told to.
#[derive(Default)]
struct Shelf {
    told: Vec<(u32, usize)>,
    files: Vec<Vec<u8>>,
    refuses_from: Option<u32>,
}

impl Keeper for Shelf {
    async fn pages(&mut self, pages: u32, file: &[u8]) -> bool {
        if self.refuses_from.is_some_and(|first| pages >= first) {
            return false;
        }
        self.told.push((pages, file.len()));
        self.files.push(file.to_vec());
        true
    }
}

/// A network that loses so many of a hundred datagrams, and gives the others on.
async fn network(loses: u8) -> (SocketAddr, SocketAddr, mpsc::Sender<(SocketAddr, SocketAddr)>) {
    let left = UdpSocket::bind((LOOPBACK, 0)).await.unwrap();
    let right = UdpSocket::bind((LOOPBACK, 0)).await.unwrap();
    let (ends, mut told) = mpsc::channel(1);
    let places = (left.local_addr().unwrap(), right.local_addr().unwrap());
    tokio::spawn(async move {
        let mut random = fastrand::Rng::with_seed(11);
        let (caller, called): (SocketAddr, SocketAddr) = told.recv().await.unwrap();
        let (mut from_left, mut from_right) = ([0; 2_048], [0; 2_048]);
        loop {
            tokio::select! {
                Ok((length, _)) = left.recv_from(&mut from_left) => {
                    if random.u8(0..100) >= loses {
                        right.send_to(&from_left[..length], called).await.unwrap();
                    }
                }
                Ok((length, _)) = right.recv_from(&mut from_right) => {
                    if random.u8(0..100) >= loses {
                        left.send_to(&from_right[..length], caller).await.unwrap();
                    }
                }
            }
        }
    });
    (places.0, places.1, ends)
}

fn at(media: SocketAddr) -> t38::sdp::Fax {
    t38::sdp::Fax { media, version: 0, bit_rate: 14_400, datagram_max: 1_400 }
}

struct Sides {
    sent: Result<Done, t38::engine::EngineError>,
    received: Result<Done, t38::engine::EngineError>,
    confirmed: Shelf,
    kept: Shelf,
}

async fn both_sides(loses: u8, pages: &[u8], kept: Shelf, over_after: Option<u32>) -> Sides {
    let (near, far, ends) = network(loses).await;
    let caller = UdpSocket::bind((LOOPBACK, 0)).await.unwrap();
    let called = UdpSocket::bind((LOOPBACK, 0)).await.unwrap();
    ends.send((caller.local_addr().unwrap(), called.local_addr().unwrap())).await.unwrap();
    let (mut sending, mut receiving) = (machine(true, pages).await, machine(false, &[]).await);
    let (mut confirmed, mut kept) = (Counting::new(Shelf::default(), over_after), kept);
    let over = confirmed.over();
    let (near, far) = (at(near), at(far));
    let (sent, received) = tokio::join!(
        async {
            let sent = carry(&mut sending, &caller, &near, over, &mut confirmed).await;
            drop(sending);
            sent
        },
        async {
            let silence = async { tokio::time::sleep(Duration::from_secs(60)).await };
            carry(&mut receiving, &called, &far, silence, &mut kept).await
        },
    );
    Sides { sent, received, confirmed: confirmed.shelf, kept }
}

/// Hangs up after so many pages.
struct Counting {
    shelf: Shelf,
    over_after: Option<u32>,
    over: Arc<tokio::sync::Notify>,
}

impl Counting {
    fn new(shelf: Shelf, over_after: Option<u32>) -> Self {
        Self { shelf, over_after, over: Arc::default() }
    }

    fn over(&self) -> impl Future<Output = ()> + use<> {
        let over = Arc::clone(&self.over);
        async move { over.notified().await }
    }
}

impl Keeper for Counting {
    async fn pages(&mut self, pages: u32, file: &[u8]) -> bool {
        if self.over_after == Some(pages) {
            self.over.notify_one();
        }
        self.shelf.pages(pages, file).await
    }
}

async fn a_fax_arrives(loses: u8) {
    let pages = three_pages();
    let sides = both_sides(loses, &pages, Shelf::default(), None).await;
    let (sent, received) = (sides.sent.unwrap(), sides.received.unwrap());
    assert_eq!((sent.ended.code, sent.ended.pages), (0, 3), "{:?}", sent.ended);
    assert_eq!((received.ended.code, received.ended.pages), (0, 3), "{:?}", received.ended);
    assert_eq!(sent.ended.station.trim(), "+12025550123");
    assert_eq!(received.ended.station.trim(), "+12025550199");
    assert_eq!(sides.confirmed.told, [(1, 0), (2, 0), (3, 0)]);
    assert_same(&pages, &received.file, 3);
    // What was on the disk when a page was confirmed is that page and those before it.
    let counts: Vec<u32> = sides.kept.told.iter().map(|(pages, _)| *pages).collect();
    assert_eq!(counts, [1, 2, 3]);
    for (count, file) in sides.kept.files.iter().enumerate() {
        assert_same(&pages, file, count + 1);
    }
    println!("    {} recovered, {} lost", received.recovered, received.lost);
    assert_eq!(loses > 0, received.recovered + sent.recovered > 0);
}

async fn what_was_not_kept_is_not_confirmed() {
    let shelf = Shelf { refuses_from: Some(2), ..Shelf::default() };
    let sides = both_sides(0, &three_pages(), shelf, None).await;
    assert!(sides.received.is_err());
    let sent = sides.sent.unwrap();
    assert_ne!(sent.ended.code, 0, "{:?}", sent.ended);
    assert_eq!(sent.ended.pages, 1, "the page that was not kept counts as sent");
    assert_eq!(sides.confirmed.told, [(1, 0)]);
}

async fn hanging_up_keeps_what_came() {
    let pages = three_pages();
    let sides = both_sides(0, &pages, Shelf::default(), Some(1)).await;
    let sent = sides.sent.unwrap();
    assert_ne!(sent.ended.code, 0);
    assert_eq!(sent.ended.pages, 1);
    let received = sides.received.unwrap();
    assert_ne!(received.ended.code, 0);
    assert!(received.ended.pages >= 1);
    assert_same(&pages, sides.kept.files.first().unwrap(), 1);
}

/// It tells how the call ended and ends itself, and time goes on before that is read.
async fn the_last_word_is_read() {
    let mut engine = machine(false, &[]).await;
    engine.start(Start { bit_rate: 14_400 }).await.unwrap();
    engine.hang_up().await.unwrap();
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        engine.tick().await.unwrap();
    }
    while !matches!(engine.told().await.unwrap(), Told::Ended { .. }) {}
    assert!(engine.told().await.is_err(), "a machine that has ended tells something");
}

async fn free_port() -> SocketAddr {
    UdpSocket::bind((LOOPBACK, 0)).await.unwrap().local_addr().unwrap()
}

fn settings(listen: SocketAddr, gateway: SocketAddr) -> Settings {
    Settings {
        listen,
        gateway,
        domain: "gateway.example".to_owned(),
        media_ports: 20_000..=29_999,
        peers: Vec::new(),
        calls_max: 2,
        credentials: None,
    }
}

async fn two_lines() -> (Line, mpsc::Receiver<Incoming>, Line, mpsc::Receiver<Incoming>) {
    let (ours, theirs) = (free_port().await, free_port().await);
    let (caller, to_caller) = Line::open(settings(ours, theirs)).await.unwrap();
    let (called, to_called) = Line::open(settings(theirs, ours)).await.unwrap();
    (caller, to_caller, called, to_called)
}

async fn over_call(mut call: Call, engine: &mut Engine, shelf: &mut Shelf) -> Done {
    let (socket, other) = (call.socket(), call.other.clone());
    let done = carry(engine, &socket, &other, call.over(), shelf).await.unwrap();
    call.hang_up().await;
    done
}

async fn a_call(begins_with_voice: bool) {
    let (caller, _to_caller, _called, mut to_called) = two_lines().await;
    let pages = three_pages();
    let (mut sending, mut receiving) = (machine(true, &pages).await, machine(false, &[]).await);
    let calling = async {
        let call = if begins_with_voice {
            caller.call_by_voice("+12025550123", "+12025550199", "voice", pending()).await
        } else {
            caller.call("+12025550123", "+12025550199", "a-call", pending()).await
        };
        over_call(call.unwrap(), &mut sending, &mut Shelf::default()).await
    };
    let answering = async {
        let incoming = to_called.recv().await.unwrap();
        assert_eq!((&*incoming.called, &*incoming.caller), ("+12025550123", "+12025550199"));
        let call = incoming.accept().await.unwrap();
        over_call(call, &mut receiving, &mut Shelf::default()).await
    };
    let (sent, received) = tokio::join!(calling, answering);
    assert_eq!((sent.ended.code, received.ended.code), (0, 0));
    assert_same(&pages, &received.file, 3);
}

async fn calls_end() {
    let (caller, _to_caller, _called, mut to_called) = two_lines().await;
    let number = "+12025550123";
    let refusing = async { to_called.recv().await.unwrap().reject(486) };
    let (refused, ()) = tokio::join!(caller.call(number, "1", "refused", pending()), refusing);
    assert!(matches!(refused, Err(NotConnected::Refused { code: 486, .. })), "{:?}", refused.err());
    // Rings, and is given up.
    let soon = tokio::time::sleep(Duration::from_millis(300));
    let cancelled = caller.call(number, "1", "cancelled", soon).await;
    assert!(matches!(cancelled, Err(NotConnected::Cancelled)), "{:?}", cancelled.err());
    let gone = to_called.recv().await.unwrap().accept().await;
    assert!(gone.is_err(), "a call that was cancelled is accepted");
    // The other side hangs up, and we hear it; then the line is free again.
    for round in 0..3 {
        let name = format!("ended-{round}");
        let answering = async { to_called.recv().await.unwrap().accept().await.unwrap() };
        let (call, answered) = tokio::join!(caller.call(number, "1", &name, pending()), answering);
        let mut call = call.unwrap();
        answered.hang_up().await;
        call.over().await;
        call.hang_up().await;
    }
}

async fn strangers_are_not_heard() {
    let (ours, theirs) = (free_port().await, free_port().await);
    let elsewhere: IpAddr = "127.0.0.9".parse().unwrap();
    let (_line, mut calls) =
        Line::open(settings(ours, SocketAddr::new(elsewhere, theirs.port()))).await.unwrap();
    let stranger = UdpSocket::bind((LOOPBACK, 0)).await.unwrap();
    let mut answer = [0; 2_048];
    let options = format!(
        "OPTIONS sip:a@{ours} SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bKx;rport\r\n\
         From: <sip:b@c>;tag=1\r\nTo: <sip:a@c>\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\n\
         Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
        stranger.local_addr().unwrap()
    );
    stranger.send_to(options.as_bytes(), ours).await.unwrap();
    let heard = timeout(Duration::from_millis(300), stranger.recv_from(&mut answer)).await;
    assert!(heard.is_err(), "a stranger is answered");
    // The same from the gateway's address is.
    let gateway = UdpSocket::bind((elsewhere, theirs.port())).await.unwrap();
    gateway.send_to(options.as_bytes(), ours).await.unwrap();
    let heard = timeout(Duration::from_secs(5), gateway.recv_from(&mut answer)).await;
    let (length, _) = heard.unwrap().unwrap();
    assert!(answer[..length].starts_with(b"SIP/2.0 200"));
    for nonsense in [&b"\0"[..], b"INVITE", b"INVITE sip: SIP/2.0\r\n\r\n", &[b'x'; 9_000]] {
        gateway.send_to(nonsense, ours).await.unwrap();
    }
    gateway.send_to(options.as_bytes(), ours).await.unwrap();
    let heard = timeout(Duration::from_secs(5), gateway.recv_from(&mut answer)).await;
    assert!(heard.is_ok(), "nonsense made the line deaf");
    assert!(calls.try_recv().is_err());
}
