//! `mailkeep ledger …`: whether mail is conserved.

use clap::Subcommand;
use evidence::ledger::{Balance, Discrepancy, DiscrepancyKind};
use evidence::{Entry, Ledger};
use mail::{Timestamp, TraceId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::QueueFilter;

use super::queue::page_through;
use super::{Answer, exit};
use crate::admin::Admin;

/// What can be asked of the ledger.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, Subcommand)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Every accepted recipient ended exactly once, or still waits; name those that did not
    Check,
}

/// Entries of the evidence read at a time.
const PAGE: u32 = 1_000;
/// Lines about what is wrong.
const NAMED_MAX: usize = 100;

/// Answers `ledger check`: the store's own count, then every promise of the evidence
/// against its end.
///
/// # Errors
///
/// The store's, and entries that cannot be read.
pub async fn answer(admin: &Admin, request: Request) -> anyhow::Result<Answer> {
    let Request::Check = request;
    let rows = admin.store().ledger(Timestamp(0), Timestamp(i64::MAX)).await?;
    let (balance, unrecorded) = balance(admin).await?;
    let ended = rows.ended.iter().filter(|(_, n)| *n > 0);
    let counted: Vec<String> = ended.map(|(ending, n)| format!("{n} {}", ending.word())).collect();
    let counted = if counted.is_empty() { "none ended".to_owned() } else { counted.join(", ") };
    let mut lines = vec![
        format!(
            "Store:     {} messages accepted for {} recipients: {counted}; {} waiting",
            rows.messages, rows.recipients, rows.open
        ),
        evidence_line(&balance, unrecorded),
    ];
    for wrong in rows.imbalances.iter().take(NAMED_MAX) {
        let body = if wrong.body_missing { ", its body is missing" } else { "" };
        lines.push(format!(
            "WRONG      {}: {} recipients, {} ended, {} open, {} queued{body}",
            wrong.trace, wrong.recipients, wrong.ended, wrong.open, wrong.queued
        ));
    }
    for Discrepancy { trace, recipient, kind } in balance.discrepancies.iter().take(NAMED_MAX) {
        lines.push(format!("WRONG      {trace}: {recipient} {}", words(*kind)));
    }
    let even = rows.balances() && balance.is_even();
    lines.push(if even {
        "Every recipient ended exactly once or still waits.".to_owned()
    } else {
        let wrong =
            rows.imbalances.len() as u64 + balance.discrepancies.len() as u64 + balance.more;
        format!("NOT EVEN: {wrong} findings.")
    });
    let imbalances: Vec<String> =
        rows.imbalances.iter().map(|wrong| wrong.trace.to_string()).collect();
    let json = json!({ "schema": "mailkeep.ledger/1", "ok": even, "messages": rows.messages,
        "recipients": rows.recipients, "open": rows.open, "imbalances": imbalances,
        "evidence": balance, "not_recorded": unrecorded });
    let answer = Answer::new(lines.join("\n"), json);
    Ok(if even { answer } else { answer.with_exit(exit::FOUND) })
}

fn evidence_line(balance: &Balance, unrecorded: usize) -> String {
    let ended: Vec<String> =
        balance.ended.iter().map(|(ending, n)| format!("{n} {}", ending.word())).collect();
    let ended = if ended.is_empty() { "none ended".to_owned() } else { ended.join(", ") };
    let off = match unrecorded {
        0 => String::new(),
        some => format!("; {some} ended while the evidence was off"),
    };
    format!("Evidence:  {} promises: {ended}; {} waiting{off}", balance.promised, balance.queued)
}

fn words(kind: DiscrepancyKind) -> &'static str {
    match kind {
        DiscrepancyKind::Lost => "was promised, has not ended, and does not wait",
        DiscrepancyKind::EndedTwice => "ended more than once",
        DiscrepancyKind::EndedAndQueued => "ended, and still waits",
        DiscrepancyKind::NotPromised => "was never promised",
        DiscrepancyKind::PromisedTwice => "was promised more than once",
    }
}

/// Holds every promise of the evidence against its end; and how many recipients ended
/// while nothing was recorded, which the store knows.
async fn balance(admin: &Admin) -> anyhow::Result<(Balance, usize)> {
    let store = admin.store();
    let mut ledger = Ledger::new();
    let mut next = 1;
    loop {
        let rows = store.evidence_range(next, PAGE).await?;
        let Some(last) = rows.last().map(|row| row.seq) else { break };
        for row in &rows {
            ledger.observe(&Entry::from_payload(row.seq, &row.payload)?);
        }
        next = last + 1;
    }
    let open: Vec<TraceId> = ledger.open_messages().collect();
    for trace in open {
        let filter = QueueFilter { trace: Some((trace, trace)), ..QueueFilter::default() };
        for row in page_through(admin, &filter, store::ENTRIES_MAX as u32).await? {
            for queued in queue::decode(&row.recipients)? {
                ledger.queued(trace, &queued.recipient.address);
            }
        }
        // What ended between the two looks has an entry by now.
        for row in store.evidence_of(trace).await?.iter().filter(|row| row.seq >= next) {
            ledger.observe(&Entry::from_payload(row.seq, &row.payload)?);
        }
    }
    let mut balance = ledger.finish();
    let before = balance.discrepancies.len();
    let mut wrong = Vec::new();
    for discrepancy in std::mem::take(&mut balance.discrepancies) {
        let known = discrepancy.kind == DiscrepancyKind::Lost
            && store.message(discrepancy.trace).await.is_ok_and(|message| message.open == 0);
        if !known {
            wrong.push(discrepancy);
        }
    }
    balance.discrepancies = wrong;
    let unrecorded = before - balance.discrepancies.len();
    Ok((balance, unrecorded))
}
