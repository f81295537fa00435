//! What an attempt means for an entry. Pure: the same entry, fates and instant give the
//! same transition.

use mail::{Address, ReversePath, Status, Timestamp};
use serde::{Deserialize, Serialize};
use store::Ending;

use crate::recipient::{Recipient, Recipients};
use crate::schedule::Schedule;

/// An entry as it was when it was attempted.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    /// Who is told; nobody if null.
    pub reverse_path: &'a ReversePath,
    /// When the message came.
    pub received: Timestamp,
    /// When it is given up.
    pub expires: Timestamp,
    /// How many attempts there were before this one.
    pub attempts: u32,
    /// Whom it is for.
    pub recipients: &'a Recipients,
}

/// What became of one recipient in an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Off our hands.
    Done {
        /// `Delivered` or `Relayed`.
        ending: Ending,
        /// Whether a notice of success, if wished, is ours to send (RFC 3461 section 5.2).
        success_is_ours: bool,
        /// The host that took it.
        remote: Remote,
    },
    /// Trying again may help.
    Later {
        /// Why not now.
        reason: Reason,
        /// Not before this long, where the destination said so.
        not_before: Option<std::time::Duration>,
    },
    /// Trying again will not help.
    Failed(Reason),
}

/// The host that answered last, and its words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remote {
    /// Its name.
    pub host: Option<String>,
    /// Its reply, on one line.
    pub reply: Option<String>,
}

/// Why a recipient was not served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The enhanced status.
    pub status: Status,
    /// In words.
    pub text: String,
    /// What is missing is the protection demanded.
    pub is_policy: bool,
    /// Who said so.
    pub remote: Remote,
}

/// What follows from an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// Recipients at their end.
    pub ended: Vec<Ended>,
    /// What goes on, if anything.
    pub next: Option<Next>,
    /// What the sender is told.
    pub notices: Vec<Notice>,
}

/// A recipient at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The recipient, as promised.
    pub address: Address,
    /// Its ending.
    pub ending: Ending,
    /// Why, unless it went well.
    pub reason: Option<String>,
}

/// The part of an entry that goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Next {
    /// Whom it is for.
    pub recipients: Recipients,
    /// When it is tried again; never after the entry's expiry by more than the wait before it.
    pub due: Timestamp,
    /// Why it waits, for the queue list.
    pub note: String,
}

/// Something to tell the sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The recipient it is about.
    pub recipient: Recipient,
    /// What is told.
    pub kind: NoticeKind,
}

/// What a notice tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoticeKind {
    /// It was given up. `expired` when the cause may pass but the time is over.
    Failed {
        /// Why.
        reason: Reason,
        /// The time is over.
        expired: bool,
    },
    /// It waits, and is tried until the instant.
    Delayed {
        /// Why.
        reason: Reason,
        /// When it will be given up.
        until: Timestamp,
    },
    /// It was passed on, as the sender wished to know.
    Succeeded {
        /// Whether it went to another server, or into a mailbox.
        relayed: bool,
        /// Who took it.
        remote: Remote,
    },
}

