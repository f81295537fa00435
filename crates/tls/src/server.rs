//! TLS as a server: settings per listener and per host name.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mail::Timestamp;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{Acceptor, ClientHello, NoClientAuth, ServerSessionMemoryCache};
use rustls::{DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::LazyConfigAcceptor;
pub use tokio_rustls::server::TlsStream;

use crate::algorithm::Suite;
use crate::error::Error;
use crate::handshake;
use crate::keyring::Keyring;
use crate::observed::{
    Anchor, Certificate, Distrust, Failure, FailureKind, Handshake, Verification,
};
use crate::provider::{self, Clock};
use crate::requirement::Proof;
use crate::trust::Roots;
use crate::version::Versions;

/// How TLS is spoken with those who connect.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The certificates.
    pub keyring: Arc<Keyring>,
    /// The versions.
    pub versions: Versions,
    /// The suites; `None` is every suite with forward secrecy and AEAD.
    pub suites: Option<BTreeSet<Suite>>,
    /// Whether clients are asked for a certificate.
    pub client_certificate: ClientCertificate,
    /// Whether hybrid post-quantum key exchange is preferred.
    pub hybrid: bool,
    /// Application protocols, preferred first; none for mail.
    pub alpn: Vec<String>,
    /// How long a handshake may take.
    pub handshake_max: Duration,
}

/// Whether clients are asked for a certificate.
#[derive(Debug, Clone, Default)]
pub enum ClientCertificate {
    /// They are not.
    #[default]
    Off,
    /// They are; whatever they show is recorded, and verified against these authorities.
    Ask(Arc<Roots>),
    /// They are, and without one from these authorities there is no connection.
    Require(Arc<Roots>),
}

/// The handshakes of one listener. Cheap to use for any number of connections.
pub struct Server {
    default: Profile,
    by_name: HashMap<String, Profile>,
}

struct Profile {
    config: Arc<ServerConfig>,
    keyring: Arc<Keyring>,
    clients: Option<Arc<Roots>>,
    handshake_max: Duration,
    clock: Arc<Clock>,
}

impl Settings {
    /// TLS 1.2 and 1.3, forward secrecy, hybrid key exchange, no client certificates.
    pub fn new(keyring: Arc<Keyring>) -> Self {
        Self {
            keyring,
            versions: Versions::ALL,
            suites: None,
            client_certificate: ClientCertificate::Off,
            hybrid: true,
            alpn: Vec::new(),
            handshake_max: HANDSHAKE_MAX,
        }
    }
}

impl Server {
    /// Builds everything that connections share.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuite`] if versions and suites exclude each other.
    pub fn new(settings: &Settings) -> Result<Self, Error> {
        Ok(Self { default: Profile::new(settings)?, by_name: HashMap::new() })
    }

    /// The same with other settings for clients that ask for `name` (SNI).
    ///
    /// # Errors
    ///
    /// As [`Server::new`].
    pub fn with_host(mut self, name: &str, settings: &Settings) -> Result<Self, Error> {
        self.by_name.insert(name.to_ascii_lowercase(), Profile::new(settings)?);
        Ok(self)
    }

    /// Shakes hands with a client that connected at `now`.
    ///
    /// # Errors
    ///
    /// [`Failure`]; the connection is lost, and the client was told by an alert.
    pub async fn accept<S>(
        &self,
        stream: S,
        now: Timestamp,
    ) -> Result<(TlsStream<S>, Handshake), Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let shake = async {
            let started = LazyConfigAcceptor::new(Acceptor::default(), stream)
                .await
                .map_err(|error| Failure::from_io(&error))?;
            let (profile, own) = {
                let hello = started.client_hello();
                let profile = self.profile(&hello);
                (profile, profile.keyring.choose(&hello).map(|own| own.facts().sha256))
            };
            profile.clock.set(now);
            let stream = started
                .into_stream(Arc::clone(&profile.config))
                .await
                .map_err(|error| Failure::from_io(&error))?;
            let connection = stream.get_ref().1;
            let sni = connection.server_name().map(str::to_owned);
            let found = profile.verify(connection.peer_certificates().unwrap_or_default(), now);
            let mut facts = handshake::facts(connection, sni, found)?;
            facts.own_certificate = own.filter(|_| !facts.resumed);
            Ok((stream, facts))
        };
        tokio::time::timeout(self.default.handshake_max, shake)
            .await
            .unwrap_or_else(|_| Err(Failure::new(FailureKind::Timeout, "")))
    }

    fn profile(&self, hello: &ClientHello<'_>) -> &Profile {
        hello
            .server_name()
            .and_then(|name| self.by_name.get(&name.to_ascii_lowercase()))
            .unwrap_or(&self.default)
    }
}

