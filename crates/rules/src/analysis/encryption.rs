//! Doors left open: signing in and mail in the clear, relaying for strangers, rules
//! against Force Encrypt.

use mail::Domain;
use tls::{Level, Version};

use super::cases::{Case, Literal, cases};
use super::flow::{settings, verdict};
use super::values::{Lists, value_within};
use super::{Code, Findings, Note, Severity};
use crate::action::{Setting, SignIn, Verdict, level_word};
use crate::fact::Fact;
use crate::force_encrypt::{Entry, Key};
use crate::policy::RuleSet;
use crate::rule::{Origin, Rule};
use crate::table::{AddressPattern, Entries, covers_everything};
use crate::test::{DomainPattern, Relation, Value, Word};

/// Networks with shorter prefixes than these are hardly one's own.
const WIDE_V4: u8 = 8;
const WIDE_V6: u8 = 16;

pub(super) fn check(set: &RuleSet, findings: &mut Findings) {
    let lists = Lists::new(set);
    for rule in &set.rules {
        // Conditions too wide to spread out were named already.
        let cases = cases(&rule.when, true, &lists).unwrap_or_default();
        sign_in(rule, &cases, findings);
        relaying(set, rule, &cases, findings);
        weakening(set, rule, &cases, &lists, findings);
        on_the_way_out(set, rule, findings);
        starttls(set, rule, findings);
    }
    trusted_networks(set, findings);
}

fn sign_in(rule: &Rule, cases: &[Case<'_>], findings: &mut Findings) {
    let in_the_clear = |case: &Case<'_>| {
        !case.iter().any(|literal| literal.is_positive() && literal.test.fact.is_of_tls())
    };
    for (setting, statement) in settings(rule) {
        let Setting::PlainConnections(SignIn::Mechanisms(mechanisms)) = setting else { continue };
        let reveals = mechanisms.is_empty() || mechanisms.iter().any(|m| m.reveals_secret());
        if reveals && cases.iter().any(in_the_clear) {
            findings.warning(
                Code::PlaintextAuthentication,
                rule,
                &statement.origin,
                "passwords can travel in the clear: authentication is offered before TLS".into(),
                "write plain-connections not-authenticated, and offer it with tls-connections"
                    .into(),
            );
        }
    }
}

/// A rule that accepts mail for other servers and asks nothing that a stranger could
/// not claim.
fn relaying(set: &RuleSet, rule: &Rule, cases: &[Case<'_>], findings: &mut Findings) {
    let Some((Verdict::Accept, statement)) = verdict(rule) else { return };
    let relays = |case: &Case<'_>| case.iter().any(|literal| names_others(set, literal));
    let anyone = |case: &Case<'_>| {
        !case.iter().any(|literal| literal.is_positive() && tells_clients_apart(&literal.test.fact))
    };
    if cases.iter().any(|case| relays(case) && anyone(case)) {
        findings.error(
            Code::OpenRelay,
            rule,
            &statement.origin,
            "it would accept mail for other servers from anyone: an open relay".into(),
            "add \"connection is authenticated\" or \"client ip in table NAME\", or list the clients \
             in trusted-networks"
                .into(),
        );
    }
}

/// Whether a test asks for recipients that are not ours.
fn names_others(set: &RuleSet, literal: &Literal<'_>) -> bool {
    let (fact, relation) = (&literal.test.fact, &literal.test.relation);
    let others =
        |domain: &DomainPattern| domain.below || !set.local_domains.contains(&domain.domain);
    let at = |domain: &Domain| others(&DomainPattern { domain: domain.clone(), below: false });
    match (fact, relation, literal.is_positive()) {
        (Fact::Delivery, Relation::Is(values), positive) => {
            let word = if positive { Word::Relaying } else { Word::Local };
            values.contains(&Value::Word(word))
        }
        (Fact::RecipientDomain | Fact::Recipient, Relation::Is(values), true) => {
            values.iter().any(|value| match value {
                Value::Domain(pattern) => others(pattern),
                Value::Address(address) => at(address.domain()),
                _ => false,
            })
        }
        (Fact::RecipientDomain | Fact::Recipient, Relation::InTable(name), true) => {
            let table = set.tables.iter().find(|table| table.name == *name);
            match table.map(|table| &table.entries) {
                Some(Entries::Domains(list)) => list.iter().any(others),
                Some(Entries::Addresses(list)) => list.iter().any(|entry| match entry {
                    AddressPattern::One(address) => at(address.domain()),
                    AddressPattern::Everyone(domain) => at(domain),
                }),
                Some(Entries::Networks(_) | Entries::Patterns(_)) | None => false,
            }
        }
        _ => false,
    }
}

