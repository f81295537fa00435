//! `queue list` and `queue show`.

use mail::{Domain, Timestamp};
use serde_json::{Value, json};
use store::{Destination, EntryRow, EntryState, EntryStateKind, QUEUE_PAGE_MAX, QueueFilter};

use crate::admin::Admin;
use crate::control::columns::{Put, age, clean, count, sender, shortened, size, time, until};
use crate::control::{Answer, exit, trace};
use crate::message::Way;

/// What waits, oldest first.
pub async fn list(
    admin: &Admin,
    domain: Option<Domain>,
    held: bool,
    limit: u32,
) -> anyhow::Result<Answer> {
    let filter = QueueFilter {
        destination: domain.map(|domain| domain.to_string()),
        state: held.then_some(EntryStateKind::Held),
        ..QueueFilter::default()
    };
    let rows = page_through(admin, &filter, limit.saturating_add(1)).await?;
    let more = rows.len() > limit as usize;
    let rows = &rows[..rows.len().min(limit as usize)];
    let frozen = frozen(admin).await?;
    let now = Timestamp::now();
    let mut text = String::new();
    if !rows.is_empty() {
        text.push_str(&line("ID", "AGE", "SIZE", "FROM", "TO", "STATE"));
    }
    for row in rows {
        let to = recipients_in_short(row);
        let id = row.trace.to_string();
        let (age, size) = (age(now.since(row.queued)), size(row.size_octets));
        text.push_str(&line(&id, &age, &size, &sender(&row.reverse_path), &to, &state(row, now)));
        if !row.note.is_empty() {
            text.put(format_args!("    ({})\n", clean(&row.note)));
        }
    }
    text.push_str(&totals(rows, more, limit));
    for place in &frozen {
        let why = place.frozen.as_deref().filter(|why| !why.is_empty());
        let why = why.map_or_else(String::new, |why| format!(" ({})", clean(why)));
        text.put(format_args!("\n{} is frozen{why}: {} waiting.", place.name, place.waiting));
    }
    let json = json!({
        "schema": "mailkeep.queue/1",
        "entries": rows.iter().map(entry).collect::<Vec<_>>(),
        "more": more,
        "frozen": frozen.iter().map(|place| json!({ "destination": place.name,
            "reason": place.frozen, "waiting": place.waiting })).collect::<Vec<_>>(),
    });
    Ok(Answer::new(text, json))
}

fn line(id: &str, age: &str, size: &str, from: &str, to: &str, state: &str) -> String {
    format!("{id:<26}  {age:>7}  {size:>6}  {from:<24}  {to:<28}  {state}\n")
}

fn totals(rows: &[EntryRow], more: bool, limit: u32) -> String {
    if rows.is_empty() {
        return "Nothing is waiting.".to_owned();
    }
    let held = rows.iter().filter(|row| matches!(row.state, EntryState::Held { .. })).count();
    let under_way =
        rows.iter().filter(|row| matches!(row.state, EntryState::Leased { .. })).count();
    let waiting = rows.len() - held - under_way;
    let total = count(rows.len() as u64, "entry", "entries");
    let first = if more { format!("The first {limit} entries") } else { total };
    format!("{first}: {waiting} waiting, {under_way} being delivered, {held} held.")
}

/// All entries that fit, up to `limit`.
pub async fn page_through(
    admin: &Admin,
    filter: &QueueFilter,
    limit: u32,
) -> anyhow::Result<Vec<EntryRow>> {
    let mut rows: Vec<EntryRow> = Vec::new();
    loop {
        let left = limit - u32::try_from(rows.len()).unwrap_or(limit);
        let after = rows.last().map(|row| row.entry);
        let page = admin.store().queue_page(filter, after, left.min(QUEUE_PAGE_MAX)).await?;
        let done = page.len() < left.min(QUEUE_PAGE_MAX) as usize || left <= QUEUE_PAGE_MAX;
        rows.extend(page);
        if done {
            return Ok(rows);
        }
    }
}

async fn frozen(admin: &Admin) -> anyhow::Result<Vec<Destination>> {
    if admin.store().frozen().is_empty() {
        return Ok(Vec::new());
    }
    let mut frozen = Vec::new();
    let mut after = String::new();
    loop {
        let page = admin.store().destinations(&after, QUEUE_PAGE_MAX).await?;
        let Some(last) = page.last() else { return Ok(frozen) };
        after.clone_from(&last.name);
        frozen.extend(page.into_iter().filter(|place| place.frozen.is_some()));
    }
}

