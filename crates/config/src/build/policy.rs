//! `rules { }`: the statements of rules, read by `rules` word by word.

use ipnet::IpNet;
use rules::words::{parse_action, parse_test};
use rules::{Action, Condition, Fact, Relation, Rule, RuleSet, Setting, Test, Value};
use tls::Level;

use super::Builder;
use super::names::Named;
use super::words::Reading;
use crate::check::Section;
use crate::code::Code;
use crate::diagnostic::{Diagnostic, has_errors};
use crate::located::Located;
use crate::model::origin;
use crate::schema::RULE;
use crate::source::Span;
use crate::tree::{Statement, Word};

impl Builder<'_> {
    /// The rules with the lists they look in; `None` where they are wrong.
    pub(super) fn rule_set(
        &mut self,
        top: &Section<'_>,
        trusted_networks: Vec<IpNet>,
        default_encryption: Level,
    ) -> Option<RuleSet> {
        let before = self.diagnostics.len();
        let tables = self.tables(top);
        let force_encrypt = self.force_encrypt(top);
        let mut rules = Vec::new();
        let mut names = Vec::new();
        let blocks = top.all("rules").filter_map(|item| item.section.as_ref());
        for item in blocks.flat_map(|section| section.all("rule")) {
            let Some(name) = item.argument::<String>(0) else { continue };
            let block = item.statement.block.as_ref();
            let statements = block.map_or(&[][..], |block| &block.statements);
            rules.push(self.rule(&name, statements));
            names.push(name);
        }
        self.unique("rule", names);
        let fax = top.all("fax").filter_map(|item| item.section.as_ref());
        let fax_domains = fax.filter_map(|section| section.list::<mail::Domain>("domains"));
        let has_fax = top.find("fax").is_some();
        let local_domains = top
            .all("domain")
            .filter_map(|item| item.argument(0))
            .map(|name| name.value)
            .chain(fax_domains.flat_map(|domains| domains.value))
            .collect();
        let sound = !has_errors(&self.diagnostics[before..]);
        sound.then_some(RuleSet {
            rules,
            tables,
            trusted_networks,
            force_encrypt,
            local_domains,
            default_encryption,
            has_fax,
            lists: super::spam_lists::list_rules(top),
            ..RuleSet::default()
        })
    }

    fn rule(&mut self, name: &Located<String>, statements: &[Statement]) -> Rule {
        let place = name.span.map_or(rules::Origin::BUILT_IN, |span| self.origin(span));
        let mut rule = Rule {
            name: name.value.clone(),
            origin: place,
            when: Condition::ALWAYS,
            then: Vec::new(),
        };
        let mut when: Option<Span> = None;
        for statement in statements {
            let head = statement.name();
            if head.text == "when" && !head.quoted {
                if let Some(first) = when.replace(head.span) {
                    let diagnostic =
                        Diagnostic::error(Code::GivenTwice, head.span, "a rule has one when")
                            .related(first, "the first one")
                            .help("nest any { } and all { } inside it");
                    self.report(diagnostic);
                }
                rule.when = self.when(statement);
            } else if let Some(action) = self.action(statement) {
                let origin = self.origin(head.span);
                rule.then.push(rules::Statement { action, origin });
            }
        }
        if rule.then.is_empty() && statements.iter().all(|s| s.name().text == "when") {
            let span = name.span.unwrap_or(Span::new(crate::FileId::ROOT, 0..0));
            let message = format!("rule {} does nothing", rule.name);
            let diagnostic = Diagnostic::error(Code::Missing, span, message)
                .help("give it an action, for example: reject 550 5.7.1 \"Not here\"");
            self.report(diagnostic);
        }
        rule
    }

    fn origin(&self, span: Span) -> rules::Origin {
        origin(self.sources, span)
    }

    /// `when all { }`, `when any { }` or `when none { }`.
    fn when(&mut self, statement: &Statement) -> Condition {
        let [join] = statement.arguments() else {
            let diagnostic = match statement.arguments() {
                [] => {
                    let message = "when needs all, any or none";
                    Diagnostic::error(Code::TooFewValues, statement.head(), message)
                }
                [_, extra, ..] | [extra] => {
                    let message = format!("\"{}\" cannot stand here", extra.text);
                    Diagnostic::error(Code::TooManyValues, extra.span, message)
                }
            };
            self.report(diagnostic.help("write when all { CONDITIONS }"));
            return Condition::ALWAYS;
        };
        self.joined(join, statement)
    }

    fn joined(&mut self, join: &Word, statement: &Statement) -> Condition {
        let make = match join.text.as_str() {
            "all" => Condition::All,
            "any" => Condition::Any,
            "none" => Condition::None,
            other => {
                let message = format!("\"{other}\" cannot stand here");
                let diagnostic = Diagnostic::error(Code::UnknownValue, join.span, message)
                    .suggest(other, &JOINS);
                self.report(diagnostic);
                Condition::All
            }
        };
        let Some(block) = &statement.block else {
            let message = format!("{} needs its conditions in a block", join.text);
            let diagnostic = Diagnostic::error(Code::BlockMissing, statement.head(), message)
                .help(format!("write {} {{ CONDITIONS }}", join.text));
            self.report(diagnostic);
            return Condition::ALWAYS;
        };
        if block.statements.is_empty() && join.text != "all" {
            let message = format!("{} {{ }} without a condition", join.text);
            self.error(Code::TooFewValues, statement.head(), message);
        }
        make(block.statements.iter().filter_map(|inner| self.condition(inner)).collect())
    }

    fn condition(&mut self, statement: &Statement) -> Option<Condition> {
        let head = statement.name();
        if JOINS.contains(&head.text.as_str()) && statement.arguments().is_empty() {
            return Some(self.joined(head, statement));
        }
        if let Some(block) = &statement.block {
            let message = "a condition takes no block";
            let diagnostic = Diagnostic::error(Code::BlockNotAllowed, block.open, message)
                .suggest(&head.text, &JOINS);
            self.report(diagnostic);
            return None;
        }
        let words: Vec<&str> = statement.words.iter().map(|word| word.text.as_str()).collect();
        match parse_test(&words, self.origin(head.span)) {
            Ok(test) => {
                self.test_names(&test, statement);
                Some(Condition::Test(test))
            }
            Err(error) => {
                self.wrong_word(&statement.words, &error, Reading::Condition);
                None
            }
        }
    }

    /// The tables and listeners that a condition names.
    fn test_names(&mut self, test: &Test, statement: &Statement) {
        let Some(last) = statement.words.last() else { return };
        if let Relation::InTable(table) = &test.relation {
            self.uses(Named::Table, table, last.span);
        }
        if let Fact::Milter(name) = &test.fact {
            self.uses(Named::Milter, name, word_span(statement, name));
        }
        if let Fact::Scanner(name) = &test.fact {
            self.uses(Named::Scanner, name, word_span(statement, name));
        }
        let namers = [
            (Fact::Listener, Named::Listener),
            (Fact::Dnsbl, Named::Dnsbl),
            (Fact::Uribl, Named::Uribl),
        ];
        let named = namers.into_iter().find(|(fact, _)| *fact == test.fact);
        if let (Some((_, named)), Relation::Is(values)) = (named, &test.relation) {
            for value in values {
                let Value::Text(name) = value else { continue };
                let span = word_span(statement, name);
                self.uses(named, name, span);
            }
        }
    }

    /// Reads an action, and notes the names it uses.
    pub(super) fn action(&mut self, statement: &Statement) -> Option<Action> {
        if let Some(block) = &statement.block {
            let name = &statement.name().text;
            if RULE.directive(name).is_some() {
                let message = format!("{name} takes no block");
                self.error(Code::BlockNotAllowed, block.open, message);
                return None;
            }
        }
        let words: Vec<&str> = statement.words.iter().map(|word| word.text.as_str()).collect();
        let action = match parse_action(&words) {
            Ok(action) => action,
            Err(error) => {
                self.wrong_word(&statement.words, &error, Reading::Action);
                return None;
            }
        };
        match &action {
            Action::Set(Setting::RelayHost(host)) => {
                if let Some(name) = &host.credentials {
                    self.uses(Named::Credentials, name, word_span(statement, name));
                }
                if let Some(name) = &host.client_certificate {
                    self.uses(Named::Certificate, name, word_span(statement, name));
                }
            }
            Action::Set(Setting::RateClass(name)) => {
                self.uses(Named::RateClass, name, word_span(statement, name));
            }
            Action::Set(_) | Action::Verdict(_) => {}
        }
        Some(action)
    }
}

const JOINS: [&str; 3] = ["all", "any", "none"];

/// The place of the last word of this text.
fn word_span(statement: &Statement, text: &str) -> Span {
    let word = statement.words.iter().rev().find(|word| word.text == text);
    word.map_or(statement.head(), |word| word.span)
}
