//! Sizes as people write them.

use std::fmt;

/// Octets; shown and read as `10`, `64KB`, `25MB`, `2GB` (1 KB is 1,024 octets).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Octets(pub u64);

const UNITS: [(&str, u64); 3] = [("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10)];

impl Octets {
    /// Reads a whole number with an optional unit, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        let upper = text.to_ascii_uppercase();
        let (digits, factor) = UNITS
            .iter()
            .find_map(|(unit, factor)| Some((upper.strip_suffix(unit)?, *factor)))
            .unwrap_or((&upper, 1));
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        digits.parse::<u64>().ok()?.checked_mul(factor).map(Self)
    }
}

impl fmt::Display for Octets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, factor) in UNITS {
            if self.0 > 0 && self.0.is_multiple_of(factor) {
                return write!(f, "{}{unit}", self.0 / factor);
            }
        }
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_they_are_shown() {
        for text in ["0", "10", "64KB", "25MB", "2GB", "1025"] {
            assert_eq!(Octets::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Octets::parse("1mb"), Some(Octets(1 << 20)));
        for bad in ["", "MB", "-1", "+1", "1.5MB", "1TB", "99999999999GB"] {
            assert_eq!(Octets::parse(bad), None, "{bad}");
        }
    }
}
