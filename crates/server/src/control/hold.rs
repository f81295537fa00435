//! `mailkeep hold …`: accounts whose outgoing mail waits.

use clap::Subcommand;
use mail::{Address, Timestamp};
use queue::Removal;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{Change, EntryId, EntryRow, EntryState, EntryStateKind, QueueFilter};

use super::columns::{Put, age, clean, count};
use super::queue::page_through;
use super::{Answer, NotThere, ending};
use crate::admin::Admin;
use crate::holding::ACCOUNT_HELD;

/// What can be done with accounts that are held.
#[derive(Debug, Clone, Serialize, Deserialize, Subcommand)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// The accounts whose outgoing mail is held, and why
    List,
    /// Let an account send again, and what it has sent go on
    Release {
        /// The account
        account: Address,
        /// Remove what it has sent instead
        #[arg(long)]
        drop: bool,
    },
}

/// Messages looked at in one go.
const MESSAGES_MAX: u32 = 10_000;
/// How often it is looked for more.
const ROUNDS_MAX: u32 = 1_000;

/// Answers a request.
///
/// # Errors
///
/// The store's, and an account that is not held.
pub async fn answer(admin: &Admin, request: Request) -> anyhow::Result<Answer> {
    match request {
        Request::List => list(admin).await,
        Request::Release { account, drop } => release(admin, &account.to_string(), drop).await,
    }
}

async fn list(admin: &Admin) -> anyhow::Result<Answer> {
    let held = admin.store().held_accounts().await?;
    let now = Timestamp::now();
    let mut text = String::new();
    for one in &held {
        let since = age(now.since(one.since));
        text.put(format_args!("{}  {since:>7}  {}\n", one.account, clean(&one.reason)));
    }
    if held.is_empty() {
        text.push_str("No account is held.");
    }
    let accounts: Vec<Value> = held
        .iter()
        .map(|one| {
            json!({ "account": one.account, "since": one.since.to_rfc3339(),
                "reason": one.reason })
        })
        .collect();
    Ok(Answer::new(text, json!({ "schema": "mailkeep.held-accounts/1", "accounts": accounts })))
}

/// What an account has sent and what is held for it.
async fn waiting(admin: &Admin, account: &str) -> anyhow::Result<Vec<EntryId>> {
    let filter = QueueFilter { state: Some(EntryStateKind::Held), ..QueueFilter::default() };
    let of_account = |row: &EntryRow| match &row.state {
        EntryState::Held { reason } => reason
            .strip_prefix(ACCOUNT_HELD)
            .is_some_and(|rest| rest.split(": ").next() == Some(account)),
        EntryState::Waiting { .. } | EntryState::Leased { .. } => false,
    };
    let rows = page_through(admin, &filter, MESSAGES_MAX).await?;
    Ok(rows.iter().filter(|row| of_account(row)).map(|row| row.entry).collect())
}

async fn release(admin: &Admin, account: &str, drop: bool) -> anyhow::Result<Answer> {
    let was_held = admin.store().release_account(account).await?.into_inner();
    if let Some(server) = admin.server() {
        server.held.forget(account);
    }
    let mut messages = 0;
    for _ in 0..ROUNDS_MAX {
        let entries = waiting(admin, account).await?;
        if entries.is_empty() {
            break;
        }
        for named in entries.chunks(store::ENTRIES_NAMED_MAX) {
            let filter = QueueFilter { entries: Some(named.to_vec()), ..QueueFilter::default() };
            messages += if drop {
                ending::end(admin, &filter, Removal::Cancel, "drop mail of a held account")
                    .await?
                    .entries
            } else {
                let subject = format!("account {account}");
                let evidence = admin.act(None, "release", subject, None);
                let change = Change::Release { now: Timestamp::now() };
                admin.store().change(&filter, change, evidence).await?.changed
            };
        }
    }
    if !was_held && messages == 0 {
        return Err(NotThere(format!("Account {account} is not held")).into());
    }
    admin.wake();
    let what = count(messages, "message", "messages");
    let text = if drop {
        format!("Account {account} sends again; {what} removed.")
    } else {
        format!("Account {account} sends again; {what} on the way.")
    };
    let json = json!({ "schema": "mailkeep.account-released/1", "account": account,
        "messages": messages, "dropped": drop });
    Ok(Answer::new(text, json))
}
