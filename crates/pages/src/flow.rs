//! Text to pages: paragraphs, headings, lists and tables, broken into lines and pages.

use crate::bitmap::Bitmap;
use crate::error::Trouble;
use crate::letters::{Face, Fonts};
use crate::sheet::{BOTTOM, Format, MARGIN, Sheet, TOP, WIDTH, width};

/// A piece of a text, one after the other.
#[derive(Debug, Clone, PartialEq)]
pub enum Block {
    /// A paragraph.
    Text(Vec<Span>),
    /// A heading; 1 is the largest.
    Heading(u8, Vec<Span>),
    /// An item of a list: its mark and how deep it stands.
    Item(String, u8, Vec<Span>),
    /// Something quoted, so deep.
    Quote(u8, Vec<Span>),
    /// A line whose blanks count.
    Line(String),
    /// Rows of cells.
    Table(Vec<Vec<Vec<Span>>>),
    /// A line across.
    Rule,
    /// An empty line.
    Space,
}

/// Text of one face.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The text; blanks separate words.
    pub text: String,
    /// Whether it is stressed.
    pub bold: bool,
    /// Begins a new line.
    pub breaks: bool,
}

impl Span {
    /// Plain text.
    pub fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), bold: false, breaks: false }
    }
}

/// The size of body text, in points.
const SIZE: f32 = 10.5;
/// The size of text whose blanks count.
const MONO_SIZE: f32 = 9.5;
/// The height of a line by the size of its letters.
const LEADING: f32 = 1.32;
/// How far a level of lists and quotes is moved in, in points.
const INDENT: f32 = 18.0;
/// The deepest level that is moved in.
const DEPTH_MAX: u8 = 6;
/// Words are cut into pieces no wider than this, in points.
const PIECE_MAX: f32 = 220.0;
/// Between the cells of a table, in points.
const GUTTER: f32 = 8.0;
/// The most columns a table is drawn with; further cells are left to the last.
const TABLE_COLUMNS_MAX: usize = 12;

/// A word that is not broken, with the blank behind it.
struct Word {
    text: String,
    face: Face,
    width: f32,
    blank: f32,
    breaks: bool,
}

/// Pages while text flows onto them.
pub struct Flow<'f> {
    format: Format,
    fonts: &'f Fonts,
    done: Vec<Bitmap>,
    sheet: Sheet<'f>,
    /// Where the next line's top is, in points.
    at: f32,
    /// Where the text of the current page ends.
    bottom: f32,
    pages_max: usize,
}

impl<'f> Flow<'f> {
    /// Begins on an empty page; at most `pages_max` of them.
    pub fn new(format: Format, fonts: &'f Fonts, pages_max: usize) -> Self {
        Self::on(Sheet::new(format, fonts), TOP, format.height() - BOTTOM, format, fonts, pages_max)
    }

    /// Goes on from `at` on a page that something stands on, down to `bottom`.
    pub fn on(
        sheet: Sheet<'f>,
        at: f32,
        bottom: f32,
        format: Format,
        fonts: &'f Fonts,
        pages_max: usize,
    ) -> Self {
        Self { format, fonts, done: Vec::new(), sheet, at, bottom, pages_max }
    }

    /// The pages.
    pub fn finish(mut self) -> Vec<Bitmap> {
        self.done.push(self.sheet.into_bitmap());
        self.done
    }

    /// Adds blocks.
    ///
    /// # Errors
    ///
    /// [`Trouble::TooManyPages`].
    pub fn add(&mut self, blocks: &[Block]) -> Result<(), Trouble> {
        blocks.iter().try_for_each(|block| self.block(block))
    }

