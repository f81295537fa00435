//! What a message carries: its parts and attachments (RFC 2045, RFC 2046, RFC 2183, RFC 2231).
//!
//! [`Scanner`] takes a message in pieces as it arrives and keeps next to nothing of it:
//! the header of one part, the start of one line, a list of attachments. Nested, endless
//! or contradictory structures meet a limit and are then reported as [`Oddity`]; what a
//! receiving program would make of them is not guessed.

mod parameters;
mod text;

use std::fmt;

use crate::header::{HEADER_MAX_OCTETS, Header};
pub use parameters::ContentField;
pub use text::TextPart;
use text::{Collected, Encoding};

/// The most parts that are looked at.
pub const PARTS_MAX: u32 = 10_000;
/// How deep parts may stand in each other.
pub const DEPTH_MAX: usize = 32;
/// The most attachments that are listed; all are counted.
pub const ATTACHMENTS_MAX: usize = 1_000;
/// The longest header of a part that is looked at, in octets.
pub const PART_HEADER_MAX_OCTETS: usize = 64 * 1024;
/// The longest boundary, in octets; the standard allows 70 (RFC 2046 section 5.1.1).
const BOUNDARY_MAX_OCTETS: usize = 200;
/// The longest name of an attachment that is kept, in characters.
const NAME_MAX_CHARS: usize = 255;

/// What a message carries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content {
    /// How many parts there are, multiparts not counted.
    pub parts: u32,
    /// The attachments, at most [`ATTACHMENTS_MAX`].
    pub attachments: Vec<Attachment>,
    /// How many attachments there are.
    pub attachment_count: u32,
    /// The message itself is encrypted: OpenPGP/MIME or S/MIME.
    pub encrypted: bool,
    /// What is odd about the structure, each kind once.
    pub oddities: Vec<Oddity>,
    /// The text to be read, decoded, where [`Scanner::with_text`] asked for it.
    pub texts: Vec<TextPart>,
}

/// A part that is not text to be read in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Its name, decoded, without control characters.
    pub name: Option<String>,
    /// Its type, in lower case, such as `application/pdf`.
    pub media_type: String,
    /// Its size once decoded; exact for base 64 and plain content, an upper bound for
    /// quoted-printable.
    pub octets: u64,
}

impl Attachment {
    /// What follows the last dot of the name, in lower case: `docm`.
    pub fn extension(&self) -> Option<String> {
        let (_, extension) = self.name.as_deref()?.trim_end_matches(['.', ' ']).rsplit_once('.')?;
        Some(extension.to_lowercase())
    }
}

/// Something about the structure that no honest program writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Oddity {
    /// More than [`PARTS_MAX`] parts; the rest was not looked at.
    TooManyParts,
    /// Parts deeper than [`DEPTH_MAX`]; what lies in them was not looked at.
    TooDeep,
    /// The header of a part is too large, has too many fields, or is not one.
    PartHeader,
    /// A multipart without a usable boundary.
    Boundary,
    /// A multipart with the boundary of one it stands in.
    RepeatedBoundary,
    /// More than one field for the type or the encoding of a part.
    RepeatedField,
    /// A multipart that does not end.
    Unfinished,
}

impl fmt::Display for Oddity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyParts => write!(f, "the message has more than {PARTS_MAX} parts"),
            Self::TooDeep => write!(f, "parts stand in each other more than {DEPTH_MAX} deep"),
            Self::PartHeader => f.write_str("the header of a part is malformed or too large"),
            Self::Boundary => f.write_str("a multipart has no usable boundary"),
            Self::RepeatedBoundary => f.write_str("a multipart repeats an outer boundary"),
            Self::RepeatedField => f.write_str("a part says more than once what it is"),
            Self::Unfinished => f.write_str("a multipart does not end"),
        }
    }
}

