//! Email to fax, as values: who is called, who may send, what becomes of a job.
//!
//! [`Plan`] reads numbers, [`Recipient`] reads fax addresses, [`Options`] what a sender asks
//! for in the address, the subject or header fields; [`Security`] decides whether a source
//! may fax at all, and a [`TrustRequest`] asks that more may; [`Job`] is the life of one fax to
//! one number, and [`routing`] says which transport carries it. [`offramp`] has the addresses of
//! faxes that go on by mail, [`provider`] what providers that fax by HTTPS are asked and answer.
//! [`inbound`] says who gets a fax that comes in.
//!
//! Deliberately absent: pages (crate `pages`), sockets, disks, clocks, and rules: what is
//! decided here becomes a fact that visible rules look at.

pub mod address;
pub mod inbound;
pub mod job;
pub mod left_out;
pub mod number;
pub mod offramp;
pub mod options;
pub mod provider;
pub mod request;
pub mod routing;
pub mod security;
pub mod template;
pub mod work;

pub use address::{Recipient, RecipientError};
pub use job::{Counters, Event, Job, Outcome, Reason, Retry, State};
pub use left_out::LeftOut;
pub use number::{AreaCode, Country, Number, NumberError, Plan, Prefix};
pub use options::{Cover, Language, OptionError, Options, Paper, Resolution};
pub use request::TrustRequest;
pub use security::{Denial, Principal, Security, SoftFail, Source, Spf};
