//! A day of senders under quotas, by a clock of the test's own.

use std::collections::HashMap;
use std::time::Duration;

use flow::quota::{Limit, Period, Quota, Quotas, Selection, Sender, Usage, What};
use flow::{CounterRow, Ledger};
use mail::Timestamp;
use proptest::prelude::*;
use rules::table::AddressPattern;
use rules::{Hours, Weekday};

/// 2026-03-02, a Monday, at midnight.
const MIDNIGHT: Timestamp = Timestamp(1_772_409_600_000);
/// Hours from there to Saturday.
const SATURDAY: u64 = 5 * 24;
const ACCOUNTS: [&str; 3] = ["ann@clinic.example", "bob@clinic.example", "chief@clinic.example"];

fn limit(what: What, max: u64, period: Period) -> Limit {
    Limit { what, max, period }
}

fn everyone(limits: &[Limit]) -> Quotas {
    let quota = Quota {
        name: "sending".to_owned(),
        limits: limits.to_vec(),
        holds: Selection::default(),
        except: Selection::default(),
        warn_at_percent: Some(80),
    };
    Quotas { all: vec![quota] }
}

fn limits() -> Vec<Limit> {
    vec![
        limit(What::Messages, 3, Period::Minute),
        limit(What::Messages, 40, Period::Hour),
        limit(What::Recipients, 100, Period::Hour),
        limit(What::Recipients, 400, Period::Day),
        limit(What::Octets, 5_000_000, Period::Day),
    ]
}

fn sender(account: &str) -> Sender<'_> {
    Sender {
        account: Some(account),
        groups: &[],
        client: Some([192, 0, 2, 7].into()),
        fax_account: None,
    }
}

fn usage(recipients: u64, octets: u64) -> Usage {
    Usage { messages: 1, recipients, octets, ..Usage::default() }
}

/// What one account sent and when.
type Sent = Vec<(Timestamp, Usage)>;

fn in_period(sent: &Sent, limit: &Limit, end: Timestamp) -> u64 {
    let length = limit.period.length().as_millis() as i64;
    let within = |at: &Timestamp| at.0 > end.0 - length && *at <= end;
    sent.iter().filter(|(at, _)| within(at)).map(|(_, usage)| usage.of(limit.what)).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Bursts and pauses all day, with a restart from the rows at any time: no period, wherever
    /// it begins, sees more than a limit; who is refused may send when he was told he may;
    /// nobody is warned twice in a period, and nobody reaches a limit unwarned.
    #[test]
    fn no_period_of_a_day_sees_more_than_a_limit(seed in any::<u64>()) {
        let mut random = fastrand::Rng::with_seed(seed);
        let quotas = everyone(&limits());
        let mut ledger = Ledger::new(1_000);
        let mut rows: HashMap<String, CounterRow> = HashMap::new();
        let mut sent: HashMap<&str, Sent> = HashMap::new();
        let mut warned: HashMap<(&str, usize), Timestamp> = HashMap::new();
        let mut refused = 0;
        let mut now = MIDNIGHT;
        while now < MIDNIGHT.plus(Duration::from_secs(86_400)) {
            let pause = if random.u8(..) < 40 { 1_200_000 } else { 15_000 };
            now = now.plus(Duration::from_millis(random.u64(0..pause)));
            let account = ACCOUNTS[random.usize(..ACCOUNTS.len())];
            let wanted = usage(random.u64(1..20), random.u64(1_000..200_000));
            if random.u8(..) < 3 {
                ledger = Ledger::new(1_000);
                for row in rows.values() {
                    prop_assert!(ledger.restore(row));
                }
            }
            let before = ledger.check(&quotas, &sender(account), wanted, now);
            match ledger.take(&quotas, &sender(account), wanted, now) {
                Ok(taken) => {
                    prop_assert!(before.is_ok());
                    let sent = sent.entry(account).or_default();
                    sent.push((now, wanted));
                    for (at, limit) in limits().iter().enumerate() {
                        prop_assert!(in_period(sent, limit, now) <= limit.max, "{limit:?}");
                        let is = |w: &&flow::Warning| w.limit == *limit;
                        if let Some(warning) = taken.warnings.iter().find(is) {
                            prop_assert!(warning.used * 100 >= limit.max * 80);
                            let last = warned.insert((account, at), now);
                            prop_assert!(last.is_none_or(|t| now.since(t) >= limit.period.length()));
                        }
                    }
                    for row in taken.rows {
                        rows.insert(row.name.clone(), row);
                    }
                }
                Err(reached) => {
                    prop_assert_eq!(before, Err(reached.clone()));
                    refused += 1;
                    let at = limits().iter().position(|limit| *limit == reached.limit).unwrap();
                    let free = reached.free_at.expect("less than a limit");
                    prop_assert!(free > now);
                    // Of several limits the last to be free is told, and that is the truth.
                    prop_assert!(ledger.check(&quotas, &sender(account), wanted, free).is_ok());
                    let near = reached.limit.max - wanted.of(reached.limit.what);
                    if near * 100 >= reached.limit.max * 80
                        && in_period(&sent[account], &reached.limit, now) > near
                    {
                        prop_assert!(warned.contains_key(&(account, at)), "{reached:?}");
                    }
                }
            }
        }
        prop_assert!(refused > 0);
    }
}

