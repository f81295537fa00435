//! Bans, quota counters and failed sign-ins: what must be known again after a restart.

use mail::Timestamp;

use crate::Store;
use crate::error::StoreError;
use crate::synced::Synced;
use crate::transaction::Tx;
use crate::writer::Act;

/// What a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlowKind {
    /// A ban, by its network.
    Ban,
    /// What a sender has sent, by quota and sender.
    Quota,
    /// Failed sign-ins.
    SignIn,
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowRow {
    /// What it is about.
    pub name: String,
    /// From when on it can go; `None` never.
    pub until: Option<Timestamp>,
    /// What is known; opaque.
    pub row: Vec<u8>,
}

impl FlowKind {
    const fn number(self) -> i64 {
        match self {
            Self::Ban => 1,
            Self::Quota => 2,
            Self::SignIn => 3,
        }
    }
}

impl Store {
    /// Keeps rows in place of the last of their names, forgets those named `gone`, and up
    /// to 64 that are too old at `now`.
    ///
    /// Called before [`accept`](Self::accept) without waiting for the answer, it commits
    /// with the message or before it, for no flush of its own.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`] and [`StoreError::Database`] from the commit.
    pub async fn put_flow(
        &self,
        kind: FlowKind,
        rows: Vec<FlowRow>,
        gone: Vec<String>,
        now: Timestamp,
    ) -> Result<Synced<()>, StoreError> {
        self.write(Act(move |tx: &mut Tx<'_>| {
            tx.execute(
                "forget old counts",
                "DELETE FROM flow WHERE (kind, name) IN
                   (SELECT kind, name FROM flow WHERE until <= ?1 ORDER BY until LIMIT ?2)",
                (now.0, FORGET_AT_ONCE),
            )?;
            for name in &gone {
                tx.execute(
                    "forget a count",
                    "DELETE FROM flow WHERE kind = ?1 AND name = ?2",
                    (kind.number(), name),
                )?;
            }
            for row in &rows {
                tx.execute(
                    "keep a count",
                    "INSERT INTO flow (kind, name, until, row) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (kind, name) DO UPDATE
                       SET until = excluded.until, row = excluded.row",
                    (kind.number(), &row.name, row.until.map(|at| at.0), &row.row),
                )?;
            }
            Ok(())
        }))
        .await
    }

    /// Rows of a kind whose names come after `after`, in order, at most `limit` (and never
    /// more than [`FLOW_PAGE_MAX`]); those too old at `now` are left out.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] when the rows cannot be read.
    pub async fn flow_page(
        &self,
        kind: FlowKind,
        after: &str,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<FlowRow>, StoreError> {
        let after = after.to_owned();
        self.read(move |connection| {
            connection
                .prepare_cached(
                    "SELECT name, until, row FROM flow
                     WHERE kind = ?1 AND name > ?2 AND (until IS NULL OR until > ?3)
                     ORDER BY name LIMIT ?4",
                )
                .and_then(|mut statement| {
                    let values = (kind.number(), after, now.0, limit.min(FLOW_PAGE_MAX));
                    statement
                        .query_map(values, |row| {
                            Ok(FlowRow {
                                name: row.get(0)?,
                                until: row.get::<_, Option<i64>>(1)?.map(Timestamp),
                                row: row.get(2)?,
                            })
                        })?
                        .collect()
                })
                .map_err(|e| StoreError::sqlite("read counts", &e))
        })
        .await
    }
}

/// Old rows forgotten with each write.
const FORGET_AT_ONCE: u32 = 64;
/// The most rows of one page.
pub const FLOW_PAGE_MAX: u32 = 10_000;
