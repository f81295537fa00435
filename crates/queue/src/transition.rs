//! What an attempt means for each recipient of an entry, and who is told.

use std::time::Duration;

use mail::dsn::{Action, RECIPIENTS_MAX, Reason, RecipientNotice};
use mail::{Address, ReversePath, Status, Timestamp};
use store::Ending;

use crate::outcome::{Delivered, Onward, Outcome, Subject, Trouble};
use crate::recipient::{LastTrouble, QueuedRecipient, TEXT_MAX_CHARS};
use crate::schedule::Schedule;

/// A queue entry, as its transitions see it.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// When the message came.
    pub received: Timestamp,
    /// When the queue gives up.
    pub expires: Timestamp,
    /// How many attempts were made before this one.
    pub attempts: u32,
    /// Who is told.
    pub reverse_path: &'a ReversePath,
    /// The recipients that have not ended.
    pub recipients: &'a [QueuedRecipient],
}

/// What is done about failures of messages that have no sender to tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum DoubleBounce {
    /// Nothing: they end, and the evidence says so.
    #[default]
    Drop,
    /// The postmaster is told, unless it is the postmaster who cannot be reached.
    Tell(Address),
}

/// What follows from an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// Recipients that reached their final state.
    pub ended: Vec<EndedRecipient>,
    /// Recipients that go on, and when; empty when none does.
    pub remaining: Vec<QueuedRecipient>,
    /// When the rest is tried again; meaningless when none remains.
    pub due: Timestamp,
    /// Whether this was an attempt, or the entry was only put back.
    pub attempted: bool,
    /// What the attempt ended with, for the queue list.
    pub note: String,
    /// Whom to tell, and of what. Each becomes a message in the same transaction.
    pub notices: Vec<Notice>,
}

/// A recipient that reached its final state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedRecipient {
    /// Who.
    pub recipient: QueuedRecipient,
    /// How.
    pub ending: Ending,
    /// The last status.
    pub status: Status,
    /// The last words.
    pub text: String,
}

/// A notice to be composed and queued, with the null reverse-path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Whom to tell.
    pub to: Address,
    /// Of what; at most [`RECIPIENTS_MAX`] in one notice.
    pub recipients: Vec<RecipientNotice>,
}

/// An operator's way to end an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// The sender is told.
    Bounce,
    /// Nobody is told.
    Cancel,
}

/// What `outcomes`, one for each recipient and in their order, mean at `now`.
/// A recipient without an outcome was not tried. `random` chooses the jitter.
///
/// At or after the entry's expiry a temporary trouble is final, and so is not
/// having been tried. A notice of
/// failure is never sent about a message with the null reverse-path, nor
/// against the sender's wish (RFC 3461 section 4.1, RFC 5321 section 4.5.5).
pub fn transition(
    schedule: &Schedule,
    double_bounce: &DoubleBounce,
    entry: &Entry<'_>,
    outcomes: &[Outcome],
    now: Timestamp,
    random: u32,
) -> Transition {
    let mut making = Making::new(schedule, double_bounce, entry, now);
    let untried = Outcome::NotTried { again_after: Duration::ZERO };
    let outcomes = outcomes.iter().chain(std::iter::repeat(&untried));
    for (recipient, outcome) in entry.recipients.iter().zip(outcomes) {
        match outcome {
            Outcome::Delivered(delivered) => making.delivered(recipient, delivered),
            Outcome::Permanent(trouble) => making.failed(recipient, trouble, None),
            Outcome::Temporary(trouble) if now >= entry.expires => {
                making.failed(recipient, trouble, Some(now.since(entry.received)));
            }
            Outcome::Temporary(trouble) => making.deferred(recipient, trouble),
            Outcome::NotTried { .. } if now >= entry.expires => making.never_tried(recipient),
            Outcome::NotTried { again_after } => making.put_back(recipient, *again_after),
        }
    }
    making.finish(random)
}

