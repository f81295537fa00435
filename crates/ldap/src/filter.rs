//! Search filters (RFC 4515), with places for what is looked for.

use crate::ber::{self, tag};

/// Octets of a filter's text.
pub const FILTER_MAX_OCTETS: usize = 4_096;
/// How deep filters nest.
pub const DEPTH_MAX: usize = 16;

/// A filter such as `(|(mail=%u)(proxyAddresses=smtp:%u))`: `%u` stands for the whole address,
/// `%l` for its local part, `%d` for its domain, `%%` for a percent sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter(Node);

/// What is put in.
#[derive(Debug, Clone, Copy)]
pub struct Values<'a> {
    /// For `%u`.
    pub address: &'a str,
    /// For `%l`.
    pub local: &'a str,
    /// For `%d`.
    pub domain: &'a str,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Present(String),
    Equal(String, Text),
    Begins(String, Text, Vec<Text>, Text),
}

/// A value with places in it.
type Text = Vec<Piece>;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Octets(Vec<u8>),
    Address,
    Local,
    Domain,
}

/// Why a text is no filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// It does not follow RFC 4515, at this octet.
    #[error("it is not well formed at character {0}")]
    Malformed(usize),
    /// It uses what is not offered: `>=`, `<=`, `~=` or extensible matches.
    #[error("only =, * and =*, with &, | and !, can be used")]
    Unsupported,
    /// It is too long or nests too deep.
    #[error("it is too long or nests too deep")]
    TooLarge,
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    ///
    /// [`FilterError`].
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        if text.len() > FILTER_MAX_OCTETS {
            return Err(FilterError::TooLarge);
        }
        let mut parser = Parser { text, at: 0 };
        let node = parser.node(0)?;
        if parser.at != text.len() {
            return Err(FilterError::Malformed(parser.at));
        }
        Ok(Self(node))
    }

    /// The filter in BER, with `values` at their places. They are written as values, with their
    /// length before them: no octet of theirs is read as part of the filter.
    pub(crate) fn encode(&self, values: Values<'_>) -> Vec<u8> {
        self.0.encode(values)
    }
}

impl Node {
    fn encode(&self, values: Values<'_>) -> Vec<u8> {
        let octets = |text: &str| ber::value(tag::OCTETS, text.as_bytes());
        let many = |nodes: &[Self]| -> Vec<u8> {
            nodes.iter().flat_map(|node| node.encode(values)).collect()
        };
        match self {
            Self::All(nodes) => ber::value(0xa0, &many(nodes)),
            Self::Any(nodes) => ber::value(0xa1, &many(nodes)),
            Self::Not(node) => ber::value(0xa2, &node.encode(values)),
            Self::Present(name) => ber::value(0x87, name.as_bytes()),
            Self::Equal(name, text) => {
                let mut content = octets(name);
                content.extend(ber::value(tag::OCTETS, &filled(text, values)));
                ber::value(0xa3, &content)
            }
            Self::Begins(name, first, middle, last) => {
                let mut parts = Vec::new();
                if !first.is_empty() {
                    parts.extend(ber::value(0x80, &filled(first, values)));
                }
                for text in middle {
                    parts.extend(ber::value(0x81, &filled(text, values)));
                }
                if !last.is_empty() {
                    parts.extend(ber::value(0x82, &filled(last, values)));
                }
                let mut content = octets(name);
                content.extend(ber::value(tag::SEQUENCE, &parts));
                ber::value(0xa4, &content)
            }
        }
    }
}

