//! Requests to trust email domains, as they are kept, and their end when nobody decides.

use std::sync::Arc;

use anyhow::{Context, Result};
use fax::TrustRequest;
use fax::request::challenge_name;
use mail::{Domain, Timestamp, TraceId};
use sender_auth::{Dns, Lack, Question, Record};
use store::{FAX_REQUESTS_PAGE_MAX, FaxRequestRow};

use crate::admin::Admin;
use crate::server::Server;

/// A request at hand.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Its name.
    pub id: TraceId,
    /// What is asked.
    pub request: TrustRequest,
}

impl Kept {
    /// Reads a row.
    ///
    /// # Errors
    ///
    /// When it was written by a program that is newer than this one.
    pub fn of(row: &FaxRequestRow) -> Result<Self> {
        let request = serde_json::from_slice(&row.row)
            .with_context(|| format!("the fax request {} cannot be read", row.id))?;
        Ok(Self { id: row.id, request })
    }

    /// The row of a new one.
    ///
    /// # Errors
    ///
    /// None that can be met; JSON of plain values is always written.
    pub fn row(&self) -> Result<FaxRequestRow> {
        Ok(FaxRequestRow {
            id: self.id,
            account: self.request.account.clone(),
            ends: Some(self.request.ends),
            row: serde_json::to_vec(&self.request)?,
        })
    }

    /// What is recorded of a step.
    pub fn step(&self, admin: &Admin, action: &str, detail: String) -> Vec<store::Evidence> {
        let domains: Vec<&str> = self.request.domains.iter().map(Domain::as_str).collect();
        let subject = format!("{} for {}: {}", self.id, self.request.account, domains.join(", "));
        admin.act(None, action, subject, Some(detail))
    }

    /// The domains whose challenge DNS does not show, each with what is in the way.
    pub async fn unproven(&self, dns: &impl Dns) -> Vec<(Domain, String)> {
        let mut unproven = Vec::new();
        for domain in &self.request.domains {
            let answer = dns.ask(&challenge_name(domain), Question::Txt).await;
            let why = match answer {
                Ok(records) => {
                    let texts = records.iter().filter_map(|record| match record {
                        Record::Txt(text) => Some(text.as_slice()),
                        Record::A(_) | Record::Aaaa(_) | Record::Mx(..) | Record::Ptr(_) => None,
                    });
                    if self.request.is_proven_by(texts) {
                        continue;
                    }
                    "it holds another text".to_owned()
                }
                Err(lack @ (Lack::NoSuchName | Lack::NoRecords | Lack::Temporary(_))) => {
                    lack.to_string()
                }
            };
            unproven.push((domain.clone(), why));
        }
        unproven
    }
}

/// Ends the open requests whose time is over, each with its evidence.
///
/// # Errors
///
/// The store's.
pub async fn end_old(server: &Arc<Server>, now: Timestamp) -> Result<()> {
    let admin = Admin::of(server);
    for row in server.store.fax_requests(None, true, FAX_REQUESTS_PAGE_MAX).await? {
        if row.ends.is_none_or(|ends| ends > now) {
            continue;
        }
        let kept = Kept::of(&row)?;
        let evidence = kept.step(&admin, "fax request ended", "nobody decided in time".to_owned());
        let ended = serde_json::to_vec(&kept.request.ended())?;
        server.store.close_fax_request(kept.id, ended, evidence).await?.into_inner();
        tracing::info!(request = %kept.id, "a request to trust domains has ended undecided");
    }
    Ok(())
}
