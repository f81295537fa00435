//! What the tests of the store share: small messages and short ways to ask.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::path::Path;
use std::time::Duration;

use mail::{Address, ReversePath, Timestamp, TraceId};
use store::{
    Accept, Accepted, Claim, Claimed, Ending, Evidence, Hold, Lease, NewEntry, Options, Remaining,
    Settle, Start, Store,
};

pub const NOW: Timestamp = Timestamp(1_772_445_731_000);
pub const LATER: Timestamp = Timestamp(NOW.0 + 600_000);
pub const FOREVER: Timestamp = Timestamp(i64::MAX);

pub fn options() -> Options {
    Options { reserve_octets: 0, ..Options::default() }
}

pub fn open(dir: &Path) -> Store {
    Store::open(dir, options()).unwrap()
}

pub fn after(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

pub fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

pub fn evidence(trace: TraceId, what: &str) -> Evidence {
    Evidence { trace, at: NOW, payload: what.as_bytes().to_vec() }
}

/// One group with one recipient.
pub fn group(destination: &str, start: Start) -> NewEntry {
    NewEntry {
        destination: destination.to_owned(),
        route: None,
        recipients: format!("[\"bob@{destination}\"]").into_bytes(),
        recipient_count: 1,
        expires: after(5 * 86_400),
        start,
    }
}

/// A message of `content` from ann to bob at each destination, all starting alike.
pub fn message(store: &Store, content: &[u8], destinations: &[&str], start: &Start) -> Accept {
    let trace = TraceId::generate(NOW.0);
    let mut body = store.body();
    body.write(content).unwrap();
    let mut parties = vec![address("ann@home.example")];
    parties.extend(destinations.iter().map(|d| address(&format!("bob@{d}"))));
    Accept {
        trace,
        received: NOW,
        reverse_path: ReversePath::Address(address("ann@home.example")),
        facts: b"{\"facts\":1}".to_vec(),
        message_id: Some(format!("<{trace}@home.example>")),
        parties,
        body: body.finish().unwrap(),
        entries: destinations.iter().map(|d| group(d, start.clone())).collect(),
        ended: Vec::new(),
        evidence: vec![evidence(trace, "accepted")],
    }
}

pub async fn accept(store: &Store, destinations: &[&str], start: Start) -> Accepted {
    store
        .accept(message(store, b"Subject: x\r\n\r\nhi\r\n", destinations, &start))
        .await
        .unwrap()
        .into_inner()
}

pub fn due() -> Start {
    Start::Due(NOW)
}

pub fn leased() -> Start {
    Start::Leased { until: LATER }
}

pub fn held(reason: &str) -> Start {
    Start::Held(Hold { reason: reason.to_owned() })
}

pub fn claim(now: Timestamp, limit: u32, per_destination: u32) -> Claim {
    Claim {
        now,
        until: now.plus(Duration::from_secs(600)),
        limit,
        per_destination,
        busy: Vec::new(),
    }
}

pub async fn claim_due(store: &Store, now: Timestamp) -> Vec<Claimed> {
    store.claim_due(claim(now, 1000, 1000)).await.unwrap().into_inner()
}

pub fn put_back(lease: Lease, due: Timestamp) -> Settle {
    Settle::defer(
        lease,
        NOW,
        Remaining {
            recipients: b"[\"bob\"]".to_vec(),
            recipient_count: 1,
            due,
            attempted: true,
            note: "451 4.3.0 later".to_owned(),
        },
    )
}

pub async fn relay(store: &Store, lease: Lease) {
    store.settle(Settle::complete(lease, NOW, Ending::Relayed, 1)).await.unwrap().into_inner();
}

pub async fn assert_balanced(store: &Store) {
    let ledger = store.ledger(Timestamp(0), FOREVER).await.unwrap();
    assert!(ledger.balances(), "{ledger:?}");
    let stats = store.stats().await.unwrap();
    assert_eq!(stats.open_recipients, ledger.open);
    assert_eq!(stats.recipients, ledger.recipients);
    assert_eq!(stats.messages, ledger.messages);
    assert_eq!(stats.ended, ledger.ended);
}

/// Copies the folder as a power failure would leave it: a later process finds these files.
pub fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        let target = to.join(file.file_name());
        if file.file_type().unwrap().is_dir() {
            copy_dir(&file.path(), &target);
        } else if !file.file_name().to_string_lossy().ends_with("-shm") {
            std::fs::copy(file.path(), target).unwrap();
        }
    }
}
