//! `mailkeep lists …`.

use std::net::IpAddr;

use clap::Subcommand;
use config::model::{List, ListSource};
use lists::Finding;
use lists::health::State;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Answer, exit, running};
use crate::admin::Admin;
use crate::lists::Source;
use crate::server::Server;

/// What can be asked about lists.
#[derive(Debug, Clone, Serialize, Deserialize, Subcommand)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Every list: whether it works, and what it answered
    Status,
    /// What every list says about a client or a link
    Test {
        /// An IP address, or a domain
        subject: String,
    },
}

/// Answers a request. A suspended list, or a listing, shows in the exit code.
///
/// # Errors
///
/// None of its own.
pub async fn answer(admin: &Admin, request: Request) -> anyhow::Result<Answer> {
    let server = match running(admin) {
        Ok(server) => server,
        Err(answer) => return Ok(answer),
    };
    Ok(match request {
        Request::Status => status(server),
        Request::Test { subject } => test(server, &subject).await,
    })
}

fn status(server: &Server) -> Answer {
    let snapshot = server.snapshot();
    let lists = &snapshot.lists;
    let clients = lists.clients().map(|(list, source)| ("dnsbl", list, source));
    let links = lists.links().map(|(list, source)| ("uribl", list, source));
    let mut lines = Vec::new();
    let mut rows = Vec::new();
    let mut suspended = false;
    for (kind, list, source) in clients.chain(links) {
        let (line, row, is_suspended) = one(kind, list, source);
        lines.push(line);
        rows.push(row);
        suspended |= is_suspended;
    }
    if lines.is_empty() {
        lines.push("There is no list. Write one: dnsbl zen.spamhaus.org { action reject }".into());
    }
    let json = json!({ "schema": "mailkeep.lists/1", "lists": rows });
    let answer = Answer::new(lines.join("\n"), json);
    if suspended { answer.with_exit(exit::FOUND) } else { answer }
}

/// The line and the row of one list, and whether it is suspended.
fn one(kind: &str, list: &List, source: &Source) -> (String, Value, bool) {
    let name = list.name.as_str();
    let place = match &list.source {
        ListSource::Zone(zone) => zone.to_string(),
        ListSource::File(path) => path.display().to_string(),
    };
    let mut row = json!({ "kind": kind, "name": name, "place": place, "action": *list.action,
        "weight": *list.weight });
    let (state, detail, suspended) = match source {
        Source::Own(own) => {
            row["entries"] = json!(own.len());
            ("works", format!("{} entries", own.len()), false)
        }
        Source::Zone(zone) => {
            let seen = zone.seen();
            row["asked"] = json!(seen.asked);
            row["listed"] = json!(seen.listed);
            row["failed"] = json!(seen.failed);
            row["latency_ms"] = json!(seen.latency.as_secs_f64() * 1_000.0);
            let counts = format!(
                "asked {}, listed {}, failed {}, {} ms",
                seen.asked,
                seen.listed,
                seen.failed,
                seen.latency.as_millis()
            );
            match zone.state() {
                State::Untested => ("untested", counts, false),
                State::Working { ipv6 } => {
                    row["ipv6"] = json!(ipv6);
                    ("works", counts, false)
                }
                State::Suspended(fault) => {
                    row["fault"] = json!(fault.to_string());
                    ("SUSPENDED", format!("{fault}; {counts}"), true)
                }
            }
        }
    };
    row["state"] = json!(state.to_lowercase());
    (format!("{kind:<6} {name:<24} {state:<10} {detail}"), row, suspended)
}

/// The names of lists that are suspended.
pub fn suspended(server: &Server) -> Vec<String> {
    let snapshot = server.snapshot();
    let zones = snapshot.lists.zones().filter(|zone| zone.is_suspended());
    zones.map(|zone| zone.name().to_owned()).collect()
}

async fn test(server: &Server, subject: &str) -> Answer {
    let snapshot = server.snapshot();
    let lists = &snapshot.lists;
    let client = match subject.parse::<IpAddr>() {
        Ok(ip) => lists.client(ip).await.0,
        Err(_) => Vec::new(),
    };
    let literal = match subject.parse::<IpAddr>() {
        Ok(IpAddr::V6(ip)) => format!("[{ip}]"),
        Ok(IpAddr::V4(_)) | Err(_) => subject.to_owned(),
    };
    let Some(links) = lists.link(&literal).await else {
        let text = format!("\"{subject}\" is neither an IP address nor a domain.");
        return Answer::failure(exit::USAGE, text);
    };
    let found: Vec<Finding> = client.into_iter().chain(links.0).collect();
    let not_asked = suspended(server);
    let mut lines: Vec<String> = found.iter().map(shown).collect();
    if lines.is_empty() {
        lines.push(format!("No list has {subject}."));
    }
    if !not_asked.is_empty() {
        lines.push(format!("Not asked, because suspended: {}", not_asked.join(", ")));
    }
    let weighed = ::lists::weigh(&found);
    lines.push(format!("Score: {}", weighed.score));
    let json = json!({ "schema": "mailkeep.lists-test/1", "subject": subject, "found": found,
        "score": weighed.score, "suspended": not_asked });
    let answer = Answer::new(lines.join("\n"), json);
    if found.is_empty() { answer } else { answer.with_exit(exit::FOUND) }
}

fn shown(finding: &Finding) -> String {
    let codes = if finding.codes.is_empty() {
        String::new()
    } else {
        format!(" ({})", finding.codes.join(", "))
    };
    let own = finding.reason.as_deref().map(|reason| format!("; {reason}")).unwrap_or_default();
    let action = match finding.action {
        ::lists::Action::Reject => "reject",
        ::lists::Action::Score => "score",
        ::lists::Action::Shadow => "shadow",
        ::lists::Action::Allow => "allow",
    };
    format!("{} {}{codes}: {action}, weight {}{own}", finding.list, finding.subject, finding.weight)
}
