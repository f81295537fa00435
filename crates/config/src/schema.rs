//! The one table of directives: checks, defaults, the JSON twin and the manual follow from it.
//!
//! A new directive is a row here and its line in `build`. A row without a doc sentence or an
//! example fails the tests; a directive that changes nothing in the model fails them too.

mod authentication;
mod directory;
mod fax;
mod fax_gateway;
mod fax_provider;
mod filters;
mod flow;
mod listener;
mod lists;
mod policy;
mod sending;
mod sign_in;
mod signing;
mod top;

pub use authentication::{ARC, DKIM, DMARC, SENDER_AUTHENTICATION, SPF};
pub use directory::DIRECTORY;
pub use fax::{FAX, FAX_INBOUND, FAX_USER};
pub use fax_gateway::FAX_GATEWAY;
pub use fax_provider::FAX_PROVIDER;
pub use filters::{HOLDING, MILTER, QUARANTINE, SCANNER, SCANNING};
pub use flow::{BANS, FLOW, QUOTA, SIZE_LIMITS};
pub use listener::{LIMITS, LISTENER, TIMEOUTS};
pub use lists::{CODES, DNSBL, GREYLISTING, REPUTATION, URIBL};
pub use policy::{CONDITIONS, FORCE_ENCRYPT, RULE, RULES, TABLE};
pub use sending::{DELIVERY, QUEUE, RATE_CLASS};
pub use sign_in::{SIGN_IN, TOKENS};
pub use signing::{ARC_SEALING, DMARC_REPORTS, SIGNING, SRS};
pub use top::{CERTIFICATE, CREDENTIALS, DNS, DOMAIN, EVIDENCE, HOSTS, LOG, MX, TOP};

use crate::value::Kind;

/// What may stand in a block, or outside all blocks.
#[derive(Debug)]
pub struct Context {
    /// How messages name it: `listener`, or `the file` outside all blocks.
    pub name: &'static str,
    /// What the block is for, for the manual; ends with a full stop.
    pub doc: &'static str,
    /// The directives.
    pub directives: &'static [Directive],
    /// The form of lines that begin with no directive's name, if there are such.
    pub entry: Option<&'static Directive>,
    /// Whether the order of the statements matters.
    pub ordered: bool,
}

/// A row of the table.
#[derive(Debug)]
pub struct Directive {
    /// Its name.
    pub name: &'static str,
    /// What may follow its name; the first form that fits is taken.
    pub forms: &'static [Form],
    /// What holds when it is not written.
    pub absent: Absent,
    /// Whether it may be written more than once in its block.
    pub repeatable: bool,
    /// What it does, in one or more sentences.
    pub doc: &'static str,
    /// A statement that uses it.
    pub example: &'static str,
    /// The first version that has it.
    pub since: &'static str,
}

/// What follows the name of a directive.
#[derive(Debug)]
pub struct Form {
    /// The values in order.
    pub arguments: &'static [Argument],
    /// What its block holds.
    pub inside: Inside,
}

/// What the block of a directive holds.
#[derive(Debug, Clone, Copy)]
pub enum Inside {
    /// It has none.
    Nothing,
    /// Directives.
    Statements(&'static Context),
    /// Lines with a syntax of their own, described by the context.
    Lines(&'static Context),
}

/// A value of a directive.
#[derive(Debug)]
pub struct Argument {
    /// What it is, in one lower-case word.
    pub name: &'static str,
    /// What can be written.
    pub kind: Kind,
    /// How many of them.
    pub count: Count,
}

/// How many values an argument takes. Only the last may take other than one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// Exactly one.
    One,
    /// One or none.
    Optional,
    /// One or more.
    Many,
}

/// What holds when a directive is not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// The same as if this were written.
    Value(&'static str),
    /// Something that other directives decide; the words are for the manual.
    Derived(&'static str),
    /// It must be written.
    Required,
}

impl Context {
    /// The directive of a name.
    pub fn directive(&self, name: &str) -> Option<&'static Directive> {
        self.directives.iter().find(|directive| directive.name == name)
    }

    /// The names of all directives.
    pub fn names(&self) -> Vec<&'static str> {
        self.directives.iter().map(|directive| directive.name).collect()
    }
}

