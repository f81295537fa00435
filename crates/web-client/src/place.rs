//! Where a request goes.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use mail::Domain;

/// A server and a path on it: `https://host:port/path?query`, `http://…`, or
/// `unix:/run/socket:/path` for a server on a socket of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    pub(crate) server: Server,
    /// Path and query, beginning with `/`.
    target: String,
}

/// The server of a [`Place`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Server {
    /// By name or address.
    Host { host: Domain, port: u16, tls: bool },
    /// By a socket's path.
    Unix(PathBuf),
}

/// Why a text is no [`Place`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// Another scheme, or none.
    #[error("it must begin with https://, http:// or unix:/")]
    Scheme,
    /// The host is none.
    #[error("there is no host name or address in it")]
    Host,
    /// The port is none.
    #[error("the port is not a number from 1 to 65535")]
    Port,
    /// A character that must be percent-encoded, or a fragment.
    #[error("it has a character that a request cannot carry")]
    Character,
    /// It is longer than [`PLACE_MAX_OCTETS`].
    #[error("it is too long")]
    Long,
}

/// The longest place that is taken.
pub const PLACE_MAX_OCTETS: usize = 2_048;

impl Place {
    /// Path and query as they are sent.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The same server with another path and query; `target` begins with `/`.
    ///
    /// # Errors
    ///
    /// When it cannot be sent.
    pub fn with_target(&self, target: &str) -> Result<Self, PlaceError> {
        if !target.starts_with('/') || !target.bytes().all(may_stand) {
            return Err(PlaceError::Character);
        }
        if target.len() > PLACE_MAX_OCTETS {
            return Err(PlaceError::Long);
        }
        Ok(Self { server: self.server.clone(), target: target.to_owned() })
    }

    /// Whether what is sent is protected, or does not leave this machine's socket.
    pub fn is_private(&self) -> bool {
        match &self.server {
            Server::Host { tls, .. } => *tls,
            Server::Unix(_) => true,
        }
    }

    /// Whether it is this machine, by its name or address.
    pub fn is_loopback(&self) -> bool {
        match &self.server {
            Server::Host { host, .. } => match host.literal() {
                Some(ip) => ip.to_canonical().is_loopback(),
                None => host.as_str() == "localhost",
            },
            Server::Unix(_) => true,
        }
    }

    /// The value of the `Host` field.
    pub(crate) fn authority(&self) -> String {
        match &self.server {
            Server::Unix(_) => "localhost".to_owned(),
            Server::Host { host, port, tls } => {
                let name = name(host);
                if *port == if *tls { 443 } else { 80 } { name } else { format!("{name}:{port}") }
            }
        }
    }
}

/// A host as it stands in an address: IPv6 in brackets.
fn name(host: &Domain) -> String {
    match host.literal() {
        Some(std::net::IpAddr::V6(ip)) => format!("[{ip}]"),
        Some(std::net::IpAddr::V4(ip)) => ip.to_string(),
        None => host.as_str().to_owned(),
    }
}

/// What may stand in a request's target (RFC 3986 section 3.3 and 3.4); no fragment.
fn may_stand(byte: u8) -> bool {
    byte.is_ascii_graphic()
        && !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | b'#')
}

impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        if text.len() > PLACE_MAX_OCTETS {
            return Err(PlaceError::Long);
        }
        if !text.bytes().all(may_stand) {
            return Err(PlaceError::Character);
        }
        if let Some(rest) = text.strip_prefix("unix:") {
            let (path, target) = rest.split_once(':').unwrap_or((rest, "/"));
            if !path.starts_with('/') || path.len() < 2 || !target.starts_with('/') {
                return Err(PlaceError::Host);
            }
            return Ok(Self { server: Server::Unix(path.into()), target: target.to_owned() });
        }
        let (scheme, rest) = text.split_once("://").ok_or(PlaceError::Scheme)?;
        let tls = if scheme.eq_ignore_ascii_case("https") {
            true
        } else if scheme.eq_ignore_ascii_case("http") {
            false
        } else {
            return Err(PlaceError::Scheme);
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        let (host, port) = if let Some(v6) = authority.strip_prefix('[') {
            let (ip, rest) = v6.split_once(']').ok_or(PlaceError::Host)?;
            let ip: std::net::Ipv6Addr = ip.parse().map_err(|_| PlaceError::Host)?;
            let port = match rest {
                "" => None,
                rest => Some(rest.strip_prefix(':').ok_or(PlaceError::Port)?),
            };
            (Domain::from(std::net::IpAddr::from(ip)), port)
        } else {
            let (host, port) = match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            };
            let host = match host.parse::<std::net::Ipv4Addr>() {
                Ok(ip) => Domain::from(std::net::IpAddr::from(ip)),
                Err(_) => Domain::parse(host).map_err(|_| PlaceError::Host)?,
            };
            (host, port)
        };
        let port = match port {
            None if tls => 443,
            None => 80,
            Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or(PlaceError::Port)?,
        };
        Ok(Self { server: Server::Host { host, port, tls }, target })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.server {
            Server::Unix(path) => write!(f, "unix:{}:{}", path.display(), self.target),
            Server::Host { tls, .. } => {
                let scheme = if *tls { "https" } else { "http" };
                write!(f, "{scheme}://{}{}", self.authority(), self.target)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_and_written_alike() {
        for (text, shown) in [
            ("http://127.0.0.1:11333/checkv2", "http://127.0.0.1:11333/checkv2"),
            ("https://keys.example", "https://keys.example/"),
            ("https://keys.example:443/a?b=c", "https://keys.example/a?b=c"),
            ("http://[::1]:8080?x", "http://[::1]:8080/?x"),
            ("unix:/run/rspamd.sock:/checkv2", "unix:/run/rspamd.sock:/checkv2"),
            ("unix:/run/rspamd.sock", "unix:/run/rspamd.sock:/"),
        ] {
            assert_eq!(text.parse::<Place>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_place_says_why() {
        for (text, error) in [
            ("ftp://example.org/", PlaceError::Scheme),
            ("example.org", PlaceError::Scheme),
            ("http://:80/", PlaceError::Host),
            ("http://user@example.org/", PlaceError::Host),
            ("http://example.org:0/", PlaceError::Port),
            ("http://example.org:99999/", PlaceError::Port),
            ("http://example.org/a b", PlaceError::Character),
            ("http://example.org/a\r\nHost: b", PlaceError::Character),
            ("http://example.org/#part", PlaceError::Character),
            ("unix:relative", PlaceError::Host),
        ] {
            assert_eq!(text.parse::<Place>(), Err(error), "{text}");
        }
    }
}
