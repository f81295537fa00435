//! What we write, libtiff reads back without a difference.

use std::fs;
use std::path::Path;
use std::process::Command;

use fax::Resolution;
use pages::bitmap::ROW_OCTETS;
use pages::{Bitmap, Coding, Profile, tiff_f};

/// Runs a program of libtiff-tools; the test fails where it is missing or complains.
fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program} (Debian package libtiff-tools): {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{program} {arguments:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The rows that libtiff finds on page `number`, black as 1.
fn decoded(folder: &Path, file: &Path, number: usize) -> Vec<u8> {
    let raw = folder.join("raw.tif");
    let source = format!("{},{number}", file.display());
    run("tiffcp", &["-c", "none", "-f", "msb2lsb", "-r", "100000", &source, raw.to_str().unwrap()]);
    let raw = fs::read(raw).unwrap();
    // One strip, uncompressed, little- or big-endian as the machine is.
    let u16_at = |at: usize| u16::from_le_bytes(raw[at..at + 2].try_into().unwrap()) as usize;
    let u32_at = |at: usize| u32::from_le_bytes(raw[at..at + 4].try_into().unwrap()) as usize;
    assert_eq!(&raw[..4], b"II*\0");
    let directory = u32_at(4);
    let value = |tag: usize| {
        (0..u16_at(directory))
            .map(|n| directory + 2 + n * 12)
            .find(|&at| u16_at(at) == tag)
            .map_or_else(|| panic!("no tag {tag}"), |at| u32_at(at + 8))
    };
    raw[value(273)..value(273) + value(279)].to_vec()
}

/// Rows of every kind: all runs of both colours, noise, stripes, nothing, black.
fn hard_page() -> Bitmap {
    let mut rows = Vec::new();
    for run in 0..=1728_usize {
        let mut row = [0_u8; ROW_OCTETS];
        for column in 0..run {
            row[column / 8] |= 0x80 >> (column % 8);
        }
        rows.extend(row);
        rows.extend(row.map(|octet| !octet));
    }
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    for kind in 0..400_u64 {
        let mask = next() & next();
        for octet in 0..ROW_OCTETS {
            let noise = next();
            rows.push(match kind % 5 {
                0 => noise as u8,
                1 => (noise & next() & next()) as u8,
                2 => (noise | next() | next()) as u8,
                3 => 0x55,
                _ => (mask >> (octet % 8)) as u8,
            });
        }
    }
    Bitmap::from_octets(rows)
}

#[test]
fn libtiff_reads_every_coding_without_a_difference() {
    let folder = tempfile::tempdir().unwrap();
    let document = [hard_page(), Bitmap::white(100), hard_page()];
    let profiles = [
        Profile::Simple,
        Profile::Extended(Coding::Mh),
        Profile::Extended(Coding::Mr),
        Profile::Extended(Coding::Mmr),
    ];
    for resolution in [Resolution::Standard, Resolution::Fine, Resolution::Superfine] {
        for profile in profiles {
            let file = folder.path().join("fax.tif");
            fs::write(&file, tiff_f::write(&document, resolution, profile)).unwrap();
            for (number, page) in document.iter().enumerate() {
                let found = decoded(folder.path(), &file, number);
                let differs = found.iter().zip(page.as_octets()).position(|(a, b)| a != b);
                assert_eq!(found.len(), page.as_octets().len(), "{profile:?} page {number}");
                assert_eq!(
                    differs.map(|at| (at / ROW_OCTETS, at % ROW_OCTETS)),
                    None,
                    "{profile:?} {resolution:?} page {number}"
                );
            }
        }
    }
}

#[test]
fn the_tags_are_those_of_a_fax_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("fax.tif");
    let pages = [Bitmap::white(2292), Bitmap::white(2156)];
    for (profile, compression, order) in [
        (Profile::Simple, "CCITT Group 3", "lsb-to-msb"),
        (Profile::Extended(Coding::Mmr), "CCITT Group 4", "msb-to-lsb"),
    ] {
        fs::write(&file, tiff_f::write(&pages, Resolution::Fine, profile)).unwrap();
        let info = run("tiffinfo", &[file.to_str().unwrap()]);
        for says in [
            "Image Width: 1728 Image Length: 2292",
            "Image Width: 1728 Image Length: 2156",
            "Resolution: 204, 196 pixels/inch",
            "Photometric Interpretation: min-is-white",
            "Page Number: 0-2",
            "Page Number: 1-2",
            "Subfile Type: multi-page document",
            compression,
            order,
        ] {
            assert!(info.contains(says), "{says}: {info}");
        }
    }
}
