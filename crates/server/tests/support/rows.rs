//! The rows of the truth table, as far as a configuration can ask for them, and the
//! partners they speak of.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use lab::partner::{Tls, Versions};
use lab::{Authority, Fault, Identity, Partner, Script, Stage};

use crate::support::partners::Lab;

/// The table of crate `tls`.
const TABLE: &str = include_str!("../../../tls/tests/truth-table.txt");

/// One row.
#[derive(Debug, Clone)]
pub struct Row {
    /// Its line in the table; it names the row's domain and sender.
    pub line: usize,
    /// What is demanded, each by one source.
    pub demands: Vec<String>,
    /// The kind of partner.
    pub peer: String,
    /// `send`, `wait` or `bounce`.
    pub answer: String,
    /// The word for the protection.
    pub protection: String,
    /// The enhanced status of what is not sent, or `-`.
    pub status: String,
}

impl Row {
    /// The domain whose mail is sent.
    pub fn domain(&self) -> String {
        format!("d{}.test", self.line)
    }

    /// The recipient.
    pub fn recipient(&self) -> String {
        format!("r@{}", self.domain())
    }

    /// The sender, who hears of failures.
    pub fn sender(&self) -> String {
        format!("s{}@back.test", self.line)
    }

    /// The name of the domain's mail exchanger.
    pub fn exchanger(&self) -> String {
        match self.peer.as_str() {
            "mta-sts-listed" | "foreign-mx" => format!("mx{}.foreign.test", self.line),
            _ => format!("mx.{}", self.domain()),
        }
    }

    /// Where the exchanger listens, but for the port that all share.
    pub fn address(&self) -> Ipv4Addr {
        let [_, _, high, low] = u32::try_from(self.line).expect("a line").to_be_bytes();
        Ipv4Addr::new(127, 3, high, low)
    }

    /// What the whole server demands by default; `None` where a rule goes before it.
    pub fn default_level(&self) -> &str {
        let words = self.demands.iter().find_map(|demand| demand.strip_prefix("default "));
        words.unwrap_or("opportunistic")
    }

    /// Whether the message itself demands TLS.
    pub fn requires_tls(&self) -> bool {
        self.demands.iter().any(|demand| demand == "requiretls")
    }

    /// The rule that demands something, in the words of the configuration. It goes by the
    /// sender: the checker refuses a rule that names a listed partner and demands less (C210).
    pub fn rule(&self) -> Option<String> {
        let words = self.demands.iter().find_map(|demand| demand.strip_prefix("rule "))?;
        let (level, version) = words.split_once(' ').unwrap_or((words, ""));
        let version = if version.is_empty() {
            String::new()
        } else {
            format!("; relay-tls-versions {version}")
        };
        Some(format!(
            "rule r{} {{ when all {{ sender is {} }}; relay-encryption {}{version} }}",
            self.line,
            self.sender(),
            level_word(level)
        ))
    }

    /// The Force Encrypt entry, in the words of the configuration.
    pub fn force_encrypt(&self, pinned: &Identity) -> Option<String> {
        let words = self.demands.iter().find_map(|demand| demand.strip_prefix("force-encrypt "))?;
        let domain = self.domain();
        Some(match words.split_once(' ') {
            Some((level, version)) => format!("{domain} {level} min-tls {version}"),
            None if words == "pin" => {
                let pin = tls::Fingerprint::of(&pinned.chain()[0]);
                format!("{domain} pin sha256:{pin}")
            }
            None => format!("{domain} {words}"),
        })
    }
}

/// The word of the configuration for a level of the table.
pub fn level_word(level: &str) -> &str {
    match level {
        "encrypted" => "required",
        other => other,
    }
}

/// Why a row cannot be played on a wire with this release: no configuration asks for it.
pub fn left_out(row: &Row) -> Option<&'static str> {
    let demanded = |words: &[&str]| row.demands.iter().any(|d| words.contains(&d.as_str()));
    if demanded(&["mta-sts enforce", "mta-sts testing"]) {
        Some("MTA-STS policies are not looked up yet")
    } else if demanded(&["dane", "dane-unusable"]) {
        Some("TLSA records are not looked up yet: a demand of DANE")
    } else if row.peer == "dns-failed" {
        Some("TLSA records are not looked up yet: a look-up that fails")
    } else {
        None
    }
}

