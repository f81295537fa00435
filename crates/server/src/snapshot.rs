//! One revision of the configuration, compiled into what the server runs on.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use accounts::Directory;
use anyhow::{Context, Result, bail};
use config::Config;
use config::model::{IpFamilies, Route, Target};
use delivery::{
    Agent, Egress, ExchangerOverride, Families, Ourselves, Pace, PoolSettings, Resolver,
    ResolverSettings, Settings, Timeouts,
};
use mail::{Domain, Timestamp};
use rules::{Fact, Policy, RuleId};
use smtp::client::Credentials;
use tls::{Client, RootSources, Roots};

use crate::certificates::Certificates;
use crate::filtering::{self, Filters};
use crate::guard::FlowPolicy;
use crate::lists::Lists;
use crate::rates::Rates;

/// Everything a revision of the configuration decides. Never changed, only replaced.
pub struct Snapshot {
    /// Its number in the history; 0 for one that is in no history.
    pub revision: u64,
    /// The configuration.
    pub config: Config,
    /// Its rules.
    pub policy: Arc<Policy>,
    /// Carries mail out.
    pub agent: Agent,
    /// Its certificates.
    pub certificates: Arc<Certificates>,
    /// Whether a rule looks at the client's name, so that it has to be looked up.
    pub asks_for_client_names: bool,
    /// Whether a rule or a limit looks at attachments, so that messages have to be searched for them.
    pub asks_for_attachments: bool,
    /// Whether a rule looks at header fields other than the subject.
    pub asks_for_headers: bool,
    /// The milters and scanners.
    pub filters: Filters,
    /// Asks other servers by HTTP.
    pub web: web_client::Client,
    /// Where connections may go.
    pub egress: Egress,
    /// The data folder.
    pub data: PathBuf,
    /// How fast each class of messages leaves.
    pub rates: Rates,
    /// Whom to let in, whom to ban, how much anyone may send.
    pub flow: FlowPolicy,
    /// The lists that clients and links are looked up in.
    pub lists: Arc<Lists>,
    domains: HashMap<Domain, usize>,
    credentials: HashMap<String, Credentials>,
    webhook_secrets: HashMap<String, Vec<u8>>,
    directory: Arc<Directory>,
}

impl Snapshot {
    /// Compiles `config`, which the checker has passed.
    ///
    /// # Errors
    ///
    /// What the checker cannot see: certificates, authorities, the resolver.
    pub fn new(
        revision: u64,
        config: Config,
        data: &Path,
        egress: Egress,
        directory: Arc<Directory>,
        now: Timestamp,
    ) -> Result<Self> {
        let certificates = Certificates::load(&config, data, now)?;
        let credentials = credentials(&config)?;
        let webhook_secrets = webhook_secrets(&config)?;
        let snapshot =
            Self::assemble(revision, config, data, egress, directory, certificates, credentials)?;
        Ok(Self { webhook_secrets, ..snapshot })
    }

    /// Compiles `config` to ask it questions only: it carries no mail, reads no secret and
    /// makes no certificate.
    ///
    /// # Errors
    ///
    /// As [`Self::new`].
    pub fn dry_run(config: Config, data: &Path, directory: Arc<Directory>) -> Result<Self> {
        let mut unread = HashMap::new();
        for entry in &config.credentials {
            let credentials = Credentials::new(entry.user.value.clone(), "not read")
                .with_context(|| format!("credentials \"{}\"", *entry.name))?;
            unread.insert(entry.name.value.clone(), credentials);
        }
        let certificates = Certificates::default();
        Self::assemble(0, config, data, Egress::LoopbackOnly, directory, certificates, unread)
    }

