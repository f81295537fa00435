//! What a start finds, checks and puts right.

use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, OpenFlags};

use crate::accept::is_damage;
use crate::chain::GENESIS;
use crate::error::StoreError;
use crate::options::Options;
use crate::segment::{Segments, number_of};
use crate::settle::release_lease;
use crate::tally::Tally;
use crate::transaction::{State, Tx};
use crate::writer::write_tally;

/// A connection as all of them are: WAL, flushed at each commit, checkpoints elsewhere.
pub(crate) fn connect(path: &Path, options: &Options) -> Result<Connection, StoreError> {
    let failed = |error: &rusqlite::Error| {
        if is_damage(error) {
            StoreError::Corrupt { path: path.to_owned(), detail: error.to_string() }
        } else {
            StoreError::sqlite("open the database", error)
        }
    };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    make_private(path)?;
    let connection = Connection::open_with_flags(path, flags).map_err(|e| failed(&e))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    connection.busy_timeout(BUSY_MAX).map_err(|e| failed(&e))?;
    connection
        .execute_batch(&format!(
            "PRAGMA page_size = 4096; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             PRAGMA wal_autocheckpoint = 0; PRAGMA foreign_keys = OFF; PRAGMA temp_store = MEMORY;
             PRAGMA cache_size = -{CACHE_KIB};"
        ))
        .map_err(|e| failed(&e))?;
    if let Some(pages) = options.max_pages {
        connection.pragma_update(None, "max_page_count", pages).map_err(|e| failed(&e))?;
    }
    Ok(connection)
}

/// The database file is its owner's only: it holds keys. SQLite gives its log the same mode.
fn make_private(path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .map(|_| ())
        .map_err(|e| StoreError::io("open the database", path, e))
}

/// What a question at opening failed with; a damaged page shows here.
fn damage(path: &Path, what: &'static str) -> impl Fn(rusqlite::Error) -> StoreError {
    let path = path.to_owned();
    move |error| {
        if is_damage(&error) {
            StoreError::Corrupt { path: path.clone(), detail: error.to_string() }
        } else {
            StoreError::sqlite(what, &error)
        }
    }
}

pub(crate) fn newest_segment(
    connection: &Connection,
    path: &Path,
    segment_dir: &Path,
) -> Result<i64, StoreError> {
    let in_rows: i64 = connection
        .query_row("SELECT coalesce(max(n), 0) FROM segment", [], |row| row.get(0))
        .map_err(damage(path, "look for segments"))?;
    Ok(segment_files(segment_dir)?.into_iter().fold(in_rows, i64::max))
}

fn segment_files(segment_dir: &Path) -> Result<Vec<i64>, StoreError> {
    let failed = |e| StoreError::io("list segments in", segment_dir, e);
    let mut numbers = Vec::new();
    for file in std::fs::read_dir(segment_dir).map_err(failed)? {
        numbers.extend(number_of(&file.map_err(failed)?.path()));
    }
    Ok(numbers)
}

/// Every segment that holds a body must be there and long enough.
pub(crate) fn check_segments(
    connection: &Connection,
    path: &Path,
    segments: &Segments,
) -> Result<(), StoreError> {
    let failed = damage(path, "look for segments");
    let mut statement =
        connection.prepare("SELECT n, size FROM segment WHERE live > 0").map_err(&failed)?;
    let mut rows = statement.query([]).map_err(&failed)?;
    while let Some(row) = rows.next().map_err(&failed)? {
        let number = row.get(0).map_err(&failed)?;
        segments.check(number, row.get::<_, i64>(1).map_err(&failed)? as u64)?;
    }
    Ok(())
}

pub(crate) fn remove_unneeded(
    connection: &Connection,
    path: &Path,
    segment_dir: &Path,
    segments: &Segments,
) -> Result<(), StoreError> {
    let failed = damage(path, "look for segments");
    let mut needed =
        connection.prepare("SELECT 1 FROM segment WHERE n = ?1 AND live > 0").map_err(&failed)?;
    for number in segment_files(segment_dir)? {
        if !needed.exists([number]).map_err(&failed)? {
            segments.remove(number)?;
        }
    }
    connection.execute("DELETE FROM segment WHERE live <= 0", []).map_err(&failed)?;
    Ok(())
}

pub(crate) fn load_state(connection: &Connection, path: &Path) -> Result<State, StoreError> {
    let failed = damage(path, "load the counters");
    let message = connection
        .query_row("SELECT coalesce(max(n), 0) FROM message", [], |row| row.get(0))
        .map_err(&failed)?;
    let (seq, head) = connection
        .query_row("SELECT seq, hash FROM evidence ORDER BY seq DESC LIMIT 1", [], |row| {
            Ok((row.get::<_, i64>(0)? as u64, row.get(1)?))
        })
        .or_else(|e| match e {
            rusqlite::Error::QueryReturnedNoRows => Ok((0, GENESIS)),
            other => Err(failed(other)),
        })?;
    let tally = connection
        .query_row("SELECT value FROM tally", [], |row| row.get::<_, String>(0))
        .map(Some)
        .or_else(|e| match e {
            rusqlite::Error::QueryReturnedNoRows => Ok(None),
            other => Err(failed(other)),
        })?;
    let tally = match tally {
        None => Tally::default(),
        Some(text) => serde_json::from_str(&text).map_err(|e| StoreError::Corrupt {
            path: path.to_owned(),
            detail: format!("the counters are not readable: {e}"),
        })?,
    };
    let mut statement = connection
        .prepare("SELECT name FROM destination WHERE frozen IS NOT NULL")
        .map_err(&failed)?;
    let frozen =
        statement.query_map([], |row| row.get(0)).and_then(Iterator::collect).map_err(&failed)?;
    Ok(State {
        message,
        token: 0,
        seq,
        head,
        tally,
        frozen: Arc::new(frozen),
        segments_freed: false,
    })
}

/// The process that held these leases is dead: the folder is locked by us.
pub(crate) fn release_leases(
    connection: &mut Connection,
    state: &mut State,
) -> Result<(), StoreError> {
    let what = "release the leases of the last run";
    let transaction = connection
        .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
        .map_err(|e| StoreError::sqlite(what, &e))?;
    let mut tx = Tx { connection: &transaction, state, wrote: false };
    let leased = tx.all(what, "SELECT n FROM entry WHERE state = 1", [], |row| row.get(0))?;
    for entry in &leased {
        release_lease(&mut tx, *entry)?;
    }
    if !leased.is_empty() {
        write_tally(&transaction, &state.tally)?;
        tracing::info!(entries = leased.len(), "took back the work of a run that ended early");
    }
    transaction.commit().map_err(|e| StoreError::sqlite(what, &e))
}

const STATEMENTS_MAX: usize = 128;
const CACHE_KIB: u32 = 16 * 1024;
const BUSY_MAX: std::time::Duration = std::time::Duration::from_secs(10);
