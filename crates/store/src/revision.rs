//! Revisions of the configuration.

use aws_lc_rs::digest::{SHA256, digest};
use mail::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row};

use crate::Store;
use crate::chain::to_hash;
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
    /// The text of the configuration file; opaque.
    pub text: Vec<u8>,
    /// The other files it reads, each path once; at most [`REVISION_FILES_MAX`].
    pub files: Vec<RevisionFile>,
}

/// A file that a configuration reads beside its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RevisionFile {
    /// Its path; a relative one starts at the folder of the configuration file.
    pub path: String,
    /// What it said.
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
    /// The other files it reads, by path; left out in lists.
    pub files: Vec<RevisionFile>,
}

impl Store {
    /// Keeps a revision; gives its number.
    ///
    /// # Errors
    ///
    /// [`StoreError::TooMuch`] for too many files; [`StoreError::Full`] and
    /// [`StoreError::Database`] from the commit.
    pub async fn add_revision(&self, revision: NewRevision) -> Result<Synced<u64>, StoreError> {
        if revision.files.len() > REVISION_FILES_MAX {
            return Err(StoreError::TooMuch {
                what: "files of a configuration",
                given: revision.files.len() as u64,
                limit: REVISION_FILES_MAX as u64,
            });
        }
        self.write(Act(move |tx: &mut Tx<'_>| {
            tx.execute(
                "keep a revision",
                "INSERT INTO revision (at, author, reason, text) VALUES (?1, ?2, ?3, ?4)",
                (revision.at.0, &revision.author, &revision.reason, &revision.text),
            )?;
            let number = tx.connection.last_insert_rowid();
            for file in &revision.files {
                keep_file(tx, number, file)?;
            }
            Ok(number as u64)
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
                .and_then(|found| match found {
                    Some(row) => {
                        let files = files(connection, row.number)?;
                        Ok(Some(RevisionRow { files, ..row }))
                    }
                    None => Ok(None),
                })
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
        files: Vec::new(),
    })
}

fn keep_file(tx: &mut Tx<'_>, revision: i64, file: &RevisionFile) -> Result<(), StoreError> {
    let hash = to_hash(digest(&SHA256, &file.text).as_ref());
    tx.execute(
        "keep a file of a revision",
        "INSERT INTO revision_text (hash, text) VALUES (?1, ?2) ON CONFLICT (hash) DO NOTHING",
        (&hash, &file.text),
    )?;
    tx.execute(
        "keep a file of a revision",
        "INSERT INTO revision_file (revision, path, text)
         SELECT ?1, ?2, n FROM revision_text WHERE hash = ?3",
        (revision, &file.path, &hash),
    )?;
    Ok(())
}

/// The files of a revision, by path.
fn files(connection: &Connection, revision: u64) -> rusqlite::Result<Vec<RevisionFile>> {
    let mut statement = connection.prepare_cached(
        "SELECT f.path, t.text FROM revision_file f JOIN revision_text t ON t.n = f.text
         WHERE f.revision = ?1 ORDER BY f.path",
    )?;
    let file = |row: &Row<'_>| Ok(RevisionFile { path: row.get(0)?, text: row.get(1)? });
    statement.query_map([revision as i64], file)?.collect()
}

/// The most files of one revision, as many as a configuration may have.
pub const REVISION_FILES_MAX: usize = 1_000;

/// The most revisions of one page.
pub const REVISIONS_PAGE_MAX: u32 = 1000;
