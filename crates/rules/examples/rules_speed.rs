//! How long a decision and a look-up take: `cargo run --release -p mailkeep-rules --example rules_speed`.

use std::hint::black_box;
use std::time::Instant;

use rules::facts::{Moment, RecipientFacts};
use rules::{Condition, Entries, Facts, Origin, Rule, RuleSet, Stage, Statement, Table};

const ROUNDS: u32 = 100_000;

fn main() {
    let mut set = RuleSet {
        trusted_networks: vec!["10.0.0.0/8".parse().expect("a network")],
        ..RuleSet::default()
    };
    for at in 0..10 {
        let test = |words: &str| {
            let words: Vec<_> = words.split(' ').collect();
            Condition::Test(
                rules::words::parse_test(&words, Origin::BUILT_IN).expect("a condition"),
            )
        };
        let action = |words: &str| {
            let words: Vec<_> = words.split(' ').collect();
            let action = rules::words::parse_action(&words).expect("an action");
            Statement { action, origin: Origin::BUILT_IN }
        };
        set.rules.push(Rule {
            name: format!("r{at}"),
            origin: Origin::BUILT_IN,
            when: Condition::All(vec![
                test("connection is not tls"),
                test(&format!("recipient domain is d{at}.example")),
            ]),
            then: vec![action("reject")],
        });
    }
    let policy = set.compile().expect("these rules are right");
    let facts = Facts {
        now: Some(Moment(mail::Timestamp(0))),
        client_ip: "198.51.100.9".parse().ok(),
        sender: "a@b.example".to_owned().try_into().ok(),
        recipient: Some(RecipientFacts {
            address: "x@y.example".parse().expect("an address"),
            is_local: true,
            account: None,
        }),
        ..Facts::default()
    };
    time("decide, 10 rules", || {
        black_box(policy.decide(black_box(&facts), Stage::Rcpt));
    });
    tables();
}

/// Look-ups in tables of 100,000 entries.
fn tables() {
    let mut domains = Entries::of_kind("domains").expect("a kind");
    let mut networks = Entries::of_kind("networks").expect("a kind");
    for n in 0..100_000u32 {
        domains.push(&format!("d{n}.example")).expect("a domain");
        networks
            .push(&format!("{}.{}.{}.0/24", n >> 16, n >> 8 & 255, n & 255))
            .expect("a network");
    }
    let table = |entries: Entries| {
        let table = Table { name: String::new(), origin: Origin::BUILT_IN, entries };
        rules::table::Compiled::new(&table.entries).expect("a table")
    };
    let (domains, networks) = (table(domains), table(networks));
    let domain: mail::Domain = "mx.d77777.example".parse().expect("a domain");
    let ip = "1.2.3.4".parse().expect("an address");
    time("domain among 100,000", || {
        black_box(domains.contains(black_box(&rules::fact::Seen::Domain(&domain))));
    });
    time("address among 100,000 networks", || {
        black_box(networks.contains(black_box(&rules::fact::Seen::Ip(ip))));
    });
}

fn time(what: &str, mut run: impl FnMut()) {
    let start = Instant::now();
    (0..ROUNDS).for_each(|_| run());
    println!("{what}: {:?}", start.elapsed() / ROUNDS);
}