/// What an entry does, in a few words.
fn state(row: &EntryRow, now: Timestamp) -> String {
    let tried = match row.attempts {
        0 => String::new(),
        1 => " (tried once)".to_owned(),
        more => format!(" (tried {more} times)"),
    };
    match &row.state {
        EntryState::Waiting { due } => format!("next try {}{tried}", until(*due, now)),
        EntryState::Leased { .. } => format!("being delivered{tried}"),
        EntryState::Held { reason } if reason.is_empty() => format!("held{tried}"),
        EntryState::Held { reason } => format!("held: {}{tried}", clean(reason)),
    }
}

fn addresses(row: &EntryRow) -> Vec<String> {
    let recipients = queue::decode(&row.recipients).unwrap_or_default();
    recipients.iter().map(|queued| queued.recipient.address.to_string()).collect()
}

fn recipients_in_short(row: &EntryRow) -> String {
    match &addresses(row)[..] {
        [] => format!("{} at {}", row.recipient_count, shortened(&row.destination)),
        [one] => shortened(one),
        [first, rest @ ..] => format!("{} +{}", shortened(first), rest.len()),
    }
}

fn entry(row: &EntryRow) -> Value {
    let (state, next, reason) = match &row.state {
        EntryState::Waiting { due } => ("waiting", Some(due.to_rfc3339()), None),
        EntryState::Leased { .. } => ("being-delivered", None, None),
        EntryState::Held { reason } => ("held", None, Some(reason)),
    };
    json!({
        "id": row.trace,
        "queued": row.queued.to_rfc3339(),
        "expires": row.expires.to_rfc3339(),
        "size": row.size_octets,
        "from": row.reverse_path,
        "destination": row.destination,
        "recipients": addresses(row),
        "state": state,
        "held_because": reason,
        "next_attempt": next,
        "attempts": row.attempts,
        "note": row.note,
        "by": way(row).by,
    })
}

fn way(row: &EntryRow) -> Way {
    let way = row.route.as_deref().map(serde_json::from_slice);
    way.and_then(Result::ok).unwrap_or_default()
}

/// One message: what waits of it, then its story.
pub async fn show(admin: &Admin, id: &str) -> anyhow::Result<Answer> {
    let trace = trace::one(admin, id).await?.trace;
    let filter = QueueFilter { trace: Some((trace, trace)), ..QueueFilter::default() };
    let rows = page_through(admin, &filter, store::ENTRIES_MAX as u32).await?;
    let now = Timestamp::now();
    let mut text = String::new();
    if rows.is_empty() {
        text.put(format_args!("Nothing of message {trace} is waiting any more.\n"));
    }
    for row in &rows {
        text.push_str(&told(row, now));
    }
    let mut json = json!({
        "schema": "mailkeep.queue-message/1",
        "id": trace,
        "entries": rows.iter().map(entry).collect::<Vec<_>>(),
    });
    match trace::whole(admin, trace).await {
        Ok(story) => {
            text.put(format_args!("\n{}", story.text));
            json["trace"] = story.json;
        }
        Err(error) => text.put(format_args!("\n{error:#}\n")),
    }
    let answer = Answer::new(text, json);
    Ok(if rows.is_empty() { answer.with_exit(exit::FOUND) } else { answer })
}

/// One entry in full.
fn told(row: &EntryRow, now: Timestamp) -> String {
    let mut text = format!("For {}: {}\n", row.destination, state(row, now));
    if let Some(by) = way(row).by {
        text.put(format_args!("  by       {by}, as an administrator wished\n"));
    }
    for queued in queue::decode(&row.recipients).unwrap_or_default() {
        text.put(format_args!("  to       {}\n", queued.recipient.address));
        if let Some(last) = &queued.last {
            let when = time(last.at);
            text.put(format_args!("           {when}: {} {}\n", last.status, clean(&last.text)));
        }
    }
    let left = if row.expires <= now {
        "given up at the next attempt".to_owned()
    } else {
        format!("given up in {}, at {}", age(row.expires.since(now)), time(row.expires))
    };
    text.put(format_args!("  queued   {}, {} ago\n", time(row.queued), age(now.since(row.queued))));
    text.put(format_args!("  expires  {left}\n"));
    text
}
