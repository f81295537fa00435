//! Counts as the store keeps them.

use mail::Timestamp;
use serde::Serialize;

use super::counts::Entry;
use super::{Failures, Limits};

/// One count, as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureRow {
    /// What is counted.
    pub name: String,
    /// From when on it says nothing.
    pub until: Timestamp,
    /// The count; opaque to the store.
    pub row: Vec<u8>,
}

impl Failures {
    /// What has changed since this was last asked, at most `max` of each kind.
    pub fn take_changes(&mut self, max: usize) -> Vec<FailureRow> {
        let limits = self.limits;
        let mut rows = Vec::new();
        self.networks.changes(max, |ip, count| put(&mut rows, format!("n {ip}"), count, &limits));
        self.accounts.changes(max, |name, count| {
            put(&mut rows, format!("a {name}"), count, &limits);
        });
        self.pairs.changes(max, |(ip, name), count| {
            put(&mut rows, format!("p {ip} {name}"), count, &limits);
        });
        self.known.changes(max, |(ip, name), known| {
            put(&mut rows, format!("k {ip} {name}"), known, &limits);
        });
        rows
    }

    /// Takes back what a row kept; false if it cannot be read.
    pub fn restore(&mut self, row: &FailureRow) -> bool {
        self.try_restore(row).is_some()
    }

    fn try_restore(&mut self, row: &FailureRow) -> Option<()> {
        let (kind, rest) = row.name.split_once(' ')?;
        match kind {
            "n" => self.networks.restore(rest.parse().ok()?, value(row)?),
            "a" => self.accounts.restore(rest.into(), value(row)?),
            "p" | "k" => {
                let (ip, name) = rest.split_once(' ')?;
                let pair = (ip.parse().ok()?, name.into());
                match kind {
                    "p" => self.pairs.restore(pair, value(row)?),
                    _ => self.known.restore(pair, value(row)?),
                }
            }
            _ => return None,
        }
        Some(())
    }
}

fn put<T: Entry + Serialize>(rows: &mut Vec<FailureRow>, name: String, value: &T, limits: &Limits) {
    // Our own types can be written down.
    let row = serde_json::to_vec(value).unwrap_or_default();
    rows.push(FailureRow { name, until: value.over_at(limits), row });
}

fn value<T: serde::de::DeserializeOwned>(row: &FailureRow) -> Option<T> {
    serde_json::from_slice(&row.row).ok()
}
