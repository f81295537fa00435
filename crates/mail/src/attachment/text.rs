//! The text of a message, decoded as far as it is whole.

/// A part that people read, without its transfer encoding. Its characters are as they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TextPart {
    /// It is HTML.
    pub html: bool,
    /// Its octets.
    pub octets: Vec<u8>,
}

/// How a part travels (RFC 2045 section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// As it is.
    None,
    /// Section 6.7.
    QuotedPrintable,
    /// Section 6.8.
    Base64,
}

/// The text of the current part as it came.
#[derive(Debug, Default)]
pub(super) struct Collected {
    octets: Vec<u8>,
    /// The rest of the current line, where it is too long to be kept as a line.
    beyond: Vec<u8>,
    room: usize,
}

impl Collected {
    pub(super) fn with_room(octets: usize) -> Self {
        Self { room: octets, ..Self::default() }
    }

    pub(super) fn has_room(&self) -> bool {
        self.room > 0
    }

    /// Takes a line, as far as it was kept, and its rest.
    pub(super) fn line(&mut self, line: &[u8]) {
        let taken = line.len().min(self.room);
        self.octets.extend_from_slice(&line[..taken]);
        self.room -= taken;
        self.octets.append(&mut self.beyond);
    }

    pub(super) fn line_beyond(&mut self, octets: &[u8]) {
        let taken = octets.len().min(self.room);
        self.beyond.extend_from_slice(&octets[..taken]);
        self.room -= taken;
    }

    pub(super) fn end_line(&mut self) {
        self.beyond.clear();
    }

    /// The text of the part that ends; `None` if it is empty.
    pub(super) fn end_part(&mut self, html: bool, encoding: Encoding) -> Option<TextPart> {
        let octets = std::mem::take(&mut self.octets);
        let octets = match encoding {
            Encoding::None => octets,
            Encoding::QuotedPrintable => quoted_printable(&octets),
            Encoding::Base64 => base64(&octets),
        };
        (!octets.is_empty()).then_some(TextPart { html, octets })
    }
}

/// Decodes what is quoted-printable; what is not stays as it is.
fn quoted_printable(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        if byte != b'=' {
            out.push(byte);
            rest = after;
            continue;
        }
        // A soft line end, perhaps after blanks that were put there on the way.
        let blanks = after.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
        let line = &after[blanks..];
        if let Some(next) = line.strip_prefix(b"\r\n").or_else(|| line.strip_prefix(b"\n")) {
            rest = next;
            continue;
        }
        let value = |b: &u8| char::from(*b).to_digit(16);
        match (after.first().and_then(value), after.get(1).and_then(value)) {
            (Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                rest = &after[2..];
            }
            (_, _) => {
                out.push(byte);
                rest = after;
            }
        }
    }
    out
}

/// Decodes base 64, leaving out what is none of it (RFC 2045 section 6.8). Padding ends a
/// group and not the text, as readers do that join encoded pieces.
fn base64(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0_u32);
    for byte in text {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            b'=' => {
                (bits, count) = (0, 0);
                continue;
            }
            _ => continue,
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::Scanner;
    use super::*;

    fn texts(message: &str, room: usize) -> Vec<(bool, String)> {
        let mut scanner = Scanner::with_text(room);
        for piece in message.replace('\n', "\r\n").as_bytes().chunks(7) {
            scanner.push(piece);
        }
        let shown =
            |text: TextPart| (text.html, String::from_utf8_lossy(&text.octets).into_owned());
        scanner.finish().texts.into_iter().map(shown).collect()
    }

    const ENCODED: &str = "\
Content-Type: multipart/mixed; boundary=b

--b
Content-Transfer-Encoding: quoted-printable

see http://ev=
il.com/?a=3Db
--b
Content-Type: text/html
Content-Transfer-Encoding: base64

PGEgaHJlZj0i
aHR0cDovL2V2aWwuY29tLyI+
--b
Content-Type: application/octet-stream; name=Invoice.HTM

<a href=x>
--b
Content-Type: image/png

not text
--b--
";

    #[test]
    fn text_is_decoded_and_the_rest_left_out() {
        let found = texts(ENCODED, 10_000);
        assert_eq!(found.len(), 3, "{found:?}");
        assert_eq!(found[0], (false, "see http://evil.com/?a=b\r\n".to_owned()));
        assert_eq!(found[1], (true, "<a href=\"http://evil.com/\">".to_owned()));
        assert_eq!(found[2], (true, "<a href=x>\r\n".to_owned()));
        assert_eq!(texts(ENCODED, 0), []);
    }

    #[test]
    fn a_line_without_end_is_taken_whole_and_within_the_room() {
        let long = "x".repeat(10_000);
        let found = texts(&format!("Subject: s\n\n{long} http://evil.com/\n"), 100_000);
        assert!(found[0].1.ends_with(" http://evil.com/\r\n"), "{}", found[0].1.len());
        let found = texts(&format!("Subject: s\n\n{long}{long}\n{long}"), 5_000);
        assert_eq!(found.iter().map(|(_, text)| text.len()).sum::<usize>(), 5_000);
    }

    #[test]
    fn broken_encodings_give_what_they_hold() {
        assert_eq!(quoted_printable(b"a=ZZ=4"), b"a=ZZ=4");
        assert_eq!(quoted_printable(b"a= \r\nb"), b"ab");
        assert_eq!(base64(b"aGk=aGk="), b"hihi");
        assert_eq!(base64(b"a*G\x00k"), b"hi");
    }
}
