//! The files under the segments, as a trait, so that tests can fail or tear
//! any one operation.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

/// A folder's files. Every method may fail; none may be assumed durable before
/// the sync that covers it.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Makes a new file, readable by its owner only; fails if it exists.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens an existing file for reading.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes creations and removals in `dir` durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// How many octets are free on the volume of `dir` for this user.
    fn free_octets(&self, dir: &Path) -> io::Result<u64>;
}

/// One open file, shared between threads.
pub trait DiskFile: fmt::Debug + Send + Sync {
    /// Writes all of `octets` at `at`.
    fn write_at(&self, octets: &[u8], at: u64) -> io::Result<()>;
    /// Fills `buffer` from `at`; fails at the end of the file.
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()>;
    /// Makes everything written so far durable (`fdatasync`).
    fn sync(&self) -> io::Result<()>;
    /// How long the file is, in octets.
    fn len_octets(&self) -> io::Result<u64>;
}

/// The operating system's files.
#[derive(Debug, Clone, Copy)]
pub struct SystemDisk;

impl Disk for SystemDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file =
            OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
        Ok(Arc::new(SystemFile(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(SystemFile(File::open(path)?)))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn free_octets(&self, dir: &Path) -> io::Result<u64> {
        let volume = rustix::fs::statvfs(dir)?;
        Ok(volume.f_bavail.saturating_mul(volume.f_frsize))
    }
}

#[derive(Debug)]
struct SystemFile(File);

impl DiskFile for SystemFile {
    fn write_at(&self, octets: &[u8], at: u64) -> io::Result<()> {
        self.0.write_all_at(octets, at)
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        self.0.read_exact_at(buffer, at)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn len_octets(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}
