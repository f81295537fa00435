//! What an operator does to the queue.

use mail::Timestamp;

use crate::Store;
use crate::accept::{HELD, LEASED, WAITING};
use crate::claim::lease;
use crate::error::StoreError;
use crate::model::{CLAIM_MAX, Claimed, EntryId, Evidence};
use crate::queue_view::{QueueFilter, page};
use crate::synced::Synced;
use crate::transaction::Tx;
use crate::writer::Act;

/// What to do to entries.
#[derive(Debug, Clone)]
pub enum Change {
    /// Keep them until they are released. An entry being delivered is held
    /// when its attempt ends, unless it is delivered.
    Hold {
        /// Why, in words.
        reason: String,
    },
    /// Let held entries be tried at once.
    Release {
        /// Now.
        now: Timestamp,
    },
    /// Try waiting entries at once.
    Retry {
        /// Now.
        now: Timestamp,
    },
    /// Send entries that are not being delivered another way.
    Reroute {
        /// The new destination group.
        destination: String,
        /// How they go there; opaque.
        route: Option<Vec<u8>>,
        /// Now; they are tried at once.
        now: Timestamp,
    },
}

/// How many entries a change met.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changed {
    /// Changed, or already as wanted after this.
    pub changed: u64,
    /// Left alone because they are being delivered now.
    pub in_delivery: u64,
}

impl Store {
    /// Changes every entry that fits, in transactions of at most 500, oldest
    /// first. `evidence` is written with the first.
    ///
    /// # Errors
    ///
    /// The first failure; what was changed before it stays changed.
    pub async fn change(
        &self,
        filter: &QueueFilter,
        change: Change,
        evidence: Vec<Evidence>,
    ) -> Result<Changed, StoreError> {
        let mut total = Changed::default();
        let mut after = None;
        let mut evidence = Some(evidence);
        loop {
            let chunk = Chunk {
                filter: filter.clone(),
                change: change.clone(),
                after,
                evidence: evidence.take().unwrap_or_default(),
            };
            let (changed, last) =
                self.write(Act(move |tx: &mut Tx<'_>| chunk.apply(tx))).await?.into_inner();
            total.changed += changed.changed;
            total.in_delivery += changed.in_delivery;
            match last {
                Some(last) => after = Some(last),
                None => return Ok(total),
            }
        }
    }

    /// Leases entries that fit, due or not, held or not, so that the caller can
    /// end them ([`settle`](Self::settle)): to bounce or cancel them. Those being
    /// delivered are left out. At most `limit`, and never more than
    /// [`CLAIM_MAX`]; ask again for the rest.
    ///
    /// # Errors
    ///
    /// As for [`claim_due`](Self::claim_due).
    pub async fn claim_selected(
        &self,
        filter: &QueueFilter,
        until: Timestamp,
        limit: u32,
    ) -> Result<Synced<Vec<Claimed>>, StoreError> {
        let filter = filter.clone();
        self.write(Act(move |tx: &mut Tx<'_>| {
            let rows = page(tx.connection, &filter, None, limit.min(CLAIM_MAX))?;
            let mut claimed = Vec::new();
            for row in rows {
                match entry_state(tx, row.entry)? {
                    Some((LEASED, ..)) | None => {}
                    Some((state, destination, _)) => {
                        claimed.push(lease(tx, row.entry.0, until)?);
                        count_out(tx, state, &destination)?;
                    }
                }
            }
            Ok(claimed)
        }))
        .await
    }

    /// Hands out nothing more for `destination` until it is unfrozen.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`] and [`StoreError::Database`] from the commit.
    pub async fn freeze(
        &self,
        destination: &str,
        reason: &str,
        evidence: Vec<Evidence>,
    ) -> Result<Synced<()>, StoreError> {
        let (destination, reason) = (destination.to_owned(), reason.to_owned());
        self.write(Act(move |tx: &mut Tx<'_>| {
            tx.execute(
                "freeze a destination",
                "INSERT INTO destination (name, next_due, waiting, frozen) VALUES (?1, 0, 0, ?2)
                 ON CONFLICT (name) DO UPDATE SET frozen = excluded.frozen",
                (&destination, &reason),
            )?;
            let mut frozen = (*tx.state.frozen).clone();
            frozen.insert(destination.clone());
            tx.state.frozen = frozen.into();
            tx.append_evidence(&evidence)
        }))
        .await
    }