/// Finds the parts of a message that arrives in pieces.
#[derive(Debug, Default)]
pub struct Scanner {
    found: Content,
    levels: Vec<Level>,
    state: State,
    /// The header of the current part, while it is read.
    header: Vec<u8>,
    /// The start of the current line.
    line: Vec<u8>,
    line_octets: u64,
    /// Octets of lines that ended.
    offset: u64,
    /// The text of the current part, and how much more is wanted.
    collected: Collected,
}

/// Something that other parts stand in.
#[derive(Debug)]
enum Level {
    Multipart {
        boundary: Vec<u8>,
    },
    /// A message as a part: the place of its attachment, and where it began.
    Message {
        attachment: Option<usize>,
        start: u64,
    },
}

#[derive(Debug, Default)]
enum State {
    /// In the header of a part.
    #[default]
    Header,
    /// In a part that holds no others.
    Leaf { attachment: Option<usize>, base64: bool, octets: u64, text: Option<(bool, Encoding)> },
    /// Before the first or after the last part of a multipart, or beyond a limit.
    Between,
}

/// How much of a line is kept: a boundary with its dashes, or a line of a header.
const LINE_KEPT_MAX: usize = 2_048;

impl Scanner {
    /// A scanner at the first octet of a message.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, which also keeps the text of parts that people read: at most `octets` of
    /// it as it came, in all parts together.
    pub fn with_text(octets: usize) -> Self {
        Self { collected: Collected::with_room(octets), ..Self::default() }
    }

    /// Takes the next piece of the message.
    pub fn push(&mut self, piece: &[u8]) {
        for run in piece.split_inclusive(|&b| b == b'\n') {
            let room = LINE_KEPT_MAX - self.line.len();
            let (kept, beyond) = run.split_at(run.len().min(room));
            self.line.extend_from_slice(kept);
            if let State::Leaf { text: Some(_), .. } = self.state
                && !beyond.is_empty()
            {
                // So long a line is no boundary.
                self.collected.line_beyond(beyond);
            }
            self.line_octets += run.len() as u64;
            if run.ends_with(b"\n") {
                self.end_line();
            }
        }
    }

    /// What was found, once the message is complete.
    pub fn finish(mut self) -> Content {
        if self.line_octets > 0 {
            self.end_line();
        }
        if matches!(self.state, State::Header) {
            self.end_header();
        }
        self.end_part();
        if self.levels.iter().any(|level| matches!(level, Level::Multipart { .. })) {
            self.note(Oddity::Unfinished);
        }
        self.leave_levels(0);
        self.found
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let octets = std::mem::take(&mut self.line_octets);
        let content = line.strip_suffix(b"\n").unwrap_or(&line);
        let content = content.strip_suffix(b"\r").unwrap_or(content);
        match self.delimiter(content) {
            Some((level, last)) => self.end_at_boundary(level, last),
            None => {
                if let State::Leaf { text: Some(_), .. } = self.state {
                    self.collected.line(&line);
                }
                self.take_line(&line, content, octets);
            }
        }
        self.collected.end_line();
        self.offset += octets;
        // The buffer goes back to the next line.
        self.line = line;
        self.line.clear();
    }

    fn take_line(&mut self, line: &[u8], content: &[u8], octets: u64) {
        match &mut self.state {
            State::Header => {
                let root = self.offset == self.header.len() as u64;
                let limit = if root { HEADER_MAX_OCTETS } else { PART_HEADER_MAX_OCTETS };
                if self.header.len() + line.len() <= limit {
                    self.header.extend_from_slice(line);
                } else {
                    self.note(Oddity::PartHeader);
                }
                if content.is_empty() {
                    self.end_header();
                }
            }
            State::Leaf { base64: true, octets: size, .. } => {
                let padding = content.iter().rev().take_while(|&&b| b == b'=').count() as u64;
                let ends = (line.len() - content.len()) as u64;
                // Four characters carry three octets; counted in quarters until the end.
                *size += (octets - ends - padding.min(octets - ends)) * 3;
            }
            State::Leaf { base64: false, octets: size, .. } => *size += octets * 4,
            State::Between => {}
        }
    }

