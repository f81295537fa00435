//! From a target to a connection that may be given an envelope, or to the reason why not.

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use mail::{Domain, Status, Timestamp};
use smtp::client::{Credentials, Failure, Protocol, SignInError};
use tls::{
    Anchor, Client, Connected, Demands, Failure as TlsFailure, FailureKind, Handshake, Identity,
    Level, Observed, Offer, Peer, Plaintext, Ready, Verdict,
};
use tokio::net::{TcpSocket, TcpStream, UnixStream};
use tokio::time::timeout;

use crate::link::{Link, StartTls, Stream};
use crate::outcome::{Cause, RemoteReply, Trouble};
use crate::plan::{Place, Target};
use crate::settings::{Settings, Timeouts};

/// Makes connections.
pub(crate) struct Dialler {
    pub(crate) settings: Arc<Settings>,
    timeouts: Arc<Timeouts>,
    tls: Arc<Client>,
    /// Peers that chose to fail with a hybrid key exchange and not without.
    without_hybrid: Mutex<HashSet<SocketAddr>>,
}

/// How a connection is to be made.
pub(crate) struct Errand<'a> {
    pub(crate) target: &'a Target,
    /// The recipients' domain.
    pub(crate) domain: &'a Domain,
    pub(crate) demands: &'a Demands,
    pub(crate) credentials: Option<&'a Credentials>,
    pub(crate) identity: Option<Arc<Identity>>,
}

/// Why there is no connection to send over.
#[derive(Debug)]
pub(crate) struct NoWay {
    pub(crate) trouble: Trouble,
    /// What was seen of TLS, where it came so far.
    pub(crate) verdict: Option<Box<Verdict>>,
}

/// What is tried on a new connection.
#[derive(Debug, Clone)]
enum Mode {
    Implicit,
    StartTls,
    Clear(Plaintext),
}

enum Setback {
    /// TLS failed; another way may be open.
    Tls(TlsFailure),
    /// Anything else.
    Other(Box<NoWay>),
}

/// The most peers remembered to need a classical key exchange.
const WITHOUT_HYBRID_MAX: usize = 1_024;

