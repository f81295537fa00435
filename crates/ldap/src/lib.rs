//! The part of LDAP version 3 (RFC 4511) that a mail server needs of a directory: find one
//! person, and let the directory judge a password by binding as that person.
//!
//! [`Filter`] is read once, with places for what is looked for; values are put in as values and
//! never read as filters, so that a name cannot change the question. Every answer is bounded.
//!
//! Deliberately absent: writing, referrals, SASL binds, caches (the caller's), name look-ups
//! (the caller's [`Names`]) and the clock.

mod ber;
mod client;
mod error;
mod filter;
mod message;

pub use client::{Addresses, Client, Limits, Names, Protection, Server};
pub use error::Error;
pub use filter::{Filter, FilterError, Values};
pub use message::Found;
