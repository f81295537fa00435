//! A world made up from a seed: clock, disk, peers, power failures.
//!
//! The queue is a fold over the records on the disk, as the store's is over its
//! transactions; what an attempt means is decided by the crate under test.

pub mod disk;
pub mod peers;

use std::collections::BTreeMap;
use std::time::Duration;

use disk::{Accepted, Disk, Queue, Record};
use mail::{Address, Notify, Recipient, ReversePath, Timestamp};
use peers::{Peers, SENDER};
use queue::{
    Dispatch, DoubleBounce, Entry, Limits, Outcome, QueuedRecipient, Schedule, Transition,
    transition,
};

pub const LIFETIME: Duration = Duration::from_secs(5 * 86_400);
pub const RETRY_MAX: Duration = Duration::from_secs(4 * 3600);
const STEPS_MAX: usize = 20_000;

pub struct World {
    pub random: fastrand::Rng,
    pub clock: Timestamp,
    pub disk: Disk,
    pub queue: Queue,
    pub peers: Peers,
    /// Messages whose peer has its 250, and the notices promised with a settlement.
    pub promised: Vec<u64>,
    /// Power failures between a delivery and its record.
    pub gaps: usize,
    schedule: Schedule,
    double_bounce: DoubleBounce,
    dispatch: Dispatch,
    next_id: u64,
    /// How often the power fails, of a hundred chances.
    failure_percent: u8,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let double_bounce = if random.bool() {
            DoubleBounce::Drop
        } else {
            DoubleBounce::Tell(address("postmaster@home.example"))
        };
        let retries = [300, 1200, 3600, 14_400].map(Duration::from_secs).to_vec();
        let schedule = Schedule::new(retries, 0)
            .unwrap()
            .giving_up_after(LIFETIME, Duration::from_secs(86_400));
        Self {
            peers: Peers::new(&mut random),
            failure_percent: random.u8(0..4),
            random,
            clock: Timestamp(1_772_445_731_000),
            disk: Disk::default(),
            queue: Queue::default(),
            promised: Vec::new(),
            gaps: 0,
            schedule,
            double_bounce,
            dispatch: Dispatch::new(Limits::default()),
            next_id: 0,
        }
    }

    /// A message comes; the power may fail before it is synced.
    pub fn accept(&mut self) {
        let reverse_path = match self.random.u8(..10) {
            0 => ReversePath::Null,
            _ => ReversePath::Address(address(SENDER)),
        };
        let recipients = (0..self.random.usize(1..4)).map(|n| self.recipient(n)).collect();
        let accepted = self.message(reverse_path, recipients);
        let id = accepted.id;
        self.disk.append(Record::Accepted(accepted));
        if self.power_fails() {
            return;
        }
        self.disk.sync().iter().for_each(|record| self.queue.apply(record));
        self.promised.push(id);
    }

    fn recipient(&mut self, n: usize) -> QueuedRecipient {
        let domain = self.peers.names[self.random.usize(..self.peers.names.len())];
        let mut recipient = Recipient::new(address(&format!("r{n}@{domain}")));
        recipient.notify = match self.random.u8(..4) {
            0 => Notify::NEVER,
            1 => Notify { success: true, failure: true, delay: true },
            _ => Notify::default(),
        };
        QueuedRecipient::new(recipient)
    }

    fn message(&mut self, reverse_path: ReversePath, recipients: Vec<QueuedRecipient>) -> Accepted {
        self.next_id += 1;
        Accepted {
            id: self.next_id,
            received: self.clock,
            expires: self.schedule.expires(self.clock, &reverse_path),
            reverse_path,
            recipients,
        }
    }

    /// The entry that is due first is tried, if it is due; else the time passes.
    pub fn attempt(&mut self) {
        let Some((id, due)) = self.queue.first_due() else { return };
        if due > self.clock {
            self.clock = due;
        }
        let destination = self.queue.entries[&id].destination();
        if !self.dispatch.begin(&destination) {
            return;
        }
        let entry = self.queue.entries[&id].clone();
        let outcomes: Vec<Outcome> = entry
            .recipients
            .iter()
            .map(|r| self.peers.answer(&mut self.random, id, r, self.clock))
            .collect();
        self.clock = self.clock.plus(Duration::from_millis(self.random.u64(..60_000)));
        let success = outcomes.iter().any(|outcome| matches!(outcome, Outcome::Delivered(_)));
        self.dispatch.end(&destination, success);
        let made = transition(
            &self.schedule,
            &self.double_bounce,
            &Entry {
                received: entry.received,
                expires: entry.expires,
                attempts: entry.attempts,
                reverse_path: &entry.reverse_path,
                recipients: &entry.recipients,
            },
            &outcomes,
            self.clock,
            self.random.u32(..),
        );
        self.check(&entry, &made);
        self.settle(id, made, success);
    }

    fn settle(&mut self, id: u64, made: Transition, delivered: bool) {
        let mut notices = Vec::new();
        for notice in &made.notices {
            let to = QueuedRecipient::new(Recipient::new(notice.to.clone()));
            notices.push(self.message(ReversePath::Null, vec![to]));
        }
        let promises: Vec<u64> = notices.iter().map(|notice| notice.id).collect();
        self.disk.append(Record::Settled { id, at: self.clock, made, notices });
        if self.power_fails() {
            self.gaps += usize::from(delivered);
            return;
        }
        self.disk.sync().iter().for_each(|record| self.queue.apply(record));
        self.promised.extend(promises);
    }

    /// Laws of every transition.
    fn check(&self, entry: &disk::QueueEntry, made: &Transition) {
        assert_eq!(
            made.ended.len() + made.remaining.len(),
            entry.recipients.len(),
            "each recipient goes one way"
        );
        if !made.remaining.is_empty() {
            assert!(made.due <= entry.expires.max(self.clock), "due after its expiry");
        }
        for notice in &made.notices {
            let postmaster = DoubleBounce::Tell(notice.to.clone()) == self.double_bounce;
            match &entry.reverse_path {
                ReversePath::Null => assert!(postmaster, "a bounce of a bounce to {}", notice.to),
                ReversePath::Address(sender) => assert_eq!(*sender, notice.to),
            }
        }
    }

    /// Perhaps the power fails: what was not synced is gone, or some of it.
    fn power_fails(&mut self) -> bool {
        if self.random.u8(..100) >= self.failure_percent {
            return false;
        }
        self.disk.power_failure(&mut self.random);
        self.queue = Queue::replay(&self.disk);
        self.dispatch = Dispatch::new(Limits::default());
        true
    }

    pub fn run_until_quiet(&mut self) {
        for _ in 0..STEPS_MAX {
            if self.queue.entries.is_empty() {
                return;
            }
            self.attempt();
        }
        panic!("still not quiet: {:?}", self.queue.entries);
    }

    /// Every ending of every recipient of a message, in order.
    pub fn endings(&self, id: u64) -> BTreeMap<Address, Vec<(Timestamp, store::Ending)>> {
        self.queue.endings.get(&id).cloned().unwrap_or_default()
    }
}

pub fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}