    fn block(&mut self, block: &Block) -> Result<(), Trouble> {
        let left = MARGIN;
        match block {
            Block::Text(spans) => {
                self.lines(spans, Face::Sans, SIZE, left)?;
                self.at += SIZE * 0.5;
            }
            Block::Heading(level, spans) => {
                let size = match level {
                    1 => 17.0,
                    2 => 14.5,
                    3 => 12.5,
                    _ => 11.5,
                };
                self.at += size * 0.4;
                // A heading at the foot of a page has lost its text.
                self.room(size * LEADING + 2.0 * SIZE * LEADING)?;
                self.lines(spans, Face::Bold, size, left)?;
                self.at += size * 0.3;
            }
            Block::Item(mark, depth, spans) => {
                let left = left + INDENT * f32::from((*depth).min(DEPTH_MAX));
                self.room(SIZE * LEADING)?;
                let mark_left = left - width(self.fonts, Face::Sans, SIZE, mark) - 5.0;
                let line = self.at + SIZE;
                self.sheet.write(Face::Sans, SIZE, mark_left, line, mark);
                self.lines(spans, Face::Sans, SIZE, left)?;
                self.at += SIZE * 0.2;
            }
            Block::Quote(depth, spans) => {
                let depth = (*depth).min(DEPTH_MAX);
                let (pages, top) = (self.done.len(), self.at);
                self.lines(spans, Face::Sans, SIZE, left + 10.0 * f32::from(depth))?;
                let top = if self.done.len() == pages { top } else { TOP };
                for level in 0..depth {
                    let bar = left + 10.0 * f32::from(level);
                    self.sheet.bar(bar, top, self.at, 1.0);
                }
                self.at += SIZE * 0.3;
            }
            Block::Line(text) => self.line_of_letters(text)?,
            Block::Table(rows) => self.table(rows)?,
            Block::Rule => {
                self.room(SIZE)?;
                self.sheet.rule(left, WIDTH - MARGIN, self.at + SIZE * 0.4, 0.8);
                self.at += SIZE;
            }
            Block::Space => self.at += SIZE * LEADING,
        }
        Ok(())
    }

    /// Turns the page if so many points do not fit any more.
    fn room(&mut self, points: f32) -> Result<(), Trouble> {
        if self.at + points <= self.bottom {
            return Ok(());
        }
        if self.done.len() + 1 >= self.pages_max {
            return Err(Trouble::TooManyPages { limit: self.pages_max });
        }
        let next = Sheet::new(self.format, self.fonts);
        self.done.push(std::mem::replace(&mut self.sheet, next).into_bitmap());
        self.at = TOP;
        self.bottom = self.format.height() - BOTTOM;
        Ok(())
    }

    fn lines(&mut self, spans: &[Span], face: Face, size: f32, left: f32) -> Result<(), Trouble> {
        let words = words(self.fonts, spans, face, size);
        for line in break_lines(&words, WIDTH - MARGIN - left) {
            self.room(size * LEADING)?;
            let standing = self.at + size;
            self.write_words(line, size, left, standing);
            self.at += size * LEADING;
        }
        Ok(())
    }

    fn write_words(&mut self, words: &[Word], size: f32, left: f32, standing: f32) {
        let mut at = left;
        for word in words {
            self.sheet.write(word.face, size, at, standing, &word.text);
            at += word.width + word.blank;
        }
    }

    fn line_of_letters(&mut self, text: &str) -> Result<(), Trouble> {
        let letter = self.fonts.width(Face::Mono, MONO_SIZE, 'm');
        let letters_max = ((WIDTH - 2.0 * MARGIN) / letter) as usize;
        let letters: Vec<char> = text.chars().filter(|c| !c.is_control()).collect();
        // An empty line has its height too.
        let pieces = letters.chunks(letters_max.max(1)).map(String::from_iter);
        let empty = letters.is_empty().then(String::new);
        for piece in pieces.chain(empty) {
            self.room(MONO_SIZE * LEADING)?;
            let standing = self.at + MONO_SIZE;
            self.sheet.write(Face::Mono, MONO_SIZE, MARGIN, standing, &piece);
            self.at += MONO_SIZE * LEADING;
        }
        Ok(())
    }

    fn table(&mut self, rows: &[Vec<Vec<Span>>]) -> Result<(), Trouble> {
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0).min(TABLE_COLUMNS_MAX);
        if columns == 0 {
            return Ok(());
        }
        let cells: Vec<Vec<Vec<Word>>> = rows
            .iter()
            .map(|row| {
                row.iter()
                    .take(columns)
                    .map(|cell| words(self.fonts, cell, Face::Sans, SIZE))
                    .collect()
            })
            .collect();
        let widths = column_widths(&cells, columns);
        self.at += SIZE * 0.3;
        for row in &cells {
            let broken: Vec<Vec<&[Word]>> =
                row.iter().zip(&widths).map(|(cell, width)| break_lines(cell, *width)).collect();
            let lines = broken.iter().map(Vec::len).max().unwrap_or(1).max(1);
            for line in 0..lines {
                self.room(SIZE * LEADING)?;
                let standing = self.at + SIZE;
                let mut left = MARGIN;
                for (cell, width) in broken.iter().zip(&widths) {
                    if let Some(words) = cell.get(line) {
                        self.write_words(words, SIZE, left, standing);
                    }
                    left += width + GUTTER;
                }
                self.at += SIZE * LEADING;
            }
            let right = MARGIN + widths.iter().sum::<f32>() + GUTTER * (columns - 1) as f32;
            self.sheet.rule(MARGIN, right.min(WIDTH - MARGIN), self.at + 1.0, 0.5);
            self.at += 4.0;
        }
        self.at += SIZE * 0.5;
        Ok(())
    }
}

