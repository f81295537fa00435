//! One process per data folder.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rustix::fs::FlockOperation;

use crate::error::StoreError;

/// Holds the data folder while it lives. The system gives the lock back when
/// the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of `dir` or says who has it.
    pub(crate) fn take(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(LOCK_FILE);
        let failed = |e| StoreError::io("open lock file", &path, e);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        let mut waits = 0;
        while rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            if waits == WAITS_MAX {
                return Err(StoreError::InUse { dir: dir.to_owned(), pid: owner(&mut file) });
            }
            waits += 1;
            std::thread::sleep(WAIT);
        }
        let written = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        // A full disk must not keep the server from starting: the number only helps people.
        if let Err(error) = written {
            tracing::warn!(path = %path.display(), %error, "the lock file names no owner");
        }
        Ok(Self { _file: file })
    }
}

fn owner(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.take(PID_MAX_OCTETS).read_to_string(&mut text);
    match text.trim() {
        pid if read.is_ok() && !pid.is_empty() => pid.to_owned(),
        _ => "unknown".to_owned(),
    }
}

/// How long a lock that is held is waited for: a process that has just given it back may have
/// started a program, which holds a copy of the lock until it runs its own code.
const WAIT: Duration = Duration::from_millis(20);
const WAITS_MAX: u32 = 50;
const LOCK_FILE: &str = "mailkeep.lock";
const PID_MAX_OCTETS: u64 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_taker_learns_the_process_that_has_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let first = Lock::take(dir.path()).unwrap();
        let Err(StoreError::InUse { pid, .. }) = Lock::take(dir.path()) else {
            panic!("the folder was taken twice")
        };
        assert_eq!(pid, std::process::id().to_string());
        drop(first);
        Lock::take(dir.path()).unwrap();
    }
}
