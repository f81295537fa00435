//! What is left of a fax that has ended: its pages go first, later what is known of it.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use config::Config;
use config::model::FaxAccount;
use mail::{Timestamp, TraceId};
use store::{FAXES_PAGE_MAX, FaxQuery};

use super::record::{self, Fax};
use super::requests;
use crate::server::Server;

/// The longest time between two looks.
const EVERY: Duration = Duration::from_secs(3_600);
/// And the shortest.
const AT_LEAST: Duration = Duration::from_secs(1);

/// Removes what has been kept long enough, until the server is gone.
pub fn tend(server: &Arc<Server>) {
    let server = Arc::downgrade(server);
    tokio::spawn(async move {
        loop {
            let Some(every) = server.upgrade().map(|server| every(&server.snapshot().config))
            else {
                return;
            };
            tokio::time::sleep(every).await;
            let Some(server) = server.upgrade() else { return };
            if let Err(error) = sweep(&server).await {
                tracing::error!(error = format!("{error:#}"), "old faxes were not removed");
            }
        }
    });
}

fn every(config: &Config) -> Duration {
    let kept = config
        .fax_accounts
        .iter()
        .flat_map(|a| [*a.keep_pages, *a.keep_records, Some(*a.requests_end)]);
    kept.flatten().min().map_or(EVERY, |kept| (kept / 2).clamp(AT_LEAST, EVERY))
}

async fn sweep(server: &Arc<Server>) -> Result<()> {
    let snapshot = server.snapshot();
    let now = Timestamp::now();
    requests::end_old(server, now).await?;
    pages(server, &snapshot.config, now).await?;
    for account in &snapshot.config.fax_accounts {
        records(server, account, now).await?;
    }
    Ok(())
}

/// Removes the pages of faxes that ended long enough ago. The folder is what is looked at,
/// so that no file is forgotten.
async fn pages(server: &Arc<Server>, config: &Config, now: Timestamp) -> Result<()> {
    let kept: BTreeMap<&str, Option<Duration>> =
        config.fax_accounts.iter().map(|a| (a.name.value.as_str(), *a.keep_pages)).collect();
    let mut folder = match tokio::fs::read_dir(record::folder(server.data())).await {
        Ok(folder) => folder,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).context("the folder of pages cannot be read"),
    };
    while let Some(file) = folder.next_entry().await? {
        let path = file.path();
        let id = path.file_stem().and_then(|name| name.to_str()).and_then(|n| n.parse().ok());
        let Some(id) = id.filter(|_| path.extension().is_some_and(|kind| kind == "tif")) else {
            continue;
        };
        let query = FaxQuery { ids: Some((id, id)), limit: 1, ..FaxQuery::default() };
        let Some(row) = server.store.faxes(query).await?.pop() else { continue };
        let mut fax = Fax::of(row)?;
        let keep = kept.get(fax.row.account.as_str()).copied().flatten();
        if !is_over(fax.ended(), keep, now) {
            continue;
        }
        // Written down first: a file that a crash leaves is found again.
        if fax.record.pages_removed.is_none() {
            fax.without_pages(server, now).await?;
        }
        remove(server, id).await?;
        tracing::info!(fax = %id, "the pages of an old fax are removed");
    }
    Ok(())
}

/// Removes what is known of faxes that ended long enough ago, with what is left of their
/// pages.
async fn records(server: &Arc<Server>, account: &FaxAccount, now: Timestamp) -> Result<()> {
    let Some(keep) = *account.keep_records else { return Ok(()) };
    let before = now.0.saturating_sub(i64::try_from(keep.as_millis()).unwrap_or(i64::MAX));
    let mut up_to = TraceId::latest(before);
    loop {
        let query = FaxQuery {
            ids: Some((TraceId::from_bytes([0; 16]), up_to)),
            account: Some(account.name.value.clone()),
            limit: FAXES_PAGE_MAX,
            ..FaxQuery::default()
        };
        let rows = server.store.faxes(query).await?;
        let last = rows.last().map(|row| row.id);
        let mut old = Vec::new();
        for row in rows {
            let fax = Fax::of(row)?;
            if is_over(fax.ended(), Some(keep), now) {
                remove(server, fax.row.id).await?;
                let evidence = fax.removal("what was known of it was removed", server, now);
                old.push((fax.row.id, evidence));
            }
        }
        if !old.is_empty() {
            tracing::info!(account = %account.name.value, faxes = old.len(), "removes old faxes");
            server.store.remove_faxes(old).await?.into_inner();
        }
        // The page after this one; what is the same again has stayed and stays.
        match last.filter(|last| *last < up_to) {
            Some(last) => up_to = last,
            None => return Ok(()),
        }
    }
}

fn is_over(ended: Option<Timestamp>, keep: Option<Duration>, now: Timestamp) -> bool {
    matches!((ended, keep), (Some(ended), Some(keep)) if ended.plus(keep) <= now)
}

/// Removes the file of a fax, if it is there.
async fn remove(server: &Server, id: TraceId) -> io::Result<()> {
    match tokio::fs::remove_file(record::file(server.data(), id)).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
