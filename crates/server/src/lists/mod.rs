//! Lists at work: asked over DNS or read from files, tested, suspended, counted.

mod client;
mod links;
mod memory;
mod zone;

use std::path::Path;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use config::Config;
use config::model::{Dnsbl, Greylisting, List, ListSource, Uribl};
use delivery::{Resolver, ResolverSettings};
use lists::own::{FILE_MAX_OCTETS, OwnList};
use lists::{Action, Finding};
use mail::Timestamp;
use store::MemoryKind;
use tokio::sync::Semaphore;

use crate::metrics::ListCounts;
use crate::server::Server;

pub use links::TEXT_MAX_OCTETS;
pub use memory::Outcome;
pub use zone::Zone;

/// Questions to lists under way at a time; more wait, each within its list's time.
const QUESTIONS_AT_A_TIME: usize = 512;
/// Answers of lists that are kept for their time to live, apart from those about mail routes.
const ANSWERS_KEPT: u64 = 20_000;
/// How often what is too old is forgotten.
const FORGET_EVERY: Duration = Duration::from_secs(60);
/// The most rows that are remembered of each kind.
const REMEMBERED_MAX: u64 = 1_000_000;
/// Outcomes being written at a time; more are not remembered.
const WRITES_AT_A_TIME: usize = 32;

/// Every list of a configuration, and what it says of strangers and of reputation.
pub struct Lists {
    clients: Vec<Arc<ClientList>>,
    links: Vec<Arc<LinkList>>,
    greylisting: Option<Greylisting>,
    half_life: Option<Duration>,
    resolver: Option<Resolver>,
    questions: Semaphore,
    writes: Arc<Semaphore>,
    counts: OnceLock<ListCounts>,
}

/// A list of clients.
pub struct ClientList {
    settings: Dnsbl,
    source: Source,
}

/// A list of domains.
pub struct LinkList {
    settings: Uribl,
    source: Source,
}

/// Where a list is.
pub enum Source {
    /// In DNS.
    Zone(Box<Zone>),
    /// In memory.
    Own(OwnList),
}

impl Lists {
    /// The lists of `config`. Nothing is asked yet.
    ///
    /// # Errors
    ///
    /// What is wrong with a file, or the resolver's.
    pub fn new(config: &Config, resolver: ResolverSettings) -> Result<Self> {
        let is_zone = |list: &List| matches!(list.source, ListSource::Zone(_));
        let asks_dns = config.dnsbl.iter().map(|d| &d.list).any(is_zone)
            || config.uribl.iter().map(|u| &u.list).any(is_zone);
        let resolvers = if asks_dns {
            let settings = |cache_entries| ResolverSettings {
                cache_entries,
                hosts: std::collections::HashMap::new(),
                exchangers: std::collections::HashMap::new(),
                ..resolver.clone()
            };
            let kept = if resolver.cache_entries == 0 { 0 } else { ANSWERS_KEPT };
            let everyday = Resolver::new(settings(kept))?;
            // A test that is answered from memory tests nothing.
            Some((everyday, Resolver::new(settings(0))?))
        } else {
            None
        };
        let source = |list: &List, points: zone::TestPoints| match (&list.source, &resolvers) {
            (ListSource::File(path), _) => own(path).map(Source::Own),
            (ListSource::Zone(zone), Some((everyday, tester))) => {
                let zone = Zone::new(list, zone.clone(), points, everyday.clone(), tester.clone());
                Ok(Source::Zone(Box::new(zone)))
            }
            (ListSource::Zone(zone), None) => bail!("there is no resolver for {zone}"),
        };
        let client = |settings: &Dnsbl| {
            let source = source(&settings.list, zone::TestPoints::Addresses)?;
            Ok(Arc::new(ClientList { settings: settings.clone(), source }))
        };
        let link = |settings: &Uribl| {
            let points = zone::TestPoints::Names {
                listed: settings.test_listed.value.clone(),
                unlisted: settings.test_unlisted.value.clone(),
            };
            let source = source(&settings.list, points)?;
            Ok(Arc::new(LinkList { settings: settings.clone(), source }))
        };
        Ok(Self {
            clients: config.dnsbl.iter().map(client).collect::<Result<_>>()?,
            links: config.uribl.iter().map(link).collect::<Result<_>>()?,
            greylisting: config.greylisting.clone(),
            half_life: config.reputation.as_ref().map(|reputation| *reputation.half_life),
            resolver: resolvers.map(|(everyday, _)| everyday),
            questions: Semaphore::new(QUESTIONS_AT_A_TIME),
            writes: Arc::new(Semaphore::new(WRITES_AT_A_TIME)),
            counts: OnceLock::new(),
        })
    }

