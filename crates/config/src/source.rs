//! The texts a configuration is made of, and places in them.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The most octets one configuration or list file may have.
pub const FILE_MAX_OCTETS: usize = 16 * 1024 * 1024;
/// The most files one configuration may include, the root file counted.
pub const FILES_MAX: usize = 1_000;

/// Which file of a [`Sources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(u16);

impl FileId {
    /// The root file, always the first.
    pub const ROOT: Self = Self(0);
}

/// A range of octets in one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// First octet.
    pub start: u32,
    /// One past the last octet.
    pub end: u32,
}

impl Span {
    /// A span from an octet range.
    pub fn new(file: FileId, range: Range<usize>) -> Self {
        Self { file, start: range.start as u32, end: range.end as u32 }
    }

    /// The octet range.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// The span from the start of this one to the end of `last`, when both are in one file.
    #[must_use]
    pub fn to(self, last: Self) -> Self {
        if self.file == last.file { Self { end: last.end.max(self.end), ..self } } else { self }
    }
}

/// A line and column, both counted from 1; the column counts characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

/// One text with its name and the starts of its lines.
#[derive(Debug, Clone)]
pub struct File {
    path: PathBuf,
    text: Arc<str>,
    line_starts: Vec<u32>,
}

impl File {
    fn new(path: PathBuf, text: &str) -> Self {
        let breaks = text.bytes().enumerate().filter(|&(_, b)| b == b'\n');
        let line_starts = std::iter::once(0).chain(breaks.map(|(at, _)| at as u32 + 1)).collect();
        Self { path, text: text.into(), line_starts }
    }

    /// The name as given or as found by an include.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// A cheap handle of the text.
    pub fn shared_text(&self) -> Arc<str> {
        Arc::clone(&self.text)
    }

    /// The line and column of an octet; an octet past the end is the end.
    pub fn position(&self, octet: u32) -> Position {
        let line = self.line_starts.partition_point(|&start| start <= octet).max(1);
        let start = self.line_starts[line - 1] as usize;
        let end = (octet as usize).clamp(start, self.text.len().max(start));
        let before = self.text.get(start..end).map_or(0, |text| text.chars().count());
        Position { line: line as u32, column: before as u32 + 1 }
    }

    /// The octet range of a line (from 1) without its line end.
    pub fn line(&self, line: u32) -> Range<usize> {
        let at = (line as usize).clamp(1, self.line_starts.len()) - 1;
        let start = self.line_starts[at] as usize;
        let end = self.line_starts.get(at + 1).map_or(self.text.len(), |&next| next as usize);
        let content = self.text[start..end].trim_end_matches('\n').trim_end_matches('\r');
        start..start + content.len()
    }
}

/// All files of one configuration, in the order in which they were read.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    files: Vec<File>,
}

impl Sources {
    /// Takes a text in; `None` when [`FILES_MAX`] are there already.
    pub fn add(&mut self, path: impl Into<PathBuf>, text: &str) -> Option<FileId> {
        if self.files.len() >= FILES_MAX {
            return None;
        }
        self.files.push(File::new(path.into(), text));
        Some(FileId((self.files.len() - 1) as u16))
    }

    /// The file of an id that these sources gave.
    pub fn file(&self, id: FileId) -> &File {
        &self.files[usize::from(id.0)]
    }

    /// The files in order, with their ids.
    pub fn numbered(&self) -> impl Iterator<Item = (FileId, &File)> {
        (0..).map(FileId).zip(&self.files)
    }

    /// The files in order.
    pub fn files(&self) -> impl Iterator<Item = &File> {
        self.files.iter()
    }

    /// The file's name and the place where a span starts.
    pub fn locate(&self, span: Span) -> (&Path, Position) {
        let file = self.file(span.file);
        (file.path(), file.position(span.start))
    }

    /// The line (from 1) on which a span starts.
    pub fn line(&self, span: Span) -> u32 {
        self.file(span.file).position(span.start).line
    }

    /// The text of a span.
    pub fn text(&self, span: Span) -> &str {
        self.file(span.file).text().get(span.range()).unwrap_or("")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_characters_from_one() {
        let mut sources = Sources::default();
        let id = sources.add("a.conf", "über x\r\n\nlast").unwrap();
        let file = sources.file(id);
        assert_eq!(file.position(0), Position { line: 1, column: 1 });
        assert_eq!(file.position(6), Position { line: 1, column: 6 });
        assert_eq!(file.position(9), Position { line: 2, column: 1 });
        assert_eq!(file.position(900), Position { line: 3, column: 5 });
        assert_eq!(&file.text()[file.line(1)], "über x");
        assert_eq!(&file.text()[file.line(3)], "last");
    }
}