/// What follows when each recipient of `entry` met its fate at `now`. `fates` has one for
/// each recipient, in order; a recipient without one waits. `chance` (0 to 1) moves the wait.
pub fn transition(
    entry: &Entry<'_>,
    fates: Vec<Fate>,
    schedule: &Schedule,
    now: Timestamp,
    chance: f64,
) -> Transition {
    let mut ended = Vec::new();
    let mut waiting = Vec::new();
    let mut notices = Vec::new();
    let mut note = String::new();
    let mut wait = schedule.wait(entry.attempts + 1, chance);
    let tells = entry.reverse_path.address().is_some();
    let mut fates = fates.into_iter();
    for recipient in &entry.recipients.0 {
        let mut recipient = recipient.clone();
        match fates.next() {
            Some(Fate::Done { ending, success_is_ours, remote }) => {
                ended.push(Ended { address: recipient.promised.clone(), ending, reason: None });
                if tells && recipient.notify.success && success_is_ours {
                    let relayed = ending == Ending::Relayed;
                    let kind = NoticeKind::Succeeded { relayed, remote };
                    notices.push(Notice { recipient, kind });
                }
            }
            Some(Fate::Failed(reason)) => {
                fail(recipient, reason, false, tells, &mut ended, &mut notices);
            }
            Some(Fate::Later { reason, .. }) if now >= entry.expires => {
                fail(recipient, reason, true, tells, &mut ended, &mut notices);
            }
            Some(Fate::Later { reason, not_before }) => {
                wait = wait.max(not_before.unwrap_or_default());
                note.clone_from(&reason.text);
                if tells && delay_is_due(&mut recipient, &reason, entry.received, schedule, now) {
                    let kind = NoticeKind::Delayed { reason, until: entry.expires };
                    notices.push(Notice { recipient: recipient.clone(), kind });
                }
                waiting.push(recipient);
            }
            None => waiting.push(recipient),
        }
    }
    let next = (!waiting.is_empty()).then(|| Next {
        // The last attempt is made when the time is over, and not a whole wait later.
        due: now.plus(wait).min(entry.expires.max(now)),
        recipients: Recipients(waiting),
        note,
    });
    Transition { ended, next, notices }
}

fn fail(
    recipient: Recipient,
    reason: Reason,
    expired: bool,
    tells: bool,
    ended: &mut Vec<Ended>,
    notices: &mut Vec<Notice>,
) {
    ended.push(Ended {
        address: recipient.promised.clone(),
        ending: Ending::Bounced,
        reason: Some(reason.text.clone()),
    });
    if tells && recipient.notify.failure {
        notices.push(Notice { recipient, kind: NoticeKind::Failed { reason, expired } });
    }
}

