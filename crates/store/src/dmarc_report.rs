//! Aggregate reports about our domains, as rows whose meaning is known elsewhere.

use mail::{Domain, Timestamp};

use crate::Store;
use crate::error::StoreError;
use crate::synced::Synced;
use crate::transaction::Tx;
use crate::writer::Act;

/// Reports that are kept; the oldest go.
pub const DMARC_REPORTS_MAX: u32 = 20_000;

/// One report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DmarcReportRow {
    /// When it arrived.
    pub received: Timestamp,
    /// The domain it is about, as it says.
    pub domain: String,
    /// Who reports.
    pub organisation: String,
    /// Their name for it.
    pub id: String,
    /// The first second it covers.
    pub begin: i64,
    /// The report; opaque.
    pub row: Vec<u8>,
}

impl Store {
    /// Keeps a report. Says whether it is new; one that came before is kept as it was.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`] and [`StoreError::Database`] from the commit.
    pub async fn put_dmarc_report(
        &self,
        report: DmarcReportRow,
    ) -> Result<Synced<bool>, StoreError> {
        self.write(Act(move |tx: &mut Tx<'_>| {
            let new = tx.execute(
                "keep a report",
                "INSERT INTO dmarc_report (received, domain, organisation, id, begin, row)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
                (
                    report.received.0,
                    &report.domain,
                    &report.organisation,
                    &report.id,
                    report.begin,
                    &report.row,
                ),
            )?;
            tx.execute(
                "forget the oldest reports",
                "DELETE FROM dmarc_report
                 WHERE n <= (SELECT max(n) FROM dmarc_report) - ?1",
                [DMARC_REPORTS_MAX],
            )?;
            Ok(new > 0)
        }))
        .await
    }

    /// Reports that begin at `since` (seconds) or later, newest first, about one domain or
    /// all; at most `limit`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] when the rows cannot be read.
    pub async fn dmarc_reports(
        &self,
        domain: Option<&Domain>,
        since: i64,
        limit: u32,
    ) -> Result<Vec<DmarcReportRow>, StoreError> {
        let domain = domain.map(ToString::to_string);
        self.read(move |connection| {
            connection
                .prepare_cached(
                    "SELECT received, domain, organisation, id, begin, row FROM dmarc_report
                     WHERE begin >= ?1 AND (?2 IS NULL OR domain = ?2)
                     ORDER BY begin DESC, n DESC LIMIT ?3",
                )
                .and_then(|mut statement| {
                    statement
                        .query_map((since, domain, limit.min(DMARC_REPORTS_MAX)), |row| {
                            Ok(DmarcReportRow {
                                received: Timestamp(row.get(0)?),
                                domain: row.get(1)?,
                                organisation: row.get(2)?,
                                id: row.get(3)?,
                                begin: row.get(4)?,
                                row: row.get(5)?,
                            })
                        })?
                        .collect()
                })
                .map_err(|e| StoreError::sqlite("list reports", &e))
        })
        .await
    }
}
