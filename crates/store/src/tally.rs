//! Counts that are kept with every commit, so that nobody scans for them.

use serde::{Deserialize, Serialize};

use crate::model::Ending;

/// How many there are, and were, of what. Kept as one row, written once a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Tally {
    /// Messages accepted since the store was made.
    pub(crate) messages: i64,
    /// Messages refused and recorded since the store was made.
    pub(crate) refused: i64,
    /// Recipients accepted since the store was made.
    pub(crate) recipients: i64,
    /// Recipients that have not ended.
    pub(crate) open: i64,
    /// Entries by state.
    pub(crate) waiting: i64,
    pub(crate) leased: i64,
    pub(crate) held: i64,
    /// Recipients ended, in the order of [`Ending::ALL`].
    pub(crate) ended: [i64; Ending::ALL.len()],
}

impl Tally {
    /// Counts `number` recipients as ended.
    pub(crate) fn end(&mut self, ending: Ending, number: u32) {
        self.ended[ending as usize] += i64::from(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_are_counted_at_their_place() {
        for (place, ending) in Ending::ALL.into_iter().enumerate() {
            let mut tally = Tally::default();
            tally.end(ending, 3);
            assert_eq!(tally.ended[place], 3);
        }
    }
}
