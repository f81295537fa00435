//! `mailkeep config …`, as far as it touches the server's history.

use std::path::Path;

use anyhow::Context;
use evidence::{ConfigChanged, Event};
use mail::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::columns::time;
use super::{Answer, exit, running};
use crate::admin::Admin;
use crate::revision::Texts;

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
    /// Runs on an earlier revision again, as a new one, and writes its files.
    Rollback {
        /// Its number.
        number: u64,
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
        Request::Rollback { number, reason } => rollback(admin, number, &reason).await,
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
    let Some(file) = admin.file() else { return Ok(no_file()) };
    let outcome = config::read(file, text, &config::Disk::default());
    let texts = Texts::of(file, &outcome.sources);
    put_in_force(admin, file, outcome, texts, None, reason).await
}

/// The same with the texts of a revision, included files and all.
async fn rollback(admin: &Admin, number: u64, reason: &str) -> anyhow::Result<Answer> {
    let Some(file) = admin.file() else { return Ok(no_file()) };
    let Some(row) = admin.store().revision(Some(number)).await? else {
        return Ok(no_revision(Some(number)));
    };
    let texts = Texts::of_revision(row)?;
    let outcome = texts.read(file);
    put_in_force(admin, file, outcome, Some(texts), None, reason).await
}

/// Runs on `texts` from now on and writes them, as the revision after `base` where it is named:
/// where another has come meanwhile, nothing is changed.
pub(super) async fn put_in_force(
    admin: &Admin,
    file: &Path,
    outcome: config::Outcome,
    texts: Option<Texts>,
    base: Option<u64>,
    reason: &str,
) -> anyhow::Result<Answer> {
    let findings = outcome.render();
    let mut json = outcome.to_json();
    json["schema"] = json!("mailkeep.apply/1");
    json["running"] = json!(admin.server().is_some());
    let (Some(config), Some(texts)) = (outcome.config, texts) else {
        let text = format!("{findings}\nNothing was changed.");
        return Ok(Answer::new(text, json).with_exit(exit::CONFIGURATION));
    };
    let (revision, done) = match admin.server() {
        Some(server) => match server.apply(config, &texts, base, admin.by(), reason).await {
            Ok(revision) => (revision, "is in force"),
            Err(error) => {
                let text = format!("{error:#}\nNothing was changed; the server runs on as before.");
                return Ok(Answer::failure(exit::CONFIGURATION, text));
            }
        },
        None => (keep(admin, &texts, reason).await?, "is in force once the server starts"),
    };
    let aside = texts
        .write(file)
        .with_context(|| format!("revision {revision} {done}, but not all files were written"))?;
    json["revision"] = json!(revision);
    json["set_aside"] = json!(aside);
    let mut text = format!("{findings}Revision {revision} {done}.");
    for path in &aside {
        text.push_str(&format!(
            "\n{} is no part of it and now has another name beside the old one.",
            path.display()
        ));
    }
    Ok(Answer::new(text, json))
}

fn no_file() -> Answer {
    Answer::failure(exit::USAGE, "The demo has no configuration file to change.")
}

fn no_revision(number: Option<u64>) -> Answer {
    let which = number.map_or_else(|| "revision".to_owned(), |n| format!("revision v{n}"));
    let text = format!("There is no {which}; see \"mailkeep config history\".");
    Answer::failure(exit::NO_INPUT, text)
}

/// Keeps the texts as the newest revision, with its evidence.
async fn keep(admin: &Admin, texts: &Texts, reason: &str) -> anyhow::Result<u64> {
    let store = admin.store();
    if let Some(newest) = store.revision(None).await?
        && texts.are(&newest)
    {
        return Ok(newest.number);
    }
    let revision = texts.keep(store, admin.by(), reason, Timestamp::now()).await?;
    let changed = ConfigChanged {
        revision,
        author: admin.by().to_owned(),
        reason: reason.to_owned(),
        sha256: texts.digest(),
    };
    let evidence = admin.evidence(None, Event::ConfigChanged(changed));
    if !evidence.is_empty() {
        store.append_evidence(evidence).await?.into_inner();
    }
    Ok(revision)
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
        return Ok(no_revision(number));
    };
    let mut json = json!({ "schema": "mailkeep.revision/1", "number": row.number,
        "at": row.at.to_rfc3339(), "author": row.author, "reason": row.reason });
    let texts = Texts::of_revision(row)?;
    json["text"] = json!(texts.root);
    json["files"] = json!(texts.files);
    Ok(Answer::new(texts.root, json))
}
