//! A count over a sliding period, in bounded space.

use std::time::Duration;

use mail::Timestamp;
use serde::{Deserialize, Serialize};

/// The slots a period is cut into.
pub const SLOTS: usize = 12;
/// A period touches one slot more than it has.
const KEPT: usize = SLOTS + 1;

/// What happened in the last period, to a slot exactly.
///
/// The slot that a period begins in counts whole, so what is counted is never less than
/// what happened: whoever stays below a limit here stays below it in every period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Window {
    /// The number of the newest slot since 1970.
    newest: i64,
    /// Counts, the slot `n` at `n` modulo [`KEPT`].
    counts: [u64; KEPT],
}

impl Window {
    /// What counts at `now`.
    pub(crate) fn sum(&self, period: Duration, now: Timestamp) -> u64 {
        let now = self.newest.max(slot(period, now));
        self.live(now).map(|(_, count)| count).fold(0, u64::saturating_add)
    }

    /// Adds `number` at `now`. An instant before the newest counts as that one.
    pub(crate) fn add(&mut self, number: u64, period: Duration, now: Timestamp) {
        let now = self.newest.max(slot(period, now));
        let gone = now.saturating_sub(self.newest);
        if gone >= KEPT as i64 {
            self.counts = [0; KEPT];
        } else {
            for passed in 1..=gone {
                self.counts[place(self.newest + passed)] = 0;
            }
        }
        self.newest = now;
        let count = &mut self.counts[place(now)];
        *count = count.saturating_add(number);
    }

    /// Takes back `number` that were added last.
    pub(crate) fn take_back(&mut self, mut number: u64) {
        for back in 0..KEPT as i64 {
            let count = &mut self.counts[place(self.newest - back)];
            let taken = number.min(*count);
            *count -= taken;
            number -= taken;
        }
    }

    /// When `number` more fit below `max`; `None` if they never do.
    pub(crate) fn free_at(
        &self,
        number: u64,
        max: u64,
        period: Duration,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let room = max.checked_sub(number)?;
        let current = self.newest.max(slot(period, now));
        let mut left = self.sum(period, now);
        if left <= room {
            return Some(now);
        }
        for (at, count) in self.live(current) {
            left -= count;
            if left <= room {
                let gone = at.saturating_add(KEPT as i64);
                return Some(Timestamp(gone.saturating_mul(slot_ms(period))).max(now));
            }
        }
        None
    }

    /// From when on nothing of it counts.
    pub(crate) fn over_at(&self, period: Duration) -> Timestamp {
        Timestamp(self.newest.saturating_add(KEPT as i64).saturating_mul(slot_ms(period)))
    }

    /// The slots that count while `now` is the current one, oldest first.
    fn live(&self, now: i64) -> impl Iterator<Item = (i64, u64)> {
        (now - SLOTS as i64..=self.newest)
            .filter(|at| *at > self.newest - KEPT as i64)
            .map(|at| (at, self.counts[place(at)]))
    }
}

fn slot_ms(period: Duration) -> i64 {
    i64::try_from(period.as_millis()).unwrap_or(i64::MAX).div_euclid(SLOTS as i64).max(1)
}

fn slot(period: Duration, at: Timestamp) -> i64 {
    at.0.div_euclid(slot_ms(period))
}

fn place(slot: i64) -> usize {
    slot.rem_euclid(KEPT as i64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    proptest! {
        #[test]
        fn what_is_counted_is_at_least_what_happened_and_at_most_a_slot_more(
            events in proptest::collection::vec((0_i64..2_000_000, 0_u64..9), 0..60),
            more in 0_i64..9_000_000,
        ) {
            let mut window = Window::default();
            let mut now = 1_700_000_000_000_i64;
            let mut happened = Vec::new();
            for (wait, number) in events {
                now += wait;
                window.add(number, HOUR, Timestamp(now));
                happened.push((now, number));
            }
            now += more;
            let within = |span: i64| -> u64 {
                happened.iter().filter(|(at, _)| *at > now - span).map(|(_, n)| n).sum()
            };
            let sum = window.sum(HOUR, Timestamp(now));
            prop_assert!(sum >= within(3_600_000));
            prop_assert!(sum <= within(3_600_000 + 300_000));
            let free = window.free_at(1, 5, HOUR, Timestamp(now)).unwrap();
            prop_assert!(window.sum(HOUR, free) < 5);
            if free > Timestamp(now) {
                prop_assert!(window.sum(HOUR, Timestamp(free.0 - 1)) >= 5);
            }
            prop_assert_eq!(window.sum(HOUR, window.over_at(HOUR)), 0);
        }
    }

    #[test]
    fn what_is_taken_back_does_not_count() {
        let mut window = Window::default();
        let now = Timestamp(1_700_000_000_000);
        window.add(3, HOUR, now);
        window.add(4, HOUR, now.plus(HOUR / 4));
        window.take_back(5);
        assert_eq!(window.sum(HOUR, now.plus(HOUR / 4)), 2);
        assert_eq!(window.free_at(6, 5, HOUR, now), None);
    }

    #[test]
    fn a_clock_that_goes_back_forgets_nothing() {
        let mut window = Window::default();
        window.add(3, HOUR, Timestamp(1_700_000_000_000));
        window.add(1, HOUR, Timestamp(1_600_000_000_000));
        assert_eq!(window.sum(HOUR, Timestamp(1_600_000_000_000)), 4);
    }
}
