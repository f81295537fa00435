//! Aggregate reports (DMARC): those that arrive about our domains, and those that we send.

pub mod seen;
pub mod sending;

use std::sync::Arc;
use std::time::{Duration, Instant};

use mail::{Domain, Timestamp};
use store::{Body, DmarcReportRow};
use tokio::sync::Semaphore;

use crate::server::Server;

/// A message with a report may be this large.
const MESSAGE_MAX_OCTETS: u64 = 16 * 1024 * 1024;
/// A report is kept up to this size.
const KEPT_MAX_OCTETS: usize = 8 * 1024 * 1024;
/// Reports read at a time: each may unpack to [`dmarc_reports::UNPACKED_MAX_OCTETS`].
const AT_A_TIME: usize = 2;

/// How often counts are written down; a crash loses so much of them.
const KEEP_EVERY: Duration = Duration::from_secs(60);
/// How often to look whether reports are due.
const SEND_EVERY: Duration = Duration::from_secs(15 * 60);

/// Keeps counts and sends reports that are due, until the server is gone.
pub fn tend(server: &Arc<Server>) {
    let server = Arc::downgrade(server);
    tokio::spawn(async move {
        let mut sent = Instant::now();
        loop {
            tokio::time::sleep(KEEP_EVERY).await;
            let Some(server) = server.upgrade() else { return };
            if let Err(error) = server.reports.counts.keep(&server.store).await {
                tracing::error!(%error, "what was seen for reports could not be kept");
            }
            if sent.elapsed() < SEND_EVERY || !server.snapshot().config.dmarc_reports.send {
                continue;
            }
            sent = Instant::now();
            if let Err(error) = sending::send(&server, seen::day_of(Timestamp::now())).await {
                tracing::error!(error = format!("{error:#}"), "reports were not sent");
            }
        }
    });
}

/// Reads reports, so many at a time, and counts what others are told.
pub struct Reports {
    reading: Semaphore,
    /// What was seen of domains that want reports.
    pub counts: seen::Counts,
}

impl Default for Reports {
    fn default() -> Self {
        Self { reading: Semaphore::new(AT_A_TIME), counts: seen::Counts::default() }
    }
}

impl Reports {
    /// Reads the report in a message and keeps it. Says whether there was one about a domain
    /// of ours.
    pub async fn take(&self, server: &Server, body: &Body, received: Timestamp) -> bool {
        match self.read(server, body, received).await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "this is no report about our domains");
                false
            }
        }
    }

    async fn read(&self, server: &Server, body: &Body, received: Timestamp) -> anyhow::Result<()> {
        let _place = self.reading.acquire().await?;
        if body.len_octets() > MESSAGE_MAX_OCTETS {
            anyhow::bail!("the message has {} octets", body.len_octets());
        }
        let message = server.store.reader_of(body).read_all(MESSAGE_MAX_OCTETS).await?;
        let reading = tokio::task::spawn_blocking(move || {
            let report = dmarc_reports::of_message(&message)?;
            let row = serde_json::to_vec(&report)?;
            anyhow::Ok((report, row))
        });
        let (report, row) = reading.await??;
        let domain = Domain::parse(&report.policy.domain)?;
        if !is_about_us(server, &domain) {
            anyhow::bail!("it is about {domain}");
        }
        if row.len() > KEPT_MAX_OCTETS {
            anyhow::bail!("it has {} octets", row.len());
        }
        let kept = DmarcReportRow {
            received,
            domain: domain.to_string(),
            organisation: report.organisation.clone(),
            id: report.id.clone(),
            begin: report.begin,
            row,
        };
        let new = server.store.put_dmarc_report(kept).await?.into_inner();
        tracing::info!(%domain, from = report.organisation, messages = report.messages(),
            passed = report.passed(), new, "took a report");
        Ok(())
    }
}

/// A stranger's domain is not: such reports would push out those that matter.
fn is_about_us(server: &Server, domain: &Domain) -> bool {
    let directory = server.accounts.directory();
    let snapshot = server.snapshot();
    let signed =
        snapshot.config.signing.table.entries().iter().any(|entry| entry.domain == *domain);
    signed
        || directory.is_ours(domain)
        || directory.domains().iter().any(|ours| ours.is_below(domain))
}
