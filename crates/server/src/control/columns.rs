//! How ages, sizes and addresses stand in lists.

use std::fmt::{self, Write as _};
use std::time::Duration;

use mail::{ReversePath, Timestamp};

/// The widest an address may make a column, in characters.
const ADDRESS_WIDTH: usize = 30;

/// Text that grows piece by piece.
pub trait Put {
    /// Adds a piece.
    fn put(&mut self, piece: fmt::Arguments<'_>);
}

impl Put for String {
    fn put(&mut self, piece: fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = self.write_fmt(piece);
    }
}

/// `12s`, `5m`, `3h 20m`, `2d 4h`: the two greatest units.
pub fn age(age: Duration) -> String {
    let seconds = age.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |first: u64, unit: char, second: u64, smaller: char| match second {
        0 => format!("{first}{unit}"),
        second => format!("{first}{unit} {second}{smaller}"),
    };
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => format!("{minutes}m"),
        (0, hours, minutes) => two(hours, 'h', minutes % 60, 'm'),
        (days, hours, _) => two(days, 'd', hours % 24, 'h'),
    }
}

/// `in 5m`, or `now` for an instant that has come.
pub fn until(due: Timestamp, now: Timestamp) -> String {
    if due <= now { "now".to_owned() } else { format!("in {}", age(due.since(now))) }
}

/// `815`, `48K`, `12M`: octets as people compare them.
pub fn size(octets: u64) -> String {
    match octets {
        0..=9_999 => octets.to_string(),
        10_000..=9_999_999 => format!("{}K", octets / 1_000),
        _ => format!("{}M", octets / 1_000_000),
    }
}

/// A sender, `<>` where there is none.
pub fn sender(path: &ReversePath) -> String {
    match path.address() {
        Some(address) => shortened(&address.to_string()),
        None => "<>".to_owned(),
    }
}

/// A text that fits the column of an address; what is left out shows as `…`.
pub fn shortened(text: &str) -> String {
    if text.chars().count() <= ADDRESS_WIDTH {
        return text.to_owned();
    }
    let kept: String = text.chars().take(ADDRESS_WIDTH - 1).collect();
    format!("{kept}…")
}

/// `2026-03-02 10:02:11 UTC`
pub fn time(at: Timestamp) -> String {
    let text = at.to_rfc3339();
    let to_seconds = text.get(..19).unwrap_or(&text);
    format!("{} UTC", to_seconds.replace('T', " "))
}

/// A count and its noun: `1 entry`, `3 entries`.
pub fn count(number: u64, one: &str, more: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { more })
}

/// Text of others on one line of a terminal.
pub fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_show_two_units() {
        for (seconds, shown) in [
            (0, "0s"),
            (59, "59s"),
            (300, "5m"),
            (7_380, "2h 3m"),
            (7_200, "2h"),
            (90_000, "1d 1h"),
        ] {
            assert_eq!(age(Duration::from_secs(seconds)), shown);
        }
        assert_eq!(until(Timestamp(5), Timestamp(5)), "now");
        assert_eq!(until(Timestamp(60_000), Timestamp(0)), "in 1m");
    }

    #[test]
    fn sizes_and_long_addresses_stay_in_their_columns() {
        assert_eq!(
            (size(815), size(48_213), size(12_345_678)),
            ("815".into(), "48K".into(), "12M".into())
        );
        let long = "a".repeat(200);
        assert_eq!(shortened(&long).chars().count(), ADDRESS_WIDTH);
    }
}
