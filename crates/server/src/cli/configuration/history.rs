//! `config apply`, `config history` and `config rollback`.

use std::path::PathBuf;

use clap::Args;

use super::compare::{self, summary};
use super::text::{Text, revision_number};
use crate::cli::{Global, ask};
use crate::control::{Answer, Request, configuration, exit};

/// `config apply`
#[derive(Args)]
pub struct Apply {
    /// The new text: a file, or - for standard input [default: the configuration file, as edited]
    file: Option<PathBuf>,
    /// Why, for the history and the evidence
    #[arg(long)]
    reason: String,
}

/// `config rollback`
#[derive(Args)]
pub struct Rollback {
    /// The revision, as "config history" shows it: v40
    revision: String,
    /// Why, for the history and the evidence
    #[arg(long)]
    reason: String,
}

/// Checks a text, keeps it as a revision, runs on it, writes it to the configuration file.
pub fn apply(global: &Global, options: &Apply) -> Result<Answer, Answer> {
    let new = match &options.file {
        Some(file) => Text::read(file)?,
        None => Text::read(&super::file(global)?)?,
    };
    let (text, reason) = (new.content.clone(), options.reason.clone());
    Ok(put_in_force(global, &new, configuration::Request::Apply { text, reason }))
}

/// Every revision, newest first.
pub fn history(global: &Global) -> Answer {
    ask::answer(global, &Request::Config(configuration::Request::History))
}

/// Puts an earlier revision in force again, with the files it included, as a new one: the
/// history only grows.
pub fn rollback(global: &Global, options: &Rollback) -> Result<Answer, Answer> {
    let Some(number) = revision_number(&options.revision) else {
        let text = format!("\"{}\" is no revision; they look like v40.", options.revision);
        return Err(Answer::failure(exit::USAGE, text));
    };
    let old = Text::revision(global, Some(number))?;
    let reason = format!("back to {}: {}", old.name, options.reason);
    let request = configuration::Request::Rollback { number, reason };
    Ok(put_in_force(global, &old, request))
}

fn put_in_force(global: &Global, new: &Text, request: configuration::Request) -> Answer {
    let before = Text::in_force(global).ok().flatten();
    let changes = before.map(|before| compare::changes(&before, new));
    let mut answer = ask::answer(global, &Request::Config(request));
    if answer.exit == exit::FINE
        && let Some(changes) = changes
    {
        answer.text = format!("{}{}", summary(&changes), answer.text);
    }
    answer
}
