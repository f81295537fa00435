//! What a filter answers.

use bytes::Bytes;
use mail::Status;

use super::codec::Packet;
use super::options::number;
use crate::message::Change;

/// A filter's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Go on.
    Continue,
    /// The rest need not be shown.
    Accept,
    /// Refuse for good.
    Reject,
    /// Refuse for now.
    Tempfail,
    /// Take it and drop it.
    Discard,
    /// The connection failed; refuse for now.
    ConnectionFailed,
    /// Refuse for now and close the connection with 421.
    Shutdown,
    /// Refuse with this reply.
    Code(ReplyCode),
    /// Still at work.
    Progress,
    /// Enough seen of this kind of content.
    Skip,
    /// A change; the answer itself is still to come.
    Change(Change),
    /// A piece of another body.
    BodyPiece(Bytes),
}

/// A reply a filter wrote out, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyCode {
    /// From 400 to 599.
    pub code: u16,
    /// The enhanced status; of the same class as the code.
    pub status: Status,
    /// The text, one line, without control characters.
    pub text: String,
}

/// Why a packet is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadReply {
    /// No such kind.
    #[error("an answer of the unknown kind {0:#x}")]
    Kind(u8),
    /// Its content is not what its kind demands.
    #[error("an answer of kind \"{}\" that cannot be read", char::from(*.0))]
    Content(u8),
}

/// The longest text of a reply that is passed on, in characters.
const TEXT_MAX_CHARS: usize = 400;

impl Reply {
    /// Reads a packet that answers a command.
    ///
    /// # Errors
    ///
    /// What is wrong with the reply; the filter cannot be understood any further.
    pub fn read(packet: &Packet) -> Result<Self, BadReply> {
        let content = &packet.content[..];
        let bad = || BadReply::Content(packet.kind);
        let reply = match packet.kind {
            b'c' => Self::Continue,
            b'a' => Self::Accept,
            b'r' => Self::Reject,
            b't' => Self::Tempfail,
            b'd' => Self::Discard,
            b'f' => Self::ConnectionFailed,
            b'4' => Self::Shutdown,
            b'p' => Self::Progress,
            b's' => Self::Skip,
            b'y' => Self::Code(ReplyCode::read(content).ok_or_else(bad)?),
            b'b' => return Ok(Self::BodyPiece(packet.content.clone())),
            b'h' => Self::Change(
                field(content, |name, value| Change::AddField { name, value }).ok_or_else(bad)?,
            ),
            b'i' => {
                let (at, rest) = number(content).ok_or_else(bad)?;
                let insert = |name, value| Change::InsertField { at, name, value };
                Self::Change(field(rest, insert).ok_or_else(bad)?)
            }
            b'm' => {
                let (nth, rest) = number(content).ok_or_else(bad)?;
                let change = |name, value| Change::ChangeField { nth, name, value };
                Self::Change(field(rest, change).ok_or_else(bad)?)
            }
            b'e' => {
                let (path, parameters) = path(content).ok_or_else(bad)?;
                Self::Change(Change::Sender { path, parameters })
            }
            b'+' => {
                let (path, parameters) = path(content).ok_or_else(bad)?;
                if !parameters.is_empty() {
                    return Err(bad());
                }
                Self::Change(Change::AddRecipient { path, parameters })
            }
            b'2' => {
                let (path, parameters) = path(content).ok_or_else(bad)?;
                Self::Change(Change::AddRecipient { path, parameters })
            }
            b'-' => {
                let (path, parameters) = path(content).ok_or_else(bad)?;
                if !parameters.is_empty() {
                    return Err(bad());
                }
                Self::Change(Change::RemoveRecipient { path })
            }
            b'q' => {
                let (reason, rest) = text(content).ok_or_else(bad)?;
                if !rest.is_empty() {
                    return Err(bad());
                }
                Self::Change(Change::Quarantine { reason: clean(&String::from_utf8_lossy(reason)) })
            }
            kind => return Err(BadReply::Kind(kind)),
        };
        Ok(reply)
    }
}

/// The text before the next NUL, and what follows it.
fn text(content: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = content.iter().position(|&b| b == 0)?;
    Some((&content[..end], &content[end + 1..]))
}

fn field(content: &[u8], make: impl FnOnce(String, Vec<u8>) -> Change) -> Option<Change> {
    let (name, rest) = text(content)?;
    let (value, rest) = text(rest)?;
    let graphic = |b: &u8| b.is_ascii_graphic() && *b != b':';
    if !rest.is_empty() || name.is_empty() || !name.iter().all(graphic) {
        return None;
    }
    Some(make(String::from_utf8(name.to_vec()).ok()?, value.to_vec()))
}

fn path(content: &[u8]) -> Option<(String, String)> {
    let (path, rest) = text(content)?;
    let (parameters, rest) = if rest.is_empty() { (&b""[..], rest) } else { text(rest)? };
    if !rest.is_empty() {
        return None;
    }
    let read = |octets: &[u8]| {
        let text = std::str::from_utf8(octets).ok()?;
        (!text.chars().any(char::is_control)).then(|| text.to_owned())
    };
    Some((read(path)?, read(parameters)?))
}

