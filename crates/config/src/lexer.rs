//! Text to tokens, losing nothing: the tokens of a text, joined, are the text.

use std::ops::Range;

use crate::code::Code;

/// What a token is. The lexical rules are those of the manual's first section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// A bare word.
    Word,
    /// A word in quotes, the quotes included.
    Quoted,
    /// Spaces, tabs, commas, a byte order mark or a lone carriage return.
    Blank,
    /// LF or CRLF.
    Newline,
    /// From `#` to the end of the line, the line end not included.
    Comment,
    /// `;`
    Semicolon,
    /// `{`
    Open,
    /// `}`
    Close,
}

/// A token and the octets it covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// First octet.
    pub start: u32,
    /// One past the last octet.
    pub end: u32,
}

impl Token {
    /// The octet range.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// Something wrong in the characters themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LexError {
    /// The cause.
    pub code: Code,
    /// The octets at fault.
    pub range: Range<usize>,
    /// What is wrong, in words.
    pub message: String,
}

/// Cuts `text` into tokens. Every octet belongs to exactly one token, whatever the text.
pub fn lex(text: &str) -> (Vec<Token>, Vec<LexError>) {
    let mut lexer = Lexer { text, at: 0, tokens: Vec::new(), errors: Vec::new() };
    while lexer.at < text.len() {
        lexer.token();
    }
    lexer.look_for_hidden_characters();
    (lexer.tokens, lexer.errors)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    tokens: Vec<Token>,
    errors: Vec<LexError>,
}

impl Lexer<'_> {
    fn token(&mut self) {
        let rest = &self.text[self.at..];
        let first = rest.chars().next().unwrap_or('\0');
        let (kind, length) = match first {
            '\n' => (TokenKind::Newline, 1),
            '\r' if rest.starts_with("\r\n") => (TokenKind::Newline, 2),
            ';' => (TokenKind::Semicolon, 1),
            '{' => (TokenKind::Open, 1),
            '}' => (TokenKind::Close, 1),
            '#' => (TokenKind::Comment, line_length(rest)),
            '"' => (TokenKind::Quoted, self.quoted(rest)),
            c if is_blank(c) => (TokenKind::Blank, blank_length(rest)),
            _ => (TokenKind::Word, self.bare(rest)),
        };
        let end = self.at + length;
        self.tokens.push(Token { kind, start: self.at as u32, end: end as u32 });
        self.at = end;
    }

    fn error(&mut self, code: Code, range: Range<usize>, message: impl Into<String>) {
        self.errors.push(LexError { code, range, message: message.into() });
    }

    fn quoted(&mut self, rest: &str) -> usize {
        let mut chars = rest.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    let end = at + 1;
                    let next = rest[end..].chars().next();
                    if next.is_some_and(|c| !ends_bare_word(c)) {
                        let place = self.at + end..self.at + end + 1;
                        self.error(
                            Code::QuoteInWord,
                            self.char_range(place),
                            "a quoted word must be followed by a blank",
                        );
                    }
                    return end;
                }
                '\\' => match rest[at + 1..].chars().next() {
                    Some('"' | '\\') => {
                        chars.next();
                    }
                    Some('\r' | '\n') | None => {}
                    Some(_) => {
                        let place = self.at + at..self.at + at + 2;
                        self.error(
                            Code::BadEscape,
                            self.char_range(place),
                            "only \\\" and \\\\ are escapes inside quotes",
                        );
                    }
                },
                '\n' | '\r' => return self.unclosed(at),
                _ => {}
            }
        }
        self.unclosed(rest.len())
    }

    fn unclosed(&mut self, length: usize) -> usize {
        let range = self.at..self.at + length;
        self.error(Code::QuoteNotClosed, range, "the quote is not closed on its line");
        length
    }

    fn bare(&mut self, rest: &str) -> usize {
        let length = rest.find(ends_bare_word).unwrap_or(rest.len());
        if let Some(quote) = rest[..length].find('"') {
            let range = self.at + quote..self.at + quote + 1;
            self.error(Code::QuoteInWord, range, "a quote can only stand around a whole word");
        }
        length
    }

    /// Widens a range to whole characters.
    fn char_range(&self, range: Range<usize>) -> Range<usize> {
        let mut end = range.end.min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end += 1;
        }
        range.start..end
    }

    /// Finds characters that show differently from what they are, in comments too.
    fn look_for_hidden_characters(&mut self) {
        let hidden: Vec<_> =
            self.text.char_indices().filter(|&(at, c)| is_hidden(self.text, at, c)).collect();
        for (at, c) in hidden.into_iter().take(HIDDEN_REPORTED_MAX) {
            let message = format!("the character U+{:04X} cannot be seen", c as u32);
            self.error(Code::HiddenCharacter, at..at + c.len_utf8(), message);
        }
    }
}

