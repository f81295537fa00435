//! The process with the fax machine.
//!
//! It has no clock and no socket: it is told when time passes and what packets have come, and
//! tells what packets to send. Pages are a file in memory.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Stdin, StdinLock, Stdout, Write};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::ExitCode;

use rustix::fs::{MemfdFlags, memfd_create};

use super::confine::confine;
use super::spandsp::{Machine, Observer, Settings, Spandsp, Way};
use super::work::{self, COMMAND, Ended, FILE_MAX_OCTETS, Kind, Start, Task};

/// Frames that may wait while pages are being kept: a minute of time and packets.
const WAITING_MAX: usize = 6_000;

/// Waits for a [`Task`] on standard input and does it. To be called first of all in a process
/// that has done nothing else, and that ends with the result.
pub fn run() -> ExitCode {
    let (input, output): (Stdin, Stdout) = (io::stdin(), io::stdout());
    match carry(input.lock(), &output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody may be there to read it.
            let _told = work::write(&mut output.lock(), Kind::Failed, error.to_string().as_bytes());
            eprintln!("{COMMAND}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn carry(mut input: StdinLock<'static>, output: &Stdout) -> io::Result<()> {
    let library = Spandsp::load()?;
    let mut file = File::from(memfd_create("pages", MemfdFlags::CLOEXEC)?);
    confine(FILE_MAX_OCTETS as u64)?;
    let task: Task = serde_json::from_slice(&expect(&mut input, Kind::Task)?)?;
    if task.sends {
        file.write_all(&expect(&mut input, Kind::File)?)?;
    }
    // The library knows files by their names only.
    let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    work::write(&mut output.lock(), Kind::Ready, &[])?;
    let start: Start = serde_json::from_slice(&expect(&mut input, Kind::Start)?)?;
    let settings = Settings {
        way: if task.sends { Way::Send(&path) } else { Way::Receive(&path) },
        ident: &task.ident,
        subaddress: task.subaddress.as_deref(),
        bit_rate: start.bit_rate,
        is_paced: task.is_paced,
    };
    let mut line = Line {
        input,
        output,
        file,
        receives: !task.sends,
        waiting: VecDeque::new(),
        failure: None,
    };
    let mut machine = Machine::start(&library, settings, &mut line)?;
    let ended = loop {
        let frame = match machine.observer().waiting.pop_front() {
            Some(frame) => Some(frame),
            None => work::read(&mut machine.observer().input)?,
        };
        match frame {
            Some((Kind::Tick, _)) => machine.tick(),
            Some((Kind::Packet, octets)) => {
                if let Some((sequence, packet)) = octets.split_first_chunk::<2>() {
                    machine.receive(u16::from_be_bytes(*sequence), packet);
                }
            }
            Some((Kind::HangUp, _)) => machine.hang_up(),
            Some((kind, _)) => return Err(io::Error::other(format!("{kind:?} out of place"))),
            None => return Ok(()),
        }
        if let Some(failure) = machine.observer().failure.take() {
            return Err(failure);
        }
        if let Some(ended) = machine.ended() {
            break ended;
        }
    };
    let station = machine.station().unwrap_or_default();
    let (code, words, pages) = (ended.code, ended.words, machine.pages());
    // The library closes the file of pages only now.
    drop(machine);
    let told = Ended { code, words, pages, station };
    let mut frame = serde_json::to_vec(&told)?;
    frame.push(b'\n');
    if line.receives {
        frame.extend(whole(&mut line.file)?);
    }
    work::write(&mut output.lock(), Kind::Ended, &frame)
}

fn expect(input: &mut impl Read, kind: Kind) -> io::Result<Vec<u8>> {
    match work::read(input)? {
        Some((came, octets)) if came == kind => Ok(octets),
        came => Err(io::Error::other(format!("{:?} instead of {kind:?}", came.map(|c| c.0)))),
    }
}

fn whole(file: &mut File) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(0))?;
    let mut octets = Vec::new();
    file.take(FILE_MAX_OCTETS as u64).read_to_end(&mut octets)?;
    Ok(octets)
}

/// The way to the server.
struct Line<'a> {
    input: StdinLock<'static>,
    output: &'a Stdout,
    /// The file of the pages, which the library opens by the name of this descriptor.
    file: File,
    /// Whether they come.
    receives: bool,
    /// What came while pages were being kept.
    waiting: VecDeque<(Kind, Vec<u8>)>,
    /// What went wrong inside a call of the library, which cannot carry it.
    failure: Option<io::Error>,
}

impl Line<'_> {
    fn tell_pages(&mut self, pages: u32) -> io::Result<()> {
        let mut octets = pages.to_be_bytes().to_vec();
        if self.receives {
            octets.extend(whole(&mut self.file)?);
        }
        work::write(&mut self.output.lock(), Kind::Pages, &octets)?;
        while self.waiting.len() < WAITING_MAX {
            match work::read(&mut self.input)? {
                Some((Kind::Kept, _)) => return Ok(()),
                Some(frame) => self.waiting.push_back(frame),
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        Err(io::Error::other("pages were not kept in time"))
    }
}

impl Observer for Line<'_> {
    fn packet(&mut self, octets: &[u8], times: u8) {
        let mut frame = vec![times];
        frame.extend_from_slice(octets);
        let written = work::write(&mut self.output.lock(), Kind::Packet, &frame);
        self.failure = self.failure.take().or(written.err());
    }

    fn pages(&mut self, pages: u32) {
        // What was not kept is not confirmed either: the process ends, and the call with it.
        if let Err(error) = self.tell_pages(pages) {
            let _told =
                work::write(&mut self.output.lock(), Kind::Failed, error.to_string().as_bytes());
            std::process::exit(1);
        }
    }
}
