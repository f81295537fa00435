//! `mailkeep config …`: the text, before and after it is in force.

mod check;
mod compare;
mod history;
mod schema;
mod show;
mod text;

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use super::{Global, ask};
use crate::control::{Answer, exit};

/// What can be done with configurations.
#[derive(Subcommand)]
#[command(after_help = "Examples:\n  \
    mailkeep config check new.conf\n  \
    mailkeep config diff new.conf\n  \
    mailkeep config apply new.conf --reason \"bank.example moved\"\n  \
    mailkeep config rollback v40 --reason \"mail to bank.example waits\"")]
pub enum Command {
    /// Say everything that is wrong with a configuration, all at once
    Check(check::Options),
    /// Write a configuration in its canonical form
    Fmt(check::FormOptions),
    /// Show what is in force, a file, or a revision
    Show(show::Options),
    /// Show what differs between two configurations
    Diff(compare::Options),
    /// Check a configuration, keep it as a revision, and run on it
    Apply(history::Apply),
    /// List the revisions, newest first
    History,
    /// Run on an earlier revision again
    Rollback(history::Rollback),
    /// Print the manual of the configuration
    Manual,
    /// Explain a code such as C101
    ExplainCode {
        /// The code, as an error shows it
        code: String,
    },
    /// Every directive with its values and default; with --json for programs
    Schema,
}

/// Runs a command.
pub fn run(global: &Global, command: Command) -> u8 {
    let answer = match command {
        Command::Check(options) => check::check(global, &options),
        Command::Fmt(options) => check::form(global, &options),
        Command::Show(options) => show::show(global, &options),
        Command::Diff(options) => compare::compare(global, &options),
        Command::Apply(options) => history::apply(global, &options),
        Command::History => Ok(history::history(global)),
        Command::Rollback(options) => history::rollback(global, &options),
        Command::Manual => Ok(manual()),
        Command::ExplainCode { code } => explain_code(&code),
        Command::Schema => Ok(schema::answer()),
    };
    ask::print(global, &answer.unwrap_or_else(|failure| failure))
}

fn manual() -> Answer {
    let text = config::manual_markdown();
    let json = json!({ "schema": "mailkeep.manual/1", "markdown": text });
    Answer::new(text, json)
}

fn explain_code(code: &str) -> Result<Answer, Answer> {
    let page = config::explain_code(code).ok_or_else(|| {
        let text = format!(
            "\"{code}\" is no code; codes look like C101 and stand in brackets after \"error\"."
        );
        Answer::failure(exit::USAGE, text)
    })?;
    let json =
        json!({ "schema": "mailkeep.code/1", "code": code.to_uppercase(), "markdown": page });
    Ok(Answer::new(page, json))
}

/// The configuration file the options name.
fn file(global: &Global) -> Result<PathBuf, Answer> {
    match super::serve::config_file(global) {
        Ok(Some(file)) => Ok(file),
        Ok(None) => Err(Answer::failure(
            exit::NO_INPUT,
            format!("There is no {}; name a file.", super::CONFIG_DEFAULT),
        )),
        Err(error) => Err(Answer::failure(exit::NO_INPUT, format!("{error:#}"))),
    }
}
