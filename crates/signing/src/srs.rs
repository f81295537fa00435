//! Rewritten senders (the sender rewriting scheme), for mail that is sent on.
//!
//! `ann@example.com` becomes `SRS0=hash=day=example.com=ann@srs.example.net`. A sender that
//! another server has rewritten becomes `SRS1=hash=first.example==...@srs.example.net`, which
//! leads back to that first server. The hash proves that the address was made here; letters of
//! either case are the same in it, because some servers change them.

use std::time::Duration;

use aws_lc_rs::hmac;
use mail::{Address, Domain, Timestamp};

/// Characters of the hash: 30 bits, against guesses that each cost a connection.
const HASH_CHARS: usize = 6;
/// Characters of the day.
const DAY_CHARS: usize = 2;
/// Days until the same one is written again.
const DAYS: i64 = 1 << (5 * DAY_CHARS);
/// A day, in milliseconds.
const DAY_MILLIS: i64 = 86_400_000;
/// Five bits each (RFC 4648 section 6), for which the case does not matter.
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Rewrites senders and finds them again.
pub struct Srs {
    key: hmac::Key,
    domain: Domain,
    lifetime: Duration,
}

/// Why a rewritten sender leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SrsError {
    /// Its hash is wrong: it was not made here, or changed.
    #[error("this rewritten address was not made here")]
    Forged,
    /// It is older than the lifetime.
    #[error("this rewritten address has expired")]
    Expired,
    /// It does not have the form.
    #[error("this is no rewritten address")]
    Malformed,
}

/// The sender does not fit into a local part of 64 octets when rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sender is too long to be rewritten")]
pub struct TooLong;

impl Srs {
    /// With this key, addresses of `domain`, good for `lifetime` (in whole days).
    pub fn new(key: &[u8], domain: Domain, lifetime: Duration) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, key), domain, lifetime }
    }

    /// The domain of rewritten senders.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Whether an address has the form of one of ours.
    pub fn is_rewritten(&self, address: &Address) -> bool {
        *address.domain() == self.domain && kind(address.local()).is_some()
    }

    /// The sender for mail that is sent on.
    ///
    /// # Errors
    ///
    /// [`TooLong`]; the mail then keeps its sender.
    pub fn forward(&self, sender: &Address, now: Timestamp) -> Result<Address, TooLong> {
        let (local, domain) = (sender.local(), sender.domain().as_str());
        let rewritten = match kind(local) {
            // Another server's: lead back to the first, not through each in turn.
            Some((Kind::Zero, rest)) => self.one(domain, rest),
            Some((Kind::One, rest)) => match rest.get(1..).and_then(split_one) {
                Some((_, first, rest)) => self.one(first, rest),
                None => self.zero(domain, local, now),
            },
            None => self.zero(domain, local, now),
        };
        Address::new(&rewritten, self.domain.clone()).map_err(|_| TooLong)
    }

    fn zero(&self, domain: &str, local: &str, now: Timestamp) -> String {
        let day = base32(now.0.div_euclid(DAY_MILLIS).rem_euclid(DAYS) as u64, DAY_CHARS);
        let rest = format!("{day}={domain}={local}");
        format!("SRS0={}={rest}", self.hash(&rest))
    }

    fn one(&self, first: &str, rest: &str) -> String {
        let inner = format!("{first}={rest}");
        format!("SRS1={}={inner}", self.hash(&inner))
    }

    /// Whom a bounce to a rewritten address is for.
    ///
    /// # Errors
    ///
    /// [`SrsError`], in words for the reply.
    pub fn reverse(&self, address: &Address, now: Timestamp) -> Result<Address, SrsError> {
        let (kind, rest) = kind(address.local()).ok_or(SrsError::Malformed)?;
        let rest = rest.get(1..).ok_or(SrsError::Malformed)?;
        let (hash, inner) = rest.split_once('=').ok_or(SrsError::Malformed)?;
        let expected = self.hash(inner);
        let same = aws_lc_rs::constant_time::verify_slices_are_equal(
            hash.to_ascii_uppercase().as_bytes(),
            expected.as_bytes(),
        );
        if same.is_err() {
            return Err(SrsError::Forged);
        }
        match kind {
            Kind::Zero => {
                let (day, to) = inner.split_once('=').ok_or(SrsError::Malformed)?;
                let (domain, local) = to.split_once('=').ok_or(SrsError::Malformed)?;
                self.is_fresh(day, now)?;
                to_address(local, domain)
            }
            Kind::One => {
                let (first, rest) = inner.split_once('=').ok_or(SrsError::Malformed)?;
                to_address(&format!("SRS0{rest}"), first)
            }
        }
    }

    fn is_fresh(&self, day: &str, now: Timestamp) -> Result<(), SrsError> {
        let made = number(day).ok_or(SrsError::Malformed)?;
        let today = now.0.div_euclid(DAY_MILLIS).rem_euclid(DAYS);
        let age = (today - made).rem_euclid(DAYS);
        let lifetime = i64::try_from(self.lifetime.as_secs() / 86_400).unwrap_or(DAYS);
        if age <= lifetime { Ok(()) } else { Err(SrsError::Expired) }
    }

    fn hash(&self, text: &str) -> String {
        let tag = hmac::sign(&self.key, text.to_lowercase().as_bytes());
        let mut first = [0; 8];
        first.copy_from_slice(&tag.as_ref()[..8]);
        base32(u64::from_be_bytes(first), HASH_CHARS)
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Zero,
    One,
}

