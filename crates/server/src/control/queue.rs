//! `mailkeep queue …`.

mod list;
mod steer;

use clap::Subcommand;
use mail::Domain;
use serde::{Deserialize, Serialize};

use super::Answer;
use crate::admin::Admin;

pub use list::page_through;
pub use steer::entries_of;

/// What can be done with the queue. `ID` is a message's id, or as much of its
/// beginning as names one message.
#[derive(Debug, Clone, Serialize, Deserialize, Subcommand)]
#[serde(rename_all = "kebab-case")]
#[command(after_help = "Examples:\n  \
    mailkeep queue list --domain bank.example\n  \
    mailkeep queue retry --domain bank.example\n  \
    mailkeep queue reroute 01JNX8Z4 --to relay.example:587\n  \
    mailkeep queue freeze bank.example --reason \"they asked us to wait\"")]
pub enum Request {
    /// What is waiting, oldest first
    List {
        /// Only mail for this domain
        #[arg(long, value_name = "DOMAIN")]
        domain: Option<Domain>,
        /// Only mail that is held
        #[arg(long)]
        held: bool,
        /// At most this many
        #[arg(long, value_name = "NUMBER", default_value_t = 100)]
        limit: u32,
    },
    /// One message: its recipients, its last replies, its next attempt
    Show {
        /// The message
        id: String,
    },
    /// Keep a message where it is until it is released
    Hold {
        /// The message
        id: String,
        /// Why, for the next administrator
        #[arg(long, default_value = "", hide_default_value = true)]
        reason: String,
    },
    /// Let a held message go on
    Release {
        /// The message
        id: String,
    },
    /// Try now: one message, everything for a domain, or all
    Retry {
        /// The message
        #[arg(required_unless_present_any = ["domain", "all"])]
        id: Option<String>,
        /// Everything for this domain
        #[arg(long, value_name = "DOMAIN", conflicts_with = "id")]
        domain: Option<Domain>,
        /// Everything
        #[arg(long, conflicts_with_all = ["id", "domain"])]
        all: bool,
    },
    /// Send a message by another host; the protection demanded stays
    Reroute {
        /// The message
        id: String,
        /// HOST or HOST:PORT
        #[arg(long, value_name = "HOST")]
        to: String,
    },
    /// Take a message out without telling its sender
    Cancel {
        /// The message
        id: String,
    },
    /// Give a message back to its sender now
    Bounce {
        /// The message
        id: String,
    },
    /// Send nothing to a domain until "unfreeze"
    Freeze {
        /// The domain
        domain: Domain,
        /// Why, for the next administrator
        #[arg(long, default_value = "", hide_default_value = true)]
        reason: String,
    },
    /// Let mail to a domain go on
    Unfreeze {
        /// The domain
        domain: Domain,
    },
}

/// Answers a request.
///
/// # Errors
///
/// The store's, and what the words of the request do not name.
pub async fn answer(admin: &Admin, request: Request) -> anyhow::Result<Answer> {
    match request {
        Request::List { domain, held, limit } => list::list(admin, domain, held, limit).await,
        Request::Show { id } => list::show(admin, &id).await,
        Request::Hold { id, reason } => steer::hold(admin, &id, &reason).await,
        Request::Release { id } => steer::release(admin, &id).await,
        Request::Retry { id, domain, all: _ } => steer::retry(admin, id, domain).await,
        Request::Reroute { id, to } => steer::reroute(admin, &id, &to).await,
        Request::Cancel { id } => steer::end(admin, &id, queue::Removal::Cancel).await,
        Request::Bounce { id } => steer::end(admin, &id, queue::Removal::Bounce).await,
        Request::Freeze { domain, reason } => steer::freeze(admin, &domain, &reason).await,
        Request::Unfreeze { domain } => steer::unfreeze(admin, &domain).await,
    }
}
