//! Who is banned until when, and what leads there.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use mail::Timestamp;
use serde::{Deserialize, Serialize};

use crate::incident::Incident;
use crate::network::{Networks, client_network};
use crate::window::Window;

/// How long a past ban makes the next one longer.
pub const REMEMBERED: Duration = Duration::from_secs(30 * 86_400);
/// The longest reason, in characters.
pub const REASON_MAX_CHARS: usize = 200;

/// When incidents become a ban.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BanSettings {
    /// The weight of incidents within [`Self::within`] that leads to a ban; `None` never bans.
    pub incidents: Option<u32>,
    /// The time in which they count.
    pub within: Duration,
    /// How long the first ban lasts; each further one within [`REMEMBERED`] twice as long.
    pub time: Duration,
    /// The longest an automatic ban lasts.
    pub time_max: Duration,
    /// What each kind weighs, in the order of [`Incident::ALL`].
    pub weights: [u32; Incident::ALL.len()],
    /// The most bans kept, and clients whose incidents are counted.
    pub entries_max: usize,
}

impl Default for BanSettings {
    /// Ten incidents in ten minutes, an hour, doubling to a week, 100,000 entries.
    fn default() -> Self {
        Self {
            incidents: Some(10),
            within: Duration::from_secs(600),
            time: Duration::from_secs(3_600),
            time_max: Duration::from_secs(7 * 86_400),
            weights: Incident::ALL.map(Incident::weight),
            entries_max: 100_000,
        }
    }
}

impl BanSettings {
    /// Makes incidents of a kind weigh `weight`.
    pub fn weigh(&mut self, incident: Incident, weight: u32) {
        self.weights[place(incident)] = weight;
    }
}

/// Who banned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// The server, after incidents.
    Itself,
    /// This operator.
    Operator(String),
}

/// A network that is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ban {
    /// Whom it keeps away.
    pub network: IpNet,
    /// When it began.
    pub since: Timestamp,
    /// When it ends; `None` only when an operator ends it.
    pub until: Option<Timestamp>,
    /// Why, in words.
    pub reason: String,
    /// Who decided.
    pub by: By,
    /// How many bans of this network came one after another.
    pub times: u32,
}

impl Ban {
    /// Whether it holds at `now`.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    /// From when on nobody needs to know of it.
    fn forgotten_at(&self) -> Option<Timestamp> {
        match self.by {
            By::Itself => self.until.map(|until| until.plus(REMEMBERED)),
            By::Operator(_) => self.until,
        }
    }

    /// As the store keeps it.
    pub fn row(&self) -> BanRow {
        BanRow {
            name: self.network.to_string(),
            until: self.forgotten_at(),
            // Our own types can be written down.
            row: serde_json::to_vec(self).unwrap_or_default(),
        }
    }
}

/// A ban as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BanRow {
    /// The network.
    pub name: String,
    /// From when on the row can go; `None` never.
    pub until: Option<Timestamp>,
    /// The ban; opaque to the store.
    pub row: Vec<u8>,
}

/// Every ban, and the incidents that may lead to one.
#[derive(Debug, Default)]
pub struct Bans {
    bans: Networks<Ban>,
    /// Bans by their end, to let the first go; bans without an end are not in it.
    ends: BTreeSet<(Timestamp, IpNet)>,
    counted: HashMap<IpNet, Window>,
    faded: HashMap<IpNet, Window>,
}

/// What a change needs of the store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Change {
    /// The ban to keep.
    pub kept: Option<Ban>,
    /// Networks whose bans went to make room.
    pub gone: Vec<IpNet>,
}

impl Bans {
    /// Takes back what [`Ban::row`] made; what cannot be read is left out.
    pub fn restore(&mut self, row: &[u8]) -> bool {
        match serde_json::from_slice::<Ban>(row) {
            Ok(ban) => {
                self.put(ban);
                true
            }
            Err(_) => false,
        }
    }

    /// The ban that keeps `ip` away at `now`: the widest one.
    pub fn find(&self, ip: IpAddr, now: Timestamp) -> Option<&Ban> {
        self.bans.find(ip, |ban| ban.holds(now))
    }

