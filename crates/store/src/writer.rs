//! The one thread that writes: it commits whatever waits, as one transaction,
//! and answers after the commit.
//!
//! A batch is first tried as it is. Only if a job fails after it has changed
//! rows is the batch rolled back and run again with a savepoint around each
//! job: failing is rare, and savepoints cost every job.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::error::StoreError;
use crate::segment::{Segment, Segments};
use crate::synced::Synced;
use crate::tally::Tally;
use crate::transaction::{State, Tx};
use crate::wal::Checkpoints;

/// Something to do in a transaction. It may be done more than once before it
/// stands, so it keeps nothing of an earlier try.
pub(crate) trait Work: Send + 'static {
    /// What the caller gets after the commit.
    type Output: Send + 'static;

    /// Does it.
    fn apply(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError>;

    /// The segments that must be durable first.
    fn segments(&self) -> Vec<Arc<Segment>> {
        Vec::new()
    }

    /// Whether it is refused while the reserve is all that is left of the disk.
    fn needs_room(&self) -> bool {
        false
    }
}

/// A [`Work`] that needs no more than a function.
pub(crate) struct Act<F>(pub(crate) F);

impl<T, F> Work for Act<F>
where
    T: Send + 'static,
    F: Fn(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
{
    type Output = T;
    fn apply(&self, tx: &mut Tx<'_>) -> Result<T, StoreError> {
        (self.0)(tx)
    }
}

/// A work and whoever waits for it.
pub(crate) trait Job: Send {
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), StoreError>;
    fn segments(&self) -> Vec<Arc<Segment>>;
    fn needs_room(&self) -> bool;
    fn answer(self: Box<Self>, verdict: Result<(), StoreError>);
}

type Reply<T> = oneshot::Sender<Result<Synced<T>, StoreError>>;

struct Task<W: Work> {
    work: W,
    output: Option<W::Output>,
    reply: Reply<W::Output>,
}

/// A job, and where its answer will come.
#[expect(clippy::type_complexity, reason = "the pair is taken apart at once by its one caller")]
pub(crate) fn job<W: Work>(
    work: W,
) -> (Box<dyn Job>, oneshot::Receiver<Result<Synced<W::Output>, StoreError>>) {
    let (reply, answer) = oneshot::channel();
    (Box::new(Task { work, output: None, reply }), answer)
}

impl<W: Work> Job for Task<W> {
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        self.output = Some(self.work.apply(tx)?);
        Ok(())
    }

    fn segments(&self) -> Vec<Arc<Segment>> {
        self.work.segments()
    }

    fn needs_room(&self) -> bool {
        self.work.needs_room()
    }

    fn answer(self: Box<Self>, verdict: Result<(), StoreError>) {
        let Self { output, reply, .. } = *self;
        let answer = verdict.and_then(|()| output.ok_or(StoreError::Closed));
        // A caller that went away is told nothing; its rows stand all the same.
        let _ = reply.send(answer.map(Synced::after_commit));
    }
}

/// What a reader of counters sees: as of the last commit.
#[derive(Debug, Default)]
pub(crate) struct Published {
    pub(crate) tally: Tally,
    pub(crate) frozen: Arc<std::collections::BTreeSet<String>>,
    pub(crate) evidence: u64,
    pub(crate) batches: u64,
}

/// The writer's side of the store.
pub(crate) struct Writer {
    pub(crate) connection: Connection,
    pub(crate) state: State,
    pub(crate) segments: Arc<Segments>,
    pub(crate) published: Arc<Mutex<Published>>,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) room: Room,
    pub(crate) batches: u64,
}

struct Waiting {
    job: Box<dyn Job>,
    failed: Option<StoreError>,
}

impl Writer {
    /// Serves `inbox` until its last sender is gone.
    pub(crate) fn run(mut self, mut inbox: mpsc::Receiver<Box<dyn Job>>) {
        let mut arrived = Vec::with_capacity(BATCH_MAX);
        while inbox.blocking_recv_many(&mut arrived, BATCH_MAX) > 0 {
            self.serve(arrived.drain(..).map(|job| Waiting { job, failed: None }).collect());
            self.checkpoints.finish(&self.connection);
            if std::mem::take(&mut self.state.segments_freed)
                || self.batches.is_multiple_of(SWEEP_EVERY)
            {
                self.sweep();
            }
        }
    }

