//! The queue's operations, each as a sentence of the manual.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use mail::{Domain, TraceId};
use proptest::prelude::*;
use store::{
    Change, Ending, EntryState, EntryStateKind, QueueFilter, Remaining, Settle, Store, StoreError,
    TraceQuery,
};
use support::*;

fn destination(name: &str) -> QueueFilter {
    QueueFilter { destination: Some(name.to_owned()), ..QueueFilter::default() }
}

#[tokio::test]
async fn a_message_born_leased_is_not_claimed_and_leaves_nothing_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut accepted = accept(&store, &["clinic.example"], leased()).await;
    assert!(claim_due(&store, NOW).await.is_empty());
    let lease = accepted.entries.remove(0).1.unwrap();
    let settled =
        store.settle(Settle::complete(lease, NOW, Ending::Relayed, 1)).await.unwrap().into_inner();
    assert!(settled.message_finished);
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.waiting, stats.leased, stats.held, stats.oldest), (0, 0, 0, None));
    assert!(matches!(store.read_body(accepted.blob).await, Err(StoreError::NotFound(_))));
    let message = store.message(accepted.trace).await.unwrap();
    assert_eq!(message.finished, Some(NOW));
    assert_eq!(message.ended, [(Ending::Relayed, 1)]);
    assert_balanced(&store).await;
}

#[tokio::test]
async fn a_claim_gives_all_that_delivery_needs() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let accepted = accept(&store, &["clinic.example"], due()).await;
    let claimed = claim_due(&store, NOW).await.remove(0);
    assert_eq!(claimed.trace, accepted.trace);
    assert_eq!(claimed.destination, "clinic.example");
    assert_eq!(claimed.recipients, b"[\"bob@clinic.example\"]");
    assert_eq!(claimed.facts, b"{\"facts\":1}");
    assert_eq!(claimed.reverse_path.to_string(), "ann@home.example");
    let body = store.read_body(claimed.blob).await.unwrap().read_all(100).await.unwrap();
    assert_eq!(&body[..], b"Subject: x\r\n\r\nhi\r\n");
    assert!(claim_due(&store, NOW).await.is_empty(), "it is leased");
}

#[tokio::test]
async fn a_deferred_entry_comes_back_when_it_is_due_and_not_before() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    accept(&store, &["clinic.example"], due()).await;
    let claimed = claim_due(&store, NOW).await.remove(0);
    store.settle(put_back(claimed.lease, after(300))).await.unwrap().into_inner();
    assert_eq!(store.next_due().await.unwrap(), Some(after(300)));
    assert!(claim_due(&store, after(299)).await.is_empty());
    let again = claim_due(&store, after(300)).await.remove(0);
    assert_eq!((again.attempts, &again.recipients[..]), (1, &b"[\"bob\"]"[..]));
    assert_balanced(&store).await;
}

#[tokio::test]
async fn an_expired_lease_gives_the_entry_to_another_and_the_first_cannot_settle_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    accept(&store, &["clinic.example"], due()).await;
    let slow = claim_due(&store, NOW).await.remove(0);
    // Nothing waits, and yet there is something to wake up for.
    let next = store.next_due().await.unwrap().expect("the end of the lease");
    assert!(next > NOW && next <= after(600), "{next:?}");
    let fast = claim_due(&store, after(600)).await.remove(0);
    let late = store.settle(Settle::complete(slow.lease, NOW, Ending::Relayed, 1)).await;
    assert!(matches!(late, Err(StoreError::NotLeased { .. })), "{late:?}");
    relay(&store, fast.lease).await;
    assert_balanced(&store).await;
}

#[tokio::test]
async fn a_renewed_lease_holds_longer() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    accept(&store, &["clinic.example"], due()).await;
    let claimed = claim_due(&store, NOW).await.remove(0);
    let _ = store.renew(&claimed.lease, after(2000)).await.unwrap();
    assert!(claim_due(&store, after(1999)).await.is_empty());
    assert_eq!(claim_due(&store, after(2000)).await.len(), 1);
    assert!(store.renew(&claimed.lease, after(9000)).await.is_err());
}

