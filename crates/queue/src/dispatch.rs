//! Which destinations can take more work now.

use std::collections::HashMap;

/// How much is in delivery at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Entries in delivery, of all destinations together.
    pub total: u32,
    /// Entries in delivery for one destination, at first.
    pub destination_start: u32,
    /// Entries in delivery for one destination, at most.
    pub destination_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { total: 1_000, destination_start: 10, destination_max: 100 }
    }
}

/// What is in delivery, by destination. The width of a destination grows by one
/// with each success and is halved by each failure of the whole attempt, down
/// to one. A destination is forgotten when nothing of it is in delivery and
/// its width is back where it began.
#[derive(Debug)]
pub struct Dispatch {
    limits: Limits,
    in_delivery: u32,
    destinations: HashMap<String, Lane>,
}

#[derive(Debug)]
struct Lane {
    in_delivery: u32,
    width: u32,
}

impl Dispatch {
    /// Nothing is in delivery.
    pub fn new(limits: Limits) -> Self {
        Self { limits, in_delivery: 0, destinations: HashMap::new() }
    }

    /// How many more entries can be taken, of all destinations together.
    pub fn room(&self) -> u32 {
        self.limits.total.saturating_sub(self.in_delivery)
    }

    /// How many more of `destination` can be taken.
    pub fn room_for(&self, destination: &str) -> u32 {
        let lane = self.destinations.get(destination);
        let free = lane.map_or(self.limits.destination_start, |lane| {
            lane.width.saturating_sub(lane.in_delivery)
        });
        free.min(self.room())
    }

    /// The destinations that can take nothing more now, in no order.
    pub fn busy(&self) -> Vec<String> {
        let full = |lane: &Lane| lane.in_delivery >= lane.width;
        self.destinations
            .iter()
            .filter(|(_, lane)| full(lane))
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// How many entries are in delivery.
    pub fn in_delivery(&self) -> u32 {
        self.in_delivery
    }

    /// An entry of `destination` goes into delivery if there is room; says whether.
    pub fn begin(&mut self, destination: &str) -> bool {
        if self.room_for(destination) == 0 {
            return false;
        }
        let start = self.limits.destination_start;
        let lane = self
            .destinations
            .entry(destination.to_owned())
            .or_insert(Lane { in_delivery: 0, width: start });
        lane.in_delivery += 1;
        self.in_delivery += 1;
        true
    }

    /// An entry that went into delivery has come out of it.
    pub fn end(&mut self, destination: &str, success: bool) {
        let Some(lane) = self.destinations.get_mut(destination) else { return };
        lane.in_delivery = lane.in_delivery.saturating_sub(1);
        self.in_delivery = self.in_delivery.saturating_sub(1);
        lane.width = if success {
            (lane.width + 1).min(self.limits.destination_max)
        } else {
            (lane.width / 2).max(1)
        };
        if lane.in_delivery == 0 && lane.width >= self.limits.destination_start {
            self.destinations.remove(destination);
        } else if self.destinations.len() > LANES_MAX {
            self.destinations.retain(|_, lane| lane.in_delivery > 0);
        }
    }
}

/// Destinations remembered while nothing of them is in delivery.
const LANES_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn limits() -> Limits {
        Limits { total: 6, destination_start: 2, destination_max: 4 }
    }

    #[test]
    fn a_destination_grows_with_success_and_shrinks_with_failure() {
        let mut dispatch = Dispatch::new(limits());
        assert!(dispatch.begin("a") && dispatch.begin("a") && !dispatch.begin("a"));
        assert_eq!(dispatch.busy(), ["a"]);
        dispatch.end("a", true);
        assert_eq!(dispatch.room_for("a"), 2);
        assert!(dispatch.begin("a") && dispatch.begin("a"));
        dispatch.end("a", false);
        assert_eq!(dispatch.room_for("a"), 0, "two are in delivery and the width is one");
        dispatch.end("a", false);
        dispatch.end("a", false);
        assert_eq!(dispatch.room_for("a"), 1);
        assert_eq!(dispatch.in_delivery(), 0);
    }

    #[test]
    fn one_destination_does_not_take_all_the_room() {
        let mut dispatch = Dispatch::new(limits());
        while dispatch.begin("a") {}
        assert!(dispatch.begin("b"));
        assert_eq!(dispatch.room(), 3);
    }

    proptest! {
        #[test]
        fn what_is_in_delivery_stays_within_the_limits(
            steps in proptest::collection::vec((0..4_u8, any::<bool>(), any::<bool>()), 0..200)
        ) {
            let mut dispatch = Dispatch::new(limits());
            let mut running: Vec<String> = Vec::new();
            for (destination, begin, success) in steps {
                let destination = format!("d{destination}");
                if begin {
                    if dispatch.begin(&destination) {
                        running.push(destination);
                    }
                } else if let Some(at) = running.iter().position(|d| *d == destination) {
                    running.swap_remove(at);
                    dispatch.end(&destination, success);
                }
                prop_assert_eq!(dispatch.in_delivery() as usize, running.len());
                prop_assert!(running.len() <= 6);
                for busy in dispatch.busy() {
                    prop_assert_eq!(dispatch.room_for(&busy), 0);
                }
            }
        }
    }
}
