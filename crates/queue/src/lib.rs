//! Schedule, outcomes and the decision to notify: pure transitions over the store.
//!
//! ```text
//!  store::Claimed ─▶ Entry ─ delivery ─▶ Outcome per recipient
//!                      └──────────┬─────────────┘
//!                             transition(now)
//!                                 ▼
//!            Transition: ended, remaining with its due time, notices
//!                                 ▼
//!                     store::Settle, one transaction
//! ```
//!
//! [`transition`] decides what an attempt means for each recipient;
//! [`Schedule`] when the next one is; [`Dispatch`] which destinations can take
//! more work now. Times come in as values and nothing here waits.
//!
//! Deliberately absent: sockets, clocks, how a message is delivered, and the
//! text of notices, which is `mail::dsn`'s.

mod dispatch;
mod outcome;
mod recipient;
mod schedule;
mod settle;
mod transition;

pub use dispatch::{Dispatch, Limits};
pub use outcome::{Class, Delivered, Onward, Outcome, Subject, Trouble, classify};
pub use recipient::{LastTrouble, QueuedRecipient, RecipientsError, Told, decode, encode};
pub use schedule::{JITTER_MAX_PERCENT, RETRIES_MAX, RETRY_MIN, Schedule, ScheduleError};
pub use settle::{Work, settle};
pub use transition::{
    DoubleBounce, EndedRecipient, Entry, Notice, Removal, Transition, remove, transition,
};
