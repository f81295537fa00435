//! Replies: what a server says (RFC 5321 section 4.2), written and read.

use std::borrow::Cow;
use std::fmt;

use mail::Status;

/// The longest reply line written or kept whole, in octets with its CRLF (RFC 5321 section 4.5.3.1.5).
pub const LINE_MAX_OCTETS: usize = 512;
/// The longest reply line read from a peer, in octets: room for the longest challenge of an
/// AUTH exchange (RFC 4954 section 4), not endless.
pub const PEER_LINE_MAX_OCTETS: usize = 16_384;
/// The most lines in one reply, written or read.
pub const LINES_MAX: usize = 128;
/// The most text of one reply kept from a peer, in octets.
pub const TEXT_MAX_OCTETS: usize = 16_384;
/// What a line can carry beside code, separator, the longest status and CRLF.
const LINE_TEXT_MAX_OCTETS: usize = LINE_MAX_OCTETS - "250-5.777.777 \r\n".len();

/// An SMTP reply. The enhanced status takes its class from the code, so
/// `450 5.7.1` cannot be written (RFC 3463 section 2, RFC 2034).
///
/// The text may have several lines, with `\n` between them. [`Display`](fmt::Display)
/// is the wire form with CRLF; [`summary`](Self::summary) is one line for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    status: Option<(u16, u16)>,
    text: Cow<'static, str>,
}

impl Reply {
    /// A reply with an enhanced status `class.subject.detail`, where the class is
    /// the first digit of `code`. A code outside 200 to 599 becomes 451;
    /// a 3xx code has no enhanced status.
    pub fn new(code: u16, subject: u16, detail: u16, text: impl Into<Cow<'static, str>>) -> Self {
        let mut reply = Self::plain(code, text);
        if reply.class() != 3 {
            reply.status = Some((subject.min(999), detail.min(999)));
        }
        reply
    }

    /// A reply without enhanced status: greetings, EHLO, 334 and 354 (RFC 2034 section 4).
    /// A code outside 200 to 599 becomes 451.
    pub fn plain(code: u16, text: impl Into<Cow<'static, str>>) -> Self {
        let code = if (200..600).contains(&code) { code } else { 451 };
        Self { code, status: None, text: text.into() }
    }

    /// The three digits.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The enhanced status, where there is one.
    pub fn status(&self) -> Option<Status> {
        let (subject, detail) = self.status?;
        Some(Status::new(self.class(), subject, detail))
    }

    /// The text without codes; `\n` between lines.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text of each line, without codes.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.text.split('\n')
    }

    /// The first digit: 2 done, 3 go on, 4 try later, 5 no.
    pub fn class(&self) -> u8 {
        (self.code / 100) as u8
    }

    /// 2xx.
    pub fn is_positive(&self) -> bool {
        self.class() == 2
    }

    /// 3xx.
    pub fn is_intermediate(&self) -> bool {
        self.class() == 3
    }

    /// 4xx.
    pub fn is_temporary(&self) -> bool {
        self.class() == 4
    }

    /// 5xx.
    pub fn is_permanent(&self) -> bool {
        self.class() == 5
    }

    /// One line for logs and notices: `550 5.1.1 No such user`; lines are joined by spaces.
    pub fn summary(&self) -> String {
        let mut summary = self.code.to_string();
        if let Some(status) = self.status() {
            summary.push(' ');
            summary.push_str(&status.to_string());
        }
        for line in self.lines().map(str::trim).filter(|line| !line.is_empty()) {
            summary.push(' ');
            summary.push_str(line);
        }
        summary
    }

    /// Appends the wire form to `out`. Several replies may be collected so and
    /// written at once, as RFC 2920 section 3.2 wants it.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        // Writing to memory cannot fail.
        let _ = fmt::Write::write_fmt(&mut Octets(out), format_args!("{self}"));
    }
}

/// The wire form: each line with code and status, at most [`LINE_MAX_OCTETS`] (a
/// challenge, 334, is never cut), CRLF at its end. Control characters become spaces and what is not ASCII `?`,
/// so that no text can make a line of its own.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clean = sanitized(&self.text);
        let piece_max = if self.code == 334 { usize::MAX } else { LINE_TEXT_MAX_OCTETS };
        let mut pieces = clean
            .split('\n')
            .flat_map(|line| Pieces { rest: Some(line), max: piece_max })
            .take(LINES_MAX)
            .peekable();
        while let Some(piece) = pieces.next() {
            let separator = if pieces.peek().is_some() { '-' } else { ' ' };
            write!(f, "{}{separator}", self.code)?;
            if let Some(status) = self.status() {
                write!(f, "{status} ")?;
            }
            write!(f, "{piece}\r\n")?;
        }
        Ok(())
    }
}

fn sanitized(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|b| b == b'\n' || b == b' ' || b.is_ascii_graphic()) {
        return Cow::Borrowed(text);
    }
    let clean = |c: char| match c {
        '\n' | ' ' => c,
        c if c.is_ascii_graphic() => c,
        c if c.is_ascii() => ' ',
        _ => '?',
    };
    Cow::Owned(text.chars().map(clean).collect())
}

