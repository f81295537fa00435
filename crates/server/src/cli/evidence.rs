//! `mailkeep evidence …` and `mailkeep proof`.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use evidence::PublicKey;
use serde_json::json;

use super::{Global, ask};
use crate::control::evidence::Request;
use crate::control::{Answer, Request as Any, exit};

/// What can be done with the evidence.
#[derive(Subcommand)]
#[command(after_help = "Examples:\n  \
    mailkeep evidence key > server.key\n  \
    mailkeep evidence export --out evidence.ndjson\n  \
    mailkeep evidence verify evidence.ndjson --key server.key    (anywhere, without the server)")]
pub enum Command {
    /// Write the chain as lines of JSON that can be verified elsewhere
    Export {
        /// The first entry
        #[arg(long, value_name = "NUMBER", default_value_t = 1)]
        from: u64,
        /// At most this many entries
        #[arg(long, value_name = "NUMBER", default_value_t = u32::MAX, hide_default_value = true)]
        limit: u32,
        /// The file to write [default: standard output]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Print the public key, for whoever verifies
    Key,
    /// Check an export or a proof with nothing but the public key
    Verify {
        /// The export or proof
        file: PathBuf,
        /// The public key: a file with a key on each line, or the key itself
        #[arg(long, value_name = "KEY")]
        key: Vec<String>,
    },
    /// Sign the chain as it stands now
    Checkpoint,
}

/// `mailkeep proof`
#[derive(Args)]
#[command(after_help = "Check it with: mailkeep evidence verify FILE --key KEY")]
pub struct Proof {
    /// The message's id, or as much of its beginning as names one message
    id: String,
    /// The file to write [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Runs a command.
pub fn run(global: &Global, command: Command) -> u8 {
    let answer = match command {
        Command::Export { from, limit, out } => {
            let answer = ask::answer(global, &Any::Evidence(Request::Export { from, limit }));
            written(answer, out.as_deref())
        }
        Command::Key => ask::answer(global, &Any::Evidence(Request::Key)),
        Command::Checkpoint => ask::answer(global, &Any::Evidence(Request::Checkpoint)),
        Command::Verify { file, key } => verify(&file, &key).unwrap_or_else(|failure| failure),
    };
    ask::print(global, &answer)
}

/// Runs `proof`.
pub fn run_proof(global: &Global, options: &Proof) -> u8 {
    let request = Any::Evidence(Request::Proof { id: options.id.clone() });
    let answer = written(ask::answer(global, &request), options.out.as_deref());
    ask::print(global, &answer)
}

/// Puts the lines of an answer into a file, if one is wanted.
fn written(answer: Answer, out: Option<&Path>) -> Answer {
    let Some(out) = out.filter(|_| answer.exit == exit::FINE) else { return answer };
    let result = File::create(out).and_then(|mut file| {
        file.write_all(answer.text.as_bytes())?;
        file.sync_all()
    });
    match result {
        Ok(()) => {
            let lines = answer.text.lines().count();
            let text = format!("Wrote {lines} lines to {}.", out.display());
            Answer::new(
                text,
                json!({ "schema": "mailkeep.written/1", "file": out, "lines": lines }),
            )
        }
        Err(error) => {
            Answer::failure(exit::FAILED, format!("{} was not written: {error}", out.display()))
        }
    }
}

fn verify(file: &Path, keys: &[String]) -> Result<Answer, Answer> {
    if keys.is_empty() {
        let text = "Name the key with --key; \"mailkeep evidence key\" prints it on the server.";
        return Err(Answer::failure(exit::USAGE, text));
    }
    let mut known = Vec::new();
    for key in keys {
        known.extend(read_keys(key)?);
    }
    let unreadable = |error: std::io::Error| {
        Answer::failure(exit::NO_INPUT, format!("{} cannot be read: {error}", file.display()))
    };
    let export = BufReader::new(File::open(file).map_err(unreadable)?);
    let report = evidence::verify(export, &known).map_err(unreadable)?;
    let json = json!({ "schema": "mailkeep.evidence-report/1", "ok": report.is_intact(),
        "report": report });
    let answer = Answer::new(report.to_string(), json);
    Ok(if report.is_intact() { answer } else { answer.with_exit(exit::FOUND) })
}

/// The keys in a file, one on each line, or the one key that the text is.
fn read_keys(text: &str) -> Result<Vec<PublicKey>, Answer> {
    if let Ok(key) = text.parse() {
        return Ok(vec![key]);
    }
    let content = std::fs::read_to_string(text).map_err(|error| {
        let text = format!("\"{text}\" is neither a key nor a file that can be read: {error}");
        Answer::failure(exit::NO_INPUT, text)
    })?;
    let lines = content.lines().map(str::trim).filter(|line| !line.is_empty());
    let keys: Result<Vec<PublicKey>, _> = lines.map(str::parse).collect();
    match keys {
        Ok(keys) if !keys.is_empty() => Ok(keys),
        Ok(_) => Err(Answer::failure(exit::NO_INPUT, format!("There is no key in {text}."))),
        Err(error) => Err(Answer::failure(exit::NO_INPUT, format!("{text}: {error}"))),
    }
}
