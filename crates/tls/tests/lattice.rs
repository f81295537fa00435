//! Properties of the join and of the judgement.

use proptest::prelude::*;
use tls::{
    Anchor, Certificate, Demand, Demands, Distrust, Failure, FailureKind, Fingerprint, Handshake,
    Level, MtaStsMode, Observed, Outcome, Plaintext, Proof, Proofs, Requirement, Source, Suite,
    Verification, Version, Versions, judge,
};

fn level() -> impl Strategy<Value = Level> {
    prop::sample::select(vec![
        Level::None,
        Level::Opportunistic,
        Level::Encrypted,
        Level::Authenticated,
    ])
}

fn version() -> impl Strategy<Value = Version> {
    prop::sample::select(vec![Version::Tls12, Version::Tls13])
}

fn anchor() -> impl Strategy<Value = Anchor> {
    prop::sample::select(vec![
        Anchor::UnsignedDns,
        Anchor::RecipientDomain,
        Anchor::SecureDns,
        Anchor::MtaSts,
        Anchor::Configured,
    ])
}

fn suite() -> impl Strategy<Value = Suite> {
    prop::sample::select(Suite::all().take(4).collect::<Vec<_>>())
}

fn fingerprint() -> impl Strategy<Value = Fingerprint> {
    (0_u8..4).prop_map(|seed| Fingerprint::of(&[seed]))
}

fn proofs() -> impl Strategy<Value = Proofs> {
    let pins = prop::collection::btree_set(fingerprint(), 0..3);
    (any::<bool>(), any::<bool>(), any::<bool>(), pins)
        .prop_map(|(web_pki, mta_sts, dane, pins)| Proofs { web_pki, mta_sts, dane, pins })
}

fn canonical(requirement: &Requirement) -> Requirement {
    requirement.join(requirement)
}

fn requirement() -> impl Strategy<Value = Requirement> {
    (
        level(),
        prop::collection::vec(version(), 0..3),
        prop::option::of(prop::collection::btree_set(suite(), 0..4)),
        prop::collection::btree_set(proofs(), 0..3),
        anchor(),
    )
        .prop_map(|(level, versions, suites, proofs, anchor)| {
            let versions = versions.into_iter().collect::<Versions>();
            canonical(&Requirement { level, versions, suites, proofs, anchor })
        })
}

fn demand() -> impl Strategy<Value = Demand> {
    prop_oneof![
        4 => requirement().prop_map(|it| Demand::new(Source::Default, it)),
        4 => requirement().prop_map(|it| {
            Demand::new(Source::ForceEncrypt { entry: "bank.example".to_owned(), line: 12 }, it)
        }),
        1 => Just(Demand::dane_unusable("mx1.bank.example")),
        1 => Just(Demand::mta_sts("bank.example", MtaStsMode::Enforce)),
        1 => Just(Demand::mta_sts("bank.example", MtaStsMode::Testing)),
        1 => Just(Demand::require_tls()),
    ]
}

fn verification() -> impl Strategy<Value = Verification> {
    let by =
        prop::collection::btree_set(prop::sample::select(vec![Proof::WebPki, Proof::Dane]), 1..3);
    prop_oneof![
        Just(Verification::NoCertificate),
        (anchor(), by).prop_map(|(anchor, by)| Verification::Trusted {
            name: "mx1.bank.example".to_owned(),
            anchor,
            by
        }),
        Just(Verification::Untrusted {
            name: "mx1.bank.example".to_owned(),
            reason: Distrust::SelfSigned
        }),
    ]
}

fn handshake() -> impl Strategy<Value = Handshake> {
    (version(), suite(), verification(), fingerprint(), fingerprint()).prop_map(
        |(version, suite, verification, sha256, spki_sha256)| Handshake {
            version,
            suite,
            group: None,
            sni: None,
            alpn: None,
            resumed: false,
            peer_chain: vec![Certificate {
                sha256,
                spki_sha256,
                subject: String::new(),
                issuer: String::new(),
                names: Vec::new(),
                not_before: mail::Timestamp(0),
                not_after: mail::Timestamp(0),
            }],
            verification,
            own_certificate: None,
        },
    )
}

fn observed() -> impl Strategy<Value = Observed> {
    let kind = prop::sample::select(vec![
        FailureKind::Handshake,
        FailureKind::NoCommonGround,
        FailureKind::Dns,
        FailureKind::Closed,
    ]);
    prop_oneof![
        1 => Just(Observed::Local),
        1 => Just(Observed::Plaintext(Plaintext::NotOffered)),
        1 => Just(Observed::Plaintext(Plaintext::NotTried)),
        1 => kind.prop_map(|kind| Observed::Failed(Failure::new(kind, ""))),
        6 => handshake().prop_map(|it| Observed::Encrypted(Box::new(it))),
    ]
}

fn met(requirement: &Requirement, observed: &Observed) -> bool {
    judge(&Demands::by_default(requirement.clone()), observed).outcome == Outcome::Met
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_demands_does_not_matter(a in requirement(), b in requirement()) {
        prop_assert_eq!(a.join(&b), b.join(&a));
    }

    #[test]
    fn the_grouping_of_demands_does_not_matter(
        a in requirement(), b in requirement(), c in requirement()
    ) {
        prop_assert_eq!(a.join(&b).join(&c), a.join(&b.join(&c)));
    }

    #[test]
    fn a_demand_said_twice_is_said_once(a in requirement()) {
        prop_assert_eq!(a.join(&a), a.clone());
        prop_assert_eq!(a.join(&Requirement::none()), a);
    }

    #[test]
    fn joined_demands_are_met_exactly_when_each_is(
        a in requirement(), b in requirement(), seen in observed()
    ) {
        // Details bind from encrypted upwards, and how well a name must be known holds
        // for every choice of proofs: so both are set against the same of these.
        let (level, anchor) = (a.level.max(b.level), a.anchor.max(b.anchor));
        let beside = |it: &Requirement| Requirement { level, anchor, ..it.clone() };
        // Without a choice of its own a lower level brings none into the join.
        if level == Level::Authenticated && (a.proofs.is_empty() || b.proofs.is_empty()) {
            return Ok(());
        }
        let each = met(&beside(&a), &seen) && met(&beside(&b), &seen);
        prop_assert_eq!(met(&a.join(&b), &seen), each);
    }

    #[test]
    fn a_further_demand_never_lets_more_through(
        demands in prop::collection::vec(demand(), 0..4), further in demand(), seen in observed()
    ) {
        let before: Demands = demands.iter().cloned().collect();
        let mut after = before.clone();
        after.push(further);
        let was_met = judge(&before, &seen).is_met();
        prop_assert!(was_met || !judge(&after, &seen).is_met());
    }

    #[test]
    fn a_waiver_of_the_sender_never_weakens_what_the_administrator_demands(
        requirement in requirement(), seen in observed()
    ) {
        let source = Source::ForceEncrypt { entry: "bank.example".to_owned(), line: 12 };
        let strict: Demands = [Demand::new(source, requirement)].into_iter().collect();
        let mut waived = strict.clone();
        waived.push(Demand::dane("mx1.bank.example"));
        waived.push(Demand::mta_sts("bank.example", MtaStsMode::Enforce));
        waived.push(Demand::tls_required_no());
        prop_assert_eq!(judge(&strict, &seen).outcome, judge(&waived, &seen).outcome);
    }

    #[test]
    fn a_requirement_survives_the_evidence_unchanged(requirement in requirement()) {
        let kept = serde_json::to_string(&requirement).unwrap();
        prop_assert_eq!(serde_json::from_str::<Requirement>(&kept).unwrap(), requirement);
    }
}
