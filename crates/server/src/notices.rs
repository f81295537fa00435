//! Notices to senders: from what the queue decided to messages of their own.

use std::sync::Arc;

use anyhow::Result;
use evidence::{
    Accepted, Decision, Digest, Entry, EnvelopeFacts, Event, MessageFacts, Origin, Promise,
    envelope_digest,
};
use mail::dsn::{Action, Notice, Original};
use mail::{Address, Envelope, Notify, Recipient, ReversePath, Timestamp, TraceId};
use queue::{QueuedRecipient, Transition};
use rules::{Facts, Moment};
use store::{Accept, NewEntry, Start};

use crate::dispatch::{Source, Work, first_octets, schedule};
use crate::message::Record;
use crate::server::Server;
use crate::snapshot::Snapshot;

/// The notices that `followed` calls for, ready to be accepted with its settlement: one
/// for what failed, one for what waits, one for what was passed on.
///
/// # Errors
///
/// When the original cannot be read; the entry is then tried again.
pub(crate) async fn compose(
    server: &Server,
    snapshot: &Arc<Snapshot>,
    work: &Work,
    followed: &Transition,
    at: Timestamp,
) -> Result<Vec<Accept>> {
    if followed.notices.is_empty() {
        return Ok(Vec::new());
    }
    let original = match &work.content {
        Source::Memory(bytes) => bytes.to_vec(),
        Source::Stored(blob, _) => first_octets(&server.store, *blob).await?,
    };
    let whole = match &work.content {
        Source::Memory(_) => true,
        Source::Stored(_, octets) => *octets == original.len() as u64,
    };
    let mut accepts = Vec::new();
    for told in &followed.notices {
        let notice = Notice {
            id: TraceId::generate(at.0),
            at,
            reporting_mta: &snapshot.config.hostname,
            from: None,
            to: &told.to,
            smtputf8: work.record.envelope.smtputf8,
            original_id: work.trace,
            envid: work.record.envelope.envid.as_deref(),
            arrival: work.received,
            received_from: work.record.facts.helo.as_deref(),
            dsn_return: work.record.envelope.dsn_return,
            recipients: &told.recipients,
            original: Original { content: &original, whole },
        };
        let failure = told.recipients.iter().any(|recipient| recipient.action == Action::Failed);
        let copy = (failure && *snapshot.config.queue.failure_copies)
            .then(|| snapshot.config.postmaster.value.clone());
        accepts.push(accept(server, snapshot, work, &notice, &told.to, copy)?);
    }
    Ok(accepts)
}

/// The notice as a message from the null sender, with its own evidence.
fn accept(
    server: &Server,
    snapshot: &Snapshot,
    work: &Work,
    notice: &Notice<'_>,
    sender: &Address,
    copy_to: Option<Address>,
) -> Result<Accept> {
    let composed = notice.compose();
    let mut body = server.store.body();
    body.write(&composed.content)?;
    let body = body.finish()?;
    let mut envelope = Envelope::from(ReversePath::Null);
    envelope.body = composed.body;
    envelope.smtputf8 = composed.smtputf8;
    let facts =
        Facts { now: Some(Moment(notice.at)), sender: Some(ReversePath::Null), ..Facts::default() };
    let record = Record {
        envelope: envelope.clone(),
        facts,
        head: String::new(),
        revision: snapshot.revision,
    };
    let expires = schedule(&snapshot.config).expires(notice.at, &ReversePath::Null);
    let to: Vec<Address> =
        std::iter::once(sender.clone()).chain(copy_to.filter(|copy| copy != sender)).collect();
    envelope.recipients = to.iter().cloned().map(Recipient::new).collect();
    let mut entries = Vec::new();
    for address in &to {
        entries.push(entry(server, address, notice.at, expires)?);
    }
    let evidence = if server.keeps_evidence() {
        vec![evidence(work, notice, &envelope, &body, snapshot)]
    } else {
        Vec::new()
    };
    Ok(Accept {
        trace: notice.id,
        received: notice.at,
        reverse_path: ReversePath::Null,
        facts: serde_json::to_vec(&record)?,
        message_id: Some(format!("{}@{}", notice.id, notice.reporting_mta)),
        parties: to,
        body,
        entries,
        ended: Vec::new(),
        evidence,
    })
}

pub(crate) fn entry(
    server: &Server,
    address: &Address,
    now: Timestamp,
    expires: Timestamp,
) -> Result<NewEntry> {
    let resolution = server.accounts.directory().resolve(address);
    let address = resolution.redirected().unwrap_or(address).clone();
    let destination = address.domain().to_string();
    let recipient = Recipient { notify: Notify::NEVER, ..Recipient::new(address) };
    Ok(NewEntry {
        destination,
        route: None,
        recipients: queue::encode(&[QueuedRecipient::new(recipient)])?,
        recipient_count: 1,
        expires,
        start: Start::Due(now),
    })
}

fn evidence(
    work: &Work,
    notice: &Notice<'_>,
    envelope: &Envelope,
    body: &store::Body,
    snapshot: &Snapshot,
) -> store::Evidence {
    let accepted = Event::Accepted(Box::new(Accepted {
        origin: Origin::Notice { about: work.trace },
        message: MessageFacts {
            sha256: Digest::from_bytes(*body.sha256()),
            octets: body.len_octets(),
            subject: None,
            message_id: None,
        },
        envelope: EnvelopeFacts {
            sha256: envelope_digest(envelope),
            from: ReversePath::Null,
            require_tls: false,
        },
        authenticated: None,
        tls: None,
        sender: None,
        lists: Vec::new(),
        decision: Decision {
            revision: snapshot.revision,
            rules: Vec::new(),
            verdict: "notice".to_owned(),
        },
        recipients: envelope
            .recipients
            .iter()
            .map(|recipient| Promise {
                address: recipient.address.clone(),
                verdict: "deliver".to_owned(),
                rule: None,
            })
            .collect(),
        filters: Vec::new(),
    }));
    Entry::about(notice.id, notice.at, accepted).to_evidence()
}
