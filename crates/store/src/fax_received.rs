//! Faxes that came in: which file of which server was taken, so that each is taken once.

use std::sync::Arc;

use mail::Timestamp;

use crate::Store;
use crate::accept::{check, insert};
use crate::error::StoreError;
use crate::model::{Accept, Evidence};
use crate::segment::Segment;
use crate::synced::Synced;
use crate::transaction::Tx;
use crate::writer::{Act, Work};

/// The most names that are forgotten at a time.
const FORGET_MAX: u32 = 1_000;

/// One file at one server, as it was written there at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaxFile {
    /// The server.
    pub server: String,
    /// The file.
    pub name: String,
    /// What tells it from another file that once had the name: its time and length.
    pub mark: String,
}

/// A file to be taken, with the mail that it becomes and what is recorded of it.
#[derive(Debug, Clone)]
pub struct FaxTaken {
    /// The file.
    pub file: FaxFile,
    /// When it is taken.
    pub at: Timestamp,
    /// The mail; none for what nobody wants.
    pub mail: Option<Accept>,
    /// What is recorded of it.
    pub evidence: Vec<Evidence>,
}

impl Store {
    /// Takes a file: keeps that it was taken and accepts its mail, both or neither. False when
    /// it was taken before; then nothing is done.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`] and [`StoreError::Database`] from the commit, and what
    /// [`Store::accept`] says of the mail.
    pub async fn take_fax(&self, taken: FaxTaken) -> Result<Synced<bool>, StoreError> {
        if let Some(mail) = &taken.mail {
            check(mail)?;
        }
        self.write(taken).await
    }

    /// Whether a file was taken.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] when the rows cannot be read.
    pub async fn is_fax_taken(&self, file: &FaxFile) -> Result<bool, StoreError> {
        let file = file.clone();
        self.read(move |connection| {
            connection
                .prepare_cached(
                    "SELECT 1 FROM fax_received WHERE server = ?1 AND name = ?2 AND mark = ?3",
                )
                .and_then(|mut statement| statement.exists((file.server, file.name, file.mark)))
                .map_err(|e| StoreError::sqlite("look for a received fax", &e))
        })
        .await
    }

    /// Forgets files of a server that were taken before `before` and are not among `there`:
    /// they are gone from the server, so nobody will ask again.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`] and [`StoreError::Database`] from the commit.
    pub async fn forget_taken_faxes(
        &self,
        server: &str,
        before: Timestamp,
        there: Vec<String>,
    ) -> Result<Synced<()>, StoreError> {
        let server = server.to_owned();
        let old: Vec<String> = self
            .read({
                let server = server.clone();
                move |connection| {
                    connection
                        .prepare_cached(
                            "SELECT name FROM fax_received WHERE server = ?1 AND at < ?2
                             ORDER BY at LIMIT ?3",
                        )
                        .and_then(|mut statement| {
                            let values = (server, before.0, FORGET_MAX);
                            statement.query_map(values, |row| row.get(0))?.collect()
                        })
                        .map_err(|e| StoreError::sqlite("look for received faxes", &e))
                }
            })
            .await?;
        let gone: Vec<String> = old.into_iter().filter(|name| !there.contains(name)).collect();
        self.write(Act(move |tx: &mut Tx<'_>| {
            for name in &gone {
                tx.execute(
                    "forget a received fax",
                    "DELETE FROM fax_received WHERE server = ?1 AND name = ?2 AND at < ?3",
                    (&server, name, before.0),
                )?;
            }
            Ok(())
        }))
        .await
    }
}

impl Work for FaxTaken {
    type Output = bool;

    fn apply(&self, tx: &mut Tx<'_>) -> Result<bool, StoreError> {
        let FaxFile { server, name, mark } = &self.file;
        let is_new = tx.execute(
            "take a received fax",
            "INSERT INTO fax_received (server, name, mark, at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO NOTHING",
            (server, name, mark, self.at.0),
        )? > 0;
        if is_new {
            if let Some(mail) = &self.mail {
                insert(tx, mail)?;
            }
            tx.append_evidence(&self.evidence)?;
        }
        Ok(is_new)
    }

    fn segments(&self) -> Vec<Arc<Segment>> {
        self.mail.iter().flat_map(|mail| mail.body.segments().cloned()).collect()
    }

    fn needs_room(&self) -> bool {
        true
    }
}
