//! What goes into the queue and what comes out of it.

use mail::{Address, ReversePath, Timestamp, TraceId};

use crate::body::Body;

/// Names one queue entry: one message for one destination group. Entries of
/// one message are neighbours, and later messages have greater names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryId(pub i64);

/// Names one stored body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlobId(pub i64);

/// The right to deliver one entry, until it expires or is settled.
///
/// Only the store makes one; it cannot be copied, so an entry is delivered by
/// one task at a time. Dropping it without [`settle`](crate::Store::settle)
/// lets the entry come back when the lease expires.
#[derive(Debug, PartialEq, Eq, Hash)]
#[must_use = "an entry whose lease is dropped waits until the lease expires"]
pub struct Lease {
    pub(crate) entry: EntryId,
    pub(crate) token: i64,
}

impl Lease {
    /// The entry it is for.
    pub fn entry(&self) -> EntryId {
        self.entry
    }
}

/// A message to take responsibility for. See [`Store::accept`](crate::Store::accept).
#[derive(Debug, Clone)]
pub struct Accept {
    /// Its name.
    pub trace: TraceId,
    /// When it came.
    pub received: Timestamp,
    /// Who is told of failures.
    pub reverse_path: ReversePath,
    /// Envelope and whatever else delivery and trace want back, as JSON; at
    /// most [`FACTS_MAX_OCTETS`].
    pub facts: Vec<u8>,
    /// The text of its Message-ID field, if it has one.
    pub message_id: Option<String>,
    /// The addresses under which the message can be found: sender and recipients.
    pub parties: Vec<Address>,
    /// Its content.
    pub body: Body,
    /// One entry per destination group; at most [`ENTRIES_MAX`].
    pub entries: Vec<NewEntry>,
    /// Recipients that end at once, such as those a rule discards, by how many.
    pub ended: Vec<(Ending, u32)>,
    /// What to write into the evidence, in this order; empty when evidence is off.
    pub evidence: Vec<Evidence>,
}

/// One destination group of a message.
#[derive(Debug, Clone)]
pub struct NewEntry {
    /// What the group goes to: a domain, or the name of a route. Fairness,
    /// freezing and concurrency go by it.
    pub destination: String,
    /// How it goes there, when that is already decided; opaque.
    pub route: Option<Vec<u8>>,
    /// The recipients with their state, as JSON; opaque.
    pub recipients: Vec<u8>,
    /// How many recipients that is.
    pub recipient_count: u32,
    /// When the queue gives up.
    pub expires: Timestamp,
    /// What happens first.
    pub start: Start,
}

/// What happens to a new entry first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// The caller delivers it now: it is born leased, and no claim is needed.
    Leased {
        /// When the lease ends if nothing was settled.
        until: Timestamp,
    },
    /// It waits for its first attempt.
    Due(Timestamp),
    /// It stays until it is released.
    Held(Hold),
}

/// Why an entry stays in the queue untouched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// In words: `held by ann`, `quarantine: rule 7 "macros"`.
    pub reason: String,
}

/// The final state of a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Ending {
    /// Put into a mailbox of ours, or handed over by LMTP.
    Delivered,
    /// Taken by another server.
    Relayed,
    /// Given up; the sender was told if the sender can be told.
    Bounced,
    /// Dropped by a named rule.
    Discarded,
    /// Kept aside by a named rule, for good.
    Quarantined,
    /// Taken out by an operator without telling the sender.
    Cancelled,
}

impl Ending {
    /// Every ending, in the order in which the ledger shows them.
    pub const ALL: [Self; 6] = [
        Self::Delivered,
        Self::Relayed,
        Self::Bounced,
        Self::Discarded,
        Self::Quarantined,
        Self::Cancelled,
    ];

    /// The word for it, as trace, ledger and metrics print it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Relayed => "relayed",
            Self::Bounced => "bounced",
            Self::Discarded => "discarded",
            Self::Quarantined => "quarantined",
            Self::Cancelled => "cancelled",
        }
    }
}

/// One entry for the evidence chain.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// The message it is about.
    pub trace: TraceId,
    /// When it happened.
    pub at: Timestamp,
    /// What happened, as JSON with its schema version; opaque, and what is hashed.
    pub payload: Vec<u8>,
}

/// An accepted message.
#[derive(Debug)]
pub struct Accepted {
    /// Its name.
    pub trace: TraceId,
    /// Its body.
    pub blob: BlobId,
    /// Its entries, in the order given, each with its lease if it was born leased.
    pub entries: Vec<(EntryId, Option<Lease>)>,
}

