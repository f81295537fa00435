//! What can go wrong in the store, and what the caller does about it.

use std::io;
use std::path::PathBuf;

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk is full, or nearly so (see [`Options::reserve_octets`](crate::Options)).
    /// Nothing of the job was kept; answer 452 and let the peer come again. It
    /// passes by itself when there is room.
    #[error("the disk is full: {0}")]
    Full(String),
    /// The data folder belongs to a running process.
    #[error(
        "{} is in use by a running Mailkeep (process {pid}); stop it first, or choose another data folder",
        dir.display()
    )]
    InUse {
        /// The data folder.
        dir: PathBuf,
        /// What its lock file names as the owner; `unknown` if it says nothing.
        pid: String,
    },
    /// The database was written by a later release.
    #[error(
        "{} has schema {found} and this release knows up to {known}; start the newer release, or restore the backup made before the upgrade",
        path.display()
    )]
    NewerSchema {
        /// The database file.
        path: PathBuf,
        /// The schema it has.
        found: i64,
        /// The newest schema known here.
        known: i64,
    },
    /// The database or a segment cannot be read as one.
    #[error(
        "{} is damaged ({detail}); nothing was changed. Restore it from a backup, or move it aside to start with an empty store",
        path.display()
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// A body's octets do not match the checksum kept with them.
    #[error("the stored body {blob} is damaged: {detail}")]
    BodyDamaged {
        /// Which body.
        blob: i64,
        /// What was found.
        detail: String,
    },
    /// There is no such message, entry, body, revision or account.
    #[error("there is no {0}")]
    NotFound(String),
    /// The entry is being delivered under another lease, or the lease given has ended.
    #[error("the entry {entry} is not held under this lease: {detail}")]
    NotLeased {
        /// Which entry.
        entry: i64,
        /// Who has it.
        detail: String,
    },
    /// The trace id is already taken by another message.
    #[error("there already is a message {0}")]
    Duplicate(mail::TraceId),
    /// More than a named limit allows.
    #[error("{what}: {given} is more than the {limit} allowed")]
    TooMuch {
        /// What there is too much of.
        what: &'static str,
        /// How much was given.
        given: u64,
        /// The limit.
        limit: u64,
    },
    /// A file could not be read or written.
    #[error("{what} {}: {source}", path.display())]
    Io {
        /// What was being done.
        what: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// SQLite refused, in a way none of the above names.
    #[error("{what}: {detail}")]
    Database {
        /// What was being done.
        what: &'static str,
        /// What SQLite said.
        detail: String,
    },
    /// The store is closing, or its writer has stopped after an earlier failure.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// Whether the peer should simply come again later: the disk is full now.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full(_))
    }

    /// Whether the same can succeed later without anybody doing something to the store.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Full(_) | Self::Io { .. } | Self::Database { .. } => true,
            Self::InUse { .. }
            | Self::NewerSchema { .. }
            | Self::Corrupt { .. }
            | Self::BodyDamaged { .. }
            | Self::NotFound(_)
            | Self::NotLeased { .. }
            | Self::Duplicate(_)
            | Self::TooMuch { .. }
            | Self::Closed => false,
        }
    }

    /// Turns what SQLite said while doing `what` into one of ours.
    pub(crate) fn sqlite(what: &'static str, error: &rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::Full(error.to_string()),
            _ if is_no_space(error) => Self::Full(error.to_string()),
            _ => Self::Database { what, detail: error.to_string() },
        }
    }

    /// Turns what the system said about `path` into one of ours.
    pub(crate) fn io(what: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        let path = path.into();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::Full(format!("{what} {}: {source}", path.display()))
            }
            _ => Self::Io { what, path, source },
        }
    }

    /// The same failure for each further job of a batch that failed as a whole.
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::Full(detail) => Self::Full(detail.clone()),
            Self::Io { what, path, source } => Self::Io {
                what,
                path: path.clone(),
                source: io::Error::new(source.kind(), source.to_string()),
            },
            Self::Closed => Self::Closed,
            other => Self::Database { what: "commit the batch", detail: other.to_string() },
        }
    }
}

/// SQLite reports a full disk as an I/O error when it meets it in the WAL index.
fn is_no_space(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|e| e.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE)
}
