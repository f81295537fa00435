//! One list in DNS: its questions, its test, its health.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use config::model::List;
use delivery::Resolver;
use lists::codes::{Codes, Meaning};
use lists::health::{Answer, Change, Health, Probe, State};
use lists::query;
use mail::Domain;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout_at};

/// What the test asks.
pub enum TestPoints {
    /// The addresses of RFC 5782 section 5.
    Addresses,
    /// Names.
    Names {
        /// What must be listed.
        listed: Domain,
        /// What must not be.
        unlisted: Domain,
    },
}

/// A list in DNS.
pub struct Zone {
    name: String,
    zone: Domain,
    codes: Codes,
    timeout: Duration,
    /// `None` where it has no test points.
    points: Option<TestPoints>,
    every: Duration,
    health: Mutex<Health>,
    tested: watch::Sender<bool>,
    everyday: Resolver,
    tester: Resolver,
    tally: Tally,
}

/// What became of the questions.
#[derive(Default)]
struct Tally {
    asked: AtomicU64,
    listed: AtomicU64,
    failed: AtomicU64,
    micros: AtomicU64,
}

/// The same, read at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// Questions.
    pub asked: u64,
    /// Listings.
    pub listed: u64,
    /// Questions without an answer.
    pub failed: u64,
    /// How long an answer takes, on average.
    pub latency: Duration,
}

/// A listing.
pub struct Listed {
    /// What for.
    pub codes: Vec<String>,
    /// The weight of its code.
    pub weight: Option<u32>,
    /// The list's own words.
    pub reason: Option<String>,
}

impl Zone {
    pub(super) fn new(
        list: &List,
        zone: Domain,
        points: TestPoints,
        everyday: Resolver,
        tester: Resolver,
    ) -> Self {
        let tests = *list.self_test;
        Self {
            name: list.name.value.clone(),
            zone,
            codes: list.codes.clone(),
            timeout: *list.timeout,
            points: tests.then_some(points),
            every: *list.test_every,
            health: Mutex::new(if tests { Health::default() } else { Health::untestable() }),
            tested: watch::Sender::new(!tests),
            everyday,
            tester,
            tally: Tally::default(),
        }
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its zone.
    pub fn zone(&self) -> &Domain {
        &self.zone
    }

    pub(super) fn test_every(&self) -> Duration {
        self.every
    }

    /// How it is.
    pub fn state(&self) -> State {
        self.health().state().clone()
    }

    /// Whether it is not asked for now.
    pub fn is_suspended(&self) -> bool {
        matches!(self.health().state(), State::Suspended(_))
    }

    /// What became of its questions.
    pub fn seen(&self) -> Seen {
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let (asked, failed) = (read(&self.tally.asked), read(&self.tally.failed));
        let answered = asked.saturating_sub(failed).max(1);
        Seen {
            asked,
            failed,
            listed: read(&self.tally.listed),
            latency: Duration::from_micros(read(&self.tally.micros) / answered),
        }
    }

    /// Asks about a name within the zone. No answer in time is no listing.
    pub async fn ask(&self, name: &Domain, ipv6: bool, places: &Semaphore) -> Option<Listed> {
        let by = Instant::now() + self.timeout;
        let mut tested = self.tested.subscribe();
        // A list whose test hangs holds nothing up: then it is just not asked.
        timeout_at(by, tested.wait_for(|tested| *tested)).await.ok()?.ok()?;
        if !self.health().answers(ipv6) {
            return None;
        }
        let began = Instant::now();
        let _place = timeout_at(by, places.acquire()).await.ok()?.ok()?;
        let asked = timeout_at(by, self.everyday.listing(name)).await;
        self.tally.asked.fetch_add(1, Ordering::Relaxed);
        let meaning = match asked {
            Ok(Ok(answer)) => self.codes.meaning(&answer.unwrap_or_default()),
            Ok(Err(detail)) => return self.failed(&detail),
            Err(_) => return self.failed("no answer in time"),
        };
        let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.tally.micros.fetch_add(micros, Ordering::Relaxed);
        let change = self.health().answered(&meaning);
        self.tell(change);
        match meaning {
            Meaning::Listed { names, weight } => {
                self.tally.listed.fetch_add(1, Ordering::Relaxed);
                let reason = timeout_at(by, self.everyday.text(name)).await.ok().flatten();
                let reason = reason.and_then(|text| lists::reason(&text));
                Some(Listed { codes: names, weight, reason })
            }
            Meaning::Unlisted | Meaning::Refused(_) | Meaning::Nonsense(_) => None,
        }
    }

    fn failed(&self, detail: &str) -> Option<Listed> {
        self.tally.failed.fetch_add(1, Ordering::Relaxed);
        let change = self.health().failed(detail);
        self.tell(change);
        None
    }

    /// Asks the test points. True when the list works again after it did not.
    pub(super) async fn test(&self) -> bool {
        let change = match &self.points {
            Some(points) => {
                let probe = self.probe(points).await;
                self.health().tested(&probe)
            }
            None if self.is_suspended() => {
                // Without test points the only test is to ask again.
                *self.health() = Health::untestable();
                Some(Change::Works)
            }
            None => None,
        };
        let works = change == Some(Change::Works);
        self.tell(change);
        self.tested.send_replace(true);
        works
    }

    async fn probe(&self, points: &TestPoints) -> Probe {
        match points {
            TestPoints::Addresses => {
                let at = |ip| self.probe_name(query::address(ip, &self.zone));
                let (listed, unlisted, listed6, unlisted6) = tokio::join!(
                    at(query::TEST_LISTED_V4),
                    at(query::TEST_UNLISTED_V4),
                    at(query::TEST_LISTED_V6),
                    at(query::TEST_UNLISTED_V6),
                );
                Probe { listed, unlisted, ipv6: Some((listed6, unlisted6)) }
            }
            TestPoints::Names { listed, unlisted } => {
                let at = |name| self.probe_name(query::domain(name, &self.zone));
                let (listed, unlisted) = tokio::join!(at(listed), at(unlisted));
                Probe { listed, unlisted, ipv6: None }
            }
        }
    }

    async fn probe_name(&self, name: Option<Domain>) -> Answer {
        let Some(name) = name else { return Answer::Failed("the zone's name is too long".into()) };
        let by = Instant::now() + self.timeout;
        match timeout_at(by, self.tester.listing(&name)).await {
            Ok(Ok(Some(addresses))) => Answer::Addresses(addresses),
            Ok(Ok(None)) => Answer::Nothing,
            Ok(Err(detail)) => Answer::Failed(detail),
            Err(_) => Answer::Failed("no answer in time".to_owned()),
        }
    }

    /// Says so where people look.
    fn tell(&self, change: Option<Change>) {
        match change {
            Some(Change::Suspended(fault)) => {
                tracing::error!(list = %self.name, zone = %self.zone, %fault,
                    "ALARM: a list is suspended; no mail is judged by it");
            }
            Some(Change::Works) => {
                tracing::info!(list = %self.name, zone = %self.zone, "the list works");
            }
            None => {}
        }
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
