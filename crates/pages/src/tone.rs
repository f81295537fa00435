//! Shades of grey to black and white, by region: writing by threshold, pictures by dithering.
//!
//! A page is looked at in squares. Squares that are mostly shades, what they touch of ink and
//! their rim are pictures and are dithered (Floyd-Steinberg, left to right and back). Any other
//! holds writing or lines: there the threshold lies between the paper and the ink around, so
//! that yellow and grey writing is as black as black writing, and edges stay crisp.

use crate::bitmap::Bitmap;

/// Shades from 0, black, to 255, white, row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shades {
    /// Columns.
    pub width: usize,
    /// The shades; whole rows.
    pub dots: Vec<u8>,
}

impl Shades {
    /// How many rows there are.
    pub fn height(&self) -> usize {
        self.dots.len().checked_div(self.width).unwrap_or(0)
    }

    /// A quarter turn to the right.
    #[must_use]
    pub fn turned(&self) -> Self {
        let (width, height) = (self.width, self.height());
        let mut dots = Vec::with_capacity(self.dots.len());
        for column in 0..width {
            for row in (0..height).rev() {
                dots.push(self.dots[row * width + column]);
            }
        }
        Self { width: height, dots }
    }
}

/// The side of a square, in dots.
const SQUARE: usize = 16;
/// Lighter than this is paper.
const PAPER_MIN: u8 = 240;
/// Shades between these are neither ink nor paper.
const SHADE: std::ops::RangeInclusive<u8> = 56..=216;
/// The part of a picture's square that is not paper, and that is shade, in percent.
const PICTURE_INK_PERCENT: usize = 60;
const PICTURE_SHADE_PERCENT: usize = 35;
/// Less contrast than this is no writing.
const CONTRAST_MIN: u8 = 18;
/// Where between ink and paper the threshold lies, in percent.
const THRESHOLD_PERCENT: u32 = 60;
/// Inside pictures, darker is black and lighter is white without dithering.
const BLACK_MAX: i32 = 24;
const WHITE_MIN: i32 = 240;

#[derive(Clone, Copy)]
struct Square {
    darkest: u8,
    lightest: u8,
    is_picture: bool,
    is_inked: bool,
}

/// What becomes of a square.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Treatment {
    /// Nothing in it is ink.
    White,
    /// What is darker than this is ink.
    Threshold(u8),
    /// It is dithered.
    Dither,
}

/// What the shades are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// A page: writing, lines, perhaps pictures.
    Page,
    /// One picture, all of it.
    Picture,
}

/// Puts shades on a page with their upper left corner at `left` and `top`.
pub fn place(page: &mut Bitmap, shades: &Shades, subject: Subject, left: usize, top: usize) {
    let (width, height) = (shades.width, shades.height());
    if width == 0 || height == 0 {
        return;
    }
    let across = width.div_ceil(SQUARE);
    let treatments = match subject {
        Subject::Page => treatments(shades),
        Subject::Picture => vec![Treatment::Dither; across * height.div_ceil(SQUARE)],
    };
    // The dither's error runs into the next row: one dot more on each side.
    let (mut errors, mut below) = (vec![0_i32; width + 2], vec![0_i32; width + 2]);
    for row in 0..height {
        let line = &shades.dots[row * width..(row + 1) * width];
        let squares = &treatments[row / SQUARE * across..][..across];
        let leftwards = row % 2 == 1;
        below.fill(0);
        for step in 0..across {
            let square = if leftwards { across - 1 - step } else { step };
            let start = square * SQUARE;
            let dots = &line[start..width.min(start + SQUARE)];
            let black = match squares[square] {
                Treatment::White => continue,
                Treatment::Threshold(threshold) => darker(dots, threshold),
                Treatment::Dither => dithered(dots, start, &mut errors, &mut below, leftwards),
            };
            page.merge_dots(left + start, top + row, black);
        }
        std::mem::swap(&mut errors, &mut below);
    }
}

