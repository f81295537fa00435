//! `mailkeep config …`, as far as it touches the server's history.

use std::path::Path;

use anyhow::Context;
use evidence::{ConfigChanged, Digest, Event};
use mail::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::NewRevision;

use super::columns::time;
use super::{Answer, exit, running};
use crate::admin::Admin;

/// What can be done with the configuration of a server.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Runs on this text from now on, as a new revision, and writes it to the file.
    Apply {
        /// The whole text.
        text: String,
        /// Why.
        reason: String,
    },
    /// Every revision.
    History,
    /// The text of one revision; the newest if none is named.
    Revision {
        /// Its number.
        number: Option<u64>,
    },
}

/// Revisions of one list.
const LIST_MAX: u32 = 200;

/// Answers a request.
///
/// # Errors
///
/// The store's, and when the file cannot be written.
pub async fn answer(admin: &Admin, request: Request) -> anyhow::Result<Answer> {
    match request {
        Request::Apply { text, reason } => apply(admin, &text, &reason).await,
        Request::History => history(admin).await,
        Request::Revision { number } => revision(admin, number).await,
    }
}

/// Answers `reload`.
///
/// # Errors
///
/// None; what is wrong with the file is the answer.
pub async fn reload(admin: &Admin) -> anyhow::Result<Answer> {
    let server = match running(admin) {
        Ok(server) => server,
        Err(answer) => return Ok(answer),
    };
    match server.reload().await {
        Ok(revision) => {
            let json = json!({ "schema": "mailkeep.reload/1", "revision": revision });
            Ok(Answer::new(format!("Revision {revision} is in force."), json))
        }
        Err(error) => Ok(Answer::failure(
            exit::CONFIGURATION,
            format!("{error:#}\nNothing was changed; the server runs on as before."),
        )),
    }
}

/// Checks the text as it would stand in the file, runs on it, and only then writes it.
/// Without a server it is kept for the next start.
async fn apply(admin: &Admin, text: &str, reason: &str) -> anyhow::Result<Answer> {
    let Some(file) = admin.file() else {
        return Ok(Answer::failure(exit::USAGE, "The demo has no configuration file to change."));
    };
    let outcome = config::read(file, text, &config::Disk::default());
    let findings = outcome.render();
    let mut json = outcome.to_json();
    json["schema"] = json!("mailkeep.apply/1");
    json["running"] = json!(admin.server().is_some());
    let Some(config) = outcome.config else {
        let text = format!("{findings}\nNothing was changed.");
        return Ok(Answer::new(text, json).with_exit(exit::CONFIGURATION));
    };
    let (revision, done) = match admin.server() {
        Some(server) => match server.apply(config, text, admin.by(), reason).await {
            Ok(revision) => (revision, "is in force"),
            Err(error) => {
                let text = format!("{error:#}\nNothing was changed; the server runs on as before.");
                return Ok(Answer::failure(exit::CONFIGURATION, text));
            }
        },
        None => (keep(admin, text, reason).await?, "is in force once the server starts"),
    };
    replace(file, text).with_context(|| {
        format!("revision {revision} {done}, but {} was not written", file.display())
    })?;
    json["revision"] = json!(revision);
    Ok(Answer::new(format!("{findings}Revision {revision} {done}."), json))
}

/// Keeps `text` as the newest revision, with its evidence.
async fn keep(admin: &Admin, text: &str, reason: &str) -> anyhow::Result<u64> {
    let store = admin.store();
    if let Some(newest) = store.revision(None).await?
        && newest.text == text.as_bytes()
    {
        return Ok(newest.number);
    }
    let (author, reason) = (admin.by().to_owned(), reason.to_owned());
    let text = text.as_bytes().to_vec();
    let sha256 = Digest::of(&text);
    let at = Timestamp::now();
    let new = NewRevision { at, author: author.clone(), reason: reason.clone(), text };
    let revision = store.add_revision(new).await?.into_inner();
    let changed = ConfigChanged { revision, author, reason, sha256 };
    let evidence = admin.evidence(None, Event::ConfigChanged(changed));
    if !evidence.is_empty() {
        store.append_evidence(evidence).await?.into_inner();
    }
    Ok(revision)
}

/// Puts `text` into `file`, whole or not at all, with its permissions kept.
///
/// # Errors
///
/// The system's; the file is then as it was.
pub fn replace(file: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = file.with_file_name(name);
    let mut new = std::fs::File::create(&beside)?;
    if let Ok(old) = std::fs::metadata(file) {
        new.set_permissions(old.permissions())?;
    }
    new.write_all(text.as_bytes())?;
    new.sync_all()?;
    std::fs::rename(&beside, file)
}

async fn history(admin: &Admin) -> anyhow::Result<Answer> {
    let rows = admin.store().revisions(None, LIST_MAX).await?;
    let current = admin.server().map(|server| server.snapshot().revision);
    let mut lines = Vec::new();
    let mut revisions = Vec::new();
    for row in &rows {
        let in_force = current == Some(row.number);
        let mark = if in_force { "in force" } else { "" };
        let (at, version) = (time(row.at), format!("v{}", row.number));
        lines.push(format!("{version:<5} {at}  {:<14} {mark:<8}  {}", row.author, row.reason));
        revisions.push(json!({ "number": row.number, "at": row.at.to_rfc3339(),
            "author": row.author, "reason": row.reason, "in_force": in_force }));
    }
    if lines.is_empty() {
        lines.push("There is no revision yet; a server keeps the first when it starts.".to_owned());
    }
    let json = json!({ "schema": "mailkeep.history/1", "revisions": revisions });
    Ok(Answer::new(lines.join("\n"), json))
}

async fn revision(admin: &Admin, number: Option<u64>) -> anyhow::Result<Answer> {
    let number = number.or_else(|| admin.server().map(|server| server.snapshot().revision));
    let Some(row) = admin.store().revision(number).await? else {
        let which = number.map_or_else(|| "revision".to_owned(), |n| format!("revision v{n}"));
        let text = format!("There is no {which}; see \"mailkeep config history\".");
        return Ok(Answer::failure(exit::NO_INPUT, text));
    };
    let text = String::from_utf8(row.text).context("the revision is no text")?;
    let json = json!({ "schema": "mailkeep.revision/1", "number": row.number,
        "at": row.at.to_rfc3339(), "author": row.author, "reason": row.reason, "text": text });
    Ok(Answer::new(text, json))
}
