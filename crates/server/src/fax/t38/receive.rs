//! A fax that comes in by T.38.
//!
//! The caller is told that a page was taken once it is on the disk: below `fax-incoming`, and
//! from the end of the call on as a mail. What the server did not live to make a mail of is
//! made one when it starts again.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use config::model::{FaxAccount, FaxInbound, FaxSource};
use fax::inbound::Arrival;
use fax::{Number, Plan};
use mail::{Timestamp, TraceId};
use serde::{Deserialize, Serialize};
use store::FaxFile;
use t38::engine::work::Task;
use t38::media::{self, Keeper};
use t38::sip::Incoming;

use super::super::inbound::{Came, KNOWN_FOR, take};
use super::super::make::write_file;
use super::{GOODBYE_MAX, machine, raised};
use crate::server::Server;
use crate::snapshot::Snapshot;

/// Where pages are until they are a mail, in the data folder.
const FOLDER: &str = "fax-incoming";

/// What is known of pages that are not a mail yet.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    gateway: String,
    account: String,
    called: String,
    caller: String,
    station: String,
    came: String,
    /// How the call ended; nothing while it goes on.
    ended: Option<String>,
}

/// Takes a call.
pub async fn answer(server: Arc<Server>, gateway: String, call: Incoming) {
    let (called, caller) = (call.called.clone(), call.caller.clone());
    if let Err(error) = receive(&server, &gateway, call).await {
        let error = format!("{error:#}");
        tracing::warn!(gateway, called, caller, error, "a call brought no fax");
    }
}

async fn receive(server: &Arc<Server>, gateway: &str, call: Incoming) -> Result<()> {
    let _on_call = server.fax_lines.on_call();
    let snapshot = server.snapshot();
    let is_paced = snapshot.config.fax_gateway(gateway).is_none_or(|found| found.is_paced);
    let Some((account, _)) = account_for(&snapshot, gateway, &call.called) else {
        call.reject(404);
        anyhow::bail!("no account takes the calls of this gateway");
    };
    let ident = account.main_number.to_string();
    let task = Task { sends: false, ident, subaddress: None, is_paced };
    let mut machine = match machine(&task, &[]).await {
        Ok(machine) => machine,
        Err(error) => {
            call.reject(503);
            return Err(error.into());
        }
    };
    let id = TraceId::generate(Timestamp::now().0);
    let mut shelf = Shelf {
        place: server.data().join(FOLDER).join(id.to_string()),
        kept: Kept {
            gateway: gateway.to_owned(),
            account: account.name.value.clone(),
            called: call.called.clone(),
            caller: call.caller.clone(),
            station: String::new(),
            came: Timestamp::now().to_rfc3339(),
            ended: None,
        },
    };
    let mut call = call.accept().await?;
    let (socket, other) = (call.socket(), call.other.clone());
    let over = async {
        tokio::select! {
            () = call.over() => {}
            () = raised(server.stopping()) => {}
        }
    };
    let done = media::carry(&mut machine, &socket, &other, over, &mut shelf).await;
    let _ended = tokio::time::timeout(GOODBYE_MAX, call.hang_up()).await;
    let ended = match done {
        Ok(done) => {
            shelf.kept.station = done.ended.station;
            if done.ended.code == 0 { String::new() } else { done.ended.words }
        }
        Err(error) => error.to_string(),
    };
    shelf.kept.ended = Some(ended.clone());
    if !shelf.kept_pages().exists() {
        anyhow::bail!("no page came: {ended}");
    }
    shelf.keep_facts().await?;
    give(server, &snapshot, &shelf.place, &shelf.kept).await
}

/// The account that a call is for: the one that has the number, else the first that takes
/// calls of the gateway.
fn account_for<'a>(
    snapshot: &'a Snapshot,
    gateway: &str,
    called: &str,
) -> Option<(&'a FaxAccount, &'a FaxInbound)> {
    let takes = |account: &'a FaxAccount| {
        let inbound = account.inbound.as_ref()?;
        let is_it = matches!(&*inbound.source, FaxSource::T38(name) if name == gateway);
        is_it.then_some((account, inbound))
    };
    let all: Vec<_> = snapshot.config.fax_accounts.iter().filter_map(takes).collect();
    let has = |(account, inbound): &&(&FaxAccount, &FaxInbound)| {
        number(called, &account.plan).is_some_and(|number| {
            number == account.main_number
                || inbound.routes.iter().any(|(known, _)| *known == number)
                || account.users.iter().any(|user| user.number.as_ref() == Some(&number))
        })
    };
    all.iter().find(has).or_else(|| all.first()).copied()
}

