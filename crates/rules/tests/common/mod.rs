//! Rules from text, for tests: the blocks of the configuration without its diagnostics.

#![allow(dead_code, reason = "each test file uses a part of it")]

use rules::facts::{MessageFacts, Moment, RecipientFacts};
use rules::force_encrypt::{Entry, List};
use rules::{Condition, Entries, Facts, Origin, Policy, Rule, RuleSet, Statement, Table};

pub const NOW: mail::Timestamp = mail::Timestamp(1_772_445_731_042); // Monday 2026-03-02T10:02:11Z

/// Reads `rule NAME { when all { ... } ... }`, `table NAME KIND { ... }`,
/// `trusted-networks ...`, `local ...` and `force-encrypt { ... }`, one statement a line.
pub fn rule_set(text: &str) -> RuleSet {
    let mut set = RuleSet::default();
    let lines: Vec<(u32, Vec<String>)> = (1..)
        .zip(text.lines())
        .map(|(number, line)| (number, split(line)))
        .filter(|(_, words)| !words.is_empty())
        .collect();
    let mut lines = lines.into_iter();
    while let Some((line, words)) = lines.next() {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words[..] {
            ["rule", name, "{"] => set.rules.push(rule(name, at(line), &mut lines)),
            ["table", name, kind, "{"] => {
                let mut entries = Entries::of_kind(kind).unwrap();
                block(&mut lines, |_, words| entries.push(words[0]).unwrap());
                set.tables.push(Table { name: name.into(), origin: at(line), entries });
            }
            ["trusted-networks", ref networks @ ..] => {
                set.trusted_networks = networks.iter().map(|net| net.parse().unwrap()).collect();
            }
            ["local", ref domains @ ..] => {
                set.local_domains = domains.iter().map(|domain| domain.parse().unwrap()).collect();
            }
            ["force-encrypt", "{"] => block(&mut lines, |line, words| {
                set.force_encrypt.push(Entry::parse(words, at(line)).unwrap());
            }),
            ref other => panic!("line {line}: {other:?}"),
        }
    }
    set
}

pub fn policy(text: &str) -> Policy {
    rule_set(text).compile().unwrap_or_else(|findings| {
        let shown: Vec<_> = findings.iter().map(ToString::to_string).collect();
        panic!("{}", shown.join("\n"))
    })
}

pub fn force_encrypt(text: &str) -> Vec<Entry> {
    List::parse(text, "list").unwrap().into_entries()
}

type Lines = std::vec::IntoIter<(u32, Vec<String>)>;

fn at(line: u32) -> Origin {
    Origin::new("mailkeep.conf", line, 1)
}

fn block(lines: &mut Lines, mut each: impl FnMut(u32, &[&str])) {
    for (line, words) in lines {
        if words == ["}"] {
            return;
        }
        each(line, &words.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

fn rule(name: &str, origin: Origin, lines: &mut Lines) -> Rule {
    let mut rule = Rule { name: name.into(), origin, when: Condition::ALWAYS, then: Vec::new() };
    while let Some((line, words)) = lines.next() {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words[..] {
            ["}"] => return rule,
            ["when", join, "{"] => rule.when = condition(join, lines),
            ref words => {
                let action =
                    rules::words::parse_action(words).unwrap_or_else(|e| panic!("{line}: {e}"));
                rule.then.push(Statement { action, origin: at(line) });
            }
        }
    }
    rule
}

fn condition(join: &str, lines: &mut Lines) -> Condition {
    let mut parts = Vec::new();
    while let Some((line, words)) = lines.next() {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words[..] {
            ["}"] => break,
            [join, "{"] => parts.push(condition(join, lines)),
            ref words => parts.push(Condition::Test(
                rules::words::parse_test(words, at(line)).unwrap_or_else(|e| panic!("{line}: {e}")),
            )),
        }
    }
    match join {
        "all" => Condition::All(parts),
        "any" => Condition::Any(parts),
        "none" => Condition::None(parts),
        other => panic!("{other}"),
    }
}

fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (at, part) in line.split('"').enumerate() {
        if at % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

/// A stranger's plain connection to the listener mx.
pub fn stranger() -> Facts {
    Facts {
        now: Some(Moment(NOW)),
        listener: Some("mx".into()),
        client_ip: Some("198.51.100.9".parse().unwrap()),
        helo: Some("client.example.net".into()),
        ..Facts::default()
    }
}

pub trait With {
    fn tls(self, version: tls::Version) -> Self;
    fn signed_in(self, account: &str) -> Self;
    fn from(self, sender: &str) -> Self;
    fn to(self, recipient: &str) -> Self;
    fn to_ours(self, recipient: &str) -> Self;
    fn size(self, octets: u64) -> Self;
}

impl With for Facts {
    fn tls(mut self, version: tls::Version) -> Self {
        self.tls = Some(Box::new(rules::hints::handshake(version)));
        self
    }

    fn signed_in(mut self, account: &str) -> Self {
        self.authenticated = Some(account.into());
        self
    }

    fn from(mut self, sender: &str) -> Self {
        self.sender = Some(sender.to_owned().try_into().unwrap());
        self
    }

    fn to(mut self, recipient: &str) -> Self {
        let address = recipient.parse().unwrap();
        self.recipient = Some(RecipientFacts { address, is_local: false, account: None });
        self.recipient_count = Some(1);
        self
    }

    fn to_ours(mut self, recipient: &str) -> Self {
        let address = recipient.parse().unwrap();
        let account = Some(rules::facts::AccountKind::Mailbox);
        self.recipient = Some(RecipientFacts { address, is_local: true, account });
        self.recipient_count = Some(1);
        self
    }

    fn size(mut self, octets: u64) -> Self {
        self.message = Some(MessageFacts { size_octets: octets, ..MessageFacts::default() });
        self
    }
}
