//! The process that draws pages: started, fed, timed.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use fax::work::{Answer, COMMAND, FONTS_MAX, LINE_MAX_OCTETS, Missing, OfficeFile, Request};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

use super::office;

/// The longest that one message may take.
const PATIENCE: Duration = Duration::from_secs(90);
/// The largest file of one fax, in octets.
const FILE_MAX_OCTETS: usize = 256 * 1024 * 1024;

/// One fax: how many pages, and their file.
pub struct Drawn {
    pub pages: u32,
    pub tiff: Vec<u8>,
}

/// What came of drawing.
pub enum Outcome {
    /// One fax for each recipient, and the characters that no font has.
    Drawn(Vec<Drawn>, Missing),
    /// There will be no fax; the words are for the sender.
    Refused(String),
}

/// The program that runs now, also when an upgrade has put another in its place.
pub(super) const OWN_PROGRAM: &str = "/proc/self/exe";

fn start(arguments: impl IntoIterator<Item: AsRef<OsStr>>) -> Result<Child> {
    Command::new(OWN_PROGRAM)
        .arg(COMMAND)
        .args(arguments)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("the process that draws pages cannot be started")
}

/// What makes pages beside the program itself.
pub struct Tools<'a> {
    /// Font files for what its own fonts do not have.
    pub fonts: &'a [PathBuf],
    /// LibreOffice, unless office files are not wanted.
    pub office: Option<&'a Path>,
    /// The server's data, which no document sees.
    pub data: &'a Path,
}

/// What the drawing process answers.
enum Read {
    Done(Outcome),
    Convert(Vec<(OfficeFile, Vec<u8>)>),
}

/// Draws the faxes of a message.
///
/// # Errors
///
/// When the process cannot be started. A document that brings it down is a refusal.
pub async fn draw(request: &Request, tools: &Tools<'_>, message: Vec<u8>) -> Result<Outcome> {
    let message = Arc::new(message);
    let files = match attempt(request, tools.fonts, Vec::new(), Arc::clone(&message)).await? {
        Read::Done(outcome) => return Ok(outcome),
        Read::Convert(files) => files,
    };
    let mut pdfs = Vec::with_capacity(files.len());
    for (file, octets) in files {
        let Some(program) = tools.office else {
            return Ok(not_converted(&file.name, "office files are not converted here"));
        };
        if !office::is_installed(program) {
            return Ok(not_converted(&file.name, "LibreOffice is not installed here"));
        }
        match office::convert(program, tools.data, &file.extension, octets).await {
            Ok(pdf) => pdfs.push(pdf),
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "an office file was not converted");
                return Ok(not_converted(&file.name, "LibreOffice made nothing of it"));
            }
        }
    }
    match attempt(request, tools.fonts, pdfs, message).await? {
        Read::Done(outcome) => Ok(outcome),
        Read::Convert(_) => bail!("the drawing process has other office files than before"),
    }
}

fn not_converted(name: &str, why: &str) -> Outcome {
    Outcome::Refused(format!(
        "\"{name}\" is an office document, and {why}; send it as PDF, which every office \
         program can save"
    ))
}

async fn attempt(
    request: &Request,
    fonts: &[PathBuf],
    pdfs: Vec<Vec<u8>>,
    message: Arc<Vec<u8>>,
) -> Result<Read> {
    let lengths: Vec<String> = pdfs.iter().map(|pdf| pdf.len().to_string()).collect();
    let lengths = if lengths.is_empty() { "0".to_owned() } else { lengths.join(",") };
    let fonts = fonts.iter().map(|path| path.as_os_str()).take(FONTS_MAX);
    let first = [OsStr::new("draw"), OsStr::new(&lengths)];
    let mut child = start(first.into_iter().chain(fonts))?;
    let mut input = child.stdin.take().context("the drawing process has no input")?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    // It reads everything before it answers, but need not, so both go on at once.
    let feeding = tokio::spawn(async move {
        input.write_all(&line).await?;
        for pdf in &pdfs {
            input.write_all(pdf).await?;
        }
        input.write_all(&message).await?;
        input.shutdown().await
    });
    let answer = tokio::time::timeout(PATIENCE, read(&mut child, request)).await;
    feeding.abort();
    match answer {
        Ok(Ok(read)) => Ok(read),
        Ok(Err(error)) => {
            tracing::warn!(error = format!("{error:#}"), "the drawing process failed");
            Ok(Read::Done(too_complex()))
        }
        Err(_elapsed) => Ok(Read::Done(too_complex())),
    }
}

