//! Looking at the header of a message, and describing changes to it (RFC 5322).
//!
//! [`Header::scan`] finds the fields without copying them and says what is odd
//! about them; [`Edit`] describes changes and gives a new head for an untouched
//! body. Nothing here fails on strange input except by exceeding a named limit.

mod edit;
mod words;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

pub use edit::{Edit, Edited, FieldError, NewField, VALUE_MAX_OCTETS, complete_submission};
pub use words::{decode as decode_words, encode as encode_words};

/// The largest header block that is looked at, in octets.
pub const HEADER_MAX_OCTETS: usize = 256 * 1024;
/// The most fields a header may have.
pub const FIELDS_MAX: usize = 2_000;
/// The longest line without its CRLF, in octets (RFC 5322 section 2.1.1).
pub const LINE_MAX_OCTETS: usize = 998;

/// Why a header could not be scanned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The header block exceeds [`HEADER_MAX_OCTETS`].
    #[error("the header is larger than {HEADER_MAX_OCTETS} octets")]
    TooLarge,
    /// There are more than [`FIELDS_MAX`] fields.
    #[error("the header has more than {FIELDS_MAX} fields")]
    TooManyFields,
}

/// Something about a header that the standard does not allow. Each is reported
/// at most once a header; what follows from it is a matter of policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Defect {
    /// A line that is neither a field nor a continuation: the header ends before it.
    NotAField,
    /// White space before the colon of a field (RFC 5322 section 4.5).
    SpaceBeforeColon,
    /// A continuation line of white space only (RFC 5322 section 3.2.2).
    BlankContinuation,
    /// A line longer than [`LINE_MAX_OCTETS`].
    LongLine,
    /// CR or LF that is not part of CRLF.
    BareLineEnd,
    /// A NUL.
    Nul,
    /// Octets beyond ASCII that are not UTF-8 (RFC 6532 section 3.1).
    NotUtf8,
    /// The header ends without an empty line although content follows.
    NoBlankLine,
    /// A field that may stand only once stands more than once (RFC 5322 section 3.6).
    Repeated(&'static str),
    /// A field that must be there is not (RFC 5322 section 3.6).
    Missing(&'static str),
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAField => f.write_str("a line of the header is not a field"),
            Self::SpaceBeforeColon => f.write_str("a field name is followed by white space"),
            Self::BlankContinuation => f.write_str("a field is continued by an empty line"),
            Self::LongLine => write!(f, "a header line is longer than {LINE_MAX_OCTETS} octets"),
            Self::BareLineEnd => f.write_str("the header has a CR or LF on its own"),
            Self::Nul => f.write_str("the header has a NUL"),
            Self::NotUtf8 => f.write_str("the header has octets that are not UTF-8"),
            Self::NoBlankLine => f.write_str("no empty line separates header and body"),
            Self::Repeated(name) => write!(f, "there is more than one {name} field"),
            Self::Missing(name) => write!(f, "there is no {name} field"),
        }
    }
}

/// Fields that may stand at most once (RFC 5322 section 3.6).
const ONCE: [&str; 10] = [
    "Date",
    "From",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Message-ID",
    "In-Reply-To",
    "References",
    "Subject",
];
const REQUIRED: [&str; 2] = ["Date", "From"];

/// The header of a message: its fields in order, and where the body begins.
#[derive(Debug, Clone)]
pub struct Header<'a> {
    message: &'a [u8],
    fields: Vec<Span>,
    body_start: usize,
    defects: Vec<Defect>,
}

#[derive(Debug, Clone, Copy)]
struct Span {
    start: usize,
    name_end: usize,
    value_start: usize,
    end: usize,
}

/// One field of a header.
#[derive(Clone, Copy)]
pub struct Field<'a> {
    message: &'a [u8],
    span: Span,
}

