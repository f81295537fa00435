//! A page while it is drawn, measured in points from its upper left corner.

use fax::{Paper, Resolution};

use crate::bitmap::{Bitmap, COLUMNS, COLUMNS_AN_INCH};
use crate::letters::{Face, Fonts};
use crate::paragraph::Paragraph;
use crate::shape::Shaped;
use crate::tiff_f::rows_an_inch;

/// Points an inch.
const POINTS_AN_INCH: f32 = 72.0;
/// The width of every page, in points: all columns.
pub const WIDTH: f32 = COLUMNS as f32 / COLUMNS_AN_INCH * POINTS_AN_INCH;
/// Left and right of text, in points.
pub const MARGIN: f32 = 57.0;
/// Above text, in points; the header line stands in it.
pub const TOP: f32 = 45.0;
/// Below text, in points.
pub const BOTTOM: f32 = 45.0;
/// The band of the header line, in points.
pub const BAND: f32 = 24.0;

/// How many dots a point has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// Across.
    pub columns_a_point: f32,
    /// Down.
    pub rows_a_point: f32,
}

/// The form of pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// Rows an inch.
    pub resolution: Resolution,
    /// The size.
    pub paper: Paper,
}

impl Format {
    /// The height in points.
    pub const fn height(self) -> f32 {
        match self.paper {
            Paper::A4 => 841.9,
            Paper::Letter => 792.0,
        }
    }

    /// The height in rows.
    pub fn rows(self) -> usize {
        (self.height() * self.scale().rows_a_point).round() as usize
    }

    /// Dots a point.
    pub fn scale(self) -> Scale {
        Scale {
            columns_a_point: COLUMNS_AN_INCH / POINTS_AN_INCH,
            rows_a_point: rows_an_inch(self.resolution) as f32 / POINTS_AN_INCH,
        }
    }
}

/// A page while it is drawn.
pub struct Sheet<'f> {
    fonts: &'f Fonts,
    scale: Scale,
    page: Bitmap,
}

impl<'f> Sheet<'f> {
    /// An empty page.
    pub fn new(format: Format, fonts: &'f Fonts) -> Self {
        Self { fonts, scale: format.scale(), page: Bitmap::white(format.rows()) }
    }

    /// Goes on with a page that has something on it.
    pub fn over(page: Bitmap, format: Format, fonts: &'f Fonts) -> Self {
        Self { fonts, scale: format.scale(), page }
    }

    /// The page.
    pub fn into_bitmap(self) -> Bitmap {
        self.page
    }

    /// Writes `text` from `left` on with its letters standing on `line`; gives where it ends.
    pub fn write(&mut self, face: Face, size: f32, left: f32, line: f32, text: &str) -> f32 {
        let written = Paragraph::line(self.fonts, face, size, text);
        let width = written.width();
        written.write_line(self, &written.words, left, width, line);
        left + width
    }

    /// Puts letters from `left` on, standing on `line`.
    pub(crate) fn put(&mut self, shaped: &Shaped, size: f32, left: f32, line: f32) {
        let Scale { columns_a_point, rows_a_point } = self.scale;
        let standing = (line * rows_a_point).round() as i32;
        for letter in &shaped.letters {
            let column = ((left + letter.across * size) * columns_a_point).round() as i32;
            let row = standing - (letter.above * size * rows_a_point).round() as i32;
            for (across, down) in &*self.fonts.dots(letter.font, letter.glyph, size, self.scale) {
                if let (Ok(x), Ok(y)) = ((column + across).try_into(), (row + down).try_into()) {
                    self.page.blacken(x, y);
                }
            }
        }
    }

    /// A horizontal line, `thickness` points thick.
    pub fn rule(&mut self, left: f32, right: f32, top: f32, thickness: f32) {
        let Scale { columns_a_point, rows_a_point } = self.scale;
        self.page.fill(
            (left * columns_a_point) as usize,
            (top * rows_a_point) as usize,
            ((right - left) * columns_a_point) as usize,
            ((thickness * rows_a_point).round() as usize).max(1),
        );
    }

    /// A vertical line, `thickness` points thick.
    pub fn bar(&mut self, left: f32, top: f32, bottom: f32, thickness: f32) {
        let Scale { columns_a_point, rows_a_point } = self.scale;
        self.page.fill(
            (left * columns_a_point) as usize,
            (top * rows_a_point) as usize,
            ((thickness * columns_a_point).round() as usize).max(1),
            ((bottom - top) * rows_a_point) as usize,
        );
    }
}

/// The width of a text, in points.
pub fn width(fonts: &Fonts, face: Face, size: f32, text: &str) -> f32 {
    Paragraph::line(fonts, face, size, text).width()
}
