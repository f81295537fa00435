//! Who a message is from: SPF (RFC 7208), DKIM (RFC 6376, 8301, 8463), DMARC (RFC 9989) and
//! ARC (RFC 8617), and the fields that say what was found (RFC 8601).
//!
//! Everything here is a function of a message, a connection and answers of DNS, which are
//! asked for through [`Dns`]. Deliberately absent: sockets, a resolver, the clock, and what
//! follows from a result; that is for rules to say.

pub mod canonical;
mod dns;
pub mod name;
mod outcome;
pub mod spf;
pub mod tags;

pub use dns::{Asking, Dns, Lack, Question, Record};
pub use outcome::Outcome;
