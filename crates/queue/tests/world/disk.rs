//! A journal that may lose its tail, and the queue that is its fold.

use std::collections::BTreeMap;

use mail::{Address, ReversePath, Timestamp};
use queue::{QueuedRecipient, Transition, decode, encode};
use store::Ending;

#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    pub id: u64,
    pub received: Timestamp,
    pub expires: Timestamp,
    pub reverse_path: ReversePath,
    pub recipients: Vec<QueuedRecipient>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    Accepted(Accepted),
    Settled { id: u64, at: Timestamp, made: Transition, notices: Vec<Accepted> },
}

#[derive(Debug, Default)]
pub struct Disk {
    records: Vec<Record>,
    synced: usize,
}

impl Disk {
    pub fn append(&mut self, record: Record) {
        self.records.push(record);
    }

    /// Makes every record durable; gives those that were not.
    pub fn sync(&mut self) -> &[Record] {
        let from = std::mem::replace(&mut self.synced, self.records.len());
        &self.records[from..]
    }

    /// Keeps what was synced and, by chance, some of what followed.
    pub fn power_failure(&mut self, random: &mut fastrand::Rng) {
        let kept = random.usize(self.synced..=self.records.len());
        self.records.truncate(kept);
        self.synced = kept;
    }

    pub fn records(&self) -> &[Record] {
        &self.records
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct QueueEntry {
    pub received: Timestamp,
    pub expires: Timestamp,
    pub reverse_path: ReversePath,
    pub recipients: Vec<QueuedRecipient>,
    pub attempts: u32,
    pub due: Timestamp,
}

impl QueueEntry {
    pub fn destination(&self) -> String {
        self.recipients[0].recipient.address.domain().to_string()
    }
}

pub type Endings = BTreeMap<Address, Vec<(Timestamp, Ending)>>;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Queue {
    pub entries: BTreeMap<u64, QueueEntry>,
    pub endings: BTreeMap<u64, Endings>,
    pub received: BTreeMap<u64, Timestamp>,
}

impl Queue {
    pub fn replay(disk: &Disk) -> Self {
        let mut queue = Self::default();
        disk.records().iter().for_each(|record| queue.apply(record));
        queue
    }

    pub fn first_due(&self) -> Option<(u64, Timestamp)> {
        self.entries.iter().map(|(&id, entry)| (id, entry.due)).min_by_key(|&(id, due)| (due, id))
    }

    pub fn apply(&mut self, record: &Record) {
        match record {
            Record::Accepted(accepted) => self.accept(accepted),
            Record::Settled { id, at, made, notices } => {
                for ended in &made.ended {
                    let address = ended.recipient.recipient.address.clone();
                    let endings = self.endings.entry(*id).or_default();
                    endings.entry(address).or_default().push((*at, ended.ending));
                }
                if made.remaining.is_empty() {
                    self.entries.remove(id);
                } else if let Some(entry) = self.entries.get_mut(id) {
                    // As the store keeps them.
                    entry.recipients = decode(&encode(&made.remaining).unwrap()).unwrap();
                    entry.attempts += u32::from(made.attempted);
                    entry.due = made.due;
                }
                for notice in notices {
                    self.accept(notice);
                }
            }
        }
    }

    fn accept(&mut self, accepted: &Accepted) {
        self.received.insert(accepted.id, accepted.received);
        self.entries.insert(
            accepted.id,
            QueueEntry {
                received: accepted.received,
                expires: accepted.expires,
                reverse_path: accepted.reverse_path.clone(),
                recipients: accepted.recipients.clone(),
                attempts: 0,
                due: accepted.received,
            },
        );
    }
}
