//! What a message is held to: its size and that of its parts, for whom.

use std::collections::HashMap;

use mail::{Address, Domain};

/// Limits of one message; `None` says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SizeLimits {
    /// The whole message, in octets.
    pub message: Option<u64>,
    /// Its header, in octets.
    pub header: Option<u64>,
    /// The largest attachment, decoded, in octets.
    pub attachment: Option<u64>,
    /// All attachments together, decoded, in octets.
    pub attachments: Option<u64>,
    /// Recipients of one transaction.
    pub recipients: Option<u32>,
}

impl SizeLimits {
    /// These, and where they say nothing those of `wider`.
    #[must_use]
    pub fn or(self, wider: Self) -> Self {
        Self {
            message: self.message.or(wider.message),
            header: self.header.or(wider.header),
            attachment: self.attachment.or(wider.attachment),
            attachments: self.attachments.or(wider.attachments),
            recipients: self.recipients.or(wider.recipients),
        }
    }
}

/// Which way mail goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From elsewhere to us.
    In,
    /// From somebody who signed in, or from a trusted network.
    Out,
}

/// Whom limits are for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SizeRule {
    /// One way only.
    pub direction: Option<Direction>,
    /// Accounts; with domains empty too, everyone.
    pub accounts: Vec<Address>,
    /// Domains.
    pub domains: Vec<Domain>,
    /// The limits.
    pub limits: SizeLimits,
}

/// Limits by whom they are for. The most specific one wins, limit by limit: an account
/// before its domain before everyone; at each of them a direction before both.
#[derive(Debug, Clone, Default)]
pub struct SizeRules {
    accounts: HashMap<(String, Option<Direction>), SizeLimits>,
    domains: HashMap<(Domain, Option<Direction>), SizeLimits>,
    everyone: HashMap<Option<Direction>, SizeLimits>,
}

impl SizeRules {
    /// The rules in the order written; of two for the same the first wins.
    pub fn new(rules: &[SizeRule]) -> Self {
        let mut all = Self::default();
        for rule in rules {
            let put = |known: &mut SizeLimits| *known = known.or(rule.limits);
            for account in &rule.accounts {
                put(all.accounts.entry((account.to_key(), rule.direction)).or_default());
            }
            for domain in &rule.domains {
                put(all.domains.entry((domain.clone(), rule.direction)).or_default());
            }
            if rule.accounts.is_empty() && rule.domains.is_empty() {
                put(all.everyone.entry(rule.direction).or_default());
            }
        }
        all
    }

    /// Whether nothing is limited.
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty() && self.domains.is_empty() && self.everyone.is_empty()
    }

    /// Whether any limit is about attachments.
    pub fn asks_for_attachments(&self) -> bool {
        let mut all =
            self.accounts.values().chain(self.domains.values()).chain(self.everyone.values());
        all.any(|limits| limits.attachment.is_some() || limits.attachments.is_some())
    }

    /// The largest message and the most recipients that any account or domain may have of
    /// mail that goes `direction`; where nothing is said, those of `base`.
    pub fn most(&self, direction: Direction, base: SizeLimits) -> SizeLimits {
        let mut most = self.limits(direction, None).or(base);
        let ways = [Some(direction), None];
        let accounts = self.accounts.iter().map(|((_, way), limits)| (way, limits));
        let domains = self.domains.iter().map(|((_, way), limits)| (way, limits));
        for (_, limits) in accounts.chain(domains).filter(|(way, _)| ways.contains(way)) {
            most.message = limits.message.max(most.message);
            most.recipients = limits.recipients.max(most.recipients);
        }
        most
    }

    /// The limits of mail that goes `direction`, for the account or address `whose`.
    pub fn limits(&self, direction: Direction, whose: Option<&Address>) -> SizeLimits {
        let ways = [Some(direction), None];
        let mut found = SizeLimits::default();
        if let Some(address) = whose {
            let key = address.to_key();
            for way in ways {
                found =
                    found.or(self.accounts.get(&(key.clone(), way)).copied().unwrap_or_default());
            }
            for way in ways {
                let domain = (address.domain().clone(), way);
                found = found.or(self.domains.get(&domain).copied().unwrap_or_default());
            }
        }
        for way in ways {
            found = found.or(self.everyone.get(&way).copied().unwrap_or_default());
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(direction: Option<Direction>, account: &str, domain: &str, message: u64) -> SizeRule {
        SizeRule {
            direction,
            accounts: account.parse().into_iter().collect(),
            domains: domain.parse().into_iter().collect(),
            limits: SizeLimits { message: Some(message), ..SizeLimits::default() },
        }
    }

    #[test]
    fn the_most_specific_limit_wins_each_for_itself() {
        let mut all = vec![
            rule(None, "", "", 1),
            rule(Some(Direction::Out), "", "", 2),
            rule(None, "", "clinic.example", 3),
            rule(Some(Direction::In), "", "clinic.example", 4),
            rule(None, "ann@clinic.example", "", 5),
            rule(Some(Direction::Out), "Ann@clinic.example", "", 6),
        ];
        all[0].limits.recipients = Some(9);
        let rules = SizeRules::new(&all);
        let message = |direction, whose: &str| {
            let limits = rules.limits(direction, whose.parse().ok().as_ref());
            assert_eq!(limits.recipients, Some(9));
            limits.message
        };
        assert_eq!(message(Direction::In, ""), Some(1));
        assert_eq!(message(Direction::Out, ""), Some(2));
        assert_eq!(message(Direction::Out, "x@else.example"), Some(2));
        assert_eq!(message(Direction::Out, "bob@clinic.example"), Some(3));
        assert_eq!(message(Direction::In, "bob@clinic.example"), Some(4));
        assert_eq!(message(Direction::In, "ANN@clinic.example"), Some(5));
        assert_eq!(message(Direction::Out, "ann@clinic.example"), Some(6));
    }
}
