//! SMTP and LMTP sessions (RFC 5321, RFC 2033), both sides, without I/O.
//!
//! [`server::Session`] takes bytes and answers, and gives replies and questions;
//! [`client`] is its counterpart. [`Reply`] and [`Extensions`] are what both
//! sides write and read; [`command`] is what a client says.
//!
//! Deliberately absent: sockets, clocks, DNS, rules, accounts. Those are the driver's.

pub mod client;
pub mod command;
pub mod extensions;
pub mod mechanism;
pub mod parameters;
pub mod refusal;
pub mod reply;
pub mod secret;
pub mod server;
pub mod xtext;

pub use extensions::{Extensions, Limits};
pub use mechanism::Mechanism;
pub use refusal::{Fault, Refusal};
pub use reply::Reply;
pub use secret::Secret;
