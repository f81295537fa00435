//! Lines of commands, in bounded memory. Only CRLF ends one.

use memchr::{memchr, memchr2};

use super::settings::{AUTH_LINE_MAX_OCTETS, COMMAND_LINE_MAX_OCTETS, LINE_OVERRUN_MAX_OCTETS};
use crate::refusal::Fault;

/// Finds lines in octets that come in pieces.
#[derive(Debug, Default)]
pub(super) struct Lines {
    partial: Vec<u8>,
    skipping: Option<Skip>,
}

/// Looking for the end of a line that was already refused.
#[derive(Debug)]
struct Skip {
    after_cr: bool,
    octets: usize,
}

/// What reading found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// All input was taken and no line is complete.
    Partial,
    /// A line, without its CRLF. It may hold a CR or NUL, never an LF.
    Whole(&'a [u8]),
    /// A line that cannot be a command. Its rest will be skipped.
    Bad(Fault),
    /// A line without end.
    Endless,
}

/// What a line may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// A command.
    Command,
    /// A response to a challenge.
    AuthResponse,
}

impl Lines {
    /// Takes octets up to the end of one line. Gives how many were taken.
    pub(super) fn read<'a>(&'a mut self, input: &'a [u8], expected: Expected) -> (usize, Line<'a>) {
        let skipped = match self.skip(input) {
            Ok(skipped) => skipped,
            Err(taken) => return (taken, Line::Endless),
        };
        if self.skipping.is_some() {
            return (skipped, Line::Partial);
        }
        let input = &input[skipped..];
        let max = self.max(input, expected);
        let window = &input[..input.len().min(max.saturating_sub(self.partial.len()))];
        let Some(lf) = memchr(b'\n', window) else {
            if self.partial.len() + window.len() < max {
                self.partial.extend_from_slice(window);
                return (skipped + window.len(), Line::Partial);
            }
            self.begin_skip(window.last() == Some(&b'\r'));
            let fault = Fault::LineTooLong { limit_octets: max };
            return (skipped + window.len(), Line::Bad(fault));
        };
        let taken = skipped + lf + 1;
        let before = if lf == 0 { self.partial.last() } else { window.get(lf - 1) };
        if before != Some(&b'\r') {
            self.begin_skip(false);
            return (taken, Line::Bad(Fault::LineEnding));
        }
        (taken, Line::Whole(self.whole(&window[..=lf])))
    }

    /// Whether part of a line has come.
    pub(super) fn is_amid(&self) -> bool {
        !self.partial.is_empty() || self.skipping.is_some()
    }

    /// How much of a line is kept, in octets.
    pub(super) fn held_octets(&self) -> usize {
        self.partial.len()
    }

    /// Forgets what came of the line given out last. To be called before the next is read.
    pub(super) fn release(&mut self) {
        if !self.partial.is_empty() {
            self.partial = Vec::new();
        }
    }

    /// The line of which `end` is the last part.
    fn whole<'a>(&'a mut self, end: &'a [u8]) -> &'a [u8] {
        if self.partial.is_empty() {
            return &end[..end.len() - 2];
        }
        self.partial.extend_from_slice(end);
        &self.partial[..self.partial.len() - 2]
    }

    /// A command that begins with AUTH may carry a long initial response.
    fn max(&self, input: &[u8], expected: Expected) -> usize {
        let start = self.partial.iter().chain(input).take(5).map(u8::to_ascii_uppercase);
        if expected == Expected::AuthResponse || start.eq(*b"AUTH ") {
            AUTH_LINE_MAX_OCTETS
        } else {
            COMMAND_LINE_MAX_OCTETS
        }
    }

    fn begin_skip(&mut self, after_cr: bool) {
        self.partial = Vec::new();
        self.skipping = Some(Skip { after_cr, octets: 0 });
    }

    /// Passes over the rest of a refused line. `Err` when it does not end within the bound.
    fn skip(&mut self, input: &[u8]) -> Result<usize, usize> {
        let Some(mut skip) = self.skipping.take() else { return Ok(0) };
        let window = &input[..input.len().min(LINE_OVERRUN_MAX_OCTETS - skip.octets)];
        let mut at = 0;
        while at < window.len() {
            if skip.after_cr && window[at] == b'\n' {
                return Ok(at + 1);
            }
            skip.after_cr = false;
            // At a CR or LF; only a CR matters, and what follows it.
            match memchr2(b'\r', b'\n', &window[at..]) {
                Some(found) => {
                    at += found + 1;
                    skip.after_cr = window[at - 1] == b'\r';
                }
                None => at = window.len(),
            }
        }
        skip.octets += window.len();
        if skip.octets == LINE_OVERRUN_MAX_OCTETS {
            return Err(window.len());
        }
        self.skipping = Some(skip);
        Ok(window.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found when `bytes` come in pieces of `size`.
    fn found(bytes: &[u8], size: usize) -> Vec<String> {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        for mut piece in bytes.chunks(size) {
            while !piece.is_empty() {
                let (taken, line) = lines.read(piece, Expected::Command);
                piece = &piece[taken..];
                let shown = match line {
                    Line::Partial => continue,
                    Line::Whole(line) => line.escape_ascii().to_string(),
                    Line::Bad(fault) => fault.to_string(),
                    Line::Endless => "endless".to_owned(),
                };
                if !lines.is_skipping() {
                    lines.release();
                }
                found.push(shown);
            }
        }
        found
    }

    impl Lines {
        fn is_skipping(&self) -> bool {
            self.skipping.is_some()
        }
    }

    #[test]
    fn lines_are_the_same_however_they_come() {
        let long = [b"NOOP ", &[b'x'; 3000][..], b"\r\nQUIT\r\n"].concat();
        let auth = [b"aUtH ", &[b'x'; 3000][..], b"\r\nQUIT\r\n"].concat();
        for (bytes, count) in [
            (&b"EHLO a\r\n\r\nNOOP\r\n"[..], 3),
            (b"NOOP\nQUIT\r\nNOOP\r\n", 2),
            (b"\nNOOP\r\r\nNOOP\r\n", 2),
            (b"NOOP\rQUIT\r\nNOOP\r\n", 2),
            (&long, 2),
            (&auth, 2),
        ] {
            let whole = found(bytes, bytes.len());
            assert_eq!(whole.len(), count, "{whole:?}");
            for size in 1..20 {
                assert_eq!(found(bytes, size), whole);
            }
        }
        assert_eq!(found(&long, 9)[0], "command line is longer than 2048 octets");
        assert_eq!(found(b"NOOP\nQUIT\r\nNOOP\r\n", 3), ["bare CR or LF in a command", "NOOP"]);
    }

    #[test]
    fn a_line_of_just_the_limit_is_taken() {
        let line = |octets: usize| [&vec![b'x'; octets - 2][..], b"\r\n"].concat();
        assert!(!found(&line(COMMAND_LINE_MAX_OCTETS), 100)[0].contains("longer"));
        assert!(found(&line(COMMAND_LINE_MAX_OCTETS + 1), 100)[0].contains("longer"));
    }

    #[test]
    fn endless_lines_end() {
        let bytes = vec![b'x'; COMMAND_LINE_MAX_OCTETS + LINE_OVERRUN_MAX_OCTETS];
        assert_eq!(found(&bytes, 65_536).last().unwrap(), "endless");
    }
}
