//! Bodies too long for a row, in append-only files.
//!
//! A segment is a header and records one after another; a record is a part of
//! one body. Which records are alive is known by the rows alone, so a torn or
//! abandoned record is only lost space. A run never appends to a segment of an
//! earlier run, so whatever a crash left at its tail stays where it is.
//!
//! ```text
//!  "MAILKEEP-SEGMENT-1\n" padded to 32 octets
//!  record: "MKB1" | body tag 8 | part 4 | length 4 | CRC32C 4 | octets     (big-endian)
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::{Disk, DiskFile};
use crate::error::StoreError;

/// The open segments and where the next record goes.
#[derive(Debug)]
pub(crate) struct Segments {
    dir: PathBuf,
    disk: Arc<dyn Disk>,
    max_octets: u64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    next_number: i64,
    current: Option<Current>,
    /// Every segment of this run that may hold a body not yet in the rows.
    registry: BTreeMap<i64, Arc<Segment>>,
    /// Files opened for reading, at most [`READ_FILES_MAX`].
    reading: BTreeMap<i64, Arc<dyn DiskFile>>,
}

#[derive(Debug)]
struct Current {
    segment: Arc<Segment>,
    end: u64,
}

/// One segment file written by this run. Whoever holds a clone keeps it from
/// being removed.
#[derive(Debug)]
pub(crate) struct Segment {
    number: i64,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    /// Written to since the last sync.
    dirty: AtomicBool,
    /// Its name is not durable yet.
    unnamed: AtomicBool,
    /// A sync failed: what was written since the last good one may be gone,
    /// and a later sync that succeeds proves nothing.
    failed: AtomicBool,
}

/// Where one part of a body is.
#[derive(Debug, Clone)]
pub(crate) struct Extent {
    pub(crate) segment: i64,
    /// Offset of the record's header.
    pub(crate) at: u64,
    /// Length of the part, without the header.
    pub(crate) len: u32,
    pub(crate) part: u32,
    pub(crate) tag: u64,
    /// Keeps the file while the rows do not know this extent yet.
    pub(crate) pin: Option<Arc<Segment>>,
}

