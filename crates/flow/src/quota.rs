//! Sending quotas: who may send how much in which time.

mod ledger;
mod selection;

use std::time::Duration;

use mail::{Address, Timestamp};
use serde::{Deserialize, Serialize};

pub use ledger::{CounterRow, Ledger, Standing, Taken, Warning};
pub use selection::{Selection, Sender};

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// Messages.
    Messages,
    /// Recipients.
    Recipients,
    /// Octets of messages, once each, however many recipients.
    Octets,
    /// Faxes, one for each number.
    Faxes,
    /// Pages of faxes, for each number again.
    Pages,
}

impl What {
    /// As configuration and replies name it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Recipients => "recipients",
            Self::Octets => "octets",
            Self::Faxes => "faxes",
            Self::Pages => "pages",
        }
    }
}

/// The time in which a limit holds; it slides, so there is no hour at which it begins anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Period {
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day.
    Day,
    /// Thirty days.
    Month,
}

impl Period {
    /// As configuration and replies name it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
        }
    }

    /// How long it is.
    pub const fn length(self) -> Duration {
        Duration::from_secs(match self {
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
            Self::Month => 30 * 86_400,
        })
    }
}

/// `messages 100 per hour`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// What is counted.
    pub what: What,
    /// How many.
    pub max: u64,
    /// In which time.
    pub period: Period,
}

/// A quota: limits, and whose sending they hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Quota {
    /// Its name, unique among quotas.
    pub name: String,
    /// What may be sent.
    pub limits: Vec<Limit>,
    /// Whom it holds; empty holds everyone who signed in.
    pub holds: Selection,
    /// Whom, and when, it does not hold.
    pub except: Selection,
    /// The percentage of a limit at which the account is warned.
    pub warn_at_percent: Option<u8>,
}

/// Every quota of a configuration.
#[derive(Debug, Clone, Default)]
pub struct Quotas {
    /// In the order written.
    pub all: Vec<Quota>,
}

impl Quotas {
    /// The groups that quotas name; one that several name comes several times.
    pub fn groups(&self) -> impl Iterator<Item = &Address> {
        self.all.iter().flat_map(|quota| [&quota.holds, &quota.except]).flat_map(Selection::groups)
    }
}

/// What a transaction sends, or is about to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Messages.
    pub messages: u64,
    /// Recipients.
    pub recipients: u64,
    /// Octets.
    pub octets: u64,
    /// Faxes, one for each number.
    pub faxes: u64,
    /// Pages of faxes, for each number again.
    pub pages: u64,
}

impl Usage {
    /// How much of it is of a kind.
    pub const fn of(&self, what: What) -> u64 {
        match what {
            What::Messages => self.messages,
            What::Recipients => self.recipients,
            What::Octets => self.octets,
            What::Faxes => self.faxes,
            What::Pages => self.pages,
        }
    }
}

/// A limit that leaves no room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// The quota.
    pub quota: String,
    /// Its limit.
    pub limit: Limit,
    /// When there will be room; `None` if what is asked for is more than the limit itself.
    pub free_at: Option<Timestamp>,
}

impl Quota {
    /// Under which name the sending of `sender` is counted: the sender's, or where the quota
    /// holds a fax account, that account's.
    pub fn subject(&self, sender: &Sender<'_>) -> String {
        match sender.fax_account {
            Some(name) if self.holds.fax_accounts().next().is_some() => format!("fax {name}"),
            Some(_) | None => sender.subject(),
        }
    }

    /// Whether the quota holds `sender` at `now`.
    pub fn applies(&self, sender: &Sender<'_>, now: Timestamp) -> bool {
        let held = if self.holds.is_empty() {
            sender.account.is_some()
        } else {
            self.holds.all_of(sender, now)
        };
        held && !self.except.any_of(sender, now)
    }
}

impl Quotas {
    /// Those that hold `sender` at `now`.
    pub fn of<'a>(
        &'a self,
        sender: &'a Sender<'_>,
        now: Timestamp,
    ) -> impl Iterator<Item = &'a Quota> {
        self.all.iter().filter(move |quota| quota.applies(sender, now))
    }
}
