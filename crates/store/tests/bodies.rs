//! Bodies in rows and in segments: what is promised can be read back, whatever
//! the disk does.

#[path = "support/faults.rs"]
mod faults;
mod support;

use std::path::Path;
use std::sync::Arc;

use faults::{Fault, FaultyDisk};
use proptest::prelude::*;
use store::{BODY_IN_MEMORY_MAX_OCTETS, BlobId, Ending, Lease, Options, Settle, Store, StoreError};
use support::*;

fn content(seed: u64, len: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| random.u8(..)).take(len).collect()
}

async fn read(store: &Store, blob: BlobId) -> Vec<u8> {
    let mut reader = store.read_body(blob).await.unwrap();
    let mut whole = Vec::new();
    while let Some(part) = reader.next_part().await.unwrap() {
        assert!(part.len() <= BODY_IN_MEMORY_MAX_OCTETS);
        whole.extend_from_slice(&part);
    }
    assert_eq!(whole.len() as u64, reader.len_octets());
    whole
}

async fn put(store: &Store, content: &[u8]) -> Result<(BlobId, Lease), StoreError> {
    let mut body = store.body();
    for chunk in content.chunks(1000) {
        body.write(chunk)?;
    }
    let mut accept = message(store, b"", &["a.example"], &leased());
    accept.body = body.finish()?;
    let mut accepted = store.accept(accept).await?.into_inner();
    Ok((accepted.blob, accepted.entries.remove(0).1.unwrap()))
}

fn segments(dir: &Path) -> usize {
    std::fs::read_dir(dir.join("segments")).unwrap().count()
}

fn small_segments(octets: u64) -> Options {
    Options { segment_max_octets: octets, ..options() }
}

/// Lets the writer sweep: it does so after the batch that freed something.
async fn settle_down(store: &Store) {
    for _ in 0..2 {
        store.put_setting("mark", Vec::new()).await.unwrap().into_inner();
    }
}

#[tokio::test]
async fn a_body_of_any_length_reads_back_now_and_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let mut kept = Vec::new();
    let limit = BODY_IN_MEMORY_MAX_OCTETS;
    for len in [0, 1, 4096, 16_384, 16_385, limit - 1, limit, limit + 1, 2 * limit, 5 * limit + 17]
    {
        let content = content(len as u64, len);
        let (blob, _lease) = put(&store, &content).await.unwrap();
        assert_eq!(read(&store, blob).await, content, "{len} octets");
        kept.push((blob, content));
    }
    for _ in 0..2 {
        for (blob, content) in &kept {
            assert_eq!(&read(&store, *blob).await, content);
        }
        drop(store);
        store = open(dir.path());
    }
}

#[tokio::test]
async fn a_body_not_yet_accepted_can_be_read_and_its_hash_is_that_of_its_octets() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for len in [10, 20_000, 200_000] {
        let content = content(1, len);
        let mut writer = store.body();
        writer.write(&content).unwrap();
        let body = writer.finish().unwrap();
        assert_eq!(body.in_memory().is_some(), len <= BODY_IN_MEMORY_MAX_OCTETS);
        let read = store.reader_of(&body).read_all(len as u64).await.unwrap();
        assert_eq!(&read[..], content);
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &content);
        assert_eq!(&body.sha256()[..], digest.as_ref());
        let refused = store.reader_of(&body).read_all(len as u64 - 1).await;
        assert!(matches!(refused, Err(StoreError::TooMuch { .. })));
    }
}

#[tokio::test]
async fn a_segment_goes_when_its_last_body_goes() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), small_segments(100_000)).unwrap();
    let mut leases = Vec::new();
    for n in 0..12 {
        leases.push(put(&store, &content(n, 40_000)).await.unwrap().1);
    }
    assert_eq!(segments(dir.path()), 6);
    for lease in leases {
        relay(&store, lease).await;
    }
    settle_down(&store).await;
    assert_eq!(segments(dir.path()), 1, "only the one being written is left");
    drop(store);
    let store = Store::open(dir.path(), small_segments(100_000)).unwrap();
    assert_eq!(segments(dir.path()), 0);
    assert_balanced(&store).await;
}

#[tokio::test]
async fn an_abandoned_body_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), small_segments(100_000)).unwrap();
    for n in 0..10 {
        let mut body = store.body();
        body.write(&content(n, 150_000)).unwrap();
        drop(body);
    }
    let (_, lease) = put(&store, &content(1, 40_000)).await.unwrap();
    relay(&store, lease).await;
    settle_down(&store).await;
    assert!(segments(dir.path()) <= 1);
}

#[tokio::test]
async fn a_mostly_dead_segment_is_compacted_and_its_bodies_move_unharmed() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), small_segments(1_000_000)).unwrap();
    let mut bodies = Vec::new();
    for n in 0..30 {
        let content = content(n, 100_000);
        let (blob, lease) = put(&store, &content).await.unwrap();
        bodies.push((blob, lease, content));
    }
    let kept = bodies.split_off(29).remove(0);
    let survivor = bodies.remove(4);
    for (_, lease, _) in bodies {
        relay(&store, lease).await;
    }
    let mut reader = store.read_body(survivor.0).await.unwrap();
    let first_part = reader.next_part().await.unwrap().unwrap();
    assert!(store.compact().await.unwrap());
    settle_down(&store).await;
    assert!(!store.compact().await.unwrap(), "nothing more to gain");
    assert_eq!(read(&store, survivor.0).await, survivor.2);
    assert_eq!(read(&store, kept.0).await, kept.2);
    let rest = reader.next_part().await.unwrap().unwrap();
    assert_eq!([&first_part[..], &rest[..]].concat(), survivor.2, "a reader under way goes on");
    relay(&store, survivor.1).await;
    relay(&store, kept.1).await;
    settle_down(&store).await;
    assert_balanced(&store).await;
}

