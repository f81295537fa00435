//! Cases of sender authentication, played through the running server: its own DNS server,
//! mail from the case's address, the result read from the fields the message arrives with.
//! `docs/manual/testing-sender-authentication.md` says how to run others so.

#[path = "sender_authentication/dmarc.rs"]
mod dmarc;
#[path = "sender_authentication/enforcing.rs"]
mod enforcing;
#[path = "sender_authentication/fax.rs"]
mod fax;
#[path = "sender_authentication/foreign.rs"]
mod foreign;
#[path = "sender_authentication/reports.rs"]
mod reports;
#[path = "sender_authentication/signatures.rs"]
mod signatures;
#[path = "sender_authentication/signing.rs"]
mod signing;
#[path = "sender_authentication/spf.rs"]
mod spf;
mod support;
#[path = "sender_authentication/world.rs"]
mod world;
