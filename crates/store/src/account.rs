//! Domains and accounts, as rows whose meaning is known elsewhere.

use mail::Domain;
use rusqlite::OptionalExtension;

use crate::Store;
use crate::error::StoreError;
use crate::synced::Synced;
use crate::transaction::Tx;
use crate::writer::Act;

/// One domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainRow {
    /// Its name.
    pub name: Domain,
    /// What is known of it; opaque.
    pub row: Vec<u8>,
}

/// One account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRow {
    /// Its domain.
    pub domain: Domain,
    /// Its name within the domain, in lower case.
    pub name: String,
    /// What is known of it, its verifiers among that; opaque.
    pub row: Vec<u8>,
}

impl Store {
    /// Keeps a domain, in place of what was known of it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`] and [`StoreError::Database`] from the commit.
    pub async fn put_domain(&self, domain: DomainRow) -> Result<Synced<()>, StoreError> {
        self.write(Act(move |tx: &mut Tx<'_>| {
            tx.execute(
                "keep a domain",
                "INSERT INTO domain (name, row) VALUES (?1, ?2)
                 ON CONFLICT (name) DO UPDATE SET row = excluded.row",
                (domain.name.as_str(), &domain.row),
            )
            .map(|_| ())
        }))
        .await
    }

    /// A domain.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] when the rows cannot be read.
    pub async fn domain(&self, name: &Domain) -> Result<Option<DomainRow>, StoreError> {
        let name = name.clone();
        self.read(move |connection| {
            connection
                .prepare_cached("SELECT row FROM domain WHERE name = ?1")
                .and_then(|mut s| s.query_row([name.as_str()], |row| row.get(0)).optional())
                .map(|row| row.map(|row| DomainRow { name, row }))
                .map_err(|e| StoreError::sqlite("read a domain", &e))
        })
        .await
    }

    /// Domains whose names come after `after`, in order, at most `limit` (and
    /// never more than [`ACCOUNTS_PAGE_MAX`]).
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] when the rows cannot be read.
    pub async fn domains(&self, after: &str, limit: u32) -> Result<Vec<DomainRow>, StoreError> {
        let after = after.to_owned();
        self.read(move |connection| {
            connection
                .prepare_cached(
                    "SELECT name, row FROM domain WHERE name > ?1 ORDER BY name LIMIT ?2",
                )
                .and_then(|mut statement| {
                    statement
                        .query_map((after, limit.min(ACCOUNTS_PAGE_MAX)), |row| {
                            Ok(DomainRow { name: domain_name(row, 0)?, row: row.get(1)? })
                        })?
                        .collect()
                })
                .map_err(|e| StoreError::sqlite("list domains", &e))
        })
        .await
    }

    /// Forgets a domain and its accounts. Says whether it was known.
    ///
    /// # Errors
    ///
    /// As for [`Self::put_domain`].
    pub async fn remove_domain(&self, name: &Domain) -> Result<Synced<bool>, StoreError> {
        let name = name.clone();
        self.write(Act(move |tx: &mut Tx<'_>| {
            tx.execute(
                "forget a domain's accounts",
                "DELETE FROM account WHERE domain = ?1",
                [name.as_str()],
            )?;
            tx.execute("forget a domain", "DELETE FROM domain WHERE name = ?1", [name.as_str()])
                .map(|gone| gone > 0)
        }))
        .await
    }

    /// Keeps an account, in place of what was known of it.
    ///
    /// # Errors
    ///
    /// As for [`Self::put_domain`].
    pub async fn put_account(&self, account: AccountRow) -> Result<Synced<()>, StoreError> {
        self.write(Act(move |tx: &mut Tx<'_>| {
            tx.execute(
                "keep an account",
                "INSERT INTO account (domain, name, row) VALUES (?1, ?2, ?3)
                 ON CONFLICT (domain, name) DO UPDATE SET row = excluded.row",
                (account.domain.as_str(), account.name.to_lowercase(), &account.row),
            )
            .map(|_| ())
        }))
        .await
    }

    /// An account.
    ///
    /// # Errors
    ///
    /// As for [`Self::domain`].
    pub async fn account(
        &self,
        domain: &Domain,
        name: &str,
    ) -> Result<Option<AccountRow>, StoreError> {
        let (domain, name) = (domain.clone(), name.to_lowercase());
        self.read(move |connection| {
            connection
                .prepare_cached("SELECT row FROM account WHERE domain = ?1 AND name = ?2")
                .and_then(|mut s| {
                    s.query_row((domain.as_str(), &name), |row| row.get(0)).optional()
                })
                .map(|row| row.map(|row| AccountRow { domain, name, row }))
                .map_err(|e| StoreError::sqlite("read an account", &e))
        })
        .await
    }

    /// Accounts of a domain whose names come after `after`, in order, at most
    /// `limit` (and never more than [`ACCOUNTS_PAGE_MAX`]).
    ///
    /// # Errors
    ///
    /// As for [`Self::domain`].
    pub async fn accounts(
        &self,
        domain: &Domain,
        after: &str,
        limit: u32,
    ) -> Result<Vec<AccountRow>, StoreError> {
        let (domain, after) = (domain.clone(), after.to_owned());
        self.read(move |connection| {
            connection
                .prepare_cached(
                    "SELECT name, row FROM account WHERE domain = ?1 AND name > ?2
                     ORDER BY name LIMIT ?3",
                )
                .and_then(|mut statement| {
                    statement
                        .query_map((domain.as_str(), after, limit.min(ACCOUNTS_PAGE_MAX)), |row| {
                            Ok(AccountRow {
                                domain: domain.clone(),
                                name: row.get(0)?,
                                row: row.get(1)?,
                            })
                        })?
                        .collect()
                })
                .map_err(|e| StoreError::sqlite("list accounts", &e))
        })
        .await
    }

    /// Forgets an account. Says whether it was known.
    ///
    /// # Errors
    ///
    /// As for [`Self::put_domain`].
    pub async fn remove_account(
        &self,
        domain: &Domain,
        name: &str,
    ) -> Result<Synced<bool>, StoreError> {
        let (domain, name) = (domain.clone(), name.to_lowercase());
        self.write(Act(move |tx: &mut Tx<'_>| {
            tx.execute(
                "forget an account",
                "DELETE FROM account WHERE domain = ?1 AND name = ?2",
                (domain.as_str(), &name),
            )
            .map(|gone| gone > 0)
        }))
        .await
    }
}

pub(crate) fn domain_name(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Domain> {
    Domain::parse(&row.get::<_, String>(column)?).map_err(|e| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(e))
    })
}

/// The most domains or accounts of one page.
pub const ACCOUNTS_PAGE_MAX: u32 = 1000;
