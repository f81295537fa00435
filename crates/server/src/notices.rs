//! Notices to senders: from what the queue decided to messages of their own.

use std::sync::Arc;

use anyhow::Result;
use evidence::Origin;
use mail::dsn::{Action, Notice, Original};
use mail::{Timestamp, TraceId};
use queue::Transition;
use store::Accept;

use crate::dispatch::{Source, Work, first_octets};
use crate::fax::t37;
use crate::letter::Letter;
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
        // A fax that goes on by mail hears it from the queue itself.
        if t37::return_path(snapshot, &told.to).is_some() {
            continue;
        }
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
        let composed = notice.compose();
        let others = copy.filter(|copy| *copy != told.to);
        let letter = Letter {
            trace: notice.id,
            at,
            origin: Origin::Notice { about: work.trace },
            to: std::iter::once(told.to.clone()).chain(others).collect(),
            content: composed.content,
            body: composed.body,
            smtputf8: composed.smtputf8,
        };
        accepts.push(letter.accept(server, snapshot)?);
    }
    Ok(accepts)
}
