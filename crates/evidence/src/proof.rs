//! The evidence of one message, provable without showing that of others.
//!
//! A proof is an export in which only the message's own entries are readable. Between
//! them and the next checkpoint stand the digests of the entries that follow, so that
//! their hashes lead to what was signed; what lies further apart is left out.

use std::io::Write;

use mail::{Timestamp, TraceId};

use crate::{Checkpoint, Digest, EvidenceError, Exporter, GENESIS, Signer};

/// The most entries between one of the message and the checkpoint after it.
pub const SPAN_MAX: u64 = 1_000_000;

/// Where entries and checkpoints are kept.
pub trait Source {
    /// The hash and the payload of the entry `seq`, if there is one.
    fn entry(&mut self, seq: u64) -> Result<Option<(Digest, Vec<u8>)>, EvidenceError>;

    /// The first checkpoint of the entry `seq` or a later one.
    fn checkpoint_from(&mut self, seq: u64) -> Result<Option<Checkpoint>, EvidenceError>;
}

/// Writes the proof of the message `trace`, whose entries have the numbers `own`, ascending.
/// Entries that no checkpoint follows yet are covered by the signature at the end alone: make
/// a checkpoint first.
///
/// # Errors
///
/// [`EvidenceError::Proof`] when there are no entries or one is not to be found, else what
/// the source or the writer says.
pub fn write<W: Write>(
    out: W,
    host: &str,
    trace: TraceId,
    own: &[u64],
    source: &mut impl Source,
    signer: &Signer,
    at: Timestamp,
) -> Result<W, EvidenceError> {
    let (Some(&first), Some(&last)) = (own.first(), own.last()) else {
        return Err(EvidenceError::Proof("there is no evidence of this message"));
    };
    let mut export = Exporter::begin_proof(out, host, first, trace)?;
    let mut rest = own;
    while let Some(&from) = rest.first() {
        if from != first {
            export.resume(from)?;
        }
        let checkpoint = source.checkpoint_from(from)?;
        let to = checkpoint.as_ref().map_or(last, |checkpoint| checkpoint.seq);
        if to - from > SPAN_MAX {
            return Err(EvidenceError::Proof("the next checkpoint is too far away"));
        }
        let mut previous = match from {
            0 | 1 => GENESIS,
            _ => found(source.entry(from - 1)?)?.0,
        };
        for seq in from..=to {
            let (hash, payload) = found(source.entry(seq)?)?;
            if rest.first() == Some(&seq) {
                export.entry(seq, previous, &payload, hash)?;
                rest = &rest[1..];
            } else {
                export.hidden_entry(seq, previous, Digest::of(&payload))?;
            }
            previous = hash;
        }
        if let Some(checkpoint) = checkpoint {
            export.checkpoint(&checkpoint)?;
        }
    }
    export.finish(signer, at)
}

fn found<T>(entry: Option<T>) -> Result<T, EvidenceError> {
    entry.ok_or(EvidenceError::Proof("an entry between the message and its checkpoint is missing"))
}