impl<'a> Header<'a> {
    /// Finds the fields of `message`: all of it, or at least its first
    /// [`HEADER_MAX_OCTETS`] + 1 octets (see [`HeaderBuffer`]).
    ///
    /// The header ends at the empty line, or before the first line that is not a field.
    ///
    /// # Errors
    ///
    /// [`HeaderError`] when a limit is exceeded; the caller refuses the message.
    pub fn scan(message: &'a [u8]) -> Result<Self, HeaderError> {
        let mut header = Self { message, fields: Vec::new(), body_start: 0, defects: Vec::new() };
        let mut at = 0;
        loop {
            let Some(line) = Line::at(message, at) else {
                header.body_start = at;
                break;
            };
            let content = &message[line.content.clone()];
            if content.is_empty() {
                header.body_start = line.next;
                break;
            }
            if !header.take_line(&line, content)? {
                header.body_start = at;
                header.note(Defect::NotAField);
                header.note(Defect::NoBlankLine);
                break;
            }
            if line.next > HEADER_MAX_OCTETS {
                return Err(HeaderError::TooLarge);
            }
            header.note_line(&line, content);
            at = line.next;
        }
        header.note_fields();
        Ok(header)
    }

    /// Takes a non-empty line as a field or a continuation; false if it is neither.
    fn take_line(&mut self, line: &Line, content: &[u8]) -> Result<bool, HeaderError> {
        if is_blank(content[0]) {
            let Some(last) = self.fields.last_mut() else { return Ok(false) };
            last.end = line.next;
            if content.iter().copied().all(is_blank) {
                self.note(Defect::BlankContinuation);
            }
            return Ok(true);
        }
        let Some(colon) = content.iter().position(|&b| b == b':') else { return Ok(false) };
        let name = content[..colon].trim_ascii_end();
        if name.is_empty() || !name.iter().all(u8::is_ascii_graphic) {
            return Ok(false);
        }
        if name.len() < colon {
            self.note(Defect::SpaceBeforeColon);
        }
        if self.fields.len() == FIELDS_MAX {
            return Err(HeaderError::TooManyFields);
        }
        let start = line.content.start;
        self.fields.push(Span {
            start,
            name_end: start + name.len(),
            value_start: start + colon + 1,
            end: line.next,
        });
        Ok(true)
    }

    fn note_line(&mut self, line: &Line, content: &[u8]) {
        if content.len() > LINE_MAX_OCTETS {
            self.note(Defect::LongLine);
        }
        if line.bare || content.contains(&b'\r') {
            self.note(Defect::BareLineEnd);
        }
        if content.contains(&0) {
            self.note(Defect::Nul);
        }
        if !content.is_ascii() && std::str::from_utf8(content).is_err() {
            self.note(Defect::NotUtf8);
        }
    }

    fn note_fields(&mut self) {
        for name in ONCE {
            if self.all(name).nth(1).is_some() {
                self.note(Defect::Repeated(name));
            }
        }
        for name in REQUIRED {
            if self.first(name).is_none() {
                self.note(Defect::Missing(name));
            }
        }
    }

    fn note(&mut self, defect: Defect) {
        if !self.defects.contains(&defect) {
            self.defects.push(defect);
        }
    }

    /// The fields, top first.
    pub fn fields(&self) -> impl Iterator<Item = Field<'a>> + '_ {
        self.fields.iter().map(|&span| Field { message: self.message, span })
    }

    /// The topmost field of this name, in any case.
    pub fn first(&self, name: &str) -> Option<Field<'a>> {
        self.all(name).next()
    }

    /// Every field of this name, in any case, top first.
    pub fn all<'s>(&'s self, name: &'s str) -> impl Iterator<Item = Field<'a>> + 's {
        self.fields().filter(move |field| field.name().eq_ignore_ascii_case(name))
    }

    /// How many hosts have passed the message on: its `Received` fields.
    /// Servers refuse a message with too many as a loop (RFC 5321 section 6.3).
    pub fn received_count(&self) -> usize {
        self.all("Received").count()
    }

    /// The subject for people: decoded, without control characters; empty if there is none.
    pub fn subject(&self) -> String {
        self.first("Subject").map(|field| field.text()).unwrap_or_default()
    }

    /// The message identifier without its angle brackets, if there is one (RFC 5322 section 3.6.4).
    pub fn message_id(&self) -> Option<String> {
        let value = self.first("Message-ID")?.text();
        let id = value.trim_start_matches('<').trim_end_matches('>').trim();
        (!id.is_empty()).then(|| id.to_owned())
    }

    /// Where the body begins, in octets from the start of the message.
    pub fn body_start(&self) -> usize {
        self.body_start
    }

    /// What the standard does not allow about this header.
    pub fn defects(&self) -> &[Defect] {
        &self.defects
    }

    /// The fields as they stand, without the empty line.
    pub fn as_bytes(&self) -> &'a [u8] {
        let end = self.fields.last().map_or(0, |span| span.end);
        self.message.get(..end).unwrap_or_default()
    }

    /// Whether the header has octets beyond ASCII, so that it travels only under
    /// SMTPUTF8 (RFC 6532).
    pub fn needs_smtputf8(&self) -> bool {
        !self.as_bytes().is_ascii()
    }
}

