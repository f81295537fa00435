//! Greylisting: a stranger is asked to come again, as every real server does.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use mail::{Address, Domain, ReversePath, Timestamp};
use serde::{Deserialize, Serialize};

/// How strangers are treated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The least time between the first and the second try.
    pub delay: Duration,
    /// The most time between them; after it the next try is a first one again.
    pub window: Duration,
    /// How long one who came again is known, counted from the last message.
    pub keep: Duration,
    /// After so many triplets that came again the whole network is known; `None` for never.
    pub after: Option<u32>,
}

/// What is remembered of one triplet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// When it came first, in milliseconds of Unix time.
    pub first: i64,
    /// When it came last.
    pub last: i64,
    /// It came again in time.
    pub known: bool,
}

/// What is remembered of one network, or of one proven domain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// How many of its triplets came again.
    pub known: u32,
    /// When the last one did, in milliseconds of Unix time.
    pub last: i64,
}

/// What is said to a triplet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Come again, after this time.
    Wait(Duration),
    /// It came again in time; from now on it is known.
    Passed,
    /// It is known.
    Known,
}

/// The network whose hosts count as one client: an IPv4 /24, an IPv6 /64.
pub fn network(ip: IpAddr) -> IpNet {
    let length = if ip.is_ipv4() { NETWORK_V4 } else { NETWORK_V6 };
    IpNet::new(ip, length).map_or_else(|_| IpNet::from(ip), |network| network.trunc())
}

/// The names a client is remembered under: its network, then the domain that SPF proves for
/// its envelope, so that one who sends from many networks is one client in all of them.
pub fn clients(ip: IpAddr, proven: Option<&Domain>) -> Vec<String> {
    let network = network(ip).to_string();
    std::iter::once(network).chain(proven.map(|domain| format!("spf {domain}"))).collect()
}

/// The name under which a triplet is remembered.
pub fn triplet(client: &str, sender: &ReversePath, recipient: &Address) -> String {
    let sender = sender.address().map_or_else(String::new, Address::to_key);
    format!("{client} {sender} {}", recipient.to_key())
}

const NETWORK_V4: u8 = 24;
const NETWORK_V6: u8 = 64;

/// What is said to a triplet of which `seen` is remembered, and what is remembered then.
pub fn judge(seen: Option<Sighting>, now: Timestamp, settings: &Settings) -> (Sighting, Answer) {
    let now = now.0;
    let fresh = Sighting { first: now, last: now, known: false };
    let since = |at: i64| Duration::from_millis(now.saturating_sub(at).max(0) as u64);
    match seen {
        Some(seen) if seen.known && since(seen.last) <= settings.keep => {
            (Sighting { last: now, ..seen }, Answer::Known)
        }
        Some(seen) if !seen.known && since(seen.first) < settings.delay => {
            let rest = settings.delay.saturating_sub(since(seen.first));
            (Sighting { last: now, ..seen }, Answer::Wait(rest))
        }
        Some(seen) if !seen.known && since(seen.first) <= settings.window => {
            (Sighting { last: now, known: true, ..seen }, Answer::Passed)
        }
        Some(_) | None => (fresh, Answer::Wait(settings.delay)),
    }
}

/// Until when a sighting is worth remembering, in milliseconds of Unix time.
pub fn until(sighting: &Sighting, settings: &Settings) -> i64 {
    let from = |at: i64, time: Duration| at.saturating_add(time.as_millis() as i64);
    if sighting.known {
        from(sighting.last, settings.keep)
    } else {
        from(sighting.first, settings.window)
    }
}

/// Whether a network is known as a whole.
pub fn is_known(network: &Network, now: Timestamp, settings: &Settings) -> bool {
    let age = Duration::from_millis(now.0.saturating_sub(network.last).max(0) as u64);
    settings.after.is_some_and(|after| network.known >= after) && age <= settings.keep
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: Settings = Settings {
        delay: Duration::from_secs(300),
        window: Duration::from_secs(48 * 3600),
        keep: Duration::from_secs(35 * 86_400),
        after: Some(5),
    };

    fn at(secs: i64) -> Timestamp {
        Timestamp(secs * 1_000)
    }

    #[test]
    fn who_comes_again_in_time_is_known_from_then_on() {
        let (seen, answer) = judge(None, at(0), &SETTINGS);
        assert_eq!(answer, Answer::Wait(SETTINGS.delay));
        let (seen, answer) = judge(Some(seen), at(100), &SETTINGS);
        assert_eq!(answer, Answer::Wait(Duration::from_secs(200)));
        let (seen, answer) = judge(Some(seen), at(300), &SETTINGS);
        assert_eq!(answer, Answer::Passed);
        let month = 30 * 86_400;
        let (seen, answer) = judge(Some(seen), at(300 + month), &SETTINGS);
        assert_eq!(answer, Answer::Known);
        assert_eq!(judge(Some(seen), at(300 + 2 * month), &SETTINGS).1, Answer::Known);
        let (_, answer) = judge(Some(seen), at(300 + 3 * month), &SETTINGS);
        assert_eq!(answer, Answer::Wait(SETTINGS.delay));
    }

    #[test]
    fn who_comes_too_late_is_a_stranger_again() {
        let (seen, _) = judge(None, at(0), &SETTINGS);
        let late = SETTINGS.window.as_secs() as i64 + 1;
        assert_eq!(judge(Some(seen), at(late), &SETTINGS).1, Answer::Wait(SETTINGS.delay));
        assert_eq!(until(&seen, &SETTINGS), SETTINGS.window.as_millis() as i64);
    }

    #[test]
    fn a_clock_that_goes_back_lets_nobody_wait_longer_than_the_delay() {
        let (seen, _) = judge(None, at(1_000), &SETTINGS);
        assert_eq!(judge(Some(seen), at(0), &SETTINGS).1, Answer::Wait(SETTINGS.delay));
    }

    #[test]
    fn hosts_of_one_network_are_one_client() {
        let name = |ip: &str| {
            let sender = ReversePath::Address("Ann@Example.net".parse().unwrap());
            let client = clients(ip.parse().unwrap(), None).remove(0);
            triplet(&client, &sender, &"bob@example.com".parse().unwrap())
        };
        assert_eq!(name("192.0.2.1"), name("192.0.2.200"));
        assert_ne!(name("192.0.2.1"), name("192.0.3.1"));
        assert_eq!(name("2001:db8::1"), name("2001:db8::ffff:1"));
        assert!(name("192.0.2.1").starts_with("192.0.2.0/24 "));
        let proven = "example.net".parse().unwrap();
        let known = clients("192.0.2.1".parse().unwrap(), Some(&proven));
        assert_eq!(known, ["192.0.2.0/24", "spf example.net"]);
    }

    #[test]
    fn a_network_that_came_again_often_is_known() {
        let network = |known| Network { known, last: 0 };
        assert!(!is_known(&network(4), at(0), &SETTINGS));
        assert!(is_known(&network(5), at(0), &SETTINGS));
        assert!(!is_known(&network(5), at(40 * 86_400), &SETTINGS));
        let never = Settings { after: None, ..SETTINGS };
        assert!(!is_known(&network(1_000), at(0), &never));
    }
}
