//! Texts to a configuration: files and what they include, checks, the model.

use std::path::{Path, PathBuf};

use crate::build;
use crate::code::Code;
use crate::diagnostic::{self, Diagnostic, Severity, has_errors};
use crate::model::Config;
use crate::source::{FILE_MAX_OCTETS, FILES_MAX, FileId, Sources, Span};
use crate::tree::{Statement, Tree};
use crate::world::{Disk, Memory, World};

/// How deep included files may include others.
pub const INCLUDE_DEPTH_MAX: usize = 8;

/// What came of reading a configuration.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The configuration, if there is no error.
    pub config: Option<Config>,
    /// Every finding, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
    /// The texts that were read.
    pub sources: Sources,
}

impl Outcome {
    /// The findings as text for people; empty when there is none.
    pub fn render(&self) -> String {
        diagnostic::render(&self.diagnostics, &self.sources)
    }

    /// The findings as JSON for programs.
    pub fn to_json(&self) -> serde_json::Value {
        diagnostic::to_json(&self.diagnostics, &self.sources)
    }

    /// Whether there is any warning.
    pub fn has_warnings(&self) -> bool {
        self.diagnostics.iter().any(|d| d.severity == Severity::Warning)
    }
}

/// Reads a configuration from disk, with the environment of this process.
pub fn load(path: &Path) -> Outcome {
    load_in(path, &Disk::default())
}

/// Reads a configuration file from a world.
pub fn load_in(path: &Path, world: &dyn World) -> Outcome {
    let mut reader = Reader::new(world);
    match reader.text(path, None) {
        Some(text) => reader.finish(path, &text),
        None => reader.give_up(),
    }
}

/// Reads a text that stands alone: it can include nothing, and secrets need not be there.
pub fn parse(text: &str) -> Outcome {
    read(Path::new("mailkeep.conf"), text, &Memory::new())
}

/// Reads a text as if it stood in the file `path`: a candidate that is not saved yet.
pub fn read(path: &Path, text: &str, world: &dyn World) -> Outcome {
    let mut reader = Reader::new(world);
    if text.len() > FILE_MAX_OCTETS {
        reader.too_large(path, None);
        return reader.give_up();
    }
    reader.finish(path, text)
}

/// The entries of a `table ... file` or `force-encrypt file`, found by the statement.
pub(crate) struct List {
    /// The statement that names the file.
    pub statement: Span,
    /// The lines of the file.
    pub lines: Vec<Statement>,
}

/// Where an included file's statements will stand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Top,
    Rules,
    Elsewhere,
}

struct Reader<'w> {
    world: &'w dyn World,
    sources: Sources,
    diagnostics: Vec<Diagnostic>,
    lists: Vec<List>,
    /// The files that are being read, outermost first.
    open: Vec<PathBuf>,
}

impl<'w> Reader<'w> {
    fn new(world: &'w dyn World) -> Self {
        Self {
            world,
            sources: Sources::default(),
            diagnostics: Vec::new(),
            lists: Vec::new(),
            open: Vec::new(),
        }
    }

    fn give_up(mut self) -> Outcome {
        diagnostic::sort(&mut self.diagnostics);
        Outcome { config: None, diagnostics: self.diagnostics, sources: self.sources }
    }

    fn finish(mut self, path: &Path, text: &str) -> Outcome {
        let statements = self.file(path, text, None, Place::Top);
        let Self { world, sources, diagnostics, lists, open: _ } = self;
        let (config, found) = build::config(&sources, &statements, &lists, world);
        let mut all = diagnostics;
        all.extend(found);
        diagnostic::sort(&mut all);
        let config = config.filter(|_| !has_errors(&all));
        Outcome { config, diagnostics: all, sources }
    }

    fn report(&mut self, span: Option<Span>, diagnostic: Diagnostic) {
        self.diagnostics.push(Diagnostic { span, ..diagnostic });
    }

    fn too_large(&mut self, path: &Path, span: Option<Span>) {
        let message = format!("{} is larger than 16 MB", path.display());
        self.report(span, Diagnostic::whole(Code::FileTooLarge, Severity::Error, message));
    }