fn too_complex() -> Outcome {
    let why = "a document is damaged or too complex to draw within the time and memory allowed";
    Outcome::Refused(why.to_owned())
}

async fn read(child: &mut Child, request: &Request) -> Result<Read> {
    let output = child.stdout.take().context("the drawing process has no output")?;
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    (&mut output).take(LINE_MAX_OCTETS as u64).read_until(b'\n', &mut line).await?;
    let answer: Answer = serde_json::from_slice(&line).context("it gave no answer")?;
    let (announced, missing) = match answer {
        Answer::Refused { why } => return Ok(Read::Done(Outcome::Refused(why))),
        Answer::Convert { files } => {
            let mut read = Vec::with_capacity(files.len());
            for file in files {
                read.push((file.clone(), exactly(&mut output, file.octets).await?));
            }
            return Ok(Read::Convert(read));
        }
        Answer::Drawn { faxes, missing, unread } => {
            for font in unread {
                tracing::warn!(font, "a font for faxes cannot be read");
            }
            (faxes, missing)
        }
    };
    if announced.len() != request.recipients.len() {
        bail!("it gave {} faxes for {}", announced.len(), request.recipients.len());
    }
    let mut faxes = Vec::with_capacity(announced.len());
    for fax in announced {
        let tiff = exactly(&mut output, fax.octets).await?;
        faxes.push(Drawn { pages: u32::try_from(fax.pages)?, tiff });
    }
    Ok(Read::Done(Outcome::Drawn(faxes, missing)))
}

/// A file of so many octets.
async fn exactly(output: &mut (impl AsyncRead + Unpin), octets: usize) -> Result<Vec<u8>> {
    if octets > FILE_MAX_OCTETS {
        bail!("a file has {octets} octets");
    }
    let mut file = vec![0; octets];
    output.read_exact(&mut file).await?;
    Ok(file)
}

/// Page `number`, from 1, of a fax file as PNG.
///
/// # Errors
///
/// When there is no such page, or the process fails.
pub async fn picture(file: Vec<u8>, number: u32) -> Result<Vec<u8>> {
    through(&["picture", &number.to_string()], file).await.context("there is no such page")
}

/// A fax file in the form that every fax program reads: TIFF-F in profile S.
///
/// # Errors
///
/// When it is no fax file, or the process fails.
pub async fn simple(file: Vec<u8>) -> Result<Vec<u8>> {
    through(&["simple"], file).await.context("the pages cannot be read again")
}

/// A fax file as PDF. Nothing in it is decoded, so no other process is needed.
///
/// # Errors
///
/// When it is no fax file.
pub async fn pdf(file: Vec<u8>) -> Result<Vec<u8>> {
    Ok(tokio::task::spawn_blocking(move || pages::paper::pdf(&file)).await??)
}

/// What the drawing process makes of a fax file.
async fn through(arguments: &[&str], file: Vec<u8>) -> Result<Vec<u8>> {
    let mut child = start(arguments)?;
    let mut input = child.stdin.take().context("the drawing process has no input")?;
    let feeding = tokio::spawn(async move {
        input.write_all(&file).await?;
        input.shutdown().await
    });
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
    feeding.abort();
    let output = output.context("the drawing process took too long")??;
    if !output.status.success() {
        bail!("the drawing process ended with {}", output.status);
    }
    Ok(output.stdout)
}
