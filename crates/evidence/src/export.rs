//! Writing evidence as lines of JSON that can be verified elsewhere.
//!
//! Line by line: an `opening`; each `entry` with its number, the hash before it, its
//! payload as text, and its hash; each `checkpoint` after the entry it covers; an `end`
//! with the counts, the SHA-256 of all lines before it, and a signature over both.

use std::io::Write;

use aws_lc_rs::digest::{Context, SHA256};
use mail::{Timestamp, TraceId};

use crate::chain::to_array;
use crate::record::{EntryLine, Opening, Record, Resume, Seal};
use crate::{Checkpoint, Digest, EvidenceError, Signer};

/// Writes one export. Give it entries and checkpoints in the order of the chain.
pub struct Exporter<W> {
    out: W,
    opening: Digest,
    so_far: Context,
    entries: u64,
    last: u64,
    checkpoint: u64,
}

impl<W: Write> Exporter<W> {
    /// Begins an export of the chain by `host`, whose first entry is `first`.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::Io`] when writing fails, here and below.
    pub fn begin(out: W, host: &str, first: u64) -> Result<Self, EvidenceError> {
        Self::open(out, Opening::new(host, first, None))
    }

    pub(crate) fn begin_proof(
        out: W,
        host: &str,
        first: u64,
        message: TraceId,
    ) -> Result<Self, EvidenceError> {
        Self::open(out, Opening::new(host, first, Some(message)))
    }

    fn open(out: W, opening: Opening) -> Result<Self, EvidenceError> {
        let last = opening.first.saturating_sub(1);
        let so_far = Context::new(&SHA256);
        let record = Record::Opening(opening);
        let opening = Digest::of(&record.to_line());
        let mut exporter = Self { out, opening, so_far, entries: 0, last, checkpoint: 0 };
        exporter.write(&record)?;
        Ok(exporter)
    }

    /// Writes the entry number `seq`; `previous` is the hash before it.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::Order`] when it does not follow the entry before, or its payload is
    /// no text.
    pub fn entry(
        &mut self,
        seq: u64,
        previous: Digest,
        payload: &[u8],
        hash: Digest,
    ) -> Result<(), EvidenceError> {
        let payload = std::str::from_utf8(payload).map_err(|_| EvidenceError::Order { seq })?;
        let payload = Some(payload.to_owned());
        self.entry_line(EntryLine { seq, previous, payload, digest: None, hash })
    }

    /// Writes an entry without showing what it says.
    pub(crate) fn hidden_entry(
        &mut self,
        seq: u64,
        previous: Digest,
        payload: Digest,
        hash: Digest,
    ) -> Result<(), EvidenceError> {
        self.entry_line(EntryLine { seq, previous, payload: None, digest: Some(payload), hash })
    }

    fn entry_line(&mut self, line: EntryLine) -> Result<(), EvidenceError> {
        let seq = line.seq;
        if seq != self.last + 1 {
            return Err(EvidenceError::Order { seq });
        }
        self.last = seq;
        self.entries += 1;
        self.write(&Record::Entry(line))
    }

    /// Leaves out entries up to the one before `seq`.
    pub(crate) fn resume(&mut self, seq: u64) -> Result<(), EvidenceError> {
        self.last = seq - 1;
        self.write(&Record::Resume(Resume { seq }))
    }

    /// Writes a checkpoint, right after the entry it covers.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::Order`] when it is not of the entry written last.
    pub fn checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), EvidenceError> {
        if checkpoint.seq != self.last {
            return Err(EvidenceError::Order { seq: checkpoint.seq });
        }
        self.checkpoint = checkpoint.seq;
        self.write(&Record::Checkpoint(checkpoint.clone()))
    }

    /// Signs and ends the export; gives back the writer, flushed.
    pub fn finish(mut self, signer: &Signer, at: Timestamp) -> Result<W, EvidenceError> {
        let digest = Digest::from_bytes(to_array(self.so_far.clone().finish().as_ref()));
        let Self { entries, last, checkpoint, opening, .. } = self;
        let seal = Seal { entries, last, checkpoint, at, opening, digest };
        self.write(&Record::End(seal.sign(signer)))?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn write(&mut self, record: &Record) -> Result<(), EvidenceError> {
        let line = record.to_line();
        self.so_far.update(&line);
        self.out.write_all(&line)?;
        Ok(())
    }
}
