//! Virus and spam scanners, each by its own protocol.
//!
//! [`scan`] asks one scanner about one message. The parsers of the answers are public in
//! their modules: they read what another program wrote.

pub mod clamd;
pub mod rspamd;
pub mod spamd;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mail::Timestamp;
use web_client::Place;

use crate::dial::{Dialer, Endpoint};

/// One scanner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scanner {
    /// Its name, for rules, logs and evidence.
    pub name: String,
    /// What it is and where.
    pub kind: Kind,
    /// How long its connection is waited for.
    pub connect: Duration,
    /// How long its verdict is waited for, in all.
    pub timeout: Duration,
    /// Longer messages are not shown to it, in octets.
    pub max_octets: u64,
}

/// What a scanner is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// ClamAV's clamd.
    Clamd(Endpoint),
    /// Rspamd's normal worker; the place without its path.
    Rspamd(Place),
    /// SpamAssassin's spamd.
    Spamd(Endpoint),
}

/// What a scanner is told beside the message.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// The client's address.
    pub ip: Option<std::net::IpAddr>,
    /// What it said in EHLO.
    pub helo: Option<String>,
    /// Its name, if it has one that is confirmed.
    pub client_name: Option<String>,
    /// The reverse-path, without brackets.
    pub from: String,
    /// The recipients, without brackets.
    pub recipients: Vec<String>,
    /// Who signed in.
    pub user: Option<String>,
    /// The message's name here.
    pub id: String,
    /// This server's name.
    pub hostname: String,
    /// The TLS version of the connection.
    pub tls_version: Option<String>,
}

/// What a scanner says of a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    /// The names of the viruses found.
    pub viruses: Vec<String>,
    /// What it thinks of spam.
    pub spam: Option<Spam>,
    /// Fields it wants at the top.
    pub add: Vec<(String, String)>,
    /// Fields it wants gone.
    pub remove: Vec<String>,
}

/// A spam scanner's opinion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spam {
    /// The score.
    pub score: Score,
    /// From where on it is spam.
    pub threshold: Option<Score>,
    /// What should be done.
    pub action: Action,
    /// The names of the tests that counted, in the scanner's order.
    pub symbols: Vec<String>,
}

/// A score in thousandths, so that it can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Score(pub i32);

/// What a spam scanner wants done, mildest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Nothing.
    None,
    /// Let it come again later.
    Greylist,
    /// Mark it in the header.
    AddHeader,
    /// Mark it in the subject.
    RewriteSubject,
    /// Refuse it for now.
    SoftReject,
    /// Refuse it.
    Reject,
}

/// Why a scanner gave no verdict.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// No connection, or it broke.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It gave no answer in time.
    #[error("it gave no verdict in time")]
    Timeout,
    /// The message is longer than it is shown.
    #[error("the message is longer than the {0} octets that are shown to it")]
    TooLong(u64),
    /// It says that it cannot.
    #[error("it says: {0}")]
    Refused(String),
    /// Its answer cannot be read.
    #[error("its answer cannot be read")]
    Unreadable,
    /// It answered with another status.
    #[error("it answered with status {0}")]
    Status(u16),
    /// No exchange by HTTP.
    #[error("{0}")]
    Web(#[from] web_client::Error),
}

/// With whom and how scanners are reached.
#[derive(Clone)]
pub struct Reach {
    /// For clamd and spamd.
    pub dialer: Dialer,
    /// For Rspamd.
    pub web: web_client::Client,
}

/// Names of viruses and symbols that are kept of one answer.
pub(crate) const NAMES_MAX: usize = 100;
/// The longest of them, in characters.
pub(crate) const NAME_MAX_CHARS: usize = 200;
/// The longest answer of a scanner that is read, in octets.
pub const ANSWER_MAX_OCTETS: usize = 1024 * 1024;

