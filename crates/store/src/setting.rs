//! Named values that a backup must hold: keys, the authority, marks.

use rusqlite::OptionalExtension;

use crate::Store;
use crate::error::StoreError;
use crate::synced::Synced;
use crate::transaction::Tx;
use crate::writer::Act;

impl Store {
    /// The value kept as `name`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] when the rows cannot be read.
    pub async fn setting(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let name = name.to_owned();
        self.read(move |connection| {
            connection
                .prepare_cached("SELECT value FROM setting WHERE name = ?1")
                .and_then(|mut s| s.query_row([name], |row| row.get(0)).optional())
                .map_err(|e| StoreError::sqlite("read a setting", &e))
        })
        .await
    }

    /// Keeps `value` as `name`, in place of what was there.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`] and [`StoreError::Database`] from the commit.
    pub async fn put_setting(&self, name: &str, value: Vec<u8>) -> Result<Synced<()>, StoreError> {
        let name = name.to_owned();
        self.write(Act(move |tx: &mut Tx<'_>| {
            tx.execute(
                "keep a setting",
                "INSERT INTO setting (name, value) VALUES (?1, ?2)
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (&name, &value),
            )
            .map(|_| ())
        }))
        .await
    }

    /// Keeps `value` as `name` unless something is kept there; gives what is
    /// kept after this. For a key that is made at first use.
    ///
    /// # Errors
    ///
    /// As for [`Self::put_setting`].
    pub async fn setting_or(
        &self,
        name: &str,
        value: Vec<u8>,
    ) -> Result<Synced<Vec<u8>>, StoreError> {
        let name = name.to_owned();
        self.write(Act(move |tx: &mut Tx<'_>| {
            tx.execute(
                "keep a setting",
                "INSERT INTO setting (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO NOTHING",
                (&name, &value),
            )?;
            let kept = tx.first(
                "read a setting",
                "SELECT value FROM setting WHERE name = ?1",
                [&name],
                |row| row.get(0),
            )?;
            kept.ok_or_else(|| StoreError::NotFound(format!("setting {name}")))
        }))
        .await
    }

    /// Forgets `name`.
    ///
    /// # Errors
    ///
    /// As for [`Self::put_setting`].
    pub async fn remove_setting(&self, name: &str) -> Result<Synced<()>, StoreError> {
        let name = name.to_owned();
        self.write(Act(move |tx: &mut Tx<'_>| {
            tx.execute("forget a setting", "DELETE FROM setting WHERE name = ?1", [&name])
                .map(|_| ())
        }))
        .await
    }
}
