//! `explain` and live mail agree: for random rules and random messages the dry run names the
//! verdict, the reply and the rule that the running server then gives; and it changes nothing.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, TcpStream};
use std::path::Path;

use serde_json::Value;
use socket2::{Domain, Socket, Type};
use support::tls::Terms;
use support::{Server, Wire, run, shown, tls};

/// Rule sets of one run, and messages of each.
const RULE_SETS: usize = 8;
const MESSAGES: usize = 14;
/// Draws for one rule set that the checker takes.
const DRAWS_MAX: usize = 50;

const CONDITIONS: [&str; 25] = [
    "connection is tls",
    "connection is plain",
    "tls version at least 1.3",
    "listener is mx",
    "client ip is 127.0.0.2",
    "client ip is 127.0.0.0/8",
    "helo is one.test",
    "helo matches *.x.test",
    "sender is null",
    "sender domain is x.test",
    "sender domain is .x.test",
    "sender matches *a*",
    "recipient is bob@ours.test",
    "recipient domain is ours.test other.test",
    "recipient domain is elsewhere.test",
    "delivery is relaying",
    "recipient account is known",
    "message size over 2KB",
    "header X-Flag is present",
    "header X-Flag matches yes*",
    "subject matches *invoice*",
    "subject matches /^re:/",
    "attachment name matches *.exe",
    "attachment count over 0",
    "connection is authenticated",
];

