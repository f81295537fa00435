//! Fax pages as PDF (ISO 32000-1), dot by dot as they were: the coded rows become the images
//! of the pages (filter `CCITTFaxDecode`, section 7.4.6).

use std::fmt::Write as _;

use crate::error::Trouble;
use crate::scan::{self, Coded, Page, Scan, Strip};

/// Points an inch.
const POINTS: f64 = 72.0;

/// The pages of a fax file as PDF.
///
/// # Errors
///
/// [`Trouble`] when it is no fax file.
pub fn pdf(file: &[u8]) -> Result<Vec<u8>, Trouble> {
    Ok(write(&scan::read(file)?))
}

/// The pages as a PDF file.
pub fn write(scan: &Scan<'_>) -> Vec<u8> {
    let mut pdf = Pdf { octets: b"%PDF-1.4\n%\xE2\xE3\xCF\xD3\n".to_vec(), places: vec![0, 0] };
    let pages: Vec<usize> = scan.pages.iter().map(|page| pdf.page(page)).collect();
    let kids: Vec<String> = pages.iter().map(|page| format!("{page} 0 R")).collect();
    pdf.object(CATALOG, &format!("<< /Type /Catalog /Pages {TREE} 0 R >>"));
    let tree = format!("<< /Type /Pages /Count {} /Kids [{}] >>", pages.len(), kids.join(" "));
    pdf.object(TREE, &tree);
    pdf.finish()
}

/// The numbers of the two objects that come last in the file.
const CATALOG: usize = 1;
const TREE: usize = 2;

/// A file that grows object by object.
struct Pdf {
    octets: Vec<u8>,
    /// Where each object begins, from number 1.
    places: Vec<usize>,
}

impl Pdf {
    /// Adds a page and gives its number.
    fn page(&mut self, page: &Page<'_>) -> usize {
        let width = f64::from(page.columns) / page.columns_an_inch * POINTS;
        let height = f64::from(page.rows) / page.rows_an_inch * POINTS;
        let (mut below, mut content, mut names) = (0, String::new(), String::new());
        // The first strip is at the top, and a PDF page begins at the foot.
        for (place, strip) in page.strips.iter().enumerate() {
            let image = self.strip(page, strip);
            below += strip.rows;
            let foot = f64::from(page.rows - below.min(page.rows)) / page.rows_an_inch * POINTS;
            let high = f64::from(strip.rows) / page.rows_an_inch * POINTS;
            // Writing to a String cannot fail.
            let _ = writeln!(
                content,
                "q {} 0 0 {} 0 {} cm /I{place} Do Q",
                Short(width),
                Short(high),
                Short(foot)
            );
            let _ = write!(names, " /I{place} {image} 0 R");
        }
        let content = self.stream("", content.as_bytes());
        let number = self.next();
        let dictionary = format!(
            "<< /Type /Page /Parent {TREE} 0 R /MediaBox [0 0 {} {}] /Contents {content} 0 R \
             /Resources << /XObject <<{names} >> >> >>",
            Short(width),
            Short(height)
        );
        self.object(number, &dictionary);
        number
    }

    fn strip(&mut self, page: &Page<'_>, strip: &Strip<'_>) -> usize {
        let k = match page.coding {
            Coded::Mh => 0,
            Coded::Mr => 4,
            Coded::Mmr => -1,
        };
        let dictionary = format!(
            "/Type /XObject /Subtype /Image /Width {} /Height {} /ColorSpace /DeviceGray \
             /BitsPerComponent 1 /Filter /CCITTFaxDecode \
             /DecodeParms << /K {k} /Columns {} /Rows {} /BlackIs1 {} >> ",
            page.columns, strip.rows, page.columns, strip.rows, page.is_inverted
        );
        if page.lowest_bit_first {
            let turned: Vec<u8> = strip.octets.iter().map(|octet| octet.reverse_bits()).collect();
            self.stream(&dictionary, &turned)
        } else {
            self.stream(&dictionary, strip.octets)
        }
    }

    fn next(&mut self) -> usize {
        self.places.push(0);
        self.places.len()
    }

