//! One entry: who is meant, and how much protection is demanded.

use std::fmt;

use ipnet::IpNet;
use mail::Timestamp;
use tls::{Demand, Fingerprint, Level, Requirement, Source, Version, Versions};

use crate::action::version_word;
use crate::lookup::canonical;
use crate::rule::Origin;
use crate::test::DomainPattern;
use crate::words::{WordError, Words, network};

/// The longest owner or reason, in octets.
pub const NOTE_MAX_OCTETS: usize = 500;
/// The most pins of one entry.
pub const PINS_MAX: usize = 16;

/// The words for the levels that an entry can demand.
pub const LEVEL_WORDS: [(&str, Level); 2] =
    [("encrypted", Level::Encrypted), ("verified", Level::Authenticated)];

/// One line of the Force Encrypt table.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Who is meant.
    pub key: Key,
    /// [`Level::Encrypted`] or [`Level::Authenticated`].
    pub level: Level,
    /// The oldest TLS version that will do.
    pub min_version: Option<Version>,
    /// Certificates or public keys of which the partner must show one.
    pub pins: Vec<Fingerprint>,
    /// Which way of mail is meant.
    pub direction: Direction,
    /// The instant from which the entry no longer applies.
    pub expires: Option<Timestamp>,
    /// Who answers for the entry.
    pub owner: Option<String>,
    /// Why it is there.
    pub reason: Option<String>,
    /// Where it is written.
    pub origin: Origin,
}

/// Who an entry is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// A domain, or the names below one.
    Domain(DomainPattern),
    /// An address or a network.
    Network(IpNet),
}

/// Which way mail goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Direction {
    /// From the partner.
    In,
    /// To the partner.
    Out,
    /// Both.
    #[default]
    Both,
}

impl Direction {
    const WORDS: [(&'static str, Self); 3] =
        [("in", Self::In), ("out", Self::Out), ("both", Self::Both)];

    /// Whether mail from the partner is meant.
    pub const fn is_in(self) -> bool {
        match self {
            Self::In | Self::Both => true,
            Self::Out => false,
        }
    }

    /// Whether mail to the partner is meant.
    pub const fn is_out(self) -> bool {
        match self {
            Self::Out | Self::Both => true,
            Self::In => false,
        }
    }
}

impl Key {
    /// Reads a domain, `.domain`, an address or a network.
    ///
    /// # Errors
    ///
    /// Words that say what is wrong; a network with host bits names the network meant,
    /// and a network of every address is refused.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
        let looks_like_a_network = bare.contains([':', '/'])
            || bare.rsplit('.').next().is_some_and(|l| l.bytes().all(|b| b.is_ascii_digit()));
        if !looks_like_a_network {
            let pattern = DomainPattern::parse(text).map_err(|error| error.to_string())?;
            return Ok(Self::Domain(pattern));
        }
        let net = network(bare)?;
        if net.prefix_len() == 0 {
            return Err("a network of every address is no partner".into());
        }
        Ok(Self::Network(canonical(net)))
    }
}

impl Entry {
    /// An entry that demands TLS both ways and nothing more.
    pub fn encrypted(key: Key, origin: Origin) -> Self {
        Self {
            key,
            level: Level::Encrypted,
            min_version: None,
            pins: Vec::new(),
            direction: Direction::Both,
            expires: None,
            owner: None,
            reason: None,
            origin,
        }
    }

