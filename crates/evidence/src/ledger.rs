//! Conservation of mail: every promise has exactly one end, or still waits.
//!
//! A promise is a recipient of an accepted message: a 250. The [`Ledger`] is fed entries
//! in the order of the chain, is told what the queue still holds, and strikes a
//! [`Balance`]. It remembers the recipients of open messages, and only the name of
//! closed ones; who feeds it message by message and calls [`Ledger::close`] keeps it small.

use std::collections::hash_map;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use mail::{Address, TraceId};
use serde::Serialize;

use crate::{Ending, Entry, Event};

/// The most discrepancies that are listed one by one.
const LISTED_MAX: usize = 10_000;

/// Promises and ends as they come in.
#[derive(Debug, Default)]
pub struct Ledger {
    open: HashMap<TraceId, HashMap<Address, Account>>,
    closed: HashSet<TraceId>,
    balance: Balance,
}

/// How one promise stands.
#[derive(Debug, Clone, Copy, Default)]
struct Account {
    ended: bool,
    queued: bool,
}

/// What became of all promises.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Balance {
    /// How many recipients were promised something.
    pub promised: u64,
    /// How many of them reached each end.
    pub ended: BTreeMap<Ending, u64>,
    /// How many still wait.
    pub queued: u64,
    /// Where it does not come out even.
    pub discrepancies: Vec<Discrepancy>,
    /// How many discrepancies there are besides those listed.
    pub more: u64,
}

/// A recipient for which promise and end do not match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Discrepancy {
    /// The message.
    pub trace: TraceId,
    /// The recipient.
    pub recipient: Address,
    /// What is wrong.
    pub kind: DiscrepancyKind,
}

/// What is wrong with a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiscrepancyKind {
    /// Promised, not ended, and not in the queue.
    Lost,
    /// Ended more than once.
    EndedTwice,
    /// Ended, and still in the queue.
    EndedAndQueued,
    /// Ended or queued, and never promised.
    NotPromised,
    /// Promised more than once.
    PromisedTwice,
}

impl Ledger {
    /// A ledger without entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next entry. Kinds that neither promise nor end are ignored.
    pub fn observe(&mut self, entry: &Entry) {
        let Some(trace) = entry.trace else { return };
        match &entry.event {
            Event::Accepted(accepted) => {
                for promise in &accepted.recipients {
                    self.promise(trace, &promise.address);
                }
            }
            Event::Finished(finished) => {
                for recipient in &finished.recipients {
                    self.end(trace, &recipient.address, recipient.ending);
                }
            }
            Event::Refused(_)
            | Event::Attempted(_)
            | Event::AdminAction(_)
            | Event::ConfigChanged(_)
            | Event::AccountChanged(_)
            | Event::Started(_)
            | Event::FaxChanged(_) => {}
        }
    }

    fn promise(&mut self, trace: TraceId, recipient: &Address) {
        self.balance.promised += 1;
        let again = self.closed.contains(&trace);
        match self.open.entry(trace).or_default().entry(recipient.clone()) {
            hash_map::Entry::Vacant(vacant) if !again => {
                vacant.insert(Account::default());
            }
            hash_map::Entry::Vacant(_) | hash_map::Entry::Occupied(_) => {
                self.balance.note(trace, recipient, DiscrepancyKind::PromisedTwice);
            }
        }
    }

    fn end(&mut self, trace: TraceId, recipient: &Address, ending: Ending) {
        *self.balance.ended.entry(ending).or_default() += 1;
        let closed = self.closed.contains(&trace);
        let Some(accounts) = self.open.get_mut(&trace) else {
            let kind =
                if closed { DiscrepancyKind::EndedTwice } else { DiscrepancyKind::NotPromised };
            return self.balance.note(trace, recipient, kind);
        };
        match accounts.get_mut(recipient) {
            None => self.balance.note(trace, recipient, DiscrepancyKind::NotPromised),
            Some(account) if account.ended => {
                self.balance.note(trace, recipient, DiscrepancyKind::EndedTwice);
            }
            Some(account) => account.ended = true,
        }
        if self.open.get(&trace).is_some_and(|accounts| accounts.values().all(|a| a.ended)) {
            self.open.remove(&trace);
            self.closed.insert(trace);
        }
    }

    /// Says that the queue holds this recipient.
    pub fn queued(&mut self, trace: TraceId, recipient: &Address) {
        let account = self.open.get_mut(&trace).and_then(|accounts| accounts.get_mut(recipient));
        let kind = match account {
            Some(account) if !account.ended => {
                self.balance.queued += u64::from(!account.queued);
                account.queued = true;
                return;
            }
            Some(_) => DiscrepancyKind::EndedAndQueued,
            None if self.closed.contains(&trace) => DiscrepancyKind::EndedAndQueued,
            None => DiscrepancyKind::NotPromised,
        };
        self.balance.note(trace, recipient, kind);
    }

    /// The messages with a recipient that has not ended: those to look for in the queue.
    pub fn open_messages(&self) -> impl Iterator<Item = TraceId> + '_ {
        self.open.keys().copied()
    }

    /// Says that all entries of a message have been given, and all that is queued of it.
    pub fn close(&mut self, trace: TraceId) {
        self.closed.remove(&trace);
        if let Some(accounts) = self.open.remove(&trace) {
            self.balance.note_lost(trace, accounts);
        }
    }

    /// Strikes the balance: what is open and not queued is lost.
    pub fn finish(mut self) -> Balance {
        let mut open: Vec<_> = self.open.into_iter().collect();
        open.sort_by_key(|(trace, _)| *trace);
        for (trace, accounts) in open {
            self.balance.note_lost(trace, accounts);
        }
        self.balance
    }
}

