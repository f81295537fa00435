//! One transaction of the writer: the statements, and what it counts in memory.

use std::collections::BTreeSet;
use std::sync::Arc;

use mail::Timestamp;
use rusqlite::{CachedStatement, Connection, Params};

use crate::chain::{self, Hash};
use crate::error::StoreError;
use crate::model::Evidence;
use crate::segment::Extent;
use crate::tally::Tally;

/// What the writer knows without asking the database. It is put back as it was
/// when the transaction (or the one job) does not stand.
#[derive(Debug, Clone)]
pub(crate) struct State {
    /// The greatest number of a message.
    pub(crate) message: i64,
    /// The last lease token; leases do not outlive the process.
    pub(crate) token: i64,
    /// The last evidence entry and its hash.
    pub(crate) seq: u64,
    pub(crate) head: Hash,
    pub(crate) tally: Tally,
    /// The destinations that an operator froze.
    pub(crate) frozen: Arc<BTreeSet<String>>,
    /// A segment may have lost its last body.
    pub(crate) segments_freed: bool,
}

/// A job's view of the transaction.
pub(crate) struct Tx<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) state: &'a mut State,
    /// Whether this job changed rows yet.
    pub(crate) wrote: bool,
}

impl<'a> Tx<'a> {
    /// A cached statement.
    pub(crate) fn statement(
        &self,
        what: &'static str,
        sql: &str,
    ) -> Result<CachedStatement<'a>, StoreError> {
        self.connection.prepare_cached(sql).map_err(|e| StoreError::sqlite(what, &e))
    }

    /// Runs a statement that changes rows; says how many.
    pub(crate) fn execute(
        &mut self,
        what: &'static str,
        sql: &str,
        params: impl Params,
    ) -> Result<usize, StoreError> {
        let changed =
            self.statement(what, sql)?.execute(params).map_err(|e| StoreError::sqlite(what, &e))?;
        self.wrote |= changed > 0;
        Ok(changed)
    }

    /// Runs a statement for the first row it gives. One that changes rows counts as writing.
    pub(crate) fn first<T>(
        &mut self,
        what: &'static str,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, StoreError> {
        let mut statement = self.statement(what, sql)?;
        let mut rows = statement.query(params).map_err(|e| StoreError::sqlite(what, &e))?;
        let Some(row) = rows.next().map_err(|e| StoreError::sqlite(what, &e))? else {
            return Ok(None);
        };
        let value = read(row).map_err(|e| StoreError::sqlite(what, &e))?;
        // A RETURNING statement has changed its rows by now, but ends only here.
        while rows.next().map_err(|e| StoreError::sqlite(what, &e))?.is_some() {}
        drop(rows);
        self.wrote |= !statement.readonly();
        Ok(Some(value))
    }

    /// Every row a query gives; the query itself bounds them.
    pub(crate) fn all<T>(
        &self,
        what: &'static str,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        self.statement(what, sql)?
            .query_map(params, read)
            .and_then(Iterator::collect)
            .map_err(|e| StoreError::sqlite(what, &e))
    }

    /// Appends entries to the evidence chain.
    pub(crate) fn append_evidence(&mut self, entries: &[Evidence]) -> Result<(), StoreError> {
        for entry in entries {
            let seq = self.state.seq + 1;
            let hash = chain::link(&self.state.head, seq, &entry.payload);
            self.execute(
                "append evidence",
                "INSERT INTO evidence (seq, trace, at, hash, payload) VALUES (?1, ?2, ?3, ?4, ?5)",
                (seq as i64, entry.trace.to_bytes(), entry.at.0, hash, &entry.payload),
            )?;
            self.state.seq = seq;
            self.state.head = hash;
        }
        Ok(())
    }

    /// One more entry waits for `destination`, due at `due`.
    pub(crate) fn add_waiting(
        &mut self,
        destination: &str,
        due: Timestamp,
    ) -> Result<(), StoreError> {
        self.state.tally.waiting += 1;
        self.execute(
            "count a waiting entry",
            "INSERT INTO destination (name, next_due, waiting) VALUES (?1, ?2, 1)
             ON CONFLICT (name) DO UPDATE SET waiting = waiting + 1, next_due =
               CASE waiting WHEN 0 THEN excluded.next_due
                            ELSE min(next_due, excluded.next_due) END",
            (destination, due.0),
        )?;
        Ok(())
    }

    /// `number` entries of `destination`, already changed, wait no more. What
    /// is left of it comes no earlier than `not_before`.
    pub(crate) fn remove_waiting(
        &mut self,
        destination: &str,
        number: u32,
        not_before: Timestamp,
    ) -> Result<(), StoreError> {
        self.state.tally.waiting -= i64::from(number);
        self.execute(
            "count waiting entries down",
            "UPDATE destination SET waiting = waiting - ?2, next_due = max(?3, coalesce(
               (SELECT min(due) FROM entry WHERE destination = ?1 AND state = 0), 0))
             WHERE name = ?1",
            (destination, number, not_before.0),
        )?;
        self.execute(
            "drop an empty destination",
            "DELETE FROM destination WHERE name = ?1 AND waiting <= 0 AND frozen IS NULL",
            [destination],
        )?;
        Ok(())
    }

    /// Writes where a body is that is not in its row.
    pub(crate) fn insert_extents(
        &mut self,
        blob: i64,
        extents: &[Extent],
    ) -> Result<(), StoreError> {
        for extent in extents {
            self.execute(
                "place a body",
                "INSERT INTO extent (blob, part, segment, at, len, tag)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                (
                    blob,
                    extent.part,
                    extent.segment,
                    extent.at as i64,
                    extent.len,
                    extent.tag as i64,
                ),
            )?;
            self.count_live(extent)?;
        }
        Ok(())
    }

    /// A part of a body is alive at `extent`.
    pub(crate) fn count_live(&mut self, extent: &Extent) -> Result<(), StoreError> {
        self.execute(
            "count a segment's bodies",
            "INSERT INTO segment (n, live, size) VALUES (?1, ?2, ?3)
             ON CONFLICT (n) DO UPDATE SET
               live = live + excluded.live, size = max(size, excluded.size)",
            (extent.segment, extent.len, extent.end() as i64),
        )?;
        Ok(())
    }

    /// One reference to a body less; the last takes the body with it.
    pub(crate) fn release_blob(&mut self, blob: i64) -> Result<(), StoreError> {
        let in_segments = self.first(
            "remove a body",
            "DELETE FROM blob WHERE n = ?1 AND refs <= 1 RETURNING octets IS NULL",
            [blob],
            |row| row.get::<_, bool>(0),
        )?;
        match in_segments {
            Some(true) => self.free_extents(blob),
            Some(false) => Ok(()),
            None => self
                .execute(
                    "count a body's references",
                    "UPDATE blob SET refs = refs - 1 WHERE n = ?1",
                    [blob],
                )
                .map(|_| ()),
        }
    }

    fn free_extents(&mut self, blob: i64) -> Result<(), StoreError> {
        self.execute(
            "count a segment's bodies",
            "UPDATE segment SET live = live - freed.len
             FROM (SELECT segment, sum(len) AS len FROM extent WHERE blob = ?1 GROUP BY segment)
               AS freed
             WHERE segment.n = freed.segment",
            [blob],
        )?;
        self.execute("remove a body", "DELETE FROM extent WHERE blob = ?1", [blob])?;
        self.state.segments_freed = true;
        Ok(())
    }
}

/// A timestamp kept in a row.
pub(crate) fn instant(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    row.get(column).map(Timestamp)
}
