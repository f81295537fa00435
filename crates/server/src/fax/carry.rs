//! Faxes on their way: handed to a transport when they are due, followed to their end.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use config::model::FaxLine;
use fax::{Event, Options, Outcome, Reason, State};
use mail::{Timestamp, TraceId};
use store::{FAXES_PAGE_MAX, FaxQuery};
use tokio::sync::{Notify, mpsc, oneshot, watch};

use super::provider::{self, Hearing};
use super::record::{self, Fax};
use super::{hylafax, spool, t37, t38};
use crate::server::Server;
use crate::snapshot::Snapshot;

/// Faxes under way at a time.
const UNDER_WAY_MAX: usize = 32;
/// The longest sleep between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long to wait after the store failed.
const AFTER_FAILURE: Duration = Duration::from_secs(2);
/// How long until a transport is asked again what became of an uncertain fax.
pub const ASK_AGAIN: Duration = Duration::from_secs(60);

/// What is under way, and how it is steered.
#[derive(Default)]
pub struct Faxes {
    wake: Notify,
    under_way: Mutex<HashMap<TraceId, watch::Sender<bool>>>,
    /// The faxes that providers may tell of.
    pub hearing: Hearing,
    /// The webhooks that were taken lately.
    pub webhooks: provider::webhook::Taken,
}

/// What a transport needs to know of a fax.
#[derive(Debug, Clone)]
pub struct Errand {
    /// Its name.
    pub id: TraceId,
    /// The number to call.
    pub number: String,
    /// The number shown to the other machine.
    pub caller: String,
    /// What was asked for.
    pub options: Options,
    /// The file of its pages.
    pub file: PathBuf,
    /// How many pages it has.
    pub pages: u32,
    /// How many of them were confirmed before.
    pub confirmed: u32,
    /// The first to be sent, from 1.
    pub first_page: u32,
    /// Which attempt it is, from 1.
    pub attempt: u32,
    /// When it is given up.
    pub expires: Timestamp,
    /// What the transport calls it, if it has it already.
    pub known_as: Option<String>,
}

/// What a transport tells on the way.
#[derive(Debug)]
pub enum Progress {
    /// It has this name there; to be kept before anything is dialled.
    Named(String),
    /// This page is under way, from 1.
    Sending(u32),
    /// So many pages in all are confirmed.
    Confirmed(u32),
}

/// How a transport ends.
pub enum Carried {
    /// It knows what became of the fax.
    Ended(Outcome),
    /// It lost sight of it; it will be asked again.
    Lost,
}

/// Where a transport reports; each report is durable when this returns.
pub struct Reporter(mpsc::Sender<(Progress, oneshot::Sender<bool>)>);

impl Reporter {
    /// Reports.
    ///
    /// # Errors
    ///
    /// When it was not kept: the transport must not go on.
    pub async fn report(&self, progress: Progress) -> Result<()> {
        let (kept, answer) = oneshot::channel();
        self.0.send((progress, kept)).await.context("nobody follows this fax")?;
        if answer.await.unwrap_or(false) { Ok(()) } else { bail!("a step was not kept") }
    }
}

impl Errand {
    /// What there is to do for a fax.
    pub fn of(server: &Server, fax: &Fax) -> Self {
        Self {
            id: fax.row.id,
            number: fax.row.number.clone(),
            caller: fax.record.caller.to_string(),
            options: fax.record.options.clone(),
            file: record::file(server.data(), fax.row.id),
            pages: fax.record.job.pages,
            confirmed: fax.record.job.confirmed,
            first_page: fax.record.first_page.unwrap_or_else(|| fax.record.job.first_page()),
            attempt: fax.record.job.counters.dials,
            expires: fax.record.job.expires,
            known_as: fax.record.transport_id.clone(),
        }
    }

