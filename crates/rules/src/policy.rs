//! The rules of a configuration, compiled.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use mail::{Domain, Timestamp};
use serde::{Deserialize, Serialize};
use tls::{Demand, Demands, Level, Requirement, Source, Version};

use crate::action::{Action, Response, Verdict};
use crate::analysis::{self, Finding, Severity};
use crate::built_in;
use crate::built_in::SenderChecks;
use crate::force_encrypt::{Entry, ForceEncrypt};
use crate::matcher::{Found, Matcher};
use crate::rule::{Condition, Rule};
use crate::settings::{Prepared, Settings};
use crate::table::{Compiled, Entries, Table};

/// Everything the administrator wrote that rules are made of.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleSet {
    /// The rules, in order.
    pub rules: Vec<Rule>,
    /// The lists that conditions look in.
    pub tables: Vec<Table>,
    /// Clients that may relay without signing in.
    pub trusted_networks: Vec<IpNet>,
    /// The Force Encrypt entries, in order.
    pub force_encrypt: Vec<Entry>,
    /// The domains that are ours; only the analysis looks at them.
    pub local_domains: Vec<Domain>,
    /// The least protection on the way out where no rule says otherwise.
    pub default_encryption: Level,
    /// What follows from the checks of a sender.
    pub sender_checks: SenderChecks,
    /// What happens to what scanners find; `None` without scanners.
    pub scanning: Option<built_in::Scanning>,
    /// Which sender addresses must belong to who signed in.
    pub sender_must_match: built_in::SenderMatch,
    /// Which built-in rules of lists there are.
    pub lists: crate::list_rules::ListRules,
    /// Mail can become faxes here, so the rules of account security stand.
    pub has_fax: bool,
}

impl Default for RuleSet {
    /// Nothing is written: the built-in rules alone.
    fn default() -> Self {
        Self {
            rules: Vec::new(),
            tables: Vec::new(),
            trusted_networks: Vec::new(),
            force_encrypt: Vec::new(),
            local_domains: Vec::new(),
            default_encryption: built_in::DEFAULT_ENCRYPTION,
            sender_checks: SenderChecks::default(),
            scanning: None,
            sender_must_match: built_in::SenderMatch::Off,
            lists: crate::list_rules::ListRules::default(),
            has_fax: false,
        }
    }
}

/// The place of a rule in its [`Policy`], the built-in ones first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(pub(crate) u16);

/// The number that people know a rule by: `3`, or `0.2` for a built-in one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Number {
    /// A built-in rule: the part after `0.`.
    BuiltIn(u16),
    /// A written rule, from 1.
    Written(u16),
}

/// Compiled rules: what live mail, `explain` and replay all ask.
#[derive(Debug, Clone)]
pub struct Policy {
    pub(crate) rules: Vec<CompiledRule>,
    built_in: u16,
    force_encrypt: Arc<ForceEncrypt>,
    default_encryption: Level,
}

/// One rule, compiled and as written.
#[derive(Debug, Clone)]
pub(crate) struct CompiledRule {
    pub(crate) rule: Rule,
    pub(crate) when: Node,
    pub(crate) settings: Vec<Prepared>,
    pub(crate) verdict: Option<Ready>,
    /// One of its settings is about the session.
    pub(crate) is_of_session: bool,
}

/// A condition, compiled.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    None(Vec<Node>),
    Test(Box<Matcher>),
}

/// A verdict ready to be given many times without copying its text.
#[derive(Debug, Clone)]
pub(crate) enum Ready {
    Accept,
    Reject(Arc<Response>),
    Defer(Arc<Response>),
    Discard,
    Quarantine(Arc<str>),
}

impl RuleSet {
    /// Compiles the rules.
    ///
    /// # Errors
    ///
    /// Every [`Finding`], when one of them is an error. Warnings alone do not stop it;
    /// [`analysis::analyse`] gives them.
    pub fn compile(&self) -> Result<Policy, Vec<Finding>> {
        let findings = analysis::analyse(self);
        if findings.iter().any(|finding| finding.severity == Severity::Error) {
            return Err(findings);
        }
        let mut broken = Vec::new();
        let tables = self.compile_tables(&mut broken);
        let built_in = built_in::rules(self);
        let count = built_in.len() as u16;
        let all = built_in.into_iter().chain(self.rules.iter().cloned());
        let rules = all.map(|rule| compile_rule(rule, &tables, &mut broken)).collect();
        if !broken.is_empty() {
            return Err(broken);
        }
        Ok(Policy {
            rules,
            built_in: count,
            force_encrypt: tables.force_encrypt,
            default_encryption: self.default_encryption,
        })
    }

    fn compile_tables(&self, broken: &mut Vec<Finding>) -> Tables {
        let mut named = HashMap::new();
        for table in &self.tables {
            match Compiled::new(&table.entries) {
                Ok(compiled) => drop(named.insert(table.name.clone(), Arc::new(compiled))),
                Err(error) => broken.push(analysis::unusable_table(table, &error)),
            }
        }
        let trusted = Entries::Networks(self.trusted_networks.clone());
        // A list of networks has no pattern that could fail.
        if let Ok(trusted) = Compiled::new(&trusted) {
            named.insert(built_in::TRUSTED_NETWORKS.into(), Arc::new(trusted));
        }
        let force_encrypt = Arc::new(ForceEncrypt::new(self.force_encrypt.clone()));
        Tables { named, force_encrypt }
    }
}

struct Tables {
    named: HashMap<String, Arc<Compiled>>,
    force_encrypt: Arc<ForceEncrypt>,
}

