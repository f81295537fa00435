//! Connects to a directory, asks one question, and goes.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use mail::{Domain, Timestamp};
use tls::{Anchor, Offer, Peer, Verification};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::Error;
use crate::ber::{self, MESSAGE_MAX_OCTETS};
use crate::filter::{Filter, Values};
use crate::message::{self, Found, Outcome, Response, code};

/// Where a directory is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// The host.
    pub host: Domain,
    /// The port.
    pub port: u16,
    /// How the connection is protected.
    pub protection: Protection,
}

/// How a connection to a directory is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// TLS from the first octet (`ldaps`).
    Implicit,
    /// STARTTLS, or no connection.
    StartTls,
    /// None: passwords travel in the clear.
    None,
}

/// How long a directory may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For a connection to one address.
    pub connect: Duration,
    /// For everything.
    pub total: Duration,
}

/// A future of the addresses of a host, or why there are none.
pub type Addresses<'a> = Pin<Box<dyn Future<Output = Result<Vec<IpAddr>, String>> + Send + 'a>>;

/// Finds the addresses of hosts; the server asks its resolver.
pub trait Names: Send + Sync {
    /// The addresses of `host`, best first.
    fn addresses<'a>(&'a self, host: &'a Domain) -> Addresses<'a>;
}

/// Asks one directory. Each question has a connection of its own, so that nothing of one
/// person's bind is left for the next.
pub struct Client {
    server: Server,
    tls: Arc<tls::Client>,
    names: Arc<dyn Names>,
    limits: Limits,
    loopback_only: bool,
}

/// A connection's bytes.
trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

struct Connection {
    stream: Box<dyn Wire>,
    unread: Vec<u8>,
    next: u32,
}

impl Client {
    /// A client of `server` that shakes hands by `tls` and finds its host by `names`.
    pub fn new(
        server: Server,
        tls: Arc<tls::Client>,
        names: Arc<dyn Names>,
        limits: Limits,
    ) -> Self {
        Self { server, tls, names, limits, loopback_only: false }
    }

    /// The same that connects to nothing but this machine's own addresses.
    #[must_use]
    pub fn loopback_only(self, loopback_only: bool) -> Self {
        Self { loopback_only, ..self }
    }

    /// The one entry below `base` that fits, as seen by `reader` (name and password), or by
    /// nobody. `None` when there is none.
    ///
    /// # Errors
    ///
    /// [`Error`]; none of them means that there is no such person.
    pub async fn find(
        &self,
        reader: Option<(&str, &[u8])>,
        base: &str,
        filter: &Filter,
        values: Values<'_>,
        attributes: &[&str],
        now: Timestamp,
    ) -> Result<Option<Found>, Error> {
        self.within(async {
            let mut connection = self.connect(now).await?;
            if let Some((dn, password)) = reader {
                let outcome = connection.bind(dn, password).await?;
                if outcome.code != code::SUCCESS {
                    return Err(refused("our bind", outcome));
                }
            }
            let seconds = u32::try_from(self.limits.total.as_secs()).unwrap_or(u32::MAX).max(1);
            connection.find(base, filter, values, attributes, seconds).await
        })
        .await
    }

    /// Whether `password` is that of the entry named `dn`. An empty password is no one's.
    ///
    /// # Errors
    ///
    /// [`Error`]; none of them means that the password is wrong.
    pub async fn is_password(
        &self,
        dn: &str,
        password: &[u8],
        now: Timestamp,
    ) -> Result<bool, Error> {
        if password.is_empty() || dn.is_empty() {
            return Ok(false);
        }
        self.within(async {
            let outcome = self.connect(now).await?.bind(dn, password).await?;
            match outcome.code {
                code::SUCCESS => Ok(true),
                code::INVALID_CREDENTIALS
                | code::NO_SUCH_OBJECT
                | code::INAPPROPRIATE_AUTHENTICATION => Ok(false),
                _ => Err(refused("the bind", outcome)),
            }
        })
        .await
    }