    /// The file, beginning with the first page that is to be sent.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or is not one of ours.
    pub fn pages_from_first(&self) -> Result<Vec<u8>> {
        let mut file = std::fs::read(&self.file)
            .with_context(|| format!("{} cannot be read", self.file.display()))?;
        // Each page of a TIFF file names the next, and the head names the first.
        for _ in 1..self.first_page {
            let next = next_page(&file).context("the file has fewer pages than it should")?;
            file[4..8].copy_from_slice(&next.to_le_bytes());
        }
        Ok(file)
    }
}

/// Where the page after the first begins in a little-endian TIFF file.
fn next_page(file: &[u8]) -> Option<u32> {
    let u32_at =
        |at: usize| Some(u32::from_le_bytes(file.get(at..at + 4)?.try_into().ok()?) as usize);
    let first = u32_at(4)?;
    let entries = u16::from_le_bytes(file.get(first..first + 2)?.try_into().ok()?);
    let next = u32_at(first + 2 + 12 * usize::from(entries))?;
    (next != 0).then_some(next as u32)
}

impl Faxes {
    /// Looks at what is due now.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Asks a fax under way to stop. False when it is not under way.
    pub fn cancel(&self, id: TraceId) -> bool {
        let under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.get(&id).is_some_and(|steer| steer.send(true).is_ok())
    }

    /// Whether somebody follows a fax just now.
    pub fn is_under_way(&self, id: TraceId) -> bool {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&id)
    }

    fn free(&self) -> usize {
        let under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        UNDER_WAY_MAX.saturating_sub(under_way.len())
    }

    /// Sends what is due, until the server is gone.
    pub fn run(&self, server: &Arc<Server>) {
        let server = Arc::downgrade(server);
        tokio::spawn(async move {
            let mut is_first = true;
            loop {
                let Some(server) = server.upgrade() else { return };
                if *server.stopping().borrow() {
                    return;
                }
                let looked = if std::mem::take(&mut is_first) {
                    after_restart(&server).await.map(|()| Duration::ZERO)
                } else {
                    look(&server).await
                };
                let pause = looked.unwrap_or_else(|error| {
                    tracing::error!(error = format!("{error:#}"), "faxes cannot be looked at");
                    AFTER_FAILURE
                });
                tokio::select! {
                    () = server.faxes.wake.notified() => {}
                    () = tokio::time::sleep(pause) => {}
                }
            }
        });
    }
}

/// What was under way when the server stopped is uncertain now.
async fn after_restart(server: &Arc<Server>) -> Result<()> {
    let snapshot = server.snapshot();
    // Those that are to stop stay so, and are seen to at once.
    let query = FaxQuery {
        state: Some("cancelling".to_owned()),
        limit: FAXES_PAGE_MAX,
        ..FaxQuery::default()
    };
    for row in server.store.faxes(query).await? {
        Fax::of(row)?.look_again(server, Timestamp::now()).await?;
    }
    for state in ["dialling", "sending"] {
        loop {
            let query = FaxQuery {
                state: Some(state.to_owned()),
                limit: FAXES_PAGE_MAX,
                ..FaxQuery::default()
            };
            let rows = server.store.faxes(query).await?;
            if rows.is_empty() {
                break;
            }
            for row in rows {
                let mut fax = Fax::of(row)?;
                fax.apply(server, &snapshot, &Event::Restarted, Timestamp::now()).await?;
            }
        }
    }
    Ok(())
}

/// Starts what is due; gives how long nothing more is.
async fn look(server: &Arc<Server>) -> Result<Duration> {
    let now = Timestamp::now();
    let free = u32::try_from(server.faxes.free()).unwrap_or(0);
    if free == 0 {
        return Ok(LOOK_EVERY);
    }
    let (rows, next) = server.store.faxes_due(now, free).await?;
    for row in rows {
        if server.faxes.is_under_way(row.id) {
            continue;
        }
        let fax = Fax::of(row)?;
        let (steer, steered) = watch::channel(fax.record.job.state == State::Cancelling);
        server
            .faxes
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(fax.row.id, steer);
        let server = Arc::clone(server);
        tokio::spawn(async move {
            let id = fax.row.id;
            if let Err(error) = attempt(&server, fax, steered).await {
                tracing::error!(fax = %id, error = format!("{error:#}"), "a fax was not followed");
                tokio::time::sleep(AFTER_FAILURE).await;
            }
            server.faxes.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
            server.faxes.wake();
        });
    }
    Ok(next.map_or(LOOK_EVERY, |next| next.since(now).min(LOOK_EVERY)))
}

