//! Pages as a TIFF file for fax: TIFF-F (RFC 2306) in the profiles S and F of RFC 3949.

use fax::Resolution;

use crate::bitmap::{Bitmap, COLUMNS};
use crate::coding::{Coding, encode};

/// Which kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Profile S: MH and the lowest bit first, which every fax program reads (RFC 3949 section 3).
    Simple,
    /// Profile F with one of its codings (section 4).
    Extended(Coding),
}

/// The most pages of a file: the page number has 16 bits.
pub const PAGES_MAX: usize = u16::MAX as usize;

/// Type and length of the values in a directory of the file (TIFF 6.0 section 2).
pub(crate) const SHORT: u16 = 3;
pub(crate) const LONG: u16 = 4;
pub(crate) const RATIONAL: u16 = 5;

const DIRECTORY_ENTRIES: u32 = 18;
const DIRECTORY_OCTETS: u32 = 2 + 12 * DIRECTORY_ENTRIES + 4;
/// The two resolutions behind the directory.
const RATIONALS_OCTETS: u32 = 16;

/// Pages as one file. What is more than [`PAGES_MAX`] pages is left out.
pub fn write(pages: &[Bitmap], resolution: Resolution, profile: Profile) -> Vec<u8> {
    let pages = &pages[..pages.len().min(PAGES_MAX)];
    // Little-endian; the first directory follows at once, as profile S asks for.
    let mut file = vec![b'I', b'I', 42, 0, 8, 0, 0, 0];
    for (number, page) in pages.iter().enumerate() {
        let coding = profile.coding();
        let mut data = encode(page, coding, resolution);
        if profile == Profile::Simple {
            for octet in &mut data {
                *octet = octet.reverse_bits();
            }
        }
        let start = file.len() as u32;
        let rationals = start + DIRECTORY_OCTETS;
        let strip = rationals + RATIONALS_OCTETS;
        let padded = (data.len() as u32).next_multiple_of(2);
        let next = if number + 1 == pages.len() { 0 } else { strip + padded };
        let of_pages = number as u32 | ((pages.len() as u32) << 16);
        let (scheme, options_tag, options) = match coding {
            // Ends of lines end with an octet; the lowest bit says two-dimensional.
            Coding::Mh => (3, 292, 4),
            Coding::Mr => (3, 292, 5),
            Coding::Mmr => (4, 293, 0),
        };
        let fill_order = if profile == Profile::Simple { 2 } else { 1 };
        let rows = page.rows() as u32;
        let entries: [(u16, u16, u32, u32); DIRECTORY_ENTRIES as usize] = [
            (254, LONG, 1, 2),                 // NewSubfileType: a page of several
            (256, LONG, 1, COLUMNS as u32),    // ImageWidth
            (257, LONG, 1, rows),              // ImageLength
            (258, SHORT, 1, 1),                // BitsPerSample
            (259, SHORT, 1, scheme),           // Compression
            (262, SHORT, 1, 0),                // PhotometricInterpretation: 0 is white
            (266, SHORT, 1, fill_order),       // FillOrder
            (273, LONG, 1, strip),             // StripOffsets
            (274, SHORT, 1, 1),                // Orientation
            (277, SHORT, 1, 1),                // SamplesPerPixel
            (278, LONG, 1, rows),              // RowsPerStrip: all in one
            (279, LONG, 1, data.len() as u32), // StripByteCounts
            (282, RATIONAL, 1, rationals),     // XResolution
            (283, RATIONAL, 1, rationals + 8), // YResolution
            (options_tag, LONG, 1, options),   // T4Options or T6Options
            (296, SHORT, 1, 2),                // ResolutionUnit: inch
            (297, SHORT, 2, of_pages),         // PageNumber
            (327, SHORT, 1, 0),                // CleanFaxData: no row was damaged
        ];
        file.extend((DIRECTORY_ENTRIES as u16).to_le_bytes());
        for (tag, kind, count, value) in entries {
            file.extend(tag.to_le_bytes());
            file.extend(kind.to_le_bytes());
            file.extend(count.to_le_bytes());
            file.extend(value.to_le_bytes());
        }
        file.extend(next.to_le_bytes());
        for value in [204, 1, rows_an_inch(resolution), 1] {
            file.extend(u32::to_le_bytes(value));
        }
        file.append(&mut data);
        file.resize((strip + padded) as usize, 0);
    }
    file
}

/// Rows an inch (RFC 2306 section 2.1.3).
pub const fn rows_an_inch(resolution: Resolution) -> u32 {
    match resolution {
        Resolution::Standard => 98,
        Resolution::Fine => 196,
        Resolution::Superfine => 391,
    }
}

impl Profile {
    const fn coding(self) -> Coding {
        match self {
            Self::Simple => Coding::Mh,
            Self::Extended(coding) => coding,
        }
    }
}
