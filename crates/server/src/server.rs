//! The running server: what all connections and tasks share, from start to stop.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use accounts::{Cost, Directory, DomainSettings, SignIn, Verifier};
use anyhow::{Result, anyhow};
use config::Config;
use delivery::Egress;
use evidence::archive::Notary;
use evidence::{Entry, Event, EvidenceError, PublicKey, Refused, Signer, Started};
use mail::{Address, Domain, ReversePath, Timestamp, TraceId};
use store::Store;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use crate::activation::Inherited;
use crate::dispatch::Dispatcher;
use crate::fax::Faxes;
use crate::guard::{self, Guard};
use crate::holding::Holds;
use crate::identity;
use crate::listener::{self, Occupancy};
use crate::metrics::Metrics;
use crate::people;
use crate::revision::Texts;
use crate::serving;
use crate::signatory::Signatory;
use crate::site::Site;
use crate::snapshot::Snapshot;

/// Refusals being written at a time; more than that and they are only logged, so
/// that an attacker cannot fill the disk faster than we can look.
const REFUSALS_AT_A_TIME: usize = 32;
/// Passwords checked at a time: each takes 19 MiB and some 30 ms of a core.
const PASSWORDS_AT_A_TIME: usize = 2;
/// How often certificate files are looked at for changes.
const CERTIFICATES_EVERY: Duration = Duration::from_secs(30);
/// Replies that wait in a tarpit at a time.
const TARPITS_AT_A_TIME: usize = 256;
/// How often the waiting are counted for the metrics.
const COUNT_EVERY: Duration = Duration::from_secs(5);
/// How often failed sign-ins are written down.
const SIGN_INS_EVERY: Duration = Duration::from_secs(1);
/// How often mail that was set aside too long ago is looked for.
const QUARANTINE_EVERY: Duration = Duration::from_secs(60);
/// And the shortest time between.
const QUARANTINE_AT_LEAST: Duration = Duration::from_secs(1);
/// The name of the evidence key among the store's settings.
const EVIDENCE_KEY: &str = "evidence-key";

/// How a server is started.
pub struct Launch {
    /// The configuration file; `None` for the demo, whose text is built in.
    pub file: Option<PathBuf>,
    /// The configuration, checked.
    pub config: Config,
    /// Its texts.
    pub texts: Texts,
    /// What is wrong with the file, where this is an earlier configuration in its place.
    pub instead: Option<String>,
    /// The data folder.
    pub data: PathBuf,
    /// Where connections may go.
    pub egress: Egress,
}

/// A running server.
pub struct Server {
    /// What it keeps.
    pub store: Store,
    /// Who has an account, and who may sign in.
    pub accounts: SignIn,
    /// What it counts.
    pub metrics: Metrics,
    /// Bans, connection rates and quota counters.
    pub guard: Guard,
    /// Hands out deliveries.
    pub dispatcher: Dispatcher,
    /// Reads reports about our domains.
    pub reports: crate::reports::Reports,
    /// Signs what leaves.
    pub signatory: Signatory,
    /// Accounts whose outgoing mail waits.
    pub held: Holds,
    /// Follows faxes.
    pub faxes: Faxes,
    /// The lines to fax gateways.
    pub fax_lines: crate::fax::t38::Lines,
    /// When it started.
    pub started: Timestamp,
    /// Replies that a rule lets wait.
    pub tarpit: Semaphore,
    /// Signs the evidence.
    notary: tokio::sync::Mutex<Notary>,
    evidence_key: PublicKey,
    snapshot: RwLock<Arc<Snapshot>>,
    listening: Mutex<HashMap<Key, Listening>>,
    /// Held while a configuration is applied: one at a time.
    applying: tokio::sync::Mutex<()>,
    refusals: Arc<Semaphore>,
    stopping: watch::Sender<bool>,
    sessions: watch::Sender<usize>,
    file: Option<PathBuf>,
    instead: Mutex<Option<String>>,
    data: PathBuf,
    egress: Egress,
}

/// Sockets that are bound, and sites that are made, for a configuration about to be in force.
struct Prepared {
    changed: Vec<(Key, Arc<Site>)>,
    bound: Vec<(Key, TcpListener, Arc<Site>)>,
}

