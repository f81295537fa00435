//! Real filters, each in a folder of its own and without a network; and one that says what
//! the test tells it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use super::peers::{Sessions, program, run};
use super::wait_for;

/// The string every scanner knows, in two parts so that this file is not found by one.
pub const EICAR: &str =
    concat!(r"X5O!P%@AP[4\PZX54(P^)7CC)7}$", "EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*");
/// What every spam filter takes for spam.
pub const GTUBE: &str =
    concat!("XJS*C4JDBQADN1.NSBN3*2IDNEN*", "GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X");

/// A running filter.
pub struct Filter {
    program: Sessions,
    /// Where it listens, as the configuration says it.
    pub at: String,
}

impl Filter {
    /// Ends it.
    pub fn stop(&mut self) {
        self.program.stop();
    }
}

fn folder() -> TempDir {
    TempDir::new().expect("a temporary folder")
}

/// A port that nobody had a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    listener.local_addr().expect("its number").port()
}

fn by_socket(command: &mut Command, folder: TempDir, socket: PathBuf) -> Filter {
    let program = Sessions::open(command, folder);
    let there = wait_for(|| UnixStream::connect(&socket).ok());
    assert!(there.is_some(), "{command:?} does not listen:\n{}", program.said());
    Filter { program, at: format!("unix:{}", socket.display()) }
}

fn by_port(command: &mut Command, folder: TempDir, port: u16) -> Filter {
    let program = Sessions::open(command, folder);
    let there = wait_for(|| TcpStream::connect(("127.0.0.1", port)).ok());
    assert!(there.is_some(), "{command:?} does not listen:\n{}", program.said());
    Filter { program, at: format!("127.0.0.1:{port}") }
}

/// clamd with one signature of our own, for [`EICAR`], and a limit of 100 KB for a stream.
pub fn clamd() -> Filter {
    let folder = folder();
    let here = folder.path();
    let hex: String = EICAR.bytes().map(|byte| format!("{byte:02x}")).collect();
    fs::write(here.join("own.ndb"), format!("Mailkeep.Test.EICAR:0:*:{hex}\n")).expect("a file");
    let socket = here.join("clamd.sock");
    let settings = format!(
        "DatabaseDirectory {}\nLocalSocket {}\nForeground yes\nStreamMaxLength 100K\n",
        here.display(),
        socket.display()
    );
    fs::write(here.join("clamd.conf"), settings).expect("a file");
    let mut command = Command::new(program("clamd"));
    command.arg("-c").arg(here.join("clamd.conf"));
    by_socket(&mut command, folder, socket)
}

/// clamav-milter in front of the clamd at `clamd`.
pub fn clamav_milter(clamd: &Filter) -> Filter {
    let folder = folder();
    let socket = folder.path().join("milter.sock");
    let settings = format!(
        "MilterSocket {}\nClamdSocket {}\nForeground yes\nOnInfected Reject\n\
         RejectMsg Infected with %v\nAddHeader Replace\nTemporaryDirectory {}\n",
        socket.display(),
        clamd.at,
        folder.path().display()
    );
    fs::write(folder.path().join("milter.conf"), settings).expect("a file");
    let mut command = Command::new(program("clamav-milter"));
    command.arg("-c").arg(folder.path().join("milter.conf"));
    by_socket(&mut command, folder, socket)
}

/// spamd with Debian's rules, local tests alone.
pub fn spamd() -> Filter {
    let folder = folder();
    let socket = folder.path().join("spamd.sock");
    let mut command = Command::new(program("spamd"));
    command
        .args(["-L", "-x", "-m", "1", "--min-children=1", "-s", "stderr"])
        .arg(format!("--socketpath={}", socket.display()))
        .arg("-H")
        .arg(folder.path())
        .arg("-r")
        .arg(folder.path().join("pid"));
    by_socket(&mut command, folder, socket)
}

/// Rspamd, asked over HTTP.
pub fn rspamd() -> Filter {
    rspamd_as("type = \"normal\"; count = 1;")
}

/// Rspamd, asked as a milter.
pub fn rspamd_milter() -> Filter {
    rspamd_as(
        "type = \"rspamd_proxy\"; count = 1; milter = yes; \
         upstream \"local\" { default = yes; self_scan = yes; }",
    )
}

/// Rspamd without modules and with one worker: it knows [`GTUBE`] by itself.
fn rspamd_as(worker: &str) -> Filter {
    let folder = folder();
    let (port, here) = (free_port(), folder.path().display().to_string());
    fs::write(folder.path().join("tld"), "test\nexample\n").expect("a file");
    let settings = format!(
        "options {{ pidfile = \"{here}/pid\"; filters = \"\"; url_tld = \"{here}/tld\"; \
           disable_hyperscan = true; tempdir = \"{here}\"; \
           dns {{ nameserver = [\"127.0.0.1:1\"]; timeout = 0.1s; retransmits = 1; }} }}\n\
         logging {{ type = \"console\"; level = \"warning\"; }}\n\
         metric {{ name = \"default\"; \
           actions {{ reject = 15; add_header = 6; greylist = 4; }} }}\n\
         worker {{ bind_socket = \"127.0.0.1:{port}\"; {worker} }}\n"
    );
    fs::write(folder.path().join("rspamd.conf"), settings).expect("a file");
    let mut command = Command::new(program("rspamd"));
    command.args(["-f", "--insecure", "-c"]).arg(folder.path().join("rspamd.conf"));
    by_port(&mut command, folder, port)
}