impl<'a> Field<'a> {
    /// The name, as given.
    pub fn name(&self) -> &'a str {
        let name = self.message.get(self.span.start..self.span.name_end).unwrap_or_default();
        std::str::from_utf8(name).unwrap_or_default()
    }

    /// The octets after the colon, folded as given, with the last line end.
    pub fn raw_value(&self) -> &'a [u8] {
        self.message.get(self.span.value_start..self.span.end).unwrap_or_default()
    }

    /// The whole field with its line ends.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.message.get(self.range()).unwrap_or_default()
    }

    /// Where the field stands in the message.
    pub fn range(&self) -> Range<usize> {
        self.span.start..self.span.end
    }

    /// The value unfolded (RFC 5322 section 2.2.3) and without white space around it.
    /// Octets that are not UTF-8 show as U+FFFD.
    pub fn value(&self) -> Cow<'a, str> {
        let raw = self.raw_value().trim_ascii();
        let text = String::from_utf8_lossy(raw);
        if text.contains(['\r', '\n']) { Cow::Owned(text.replace(['\r', '\n'], "")) } else { text }
    }

    /// The value for people: unfolded, encoded words decoded (RFC 2047), control
    /// characters replaced by spaces.
    pub fn text(&self) -> String {
        let decoded = decode_words(&self.value());
        decoded.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
    }
}

impl fmt::Debug for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name(), self.value())
    }
}

/// One line of a message.
struct Line {
    content: Range<usize>,
    next: usize,
    /// Ended by LF alone.
    bare: bool,
}

impl Line {
    fn at(message: &[u8], at: usize) -> Option<Self> {
        let rest = message.get(at..).filter(|rest| !rest.is_empty())?;
        let Some(lf) = rest.iter().position(|&b| b == b'\n') else {
            return Some(Self { content: at..message.len(), next: message.len(), bare: false });
        };
        let bare = lf == 0 || rest[lf - 1] != b'\r';
        let end = if bare { at + lf } else { at + lf - 1 };
        Some(Self { content: at..end, next: at + lf + 1, bare })
    }
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// Keeps the header of a message that arrives in pieces, and no more of it.
#[derive(Debug, Clone, Default)]
pub struct HeaderBuffer {
    bytes: Vec<u8>,
    complete: bool,
}

impl HeaderBuffer {
    /// Takes the next piece of the message; ignores what follows the header.
    pub fn push(&mut self, piece: &[u8]) {
        if self.complete {
            return;
        }
        let seen = self.bytes.len();
        let room = HEADER_MAX_OCTETS + 1 - seen;
        self.bytes.extend_from_slice(&piece[..piece.len().min(room)]);
        if let Some(end) = end_of_header(&self.bytes, seen.saturating_sub(3)) {
            self.bytes.truncate(end);
            self.complete = true;
        } else if self.bytes.len() > HEADER_MAX_OCTETS {
            self.complete = true;
        }
    }

    /// The octets kept: the header with its empty line.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Scans what was kept; positions are those of the whole message.
    ///
    /// # Errors
    ///
    /// As [`Header::scan`].
    pub fn header(&self) -> Result<Header<'_>, HeaderError> {
        Header::scan(&self.bytes)
    }
}

