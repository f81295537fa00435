//! Writes that fail: every n-th write or flush below the data folder is refused, as a full disk
//! or a failing device refuses it, or is torn. Nothing promised is lost, and the server goes
//! on by itself when the device does.

#![allow(dead_code, reason = "each test uses its part of the support")]

mod support;

#[path = "support/load.rs"]
mod load;
#[path = "support/parcel.rs"]
mod parcel;
#[path = "support/sink.rs"]
mod sink;

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use load::{Load, Orders};
use sink::{Sink, Temper};
use support::peers::run;
use support::{shown, wait_for};
use tempfile::TempDir;

/// How long the device fails, for each way.
const FAILING: Duration = Duration::from_secs(4);
/// How long the queue may take to drain when it works again.
const DRAINS_WITHIN: Duration = Duration::from_secs(90);

/// A server whose device can be made to fail.
struct Server {
    folder: TempDir,
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(sink: &Sink, every: u32) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let here = folder.path().to_str().expect("a plain name").to_owned();
        let library = folder.path().join("faults.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/faults.c");
        run(Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(&library)
            .arg(source)
            .arg("-ldl"))
        .ok();
        let address = SocketAddr::from(([127, 0, 0, 1], fastrand::u16(20_000..32_000)));
        let configuration = CONFIGURATION
            .replace("@DIR@", &here)
            .replace("@PORT@", &address.port().to_string())
            .replace("@SINK@", &sink.address().to_string());
        let file = folder.path().join("mailkeep.conf");
        fs::write(&file, configuration).expect("a configuration");
        let log = fs::File::create(folder.path().join("log")).expect("a log");
        let child = Command::new(env!("CARGO_BIN_EXE_mailkeep"))
            .arg("--config")
            .arg(&file)
            .arg("serve")
            .env("LD_PRELOAD", &library)
            .env("FAULTS_IN", folder.path().join("data"))
            .env("FAULTS_WHEN", folder.path().join("failing"))
            .env("FAULTS_EVERY", every.to_string())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("the server starts");
        let mut server = Self { folder, child, address };
        let answers = wait_for(|| {
            assert!(server.child.try_wait().expect("its state").is_none(), "{}", server.log());
            TcpStream::connect(address).ok()
        });
        assert!(answers.is_some(), "{}", server.log());
        server
    }

    fn fail(&self, how: &str) {
        fs::write(self.folder.path().join("failing"), how).expect("a file");
    }

    fn heal(&self) {
        fs::remove_file(self.folder.path().join("failing")).expect("the file goes");
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
            let open = |name: &str| status["queue"][name].as_u64().unwrap_or_default();
            if open("waiting") + open("leased") + open("held") == 0 {
                return;
            }
            assert!(Instant::now() < until, "{status}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn nothing_promised_is_lost_when_every_nth_write_fails_and_mail_flows_again_by_itself() {
    for every in [2, 5, 23] {
        let sink = Sink::start(Temper { latency_max: Duration::from_millis(5), defers_one_in: 50 });
        let mut server = Server::start(&sink, every);
        let orders = Orders {
            server: server.address,
            recipients: vec!["bob@relay.test".to_owned(), "carl@relay.test".to_owned()],
            octets_max: 200 * 1024,
            pause: Duration::from_millis(10),
        };
        let load = Load::start(orders, 4, u64::from(every));
        for how in ["full", "error", "torn"] {
            let before = load.ledger.promises();
            let served = wait_for(|| (load.ledger.promises() > before + 5).then_some(()));
            assert!(served.is_some(), "every {every}, before {how}: no mail\n{}", server.log());
            server.fail(how);
            std::thread::sleep(FAILING);
            assert!(server.child.try_wait().expect("its state").is_none(), "{}", server.log());
            server.heal();
        }
        let before = load.ledger.promises();
        let served = wait_for(|| (load.ledger.promises() > before + 20).then_some(()));
        assert!(served.is_some(), "every {every}: no mail at the end\n{}", server.log());
        let ledger = load.stop();
        server.drain();
        server.ok(&["ledger", "check"]);

        let mut arrived: BTreeMap<_, u32> = BTreeMap::new();
        for receipt in sink.receipts() {
            *arrived.entry((receipt.parcel, receipt.recipient)).or_default() += 1;
        }
        let orders = |orders: &[(parcel::Parcel, Vec<String>)]| -> Vec<_> {
            let each = |(parcel, to): &(parcel::Parcel, Vec<String>)| -> Vec<_> {
                to.iter().map(|recipient| (*parcel, recipient.clone())).collect()
            };
            orders.iter().flat_map(each).collect()
        };
        let promised = orders(&ledger.promised.lock().unwrap());
        let offered = orders(&ledger.offered.lock().unwrap());
        let lost: Vec<_> = promised.iter().filter(|pair| !arrived.contains_key(pair)).collect();
        assert!(lost.is_empty(), "every {every}: lost {lost:?}\n{}", server.log());
        let unknown: Vec<_> = arrived.keys().filter(|pair| !offered.contains(pair)).collect();
        assert!(unknown.is_empty(), "every {every}: never sent {unknown:?}");
        let twice: Vec<_> = arrived.iter().filter(|(_, copies)| **copies > 1).collect();
        assert!(twice.is_empty(), "every {every}: more than once {twice:?}\n{}", server.log());
        assert!(sink.wrong().is_empty(), "every {every}: {:?}", sink.wrong());
        let refused = ledger.refused.lock().unwrap();
        assert!(!refused.is_empty(), "every {every}: no write failed");
        assert!(refused.keys().all(|reply| reply.starts_with('4')), "{refused:?}");
        assert!(!server.log().contains("panicked"), "{}", server.log());
        println!("every {every}: {} promised, refused {refused:?}", promised.len());
    }
}

const CONFIGURATION: &str = "
    hostname  mail.keep.test
    data      @DIR@/data
    trusted-networks 127.0.0.0/8
    listener mx { address 127.0.0.1; port @PORT@; tls off; limits { messages-per-connection off } }
    mx { relay.test @SINK@ }
    queue { retry 500ms 1s; jitter 0; lifetime 1d }
    log { level warn }
";
