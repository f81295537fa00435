//! When a message is tried again, when its sender is told, when it is given up.

use std::time::Duration;

use mail::{ReversePath, Timestamp};

/// The times of the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    retries: Vec<Duration>,
    jitter_percent: u8,
    lifetime: Duration,
    bounce_lifetime: Duration,
    delay_notice: Option<Duration>,
    protection_notice: Option<Duration>,
}

/// Times that make no schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// No retry is given, or more than the limit.
    #[error("between 1 and {RETRIES_MAX} retry times are needed, and {0} are given")]
    Retries(usize),
    /// A retry time under a tenth of a second would have the server spin.
    #[error("a retry time of {} ms is shorter than {} ms", .0.as_millis(), RETRY_MIN.as_millis())]
    TooShort(Duration),
    /// More than half either way is no jitter.
    #[error("a jitter of {0} percent is more than {JITTER_MAX_PERCENT}")]
    Jitter(u8),
}

impl Default for Schedule {
    /// 5, 10, 20, 40 minutes, then 1, 2 and 4 hours, the last again and again,
    /// each up to 10 % later; five days, for notices one day; the sender is told of a delay
    /// after 4 hours and of missing protection after the first attempt.
    ///
    /// RFC 5321 section 4.5.4.1 asks for 30 minutes between attempts in general
    /// and allows more at first.
    fn default() -> Self {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        Self {
            retries: [5, 10, 20, 40, 60, 120, 240].map(minutes).to_vec(),
            jitter_percent: 10,
            lifetime: minutes(5 * 24 * 60),
            bounce_lifetime: minutes(24 * 60),
            delay_notice: Some(minutes(4 * 60)),
            protection_notice: Some(Duration::ZERO),
        }
    }
}

impl Schedule {
    /// A schedule of retries, the last of which repeats, each up to
    /// `jitter_percent` later so that many messages do not come at once.
    ///
    /// # Errors
    ///
    /// [`ScheduleError`] says what does not fit.
    pub fn new(retries: Vec<Duration>, jitter_percent: u8) -> Result<Self, ScheduleError> {
        if retries.is_empty() || retries.len() > RETRIES_MAX {
            return Err(ScheduleError::Retries(retries.len()));
        }
        if let Some(&short) = retries.iter().find(|&&retry| retry < RETRY_MIN) {
            return Err(ScheduleError::TooShort(short));
        }
        if jitter_percent > JITTER_MAX_PERCENT {
            return Err(ScheduleError::Jitter(jitter_percent));
        }
        Ok(Self { retries, jitter_percent, ..Self::default() })
    }

    /// The same, giving up after `lifetime`, and after `bounce_lifetime` for
    /// messages with the null reverse-path.
    #[must_use]
    pub fn giving_up_after(mut self, lifetime: Duration, bounce_lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self.bounce_lifetime = bounce_lifetime;
        self
    }

    /// The same, telling the sender of a delay after `delay`, and of missing
    /// protection after `protection`; `None` for never.
    #[must_use]
    pub fn telling_after(mut self, delay: Option<Duration>, protection: Option<Duration>) -> Self {
        self.delay_notice = delay;
        self.protection_notice = protection;
        self
    }

    /// When a message that came at `received` is given up.
    pub fn expires(&self, received: Timestamp, reverse_path: &ReversePath) -> Timestamp {
        received.plus(match reverse_path {
            ReversePath::Null => self.bounce_lifetime,
            ReversePath::Address(_) => self.lifetime,
        })
    }

    /// The wait before the next attempt, after `attempts` that failed (one or
    /// more). `random` is any number; it chooses the jitter.
    pub fn wait(&self, attempts: u32, random: u32) -> Duration {
        let place = (attempts.saturating_sub(1) as usize).min(self.retries.len() - 1);
        let wait = self.retries[place];
        let share = f64::from(random) / f64::from(u32::MAX);
        wait + wait.mul_f64(share * f64::from(self.jitter_percent) / 100.0)
    }

    /// Whether the sender of a message received at `received` is to be told at
    /// `now` that it is delayed.
    pub fn tells_delay(&self, received: Timestamp, now: Timestamp) -> bool {
        self.delay_notice.is_some_and(|after| now.since(received) >= after)
    }

    /// Whether the sender is to be told at `now` that protection is missing.
    pub fn tells_protection(&self, received: Timestamp, now: Timestamp) -> bool {
        self.protection_notice.is_some_and(|after| now.since(received) >= after)
    }

    /// The next instant after `now` at which a notice may fall due, so that the
    /// next attempt is not after it.
    pub(crate) fn next_notice(
        &self,
        received: Timestamp,
        now: Timestamp,
        protection: bool,
    ) -> Option<Timestamp> {
        let protection = self.protection_notice.filter(|_| protection);
        [self.delay_notice, protection]
            .into_iter()
            .flatten()
            .map(|after| received.plus(after))
            .filter(|&at| at > now)
            .min()
    }
}

/// The most retry times of a schedule.
pub const RETRIES_MAX: usize = 64;
/// The shortest retry time.
pub const RETRY_MIN: Duration = Duration::from_millis(100);
/// The most jitter.
pub const JITTER_MAX_PERCENT: u8 = 50;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn minutes(n: u64) -> Duration {
        Duration::from_secs(60 * n)
    }

    #[test]
    fn the_last_retry_repeats_and_jitter_only_makes_it_later() {
        let schedule = Schedule::new(vec![minutes(1), minutes(10)], 20).unwrap();
        assert_eq!(schedule.wait(1, 0), minutes(1));
        assert_eq!(schedule.wait(2, 0), minutes(10));
        assert_eq!(schedule.wait(3, 0), minutes(10));
        assert_eq!(schedule.wait(u32::MAX, 0), minutes(10));
        assert_eq!(schedule.wait(2, u32::MAX), minutes(12));
    }

    #[test]
    fn times_that_make_no_schedule_are_named() {
        assert_eq!(Schedule::new(vec![], 0), Err(ScheduleError::Retries(0)));
        assert_eq!(
            Schedule::new(vec![Duration::ZERO], 0),
            Err(ScheduleError::TooShort(Duration::ZERO))
        );
        assert_eq!(Schedule::new(vec![minutes(1)], 51), Err(ScheduleError::Jitter(51)));
    }

    #[test]
    fn notices_have_a_shorter_life_than_mail() {
        let schedule = Schedule::default();
        let from = ReversePath::Address(mail::Address::parse("a@b.example").unwrap());
        let start = Timestamp(0);
        assert_eq!(schedule.expires(start, &from).0, 5 * 86_400_000);
        assert_eq!(schedule.expires(start, &ReversePath::Null).0, 86_400_000);
    }

    proptest! {
        #[test]
        fn a_wait_is_within_its_jitter(attempts in 0..100_u32, random: u32, jitter in 0..=50_u8) {
            let schedule = Schedule::new(vec![minutes(5), minutes(30)], jitter).unwrap();
            let (wait, least) = (schedule.wait(attempts, random), schedule.wait(attempts, 0));
            prop_assert!(wait >= least);
            prop_assert!(wait <= least.mul_f64(1.0 + f64::from(jitter) / 100.0 + 1e-9));
        }
    }
}
