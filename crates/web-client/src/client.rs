//! Sends a request and waits for its answer.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper_util::rt::TokioIo;
use mail::{Domain, Timestamp};
use tls::{Anchor, Offer, Peer, Verification};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::error::Error;
use crate::message::{Method, Request, Response};
use crate::place::Server;

/// How long and how much.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For a connection to one address.
    pub connect: Duration,
    /// For everything, from the look-up to the last octet.
    pub total: Duration,
    /// The longest body that is read, in octets.
    pub body_octets: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            total: Duration::from_secs(30),
            body_octets: 1024 * 1024,
        }
    }
}

/// A future of the addresses of a host, or why there are none.
pub type Addresses<'a> = Pin<Box<dyn Future<Output = Result<Vec<IpAddr>, String>> + Send + 'a>>;

/// Finds the addresses of hosts; the server asks its resolver.
pub trait Names: Send + Sync {
    /// The addresses of `host`, best first.
    fn addresses<'a>(&'a self, host: &'a Domain) -> Addresses<'a>;
}

/// Sends requests. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    tls: Arc<tls::Client>,
    names: Arc<dyn Names>,
    loopback_only: bool,
}

impl Client {
    /// A client that shakes hands by `tls` and finds hosts by `names`.
    pub fn new(tls: Arc<tls::Client>, names: Arc<dyn Names>) -> Self {
        Self { tls, names, loopback_only: false }
    }

    /// The same that connects to nothing but this machine's own addresses.
    #[must_use]
    pub fn loopback_only(self, loopback_only: bool) -> Self {
        Self { loopback_only, ..self }
    }

    /// Sends `request` and waits for the whole answer. `now` is what certificates are
    /// held against. Dropping the future ends the connection.
    ///
    /// # Errors
    ///
    /// When there is no answer within `limits`. An answer of any status is no error.
    pub async fn send(
        &self,
        request: Request,
        limits: Limits,
        now: Timestamp,
    ) -> Result<Response, Error> {
        tokio::time::timeout(limits.total, self.exchange(request, limits, now))
            .await
            .map_err(|_| Error::Timeout(limits.total))?
    }

    async fn exchange(
        &self,
        request: Request,
        limits: Limits,
        now: Timestamp,
    ) -> Result<Response, Error> {
        match &request.place.server {
            Server::Unix(path) => talk(local(path, limits).await?, request, limits).await,
            Server::Host { host, port, tls } => {
                let stream = self.connect(host, *port, limits).await?;
                if !*tls {
                    return talk(stream, request, limits).await;
                }
                let peer = Peer::new(host, Anchor::Configured);
                let (stream, handshake) = self
                    .tls
                    .connect(stream, &peer, &Offer::default(), now)
                    .await
                    .map_err(|failure| Error::Tls { host: host.to_string(), failure })?;
                trusted(host, &handshake.verification)?;
                talk(stream, request, limits).await
            }
        }
    }

    /// Tries the host's addresses in order.
    async fn connect(&self, host: &Domain, port: u16, limits: Limits) -> Result<TcpStream, Error> {
        let addresses = match host.literal() {
            Some(ip) => vec![ip],
            None => self
                .names
                .addresses(host)
                .await
                .map_err(|reason| Error::NoAddress { host: host.to_string(), reason })?,
        };
        let mut last = None;
        for ip in addresses.into_iter().take(ADDRESSES_MAX) {
            if self.loopback_only && !ip.to_canonical().is_loopback() {
                return Err(Error::NotAllowed { host: host.to_string() });
            }
            match within(limits, TcpStream::connect(SocketAddr::new(ip, port))).await {
                Ok(stream) => {
                    // A request is written whole: waiting for more only delays it.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Err(error) => last = Some(error),
            }
        }
        Err(match last {
            Some(source) => Error::Connect { host: host.to_string(), source },
            None => Error::NoAddress { host: host.to_string(), reason: "none".to_owned() },
        })
    }
}

async fn local(path: &Path, limits: Limits) -> Result<UnixStream, Error> {
    let connected = within(limits, UnixStream::connect(path)).await;
    connected.map_err(|source| Error::Connect { host: path.display().to_string(), source })
}

async fn within<S>(limits: Limits, connect: impl Future<Output = io::Result<S>>) -> io::Result<S> {
    let timed_out = || io::Error::from(io::ErrorKind::TimedOut);
    tokio::time::timeout(limits.connect, connect).await.unwrap_or_else(|_| Err(timed_out()))
}

fn trusted(host: &Domain, verification: &Verification) -> Result<(), Error> {
    let reason = match verification {
        Verification::Trusted { .. } => return Ok(()),
        Verification::NoCertificate => "it showed none".to_owned(),
        Verification::Untrusted { reason, .. } => reason.to_string(),
    };
    Err(Error::Untrusted { host: host.to_string(), reason })
}

/// One request on a connection, which ends with it.
async fn talk<S>(stream: S, request: Request, limits: Limits) -> Result<Response, Error>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(BUFFER_OCTETS)
        .max_headers(FIELDS_MAX)
        .handshake(TokioIo::new(stream))
        .await?;
    let request = prepared(request)?;
    let mut exchange = pin!(async {
        let response = sender.send_request(request).await?;
        read(response, limits.body_octets).await
    });
    tokio::select! {
        answer = &mut exchange => answer,
        // The connection has done its part; what it has read is still to be taken.
        _ = connection => exchange.await,
    }
}

fn prepared(request: Request) -> Result<hyper::Request<Full<Bytes>>, Error> {
    let Request { method, place, fields, body } = request;
    let method = match method {
        Method::Get => hyper::Method::GET,
        Method::Post => hyper::Method::POST,
        Method::Put => hyper::Method::PUT,
        Method::Delete => hyper::Method::DELETE,
    };
    let refused = |name: &str| Error::Field { name: name.to_owned() };
    let mut prepared = hyper::Request::new(Full::new(body));
    *prepared.method_mut() = method;
    *prepared.uri_mut() = place.target().parse().map_err(|_| refused("target"))?;
    let host = HeaderValue::from_str(&place.authority()).map_err(|_| refused("host"))?;
    prepared.headers_mut().insert(HOST, host);
    prepared.headers_mut().insert(USER_AGENT, HeaderValue::from_static("Mailkeep"));
    for (name, value) in fields.iter().take(FIELDS_MAX) {
        let field = HeaderName::from_bytes(name.as_bytes()).map_err(|_| refused(name))?;
        let value = HeaderValue::from_str(value).map_err(|_| refused(name))?;
        prepared.headers_mut().append(field, value);
    }
    Ok(prepared)
}

async fn read(
    response: hyper::Response<hyper::body::Incoming>,
    limit: usize,
) -> Result<Response, Error> {
    let (head, mut incoming) = response.into_parts();
    let mut body = BytesMut::new();
    while let Some(frame) = incoming.frame().await {
        if let Ok(data) = frame?.into_data() {
            if body.len() + data.len() > limit {
                return Err(Error::TooLong { limit });
            }
            body.extend_from_slice(&data);
        }
    }
    let text = |value: &HeaderValue| Some(std::str::from_utf8(value.as_bytes()).ok()?.to_owned());
    let fields = head
        .headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), text(value)?)))
        .collect();
    Ok(Response { status: head.status.as_u16(), fields, body: body.freeze() })
}

/// Addresses of one host that are tried.
const ADDRESSES_MAX: usize = 8;
/// Header fields, of a request and of an answer.
const FIELDS_MAX: usize = 100;
/// Hyper's read buffer; also the longest header of an answer.
const BUFFER_OCTETS: usize = 64 * 1024;
