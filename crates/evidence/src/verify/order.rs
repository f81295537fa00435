//! Which entries are where they belong, told from one look ahead.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::report::{Fault, Subject};

/// The most gaps and strays that are told apart; beyond them they are not told.
const REMEMBERED_MAX: usize = 10_000;

/// How an entry stands in the order.
pub(super) enum Place {
    /// Where it belongs.
    Here,
    /// Where it belongs, once the gap before it is granted.
    AfterGap,
    /// Where another one belongs.
    InsteadOfAnother,
    /// Between two that belong together.
    Stray,
}

/// The numbers so far.
#[derive(Default)]
pub(super) struct Order {
    first: Option<u64>,
    expected: Option<u64>,
    last_in_place: u64,
    /// Numbers that were not where they belong, in order, and the line that showed it.
    gaps: Vec<(RangeInclusive<u64>, u64)>,
    /// Entries found where they do not belong, with their line.
    strays: BTreeMap<u64, u64>,
}

impl Order {
    pub(super) fn first(&self) -> Option<u64> {
        self.first
    }

    /// The number that should come next, once anything is known.
    pub(super) fn expected(&self) -> Option<u64> {
        self.expected
    }

    /// The number that should have come last.
    pub(super) fn position(&self) -> u64 {
        self.expected.map_or(0, |expected| expected.saturating_sub(1))
    }

    /// The last entry that was in place.
    pub(super) fn last_in_place(&self) -> u64 {
        self.last_in_place
    }

    /// Says that `seq` comes next.
    pub(super) fn expect(&mut self, seq: u64) {
        self.first.get_or_insert(seq);
        self.expected = Some(seq);
    }

    /// Says that `seq` comes next and what should have come before is not there.
    pub(super) fn expect_after_gap(&mut self, seq: u64, line: u64) {
        if let Some(expected) = self.expected {
            self.gap(expected, seq, line);
        }
        self.expect(seq);
    }

    /// Places the entry `seq` of `line`, which the entry `following` follows, if any.
    pub(super) fn place(&mut self, seq: u64, following: Option<u64>, line: u64) -> Place {
        let expected = match (self.expected, following) {
            (Some(expected), _) => expected,
            // Without an opening the first number is taken from what can be right.
            (None, Some(next)) if next != seq.saturating_add(1) => next.min(seq),
            (None, _) => seq,
        };
        self.expect(expected);
        let after = expected.saturating_add(1);
        if seq == expected {
            self.settle(seq);
            return Place::Here;
        }
        if following == Some(after) {
            self.gap(expected, after, line);
            self.stray(seq, line);
            self.expected = Some(after);
            return Place::InsteadOfAnother;
        }
        if seq > expected && following.is_none_or(|next| next == seq.saturating_add(1)) {
            self.gap(expected, seq, line);
            self.settle(seq);
            return Place::AfterGap;
        }
        self.stray(seq, line);
        Place::Stray
    }

    /// Says that the last entry should have been `last`.
    pub(super) fn ends_at(&mut self, last: u64, line: u64) {
        if let Some(expected) = self.expected.filter(|&expected| expected <= last) {
            self.gap(expected, last.saturating_add(1), line);
        }
    }

    fn settle(&mut self, seq: u64) {
        self.last_in_place = seq;
        self.expected = Some(seq.saturating_add(1));
    }

    fn stray(&mut self, seq: u64, line: u64) {
        if self.strays.len() < REMEMBERED_MAX {
            self.strays.insert(seq, line);
        }
    }

    fn gap(&mut self, from: u64, before: u64, line: u64) {
        if from < before && self.gaps.len() < REMEMBERED_MAX {
            self.gaps.push((from..=before - 1, line));
        }
    }

    /// The line of a copy of the entry `seq`, which is in place as well.
    pub(super) fn copied_at(&self, seq: u64) -> Option<u64> {
        let moved = self.gaps.iter().any(|(gap, _)| gap.contains(&seq));
        self.strays.get(&seq).copied().filter(|_| !moved)
    }

    /// What is missing, moved or there twice.
    pub(super) fn conclude(&self) -> Vec<(Subject, Fault, u64)> {
        let mut findings = Vec::new();
        for (&seq, &line) in &self.strays {
            let moved = self.gaps.iter().any(|(gap, _)| gap.contains(&seq));
            let fault = if moved { Fault::OutOfOrder } else { Fault::Duplicate };
            findings.push((Subject::Entry(seq), fault, line));
        }
        for (gap, line) in &self.gaps {
            let mut from = *gap.start();
            for (&stray, _) in self.strays.range(gap.clone()) {
                if from < stray {
                    findings.push((Subject::between(from, stray - 1), Fault::Missing, *line));
                }
                from = stray.saturating_add(1);
            }
            if from <= *gap.end() {
                findings.push((Subject::between(from, *gap.end()), Fault::Missing, *line));
            }
        }
        findings
    }
}