/// One line without control characters, of bounded length.
fn clean(text: &str) -> String {
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    let text: String = text.chars().take(TEXT_MAX_CHARS).map(visible).collect();
    text.trim().to_owned()
}

impl ReplyCode {
    /// Reads `550 5.7.1 Text`, of one or more lines. Sendmail's filters write `%` twice.
    fn read(content: &[u8]) -> Option<Self> {
        let (content, rest) = text(content)?;
        if !rest.is_empty() {
            return None;
        }
        let content = std::str::from_utf8(content).ok()?.replace("%%", "%");
        let mut lines = content.split('\n').map(str::trim_end);
        let (code, class, first) = Self::line(lines.next()?)?;
        let mut status = None;
        let mut text = String::new();
        let mut take = |line: &str| {
            let line = line.trim_start();
            let (word, after) = line.split_once(' ').unwrap_or((line, ""));
            let read = word.parse::<Status>().ok().filter(|read| read.class == class);
            let line = if read.is_some() { after } else { line };
            status = status.or(read);
            if !text.is_empty() && !line.is_empty() {
                text.push(' ');
            }
            text.push_str(line);
        };
        take(first);
        for line in lines.filter(|line| !line.is_empty()) {
            let (same, _, after) = Self::line(line)?;
            if same != code {
                return None;
            }
            take(after);
        }
        let status = status.unwrap_or(Status::new(class, 7, 1));
        Some(Self { code, status, text: clean(&text) })
    }

    /// The code of a line, its class, and what follows the code.
    fn line(line: &str) -> Option<(u16, u8, &str)> {
        let digits = line.get(..3)?;
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let code: u16 = digits.parse().ok()?;
        if !(400..600).contains(&code) {
            return None;
        }
        let rest = &line[3..];
        let rest = if rest.is_empty() { rest } else { rest.strip_prefix([' ', '-'])? };
        Some((code, (code / 100) as u8, rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: u8, content: &[u8]) -> Result<Reply, BadReply> {
        Reply::read(&Packet { kind, content: Bytes::copy_from_slice(content) })
    }

    #[test]
    fn a_reply_code_is_checked_before_a_client_hears_it() {
        let code = |text: &str| match read(b'y', &[text.as_bytes(), b"\0"].concat()) {
            Ok(Reply::Code(code)) => Some(format!("{} {} {}", code.code, code.status, code.text)),
            _ => None,
        };
        let same = |text: &str, read: &str| assert_eq!(code(text).as_deref(), Some(read));
        same("550 5.7.1 No", "550 5.7.1 No");
        same("451 Later", "451 4.7.1 Later");
        same("554 4.2.1 Odd", "554 5.7.1 4.2.1 Odd");
        same("550-5.7.1 One\r\n550 5.7.1 two", "550 5.7.1 One two");
        same("550 5.7.1 50%% off", "550 5.7.1 50% off");
        same("550", "550 5.7.1 ");
        for text in ["250 2.0.0 Ok", "350 x", "55 x", "5500 x", "550x", "abc", "", "550 a\n450 b"] {
            assert_eq!(code(text), None, "{text}");
        }
        assert!(read(b'y', b"550 no end").is_err());
    }

    #[test]
    fn changes_are_read() {
        let field = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
        let (name, value) = field("X-A", " b\n c");
        assert_eq!(
            read(b'h', b"X-A\0 b\n c\0"),
            Ok(Reply::Change(Change::AddField { name, value }))
        );
        let (name, value) = field("X-A", "");
        assert_eq!(
            read(b'm', b"\0\0\0\x02X-A\0\0"),
            Ok(Reply::Change(Change::ChangeField { nth: 2, name, value }))
        );
        assert_eq!(
            read(b'2', b"<a@b.example>\0NOTIFY=NEVER\0"),
            Ok(Reply::Change(Change::AddRecipient {
                path: "<a@b.example>".into(),
                parameters: "NOTIFY=NEVER".into(),
            }))
        );
        assert_eq!(
            read(b'q', b"looks\nbad\0"),
            Ok(Reply::Change(Change::Quarantine { reason: "looks bad".into() }))
        );
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        for (kind, content) in [
            (b'h', &b"X-A\0no end"[..]),
            (b'h', b"\0empty name\0"),
            (b'h', b"X A\0space\0"),
            (b'h', b"X:\0colon\0"),
            (b'h', b"X\0y\0more\0"),
            (b'i', b"\0\0X\0y\0"),
            (b'+', b"<a@b.example>\0NOTIFY=NEVER\0"),
            (b'+', b"<a@b.example>\r\nRCPT TO:<c@d.example>\0"),
            (b'-', b"<a@b.example>"),
            (b'e', b""),
            (b'q', b"no end"),
        ] {
            assert_eq!(read(kind, content), Err(BadReply::Content(kind)), "{content:?}");
        }
        assert_eq!(read(b'Z', b""), Err(BadReply::Kind(b'Z')));
    }
}
