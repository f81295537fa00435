//! A fax file as another machine wrote it: TIFF with pages in T.4 or T.6, taken apart without
//! decoding a row.
//!
//! The file comes from a stranger over the telephone. Every place in it is looked at before it
//! is used, and every count has a limit; the coded rows are passed on as they are.

use crate::error::Trouble;
use crate::tiff_f::{LONG, RATIONAL, SHORT};

/// The most pages of a file.
pub const PAGES_MAX: usize = 1_000;
/// The most entries of a directory that are looked at.
const ENTRIES_MAX: u16 = 256;
/// The most strips of a page.
const STRIPS_MAX: u32 = 4_096;
/// The longest text of the file that is read, in octets.
const TEXT_MAX_OCTETS: u32 = 1_024;
/// The widest page in dots: A3 at 400 an inch.
const COLUMNS_MAX: u32 = 5_184;
/// The longest page in rows.
const ROWS_MAX: u32 = 100_000;
/// Columns an inch where the file does not say.
const COLUMNS_AN_INCH: f64 = 204.0;
/// Rows an inch where the file does not say.
const ROWS_AN_INCH: f64 = 196.0;
/// Type of a text in a directory.
const ASCII: u16 = 2;

/// A file of fax pages.
#[derive(Debug, Clone, PartialEq)]
pub struct Scan<'f> {
    /// Its pages, in order; never none.
    pub pages: Vec<Page<'f>>,
    /// What the program that wrote the file says of it. HylaFAX writes a line with the name
    /// of the other machine, and then one for each number that the line told.
    pub description: String,
}

/// One page, still coded.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<'f> {
    /// Dots across.
    pub columns: u32,
    /// Dots down.
    pub rows: u32,
    /// Dots an inch across.
    pub columns_an_inch: f64,
    /// Dots an inch down.
    pub rows_an_inch: f64,
    /// How its rows are written.
    pub coding: Coded,
    /// Whether the code for white means black.
    pub is_inverted: bool,
    /// Whether the first dot is in the lowest bit.
    pub lowest_bit_first: bool,
    /// The rows, in the pieces of the file; each stands by itself.
    pub strips: Vec<Strip<'f>>,
}

/// Rows that were coded together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strip<'f> {
    /// How many.
    pub rows: u32,
    /// Their code.
    pub octets: &'f [u8],
}

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coded {
    /// T.4, one-dimensional.
    Mh,
    /// T.4, two-dimensional.
    Mr,
    /// T.6.
    Mmr,
}

/// The entries of a directory that matter here.
#[derive(Default)]
struct Tags {
    columns: u32,
    rows: u32,
    scheme: u32,
    photometric: u32,
    fill_order: u32,
    options: u32,
    unit: u32,
    rows_per_strip: Option<u32>,
    offsets: Vec<u32>,
    counts: Vec<u32>,
    across: Option<f64>,
    down: Option<f64>,
    description: Option<String>,
}

/// Takes a file apart.
///
/// # Errors
///
/// [`Trouble`] when it is no TIFF of fax pages, is broken, or has more than is looked at.
pub fn read(file: &[u8]) -> Result<Scan<'_>, Trouble> {
    let octets = Octets { file, is_big: file.starts_with(b"MM") };
    let is_tiff = (file.starts_with(b"II") || octets.is_big) && octets.u16_at(2) == Some(42);
    let mut at = octets.u32_at(4).filter(|_| is_tiff).ok_or_else(|| broken("it is no TIFF"))?;
    let mut scan = Scan { pages: Vec::new(), description: String::new() };
    while at != 0 {
        if scan.pages.len() >= PAGES_MAX {
            return Err(Trouble::TooManyPages { limit: PAGES_MAX });
        }
        let (mut tags, next) =
            octets.directory(at).ok_or_else(|| broken("a directory leads nowhere"))?;
        if let Some(description) = tags.description.take()
            && scan.pages.is_empty()
        {
            scan.description = description;
        }
        scan.pages.push(page(file, &tags)?);
        at = next;
    }
    if scan.pages.is_empty() { Err(broken("it has no page")) } else { Ok(scan) }
}

