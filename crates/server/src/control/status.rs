//! `mailkeep status` and `mailkeep dns …`.

use clap::Subcommand;
use mail::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Answer, running};
use crate::admin::Admin;

/// What can be done with the resolver.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, Subcommand)]
#[serde(rename_all = "kebab-case")]
pub enum DnsRequest {
    /// Forget every answer the resolver remembers
    Flush,
}

/// Answers `dns …`.
pub async fn dns(admin: &Admin, request: DnsRequest) -> anyhow::Result<Answer> {
    let server = match running(admin) {
        Ok(server) => server,
        Err(answer) => return Ok(answer),
    };
    match request {
        DnsRequest::Flush => {
            server.snapshot().agent.resolver().flush();
            server.forget_shortfalls(None).await?;
            let json = json!({ "schema": "mailkeep.dns/1", "flushed": true });
            Ok(Answer::new("The resolver remembers nothing any more.", json))
        }
    }
}

/// Answers `status`.
pub async fn answer(admin: &Admin) -> anyhow::Result<Answer> {
    let stats = admin.store().stats().await?;
    let now = Timestamp::now();
    let mut lines = Vec::new();
    let mut listeners = Vec::new();
    match admin.server() {
        Some(server) => {
            let snapshot = server.snapshot();
            let since = server.started.to_rfc3339();
            lines.push(format!(
                "{} is running since {since}, configuration revision {}",
                *snapshot.config.hostname, snapshot.revision
            ));
            for site in server.sites() {
                let tls = match (&site.tls, site.is_implicit()) {
                    (None, _) => "no TLS",
                    (Some(_), true) => "TLS",
                    (Some(_), false) => "STARTTLS",
                };
                let sign_in = if site.requires_sign_in() { ", sign in required" } else { "" };
                lines.push(format!(
                    "  {:<12} {:<22} {tls}{sign_in}",
                    site.name,
                    site.address.to_string()
                ));
                listeners.push(json!({ "name": site.name, "address": site.address, "tls": tls,
                    "protocol": site.service() }));
            }
        }
        None => lines.push("No server is running; this is what its store says.".to_owned()),
    }
    let oldest = stats.oldest.map(|at| now.since(at).as_secs());
    lines.push(format!(
        "Queue: {} waiting, {} being delivered, {} held{}",
        stats.waiting,
        stats.leased,
        stats.held,
        oldest.map_or_else(String::new, |seconds| format!(", oldest {seconds} s"))
    ));
    let ended: Vec<String> =
        stats.ended.iter().map(|(ending, count)| format!("{count} {}", ending.word())).collect();
    lines.push(format!(
        "Since the beginning: {} messages accepted for {} recipients, {} refusals kept; {}",
        stats.messages,
        stats.recipients,
        stats.refused,
        ended.join(", ")
    ));
    let ended: serde_json::Map<String, serde_json::Value> =
        stats.ended.iter().map(|(ending, n)| (ending.word().to_owned(), json!(n))).collect();
    let json = json!({
        "schema": "mailkeep.status/1",
        "running": admin.server().is_some(),
        "pid": std::process::id(),
        "revision": admin.server().map(|server| server.snapshot().revision),
        "listeners": listeners,
        "queue": { "waiting": stats.waiting, "leased": stats.leased, "held": stats.held,
            "oldest_seconds": oldest },
        "messages": stats.messages,
        "recipients": stats.recipients,
        "refused": stats.refused,
        "ended": ended,
        "evidence": stats.evidence,
    });
    Ok(Answer::new(lines.join("\n"), json))
}
