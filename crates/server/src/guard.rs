//! Flow control at work: bans, connection rates and quota counters of a running server, and
//! their rows in the store.

mod keeper;
mod policy;
pub mod sign_ins;

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use flow::rate::TooOften;
use flow::{Ban, Bans, Incident, Ledger, Rates, Reached, Sender, Standing, Taken, Usage};
use ipnet::IpNet;
use mail::Timestamp;
use store::{FLOW_PAGE_MAX, FlowKind, FlowRow, Store, StoreError};

use keeper::Keeper;
pub use policy::FlowPolicy;

/// Networks whose connections are counted, in each of two generations.
const RATES_MAX: usize = 65_536;
/// Counters of quotas kept.
const COUNTERS_MAX: usize = 100_000;

/// Who is banned and what has been sent.
pub struct Guard {
    bans: Mutex<Bans>,
    rates: Mutex<Rates>,
    ledger: Mutex<Ledger>,
    store: Store,
    keeper: Keeper,
}

impl Guard {
    /// What the store remembers.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn open(store: &Store, now: Timestamp) -> Result<Self, StoreError> {
        let mut bans = Bans::default();
        let mut ledger = Ledger::new(COUNTERS_MAX);
        for row in rows(store, FlowKind::Ban, now).await? {
            if !bans.restore(&row.row) {
                tracing::warn!(name = row.name, "a ban in the store cannot be read");
            }
        }
        for FlowRow { name, until, row } in rows(store, FlowKind::Quota, now).await? {
            let until = until.unwrap_or_default();
            if !ledger.restore(&flow::CounterRow { name, until, row }) {
                tracing::warn!("a quota's counter in the store cannot be read");
            }
        }
        Ok(Self {
            bans: Mutex::new(bans),
            rates: Mutex::new(Rates::new(RATES_MAX)),
            ledger: Mutex::new(ledger),
            keeper: Keeper::start(store.clone()),
            store: store.clone(),
        })
    }

    /// What `ip` is before it says anything; `None` is a stranger with nothing against it.
    pub fn standing(&self, policy: &FlowPolicy, ip: IpAddr, now: Timestamp) -> Option<Standing> {
        if policy.friendly.contains(ip) {
            Some(Standing::Friendly)
        } else if policy.deny.contains(ip) {
            Some(Standing::Denied)
        } else {
            self.bans().find(ip, now).map(|_| Standing::Banned)
        }
    }

    /// Counts a new connection of a client that is not friendly.
    ///
    /// # Errors
    ///
    /// The rate that is exceeded.
    pub fn connect(&self, policy: &FlowPolicy, ip: IpAddr, now: Timestamp) -> Result<(), TooOften> {
        if policy.client_rate.is_none() && policy.network_rate.is_none() {
            return Ok(());
        }
        lock(&self.rates).connect(ip, policy.client_rate, policy.network_rate, now)
    }

    /// Counts an incident of `ip`; gives the ban it led to, which is already in force.
    pub fn incident(
        &self,
        policy: &FlowPolicy,
        ip: IpAddr,
        incident: Incident,
        now: Timestamp,
    ) -> Option<Ban> {
        if policy.friendly.contains(ip) {
            return None;
        }
        let change = self.bans().incident(ip, incident, &policy.bans, now);
        self.keeper.bans(&change);
        change.kept
    }

    /// Bans as an operator wants it; returns when it is durable.
    ///
    /// # Errors
    ///
    /// The store's; the ban holds until the next start all the same.
    pub async fn ban(
        &self,
        ban: Ban,
        entries_max: usize,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let change = self.bans().add(ban, entries_max, now);
        let rows = change.kept.iter().map(keeper::ban_row).collect();
        let gone = change.gone.iter().map(ToString::to_string).collect();
        self.store.put_flow(FlowKind::Ban, rows, gone, now).await?.into_inner();
        Ok(())
    }

    /// Ends the ban of exactly `network`; gives it, once its end is durable.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn unban(&self, network: IpNet, now: Timestamp) -> Result<Option<Ban>, StoreError> {
        let ban = self.bans().remove(network);
        if let Some(ban) = &ban {
            let gone = vec![ban.network.to_string()];
            self.store.put_flow(FlowKind::Ban, Vec::new(), gone, now).await?.into_inner();
        }
        Ok(ban)
    }

    /// Every ban.
    pub fn bans(&self) -> MutexGuard<'_, Bans> {
        lock(&self.bans)
    }

    /// Every counter.
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.ledger)
    }

    /// Whether `usage` has room.
    ///
    /// # Errors
    ///
    /// The limit that leaves none.
    pub fn check(
        &self,
        policy: &FlowPolicy,
        sender: &Sender<'_>,
        usage: Usage,
        now: Timestamp,
    ) -> Result<(), Reached> {
        if policy.quotas.all.is_empty() {
            return Ok(());
        }
        self.ledger().check(&policy.quotas, sender, usage, now)
    }

    /// Counts what is about to be accepted. The rows have to be kept with the message.
    ///
    /// # Errors
    ///
    /// As for [`Self::check`]; nothing is counted then.
    pub fn take(
        &self,
        policy: &FlowPolicy,
        sender: &Sender<'_>,
        usage: Usage,
        now: Timestamp,
    ) -> Result<Taken, Reached> {
        if policy.quotas.all.is_empty() {
            return Ok(Taken::default());
        }
        self.ledger().take(&policy.quotas, sender, usage, now)
    }

    /// Keeps the counters of a message; see [`Store::put_flow`].
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn keep(&self, taken: &Taken, now: Timestamp) -> Result<(), StoreError> {
        if taken.rows.is_empty() {
            return Ok(());
        }
        let rows = taken.rows.iter().cloned().map(keeper::counter_row).collect();
        self.store.put_flow(FlowKind::Quota, rows, Vec::new(), now).await?.into_inner();
        Ok(())
    }

    /// Takes back what was counted for a message that was not accepted.
    pub fn give_back(&self, taken: &Taken) {
        let rows = self.ledger().give_back(taken);
        self.keeper.counters(rows);
    }

    /// Forgets what `sender` has sent, under one quota or all. Says how many counters went.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn reset(
        &self,
        sender: &str,
        quota: Option<&str>,
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        let gone = self.ledger().reset(sender, quota);
        let count = gone.len();
        if count > 0 {
            self.store.put_flow(FlowKind::Quota, Vec::new(), gone, now).await?.into_inner();
        }
        Ok(count)
    }
}

/// Every row of a kind, page by page.
async fn rows(store: &Store, kind: FlowKind, now: Timestamp) -> Result<Vec<FlowRow>, StoreError> {
    let mut all: Vec<FlowRow> = Vec::new();
    while all.len() < ROWS_MAX {
        let after = all.last().map_or_else(String::new, |row| row.name.clone());
        let page = store.flow_page(kind, &after, FLOW_PAGE_MAX, now).await?;
        let last = page.len() < FLOW_PAGE_MAX as usize;
        all.extend(page);
        if last {
            break;
        }
    }
    Ok(all)
}

/// Rows of a kind read at start; no more are ever kept.
const ROWS_MAX: usize = 2_000_000;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