fn broken(why: &str) -> Trouble {
    Trouble::Broken { name: "fax".to_owned(), why: why.to_owned() }
}

fn page<'f>(file: &'f [u8], tags: &Tags) -> Result<Page<'f>, Trouble> {
    let coding = match (tags.scheme, tags.options & 1) {
        (3, 0) => Coded::Mh,
        (3, _) => Coded::Mr,
        (4, _) => Coded::Mmr,
        _ => return Err(broken("its pages are not coded as fax pages are")),
    };
    let is_sized = (1..=COLUMNS_MAX).contains(&tags.columns) && (1..=ROWS_MAX).contains(&tags.rows);
    if !is_sized {
        return Err(Trouble::Shape { name: "fax".to_owned() });
    }
    if tags.offsets.is_empty() || tags.offsets.len() != tags.counts.len() {
        return Err(broken("a page has no rows"));
    }
    let a_strip = tags.rows_per_strip.unwrap_or(u32::MAX).max(1);
    let mut left = tags.rows;
    let mut strips = Vec::with_capacity(tags.offsets.len());
    for (from, count) in tags.offsets.iter().zip(&tags.counts) {
        let (from, count) = (*from as usize, *count as usize);
        let octets = from.checked_add(count).and_then(|to| file.get(from..to));
        let octets = octets.ok_or_else(|| broken("it ends before its last row"))?;
        let rows = left.min(a_strip);
        left -= rows;
        if rows > 0 {
            strips.push(Strip { rows, octets });
        }
    }
    // Unit 3 is the centimetre; 1 says only how they stand to each other.
    let factor = if tags.unit == 3 { 2.54 } else { 1.0 };
    let sane = |an_inch: &f64| (10.0..=2_400.0).contains(an_inch);
    let across = tags.across.map(|n| n * factor).filter(sane);
    let down = tags.down.map(|n| n * factor).filter(sane);
    Ok(Page {
        columns: tags.columns,
        rows: tags.rows,
        columns_an_inch: across.unwrap_or(COLUMNS_AN_INCH),
        rows_an_inch: down.unwrap_or(ROWS_AN_INCH),
        coding,
        is_inverted: tags.photometric == 1,
        lowest_bit_first: tags.fill_order == 2,
        strips,
    })
}

/// The octets of a file, in its order.
struct Octets<'f> {
    file: &'f [u8],
    is_big: bool,
}

