//! Handing out work.

use mail::{ReversePath, Timestamp, TraceId};
use rusqlite::Row;
use rusqlite::types::Type;

use crate::Store;
use crate::error::StoreError;
use crate::model::{BlobId, CLAIM_MAX, Claim, Claimed, ENTRY_BITS, EntryId, Lease};
use crate::settle::release_lease;
use crate::synced::Synced;
use crate::transaction::{Tx, instant};
use crate::writer::Work;

impl Store {
    /// Hands out entries that are due, fairly: the destination served longest
    /// ago comes first, and no destination gets more than its share of a claim.
    /// Frozen destinations and those named busy get none.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`] when not even the leases can be written.
    pub async fn claim_due(&self, claim: Claim) -> Result<Synced<Vec<Claimed>>, StoreError> {
        self.write(claim).await
    }

    /// The earliest instant at which something may be due, if anything waits or is
    /// leased: a lease that runs out makes its entry due.
    /// The caller sleeps until then, or until it puts something back itself.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] when the rows cannot be read.
    pub async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.read(|connection| {
            connection
                .prepare_cached(
                    "SELECT min(at) FROM (
                       SELECT min(next_due) AS at FROM destination
                         WHERE waiting > 0 AND frozen IS NULL
                       UNION ALL SELECT min(until) FROM entry WHERE state = 1)",
                )
                .and_then(|mut s| s.query_row([], |row| row.get::<_, Option<i64>>(0)))
                .map(|due| due.map(Timestamp))
                .map_err(|e| StoreError::sqlite("look for the next due entry", &e))
        })
        .await
    }
}

impl Work for Claim {
    type Output = Vec<Claimed>;

    fn apply(&self, tx: &mut Tx<'_>) -> Result<Vec<Claimed>, StoreError> {
        release_expired(tx, self.now)?;
        let limit = self.limit.min(CLAIM_MAX) as usize;
        let mut claimed = Vec::new();
        for destination in self.due_destinations(tx)? {
            let room = (limit - claimed.len()).min(self.per_destination as usize);
            if room == 0 {
                break;
            }
            if !self.busy.contains(&destination) {
                self.claim_from(tx, &destination, room, &mut claimed)?;
            }
        }
        Ok(claimed)
    }
}

impl Claim {
    /// As many as could be needed, those that are busy included.
    fn due_destinations(&self, tx: &mut Tx<'_>) -> Result<Vec<String>, StoreError> {
        tx.all(
            "look for due destinations",
            "SELECT name FROM destination
             WHERE waiting > 0 AND frozen IS NULL AND next_due <= ?1
             ORDER BY next_due LIMIT ?2",
            (self.now.0, i64::from(self.limit.min(CLAIM_MAX)) + self.busy.len() as i64),
            |row| row.get(0),
        )
    }

    fn claim_from(
        &self,
        tx: &mut Tx<'_>,
        destination: &str,
        room: usize,
        claimed: &mut Vec<Claimed>,
    ) -> Result<(), StoreError> {
        let entries = tx.all(
            "look for due entries",
            "SELECT n FROM entry WHERE destination = ?1 AND state = 0 AND due <= ?2
             ORDER BY due LIMIT ?3",
            (destination, self.now.0, room as i64),
            |row| row.get::<_, i64>(0),
        )?;
        for &entry in &entries {
            claimed.push(lease(tx, entry, self.until)?);
        }
        tx.remove_waiting(destination, entries.len() as u32, self.now)
    }
}

/// Entries whose lease has run out wait again.
fn release_expired(tx: &mut Tx<'_>, now: Timestamp) -> Result<(), StoreError> {
    let expired = tx.all(
        "look for expired leases",
        "SELECT n FROM entry WHERE state = 1 AND until <= ?1 LIMIT ?2",
        (now.0, CLAIM_MAX),
        |row| row.get::<_, i64>(0),
    )?;
    expired.into_iter().try_for_each(|entry| release_lease(tx, entry))
}

/// Leases one entry, which the caller knows to be unleased, and gives all that
/// its delivery needs. The caller counts it out of where it was.
pub(crate) fn lease(tx: &mut Tx<'_>, entry: i64, until: Timestamp) -> Result<Claimed, StoreError> {
    tx.state.token += 1;
    let token = tx.state.token;
    tx.execute(
        "lease a queue entry",
        "UPDATE entry SET state = 1, until = ?2, token = ?3 WHERE n = ?1",
        (entry, until.0, token),
    )?;
    tx.state.tally.leased += 1;
    let claimed = tx.first(
        "read a queue entry",
        "SELECT e.n, e.token, m.id, m.received, m.reverse_path, m.facts, m.blob, m.size,
           e.destination, e.route, e.recipients, e.recipient_count, e.attempts, e.expires
         FROM entry e JOIN message m ON m.n = e.n >> ?2 WHERE e.n = ?1",
        (entry, ENTRY_BITS),
        claimed,
    )?;
    claimed.ok_or_else(|| StoreError::NotFound(format!("queue entry {entry} with its message")))
}

fn claimed(row: &Row<'_>) -> rusqlite::Result<Claimed> {
    Ok(Claimed {
        lease: Lease { entry: EntryId(row.get(0)?), token: row.get(1)? },
        trace: TraceId::from_bytes(row.get(2)?),
        received: instant(row, 3)?,
        reverse_path: reverse_path(row, 4)?,
        facts: row.get(5)?,
        blob: BlobId(row.get(6)?),
        size_octets: row.get::<_, i64>(7)? as u64,
        destination: row.get(8)?,
        route: row.get(9)?,
        recipients: row.get(10)?,
        recipient_count: row.get(11)?,
        attempts: row.get(12)?,
        expires: instant(row, 13)?,
    })
}

/// A reverse-path kept in a row.
pub(crate) fn reverse_path(row: &Row<'_>, column: usize) -> rusqlite::Result<ReversePath> {
    ReversePath::try_from(row.get::<_, String>(column)?)
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(e)))
}
