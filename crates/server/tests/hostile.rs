//! Clients that want to do harm: each gets a clear reply or is cut off, others are served
//! meanwhile, memory stays bounded, and nothing that was not said is believed.

#![allow(dead_code, reason = "each test uses its part of the support")]

mod support;

#[path = "support/hostile.rs"]
mod fixture;
#[path = "support/parcel.rs"]
mod parcel;
#[path = "support/sink.rs"]
mod sink;

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fixture::{
    Raw, assert_nothing_for, assert_well, connect_from, encrypted, resident_kib, settles_below,
    start,
};
use rustls::ClientConnection;
use sink::{Sink, Temper};
use support::{Client, Server, wait_for};

/// What may stand for the end of the content in the eyes of some server (the smuggling
/// of 2023 and its relatives).
const FALSE_ENDS: [&[u8]; 15] = [
    b"\n.\n",
    b"\n.\r\n",
    b"\r\n.\n",
    b"\r.\r",
    b"\r.\r\n",
    b"\r\n.\r",
    b"\n.\r",
    b"\r.\n",
    b"\r\n.\r\r\n",
    b"\r\r\n.\r\r\n",
    b"\r\n\0.\r\n",
    b"\r\n.\0\r\n",
    b"\n\r\n.\n",
    b"\r\n\r.\r\n",
    b"\x0b.\x0b",
];

/// A second message as a smuggler writes it.
fn smuggled(recipient: &str) -> Vec<u8> {
    format!(
        "MAIL FROM:<forged@bank.test>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n\
         Subject: smuggled\r\n\r\nboo\r\n.\r\n"
    )
    .into_bytes()
}

#[test]
fn no_line_end_but_crlf_ends_a_message_so_nothing_is_smuggled_in() {
    let server = start("");
    for (at, end) in FALSE_ENDS.into_iter().enumerate() {
        let mut raw = Raw::in_data(&server, "first@local.test");
        let mut octets = b"Subject: first\r\n\r\nfirst".to_vec();
        octets.extend_from_slice(end);
        octets.extend(smuggled("second@local.test"));
        octets.extend_from_slice(b"QUIT\r\n");
        raw.send(&octets);
        let said = raw.rest();
        let replies: Vec<&str> = said.lines().collect();
        // One reply to one message, and one to QUIT: nothing between was a command.
        assert_eq!(replies.len(), 2, "variant {at} {end:?}: {said}");
        assert!(replies[1].starts_with("221 "), "variant {at}: {said}");
        let spoils = end.windows(2).any(|two| two[0] == b'\r' && two[1] != b'\n')
            || end.contains(&0)
            || end.iter().enumerate().any(|(i, &b)| b == b'\n' && (i == 0 || end[i - 1] != b'\r'))
            || end.ends_with(b"\r");
        let expected = if spoils { "550 5.6." } else { "250 " };
        assert!(replies[0].starts_with(expected), "variant {at} {end:?}: {said}");
    }
    assert_nothing_for(&server, "second@local.test");
    assert_well(&server);
}

#[test]
fn what_would_smuggle_at_the_next_hop_never_leaves() {
    let sink = Sink::keeping_octets(Temper { latency_max: Duration::ZERO, defers_one_in: 0 });
    let server = start(&format!(
        "domain next.test {{ deliver-to smtp {} }}\n queue {{ retry 1s }}",
        sink.address()
    ));
    let mut accepted = 0;
    let true_ends = [&b"\r\n.\r\n"[..], b"\r\n..\r\n", b"\r\n...\r\n", b"\r\r\n.\r\n"];
    for end in FALSE_ENDS.into_iter().chain(true_ends) {
        for body in ["", " BODY=8BITMIME", " BODY=BINARYMIME"] {
            let mut content = b"Subject: first\r\n\r\nfirst".to_vec();
            content.extend_from_slice(end);
            content.extend(smuggled("second@next.test"));
            // In chunks a lone dot is content like any other.
            let mut client = server.connect("mx");
            client.expect("EHLO evil.test", "250");
            client.expect(&format!("MAIL FROM:<evil@evil.test>{body}"), "250");
            client.expect("RCPT TO:<bob@next.test>", "250");
            client.send(format!("BDAT {} LAST\r\n", content.len()).as_bytes());
            client.send(&content);
            let reply = client.reply();
            assert!(reply.starts_with("250 ") || reply.starts_with("550 5.6."), "{reply}");
            accepted += u32::from(reply.starts_with("250 "));
        }
    }
    // BINARYMIME is taken with any octets, and a next hop without it cannot have it.
    assert!(accepted >= 3 + FALSE_ENDS.len() as u32, "{accepted}");
    let quiet = wait_for(|| {
        let status: serde_json::Value =
            serde_json::from_str(&server.ok(&["status", "--json"])).ok()?;
        let queue = &status["queue"];
        (queue["waiting"] == 0 && queue["leased"] == 0).then_some(())
    });
    assert!(quiet.is_some(), "{}", server.ok(&["queue", "list"]));
    let messages = sink.raw();
    // The three with proper line ends, and the one without any, each twice.
    assert!(messages.len() >= 8, "only {} left", messages.len());
    for octets in &messages {
        let shown = String::from_utf8_lossy(octets);
        for (at, &octet) in octets.iter().enumerate() {
            match octet {
                b'\r' => assert_eq!(octets.get(at + 1), Some(&b'\n'), "a bare CR left: {shown:?}"),
                b'\n' => assert!(at > 0 && octets[at - 1] == b'\r', "a bare LF left: {shown:?}"),
                0 => panic!("a NUL left: {shown:?}"),
                _ => {}
            }
        }
        // The smuggled commands are text, behind doubled dots.
        assert!(!shown.contains("\r\n.\r\n"), "{shown:?}");
        assert!(shown.contains("Subject: first"), "{shown:?}");
    }
    assert_well(&server);
}

