//! SMTP and LMTP sessions (RFC 5321, RFC 2033), both sides, without I/O.
//!
//! [`server::Session`] takes bytes and answers, and gives replies and questions;
//! [`client`] is its counterpart. [`Reply`] and [`Extensions`] are what both
//! sides write and read.
//!
//! Deliberately absent: sockets, clocks, DNS, rules, accounts. Those are the driver's.

pub mod client;
pub mod extensions;
pub mod mechanism;
pub mod reply;

pub use extensions::{Extensions, Limits};
pub use mechanism::Mechanism;
pub use reply::Reply;
