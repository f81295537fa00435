//! An SMTP or LMTP connection, seen from the client (RFC 5321, RFC 2033).
//!
//! [`Session`] takes octets and wishes, and gives octets to write and results.
//! [`Survey`] looks over content beforehand, [`Report`] says what became of
//! each recipient.
//!
//! Deliberately absent: sockets, clocks, which peer to ask, what protection a
//! message needs.

mod content;
mod report;
mod session;
mod sign_in;
mod transaction;

pub use content::{BareLineEnd, Content, Survey};
pub use report::{Failure, Fate, Phase, Report, Unfit};
pub use session::{Input, NotReady, Output, Protocol, Session, Settings};
pub use sign_in::{Credentials, SECRET_MAX_OCTETS, SignInError};
pub use transaction::Transaction;
