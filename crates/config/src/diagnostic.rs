//! What is wrong with a configuration, where, and what to write instead.

use std::fmt::Write as _;

use serde_json::json;

use crate::code::Code;
use crate::source::{FileId, Sources, Span};

/// The most diagnostics that are kept of one check.
pub const DIAGNOSTICS_MAX: usize = 500;
/// How much similarity a suggestion needs.
const SIMILARITY_MIN: f64 = 0.6;
/// The longest part of a source line that is shown, in characters.
const SHOWN_LINE_MAX_CHARS: usize = 160;

/// How bad it is. Warnings never block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration can be used and probably is not what was meant.
    Warning,
    /// The configuration cannot be used.
    Error,
}

impl Severity {
    /// The word shown: `error` or `warning`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One finding of the checker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The cause.
    pub code: Code,
    /// Whether it blocks.
    pub severity: Severity,
    /// What is wrong here, in one line.
    pub message: String,
    /// Where; `None` for what is missing from the file as a whole.
    pub span: Option<Span>,
    /// Other places that belong to it: "first given here".
    pub related: Vec<(Span, String)>,
    /// What to do.
    pub help: Vec<String>,
    /// Why.
    pub notes: Vec<String>,
    /// The text that, put in place of the span, is right beyond doubt.
    pub replacement: Option<String>,
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Error, Some(span), message.into())
    }

    /// A warning at a place.
    pub fn warning(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Warning, Some(span), message.into())
    }

    /// A finding about the configuration as a whole.
    pub fn whole(code: Code, severity: Severity, message: impl Into<String>) -> Self {
        Self::new(code, severity, None, message.into())
    }

    fn new(code: Code, severity: Severity, span: Option<Span>, message: String) -> Self {
        let (related, help, notes) = (Vec::new(), Vec::new(), Vec::new());
        Self { code, severity, message, span, related, help, notes, replacement: None }
    }

    /// Adds a line that says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// Adds a line that says why.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Adds a place that belongs to it.
    #[must_use]
    pub fn related(mut self, span: Span, text: impl Into<String>) -> Self {
        self.related.push((span, text.into()));
        self
    }

    /// Offers a text for the span.
    #[must_use]
    pub fn replace_with(mut self, text: impl Into<String>) -> Self {
        self.replacement = Some(text.into());
        self
    }

    /// Suggests the most similar of `allowed`, or lists them all.
    #[must_use]
    pub fn suggest(self, written: &str, allowed: &[&str]) -> Self {
        match closest(written, allowed) {
            Some(word) => self.help(format!("did you mean \"{word}\"?")).replace_with(word),
            None if allowed.is_empty() => self,
            None => self.help(format!("write {}", one_of(allowed))),
        }
    }

    /// Whether it blocks.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// The word most similar to `written`, if any is similar enough.
pub fn closest<'a>(written: &str, allowed: &[&'a str]) -> Option<&'a str> {
    let written = written.to_lowercase();
    allowed
        .iter()
        .map(|word| (strsim::normalized_damerau_levenshtein(&written, word), *word))
        .filter(|(similarity, _)| *similarity > SIMILARITY_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, word)| word)
}

/// `a`, `a or b`, `a, b or c`.
pub fn one_of(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [head @ .., last] => format!("{} or {last}", head.join(", ")),
    }
}

/// Whether any of them blocks.
pub fn has_errors(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(Diagnostic::is_error)
}

/// Puts findings in the order of the text and drops repetitions; those without
/// a place come last.
pub fn sort(diagnostics: &mut Vec<Diagnostic>) {
    let key = |d: &Diagnostic| (d.span.is_none(), d.span, std::cmp::Reverse(d.severity), d.code);
    diagnostics.sort_by_key(key);
    diagnostics.dedup();
    diagnostics.truncate(DIAGNOSTICS_MAX);
}

/// The text for people: one block a finding, then a line that counts them.
pub fn render(diagnostics: &[Diagnostic], sources: &Sources) -> String {
    let mut text = String::new();
    for diagnostic in diagnostics {
        text.push_str(&render_one(diagnostic, sources));
        text.push('\n');
    }
    let errors = diagnostics.iter().filter(|d| d.is_error()).count();
    let warnings = diagnostics.len() - errors;
    let count = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
    if !diagnostics.is_empty() {
        let _ = writeln!(text, "{}, {}", count(errors, "error"), count(warnings, "warning"));
    }
    text
}

/// The text of one finding, ended by a line end.
pub fn render_one(diagnostic: &Diagnostic, sources: &Sources) -> String {
    let Diagnostic { code, severity, message, .. } = diagnostic;
    let mut text = format!("{}[{code}]: {}\n", severity.word(), shown(message));
    let width = diagnostic
        .span
        .iter()
        .chain(diagnostic.related.iter().map(|(span, _)| span))
        .map(|&span| sources.line(span).to_string().len())
        .max()
        .unwrap_or(1);
    if let Some(span) = diagnostic.span {
        excerpt(&mut text, sources, span, width, "-->", "");
        for (span, label) in &diagnostic.related {
            excerpt(&mut text, sources, *span, width, ":::", label);
        }
    }
    for help in &diagnostic.help {
        let _ = writeln!(text, "{:width$} = help: {}", "", shown(help));
    }
    for note in &diagnostic.notes {
        let _ = writeln!(text, "{:width$} = note: {}", "", shown(note));
    }
    text
}

