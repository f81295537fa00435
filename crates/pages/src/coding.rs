//! Rows to bits: one-dimensional (MH), two-dimensional (MR) and T.6 (MMR).

use fax::Resolution;

use crate::bitmap::{Bitmap, COLUMNS};
use crate::code::{self, Code};

/// How the rows of a page are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// Each row by itself (ITU-T T.4 section 4.1), every machine's least.
    Mh,
    /// Most rows by the one above (T.4 section 4.2).
    Mr,
    /// Every row by the one above, without ends of lines (T.6).
    Mmr,
}

/// The places where a row changes colour, from white on, and then the row's end again and
/// again. Even places of the list begin black, odd ones white.
pub(crate) struct Edges {
    places: Vec<i32>,
}

/// How many row ends follow the last edge, so that looking ahead never leaves the list.
const ENDS: usize = 4;

impl Edges {
    fn white() -> Self {
        Self { places: vec![COLUMNS as i32; ENDS] }
    }

    fn read(&mut self, row: &[u8]) {
        self.places.clear();
        let mut was_black = false;
        for (at, octets) in row.chunks(8).enumerate() {
            let mut word = [0; 8];
            word[..octets.len()].copy_from_slice(octets);
            let word = u64::from_be_bytes(word);
            // A bit is set where a dot differs from the one before it.
            let mut changes = word ^ ((word >> 1) | (u64::from(was_black) << 63));
            was_black = word & 1 == 1;
            while changes != 0 {
                let place = changes.leading_zeros();
                let column = at * 64 + place as usize;
                if column < COLUMNS {
                    self.places.push(column as i32);
                }
                changes &= !(1 << (63 - place));
            }
        }
        self.places.resize(self.places.len() + ENDS, COLUMNS as i32);
    }
}

/// The rows of a page as bits, padded to whole octets.
///
/// MH and MR have no return to control at their end, as TIFF wants it (RFC 2306 section
/// 2.2.4); each end of line ends with an octet. MMR ends with its end of block.
pub fn encode(page: &Bitmap, coding: Coding, resolution: Resolution) -> Vec<u8> {
    let mut bits = Bits { octets: Vec::with_capacity(page.rows() * 16), word: 0, used: 0 };
    let (mut above, mut here) = (Edges::white(), Edges::white());
    for (number, row) in page.iter_rows().enumerate() {
        here.read(row);
        match coding {
            Coding::Mh => {
                bits.end_of_line();
                one_dimensional(&mut bits, &here);
            }
            Coding::Mr => {
                bits.end_of_line();
                let alone = number % parameter_k(resolution) == 0;
                bits.put(Code { bits: u16::from(alone), len: 1 });
                if alone {
                    one_dimensional(&mut bits, &here);
                } else {
                    two_dimensional(&mut bits, &here, &above);
                }
            }
            Coding::Mmr => two_dimensional(&mut bits, &here, &above),
        }
        std::mem::swap(&mut above, &mut here);
    }
    if coding == Coding::Mmr {
        bits.put(code::EOL);
        bits.put(code::EOL);
    }
    bits.finish()
}

/// Every so many rows one stands by itself, so that an error does not run down the page
/// (T.4 section 4.2.1).
const fn parameter_k(resolution: Resolution) -> usize {
    match resolution {
        Resolution::Standard => 2,
        Resolution::Fine => 4,
        Resolution::Superfine => 8,
    }
}

fn one_dimensional(bits: &mut Bits, row: &Edges) {
    let mut from = 0;
    let mut is_black = false;
    for &edge in &row.places {
        bits.put_run(is_black, edge - from);
        from = edge;
        is_black = !is_black;
        if edge == COLUMNS as i32 {
            return;
        }
    }
}

/// T.4 section 4.2.1.3: `a` are the edges of this row, `b` those of the row above.
fn two_dimensional(bits: &mut Bits, row: &Edges, above: &Edges) {
    let end = COLUMNS as i32;
    let (row, above) = (&row.places, &above.places);
    // Before the first dot, where an edge at it is still to the right.
    let mut a0 = -1;
    let mut is_black = false;
    let (mut at, mut over) = (0, 0_usize);
    while a0 < end {
        let a1 = row[at];
        while over > 0 && above[over - 1] > a0 {
            over -= 1;
        }
        while (above[over] <= a0 || (over % 2 == 1) != is_black) && above[over] < end {
            over += 1;
        }
        let (b1, b2) = (above[over], above.get(over + 1).copied().unwrap_or(end));
        if b2 < a1 {
            bits.put(code::PASS);
            a0 = b2;
        } else if let Some(&vertical) =
            usize::try_from(a1 - b1 + 3).ok().and_then(|place| code::VERTICAL.get(place))
        {
            bits.put(vertical);
            a0 = a1;
            at += 1;
            is_black = !is_black;
        } else {
            let a2 = row[at + 1];
            bits.put(code::HORIZONTAL);
            bits.put_run(is_black, a1 - a0.max(0));
            bits.put_run(!is_black, a2 - a1);
            a0 = a2;
            at += 2;
        }
    }
}

struct Bits {
    octets: Vec<u8>,
    /// Bits that do not yet fill an octet, in the lowest places.
    word: u32,
    used: u32,
}

impl Bits {
    fn put(&mut self, code: Code) {
        self.word = (self.word << code.len) | u32::from(code.bits);
        self.used += u32::from(code.len);
        while self.used >= 8 {
            self.used -= 8;
            self.octets.push((self.word >> self.used) as u8);
        }
    }

    fn put_run(&mut self, is_black: bool, length: i32) {
        for code in code::run(is_black, usize::try_from(length).unwrap_or(0)) {
            self.put(code);
        }
    }

    /// An end of line that ends with an octet.
    fn end_of_line(&mut self) {
        let fill = (4 + 8 - self.used) % 8;
        self.put(Code { bits: 0, len: fill as u8 });
        self.put(code::EOL);
    }

    fn finish(mut self) -> Vec<u8> {
        if self.used > 0 {
            self.put(Code { bits: 0, len: (8 - self.used) as u8 });
        }
        self.octets
    }
}
