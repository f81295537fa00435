//! What has been sent, by quota and sender.

use std::collections::HashMap;

use mail::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Limit, Quotas, Reached, Sender, Usage, What};
use crate::quota::Period;
use crate::window::Window;

/// Counters by quota and sender, at most so many.
#[derive(Debug)]
pub struct Ledger {
    counters: HashMap<Key, Counter>,
    entries_max: usize,
}

type Key = (String, String);

/// What one sender has sent under one quota.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Counter {
    counts: Vec<Count>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Count {
    what: What,
    period: Period,
    window: Window,
    /// The account has been warned, and is not again until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    warned_until: Option<Timestamp>,
}

/// A counter as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CounterRow {
    /// The quota and the sender, in one name.
    pub name: String,
    /// From when on nothing of it counts.
    pub until: Timestamp,
    /// The counts; opaque to the store.
    pub row: Vec<u8>,
}

/// A sender who comes near a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The quota.
    pub quota: String,
    /// Its limit.
    pub limit: Limit,
    /// How much of it is used.
    pub used: u64,
}

/// What was counted, to be kept and perhaps given back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Taken {
    keys: Vec<Key>,
    usage: Usage,
    /// The counters as they are now.
    pub rows: Vec<CounterRow>,
    /// Limits that come near, each once in its period.
    pub warnings: Vec<Warning>,
}

/// How far one sender is with one limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// The quota.
    pub quota: String,
    /// The account, or the address of a client.
    pub sender: String,
    /// What is counted.
    pub what: What,
    /// In which time.
    pub period: Period,
    /// How much was sent in it.
    pub used: u64,
    /// How much may be; `None` if the quota has no such limit any more.
    pub max: Option<u64>,
}

impl Ledger {
    /// Nothing sent yet; keeps at most `entries_max` counters.
    pub fn new(entries_max: usize) -> Self {
        Self { counters: HashMap::new(), entries_max: entries_max.max(1) }
    }

    /// Takes back what a row kept; what cannot be read is left out.
    pub fn restore(&mut self, row: &CounterRow) -> bool {
        let Some((quota, sender)) = row.name.split_once(' ') else { return false };
        let Ok(counter) = serde_json::from_slice(&row.row) else { return false };
        self.counters.insert((quota.to_owned(), sender.to_owned()), counter);
        true
    }

    /// Whether `usage` more has room under every quota that holds `sender`.
    ///
    /// # Errors
    ///
    /// The limit that leaves none, of several the one that does so longest.
    pub fn check(
        &self,
        quotas: &Quotas,
        sender: &Sender<'_>,
        usage: Usage,
        now: Timestamp,
    ) -> Result<(), Reached> {
        let mut worst: Option<Reached> = None;
        for quota in quotas.of(sender, now) {
            let counter = self.counters.get(&(quota.name.clone(), quota.subject(sender)));
            for limit in &quota.limits {
                let wanted = usage.of(limit.what);
                if wanted == 0 {
                    continue;
                }
                let free_at = counter
                    .and_then(|counter| counter.window(limit))
                    .unwrap_or(&Window::default())
                    .free_at(wanted, limit.max, limit.period.length(), now);
                let worse = match (&worst, free_at) {
                    (_, Some(at)) if at <= now => false,
                    (None, _) | (Some(Reached { free_at: Some(_), .. }), None) => true,
                    (Some(Reached { free_at: None, .. }), _) => false,
                    (Some(Reached { free_at: Some(known), .. }), Some(at)) => at > *known,
                };
                if worse {
                    worst = Some(Reached { quota: quota.name.clone(), limit: *limit, free_at });
                }
            }
        }
        worst.map_or(Ok(()), Err)
    }

    /// Counts `usage` under every quota that holds `sender`: all of it, or nothing.
    ///
    /// # Errors
    ///
    /// As for [`Self::check`]; then nothing was counted.
    pub fn take(
        &mut self,
        quotas: &Quotas,
        sender: &Sender<'_>,
        usage: Usage,
        now: Timestamp,
    ) -> Result<Taken, Reached> {
        self.check(quotas, sender, usage, now)?;
        let mut taken = Taken { usage, ..Taken::default() };
        for quota in quotas.of(sender, now) {
            if quota.limits.iter().all(|limit| usage.of(limit.what) == 0) {
                continue;
            }
            let key = (quota.name.clone(), quota.subject(sender));
            self.make_room(&key, now);
            let counter = self.counters.entry(key.clone()).or_default();
            for limit in &quota.limits {
                let count = counter.count_mut(limit);
                let period = limit.period.length();
                count.window.add(usage.of(limit.what), period, now);
                let used = count.window.sum(period, now);
                let Some(percent) = quota.warn_at_percent else { continue };
                let near = u128::from(used) * 100 >= u128::from(limit.max) * u128::from(percent);
                if near && count.warned_until.is_none_or(|until| until <= now) {
                    count.warned_until = Some(now.plus(period));
                    taken.warnings.push(Warning { quota: quota.name.clone(), limit: *limit, used });
                }
            }
            taken.rows.push(counter.row(&key));
            taken.keys.push(key);
        }
        Ok(taken)
    }

