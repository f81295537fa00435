//! Vouching for mail that leaves: DKIM signatures (RFC 6376, RFC 8463) and the keys for them,
//! ARC seals (RFC 8617), and senders rewritten for forwarding (SRS).
//!
//! ```text
//!  From ─▶ Table::find ─▶ KeyRing::signing ─┐
//!  body ─▶ BodyHasher ─────────▶ BodyHash ──┴▶ dkim::sign ─▶ DKIM-Signature, one a key
//! ```
//!
//! A body is read once, piece by piece, however many keys sign it. Deliberately absent:
//! clocks, disks, DNS, and whether a message is ours; verifying is another crate's subject.

pub mod arc;
mod author;
mod canonical;
pub mod dkim;
mod fields;
mod key;
mod record;
mod rotation;
mod srs;
mod table;

pub use author::author;
pub use canonical::{BodyHash, BodyHasher};
pub use key::{Algorithm, Key, KeyError};
pub use record::{STRING_MAX_OCTETS, key_record, quoted, strings};
pub use rotation::{KEYS_MAX, KeyRing, KeyRow, Phase, STAYS, selector};
pub use srs::{Srs, SrsError, TooLong};
pub use table::{Entry, Table, Who, WhoError};