/// One attempt, or one question what became of the last.
async fn attempt(
    server: &Arc<Server>,
    mut fax: Fax,
    mut steered: watch::Receiver<bool>,
) -> Result<()> {
    let snapshot = server.snapshot();
    if let State::Mailed { .. } = fax.record.job.state {
        return t37::look(server, &snapshot, &mut fax).await;
    }
    let Some(account) = snapshot.config.fax_account(&fax.row.account) else {
        return unserved(server, &snapshot, &mut fax).await;
    };
    let is_question = matches!(fax.record.job.state, State::Uncertain | State::Cancelling);
    if is_question && fax.record.transport_id.is_none() {
        // It never had a name there, so it was never handed over: it may be sent again.
        let ended = Event::Ended(Outcome::Not(Reason::TransportDown));
        return fax.apply(server, &snapshot, &ended, Timestamp::now()).await;
    }
    let chosen = if is_question {
        fax.own_line(account).map(|line| (line, false))
    } else {
        fax.next_line(account)?
    };
    let Some((line, has_other)) = chosen else {
        return unserved(server, &snapshot, &mut fax).await;
    };
    if !is_question {
        fax.goes_by(line);
        fax.apply(server, &snapshot, &Event::Started, Timestamp::now()).await?;
        if fax.record.job.state.is_final() {
            return Ok(());
        }
    }
    if let FaxLine::T37(domain) = line {
        return t37::carry(server, &snapshot, &mut fax, domain, is_question).await;
    }
    let _on_call = matches!(line, FaxLine::T38(_)).then(|| server.fax_lines.on_call());
    let errand = Errand::of(server, &fax);
    let (reports, mut progress) = mpsc::channel(4);
    let reporter = Reporter(reports);
    let mut cancelled = steered.clone();
    let work = carry(server, &snapshot, line, &errand, &reporter, &mut cancelled);
    tokio::pin!(work);
    let mut may_cancel = true;
    let carried = loop {
        tokio::select! {
            carried = &mut work => break carried,
            Some((told, kept)) = progress.recv() => {
                let outcome = note(server, &snapshot, &mut fax, told).await;
                if let Err(error) = &outcome {
                    tracing::error!(fax = %fax.row.id, error = format!("{error:#}"), "not kept");
                }
                let _gone = kept.send(outcome.is_ok());
            }
            changed = steered.changed(), if may_cancel => {
                may_cancel = false;
                if changed.is_ok() && fax.record.job.state != State::Cancelling {
                    fax.apply(server, &snapshot, &Event::Cancel, Timestamp::now()).await?;
                }
            }
        }
    };
    let event = match carried {
        Ok(Carried::Ended(outcome)) => Event::Ended(outcome),
        Ok(Carried::Lost) => Event::Restarted,
        Err(error) if fax.record.transport_id.is_none() => {
            tracing::warn!(fax = %fax.row.id, error = format!("{error:#}"), "no fax line");
            Event::Ended(Outcome::Not(Reason::TransportDown))
        }
        // It may have been handed over: the transport is asked before anything is sent.
        Err(error) => {
            tracing::warn!(fax = %fax.row.id, error = format!("{error:#}"), "lost sight of a fax");
            Event::Restarted
        }
    };
    let is_down = event == Event::Ended(Outcome::Not(Reason::TransportDown));
    let event = if is_down && has_other { fax.diverted(line) } else { fax.ended_round(event) };
    let is_lost = event == Event::Restarted;
    fax.apply(server, &snapshot, &event, Timestamp::now()).await?;
    if is_lost {
        fax.look_again(server, Timestamp::now().plus(ASK_AGAIN)).await?;
    }
    Ok(())
}

