//! The process that draws pages: started, fed, timed.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use fax::LeftOut;
use fax::left_out::Why;
use fax::work::{
    Answer, COMMAND, FONTS_MAX, LINE_MAX_OCTETS, Missing, OfficeFile, Request, Without,
};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

use super::office;

/// The longest that one message may take.
const PATIENCE: Duration = Duration::from_secs(90);
/// The largest file of one fax, in octets.
const FILE_MAX_OCTETS: usize = 256 * 1024 * 1024;
/// So many attachments of a message may bring the process down before it is refused.
const DOWN_MAX: usize = 2;
/// The most answers of a process before the last.
const ANSWERS_MAX: usize = 1_000;

/// One fax: how many pages, and their file.
pub struct Drawn {
    pub pages: u32,
    pub tiff: Vec<u8>,
}

/// What the sender should know of faxes that were drawn.
#[derive(Debug, Clone, Default)]
pub struct Remarks {
    /// The characters that no font has.
    pub missing: Missing,
    /// The attachments that are not in them.
    pub left_out: Vec<LeftOut>,
}

/// What came of drawing.
pub enum Outcome {
    /// One fax for each recipient.
    Drawn(Vec<Drawn>, Remarks),
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
}

/// What the drawing process answers.
enum Read {
    Done(Outcome),
    Convert(Vec<(OfficeFile, Vec<u8>)>),
    /// It went down while it drew this part of the message.
    Down(Option<usize>),
}

/// Draws the faxes of a message.
///
/// # Errors
///
/// When the process cannot be started. A document that brings it down is a refusal, or is left
/// out where the request wants that.
pub async fn draw(request: &Request, tools: &Tools<'_>, message: Vec<u8>) -> Result<Outcome> {
    let message = Arc::new(message);
    let mut request = request.clone();
    let mut pdfs: Option<Vec<(usize, Vec<u8>)>> = None;
    let mut downs = 0;
    loop {
        let known = pdfs.iter().flatten().map(|(_, pdf)| pdf.clone()).collect();
        match attempt(&request, tools.fonts, known, Arc::clone(&message)).await? {
            Read::Done(outcome) => return Ok(outcome),
            Read::Down(Some(part)) if request.leaves_out && downs < DOWN_MAX => {
                downs += 1;
                request.without.push(Without { part, why: Why::TooComplex });
                if let Some(pdfs) = &mut pdfs {
                    pdfs.retain(|(of, _)| *of != part);
                }
            }
            Read::Down(_) => return Ok(too_complex()),
            Read::Convert(_) if pdfs.is_some() => {
                bail!("the drawing process has other office files than before")
            }
            Read::Convert(files) => {
                let mut made = Vec::with_capacity(files.len());
                for (file, octets) in files {
                    match convert(tools, &file, octets).await {
                        Ok(pdf) => made.push((file.part, pdf)),
                        Err(_) if request.leaves_out => {
                            let why = Why::NotConverted;
                            request.without.push(Without { part: file.part, why });
                        }
                        Err(why) => return Ok(not_converted(&file.name, why)),
                    }
                }
                pdfs = Some(made);
            }
        }
    }
}

/// An office file as PDF, or why there is none.
async fn convert(
    tools: &Tools<'_>,
    file: &OfficeFile,
    octets: Vec<u8>,
) -> Result<Vec<u8>, &'static str> {
    let program = tools.office.ok_or("office files are not converted here")?;
    if !office::is_installed(program) {
        return Err("LibreOffice is not installed here");
    }
    office::convert(program, &file.extension, octets).await.map_err(|error| {
        tracing::warn!(error = format!("{error:#}"), "an office file was not converted");
        "LibreOffice made nothing of it"
    })
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
    let mut drawing = None;
    let answer = tokio::time::timeout(PATIENCE, read(&mut child, request, &mut drawing)).await;
    feeding.abort();
    match answer {
        Ok(Ok(read)) => Ok(read),
        Ok(Err(error)) => {
            tracing::warn!(error = format!("{error:#}"), "the drawing process failed");
            Ok(Read::Down(drawing))
        }
        Err(_elapsed) => Ok(Read::Down(drawing)),
    }
}

fn too_complex() -> Outcome {
    let why = "a document is damaged or too complex to draw within the time and memory allowed";
    Outcome::Refused(why.to_owned())
}

/// `drawing` is the part of the message that is being drawn, as far as it says so.
async fn read(child: &mut Child, request: &Request, drawing: &mut Option<usize>) -> Result<Read> {
    let output = child.stdout.take().context("the drawing process has no output")?;
    let mut output = BufReader::new(output);
    let mut answers = 0;
    let answer = loop {
        let mut line = Vec::new();
        (&mut output).take(LINE_MAX_OCTETS as u64).read_until(b'\n', &mut line).await?;
        answers += 1;
        match serde_json::from_slice(&line).context("it gave no answer")? {
            Answer::Drawing { part } if answers < ANSWERS_MAX => *drawing = part,
            answer => break answer,
        }
    };
    let (announced, remarks) = match answer {
        Answer::Drawing { .. } => bail!("it draws without an end"),
        Answer::Refused { why } => return Ok(Read::Done(Outcome::Refused(why))),
        Answer::Convert { files } => {
            let mut read = Vec::with_capacity(files.len());
            for file in files {
                read.push((file.clone(), exactly(&mut output, file.octets).await?));
            }
            return Ok(Read::Convert(read));
        }
        Answer::Drawn { faxes, missing, left_out, unread } => {
            for font in unread {
                tracing::warn!(font, "a font for faxes cannot be read");
            }
            (faxes, Remarks { missing, left_out })
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
    Ok(Read::Done(Outcome::Drawn(faxes, remarks)))
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
