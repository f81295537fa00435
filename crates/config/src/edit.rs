//! Changes to a text that touch nothing else: comments, spacing and order stay.
//!
//! A place is a path of statements, each named by its first words: `["listener mx", "port"]`.

use std::ops::Range;

use crate::diagnostic::Diagnostic;
use crate::format::{INDENT, line_end};
use crate::lexer::TokenKind;
use crate::source::FileId;
use crate::tree::{Block, Statement, Tree};

/// Why a text could not be changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The text has errors, so it is not clear where its statements end.
    #[error("the text has errors; correct them first")]
    Broken(Vec<Diagnostic>),
    /// There is no such statement.
    #[error("there is no {0} here")]
    NotFound(String),
    /// More than one statement begins so.
    #[error("{0} stands here more than once")]
    Ambiguous(String),
    /// The statement has no block to add to.
    #[error("{0} has no block")]
    NoBlock(String),
    /// What was to be written is not one statement.
    #[error("\"{0}\" is not one statement")]
    NotOneStatement(String),
}

/// Gives a statement other values, or adds it to its block if it is not there.
///
/// # Errors
///
/// [`EditError`]; the text is as it was.
pub fn set(text: &str, path: &[&str], values: &str) -> Result<String, EditError> {
    let tree = tree(text)?;
    let (&last, parents) = path.split_last().ok_or_else(|| not_found(""))?;
    one_statement(&format!("{last} {values}"))?;
    match find(&tree, path) {
        Ok(statement) => {
            let named = words(last)?.len();
            let old = match (statement.words.get(named), statement.words.last()) {
                (Some(first), Some(end)) => first.span.to(end.span).range(),
                (None, _) | (_, None) => statement.head().range().end..statement.head().range().end,
            };
            let gap = if old.is_empty() && !values.is_empty() { " " } else { "" };
            Ok(splice(text, old, &format!("{gap}{values}")))
        }
        Err(EditError::NotFound(_)) => add(text, parents, format!("{last} {values}").trim_end()),
        Err(error) => Err(error),
    }
}

/// Puts words behind the last word of a statement, or adds it to its block if it is not there.
///
/// # Errors
///
/// [`EditError`]; the text is as it was.
pub fn append(text: &str, path: &[&str], values: &str) -> Result<String, EditError> {
    let (&last, parents) = path.split_last().ok_or_else(|| not_found(""))?;
    one_statement(&format!("{last} {values}"))?;
    match find(&tree(text)?, path) {
        Ok(statement) => {
            let end = statement.words.last().map_or(statement.head(), |word| word.span);
            Ok(splice(text, end.range().end..end.range().end, &format!(" {values}")))
        }
        Err(EditError::NotFound(step)) if step == last => {
            add(text, parents, &format!("{last} {values}"))
        }
        Err(error) => Err(error),
    }
}

/// Adds a statement at the end of a block, or of the file when the path is empty.
///
/// # Errors
///
/// [`EditError`]; the text is as it was.
pub fn add(text: &str, path: &[&str], statement: &str) -> Result<String, EditError> {
    let tree = tree(text)?;
    one_statement(statement)?;
    let end = line_end(text);
    let Some(name) = path.last() else {
        let gap = if text.is_empty() || text.ends_with('\n') { "" } else { end };
        return Ok(format!("{text}{gap}{statement}{end}"));
    };
    let block =
        find(&tree, path)?.block.as_ref().ok_or_else(|| EditError::NoBlock((*name).to_owned()))?;
    let inside = block.open.range().end..block.close.range().start;
    if !text[inside.clone()].contains('\n') {
        let (at, before) = match block.statements.last() {
            Some(last) => (last.span.range().end, "; "),
            None => (inside.start, " "),
        };
        let after = if block.statements.is_empty() && inside.is_empty() { " " } else { "" };
        return Ok(splice(text, at..at, &format!("{before}{statement}{after}")));
    }
    let (at, indent) = end_of_block(text, block, path.len());
    let line = if at == block.close.range().start && !text[..at].ends_with('\n') {
        format!("{end}{indent}{statement}{end}")
    } else {
        format!("{indent}{statement}{end}")
    };
    Ok(splice(text, at..at, &line))
}

