//! Accounts whose outgoing mail waits because they send spam or write to many strangers.
//!
//! The account can still sign in and send; what it sends is taken and held until an
//! administrator has looked. They are told by mail when it begins.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use mail::Timestamp;
use store::{HeldAccount, Store, StoreError};

use crate::alerts;
use crate::server::Server;

/// The beginning of the reason why a message of such an account is held.
pub const ACCOUNT_HELD: &str = "account held: ";

/// Accounts whose spam is being counted.
const ACCOUNTS_COUNTED_MAX: usize = 10_000;

/// Who is held, and who is on the way there.
#[derive(Debug, Default)]
pub struct Holds {
    held: RwLock<HashMap<String, String>>,
    spam: Mutex<HashMap<String, VecDeque<Timestamp>>>,
}

impl Holds {
    /// Reads who is held.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn open(store: &Store) -> Result<Self, StoreError> {
        let held = store.held_accounts().await?;
        let held = held.into_iter().map(|held| (held.account, held.reason)).collect();
        Ok(Self { held: RwLock::new(held), spam: Mutex::default() })
    }

    /// Why an account is held, if it is.
    pub fn reason(&self, account: &str) -> Option<String> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        held.get(account).cloned()
    }

    /// Notes that an account is held, here alone. True when it was not.
    fn keep(&self, account: &str, reason: &str) -> bool {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        held.insert(account.to_owned(), reason.to_owned()).is_none()
    }

    /// Lets an account go, here alone.
    pub fn forget(&self, account: &str) {
        self.held.write().unwrap_or_else(PoisonError::into_inner).remove(account);
        self.spam.lock().unwrap_or_else(PoisonError::into_inner).remove(account);
    }

    /// Counts a message that was found to be spam or to carry a virus. True when there were
    /// `limit` within `window`.
    fn count_spam(&self, account: &str, now: Timestamp, window: Duration, limit: u32) -> bool {
        let mut spam = self.spam.lock().unwrap_or_else(PoisonError::into_inner);
        if spam.len() >= ACCOUNTS_COUNTED_MAX && !spam.contains_key(account) {
            spam.retain(|_, times| times.back().is_some_and(|last| now.since(*last) < window));
            if spam.len() >= ACCOUNTS_COUNTED_MAX {
                return false;
            }
        }
        let times = spam.entry(account.to_owned()).or_default();
        times.push_back(now);
        while times.len() > limit as usize
            || times.front().is_some_and(|first| now.since(*first) >= window)
        {
            times.pop_front();
        }
        times.len() >= limit as usize
    }
}

impl Server {
    /// Whether what an account sends now has to wait, and why. `is_spam` says what scanners
    /// found; `recipients` is whom it writes to.
    pub async fn holds(
        self: &Arc<Self>,
        account: &str,
        is_spam: bool,
        recipients: Vec<String>,
    ) -> Option<String> {
        if let Some(reason) = self.held.reason(account) {
            return Some(reason);
        }
        let snapshot = self.snapshot();
        let settings = &snapshot.config.holding;
        let (now, window) = (Timestamp::now(), *settings.window);
        if let (true, Some(limit)) = (is_spam, *settings.spam)
            && self.held.count_spam(account, now, window, limit)
        {
            let reason = format!("{limit} messages with spam or a virus");
            return Some(self.hold(account, reason, now).await);
        }
        if let Some(limit) = *settings.first_time_recipients {
            let back = i64::try_from(window.as_millis()).unwrap_or(i64::MAX);
            let since = Timestamp(now.0.saturating_sub(back));
            let noted = self.store.note_contacts(account, recipients, now, since).await;
            match noted.map(store::Synced::into_inner) {
                Ok(strangers) if strangers > u64::from(limit) => {
                    let reason = format!("more than {limit} recipients it never wrote to before");
                    return Some(self.hold(account, reason, now).await);
                }
                Ok(_) => {}
                Err(error) => tracing::error!(account, %error, "recipients were not counted"),
            }
        }
        None
    }

    /// Holds the mail of an account from now on, and tells the postmaster.
    async fn hold(self: &Arc<Self>, account: &str, reason: String, now: Timestamp) -> String {
        let held = HeldAccount { account: account.to_owned(), since: now, reason: reason.clone() };
        if !self.held.keep(account, &reason) {
            return reason;
        }
        tracing::warn!(account, reason, "the mail of an account is held");
        if let Err(error) = self.store.hold_account(held).await {
            tracing::error!(account, %error, "a held account was not written down");
        }
        let text = format!(
            "The account {account} has sent {reason} within a short time.\r\n\
             It can still sign in, but what it sends is held from now on.\r\n\r\n\
             Look at its mail:      mailkeep queue list --held\r\n\
             Let it send again:     mailkeep hold release {account}\r\n\
             Drop what it has sent: mailkeep hold release {account} --drop\r\n"
        );
        alerts::send(self, &format!("Mail of {account} is held"), &text).await;
        reason
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_spam_messages_within_the_window_are_too_many() {
        let holds = Holds::default();
        let hour = Duration::from_secs(3_600);
        let count = |seconds: i64| holds.count_spam("ana", Timestamp(seconds * 1_000), hour, 3);
        assert!(!count(0));
        assert!(!count(10));
        assert!(!count(3_605), "the first is an hour old");
        assert!(count(3_606));
    }
}
