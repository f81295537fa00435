//! Deliveries: what is due is handed out, attempted, and settled.

mod attempt;
mod content;
mod fax;
mod report;
pub mod route;

pub(crate) use content::first_octets;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use config::Config;
use mail::{ReversePath, Timestamp, TraceId};
use queue::Schedule;
use store::{Accepted, BlobId, Body, Claim, Claimed, Lease, NewEntry};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::message::Record;
use crate::server::Server;

/// How long a delivery may take before another may be tried. Longer than every
/// timeout of a session together.
const LEASE: Duration = Duration::from_secs(3 * 3600);
/// The longest sleep between two looks at the queue.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long to wait after the store failed.
const AFTER_FAILURE: Duration = Duration::from_secs(2);
/// Entries of one destination handed out at a time.
const PER_DESTINATION: u32 = 200;

/// Hands out deliveries, no more at a time than there are places.
pub struct Dispatcher {
    places: Arc<Semaphore>,
    size: AtomicUsize,
    /// The queue was looked at when no place was free.
    starved: AtomicBool,
    wake: Notify,
}

/// One entry being delivered.
pub(crate) struct Work {
    pub(crate) lease: Lease,
    pub(crate) trace: TraceId,
    pub(crate) received: Timestamp,
    pub(crate) reverse_path: ReversePath,
    pub(crate) record: Arc<Record>,
    pub(crate) content: Source,
    pub(crate) route: Option<Vec<u8>>,
    pub(crate) recipients: Vec<u8>,
    pub(crate) attempts: u32,
    pub(crate) expires: Timestamp,
}

/// Where the content is.
pub(crate) enum Source {
    /// Still at hand from its arrival.
    Memory(Bytes),
    /// In the store.
    Stored(BlobId, u64),
}

/// When a lease taken at `now` ends.
pub fn lease_end(now: Timestamp) -> Timestamp {
    now.plus(LEASE)
}

/// The times of the queue that a configuration sets. What the checker let pass and the
/// schedule does not want becomes the default.
pub fn schedule(config: &Config) -> Schedule {
    let queue = &config.queue;
    let jitter = u8::try_from(*queue.jitter_percent).unwrap_or(u8::MAX);
    Schedule::new(queue.retry.value.clone(), jitter)
        .unwrap_or_default()
        .giving_up_after(*queue.lifetime, *queue.bounce_lifetime)
        .telling_after(*queue.delay_notice, *queue.policy_notice)
}

