//! The messages that are sent and read (RFC 4511 section 4).

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use crate::Error;
use crate::ber::{self, Reader, tag};
use crate::filter::{Filter, Values};

/// Attributes of one entry that are read.
const ATTRIBUTES_MAX: usize = 64;
/// Values of one attribute that are read.
const VALUES_MAX: usize = 256;
/// Characters of a directory's words that are shown.
const TEXT_MAX_CHARS: usize = 200;
const STARTTLS: &[u8] = b"1.3.6.1.4.1.1466.20037";

/// One entry that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its distinguished name.
    pub dn: String,
    /// The values of each attribute, by its name in small letters; values that are no text are
    /// left out.
    pub attributes: BTreeMap<String, Vec<String>>,
}

/// What the directory said.
#[derive(Debug)]
pub(crate) enum Response {
    Bind(Outcome),
    Entry(Found),
    Reference,
    SearchDone(Outcome),
    Extended(Outcome),
}

/// How an operation ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub code: u32,
    pub text: String,
}

/// LDAPResult codes (RFC 4511 appendix A).
pub(crate) mod code {
    pub const SUCCESS: u32 = 0;
    pub const SIZE_LIMIT_EXCEEDED: u32 = 4;
    pub const NO_SUCH_OBJECT: u32 = 32;
    pub const INAPPROPRIATE_AUTHENTICATION: u32 = 48;
    pub const INVALID_CREDENTIALS: u32 = 49;
}

fn message(id: u32, operation: &[u8]) -> Vec<u8> {
    let mut content = ber::number(tag::INTEGER, id);
    content.extend_from_slice(operation);
    ber::value(tag::SEQUENCE, &content)
}

/// A simple bind. The caller sees to it that the password is not empty: a bind without one
/// succeeds as nobody (RFC 4513 section 5.1.2).
pub(crate) fn bind(id: u32, dn: &str, password: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut content = Zeroizing::new(ber::number(tag::INTEGER, 3));
    content.extend(ber::value(tag::OCTETS, dn.as_bytes()));
    content.extend_from_slice(&Zeroizing::new(ber::value(0x80, password)));
    Zeroizing::new(message(id, &Zeroizing::new(ber::value(0x60, &content))))
}

/// A search of the whole subtree for at most two entries: one too many tells that the question
/// has no single answer.
pub(crate) fn search(
    id: u32,
    base: &str,
    filter: &Filter,
    values: Values<'_>,
    attributes: &[&str],
    seconds: u32,
) -> Vec<u8> {
    const SUBTREE: u32 = 2;
    const NEVER_DEREFERENCE: u32 = 0;
    let mut content = ber::value(tag::OCTETS, base.as_bytes());
    content.extend(ber::number(tag::ENUMERATED, SUBTREE));
    content.extend(ber::number(tag::ENUMERATED, NEVER_DEREFERENCE));
    content.extend(ber::number(tag::INTEGER, 2));
    content.extend(ber::number(tag::INTEGER, seconds));
    content.extend(ber::value(tag::BOOLEAN, &[0]));
    content.extend(filter.encode(values));
    let names: Vec<u8> =
        attributes.iter().flat_map(|name| ber::value(tag::OCTETS, name.as_bytes())).collect();
    content.extend(ber::value(tag::SEQUENCE, &names));
    message(id, &ber::value(0x63, &content))
}

/// STARTTLS (RFC 4511 section 4.14).
pub(crate) fn start_tls(id: u32) -> Vec<u8> {
    message(id, &ber::value(0x77, &ber::value(0x80, STARTTLS)))
}

/// Reads one message: its number, and what it says.
pub(crate) fn read(octets: &[u8]) -> Result<(u32, Response), Error> {
    let mut content = Reader(Reader(octets).expect(tag::SEQUENCE)?);
    let id = content.number(tag::INTEGER)?;
    let (operation, inner) = content.any()?;
    let mut inner = Reader(inner);
    let response = match operation {
        0x61 => Response::Bind(outcome(&mut inner)?),
        0x64 => Response::Entry(entry(&mut inner)?),
        0x73 => Response::Reference,
        0x65 => Response::SearchDone(outcome(&mut inner)?),
        0x78 => Response::Extended(outcome(&mut inner)?),
        _ => return Err(Error::Malformed("an operation that was not asked for")),
    };
    Ok((id, response))
}

fn outcome(reader: &mut Reader<'_>) -> Result<Outcome, Error> {
    let code = reader.number(tag::ENUMERATED)?;
    let _matched_dn = reader.expect(tag::OCTETS)?;
    let text = reader.text()?;
    let shown = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    Ok(Outcome { code, text: shown.take(TEXT_MAX_CHARS).collect() })
}

fn entry(reader: &mut Reader<'_>) -> Result<Found, Error> {
    let dn = reader.expect(tag::OCTETS)?;
    let dn = std::str::from_utf8(dn).map_err(|_| Error::Malformed("a name is not UTF-8"))?;
    let mut list = Reader(reader.expect(tag::SEQUENCE)?);
    let mut attributes = BTreeMap::new();
    while !list.is_empty() && attributes.len() < ATTRIBUTES_MAX {
        let mut attribute = Reader(list.expect(tag::SEQUENCE)?);
        let name = attribute.text()?.to_ascii_lowercase();
        // SET OF.
        let mut set = Reader(attribute.expect(0x31)?);
        let mut values = Vec::new();
        while !set.is_empty() && values.len() < VALUES_MAX {
            if let Ok(text) = std::str::from_utf8(set.expect(tag::OCTETS)?) {
                values.push(text.to_owned());
            }
        }
        attributes.insert(name, values);
    }
    Ok(Found { dn: dn.to_owned(), attributes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_bind_is_written_as_in_rfc_4511() {
        let expected = [
            0x30, 0x0f, 0x02, 0x01, 0x01, 0x60, 0x0a, 0x02, 0x01, 0x03, 0x04, 0x01, b'x', 0x80,
            0x02, b'p', b'w',
        ];
        assert_eq!(*bind(1, "x", b"pw"), expected);
    }

    #[test]
    fn an_entry_is_read() {
        let text = |text: &str| ber::value(tag::OCTETS, text.as_bytes());
        let values = ber::value(0x31, &[text("ann@x.test"), ber::value(4, &[0xff])].concat());
        let attribute = ber::value(tag::SEQUENCE, &[text("Mail"), values].concat());
        let list = ber::value(tag::SEQUENCE, &attribute);
        let entry = ber::value(0x64, &[text("uid=ann,dc=test"), list].concat());
        let (id, Response::Entry(found)) = read(&message(7, &entry)).unwrap() else {
            panic!("not an entry")
        };
        assert_eq!((id, found.dn.as_str()), (7, "uid=ann,dc=test"));
        assert_eq!(found.attributes["mail"], ["ann@x.test"]);
    }

    proptest! {
        #[test]
        fn no_octets_make_reading_panic(octets in any::<Vec<u8>>(), operation in any::<u8>()) {
            let _ = read(&octets);
            let _ = read(&message(1, &ber::value(operation & 0xfe, &octets)));
        }
    }
}
