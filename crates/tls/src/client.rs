//! TLS as a client: any certificate is accepted, and what it is worth is recorded.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mail::{Domain, Timestamp};
use rustls::client::{Resumption, Tls12Resumption};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, ClientConnection};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
pub use tokio_rustls::client::TlsStream;

use crate::algorithm::Suite;
use crate::certificate::Identity;
use crate::error::Error;
use crate::fingerprint::Fingerprint;
use crate::handshake;
use crate::observed::{
    Anchor, Certificate, Distrust, Failure, FailureKind, Handshake, Verification,
};
use crate::provider::{self, Clock, Possession};
use crate::requirement::{Level, Proof, Requirement};
use crate::trust::{self, Roots};
use crate::version::Versions;

/// Whom we mean to reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    host: String,
    names: Vec<(String, Anchor)>,
}

/// What is offered to a peer.
#[derive(Debug, Clone)]
pub struct Offer {
    /// The versions.
    pub versions: Versions,
    /// The suites; `None` is every suite.
    pub suites: Option<BTreeSet<Suite>>,
    /// Whether hybrid post-quantum key exchange is offered. A peer that chokes on its
    /// large ClientHello may be tried again without; never for that in the clear.
    pub hybrid: bool,
    /// Our certificate, for a peer that asks for one.
    pub identity: Option<Arc<Identity>>,
    /// Whether an earlier session may be continued.
    pub resume: bool,
}

/// Handshakes with servers. One for the whole process: connections share settings
/// that are built once.
pub struct Client {
    roots: Arc<Roots>,
    handshake_max: Duration,
    clock: Arc<Clock>,
    configs: Mutex<HashMap<Key, Arc<ClientConfig>>>,
}

/// An [`Offer`] as far as it decides the library's settings.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    versions: Versions,
    suites: Option<BTreeSet<Suite>>,
    hybrid: bool,
    identity: Option<Fingerprint>,
    resume: bool,
}

impl Peer {
    /// The host we connect to. Its name goes into SNI, and certificates for it count.
    pub fn new(host: &Domain, anchor: Anchor) -> Self {
        let host = plain(host);
        Self { names: vec![(host.clone(), anchor)], host }
    }

    /// An MX of `recipient`, found in DNS without DNSSEC. Certificates for the
    /// recipient's domain itself count too, and prove more than one for a foreign MX.
    pub fn mx(host: &Domain, recipient: &Domain) -> Self {
        let inside = host == recipient || host.is_below(recipient);
        let anchor = if inside { Anchor::RecipientDomain } else { Anchor::UnsignedDns };
        Self::new(host, anchor).or(recipient, Anchor::RecipientDomain)
    }

    /// The same, where certificates for `name` count too.
    #[must_use]
    pub fn or(mut self, name: &Domain, anchor: Anchor) -> Self {
        let name = plain(name);
        self.names.retain(|(known, weaker)| *known != name || *weaker > anchor);
        if !self.names.iter().any(|(known, _)| *known == name) {
            self.names.push((name, anchor));
        }
        // What proves most is looked for first; the host stays ahead among equals.
        self.names.sort_by_key(|&(_, anchor)| std::cmp::Reverse(anchor));
        self
    }

    /// The host's name.
    pub fn host(&self) -> &str {
        &self.host
    }
}

/// A name or address without brackets.
fn plain(domain: &Domain) -> String {
    domain.literal().map_or_else(|| domain.to_string(), |ip: IpAddr| ip.to_string())
}

impl Offer {
    /// Everything that `requirement` allows. Sessions are continued only where nobody
    /// must prove anything, so that a proof is always of today.
    pub fn for_requirement(requirement: &Requirement) -> Self {
        Self {
            versions: requirement.versions,
            suites: requirement.suites.clone(),
            hybrid: true,
            identity: None,
            resume: requirement.level < Level::Authenticated,
        }
    }

    /// The same with a certificate of ours.
    #[must_use]
    pub fn with_identity(self, identity: Option<Arc<Identity>>) -> Self {
        Self { identity, ..self }
    }

    /// The same without post-quantum key exchange.
    #[must_use]
    pub fn without_hybrid(self) -> Self {
        Self { hybrid: false, ..self }
    }
}

impl Default for Offer {
    fn default() -> Self {
        Self::for_requirement(&Requirement::opportunistic())
    }
}

impl Client {
    /// A client that trusts `roots`.
    pub fn new(roots: Arc<Roots>) -> Self {
        Self {
            roots,
            handshake_max: HANDSHAKE_MAX,
            clock: Arc::default(),
            configs: Mutex::default(),
        }
    }

    /// The same with another limit for a handshake.
    #[must_use]
    pub fn with_handshake_max(self, handshake_max: Duration) -> Self {
        Self { handshake_max, ..self }
    }

