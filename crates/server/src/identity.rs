//! What the configuration says of signing in, as the accounts want it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use accounts::token::{Fetching, KEYS_MAX_OCTETS, KeySource, KeysFile, TokenSettings, Tokens};
use accounts::{Certificates, Kept, Kerberos, Policy, SignInSettings};
use anyhow::{Context, Result};
use config::Config;
use config::model::{AccountCertificates, KeysAt, Verifier};
use delivery::{Agent, Egress, Families, Resolver};
use mail::{Domain, Timestamp};
use tls::{RootSources, Roots};
use web_client::{Addresses, Client, Limits, Names, Place, Request};

/// How one may sign in. Without an `agent` no name can be looked up, and keys that are
/// elsewhere are not asked for.
///
/// # Errors
///
/// An address that the checker did not look at closely enough, or the authorities of the system.
pub fn settings(config: &Config, agent: Option<&Agent>, egress: Egress) -> Result<SignInSettings> {
    let sign_in = &config.sign_in;
    let kept = sign_in.verifiers.iter().map(|verifier| match verifier {
        Verifier::ScramSha256 => Kept::ScramSha256,
        Verifier::ScramSha1 => Kept::ScramSha1,
        Verifier::CramMd5 => Kept::CramMd5,
        Verifier::DigestMd5 => Kept::DigestMd5,
    });
    Ok(SignInSettings {
        realm: config.hostname.value.to_string(),
        kept: kept.collect(),
        policy: Policy {
            length_min: usize::try_from(*sign_in.password_length).unwrap_or(usize::MAX),
            breached: sign_in.breached_passwords.as_ref().map(|path| path.value.clone()),
            history: usize::try_from(*sign_in.password_history).unwrap_or_default(),
            expires_after: *sign_in.password_expiry,
        },
        tokens: match agent {
            Some(agent) => tokens(config, agent, egress)?.map(Arc::new),
            None => None,
        },
        kerberos: match agent {
            Some(_) => kerberos(config)?,
            None => None,
        },
        certificates: match *sign_in.client_certificates {
            AccountCertificates::Off => Certificates::Off,
            AccountCertificates::Fingerprint => Certificates::Fingerprint,
            AccountCertificates::Address => Certificates::Address,
        },
    })
}

fn tokens(config: &Config, agent: &Agent, egress: Egress) -> Result<Option<Tokens>> {
    let Some(tokens) = &config.sign_in.tokens else { return Ok(None) };
    let settings = TokenSettings {
        issuer: tokens.issuer.value.clone(),
        audiences: tokens.audiences.value.clone(),
        scope: tokens.scope.as_ref().map(|scope| scope.value.clone()),
        claim: tokens.claim.value.clone(),
    };
    let source: Box<dyn KeySource> = match &*tokens.keys {
        KeysAt::File(path) => Box::new(KeysFile(path.clone())),
        KeysAt::Web(text) => Box::new(WebKeys::new(text, config, agent, egress)?),
    };
    Ok(Some(Tokens::new(settings, source)))
}

/// Who judges tickets. The key of the service is looked for at once, so that a missing one is
/// found before the first client comes.
#[cfg(feature = "gssapi")]
fn kerberos(config: &Config) -> Result<Option<Kerberos>> {
    use accounts::kerberos::Library;

    let Some(settings) = &config.sign_in.gssapi else { return Ok(None) };
    let acceptor = Library::new(&settings.service).context("sign-in { gssapi }")?;
    Ok(Some(Kerberos {
        acceptor: Arc::new(acceptor),
        realm: settings.realm.value.clone(),
        domain: settings.domain.value.clone(),
    }))
}

/// This build judges none, and the checker has said so.
#[cfg(not(feature = "gssapi"))]
fn kerberos(config: &Config) -> Result<Option<Kerberos>> {
    anyhow::ensure!(config.sign_in.gssapi.is_none(), "this build has no Kerberos");
    Ok(None)
}

/// Keys at a web address.
struct WebKeys {
    client: Client,
    place: Place,
}

impl WebKeys {
    fn new(text: &str, config: &Config, agent: &Agent, egress: Egress) -> Result<Self> {
        let place = text.parse().with_context(|| format!("keys {text}"))?;
        let roots = Roots::load(&RootSources {
            built_in: true,
            bundles: config.ca_bundle.iter().map(|bundle| bundle.value.clone()).collect(),
            ..RootSources::default()
        })?;
        let tls = tls::Client::new(Arc::new(roots));
        let names = Arc::new(Dns(agent.resolver().clone()));
        let loopback_only = egress == Egress::LoopbackOnly;
        let client = Client::new(Arc::new(tls), names).loopback_only(loopback_only);
        Ok(Self { client, place })
    }
}

impl KeySource for WebKeys {
    fn fetch(&self) -> Fetching<'_> {
        Box::pin(async {
            let limits =
                Limits { connect: CONNECT_MAX, total: FETCH_MAX, body_octets: KEYS_MAX_OCTETS };
            let request = Request::get(self.place.clone());
            let response = self.client.send(request, limits, Timestamp::now()).await;
            let response = response.map_err(|error| error.to_string())?;
            if !response.is_success() {
                return Err(format!("{} answered {}", self.place, response.status));
            }
            Ok(response.body.to_vec())
        })
    }
}

impl fmt::Debug for WebKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.place)
    }
}

/// Host names, by the server's resolver.
struct Dns(Resolver);

impl Names for Dns {
    fn addresses<'a>(&'a self, host: &'a Domain) -> Addresses<'a> {
        Box::pin(async move {
            let found = self.0.addresses(host, Families::Ipv6First).await;
            found.map(|found| found.list).map_err(|error| error.to_string())
        })
    }
}

/// How long one attempt to connect may take.
const CONNECT_MAX: Duration = Duration::from_secs(3);
/// How long one reading of keys may take: somebody is waiting to sign in.
const FETCH_MAX: Duration = Duration::from_secs(8);
