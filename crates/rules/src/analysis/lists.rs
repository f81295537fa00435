//! Names and lists: what is not there, there twice, of the wrong kind, or not used.

use std::collections::{HashMap, HashSet};

use ipnet::IpNet;
use mail::Domain;

use super::{Code, Findings, Note, Severity};
use crate::built_in;
use crate::fact::{Fact, Kind};
use crate::force_encrypt::{Direction, Entry, Key};
use crate::lookup::{DomainMap, NetworkMap};
use crate::policy::RuleSet;
use crate::rule::{NESTING_MAX, Origin, RULES_MAX, Rule};
use crate::table::{AddressPattern, Entries, Table, fits};
use crate::test::{DomainPattern, Relation, Test};

pub(super) fn check(set: &RuleSet, findings: &mut Findings) {
    if let Some(rule) = set.rules.get(RULES_MAX) {
        let message = format!("there are more than {RULES_MAX} rules");
        findings.error(Code::AnalysisLimit, rule, &rule.origin, message, "use tables".into());
    }
    let mut names: HashMap<&str, &Rule> = HashMap::new();
    for rule in &set.rules {
        if let Some(first) = names.insert(&rule.name, rule) {
            let message = "there is a rule of this name already".into();
            findings.error(
                Code::DefinedTwice,
                rule,
                &rule.origin,
                message,
                "give it another name".into(),
            );
            findings.beside(&first.origin);
        }
        if rule.then.is_empty() {
            let message = "it has no action, so it does nothing".into();
            findings.warning(
                Code::Questionable,
                rule,
                &rule.origin,
                message,
                "add an action".into(),
            );
        }
        if rule.when.depth() > NESTING_MAX {
            let message = format!("its conditions nest deeper than {NESTING_MAX}");
            let help = "split the rule in two".into();
            findings.error(Code::AnalysisLimit, rule, &rule.origin, message, help);
        }
        for test in rule.when.tests() {
            table_of(set, rule, test, findings);
        }
    }
    tables(set, findings);
    force_encrypt(&set.force_encrypt, findings);
}

/// The table a test looks in must be there and be of its kind.
fn table_of(set: &RuleSet, rule: &Rule, test: &Test, findings: &mut Findings) {
    let Relation::InTable(name) = &test.relation else { return };
    let kind = test.fact.info().kind;
    let (right, is) = if name == built_in::TRUSTED_NETWORKS {
        (kind == Kind::Ip, "networks")
    } else if built_in::TABLES.contains(&name.as_str()) {
        (matches!(kind, Kind::Ip | Kind::Domain) && test.fact != Fact::ClientName, "partners")
    } else if let Some(table) = set.tables.iter().find(|table| table.name == *name) {
        (fits(kind, &table.entries), table.entries.kind())
    } else {
        let known: Vec<_> = set.tables.iter().map(|table| table.name.as_str()).collect();
        let help = if known.is_empty() {
            format!("define it: table {name} domains {{ ... }}")
        } else {
            format!("the tables are {}", known.join(", "))
        };
        let message = format!("there is no table \"{name}\"");
        findings.error(Code::UnknownName, rule, &test.origin, message, help);
        return;
    };
    if !right {
        let message =
            format!("\"{name}\" is a table of {is}, and {} is not found in it", test.fact);
        let help = "look in a table of the right kind".into();
        findings.error(Code::WrongType, rule, &test.origin, message, help);
    }
}

fn about(
    origin: &Origin,
    code: Code,
    severity: Severity,
    words: (String, &str),
    findings: &mut Findings,
) {
    let note = Note { rule: None, message: words.0, help: words.1.into(), related: None };
    findings.add(code, severity, origin, note);
}