/// One bound socket.
struct Listening {
    site: watch::Sender<Arc<Site>>,
    task: JoinHandle<()>,
}

impl Server {
    /// Opens the store, binds every listener and begins to serve.
    ///
    /// # Errors
    ///
    /// Says what is in the way: the store, a certificate, a socket. Nothing serves then.
    pub async fn start(launch: Launch) -> Result<Arc<Self>> {
        let Launch { file, config, texts, instead, data, egress } = launch;
        let now = Timestamp::now();
        let store = crate::admin::open_store(data.clone()).await?;
        let reason = match &instead {
            None => "read at start",
            Some(_) => "started with an earlier revision, because the file has errors",
        };
        let revision = texts.keep(&store, "file", reason, now).await?;
        let (signer, new) = signer(&store).await?;
        let evidence_key = signer.public_key();
        let notary = tokio::sync::Mutex::new(Notary::open(&store, signer).await?);
        let directory = Arc::new(Directory::open(store.clone()).await?);
        directory.configure(domain_settings(&config));
        let verifier = Verifier::new(Cost::default(), PASSWORDS_AT_A_TIME)?;
        let snapshot =
            Arc::new(Snapshot::new(revision, config, &data, egress, Arc::clone(&directory), now)?);
        let signatory = Signatory::open(&store).await?;
        directory.set_sources(people::sources(&snapshot.config, &snapshot.agent, egress)?);
        let guard = Guard::open(&store, now).await?;
        let failures = guard::sign_ins::load(&store, now).await?;
        let accounts = SignIn::new(directory, verifier, failures);
        accounts.configure(identity::settings(&snapshot.config, Some(&snapshot.agent), egress)?);
        let server = Arc::new(Self {
            signatory,
            guard,
            reports: crate::reports::Reports::default(),
            accounts,
            metrics: Metrics::new(),
            dispatcher: Dispatcher::new(*snapshot.config.queue.concurrency as usize),
            held: Holds::open(&store).await?,
            faxes: Faxes::default(),
            fax_lines: crate::fax::t38::Lines::default(),
            started: now,
            tarpit: Semaphore::new(TARPITS_AT_A_TIME),
            notary,
            evidence_key,
            listening: Mutex::new(HashMap::new()),
            applying: tokio::sync::Mutex::new(()),
            refusals: Arc::new(Semaphore::new(REFUSALS_AT_A_TIME)),
            stopping: watch::Sender::new(false),
            sessions: watch::Sender::new(0),
            snapshot: RwLock::new(Arc::clone(&snapshot)),
            store,
            file,
            instead: Mutex::new(instead),
            data,
            egress,
        });
        if new {
            tracing::info!(key = %server.evidence_key, "made the key that signs the evidence");
        }
        server.record(Event::Started(Started {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            revision,
        }));
        let mut inherited = Inherited::take();
        server.listen(server.prepare(&snapshot, &mut inherited)?);
        inherited.close();
        snapshot.lists.start(&server);
        server.dispatcher.run(&server);
        server.faxes.run(&server);
        server.tend();
        Ok(server)
    }

    /// The configuration in force.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The data folder.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The configuration file, unless this is the demo.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// What was wrong with the configuration file at the start, as long as an earlier revision
    /// serves in its place.
    pub fn instead(&self) -> Option<String> {
        self.instead.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The listeners at work, by name.
    pub fn sites(&self) -> Vec<Arc<Site>> {
        let listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sites: Vec<_> = listening.values().map(|l| Arc::clone(&l.site.borrow())).collect();
        sites.sort_by(|a, b| (&a.name, a.address).cmp(&(&b.name, b.address)));
        sites
    }

    /// Becomes true when the server stops.
    pub fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }

    /// Counts sessions, so that stopping can wait for them.
    pub fn sessions(&self) -> &watch::Sender<usize> {
        &self.sessions
    }

