//! Slowing down and locking out those who guess passwords.
//!
//! Failures count against the client's network and against the account. An account is only
//! ever slowed down, never locked: else anybody could lock its owner out. A network that goes
//! on is locked. Counts fade by one for each [`Limits::fade`], and a success forgives the
//! account, but of the network only one failure, so that nobody wipes out his guesses by
//! signing in to an account of his own in between.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use mail::Timestamp;

/// When failures slow down and when they lock out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Failures without any consequence.
    pub free: u32,
    /// The delay after the first failure beyond `free`; it doubles with each further one.
    pub delay_min: Duration,
    /// The longest delay.
    pub delay_max: Duration,
    /// Failures of one network after which it is locked.
    pub lock_after: u32,
    /// How long it is locked.
    pub lock_for: Duration,
    /// The time in which one failure fades.
    pub fade: Duration,
    /// Networks and accounts remembered, each.
    pub entries_max: usize,
}

impl Default for Limits {
    /// Two free failures, delays from 1 to 10 seconds, a lock of 15 minutes after ten failures,
    /// one failure fades in two minutes, 65,536 networks and accounts.
    fn default() -> Self {
        Self {
            free: 2,
            delay_min: Duration::from_secs(1),
            delay_max: Duration::from_secs(10),
            lock_after: 10,
            lock_for: Duration::from_secs(15 * 60),
            fade: Duration::from_secs(2 * 60),
            entries_max: 65_536,
        }
    }
}

/// What a client meets that wants to sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// Go on.
    Open,
    /// Go on, and give the answer only after this time.
    Slow(Duration),
    /// Check nothing before this instant.
    Locked(Timestamp),
}

/// Failed sign-ins, counted. A value: the caller passes the time and holds the lock.
#[derive(Debug)]
pub struct Failures {
    limits: Limits,
    networks: Counts<IpAddr>,
    accounts: Counts<Box<str>>,
}

impl Failures {
    /// None yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            networks: Counts::new(limits.entries_max),
            accounts: Counts::new(limits.entries_max),
        }
    }

    /// What a client at `ip` meets that wants to sign in as `account`.
    pub fn gate(&self, ip: IpAddr, account: &str, now: Timestamp) -> Gate {
        let limits = &self.limits;
        let network = self.networks.at(&network_of(ip));
        if let Some(until) = network.and_then(|count| count.locked_until)
            && now < until
        {
            return Gate::Locked(until);
        }
        let failures = |count: Option<&Count>| count.map_or(0, |count| count.faded(limits, now));
        let most = failures(network).max(failures(self.accounts.at(&*account_key(account))));
        match most.checked_sub(limits.free + 1) {
            None => Gate::Open,
            Some(doublings) => {
                let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
                Gate::Slow(limits.delay_min.saturating_mul(factor).min(limits.delay_max))
            }
        }
    }

    /// Notes that a client at `ip` failed to sign in as `account`, and returns what it meets
    /// next.
    pub fn failed(&mut self, ip: IpAddr, account: &str, now: Timestamp) -> Gate {
        let limits = self.limits;
        let network = self.networks.entry(network_of(ip), &limits, now);
        network.add(&limits, now);
        if network.failures >= limits.lock_after {
            network.locked_until = Some(now.plus(limits.lock_for));
            network.failures = limits.lock_after.saturating_sub(1);
        }
        self.accounts.entry(account_key(account), &limits, now).add(&limits, now);
        self.gate(ip, account, now)
    }

    /// Notes that a client at `ip` signed in as `account`.
    pub fn succeeded(&mut self, ip: IpAddr, account: &str, now: Timestamp) {
        if let Some(count) = self.networks.by_key.get_mut(&network_of(ip)) {
            count.failures = count.faded(&self.limits, now).saturating_sub(1);
            count.last = now;
        }
        if let Some(count) = self.accounts.by_key.get_mut(&*account_key(account)) {
            count.failures = 0;
        }
    }

    /// Lifts the lock of the network of `ip` and forgets its failures.
    pub fn pardon(&mut self, ip: IpAddr) {
        if let Some(count) = self.networks.by_key.get_mut(&network_of(ip)) {
            *count = Count::default();
        }
    }

    /// The networks that are locked, by their first address, and until when.
    pub fn locked(&self, now: Timestamp) -> impl Iterator<Item = (IpAddr, Timestamp)> {
        self.networks
            .by_key
            .iter()
            .filter_map(move |(ip, count)| Some((*ip, count.locked_until.filter(|at| now < *at)?)))
    }
}

impl Default for Failures {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

/// What counts as one client: an IPv4 address, or the /64 of an IPv6 address.
fn network_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)).into(),
    }
}

/// Accounts are told apart without case; a name longer than any account's is cut off.
fn account_key(account: &str) -> Box<str> {
    account.chars().take(ACCOUNT_KEY_MAX_CHARS).flat_map(char::to_lowercase).collect()
}

const ACCOUNT_KEY_MAX_CHARS: usize = 320;

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    failures: u32,
    last: Timestamp,
    locked_until: Option<Timestamp>,
}

impl Count {
    /// The failures that have not faded by `now`.
    fn faded(&self, limits: &Limits, now: Timestamp) -> u32 {
        let fade_ms = limits.fade.as_millis().max(1);
        let faded = now.since(self.last).as_millis() / fade_ms;
        self.failures.saturating_sub(u32::try_from(faded).unwrap_or(u32::MAX))
    }

    fn add(&mut self, limits: &Limits, now: Timestamp) {
        self.failures = self.faded(limits, now).saturating_add(1);
        self.last = now;
    }