    /// The text of a file, or a finding at the place that names it.
    fn text(&mut self, path: &Path, span: Option<Span>) -> Option<String> {
        let octets = match self.world.read(path, FILE_MAX_OCTETS + 1) {
            Ok(octets) if octets.len() > FILE_MAX_OCTETS => {
                self.too_large(path, span);
                return None;
            }
            Ok(octets) => octets,
            Err(error) => {
                let message = format!("cannot read {}: {error}", path.display());
                let found = Diagnostic::whole(Code::FileUnreadable, Severity::Error, message);
                self.report(span, found);
                return None;
            }
        };
        match String::from_utf8(octets) {
            Ok(text) => Some(text),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                let good = String::from_utf8_lossy(&error.as_bytes()[..at]);
                let line = 1 + good.matches('\n').count();
                let message = format!("{} is not UTF-8 on line {line}", path.display());
                let found = Diagnostic::whole(Code::NotUtf8, Severity::Error, message);
                self.report(span, found);
                None
            }
        }
    }

    /// The statements of a file, with those of the files it includes in their places.
    fn file(
        &mut self,
        path: &Path,
        text: &str,
        named_at: Option<Span>,
        place: Place,
    ) -> Vec<Statement> {
        let Some(tree) = self.tree(path, text, named_at) else { return Vec::new() };
        self.open.push(path.to_owned());
        let statements = self.expand(tree.statements, place);
        self.open.pop();
        statements
    }

    fn tree(&mut self, path: &Path, text: &str, named_at: Option<Span>) -> Option<Tree> {
        let Some(id) = self.sources.add(path, text) else {
            let message = format!("more than {FILES_MAX} files");
            let found = Diagnostic::whole(Code::IncludeDepth, Severity::Error, message);
            self.report(named_at, found);
            return None;
        };
        let (tree, found) = Tree::parse(id, text);
        self.diagnostics.extend(found);
        Some(tree)
    }

    fn expand(&mut self, statements: Vec<Statement>, place: Place) -> Vec<Statement> {
        let mut expanded = Vec::with_capacity(statements.len());
        for mut statement in statements {
            let name = statement.name();
            if name.text == "include" && !name.quoted && place != Place::Elsewhere {
                expanded.extend(self.include(&statement, place));
                continue;
            }
            let inner = match (place, name.text.as_str()) {
                (Place::Top, "rules") => Place::Rules,
                _ => Place::Elsewhere,
            };
            if place == Place::Top {
                self.list(&statement);
            }
            if let Some(block) = &mut statement.block {
                self.misplaced_includes(inner, &block.statements);
                let inside = std::mem::take(&mut block.statements);
                block.statements = self.expand(inside, inner);
            }
            expanded.push(statement);
        }
        expanded
    }

    fn misplaced_includes(&mut self, place: Place, statements: &[Statement]) {
        for statement in statements.iter().filter(|_| place == Place::Elsewhere) {
            let [include, _file] = &statement.words[..] else { continue };
            if include.text == "include" && !include.quoted {
                let message = "include cannot stand in this block";
                let found = Diagnostic::error(Code::IncludeNotHere, include.span, message)
                    .help("it may stand outside all blocks and inside rules { }");
                self.diagnostics.push(found);
            }
        }
    }

    fn include(&mut self, statement: &Statement, place: Place) -> Vec<Statement> {
        let span = statement.head();
        let [_, pattern] = &statement.words[..] else {
            let found = Diagnostic::error(Code::TooFewValues, span, "include needs one file name")
                .help("for example: include domains/*.conf");
            self.diagnostics.push(found);
            return Vec::new();
        };
        if let Some(block) = &statement.block {
            let message = "include takes no block";
            self.diagnostics.push(Diagnostic::error(Code::BlockNotAllowed, block.open, message));
        }
        let paths = self.matching(&self.base(span.file).join(&pattern.text), pattern.span);
        let mut statements = Vec::new();
        for path in paths {
            if self.open.contains(&path) {
                let message = format!("{} includes itself", path.display());
                let found = Diagnostic::error(Code::IncludeCycle, pattern.span, message);
                self.diagnostics.push(found);
            } else if self.open.len() > INCLUDE_DEPTH_MAX {
                let message = format!("includes nest deeper than {INCLUDE_DEPTH_MAX}");
                let found = Diagnostic::error(Code::IncludeDepth, pattern.span, message);
                self.diagnostics.push(found);
            } else if let Some(text) = self.text(&path, Some(pattern.span)) {
                statements.extend(self.file(&path, &text, Some(pattern.span), place));
            }
        }
        statements
    }

    fn base(&self, file: FileId) -> PathBuf {
        self.sources.file(file).path().parent().unwrap_or(Path::new("")).to_owned()
    }

    /// The files that an include means, in the order of their names.
    fn matching(&mut self, path: &Path, span: Span) -> Vec<PathBuf> {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let folder = path.parent().unwrap_or(Path::new(""));
        if folder.to_string_lossy().contains(WILDCARDS) {
            let message = "only the last part of the name may hold * or ?";
            self.diagnostics.push(Diagnostic::error(Code::IncludeNothing, span, message));
            return Vec::new();
        }
        let Some(pattern) = name.filter(|name| name.contains(WILDCARDS)) else {
            return vec![path.to_owned()];
        };
        let found = self.world.list(folder).unwrap_or_default();
        let fits = |path: &PathBuf| {
            path.file_name().is_some_and(|name| {
                let name = name.to_string_lossy();
                !name.starts_with('.') && glob_fits(&pattern, &name)
            })
        };
        found.into_iter().filter(fits).collect()
    }

    /// Reads the file of a `table` or `force-encrypt` statement, if it names one.
    fn list(&mut self, statement: &Statement) {
        let words: Vec<&str> = statement.words.iter().map(|word| word.text.as_str()).collect();
        let at = match words[..] {
            ["force-encrypt", "file", _] => 2,
            ["table", _, _, "file", _] => 4,
            _ => return,
        };
        let word = &statement.words[at];
        let path = self.base(word.span.file).join(&word.text);
        let Some(text) = self.text(&path, Some(word.span)) else { return };
        if let Some(tree) = self.tree(&path, &text, Some(word.span)) {
            self.lists.push(List { statement: statement.span, lines: tree.statements });
        }
    }
}

const WILDCARDS: [char; 2] = ['*', '?'];

/// Whether a name fits a pattern of `*` and `?`. Takes at most length times length steps.
fn glob_fits(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&c) if c == '?' || c == name[n] => {
                p += 1;
                n += 1;
            }
            Some(_) | None => {
                let Some((star_p, star_n)) = star else { return false };
                star = Some((star_p, star_n + 1));
                p = star_p + 1;
                n = star_n + 1;
            }
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_number_of_characters() {
        for (pattern, name, fits) in [
            ("*.conf", "a.conf", true),
            ("*.conf", ".conf", true),
            ("*.conf", "a.conf~", false),
            ("a?c*", "abcd", true),
            ("a?c", "ac", false),
            ("*a*b*", "xxaxxbxx", true),
            ("", "", true),
        ] {
            assert_eq!(glob_fits(pattern, name), fits, "{pattern} {name}");
        }
    }
}