/// Whether the sender is told now that `recipient` waits; notes that it was.
///
/// Missing protection is told early and once, by its own time; what else delays is
/// told by the ordinary one. A sender who did not wish for delay notices still hears of
/// missing protection, since waiting may be what they must not do.
fn delay_is_due(
    recipient: &mut Recipient,
    reason: &Reason,
    received: Timestamp,
    schedule: &Schedule,
    now: Timestamp,
) -> bool {
    let waited = now.since(received);
    let over = |limit: Option<std::time::Duration>| limit.is_some_and(|limit| waited >= limit);
    if reason.is_policy && !recipient.told_of_policy && over(schedule.policy_notice) {
        let never = recipient.notify == mail::Notify::NEVER;
        recipient.told_of_policy = !never;
        recipient.told_of_delay = !never;
        return !never;
    }
    if recipient.notify.delay && !recipient.told_of_delay && over(schedule.delay_notice) {
        recipient.told_of_delay = true;
        return true;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn schedule() -> Schedule {
        Schedule {
            retry: vec![Duration::from_secs(60)],
            jitter_percent: 0,
            lifetime: Duration::from_secs(1_000),
            bounce_lifetime: Duration::from_secs(100),
            delay_notice: Some(Duration::from_secs(400)),
            policy_notice: Some(Duration::from_secs(0)),
        }
    }

    fn recipients(names: &[&str]) -> Recipients {
        let recipient = |name: &&str| Recipient::new(mail::Recipient::new(name.parse().unwrap()));
        Recipients(names.iter().map(recipient).collect())
    }

    fn reason(status: &str, is_policy: bool) -> Reason {
        Reason {
            status: status.parse().unwrap(),
            text: "no".into(),
            is_policy,
            remote: Remote::default(),
        }
    }

    fn later(is_policy: bool) -> Fate {
        Fate::Later { reason: reason("4.4.1", is_policy), not_before: None }
    }

    fn done() -> Fate {
        Fate::Done { ending: Ending::Relayed, success_is_ours: true, remote: Remote::default() }
    }

    fn after(recipients: &Recipients, fates: Vec<Fate>, from: &str, now: i64) -> Transition {
        let reverse_path = ReversePath::try_from(from.to_owned()).unwrap();
        let entry = Entry {
            reverse_path: &reverse_path,
            received: Timestamp(0),
            expires: Timestamp(1_000_000),
            attempts: 0,
            recipients,
        };
        transition(&entry, fates, &schedule(), Timestamp(now), 0.5)
    }

    #[test]
    fn each_recipient_goes_its_own_way() {
        let all = recipients(&["a@x.test", "b@x.test", "c@x.test"]);
        let fates = vec![done(), Fate::Failed(reason("5.1.1", false)), later(false)];
        let t = after(&all, fates, "ann@y.test", 0);
        let ends: Vec<_> = t.ended.iter().map(|e| e.ending).collect();
        assert_eq!(ends, [Ending::Relayed, Ending::Bounced]);
        let next = t.next.unwrap();
        assert_eq!(next.recipients.0.len(), 1);
        assert_eq!(next.due, Timestamp(60_000));
        assert!(matches!(
            &t.notices[..],
            [Notice { kind: NoticeKind::Failed { expired: false, .. }, .. }]
        ));
    }

    #[test]
    fn nothing_is_ever_sent_back_to_the_null_sender() {
        let mut all = recipients(&["a@x.test", "b@x.test", "c@x.test"]);
        all.0[0].notify.success = true;
        let fates = vec![done(), Fate::Failed(reason("5.1.1", false)), later(true)];
        assert_eq!(after(&all, fates, "", 900_000).notices, []);
    }

    #[test]
    fn missing_protection_is_told_at_once_and_only_once() {
        let all = recipients(&["a@x.test"]);
        let first = after(&all, vec![later(true)], "ann@y.test", 0);
        assert!(matches!(first.notices[0].kind, NoticeKind::Delayed { .. }));
        let again = after(&first.next.unwrap().recipients, vec![later(true)], "ann@y.test", 1);
        assert_eq!(again.notices, []);
    }

    #[test]
    fn an_ordinary_delay_is_told_when_its_time_has_come() {
        let all = recipients(&["a@x.test"]);
        assert_eq!(after(&all, vec![later(false)], "ann@y.test", 399_999).notices, []);
        assert_eq!(after(&all, vec![later(false)], "ann@y.test", 400_000).notices.len(), 1);
    }

    #[test]
    fn at_its_expiry_an_entry_is_given_up_and_the_sender_told() {
        let all = recipients(&["a@x.test"]);
        let t = after(&all, vec![later(false)], "ann@y.test", 1_000_000);
        assert!(t.next.is_none());
        assert!(matches!(t.notices[0].kind, NoticeKind::Failed { expired: true, .. }));
    }

    #[test]
    fn the_last_attempt_is_made_at_the_expiry() {
        let all = recipients(&["a@x.test"]);
        let t = after(&all, vec![later(false)], "ann@y.test", 990_000);
        assert_eq!(t.next.unwrap().due, Timestamp(1_000_000));
    }

    #[test]
    fn a_sender_who_wants_to_hear_nothing_hears_nothing() {
        let mut all = recipients(&["a@x.test", "b@x.test", "c@x.test"]);
        for recipient in &mut all.0 {
            recipient.notify = mail::Notify::NEVER;
        }
        let fates = vec![done(), Fate::Failed(reason("5.1.1", false)), later(true)];
        assert_eq!(after(&all, fates, "ann@y.test", 500_000).notices, []);
    }

    #[test]
    fn what_an_entry_keeps_reads_back_the_same() {
        let mut all = recipients(&["a@x.test", "b@x.test"]);
        all.0[1].target = Some("c@z.test".parse().unwrap());
        all.0[1].told_of_delay = true;
        assert_eq!(Recipients::from_json(&all.to_json()).unwrap(), all);
    }
}