    /// Reads the words of one line: the key, then in any order `encrypted` or `verified`,
    /// `min-tls 1.3`, `pin sha256:DIGITS` (repeatable), `until YYYY-MM-DD`, `owner TEXT`,
    /// `reason TEXT`, `direction in|out|both`.
    ///
    /// # Errors
    ///
    /// [`WordError`] names the word at fault.
    pub fn parse(words: &[&str], origin: Origin) -> Result<Self, WordError> {
        #[derive(Clone)]
        enum Option {
            Level(Level),
            MinTls,
            Pin,
            Until,
            Owner,
            Reason,
            Direction,
        }
        let mut words = Words::new(words);
        let key = words.read("a domain, an IP address or a network", Key::parse)?;
        let mut entry = Self::encrypted(key, origin);
        let mut options = vec![
            ("min-tls", Option::MinTls),
            ("pin", Option::Pin),
            ("until", Option::Until),
            ("owner", Option::Owner),
            ("reason", Option::Reason),
            ("direction", Option::Direction),
        ];
        options.extend(LEVEL_WORDS.map(|(word, level)| (word, Option::Level(level))));
        while words.peek().is_some() {
            match words.one_of("an option", &options)? {
                Option::Level(level) => entry.level = level,
                Option::MinTls => {
                    entry.min_version = Some(words.read("a TLS version", str::parse)?);
                }
                Option::Pin => {
                    let full = entry.pins.len() >= PINS_MAX;
                    let pin =
                        words.read("a fingerprint", |word| match word.parse::<Fingerprint>() {
                            Ok(_) if full => Err(format!("an entry has at most {PINS_MAX} pins")),
                            Ok(pin) => Ok(pin),
                            Err(error) => Err(error.to_string()),
                        })?;
                    entry.pins.push(pin);
                    // A pin proves who the partner is, so nothing less than that is meant.
                    entry.level = Level::Authenticated;
                }
                Option::Until => {
                    entry.expires = Some(words.read("a date such as 2026-12-31", end_of_day)?);
                }
                Option::Owner => entry.owner = Some(words.read("a text", note)?),
                Option::Reason => entry.reason = Some(words.read("a text", note)?),
                Option::Direction => {
                    entry.direction = words.one_of("in, out or both", &Direction::WORDS)?;
                }
            }
        }
        Ok(entry)
    }

    /// Whether it applies at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|end| now < end)
    }

    /// What it demands of a connection to the partner.
    pub fn requirement(&self) -> Requirement {
        let requirement = match self.level {
            Level::None | Level::Opportunistic | Level::Encrypted => Requirement::encrypted(),
            Level::Authenticated if self.pins.is_empty() => Requirement::authenticated(),
            Level::Authenticated => Requirement::pinned(self.pins.iter().copied()),
        };
        match self.min_version {
            Some(version) => requirement.with_versions(Versions::at_least(version)),
            None => requirement,
        }
    }

    /// The demand with its source, for the verdict on a connection.
    pub fn demand(&self) -> Demand {
        let source = Source::ForceEncrypt { entry: self.key.to_string(), line: self.origin.line };
        Demand::new(source, self.requirement())
    }
}

/// The first instant after a day, UTC.
fn end_of_day(text: &str) -> Result<Timestamp, String> {
    let date: jiff::civil::Date = text.parse().map_err(|_| String::new())?;
    let end = date.tomorrow().and_then(|day| day.to_zoned(jiff::tz::TimeZone::UTC));
    end.map(|end| Timestamp(end.timestamp().as_millisecond())).map_err(|_| String::new())
}

fn note(text: &str) -> Result<String, String> {
    if text.len() > NOTE_MAX_OCTETS || text.chars().any(char::is_control) {
        return Err(format!("at most {NOTE_MAX_OCTETS} octets on one line"));
    }
    Ok(text.to_owned())
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(pattern) => write!(f, "{pattern}"),
            Self::Network(net) if net.prefix_len() == net.max_prefix_len() => {
                write!(f, "{}", net.addr())
            }
            Self::Network(net) => write!(f, "{net}"),
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = Self::WORDS.iter();
        f.write_str(words.clone().find(|(_, way)| way == self).map_or("both", |(word, _)| word))
    }
}

