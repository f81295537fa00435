//! Office files before LibreOffice sees them: what they are, and whether they may be opened.
//!
//! Archives are unpacked here once, into nothing: what they say of their sizes is not
//! believed, and a bomb costs a moment instead of a minute of another program.

use std::io::{self, Read};

use flate2::read::DeflateDecoder;

use crate::error::Trouble;

/// The most octets of an archive, unpacked.
pub const UNPACKED_MAX_OCTETS: u64 = 200 * 1024 * 1024;
/// The most files of an archive.
pub const ENTRIES_MAX: usize = 2_000;
/// The most times an archive may be smaller than what is in it.
pub const RATIO_MAX: u64 = 100;
/// So much may come of any archive: a page of blanks packs well.
const RATIO_FREE_OCTETS: u64 = 4 * 1024 * 1024;
/// A document may have documents in it, and these none.
const DEPTH_MAX: usize = 1;
/// The largest file in an archive that is looked into as an archive itself.
const NESTED_MAX_OCTETS: u64 = 32 * 1024 * 1024;

/// An office file that is to become a PDF.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfficeFile {
    /// Which part of the message it is.
    pub part: usize,
    /// What its sender calls it.
    pub name: String,
    /// What it is, as an extension: one of ten.
    pub extension: &'static str,
    /// Its octets.
    pub octets: Vec<u8>,
}

/// The extensions that are converted.
const EXTENSIONS: [&str; 10] =
    ["docx", "doc", "odt", "rtf", "xlsx", "xls", "ods", "pptx", "ppt", "odp"];

/// The office file that an attachment is by its name and its first octets, if it is one.
///
/// # Errors
///
/// [`Trouble`] where it must not be opened: it is encrypted, broken or too much.
pub fn read(part: usize, name: &str, octets: &[u8]) -> Result<Option<OfficeFile>, Trouble> {
    let Some((_, end)) = name.rsplit_once('.') else { return Ok(None) };
    let end = end.to_ascii_lowercase();
    let Some(extension) = EXTENSIONS.into_iter().find(|known| *known == end) else {
        return Ok(None);
    };
    let broken = |why: &str| Trouble::Broken { name: name.to_owned(), why: why.to_owned() };
    if octets.starts_with(b"PK") {
        let mut left = Budget { entries: ENTRIES_MAX, octets: UNPACKED_MAX_OCTETS };
        let allowed = RATIO_FREE_OCTETS.max(octets.len() as u64 * RATIO_MAX);
        left.octets = left.octets.min(allowed);
        check(octets, 0, &mut left).map_err(|refused| match refused {
            Refused::Encrypted => Trouble::Password { name: name.to_owned() },
            Refused::Broken => broken("it is no complete document"),
            Refused::Entries => broken(&format!("it has more than {ENTRIES_MAX} parts")),
            Refused::Nested => broken("it has archives in archives"),
            Refused::Octets => broken(&format!(
                "unpacked it is more than {RATIO_MAX} times as large, or more than {} MiB",
                UNPACKED_MAX_OCTETS / 1024 / 1024
            )),
        })?;
    } else if octets.starts_with(&COMPOUND) {
        if contains(octets, &ENCRYPTED_PACKAGE) {
            return Err(Trouble::Password { name: name.to_owned() });
        }
    } else if !octets.starts_with(b"{\\rtf") {
        return Err(broken("it is no office document, whatever its name says"));
    }
    Ok(Some(OfficeFile { part, name: name.to_owned(), extension, octets: octets.to_vec() }))
}

/// The old formats, and the new ones where they are encrypted (MS-CFB section 2.2).
const COMPOUND: [u8; 8] = [0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1];
/// The stream of an encrypted document (MS-OFFCRYPTO section 1.3.2), in UTF-16.
const ENCRYPTED_PACKAGE: [u8; 32] = *b"E\0n\0c\0r\0y\0p\0t\0e\0d\0P\0a\0c\0k\0a\0g\0e\0";

enum Refused {
    Encrypted,
    Broken,
    Entries,
    Nested,
    Octets,
}

/// What may still be unpacked.
struct Budget {
    entries: usize,
    octets: u64,
}