/// The dots of a square's row that are darker than `threshold`, the first in the highest bit.
fn darker(dots: &[u8], threshold: u8) -> u16 {
    let mask = |dots: &[u8]| {
        let bits = dots.iter().enumerate();
        bits.fold(0_u16, |mask, (at, dot)| mask | (u16::from(*dot < threshold) << at))
    };
    // Most are whole, and with the first dot in the lowest bit one instruction compares them.
    match <&[u8; SQUARE]>::try_from(dots) {
        Ok(dots) => mask(dots),
        Err(_) => mask(&dots[..dots.len().min(SQUARE)]),
    }
    .reverse_bits()
}

/// The same of a square's row that is dithered; `start` is its first column.
fn dithered(
    dots: &[u8],
    start: usize,
    errors: &mut [i32],
    below: &mut [i32],
    leftwards: bool,
) -> u16 {
    let mut black = 0;
    for step in 0..dots.len() {
        let at = if leftwards { dots.len() - 1 - step } else { step };
        let place = start + at + 1;
        let (is_black, error) = dither(i32::from(dots[at]), errors[place]);
        if error != 0 {
            spread(errors, below, place, error, leftwards);
        }
        black |= u16::from(is_black) << (SQUARE - 1 - at);
    }
    black
}

/// Where ink begins in a square that is no picture.
fn threshold(square: Square) -> u8 {
    let contrast = square.lightest - square.darkest;
    if contrast < CONTRAST_MIN {
        return 128;
    }
    // At most the lightest shade, as the percentage is at most 100.
    (u32::from(square.darkest) + u32::from(contrast) * THRESHOLD_PERCENT / 100) as u8
}

/// Whether the dot is black, and by how much that is wrong, in sixteenths of a shade.
fn dither(shade: i32, error: i32) -> (bool, i32) {
    if shade <= BLACK_MAX {
        return (true, 0);
    }
    if shade >= WHITE_MIN {
        return (false, 0);
    }
    let wanted = shade * 16 + error;
    if wanted < 128 * 16 { (true, wanted) } else { (false, wanted - 255 * 16) }
}

fn spread(errors: &mut [i32], below: &mut [i32], at: usize, error: i32, leftwards: bool) {
    let (ahead, behind) = if leftwards { (at - 1, at + 1) } else { (at + 1, at - 1) };
    errors[ahead] += error * 7 / 16;
    below[behind] += error * 3 / 16;
    below[at] += error * 5 / 16;
    below[ahead] += error / 16;
}

/// What becomes of each square. The ink is that of the squares around it too, so that the
/// edge of a letter is judged by the letter.
fn treatments(shades: &Shades) -> Vec<Treatment> {
    let (width, height) = (shades.width, shades.height());
    let (across, down) = (width.div_ceil(SQUARE), height.div_ceil(SQUARE));
    let mut alone = Vec::with_capacity(across * down);
    for row in 0..down {
        for column in 0..across {
            alone.push(look(shades, column * SQUARE, row * SQUARE));
        }
    }
    spread_pictures(&mut alone, across, down);
    let mut treatments = Vec::with_capacity(alone.len());
    for row in 0..down {
        for column in 0..across {
            let own = alone[row * across + column];
            let mut square = own;
            for y in row.saturating_sub(1)..=(row + 1).min(down - 1) {
                for x in column.saturating_sub(1)..=(column + 1).min(across - 1) {
                    let near = alone[y * across + x];
                    square.darkest = square.darkest.min(near.darkest);
                    square.lightest = square.lightest.max(near.lightest);
                    square.is_picture |= near.is_picture;
                }
            }
            treatments.push(match threshold(square) {
                _ if square.is_picture => Treatment::Dither,
                threshold if own.darkest >= threshold => Treatment::White,
                threshold => Treatment::Threshold(threshold),
            });
        }
    }
    treatments
}

