//! Letters as dots: the bundled fonts and those that an administrator names, drawn.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use ab_glyph::{Font, FontArc, FontRef, FontVec, GlyphId, PxScale, ScaleFont, point};
use fax::work::Missing;
use harfrust::unicode;

use crate::error::Trouble;
use crate::shape::{Shaped, Shaper, is_invisible};
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

impl Face {
    /// The place of its font among all.
    const fn place(self) -> usize {
        match self {
            Self::Sans => 0,
            Self::Bold => 1,
            Self::Mono => 2,
        }
    }
}

/// The fonts, the words already shaped and the letters already drawn.
pub struct Fonts {
    fonts: Vec<Typeface>,
    shaper: Shaper,
    found: RefCell<HashMap<(Face, char), Found>>,
    drawn: RefCell<HashMap<Key, Rc<Dots>>>,
    missing: RefCell<BTreeSet<char>>,
}

/// One font, for whom it is drawn and for whom it is shaped.
pub(crate) struct Typeface {
    outlines: FontArc,
    /// The same for the shaper.
    pub shaping: harfrust::Font,
    /// Units of the font in the height of a letter.
    pub units: f32,
}

/// Where a character is.
#[derive(Clone, Copy)]
pub(crate) struct Found {
    /// The place of the font.
    pub font: usize,
    /// How wide the letter is by itself, by the size.
    pub width: f32,
    /// Whether the font has it; otherwise a box stands for it.
    pub is_there: bool,
}

/// Dots from the start of a letter on its line: column and row.
pub(crate) type Dots = Vec<(i32, i32)>;

#[derive(PartialEq, Eq, Hash)]
struct Key {
    font: usize,
    glyph: u16,
    /// Height in 64ths of a dot, and dots a point in both directions tell sizes apart.
    size: u32,
    rows: u32,
}

/// The largest font file that is read, in octets.
pub const FONT_MAX_OCTETS: u64 = 32 * 1024 * 1024;
/// How much of a dot a letter must cover for the dot to be black.
const COVER_MIN: f32 = 0.45;
/// The most drawn letters that are kept.
const DRAWN_MAX: usize = 4_096;
/// The most characters whose place is kept.
const FOUND_MAX: usize = 16_384;
/// The most different characters without a letter that are counted.
const MISSING_MAX: usize = 10_000;
/// How many of them are told.
const MISSING_TOLD: usize = 32;

impl Fonts {
    /// The bundled fonts and after them `named`, whole font files in their order. A file that
    /// is no font is left out.
    ///
    /// # Errors
    ///
    /// [`Trouble::Fonts`] when the bundled ones are damaged.
    pub fn load(named: Vec<Vec<u8>>) -> Result<Self, Trouble> {
        let bundled: [&'static [u8]; 3] = [
            include_bytes!("../fonts/DejaVuSans.ttf"),
            include_bytes!("../fonts/DejaVuSans-Bold.ttf"),
            include_bytes!("../fonts/DejaVuSansMono.ttf"),
        ];
        let bundled = bundled.into_iter().map(Typeface::bundled);
        let mut fonts = bundled.collect::<Option<Vec<_>>>().ok_or(Trouble::Fonts)?;
        fonts.extend(named.into_iter().filter_map(Typeface::named));
        Ok(Self {
            fonts,
            shaper: Shaper::default(),
            found: RefCell::default(),
            drawn: RefCell::default(),
            missing: RefCell::default(),
        })
    }

    /// Characters that were asked for and are in no font; a box stands for each.
    pub fn missing(&self) -> Missing {
        let missing = self.missing.borrow();
        let scripts: BTreeSet<&str> = missing.iter().map(|c| script_name(*c)).collect();
        Missing {
            characters: missing.iter().take(MISSING_TOLD).collect(),
            count: missing.len(),
            scripts: scripts.into_iter().map(str::to_owned).collect(),
        }
    }

    /// The letters of a piece of text that runs in one direction.
    pub(crate) fn shape(&self, face: Face, is_rtl: bool, text: &str) -> Rc<Shaped> {
        self.shaper.shape(self, face, is_rtl, text)
    }

    /// The font at a place that [`Found`] names.
    pub(crate) fn at(&self, place: usize) -> Option<&Typeface> {
        self.fonts.get(place)
    }

    /// The width of a character by itself, in points.
    pub(crate) fn width(&self, face: Face, size: f32, c: char) -> f32 {
        self.find(face, c).width * size
    }