/// Asks `scanner` about a message.
///
/// # Errors
///
/// [`Failure`]: there is no verdict. What that means is the administrator's choice.
pub async fn scan(
    scanner: &Scanner,
    reach: &Reach,
    message: &[Bytes],
    about: &Arc<About>,
    now: Timestamp,
) -> Result<Verdict, Failure> {
    let octets: u64 = message.iter().map(|part| part.len() as u64).sum();
    if octets > scanner.max_octets {
        return Err(Failure::TooLong(scanner.max_octets));
    }
    let asked = async {
        match &scanner.kind {
            Kind::Clamd(endpoint) => {
                let stream = reach.dialer.connect(endpoint, scanner.connect).await?;
                clamd::scan(stream, message).await
            }
            Kind::Spamd(endpoint) => {
                let stream = reach.dialer.connect(endpoint, scanner.connect).await?;
                spamd::scan(stream, message, about).await
            }
            Kind::Rspamd(place) => {
                rspamd::scan(&reach.web, place, scanner, message, about, now).await
            }
        }
    };
    tokio::time::timeout(scanner.timeout, asked).await.map_err(|_| Failure::Timeout)?
}

/// Asks a scanner whether it is there; gives what it says of itself.
///
/// # Errors
///
/// As [`scan`].
pub async fn ping(scanner: &Scanner, reach: &Reach, now: Timestamp) -> Result<String, Failure> {
    let asked = async {
        match &scanner.kind {
            Kind::Clamd(endpoint) => {
                let stream = reach.dialer.connect(endpoint, scanner.connect).await?;
                clamd::ping(stream).await?;
                let stream = reach.dialer.connect(endpoint, scanner.connect).await?;
                clamd::version(stream).await
            }
            Kind::Spamd(endpoint) => {
                let stream = reach.dialer.connect(endpoint, scanner.connect).await?;
                spamd::ping(stream).await
            }
            Kind::Rspamd(place) => rspamd::ping(&reach.web, place, scanner, now).await,
        }
    };
    tokio::time::timeout(scanner.timeout, asked).await.map_err(|_| Failure::Timeout)?
}

impl Score {
    /// Reads `5`, `-1.25`; digits after the third are cut off.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if (whole.is_empty() && part.is_empty()) || !number(whole) || !number(part) {
            return None;
        }
        let whole: i32 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        let mut thousandths = 0;
        for digit in part.bytes().chain(*b"000").take(3) {
            thousandths = thousandths * 10 + i32::from(digit - b'0');
        }
        let score = whole.checked_mul(1_000)?.checked_add(thousandths)?;
        Some(Self(if negative { -score } else { score }))
    }

    /// The nearest score to a number; what is no number is none.
    pub fn from_f64(number: f64) -> Option<Self> {
        let thousandths = (number * 1_000.0).round();
        let fits = thousandths >= f64::from(i32::MIN) && thousandths <= f64::from(i32::MAX);
        fits.then_some(Self(thousandths as i32))
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (whole, part) = (self.0.unsigned_abs() / 1_000, self.0.unsigned_abs() % 1_000);
        let part = format!("{part:03}");
        let part = part.trim_end_matches('0');
        if part.is_empty() { write!(f, "{sign}{whole}") } else { write!(f, "{sign}{whole}.{part}") }
    }
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 6] = [
        Self::None,
        Self::Greylist,
        Self::AddHeader,
        Self::RewriteSubject,
        Self::SoftReject,
        Self::Reject,
    ];

    /// As rules name it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Greylist => "greylist",
            Self::AddHeader => "add-header",
            Self::RewriteSubject => "rewrite-subject",
            Self::SoftReject => "soft-reject",
            Self::Reject => "reject",
        }
    }
}

/// A name another program gave, fit for a log: printable, of bounded length.
pub(crate) fn name(text: &str) -> String {
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(NAME_MAX_CHARS).map(visible).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_is_read_and_written_in_thousandths() {
        for (text, thousandths, shown) in [
            ("5", 5_000, "5"),
            ("-1.25", -1_250, "-1.25"),
            ("0.0009", 0, "0"),
            (".5", 500, "0.5"),
            ("+3.10", 3_100, "3.1"),
            ("-0.1", -100, "-0.1"),
        ] {
            assert_eq!(Score::parse(text), Some(Score(thousandths)), "{text}");
            assert_eq!(Score(thousandths).to_string(), shown);
        }
        for text in ["", ".", "-", "1e3", "nan", "99999999999", "1.2.3"] {
            assert_eq!(Score::parse(text), None, "{text}");
        }
        assert_eq!(Score::from_f64(12.3456), Some(Score(12_346)));
        assert_eq!(Score::from_f64(f64::NAN), None);
        assert_eq!(Score::from_f64(1e300), None);
    }
}
