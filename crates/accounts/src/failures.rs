//! Slowing down and locking out those who guess passwords, on whatever service they try.
//!
//! Failures count against the account at the client's network, against the network, and
//! against the account. The first two are locked when they go on. An account as a whole is
//! only ever slowed down, never locked: else anybody could lock its owner out. Against
//! guesses that come from everywhere at once, an account under attack has
//! [`Limits::attack_every`]: one check in that time from networks it does not know.
//! A network from which the account was signed in to lately is *known*: what happens
//! elsewhere does not touch it.
//!
//! Counts fade by one for each [`Limits::fade`], and a success forgives the account and the
//! pair, but of the network only one failure, so that nobody wipes out his guesses by
//! signing in to an account of his own in between.

mod counts;
mod row;

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use mail::Timestamp;

use counts::{Count, Counts, Known};
pub use row::FailureRow;

/// When failures slow down and when they lock out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Failures without any consequence.
    pub free: u32,
    /// The delay after the first failure beyond `free`; it doubles with each further one.
    pub delay_min: Duration,
    /// The longest delay.
    pub delay_max: Duration,
    /// Failures of one account at one network after which the two are locked.
    pub pair_lock_after: u32,
    /// Failures of one network after which it is locked.
    pub lock_after: u32,
    /// How long either is locked.
    pub lock_for: Duration,
    /// The time in which one failure fades.
    pub fade: Duration,
    /// Failures of one account, from wherever, that are an attack on it.
    pub attack_after: u32,
    /// One check of an account under attack in this time, from networks it does not know.
    pub attack_every: Duration,
    /// Checks of an account under attack that may come at once.
    pub attack_burst: u32,
    /// How long a network is known to an account after a sign-in.
    pub known_for: Duration,
    /// Networks, accounts and pairs remembered, each.
    pub entries_max: usize,
}

