//! Opening the store, and the way of a job into it.

use std::fmt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use bytes::Bytes;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::mpsc;

use crate::accept::is_damage;
use crate::body::{Body, BodyReader, BodyWriter, Source};
use crate::chain::GENESIS;
use crate::error::StoreError;
use crate::lock::Lock;
use crate::model::BlobId;
use crate::options::Options;
use crate::reader::Readers;
use crate::schema::{MIGRATIONS, migrate};
use crate::segment::{Extent, Segments, number_of};
use crate::settle::release_lease;
use crate::synced::Synced;
use crate::tally::Tally;
use crate::transaction::{State, Tx};
use crate::wal::Checkpoints;
use crate::writer::{BATCH_MAX, Job, Published, Room, Work, Writer, job, write_tally};

/// The store of one data folder. Clones are the same store; it closes, and the
/// folder is free again, when the last clone is dropped.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    dir: PathBuf,
    options: Options,
    segments: Arc<Segments>,
    published: Arc<Mutex<Published>>,
    jobs: Option<mpsc::Sender<Box<dyn Job>>>,
    readers: Readers,
    threads: Vec<JoinHandle<()>>,
    _lock: Lock,
}

impl Store {
    /// Opens the store in `dir`, making it if it is not there. Leases left by a
    /// process that died are released, and segments that no row needs removed.
    ///
    /// # Errors
    ///
    /// [`StoreError::InUse`], [`StoreError::NewerSchema`] and
    /// [`StoreError::Corrupt`] say what is wrong and what to do; nothing was
    /// changed then.
    pub fn open(dir: impl Into<PathBuf>, options: Options) -> Result<Self, StoreError> {
        let dir = dir.into();
        let segment_dir = dir.join(SEGMENT_DIR);
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&segment_dir)
            .map_err(|e| StoreError::io("make data folder", &segment_dir, e))?;
        let lock = Lock::take(&dir)?;
        let path = dir.join(DATABASE_FILE);
        let mut connection = connect(&path, &options)?;
        migrate(&mut connection, &path, MIGRATIONS)?;
        let disk = Arc::clone(&options.disk);
        let newest = newest_segment(&connection, &path, &segment_dir)?;
        let segments = Arc::new(Segments::new(
            segment_dir.clone(),
            disk,
            options.segment_max_octets,
            newest + 1,
        ));
        check_segments(&connection, &path, &segments)?;
        remove_unneeded(&connection, &path, &segment_dir, &segments)?;
        let mut state = load_state(&connection, &path)?;
        release_leases(&mut connection, &mut state)?;
        Self::start(dir, options, connection, state, segments, lock)
    }

    fn start(
        dir: PathBuf,
        options: Options,
        connection: Connection,
        state: State,
        segments: Arc<Segments>,
        lock: Lock,
    ) -> Result<Self, StoreError> {
        let path = dir.join(DATABASE_FILE);
        let published = Arc::new(Mutex::new(Published {
            tally: state.tally.clone(),
            frozen: Arc::clone(&state.frozen),
            evidence: state.seq,
            batches: 0,
        }));
        let mut connections = Vec::new();
        for _ in 0..options.readers.clamp(1, READERS_MAX) {
            let reader = connect(&path, &options)?;
            let what = "make a connection read only";
            reader
                .pragma_update(None, "query_only", true)
                .map_err(|e| StoreError::sqlite(what, &e))?;
            connections.push(reader);
        }
        let readers = Readers::start(connections)?;
        let (checkpoints, copying) = Checkpoints::start(connect(&path, &options)?)?;
        let room =
            Room { reserve_octets: options.reserve_octets, asked: None, free_octets: u64::MAX };
        let writer = Writer {
            connection,
            state,
            segments: Arc::clone(&segments),
            published: Arc::clone(&published),
            checkpoints,
            room,
            batches: 0,
        };
        let (jobs, inbox) = mpsc::channel(JOBS_WAITING_MAX);
        let writing = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || {
                Checkpoints::watch(&writer.connection);
                writer.run(inbox);
            })
            .map_err(|e| StoreError::io("start the thread for", "writing", e))?;
        Ok(Self(Arc::new(Inner {
            dir,
            options,
            segments,
            published,
            jobs: Some(jobs),
            readers,
            threads: vec![writing, copying],
            _lock: lock,
        })))
    }

    /// The data folder.
    pub fn dir(&self) -> &Path {
        &self.0.dir
    }

    /// Begins a body.
    pub fn body(&self) -> BodyWriter {
        let tag = u64::from_be_bytes(random());
        BodyWriter::new(Arc::clone(&self.0.segments), self.0.options.inline_max_octets, tag)
    }

    /// Reads a body that is not accepted yet.
    pub fn reader_of(&self, body: &Body) -> BodyReader {
        let source = match body.in_memory() {
            Some(octets) => Source::Memory(octets),
            None => Source::Extents(body.extents().into()),
        };
        BodyReader { store: self.clone(), source, blob: None, next: 0, len: body.len_octets() }
    }

    /// Reads a stored body.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when its last recipient has ended,
    /// [`StoreError::BodyDamaged`] when it does not match its checksum.
    pub async fn read_body(&self, blob: BlobId) -> Result<BodyReader, StoreError> {
        let found = self.read(move |connection| find_body(connection, blob.0)).await?;
        let (len, source) =
            found.ok_or_else(|| StoreError::NotFound(format!("body {}", blob.0)))?;
        Ok(BodyReader { store: self.clone(), source, blob: Some(blob), next: 0, len })
    }

    /// Reads one part of a body on a reader's thread.
    pub(crate) async fn read_extent(&self, extent: Extent) -> Result<Bytes, StoreError> {
        let segments = Arc::clone(&self.0.segments);
        self.read(move |_| segments.read(&extent).map(Bytes::from)).await
    }

    pub(crate) fn segments(&self) -> &Arc<Segments> {
        &self.0.segments
    }

    pub(crate) fn published(&self) -> MutexGuard<'_, Published> {
        self.0.published.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the writer do `work`; returns after the commit.
    pub(crate) async fn write<W: Work>(&self, work: W) -> Result<Synced<W::Output>, StoreError> {
        let (job, answer) = job(work);
        let jobs = self.0.jobs.as_ref().ok_or(StoreError::Closed)?;
        jobs.send(job).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Asks a reader.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.0.readers.ask(question).await
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.jobs = None;
        self.readers.stop();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.0.dir.display())
    }
}

