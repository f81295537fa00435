//! Reports that are sent: each domain that wants them hears once a day of the mail that came
//! in its name (RFC 7489 section 7.2).

use std::sync::Arc;

use anyhow::{Context, Result};
use dmarc_reports::{Destination, Policy, Report, Row};
use evidence::{Digest, Origin};
use mail::{Address, Domain, Timestamp, TraceId};
use sender_auth::dmarc::{Alignment, Record, Walk};
use sender_auth::{Dns, Lack, Question};

use super::seen::Seen;
use crate::letter::Letter;
use crate::server::Server;
use crate::snapshot::Snapshot;

/// Days for which a report is tried while DNS gives no answer about where it may go.
const TRIED_DAYS: i64 = 3;
const SECONDS_A_DAY: i64 = 24 * 3_600;

/// Sends what was seen before `day`, and forgets it. Says how many reports were sent.
///
/// # Errors
///
/// The store's. A report that could not be sent for lack of DNS is tried another time.
pub async fn send(server: &Arc<Server>, day: i64) -> Result<usize> {
    let snapshot = server.snapshot();
    server.reports.counts.keep(&server.store).await?;
    let mut sent = 0;
    for (of, name) in server.store.dmarc_days(day).await? {
        match send_one(server, &snapshot, of, &name).await {
            Ok(letters) => sent += letters,
            Err(error) if of + TRIED_DAYS > day => {
                tracing::info!(domain = name, error = format!("{error:#}"), "no report yet");
                continue;
            }
            Err(error) => {
                tracing::warn!(domain = name, error = format!("{error:#}"), "no report");
            }
        }
        server.store.forget_dmarc_seen(of, &name).await?.into_inner();
    }
    if sent > 0 {
        server.dispatcher.wake();
    }
    Ok(sent)
}

/// Sends the report about one domain and one day to everyone who wants it and may have it.
async fn send_one(
    server: &Arc<Server>,
    snapshot: &Snapshot,
    day: i64,
    name: &str,
) -> Result<usize> {
    let domain = Domain::parse(name)?;
    let rows = server.store.dmarc_seen(day, name).await?;
    let mut seen = Vec::with_capacity(rows.len());
    for row in rows {
        let kind: Seen = serde_json::from_slice(&row.row)?;
        seen.push((kind, row.count));
    }
    let (latest, _) = seen.last().context("nothing was seen")?;
    let policy = policy(name, &latest.record);
    let wanted_at = dmarc_reports::destinations(&latest.wanted_at.join(","));
    let allowed = allowed(snapshot.agent.resolver(), &domain, wanted_at).await?;
    if allowed.is_empty() {
        return Ok(0);
    }
    let hostname = &snapshot.config.hostname.value;
    let settings = &snapshot.config.dmarc_reports;
    let from = settings.receive_at.as_ref().unwrap_or(&snapshot.config.postmaster).value.clone();
    let rows: Vec<Row> = seen.into_iter().map(|(seen, count)| Row { count, ..seen.row }).collect();
    let report = Report {
        organisation: hostname.to_string(),
        email: from.to_string(),
        // The same after a crash, another for the rest of a day.
        id: format!("{day}.{}", Digest::of(&serde_json::to_vec(&rows)?)),
        begin: day * SECONDS_A_DAY,
        end: (day + 1) * SECONDS_A_DAY - 1,
        policy,
        rows,
    };
    let packed = dmarc_reports::gzip(&dmarc_reports::write(&report))?;
    let mut sent = 0;
    for destination in allowed {
        sent +=
            usize::from(send_to(server, snapshot, &report, &packed, &from, &destination).await?);
    }
    Ok(sent)
}

async fn send_to(
    server: &Arc<Server>,
    snapshot: &Snapshot,
    report: &Report,
    packed: &[u8],
    from: &Address,
    destination: &Destination,
) -> Result<bool> {
    let to = &destination.address;
    let hostname = &snapshot.config.hostname.value;
    let at = Timestamp::now();
    let trace = TraceId::generate(at.0);
    let message_id = format!("{trace}@{hostname}");
    let letter = dmarc_reports::Letter {
        report,
        packed,
        submitter: hostname,
        from,
        to,
        message_id: &message_id,
        at,
    };
    let content = letter.compose();
    if destination.max_octets.is_some_and(|most| content.len() as u64 > most) {
        tracing::warn!(domain = report.policy.domain, %to, "the report is larger than it may be");
        return Ok(false);
    }
    let letter = Letter {
        trace,
        at,
        origin: Origin::Injected { by: "DMARC reports".to_owned() },
        to: vec![to.clone()],
        content,
        body: mail::Body::default(),
        smtputf8: to.needs_smtputf8() || from.needs_smtputf8(),
    };
    let _accepted = server.store.accept(letter.accept(server, snapshot)?).await?.into_inner();
    tracing::info!(domain = report.policy.domain, %to, messages = report.messages(),
        id = %trace, "sends a report");
    Ok(true)
}

/// Those destinations that are of the domain's own organization, or say that they want
/// reports about it.
async fn allowed(
    dns: &dyn Dns,
    domain: &Domain,
    wanted_at: Vec<Destination>,
) -> Result<Vec<Destination>> {
    let organization = Walk::new(dns).organization(domain.as_str()).await;
    let organization = Domain::parse(&organization.map_err(anyhow::Error::msg)?)?;
    let mut allowed = Vec::new();
    for destination in wanted_at {
        let at = destination.address.domain();
        let is_wanted = match dmarc_reports::permission_name(domain, &organization, at) {
            None => true,
            Some(name) => match dns.ask(&name, Question::Txt).await {
                Ok(records) => records.iter().any(|record| match record {
                    sender_auth::Record::Txt(text) => {
                        dmarc_reports::permits(&String::from_utf8_lossy(text))
                    }
                    _ => false,
                }),
                Err(Lack::NoSuchName | Lack::NoRecords) => false,
                Err(lack @ Lack::Temporary(_)) => return Err(lack.into()),
            },
        };
        if is_wanted {
            allowed.push(destination);
        } else {
            tracing::info!(%domain, to = %destination.address, "wants no reports about it");
        }
    }
    Ok(allowed)
}

/// The policy as reports say it.
fn policy(domain: &str, text: &str) -> Policy {
    let record = Record::parse(text.as_bytes());
    let alignment = |which: fn(&Record) -> Alignment| {
        record.as_ref().map_or(String::new(), |record| match which(record) {
            Alignment::Relaxed => "r".to_owned(),
            Alignment::Strict => "s".to_owned(),
        })
    };
    let word = |which: fn(&Record) -> Option<sender_auth::dmarc::Policy>| {
        record.as_ref().and_then(which).map_or(String::new(), |policy| policy.word().to_owned())
    };
    let p = word(|record| record.policy);
    Policy {
        domain: domain.to_owned(),
        adkim: alignment(|record| record.dkim),
        aspf: alignment(|record| record.spf),
        p: if p.is_empty() { "none".to_owned() } else { p },
        sp: word(|record| record.below),
        np: word(|record| record.missing),
        pct: record.as_ref().map_or(String::new(), |record| record.percent.to_string()),
        fo: record.as_ref().map_or(String::new(), |record| record.failures.clone()),
    }
}
