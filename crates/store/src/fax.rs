//! Faxes: one row for each fax to one number, from its pages to its end.

use std::sync::Arc;

use mail::{Timestamp, TraceId};
use rusqlite::Row;

use crate::Store;
use crate::accept::{check, insert};
use crate::error::StoreError;
use crate::model::{Accept, Evidence};
use crate::segment::Segment;
use crate::synced::Synced;
use crate::transaction::{Tx, instant};
use crate::writer::Work;

/// The most faxes of one answer.
pub const FAXES_PAGE_MAX: u32 = 1_000;

/// A fax.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaxRow {
    /// Its own name.
    pub id: TraceId,
    /// The message it was made of.
    pub message: TraceId,
    /// The recipient of that message.
    pub recipient: String,
    /// The fax account.
    pub account: String,
    /// The number.
    pub number: String,
    /// The word for where it stands.
    pub state: String,
    /// When something is to be done about it; `None` when nothing is.
    pub due: Option<Timestamp>,
    /// When it was made.
    pub created: Timestamp,
    /// Everything else; opaque.
    pub row: Vec<u8>,
}

/// A fax that is made, with its evidence and the mails that tell of it.
#[derive(Debug, Clone)]
pub struct NewFax {
    /// The fax.
    pub row: FaxRow,
    /// What it has in common with a fax of the same message that was sent twice.
    pub likeness: Option<Likeness>,
    /// What is recorded of it.
    pub evidence: Vec<Evidence>,
    /// Mails about it.
    pub notices: Vec<Accept>,
}

/// What faxes of the same message have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Likeness {
    /// The same for both, and for no others.
    pub digest: [u8; 32],
    /// Only faxes made after this count.
    pub since: Timestamp,
}

/// What becomes of a fax, with its evidence and the mails that tell of it.
#[derive(Debug, Clone)]
pub struct FaxChange {
    /// The fax.
    pub id: TraceId,
    /// The row as it was read; nothing is changed if it is another by now.
    pub before: Vec<u8>,
    /// The word for where it stands.
    pub state: String,
    /// When something is to be done about it.
    pub due: Option<Timestamp>,
    /// Everything else.
    pub row: Vec<u8>,
    /// What is recorded of it.
    pub evidence: Vec<Evidence>,
    /// Mails about it.
    pub notices: Vec<Accept>,
}

/// Which faxes.
#[derive(Debug, Clone, Default)]
pub struct FaxQuery {
    /// Those whose names lie in this range.
    pub ids: Option<(TraceId, TraceId)>,
    /// Those of this account.
    pub account: Option<String>,
    /// Those that stand so.
    pub state: Option<String>,
    /// At most so many, no more than [`FAXES_PAGE_MAX`].
    pub limit: u32,
}

const COLUMNS: &str = "id, message, recipient, account, number, state, due, created, row";

impl Store {
    /// Keeps new faxes with what is recorded of each. A recipient of a message that has a fax
    /// gets no other, so that making faxes can be repeated, and neither does one that is like
    /// another which may arrive; gives those that were made, in the order given.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`] and [`StoreError::Database`] from the commit; then none is kept.
    pub async fn add_faxes(&self, faxes: Vec<NewFax>) -> Result<Synced<Vec<bool>>, StoreError> {
        for notice in faxes.iter().flat_map(|fax| &fax.notices) {
            check(notice)?;
        }
        self.write(NewFaxes(faxes)).await
    }

    /// Changes a fax.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when it is not there or has changed since it was read; the
    /// others are the commit's.
    pub async fn change_fax(&self, change: FaxChange) -> Result<Synced<()>, StoreError> {
        for notice in &change.notices {
            check(notice)?;
        }
        self.write(change).await
    }

    /// Removes faxes about which nothing is to be done any more, with what is recorded of it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`] and [`StoreError::Database`] from the commit; then none is removed.
    pub async fn remove_faxes(
        &self,
        faxes: Vec<(TraceId, Vec<Evidence>)>,
    ) -> Result<Synced<()>, StoreError> {
        self.write(OldFaxes(faxes)).await
    }

    /// Faxes that fit, newest first.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] when the rows cannot be read.
    pub async fn faxes(&self, query: FaxQuery) -> Result<Vec<FaxRow>, StoreError> {
        let (from, to) = query.ids.map_or((None, None), |(from, to)| (Some(from), Some(to)));
        self.read(move |connection| {
            connection
                .prepare_cached(&format!(
                    "SELECT {COLUMNS} FROM fax
                     WHERE (?1 IS NULL OR id >= ?1) AND (?2 IS NULL OR id <= ?2)
                       AND (?3 IS NULL OR account = ?3) AND (?4 IS NULL OR state = ?4)
                     ORDER BY id DESC LIMIT ?5"
                ))
                .and_then(|mut statement| {
                    let values = (
                        from.map(TraceId::to_bytes),
                        to.map(TraceId::to_bytes),
                        query.account,
                        query.state,
                        query.limit.min(FAXES_PAGE_MAX),
                    );
                    statement.query_map(values, fax)?.collect()
                })
                .map_err(|e| StoreError::sqlite("read faxes", &e))
        })
        .await
    }