    /// Shakes hands with `peer` at `now`. An untrusted certificate is no failure but a
    /// finding in [`Handshake::verification`]: [`crate::judge`] decides.
    ///
    /// # Errors
    ///
    /// [`Failure`]; the connection is lost. [`Failure::may_pass`] says whether to wait.
    pub async fn connect<S>(
        &self,
        stream: S,
        peer: &Peer,
        offer: &Offer,
        now: Timestamp,
    ) -> Result<(TlsStream<S>, Handshake), Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let config = self.config(offer)?;
        let name = ServerName::try_from(peer.host.clone())
            .map_err(|_| Failure::new(FailureKind::Handshake, "not a host name for TLS"))?;
        self.clock.set(now);
        let shake = TlsConnector::from(config).connect(name, stream);
        let stream = tokio::time::timeout(self.handshake_max, shake)
            .await
            .map_err(|_| Failure::new(FailureKind::Timeout, ""))?
            .map_err(|error| Failure::from_io(&error))?;
        let facts = self.facts(stream.get_ref().1, peer, offer, now)?;
        if facts.resumed && !matches!(facts.verification, Verification::Trusted { .. }) {
            // The chain of the first session is shown again for ever, and a renewed
            // certificate would never be seen. This connection still receives tickets,
            // so it takes the old settings with its sessions along.
            self.forget(offer);
        }
        Ok((stream, facts))
    }

    fn facts(
        &self,
        connection: &ClientConnection,
        peer: &Peer,
        offer: &Offer,
        now: Timestamp,
    ) -> Result<Handshake, Failure> {
        let chain = connection.peer_certificates().unwrap_or_default();
        let is_address = peer.host.parse::<IpAddr>().is_ok();
        let sni = (!is_address).then(|| peer.host.clone());
        let mut facts = handshake::facts(connection, sni, self.verify(chain, peer, now))?;
        facts.own_certificate = offer.identity.as_ref().map(|own| own.facts().sha256);
        Ok(facts)
    }

    /// What the server's certificate is worth. Pure, over the connection's own chain.
    fn verify(&self, chain: &[CertificateDer<'_>], peer: &Peer, now: Timestamp) -> Verification {
        let Some(leaf) = chain.first() else {
            return Verification::NoCertificate;
        };
        let name = peer.host.clone();
        if let Err(reason) = self.roots.check_server(chain, now) {
            return Verification::Untrusted { name, reason };
        }
        let matching = peer.names.iter().find(|(name, _)| {
            ServerName::try_from(name.as_str()).is_ok_and(|name| trust::is_for(leaf, &name))
        });
        let Some((name, anchor)) = matching else {
            let presented = Certificate::of_peer(leaf).names;
            return Verification::Untrusted { name, reason: Distrust::WrongName { presented } };
        };
        Verification::Trusted {
            name: name.clone(),
            anchor: *anchor,
            by: BTreeSet::from([Proof::WebPki]),
        }
    }

    fn config(&self, offer: &Offer) -> Result<Arc<ClientConfig>, Failure> {
        let key = Key::of(offer);
        let mut configs = self.configs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = configs.get(&key) {
            return Ok(Arc::clone(config));
        }
        let config = build(offer, &self.clock)
            .map(Arc::new)
            .map_err(|error| Failure::new(FailureKind::Impossible, error))?;
        if configs.len() >= CONFIGS_MAX {
            configs.clear();
        }
        configs.insert(key, Arc::clone(&config));
        Ok(config)
    }

    fn forget(&self, offer: &Offer) {
        self.configs.lock().unwrap_or_else(PoisonError::into_inner).remove(&Key::of(offer));
    }
}

impl Key {
    fn of(offer: &Offer) -> Self {
        Self {
            versions: offer.versions,
            suites: offer.suites.clone(),
            hybrid: offer.hybrid,
            identity: offer.identity.as_ref().map(|own| own.facts().sha256),
            resume: offer.resume,
        }
    }
}

fn build(offer: &Offer, clock: &Arc<Clock>) -> Result<ClientConfig, Error> {
    let provider = provider::select(offer.versions, offer.suites.as_ref(), offer.hybrid)?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&provider::protocol_versions(offer.versions))
        .map_err(|error| Error::Settings { detail: error.to_string() })?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Possession));
    let mut config = match &offer.identity {
        None => builder.with_no_client_auth(),
        Some(own) => {
            let own = SingleCertAndKey::from(Arc::clone(own.certified()));
            builder.with_client_cert_resolver(Arc::new(own))
        }
    };
    config.time_provider = Arc::clone(clock) as Arc<_>;
    config.resumption = if offer.resume {
        // Sessions of TLS 1.2 are not bound well enough to where they began (RFC 7627).
        Resumption::in_memory_sessions(SESSIONS_MAX).tls12_resumption(Tls12Resumption::Disabled)
    } else {
        Resumption::disabled()
    };
    Ok(config)
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("roots", &self.roots).finish_non_exhaustive()
    }
}

/// How long a handshake may take unless told otherwise.
pub const HANDSHAKE_MAX: Duration = Duration::from_secs(60);
/// Settings that are kept built; more kinds of demands than this are not expected.
const CONFIGS_MAX: usize = 64;
/// Servers whose sessions are kept for resumption.
const SESSIONS_MAX: usize = 512;