impl Segments {
    /// Segments under `dir`, the first new one to be called `next_number`.
    pub(crate) fn new(
        dir: PathBuf,
        disk: Arc<dyn Disk>,
        max_octets: u64,
        next_number: i64,
    ) -> Self {
        let state = State {
            next_number,
            current: None,
            registry: BTreeMap::new(),
            reading: BTreeMap::new(),
        };
        Self { dir, disk, max_octets, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the segment `number` is kept.
    pub(crate) fn path(&self, number: i64) -> PathBuf {
        self.dir.join(format!("{number:010}.segment"))
    }

    /// Appends one part of a body. It is durable after [`Segment::sync`].
    pub(crate) fn append(&self, tag: u64, part: u32, octets: &[u8]) -> Result<Extent, StoreError> {
        let len = u32::try_from(octets.len()).map_err(|_| StoreError::TooMuch {
            what: "octets in one part of a body",
            given: octets.len() as u64,
            limit: u64::from(u32::MAX),
        })?;
        let (segment, at) = self.reserve(RECORD_HEADER_OCTETS + u64::from(len))?;
        let mut record = Vec::with_capacity(RECORD_HEADER_OCTETS as usize + octets.len());
        record.extend_from_slice(&record_header(tag, part, octets));
        record.extend_from_slice(octets);
        let wrote = segment.file.write_at(&record, at);
        segment.dirty.store(true, Ordering::Release);
        wrote.map_err(|e| StoreError::io("write to segment", &segment.path, e))?;
        Ok(Extent { segment: segment.number, at, len, part, tag, pin: Some(segment) })
    }

    /// Room for `octets` in the current segment, or in a new one.
    fn reserve(&self, octets: u64) -> Result<(Arc<Segment>, u64), StoreError> {
        let mut state = self.state();
        let fits = state.current.as_ref().is_some_and(|c| {
            !c.segment.failed.load(Ordering::Acquire) && c.end + octets <= self.max_octets
        });
        if !fits {
            let segment = self.create(state.next_number)?;
            state.next_number += 1;
            state.registry.insert(segment.number, Arc::clone(&segment));
            state.current = Some(Current { segment, end: FILE_HEADER_OCTETS });
        }
        let Some(current) = &mut state.current else { return Err(StoreError::Closed) };
        let at = current.end;
        current.end += octets;
        Ok((Arc::clone(&current.segment), at))
    }

    fn create(&self, number: i64) -> Result<Arc<Segment>, StoreError> {
        let path = self.path(number);
        let failed = |e| StoreError::io("create segment", &path, e);
        let file = match self.disk.create(&path) {
            // Left by an attempt of this run that failed before its header was written.
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                self.disk.remove(&path).map_err(failed)?;
                self.disk.create(&path).map_err(failed)?
            }
            other => other.map_err(failed)?,
        };
        file.write_at(&file_header(), 0).map_err(failed)?;
        Ok(Arc::new(Segment {
            number,
            path,
            file,
            dirty: AtomicBool::new(true),
            unnamed: AtomicBool::new(true),
            failed: AtomicBool::new(false),
        }))
    }

    /// Makes `segment` durable, with its name.
    pub(crate) fn sync(&self, segment: &Segment) -> Result<(), StoreError> {
        let unsure = || StoreError::Io {
            what: "trust segment after a failed sync",
            path: segment.path.clone(),
            source: std::io::Error::other("an earlier flush of this file failed"),
        };
        if segment.failed.load(Ordering::Acquire) {
            return Err(unsure());
        }
        if segment.dirty.swap(false, Ordering::AcqRel) {
            segment.file.sync().map_err(|e| {
                segment.failed.store(true, Ordering::Release);
                StoreError::io("flush segment", &segment.path, e)
            })?;
        }
        if segment.unnamed.load(Ordering::Acquire) {
            self.disk
                .sync_dir(&self.dir)
                .map_err(|e| StoreError::io("flush folder", &self.dir, e))?;
            segment.unnamed.store(false, Ordering::Release);
        }
        Ok(())
    }

    /// Reads one part and checks it against its CRC.
    pub(crate) fn read(&self, extent: &Extent) -> Result<Vec<u8>, StoreError> {
        let path = self.path(extent.segment);
        let failed = |e| StoreError::io("read segment", &path, e);
        let file = self.reading(extent.segment).map_err(failed)?;
        let mut record = vec![0; RECORD_HEADER_OCTETS as usize + extent.len as usize];
        file.read_at(&mut record, extent.at).map_err(failed)?;
        let octets = record.split_off(RECORD_HEADER_OCTETS as usize);
        if record == record_header(extent.tag, extent.part, &octets) {
            return Ok(octets);
        }
        Err(StoreError::Corrupt {
            path,
            detail: format!("the record at {} does not match its checksum", extent.at),
        })
    }

    fn reading(&self, number: i64) -> std::io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        if let Some(segment) = state.registry.get(&number) {
            return Ok(Arc::clone(&segment.file));
        }
        if let Some(file) = state.reading.get(&number) {
            return Ok(Arc::clone(file));
        }
        let file = self.disk.open(&self.path(number))?;
        if state.reading.len() >= READ_FILES_MAX {
            state.reading.pop_first();
        }
        state.reading.insert(number, Arc::clone(&file));
        Ok(file)
    }

    /// Whether a segment that the rows do not need may go: it is not being
    /// written and no body outside the rows is in it.
    pub(crate) fn is_idle(&self, number: i64) -> bool {
        let state = self.state();
        let current = state.current.as_ref().is_some_and(|c| c.segment.number == number);
        !current && state.registry.get(&number).is_none_or(|s| Arc::strong_count(s) == 1)
    }

    /// The segments of this run that are written to no more and pinned by nobody.
    pub(crate) fn idle(&self) -> Vec<i64> {
        let numbers: Vec<i64> = self.state().registry.keys().copied().collect();
        numbers.into_iter().filter(|&n| self.is_idle(n)).collect()
    }

    /// Removes a segment's file. A file already gone is no error.
    pub(crate) fn remove(&self, number: i64) -> Result<(), StoreError> {
        let mut state = self.state();
        state.registry.remove(&number);
        state.reading.remove(&number);
        drop(state);
        let path = self.path(number);
        match self.disk.remove(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(StoreError::io("remove segment", path, e))
            }
            _ => Ok(()),
        }
    }

    /// How many octets are free where the segments are.
    pub(crate) fn free_octets(&self) -> Result<u64, StoreError> {
        self.disk
            .free_octets(&self.dir)
            .map_err(|e| StoreError::io("ask for the free space of", &self.dir, e))
    }

    /// Checks that the file of a segment that rows point into is there, is a
    /// segment, and reaches at least to `end`.
    pub(crate) fn check(&self, number: i64, end: u64) -> Result<(), StoreError> {
        let path = self.path(number);
        let corrupt = |detail: String| StoreError::Corrupt { path: path.clone(), detail };
        let file = self
            .disk
            .open(&path)
            .map_err(|e| corrupt(format!("bodies are kept in it and it cannot be opened: {e}")))?;
        let mut header = [0; FILE_HEADER_OCTETS as usize];
        let readable = file.read_at(&mut header, 0);
        if readable.is_err() || header != file_header() {
            return Err(corrupt("it does not begin as a segment".to_owned()));
        }
        let len = file.len_octets().map_err(|e| corrupt(e.to_string()))?;
        if len < end {
            return Err(corrupt(format!("it ends at {len}, and bodies reach to {end}")));
        }
        Ok(())
    }
}

