//! What is kept of a fax, and how it changes: always with its evidence.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use config::model::{FaxAccount, FaxLine};
use evidence::{Digest, Entry, Event as Evidence, FaxChanged};
use fax::work::Missing;
use fax::{Event, Job, LeftOut, Number, Options, State};
use mail::{Address, Timestamp, TraceId};
use serde::{Deserialize, Serialize};
use store::{Accept, FaxChange, FaxQuery, FaxRow, Likeness, NewFax};

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
    pub caller: Number,
    /// SHA-256 of the file of its pages.
    pub sha256: Digest,
    /// What the transport calls it, once it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport_id: Option<String>,
    /// The transport of the last attempt, by its name in the account. Nobody else is asked
    /// what became of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
    /// The first page that the last attempt was to send, from 1. What its transport says of
    /// pages counts from there, also after more of them were confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_page: Option<u32>,
    /// The transports that were down since the last round.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub down: Vec<String>,
    /// What an off-ramp must know to report on the last attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report_secret: Option<TraceId>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// When its pages were removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pages_removed: Option<Timestamp>,
    /// Attachments that it goes without.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
    /// Characters of the text that no font has.
    #[serde(flatten)]
    pub missing: Missing,
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
        let ended = job.state.is_final().then_some(now);
        let record = Record { job, ended, ..self.record.clone() };
        self.keep(server, snapshot, record, Vec::new(), now).await
    }

    /// Its mail to an off-ramp waits in the queue, together with what is kept of it.
    ///
    /// # Errors
    ///
    /// As [`Self::apply`].
    pub async fn mailed(
        &mut self,
        server: &Server,
        snapshot: &Snapshot,
        report_secret: TraceId,
        mail: Accept,
        now: Timestamp,
    ) -> Result<()> {
        let record = Record {
            job: self.record.job.apply(&Event::Mailed(None), now)?,
            transport_id: Some(mail.trace.to_string()),
            report_secret: Some(report_secret),
            ..self.record.clone()
        };
        self.keep(server, snapshot, record, vec![mail], now).await
    }

    /// The fax of a name, if there is one.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn find(server: &Server, id: TraceId) -> Result<Option<Self>> {
        let query = FaxQuery { ids: Some((id, id)), limit: 1, ..FaxQuery::default() };
        server.store.faxes(query).await?.pop().map(Self::of).transpose()
    }

    /// Keeps the name that the transport gives it. After this a crash is reconciled by it.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn named(&mut self, server: &Server, snapshot: &Snapshot, name: &str) -> Result<()> {
        let record = Record { transport_id: Some(name.to_owned()), ..self.record.clone() };
        self.keep(server, snapshot, record, Vec::new(), Timestamp::now()).await
    }

    /// The next attempt is made by `line`, where it has no name yet. Kept with the event
    /// that begins it.
    pub fn goes_by(&mut self, line: &FaxLine) {
        self.record.transport_id = None;
        self.record.report_secret = None;
        self.record.line = Some(line.to_string());
        self.record.first_page = Some(self.record.job.first_page());
    }

    /// The transport that answers for it, while nobody knows what became of it.
    pub fn own_line<'a>(&self, account: &'a FaxAccount) -> Option<&'a FaxLine> {
        match (&self.record.line, account.transports.as_slice()) {
            (Some(name), _) => account.line(name),
            // It was begun when an account had one transport.
            (None, [only]) => Some(&only.line),
            (None, _) => None,
        }
    }

    /// The best transport that was not down in this round, and whether there is another
    /// behind it.
    pub fn next_line<'a>(&self, account: &'a FaxAccount) -> Result<Option<(&'a FaxLine, bool)>> {
        let number = Number::try_from(self.row.number.clone())?;
        let lines = account.lines_for(&number);
        let is_up = |line: &&&FaxLine| !self.record.down.contains(&line.to_string());
        let mut up = lines.iter().filter(is_up);
        Ok(match up.next() {
            Some(line) => Some((*line, up.next().is_some())),
            // The account was changed meanwhile; a new round begins.
            None => lines.first().map(|line| (*line, false)),
        })
    }

    /// What happens when `line` is down and another follows it in this round.
    pub fn diverted(&mut self, line: &FaxLine) -> Event {
        self.record.down.push(line.to_string());
        Event::Diverted
    }

    /// What happens at the end of a round: the next one begins with the best transport again.
    pub fn ended_round(&mut self, event: Event) -> Event {
        self.record.down.clear();
        event
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

    /// Since when nothing more happens to it. One that ended before that was written down
    /// counts as long as it could have taken.
    pub fn ended(&self) -> Option<Timestamp> {
        let job = &self.record.job;
        job.state.is_final().then(|| self.record.ended.unwrap_or(job.expires))
    }

    /// Writes down, with evidence, that its pages are no longer kept.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn without_pages(&mut self, server: &Server, now: Timestamp) -> Result<()> {
        let record = Record { pages_removed: Some(now), ..self.record.clone() };
        let row = serde_json::to_vec(&record)?;
        let change = FaxChange {
            id: self.row.id,
            before: std::mem::replace(&mut self.row.row, row.clone()),
            state: self.row.state.clone(),
            due: self.row.due,
            row,
            evidence: self.removal("its pages were removed", server, now),
            notices: Vec::new(),
        };
        server.store.change_fax(change).await?.into_inner();
        self.record = record;
        Ok(())
    }

    /// What is recorded of a removal.
    pub fn removal(&self, what: &str, server: &Server, now: Timestamp) -> Vec<store::Evidence> {
        let detail = format!("{}: {what}", self.record.job.state);
        let entry = || self.told(Some(detail), now);
        if server.keeps_evidence() { vec![entry()] } else { Vec::new() }
    }

    async fn keep(
        &mut self,
        server: &Server,
        snapshot: &Snapshot,
        record: Record,
        mails: Vec<Accept>,
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
        let mut notices = mails;
        if is_told {
            notices.extend(notice::compose(server, snapshot, &next).await?);
        }
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
        let detail = self.record.job.state.to_string();
        self.told((detail != self.row.state).then_some(detail), now)
    }

    /// What is recorded of a message that is this fax too, sent again.
    pub fn came_again(&self, message: TraceId, now: Timestamp) -> store::Evidence {
        let detail = format!("{}: this message is faxed already", self.record.job.state);
        self.about(message, Some(detail), now)
    }

    fn told(&self, detail: Option<String>, now: Timestamp) -> store::Evidence {
        self.about(self.row.message, detail, now)
    }

    fn about(&self, message: TraceId, detail: Option<String>, now: Timestamp) -> store::Evidence {
        let job = &self.record.job;
        let changed = FaxChanged {
            fax: self.row.id,
            account: self.row.account.clone(),
            number: self.row.number.clone(),
            state: self.row.state.clone(),
            detail,
            pages: job.pages,
            confirmed: job.confirmed,
            sha256: self.record.sha256,
            transport: self.record.transport_id.clone(),
            line: self.record.line.clone(),
        };
        Entry::about(message, now, Evidence::FaxChanged(Box::new(changed))).to_evidence()
    }

    /// The row for the store, with what is recorded of it and who is told.
    ///
    /// # Errors
    ///
    /// When a notice cannot be written.
    pub async fn new_row(
        self,
        server: &Server,
        snapshot: &Snapshot,
        likeness: Option<Likeness>,
        now: Timestamp,
    ) -> Result<NewFax> {
        let evidence = match self.record.left_out.as_slice() {
            _ if !server.keeps_evidence() => Vec::new(),
            [] => vec![self.evidence(now)],
            left_out => {
                let left_out: Vec<String> = left_out.iter().map(LeftOut::to_string).collect();
                let state = &self.record.job.state;
                vec![self.told(Some(format!("{state}; left out: {}", left_out.join("; "))), now)]
            }
        };
        let notices = notice::compose(server, snapshot, &self).await?;
        Ok(NewFax { row: self.row, likeness, evidence, notices })
    }
}

/// When something is to be done about a fax that stands so. What became of an uncertain one
/// is asked at once, and of one that is to stop too, should nobody follow it.
pub fn due(state: &State, now: Timestamp) -> Option<Timestamp> {
    if matches!(state, State::Uncertain | State::Cancelling) { Some(now) } else { state.due() }
}
