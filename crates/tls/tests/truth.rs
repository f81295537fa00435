//! The truth table, run purely: every row of `truth-table.txt`.
//!
//! What a right client sees of each kind of peer is written down in [`observe`];
//! the same rows can be run against such peers over real sockets.

use std::collections::BTreeSet;

use mail::Timestamp;
use tls::{
    Anchor, Certificate, Demand, Demands, Distrust, Failure, FailureKind, Fingerprint, Handshake,
    Level, MtaStsMode, Observed, Plaintext, Proof, Requirement, Source, Suite, Verdict,
    Verification, Version, Versions, judge,
};

const TABLE: &str = include_str!("truth-table.txt");
const HOST: &str = "mx1.bank.example";

fn pin() -> Fingerprint {
    Fingerprint::of(b"the key that the pin names")
}

/// A demand as the table writes it.
fn demand(text: &str) -> Demand {
    let words: Vec<_> = text.split_whitespace().collect();
    let source = || match words[0] {
        "default" => Source::Default,
        "rule" => Source::Rule { name: "table".to_owned(), line: 40 },
        "force-encrypt" => Source::ForceEncrypt { entry: "bank.example".to_owned(), line: 12 },
        other => panic!("unknown source {other}"),
    };
    match words[..] {
        ["mta-sts", "enforce"] => Demand::mta_sts("bank.example", MtaStsMode::Enforce),
        ["mta-sts", "testing"] => Demand::mta_sts("bank.example", MtaStsMode::Testing),
        ["dane"] => Demand::dane(HOST),
        ["dane-unusable"] => Demand::dane_unusable(HOST),
        ["requiretls"] => Demand::require_tls(),
        ["tls-required-no"] => Demand::tls_required_no(),
        [_, "pin"] => Demand::new(source(), Requirement::pinned([pin()])),
        [_, level, ref version @ ..] => {
            let requirement = match level.parse().unwrap() {
                Level::Authenticated => Requirement::authenticated(),
                level => Requirement::at(level),
            };
            let versions = match version {
                [] => Versions::ALL,
                [version] => Versions::only(version.parse().unwrap()),
                more => panic!("{more:?}"),
            };
            Demand::new(source(), requirement.with_versions(versions))
        }
        _ => panic!("not a demand: {text}"),
    }
}

fn has(demands: &Demands, wanted: fn(&Source) -> bool) -> bool {
    demands.iter().any(|demand| wanted(&demand.source))
}

fn is_waived(demands: &Demands) -> bool {
    has(demands, |source| matches!(source, Source::TlsRequiredNo))
        && !has(demands, |source| matches!(source, Source::RequireTls))
}

/// What a right client sees of this kind of peer, when it acts upon these demands.
fn observe(peer: &str, demands: &Demands) -> Observed {
    let required = demands.joined();
    if required.level == Level::None {
        return Observed::Plaintext(Plaintext::NotTried);
    }
    if peer == "dns-failed" && !is_waived(demands) {
        return Observed::Failed(Failure::new(FailureKind::Dns, "SERVFAIL"));
    }
    if required.is_impossible() {
        return Observed::Failed(Failure::new(FailureKind::Impossible, ""));
    }
    let refused = |code| Observed::Plaintext(Plaintext::Refused { code, text: "no".to_owned() });
    let failed = |kind| {
        let failure = Failure::new(kind, "");
        // Where the clear is allowed, a second connection is made without TLS.
        if required.level < Level::Encrypted {
            Observed::Plaintext(Plaintext::AfterFailure(failure))
        } else {
            Observed::Failed(failure)
        }
    };
    let untrusted = |reason| Verification::Untrusted { name: HOST.to_owned(), reason };
    let trusted = |by, anchor| Verification::Trusted {
        name: HOST.to_owned(),
        anchor,
        by: BTreeSet::from([by]),
    };
    let (speaks, key, verification) = match peer {
        "no-starttls" | "stripped" => return Observed::Plaintext(Plaintext::NotOffered),
        "starttls-refused-454" => return refused(454),
        "starttls-refused-554" => return refused(554),
        "broken-handshake" => return failed(FailureKind::Handshake),
        "closed-in-handshake" => return failed(FailureKind::Closed),
        "silent-handshake" => return failed(FailureKind::Timeout),
        "injected" => return failed(FailureKind::Injected),
        "self-signed" => (Versions::ALL, None, untrusted(Distrust::SelfSigned)),
        "unknown-issuer" => (Versions::ALL, None, untrusted(Distrust::UnknownIssuer)),
        "wrong-name" => {
            let presented = vec!["mx1.other.example".to_owned()];
            (Versions::ALL, None, untrusted(Distrust::WrongName { presented }))
        }
        "expired" => (Versions::ALL, None, untrusted(Distrust::Expired { not_after: None })),
        "pinned" => (Versions::ALL, Some(pin()), untrusted(Distrust::SelfSigned)),
        "dane-match" => {
            let looked_up = demands.binding().any(|demand| {
                demand.requirement.proofs.iter().any(|choice| choice.dane)
                    && matches!(demand.source, Source::Dane { .. })
            });
            let found = if looked_up {
                trusted(Proof::Dane, Anchor::UnsignedDns)
            } else {
                untrusted(Distrust::SelfSigned)
            };
            (Versions::ALL, None, found)
        }
        "mta-sts-listed" => {
            let known = has(demands, |source| matches!(source, Source::MtaSts { .. }));
            let anchor =
                if known && !is_waived(demands) { Anchor::MtaSts } else { Anchor::UnsignedDns };
            (Versions::ALL, None, trusted(Proof::WebPki, anchor))
        }
        "foreign-mx" => (Versions::ALL, None, trusted(Proof::WebPki, Anchor::UnsignedDns)),
        "good-tls13" | "dns-failed" => {
            (Versions::ALL, None, trusted(Proof::WebPki, Anchor::RecipientDomain))
        }
        "good-tls12-only" => {
            let speaks = Versions::only(Version::Tls12);
            (speaks, None, trusted(Proof::WebPki, Anchor::RecipientDomain))
        }
        "good-tls13-only" => {
            let speaks = Versions::only(Version::Tls13);
            (speaks, None, trusted(Proof::WebPki, Anchor::RecipientDomain))
        }
        other => panic!("unknown peer {other}"),
    };
    let Some(version) = speaks.intersection(required.versions).iter().last() else {
        return failed(FailureKind::NoCommonGround);
    };
    Observed::Encrypted(Box::new(handshake(version, key, verification)))
}

