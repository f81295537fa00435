//! Text patterns: globs, and regular expressions of linear time.

use std::fmt;

use regex::{RegexSet, RegexSetBuilder};

/// The longest pattern, in octets.
pub const PATTERN_MAX_OCTETS: usize = 1_024;
/// The most memory the patterns of one condition or table may take, compiled, in octets.
pub const COMPILED_MAX_OCTETS: usize = 32 << 20;
const NESTING_MAX: u32 = 32;

/// `*.pdf` or `/^invoice [0-9]+$/`; both without regard to case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// `*` is any text, `?` any one character; the rest stands for itself. The whole text must fit.
    Glob(String),
    /// A regular expression, without its slashes; it fits anywhere unless anchored.
    Regex(String),
}

/// Why a pattern cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Nothing between the slashes, or nothing at all.
    #[error("the pattern is empty")]
    Empty,
    /// More than [`PATTERN_MAX_OCTETS`].
    #[error("the pattern is longer than {PATTERN_MAX_OCTETS} octets")]
    TooLong,
    /// Not a regular expression, or one that needs too much memory.
    #[error("the pattern cannot be used: {0}")]
    Regex(String),
}

impl Pattern {
    /// Reads a glob, or a regular expression between slashes.
    ///
    /// # Errors
    ///
    /// [`PatternError`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.len() > PATTERN_MAX_OCTETS {
            return Err(PatternError::TooLong);
        }
        let regex = text.strip_prefix('/').and_then(|t| t.strip_suffix('/'));
        let pattern = match regex {
            Some(regex) => Self::Regex(regex.to_owned()),
            None => Self::Glob(text.to_owned()),
        };
        match &pattern {
            Self::Regex(text) | Self::Glob(text) if text.is_empty() => Err(PatternError::Empty),
            Self::Glob(_) => Ok(pattern),
            Self::Regex(_) => Patterns::compile([&pattern]).map(|_| pattern),
        }
    }

    fn to_regex(&self) -> String {
        match self {
            Self::Regex(regex) => regex.clone(),
            Self::Glob(glob) => {
                let mut regex = String::from(r"(?s)\A");
                let mut buffer = [0; 4];
                for c in glob.chars() {
                    match c {
                        '*' => regex.push_str(".*"),
                        '?' => regex.push('.'),
                        c => regex.push_str(&regex::escape(c.encode_utf8(&mut buffer))),
                    }
                }
                regex.push_str(r"\z");
                regex
            }
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Glob(glob) => glob.clone(),
            Self::Regex(regex) => format!("/{regex}/"),
        };
        if text.contains([' ', ',', ';', '"', '{', '}']) {
            write!(f, "\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
        } else {
            f.write_str(&text)
        }
    }
}

/// Patterns compiled together: one pass over a text, however many there are.
#[derive(Debug, Clone)]
pub struct Patterns(RegexSet);

impl Patterns {
    /// Compiles `patterns` into one automaton.
    ///
    /// # Errors
    ///
    /// [`PatternError::Regex`] when one is no expression or all need more than [`COMPILED_MAX_OCTETS`].
    pub fn compile<'a>(
        patterns: impl IntoIterator<Item = &'a Pattern>,
    ) -> Result<Self, PatternError> {
        RegexSetBuilder::new(patterns.into_iter().map(Pattern::to_regex))
            .case_insensitive(true)
            .size_limit(COMPILED_MAX_OCTETS)
            .nest_limit(NESTING_MAX)
            .build()
            .map(Self)
            .map_err(|error| PatternError::Regex(last_line(&error.to_string())))
    }

    /// Whether any of them fits `text`.
    pub fn fits(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    /// The places, in the order given to [`Self::compile`], of those that fit `text`.
    pub fn fitting(&self, text: &str) -> Vec<usize> {
        self.0.matches(text).into_iter().collect()
    }
}

/// The parser draws the expression over several lines; its last says what is wrong.
fn last_line(message: &str) -> String {
    let line = message.lines().last().unwrap_or(message).trim();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fits(pattern: &str, text: &str) -> bool {
        Patterns::compile([&Pattern::parse(pattern).unwrap()]).unwrap().fits(text)
    }

    #[test]
    fn a_glob_fits_the_whole_text_and_a_regex_any_part() {
        assert!(fits("*.pdf", "Invoice.PDF") && !fits("*.pdf", "invoice.pdf.exe"));
        assert!(fits("a?c", "abc") && !fits("a?c", "ac") && fits("a?c", "aéc"));
        assert!(fits("a.c", "a.c") && !fits("a.c", "abc"));
        assert!(fits("*", "two\nlines"));
        assert!(fits("/inv[0-9]+/", "an INV42 there") && !fits("/^inv$/", "invoice"));
    }

    #[test]
    fn a_pattern_that_cannot_be_used_says_why() {
        assert_eq!(Pattern::parse("//"), Err(PatternError::Empty));
        assert_eq!(Pattern::parse(&"a".repeat(1025)), Err(PatternError::TooLong));
        assert_eq!(Pattern::parse("/(a/"), Err(PatternError::Regex("unclosed group".into())));
        let bomb = "/((a{1000}){1000}){10}/";
        assert!(matches!(Pattern::parse(bomb), Err(PatternError::Regex(_))));
        // No look-around and no back-references: time stays linear.
        assert!(Pattern::parse("/(a)\\1/").is_err());
    }

    /// The plainest way to match a glob: try everything.
    fn naive(glob: &[char], text: &[char]) -> bool {
        match (glob.split_first(), text.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), _) => {
                naive(rest, text) || text.split_first().is_some_and(|(_, t)| naive(glob, t))
            }
            (Some(('?', rest)), Some((_, text))) => naive(rest, text),
            (Some((g, rest)), Some((t, text))) => g == t && naive(rest, text),
            (None, Some(_)) | (Some(_), None) => false,
        }
    }

    proptest! {
        #[test]
        fn globs_agree_with_trying_everything(glob in "[ab*?.]{1,6}", text in "[ab.]{0,7}") {
            let chars = |t: &str| t.chars().collect::<Vec<_>>();
            prop_assert_eq!(fits(&glob, &text), naive(&chars(&glob), &chars(&text)));
        }

        #[test]
        fn no_pattern_makes_the_parser_panic(text in "\\PC{0,40}") {
            let _ = Pattern::parse(&text);
        }
    }
}
