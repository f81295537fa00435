//! A mail server that remembers every message it took, however many there are.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use crate::parcel::Parcel;

/// A message it answered with 250.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// Which message.
    pub parcel: Parcel,
    /// To whom.
    pub recipient: String,
    /// When, just before the 250.
    pub at: SystemTime,
}

/// How the sink behaves.
#[derive(Debug, Clone, Copy)]
pub struct Temper {
    /// The longest wait before the reply to a message, drawn at random.
    pub latency_max: Duration,
    /// One recipient in this many is deferred; 0: none.
    pub defers_one_in: u32,
}

/// A running sink; it runs as long as the test's process.
#[derive(Clone)]
pub struct Sink {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    temper: Temper,
    shut: AtomicBool,
    connections: AtomicU64,
    receipts: Mutex<Vec<Receipt>>,
    wrong: Mutex<Vec<String>>,
    /// Messages as they came, where the test wants to look at their octets.
    raw: Mutex<Option<Vec<Vec<u8>>>>,
}

impl Sink {
    /// Listens at any port of 127.0.0.1.
    pub fn start(temper: Temper) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port for the sink");
        let address = listener.local_addr().expect("the sink's address");
        let shared = Arc::new(Shared {
            temper,
            shut: AtomicBool::new(false),
            connections: AtomicU64::new(0),
            receipts: Mutex::default(),
            wrong: Mutex::default(),
            raw: Mutex::default(),
        });
        let sink = Self { address, shared: Arc::clone(&shared) };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                shared.connections.fetch_add(1, Ordering::Relaxed);
                std::thread::spawn(move || {
                    // A client that is killed breaks its connections; that is the point.
                    let _ = serve(stream, &shared);
                });
            }
        });
        sink
    }

    /// The same, and it keeps the octets of every message.
    pub fn keeping_octets(temper: Temper) -> Self {
        let sink = Self::start(temper);
        *sink.shared.raw.lock().unwrap() = Some(Vec::new());
        sink
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Turns every client away with 421 until [`open`](Self::open).
    pub fn shut(&self) {
        self.shared.shut.store(true, Ordering::Relaxed);
    }

    /// Serves again.
    pub fn open(&self) {
        self.shared.shut.store(false, Ordering::Relaxed);
    }

    /// Everything taken so far, oldest first.
    pub fn receipts(&self) -> Vec<Receipt> {
        self.shared.receipts.lock().unwrap().clone()
    }

    /// How many messages were taken.
    pub fn count(&self) -> usize {
        self.shared.receipts.lock().unwrap().len()
    }

    /// Messages that were not as they were sent.
    pub fn wrong(&self) -> Vec<String> {
        self.shared.wrong.lock().unwrap().clone()
    }

    /// Connections taken.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// The octets between the 354 and the final dot, of every message.
    pub fn raw(&self) -> Vec<Vec<u8>> {
        self.shared.raw.lock().unwrap().clone().unwrap_or_default()
    }
}

fn serve(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(120)))?;
    let mut out = stream.try_clone()?;
    let mut lines = BufReader::with_capacity(64 * 1024, stream);
    if shared.shut.load(Ordering::Relaxed) {
        return out.write_all(b"421 4.3.2 Closed for now\r\n");
    }
    out.write_all(b"220 sink.test ESMTP\r\n")?;
    let mut recipients: Vec<String> = Vec::new();
    // Replies to commands that came together leave together.
    let mut replies: Vec<u8> = Vec::new();
    loop {
        if lines.buffer().is_empty() && !replies.is_empty() {
            out.write_all(&replies)?;
            replies.clear();
        }
        let mut line = String::new();
        if (&mut lines).take(4096).read_line(&mut line)? == 0 {
            return Ok(());
        }
        let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
        match verb.as_str() {
            "EHLO" => replies.extend(b"250-sink.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250 SIZE 100000000\r\n"),
            "MAIL" | "RSET" => {
                recipients.clear();
                replies.extend(b"250 2.1.0 Ok\r\n");
            }
            "RCPT" => {
                let one_in = shared.temper.defers_one_in;
                if one_in > 0 && fastrand::u32(0..one_in) == 0 {
                    replies.extend(b"451 4.3.0 Not this one now\r\n");
                } else {
                    let path = line.split(['<', '>']).nth(1).unwrap_or_default();
                    recipients.push(path.to_owned());
                    replies.extend(b"250 2.1.5 Ok\r\n");
                }
            }
            "DATA" if recipients.is_empty() => replies.extend(b"503 5.5.1 RCPT first\r\n"),
            "DATA" => {
                replies.extend(b"354 Go on\r\n");
                out.write_all(&replies)?;
                replies.clear();
                let content = content(&mut lines)?;
                take(shared, &content, &recipients);
                recipients.clear();
                replies.extend(b"250 2.0.0 Taken\r\n");
            }
            "QUIT" => {
                replies.extend(b"221 2.0.0 Bye\r\n");
                return out.write_all(&replies);
            }
            _ => replies.extend(b"500 5.5.1 What?\r\n"),
        }
    }
}

/// The octets up to `CRLF . CRLF`, dots still doubled.
fn content(lines: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut content = b"\r\n".to_vec();
    loop {
        let before = content.len();
        if lines.read_until(b'\n', &mut content)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if content.ends_with(b"\r\n.\r\n") && &content[before..] == b".\r\n" {
            content.truncate(before);
            content.drain(..2);
            return Ok(content);
        }
    }
}

fn take(shared: &Shared, content: &[u8], recipients: &[String]) {
    let latency = shared.temper.latency_max.as_micros() as u64;
    std::thread::sleep(Duration::from_micros(fastrand::u64(0..=latency)));
    if let Some(raw) = &mut *shared.raw.lock().unwrap() {
        raw.push(content.to_vec());
        return;
    }
    let text = String::from_utf8_lossy(content).replace("\r\n.", "\r\n");
    match Parcel::recognise(&text) {
        Ok(parcel) => {
            let at = SystemTime::now();
            let receipt = |recipient: &String| Receipt { parcel, recipient: recipient.clone(), at };
            shared.receipts.lock().unwrap().extend(recipients.iter().map(receipt));
        }
        Err(wrong) => shared.wrong.lock().unwrap().push(wrong),
    }
}
