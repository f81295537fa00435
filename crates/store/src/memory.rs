//! What is remembered of senders until it is too old: small rows that one transaction reads
//! and changes.

use mail::Timestamp;
use rusqlite::OptionalExtension;

use crate::Store;
use crate::error::StoreError;
use crate::synced::Synced;
use crate::transaction::Tx;
use crate::writer::Act;

/// What a row is about. Names of one kind mean nothing to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryKind {
    /// A triplet of greylisting.
    Triplet,
    /// A network whose triplets came again.
    Network,
    /// The reputation of a sender.
    Reputation,
}

impl MemoryKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Triplet, Self::Network, Self::Reputation];

    const fn number(self) -> i64 {
        match self {
            Self::Triplet => 1,
            Self::Network => 2,
            Self::Reputation => 3,
        }
    }
}

/// What a change makes of a row.
#[derive(Debug)]
pub struct Remembered<T> {
    /// The row from now on, and until when it is kept.
    pub row: Vec<u8>,
    /// Until when.
    pub until: Timestamp,
    /// What the caller wants to know.
    pub answer: T,
}

/// The most rows forgotten in one transaction.
pub const FORGET_MAX: u32 = 10_000;

impl Store {
    /// What is remembered as `name`, unless it is too old at `now`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] when the rows cannot be read.
    pub async fn recall(
        &self,
        kind: MemoryKind,
        name: &str,
        now: Timestamp,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let name = name.to_owned();
        self.read(move |connection| {
            connection
                .prepare_cached(
                    "SELECT row FROM memory WHERE kind = ?1 AND name = ?2 AND until > ?3",
                )
                .and_then(|mut statement| {
                    statement.query_row((kind.number(), name, now.0), |row| row.get(0)).optional()
                })
                .map_err(|e| StoreError::sqlite("recall a sender", &e))
        })
        .await
    }

    /// Changes what is remembered as `name`: `change` gets the row, if it is not too old at
    /// `now`. It may be called more than once.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`] and [`StoreError::Database`] from the commit.
    pub async fn remember<T: Send + 'static>(
        &self,
        kind: MemoryKind,
        name: &str,
        now: Timestamp,
        change: impl Fn(Option<Vec<u8>>) -> Remembered<T> + Send + 'static,
    ) -> Result<Synced<T>, StoreError> {
        let name = name.to_owned();
        self.write(Act(move |tx: &mut Tx<'_>| {
            let row = tx.first(
                "recall a sender",
                "SELECT row FROM memory WHERE kind = ?1 AND name = ?2 AND until > ?3",
                (kind.number(), &name, now.0),
                |row| row.get(0),
            )?;
            let remembered = change(row);
            tx.execute(
                "remember a sender",
                "INSERT INTO memory (kind, name, until, row) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (kind, name) DO UPDATE SET until = excluded.until, row = excluded.row",
                (kind.number(), &name, remembered.until.0, &remembered.row),
            )?;
            Ok(remembered.answer)
        }))
        .await
    }

    /// Forgets rows that are too old at `now`, then those that end soonest as long as there
    /// are more than `most`; at most [`FORGET_MAX`] each time. Says how many.
    ///
    /// # Errors
    ///
    /// As for [`Self::remember`].
    pub async fn forget(
        &self,
        kind: MemoryKind,
        most: u64,
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        let (all, old) = self
            .read(move |connection| {
                let count = |sql: &str, now: i64| {
                    connection
                        .prepare_cached(sql)
                        .and_then(|mut s| s.query_row((kind.number(), now), |row| row.get(0)))
                        .map_err(|e| StoreError::sqlite("count senders", &e))
                };
                let all: i64 =
                    count("SELECT count(*) FROM memory WHERE kind = ?1 AND ?2 IS NOT NULL", now.0)?;
                let old: i64 =
                    count("SELECT count(*) FROM memory WHERE kind = ?1 AND until <= ?2", now.0)?;
                Ok((all, old))
            })
            .await?;
        let surplus = (all - old).saturating_sub(i64::try_from(most).unwrap_or(i64::MAX)).max(0);
        let number = (old + surplus).min(i64::from(FORGET_MAX));
        if number == 0 {
            return Ok(0);
        }
        let forgotten = self
            .write(Act(move |tx: &mut Tx<'_>| {
                tx.execute(
                    "forget senders",
                    "DELETE FROM memory WHERE kind = ?1 AND name IN
                       (SELECT name FROM memory WHERE kind = ?1 ORDER BY until LIMIT ?2)",
                    (kind.number(), number),
                )
            }))
            .await?;
        Ok(forgotten.into_inner())
    }

    /// How many rows of a kind there are, old ones too.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] when the rows cannot be read.
    pub async fn remembered(&self, kind: MemoryKind) -> Result<u64, StoreError> {
        self.read(move |connection| {
            connection
                .prepare_cached("SELECT count(*) FROM memory WHERE kind = ?1")
                .and_then(|mut s| s.query_row([kind.number()], |row| row.get::<_, i64>(0)))
                .map(|count| count.max(0) as u64)
                .map_err(|e| StoreError::sqlite("count senders", &e))
        })
        .await
    }
}
