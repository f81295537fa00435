//! A disk that fails on demand, and that knows what a power failure would leave.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use store::disk::{Disk, DiskFile, SystemDisk};

/// How the chosen operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing happens, and it is an error.
    Error,
    /// Half of a write reaches the file, and it is an error.
    Torn,
    /// There is no room.
    Full,
}

#[derive(Debug)]
struct Plan {
    fault: Fault,
    /// The operation that fails, counted from one; zero for none.
    fails: AtomicU64,
    count: AtomicU64,
    free_octets: AtomicU64,
    /// What is durable: contents as of the last sync, under names as of the last folder sync.
    durable: PathBuf,
    named: Mutex<BTreeSet<PathBuf>>,
}

/// The system's disk, with a plan.
#[derive(Debug, Clone)]
pub struct FaultyDisk(Arc<Plan>);

impl FaultyDisk {
    /// The operation number `fails` goes wrong by `fault`; copies of synced
    /// files are kept in `durable`.
    pub fn new(fault: Fault, fails: u64, durable: &Path) -> Self {
        std::fs::create_dir_all(durable).unwrap();
        Self(Arc::new(Plan {
            fault,
            fails: AtomicU64::new(fails),
            count: AtomicU64::new(0),
            free_octets: AtomicU64::new(u64::MAX),
            durable: durable.to_owned(),
            named: Mutex::default(),
        }))
    }

    pub fn operations(&self) -> u64 {
        self.0.count.load(Ordering::SeqCst)
    }

    pub fn set_free_octets(&self, octets: u64) {
        self.0.free_octets.store(octets, Ordering::SeqCst);
    }

    /// Copies what a power failure would leave to `to`.
    pub fn after_power_failure(&self, to: &Path) {
        std::fs::create_dir_all(to).unwrap();
        for name in self.0.named.lock().unwrap().iter() {
            let synced = self.0.durable.join(name);
            if synced.exists() {
                std::fs::copy(synced, to.join(name)).unwrap();
            }
        }
    }
}

impl Plan {
    fn step(&self) -> io::Result<()> {
        let n = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        if n == self.fails.load(Ordering::SeqCst) {
            return Err(match self.fault {
                Fault::Error | Fault::Torn => io::Error::other("a fault of the test"),
                Fault::Full => io::ErrorKind::StorageFull.into(),
            });
        }
        Ok(())
    }
}

fn name(path: &Path) -> PathBuf {
    path.file_name().unwrap().into()
}

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.0.step()?;
        let file = SystemDisk.create(path)?;
        Ok(Arc::new(FaultyFile { plan: Arc::clone(&self.0), path: path.to_owned(), file }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        SystemDisk.open(path)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.step()?;
        self.0.named.lock().unwrap().remove(&name(path));
        SystemDisk.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.0.step()?;
        for file in std::fs::read_dir(dir)? {
            self.0.named.lock().unwrap().insert(name(&file?.path()));
        }
        SystemDisk.sync_dir(dir)
    }

    fn free_octets(&self, _: &Path) -> io::Result<u64> {
        Ok(self.0.free_octets.load(Ordering::SeqCst))
    }
}

#[derive(Debug)]
struct FaultyFile {
    plan: Arc<Plan>,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
}

impl DiskFile for FaultyFile {
    fn write_at(&self, octets: &[u8], at: u64) -> io::Result<()> {
        if let Err(error) = self.plan.step() {
            if self.plan.fault == Fault::Torn {
                self.file.write_at(&octets[..octets.len() / 2], at)?;
            }
            return Err(error);
        }
        self.file.write_at(octets, at)
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        self.file.read_at(buffer, at)
    }

    fn sync(&self) -> io::Result<()> {
        self.plan.step()?;
        self.file.sync()?;
        std::fs::copy(&self.path, self.plan.durable.join(name(&self.path)))?;
        Ok(())
    }

    fn len_octets(&self) -> io::Result<u64> {
        self.file.len_octets()
    }
}
