//! What can go wrong with evidence.

use std::io;

/// Why evidence could not be written, read or signed. What verification finds is not
/// an error but a [`Report`](crate::Report).
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// A payload is not an entry of a version known here.
    #[error("entry {seq} cannot be read: {source}")]
    Payload {
        /// The entry's number; 0 when it has none.
        seq: u64,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// An entry was written by a later release.
    #[error("entry {seq} has schema version {version}, and this release reads up to {known}", known = crate::SCHEMA_VERSION)]
    Version {
        /// The entry's number; 0 when it has none.
        seq: u64,
        /// Its version.
        version: u16,
    },
    /// The text is not a public key.
    #[error("this is not a public key: one line of base 64 with 44 characters is expected")]
    PublicKey,
    /// The octets are not a signing key.
    #[error(
        "the stored signing key cannot be used; restore it, or make a new one and publish its public key"
    )]
    SigningKey,
    /// The octets are not a checkpoint.
    #[error("checkpoint of entry {seq} cannot be read")]
    Checkpoint {
        /// The entry it is of.
        seq: u64,
    },
    /// Entries were not given in the order of the chain.
    #[error("entry {seq} was given to the export out of order")]
    Order {
        /// The entry's number.
        seq: u64,
    },
    /// A message whose proof is wanted has no entries, or one on the way to its checkpoint is
    /// missing.
    #[error("{0}")]
    Proof(&'static str),
    /// The store failed.
    #[error("the evidence could not be read from the store or written to it")]
    Store(#[from] store::StoreError),
    /// Reading or writing an export failed.
    #[error("the export could not be read or written")]
    Io(#[from] io::Error),
}