/// Removes a statement, with the comment behind it on its line. Comments above it stay.
///
/// # Errors
///
/// [`EditError`]; the text is as it was.
pub fn remove(text: &str, path: &[&str]) -> Result<String, EditError> {
    let tree = tree(text)?;
    let range = find(&tree, path)?.span.range();
    let line_start = text[..range.start].rfind('\n').map_or(0, |at| at + 1);
    let line_stop = text[range.end..].find('\n').map_or(text.len(), |at| range.end + at + 1);
    let alone_before = text[line_start..range.start].trim().is_empty();
    let after = text[range.end..line_stop].trim_start_matches([' ', '\t', ';']).trim_end();
    if alone_before && (after.is_empty() || after.starts_with('#')) {
        return Ok(splice(text, line_start..line_stop, ""));
    }
    Ok(splice(text, with_separator(&tree, range), ""))
}

/// The range of a statement among others on its line, with one `;` and its blanks.
fn with_separator(tree: &Tree, range: Range<usize>) -> Range<usize> {
    let tokens = tree.tokens();
    let mut end = range.end;
    for token in tokens.iter().filter(|token| token.start as usize >= range.end) {
        match token.kind {
            TokenKind::Blank => {}
            TokenKind::Semicolon => end = token.range().end,
            TokenKind::Word | TokenKind::Quoted => {
                if end != range.end {
                    return range.start..token.range().start;
                }
                break;
            }
            TokenKind::Newline | TokenKind::Comment | TokenKind::Open | TokenKind::Close => break,
        }
    }
    // The last statement of its line: the separator before it goes.
    let mut start = range.start;
    for token in tokens.iter().rev().filter(|token| token.end as usize <= range.start) {
        match token.kind {
            TokenKind::Blank => start = token.range().start,
            TokenKind::Semicolon => return token.range().start..end,
            TokenKind::Word
            | TokenKind::Quoted
            | TokenKind::Newline
            | TokenKind::Comment
            | TokenKind::Open
            | TokenKind::Close => break,
        }
    }
    start..end
}

/// Where a new last line of a block goes, and how it is indented.
fn end_of_block(text: &str, block: &Block, depth: usize) -> (usize, String) {
    let close = block.close.range().start;
    let line_start = text[..close].rfind('\n').map_or(0, |at| at + 1);
    let at = if text[line_start..close].trim().is_empty() { line_start } else { close };
    let indent = block.statements.last().and_then(|last| {
        let start = last.span.range().start;
        let line = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let indent = &text[line..start];
        indent.trim().is_empty().then(|| indent.to_owned())
    });
    (at, indent.unwrap_or_else(|| INDENT.repeat(depth)))
}

fn tree(text: &str) -> Result<Tree, EditError> {
    let (tree, diagnostics) = Tree::parse(FileId::ROOT, text);
    if diagnostics.is_empty() { Ok(tree) } else { Err(EditError::Broken(diagnostics)) }
}

fn words(step: &str) -> Result<Vec<String>, EditError> {
    let (tree, diagnostics) = Tree::parse(FileId::ROOT, step);
    match &tree.statements[..] {
        [one] if diagnostics.is_empty() && one.block.is_none() => {
            Ok(one.words.iter().map(|word| word.text.clone()).collect())
        }
        _ => Err(EditError::NotOneStatement(step.to_owned())),
    }
}

fn one_statement(statement: &str) -> Result<(), EditError> {
    let (tree, diagnostics) = Tree::parse(FileId::ROOT, statement);
    let whole = tree.tokens().iter().all(|token| token.kind != TokenKind::Comment);
    if tree.statements.len() == 1 && diagnostics.is_empty() && whole {
        Ok(())
    } else {
        Err(EditError::NotOneStatement(statement.to_owned()))
    }
}

fn not_found(step: &str) -> EditError {
    EditError::NotFound(step.to_owned())
}