#[tokio::test]
async fn recipients_that_do_not_add_up_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    accept(&store, &["clinic.example"], due()).await;
    let claimed = claim_due(&store, NOW).await.remove(0);
    let wrong = Settle::complete(claimed.lease, NOW, Ending::Relayed, 2)
        .with_evidence(vec![evidence(claimed.trace, "wrong")]);
    assert!(matches!(store.settle(wrong).await, Err(StoreError::Database { .. })));
    assert_eq!(store.stats().await.unwrap().leased, 1);
    assert_eq!(store.evidence_of(claimed.trace).await.unwrap().len(), 1);
    assert_balanced(&store).await;
}

#[tokio::test]
async fn a_bounce_its_evidence_and_its_notice_are_one_transaction() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let accepted = accept(&store, &["clinic.example"], due()).await;
    let claimed = claim_due(&store, NOW).await.remove(0);
    let notice = message(&store, b"Subject: not delivered\r\n\r\n", &["home.example"], &leased());
    let notice_trace = notice.trace;
    let settle = Settle::bounce(claimed.lease, NOW, 1, Some(notice))
        .with_evidence(vec![evidence(accepted.trace, "bounced")]);
    let mut settled = store.settle(settle).await.unwrap().into_inner();
    let mut notice = settled.notices.remove(0);
    assert_eq!(notice.trace, notice_trace);
    let kinds: Vec<_> = store
        .evidence_range(1, 10)
        .await
        .unwrap()
        .into_iter()
        .map(|row| (row.trace, String::from_utf8(row.payload).unwrap()))
        .collect();
    assert_eq!(
        kinds,
        [
            (accepted.trace, "accepted".to_owned()),
            (accepted.trace, "bounced".to_owned()),
            (notice_trace, "accepted".to_owned()),
        ]
    );
    relay(&store, notice.entries.remove(0).1.unwrap()).await;
    assert_balanced(&store).await;

    // A notice that cannot be accepted takes the bounce back with it.
    accept(&store, &["clinic.example"], due()).await;
    let claimed = claim_due(&store, NOW).await.remove(0);
    let mut notice = message(&store, b"x", &["home.example"], &due());
    notice.trace = notice_trace;
    let refused = store.settle(Settle::bounce(claimed.lease, NOW, 1, Some(notice))).await;
    assert!(matches!(refused, Err(StoreError::Duplicate(_))), "{refused:?}");
    assert_eq!(store.stats().await.unwrap().leased, 1);
    assert_balanced(&store).await;
}

#[tokio::test]
async fn a_job_that_fails_does_not_fail_the_others_of_its_batch() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let taken = accept(&store, &["clinic.example"], due()).await.trace;
    let lease = claim_due(&store, NOW).await.remove(0).lease;
    let mut jobs = Vec::new();
    for n in 0..50 {
        let mut accept = message(&store, b"x", &["clinic.example"], &due());
        if n % 10 == 3 {
            accept.trace = taken;
        }
        let store = store.clone();
        jobs.push(tokio::spawn(async move { store.accept(accept).await.map(|_| ()) }));
    }
    // This one fails after it has changed rows, which rolls the batch back once.
    let uneven = store.settle(Settle::complete(lease, NOW, Ending::Relayed, 9)).await;
    assert!(matches!(uneven, Err(StoreError::Database { .. })));
    let mut refused = 0;
    for job in jobs {
        match job.await.unwrap() {
            Ok(()) => {}
            Err(StoreError::Duplicate(trace)) if trace == taken => refused += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(refused, 5);
    assert_eq!(store.stats().await.unwrap().messages, 46);
    assert_balanced(&store).await;
}

#[tokio::test]
async fn no_destination_gets_more_than_its_share_and_the_longest_unserved_comes_first() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for _ in 0..50 {
        accept(&store, &["big.example"], due()).await;
    }
    for name in ["a.example", "b.example"] {
        accept(&store, &[name], due()).await;
    }
    let first = store.claim_due(claim(NOW, 6, 5)).await.unwrap().into_inner();
    let count = |name: &str, of: &[store::Claimed]| {
        of.iter().filter(|claimed| claimed.destination == name).count()
    };
    assert_eq!(first.len(), 6);
    assert!(count("big.example", &first) <= 5);
    let second = store.claim_due(claim(NOW, 6, 5)).await.unwrap().into_inner();
    let small = |of| count("a.example", of) + count("b.example", of);
    assert_eq!(small(&first) + small(&second), 2, "the small ones do not wait for the big one");
}