    /// Faxes about which something is to be done at `now`, the longest due first, and when
    /// the next will be.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] when the rows cannot be read.
    pub async fn faxes_due(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<(Vec<FaxRow>, Option<Timestamp>), StoreError> {
        self.read(move |connection| {
            let due = connection
                .prepare_cached(&format!(
                    "SELECT {COLUMNS} FROM fax WHERE due <= ?1 ORDER BY due LIMIT ?2"
                ))
                .and_then(|mut statement| statement.query_map((now.0, limit), fax)?.collect());
            let next = connection
                .prepare_cached("SELECT min(due) FROM fax WHERE due > ?1")
                .and_then(|mut s| s.query_row([now.0], |row| row.get::<_, Option<i64>>(0)));
            due.and_then(|due| Ok((due, next?.map(Timestamp))))
                .map_err(|e| StoreError::sqlite("look for faxes that are due", &e))
        })
        .await
    }

    /// Whether a recipient of a message has a fax already.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] when the rows cannot be read.
    pub async fn fax_exists(&self, message: TraceId, recipient: &str) -> Result<bool, StoreError> {
        let recipient = recipient.to_owned();
        self.read(move |connection| {
            connection
                .prepare_cached("SELECT 1 FROM fax WHERE message = ?1 AND recipient = ?2")
                .and_then(|mut statement| statement.exists((message.to_bytes(), recipient)))
                .map_err(|e| StoreError::sqlite("look for a fax", &e))
        })
        .await
    }
}

impl Store {
    /// The fax of the same message that was made before and may arrive, or has arrived.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] when the rows cannot be read.
    pub async fn fax_like(&self, likeness: Likeness) -> Result<Option<TraceId>, StoreError> {
        self.read(move |connection| {
            connection
                .prepare_cached(
                    "SELECT id FROM fax WHERE likeness = ?1 AND created > ?2
                       AND state NOT IN ('failed', 'cancelled')
                     ORDER BY created LIMIT 1",
                )
                .and_then(|mut statement| {
                    let values = (likeness.digest, likeness.since.0);
                    statement.query_map(values, |row| row.get(0))?.next().transpose()
                })
                .map(|id| id.map(TraceId::from_bytes))
                .map_err(|e| StoreError::sqlite("look for a fax", &e))
        })
        .await
    }
}

struct NewFaxes(Vec<NewFax>);

impl Work for NewFaxes {
    type Output = Vec<bool>;

    fn apply(&self, tx: &mut Tx<'_>) -> Result<Vec<bool>, StoreError> {
        let mut made = Vec::with_capacity(self.0.len());
        for NewFax { row: fax, likeness, evidence, notices } in &self.0 {
            let new = tx.execute(
                "keep a fax",
                "INSERT INTO fax
                     (id, message, recipient, account, number, state, due, created, row, likeness)
                 SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10
                 WHERE NOT EXISTS (SELECT 1 FROM fax WHERE likeness = ?10 AND created > ?11
                     AND state NOT IN ('failed', 'cancelled'))
                 ON CONFLICT (message, recipient) DO NOTHING",
                rusqlite::params![
                    fax.id.to_bytes(),
                    fax.message.to_bytes(),
                    fax.recipient,
                    fax.account,
                    fax.number,
                    fax.state,
                    fax.due.map(|due| due.0),
                    fax.created.0,
                    fax.row,
                    likeness.map(|likeness| likeness.digest),
                    likeness.map(|likeness| likeness.since.0),
                ],
            )? > 0;
            if new {
                tx.append_evidence(evidence)?;
                for notice in notices {
                    insert(tx, notice)?;
                }
            }
            made.push(new);
        }
        Ok(made)
    }

    fn segments(&self) -> Vec<Arc<Segment>> {
        let notices = self.0.iter().flat_map(|fax| &fax.notices);
        notices.flat_map(|notice| notice.body.segments().cloned()).collect()
    }

    fn needs_room(&self) -> bool {
        true
    }
}

impl Work for FaxChange {
    type Output = ();

    fn apply(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let changed = tx.execute(
            "change a fax",
            "UPDATE fax SET state = ?3, due = ?4, row = ?5 WHERE id = ?1 AND row = ?2",
            (self.id.to_bytes(), &self.before, &self.state, self.due.map(|due| due.0), &self.row),
        )?;
        if changed == 0 {
            return Err(StoreError::NotFound(format!("fax {} as it was read", self.id)));
        }
        tx.append_evidence(&self.evidence)?;
        for notice in &self.notices {
            insert(tx, notice)?;
        }
        Ok(())
    }

    fn segments(&self) -> Vec<Arc<Segment>> {
        self.notices.iter().flat_map(|notice| notice.body.segments().cloned()).collect()
    }
}

struct OldFaxes(Vec<(TraceId, Vec<Evidence>)>);

impl Work for OldFaxes {
    type Output = ();

    fn apply(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        for (id, evidence) in &self.0 {
            let statement = "DELETE FROM fax WHERE id = ?1 AND due IS NULL";
            if tx.execute("remove a fax", statement, [id.to_bytes()])? > 0 {
                tx.append_evidence(evidence)?;
            }
        }
        Ok(())
    }
}

fn fax(row: &Row<'_>) -> rusqlite::Result<FaxRow> {
    Ok(FaxRow {
        id: TraceId::from_bytes(row.get(0)?),
        message: TraceId::from_bytes(row.get(1)?),
        recipient: row.get(2)?,
        account: row.get(3)?,
        number: row.get(4)?,
        state: row.get(5)?,
        due: row.get::<_, Option<i64>>(6)?.map(Timestamp),
        created: instant(row, 7)?,
        row: row.get(8)?,
    })
}
