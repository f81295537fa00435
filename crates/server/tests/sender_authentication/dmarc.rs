//! The cases of `dmarc.cases`, and authors that are not clear.

use lab::Records;

use crate::signing::{Key, sign};
use crate::world::{Sending, World, add, field, result, word};

const CASES: &str = include_str!("dmarc.cases");
/// At least so many are wanted.
const CASES_MIN: usize = 70;

const SETTINGS: &str = "mode annotate; dmarc { override over.test none; \
    override worse.over.test reject; override harder.test reject }";

struct Case<'a> {
    expected: &'a str,
    disposition: &'a str,
    sender: String,
    passes: bool,
    message: String,
    shows: &'a str,
}

fn case<'a>(line: &'a str, key: &Key) -> Case<'a> {
    let (what, shows) = line.split_once(" : ").expect(line);
    let words: Vec<&str> = what.split(' ').collect();
    let of = |name: &str| {
        words
            .iter()
            .filter_map(|word| word.split_once('='))
            .find(|(n, _)| *n == name)
            .map(|(_, v)| v)
    };
    let author = of("from").expect(line);
    let mut message =
        format!("From: Ann <ann@{author}>\r\nSubject: a case\r\n\r\nText that is signed\r\n");
    for name in ["dkim", "baddkim", "tempdkim"] {
        let Some(domain) = of(name) else { continue };
        let selector = if name == "tempdkim" { "silent" } else { "e" };
        let tags =
            format!("v=1; a=ed25519-sha256; c=relaxed/relaxed; d={domain}; s={selector}; h=from");
        message = sign(&message, "DKIM-Signature", &tags, key);
        if name == "baddkim" {
            message = message.replace("is signed", "was signed");
        }
    }
    let sender = match (of("spf"), of("nospf")) {
        (Some(domain), _) | (None, Some(domain)) => format!("ann@{domain}"),
        (None, None) => "ann@nospf.test".to_owned(),
    };
    let passes = of("spf").is_some();
    Case { expected: words[0], disposition: words[1], sender, passes, message, shows }
}

#[test]
fn every_case_of_dmarc_comes_out_as_the_standard_says() {
    let world = World::new(SETTINGS);
    let key = Key::ed25519();
    let mut records = Records::new().ttl(0);
    for domain in ["r.test", "else.test"] {
        let name = format!("silent._domainkey.{domain}");
        records = records.behave(&name, lab::Behaviour::Silent);
    }
    let mut cases = Vec::new();
    let mut known = std::collections::HashSet::new();
    for line in CASES.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        if let Some(zone) = line.strip_prefix("zone ") {
            records = add(records, zone);
        } else {
            // Each name is published once, whatever number of cases use it.
            for (name, domain) in line.split(' ').filter_map(|word| word.split_once('=')) {
                if name == "spf" && known.insert(("spf", domain)) {
                    records = records.txt(domain, "v=spf1 ip4:192.0.2.1 -all");
                }
                if matches!(name, "dkim" | "baddkim") && known.insert(("key", domain)) {
                    records = records.txt(&format!("e._domainkey.{domain}"), &key.record());
                }
            }
            cases.push(case(line, &key));
        }
    }
    assert!(cases.len() >= CASES_MIN, "{} cases", cases.len());
    world.publish(records);
    let mut wrong = String::new();
    let address = |at: usize| format!("d{at}@inside.test");
    for (at, case) in cases.iter().enumerate() {
        // Who is not to pass comes from elsewhere.
        let client = if case.passes { 1 } else { 9 };
        let reply = world.send(&Sending {
            client: [192, 0, 2, client].into(),
            helo: "h.test",
            from: &case.sender,
            to: &address(at),
            message: &case.message,
        });
        if !reply.starts_with("250") {
            wrong.extend([case.shows, ": ", &reply, "\n"]);
        }
    }
    for (at, case) in cases.iter().enumerate() {
        let header = world.header_of(&address(at));
        let found = result(field(&header, "Authentication-Results"), "dmarc").unwrap_or_default();
        let applied = found
            .split_once(" dis=")
            .map_or("-", |(_, rest)| rest.split([' ', ')']).next().unwrap_or_default());
        if word(found) != case.expected || applied != case.disposition {
            let (expected, disposition) = (case.expected, case.disposition);
            wrong.push_str(&format!("{}: {expected} {disposition}, not {found}\n", case.shows));
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn an_author_that_is_not_clear_is_an_error_and_several_get_the_hardest_policy() {
    let world = World::new("mode annotate");
    world.publish(
        Records::new()
            .ttl(0)
            .txt("_dmarc.r.test", "v=DMARC1; p=reject")
            .txt("_dmarc.n.test", "v=DMARC1; p=none"),
    );
    for (number, (from, expected)) in [
        ("", "permerror"),
        ("From: a@r.test\r\nFrom: b@r.test\r\n", "permerror"),
        ("From: Ann\r\n", "permerror"),
        ("From: <a@r.test> <b@n.test>\r\n", "permerror"),
        ("From: \"b@n.test\" <a@r.test>\r\n", "fail (p=reject"),
        ("From: b@n.test, a@r.test\r\n", "fail (p=reject"),
        ("From: a@r.test, b@n.test\r\n", "fail (p=reject"),
        ("From: us: b@n.test;\r\n", "fail (p=none"),
    ]
    .into_iter()
    .enumerate()
    {
        let to = format!("a{number}@inside.test");
        let message = format!("{from}Subject: x\r\n\r\nText\r\n");
        let client = [192, 0, 2, 9].into();
        let sending = Sending { client, helo: "h.test", from: "", to: &to, message: &message };
        assert!(world.send(&sending).starts_with("250"), "{from}");
        let header = world.header_of(&to);
        let results = field(&header, "Authentication-Results");
        assert!(results.contains(&format!("dmarc={expected}")), "{from}: {results}");
    }
}
