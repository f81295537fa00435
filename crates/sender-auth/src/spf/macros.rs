//! Texts with macros (RFC 7208 section 7).

use std::fmt::Write as _;
use std::net::IpAddr;

use super::Question;
use crate::name::NAME_MAX_OCTETS;

/// The longest expansion, in octets; what is longer is cut off.
pub const EXPANSION_MAX_OCTETS: usize = 4 * 1024;
/// Parts that a digit can ask for at most; more is all of them.
const PARTS_MAX: usize = 128;

/// A text with macros.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Macro(Macro),
}

/// `%{d2r-}`
#[derive(Debug, Clone, PartialEq, Eq)]
struct Macro {
    letter: char,
    escaped: bool,
    parts: Option<usize>,
    reversed: bool,
    delimiters: String,
}

/// Where a text stands, and so what may be in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A name of a domain (`domain-spec`).
    Domain,
    /// The value of a modifier that nobody knows.
    Modifier,
    /// An explanation, with blanks and three more letters.
    Explanation,
}

impl Place {
    fn letters(self) -> &'static str {
        match self {
            Self::Domain => "slodiphv",
            Self::Modifier | Self::Explanation => "slodiphvcrt",
        }
    }
}

impl Text {
    /// Reads a text; the error says what is wrong with it.
    pub(super) fn parse(text: &str, place: Place) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        let mut ends_in_macro = false;
        while let Some(next) = rest.chars().next() {
            rest = &rest[next.len_utf8()..];
            ends_in_macro = next == '%';
            match next {
                '%' => match rest.chars().next() {
                    Some('%') => literal.push('%'),
                    Some('_') => literal.push(' '),
                    Some('-') => literal.push_str("%20"),
                    Some('{') => {
                        let (inner, after) = rest[1..]
                            .split_once('}')
                            .ok_or_else(|| format!("a macro in \"{text}\" does not end"))?;
                        if !literal.is_empty() {
                            pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                        }
                        pieces.push(Piece::Macro(Macro::parse(inner, place)?));
                        rest = after;
                        continue;
                    }
                    Some(_) | None => return Err(format!("\"%\" stands alone in \"{text}\"")),
                },
                ' ' if place == Place::Explanation => literal.push(' '),
                '!'..='~' => literal.push(next),
                _ => return Err("a character that is not printable ASCII".to_owned()),
            }
            if next == '%' {
                rest = &rest[1..];
            }
        }
        if place == Place::Domain && !ends_in_macro && !ends_in_top_label(&literal) {
            return Err(format!("\"{text}\" is not a name of a domain"));
        }
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        Ok(Self { pieces })
    }

    /// Whether the expansion needs the client's name.
    pub(super) fn asks_for_client_name(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Macro(m) if m.letter == 'p'))
    }

    /// The text with its macros replaced, at most [`EXPANSION_MAX_OCTETS`] of it.
    pub(super) fn expand(&self, values: &Values<'_>) -> String {
        let mut out = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Literal(literal) => out.push_str(literal),
                Piece::Macro(found) => out.push_str(&found.expand(values)),
            }
            if out.len() > EXPANSION_MAX_OCTETS {
                let end = (0..=EXPANSION_MAX_OCTETS).rev().find(|at| out.is_char_boundary(*at));
                out.truncate(end.unwrap_or(0));
                break;
            }
        }
        out
    }

    /// The same as a name of a domain: labels are taken off its left until it is short
    /// enough (RFC 7208 section 7.3).
    pub(super) fn domain(&self, values: &Values<'_>) -> String {
        let name = self.expand(values);
        let mut name = name.strip_suffix('.').unwrap_or(&name);
        while name.len() > NAME_MAX_OCTETS {
            match name.split_once('.') {
                Some((_, rest)) => name = rest,
                None => break,
            }
        }
        name.to_owned()
    }
}

/// What macros stand for.
pub(super) struct Values<'a> {
    pub question: &'a Question<'a>,
    /// The domain whose record it is.
    pub domain: &'a str,
    /// The client's validated name, if it was asked for.
    pub client_name: Option<&'a str>,
}

