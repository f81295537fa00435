//! What an attempt means, case by case, and the store's part of it.

use std::time::Duration;

use mail::dsn::{Action, Reason};
use mail::{Address, Notify, Recipient, ReversePath, Status, Timestamp};
use proptest::prelude::*;
use queue::{
    Delivered, DoubleBounce, Entry, Onward, Outcome, QueuedRecipient, Removal, Schedule, Subject,
    Transition, Trouble, remove, transition,
};
use store::Ending;

const NOW: Timestamp = Timestamp(1_772_445_731_000);

fn minutes(n: u64) -> Duration {
    Duration::from_secs(60 * n)
}

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

fn ann() -> ReversePath {
    ReversePath::Address(address("ann@home.example"))
}

fn bob(notify: &str) -> QueuedRecipient {
    let mut recipient = Recipient::new(address("bob@clinic.example"));
    recipient.notify = notify.parse().unwrap();
    QueuedRecipient::new(recipient)
}

fn no_answer() -> Trouble {
    Trouble::new(Status::new(4, 4, 1), Reason::Unreachable("no answer".into()), "no answer")
}

fn refused() -> Trouble {
    Trouble::new(Status::new(5, 1, 1), Reason::Refused, "550 5.1.1 No such user")
}

fn unprotected() -> Trouble {
    Trouble {
        subject: Subject::Protection,
        ..Trouble::new(Status::new(4, 7, 5), Reason::Other("no TLS".into()), "mx1: no TLS")
    }
}

fn delivered(onward: Onward) -> Outcome {
    Outcome::Delivered(Delivered { onward, host: Some("mx1.clinic.example".into()), reply: None })
}

/// What one outcome means `minutes_old` after the message came.
fn after(
    minutes_old: u64,
    reverse_path: &ReversePath,
    recipient: &QueuedRecipient,
    outcome: Outcome,
) -> Transition {
    let schedule = Schedule::default();
    let entry = Entry {
        received: NOW,
        expires: schedule.expires(NOW, reverse_path),
        attempts: 0,
        reverse_path,
        recipients: std::slice::from_ref(recipient),
    };
    let now = NOW.plus(minutes(minutes_old));
    transition(&schedule, &DoubleBounce::Drop, &entry, &[outcome], now, 0)
}

fn told(made: &Transition) -> Vec<(Action, String)> {
    let all = made.notices.iter().flat_map(|notice| &notice.recipients);
    all.map(|notice| (notice.action, notice.status.to_string())).collect()
}

#[test]
fn a_permanent_refusal_ends_the_recipient_and_tells_the_sender() {
    let made = after(0, &ann(), &bob("FAILURE"), Outcome::Permanent(refused()));
    assert_eq!(made.ended[0].ending, Ending::Bounced);
    assert!(made.remaining.is_empty());
    assert_eq!(told(&made), [(Action::Failed, "5.1.1".to_owned())]);
    assert_eq!(made.notices[0].to, address("ann@home.example"));
}

#[test]
fn nobody_is_told_who_asked_not_to_be_or_is_nobody() {
    let never = after(0, &ann(), &bob("NEVER"), Outcome::Permanent(refused()));
    assert_eq!((never.ended.len(), never.notices.len()), (1, 0));
    let null = after(0, &ReversePath::Null, &bob("FAILURE"), Outcome::Permanent(refused()));
    assert_eq!((null.ended.len(), null.notices.len()), (1, 0));
    let late = after(60 * 5, &ReversePath::Null, &bob("DELAY"), Outcome::Temporary(no_answer()));
    assert!(late.notices.is_empty());
}

#[test]
fn a_double_bounce_goes_to_the_postmaster_but_not_about_the_postmaster() {
    let schedule = Schedule::default();
    let postmaster = DoubleBounce::Tell(address("postmaster@home.example"));
    for (recipient, notices) in [("ann@gone.example", 1), ("postmaster@home.example", 0)] {
        let recipients = [QueuedRecipient::new(Recipient::new(address(recipient)))];
        let entry = Entry {
            received: NOW,
            expires: NOW,
            attempts: 0,
            reverse_path: &ReversePath::Null,
            recipients: &recipients,
        };
        let outcome = [Outcome::Permanent(refused())];
        let made = transition(&schedule, &postmaster, &entry, &outcome, NOW, 0);
        assert_eq!(made.notices.len(), notices, "{recipient}");
    }
}

