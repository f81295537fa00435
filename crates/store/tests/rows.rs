//! Accounts, revisions, findings and settings.

mod support;

use mail::Domain;
use store::{AccountRow, DomainRow, FlowKind, NewRevision, ProbeRow, RevisionFile};
use support::*;

fn domain(name: &str) -> Domain {
    Domain::parse(name).unwrap()
}

#[tokio::test]
async fn accounts_belong_to_domains_and_are_found_in_any_case() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let clinic = domain("clinic.example");
    store
        .put_domain(DomainRow { name: clinic.clone(), row: b"{}".to_vec() })
        .await
        .unwrap()
        .into_inner();
    for name in ["Ann", "bob"] {
        let account =
            AccountRow { domain: clinic.clone(), name: name.to_owned(), row: name.into() };
        store.put_account(account).await.unwrap().into_inner();
    }
    let ann = store.account(&clinic, "ANN").await.unwrap().unwrap();
    assert_eq!((&ann.name[..], &ann.row[..]), ("ann", &b"Ann"[..]));
    assert_eq!(store.accounts(&clinic, "", 10).await.unwrap().len(), 2);
    assert_eq!(store.accounts(&clinic, "ann", 10).await.unwrap().len(), 1);
    assert!(store.remove_account(&clinic, "bob").await.unwrap().into_inner());
    assert!(store.remove_domain(&clinic).await.unwrap().into_inner());
    assert!(!store.remove_domain(&clinic).await.unwrap().into_inner());
    assert_eq!(store.account(&clinic, "ann").await.unwrap(), None);
    assert!(store.domains("", 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn revisions_are_numbered_from_one_and_listed_newest_first() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    assert_eq!(store.revision(None).await.unwrap(), None);
    for n in 1..=3_u8 {
        let revision = NewRevision {
            at: NOW,
            author: "ann".to_owned(),
            reason: format!("change {n}"),
            text: vec![n],
            files: Vec::new(),
        };
        assert_eq!(store.add_revision(revision).await.unwrap().into_inner(), u64::from(n));
    }
    assert_eq!(store.revision(None).await.unwrap().unwrap().text, [3]);
    assert_eq!(store.revision(Some(2)).await.unwrap().unwrap().reason, "change 2");
    assert_eq!(store.revision(Some(9)).await.unwrap(), None);
    let numbers = |rows: Vec<store::RevisionRow>| rows.iter().map(|r| r.number).collect::<Vec<_>>();
    assert_eq!(numbers(store.revisions(None, 2).await.unwrap()), [3, 2]);
    assert_eq!(numbers(store.revisions(Some(2), 9).await.unwrap()), [1]);
}

#[tokio::test]
async fn the_files_of_a_revision_come_back_with_it_and_equal_ones_are_kept_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let file = |path: &str, text: &[u8]| RevisionFile { path: path.into(), text: text.into() };
    let list = vec![b'x'; 100_000];
    let first = vec![file("a.conf", b"one"), file("list", &list)];
    let second = vec![file("a.conf", b"two"), file("/etc/list", &list), file("list", &list)];
    for (n, files) in [(1, &first), (2, &second), (3, &Vec::new())] {
        let revision = NewRevision {
            at: NOW,
            author: "ann".to_owned(),
            reason: "a reason".to_owned(),
            text: b"include *".to_vec(),
            files: files.clone(),
        };
        assert_eq!(store.add_revision(revision).await.unwrap().into_inner(), n);
    }
    assert_eq!(store.revision(Some(1)).await.unwrap().unwrap().files, first);
    let mut sorted = second;
    sorted.sort();
    assert_eq!(store.revision(Some(2)).await.unwrap().unwrap().files, sorted);
    assert_eq!(store.revision(None).await.unwrap().unwrap().files, []);
    drop(store);
    let octets = std::fs::metadata(dir.path().join("mailkeep.db")).unwrap().len();
    assert!(octets < 2 * 100_000 + 200_000, "{octets} octets");
    let many = NewRevision {
        at: NOW,
        author: String::new(),
        reason: String::new(),
        text: Vec::new(),
        files: (0..=store::REVISION_FILES_MAX).map(|n| file(&n.to_string(), b"")).collect(),
    };
    let refused = open(dir.path()).add_revision(many).await;
    assert!(matches!(refused, Err(store::StoreError::TooMuch { .. })));
}

#[tokio::test]
async fn a_finding_is_believed_until_its_time_and_can_be_flushed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for (name, until) in [("old.example", after(10)), ("new.example", after(100))] {
        let probe = ProbeRow { name: name.to_owned(), until, row: b"no tls".to_vec() };
        store.put_probe(probe, NOW).await.unwrap().into_inner();
    }
    assert!(store.probe("old.example", after(9)).await.unwrap().is_some());
    assert!(store.probe("old.example", after(10)).await.unwrap().is_none());
    assert_eq!(store.forget_probes(Some("new.example")).await.unwrap().into_inner(), 1);
    assert_eq!(store.forget_probes(None).await.unwrap().into_inner(), 1);
}

#[tokio::test]
async fn a_setting_made_at_first_use_is_made_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    assert_eq!(store.setting("key").await.unwrap(), None);
    assert_eq!(store.setting_or("key", b"first".to_vec()).await.unwrap().into_inner(), b"first");
    assert_eq!(store.setting_or("key", b"second".to_vec()).await.unwrap().into_inner(), b"first");
    store.put_setting("key", b"third".to_vec()).await.unwrap().into_inner();
    assert_eq!(store.setting("key").await.unwrap().as_deref(), Some(&b"third"[..]));
    store.remove_setting("key").await.unwrap().into_inner();
    assert_eq!(store.setting("key").await.unwrap(), None);
}

#[tokio::test]
async fn bans_and_counters_are_kept_by_kind_until_they_are_old() {
    let dir = tempfile::tempdir().unwrap();
    let row = |name: &str, until: Option<i64>| store::FlowRow {
        name: name.to_owned(),
        until: until.map(|after| mail::Timestamp(NOW.0 + after)),
        row: name.as_bytes().to_vec(),
    };
    {
        let store = open(dir.path());
        let bans = vec![row("192.0.2.7/32", Some(1_000)), row("198.51.100.0/24", None)];
        store.put_flow(FlowKind::Ban, bans, Vec::new(), NOW).await.unwrap().into_inner();
        let counters = vec![row("sending ann", Some(5_000)), row("sending bob", Some(5_000))];
        store.put_flow(FlowKind::Quota, counters, Vec::new(), NOW).await.unwrap().into_inner();
    }
    let store = open(dir.path());
    let names = async |kind, after: &str, at: i64| {
        let page = store.flow_page(kind, after, 10, mail::Timestamp(NOW.0 + at)).await.unwrap();
        page.into_iter().map(|row| row.name).collect::<Vec<_>>()
    };
    assert_eq!(names(FlowKind::Ban, "", 0).await, ["192.0.2.7/32", "198.51.100.0/24"]);
    assert_eq!(names(FlowKind::Ban, "", 1_000).await, ["198.51.100.0/24"]);
    assert_eq!(names(FlowKind::Quota, "sending ann", 0).await, ["sending bob"]);
    let gone = vec!["sending bob".to_owned()];
    let later = mail::Timestamp(NOW.0 + 2_000);
    store.put_flow(FlowKind::Quota, Vec::new(), gone, later).await.unwrap().into_inner();
    assert_eq!(names(FlowKind::Quota, "", 0).await, ["sending ann"]);
    assert_eq!(names(FlowKind::Ban, "", 0).await, ["198.51.100.0/24"], "the old one is forgotten");
}
