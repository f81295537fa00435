//! Force Encrypt: partners whose mail goes and comes only under TLS.
//!
//! Entries are written one a line ([`List`] keeps the text as it was pasted) and are
//! compiled into a [`ForceEncrypt`] table. Out, an entry is a demand that nothing weakens;
//! in, it is a built-in rule that refuses mail in the clear.

mod entry;
mod list;
mod table;

pub use entry::{Direction, Entry, Key, LEVEL_WORDS};
pub use list::{LINES_MAX, LineError, List};
pub use table::ForceEncrypt;
