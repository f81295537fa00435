//! ClamAV's daemon: `INSTREAM` in chunks, one line back.

use std::io;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::{Failure, Verdict, name};

/// Octets of one chunk.
const CHUNK_OCTETS: usize = 64 * 1024;
/// The longest line that is read, in octets.
const LINE_MAX_OCTETS: usize = 4 * 1024;

/// What clamd answers to a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Nothing found.
    Clean,
    /// The name of what was found.
    Found(String),
    /// It cannot say, in its words.
    Error(String),
}

impl Answer {
    /// Reads `stream: OK`, `stream: NAME FOUND` or `… ERROR`.
    pub fn read(line: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(line).ok()?;
        let line = line.trim_end_matches(['\0', '\n', '\r']);
        if let Some(error) = line.strip_suffix("ERROR") {
            return Some(Self::Error(name(error)));
        }
        let result = line.split_once(": ").map_or(line, |(_, result)| result);
        if result == "OK" {
            return Some(Self::Clean);
        }
        let found = name(result.strip_suffix(" FOUND")?);
        (!found.is_empty()).then_some(Self::Found(found))
    }
}

/// Has a message scanned on a new connection.
///
/// # Errors
///
/// [`Failure`]: no verdict.
pub async fn scan<S>(stream: S, message: &[Bytes]) -> Result<Verdict, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut reader, mut writer) = tokio::io::split(stream);
    let write = async {
        writer.write_all(b"zINSTREAM\0").await?;
        for chunk in message.iter().flat_map(|part| part.chunks(CHUNK_OCTETS)) {
            writer.write_all(&(chunk.len() as u32).to_be_bytes()).await?;
            writer.write_all(chunk).await?;
        }
        writer.write_all(&0u32.to_be_bytes()).await?;
        writer.flush().await
    };
    // A stream that is too long is answered while it is still being sent.
    let (written, line) = tokio::join!(write, read_line(&mut reader));
    let line = match (line, written) {
        (Ok(line), _) => line,
        (Err(_), Err(error)) | (Err(error), Ok(())) => return Err(error.into()),
    };
    match Answer::read(&line) {
        Some(Answer::Clean) => Ok(Verdict::default()),
        Some(Answer::Found(virus)) => Ok(Verdict { viruses: vec![virus], ..Verdict::default() }),
        Some(Answer::Error(error)) => Err(Failure::Refused(error)),
        None => Err(Failure::Unreadable),
    }
}

/// Asks whether it is there.
///
/// # Errors
///
/// [`Failure`]: it is not, or is another program.
pub async fn ping<S>(stream: S) -> Result<(), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let line = ask(stream, b"zPING\0").await?;
    if line.starts_with(b"PONG") { Ok(()) } else { Err(Failure::Unreadable) }
}

/// Its version, with that of its signatures.
///
/// # Errors
///
/// As [`ping`].
pub async fn version<S>(stream: S) -> Result<String, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let line = ask(stream, b"zVERSION\0").await?;
    Ok(name(&String::from_utf8_lossy(&line)))
}

async fn ask<S>(mut stream: S, command: &[u8]) -> Result<Vec<u8>, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.write_all(command).await?;
    stream.flush().await?;
    Ok(read_line(&mut stream).await?)
}

/// Reads until a NUL, a line end, or the end.
async fn read_line(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let mut buffer = [0; 512];
    loop {
        let read = stream.read(&mut buffer).await?;
        line.extend_from_slice(&buffer[..read]);
        if let Some(end) = line.iter().position(|b| matches!(b, 0 | b'\n')) {
            line.truncate(end);
            return Ok(line);
        }
        if read == 0 {
            let closed = || io::Error::from(io::ErrorKind::UnexpectedEof);
            return if line.is_empty() { Err(closed()) } else { Ok(line) };
        }
        if line.len() > LINE_MAX_OCTETS {
            return Err(io::Error::other("it sent a line without end"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read() {
        let found = |name: &str| Some(Answer::Found(name.to_owned()));
        assert_eq!(Answer::read(b"stream: OK\0"), Some(Answer::Clean));
        assert_eq!(
            Answer::read(b"stream: Win.Test.EICAR_HDB-1 FOUND"),
            found("Win.Test.EICAR_HDB-1")
        );
        assert_eq!(Answer::read(b"stream: a: b FOUND"), found("a: b"));
        let error = Answer::Error("INSTREAM size limit exceeded.".to_owned());
        assert_eq!(Answer::read(b"INSTREAM size limit exceeded. ERROR\0"), Some(error));
        for line in [&b""[..], b"stream: ", b"stream: FOUND", b"OK then", b"\xff\xff FOUND"] {
            assert_eq!(Answer::read(line), None, "{line:?}");
        }
    }
}
