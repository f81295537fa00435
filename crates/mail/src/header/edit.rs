//! Changes to a header, described so that the body is never copied.

use super::{Header, decode_words, encode_words};
use crate::{Domain, Timestamp, TraceId};

/// Where a line is folded, in characters (RFC 5322 section 2.1.1).
const FOLD_AT: usize = 78;
/// A piece without white space longer than this cannot be folded and is encoded.
const TOKEN_MAX_OCTETS: usize = 900;
/// The longest field name.
const NAME_MAX_OCTETS: usize = 76;
/// The longest value of a field that is added, in octets.
pub const VALUE_MAX_OCTETS: usize = 8_192;

/// Why a text cannot become a field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// The name is empty, too long, or holds something besides printable ASCII, or a colon.
    #[error("\"{0}\" is not the name of a header field")]
    Name(String),
    /// The value is longer than [`VALUE_MAX_OCTETS`].
    #[error("the value of {0} is longer than {VALUE_MAX_OCTETS} octets")]
    TooLong(String),
}

/// A field to add: folded, ASCII, without anything that could begin another field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewField {
    name_octets: usize,
    text: String,
}

impl NewField {
    /// A field with an unstructured value (RFC 5322 section 3.2.5). Control characters
    /// become spaces; a value beyond ASCII is written in encoded words.
    ///
    /// # Errors
    ///
    /// [`FieldError`] when the name is not one, or the value is too long.
    pub fn new(name: &str, value: &str) -> Result<Self, FieldError> {
        let graphic = |b: u8| b.is_ascii_graphic() && b != b':';
        if name.is_empty() || name.len() > NAME_MAX_OCTETS || !name.bytes().all(graphic) {
            return Err(FieldError::Name(name.to_owned()));
        }
        if value.len() > VALUE_MAX_OCTETS {
            return Err(FieldError::TooLong(name.to_owned()));
        }
        let clean: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let clean = clean.trim();
        let unfoldable = |token: &str| token.len() > TOKEN_MAX_OCTETS;
        let value = if clean.is_ascii() && !clean.split(' ').any(unfoldable) {
            clean.to_owned()
        } else {
            encode_words(clean)
        };
        Ok(Self::folded(name, value.split(' ')))
    }

    /// A field from `pieces` of ASCII that are joined by a space or a fold.
    pub(crate) fn folded<'p>(name: &str, pieces: impl Iterator<Item = &'p str>) -> Self {
        let mut text = format!("{name}:");
        let mut column = text.len();
        let mut on_line = 0;
        for piece in pieces.filter(|piece| !piece.is_empty()) {
            if column + 1 + piece.len() > FOLD_AT && on_line > 0 {
                text.push_str("\r\n\t");
                // A tab is shown as eight columns; it counts as one here, as the standard counts.
                column = 1;
                on_line = 0;
            } else {
                text.push(' ');
                column += 1;
            }
            text.push_str(piece);
            column += piece.len();
            on_line += 1;
        }
        text.push_str("\r\n");
        Self { name_octets: name.len(), text }
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.text[..self.name_octets]
    }

    /// The whole field, folded, ending in CRLF.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// What a submission server adds where the sender's program left it out: `Date` and
/// `Message-ID` (RFC 6409 section 8.1 and 8.2).
pub fn complete_submission(
    header: &Header<'_>,
    now: Timestamp,
    id: TraceId,
    hostname: &Domain,
) -> Vec<NewField> {
    let mut fields = Vec::new();
    let mut add = |name: &str, value: &str| {
        if header.first(name).is_none() {
            fields.push(NewField::folded(name, std::iter::once(value)));
        }
    };
    add("Date", &now.to_rfc5322());
    add("Message-ID", &format!("<{id}@{hostname}>"));
    fields
}

/// Changes to a header. Removals and the tag concern the fields that are there;
/// additions stand at the top, in the order they were made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edit {
    added: Vec<NewField>,
    removed: Vec<String>,
    subject_tag: Option<String>,
}

impl Edit {
    /// Adds a field at the top, below those added before.
    pub fn add(&mut self, field: NewField) {
        self.added.push(field);
    }

    /// Removes every field of this name, in any case.
    pub fn remove(&mut self, name: &str) {
        self.removed.push(name.to_owned());
    }

    /// Puts `tag` before the subject, unless the subject has it already.
    pub fn tag_subject(&mut self, tag: &str) {
        let clean: String = tag.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let clean = clean.trim();
        self.subject_tag = (!clean.is_empty()).then(|| clean.to_owned());
    }

    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The header with these changes made.
    pub fn apply(&self, header: &Header<'_>) -> Edited {
        let mut head = Vec::with_capacity(header.as_bytes().len() + 512);
        for field in &self.added {
            head.extend_from_slice(field.as_str().as_bytes());
        }
        let mut tag = self.subject_tag.as_deref();
        if let (Some(text), None) = (tag, header.first("Subject")) {
            head.extend_from_slice(tagged(text, b"").as_slice());
            tag = None;
        }
        for field in header.fields() {
            if self.removed.iter().any(|name| name.eq_ignore_ascii_case(field.name())) {
                continue;
            }
            match tag {
                Some(text) if field.name().eq_ignore_ascii_case("Subject") => {
                    tag = None;
                    if decode_words(&field.value()).contains(text) {
                        head.extend_from_slice(field.as_bytes());
                    } else {
                        head.extend_from_slice(&tagged(text, field.raw_value()));
                    }
                }
                _ => head.extend_from_slice(field.as_bytes()),
            }
            if !head.ends_with(b"\n") {
                head.extend_from_slice(b"\r\n");
            }
        }
        head.extend_from_slice(b"\r\n");
        Edited { head, body_from: header.body_start() }
    }
}