#[test]
fn what_comes_in_the_clear_behind_starttls_is_never_obeyed() {
    let server = start("");
    for injected in [
        "NOOP\r\n",
        "EHLO evil.test\r\n",
        "MAIL FROM:<evil@evil.test>\r\nRCPT TO:<x@local.test>\r\n",
        "x",
    ] {
        let mut raw = Raw::connect(&server);
        raw.until("220 ");
        raw.send(b"EHLO evil.test\r\n");
        raw.until("250 ");
        raw.send(format!("STARTTLS\r\n{injected}").as_bytes());
        let said = raw.rest();
        assert!(said.lines().count() <= 2, "{said}");
        assert!(said.contains("421 4.7.0") && said.contains("STARTTLS"), "{said}");
    }
    assert!(server.log().contains("security:"), "{}", server.log());
    // In a packet of its own, while the server waits for the handshake.
    let mut raw = Raw::connect(&server);
    raw.until("220 ");
    raw.send(b"EHLO evil.test\r\nSTARTTLS\r\n");
    raw.until("220 ");
    raw.send(b"EHLO evil.test\r\nMAIL FROM:<evil@evil.test>\r\n");
    let said = raw.rest();
    assert!(!said.contains("250"), "{said}");
    // What was said before TLS is forgotten with it.
    let mut client = server.connect("mx");
    client.expect("EHLO evil.test", "250");
    client.expect("MAIL FROM:<evil@evil.test>", "250");
    client.expect("RCPT TO:<x@local.test>", "250");
    client.expect("STARTTLS", "503 5.5.1");
    client.expect("RSET", "250");
    client.starttls(&support::tls::Terms::asking_for("mail.keep.test"));
    client.expect("DATA", "503 5.5.1");
    client.expect("MAIL FROM:<evil@evil.test>", "503 5.5.1");
    assert_nothing_for(&server, "x@local.test");
    assert_well(&server);
}

