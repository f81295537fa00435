//! Content as it comes by DATA and BDAT: the end found, dots taken away, lines checked.

use memchr::memchr3;

use super::exchange::ContentFacts;
use super::settings::CONTENT_OVERRUN_MAX_OCTETS;
use crate::refusal::Fault;

/// Takes the content of one message, in pieces.
///
/// Only CRLF ends a line and, under [`Form::Dotted`], only CRLF.CRLF the content. At the first
/// flaw it stops handing content out and only looks for the end.
#[derive(Debug)]
pub(super) struct Decoder {
    form: Form,
    max_octets: u64,
    line_max_octets: usize,
    place: Place,
    line_octets: usize,
    taken_octets: u64,
    facts: ContentFacts,
    flaw: Option<Fault>,
}

/// How content is brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// By DATA: dot-stuffed lines (RFC 5321 section 4.5.2).
    Dotted,
    /// By BDAT: lines as they are.
    Chunked,
    /// By BDAT with BODY=BINARYMIME: any octets (RFC 3030 section 3).
    Binary,
}

/// Where in a line the next octet stands.
///
/// ```text
///              '.'          CR           LF
///  LineStart ─────▶ Dot ─────────▶ DotCr ────▶ end of content
///    │   ▲           │ other: the dot goes, the rest is text
///    ▼   │ LF        ▼
///   Text ──────▶ Cr
///          CR
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    LineStart,
    Dot,
    DotCr,
    Text,
    Cr,
}

/// How far taking a piece went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// All was taken; there is more to come.
    More,
    /// The content ended after this many octets.
    Ended(usize),
    /// So much more than the limit has come that reading to the end is no longer worth it.
    Overrun,
}

impl Decoder {
    pub(super) fn new(form: Form, max_octets: u64, line_max_octets: usize) -> Self {
        Self {
            form,
            max_octets,
            line_max_octets,
            place: Place::LineStart,
            line_octets: 0,
            taken_octets: 0,
            facts: ContentFacts::default(),
            flaw: None,
        }
    }

    /// Takes `input` up to the end of the content, and appends what is content to `content`.
    pub(super) fn decode(&mut self, input: &[u8], content: &mut Vec<u8>) -> Progress {
        let allowance = self.overrun_at().saturating_sub(self.taken_octets);
        let window = &input[..input.len().min(usize::try_from(allowance).unwrap_or(usize::MAX))];
        let ended = match self.form {
            Form::Binary => {
                self.keep(window, content);
                None
            }
            Form::Dotted | Form::Chunked => self.scan(window, content),
        };
        if self.flaw.is_some() {
            content.clear();
        }
        self.taken_octets += ended.unwrap_or(window.len()) as u64;
        match ended {
            Some(taken) => Progress::Ended(taken),
            None if self.taken_octets >= self.overrun_at() => Progress::Overrun,
            None => Progress::More,
        }
    }

    /// What was seen, or what is wrong with it, now that the content is complete.
    pub(super) fn finish(mut self) -> Result<ContentFacts, Fault> {
        if self.place == Place::Cr {
            self.spoil(Fault::ContentLineEnding);
        }
        self.end_line();
        self.flaw.map_or(Ok(self.facts), Err)
    }

    /// What is wrong with the content so far.
    pub(super) fn flaw(&self) -> Option<&Fault> {
        self.flaw.as_ref()
    }

    /// Octets of content so far.
    pub(super) fn octets(&self) -> u64 {
        self.facts.octets
    }

    fn overrun_at(&self) -> u64 {
        self.max_octets.saturating_add(CONTENT_OVERRUN_MAX_OCTETS)
    }

    /// Gives the place after the end of the content, if that is in `input`.
    fn scan(&mut self, input: &[u8], content: &mut Vec<u8>) -> Option<usize> {
        let (mut at, mut kept) = (0, 0); // input[kept..at] is content not yet appended
        while let Some(&byte) = input.get(at) {
            match self.place {
                Place::LineStart if byte == b'.' && self.form == Form::Dotted => {
                    self.keep(&input[kept..at], content);
                    at += 1;
                    kept = at;
                    self.place = Place::Dot;
                }
                Place::Dot if byte == b'\r' => {
                    at += 1;
                    kept = at;
                    self.place = Place::DotCr;
                }
                Place::DotCr if byte == b'\n' => return Some(at + 1),
                Place::Cr if byte == b'\n' => {
                    at += 1;
                    self.end_line();
                    self.place = Place::LineStart;
                }
                Place::LineStart | Place::Dot => self.place = Place::Text,
                Place::DotCr | Place::Cr => {
                    self.spoil(Fault::ContentLineEnding);
                    self.place = Place::Text;
                }
                Place::Text => at += self.scan_text(&input[at..]),
            }
        }
        self.keep(&input[kept..], content);
        None
    }

    /// Passes over text up to and with the next CR, LF or NUL; gives its length.
    fn scan_text(&mut self, text: &[u8]) -> usize {
        let Some(found) = memchr3(b'\r', b'\n', 0, text) else {
            self.line_octets = self.line_octets.saturating_add(text.len());
            return text.len();
        };
        self.line_octets = self.line_octets.saturating_add(found);
        match text[found] {
            b'\r' => self.place = Place::Cr,
            b'\n' => self.spoil(Fault::ContentLineEnding),
            _ => self.spoil(Fault::ContentNul),
        }
        found + 1
    }

