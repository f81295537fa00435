//! DNS for mail: exchangers and addresses, and what the lack of an answer means.

mod questions;

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::dnssec::Proof;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ServerOrderingStrategy,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::{Resolver as Hickory, TokioResolver};
use mail::{Domain, Status};

use crate::outcome::{Cause, Trouble};
use crate::settings::Families;

/// Which name servers are asked, and what is known without asking.
#[derive(Debug, Clone)]
pub struct ResolverSettings {
    /// Address and port of each name server; empty for those of the system.
    pub servers: Vec<SocketAddr>,
    /// How long one question may take.
    pub timeout: Duration,
    /// How often a question is repeated after the first time.
    pub retries: usize,
    /// Validate DNSSEC ourselves. The name servers must then pass signatures on.
    pub validate: bool,
    /// A file of trust anchors in place of those of the root.
    pub trust_anchors: Option<PathBuf>,
    /// The most answers kept. Their TTL is honoured, also when it is 0.
    pub cache_entries: u64,
    /// Addresses of hosts, before DNS.
    pub hosts: HashMap<Domain, Vec<IpAddr>>,
    /// Mail exchangers of domains, before DNS.
    pub exchangers: HashMap<Domain, Vec<ExchangerOverride>>,
}

impl Default for ResolverSettings {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            timeout: Duration::from_secs(5),
            retries: 2,
            validate: false,
            trust_anchors: None,
            cache_entries: 8_192,
            hosts: HashMap::new(),
            exchangers: HashMap::new(),
        }
    }
}

/// A mail exchanger given by configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExchangerOverride {
    /// Lower is tried first.
    pub preference: u16,
    /// Its name, or its address as a literal.
    pub host: Domain,
    /// Its port, if not that of mail exchangers.
    pub port: Option<u16>,
}

/// The mail exchangers of a domain, in the order to try them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchangers {
    /// Sorted by preference; equals in random order (RFC 5321 section 5.1). Never empty.
    pub list: Vec<Exchanger>,
    /// The domain has no MX record and stands for itself.
    pub implicit: bool,
    /// The answer was signed and validated. So also for an implicit one.
    pub secure: bool,
    /// The configuration names them. It may well name this machine, behind which another
    /// server listens; DNS may not.
    pub configured: bool,
}

/// One mail exchanger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchanger {
    /// Lower is tried first.
    pub preference: u16,
    /// Its name, or its address as a literal.
    pub host: Domain,
    /// Its port, if not that of mail exchangers.
    pub port: Option<u16>,
}

/// The addresses of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// In the order to try them. Never empty.
    pub list: Vec<IpAddr>,
    /// The answers were signed and validated.
    pub secure: bool,
}

/// Why a question has no usable answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// NXDOMAIN.
    #[error("the domain {0} does not exist")]
    NoSuchDomain(Domain),
    /// The name exists and has neither mail exchanger nor address.
    #[error("{0} has neither a mail exchanger nor an address in DNS")]
    NoAddress(Domain),
    /// A null MX (RFC 7505).
    #[error("the domain {0} says that it takes no mail (null MX)")]
    NullMx(Domain),
    /// No answer, a failure of the servers, or signatures that do not validate.
    /// Never taken for "there is none".
    #[error("DNS gave no reliable answer about {name}: {detail}")]
    Failed {
        /// What was asked about.
        name: Domain,
        /// How it failed.
        detail: String,
    },
    /// The resolver could not be set up.
    #[error("the DNS resolver could not be set up: {0}")]
    Setup(String),
}

impl ResolveError {
    /// The enhanced status (RFC 3463, RFC 7505 section 4.2).
    pub fn status(&self) -> Status {
        match self {
            Self::NoSuchDomain(_) => Status::new(5, 1, 2),
            Self::NoAddress(_) => Status::new(5, 4, 4),
            Self::NullMx(_) => Status::new(5, 1, 10),
            Self::Failed { .. } => Status::new(4, 4, 3),
            Self::Setup(_) => Status::new(4, 3, 5),
        }
    }
}

impl From<ResolveError> for Trouble {
    fn from(error: ResolveError) -> Self {
        Self::new(error.status(), Cause::Dns, error.to_string())
    }
}

/// Asks DNS. Cheap to clone; clones share one cache.
#[derive(Clone)]
pub struct Resolver {
    inner: Arc<Inner>,
}

struct Inner {
    dns: TokioResolver,
    hosts: HashMap<Domain, Vec<IpAddr>>,
    exchangers: HashMap<Domain, Vec<ExchangerOverride>>,
}