fn find<'t>(tree: &'t Tree, path: &[&str]) -> Result<&'t Statement, EditError> {
    let mut statements = &tree.statements[..];
    let mut found = None;
    for step in path {
        let wanted = words(step)?;
        let begins = |statement: &&Statement| {
            wanted.len() <= statement.words.len()
                && wanted.iter().zip(&statement.words).all(|(wanted, word)| *wanted == word.text)
        };
        let mut fitting = statements.iter().filter(begins);
        let statement = fitting.next().ok_or_else(|| not_found(step))?;
        if fitting.next().is_some() {
            return Err(EditError::Ambiguous((*step).to_owned()));
        }
        statements = statement.block.as_ref().map_or(&[][..], |block| &block.statements);
        found = Some(statement);
    }
    found.ok_or_else(|| not_found(""))
}

fn splice(text: &str, range: Range<usize>, with: &str) -> String {
    format!("{}{with}{}", &text[..range.start], &text[range.end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# the server
hostname  mx.example   # its name
listener mx { port 25; tls off }
force-encrypt {
    bank.example   verified  # contract
    # the lab
    192.0.2.1
}
";

    #[test]
    fn a_change_touches_its_own_words_only() {
        let changed = set(TEXT, &["listener mx", "port"], "2525").unwrap();
        assert_eq!(changed, TEXT.replace("port 25;", "port 2525;"));
        let changed = set(TEXT, &["hostname"], "other.example").unwrap();
        assert_eq!(changed, TEXT.replace("mx.example ", "other.example "));
        let changed = set(TEXT, &["force-encrypt", "192.0.2.1"], "verified").unwrap();
        assert_eq!(changed, TEXT.replace("192.0.2.1", "192.0.2.1 verified"));
    }

    #[test]
    fn what_is_not_there_is_added_in_its_block() {
        let changed = set(TEXT, &["listener mx", "auth"], "off").unwrap();
        assert_eq!(changed, TEXT.replace("tls off }", "tls off; auth off }"));
        let changed = add(TEXT, &["force-encrypt"], "clinic.example").unwrap();
        assert_eq!(changed, TEXT.replace("192.0.2.1\n", "192.0.2.1\n    clinic.example\n"));
        let changed = add(TEXT, &[], "log { level debug }").unwrap();
        assert_eq!(changed, format!("{TEXT}log {{ level debug }}\n"));
        assert_eq!(add("a { }", &["a"], "b").unwrap(), "a { b }");
        assert_eq!(add("a {}", &["a"], "b").unwrap(), "a { b }");
        assert_eq!(add("a {\n}\n", &["a"], "b").unwrap(), "a {\n    b\n}\n");
    }

    #[test]
    fn words_are_put_behind_those_that_are_there() {
        let changed = append(TEXT, &["force-encrypt", "bank.example"], "until 2030-01-01").unwrap();
        assert_eq!(changed, TEXT.replace("verified ", "verified until 2030-01-01 "));
        let changed = append(TEXT, &["force-encrypt", "clinic.example"], "verified").unwrap();
        let added = "192.0.2.1\n    clinic.example verified\n";
        assert_eq!(changed, TEXT.replace("192.0.2.1\n", added));
        assert_eq!(append(TEXT, &["no such", "port"], "25"), Err(not_found("no such")));
    }

    #[test]
    fn removing_takes_the_line_and_leaves_the_comments_above() {
        let changed = remove(TEXT, &["force-encrypt", "bank.example"]).unwrap();
        assert_eq!(changed, TEXT.replace("    bank.example   verified  # contract\n", ""));
        let changed = remove(TEXT, &["listener mx", "port"]).unwrap();
        assert_eq!(changed, TEXT.replace("port 25; ", ""));
        let changed = remove(TEXT, &["listener mx", "tls"]).unwrap();
        assert_eq!(changed, TEXT.replace("; tls off", ""));
    }

    #[test]
    fn what_is_unclear_is_refused() {
        assert_eq!(remove(TEXT, &["listener smtps"]), Err(not_found("listener smtps")));
        assert_eq!(remove("a b\na c\n", &["a"]), Err(EditError::Ambiguous("a".into())));
        assert!(matches!(add(TEXT, &["hostname"], "x"), Err(EditError::NoBlock(_))));
        assert!(matches!(set(TEXT, &["hostname"], "x; y"), Err(EditError::NotOneStatement(_))));
        assert!(matches!(set("a {", &["a"], "b"), Err(EditError::Broken(_))));
    }
}
