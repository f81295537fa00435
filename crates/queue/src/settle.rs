//! From a transition to what the store does.

use mail::{ReversePath, Timestamp};
use store::{Accept, Claimed, Ending, Evidence, Remaining, Settle};

use crate::recipient::{QueuedRecipient, RecipientsError, decode, encode};
use crate::transition::{Entry, Transition};

/// What was claimed, with its recipients read.
#[derive(Debug)]
pub struct Work {
    /// What the store handed out.
    pub claimed: Claimed,
    /// The recipients.
    pub recipients: Vec<QueuedRecipient>,
}

impl Work {
    /// Reads what was claimed.
    ///
    /// # Errors
    ///
    /// [`RecipientsError`] together with what was claimed, so that the caller
    /// can put it back and hold it.
    pub fn new(claimed: Claimed) -> Result<Self, Box<(Claimed, RecipientsError)>> {
        match decode(&claimed.recipients) {
            Ok(recipients) => Ok(Self { claimed, recipients }),
            Err(error) => Err(Box::new((claimed, error))),
        }
    }

    /// The entry, as its transitions see it.
    pub fn entry(&self) -> Entry<'_> {
        Entry {
            received: self.claimed.received,
            expires: self.claimed.expires,
            attempts: self.claimed.attempts,
            reverse_path: &self.claimed.reverse_path,
            recipients: &self.recipients,
        }
    }
}

/// The store's part of a transition. `notices` are the transition's notices,
/// composed; each must have the null reverse-path.
///
/// # Errors
///
/// [`RecipientsError`] when the rest cannot be written down.
pub fn settle(
    lease: store::Lease,
    transition: &Transition,
    at: Timestamp,
    evidence: Vec<Evidence>,
    notices: Vec<Accept>,
) -> Result<Settle, RecipientsError> {
    debug_assert!(notices.iter().all(|notice| notice.reverse_path == ReversePath::Null));
    let mut ended = Vec::new();
    for ending in Ending::ALL {
        let number = transition.ended.iter().filter(|ended| ended.ending == ending).count();
        if number > 0 {
            ended.push((ending, number as u32));
        }
    }
    let remaining = if transition.remaining.is_empty() {
        None
    } else {
        Some(Remaining {
            recipients: encode(&transition.remaining)?,
            recipient_count: transition.remaining.len() as u32,
            due: transition.due,
            attempted: transition.attempted,
            note: transition.note.clone(),
        })
    };
    Ok(Settle { lease, at, ended, remaining, evidence, notices })
}