impl Octets<'_> {
    fn u16_at(&self, at: usize) -> Option<u16> {
        let octets = self.file.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if self.is_big { u16::from_be_bytes(octets) } else { u16::from_le_bytes(octets) })
    }

    fn u32_at(&self, at: usize) -> Option<u32> {
        let octets = self.file.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if self.is_big { u32::from_be_bytes(octets) } else { u32::from_le_bytes(octets) })
    }

    /// A directory, and where the next one is; 0 for nowhere.
    fn directory(&self, at: u32) -> Option<(Tags, u32)> {
        let at = at as usize;
        let entries = self.u16_at(at).filter(|entries| *entries <= ENTRIES_MAX)?;
        let mut tags = Tags { unit: 2, fill_order: 1, ..Tags::default() };
        for entry in 0..usize::from(entries) {
            self.entry(at + 2 + 12 * entry, &mut tags)?;
        }
        Some((tags, self.u32_at(at + 2 + 12 * usize::from(entries))?))
    }

    fn entry(&self, at: usize, tags: &mut Tags) -> Option<()> {
        let (tag, kind) = (self.u16_at(at)?, self.u16_at(at + 2)?);
        let one = || self.numbers(at).and_then(|all| all.first().copied());
        match tag {
            256 => tags.columns = one()?,
            257 => tags.rows = one()?,
            259 => tags.scheme = one()?,
            262 => tags.photometric = one()?,
            266 => tags.fill_order = one()?,
            270 if kind == ASCII => tags.description = self.text(at),
            273 => tags.offsets = self.numbers(at)?,
            278 => tags.rows_per_strip = Some(one()?),
            279 => tags.counts = self.numbers(at)?,
            282 if kind == RATIONAL => tags.across = self.fraction(at),
            283 if kind == RATIONAL => tags.down = self.fraction(at),
            292 | 293 => tags.options = one()?,
            296 => tags.unit = one()?,
            _ => {}
        }
        Some(())
    }

    /// The numbers of an entry: in its own four octets if they fit there, else elsewhere.
    fn numbers(&self, entry: usize) -> Option<Vec<u32>> {
        let (kind, count) = (self.u16_at(entry + 2)?, self.u32_at(entry + 4)?);
        if count == 0 || count > STRIPS_MAX {
            return None;
        }
        let width = match kind {
            SHORT => 2,
            LONG => 4,
            _ => return None,
        };
        let start = self.value(entry, width * count as usize)?;
        (0..count as usize)
            .map(|n| match kind {
                SHORT => self.u16_at(start + 2 * n).map(u32::from),
                _ => self.u32_at(start + 4 * n),
            })
            .collect()
    }

    fn value(&self, entry: usize, octets: usize) -> Option<usize> {
        if octets <= 4 { Some(entry + 8) } else { Some(self.u32_at(entry + 8)? as usize) }
    }

    fn fraction(&self, entry: usize) -> Option<f64> {
        let at = self.u32_at(entry + 8)? as usize;
        let (over, under) = (self.u32_at(at)?, self.u32_at(at.checked_add(4)?)?);
        (under != 0).then(|| f64::from(over) / f64::from(under))
    }

    fn text(&self, entry: usize) -> Option<String> {
        let count = self.u32_at(entry + 4)?.min(TEXT_MAX_OCTETS) as usize;
        let start = self.value(entry, self.u32_at(entry + 4)? as usize)?;
        let octets = self.file.get(start..start.checked_add(count)?)?;
        let text = octets.split(|octet| *octet == 0).next().unwrap_or_default();
        Some(String::from_utf8_lossy(text).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use fax::Resolution;

    use super::*;
    use crate::bitmap::Bitmap;
    use crate::coding::Coding;
    use crate::tiff_f::{Profile, write};

    #[test]
    fn a_file_of_our_own_is_taken_apart_into_what_was_written() {
        let mut page = Bitmap::white(100);
        page.fill(10, 10, 50, 50);
        let pages = [page, Bitmap::white(40)];
        for (profile, coding, lowest) in [
            (Profile::Simple, Coded::Mh, true),
            (Profile::Extended(Coding::Mr), Coded::Mr, false),
            (Profile::Extended(Coding::Mmr), Coded::Mmr, false),
        ] {
            let file = write(&pages, Resolution::Standard, profile);
            let scan = read(&file).unwrap();
            let shown: Vec<_> = scan
                .pages
                .iter()
                .map(|p| (p.columns, p.rows, p.rows_an_inch, p.coding, p.lowest_bit_first))
                .collect();
            let expected = |rows| (1728, rows, 98.0, coding, lowest);
            assert_eq!(shown, [expected(100), expected(40)]);
        }
    }

    #[test]
    fn whatever_is_cut_off_or_changed_ends_in_words_and_never_in_a_panic() {
        let file = write(&[Bitmap::white(60)], Resolution::Fine, Profile::Simple);
        for length in 0..file.len() {
            let _refused_or_not = read(&file[..length]);
        }
        for at in 0..file.len() {
            for octet in [0, 1, 0x7F, 0xFF] {
                let mut changed = file.clone();
                changed[at] = octet;
                let _refused_or_not = read(&changed);
            }
        }
        assert!(read(b"").is_err() && read(b"II*\0\0\0\0\0").is_err());
    }

    #[test]
    fn a_directory_that_names_itself_ends_at_the_most_pages() {
        let mut file = write(&[Bitmap::white(10)], Resolution::Fine, Profile::Simple);
        let next = 8 + 2 + 12 * 18;
        file[next..next + 4].copy_from_slice(&8_u32.to_le_bytes());
        assert_eq!(read(&file), Err(Trouble::TooManyPages { limit: PAGES_MAX }));
    }
}
