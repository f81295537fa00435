//! Mail that was seen of domains that want reports (DMARC), counted until it is reported.

use crate::Store;
use crate::error::StoreError;
use crate::synced::Synced;
use crate::transaction::Tx;
use crate::writer::Act;

/// Kinds of mail that are told apart of one domain on one day; others are not counted.
pub const DMARC_SEEN_MAX: u32 = 10_000;

/// Messages that were alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DmarcSeen {
    /// The day, UTC, in days since 1970.
    pub day: i64,
    /// Whose policy was found.
    pub domain: String,
    /// What they were like; opaque.
    pub row: Vec<u8>,
    /// How many.
    pub count: u64,
}

impl Store {
    /// Adds to what was seen.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`] and [`StoreError::Database`] from the commit.
    pub async fn add_dmarc_seen(&self, seen: Vec<DmarcSeen>) -> Result<Synced<()>, StoreError> {
        self.write(Act(move |tx: &mut Tx<'_>| {
            for DmarcSeen { day, domain, row, count } in &seen {
                let count = i64::try_from(*count).unwrap_or(i64::MAX);
                let known = tx.execute(
                    "count mail",
                    "UPDATE dmarc_seen SET count = count + ?4
                     WHERE day = ?1 AND domain = ?2 AND row = ?3",
                    (day, domain, row, count),
                )?;
                if known == 0 {
                    tx.execute(
                        "count mail",
                        "INSERT INTO dmarc_seen (day, domain, row, count) SELECT ?1, ?2, ?3, ?4
                         WHERE (SELECT count(*) FROM dmarc_seen WHERE day = ?1 AND domain = ?2) < ?5",
                        (day, domain, row, count, DMARC_SEEN_MAX),
                    )?;
                }
            }
            Ok(())
        }))
        .await
    }

    /// The days before `day` with domains that were seen on them, oldest first.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] when the rows cannot be read.
    pub async fn dmarc_days(&self, day: i64) -> Result<Vec<(i64, String)>, StoreError> {
        self.read(move |connection| {
            connection
                .prepare_cached(
                    "SELECT DISTINCT day, domain FROM dmarc_seen WHERE day < ?1
                     ORDER BY day, domain",
                )
                .and_then(|mut statement| {
                    statement.query_map([day], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
                })
                .map_err(|e| StoreError::sqlite("list days", &e))
        })
        .await
    }

    /// What was seen of a domain on a day, in a fixed order.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] when the rows cannot be read.
    pub async fn dmarc_seen(&self, day: i64, domain: &str) -> Result<Vec<DmarcSeen>, StoreError> {
        let domain = domain.to_owned();
        self.read(move |connection| {
            connection
                .prepare_cached(
                    "SELECT row, count FROM dmarc_seen WHERE day = ?1 AND domain = ?2 ORDER BY row",
                )
                .and_then(|mut statement| {
                    statement
                        .query_map((day, &domain), |row| {
                            let count: i64 = row.get(1)?;
                            let count = count.unsigned_abs();
                            Ok(DmarcSeen { day, domain: domain.clone(), row: row.get(0)?, count })
                        })?
                        .collect()
                })
                .map_err(|e| StoreError::sqlite("list mail", &e))
        })
        .await
    }

    /// Forgets what was seen of a domain on a day.
    ///
    /// # Errors
    ///
    /// As for [`Self::add_dmarc_seen`].
    pub async fn forget_dmarc_seen(
        &self,
        day: i64,
        domain: &str,
    ) -> Result<Synced<()>, StoreError> {
        let domain = domain.to_owned();
        self.write(Act(move |tx: &mut Tx<'_>| {
            tx.execute(
                "forget mail",
                "DELETE FROM dmarc_seen WHERE day = ?1 AND domain = ?2",
                (day, &domain),
            )?;
            Ok(())
        }))
        .await
    }
}
