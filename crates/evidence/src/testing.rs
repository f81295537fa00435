//! Entries for the tests of this crate.

use std::net::IpAddr;

use mail::{Address, Envelope, ReversePath, TraceId};

use crate::*;

pub(crate) fn trace_id(n: u8) -> TraceId {
    TraceId::from_bytes([n; 16])
}

pub(crate) fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

pub(crate) fn accepted(recipients: &[&str]) -> Event {
    let from = ReversePath::Address(address("ana@clinic.example"));
    let promise = |recipient: &&str| Promise {
        address: address(recipient),
        verdict: "relay".into(),
        rule: None,
    };
    Event::Accepted(Box::new(Accepted {
        origin: Origin::Listener {
            name: "submission".into(),
            port: 587,
            protocol: "ESMTPA".into(),
            client: Client { ip: IpAddr::from([192, 0, 2, 77]), name: None, helo: None },
        },
        message: MessageFacts {
            sha256: Digest::of(b"message"),
            octets: 48_213,
            subject: Some("MRI results".into()),
            message_id: Some("a1@clinic.example".into()),
        },
        envelope: EnvelopeFacts {
            sha256: envelope_digest(&Envelope::from(from.clone())),
            from,
            require_tls: false,
        },
        authenticated: Some(Authenticated {
            identity: "ana@clinic.example".into(),
            mechanism: "PLAIN".into(),
        }),
        tls: None,
        sender: None,
        lists: Vec::new(),
        decision: Decision { revision: 41, rules: Vec::new(), verdict: "relay".into() },
        recipients: recipients.iter().map(promise).collect(),
        filters: Vec::new(),
    }))
}

pub(crate) fn finished(recipient: &str, ending: Ending) -> Event {
    Event::Finished(Finished {
        recipients: vec![FinishedRecipient {
            address: address(recipient),
            ending,
            reason: None,
            rule: None,
            notice: None,
        }],
    })
}
