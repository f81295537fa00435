//! The real binary with a configuration of the test's own, and plain clients for it.
#![allow(dead_code, missing_docs)] // Each test uses its part.

pub mod examples;
pub mod faxes;
pub mod filters;
pub mod namespaces;
pub mod partners;
pub mod peers;
pub mod tls;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long a test waits for something to come true.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running `mailkeep serve`.
pub struct Server {
    child: Child,
    folder: TempDir,
    listeners: BTreeMap<String, SocketAddr>,
}

impl Server {
    /// Starts the server on `configuration`. `@DIR@` in it stands for the test's folder.
    /// Listeners take `port 0` and are found by their names.
    pub fn start(configuration: &str) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        Self::start_in(folder, configuration)
    }

    /// The same in a folder the test has prepared.
    pub fn start_in(folder: TempDir, configuration: &str) -> Self {
        Self::start_with(folder, configuration, &[])
    }

    /// The same with more in the server's environment.
    pub fn start_with(folder: TempDir, configuration: &str, more: &[(&str, &str)]) -> Self {
        let here = folder.path().to_str().expect("a folder with a plain name");
        fs::write(folder.path().join("mailkeep.conf"), configuration.replace("@DIR@", here))
            .expect("the configuration is written");
        let child = spawn_with(folder.path(), more);
        let mut server = Self { child, folder, listeners: BTreeMap::new() };
        server.wait_until_ready();
        server
    }

    fn wait_until_ready(&mut self) {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("the server ended with {status}:\n{}", self.log());
            }
            let output = self.run(&["status", "--json"]);
            if let Ok(status) = serde_json::from_slice::<serde_json::Value>(&output.stdout)
                && status["running"] == true
            {
                for listener in status["listeners"].as_array().into_iter().flatten() {
                    let name = listener["name"].as_str().unwrap_or_default().to_owned();
                    let address = listener["address"].as_str().and_then(|a| a.parse().ok());
                    self.listeners.insert(name, address.expect("a listener's address"));
                }
                return;
            }
            assert!(Instant::now() < until, "the server is not ready:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The test's folder.
    pub fn dir(&self) -> &Path {
        self.folder.path()
    }

    /// The address of a listener.
    pub fn address(&self, listener: &str) -> SocketAddr {
        *self.listeners.get(listener).unwrap_or_else(|| panic!("there is no listener {listener}"))
    }

    /// The process id of the server.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Runs a `mailkeep` command against this server.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.run_with_input(arguments, b"")
    }

    /// The same with something on standard input.
    pub fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> Output {
        run(self.folder.path(), arguments, input)
    }

    /// Runs a command that must succeed, and gives what it printed.
    pub fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "mailkeep {arguments:?}: {}", shown(&output));
        String::from_utf8(output.stdout).expect("printed text")
    }

    /// Makes an account.
    pub fn account(&self, address: &str, password: &str) {
        let output =
            self.run_with_input(&["account", "add", address], format!("{password}\n").as_bytes());
        assert!(output.status.success(), "account add: {}", shown(&output));
    }

    /// What the server has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Replaces the configuration file and reloads.
    pub fn reload(&self, configuration: &str) -> Output {
        let here = self.folder.path().to_str().expect("a plain name");
        fs::write(self.folder.path().join("mailkeep.conf"), configuration.replace("@DIR@", here))
            .expect("the configuration is written");
        self.run(&["reload"])
    }

    /// `NAME RECORD` lines of every DKIM key of a domain, as `mailkeep dns` shows them.
    pub fn dkim_records(&self, domain: &str) -> String {
        let json = self.ok(&["dns", domain, "--json"]);
        let shown: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        let records = shown["records"].as_array().expect("records").iter();
        let keys = records.filter(|r| r["name"].as_str().unwrap().contains("._domainkey."));
        let mut lines = String::new();
        for key in keys {
            let strings = key["strings"].as_array().expect("strings");
            assert!(strings.iter().all(|s| s.as_str().unwrap().len() <= 255), "{key}");
            let text: String = strings.iter().map(|s| s.as_str().unwrap()).collect();
            lines.push_str(&format!("{} {text}\n", key["name"].as_str().unwrap()));
        }
        lines
    }

    /// Kills the server without warning, as `kill -9` does.
    pub fn kill(&mut self) {
        self.child.kill().expect("the server is killed");
        self.child.wait().expect("the server is gone");
    }

    /// Asks the server to stop, as an init system does.
    pub fn terminate(&self) {
        let pid = self.pid().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().expect("kill");
        assert!(sent.success(), "the server was gone already");
    }

    /// Waits until a server that was asked to stop has stopped well.
    pub fn wait_until_gone(&mut self) {
        let ended = wait_for(|| self.child.try_wait().ok().flatten());
        assert!(ended.is_some_and(|status| status.success()), "{ended:?}\n{}", self.log());
    }

    /// Starts the server again in the same folder.
    pub fn restart(&mut self) {
        self.restart_with(&[]);
    }

    /// The same with more in the server's environment.
    pub fn restart_with(&mut self, more: &[(&str, &str)]) {
        self.child = spawn_with(self.folder.path(), more);
        self.listeners.clear();
        self.wait_until_ready();
    }

    /// Connects to a listener and reads its greeting.
    pub fn connect(&self, listener: &str) -> Client {
        Client::connect(self.address(listener))
    }

    /// The messages in the Maildir of an address under `@DIR@/maildir`.
    pub fn maildir(&self, address: &str) -> Vec<String> {
        self.maildir_in("maildir", address)
    }

    /// The same under another folder of the test's.
    pub fn maildir_in(&self, root: &str, address: &str) -> Vec<String> {
        let contents = self.contents_in(root, address);
        contents.iter().map(|content| String::from_utf8_lossy(content).into_owned()).collect()
    }

    /// The same, octet by octet.
    pub fn contents_in(&self, root: &str, address: &str) -> Vec<Vec<u8>> {
        let (local, domain) = address.split_once('@').expect("an address");
        let folder = self.folder.path().join(root).join(domain).join(local).join("new");
        let mut messages: Vec<PathBuf> =
            fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
        messages.sort();
        messages.iter().map(|path| fs::read(path).unwrap_or_default()).collect()
    }

    /// Waits until the Maildir of an address has `count` messages.
    pub fn wait_for_mail(&self, address: &str, count: usize) -> Vec<String> {
        self.wait_for_mail_in("maildir", address, count)
    }

    /// The same under another folder of the test's.
    pub fn wait_for_mail_in(&self, root: &str, address: &str, count: usize) -> Vec<String> {
        wait_for(|| {
            let messages = self.maildir_in(root, address);
            (messages.len() >= count).then_some(messages)
        })
        .unwrap_or_else(|| {
            panic!(
                "{address} has {} of {count} messages\n{}\n{}",
                self.maildir_in(root, address).len(),
                shown(&self.run(&["queue", "list"])),
                self.log()
            )
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_mailkeep")
}

/// Starts `mailkeep serve` in a folder with a `mailkeep.conf`; its log goes there.
pub fn spawn(folder: &Path) -> Child {
    spawn_with(folder, &[])
}

fn spawn_with(folder: &Path, more: &[(&str, &str)]) -> Child {
    let log = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join("log"))
        .expect("a log file");
    Command::new(binary())
        .arg("--config")
        .arg(folder.join("mailkeep.conf"))
        .arg("serve")
        .current_dir(folder)
        .envs(more.iter().copied())
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a log file"))
        .stderr(log)
        .spawn()
        .expect("the server starts")
}

/// Runs `mailkeep` in a folder with a `mailkeep.conf`.
pub fn run(folder: &Path, arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(binary())
        .arg("--config")
        .arg(folder.join("mailkeep.conf"))
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("mailkeep starts");
    child.stdin.take().expect("standard input").write_all(input).ok();
    child.wait_with_output().expect("mailkeep ends")
}

/// Everything a command printed.
pub fn shown(output: &Output) -> String {
    format!(
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Asks again and again until there is an answer, or patience ends.
pub fn wait_for<T>(mut answer: impl FnMut() -> Option<T>) -> Option<T> {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = answer() {
            return Some(found);
        }
        if Instant::now() > until {
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What a client's bytes go through: a socket, or TLS over one.
pub trait Wire: Read + Write + Send {}
impl<T: Read + Write + Send> Wire for T {}

/// A client that says exactly what it is told to.
pub struct Client {
    stream: BufReader<Box<dyn Wire>>,
    socket: Option<TcpStream>,
    /// What the handshake came to, under TLS.
    pub handshake: Option<tls::Seen>,
}

impl Client {
    /// Connects and reads the greeting.
    pub fn connect(address: SocketAddr) -> Self {
        let mut client = Self::connect_silently(address);
        let greeting = client.reply();
        assert!(greeting.starts_with("220 "), "{greeting}");
        client
    }

    /// Connects only.
    pub fn connect_silently(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the listener answers");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_nodelay(true).expect("no delay");
        let socket = stream.try_clone().expect("another handle of the socket");
        Self { stream: BufReader::new(Box::new(stream)), socket: Some(socket), handshake: None }
    }

    /// Speaks through something else, such as another program's pipes.
    pub fn over(wire: Box<dyn Wire>) -> Self {
        Self { stream: BufReader::new(wire), socket: None, handshake: None }
    }

    /// Connects to a port with TLS from the first octet and reads the greeting.
    pub fn connect_tls(address: SocketAddr, terms: &tls::Terms) -> Self {
        let mut client = Self::connect_silently(address);
        client.encrypt(terms).expect("a handshake");
        let greeting = client.reply();
        assert!(greeting.starts_with("220 "), "{greeting}");
        client
    }

    /// Says STARTTLS and shakes hands.
    pub fn starttls(&mut self, terms: &tls::Terms) {
        self.expect("STARTTLS", "220 ");
        self.encrypt(terms).expect("a handshake");
    }

    /// Shakes hands on the connection as it is.
    pub fn encrypt(&mut self, terms: &tls::Terms) -> std::io::Result<()> {
        let socket = self.socket.as_ref().expect("a socket of its own").try_clone()?;
        let (stream, seen) = tls::connect(socket, terms)?;
        self.stream = BufReader::new(stream);
        self.handshake = Some(seen);
        Ok(())
    }

    /// Sends bytes as they are; a peer that has closed is the test's finding later.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.get_mut().write_all(bytes);
    }

    /// One whole reply, its lines joined by `\n`; empty when the server closed.
    pub fn reply(&mut self) -> String {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line).unwrap_or(0) == 0 {
                return lines.join("\n");
            }
            let line = line.trim_end().to_owned();
            let last = line.as_bytes().get(3) != Some(&b'-');
            lines.push(line);
            if last {
                return lines.join("\n");
            }
        }
    }

    /// So many replies.
    pub fn replies(&mut self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.reply()).collect()
    }

    /// Says EHLO, then STARTTLS, then EHLO again; gives what is offered then.
    pub fn hello_under_tls(&mut self) -> String {
        self.expect("EHLO client.example.net", "250");
        self.starttls(&tls::Terms::asking_for("mail.test"));
        self.expect("EHLO client.example.net", "250")
    }

    /// Says a command and gives the reply.
    pub fn say(&mut self, command: &str) -> String {
        self.send(format!("{command}\r\n").as_bytes());
        self.reply()
    }

    /// Says a command whose reply must begin with `expected`.
    pub fn expect(&mut self, command: &str, expected: &str) -> String {
        let reply = self.say(command);
        assert!(reply.starts_with(expected), "{command}: expected {expected}, got {reply}");
        reply
    }

    /// Signs in by PLAIN; gives the last reply.
    pub fn sign_in(&mut self, user: &str, password: &str) -> String {
        use base64::Engine as _;
        let secret = format!("\0{user}\0{password}");
        self.say(&format!("AUTH PLAIN {}", base64::prelude::BASE64_STANDARD.encode(secret)))
    }

    /// Sends one message from a session that has said EHLO; gives the last reply.
    pub fn message(&mut self, from: &str, to: &[&str], content: &str) -> String {
        self.expect(&format!("MAIL FROM:<{from}>"), "250");
        for recipient in to {
            self.expect(&format!("RCPT TO:<{recipient}>"), "250");
        }
        self.expect("DATA", "354");
        self.send(content.replace("\r\n", "\n").replace('\n', "\r\n").as_bytes());
        self.say("\r\n.")
    }

    /// Plays `C:` and `S:` lines; a `S:` line is the beginning of a reply's last line,
    /// and `S: …` of any reply.
    pub fn transcript(&mut self, lines: &str) {
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if let Some(command) = line.strip_prefix("C:") {
                self.send(format!("{}\r\n", command.trim_start()).as_bytes());
            } else if let Some(expected) = line.strip_prefix("S:") {
                let expected = expected.trim_start();
                let reply = self.reply();
                let last = reply.lines().last().unwrap_or_default();
                assert!(
                    expected == "…" || last.starts_with(expected),
                    "expected {expected}, got {reply}"
                );
            } else {
                panic!("a transcript has C: and S: lines, not {line}");
            }
        }
    }

    /// Everything until the server closes.
    pub fn rest(mut self) -> String {
        let mut rest = Vec::new();
        let _ = self.stream.read_to_end(&mut rest);
        String::from_utf8_lossy(&rest).into_owned()
    }
}
