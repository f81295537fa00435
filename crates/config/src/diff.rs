//! What differs between two texts: by line, and by statement.

use std::fmt;

use similar::TextDiff;

use crate::schema::{Context, Inside, TOP};
use crate::source::FileId;
use crate::tree::{Statement, Tree, quote};

/// How many lines of context a unified difference shows.
const CONTEXT_LINES: usize = 3;

/// The difference as `diff -u` shows it; empty when there is none.
pub fn unified(old: &str, new: &str, old_name: &str, new_name: &str) -> String {
    TextDiff::from_lines(old, new)
        .unified_diff()
        .context_radius(CONTEXT_LINES)
        .header(old_name, new_name)
        .to_string()
}

/// One statement that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The statements around it, outermost first: `listener mx`.
    pub path: Vec<String>,
    /// How it differs.
    pub kind: ChangeKind,
}

/// How a statement differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is new.
    Added {
        /// Its words.
        statement: String,
        /// Its line in the new text, from 1.
        line: u32,
    },
    /// It is gone.
    Removed {
        /// Its words.
        statement: String,
        /// Its line in the old text, from 1.
        line: u32,
    },
    /// It has other words.
    Changed {
        /// Its words before.
        from: String,
        /// Its words now.
        to: String,
        /// Its line in the new text, from 1.
        line: u32,
    },
    /// It stands at another place, where the order matters.
    Moved {
        /// Its words.
        statement: String,
        /// Its line in the new text, from 1.
        line: u32,
    },
}

impl fmt::Display for Change {
    /// `listener mx: port 25 is now port 2525`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path.join(" > "))?;
        }
        match &self.kind {
            ChangeKind::Added { statement, .. } => write!(f, "added {statement}"),
            ChangeKind::Removed { statement, .. } => write!(f, "removed {statement}"),
            ChangeKind::Changed { from, to, .. } => write!(f, "{from} is now {to}"),
            ChangeKind::Moved { statement, .. } => write!(f, "moved {statement}"),
        }
    }
}

/// The statements that differ, in the order of the new text; removed ones come first in
/// their block. Comments and spacing make no difference.
pub fn statements(old: &str, new: &str) -> Vec<Change> {
    let (old_tree, _) = Tree::parse(FileId::ROOT, old);
    let (new_tree, _) = Tree::parse(FileId::ROOT, new);
    let mut comparison = Comparison { old, new, path: Vec::new(), changes: Vec::new() };
    comparison.block(Some(&TOP), &old_tree.statements, &new_tree.statements);
    comparison.changes
}

struct Comparison<'a> {
    old: &'a str,
    new: &'a str,
    path: Vec<String>,
    changes: Vec<Change>,
}

/// A statement under the name by which it is found again.
struct Keyed<'t> {
    key: String,
    statement: &'t Statement,
    inner: Option<&'static Context>,
}

impl Comparison<'_> {
    fn block(&mut self, context: Option<&'static Context>, old: &[Statement], new: &[Statement]) {
        let (old, new) = (keyed(context, old), keyed(context, new));
        let mut new_index = std::collections::HashMap::new();
        for (at, one) in new.iter().enumerate() {
            new_index.insert(one.key.as_str(), at);
        }
        let mut old_index = std::collections::HashMap::new();
        for (at, one) in old.iter().enumerate() {
            old_index.insert(one.key.as_str(), at);
            if !new_index.contains_key(one.key.as_str()) {
                let line = line_of(self.old, one.statement);
                self.push(ChangeKind::Removed { statement: words(one.statement), line });
            }
        }
        let ordered = context.is_some_and(|context| context.ordered);
        let mut reached = 0;
        for one in &new {
            let line = line_of(self.new, one.statement);
            let Some(&at) = old_index.get(one.key.as_str()) else {
                self.push(ChangeKind::Added { statement: words(one.statement), line });
                continue;
            };
            if ordered && at < reached {
                self.push(ChangeKind::Moved { statement: words(one.statement), line });
            }
            reached = reached.max(at);
            let before = old[at].statement;
            if words(before) != words(one.statement) {
                let (from, to) = (words(before), words(one.statement));
                self.push(ChangeKind::Changed { from, to, line });
            }
            self.inside(one.inner, before, one.statement);
        }
    }

    fn inside(&mut self, context: Option<&'static Context>, old: &Statement, new: &Statement) {
        let block = |statement: &Statement| statement.block.is_some();
        let inner = |statement: &'_ Statement| -> Vec<Statement> {
            statement.block.as_ref().map_or(Vec::new(), |block| block.statements.clone())
        };
        if block(old) || block(new) {
            self.path.push(words(new));
            self.block(context, &inner(old), &inner(new));
            self.path.pop();
        }
    }

    fn push(&mut self, kind: ChangeKind) {
        self.changes.push(Change { path: self.path.clone(), kind });
    }
}

