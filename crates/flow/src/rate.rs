//! How often a network may connect.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use mail::Timestamp;

use crate::network::{client_network, neighbours};

/// So many within a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many, all of which may come at once.
    pub count: u32,
    /// The time in which as many are allowed anew.
    pub period: Duration,
}

/// Which rate was exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TooOften {
    /// That of the client: an IPv4 address or an IPv6 /64.
    Client,
    /// That of its neighbourhood: IPv4 /24 or IPv6 /56.
    Neighbours,
}

/// New connections by client and by neighbourhood.
///
/// Buckets in two generations of at most `entries_max` each: when the younger is full the
/// older is forgotten, so memory is bounded and whoever keeps coming stays known.
#[derive(Debug)]
pub struct Rates {
    young: HashMap<IpNet, Bucket>,
    old: HashMap<IpNet, Bucket>,
    entries_max: usize,
}

/// What is left to a network, in thousandths of a connection.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: u64,
    at: Timestamp,
}

const WHOLE: u64 = 1_000;

impl Rates {
    /// No connections yet.
    pub fn new(entries_max: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), entries_max: entries_max.max(1) }
    }

    /// Counts a new connection of `ip`. One that is refused counts for nothing.
    ///
    /// # Errors
    ///
    /// The rate that is exceeded.
    pub fn connect(
        &mut self,
        ip: IpAddr,
        client: Option<Rate>,
        neighbourhood: Option<Rate>,
        now: Timestamp,
    ) -> Result<(), TooOften> {
        let wanted = [
            (client, client_network(ip), TooOften::Client),
            (neighbourhood, neighbours(ip), TooOften::Neighbours),
        ];
        let mut paid = Vec::with_capacity(wanted.len());
        for (rate, network, which) in wanted {
            let Some(rate) = rate else { continue };
            let bucket = self.bucket(&network, rate, now);
            let Some(left) = bucket.left.checked_sub(WHOLE) else {
                return Err(which);
            };
            paid.push((network, Bucket { left, at: now }));
        }
        for (network, bucket) in paid {
            self.keep(network, bucket);
        }
        Ok(())
    }

    fn bucket(&self, network: &IpNet, rate: Rate, now: Timestamp) -> Bucket {
        let full = u64::from(rate.count) * WHOLE;
        let Some(known) = self.young.get(network).or_else(|| self.old.get(network)) else {
            return Bucket { left: full, at: now };
        };
        let period = u64::try_from(rate.period.as_millis()).unwrap_or(u64::MAX).max(1);
        let passed = u64::try_from(now.since(known.at).as_millis()).unwrap_or(u64::MAX);
        let refilled = passed.saturating_mul(full) / period;
        Bucket { left: known.left.saturating_add(refilled).min(full), at: now }
    }

    fn keep(&mut self, network: IpNet, bucket: Bucket) {
        if self.young.len() >= self.entries_max && !self.young.contains_key(&network) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(network, bucket);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp(1_700_000_000_000);

    const fn rate(count: u32) -> Rate {
        Rate { count, period: Duration::from_secs(10) }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_client_that_comes_too_often_waits_and_others_do_not() {
        let mut rates = Rates::new(100);
        let mut come = |text: &str, secs: u64| {
            rates.connect(
                ip(text),
                Some(rate(5)),
                Some(rate(8)),
                START.plus(Duration::from_secs(secs)),
            )
        };
        for _ in 0..5 {
            assert_eq!(come("192.0.2.7", 0), Ok(()));
        }
        assert_eq!(come("192.0.2.7", 0), Err(TooOften::Client));
        for _ in 0..3 {
            assert_eq!(come("192.0.2.8", 0), Ok(()));
        }
        assert_eq!(come("192.0.2.9", 0), Err(TooOften::Neighbours));
        assert_eq!(come("198.51.100.1", 0), Ok(()));
        assert_eq!(come("192.0.2.7", 2), Ok(()));
        assert_eq!(come("192.0.2.7", 2), Err(TooOften::Client));
        assert_eq!(come("192.0.2.7", 60), Ok(()));
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_are_one_client() {
        let mut rates = Rates::new(100);
        for n in 0..5 {
            assert_eq!(
                rates.connect(ip(&format!("2001:db8::{n}")), Some(rate(5)), None, START),
                Ok(())
            );
        }
        assert_eq!(
            rates.connect(ip("2001:db8::ffff"), Some(rate(5)), None, START),
            Err(TooOften::Client)
        );
        assert_eq!(rates.connect(ip("2001:db8:0:1::1"), Some(rate(5)), None, START), Ok(()));
    }

    #[test]
    fn memory_is_bounded_and_who_keeps_coming_stays_known() {
        let mut rates = Rates::new(64);
        let flooder = ip("192.0.2.7");
        let mut refused = 0;
        for n in 0..20_000_u32 {
            let other = IpAddr::V4((0x0A00_0000 + n).into());
            assert_eq!(rates.connect(other, Some(rate(5)), None, START), Ok(()));
            if n % 16 == 0 && rates.connect(flooder, Some(rate(5)), None, START).is_err() {
                refused += 1;
            }
            assert!(rates.young.len() <= 64 && rates.old.len() <= 64);
        }
        assert!(refused > 0, "{refused}");
    }
}
