//! Flow control: who is let in, who is banned, how much anyone may send.

use std::time::Duration;

use ipnet::IpNet;
use mail::Address;

use crate::located::Located;

/// `flow { }`
#[derive(Debug, Clone, PartialEq)]
pub struct Flow {
    /// Clients that are never banned, denied or slowed down.
    pub friendly: Vec<IpNet>,
    /// Clients that are turned away.
    pub deny: Vec<IpNet>,
    /// How often one client may connect.
    pub client_rate: Located<Option<flow::Rate>>,
    /// How often a client and its neighbours may connect.
    pub network_rate: Located<Option<flow::Rate>>,
}

/// `bans { }`
#[derive(Debug, Clone, PartialEq)]
pub struct Bans {
    /// The weight of incidents that leads to a ban.
    pub incidents: Located<Option<u32>>,
    /// The time in which they add up.
    pub within: Located<Duration>,
    /// How long a first ban lasts.
    pub time: Located<Duration>,
    /// The longest one lasts.
    pub time_max: Located<Duration>,
    /// Weights that differ from the usual.
    pub weights: Vec<(flow::Incident, u32)>,
    /// Addresses that lead to a ban.
    pub spamtraps: Vec<Address>,
    /// The most bans kept.
    pub entries: Located<u32>,
}

/// `quota NAME { }`
#[derive(Debug, Clone, PartialEq)]
pub struct Quota {
    /// Its name.
    pub name: Located<String>,
    /// All of it, ready to be asked.
    pub quota: flow::Quota,
}

/// `size-limits NAME { }`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SizeLimits {
    /// Its name.
    pub name: Located<String>,
    /// All of it, ready to be asked.
    pub rule: flow::SizeRule,
}

impl Bans {
    /// As the counting of incidents wants it.
    pub fn settings(&self) -> flow::BanSettings {
        let mut settings = flow::BanSettings {
            incidents: *self.incidents,
            within: *self.within,
            time: *self.time,
            time_max: (*self.time_max).max(*self.time),
            entries_max: *self.entries as usize,
            ..flow::BanSettings::default()
        };
        for (incident, weight) in &self.weights {
            settings.weigh(*incident, *weight);
        }
        settings
    }
}
