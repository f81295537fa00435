//! Clients that send parcels as fast as they are taken, and remember what they were promised.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::parcel::Parcel;

/// What the clients have in common.
pub struct Orders {
    /// The address they connect to.
    pub server: SocketAddr,
    /// Every parcel goes to one or more of these.
    pub recipients: Vec<String>,
    /// The largest parcel, in octets.
    pub octets_max: u32,
    /// The wait between two batches.
    pub pause: Duration,
}

/// What the clients have done so far.
#[derive(Default)]
pub struct Ledger {
    /// Parcels whose final dot, or last chunk, was written or may have been.
    pub offered: Mutex<Vec<(Parcel, Vec<String>)>>,
    /// Parcels that were answered with 250.
    pub promised: Mutex<Vec<(Parcel, Vec<String>)>>,
    /// Replies to content other than 250, and how often.
    pub refused: Mutex<std::collections::BTreeMap<String, u64>>,
    promises: AtomicU64,
    next: AtomicU64,
    stop: AtomicBool,
}

impl Ledger {
    /// How many 250s there were.
    pub fn promises(&self) -> u64 {
        self.promises.load(Ordering::Relaxed)
    }
}

/// Clients at work.
pub struct Load {
    /// What they do.
    pub ledger: Arc<Ledger>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts `clients` clients. Each draws its sizes and recipients from `seed`.
    pub fn start(orders: Orders, clients: u64, seed: u64) -> Self {
        let ledger = Arc::new(Ledger::default());
        let orders = Arc::new(orders);
        let threads = (0..clients)
            .map(|client| {
                let (orders, ledger) = (Arc::clone(&orders), Arc::clone(&ledger));
                let random = fastrand::Rng::with_seed(seed.wrapping_mul(31).wrapping_add(client));
                std::thread::spawn(move || work(&orders, &ledger, random))
            })
            .collect();
        Self { ledger, threads }
    }

    /// Lets them finish what they are about, and gives what they did.
    pub fn stop(self) -> Arc<Ledger> {
        self.ledger.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("a client ends");
        }
        self.ledger
    }
}

fn work(orders: &Orders, ledger: &Ledger, mut random: fastrand::Rng) {
    while !ledger.stop.load(Ordering::Relaxed) {
        // The server is killed under us all the time.
        if session(orders, ledger, &mut random).is_err() {
            std::thread::sleep(Duration::from_millis(3));
        }
    }
}

/// One connection with some batches of messages.
fn session(orders: &Orders, ledger: &Ledger, random: &mut fastrand::Rng) -> io::Result<()> {
    let stream = TcpStream::connect_timeout(&orders.server, Duration::from_secs(5))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    stream.set_write_timeout(Some(Duration::from_secs(60)))?;
    let mut out = stream.try_clone()?;
    let mut replies = BufReader::new(stream);
    expect(&mut replies, "220")?;
    out.write_all(b"EHLO client.test\r\n")?;
    expect(&mut replies, "250")?;
    for _ in 0..random.u32(1..8) {
        if ledger.stop.load(Ordering::Relaxed) {
            break;
        }
        let messages = random.usize(1..5);
        let batch: Vec<_> = (0..messages).map(|_| draw(orders, ledger, random)).collect();
        if random.u8(0..4) == 0 {
            by_chunks(&mut out, &mut replies, ledger, &batch)?;
        } else {
            by_data(&mut out, &mut replies, ledger, &batch)?;
        }
        std::thread::sleep(orders.pause);
    }
    out.write_all(b"QUIT\r\n")
}

type Order = (Parcel, Vec<String>);

fn draw(orders: &Orders, ledger: &Ledger, random: &mut fastrand::Rng) -> Order {
    let number = ledger.next.fetch_add(1, Ordering::Relaxed) + 1;
    let octets = match random.u8(0..20) {
        0 => random.u32(64 * 1024..=orders.octets_max.max(64 * 1024)),
        1..5 => random.u32(8 * 1024..64 * 1024),
        _ => random.u32(512..8 * 1024),
    };
    let first = random.usize(0..orders.recipients.len());
    let mut recipients = vec![orders.recipients[first].clone()];
    if random.u8(0..4) == 0 {
        let all = orders.recipients.iter().enumerate();
        recipients.extend(all.filter(|(at, _)| *at != first).map(|(_, one)| one.clone()));
    }
    (Parcel::sized(number, octets.min(orders.octets_max)), recipients)
}

fn envelope((_, recipients): &Order) -> String {
    let mut commands = "MAIL FROM:<ann@client.test>\r\n".to_owned();
    for recipient in recipients {
        commands.push_str(&format!("RCPT TO:<{recipient}>\r\n"));
    }
    commands
}

/// The content of one message and the envelope of the next leave in one write.
fn by_data(
    out: &mut TcpStream,
    replies: &mut impl BufRead,
    ledger: &Ledger,
    batch: &[Order],
) -> io::Result<()> {
    out.write_all(format!("{}DATA\r\n", envelope(&batch[0])).as_bytes())?;
    for (at, order) in batch.iter().enumerate() {
        for _ in 0..=order.1.len() {
            expect(replies, "250")?;
        }
        expect(replies, "354")?;
        let mut octets = order.0.dotted();
        if let Some(next) = batch.get(at + 1) {
            octets.push_str(&format!("{}DATA\r\n", envelope(next)));
        }
        ledger.offered.lock().unwrap().push(order.clone());
        out.write_all(octets.as_bytes())?;
        settle(replies, ledger, order)?;
    }
    Ok(())
}

/// The whole transaction in one write, its content in two chunks.
fn by_chunks(
    out: &mut TcpStream,
    replies: &mut impl BufRead,
    ledger: &Ledger,
    batch: &[Order],
) -> io::Result<()> {
    for order in batch {
        let content = order.0.content();
        let (first, last) = content.split_at(content.len() / 2);
        let mut octets = envelope(order);
        octets.push_str(&format!("BDAT {}\r\n{first}", first.len()));
        octets.push_str(&format!("BDAT {} LAST\r\n{last}", last.len()));
        ledger.offered.lock().unwrap().push(order.clone());
        out.write_all(octets.as_bytes())?;
        for _ in 0..order.1.len() + 2 {
            expect(replies, "250")?;
        }
        settle(replies, ledger, order)?;
    }
    Ok(())
}

fn settle(replies: &mut impl BufRead, ledger: &Ledger, order: &Order) -> io::Result<()> {
    let reply = reply(replies)?;
    if reply.starts_with("250") {
        ledger.promised.lock().unwrap().push(order.clone());
        ledger.promises.fetch_add(1, Ordering::Relaxed);
        Ok(())
    } else {
        *ledger.refused.lock().unwrap().entry(reply.clone()).or_default() += 1;
        Err(io::Error::other(reply))
    }
}

fn expect(replies: &mut impl BufRead, code: &str) -> io::Result<()> {
    let reply = reply(replies)?;
    if reply.starts_with(code) { Ok(()) } else { Err(io::Error::other(reply)) }
}

/// The last line of a reply.
fn reply(replies: &mut impl BufRead) -> io::Result<String> {
    loop {
        let mut line = String::new();
        if replies.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line.as_bytes().get(3) != Some(&b'-') {
            return Ok(line.trim_end().to_owned());
        }
    }
}
