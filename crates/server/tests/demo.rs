//! The demo as a new user meets it: the real binary, without a configuration.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// How long a test waits for something to come true.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where a configuration file would lead to another server than the demo.
const CONFIG_DEFAULT: &str = "/etc/mailkeep/mailkeep.conf";

#[test]
fn the_demo_proves_each_of_its_stories() {
    let folder = TempDir::new().unwrap();
    let output = mailkeep(folder.path(), &["demo", "--once", "--port-base", "0"]);
    let text = shown(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    for proof in PROOFS {
        assert!(text.contains(proof), "{proof:?} is missing in:\n{text}");
    }
    assert!(!text.contains("FAIL"), "{text}");
    let password = fs::read_to_string(folder.path().join("dr.lee.password")).unwrap();
    let times = text.matches(password.trim()).count();
    assert_eq!(times, 1, "the password is printed once, when it is made:\n{text}");
    for line in text.lines().filter(|line| line.contains(" trace ")) {
        let id = line.rsplit(' ').next().unwrap();
        let trace = mailkeep(folder.path(), &["trace", id]);
        assert!(trace.status.success(), "{line}: {}", shown(&trace));
    }
}

/// What stands in the output, in this order or another.
const PROOFS: &[&str] = &[
    "extensions offered is AUTH",
    "S: 538 5.7.11 ",
    "S: 250-AUTH PLAIN LOGIN",
    "S: 235 2.7.0 ",
    "S: 550 5.7.10 Accepting only secure delivery (STARTTLS) for secure.clinic.test",
    "allow_only_tls_for_secure_clinic_test",
    "ok    the other recipient of the same message is not",
    "ok    under TLS the same recipient is served",
    "TLS 1.3  X25519MLKEM768  TLS_AES_256_GCM_SHA384",
    "ok    the certificate is verified for mx.partner.test",
    "protection: PROVEN",
    "INTACT",
    "NOT INTACT",
    ": changed",
    "ok    it was greeted, and got neither sender nor message",
    "protection: NOT SENT",
    "Subject: Not sent: For your eyes only",
    "Nothing was sent without that protection.",
    "ok    refused at once, before the message is handed over",
    "Subject: Delayed: Also secret",
    "ok    dropper.test got neither sender nor message in the meantime",
    "ok    smarthost.test took it from gateway, who signed in",
    "ok    sent over TLS 1.2",
    "ok    NOT SENT: the limit holds although the host offers TLS",
    "ok    the mail became a page",
    "ok    nothing is called sent where no transport is configured",
    "ok    it is a picture that you can open",
    "ok    it is refused: SPF of clinic.test does not name that machine",
    "ok    the record names the rule: fax-spoofing-protection",
    "192.0.2.25:25 is not a loopback",
    "ok    the demo does not connect beyond loopback",
    "All 7 stories passed",
];

#[test]
fn without_a_configuration_a_demo_is_served_on_loopback_alone() {
    if Path::new(CONFIG_DEFAULT).exists() {
        return;
    }
    let demo = Demo::serve();
    let banner = demo.printed();
    assert!(banner.contains("Nothing is sent to the internet."), "{banner}");
    let listeners = demo.listeners();
    assert_eq!(listeners.len(), 3, "{listeners:?}");
    for (name, address) in &listeners {
        assert!(address.ip().is_loopback(), "{name} listens on {address}");
        assert!(banner.contains(&address.to_string()), "{address} is missing in:\n{banner}");
    }
    let mut stream = TcpStream::connect(listeners[0].1).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut greeting = String::new();
    BufReader::new(stream.try_clone().unwrap()).read_line(&mut greeting).unwrap();
    assert!(greeting.starts_with("220 mx.clinic.test "), "{greeting}");
    stream.write_all(b"QUIT\r\n").unwrap();
    for secret in ["dr.lee.password", "lab/smarthost.password", "authority/ca.key"] {
        let mode = fs::metadata(demo.folder.path().join(secret)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{secret}");
    }
}

#[test]
fn the_stories_play_against_a_demo_that_runs_already_and_can_be_played_again() {
    if Path::new(CONFIG_DEFAULT).exists() {
        return;
    }
    let mut demo = Demo::serve();
    for _ in 0..2 {
        let output = mailkeep(demo.folder.path(), &["demo", "--json"]);
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(found["ok"], true, "{found:#}");
        assert_eq!(found["stories"].as_array().unwrap().len(), 7);
        assert_eq!(output.status.code(), Some(0));
    }
    let second = mailkeep(demo.folder.path(), &["serve", "--port-base", "0"]);
    assert_eq!(second.status.code(), Some(1));
    assert!(shown(&second).contains("already"), "{}", shown(&second));
    demo.interrupt();
}

#[test]
fn a_story_that_does_not_hold_is_told_and_the_others_go_on() {
    if Path::new(CONFIG_DEFAULT).exists() {
        return;
    }
    let demo = Demo::serve();
    fs::write(demo.folder.path().join("dr.lee.password"), "another password\n").unwrap();
    let output = mailkeep(demo.folder.path(), &["demo", "--json"]);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(2), "{found:#}");
    assert_eq!(found["ok"], false);
    let held = |story: &Value| story["checks"].as_array().unwrap().iter().all(|c| c["ok"] == true);
    let stories: Vec<bool> = found["stories"].as_array().unwrap().iter().map(held).collect();
    // Only the second one goes without signing in.
    assert_eq!(stories, [false, true, false, false, false, false, false], "{found:#}");
}

#[test]
fn a_port_that_is_taken_is_named_with_the_way_out() {
    let folder = TempDir::new().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = mailkeep(folder.path(), &["demo", "--once", "--port-base", &port]);
    let text = shown(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains(&format!("127.0.0.1:{port}")) && text.contains("--port-base"), "{text}");
}

/// A running `mailkeep serve` without a configuration.
struct Demo {
    child: Child,
    folder: TempDir,
}

impl Demo {
    fn serve() -> Self {
        let folder = TempDir::new().unwrap();
        let printed = fs::File::create(printed(folder.path())).unwrap();
        let child = command(folder.path())
            .args(["serve", "--port-base", "0"])
            .stdin(Stdio::null())
            .stdout(printed.try_clone().unwrap())
            .stderr(printed)
            .spawn()
            .unwrap();
        let mut demo = Self { child, folder };
        let until = Instant::now() + PATIENCE;
        while !demo.printed().contains("Ctrl-C") {
            if let Some(status) = demo.child.try_wait().unwrap() {
                panic!("the demo ended with {status}:\n{}", demo.printed());
            }
            assert!(Instant::now() < until, "the demo is not ready:\n{}", demo.printed());
            std::thread::sleep(Duration::from_millis(20));
        }
        demo
    }

    fn printed(&self) -> String {
        fs::read_to_string(printed(self.folder.path())).unwrap()
    }

    fn listeners(&self) -> Vec<(String, SocketAddr)> {
        let output = mailkeep(self.folder.path(), &["status", "--json"]);
        let status: Value = serde_json::from_slice(&output.stdout).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let listeners = status["listeners"].as_array().unwrap();
        listeners.iter().map(|l| (text(&l["name"]), text(&l["address"]).parse().unwrap())).collect()
    }

    /// Stops it as Ctrl-C does.
    fn interrupt(&mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert_eq!(status.code(), Some(0), "{}", self.printed());
                return;
            }
            assert!(Instant::now() < until, "Ctrl-C does not stop the demo");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn printed(folder: &Path) -> PathBuf {
    folder.join("printed")
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailkeep"));
    command.arg("--data").arg(folder).env_remove("MAILKEEP_CONFIG").env_remove("MAILKEEP_DATA");
    command
}

fn mailkeep(folder: &Path, arguments: &[&str]) -> Output {
    command(folder).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn shown(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
