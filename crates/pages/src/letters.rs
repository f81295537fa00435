//! Letters as dots: the bundled fonts, measured and drawn.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use ab_glyph::{Font, FontRef, GlyphId, PxScale, ScaleFont, point};

use crate::error::Trouble;
use crate::sheet::Scale;

/// A typeface. They are DejaVu, whose licence is beside the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Face {
    /// For text.
    Sans,
    /// For headings and what is stressed.
    Bold,
    /// For what stands in columns of letters.
    Mono,
}

/// The fonts and the letters already drawn.
pub struct Fonts {
    sans: FontRef<'static>,
    bold: FontRef<'static>,
    mono: FontRef<'static>,
    drawn: RefCell<HashMap<Key, Rc<Dots>>>,
    missing: RefCell<Vec<char>>,
}

/// Dots from the start of a letter on its line: column and row.
pub(crate) type Dots = Vec<(i32, i32)>;

#[derive(PartialEq, Eq, Hash)]
struct Key {
    face: Face,
    glyph: u16,
    /// Height in 64ths of a dot, and dots a point in both directions tell sizes apart.
    size: u32,
    rows: u32,
}

/// How much of a dot a letter must cover for the dot to be black.
const COVER_MIN: f32 = 0.45;
/// The most drawn letters that are kept.
const DRAWN_MAX: usize = 4_096;
/// The most different characters without a letter that are noted.
const MISSING_MAX: usize = 32;

impl Fonts {
    /// Reads the bundled fonts.
    ///
    /// # Errors
    ///
    /// [`Trouble::Fonts`] if the program was built with broken ones.
    pub fn load() -> Result<Self, Trouble> {
        let font = |octets| FontRef::try_from_slice(octets).map_err(|_| Trouble::Fonts);
        Ok(Self {
            sans: font(include_bytes!("../fonts/DejaVuSans.ttf"))?,
            bold: font(include_bytes!("../fonts/DejaVuSans-Bold.ttf"))?,
            mono: font(include_bytes!("../fonts/DejaVuSansMono.ttf"))?,
            drawn: RefCell::default(),
            missing: RefCell::default(),
        })
    }

    /// Characters that were asked for and are in no font; a box stands for each.
    pub fn missing(&self) -> Vec<char> {
        self.missing.borrow().clone()
    }

    /// The width of a character, in points.
    pub(crate) fn width(&self, face: Face, size: f32, c: char) -> f32 {
        let (font, glyph) = self.glyph(face, c);
        let units = font.units_per_em().unwrap_or(1_000.0);
        font.h_advance_unscaled(glyph) / units * size
    }

    /// The dots of a character.
    pub(crate) fn dots(&self, face: Face, size: f32, c: char, scale: Scale) -> Rc<Dots> {
        let (font, glyph) = self.glyph(face, c);
        let key = Key {
            face,
            glyph: glyph.0,
            size: (size * 64.0) as u32,
            rows: (scale.rows_a_point * 1024.0) as u32,
        };
        if let Some(dots) = self.drawn.borrow().get(&key) {
            return Rc::clone(dots);
        }
        let dots = Rc::new(draw(font, glyph, size, scale));
        let mut drawn = self.drawn.borrow_mut();
        if drawn.len() >= DRAWN_MAX {
            drawn.clear();
        }
        drawn.insert(key, Rc::clone(&dots));
        dots
    }

    /// The font that has the character, and its letter there.
    fn glyph(&self, face: Face, c: char) -> (&FontRef<'static>, GlyphId) {
        let font = match face {
            Face::Sans => &self.sans,
            Face::Bold => &self.bold,
            Face::Mono => &self.mono,
        };
        let glyph = font.glyph_id(c);
        if glyph.0 != 0 {
            return (font, glyph);
        }
        let other = self.sans.glyph_id(c);
        if other.0 == 0 {
            let mut missing = self.missing.borrow_mut();
            if missing.len() < MISSING_MAX && !missing.contains(&c) {
                missing.push(c);
            }
        }
        (&self.sans, other)
    }
}

fn draw(font: &FontRef<'static>, glyph: GlyphId, size: f32, scale: Scale) -> Dots {
    let mut dots = Dots::new();
    // The scale of the other crate is the height from the deepest to the highest letter.
    let height = font.height_unscaled() / font.units_per_em().unwrap_or(1_000.0) * size;
    let scaled = PxScale { x: height * scale.columns_a_point, y: height * scale.rows_a_point };
    let glyph = glyph.with_scale_and_position(scaled, point(0.0, 0.0));
    if let Some(outlined) = font.as_scaled(scaled).outline_glyph(glyph) {
        let bounds = outlined.px_bounds();
        outlined.draw(|column, row, cover| {
            if cover >= COVER_MIN {
                dots.push((bounds.min.x as i32 + column as i32, bounds.min.y as i32 + row as i32));
            }
        });
    }
    dots
}