    fn end_line(&mut self) {
        if self.line_octets > self.line_max_octets {
            self.spoil(Fault::ContentLineTooLong { limit_octets: self.line_max_octets });
        }
        self.facts.longest_line_octets = self.facts.longest_line_octets.max(self.line_octets);
        self.line_octets = 0;
    }

    fn keep(&mut self, octets: &[u8], content: &mut Vec<u8>) {
        self.facts.octets += octets.len() as u64;
        if self.facts.octets > self.max_octets {
            self.spoil(Fault::TooLarge { limit_octets: self.max_octets });
        }
        if self.flaw.is_none() {
            self.facts.eight_bit |= !octets.is_ascii();
            content.extend_from_slice(octets);
        }
    }

    /// The first flaw is the one the client is told.
    fn spoil(&mut self, flaw: Fault) {
        self.flaw.get_or_insert(flaw);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Decodes pieces of `size`; gives content and verdict, or `None` if it never ended.
    fn decode(bytes: &[u8], size: usize) -> Option<(Vec<u8>, Result<ContentFacts, Fault>)> {
        let mut decoder = Decoder::new(Form::Dotted, 1000, 50);
        let mut whole = Vec::new();
        for piece in bytes.chunks(size) {
            let mut content = Vec::new();
            let progress = decoder.decode(piece, &mut content);
            whole.extend(content);
            match progress {
                Progress::More => {}
                Progress::Ended(_) => return Some((whole, decoder.finish())),
                Progress::Overrun => return None,
            }
        }
        None
    }

    #[test]
    fn dots_at_the_start_of_a_line_are_taken_away() {
        for (wire, content) in [
            (&b".\r\n"[..], &b""[..]),
            (b"a\r\n.\r\n", b"a\r\n"),
            (b"..\r\n...a\r\n.b\r\nc.\r\n.\r\n", b".\r\n..a\r\nb\r\nc.\r\n"),
            (b"\r\n\r\n.\r\n", b"\r\n\r\n"),
        ] {
            for size in 1..=wire.len() {
                let (decoded, verdict) = decode(wire, size).unwrap();
                assert_eq!(decoded, content);
                assert_eq!(verdict.unwrap().octets, content.len() as u64);
            }
        }
    }

    #[test]
    fn facts_are_those_of_the_content() {
        let (_, verdict) = decode(b"..four\r\n\xc3\xa4\r\n.\r\n", 3).unwrap();
        let facts = ContentFacts { octets: 11, eight_bit: true, longest_line_octets: 5 };
        assert_eq!(verdict, Ok(facts));
    }

    #[test]
    fn flaws_are_found_and_the_end_is_still_the_end() {
        for (wire, flaw) in [
            (b"a\nb\r\n.\r\n".to_vec(), Fault::ContentLineEnding),
            (b"a\rb\r\n.\r\n".to_vec(), Fault::ContentLineEnding),
            (b".\rb\r\n.\r\n".to_vec(), Fault::ContentLineEnding),
            (b"a\0b\r\n.\r\n".to_vec(), Fault::ContentNul),
            (
                [&[b'x'; 51][..], b"\r\n.\r\n"].concat(),
                Fault::ContentLineTooLong { limit_octets: 50 },
            ),
            (
                [&b"12345678\r\n".repeat(101)[..], b".\r\n"].concat(),
                Fault::TooLarge { limit_octets: 1000 },
            ),
        ] {
            for size in [1, 2, 3, 7, wire.len()] {
                assert_eq!(decode(&wire, size).unwrap().1, Err(flaw.clone()), "{size}");
            }
        }
        assert!(decode(&[&[b'x'; 50][..], b"\r\n.\r\n"].concat(), 9).unwrap().1.is_ok());
    }

    #[test]
    fn content_without_end_is_given_up() {
        let mut decoder = Decoder::new(Form::Dotted, 1000, 50);
        let piece = vec![b'x'; 1 << 20];
        let mut pieces = 0;
        while decoder.decode(&piece, &mut Vec::new()) == Progress::More {
            pieces += 1;
        }
        assert_eq!(pieces, 16);
    }

    #[test]
    fn chunks_are_not_dotted() {
        let mut decoder = Decoder::new(Form::Chunked, 1000, 50);
        let mut content = Vec::new();
        assert_eq!(decoder.decode(b".\r\n..\r", &mut content), Progress::More);
        assert_eq!(decoder.decode(b"\n.", &mut content), Progress::More);
        assert_eq!(content, b".\r\n..\r\n.");
        assert_eq!(decoder.finish().unwrap().longest_line_octets, 2);
    }

    proptest! {
        #[test]
        fn what_is_stuffed_is_unstuffed(
            lines in proptest::collection::vec("[.a]{0,5}", 0..10),
            size in 1_usize..20,
        ) {
            let content: Vec<u8> = lines.iter().flat_map(|l| format!("{l}\r\n").into_bytes()).collect();
            let mut wire: Vec<u8> = Vec::new();
            for line in &lines {
                let dot = if line.starts_with('.') { "." } else { "" };
                wire.extend(format!("{dot}{line}\r\n").bytes());
            }
            wire.extend(b".\r\n");
            let (decoded, verdict) = decode(&wire, size).unwrap();
            prop_assert!(verdict.is_ok());
            prop_assert_eq!(decoded, content);
        }
    }
}
