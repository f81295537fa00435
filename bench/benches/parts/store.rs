//! The store: acceptance and settlement, each durable before it counts.

use std::sync::Arc;
use std::time::Duration;

use ::store::{Accept, Ending, Evidence, NewEntry, Options, Settle, Start, Store};
use divan::Bencher;
use divan::counter::ItemsCount;
use mail::{Address, ReversePath, Timestamp, TraceId};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

const LEASE: Duration = Duration::from_secs(600);

/// `sessions` messages at once, each accepted with its lease and then settled: what one
/// relayed message asks of the store.
#[divan::bench(args = [(1, 4_096), (20, 4_096), (256, 4_096), (20, 65_536)], sample_count = 20)]
fn accept_and_settle(bencher: Bencher<'_, '_>, (sessions, octets): (usize, usize)) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path(), Options::default()).expect("an empty store");
    let runtime = Runtime::new().expect("a runtime");
    let content: Arc<[u8]> = vec![b'x'; octets].into();
    bencher.counter(ItemsCount::new(sessions)).bench_local(|| {
        runtime.block_on(async {
            let mut under_way = JoinSet::new();
            for _ in 0..sessions {
                under_way.spawn(relay(store.clone(), Arc::clone(&content)));
            }
            under_way.join_all().await
        })
    });
}

async fn relay(store: Store, content: Arc<[u8]>) {
    let now = Timestamp::now();
    let trace = TraceId::generate(now.0);
    let evidence = |octets| vec![Evidence { trace, at: now, payload: vec![b'e'; octets] }];
    let mut body = store.body();
    body.write(&content).expect("room");
    let sender = Address::parse("ana@stranger.example").expect("well formed");
    let recipient = Address::parse("dr.lee@clinic.example").expect("well formed");
    let accept = Accept {
        trace,
        received: now,
        reverse_path: ReversePath::Address(sender.clone()),
        facts: vec![b'f'; 600],
        message_id: Some(format!("<{trace}@stranger.example>")),
        parties: vec![sender, recipient],
        body: body.finish().expect("room"),
        entries: vec![NewEntry {
            destination: "clinic.example".to_owned(),
            route: None,
            recipients: vec![b'r'; 120],
            recipient_count: 1,
            expires: now.plus(LEASE),
            start: Start::Leased { until: now.plus(LEASE) },
        }],
        ended: Vec::new(),
        evidence: evidence(700),
    };
    let accepted = store.accept(accept).await.expect("accepted").into_inner();
    for (_, lease) in accepted.entries {
        let lease = lease.expect("born leased");
        let settle = Settle::complete(lease, now, Ending::Relayed, 1).with_evidence(evidence(900));
        let _ = store.settle(settle).await.expect("settled");
    }
}