fn handshake(version: Version, key: Option<Fingerprint>, verification: Verification) -> Handshake {
    let leaf = Certificate {
        sha256: Fingerprint::of(b"certificate"),
        spki_sha256: key.unwrap_or(Fingerprint::of(b"key")),
        subject: "CN=mx1.bank.example".to_owned(),
        issuer: "CN=somebody".to_owned(),
        names: vec![HOST.to_owned()],
        not_before: Timestamp(0),
        not_after: Timestamp(1),
    };
    let suite = match version {
        Version::Tls12 => Suite(0xc02c),
        Version::Tls13 => Suite(0x1302),
    };
    Handshake {
        version,
        suite,
        group: None,
        sni: Some(HOST.to_owned()),
        alpn: None,
        resumed: false,
        peer_chain: vec![leaf],
        verification,
        own_certificate: None,
    }
}

fn answer(verdict: &Verdict) -> &'static str {
    match verdict.shortfall() {
        None => "send",
        Some(shortfall) if shortfall.may_pass() => "wait",
        Some(_) => "bounce",
    }
}

fn rows() -> impl Iterator<Item = (usize, [&'static str; 5])> {
    TABLE
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
        .map(|(at, line)| {
            let fields: Vec<_> = line.split('|').map(str::trim).collect();
            (at + 1, fields.try_into().unwrap_or_else(|_| panic!("line {}", at + 1)))
        })
}

#[test]
fn every_row_of_the_truth_table_holds() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for (line, [demands, peer, wanted, protection, status]) in rows() {
        let demands: Demands = demands.split('+').map(|text| demand(text.trim())).collect();
        let verdict = judge(&demands, &observe(peer, &demands));
        let found = (
            answer(&verdict),
            verdict.protection.to_string(),
            verdict.shortfall().map_or("-".to_owned(), |it| it.status().to_string()),
        );
        if found != (wanted, protection.to_owned(), status.to_owned()) {
            wrong.push(format!("line {line}: {peer}: {found:?}: {verdict}"));
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count >= 500, "only {count} rows");
}

#[test]
fn the_table_has_each_pair_once_and_every_kind_of_peer_everywhere() {
    let pairs: Vec<_> = rows().map(|(_, [demands, peer, ..])| (demands, peer)).collect();
    let unique: BTreeSet<_> = pairs.iter().collect();
    let demands: BTreeSet<_> = pairs.iter().map(|pair| pair.0).collect();
    let peers: BTreeSet<_> = pairs.iter().map(|pair| pair.1).collect();
    assert_eq!(unique.len(), pairs.len());
    assert_eq!(demands.len() * peers.len(), pairs.len());
}

#[test]
fn nothing_is_ever_sent_in_the_clear_where_encryption_is_demanded() {
    for (line, [demands, peer, ..]) in rows() {
        let demands: Demands = demands.split('+').map(|text| demand(text.trim())).collect();
        let verdict = judge(&demands, &observe(peer, &demands));
        let in_clear = matches!(verdict.observed, Observed::Plaintext(_) | Observed::Failed(_));
        if demands.joined().level >= Level::Encrypted && in_clear {
            assert!(!verdict.is_met(), "line {line}");
        }
    }
}

#[test]
fn a_verdict_survives_the_evidence_unchanged() {
    for (line, [demands, peer, ..]) in rows() {
        let demands: Demands = demands.split('+').map(|text| demand(text.trim())).collect();
        let verdict = judge(&demands, &observe(peer, &demands));
        let kept = serde_json::to_string(&verdict).unwrap();
        assert_eq!(serde_json::from_str::<Verdict>(&kept).unwrap(), verdict, "line {line}");
    }
}
