//! Who a message is from: SPF, DKIM and DMARC of one message that passes, with answers of
//! DNS that are at hand.

use std::collections::HashMap;

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use mail::Timestamp;
use mail::header::Header;
use sender_auth::dkim::Terms;
use sender_auth::dmarc::{Evidence, Local, evaluate};
use sender_auth::spf::{self, Identity};
use sender_auth::{Asking, Dns, Lack, Outcome, Question, Reading, Record};
use signing::dkim::{Signer, sign};
use signing::{Algorithm, BodyHasher, Key, key_record};

struct Zone(HashMap<String, Record>);

impl Dns for Zone {
    fn ask<'a>(&'a self, name: &'a str, question: Question) -> Asking<'a> {
        let known = self.0.get(name).filter(|_| question == Question::Txt);
        let answer = known.map(|record| vec![record.clone()]).ok_or(Lack::NoSuchName);
        Box::pin(std::future::ready(answer))
    }
}

/// A signed message and the zone it is checked against.
fn signed(algorithm: Algorithm, octets: usize) -> (Vec<u8>, Zone) {
    let key = Key::generate(algorithm).expect("a key");
    let mut message = b"From: Ann <ann@bank.example>\r\n".to_vec();
    message.extend(bench::content(octets));
    let header = Header::scan(&message).expect("a header");
    let mut body = BodyHasher::default();
    body.update(&message[header.body_start()..]);
    let domain = "bank.example".parse().expect("a domain");
    let signer = Signer { domain: &domain, selector: "s", key: &key };
    let now = Timestamp(1_772_445_731_042);
    let mut signed = sign(&header, body.finish(), signer, now).expect("a signature").into_bytes();
    signed.extend(message);
    let text = |text: &str| Record::Txt(text.as_bytes().to_vec());
    let zone = HashMap::from([
        ("bank.example".to_owned(), text("v=spf1 include:mail.example ip4:192.0.2.0/24 -all")),
        ("mail.example".to_owned(), text("v=spf1 ip4:198.51.100.0/24 -all")),
        ("_dmarc.bank.example".to_owned(), text("v=DMARC1; p=reject")),
        ("s._domainkey.bank.example".to_owned(), text(&key_record(&key).expect("a record"))),
    ]);
    (signed, Zone(zone))
}

fn check(bencher: Bencher<'_, '_>, algorithm: Algorithm, octets: usize) {
    let (message, zone) = signed(algorithm, octets);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime");
    let author = "bank.example".parse().expect("a domain");
    let question = spf::Question {
        client: [192, 0, 2, 1].into(),
        helo: "mail.bank.example",
        sender: Some(("ann", "bank.example")),
        identity: Identity::MailFrom,
        receiver: "mx.example",
        now_secs: 1_772_445_732,
    };
    bencher.counter(BytesCount::new(message.len())).bench_local(|| {
        runtime.block_on(async {
            let spf = spf::check(&zone, &question).await;
            let mut reading = Reading::new(Terms::default());
            black_box(&message).chunks(16_384).for_each(|piece| reading.push(piece));
            let dkim = reading.finish().verify_dkim(&zone, 1_772_445_732).await;
            let evidence = Evidence {
                spf: Some((spf.domain, spf.outcome)),
                dkim: dkim
                    .iter()
                    .filter_map(|found| Some((found.domain.clone()?, found.outcome())))
                    .collect(),
            };
            assert_eq!(evidence.dkim.first().map(|found| found.1), Some(Outcome::Pass));
            evaluate(&zone, &author, &evidence, &Local::default(), 0).await
        })
    });
}

#[divan::bench(args = [4_096, 65_536, 1_048_576])]
fn rsa(bencher: Bencher<'_, '_>, octets: usize) {
    check(bencher, Algorithm::Rsa, octets);
}

#[divan::bench(args = [4_096, 65_536, 1_048_576])]
fn ed25519(bencher: Bencher<'_, '_>, octets: usize) {
    check(bencher, Algorithm::Ed25519, octets);
}
