//! SpamAssassin's daemon: the spamc protocol, version 1.5.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::{ANSWER_MAX_OCTETS, About, Action, Failure, NAMES_MAX, Score, Spam, Verdict, name};

/// A daemon's answer, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// 0 is success; others as in sysexits.
    pub code: u32,
    /// The words behind it.
    pub text: String,
    /// Whether it is spam, the score and the threshold, where the answer says.
    pub spam: Option<(bool, Score, Score)>,
    /// What follows the empty line.
    pub body: Vec<u8>,
}

impl Answer {
    /// Reads a whole answer.
    pub fn read(octets: &[u8]) -> Option<Self> {
        let (head, body) = split_head(octets)?;
        let head = std::str::from_utf8(head).ok()?;
        let mut lines = head.split('\n').map(str::trim_end);
        let mut first = lines.next()?.splitn(3, ' ');
        if !first.next()?.starts_with("SPAMD/") {
            return None;
        }
        let code = first.next()?.parse().ok()?;
        let text = name(first.next().unwrap_or_default());
        let mut spam = None;
        let mut length = None;
        for line in lines.filter(|line| !line.is_empty()) {
            let (field, value) = line.split_once(':')?;
            let value = value.trim();
            if field.eq_ignore_ascii_case("Spam") {
                spam = Some(Self::spam(value)?);
            } else if field.eq_ignore_ascii_case("Content-length") {
                length = Some(value.parse::<usize>().ok()?);
            }
        }
        // An answer that was cut off is none.
        if length.is_some_and(|length| length > body.len()) {
            return None;
        }
        let body = body[..length.unwrap_or(body.len())].to_vec();
        Some(Self { code, text, spam, body })
    }

    /// `True ; 15.0 / 5.0`.
    fn spam(value: &str) -> Option<(bool, Score, Score)> {
        let (word, numbers) = value.split_once(';')?;
        let (score, threshold) = numbers.split_once('/')?;
        let word = word.trim();
        let is_spam = ["True", "Yes"].iter().any(|yes| word.eq_ignore_ascii_case(yes));
        if !is_spam && !["False", "No"].iter().any(|no| word.eq_ignore_ascii_case(no)) {
            return None;
        }
        Some((is_spam, Score::parse(score)?, Score::parse(threshold)?))
    }

    /// The verdict of an answer to `SYMBOLS`.
    pub fn verdict(&self) -> Result<Verdict, Failure> {
        if self.code != 0 {
            return Err(Failure::Refused(format!("{} {}", self.code, self.text)));
        }
        let (is_spam, score, threshold) = self.spam.ok_or(Failure::Unreadable)?;
        let symbols = String::from_utf8_lossy(&self.body);
        let symbols = symbols.split([',', '\n', '\r']).map(name).filter(|name| !name.is_empty());
        let spam = Spam {
            score,
            threshold: Some(threshold),
            action: if is_spam { Action::AddHeader } else { Action::None },
            symbols: symbols.take(NAMES_MAX).collect(),
        };
        Ok(Verdict { spam: Some(spam), ..Verdict::default() })
    }
}

/// What stands before the empty line, and what behind it.
fn split_head(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut at = 0;
    while let Some(end) = octets[at..].iter().position(|&b| b == b'\n') {
        let next = at + end + 1;
        match octets[next..] {
            [b'\n', ..] => return Some((&octets[..next], &octets[next + 1..])),
            [b'\r', b'\n', ..] => return Some((&octets[..next], &octets[next + 2..])),
            _ => at = next,
        }
    }
    None
}

/// Has a message judged on a new connection.
///
/// # Errors
///
/// [`Failure`]: no verdict.
pub async fn scan<S>(stream: S, message: &[Bytes], about: &Arc<About>) -> Result<Verdict, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let octets: usize = message.iter().map(Bytes::len).sum();
    let mut head = format!("SYMBOLS SPAMC/1.5\r\nContent-length: {octets}\r\n");
    if let [recipient] = &about.recipients[..]
        && !recipient.chars().any(|c| c.is_control() || c == ' ')
    {
        // The preferences of the only recipient.
        head.push_str(&format!("User: {recipient}\r\n"));
    }
    head.push_str("\r\n");
    let answer = exchange(stream, head.as_bytes(), message).await?;
    Answer::read(&answer).ok_or(Failure::Unreadable)?.verdict()
}

/// Asks whether it is there.
///
/// # Errors
///
/// [`Failure`]: it is not, or is another program.
pub async fn ping<S>(stream: S) -> Result<String, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let answer = exchange(stream, b"PING SPAMC/1.2\r\n\r\n", &[]).await?;
    let line = String::from_utf8_lossy(&answer);
    let line = line.lines().next().unwrap_or_default();
    if line.starts_with("SPAMD/") { Ok(name(line)) } else { Err(Failure::Unreadable) }
}

/// Sends everything, says that it is all, and reads to the end.
async fn exchange<S>(stream: S, head: &[u8], message: &[Bytes]) -> io::Result<Vec<u8>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut reader, mut writer) = tokio::io::split(stream);
    let write = async {
        writer.write_all(head).await?;
        for part in message {
            writer.write_all(part).await?;
        }
        writer.shutdown().await
    };
    let (written, answer) = tokio::join!(write, read_all(&mut reader));
    let answer = answer?;
    match written {
        Err(error) if answer.is_empty() => Err(error),
        Ok(()) | Err(_) => Ok(answer),
    }
}

async fn read_all(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut answer = Vec::new();
    let mut buffer = [0; 4 * 1024];
    loop {
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Ok(answer);
        }
        if answer.len() + read > ANSWER_MAX_OCTETS {
            return Err(io::Error::other("its answer is too long"));
        }
        answer.extend_from_slice(&buffer[..read]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_to_symbols_is_a_verdict() {
        let answer =
            b"SPAMD/1.1 0 EX_OK\r\nContent-length: 14\r\nSpam: True ; 1000.0 / 5.0\r\n\r\n\
            GTUBE,NO_RELAY";
        let verdict = Answer::read(answer).unwrap().verdict().unwrap();
        let spam = verdict.spam.unwrap();
        assert_eq!((spam.score, spam.threshold), (Score(1_000_000), Some(Score(5_000))));
        assert_eq!(
            (spam.action, spam.symbols),
            (Action::AddHeader, vec!["GTUBE".into(), "NO_RELAY".into()])
        );
    }

    #[test]
    fn an_answer_that_was_cut_off_or_fails_is_no_verdict() {
        let cut =
            b"SPAMD/1.1 0 EX_OK\r\nContent-length: 90\r\nSpam: True ; 10.0 / 5.0\r\n\r\nGTUBE";
        assert_eq!(Answer::read(cut), None);
        let busy = b"SPAMD/1.0 76 Bad header line: x\r\n\r\n";
        assert!(matches!(Answer::read(busy).unwrap().verdict(), Err(Failure::Refused(_))));
        let silent = b"SPAMD/1.1 0 EX_OK\r\nContent-length: 0\r\n\r\n";
        assert!(matches!(Answer::read(silent).unwrap().verdict(), Err(Failure::Unreadable)));
        for answer in [
            &b""[..],
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"SPAMD/1.1 x y\r\n\r\n",
            b"SPAMD/1.1 0 EX_OK\r\nSpam: Maybe ; 1 / 2\r\n\r\n",
            b"SPAMD/1.1 0 EX_OK\r\n",
        ] {
            assert_eq!(Answer::read(answer), None, "{answer:?}");
        }
    }
}
