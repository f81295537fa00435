//! A partner's side of a connection: lines in, replies out, TLS in between.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::server::Acceptor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::record::TlsSeen;

/// Octets of one line, its CRLF included; longer ones end the connection.
const LINE_MAX_OCTETS: usize = 16_384;
/// Octets read at a time.
const READ_OCTETS: usize = 16_384;
/// Time for the client's next octets.
pub(super) const IDLE_MAX: Duration = Duration::from_secs(300);
/// Time for a TLS handshake.
pub(super) const HANDSHAKE_MAX: Duration = Duration::from_secs(30);

/// A connection, buffered on its way in.
pub(super) struct Wire {
    stream: Stream,
    unread: Vec<u8>,
    read: usize,
}

enum Stream {
    Plain(TcpStream),
    Encrypted(Box<TlsStream<TcpStream>>),
    /// Lost in a failed handshake.
    Gone,
}

impl Wire {
    pub fn new(stream: TcpStream) -> Self {
        Self { stream: Stream::Plain(stream), unread: Vec::new(), read: 0 }
    }

    pub fn encrypted(&self) -> bool {
        matches!(self.stream, Stream::Encrypted(_))
    }

    /// Octets that arrived and were not asked for yet.
    pub fn waiting(&self) -> usize {
        self.unread.len() - self.read
    }

    /// The next line with its line end, or `None` at the end of the stream.
    pub async fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut searched = 0;
        loop {
            let waiting = &self.unread[self.read..];
            if let Some(at) = waiting[searched..].iter().position(|octet| *octet == b'\n') {
                let line = waiting[..=searched + at].to_vec();
                self.read += line.len();
                return Ok(Some(line));
            }
            searched = waiting.len();
            if searched >= LINE_MAX_OCTETS {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "line too long"));
            }
            if self.fill().await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Exactly `octets`, or `None` when the stream ends before.
    pub async fn exactly(&mut self, octets: usize) -> io::Result<Option<Vec<u8>>> {
        while self.waiting() < octets {
            if self.fill().await? == 0 {
                return Ok(None);
            }
        }
        let taken = self.unread[self.read..self.read + octets].to_vec();
        self.read += octets;
        Ok(Some(taken))
    }

    async fn fill(&mut self) -> io::Result<usize> {
        if self.read > 0 {
            self.unread.drain(..self.read);
            self.read = 0;
        }
        let before = self.unread.len();
        self.unread.reserve(READ_OCTETS);
        match &mut self.stream {
            Stream::Plain(stream) => timeout(IDLE_MAX, stream.read_buf(&mut self.unread)).await??,
            Stream::Encrypted(stream) => {
                timeout(IDLE_MAX, stream.read_buf(&mut self.unread)).await??
            }
            Stream::Gone => 0,
        };
        Ok(self.unread.len() - before)
    }

    /// Sends `bytes`, with a pause between octets where there is one.
    pub async fn send(&mut self, bytes: &[u8], between_octets: Duration) -> io::Result<()> {
        if between_octets.is_zero() {
            return self.write(bytes).await;
        }
        for octet in bytes {
            self.write(std::slice::from_ref(octet)).await?;
            sleep(between_octets).await;
        }
        Ok(())
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.stream {
            Stream::Plain(stream) => timeout(IDLE_MAX, stream.write_all(bytes)).await??,
            Stream::Encrypted(stream) => {
                timeout(IDLE_MAX, stream.write_all(bytes)).await??;
                timeout(IDLE_MAX, stream.flush()).await??;
            }
            Stream::Gone => return Err(io::ErrorKind::NotConnected.into()),
        }
        Ok(())
    }

    /// Waits for octets, throws them away, and says how many; none at the end of the stream.
    pub async fn swallow(&mut self) -> io::Result<usize> {
        self.unread.clear();
        self.read = 0;
        let octets = self.fill().await?;
        self.unread.clear();
        Ok(octets)
    }

    /// Does the server's part of a handshake. What waits unread in the clear is thrown away.
    ///
    /// On failure the connection is gone, and the error is what the TLS library said.
    pub async fn encrypt(&mut self, config: Arc<ServerConfig>) -> io::Result<TlsSeen> {
        self.unread.clear();
        self.read = 0;
        let Stream::Plain(stream) = std::mem::replace(&mut self.stream, Stream::Gone) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let (stream, seen) = timeout(HANDSHAKE_MAX, accept(stream, config)).await??;
        self.stream = Stream::Encrypted(Box::new(stream));
        Ok(seen)
    }

    /// Ends the connection as a well-behaved server does.
    pub async fn close(&mut self) {
        // The client may be gone already, which is as good.
        match &mut self.stream {
            Stream::Plain(stream) => drop(timeout(HANDSHAKE_MAX, stream.shutdown()).await),
            Stream::Encrypted(stream) => drop(timeout(HANDSHAKE_MAX, stream.shutdown()).await),
            Stream::Gone => {}
        }
    }
}

async fn accept(
    stream: TcpStream,
    config: Arc<ServerConfig>,
) -> io::Result<(TlsStream<TcpStream>, TlsSeen)> {
    let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
    let hello = start.client_hello();
    let sni = hello.server_name().map(str::to_owned);
    let alpn = hello
        .alpn()
        .map(|names| names.map(|name| String::from_utf8_lossy(name).into_owned()).collect())
        .unwrap_or_default();
    let stream = start.into_stream(config).await?;
    let session = stream.get_ref().1;
    let seen = TlsSeen {
        version: match session.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3".to_owned(),
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2".to_owned(),
            other => format!("{other:?}"),
        },
        suite: session
            .negotiated_cipher_suite()
            .and_then(|suite| suite.suite().as_str().map(|name| name.replace("TLS13_", "TLS_")))
            .unwrap_or_default(),
        group: session.negotiated_key_exchange_group().map(|group| format!("{:?}", group.name())),
        sni,
        alpn,
        client_certificate: session
            .peer_certificates()
            .and_then(|chain| chain.first())
            .map(|certificate| certificate.to_vec()),
    };
    Ok((stream, seen))
}