fn tables(set: &RuleSet, findings: &mut Findings) {
    let tests: Vec<&Test> = set.rules.iter().flat_map(|rule| rule.when.tests()).collect();
    let used: HashSet<&str> = tests
        .iter()
        .filter_map(|test| match &test.relation {
            Relation::InTable(name) => Some(name.as_str()),
            Relation::Is(_)
            | Relation::Matches(_)
            | Relation::Over(_)
            | Relation::Under(_)
            | Relation::AtLeast(_) => None,
        })
        .collect();
    let mut names: HashMap<&str, &Table> = HashMap::new();
    for table in &set.tables {
        let name = table.name.as_str();
        if built_in::TABLES.contains(&name) {
            let words =
                (format!("\"{name}\" is the name of a built-in table"), "give it another name");
            about(&table.origin, Code::DefinedTwice, Severity::Error, words, findings);
        } else if let Some(first) = names.insert(name, table) {
            let words = (format!("there is a table \"{name}\" already"), "give it another name");
            about(&table.origin, Code::DefinedTwice, Severity::Error, words, findings);
            findings.beside(&first.origin);
        }
        if !used.contains(name) {
            let words = (format!("no rule looks in table \"{name}\""), "use it, or remove it");
            about(&table.origin, Code::Unused, Severity::Warning, words, findings);
        }
        within(table, findings);
    }
    for (at, table) in set.tables.iter().enumerate() {
        for other in &set.tables[..at] {
            between(other, table, findings);
        }
    }
}

/// Entries that are there twice or lie within another of the same table.
fn within(table: &Table, findings: &mut Findings) {
    let (twice, covered) = match &table.entries {
        Entries::Domains(list) => overlaps(list, &covered_domains(list)),
        Entries::Networks(list) => overlaps(list, &covered_networks(list)),
        Entries::Addresses(list) => {
            let everyone: HashSet<&Domain> = list
                .iter()
                .filter_map(|entry| match entry {
                    AddressPattern::Everyone(domain) => Some(domain),
                    AddressPattern::One(_) => None,
                })
                .collect();
            let lies_within = |entry: &AddressPattern| match entry {
                AddressPattern::One(address) => everyone.contains(address.domain()),
                AddressPattern::Everyone(_) => false,
            };
            overlaps(list, &list.iter().map(lies_within).collect::<Vec<_>>())
        }
        Entries::Patterns(list) => overlaps(list, &vec![false; list.len()]),
    };
    let name = &table.name;
    if let Some(entries) = some(&twice) {
        let words = (format!("table \"{name}\" holds {entries} twice"), "keep one of them");
        about(&table.origin, Code::DuplicateEntry, Severity::Warning, words, findings);
    }
    if let Some(entries) = some(&covered) {
        let words = (
            format!("in table \"{name}\" another entry covers {entries} already"),
            "remove what is covered",
        );
        about(&table.origin, Code::Overlap, Severity::Warning, words, findings);
    }
}

/// The entries that are there twice, and those that are covered, as text.
fn overlaps<T: std::hash::Hash + Eq + ToText>(
    list: &[T],
    covered: &[bool],
) -> (Vec<String>, Vec<String>) {
    let mut seen = HashSet::new();
    let twice = list.iter().filter(|entry| !seen.insert(*entry)).map(ToText::to_text).collect();
    let covered = list.iter().zip(covered).filter(|(_, covered)| **covered);
    (twice, covered.map(|(entry, _)| entry.to_text()).collect())
}

/// Entries as the configuration has them.
trait ToText {
    fn to_text(&self) -> String;
}

impl<T: std::fmt::Display> ToText for T {
    fn to_text(&self) -> String {
        self.to_string()
    }
}

/// The first few of a list, and how many more there are.
fn some(entries: &[String]) -> Option<String> {
    const SHOWN_MAX: usize = 3;
    let shown = entries.get(..SHOWN_MAX.min(entries.len()))?.join(", ");
    match entries.len() {
        0 => None,
        len if len > SHOWN_MAX => Some(format!("{shown} and {} more", len - SHOWN_MAX)),
        _ => Some(shown),
    }
}