/// Every row of the table.
pub fn rows() -> Vec<Row> {
    TABLE
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
        .map(|(at, line)| {
            let fields: Vec<&str> = line.split('|').map(str::trim).collect();
            let [demands, peer, answer, protection, status] = fields[..] else {
                panic!("line {} of the table", at + 1)
            };
            Row {
                line: at + 1,
                demands: demands.split('+').map(|demand| demand.trim().to_owned()).collect(),
                peer: peer.to_owned(),
                answer: answer.to_owned(),
                protection: protection.to_owned(),
                status: status.to_owned(),
            }
        })
        .collect()
}

/// The partner of a row, at its address and `port`, and the certificate that a pin names.
pub fn partner(lab: &Lab, stranger: &Authority, row: &Row, port: u16) -> (Partner, Identity) {
    let name = row.exchanger();
    let good = || lab.identity(&name);
    let pinned = Identity::self_signed(&[&name]).expect("a certificate");
    let plain = Script::named(&name);
    let script = match row.peer.as_str() {
        "no-starttls" => plain,
        "stripped" => plain.certificate(good()).tls(Tls::Stripped),
        "starttls-refused-454" => plain.certificate(good()).tls(Tls::Refused),
        "starttls-refused-554" => {
            plain.certificate(good()).fault(Fault::at(Stage::StartTls).reply("554 5.7.0 No"))
        }
        "broken-handshake" => plain.certificate(good()).tls(Tls::Garbage),
        "closed-in-handshake" => plain.certificate(good()).tls(Tls::DroppedInHandshake),
        "injected" => plain.certificate(good()).tls(Tls::Injected),
        "self-signed" | "dane-match" => {
            plain.certificate(Identity::self_signed(&[&name]).expect("a certificate"))
        }
        "unknown-issuer" => plain.certificate(stranger.issue(&[&name]).expect("a certificate")),
        "wrong-name" => plain.certificate(lab.identity("mx1.other.test")),
        "expired" => {
            plain.certificate(lab.authority.issue_expired(&[&name]).expect("a certificate"))
        }
        "pinned" => plain.certificate(pinned.clone()),
        "silent-handshake" | "mta-sts-listed" | "foreign-mx" | "good-tls13" => {
            plain.certificate(good())
        }
        "good-tls12-only" => plain.certificate(good()).versions(Versions::Tls12),
        "good-tls13-only" => plain.certificate(good()).versions(Versions::Tls13),
        other => panic!("line {}: unknown partner {other}", row.line),
    };
    let address = SocketAddr::from((row.address(), port));
    let partner = if row.peer == "silent-handshake" {
        let partner = lab.partner(script);
        silence_the_handshake(address, partner.address());
        partner
    } else {
        lab.partner_at(address, script)
    };
    (partner, pinned)
}

/// Passes connections on to `partner` until it has said that TLS may begin; then nothing
/// passes any more, and nobody closes.
fn silence_the_handshake(address: SocketAddr, partner: SocketAddr) {
    let listener = TcpListener::bind(address).expect("an address for the silent one");
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = TcpStream::connect(partner).expect("the partner");
            let client = Arc::new(client);
            let server = Arc::new(server);
            let (from, to) = (Arc::clone(&client), Arc::clone(&server));
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut &*from, &mut &*to);
                let _ = to.shutdown(Shutdown::Both);
            });
            std::thread::spawn(move || {
                let mut piece = [0; 4096];
                while let Ok(read @ 1..) = (&*server).read(&mut piece) {
                    if (&*client).write_all(&piece[..read]).is_err() {
                        break;
                    }
                    if piece[..read].windows(9).any(|words| words == b"start TLS") {
                        // The partner waits for a handshake that never reaches it.
                        while matches!((&*server).read(&mut piece), Ok(1..)) {}
                        return;
                    }
                }
                let _ = client.shutdown(Shutdown::Both);
            });
        }
    });
}
