//! The truth table of transport protection, run against scripted partners over real
//! sockets: the same rows as the pure test of crate `tls`, through the whole server.

mod support;

#[path = "support/rows.rs"]
mod rows;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use lab::{Authority, Dns, Identity, Partner, Records};
use rows::{Row, left_out, level_word, partner, rows};
use serde_json::Value;
use support::partners::Lab;
use support::tls::Terms;
use support::{Client, Server, wait_for};
use tempfile::TempDir;

/// A row and whom it meets.
struct Case {
    row: Row,
    partner: Partner,
    pinned: Identity,
}

/// All rows that one server is asked for, because they have their default in common.
struct Batch {
    server: Server,
    cases: Vec<Case>,
    /// What the evidence says of each domain's last attempt.
    attempts: BTreeMap<String, Value>,
}

/// A port that is free on every address of 127/8, as far as one can tell.
fn shared_port() -> u16 {
    loop {
        let port = fastrand::u16(20_000..32_000);
        let free =
            |host: [u8; 4]| std::net::TcpListener::bind(SocketAddr::from((host, port))).is_ok();
        if free([0, 0, 0, 0]) && free([127, 3, 0, 99]) {
            return port;
        }
    }
}

fn configuration(default: &str, cases: &[Case], dns: &Dns, port: u16) -> String {
    let (level, versions) = match default.split_once(' ') {
        Some((level, version)) => (level, format!("tls-versions {version}")),
        None => (default, String::new()),
    };
    let lines = |each: fn(&Case) -> Option<String>| -> String {
        cases.iter().filter_map(each).map(|line| line + "\n").collect()
    };
    let rules = lines(|case| case.row.rule());
    let entries = lines(|case| case.row.force_encrypt(&case.pinned));
    let rules = if rules.is_empty() { rules } else { format!("rules {{\n{rules}}}") };
    let entries =
        if entries.is_empty() { entries } else { format!("force-encrypt {{\n{entries}}}") };
    format!(
        "
        hostname  mail.keep.test
        data      @DIR@/data
        trusted-networks 127.0.0.0/8
        ca-bundle @DIR@/authority.pem
        dns {{ server {}; cache off }}
        certificate mail {{ local-authority; names mail.keep.test }}
        listener mx {{ address 127.0.0.1; port 0; tls starttls; certificate mail }}
        domain back.test {{ deliver-to maildir @DIR@/maildir; recipients any }}
        delivery {{ port {port}; loopback on; addresses ipv4; default-encryption {}; {versions} }}
        timeouts {{ handshake 2s; reply 20s; connect 20s; greeting 20s }}
        queue {{ retry 1h; policy-notice off; delay-notice off; concurrency 40 }}
        limits {{ messages-per-connection off }}
        {rules}
        {entries}
        ",
        dns.address(),
        level_word(level)
    )
}

impl Batch {
    /// Starts a server and sends each row's message.
    fn run(lab: &Lab, stranger: &Authority, default: &str, rows: Vec<Row>, port: u16) -> Self {
        let cases: Vec<Case> = rows
            .into_iter()
            .map(|row| {
                let (partner, pinned) = partner(lab, stranger, &row, port);
                Case { row, partner, pinned }
            })
            .collect();
        let mut records = Records::new().ttl(0);
        for Case { row, .. } in &cases {
            records =
                records.mx(&row.domain(), 10, &row.exchanger()).a(&row.exchanger(), row.address());
        }
        let dns = lab.dns(records);
        let folder = TempDir::new().expect("a temporary folder");
        std::fs::write(folder.path().join("authority.pem"), lab.authority.pem())
            .expect("the authority is written");
        let server = Server::start_in(folder, &configuration(default, &cases, &dns, port));
        let mut clear = client(&server, false);
        let mut encrypted = client(&server, true);
        for Case { row, .. } in &cases {
            let client = if row.requires_tls() { &mut encrypted } else { &mut clear };
            let parameter = if row.requires_tls() { " REQUIRETLS" } else { "" };
            client.expect(&format!("MAIL FROM:<{}>{parameter}", row.sender()), "250");
            client.expect(&format!("RCPT TO:<{}>", row.recipient()), "250");
            client.expect("DATA", "354");
            client.send(
                format!("From: <{}>\r\nSubject: row\r\n\r\nsecret\r\n", row.sender()).as_bytes(),
            );
            client.expect(".", "250");
        }
        let mut batch = Self { server, cases, attempts: BTreeMap::new() };
        let settled = wait_for(|| {
            batch.read_the_evidence();
            (batch.attempts.len() == batch.cases.len()).then_some(())
        });
        assert!(
            settled.is_some(),
            "{} of {} rows were attempted\n{}",
            batch.attempts.len(),
            batch.cases.len(),
            batch.server.log()
        );
        drop(dns);
        batch
    }

    fn read_the_evidence(&mut self) {
        for line in self.server.ok(&["evidence", "export"]).lines() {
            let line: Value = serde_json::from_str(line).expect("a line of JSON");
            let Some(payload) = line["entry"]["payload"].as_str() else { continue };
            let entry: Value = serde_json::from_str(payload).expect("an entry");
            let target = entry["target"]["name"].as_str().unwrap_or_default();
            if entry["kind"] == "attempted" && is_of_a_row(target) {
                self.attempts.insert(target.to_owned(), entry);
            }
        }
    }

