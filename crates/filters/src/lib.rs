//! What other programs say of a message: milters, virus scanners and spam scanners.
//!
//! [`milter`] is the MTA's side of the Sendmail milter protocol, version 6: a codec and a
//! session as values, and a [`milter::Chain`] that drives several filters in order, each
//! seeing the changes of those before it. [`scanner`] asks clamd, Rspamd and spamd for a
//! verdict. Every wait, packet and answer has a limit; what a filter's failure means is the
//! administrator's choice and the caller's act.
//!
//! Deliberately absent: rules, replies to SMTP clients, the configuration's syntax, the clock.

pub mod dial;
pub mod message;
pub mod milter;
pub mod scanner;

pub use dial::{Dialer, Endpoint, EndpointError};
pub use message::{Change, Message};
