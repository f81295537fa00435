//! Evidence in the store: signing checkpoints, writing exports and proofs.
//!
//! A proof is an export in which only one message's entries are readable. Between them
//! and the next checkpoint stand the digests of the entries that follow, so that their
//! hashes lead to what was signed; what lies further apart is left out.

use std::io::Write;
use std::ops::RangeInclusive;

use mail::{Timestamp, TraceId};
use store::{EvidenceRow, Store};

use crate::{Checkpoint, Digest, Entry, EvidenceError, Exporter, GENESIS, Signer};

/// Entries or checkpoints read at a time.
const PAGE: u32 = 1_000;
/// The most entries between one of a message and the checkpoint after it.
pub const PROOF_SPAN_MAX: u64 = 1_000_000;

/// Signs the head of the chain from time to time.
#[derive(Debug)]
pub struct Notary {
    signer: Signer,
    /// The entry of the last checkpoint; 0 before the first.
    last: u64,
}

impl Notary {
    /// A notary that goes on after the checkpoints the store has.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::Store`].
    pub async fn open(store: &Store, signer: Signer) -> Result<Self, EvidenceError> {
        let mut last = 0;
        loop {
            let page = store.checkpoints(last + 1, PAGE).await?;
            match page.last() {
                Some(checkpoint) => last = checkpoint.seq,
                None => return Ok(Self { signer, last }),
            }
        }
    }

    /// The key that signs.
    pub fn signer(&self) -> &Signer {
        &self.signer
    }

    /// Signs the head of the chain and keeps the checkpoint, unless there is nothing new.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::Store`]; it may be tried again.
    pub async fn sign_head(
        &mut self,
        store: &Store,
        now: Timestamp,
    ) -> Result<Option<Checkpoint>, EvidenceError> {
        let Some((seq, hash)) = store.evidence_head().await? else { return Ok(None) };
        if seq <= self.last {
            return Ok(None);
        }
        let checkpoint = self.signer.checkpoint(self.last, seq, Digest::from_bytes(hash), now);
        let kept = store::Checkpoint { seq, hash, at: now, signature: checkpoint.to_blob() };
        store.add_checkpoint(kept).await?.into_inner();
        self.last = seq;
        Ok(Some(checkpoint))
    }
}

/// The entries about one message with their numbers, in order.
///
/// # Errors
///
/// [`EvidenceError::Store`], or what is wrong with an entry.
pub async fn entries_of(store: &Store, trace: TraceId) -> Result<Vec<(u64, Entry)>, EvidenceError> {
    let rows = store.evidence_of(trace).await?;
    rows.iter().map(|row| Ok((row.seq, Entry::from_payload(row.seq, &row.payload)?))).collect()
}

/// Writes the entries of `range` as an export; those that exist.
///
/// # Errors
///
/// [`EvidenceError::Store`] and [`EvidenceError::Io`].
pub async fn export<W: Write>(
    store: &Store,
    out: W,
    host: &str,
    range: RangeInclusive<u64>,
    signer: &Signer,
    now: Timestamp,
) -> Result<W, EvidenceError> {
    let first = (*range.start()).max(1);
    let mut export = Exporter::begin(out, host, first)?;
    let mut previous = hash_before(store, first).await?;
    let mut checkpoints = Checkpoints::from(first);
    let mut next = first;
    while next <= *range.end() {
        let rows = store.evidence_range(next, PAGE).await?;
        let Some(last) = rows.last().map(|row| row.seq) else { break };
        for row in rows.iter().filter(|row| range.contains(&row.seq)) {
            let hash = Digest::from_bytes(row.hash);
            export.entry(row.seq, previous, &row.payload, hash)?;
            previous = hash;
            if let Some(checkpoint) = checkpoints.at(store, row.seq).await? {
                export.checkpoint(&checkpoint)?;
            }
        }
        next = last + 1;
    }
    export.finish(signer, now)
}

