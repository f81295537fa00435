//! Under systemd: sockets that were opened before, and the units that are shipped.

mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use support::examples::root;
use support::peers::{program, run};
use support::{Client, wait_for};
use tempfile::TempDir;

/// How long the sockets are open before the server begins.
const BEFORE: Duration = Duration::from_secs(2);

/// A server with sockets of a parent's.
struct Activated(Child);

impl Drop for Activated {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    listener.local_addr().expect("an address").port()
}

#[test]
fn a_server_takes_the_sockets_it_is_handed_and_clients_that_came_before_it_are_served() {
    let folder = TempDir::new().expect("a folder");
    let here = folder.path().display();
    let [mx, inner, own, stray] = std::array::from_fn(|_| free_port());
    let text = format!(
        "hostname mail.keep.test\n\
         data {here}/data\n\
         listener mx    {{ address 127.0.0.1; port {mx}; tls off }}\n\
         listener inner {{ address 127.0.0.1; port {inner}; tls off }}\n\
         listener own   {{ address 127.0.0.1; port {own}; tls off }}\n\
         domain keep.test {{ deliver-to maildir {here}/maildir; recipients any }}\n"
    );
    let file = folder.path().join("mailkeep.conf");
    fs::write(&file, text).expect("the configuration");
    let log = fs::File::create(folder.path().join("log")).expect("a log");
    let mut start = Command::new(program("python3"));
    start.arg(root().join("tests/interop/hand_over.py"));
    start.arg(format!("{mx},{inner},{stray}")).arg(BEFORE.as_secs().to_string());
    start.arg(env!("CARGO_BIN_EXE_mailkeep")).arg("--config").arg(&file).arg("serve");
    let child = start.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn();
    let mut server = Activated(child.expect("Python starts"));
    let mut said = String::new();
    let output = server.0.stdout.take().expect("its output");
    BufReader::new(output).read_line(&mut said).expect("a line");
    assert_eq!(said, "listening\n");

    // The server is not there yet; the connection waits, and then it is greeted.
    let began = Instant::now();
    let at = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
    for port in [mx, inner] {
        let mut client = Client::connect(at(port));
        client.expect("EHLO early.test", "250");
        let reply = client.message("a@x.test", &["b@keep.test"], "Subject: early\n\nhello\n");
        assert!(reply.starts_with("250"), "{reply}");
    }
    assert!(began.elapsed() >= BEFORE / 2, "the server was there at once");
    // What nobody handed over it opens itself, and what no listener has it closes.
    let log = || fs::read_to_string(folder.path().join("log")).unwrap_or_default();
    let own = wait_for(|| std::net::TcpStream::connect(at(own)).ok());
    assert!(own.is_some(), "{}", log());
    let closed = wait_for(|| std::net::TcpStream::connect(at(stray)).is_err().then_some(()));
    assert!(closed.is_some(), "{}", log());
    assert!(log().contains(&format!("address=\"127.0.0.1:{stray}\"")), "{}", log());
}

#[test]
fn systemd_takes_the_shipped_units_and_finds_the_service_well_shut_in() {
    let folder = TempDir::new().expect("a folder");
    let shipped = root().join("packaging/systemd");
    let unit = |name: &str| folder.path().join(name);
    let service = fs::read_to_string(shipped.join("mailkeep.service")).expect("the unit");
    // systemd wants to see the program.
    let service = service.replace("/usr/bin/mailkeep", env!("CARGO_BIN_EXE_mailkeep"));
    fs::write(unit("mailkeep.service"), service).expect("the unit");
    fs::copy(shipped.join("mailkeep.socket"), unit("mailkeep.socket")).expect("the unit");
    let mut verify = Command::new(program("systemd-analyze"));
    verify.args(["verify", "--man=no"]).arg(unit("mailkeep.service")).arg(unit("mailkeep.socket"));
    let verified = run(&mut verify);
    assert_eq!((verified.code, verified.all().as_str()), (Some(0), ""));
    let mut security = Command::new(program("systemd-analyze"));
    // The scale ends at 100; a service without any setting has 96.
    security.args(["security", "--offline=true", "--no-pager", "--threshold=20"]);
    let rated = run(security.arg(unit("mailkeep.service")));
    assert_eq!(rated.code, Some(0), "{}", rated.all());
}