    async fn within<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let limit = self.limits.total;
        tokio::time::timeout(limit, work).await.map_err(|_| Error::Timeout(limit))?
    }

    async fn connect(&self, now: Timestamp) -> Result<Connection, Error> {
        let stream = self.reach().await?;
        match self.server.protection {
            Protection::None => Ok(Connection::over(stream)),
            Protection::Implicit => Ok(Connection::over(self.encrypt(stream, now).await?)),
            Protection::StartTls => {
                let mut clear = Connection::over(stream);
                let id = clear.send(message::start_tls).await?;
                match clear.receive(id).await? {
                    Response::Extended(outcome) if outcome.code == code::SUCCESS => {}
                    Response::Extended(outcome) => return Err(refused("STARTTLS", outcome)),
                    Response::Bind(_)
                    | Response::Entry(_)
                    | Response::Reference
                    | Response::SearchDone(_) => {
                        return Err(Error::Malformed("another answer than to STARTTLS"));
                    }
                }
                // What came ahead of the handshake came from anyone.
                if !clear.unread.is_empty() {
                    return Err(Error::Malformed("octets in the clear after STARTTLS"));
                }
                Ok(Connection::over(self.encrypt(clear.stream, now).await?))
            }
        }
    }

    async fn reach(&self) -> Result<TcpStream, Error> {
        let Server { host, port, .. } = &self.server;
        let none = |reason: String| Error::NoAddress { host: host.to_string(), reason };
        let addresses = match host.literal() {
            Some(ip) => vec![ip],
            None => self.names.addresses(host).await.map_err(none)?,
        };
        let mut last = None;
        for ip in addresses.into_iter().take(ADDRESSES_MAX) {
            if self.loopback_only && !ip.to_canonical().is_loopback() {
                return Err(none("this demo does not leave this machine".to_owned()));
            }
            let connect = TcpStream::connect(SocketAddr::new(ip, *port));
            match tokio::time::timeout(self.limits.connect, connect).await {
                Ok(Ok(stream)) => {
                    // A question is written whole: waiting for more only delays it.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(error)) => last = Some(error),
                Err(_) => last = Some(io::Error::from(io::ErrorKind::TimedOut)),
            }
        }
        Err(match last {
            Some(source) => Error::Connect { host: host.to_string(), source },
            None => none("none".to_owned()),
        })
    }

    async fn encrypt<S: Wire + 'static>(
        &self,
        stream: S,
        now: Timestamp,
    ) -> Result<Box<dyn Wire>, Error> {
        let host = &self.server.host;
        let peer = Peer::new(host, Anchor::Configured);
        let (stream, handshake) = self
            .tls
            .connect(stream, &peer, &Offer::default(), now)
            .await
            .map_err(|failure| Error::Tls { host: host.to_string(), failure })?;
        let reason = match &handshake.verification {
            Verification::Trusted { .. } => return Ok(Box::new(stream)),
            Verification::NoCertificate => "it showed none".to_owned(),
            Verification::Untrusted { reason, .. } => reason.to_string(),
        };
        Err(Error::Untrusted { host: host.to_string(), reason })
    }
}

impl Connection {
    fn over(stream: impl Wire + 'static) -> Self {
        Self { stream: Box::new(stream), unread: Vec::new(), next: 1 }
    }

    async fn send<M: AsRef<[u8]>>(&mut self, message: impl FnOnce(u32) -> M) -> Result<u32, Error> {
        let id = self.next;
        self.next += 1;
        self.stream.write_all(message(id).as_ref()).await?;
        self.stream.flush().await?;
        Ok(id)
    }

    /// The next message, which must answer `id`.
    async fn receive(&mut self, id: u32) -> Result<Response, Error> {
        loop {
            if let Some((_, header, length)) = ber::whole(&self.unread)? {
                let octets: Vec<u8> = self.unread.drain(..header + length).collect();
                return match message::read(&octets)? {
                    (answered, response) if answered == id => Ok(response),
                    (_, _) => Err(Error::Malformed("an answer to another question")),
                };
            }
            let mut piece = [0; 4_096];
            match self.stream.read(&mut piece).await? {
                0 => return Err(Error::Io(io::ErrorKind::UnexpectedEof.into())),
                read => self.unread.extend_from_slice(&piece[..read]),
            }
            if self.unread.len() > 2 * MESSAGE_MAX_OCTETS {
                return Err(Error::Malformed("an answer is too long"));
            }
        }
    }

    async fn bind(&mut self, dn: &str, password: &[u8]) -> Result<Outcome, Error> {
        let id = self.send(|id| SecretBytes(message::bind(id, dn, password))).await?;
        match self.receive(id).await? {
            Response::Bind(outcome) => Ok(outcome),
            Response::Entry(_)
            | Response::Reference
            | Response::SearchDone(_)
            | Response::Extended(_) => Err(Error::Malformed("another answer than to a bind")),
        }
    }

    async fn find(
        &mut self,
        base: &str,
        filter: &Filter,
        values: Values<'_>,
        attributes: &[&str],
        seconds: u32,
    ) -> Result<Option<Found>, Error> {
        let id =
            self.send(|id| message::search(id, base, filter, values, attributes, seconds)).await?;
        let mut found = None;
        for _ in 0..RESPONSES_MAX {
            match self.receive(id).await? {
                Response::Entry(_) if found.is_some() => return Err(Error::Ambiguous),
                Response::Entry(entry) => found = Some(entry),
                Response::Reference => {}
                Response::SearchDone(outcome) => {
                    return match outcome.code {
                        code::SUCCESS => Ok(found),
                        code::NO_SUCH_OBJECT => Ok(None),
                        code::SIZE_LIMIT_EXCEEDED => Err(Error::Ambiguous),
                        _ => Err(refused("the search", outcome)),
                    };
                }
                Response::Bind(_) | Response::Extended(_) => {
                    return Err(Error::Malformed("another answer than to a search"));
                }
            }
        }
        Err(Error::Malformed("an answer without end"))
    }
}

/// A message with a password in it; wiped when it goes.
struct SecretBytes(zeroize::Zeroizing<Vec<u8>>);

impl AsRef<[u8]> for SecretBytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

fn refused(what: &'static str, Outcome { code, text }: Outcome) -> Error {
    Error::Refused { what, code, text }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("server", &self.server).finish_non_exhaustive()
    }
}

/// Addresses of one host that are tried.
const ADDRESSES_MAX: usize = 4;
/// Messages of one answer to a search.
const RESPONSES_MAX: usize = 64;
