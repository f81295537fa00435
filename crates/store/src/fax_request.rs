//! Requests to trust email domains for faxing: one row each, kept after they were decided.

use mail::{Timestamp, TraceId};

use crate::Store;
use crate::error::StoreError;
use crate::model::Evidence;
use crate::synced::Synced;
use crate::transaction::Tx;
use crate::writer::Act;

/// The most requests of one answer.
pub const FAX_REQUESTS_PAGE_MAX: u32 = 1_000;
/// The most requests of one account that may be open at a time.
pub const FAX_REQUESTS_OPEN_MAX: u32 = 100;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaxRequestRow {
    /// Its name.
    pub id: TraceId,
    /// The fax account.
    pub account: String,
    /// When it ends undecided; `None` once it was decided or has ended.
    pub ends: Option<Timestamp>,
    /// Everything else; opaque.
    pub row: Vec<u8>,
}

impl Store {
    /// Keeps a new request with what is recorded of it. False when the account has
    /// [`FAX_REQUESTS_OPEN_MAX`] open ones: then it is not kept.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`] and [`StoreError::Database`] from the commit.
    pub async fn add_fax_request(
        &self,
        request: FaxRequestRow,
        evidence: Vec<Evidence>,
    ) -> Result<Synced<bool>, StoreError> {
        self.write(Act(move |tx: &mut Tx<'_>| {
            let added = tx.execute(
                "keep a fax request",
                "INSERT INTO fax_request (id, account, ends, row) SELECT ?1, ?2, ?3, ?4
                 WHERE (SELECT count(*) FROM fax_request
                        WHERE account = ?2 AND ends IS NOT NULL) < ?5",
                (
                    request.id.to_bytes(),
                    &request.account,
                    request.ends.map(|ends| ends.0),
                    &request.row,
                    FAX_REQUESTS_OPEN_MAX,
                ),
            )? > 0;
            if added {
                tx.append_evidence(&evidence)?;
            }
            Ok(added)
        }))
        .await
    }

    /// Closes an open request: `row` is what it is from now on.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when it is not there or not open; the others are the commit's.
    pub async fn close_fax_request(
        &self,
        id: TraceId,
        row: Vec<u8>,
        evidence: Vec<Evidence>,
    ) -> Result<Synced<()>, StoreError> {
        self.write(Act(move |tx: &mut Tx<'_>| {
            let closed = tx.execute(
                "close a fax request",
                "UPDATE fax_request SET ends = NULL, row = ?2 WHERE id = ?1 AND ends IS NOT NULL",
                (id.to_bytes(), &row),
            )?;
            if closed == 0 {
                return Err(StoreError::NotFound(format!("open request {id}")));
            }
            tx.append_evidence(&evidence)
        }))
        .await
    }

    /// Requests whose names lie in a range, or all of them, newest first.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] when the rows cannot be read.
    pub async fn fax_requests(
        &self,
        ids: Option<(TraceId, TraceId)>,
        is_open: bool,
        limit: u32,
    ) -> Result<Vec<FaxRequestRow>, StoreError> {
        self.read(move |connection| {
            connection
                .prepare_cached(
                    "SELECT id, account, ends, row FROM fax_request
                     WHERE (?1 IS NULL OR id >= ?1) AND (?2 IS NULL OR id <= ?2)
                       AND (NOT ?3 OR ends IS NOT NULL)
                     ORDER BY id DESC LIMIT ?4",
                )
                .and_then(|mut statement| {
                    let values = (
                        ids.map(|(from, _)| from.to_bytes()),
                        ids.map(|(_, to)| to.to_bytes()),
                        is_open,
                        limit.min(FAX_REQUESTS_PAGE_MAX),
                    );
                    let request = |row: &rusqlite::Row<'_>| {
                        Ok(FaxRequestRow {
                            id: TraceId::from_bytes(row.get(0)?),
                            account: row.get(1)?,
                            ends: row.get::<_, Option<i64>>(2)?.map(Timestamp),
                            row: row.get(3)?,
                        })
                    };
                    statement.query_map(values, request)?.collect()
                })
                .map_err(|e| StoreError::sqlite("read fax requests", &e))
        })
        .await
    }
}
