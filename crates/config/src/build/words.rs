//! What `rules` says of words, as diagnostics.

use rules::Fact;
use rules::words::{Problem, WordError};

use super::Builder;
use crate::code::Code;
use crate::diagnostic::{Diagnostic, closest};
use crate::schema::RULE;
use crate::source::Span;
use crate::tree::Word;
use crate::value::{Kind, read_network};

/// What the words were read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    Action,
    Condition,
    Entry,
}

impl Builder<'_> {
    /// Reports the word at fault. `words` are those that were read, never none.
    pub(crate) fn wrong_word(&mut self, words: &[Word], error: &WordError, reading: Reading) {
        let diagnostic = diagnose(words, error, reading);
        self.report(diagnostic);
    }
}

fn diagnose(words: &[Word], error: &WordError, reading: Reading) -> Diagnostic {
    let Some(word) = words.get(error.word) else {
        return missing(words, error);
    };
    let (text, span) = (word.text.as_str(), word.span);
    match &error.problem {
        Problem::UnknownCondition { .. } => unknown_condition(text, span),
        Problem::UnknownAction { allowed, .. } => unknown_action(text, span, allowed),
        Problem::Unexpected { allowed, .. } => unexpected(words, error.word, allowed, reading),
        Problem::Missing { .. } => missing(words, error),
        Problem::NotA { expected, .. } => not_a(text, span, expected, error),
        Problem::TooMany { .. } => {
            let message = format!("\"{text}\" is one word too many");
            run_together(Diagnostic::error(Code::TooManyValues, span, message), word, reading)
        }
    }
}

fn missing(words: &[Word], error: &WordError) -> Diagnostic {
    let head = words.first().zip(words.last()).map(|(first, last)| first.span.to(last.span));
    let message = match &error.problem {
        Problem::Missing { expected } => format!("{expected} is missing at the end"),
        other => other.to_string(),
    };
    match head {
        Some(span) => Diagnostic::error(Code::TooFewValues, span, message),
        None => Diagnostic::whole(Code::TooFewValues, crate::Severity::Error, message),
    }
}

/// The first words of all conditions.
fn subjects() -> Vec<&'static str> {
    let mut words: Vec<_> =
        Fact::ALL.iter().filter_map(|fact| fact.info().words.split(' ').next()).collect();
    words.dedup();
    words
}

fn unknown_condition(text: &str, span: Span) -> Diagnostic {
    let message = format!("unknown condition \"{text}\"");
    let diagnostic = Diagnostic::error(Code::UnknownCondition, span, message);
    if RULE.directive(text).is_some() {
        return diagnostic.help("actions stand outside when { }");
    }
    if closest(text, &subjects()).is_some() {
        return diagnostic.suggest(text, &subjects());
    }
    let all: Vec<&str> = Fact::ALL.iter().map(|fact| fact.info().words).collect();
    diagnostic.suggest(text, &all)
}

fn unknown_action(text: &str, span: Span, allowed: &[&'static str]) -> Diagnostic {
    let message = format!("unknown condition or action \"{text}\" in rule");
    let diagnostic = Diagnostic::error(Code::UnknownDirective, span, message);
    if subjects().contains(&text) {
        return diagnostic
            .help("conditions stand inside when all { }, when any { } or when none { }");
    }
    let mut allowed = allowed.to_vec();
    allowed.insert(0, "when");
    diagnostic.suggest(text, &allowed)
}

fn unexpected(words: &[Word], at: usize, allowed: &[&'static str], reading: Reading) -> Diagnostic {
    let word = &words[at];
    let message = format!("\"{}\" cannot stand here", word.text);
    let code = if reading == Reading::Condition && allowed.contains(&"is") {
        Code::UnknownOperator
    } else {
        Code::UnknownValue
    };
    let diagnostic = Diagnostic::error(code, word.span, message);
    if code == Code::UnknownOperator {
        // `sender domian is`: perhaps the word should have gone on the subject.
        let before: Vec<&str> = words[..at].iter().map(|word| word.text.as_str()).collect();
        let next = |fact: &Fact| {
            let mut subject = fact.info().words.split(' ');
            let same = before.iter().all(|word| subject.next() == Some(*word));
            if same { subject.next() } else { None }
        };
        let longer: Vec<&str> = Fact::ALL.iter().filter_map(next).collect();
        if closest(&word.text, &longer).is_some() {
            return diagnostic.suggest(&word.text, &longer);
        }
    }
    run_together(diagnostic.suggest(&word.text, allowed), word, reading)
}

/// Says that a statement seems to begin at this word.
fn run_together(diagnostic: Diagnostic, word: &Word, reading: Reading) -> Diagnostic {
    let begins = match reading {
        Reading::Action => RULE.directive(&word.text).is_some(),
        Reading::Condition => subjects().contains(&word.text.as_str()),
        Reading::Entry => word.text.contains('.'),
    };
    match (begins && !word.quoted, reading) {
        (true, Reading::Entry) => diagnostic.help("each entry stands on a line of its own"),
        (true, Reading::Action | Reading::Condition) => {
            let text = &word.text;
            diagnostic.help(format!("put a ; or a new line before \"{text}\""))
        }
        (false, _) => diagnostic,
    }
}

fn not_a(text: &str, span: Span, expected: &str, error: &WordError) -> Diagnostic {
    if expected.contains("TLS version")
        && let Err(problem) = Kind::TlsVersion.read(text, "".as_ref())
    {
        return from_problem(span, problem);
    }
    if expected.contains("network")
        && let Some(diagnostic) = wrong_network(text, span)
    {
        return diagnostic;
    }
    let code = if expected.contains("pattern") { Code::BadPattern } else { Code::WrongType };
    Diagnostic::error(code, span, error.problem.to_string())
}

/// What is wrong with a text that was meant as a network.
pub(crate) fn wrong_network(text: &str, span: Span) -> Option<Diagnostic> {
    let problem = read_network(text).err().filter(|problem| problem.code != Code::WrongType)?;
    Some(from_problem(span, problem))
}

fn from_problem(span: Span, problem: crate::value::Problem) -> Diagnostic {
    let mut diagnostic = Diagnostic::error(problem.code, span, problem.message);
    diagnostic.help.extend(problem.help);
    diagnostic.replacement = problem.replacement;
    diagnostic
}