#[tokio::test]
async fn busy_and_frozen_destinations_get_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for name in ["busy.example", "frozen.example", "free.example"] {
        accept(&store, &[name], due()).await;
    }
    let _ = store.freeze("frozen.example", "asked by ann", Vec::new()).await.unwrap();
    let work = claim(NOW, 10, 10);
    let work = store::Claim { busy: vec!["busy.example".to_owned()], ..work };
    let claimed = store.claim_due(work).await.unwrap().into_inner();
    assert_eq!(claimed.iter().map(|c| &c.destination[..]).collect::<Vec<_>>(), ["free.example"]);
    assert!(store.frozen().contains("frozen.example"));

    let born = accept(&store, &["frozen.example"], leased()).await;
    assert!(born.entries[0].1.is_none(), "a frozen destination is not delivered to at once");
    assert_eq!(store.stats().await.unwrap().waiting, 3);

    drop(store);
    let store = open(dir.path());
    assert!(store.frozen().contains("frozen.example"), "freezing outlives a restart");
    assert!(store.unfreeze("frozen.example", Vec::new()).await.unwrap().into_inner());
    assert!(!store.unfreeze("frozen.example", Vec::new()).await.unwrap().into_inner());
    assert_eq!(claim_due(&store, NOW).await.len(), 4);
}

#[tokio::test]
async fn held_entries_stay_until_released() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    accept(&store, &["a.example"], held("quarantine: macros")).await;
    accept(&store, &["b.example"], due()).await;
    let changed = store
        .change(&destination("b.example"), Change::Hold { reason: "ann".to_owned() }, Vec::new())
        .await
        .unwrap();
    assert_eq!(changed.changed, 1);
    assert!(claim_due(&store, LATER).await.is_empty());
    let reasons: Vec<EntryState> = store
        .queue_page(&QueueFilter::default(), None, 10)
        .await
        .unwrap()
        .into_iter()
        .map(|row| row.state)
        .collect();
    assert_eq!(
        reasons,
        [
            EntryState::Held { reason: "quarantine: macros".to_owned() },
            EntryState::Held { reason: "ann".to_owned() },
        ]
    );
    let all = QueueFilter::default();
    store.change(&all, Change::Release { now: NOW }, Vec::new()).await.unwrap();
    assert_eq!(claim_due(&store, NOW).await.len(), 2);
    assert_balanced(&store).await;
}

#[tokio::test]
async fn an_entry_held_while_it_is_delivered_is_held_when_its_attempt_fails() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    accept(&store, &["a.example"], due()).await;
    let claimed = claim_due(&store, NOW).await.remove(0);
    let all = QueueFilter::default();
    store.change(&all, Change::Hold { reason: "ann".to_owned() }, Vec::new()).await.unwrap();
    store.settle(put_back(claimed.lease, after(1))).await.unwrap().into_inner();
    assert!(claim_due(&store, LATER).await.is_empty());
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.waiting, stats.leased, stats.held), (0, 0, 1));
    assert_balanced(&store).await;
}