/// A subject that begins with `tag` and goes on with the value that was there.
fn tagged(tag: &str, raw: &[u8]) -> Vec<u8> {
    let value = raw.trim_ascii();
    let tag = if tag.is_ascii() {
        tag.to_owned()
    } else if value.starts_with(b"=?") {
        // The space between two encoded words would be lost.
        encode_words(&format!("{tag} "))
    } else {
        encode_words(tag)
    };
    let mut field = format!("Subject: {tag}").into_bytes();
    if !value.is_empty() {
        let first_line = value.split(|&b| b == b'\r' || b == b'\n').next().unwrap_or_default();
        let fold = field.len() + 1 + first_line.len() > FOLD_AT;
        field.extend_from_slice(if fold { b"\r\n " } else { b" " });
        field.extend_from_slice(value);
    }
    field.extend_from_slice(b"\r\n");
    field
}

/// A changed message: `head`, then the original from `body_from` on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// The new header with its empty line.
    pub head: Vec<u8>,
    /// Where the original continues, in octets.
    pub body_from: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::Defect;
    use proptest::prelude::*;

    fn edited(message: &str, edit: &Edit) -> String {
        let edited = edit.apply(&Header::scan(message.as_bytes()).unwrap());
        format!("{}{}", String::from_utf8(edited.head).unwrap(), &message[edited.body_from..])
    }

    #[test]
    fn fields_are_added_on_top_and_removed_by_name() {
        let mut edit = Edit::default();
        edit.add(NewField::new("X-One", "1").unwrap());
        edit.add(NewField::new("X-Two", "2").unwrap());
        edit.remove("bcc");
        let message = "From: a\r\nBcc: b\r\n c\r\nTo: d\r\n\r\nbody\r\n";
        assert_eq!(
            edited(message, &edit),
            "X-One: 1\r\nX-Two: 2\r\nFrom: a\r\nTo: d\r\n\r\nbody\r\n"
        );
    }

    #[test]
    fn a_subject_is_tagged_once() {
        let mut edit = Edit::default();
        edit.tag_subject("[EXT]");
        let once = edited("Subject: hello\r\n\r\n", &edit);
        assert_eq!(once, "Subject: [EXT] hello\r\n\r\n");
        assert_eq!(edited(&once, &edit), once);
        assert_eq!(edited("Subject: Re: [EXT] x\r\n\r\n", &edit), "Subject: Re: [EXT] x\r\n\r\n");
        assert_eq!(edited("To: a\r\n\r\n", &edit), "Subject: [EXT]\r\nTo: a\r\n\r\n");
        assert_eq!(
            edited("Subject: =?utf-8?q?=C3=A9?=\r\n =?utf-8?q?x?=\r\n\r\n", &edit),
            "Subject: [EXT] =?utf-8?q?=C3=A9?=\r\n =?utf-8?q?x?=\r\n\r\n"
        );
    }

    #[test]
    fn a_tag_beyond_ascii_keeps_its_distance_from_the_subject() {
        let mut edit = Edit::default();
        edit.tag_subject("[größe]");
        for (subject, shown) in [("=?utf-8?q?=C3=A9?=", "[größe] é"), ("x", "[größe] x")] {
            let text = edited(&format!("Subject: {subject}\r\n\r\n"), &edit);
            assert_eq!(Header::scan(text.as_bytes()).unwrap().subject(), shown);
        }
    }

    #[test]
    fn a_body_without_header_is_separated_from_what_is_added() {
        let mut edit = Edit::default();
        edit.add(NewField::new("X", "1").unwrap());
        assert_eq!(edited("hello world\r\n", &edit), "X: 1\r\n\r\nhello world\r\n");
        assert_eq!(edited("A: b", &edit), "X: 1\r\nA: b\r\n\r\n");
    }

    #[test]
    fn submission_gets_a_date_and_an_identifier_only_where_they_lack() {
        let id = TraceId::from_bytes([1; 16]);
        let host = Domain::parse("mx.clinic.example").unwrap();
        let bare = Header::scan(b"From: a\r\n\r\n").unwrap();
        let fields = complete_submission(&bare, Timestamp(0), id, &host);
        assert_eq!(fields[0].as_str(), "Date: Thu, 01 Jan 1970 00:00:00 +0000\r\n");
        assert_eq!(fields[1].as_str(), format!("Message-ID: <{id}@mx.clinic.example>\r\n"));
        let full = Header::scan(b"Date: x\r\nmessage-id: <y>\r\n\r\n").unwrap();
        assert_eq!(complete_submission(&full, Timestamp(0), id, &host), []);
    }

    #[test]
    fn a_name_that_is_none_is_refused() {
        for name in ["", "X Y", "X:", "Ünicode", "X\r\nY"] {
            assert!(NewField::new(name, "v").is_err(), "{name}");
        }
        assert!(NewField::new("X", &"v".repeat(VALUE_MAX_OCTETS + 1)).is_err());
    }

    proptest! {
        #[test]
        fn whatever_the_value_one_well_formed_field_is_added(value in "(\\PC|[\r\n\t\0 ]){0,300}") {
            let field = NewField::new("X-Test", &value).unwrap();
            let message = format!("{}Date: d\r\nFrom: f\r\n\r\n", field.as_str());
            let header = Header::scan(message.as_bytes()).unwrap();
            prop_assert_eq!(header.fields().count(), 3);
            prop_assert_eq!(header.defects(), &[] as &[Defect]);
            prop_assert!(field.as_str().is_ascii());
        }
    }
}