impl Balance {
    /// Whether every promise has exactly one end or waits.
    pub fn is_even(&self) -> bool {
        self.discrepancies.is_empty()
    }

    fn note_lost(&mut self, trace: TraceId, accounts: HashMap<Address, Account>) {
        let mut lost: Vec<_> =
            accounts.into_iter().filter(|(_, a)| !(a.ended || a.queued)).collect();
        lost.sort_by(|(a, _), (b, _)| a.cmp(b));
        for (recipient, _) in lost {
            self.note(trace, &recipient, DiscrepancyKind::Lost);
        }
    }

    fn note(&mut self, trace: TraceId, recipient: &Address, kind: DiscrepancyKind) {
        if self.discrepancies.len() < LISTED_MAX {
            self.discrepancies.push(Discrepancy { trace, recipient: recipient.clone(), kind });
        } else {
            self.more += 1;
        }
    }
}

impl fmt::Display for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "promised     {:>9}", self.promised)?;
        for ending in Ending::ALL {
            let count = self.ended.get(&ending).copied().unwrap_or_default();
            writeln!(f, "{:<12} {count:>9}", ending.word())?;
        }
        writeln!(f, "{:<12} {:>9}", "in the queue", self.queued)?;
        if self.is_even() {
            return writeln!(f, "EVEN: every promise has exactly one end, or waits");
        }
        writeln!(f, "NOT EVEN")?;
        for Discrepancy { trace, recipient, kind } in &self.discrepancies {
            writeln!(f, "  {trace} {recipient}: {kind}")?;
        }
        if self.more > 0 {
            writeln!(f, "  and {} more", self.more)?;
        }
        Ok(())
    }
}

impl fmt::Display for DiscrepancyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lost => "was promised, has not ended and is not in the queue",
            Self::EndedTwice => "ended more than once",
            Self::EndedAndQueued => "ended and is still in the queue",
            Self::NotPromised => "ended or is queued, and was never promised",
            Self::PromisedTwice => "was promised more than once",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{accepted, address, finished, trace_id};
    use expect_test::expect;
    use mail::Timestamp;
    use proptest::prelude::*;

    fn entry(trace: TraceId, event: Event) -> Entry {
        Entry::about(trace, Timestamp(1), event)
    }

    #[test]
    fn each_promise_has_one_end_or_waits() {
        let (a, b) = (trace_id(1), trace_id(2));
        let mut ledger = Ledger::new();
        ledger.observe(&entry(a, accepted(&["x@a.example", "y@a.example"])));
        ledger.observe(&entry(b, accepted(&["z@b.example"])));
        ledger.observe(&entry(a, finished("x@a.example", Ending::Relayed)));
        ledger.queued(a, &address("y@a.example"));
        ledger.observe(&entry(b, finished("z@b.example", Ending::Bounced)));
        let balance = ledger.finish();
        assert!(balance.is_even());
        expect![[r"
            promised             3
            delivered            0
            relayed              1
            bounced              1
            discarded            0
            quarantined          0
            cancelled            0
            in the queue         1
            EVEN: every promise has exactly one end, or waits
        "]]
        .assert_eq(&balance.to_string());
    }

    #[test]
    fn whatever_does_not_come_out_even_is_listed() {
        let id = trace_id;
        let mut ledger = Ledger::new();
        for (n, who) in [(1, "lost@a.example"), (2, "twice@a.example"), (3, "both@a.example")] {
            ledger.observe(&entry(id(n), accepted(&[who])));
        }
        ledger.observe(&entry(id(2), finished("twice@a.example", Ending::Relayed)));
        ledger.observe(&entry(id(2), finished("twice@a.example", Ending::Relayed)));
        ledger.observe(&entry(id(3), finished("both@a.example", Ending::Delivered)));
        ledger.queued(id(3), &address("both@a.example"));
        ledger.observe(&entry(id(4), finished("new@a.example", Ending::Delivered)));
        ledger.observe(&entry(id(3), accepted(&["both@a.example"])));
        let balance = ledger.finish();
        let kinds: Vec<_> =
            balance.discrepancies.iter().map(|d| (d.recipient.local(), d.kind)).collect();
        assert_eq!(
            kinds,
            [
                ("twice", DiscrepancyKind::EndedTwice),
                ("both", DiscrepancyKind::EndedAndQueued),
                ("new", DiscrepancyKind::NotPromised),
                ("both", DiscrepancyKind::PromisedTwice),
                ("lost", DiscrepancyKind::Lost),
            ]
        );
        assert!(!balance.is_even());
    }

    proptest! {
        /// Against counting by hand, in any interleaving.
        #[test]
        fn the_balance_is_even_exactly_if_every_promise_is_met_once(
            ends in proptest::collection::vec(0u8..3, 1..20), grouped: bool,
        ) {
            let mut ledger = Ledger::new();
            for (n, times) in ends.iter().enumerate() {
                let id = trace_id(n as u8);
                ledger.observe(&entry(id, accepted(&["x@a.example"])));
                for _ in 0..*times {
                    ledger.observe(&entry(id, finished("x@a.example", Ending::Relayed)));
                }
                if grouped {
                    ledger.close(id);
                }
            }
            let balance = ledger.finish();
            prop_assert_eq!(balance.is_even(), ends.iter().all(|&times| times == 1));
            prop_assert_eq!(balance.discrepancies.len(), ends.iter().filter(|&&t| t != 1).count());
        }
    }
}
