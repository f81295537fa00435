//! The words of mail (RFC 5321, RFC 5322, RFC 3461): what every other crate speaks of.
//!
//! [`Domain`] and [`Address`] name people and places, [`Envelope`] is what SMTP
//! says about a message, [`header`] and [`attachment`] look at what the message says
//! about itself, [`received`] marks its way, [`dsn`] tells a sender what became of it.
//!
//! Deliberately absent: protocol state, sockets, disks, policy.

pub mod address;
pub mod attachment;
pub mod domain;
pub mod dsn;
pub mod envelope;
pub mod header;
pub mod received;
pub mod status;
pub mod time;
pub mod trace_id;

pub use address::{Address, AddressError, ReversePath};
pub use domain::{Domain, DomainError};
pub use envelope::{Body, DsnReturn, Envelope, Notify, Recipient};
pub use status::Status;
pub use time::Timestamp;
pub use trace_id::TraceId;
