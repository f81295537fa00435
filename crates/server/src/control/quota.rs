//! `mailkeep quota …`: what senders have used of their quotas.

use clap::Subcommand;
use flow::Quotas;
use mail::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::columns::{Put, clean, count, shortened};
use super::{Answer, NotThere, ban};
use crate::admin::Admin;
use crate::conversation::amount;
use crate::guard::FlowPolicy;

/// What can be asked about quotas.
#[derive(Debug, Clone, Serialize, Deserialize, Subcommand)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// What was sent in each quota's time, by everyone or by one sender
    Show {
        /// The account, or the address of a client that does not sign in
        sender: Option<String>,
    },
    /// Forget what a sender has sent, so that there is room again at once
    Reset {
        /// The account, or the address of a client that does not sign in
        sender: String,
        /// Only under this quota
        #[arg(long)]
        quota: Option<String>,
    },
}

/// The most lines of one list.
const LIST_MAX: usize = 10_000;

/// Answers a request.
///
/// # Errors
///
/// The store's, and a sender who has sent nothing.
pub async fn answer(admin: &Admin, request: Request) -> anyhow::Result<Answer> {
    let now = Timestamp::now();
    let guard = ban::guard(admin, now).await?;
    match request {
        Request::Show { sender } => {
            let sender = sender.map(|sender| subject(&sender));
            let quotas = quotas(admin);
            let lines = guard.ledger().standings(&quotas, sender.as_deref(), now, LIST_MAX);
            let mut text = String::new();
            for line in &lines {
                let max =
                    line.max.map_or_else(|| "no limit".to_owned(), |max| amount(line.what, max));
                text.put(format_args!(
                    "{:<30}  {:<16}  {} of {max} per {}\n",
                    shortened(&clean(&line.sender)),
                    line.quota,
                    amount(line.what, line.used),
                    line.period.word()
                ));
            }
            if lines.is_empty() {
                text.push_str("Nothing is counted.");
            }
            let lines: Vec<Value> = lines
                .iter()
                .map(|line| {
                    json!({ "quota": line.quota, "sender": line.sender, "what": line.what.word(),
                        "per": line.period.word(), "used": line.used, "max": line.max })
                })
                .collect();
            Ok(Answer::new(text, json!({ "schema": "mailkeep.quota/1", "counters": lines })))
        }
        Request::Reset { sender, quota } => {
            let sender = subject(&sender);
            let gone = guard.reset(&sender, quota.as_deref(), now).await?;
            if gone == 0 {
                return Err(NotThere(format!("Nothing is counted for {}", clean(&sender))).into());
            }
            let evidence = admin.act(None, "reset a quota", sender.clone(), quota);
            if !evidence.is_empty() {
                admin.store().append_evidence(evidence).await?.into_inner();
            }
            let gone = gone as u64;
            let text = format!("{sender} begins anew under {}.", count(gone, "quota", "quotas"));
            let json =
                json!({ "schema": "mailkeep.quota-reset/1", "sender": sender, "quotas": gone });
            Ok(Answer::new(text, json))
        }
    }
}

/// An address of a client is counted as its network.
fn subject(sender: &str) -> String {
    match sender.parse() {
        Ok(ip) => flow::client_network(ip).to_string(),
        Err(_) => sender.to_owned(),
    }
}

fn quotas(admin: &Admin) -> Quotas {
    match admin.server() {
        Some(server) => server.snapshot().flow.quotas.clone(),
        None => admin.config_at_rest().map(|c| FlowPolicy::of(c).quotas).unwrap_or_default(),
    }
}
