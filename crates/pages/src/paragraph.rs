//! Text to lines: words in the order in which they are read, and on each line in the order in
//! which they stand (the Unicode Bidirectional Algorithm, UAX #9).

use std::ops::Range;
use std::rc::Rc;

use unicode_bidi::{BidiClass, Level, ParagraphBidiInfo, bidi_class};

use crate::flow::Span;
use crate::letters::{Face, Fonts};
use crate::shape::{Shaped, is_invisible, is_mark};
use crate::sheet::Sheet;

/// Words are cut into pieces no wider than this, in points, so that they fit into cells.
const PIECE_MAX: f32 = 220.0;
/// The most characters of a piece, whatever their width.
const PIECE_MAX_CHARS: usize = 128;
/// The most marks on a letter; further ones are left out. No writing has more (UAX #15
/// section 13, Stream-Safe Text Format).
const MARKS_MAX: usize = 30;
/// Directions are found in so many octets at once; a longer paragraph is taken apart, which
/// bounds what nested directions cost.
const DIRECTED_MAX_OCTETS: usize = 16 * 1024;

/// Part of a word that runs in one direction.
struct Piece {
    shaped: Rc<Shaped>,
    width: f32,
    level: Level,
}

/// What is not broken, with the blank behind it.
pub(crate) struct Word {
    pieces: Vec<Piece>,
    pub width: f32,
    pub blank: f32,
    blank_level: Level,
    breaks: bool,
    /// Whether a line may end behind it.
    may_end: bool,
}

/// Words that are read one after the other.
pub(crate) struct Paragraph {
    pub words: Vec<Word>,
    size: f32,
    /// Whether it is written from right to left.
    pub is_rtl: bool,
}

/// A text with its directions.
struct Text {
    text: String,
    /// One for each octet; none where all runs from left to right.
    levels: Vec<Level>,
    is_rtl: bool,
}

impl Paragraph {
    /// Text whose blanks separate words.
    pub fn new(fonts: &Fonts, spans: &[Span], face: Face, size: f32) -> Self {
        let mut text = String::new();
        let mut parts = Vec::with_capacity(spans.len());
        for span in spans {
            let start = text.len();
            clean(&span.text, &mut text);
            let face = if span.bold { Face::Bold } else { face };
            parts.push((start..text.len(), face, span.breaks));
        }
        let text = Text::directed(text);
        let mut words: Vec<Word> = Vec::new();
        for (range, face, mut breaks) in parts {
            let blank = fonts.width(face, size, ' ');
            let mut at = range.start;
            // A span that begins without a blank goes on with the word before it.
            for (number, token) in text.text[range].split(' ').enumerate() {
                if number > 0
                    && let Some(before) = words.last_mut()
                {
                    before.blank = blank;
                    before.blank_level = text.level(at - 1);
                    before.may_end = true;
                }
                let whole = at..at + token.len();
                at = whole.end + 1;
                if token.is_empty() && !breaks {
                    continue;
                }
                for (piece, may_end) in cuts(fonts, face, size, token, PIECE_MAX) {
                    let piece = whole.start + piece.start..whole.start + piece.end;
                    words.push(text.word(fonts, face, size, piece, (breaks, may_end)));
                    breaks = false;
                }
            }
        }
        Self { words, size, is_rtl: text.is_rtl }
    }

    /// One line whose blanks count.
    pub fn line(fonts: &Fonts, face: Face, size: f32, text: &str) -> Self {
        let mut cleaned = String::new();
        clean(text, &mut cleaned);
        let text = Text::directed(cleaned);
        let words = cuts(fonts, face, size, &text.text, f32::INFINITY)
            .into_iter()
            .map(|(piece, may_end)| text.word(fonts, face, size, piece, (false, may_end)))
            .collect();
        Self { words, size, is_rtl: text.is_rtl }
    }

    /// The width of all on one line, in points.
    pub fn width(&self) -> f32 {
        self.words.iter().map(|word| word.width + word.blank).sum()
    }

