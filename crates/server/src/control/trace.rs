//! `mailkeep trace …`.

use anyhow::Context;
use clap::Args;
use evidence::archive;
use mail::{Address, Domain, Timestamp, TraceId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{MessageRow, TRACE_PAGE_MAX, TraceQuery};

use super::columns::{Put, sender, size, time};
use super::{Answer, NotThere, exit};
use crate::admin::Admin;

/// Which messages to follow.
#[derive(Debug, Clone, Serialize, Deserialize, Args)]
#[command(
    after_help = "Examples:\n  mailkeep trace 01JNX8Z4\n  mailkeep trace --address ana@partner.example --since 2h"
)]
pub struct Request {
    /// The message's id, or as much of its beginning as names one message
    #[arg(required_unless_present_any = ["address", "domain", "since", "until", "message_id"])]
    pub id: Option<String>,
    /// Messages from or to this address
    #[arg(long, value_name = "ADDRESS")]
    pub address: Option<Address>,
    /// Messages from or to this domain
    #[arg(long, value_name = "DOMAIN")]
    pub domain: Option<Domain>,
    /// The message with this Message-ID
    #[arg(long, value_name = "ID")]
    pub message_id: Option<String>,
    /// Messages of the last while (30m, 2h, 7d) or since an instant (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Messages until then
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// At most this many
    #[arg(long, default_value_t = 50)]
    pub limit: u32,
}

/// The most messages of one answer.
const LIMIT_MAX: u32 = 10_000;

/// Answers a request: one message in full, or a list of those that fit.
///
/// # Errors
///
/// The store's, and words that name no time.
pub async fn answer(admin: &Admin, request: Request) -> anyhow::Result<Answer> {
    let now = Timestamp::now();
    let limit = request.limit.clamp(1, LIMIT_MAX);
    let query = TraceQuery {
        ids: request.id.as_deref().map(range).transpose()?,
        address: request.address,
        domain: request.domain,
        message_id: request.message_id,
        from: request.since.as_deref().map(|text| instant(text, now)).transpose()?,
        to: request.until.as_deref().map(|text| instant(text, now)).transpose()?,
        ..TraceQuery::default()
    };
    let rows = page_through(admin, query, limit).await?;
    match &rows[..] {
        [] => Ok(Answer::failure(exit::FOUND, "No such message.")),
        [row] => whole(admin, row.trace).await,
        rows => Ok(list(rows, limit)),
    }
}

/// Messages that fit, newest first, up to one more than `limit`.
async fn page_through(
    admin: &Admin,
    mut query: TraceQuery,
    limit: u32,
) -> anyhow::Result<Vec<MessageRow>> {
    let mut rows: Vec<MessageRow> = Vec::new();
    loop {
        let left = limit + 1 - u32::try_from(rows.len()).unwrap_or(limit);
        query.limit = left.min(TRACE_PAGE_MAX);
        query.after = rows.last().map(|row| row.trace);
        let page = admin.store().trace(&query).await?;
        let done = page.len() < query.limit as usize || left <= TRACE_PAGE_MAX;
        rows.extend(page);
        if done {
            return Ok(rows);
        }
    }
}

/// The story of one message.
///
/// # Errors
///
/// When nothing was recorded of it, or what was recorded cannot be read.
pub async fn whole(admin: &Admin, trace: TraceId) -> anyhow::Result<Answer> {
    let entries = archive::entries_of(admin.store(), trace).await?;
    if entries.is_empty() {
        let text = format!("Nothing was recorded of message {trace}: the evidence was off");
        return Err(NotThere(text).into());
    }
    Ok(Answer::new(evidence::trace::text(&entries), evidence::trace::json(&entries)))
}

fn list(rows: &[MessageRow], limit: u32) -> Answer {
    let more = rows.len() > limit as usize;
    let rows = &rows[..rows.len().min(limit as usize)];
    let mut text = String::new();
    for row in rows {
        text.put(format_args!(
            "{}  {}  {:>6}  {:<30}  {}\n",
            row.trace,
            time(row.received),
            size(row.size_octets),
            sender(&row.reverse_path),
            state(row)
        ));
    }
    if more {
        text.put(format_args!("These are the newest {limit}; --limit shows more.\n"));
    }
    let json = json!({ "schema": "mailkeep.messages/1", "more": more,
        "messages": rows.iter().map(|row| json!({ "id": row.trace,
            "received": row.received.to_rfc3339(), "from": row.reverse_path,
            "size": row.size_octets, "open": row.open, "refused": row.is_refused(),
            "state": state(row) })).collect::<Vec<_>>() });
    Answer::new(text, json)
}

fn state(row: &MessageRow) -> String {
    let waiting = (row.open > 0).then(|| format!("{} waiting", row.open));
    let ended = row.ended.iter().map(|(ending, n)| format!("{n} {}", ending.word()));
    if row.is_refused() {
        return "refused".to_owned();
    }
    waiting.into_iter().chain(ended).collect::<Vec<_>>().join(", ")
}

/// `2h` ago, or an instant of RFC 3339.
fn instant(text: &str, now: Timestamp) -> anyhow::Result<Timestamp> {
    if let Some(ago) = config::quantity::parse_duration(text) {
        let ago = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
        return Ok(Timestamp(now.0.saturating_sub(ago)));
    }
    let instant: jiff::Timestamp = text.parse().with_context(|| {
        format!("\"{text}\" is neither a time such as 2h nor an instant of RFC 3339")
    })?;
    Ok(Timestamp(instant.as_millisecond()))
}

fn range(prefix: &str) -> Result<(TraceId, TraceId), NotThere> {
    TraceId::range_of_prefix(prefix).ok_or_else(|| NotThere(format!("\"{prefix}\" is no id")))
}

/// The one message whose id begins with `prefix`.
///
/// # Errors
///
/// When there is none, or more than one.
pub async fn one(admin: &Admin, prefix: &str) -> anyhow::Result<MessageRow> {
    let query = TraceQuery { ids: Some(range(prefix)?), limit: 2, ..TraceQuery::default() };
    let mut rows = admin.store().trace(&query).await?;
    match (rows.pop(), rows.is_empty()) {
        (Some(row), true) => Ok(row),
        (Some(_), false) => Err(NotThere(format!(
            "More than one message begins with \"{prefix}\"; give more of its id"
        ))
        .into()),
        (None, _) => Err(NotThere(format!("No message begins with \"{prefix}\"")).into()),
    }
}
