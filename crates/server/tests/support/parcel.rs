//! Messages that can be told apart and checked: each carries its number, and its content
//! follows from number and size.

use std::fmt;

/// A message of the test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Parcel {
    /// Its number, unique in a run.
    pub number: u64,
    /// Its lines.
    pub lines: u32,
}

/// Octets of one line of content, with its CRLF.
pub const LINE_OCTETS: u32 = 64;

impl Parcel {
    /// A message of about `octets`.
    pub fn sized(number: u64, octets: u32) -> Self {
        Self { number, lines: (octets / LINE_OCTETS).max(1) }
    }

    /// The message from header to last line, dots not doubled.
    pub fn content(&self) -> String {
        let mut text = format!(
            "From: <ann@client.test>\r\nSubject: parcel {self}\r\nX-Parcel: {self}\r\n\r\n"
        );
        for line in 0..self.lines {
            text.push_str(&self.line(line));
        }
        text
    }

    /// The same as DATA wants it, with the final dot.
    pub fn dotted(&self) -> String {
        let mut text = self.content().replace("\r\n.", "\r\n..");
        text.push_str(".\r\n");
        text
    }

    /// Every eighth line begins with a dot, and one is a dot alone.
    fn line(&self, at: u32) -> String {
        match at {
            3 => ".\r\n".to_owned(),
            _ if at.is_multiple_of(8) => format!(".{:>20}{at:>41}\r\n", self.number),
            _ => format!("{:>20}{at:>42}\r\n", self.number),
        }
    }

    /// Which message this content is; says what is wrong when it is not whole.
    pub fn recognise(content: &str) -> Result<Self, String> {
        let field = content
            .lines()
            .take_while(|line| !line.is_empty())
            .find_map(|line| line.strip_prefix("X-Parcel: "))
            .ok_or_else(|| format!("no number in {:?}", content.get(..200)))?;
        let (number, lines) = field.split_once('/').ok_or("no size")?;
        let parcel = Self {
            number: number.parse().map_err(|_| "a bad number")?,
            lines: lines.trim().parse().map_err(|_| "a bad size")?,
        };
        let (_, body) = content.split_once("\r\n\r\n").ok_or("no body")?;
        let (_, wanted) = parcel
            .content()
            .split_once("\r\n\r\n")
            .map(|(a, b)| (a.len(), b.to_owned()))
            .ok_or("no body")?;
        if body == wanted {
            Ok(parcel)
        } else {
            Err(format!("parcel {parcel} has {} octets, not {}", body.len(), wanted.len()))
        }
    }
}

impl fmt::Display for Parcel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.lines)
    }
}