/// How many hidden characters are reported in one file.
const HIDDEN_REPORTED_MAX: usize = 20;

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | ',' | '\r' | '\u{feff}')
}

fn ends_bare_word(c: char) -> bool {
    is_blank(c) || matches!(c, '\n' | ';' | '{' | '}')
}

fn blank_length(rest: &str) -> usize {
    let mut chars = rest.char_indices();
    chars
        .find(|&(at, c)| !is_blank(c) || rest[at..].starts_with("\r\n"))
        .map_or(rest.len(), |(at, _)| at)
}

fn line_length(rest: &str) -> usize {
    let line = rest.find('\n').map_or(rest, |end| &rest[..end]);
    line.strip_suffix('\r').filter(|_| line.len() < rest.len()).unwrap_or(line).len()
}

/// Zero-width joiners and marks of writing direction.
const INVISIBLE: std::ops::RangeInclusive<char> = '\u{2060}'..='\u{206f}';

/// Control characters, zero-width characters, no-break spaces and changes of
/// writing direction: what makes a text read differently from what it says.
fn is_hidden(text: &str, at: usize, c: char) -> bool {
    match c {
        '\t' | '\n' => false,
        '\r' => !text[at..].starts_with("\r\n"),
        '\u{feff}' => at != 0,
        '\u{a0}' | '\u{ad}' | '\u{200b}'..='\u{200f}' => true,
        c => c.is_control() || ('\u{2028}'..='\u{202f}').contains(&c) || INVISIBLE.contains(&c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kinds(text: &str) -> String {
        let (tokens, _) = lex(text);
        tokens
            .iter()
            .map(|t| match t.kind {
                TokenKind::Word => 'w',
                TokenKind::Quoted => 'q',
                TokenKind::Blank => ' ',
                TokenKind::Newline => 'n',
                TokenKind::Comment => '#',
                TokenKind::Semicolon => ';',
                TokenKind::Open => '{',
                TokenKind::Close => '}',
            })
            .collect()
    }

    #[test]
    fn a_bare_word_holds_all_but_blanks_braces_and_semicolons() {
        assert_eq!(kinds("from 207.219.44.0/24,2001:db8::/32"), "w w w");
        assert_eq!(kinds("a{b;c}"), "w{w;w}");
        assert_eq!(kinds("a#b # c\r\n#d\n"), "w #n#n");
    }

    #[test]
    fn quotes_hold_everything_on_one_line() {
        assert_eq!(kinds(r#"say "a { ; # \" \\ b" c"#), "w q w");
        let (_, errors) = lex("say \"open\r\nnext");
        assert_eq!(errors[0].code, Code::QuoteNotClosed);
        assert_eq!(errors[0].range, 4..9);
    }

    #[test]
    fn characters_that_cannot_be_seen_are_reported() {
        for text in ["a\u{200b}b", "# \u{202e}", "a\rb", "a\u{a0}b", "\u{0}"] {
            let (_, errors) = lex(text);
            assert!(errors.iter().any(|e| e.code == Code::HiddenCharacter), "{text:?}");
        }
        assert!(lex("\u{feff}hostname x\r\n").1.is_empty());
    }

    proptest! {
        #[test]
        fn tokens_joined_are_the_text(text in "(\\PC|[\r\n\t\"\\\\;{}#, ])*") {
            let (tokens, _) = lex(&text);
            let mut at = 0;
            for token in &tokens {
                prop_assert_eq!(token.start, at);
                prop_assert!(token.end > token.start);
                prop_assert!(text.is_char_boundary(token.end as usize));
                at = token.end;
            }
            prop_assert_eq!(at as usize, text.len());
        }
    }
}
