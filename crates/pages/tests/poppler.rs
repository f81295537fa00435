//! Documents drawn by us and by Poppler are the same pages.

use std::fs;
use std::path::Path;
use std::process::Command;

use fax::{Paper, Resolution};
use pages::Bitmap;
use pages::bitmap::COLUMNS;
use pages::sheet::Format;
use tempfile::TempDir;

/// Two pages as offices print them: text in sizes and shades, rules, a table, a curve.
const LETTER: &str = "%!PS-Adobe-3.0
<< /PageSize [595 842] >> setpagedevice
/size 9 def
/y 780 def
/line { 72 y moveto show /y y size 1.4 mul sub def } def
/face { /size exch def findfont size scalefont setfont } def
/Helvetica-Bold 18 face (Clinic of Example) line
/Times-Roman 12 face (Dear Dr. Ortega, please find the referral of our patient enclosed.) line
/Times-Italic 8 face (Small print: fi fl ff quick brown foxes jump over lazy dogs, 0123456789.) line
/Courier 10 face (Account    4711      120.00 EUR) line
0.45 setgray /Helvetica 12 face (Grey words stay words.) line
0.8 0.7 0 setrgbcolor /Helvetica-Bold 14 face (Words in dark yellow stay words.) line
0 setgray 1 setlinewidth 72 500 450 100 rectstroke
72 550 moveto 522 550 lineto stroke 297 500 moveto 297 600 lineto stroke
2 setlinewidth 100 300 moveto 200 450 300 150 500 300 curveto stroke
showpage
/y 780 def
/Times-Roman 11 face
40 { (It is a page of text, line after line, as letters of lawyers are.) line } repeat
showpage
";

fn run(program: &str, package: &str, arguments: &[&str]) {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program} (Debian package {package}): {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
}

/// Shades of grey, 0 is black.
struct Grey {
    width: usize,
    dots: Vec<u8>,
}

impl Grey {
    /// A binary PGM.
    fn read(path: &Path) -> Self {
        let file = fs::read(path).unwrap();
        let mut at = 0;
        let mut word = || {
            let begin = at;
            at += file[begin..].iter().position(u8::is_ascii_whitespace).unwrap() + 1;
            std::str::from_utf8(&file[begin..at - 1]).unwrap().to_owned()
        };
        assert_eq!(word(), "P5");
        let width = word().parse().unwrap();
        let (_height, depth) = (word(), word());
        assert_eq!(depth, "255");
        Self { width, dots: file[at..].to_vec() }
    }

    fn height(&self) -> usize {
        self.dots.len() / self.width
    }

    /// Whether a dot is at most this light; outside all is white.
    fn is_dark(&self, column: isize, row: isize, light_max: u8) -> bool {
        let (Ok(column), Ok(row)) = (usize::try_from(column), usize::try_from(row)) else {
            return false;
        };
        column < self.width
            && self.dots.get(row * self.width + column).is_some_and(|dot| *dot <= light_max)
    }
}

fn is_black(page: &Bitmap, column: isize, row: isize) -> bool {
    let (Ok(column), Ok(row)) = (usize::try_from(column), usize::try_from(row)) else {
        return false;
    };
    column < COLUMNS && row < page.rows() && page.is_black(column, row)
}

/// Whether any of the dots around is `dark`.
fn near(column: isize, row: isize, dark: impl Fn(isize, isize) -> bool) -> bool {
    (-1..=1).any(|down| (-1..=1).any(|across| dark(column + across, row + down)))
}

/// The share of dots of each page that the other has too, one dot off allowed.
fn agreement(ours: &Bitmap, theirs: &Grey) -> (f64, f64) {
    let left = (COLUMNS - theirs.width).div_ceil(2) as isize;
    let (mut black, mut shared, mut inked, mut kept) = (0_u32, 0_u32, 0_u32, 0_u32);
    for row in 0..ours.rows().max(theirs.height()) as isize {
        for column in 0..COLUMNS as isize {
            if is_black(ours, column, row) {
                black += 1;
                let ink = |column: isize, row| theirs.is_dark(column - left, row, 200);
                shared += u32::from(near(column, row, ink));
            }
            if theirs.is_dark(column - left, row, 60) {
                inked += 1;
                kept += u32::from(near(column, row, |column, row| is_black(ours, column, row)));
            }
        }
    }
    assert!(black > 5_000 && inked > 5_000, "{black} and {inked} dots are no page");
    (f64::from(shared) / f64::from(black), f64::from(kept) / f64::from(inked))
}

#[test]
fn a_document_looks_as_poppler_draws_it() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("letter.ps"), LETTER).unwrap();
    let output = format!("-sOutputFile={}", path("letter.pdf"));
    let options = ["-q", "-dBATCH", "-dNOPAUSE", "-dSAFER", "-sDEVICE=pdfwrite"];
    let embedded = ["-dEmbedAllFonts=true", "-dPDFSETTINGS=/prepress", &output];
    run("gs", "ghostscript", &[&options[..], &embedded[..], &[&path("letter.ps")]].concat());
    let file = fs::read(path("letter.pdf")).unwrap();
    for (resolution, lines) in [(Resolution::Standard, "98"), (Resolution::Fine, "196")] {
        let format = Format { resolution, paper: Paper::A4 };
        let ours = pages::pdf::pages("letter.pdf", file.clone(), format, 10).unwrap();
        assert_eq!(ours.len(), 2);
        let places = [path("letter.pdf"), path(lines)];
        let options = ["-gray", "-rx", "204", "-ry", lines];
        run(
            "pdftoppm",
            "poppler-utils",
            &[&options[..], &places.each_ref().map(|p| &**p)].concat(),
        );
        for (number, ours) in (1..).zip(&ours) {
            let theirs = Grey::read(&folder.path().join(format!("{lines}-{number}.pgm")));
            let (shared, kept) = agreement(ours, &theirs);
            let said =
                format!("page {number} at {lines}: {shared:.4} of ours, {kept:.4} of theirs");
            println!("{said}");
            assert!(shared >= 0.99 && kept >= 0.99, "{said}");
        }
    }
}
