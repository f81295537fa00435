//! Statements against the schema: every name known, every value of its kind.

use std::path::Path;

use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::located::Located;
use crate::schema::{Absent, Argument, Context, Count, Directive, Form, Inside};
use crate::source::{Sources, Span};
use crate::tree::{Block, Statement, Word, quote};
use crate::value::{Kind, Problem, Value};

mod section;

pub use section::{FromValue, Section};

/// A statement whose words fit a directive.
#[derive(Debug, Clone)]
pub struct Checked<'a> {
    /// The row of the schema.
    pub directive: &'static Directive,
    /// The values, each with the index of its argument.
    pub values: Vec<(usize, Located<Value>)>,
    /// What stands in its block, where that is directives.
    pub section: Option<Section<'a>>,
    /// The statement.
    pub statement: &'a Statement,
}

/// Checks statements and collects what is wrong with them.
pub struct Checker<'a> {
    sources: &'a Sources,
    /// What was found so far.
    pub diagnostics: Vec<Diagnostic>,
}

impl<'a> Checker<'a> {
    /// A checker of statements from these texts.
    pub fn new(sources: &'a Sources) -> Self {
        Self { sources, diagnostics: Vec::new() }
    }

    /// Checks the statements of a block, or those outside all blocks.
    pub fn section(
        &mut self,
        context: &'static Context,
        statements: &'a [Statement],
        head: Option<Span>,
    ) -> Section<'a> {
        let mut section = Section::new(context, head);
        for statement in statements {
            let Some(directive) = self.directive(context, statement) else { continue };
            let earlier = section.written(directive.name);
            if let (Some(earlier), false) = (earlier, directive.repeatable || is_entry(directive)) {
                let name = directive.name;
                let span = statement.name().span;
                let message = format!("\"{name}\" is given twice in {}", context.name);
                let diagnostic = Diagnostic::error(Code::GivenTwice, span, message)
                    .related(earlier, "first given here")
                    .help("keep one of the two");
                self.diagnostics.push(diagnostic);
                continue;
            }
            section.note(directive.name, statement.name().span);
            if let Some(checked) = self.statement(context, directive, statement) {
                section.push(checked);
            }
        }
        self.look_for_missing(&section);
        section
    }

    fn directive(
        &mut self,
        context: &'static Context,
        statement: &Statement,
    ) -> Option<&'static Directive> {
        let name = statement.name();
        if !name.quoted
            && let Some(directive) = context.directive(&name.text)
        {
            return Some(directive);
        }
        if context.entry.is_some() {
            return context.entry;
        }
        let message = format!("unknown directive \"{}\" in {}", name.text, context.name);
        let mut diagnostic = Diagnostic::error(Code::UnknownDirective, name.span, message);
        let elsewhere = elsewhere(&name.text);
        diagnostic = match (crate::diagnostic::closest(&name.text, &context.names()), elsewhere) {
            (None, Some(home)) => diagnostic.help(format!("it belongs into {home}")),
            _ => diagnostic.suggest(&name.text, &context.names()),
        };
        self.diagnostics.push(diagnostic);
        None
    }

    fn statement(
        &mut self,
        context: &'static Context,
        directive: &'static Directive,
        statement: &'a Statement,
    ) -> Option<Checked<'a>> {
        let words = if is_entry(directive) { &statement.words[..] } else { statement.arguments() };
        let form = self.form(directive, words, statement)?;
        let base = self.base(statement);
        let values = self.values(context, directive, form, words, statement, &base);
        let section = match (form.inside, &statement.block) {
            (Inside::Nothing, Some(block)) => {
                self.block_not_allowed(directive, block);
                return None;
            }
            (Inside::Statements(_) | Inside::Lines(_), None) => {
                let name = directive.name;
                let message = format!("{name} needs a block");
                let diagnostic = Diagnostic::error(Code::BlockMissing, statement.head(), message)
                    .help(format!("write {name} ... {{ }}, for example: {}", directive.example));
                self.diagnostics.push(diagnostic);
                return None;
            }
            (Inside::Nothing, None) | (Inside::Lines(_), Some(_)) => None,
            (Inside::Statements(inner), Some(block)) => {
                Some(self.section(inner, &block.statements, Some(statement.head())))
            }
        };
        Some(Checked { directive, values: values?, section, statement })
    }

    fn base(&self, statement: &Statement) -> std::path::PathBuf {
        let path = self.sources.file(statement.span.file).path();
        path.parent().unwrap_or(Path::new("")).to_owned()
    }

    /// The first form whose keywords are there; else the one that begins with the first word.
    fn form(
        &mut self,
        directive: &'static Directive,
        words: &[Word],
        statement: &Statement,
    ) -> Option<&'static Form> {
        let fits = |form: &&Form| keywords_fit(form, words, statement.block.is_some());
        if let Some(form) = directive.forms.iter().find(fits) {
            return Some(form);
        }
        if let [form] = directive.forms {
            return Some(form);
        }
        // What is missing or wrong after its beginning is named when its values are read.
        let first = words.first().map(|word| word.text.as_str());
        let begun = |form: &&Form| first.is_some() && first_keyword(form) == first;
        if let Some(form) = directive.forms.iter().find(begun) {
            return Some(form);
        }
        let keywords: Vec<&str> = directive.forms.iter().filter_map(first_keyword).collect();
        let name = directive.name;
        let diagnostic = match words.first() {
            Some(word) if !keywords.is_empty() => {
                let message = format!("\"{}\" cannot stand after {name}", word.text);
                Diagnostic::error(Code::UnknownValue, word.span, message)
                    .suggest(&word.text, &keywords)
            }
            Some(_) | None => {
                let message = format!("{name} is not complete");
                Diagnostic::error(Code::TooFewValues, statement.head(), message)
                    .help(format!("for example: {}", directive.example))
            }
        };
        self.diagnostics.push(diagnostic);
        None
    }

    fn values(
        &mut self,
        context: &'static Context,
        directive: &'static Directive,
        form: &'static Form,
        words: &[Word],
        statement: &Statement,
        base: &Path,
    ) -> Option<Vec<(usize, Located<Value>)>> {
        let (mut values, mut good, mut next) = (Vec::new(), true, 0);
        for (index, argument) in form.arguments.iter().enumerate() {
            let available = words.len().saturating_sub(next);
            let taken = match argument.count {
                Count::One | Count::Optional => available.min(1),
                Count::Many => available,
            };
            if taken == 0 && argument.count != Count::Optional {
                self.too_few(directive, argument, statement);
                return None;
            }
            for word in &words[next..next + taken] {
                match argument.kind.read(&word.text, base) {
                    Ok(value) => values.push((index, Located::at(value, word.span))),
                    Err(_) if runs_into_next(context, argument, word) => {
                        self.too_many(context, directive, form, word);
                        return None;
                    }
                    Err(problem) => {
                        good = false;
                        self.wrong_value(word, problem);
                    }
                }
            }
            next += taken;
        }
        if let Some(extra) = words.get(next) {
            self.too_many(context, directive, form, extra);
            good = false;
        }
        good.then_some(values)
    }

    fn wrong_value(&mut self, word: &Word, problem: Problem) {
        let mut diagnostic = Diagnostic::error(problem.code, word.span, problem.message);
        diagnostic.help.extend(problem.help);
        diagnostic.replacement = problem.replacement.map(|text| quote(&text));
        self.diagnostics.push(diagnostic);
    }

    fn too_few(&mut self, directive: &Directive, argument: &Argument, statement: &Statement) {
        let message = format!("{} needs {}", subject(directive), argument.kind.noun());
        let diagnostic = Diagnostic::error(Code::TooFewValues, statement.head(), message)
            .help(format!("write {}, for example: {}", argument.kind, directive.example));
        self.diagnostics.push(diagnostic);
    }

    fn too_many(&mut self, context: &Context, directive: &Directive, form: &Form, extra: &Word) {
        let takes = match form.arguments {
            [] => "no value".to_owned(),
            [one] if one.count == Count::Many => format!("{}s", one.name),
            [_] => "one value".to_owned(),
            many => format!("{} values", many.len()),
        };
        let message =
            format!("{} takes {takes}, \"{}\" is too much", subject(directive), extra.text);
        let mut diagnostic = Diagnostic::error(Code::TooManyValues, extra.span, message);
        if context.directive(&extra.text).is_some() {
            diagnostic =
                diagnostic.help(missing_end(&extra.text)).replace_with(format!("; {}", extra.text));
        } else if form.arguments.last().is_some_and(|a| matches!(a.kind, Kind::Text | Kind::Path)) {
            diagnostic = diagnostic.help("put a text with blanks into quotes");
        }
        self.diagnostics.push(diagnostic);
    }

    fn block_not_allowed(&mut self, directive: &Directive, block: &Block) {
        let message = format!("{} takes no block", subject(directive));
        let diagnostic = Diagnostic::error(Code::BlockNotAllowed, block.open, message)
            .help(format!("for example: {}", directive.example));
        self.diagnostics.push(diagnostic);
    }

    fn look_for_missing(&mut self, section: &Section<'_>) {
        for directive in section.context.directives {
            if directive.absent != Absent::Required || section.written(directive.name).is_some() {
                continue;
            }
            let message = format!("\"{}\" is missing in {}", directive.name, section.context.name);
            let diagnostic = match section.head {
                Some(head) => Diagnostic::error(Code::Missing, head, message),
                None => {
                    Diagnostic::whole(Code::Missing, crate::diagnostic::Severity::Error, message)
                }
            };
            self.diagnostics.push(diagnostic.help(format!("for example: {}", directive.example)));
        }
    }
}

