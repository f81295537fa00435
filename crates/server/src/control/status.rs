//! `mailkeep status`.

use mail::Timestamp;
use serde_json::{Value, json};

use super::columns::{age, count};
use super::{Answer, exit};
use crate::admin::Admin;
use crate::server::Server;

/// Answers `status`; without a server the exit code says so.
///
/// # Errors
///
/// The store's.
pub async fn answer(admin: &Admin) -> anyhow::Result<Answer> {
    let stats = admin.store().stats().await?;
    let oldest = stats.oldest.map(|at| Timestamp::now().since(at));
    let mut lines = Vec::new();
    let mut listeners = Vec::new();
    match admin.server() {
        Some(server) => running_lines(server, &mut lines, &mut listeners),
        None => lines.push("No server is running; this is what its store says.".to_owned()),
    }
    let suspended = admin.server().map(|server| super::lists::suspended(server));
    let suspended = suspended.unwrap_or_default();
    if !suspended.is_empty() {
        lines.push(format!("ALARM: suspended lists: {}", suspended.join(", ")));
    }
    lines.push(format!(
        "Queue: {} waiting, {} being delivered, {} held{}",
        stats.waiting,
        stats.leased,
        stats.held,
        oldest.map_or_else(String::new, |oldest| format!("; the oldest came {} ago", age(oldest)))
    ));
    let ended = stats.ended.iter().filter(|(_, number)| *number > 0);
    let ended: Vec<String> =
        ended.map(|(ending, number)| format!("{number} {}", ending.word())).collect();
    lines.push(format!(
        "Since the beginning: {} for {}, {}; {}",
        count(stats.messages, "message", "messages"),
        count(stats.recipients, "recipient", "recipients"),
        count(stats.refused, "refusal kept", "refusals kept"),
        if ended.is_empty() { "none ended".to_owned() } else { ended.join(", ") }
    ));
    let json = json!({
        "schema": "mailkeep.status/1",
        "running": admin.server().is_some(),
        "pid": admin.server().map(|_| std::process::id()),
        "revision": admin.server().map(|server| server.snapshot().revision),
        "instead_of_file": admin.server().and_then(|server| server.instead()),
        "listeners": listeners,
        "queue": { "waiting": stats.waiting, "leased": stats.leased, "held": stats.held,
            "oldest_seconds": oldest.map(|oldest| oldest.as_secs()) },
        "messages": stats.messages,
        "recipients": stats.recipients,
        "refused": stats.refused,
        "ended": stats.ended.iter().map(|(ending, n)| (ending.word().to_owned(), json!(n)))
            .collect::<serde_json::Map<_, _>>(),
        "evidence": stats.evidence,
        "suspended_lists": suspended,
    });
    let answer = Answer::new(lines.join("\n"), json);
    Ok(if admin.server().is_some() { answer } else { answer.with_exit(exit::UNAVAILABLE) })
}

fn running_lines(server: &Server, lines: &mut Vec<String>, listeners: &mut Vec<Value>) {
    let snapshot = server.snapshot();
    let up = age(Timestamp::now().since(server.started));
    lines.push(format!(
        "{} has been running for {up}, on configuration v{}",
        *snapshot.config.hostname, snapshot.revision
    ));
    if server.instead().is_some() {
        lines.push(format!(
            "Warning: the configuration file has errors and is not used. v{} serves in its place; \
             see \"mailkeep config check\", mend the file, then \"mailkeep reload\".",
            snapshot.revision
        ));
    }
    for site in server.sites() {
        let tls = match (&site.tls, site.is_implicit()) {
            (None, _) => "no TLS",
            (Some(_), true) => "TLS",
            (Some(_), false) => "STARTTLS",
        };
        let sign_in = if site.requires_sign_in() { ", sign in required" } else { "" };
        let (name, address, protocol) = (&site.name, site.address, site.service());
        lines.push(format!(
            "  {name:<12} {:<22} {protocol:<11} {tls}{sign_in}",
            address.to_string()
        ));
        listeners.push(json!({ "name": name, "address": address, "tls": tls,
            "protocol": protocol }));
    }
}