#[test]
fn chunks_cannot_be_used_to_confuse_commands_and_content() {
    let server = start("limits { message 1MB }");
    let ready = || {
        let mut client = server.connect("mx");
        client.expect("EHLO evil.test", "250");
        client
    };
    let addressed = || {
        let mut client = ready();
        client.expect("MAIL FROM:<evil@evil.test>", "250");
        client.expect("RCPT TO:<x@local.test>", "250");
        client
    };
    // Sizes that cannot be read end the connection: what follows could be anything.
    for size in ["18446744073709551616", "-1", "0x10", "", "1 2", "9999999999999999999999", "+5"] {
        let mut client = addressed();
        client.send(format!("BDAT {size}\r\nMAIL FROM:<forged@bank.test>\r\n").as_bytes());
        let said = client.rest();
        assert!(said.starts_with("501 5.5.4"), "{size}: {said}");
        assert_eq!(said.lines().count(), 1, "{size}: {said}");
    }
    // Huge sizes are refused at once, without waiting for the octets.
    for size in ["18446744073709551615 LAST", "99999999999", "1152921504606846976 LAST"] {
        let mut client = addressed();
        client.send(format!("BDAT {size}\r\n").as_bytes());
        let said = client.rest();
        assert!(said.starts_with("552 5.3.4"), "{size}: {said}");
    }
    // Without MAIL, its octets are passed over and not taken for commands.
    let mut client = ready();
    let octets = "MAIL FROM:<forged@bank.test>\r\n";
    client.send(format!("BDAT {} LAST\r\n{octets}", octets.len()).as_bytes());
    assert!(client.reply().starts_with("503 5.5.1"));
    client.expect("RCPT TO:<x@local.test>", "503 5.5.1");
    // DATA in the middle of chunks.
    let mut client = addressed();
    client.send(b"BDAT 14\r\nSubject: x\r\n\r\n");
    assert!(client.reply().starts_with("250"));
    client.expect("DATA", "503 5.5.1");
    client.expect("MAIL FROM:<evil@evil.test>", "503 5.5.1");
    client.expect("RSET", "250");
    client.expect("BDAT 0 LAST", "503 5.5.1");
    // One over the limit in many chunks.
    let mut client = addressed();
    let chunk = vec![b'a'; 200_000];
    let mut last = String::new();
    for _ in 0..6 {
        client.send(b"BDAT 200000\r\n");
        client.send(&chunk);
        last = client.reply();
        if !last.starts_with("250") {
            break;
        }
    }
    assert!(last.starts_with("552 5.3.4") || last.starts_with("554 5.6."), "{last}");
    // Closed in the middle of the last chunk.
    let mut raw = Raw::connect(&server);
    raw.send(b"EHLO evil.test\r\nMAIL FROM:<evil@evil.test>\r\nRCPT TO:<x@local.test>\r\nBDAT 1000 LAST\r\nSubject: x\r\n\r\nhalf");
    std::thread::sleep(Duration::from_millis(100));
    drop(raw);
    assert_nothing_for(&server, "x@local.test");
    assert_well(&server);
}

/// TLS over a socket that the test keeps in hand.
struct Tls {
    connection: ClientConnection,
    socket: TcpStream,
}

impl Tls {
    fn start(server: &Server) -> Self {
        let authority =
            std::fs::read(server.dir().join("data/authority/ca.pem")).expect("the authority");
        let mut roots = rustls::RootCertStore::empty();
        for certificate in rustls_pem(&authority) {
            roots.add(certificate).expect("an authority");
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut raw = Raw::connect(server);
        raw.until("220 ");
        raw.send(b"EHLO evil.test\r\n");
        raw.until("250 ");
        raw.send(b"STARTTLS\r\n");
        raw.until("220 ");
        let name = "mail.keep.test".try_into().expect("a name");
        let mut connection = ClientConnection::new(Arc::new(config), name).expect("TLS");
        let mut socket = raw.socket;
        while connection.is_handshaking() {
            connection.complete_io(&mut socket).expect("a handshake");
        }
        let mut tls = Self { connection, socket };
        assert!(tls.say("EHLO evil.test").contains("250 "));
        tls
    }

    fn send(&mut self, octets: &[u8]) {
        self.connection.writer().write_all(octets).expect("room");
        while self.connection.wants_write() {
            self.connection.write_tls(&mut self.socket).expect("the server reads");
        }
    }

    fn say(&mut self, command: &str) -> String {
        self.send(format!("{command}\r\n").as_bytes());
        let mut said = Vec::new();
        let mut piece = [0; 4096];
        let mut stream = rustls::Stream::new(&mut self.connection, &mut self.socket);
        loop {
            let read = stream.read(&mut piece).unwrap_or(0);
            said.extend_from_slice(&piece[..read]);
            let text = String::from_utf8_lossy(&said).into_owned();
            let ended =
                text.lines().last().is_some_and(|line| line.as_bytes().get(3) == Some(&b' '));
            if read == 0 || (ended && text.ends_with('\n')) {
                return text;
            }
        }
    }

    fn in_data(server: &Server, recipient: &str) -> Self {
        let mut tls = Self::start(server);
        tls.say("MAIL FROM:<evil@evil.test>");
        tls.say(&format!("RCPT TO:<{recipient}>"));
        assert!(tls.say("DATA").starts_with("354"));
        tls
    }

    fn close_notify(&mut self) {
        self.connection.send_close_notify();
        while self.connection.wants_write() {
            self.connection.write_tls(&mut self.socket).expect("the server reads");
        }
    }

    /// Everything that comes after now, as octets on the wire.
    fn rest(mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let _ = self.socket.read_to_end(&mut rest);
        rest
    }
}

fn rustls_pem(pem: &[u8]) -> Vec<rustls::pki_types::CertificateDer<'static>> {
    use rustls::pki_types::pem::PemObject;
    rustls::pki_types::CertificateDer::pem_slice_iter(pem).map(|c| c.expect("PEM")).collect()
}