impl Macro {
    fn parse(inner: &str, place: Place) -> Result<Self, String> {
        let wrong = || format!("the macro %{{{inner}}} does not exist");
        let mut rest = inner.chars();
        let first = rest.next().ok_or_else(wrong)?;
        let letter = first.to_ascii_lowercase();
        if !place.letters().contains(letter) {
            return Err(wrong());
        }
        let rest = rest.as_str();
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (digits, rest) = rest.split_at(digits);
        let parts = match digits {
            "" => None,
            digits if digits.bytes().all(|digit| digit == b'0') => return Err(wrong()),
            digits => Some(digits.parse().unwrap_or(PARTS_MAX).min(PARTS_MAX)),
        };
        let (reversed, delimiters) = match rest.strip_prefix(['r', 'R']) {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        if !delimiters.chars().all(|c| ".-+,/_=".contains(c)) {
            return Err(wrong());
        }
        let escaped = first.is_ascii_uppercase();
        Ok(Self { letter, escaped, parts, reversed, delimiters: delimiters.to_owned() })
    }

    fn expand(&self, values: &Values<'_>) -> String {
        let question = values.question;
        let (local, domain) = question.sender();
        let client = question.client.to_canonical();
        let value = match self.letter {
            's' => format!("{local}@{domain}"),
            'l' => local.to_owned(),
            'o' => domain.to_owned(),
            'd' => values.domain.to_owned(),
            'i' => dotted(client),
            'p' => values.client_name.unwrap_or("unknown").to_owned(),
            'v' if client.is_ipv4() => "in-addr".to_owned(),
            'v' => "ip6".to_owned(),
            'h' => question.helo.to_owned(),
            'c' => client.to_string(),
            'r' => question.receiver.to_owned(),
            // The parser lets no other letter through.
            _ => question.now_secs.to_string(),
        };
        let value = if self.parts.is_some() || self.reversed || !self.delimiters.is_empty() {
            let delimiters = if self.delimiters.is_empty() { "." } else { &self.delimiters };
            let mut parts: Vec<&str> = value.split(|c| delimiters.contains(c)).collect();
            if self.reversed {
                parts.reverse();
            }
            let keep = self.parts.unwrap_or(parts.len()).min(parts.len());
            parts[parts.len() - keep..].join(".")
        } else {
            value
        };
        if self.escaped { escape(&value) } else { value }
    }
}

/// An address with a dot between its parts: octets, or the 32 half octets of IPv6.
pub(super) fn dotted(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => {
            let digits = format!("{:032X}", v6.to_bits());
            let digits: Vec<&str> = digits.split("").filter(|digit| !digit.is_empty()).collect();
            digits.join(".")
        }
    }
}

/// Everything but what RFC 3986 section 2.3 leaves alone becomes `%XX`.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte.into());
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Whether a text ends in a dot, a label that is not a number, and perhaps one more dot.
fn ends_in_top_label(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let Some((_, label)) = text.rsplit_once('.') else { return false };
    let bytes = label.as_bytes();
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    ends(bytes.first())
        && ends(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-')
        && !bytes.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::super::Identity;
    use super::*;

    /// The example of RFC 7208 section 7.4.
    fn expand(text: &str, client: &str) -> String {
        let question = Question {
            client: client.parse().unwrap(),
            helo: "mx.example.org",
            sender: Some(("strong-bad", "email.example.com")),
            identity: Identity::MailFrom,
            receiver: "mail.test",
            now_secs: 7,
        };
        let values = Values { question: &question, domain: "email.example.com", client_name: None };
        Text::parse(text, Place::Explanation).unwrap().expand(&values)
    }

    #[test]
    fn macros_stand_for_what_the_standard_shows() {
        for (text, expanded) in [
            ("%{s}", "strong-bad@email.example.com"),
            ("%{o}", "email.example.com"),
            ("%{d4}", "email.example.com"),
            ("%{d2}", "example.com"),
            ("%{d1}", "com"),
            ("%{dr}", "com.example.email"),
            ("%{d2r}", "example.email"),
            ("%{l-}", "strong.bad"),
            ("%{lr-}", "bad.strong"),
            ("%{l1r-}", "strong"),
            ("%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"),
            ("%{S}", "strong-bad%40email.example.com"),
            ("%{p} %{h} %{c} %{r} %{t}", "unknown mx.example.org 192.0.2.3 mail.test 7"),
            ("%%%_%-", "% %20"),
        ] {
            assert_eq!(expand(text, "192.0.2.3"), expanded, "{text}");
        }
        assert_eq!(
            expand("%{ir}.%{v}", "2001:db8::cb01"),
            "1.0.B.C.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.B.D.0.1.0.0.2.ip6"
        );
        assert_eq!(expand("%{i}%{v}", "::ffff:192.0.2.3"), "192.0.2.3in-addr");
    }

    #[test]
    fn what_is_no_macro_or_no_domain_is_an_error() {
        for bad in [
            "%{a}.x.org",
            "%{d0}",
            "%(d)",
            "%",
            "%{d",
            "%{dx}",
            "%{c}",
            "a b.c",
            "x",
            "x.",
            "a.1",
            "a.b-",
            "é.org",
        ] {
            assert!(Text::parse(bad, Place::Domain).is_err(), "{bad}");
        }
        for good in ["%{d}", "a/b:c.org.", "a.b-2", "%{d2}.%{i}.com", "%%", "a..b"] {
            assert!(Text::parse(good, Place::Domain).is_ok(), "{good}");
        }
    }
}
