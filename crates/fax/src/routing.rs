//! Which transport carries a fax, by the beginning of its number.

use crate::number::{Number, Plan, Prefix};

/// The transports that may carry a fax to `number`, best first, as places in `limits`.
///
/// Each transport is given by the beginnings of numbers it is limited to; none means every
/// number. The longest beginning that fits wins; of equals, the one named first.
pub fn candidates(limits: &[&[Prefix]], number: &Number) -> Vec<usize> {
    let mut found: Vec<(usize, usize)> = limits
        .iter()
        .enumerate()
        .filter_map(|(place, limit)| Some((place, fit(limit, number)?)))
        .collect();
    // The sort is stable: what fits as well stays in the order given.
    found.sort_by_key(|(_, digits)| std::cmp::Reverse(*digits));
    found.into_iter().map(|(place, _)| place).collect()
}

/// How many digits of the longest fitting beginning; none need fit where there is no limit.
fn fit(limit: &[Prefix], number: &Number) -> Option<usize> {
    if limit.is_empty() {
        return Some(0);
    }
    limit.iter().filter(|prefix| prefix.begins(number)).map(Prefix::digits).max()
}

/// Whether a transport limited to `prefix` can ever get a number that `plan` allows.
pub fn is_used(prefix: &Prefix, plan: &Plan) -> bool {
    let is_allowed = plan.allow.is_empty()
        || plan.allow.iter().any(|allowed| allowed.covers(prefix) || prefix.covers(allowed));
    is_allowed && !plan.deny.iter().any(|denied| denied.covers(prefix))
}

/// Whether each number that `plan` allows has a transport. Lists of single numbers that
/// together happen to be all there is are not added up.
pub fn serves_all(limits: &[&[Prefix]], plan: &Plan) -> bool {
    let serves = |wanted: &Prefix| limits.iter().flat_map(|l| *l).any(|p| p.covers(wanted));
    limits.iter().any(|limit| limit.is_empty())
        || (!plan.allow.is_empty() && plan.allow.iter().all(serves))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefixes(words: &str) -> Vec<Prefix> {
        words.split_whitespace().map(|word| word.parse().unwrap()).collect()
    }

    fn number(text: &str) -> Number {
        Number::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn the_longest_beginning_wins_and_the_others_follow() {
        let limits = ["", "+44 +1", "+1202", "+1-202", "+33"].map(prefixes);
        let limits: Vec<&[Prefix]> = limits.iter().map(Vec::as_slice).collect();
        for (to, expected) in [
            ("+12025550123", vec![2, 3, 1, 0]),
            ("+13125550123", vec![1, 0]),
            ("+442079460958", vec![1, 0]),
            ("+493023125000", vec![0]),
        ] {
            assert_eq!(candidates(&limits, &number(to)), expected, "{to}");
        }
        assert!(candidates(&limits[4..], &number("+12025550123")).is_empty());
    }

    #[test]
    fn a_beginning_that_no_allowed_number_has_is_never_used() {
        let mut plan = Plan::of("US".parse().unwrap());
        let used = |prefix: &str, plan: &Plan| is_used(&prefix.parse().unwrap(), plan);
        assert!(used("+44", &plan));
        plan.allow = prefixes("+1 +4420");
        plan.deny = prefixes("+1900");
        for (prefix, expected) in
            [("+1202", true), ("+44", true), ("+4421", false), ("+1900", false), ("+19001", false)]
        {
            assert_eq!(used(prefix, &plan), expected, "{prefix}");
        }
    }

    #[test]
    fn all_numbers_are_served_by_a_transport_without_limit_or_by_one_for_each_allowed() {
        let mut plan = Plan::of("US".parse().unwrap());
        let (one, rest) = (prefixes("+1"), prefixes("+44"));
        assert!(serves_all(&[&one, &[]], &plan));
        assert!(!serves_all(&[&one, &rest], &plan));
        assert!(!serves_all(&[], &plan));
        plan.allow = prefixes("+1202 +44");
        assert!(serves_all(&[&one, &rest], &plan));
        assert!(!serves_all(&[&one], &plan));
    }
}
