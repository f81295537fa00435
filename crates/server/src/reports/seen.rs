//! What was seen of domains that want reports, counted until it is written down.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use dmarc_reports::{Disposition, DkimResult, Reason, Row, SpfResult};
use mail::Timestamp;
use sender_auth::dmarc::Policy;
use sender_auth::results::Findings;
use sender_auth::spf;
use serde::{Deserialize, Serialize};
use store::{DmarcSeen, Store, StoreError};

/// Kinds of mail that wait to be written down; others are not counted until they are.
const WAITING_MAX: usize = 10_000;
const MS_A_DAY: i64 = 24 * 3_600 * 1_000;

/// The day of a time, UTC, in days since 1970.
pub fn day_of(at: Timestamp) -> i64 {
    at.0.div_euclid(MS_A_DAY)
}

/// Messages that were alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// As the report says it, without how many.
    pub row: Row,
    /// The policy as it was published.
    pub record: String,
    /// Where reports are wanted.
    pub wanted_at: Vec<String>,
}

/// The day, the domain whose policy was found, and what the messages were like.
type Kind = (i64, String, Vec<u8>);

/// Counts that wait to be written down.
#[derive(Default)]
pub struct Counts(Mutex<HashMap<Kind, u64>>);

impl Counts {
    /// Counts a message whose sender was checked, if its author's domain wants reports.
    pub fn note(&self, client: IpAddr, findings: &Findings, envelope_from: &str, at: Timestamp) {
        let Some((domain, seen)) = seen(client, findings, envelope_from) else { return };
        let Ok(row) = serde_json::to_vec(&seen) else { return };
        let key = (day_of(at), domain, row);
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = waiting.get_mut(&key) {
            *count += 1;
        } else if waiting.len() < WAITING_MAX {
            waiting.insert(key, 1);
        }
    }

    /// Writes the counts down. What cannot be written waits on.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn keep(&self, store: &Store) -> Result<(), StoreError> {
        let waiting = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        if waiting.is_empty() {
            return Ok(());
        }
        let rows = waiting.iter().map(|((day, domain, row), count)| DmarcSeen {
            day: *day,
            domain: domain.clone(),
            row: row.clone(),
            count: *count,
        });
        let kept = store.add_dmarc_seen(rows.collect()).await;
        if kept.is_err() {
            let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            for (key, count) in waiting {
                *now.entry(key).or_default() += count;
            }
        }
        kept.map(|_| ())
    }
}

/// What a report would say of a message, and the domain whose policy was found.
fn seen(client: IpAddr, findings: &Findings, envelope_from: &str) -> Option<(String, Seen)> {
    let dmarc = findings.dmarc.as_ref().filter(|dmarc| !dmarc.reports.is_empty())?;
    let spf = |finding: &spf::Finding, of_helo| SpfResult {
        domain: finding.domain.clone(),
        of_helo,
        result: finding.outcome.word().to_owned(),
    };
    let dkim = findings.dkim.iter().filter_map(|finding| {
        Some(DkimResult {
            domain: finding.domain.clone()?,
            selector: finding.selector.clone().unwrap_or_default(),
            result: finding.outcome().word().to_owned(),
        })
    });
    let row = Row {
        source: client.to_canonical(),
        count: 0,
        disposition: match dmarc.disposition {
            Policy::None => Disposition::None,
            Policy::Quarantine => Disposition::Quarantine,
            Policy::Reject => Disposition::Reject,
        },
        dkim: dmarc.dkim_aligned,
        spf: dmarc.spf_aligned,
        reasons: dmarc
            .exception
            .map(|why| Reason { kind: why.word().to_owned(), comment: String::new() })
            .into_iter()
            .collect(),
        header_from: dmarc.domain.clone(),
        envelope_from: envelope_from.to_owned(),
        dkim_results: dkim.collect(),
        spf_results: findings
            .spf
            .as_ref()
            .map(|finding| spf(finding, false))
            .or_else(|| findings.spf_helo.as_ref().map(|finding| spf(finding, true)))
            .into_iter()
            .collect(),
    };
    let seen = Seen { row, record: dmarc.record.clone()?, wanted_at: dmarc.reports.clone() };
    Some((dmarc.policy_domain.clone()?, seen))
}
