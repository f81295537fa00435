//! The two ways to write a header field or a body before it is hashed (RFC 6376 section 3.4).

use aws_lc_rs::digest::{self, Context, Digest};

/// How much may change on the way without breaking a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Canonicalization {
    /// Nothing but empty lines at the end of the body.
    Simple,
    /// White space, folding, and the case of field names.
    Relaxed,
}

impl Canonicalization {
    /// The word in `c=`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Simple => "simple",
            Self::Relaxed => "relaxed",
        }
    }

    /// Reads the value of a `c=` tag: that of the header and that of the body.
    pub fn parse(text: &str) -> Option<(Self, Self)> {
        let one = |word: &str| {
            [Self::Simple, Self::Relaxed].into_iter().find(|c| c.word().eq_ignore_ascii_case(word))
        };
        match text.split_once('/') {
            Some((header, body)) => Some((one(header)?, one(body)?)),
            None => Some((one(text)?, Self::Simple)),
        }
    }
}

/// Writes a field with its CRLF to `out`: `name` and `value` are what stands before and
/// after the colon, as it came, without the CRLF at the end.
pub fn field(how: Canonicalization, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    match how {
        Canonicalization::Simple => {
            out.extend_from_slice(name);
            out.push(b':');
            out.extend_from_slice(value);
        }
        Canonicalization::Relaxed => {
            out.extend(name.trim_ascii_end().iter().map(u8::to_ascii_lowercase));
            out.push(b':');
            let mut words = value.split(|b| is_blank(*b)).filter(|word| !word.is_empty());
            if let Some(first) = words.next() {
                out.extend_from_slice(first);
            }
            for word in words {
                out.push(b' ');
                out.extend_from_slice(word);
            }
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// The SHA-256 of a body that comes in pieces. Holds at most [`BUFFER_OCTETS`] of it.
#[derive(Clone)]
pub struct BodyHash {
    how: Canonicalization,
    context: Context,
    /// How many octets are still to be hashed, where `l=` says so.
    left: u64,
    /// Octets of the whole canonical body.
    octets: u64,
    buffer: Vec<u8>,
    line_ends: u64,
    blank: bool,
    carriage_return: bool,
}

/// A body that has come to its end.
pub struct BodyDigest {
    /// Its SHA-256.
    pub sha256: Digest,
    /// Octets of the whole canonical body, hashed or not.
    pub octets: u64,
}

/// Canonical octets that are hashed at a time.
pub const BUFFER_OCTETS: usize = 8 * 1024;

impl BodyHash {
    /// Of a body of which the first `limit` canonical octets count (`l=`); all if `None`.
    pub fn new(how: Canonicalization, limit: Option<u64>) -> Self {
        Self {
            how,
            context: Context::new(&digest::SHA256),
            left: limit.unwrap_or(u64::MAX),
            octets: 0,
            buffer: Vec::with_capacity(BUFFER_OCTETS),
            line_ends: 0,
            blank: false,
            carriage_return: false,
        }
    }

    /// Takes the next piece of the body as it came.
    pub fn push(&mut self, mut piece: &[u8]) {
        while let Some(&byte) = piece.first() {
            let run = match byte {
                b'\r' | b'\n' => 0,
                b' ' | b'\t' if self.how == Canonicalization::Relaxed => 0,
                _ => self.ordinary(piece),
            };
            if run > 0 {
                self.flush_pending();
                self.put(&piece[..run]);
                piece = &piece[run..];
                continue;
            }
            match byte {
                b'\n' => {
                    (self.blank, self.carriage_return) = (false, false);
                    self.line_ends += 1;
                }
                b'\r' => {
                    if self.carriage_return {
                        self.flush_pending();
                    }
                    self.carriage_return = true;
                }
                _ => {
                    if self.carriage_return {
                        self.flush_pending();
                    }
                    self.blank = true;
                }
            }
            piece = &piece[1..];
        }
    }

    /// The digest, when the body is over.
    pub fn finish(mut self) -> BodyDigest {
        self.blank = false;
        if self.carriage_return {
            self.flush_pending();
        }
        // An empty body is one empty line in simple form, and nothing in relaxed form.
        if self.how == Canonicalization::Simple || self.octets > 0 {
            self.put(b"\r\n");
        }
        self.hash();
        BodyDigest { sha256: self.context.finish(), octets: self.octets }
    }

    /// How many octets from here on are passed on as they are.
    fn ordinary(&self, piece: &[u8]) -> usize {
        let end = match self.how {
            Canonicalization::Simple => memchr::memchr2(b'\r', b'\n', piece),
            Canonicalization::Relaxed => piece.iter().position(|byte| is_blank(*byte)),
        };
        end.unwrap_or(piece.len())
    }

    /// Writes what may have been the end of the body and was not.
    fn flush_pending(&mut self) {
        while self.line_ends > 0 {
            self.line_ends -= 1;
            self.put(b"\r\n");
        }
        if std::mem::take(&mut self.blank) {
            self.put(b" ");
        }
        if std::mem::take(&mut self.carriage_return) {
            self.put(b"\r");
        }
    }

    fn put(&mut self, mut bytes: &[u8]) {
        self.octets += bytes.len() as u64;
        while !bytes.is_empty() {
            let room = BUFFER_OCTETS - self.buffer.len();
            let (now, later) = bytes.split_at(bytes.len().min(room));
            self.buffer.extend_from_slice(now);
            bytes = later;
            if self.buffer.len() == BUFFER_OCTETS {
                self.hash();
            }
        }
    }

    fn hash(&mut self) {
        let count = self.left.min(self.buffer.len() as u64);
        self.context.update(&self.buffer[..count as usize]);
        self.left -= count;
        self.buffer.clear();
    }
}

/// The SHA-256 of `data`.
pub fn sha256(data: &[u8]) -> Digest {
    digest::digest(&digest::SHA256, data)
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hash of `body`, cut into pieces of every length, must be that of `canonical`.
    fn becomes(how: Canonicalization, body: &[u8], canonical: &[u8]) {
        for size in 1..=body.len().max(1) {
            let mut hash = BodyHash::new(how, None);
            body.chunks(size).for_each(|piece| hash.push(piece));
            let digest = hash.finish();
            let shown = String::from_utf8_lossy(body);
            assert_eq!(
                digest.sha256.as_ref(),
                sha256(canonical).as_ref(),
                "{how:?} {shown:?} by {size}"
            );
            assert_eq!(digest.octets, canonical.len() as u64, "{how:?} {shown:?}");
        }
    }

    #[test]
    fn simple_bodies_lose_only_the_empty_lines_at_their_end() {
        let simple = Canonicalization::Simple;
        becomes(simple, b"", b"\r\n");
        becomes(simple, b"\r\n\r\n", b"\r\n");
        becomes(simple, b"a", b"a\r\n");
        becomes(simple, b" C \r\nD \t E\r\n\r\n\r\n", b" C \r\nD \t E\r\n");
        becomes(simple, b"a\r\n\r\n b\r\n \r\n", b"a\r\n\r\n b\r\n \r\n");
    }

    #[test]
    fn relaxed_bodies_lose_white_space() {
        let relaxed = Canonicalization::Relaxed;
        becomes(relaxed, b"", b"");
        becomes(relaxed, b"\r\n \r\n", b"");
        becomes(relaxed, b" C \r\nD \t E\r\n\r\n\r\n", b" C\r\nD E\r\n");
        becomes(relaxed, b"a\t\r\n\r\n  b", b"a\r\n\r\n b\r\n");
    }

    #[test]
    fn a_length_hashes_the_beginning_and_counts_the_whole() {
        let mut hash = BodyHash::new(Canonicalization::Simple, Some(3));
        hash.push(b"abcdef\r\n");
        let digest = hash.finish();
        assert_eq!((digest.sha256.as_ref(), digest.octets), (sha256(b"abc").as_ref(), 8));
    }

    #[test]
    fn fields_are_written_as_the_standard_shows_them() {
        let write = |how| {
            let mut out = Vec::new();
            field(how, b"A", b" X", &mut out);
            field(how, b"B ", b" Y\t\r\n\tZ  ", &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(write(Canonicalization::Relaxed), "a:X\r\nb:Y Z\r\n");
        assert_eq!(write(Canonicalization::Simple), "A: X\r\nB : Y\t\r\n\tZ  \r\n");
    }

    #[test]
    fn a_body_is_simple_unless_it_is_said() {
        use Canonicalization::{Relaxed, Simple};
        assert_eq!(Canonicalization::parse("relaxed"), Some((Relaxed, Simple)));
        assert_eq!(Canonicalization::parse("simple/relaxed"), Some((Simple, Relaxed)));
        assert_eq!(Canonicalization::parse("nofws"), None);
    }
}