/// The kind of a rewritten local part, and what follows, beginning with its separator.
fn kind(local: &str) -> Option<(Kind, &str)> {
    let (tag, rest) = (local.get(..4)?, local.get(4..)?);
    if !rest.starts_with(['=', '+', '-']) {
        return None;
    }
    if tag.eq_ignore_ascii_case("SRS0") {
        Some((Kind::Zero, rest))
    } else if tag.eq_ignore_ascii_case("SRS1") {
        Some((Kind::One, rest))
    } else {
        None
    }
}

/// Hash, first server and the rest of what follows `SRS1=`.
fn split_one(text: &str) -> Option<(&str, &str, &str)> {
    let (hash, rest) = text.split_once('=')?;
    let (first, rest) = rest.split_once('=')?;
    Some((hash, first, rest))
}

fn to_address(local: &str, domain: &str) -> Result<Address, SrsError> {
    let domain = Domain::parse(domain).map_err(|_| SrsError::Malformed)?;
    Address::new(local, domain).map_err(|_| SrsError::Malformed)
}

/// The lowest bits of a number, five a character, highest first.
fn base32(number: u64, characters: usize) -> String {
    let places = (0..characters).rev();
    places.map(|place| char::from(BASE32[(number >> (5 * place)) as usize & 31])).collect()
}

fn number(text: &str) -> Option<i64> {
    if text.len() != DAY_CHARS {
        return None;
    }
    text.bytes().try_fold(0, |number, octet| {
        let place = BASE32.iter().position(|&digit| digit == octet.to_ascii_uppercase())?;
        Some(number * 32 + place as i64)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn srs(domain: &str) -> Srs {
        let domain = Domain::parse(domain).unwrap();
        Srs::new(domain.as_str().as_bytes(), domain.clone(), 10 * DAY)
    }

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    #[test]
    fn a_sender_finds_its_way_back_until_it_expires() {
        let (srs, sender) = (srs("one.example"), address("Ann.Lee+x=y@example.com"));
        // The days are counted modulo 1,024; this range crosses that.
        for start in 19_450..19_460 {
            let now = Timestamp(start * DAY_MILLIS);
            let rewritten = srs.forward(&sender, now).unwrap();
            assert!(rewritten.local().starts_with("SRS0="), "{rewritten}");
            assert!(srs.is_rewritten(&rewritten));
            assert_eq!(srs.reverse(&rewritten, now.plus(10 * DAY)).unwrap(), sender);
            assert_eq!(srs.reverse(&rewritten, now.plus(11 * DAY)), Err(SrsError::Expired));
        }
    }

    #[test]
    fn a_chain_of_forwarders_leads_back_to_the_first() {
        let now = Timestamp(1_772_445_731_042);
        let sender = address("ann@example.com");
        let (one, two, three) = (srs("one.example"), srs("two.example"), srs("three.example"));
        let first = one.forward(&sender, now).unwrap();
        let second = two.forward(&first, now).unwrap();
        assert!(second.local().starts_with("SRS1="), "{second}");
        let third = three.forward(&second, now).unwrap();
        let back = three.reverse(&third, now).unwrap();
        assert_eq!(back, first, "the second is left out");
        assert_eq!(two.reverse(&second, now).unwrap(), first);
        assert_eq!(one.reverse(&back, now).unwrap(), sender);
    }

    #[test]
    fn what_was_changed_or_made_elsewhere_is_refused_and_case_is_not_a_change() {
        let now = Timestamp(1_772_445_731_042);
        let srs = srs("one.example");
        let good = srs.forward(&address("ann@example.com"), now).unwrap();
        let changed = good.local().replace("=ann", "=eve");
        let forged = Address::new(&changed, good.domain().clone()).unwrap();
        assert_eq!(srs.reverse(&forged, now), Err(SrsError::Forged));
        let other = Srs::new(b"another key", good.domain().clone(), 10 * DAY);
        assert_eq!(other.reverse(&good, now), Err(SrsError::Forged));
        let lower = Address::new(&good.local().to_lowercase(), good.domain().clone()).unwrap();
        assert_eq!(srs.reverse(&lower, now).unwrap(), address("ann@example.com"));
        for text in ["SRS0=", "SRS0=x", "SRS1=AAAAAA=b", "SRS0=AAAAAA=A=b"] {
            let bad = Address::new(text, good.domain().clone()).unwrap();
            assert!(srs.reverse(&bad, now).is_err(), "{text}");
        }
        assert!(!srs.is_rewritten(&address("srs0x=a@one.example")));
        assert!(!srs.is_rewritten(&address("SRS0=a@two.example")));
    }

    #[test]
    fn a_sender_that_does_not_fit_keeps_its_name() {
        let long = address(&format!("{}@example.com", "a".repeat(60)));
        assert_eq!(srs("one.example").forward(&long, Timestamp(0)), Err(TooLong));
    }

    proptest! {
        #[test]
        fn no_local_part_is_a_panic_or_passes_unproved(local in "SRS[01][=+-][ -~]{0,50}") {
            if let Ok(address) = Address::new(&local, Domain::parse("one.example").unwrap()) {
                let found = srs("one.example").reverse(&address, Timestamp(0));
                prop_assert!(found.is_err());
            }
        }
    }
}