/// A message and how it comes.
struct Message {
    from: String,
    to: &'static str,
    client: IpAddr,
    helo: &'static str,
    listener: &'static str,
    tls: &'static str,
    content: String,
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
struct Fate {
    /// The reply that refused it, or a word for what was promised.
    verdict: String,
    /// The number of the rule that decided, where one did.
    rule: Option<String>,
}

fn configuration(rules: &str) -> String {
    format!(
        "
        hostname  mail.keep.test
        data      @DIR@/data
        certificate mail {{ local-authority; names mail.keep.test }}
        trusted-networks 127.0.0.3/32
        listener mx    {{ address 127.0.0.1; port 0; tls starttls; certificate mail }}
        listener inner {{ address 127.0.0.1; port 0; tls starttls; certificate mail }}
        domain ours.test  {{ deliver-to maildir @DIR@/maildir; recipients any }}
        domain other.test {{ mailboxes local }}
        mx {{ elsewhere.test 127.0.0.1:9 }}
        queue {{ retry 1h; policy-notice off; delay-notice off }}
        limits {{ connections-per-network off; messages-per-connection off }}
        evidence {{ checkpoint-every 1h }}
        rules {{\n{rules}}}
        "
    )
}

fn draw<T: Copy>(random: &mut fastrand::Rng, from: &[T]) -> T {
    from[random.usize(..from.len())]
}

fn rules(random: &mut fastrand::Rng) -> String {
    let mut text = String::new();
    for number in 1..=random.usize(2..8) {
        let blocks = ["all", "any", "none"];
        let mut when = String::new();
        for _ in 0..random.usize(1..3) {
            let conditions: Vec<&str> =
                (0..random.usize(1..3)).map(|_| draw(random, &CONDITIONS)).collect();
            when.push_str(&format!("{} {{ {} }}\n", draw(random, &blocks), conditions.join("; ")));
        }
        let mut actions = Vec::new();
        if random.bool() {
            actions.push(match random.u8(..3) {
                0 => format!("add-header X-Rule r{number}"),
                1 => format!("tag-subject \"[{number}]\""),
                _ => "relay-encryption required".to_owned(),
            });
        }
        match random.u8(..8) {
            0 | 1 => actions.push(format!("reject 550 5.7.{number} \"Refused by {number}\"")),
            2 => actions.push(format!("defer 451 4.7.{number} \"Later, says {number}\"")),
            3 => actions.push("accept".to_owned()),
            4 => actions.push("discard".to_owned()),
            5 => actions.push(format!("quarantine \"Held by {number}\"")),
            _ if actions.is_empty() => actions.push(format!("add-header X-Else e{number}")),
            _ => {}
        }
        text.push_str(&format!(
            "rule r{number} {{ when all {{ {when}}}\n{} }}\n",
            actions.join("\n")
        ));
    }
    text
}

fn message(random: &mut fastrand::Rng, number: usize) -> Message {
    let domain = draw(random, &["x.test", "sub.x.test", "y.test"]);
    // The number tells messages apart in the evidence.
    let from = if random.u8(..10) == 0 {
        String::new()
    } else {
        format!("{}{number}@{domain}", draw(random, &["a", "b"]))
    };
    let mut content = format!(
        "From: <someone@x.test>\nMessage-ID: <n{number}@x.test>\nSubject: {}\n",
        draw(random, &["hello", "re: hello", "your invoice", "RE: an Invoice"])
    );
    if random.bool() {
        content.push_str(draw(random, &["X-Flag: yes, really\n", "X-Flag: no\n"]));
    }
    let filler = "0123456789012345678901234567890123456789\n".repeat(random.usize(..90));
    if random.u8(..3) == 0 {
        let name = draw(random, &["a.exe", "b.pdf"]);
        content.push_str(&format!(
            "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=bb\n\n--bb\n\nhi\n{filler}\
             --bb\nContent-Type: application/octet-stream\n\
             Content-Disposition: attachment; filename={name}\n\nxx\n--bb--\n"
        ));
    } else {
        content.push_str(&format!("\nhi\n{filler}"));
    }
    let clients = ["127.0.0.1", "127.0.0.2", "127.0.0.3"];
    Message {
        from,
        to: draw(random, &["bob@ours.test", "eve@ours.test", "no@other.test", "x@elsewhere.test"]),
        client: draw(random, &clients).parse().expect("an address"),
        helo: draw(random, &["one.test", "mail.x.test", "other.example"]),
        listener: draw(random, &["mx", "inner"]),
        tls: draw(random, &["none", "1.2", "1.3"]),
        content,
    }
}

/// What `explain` says.
fn explained(server: &Server, message: &Message, file: &Path) -> Fate {
    fs::write(file, &message.content).expect("the message is written");
    let client = message.client.to_string();
    let output = run(
        server.dir(),
        &[
            "explain",
            "--json",
            file.to_str().expect("a plain name"),
            "--from",
            &message.from,
            "--to",
            message.to,
            "--client",
            &client,
            "--helo",
            message.helo,
            "--listener",
            message.listener,
            "--tls",
            message.tls,
        ],
        b"",
    );
    let answer: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", shown(&output)));
    let told = &answer["recipients"][0];
    assert_eq!(told["accepted"], output.status.success(), "{}", shown(&output));
    let outcome = told["story"]["outcome"].as_str().expect("an outcome");
    let verdict = match outcome.split(' ').next().unwrap_or_default() {
        "QUARANTINE" => "quarantine".to_owned(),
        "DISCARD" => "discard".to_owned(),
        _ if told["accepted"] == true => "pass".to_owned(),
        _ => {
            let digits = |at: usize| {
                outcome.get(at..at + 4).is_some_and(|code| {
                    code.ends_with(' ') && code[..3].bytes().all(|b| b.is_ascii_digit())
                })
            };
            let begins = (0..outcome.len()).find(|&at| outcome.is_char_boundary(at) && digits(at));
            outcome[begins.unwrap_or_else(|| panic!("no reply in {outcome}"))..].to_owned()
        }
    };
    let number = |value: &Value| match value {
        Value::Null => None,
        Value::String(number) => Some(number.clone()),
        number => Some(number.to_string()),
    };
    Fate { verdict, rule: number(&told["story"]["by"]) }
}

/// A session of the test's own from an address of 127/8.
struct Session {
    stream: BufReader<Box<dyn Wire>>,
}

impl Session {
    /// Gets as far as MAIL, or gives the reply that refused the client before.
    fn open(server: &Server, message: &Message) -> Result<Self, String> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&(message.client, 0).to_owned_address()).expect("an address");
        socket.connect(&server.address(message.listener).into()).expect("a connection");
        let socket: TcpStream = socket.into();
        let other = socket.try_clone().expect("a handle");
        let mut session = Self { stream: BufReader::new(Box::new(socket)) };
        let greet = |session: &mut Self| {
            let reply = session.say(&format!("EHLO {}", message.helo));
            if reply.starts_with("250") { Ok(()) } else { Err(reply) }
        };
        let greeting = session.reply();
        if !greeting.starts_with("220") {
            return Err(greeting);
        }
        greet(&mut session)?;
        if message.tls != "none" {
            assert!(session.say("STARTTLS").starts_with("220"));
            let terms = Terms::asking_for("mail.keep.test");
            let terms = if message.tls == "1.2" { terms.tls12() } else { terms };
            let (stream, _) = tls::connect(other, &terms).expect("a handshake");
            session.stream = BufReader::new(stream);
            greet(&mut session)?;
        }
        Ok(session)
    }

    fn say(&mut self, line: &str) -> String {
        let _ = self.stream.get_mut().write_all(format!("{line}\r\n").as_bytes());
        self.reply()
    }

    fn reply(&mut self) -> String {
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line).unwrap_or(0) == 0 {
                return line;
            }
            if line.get(3..4) != Some("-") {
                return line.trim_end().to_owned();
            }
        }
    }
}

