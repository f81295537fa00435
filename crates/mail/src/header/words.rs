//! Encoded words: text beyond ASCII in a header (RFC 2047).

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// The longest encoded word written, in characters (RFC 2047 section 2).
const WORD_MAX_CHARS: usize = 75;
/// `=?utf-8?B?` and `?=`.
const FRAME_CHARS: usize = 12;
/// Octets that fit one word: base 64 gives four characters for three.
const WORD_MAX_OCTETS: usize = (WORD_MAX_CHARS - FRAME_CHARS) / 4 * 3;

/// Reads base 64 as senders write it: with or without padding.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Decodes the encoded words of an unfolded value. What is not a well-formed word
/// in UTF-8, US-ASCII, ISO-8859-1 or Windows-1252 stays as it is.
pub fn decode(text: &str) -> String {
    if !text.contains("=?") {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut open = Run::default();
    let mut rest = text;
    while let Some(start) = rest.find("=?") {
        let (before, from) = rest.split_at(start);
        let Some((word, after)) = Word::parse(from) else {
            open.flush(&mut out);
            out.push_str(before);
            out.push_str("=?");
            rest = &from[2..];
            continue;
        };
        // White space between two encoded words is not part of the text (section 6.2).
        if open.is_empty() || !before.chars().all(char::is_whitespace) {
            open.flush(&mut out);
            out.push_str(before);
        }
        open.take(word, &mut out);
        rest = after;
    }
    open.flush(&mut out);
    out.push_str(rest);
    out
}

/// Consecutive words of one character set: senders split characters between words.
#[derive(Default)]
struct Run {
    charset: Option<Charset>,
    octets: Vec<u8>,
}

impl Run {
    fn is_empty(&self) -> bool {
        self.charset.is_none()
    }

    fn take(&mut self, word: Word, out: &mut String) {
        if self.charset != Some(word.charset) {
            self.flush(out);
            self.charset = Some(word.charset);
        }
        self.octets.extend(word.octets);
    }

    fn flush(&mut self, out: &mut String) {
        match self.charset.take() {
            None => {}
            Some(Charset::Utf8) => out.push_str(&String::from_utf8_lossy(&self.octets)),
            Some(Charset::Latin1) => out.extend(self.octets.iter().map(|&octet| latin1(octet))),
        }
        self.octets.clear();
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Charset {
    Utf8,
    Latin1,
}

struct Word {
    charset: Charset,
    octets: Vec<u8>,
}

impl Word {
    /// Reads `=?charset?encoding?text?=` at the start of `text`; gives what follows it.
    fn parse(text: &str) -> Option<(Self, &str)> {
        let mut parts = text.strip_prefix("=?")?.splitn(3, '?');
        let (charset, encoding, rest) = (parts.next()?, parts.next()?, parts.next()?);
        // A language tag may follow the name (RFC 2231 section 5).
        let charset = match charset.split('*').next()?.to_ascii_lowercase().as_str() {
            "utf-8" | "us-ascii" | "utf8" => Charset::Utf8,
            "iso-8859-1" | "windows-1252" | "iso-8859-15" => Charset::Latin1,
            _ => return None,
        };
        let (encoded, after) = rest.split_once("?=")?;
        if encoded.contains(['?', ' ']) && !encoding.eq_ignore_ascii_case("q") {
            return None;
        }
        let octets = match encoding {
            "B" | "b" => LENIENT.decode(encoded).ok()?,
            "Q" | "q" => decode_q(encoded)?,
            _ => return None,
        };
        Some((Self { charset, octets }, after))
    }
}

fn decode_q(text: &str) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        octets.push(match byte {
            b'_' => b' ',
            b'=' => {
                let digits = [bytes.next()?, bytes.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            other => other,
        });
    }
    Some(octets)
}

/// ISO-8859-1, with the printable characters Windows-1252 has in its gap.
fn latin1(octet: u8) -> char {
    const GAP: [char; 32] = [
        '€', '\u{FFFD}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{FFFD}', 'Ž',
        '\u{FFFD}', '\u{FFFD}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ',
        '\u{FFFD}', 'ž', 'Ÿ',
    ];
    match octet {
        0x80..=0x9F => GAP[usize::from(octet - 0x80)],
        _ => char::from(octet),
    }
}

/// Writes `text` as encoded words in UTF-8, separated by single spaces, each of at
/// most 75 characters and whole characters.
pub fn encode(text: &str) -> String {
    let mut words = String::new();
    let mut piece = String::new();
    let mut flush = |piece: &mut String| {
        if !words.is_empty() {
            words.push(' ');
        }
        words.push_str("=?utf-8?B?");
        words.push_str(&base64::engine::general_purpose::STANDARD.encode(&piece));
        words.push_str("?=");
        piece.clear();
    };
    for c in text.chars() {
        if piece.len() + c.len_utf8() > WORD_MAX_OCTETS {
            flush(&mut piece);
        }
        piece.push(c);
    }
    if !piece.is_empty() {
        flush(&mut piece);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_are_decoded_as_mail_programs_do() {
        for (given, shown) in [
            ("plain", "plain"),
            ("=?utf-8?Q?caf=C3=A9?=", "café"),
            ("=?UTF-8?B?Y2Fmw6k=?=", "café"),
            ("=?utf-8?b?Y2Fmw6k?=", "café"),
            ("=?iso-8859-1?q?caf=E9?= au lait", "café au lait"),
            ("=?utf-8?q?a?= =?utf-8?q?b?=", "ab"),
            ("=?utf-8?q?a?= x =?utf-8?q?b?=", "a x b"),
            ("=?utf-8?q?caf=C3?= =?utf-8?q?=A9?=", "café"),
            ("=?utf-8*en?q?a_b?=", "a b"),
            ("=?koi8-r?q?x?=", "=?koi8-r?q?x?="),
            ("=?utf-8?q?=ZZ?=", "=?utf-8?q?=ZZ?="),
            ("=?=?=?", "=?=?=?"),
            ("1 =? 2", "1 =? 2"),
        ] {
            assert_eq!(decode(given), shown, "{given}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_the_same_text(text in "\\PC{0,80}") {
            let encoded = encode(&text);
            prop_assert!(encoded.is_ascii());
            prop_assert!(encoded.split(' ').all(|word| word.len() <= WORD_MAX_CHARS));
            prop_assert_eq!(decode(&encoded), text);
        }

        #[test]
        fn any_text_is_decoded_without_panic(text in "[=?a-zA-Z0-9_ é*-]{0,60}") {
            let _ = decode(&text);
        }
    }
}