/// A key for opendkim, with its record in a file instead of DNS.
pub struct DkimKey(TempDir);

impl DkimKey {
    /// A new key of `clinic.test`, selector `sel`.
    pub fn new() -> Self {
        let folder = folder();
        let mut make = Command::new(program("opendkim-genkey"));
        make.args(["-b", "2048", "-d", "clinic.test", "-s", "sel", "-D"]).arg(folder.path());
        run(&mut make).ok();
        let record = fs::read_to_string(folder.path().join("sel.txt")).expect("the record");
        let parts: String = record.split('"').skip(1).step_by(2).collect();
        let line = format!("sel._domainkey.clinic.test {parts}\n");
        fs::write(folder.path().join("public"), line).expect("a file");
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

/// opendkim, signing with `key` or verifying against it.
pub fn opendkim(key: &DkimKey, signs: bool) -> Filter {
    let folder = folder();
    let socket = folder.path().join("opendkim.sock");
    let (here, keys) = (socket.display(), key.path().display());
    let mut settings = format!("Socket local:{here}\nSyslog no\nBackground no\n");
    if signs {
        settings += &format!(
            "Mode s\nDomain clinic.test\nSelector sel\nKeyFile {keys}/sel.private\n\
             RequireSafeKeys no\nInternalHosts 0.0.0.0/0\n"
        );
    } else {
        settings += &format!(
            "Mode v\nTestPublicKeys {keys}/public\nInternalHosts 192.0.2.1\n\
             AuthservID verifier.test\nAlwaysAddARHeader yes\n"
        );
    }
    fs::write(folder.path().join("opendkim.conf"), settings).expect("a file");
    let mut command = Command::new(program("opendkim"));
    command.arg("-f").arg("-x").arg(folder.path().join("opendkim.conf"));
    by_socket(&mut command, folder, socket)
}

/// What a scripted milter does at a command.
#[derive(Clone)]
pub enum Deed {
    /// Sends these octets.
    Say(Vec<u8>),
    /// Closes the connection.
    Die,
    /// Never answers.
    Hang,
    /// Says without end that it is at work.
    Work,
}

/// A command: its letter and its content.
type Heard = (u8, Vec<u8>);

/// A milter that does as it is told at the commands named and else says "continue".
pub struct Scripted {
    address: SocketAddr,
    /// What it heard.
    pub heard: Arc<Mutex<Vec<Heard>>>,
}

/// A packet of the milter protocol.
pub fn packet(kind: u8, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len() + 1).expect("a short packet");
    [&length.to_be_bytes()[..], &[kind], content].concat()
}

impl Scripted {
    /// Starts it; it ends with the test's process.
    pub fn start(deeds: &[(u8, Deed)]) -> Self {
        let deeds: BTreeMap<u8, Deed> = deeds.iter().cloned().collect();
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let address = listener.local_addr().expect("its address");
        let heard = Arc::new(Mutex::new(Vec::new()));
        let keep = Arc::clone(&heard);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (deeds, keep) = (deeds.clone(), Arc::clone(&keep));
                std::thread::spawn(move || play(stream, &deeds, &keep));
            }
        });
        Self { address, heard }
    }

    /// Where it listens.
    pub fn at(&self) -> String {
        self.address.to_string()
    }

    /// The letters of the commands heard, without macros.
    pub fn kinds(&self) -> String {
        let heard = self.heard.lock().expect("what was heard");
        heard.iter().map(|(kind, _)| char::from(*kind)).filter(|kind| *kind != 'D').collect()
    }
}

/// Serves one connection until either side has had enough.
fn play(
    mut stream: TcpStream,
    deeds: &BTreeMap<u8, Deed>,
    heard: &Mutex<Vec<Heard>>,
) -> Option<()> {
    loop {
        let mut length = [0; 4];
        stream.read_exact(&mut length).ok()?;
        let mut command = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut command).ok()?;
        let (kind, content) = command.split_first()?;
        heard.lock().ok()?.push((*kind, content.to_vec()));
        let usual = match kind {
            b'O' => packet(b'O', &[6u32, 0x1ff, 0x400].map(u32::to_be_bytes).concat()),
            b'D' | b'A' | b'K' => Vec::new(),
            b'Q' => return None,
            _ => packet(b'c', b""),
        };
        match deeds.get(kind) {
            None => stream.write_all(&usual).ok()?,
            Some(Deed::Say(octets)) => stream.write_all(octets).ok()?,
            Some(Deed::Die) => return None,
            Some(Deed::Hang) => {
                stream.read_exact(&mut [0]).ok()?;
            }
            Some(Deed::Work) => loop {
                stream.write_all(&packet(b'p', b"")).ok()?;
                std::thread::sleep(std::time::Duration::from_millis(20));
            },
        }
    }
}
