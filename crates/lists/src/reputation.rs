//! Reputation: what came of the mail of a sender, forgotten with time.

use std::net::IpAddr;
use std::time::Duration;

use mail::{Domain, Timestamp};
use serde::{Deserialize, Serialize};

/// The score of one of whom nothing is known.
pub const NEUTRAL: u32 = 50;
/// The best score.
pub const SCORE_MAX: u32 = 100;
/// How much evidence a stranger is taken to bring, for and against.
const PRIOR: f64 = 2.0;
/// The most that is remembered for or against anyone, so that nobody is beyond change.
const WEIGHT_MAX: f64 = 1_000.0;

/// What came of one message or attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The message was accepted.
    Accepted,
    /// It was refused as spam, by a list or a scanner.
    Spam,
    /// It carried a virus.
    Virus,
    /// Signing in failed.
    AuthFailure,
}

impl Outcome {
    /// How much it counts, for and against.
    const fn counts(self) -> (f64, f64) {
        match self {
            Self::Accepted => (1.0, 0.0),
            Self::Spam | Self::AuthFailure => (0.0, 1.0),
            Self::Virus => (0.0, 5.0),
        }
    }
}

/// What is remembered of one sender.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Reputation {
    good: f64,
    bad: f64,
    /// When this was last brought up to date, in milliseconds of Unix time.
    at: i64,
}

impl Reputation {
    /// The same at `now`: half is forgotten each `half_life`.
    #[must_use]
    pub fn at(self, now: Timestamp, half_life: Duration) -> Self {
        let age = now.0.saturating_sub(self.at).max(0) as f64;
        let left = 0.5_f64.powf(age / (half_life.as_millis().max(1) as f64));
        Self { good: self.good * left, bad: self.bad * left, at: now.0 }
    }

    /// With one more outcome at `now`.
    #[must_use]
    pub fn with(self, outcome: Outcome, now: Timestamp, half_life: Duration) -> Self {
        let (good, bad) = outcome.counts();
        let aged = self.at(now, half_life);
        Self {
            good: (aged.good + good).min(WEIGHT_MAX),
            bad: (aged.bad + bad).min(WEIGHT_MAX),
            ..aged
        }
    }

    /// From 0, the worst, over [`NEUTRAL`] to [`SCORE_MAX`].
    pub fn score(&self) -> u32 {
        let share = (self.good + PRIOR) / (self.good + self.bad + 2.0 * PRIOR);
        (share * f64::from(SCORE_MAX)).round().clamp(0.0, f64::from(SCORE_MAX)) as u32
    }

    /// Until when it is worth remembering: when hardly anything is left.
    pub fn until(&self, half_life: Duration) -> i64 {
        self.at.saturating_add((half_life.as_millis() as i64).saturating_mul(HALVES_KEPT))
    }
}

/// After so many half-lives without news a sender is forgotten.
const HALVES_KEPT: i64 = 8;

/// The name under which a network is remembered.
pub fn of_network(ip: IpAddr) -> String {
    crate::greylist::network(ip).to_string()
}

/// The name under which a domain is remembered: as it sends from this network, for
/// anyone can write another's name into an envelope.
pub fn of_domain(domain: &Domain, ip: IpAddr) -> String {
    format!("{domain} {}", crate::greylist::network(ip))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEEK: Duration = Duration::from_secs(7 * 86_400);

    fn after(outcomes: &[Outcome]) -> Reputation {
        outcomes
            .iter()
            .fold(Reputation::default(), |r, outcome| r.with(*outcome, Timestamp(0), WEEK))
    }

    #[test]
    fn good_mail_raises_the_score_and_bad_mail_lowers_it() {
        assert_eq!(Reputation::default().score(), NEUTRAL);
        assert_eq!(after(&[Outcome::Accepted; 16]).score(), 90);
        assert_eq!(after(&[Outcome::Spam; 16]).score(), 10);
        assert!(after(&[Outcome::Virus]).score() < after(&[Outcome::Spam; 4]).score());
        assert!(after(&[Outcome::AuthFailure; 3]).score() < NEUTRAL);
    }

    #[test]
    fn it_is_forgotten_by_halves() {
        let bad = after(&[Outcome::Spam; 16]);
        let later = |weeks: i64| bad.at(Timestamp(weeks * WEEK.as_millis() as i64), WEEK).score();
        assert_eq!(later(1), 17); // 2 of 12
        assert!(later(8) >= 48);
        assert_eq!(bad.until(WEEK), 8 * WEEK.as_millis() as i64);
    }

    #[test]
    fn nobody_is_beyond_change() {
        let good = (0..10_000)
            .fold(Reputation::default(), |r, _| r.with(Outcome::Accepted, Timestamp(0), WEEK));
        let turned = (0..1_000).fold(good, |r, _| r.with(Outcome::Spam, Timestamp(0), WEEK));
        assert!(turned.score() <= NEUTRAL);
    }

    #[test]
    fn what_is_written_down_is_read_again() {
        let reputation = after(&[Outcome::Spam, Outcome::Accepted]);
        let text = serde_json::to_string(&reputation).unwrap();
        assert_eq!(serde_json::from_str::<Reputation>(&text).unwrap(), reputation);
    }
}
