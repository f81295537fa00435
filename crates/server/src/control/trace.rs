//! `mailkeep trace …`.

use anyhow::{Context, bail};
use clap::Args;
use evidence::Entry;
use mail::{Address, Timestamp, TraceId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{MessageRow, TraceQuery};

use super::{Answer, exit};
use crate::admin::Admin;

/// Which messages to follow.
#[derive(Debug, Clone, Serialize, Deserialize, Args)]
#[command(
    after_help = "Examples:\n  mailkeep trace 01JNX8Z4\n  mailkeep trace --address ana@partner.example --since 2h"
)]
pub struct Request {
    /// The message's id, or as much of its beginning as names one message
    #[arg(required_unless_present_any = ["address", "since", "message_id"])]
    pub id: Option<String>,
    /// Messages from or to this address
    #[arg(long, value_name = "ADDRESS")]
    pub address: Option<Address>,
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
pub async fn answer(admin: &Admin, request: Request) -> anyhow::Result<Answer> {
    let now = Timestamp::now();
    let ids = match &request.id {
        Some(id) => {
            Some(TraceId::range_of_prefix(id).with_context(|| format!("\"{id}\" is no id"))?)
        }
        None => None,
    };
    let query = TraceQuery {
        ids,
        address: request.address,
        message_id: request.message_id,
        from: request.since.as_deref().map(|text| instant(text, now)).transpose()?,
        to: request.until.as_deref().map(|text| instant(text, now)).transpose()?,
        limit: request.limit.min(LIMIT_MAX),
        ..TraceQuery::default()
    };
    let rows = admin.store().trace(&query).await?;
    match &rows[..] {
        [] => Ok(Answer::failure(exit::FOUND, "No such message.")),
        [row] => whole(admin, row.trace).await,
        rows => Ok(list(rows)),
    }
}

/// The story of one message.
pub async fn whole(admin: &Admin, trace: TraceId) -> anyhow::Result<Answer> {
    let mut entries = Vec::new();
    for row in admin.store().evidence_of(trace).await? {
        entries.push((row.seq, Entry::from_payload(row.seq, &row.payload)?));
    }
    if entries.is_empty() {
        bail!("message {trace} is known, but no evidence of it was recorded (evidence is off)");
    }
    Ok(Answer::new(evidence::trace::text(&entries), evidence::trace::json(&entries)))
}

fn list(rows: &[MessageRow]) -> Answer {
    let mut lines = Vec::new();
    let mut json_rows = Vec::new();
    for row in rows {
        let state = if row.is_refused() {
            "refused".to_owned()
        } else if row.open > 0 {
            format!("{} waiting", row.open)
        } else {
            let ended: Vec<String> =
                row.ended.iter().map(|(ending, n)| format!("{n} {}", ending.word())).collect();
            ended.join(", ")
        };
        lines.push(format!(
            "{}  {}  {:>9}  <{}>  {state}",
            row.trace,
            row.received.to_rfc3339(),
            row.size_octets,
            row.reverse_path
        ));
        json_rows.push(json!({ "id": row.trace, "received": row.received.to_rfc3339(),
            "from": row.reverse_path, "size": row.size_octets, "open": row.open,
            "refused": row.is_refused(), "state": state }));
    }
    Answer::new(lines.join("\n"), json!({ "schema": "mailkeep.messages/1", "messages": json_rows }))
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

/// The one message whose id begins with `prefix`.
///
/// # Errors
///
/// When there is none, or more than one.
pub async fn one(admin: &Admin, prefix: &str) -> anyhow::Result<MessageRow> {
    let ids = TraceId::range_of_prefix(prefix).with_context(|| format!("\"{prefix}\" is no id"))?;
    let query = TraceQuery { ids: Some(ids), limit: 2, ..TraceQuery::default() };
    let mut rows = admin.store().trace(&query).await?;
    match (rows.pop(), rows.is_empty()) {
        (Some(row), true) => Ok(row),
        (Some(_), false) => {
            bail!("more than one message begins with \"{prefix}\": give more of its id")
        }
        (None, _) => bail!("no message begins with \"{prefix}\""),
    }
}
