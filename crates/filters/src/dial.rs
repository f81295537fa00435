//! Connections to filters: TCP or a socket of this machine.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use mail::Domain;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use web_client::Names;

/// Where a filter listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `HOST:PORT`, also `inet:HOST:PORT`.
    Tcp {
        /// Its name or address.
        host: Domain,
        /// Its port.
        port: u16,
    },
    /// `unix:/PATH`.
    Unix(PathBuf),
}

/// Why a text is no [`Endpoint`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a filter listens at HOST:PORT or unix:/PATH")]
pub struct EndpointError;

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        if let Some(path) = text.strip_prefix("unix:") {
            let whole = path.starts_with('/') && path.len() > 1 && !path.contains('\0');
            return if whole { Ok(Self::Unix(path.into())) } else { Err(EndpointError) };
        }
        let text = text.strip_prefix("inet:").unwrap_or(text);
        let (host, port) = text.rsplit_once(':').ok_or(EndpointError)?;
        let port = port.parse().ok().filter(|port| *port != 0).ok_or(EndpointError)?;
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let host = match bare.unwrap_or(host).parse::<IpAddr>() {
            Ok(IpAddr::V6(_)) if bare.is_none() => return Err(EndpointError),
            Ok(ip) => Domain::from(ip),
            Err(_) => Domain::parse(host).map_err(|_| EndpointError)?,
        };
        Ok(Self::Tcp { host, port })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp { host, port } => match host.literal() {
                Some(ip) => write!(f, "{}", SocketAddr::new(ip, *port)),
                None => write!(f, "{host}:{port}"),
            },
        }
    }
}

/// Makes connections to filters.
#[derive(Clone)]
pub struct Dialer {
    names: Arc<dyn Names>,
    loopback_only: bool,
}

impl Dialer {
    /// Finds hosts by `names`; with `loopback_only` no connection leaves this machine.
    pub fn new(names: Arc<dyn Names>, loopback_only: bool) -> Self {
        Self { names, loopback_only }
    }

    /// Connects within `limit`.
    ///
    /// # Errors
    ///
    /// When no address of the endpoint answers in time.
    pub async fn connect(&self, endpoint: &Endpoint, limit: Duration) -> io::Result<Stream> {
        let timed_out = |_| io::Error::from(io::ErrorKind::TimedOut);
        tokio::time::timeout(limit, self.dial(endpoint)).await.map_err(timed_out)?
    }

    async fn dial(&self, endpoint: &Endpoint) -> io::Result<Stream> {
        let (host, port) = match endpoint {
            Endpoint::Unix(path) => return UnixStream::connect(path).await.map(Stream::Unix),
            Endpoint::Tcp { host, port } => (host, *port),
        };
        let addresses = match host.literal() {
            Some(ip) => vec![ip],
            None => self.names.addresses(host).await.map_err(io::Error::other)?,
        };
        let mut last = io::Error::other("the host has no address");
        for ip in addresses.into_iter().take(ADDRESSES_MAX) {
            if self.loopback_only && !ip.to_canonical().is_loopback() {
                return Err(io::Error::other("connections may not leave this machine"));
            }
            match TcpStream::connect(SocketAddr::new(ip, port)).await {
                Ok(stream) => {
                    // Commands are written whole: waiting for more only delays them.
                    let _ = stream.set_nodelay(true);
                    return Ok(Stream::Tcp(stream));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// A connection of either kind.
#[derive(Debug)]
pub enum Stream {
    /// By TCP.
    Tcp(TcpStream),
    /// By a socket of this machine.
    Unix(UnixStream),
}

impl Stream {
    /// Reads what is there without waiting.
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_read(buffer),
            Self::Unix(stream) => stream.try_read(buffer),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, octets),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, octets),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// Waits for `work` at most `limit`; what takes longer is an error of its own kind.
pub(crate) async fn within<T>(
    limit: Duration,
    work: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    let timed_out = |_| io::Error::from(io::ErrorKind::TimedOut);
    tokio::time::timeout(limit, work).await.map_err(timed_out)?
}

/// Addresses of one host that are tried.
const ADDRESSES_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_read_and_written_alike() {
        for (text, shown) in [
            ("127.0.0.1:8891", "127.0.0.1:8891"),
            ("inet:filter.example:8891", "filter.example:8891"),
            ("[::1]:3310", "[::1]:3310"),
            ("unix:/run/opendkim.sock", "unix:/run/opendkim.sock"),
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), shown);
        }
        for text in ["", "unix:run", "host", "host:0", "host:70000", "::1:25", ":25"] {
            assert_eq!(text.parse::<Endpoint>(), Err(EndpointError), "{text}");
        }
    }
}
