//! The operator's own record of what was decided and seen, and its proof.
//!
//! Every step of a message leaves an [`Entry`]: what came in and why it was taken or
//! refused, every attempt to pass it on with the protection it had, and how it ended.
//! The store links entries into a chain of hashes in the transaction that makes them
//! true; a [`Signer`] signs [`Checkpoint`]s of it. [`export`] writes the chain as lines,
//! [`verify()`] needs only that file and the [`PublicKey`] and names what was changed,
//! dropped, added or moved; [`archive`] does all that over the store, and for one message
//! without showing others.
//! [`ledger`] holds every promise against its end, [`trace`] tells one message's story.
//!
//! Deliberately absent: a clock, the database, policy. It is a ledger for the operator
//! and whoever audits the operator, not a receipt that is sent to anyone.

pub mod archive;
mod authentication;
mod chain;
mod checkpoint;
mod entry;
mod error;
mod event;
pub mod export;
pub mod ledger;
mod record;
#[cfg(test)]
mod testing;
pub mod trace;
pub mod verify;

pub use authentication::SenderAuthentication;
pub use chain::{Digest, GENESIS, envelope_digest, link};
pub use checkpoint::{Checkpoint, KeyId, PublicKey, Signature, Signer};
pub use entry::{Entry, SCHEMA_VERSION};
pub use error::EvidenceError;
pub use event::{
    Accepted, AccountChanged, AdminAction, Attempted, Authenticated, Client, ConfigChanged,
    Decision, Ending, EnvelopeFacts, Event, FaxChanged, FilterFinding, Finished, FinishedRecipient,
    MessageFacts, Origin, Promise, Refused, RuleEffect, RuleRef, Started, Target, TargetKind,
    Tried, TriedRecipient, TriedResult,
};
pub use export::Exporter;
pub use ledger::Ledger;
pub use verify::{Report, verify};