/// An address to bind to.
trait ToAddress {
    fn to_owned_address(self) -> socket2::SockAddr;
}

impl ToAddress for (IpAddr, u16) {
    fn to_owned_address(self) -> socket2::SockAddr {
        std::net::SocketAddr::from(self).into()
    }
}

/// The reply that refused it, or `None` where it was taken; and whether it came so far that
/// the server knew its sender.
fn live(server: &Server, message: &Message) -> (Option<String>, bool) {
    match Session::open(server, message) {
        Ok(mut session) => (transaction(&mut session, message), true),
        Err(reply) => (Some(reply), false),
    }
}

fn transaction(session: &mut Session, message: &Message) -> Option<String> {
    for command in [format!("MAIL FROM:<{}>", message.from), format!("RCPT TO:<{}>", message.to)] {
        let reply = session.say(&command);
        if !reply.starts_with("250") {
            return Some(reply);
        }
    }
    let reply = session.say("DATA");
    if !reply.starts_with("354") {
        return Some(reply);
    }
    let reply = session.say(&format!("{}.", message.content.replace('\n', "\r\n")));
    (!reply.starts_with("250")).then_some(reply)
}

/// The rule and the promise of each message in the evidence, by its sender.
fn recorded(server: &Server) -> BTreeMap<String, Fate> {
    let mut found = BTreeMap::new();
    for line in server.ok(&["evidence", "export"]).lines() {
        let line: Value = serde_json::from_str(line).expect("a line of JSON");
        let Some(payload) = line["entry"]["payload"].as_str() else { continue };
        let entry: Value = serde_json::from_str(payload).expect("an entry");
        let rule = |of: &Value| of["rule"]["number"].as_str().map(str::to_owned);
        match entry["kind"].as_str() {
            Some("accepted") => {
                let from = entry["envelope"]["from"].as_str().unwrap_or_default().to_owned();
                let promise = &entry["recipients"][0];
                let verdict = match promise["verdict"].as_str().unwrap_or_default() {
                    "relay" | "deliver" => "pass".to_owned(),
                    other => other.to_owned(),
                };
                found.insert(from, Fate { verdict, rule: rule(promise) });
            }
            Some("refused") => {
                let from = entry["from"].as_str().unwrap_or_default().to_owned();
                let verdict = entry["reply"].as_str().unwrap_or_default().to_owned();
                found.insert(from, Fate { verdict, rule: rule(&entry) });
            }
            _ => {}
        }
    }
    found
}

