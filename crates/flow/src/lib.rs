//! How much anyone may send, and who is kept away: quotas, bans and connection rates.
//!
//! [`Ledger`] counts what a sender has sent and says when he may send again, [`Bans`] adds
//! up [`Incident`]s and knows who is banned until when, [`Rates`] slows down a network that
//! connects too often, and [`size`] finds the limits a message is held to. All are values:
//! the caller passes the time, holds the lock and keeps the rows.
//!
//! Deliberately absent: clocks, sockets, the store, the words of a reply.

pub mod ban;
pub mod incident;
pub mod network;
pub mod quota;
pub mod rate;
pub mod size;
mod window;

pub use ban::{Ban, BanRow, BanSettings, Bans, By};
pub use incident::Incident;
pub use network::{Networks, Standing, client_network};
pub use quota::{
    CounterRow, Ledger, Limit, Period, Quota, Quotas, Reached, Selection, Sender, Taken, Usage,
    Warning, What,
};
pub use rate::{Rate, Rates};
pub use size::{Direction, SizeLimits, SizeRule, SizeRules};
pub use window::SLOTS;
