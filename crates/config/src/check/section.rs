//! The checked statements of a block, and their values by name.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use mail::{Address, Domain};

use super::Checked;
use crate::located::Located;
use crate::model::Target;
use crate::schema::{Absent, Context, Directive, Form};
use crate::secret::Secret;
use crate::source::{FileId, Span};
use crate::tree::Tree;
use crate::value::Value;

/// The statements of a block that passed the check.
#[derive(Debug, Clone)]
pub struct Section<'a> {
    /// What the block may hold.
    pub context: &'static Context,
    /// The words before the block; `None` outside all blocks.
    pub head: Option<Span>,
    items: Vec<Checked<'a>>,
    /// The names that are written, with or without errors.
    written: Vec<(&'static str, Span)>,
}

/// A type that values of the schema become.
pub trait FromValue: Sized {
    /// The value in this type, if it is of that kind.
    fn from_value(value: &Value) -> Option<Self>;
}

impl<'a> Section<'a> {
    pub(super) fn new(context: &'static Context, head: Option<Span>) -> Self {
        Self { context, head, items: Vec::new(), written: Vec::new() }
    }

    /// A block in which nothing is written.
    pub(crate) fn empty(context: &'static Context) -> Self {
        Self::new(context, None)
    }

    pub(super) fn push(&mut self, checked: Checked<'a>) {
        self.items.push(checked);
    }

    pub(super) fn note(&mut self, name: &'static str, span: Span) {
        self.written.push((name, span));
    }

    /// Where a directive is written, even if its values are wrong.
    pub fn written(&self, name: &str) -> Option<Span> {
        self.written.iter().find(|(written, _)| *written == name).map(|(_, span)| *span)
    }

    /// Every statement of a directive, in order. Lines without a directive have the name "".
    pub fn all<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s Checked<'a>> {
        self.items.iter().filter(move |item| item.directive.name == name)
    }

    /// The first statement of a directive.
    pub fn find(&self, name: &str) -> Option<&Checked<'a>> {
        self.items.iter().find(|item| item.directive.name == name)
    }

    /// The only value of a directive, or its default. `None` where there is neither: then
    /// an error has been reported, or the default is derived.
    pub fn value<T: FromValue>(&self, name: &str) -> Option<Located<T>> {
        self.values(name)?.value.into_iter().next().map(|value: Located<T>| value)
    }

    /// All values of a directive, or those of its default.
    pub fn values<T: FromValue>(&self, name: &str) -> Option<Located<Vec<Located<T>>>> {
        if let Some(item) = self.find(name) {
            let values = item.values.iter().map(|(_, value)| convert(value));
            return Some(Located::at(values.collect::<Option<_>>()?, item.statement.head()));
        }
        if self.written(name).is_some() {
            return None;
        }
        let directive = self.context.directive(name)?;
        let values = default_values(directive)?.into_iter();
        let values = values.map(|value| T::from_value(&value).map(Located::default_value));
        Some(Located::default_value(values.collect::<Option<_>>()?))
    }

    /// The values alone, with the place of the statement.
    pub fn list<T: FromValue>(&self, name: &str) -> Option<Located<Vec<T>>> {
        let values = self.values::<T>(name)?;
        Some(values.map(|values| values.into_iter().map(|value| value.value).collect()))
    }
}

impl Checked<'_> {
    /// The value of an argument, by its place in the form.
    pub fn argument<T: FromValue>(&self, index: usize) -> Option<Located<T>> {
        self.arguments(index).next()
    }

    /// Every value of an argument.
    pub fn arguments<T: FromValue>(&self, index: usize) -> impl Iterator<Item = Located<T>> {
        let values = self.values.iter().filter(move |(at, _)| *at == index);
        values.filter_map(|(_, value)| convert(value))
    }
}

fn convert<T: FromValue>(value: &Located<Value>) -> Option<Located<T>> {
    Some(Located { value: T::from_value(&value.value)?, span: value.span })
}

/// What a directive's default means; `None` where it has none of its own.
pub(crate) fn default_values(directive: &Directive) -> Option<Vec<Value>> {
    let Absent::Value(text) = directive.absent else { return None };
    let (tree, _) = Tree::parse(FileId::ROOT, text);
    let words = tree.statements.first().map(|statement| statement.words.as_slice())?;
    let in_form = |form: &Form| -> Option<Vec<Value>> {
        let kind = |at: usize| form.arguments.get(at).or(form.arguments.last()).map(|a| a.kind);
        let read = |(at, word): (usize, &crate::tree::Word)| {
            kind(at)?.read(&word.text, Path::new("")).ok()
        };
        words.iter().enumerate().map(read).collect()
    };
    directive.forms.iter().find_map(in_form)
}

/// Implements [`FromValue`] for types that one variant holds.
macro_rules! from_variant {
    ($($type:ty: $variant:ident),* $(,)?) => {
        $(impl FromValue for $type {
            fn from_value(value: &Value) -> Option<Self> {
                if let Value::$variant(inner) = value { Some(inner.clone()) } else { None }
            }
        })*
    };
}

from_variant! {
    bool: Switch, u64: Number, Duration: Time, Domain: Domain, Address: Address, IpAddr: Ip,
    IpNet: Network, SocketAddr: Socket, Target: Target, String: Text, Secret: Secret,
    tls::Version: Version, tls::Suite: Suite, &'static str: Word,
}

impl FromValue for PathBuf {
    fn from_value(value: &Value) -> Option<Self> {
        if let Value::Path(path) | Value::Unix(path) = value { Some(path.clone()) } else { None }
    }
}

impl FromValue for Value {
    fn from_value(value: &Value) -> Option<Self> {
        Some(value.clone())
    }
}

impl FromValue for u32 {
    fn from_value(value: &Value) -> Option<Self> {
        u64::from_value(value).and_then(|number| number.try_into().ok())
    }
}

impl FromValue for u16 {
    fn from_value(value: &Value) -> Option<Self> {
        u64::from_value(value).and_then(|number| number.try_into().ok())
    }
}

/// A value that `off` switches off.
impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: &Value) -> Option<Self> {
        if *value == Value::Off { Some(None) } else { T::from_value(value).map(Some) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema;

    #[test]
    fn every_default_is_a_value_that_could_be_written() {
        let blocks = schema::blocks().into_iter().map(|(_, _, context)| context);
        for directive in blocks.chain([&schema::TOP]).flat_map(|context| context.directives) {
            if let Absent::Value(text) = directive.absent {
                assert!(default_values(directive).is_some(), "{} {text}", directive.name);
            }
        }
    }
}