#[tokio::test]
async fn retry_and_reroute_make_entries_due_and_leave_those_in_delivery_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    accept(&store, &["a.example"], store::Start::Due(after(9000))).await;
    let all = QueueFilter::default();
    assert_eq!(
        store.change(&all, Change::Retry { now: NOW }, Vec::new()).await.unwrap().changed,
        1
    );
    assert_eq!(store.next_due().await.unwrap(), Some(NOW));
    let reroute = Change::Reroute {
        destination: "smart-host".to_owned(),
        route: Some(b"smtp:[192.0.2.1]:2525".to_vec()),
        now: NOW,
    };
    store.change(&all, reroute.clone(), Vec::new()).await.unwrap();
    let claimed = claim_due(&store, NOW).await.remove(0);
    assert_eq!(claimed.destination, "smart-host");
    assert_eq!(claimed.route.as_deref(), Some(&b"smtp:[192.0.2.1]:2525"[..]));
    let changed = store.change(&all, reroute, Vec::new()).await.unwrap();
    assert_eq!((changed.changed, changed.in_delivery), (0, 1));
    let left: Vec<_> = store.destinations("", 10).await.unwrap();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn selected_entries_are_leased_to_be_ended_even_when_held_or_not_due() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let first = accept(&store, &["a.example"], held("ann")).await;
    accept(&store, &["a.example"], store::Start::Due(after(9000))).await;
    let in_delivery = accept(&store, &["a.example"], leased()).await;
    let selected =
        store.claim_selected(&destination("a.example"), LATER, 10).await.unwrap().into_inner();
    assert_eq!(selected.len(), 2);
    assert_eq!(selected[0].trace, first.trace);
    for claimed in selected {
        let cancel = Settle::complete(claimed.lease, NOW, Ending::Cancelled, 1);
        store.settle(cancel).await.unwrap().into_inner();
    }
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.waiting, stats.leased, stats.held), (0, 1, 0));
    drop(in_delivery);
    assert_balanced(&store).await;
}

#[tokio::test]
async fn the_queue_is_found_by_state_destination_party_and_name() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let both = accept(&store, &["a.example", "b.example"], due()).await;
    accept(&store, &["b.example"], held("ann")).await;
    let count =
        async |filter: QueueFilter| store.queue_page(&filter, None, 10).await.unwrap().len();
    let all = QueueFilter::default;
    assert_eq!(count(all()).await, 3);
    assert_eq!(count(destination("b.example")).await, 2);
    assert_eq!(count(QueueFilter { state: Some(EntryStateKind::Held), ..all() }).await, 1);
    assert_eq!(count(QueueFilter { party: Some(address("bob@a.example")), ..all() }).await, 2);
    let domain = Domain::parse("home.example").unwrap();
    assert_eq!(count(QueueFilter { party_domain: Some(domain), ..all() }).await, 3);
    let prefix = TraceId::range_of_prefix(&both.trace.to_string()[..20]);
    assert_eq!(count(QueueFilter { trace: prefix, ..all() }).await, 2);
    assert_eq!(count(QueueFilter { queued_before: Some(NOW), ..all() }).await, 0);
    let one = both.entries[1].0;
    assert_eq!(store.entry(one).await.unwrap().destination, "b.example");
}

