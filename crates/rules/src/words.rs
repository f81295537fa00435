//! Conditions and actions from the words of a statement.
//!
//! The configuration splits statements into words and keeps where each stands; here the
//! words become a [`Test`](crate::Test) or an [`Action`](crate::Action). An error names the word
//! at fault by its index.

mod actions;
mod conditions;

pub use actions::{TARPIT_MAX_SECS, parse_action};
pub use conditions::parse_test;
pub(crate) use conditions::{has_text, network};

/// Why words are no condition or action, and at which of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct WordError {
    /// The index of the word at fault; the number of words when one is missing.
    pub word: usize,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a word.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The statement begins like no condition.
    #[error("unknown condition \"{found}\"")]
    UnknownCondition {
        /// What was written.
        found: String,
        /// What a condition can begin with.
        allowed: Vec<&'static str>,
    },
    /// The statement begins like no action.
    #[error("unknown action \"{found}\"")]
    UnknownAction {
        /// What was written.
        found: String,
        /// What an action can begin with.
        allowed: Vec<&'static str>,
    },
    /// The word is none of those that can stand here.
    #[error("\"{found}\" cannot stand here")]
    Unexpected {
        /// What was written.
        found: String,
        /// What can stand here.
        allowed: Vec<&'static str>,
    },
    /// A word is missing at the end.
    #[error("something is missing here: {expected}")]
    Missing {
        /// What belongs here.
        expected: &'static str,
    },
    /// The word is not of the kind that belongs here.
    #[error("\"{found}\" is not {expected}{}", because(why))]
    NotA {
        /// What was written.
        found: String,
        /// What belongs here.
        expected: &'static str,
        /// What is wrong with it, if more can be said.
        why: String,
    },
    /// More words than the statement takes.
    #[error("\"{found}\" is one word too many")]
    TooMany {
        /// What was written.
        found: String,
    },
}

fn because(why: &str) -> String {
    if why.is_empty() { String::new() } else { format!(": {why}") }
}

impl Problem {
    /// The words that could stand in place of the one at fault, for a suggestion.
    pub fn allowed(&self) -> &[&'static str] {
        match self {
            Self::UnknownCondition { allowed, .. }
            | Self::UnknownAction { allowed, .. }
            | Self::Unexpected { allowed, .. } => allowed,
            Self::Missing { .. } | Self::NotA { .. } | Self::TooMany { .. } => &[],
        }
    }
}

/// Words read one after the other.
pub(crate) struct Words<'a> {
    words: &'a [&'a str],
    next: usize,
}

impl<'a> Words<'a> {
    pub(crate) fn new(words: &'a [&'a str]) -> Self {
        Self { words, next: 0 }
    }

    pub(crate) fn peek(&self) -> Option<&'a str> {
        self.words.get(self.next).copied()
    }

    pub(crate) fn rest(&self) -> &'a [&'a str] {
        self.words.get(self.next..).unwrap_or_default()
    }

    /// Steps over `words` if they come next.
    pub(crate) fn take(&mut self, words: &str) -> bool {
        let count = words.split(' ').count();
        let found = self.rest().len() >= count
            && words.split(' ').zip(self.rest()).all(|(wanted, word)| wanted == *word);
        if found {
            self.next += count;
        }
        found
    }

    pub(crate) fn word(&mut self, expected: &'static str) -> Result<&'a str, WordError> {
        let word = self.peek().ok_or_else(|| self.wrong(Problem::Missing { expected }))?;
        self.next += 1;
        Ok(word)
    }

    /// The next word, read by `read`.
    pub(crate) fn read<T, E: ToString>(
        &mut self,
        expected: &'static str,
        read: impl FnOnce(&'a str) -> Result<T, E>,
    ) -> Result<T, WordError> {
        let word = self.word(expected)?;
        read(word).map_err(|error| WordError {
            word: self.next - 1,
            problem: Problem::NotA { found: word.into(), expected, why: error.to_string() },
        })
    }

    /// The next word must be one of these, each with its meaning.
    pub(crate) fn one_of<T: Clone>(
        &mut self,
        expected: &'static str,
        choices: &[(&'static str, T)],
    ) -> Result<T, WordError> {
        let word = self.word(expected)?;
        let found = choices.iter().find(|(choice, _)| *choice == word);
        found.map(|(_, meaning)| meaning.clone()).ok_or_else(|| WordError {
            word: self.next - 1,
            problem: Problem::Unexpected {
                found: word.into(),
                allowed: choices.iter().map(|(choice, _)| *choice).collect(),
            },
        })
    }

    pub(crate) fn end(&self) -> Result<(), WordError> {
        match self.peek() {
            None => Ok(()),
            Some(word) => Err(self.wrong(Problem::TooMany { found: word.into() })),
        }
    }

    /// A problem with the next word.
    pub(crate) fn wrong(&self, problem: Problem) -> WordError {
        WordError { word: self.next, problem }
    }
}
