//! The lines of an export. Each record has exactly one written form.

use mail::{Timestamp, TraceId};
use serde::{Deserialize, Serialize};

use crate::checkpoint::{KeyId, PublicKey, Signature};
use crate::{Checkpoint, Digest, GENESIS, Signer};

/// The version of the export's form.
pub(crate) const FORMAT: u16 = 1;
/// The longest line, in octets; longer ones are not read.
pub(crate) const LINE_MAX_OCTETS: usize = 4 * 1024 * 1024;
/// What the signature of an export begins with, so that it means nothing else.
const SEAL_DOMAIN: &[u8] = b"mailkeep evidence export v1\n";

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Record {
    Opening(Opening),
    Entry(EntryLine),
    /// Entries are left out here because the proof is of one message only.
    Resume(Resume),
    Checkpoint(Checkpoint),
    End(End),
}

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Opening {
    pub(crate) format: u16,
    /// The host that wrote it.
    pub(crate) host: String,
    /// The first entry.
    pub(crate) first: u64,
    /// The message it is a proof of; absent where it is the whole chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<TraceId>,
    /// SHA-256 of the line with zeros here, so that it shows by itself that it was touched.
    pub(crate) check: Digest,
}

/// An entry, able to show by itself whether it was touched: its hash follows from the
/// rest of the line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EntryLine {
    pub(crate) seq: u64,
    pub(crate) previous: Digest,
    /// The entry's JSON, as text so that its octets stay as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) payload: Option<String>,
    /// Its SHA-256 alone, where the entry is of another message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) digest: Option<Digest>,
    pub(crate) hash: Digest,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Resume {
    /// The next entry.
    pub(crate) seq: u64,
}

/// The last line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct End {
    /// How many entries there are.
    pub(crate) entries: u64,
    /// The last of them.
    pub(crate) last: u64,
    /// The entry of the last checkpoint; 0 if there is none.
    pub(crate) checkpoint: u64,
    /// When the export was written.
    pub(crate) at: Timestamp,
    /// SHA-256 of the first line.
    pub(crate) opening: Digest,
    /// SHA-256 of every line before this one.
    pub(crate) digest: Digest,
    pub(crate) key: KeyId,
    pub(crate) signature: Signature,
}

impl Record {
    pub(crate) fn to_line(&self) -> Vec<u8> {
        // Records are plain data: there is no map with other keys and no failing part in them.
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }
}

impl Opening {
    pub(crate) fn new(host: &str, first: u64, message: Option<TraceId>) -> Self {
        let host = host.to_owned();
        Self { format: FORMAT, host, first, message, check: GENESIS }.checked()
    }

    /// The same with the check that belongs to it.
    pub(crate) fn checked(&self) -> Self {
        let mut opening = Self { check: GENESIS, ..self.clone() };
        opening.check = Digest::of(&Record::Opening(opening.clone()).to_line());
        opening
    }
}

impl EntryLine {
    /// The digest of the payload, whichever way it is given.
    pub(crate) fn payload_digest(&self) -> Option<Digest> {
        match (&self.payload, self.digest) {
            (Some(payload), None) => Some(Digest::of(payload.as_bytes())),
            (None, Some(digest)) => Some(digest),
            (Some(_), Some(_)) | (None, None) => None,
        }
    }
}

impl End {
    pub(crate) fn is_signed_by(&self, key: &PublicKey) -> bool {
        let seal = Seal {
            entries: self.entries,
            last: self.last,
            checkpoint: self.checkpoint,
            at: self.at,
            opening: self.opening,
            digest: self.digest,
        };
        self.key == key.id() && key.verifies(&seal.message(), &self.signature)
    }
}

/// What the end of an export says and signs.
pub(crate) struct Seal {
    pub(crate) entries: u64,
    pub(crate) last: u64,
    pub(crate) checkpoint: u64,
    pub(crate) at: Timestamp,
    pub(crate) opening: Digest,
    pub(crate) digest: Digest,
}

impl Seal {
    pub(crate) fn sign(self, signer: &Signer) -> End {
        let (key, signature) = (signer.public_key().id(), signer.sign(&self.message()));
        let Self { entries, last, checkpoint, at, opening, digest } = self;
        End { entries, last, checkpoint, at, opening, digest, key, signature }
    }

    fn message(&self) -> Vec<u8> {
        let mut message = SEAL_DOMAIN.to_vec();
        for number in [self.entries, self.last, self.checkpoint] {
            message.extend_from_slice(&number.to_be_bytes());
        }
        message.extend_from_slice(&self.at.0.to_be_bytes());
        message.extend_from_slice(self.opening.as_bytes());
        message.extend_from_slice(self.digest.as_bytes());
        message
    }
}
