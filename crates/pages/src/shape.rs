//! Text to letters: which glyphs of which fonts stand where, so that Arabic joins, marks
//! stand over their letters and pairs are kerned.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use harfrust::{Buffer, Direction, Script, ShapeOptions, ShapePlan, ShaperFont, unicode};
use unicode_bidi::BidiClass;

use crate::letters::{Face, Fonts, Typeface};

/// The most shaped pieces that are kept of each face and direction.
const SHAPED_MAX: usize = 4_096;
/// Longer pieces are not kept, in octets.
const KEPT_MAX_OCTETS: usize = 64;

/// Letters in the order in which they stand, left to right. Lengths are by the size.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Shaped {
    pub letters: Vec<Letter>,
    pub width: f32,
}

/// One letter, from the start of its piece and its line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Letter {
    /// The place of its font.
    pub font: usize,
    pub glyph: u16,
    pub across: f32,
    pub above: f32,
}

/// Pieces and their letters.
type Kept = HashMap<Box<str>, Rc<Shaped>>;

/// What has been shaped already.
#[derive(Default)]
pub(crate) struct Shaper {
    shaped: RefCell<HashMap<(Face, bool), Kept>>,
    plans: RefCell<HashMap<(usize, bool, Script), Rc<ShapePlan>>>,
}

/// Characters of one font and one script.
struct Run {
    font: usize,
    script: Script,
    range: Range<usize>,
}

impl Shaper {
    pub fn shape(&self, fonts: &Fonts, face: Face, is_rtl: bool, text: &str) -> Rc<Shaped> {
        let known = self.shaped.borrow().get(&(face, is_rtl)).and_then(|m| m.get(text).cloned());
        if let Some(shaped) = known {
            return shaped;
        }
        let mut shaped = Shaped::default();
        let mut runs = runs(fonts, face, text);
        if is_rtl {
            runs.reverse();
        }
        for run in &runs {
            if let Some(font) = fonts.at(run.font) {
                self.add(&mut shaped, font, run, is_rtl, &text[run.range.clone()]);
            }
        }
        let shaped = Rc::new(shaped);
        if text.len() <= KEPT_MAX_OCTETS {
            let mut all = self.shaped.borrow_mut();
            let kept = all.entry((face, is_rtl)).or_default();
            if kept.len() >= SHAPED_MAX {
                kept.clear();
            }
            kept.insert(text.into(), Rc::clone(&shaped));
        }
        shaped
    }

    /// Sets the letters of one run after those that are there.
    fn add(&self, shaped: &mut Shaped, font: &Typeface, run: &Run, is_rtl: bool, text: &str) {
        let direction = if is_rtl { Direction::RightToLeft } else { Direction::LeftToRight };
        let plan = Rc::clone(
            self.plans.borrow_mut().entry((run.font, is_rtl, run.script)).or_insert_with(|| {
                let script = Some(run.script);
                Rc::new(ShapePlan::new(&font.shaping, direction, script, None, &[]))
            }),
        );
        let mut buffer = Buffer::new();
        buffer.push_str(text);
        buffer.set_direction(direction);
        buffer.set_script(Some(run.script));
        let options = ShapeOptions::new().plan(Some(&plan));
        if harfrust::shape(&ShaperFont::new(&font.shaping), &mut buffer, options).is_err() {
            return;
        }
        for (info, position) in buffer.glyph_infos().iter().zip(buffer.glyph_positions()) {
            shaped.letters.push(Letter {
                font: run.font,
                glyph: u16::try_from(info.glyph_id).unwrap_or(0),
                across: shaped.width + position.x_offset as f32 / font.units,
                above: position.y_offset as f32 / font.units,
            });
            shaped.width += position.x_advance as f32 / font.units;
        }
    }
}

/// The runs of a text, in the order in which it is read.
fn runs(fonts: &Fonts, face: Face, text: &str) -> Vec<Run> {
    let own = |c: char| {
        let script = unicode::script(u32::from(c));
        let is_own = ![Script::COMMON, Script::INHERITED, Script::UNKNOWN].contains(&script);
        is_own.then_some(script)
    };
    // Signs before the first letter belong to it, later ones to the letter before them.
    let mut script = text.chars().find_map(own).unwrap_or(Script::LATIN);
    let mut runs: Vec<Run> = Vec::new();
    for (at, c) in text.char_indices() {
        script = own(c).unwrap_or(script);
        let end = at + c.len_utf8();
        let before = runs.last().map(|run| run.font);
        // A mark stands over its letter only in the same font.
        let kept = before.filter(|font| is_invisible(c) || is_mark(c) && fonts.has(*font, c));
        let font = kept.unwrap_or_else(|| {
            let found = fonts.find(face, c);
            before.filter(|_| is_mark(c) && !found.is_there).unwrap_or(found.font)
        });
        match runs.last_mut() {
            Some(run) if run.font == font && run.script == script => run.range.end = end,
            _ => runs.push(Run { font, script, range: at..end }),
        }
    }
    runs
}

/// Whether a character stands over, under or around the one before it.
pub(crate) fn is_mark(c: char) -> bool {
    !c.is_ascii() && unicode_bidi::bidi_class(c) == BidiClass::NSM
}

/// Whether a character tells how others are written, and is nothing itself.
pub(crate) fn is_invisible(c: char) -> bool {
    use BidiClass::{BN, FSI, LRE, LRI, LRO, PDF, PDI, RLE, RLI, RLO};
    /// Left-to-right, right-to-left and Arabic letter mark, and the variation selectors.
    const OTHERS: [char; 4] = ['\u{200e}', '\u{200f}', '\u{61c}', '\u{34f}'];
    let controls = [BN, FSI, LRE, LRI, LRO, PDF, PDI, RLE, RLI, RLO];
    !c.is_ascii()
        && (OTHERS.contains(&c)
            || matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
            || controls.contains(&unicode_bidi::bidi_class(c)))
}
