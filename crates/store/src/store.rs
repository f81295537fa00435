//! Opening the store, and the way of a job into it.

use std::fmt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use bytes::Bytes;
use rusqlite::Connection;
use tokio::sync::mpsc;

use crate::body::{Body, BodyReader, BodyWriter, Source};
use crate::error::StoreError;
use crate::lock::Lock;
use crate::model::BlobId;
use crate::opening::{
    check_segments, connect, load_state, newest_segment, release_leases, remove_unneeded,
};
use crate::options::Options;
use crate::placement::find_body;
use crate::reader::Readers;
use crate::schema::{MIGRATIONS, migrate};
use crate::segment::{Extent, Segments};
use crate::synced::Synced;
use crate::transaction::State;
use crate::wal::Checkpoints;
use crate::writer::{BATCH_MAX, Job, Published, Room, Work, Writer, job};

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
