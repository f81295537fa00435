//! Conservation: every accepted recipient ends exactly once, or is still queued.

use mail::{Timestamp, TraceId};
use rusqlite::{Connection, Row};

use crate::Store;
use crate::error::StoreError;
use crate::model::{ENTRY_BITS, Ending};

/// The sums over the messages accepted in a time, and those that do not add up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    /// Messages accepted.
    pub messages: u64,
    /// Their recipients.
    pub recipients: u64,
    /// Recipients that have not ended.
    pub open: u64,
    /// Recipients ended, by ending.
    pub ended: Vec<(Ending, u64)>,
    /// Messages that do not add up; at most [`IMBALANCES_MAX`] are named.
    pub imbalances: Vec<Imbalance>,
}

/// A message that does not add up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imbalance {
    /// Its name.
    pub trace: TraceId,
    /// Its recipients.
    pub recipients: u64,
    /// Those counted as ended.
    pub ended: u64,
    /// Those counted as open.
    pub open: u64,
    /// Those in its queue entries.
    pub queued: u64,
    /// Whether it is open and its body is gone.
    pub body_missing: bool,
}

impl Ledger {
    /// Whether every recipient is accounted for.
    pub fn balances(&self) -> bool {
        let ended: u64 = self.ended.iter().map(|&(_, number)| number).sum();
        self.imbalances.is_empty() && self.recipients == self.open + ended
    }
}

impl Store {
    /// Adds up the messages accepted from `from` on and before `to`, as of one
    /// instant of the store.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] when the rows cannot be read.
    pub async fn ledger(&self, from: Timestamp, to: Timestamp) -> Result<Ledger, StoreError> {
        self.read(move |connection| {
            let failed = |e| StoreError::sqlite("add up the ledger", &e);
            let transaction = connection.unchecked_transaction().map_err(failed)?;
            let mut ledger = sums(&transaction, from, to).map_err(failed)?;
            ledger.imbalances = imbalances(&transaction, from, to).map_err(failed)?;
            Ok(ledger)
        })
        .await
    }
}

fn sums(connection: &Connection, from: Timestamp, to: Timestamp) -> rusqlite::Result<Ledger> {
    connection.query_row(
        "SELECT count(*), coalesce(sum(recipients), 0), coalesce(sum(open), 0),
           coalesce(sum(delivered), 0), coalesce(sum(relayed), 0), coalesce(sum(bounced), 0),
           coalesce(sum(discarded), 0), coalesce(sum(quarantined), 0),
           coalesce(sum(cancelled), 0)
         FROM message WHERE received >= ?1 AND received < ?2 AND sha256 IS NOT NULL",
        (from.0, to.0),
        |row| {
            let mut ended = Vec::new();
            for (place, ending) in Ending::ALL.into_iter().enumerate() {
                ended.push((ending, count(row, 3 + place)?));
            }
            Ok(Ledger {
                messages: count(row, 0)?,
                recipients: count(row, 1)?,
                open: count(row, 2)?,
                ended,
                imbalances: Vec::new(),
            })
        },
    )
}

fn imbalances(
    connection: &Connection,
    from: Timestamp,
    to: Timestamp,
) -> rusqlite::Result<Vec<Imbalance>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, recipients, ended, open, queued, body_missing FROM (
           SELECT id, recipients, open,
             delivered + relayed + bounced + discarded + quarantined + cancelled AS ended,
             CASE WHEN finished IS NOT NULL AND open = 0 THEN
               (SELECT count(*) FROM entry WHERE entry.n >= message.n << ?3
                  AND entry.n < (message.n + 1) << ?3)
             ELSE
               (SELECT coalesce(sum(recipient_count), 0) FROM entry
                  WHERE entry.n >= message.n << ?3 AND entry.n < (message.n + 1) << ?3)
             END AS queued,
             open > 0 AND NOT EXISTS (SELECT 1 FROM blob WHERE blob.n = message.blob)
               AS body_missing,
             (open = 0) <> (finished IS NOT NULL) AS unfinished
           FROM message WHERE received >= ?1 AND received < ?2 AND sha256 IS NOT NULL)
         WHERE recipients <> ended + open OR queued <> open OR body_missing OR unfinished
         LIMIT ?4",
    )?;
    statement
        .query_map((from.0, to.0, ENTRY_BITS, IMBALANCES_MAX), |row| {
            Ok(Imbalance {
                trace: TraceId::from_bytes(row.get(0)?),
                recipients: count(row, 1)?,
                ended: count(row, 2)?,
                open: count(row, 3)?,
                queued: count(row, 4)?,
                body_missing: row.get(5)?,
            })
        })?
        .collect()
}

fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(column)?.max(0) as u64)
}

/// The most messages named as not adding up.
pub const IMBALANCES_MAX: u32 = 1000;
