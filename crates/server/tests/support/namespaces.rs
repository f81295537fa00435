//! Two network namespaces with a cable between them: a server, and those who attack it.
//! Needs root, and Debian's iproute2.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::{shown, wait_for};

/// The server's address.
pub const SERVER: &str = "10.77.0.1";
/// The attacker's address.
pub const ATTACKER: &str = "10.77.0.2";
/// The address of somebody honest, in another network on the attacker's side.
pub const HONEST: &str = "10.78.0.3";
const HONEST_NETWORK: &str = "10.78.0.0/24";

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// The namespaces. They end with everything in them when this is dropped.
pub struct Namespaces {
    server: String,
    outside: String,
    children: Vec<Child>,
}

impl Namespaces {
    pub fn new() -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let tag = format!("{}x{number}", std::process::id());
        let (server, outside) = (format!("mk-in-{tag}"), format!("mk-out-{tag}"));
        let (inner, outer) = (format!("mi{tag}"), format!("mo{tag}"));
        let made = Self { server, outside, children: Vec::new() };
        for name in [&made.server, &made.outside] {
            ip(&["netns", "add", name]);
            ip(&["-n", name, "link", "set", "lo", "up"]);
        }
        ip(&[
            "link",
            "add",
            &inner,
            "netns",
            &made.server,
            "type",
            "veth",
            "peer",
            "name",
            &outer,
            "netns",
            &made.outside,
        ]);
        ip(&["-n", &made.server, "addr", "add", &format!("{SERVER}/24"), "dev", &inner]);
        ip(&["-n", &made.server, "link", "set", &inner, "up"]);
        for address in [ATTACKER, HONEST] {
            ip(&["-n", &made.outside, "addr", "add", &format!("{address}/24"), "dev", &outer]);
        }
        ip(&["-n", &made.outside, "link", "set", &outer, "up"]);
        ip(&["-n", &made.server, "route", "add", HONEST_NETWORK, "dev", &inner]);
        made
    }

    /// A command on the server's side.
    pub fn inside(&self, program: &str) -> Command {
        netns(&self.server, program)
    }

    /// A command on the other side.
    pub fn outside(&self, program: &str) -> Command {
        netns(&self.outside, program)
    }

    /// Runs a program on the server's side until the end of the test.
    pub fn keep(&mut self, command: &mut Command, log: &Path) {
        let log = fs::File::create(log).expect("a log file");
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log file"))
            .stderr(log)
            .spawn()
            .expect("the program starts");
        self.children.push(child);
    }

    /// Whether `from` is greeted by a port of the server.
    pub fn is_served(&self, from: &str, port: u16) -> bool {
        let output = self
            .outside("swaks")
            .args(["--server", &format!("{SERVER}:{port}"), "--local-interface", from])
            .args(["--helo", "client.example.net", "--quit-after", "HELO", "--timeout", "3"])
            .output()
            .expect("swaks");
        output.status.success()
    }

    /// Waits until `from` is served, or is not.
    pub fn wait_until_served(&self, from: &str, port: u16, wanted: bool) {
        let came = wait_for(|| (self.is_served(from, port) == wanted).then_some(()));
        assert!(came.is_some(), "{from} at port {port}: served is not {wanted}");
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        for name in [&self.server, &self.outside] {
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}

fn netns(name: &str, program: &str) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", name, program]);
    command
}

fn ip(arguments: &[&str]) {
    let output: Output = Command::new("ip").args(arguments).output().expect("iproute2");
    assert!(output.status.success(), "ip {arguments:?}: {}", shown(&output));
}