    fn serve(&mut self, mut batch: Vec<Waiting>) {
        self.batches += 1;
        self.sync_segments(&mut batch);
        if self.room.is_short(&self.segments) {
            for waiting in batch.iter_mut().filter(|w| w.failed.is_none() && w.job.needs_room()) {
                waiting.failed = Some(self.room.refusal());
            }
        }
        if batch.iter().any(|waiting| waiting.failed.is_none()) {
            self.commit(&mut batch);
            let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
            published.tally.clone_from(&self.state.tally);
            published.frozen = Arc::clone(&self.state.frozen);
            published.evidence = self.state.seq;
            published.batches = self.batches;
        }
        for Waiting { job, failed } in batch {
            job.answer(failed.map_or(Ok(()), Err));
        }
    }

    /// One flush a segment, before any row points into it.
    fn sync_segments(&self, batch: &mut [Waiting]) {
        let mut synced: BTreeMap<i64, Result<(), StoreError>> = BTreeMap::new();
        for waiting in batch {
            for segment in waiting.job.segments() {
                let result =
                    synced.entry(segment.number()).or_insert_with(|| self.segments.sync(&segment));
                if let Err(error) = result {
                    waiting.failed = Some(error.again());
                }
            }
        }
    }

    fn commit(&mut self, batch: &mut [Waiting]) {
        let before = self.state.clone();
        let outcome = match self.attempt(batch, Savepoints::None) {
            Err(Stopped::AtJob) => {
                self.roll_back(&before);
                self.attempt(batch, Savepoints::EachJob)
            }
            other => other,
        };
        if let Err(stopped) = outcome {
            self.roll_back(&before);
            let error = match stopped {
                Stopped::Batch(error) => error,
                Stopped::AtJob => StoreError::Closed,
            };
            let jobs = batch.iter().filter(|w| w.failed.is_none()).count();
            if error.is_full() && jobs > 1 {
                // What is small, or gives room back, may still fit without the others.
                for waiting in batch.iter_mut().filter(|w| w.failed.is_none()) {
                    self.commit(std::slice::from_mut(waiting));
                }
                return;
            }
            if !error.is_full() {
                tracing::error!(%error, jobs = batch.len(), "a batch was not committed");
            }
            for waiting in batch.iter_mut().filter(|w| w.failed.is_none()) {
                waiting.failed = Some(error.again());
            }
        }
    }

    fn attempt(&mut self, batch: &mut [Waiting], savepoints: Savepoints) -> Result<(), Stopped> {
        let tally = self.state.tally.clone();
        self.sql("begin the transaction", "BEGIN IMMEDIATE")?;
        for waiting in batch.iter_mut().filter(|w| w.failed.is_none()) {
            self.run_job(waiting, savepoints)?;
        }
        if self.state.tally != tally {
            write_tally(&self.connection, &self.state.tally).map_err(Stopped::Batch)?;
        }
        self.sql("commit the transaction", "COMMIT")
    }

    fn run_job(&mut self, waiting: &mut Waiting, savepoints: Savepoints) -> Result<(), Stopped> {
        let before = match savepoints {
            Savepoints::None => None,
            Savepoints::EachJob => {
                self.sql("set a savepoint", "SAVEPOINT job")?;
                Some(self.state.clone())
            }
        };
        let mut tx = Tx { connection: &self.connection, state: &mut self.state, wrote: false };
        let result = waiting.job.run(&mut tx);
        let wrote = tx.wrote;
        match (result, before) {
            (Ok(()), None) => Ok(()),
            (Ok(()), Some(_)) => self.sql("release the savepoint", "RELEASE job"),
            (Err(error), None) if !wrote && !self.connection.is_autocommit() => {
                waiting.failed = Some(error);
                Ok(())
            }
            (Err(_), None) => Err(Stopped::AtJob),
            (Err(error), Some(before)) => {
                self.state = before;
                if self.connection.is_autocommit() {
                    // SQLite gave the whole transaction up, as it does when the disk is full.
                    return Err(Stopped::Batch(error));
                }
                waiting.failed = Some(error);
                self.sql("go back to the savepoint", "ROLLBACK TO job")?;
                self.sql("release the savepoint", "RELEASE job")
            }
        }
    }