/// Writes the proof of one message. Entries that no checkpoint follows yet are covered only
/// by the signature at the end: let the [`Notary`] sign the head first.
///
/// # Errors
///
/// [`EvidenceError::Proof`] when there is no evidence of the message, else as [`export`].
pub async fn prove<W: Write>(
    store: &Store,
    out: W,
    host: &str,
    trace: TraceId,
    signer: &Signer,
    now: Timestamp,
) -> Result<W, EvidenceError> {
    let own: Vec<u64> = store.evidence_of(trace).await?.iter().map(|row| row.seq).collect();
    let (Some(&first), Some(&last)) = (own.first(), own.last()) else {
        return Err(EvidenceError::Proof("there is no evidence of this message"));
    };
    let mut export = Exporter::begin_proof(out, host, first, trace)?;
    let mut checkpoints = Checkpoints::from(first);
    let mut rest = &own[..];
    while let Some(&from) = rest.first() {
        if from != first {
            export.resume(from)?;
        }
        let checkpoint = checkpoints.next_from(store, from).await?;
        let to = checkpoint.as_ref().map_or(last, |checkpoint| checkpoint.seq);
        if to - from > PROOF_SPAN_MAX {
            return Err(EvidenceError::Proof("the next checkpoint is too far from the message"));
        }
        let mut previous = hash_before(store, from).await?;
        let mut next = from;
        while next <= to {
            let rows = store.evidence_range(next, PAGE).await?;
            let missing = "an entry between the message and its checkpoint is missing";
            next = rows.last().ok_or(EvidenceError::Proof(missing))?.seq + 1;
            for row in rows.iter().filter(|row| row.seq <= to) {
                previous = show(&mut export, row, previous, trace)?;
            }
        }
        rest = &rest[rest.partition_point(|&seq| seq <= to)..];
        if let Some(checkpoint) = checkpoint {
            export.checkpoint(&checkpoint)?;
        }
    }
    export.finish(signer, now)
}

/// Writes a row readable if it is about `trace`, else hidden; gives its hash.
fn show<W: Write>(
    export: &mut Exporter<W>,
    row: &EvidenceRow,
    previous: Digest,
    trace: TraceId,
) -> Result<Digest, EvidenceError> {
    let hash = Digest::from_bytes(row.hash);
    if row.trace == trace {
        export.entry(row.seq, previous, &row.payload, hash)?;
    } else {
        export.hidden_entry(row.seq, previous, Digest::of(&row.payload), hash)?;
    }
    Ok(hash)
}

async fn hash_before(store: &Store, seq: u64) -> Result<Digest, EvidenceError> {
    let rows = if seq > 1 { store.evidence_range(seq - 1, 1).await? } else { Vec::new() };
    Ok(rows.first().map_or(GENESIS, |row| Digest::from_bytes(row.hash)))
}

/// The checkpoints of the store, read in pages as they are asked for.
struct Checkpoints {
    page: Vec<store::Checkpoint>,
    next: u64,
    exhausted: bool,
}

impl Checkpoints {
    fn from(seq: u64) -> Self {
        Self { page: Vec::new(), next: seq, exhausted: false }
    }

    /// The checkpoint of exactly this entry. Ask in ascending order.
    async fn at(&mut self, store: &Store, seq: u64) -> Result<Option<Checkpoint>, EvidenceError> {
        Ok(self.next_from(store, seq).await?.filter(|checkpoint| checkpoint.seq == seq))
    }

    /// The first checkpoint of this entry or a later one. Ask in ascending order.
    async fn next_from(
        &mut self,
        store: &Store,
        seq: u64,
    ) -> Result<Option<Checkpoint>, EvidenceError> {
        loop {
            self.page.drain(..self.page.partition_point(|kept| kept.seq < seq));
            if let Some(kept) = self.page.first() {
                let hash = Digest::from_bytes(kept.hash);
                return Checkpoint::from_blob(kept.seq, hash, kept.at, &kept.signature).map(Some);
            }
            if self.exhausted {
                return Ok(None);
            }
            self.page = store.checkpoints(self.next.max(seq), PAGE).await?;
            self.exhausted = self.page.is_empty();
            self.next = self.page.last().map_or(self.next, |kept| kept.seq + 1);
        }
    }
}
