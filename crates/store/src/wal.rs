//! Checkpoints of the write-ahead log, off the thread that commits.
//!
//! A thread of its own copies the log into the database while commits go on,
//! so the copy never catches up by itself; the writer then copies the few pages
//! that came meanwhile, between two batches, and its next commit begins the log
//! anew. The log therefore stays near [`LOG_PAGES`].

use std::cell::Cell;
use std::os::raw::c_int;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::Connection;

use crate::error::StoreError;

/// The writer's side.
pub(crate) struct Checkpoints {
    wake: SyncSender<()>,
    copied: Arc<AtomicBool>,
}

thread_local! {
    /// The length of the log after the last commit on this thread, in pages.
    static PAGES: Cell<c_int> = const { Cell::new(0) };
}

impl Checkpoints {
    /// Starts the copying thread on a connection of its own.
    pub(crate) fn start(connection: Connection) -> Result<(Self, JoinHandle<()>), StoreError> {
        let (wake, woken) = sync_channel(1);
        let copied = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&copied);
        let thread = std::thread::Builder::new()
            .name("store-checkpoint".to_owned())
            .spawn(move || copy_when_woken(&connection, &woken, &flag))
            .map_err(|e| StoreError::io("start the thread of", "checkpoints", e))?;
        Ok((Self { wake, copied }, thread))
    }

    /// Makes commits on `connection`, which the calling thread will use, be counted.
    pub(crate) fn watch(connection: &Connection) {
        connection.wal_hook(Some(|_, pages| {
            PAGES.set(pages);
            Ok(())
        }));
    }

    /// Between two batches: wakes the copying thread, or finishes its work.
    pub(crate) fn finish(&self, connection: &Connection) {
        if PAGES.get() < LOG_PAGES {
            return;
        }
        if self.copied.swap(false, Ordering::AcqRel) {
            checkpoint(connection);
        } else {
            // Full means that it is already awake.
            let _ = self.wake.try_send(());
        }
    }
}

fn copy_when_woken(connection: &Connection, woken: &Receiver<()>, copied: &AtomicBool) {
    while woken.recv().is_ok() {
        if copied.load(Ordering::Acquire) {
            continue;
        }
        checkpoint(connection);
        copied.store(true, Ordering::Release);
    }
}

/// Copies what can be copied without waiting for anybody.
fn checkpoint(connection: &Connection) {
    let result = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
        Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
    });
    match result {
        Ok((log, copied)) => tracing::trace!(log, copied, "checkpoint"),
        Err(error) => tracing::warn!(%error, "the log was not copied into the database"),
    }
}

/// The log is copied when it has this many pages of 4 KB.
const LOG_PAGES: c_int = 8192;
