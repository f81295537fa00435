//! What the process with the fax machine is told, and what it tells.
//!
//! Both ways go frames: a kind, a length, and so many octets.
//!
//! ```text
//! to it      Task (JSON) ▸ File ▸ Start (JSON) ▸ Tick, Packet, Kept, HangUp …
//! from it    Ready ▸ Packet, Pages … ▸ Ended (JSON, file)      or at any time Failed (words)
//! ```

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};

/// The first argument that makes the program a process with a fax machine, and nothing else.
pub const COMMAND: &str = "fax-machine";
/// The largest file of pages, in octets.
pub const FILE_MAX_OCTETS: usize = 64 * 1024 * 1024;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A [`Task`].
    Task,
    /// Pages, as TIFF.
    File,
    /// [`Start`]: the call is there.
    Start,
    /// 20 ms have passed.
    Tick,
    /// A packet: its sequence number on the way in, on the way out how many times it is sent;
    /// then its octets.
    Packet,
    /// The pages that were told of are on the disk, or written down as confirmed.
    Kept,
    /// The call is over.
    HangUp,
    /// The machine is there and waits for the call.
    Ready,
    /// How many pages in all were confirmed, or have come, in 4 octets; then, of those that
    /// have come, the file so far. Goes on when it was kept.
    Pages,
    /// [`Ended`], a line; then, of pages that have come, their file.
    Ended,
    /// There is no machine; why, in words.
    Failed,
}

const KINDS: [Kind; 11] = [
    Kind::Task,
    Kind::File,
    Kind::Start,
    Kind::Tick,
    Kind::Packet,
    Kind::Kept,
    Kind::HangUp,
    Kind::Ready,
    Kind::Pages,
    Kind::Ended,
    Kind::Failed,
];

/// The most octets beside a file in its frame.
const BESIDE_MAX_OCTETS: usize = 64 * 1024;
/// Octets before those of a frame.
pub const HEAD_OCTETS: usize = 5;

impl Kind {
    /// The head of a frame with so many octets.
    pub fn head(self, length: usize) -> [u8; HEAD_OCTETS] {
        let [a, b, c, d] = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
        [self as u8, a, b, c, d]
    }

    /// The kind and length of a head; `None` for one that no frame has.
    pub fn read(head: [u8; HEAD_OCTETS]) -> Option<(Self, usize)> {
        let [kind, a, b, c, d] = head;
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        let kind = *KINDS.get(usize::from(kind))?;
        (length <= FILE_MAX_OCTETS + BESIDE_MAX_OCTETS).then_some((kind, length))
    }
}

/// What there is to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Whether pages are sent, and we call; their file follows. Else they come.
    pub sends: bool,
    /// The number that is shown to the other machine.
    pub ident: String,
    /// An address behind the number called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subaddress: Option<String>,
    /// Whether packets go out as fast as a telephone line takes them, and no faster.
    pub is_paced: bool,
}

/// What is known once the call is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The fastest rate, in bits a second.
    pub bit_rate: u32,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// The library's number for how it ended (`t30_err_e`); 0 is success.
    pub code: i32,
    /// The same in words.
    pub words: String,
    /// Pages in all: confirmed by the other side, or received.
    pub pages: u32,
    /// What the other machine calls itself.
    pub station: String,
}

/// Writes a frame.
///
/// # Errors
///
/// Those of the output.
pub fn write(output: &mut impl Write, kind: Kind, octets: &[u8]) -> io::Result<()> {
    output.write_all(&kind.head(octets.len()))?;
    output.write_all(octets)?;
    output.flush()
}

/// Reads a frame; `None` at the end.
///
/// # Errors
///
/// Those of the input, and a frame that is none.
pub fn read(input: &mut impl Read) -> io::Result<Option<(Kind, Vec<u8>)>> {
    let mut head = [0; HEAD_OCTETS];
    let mut filled = 0;
    while filled < HEAD_OCTETS {
        match input.read(&mut head[filled..])? {
            0 if filled == 0 => return Ok(None),
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            some => filled += some,
        }
    }
    let Some((kind, length)) = Kind::read(head) else {
        return Err(io::Error::other("a frame of no kind"));
    };
    let mut octets = vec![0; length];
    input.read_exact(&mut octets)?;
    Ok(Some((kind, octets)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_read_as_it_was_written() {
        for (place, kind) in KINDS.into_iter().enumerate() {
            assert_eq!(kind as usize, place);
            let mut octets = Vec::new();
            write(&mut octets, kind, b"abc").unwrap();
            assert_eq!(read(&mut octets.as_slice()).unwrap(), Some((kind, b"abc".to_vec())));
        }
        assert_eq!(read(&mut &b""[..]).unwrap(), None);
        for wrong in [&b"\x0b\0\0\0\0"[..], b"\0\xff\xff\xff\xff", b"\0\0", b"\0\0\0\0\x02a"] {
            assert!(read(&mut &wrong[..]).is_err(), "{wrong:?}");
        }
    }
}