/// The most exchangers of one domain that are looked at.
pub const EXCHANGERS_MAX: usize = 16;
/// The most addresses of one host that are looked at.
pub const ADDRESSES_MAX: usize = 16;

/// The most names of one address that are looked at.
pub const REVERSE_NAMES_MAX: usize = 4;

/// Why there is no record of a kind.
enum Lack {
    NoSuchDomain,
    NoRecords { secure: bool },
    Failed(String),
}

struct Records {
    data: Vec<RData>,
    secure: bool,
}

impl Resolver {
    /// A resolver with these settings. Asks nothing yet.
    ///
    /// # Errors
    ///
    /// [`ResolveError::Setup`] when the system's configuration or the trust anchors cannot be read.
    pub fn new(settings: ResolverSettings) -> Result<Self, ResolveError> {
        let setup = |error: NetError| ResolveError::Setup(error.to_string());
        let mut builder = if settings.servers.is_empty() {
            TokioResolver::builder_tokio().map_err(setup)?
        } else {
            let servers = settings.servers.iter().copied().map(name_server).collect();
            let config = ResolverConfig::from_name_servers(servers);
            Hickory::builder_with_config(config, TokioRuntimeProvider::default())
        };
        let options = builder.options_mut();
        options.timeout = settings.timeout;
        options.attempts = settings.retries;
        options.cache_size = settings.cache_entries;
        options.use_hosts_file = ResolveHosts::Never;
        options.server_ordering_strategy = ServerOrderingStrategy::UserProvidedOrder;
        options.try_tcp_on_error = true;
        options.validate = settings.validate;
        options.trust_anchor.clone_from(&settings.trust_anchors);
        if let Some(path) = settings.trust_anchors.as_ref().filter(|_| settings.validate) {
            let anchors = hickory_proto::dnssec::TrustAnchors::from_file(path)
                .map_err(|error| ResolveError::Setup(format!("{}: {error}", path.display())))?;
            builder = builder.with_trust_anchor(Arc::new(anchors));
        }
        let dns = builder.build().map_err(setup)?;
        let ResolverSettings { hosts, exchangers, .. } = settings;
        Ok(Self { inner: Arc::new(Inner { dns, hosts, exchangers }) })
    }

    /// Forgets every answer.
    pub fn flush(&self) {
        self.inner.dns.clear_cache();
    }

    /// The mail exchangers of `domain` (RFC 5321 section 5.1): those configured,
    /// else those in DNS, else the domain itself.
    ///
    /// # Errors
    ///
    /// [`ResolveError`]; all but [`ResolveError::Failed`] and [`ResolveError::Setup`] are final.
    pub async fn exchangers(&self, domain: &Domain) -> Result<Exchangers, ResolveError> {
        if let Some(given) = self.inner.exchangers.get(domain) {
            let list = given
                .iter()
                .map(|e| Exchanger { preference: e.preference, host: e.host.clone(), port: e.port })
                .collect();
            let list = in_order(list);
            return Ok(Exchangers { list, implicit: false, secure: false, configured: true });
        }
        let itself = |secure| Exchangers {
            list: vec![Exchanger { preference: 0, host: domain.clone(), port: None }],
            implicit: true,
            secure,
            configured: self.inner.hosts.contains_key(domain),
        };
        if domain.literal().is_some() || self.inner.hosts.contains_key(domain) {
            return Ok(itself(false));
        }
        match self.lookup(domain, RecordType::MX).await {
            Ok(records) => exchangers_of(domain, &records),
            Err(Lack::NoRecords { secure }) => Ok(itself(secure)),
            Err(Lack::NoSuchDomain) => Err(ResolveError::NoSuchDomain(domain.clone())),
            Err(Lack::Failed(detail)) => Err(ResolveError::Failed { name: domain.clone(), detail }),
        }
    }