impl fmt::Display for Entry {
    /// As the table has it; what is default is left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.key)?;
        if self.level == Level::Authenticated {
            f.write_str(" verified")?;
        }
        if let Some(version) = self.min_version {
            write!(f, " min-tls {}", version_word(version))?;
        }
        for pin in &self.pins {
            write!(f, " pin sha256:{}", pin.to_string().replace(':', ""))?;
        }
        if self.direction != Direction::Both {
            write!(f, " direction {}", self.direction)?;
        }
        if let Some(end) = self.expires {
            let last = Timestamp(end.0.saturating_sub(1)).to_rfc3339();
            write!(f, " until {}", last.get(..10).unwrap_or(&last))?;
        }
        for (word, text) in [("owner", &self.owner), ("reason", &self.reason)] {
            if let Some(text) = text {
                write!(f, " {word} \"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Entry, WordError> {
        Entry::parse(words, Origin::BUILT_IN)
    }

    #[test]
    fn every_option_is_shown_as_it_is_read() {
        let pin = format!("sha256:{}", "0a".repeat(32));
        let words = [
            ".bank.example",
            "verified",
            "min-tls",
            "1.3",
            "pin",
            &pin,
            "direction",
            "out",
            "until",
            "2026-12-31",
            "owner",
            "Ana",
            "reason",
            "Contract \"7\"",
        ];
        let shown = format!(
            ".bank.example verified min-tls 1.3 pin {pin} direction out until 2026-12-31 \
             owner \"Ana\" reason \"Contract \\\"7\\\"\""
        );
        assert_eq!(read(&words).unwrap().to_string(), shown);
        for key in
            ["bank.example", "192.0.2.7", "192.0.2.0/24", "2001:db8::/32", "their_domain.com"]
        {
            assert_eq!(read(&[key]).unwrap().to_string(), key);
        }
        assert_eq!(read(&["bank.example", "encrypted"]).unwrap().level, Level::Encrypted);
    }

    #[test]
    fn what_is_no_partner_is_refused_with_a_way_out() {
        for (words, word, part) in [
            (&["207.219.44.5/24"][..], 0, "the network is 207.219.44.0/24"),
            (&["0.0.0.0/0"], 0, "no partner"),
            (&["::/0"], 0, "no partner"),
            (&["300.1.2.3"], 0, "is not a domain, an IP address or a network"),
            (&["a..example"], 0, "not a valid label"),
            (&["bank.example", "clinic.example"], 1, "cannot stand here"),
            (&["bank.example", "min-tls", "1.0"], 2, "RFC 8996"),
            (&["bank.example", "until", "2026-02-30"], 2, "a date such as"),
            (&["bank.example", "pin", "sha256:00"], 2, "64 hexadecimal digits"),
            (&["bank.example", "direction", "up"], 2, "cannot stand here"),
            (&["bank.example", "reason"], 2, "missing"),
        ] {
            let error = read(words).unwrap_err();
            assert_eq!(error.word, word, "{error}");
            assert!(error.to_string().contains(part), "{words:?}: {error}");
        }
    }

    #[test]
    fn an_entry_applies_to_the_end_of_its_last_day() {
        let entry = read(&["bank.example", "until", "2026-03-02"]).unwrap();
        let midnight = 1_772_496_000_000; // 2026-03-03T00:00:00Z
        assert!(entry.is_live(Timestamp(midnight - 1)));
        assert!(!entry.is_live(Timestamp(midnight)));
    }

    #[test]
    fn the_demand_is_as_strong_as_the_entry() {
        let of = |words: &[&str]| read(words).unwrap().requirement();
        assert_eq!(of(&["a.example"]), Requirement::encrypted());
        assert_eq!(of(&["a.example", "verified"]), Requirement::authenticated());
        let thirteen = of(&["a.example", "min-tls", "1.3"]);
        assert_eq!(thirteen.versions, Versions::only(Version::Tls13));
        let pinned = of(&["a.example", "pin", &"0a".repeat(32)]);
        assert!(pinned.level == Level::Authenticated && pinned.proofs.iter().all(|p| !p.web_pki));
    }
}