/// Every file of the store, octet by octet.
fn store(server: &Server) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(server.dir().join("data")).expect("the store").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        // The index of the log is memory that processes share, not a record.
        if entry.path().is_file() && !name.ends_with("-shm") {
            files.insert(name, fs::read(entry.path()).expect("a file"));
        }
    }
    files
}

#[test]
fn explain_names_the_verdict_the_reply_and_the_rule_that_live_mail_gets_and_changes_nothing() {
    let seed = std::env::var("MAILKEEP_SEED").ok().and_then(|n| n.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..1 << 32));
    println!("seed {seed} (MAILKEEP_SEED)");
    let mut random = fastrand::Rng::with_seed(seed);
    let server = Server::start(&configuration(""));
    let file = server.dir().join("message.eml");
    let (mut number, mut by_word) = (0, BTreeMap::<String, usize>::new());
    for set in 0..RULE_SETS {
        let text = (0..DRAWS_MAX).find_map(|_| {
            let text = rules(&mut random);
            server.reload(&configuration(&text)).status.success().then_some(text)
        });
        let text = text.expect("rules that the checker takes");
        let messages: Vec<Message> = (0..MESSAGES)
            .map(|_| {
                number += 1;
                message(&mut random, number)
            })
            .collect();
        std::thread::sleep(std::time::Duration::from_millis(300));
        let before = store(&server);
        let told: Vec<Fate> =
            messages.iter().map(|message| explained(&server, message, &file)).collect();
        let after = store(&server);
        assert!(before == after, "seed {seed}: explain has changed the store");

        let replies: Vec<(Option<String>, bool)> =
            messages.iter().map(|message| live(&server, message)).collect();
        // Refusals are written off the session's path.
        std::thread::sleep(std::time::Duration::from_millis(300));
        let recorded = recorded(&server);
        for ((message, told), (reply, came_far)) in messages.iter().zip(&told).zip(&replies) {
            let about = format!(
                "seed {seed}, set {set}: {} to {} from {} ({}, {}, TLS {})\n{}\n{text}",
                message.from,
                message.to,
                message.client,
                message.helo,
                message.listener,
                message.tls,
                message.content
            );
            let refused = !matches!(told.verdict.as_str(), "pass" | "quarantine" | "discard");
            assert_eq!(refused, reply.is_some(), "told {told:?}, live {reply:?}\n{about}");
            if let Some(reply) = reply {
                assert_eq!(told.verdict, *reply, "{about}");
            }
            *by_word.entry(told.verdict.chars().take(4).collect()).or_default() += 1;
            // Without a sender it cannot be found; refusals that no rule gave are not kept.
            if message.from.is_empty() || !came_far || (refused && told.rule.is_none()) {
                continue;
            }
            let live = recorded.get(&message.from);
            assert_eq!(Some(told), live, "told, and then recorded\n{about}");
        }
    }
    println!("{number} messages: {by_word:?}");
    assert!(by_word.len() >= 3, "only {by_word:?}");
}

#[test]
fn a_rule_against_plain_connections_leaves_the_way_to_starttls_open() {
    let server = Server::start(&configuration(
        "rule only_tls { when all { connection is plain }; reject 550 5.7.10 \"TLS only\" }\n\
         rule no_localhost { when all { helo is localhost }; reject 550 5.7.1 \"Say who you are\" }\n",
    ));
    let mut client = server.connect("mx");
    assert!(client.expect("EHLO client.test", "250").contains("STARTTLS"));
    client.expect("MAIL FROM:<a@x.test>", "550 5.7.10 TLS only");
    client.starttls(&Terms::asking_for("mail.keep.test"));
    client.expect("EHLO client.test", "250");
    client.expect("MAIL FROM:<a@x.test>", "250");
    // What TLS cannot change is said at once, and can be found.
    client.expect("EHLO localhost", "550 5.7.1 Say who you are");
    let log = server.log();
    assert!(log.contains("no_localhost") && log.contains("ehlo"), "{log}");
}
