//! What was learnt about a destination, until it is too old to be believed.

use mail::Timestamp;

use crate::Store;
use crate::error::StoreError;
use crate::synced::Synced;
use crate::transaction::{Tx, instant};
use crate::writer::Act;

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeRow {
    /// What it is about.
    pub name: String,
    /// Until when it is believed.
    pub until: Timestamp,
    /// The finding; opaque.
    pub row: Vec<u8>,
}

impl Store {
    /// Keeps a finding in place of the last about the same, and forgets up to 16
    /// that are too old at `now`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`] and [`StoreError::Database`] from the commit.
    pub async fn put_probe(
        &self,
        probe: ProbeRow,
        now: Timestamp,
    ) -> Result<Synced<()>, StoreError> {
        self.write(Act(move |tx: &mut Tx<'_>| {
            tx.execute(
                "forget old findings",
                "DELETE FROM probe WHERE name IN
                   (SELECT name FROM probe WHERE until <= ?1 ORDER BY until LIMIT ?2)",
                (now.0, FORGET_AT_ONCE),
            )?;
            tx.execute(
                "keep a finding",
                "INSERT INTO probe (name, until, row) VALUES (?1, ?2, ?3)
                 ON CONFLICT (name) DO UPDATE SET until = excluded.until, row = excluded.row",
                (&probe.name, probe.until.0, &probe.row),
            )
            .map(|_| ())
        }))
        .await
    }

    /// The finding about `name`, if it is still believed at `now`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] when the rows cannot be read.
    pub async fn probe(&self, name: &str, now: Timestamp) -> Result<Option<ProbeRow>, StoreError> {
        let name = name.to_owned();
        self.read(move |connection| {
            connection
                .prepare_cached("SELECT name, until, row FROM probe WHERE name = ?1 AND until > ?2")
                .and_then(|mut statement| {
                    statement
                        .query_map((name, now.0), |row| {
                            Ok(ProbeRow {
                                name: row.get(0)?,
                                until: instant(row, 1)?,
                                row: row.get(2)?,
                            })
                        })?
                        .next()
                        .transpose()
                })
                .map_err(|e| StoreError::sqlite("look for a finding", &e))
        })
        .await
    }

    /// Forgets the finding about `name`, or all of them. Says how many.
    ///
    /// # Errors
    ///
    /// As for [`Self::put_probe`].
    pub async fn forget_probes(&self, name: Option<&str>) -> Result<Synced<usize>, StoreError> {
        let name = name.map(str::to_owned);
        self.write(Act(move |tx: &mut Tx<'_>| {
            tx.execute(
                "forget findings",
                "DELETE FROM probe WHERE ?1 IS NULL OR name = ?1",
                [&name],
            )
        }))
        .await
    }
}

/// Old findings forgotten with each new one.
const FORGET_AT_ONCE: u32 = 16;