#[test]
fn the_end_of_tls_is_the_end_of_the_session_and_never_of_a_message() {
    let server = start("");
    // Commands in the clear behind close_notify are not heard.
    let mut tls = Tls::start(&server);
    tls.close_notify();
    let _ = tls.socket.write_all(
        b"MAIL FROM:<evil@evil.test>\r\nRCPT TO:<x@local.test>\r\nDATA\r\nSubject: x\r\n\r\nx\r\n.\r\n",
    );
    let rest = tls.rest();
    assert!(!rest.windows(4).any(|w| w == b"250 " || w == b"500 "), "{rest:?}");
    // In the middle of a message, with the rest in the clear.
    for ending in [&b""[..], b".\r\n", b"\r\n.\r\n"] {
        let mut tls = Tls::in_data(&server, "x@local.test");
        tls.send(b"Subject: x\r\n\r\nhalf of it\r\n");
        tls.close_notify();
        let _ = tls.socket.write_all(ending);
        let rest = tls.rest();
        assert!(!rest.windows(4).any(|w| w == b"250 "), "{rest:?}");
    }
    // Cut off without close_notify, before and after what looks like the end.
    for content in [
        &b"Subject: x\r\n\r\nhalf"[..],
        b"Subject: x\r\n\r\nhalf\r\n.",
        b"Subject: x\r\n\r\nhalf\r\n.\r",
    ] {
        let mut tls = Tls::in_data(&server, "x@local.test");
        tls.send(content);
        tls.socket.shutdown(Shutdown::Write).expect("half closed");
        tls.rest();
    }
    // Octets in the clear where records are expected.
    let mut tls = Tls::in_data(&server, "x@local.test");
    tls.send(b"Subject: x\r\n\r\nhalf\r\n");
    let _ = tls.socket.write_all(b".\r\n");
    tls.rest();
    assert_nothing_for(&server, "x@local.test");
    assert_well(&server);
}

#[test]
fn a_client_that_closes_its_half_still_hears_what_it_asked() {
    let server = start("");
    let mut raw = Raw::connect(&server);
    raw.send(
        b"EHLO half.test\r\nMAIL FROM:<a@half.test>\r\nRCPT TO:<whole@local.test>\r\nDATA\r\n",
    );
    raw.until("354 ");
    raw.send(b"Subject: whole\r\n\r\nwhole\r\n.\r\nNOOP\r\n");
    raw.socket.shutdown(Shutdown::Write).expect("half closed");
    let said = raw.rest();
    assert!(said.starts_with("250 2.0.0 Ok: queued as "), "{said}");
    assert!(said.contains("250 2.0.0 Ok\r\n"), "{said}");
    server.wait_for_mail("whole@local.test", 1);
    // Half of a message is none.
    for content in [
        &b"Subject: x\r\n\r\nhalf\r\n"[..],
        b"Subject: x\r\n\r\nhalf\r\n.",
        b"Subject: x\r\n\r\nhalf\r\n.\r",
    ] {
        let mut raw = Raw::in_data(&server, "x@local.test");
        raw.send(content);
        raw.socket.shutdown(Shutdown::Write).expect("half closed");
        let said = raw.rest();
        assert!(!said.contains("250"), "{said}");
    }
    assert_nothing_for(&server, "x@local.test");
    assert_well(&server);
}

#[test]
fn a_client_that_dawdles_is_cut_off_however_little_it_sends() {
    let server = start("timeouts { command 1s; data 1s; session 4s; handshake 1s }");
    let dawdle = |mut raw: Raw, octets: &'static [u8], every: Duration| {
        std::thread::spawn(move || {
            let began = Instant::now();
            let mut reader = raw.socket.try_clone().expect("another handle");
            let heard = std::thread::spawn(move || {
                let mut all = String::new();
                let _ = reader.read_to_string(&mut all);
                (all, began.elapsed())
            });
            for octet in octets.iter().cycle() {
                if heard.is_finished() || raw.socket.write_all(&[*octet]).is_err() {
                    break;
                }
                std::thread::sleep(every);
            }
            heard.join().expect("what was heard")
        })
    };
    let greeted = || {
        let mut raw = Raw::connect(&server);
        raw.until("220 ");
        raw
    };
    let often = Duration::from_millis(150);
    let never = Duration::from_secs(20);
    let cases = [
        ("silent after the greeting", dawdle(greeted(), b"E", never)),
        ("a command octet by octet", dawdle(greeted(), b"NOOP", often)),
        ("content octet by octet", dawdle(Raw::in_data(&server, "x@local.test"), b"x", often)),
        ("silent in the content", dawdle(Raw::in_data(&server, "x@local.test"), b"x", never)),
        ("short commands for ever", dawdle(greeted(), b"NOOP\r\n", Duration::from_millis(30))),
    ];
    assert_well(&server);
    for (what, case) in cases {
        let (said, after) = case.join().expect("a client");
        assert!(said.contains("421 4.4.2 mail.keep.test Timeout"), "{what}: {said}");
        assert!(after < Duration::from_secs(7), "{what}: after {after:?}");
    }
    // A handshake that never comes, and a client that never reads.
    let mut raw = greeted();
    raw.send(b"EHLO a\r\nSTARTTLS\r\n");
    let began = Instant::now();
    raw.rest();
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    let mut raw = greeted();
    raw.socket.set_write_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    let help = b"EHLO a\r\n".repeat(8_000);
    let began = Instant::now();
    while raw.socket.write_all(&help).is_ok() {
        assert!(began.elapsed() < Duration::from_secs(12), "it is read for ever");
    }
    assert_nothing_for(&server, "x@local.test");
    assert_well(&server);
}