    fn stream(&mut self, dictionary: &str, octets: &[u8]) -> usize {
        let number = self.next();
        self.begin(number);
        let head = format!("<< {dictionary}/Length {} >>\nstream\n", octets.len());
        self.octets.extend(head.as_bytes());
        self.octets.extend(octets);
        self.octets.extend(b"\nendstream\nendobj\n");
        number
    }

    fn object(&mut self, number: usize, text: &str) {
        self.begin(number);
        self.octets.extend(text.as_bytes());
        self.octets.extend(b"\nendobj\n");
    }

    fn begin(&mut self, number: usize) {
        self.places[number - 1] = self.octets.len();
        self.octets.extend(format!("{number} 0 obj\n").as_bytes());
    }

    /// The table of places, and the end.
    fn finish(mut self) -> Vec<u8> {
        let table = self.octets.len();
        let mut text = format!("xref\n0 {}\n0000000000 65535 f \n", self.places.len() + 1);
        for place in &self.places {
            let _ = writeln!(text, "{place:010} 00000 n ");
        }
        let _ = write!(
            text,
            "trailer\n<< /Size {} /Root {CATALOG} 0 R >>\nstartxref\n{table}\n%%EOF\n",
            self.places.len() + 1
        );
        self.octets.extend(text.as_bytes());
        self.octets
    }
}

/// A length in points, never longer than it is: what is a hair longer than so many dots is
/// drawn on one dot more.
struct Short(f64);

impl std::fmt::Display for Short {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.4}", (self.0 * 10_000.0).floor() / 10_000.0)
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use fax::Resolution;

    use super::*;
    use crate::bitmap::{Bitmap, ROW_OCTETS};
    use crate::coding::Coding;
    use crate::tiff_f::{Profile, rows_an_inch, write as write_tiff};

    /// A page of which no two rows and no two halves are alike.
    fn page(rows: usize, seed: usize) -> Bitmap {
        let mut page = Bitmap::white(rows);
        for row in 0..rows {
            page.fill((row * 7 + seed * 31) % 1_700, row, 3 + row % 25, 1);
            page.fill(1_727 - row % 300, row, 1, 1);
        }
        page
    }

    /// What pdftoppm draws of a page, as packed rows.
    fn drawn(pdf: &[u8], number: usize, resolution: Resolution) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("fax.pdf");
        std::fs::write(&file, pdf).unwrap();
        let number = number.to_string();
        let down = rows_an_inch(resolution).to_string();
        let output = Command::new("pdftoppm")
            .args(["-mono", "-rx", "204", "-ry", &down, "-f", &number, "-l", &number])
            .arg(&file)
            .output()
            .expect("pdftoppm (Debian package poppler-utils)");
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut parts = output.stdout.splitn(3, |octet| *octet == b'\n');
        assert_eq!(parts.next(), Some(&b"P4"[..]));
        let size = String::from_utf8_lossy(parts.next().unwrap()).into_owned();
        assert!(size.starts_with("1728 "), "{size}");
        parts.next().unwrap().to_vec()
    }

    #[test]
    fn every_coding_is_drawn_from_the_pdf_dot_by_dot_as_it_was() {
        for resolution in [Resolution::Standard, Resolution::Fine, Resolution::Superfine] {
            let pages = [page(1_143, 1), page(500, 2)];
            for profile in [
                Profile::Simple,
                Profile::Extended(Coding::Mh),
                Profile::Extended(Coding::Mr),
                Profile::Extended(Coding::Mmr),
            ] {
                let file = write_tiff(&pages, resolution, profile);
                let pdf = write(&scan::read(&file).unwrap());
                for (number, page) in pages.iter().enumerate() {
                    let drawn = drawn(&pdf, number + 1, resolution);
                    assert_eq!(drawn.len() / ROW_OCTETS, page.rows(), "{resolution:?} {profile:?}");
                    let differ = drawn
                        .chunks(ROW_OCTETS)
                        .zip(page.iter_rows())
                        .filter(|(theirs, ours)| theirs != ours)
                        .count();
                    assert_eq!(differ, 0, "{resolution:?} {profile:?} page {}", number + 1);
                }
            }
        }
    }
}