#[tokio::test]
async fn ten_thousand_entries_are_paged_without_loss_or_repetition() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut jobs = Vec::new();
    for n in 0..5_000 {
        let a = format!("d{}.example", n % 7);
        let accept = message(&store, b"x", &[&a, "same.example"], &due());
        let store = store.clone();
        jobs.push(tokio::spawn(async move { store.accept(accept).await.map(|_| ()) }));
    }
    for job in jobs {
        job.await.unwrap().unwrap();
    }
    for (filter, expected) in
        [(QueueFilter::default(), 10_000), (destination("same.example"), 5_000)]
    {
        let mut seen = BTreeSet::new();
        let mut after = None;
        loop {
            let page = store.queue_page(&filter, after, 777).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.entry);
            for row in page {
                assert!(seen.insert(row.entry), "{:?} came twice", row.entry);
            }
        }
        assert_eq!(seen.len(), expected);
    }
    let changed = store
        .change(&QueueFilter::default(), Change::Hold { reason: "all".to_owned() }, Vec::new())
        .await
        .unwrap();
    assert_eq!(changed.changed, 10_000);
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.waiting, stats.held), (0, 10_000));
    assert!(store.destinations("", 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_message_is_traced_by_name_address_domain_message_id_and_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let first = message(&store, b"x", &["a.example"], &due());
    let id = first.message_id.clone();
    let trace = first.trace;
    store.accept(first).await.unwrap().into_inner();
    accept(&store, &["b.example"], due()).await;
    let refusal = store::Refusal {
        trace: TraceId::generate(NOW.0 + 1),
        at: NOW,
        reverse_path: mail::ReversePath::Null,
        facts: b"{}".to_vec(),
        parties: vec![address("Eve@a.example")],
        evidence: Vec::new(),
    };
    let refused = refusal.trace;
    store.record_refusal(refusal).await.unwrap().into_inner();

    let find = async |query: TraceQuery| {
        let found = store.trace(&query).await.unwrap();
        found.into_iter().map(|row| row.trace).collect::<Vec<_>>()
    };
    let all = TraceQuery::default;
    assert_eq!(find(all()).await.len(), 3);
    assert_eq!(find(all()).await[0], refused, "newest first");
    assert_eq!(find(TraceQuery { ids: Some((trace, trace)), ..all() }).await, [trace]);
    assert_eq!(
        find(TraceQuery { address: Some(address("BOB@a.example")), ..all() }).await,
        [trace]
    );
    let domain = Domain::parse("a.example").unwrap();
    assert_eq!(find(TraceQuery { domain: Some(domain), ..all() }).await, [refused, trace]);
    assert_eq!(find(TraceQuery { message_id: id, ..all() }).await, [trace]);
    assert_eq!(find(TraceQuery { from: Some(NOW), to: Some(LATER), ..all() }).await.len(), 3);
    assert_eq!(find(TraceQuery { from: Some(LATER), ..all() }).await.len(), 0);
    assert_eq!(find(TraceQuery { to: Some(NOW), ..all() }).await.len(), 0);
    assert_eq!(find(TraceQuery { after: Some(refused), ..all() }).await.len(), 2);
    assert!(store.message(refused).await.unwrap().is_refused());
    assert_balanced(&store).await;
}

#[derive(Debug, Clone)]
enum Step {
    Accept { groups: u8, leased: bool },
    Claim { limit: u8 },
    Relay,
    Defer { seconds: u16 },
    Bounce,
    Hold,
    Release,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1..4_u8, any::<bool>()).prop_map(|(groups, leased)| Step::Accept { groups, leased }),
        2 => (1..6_u8).prop_map(|limit| Step::Claim { limit }),
        3 => Just(Step::Relay),
        2 => (0..900_u16).prop_map(|seconds| Step::Defer { seconds }),
        1 => Just(Step::Bounce),
        1 => Just(Step::Hold),
        1 => Just(Step::Release),
        1 => Just(Step::Reopen),
    ]
}

