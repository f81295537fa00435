//! One HTTP/1.1 request at a time, to a server that the administrator named.
//!
//! Made for scanners, key sets and providers of services: small questions with small
//! answers. Every wait and every answer is bounded ([`Limits`]); a redirect is an answer like
//! any other and is not followed; `https` demands a certificate that is trusted for the host.
//!
//! Deliberately absent: proxies, cookies, caches, connections that are kept, name look-ups
//! (the caller's [`Names`]) and the clock.

mod client;
mod error;
mod message;
mod place;

pub use client::{Addresses, Client, Limits, Names};
pub use error::Error;
pub use message::{Method, Request, Response};
pub use place::{PLACE_MAX_OCTETS, Place, PlaceError};
