//! XML as a small tree, within limits and without entities of its own.

use quick_xml::Reader;
use quick_xml::events::Event;

use crate::read::ReadError;

/// Elements within elements.
const DEPTH_MAX: usize = 16;
/// Elements of one report.
const ELEMENTS_MAX: usize = 1_000_000;
/// The text of one element, in octets; the rest is cut off.
const TEXT_MAX_OCTETS: usize = 1_024;

/// An element with its text and the elements in it. Attributes and name spaces say nothing here.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) children: Vec<Element>,
}

impl Element {
    /// The first element of this name in it.
    pub(crate) fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// Every element of this name in it.
    pub(crate) fn all<'e>(&'e self, name: &'e str) -> impl Iterator<Item = &'e Element> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The text of an element in it; empty if there is none.
    pub(crate) fn text_of(&self, name: &str) -> &str {
        self.child(name).map_or("", |child| child.text.trim())
    }
}

/// The root element.
///
/// # Errors
///
/// [`ReadError`] where the text is no XML, goes beyond the limits or declares a document type.
pub(crate) fn parse(text: &[u8]) -> Result<Element, ReadError> {
    let mut reader = Reader::from_reader(text);
    let mut open = vec![Element::default()];
    let mut elements = 0;
    loop {
        let event = reader.read_event().map_err(|error| ReadError::NoXml(error.to_string()))?;
        match event {
            Event::Start(start) => {
                elements += 1;
                if open.len() > DEPTH_MAX || elements > ELEMENTS_MAX {
                    return Err(ReadError::TooMuch);
                }
                let name = String::from_utf8_lossy(start.local_name().into_inner()).into_owned();
                open.push(Element { name, ..Element::default() });
            }
            Event::Empty(start) => {
                elements += 1;
                if elements > ELEMENTS_MAX {
                    return Err(ReadError::TooMuch);
                }
                let name = String::from_utf8_lossy(start.local_name().into_inner()).into_owned();
                if let Some(parent) = open.last_mut() {
                    parent.children.push(Element { name, ..Element::default() });
                }
            }
            Event::End(_) => {
                let Some(closed) = open.pop() else { return Err(ReadError::NoReport) };
                match open.last_mut() {
                    Some(parent) => parent.children.push(closed),
                    None => return Err(ReadError::NoReport),
                }
            }
            Event::Text(text) => add(&mut open, &String::from_utf8_lossy(&text)),
            Event::CData(text) => add(&mut open, &String::from_utf8_lossy(&text)),
            Event::GeneralRef(reference) => {
                let character = match reference.resolve_char_ref() {
                    Ok(Some(character)) => character,
                    Ok(None) | Err(_) => named(&reference)?,
                };
                add(&mut open, character.encode_utf8(&mut [0; 4]));
            }
            Event::DocType(_) => return Err(ReadError::DocumentType),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof => break,
        }
    }
    let mut root = open.pop().filter(|_| open.is_empty()).ok_or(ReadError::NoReport)?;
    if root.children.len() == 1 { Ok(root.children.remove(0)) } else { Err(ReadError::NoReport) }
}

/// The five names that XML itself has; no document adds to them here.
fn named(name: &[u8]) -> Result<char, ReadError> {
    match name {
        b"lt" => Ok('<'),
        b"gt" => Ok('>'),
        b"amp" => Ok('&'),
        b"quot" => Ok('"'),
        b"apos" => Ok('\''),
        _ => Err(ReadError::DocumentType),
    }
}

fn add(open: &mut [Element], text: &str) {
    let Some(element) = open.last_mut() else { return };
    for character in text.chars() {
        if element.text.len() + character.len_utf8() > TEXT_MAX_OCTETS {
            return;
        }
        element.text.push(character);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_has_names_texts_and_the_five_entities() {
        let root = parse(b"<?xml version=\"1.0\"?><a><b>x &amp; &#65;</b><c/></a>").unwrap();
        assert_eq!(root.text_of("b"), "x & A");
        assert_eq!(root.children.len(), 2);
    }

    #[test]
    fn laughter_and_files_are_refused() {
        for hostile in [
            "<!DOCTYPE a [<!ENTITY b \"x\">]><a>&b;</a>",
            "<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>",
            "<a>&file;</a>",
        ] {
            assert_eq!(parse(hostile.as_bytes()).unwrap_err(), ReadError::DocumentType);
        }
        let deep = "<a>".repeat(100);
        assert_eq!(parse(deep.as_bytes()).unwrap_err(), ReadError::TooMuch);
        for broken in ["", "<a>", "<a></b>", "text", "<a/><b/>", "</a>"] {
            assert!(parse(broken.as_bytes()).is_err(), "{broken}");
        }
        let long = format!("<a>{}</a>", "x".repeat(5_000));
        assert_eq!(parse(long.as_bytes()).unwrap().text.len(), TEXT_MAX_OCTETS);
    }
}