async fn note(server: &Server, snapshot: &Snapshot, fax: &mut Fax, told: Progress) -> Result<()> {
    let now = Timestamp::now();
    match told {
        Progress::Named(name) => fax.named(server, snapshot, &name).await,
        Progress::Sending(page) => match fax.record.job.state {
            State::Dialling | State::Sending { .. } => {
                fax.apply(server, snapshot, &Event::Sending(page), now).await
            }
            _ => Ok(()),
        },
        Progress::Confirmed(pages) => {
            if fax.record.job.state == State::Dialling {
                fax.apply(server, snapshot, &Event::Sending(pages.max(1)), now).await?;
            }
            match fax.record.job.state {
                State::Sending { .. } | State::Cancelling | State::Uncertain => {
                    fax.apply(server, snapshot, &Event::Confirmed(pages), now).await
                }
                _ => Ok(()),
            }
        }
    }
}

/// No transport is there for it: the fax waits and says so, until it is too old.
async fn unserved(server: &Server, snapshot: &Snapshot, fax: &mut Fax) -> Result<()> {
    if matches!(fax.record.job.state, State::Uncertain | State::Cancelling) {
        return fax.look_again(server, Timestamp::now().plus(ASK_AGAIN)).await;
    }
    fax.apply(server, snapshot, &Event::Unserved, Timestamp::now()).await
}

/// Carries a fax by a transport that answers while it is asked.
async fn carry(
    server: &Server,
    snapshot: &Snapshot,
    line: &FaxLine,
    errand: &Errand,
    reporter: &Reporter,
    cancelled: &mut watch::Receiver<bool>,
) -> Result<Carried> {
    match line {
        FaxLine::Spool(folder) => spool::carry(folder, errand, reporter, cancelled).await,
        FaxLine::Provider(name) => {
            let provider = snapshot.config.fax_provider(name);
            let provider = provider.with_context(|| format!("there is no provider {name}"))?;
            let credentials = provider.credentials.as_deref();
            let line = provider::Line {
                provider,
                web: &snapshot.web,
                credentials: credentials.and_then(|name| snapshot.credentials(name)),
                hearing: &server.faxes.hearing,
            };
            provider::carry(&line, errand, reporter, cancelled).await
        }
        FaxLine::Hylafax { server, credentials } => {
            let server = hylafax::Server::find(snapshot, server, credentials.as_deref()).await?;
            hylafax::carry(&server, errand, reporter, cancelled).await
        }
        FaxLine::T38(name) => {
            let gateway = snapshot.config.fax_gateway(name);
            let gateway = gateway.with_context(|| format!("there is no gateway {name}"))?;
            t38::send::carry(server, gateway, errand, reporter, cancelled).await
        }
        FaxLine::T37(domain) => bail!("the mail queue carries faxes to {domain}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_begins_with_the_first_page_that_was_not_confirmed() {
        // Three pages of empty directories, each naming the next.
        let mut file = vec![b'I', b'I', 42, 0, 8, 0, 0, 0];
        for next in [14_u32, 20, 0] {
            file.extend([0, 0]);
            file.extend(next.to_le_bytes());
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fax.tif");
        std::fs::write(&path, &file).unwrap();
        let errand = |first_page| Errand {
            attempt: 1,
            expires: Timestamp(0),
            id: TraceId::generate(0),
            number: "+12025550100".to_owned(),
            caller: String::new(),
            options: Options::default(),
            file: path.clone(),
            pages: 3,
            confirmed: first_page - 1,
            first_page,
            known_as: None,
        };
        assert_eq!(errand(1).pages_from_first().unwrap(), file);
        assert_eq!(errand(3).pages_from_first().unwrap()[4..8], [20, 0, 0, 0]);
        assert!(errand(4).pages_from_first().is_err());
    }
}
