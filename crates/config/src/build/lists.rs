//! `table NAME KIND` and `force-encrypt`: one entry a line, in a block or in a file.

use std::collections::HashMap;

use rules::force_encrypt::{Direction, Entry};
use rules::{Entries, Table};

use super::Builder;
use super::words::{Reading, wrong_network};
use crate::check::{Checked, Section};
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::model::origin;
use crate::source::Span;
use crate::tree::Statement;

impl<'s> Builder<'s> {
    pub(super) fn tables(&mut self, top: &Section<'_>) -> Vec<Table> {
        let mut tables = Vec::new();
        let mut names = Vec::new();
        for item in top.all("table") {
            let (Some(name), Some(kind)) = (item.argument::<String>(0), item.argument::<&str>(1))
            else {
                continue;
            };
            let Some(mut entries) = Entries::of_kind(kind.value) else { continue };
            let lines = self.lines(item);
            self.fill(&mut entries, lines);
            let origin = origin(self.sources, item.statement.span);
            tables.push(Table { name: name.value.clone(), origin, entries });
            names.push(name);
        }
        self.unique("table", names);
        tables
    }

    /// The lines of the block, or of the file.
    fn lines<'a>(&self, item: &Checked<'a>) -> &'a [Statement]
    where
        's: 'a,
    {
        if let Some(block) = &item.statement.block {
            return &block.statements;
        }
        let list = self.lists.iter().find(|list| list.statement == item.statement.span);
        list.map_or(&[], |list| &list.lines)
    }

    fn fill(&mut self, entries: &mut Entries, lines: &[Statement]) {
        let mut seen: HashMap<String, Span> = HashMap::with_capacity(lines.len());
        for line in lines {
            if let Some(block) = &line.block {
                self.error(Code::BlockNotAllowed, block.open, "an entry takes no block");
                continue;
            }
            let word = line.name();
            if let Some(extra) = line.words.get(1) {
                let message = format!("\"{}\" is too much: one entry a line", extra.text);
                self.error(Code::TooManyValues, extra.span, message);
            }
            if let Some(first) = seen.insert(word.text.to_ascii_lowercase(), word.span) {
                self.duplicate(&word.text, word.span, first);
                continue;
            }
            if let Err(error) = entries.push(&word.text) {
                let network = matches!(entries, Entries::Networks(_));
                let precise = wrong_network(&word.text, word.span).filter(|_| network);
                let diagnostic = precise.unwrap_or_else(|| {
                    Diagnostic::error(Code::BadEntry, word.span, error.to_string())
                });
                self.report(diagnostic);
            } else if word.text.ends_with("/0") && matches!(entries, Entries::Networks(_)) {
                self.diagnostics.extend(wrong_network(&word.text, word.span));
            }
        }
    }

    fn duplicate(&mut self, text: &str, span: Span, first: Span) {
        let line = self.sources.line(first);
        let message = format!("{text} is there already, on line {line}");
        let diagnostic =
            Diagnostic::error(Code::DuplicateEntry, span, message).related(first, "the first one");
        self.report(diagnostic);
    }

    pub(super) fn force_encrypt(&mut self, top: &Section<'_>) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut seen: HashMap<String, (Span, Direction)> = HashMap::new();
        for item in top.all("force-encrypt") {
            for line in self.lines(item) {
                let Some(entry) = self.entry(line) else { continue };
                let span = line.name().span;
                let key = entry.key.to_string();
                match seen.get(&key) {
                    Some((first, direction)) if overlap(*direction, entry.direction) => {
                        self.duplicate(&key, span, *first);
                    }
                    Some(_) | None => {
                        seen.insert(key, (span, entry.direction));
                        entries.push(entry);
                    }
                }
            }
        }
        entries
    }

    fn entry(&mut self, line: &Statement) -> Option<Entry> {
        if let Some(block) = &line.block {
            self.error(Code::BlockNotAllowed, block.open, "an entry takes no block");
            return None;
        }
        let key = line.name();
        if key.text.contains('/')
            && let Some(diagnostic) = wrong_network(&key.text, key.span)
        {
            self.report(diagnostic);
            return None;
        }
        let words: Vec<&str> = line.words.iter().map(|word| word.text.as_str()).collect();
        match Entry::parse(&words, origin(self.sources, key.span)) {
            Ok(entry) => Some(entry),
            Err(error) if error.word == 0 => {
                let message = error.problem.to_string();
                let diagnostic = Diagnostic::error(Code::BadEntry, key.span, message).help(
                    "write a domain, .domain for the names below it, an IP address or a network",
                );
                self.report(diagnostic);
                None
            }
            Err(error) => {
                self.wrong_word(&line.words, &error, Reading::Entry);
                None
            }
        }
    }
}

fn overlap(a: Direction, b: Direction) -> bool {
    (a.is_in() && b.is_in()) || (a.is_out() && b.is_out())
}
