//! Message content on its way out: checked, dot-stuffed, ended.

use memchr::{memchr, memchr2, memchr2_iter};

/// What a look over a message's content finds.
///
/// Only content whose lines end in CRLF and that holds no other CR or LF may
/// travel by DATA: a peer that takes a bare LF for a line end would see a
/// second message in it (SMTP smuggling).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Content {
    /// Its length before dot-stuffing.
    pub octets: u64,
    /// The header holds octets above 127 (RFC 6532).
    pub eight_bit_header: bool,
    /// The body holds octets above 127 (RFC 6152).
    pub eight_bit_body: bool,
}

/// The content holds a CR or LF that is not part of a CRLF.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the content has a bare CR or LF at octet {offset}")]
pub struct BareLineEnd {
    /// Where, counted from 0.
    pub offset: u64,
}

/// Looks over content piece by piece; the pieces may be split anywhere.
#[derive(Debug, Clone, Default)]
pub struct Survey {
    seen: Content,
    last: Option<u8>,
    in_body: bool,
    line_empty: bool,
    bare: Option<BareLineEnd>,
}

impl Survey {
    /// A survey of content that begins with its header.
    pub fn new() -> Self {
        Self { line_empty: true, ..Self::default() }
    }

    /// Looks over the whole of `content`.
    pub fn of(content: &[u8]) -> Self {
        let mut survey = Self::new();
        survey.add(content);
        survey
    }

    /// Looks over the next piece.
    pub fn add(&mut self, piece: &[u8]) {
        let mut rest = piece;
        while !self.in_body
            && let Some(end) = memchr(b'\n', rest)
        {
            let (line, after) = rest.split_at(end + 1);
            self.add_line(line);
            rest = after;
        }
        if self.in_body {
            self.add_body(rest);
        } else {
            self.add_line(rest);
        }
    }

    /// What was found, and the first bare CR or LF if there is one.
    ///
    /// # Errors
    ///
    /// [`BareLineEnd`]: the content may travel only by BDAT.
    pub fn finish(self) -> Result<Content, BareLineEnd> {
        match (self.bare, self.last) {
            (Some(bare), _) => Err(bare),
            (None, Some(b'\r')) => Err(BareLineEnd { offset: self.seen.octets - 1 }),
            (None, _) => Ok(self.seen),
        }
    }

    /// What was found, for content that travels by BDAT and may hold anything.
    pub fn finish_binary(self) -> Content {
        self.seen
    }

    /// `line` holds at most one LF, at its end; it may be the rest of a line.
    fn add_line(&mut self, line: &[u8]) {
        let Some((&end, head)) = line.split_last() else { return };
        let text = if end == b'\n' { head } else { line };
        if end == b'\n' {
            let before = head.last().copied().or(self.last);
            if before != Some(b'\r') {
                self.note(head.len());
            }
        }
        // A CR is fine only as the octet before the LF.
        let carried = self.last == Some(b'\r') && line.first() != Some(&b'\n');
        if carried && self.bare.is_none() {
            self.bare = Some(BareLineEnd { offset: self.seen.octets - 1 });
        }
        let inner = match (end, text.split_last()) {
            (_, Some((&b'\r', inner))) => inner,
            _ => text,
        };
        if let Some(at) = inner.iter().position(|&b| b == b'\r') {
            self.note(at);
        }
        if !line.is_ascii() {
            let part = if self.in_body {
                &mut self.seen.eight_bit_body
            } else {
                &mut self.seen.eight_bit_header
            };
            *part = true;
        }
        if !inner.is_empty() {
            self.line_empty = false;
        }
        if end == b'\n' {
            self.in_body |= self.line_empty;
            self.line_empty = true;
        }
        self.seen.octets += line.len() as u64;
        self.last = Some(end);
    }

    /// In the body, lines need not be told apart.
    fn add_body(&mut self, piece: &[u8]) {
        let (Some(&first), Some(&end)) = (piece.first(), piece.last()) else { return };
        self.seen.eight_bit_body |= !piece.is_ascii();
        if self.bare.is_none() {
            let after_cr = self.last == Some(b'\r');
            if after_cr && first != b'\n' {
                self.bare = Some(BareLineEnd { offset: self.seen.octets - 1 });
            } else {
                let from = usize::from(after_cr);
                if let Some(at) = bare_line_end(&piece[from..]) {
                    self.note(from + at);
                }
            }
        }
        self.seen.octets += piece.len() as u64;
        self.last = Some(end);
    }

    fn note(&mut self, within: usize) {
        if self.bare.is_none() {
            self.bare = Some(BareLineEnd { offset: self.seen.octets + within as u64 });
        }
    }
}

/// The first CR or LF in `text` that is not part of a CRLF. What comes after a CR at its end
/// is for the caller to see.
fn bare_line_end(text: &[u8]) -> Option<usize> {
    let mut ends = memchr2_iter(b'\r', b'\n', text);
    while let Some(at) = ends.next() {
        match text.get(at + 1) {
            Some(b'\n') if text[at] == b'\r' => ends.next(),
            None if text[at] == b'\r' => return None,
            Some(_) | None => return Some(at),
        };
    }
    None
}

/// Dot-stuffs content for DATA (RFC 5321 section 4.5.2). The pieces may be split anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DotStuffing {
    last: Ending,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    LineStart,
    Inside,
    AfterCr,
}

impl DotStuffing {
    pub(crate) fn new() -> Self {
        Self { last: Ending::LineStart }
    }