    /// The font that has the character: the face's own, else the first that has it.
    pub(crate) fn find(&self, face: Face, c: char) -> Found {
        if let Some(found) = self.found.borrow().get(&(face, c)) {
            return *found;
        }
        let has = |place: &usize| self.fonts.get(*place).is_some_and(|font| font.has(c));
        let font = [face.place(), Face::Sans.place()]
            .into_iter()
            .chain(Face::Mono.place() + 1..self.fonts.len())
            .find(has);
        if font.is_none() && !is_invisible(c) {
            let mut missing = self.missing.borrow_mut();
            if missing.len() < MISSING_MAX {
                missing.insert(c);
            }
        }
        let place = font.unwrap_or(Face::Sans.place());
        let width = self.fonts.get(place).map_or(0.0, |font| font.width(c));
        let found = Found { font: place, width, is_there: font.is_some() };
        let mut kept = self.found.borrow_mut();
        if kept.len() >= FOUND_MAX {
            kept.clear();
        }
        kept.insert((face, c), found);
        found
    }

    /// Whether the font at a place has a character.
    pub(crate) fn has(&self, place: usize, c: char) -> bool {
        self.fonts.get(place).is_some_and(|font| font.has(c))
    }

    /// The dots of a letter of the font at a place.
    pub(crate) fn dots(&self, font: usize, glyph: u16, size: f32, scale: Scale) -> Rc<Dots> {
        let key = Key {
            font,
            glyph,
            size: (size * 64.0) as u32,
            rows: (scale.rows_a_point * 1024.0) as u32,
        };
        if let Some(dots) = self.drawn.borrow().get(&key) {
            return Rc::clone(dots);
        }
        let dots = self.fonts.get(font).map(|font| font.draw(GlyphId(glyph), size, scale));
        let dots = Rc::new(dots.unwrap_or_default());
        let mut drawn = self.drawn.borrow_mut();
        if drawn.len() >= DRAWN_MAX {
            drawn.clear();
        }
        drawn.insert(key, Rc::clone(&dots));
        dots
    }
}

impl Typeface {
    fn bundled(octets: &'static [u8]) -> Option<Self> {
        let outlines = FontArc::new(FontRef::try_from_slice(octets).ok()?);
        Self::of(outlines, harfrust::Font::new(octets, 0)?)
    }

    /// A font file, or the first font of a collection.
    fn named(octets: Vec<u8>) -> Option<Self> {
        let shaping = harfrust::Font::new(octets.clone(), 0)?;
        Self::of(FontArc::new(FontVec::try_from_vec_and_index(octets, 0).ok()?), shaping)
    }

    fn of(outlines: FontArc, shaping: harfrust::Font) -> Option<Self> {
        let units = outlines.units_per_em().filter(|units| *units >= 1.0)?;
        Some(Self { outlines, shaping, units })
    }

    fn has(&self, c: char) -> bool {
        self.outlines.glyph_id(c).0 != 0
    }

    fn width(&self, c: char) -> f32 {
        self.outlines.h_advance_unscaled(self.outlines.glyph_id(c)) / self.units
    }

    fn draw(&self, glyph: GlyphId, size: f32, scale: Scale) -> Dots {
        let mut dots = Dots::new();
        // The scale of the other crate is the height from the deepest to the highest letter.
        let height = self.outlines.height_unscaled() / self.units * size;
        let scaled = PxScale { x: height * scale.columns_a_point, y: height * scale.rows_a_point };
        let glyph = glyph.with_scale_and_position(scaled, point(0.0, 0.0));
        if let Some(outlined) = self.outlines.as_scaled(scaled).outline_glyph(glyph) {
            let bounds = outlined.px_bounds();
            outlined.draw(|column, row, cover| {
                if cover >= COVER_MIN {
                    let across = bounds.min.x as i32 + column as i32;
                    dots.push((across, bounds.min.y as i32 + row as i32));
                }
            });
        }
        dots
    }
}

/// What a sender calls the writing that a character belongs to.
fn script_name(c: char) -> &'static str {
    match &unicode::script(u32::from(c)).tag().to_be_bytes() {
        b"Hani" => "Chinese characters",
        b"Hira" | b"Kana" => "Japanese kana",
        b"Hang" => "Korean",
        b"Bopo" => "Bopomofo",
        b"Arab" => "Arabic",
        b"Hebr" => "Hebrew",
        b"Grek" => "Greek",
        b"Cyrl" => "Cyrillic",
        b"Latn" => "Latin",
        b"Armn" => "Armenian",
        b"Geor" => "Georgian",
        b"Thai" => "Thai",
        b"Laoo" => "Lao",
        b"Khmr" => "Khmer",
        b"Mymr" => "Burmese",
        b"Tibt" => "Tibetan",
        b"Ethi" => "Ethiopic",
        b"Deva" => "Devanagari",
        b"Beng" => "Bengali",
        b"Guru" => "Gurmukhi",
        b"Gujr" => "Gujarati",
        b"Orya" => "Odia",
        b"Taml" => "Tamil",
        b"Telu" => "Telugu",
        b"Knda" => "Kannada",
        b"Mlym" => "Malayalam",
        b"Sinh" => "Sinhala",
        b"Syrc" => "Syriac",
        b"Thaa" => "Thaana",
        b"Cher" => "Cherokee",
        b"Mong" => "Mongolian",
        b"Zyyy" | b"Zinh" => "signs and pictures",
        _ => "another script",
    }
}
