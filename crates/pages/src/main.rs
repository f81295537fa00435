//! `mailkeep-pages`: draws fax pages, locked up.
//!
//! A document comes from strangers, and the code that reads it is large. So it runs in a
//! process of its own that has nothing: before the first octet is read it gives up opening
//! files and sockets, starting processes, writing files, and all memory and time beyond
//! fixed limits. What it may do is read from standard input and write to standard output.
//!
//! `mailkeep-pages draw` takes a [`fax::work::Request`] and a message. `mailkeep-pages
//! picture N` takes a fax file and gives its page N, from 1, as PNG.

use std::io::{self, BufRead, Read, Write};
use std::process::ExitCode;

use fax::work::{Answer, Drawn, LINE_MAX_OCTETS, Request};
use pages::job;
use rustix::process::{Resource, Rlimit, setrlimit};

/// Memory, in octets.
const MEMORY_MAX_OCTETS: u64 = 1_536 * 1024 * 1024;
/// Time of the processor, in seconds.
const CPU_MAX_SECS: u64 = 60;
/// The longest message, in octets.
const MESSAGE_MAX_OCTETS: u64 = 200 * 1024 * 1024;
/// Standard input, output and error; a limit of so many open files means no other.
const OPEN_FILES: u64 = 3;

fn main() -> ExitCode {
    let outcome = lock_up().and_then(|()| {
        let arguments: Vec<String> = std::env::args().skip(1).take(2).collect();
        match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["draw"] => draw(),
            ["picture", page] => picture(page),
            _ => Err(io::Error::other("write draw, or picture and the number of a page")),
        }
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mailkeep-pages: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Gives up everything but memory, time and the three open files, and of those two all but
/// a limit. There is no way back.
fn lock_up() -> io::Result<()> {
    for (resource, limit) in [
        (Resource::As, MEMORY_MAX_OCTETS),
        (Resource::Cpu, CPU_MAX_SECS),
        (Resource::Nofile, OPEN_FILES),
        (Resource::Nproc, 0),
        (Resource::Fsize, 0),
        (Resource::Core, 0),
    ] {
        setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) })?;
    }
    Ok(())
}

fn draw() -> io::Result<()> {
    let mut input = io::stdin().lock().take(MESSAGE_MAX_OCTETS + LINE_MAX_OCTETS as u64);
    let mut line = String::new();
    input.read_line(&mut line)?;
    let request: Request = serde_json::from_str(&line)?;
    let mut message = Vec::new();
    input.read_to_end(&mut message)?;
    let (answer, faxes) = match job::draw(&request, &message) {
        Ok(drawn) => {
            let faxes = drawn.faxes.iter();
            let announced =
                faxes.map(|fax| Drawn { pages: fax.pages, octets: fax.tiff.len() }).collect();
            let missing = drawn.missing.iter().collect();
            (Answer::Drawn { faxes: announced, missing }, drawn.faxes)
        }
        Err(trouble) => (Answer::Refused { why: trouble.to_string() }, Vec::new()),
    };
    let mut output = io::stdout().lock();
    serde_json::to_writer(&mut output, &answer)?;
    output.write_all(b"\n")?;
    for fax in &faxes {
        output.write_all(&fax.tiff)?;
    }
    output.flush()
}

fn picture(page: &str) -> io::Result<()> {
    let number = page.parse().map_err(io::Error::other)?;
    let mut file = Vec::new();
    io::stdin().lock().take(MESSAGE_MAX_OCTETS).read_to_end(&mut file)?;
    let png = pages::show::page(&file, number).map_err(io::Error::other)?;
    io::stdout().lock().write_all(&png)
}
