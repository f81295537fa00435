//! Fields with a value and parameters (RFC 2045 section 5.1, RFC 2231).

use std::iter::Peekable;
use std::str::CharIndices;

use crate::header::decode_words;

/// The most parameters that are looked at.
const PARAMETERS_MAX: usize = 64;
/// The most pieces a continued parameter may have (RFC 2231 section 3).
const PIECES_MAX: usize = 64;

/// A field such as `Content-Type`: its value in lower case, and its parameters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContentField {
    /// The value, in lower case, without white space and comments.
    pub value: String,
    parameters: Vec<(String, String)>,
}

impl ContentField {
    /// Reads an unfolded value. What cannot be read is left out.
    pub fn parse(text: &str) -> Self {
        let mut pieces = Pieces { text, chars: text.char_indices().peekable() };
        let value = pieces.up_to_semicolon().to_lowercase();
        let mut parameters = Vec::new();
        while parameters.len() < PARAMETERS_MAX && pieces.chars.peek().is_some() {
            let parameter = pieces.up_to_semicolon();
            if let Some((name, value)) = parameter.split_once('=') {
                parameters.push((name.trim().to_lowercase(), value.trim().to_owned()));
            }
        }
        Self { value, parameters }
    }

    /// A parameter, with its continuations joined and its characters decoded.
    pub fn parameter(&self, name: &str) -> Option<String> {
        if let Some(encoded) = self.raw(&format!("{name}*")) {
            return Some(decode_extended(encoded));
        }
        self.continued(name).or_else(|| self.raw(name).map(decode_words))
    }

    fn raw(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// `name*0`, `name*1*` and so on.
    fn continued(&self, name: &str) -> Option<String> {
        let mut whole = String::new();
        let mut extended = false;
        for n in 0..PIECES_MAX {
            if let Some(piece) = self.raw(&format!("{name}*{n}*")) {
                extended = true;
                whole.push_str(piece);
            } else if let Some(piece) = self.raw(&format!("{name}*{n}")) {
                whole.push_str(piece);
            } else {
                break;
            }
        }
        match (whole.is_empty(), extended) {
            (true, _) => None,
            (false, true) => Some(decode_extended(&whole)),
            (false, false) => Some(whole),
        }
    }
}

/// Decodes `charset'language'percent-encoded` (RFC 2231 section 4).
fn decode_extended(text: &str) -> String {
    let mut parts = text.splitn(3, '\'');
    let (charset, encoded) = match (parts.next(), parts.next(), parts.next()) {
        (Some(charset), Some(_), Some(encoded)) => (charset, encoded),
        (_, _, _) => ("utf-8", text),
    };
    let mut octets = Vec::with_capacity(encoded.len());
    let mut bytes = encoded.as_bytes();
    while let Some((&byte, rest)) = bytes.split_first() {
        let hex = rest.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let value = hex.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (byte, value) {
            (b'%', Some(value)) => {
                octets.push(value);
                bytes = &rest[2..];
            }
            (byte, _) => {
                octets.push(byte);
                bytes = rest;
            }
        }
    }
    if charset.eq_ignore_ascii_case("iso-8859-1") {
        octets.into_iter().map(char::from).collect()
    } else {
        String::from_utf8_lossy(&octets).into_owned()
    }
}

struct Pieces<'a> {
    text: &'a str,
    chars: Peekable<CharIndices<'a>>,
}

impl Pieces<'_> {
    /// The text up to the next semicolon that is not quoted, with quotes and comments
    /// taken off and white space outside quotes left out.
    fn up_to_semicolon(&mut self) -> String {
        let mut out = String::new();
        while let Some((at, c)) = self.chars.next() {
            match c {
                ';' => break,
                '"' => self.quoted(&mut out),
                '(' if self.closes(at) => self.comment(),
                c if c.is_whitespace() => {}
                c => out.push(c),
            }
        }
        out
    }

    fn quoted(&mut self, out: &mut String) {
        while let Some((_, c)) = self.chars.next() {
            match c {
                '"' => break,
                '\\' => out.extend(self.chars.next().map(|(_, escaped)| escaped)),
                c => out.push(c),
            }
        }
    }

    fn closes(&self, at: usize) -> bool {
        self.text.get(at..).is_some_and(|rest| rest.contains(')'))
    }

    fn comment(&mut self) {
        let mut depth = 1_u32;
        while depth > 0 {
            match self.chars.next() {
                None => return,
                Some((_, '(')) => depth += 1,
                Some((_, ')')) => depth -= 1,
                Some((_, '\\')) => {
                    self.chars.next();
                }
                Some(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parameters_are_read_as_senders_write_them() {
        for (given, value, name, parameter) in [
            ("text/Plain; charset=UTF-8", "text/plain", "charset", "UTF-8"),
            (
                "multipart/mixed; boundary=\"a;b (c) \\\"d\"",
                "multipart/mixed",
                "boundary",
                "a;b (c) \"d",
            ),
            ("text/plain (a; comment) ; Name = x.txt", "text/plain", "name", "x.txt"),
            (
                "attachment; filename*=UTF-8''caf%C3%A9.pdf; filename=cafe.pdf",
                "attachment",
                "filename",
                "café.pdf",
            ),
            (
                "attachment; filename*0*=iso-8859-1''caf%E9; filename*1=\".pdf\"",
                "attachment",
                "filename",
                "café.pdf",
            ),
            (
                "attachment; filename=\"=?utf-8?q?caf=C3=A9.pdf?=\"",
                "attachment",
                "filename",
                "café.pdf",
            ),
            ("attachment; filename*0=in; filename*1=voice", "attachment", "filename", "invoice"),
        ] {
            let field = ContentField::parse(given);
            assert_eq!(field.value, value, "{given}");
            assert_eq!(field.parameter(name).as_deref(), Some(parameter), "{given}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "(\\PC|[;=\"\\\\(*'%]){0,80}") {
            let field = ContentField::parse(&text);
            let _ = (field.parameter("filename"), field.parameter(""));
        }
    }
}
