//! Where mail can go.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use mail::Domain;

/// A host by name or by address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// Looked up in `hosts { }` and DNS; no MX look-up.
    Name(Domain),
    /// Connected to as it is.
    Address(IpAddr),
}

/// A host and, where it matters, a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// The host.
    pub host: Host,
    /// The port; `None` means the protocol's own.
    pub port: Option<u16>,
}

impl Target {
    /// Reads `HOST`, `HOST:PORT`, `IP`, `IP:PORT` or `[IPv6]:PORT`.
    pub fn parse(text: &str) -> Option<Self> {
        let host = |text: &str| -> Option<Host> {
            let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
            match bare.parse() {
                Ok(address) => Some(Host::Address(address)),
                Err(_) if looks_like_address(bare) => None,
                Err(_) => Domain::parse(bare).ok().map(Host::Name),
            }
        };
        let colons = text.bytes().filter(|&b| b == b':').count();
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) if colons == 1 || name.ends_with(']') => (name, Some(port)),
            Some(_) | None => (text, None),
        };
        let port = match port.map(str::parse) {
            None => None,
            Some(Ok(0) | Err(_)) => return None,
            Some(Ok(port)) => Some(port),
        };
        Some(Self { host: host(name)?, port })
    }
}

/// Whether a text that is no address was meant as one: `192.0.2.256` is no host name.
fn looks_like_address(text: &str) -> bool {
    text.contains(':') || text.rsplit('.').next().is_some_and(|l| l.parse::<u64>().is_ok())
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Address(address) => address.fmt(f),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.host, self.port) {
            (host, None) => host.fmt(f),
            (Host::Address(IpAddr::V6(v6)), Some(port)) => write!(f, "[{v6}]:{port}"),
            (host, Some(port)) => write!(f, "{host}:{port}"),
        }
    }
}

/// Where an LMTP server listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LmtpTarget {
    /// A Unix socket.
    Unix(PathBuf),
    /// A host; port 24 unless said.
    Tcp(Target),
}

/// Where the mail of a domain of ours goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// To the mailboxes of this server: Maildirs below the data folder.
    Mailboxes,
    /// To Maildirs below this folder, one for each local part.
    Maildir(PathBuf),
    /// Over LMTP (RFC 2033).
    Lmtp(LmtpTarget),
    /// Over SMTP, to the first that answers; never none.
    Smtp(Vec<Target>),
    /// To fax machines, as the account of this name has it. Only `fax NAME { }` makes it.
    Fax(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_as_they_are_shown() {
        for text in [
            "mx.example",
            "mx.example:2525",
            "192.0.2.1",
            "192.0.2.1:25",
            "[2001:db8::1]:25",
            "::1",
        ] {
            assert_eq!(Target::parse(text).unwrap().to_string(), text);
        }
        for bad in ["", ":25", "mx.example:", "mx.example:0", "mx:70000", "192.0.2.256", "::1::2"] {
            assert_eq!(Target::parse(bad), None, "{bad}");
        }
    }
}
