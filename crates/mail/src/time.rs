//! Instants as they are kept and shown.

use serde::{Deserialize, Serialize};

/// An instant: milliseconds since 1970-01-01 UTC. Always passed in, never read
/// from a clock below the server crate.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The instant the system's clock shows.
    pub fn now() -> Self {
        Self(jiff::Timestamp::now().as_millisecond())
    }

    /// This instant and `duration` later; stops at the end of time.
    #[must_use]
    pub fn plus(self, duration: std::time::Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// The time from `earlier` to this instant; zero if it lies ahead.
    pub fn since(self, earlier: Self) -> std::time::Duration {
        std::time::Duration::from_millis(
            u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0),
        )
    }

    /// RFC 3339 with milliseconds, UTC: `2026-03-02T10:02:11.042Z`.
    pub fn to_rfc3339(self) -> String {
        self.civil().strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
    }

    /// The date-time of a message header, UTC (RFC 5322 section 3.3).
    pub fn to_rfc5322(self) -> String {
        self.civil().strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
    }

    fn civil(self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(self.0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_shown_as_the_standards_have_it() {
        let instant = Timestamp(1_772_445_731_042);
        assert_eq!(instant.to_rfc3339(), "2026-03-02T10:02:11.042Z");
        assert_eq!(instant.to_rfc5322(), "Mon, 02 Mar 2026 10:02:11 +0000");
    }
}