    /// Begins to test the zones, and goes on while this configuration is in use.
    pub fn start(self: &Arc<Self>, server: &Arc<Server>) {
        let _ = self.counts.set(server.metrics.lists.clone());
        for (at, zone) in self.zones().enumerate() {
            let (every, lists) = (zone.test_every(), Arc::downgrade(self));
            tokio::spawn(async move {
                while let Some(lists) = lists.upgrade() {
                    lists.test(at).await;
                    drop(lists);
                    tokio::time::sleep(every).await;
                }
            });
        }
        if self.greylisting.is_some() || self.half_life.is_some() {
            tokio::spawn(forget(Arc::downgrade(self), Arc::downgrade(server)));
        }
    }

    async fn test(&self, at: usize) {
        let Some(zone) = self.zones().nth(at) else { return };
        if zone.test().await {
            // What it answered while it was out of order is not believed later.
            if let Some(resolver) = &self.resolver {
                resolver.flush();
            }
        }
        if let Some(counts) = self.counts.get() {
            counts.suspended(zone.name(), zone.is_suspended());
        }
    }

    /// The lists that are asked over DNS.
    pub fn zones(&self) -> impl Iterator<Item = &Zone> {
        let clients = self.clients.iter().map(|list| &list.source);
        clients.chain(self.links.iter().map(|list| &list.source)).filter_map(
            |source| match source {
                Source::Zone(zone) => Some(&**zone),
                Source::Own(_) => None,
            },
        )
    }

    /// The lists of clients, as they are configured.
    pub fn clients(&self) -> impl Iterator<Item = (&List, &Source)> {
        self.clients.iter().map(|list| (&list.settings.list, &list.source))
    }

    /// The lists of domains, as they are configured.
    pub fn links(&self) -> impl Iterator<Item = (&List, &Source)> {
        self.links.iter().map(|list| (&list.settings.list, &list.source))
    }

    /// Whether strangers are asked to come again.
    pub fn greylists(&self) -> bool {
        self.greylisting.is_some()
    }

    /// Whether senders are remembered.
    pub fn keeps_reputation(&self) -> bool {
        self.half_life.is_some()
    }

    /// Whether messages have to be searched for links.
    pub fn reads_links(&self) -> bool {
        !self.links.is_empty()
    }

    /// Whether clients are looked up.
    pub fn reads_clients(&self) -> bool {
        !self.clients.is_empty()
    }

    fn count(&self, list: &str, outcome: &str) {
        if let Some(counts) = self.counts.get() {
            counts.answer(list, outcome);
        }
    }

    /// Counts what was found, and logs what a shadow list would have done.
    fn note(&self, list: &List, findings: &[Finding]) {
        let word = if findings.is_empty() { "not listed" } else { "listed" };
        self.count(&list.name, word);
        for finding in findings.iter().filter(|finding| finding.action == Action::Shadow) {
            tracing::info!(list = %finding.list, subject = %finding.subject,
                codes = %finding.codes.join(","), "listed by a shadow list, which changes nothing");
        }
    }
}

/// Reads a list of our own.
fn own(path: &Path) -> Result<OwnList> {
    let reading = || format!("the list {} cannot be read", path.display());
    let octets = std::fs::metadata(path).with_context(reading)?.len();
    if octets > FILE_MAX_OCTETS {
        bail!("the list {} has more than {FILE_MAX_OCTETS} octets", path.display());
    }
    let text = std::fs::read_to_string(path).with_context(reading)?;
    OwnList::parse(&text).with_context(|| format!("the list {} is wrong", path.display()))
}

/// Forgets what is too old, as long as the configuration and the server are there.
async fn forget(lists: Weak<Lists>, server: Weak<Server>) {
    loop {
        tokio::time::sleep(FORGET_EVERY).await;
        let (Some(_lists), Some(server)) = (lists.upgrade(), server.upgrade()) else { return };
        for kind in MemoryKind::ALL {
            if let Err(error) = server.store.forget(kind, REMEMBERED_MAX, Timestamp::now()).await {
                tracing::warn!(%error, "old senders were not forgotten");
            }
        }
    }
}

impl ListCounts {
    fn answer(&self, list: &str, outcome: &str) {
        let label =
            crate::metrics::ListLabel { list: list.to_owned(), outcome: outcome.to_owned() };
        self.answers.get_or_create(&label).inc();
    }

    fn suspended(&self, list: &str, is: bool) {
        let label = crate::metrics::Which { kind: list.to_owned() };
        self.suspended.get_or_create(&label).set(i64::from(is));
    }
}