    /// The addresses of `host`: itself if it is a literal, else those configured,
    /// else those in DNS.
    ///
    /// # Errors
    ///
    /// [`ResolveError`]; all but [`ResolveError::Failed`] and [`ResolveError::Setup`] are final.
    pub async fn addresses(
        &self,
        host: &Domain,
        families: Families,
    ) -> Result<Addresses, ResolveError> {
        if let Some(ip) = host.literal() {
            return Ok(Addresses { list: vec![ip], secure: false });
        }
        if let Some(list) = self.inner.hosts.get(host).filter(|list| !list.is_empty()) {
            return Ok(Addresses { list: sorted(list.clone(), families), secure: false });
        }
        let (v4, v6) = match families {
            Families::Ipv6First | Families::Ipv4First => {
                tokio::join!(self.lookup(host, RecordType::A), self.lookup(host, RecordType::AAAA))
            }
            Families::Ipv4Only => {
                (self.lookup(host, RecordType::A).await, Err(Lack::NoRecords { secure: true }))
            }
            Families::Ipv6Only => {
                (Err(Lack::NoRecords { secure: true }), self.lookup(host, RecordType::AAAA).await)
            }
        };
        let mut list = Vec::new();
        let mut secure = true;
        for records in [&v4, &v6].into_iter().flatten() {
            secure &= records.secure;
            list.extend(records.data.iter().filter_map(address).take(ADDRESSES_MAX));
        }
        if !list.is_empty() {
            return Ok(Addresses { list: sorted(list, families), secure });
        }
        match (v4.err(), v6.err()) {
            (Some(Lack::Failed(detail)), _) | (_, Some(Lack::Failed(detail))) => {
                Err(ResolveError::Failed { name: host.clone(), detail })
            }
            (Some(Lack::NoSuchDomain), _) | (_, Some(Lack::NoSuchDomain)) => {
                Err(ResolveError::NoSuchDomain(host.clone()))
            }
            (Some(Lack::NoRecords { .. }) | None, Some(Lack::NoRecords { .. }) | None) => {
                Err(ResolveError::NoAddress(host.clone()))
            }
        }
    }

    /// The name of `ip` by reverse look-up, if that name leads back to `ip`; of several
    /// the first that does. A failure is no name.
    pub async fn confirmed_name(&self, ip: IpAddr) -> Option<Domain> {
        let ip = ip.to_canonical();
        let lookup = self.inner.dns.reverse_lookup(ip).await.ok()?;
        let names = lookup.answers().iter().filter_map(|record| match &record.data {
            RData::PTR(name) => Domain::parse(&name.0.to_ascii()).ok(),
            _ => None,
        });
        let names: Vec<Domain> = names.take(REVERSE_NAMES_MAX).collect();
        for name in names {
            let back = self.addresses(&name, Families::Ipv6First).await;
            if back.is_ok_and(|addresses| addresses.list.contains(&ip)) {
                return Some(name);
            }
        }
        None
    }

    /// The IPv4 addresses that DNS gives `name`, and nothing the configuration says: the
    /// answer of a list. `None` when there is no such name or it has no address.
    ///
    /// # Errors
    ///
    /// What went wrong; it says nothing about the name.
    pub async fn listing(&self, name: &Domain) -> Result<Option<Vec<Ipv4Addr>>, String> {
        match self.lookup(name, RecordType::A).await {
            Ok(records) => {
                let v4 = records.data.iter().filter_map(|data| match data {
                    RData::A(a) => Some(a.0),
                    _ => None,
                });
                Ok(Some(v4.take(ADDRESSES_MAX).collect()))
            }
            Err(Lack::NoSuchDomain | Lack::NoRecords { .. }) => Ok(None),
            Err(Lack::Failed(detail)) => Err(detail),
        }
    }

    /// The first text that DNS gives `name`. A failure is no text.
    pub async fn text(&self, name: &Domain) -> Option<String> {
        let records = self.lookup(name, RecordType::TXT).await.ok()?;
        records.data.iter().find_map(|data| match data {
            RData::TXT(text) => {
                let octets = text.txt_data.concat();
                Some(String::from_utf8_lossy(&octets).into_owned())
            }
            _ => None,
        })
    }

    async fn lookup(&self, name: &Domain, kind: RecordType) -> Result<Records, Lack> {
        let fqdn = Name::from_ascii(format!("{name}."))
            .map_err(|error| Lack::Failed(error.to_string()))?;
        let lookup = self.inner.dns.lookup(fqdn, kind).await.map_err(Lack::from)?;
        let answers = lookup.answers();
        if answers.iter().any(|record| record.proof == Proof::Bogus) {
            return Err(Lack::Failed("a DNSSEC signature does not validate".to_owned()));
        }
        let secure = answers.iter().all(|record| record.proof == Proof::Secure);
        let of_kind = |record: &&Record| record.record_type() == kind;
        let data: Vec<RData> = answers.iter().filter(of_kind).map(|r| r.data.clone()).collect();
        if data.is_empty() { Err(Lack::NoRecords { secure }) } else { Ok(Records { data, secure }) }
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").field("hosts", &self.inner.hosts).finish_non_exhaustive()
    }
}