    /// Takes back what was counted for a message that was not accepted; gives the rows.
    pub fn give_back(&mut self, taken: &Taken) -> Vec<CounterRow> {
        let mut rows = Vec::new();
        for key in &taken.keys {
            let Some(counter) = self.counters.get_mut(key) else { continue };
            for count in &mut counter.counts {
                count.window.take_back(taken.usage.of(count.what));
            }
            rows.push(counter.row(key));
        }
        rows
    }

    /// How far every sender is, or one, by quota and sender; at most `limit` lines.
    pub fn standings(
        &self,
        quotas: &Quotas,
        sender: Option<&str>,
        now: Timestamp,
        limit: usize,
    ) -> Vec<Standing> {
        let sender = sender.map(str::to_lowercase);
        let mut keys: Vec<&Key> = self
            .counters
            .keys()
            .filter(|(_, subject)| sender.as_ref().is_none_or(|wanted| wanted == subject))
            .collect();
        keys.sort();
        let mut standings = Vec::new();
        for key in keys {
            let quota = quotas.all.iter().find(|quota| quota.name == key.0);
            for count in self.counters.get(key).iter().flat_map(|counter| &counter.counts) {
                let used = count.window.sum(count.period.length(), now);
                let max = quota.and_then(|quota| {
                    let same =
                        |limit: &&Limit| limit.what == count.what && limit.period == count.period;
                    quota.limits.iter().filter(same).map(|limit| limit.max).min()
                });
                if used == 0 || standings.len() >= limit {
                    continue;
                }
                standings.push(Standing {
                    quota: key.0.clone(),
                    sender: key.1.clone(),
                    what: count.what,
                    period: count.period,
                    used,
                    max,
                });
            }
        }
        standings
    }

    /// Forgets what `sender` has sent, under one quota or all. Gives the names of the rows.
    pub fn reset(&mut self, sender: &str, quota: Option<&str>) -> Vec<String> {
        let sender = sender.to_lowercase();
        let mut gone = Vec::new();
        self.counters.retain(|key, _| {
            let goes = key.1 == sender && quota.is_none_or(|quota| quota == key.0);
            if goes {
                gone.push(name(key));
            }
            !goes
        });
        gone
    }

    /// How many counters are kept.
    pub fn len(&self) -> usize {
        self.counters.len()
    }

    /// Whether nothing is counted.
    pub fn is_empty(&self) -> bool {
        self.counters.is_empty()
    }

    /// Room for one more counter: first what no longer counts goes, then what is over
    /// soonest, an eighth of all at once, so that this is done seldom.
    fn make_room(&mut self, key: &Key, now: Timestamp) {
        if self.counters.len() < self.entries_max || self.counters.contains_key(key) {
            return;
        }
        self.counters.retain(|_, counter| counter.over_at() > now);
        if self.counters.len() < self.entries_max {
            return;
        }
        let mut ends: Vec<Timestamp> = self.counters.values().map(Counter::over_at).collect();
        let (_, end, _) = ends.select_nth_unstable(self.entries_max / 8);
        let end = *end;
        let mut spare = self.counters.len() - self.entries_max / 8;
        self.counters.retain(|_, counter| {
            let goes = counter.over_at() <= end && spare > 0;
            spare -= usize::from(goes && spare > 0);
            !goes
        });
    }
}

impl Counter {
    fn window(&self, limit: &Limit) -> Option<&Window> {
        let same = |count: &&Count| count.what == limit.what && count.period == limit.period;
        self.counts.iter().find(same).map(|count| &count.window)
    }

    fn count_mut(&mut self, limit: &Limit) -> &mut Count {
        let same = |count: &Count| count.what == limit.what && count.period == limit.period;
        let at = self.counts.iter().position(same).unwrap_or_else(|| {
            self.counts.push(Count {
                what: limit.what,
                period: limit.period,
                window: Window::default(),
                warned_until: None,
            });
            self.counts.len() - 1
        });
        &mut self.counts[at]
    }

    fn over_at(&self) -> Timestamp {
        let ends = self.counts.iter().map(|count| {
            let over = count.window.over_at(count.period.length());
            count.warned_until.map_or(over, |until| until.max(over))
        });
        ends.max().unwrap_or_default()
    }

    fn row(&self, key: &Key) -> CounterRow {
        CounterRow {
            name: name(key),
            until: self.over_at(),
            // Our own types can be written down.
            row: serde_json::to_vec(self).unwrap_or_default(),
        }
    }
}

/// A quota's name has no blank.
fn name((quota, sender): &Key) -> String {
    format!("{quota} {sender}")
}
