//! A value that remembers where it was written.

use std::fmt;
use std::ops::Deref;

use crate::source::Span;

/// A value and its place; a default has none. Equality looks at the value alone.
#[derive(Clone, Copy)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it is written; `None` for a default.
    pub span: Option<Span>,
}

impl<T> Located<T> {
    /// A value that is written.
    pub fn at(value: T, span: Span) -> Self {
        Self { value, span: Some(span) }
    }

    /// A value that is not written.
    pub fn default_value(value: T) -> Self {
        Self { value, span: None }
    }

    /// Whether the configuration says nothing about it.
    pub fn is_default(&self) -> bool {
        self.span.is_none()
    }

    /// The same place with another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Located<U> {
        Located { value: change(self.value), span: self.span }
    }
}

impl<T> Deref for Located<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

/// As the value alone.
impl<T: fmt::Debug> fmt::Debug for Located<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl<T: PartialEq> PartialEq for Located<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for Located<T> {}