    /// Counts an incident of `ip`. The change has a ban if this was one too many.
    pub fn incident(
        &mut self,
        ip: IpAddr,
        incident: Incident,
        settings: &BanSettings,
        now: Timestamp,
    ) -> Change {
        let weight = settings.weights[place(incident)];
        let Some(limit) = settings.incidents.filter(|_| weight > 0) else {
            return Change::default();
        };
        let network = client_network(ip);
        let mut window = (self.counted.get(&network).or_else(|| self.faded.get(&network)))
            .copied()
            .unwrap_or_default();
        window.add(u64::from(weight), settings.within, now);
        if window.sum(settings.within, now) < u64::from(limit) {
            self.count(network, window, settings.entries_max);
            return Change::default();
        }
        self.counted.remove(&network);
        self.faded.remove(&network);
        let before = self.bans.at(network).map_or(0, |ban| match ban.forgotten_at() {
            Some(at) if at <= now => 0,
            Some(_) | None => ban.times,
        });
        let longer = 1_u32.checked_shl(before).unwrap_or(u32::MAX);
        let time = settings.time.saturating_mul(longer).min(settings.time_max);
        let reason = format!("too many incidents, the last: {}", incident.word());
        let ban = Ban {
            network,
            since: now,
            until: Some(now.plus(time)),
            reason,
            by: By::Itself,
            times: before.saturating_add(1),
        };
        // An operator's longer ban stays.
        if self.bans.at(network).is_some_and(|known| outlasts(known, &ban)) {
            return Change::default();
        }
        self.add(ban, settings.entries_max, now)
    }

    /// Adds a ban in place of the one of the same network, and makes room for it.
    pub fn add(&mut self, mut ban: Ban, entries_max: usize, now: Timestamp) -> Change {
        ban.reason = ban.reason.chars().take(REASON_MAX_CHARS).collect();
        let mut gone = self.forget(now);
        self.put(ban.clone());
        while self.bans.len() > entries_max.max(1) {
            // Those without an end stay; the operator made them, and ends them.
            let Some((_, network)) = self.ends.pop_first() else { break };
            self.bans.remove(network);
            gone.push(network);
        }
        let network = ban.network;
        let kept = self.bans.at(network).is_some().then_some(ban);
        Change { kept, gone: gone.into_iter().filter(|gone| *gone != network).collect() }
    }

    /// Ends every ban of exactly `network`, and forgets its incidents. Gives the ban.
    pub fn remove(&mut self, network: IpNet) -> Option<Ban> {
        let network = rules::lookup::canonical(network);
        let ban = self.bans.remove(network)?;
        if let Some(until) = ban.forgotten_at() {
            self.ends.remove(&(until, network));
        }
        self.counted.remove(&network);
        self.faded.remove(&network);
        Some(ban)
    }

    /// Every ban that holds at `now`, by network.
    pub fn all(&self, now: Timestamp) -> impl Iterator<Item = &Ban> {
        self.bans.values().filter(move |ban| ban.holds(now))
    }

    /// How many are kept, ended ones among them.
    pub fn len(&self) -> usize {
        self.bans.len()
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.bans.is_empty()
    }

    fn put(&mut self, mut ban: Ban) {
        ban.network = rules::lookup::canonical(ban.network);
        let network = ban.network;
        if let Some(at) = ban.forgotten_at() {
            self.ends.insert((at, network));
        }
        let at = ban.forgotten_at();
        if let Some(old) = self.bans.insert(network, ban)
            && let Some(until) = old.forgotten_at()
            && Some(until) != at
        {
            self.ends.remove(&(until, network));
        }
    }

    /// Forgets what ended long ago.
    fn forget(&mut self, now: Timestamp) -> Vec<IpNet> {
        let mut gone = Vec::new();
        while let Some((at, network)) = self.ends.first().copied()
            && at <= now
            && gone.len() < FORGET_AT_ONCE
        {
            self.ends.pop_first();
            self.bans.remove(network);
            gone.push(network);
        }
        gone
    }

    fn count(&mut self, network: IpNet, window: Window, entries_max: usize) {
        if self.counted.len() >= entries_max.max(1) && !self.counted.contains_key(&network) {
            self.faded = std::mem::take(&mut self.counted);
        }
        self.counted.insert(network, window);
    }
}

fn outlasts(known: &Ban, new: &Ban) -> bool {
    match (known.until, new.until) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(known), Some(new)) => known > new,
    }
}

fn place(incident: Incident) -> usize {
    Incident::ALL.iter().position(|known| *known == incident).unwrap_or(0)
}