impl Segment {
    /// Its number.
    pub(crate) fn number(&self) -> i64 {
        self.number
    }
}

impl Extent {
    /// Where its record ends.
    pub(crate) fn end(&self) -> u64 {
        self.at + RECORD_HEADER_OCTETS + u64::from(self.len)
    }
}

/// The number in the name of a segment's file.
pub(crate) fn number_of(path: &Path) -> Option<i64> {
    path.file_name()?.to_str()?.strip_suffix(".segment")?.parse().ok()
}

fn file_header() -> [u8; FILE_HEADER_OCTETS as usize] {
    let mut header = [0; FILE_HEADER_OCTETS as usize];
    header[..FILE_MAGIC.len()].copy_from_slice(FILE_MAGIC);
    header
}

fn record_header(tag: u64, part: u32, octets: &[u8]) -> [u8; RECORD_HEADER_OCTETS as usize] {
    let mut header = [0; RECORD_HEADER_OCTETS as usize];
    header[..4].copy_from_slice(b"MKB1");
    header[4..12].copy_from_slice(&tag.to_be_bytes());
    header[12..16].copy_from_slice(&part.to_be_bytes());
    header[16..20].copy_from_slice(&(octets.len() as u32).to_be_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&header[..20]), octets);
    header[20..].copy_from_slice(&crc.to_be_bytes());
    header
}

const FILE_MAGIC: &[u8] = b"MAILKEEP-SEGMENT-1\n";
const FILE_HEADER_OCTETS: u64 = 32;
pub(crate) const RECORD_HEADER_OCTETS: u64 = 24;
/// Files of earlier segments kept open for reading.
const READ_FILES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::SystemDisk;

    fn segments(dir: &Path, max_octets: u64) -> Segments {
        Segments::new(dir.to_owned(), Arc::new(SystemDisk), max_octets, 1)
    }

    #[test]
    fn a_part_reads_back_as_written_and_a_changed_octet_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let segments = segments(dir.path(), 1 << 20);
        let first = segments.append(7, 0, b"first part").unwrap();
        let second = segments.append(7, 1, b"second part").unwrap();
        assert_eq!(segments.read(&first).unwrap(), b"first part");
        assert_eq!(segments.read(&second).unwrap(), b"second part");
        let swapped = Extent { part: 0, ..second.clone() };
        assert!(segments.read(&swapped).is_err(), "a part cannot stand in for another");

        let path = segments.path(first.segment);
        let mut octets = std::fs::read(&path).unwrap();
        octets[first.at as usize + 30] ^= 1;
        std::fs::write(&path, octets).unwrap();
        assert!(matches!(segments.read(&first), Err(StoreError::Corrupt { .. })));
        assert!(segments.read(&second).is_ok());
    }

    #[test]
    fn a_full_segment_gives_way_to_a_new_one_and_is_idle_when_nobody_holds_its_bodies() {
        let dir = tempfile::tempdir().unwrap();
        let segments = segments(dir.path(), 100);
        let first = segments.append(1, 0, &[b'x'; 40]).unwrap();
        let second = segments.append(2, 0, &[b'x'; 40]).unwrap();
        assert_eq!((first.segment, second.segment), (1, 2));
        assert!(!segments.is_idle(1), "a body not yet in the rows is in it");
        drop(first);
        assert!(segments.is_idle(1));
        drop(second);
        assert!(!segments.is_idle(2), "it is being written");
        assert_eq!(segments.idle(), [1]);
    }

    #[test]
    fn a_segment_cut_short_or_overwritten_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let segments = segments(dir.path(), 1 << 20);
        let extent = segments.append(1, 0, b"body").unwrap();
        let end = extent.end();
        segments.check(1, end).unwrap();
        assert!(matches!(segments.check(1, end + 1), Err(StoreError::Corrupt { .. })));
        assert!(matches!(segments.check(2, 0), Err(StoreError::Corrupt { .. })));
        std::fs::write(segments.path(1), vec![0; 100]).unwrap();
        assert!(matches!(segments.check(1, end), Err(StoreError::Corrupt { .. })));
    }
}
