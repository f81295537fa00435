//! What the analysis of `rules` finds, as diagnostics.

use std::sync::Arc;

use rules::analysis::{Code as Cause, Finding, Severity as Weight, analyse};
use rules::{Action, Origin, Policy, RuleSet, Setting, SignIn};
use smtp::Mechanism;

use super::Builder;
use crate::code::Code;
use crate::diagnostic::{Diagnostic, Severity};
use crate::source::{Sources, Span};

impl Builder<'_> {
    /// Analyses rules and compiles them; `None` when that found an error.
    pub(super) fn compile(&mut self, set: &RuleSet) -> Option<Arc<Policy>> {
        let findings = analyse(set);
        self.findings(&findings);
        self.mechanisms(set);
        if findings.iter().any(|finding| finding.severity == Weight::Error) {
            return None;
        }
        match set.compile() {
            Ok(policy) => Some(Arc::new(policy)),
            Err(findings) => {
                self.findings(&findings);
                None
            }
        }
    }

    /// Looks for mechanisms that this build does not have.
    fn mechanisms(&mut self, set: &RuleSet) {
        for statement in set.rules.iter().flat_map(|rule| &rule.then) {
            let Action::Set(
                Setting::PlainConnections(SignIn::Mechanisms(named))
                | Setting::TlsConnections(SignIn::Mechanisms(named)),
            ) = &statement.action
            else {
                continue;
            };
            if named.contains(&Mechanism::GssApi)
                && let Some(place) = place(&statement.origin, self.sources)
            {
                self.needs_gssapi(place);
            }
        }
    }

    fn findings(&mut self, findings: &[Finding]) {
        // Names are looked at where they are read, with the place of the very word.
        let known = |finding: &&Finding| finding.code != Cause::Unused;
        let trusted = self.trusted_networks;
        let found = findings.iter().filter(known).map(|finding| {
            let mut found = diagnostic(finding, self.sources);
            // What no rule is named for is about the networks that may relay.
            found.span = found.span.or(trusted.filter(|_| finding.code == Cause::OpenRelay));
            found
        });
        let found: Vec<Diagnostic> = found.collect();
        self.diagnostics.extend(found);
    }
}

/// A finding at its place in these texts.
pub(crate) fn diagnostic(finding: &Finding, sources: &Sources) -> Diagnostic {
    let severity = match finding.severity {
        Weight::Warning => Severity::Warning,
        Weight::Error => Severity::Error,
    };
    let mut diagnostic = Diagnostic::whole(code(finding.code), severity, &finding.message);
    diagnostic.span = place(&finding.origin, sources);
    if !finding.help.is_empty() {
        diagnostic = diagnostic.help(&finding.help);
    }
    match finding.related.as_ref().and_then(|origin| place(origin, sources)) {
        Some(span) => diagnostic.related(span, "the other one"),
        None => diagnostic,
    }
}

/// The word that begins at a place, or the whole line.
fn place(origin: &Origin, sources: &Sources) -> Option<Span> {
    if origin.is_built_in() {
        return None;
    }
    let (id, file) = sources.numbered().find(|(_, f)| f.path().to_string_lossy() == origin.file)?;
    let line = file.line(origin.line);
    let text = file.text().get(line.clone())?;
    let skipped = (origin.column.max(1) - 1) as usize;
    let start = text.char_indices().nth(skipped).map_or(text.len(), |(at, _)| at);
    let rest = &text[start..];
    let length = if origin.column == 0 {
        rest.len()
    } else {
        rest.find([' ', '\t', ',', ';', '{', '}']).unwrap_or(rest.len())
    };
    Some(Span::new(id, line.start + start..line.start + start + length))
}

const fn code(cause: Cause) -> Code {
    match cause {
        Cause::WrongType => Code::WrongType,
        Cause::UnknownName => Code::UnknownName,
        Cause::DefinedTwice => Code::DefinedTwice,
        Cause::BadPattern => Code::BadPattern,
        Cause::Unused => Code::Unused,
        Cause::StageTooLate => Code::StageTooLate,
        Cause::Unreachable => Code::UnreachableRule,
        Cause::NeverMatches => Code::NeverMatches,
        Cause::SettingUndone => Code::SettingUndone,
        Cause::DeadActions => Code::DeadActions,
        Cause::PlaintextAuthentication => Code::PlaintextAuthentication,
        Cause::OpenRelay => Code::OpenRelay,
        Cause::Overlap => Code::TablesOverlap,
        Cause::Questionable => Code::RuleQuestionable,
        Cause::WeakensForceEncrypt => Code::WeakensForceEncrypt,
        Cause::AnalysisLimit => Code::AnalysisLimit,
        Cause::DuplicateEntry => Code::DuplicateEntry,
        Cause::EntryExpired => Code::EntryExpired,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_the_same_on_both_sides() {
        for cause in [Cause::StageTooLate, Cause::WeakensForceEncrypt, Cause::EntryExpired] {
            assert_eq!(code(cause).to_string(), cause.text());
        }
    }
}