    /// Hands out work for `destination` again. Says whether it was frozen.
    ///
    /// # Errors
    ///
    /// As for [`Self::freeze`].
    pub async fn unfreeze(
        &self,
        destination: &str,
        evidence: Vec<Evidence>,
    ) -> Result<Synced<bool>, StoreError> {
        let destination = destination.to_owned();
        self.write(Act(move |tx: &mut Tx<'_>| {
            let changed = tx.execute(
                "unfreeze a destination",
                "UPDATE destination SET frozen = NULL WHERE name = ?1 AND frozen IS NOT NULL",
                [&destination],
            )?;
            tx.execute(
                "drop an empty destination",
                "DELETE FROM destination WHERE name = ?1 AND waiting <= 0 AND frozen IS NULL",
                [&destination],
            )?;
            let mut frozen = (*tx.state.frozen).clone();
            frozen.remove(&destination);
            tx.state.frozen = frozen.into();
            tx.append_evidence(&evidence)?;
            Ok(changed > 0)
        }))
        .await
    }
}

/// One transaction's part of a change.
struct Chunk {
    filter: QueueFilter,
    change: Change,
    after: Option<EntryId>,
    evidence: Vec<Evidence>,
}

impl Chunk {
    /// Changes up to [`CHUNK`] entries; gives the last, or `None` at the end.
    fn apply(&self, tx: &mut Tx<'_>) -> Result<(Changed, Option<EntryId>), StoreError> {
        let rows = page(tx.connection, &self.filter, self.after, CHUNK)?;
        let mut changed = Changed::default();
        for row in &rows {
            let Some((state, destination, due)) = entry_state(tx, row.entry)? else { continue };
            if apply(tx, &self.change, row.entry, state, &destination, due)? {
                changed.changed += 1;
            } else if state == LEASED {
                changed.in_delivery += 1;
            }
        }
        tx.append_evidence(&self.evidence)?;
        let more = rows.len() == CHUNK as usize;
        Ok((changed, rows.last().filter(|_| more).map(|row| row.entry)))
    }
}

fn entry_state(
    tx: &mut Tx<'_>,
    entry: EntryId,
) -> Result<Option<(i64, String, Timestamp)>, StoreError> {
    tx.first(
        "look at a queue entry",
        "SELECT state, destination, due FROM entry WHERE n = ?1",
        [entry.0],
        |row| Ok((row.get(0)?, row.get(1)?, Timestamp(row.get(2)?))),
    )
}

/// Counts an entry, already changed, out of `state`.
fn count_out(tx: &mut Tx<'_>, state: i64, destination: &str) -> Result<(), StoreError> {
    match state {
        WAITING => tx.remove_waiting(destination, 1, Timestamp(0)),
        HELD => {
            tx.state.tally.held -= 1;
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Says whether the change concerned the entry.
fn apply(
    tx: &mut Tx<'_>,
    change: &Change,
    entry: EntryId,
    state: i64,
    destination: &str,
    due: Timestamp,
) -> Result<bool, StoreError> {
    match (change, state) {
        (Change::Hold { reason }, WAITING | LEASED | HELD) => {
            tx.execute(
                "hold an entry",
                "UPDATE entry SET hold = ?2, state = CASE state WHEN 1 THEN 1 ELSE 2 END
                 WHERE n = ?1",
                (entry.0, reason),
            )?;
            if state != LEASED {
                count_out(tx, state, destination)?;
                tx.state.tally.held += 1;
            }
            Ok(true)
        }
        (Change::Release { now }, HELD) => {
            make_due(tx, entry, *now)?;
            count_out(tx, state, destination)?;
            tx.add_waiting(destination, *now)?;
            Ok(true)
        }
        (Change::Release { .. }, LEASED) => {
            let held = tx.execute(
                "release an entry",
                "UPDATE entry SET hold = NULL WHERE n = ?1 AND hold IS NOT NULL",
                [entry.0],
            )?;
            Ok(held > 0)
        }
        (Change::Retry { now }, WAITING) => {
            make_due(tx, entry, *now.min(&due))?;
            count_out(tx, state, destination)?;
            tx.add_waiting(destination, *now.min(&due))?;
            Ok(true)
        }
        (Change::Reroute { destination: to, route, now }, WAITING | HELD) => {
            tx.execute(
                "reroute an entry",
                "UPDATE entry SET destination = ?2, route = ?3, due = ?4 WHERE n = ?1",
                (entry.0, to, route, now.0),
            )?;
            if state == WAITING {
                count_out(tx, state, destination)?;
                tx.add_waiting(to, *now)?;
            }
            Ok(true)
        }
        _ => Ok(false),
    }
}

fn make_due(tx: &mut Tx<'_>, entry: EntryId, due: Timestamp) -> Result<(), StoreError> {
    tx.execute(
        "let an entry be tried",
        "UPDATE entry SET state = 0, hold = NULL, due = ?2 WHERE n = ?1",
        (entry.0, due.0),
    )?;
    Ok(())
}

/// Entries changed in one transaction.
const CHUNK: u32 = 500;
