//! `mailkeep force-encrypt …`.

use clap::Subcommand;
use delivery::Approach;
use mail::{Domain, ReversePath, Timestamp};
use rules::{Facts, Moment, RecipientFacts, Stage};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Answer, exit, running};
use crate::admin::Admin;
use crate::dispatch::route;

/// What can be asked about Force Encrypt.
#[derive(Debug, Clone, Serialize, Deserialize, Subcommand)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Every entry, with its place in the configuration
    List,
    /// Connect to each mail exchanger of a domain now, and say what would happen
    Test {
        /// The partner's domain
        domain: Domain,
    },
}

/// Answers a request.
pub async fn answer(admin: &Admin, request: Request) -> anyhow::Result<Answer> {
    let server = match running(admin) {
        Ok(server) => server,
        Err(answer) => return Ok(answer),
    };
    let snapshot = server.snapshot();
    match request {
        Request::List => {
            let entries = snapshot.policy.force_encrypt().entries();
            let lines: Vec<String> =
                entries.iter().map(|entry| format!("{entry}    {}", entry.origin)).collect();
            let json = json!({ "schema": "mailkeep.force-encrypt/1", "entries": lines });
            let text = if lines.is_empty() {
                "No partner is listed. Add one to force-encrypt { } in the configuration."
                    .to_owned()
            } else {
                lines.join("\n")
            };
            Ok(Answer::new(text, json))
        }
        Request::Test { domain } => {
            let now = Timestamp::now();
            let facts = sample(&domain, now)?;
            let settings = snapshot.policy.decide(&facts, Stage::Relay).settings;
            let route = route::choose(&snapshot, &settings, &domain, None)?;
            let demander = |approach: &Approach<'_>| {
                route::demands(&snapshot, &settings, &route, false, approach, now)
            };
            let probe = snapshot.agent.probe(&domain, &route, &demander).await;
            let (text, good) = shown(&probe);
            let json =
                json!({ "schema": "mailkeep.force-encrypt-test/1", "ok": good, "probe": probe });
            let answer = Answer::new(text, json);
            Ok(if good { answer } else { answer.with_exit(exit::FOUND) })
        }
    }
}

/// A message to nobody in particular of a domain.
fn sample(domain: &Domain, now: Timestamp) -> anyhow::Result<Facts> {
    let address = mail::Address::new("postmaster", domain.clone())?;
    Ok(Facts {
        now: Some(Moment(now)),
        sender: Some(ReversePath::Null),
        recipient: Some(RecipientFacts { address, is_local: false, account: None }),
        ..Facts::default()
    })
}

fn shown(probe: &delivery::Probe) -> (String, bool) {
    let mut lines = vec![format!("{}, looked at {}", probe.domain, probe.at.to_rfc3339())];
    for host in &probe.hosts {
        let address = host.address.map_or_else(String::new, |address| format!(" {address}"));
        lines.push(format!("  {}{address}", host.host));
        if let Some(verdict) = &host.verdict {
            lines.push(format!("    {verdict}"));
        }
        match &host.trouble {
            Some(trouble) => lines.push(format!("    would not get mail: {trouble}")),
            None => lines.push("    would get mail".to_owned()),
        }
    }
    let trouble = probe.trouble();
    lines.push(match &trouble {
        None => "Mail for this domain would be sent.".to_owned(),
        Some(trouble) if trouble.status.is_temporary() => {
            format!("Mail for this domain would wait: {trouble}")
        }
        Some(trouble) => {
            format!("Mail for this domain would NOT be sent, and its sender told: {trouble}")
        }
    });
    (lines.join("\n"), trouble.is_none())
}
