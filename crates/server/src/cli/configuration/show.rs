//! `config show`.

use clap::Args;
use config::schema::{Absent, Context, TOP};
use serde_json::json;

use super::check::unreadable;
use super::text::Text;
use crate::cli::Global;
use crate::control::columns::Put;
use crate::control::{Answer, exit};

/// `config show`
#[derive(Args)]
pub struct Options {
    /// A file, a revision such as v41, or - for standard input [default: what is in force]
    which: Option<String>,
    /// The rules that hold before any is written, with their numbers 0.1, 0.2 …
    #[arg(long, conflicts_with = "defaults")]
    built_in: bool,
    /// Every directive with the value it has when it is not written
    #[arg(long)]
    defaults: bool,
}

/// Shows a configuration as text; with --json, its twin for programs.
pub fn show(global: &Global, options: &Options) -> Result<Answer, Answer> {
    if options.defaults {
        return Ok(defaults());
    }
    let text = match &options.which {
        Some(which) => Text::named(global, which)?,
        None => match Text::in_force(global)? {
            Some(text) => text,
            None => Text::read(&super::file(global)?)?,
        },
    };
    if options.built_in {
        return built_in(&text);
    }
    let twin = config::json::export(&text.content).map_err(|found| unreadable(&text, &found))?;
    Ok(Answer::new(text.content, twin))
}

fn built_in(text: &Text) -> Result<Answer, Answer> {
    let outcome = config::read(&text.path, &text.content, &config::Disk { text_only: true });
    let Some(config) = &outcome.config else {
        return Err(Answer::new(outcome.render(), outcome.to_json()).with_exit(exit::FOUND));
    };
    let shown = rules::built_in::show(&config.rule_set);
    let json = json!({ "schema": "mailkeep.built-in-rules/1", "text": shown });
    Ok(Answer::new(shown, json))
}

/// Every default, as it would be written.
fn defaults() -> Answer {
    let mut text = String::new();
    let mut rows = Vec::new();
    collect(&TOP, &mut Vec::new(), &mut |path, name, value| {
        let place =
            if path.is_empty() { String::new() } else { format!("{} > ", path.join(" > ")) };
        text.put(format_args!("{place}{name} {value}\n"));
        rows.push(json!({ "path": path, "directive": name, "value": value }));
    });
    Answer::new(text, json!({ "schema": "mailkeep.config-defaults/1", "defaults": rows }))
}

fn collect<'a>(
    context: &'static Context,
    path: &mut Vec<&'a str>,
    found: &mut dyn FnMut(&[&'a str], &'static str, &'static str),
) {
    for directive in context.directives {
        if let Absent::Value(value) = directive.absent {
            found(path, directive.name, value);
        }
        // A block that may stand in itself is listed once.
        if let Some(inner) = directive.context().filter(|_| !path.contains(&directive.name)) {
            path.push(directive.name);
            collect(inner, path, found);
            path.pop();
        }
    }
}