    fn assemble(
        revision: u64,
        config: Config,
        data: &Path,
        egress: Egress,
        directory: Arc<Directory>,
        certificates: Certificates,
        credentials: HashMap<String, Credentials>,
    ) -> Result<Self> {
        let policy = Arc::clone(&config.policy);
        let certificates = Arc::new(certificates);
        let (agent, tls) = agent(&config, egress, &certificates)?;
        let reach = filtering::reach(agent.resolver(), &tls, egress);
        let web = reach.web.clone();
        let filters = Filters::new(&config, reach);
        let domains =
            config.domains.iter().enumerate().map(|(at, d)| (d.name.value.clone(), at)).collect();
        let flow = FlowPolicy::of(&config);
        let asks = |wanted: fn(&Fact) -> bool| asks(&policy, wanted);
        let lists = Lists::new(&config, resolver_settings(&config)?)?;
        Ok(Self {
            lists: Arc::new(lists),
            rates: Rates::of(&config),
            asks_for_attachments: flow.sizes.asks_for_attachments()
                || asks(|fact| {
                    matches!(
                        fact,
                        Fact::AttachmentName
                            | Fact::AttachmentType
                            | Fact::AttachmentSize
                            | Fact::AttachmentCount
                    )
                }),
            flow,
            revision,
            asks_for_client_names: asks(|fact| *fact == Fact::ClientName),
            asks_for_headers: asks(|fact| matches!(fact, Fact::Header(_))),
            filters,
            web,
            credentials,
            webhook_secrets: HashMap::new(),
            config,
            policy,
            agent,
            certificates,
            domains,
            egress,
            data: data.to_owned(),
            directory,
        })
    }

    /// The domain of ours that `domain` is.
    pub fn domain(&self, domain: &Domain) -> Option<&config::model::LocalDomain> {
        self.config.domains.get(*self.domains.get(domain)?)
    }

    /// Whether `domain` is ours, by the configuration or the directory.
    pub fn is_ours(&self, domain: &Domain) -> bool {
        self.domains.contains_key(domain) || self.directory.is_ours(domain)
    }

    /// What to sign in with at a smart host.
    pub fn credentials(&self, name: &str) -> Option<&Credentials> {
        self.credentials.get(name)
    }

    /// What the webhooks of a fax provider are signed with.
    pub fn webhook_secret(&self, provider: &str) -> Option<&[u8]> {
        self.webhook_secrets.get(provider).map(Vec::as_slice)
    }

    /// A rule as the evidence names it.
    pub fn rule_ref(&self, id: RuleId) -> Option<evidence::RuleRef> {
        let rule = self.policy.rule(id)?;
        Some(evidence::RuleRef {
            number: Some(self.policy.number(id).to_string()),
            name: rule.name.clone(),
            origin: (!rule.origin.is_built_in()).then(|| rule.origin.to_string()),
        })
    }
}

/// The credentials of a configuration with their secrets read.
fn credentials(config: &Config) -> Result<HashMap<String, Credentials>> {
    let mut read = HashMap::new();
    for entry in &config.credentials {
        let name = &entry.name.value;
        let password = entry
            .password
            .resolve(&config::Disk::default())
            .with_context(|| format!("the password of credentials \"{name}\""))?;
        let credentials = Credentials::new(entry.user.value.clone(), password.reveal())
            .with_context(|| format!("credentials \"{name}\" are empty or too long"))?;
        read.insert(name.clone(), credentials);
    }
    Ok(read)
}

/// What the webhooks of each fax provider are signed with.
fn webhook_secrets(config: &Config) -> Result<HashMap<String, Vec<u8>>> {
    let mut read = HashMap::new();
    for provider in &config.fax_providers {
        let (name, Some(webhooks)) = (&provider.name.value, &provider.webhooks) else { continue };
        let secret = webhooks
            .secret
            .resolve(&config::Disk::default())
            .with_context(|| format!("the webhook secret of fax-provider \"{name}\""))?;
        read.insert(name.clone(), crate::fax::provider::webhook::secret(secret.reveal()));
    }
    Ok(read)
}

/// Whether a rule looks at a fact.
fn asks(policy: &Policy, wanted: fn(&Fact) -> bool) -> bool {
    policy.rules().any(|(_, _, rule)| rule.when.tests().iter().any(|test| wanted(&test.fact)))
}

