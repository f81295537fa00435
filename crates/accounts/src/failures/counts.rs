//! Counts by key, in bounded memory, and which of them changed.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::Hash;

use mail::Timestamp;
use serde::{Deserialize, Serialize};

use super::Limits;

/// Failures of one network, account or pair.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Count {
    pub(super) failures: u32,
    pub(super) last: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) locked_until: Option<Timestamp>,
    /// When an account under attack is checked next.
    #[serde(skip)]
    pub(super) next_check: Timestamp,
}

/// A network that an account knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    pub(super) until: Timestamp,
}

/// Something that is counted.
pub(super) trait Entry: Default {
    /// Whether forgetting it would help somebody.
    fn matters(&self, limits: &Limits, now: Timestamp) -> bool;
    /// From when on it says nothing.
    fn over_at(&self, limits: &Limits) -> Timestamp;
}

impl Count {
    /// The failures that have not faded by `now`.
    pub(super) fn faded(&self, limits: &Limits, now: Timestamp) -> u32 {
        let fade_ms = limits.fade.as_millis().max(1);
        let faded = now.since(self.last).as_millis() / fade_ms;
        self.failures.saturating_sub(u32::try_from(faded).unwrap_or(u32::MAX))
    }

    /// One more; at `lock_after` it is locked.
    pub(super) fn add(&mut self, lock_after: u32, limits: &Limits, now: Timestamp) {
        self.failures = self.faded(limits, now).saturating_add(1).min(FAILURES_MAX);
        self.last = now;
        if self.failures >= lock_after {
            self.locked_until = Some(now.plus(limits.lock_for));
            self.failures = lock_after.saturating_sub(1);
        }
    }

    /// The end of its lock, if it is locked.
    pub(super) fn lock(&self, now: Timestamp) -> Option<Timestamp> {
        self.locked_until.filter(|until| now < *until)
    }
}

impl Entry for Count {
    fn matters(&self, limits: &Limits, now: Timestamp) -> bool {
        self.faded(limits, now) > limits.free || self.lock(now).is_some()
    }

    fn over_at(&self, limits: &Limits) -> Timestamp {
        let faded = self.last.plus(limits.fade.saturating_mul(self.failures));
        self.locked_until.map_or(faded, |until| until.max(faded))
    }
}

impl Entry for Known {
    fn matters(&self, _: &Limits, now: Timestamp) -> bool {
        self.until > now
    }

    fn over_at(&self, _: &Limits) -> Timestamp {
        self.until
    }
}

/// Values for at most so many keys. When there is no room, the oldest key goes, unless it
/// matters; then it is spared, [`SPARED_MAX`] keys at most for one newcomer.
#[derive(Debug)]
pub(super) struct Counts<K, V> {
    by_key: HashMap<K, V>,
    order: VecDeque<K>,
    changed: HashSet<K>,
    limit: usize,
}

impl<K: Clone + Eq + Hash, V: Entry> Counts<K, V> {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            by_key: HashMap::new(),
            order: VecDeque::new(),
            changed: HashSet::new(),
            limit: limit.max(1),
        }
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.by_key.get(key)
    }

    /// What is there, to be changed.
    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let value = self.by_key.get_mut(key)?;
        self.changed.insert(key.clone());
        Some(value)
    }

    /// What is there or nothing yet, to be changed.
    pub(super) fn entry(&mut self, key: K, limits: &Limits, now: Timestamp) -> &mut V {
        if !self.by_key.contains_key(&key) {
            self.make_room(limits, now);
            self.order.push_back(key.clone());
        }
        self.changed.insert(key.clone());
        self.by_key.entry(key).or_default()
    }

    /// Forgets what is counted for keys that pass; they stay as if new.
    pub(super) fn reset(&mut self, passes: impl Fn(&K) -> bool) {
        for (key, value) in &mut self.by_key {
            if passes(key) {
                *value = V::default();
                self.changed.insert(key.clone());
            }
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.by_key.iter()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.by_key.len(), self.order.len());
        assert!(self.changed.len() <= self.by_key.len());
        self.by_key.len()
    }

    /// Puts back what was kept, without calling it a change.
    pub(super) fn restore(&mut self, key: K, value: V) {
        if self.by_key.len() < self.limit && self.by_key.insert(key.clone(), value).is_none() {
            self.order.push_back(key);
        }
    }

    /// Shows up to `max` changed values to `show`; they are no longer changed then.
    pub(super) fn changes(&mut self, max: usize, mut show: impl FnMut(&K, &V)) {
        let keys: Vec<K> = self.changed.iter().take(max).cloned().collect();
        for key in keys {
            self.changed.remove(&key);
            if let Some(value) = self.by_key.get(&key) {
                show(&key, value);
            }
        }
    }

    fn make_room(&mut self, limits: &Limits, now: Timestamp) {
        let mut spared = 0;
        while self.by_key.len() >= self.limit {
            let Some(oldest) = self.order.pop_front() else { return };
            let matters = self.by_key.get(&oldest).is_some_and(|value| value.matters(limits, now));
            if matters && spared < SPARED_MAX {
                spared += 1;
                self.order.push_back(oldest);
            } else {
                self.by_key.remove(&oldest);
                self.changed.remove(&oldest);
            }
        }
    }
}

/// Old keys spared to make room for one new key.
const SPARED_MAX: usize = 16;
/// Failures counted of one account: an attack does not hold it for longer than it takes
/// these to fade, whatever its size.
const FAILURES_MAX: u32 = 100;
