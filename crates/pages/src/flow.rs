//! Text to pages: paragraphs, headings, lists and tables, broken into lines and pages.

use crate::bitmap::Bitmap;
use crate::error::Trouble;
use crate::letters::{Face, Fonts};
use crate::paragraph::{Paragraph, Word};
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
/// Between the mark of an item and its text, in points.
const MARK_GAP: f32 = 5.0;
/// Makes what follows run from right to left.
const RIGHT_TO_LEFT_MARK: char = '\u{200f}';
/// The deepest level that is moved in.
const DEPTH_MAX: u8 = 6;
/// Between the cells of a table, in points.
const GUTTER: f32 = 8.0;
/// The most columns a table is drawn with; further cells are left to the last.
const TABLE_COLUMNS_MAX: usize = 12;

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
                let line = self.at + SIZE;
                if Paragraph::new(self.fonts, spans, Face::Sans, SIZE).is_rtl {
                    let mark = format!("{RIGHT_TO_LEFT_MARK}{mark}");
                    self.sheet.write(Face::Sans, SIZE, WIDTH - left + MARK_GAP, line, &mark);
                } else {
                    let wide = width(self.fonts, Face::Sans, SIZE, mark);
                    self.sheet.write(Face::Sans, SIZE, left - wide - MARK_GAP, line, mark);
                }
                self.lines(spans, Face::Sans, SIZE, left)?;
                self.at += SIZE * 0.2;
            }
            Block::Quote(depth, spans) => {
                let depth = (*depth).min(DEPTH_MAX);
                let (pages, top) = (self.done.len(), self.at);
                let inner = left + 10.0 * f32::from(depth);
                let is_rtl = self.lines(spans, Face::Sans, SIZE, inner)?;
                let top = if self.done.len() == pages { top } else { TOP };
                for level in 0..depth {
                    let moved = left + 10.0 * f32::from(level);
                    let bar = if is_rtl { WIDTH - moved } else { moved };
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

    /// Writes a paragraph `left` points in, from the left or from the right; gives whether it
    /// is written from right to left.
    fn lines(&mut self, spans: &[Span], face: Face, size: f32, left: f32) -> Result<bool, Trouble> {
        let paragraph = Paragraph::new(self.fonts, spans, face, size);
        let room = WIDTH - MARGIN - left;
        let left = if paragraph.is_rtl { MARGIN } else { left };
        for line in paragraph.lines(room) {
            self.room(size * LEADING)?;
            let standing = self.at + size;
            paragraph.write_line(&mut self.sheet, line, left, room, standing);
            self.at += size * LEADING;
        }
        Ok(paragraph.is_rtl)
    }

    fn line_of_letters(&mut self, text: &str) -> Result<(), Trouble> {
        let letter = self.fonts.width(Face::Mono, MONO_SIZE, 'm');
        let letters_max = ((WIDTH - 2.0 * MARGIN) / letter) as usize;
        let letters: Vec<char> = text.chars().filter(|c| !c.is_control()).collect();
        // An empty line has its height too.
        let pieces = letters.chunks(letters_max.max(1)).map(String::from_iter);
        let empty = letters.is_empty().then(String::new);
        for piece in pieces.chain(empty) {
            let written = Paragraph::line(self.fonts, Face::Mono, MONO_SIZE, &piece);
            let room = WIDTH - 2.0 * MARGIN;
            // Letters of another font may be wider.
            let lines = written.lines(room);
            for line in lines.iter().copied().chain(lines.is_empty().then_some(&[][..])) {
                self.room(MONO_SIZE * LEADING)?;
                let standing = self.at + MONO_SIZE;
                written.write_line(&mut self.sheet, line, MARGIN, room, standing);
                self.at += MONO_SIZE * LEADING;
            }
        }
        Ok(())
    }

    fn table(&mut self, rows: &[Vec<Vec<Span>>]) -> Result<(), Trouble> {
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0).min(TABLE_COLUMNS_MAX);
        if columns == 0 {
            return Ok(());
        }
        let cells: Vec<Vec<Paragraph>> = rows
            .iter()
            .map(|row| {
                row.iter()
                    .take(columns)
                    .map(|cell| Paragraph::new(self.fonts, cell, Face::Sans, SIZE))
                    .collect()
            })
            .collect();
        // Its first word tells from which side a table is read.
        let mut all = cells.iter().flatten();
        let is_rtl = all.find(|cell| !cell.words.is_empty()).is_some_and(|cell| cell.is_rtl);
        let widths = column_widths(&cells, columns);
        self.at += SIZE * 0.3;
        for row in &cells {
            let broken: Vec<(&Paragraph, Vec<&[Word]>, f32)> = row
                .iter()
                .zip(&widths)
                .map(|(cell, width)| (cell, cell.lines(*width), *width))
                .collect();
            let lines = broken.iter().map(|(_, lines, _)| lines.len()).max().unwrap_or(1).max(1);
            for line in 0..lines {
                self.room(SIZE * LEADING)?;
                let standing = self.at + SIZE;
                let mut moved = MARGIN;
                for (cell, lines, width) in &broken {
                    let left = if is_rtl { WIDTH - moved - width } else { moved };
                    if let Some(words) = lines.get(line) {
                        cell.write_line(&mut self.sheet, words, left, *width, standing);
                    }
                    moved += width + GUTTER;
                }
                self.at += SIZE * LEADING;
            }
            let wide = widths.iter().sum::<f32>() + GUTTER * (columns - 1) as f32;
            let (from, to) = if is_rtl {
                ((WIDTH - MARGIN - wide).max(MARGIN), WIDTH - MARGIN)
            } else {
                (MARGIN, (MARGIN + wide).min(WIDTH - MARGIN))
            };
            self.sheet.rule(from, to, self.at + 1.0, 0.5);
            self.at += 4.0;
        }
        self.at += SIZE * 0.5;
        Ok(())
    }
}

/// As wide as the widest cell; if that is too much together, less by what each has above
/// its share.
fn column_widths(cells: &[Vec<Paragraph>], columns: usize) -> Vec<f32> {
    let room = WIDTH - 2.0 * MARGIN - GUTTER * (columns - 1) as f32;
    let natural = |column: usize| {
        let cells = cells.iter().filter_map(|row| row.get(column));
        cells.map(Paragraph::width).fold(SIZE, f32::max)
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
