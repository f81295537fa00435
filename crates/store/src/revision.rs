//! Revisions of the configuration.

use mail::Timestamp;
use rusqlite::{OptionalExtension, Row};

use crate::Store;
use crate::error::StoreError;
use crate::synced::Synced;
use crate::transaction::{Tx, instant};
use crate::writer::Act;

/// A configuration to keep.
#[derive(Debug, Clone)]
pub struct NewRevision {
    /// When it was applied.
    pub at: Timestamp,
    /// By whom.
    pub author: String,
    /// Why, in their words.
    pub reason: String,
    /// The text, with its includes as the configuration keeps them; opaque.
    pub text: Vec<u8>,
}

/// A configuration that was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionRow {
    /// Its number; the first is 1.
    pub number: u64,
    /// When it was applied.
    pub at: Timestamp,
    /// By whom.
    pub author: String,
    /// Why.
    pub reason: String,
    /// The text.
    pub text: Vec<u8>,
}

impl Store {
    /// Keeps a revision; gives its number.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`] and [`StoreError::Database`] from the commit.
    pub async fn add_revision(&self, revision: NewRevision) -> Result<Synced<u64>, StoreError> {
        self.write(Act(move |tx: &mut Tx<'_>| {
            tx.execute(
                "keep a revision",
                "INSERT INTO revision (at, author, reason, text) VALUES (?1, ?2, ?3, ?4)",
                (revision.at.0, &revision.author, &revision.reason, &revision.text),
            )?;
            Ok(tx.connection.last_insert_rowid() as u64)
        }))
        .await
    }

    /// The revision `number`, or the newest.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] when the rows cannot be read.
    pub async fn revision(&self, number: Option<u64>) -> Result<Option<RevisionRow>, StoreError> {
        self.read(move |connection| {
            connection
                .prepare_cached(
                    "SELECT n, at, author, reason, text FROM revision
                     WHERE ?1 IS NULL OR n = ?1 ORDER BY n DESC LIMIT 1",
                )
                .and_then(|mut s| s.query_row([number.map(|n| n as i64)], revision_row).optional())
                .map_err(|e| StoreError::sqlite("read a revision", &e))
        })
        .await
    }

    /// Revisions before `before` (or the newest), newest first, at most `limit`
    /// (and never more than [`REVISIONS_PAGE_MAX`]).
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] when the rows cannot be read.
    pub async fn revisions(
        &self,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<RevisionRow>, StoreError> {
        let before = before.and_then(|n| i64::try_from(n).ok()).unwrap_or(i64::MAX);
        self.read(move |connection| {
            connection
                .prepare_cached(
                    "SELECT n, at, author, reason, text FROM revision
                     WHERE n < ?1 ORDER BY n DESC LIMIT ?2",
                )
                .and_then(|mut statement| {
                    statement
                        .query_map((before, limit.min(REVISIONS_PAGE_MAX)), revision_row)?
                        .collect()
                })
                .map_err(|e| StoreError::sqlite("list revisions", &e))
        })
        .await
    }
}

fn revision_row(row: &Row<'_>) -> rusqlite::Result<RevisionRow> {
    Ok(RevisionRow {
        number: row.get::<_, i64>(0)? as u64,
        at: instant(row, 1)?,
        author: row.get(2)?,
        reason: row.get(3)?,
        text: row.get(4)?,
    })
}

/// The most revisions of one page.
pub const REVISIONS_PAGE_MAX: u32 = 1000;
