//! Lives of faxes.

use std::time::Duration;

use fax::{Event, Job, Outcome, Reason, State};
use mail::Timestamp;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A job of three pages and its clock, in minutes.
struct Life {
    job: Job,
    now: Timestamp,
}

impl Life {
    fn new() -> Self {
        Self { job: Job::new(3, Timestamp(0), DAY), now: Timestamp(0) }
    }

    fn apply(&mut self, event: Event) -> &State {
        self.job = self.job.apply(&event, self.now).unwrap();
        &self.job.state
    }

    fn pass(&mut self, minutes: u64) {
        self.now = self.now.plus(Duration::from_secs(minutes * 60));
    }

    /// An attempt that ends with `reason`.
    fn attempt(&mut self, reason: Reason) -> &State {
        self.apply(Event::Started);
        self.apply(Event::Ended(Outcome::Not(reason)))
    }
}

#[test]
fn a_fax_is_sent_when_its_last_page_is_confirmed() {
    let mut life = Life::new();
    assert_eq!(life.apply(Event::Started), &State::Dialling);
    assert_eq!(life.apply(Event::Sending(1)), &State::Sending { page: 1 });
    life.apply(Event::Confirmed(1));
    life.apply(Event::Sending(2));
    assert_eq!(life.apply(Event::Ended(Outcome::Sent)), &State::Sent);
    assert_eq!((life.job.counters.dials, life.job.counters.tries, life.job.confirmed), (1, 1, 3));
    assert!(life.job.apply(&Event::Started, life.now).is_err(), "what is sent is not sent again");
}

#[test]
fn each_reason_has_its_own_count_and_its_own_wait() {
    for (reason, attempts, wait) in [
        (Reason::Busy, 5, 2),
        (Reason::NoAnswer, 3, 10),
        (Reason::NoCarrier, 2, 5),
        (Reason::Interrupted, 3, 2),
    ] {
        let mut life = Life::new();
        for _ in 1..attempts {
            let now = life.now;
            let due = now.plus(Duration::from_secs(wait * 60));
            assert_eq!(
                life.attempt(reason.clone()),
                &State::Waiting { reason: reason.clone(), due }
            );
            life.pass(wait);
        }
        assert_eq!(life.attempt(reason.clone()), &State::Failed { reason: reason.clone() });
        assert_eq!(life.job.counters.dials, attempts);
    }
}

#[test]
fn a_busy_line_does_not_use_up_the_attempts_of_a_silent_one() {
    let mut life = Life::new();
    for _ in 0..4 {
        life.attempt(Reason::Busy);
    }
    assert!(matches!(life.attempt(Reason::NoAnswer), State::Waiting { .. }));
    assert!(matches!(life.attempt(Reason::Busy), State::Failed { reason: Reason::Busy }));
}

#[test]
fn after_a_break_the_first_page_is_the_first_that_was_not_confirmed() {
    let mut life = Life::new();
    life.apply(Event::Started);
    life.apply(Event::Sending(1));
    life.apply(Event::Confirmed(2));
    life.apply(Event::Ended(Outcome::Not(Reason::Interrupted)));
    assert_eq!(life.job.first_page(), 3);
    life.apply(Event::Started);
    life.apply(Event::Sending(3));
    life.apply(Event::Confirmed(1));
    assert_eq!(life.job.confirmed, 2, "a confirmed page stays confirmed");
}

#[test]
fn pages_that_were_confirmed_before_a_crash_are_not_sent_again_after_it() {
    let mut life = Life::new();
    life.apply(Event::Started);
    life.apply(Event::Sending(1));
    life.apply(Event::Restarted);
    life.apply(Event::Confirmed(2));
    assert_eq!(life.job.state, State::Uncertain, "what comes of the call is still to be asked");
    life.apply(Event::Ended(Outcome::Not(Reason::Interrupted)));
    assert_eq!(life.job.first_page(), 3);
}

#[test]
fn without_a_transport_a_fax_waits_and_is_never_called_sent() {
    let mut life = Life::new();
    while life.now < life.job.expires {
        assert!(matches!(
            life.apply(Event::Unserved),
            State::Waiting { reason: Reason::NoTransport, .. }
        ));
        assert_eq!(life.job.counters.dials, 0, "what was not tried is not counted");
        life.pass(60);
    }
    assert_eq!(life.apply(Event::Unserved), &State::Failed { reason: Reason::Expired });
}

#[test]
fn after_a_crash_in_a_call_a_fax_is_uncertain_and_is_not_sent_blindly() {
    for state in [Event::Started, Event::Sending(2)] {
        let mut life = Life::new();
        life.apply(Event::Started);
        if state != Event::Started {
            life.apply(state);
        }
        assert_eq!(life.apply(Event::Restarted), &State::Uncertain);
        assert!(life.job.apply(&Event::Started, life.now).is_err());
        assert!(life.job.apply(&Event::Release, life.now).is_err());
        let mut found = life.job.clone();
        found = found.apply(&Event::Ended(Outcome::Sent), life.now).unwrap();
        assert_eq!(found.state, State::Sent);
        let lost = Event::Ended(Outcome::Not(Reason::Unknown));
        assert_eq!(
            life.job.apply(&lost, life.now).unwrap().state,
            State::Failed { reason: Reason::Unknown }
        );
    }
    let mut cancelled = Life::new();
    cancelled.apply(Event::Started);
    cancelled.apply(Event::Cancel);
    assert_eq!(cancelled.apply(Event::Restarted), &State::Cancelling, "the wish is not forgotten");
    assert!(cancelled.job.apply(&Event::Started, cancelled.now).is_err());
    let mut waiting = Life::new();
    assert!(matches!(waiting.apply(Event::Restarted), State::Queued { .. }));
}

