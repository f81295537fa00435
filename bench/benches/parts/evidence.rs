//! One entry of the evidence: written down, and linked to the one before.

use std::net::{IpAddr, Ipv4Addr};

use ::evidence::{
    Accepted, Client, Decision, Digest, Entry, EnvelopeFacts, Event, MessageFacts, Origin, Promise,
};
use divan::{Bencher, black_box};
use mail::{Address, ReversePath, Timestamp, TraceId};

fn entry() -> Entry {
    let address = |text: &str| Address::parse(text).expect("well formed");
    let at = Timestamp(1_772_445_731_042);
    let accepted = Accepted {
        origin: Origin::Listener {
            name: "mx".to_owned(),
            port: 25,
            protocol: "ESMTPS".to_owned(),
            client: Client {
                ip: IpAddr::V4(Ipv4Addr::new(198, 51, 100, 9)),
                name: None,
                helo: Some("mail.stranger.example".to_owned()),
            },
        },
        message: MessageFacts {
            sha256: Digest::of(b"message"),
            octets: 4096,
            subject: Some("Results".to_owned()),
            message_id: Some("1@stranger.example".to_owned()),
        },
        envelope: EnvelopeFacts {
            sha256: Digest::of(b"envelope"),
            from: ReversePath::Address(address("ana@stranger.example")),
            require_tls: false,
        },
        authenticated: None,
        tls: None,
        sender: None,
        filters: Vec::new(),
        lists: Vec::new(),
        decision: Decision { revision: 1, rules: Vec::new(), verdict: "accept".to_owned() },
        recipients: vec![Promise {
            address: address("dr.lee@clinic.example"),
            verdict: "relay".to_owned(),
            rule: None,
        }],
    };
    Entry::about(TraceId::generate(at.0), at, Event::Accepted(Box::new(accepted)))
}

#[divan::bench]
fn write(bencher: Bencher<'_, '_>) {
    let entry = entry();
    bencher.bench(|| black_box(&entry).to_payload());
}

#[divan::bench]
fn link(bencher: Bencher<'_, '_>) {
    let payload = entry().to_payload();
    bencher.bench(|| ::store::chain::link(black_box(&[7; 32]), 8, black_box(&payload)));
}

#[divan::bench]
fn read(bencher: Bencher<'_, '_>) {
    let payload = entry().to_payload();
    bencher.bench(|| Entry::from_payload(1, black_box(&payload)));
}
