//! The cases of `spf.cases`.

use std::net::IpAddr;

use lab::Records;

use crate::world::{Sending, World, add, field, result, word};

const CASES: &str = include_str!("spf.cases");
/// At least so many are wanted.
const CASES_MIN: usize = 200;

struct Case<'a> {
    expected: &'a str,
    client: IpAddr,
    helo: &'a str,
    from: String,
    to: String,
    says: Option<String>,
    shows: &'a str,
}

/// Reads a line; publishes its record.
fn case<'a>(line: &'a str, number: usize, records: &mut Records) -> Case<'a> {
    let own = format!("c{number}.test");
    let mut parts = line.splitn(3, " : ");
    let (Some(who), Some(record), Some(shows)) = (parts.next(), parts.next(), parts.next()) else {
        panic!("not a case: {line}");
    };
    let (shows, says) = match shows.split_once(" : says ") {
        Some((shows, says)) => (shows, Some(says.trim_matches('"').replace("SELF", &own))),
        None => (shows, None),
    };
    let who: Vec<&str> = who.split(' ').collect();
    let from = who.get(3).map_or_else(|| format!("ann@{own}"), |from| (*from).to_owned());
    if record != "-" {
        *records = std::mem::take(records).txt(&own, &record.replace("SELF", &own));
    }
    Case {
        expected: who[0],
        client: who[1].parse().expect(line),
        helo: who.get(2).copied().unwrap_or("h.test"),
        from: if from == "<>" { String::new() } else { from },
        to: format!("c{number}@inside.test"),
        says,
        shows,
    }
}

#[test]
fn every_case_of_spf_comes_out_as_the_standard_says() {
    let world = World::new("mode annotate");
    let mut records = Records::new().ttl(0);
    let mut cases = Vec::new();
    for line in CASES.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        if let Some(zone) = line.strip_prefix("zone ") {
            records = add(records, zone);
        } else {
            cases.push(case(line, cases.len(), &mut records));
        }
    }
    assert!(cases.len() >= CASES_MIN, "{} cases", cases.len());
    world.publish(records);
    let mut wrong = String::new();
    for case in &cases {
        let sending = Sending {
            client: case.client,
            helo: case.helo,
            from: &case.from,
            to: &case.to,
            message: "From: ann@author.test\r\nSubject: a case\r\n\r\nText\r\n",
        };
        let reply = world.send(&sending);
        if !reply.starts_with("250") {
            wrong.extend([case.shows, ": ", &reply, "\n"]);
        }
    }
    for case in &cases {
        let header = world.header_of(&case.to);
        let results = field(&header, "Authentication-Results");
        let found = result(results, "spf").unwrap_or_default();
        let received = field(&header, "Received-SPF");
        let identity = if case.from.is_empty() { "identity=helo" } else { "identity=mailfrom" };
        let says = case.says.as_ref().is_none_or(|says| found.contains(&format!("\"{says}\"")));
        let good = case.expected.split('|').any(|expected| {
            word(found) == expected && received.split(' ').next() == Some(expected)
        });
        if !good || !says || !received.contains(identity) {
            let expected = case.expected;
            wrong.push_str(&format!("{}: {expected}, not\n  {found}\n  {received}\n", case.shows));
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}
