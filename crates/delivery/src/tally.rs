//! Who of a message's recipients is served, and what the hosts said to the rest.

use smtp::client::{Failure, Fate, Phase, Report};

use crate::outcome::{Cause, Delivered, Onward, Outcome, RemoteReply, Trouble};

/// The recipients of one attempt.
pub(crate) struct Tally {
    slots: Vec<Slot>,
}

/// One recipient.
enum Slot {
    /// To be tried at the next host; the trouble so far.
    Open(Option<Trouble>),
    /// Nothing more happens in this attempt.
    Settled(Outcome),
}

/// What a host's report left to do.
pub(crate) struct Remainder {
    /// Recipients the host had no room for in this transaction, to be given to it in another.
    pub(crate) again: Vec<usize>,
    /// The last thing the host said.
    pub(crate) last_reply: Option<RemoteReply>,
}

/// A host that took or refused something.
pub(crate) struct Host<'a> {
    pub(crate) name: &'a str,
    /// Which contact of the attempt it is.
    pub(crate) contact: usize,
    /// It puts mail into mailboxes itself (LMTP).
    pub(crate) is_final: bool,
}

impl Tally {
    pub(crate) fn new(recipients: usize) -> Self {
        Self { slots: (0..recipients).map(|_| Slot::Open(None)).collect() }
    }

    /// Who is to be tried at the next host.
    pub(crate) fn open(&self) -> Vec<usize> {
        let open = |(at, slot): (usize, &Slot)| matches!(slot, Slot::Open(_)).then_some(at);
        self.slots.iter().enumerate().filter_map(open).collect()
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.slots.iter().all(|slot| matches!(slot, Slot::Settled(_)))
    }

    /// A host could not be used for anybody.
    pub(crate) fn note_all(&mut self, trouble: &Trouble) {
        for slot in &mut self.slots {
            if let Slot::Open(before) = slot {
                *before = Some(join(before.take(), trouble.clone()));
            }
        }
    }

    /// A host's report on the recipients `whom`.
    pub(crate) fn report(&mut self, whom: &[usize], report: Report, host: &Host<'_>) -> Remainder {
        let progress = report.fates.iter().any(Fate::is_accepted);
        let onward = match (host.is_final, report.dsn_passed_on) {
            (_, true) => Onward::WithDsn,
            (true, false) => Onward::Final,
            (false, false) => Onward::Relayed,
        };
        let mut remainder = Remainder { again: Vec::new(), last_reply: None };
        for (&at, fate) in whom.iter().zip(report.fates) {
            if let Some(reply) = reply_of(&fate) {
                remainder.last_reply = Some(RemoteReply::from(reply));
            }
            let slot = match &fate {
                Fate::Refused { phase: Phase::Rcpt, reply } if progress && is_full(reply) => {
                    remainder.again.push(at);
                    continue;
                }
                Fate::Accepted(reply) => Slot::Settled(Outcome::Delivered(Delivered {
                    contact: host.contact,
                    host: host.name.to_owned(),
                    reply: Some(RemoteReply::from(reply)),
                    onward,
                })),
                Fate::Refused { .. } | Fate::Unfit(_) | Fate::Broken { .. } => {
                    self.short_of_acceptance(at, &fate, host)
                }
            };
            self.slots[at] = slot;
        }
        remainder
    }

    fn short_of_acceptance(&mut self, at: usize, fate: &Fate, host: &Host<'_>) -> Slot {
        let Some(trouble) = Trouble::of_fate(fate, host.name) else { return Slot::Open(None) };
        let is_last_word = match fate {
            Fate::Accepted(_) => true,
            Fate::Refused { reply, .. } => reply.is_permanent(),
            // Another host may offer what this one does not.
            Fate::Unfit(_) => false,
            // One that may have the message must not be followed by another that gets it too.
            Fate::Broken { failure, uncertain } => *uncertain || is_ours(failure),
        };
        if is_last_word {
            return Slot::Settled(Outcome::of(trouble));
        }
        let before = match &mut self.slots[at] {
            Slot::Open(before) => before.take(),
            Slot::Settled(_) => None,
        };
        Slot::Open(Some(join(before, trouble)))
    }

    /// What became of everyone; `otherwise` is for those whom no host was tried for.
    pub(crate) fn outcomes(self, otherwise: impl Fn() -> Trouble) -> Vec<Outcome> {
        let outcome = |slot| match slot {
            Slot::Settled(outcome) => outcome,
            Slot::Open(Some(trouble)) => Outcome::of(trouble),
            Slot::Open(None) => Outcome::of(otherwise()),
        };
        self.slots.into_iter().map(outcome).collect()
    }
}

/// Joins what two hosts said. It is final only when both are; missing
/// protection is what the sender hears about first.
pub(crate) fn join(before: Option<Trouble>, now: Trouble) -> Trouble {
    let Some(before) = before else { return now };
    let temporary = before.status.is_temporary() || now.status.is_temporary();
    let weight = |trouble: &Trouble| {
        (trouble.cause == Cause::Protection, trouble.status.is_temporary() == temporary)
    };
    let mut joined = if weight(&before) > weight(&now) { before } else { now };
    if temporary {
        joined.status.class = 4;
    }
    joined
}

/// Whether the connection to blame is none: the failure lies in our content.
fn is_ours(failure: &Failure) -> bool {
    match failure {
        Failure::Unclean(_) | Failure::ContentLength | Failure::ContentCutShort => true,
        Failure::Refused { .. }
        | Failure::Closing { .. }
        | Failure::Lost { .. }
        | Failure::TimedOut { .. }
        | Failure::Malformed { .. }
        | Failure::Unexpected { .. }
        | Failure::Unsolicited
        | Failure::Injected => false,
    }
}

/// "Too many recipients": the rest goes in another transaction (RFC 5321 section 4.5.3.1.10).
fn is_full(reply: &smtp::Reply) -> bool {
    let too_many = |status: mail::Status| (status.subject, status.detail) == (5, 3);
    match reply.code() {
        452 => reply.status().is_none_or(too_many),
        552 => reply.status().is_some_and(too_many),
        _ => false,
    }
}

fn reply_of(fate: &Fate) -> Option<&smtp::Reply> {
    match fate {
        Fate::Accepted(reply) | Fate::Refused { reply, .. } => Some(reply),
        Fate::Broken { failure, .. } => failure.reply(),
        Fate::Unfit(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use mail::Status;

    use super::*;

    fn trouble(class: u8, cause: Cause) -> Trouble {
        Trouble::new(Status::new(class, 7, 10), cause, format!("{class} {cause:?}"))
    }

    #[test]
    fn it_is_final_only_when_every_host_says_so() {
        let both = join(Some(trouble(5, Cause::Protection)), trouble(5, Cause::Protection));
        assert!(!both.status.is_temporary());
        let one = join(Some(trouble(5, Cause::Protection)), trouble(4, Cause::Connect));
        assert_eq!((one.status.class, one.cause), (4, Cause::Protection));
        let one = join(Some(trouble(4, Cause::Connect)), trouble(5, Cause::Unfit));
        assert_eq!((one.status.class, one.cause), (4, Cause::Connect));
    }

    #[test]
    fn full_is_not_the_same_as_over_quota() {
        use smtp::Reply;
        assert!(is_full(&Reply::plain(452, "Too many recipients")));
        assert!(is_full(&Reply::new(552, 5, 3, "Too many")));
        assert!(!is_full(&Reply::new(452, 2, 2, "Mailbox full")));
        assert!(!is_full(&Reply::plain(552, "Mailbox full")));
    }
}