/// Cuts an ASCII line where it is too long, at a space where there is one.
struct Pieces<'a> {
    rest: Option<&'a str>,
    max: usize,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a str;
    fn next(&mut self) -> Option<&'a str> {
        let line = self.rest?;
        if line.len() <= self.max {
            return self.rest.take();
        }
        let space = line[..self.max].rfind(' ').filter(|&at| at > 0);
        let (head, rest) = line.split_at(space.unwrap_or(self.max));
        self.rest = Some(rest.trim_start());
        Some(head)
    }
}

struct Octets<'a>(&'a mut Vec<u8>);

impl fmt::Write for Octets<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// Reads replies from the octets of a peer, however they are split.
///
/// Only CRLF ends a line. Memory is bounded by [`PEER_LINE_MAX_OCTETS`] and
/// [`TEXT_MAX_OCTETS`].
#[derive(Debug, Default)]
pub struct Reader {
    line: Vec<u8>,
    partial: Option<Partial>,
}

#[derive(Debug)]
struct Partial {
    code: u16,
    status: Option<(u16, u16)>,
    text: String,
    lines: usize,
}

/// Why what a peer sent is not a reply. The connection cannot be used further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// Not three digits (200 to 599) and then a space, a hyphen or the end.
    #[error("the peer's line is not an SMTP reply")]
    Malformed,
    /// The lines of one reply have different codes.
    #[error("the lines of the peer's reply have different codes")]
    CodesDiffer,
    /// A CR or LF alone, or a NUL.
    #[error("the peer's reply has a bare CR, a bare LF or a NUL in it")]
    BareLineEnding,
    /// Longer than [`PEER_LINE_MAX_OCTETS`], more than [`LINES_MAX`] lines, or more than
    /// [`TEXT_MAX_OCTETS`].
    #[error("the peer's reply is too long")]
    TooLong,
}

impl Reader {
    /// Takes octets until one reply is complete. Gives how many octets were
    /// taken and the reply, if it is complete; octets after it are left to the
    /// caller, who calls again or finds them out of place.
    ///
    /// # Errors
    ///
    /// [`ReplyError`] when the peer does not speak SMTP; the caller closes the connection.
    pub fn read(&mut self, bytes: &[u8]) -> Result<(usize, Option<Reply>), ReplyError> {
        let mut taken = 0;
        while let Some(&byte) = bytes.get(taken) {
            taken += 1;
            if self.line.len() == PEER_LINE_MAX_OCTETS {
                return Err(ReplyError::TooLong);
            }
            let after_cr = self.line.last() == Some(&b'\r');
            if after_cr != (byte == b'\n') || byte == 0 {
                return Err(ReplyError::BareLineEnding);
            }
            if byte != b'\n' {
                self.line.push(byte);
                continue;
            }
            self.line.pop();
            let line = std::mem::take(&mut self.line);
            if let Some(reply) = self.line(&line)? {
                return Ok((taken, Some(reply)));
            }
        }
        Ok((taken, None))
    }

    /// Whether a reply has begun and not ended.
    pub fn is_amid(&self) -> bool {
        !self.line.is_empty() || self.partial.is_some()
    }

    fn line(&mut self, line: &[u8]) -> Result<Option<Reply>, ReplyError> {
        let (code, last, text) = split_line(line).ok_or(ReplyError::Malformed)?;
        let text = String::from_utf8_lossy(text);
        let (status, text) = split_status(code, &text);
        let partial = self.partial.get_or_insert_with(|| Partial {
            code,
            status,
            text: String::new(),
            lines: 0,
        });
        if partial.code != code {
            return Err(ReplyError::CodesDiffer);
        }
        if partial.lines == LINES_MAX || partial.text.len() + text.len() > TEXT_MAX_OCTETS {
            return Err(ReplyError::TooLong);
        }
        if partial.lines > 0 {
            partial.text.push('\n');
        }
        partial.text.extend(text.chars().map(|c| if c.is_control() { ' ' } else { c }));
        partial.lines += 1;
        Ok(if last { self.partial.take().map(Reply::from) } else { None })
    }
}

impl From<Partial> for Reply {
    fn from(partial: Partial) -> Self {
        Self { code: partial.code, status: partial.status, text: partial.text.into() }
    }
}

/// Code, whether this is the last line, and the text.
fn split_line(line: &[u8]) -> Option<(u16, bool, &[u8])> {
    let (digits, rest) = line.split_at_checked(3)?;
    let [b'2'..=b'5', b'0'..=b'9', b'0'..=b'9'] = digits else { return None };
    let code = digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    match rest {
        [] => Some((code, true, rest)),
        [b' ', text @ ..] => Some((code, true, text)),
        [b'-', text @ ..] => Some((code, false, text)),
        [_, ..] => None,
    }
}

