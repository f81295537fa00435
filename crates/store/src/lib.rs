//! The only crate that knows a database: rows in SQLite, bodies in blobs.
//!
//! [`Store`] offers what the server does with mail, not a query builder:
//! [`accept`](Store::accept) a message, [`claim_due`](Store::claim_due) work,
//! [`settle`](Store::settle) an attempt, and the questions of an operator
//! ([`trace`](Store::trace), [`queue_page`](Store::queue_page), [`stats`](Store::stats)).
//!
//! ```text
//!  accept ─┐                       ┌─ rows, one transaction ─┐
//!  settle ─┼─▶ writer: a batch ─▶ segments synced ─▶ COMMIT ─┴─▶ Synced<T> to each caller
//!  claim  ─┘     of ≤ 256 jobs
//! ```
//!
//! One thread writes and commits whatever waits; a reply is given only after
//! the commit, as a [`Synced`], which nothing outside this crate can make.
//! A queue entry that is being delivered is held under a [`Lease`], which only
//! this crate makes and which settling consumes.
//!
//! Deliberately absent: clocks (every instant is passed in), sockets, the
//! meaning of the JSON it carries (facts, recipients, evidence payloads).

mod accept;
mod account;
mod body;
pub mod chain;
mod claim;
mod compact;
pub mod disk;
mod dkim_key;
mod dmarc_report;
mod dmarc_seen;
mod error;
mod evidence;
mod fax;
mod fax_received;
mod fax_request;
mod flow;
mod holding;
mod ledger;
mod lock;
mod memory;
mod model;
mod opening;
mod operate;
mod options;
mod placement;
mod probe;
mod queue_view;
mod reader;
mod revision;
mod schema;
mod segment;
mod setting;
mod settle;
mod store;
mod synced;
mod tally;
mod trace;
mod transaction;
mod wal;
mod writer;

pub use account::{ACCOUNTS_PAGE_MAX, AccountRow, DomainRow};
pub use body::{BODY_IN_MEMORY_MAX_OCTETS, Body, BodyReader, BodyWriter};
pub use dkim_key::{DKIM_KEYS_MAX, DkimKeyRow};
pub use dmarc_report::{DMARC_REPORTS_MAX, DmarcReportRow};
pub use dmarc_seen::{DMARC_SEEN_MAX, DmarcSeen};
pub use error::StoreError;
pub use evidence::{Checkpoint, EVIDENCE_PAGE_MAX, EvidenceRow};
pub use fax::{FAXES_PAGE_MAX, FaxChange, FaxQuery, FaxRow, Likeness, NewFax};
pub use fax_received::{FaxFile, FaxTaken};
pub use fax_request::{FAX_REQUESTS_OPEN_MAX, FAX_REQUESTS_PAGE_MAX, FaxRequestRow};
pub use flow::{FLOW_PAGE_MAX, FlowKind, FlowRow};
pub use holding::{CONTACTS_MAX, HeldAccount};
pub use ledger::{IMBALANCES_MAX, Imbalance, Ledger};
pub use memory::{FORGET_MAX, MemoryKind, Remembered};
pub use model::{
    Accept, Accepted, BlobId, CLAIM_MAX, Claim, Claimed, ENTRIES_MAX, Ending, EntryId, Evidence,
    FACTS_MAX_OCTETS, Hold, Lease, NewEntry, Refusal, Remaining, Settle, Settled, Start,
};
pub use operate::{Change, Changed};
pub use options::Options;
pub use probe::ProbeRow;
pub use queue_view::{
    Destination, ENTRIES_NAMED_MAX, EntryRow, EntryState, EntryStateKind, QUEUE_PAGE_MAX,
    QueueFilter, Stats,
};
pub use revision::{
    NewRevision, REVISION_FILES_MAX, REVISIONS_PAGE_MAX, RevisionFile, RevisionRow,
};
pub use store::Store;
pub use synced::Synced;
pub use trace::{MessageRow, TRACE_PAGE_MAX, TraceQuery};
