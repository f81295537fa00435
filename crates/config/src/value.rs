//! Kinds of values: what can be written, what it means, and what is wrong with it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use mail::{Address, Domain};
use rules::size::Octets;

use crate::code::Code;
use crate::diagnostic::{closest, one_of};
use crate::model::Target;
use crate::quantity::{format_duration, parse_duration};
use crate::secret::Secret;

/// The longest name of a listener, certificate, table or class.
pub const NAME_MAX_CHARS: usize = 64;
/// The longest text, in octets.
pub const TEXT_MAX_OCTETS: usize = 400;

/// What can be written as a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// This word and no other.
    Keyword(&'static str),
    /// One of these words, each with what it means.
    OneOf(&'static [(&'static str, &'static str)]),
    /// `on` or `off`.
    Switch,
    /// A whole number within bounds.
    Number(Bounds),
    /// Octets within bounds.
    Size(Bounds),
    /// A time within bounds, which are in milliseconds.
    Time(Bounds),
    /// A port; 0 lets the system choose one.
    Port,
    /// A host or domain name, no address.
    Domain,
    /// A mailbox.
    Address,
    /// An IP address.
    Ip,
    /// A network, or one address; none with host bits, none that is every address.
    Network,
    /// An IP address and a port.
    Socket {
        /// The port when none is written.
        port: u16,
    },
    /// A host and perhaps a port.
    Target,
    /// A file or folder.
    Path,
    /// `unix:` and a path, or a host and perhaps a port.
    Lmtp,
    /// A line of text.
    Text,
    /// A name given here.
    Name,
    /// Where a secret is kept.
    Secret,
    /// A TLS version.
    TlsVersion,
    /// A TLS cipher suite.
    TlsSuite,
}

/// The least and the greatest number, and whether `off` can be written instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The least.
    pub min: u64,
    /// The greatest.
    pub max: u64,
    /// Whether `off` switches it off.
    pub off: bool,
}

/// A value that was read.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A word of the schema.
    Word(&'static str),
    /// `on` or `off`.
    Switch(bool),
    /// `off` in place of a number.
    Off,
    /// A count, a port, or octets.
    Number(u64),
    /// A time.
    Time(Duration),
    /// A domain.
    Domain(Domain),
    /// A mailbox.
    Address(Address),
    /// An IP address.
    Ip(IpAddr),
    /// A network.
    Network(IpNet),
    /// An IP address and a port.
    Socket(SocketAddr),
    /// A host and perhaps a port.
    Target(Target),
    /// A path, relative ones taken from the folder of their file.
    Path(PathBuf),
    /// A Unix socket.
    Unix(PathBuf),
    /// A text or a name.
    Text(String),
    /// Where a secret is kept.
    Secret(Secret),
    /// A TLS version.
    Version(tls::Version),
    /// A TLS cipher suite.
    Suite(tls::Suite),
}

/// What is wrong with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The cause.
    pub code: Code,
    /// In words.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// What to write, where that is beyond doubt.
    pub replacement: Option<String>,
}

impl Problem {
    /// A problem without help.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), help: None, replacement: None }
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    fn replace_with(mut self, text: impl Into<String>) -> Self {
        self.replacement = Some(text.into());
        self
    }
}

impl Bounds {
    /// From `min` to `max`.
    pub const fn new(min: u64, max: u64) -> Self {
        Self { min, max, off: false }
    }

    /// The same, or `off`.
    #[must_use]
    pub const fn or_off(self) -> Self {
        Self { off: true, ..self }
    }

    /// Bounds in seconds for [`Kind::Time`].
    pub const fn seconds(min: u64, max: u64) -> Self {
        Self::new(min * 1_000, max * 1_000)
    }

    fn check(self, number: u64, shown: impl Fn(u64) -> String) -> Result<(), Problem> {
        if self.min <= number && number <= self.max {
            return Ok(());
        }
        let (min, max) = (shown(self.min), shown(self.max));
        let (message, bound) = if number < self.min {
            (format!("{} is less than {min}", shown(number)), min.clone())
        } else {
            (format!("{} is more than {max}", shown(number)), max.clone())
        };
        let range = format!("write a value from {min} to {max}");
        let help = if self.off { format!("{range}, or off") } else { range };
        Err(Problem::new(Code::OutOfBounds, message).help(help).replace_with(bound))
    }
}

