//! Ending queue entries by an operator's word.

use std::time::Duration;

use anyhow::{Context, bail};
use evidence::{Event, Finished, FinishedRecipient};
use mail::Timestamp;
use queue::{DoubleBounce, Removal, Schedule, Transition};
use store::{Accept, Claimed, QueueFilter};

use crate::admin::Admin;
use crate::dispatch::{Work, schedule};
use crate::metrics::Metrics;
use crate::notices;

/// How long the store keeps an entry for us; should we fail, it is back after that.
const LEASE: Duration = Duration::from_secs(60);
/// Entries ended in one go.
const AT_A_TIME: u32 = 100;

/// What an operator did to entries.
#[derive(Debug, Default)]
pub struct Ended {
    /// Entries that ended.
    pub entries: u64,
    /// The recipients in them.
    pub recipients: u64,
    /// Notices to senders.
    pub notices: u64,
}

/// Ends every entry that fits and is not being delivered. `action` is the operator's word,
/// for the evidence.
///
/// # Errors
///
/// The first failure; what ended before it has ended.
pub async fn end(
    admin: &Admin,
    filter: &QueueFilter,
    removal: Removal,
    action: &str,
) -> anyhow::Result<Ended> {
    let mut ended = Ended::default();
    loop {
        let until = Timestamp::now().plus(LEASE);
        let claimed = admin.store().claim_selected(filter, until, AT_A_TIME).await?.into_inner();
        if claimed.is_empty() {
            break;
        }
        for entry in claimed {
            end_one(admin, entry, removal, action, &mut ended).await?;
        }
    }
    if ended.notices > 0 {
        admin.wake();
    }
    Ok(ended)
}

async fn end_one(
    admin: &Admin,
    claimed: Claimed,
    removal: Removal,
    action: &str,
    ended: &mut Ended,
) -> anyhow::Result<()> {
    let now = Timestamp::now();
    let recipients = queue::decode(&claimed.recipients)?;
    let entry = queue::Entry {
        received: claimed.received,
        expires: claimed.expires,
        attempts: claimed.attempts,
        reverse_path: &claimed.reverse_path,
        recipients: &recipients,
    };
    let schedule = match admin.server() {
        Some(server) => schedule(&server.snapshot().config),
        None => Schedule::default(),
    };
    let followed = queue::remove(&schedule, &DoubleBounce::default(), &entry, removal, now);
    let (trace, destination) = (claimed.trace, claimed.destination.clone());
    let (lease, notices) = notices(admin, claimed, &followed, now).await?;
    let told = notices.first().map(|notice| notice.trace);
    let mut evidence = admin.act(Some(trace), action, format!("mail to {destination}"), None);
    evidence.extend(admin.evidence(Some(trace), finished(&followed, told)));
    ended.entries += 1;
    ended.recipients += followed.ended.len() as u64;
    ended.notices += notices.len() as u64;
    let settle = queue::settle(lease, &followed, now, evidence, notices)?;
    admin.store().settle(settle).await?.into_inner();
    if let Some(server) = admin.server() {
        for end in &followed.ended {
            Metrics::count(&server.metrics.ended, end.ending.word());
        }
    }
    Ok(())
}

/// The notices that `followed` calls for; the lease comes back.
async fn notices(
    admin: &Admin,
    claimed: Claimed,
    followed: &Transition,
    now: Timestamp,
) -> anyhow::Result<(store::Lease, Vec<Accept>)> {
    if followed.notices.is_empty() {
        return Ok((claimed.lease, Vec::new()));
    }
    let Some(server) = admin.server() else {
        bail!("a notice to the sender can be written only by a running server");
    };
    let work = Work::of(claimed).context("the message's record cannot be read")?;
    let notices = notices::compose(server, &server.snapshot(), &work, followed, now).await?;
    Ok((work.lease, notices))
}

fn finished(followed: &Transition, notice: Option<mail::TraceId>) -> Event {
    let recipients = followed.ended.iter().map(|end| FinishedRecipient {
        address: end.recipient.recipient.address.clone(),
        ending: end.ending.into(),
        reason: Some(end.text.clone()),
        rule: None,
        notice,
    });
    Event::Finished(Finished { recipients: recipients.collect() })
}