#[test]
fn content_slower_than_the_data_rate_is_cut_off_within_two_minutes() {
    let server = start("limits { data-rate 1KB }");
    let mut raw = Raw::in_data(&server, "x@local.test");
    let began = Instant::now();
    let mut reader = raw.socket.try_clone().expect("another handle");
    let heard = std::thread::spawn(move || {
        reader.set_read_timeout(Some(Duration::from_secs(130))).expect("a timeout");
        let mut all = String::new();
        let _ = reader.read_to_string(&mut all);
        all
    });
    while !heard.is_finished() && began.elapsed() < Duration::from_secs(125) {
        raw.send(b"slow\r\n");
        std::thread::sleep(Duration::from_millis(200));
    }
    let said = heard.join().expect("what was heard");
    assert!(said.starts_with("421 4.4.2"), "{said}");
    assert_nothing_for(&server, "x@local.test");
    assert_well(&server);
}

#[test]
fn a_hundred_thousand_recipients_are_refused_one_by_one_in_bounded_memory() {
    let server = start("limits { errors off; commands 1000000 }");
    let before = resident_kib(&server);
    let began = Instant::now();
    let mut raw = Raw::connect(&server);
    raw.send(b"EHLO evil.test\r\n");
    raw.until("250 ");
    raw.send(b"MAIL FROM:<evil@evil.test>\r\n");
    raw.until("250 ");
    let mut reader = raw.socket.try_clone().expect("another handle");
    let counting = std::thread::spawn(move || {
        let mut counts = std::collections::BTreeMap::<String, u32>::new();
        let (mut pending, mut piece, mut lines) = (Vec::new(), vec![0; 65_536], 0);
        while lines < 100_000 {
            let read = reader.read(&mut piece).unwrap_or(0);
            if read == 0 {
                break;
            }
            pending.extend_from_slice(&piece[..read]);
            while let Some(end) = pending.iter().position(|&octet| octet == b'\n') {
                let line: Vec<u8> = pending.drain(..=end).collect();
                *counts.entry(String::from_utf8_lossy(&line[..9]).into_owned()).or_default() += 1;
                lines += 1;
            }
        }
        counts
    });
    for block in 0..100 {
        let mut commands = String::new();
        for one in 0..1_000 {
            commands.push_str(&format!("RCPT TO:<user{}@local.test>\r\n", block * 1_000 + one));
        }
        raw.send(commands.as_bytes());
        if block == 50 {
            assert_well(&server);
        }
    }
    let counts = counting.join().expect("counts");
    println!("{counts:?} in {:?}", began.elapsed());
    assert_eq!(counts.get("250 2.1.5"), Some(&1_000));
    assert_eq!(counts.get("452 4.5.3"), Some(&99_000));
    let grown = resident_kib(&server).saturating_sub(before);
    println!("memory grew by {grown} KiB");
    assert!(grown < 32 * 1024, "{grown} KiB");
    drop(raw);
    // As configured by default, the scan is over after some errors, and the log says so.
    let strict = start("");
    let mut raw = Raw::connect(&strict);
    raw.send(b"EHLO evil.test\r\nMAIL FROM:<evil@evil.test>\r\n");
    raw.send(&b"RCPT TO:<user@elsewhere.test>\r\n".repeat(1_000));
    let said = raw.rest();
    assert!(said.contains("421 4.7.0"), "{said}");
    assert!(said.lines().count() < 40, "{said}");
    assert!(strict.log().contains("security:"), "{}", strict.log());
    assert_well(&strict);
}