    /// Runs on `config` from now on. Sessions under way go on; new listeners are
    /// bound first and the revision is written next, and if either fails, nothing changes.
    /// Where `base` is named, the newest revision must still be that one.
    ///
    /// # Errors
    ///
    /// What is in the way; the server runs on as before.
    pub async fn apply(
        self: &Arc<Self>,
        config: Config,
        texts: &Texts,
        base: Option<u64>,
        author: &str,
        reason: &str,
    ) -> Result<u64> {
        let _one_at_a_time = self.applying.lock().await;
        let now = Timestamp::now();
        let newest = self.store.revision(None).await?;
        if let (Some(base), Some(newest)) = (base, &newest)
            && newest.number != base
        {
            return Err(anyhow!("revision {} has come in between", newest.number));
        }
        let number = newest
            .as_ref()
            .map_or(1, |newest| if texts.are(newest) { newest.number } else { newest.number + 1 });
        let mut snapshot = Snapshot::new(
            number,
            config,
            &self.data,
            self.egress,
            Arc::clone(self.accounts.directory()),
            now,
        )?;
        snapshot.rates.go_on_from(&self.snapshot().rates);
        let snapshot = Arc::new(snapshot);
        let sign_in = identity::settings(&snapshot.config, Some(&snapshot.agent), self.egress)?;
        let sources = people::sources(&snapshot.config, &snapshot.agent, self.egress)?;
        let prepared = self.prepare(&snapshot, &mut Inherited::default())?;
        texts.keep(&self.store, author, reason, now).await?;
        self.listen(prepared);
        let old = std::mem::replace(
            &mut *self.snapshot.write().unwrap_or_else(PoisonError::into_inner),
            Arc::clone(&snapshot),
        );
        *self.instead.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.accounts.directory().configure(domain_settings(&snapshot.config));
        self.accounts.configure(sign_in);
        self.accounts.directory().set_sources(sources);
        self.dispatcher.resize(*snapshot.config.queue.concurrency as usize);
        self.dispatcher.wake();
        snapshot.lists.start(self);
        self.faxes.wake();
        tokio::spawn(async move { old.agent.close_idle().await });
        self.record(Event::ConfigChanged(evidence::ConfigChanged {
            revision: number,
            author: author.to_owned(),
            reason: reason.to_owned(),
            sha256: texts.digest(),
        }));
        tracing::info!(revision = number, author, reason, "configuration applied");
        Ok(number)
    }

    /// Reads the configuration file and the certificates again.
    ///
    /// # Errors
    ///
    /// The checker's findings, or what is in the way; the server runs on as before.
    pub async fn reload(self: &Arc<Self>) -> Result<u64> {
        let Some(file) = &self.file else {
            return Err(anyhow!("the demo has no configuration file to read again"));
        };
        let outcome = config::load(file);
        let (Some(config), Some(texts)) =
            (outcome.config.clone(), Texts::of(file, &outcome.sources))
        else {
            return Err(anyhow!("{}", outcome.render()));
        };
        self.apply(config, &texts, None, "file", "reload").await
    }

    /// Binds what is new and makes the sites of what goes on; changes nothing yet.
    fn prepare(&self, snapshot: &Snapshot, inherited: &mut Inherited) -> Result<Prepared> {
        let config = &snapshot.config;
        let listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bound = Vec::new();
        let mut changed = Vec::new();
        for wanted in &config.listeners {
            for &socket in wanted.sockets.iter() {
                let site = |address, occupancy| {
                    Site::new(config, wanted, address, &snapshot.certificates, occupancy)
                };
                if let Some(here) = listening.get(&key(socket, &wanted.name)) {
                    let (address, occupancy) = {
                        let site = here.site.borrow();
                        (site.address, Arc::clone(&site.occupancy))
                    };
                    changed.push((key(socket, &wanted.name), Arc::new(site(address, occupancy)?)));
                } else {
                    let name = &wanted.name;
                    let opened = match inherited.at(socket) {
                        Ok(Some(listener)) => Ok(listener),
                        Ok(None) => listener::bind(socket),
                        Err(error) => Err(error),
                    };
                    let listener = match opened {
                        Ok(listener) => listener,
                        // Nobody asked for IPv6 on a machine without it.
                        Err(error) if socket.is_ipv6() && wanted.sockets.is_default() => {
                            tracing::info!(listener = %**name, %error, "no IPv6 here");
                            continue;
                        }
                        Err(error) => {
                            return Err(anyhow!(error).context(format!(
                                "listener \"{}\" cannot listen on {socket}",
                                **name
                            )));
                        }
                    };
                    let site = site(listener.local_addr()?, Arc::new(Occupancy::default()))?;
                    bound.push((key(socket, name), listener, Arc::new(site)));
                }
            }
        }
        Ok(Prepared { changed, bound })
    }