/// Unpacks a ZIP archive (PKWARE APPNOTE sections 4.3.7, 4.3.12 and 4.3.16) into nothing.
fn check(archive: &[u8], depth: usize, left: &mut Budget) -> Result<(), Refused> {
    const END: [u8; 4] = *b"PK\x05\x06";
    const ENTRY: [u8; 4] = *b"PK\x01\x02";
    const LOCAL: [u8; 4] = *b"PK\x03\x04";
    /// The end stands before a comment of at most so many octets.
    const END_MAX: usize = 22 + 0xffff;
    let tail = archive.len().saturating_sub(END_MAX);
    let end = archive[tail..].windows(4).rposition(|four| four == END).ok_or(Refused::Broken)?;
    let end = tail + end;
    let count = usize::from(two(archive, end + 10)?);
    if count > left.entries {
        return Err(Refused::Entries);
    }
    left.entries -= count;
    let mut at = four(archive, end + 16)? as usize;
    let mut declared = 0_u64;
    for _ in 0..count {
        if archive.get(at..at + 4) != Some(&ENTRY) {
            return Err(Refused::Broken);
        }
        let (flags, method) = (two(archive, at + 8)?, two(archive, at + 10)?);
        let (packed, size) = (four(archive, at + 20)? as usize, four(archive, at + 24)?);
        let names = [28, 30, 32].map(|place| two(archive, at + place).map(usize::from));
        let [name, extra, comment] = names;
        let (name, extra, comment) = (name?, extra?, comment?);
        let local = four(archive, at + 42)? as usize;
        let title = archive.get(at + 46..at + 46 + name).ok_or(Refused::Broken)?;
        at += 46 + name + extra + comment;
        if flags & 1 != 0 {
            return Err(Refused::Encrypted);
        }
        declared += u64::from(size);
        if declared > left.octets {
            return Err(Refused::Octets);
        }
        if archive.get(local..local.saturating_add(4)) != Some(&LOCAL) {
            return Err(Refused::Broken);
        }
        let skip = usize::from(two(archive, local + 26)?) + usize::from(two(archive, local + 28)?);
        let start = local + 30 + skip;
        let content = archive.get(start..start.saturating_add(packed)).ok_or(Refused::Broken)?;
        let kept = match method {
            0 => take(content, left)?,
            8 => take(DeflateDecoder::new(content), left)?,
            _ => return Err(Refused::Broken),
        };
        if title == b"META-INF/manifest.xml" && contains(&kept, b":encryption-data") {
            return Err(Refused::Encrypted);
        }
        if kept.starts_with(&LOCAL) {
            if depth >= DEPTH_MAX {
                return Err(Refused::Nested);
            }
            check(&kept, depth + 1, left)?;
        }
    }
    Ok(())
}

/// Reads all there is, within what is left; keeps what may be looked into.
fn take(mut content: impl Read, left: &mut Budget) -> Result<Vec<u8>, Refused> {
    let mut kept = Vec::new();
    let first = NESTED_MAX_OCTETS.min(left.octets + 1);
    (&mut content).take(first).read_to_end(&mut kept).map_err(|_| Refused::Broken)?;
    let rest = left.octets.saturating_sub(kept.len() as u64) + 1;
    let further =
        io::copy(&mut content.take(rest), &mut io::sink()).map_err(|_| Refused::Broken)?;
    left.octets = left.octets.checked_sub(kept.len() as u64 + further).ok_or(Refused::Octets)?;
    Ok(kept)
}

fn two(octets: &[u8], at: usize) -> Result<u16, Refused> {
    let bytes = octets.get(at..at.saturating_add(2)).and_then(|two| two.try_into().ok());
    bytes.map(u16::from_le_bytes).ok_or(Refused::Broken)
}

fn four(octets: &[u8], at: usize) -> Result<u32, Refused> {
    let bytes = octets.get(at..at.saturating_add(4)).and_then(|four| four.try_into().ok());
    bytes.map(u32::from_le_bytes).ok_or(Refused::Broken)
}