impl Dialler {
    pub(crate) fn new(settings: Arc<Settings>, tls: Arc<Client>) -> Self {
        let timeouts = Arc::new(settings.timeouts.clone());
        Self { settings, timeouts, tls, without_hybrid: Mutex::default() }
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.settings.now)()
    }

    /// Connects, secures and signs in as the errand demands.
    pub(crate) async fn dial(&self, errand: &Errand<'_>) -> Result<Ready<Link>, Box<NoWay>> {
        let connected = self.connected(errand).await?;
        let mut ready = match connected.admit(errand.demands) {
            Ok(ready) => ready,
            Err(refused) => {
                tokio::spawn(refused.connected.into_stream().quit());
                return Err(Box::new(not_met(refused.verdict, errand.target)));
            }
        };
        if let Some(credentials) = errand.credentials {
            sign_in(&mut ready, credentials, errand.target).await?;
        }
        Ok(ready)
    }

    async fn connected(&self, errand: &Errand<'_>) -> Result<Connected<Link>, Box<NoWay>> {
        let target = errand.target;
        let local = match &target.place {
            Place::Unix(_) => true,
            Place::Tcp(at) => {
                target.protocol == Protocol::Lmtp && at.ip().to_canonical().is_loopback()
            }
        };
        let required = errand.demands.joined();
        if !local && required.is_impossible() {
            // Whoever answers, and whatever they say: nothing could be sent.
            let failure = TlsFailure::new(FailureKind::Impossible, "");
            let observed = Observed::Failed(failure.clone());
            let verdict = Box::new(tls::judge(errand.demands, &observed));
            return Err(Box::new(tls_failed(verdict, &failure, target)));
        }
        let mut mode = if target.implicit_tls {
            Mode::Implicit
        } else if local || required.level == Level::None {
            Mode::Clear(Plaintext::NotTried)
        } else {
            Mode::StartTls
        };
        let mut offer = Offer::for_requirement(&required).with_identity(errand.identity.clone());
        let mut suspect = false;
        if self.needs_classical(target) {
            offer = offer.without_hybrid();
        }
        loop {
            let failure = match self.once(errand, &mode, &offer).await {
                Ok(connected) => {
                    if suspect && !offer.hybrid && connected.observed().handshake().is_some() {
                        self.remember_classical(target);
                    }
                    let connected =
                        if local { Connected::local(connected.into_stream()) } else { connected };
                    return Ok(connected);
                }
                Err(Setback::Other(no_way)) => return Err(no_way),
                Err(Setback::Tls(failure)) => failure,
            };
            if offer.hybrid && may_be_hybrid(failure.kind) {
                suspect = true;
                offer = offer.without_hybrid();
                continue;
            }
            let verdict = tls::judge(errand.demands, &Observed::Failed(failure.clone()));
            match mode {
                Mode::StartTls if verdict.is_met() => {
                    mode = Mode::Clear(Plaintext::AfterFailure(failure));
                }
                Mode::StartTls | Mode::Implicit | Mode::Clear(_) => {
                    return Err(Box::new(tls_failed(Box::new(verdict), &failure, target)));
                }
            }
        }
    }

    /// One connection, tried in one way.
    async fn once(
        &self,
        errand: &Errand<'_>,
        mode: &Mode,
        offer: &Offer,
    ) -> Result<Connected<Link>, Setback> {
        let target = errand.target;
        let stream = self.open(target).await?;
        let (stream, handshake) = match (mode, stream) {
            (Mode::Implicit, Stream::Tcp(tcp)) => {
                let (stream, handshake) = self.shake(tcp, errand, offer).await?;
                (stream, Some(handshake))
            }
            (Mode::Implicit | Mode::StartTls | Mode::Clear(_), stream) => (stream, None),
        };
        let greeted = Link::greet(stream, &self.settings, &self.timeouts, target.protocol).await;
        let mut link = greeted.map_err(|(failure, error)| match (&handshake, error) {
            (Some(_), Some(error)) => Setback::Tls(TlsFailure::from_io(&error)),
            (Some(_) | None, _) => Setback::from((failure, target)),
        })?;
        if let Some(handshake) = handshake {
            return Ok(Connected::encrypted(link, handshake));
        }
        match mode {
            Mode::Clear(why) => return Ok(Connected::in_clear(link, why.clone())),
            Mode::Implicit | Mode::StartTls => {}
        }
        if !link.session().extensions().starttls {
            return Ok(Connected::in_clear(link, Plaintext::NotOffered));
        }
        match link.start_tls().await {
            Ok(StartTls::Go) => {}
            Ok(StartTls::Refused(reply)) => {
                let why = Plaintext::Refused { code: reply.code(), text: reply.text().to_owned() };
                return Ok(Connected::in_clear(link, why));
            }
            Err(failure) => return Err(at_starttls(failure, target)),
        }
        let Some((tcp, rest)) = link.split() else {
            let failure = TlsFailure::new(FailureKind::Impossible, "not a TCP connection");
            return Err(Setback::Tls(failure));
        };
        let (stream, handshake) = self.shake(tcp, errand, offer).await?;
        let Stream::Tls(stream) = stream else {
            return Err(Setback::Tls(TlsFailure::new(FailureKind::Handshake, "")));
        };
        match rest.go_on_over(*stream).await {
            Ok(link) => Ok(Connected::encrypted(link, handshake)),
            // With TLS 1.3 the peer's refusal comes only now.
            Err((Failure::Lost { .. }, error)) => Err(Setback::Tls(match error {
                Some(error) => TlsFailure::from_io(&error),
                None => TlsFailure::new(FailureKind::Closed, "right after the handshake"),
            })),
            Err((failure, _)) => Err(Setback::from((failure, target))),
        }
    }

    /// Opens the connection. Here, and only here, sockets are made, so here the
    /// egress policy holds.
    async fn open(&self, target: &Target) -> Result<Stream, Setback> {
        match &target.place {
            Place::Unix(path) => {
                let connecting = UnixStream::connect(path);
                match timeout(self.timeouts.connect, connecting).await {
                    Ok(Ok(stream)) => Ok(Stream::Unix(stream)),
                    Ok(Err(error)) => Err(unreachable(target, &error)),
                    Err(_) => Err(unreachable(target, &io::ErrorKind::TimedOut.into())),
                }
            }
            Place::Tcp(address) => {
                if !self.settings.egress.allows(address.ip()) {
                    return Err(beyond_loopback(*address, target));
                }
                let connecting = self.connect(*address);
                match timeout(self.timeouts.connect, connecting).await {
                    Ok(Ok(stream)) => Ok(Stream::Tcp(stream)),
                    Ok(Err(error)) => Err(unreachable(target, &error)),
                    Err(_) => Err(unreachable(target, &io::ErrorKind::TimedOut.into())),
                }
            }
        }
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let source: Option<IpAddr> = match address {
            SocketAddr::V4(_) => self.settings.source_ipv4.map(IpAddr::V4),
            SocketAddr::V6(_) => self.settings.source_ipv6.map(IpAddr::V6),
        };
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        if let Some(source) = source {
            socket.bind(SocketAddr::new(source, 0))?;
        }
        let stream = socket.connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn shake(
        &self,
        tcp: TcpStream,
        errand: &Errand<'_>,
        offer: &Offer,
    ) -> Result<(Stream, Handshake), Setback> {
        let peer = errand.peer();
        let shaking = self.tls.connect(tcp, &peer, offer, self.now());
        match timeout(self.timeouts.handshake, shaking).await {
            Ok(Ok((stream, handshake))) => Ok((Stream::Tls(Box::new(stream)), handshake)),
            Ok(Err(failure)) => Err(Setback::Tls(failure)),
            Err(_) => Err(Setback::Tls(TlsFailure::new(FailureKind::Timeout, ""))),
        }
    }

    fn needs_classical(&self, target: &Target) -> bool {
        let known = self.without_hybrid.lock().unwrap_or_else(PoisonError::into_inner);
        target.place.address().is_some_and(|address| known.contains(&address))
    }

    fn remember_classical(&self, target: &Target) {
        let mut known = self.without_hybrid.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= WITHOUT_HYBRID_MAX {
            known.clear();
        }
        known.extend(target.place.address());
        tracing::info!(host = %target.host, "TLS works only without post-quantum key exchange");
    }
}

