//! What is remembered of senders: changed in one transaction, there after a restart, bounded.

use mail::Timestamp;
use store::{MemoryKind, Options, Remembered, Store};

fn open(folder: &tempfile::TempDir) -> Store {
    Store::open(folder.path(), Options::default()).expect("the store opens")
}

async fn count_up(store: &Store, name: &str, until: i64, now: i64) -> u8 {
    let change = move |row: Option<Vec<u8>>| {
        let next = row.and_then(|row| row.first().copied()).unwrap_or(0) + 1;
        Remembered { row: vec![next], until: Timestamp(until), answer: next }
    };
    let kind = MemoryKind::Triplet;
    store.remember(kind, name, Timestamp(now), change).await.expect("remembered").into_inner()
}

#[tokio::test]
async fn a_restart_forgets_nothing_and_time_does() {
    let folder = tempfile::tempdir().expect("a folder");
    {
        let store = open(&folder);
        assert_eq!(count_up(&store, "a", 100, 1).await, 1);
        assert_eq!(count_up(&store, "a", 100, 2).await, 2);
    }
    let store = open(&folder);
    let recall = async |kind, now| store.recall(kind, "a", Timestamp(now)).await.expect("recalled");
    assert_eq!(recall(MemoryKind::Triplet, 99).await, Some(vec![2]));
    assert_eq!(recall(MemoryKind::Triplet, 100).await, None);
    assert_eq!(recall(MemoryKind::Network, 1).await, None);
    assert_eq!(count_up(&store, "a", 300, 200).await, 1);
}

#[tokio::test]
async fn what_is_too_much_goes_with_the_soonest_first() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder);
    for n in 0..20_u8 {
        count_up(&store, &format!("n{n}"), 100 + i64::from(n), 1).await;
    }
    let forget = async |most, now| {
        store.forget(MemoryKind::Triplet, most, Timestamp(now)).await.expect("forgotten")
    };
    assert_eq!(forget(100, 104).await, 5);
    assert_eq!(forget(10, 104).await, 5);
    assert_eq!(forget(10, 104).await, 0);
    assert_eq!(store.remembered(MemoryKind::Triplet).await.expect("counted"), 10);
    let last = store.recall(MemoryKind::Triplet, "n19", Timestamp(104)).await.expect("recalled");
    assert!(last.is_some());
}
