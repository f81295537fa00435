//! A server to be treated badly, and what must still be true of it afterwards.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::support::{Client, Server, wait_for};

/// How long a well-behaved client may have to wait for its 250 while others misbehave.
const PROMPT: Duration = Duration::from_secs(5);

/// Starts a server for a test: `more` goes into the configuration.
pub fn start(more: &str) -> Server {
    Server::start(&format!(
        "
        hostname  mail.keep.test
        data      @DIR@/data
        certificate mail {{ local-authority; names mail.keep.test }}
        listener mx {{ address 127.0.0.1; port 0; tls starttls; certificate mail }}
        domain local.test {{ deliver-to maildir @DIR@/maildir; recipients any }}
        {more}
        "
    ))
}

/// A good client is served promptly, and nothing has broken.
pub fn assert_well(server: &Server) {
    let began = Instant::now();
    let mut client = server.connect("mx");
    client.expect("EHLO good.test", "250");
    let reply = client.message("good@good.test", &["good@local.test"], "Subject: good\n\nfine\n");
    assert!(reply.starts_with("250"), "{reply}");
    assert!(began.elapsed() < PROMPT, "a good client waited {:?}", began.elapsed());
    let log = server.log();
    assert!(!log.contains("panicked"), "{log}");
}

/// The memory that the server holds, in KiB.
pub fn resident_kib(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid()))
        .expect("the server's status");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
    line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number")
}

/// Connects from an address of 127/8.
pub fn connect_from(source: IpAddr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(source, 0).into())?;
    socket.connect_timeout(&to.into(), Duration::from_secs(10))?;
    let stream: TcpStream = socket.into();
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A session whose socket the test keeps in hand.
pub struct Raw {
    /// The socket.
    pub socket: TcpStream,
}

impl Raw {
    /// Connects without reading the greeting.
    pub fn connect(server: &Server) -> Self {
        let source = IpAddr::from([127, 0, 0, 1]);
        Self { socket: connect_from(source, server.address("mx")).expect("a connection") }
    }

    /// Greeted, and up to the 354 of a message to `recipient`.
    pub fn in_data(server: &Server, recipient: &str) -> Self {
        let mut raw = Self::connect(server);
        raw.send(b"EHLO evil.test\r\n");
        raw.until("250 ");
        raw.send(
            format!("MAIL FROM:<evil@evil.test>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n").as_bytes(),
        );
        raw.until("354 ");
        raw
    }

    /// Sends octets as they are; a server that has closed is found out by reading.
    pub fn send(&mut self, octets: &[u8]) {
        let _ = self.socket.write_all(octets);
    }

    /// Reads lines up to one that begins so.
    pub fn until(&mut self, beginning: &str) -> String {
        let mut said = String::new();
        loop {
            let line = self.line();
            assert!(!line.is_empty(), "the server closed before {beginning:?}: {said}");
            said.push_str(&line);
            if line.starts_with(beginning) {
                return said;
            }
        }
    }

    /// One line; empty at the end.
    pub fn line(&mut self) -> String {
        let mut line = Vec::new();
        let mut octet = [0];
        while !line.ends_with(b"\n") && matches!(self.socket.read(&mut octet), Ok(1)) {
            line.push(octet[0]);
        }
        String::from_utf8_lossy(&line).into_owned()
    }

    /// Everything until the server closes, which it must.
    pub fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        let ended = self.socket.read_to_end(&mut rest);
        if let Err(error) = ended {
            let kind = error.kind();
            let open = [std::io::ErrorKind::WouldBlock, std::io::ErrorKind::TimedOut];
            assert!(!open.contains(&kind), "still open after {:?}", String::from_utf8_lossy(&rest));
        }
        String::from_utf8_lossy(&rest).into_owned()
    }
}

/// Waits a moment and asserts that nothing was delivered to `recipient`.
pub fn assert_nothing_for(server: &Server, recipient: &str) {
    // What is delivered is delivered within this of its 250.
    std::thread::sleep(Duration::from_millis(300));
    let mail = server.maildir(recipient);
    assert!(mail.is_empty(), "{recipient} got {mail:?}");
}

/// A client under TLS.
pub fn encrypted(server: &Server) -> Client {
    let mut client = server.connect("mx");
    client.expect("EHLO evil.test", "250");
    client.starttls(&crate::support::tls::Terms::asking_for("mail.keep.test"));
    client
}

/// Waits until the memory is below `kib`; gives what it is at last.
pub fn settles_below(server: &Server, kib: u64) -> u64 {
    let _ = wait_for(|| (resident_kib(server) < kib).then_some(()));
    resident_kib(server)
}