/// Ends every recipient of an entry by an operator's word.
pub fn remove(
    schedule: &Schedule,
    double_bounce: &DoubleBounce,
    entry: &Entry<'_>,
    removal: Removal,
    now: Timestamp,
) -> Transition {
    let mut making = Making::new(schedule, double_bounce, entry, now);
    for recipient in entry.recipients {
        match removal {
            Removal::Bounce => {
                let text = "an administrator took it out of the queue";
                let trouble = Trouble::new(Status::new(5, 7, 0), Reason::Cancelled, text);
                making.failed(recipient, &trouble, None);
            }
            Removal::Cancel => {
                let text = "cancelled by an administrator".to_owned();
                making.end(recipient, Ending::Cancelled, Status::new(5, 7, 0), text);
            }
        }
    }
    making.finish(0)
}

/// A transition while its recipients are looked at.
struct Making<'a> {
    schedule: &'a Schedule,
    double_bounce: &'a DoubleBounce,
    entry: &'a Entry<'a>,
    now: Timestamp,
    to_sender: Vec<RecipientNotice>,
    to_postmaster: Vec<RecipientNotice>,
    not_before: Duration,
    /// What remains lacks protection, so a notice of that may fall due.
    protection: bool,
    made: Transition,
}

impl<'a> Making<'a> {
    fn new(
        schedule: &'a Schedule,
        double_bounce: &'a DoubleBounce,
        entry: &'a Entry<'a>,
        now: Timestamp,
    ) -> Self {
        let made = Transition {
            ended: Vec::new(),
            remaining: Vec::new(),
            due: now,
            attempted: false,
            note: String::new(),
            notices: Vec::new(),
        };
        Self {
            schedule,
            double_bounce,
            entry,
            now,
            to_sender: Vec::new(),
            to_postmaster: Vec::new(),
            not_before: Duration::ZERO,
            protection: false,
            made,
        }
    }

    fn end(&mut self, recipient: &QueuedRecipient, ending: Ending, status: Status, text: String) {
        self.made.ended.push(EndedRecipient { recipient: recipient.clone(), ending, status, text });
    }

    fn delivered(&mut self, recipient: &QueuedRecipient, delivered: &Delivered) {
        self.made.attempted = true;
        let (ending, told) = match delivered.onward {
            Onward::Final => (Ending::Delivered, Some(Action::Delivered)),
            Onward::Relayed => (Ending::Relayed, Some(Action::Relayed)),
            Onward::WithDsn => (Ending::Relayed, None),
        };
        let status = Status::new(2, 0, 0);
        if let Some(action) = told.filter(|_| recipient.recipient.notify.success) {
            self.to_sender.push(RecipientNotice {
                recipient: recipient.recipient.address.clone(),
                orcpt: recipient.recipient.orcpt.clone(),
                action,
                status,
                reason: Reason::Done,
                remote_mta: delivered.host.clone(),
                reply: delivered.reply.clone(),
                last_attempt: Some(self.now),
            });
        }
        self.end(recipient, ending, status, delivered.reply.clone().unwrap_or_default());
    }

    /// `expired` says for how long it was tried, when that is why.
    fn failed(
        &mut self,
        recipient: &QueuedRecipient,
        trouble: &Trouble,
        expired: Option<Duration>,
    ) {
        self.made.attempted = true;
        let reason = match (expired, trouble.subject) {
            // The sender should read of the protection, however long it took.
            (None, _) | (Some(_), Subject::Protection) => trouble.reason.clone(),
            (Some(after), Subject::Other) => {
                Reason::Expired { after, last: Some(trouble.text.clone()) }
            }
        };
        let status = match (expired, trouble.subject) {
            (None, _) | (Some(_), Subject::Protection) => trouble.status_as(true),
            (Some(_), Subject::Other) => DELIVERY_TIME_EXPIRED,
        };
        let notice = self.notice(recipient, trouble, Action::Failed, status, reason);
        self.tell_failure(recipient, notice);
        self.end(recipient, Ending::Bounced, status, trouble.text.clone());
    }

    fn tell_failure(&mut self, recipient: &QueuedRecipient, notice: RecipientNotice) {
        match (self.entry.reverse_path, self.double_bounce) {
            (ReversePath::Address(_), _) if recipient.recipient.notify.failure => {
                self.to_sender.push(notice);
            }
            (ReversePath::Null, DoubleBounce::Tell(postmaster))
                if recipient.recipient.address != *postmaster =>
            {
                self.to_postmaster.push(notice);
            }
            (ReversePath::Address(_), _)
            | (ReversePath::Null, DoubleBounce::Tell(_) | DoubleBounce::Drop) => {}
        }
    }