/// Whether a directive's name stands where a value of a list belongs: the statements ran
/// together.
fn runs_into_next(context: &Context, argument: &Argument, word: &Word) -> bool {
    argument.count == Count::Many && !word.quoted && context.directive(&word.text).is_some()
}

fn missing_end(name: &str) -> String {
    format!("put a ; or a new line before \"{name}\": it begins the next statement")
}

/// How messages name a directive; entries have no name.
fn subject(directive: &Directive) -> &'static str {
    if is_entry(directive) { "a line here" } else { directive.name }
}

fn is_entry(directive: &Directive) -> bool {
    directive.name.is_empty()
}

fn first_keyword(form: &Form) -> Option<&'static str> {
    match form.arguments.first().map(|argument| argument.kind) {
        Some(Kind::Keyword(word)) => Some(word),
        Some(_) | None => None,
    }
}

fn keywords_fit(form: &Form, words: &[Word], has_block: bool) -> bool {
    let wants_block = form.inside.context().is_some();
    let mut wanted = form.arguments.iter().enumerate();
    let fits = wanted.all(|(at, argument)| {
        let Kind::Keyword(keyword) = argument.kind else { return true };
        words.get(at).is_some_and(|word| word.text == keyword)
    });
    fits && (!wants_block || has_block)
}

/// Where a directive of this name would be right.
fn elsewhere(name: &str) -> Option<String> {
    use crate::schema::{
        DELIVERY, DNS, DOMAIN, EVIDENCE, LIMITS, LISTENER, QUEUE, RULE, TIMEOUTS, TOP,
    };
    let homes: [&'static Context; 10] =
        [&TOP, &LISTENER, &DOMAIN, &LIMITS, &TIMEOUTS, &QUEUE, &DELIVERY, &DNS, &EVIDENCE, &RULE];
    let home = homes.into_iter().find(|context| context.directive(name).is_some())?;
    Some(if home.name == TOP.name {
        "the file, outside all blocks".to_owned()
    } else {
        format!("{} {{ }}", home.name)
    })
}
