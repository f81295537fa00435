//! `mailkeep ban …`: networks that are turned away for a time.

use std::ops::Deref;

use clap::Subcommand;
use config::quantity::parse_duration;
use flow::{Ban, By};
use ipnet::IpNet;
use mail::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::columns::{Put, age, clean, time as moment, until};
use super::{Answer, NotThere, exit};
use crate::admin::Admin;
use crate::guard::Guard;

/// What can be done with bans.
#[derive(Debug, Clone, Serialize, Deserialize, Subcommand)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Every ban, with its end and its reason
    List,
    /// Turn a client or a network away on every listener
    Add {
        /// An address, or a network such as 198.51.100.0/24
        network: String,
        /// How long, for example 2h or 7d; until it is removed, if not given
        #[arg(long = "for", value_name = "TIME")]
        time: Option<String>,
        /// Why, for the list
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// End a ban
    Remove {
        /// The address or network, as the list shows it
        network: String,
    },
}

/// The most bans of one list.
const LIST_MAX: usize = 10_000;

/// Answers a request.
///
/// # Errors
///
/// The store's, and what is not banned.
pub async fn answer(admin: &Admin, request: Request) -> anyhow::Result<Answer> {
    let now = Timestamp::now();
    let guard = guard(admin, now).await?;
    match request {
        Request::List => Ok(list(&guard, now)),
        Request::Add { network, time, reason } => {
            let Some(network) = parse(&network) else { return Ok(no_network(&network)) };
            let length = match time.as_deref().map(|text| (text, parse_duration(text))) {
                Some((text, None)) => {
                    let text = format!("\"{text}\" is no time; write for example 30m, 2h or 7d.");
                    return Ok(Answer::failure(exit::USAGE, text));
                }
                Some((_, length)) => length,
                None => None,
            };
            if network.prefix_len() == 0 {
                let text = "This would ban everybody.";
                return Ok(Answer::failure(exit::USAGE, text));
            }
            let ban = Ban {
                network,
                since: now,
                until: length.map(|length| now.plus(length)),
                reason: clean(&reason),
                by: By::Operator(admin.by().to_owned()),
                times: 1,
            };
            guard.ban(ban.clone(), entries_max(admin), now).await?;
            record(admin, "ban", &ban).await?;
            let end = ban.until.map_or_else(
                || "until it is removed".to_owned(),
                |at| format!("until {}", moment(at)),
            );
            Ok(Answer::new(format!("{network} is banned {end}."), json(&ban)))
        }
        Request::Remove { network } => {
            let Some(parsed) = parse(&network) else { return Ok(no_network(&network)) };
            // Whoever ends a ban wants the client let in, sign-in and all.
            admin.accounts().failures().pardon(parsed.network());
            let Some(ban) = guard.unban(parsed, now).await? else {
                return Err(NotThere(format!("{parsed} is not banned")).into());
            };
            record(admin, "unban", &ban).await?;
            Ok(Answer::new(format!("{} is banned no more.", ban.network), json(&ban)))
        }
    }
}

/// The guard of a running server, or one over its store.
pub(super) enum Reach<'a> {
    /// The server's.
    Running(&'a Guard),
    /// One that ends with the request.
    Store(Box<Guard>),
}

impl Deref for Reach<'_> {
    type Target = Guard;
    fn deref(&self) -> &Guard {
        match self {
            Self::Running(guard) => guard,
            Self::Store(guard) => guard,
        }
    }
}

/// The guard that `admin` reaches.
pub(super) async fn guard(admin: &Admin, now: Timestamp) -> anyhow::Result<Reach<'_>> {
    Ok(match admin.server() {
        Some(server) => Reach::Running(&server.guard),
        None => Reach::Store(Box::new(Guard::open(admin.store(), now).await?)),
    })
}

fn entries_max(admin: &Admin) -> usize {
    let settings = admin.server().map(|server| server.snapshot().flow.bans);
    let at_rest = || admin.config_at_rest().map(|config| config.bans.settings());
    settings.or_else(at_rest).unwrap_or_default().entries_max
}

async fn record(admin: &Admin, action: &str, ban: &Ban) -> anyhow::Result<()> {
    let reason = (!ban.reason.is_empty()).then(|| ban.reason.clone());
    let evidence = admin.act(None, action, ban.network.to_string(), reason);
    if !evidence.is_empty() {
        admin.store().append_evidence(evidence).await?.into_inner();
    }
    Ok(())
}

fn parse(text: &str) -> Option<IpNet> {
    let network = text.parse::<IpNet>().or_else(|_| text.parse().map(flow::client_network)).ok()?;
    Some(rules::lookup::canonical(network))
}

fn no_network(text: &str) -> Answer {
    let text = format!("\"{}\" is no address and no network.", clean(text));
    Answer::failure(exit::USAGE, text)
}

fn list(guard: &Guard, now: Timestamp) -> Answer {
    let mut bans: Vec<Ban> = guard.bans().all(now).take(LIST_MAX).cloned().collect();
    bans.sort_by_key(|ban| std::cmp::Reverse(ban.since));
    let mut text = String::new();
    for ban in &bans {
        text.put(format_args!(
            "{:<24}  since {:<8}  ends {:<10}  {:<12}  {}\n",
            ban.network.to_string(),
            age(now.since(ban.since)),
            ban.until.map_or_else(|| "never".to_owned(), |at| until(at, now)),
            by(ban),
            clean(&ban.reason)
        ));
    }
    if bans.is_empty() {
        text.push_str("Nobody is banned.");
    }
    let bans: Vec<Value> = bans.iter().map(json).collect();
    Answer::new(text, json!({ "schema": "mailkeep.bans/1", "bans": bans }))
}

fn by(ban: &Ban) -> &str {
    match &ban.by {
        By::Itself => "the server",
        By::Operator(name) => name,
    }
}

fn json(ban: &Ban) -> Value {
    json!({ "schema": "mailkeep.ban/1", "network": ban.network.to_string(),
        "since": ban.since.to_rfc3339(), "until": ban.until.map(Timestamp::to_rfc3339),
        "reason": ban.reason, "by": by(ban), "times": ban.times })
}
