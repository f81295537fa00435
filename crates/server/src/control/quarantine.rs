//! `mailkeep quarantine …`: messages that a rule has set aside.

use std::sync::Arc;

use clap::Subcommand;
use evidence::FilterFinding;
use mail::header::HeaderBuffer;
use mail::{Timestamp, TraceId};
use queue::Removal;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{Change, EntryRow, EntryState, EntryStateKind, QueueFilter};

use super::columns::{Put, age, clean, count, sender, shortened, size, time};
use super::queue::{entries_of, page_through};
use super::{Answer, NotThere, ending};
use crate::admin::Admin;
use crate::intake::QUARANTINE;
use crate::server::Server;

/// What can be done with messages a rule has set aside.
#[derive(Debug, Clone, Serialize, Deserialize, Subcommand)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Every message in quarantine, with the rule's reason
    List,
    /// One message: envelope, reason, header
    Show {
        /// The message
        id: String,
    },
    /// Deliver it after all
    Release {
        /// The message
        id: String,
    },
    /// Remove it for good
    Delete {
        /// The message
        id: String,
    },
}

/// Messages of one list.
const LIST_MAX: u32 = 10_000;

/// Answers a request.
///
/// # Errors
///
/// The store's, and what is not in quarantine.
pub async fn answer(admin: &Admin, request: Request) -> anyhow::Result<Answer> {
    match request {
        Request::List => list(admin).await,
        Request::Show { id } => show(admin, &id).await,
        Request::Release { id } => release(admin, &id).await,
        Request::Delete { id } => delete(admin, &id).await,
    }
}

/// The rule's reason, if an entry is in quarantine.
fn reason(row: &EntryRow) -> Option<&str> {
    match &row.state {
        EntryState::Held { reason } => reason.strip_prefix(QUARANTINE),
        EntryState::Waiting { .. } | EntryState::Leased { .. } => None,
    }
}

/// The entries of a message that are in quarantine, and how to name them to the store.
async fn held(admin: &Admin, id: &str) -> anyhow::Result<(TraceId, QueueFilter, Vec<EntryRow>)> {
    let (trace, _, mut rows) = entries_of(admin, id).await?;
    rows.retain(|row| reason(row).is_some());
    if rows.is_empty() {
        return Err(NotThere(format!("Message {trace} is not in quarantine")).into());
    }
    let entries = rows.iter().map(|row| row.entry).take(store::ENTRIES_NAMED_MAX).collect();
    Ok((trace, QueueFilter { entries: Some(entries), ..QueueFilter::default() }, rows))
}

async fn list(admin: &Admin) -> anyhow::Result<Answer> {
    let filter = QueueFilter { state: Some(EntryStateKind::Held), ..QueueFilter::default() };
    let mut rows = page_through(admin, &filter, LIST_MAX).await?;
    rows.retain(|row| reason(row).is_some());
    let now = Timestamp::now();
    let mut text = String::new();
    for row in &rows {
        text.put(format_args!(
            "{}  {:>7}  {:>6}  {:<24}  {:<28}  {}\n",
            row.trace,
            age(now.since(row.queued)),
            size(row.size_octets),
            sender(&row.reverse_path),
            shortened(&recipients(row).join(", ")),
            clean(reason(row).unwrap_or_default())
        ));
    }
    if rows.is_empty() {
        text.push_str("Nothing is in quarantine.");
    }
    let entries: Vec<Value> = rows.iter().map(entry).collect();
    Ok(Answer::new(text, json!({ "schema": "mailkeep.quarantine/1", "entries": entries })))
}

fn recipients(row: &EntryRow) -> Vec<String> {
    let queued = queue::decode(&row.recipients).unwrap_or_default();
    queued.iter().map(|queued| queued.recipient.address.to_string()).collect()
}

fn entry(row: &EntryRow) -> Value {
    json!({ "id": row.trace, "queued": row.queued.to_rfc3339(), "size": row.size_octets,
        "from": row.reverse_path, "recipients": recipients(row), "reason": reason(row),
        "expires": row.expires.to_rfc3339() })
}

