//! `mailkeep dmarc …`: what others report about mail in the name of our domains.

use std::collections::BTreeMap;
use std::net::IpAddr;

use clap::Subcommand;
use dmarc_reports::Report;
use mail::{Domain, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::columns::{Put, clean, count, shortened};
use super::{Answer, NotThere, running};
use crate::admin::Admin;
use crate::reports::{seen, sending};

/// What can be asked about reports that arrived (DMARC).
#[derive(Debug, Clone, Serialize, Deserialize, Subcommand)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Every report, newest first: who saw how much mail of which domain, and how much passed
    Reports {
        /// Only about this domain
        #[arg(long)]
        domain: Option<Domain>,
        /// Only of the last while
        #[arg(long, value_name = "TIME", default_value = "30d")]
        since: String,
    },
    /// Where mail in the name of a domain comes from, and whether it passes
    Sources {
        /// The domain
        domain: Domain,
        /// Only of the last while
        #[arg(long, value_name = "TIME", default_value = "30d")]
        since: String,
    },
    /// Send the reports that are due to other domains, now
    Send {
        /// Those of today too; the rest of the day is reported as if it were another
        #[arg(long)]
        today: bool,
    },
}

/// Reports of one answer.
const LIST_MAX: u32 = 2_000;
/// Sources of one answer; those with the most mail.
const SOURCES_MAX: usize = 200;

/// Answers a request.
///
/// # Errors
///
/// The store's, and a time that cannot be read.
pub async fn answer(admin: &Admin, request: Request) -> anyhow::Result<Answer> {
    match request {
        Request::Reports { domain, since } => {
            let reports = read(admin, domain.as_ref(), &since).await?;
            Ok(list(&reports))
        }
        Request::Sources { domain, since } => {
            let reports = read(admin, Some(&domain), &since).await?;
            Ok(sources(&domain, &reports))
        }
        Request::Send { today } => send(admin, today).await,
    }
}

async fn send(admin: &Admin, today: bool) -> anyhow::Result<Answer> {
    let server = match running(admin) {
        Ok(server) => server,
        Err(answer) => return Ok(answer),
    };
    if !server.snapshot().config.dmarc_reports.send {
        let why = "Reports are not sent here: dmarc-reports { send on } lets them";
        return Err(NotThere(why.to_owned()).into());
    }
    let until = seen::day_of(Timestamp::now()) + i64::from(today);
    let sent = sending::send(server, until).await?;
    let text = format!("{} sent\n", count(sent as u64, "report", "reports"));
    Ok(Answer::new(text, json!({ "schema": "mailkeep.dmarc-sent/1", "sent": sent })))
}

async fn read(admin: &Admin, domain: Option<&Domain>, since: &str) -> anyhow::Result<Vec<Report>> {
    let ago = config::quantity::parse_duration(since)
        .ok_or_else(|| NotThere(format!("\"{since}\" is no time; write 30d")))?;
    let ago = i64::try_from(ago.as_secs()).unwrap_or(i64::MAX);
    let since = Timestamp::now().0.div_euclid(1_000).saturating_sub(ago);
    let rows = admin.store().dmarc_reports(domain, since, LIST_MAX).await?;
    let read = |row: store::DmarcReportRow| serde_json::from_slice(&row.row);
    Ok(rows.into_iter().map(read).collect::<Result<_, _>>()?)
}

/// A day, UTC.
fn day(seconds: i64) -> String {
    Timestamp(seconds.saturating_mul(1_000)).to_rfc3339().chars().take(10).collect()
}

fn share(passed: u64, all: u64) -> String {
    if all == 0 { "-".to_owned() } else { format!("{:.1}%", passed as f64 * 100.0 / all as f64) }
}

fn list(reports: &[Report]) -> Answer {
    let mut text = String::new();
    for report in reports {
        text.put(format_args!(
            "{}  {:<28} {:<28} {:>9}  {:>6} passed\n",
            day(report.begin),
            shortened(&clean(&report.policy.domain)),
            shortened(&clean(&report.organisation)),
            report.messages(),
            share(report.passed(), report.messages())
        ));
    }
    if reports.is_empty() {
        text.push_str("There is no report of that time.");
    }
    let shown: Vec<Value> = reports
        .iter()
        .map(|report| {
            json!({ "domain": report.policy.domain, "organisation": report.organisation,
                "id": report.id, "begin": report.begin, "end": report.end,
                "policy": report.policy, "messages": report.messages(),
                "passed": report.passed(), "rows": report.rows })
        })
        .collect();
    Answer::new(text, json!({ "schema": "mailkeep.dmarc-reports/1", "reports": shown }))
}

/// What came from one address.
#[derive(Default, Clone, Copy)]
struct Seen {
    messages: u64,
    dkim: u64,
    spf: u64,
    passed: u64,
}

fn sources(domain: &Domain, reports: &[Report]) -> Answer {
    let mut seen: BTreeMap<IpAddr, Seen> = BTreeMap::new();
    for row in reports.iter().flat_map(|report| &report.rows) {
        let here = seen.entry(row.source).or_default();
        let some = |yes: bool| if yes { row.count } else { 0 };
        here.messages = here.messages.saturating_add(row.count);
        here.dkim = here.dkim.saturating_add(some(row.dkim));
        here.spf = here.spf.saturating_add(some(row.spf));
        here.passed = here.passed.saturating_add(some(row.dkim || row.spf));
    }
    let mut sorted: Vec<(IpAddr, Seen)> = seen.into_iter().collect();
    sorted.sort_by_key(|(_, seen)| std::cmp::Reverse(seen.messages));
    sorted.truncate(SOURCES_MAX);
    let mut text = String::new();
    for (source, seen) in &sorted {
        text.put(format_args!(
            "{:<40} {:>9}  DKIM {:>6}  SPF {:>6}  {:>6} passed\n",
            source.to_string(),
            seen.messages,
            share(seen.dkim, seen.messages),
            share(seen.spf, seen.messages),
            share(seen.passed, seen.messages)
        ));
    }
    let all = count(reports.len() as u64, "report", "reports");
    text.put(format_args!("{} from {all}.\n", count(sorted.len() as u64, "source", "sources")));
    let shown: Vec<Value> = sorted
        .iter()
        .map(|(source, seen)| {
            json!({ "source": source, "messages": seen.messages, "dkim": seen.dkim,
                "spf": seen.spf, "passed": seen.passed })
        })
        .collect();
    let json = json!({ "schema": "mailkeep.dmarc-sources/1", "domain": domain,
        "reports": reports.len(), "sources": shown });
    Answer::new(text, json)
}