impl Errand<'_> {
    /// The names that the host's certificate may bear, and what each proves.
    fn peer(&self) -> Peer {
        let host = &self.target.host;
        match self.target.anchor {
            Anchor::UnsignedDns | Anchor::RecipientDomain => Peer::mx(host, self.domain),
            anchor @ (Anchor::SecureDns | Anchor::MtaSts) => {
                Peer::new(host, anchor).or(self.domain, Anchor::RecipientDomain)
            }
            Anchor::Configured => Peer::new(host, Anchor::Configured),
        }
    }
}

impl From<(Failure, &Target)> for Setback {
    fn from((failure, target): (Failure, &Target)) -> Self {
        let trouble = Trouble::of_failure(&failure, target.host.as_str());
        Self::Other(Box::new(NoWay { trouble, verdict: None }))
    }
}

async fn sign_in(
    ready: &mut Ready<Link>,
    credentials: &Credentials,
    target: &Target,
) -> Result<(), Box<NoWay>> {
    let host = target.host.as_str();
    let verdict = Some(Box::new(ready.verdict().clone()));
    match ready.stream_mut().sign_in(credentials).await {
        Ok(Ok(())) => Ok(()),
        // Our own settings are at fault: the mail waits until they are mended.
        Ok(Err(error)) => {
            let status = match &error {
                SignInError::InTheClear => Status::new(4, 7, 11),
                SignInError::NoMechanism | SignInError::Refused(_) => Status::new(4, 7, 8),
            };
            let reply = match &error {
                SignInError::Refused(reply) => Some(RemoteReply::from(reply)),
                SignInError::InTheClear | SignInError::NoMechanism => None,
            };
            let trouble = Trouble::new(status, Cause::SignIn, error.to_string()).at(host);
            Err(Box::new(NoWay { trouble: Trouble { reply, ..trouble }, verdict }))
        }
        Err(failure) => {
            Err(Box::new(NoWay { trouble: Trouble::of_failure(&failure, host), verdict }))
        }
    }
}