#[test]
fn more_than_the_limit_itself_is_never_free() {
    let quotas = everyone(&limits());
    let mut ledger = Ledger::new(10);
    let reached = ledger.take(&quotas, &sender(ACCOUNTS[0]), usage(101, 1), MIDNIGHT).unwrap_err();
    assert_eq!((reached.limit, reached.free_at), (limits()[2], None));
    assert!(ledger.is_empty());
}

#[test]
fn what_was_not_accepted_is_given_back() {
    let quotas = everyone(&[limit(What::Messages, 1, Period::Day)]);
    let mut ledger = Ledger::new(10);
    let ann = sender(ACCOUNTS[0]);
    let taken = ledger.take(&quotas, &ann, usage(1, 1), MIDNIGHT).unwrap();
    assert!(ledger.take(&quotas, &ann, usage(1, 1), MIDNIGHT).is_err());
    let rows = ledger.give_back(&taken);
    assert_eq!(rows.len(), 1);
    assert!(ledger.take(&quotas, &ann, usage(1, 1), MIDNIGHT).is_ok());
    assert_eq!(ledger.reset("ANN@clinic.example", Some("other")), Vec::<String>::new());
    assert_eq!(ledger.reset("ANN@clinic.example", None), ["sending ann@clinic.example"]);
    assert!(ledger.check(&quotas, &ann, usage(1, 1), MIDNIGHT).is_ok());
}

#[test]
fn accounts_groups_networks_and_times_are_excepted() {
    let mut quotas = everyone(&[limit(What::Messages, 1, Period::Day)]);
    let except = &mut quotas.all[0].except;
    except.account(&AddressPattern::One("chief@clinic.example".parse().unwrap()));
    let press: mail::Address = "press@clinic.example".parse().unwrap();
    except.group(press.clone());
    except.network("10.0.0.0/8".parse().unwrap());
    except.time(Hours::parse("22:00-06:00").unwrap());
    except.weekday(Weekday::Saturday);
    let holds = |sender: &Sender<'_>, hours: u64| {
        let now = MIDNIGHT.plus(Duration::from_secs(hours * 3_600));
        quotas.of(sender, now).next().is_some()
    };
    let ann = sender("ann@clinic.example");
    assert!(holds(&ann, 12) && holds(&ann, 23) && !holds(&ann, SATURDAY + 23));
    assert!(holds(&ann, SATURDAY + 12), "the hours and the days hold together");
    assert!(!holds(&sender("CHIEF@clinic.example"), 12));
    assert_eq!(quotas.groups().collect::<Vec<_>>(), [&press]);
    assert!(!holds(&Sender { groups: &[press], ..ann }, 12));
    assert!(!holds(&Sender { client: Some([10, 1, 2, 3].into()), ..ann }, 12));
    assert!(!holds(&Sender { account: None, ..ann }, 12), "strangers have no quota");
}

#[test]
fn a_quota_for_a_network_counts_its_clients() {
    let mut quotas = everyone(&[limit(What::Messages, 1, Period::Hour)]);
    quotas.all[0].holds.network("10.0.0.0/8".parse().unwrap());
    let mut ledger = Ledger::new(10);
    let scanner = Sender {
        account: None,
        groups: &[],
        client: Some([10, 1, 2, 3].into()),
        fax_account: None,
    };
    assert!(ledger.take(&quotas, &scanner, usage(1, 1), MIDNIGHT).is_ok());
    let reached = ledger.take(&quotas, &scanner, usage(1, 1), MIDNIGHT).unwrap_err();
    assert!(reached.free_at.unwrap() >= MIDNIGHT.plus(Duration::from_secs(3_600)));
    let standings = ledger.standings(&quotas, None, MIDNIGHT, 10);
    assert_eq!((standings.len(), &*standings[0].sender), (1, "10.1.2.3/32"));
    assert_eq!((standings[0].used, standings[0].max), (1, Some(1)));
}

#[test]
fn memory_is_bounded() {
    let quotas = everyone(&limits());
    let mut ledger = Ledger::new(64);
    for n in 0..2_000_u64 {
        let account = format!("user{n}@clinic.example");
        let now = MIDNIGHT.plus(Duration::from_secs(n));
        assert!(ledger.take(&quotas, &sender(&account), usage(1, 1), now).is_ok());
        assert!(ledger.len() <= 64, "{}", ledger.len());
    }
}