    fn matters(&self, limits: &Limits, now: Timestamp) -> bool {
        self.faded(limits, now) > limits.free || self.locked_until.is_some_and(|until| now < until)
    }
}

/// Counts for at most so many keys. When there is no room, the oldest key goes, unless it
/// matters; then it is spared, [`SPARED_MAX`] keys at most for one newcomer.
#[derive(Debug)]
struct Counts<K> {
    by_key: HashMap<K, Count>,
    order: VecDeque<K>,
    limit: usize,
}

impl<K: Clone + Eq + Hash> Counts<K> {
    fn new(limit: usize) -> Self {
        Self { by_key: HashMap::new(), order: VecDeque::new(), limit: limit.max(1) }
    }

    fn at<Q>(&self, key: &Q) -> Option<&Count>
    where
        K: std::borrow::Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.by_key.get(key)
    }

    fn entry(&mut self, key: K, limits: &Limits, now: Timestamp) -> &mut Count {
        if !self.by_key.contains_key(&key) {
            self.make_room(limits, now);
            self.order.push_back(key.clone());
        }
        self.by_key.entry(key).or_default()
    }

    fn make_room(&mut self, limits: &Limits, now: Timestamp) {
        let mut spared = 0;
        while self.by_key.len() >= self.limit {
            let Some(oldest) = self.order.pop_front() else { return };
            let matters = self.by_key.get(&oldest).is_some_and(|count| count.matters(limits, now));
            if matters && spared < SPARED_MAX {
                spared += 1;
                self.order.push_back(oldest);
            } else {
                self.by_key.remove(&oldest);
            }
        }
    }
}

/// Old keys spared to make room for one new key.
const SPARED_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp(1_000_000_000_000);

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn failures_slow_down_and_then_lock_the_network() {
        let mut failures = Failures::default();
        let guesser = ip("192.0.2.7");
        let mut met = Vec::new();
        for n in 0..10 {
            met.push(failures.failed(guesser, &format!("user{n}"), START));
        }
        let slow = |secs| Gate::Slow(Duration::from_secs(secs));
        assert_eq!(met[..4], [Gate::Open, Gate::Open, slow(1), slow(2)]);
        assert_eq!(met[8], slow(10));
        let until = START.plus(Duration::from_secs(15 * 60));
        assert_eq!(met[9], Gate::Locked(until));
        assert_eq!(failures.gate(guesser, "ann", START), Gate::Locked(until));
        assert_eq!(failures.gate(ip("192.0.2.8"), "ann", START), Gate::Open);
        assert_eq!(failures.locked(START).collect::<Vec<_>>(), [(guesser, until)]);
        assert_ne!(failures.gate(guesser, "ann", until), Gate::Locked(until));
        failures.pardon(guesser);
        assert_eq!(failures.gate(guesser, "ann", START), Gate::Open);
    }

    #[test]
    fn an_account_under_attack_is_slowed_and_never_locked() {
        let mut failures = Failures::default();
        for n in 0..200_u8 {
            failures.failed(ip(&format!("198.51.100.{n}")), "Ann@clinic.example", START);
        }
        let gate = failures.gate(ip("192.0.2.7"), "ann@CLINIC.example", START);
        assert_eq!(gate, Gate::Slow(Duration::from_secs(10)));
        failures.succeeded(ip("192.0.2.7"), "ann@clinic.example", START);
        assert_eq!(failures.gate(ip("192.0.2.7"), "ann@clinic.example", START), Gate::Open);
    }

    #[test]
    fn signing_in_to_an_own_account_does_not_wipe_out_guesses() {
        let mut failures = Failures::default();
        let guesser = ip("192.0.2.7");
        for _ in 0..5 {
            failures.failed(guesser, "victim", START);
            failures.failed(guesser, "victim", START);
            failures.succeeded(guesser, "own", START);
        }
        assert!(matches!(failures.gate(guesser, "other", START), Gate::Slow(_)));
    }

    #[test]
    fn failures_fade() {
        let mut failures = Failures::default();
        for _ in 0..5 {
            failures.failed(ip("192.0.2.7"), "ann", START);
        }
        let later = START.plus(Duration::from_secs(6 * 60));
        assert_eq!(failures.gate(ip("192.0.2.7"), "ann", later), Gate::Open);
    }

    #[test]
    fn a_client_is_its_ipv6_network() {
        let mut failures = Failures::default();
        for n in 0..10 {
            failures.failed(ip(&format!("2001:db8:0:1::{n:x}")), &format!("user{n}"), START);
        }
        assert!(matches!(failures.gate(ip("2001:db8:0:1::ffff"), "x", START), Gate::Locked(_)));
        assert_eq!(failures.gate(ip("2001:db8:0:2::1"), "x", START), Gate::Open);
    }

    #[test]
    fn memory_is_bounded_and_what_matters_stays() {
        let limits = Limits { entries_max: 100, ..Limits::default() };
        let mut failures = Failures::new(limits);
        for n in 0..10 {
            failures.failed(ip("192.0.2.7"), &format!("user{n}"), START);
        }
        for n in 0..10_000_u32 {
            failures.failed(IpAddr::V4((0x0A00_0000 + n).into()), &format!("name{n}"), START);
        }
        assert_eq!(failures.networks.by_key.len(), 100);
        assert_eq!(failures.networks.order.len(), 100);
        assert_eq!(failures.accounts.by_key.len(), 100);
        assert!(matches!(failures.gate(ip("192.0.2.7"), "x", START), Gate::Locked(_)));
    }
}