fn covered_domains(list: &[DomainPattern]) -> Vec<bool> {
    let mut map = DomainMap::default();
    for pattern in list {
        map.insert(pattern, pattern);
    }
    let lies_within = |pattern: &DomainPattern| {
        map.covering(&pattern.domain)
            .flatten()
            .any(|other| *other != pattern && other.below && pattern.domain.is_below(&other.domain))
    };
    list.iter().map(lies_within).collect()
}

fn covered_networks(list: &[IpNet]) -> Vec<bool> {
    let mut map = NetworkMap::default();
    for net in list {
        map.insert(*net, net.prefix_len());
    }
    let lies_within = |net: &IpNet| {
        let mut covering = map.covering(net.addr()).flatten();
        covering.any(|shorter| *shorter < net.prefix_len())
    };
    list.iter().map(lies_within).collect()
}

/// Two tables of one kind that list the same.
fn between(first: &Table, second: &Table, findings: &mut Findings) {
    fn shared<T: std::hash::Hash + Eq + ToText>(a: &[T], b: &[T]) -> Vec<String> {
        let a: HashSet<&T> = a.iter().collect();
        b.iter().filter(|entry| a.contains(entry)).map(ToText::to_text).collect()
    }
    let shared = match (&first.entries, &second.entries) {
        (Entries::Domains(a), Entries::Domains(b)) => shared(a, b),
        (Entries::Addresses(a), Entries::Addresses(b)) => shared(a, b),
        (Entries::Networks(a), Entries::Networks(b)) => shared(a, b),
        (Entries::Patterns(a), Entries::Patterns(b)) => shared(a, b),
        _ => return,
    };
    if let Some(entries) = some(&shared) {
        let words = (
            format!("tables \"{}\" and \"{}\" both hold {entries}", first.name, second.name),
            "where rules look in both, the first to decide wins; keep each entry in one table",
        );
        about(&second.origin, Code::Overlap, Severity::Warning, words, findings);
        findings.beside(&first.origin);
    }
}

/// Entries of one key for one direction, and entries that a wider one makes needless.
fn force_encrypt(entries: &[Entry], findings: &mut Findings) {
    let mut keys: HashMap<&Key, Vec<&Entry>> = HashMap::new();
    for entry in entries {
        let same = keys.entry(&entry.key).or_default();
        if let Some(first) = same.iter().find(|first| both_ways(first.direction, entry.direction)) {
            let words = (
                format!(
                    "\"{}\" is in force-encrypt already (line {})",
                    entry.key, first.origin.line
                ),
                "keep one of the two; while both are there, both are demanded",
            );
            about(&entry.origin, Code::DuplicateEntry, Severity::Warning, words, findings);
            findings.beside(&first.origin);
        }
        same.push(entry);
    }
    let mut domains = DomainMap::default();
    let mut networks = NetworkMap::default();
    for entry in entries {
        match &entry.key {
            Key::Domain(pattern) => domains.insert(pattern, entry),
            Key::Network(net) => networks.insert(*net, entry),
        }
    }
    for entry in entries {
        // The next wider key alone speaks where this entry is not: only it can make it needless.
        let wider = match &entry.key {
            Key::Domain(pattern) => domains
                .covering(&pattern.domain)
                .flatten()
                .find(|other| matches!(&other.key, Key::Domain(w) if w.below && pattern.domain.is_below(&w.domain))),
            Key::Network(net) => networks
                .covering(net.addr())
                .flatten()
                .find(|other| matches!(&other.key, Key::Network(w) if w.prefix_len() < net.prefix_len())),
        };
        let same = |wider: &&&Entry| {
            wider.requirement() == entry.requirement()
                && wider.direction == entry.direction
                && wider.expires.is_none()
        };
        if let Some(wider) = wider.filter(same) {
            let words = (
                format!("\"{}\" already demands the same for \"{}\"", wider.key, entry.key),
                "remove the narrower entry, or let it demand something else",
            );
            about(&entry.origin, Code::Overlap, Severity::Warning, words, findings);
            findings.beside(&wider.origin);
        }
    }
}

fn both_ways(a: Direction, b: Direction) -> bool {
    (a.is_in() && b.is_in()) || (a.is_out() && b.is_out())
}
