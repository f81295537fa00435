//! Keys that sign mail, as rows whose meaning is known elsewhere.

use std::fmt;

use mail::Domain;

use crate::Store;
use crate::account::domain_name;
use crate::error::StoreError;
use crate::synced::Synced;
use crate::transaction::Tx;
use crate::writer::Act;

/// Keys that are read; more are never kept.
pub const DKIM_KEYS_MAX: u32 = 10_000;

/// One key.
#[derive(Clone, PartialEq, Eq)]
pub struct DkimKeyRow {
    /// The domain it vouches for.
    pub domain: Domain,
    /// Its name below that domain.
    pub selector: String,
    /// What is known of it; opaque.
    pub row: Vec<u8>,
    /// The private key; a secret.
    pub private: Vec<u8>,
}

impl fmt::Debug for DkimKeyRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DkimKeyRow({} {})", self.domain, self.selector)
    }
}

impl Store {
    /// Keeps keys, each in place of the one of its domain and selector, all or none.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`] and [`StoreError::Database`] from the commit.
    pub async fn put_dkim_keys(&self, keys: Vec<DkimKeyRow>) -> Result<Synced<()>, StoreError> {
        self.write(Act(move |tx: &mut Tx<'_>| {
            for key in &keys {
                tx.execute(
                    "keep a signing key",
                    "INSERT INTO dkim_key (domain, selector, row, private) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (domain, selector)
                     DO UPDATE SET row = excluded.row, private = excluded.private",
                    (key.domain.as_str(), &key.selector, &key.row, &key.private),
                )?;
            }
            Ok(())
        }))
        .await
    }

    /// Every key, by domain and selector; at most [`DKIM_KEYS_MAX`].
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] when the rows cannot be read.
    pub async fn dkim_keys(&self) -> Result<Vec<DkimKeyRow>, StoreError> {
        self.read(|connection| {
            connection
                .prepare_cached(
                    "SELECT domain, selector, row, private FROM dkim_key
                     ORDER BY domain, selector LIMIT ?1",
                )
                .and_then(|mut statement| {
                    statement
                        .query_map([DKIM_KEYS_MAX], |row| {
                            Ok(DkimKeyRow {
                                domain: domain_name(row, 0)?,
                                selector: row.get(1)?,
                                row: row.get(2)?,
                                private: row.get(3)?,
                            })
                        })?
                        .collect()
                })
                .map_err(|e| StoreError::sqlite("list signing keys", &e))
        })
        .await
    }

    /// Forgets a key. Says whether it was known.
    ///
    /// # Errors
    ///
    /// As for [`Self::put_dkim_keys`].
    pub async fn remove_dkim_key(
        &self,
        domain: &Domain,
        selector: &str,
    ) -> Result<Synced<bool>, StoreError> {
        let (domain, selector) = (domain.clone(), selector.to_owned());
        self.write(Act(move |tx: &mut Tx<'_>| {
            tx.execute(
                "forget a signing key",
                "DELETE FROM dkim_key WHERE domain = ?1 AND selector = ?2",
                (domain.as_str(), &selector),
            )
            .map(|gone| gone > 0)
        }))
        .await
    }
}
