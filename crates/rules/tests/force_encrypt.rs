//! The Force Encrypt table against looking at each entry in turn.

use std::net::IpAddr;

use ipnet::IpNet;
use mail::{Domain, Timestamp};
use proptest::prelude::*;
use rules::force_encrypt::{Direction, Entry, ForceEncrypt, Key};
use rules::{DomainPattern, Origin};

fn key() -> impl Strategy<Value = Key> {
    let domain = "(\\.)?([ab]\\.){0,2}[abc]"
        .prop_map(|text| Key::Domain(DomainPattern::parse(&text).unwrap()));
    let v4 = (0u32..32, 27u8..=32)
        .prop_map(|(ip, len)| IpNet::new(IpAddr::V4(ip.into()), len).unwrap().trunc());
    let v6 = (0u128..32, 123u8..=128)
        .prop_map(|(ip, len)| IpNet::new(IpAddr::V6((ip | 1 << 100).into()), len).unwrap().trunc());
    prop_oneof![domain, v4.prop_map(Key::Network), v6.prop_map(Key::Network)]
}

fn direction() -> impl Strategy<Value = Direction> {
    prop_oneof![Just(Direction::In), Just(Direction::Out), Just(Direction::Both)]
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let entry =
        (key(), direction(), proptest::option::of(0i64..10)).prop_map(|(key, way, end)| Entry {
            direction: way,
            expires: end.map(Timestamp),
            ..Entry::encrypted(key, Origin::BUILT_IN)
        });
    proptest::collection::vec(entry, 0..14).prop_map(|mut entries| {
        (1..).zip(&mut entries).for_each(|(line, entry)| entry.origin.line = line);
        entries
    })
}

/// How closely a key fits: higher is closer; `None` if it does not.
fn closeness(key: &Key, domain: Option<&Domain>, ip: Option<IpAddr>) -> Option<(bool, usize)> {
    match key {
        Key::Domain(pattern) => {
            let fits = domain.is_some_and(|domain| pattern.covers(domain));
            fits.then(|| (!pattern.below, pattern.domain.as_str().len()))
        }
        Key::Network(net) => {
            let fits = ip.is_some_and(|ip| net.contains(&ip));
            fits.then(|| (false, usize::from(net.prefix_len())))
        }
    }
}

fn naive(
    entries: &[Entry],
    domain: Option<&Domain>,
    ip: Option<IpAddr>,
    out: bool,
    now: Timestamp,
) -> Vec<u32> {
    let live = entries.iter().filter(|entry| {
        let way = if out { entry.direction.is_out() } else { entry.direction.is_in() };
        way && entry.expires.is_none_or(|end| now.0 < end.0)
    });
    let fitting: Vec<_> = live
        .filter_map(|entry| Some((closeness(&entry.key, domain, ip)?, entry.origin.line)))
        .collect();
    let best = fitting.iter().map(|(close, _)| *close).max();
    fitting.into_iter().filter(|(close, _)| Some(*close) == best).map(|(_, line)| line).collect()
}

fn lines(entries: &[&Entry]) -> Vec<u32> {
    entries.iter().map(|entry| entry.origin.line).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12_500))]

    /// Each case asks eight questions: 100,000 in all.
    #[test]
    fn look_ups_agree_with_looking_at_each_entry(
        entries in entries(),
        domain in "([ab]\\.){0,3}[abc]",
        low in 0u8..32,
        six: bool,
        now in 0i64..12,
    ) {
        let table = ForceEncrypt::new(entries.clone());
        let ip = if six {
            IpAddr::V6((u128::from(low) | 1 << 100).into())
        } else {
            IpAddr::V4(u32::from(low).into())
        };
        let domain: Domain = domain.parse().unwrap();
        for at in [Timestamp(now), Timestamp(now + 5)] {
            for (way, out) in [(Direction::Out, true), (Direction::In, false)] {
                prop_assert_eq!(
                    lines(&table.for_domain(&domain, way, at)),
                    naive(&entries, Some(&domain), None, out, at)
                );
                prop_assert_eq!(
                    lines(&table.for_address(ip, way, at)),
                    naive(&entries, None, Some(ip), out, at)
                );
            }
        }
    }
}
