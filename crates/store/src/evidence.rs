//! The evidence chain: what was decided and seen, in the order of its commits.

use mail::{Timestamp, TraceId};
use rusqlite::Row;

use crate::Store;
use crate::chain::Hash;
use crate::error::StoreError;
use crate::model::Evidence;
use crate::synced::Synced;
use crate::transaction::{Tx, instant};
use crate::writer::Act;

/// One entry of the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvidenceRow {
    /// Its number; the first is 1, and none is left out.
    pub seq: u64,
    /// The message it is about.
    pub trace: TraceId,
    /// When it happened.
    pub at: Timestamp,
    /// [`chain::link`](crate::chain::link) of the previous entry's hash and this payload.
    pub hash: Hash,
    /// What happened.
    pub payload: Vec<u8>,
}

/// A signed statement of the chain's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The entry at the head then.
    pub seq: u64,
    /// Its hash.
    pub hash: Hash,
    /// When it was signed.
    pub at: Timestamp,
    /// The signature; opaque.
    pub signature: Vec<u8>,
}

impl Store {
    /// Appends entries that go with no change of the queue. Gives the head after them.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`] and [`StoreError::Database`] from the commit.
    pub async fn append_evidence(
        &self,
        entries: Vec<Evidence>,
    ) -> Result<Synced<(u64, Hash)>, StoreError> {
        self.write(Act(move |tx: &mut Tx<'_>| {
            tx.append_evidence(&entries)?;
            Ok((tx.state.seq, tx.state.head))
        }))
        .await
    }

    /// The number and hash of the last entry; `None` for an empty chain.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] when the rows cannot be read.
    pub async fn evidence_head(&self) -> Result<Option<(u64, Hash)>, StoreError> {
        self.read(|connection| {
            connection
                .prepare_cached("SELECT seq, hash FROM evidence ORDER BY seq DESC LIMIT 1")
                .and_then(|mut statement| {
                    statement
                        .query_map([], |row| Ok((row.get::<_, i64>(0)? as u64, row.get(1)?)))?
                        .next()
                        .transpose()
                })
                .map_err(|e| StoreError::sqlite("look for the last evidence entry", &e))
        })
        .await
    }

    /// Entries numbered `from` and above, in order, at most `limit` (and never
    /// more than [`EVIDENCE_PAGE_MAX`]).
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] when the rows cannot be read.
    pub async fn evidence_range(
        &self,
        from: u64,
        limit: u32,
    ) -> Result<Vec<EvidenceRow>, StoreError> {
        self.read(move |connection| {
            connection
                .prepare_cached(
                    "SELECT seq, trace, at, hash, payload FROM evidence
                     WHERE seq >= ?1 ORDER BY seq LIMIT ?2",
                )
                .and_then(|mut statement| {
                    statement
                        .query_map((clamp(from), limit.min(EVIDENCE_PAGE_MAX)), evidence_row)?
                        .collect()
                })
                .map_err(|e| StoreError::sqlite("read evidence", &e))
        })
        .await
    }

    /// Every entry about one message, in order, at most [`EVIDENCE_PAGE_MAX`].
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] when the rows cannot be read.
    pub async fn evidence_of(&self, trace: TraceId) -> Result<Vec<EvidenceRow>, StoreError> {
        self.read(move |connection| {
            connection
                .prepare_cached(
                    "SELECT seq, trace, at, hash, payload FROM evidence
                     WHERE trace = ?1 ORDER BY seq LIMIT ?2",
                )
                .and_then(|mut statement| {
                    statement
                        .query_map((trace.to_bytes(), EVIDENCE_PAGE_MAX), evidence_row)?
                        .collect()
                })
                .map_err(|e| StoreError::sqlite("read evidence", &e))
        })
        .await
    }

    /// Keeps a signed checkpoint. Its hash must be that of its entry.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when no entry has that number and hash.
    pub async fn add_checkpoint(&self, checkpoint: Checkpoint) -> Result<Synced<()>, StoreError> {
        self.write(Act(move |tx: &mut Tx<'_>| {
            let kept = tx.execute(
                "keep a checkpoint",
                "INSERT OR REPLACE INTO checkpoint (seq, hash, at, signature)
                 SELECT seq, hash, ?3, ?4 FROM evidence WHERE seq = ?1 AND hash = ?2",
                (clamp(checkpoint.seq), checkpoint.hash, checkpoint.at.0, &checkpoint.signature),
            )?;
            if kept == 0 {
                return Err(StoreError::NotFound(format!(
                    "evidence entry {} with that hash",
                    checkpoint.seq
                )));
            }
            Ok(())
        }))
        .await
    }

    /// Checkpoints of entries numbered `from` and above, in order, at most
    /// `limit` (and never more than [`EVIDENCE_PAGE_MAX`]).
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] when the rows cannot be read.
    pub async fn checkpoints(&self, from: u64, limit: u32) -> Result<Vec<Checkpoint>, StoreError> {
        self.read(move |connection| {
            connection
                .prepare_cached(
                    "SELECT seq, hash, at, signature FROM checkpoint
                     WHERE seq >= ?1 ORDER BY seq LIMIT ?2",
                )
                .and_then(|mut statement| {
                    statement
                        .query_map((clamp(from), limit.min(EVIDENCE_PAGE_MAX)), |row| {
                            Ok(Checkpoint {
                                seq: row.get::<_, i64>(0)? as u64,
                                hash: row.get(1)?,
                                at: instant(row, 2)?,
                                signature: row.get(3)?,
                            })
                        })?
                        .collect()
                })
                .map_err(|e| StoreError::sqlite("read checkpoints", &e))
        })
        .await
    }
}

fn clamp(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

fn evidence_row(row: &Row<'_>) -> rusqlite::Result<EvidenceRow> {
    Ok(EvidenceRow {
        seq: row.get::<_, i64>(0)? as u64,
        trace: TraceId::from_bytes(row.get(1)?),
        at: instant(row, 2)?,
        hash: row.get(3)?,
        payload: row.get(4)?,
    })
}

/// The most entries of one page.
pub const EVIDENCE_PAGE_MAX: u32 = 10_000;