/// Whether a client cannot simply claim it.
fn tells_clients_apart(fact: &Fact) -> bool {
    matches!(
        fact,
        Fact::Authenticated
            | Fact::ClientIp
            | Fact::ClientName
            | Fact::Listener
            | Fact::ClientCertificate
            | Fact::CertificateSubject
            | Fact::CertificateFingerprint
    )
}

fn trusted_networks(set: &RuleSet, findings: &mut Findings) {
    let everyone = covers_everything(&set.trusted_networks);
    let wide = set.trusted_networks.iter().find(|net| match net {
        ipnet::IpNet::V4(net) => net.prefix_len() < WIDE_V4,
        ipnet::IpNet::V6(net) => net.prefix_len() < WIDE_V6,
    });
    let (severity, message) = match wide {
        _ if everyone => {
            (Severity::Error, "trusted-networks holds every address: an open relay".to_owned())
        }
        Some(net) => (
            Severity::Warning,
            format!("trusted-networks holds {net}: everyone in it may relay without signing in"),
        ),
        None => return,
    };
    let help = "list your own networks only; other clients sign in".into();
    let note = Note { rule: None, message, help, related: None };
    findings.add(Code::OpenRelay, severity, &Origin::BUILT_IN, note);
}

/// A rule that names a listed partner and demands less for it.
fn weakening(
    set: &RuleSet,
    rule: &Rule,
    cases: &[Case<'_>],
    lists: &Lists<'_>,
    findings: &mut Findings,
) {
    for (setting, statement) in settings(rule) {
        let less = |entry: &Entry| match setting {
            Setting::RelayEncryption(level) if *level < entry.level => {
                Some(format!("relay-encryption {}", level_word(*level)))
            }
            Setting::RelayTlsVersions(versions)
                if entry.min_version.is_some_and(|min| versions.iter().all(|v| *v < min)) =>
            {
                Some("these relay-tls-versions".to_owned())
            }
            _ => None,
        };
        let entries = set.force_encrypt.iter().filter(|entry| entry.direction.is_out());
        let mut weakened = entries.filter_map(|entry| Some((entry, less(entry)?)));
        let named = |entry: &Entry| cases.iter().any(|case| names(case, &entry.key, lists));
        if let Some((entry, less)) = weakened.find(|(entry, _)| named(entry)) {
            let min = entry.min_version.filter(|v| *v == Version::Tls13);
            let level = if entry.level == Level::Authenticated { "verified" } else { "encrypted" };
            let demand = min.map_or(level.to_owned(), |_| format!("{level} and TLS 1.3"));
            // Less than verified and still encrypted is no attempt to send in the clear:
            // the entry holds, and a pasted list does not stop the server.
            let opens = match setting {
                Setting::RelayEncryption(level) => *level < Level::Encrypted,
                _ => true,
            };
            findings.add(
                Code::WeakensForceEncrypt,
                if opens { Severity::Error } else { Severity::Warning },
                &statement.origin,
                Note {
                    rule: Some(rule.name.clone()),
                    message: format!(
                        "{less} is less than Force Encrypt demands for \"{}\": {demand}",
                        entry.key
                    ),
                    help: "remove it here, or take the entry out of force-encrypt; a rule may only demand \
                           more"
                        .into(),
                    related: None,
                },
            );
            findings.beside(&entry.origin);
        }
    }
}

/// Whether a case is about the partner of an entry: it names its domain.
fn names(case: &Case<'_>, key: &Key, lists: &Lists<'_>) -> bool {
    let Key::Domain(listed) = key else { return false };
    let listed = Value::Domain(listed.clone());
    case.iter().filter(|literal| literal.is_positive()).any(|literal| {
        let domain = |domain: &DomainPattern| value_within(&Value::Domain(domain.clone()), &listed);
        match (&literal.test.fact, &literal.test.relation) {
            (Fact::RecipientDomain, Relation::Is(values)) => values
                .iter()
                .any(|value| value_within(value, &listed) || value_within(&listed, value)),
            (Fact::Recipient, Relation::Is(values)) => values.iter().any(|value| match value {
                Value::Address(address) => {
                    domain(&DomainPattern { domain: address.domain().clone(), below: false })
                }
                _ => false,
            }),
            (Fact::RecipientDomain | Fact::Recipient, Relation::InTable(name)) => {
                match lists.entries(name) {
                    Some(Entries::Domains(entries)) => entries.iter().any(domain),
                    Some(Entries::Addresses(_) | Entries::Networks(_) | Entries::Patterns(_))
                    | None => false,
                }
            }
            _ => false,
        }
    })
}

/// Protection on the way out that does not bind.
fn on_the_way_out(set: &RuleSet, rule: &Rule, findings: &mut Findings) {
    let at_least = |level: &Level| *level >= Level::Encrypted;
    let own = settings(rule).find_map(|(setting, statement)| match setting {
        Setting::RelayEncryption(level) => Some((*level, statement)),
        _ => None,
    });
    let elsewhere =
        set.rules.iter().flat_map(settings).any(
            |(setting, _)| matches!(setting, Setting::RelayEncryption(level) if at_least(level)),
        );
    let binds = match own {
        Some((level, _)) => at_least(&level),
        None => at_least(&set.default_encryption) || elsewhere,
    };
    for (setting, statement) in settings(rule) {
        match setting {
            Setting::RelayTlsVersions(_) if !binds => findings.warning(
                Code::Questionable,
                rule,
                &statement.origin,
                "without required encryption, mail still goes in the clear where TLS fails".into(),
                "add relay-encryption required".into(),
            ),
            Setting::RelayHost(host)
                if host.credentials.is_some() && !binds && !host.implicit_tls =>
            {
                findings.warning(
                    Code::PlaintextAuthentication,
                    rule,
                    &statement.origin,
                    "the password for this smart host can travel in the clear".into(),
                    "add relay-encryption required".into(),
                );
            }
            Setting::RelayHost(host) if host.implicit_tls => {
                if let Some((Level::None, _)) = own {
                    findings.warning(
                        Code::Questionable,
                        rule,
                        &statement.origin,
                        "this smart host takes TLS from the first byte, but relay-encryption is none"
                            .into(),
                        "write relay-encryption required, or another port".into(),
                    );
                }
            }
            _ => {}
        }
    }
    if let Some((level, statement)) = own.filter(|(level, _)| *level < set.default_encryption) {
        findings.warning(
            Code::Questionable,
            rule,
            &statement.origin,
            format!(
                "relay-encryption {} is less than the default, {}",
                level_word(level),
                level_word(set.default_encryption)
            ),
            "make sure that this exception is meant".into(),
        );
    }
}

/// STARTTLS switched off although mail without TLS is refused.
fn starttls(set: &RuleSet, rule: &Rule, findings: &mut Findings) {
    let Some((_, statement)) = settings(rule).find(|(s, _)| **s == Setting::StartTls(false)) else {
        return;
    };
    let refuses_plain = |other: &&Rule| {
        matches!(verdict(other), Some((Verdict::Reject(_) | Verdict::Defer(_), _)))
            && other.when.tests().iter().any(|test| test.fact == Fact::Tls && test.negated)
    };
    let listed = set.force_encrypt.iter().any(|entry| entry.direction.is_in());
    let other = set.rules.iter().find(refuses_plain);
    if other.is_some() || listed {
        let by = other.map_or("Force Encrypt".into(), |other| format!("\"{}\"", other.name));
        findings.warning(
            Code::Questionable,
            rule,
            &statement.origin,
            format!("STARTTLS is not offered, but {by} refuses mail that comes without TLS"),
            "offer STARTTLS".into(),
        );
    }
}
