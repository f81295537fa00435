//! What is kept of a fax, and how it changes: always with its evidence.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use evidence::{Digest, Entry, Event as Evidence, FaxChanged};
use fax::{Event, Job, Options, State};
use mail::{Address, Timestamp, TraceId};
use serde::{Deserialize, Serialize};
use store::{Accept, FaxChange, FaxRow};

use super::notice;
use crate::server::Server;
use crate::snapshot::Snapshot;

/// What is kept of a fax beside its number and account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its life.
    pub job: Job,
    /// Who sends it.
    pub sender: Address,
    /// The subject of the mail, where the account shows subjects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What was asked for, with what the account says where nothing was.
    pub options: Options,
    /// The number shown to the other machine.
    pub caller: fax::Number,
    /// SHA-256 of the file of its pages.
    pub sha256: Digest,
    /// What the transport calls it, once it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport_id: Option<String>,
    /// Characters of the text that no font has.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub missing: String,
}

/// A fax at hand: its row, read.
#[derive(Debug, Clone)]
pub struct Fax {
    /// The row as it stands in the store.
    pub row: FaxRow,
    /// What is in it.
    pub record: Record,
}

/// Where the pages of a fax are kept.
pub fn file(data: &Path, id: TraceId) -> PathBuf {
    folder(data).join(format!("{id}.tif"))
}

/// The folder of all pages.
pub fn folder(data: &Path) -> PathBuf {
    data.join("fax")
}

impl Fax {
    /// Reads a row.
    ///
    /// # Errors
    ///
    /// When it was written by a program that is newer than this one.
    pub fn of(row: FaxRow) -> Result<Self> {
        let record = serde_json::from_slice(&row.row)
            .with_context(|| format!("the record of fax {} cannot be read", row.id))?;
        Ok(Self { row, record })
    }

    /// Applies `event` and keeps what comes of it, with its evidence and the mail that tells
    /// the sender where one is due.
    ///
    /// # Errors
    ///
    /// When the event makes no sense now, the row has changed meanwhile, or the store fails.
    /// The fax is then as it was.
    pub async fn apply(
        &mut self,
        server: &Server,
        snapshot: &Snapshot,
        event: &Event,
        now: Timestamp,
    ) -> Result<()> {
        let job = self.record.job.apply(event, now)?;
        let record = Record { job, ..self.record.clone() };
        self.keep(server, snapshot, record, now).await
    }

    /// Keeps the name that the transport gives it. After this a crash is reconciled by it.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn named(&mut self, server: &Server, snapshot: &Snapshot, name: &str) -> Result<()> {
        let record = Record { transport_id: Some(name.to_owned()), ..self.record.clone() };
        self.keep(server, snapshot, record, Timestamp::now()).await
    }

    /// A new attempt gets a new name at the transport; until then it has none.
    pub fn forget_name(&mut self) {
        self.record.transport_id = None;
    }

    /// Looks at it again at `due`, with nothing changed.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn look_again(&mut self, server: &Server, due: Timestamp) -> Result<()> {
        let change = FaxChange {
            id: self.row.id,
            before: self.row.row.clone(),
            state: self.row.state.clone(),
            due: Some(due),
            row: self.row.row.clone(),
            evidence: Vec::new(),
            notices: Vec::new(),
        };
        server.store.change_fax(change).await?.into_inner();
        self.row.due = Some(due);
        Ok(())
    }

    async fn keep(
        &mut self,
        server: &Server,
        snapshot: &Snapshot,
        record: Record,
        now: Timestamp,
    ) -> Result<()> {
        let before = &self.record.job.state;
        let after = &record.job.state;
        let is_told = before.to_string() != after.to_string();
        let row = FaxRow {
            state: after.word().to_owned(),
            due: due(after, now),
            row: serde_json::to_vec(&record)?,
            ..self.row.clone()
        };
        let next = Self { row, record };
        let evidence =
            if is_told && server.keeps_evidence() { vec![next.evidence(now)] } else { Vec::new() };
        let notices = if is_told { notice::compose(server, snapshot, &next)? } else { Vec::new() };
        let has_notices = !notices.is_empty();
        let change = FaxChange {
            id: self.row.id,
            before: self.row.row.clone(),
            state: next.row.state.clone(),
            due: next.row.due,
            row: next.row.row.clone(),
            evidence,
            notices,
        };
        server.store.change_fax(change).await?.into_inner();
        if is_told {
            tracing::info!(fax = %next.row.id, id = %next.row.message, number = %next.row.number,
                confirmed = next.record.job.confirmed, "fax is {}", next.record.job.state);
        }
        *self = next;
        if has_notices {
            server.dispatcher.wake();
        }
        Ok(())
    }

    /// What is recorded of where it stands.
    pub fn evidence(&self, now: Timestamp) -> store::Evidence {
        let job = &self.record.job;
        let detail = job.state.to_string();
        let changed = FaxChanged {
            fax: self.row.id,
            account: self.row.account.clone(),
            number: self.row.number.clone(),
            state: self.row.state.clone(),
            detail: (detail != self.row.state).then_some(detail),
            pages: job.pages,
            confirmed: job.confirmed,
            sha256: self.record.sha256,
            transport: self.record.transport_id.clone(),
        };
        Entry::about(self.row.message, now, Evidence::FaxChanged(Box::new(changed))).to_evidence()
    }

    /// The row for the store, with what is recorded of it and who is told.
    ///
    /// # Errors
    ///
    /// When a notice cannot be written.
    pub fn new_row(
        self,
        server: &Server,
        snapshot: &Snapshot,
        now: Timestamp,
    ) -> Result<(FaxRow, Vec<store::Evidence>, Vec<Accept>)> {
        let evidence = if server.keeps_evidence() { vec![self.evidence(now)] } else { Vec::new() };
        let notices = notice::compose(server, snapshot, &self)?;
        Ok((self.row, evidence, notices))
    }
}

/// When something is to be done about a fax that stands so. What became of an uncertain one
/// is asked at once.
pub fn due(state: &State, now: Timestamp) -> Option<Timestamp> {
    if *state == State::Uncertain { Some(now) } else { state.due() }
}