#[test]
fn a_temporary_trouble_waits_for_the_schedule_and_keeps_its_words() {
    let made = after(0, &ann(), &bob("FAILURE"), Outcome::Temporary(no_answer()));
    assert_eq!(made.due, NOW.plus(minutes(5)));
    assert_eq!(made.note, "no answer");
    assert!(made.attempted && made.notices.is_empty());
    assert_eq!(made.remaining[0].last.as_ref().unwrap().text, "no answer");
}

#[test]
fn a_peer_that_asks_to_wait_longer_is_waited_for() {
    let patient = Trouble { retry_after: Some(minutes(30)), ..no_answer() };
    let made = after(0, &ann(), &bob("FAILURE"), Outcome::Temporary(patient));
    assert_eq!(made.due, NOW.plus(minutes(30)));
}

#[test]
fn a_temporary_trouble_at_the_end_of_the_life_is_final_and_says_how_long_it_was_tried() {
    let life = 5 * 24 * 60;
    let made = after(life, &ann(), &bob("FAILURE"), Outcome::Temporary(no_answer()));
    assert_eq!(told(&made), [(Action::Failed, "5.4.7".to_owned())]);
    let Reason::Expired { after, last } = &made.notices[0].recipients[0].reason else {
        panic!("another reason")
    };
    assert_eq!((*after, last.as_deref()), (minutes(life), Some("no answer")));
}

#[test]
fn missing_protection_is_told_at_once_and_a_delay_after_hours_each_once() {
    let first = after(0, &ann(), &bob("FAILURE,DELAY"), Outcome::Temporary(unprotected()));
    let [(Action::Delayed { .. }, status)] = &told(&first)[..] else { panic!("{first:?}") };
    assert_eq!(status, "4.7.5");
    let second = after(5, &ann(), &first.remaining[0], Outcome::Temporary(unprotected()));
    assert!(second.notices.is_empty(), "it was told already");
    let delayed = after(60 * 4, &ann(), &second.remaining[0], Outcome::Temporary(unprotected()));
    assert_eq!(told(&delayed).len(), 1, "four hours are worth another word");
    let again = after(60 * 8, &ann(), &delayed.remaining[0], Outcome::Temporary(unprotected()));
    assert!(again.notices.is_empty());

    let never = after(0, &ann(), &bob("FAILURE"), Outcome::Temporary(unprotected()));
    assert!(never.notices.is_empty(), "no DELAY was asked for");
}

#[test]
fn protection_missing_to_the_end_is_still_the_reason_at_the_end() {
    let life = 5 * 24 * 60;
    let made = after(life, &ann(), &bob("FAILURE"), Outcome::Temporary(unprotected()));
    assert_eq!(told(&made), [(Action::Failed, "5.7.5".to_owned())]);
    assert_eq!(made.notices[0].recipients[0].reason, Reason::Other("no TLS".into()));
}

#[test]
fn an_attempt_is_made_when_a_notice_falls_due() {
    let retries = vec![minutes(600)];
    let schedule =
        Schedule::new(retries, 0).unwrap().telling_after(Some(minutes(240)), Some(minutes(3)));
    let recipients = [bob("FAILURE,DELAY")];
    let reverse_path = ann();
    let entry = Entry {
        received: NOW,
        expires: NOW.plus(minutes(10_000)),
        attempts: 0,
        reverse_path: &reverse_path,
        recipients: &recipients,
    };
    let due = |trouble: Trouble| {
        let outcome = [Outcome::Temporary(trouble)];
        transition(&schedule, &DoubleBounce::Drop, &entry, &outcome, NOW, 0).due
    };
    assert_eq!(due(no_answer()), NOW.plus(minutes(240)));
    assert_eq!(due(unprotected()), NOW.plus(minutes(3)));
}

#[test]
fn success_is_told_where_asked_and_not_where_the_next_host_will() {
    for (onward, ending, expected) in [
        (Onward::Final, Ending::Delivered, Some(Action::Delivered)),
        (Onward::Relayed, Ending::Relayed, Some(Action::Relayed)),
        (Onward::WithDsn, Ending::Relayed, None),
    ] {
        let made = after(0, &ann(), &bob("SUCCESS"), delivered(onward));
        assert_eq!(made.ended[0].ending, ending);
        assert_eq!(told(&made).first().map(|(action, _)| *action), expected);
        let silent = after(0, &ann(), &bob("FAILURE"), delivered(onward));
        assert!(silent.notices.is_empty());
    }
}

