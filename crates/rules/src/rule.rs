//! What an administrator writes: rules, in order, each with its place in the text.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::action::Action;
use crate::test::Test;

/// The most rules one configuration holds.
pub const RULES_MAX: usize = 10_000;
/// The deepest nesting of `when` blocks.
pub const NESTING_MAX: usize = 16;

/// Where something stands in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Origin {
    /// The file, as it is named to people; empty for what is built in.
    pub file: String,
    /// The line, from 1; 0 for what is built in.
    pub line: u32,
    /// The column in characters, from 1; 0 where a whole line is meant.
    pub column: u32,
}

impl Origin {
    /// The place of everything that no file holds.
    pub const BUILT_IN: Self = Self { file: String::new(), line: 0, column: 0 };

    /// A place in a file.
    pub fn new(file: impl Into<String>, line: u32, column: u32) -> Self {
        Self { file: file.into(), line, column }
    }

    /// Whether this is no place in a file.
    pub fn is_built_in(&self) -> bool {
        self.line == 0
    }
}

impl fmt::Display for Origin {
    /// `mailkeep.conf:59`, or `built in`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_built_in() {
            f.pad("built in")
        } else {
            f.pad(&format!("{}:{}", self.file, self.line))
        }
    }
}

/// A named rule: when its condition holds, its actions apply, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Unique among the rules; letters, digits, `_` and `-`, at most 64.
    pub name: String,
    /// The line of its name.
    pub origin: Origin,
    /// When it applies; [`Condition::ALWAYS`] where no `when` is written.
    pub when: Condition,
    /// What it does, in order.
    pub then: Vec<Statement>,
}

/// An action at its place in the text.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// What is done.
    pub action: Action,
    /// Where it is written.
    pub origin: Origin,
}

/// When a rule applies. Nests at most [`NESTING_MAX`] deep.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// Every one holds; true when empty.
    All(Vec<Condition>),
    /// At least one holds; false when empty.
    Any(Vec<Condition>),
    /// Not one holds; true when empty.
    None(Vec<Condition>),
    /// One look at one fact.
    Test(Test),
}

impl Condition {
    /// Holds for every message.
    pub const ALWAYS: Self = Self::All(Vec::new());

    /// Whether this is written as "no condition at all".
    pub fn is_always(&self) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(Self::is_always),
            Self::Any(_) | Self::None(_) | Self::Test(_) => false,
        }
    }

    /// Every test within, in the order written.
    pub fn tests(&self) -> Vec<&Test> {
        let mut tests = Vec::new();
        self.collect(&mut tests);
        tests
    }

    fn collect<'a>(&'a self, into: &mut Vec<&'a Test>) {
        match self {
            Self::All(parts) | Self::Any(parts) | Self::None(parts) => {
                for part in parts {
                    part.collect(into);
                }
            }
            Self::Test(test) => into.push(test),
        }
    }

    /// How deep blocks lie within blocks; a single test is 0.
    pub fn depth(&self) -> usize {
        match self {
            Self::All(parts) | Self::Any(parts) | Self::None(parts) => {
                1 + parts.iter().map(Self::depth).max().unwrap_or(0)
            }
            Self::Test(_) => 0,
        }
    }
}