impl Kind {
    /// Reads a word; relative paths start at `base`.
    ///
    /// # Errors
    ///
    /// [`Problem`] says what belongs here instead.
    pub fn read(self, word: &str, base: &Path) -> Result<Value, Problem> {
        match self {
            Self::Keyword(keyword) if word == keyword => Ok(Value::Word(keyword)),
            Self::Keyword(keyword) => Err(unknown_word(word, &[keyword])),
            Self::OneOf(choices) => choices
                .iter()
                .find(|(choice, _)| *choice == word)
                .map(|(choice, _)| Value::Word(choice))
                .ok_or_else(|| {
                    let words: Vec<_> = choices.iter().map(|(choice, _)| *choice).collect();
                    unknown_word(word, &words)
                }),
            Self::Switch => match word {
                "on" => Ok(Value::Switch(true)),
                "off" => Ok(Value::Switch(false)),
                _ => Err(unknown_word(word, &["on", "off"])),
            },
            Self::Number(bounds) => {
                self.bounded(word, bounds, |word| word.parse().ok(), |number| number.to_string())
            }
            Self::Size(bounds) => self.bounded(
                word,
                bounds,
                |word| Octets::parse(word).map(|octets| octets.0),
                |number| Octets(number).to_string(),
            ),
            Self::Time(bounds) => {
                let millis = |word: &str| {
                    parse_duration(word).and_then(|d| u64::try_from(d.as_millis()).ok())
                };
                let shown = |millis| format_duration(Duration::from_millis(millis));
                let value = self.bounded(word, bounds, millis, shown)?;
                Ok(if let Value::Number(millis) = value {
                    Value::Time(Duration::from_millis(millis))
                } else {
                    value
                })
            }
            Self::Port => word
                .parse::<u16>()
                .map(|port| Value::Number(port.into()))
                .map_err(|_| self.wrong(word)),
            Self::Domain => match Domain::parse(word) {
                Ok(domain) if domain.literal().is_none() && word.parse::<IpAddr>().is_err() => {
                    Ok(Value::Domain(domain))
                }
                Ok(_) => Err(self.wrong(word)),
                Err(error) => Err(self.because(word, &error.to_string())),
            },
            Self::Address => Address::parse(word)
                .map(Value::Address)
                .map_err(|error| self.because(word, &error.to_string())),
            Self::Ip => word.parse().map(Value::Ip).map_err(|_| self.wrong(word)),
            Self::Network => read_network(word).map(Value::Network),
            Self::Socket { port } => {
                read_socket(word, port).ok_or_else(|| self.wrong(word)).map(Value::Socket)
            }
            Self::Target => Target::parse(word).map(Value::Target).ok_or_else(|| self.wrong(word)),
            Self::Path if word.is_empty() => Err(self.wrong(word)),
            Self::Path => Ok(Value::Path(base.join(word))),
            Self::Lmtp => match word.strip_prefix("unix:") {
                Some("") => Err(self.wrong(word)),
                Some(path) => Ok(Value::Unix(base.join(path))),
                None => Target::parse(word).map(Value::Target).ok_or_else(|| self.wrong(word)),
            },
            Self::Text if word.len() > TEXT_MAX_OCTETS || word.chars().any(char::is_control) => {
                Err(self.wrong("this"))
            }
            Self::Text => Ok(Value::Text(word.to_owned())),
            Self::Name => read_name(word).map(Value::Text),
            // The word is not shown: it may be the secret itself.
            Self::Secret => Secret::parse(word, base).map(Value::Secret).ok_or_else(|| {
                let message = "a secret must not stand in the configuration";
                Problem::new(Code::SecretInClear, message)
                    .help("write where it is kept: env:NAME, file:PATH or credential:NAME")
            }),
            Self::TlsVersion => match word.parse() {
                Ok(version) => Ok(Value::Version(version)),
                Err(error) => Err(old_or_unknown(word, &error)),
            },
            Self::TlsSuite => match word.parse() {
                Ok(suite) => Ok(Value::Suite(suite)),
                Err(error) => Err(old_or_unknown(word, &error)),
            },
        }
    }

    fn bounded(
        self,
        word: &str,
        bounds: Bounds,
        read: impl Fn(&str) -> Option<u64>,
        shown: impl Fn(u64) -> String,
    ) -> Result<Value, Problem> {
        if bounds.off && word == "off" {
            return Ok(Value::Off);
        }
        let number = read(word).ok_or_else(|| self.wrong(word))?;
        bounds.check(number, shown).map(|()| Value::Number(number))
    }

    fn wrong(self, word: &str) -> Problem {
        let message = format!("\"{}\" is not {}", cut(word), self.noun());
        Problem::new(Code::WrongType, message).help(format!("write {self}"))
    }

    fn because(self, word: &str, why: &str) -> Problem {
        let message = format!("\"{}\" is not {}: {why}", cut(word), self.noun());
        Problem::new(Code::WrongType, message).help(format!("write {self}"))
    }

