//! Lines of an export, with a look at what follows.

use std::collections::VecDeque;
use std::io::{self, BufRead, Read};

use aws_lc_rs::digest::{Context, SHA256};

use crate::Digest;
use crate::chain::to_array;
use crate::record::{LINE_MAX_OCTETS, Record};

/// How many lines are looked ahead for the next entry.
const AHEAD_MAX: usize = 8;

/// One line of an export.
pub(super) struct Line {
    /// From 1.
    pub(super) number: u64,
    /// What it says, if that can be read.
    pub(super) record: Option<Record>,
    /// Whether it has an end.
    pub(super) complete: bool,
    /// Whether it is written exactly as an export writes it.
    pub(super) canonical: bool,
    /// SHA-256 of all lines before it; only for a last line, else of nothing.
    pub(super) before: Digest,
}

pub(super) struct Reader<R> {
    source: R,
    ahead: VecDeque<Line>,
    number: u64,
    octets: u64,
    so_far: Context,
}

impl<R: BufRead> Reader<R> {
    pub(super) fn new(source: R) -> Self {
        let so_far = Context::new(&SHA256);
        Self { source, ahead: VecDeque::new(), number: 0, octets: 0, so_far }
    }

    /// How many octets were read.
    pub(super) fn octets(&self) -> u64 {
        self.octets
    }

    pub(super) fn next(&mut self) -> io::Result<Option<Line>> {
        match self.ahead.pop_front() {
            Some(line) => Ok(Some(line)),
            None => self.read(),
        }
    }

    /// The number of the next entry, if one follows soon.
    pub(super) fn next_entry(&mut self) -> io::Result<Option<u64>> {
        for at in 0..AHEAD_MAX {
            if at == self.ahead.len() {
                match self.read()? {
                    Some(line) => self.ahead.push_back(line),
                    None => return Ok(None),
                }
            }
            if let Some(Record::Entry(entry)) = &self.ahead[at].record {
                return Ok(Some(entry.seq));
            }
        }
        Ok(None)
    }

    fn read(&mut self) -> io::Result<Option<Line>> {
        let mut bytes = Vec::new();
        let limit = LINE_MAX_OCTETS as u64 + 1;
        self.source.by_ref().take(limit).read_until(b'\n', &mut bytes)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        self.number += 1;
        self.octets += bytes.len() as u64;
        let complete = bytes.ends_with(b"\n");
        let record: Option<Record> =
            if complete { serde_json::from_slice(&bytes).ok() } else { None };
        let canonical = record.as_ref().is_some_and(|record| record.to_line() == bytes);
        let before = match record {
            Some(Record::End(_)) => self.digest(),
            Some(
                Record::Opening(_) | Record::Entry(_) | Record::Resume(_) | Record::Checkpoint(_),
            )
            | None => Digest::from_bytes([0; 32]),
        };
        self.so_far.update(&bytes);
        if !complete && bytes.len() as u64 == limit {
            self.skip_line()?;
        }
        Ok(Some(Line { number: self.number, record, complete, canonical, before }))
    }

    /// Reads on to the end of a line that is too long to be one.
    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.source.fill_buf()?;
            let (used, done) = match buffer.iter().position(|&b| b == b'\n') {
                Some(at) => (at + 1, true),
                None => (buffer.len(), buffer.is_empty()),
            };
            self.so_far.update(&buffer[..used]);
            self.octets += used as u64;
            self.source.consume(used);
            if done {
                return Ok(());
            }
        }
    }

    fn digest(&self) -> Digest {
        Digest::from_bytes(to_array(self.so_far.clone().finish().as_ref()))
    }
}