/// Gives each statement its key: the directive, with its first value where it can be there
/// more than once, else all its words; and a number where even these are the same.
fn keyed<'t>(context: Option<&'static Context>, statements: &'t [Statement]) -> Vec<Keyed<'t>> {
    let mut seen: std::collections::HashMap<String, usize> = std::collections::HashMap::new();
    let mut keyed = Vec::with_capacity(statements.len());
    for statement in statements {
        let directive = context.and_then(|context| context.directive(&statement.name().text));
        let named = |count: usize| {
            let words = statement.words.iter().take(count);
            words.map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ")
        };
        let key = match directive {
            Some(directive) if !directive.repeatable => named(1),
            Some(directive) if directive.context().is_some() => named(2),
            Some(_) => words(statement),
            None if context.is_some_and(|context| context.name == "when") => words(statement),
            None => named(1),
        };
        let count = seen.entry(key.clone()).or_default();
        *count += 1;
        let key = if *count == 1 { key } else { format!("{key} #{count}") };
        let inner = directive.and_then(|directive| {
            directive.forms.iter().find_map(|form| match form.inside {
                Inside::Statements(context) | Inside::Lines(context) => Some(context),
                Inside::Nothing => None,
            })
        });
        keyed.push(Keyed { key, statement, inner: inner.or(context.filter(|c| c.name == "when")) });
    }
    keyed
}

/// Quotes only where they are needed: they make no difference.
fn words(statement: &Statement) -> String {
    statement.words.iter().map(|word| quote(&word.text)).collect::<Vec<_>>().join(" ")
}

fn line_of(text: &str, statement: &Statement) -> u32 {
    let start = statement.span.range().start;
    1 + text[..start].bytes().filter(|&b| b == b'\n').count() as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    const OLD: &str = "hostname mx.example\nlistener mx { port 25; tls off }\nrules {\n  rule a { accept }\n  rule b { reject }\n}\nforce-encrypt {\n  bank.example\n  clinic.example # x\n}\n";
    const NEW: &str = "# moved\nhostname mx.example\nlistener mx { port 2525; tls off }\nrules {\n  rule b { when all { connection is tls }; reject }\n  rule a { accept }\n}\nforce-encrypt {\n  bank.example verified\n}\nlog { level debug }\n";

    #[test]
    fn changed_statements_are_named() {
        let changes = statements(OLD, NEW);
        let shown: Vec<String> = changes.iter().map(ToString::to_string).collect();
        expect![[r"
            listener mx: port 25 is now port 2525
            rules > rule b: added when all
            rules: moved rule a
            force-encrypt: removed clinic.example
            force-encrypt: bank.example is now bank.example verified
            added log"]]
        .assert_eq(&shown.join("\n"));
        assert_eq!(statements(OLD, &format!("# comment\n{OLD}")), []);
    }

    #[test]
    fn a_text_difference_is_unified() {
        let shown = unified("a\nb\n", "a\nc\n", "v1", "v2");
        assert_eq!(shown, "--- v1\n+++ v2\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n");
        assert_eq!(unified("a\n", "a\n", "v1", "v2"), "");
    }
}
