//! When an entry is tried again, and when its sender is told that it waits.

use std::time::Duration;

use mail::Timestamp;

/// The times of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Waits after the first attempt, the second, and so on; the last repeats. Never empty:
    /// an empty list counts as [`RETRY_DEFAULT`].
    pub retry: Vec<Duration>,
    /// How far a wait is moved at random, either way, in percent of it.
    pub jitter_percent: u32,
    /// After this long in the queue a message is given up.
    pub lifetime: Duration,
    /// The same for messages from the null sender.
    pub bounce_lifetime: Duration,
    /// After this long in the queue the sender is told of the delay; `None` for never.
    pub delay_notice: Option<Duration>,
    /// The same where what is missing is the protection demanded.
    pub policy_notice: Option<Duration>,
}

/// The wait where none is given (RFC 5321 section 4.5.4.1 asks for at least 30 minutes).
pub const RETRY_DEFAULT: Duration = Duration::from_secs(30 * 60);

impl Schedule {
    /// The wait after `attempts` attempts, moved by `chance`, a number from 0 to 1.
    ///
    /// Chance keeps messages that failed together from coming back together.
    pub fn wait(&self, attempts: u32, chance: f64) -> Duration {
        let place = attempts.saturating_sub(1) as usize;
        let wait = self.retry.get(place).or(self.retry.last()).copied().unwrap_or(RETRY_DEFAULT);
        let share = f64::from(self.jitter_percent.min(JITTER_MAX_PERCENT)) / 100.0;
        let moved = 1.0 + share * (2.0 * chance.clamp(0.0, 1.0) - 1.0);
        wait.mul_f64(moved)
    }

    /// When a message that came at `received` is given up.
    pub fn expires(&self, received: Timestamp, null_sender: bool) -> Timestamp {
        received.plus(if null_sender { self.bounce_lifetime } else { self.lifetime })
    }
}

/// The most that chance moves a wait, in percent.
pub const JITTER_MAX_PERCENT: u32 = 50;

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule() -> Schedule {
        Schedule {
            retry: vec![Duration::from_secs(60), Duration::from_secs(300)],
            jitter_percent: 10,
            lifetime: Duration::from_secs(1000),
            bounce_lifetime: Duration::from_secs(100),
            delay_notice: None,
            policy_notice: None,
        }
    }

    #[test]
    fn waits_follow_the_list_and_its_last_repeats() {
        let waits: Vec<u64> = (1..5).map(|n| schedule().wait(n, 0.5).as_secs()).collect();
        assert_eq!(waits, [60, 300, 300, 300]);
    }

    #[test]
    fn chance_moves_a_wait_by_its_share_and_no_more() {
        assert_eq!(schedule().wait(1, 0.0), Duration::from_secs(54));
        assert_eq!(schedule().wait(1, 1.0), Duration::from_secs(66));
        assert_eq!(schedule().wait(1, 7.0), Duration::from_secs(66));
    }

    #[test]
    fn a_notice_that_cannot_be_delivered_is_given_up_sooner() {
        assert_eq!(schedule().expires(Timestamp(0), false), Timestamp(1_000_000));
        assert_eq!(schedule().expires(Timestamp(0), true), Timestamp(100_000));
    }
}