    /// What is not as the table says.
    fn wrong(&self, case: &Case) -> Option<String> {
        let Case { row, partner, .. } = case;
        let counters = partner.counters();
        let messages = partner.messages();
        let attempt = &self.attempts[&row.domain()];
        let protection = attempt["tls"]["protection"].as_str().unwrap_or("none");
        let result = attempt["recipients"][0]["result"].as_str().unwrap_or("none");
        let status = attempt["recipients"][0]["status"].as_str().unwrap_or("-");
        let bounces = self.server.maildir(&row.sender());
        let mut wrong = Vec::new();
        let mut check = |holds: bool, what: String| {
            if !holds {
                wrong.push(what);
            }
        };
        check(protection == row.protection, format!("protection is {protection}"));
        if row.answer == "send" {
            let in_clear = row.protection == "NOT ENCRYPTED";
            check(result == "taken", format!("it is {result}, {status}"));
            check(counters.accepted == 1, format!("{} arrived", counters.accepted));
            check(counters.mail_in_clear == u64::from(in_clear), "in the clear or not".to_owned());
            let encrypted = messages.iter().all(|message| message.tls.is_some());
            check(encrypted != in_clear, format!("arrived encrypted: {encrypted}"));
            check(bounces.is_empty(), "its sender got a notice".to_owned());
        } else {
            check(counters.mail == 0, format!("the partner heard MAIL {} times", counters.mail));
            check(partner.complete_messages().is_empty(), "the message arrived".to_owned());
            check(counters.mail_in_clear == 0, "the envelope left in the clear".to_owned());
            check(status == row.status, format!("status is {status}"));
            let (wanted, notices) =
                if row.answer == "wait" { ("deferred", 0) } else { ("refused", 1) };
            check(result == wanted, format!("it is {result}"));
            check(bounces.len() == notices, format!("{} notices", bounces.len()));
            let told =
                bounces.iter().all(|notice| notice.contains(&format!("Status: {}", row.status)));
            check(told, format!("the notice says something else: {bounces:?}"));
        }
        for violation in partner.violations() {
            check(false, violation);
        }
        (!wrong.is_empty()).then(|| {
            format!(
                "line {}: {} | {} | {} | {} | {}: {}\n    {attempt}",
                row.line,
                row.demands.join(" + "),
                row.peer,
                row.answer,
                row.protection,
                row.status,
                wrong.join("; ")
            )
        })
    }
}

/// Whether a domain is one that [`Row::domain`] names.
fn is_of_a_row(domain: &str) -> bool {
    let number = domain.strip_prefix('d').and_then(|rest| rest.strip_suffix(".test"));
    number.is_some_and(|number| number.parse::<usize>().is_ok())
}

fn client(server: &Server, encrypted: bool) -> Client {
    let mut client = server.connect("mx");
    client.expect("EHLO client.test", "250");
    if encrypted {
        client.starttls(&Terms::asking_for("mail.keep.test"));
        client.expect("EHLO client.test", "250");
    }
    client
}

#[test]
fn every_row_of_the_truth_table_holds_over_real_sockets() {
    let began = Instant::now();
    let lab = Lab::new();
    let stranger = Authority::new("Unknown authority").expect("an authority");
    let mut by_default: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    let mut without: BTreeMap<&str, usize> = BTreeMap::new();
    for row in rows() {
        match left_out(&row) {
            Some(reason) => *without.entry(reason).or_default() += 1,
            None => by_default.entry(row.default_level().to_owned()).or_default().push(row),
        }
    }
    let port = shared_port();
    let (mut count, mut wrong) = (0, Vec::new());
    for (default, rows) in by_default {
        let batch = Batch::run(&lab, &stranger, &default, rows, port);
        // Notices are mail of their own.
        let bounces = batch.cases.iter().filter(|case| case.row.answer == "bounce").count();
        let told = |case: &&Case| !batch.server.maildir(&case.row.sender()).is_empty();
        wait_for(|| (batch.cases.iter().filter(told).count() >= bounces).then_some(()));
        std::thread::sleep(Duration::from_millis(300));
        count += batch.cases.len();
        wrong.extend(batch.cases.iter().filter_map(|case| batch.wrong(case)));
        assert!(!batch.server.log().contains("panicked"), "{}", batch.server.log());
    }
    println!("{count} rows hold over sockets, {:?}; left out: {without:#?}", began.elapsed());
    assert!(wrong.is_empty(), "{} rows are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(count, PLAYED);
    let left_out: Vec<_> = without.into_iter().collect();
    assert_eq!(left_out, LEFT_OUT);
    assert!(began.elapsed() < TIME_MAX, "it took {:?}", began.elapsed());
}

/// Rows that are played.
const PLAYED: usize = 323;
/// Rows that no configuration can ask for yet, by the reason.
const LEFT_OUT: [(&str, usize); 3] = [
    ("MTA-STS policies are not looked up yet", 100),
    ("TLSA records are not looked up yet: a demand of DANE", 100),
    ("TLSA records are not looked up yet: a look-up that fails", 17),
];
/// How long it may take.
const TIME_MAX: Duration = Duration::from_secs(120);