/// The end of the first empty line at or after `from`, which is a place no later
/// than the line end before it.
fn end_of_header(bytes: &[u8], from: usize) -> Option<usize> {
    if bytes.starts_with(b"\r\n") {
        return Some(2);
    }
    if bytes.starts_with(b"\n") {
        return Some(1);
    }
    let rest = bytes.get(from..)?;
    rest.iter().enumerate().find_map(|(at, &byte)| match (byte, &rest[at + 1..]) {
        (b'\n', [b'\n', ..]) => Some(from + at + 2),
        (b'\n', [b'\r', b'\n', ..]) => Some(from + at + 3),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MESSAGE: &[u8] = b"Received: from a\r\n\tby b\r\nReceived: from c\r\n\
        From: Ann <ann@clinic.example>\r\nDate: Mon, 02 Mar 2026 10:02:11 +0000\r\n\
        Subject: =?utf-8?q?caf=C3=A9?=\r\n =?utf-8?q?_menu?=\r\nmessage-id: <1@x>\r\n\r\nbody\r\n";

    #[test]
    fn fields_are_found_in_any_case_and_unfolded() {
        let header = Header::scan(MESSAGE).unwrap();
        assert_eq!(header.received_count(), 2);
        assert_eq!(header.first("received").unwrap().value(), "from a\tby b");
        assert_eq!(header.subject(), "café menu");
        assert_eq!(header.message_id().as_deref(), Some("1@x"));
        assert_eq!(&MESSAGE[header.body_start()..], b"body\r\n");
        assert_eq!(header.defects(), []);
        assert!(!header.needs_smtputf8());
    }

    #[test]
    fn the_header_ends_before_a_line_that_is_not_a_field() {
        let header = Header::scan(b"From: a\r\nhello world\r\nSubject: x\r\n\r\n").unwrap();
        assert_eq!(header.fields().count(), 1);
        assert_eq!(header.body_start(), 9);
        assert!(header.defects().contains(&Defect::NotAField));
        let none = Header::scan(b" leading space\r\n").unwrap();
        assert_eq!((none.fields().count(), none.body_start()), (0, 0));
    }

    #[test]
    fn what_the_standard_forbids_is_named() {
        let message = b"From : a\r\nFrom: b\r\n \r\nX: \0\xFF\nSubject: x\r\n\r\n";
        let header = Header::scan(message).unwrap();
        for defect in [
            Defect::SpaceBeforeColon,
            Defect::BlankContinuation,
            Defect::Nul,
            Defect::NotUtf8,
            Defect::BareLineEnd,
            Defect::Repeated("From"),
            Defect::Missing("Date"),
        ] {
            assert!(header.defects().contains(&defect), "{defect}");
        }
    }

    #[test]
    fn header_bombs_meet_a_limit() {
        let many = "A: b\r\n".repeat(FIELDS_MAX + 1);
        assert_eq!(Header::scan(many.as_bytes()).unwrap_err(), HeaderError::TooManyFields);
        let long = format!("A: {}\r\n", "x".repeat(HEADER_MAX_OCTETS));
        assert_eq!(Header::scan(long.as_bytes()).unwrap_err(), HeaderError::TooLarge);
        let folded = format!("A: b\r\n{}", " c\r\n".repeat(HEADER_MAX_OCTETS / 4));
        assert_eq!(Header::scan(folded.as_bytes()).unwrap_err(), HeaderError::TooLarge);
    }

    #[test]
    fn a_message_of_only_a_body_has_no_header() {
        let message = b"\r\nFrom: not a field\r\n";
        let header = Header::scan(message).unwrap();
        assert_eq!((header.fields().count(), header.body_start()), (0, 2));
    }

    proptest! {
        #[test]
        fn any_octets_are_scanned_without_panic(message in proptest::collection::vec(any::<u8>(), 0..400)) {
            if let Ok(header) = Header::scan(&message) {
                prop_assert!(header.body_start() <= message.len());
                for field in header.fields() {
                    let _ = (field.text(), field.as_bytes());
                }
            }
        }

        #[test]
        fn a_buffer_filled_in_any_pieces_finds_the_same_header(
            text in "[A-C: \r\n]{0,60}", cut in 1usize..9,
        ) {
            let mut buffer = HeaderBuffer::default();
            for piece in text.as_bytes().chunks(cut) {
                buffer.push(piece);
            }
            let whole = Header::scan(text.as_bytes()).unwrap();
            let pieces = buffer.header().unwrap();
            prop_assert_eq!(whole.body_start(), pieces.body_start());
            prop_assert_eq!(whole.fields().count(), pieces.fields().count());
        }
    }
}