    fn deferred(&mut self, recipient: &QueuedRecipient, trouble: &Trouble) {
        self.made.attempted = true;
        let mut recipient = recipient.clone();
        let status = trouble.status_as(false);
        recipient.last = Some(LastTrouble {
            at: self.now,
            status,
            text: trouble.text.chars().take(TEXT_MAX_CHARS).collect(),
        });
        let (received, now) = (self.entry.received, self.now);
        let protection = trouble.subject == Subject::Protection;
        let tells_protection = protection
            && !recipient.told.protection
            && !recipient.told.delay
            && self.schedule.tells_protection(received, now);
        let tells_delay = !recipient.told.delay && self.schedule.tells_delay(received, now);
        if (tells_protection || tells_delay) && recipient.recipient.notify.delay {
            let action = Action::Delayed { retry_until: self.entry.expires };
            let reason = trouble.reason.clone();
            let notice = self.notice(&recipient, trouble, action, status, reason);
            self.to_sender.push(notice);
        }
        recipient.told.protection |= tells_protection;
        recipient.told.delay |= tells_delay;
        self.protection |= protection && !recipient.told.protection;
        self.not_before = self.not_before.max(trouble.retry_after.unwrap_or_default());
        if self.made.note.is_empty() {
            self.made.note = trouble.text.chars().take(TEXT_MAX_CHARS).collect();
        }
        self.made.remaining.push(recipient);
    }

    /// Its time is over and its turn did not come.
    fn never_tried(&mut self, recipient: &QueuedRecipient) {
        let text = match &recipient.last {
            Some(last) => last.text.clone(),
            None => "it could not be tried in time".to_owned(),
        };
        let trouble = Trouble::new(DELIVERY_TIME_EXPIRED, Reason::Other(text.clone()), text);
        self.failed(recipient, &trouble, Some(self.now.since(self.entry.received)));
    }

    fn put_back(&mut self, recipient: &QueuedRecipient, again_after: Duration) {
        self.not_before = self.not_before.max(again_after);
        self.made.remaining.push(recipient.clone());
    }

    fn notice(
        &self,
        recipient: &QueuedRecipient,
        trouble: &Trouble,
        action: Action,
        status: Status,
        reason: Reason,
    ) -> RecipientNotice {
        RecipientNotice {
            recipient: recipient.recipient.address.clone(),
            orcpt: recipient.recipient.orcpt.clone(),
            action,
            status,
            reason,
            remote_mta: trouble.host.clone(),
            reply: trouble.reply.clone(),
            last_attempt: Some(self.now),
        }
    }

    fn finish(mut self, random: u32) -> Transition {
        if !self.made.remaining.is_empty() {
            self.made.due = self.schedule_next(random);
        }
        if let ReversePath::Address(sender) = self.entry.reverse_path {
            push_notices(&mut self.made.notices, sender, &self.to_sender);
        }
        if let DoubleBounce::Tell(postmaster) = self.double_bounce {
            push_notices(&mut self.made.notices, postmaster, &self.to_postmaster);
        }
        self.made
    }

    /// The next attempt: by the schedule after an attempt, no sooner than the
    /// peer asked, at the latest when a notice or the expiry falls due.
    fn schedule_next(&self, random: u32) -> Timestamp {
        let earliest = self.now.plus(self.not_before);
        let next = if self.made.attempted {
            let wait = self.schedule.wait(self.entry.attempts.saturating_add(1), random);
            let next = self.now.plus(wait);
            let notice = self.schedule.next_notice(self.entry.received, self.now, self.protection);
            notice.map_or(next, |at| next.min(at)).max(earliest)
        } else {
            earliest
        };
        next.min(self.entry.expires).max(self.now)
    }
}

fn push_notices(notices: &mut Vec<Notice>, to: &Address, recipients: &[RecipientNotice]) {
    for chunk in recipients.chunks(RECIPIENTS_MAX) {
        notices.push(Notice { to: to.clone(), recipients: chunk.to_vec() });
    }
}

/// The status of a message that waited too long (RFC 3463 section 3.5).
const DELIVERY_TIME_EXPIRED: Status = Status::new(5, 4, 7);
