//! Held accounts and first-time recipients survive, and stay bounded.

use mail::Timestamp;
use store::{CONTACTS_MAX, HeldAccount, Options, Store};

const ANA: &str = "ana@clinic.example";

fn at(seconds: i64) -> Timestamp {
    Timestamp(1_772_445_731_042 + seconds * 1_000)
}

fn names(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|n| format!("r{n}@partner.example")).collect()
}

#[tokio::test]
async fn an_account_is_held_once_and_stays_so_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Options::default()).unwrap();
    let held =
        HeldAccount { account: ANA.to_owned(), since: at(0), reason: "it sends spam".to_owned() };
    assert!(store.hold_account(held.clone()).await.unwrap().into_inner());
    let again = HeldAccount { reason: "another".to_owned(), ..held.clone() };
    assert!(!store.hold_account(again).await.unwrap().into_inner());
    drop(store);
    let store = Store::open(folder.path(), Options::default()).unwrap();
    assert_eq!(store.held_accounts().await.unwrap(), [held]);
    assert!(store.release_account(ANA).await.unwrap().into_inner());
    assert!(!store.release_account(ANA).await.unwrap().into_inner());
    assert_eq!(store.held_accounts().await.unwrap(), []);
}

#[tokio::test]
async fn only_recipients_written_to_for_the_first_time_count() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Options::default()).unwrap();
    let note = async |recipients, now: i64| {
        let noted = store.note_contacts(ANA, recipients, at(now), at(now - 3_600)).await;
        noted.unwrap().into_inner()
    };
    assert_eq!(note(names(0..5), 0).await, 5);
    assert_eq!(note(names(0..5), 10).await, 5);
    assert_eq!(note(names(4..7), 20).await, 7);
    assert_eq!(note(names(0..7), 4_000).await, 0, "after the window they are old friends");
    assert_eq!(note(names(7..8), 4_001).await, 1);
    let other = store.note_contacts("bob@clinic.example", names(0..1), at(5), at(0)).await;
    assert_eq!(other.unwrap().into_inner(), 1, "each account has its own");
}

#[tokio::test]
async fn the_recipients_remembered_of_an_account_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Options::default()).unwrap();
    let mut count = 0;
    for batch in 0..12 {
        let recipients = names(batch * 1_000..(batch + 1) * 1_000);
        let now = at(i64::from(batch));
        count = store.note_contacts(ANA, recipients, now, at(0)).await.unwrap().into_inner();
    }
    assert_eq!(count, u64::from(CONTACTS_MAX));
}
