//! What is asked before a greeting and at each transaction: bans, denied networks, quotas.

use std::net::IpAddr;
use std::time::Duration;

use divan::{Bencher, black_box};
use flow::quota::{Limit, Period, Quota, Quotas, Selection, Sender, Usage, What};
use flow::{Ban, Bans, By, Ledger, Networks, client_network};
use mail::Timestamp;

const NOW: Timestamp = Timestamp(1_772_445_731_042);

fn address(n: u32) -> IpAddr {
    // Spread over the whole space, as attackers are.
    IpAddr::V4(n.wrapping_mul(2_654_435_761).into())
}

/// Looks for a client among bans: one that is banned, one that is not.
#[divan::bench(args = [100, 10_000, 100_000])]
fn ban(bencher: Bencher<'_, '_>, count: u32) {
    let mut bans = Bans::default();
    for n in 0..count {
        let ban = Ban {
            network: client_network(address(n)),
            since: NOW,
            until: Some(NOW.plus(Duration::from_secs(3_600))),
            reason: "too many incidents".to_owned(),
            by: By::Itself,
            times: 1,
        };
        bans.add(ban, 1_000_000, NOW);
    }
    let mut n = 0_u32;
    bencher.bench_local(|| {
        n = n.wrapping_add(1);
        let there = bans.find(black_box(address(n % count)), NOW).is_some();
        let absent = bans.find(black_box(address(count + n)), NOW).is_some();
        (there, absent)
    });
}

/// The same in a list of denied networks.
#[divan::bench(args = [100, 10_000, 100_000])]
fn denied_network(bencher: Bencher<'_, '_>, count: u32) {
    let networks: Networks<()> = (0..count)
        .map(|n| ipnet::IpNet::new(address(n), 24).map_or(address(n).into(), |net| net.trunc()))
        .collect();
    let mut n = 0_u32;
    bencher.bench_local(|| {
        n = n.wrapping_add(1);
        networks.contains(black_box(address(n)))
    });
}

fn quotas() -> Quotas {
    let limit = |what, max, period| Limit { what, max, period };
    let quota = Quota {
        name: "sending".to_owned(),
        limits: vec![
            limit(What::Messages, u64::MAX / 4, Period::Hour),
            limit(What::Recipients, u64::MAX / 4, Period::Day),
            limit(What::Octets, u64::MAX / 4, Period::Month),
        ],
        holds: Selection::default(),
        except: Selection::default(),
        warn_at_percent: Some(80),
    };
    Quotas { all: vec![quota] }
}

/// One quota of three limits for one of so many accounts: asked, then counted with its row.
#[divan::bench(args = [10, 100_000])]
fn quota_check(bencher: Bencher<'_, '_>, accounts: u64) {
    let (quotas, mut ledger) = (quotas(), Ledger::new(1_000_000));
    let usage = Usage { messages: 1, recipients: 2, octets: 4_000, ..Usage::default() };
    let names: Vec<String> = (0..accounts).map(|n| format!("user{n}@clinic.example")).collect();
    let sender = |name| Sender {
        account: Some(name),
        groups: &[],
        client: Some([192, 0, 2, 7].into()),
        fax_account: None,
    };
    for name in &names {
        let _ = ledger.take(&quotas, &sender(name.as_str()), usage, NOW);
    }
    let mut n = 0;
    bencher.bench_local(|| {
        n = (n + 1) % names.len();
        ledger.check(&quotas, &sender(names[n].as_str()), black_box(usage), NOW).is_ok()
    });
}

/// The counting itself.
#[divan::bench(args = [10, 100_000])]
fn quota_take(bencher: Bencher<'_, '_>, accounts: u64) {
    let (quotas, mut ledger) = (quotas(), Ledger::new(1_000_000));
    let usage = Usage { messages: 1, recipients: 2, octets: 4_000, ..Usage::default() };
    let names: Vec<String> = (0..accounts).map(|n| format!("user{n}@clinic.example")).collect();
    let mut n = 0;
    bencher.bench_local(|| {
        n = (n + 1) % names.len();
        let sender = Sender {
            account: Some(names[n].as_str()),
            groups: &[],
            client: Some([192, 0, 2, 7].into()),
            fax_account: None,
        };
        ledger.take(&quotas, &sender, black_box(usage), NOW).is_ok()
    });
}