/// The enhanced status at the start of a line, if its class fits the code, and the text after it.
fn split_status(code: u16, text: &str) -> (Option<(u16, u16)>, &str) {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    match word.parse::<Status>() {
        Ok(status) if u16::from(status.class) == code / 100 => {
            (Some((status.subject, status.detail)), rest)
        }
        Ok(_) | Err(_) => (None, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read_all(bytes: &[u8]) -> Result<Vec<Reply>, ReplyError> {
        let (mut reader, mut at, mut replies) = (Reader::default(), 0, Vec::new());
        while at < bytes.len() {
            let (taken, reply) = reader.read(&bytes[at..])?;
            at += taken;
            replies.extend(reply);
        }
        Ok(replies)
    }

    #[test]
    fn the_class_of_the_status_is_that_of_the_code() {
        let reply = Reply::new(450, 7, 1, "Wait");
        assert_eq!(reply.to_string(), "450 4.7.1 Wait\r\n");
        assert_eq!(reply.status(), Some(Status::new(4, 7, 1)));
        assert_eq!(Reply::new(354, 7, 1, "Go on").to_string(), "354 Go on\r\n");
        assert_eq!(Reply::plain(99, "?").code(), 451);
    }

    #[test]
    fn lines_are_marked_and_texts_cannot_make_their_own() {
        let reply = Reply::new(250, 2, 0, "one\ntwo\rthree \u{e4}\0");
        assert_eq!(reply.to_string(), "250-2.2.0 one\r\n250 2.2.0 two three ? \r\n");
        assert_eq!(reply.summary(), "250 2.2.0 one two\rthree \u{e4}\0");
    }

    #[test]
    fn long_texts_become_several_lines() {
        let reply = Reply::new(550, 7, 1, "word ".repeat(300));
        let wire = reply.to_string();
        assert!(wire.split_inclusive("\r\n").all(|line| line.len() <= LINE_MAX_OCTETS));
        assert!(read_all(wire.as_bytes()).is_ok());
        let endless = Reply::new(550, 7, 1, "x".repeat(1_000_000)).to_string();
        assert!(endless.len() <= LINES_MAX * LINE_MAX_OCTETS);
        assert!(read_all(endless.as_bytes()).is_err(), "more than a reader keeps");
    }

    #[test]
    fn replies_are_read_one_by_one() {
        let replies = read_all(b"250-mx\r\n250 SIZE 10\r\n550 5.1.1 No\r\n221\r\n").unwrap();
        assert_eq!(replies[0].lines().collect::<Vec<_>>(), ["mx", "SIZE 10"]);
        assert_eq!(replies[1], Reply::new(550, 1, 1, "No"));
        assert_eq!(replies[2], Reply::plain(221, ""));
    }

    #[test]
    fn what_is_not_a_reply_is_refused() {
        for (bytes, wrong) in [
            (&b"hello\r\n"[..], ReplyError::Malformed),
            (b"25\r\n", ReplyError::Malformed),
            (b"250_x\r\n", ReplyError::Malformed),
            (b"650 x\r\n", ReplyError::Malformed),
            (b"250-a\r\n251 b\r\n", ReplyError::CodesDiffer),
            (b"250 a\n", ReplyError::BareLineEnding),
            (b"250 a\rb\r\n", ReplyError::BareLineEnding),
            (b"250 a\0\r\n", ReplyError::BareLineEnding),
        ] {
            assert_eq!(read_all(bytes), Err(wrong), "{}", bytes.escape_ascii());
        }
        assert_eq!(read_all(&b"250-x\r\n".repeat(LINES_MAX + 1)), Err(ReplyError::TooLong));
        assert_eq!(read_all(&b"2".repeat(PEER_LINE_MAX_OCTETS + 1)), Err(ReplyError::TooLong));
    }

    #[test]
    fn a_status_of_another_class_is_text() {
        let replies = read_all(b"450 5.7.1 odd\r\n").unwrap();
        assert_eq!((replies[0].status(), replies[0].text()), (None, "5.7.1 odd"));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(code in 200_u16..600, text in "[ -~]{0,300}(\n[!-~]{1,60}){0,3}") {
            let reply = Reply::new(code, 7, 10, text);
            let read = read_all(reply.to_string().as_bytes()).unwrap();
            prop_assert_eq!(read, vec![reply]);
        }

        #[test]
        fn octets_split_anywhere_read_the_same(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0_usize..200) {
            let at = at.min(bytes.len());
            let whole = read_all(&bytes);
            let (mut reader, mut replies, mut result) = (Reader::default(), Vec::new(), Ok(()));
            'parts: for mut part in [&bytes[..at], &bytes[at..]] {
                while !part.is_empty() {
                    match reader.read(part) {
                        Ok((taken, reply)) => { part = &part[taken..]; replies.extend(reply); }
                        Err(error) => { result = Err(error); break 'parts; }
                    }
                }
            }
            prop_assert_eq!(whole, result.map(|()| replies));
        }
    }
}
