//! What a report was packed in, unpacked only so far.

use std::io::Read;

use flate2::read::{DeflateDecoder, GzDecoder};

/// The most that a report may be unpacked to.
pub const UNPACKED_MAX_OCTETS: u64 = 32 * 1024 * 1024;

/// Why an attachment was not unpacked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnpackError {
    /// More than [`UNPACKED_MAX_OCTETS`].
    #[error("it unpacks to more than {UNPACKED_MAX_OCTETS} octets")]
    TooLarge,
    /// Neither gzip, zip, nor plain XML.
    #[error("it is neither gzip, zip, nor XML")]
    Unknown,
    /// It is damaged.
    #[error("it is damaged: {0}")]
    Damaged(String),
}

/// The XML in an attachment: gzip, the first file of a zip archive, or as it is.
///
/// # Errors
///
/// [`UnpackError`].
pub fn unpack(packed: &[u8]) -> Result<Vec<u8>, UnpackError> {
    if packed.starts_with(&[0x1f, 0x8b]) {
        return bounded(GzDecoder::new(packed));
    }
    if packed.starts_with(b"PK\x03\x04") {
        return first_of_zip(packed);
    }
    let text = packed.strip_prefix(b"\xef\xbb\xbf").unwrap_or(packed).trim_ascii_start();
    if text.starts_with(b"<") { bounded(text) } else { Err(UnpackError::Unknown) }
}

fn bounded(reader: impl Read) -> Result<Vec<u8>, UnpackError> {
    let mut unpacked = Vec::new();
    reader
        .take(UNPACKED_MAX_OCTETS + 1)
        .read_to_end(&mut unpacked)
        .map_err(|error| UnpackError::Damaged(error.to_string()))?;
    if unpacked.len() as u64 > UNPACKED_MAX_OCTETS {
        return Err(UnpackError::TooLarge);
    }
    Ok(unpacked)
}

/// The first file, by its own header: what a central directory says elsewhere is not asked
/// (APPNOTE section 4.3.7).
fn first_of_zip(archive: &[u8]) -> Result<Vec<u8>, UnpackError> {
    let damaged = || UnpackError::Damaged("the archive ends too early".to_owned());
    let number = |at: usize, octets: usize| -> Result<usize, UnpackError> {
        let bytes = archive.get(at..at + octets).ok_or_else(damaged)?;
        Ok(bytes.iter().rev().fold(0, |number, octet| number << 8 | usize::from(*octet)))
    };
    let (flags, method, size) = (number(6, 2)?, number(8, 2)?, number(18, 4)?);
    let start = 30 + number(26, 2)? + number(28, 2)?;
    let rest = archive.get(start..).ok_or_else(damaged)?;
    if flags & 1 != 0 {
        return Err(UnpackError::Damaged("the archive is encrypted".to_owned()));
    }
    match method {
        0 => bounded(rest.get(..size).ok_or_else(damaged)?),
        8 => bounded(DeflateDecoder::new(rest)),
        _ => Err(UnpackError::Damaged(format!("method {method} of the archive is not known"))),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder};

    use super::*;

    fn zip(content: &[u8], method: u16) -> Vec<u8> {
        let packed = if method == 8 {
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(content).unwrap();
            encoder.finish().unwrap()
        } else {
            content.to_vec()
        };
        let mut archive = b"PK\x03\x04\x14\0\0\0".to_vec();
        archive.extend(method.to_le_bytes());
        archive.extend([0; 8]);
        archive.extend((packed.len() as u32).to_le_bytes());
        archive.extend((content.len() as u32).to_le_bytes());
        archive.extend([5, 0, 0, 0]);
        archive.extend(b"r.xml");
        archive.extend(packed);
        archive
    }

    #[test]
    fn gzip_zip_and_plain_xml_are_unpacked() {
        let xml = b"<feedback/>";
        let mut gz = GzEncoder::new(Vec::new(), Compression::default());
        gz.write_all(xml).unwrap();
        assert_eq!(unpack(&gz.finish().unwrap()).unwrap(), xml);
        assert_eq!(unpack(&zip(xml, 8)).unwrap(), xml);
        assert_eq!(unpack(&zip(xml, 0)).unwrap(), xml);
        assert_eq!(unpack(b"\xef\xbb\xbf <feedback/>").unwrap(), xml);
    }

    #[test]
    fn a_bomb_is_left_packed_and_a_stump_is_refused() {
        let mut gz = GzEncoder::new(Vec::new(), Compression::best());
        let zeros = vec![b'<'; 1024 * 1024];
        for _ in 0..=UNPACKED_MAX_OCTETS / (1024 * 1024) {
            gz.write_all(&zeros).unwrap();
        }
        let bomb = gz.finish().unwrap();
        assert!(bomb.len() < 100_000);
        assert_eq!(unpack(&bomb), Err(UnpackError::TooLarge));
        assert!(unpack(&bomb[..20]).is_err());
        assert!(unpack(&zip(b"<feedback/>", 8)[..25]).is_err());
        assert!(unpack(&zip(b"<feedback/>", 99)).is_err());
        assert_eq!(unpack(b"hello"), Err(UnpackError::Unknown));
    }
}
