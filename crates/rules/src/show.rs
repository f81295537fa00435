//! Rules as the configuration has them.

use std::fmt;

use crate::rule::{Condition, Rule};

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "rule {} {{", self.name)?;
        match &self.when {
            when if when.is_always() => {}
            Condition::Test(_) => {
                write!(f, "    when all {{\n{}    }}\n", Indented(&self.when, 2))?;
            }
            when => write!(f, "    when {}", Indented(when, 1).to_string().trim_start())?,
        }
        for statement in &self.then {
            writeln!(f, "    {}", statement.action)?;
        }
        writeln!(f, "}}")
    }
}

/// A condition at a depth of blocks, with its line ends.
struct Indented<'a>(&'a Condition, usize);

impl fmt::Display for Indented<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(condition, depth) = *self;
        let indent = "    ".repeat(depth);
        let (word, parts) = match condition {
            Condition::All(parts) => ("all", parts),
            Condition::Any(parts) => ("any", parts),
            Condition::None(parts) => ("none", parts),
            Condition::Test(test) => return writeln!(f, "{indent}{test}"),
        };
        writeln!(f, "{indent}{word} {{")?;
        parts.iter().try_for_each(|part| Self(part, depth + 1).fmt(f))?;
        writeln!(f, "{indent}}}")
    }
}