    /// Appends `piece` to `out` in the form it has between DATA and the final dot.
    ///
    /// # Errors
    ///
    /// [`BareLineEnd`] (its offset is within `piece`): nothing more may be
    /// sent, and above all not the final dot.
    pub(crate) fn encode(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), BareLineEnd> {
        let Some(&first) = piece.first() else { return Ok(()) };
        let bare = |at: usize| BareLineEnd { offset: at as u64 };
        if self.last == Ending::AfterCr && first != b'\n' {
            return Err(bare(0));
        }
        out.reserve(piece.len() + piece.len() / 64 + 8);
        let mut at = usize::from(self.last == Ending::AfterCr);
        let mut line_start = self.last != Ending::Inside;
        let mut kept = 0; // piece[kept..] is not in `out` yet
        self.last = loop {
            if line_start && piece.get(at) == Some(&b'.') {
                out.extend_from_slice(&piece[kept..at]);
                out.push(b'.');
                kept = at;
            }
            let Some(found) = memchr2(b'\r', b'\n', &piece[at..]) else {
                let at_start = line_start && at == piece.len();
                break if at_start { Ending::LineStart } else { Ending::Inside };
            };
            let end = at + found;
            match (piece[end], piece.get(end + 1)) {
                (b'\r', Some(b'\n')) => (at, line_start) = (end + 2, true),
                (b'\r', None) => break Ending::AfterCr,
                _ => return Err(bare(end)),
            }
        };
        out.extend_from_slice(&piece[kept..]);
        Ok(())
    }

    /// Appends the end of the data: a CRLF where the content lacks its last
    /// one, and the line with the dot alone.
    ///
    /// # Errors
    ///
    /// [`BareLineEnd`] when the content ended in a CR.
    pub(crate) fn finish(self, out: &mut Vec<u8>) -> Result<(), BareLineEnd> {
        match self.last {
            Ending::LineStart => out.extend_from_slice(b".\r\n"),
            Ending::Inside => out.extend_from_slice(b"\r\n.\r\n"),
            Ending::AfterCr => return Err(BareLineEnd { offset: 0 }),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stuffed(pieces: &[&[u8]]) -> Result<Vec<u8>, BareLineEnd> {
        let mut out = Vec::new();
        let mut stuffing = DotStuffing::new();
        for piece in pieces {
            stuffing.encode(piece, &mut out)?;
        }
        stuffing.finish(&mut out)?;
        Ok(out)
    }

    #[test]
    fn a_line_that_begins_with_a_dot_gets_another() {
        assert_eq!(stuffed(&[b"a\r\n.\r\n..b\r\n"]).unwrap(), b"a\r\n..\r\n...b\r\n.\r\n");
        assert_eq!(stuffed(&[b".start\r\n"]).unwrap(), b"..start\r\n.\r\n");
    }

    #[test]
    fn content_without_a_last_line_end_gets_one() {
        assert_eq!(stuffed(&[b"a"]).unwrap(), b"a\r\n.\r\n");
        assert_eq!(stuffed(&[]).unwrap(), b".\r\n");
    }

    #[test]
    fn a_bare_cr_or_lf_never_leaves() {
        for bad in [&b"a\n.\r\n"[..], b"\n", b"a\rb\r\n", b"a\r\r\n", b"x\r\n\r", b"\r.\r\n"] {
            assert!(stuffed(&[bad]).is_err(), "{bad:?}");
            assert!(Survey::of(bad).finish().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_place_of_a_bare_line_end_is_given() {
        assert_eq!(Survey::of(b"ab\r\ncd\n").finish(), Err(BareLineEnd { offset: 6 }));
        assert_eq!(Survey::of(b"ab\rcd\r\n").finish(), Err(BareLineEnd { offset: 2 }));
        assert_eq!(Survey::of(b"ab\r").finish(), Err(BareLineEnd { offset: 2 }));
    }

    #[test]
    fn splitting_changes_nothing() {
        let contents: [&[u8]; 11] = [
            b"Subject: x\r\n\r\n.\r\n..\r\nend",
            b"a\r\r\nb",
            b"\r\n.\r\n\r\n",
            b"a\nb\r\n",
            b"Subject: \xc3\xa4\r\n\r\n\xc3\xa4",
            b"x\r",
            b"\r\na\rb\r\n.c\r\n",
            b"\r\na\r\n.\n.b",
            b"\r\n.\r\n\r",
            b"\r\na\r\r\n",
            b"\r\n..\r\n\r\n.\xc3\xa4.\r\n.",
        ];
        for content in contents {
            let whole = stuffed(&[content]);
            let survey = Survey::of(content).finish();
            for at in 0..=content.len() {
                let (a, b) = content.split_at(at);
                let split = stuffed(&[a, b]);
                assert_eq!(split.is_err(), whole.is_err(), "{content:?} at {at}");
                if let (Ok(split), Ok(whole)) = (&split, &whole) {
                    assert_eq!(split, whole);
                }
                let mut parts = Survey::new();
                parts.add(a);
                parts.add(b);
                assert_eq!(parts.finish(), survey, "{content:?} at {at}");
            }
        }
    }

    #[test]
    fn eight_bit_octets_are_told_apart_by_header_and_body() {
        let header = Survey::of(b"Subject: \xc3\xa4\r\n\r\nbody\r\n").finish().unwrap();
        assert!(header.eight_bit_header && !header.eight_bit_body);
        let body = Survey::of(b"Subject: a\r\n\r\n\xc3\xa4\r\n").finish().unwrap();
        assert!(!body.eight_bit_header && body.eight_bit_body);
        assert_eq!(body.octets, 18);
    }
}
