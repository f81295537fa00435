//! `config diff`.

use std::collections::BTreeSet;

use clap::Args;
use config::diff::{Change, ChangeKind, statements, unified};
use serde_json::{Value, json};

use super::text::Text;
use crate::cli::Global;
use crate::control::Answer;

/// `config diff`
#[derive(Args)]
#[command(after_help = "Examples:\n  \
    mailkeep config diff                 what is in force, and the file\n  \
    mailkeep config diff new.conf        what is in force, and new.conf\n  \
    mailkeep config diff v40 v42         two revisions\n  \
    mailkeep config diff old.conf new.conf")]
pub struct Options {
    /// A file, a revision such as v41, or - for standard input
    #[arg(value_name = "OLD")]
    first: Option<String>,
    /// The same
    #[arg(value_name = "NEW")]
    second: Option<String>,
}

/// Compares two texts: by statement for people, by line for reviewers.
pub fn compare(global: &Global, options: &Options) -> Result<Answer, Answer> {
    let (old, new) = texts(global, options)?;
    let changes = changes(&old, &new);
    let lines = lines(&old, &new);
    let json = json!({
        "schema": "mailkeep.config-diff/1",
        "old": old.name,
        "new": new.name,
        "same": changes.is_empty(),
        "changes": changes.iter().map(change).collect::<Vec<_>>(),
        "unified": lines,
    });
    if lines.is_empty() {
        return Ok(Answer::new(format!("{} and {} are the same.", old.name, new.name), json));
    }
    Ok(Answer::new(format!("{}\n{lines}", summary(&changes)), json))
}

/// The statements that differ, those of the files that both read among them.
pub fn changes(old: &Text, new: &Text) -> Vec<Change> {
    let mut all = statements(&old.content, &new.content);
    for path in paths(old, new) {
        let text = |of: &Text| of.files.get(path).cloned().unwrap_or_default();
        all.extend(statements(&text(old), &text(new)));
    }
    all
}

/// The same by line.
fn lines(old: &Text, new: &Text) -> String {
    let mut all = unified(&old.content, &new.content, &old.name, &new.name);
    for path in paths(old, new) {
        let text = |of: &Text| of.files.get(path).cloned().unwrap_or_default();
        let name = |of: &Text| format!("{} {path}", of.name);
        all.push_str(&unified(&text(old), &text(new), &name(old), &name(new)));
    }
    all
}

fn paths<'a>(old: &'a Text, new: &'a Text) -> BTreeSet<&'a String> {
    old.files.keys().chain(new.files.keys()).collect()
}

/// The statements that differ, one a line.
pub fn summary(changes: &[Change]) -> String {
    if changes.is_empty() {
        return "Only comments and spacing differ; nothing else would change.\n".to_owned();
    }
    let lines: Vec<String> = changes.iter().map(ToString::to_string).collect();
    lines.join("\n") + "\n"
}

fn texts(global: &Global, options: &Options) -> Result<(Text, Text), Answer> {
    let current = || match Text::in_force(global)? {
        Some(text) => Ok(text),
        // Without a server, the newest revision is what ran last.
        None => Text::revision(global, None),
    };
    Ok(match (&options.first, &options.second) {
        (None, _) => (current()?, Text::read(&super::file(global)?)?),
        (Some(new), None) => (current()?, Text::named(global, new)?),
        (Some(old), Some(new)) => (Text::named(global, old)?, Text::named(global, new)?),
    })
}

fn change(change: &Change) -> Value {
    let (kind, from, to, line) = match &change.kind {
        ChangeKind::Added { statement, line } => ("added", None, Some(statement), line),
        ChangeKind::Removed { statement, line } => ("removed", Some(statement), None, line),
        ChangeKind::Changed { from, to, line } => ("changed", Some(from), Some(to), line),
        ChangeKind::Moved { statement, line } => ("moved", None, Some(statement), line),
    };
    json!({ "path": change.path, "kind": kind, "from": from, "to": to, "line": line })
}