fn filled(text: &Text, values: Values<'_>) -> Vec<u8> {
    let mut octets = Vec::new();
    for piece in text {
        octets.extend_from_slice(match piece {
            Piece::Octets(octets) => octets,
            Piece::Address => values.address.as_bytes(),
            Piece::Local => values.local.as_bytes(),
            Piece::Domain => values.domain.as_bytes(),
        });
    }
    octets
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, wanted: u8) -> Result<(), FilterError> {
        if self.peek() == Some(wanted) {
            self.at += 1;
            return Ok(());
        }
        Err(FilterError::Malformed(self.at))
    }

    fn node(&mut self, depth: usize) -> Result<Node, FilterError> {
        if depth > DEPTH_MAX {
            return Err(FilterError::TooLarge);
        }
        self.take(b'(')?;
        let node = match self.peek() {
            Some(b'&') => Node::All(self.nodes(depth)?),
            Some(b'|') => Node::Any(self.nodes(depth)?),
            Some(b'!') => {
                self.at += 1;
                Node::Not(Box::new(self.node(depth + 1)?))
            }
            Some(_) => self.item()?,
            None => return Err(FilterError::Malformed(self.at)),
        };
        self.take(b')')?;
        Ok(node)
    }

    fn nodes(&mut self, depth: usize) -> Result<Vec<Node>, FilterError> {
        self.at += 1;
        let mut nodes = Vec::new();
        while self.peek() == Some(b'(') {
            nodes.push(self.node(depth + 1)?);
        }
        if nodes.is_empty() {
            return Err(FilterError::Malformed(self.at));
        }
        Ok(nodes)
    }

    fn item(&mut self) -> Result<Node, FilterError> {
        let rest = &self.text[self.at..];
        let length = rest.find('=').ok_or(FilterError::Malformed(self.at))?;
        let name = &rest[..length];
        if name.ends_with(['<', '>', '~', ':']) {
            return Err(FilterError::Unsupported);
        }
        let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ';');
        if name.is_empty() || !name.chars().all(sound) {
            return Err(FilterError::Malformed(self.at));
        }
        self.at += length + 1;
        let mut texts = vec![self.value()?];
        while self.peek() == Some(b'*') {
            self.at += 1;
            texts.push(self.value()?);
        }
        let name = name.to_owned();
        Ok(match &mut texts[..] {
            [only] if only.is_empty() => return Err(FilterError::Malformed(self.at)),
            [only] => Node::Equal(name, std::mem::take(only)),
            [first, last] if first.is_empty() && last.is_empty() => Node::Present(name),
            [first, middle @ .., last] => {
                if middle.iter().any(Vec::is_empty) {
                    return Err(FilterError::Malformed(self.at));
                }
                let middle = middle.to_vec();
                Node::Begins(name, std::mem::take(first), middle, std::mem::take(last))
            }
            [] => return Err(FilterError::Malformed(self.at)),
        })
    }

    fn value(&mut self) -> Result<Text, FilterError> {
        let mut text = Vec::new();
        let mut octets = Vec::new();
        while let Some(octet) = self.peek() {
            let here = self.at;
            let next = self.text.as_bytes().get(here + 1).copied();
            let piece = match (octet, next) {
                (b'*' | b')', _) => break,
                (b'\\', _) => {
                    let digits = self.text.get(here + 1..here + 3);
                    let octet = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
                    octets.push(octet.ok_or(FilterError::Malformed(here))?);
                    self.at += 3;
                    continue;
                }
                (b'%', Some(b'u')) => Piece::Address,
                (b'%', Some(b'l')) => Piece::Local,
                (b'%', Some(b'd')) => Piece::Domain,
                (b'%', Some(b'%')) => Piece::Octets(vec![b'%']),
                (b'(' | b'%' | 0, _) => return Err(FilterError::Malformed(here)),
                (other, _) => {
                    octets.push(other);
                    self.at += 1;
                    continue;
                }
            };
            if !octets.is_empty() {
                text.push(Piece::Octets(std::mem::take(&mut octets)));
            }
            text.push(piece);
            self.at += 2;
        }
        if !octets.is_empty() {
            text.push(Piece::Octets(octets));
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(filter: &str, address: &str) -> Vec<u8> {
        let (local, domain) = address.rsplit_once('@').unwrap_or((address, ""));
        Filter::parse(filter).unwrap().encode(Values { address, local, domain })
    }

    #[test]
    fn a_name_cannot_change_the_question() {
        let hostile = "*)(uid=*))(|(uid=*@x.test";
        let honest = encoded("(mail=%u)", hostile);
        // One equality match, whose value is the name as it is.
        let expected =
            [ber::value(tag::OCTETS, b"mail"), ber::value(tag::OCTETS, hostile.as_bytes())]
                .concat();
        assert_eq!(honest, ber::value(0xa3, &expected));
        for hostile in ["\\2a", "a\0b", "%u", "(&(a=b)", "\u{fc}"] {
            let content = encoded("(mail=%u)", hostile);
            assert!(content.ends_with(&ber::value(tag::OCTETS, hostile.as_bytes())), "{hostile}");
        }
    }

    #[test]
    fn filters_are_written_as_rfc_4511_wants_them() {
        assert_eq!(encoded("(objectClass=*)", ""), ber::value(0x87, b"objectClass"));
        let text = |octets: &[u8]| ber::value(tag::OCTETS, octets);
        let sub = |parts: Vec<u8>| {
            ber::value(0xa4, &[text(b"cn"), ber::value(tag::SEQUENCE, &parts)].concat())
        };
        let parts = [ber::value(0x80, b"a"), ber::value(0x81, b"b"), ber::value(0x82, b"c")];
        assert_eq!(encoded("(cn=a*b*c)", ""), sub(parts.concat()));
        assert_eq!(encoded("(cn=*b)", ""), sub(ber::value(0x82, b"b")));
        let equal = |value: &[u8]| ber::value(0xa3, &[text(b"cn"), text(value)].concat());
        assert_eq!(encoded("(!(cn=a\\2a))", ""), ber::value(0xa2, &equal(b"a*")));
        let both = [equal(b"ann"), equal(b"x.test")].concat();
        assert_eq!(encoded("(&(cn=%l)(cn=%d))", "ann@x.test"), ber::value(0xa0, &both));
        assert_eq!(encoded("(|(cn=100%%))", ""), ber::value(0xa1, &equal(b"100%")));
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        for (text, error) in [
            ("", FilterError::Malformed(0)),
            ("mail=%u", FilterError::Malformed(0)),
            ("(mail=%u", FilterError::Malformed(8)),
            ("(mail=%u))", FilterError::Malformed(9)),
            ("(mail=%x)", FilterError::Malformed(6)),
            ("(mail=\\zz)", FilterError::Malformed(6)),
            ("(mail=)", FilterError::Malformed(6)),
            ("(a>=1)", FilterError::Unsupported),
            ("(cn:dn:=x)", FilterError::Unsupported),
            ("(&)", FilterError::Malformed(2)),
        ] {
            assert_eq!(Filter::parse(text), Err(error), "{text}");
        }
        let deep = format!("{}(a=b){}", "(!".repeat(20), ")".repeat(20));
        assert_eq!(Filter::parse(&deep), Err(FilterError::TooLarge));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "[()&|!=*\\\\%a-z\u{e4}0-9]{0,40}") {
            let _ = Filter::parse(&text);
        }
    }
}
