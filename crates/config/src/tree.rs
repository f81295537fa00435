//! The syntax tree: statements over a list of tokens that keeps every octet.

use std::ops::Range;

use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::lexer::{Token, TokenKind, lex};
use crate::source::{FileId, Span};

/// How deep blocks may nest.
pub const DEPTH_MAX: usize = 16;
/// The most statements in one file.
pub const STATEMENTS_MAX: usize = 500_000;
/// The most words in one statement.
pub const WORDS_MAX: usize = 4_096;

/// A text, its tokens and its statements. Joined tokens are the text again.
#[derive(Debug, Clone)]
pub struct Tree {
    text: String,
    tokens: Vec<Token>,
    /// The statements outside every block.
    pub statements: Vec<Statement>,
}

/// `word { word } [ block ]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The words, never none.
    pub words: Vec<Word>,
    /// What stands between its braces.
    pub block: Option<Block>,
    /// From the first word to the last word or the closing brace.
    pub span: Span,
}

/// The inside of a pair of braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The statements.
    pub statements: Vec<Statement>,
    /// The opening brace.
    pub open: Span,
    /// The closing brace; the end of the text if it is missing.
    pub close: Span,
}

/// One word, unquoted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// The text without quotes and escapes.
    pub text: String,
    /// Whether it stood in quotes.
    pub quoted: bool,
    /// Where it stands, quotes included.
    pub span: Span,
}

impl Statement {
    /// The first word: what the statement is about.
    pub fn name(&self) -> &Word {
        &self.words[0]
    }

    /// The words after the first.
    pub fn arguments(&self) -> &[Word] {
        &self.words[1..]
    }

    /// From the first to the last word, without the block.
    pub fn head(&self) -> Span {
        self.words[0].span.to(self.words[self.words.len() - 1].span)
    }
}

impl Tree {
    /// Reads a text. There is always a tree; what is wrong is in the diagnostics.
    pub fn parse(file: FileId, text: &str) -> (Self, Vec<Diagnostic>) {
        let (tokens, errors) = lex(text);
        let mut diagnostics: Vec<Diagnostic> = errors
            .into_iter()
            .map(|e| Diagnostic::error(e.code, Span::new(file, e.range), e.message))
            .collect();
        let mut parser =
            Parser { file, text, tokens: &tokens, at: 0, count: 0, diagnostics: Vec::new() };
        let statements = parser.statements(0);
        diagnostics.append(&mut parser.diagnostics);
        (Self { text: text.to_owned(), tokens, statements }, diagnostics)
    }

    /// The text, exactly as it was read.
    pub fn to_text(&self) -> String {
        self.tokens.iter().map(|token| &self.text[token.range()]).collect()
    }

    /// The tokens in order.
    pub fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// The text of a token of this tree.
    pub fn token_text(&self, token: Token) -> &str {
        &self.text[token.range()]
    }
}

struct Parser<'a> {
    file: FileId,
    text: &'a str,
    tokens: &'a [Token],
    at: usize,
    count: usize,
    diagnostics: Vec<Diagnostic>,
}

impl Parser<'_> {
    fn peek(&self) -> Option<Token> {
        self.tokens.get(self.at).copied()
    }

    fn span(&self, range: Range<usize>) -> Span {
        Span::new(self.file, range)
    }

    fn error(&mut self, code: Code, range: Range<usize>, message: &str) {
        let span = self.span(range);
        self.diagnostics.push(Diagnostic::error(code, span, message));
    }

    /// Statements up to the closing brace of this depth, which is left unread, or the end.
    fn statements(&mut self, depth: usize) -> Vec<Statement> {
        let mut statements = Vec::new();
        while let Some(token) = self.peek() {
            match token.kind {
                TokenKind::Blank
                | TokenKind::Newline
                | TokenKind::Comment
                | TokenKind::Semicolon => self.at += 1,
                TokenKind::Close if depth > 0 => break,
                TokenKind::Close => {
                    self.error(Code::BraceNotOpened, token.range(), "this } closes nothing");
                    self.at += 1;
                }
                TokenKind::Open => {
                    let message = "a { must stand on the line of its statement";
                    self.error(Code::BraceWithoutName, token.range(), message);
                    self.block(depth);
                }
                TokenKind::Word | TokenKind::Quoted => {
                    let statement = self.statement(depth);
                    self.count += 1;
                    match self.count {
                        count if count <= STATEMENTS_MAX => statements.push(statement),
                        count if count == STATEMENTS_MAX + 1 => {
                            let range = statement.span.range();
                            let message = format!("more than {STATEMENTS_MAX} statements");
                            self.error(Code::TooManyStatements, range, &message);
                        }
                        _ => {}
                    }
                }
            }
        }
        statements
    }

    fn statement(&mut self, depth: usize) -> Statement {
        let mut words = Vec::new();
        let mut block = None;
        while let Some(token) = self.peek() {
            match token.kind {
                TokenKind::Blank | TokenKind::Comment => self.at += 1,
                TokenKind::Word | TokenKind::Quoted => {
                    self.at += 1;
                    let word = self.word(token);
                    match words.len() {
                        count if count < WORDS_MAX => words.push(word),
                        WORDS_MAX => {
                            let message = format!("more than {WORDS_MAX} words in one statement");
                            self.error(Code::TooManyWords, token.range(), &message);
                            words.push(word);
                        }
                        _ => {}
                    }
                }
                TokenKind::Open => {
                    block = Some(self.block(depth));
                    self.expect_end();
                    break;
                }
                TokenKind::Newline | TokenKind::Semicolon | TokenKind::Close => break,
            }
        }
        let head = words[0].span.to(words[words.len() - 1].span);
        let span = block.as_ref().map_or(head, |block| head.to(block.close));
        Statement { words, block, span }
    }

    fn word(&self, token: Token) -> Word {
        let raw = &self.text[token.range()];
        let quoted = token.kind == TokenKind::Quoted;
        let text = if quoted { unquote(raw) } else { raw.to_owned() };
        Word { text, quoted, span: self.span(token.range()) }
    }

    /// Reads from an opening brace to its closing brace.
    fn block(&mut self, depth: usize) -> Block {
        let open = self.peek().map_or(self.text.len()..self.text.len(), Token::range);
        self.at += 1;
        let statements = if depth < DEPTH_MAX {
            self.statements(depth + 1)
        } else {
            let message = format!("blocks nest deeper than {DEPTH_MAX}");
            self.error(Code::TooDeep, open.clone(), &message);
            self.skip_block();
            Vec::new()
        };
        let open = self.span(open);
        let close = if let Some(token) = self.peek() {
            self.at += 1;
            self.span(token.range())
        } else {
            self.error(Code::BraceNotClosed, open.range(), "this { is not closed");
            self.span(self.text.len()..self.text.len())
        };
        Block { statements, open, close }
    }

    /// Moves to the closing brace that belongs to an opening brace just read.
    fn skip_block(&mut self) {
        let mut depth = 0usize;
        while let Some(token) = self.peek() {
            match token.kind {
                TokenKind::Open => depth += 1,
                TokenKind::Close if depth == 0 => return,
                TokenKind::Close => depth -= 1,
                TokenKind::Word
                | TokenKind::Quoted
                | TokenKind::Blank
                | TokenKind::Newline
                | TokenKind::Comment
                | TokenKind::Semicolon => {}
            }
            self.at += 1;
        }
    }

    fn expect_end(&mut self) {
        while let Some(token) = self.peek() {
            match token.kind {
                TokenKind::Blank | TokenKind::Comment => self.at += 1,
                TokenKind::Newline | TokenKind::Semicolon | TokenKind::Close => return,
                TokenKind::Word | TokenKind::Quoted | TokenKind::Open => {
                    let message = "after } a statement ends: a new line or ; is missing";
                    self.error(Code::TextAfterBlock, token.range(), message);
                    return;
                }
            }
        }
    }
}

