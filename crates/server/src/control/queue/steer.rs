//! What an operator does to the queue.

use anyhow::Context;
use config::model::Target;
use mail::{Domain, Timestamp, TraceId};
use queue::Removal;
use serde_json::json;
use store::{Change, Changed, EntryRow, EntryState, QueueFilter};

use super::list::page_through;
use crate::admin::Admin;
use crate::control::columns::{Put, count};
use crate::control::{Answer, NotThere, ending, exit, trace};
use crate::intake::QUARANTINE;
use crate::message::Way;

/// The entries of one message. Fails when nothing of it is in the queue.
pub async fn entries_of(
    admin: &Admin,
    id: &str,
) -> anyhow::Result<(TraceId, QueueFilter, Vec<EntryRow>)> {
    let row = trace::one(admin, id).await?;
    let filter = QueueFilter { trace: Some((row.trace, row.trace)), ..QueueFilter::default() };
    let entries = page_through(admin, &filter, store::ENTRIES_MAX as u32).await?;
    if entries.is_empty() {
        let ended: Vec<String> =
            row.ended.iter().map(|(ending, n)| format!("{n} {}", ending.word())).collect();
        let ended = if row.is_refused() { "it was refused".to_owned() } else { ended.join(", ") };
        let text = format!("Nothing of message {} is in the queue: {ended}", row.trace);
        return Err(NotThere(text).into());
    }
    Ok((row.trace, filter, entries))
}

pub async fn hold(admin: &Admin, id: &str, reason: &str) -> anyhow::Result<Answer> {
    let (trace, filter, entries) = entries_of(admin, id).await?;
    let set_aside = |entry: &EntryRow| matches!(&entry.state, EntryState::Held { reason } if reason.starts_with(QUARANTINE));
    if entries.iter().any(set_aside) {
        // A new reason would take it out of the quarantine's list.
        let text = format!("Message {trace} is held already: it is in quarantine");
        return Err(NotThere(text).into());
    }
    let by = admin.by();
    let words = if reason.is_empty() { format!("by {by}") } else { format!("by {by}: {reason}") };
    let detail = (!reason.is_empty()).then(|| reason.to_owned());
    let evidence = admin.act(Some(trace), "hold", "the message".to_owned(), detail);
    let changed = admin.store().change(&filter, Change::Hold { reason: words }, evidence).await?;
    Ok(changed_answer(
        &format!("Message {trace} is held"),
        changed,
        "is held unless this attempt succeeds",
    ))
}

pub async fn release(admin: &Admin, id: &str) -> anyhow::Result<Answer> {
    let (trace, filter, _) = entries_of(admin, id).await?;
    let evidence = admin.act(Some(trace), "release", "the message".to_owned(), None);
    let now = Timestamp::now();
    let changed = admin.store().change(&filter, Change::Release { now }, evidence).await?;
    admin.wake();
    if changed.changed == 0 {
        return Ok(Answer::failure(exit::FOUND, format!("Nothing of message {trace} is held.")));
    }
    Ok(changed_answer(&format!("Message {trace} goes on"), changed, "was not held"))
}

pub async fn retry(
    admin: &Admin,
    id: Option<String>,
    domain: Option<Domain>,
) -> anyhow::Result<Answer> {
    let (about, filter, subject) = match (id, domain) {
        (Some(id), _) => {
            let (trace, filter, _) = entries_of(admin, &id).await?;
            (Some(trace), filter, format!("message {trace}"))
        }
        (None, Some(domain)) => {
            let destination = Some(domain.to_string());
            (
                None,
                QueueFilter { destination, ..QueueFilter::default() },
                format!("mail to {domain}"),
            )
        }
        (None, None) => (None, QueueFilter::default(), "everything".to_owned()),
    };
    let evidence = admin.act(about, "retry", subject.clone(), None);
    let now = Timestamp::now();
    let changed = admin.store().change(&filter, Change::Retry { now }, evidence).await?;
    admin.wake();
    let waits = if admin.server().is_some() { "" } else { ", once a server runs" };
    let text = format!(
        "{} tried now{waits}{}.{}",
        is_or_are(changed.changed),
        if changed.changed == 0 { String::new() } else { format!(" ({subject})") },
        frozen_note(admin, &filter).await?
    );
    Ok(Answer::new(text, counted(changed)))
}

fn is_or_are(entries: u64) -> String {
    match entries {
        0 => "Nothing waits that could be".to_owned(),
        1 => "1 entry is".to_owned(),
        more => format!("{more} entries are"),
    }
}

