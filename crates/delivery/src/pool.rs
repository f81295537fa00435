//! Connections kept open between messages.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use mail::Domain;
use smtp::client::Credentials;
use tls::{Demands, Fingerprint, Ready, Verdict};
use tokio::time::Instant;

use crate::link::Link;
use crate::plan::Target;
use crate::settings::PoolSettings;

/// What two messages must agree on to share a connection, beside the demands.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) target: Target,
    /// The recipients' domain, where the certificate is judged by it.
    pub(crate) domain: Option<Domain>,
    pub(crate) credentials: Option<Credentials>,
    pub(crate) identity: Option<Fingerprint>,
}

/// A connection in use.
pub(crate) struct Lent {
    pub(crate) ready: Ready<Link>,
    /// The verdict, to be kept with every message that went over it.
    pub(crate) verdict: Arc<Verdict>,
    pub(crate) demands: Demands,
    pub(crate) reused: bool,
}

struct Idle {
    lent: Lent,
    since: Instant,
}

/// Idle connections by key.
pub(crate) struct Pool {
    settings: PoolSettings,
    idle: Mutex<Shelf>,
    sweeping: AtomicBool,
}

#[derive(Default)]
struct Shelf {
    by_key: HashMap<Key, Vec<Idle>>,
    count: usize,
}

/// How often idle connections are looked through.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

impl Pool {
    pub(crate) fn new(settings: PoolSettings) -> Self {
        Self { settings, idle: Mutex::default(), sweeping: AtomicBool::new(false) }
    }

    /// An open connection made under the very same demands, if there is a usable one.
    pub(crate) fn take(&self, key: &Key, demands: &Demands) -> Option<Lent> {
        let mut dead = Vec::new();
        let found = {
            let mut kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            let list = kept.by_key.get_mut(key)?;
            let before = list.len();
            let mut found = None;
            // The one used last is the likeliest to be alive.
            while let Some(at) = list.iter().rposition(|idle| idle.lent.demands == *demands) {
                let mut idle = list.remove(at);
                if idle.since.elapsed() < self.settings.idle
                    && idle.lent.ready.stream_mut().is_quiet()
                {
                    found = Some(Lent { reused: true, ..idle.lent });
                    break;
                }
                dead.push(idle);
            }
            let (now, emptied) = (list.len(), list.is_empty());
            if emptied {
                kept.by_key.remove(key);
            }
            kept.count -= before - now;
            found
        };
        drop(dead);
        found
    }

    /// Keeps a connection for the next message, if it may be used again.
    pub(crate) fn put(self: &Arc<Self>, key: Key, mut lent: Lent) {
        let session = lent.ready.stream_mut().session();
        let used = session.transactions();
        let offered_max = session.extensions().limits.mail_max.unwrap_or(u32::MAX);
        let reusable = used < self.settings.messages_max.min(offered_max)
            && session.is_ready()
            && !self.settings.idle.is_zero();
        let surplus = if reusable { self.keep(key, lent) } else { Some(lent) };
        if let Some(lent) = surplus {
            tokio::spawn(lent.ready.into_parts().0.quit());
        }
    }

    /// Gives the connection back when there is no room.
    fn keep(self: &Arc<Self>, key: Key, lent: Lent) -> Option<Lent> {
        {
            let mut kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.count >= self.settings.idle_max {
                return Some(lent);
            }
            let list = kept.by_key.entry(key).or_default();
            if list.len() >= self.settings.idle_per_host_max {
                return Some(lent);
            }
            list.push(Idle { lent, since: Instant::now() });
            kept.count += 1;
        }
        if !self.sweeping.swap(true, Ordering::AcqRel) {
            tokio::spawn(sweep(Arc::downgrade(self)));
        }
        None
    }

    /// Closes every idle connection, politely.
    pub(crate) async fn close(&self) {
        let all = self.remove(|_| true);
        let mut quitting = tokio::task::JoinSet::new();
        for idle in all {
            quitting.spawn(idle.lent.ready.into_parts().0.quit());
        }
        quitting.join_all().await;
    }

    /// How many connections wait.
    pub(crate) fn len(&self) -> usize {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).count
    }

    fn remove(&self, unwanted: impl Fn(&Idle) -> bool) -> Vec<Idle> {
        let mut kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let mut removed = Vec::new();
        kept.by_key.retain(|_, list| {
            removed.extend(list.extract_if(.., |idle| unwanted(idle)));
            !list.is_empty()
        });
        kept.count -= removed.len();
        removed
    }
}

/// Closes connections whose time is over, for as long as there are any.
async fn sweep(pool: Weak<Pool>) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        let Some(pool) = pool.upgrade() else { return };
        let idle = pool.settings.idle;
        for expired in pool.remove(|one| one.since.elapsed() >= idle) {
            tokio::spawn(expired.lent.ready.into_parts().0.quit());
        }
        if pool.len() == 0 {
            pool.sweeping.store(false, Ordering::Release);
            // One may have been put there just before the flag was lowered.
            if pool.len() == 0 || pool.sweeping.swap(true, Ordering::AcqRel) {
                return;
            }
        }
    }
}