#[test]
fn a_line_without_end_is_cut_off_in_bounded_memory() {
    let server = start("limits { message 5MB; connections-per-network off }");
    let before = resident_kib(&server);
    let piece = vec![b'A'; 1 << 20];
    let endless = |mut raw: Raw| {
        let mut sent = 0_u64;
        while sent < 200 && raw.socket.write_all(&piece).is_ok() {
            sent += 1;
        }
        assert!(sent < 100, "the server took {sent} MB of one line");
        raw.rest()
    };
    let mut raw = Raw::connect(&server);
    raw.until("220 ");
    endless(raw);
    endless(Raw::in_data(&server, "x@local.test"));
    // An endless header, in proper lines.
    let mut raw = Raw::in_data(&server, "x@local.test");
    let field = format!("X-Long: {}\r\n", "y".repeat(900)).repeat(1_000);
    let mut fields = 0;
    while fields < 300 && raw.socket.write_all(field.as_bytes()).is_ok() {
        fields += 1;
    }
    assert!(fields < 100, "the server took {fields} MB of header");
    let grown = settles_below(&server, before + 32 * 1024).saturating_sub(before);
    println!("memory grew by {grown} KiB");
    assert!(grown < 48 * 1024, "{grown} KiB");
    // An overlong line that does end is refused, and the session goes on.
    let mut client = server.connect("mx");
    client.expect(&format!("NOOP {}", "x".repeat(100_000)), "500 5.5.6");
    client.expect("EHLO still.test", "250");
    assert_nothing_for(&server, "x@local.test");
    assert_well(&server);
}