/// Says so when a freeze keeps entries from being tried after all.
async fn frozen_note(admin: &Admin, filter: &QueueFilter) -> anyhow::Result<String> {
    let frozen = admin.store().frozen();
    if frozen.is_empty() {
        return Ok(String::new());
    }
    let rows = page_through(admin, filter, store::QUEUE_PAGE_MAX).await?;
    let mut names: Vec<&str> = rows.iter().map(|row| row.destination.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names.retain(|name| frozen.contains(*name));
    Ok(match &names[..] {
        [] => String::new(),
        names => format!("\nMail to {} stays where it is: frozen.", names.join(", ")),
    })
}

pub async fn reroute(admin: &Admin, id: &str, to: &str) -> anyhow::Result<Answer> {
    if Target::parse(to).is_none() {
        let text = format!("\"{to}\" is neither HOST nor HOST:PORT.");
        return Ok(Answer::failure(exit::USAGE, text));
    }
    let (trace, filter, entries) = entries_of(admin, id).await?;
    let now = Timestamp::now();
    let mut total = Changed::default();
    for entry in &entries {
        let mut way: Way = match &entry.route {
            Some(json) => {
                serde_json::from_slice(json).context("the way of the entry cannot be read")?
            }
            None => Way::default(),
        };
        way.by = Some(to.to_owned());
        let change = Change::Reroute {
            destination: entry.destination.clone(),
            route: Some(serde_json::to_vec(&way)?),
            now,
        };
        let one = QueueFilter { entries: Some(vec![entry.entry]), ..QueueFilter::default() };
        let subject = format!("mail to {}", entry.destination);
        let evidence = admin.act(Some(trace), "reroute", subject, Some(format!("by {to}")));
        let changed = admin.store().change(&one, change, evidence).await?;
        total.changed += changed.changed;
        total.in_delivery += changed.in_delivery;
    }
    admin.wake();
    let note = frozen_note(admin, &filter).await?;
    let mut answer = changed_answer(
        &format!("Message {trace} goes by {to}; the protection demanded stays"),
        total,
        "goes on as it does",
    );
    answer.text.push_str(&note);
    Ok(answer)
}

/// Ends everything of a message that is not being delivered at this moment.
pub async fn end(admin: &Admin, id: &str, removal: Removal) -> anyhow::Result<Answer> {
    let (trace, filter, entries) = entries_of(admin, id).await?;
    if removal == Removal::Bounce && admin.server().is_none() {
        let text = "A notice to the sender can be written only by a running server; \
            start it, or take the message out with \"cancel\".";
        return Ok(Answer::failure(exit::UNAVAILABLE, text));
    }
    let action = match removal {
        Removal::Bounce => "bounce",
        Removal::Cancel => "cancel",
    };
    let ended = ending::end(admin, &filter, removal, action).await?;
    let left = entries.len() as u64 - ended.entries.min(entries.len() as u64);
    let recipients = count(ended.recipients, "recipient", "recipients");
    let mut text = match (removal, ended.notices) {
        (Removal::Cancel, _) => {
            format!("Message {trace} is out of the queue ({recipients}); its sender is not told.")
        }
        (Removal::Bounce, 0) => format!(
            "Message {trace} is out of the queue ({recipients}); its sender cannot be told or \
             does not wish to be."
        ),
        (Removal::Bounce, _) => format!("Message {trace} goes back to its sender ({recipients})."),
    };
    if left > 0 {
        text.put(format_args!(
            "\n{} being delivered right now; try again when that is over.",
            is_or_are(left)
        ));
    }
    let json = json!({ "schema": "mailkeep.queue-ended/1", "id": trace, "ended": ended.entries,
        "recipients": ended.recipients, "notices": ended.notices, "in_delivery": left });
    let answer = Answer::new(text, json);
    Ok(if left > 0 { answer.with_exit(exit::TEMPORARY) } else { answer })
}

pub async fn freeze(admin: &Admin, domain: &Domain, reason: &str) -> anyhow::Result<Answer> {
    let by = admin.by();
    let words = if reason.is_empty() { format!("by {by}") } else { format!("by {by}: {reason}") };
    let detail = (!reason.is_empty()).then(|| reason.to_owned());
    let evidence = admin.act(None, "freeze", format!("mail to {domain}"), detail);
    admin.store().freeze(domain.as_str(), &words, evidence).await?.into_inner();
    let text = format!(
        "Mail to {domain} waits until \"mailkeep queue unfreeze {domain}\"; it still expires."
    );
    Ok(Answer::new(
        text,
        json!({ "schema": "mailkeep.frozen/1", "destination": domain, "frozen": true }),
    ))
}

pub async fn unfreeze(admin: &Admin, domain: &Domain) -> anyhow::Result<Answer> {
    if !admin.store().frozen().contains(domain.as_str()) {
        return Ok(Answer::failure(exit::FOUND, format!("Mail to {domain} is not frozen.")));
    }
    let evidence = admin.act(None, "unfreeze", format!("mail to {domain}"), None);
    admin.store().unfreeze(domain.as_str(), evidence).await?.into_inner();
    admin.wake();
    let json = json!({ "schema": "mailkeep.frozen/1", "destination": domain, "frozen": false });
    Ok(Answer::new(format!("Mail to {domain} goes on."), json))
}

/// What a change met, in words; `under_way` says what becomes of an entry that is being
/// delivered at this moment.
fn changed_answer(done: &str, changed: Changed, under_way: &str) -> Answer {
    let mut text = match changed.changed {
        0 => String::new(),
        number => format!("{done} ({}).", count(number, "entry", "entries")),
    };
    if changed.in_delivery > 0 {
        let lead = if text.is_empty() { "" } else { "\n" };
        let entries = count(changed.in_delivery, "entry", "entries");
        text.put(format_args!("{lead}{entries} being delivered right now: {under_way}."));
    }
    let json = counted(changed);
    let answer = Answer::new(text, json);
    if changed.changed == 0 { answer.with_exit(exit::TEMPORARY) } else { answer }
}

fn counted(changed: Changed) -> serde_json::Value {
    json!({ "schema": "mailkeep.queue-changed/1", "changed": changed.changed,
        "in_delivery": changed.in_delivery })
}
