//! Route and attempt: from a message and a destination to what became of each recipient.
//!
//! [`Agent::attempt`] takes a [`Job`] and gives an [`Attempt`]: one [`Outcome`]
//! a recipient, and every host that was contacted with its TLS verdict. A
//! [`Route`] says where to (mail exchangers, smart host, LMTP, Maildir), a
//! [`Plan`] which hosts, a [`Demander`] how each must be reached. Only a
//! [`tls::Ready`] connection is ever given an envelope. [`Agent::probe`] looks
//! at a domain's hosts without sending anything.
//!
//! Deliberately absent: the queue and its retry times, notices, the rules that
//! choose a route or make a demand.

pub mod agent;
pub mod content;
pub mod demander;
mod dial;
mod link;
pub mod maildir;
pub mod outcome;
pub mod pace;
pub mod plan;
mod pool;
pub mod probe;
pub mod resolver;
pub mod route;
pub mod settings;
mod tally;

pub use agent::{Agent, Certificates};
pub use content::{Content, Stored};
pub use demander::{Approach, Demander};
pub use outcome::{Attempt, Cause, Contact, Delivered, Onward, Outcome, RemoteReply, Trouble};
pub use plan::{Place, Plan, Target};
pub use probe::{Probe, Probed};
pub use resolver::{ExchangerOverride, ResolveError, Resolver, ResolverSettings};
pub use route::{Job, Lmtp, MaildirRoute, Route, SmartHost};
pub use settings::{Egress, Families, Ourselves, Pace, PoolSettings, Settings, Timeouts};