    /// What it is, with its article.
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Keyword(_) | Self::OneOf(_) | Self::Switch => "one of the words allowed",
            Self::Number(_) => "a whole number",
            Self::Size(_) => "a size",
            Self::Time(_) => "a time",
            Self::Port => "a port",
            Self::Domain => "a domain name",
            Self::Address => "a mail address",
            Self::Ip => "an IP address",
            Self::Network => "a network",
            Self::Socket { .. } => "an IP address and port",
            Self::Target => "a host and port",
            Self::Path => "a path",
            Self::Lmtp => "an LMTP server",
            Self::Text => "a line of text",
            Self::Name => "a name",
            Self::Secret => "the place of a secret",
            Self::TlsVersion => "a TLS version",
            Self::TlsSuite => "a cipher suite",
        }
    }
}

impl fmt::Display for Kind {
    /// What can be written, for the manual and for help lines.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bounds =
            |f: &mut fmt::Formatter<'_>, bounds: &Bounds, shown: &dyn Fn(u64) -> String| {
                write!(f, " from {} to {}", shown(bounds.min), shown(bounds.max))?;
                f.write_str(if bounds.off { ", or off" } else { "" })
            };
        match self {
            Self::Keyword(word) => f.write_str(word),
            Self::OneOf(choices) => {
                let words: Vec<_> = choices.iter().map(|(choice, _)| *choice).collect();
                f.write_str(&one_of(&words))
            }
            Self::Switch => f.write_str("on or off"),
            Self::Number(b) => {
                f.write_str("a whole number")?;
                bounds(f, b, &|number| number.to_string())
            }
            Self::Size(b) => {
                f.write_str("a size such as 64KB or 50MB,")?;
                bounds(f, b, &|number| Octets(number).to_string())
            }
            Self::Time(b) => {
                f.write_str("a time such as 30s, 10m or 2h,")?;
                bounds(f, b, &|millis| format_duration(Duration::from_millis(millis)))
            }
            Self::Port => f.write_str("a port from 0 to 65535"),
            Self::Domain => f.write_str("a name such as mail.example.com"),
            Self::Address => f.write_str("an address such as ann@example.com"),
            Self::Ip => f.write_str("an address such as 192.0.2.1 or 2001:db8::1"),
            Self::Network => {
                f.write_str("a network such as 192.0.2.0/24 or 2001:db8::/32, or an address")
            }
            Self::Socket { port } => {
                write!(f, "an address and port such as 127.0.0.1:5353 (port {port} unless written)")
            }
            Self::Target => f.write_str("a host such as mx.example.com:2525 or 192.0.2.1:25"),
            Self::Path => f.write_str("a path"),
            Self::Lmtp => f.write_str("unix:/path/to/socket or a host such as mail.example.com:24"),
            Self::Text => write!(f, "one line of at most {TEXT_MAX_OCTETS} octets"),
            Self::Name => {
                write!(
                    f,
                    "letters, digits, -, _ and ., at most {NAME_MAX_CHARS}, a letter or digit first"
                )
            }
            Self::Secret => f.write_str("env:NAME, file:PATH or credential:NAME"),
            Self::TlsVersion => f.write_str("1.2 or 1.3"),
            Self::TlsSuite => {
                let names: Vec<_> = tls::Suite::all().filter_map(tls::Suite::name).collect();
                f.write_str(&one_of(&names))
            }
        }
    }
}

/// Reads a name that is given to something.
pub fn read_name(word: &str) -> Result<String, Problem> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let good = word.len() <= NAME_MAX_CHARS
        && word.starts_with(|c: char| c.is_ascii_alphanumeric())
        && word.chars().all(allowed);
    if good {
        return Ok(word.to_owned());
    }
    let message = format!("\"{}\" is not a name", cut(word));
    Err(Problem::new(Code::BadName, message).help(format!("write {}", Kind::Name)))
}

/// Reads a network or an address.
///
/// # Errors
///
/// A network with host bits names the network that was probably meant; `/0` is refused.
pub fn read_network(word: &str) -> Result<IpNet, Problem> {
    if let Ok(ip) = word.parse::<IpAddr>() {
        return Ok(IpNet::from(ip));
    }
    let net: IpNet = word.parse().map_err(|_| Kind::Network.wrong(word))?;
    if net.prefix_len() == 0 {
        let message = format!("{word} is every address there is");
        return Err(Problem::new(Code::EveryAddress, message).help("name the networks meant"));
    }
    if net.trunc() != net {
        let (network, address) = (net.trunc(), net.addr());
        let message = format!("{word} has host bits set");
        let help = format!("write {network} for the network, or {address} for the one host");
        let problem = Problem::new(Code::HostBitsSet, message).help(help);
        return Err(problem.replace_with(network.to_string()));
    }
    Ok(net)
}

