//! Keys over time: made, published, in use, retired, gone.
//!
//! ```text
//!  made ──── waits ────▶ signs ───────────▶ retired ──── stays in DNS ────▶ gone
//!       (DNS learns it)        (a newer one signs)   (mail under way arrives)
//! ```

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mail::{Domain, Timestamp};
use serde::{Deserialize, Serialize};

use crate::key::{Algorithm, Key};

/// Keys of one server, over all its domains.
pub const KEYS_MAX: usize = 10_000;
/// How long a retired key stays in DNS: the time mail may wait in a queue, and some days.
pub const STAYS: Duration = Duration::from_secs(7 * 86_400);

/// What is known of a key beside the key itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRow {
    /// The domain it vouches for.
    pub domain: Domain,
    /// Its name below `_domainkey`.
    pub selector: String,
    /// How it signs.
    pub algorithm: Algorithm,
    /// When it was made.
    pub made: Timestamp,
    /// From when it signs.
    pub signs_from: Timestamp,
    /// Until when it signs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signs_until: Option<Timestamp>,
}

/// Where a key is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It is to be published, and does not sign yet.
    Waits,
    /// It signs.
    Signs,
    /// It signs no more; its record stays, for mail under way.
    Retired,
    /// Its record can go.
    Gone,
}

impl KeyRow {
    /// Where it is in its life.
    pub fn phase(&self, now: Timestamp) -> Phase {
        match self.signs_until {
            Some(until) if until.plus(STAYS) <= now => Phase::Gone,
            Some(until) if until <= now => Phase::Retired,
            Some(_) | None if self.signs_from <= now => Phase::Signs,
            Some(_) | None => Phase::Waits,
        }
    }

    /// The name of its record.
    pub fn record_name(&self) -> String {
        format!("{}._domainkey.{}", self.selector, self.domain)
    }
}

impl Phase {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Waits => "waits",
            Self::Signs => "signs",
            Self::Retired => "retired",
            Self::Gone => "gone",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A selector that says when the key was made: `20260302r` for RSA, `20260302e` for Ed25519,
/// with a number behind it where the day has one already.
pub fn selector(algorithm: Algorithm, now: Timestamp, taken: impl Fn(&str) -> bool) -> String {
    let day: String = now.to_rfc3339().chars().filter(char::is_ascii_digit).take(8).collect();
    let letter = match algorithm {
        Algorithm::Rsa => 'r',
        Algorithm::Ed25519 => 'e',
    };
    let first = format!("{day}{letter}");
    if !taken(&first) {
        return first;
    }
    let later = (2..=KEYS_MAX).map(|number| format!("{first}{number}"));
    later.into_iter().find(|name| !taken(name)).unwrap_or(first)
}

/// Every key of the server, ready to sign.
#[derive(Debug, Clone, Default)]
pub struct KeyRing(Vec<(KeyRow, Arc<Key>)>);

impl KeyRing {
    /// A ring of these keys; no more than [`KEYS_MAX`] are kept.
    pub fn new(mut keys: Vec<(KeyRow, Arc<Key>)>) -> Self {
        keys.truncate(KEYS_MAX);
        Self(keys)
    }

    /// The keys of `domain` that sign now: those with these selectors, or all if none is named.
    pub fn signing<'r>(
        &'r self,
        domain: &'r Domain,
        selectors: &'r [String],
        now: Timestamp,
    ) -> impl Iterator<Item = (&'r KeyRow, &'r Arc<Key>)> {
        self.0
            .iter()
            .filter(move |(row, _)| row.domain == *domain && row.phase(now) == Phase::Signs)
            .filter(move |(row, _)| selectors.is_empty() || selectors.contains(&row.selector))
            .map(|(row, key)| (row, key))
    }

    /// Whether there is no key at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn row(selector: &str, from: Timestamp, until: Option<Timestamp>) -> KeyRow {
        KeyRow {
            domain: Domain::parse("example.com").unwrap(),
            selector: selector.to_owned(),
            algorithm: Algorithm::Ed25519,
            made: Timestamp(0),
            signs_from: from,
            signs_until: until,
        }
    }

    #[test]
    fn a_new_key_takes_over_without_a_gap_and_the_old_one_stays_in_dns() {
        let switch = Timestamp(0).plus(2 * DAY);
        let (old, new) = (row("old", Timestamp(0), Some(switch)), row("new", switch, None));
        let key = Arc::new(Key::generate(Algorithm::Ed25519).unwrap());
        let ring = KeyRing::new(vec![(old.clone(), Arc::clone(&key)), (new.clone(), key)]);
        let domain = Domain::parse("example.com").unwrap();
        for hours in 0..24 * 12 {
            let now = Timestamp(0).plus(Duration::from_secs(hours * 3_600));
            assert_eq!(ring.signing(&domain, &[], now).count(), 1, "after {hours} h");
        }
        assert_eq!((old.phase(switch), new.phase(Timestamp(0))), (Phase::Retired, Phase::Waits));
        assert_eq!(old.phase(switch.plus(STAYS)), Phase::Gone);
        let named = ["new".to_owned()];
        assert_eq!(ring.signing(&domain, &named, Timestamp(0)).count(), 0);
        assert_eq!(ring.signing(&domain, &named, switch).count(), 1);
    }

    #[test]
    fn a_selector_is_named_by_its_day() {
        let now = Timestamp(1_772_445_731_042);
        assert_eq!(selector(Algorithm::Rsa, now, |_| false), "20260302r");
        assert_eq!(selector(Algorithm::Ed25519, now, |name| name == "20260302e"), "20260302e2");
    }
}