fn unquote(raw: &str) -> String {
    let inner = raw.strip_prefix('"').unwrap_or(raw);
    let mut text = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => match chars.clone().next() {
                Some(escaped @ ('"' | '\\')) => {
                    text.push(escaped);
                    chars.next();
                }
                Some(_) | None => text.push('\\'),
            },
            c => text.push(c),
        }
    }
    text
}

/// Writes a word so that it reads back the same: bare where it can be, else quoted.
///
/// A word cannot hold a line end; it is written as a blank.
pub fn quote(text: &str) -> String {
    let ends_bare = |c: char| {
        c.is_whitespace() || c.is_control() || matches!(c, ',' | ';' | '{' | '}' | '"' | '\u{feff}')
    };
    if !text.is_empty() && !text.starts_with('#') && !text.contains(ends_bare) {
        return text.to_owned();
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' | '\r' => quoted.push(' '),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shape(statements: &[Statement]) -> String {
        let one = |s: &Statement| {
            let words: Vec<_> = s.words.iter().map(|w| w.text.as_str()).collect();
            match &s.block {
                Some(block) => format!("{}({})", words.join(" "), shape(&block.statements)),
                None => words.join(" "),
            }
        };
        statements.iter().map(one).collect::<Vec<_>>().join("|")
    }

    fn parse(text: &str) -> (Tree, Vec<Code>) {
        let (tree, diagnostics) = Tree::parse(FileId::ROOT, text);
        (tree, diagnostics.iter().map(|d| d.code).collect())
    }

    #[test]
    fn a_statement_ends_at_a_new_line_a_semicolon_or_a_closing_brace() {
        let (tree, errors) = parse("a b, c # x\nd { e; f g }\n\"h i\" { j {\n k } }");
        assert_eq!(shape(&tree.statements), "a b c|d(e|f g)|h i(j(k))");
        assert_eq!(errors, []);
    }

    #[test]
    fn braces_that_do_not_match_are_named() {
        for (text, code) in [
            ("a {", Code::BraceNotClosed),
            ("}", Code::BraceNotOpened),
            ("a\n{ b }", Code::BraceWithoutName),
            ("a { b } c", Code::TextAfterBlock),
        ] {
            assert_eq!(parse(text).1, [code], "{text}");
        }
    }

    #[test]
    fn nesting_without_end_is_refused_and_what_follows_is_still_read() {
        let text = format!("{}x{}\nafter", "a {".repeat(10_000), "}".repeat(10_000));
        let (tree, errors) = parse(&text);
        assert_eq!(errors, [Code::TooDeep]);
        assert_eq!(tree.statements.last().unwrap().name().text, "after");
    }

    proptest! {
        #[test]
        fn the_tree_gives_the_text_back(text in "(\\PC|[\r\n\t\"\\\\;{}#, ab])*") {
            let (tree, _) = Tree::parse(FileId::ROOT, &text);
            prop_assert_eq!(tree.to_text(), text);
        }

        #[test]
        fn a_quoted_word_reads_back_the_same(word in "[^\r\n\\p{Cc}\u{feff}]+") {
            let text = format!("name {}", quote(&word));
            let (tree, _) = Tree::parse(FileId::ROOT, &text);
            prop_assert_eq!(&tree.statements[0].words[1].text, &word);
        }
    }
}
