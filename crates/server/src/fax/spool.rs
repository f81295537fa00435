//! The spool folder: each fax a folder of its own, for another program to send.
//!
//! ```text
//! FOLDER/ID/job.json      what is to be sent, and where to
//! FOLDER/ID/document.tif  the pages
//! FOLDER/ID/status.json   the other program's answer: {"state":"sent","pages":3}
//! ```
//!
//! A folder appears whole. The answer must appear whole too: written beside, then renamed.
//! States are `sending` (with `page`), `sent`, `busy`, `no-answer`, `no-carrier`,
//! `interrupted` and `failed`.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use fax::{Outcome, Reason};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::watch;

use super::carry::{Carried, Errand, Progress, Reporter};
use super::make::write_file;

/// Between two looks at the answer.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The longest answer that is read, in octets.
const STATUS_MAX_OCTETS: u64 = 64 * 1024;

#[derive(Deserialize)]
struct Status {
    state: String,
    #[serde(default)]
    page: u32,
    #[serde(default)]
    pages: u32,
}

/// Puts the fax into the folder, unless it is there, and waits for the answer.
///
/// # Errors
///
/// When the folder cannot be written.
pub async fn carry(
    folder: &Path,
    errand: &Errand,
    reporter: &Reporter,
    cancelled: &mut watch::Receiver<bool>,
) -> Result<Carried> {
    let place = folder.join(errand.id.to_string());
    if errand.known_as.is_none() {
        reporter.report(Progress::Named(errand.id.to_string())).await?;
        let (place, errand) = (place.clone(), errand.clone());
        tokio::task::spawn_blocking(move || put(&place, &errand)).await??;
    } else if !place.is_dir() {
        // Someone took it away, and may have sent it: to send it again would be blind.
        return Ok(Carried::Ended(Outcome::Not(Reason::Unknown)));
    }
    let (mut page, mut confirmed) = (0, 0);
    loop {
        if *cancelled.borrow() {
            remove(&place).await?;
            return Ok(Carried::Ended(Outcome::Cancelled));
        }
        if let Some(status) = read(&place).await {
            if status.pages > confirmed {
                confirmed = status.pages;
                reporter.report(Progress::Confirmed(confirmed)).await?;
            }
            if let Some(outcome) = outcome(&status.state) {
                remove(&place).await?;
                return Ok(Carried::Ended(outcome));
            }
            if status.state == "sending" && status.page > page {
                page = status.page;
                reporter.report(Progress::Sending(page)).await?;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            changed = cancelled.changed() => if changed.is_err() { return Ok(Carried::Lost) },
        }
    }
}

fn outcome(state: &str) -> Option<Outcome> {
    Some(match state {
        "sent" => Outcome::Sent,
        "busy" => Outcome::Not(Reason::Busy),
        "no-answer" | "no_answer" => Outcome::Not(Reason::NoAnswer),
        "no-carrier" | "no_carrier" => Outcome::Not(Reason::NoCarrier),
        "interrupted" => Outcome::Not(Reason::Interrupted),
        "failed" => Outcome::Not(Reason::NumberRefused),
        _ => return None,
    })
}

fn put(place: &Path, errand: &Errand) -> Result<()> {
    let unfinished = place.with_extension("new");
    let _old = std::fs::remove_dir_all(&unfinished);
    std::fs::create_dir_all(&unfinished)?;
    write_file(&unfinished.join("document.tif"), &errand.pages_from_first()?)?;
    let job = json!({
        "id": errand.id, "number": errand.number, "caller": errand.caller,
        "subaddress": errand.options.subaddress, "billing": errand.options.billing,
        "pages": errand.pages, "first-page": errand.first_page,
    });
    write_file(&unfinished.join("job.json"), &serde_json::to_vec_pretty(&job)?)?;
    std::fs::rename(&unfinished, place)?;
    Ok(())
}

async fn read(place: &Path) -> Option<Status> {
    let path: PathBuf = place.join("status.json");
    let meta = tokio::fs::metadata(&path).await.ok()?;
    if meta.len() > STATUS_MAX_OCTETS {
        return None;
    }
    serde_json::from_slice(&tokio::fs::read(&path).await.ok()?).ok()
}

async fn remove(place: &Path) -> io::Result<()> {
    match tokio::fs::remove_dir_all(place).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
