//! Evidence in a real store: signed, exported, proven, and balanced.

use evidence::archive::{self, Notary};
use evidence::{
    Accepted, Decision, Ending, Entry, EnvelopeFacts, Event, Finished, FinishedRecipient, Ledger,
    MessageFacts, Origin, Promise, Signer, verify,
};
use evidence::{Digest, Report};
use mail::{Address, ReversePath, Timestamp, TraceId};
use store::{Options, Store};

fn trace(n: u8) -> TraceId {
    TraceId::from_bytes([n; 16])
}

fn recipient(n: u8) -> Address {
    Address::parse(&format!("r{n}@partner.example")).unwrap()
}

fn accepted(n: u8) -> Entry {
    let event = Event::Accepted(Box::new(Accepted {
        origin: Origin::Injected { by: "test".into() },
        message: MessageFacts {
            sha256: Digest::of(&[n]),
            octets: 1,
            subject: None,
            message_id: None,
        },
        envelope: EnvelopeFacts {
            sha256: Digest::of(&[n]),
            from: ReversePath::Null,
            require_tls: false,
        },
        authenticated: None,
        tls: None,
        sender: None,
        lists: Vec::new(),
        decision: Decision { revision: 1, rules: Vec::new(), verdict: "relay".into() },
        recipients: vec![Promise { address: recipient(n), verdict: "relay".into(), rule: None }],
        filters: Vec::new(),
    }));
    Entry::about(trace(n), Timestamp(n.into()), event)
}

fn relayed(n: u8) -> Entry {
    let event = Event::Finished(Finished {
        recipients: vec![FinishedRecipient {
            address: recipient(n),
            ending: Ending::Relayed,
            reason: None,
            rule: None,
            notice: None,
        }],
    });
    Entry::about(trace(n), Timestamp(n.into()), event)
}

/// A store in which ten messages came and nine went, with a checkpoint after every third step.
async fn filled(dir: &std::path::Path) -> (Store, Notary) {
    let store = Store::open(dir, Options::default()).unwrap();
    let mut notary = Notary::open(&store, Signer::generate().unwrap().0).await.unwrap();
    for n in 1..=10 {
        let mut entries = vec![accepted(n)];
        entries.extend((n > 1).then(|| relayed(n - 1)));
        let entries = entries.iter().map(Entry::to_evidence).collect();
        store.append_evidence(entries).await.unwrap().into_inner();
        if n % 3 == 0 {
            notary.sign_head(&store, Timestamp(100 + i64::from(n))).await.unwrap().unwrap();
        }
    }
    (store, notary)
}

fn verified(export: &[u8], notary: &Notary) -> Report {
    verify(export, &[notary.signer().public_key()]).unwrap()
}

#[tokio::test]
async fn what_the_store_kept_is_exported_and_verified_with_the_public_key() {
    let dir = tempfile::tempdir().unwrap();
    let (store, mut notary) = filled(dir.path()).await;
    let host = "mx.clinic.example";
    let at = Timestamp(200);
    let all = archive::export(&store, Vec::new(), host, 1..=u64::MAX, notary.signer(), at);
    let report = verified(&all.await.unwrap(), &notary);
    assert!(report.is_intact(), "{report}");
    assert_eq!((report.entries, report.checkpoints, report.proven), (19, 3, 17));
    assert_eq!(report.unsigned_tail, Some(18..=19));

    let part = archive::export(&store, Vec::new(), host, 4..=11, notary.signer(), at);
    let report = verified(&part.await.unwrap(), &notary);
    assert!(report.is_intact(), "{report}");
    assert_eq!((report.first, report.last, report.proven), (4, 11, 8));

    assert!(notary.sign_head(&store, at).await.unwrap().is_some());
    assert!(notary.sign_head(&store, at).await.unwrap().is_none());
}

#[tokio::test]
async fn a_notary_goes_on_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (store, notary) = filled(dir.path()).await;
    let (signer, secret) = Signer::generate().unwrap();
    let mut next = Notary::open(&store, signer).await.unwrap();
    next.sign_head(&store, Timestamp(300)).await.unwrap().unwrap();
    let signer = Signer::from_secret(&secret).unwrap();
    let all = archive::export(&store, Vec::new(), "mx", 1..=u64::MAX, &signer, Timestamp(301));
    let keys = [signer.public_key(), notary.signer().public_key()];
    let report = verify(&all.await.unwrap()[..], &keys).unwrap();
    assert!(report.is_intact(), "{report}");
    assert_eq!((report.checkpoints, report.unsigned_tail), (4, None));
}

#[tokio::test]
async fn the_proof_of_a_message_shows_it_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let (store, notary) = filled(dir.path()).await;
    let proof = archive::prove(&store, Vec::new(), "mx", trace(3), notary.signer(), Timestamp(200));
    let proof = String::from_utf8(proof.await.unwrap()).unwrap();
    let report = verified(proof.as_bytes(), &notary);
    assert!(report.is_intact(), "{report}");
    assert_eq!(report.unsigned_tail, None);
    for n in 1..=10 {
        assert_eq!(proof.contains(&recipient(n).to_string()), n == 3, "{n}");
    }
    let forged = proof.replace("r3@partner", "r0@partner");
    assert_eq!(verified(forged.as_bytes(), &notary).findings.len(), 2);
    let none = archive::prove(&store, Vec::new(), "mx", trace(99), notary.signer(), Timestamp(1));
    assert!(none.await.is_err());
}

#[tokio::test]
async fn the_ledger_of_the_store_comes_out_even() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = filled(dir.path()).await;
    let mut ledger = Ledger::new();
    for n in 1..=10 {
        for (_, entry) in archive::entries_of(&store, trace(n)).await.unwrap() {
            ledger.observe(&entry);
        }
    }
    assert_eq!(ledger.open_messages().collect::<Vec<_>>(), [trace(10)]);
    ledger.queued(trace(10), &recipient(10));
    let balance = ledger.finish();
    assert!(balance.is_even(), "{balance}");
    assert_eq!((balance.promised, balance.queued), (10, 1));
}
