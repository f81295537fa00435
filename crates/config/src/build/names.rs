//! Names that are given in one place and used in another.

use std::collections::{BTreeMap, BTreeSet};

use super::Builder;
use crate::check::Section;
use crate::code::Code;
use crate::diagnostic::{Diagnostic, has_errors};
use crate::located::Located;
use crate::source::Span;

/// What a name is the name of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Named {
    Certificate,
    Credentials,
    Dnsbl,
    FaxGateway,
    FaxProvider,
    Listener,
    Milter,
    RateClass,
    Scanner,
    Table,
    Uribl,
}

impl Named {
    const ALL: [Self; 11] = [
        Self::Certificate,
        Self::Credentials,
        Self::Dnsbl,
        Self::FaxGateway,
        Self::FaxProvider,
        Self::Listener,
        Self::RateClass,
        Self::Table,
        Self::Uribl,
        Self::Milter,
        Self::Scanner,
    ];

    /// The directive that gives the name.
    const fn directive(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Credentials => "credentials",
            Self::Dnsbl => "dnsbl",
            Self::FaxGateway => "fax-gateway",
            Self::FaxProvider => "fax-provider",
            Self::Listener => "listener",
            Self::Milter => "milter",
            Self::Scanner => "scanner",
            Self::RateClass => "rate-class",
            Self::Table => "table",
            Self::Uribl => "uribl",
        }
    }

    /// Whether a name that nobody uses is worth a warning.
    const fn is_for_use(self) -> bool {
        match self {
            Self::Certificate
            | Self::Credentials
            | Self::FaxGateway
            | Self::FaxProvider
            | Self::RateClass
            | Self::Table => true,
            Self::Dnsbl | Self::Listener | Self::Milter | Self::Scanner | Self::Uribl => false,
        }
    }
}

/// The names that are given, and which of them are used.
#[derive(Debug, Default)]
pub(crate) struct Names {
    given: BTreeMap<(Named, String), Span>,
    used: BTreeSet<(Named, String)>,
}

impl Names {
    /// The names given outside all blocks.
    pub(crate) fn of(top: &Section<'_>) -> Self {
        let mut names = Self::default();
        for named in Named::ALL {
            for item in top.all(named.directive()) {
                let Some(Located { value, span: Some(span) }) = item.argument::<String>(0) else {
                    continue;
                };
                names.given.entry((named, value)).or_insert(span);
            }
        }
        names
    }
}

impl Builder<'_> {
    /// Notes that a name is used at a place; a name that is not given is an error there.
    pub(crate) fn uses(&mut self, named: Named, name: &str, span: Span) {
        if named == Named::Table && rules::built_in::TABLES.contains(&name) {
            return;
        }
        let key = (named, name.to_owned());
        if self.names.given.contains_key(&key) {
            self.names.used.insert(key);
            return;
        }
        let given: Vec<&str> = self
            .names
            .given
            .keys()
            .filter(|(other, _)| *other == named)
            .map(|(_, name)| name.as_str())
            .collect();
        let what = named.directive();
        let message = format!("there is no {what} named \"{name}\"");
        let mut diagnostic = Diagnostic::error(Code::UnknownName, span, message);
        diagnostic = if given.is_empty() {
            diagnostic.help(format!("write a block: {what} {name} {{ ... }}"))
        } else {
            diagnostic.suggest(name, &given)
        };
        self.report(diagnostic);
    }

    /// Notes the use of a name where it is written; a default has no place to complain about.
    pub(crate) fn uses_written(&mut self, named: Named, name: &Located<String>) {
        if let Some(span) = name.span {
            self.uses(named, &name.value, span);
        }
    }

    /// Warns of names that are given and never used. Beside an error this would mislead:
    /// what uses them may be what is wrong.
    pub(crate) fn unused_names(&mut self) {
        if has_errors(&self.diagnostics) {
            return;
        }
        let Names { given, used } = &self.names;
        let unused: Vec<Diagnostic> = given
            .iter()
            .filter(|(key, _)| key.0.is_for_use() && !used.contains(*key))
            .map(|((named, name), span)| {
                let message = format!("nothing uses {} {name}", named.directive());
                Diagnostic::warning(Code::Unused, *span, message)
            })
            .collect();
        self.diagnostics.extend(unused);
    }
}
