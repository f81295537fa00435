//! A small internet in one process: DNS, mail partners of every temper, and the
//! authority that certifies them.
//!
//! [`Dns`] answers on loopback from records that can change while it runs.
//! [`Partner`] is an SMTP or LMTP server that follows a [`Script`], misbehaves where
//! told, and keeps what it received. [`Authority`] issues good, wrong and expired
//! certificates. [`World`] puts these together as the domains of the demo.
//!
//! The lab is an independent judge: its SMTP is written apart from the product's, and
//! it notes what a client does wrong ([`Partner::violations`]).
//!
//! Deliberately absent: any address but loopback ([`LabError::NotLoopback`]), disks,
//! and the product's own protocol code. Everything kept in memory has a limit.

pub mod authority;
pub mod dns;
mod error;
pub mod partner;
pub mod world;

pub use authority::{Authority, Identity};
pub use dns::{Behaviour, Dns, Records};
pub use error::LabError;
pub use partner::{Fault, Message, Partner, Script, Stage, Tls};
pub use world::World;