/// Whether leaving out the hybrid key exchange may help: some peers cannot read
/// a ClientHello of more than one packet.
fn may_be_hybrid(kind: FailureKind) -> bool {
    match kind {
        FailureKind::Handshake | FailureKind::Closed | FailureKind::NoCommonGround => true,
        FailureKind::Signature
        | FailureKind::ClientCertificate
        | FailureKind::Timeout
        | FailureKind::Injected
        | FailureKind::Dns
        | FailureKind::Impossible => false,
    }
}

/// A session that failed at STARTTLS failed at TLS.
fn at_starttls(failure: Failure, target: &Target) -> Setback {
    match &failure {
        Failure::Injected => Setback::Tls(TlsFailure::new(FailureKind::Injected, "")),
        Failure::Lost { .. } => Setback::Tls(TlsFailure::new(FailureKind::Closed, "at STARTTLS")),
        Failure::TimedOut { .. } => {
            Setback::Tls(TlsFailure::new(FailureKind::Timeout, "no reply to STARTTLS"))
        }
        Failure::Refused { .. }
        | Failure::Closing { .. }
        | Failure::Malformed { .. }
        | Failure::Unexpected { .. }
        | Failure::Unsolicited
        | Failure::Unclean(_)
        | Failure::ContentLength
        | Failure::ContentCutShort => Setback::from((failure, target)),
    }
}

fn not_met(verdict: Box<Verdict>, target: &Target) -> NoWay {
    let status = verdict.shortfall().map_or(Status::new(4, 7, 5), tls::Shortfall::status);
    let text = verdict.explanation().unwrap_or_else(|| verdict.to_string());
    let trouble = Trouble::new(status, Cause::Protection, text).at(target.host.as_str());
    NoWay { trouble, verdict: Some(verdict) }
}

/// TLS failed and nothing else may be tried.
fn tls_failed(verdict: Box<Verdict>, failure: &TlsFailure, target: &Target) -> NoWay {
    if !verdict.is_met() {
        return not_met(verdict, target);
    }
    // TLS from the first byte was configured, not demanded.
    let text = failure.to_string();
    let trouble = Trouble::new(Status::new(4, 7, 5), Cause::Protection, text);
    NoWay { trouble: trouble.at(target.host.as_str()), verdict: Some(verdict) }
}

fn unreachable(target: &Target, error: &io::Error) -> Setback {
    let text = match error.kind() {
        io::ErrorKind::TimedOut => format!("no connection to {}: it took too long", target.place),
        _ => format!("no connection to {}: {error}", target.place),
    };
    let trouble = Trouble::new(Status::new(4, 4, 1), Cause::Connect, text).at(target.host.as_str());
    Setback::Other(Box::new(NoWay { trouble, verdict: None }))
}

fn beyond_loopback(address: SocketAddr, target: &Target) -> Setback {
    let text = format!("{address} is not a loopback address; this server sends no mail beyond");
    let trouble = Trouble::new(Status::new(5, 7, 1), Cause::Egress, text).at(target.host.as_str());
    Setback::Other(Box::new(NoWay { trouble, verdict: None }))
}