async fn show(admin: &Admin, id: &str) -> anyhow::Result<Answer> {
    let (trace, _, rows) = held(admin, id).await?;
    let message = admin.store().message(trace).await?;
    let header = match message.blob {
        Some(blob) => header(admin, blob).await?,
        None => String::new(),
    };
    let mut text = format!(
        "Message {trace}, {} octets, came {}\n  from     {}\n",
        message.size_octets,
        time(message.received),
        sender(&message.reverse_path)
    );
    for row in &rows {
        text.put(format_args!("  to       {}\n", recipients(row).join(", ")));
        text.put(format_args!("  because  {}\n", clean(reason(row).unwrap_or_default())));
    }
    let filters = findings(admin, trace).await?;
    for filter in &filters {
        text.put(format_args!("  filter   {}: {}\n", clean(&filter.by), clean(&filter.what)));
    }
    text.put(format_args!("\n{header}"));
    let entries: Vec<Value> = rows.iter().map(entry).collect();
    let json = json!({ "schema": "mailkeep.quarantine-message/1", "id": trace,
        "entries": entries, "header": header, "filters": filters });
    Ok(Answer::new(text, json))
}

/// What filters said of a message when it came.
async fn findings(admin: &Admin, trace: TraceId) -> anyhow::Result<Vec<FilterFinding>> {
    let entries = evidence::archive::entries_of(admin.store(), trace).await?;
    let accepted = entries.iter().find_map(|(_, entry)| entry.event.accepted());
    Ok(accepted.map(|accepted| accepted.filters.clone()).unwrap_or_default())
}

/// The header as it came, without what could change a terminal.
async fn header(admin: &Admin, blob: store::BlobId) -> anyhow::Result<String> {
    let mut reader = admin.store().read_body(blob).await?;
    let mut header = HeaderBuffer::default();
    let mut read = 0;
    while read <= mail::header::HEADER_MAX_OCTETS {
        let Some(part) = reader.next_part().await? else { break };
        read += part.len();
        header.push(&part);
    }
    let text = String::from_utf8_lossy(header.as_bytes()).into_owned();
    let visible = |c: char| if c.is_control() && c != '\t' { ' ' } else { c };
    let lines = text.lines().filter(|line| !line.is_empty());
    Ok(lines.map(|line| line.chars().map(visible).collect::<String>() + "\n").collect())
}

async fn release(admin: &Admin, id: &str) -> anyhow::Result<Answer> {
    let (trace, filter, rows) = held(admin, id).await?;
    let evidence = admin.act(Some(trace), "release", "from quarantine".to_owned(), None);
    let now = Timestamp::now();
    let changed = admin.store().change(&filter, Change::Release { now }, evidence).await?;
    admin.wake();
    let to: Vec<String> = rows.iter().flat_map(recipients).collect();
    let text = format!("Message {trace} goes on to {}.", to.join(", "));
    let json = json!({ "schema": "mailkeep.queue-changed/1", "changed": changed.changed,
        "in_delivery": changed.in_delivery });
    Ok(Answer::new(text, json))
}

/// Removes what was set aside longer ago than the configuration keeps it.
///
/// # Errors
///
/// The store's; what is left is removed the next time.
pub async fn sweep(server: &Arc<Server>) -> anyhow::Result<()> {
    let Some(keep) = *server.snapshot().config.quarantine.keep else { return Ok(()) };
    let keep = i64::try_from(keep.as_millis()).unwrap_or(i64::MAX);
    let filter = QueueFilter {
        state: Some(EntryStateKind::Held),
        queued_before: Some(Timestamp(Timestamp::now().0.saturating_sub(keep))),
        ..QueueFilter::default()
    };
    let admin = Admin::of(server);
    let rows = page_through(&admin, &filter, LIST_MAX).await?;
    let old: Vec<_> =
        rows.iter().filter(|row| reason(row).is_some()).map(|row| row.entry).collect();
    for entries in old.chunks(store::ENTRIES_NAMED_MAX) {
        let filter = QueueFilter { entries: Some(entries.to_vec()), ..QueueFilter::default() };
        let ended = ending::end(&admin, &filter, Removal::Cancel, "quarantine is over").await?;
        tracing::info!(entries = ended.entries, "old mail in quarantine is removed");
    }
    Ok(())
}

/// The recipients end as cancelled: a rule only set the message aside, and it is an
/// operator who takes it out without telling the sender. (`Discarded` would say that a rule
/// dropped it, and `Quarantined` would keep its body for good.)
async fn delete(admin: &Admin, id: &str) -> anyhow::Result<Answer> {
    let (trace, filter, _) = held(admin, id).await?;
    let ended = ending::end(admin, &filter, Removal::Cancel, "delete from quarantine").await?;
    let recipients = count(ended.recipients, "recipient", "recipients");
    let text = format!("Message {trace} is removed ({recipients}); its sender is not told.");
    let json = json!({ "schema": "mailkeep.queue-ended/1", "id": trace, "ended": ended.entries,
        "recipients": ended.recipients, "notices": ended.notices, "in_delivery": 0 });
    Ok(Answer::new(text, json))
}
