//! How hard one destination is pressed: attempts at once, and messages a minute.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};

use crate::route::Route;
use crate::settings::Pace;

/// The longest that an attempt waits for its turn by rate. Longer, and it is
/// given back to the queue.
pub const RATE_WAIT_MAX: Duration = Duration::from_secs(10);
/// Destinations remembered; those at rest are forgotten beyond this.
const LANES_MAX: usize = 10_000;

/// The limits of every destination.
pub(crate) struct Traffic {
    pace: Pace,
    lanes: Mutex<HashMap<Route, Arc<Lane>>>,
}

struct Lane {
    turns: Arc<Semaphore>,
    /// How many attempts may run at once now.
    width: AtomicUsize,
    /// Successes since the width changed.
    streak: AtomicUsize,
    /// When the next message may go, by rate.
    next: Mutex<Instant>,
}

/// Leave to make one attempt.
pub(crate) struct Turn {
    lane: Arc<Lane>,
    width_max: usize,
    permit: OwnedSemaphorePermit,
}

impl Traffic {
    pub(crate) fn new(pace: Pace) -> Self {
        Self { pace, lanes: Mutex::default() }
    }

    /// Waits for leave to make an attempt.
    ///
    /// # Errors
    ///
    /// How long the rate limit would have it wait, when that is too long.
    pub(crate) async fn turn(&self, route: &Route) -> Result<Turn, Duration> {
        let lane = self.lane(route);
        // The semaphore is never closed.
        let Ok(permit) = Arc::clone(&lane.turns).acquire_owned().await else {
            return Err(RATE_WAIT_MAX);
        };
        if let Some(rate) = self.pace.messages_per_minute.filter(|&rate| rate > 0) {
            let gap = Duration::from_secs(60) / rate;
            let at = {
                let mut next = lane.next.lock().unwrap_or_else(PoisonError::into_inner);
                let now = Instant::now();
                let at = (*next).max(now);
                if at > now + RATE_WAIT_MAX {
                    return Err(at - now);
                }
                *next = at + gap;
                at
            };
            sleep_until(at).await;
        }
        Ok(Turn { lane, width_max: self.pace.concurrency_max, permit })
    }

    /// Whether an attempt for `route` would begin at once.
    pub(crate) fn has_room(&self, route: &Route) -> bool {
        let lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.get(route).is_none_or(|lane| lane.turns.available_permits() > 0)
    }

    fn lane(&self, route: &Route) -> Arc<Lane> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lane) = lanes.get(route) {
            return Arc::clone(lane);
        }
        if lanes.len() >= LANES_MAX {
            lanes.retain(|_, lane| Arc::strong_count(lane) > 1);
        }
        let width = self.pace.concurrency_start.clamp(1, self.pace.concurrency_max.max(1));
        let lane = Arc::new(Lane {
            turns: Arc::new(Semaphore::new(width)),
            width: AtomicUsize::new(width),
            streak: AtomicUsize::new(0),
            next: Mutex::new(Instant::now()),
        });
        lanes.insert(route.clone(), Arc::clone(&lane));
        lane
    }
}

impl Turn {
    /// The destination took what it was given. After as many successes as there
    /// are turns, there is one turn more.
    pub(crate) fn went_well(self) {
        let width = self.lane.width.load(Ordering::Relaxed);
        if width >= self.width_max {
            return;
        }
        let streak = self.lane.streak.fetch_add(1, Ordering::Relaxed) + 1;
        let grow = streak >= width
            && self
                .lane
                .width
                .compare_exchange(width, width + 1, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if grow {
            self.lane.streak.store(0, Ordering::Relaxed);
            self.lane.turns.add_permits(1);
        }
    }

    /// The destination could not be reached or lost the session: one turn less.
    pub(crate) fn went_badly(self) {
        self.lane.streak.store(0, Ordering::Relaxed);
        let shrunk = self.lane.width.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |width| {
            (width > 1).then(|| width - 1)
        });
        if shrunk.is_ok() {
            self.permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route() -> Route {
        Route::Mx("example.org".parse().unwrap())
    }

    #[tokio::test]
    async fn success_widens_the_lane_and_failure_narrows_it() {
        let pace = Pace { concurrency_start: 2, concurrency_max: 4, ..Pace::default() };
        let traffic = Traffic::new(pace);
        for _ in 0..2 {
            traffic.turn(&route()).await.unwrap().went_well();
        }
        let mut turns = Vec::new();
        for _ in 0..3 {
            assert!(traffic.has_room(&route()));
            turns.push(traffic.turn(&route()).await.unwrap());
        }
        assert!(!traffic.has_room(&route()));
        turns.pop().unwrap().went_badly();
        assert!(!traffic.has_room(&route()), "one turn less");
        turns.pop();
        assert!(traffic.has_room(&route()));
    }

    #[tokio::test]
    async fn the_lane_never_closes() {
        let traffic = Traffic::new(Pace { concurrency_start: 1, ..Pace::default() });
        for _ in 0..5 {
            traffic.turn(&route()).await.unwrap().went_badly();
        }
        assert!(traffic.has_room(&route()));
    }

    #[tokio::test(start_paused = true)]
    async fn messages_keep_their_distance_and_the_surplus_goes_back() {
        let pace = Pace { messages_per_minute: Some(60), ..Pace::default() };
        let traffic = Traffic::new(pace);
        let began = Instant::now();
        for _ in 0..3 {
            traffic.turn(&route()).await.unwrap().went_well();
        }
        assert_eq!(began.elapsed().as_secs(), 2);
        let pace = Pace { messages_per_minute: Some(1), ..Pace::default() };
        let traffic = Traffic::new(pace);
        drop(traffic.turn(&route()).await.unwrap());
        assert!(traffic.turn(&route()).await.err().unwrap() > RATE_WAIT_MAX);
    }
}
