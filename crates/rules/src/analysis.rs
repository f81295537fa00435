//! What can be said of rules without a message: rules that never act, settings undone,
//! doors left open.
//!
//! A condition is spread out into cases, each a list of tests that hold
//! together; a case whose tests exclude each other drops out. A rule that keeps no case,
//! after the rules above it have taken theirs, can never act.

mod cases;
mod encryption;
mod flow;
mod lists;
mod values;

use std::fmt;

use mail::Timestamp;
use serde::{Deserialize, Serialize};

use crate::pattern::PatternError;
use crate::policy::RuleSet;
use crate::rule::{Origin, Rule};
use crate::table::Table;
use crate::test::Test;

/// Whether a finding stops the configuration from being used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The rules can be used and probably are not what was meant.
    Warning,
    /// The rules cannot be used.
    Error,
}

/// One thing that is wrong, or probably wrong, with the rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// A code that stays the same from version to version; `help CODE` explains it.
    pub code: Code,
    /// Whether it stops the configuration from being used.
    pub severity: Severity,
    /// The rule it is about.
    pub rule: Option<String>,
    /// Where it is written.
    pub origin: Origin,
    /// What is wrong, in one line.
    pub message: String,
    /// What to do.
    pub help: String,
    /// Another place that belongs to it: the rule above, the first of two entries.
    pub related: Option<Origin>,
}

/// The causes of findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Code {
    /// A fact cannot be looked up in a table of this kind.
    #[serde(rename = "C109")]
    WrongType,
    /// There is no table of this name.
    #[serde(rename = "C113")]
    UnknownName,
    /// Two rules or tables have the same name.
    #[serde(rename = "C114")]
    DefinedTwice,
    /// Patterns that cannot be compiled.
    #[serde(rename = "C116")]
    BadPattern,
    /// A table that no rule looks in.
    #[serde(rename = "C118")]
    Unused,
    /// An action belongs to an earlier stage than its conditions.
    #[serde(rename = "C201")]
    StageTooLate,
    /// A rule that is never reached.
    #[serde(rename = "C202")]
    Unreachable,
    /// A rule whose conditions exclude each other.
    #[serde(rename = "C203")]
    NeverMatches,
    /// A setting that a later rule always changes.
    #[serde(rename = "C204")]
    SettingUndone,
    /// Actions after a verdict.
    #[serde(rename = "C205")]
    DeadActions,
    /// Passwords in the clear.
    #[serde(rename = "C206")]
    PlaintextAuthentication,
    /// Relaying for everyone.
    #[serde(rename = "C207")]
    OpenRelay,
    /// Entries or tables that overlap.
    #[serde(rename = "C208")]
    Overlap,
    /// Legal, and likely to surprise.
    #[serde(rename = "C209")]
    Questionable,
    /// A rule against Force Encrypt.
    #[serde(rename = "C210")]
    WeakensForceEncrypt,
    /// Too many cases to look at.
    #[serde(rename = "C212")]
    AnalysisLimit,
    /// The same entry twice.
    #[serde(rename = "C402")]
    DuplicateEntry,
    /// An entry whose time is over.
    #[serde(rename = "C405")]
    EntryExpired,
}

impl Code {
    /// The code as it is shown: `C201`.
    pub const fn text(self) -> &'static str {
        match self {
            Self::WrongType => "C109",
            Self::UnknownName => "C113",
            Self::DefinedTwice => "C114",
            Self::BadPattern => "C116",
            Self::Unused => "C118",
            Self::StageTooLate => "C201",
            Self::Unreachable => "C202",
            Self::NeverMatches => "C203",
            Self::SettingUndone => "C204",
            Self::DeadActions => "C205",
            Self::PlaintextAuthentication => "C206",
            Self::OpenRelay => "C207",
            Self::Overlap => "C208",
            Self::Questionable => "C209",
            Self::WeakensForceEncrypt => "C210",
            Self::AnalysisLimit => "C212",
            Self::DuplicateEntry => "C402",
            Self::EntryExpired => "C405",
        }
    }
}

/// Looks at `set` from every side; findings come in the order of the text.
pub fn analyse(set: &RuleSet) -> Vec<Finding> {
    let mut findings = Findings::default();
    lists::check(set, &mut findings);
    flow::check(set, &mut findings);
    encryption::check(set, &mut findings);
    let mut found = findings.0;
    found.sort_by(|a, b| (&a.origin, a.code).cmp(&(&b.origin, b.code)));
    found
}

/// The Force Encrypt entries whose time is over at `now`; they no longer protect.
pub fn expired(set: &RuleSet, now: Timestamp) -> Vec<Finding> {
    let mut findings = Findings::default();
    for entry in set.force_encrypt.iter().filter(|entry| !entry.is_live(now)) {
        findings.add(
            Code::EntryExpired,
            Severity::Warning,
            &entry.origin,
            Note {
                rule: None,
                message: format!("\"{}\" has expired and no longer applies", entry.key),
                help: "give it a later date, or remove it".into(),
                related: None,
            },
        );
    }
    findings.0
}

/// Findings as they are made.
#[derive(Debug, Default)]
struct Findings(Vec<Finding>);

/// The words of a finding.
struct Note {
    rule: Option<String>,
    message: String,
    help: String,
    related: Option<Origin>,
}

impl Findings {
    fn add(&mut self, code: Code, severity: Severity, origin: &Origin, note: Note) {
        let Note { rule, message, help, related } = note;
        let origin = origin.clone();
        self.0.push(Finding { code, severity, rule, origin, message, help, related });
    }

    fn error(&mut self, code: Code, rule: &Rule, origin: &Origin, message: String, help: String) {
        let note = Note { rule: Some(rule.name.clone()), message, help, related: None };
        self.add(code, Severity::Error, origin, note);
    }

    fn warning(&mut self, code: Code, rule: &Rule, origin: &Origin, message: String, help: String) {
        let note = Note { rule: Some(rule.name.clone()), message, help, related: None };
        self.add(code, Severity::Warning, origin, note);
    }

    /// The finding made last points at `origin` too.
    fn beside(&mut self, origin: &Origin) {
        if let Some(last) = self.0.last_mut() {
            last.related = Some(origin.clone());
        }
    }
}

/// A table whose patterns together cannot be compiled.
pub(crate) fn unusable_table(table: &Table, error: &PatternError) -> Finding {
    Finding {
        code: Code::BadPattern,
        severity: Severity::Error,
        rule: None,
        origin: table.origin.clone(),
        message: format!("table \"{}\": {error}", table.name),
        help: "use fewer or simpler patterns".into(),
        related: None,
    }
}

/// A condition whose patterns together cannot be compiled.
pub(crate) fn unusable_pattern(rule: &Rule, test: &Test, error: &PatternError) -> Finding {
    Finding {
        code: Code::BadPattern,
        severity: Severity::Error,
        rule: Some(rule.name.clone()),
        origin: test.origin.clone(),
        message: error.to_string(),
        help: "use fewer or simpler patterns".into(),
        related: None,
    }
}

impl Severity {
    /// The word shown.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text())
    }
}

impl fmt::Display for Finding {
    /// `error[C201]: ... (mailkeep.conf:12)`, and what to do on a second line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]: ", self.severity.word(), self.code)?;
        if let Some(rule) = &self.rule {
            write!(f, "rule {rule}: ")?;
        }
        write!(f, "{} ({})\n  help: {}", self.message, self.origin, self.help)
    }
}