/// A number as gateways write it: `+12025550123`, `12025550123` or as in the country.
fn number(text: &str, plan: &Plan) -> Option<Number> {
    // What may be called is no question here.
    let plan = plan.open();
    plan.read(text).or_else(|_| plan.read(&format!("+{text}"))).ok()
}

/// Puts pages on the disk before they are confirmed.
struct Shelf {
    /// Without an ending.
    place: PathBuf,
    kept: Kept,
}

impl Shelf {
    fn kept_pages(&self) -> PathBuf {
        self.place.with_extension("tif")
    }

    async fn keep_facts(&self) -> Result<()> {
        let (path, json) = (self.place.with_extension("json"), serde_json::to_vec(&self.kept)?);
        tokio::task::spawn_blocking(move || write_file(&path, &json)).await?
    }
}

impl Keeper for Shelf {
    fn pages(&mut self, pages: u32, file: &[u8]) -> impl Future<Output = bool> + Send {
        let (path, octets) = (self.kept_pages(), file.to_vec());
        async move {
            // The facts first: pages without them would be nobody's.
            let kept = async {
                if pages == 1 {
                    self.keep_facts().await?;
                }
                tokio::task::spawn_blocking(move || write_file(&path, &octets)).await?
            };
            let kept: Result<()> = kept.await;
            if let Err(error) = &kept {
                tracing::error!(error = format!("{error:#}"), "a page that came was not kept");
            }
            kept.is_ok()
        }
    }
}

/// Makes a mail of pages, and removes them once it is on the disk.
async fn give(server: &Arc<Server>, snapshot: &Snapshot, place: &Path, kept: &Kept) -> Result<()> {
    let known = snapshot.config.fax_account(&kept.account);
    let found = known.and_then(|account| Some((account, account.inbound.as_ref()?)));
    let found = found.or_else(|| account_for(snapshot, &kept.gateway, &kept.called));
    let (account, inbound) =
        found.with_context(|| format!("no account takes faxes; see {}", place.display()))?;
    let name = place.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let path = place.with_extension("tif");
    let octets = tokio::fs::read(&path).await?;
    let source = format!("T.38 gateway {}", kept.gateway);
    let remark = match kept.ended.as_deref() {
        Some("") => None,
        Some(words) => Some(format!("the call broke off: {words}")),
        None => Some("the call broke off: the server stopped".to_owned()),
    };
    let came = Came {
        file: FaxFile {
            server: source.clone(),
            name: format!("{name}.tif"),
            mark: kept.came.clone(),
        },
        arrival: Arrival {
            called: number(&kept.called, &account.plan),
            caller: number(&kept.caller, &account.plan),
            station: kept.station.clone(),
        },
        octets: &octets,
        scan: pages::scan::read(&octets),
        remark,
    };
    take(server, snapshot, account, inbound, came).await?;
    tokio::fs::remove_file(&path).await?;
    tokio::fs::remove_file(place.with_extension("json")).await?;
    let kept_for = i64::try_from(KNOWN_FOR.as_millis()).unwrap_or(i64::MAX);
    let before = Timestamp(Timestamp::now().0 - kept_for);
    server.store.forget_taken_faxes(&source, before, Vec::new()).await?.into_inner();
    Ok(())
}

/// Gives what the server did not live to give.
///
/// # Errors
///
/// When the folder cannot be read.
pub async fn after_restart(server: &Arc<Server>) -> Result<()> {
    let snapshot = server.snapshot();
    let mut entries = match tokio::fs::read_dir(server.data().join(FOLDER)).await {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    while let Some(entry) = entries.next_entry().await? {
        let path = entry.path();
        if path.extension().is_none_or(|ending| ending != "json") {
            continue;
        }
        let given = async {
            if !path.with_extension("tif").exists() {
                // It was a mail already, or no page had come.
                return Ok(tokio::fs::remove_file(&path).await?);
            }
            let kept: Kept = serde_json::from_slice(&tokio::fs::read(&path).await?)?;
            give(server, &snapshot, &path.with_extension(""), &kept).await
        };
        let given: Result<()> = given.await;
        if let Err(error) = given {
            let path = path.display().to_string();
            tracing::error!(path, error = format!("{error:#}"), "pages that came are still here");
        }
    }
    Ok(())
}
