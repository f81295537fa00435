//! `config check` and `config fmt`.

use std::path::PathBuf;

use clap::Args;
use config::diagnostic::{self, Diagnostic, Severity};
use config::{Config, Disk};
use mail::Timestamp;
use serde_json::json;

use super::text::Text;
use crate::cli::Global;
use crate::control::{Answer, exit};
use crate::revision;

/// `config check`
#[derive(Args)]
pub struct Options {
    /// The file, or - for standard input [default: the configuration file]
    file: Option<PathBuf>,
    /// Fail on warnings too
    #[arg(long)]
    strict: bool,
    /// Do not ask for the files and secrets it names, as on another machine
    #[arg(long)]
    text_only: bool,
}

/// `config fmt`
#[derive(Args)]
pub struct FormOptions {
    /// The file, or - for standard input [default: the configuration file]
    file: Option<PathBuf>,
    /// Write it back to the file
    #[arg(long, conflicts_with = "check")]
    write: bool,
    /// Say only whether it is in canonical form
    #[arg(long)]
    check: bool,
}

fn text(global: &Global, file: Option<&PathBuf>) -> Result<Text, Answer> {
    match file {
        Some(file) => Text::read(file),
        None => Text::read(&super::file(global)?),
    }
}

/// Checks a text with everything it includes.
pub fn check(global: &Global, options: &Options) -> Result<Answer, Answer> {
    let text = text(global, options.file.as_ref())?;
    let world = Disk { text_only: options.text_only };
    let mut outcome = config::read(&text.path, &text.content, &world);
    if let Some(config) = &outcome.config {
        outcome.diagnostics.extend(config.expired(Timestamp::now()));
    }
    let findings = outcome.render();
    let count = |wanted: Severity| {
        outcome.diagnostics.iter().filter(|found: &&Diagnostic| found.severity == wanted).count()
    };
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let holds =
        outcome.config.as_ref().map_or_else(String::new, |config| format!("{}; ", holds(config)));
    let summary = format!(
        "{}: {holds}{}, {}",
        text.name,
        number(errors, "error"),
        number(warnings, "warning")
    );
    let lead = if findings.is_empty() { "" } else { "\n" };
    let mut json = outcome.to_json();
    json["file"] = json!(text.name);
    json["errors"] = json!(errors);
    json["warnings"] = json!(warnings);
    let answer = Answer::new(format!("{findings}{lead}{summary}"), json);
    Ok(match (outcome.config.is_some(), options.strict && warnings > 0) {
        (false, _) => answer.with_exit(exit::FOUND),
        (true, true) => answer.with_exit(exit::WARNED),
        (true, false) => answer,
    })
}

/// What a configuration holds, in a few words.
fn holds(config: &Config) -> String {
    [
        number(config.listeners.len(), "listener"),
        number(config.domains.len(), "domain"),
        number(config.rule_set.rules.len(), "rule"),
        number(config.rule_set.force_encrypt.len(), "Force Encrypt entry")
            .replace("entrys", "entries"),
    ]
    .join(", ")
}

/// `no error`, `1 error`, `2 errors`.
fn number(count: usize, what: &str) -> String {
    match count {
        0 => format!("no {what}"),
        1 => format!("1 {what}"),
        more => format!("{more} {what}s"),
    }
}

/// Gives a text in canonical form, or says whether it is.
pub fn form(global: &Global, options: &FormOptions) -> Result<Answer, Answer> {
    let text = text(global, options.file.as_ref())?;
    let formed =
        config::format::format(&text.content).map_err(|found| unreadable(&text, &found))?;
    let same = formed == text.content;
    let json = json!({ "schema": "mailkeep.config-fmt/1", "ok": same, "text": formed });
    if options.check {
        let name = &text.name;
        return Ok(if same {
            Answer::new(format!("{name} is in canonical form."), json)
        } else {
            let way_out = format!(
                "{name} is not in canonical form; \"mailkeep config fmt --write\" mends it."
            );
            Answer::new(way_out, json).with_exit(exit::FOUND)
        });
    }
    if !options.write {
        return Ok(Answer::new(formed, json));
    }
    if text.name == "standard input" {
        return Err(Answer::failure(
            exit::USAGE,
            "Standard input cannot be written back; name a file.",
        ));
    }
    if same {
        return Ok(Answer::new(format!("{} was in canonical form already.", text.name), json));
    }
    revision::replace(&text.path, &formed).map_err(|error| {
        Answer::failure(exit::FAILED, format!("{} was not written: {error}", text.name))
    })?;
    Ok(Answer::new(format!("{} is in canonical form now.", text.name), json))
}

/// The findings of a text that has no statements to speak of.
pub fn unreadable(text: &Text, found: &[Diagnostic]) -> Answer {
    let mut sources = config::Sources::default();
    // The first file of empty sources always has room.
    let _ = sources.add(&text.path, &text.content);
    let json = diagnostic::to_json(found, &sources);
    Answer::new(diagnostic::render(found, &sources), json).with_exit(exit::FOUND)
}
