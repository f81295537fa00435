//! What an attempt's outcome means for a queue entry: schedule, endings, and the decision
//! to tell the sender.
//!
//! [`Recipients`] is what an entry keeps of whom it is for. [`transition`] takes it
//! and what became of each recipient, and gives what goes on, what has ended and which
//! notices are due. [`Schedule`] says when.
//!
//! Deliberately absent: the store, clocks, connections, and the words of a notice. The
//! instant is passed in; the server carries out what is decided here.

pub mod recipient;
pub mod schedule;
pub mod transition;

pub use recipient::{Recipient, Recipients};
pub use schedule::Schedule;
pub use transition::{
    Ended, Entry, Fate, Next, Notice, NoticeKind, Reason, Remote, Transition, transition,
};
