//! What a configuration says about flow control, ready to be asked.

use std::collections::HashSet;

use config::Config;
use flow::{BanSettings, Networks, Quotas, Rate, SizeRules};
use mail::Address;

/// Flow control of one revision of the configuration.
pub struct FlowPolicy {
    /// Never banned, denied or slowed down.
    pub friendly: Networks<()>,
    /// Turned away.
    pub deny: Networks<()>,
    /// How often a client may connect.
    pub client_rate: Option<Rate>,
    /// How often a client and its neighbours may connect.
    pub network_rate: Option<Rate>,
    /// When incidents become a ban.
    pub bans: BanSettings,
    /// How much anyone may send.
    pub quotas: Quotas,
    /// How large messages may be.
    pub sizes: SizeRules,
    spamtraps: HashSet<String>,
}

impl FlowPolicy {
    /// What `config` says.
    pub fn of(config: &Config) -> Self {
        let rules: Vec<_> = config.size_limits.iter().map(|limits| limits.rule.clone()).collect();
        Self {
            friendly: config.flow.friendly.iter().copied().collect(),
            deny: config.flow.deny.iter().copied().collect(),
            client_rate: *config.flow.client_rate,
            network_rate: *config.flow.network_rate,
            bans: config.bans.settings(),
            quotas: Quotas { all: config.quotas.iter().map(|q| q.quota.clone()).collect() },
            sizes: SizeRules::new(&rules),
            spamtraps: config.bans.spamtraps.iter().map(Address::to_key).collect(),
        }
    }

    /// Whether nobody writes to `address` who has not stolen or guessed it.
    pub fn is_spamtrap(&self, address: &Address) -> bool {
        !self.spamtraps.is_empty() && self.spamtraps.contains(&address.to_key())
    }
}
