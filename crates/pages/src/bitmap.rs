//! One page as the machine at the other end prints it: rows of black and white.

/// Columns of a fax page: 215 mm at 204 an inch, A4 and Letter alike (ITU-T T.4 table 1).
pub const COLUMNS: usize = 1728;
/// Octets of a row.
pub const ROW_OCTETS: usize = COLUMNS / 8;
/// Columns an inch.
pub const COLUMNS_AN_INCH: f32 = 204.0;

/// A page: rows from the top, the leftmost column in the highest bit, black is 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bitmap {
    octets: Vec<u8>,
}

impl Bitmap {
    /// A white page.
    pub fn white(rows: usize) -> Self {
        Self { octets: vec![0; rows * ROW_OCTETS] }
    }

    /// A page of packed rows; what is not a whole row is left out.
    pub fn from_octets(mut octets: Vec<u8>) -> Self {
        octets.truncate(octets.len() / ROW_OCTETS * ROW_OCTETS);
        Self { octets }
    }

    /// How many rows it has.
    pub fn rows(&self) -> usize {
        self.octets.len() / ROW_OCTETS
    }

    /// Every row, packed.
    pub fn iter_rows(&self) -> impl DoubleEndedIterator<Item = &[u8]> + ExactSizeIterator {
        self.octets.chunks_exact(ROW_OCTETS)
    }

    /// All rows, packed.
    pub fn as_octets(&self) -> &[u8] {
        &self.octets
    }

    /// Whether a dot is black. Outside the page all is white.
    pub fn is_black(&self, column: usize, row: usize) -> bool {
        let octet = self.octets.get(row * ROW_OCTETS + column / 8);
        column < COLUMNS && octet.is_some_and(|octet| octet & (0x80 >> (column % 8)) != 0)
    }

    /// Makes a dot black. Outside the page nothing happens.
    pub fn blacken(&mut self, column: usize, row: usize) {
        if column < COLUMNS
            && let Some(octet) = self.octets.get_mut(row * ROW_OCTETS + column / 8)
        {
            *octet |= 0x80 >> (column % 8);
        }
    }

    /// Adds sixteen dots from `column` on, the first in the highest bit. What is outside the
    /// page is left out.
    pub fn merge_dots(&mut self, column: usize, row: usize, dots: u16) {
        let Some(line) = self.octets.get_mut(row * ROW_OCTETS..(row + 1) * ROW_OCTETS) else {
            return;
        };
        let spread = (u32::from(dots) << 8) >> (column % 8);
        for (there, dots) in line.iter_mut().skip(column / 8).zip(&spread.to_be_bytes()[1..]) {
            *there |= dots;
        }
    }

    /// Makes a rectangle black, as far as it is on the page.
    pub fn fill(&mut self, left: usize, top: usize, width: usize, height: usize) {
        for row in top..(top + height).min(self.rows()) {
            for column in left..(left + width).min(COLUMNS) {
                self.blacken(column, row);
            }
        }
    }

    /// Adds the black dots of a packed row to row `number`. Outside the page nothing happens.
    pub fn merge(&mut self, row: &[u8], number: usize) {
        let start = number * ROW_OCTETS;
        if let Some(here) = self.octets.get_mut(start..start + ROW_OCTETS) {
            for (here, there) in here.iter_mut().zip(row) {
                *here |= there;
            }
        }
    }

    /// Whether nothing is on it.
    pub fn is_blank(&self) -> bool {
        self.octets.iter().all(|&octet| octet == 0)
    }
}
