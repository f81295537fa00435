//! A message that filters may change: fields in order, and a body.

use bytes::Bytes;
use mail::header::{Header, HeaderError};

/// A header field with its octets as they stand in the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    name: String,
    /// The whole field with its last line end.
    octets: Vec<u8>,
}

/// A message: its fields, and what follows the empty line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    fields: Vec<Field>,
    body: Bytes,
    changed: bool,
}

/// A change that a filter asked for at the end of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A field at the end of the header.
    AddField {
        /// Its name.
        name: String,
        /// Its value; lines end in LF or CRLF.
        value: Vec<u8>,
    },
    /// A field at a place. Place 0 is the very top, above the server's own trace field; that
    /// is written later, so 0 and 1 are both the top of the message itself.
    InsertField {
        /// The place.
        at: u32,
        /// Its name.
        name: String,
        /// Its value.
        value: Vec<u8>,
    },
    /// Another value for the field of a name; an empty value removes the field.
    ChangeField {
        /// Which field of this name, from 1.
        nth: u32,
        /// Its name.
        name: String,
        /// The new value.
        value: Vec<u8>,
    },
    /// Another reverse-path, with parameters of MAIL.
    Sender {
        /// The path as the filter wrote it.
        path: String,
        /// Parameters, may be empty.
        parameters: String,
    },
    /// One more recipient, with parameters of RCPT.
    AddRecipient {
        /// The path as the filter wrote it.
        path: String,
        /// Parameters, may be empty.
        parameters: String,
    },
    /// A recipient less.
    RemoveRecipient {
        /// The path as the filter wrote it.
        path: String,
    },
    /// Another body, whole.
    Body(Bytes),
    /// The message is to be set aside.
    Quarantine {
        /// Why.
        reason: String,
    },
}

impl Field {
    /// A field made of a name and a value that another program gave. Line ends become CRLF;
    /// a line of the value that would begin a field of its own is made a continuation.
    pub fn new(name: &str, value: &[u8], leading_space: bool) -> Self {
        let mut octets = name.as_bytes().to_vec();
        octets.push(b':');
        if !leading_space && !value.is_empty() {
            octets.push(b' ');
        }
        let mut first = true;
        for line in value.split(|&b| b == b'\n').map(<[u8]>::trim_ascii_end) {
            if !first {
                // An empty line would end the header.
                if line.trim_ascii().is_empty() {
                    continue;
                }
                octets.extend_from_slice(b"\r\n");
                if !line.starts_with(b" ") && !line.starts_with(b"\t") {
                    octets.push(b'\t');
                }
            }
            first = false;
            octets.extend(line.iter().map(|&b| if matches!(b, b'\r' | 0) { b' ' } else { b }));
        }
        octets.extend_from_slice(b"\r\n");
        Self { name: name.to_owned(), octets }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its octets with the last line end.
    pub fn as_bytes(&self) -> &[u8] {
        &self.octets
    }

    /// What follows the colon as milters see it: lines end in LF, the last line end is gone,
    /// and the one space after the colon too unless `leading_space`.
    pub fn value(&self, leading_space: bool) -> Vec<u8> {
        let colon = self.octets.iter().position(|&b| b == b':').map_or(0, |at| at + 1);
        let mut raw = &self.octets[colon..];
        if !leading_space {
            raw = raw.strip_prefix(b" ").unwrap_or(raw);
        }
        let mut value: Vec<u8> = Vec::with_capacity(raw.len());
        for &b in raw {
            if b == b'\n' && value.last() == Some(&b'\r') {
                value.pop();
            }
            // A NUL would end the string in the packet.
            value.push(if b == 0 { b' ' } else { b });
        }
        while matches!(value.last(), Some(b'\n' | b'\r')) {
            value.pop();
        }
        value
    }
}

impl Message {
    /// Takes a whole message apart.
    ///
    /// # Errors
    ///
    /// [`HeaderError`] when the header exceeds its limits.
    pub fn read(octets: &Bytes) -> Result<Self, HeaderError> {
        let header = Header::scan(octets)?;
        let fields = header
            .fields()
            .map(|field| Field { name: field.name().to_owned(), octets: field.as_bytes().to_vec() })
            .collect();
        Ok(Self { fields, body: octets.slice(header.body_start()..), changed: false })
    }

    /// Its fields in order.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// What follows the empty line.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Whether a change was made.
    pub fn is_changed(&self) -> bool {
        self.changed
    }