fn read_socket(word: &str, port: u16) -> Option<SocketAddr> {
    let bare = word.strip_prefix('[').and_then(|w| w.strip_suffix(']')).unwrap_or(word);
    match bare.parse::<IpAddr>() {
        Ok(ip) => Some(SocketAddr::new(ip, port)),
        Err(_) => word.parse().ok(),
    }
}

fn unknown_word(word: &str, allowed: &[&'static str]) -> Problem {
    let problem = Problem::new(Code::UnknownValue, format!("\"{}\" cannot stand here", cut(word)));
    match closest(word, allowed) {
        Some(near) => problem.help(format!("did you mean \"{near}\"?")).replace_with(near),
        None => problem.help(format!("write {}", one_of(allowed))),
    }
}

fn old_or_unknown(word: &str, error: &tls::WordError) -> Problem {
    match error {
        tls::WordError::Legacy { .. } => old_tls(word),
        tls::WordError::Unknown { allowed, .. } => unknown_word(word, allowed),
    }
}

/// The answer to everyone who asks for TLS 1.0 or 1.1.
pub fn old_tls(word: &str) -> Problem {
    let message = format!("TLS {} must not be used (RFC 8996)", word.trim_start_matches("TLSv"));
    Problem::new(Code::OldTls, message)
        .help("write 1.2 or 1.3; older devices need a build with the legacy-tls feature")
}

/// At most the first octets of a word, for a message.
fn cut(word: &str) -> &str {
    const SHOWN_MAX_OCTETS: usize = 80;
    let mut end = word.len().min(SHOWN_MAX_OCTETS);
    while !word.is_char_boundary(end) {
        end -= 1;
    }
    &word[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: Kind, word: &str) -> Result<Value, String> {
        kind.read(word, Path::new("/etc/mailkeep"))
            .map_err(|p| format!("{} {}; {}", p.code, p.message, p.help.unwrap_or_default()))
    }

    #[test]
    fn a_value_out_of_bounds_names_them() {
        let kind = Kind::Size(Bounds::new(1 << 10, 1 << 30));
        assert_eq!(
            read(kind, "2GB").unwrap_err(),
            "C110 2GB is more than 1GB; write a value from 1KB to 1GB"
        );
        let kind = Kind::Time(Bounds::seconds(1, 3_600).or_off());
        assert_eq!(
            read(kind, "1ms").unwrap_err(),
            "C110 1ms is less than 1s; write a value from 1s to 1h, or off"
        );
        assert_eq!(read(kind, "off"), Ok(Value::Off));
    }

    #[test]
    fn a_network_with_host_bits_offers_what_was_meant() {
        assert_eq!(
            read(Kind::Network, "192.0.2.77/24").unwrap_err(),
            "C401 192.0.2.77/24 has host bits set; \
             write 192.0.2.0/24 for the network, or 192.0.2.77 for the one host"
        );
        assert!(read(Kind::Network, "::/0").unwrap_err().starts_with("C403"));
        assert!(read(Kind::Network, "192.0.2.0/33").unwrap_err().starts_with("C109"));
        assert!(read(Kind::Network, "2001:db8::/32").is_ok());
    }

    #[test]
    fn old_tls_is_refused_with_the_reason() {
        for word in ["1.0", "1.1"] {
            assert!(read(Kind::TlsVersion, word).unwrap_err().contains("RFC 8996"), "{word}");
        }
        assert!(read(Kind::TlsVersion, "1.4").unwrap_err().starts_with("C104"));
    }

    #[test]
    fn a_password_in_the_text_is_refused_and_not_repeated() {
        let error = read(Kind::Secret, "hunter2").unwrap_err();
        assert!(error.starts_with("C502") && !error.contains("hunter2"));
    }

    #[test]
    fn a_server_of_dns_has_a_port() {
        let kind = Kind::Socket { port: 53 };
        for (word, socket) in [
            ("127.0.0.1", "127.0.0.1:53"),
            ("127.0.0.1:5353", "127.0.0.1:5353"),
            ("::1", "[::1]:53"),
            ("[::1]:5353", "[::1]:5353"),
        ] {
            assert_eq!(read(kind, word), Ok(Value::Socket(socket.parse().unwrap())), "{word}");
        }
        assert!(read(kind, "localhost:53").is_err());
    }
}