impl Directive {
    /// Whether a value of it is a secret's place.
    pub fn is_secret(&self) -> bool {
        self.forms.iter().flat_map(|form| form.arguments).any(|a| a.kind == Kind::Secret)
    }

    /// The context of its block, if any form has one.
    pub fn context(&self) -> Option<&'static Context> {
        self.forms.iter().find_map(|form| form.inside.context())
    }

    const fn new(
        name: &'static str,
        forms: &'static [Form],
        absent: Absent,
        doc: &'static str,
        example: &'static str,
    ) -> Self {
        Self { name, forms, absent, repeatable: false, doc, example, since: FIRST }
    }

    const fn repeatable(self) -> Self {
        Self { repeatable: true, ..self }
    }
}

impl Inside {
    /// The context, if there is a block.
    pub const fn context(self) -> Option<&'static Context> {
        match self {
            Self::Nothing => None,
            Self::Statements(context) | Self::Lines(context) => Some(context),
        }
    }
}

/// The version of the first directives.
const FIRST: &str = "0.1";

const fn values(arguments: &'static [Argument]) -> Form {
    Form { arguments, inside: Inside::Nothing }
}

const fn block(arguments: &'static [Argument], context: &'static Context) -> Form {
    Form { arguments, inside: Inside::Statements(context) }
}

const fn lines(arguments: &'static [Argument], context: &'static Context) -> Form {
    Form { arguments, inside: Inside::Lines(context) }
}

const fn one(name: &'static str, kind: Kind) -> Argument {
    Argument { name, kind, count: Count::One }
}

const fn many(name: &'static str, kind: Kind) -> Argument {
    Argument { name, kind, count: Count::Many }
}

const fn optional(name: &'static str, kind: Kind) -> Argument {
    Argument { name, kind, count: Count::Optional }
}

const fn keyword(word: &'static str) -> Argument {
    one(word, Kind::Keyword(word))
}

/// Every block, each once, with the directive and form that opens it: an inner one after the
/// one that holds it.
pub fn blocks() -> Vec<(&'static Directive, &'static Form, &'static Context)> {
    let mut found = Vec::new();
    inner_blocks(&TOP, &mut found);
    found
}

fn inner_blocks(
    context: &'static Context,
    found: &mut Vec<(&'static Directive, &'static Form, &'static Context)>,
) {
    for directive in context.directives {
        for form in directive.forms {
            let Some(inner) = form.inside.context() else { continue };
            if !found.iter().any(|(_, _, known)| std::ptr::eq(*known, inner)) {
                found.push((directive, form, inner));
                inner_blocks(inner, found);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contexts() -> Vec<&'static Context> {
        std::iter::once(&TOP).chain(blocks().into_iter().map(|(_, _, context)| context)).collect()
    }

    #[test]
    fn every_directive_has_a_sentence_and_an_example() {
        for context in contexts() {
            assert!(context.doc.ends_with('.'), "{}", context.name);
            for directive in context.directives {
                let name = directive.name;
                assert!(directive.doc.ends_with('.'), "{name}: {}", directive.doc);
                assert!(directive.example.starts_with(name), "{name}: {}", directive.example);
            }
        }
    }

    #[test]
    fn only_the_last_argument_takes_more_or_less_than_one() {
        for directive in contexts().iter().flat_map(|c| c.directives) {
            for form in directive.forms {
                let last = form.arguments.len().saturating_sub(1);
                for (at, argument) in form.arguments.iter().enumerate() {
                    assert!(at == last || argument.count == Count::One, "{}", directive.name);
                }
            }
        }
    }

    #[test]
    fn names_are_unique_in_their_block_and_differ_from_its_arguments() {
        for context in contexts() {
            let mut names = context.names();
            names.sort_unstable();
            assert!(names.windows(2).all(|w| w[0] != w[1]), "{}", context.name);
        }
        for directive in contexts().iter().flat_map(|c| c.directives) {
            let Some(context) = directive.context() else { continue };
            for argument in directive.forms.iter().flat_map(|f| f.arguments) {
                let clash = context.directive(argument.name);
                assert!(clash.is_none(), "{} in {}", argument.name, directive.name);
            }
        }
    }
}
