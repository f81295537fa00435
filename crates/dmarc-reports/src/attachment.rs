//! The parts of a message in which a report may be.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use mail::header::Header;

/// Parts that are looked at.
const PARTS_MAX: usize = 50;
/// Parts within parts.
const DEPTH_MAX: usize = 5;

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The decoded parts of a message that are no text for people, in order. Pictures and the
/// like are among them; whoever unpacks them sees what they are.
pub fn attachments(message: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    walk(message, 0, &mut found);
    found
}

fn walk(part: &[u8], depth: usize, found: &mut Vec<Vec<u8>>) {
    if depth > DEPTH_MAX || found.len() >= PARTS_MAX {
        return;
    }
    let Ok(header) = Header::scan(part) else { return };
    let body = part.get(header.body_start()..).unwrap_or_default();
    let kind = header.first("Content-Type").map(|field| field.value().into_owned());
    let kind = kind.unwrap_or_else(|| "text/plain".to_owned());
    let media = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if media.starts_with("multipart/") {
        if let Some(boundary) = boundary(&kind) {
            let inner = pieces(body, &boundary).take(PARTS_MAX);
            inner.for_each(|piece| walk(piece, depth + 1, found));
        }
        return;
    }
    if matches!(media.as_str(), "text/plain" | "text/html") {
        return;
    }
    let encoding =
        header.first("Content-Transfer-Encoding").map(|field| field.value().into_owned());
    let encoding = encoding.unwrap_or_default().trim().to_ascii_lowercase();
    if encoding == "base64" {
        let text: Vec<u8> = body.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
        found.extend(LENIENT.decode(text));
    } else {
        found.push(body.to_vec());
    }
}

/// The parameter of a multipart type (RFC 2046 section 5.1.1).
fn boundary(kind: &str) -> Option<String> {
    let lower = kind.to_ascii_lowercase();
    let at = lower.find("boundary")? + "boundary".len();
    let value = kind.get(at..)?.trim_start().strip_prefix('=')?.trim_start();
    let value = match value.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next()?,
        None => value.split([';', ' ', '\t']).next()?,
    };
    (!value.is_empty()).then(|| value.to_owned())
}

/// The parts between lines that are `--boundary`.
fn pieces<'b>(body: &'b [u8], boundary: &str) -> impl Iterator<Item = &'b [u8]> {
    let delimiter = format!("--{boundary}").into_bytes();
    let mut starts = Vec::new();
    let mut at = 0;
    for line in body.split_inclusive(|&octet| octet == b'\n') {
        if line.starts_with(&delimiter) {
            starts.push((at, at + line.len()));
        }
        at += line.len();
    }
    let ends: Vec<usize> =
        starts.iter().skip(1).map(|(start, _)| *start).chain([body.len()]).collect();
    starts
        .into_iter()
        .zip(ends)
        .filter_map(move |((_, from), to)| body.get(from..to))
        .filter(|piece| !piece.trim_ascii().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attachments_are_found_in_mail_of_one_part_and_of_many() {
        let one = b"Content-Type: application/gzip\r\nContent-Transfer-Encoding: base64\r\n\r\naGVs\r\nbG8=\r\n";
        assert_eq!(attachments(one), [b"hello".to_vec()]);
        let many = b"Content-Type: multipart/mixed;\r\n boundary=\"=_x\"\r\n\r\nfor old programs\r\n--=_x\r\nContent-Type: text/plain\r\n\r\nHi\r\n--=_x\r\nContent-Type: application/zip; name=r.zip\r\nContent-Transfer-Encoding: BASE64\r\n\r\naGVsbG8\r\n--=_x--\r\n";
        assert_eq!(attachments(many), [b"hello".to_vec()]);
    }

    #[test]
    fn parts_within_parts_come_to_an_end() {
        let mut nested = "Content-Type: application/xml\r\n\r\n<feedback/>".to_owned();
        for depth in 0..100 {
            nested = format!(
                "Content-Type: multipart/mixed; boundary=b{depth}\r\n\r\n--b{depth}\r\n{nested}\r\n--b{depth}--\r\n"
            );
        }
        assert!(attachments(nested.as_bytes()).is_empty());
        let part = "--b\r\nContent-Type: image/png\r\n\r\nx\r\n";
        let many =
            format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{}", part.repeat(10_000));
        assert_eq!(attachments(many.as_bytes()).len(), PARTS_MAX);
    }
}
