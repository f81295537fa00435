//! The canonical form of a text: indentation and spacing, with every comment kept.

use crate::diagnostic::Diagnostic;
use crate::lexer::{Token, TokenKind};
use crate::source::FileId;
use crate::tree::Tree;

/// The blanks of one level of indentation.
pub const INDENT: &str = "    ";

/// Writes a text in canonical form. Line breaks stay where they are, except that a block
/// that is not on one line begins and ends its own lines; runs of blank lines become
/// one, and spaces that line words up stay. Doing it twice changes nothing, and no
/// statement changes.
///
/// # Errors
///
/// The findings, when the text has no tree without errors: its braces or quotes do not match.
pub fn format(text: &str) -> Result<String, Vec<Diagnostic>> {
    let (tree, diagnostics) = Tree::parse(FileId::ROOT, text);
    if !diagnostics.is_empty() {
        return Err(diagnostics);
    }
    let mut writer = Writer::new(&tree, line_end(text));
    for (at, token) in tree.tokens().iter().enumerate() {
        writer.token(at, *token);
    }
    writer.finish_line();
    Ok(writer.out)
}

/// The line end that a text uses first.
pub(crate) fn line_end(text: &str) -> &'static str {
    let first = text.find('\n');
    if first.is_some_and(|at| text[..at].ends_with('\r')) { "\r\n" } else { "\n" }
}

struct Writer<'a> {
    tree: &'a Tree,
    line_end: &'static str,
    out: String,
    line: String,
    /// For each open block, whether it spreads over lines.
    blocks: Vec<bool>,
    /// The blanks before the next token, as they stand in the text.
    blank: &'a str,
    /// A `;` that is written only if a statement follows on the line.
    semicolon: bool,
    /// What was written last on this line, if anything.
    last: Option<TokenKind>,
    /// Line ends since the last line with something on it.
    line_ends: usize,
    /// The last line opened a block, or there is none: no blank line follows.
    opened: bool,
}

impl<'a> Writer<'a> {
    fn new(tree: &'a Tree, line_end: &'static str) -> Self {
        Self {
            tree,
            line_end,
            out: String::new(),
            line: String::new(),
            blocks: Vec::new(),
            blank: "",
            semicolon: false,
            last: None,
            line_ends: 0,
            opened: true,
        }
    }

    fn token(&mut self, at: usize, token: Token) {
        let text = self.tree.token_text(token);
        match token.kind {
            TokenKind::Blank => self.blank = text,
            TokenKind::Newline => {
                if self.last.is_some() {
                    self.finish_line();
                }
                self.line_ends += 1;
                self.blank = "";
            }
            TokenKind::Semicolon => {
                self.semicolon = self.last.is_some();
                self.blank = "";
            }
            TokenKind::Word | TokenKind::Quoted => {
                if self.last == Some(TokenKind::Open) && self.blocks.last() == Some(&true) {
                    self.finish_line();
                }
                self.before_word();
                self.put(token.kind, text);
            }
            TokenKind::Open => {
                self.spaces();
                self.put(token.kind, text);
                self.blocks.push(self.spreads(at));
            }
            TokenKind::Close => self.close(text),
            TokenKind::Comment => self.comment(text),
        }
    }

    fn put(&mut self, kind: TokenKind, text: &str) {
        self.line.push_str(text);
        self.last = Some(kind);
        self.blank = "";
        self.semicolon = false;
    }

    fn before_word(&mut self) {
        match self.last {
            None => self.start_line(),
            Some(_) if self.semicolon => self.line.push_str("; "),
            Some(TokenKind::Word | TokenKind::Quoted) => {
                let blank = match self.blank {
                    blank if blank.contains(',') => ", ",
                    blank if blank.bytes().all(|b| b == b' ') => blank,
                    _ => " ",
                };
                self.line.push_str(blank);
            }
            Some(
                TokenKind::Open
                | TokenKind::Close
                | TokenKind::Semicolon
                | TokenKind::Blank
                | TokenKind::Newline
                | TokenKind::Comment,
            ) => self.line.push(' '),
        }
    }

    /// The spaces that stand here, at least one: they may line things up.
    fn spaces(&mut self) {
        let given = !self.blank.is_empty() && self.blank.bytes().all(|b| b == b' ');
        self.line.push_str(if given { self.blank } else { " " });
    }