    /// The words in lines no wider than `room` points.
    pub fn lines(&self, room: f32) -> Vec<&[Word]> {
        let words = self.words.as_slice();
        let mut lines = Vec::new();
        let (mut start, mut used) = (0, 0.0);
        for (at, word) in words.iter().enumerate() {
            let is_full = at > start && used + word.width > room;
            if word.breaks && at > start {
                lines.push(&words[start..at]);
                (start, used) = (at, 0.0);
            } else if is_full {
                let may_end = |place: &usize| words[*place - 1].may_end;
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

    /// Writes one of the lines between `left` and `room` points right of it: at its left, or
    /// where the writing goes to the left at its right.
    pub fn write_line(
        &self,
        sheet: &mut Sheet<'_>,
        words: &[Word],
        left: f32,
        room: f32,
        line: f32,
    ) {
        let mut parts: Vec<(Option<&Shaped>, f32)> = Vec::with_capacity(words.len() * 2);
        let mut levels = Vec::with_capacity(words.len() * 2);
        for (number, word) in words.iter().enumerate() {
            for piece in &word.pieces {
                parts.push((Some(&piece.shaped), piece.width));
                levels.push(piece.level);
            }
            if word.blank > 0.0 && number + 1 < words.len() {
                parts.push((None, word.blank));
                levels.push(word.blank_level);
            }
        }
        let width: f32 = parts.iter().map(|(_, width)| width).sum();
        let mut at = if self.is_rtl { left + (room - width).max(0.0) } else { left };
        let order = if levels.iter().any(Level::is_rtl) {
            ParagraphBidiInfo::reorder_visual(&levels)
        } else {
            (0..parts.len()).collect()
        };
        for (shaped, width) in order.into_iter().filter_map(|place| parts.get(place)) {
            if let Some(shaped) = shaped {
                sheet.put(shaped, self.size, at, line);
            }
            at += width;
        }
    }
}

impl Text {
    /// Finds the directions of a text without control characters.
    fn directed(text: String) -> Self {
        use BidiClass::{AL, AN, FSI, LRE, LRI, LRO, R, RLE, RLI, RLO};
        let turning = [AL, AN, FSI, LRE, LRI, LRO, R, RLE, RLI, RLO];
        let turns = |c: char| !c.is_ascii() && turning.contains(&bidi_class(c));
        if !text.chars().any(turns) {
            return Self { text, levels: Vec::new(), is_rtl: false };
        }
        let mut levels = Vec::with_capacity(text.len());
        let mut base = None;
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let mut end = rest.len().min(DIRECTED_MAX_OCTETS);
            while !rest.is_char_boundary(end) {
                end -= 1;
            }
            let found = ParagraphBidiInfo::new(&rest[..end], base);
            levels.extend(&found.levels);
            base = Some(found.paragraph_level);
            rest = &rest[end..];
        }
        let is_rtl = base.is_some_and(|level| level.is_rtl());
        Self { text, levels, is_rtl }
    }

    fn level(&self, at: usize) -> Level {
        self.levels.get(at).copied().unwrap_or_else(Level::ltr)
    }

    fn word(
        &self,
        fonts: &Fonts,
        face: Face,
        size: f32,
        range: Range<usize>,
        (breaks, may_end): (bool, bool),
    ) -> Word {
        let mut pieces: Vec<Piece> = Vec::with_capacity(1);
        let mut start = range.start;
        while start < range.end {
            let level = self.level(start);
            let of_one = |at: &usize| self.level(*at) == level;
            let end = (start..range.end).find(|at| !of_one(at)).unwrap_or(range.end);
            let shaped = fonts.shape(face, level.is_rtl(), &self.text[start..end]);
            pieces.push(Piece { width: shaped.width * size, shaped, level });
            start = end;
        }
        let width = pieces.iter().map(|piece| piece.width).sum();
        let blank_level = self.level(range.end.saturating_sub(1));
        Word { pieces, width, blank: 0.0, blank_level, breaks, may_end }
    }
}

/// Adds a text without what cannot be written.
fn clean(text: &str, cleaned: &mut String) {
    /// Where a word may be divided; shown only there, so here never.
    const SOFT_HYPHEN: char = '\u{ad}';
    const NO_BREAK_SPACE: char = '\u{a0}';
    let mut marks = 0;
    for c in text.chars() {
        marks = if is_mark(c) { marks + 1 } else { 0 };
        if c.is_whitespace() && c != NO_BREAK_SPACE && !c.is_control() {
            cleaned.push(' ');
        } else if !c.is_control() && c != SOFT_HYPHEN && marks <= MARKS_MAX {
            cleaned.push(c);
        }
    }
}

/// The pieces of a word, and whether a line may end behind each: cut where it would be wider
/// than `width_max` points, and where the writing has no blanks.
fn cuts(
    fonts: &Fonts,
    face: Face,
    size: f32,
    word: &str,
    width_max: f32,
) -> Vec<(Range<usize>, bool)> {
    let mut pieces = Vec::with_capacity(1);
    let (mut start, mut used, mut count) = (0, 0.0, 0);
    let mut before = None;
    for (at, c) in word.char_indices() {
        let hangs = is_mark(c) || is_invisible(c);
        let width = if hangs { 0.0 } else { fonts.width(face, size, c) };
        let may_end = !hangs && before.is_some_and(|before| line_may_end(before, c));
        let is_full = !hangs && used + width > width_max || count >= PIECE_MAX_CHARS;
        if at > start && (may_end || is_full) {
            pieces.push((start..at, may_end));
            (start, used, count) = (at, 0.0, 0);
        }
        used += width;
        count += 1;
        if !hangs {
            before = Some(c);
        }
    }
    pieces.push((start..word.len(), false));
    pieces
}

/// Chinese and Japanese are written without blanks; a line may end at every sign, though not
/// before what closes or behind what opens (UAX #14).
fn line_may_end(before: char, after: char) -> bool {
    const CLOSING: &str = ",.:;!?)]}%、。〉》」』】〕〗〙〛〞〟々ーぁぃぅぇぉっゃゅょァィゥェォッャュョ・！），．：；？］｝～”’…";
    const OPENING: &str = "([{〈《「『【〔〖〘〚〝（［｛“‘";
    (is_ideograph(before) || is_ideograph(after))
        && !CLOSING.contains(after)
        && !OPENING.contains(before)
}

const fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{2e80}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{ff00}'..='\u{ff60}'
        | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::Format;

    fn glyphs(fonts: &Fonts, is_rtl: bool, text: &str) -> Vec<u16> {
        fonts.shape(Face::Sans, is_rtl, text).letters.iter().map(|l| l.glyph).collect()
    }

    #[test]
    fn arabic_letters_join_their_neighbours() {
        let fonts = Fonts::load(Vec::new()).unwrap();
        let alone = glyphs(&fonts, true, "ب");
        let joined = glyphs(&fonts, true, "ببب");
        assert_eq!((alone.len(), joined.len()), (1, 3));
        let mut forms: Vec<u16> = joined.into_iter().chain(alone).collect();
        forms.sort_unstable();
        forms.dedup();
        assert_eq!(forms.len(), 4, "a first, middle, last and lone form: {forms:?}");
        assert_eq!(glyphs(&fonts, true, "لا").len(), 1, "lam and alef are one letter");
    }

    #[test]
    fn hebrew_runs_from_right_to_left_with_its_brackets_turned() {
        let fonts = Fonts::load(Vec::new()).unwrap();
        let reading: Vec<u16> =
            "שלום".chars().flat_map(|c| glyphs(&fonts, true, &c.to_string())).collect();
        let mut standing = glyphs(&fonts, true, "שלום");
        standing.reverse();
        assert_eq!(standing, reading);
        assert_eq!(glyphs(&fonts, true, "("), glyphs(&fonts, false, ")"));
    }

    #[test]
    fn marks_stand_on_their_letters() {
        let fonts = Fonts::load(Vec::new()).unwrap();
        assert_eq!(glyphs(&fonts, false, "e\u{301}"), glyphs(&fonts, false, "é"));
        let shaped = fonts.shape(Face::Sans, false, "x\u{323}");
        let wide = fonts.shape(Face::Sans, false, "x").width;
        assert!((shaped.width - wide).abs() < 0.001, "a mark takes no room");
    }

    fn placed(fonts: &Fonts, write: impl FnOnce(&mut Sheet<'_>)) -> crate::Bitmap {
        let format = Format { resolution: fax::Resolution::Fine, paper: fax::Paper::A4 };
        let mut sheet = Sheet::new(format, fonts);
        write(&mut sheet);
        sheet.into_bitmap()
    }

    #[test]
    fn words_against_the_direction_of_a_paragraph_are_read_in_their_own() {
        let fonts = Fonts::load(Vec::new()).unwrap();
        let mixed = [Span::plain("abc שלום עולם (x) def")];
        let paragraph = Paragraph::new(&fonts, &mixed, Face::Sans, 12.0);
        assert!(!paragraph.is_rtl);
        let written = placed(&fonts, |sheet| {
            let lines = paragraph.lines(500.0);
            assert_eq!(lines.len(), 1);
            paragraph.write_line(sheet, lines[0], 50.0, 500.0, 100.0);
        });
        let by_hand = placed(&fonts, |sheet| {
            let mut at = 50.0;
            for word in ["abc", "עולם", "שלום", "(x)", "def"] {
                at = sheet.write(Face::Sans, 12.0, at, 100.0, word);
                at += fonts.width(Face::Sans, 12.0, ' ');
            }
        });
        assert!(written == by_hand, "the words do not stand in their order");
    }

    #[test]
    fn an_embedding_without_an_end_turns_its_own_paragraph_alone() {
        let fonts = Fonts::load(Vec::new()).unwrap();
        let turned = Paragraph::new(&fonts, &[Span::plain("a \u{202e}bcd")], Face::Sans, 12.0);
        assert!(turned.words[1].pieces.iter().any(|piece| piece.level.is_rtl()));
        let next = Paragraph::new(&fonts, &[Span::plain("bcd")], Face::Sans, 12.0);
        assert!(!next.words[0].pieces[0].level.is_rtl());
    }

    #[test]
    fn lines_of_chinese_end_between_signs_but_not_before_a_full_stop() {
        let ends = |text: &str| {
            let fonts = Fonts::load(Vec::new()).unwrap();
            let cuts = cuts(&fonts, Face::Sans, 10.0, text, f32::INFINITY);
            cuts.into_iter().map(|(range, _)| text[range].to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(ends("第「一」页。A4纸"), ["第", "「一」", "页。", "A4", "纸"]);
        assert_eq!(ends("hello-world"), ["hello-world"]);
    }
}