impl Default for Limits {
    /// Two free failures, delays from 1 to 10 seconds; a lock of 15 minutes after six failures
    /// of an account at a network or ten of a network; one failure fades in two minutes; 30
    /// of an account are an attack, which may try ten at once and then one every six seconds;
    /// networks are known for 30 days; 65,536 entries.
    fn default() -> Self {
        Self {
            free: 2,
            delay_min: Duration::from_secs(1),
            delay_max: Duration::from_secs(10),
            pair_lock_after: 6,
            lock_after: 10,
            lock_for: Duration::from_secs(15 * 60),
            fade: Duration::from_secs(2 * 60),
            attack_after: 30,
            attack_every: Duration::from_secs(6),
            attack_burst: 10,
            known_for: Duration::from_secs(30 * 86_400),
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
    networks: Counts<IpAddr, Count>,
    accounts: Counts<Box<str>, Count>,
    pairs: Counts<Pair, Count>,
    known: Counts<Pair, Known>,
}

type Pair = (IpAddr, Box<str>);

impl Failures {
    /// None yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let max = limits.entries_max;
        Self {
            limits,
            networks: Counts::new(max),
            accounts: Counts::new(max),
            pairs: Counts::new(max),
            known: Counts::new(max),
        }
    }

    /// What a client at `ip` meets that wants to sign in as `account`. Anything but
    /// [`Gate::Locked`] counts as one check of an account under attack.
    pub fn gate(&mut self, ip: IpAddr, account: &str, now: Timestamp) -> Gate {
        let gate = self.look(ip, account, now);
        if matches!(gate, Gate::Locked(_)) || self.knows(ip, account, now) {
            return gate;
        }
        let limits = self.limits;
        let Some(count) = self.accounts.get_mut(&account_key(account)) else { return gate };
        if count.faded(&limits, now) <= limits.attack_after {
            return gate;
        }
        let ahead = limits.attack_every.saturating_mul(limits.attack_burst);
        let next = count.next_check.max(now);
        if next.since(now) > ahead {
            return Gate::Locked(now.plus(next.since(now).saturating_sub(ahead)));
        }
        count.next_check = next.plus(limits.attack_every);
        gate
    }

    /// The same without counting a check.
    fn look(&self, ip: IpAddr, account: &str, now: Timestamp) -> Gate {
        let limits = &self.limits;
        let (network, account) = (network_of(ip), account_key(account));
        let pair = (network, account);
        let known = self.known.get(&pair).is_some_and(|known| known.until > now);
        let at_pair = self.pairs.get(&pair);
        let elsewhere = |count: Option<&Count>| count.filter(|_| !known).copied();
        let at_network = elsewhere(self.networks.get(&network));
        let at_account = elsewhere(self.accounts.get(&pair.1));
        let locked = [at_pair.copied(), at_network].into_iter().flatten();
        if let Some(until) = locked.filter_map(|count| count.lock(now)).max() {
            return Gate::Locked(until);
        }
        let counts = [at_pair.copied(), at_network, at_account].into_iter().flatten();
        let most = counts.map(|count| count.faded(limits, now)).max().unwrap_or(0);
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
        let (network, key) = (network_of(ip), account_key(account));
        let pair = (network, key.clone());
        self.pairs.entry(pair, &limits, now).add(limits.pair_lock_after, &limits, now);
        self.networks.entry(network, &limits, now).add(limits.lock_after, &limits, now);
        self.accounts.entry(key, &limits, now).add(u32::MAX, &limits, now);
        self.look(ip, account, now)
    }

    /// Notes that a client at `ip` signed in as `account`.
    pub fn succeeded(&mut self, ip: IpAddr, account: &str, now: Timestamp) {
        let limits = self.limits;
        let (network, key) = (network_of(ip), account_key(account));
        if let Some(count) = self.networks.get_mut(&network) {
            count.failures = count.faded(&limits, now).saturating_sub(1);
            count.last = now;
        }
        if let Some(count) = self.accounts.get_mut(&key) {
            // From a network it does not know, the attack on it goes on.
            let attacked = count.faded(&limits, now) > limits.attack_after;
            if !attacked {
                count.failures = 0;
            }
        }
        let pair = (network, key);
        if let Some(count) = self.pairs.get_mut(&pair) {
            count.failures = 0;
        }
        let until = now.plus(limits.known_for);
        let fresh = self.known.get(&pair).map(|known| known.until);
        // Once a day is enough to write down.
        if fresh.is_none_or(|fresh| until.since(fresh) > KNOWN_ANEW) {
            self.known.entry(pair, &limits, now).until = until;
        }
    }

    /// Whether `account` was signed in to from the network of `ip` lately.
    pub fn knows(&self, ip: IpAddr, account: &str, now: Timestamp) -> bool {
        let known = self.known.get(&(network_of(ip), account_key(account)));
        known.is_some_and(|known| known.until > now)
    }

    /// Lifts the locks of the network of `ip` and forgets its failures.
    pub fn pardon(&mut self, ip: IpAddr) {
        let network = network_of(ip);
        if let Some(count) = self.networks.get_mut(&network) {
            *count = Count::default();
        }
        self.pairs.reset(|pair| pair.0 == network);
    }

    /// The networks that are locked, by their first address, and until when.
    pub fn locked(&self, now: Timestamp) -> impl Iterator<Item = (IpAddr, Timestamp)> {
        self.networks.iter().filter_map(move |(ip, count)| Some((*ip, count.lock(now)?)))
    }

    /// The account and network pairs that are locked, and until when.
    pub fn locked_pairs(&self, now: Timestamp) -> impl Iterator<Item = (IpAddr, &str, Timestamp)> {
        let pairs = self.pairs.iter();
        pairs.filter_map(move |((ip, account), count)| Some((*ip, &**account, count.lock(now)?)))
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
/// A known network is noted anew when it was last this long ago.
const KNOWN_ANEW: Duration = Duration::from_secs(86_400);

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
        assert!(failures.knows(ip("192.0.2.7"), "ANN@clinic.example", START));
    }

    #[test]
    fn a_known_network_is_not_touched_by_what_happens_elsewhere() {
        let mut failures = Failures::default();
        let home = ip("192.0.2.7");
        failures.succeeded(home, "ann", START);
        for n in 0..250_u8 {
            failures.failed(ip(&format!("198.51.100.{n}")), "ann", START);
        }
        // A guesser behind the same address tries others.
        for n in 0..20 {
            failures.failed(home, &format!("user{n}"), START);
        }
        assert!(matches!(failures.gate(home, "bob", START), Gate::Locked(_)));
        for _ in 0..100 {
            assert_eq!(failures.gate(home, "ann", START), Gate::Open);
        }
        let later = START.plus(Duration::from_secs(31 * 86_400));
        assert!(!failures.knows(home, "ann", later));
    }

    #[test]
    fn an_account_is_locked_at_one_network_and_nowhere_else() {
        let mut failures = Failures::default();
        let mut gate = Gate::Open;
        for _ in 0..6 {
            gate = failures.failed(ip("192.0.2.7"), "ann", START);
        }
        assert!(matches!(gate, Gate::Locked(_)));
        assert_eq!(failures.locked(START).count(), 0);
        assert_eq!(failures.locked_pairs(START).count(), 1);
        assert!(!matches!(failures.gate(ip("192.0.2.7"), "bob", START), Gate::Locked(_)));
        assert!(!matches!(failures.gate(ip("192.0.2.8"), "ann", START), Gate::Locked(_)));
        failures.pardon(ip("192.0.2.7"));
        assert_eq!(failures.locked_pairs(START).count(), 0);
    }

    #[test]
    fn guesses_from_everywhere_at_one_account_are_few_and_its_owner_gets_in() {
        let mut failures = Failures::default();
        let home = ip("192.0.2.7");
        failures.succeeded(home, "ann", START);
        let mut checked = 0;
        for n in 0..36_000_u32 {
            let now = START.plus(Duration::from_millis(u64::from(n) * 100));
            let bot = IpAddr::V4((0x0A00_0000 + n * 7).into());
            if !matches!(failures.gate(bot, "ann", now), Gate::Locked(_)) {
                failures.failed(bot, "ann", now);
                checked += 1;
            }
            assert_eq!(failures.gate(home, "ann", now), Gate::Open);
        }
        // An hour at ten a second; one in six seconds is 600.
        assert!((500..700).contains(&checked), "{checked}");
    }

    #[test]
    fn everything_comes_back_after_a_restart() {
        let mut failures = Failures::default();
        for n in 0..10 {
            failures.failed(ip("2001:db8::7"), &format!("user {n}"), START);
        }
        for _ in 0..6 {
            failures.failed(ip("192.0.2.7"), "ann", START);
        }
        failures.succeeded(ip("192.0.2.8"), "ann", START);
        let rows = failures.take_changes(1_000);
        assert_eq!(rows.len(), 2 + 11 + 11 + 1);
        assert!(failures.take_changes(1_000).is_empty());
        let mut again = Failures::default();
        for row in &rows {
            assert!(row.until >= START);
            assert!(again.restore(row), "{row:?}");
        }
        assert_eq!(again.locked(START).count(), 1);
        assert_eq!(again.locked_pairs(START).count(), 1);
        assert!(again.knows(ip("192.0.2.8"), "ann", START));
        assert!(matches!(again.gate(ip("2001:db8::1"), "x", START), Gate::Locked(_)));
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
        assert_eq!(failures.networks.len(), 100);
        assert_eq!(failures.pairs.len(), 100);
        assert_eq!(failures.accounts.len(), 100);
        assert!(matches!(failures.gate(ip("192.0.2.7"), "x", START), Gate::Locked(_)));
    }
}