impl Profile {
    fn new(settings: &Settings) -> Result<Self, Error> {
        let provider =
            provider::select(settings.versions, settings.suites.as_ref(), settings.hybrid)?;
        let refused = |error: rustls::Error| Error::Settings { detail: error.to_string() };
        let (verifier, clients): (Arc<dyn ClientCertVerifier>, _) =
            match &settings.client_certificate {
                ClientCertificate::Off => (Arc::new(NoClientAuth), None),
                ClientCertificate::Ask(roots) => {
                    (Arc::new(Asking { required: None }), Some(Arc::clone(roots)))
                }
                ClientCertificate::Require(roots) => {
                    let required = Some(Arc::clone(roots));
                    (Arc::new(Asking { required }), Some(Arc::clone(roots)))
                }
            };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&provider::protocol_versions(settings.versions))
            .map_err(refused)?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::clone(&settings.keyring) as Arc<_>);
        config.alpn_protocols = settings.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        config.ticketer = Ticketer::new().map_err(refused)?;
        config.session_storage = ServerSessionMemoryCache::new(SESSIONS_MAX);
        config.send_tls13_tickets = 1;
        let clock = Arc::new(Clock::default());
        config.time_provider = Arc::clone(&clock) as Arc<_>;
        Ok(Self {
            config: Arc::new(config),
            keyring: Arc::clone(&settings.keyring),
            clients,
            handshake_max: settings.handshake_max,
            clock,
        })
    }

    /// What the client's certificate is worth, if it showed one.
    fn verify(&self, chain: &[CertificateDer<'_>], now: Timestamp) -> Verification {
        let Some(leaf) = chain.first() else {
            return Verification::NoCertificate;
        };
        let name = Certificate::of_peer(leaf).called().to_owned();
        let found = match &self.clients {
            Some(roots) => roots.check_client(chain, now),
            None => Err(Distrust::UnknownIssuer),
        };
        match found {
            // The administrator chose the authorities, so what they say of a name counts.
            Ok(()) => Verification::Trusted {
                name,
                anchor: Anchor::Configured,
                by: BTreeSet::from([Proof::WebPki]),
            },
            Err(reason) => Verification::Untrusted { name, reason },
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("keyring", &self.default.keyring)
            .field("hosts", &self.by_name.keys())
            .finish_non_exhaustive()
    }
}

/// Asks for a certificate. Proof of its key is always demanded; trust only where required.
#[derive(Debug)]
struct Asking {
    required: Option<Arc<Roots>>,
}

impl ClientCertVerifier for Asking {
    fn client_auth_mandatory(&self) -> bool {
        self.required.is_some()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        match &self.required {
            None => Ok(ClientCertVerified::assertion()),
            Some(roots) => roots.require_client(end_entity, intermediates, now),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        provider::verify_tls12(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        provider::verify_tls13(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider::all().signature_verification_algorithms.supported_schemes()
    }
}

/// How long a handshake may take unless settings say otherwise.
pub const HANDSHAKE_MAX: Duration = Duration::from_secs(30);
/// Sessions of TLS 1.2 that are kept for resumption without tickets.
const SESSIONS_MAX: usize = 1024;