#[tokio::test]
async fn quarantined_bodies_are_kept_when_the_rest_has_ended() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut accept = message(&store, b"macros", &[], &due());
    accept.ended = vec![(Ending::Quarantined, 1)];
    let blob = store.accept(accept).await.unwrap().blob;
    assert_eq!(read(&store, blob).await, b"macros");
    let mut accept = message(&store, b"discarded", &[], &due());
    accept.ended = vec![(Ending::Discarded, 1)];
    let blob = store.accept(accept).await.unwrap().blob;
    assert!(matches!(store.read_body(blob).await, Err(StoreError::NotFound(_))));
    assert_balanced(&store).await;
}

/// A run of bodies and settlements on a faulty disk; gives what was promised.
async fn trouble(store: &Store) -> Vec<(BlobId, Vec<u8>)> {
    let mut promised = Vec::new();
    for n in 0..8 {
        let len = [500, 20_000, 70_000, 130_000][n as usize % 4];
        let content = content(n, len);
        if let Ok((blob, lease)) = put(store, &content).await {
            if n % 3 == 2 {
                relay(store, lease).await;
            } else {
                promised.push((blob, content));
            }
        }
    }
    promised
}

#[tokio::test]
async fn whichever_operation_of_the_disk_fails_what_was_promised_is_there_after_a_power_failure() {
    let mut operations = u64::MAX;
    for fault in [Fault::Error, Fault::Torn, Fault::Full] {
        let mut fails = 0;
        while fails <= operations {
            let dir = tempfile::tempdir().unwrap();
            let (live, durable, found) =
                (dir.path().join("live"), dir.path().join("durable"), dir.path().join("found"));
            let disk = FaultyDisk::new(fault, fails, &durable);
            let options = Options { disk: Arc::new(disk.clone()), ..small_segments(150_000) };
            let store = Store::open(&live, options).unwrap();
            let promised = trouble(&store).await;
            if fails == 0 {
                operations = disk.operations();
                assert!(operations > 10);
            }
            assert!(promised.len() >= 4, "one fault costs at most what was in its way");
            let _ = put(&store, &content(9, 30_000)).await.expect("it recovers by itself");
            for (blob, content) in &promised {
                assert_eq!(&read(&store, *blob).await, content, "{fault:?} at {fails}");
            }

            copy_dir(&live, &found);
            std::fs::remove_dir_all(found.join("segments")).unwrap();
            disk.after_power_failure(&found.join("segments"));
            let store = open(&found);
            for (blob, content) in &promised {
                assert_eq!(&read(&store, *blob).await, content, "{fault:?} at {fails}");
            }
            assert_balanced(&store).await;
            fails += 1;
        }
    }
}

#[tokio::test]
async fn a_segment_whose_flush_failed_is_not_trusted_again() {
    let dir = tempfile::tempdir().unwrap();
    // Operations: create, header, two records, flush.
    let disk = FaultyDisk::new(Fault::Error, 5, &dir.path().join("durable"));
    let options = Options { disk: Arc::new(disk), ..options() };
    let store = Store::open(dir.path().join("live"), options).unwrap();
    let mut body = store.body();
    body.write(&content(1, 20_000)).unwrap();
    let shares_the_segment = body.finish().unwrap();
    assert!(matches!(put(&store, &content(2, 20_000)).await, Err(StoreError::Io { .. })));
    let mut accept = message(&store, b"", &["a.example"], &due());
    accept.body = shares_the_segment;
    assert!(store.accept(accept).await.is_err(), "its octets may be gone as well");
    let _ = put(&store, &content(3, 20_000)).await.unwrap();
    assert_balanced(&store).await;
}

#[tokio::test]
async fn while_the_reserve_is_reached_mail_is_refused_and_settling_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::new(Fault::Error, 0, &dir.path().join("durable"));
    let options =
        Options { disk: Arc::new(disk.clone()), reserve_octets: 1000, ..Options::default() };
    let store = Store::open(dir.path().join("live"), options).unwrap();
    let (_, lease) = put(&store, b"x").await.unwrap();
    disk.set_free_octets(999);
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert!(put(&store, b"y").await.unwrap_err().is_full());
    relay(&store, lease).await;
    disk.set_free_octets(1000);
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let _ = put(&store, b"z").await.unwrap();
    assert_balanced(&store).await;
}

#[tokio::test]
async fn a_full_database_refuses_mail_and_takes_it_again_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), Options { max_pages: Some(120), ..options() }).unwrap();
    let mut leases = Vec::new();
    let refused = loop {
        match put(&store, &content(1, 8_000)).await {
            Ok((_, lease)) => leases.push(lease),
            Err(error) => break error,
        }
    };
    assert!(refused.is_full(), "{refused}");
    assert!(leases.len() > 3);
    assert_balanced(&store).await;
    for lease in leases {
        let settled = store.settle(Settle::complete(lease, NOW, Ending::Relayed, 1)).await;
        settled.unwrap().into_inner();
    }
    let _ = put(&store, &content(2, 8_000)).await.unwrap();
    assert_balanced(&store).await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn however_a_body_is_cut_into_pieces_it_is_the_same_body(
        len in 0..200_000_usize,
        cuts in proptest::collection::vec(1..90_000_usize, 1..6),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let whole = content(len as u64, len);
        let mut writer = store.body();
        let mut rest = &whole[..];
        for cut in cuts.iter().cycle() {
            let (now, later) = rest.split_at((*cut).min(rest.len()));
            writer.write(now).unwrap();
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        let body = writer.finish().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let read = runtime.block_on(store.reader_of(&body).read_all(len as u64)).unwrap();
        prop_assert!(read == whole);
    }
}
