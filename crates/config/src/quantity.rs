//! Durations as people write them: `30s`, `10m`, `5d`. Sizes are [`rules::size::Octets`].

use std::time::Duration;

/// The units of a duration, in milliseconds.
const UNITS: &[(&str, u64)] = &[
    ("w", 7 * 24 * 3_600_000),
    ("d", 24 * 3_600_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Reads `250ms`, `30s`, `10m`, `4h`, `5d` or `2w`. Without a unit it is no duration,
/// except for 0.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    if unit.is_empty() && number == 0 {
        return Some(Duration::ZERO);
    }
    let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*factor).map(Duration::from_millis)
}

/// The duration in the largest unit that is exact, to the millisecond.
pub fn format_duration(duration: Duration) -> String {
    let number = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let exact = UNITS.iter().find(|(_, factor)| number > 0 && number.is_multiple_of(*factor));
    exact
        .map_or_else(|| format!("{number}s"), |(name, factor)| format!("{}{name}", number / factor))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_carry_their_unit() {
        assert_eq!(parse_duration("90m"), Some(Duration::from_secs(5_400)));
        assert_eq!(parse_duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(format_duration(Duration::from_secs(7_200)), "2h");
        for bad in ["", "50", "m", "5 m", "-1s", "1.5h", "99999999999999999999d", "5M"] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back_the_same(millis: u64) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Some(duration));
        }
    }
}
