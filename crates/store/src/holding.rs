//! Accounts whose outgoing mail is held, and whom each account has written to before.

use mail::Timestamp;

use crate::Store;
use crate::error::StoreError;
use crate::synced::Synced;
use crate::transaction::{Tx, instant};
use crate::writer::Act;

/// An account whose outgoing mail is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldAccount {
    /// The account.
    pub account: String,
    /// Since when.
    pub since: Timestamp,
    /// Why, in words.
    pub reason: String,
}

/// Recipients that are remembered of one account; the longest unused are forgotten first.
pub const CONTACTS_MAX: u32 = 10_000;
/// Recipients looked at in one go.
const AT_ONCE: usize = 1_000;

impl Store {
    /// Holds the mail of an account. Says whether it was not held before.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`] and [`StoreError::Database`] from the commit.
    pub async fn hold_account(&self, held: HeldAccount) -> Result<Synced<bool>, StoreError> {
        self.write(Act(move |tx: &mut Tx<'_>| {
            tx.execute(
                "hold an account",
                "INSERT INTO held_account (account, since, reason) VALUES (?1, ?2, ?3)
                 ON CONFLICT (account) DO NOTHING",
                (&held.account, held.since.0, &held.reason),
            )
            .map(|changed| changed > 0)
        }))
        .await
    }

    /// Holds the mail of an account no more. Says whether it was held.
    ///
    /// # Errors
    ///
    /// As for [`Self::hold_account`].
    pub async fn release_account(&self, account: &str) -> Result<Synced<bool>, StoreError> {
        let account = account.to_owned();
        self.write(Act(move |tx: &mut Tx<'_>| {
            tx.execute(
                "release an account",
                "DELETE FROM held_account WHERE account = ?1",
                [&account],
            )
            .map(|changed| changed > 0)
        }))
        .await
    }

    /// The accounts whose mail is held, by name.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] when the rows cannot be read.
    pub async fn held_accounts(&self) -> Result<Vec<HeldAccount>, StoreError> {
        self.read(|connection| {
            connection
                .prepare_cached("SELECT account, since, reason FROM held_account ORDER BY account")
                .and_then(|mut statement| {
                    let rows = statement.query_map([], |row| {
                        Ok(HeldAccount {
                            account: row.get(0)?,
                            since: instant(row, 1)?,
                            reason: row.get(2)?,
                        })
                    })?;
                    rows.collect()
                })
                .map_err(|e| StoreError::sqlite("list held accounts", &e))
        })
        .await
    }

    /// Notes that an account writes to these recipients now. Gives how many recipients it
    /// has written to for the first time since `since`.
    ///
    /// # Errors
    ///
    /// As for [`Self::hold_account`].
    pub async fn note_contacts(
        &self,
        account: &str,
        recipients: Vec<String>,
        now: Timestamp,
        since: Timestamp,
    ) -> Result<Synced<u64>, StoreError> {
        let account = account.to_owned();
        self.write(Act(move |tx: &mut Tx<'_>| {
            for recipient in recipients.iter().take(AT_ONCE) {
                tx.execute(
                    "note a recipient",
                    "INSERT INTO contact (account, recipient, first, last)
                     VALUES (?1, ?2, ?3, ?3)
                     ON CONFLICT (account, recipient) DO UPDATE SET last = excluded.last",
                    (&account, recipient, now.0),
                )?;
            }
            tx.execute(
                "forget recipients",
                "DELETE FROM contact WHERE account = ?1 AND recipient IN
                   (SELECT recipient FROM contact WHERE account = ?1
                    ORDER BY last DESC LIMIT -1 OFFSET ?2)",
                (&account, CONTACTS_MAX),
            )?;
            let count: Option<i64> = tx.first(
                "count first-time recipients",
                "SELECT count(*) FROM contact WHERE account = ?1 AND first >= ?2",
                (&account, since.0),
                |row| row.get(0),
            )?;
            Ok(count.unwrap_or(0).max(0) as u64)
        }))
        .await
    }
}