fn contains(octets: &[u8], sought: &[u8]) -> bool {
    octets.windows(sought.len()).any(|window| window == sought)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::time::{Duration, Instant};

    use flate2::Compression;
    use flate2::write::DeflateEncoder;

    use super::*;

    /// An archive of files, each with what its directory says of its size.
    fn zip(files: &[(&str, &[u8], Option<u32>)], flags: u16) -> Vec<u8> {
        let (mut archive, mut directory) = (Vec::new(), Vec::new());
        for (name, content, says) in files {
            let mut packer = DeflateEncoder::new(Vec::new(), Compression::default());
            packer.write_all(content).unwrap();
            let packed = packer.finish().unwrap();
            let local = archive.len() as u32;
            let mut common = Vec::new();
            common.extend([20, 0]);
            common.extend(flags.to_le_bytes());
            common.extend([8, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            common.extend((packed.len() as u32).to_le_bytes());
            common.extend(says.unwrap_or(content.len() as u32).to_le_bytes());
            common.extend((name.len() as u16).to_le_bytes());
            common.extend([0, 0]);
            archive.extend(b"PK\x03\x04");
            archive.extend(&common);
            archive.extend(name.as_bytes());
            archive.extend(&packed);
            directory.extend(b"PK\x01\x02\x14\0");
            directory.extend(&common);
            directory.extend([0; 10]);
            directory.extend(local.to_le_bytes());
            directory.extend(name.as_bytes());
        }
        let (start, count) = (archive.len() as u32, (files.len() as u16).to_le_bytes());
        archive.extend(&directory);
        archive.extend(b"PK\x05\x06\0\0\0\0");
        archive.extend(count);
        archive.extend(count);
        archive.extend((directory.len() as u32).to_le_bytes());
        archive.extend(start.to_le_bytes());
        archive.extend([0, 0]);
        archive
    }

    fn refusal(octets: &[u8]) -> String {
        let started = Instant::now();
        let why = read(1, "a.docx", octets).expect_err("it is opened").to_string();
        assert!(started.elapsed() < Duration::from_secs(20), "{why} took {:?}", started.elapsed());
        why
    }

    #[test]
    fn what_is_an_office_file_is_taken_and_nothing_else() {
        let sound = zip(&[("word/document.xml", b"<w:p/>", None), ("b", b"x", None)], 0);
        assert_eq!(read(1, "Letter.DOCX", &sound).unwrap().unwrap().extension, "docx");
        assert_eq!(read(1, "letter.rtf", b"{\\rtf1 x}").unwrap().unwrap().extension, "rtf");
        assert_eq!(read(1, "letter.zip", &sound), Ok(None));
        assert_eq!(read(1, "letter", &sound), Ok(None));
        assert!(refusal(b"MZ a program").contains("whatever its name says"));
        let inner = zip(&[("sheet.xlsx", &sound, None)], 0);
        assert!(read(1, "a.docx", &inner).unwrap().is_some(), "documents have tables in them");
    }

    /// Acceptance case 9 of the fax design.
    #[test]
    fn a_bomb_is_refused_before_anything_opens_it() {
        let blanks = vec![b' '; 60_000_000];
        let large = "times as large";
        assert!(refusal(&zip(&[("a", &blanks, None)], 0)).contains(large));
        let lied = zip(&[("a", &blanks, Some(10))], 0);
        assert!(refusal(&lied).contains(large), "what it says of itself is not believed");
        assert!(refusal(&zip(&[("a", b"x", Some(u32::MAX))], 0)).contains(large));
        let many: Vec<(&str, &[u8], Option<u32>)> = vec![("a", b"", None); 2_001];
        assert!(refusal(&zip(&many, 0)).contains("more than 2000 parts"));
        let mut nested = zip(&[("a", b"x", None)], 0);
        for _ in 0..20 {
            nested = zip(&[("a.zip", &nested, None)], 0);
        }
        assert!(refusal(&nested).contains("archives in archives"));
    }

    #[test]
    fn what_is_encrypted_or_broken_is_named_so() {
        let password = "is protected by a password";
        assert!(refusal(&zip(&[("a", b"x", None)], 1)).contains(password));
        let manifest = b"<manifest:file-entry><manifest:encryption-data/>";
        assert!(refusal(&zip(&[("META-INF/manifest.xml", manifest, None)], 0)).contains(password));
        let package = [&COMPOUND[..], &[0; 100], &ENCRYPTED_PACKAGE].concat();
        assert!(refusal(&package).contains(password));
        let sound = zip(&[("word/document.xml", b"<w:p/>", None)], 0);
        // Of the last field, the length of a comment, nobody needs to know.
        for cut in 2..sound.len() - 2 {
            assert!(refusal(&sound[..cut]).contains("no complete document"), "{cut}");
        }
        for place in 0..sound.len() {
            let mut changed = sound.clone();
            changed[place] ^= 0xff;
            // Whatever it says, it says something.
            let _outcome = read(1, "a.docx", &changed);
        }
    }
}
