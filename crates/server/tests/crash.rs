//! What survives when the process is killed, the disk is full, or the data folder is not
//! as it was left: everything that was answered with 250.

#![allow(dead_code, reason = "each test uses its part of the support")]

mod support;

#[path = "support/load.rs"]
mod load;
#[path = "support/parcel.rs"]
mod parcel;
#[path = "support/sink.rs"]
mod sink;
#[path = "support/volume.rs"]
mod volume;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use load::{Ledger, Load, Orders};
use parcel::Parcel;
use sink::{Sink, Temper};
use support::{Client, shown, wait_for};
use tempfile::TempDir;
use volume::{Ballast, on_a_small_volume};

/// Kills of one run, unless `MAILKEEP_KILLS` says otherwise.
const KILLS: usize = 300;
/// How long a message that was delivered may take to be settled on a busy machine; a kill
/// within this time brings it again.
const SETTLES_WITHIN: Duration = Duration::from_secs(3);
/// How long the sink may take to note a message whose last octets were sent before a kill.
const NOTED_WITHIN: Duration = Duration::from_secs(2);
/// How long the queue may take to drain at the end.
const DRAINS_WITHIN: Duration = Duration::from_secs(180);

fn kills() -> usize {
    std::env::var("MAILKEEP_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(KILLS)
}

fn seed() -> u64 {
    let given = std::env::var("MAILKEEP_SEED").ok().and_then(|n| n.parse().ok());
    given.unwrap_or_else(|| fastrand::u64(..1 << 32))
}

/// A port that is free now and that the system gives to nobody who does not ask for it.
fn fixed_port() -> SocketAddr {
    loop {
        let address = SocketAddr::from(([127, 0, 0, 1], fastrand::u16(20_000..32_000)));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// A server that is killed and started again in the same folder.
struct Victim {
    folder: TempDir,
    child: std::process::Child,
    address: SocketAddr,
}

impl Victim {
    fn start(sink: &Sink) -> Self {
        Self::start_in(TempDir::new().expect("a temporary folder"), sink)
    }

    fn start_in(folder: TempDir, sink: &Sink) -> Self {
        let address = fixed_port();
        let here = folder.path().to_str().expect("a plain name");
        let configuration = CONFIGURATION
            .replace("@DIR@", here)
            .replace("@PORT@", &address.port().to_string())
            .replace("@SINK@", &sink.address().to_string());
        fs::write(folder.path().join("mailkeep.conf"), configuration).expect("a configuration");
        let child = support::spawn(folder.path());
        Self { folder, child, address }
    }

    fn kill(&mut self) {
        self.child.kill().expect("the server is killed");
        self.child.wait().expect("the server is gone");
    }

    fn start_again(&mut self) {
        self.child = support::spawn(self.folder.path());
    }

    /// Ends the server as an administrator does; it closes its files.
    fn stop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("a signal");
        let status = self.child.wait().expect("the server ends");
        assert!(status.success(), "{status}\n{}", self.log());
    }

    /// Sends a parcel and gives the last reply.
    fn send(&self, parcel: Parcel, recipient: &str) -> String {
        let mut client = Client::connect(self.address);
        client.expect("EHLO client.test", "250");
        client.expect("MAIL FROM:<ann@client.test>", "250");
        client.expect(&format!("RCPT TO:<{recipient}>"), "250");
        client.expect("DATA", "354");
        client.send(parcel.dotted().as_bytes());
        client.reply()
    }

    /// Waits until somebody answers.
    fn wait_until_it_serves(&mut self) {
        let answers = wait_for(|| {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("the server ended with {status}:\n{}", self.log());
            }
            TcpStream::connect(self.address).ok()
        });
        assert!(answers.is_some(), "nobody listens:\n{}", self.log());
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn ok(&self, arguments: &[&str]) -> String {
        let output = support::run(self.folder.path(), arguments, b"");
        assert!(output.status.success(), "{arguments:?}: {}\n{}", shown(&output), self.log());
        String::from_utf8(output.stdout).expect("printed text")
    }

    /// Waits until nothing is in the queue.
    fn drain(&self) {
        let until = Instant::now() + DRAINS_WITHIN;
        loop {
            let status: serde_json::Value =
                serde_json::from_str(&self.ok(&["status", "--json"])).expect("a status");
            let queue = &status["queue"];
            let open: u64 =
                ["waiting", "leased", "held"].iter().filter_map(|n| queue[n].as_u64()).sum();
            if open == 0 {
                return;
            }
            assert!(
                Instant::now() < until,
                "{open} still wait\n{}\n{}",
                self.ok(&["queue", "list"]),
                self.log()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// What the ledger and the evidence say of themselves.
    fn check_the_books(&self) {
        self.ok(&["ledger", "check"]);
        let key = self.folder.path().join("server.key");
        fs::write(&key, self.ok(&["evidence", "key"])).expect("the key is written");
        let export = self.folder.path().join("evidence.ndjson");
        let export = export.to_str().expect("a plain name");
        self.ok(&["evidence", "export", "--out", export]);
        let verified = self.ok(&["evidence", "verify", export, "--key", key.to_str().unwrap()]);
        println!("evidence: {}", verified.lines().next().unwrap_or_default());
        assert!(!self.log().contains("panicked"), "{}", self.log());
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One copy of a message where it was delivered.
#[derive(Debug, Clone)]
struct Copy {
    at: SystemTime,
}

type Deliveries = BTreeMap<(Parcel, String), Vec<Copy>>;

/// Everything the sink and the Maildirs have.
fn deliveries(sink: &Sink, maildirs: &Path) -> Deliveries {
    let mut found = Deliveries::new();
    for receipt in sink.receipts() {
        found.entry((receipt.parcel, receipt.recipient)).or_default().push(Copy { at: receipt.at });
    }
    for (recipient, file) in maildir_files(maildirs) {
        // A Maildir keeps its messages with the line ends of its system.
        let text = fs::read_to_string(&file).expect("a delivered message").replace('\n', "\r\n");
        let parcel = Parcel::recognise(&text)
            .unwrap_or_else(|wrong| panic!("{} is not whole: {wrong}", file.display()));
        let at = fs::metadata(&file).and_then(|about| about.modified()).expect("its time");
        found.entry((parcel, recipient)).or_default().push(Copy { at });
    }
    found
}

fn maildir_files(root: &Path) -> Vec<(String, PathBuf)> {
    let names = |folder: &Path| -> Vec<PathBuf> {
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    };
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    let mut files = Vec::new();
    for domain in names(root) {
        for mailbox in names(&domain) {
            let recipient = format!("{}@{}", name(&mailbox), name(&domain));
            files.extend(names(&mailbox.join("new")).into_iter().map(|f| (recipient.clone(), f)));
        }
    }
    files
}

/// Pairs of message and recipient, of those in a list of orders.
fn pairs(orders: &[(Parcel, Vec<String>)]) -> BTreeSet<(Parcel, String)> {
    let each = |(parcel, to): &(Parcel, Vec<String>)| -> Vec<(Parcel, String)> {
        to.iter().map(|recipient| (*parcel, recipient.clone())).collect()
    };
    orders.iter().flat_map(each).collect()
}

/// Nothing promised is lost, nothing arrives that was not sent, and what arrives twice was
/// on its way at a kill. Gives the number of duplicates.
fn balance(ledger: &Ledger, found: &Deliveries, kills: &[SystemTime]) -> usize {
    let promised = pairs(&ledger.promised.lock().unwrap());
    let offered = pairs(&ledger.offered.lock().unwrap());
    let lost: Vec<_> = promised.iter().filter(|pair| !found.contains_key(pair)).collect();
    assert!(lost.is_empty(), "{} promised and lost: {:?}", lost.len(), &lost[..lost.len().min(20)]);
    let unknown: Vec<_> = found.keys().filter(|pair| !offered.contains(pair)).collect();
    assert!(unknown.is_empty(), "arrived without being sent: {unknown:?}");
    let mut duplicates = 0;
    for ((parcel, recipient), copies) in found.iter().filter(|(_, copies)| copies.len() > 1) {
        let mut times: Vec<SystemTime> = copies.iter().map(|copy| copy.at).collect();
        times.sort();
        for two in times.windows(2) {
            let in_flight = |kill: &SystemTime| {
                two[0] - NOTED_WITHIN <= *kill && *kill <= two[1].min(two[0] + SETTLES_WITHIN)
            };
            let kill = kills.iter().rposition(in_flight);
            let Some(kill) = kill else {
                panic!("parcel {parcel} came twice to {recipient} without a kill: {times:?}");
            };
            let before = kills[kill].duration_since(two[0]).unwrap_or_default();
            println!("duplicate: parcel {parcel} to {recipient}, {before:?} before kill {kill}");
            duplicates += 1;
        }
    }
    let unanswered = found.keys().filter(|pair| !promised.contains(pair)).count();
    println!(
        "{} promised and all there, {unanswered} more whose 250 was lost, {duplicates} duplicates",
        promised.len()
    );
    duplicates
}

#[test]
fn nothing_promised_is_lost_when_the_process_is_killed_at_random_instants() {
    let (kills_wanted, seed, began) = (kills(), seed(), Instant::now());
    println!("seed {seed} (MAILKEEP_SEED), {kills_wanted} kills (MAILKEEP_KILLS)");
    let mut random = fastrand::Rng::with_seed(seed);
    let sink = Sink::start(Temper { latency_max: Duration::from_millis(15), defers_one_in: 200 });
    let mut victim = Victim::start(&sink);
    let orders = Orders {
        server: victim.address,
        recipients: vec!["bob@relay.test".to_owned(), "carl@local.test".to_owned()],
        octets_max: 300 * 1024,
        pause: Duration::from_millis(10),
    };
    let load = Load::start(orders, 4, seed);
    let (mut kills, mut at_start) = (Vec::new(), 0);
    while kills.len() - at_start < kills_wanted {
        if random.u8(0..8) == 0 {
            // While it starts, perhaps before it serves.
            std::thread::sleep(Duration::from_millis(random.u64(0..250)));
            at_start += 1;
        } else {
            let before = load.ledger.promises();
            let promised = wait_for(|| {
                if let Ok(Some(status)) = victim.child.try_wait() {
                    panic!("seed {seed}: the server ended with {status}:\n{}", victim.log());
                }
                (load.ledger.promises() > before).then_some(())
            });
            assert!(promised.is_some(), "seed {seed}: takes no mail\n{}", victim.log());
            std::thread::sleep(Duration::from_micros(random.u64(0..600_000)));
        }
        victim.kill();
        kills.push(SystemTime::now());
        victim.start_again();
    }
    let killing = began.elapsed();
    victim.wait_until_it_serves();
    let ledger = load.stop();
    victim.drain();
    let drained = began.elapsed();
    victim.check_the_books();
    println!(
        "{} kills under load and {at_start} at the start in {killing:?}, drained after {drained:?}",
        kills.len() - at_start
    );
    println!("refusals: {:?}", ledger.refused.lock().unwrap());
    assert!(sink.wrong().is_empty(), "seed {seed}: {:?}", sink.wrong());
    let found = deliveries(&sink, &victim.folder.path().join("maildir"));
    balance(&ledger, &found, &kills);
    println!("in all {:?}", began.elapsed());
}

/// Octets of the small volume: enough for the store's reserve and then some.
const VOLUME_OCTETS: u64 = 160 << 20;

#[test]
fn a_full_disk_is_told_with_452_and_mail_flows_again_by_itself() {
    let test = "a_full_disk_is_told_with_452_and_mail_flows_again_by_itself";
    on_a_small_volume(test, VOLUME_OCTETS, |volume| {
        let sink = Sink::start(Temper { latency_max: Duration::ZERO, defers_one_in: 0 });
        // The log lies on the same volume: what cannot be logged must not stop the mail.
        let folder = TempDir::new_in(volume).expect("a folder on the volume");
        let mut victim = Victim::start_in(folder, &sink);
        victim.wait_until_it_serves();
        let mut promised = BTreeSet::new();
        let mut number = 0;
        let mut next = |octets| {
            number += 1;
            Parcel::sized(number, octets)
        };
        let mut promise = |victim: &Victim, parcel: Parcel| {
            let reply = victim.send(parcel, "bob@relay.test");
            if reply.starts_with("250") {
                promised.insert(parcel);
            }
            reply
        };
        assert!(promise(&victim, next(2_000)).starts_with("250"));
        wait_for(|| (sink.count() == 1).then_some(())).expect("it arrives");

        // Nearly full: new mail is put off, what is here leaves, and everyone is answered.
        sink.shut();
        for octets in [1_000, 30_000, 300_000] {
            assert!(promise(&victim, next(octets)).starts_with("250"));
        }
        let ballast = Ballast::leaving(victim.folder.path(), 10 << 20);
        std::thread::sleep(Duration::from_millis(400));
        for octets in [1_000, 30_000, 300_000] {
            let reply = promise(&victim, next(octets));
            assert!(reply.starts_with("452 4.3.1 "), "{reply}");
        }
        Client::connect(victim.address).expect("EHLO client.test", "250");
        victim.ok(&["status"]);
        sink.open();
        wait_for(|| (sink.count() == 4).then_some(()))
            .unwrap_or_else(|| panic!("{} of 4 left\n{}", sink.count(), victim.log()));

        // Full to the last octet, with mail on its way.
        drop(ballast);
        sink.shut();
        wait_for(|| promise(&victim, next(1_000)).starts_with("250").then_some(()))
            .expect("there is room again");
        for octets in [2_000, 50_000, 250_000] {
            assert!(promise(&victim, next(octets)).starts_with("250"));
        }
        let ballast = Ballast::leaving(victim.folder.path(), 0);
        for octets in [1_000, 30_000, 300_000, 1_000, 100_000] {
            let reply = promise(&victim, next(octets));
            assert!(reply.starts_with("452 4.3.1 "), "{reply}");
        }
        sink.open();
        std::thread::sleep(Duration::from_secs(3));
        Client::connect(victim.address).expect("EHLO client.test", "250");
        assert!(victim.child.try_wait().expect("the server's state").is_none(), "it ended");

        drop(ballast);
        wait_for(|| promise(&victim, next(1_000)).starts_with("250").then_some(()))
            .unwrap_or_else(|| panic!("takes no mail though there is room\n{}", victim.log()));
        assert!(promise(&victim, next(300_000)).starts_with("250"));
        victim.drain();
        victim.check_the_books();
        let mut arrived: Vec<Parcel> = sink.receipts().iter().map(|taken| taken.parcel).collect();
        arrived.sort();
        let once: Vec<Parcel> = promised.into_iter().collect();
        assert_eq!(arrived, once, "each promised message arrives once\n{}", victim.log());
        assert!(sink.wrong().is_empty(), "{:?}", sink.wrong());
    });
}

#[test]
fn a_second_server_in_the_same_folder_is_refused_and_the_first_goes_on() {
    let sink = Sink::start(Temper { latency_max: Duration::ZERO, defers_one_in: 0 });
    let mut victim = Victim::start(&sink);
    victim.wait_until_it_serves();
    let second = support::run(victim.folder.path(), &["serve"], b"");
    let said = shown(&second);
    assert!(!second.status.success(), "{said}");
    assert!(said.contains("is in use by a running Mailkeep"), "{said}");
    assert!(said.contains(&victim.child.id().to_string()), "{said}");
    assert!(said.contains("stop it first"), "{said}");
    let status: serde_json::Value =
        serde_json::from_str(&victim.ok(&["status", "--json"])).expect("a status");
    assert_eq!(status["running"], true);
    assert!(victim.send(Parcel::sized(1, 500), "bob@relay.test").starts_with("250"));
    victim.drain();
    // The lock of a process that was killed is nobody's.
    victim.kill();
    victim.start_again();
    victim.wait_until_it_serves();
}

/// Starts the server, which must refuse; gives what it said. Nothing in the store changes.
fn refusal(folder: &Path) -> String {
    let database = folder.join("data/mailkeep.db");
    let before = fs::read(&database).expect("the database");
    let output = support::run(folder, &["serve"], b"");
    assert!(!output.status.success(), "{}", shown(&output));
    assert!(before == fs::read(&database).expect("the database"), "the database was changed");
    let said = shown(&output);
    assert!(!said.contains("panicked"), "{said}");
    said
}

#[test]
fn a_damaged_or_newer_store_is_refused_with_the_way_out() {
    let sink = Sink::start(Temper { latency_max: Duration::ZERO, defers_one_in: 0 });
    let mut victim = Victim::start(&sink);
    victim.wait_until_it_serves();
    sink.shut();
    for number in 1..40 {
        let reply = victim.send(Parcel::sized(number, 12_000), "bob@relay.test");
        assert!(reply.starts_with("250"), "{reply}");
    }
    let folder = victim.folder.path().to_owned();
    let database = folder.join("data/mailkeep.db");
    victim.stop();
    assert!(!database.with_extension("db-wal").exists(), "a clean stop leaves one file");
    let whole = fs::read(&database).expect("the database");

    let mut newer = whole.clone();
    // The schema's number, at octet 60 of the header.
    newer[60..64].copy_from_slice(&9_000_u32.to_be_bytes());
    fs::write(&database, &newer).unwrap();
    let said = refusal(&folder);
    assert!(said.contains("has schema 9000 and this release knows up to"), "{said}");
    assert!(said.contains("start the newer release, or restore the backup"), "{said}");

    let mut garbled_header = whole.clone();
    garbled_header[..100].fill(b'x');
    let mut garbled = whole.clone();
    for page in garbled.chunks_mut(4096).skip(1) {
        page[..64].fill(0xa5);
    }
    let cut = whole[..whole.len() / 2].to_vec();
    for (what, octets) in
        [("header garbled", garbled_header), ("pages garbled", garbled), ("cut in half", cut)]
    {
        fs::write(&database, &octets).unwrap();
        let said = refusal(&folder);
        assert!(said.contains("mailkeep.db"), "{what}: {said}");
        assert!(said.contains("is damaged"), "{what}: {said}");
        assert!(said.contains("Restore it from a backup, or move it aside"), "{what}: {said}");
    }

    // The way out works: from the backup nothing is missing.
    fs::write(&database, &whole).unwrap();
    sink.open();
    victim.start_again();
    victim.wait_until_it_serves();
    victim.drain();
    assert_eq!(sink.count(), 39);
    victim.check_the_books();
}

const CONFIGURATION: &str = "
    hostname  mail.keep.test
    data      @DIR@/data
    trusted-networks 127.0.0.0/8
    listener mx { address 127.0.0.1; port @PORT@; tls off; limits { messages-per-connection off } }
    mx { relay.test @SINK@ }
    domain local.test { deliver-to maildir @DIR@/maildir; recipients any }
    queue { retry 500ms 1s; jitter 0; lifetime 1d }
    timeouts { shutdown 2s }
    log { level warn }
";