#[test]
fn what_was_not_tried_is_put_back_without_counting() {
    let again = Outcome::NotTried { again_after: minutes(2) };
    let made = after(60 * 5, &ann(), &bob("FAILURE,DELAY"), again);
    assert!(!made.attempted && made.notices.is_empty());
    assert_eq!(made.due, NOW.plus(minutes(302)));
    let schedule = Schedule::default();
    let recipients = [bob("FAILURE"), bob("FAILURE")];
    let path = ann();
    let entry = Entry {
        received: NOW,
        expires: NOW.plus(minutes(1)),
        attempts: 3,
        reverse_path: &path,
        recipients: &recipients,
    };
    let made = transition(&schedule, &DoubleBounce::Drop, &entry, &[], NOW, 0);
    assert_eq!(made.remaining.len(), 2, "no outcome is not lost mail");
    let made = transition(&schedule, &DoubleBounce::Drop, &entry, &[], entry.expires, 0);
    assert_eq!(made.ended.len(), 2, "not even tried, it is not kept for ever");
    assert_eq!(told(&made)[0], (Action::Failed, "5.4.7".to_owned()));
}

#[test]
fn an_operator_bounces_with_word_to_the_sender_and_cancels_without() {
    let schedule = Schedule::default();
    let recipients = [bob("FAILURE")];
    let path = ann();
    let entry = Entry {
        received: NOW,
        expires: NOW,
        attempts: 0,
        reverse_path: &path,
        recipients: &recipients,
    };
    let bounced = remove(&schedule, &DoubleBounce::Drop, &entry, Removal::Bounce, NOW);
    assert_eq!(bounced.ended[0].ending, Ending::Bounced);
    assert_eq!(bounced.notices[0].recipients[0].reason, Reason::Cancelled);
    let cancelled = remove(&schedule, &DoubleBounce::Drop, &entry, Removal::Cancel, NOW);
    assert_eq!(cancelled.ended[0].ending, Ending::Cancelled);
    assert!(cancelled.notices.is_empty());
}

#[test]
fn notices_speak_of_a_bounded_number_of_recipients() {
    let schedule = Schedule::default();
    let recipients = vec![bob("FAILURE"); 2_500];
    let path = ann();
    let entry = Entry {
        received: NOW,
        expires: NOW,
        attempts: 0,
        reverse_path: &path,
        recipients: &recipients,
    };
    let outcomes = vec![Outcome::Permanent(refused()); 2_500];
    let made = transition(&schedule, &DoubleBounce::Drop, &entry, &outcomes, NOW, 0);
    let sizes: Vec<usize> = made.notices.iter().map(|notice| notice.recipients.len()).collect();
    assert_eq!(sizes, [1000, 1000, 500]);
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(delivered(Onward::Final)),
        Just(delivered(Onward::Relayed)),
        Just(Outcome::Temporary(no_answer())),
        Just(Outcome::Temporary(unprotected())),
        Just(Outcome::Permanent(refused())),
        (0..1000_u64).prop_map(|n| Outcome::NotTried { again_after: minutes(n) }),
    ]
}

proptest! {
    #[test]
    fn every_recipient_goes_exactly_one_way(
        outcomes in proptest::collection::vec(outcome(), 0..6),
        recipients in 1..6_usize,
        age in 0..10_000_u64,
        random: u32,
    ) {
        let schedule = Schedule::default();
        let path = ann();
        let recipients = vec![bob("SUCCESS,FAILURE,DELAY"); recipients];
        let entry = Entry {
            received: NOW,
            expires: schedule.expires(NOW, &path),
            attempts: 1,
            reverse_path: &path,
            recipients: &recipients,
        };
        let now = NOW.plus(minutes(age));
        let made = transition(&schedule, &DoubleBounce::Drop, &entry, &outcomes, now, random);
        prop_assert_eq!(made.ended.len() + made.remaining.len(), recipients.len());
        prop_assert!(made.due >= now);
        let failed = made.ended.iter().filter(|ended| ended.ending == Ending::Bounced).count();
        let told = told(&made);
        let told_failed = told.iter().filter(|(action, _)| *action == Action::Failed).count();
        prop_assert_eq!(failed, told_failed);
        prop_assert_eq!(Notify::default().failure, true);
        for (action, status) in told {
            let class = match action {
                Action::Failed => '5',
                Action::Delayed { .. } => '4',
                Action::Delivered | Action::Relayed | Action::Expanded => '2',
            };
            prop_assert!(status.starts_with(class), "{:?} {}", action, status);
        }
    }
}