    /// Makes one change to the content; what concerns the envelope is left to the caller.
    /// `leading_space` says whether values carry their own space after the colon.
    pub fn apply(&mut self, change: &Change, leading_space: bool) {
        match change {
            Change::AddField { name, value } => {
                self.insert(self.fields.len(), Field::new(name, value, leading_space));
            }
            Change::InsertField { at, name, value } => {
                let at = (*at as usize).saturating_sub(1);
                self.insert(at, Field::new(name, value, leading_space));
            }
            Change::ChangeField { nth, name, value } => {
                self.change(*nth, name, value, leading_space);
            }
            Change::Body(body) => {
                self.body = body.clone();
                self.changed = true;
            }
            Change::Sender { .. }
            | Change::AddRecipient { .. }
            | Change::RemoveRecipient { .. }
            | Change::Quarantine { .. } => {}
        }
    }

    /// Removes every field of a name.
    pub fn remove_all(&mut self, name: &str) {
        let before = self.fields.len();
        self.fields.retain(|field| !field.name.eq_ignore_ascii_case(name));
        self.changed |= self.fields.len() != before;
    }

    fn insert(&mut self, at: usize, field: Field) {
        if self.fields.len() < mail::header::FIELDS_MAX {
            self.fields.insert(at.min(self.fields.len()), field);
            self.changed = true;
        }
    }

    fn change(&mut self, nth: u32, name: &str, value: &[u8], leading_space: bool) {
        let nth = (nth.max(1) - 1) as usize;
        let same = |(_, field): &(usize, &Field)| field.name.eq_ignore_ascii_case(name);
        let found = self.fields.iter().enumerate().filter(same).nth(nth).map(|(at, _)| at);
        match found {
            Some(at) if value.is_empty() => {
                self.fields.remove(at);
                self.changed = true;
            }
            Some(at) => {
                self.fields[at] = Field::new(name, value, leading_space);
                self.changed = true;
            }
            None if value.is_empty() => {}
            // As Sendmail does: to change what is not there is to add it.
            None => self.insert(self.fields.len(), Field::new(name, value, leading_space)),
        }
    }

    /// The header with its empty line.
    pub fn head(&self) -> Vec<u8> {
        let octets = self.fields.iter().map(|field| field.octets.len()).sum::<usize>() + 2;
        let mut head = Vec::with_capacity(octets);
        for field in &self.fields {
            head.extend_from_slice(&field.octets);
            if !field.octets.ends_with(b"\n") {
                head.extend_from_slice(b"\r\n");
            }
        }
        head.extend_from_slice(b"\r\n");
        head
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Message {
        Message::read(&Bytes::copy_from_slice(text.as_bytes())).unwrap()
    }

    fn text(message: &Message) -> String {
        String::from_utf8([&message.head()[..], message.body()].concat()).unwrap()
    }

    #[test]
    fn a_message_nobody_changes_keeps_its_octets() {
        let whole = "From: a\r\nTo:b\r\n\tc\r\nX-Odd :  d \r\n\r\nbody\r\n";
        let message = message(whole);
        assert_eq!(text(&message), whole);
        assert!(!message.is_changed());
    }

    #[test]
    fn fields_are_added_inserted_changed_and_removed_where_the_filter_says() {
        let mut message = message("A: 1\r\nB: 2\r\nA: 3\r\n\r\nbody\r\n");
        let field = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
        let (name, value) = field("Last", "x");
        message.apply(&Change::AddField { name, value }, false);
        let (name, value) = field("Top", "y");
        message.apply(&Change::InsertField { at: 1, name, value }, false);
        let (name, value) = field("Second", " z");
        message.apply(&Change::InsertField { at: 2, name, value }, true);
        let (name, value) = field("a", "4");
        message.apply(&Change::ChangeField { nth: 2, name, value }, false);
        let (name, value) = field("B", "");
        message.apply(&Change::ChangeField { nth: 1, name, value }, false);
        let (name, value) = field("New", "n");
        message.apply(&Change::ChangeField { nth: 3, name, value }, false);
        message.apply(&Change::Body(Bytes::from_static(b"other\r\n")), false);
        let after = "Top: y\r\nSecond: z\r\nA: 1\r\na: 4\r\nLast: x\r\nNew: n\r\n\r\nother\r\n";
        assert_eq!(text(&message), after);
    }

    #[test]
    fn a_filters_value_cannot_begin_another_field_or_end_the_header() {
        let field = Field::new("X", b"a\nBcc: b\r\n\r\n\n c\0d\re", false);
        assert_eq!(field.as_bytes(), b"X: a\r\n\tBcc: b\r\n c d e\r\n");
    }

    #[test]
    fn milters_see_a_value_without_the_one_space_and_with_plain_line_ends() {
        let message = message("Subject:  two\r\n\tlines\r\n\r\n");
        assert_eq!(message.fields()[0].value(false), b" two\n\tlines");
        assert_eq!(message.fields()[0].value(true), b"  two\n\tlines");
    }
}
