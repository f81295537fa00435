//! What a start finds: the end of another run, a torn log, a damaged file.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use mail::TraceId;
use store::{Checkpoint, Ending, Options, Settle, Store, StoreError, chain};
use support::*;

/// Every link of the chain is right.
async fn assert_chained(store: &Store) {
    let mut head = chain::GENESIS;
    let mut next = 1;
    loop {
        let rows = store.evidence_range(next, 1000).await.unwrap();
        if rows.is_empty() {
            return;
        }
        for row in rows {
            assert_eq!(row.seq, next);
            head = chain::link(&head, row.seq, &row.payload);
            assert_eq!(row.hash, head, "entry {next}");
            next += 1;
        }
    }
}

#[tokio::test]
async fn a_folder_in_use_is_refused_with_the_process_that_uses_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let refusal = Store::open(dir.path(), options()).unwrap_err();
    assert!(
        matches!(&refusal, StoreError::InUse { pid, .. } if *pid == std::process::id().to_string())
    );
    assert!(refusal.to_string().contains("stop it first"), "{refusal}");
    drop(store);
    open(dir.path());
}

#[tokio::test]
async fn work_of_a_dead_process_is_due_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("live"));
    accept(&store, &["a.example"], leased()).await;
    accept(&store, &["b.example"], due()).await;
    let claimed = claim_due(&store, NOW).await;
    copy_dir(&dir.path().join("live"), &dir.path().join("found"));
    drop(claimed);

    let store = open(&dir.path().join("found"));
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.leased, stats.waiting), (0, 2));
    assert_eq!(claim_due(&store, NOW).await.len(), 2);
    assert_balanced(&store).await;
}

#[tokio::test]
async fn files_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("data");
    let store = open(&home);
    accept(&store, &["a.example"], due()).await;
    assert_eq!(std::fs::metadata(&home).unwrap().permissions().mode() & 0o777, 0o700);
    for file in std::fs::read_dir(&home).unwrap() {
        let mode = file.as_ref().unwrap().metadata().unwrap().permissions().mode() & 0o077;
        assert_eq!(mode, 0, "{:?}", file.unwrap().path());
    }
}

#[tokio::test]
async fn damage_and_newer_schemas_are_refused_with_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mailkeep.db");
    let refusal = |expected: &str| {
        let refusal = Store::open(dir.path(), options()).unwrap_err().to_string();
        assert!(refusal.contains(expected), "{refusal}");
    };
    std::fs::write(&path, [b'x'; 8192]).unwrap();
    refusal("Restore it from a backup, or move it aside");
    std::fs::remove_file(&path).unwrap();
    drop(open(dir.path()));
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 9000).unwrap();
    drop(connection);
    refusal("has schema 9000 and this release knows up to");
}

#[tokio::test]
async fn a_missing_or_cut_segment_is_refused_by_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let accept = message(&store, &vec![b'x'; 40_000], &["a.example"], &due());
    store.accept(accept).await.unwrap().into_inner();
    drop(store);
    let segment = std::fs::read_dir(dir.path().join("segments")).unwrap().next().unwrap();
    let segment = segment.unwrap().path();
    let octets = std::fs::read(&segment).unwrap();

    std::fs::write(&segment, &octets[..octets.len() - 1]).unwrap();
    let refusal = Store::open(dir.path(), options()).unwrap_err();
    assert!(matches!(&refusal, StoreError::Corrupt { path, .. } if *path == segment), "{refusal}");
    std::fs::remove_file(&segment).unwrap();
    assert!(matches!(Store::open(dir.path(), options()), Err(StoreError::Corrupt { .. })));

    // What a torn write left behind the last body does no harm.
    std::fs::write(&segment, [&octets[..], b"MKB1 torn"].concat()).unwrap();
    let store = open(dir.path());
    let claimed = claim_due(&store, NOW).await.remove(0);
    let body = store.read_body(claimed.blob).await.unwrap().read_all(50_000).await.unwrap();
    assert!(body.len() == 40_000 && body.iter().all(|&octet| octet == b'x'));
}

#[tokio::test]
async fn a_changed_octet_in_a_row_is_found_when_the_body_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let blob = accept(&store, &["a.example"], due()).await.blob;
    drop(store);
    let connection = rusqlite::Connection::open(dir.path().join("mailkeep.db")).unwrap();
    connection
        .execute("UPDATE blob SET octets = CAST(replace(octets, 'hi', 'ho') AS BLOB)", [])
        .unwrap();
    drop(connection);
    let store = open(dir.path());
    assert!(matches!(store.read_body(blob).await, Err(StoreError::BodyDamaged { .. })));
}

#[tokio::test]
async fn evidence_is_chained_and_a_checkpoint_names_an_entry_that_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    assert_eq!(store.evidence_head().await.unwrap(), None);
    let trace = TraceId::generate(NOW.0);
    let (seq, hash) = store
        .append_evidence(vec![evidence(trace, "one"), evidence(trace, "two")])
        .await
        .unwrap()
        .into_inner();
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.evidence_head().await.unwrap(), Some((seq, hash)));
    store.append_evidence(vec![evidence(trace, "three")]).await.unwrap().into_inner();
    assert_chained(&store).await;
    let checkpoint = Checkpoint { seq, hash, at: NOW, signature: b"signed".to_vec() };
    store.add_checkpoint(checkpoint.clone()).await.unwrap().into_inner();
    let wrong = Checkpoint { hash: [7; 32], ..checkpoint.clone() };
    assert!(store.add_checkpoint(wrong).await.is_err());
    assert_eq!(store.checkpoints(0, 10).await.unwrap(), [checkpoint]);
}