async fn walk(steps: Vec<Step>) {
    let dir = tempfile::tempdir().unwrap();
    let mut store: Store = open(dir.path());
    let mut leases = Vec::new();
    let mut clock = 0;
    for step in steps {
        clock += 60;
        match step {
            Step::Accept { groups, leased: born } => {
                let names: Vec<String> = (0..groups).map(|n| format!("d{n}.example")).collect();
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                let start = if born { leased() } else { due() };
                let accepted = accept(&store, &names, start).await;
                leases.extend(accepted.entries.into_iter().filter_map(|(_, lease)| lease));
            }
            Step::Claim { limit } => {
                let work = store::Claim { until: FOREVER, ..claim(after(clock), limit.into(), 3) };
                let claimed = store.claim_due(work).await.unwrap().into_inner();
                leases.extend(claimed.into_iter().map(|claimed| claimed.lease));
            }
            Step::Relay => {
                if let Some(lease) = leases.pop() {
                    // It may have expired and been given to another, or not.
                    let _ = store.settle(Settle::complete(lease, NOW, Ending::Relayed, 1)).await;
                }
            }
            Step::Defer { seconds } => {
                if let Some(lease) = leases.pop() {
                    let _ = store.settle(put_back(lease, after(clock + u64::from(seconds)))).await;
                }
            }
            Step::Bounce => {
                if let Some(lease) = leases.pop() {
                    let notice = message(&store, b"notice", &["home.example"], &due());
                    let _ = store.settle(Settle::bounce(lease, NOW, 1, Some(notice))).await;
                }
            }
            Step::Hold => {
                let hold = Change::Hold { reason: "ann".to_owned() };
                store.change(&destination("d1.example"), hold, Vec::new()).await.unwrap();
            }
            Step::Release => {
                let release = Change::Release { now: after(clock) };
                store.change(&QueueFilter::default(), release, Vec::new()).await.unwrap();
            }
            Step::Reopen => {
                leases.clear();
                drop(store);
                store = open(dir.path());
                assert_eq!(store.stats().await.unwrap().leased, 0);
            }
        }
        check(&store, clock).await;
    }
}

/// The counters, the index of destinations and the ledger agree with the rows.
async fn check(store: &Store, clock: u64) {
    let rows = store.queue_page(&QueueFilter::default(), None, 1000).await.unwrap();
    let (mut waiting, mut leased, mut held) = (0, 0, 0);
    let mut by_destination: BTreeMap<String, (u64, i64)> = BTreeMap::new();
    for row in &rows {
        match row.state {
            EntryState::Waiting { due } => {
                waiting += 1;
                let slot = by_destination.entry(row.destination.clone()).or_insert((0, i64::MAX));
                *slot = (slot.0 + 1, slot.1.min(due.0));
            }
            EntryState::Leased { .. } => leased += 1,
            EntryState::Held { .. } => held += 1,
        }
    }
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.waiting, stats.leased, stats.held), (waiting, leased, held));
    let indexed = store.destinations("", 1000).await.unwrap();
    assert_eq!(indexed.len(), by_destination.len());
    for indexed in indexed {
        let (waiting, earliest) = by_destination[&indexed.name];
        assert_eq!(indexed.waiting, waiting);
        assert!(indexed.waiting > 0);
        // After a claim, what is left of a destination goes to the end of the line.
        assert!(indexed.next_due.0 <= earliest.max(after(clock).0), "{indexed:?} {earliest}");
    }
    assert_balanced(store).await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_walk_of_operations_keeps_counters_index_and_ledger_true(
        steps in proptest::collection::vec(step(), 1..40)
    ) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
            .block_on(walk(steps));
    }
}

#[tokio::test]
async fn part_of_a_group_may_end_while_the_rest_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut accept = message(&store, b"x", &["a.example"], &leased());
    accept.entries[0].recipient_count = 3;
    accept.ended = vec![(Ending::Discarded, 1)];
    let mut accepted = store.accept(accept).await.unwrap().into_inner();
    let settle = Settle {
        lease: accepted.entries.remove(0).1.unwrap(),
        at: NOW,
        ended: vec![(Ending::Relayed, 1), (Ending::Bounced, 1)],
        remaining: Some(Remaining {
            recipients: b"[\"third\"]".to_vec(),
            recipient_count: 1,
            due: NOW,
            attempted: true,
            note: String::new(),
        }),
        evidence: Vec::new(),
        notices: Vec::new(),
    };
    assert!(!store.settle(settle).await.unwrap().message_finished);
    assert_balanced(&store).await;
    let rest = claim_due(&store, NOW).await.remove(0);
    assert_eq!(rest.recipient_count, 1);
    relay(&store, rest.lease).await;
    let message = store.message(accepted.trace).await.unwrap();
    assert_eq!(message.ended, [(Ending::Relayed, 2), (Ending::Bounced, 1), (Ending::Discarded, 1)]);
    assert_balanced(&store).await;
}