/// Old bans forgotten with each new one.
const FORGET_AT_ONCE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp(1_700_000_000_000);

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn after(secs: u64) -> Timestamp {
        START.plus(Duration::from_secs(secs))
    }

    fn manual(network: &str, until: Option<Timestamp>) -> Ban {
        Ban {
            network: network.parse().unwrap(),
            since: START,
            until,
            reason: "spam".to_owned(),
            by: By::Operator("ann".to_owned()),
            times: 1,
        }
    }

    /// Incidents until one is too many; how many.
    fn provoke(bans: &mut Bans, client: &str, incident: Incident, now: Timestamp) -> (u32, Ban) {
        let settings = BanSettings::default();
        for n in 1..=100 {
            if let Some(ban) = bans.incident(ip(client), incident, &settings, now).kept {
                return (n, ban);
            }
        }
        panic!("never banned");
    }

    #[test]
    fn incidents_add_up_to_a_ban_with_a_time() {
        let mut bans = Bans::default();
        let (n, ban) = provoke(&mut bans, "192.0.2.7", Incident::AuthFailure, START);
        assert_eq!((n, ban.until), (10, Some(after(3_600))));
        assert!(bans.find(ip("192.0.2.7"), after(3_599)).is_some());
        assert!(bans.find(ip("192.0.2.7"), after(3_600)).is_none());
        assert!(bans.find(ip("192.0.2.8"), START).is_none());
        let (n, _) = provoke(&mut bans, "2001:db8::1", Incident::Spamtrap, START);
        assert_eq!(n, 2);
        assert!(bans.find(ip("2001:db8::ffff"), START).is_some());
    }

    #[test]
    fn incidents_long_apart_lead_to_nothing() {
        let mut bans = Bans::default();
        let settings = BanSettings::default();
        for n in 0..200 {
            let change =
                bans.incident(ip("192.0.2.7"), Incident::AuthFailure, &settings, after(n * 120));
            assert_eq!(change, Change::default());
        }
    }

    #[test]
    fn who_comes_again_stays_away_twice_as_long_up_to_a_week() {
        let mut bans = Bans::default();
        let mut now = START;
        for hours in [1, 2, 4, 8, 16, 32, 64, 128, 168, 168] {
            let (_, ban) = provoke(&mut bans, "192.0.2.7", Incident::RcptScan, now);
            now = ban.until.unwrap();
            assert_eq!(now.since(ban.since), Duration::from_secs(hours * 3_600));
        }
        let later = now.plus(REMEMBERED);
        let (_, ban) = provoke(&mut bans, "192.0.2.7", Incident::RcptScan, later);
        assert_eq!(ban.times, 1);
    }

    #[test]
    fn an_operator_bans_networks_and_ends_bans() {
        let mut bans = Bans::default();
        bans.add(manual("198.51.100.0/24", None), 10, START);
        bans.add(manual("2001:db8::/32", Some(after(60))), 10, START);
        assert!(bans.find(ip("198.51.100.77"), after(u64::from(u32::MAX))).is_some());
        assert!(bans.find(ip("2001:db8:ffff::1"), after(59)).is_some());
        assert_eq!(bans.all(after(60)).count(), 1);
        assert!(bans.remove("198.51.100.0/25".parse().unwrap()).is_none());
        assert!(bans.remove("198.51.100.0/24".parse().unwrap()).is_some());
        assert!(bans.find(ip("198.51.100.77"), START).is_none());
        bans.add(manual("192.0.2.7/32", None), 10, START);
        let settings = BanSettings { incidents: Some(1), ..BanSettings::default() };
        let change = bans.incident(ip("192.0.2.7"), Incident::Errors, &settings, START);
        assert_eq!(change, Change::default(), "the operator's ban stays");
    }

    #[test]
    fn a_ban_comes_back_from_its_row() {
        let mut bans = Bans::default();
        let (_, ban) = provoke(&mut bans, "192.0.2.7", Incident::Errors, START);
        let mut again = Bans::default();
        assert!(again.restore(&ban.row().row) && !again.restore(b"{}"));
        assert_eq!(again.find(ip("192.0.2.7"), START), Some(&ban));
        assert_eq!(ban.row().until, Some(ban.until.unwrap().plus(REMEMBERED)));
    }

    #[test]
    fn memory_is_bounded_and_bans_without_end_stay() {
        let mut bans = Bans::default();
        let settings =
            BanSettings { incidents: Some(2), entries_max: 100, ..BanSettings::default() };
        bans.add(manual("198.51.100.0/24", None), 100, START);
        for n in 0..5_000_u32 {
            let client = IpAddr::V4((0x0A00_0000 + n).into());
            let now = after(u64::from(n));
            bans.incident(client, Incident::Errors, &settings, now);
            let change = bans.incident(client, Incident::Errors, &settings, now);
            assert!(change.kept.is_some());
            assert!(bans.len() <= 100 && bans.ends.len() <= 100);
            assert!(bans.counted.len() <= 100 && bans.faded.len() <= 100);
        }
        assert!(bans.find(ip("198.51.100.1"), START).is_some());
        assert!(bans.find(IpAddr::V4((0x0A00_0000 + 4_999_u32).into()), after(5_000)).is_some());
    }
}