/// As wide as the widest cell; if that is too much together, less by what each has above
/// its share.
fn column_widths(cells: &[Vec<Vec<Word>>], columns: usize) -> Vec<f32> {
    let room = WIDTH - 2.0 * MARGIN - GUTTER * (columns - 1) as f32;
    let natural = |column: usize| {
        let cells = cells.iter().filter_map(|row| row.get(column));
        cells
            .map(|cell| cell.iter().map(|word| word.width + word.blank).sum::<f32>())
            .fold(SIZE, f32::max)
    };
    let natural: Vec<f32> = (0..columns).map(natural).collect();
    let total: f32 = natural.iter().sum();
    if total <= room {
        return natural;
    }
    let share = room / columns as f32;
    let fixed: f32 = natural.iter().filter(|width| **width <= share).sum();
    let wide: f32 = natural.iter().filter(|width| **width > share).sum();
    natural
        .iter()
        .map(|width| if *width <= share { *width } else { width / wide * (room - fixed) })
        .collect()
}

fn words(fonts: &Fonts, spans: &[Span], face: Face, size: f32) -> Vec<Word> {
    let mut words = Vec::new();
    for span in spans {
        let face = if span.bold { Face::Bold } else { face };
        let blank = fonts.width(face, size, ' ');
        let mut breaks = span.breaks;
        // A span that begins without a blank goes on with the word before it.
        for (at, text) in span.text.split(' ').enumerate() {
            if at > 0
                && let Some(before) = words.last_mut()
            {
                let before: &mut Word = before;
                before.blank = blank;
            }
            let text: String = text.chars().filter(|c| !c.is_control()).collect();
            if text.is_empty() && !breaks {
                continue;
            }
            for text in pieces(fonts, face, size, text) {
                let width = width(fonts, face, size, &text);
                words.push(Word { text, face, width, blank: 0.0, breaks });
                breaks = false;
            }
        }
    }
    words
}

/// A word cut where it would be wider than a cell of a table may be, or where the writing
/// has no blanks.
fn pieces(fonts: &Fonts, face: Face, size: f32, word: String) -> Vec<String> {
    if word.is_empty() {
        return vec![word];
    }
    let mut pieces = vec![String::new()];
    let mut used = 0.0;
    for c in word.chars() {
        let width = fonts.width(face, size, c);
        if let Some(piece) = pieces.last_mut() {
            if piece.is_empty() || (used + width <= PIECE_MAX && !is_ideograph(c)) {
                piece.push(c);
                used += width;
            } else {
                pieces.push(c.to_string());
                used = width;
            }
        }
    }
    pieces
}

/// Chinese and Japanese are written without blanks; a line may end at every sign.
const fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{2e80}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// Divides words into lines no wider than `room`.
fn break_lines(words: &[Word], room: f32) -> Vec<&[Word]> {
    let mut lines = Vec::new();
    let (mut start, mut used) = (0, 0.0);
    for (at, word) in words.iter().enumerate() {
        let is_full = at > start && used + word.width > room;
        // Only where there is a blank may a line end.
        if word.breaks && at > start {
            lines.push(&words[start..at]);
            (start, used) = (at, 0.0);
        } else if is_full {
            let may_end = |place: &usize| words[*place - 1].blank > 0.0;
            let place = (start + 1..=at).rev().find(may_end).unwrap_or(at);
            lines.push(&words[start..place]);
            used = words[place..at].iter().map(|word| word.width + word.blank).sum();
            start = place;
        }
        used += word.width + word.blank;
    }
    if start < words.len() {
        lines.push(&words[start..]);
    }
    lines
}