    /// The level whose boundary this line is, and whether it is the last of it.
    fn delimiter(&self, content: &[u8]) -> Option<(usize, bool)> {
        let text = content.strip_prefix(b"--")?.trim_ascii_end();
        let levels = self.levels.iter().enumerate().rev();
        levels.clone().find_map(|(at, level)| match level {
            Level::Multipart { boundary } if text == boundary => Some((at, false)),
            Level::Multipart { boundary }
                if text.strip_suffix(b"--") == Some(boundary.as_slice()) =>
            {
                Some((at, true))
            }
            Level::Multipart { .. } | Level::Message { .. } => None,
        })
    }

    fn end_at_boundary(&mut self, level: usize, last: bool) {
        if matches!(self.state, State::Header) {
            self.end_header();
        }
        self.end_part();
        self.leave_levels(if last { level } else { level + 1 });
        self.state = if last || self.is_full() { State::Between } else { State::Header };
        self.header.clear();
    }

    fn is_full(&mut self) -> bool {
        let full = self.found.parts >= PARTS_MAX;
        if full {
            self.note(Oddity::TooManyParts);
        }
        full
    }

    /// Ends the levels from `keep` on, innermost first.
    fn leave_levels(&mut self, keep: usize) {
        for level in self.levels.drain(keep..).rev() {
            match level {
                Level::Message { attachment: Some(at), start } => {
                    if let Some(attachment) = self.found.attachments.get_mut(at) {
                        attachment.octets = self.offset.saturating_sub(start);
                    }
                }
                Level::Message { attachment: None, .. } | Level::Multipart { .. } => {}
            }
        }
    }

    fn end_part(&mut self) {
        if let State::Leaf { text: Some((html, encoding)), .. } = self.state {
            self.found.texts.extend(self.collected.end_part(html, encoding));
        }
        if let State::Leaf { attachment: Some(at), octets, .. } = self.state
            && let Some(attachment) = self.found.attachments.get_mut(at)
        {
            attachment.octets = octets / 4;
        }
        self.state = State::Between;
    }

    /// Decides what the part is whose header was read.
    fn end_header(&mut self) {
        let bytes = std::mem::take(&mut self.header);
        let header = Header::scan(&bytes);
        if header.as_ref().map_or(true, |header| header.body_start() < bytes.len()) {
            self.note(Oddity::PartHeader);
        }
        let part = header.as_ref().map(Part::of).unwrap_or_default();
        if part.repeated {
            self.note(Oddity::RepeatedField);
        }
        if self.levels.is_empty() {
            self.found.encrypted = part.is_encrypted();
        }
        self.state = self.begin(&part);
        self.header = bytes;
        self.header.clear();
    }

    fn begin(&mut self, part: &Part) -> State {
        let kind = part.kind.as_str();
        if kind.starts_with("multipart/") {
            match part.boundary.as_deref().map(str::as_bytes) {
                Some(boundary) if !boundary.is_empty() && boundary.len() <= BOUNDARY_MAX_OCTETS => {
                    return self.enter_multipart(boundary);
                }
                Some(_) | None => self.note(Oddity::Boundary),
            }
        }
        self.found.parts += 1;
        let attachment = part.is_attachment().then(|| self.list(part)).flatten();
        let holds_message = matches!(kind, "message/rfc822" | "message/global");
        if holds_message && !part.base64 && !part.encoded {
            if self.is_full() {
                return State::Between;
            }
            if self.levels.len() < DEPTH_MAX {
                // The empty line before it has not been counted yet.
                let start = self.offset + 2;
                self.levels.push(Level::Message { attachment, start });
                return State::Header;
            }
            self.note(Oddity::TooDeep);
        }
        let text = part.is_text().filter(|_| self.collected.has_room());
        State::Leaf { attachment, base64: part.base64, octets: 0, text }
    }