    fn comment(&mut self, text: &str) {
        if self.last.is_some() {
            self.spaces();
        } else {
            self.start_line();
        }
        self.put(TokenKind::Comment, text.trim_end());
    }

    fn close(&mut self, text: &str) {
        let spread = self.blocks.pop().unwrap_or(false);
        if spread {
            if self.last.is_some() {
                self.finish_line();
            }
            self.line_ends = 0;
            self.start_line();
        } else {
            self.line.push(' ');
        }
        self.put(TokenKind::Close, text);
    }

    /// Whether there is a line end between this opening brace and its closing one.
    fn spreads(&self, open: usize) -> bool {
        let mut depth = 0usize;
        for token in &self.tree.tokens()[open..] {
            match token.kind {
                TokenKind::Open => depth += 1,
                TokenKind::Close => depth -= 1,
                TokenKind::Newline => return true,
                TokenKind::Word
                | TokenKind::Quoted
                | TokenKind::Blank
                | TokenKind::Comment
                | TokenKind::Semicolon => {}
            }
            if depth == 0 {
                return false;
            }
        }
        false
    }

    fn start_line(&mut self) {
        if self.line_ends > 1 && !self.opened {
            self.out.push_str(self.line_end);
        }
        for _ in &self.blocks {
            self.line.push_str(INDENT);
        }
    }

    fn finish_line(&mut self) {
        if self.last.is_none() {
            return;
        }
        self.opened = self.opens_block();
        self.out.push_str(self.line.trim_end());
        self.out.push_str(self.line_end);
        self.line.clear();
        self.last = None;
        self.semicolon = false;
        self.line_ends = 0;
    }

    /// Whether the line ends inside a block that began on it.
    fn opens_block(&self) -> bool {
        self.last == Some(TokenKind::Open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Statement;
    use expect_test::expect;
    use proptest::prelude::*;

    #[test]
    fn blocks_are_indented_and_comments_stay() {
        let text = "\n\n# top\nhostname\tmx.example  # name\n\n\n\nrules{rule a{accept;;}\nrule b { \
                    # why\n\n  when all {connection is tls}\n      reject;}\n\n}\n\
                    listener x {port 25;tls off}\ntable t domains { }\n";
        expect![[r"
            # top
            hostname mx.example  # name

            rules {
                rule a { accept }
                rule b { # why

                    when all { connection is tls }
                    reject
                }
            }
            listener x { port 25; tls off }
            table t domains { }
        "]]
        .assert_eq(&format(text).unwrap());
    }

    #[test]
    fn line_ends_stay_as_they_are() {
        assert_eq!(format("a  b\r\n  c,d\r\n").unwrap(), "a  b\r\nc, d\r\n");
    }

    #[test]
    fn a_text_whose_braces_do_not_match_is_left_alone() {
        assert!(format("a {\n b\n").is_err());
    }

    fn words(statements: &[Statement]) -> Vec<String> {
        let one = |s: &Statement| {
            let own: Vec<_> = s.words.iter().map(|w| (&w.text, w.quoted)).collect();
            let inner = s.block.as_ref().map(|b| words(&b.statements));
            format!("{own:?}{inner:?}")
        };
        statements.iter().map(one).collect()
    }

    fn comments(tree: &Tree) -> Vec<&str> {
        let comments = tree.tokens().iter().filter(|t| t.kind == TokenKind::Comment);
        comments.map(|t| tree.token_text(*t).trim_end()).collect()
    }

    proptest! {
        #[test]
        fn formatting_twice_is_formatting_once_and_changes_no_statement(
            text in "(ab|c|\"q \"|[ \t,]|\n|\r\n|;|# x y \n|\\{|\\}|\n\n)*"
        ) {
            let Ok(once) = format(&text) else { return Ok(()) };
            prop_assert_eq!(&format(&once).unwrap(), &once);
            let (before, _) = Tree::parse(FileId::ROOT, &text);
            let (after, _) = Tree::parse(FileId::ROOT, &once);
            prop_assert_eq!(words(&before.statements), words(&after.statements));
            prop_assert_eq!(comments(&before), comments(&after));
        }
    }
}
