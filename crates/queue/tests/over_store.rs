//! The same decisions over the real store, restarted at random.

use std::time::Duration;

use mail::dsn::Reason;
use mail::{Address, Recipient, ReversePath, Status, Timestamp, TraceId};
use queue::{
    Delivered, DoubleBounce, Onward, Outcome, QueuedRecipient, Schedule, Trouble, Work, encode,
    settle, transition,
};
use store::{Accept, Claim, NewEntry, Options, Start, Store};

const BEGIN: Timestamp = Timestamp(1_772_445_731_000);
const STEPS_MAX: usize = 3_000;

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

fn message(store: &Store, from: ReversePath, to: &[&str], now: Timestamp) -> Accept {
    let mut body = store.body();
    body.write(b"Subject: x\r\n\r\nx\r\n").unwrap();
    let recipients: Vec<QueuedRecipient> =
        to.iter().map(|to| QueuedRecipient::new(Recipient::new(address(to)))).collect();
    let expires = Schedule::default().expires(now, &from);
    Accept {
        trace: TraceId::generate(now.0),
        received: now,
        reverse_path: from,
        facts: Vec::new(),
        message_id: None,
        parties: Vec::new(),
        body: body.finish().unwrap(),
        entries: vec![NewEntry {
            destination: recipients[0].recipient.address.domain().to_string(),
            route: None,
            recipients: encode(&recipients).unwrap(),
            recipient_count: recipients.len() as u32,
            expires,
            start: Start::Due(now),
        }],
        ended: Vec::new(),
        evidence: Vec::new(),
    }
}

fn outcome(random: &mut fastrand::Rng) -> Outcome {
    match random.u8(..6) {
        0 => Outcome::Delivered(Delivered { onward: Onward::Final, host: None, reply: None }),
        1 => {
            Outcome::Permanent(Trouble::new(Status::new(5, 1, 1), Reason::Refused, "no such user"))
        }
        2 => Outcome::NotTried { again_after: Duration::from_secs(random.u64(..9000)) },
        _ => Outcome::Temporary(Trouble::new(
            Status::new(4, 4, 1),
            Reason::Unreachable("no answer".into()),
            "no answer",
        )),
    }
}

async fn play(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let dir = tempfile::tempdir().unwrap();
    let options = Options { reserve_octets: 0, ..Options::default() };
    let mut store = Store::open(dir.path(), options.clone()).unwrap();
    let schedule = Schedule::default();
    let mut now = BEGIN;
    let mut promised = Vec::new();
    for n in 0..12 {
        let to = [format!("a@d{}.example", n % 3), format!("b@d{}.example", n % 3)];
        let to: Vec<&str> = to.iter().map(String::as_str).take(1 + n % 2).collect();
        let from = ReversePath::Address(address("ann@home.example"));
        promised.push(store.accept(message(&store, from, &to, now)).await.unwrap().trace);
    }
    for _ in 0..STEPS_MAX {
        let claim = Claim {
            now,
            until: now.plus(Duration::from_secs(600)),
            limit: 3,
            per_destination: 2,
            busy: Vec::new(),
        };
        let claimed = store.claim_due(claim).await.unwrap().into_inner();
        if claimed.is_empty() {
            match store.next_due().await.unwrap() {
                Some(due) => now = now.max(due),
                None if store.stats().await.unwrap().leased == 0 => break,
                None => now = now.plus(Duration::from_secs(601)),
            }
        }
        for claimed in claimed {
            if random.u8(..20) == 0 {
                continue; // a delivery that never comes back
            }
            let work = Work::new(claimed).unwrap();
            let outcomes: Vec<Outcome> =
                work.recipients.iter().map(|_| outcome(&mut random)).collect();
            let made = transition(&schedule, &DoubleBounce::Drop, &work.entry(), &outcomes, now, 0);
            let notices = made
                .notices
                .iter()
                .map(|notice| message(&store, ReversePath::Null, &[&notice.to.to_string()], now))
                .collect();
            let settle = settle(work.claimed.lease, &made, now, Vec::new(), notices).unwrap();
            let settled = store.settle(settle).await.unwrap().into_inner();
            promised.extend(settled.notices.into_iter().map(|notice| notice.trace));
        }
        if random.u8(..25) == 0 {
            drop(store);
            store = Store::open(dir.path(), options.clone()).unwrap();
        }
    }
    for trace in promised {
        let message = store.message(trace).await.unwrap();
        assert_eq!(message.open, 0, "seed {seed}: {trace}");
        assert!(message.finished.is_some(), "seed {seed}: {trace}");
    }
    let ledger = store.ledger(Timestamp(0), Timestamp(i64::MAX)).await.unwrap();
    assert!(ledger.balances() && ledger.open == 0, "seed {seed}: {ledger:?}");
}

#[tokio::test]
async fn every_message_of_the_real_store_ends_and_the_ledger_balances() {
    for seed in 0..6 {
        play(seed).await;
    }
}