    fn enter_multipart(&mut self, boundary: &[u8]) -> State {
        let same = |level: &Level| match level {
            Level::Multipart { boundary: outer } => outer == boundary,
            Level::Message { .. } => false,
        };
        if self.levels.iter().any(same) {
            self.note(Oddity::RepeatedBoundary);
        }
        if self.levels.len() < DEPTH_MAX {
            self.levels.push(Level::Multipart { boundary: boundary.to_vec() });
        } else {
            self.note(Oddity::TooDeep);
        }
        State::Between
    }

    /// Lists an attachment; its place, unless the list is full.
    fn list(&mut self, part: &Part) -> Option<usize> {
        self.found.attachment_count += 1;
        let at = self.found.attachments.len();
        (at < ATTACHMENTS_MAX).then(|| {
            let (name, media_type) = (part.name.clone(), part.kind.clone());
            self.found.attachments.push(Attachment { name, media_type, octets: 0 });
            at
        })
    }

    fn note(&mut self, oddity: Oddity) {
        if !self.found.oddities.contains(&oddity) {
            self.found.oddities.push(oddity);
        }
    }
}

/// What the header of a part says about it.
#[derive(Debug)]
struct Part {
    kind: String,
    boundary: Option<String>,
    name: Option<String>,
    disposed: bool,
    base64: bool,
    encoded: bool,
    repeated: bool,
}

impl Default for Part {
    fn default() -> Self {
        Self {
            kind: "text/plain".to_owned(),
            boundary: None,
            name: None,
            disposed: false,
            base64: false,
            encoded: false,
            repeated: false,
        }
    }
}

impl Part {
    fn of(header: &Header<'_>) -> Self {
        let field = |name: &str| header.first(name).map(|f| ContentField::parse(&f.value()));
        let kind = field("Content-Type");
        let disposition = field("Content-Disposition");
        let encoding = field("Content-Transfer-Encoding").map(|f| f.value).unwrap_or_default();
        let name = disposition
            .as_ref()
            .and_then(|d| d.parameter("filename"))
            .or_else(|| kind.as_ref().and_then(|k| k.parameter("name")));
        let once = ["Content-Type", "Content-Transfer-Encoding", "Content-Disposition"];
        Self {
            boundary: kind.as_ref().and_then(|k| k.parameter("boundary")),
            kind: kind
                .map(|k| k.value)
                .filter(|k| k.contains('/'))
                .unwrap_or_else(|| "text/plain".to_owned()),
            name: name.map(|n| clean_name(&n)).filter(|n| !n.is_empty()),
            disposed: disposition.is_some_and(|d| d.value == "attachment"),
            base64: encoding == "base64",
            encoded: encoding == "quoted-printable",
            repeated: once.iter().any(|name| header.all(name).nth(1).is_some()),
        }
    }

    fn is_attachment(&self) -> bool {
        self.disposed || self.name.is_some() || !self.kind.starts_with("text/")
    }

    /// Whether people read it in place or by a click, and then whether as HTML.
    fn is_text(&self) -> Option<(bool, Encoding)> {
        let name = self.name.as_deref().unwrap_or_default().to_ascii_lowercase();
        let named = [".html", ".htm", ".shtml", ".xhtml", ".svg"].iter().any(|e| name.ends_with(e));
        let html = named
            || matches!(
                self.kind.as_str(),
                "text/html" | "application/xhtml+xml" | "image/svg+xml"
            );
        let encoding = match (self.base64, self.encoded) {
            (true, _) => Encoding::Base64,
            (false, true) => Encoding::QuotedPrintable,
            (false, false) => Encoding::None,
        };
        (html || self.kind.starts_with("text/")).then_some((html, encoding))
    }

    fn is_encrypted(&self) -> bool {
        matches!(
            self.kind.as_str(),
            "multipart/encrypted" | "application/pkcs7-mime" | "application/x-pkcs7-mime"
        )
    }
}

fn clean_name(name: &str) -> String {
    let visible = name.chars().filter(|c| !c.is_control()).take(NAME_MAX_CHARS);
    visible.collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests;