#[test]
fn bombs_of_fields_and_parts_are_judged_quickly() {
    let server = start(
        "limits { header 64KB }
         table bad patterns { *.exe }
         rules { rule programs { when all { attachment name in table bad }; reject 550 5.7.1 \"No programs\" } }",
    );
    let mut client = server.connect("mx");
    client.expect("EHLO bomb.test", "250");
    let mut judge = |what: &str, content: &str, expected: &str| {
        let began = Instant::now();
        let reply = client.message("a@bomb.test", &["bombed@local.test"], content);
        println!("{what}: {reply} in {:?}", began.elapsed());
        assert!(reply.starts_with(expected), "{what}: {reply}");
        assert!(began.elapsed() < Duration::from_secs(10), "{what}: {:?}", began.elapsed());
    };
    judge("100,000 fields", &format!("{}\nbody\n", "X: y\n".repeat(100_000)), "55");
    judge("5,000 short fields", &format!("{}\nbody\n", "X: y\n".repeat(5_000)), "554 5.6.0");
    judge("a header of 1 MB", &format!("X: {}\n\nbody\n", "\n y".repeat(300_000)), "55");
    let part = "--b\nContent-Type: text/plain; name=a.txt\n\nx\n";
    let flat =
        format!("Content-Type: multipart/mixed; boundary=b\n\n{}--b--\n", part.repeat(100_000));
    judge("100,000 parts", &flat, "2");
    let mut nested = String::new();
    for level in 0..20_000 {
        nested
            .push_str(&format!("Content-Type: multipart/mixed; boundary=b{level}\n\n--b{level}\n"));
    }
    judge("20,000 levels", &nested, "");
    let parameters = "; p".to_owned() + &"*0=\"x\";\n p".repeat(3_000);
    judge("3,000 parameters", &format!("Content-Type: text/plain{parameters}=1\n\nbody\n"), "");
    let hops = "Received: from a by b; Mon, 1 Jan 2024 00:00:00 +0000\n".repeat(150);
    judge("150 hops", &format!("{hops}\nbody\n"), "554 5.4.6");
    assert_well(&server);
}

#[test]
fn nuls_and_other_rubbish_in_commands_are_refused() {
    let server = start("");
    let mut client = server.connect("mx");
    client.expect("EHLO \0", "50");
    client.expect("EHLO a\0b", "50");
    client.expect("EHLO evil.test", "250");
    for line in [
        "\0",
        "MAIL\0FROM:<a@b.test>",
        "MAIL FROM:<a\0@b.test>",
        "MAIL FROM:<a@b.test>\0",
        "\x1b[2J",
        "MAIL FROM:<a@b.test> SIZE=\0",
        "\r",
        "é",
        "MAIL FROM:<é@b.test>",
        "NOOP\x7f",
    ] {
        let reply = client.say(line);
        assert!(reply.starts_with('5'), "{line:?}: {reply}");
    }
    client.send(b"\xff\xfe\xfd\r\n");
    assert!(client.reply().starts_with("500 "));
    client.expect("MAIL FROM:<a@b.test>", "250");
    client.expect("RCPT TO:<x@local.test>", "250");
    client.expect("DATA", "354");
    client.send(b"Subject: nul\r\n\r\na\0b\r\n.\r\n");
    assert!(client.reply().starts_with("550 5.6.0"));
    // Random octets, over and over.
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..50 {
        let mut raw = Raw::connect(&server);
        let octets: Vec<u8> = (0..random.usize(1..5_000)).map(|_| random.u8(..)).collect();
        raw.send(&octets);
        raw.socket.shutdown(Shutdown::Write).expect("half closed");
        raw.rest();
    }
    assert_nothing_for(&server, "x@local.test");
    assert_well(&server);
}

#[test]
fn ten_thousand_commands_without_a_message_are_not_obeyed() {
    let server = start("");
    for command in [
        "NOOP\r\n",
        "RSET\r\n",
        "HELP\r\n",
        "EHLO a\r\n",
        "VRFY x\r\n",
        "FOO\r\n",
        "\r\n",
        "MAIL FROM:<>\r\nRSET\r\n",
    ] {
        let mut raw = Raw::connect(&server);
        let writer = raw.socket.try_clone().expect("another handle");
        let flood = command.repeat(10_000);
        let flooding = std::thread::spawn(move || {
            let mut writer = writer;
            let _ = writer.write_all(flood.as_bytes());
        });
        let said = raw.rest();
        flooding.join().expect("the flood ends");
        let replies = said.lines().filter(|line| line.as_bytes().get(3) == Some(&b' ')).count();
        assert!(replies <= 250, "{command:?}: {replies} replies");
    }
    assert!(server.log().contains("security:"), "{}", server.log());
    assert_well(&server);
}

#[test]
fn those_who_speak_first_or_another_protocol_are_told_so() {
    let server = start("");
    let say = |octets: &[u8]| {
        let mut raw = Raw::connect(&server);
        raw.send(octets);
        let began = Instant::now();
        let said = raw.rest();
        assert!(began.elapsed() < Duration::from_secs(5), "{said}");
        said
    };
    for request in [
        "GET / HTTP/1.1\r\nHost: mail.keep.test\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: mail.keep.test\r\nContent-Length: 99\r\n\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<x@local.test>\r\nDATA\r\n\r\nx\r\n.\r\n",
        "CONNECT x:25 HTTP/1.1\r\n\r\n",
    ] {
        let said = say(request.as_bytes());
        assert!(said.contains("421 4.7.0"), "{said}");
        assert!(!said.contains("250"), "{said}");
    }
    // A TLS ClientHello on a port that begins in the clear.
    let mut hello = vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
    hello.resize(517, 0xab);
    let said = say(&hello);
    assert!(said.contains("421 4.7.0") && said.contains("STARTTLS"), "{said}");
    // An early talker is served or refused, but never before it is greeted.
    let said = say(b"EHLO early.test\r\nQUIT\r\n");
    assert!(said.starts_with("220 ") || said.starts_with("554 "), "{said}");
    assert_nothing_for(&server, "x@local.test");
    assert_well(&server);
}

#[test]
fn one_network_cannot_take_every_place() {
    let server = start("limits { connections-per-network 5; connections 8 }");
    let address = server.address("mx");
    let connect = |source: [u8; 4]| {
        let stream = connect_from(IpAddr::from(source), address).expect("a connection");
        let mut raw = Raw { socket: stream };
        let line = raw.line();
        (raw, line)
    };
    // 127.1.1.1 and 127.1.1.200 are one network.
    let first: Vec<_> = (1..=5).map(|host| connect([127, 1, 1, host])).collect();
    assert!(first.iter().all(|(_, line)| line.starts_with("220 ")));
    let (mut sixth, line) = connect([127, 1, 1, 200]);
    assert!(line.starts_with("421 4.7.0 "), "{line}");
    assert_eq!(sixth.rest(), "");
    let second: Vec<_> = (1..=3).map(|host| connect([127, 1, 2, host])).collect();
    assert!(second.iter().all(|(_, line)| line.starts_with("220 ")));
    let (_, line) = connect([127, 1, 3, 1]);
    assert!(line.starts_with("421 4.3.2 "), "{line}");
    drop(first);
    let served = wait_for(|| connect([127, 1, 1, 9]).1.starts_with("220 ").then_some(()));
    assert!(served.is_some(), "places are not given back");
    drop(second);
    let well = wait_for(|| connect([127, 0, 0, 1]).1.starts_with("220 ").then_some(()));
    assert!(well.is_some());
    assert_well(&server);
}

/// Idle connections of the flood, where the limit on open files allows so many.
const FLOOD: usize = 10_000;

/// Raises the soft limit on open files as far as it goes; the server inherits it.
fn open_files() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wish = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let _ = setrlimit(Resource::Nofile, wish);
    getrlimit(Resource::Nofile).current.map_or(usize::MAX, |n| n as usize)
}

#[test]
fn ten_thousand_idle_connections_cost_little_and_others_are_served() {
    // Both ends are here: this process holds as many files as the server.
    let wanted = FLOOD.min(open_files().saturating_sub(500));
    assert!(wanted >= 500, "too few open files are allowed for this test");
    let limit = wanted + 100;
    let server = start(&format!("limits {{ connections {limit}; connections-per-network off }}"));
    assert_well(&server);
    let before = resident_kib(&server);
    let address = server.address("mx");
    let began = Instant::now();
    let mut idle = Vec::with_capacity(wanted);
    for number in 0..wanted {
        let [_, _, high, low] = u32::try_from(number / 50).expect("a number").to_be_bytes();
        let source = IpAddr::V4(Ipv4Addr::new(127, 2 + high, low, 1));
        idle.push(connect_from(source, address).expect("a connection"));
    }
    // Each has been greeted, and has said EHLO.
    let mut greeting = [0; 512];
    for stream in &mut idle {
        let read = stream.read(&mut greeting).expect("a greeting");
        assert!(greeting[..read].starts_with(b"220 "));
        stream.write_all(b"EHLO idle.test\r\n").expect("it is read");
    }
    for stream in &mut idle {
        assert!(stream.read(&mut greeting).expect("a reply") > 0);
    }
    let grown = resident_kib(&server).saturating_sub(before);
    println!(
        "{wanted} idle connections in {:?}: {:.1} KiB each",
        began.elapsed(),
        grown as f64 / wanted as f64
    );
    // 8 KiB here; what a connection needs only for moments is not kept while it idles.
    assert!(grown < 12 * wanted as u64, "{grown} KiB for {wanted} connections");
    let asked = Instant::now();
    assert_well(&server);
    println!("another client had its message accepted after {:?}", asked.elapsed());
    // Beyond the limit they are told, and the others stay.
    let mut more: Vec<Client> = Vec::new();
    let told = (0..200).any(|_| {
        let mut client = Client::connect_silently(address);
        let said = client.reply();
        more.push(client);
        said.starts_with("421 4.3.2")
    });
    assert!(told, "there is no limit");
    drop(more);
    let first = idle.first_mut().expect("one of them");
    first.write_all(b"NOOP\r\n").expect("it is read");
    assert!(first.read(&mut greeting).expect("a reply") > 0);
    drop(idle);
    let served = wait_for(|| {
        let mut client = Client::connect_silently(address);
        client.reply().starts_with("220 ").then_some(())
    });
    assert!(served.is_some(), "places are not given back");
    assert_well(&server);
}

#[test]
fn a_flood_of_connections_that_close_at_once_leaves_nothing_behind() {
    let server = start("");
    let before = resident_kib(&server);
    let address = server.address("mx");
    let began = Instant::now();
    for number in 0..5_000_u32 {
        let mut stream = TcpStream::connect(address).expect("a connection");
        match number % 4 {
            0 => {}
            1 => stream.write_all(b"EHLO x\r\n").unwrap_or_default(),
            2 => stream.write_all(b"EHLO x\r\nSTARTTLS\r\n\x16\x03\x01").unwrap_or_default(),
            _ => stream.shutdown(Shutdown::Both).unwrap_or_default(),
        }
    }
    println!("5,000 connections in {:?}", began.elapsed());
    let grown = settles_below(&server, before + 16 * 1024).saturating_sub(before);
    println!("memory grew by {grown} KiB");
    assert!(grown < 32 * 1024, "{grown} KiB");
    assert_well(&server);
}

#[test]
fn handshakes_that_fail_leave_nothing_behind() {
    let server = start("timeouts { handshake 1s }");
    let before = resident_kib(&server);
    for number in 0..300_u32 {
        let mut client = server.connect("mx");
        client.expect("EHLO x", "250");
        client.expect("STARTTLS", "220");
        match number % 3 {
            0 => client.send(b"GET / HTTP/1.1\r\n\r\n"),
            1 => client.send(&[0x16, 3, 1, 0xff, 0xff, 1, 0xff, 0xff, 0xff]),
            _ => {}
        }
    }
    let _ = encrypted(&server).say("EHLO x");
    let grown = settles_below(&server, before + 16 * 1024).saturating_sub(before);
    println!("memory grew by {grown} KiB");
    assert!(grown < 32 * 1024, "{grown} KiB");
    assert_well(&server);
}