    /// Begins with what is new, changes what goes on, ends what is gone.
    fn listen(self: &Arc<Self>, prepared: Prepared) {
        let Prepared { changed, bound } = prepared;
        let mut listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner);
        let keep: Vec<Key> = (changed.iter().map(|(key, _)| key.clone()))
            .chain(bound.iter().map(|(key, ..)| key.clone()))
            .collect();
        listening.retain(|socket, here| {
            let keeps = keep.contains(socket);
            if !keeps {
                here.task.abort();
            }
            keeps
        });
        for (socket, site) in changed {
            if let Some(here) = listening.get(&socket) {
                here.site.send_replace(site);
            }
        }
        for (socket, listener, site) in bound {
            tracing::info!(listener = %site.name, address = %site.address, "listening");
            let (sender, receiver) = watch::channel(site);
            let task = tokio::spawn(serving::accept(Arc::clone(self), listener, receiver));
            listening.insert(socket, Listening { site: sender, task });
        }
    }

    /// Starts the tasks that look after things.
    fn tend(self: &Arc<Self>) {
        let server = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(CERTIFICATES_EVERY).await;
                let Some(server) = server.upgrade() else { return };
                server.reload_certificates();
            }
        });
        let server = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(SIGN_INS_EVERY).await;
                let Some(server) = server.upgrade() else { return };
                server.keep_sign_ins().await;
            }
        });
        let server = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                let every = match server.upgrade() {
                    Some(server) => server.snapshot().config.quarantine.keep.value,
                    None => return,
                };
                let every = every.map_or(QUARANTINE_EVERY, |keep| keep / 2);
                tokio::time::sleep(every.clamp(QUARANTINE_AT_LEAST, QUARANTINE_EVERY)).await;
                let Some(server) = server.upgrade() else { return };
                if let Err(error) = crate::control::quarantine::sweep(&server).await {
                    tracing::error!(%error, "old mail in quarantine was not removed");
                }
            }
        });
        crate::reports::tend(self);
        crate::fax::retention::tend(self);
        crate::fax::inbound::tend(self);
        crate::fax::t38::lines::tend(self);
        let server = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(COUNT_EVERY).await;
                let Some(server) = server.upgrade() else { return };
                if let Ok(stats) = server.store.stats().await {
                    server.metrics.queued.set((stats.waiting + stats.leased + stats.held) as i64);
                }
            }
        });
        let server = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                let every = match server.upgrade() {
                    Some(server) => *server.snapshot().config.evidence.checkpoint_every,
                    None => return,
                };
                tokio::time::sleep(every).await;
                let Some(server) = server.upgrade() else { return };
                if let Err(error) = server.sign_evidence().await {
                    tracing::error!(%error, "the evidence could not be signed");
                }
            }
        });
    }

    /// Writes down what has changed of failed sign-ins.
    async fn keep_sign_ins(&self) {
        let kept = guard::sign_ins::keep(&self.accounts, &self.store, Timestamp::now()).await;
        if let Err(error) = kept {
            tracing::error!(%error, "failed sign-ins were not written down");
        }
    }

    fn reload_certificates(&self) {
        for site in self.sites() {
            let Some(keyring) = &site.keyring else { continue };
            match keyring.reload() {
                Ok(true) => tracing::info!(listener = %site.name, "took a new certificate"),
                Ok(false) => {}
                Err(error) => {
                    tracing::error!(listener = %site.name, %error, "keeps its old certificate");
                }
            }
        }
    }

    /// Signs the head of the evidence; gives its number if there was something new.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn sign_evidence(&self) -> Result<Option<u64>, EvidenceError> {
        let mut notary = self.notary.lock().await;
        let checkpoint = notary.sign_head(&self.store, Timestamp::now()).await?;
        Ok(checkpoint.map(|checkpoint| checkpoint.seq))
    }

    /// Who signs the evidence.
    pub fn notary(&self) -> &tokio::sync::Mutex<Notary> {
        &self.notary
    }

    /// The key with which anyone can verify the evidence.
    pub fn evidence_key(&self) -> PublicKey {
        self.evidence_key
    }

    /// Whether hops are recorded.
    pub fn keeps_evidence(&self) -> bool {
        *self.snapshot().config.evidence.record
    }

    /// Writes an entry about the server itself, soon.
    pub fn record(self: &Arc<Self>, event: Event) {
        let server = Arc::clone(self);
        tokio::spawn(async move {
            let entry = Entry::of_server(Timestamp::now(), event).to_evidence();
            if let Err(error) = server.store.append_evidence(vec![entry]).await {
                tracing::error!(%error, "an entry about the server was not recorded");
            }
        });
    }

    /// Keeps a refusal so that trace finds it, unless too many are being kept already.
    pub fn record_refusal(
        self: &Arc<Self>,
        sender: ReversePath,
        recipient: Option<Address>,
        event: Refused,
    ) {
        if !self.keeps_evidence() {
            return;
        }
        let Ok(permit) = Arc::clone(&self.refusals).try_acquire_owned() else {
            Metrics::count(&self.metrics.refused, "not-recorded");
            return;
        };
        let server = Arc::clone(self);
        tokio::spawn(async move {
            let at = Timestamp::now();
            let trace = TraceId::generate(at.0);
            let parties: Vec<Address> =
                sender.address().cloned().into_iter().chain(recipient).collect();
            let event = Event::Refused(Box::new(event));
            let refusal = store::Refusal {
                trace,
                at,
                reverse_path: sender,
                facts: b"{}".to_vec(),
                parties,
                evidence: vec![Entry::about(trace, at, event).to_evidence()],
            };
            if let Err(error) = server.store.record_refusal(refusal).await {
                tracing::warn!(%error, "a refusal was not recorded");
            }
            drop(permit);
        });
    }

    /// The name of `ip` in DNS, if it leads back to `ip`.
    pub async fn confirmed_name(&self, ip: IpAddr) -> Option<Domain> {
        self.snapshot().agent.resolver().confirmed_name(ip).await
    }

    /// Stops: no new connections, sessions end at their next safe point, deliveries
    /// under way finish within the configured time.
    pub async fn stop(&self) {
        let patience = *self.snapshot().config.timeouts.shutdown;
        for (_, here) in self.listening.lock().unwrap_or_else(PoisonError::into_inner).drain() {
            here.task.abort();
        }
        self.stopping.send_replace(true);
        let mut sessions = self.sessions.subscribe();
        let quiet = async {
            let _ = sessions.wait_for(|open| *open == 0).await;
            self.dispatcher.idle().await;
            self.fax_lines.idle().await;
        };
        if tokio::time::timeout(patience, quiet).await.is_err() {
            tracing::warn!(
                "stopped with sessions or deliveries under way; nothing accepted is lost"
            );
        }
        self.keep_sign_ins().await;
        if let Err(error) = self.reports.counts.keep(&self.store).await {
            tracing::warn!(%error, "what was seen for reports could not be kept at the end");
        }
        if let Err(error) = self.sign_evidence().await {
            tracing::warn!(%error, "the evidence could not be signed at the end");
        }
        self.snapshot().agent.close_idle().await;
    }
}

/// What tells sockets apart: port 0 is another one for every listener.
type Key = (Option<String>, SocketAddr);

fn key(socket: SocketAddr, name: &str) -> Key {
    ((socket.port() == 0).then(|| name.to_owned()), socket)
}

/// What the directory wants to know of the domains a configuration names.
pub fn domain_settings(config: &Config) -> Vec<DomainSettings> {
    let settings = |domain: &config::model::LocalDomain| DomainSettings {
        recipients: match *domain.recipients {
            config::model::Recipients::Accounts => accounts::Recipients::Accounts,
            config::model::Recipients::Any => accounts::Recipients::Any,
        },
        catch_all: domain.catch_all.as_ref().map(|address| address.value.clone()),
        ..DomainSettings::new(domain.name.value.clone())
    };
    config.domains.iter().map(settings).collect()
}

/// The key that signs the evidence, made the first time; and whether it is new.
async fn signer(store: &Store) -> Result<(Signer, bool)> {
    if let Some(secret) = store.setting(EVIDENCE_KEY).await? {
        return Ok((Signer::from_secret(&secret)?, false));
    }
    let (signer, secret) = Signer::generate()?;
    let _synced = store.put_setting(EVIDENCE_KEY, secret).await?;
    Ok((signer, true))
}