/// Makes what is mostly ink and touches a picture part of it: the dark and the light of a
/// picture are no writing.
fn spread_pictures(squares: &mut [Square], across: usize, down: usize) {
    let mut edge: Vec<usize> =
        (0..squares.len()).filter(|place| squares[*place].is_picture).collect();
    while let Some(place) = edge.pop() {
        let (row, column) = (place / across, place % across);
        for y in row.saturating_sub(1)..=(row + 1).min(down - 1) {
            for x in column.saturating_sub(1)..=(column + 1).min(across - 1) {
                let near = y * across + x;
                if squares[near].is_inked && !squares[near].is_picture {
                    squares[near].is_picture = true;
                    edge.push(near);
                }
            }
        }
    }
}

fn look(shades: &Shades, left: usize, top: usize) -> Square {
    let right = (left + SQUARE).min(shades.width);
    let rows = top..(top + SQUARE).min(shades.height());
    let count = rows.len() * (right - left);
    let mut columns = Columns::default();
    for row in rows {
        let row = &shades.dots[row * shades.width + left..row * shades.width + right];
        // Most are whole, and their length is known when this is compiled.
        match <&[u8; SQUARE]>::try_from(row) {
            Ok(row) => columns.add(row),
            Err(_) => columns.add(row),
        }
    }
    let sum = |counts: [u8; SQUARE]| counts.into_iter().map(usize::from).sum::<usize>();
    let is_inked = sum(columns.ink) * 100 > count * PICTURE_INK_PERCENT;
    let is_picture = is_inked && sum(columns.shade) * 100 > count * PICTURE_SHADE_PERCENT;
    Square {
        darkest: 255 - columns.darkness.into_iter().max().unwrap_or(0),
        lightest: columns.lightness.into_iter().max().unwrap_or(0),
        is_picture,
        is_inked,
    }
}

/// What is in the columns of a square: sixteen sums that grow side by side.
#[derive(Default)]
struct Columns {
    darkness: [u8; SQUARE],
    lightness: [u8; SQUARE],
    ink: [u8; SQUARE],
    shade: [u8; SQUARE],
}

impl Columns {
    /// Adds a row of at most [`SQUARE`] dots.
    #[inline]
    fn add(&mut self, row: &[u8]) {
        for (at, &dot) in row.iter().enumerate().take(SQUARE) {
            self.darkness[at] = self.darkness[at].max(255 - dot);
            self.lightness[at] = self.lightness[at].max(dot);
            self.ink[at] += u8::from(dot < PAPER_MIN);
            self.shade[at] += u8::from(SHADE.contains(&dot));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of a hundred dots are black in a page made of one rule for shades.
    fn black_percent(shade: impl Fn(usize, usize) -> u8, within: std::ops::Range<usize>) -> usize {
        let dots = (0..256 * 256).map(|at| shade(at % 256, at / 256)).collect();
        let mut page = Bitmap::white(256);
        place(&mut page, &Shades { width: 256, dots }, Subject::Page, 0, 0);
        let all = within.clone().flat_map(|y| within.clone().map(move |x| (x, y)));
        let black = all.filter(|(x, y)| page.is_black(*x, *y)).count();
        black * 100 / (within.len() * within.len())
    }

    #[test]
    fn writing_of_any_colour_becomes_black_on_white() {
        for ink in [0, 0x88, 219] {
            let stripe = |x: usize, _: usize| if x % 32 < 4 { ink } else { 255 };
            assert_eq!(black_percent(stripe, 0..256), 12, "ink {ink}");
        }
    }

    #[test]
    fn a_picture_keeps_its_shades() {
        for (shade, wanted) in [(64, 75), (128, 50), (192, 25)] {
            // Not all the same, as no picture is.
            let grain = |x: usize, y: usize| shade + ((x * 7 + y * 13) % 5) as u8;
            let found = black_percent(grain, 32..224);
            assert!(found.abs_diff(wanted) <= 3, "shade {shade}: {found} of a hundred are black");
        }
    }

    #[test]
    fn paper_stays_white() {
        let grain = |x: usize, y: usize| 245 + ((x * 31 + y * 17) % 11) as u8;
        assert_eq!(black_percent(grain, 0..256), 0);
    }
}
