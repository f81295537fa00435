//! Who a message is from: SPF (RFC 7208), DKIM (RFC 6376, 8301, 8463), DMARC (RFC 9989) and
//! ARC (RFC 8617), and the fields that say what was found (RFC 8601).
//!
//! Everything here is a function of a message, a connection and answers of DNS, which are
//! asked for through [`Dns`]. [`spf::check`] needs no message; [`Reading`] takes one in pieces
//! and gives a [`Message`] to verify; [`dmarc::evaluate`] joins what was found. Deliberately
//! absent: sockets, a resolver, the clock, and what follows from a result; that is for rules
//! to say.

pub mod arc;
pub mod canonical;
pub mod crypto;
pub mod dkim;
pub mod dmarc;
mod dns;
mod message;
pub mod name;
mod outcome;
pub mod results;
pub mod spf;
pub mod tags;

pub use dns::{Asking, Dns, Lack, Question, Record};
pub use message::{BODY_HASHES_MAX, Message, Reading};
pub use outcome::Outcome;