impl Tables {
    fn find(&self, name: &str) -> Option<Found> {
        let entries = |below| Found::ForceEncrypt { table: Arc::clone(&self.force_encrypt), below };
        match name {
            built_in::FORCE_ENCRYPT => Some(entries(None)),
            built_in::FORCE_ENCRYPT_TLS_1_3 => Some(entries(Some(Version::Tls12))),
            name => self.named.get(name).cloned().map(Found::Table),
        }
    }
}

fn compile_rule(rule: Rule, tables: &Tables, broken: &mut Vec<Finding>) -> CompiledRule {
    let when = compile_node(&rule.when, &rule, tables, broken);
    let mut settings = Vec::new();
    let mut verdict = None;
    for statement in &rule.then {
        match &statement.action {
            Action::Set(setting) => settings.push(Prepared::new(setting)),
            Action::Verdict(given) => {
                verdict = Some(Ready::new(given));
                break;
            }
        }
    }
    let is_of_session = settings.iter().any(Prepared::is_of_session);
    CompiledRule { rule, when, settings, verdict, is_of_session }
}

fn compile_node(
    condition: &Condition,
    rule: &Rule,
    tables: &Tables,
    broken: &mut Vec<Finding>,
) -> Node {
    let mut all = |parts: &[Condition]| {
        parts.iter().map(|part| compile_node(part, rule, tables, broken)).collect()
    };
    match condition {
        Condition::All(parts) => Node::All(all(parts)),
        Condition::Any(parts) => Node::Any(all(parts)),
        Condition::None(parts) => Node::None(all(parts)),
        Condition::Test(test) => match Matcher::new(test, |name| tables.find(name)) {
            Ok(Some(matcher)) => Node::Test(Box::new(matcher)),
            // The analysis has refused unknown tables already; what cannot be asked never holds.
            Ok(None) => Node::Any(Vec::new()),
            Err(error) => {
                broken.push(analysis::unusable_pattern(rule, test, &error));
                Node::Any(Vec::new())
            }
        },
    }
}

impl Ready {
    fn new(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Accept => Self::Accept,
            Verdict::Reject(response) => Self::Reject(Arc::new(response.clone())),
            Verdict::Defer(response) => Self::Defer(Arc::new(response.clone())),
            Verdict::Discard => Self::Discard,
            Verdict::Quarantine { reason } => Self::Quarantine(reason.as_str().into()),
        }
    }
}

impl Policy {
    /// The rule of a place, as written.
    ///
    /// A [`RuleId`] belongs to the policy that gave it out; one of another policy may
    /// have no rule here.
    pub fn rule(&self, id: RuleId) -> Option<&Rule> {
        self.rules.get(usize::from(id.0)).map(|compiled| &compiled.rule)
    }

    /// The number of a rule.
    pub fn number(&self, id: RuleId) -> Number {
        match id.0.checked_sub(self.built_in) {
            Some(written) => Number::Written(written + 1),
            None => Number::BuiltIn(id.0 + 1),
        }
    }

    /// Every rule in the order in which they are read.
    pub fn rules(&self) -> impl Iterator<Item = (RuleId, Number, &Rule)> {
        (0..).map(RuleId).zip(&self.rules).map(|(id, c)| (id, self.number(id), &c.rule))
    }

    /// Whether a rule is written, and not built in.
    pub fn is_written(&self, id: RuleId) -> bool {
        matches!(self.number(id), Number::Written(_))
    }

    /// The Force Encrypt table.
    pub fn force_encrypt(&self) -> &ForceEncrypt {
        &self.force_encrypt
    }

    /// What is demanded of the connection that carries mail for `domain`: by the rules
    /// (or the default), then by Force Encrypt for the domain, the name of its MX and the
    /// address connected to, as far as they are known. Nothing a rule says weakens the latter.
    pub fn demands(
        &self,
        settings: &Settings,
        domain: &Domain,
        mx: Option<&Domain>,
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> Demands {
        let mut demands = Demands::new();
        match &settings.relay_encryption {
            Some(chosen) => demands.push(Demand::new(self.source(chosen.by), at(chosen.value))),
            None => demands.push(Demand::new(Source::Default, at(self.default_encryption))),
        }
        if let Some(chosen) = &settings.relay_tls_versions {
            let requirement = Requirement::none().with_versions(chosen.value);
            demands.push(Demand::new(self.source(chosen.by), requirement));
        }
        for demand in self.force_encrypt.demands(domain, mx, address, now).iter() {
            demands.push(demand.clone());
        }
        demands
    }

    fn source(&self, by: RuleId) -> Source {
        match self.rule(by) {
            Some(rule) if self.is_written(by) => {
                Source::Rule { name: rule.name.clone(), line: rule.origin.line }
            }
            Some(_) | None => Source::Default,
        }
    }
}

fn at(level: Level) -> Requirement {
    match level {
        Level::None | Level::Opportunistic | Level::Encrypted => Requirement::at(level),
        Level::Authenticated => Requirement::authenticated(),
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn(minor) => f.pad(&format!("0.{minor}")),
            Self::Written(number) => f.pad(&number.to_string()),
        }
    }
}

impl From<Number> for String {
    fn from(number: Number) -> Self {
        number.to_string()
    }
}

/// The text is no number of a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not the number of a rule")]
pub struct NumberError(String);

impl TryFrom<String> for Number {
    type Error = NumberError;
    fn try_from(text: String) -> Result<Self, NumberError> {
        let number = match text.strip_prefix("0.") {
            Some(minor) => minor.parse().map(Self::BuiltIn),
            None => text.parse().map(Self::Written),
        };
        number.map_err(|_| NumberError(text))
    }
}