fn agent(
    config: &Config,
    egress: Egress,
    certificates: &Arc<Certificates>,
) -> Result<(Agent, Arc<Client>)> {
    let resolver =
        Resolver::new(resolver_settings(config)?).context("the resolver cannot start")?;
    let roots = Roots::load(&RootSources {
        built_in: true,
        bundles: config.ca_bundle.iter().map(|bundle| bundle.value.clone()).collect(),
        ..RootSources::default()
    })?;
    let tls = Client::new(Arc::new(roots)).with_handshake_max(*config.timeouts.handshake);
    let tls = Arc::new(tls);
    let certificates = Arc::clone(certificates);
    let agent = Agent::new(
        settings(config, egress),
        resolver,
        Arc::clone(&tls),
        Arc::new(move |name: &str| certificates.identity(name)),
    );
    Ok((agent, tls))
}

fn resolver_settings(config: &Config) -> Result<ResolverSettings> {
    let hosts = config.hosts.iter().map(|e| (e.name.value.clone(), e.addresses.clone())).collect();
    let mut exchangers = HashMap::new();
    for entry in &config.mx {
        exchangers.insert(entry.domain.value.clone(), overrides(&entry.targets));
    }
    for ours in &config.domains {
        if let Route::Smtp(targets) = &*ours.route {
            exchangers.insert(ours.name.value.clone(), overrides(targets));
        }
    }
    let Some(retries) = (*config.dns.attempts as usize).checked_sub(1) else {
        bail!("dns attempts must be at least 1");
    };
    let defaults = ResolverSettings::default();
    Ok(ResolverSettings {
        servers: config.dns.servers.value.clone(),
        timeout: *config.dns.timeout,
        retries,
        cache_entries: if *config.dns.cache { defaults.cache_entries } else { 0 },
        hosts,
        exchangers,
        ..defaults
    })
}

/// Hosts in the order in which they are tried.
fn overrides(targets: &[Target]) -> Vec<ExchangerOverride> {
    (0..)
        .zip(targets)
        .map(|(preference, target)| ExchangerOverride {
            preference,
            host: host(&target.host),
            port: target.port,
        })
        .collect()
}

/// A host of the configuration as delivery names it.
pub fn host(host: &config::model::Host) -> Domain {
    match host {
        config::model::Host::Name(name) => name.clone(),
        config::model::Host::Address(ip) => Domain::from(*ip),
    }
}

fn settings(config: &Config, egress: Egress) -> Settings {
    let (timeouts, delivery) = (&config.timeouts, &config.delivery);
    let mut names: std::collections::HashSet<Domain> =
        config.listeners.iter().map(|listener| listener.hostname.value.clone()).collect();
    names.insert(config.hostname.value.clone());
    let families = match *delivery.families {
        IpFamilies::Both => Families::Ipv6First,
        IpFamilies::Ipv4 => Families::Ipv4Only,
        IpFamilies::Ipv6 => Families::Ipv6Only,
    };
    let sources = || delivery.source_addresses.iter();
    Settings {
        timeouts: Timeouts {
            connect: *timeouts.connect,
            greeting: *timeouts.greeting,
            hello: *timeouts.reply,
            handshake: *timeouts.handshake,
            mail: *timeouts.reply,
            rcpt: *timeouts.reply,
            data_start: *timeouts.data_start,
            data_block: *timeouts.data_block,
            data_end: *timeouts.data_end,
            ..Timeouts::default()
        },
        egress,
        families,
        ourselves: Ourselves {
            names,
            addresses: config
                .listeners
                .iter()
                .flat_map(|listener| listener.sockets.iter())
                .map(std::net::SocketAddr::ip)
                .filter(|ip| !ip.is_unspecified() && !ip.is_loopback())
                .collect(),
            loopback_is_us: !*delivery.loopback,
        },
        mx_port: *delivery.port,
        source_ipv4: sources().find_map(|ip| match ip {
            std::net::IpAddr::V4(v4) => Some(*v4),
            std::net::IpAddr::V6(_) => None,
        }),
        source_ipv6: sources().find_map(|ip| match ip {
            std::net::IpAddr::V6(v6) => Some(*v6),
            std::net::IpAddr::V4(_) => None,
        }),
        pool: PoolSettings {
            idle: *delivery.idle,
            messages_max: *delivery.messages_per_connection,
            ..PoolSettings::default()
        },
        pace: Pace { concurrency_max: *config.queue.per_destination as usize, ..Pace::default() },
        ..Settings::new(delivery.hostname.value.clone())
    }
}