/// A history of jobs, one a transaction, with the length of the log after each.
async fn history(store: &Store, log: &Path) -> Vec<(u64, TraceId, bool)> {
    let mut promised = Vec::new();
    for n in 0..8 {
        let mut accepted = accept(store, &["a.example"], leased()).await;
        let len = || std::fs::metadata(log).unwrap().len();
        promised.push((len(), accepted.trace, false));
        if n % 2 == 0 {
            let lease = accepted.entries.remove(0).1.unwrap();
            let settle = Settle::complete(lease, NOW, Ending::Relayed, 1)
                .with_evidence(vec![evidence(accepted.trace, "relayed")]);
            store.settle(settle).await.unwrap().into_inner();
            promised.push((len(), accepted.trace, true));
        }
    }
    promised
}

#[tokio::test]
async fn wherever_the_log_is_torn_every_promise_before_that_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let live = dir.path().join("live");
    drop(open(&live));
    let store = open(&live);
    let log = live.join("mailkeep.db-wal");
    let promised = history(&store, &log).await;
    let snapshot = dir.path().join("snapshot");
    copy_dir(&live, &snapshot);
    drop(store);
    let octets = std::fs::read(snapshot.join("mailkeep.db-wal")).unwrap();
    let frame = 24 + 4096;
    let cuts = (32..octets.len()).step_by(frame).flat_map(|at| [at, at + 8, at + frame / 2]);
    for cut in cuts.filter(|&cut| cut <= octets.len()) {
        let found = dir.path().join("found");
        copy_dir(&snapshot, &found);
        let mut torn = std::fs::File::create(found.join("mailkeep.db-wal")).unwrap();
        torn.write_all(&octets[..cut]).unwrap();
        torn.write_all(&[0xA5; 100]).unwrap();
        drop(torn);
        let store = open(&found);
        for (_, trace, finished) in promised.iter().filter(|(len, ..)| *len <= cut as u64) {
            let message = store.message(*trace).await.unwrap();
            assert!(!finished || message.finished.is_some(), "cut at {cut}");
        }
        assert_balanced(&store).await;
        assert_chained(&store).await;
        drop(store);
        std::fs::remove_dir_all(&found).unwrap();
    }
}

const LINES_BEFORE_KILL: usize = 15;
const CHILD_FOLDER: &str = "STORE_TEST_CHILD_FOLDER";

/// Run as a process of its own by the test below, which kills it.
#[tokio::test(flavor = "multi_thread")]
async fn child_that_accepts_until_it_is_killed() {
    let Ok(folder) = std::env::var(CHILD_FOLDER) else { return };
    let store = Store::open(&folder, Options { segment_max_octets: 200_000, ..options() }).unwrap();
    for session in 0..8 {
        let store = store.clone();
        tokio::spawn(async move {
            for n in 0_u64.. {
                let len = [300, 3000, 30_000, 100_000][(n + session) as usize % 4];
                let content = vec![n as u8; len];
                let start = if n % 2 == 0 { leased() } else { due() };
                let accept = message(&store, &content, &["a.example"], &start);
                let mut accepted = store.accept(accept).await.unwrap().into_inner();
                println!("promised {}", accepted.trace);
                if let Some(lease) = accepted.entries.remove(0).1 {
                    relay(&store, lease).await;
                    println!("relayed {}", accepted.trace);
                }
            }
        });
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
}

#[tokio::test]
async fn a_process_killed_at_any_instant_has_kept_what_it_promised() {
    let dir = tempfile::tempdir().unwrap();
    let (mut promised, mut relayed) = (Vec::<TraceId>::new(), Vec::<TraceId>::new());
    for round in 0..12 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_accepts_until_it_is_killed", "--nocapture"])
            .env(CHILD_FOLDER, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (spoke, spoken) = std::sync::mpsc::channel();
        let lines = std::thread::spawn(move || {
            let lines = output.lines().map_while(Result::ok);
            lines.inspect(|_| spoke.send(()).unwrap_or_default()).collect::<Vec<String>>()
        });
        if round % 4 == 0 {
            // While it starts, perhaps.
            std::thread::sleep(Duration::from_millis(fastrand::u64(..60)));
        } else {
            for _ in 0..LINES_BEFORE_KILL {
                spoken.recv_timeout(Duration::from_secs(30)).unwrap();
            }
            std::thread::sleep(Duration::from_millis(fastrand::u64(..80)));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        for line in lines.join().unwrap() {
            match line.split_once(' ') {
                Some(("promised", id)) => promised.extend(id.parse::<TraceId>()),
                Some(("relayed", id)) => relayed.extend(id.parse::<TraceId>()),
                _ => {}
            }
        }
        let store = open(dir.path());
        for &trace in &promised {
            store.message(trace).await.unwrap_or_else(|e| panic!("round {round}: {e}"));
        }
        for &trace in &relayed {
            assert!(store.message(trace).await.unwrap().finished.is_some(), "round {round}");
        }
        assert_balanced(&store).await;
        assert_chained(&store).await;
        for claimed in claim_due(&store, LATER).await {
            let body = store.read_body(claimed.blob).await.unwrap();
            let len = body.len_octets();
            let octets = body.read_all(1 << 20).await.unwrap();
            assert_eq!(octets.len() as u64, len);
            assert!(octets.windows(2).all(|pair| pair[0] == pair[1]));
        }
    }
    assert!(promised.len() > 9 * LINES_BEFORE_KILL / 2, "hardly anything: {}", promised.len());
}
