//! A process that draws fax pages, locked up.
//!
//! A document comes from strangers, and the code that reads it is large. So it runs in a
//! process of its own that has nothing: before the first octet is read it gives up opening
//! files and sockets, starting processes, writing files, and all memory and time beyond
//! fixed limits. What it may do is read from standard input and write to standard output.

use std::fs::File;
use std::io::{self, BufRead, Read, Write};
use std::process::ExitCode;

use fax::work::{Answer, Drawn, FONTS_MAX, LINE_MAX_OCTETS, OfficeFile, Request};
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::error::Trouble;
use crate::job;
use crate::letters::{FONT_MAX_OCTETS, Fonts};
use crate::message::Means;

/// Memory, in octets.
const MEMORY_MAX_OCTETS: u64 = 1_536 * 1024 * 1024;
/// Time of the processor, in seconds.
const CPU_MAX_SECS: u64 = 60;
/// The longest message with the PDFs of its office files, in octets.
const MESSAGE_MAX_OCTETS: u64 = 300 * 1024 * 1024;
/// Standard input, output and error; a limit of so many open files means no other.
const OPEN_FILES: u64 = 3;

/// Locks this process up and does the one thing that `arguments` name: `draw`, with the lengths
/// of PDFs (`0` for none, else `10,20`) and the paths of font files behind it, takes a
/// [`fax::work::Request`], those PDFs in the place of office files, and a message; `picture N`
/// takes a fax file and gives its page N, from 1, as PNG; `simple` takes a fax file and gives it
/// as every fax program reads it ([`crate::Profile::Simple`]). What came of it goes to standard
/// output. To be called first of all in a process that has done nothing else, and that ends
/// with the result.
pub fn run(arguments: impl Iterator<Item = String>) -> ExitCode {
    let arguments: Vec<String> = arguments.take(2 + FONTS_MAX).collect();
    let outcome = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        // The fonts are the administrator's, and are read while that is possible.
        ["draw", lengths, ref paths @ ..] => {
            let fonts = read_fonts(paths);
            lock_up().and_then(|()| draw(lengths, fonts))
        }
        ["picture", page] => lock_up().and_then(|()| picture(page)),
        ["simple"] => lock_up().and_then(|()| simple()),
        _ => Err(io::Error::other("write draw and 0, simple, or picture and a page's number")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", fax::work::COMMAND);
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

/// The files that could be read, and what was wrong with the others.
fn read_fonts(paths: &[&str]) -> (Vec<Vec<u8>>, Vec<String>) {
    let (mut fonts, mut unread) = (Vec::new(), Vec::new());
    for path in paths {
        let mut octets = Vec::new();
        let read = File::open(path)
            .and_then(|file| file.take(FONT_MAX_OCTETS + 1).read_to_end(&mut octets));
        match read {
            Err(error) => unread.push(format!("{path}: {error}")),
            Ok(_) if octets.len() as u64 > FONT_MAX_OCTETS => {
                unread.push(format!("{path}: it is larger than {FONT_MAX_OCTETS} octets"));
            }
            Ok(_) => fonts.push(octets),
        }
    }
    (fonts, unread)
}

fn draw(lengths: &str, (named, unread): (Vec<Vec<u8>>, Vec<String>)) -> io::Result<()> {
    let mut input = io::stdin().lock().take(MESSAGE_MAX_OCTETS + LINE_MAX_OCTETS as u64);
    let mut line = String::new();
    input.read_line(&mut line)?;
    let request: Request = serde_json::from_str(&line)?;
    let mut pdfs = Vec::new();
    for length in lengths.split(',') {
        let length: u64 = length.parse().map_err(io::Error::other)?;
        if length > 0 {
            let mut pdf = Vec::new();
            (&mut input).take(length).read_to_end(&mut pdf)?;
            pdfs.push(pdf);
        }
    }
    let mut message = Vec::new();
    input.read_to_end(&mut message)?;
    // Should an attachment bring this process down, its parent knows which.
    let tell = |part| {
        if request.leaves_out {
            // Where nobody listens the answer finds nobody either.
            let _ = say(&Answer::Drawing { part });
        }
    };
    let drawn = Fonts::load(named).and_then(|fonts| {
        job::draw(&request, &Means { fonts: &fonts, pdfs: &pdfs, tell: &tell }, &message)
    });
    let (answer, files): (_, Vec<Vec<u8>>) = match drawn {
        Ok(drawn) => {
            let faxes = drawn.faxes.iter();
            let announced =
                faxes.map(|fax| Drawn { pages: fax.pages, octets: fax.tiff.len() }).collect();
            let (missing, left_out) = (drawn.missing, drawn.left_out);
            let files = drawn.faxes.into_iter().map(|fax| fax.tiff).collect();
            (Answer::Drawn { faxes: announced, missing, left_out, unread }, files)
        }
        Err(Trouble::Office(offices)) => {
            let announced = offices.iter().map(|file| OfficeFile {
                part: file.part,
                name: file.name.clone(),
                extension: file.extension.to_owned(),
                octets: file.octets.len(),
            });
            let answer = Answer::Convert { files: announced.collect() };
            (answer, offices.into_iter().map(|file| file.octets).collect())
        }
        Err(trouble) => (Answer::Refused { why: trouble.to_string() }, Vec::new()),
    };
    say(&answer)?;
    let mut output = io::stdout().lock();
    for file in &files {
        output.write_all(file)?;
    }
    output.flush()
}

/// Gives an answer.
fn say(answer: &Answer) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    let mut output = io::stdout().lock();
    output.write_all(&line)?;
    output.flush()
}

/// The fax file on standard input.
fn fax_file() -> io::Result<Vec<u8>> {
    let mut file = Vec::new();
    io::stdin().lock().take(MESSAGE_MAX_OCTETS).read_to_end(&mut file)?;
    Ok(file)
}

fn simple() -> io::Result<()> {
    let simple = crate::show::simple(&fax_file()?).map_err(io::Error::other)?;
    io::stdout().lock().write_all(&simple)
}

fn picture(page: &str) -> io::Result<()> {
    let number = page.parse().map_err(io::Error::other)?;
    let file = fax_file()?;
    let png = crate::show::page(&file, number).map_err(io::Error::other)?;
    io::stdout().lock().write_all(&png)
}