fn excerpt(
    text: &mut String,
    sources: &Sources,
    span: Span,
    width: usize,
    arrow: &str,
    label: &str,
) {
    let file = sources.file(span.file);
    let place = file.position(span.start);
    let path = shown(&file.path().to_string_lossy());
    let _ = writeln!(text, "{:width$}{arrow} {path}:{}:{}", "", place.line, place.column);
    let range = file.line(place.line);
    let line = &file.text()[range.clone()];
    let start = place.column as usize - 1;
    let last = (span.end as usize).clamp(range.start, range.end.max(range.start));
    let covered = file.text().get(span.start as usize..last.max(span.start as usize));
    let length = covered.map_or(1, |covered| covered.chars().count()).max(1);
    let skipped = (start + length.min(40)).saturating_sub(SHOWN_LINE_MAX_CHARS);
    let window: String = line.chars().skip(skipped).take(SHOWN_LINE_MAX_CHARS).collect();
    let length = length.min(SHOWN_LINE_MAX_CHARS.saturating_sub(start - skipped).max(1));
    let indent: String =
        window.chars().take(start - skipped).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    let marks = format!("{}{}", indent.replace('\t', TAB_SHOWN), "^".repeat(length));
    let _ = writeln!(text, "{:width$} |", "");
    let _ = writeln!(text, "{:width$} | {}", place.line, shown(&window).trim_end());
    let _ =
        writeln!(text, "{:width$} | {marks}{}{label}", "", if label.is_empty() { "" } else { " " });
}

const TAB_SHOWN: &str = "    ";

/// The text without anything that a terminal would obey.
fn shown(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => safe.push_str(TAB_SHOWN),
            c if c.is_control() => safe.push('\u{fffd}'),
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                safe.push('\u{fffd}');
            }
            c => safe.push(c),
        }
    }
    safe
}

/// The text of the root file with every fix that is beyond doubt, and how many there are.
/// Places in other files, and places that overlap one before them, are left alone.
pub fn fix(text: &str, diagnostics: &[Diagnostic]) -> (String, usize) {
    let mut fixes: Vec<(std::ops::Range<usize>, &str)> = diagnostics
        .iter()
        .filter_map(|d| {
            Some((d.span.filter(|s| s.file == FileId::ROOT)?, d.replacement.as_deref()?))
        })
        .map(|(span, replacement)| (span.range(), replacement))
        .collect();
    fixes.sort_by_key(|(range, _)| range.start);
    let (mut result, mut at, mut count) = (String::with_capacity(text.len()), 0, 0);
    for (range, replacement) in fixes {
        let Some(between) = text.get(at..range.start) else { continue };
        if text.get(range.clone()).is_none() {
            continue;
        }
        result.extend([between, replacement]);
        (at, count) = (range.end, count + 1);
    }
    result.push_str(text.get(at..).unwrap_or(""));
    (result, count)
}

/// The form for programs (`mailkeep.config-check/1`).
///
/// Each item has `code`, `severity`, `message`, `file`, `line`, `column`, `start` and
/// `end` (octets), `help`, `notes`, and `replacement` where the fix is beyond doubt.
pub fn to_json(diagnostics: &[Diagnostic], sources: &Sources) -> serde_json::Value {
    let place = |span: Span| {
        let (path, position) = sources.locate(span);
        json!({
            "file": path.to_string_lossy(), "line": position.line, "column": position.column,
            "start": span.start, "end": span.end,
        })
    };
    let item = |d: &Diagnostic| {
        let mut item = d.span.map_or_else(|| json!({}), place);
        item["code"] = json!(d.code.to_string());
        item["severity"] = json!(d.severity.word());
        item["message"] = json!(d.message);
        item["help"] = json!(d.help);
        item["notes"] = json!(d.notes);
        let related = d.related.iter().map(|(span, label)| {
            let mut related = place(*span);
            related["message"] = json!(label);
            related
        });
        item["related"] = related.collect();
        if let Some(replacement) = &d.replacement {
            item["replacement"] = json!(replacement);
        }
        item
    };
    json!({
        "schema": "mailkeep.config-check/1",
        "ok": !has_errors(diagnostics),
        "items": diagnostics.iter().map(item).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn one_line(text: &str, range: std::ops::Range<usize>) -> (Sources, Span) {
        let mut sources = Sources::default();
        let file = sources.add("mailkeep.conf", text).unwrap();
        assert_eq!(file, FileId::ROOT);
        (sources, Span::new(file, range))
    }

    #[test]
    fn a_finding_points_at_its_words() {
        let (sources, span) = one_line("a\n\tport  teh\u{1b}[0m x\n", 9..16);
        let diagnostic = Diagnostic::error(Code::WrongType, span, "not a port")
            .help("write a number")
            .related(Span::new(FileId::ROOT, 0..1), "first given here");
        expect![[r"
            error[C109]: not a port
             --> mailkeep.conf:2:8
              |
            2 |     port  teh�[0m x
              |           ^^^^^^^
             ::: mailkeep.conf:1:1
              |
            1 | a
              | ^ first given here
              = help: write a number
        "]]
        .assert_eq(&render_one(&diagnostic, &sources));
    }

    #[test]
    fn a_very_long_line_is_shown_around_the_place() {
        let text = format!("{}here{}", "x ".repeat(5_000), " y".repeat(5_000));
        let (sources, span) = one_line(&text, 10_000..10_004);
        let shown = render_one(&Diagnostic::error(Code::WrongType, span, "m"), &sources);
        assert!(shown.lines().all(|line| line.chars().count() < 200));
        assert!(shown.contains("here"));
    }

    #[test]
    fn suggestions_are_close_or_complete() {
        let allowed = ["starttls", "implicit", "off"];
        assert_eq!(closest("startls", &allowed), Some("starttls"));
        assert_eq!(closest("mandatory", &allowed), None);
        assert_eq!(one_of(&allowed), "starttls, implicit or off");
    }
}