#[test]
fn a_fax_is_cancelled_at_once_or_when_the_transport_has_stopped() {
    let mut life = Life::new();
    assert_eq!(life.apply(Event::Cancel), &State::Cancelled);

    let mut life = Life::new();
    life.apply(Event::Started);
    life.apply(Event::Sending(1));
    assert_eq!(life.apply(Event::Cancel), &State::Cancelling);
    assert_eq!(life.apply(Event::Ended(Outcome::Cancelled)), &State::Cancelled);

    let mut too_late = Life::new();
    too_late.apply(Event::Started);
    too_late.apply(Event::Cancel);
    assert_eq!(too_late.apply(Event::Ended(Outcome::Sent)), &State::Sent);

    let mut broken = Life::new();
    broken.apply(Event::Started);
    broken.apply(Event::Cancel);
    assert_eq!(broken.apply(Event::Ended(Outcome::Not(Reason::Busy))), &State::Cancelled);
}

#[test]
fn a_held_fax_waits_for_a_person() {
    let mut life = Life::new();
    life.apply(Event::Hold("quota".to_owned()));
    assert!(life.job.apply(&Event::Started, life.now).is_err());
    assert!(matches!(life.apply(Event::Release), State::Queued { .. }));
}

#[test]
fn from_any_life_of_random_events_a_fax_ends_once_and_stays_so() {
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    for life_number in 0..2_000 {
        let mut life = Life::new();
        let mut ended = None;
        for _ in 0..60 {
            let event = match next(11) {
                0 | 1 => Event::Started,
                2 => Event::Sending(next(5) as u32),
                3 => Event::Confirmed(next(5) as u32),
                4 => Event::Ended(Outcome::Sent),
                5 => Event::Ended(Outcome::Not(Reason::Busy)),
                6 => Event::Ended(Outcome::Not(Reason::Interrupted)),
                7 => Event::Cancel,
                8 => Event::Hold("x".to_owned()),
                9 => Event::Release,
                _ => Event::Restarted,
            };
            let before = life.job.clone();
            if let Ok(after) = life.job.apply(&event, life.now) {
                assert!(after.confirmed >= before.confirmed && after.confirmed <= after.pages);
                assert!(after.counters.dials >= after.counters.tries, "life {life_number}");
                if let Some(end) = &ended {
                    assert_eq!(&after.state, end, "life {life_number}");
                }
                ended = after.state.is_final().then(|| after.state.clone());
                life.job = after;
            }
            life.pass(1);
        }
    }
}

#[test]
fn a_fax_whose_transport_is_down_is_due_at_once_for_the_next_but_not_while_it_is_uncertain() {
    let mut life = Life::new();
    life.apply(Event::Started);
    let due = life.now;
    assert_eq!(life.apply(Event::Diverted), &State::Waiting { reason: Reason::TransportDown, due });
    life.apply(Event::Started);
    life.apply(Event::Restarted);
    assert!(life.job.apply(&Event::Diverted, life.now).is_err());
    life.apply(Event::Cancel);
    assert_eq!(life.apply(Event::Diverted), &State::Cancelled, "nobody wants it any more");
}

/// A job whose mail to an off-ramp waits in the queue.
fn mailed() -> Life {
    let mut life = Life::new();
    life.apply(Event::Started);
    life.apply(Event::Mailed(None));
    life
}

#[test]
fn a_mailed_fax_is_handed_over_first_and_sent_only_when_that_is_reported() {
    let mut life = mailed();
    life.apply(Event::Started);
    assert_eq!(life.apply(Event::Ended(Outcome::HandedOver)), &State::HandedOver);
    assert_eq!(life.job.confirmed, 0);
    assert!(life.job.apply(&Event::Ended(Outcome::Sent), life.now).is_err());
    assert_eq!(life.apply(Event::Reported(Outcome::Sent)), &State::Sent);
    assert_eq!(life.job.confirmed, 3);
    let failed = Event::Reported(Outcome::Not(Reason::told("no")));
    assert!(life.job.apply(&failed, life.now).is_err(), "the first report is the last word");

    let mut life = mailed();
    life.apply(Event::Started);
    life.apply(Event::Ended(Outcome::HandedOver));
    let reason = Reason::told("line one\r\nline two");
    assert_eq!(reason.text(), "line one line two");
    let state = life.apply(Event::Reported(Outcome::Not(reason.clone())));
    assert_eq!(state, &State::Failed { reason });
}

#[test]
fn a_report_may_be_quicker_than_the_reply_and_counts_after_a_crash() {
    let mut life = mailed();
    life.apply(Event::Started);
    assert_eq!(life.apply(Event::Reported(Outcome::Sent)), &State::Sent);
    assert!(life.job.apply(&Event::Ended(Outcome::HandedOver), life.now).is_err());

    let mut life = mailed();
    assert!(matches!(life.apply(Event::Restarted), State::Mailed { .. }), "the queue has it");
    life.apply(Event::Started);
    assert_eq!(life.apply(Event::Restarted), &State::Uncertain);
    assert_eq!(life.apply(Event::Reported(Outcome::Sent)), &State::Sent);
}

#[test]
fn a_fax_in_the_mail_queue_can_be_cancelled_and_given_up() {
    assert_eq!(mailed().apply(Event::Cancel), &State::Cancelled);
    let mut life = mailed();
    life.apply(Event::Started);
    life.apply(Event::Cancel);
    assert_eq!(life.apply(Event::Mailed(None)), &State::Cancelled, "it is not tried again");
    let mut life = mailed();
    life.pass(25 * 60);
    assert_eq!(life.apply(Event::Started), &State::Failed { reason: Reason::Expired });
}