/// A message that was refused: kept so that it can be found, and nothing more.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// Its name.
    pub trace: TraceId,
    /// When it was refused.
    pub at: Timestamp,
    /// Who it said it came from.
    pub reverse_path: ReversePath,
    /// What is known of it, as JSON.
    pub facts: Vec<u8>,
    /// The addresses under which it can be found.
    pub parties: Vec<Address>,
    /// What to write into the evidence, in this order.
    pub evidence: Vec<Evidence>,
}

/// What work to hand out. See [`Store::claim_due`](crate::Store::claim_due).
#[derive(Debug, Clone)]
pub struct Claim {
    /// Entries due at this instant or before are handed out.
    pub now: Timestamp,
    /// When the leases end.
    pub until: Timestamp,
    /// How many entries at most; no more than [`CLAIM_MAX`] are given.
    pub limit: u32,
    /// How many of one destination at most.
    pub per_destination: u32,
    /// Destinations that can take no more now.
    pub busy: Vec<String>,
}

/// One entry handed out for delivery.
#[derive(Debug)]
pub struct Claimed {
    /// The right to deliver it.
    pub lease: Lease,
    /// The message.
    pub trace: TraceId,
    /// When the message came.
    pub received: Timestamp,
    /// Who is told of failures.
    pub reverse_path: ReversePath,
    /// The message's facts, as given to accept.
    pub facts: Vec<u8>,
    /// The message's body.
    pub blob: BlobId,
    /// How long the body is.
    pub size_octets: u64,
    /// The group's destination.
    pub destination: String,
    /// How it goes there, if decided (or rerouted).
    pub route: Option<Vec<u8>>,
    /// The recipients with their state, as last written.
    pub recipients: Vec<u8>,
    /// How many recipients that is.
    pub recipient_count: u32,
    /// How many attempts there were.
    pub attempts: u32,
    /// When the queue gives up.
    pub expires: Timestamp,
}

/// What became of an attempt. See [`Store::settle`](crate::Store::settle).
#[derive(Debug)]
pub struct Settle {
    /// The right under which it was made; used up.
    pub lease: Lease,
    /// When.
    pub at: Timestamp,
    /// Recipients that reached their final state, by how many.
    pub ended: Vec<(Ending, u32)>,
    /// Recipients that go on, if any. Their number and those of `ended` make
    /// up the entry's number; anything else is refused.
    pub remaining: Option<Remaining>,
    /// What to write into the evidence, in this order.
    pub evidence: Vec<Evidence>,
    /// Notices to the sender, accepted in the same transaction.
    pub notices: Vec<Accept>,
}

/// The part of an entry that goes on.
#[derive(Debug, Clone)]
pub struct Remaining {
    /// The recipients with their state, as JSON.
    pub recipients: Vec<u8>,
    /// How many recipients that is.
    pub recipient_count: u32,
    /// When to try again; later than the entry's expiry is allowed.
    pub due: Timestamp,
    /// Whether this counts as an attempt; not when the entry was only put back.
    pub attempted: bool,
    /// What the last attempt ended with, in words for the queue list.
    pub note: String,
}

impl Settle {
    /// The whole entry reached one final state.
    pub fn complete(lease: Lease, at: Timestamp, ending: Ending, recipients: u32) -> Self {
        Self {
            lease,
            at,
            ended: vec![(ending, recipients)],
            remaining: None,
            evidence: Vec::new(),
            notices: Vec::new(),
        }
    }

    /// The whole entry waits for another attempt.
    pub fn defer(lease: Lease, at: Timestamp, remaining: Remaining) -> Self {
        Self {
            lease,
            at,
            ended: Vec::new(),
            remaining: Some(remaining),
            evidence: Vec::new(),
            notices: Vec::new(),
        }
    }

    /// The whole entry is given up and `notice` tells the sender.
    pub fn bounce(lease: Lease, at: Timestamp, recipients: u32, notice: Option<Accept>) -> Self {
        Self {
            lease,
            at,
            ended: vec![(Ending::Bounced, recipients)],
            remaining: None,
            evidence: Vec::new(),
            notices: notice.into_iter().collect(),
        }
    }

    /// The same with these evidence entries.
    #[must_use]
    pub fn with_evidence(mut self, evidence: Vec<Evidence>) -> Self {
        self.evidence = evidence;
        self
    }
}

/// A settled attempt.
#[derive(Debug)]
pub struct Settled {
    /// The notices, in the order given, each accepted.
    pub notices: Vec<Accepted>,
    /// Whether this was the last open recipient of the message.
    pub message_finished: bool,
}

/// The most octets of facts a message may carry.
pub const FACTS_MAX_OCTETS: usize = 16 * 1024 * 1024;
/// The most destination groups of one message.
pub const ENTRIES_MAX: usize = 1 << ENTRY_BITS;
/// The most entries one claim hands out.
pub const CLAIM_MAX: u32 = 1000;
/// An entry's name is its message's number, shifted, and its place in the message.
pub(crate) const ENTRY_BITS: u32 = 20;