impl From<NetError> for Lack {
    fn from(error: NetError) -> Self {
        let by_code = |code: ResponseCode, secure: bool| match code {
            ResponseCode::NXDomain => Self::NoSuchDomain,
            ResponseCode::NoError => Self::NoRecords { secure },
            other => Self::Failed(format!("the server answered {other}")),
        };
        match &error {
            NetError::Dns(DnsError::NoRecordsFound(none)) => by_code(none.response_code, false),
            NetError::Dns(DnsError::Nsec { response, proof, .. }) => match proof {
                Proof::Secure | Proof::Insecure => {
                    by_code(response.response_code, *proof == Proof::Secure)
                }
                Proof::Bogus | Proof::Indeterminate => {
                    Self::Failed("the denial of existence does not validate".to_owned())
                }
            },
            _ => Self::Failed(error.to_string()),
        }
    }
}

fn name_server(at: SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = at.port();
        connection
    });
    NameServerConfig::new(at.ip(), true, connections.into())
}

fn exchangers_of(domain: &Domain, records: &Records) -> Result<Exchangers, ResolveError> {
    let mut null = false;
    let mut list = Vec::new();
    for data in &records.data {
        let RData::MX(mx) = data else { continue };
        if mx.exchange.is_root() {
            null = true;
            continue;
        }
        if let Ok(host) = Domain::parse(&mx.exchange.to_ascii()) {
            list.push(Exchanger { preference: mx.preference, host, port: None });
        }
    }
    match (list.is_empty(), null) {
        (true, true) => Err(ResolveError::NullMx(domain.clone())),
        (true, false) => Err(ResolveError::NoAddress(domain.clone())),
        (false, _) => {
            let list = in_order(list);
            let secure = records.secure;
            Ok(Exchangers { list, implicit: false, secure, configured: false })
        }
    }
}

/// By preference; equals in random order; no name twice; at most [`EXCHANGERS_MAX`].
fn in_order(mut list: Vec<Exchanger>) -> Vec<Exchanger> {
    fastrand::shuffle(&mut list);
    list.sort_by_key(|exchanger| exchanger.preference);
    let mut seen = std::collections::HashSet::new();
    list.retain(|exchanger| seen.insert((exchanger.host.clone(), exchanger.port)));
    list.truncate(EXCHANGERS_MAX);
    list
}

fn address(data: &RData) -> Option<IpAddr> {
    match data {
        RData::A(a) => Some(IpAddr::V4(a.0)),
        RData::AAAA(aaaa) => Some(IpAddr::V6(aaaa.0)),
        _ => None,
    }
}

fn sorted(mut list: Vec<IpAddr>, families: Families) -> Vec<IpAddr> {
    fastrand::shuffle(&mut list);
    match families {
        Families::Ipv6First => list.sort_by_key(IpAddr::is_ipv4),
        Families::Ipv4First => list.sort_by_key(IpAddr::is_ipv6),
        Families::Ipv4Only => list.retain(IpAddr::is_ipv4),
        Families::Ipv6Only => list.retain(IpAddr::is_ipv6),
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchanger(preference: u16, host: &str) -> Exchanger {
        Exchanger { preference, host: host.parse().unwrap(), port: None }
    }

    #[test]
    fn lower_preference_comes_first_and_equals_take_turns() {
        let mut firsts = std::collections::HashSet::new();
        for _ in 0..100 {
            let list = in_order(vec![
                exchanger(20, "c.example"),
                exchanger(10, "a.example"),
                exchanger(10, "b.example"),
                exchanger(30, "a.example"),
            ]);
            assert_eq!(list.len(), 3);
            assert_eq!(list[2].host.as_str(), "c.example");
            firsts.insert(list[0].host.clone());
        }
        assert_eq!(firsts.len(), 2);
    }

    #[test]
    fn families_are_ordered_as_wished() {
        let all: Vec<IpAddr> = ["192.0.2.1", "2001:db8::1"].map(|ip| ip.parse().unwrap()).into();
        assert!(sorted(all.clone(), Families::Ipv6First)[0].is_ipv6());
        assert!(sorted(all.clone(), Families::Ipv4First)[0].is_ipv4());
        assert_eq!(sorted(all.clone(), Families::Ipv4Only), all[..1]);
        assert_eq!(sorted(all.clone(), Families::Ipv6Only), all[1..]);
    }
}
