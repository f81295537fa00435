//! Content transfer encodings (RFC 2045 section 6), each line ending in CRLF.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::header::LINE_MAX_OCTETS;

/// The longest encoded line (RFC 2045 section 6.7 and 6.8).
const ENCODED_LINE_MAX: usize = 76;

/// How the content of a part is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    SevenBit,
    QuotedPrintable,
    Base64,
}

impl Encoding {
    /// 7-bit where that is possible, else quoted-printable.
    pub(super) fn least_for(content: &[u8]) -> Self {
        if Self::fits_seven_bit(content) { Self::SevenBit } else { Self::QuotedPrintable }
    }

    /// Whether content can go as it is: ASCII without NUL, every line ended by CRLF and
    /// no longer than the standard allows.
    pub(super) fn fits_seven_bit(content: &[u8]) -> bool {
        let well_ended = content.is_empty() || content.ends_with(b"\r\n");
        let mut lines = content.split(|&b| b == b'\n').peekable();
        well_ended
            && std::iter::from_fn(|| lines.next().map(|line| (line, lines.peek().is_none()))).all(
                |(line, last)| {
                    let line = match line.strip_suffix(b"\r") {
                        Some(line) => line,
                        None if last => line,
                        None => return false,
                    };
                    line.len() <= LINE_MAX_OCTETS
                        && line.iter().all(|&b| b.is_ascii() && b != b'\r' && b != 0)
                },
            )
    }

    /// The field that announces it; 7-bit is the default and needs none.
    pub(super) fn field(self) -> &'static str {
        match self {
            Self::SevenBit => "",
            Self::QuotedPrintable => "Content-Transfer-Encoding: quoted-printable\r\n",
            Self::Base64 => "Content-Transfer-Encoding: base64\r\n",
        }
    }

    /// Appends `content`, encoded.
    pub(super) fn write(self, content: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::SevenBit => out.extend_from_slice(content),
            Self::QuotedPrintable => quoted_printable(content, out),
            Self::Base64 => base64(content, out),
        }
    }
}

fn quoted_printable(content: &[u8], out: &mut Vec<u8>) {
    for line in content.split_inclusive(|&b| b == b'\n') {
        let (line, ended) = match line.strip_suffix(b"\r\n") {
            Some(line) => (line, true),
            None => (line, false),
        };
        let mut column = 0;
        for (at, &byte) in line.iter().enumerate() {
            let blank_at_end = at + 1 == line.len() && (byte == b' ' || byte == b'\t');
            let plain = matches!(byte, b' '..=b'<' | b'>'..=b'~' | b'\t') && !blank_at_end;
            let width = if plain { 1 } else { 3 };
            if column + width >= ENCODED_LINE_MAX {
                out.extend_from_slice(b"=\r\n");
                column = 0;
            }
            if plain {
                out.push(byte);
            } else {
                out.extend_from_slice(format!("={byte:02X}").as_bytes());
            }
            column += width;
        }
        // A line that had no end gets a soft one, which is not part of the content.
        out.extend_from_slice(if ended { b"\r\n" } else { b"=\r\n" });
    }
}

fn base64(content: &[u8], out: &mut Vec<u8>) {
    for piece in content.chunks(ENCODED_LINE_MAX / 4 * 3) {
        out.extend_from_slice(STANDARD.encode(piece).as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(encoded: &[u8]) -> Vec<u8> {
        let text = String::from_utf8(encoded.to_vec()).unwrap().replace("=\r\n", "");
        let mut bytes = text.bytes();
        let mut out = Vec::new();
        while let Some(byte) = bytes.next() {
            if byte == b'=' {
                let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
                let digits = std::str::from_utf8(&digits).unwrap();
                out.push(u8::from_str_radix(digits, 16).unwrap());
            } else {
                out.push(byte);
            }
        }
        out
    }

    proptest! {
        #[test]
        fn quoted_printable_is_reversible_and_short(content in "([ -~é=\t]{0,90}(\r\n)?){0,4}") {
            let mut out = Vec::new();
            Encoding::QuotedPrintable.write(content.as_bytes(), &mut out);
            prop_assert!(Encoding::fits_seven_bit(&out));
            prop_assert!(out.split(|&b| b == b'\n').all(|line| line.len() <= ENCODED_LINE_MAX + 1));
            prop_assert_eq!(decode(&out), content.as_bytes());
        }
    }

    #[test]
    fn seven_bit_is_chosen_only_for_lines_that_may_be_sent() {
        assert!(Encoding::fits_seven_bit(b""));
        assert!(Encoding::fits_seven_bit(b"a\r\n\r\nb\r\n"));
        for content in [&b"a"[..], b"a\nb\r\n", b"a\rb\r\n", b"\0\r\n", b"\xC3\r\n"] {
            assert!(!Encoding::fits_seven_bit(content));
        }
        assert!(!Encoding::fits_seven_bit(format!("{}\r\n", "a".repeat(999)).as_bytes()));
    }
}
