//! Rate classes: how many messages of a class may leave in a period.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use config::Config;
use mail::Timestamp;

/// The counts of every class of a configuration. A class is full until its oldest
/// message is a period old, so no period ever sees more than the class allows.
#[derive(Debug, Default)]
pub struct Rates {
    classes: HashMap<String, Class>,
}

#[derive(Debug)]
struct Class {
    messages: u32,
    period: Duration,
    /// When each of the last messages left, oldest first; never more than the largest
    /// `messages` that the class has had.
    sent: Arc<Mutex<VecDeque<Timestamp>>>,
}

impl Rates {
    /// The classes of `config`, with nothing sent yet.
    pub fn of(config: &Config) -> Self {
        let class = |class: &config::model::RateClass| Class {
            messages: *class.messages,
            period: *class.period,
            sent: Arc::default(),
        };
        let classes = config.rate_classes.iter().map(|c| (c.name.value.clone(), class(c)));
        Self { classes: classes.collect() }
    }

    /// Goes on counting where `before` is, class by class: a changed configuration is no new
    /// allowance. Deliveries that still run under the old one are counted too.
    pub fn go_on_from(&mut self, before: &Self) {
        for (name, class) in &mut self.classes {
            if let Some(before) = before.classes.get(name) {
                class.sent = Arc::clone(&before.sent);
            }
        }
    }

    /// Counts a message of `class` that leaves at `now`.
    ///
    /// # Errors
    ///
    /// How long it must wait, when the class is full. An unknown class has no limit.
    pub fn take(&self, class: &str, now: Timestamp) -> Result<(), Duration> {
        let Some(class) = self.classes.get(class) else { return Ok(()) };
        let mut sent = class.sent.lock().unwrap_or_else(PoisonError::into_inner);
        while sent.front().is_some_and(|first| first.plus(class.period) <= now) {
            sent.pop_front();
        }
        match sent.front() {
            Some(first) if sent.len() >= class.messages as usize => {
                Err(first.plus(class.period).since(now))
            }
            Some(_) | None => {
                sent.push_back(now);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_class_waits_until_its_oldest_message_is_a_period_old() {
        let class = Class { messages: 2, period: Duration::from_secs(60), sent: Arc::default() };
        let rates = Rates { classes: HashMap::from([("bulk".to_owned(), class)]) };
        assert_eq!(rates.take("bulk", Timestamp(0)), Ok(()));
        assert_eq!(rates.take("bulk", Timestamp(10_000)), Ok(()));
        assert_eq!(rates.take("bulk", Timestamp(20_000)), Err(Duration::from_secs(40)));
        assert_eq!(rates.take("bulk", Timestamp(60_000)), Ok(()));
        assert_eq!(rates.take("bulk", Timestamp(60_001)), Err(Duration::from_millis(9_999)));
        assert_eq!(rates.take("other", Timestamp(0)), Ok(()));
    }

    #[test]
    fn a_class_goes_on_counting_under_a_changed_configuration() {
        let class =
            |messages| Class { messages, period: Duration::from_secs(60), sent: Arc::default() };
        let rates = |messages| Rates { classes: [("bulk".to_owned(), class(messages))].into() };
        let before = rates(3);
        for second in 0..2 {
            assert_eq!(before.take("bulk", Timestamp(second * 1_000)), Ok(()));
        }
        let mut after = rates(3);
        after.go_on_from(&before);
        assert_eq!(after.take("bulk", Timestamp(2_000)), Ok(()));
        assert_eq!(after.take("bulk", Timestamp(3_000)), Err(Duration::from_secs(57)));
        // What leaves under the old configuration counts as well.
        assert_eq!(before.take("bulk", Timestamp(60_000)), Ok(()));
        let mut stricter = rates(1);
        stricter.go_on_from(&after);
        assert!(stricter.take("bulk", Timestamp(61_000)).is_err());
    }
}