/// A connection as all of them are: WAL, flushed at each commit, checkpoints elsewhere.
fn connect(path: &Path, options: &Options) -> Result<Connection, StoreError> {
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

fn newest_segment(
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
fn check_segments(
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

fn remove_unneeded(
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

fn load_state(connection: &Connection, path: &Path) -> Result<State, StoreError> {
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
fn release_leases(connection: &mut Connection, state: &mut State) -> Result<(), StoreError> {
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

/// Where a body is: in its row (then it is checked here) or in segments.
pub(crate) fn find_body(
    connection: &Connection,
    blob: i64,
) -> Result<Option<(u64, Source)>, StoreError> {
    let failed = |e| StoreError::sqlite("read a body", &e);
    let mut statement = connection
        .prepare_cached("SELECT size, crc, octets FROM blob WHERE n = ?1")
        .map_err(failed)?;
    let mut rows = statement.query([blob]).map_err(failed)?;
    let Some(row) = rows.next().map_err(failed)? else { return Ok(None) };
    let len = row.get::<_, i64>(0).map_err(failed)? as u64;
    let crc: u32 = row.get(1).map_err(failed)?;
    if let Some(octets) = row.get::<_, Option<Vec<u8>>>(2).map_err(failed)? {
        if crc32c::crc32c(&octets) != crc || octets.len() as u64 != len {
            let detail = "its row does not match its checksum".to_owned();
            return Err(StoreError::BodyDamaged { blob, detail });
        }
        return Ok(Some((len, Source::Memory(octets.into()))));
    }
    drop(rows);
    let extents = extents_of(connection, blob)?;
    let placed: u64 = extents.iter().map(|extent| u64::from(extent.len)).sum();
    if placed != len {
        let detail = format!("{placed} of its {len} octets have a place");
        return Err(StoreError::BodyDamaged { blob, detail });
    }
    Ok(Some((len, Source::Extents(extents.into()))))
}

fn extents_of(connection: &Connection, blob: i64) -> Result<Vec<Extent>, StoreError> {
    connection
        .prepare_cached(
            "SELECT segment, at, len, part, tag FROM extent WHERE blob = ?1 ORDER BY part",
        )
        .and_then(|mut statement| {
            statement
                .query_map([blob], |row| {
                    Ok(Extent {
                        segment: row.get(0)?,
                        at: row.get::<_, i64>(1)? as u64,
                        len: row.get(2)?,
                        part: row.get(3)?,
                        tag: row.get::<_, i64>(4)? as u64,
                        pin: None,
                    })
                })?
                .collect()
        })
        .map_err(|e| StoreError::sqlite("look for a body", &e))
}

/// Random octets for a tag; not a secret.
fn random() -> [u8; 8] {
    let mut octets = [0; 8];
    // Without randomness a tag still differs by where its record lies.
    let _ = aws_lc_rs::rand::fill(&mut octets);
    octets
}

const DATABASE_FILE: &str = "mailkeep.db";
const SEGMENT_DIR: &str = "segments";
/// Jobs that may wait for the writer before callers wait to put theirs.
const JOBS_WAITING_MAX: usize = 4 * BATCH_MAX;
const READERS_MAX: usize = 16;
const STATEMENTS_MAX: usize = 128;
const CACHE_KIB: u32 = 16 * 1024;
const BUSY_MAX: std::time::Duration = std::time::Duration::from_secs(10);
