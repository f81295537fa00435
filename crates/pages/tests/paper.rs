//! A fax file as PDF, read by another program.

use std::fs;
use std::path::Path;
use std::process::Command;

use fax::Resolution;
use pages::bitmap::{COLUMNS, ROW_OCTETS};
use pages::{Bitmap, Coding, Profile, paper, tiff_f};

/// The dots that poppler finds on a page, as packed rows with black as 1.
fn found(folder: &Path, page: usize) -> (usize, Vec<u8>) {
    let number = page.to_string();
    let output = Command::new("pdfimages")
        .args(["-f", &number, "-l", &number])
        .arg(folder.join("fax.pdf"))
        .arg(folder.join("page"))
        .output()
        .unwrap_or_else(|error| panic!("pdfimages (Debian package poppler-utils): {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
    let pbm = fs::read(folder.join("page-000.pbm")).unwrap();
    let text = String::from_utf8_lossy(&pbm[..20]).into_owned();
    let mut words = text.split_ascii_whitespace();
    assert_eq!((words.next(), words.next()), (Some("P4"), Some("1728")));
    let rows: usize = words.next().unwrap().parse().unwrap();
    (rows, pbm[pbm.len() - rows * ROW_OCTETS..].to_vec())
}

#[test]
fn poppler_finds_the_very_dots_of_a_fax() {
    let mut first = Bitmap::white(2292);
    first.fill(100, 50, 900, 3);
    for dot in 0..COLUMNS.min(2292) {
        first.blacken(dot, dot);
    }
    let mut second = Bitmap::white(2156);
    second.fill(0, 2000, 30, 100);
    let folder = tempfile::tempdir().unwrap();
    let profile = Profile::Extended(Coding::Mmr);
    let file = tiff_f::write(&[first.clone(), second.clone()], Resolution::Fine, profile);
    fs::write(folder.path().join("fax.pdf"), paper::pdf(&file).unwrap()).unwrap();
    for (number, page) in [(1, first), (2, second)] {
        let (rows, found) = found(folder.path(), number);
        assert_eq!(rows, page.rows());
        let differs = found.iter().zip(page.as_octets()).filter(|(a, b)| a != b).count();
        assert_eq!(differs, 0, "page {number}");
    }
}
