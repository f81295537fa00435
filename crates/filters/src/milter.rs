//! The MTA's side of the milter protocol, versions 2 to 6.
//!
//! [`codec`] frames packets, [`Command`] is what we say, [`Reply`] what a filter answers,
//! [`Session`] knows what may be said and answered when. [`Link`] carries a session over a
//! connection, [`Chain`] runs several in order.

mod chain;
pub mod codec;
mod command;
mod link;
mod macros;
mod options;
mod reply;
mod session;
mod settings;

pub use chain::{Chain, Outcome, Refusal, Told};
pub use command::{Client, Command};
pub use link::{Failure, Link};
pub use macros::{Macros, Stage};
pub use options::{Actions, Options, Steps};
pub use reply::{Reply, ReplyCode};
pub use session::{Event, Session, Violation};
pub use settings::{Milter, OnFailure, Timeouts};