    fn roll_back(&mut self, before: &State) {
        self.state.clone_from(before);
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "a transaction could not be rolled back");
        }
    }

    fn sql(&self, what: &'static str, sql: &str) -> Result<(), Stopped> {
        self.connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute([]))
            .map(|_| ())
            .map_err(|e| Stopped::Batch(StoreError::sqlite(what, &e)))
    }

    /// Removes the files of segments in which nothing is alive.
    fn sweep(&self) {
        if let Err(error) = self.try_sweep() {
            tracing::warn!(%error, "unused segments were not removed");
        }
    }

    fn try_sweep(&self) -> Result<(), StoreError> {
        let failed = |e| StoreError::sqlite("look for unused segments", &e);
        let mut rows = BTreeMap::new();
        let mut statement =
            self.connection.prepare_cached("SELECT n, live FROM segment").map_err(failed)?;
        let mut found = statement.query([]).map_err(failed)?;
        while let Some(row) = found.next().map_err(failed)? {
            rows.insert(
                row.get::<_, i64>(0).map_err(failed)?,
                row.get::<_, i64>(1).map_err(failed)?,
            );
        }
        drop(found);
        for number in self.segments.idle() {
            rows.entry(number).or_insert(0);
        }
        for (number, _) in rows.iter().filter(|&(&n, &live)| live <= 0 && self.segments.is_idle(n))
        {
            self.segments.remove(*number)?;
            self.connection
                .execute("DELETE FROM segment WHERE n = ?1", [number])
                .map_err(failed)?;
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
enum Savepoints {
    None,
    EachJob,
}

enum Stopped {
    /// A job failed half-way: run the batch again with savepoints.
    AtJob,
    /// The transaction itself failed.
    Batch(StoreError),
}

/// Keeps the counts in their row.
pub(crate) fn write_tally(connection: &Connection, tally: &Tally) -> Result<(), StoreError> {
    let what = "write the counters";
    let value = serde_json::to_string(tally)
        .map_err(|e| StoreError::Database { what, detail: e.to_string() })?;
    connection
        .prepare_cached(
            "INSERT INTO tally (only, value) VALUES (1, ?1)
             ON CONFLICT (only) DO UPDATE SET value = excluded.value",
        )
        .and_then(|mut statement| statement.execute([value]))
        .map(|_| ())
        .map_err(|e| StoreError::sqlite(what, &e))
}

/// Whether there is room for new messages, asked at most every [`ROOM_ASK_AGAIN`].
pub(crate) struct Room {
    pub(crate) reserve_octets: u64,
    pub(crate) asked: Option<Instant>,
    pub(crate) free_octets: u64,
}

impl Room {
    fn is_short(&mut self, segments: &Segments) -> bool {
        if self.asked.is_none_or(|asked| asked.elapsed() >= ROOM_ASK_AGAIN) {
            self.asked = Some(Instant::now());
            // A volume that does not say how full it is will say so when written to.
            self.free_octets = segments.free_octets().unwrap_or(u64::MAX);
        }
        self.free_octets < self.reserve_octets
    }

    fn refusal(&self) -> StoreError {
        StoreError::Full(format!(
            "{} octets are free and {} are kept in reserve",
            self.free_octets, self.reserve_octets
        ))
    }
}

/// The most jobs of one transaction.
pub(crate) const BATCH_MAX: usize = 256;
/// Segments of abandoned bodies are looked for every so many batches.
const SWEEP_EVERY: u64 = 1024;
const ROOM_ASK_AGAIN: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, Store};

    fn put(name: &'static str, octets: usize) -> impl Work<Output = ()> {
        Act(move |tx: &mut Tx<'_>| {
            let value = vec![b'x'; octets];
            tx.execute("fill", "INSERT INTO setting VALUES (?1, ?2)", (name, value))?;
            Ok(())
        })
    }

    #[tokio::test]
    async fn what_fits_is_written_though_another_job_of_its_batch_fills_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), Options::default()).unwrap();
        // As many pages as there are, and some 80 KB.
        let limit = Act(|tx: &mut Tx<'_>| {
            let read = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
            let pages = tx.connection.query_row("PRAGMA page_count", [], read).unwrap();
            tx.connection.pragma_update(None, "max_page_count", pages + 20).unwrap();
            Ok(())
        });
        let _ = store.write(limit).await.unwrap();
        // While the writer is busy, the others become one batch.
        let busy = Act(|_: &mut Tx<'_>| {
            std::thread::sleep(Duration::from_millis(200));
            Ok(())
        });
        let (_, first, large, last) = tokio::join!(
            store.write(busy),
            store.write(put("first", 10)),
            store.write(put("large", 1_000_000)),
            store.write(put("last", 10)),
        );
        assert!(matches!(large, Err(StoreError::Full(_))), "{:?}", large.map(|_| ()));
        let _ = (first.unwrap(), last.unwrap());
        assert!(store.setting("first").await.unwrap().is_some());
        assert!(store.setting("last").await.unwrap().is_some());
        assert!(store.setting("large").await.unwrap().is_none());
    }
}
