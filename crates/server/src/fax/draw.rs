//! The program that draws pages: started, fed, timed.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use fax::work::{Answer, LINE_MAX_OCTETS, PROGRAM, Request};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

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
    Drawn(Vec<Drawn>, String),
    /// There will be no fax; the words are for the sender.
    Refused(String),
}

/// Where the program is: beside our own.
fn program() -> Result<PathBuf> {
    let own = std::env::current_exe().context("where this program is cannot be found out")?;
    let folder = own.parent().context("this program is in no folder")?;
    Ok(folder.join(PROGRAM))
}

fn start(arguments: &[&str]) -> Result<Child> {
    let program = program()?;
    Command::new(&program)
        .args(arguments)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("{} cannot be started", program.display()))
}

/// Draws the faxes of a message.
///
/// # Errors
///
/// When the program cannot be started. A document that brings it down is a refusal.
pub async fn draw(request: &Request, message: Vec<u8>) -> Result<Outcome> {
    let mut child = start(&["draw"])?;
    let mut input = child.stdin.take().context("the drawing program has no input")?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    // It reads everything before it answers, but need not, so both go on at once.
    let feeding = tokio::spawn(async move {
        input.write_all(&line).await?;
        input.write_all(&message).await?;
        input.shutdown().await
    });
    let answer = tokio::time::timeout(PATIENCE, read(&mut child, request)).await;
    feeding.abort();
    match answer {
        Ok(Ok(outcome)) => Ok(outcome),
        Ok(Err(error)) => {
            tracing::warn!(error = format!("{error:#}"), "the drawing program failed");
            Ok(too_complex())
        }
        Err(_elapsed) => Ok(too_complex()),
    }
}

fn too_complex() -> Outcome {
    let why = "a document is damaged or too complex to draw within the time and memory allowed";
    Outcome::Refused(why.to_owned())
}

async fn read(child: &mut Child, request: &Request) -> Result<Outcome> {
    let output = child.stdout.take().context("the drawing program has no output")?;
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    (&mut output).take(LINE_MAX_OCTETS as u64).read_until(b'\n', &mut line).await?;
    let answer: Answer = serde_json::from_slice(&line).context("it gave no answer")?;
    let (announced, missing) = match answer {
        Answer::Refused { why } => return Ok(Outcome::Refused(why)),
        Answer::Drawn { faxes, missing } => (faxes, missing),
    };
    if announced.len() != request.recipients.len() {
        bail!("it gave {} faxes for {}", announced.len(), request.recipients.len());
    }
    let mut faxes = Vec::with_capacity(announced.len());
    for fax in announced {
        if fax.octets > FILE_MAX_OCTETS {
            bail!("a file has {} octets", fax.octets);
        }
        let mut tiff = vec![0; fax.octets];
        output.read_exact(&mut tiff).await?;
        faxes.push(Drawn { pages: u32::try_from(fax.pages)?, tiff });
    }
    Ok(Outcome::Drawn(faxes, missing))
}

/// Page `number`, from 1, of a fax file as PNG.
///
/// # Errors
///
/// When there is no such page, or the program fails.
pub async fn picture(file: Vec<u8>, number: u32) -> Result<Vec<u8>> {
    let number = number.to_string();
    let mut child = start(&["picture", &number])?;
    let mut input = child.stdin.take().context("the drawing program has no input")?;
    let feeding = tokio::spawn(async move {
        input.write_all(&file).await?;
        input.shutdown().await
    });
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
    feeding.abort();
    let output = output.context("the drawing program took too long")??;
    if !output.status.success() {
        bail!("there is no such page");
    }
    Ok(output.stdout)
}