impl Dispatcher {
    /// A dispatcher for `size` deliveries at a time.
    pub fn new(size: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(size)),
            size: AtomicUsize::new(size),
            starved: AtomicBool::new(false),
            wake: Notify::new(),
        }
    }

    /// Places that are free now.
    pub fn places(&self) -> usize {
        self.places.available_permits()
    }

    /// Changes how many deliveries there are at a time; those under way go on.
    pub fn resize(&self, size: usize) {
        let before = self.size.swap(size, Ordering::Relaxed);
        if size > before {
            self.places.add_permits(size - before);
        } else {
            let places = Arc::clone(&self.places);
            let fewer = u32::try_from(before - size).unwrap_or(u32::MAX);
            tokio::spawn(async move {
                if let Ok(permits) = places.acquire_many_owned(fewer).await {
                    permits.forget();
                }
            });
        }
    }

    /// Looks at the queue now.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Returns when no delivery is under way.
    pub async fn idle(&self) {
        let all = u32::try_from(self.size.load(Ordering::Relaxed)).unwrap_or(u32::MAX);
        drop(self.places.acquire_many(all).await);
    }

    /// Delivers the entries of a message that has just been accepted and were born
    /// leased, from memory where the content still is; the others wait their turn.
    pub fn take(
        &self,
        server: &Arc<Server>,
        accepted: Accepted,
        entries: Vec<NewEntry>,
        record: &Record,
        received: Timestamp,
        body: &Body,
    ) {
        let record = Arc::new(record.clone());
        let mut waits = false;
        for ((_, lease), entry) in accepted.entries.into_iter().zip(entries) {
            let Some(lease) = lease else {
                waits = true;
                continue;
            };
            let work = Work {
                lease,
                trace: accepted.trace,
                received,
                reverse_path: record.envelope.reverse_path.clone(),
                record: Arc::clone(&record),
                content: body
                    .in_memory()
                    .map_or(Source::Stored(accepted.blob, body.len_octets()), Source::Memory),
                route: entry.route,
                recipients: entry.recipients,
                attempts: 0,
                expires: entry.expires,
            };
            let places = Arc::clone(&self.places);
            let server = Arc::clone(server);
            tokio::spawn(async move {
                // The place was free when the lease was taken; at worst a short wait.
                if let Ok(place) = places.acquire_owned().await {
                    deliver(server, work, place).await;
                }
            });
        }
        if waits {
            self.wake();
        }
    }

    /// Hands out what is due, until the server is gone.
    pub fn run(&self, server: &Arc<Server>) {
        let server = Arc::downgrade(server);
        tokio::spawn(async move {
            loop {
                let Some(server) = server.upgrade() else { return };
                if *server.stopping().borrow() {
                    return;
                }
                let pause = match server.dispatcher.hand_out(&server).await {
                    Ok(pause) => pause,
                    Err(error) => {
                        tracing::error!(%error, "the queue cannot be read");
                        AFTER_FAILURE
                    }
                };
                tokio::select! {
                    () = server.dispatcher.wake.notified() => {}
                    () = tokio::time::sleep(pause) => {}
                }
            }
        });
    }

    /// Hands out what is due as far as there are places; gives how long nothing more is due.
    async fn hand_out(&self, server: &Arc<Server>) -> Result<Duration, store::StoreError> {
        // Raised before the look, so that a delivery that ends meanwhile sees it.
        self.starved.store(true, Ordering::SeqCst);
        let free = self.places();
        if free == 0 {
            // A delivery that ends wakes us.
            return Ok(LOOK_EVERY);
        }
        self.starved.store(false, Ordering::SeqCst);
        let now = Timestamp::now();
        let next = server.store.next_due().await?;
        if next.is_none_or(|next| next > now) {
            return Ok(next.map_or(LOOK_EVERY, |next| next.since(now).min(LOOK_EVERY)));
        }
        let claim = Claim {
            now,
            until: lease_end(now),
            limit: u32::try_from(free).unwrap_or(u32::MAX),
            per_destination: PER_DESTINATION,
            busy: Vec::new(),
        };
        let claimed = server.store.claim_due(claim).await?.into_inner();
        if claimed.is_empty() {
            return Ok(LOOK_EVERY);
        }
        for entry in claimed {
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else { break };
            if let Some(work) = Work::of(entry) {
                tokio::spawn(deliver(Arc::clone(server), work, place));
            }
        }
        Ok(Duration::ZERO)
    }
}

impl Work {
    /// An entry handed out by the store; `None`, with a word in the log, when its record
    /// cannot be read. It then comes back when its lease ends.
    pub(crate) fn of(claimed: Claimed) -> Option<Self> {
        let record = match serde_json::from_slice(&claimed.facts) {
            Ok(record) => Arc::new(record),
            Err(error) => {
                tracing::error!(id = %claimed.trace, %error, "a message's record cannot be read");
                return None;
            }
        };
        Some(Self {
            lease: claimed.lease,
            trace: claimed.trace,
            received: claimed.received,
            reverse_path: claimed.reverse_path,
            record,
            content: Source::Stored(claimed.blob, claimed.size_octets),
            route: claimed.route,
            recipients: claimed.recipients,
            attempts: claimed.attempts,
            expires: claimed.expires,
        })
    }
}

/// Attempts one entry and settles it; the place is free again after that.
async fn deliver(server: Arc<Server>, work: Work, place: OwnedSemaphorePermit) {
    let trace = work.trace;
    if let Err(error) = attempt::run(&server, work).await {
        tracing::error!(id = %trace, error = format!("{error:#}"), "a delivery was not settled");
    }
    drop(place);
    if server.dispatcher.starved.swap(false, Ordering::SeqCst) {
        server.dispatcher.wake();
    }
}
