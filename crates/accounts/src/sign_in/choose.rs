//! New passwords: judged, hashed, and given to accounts.

use mail::{Address, Timestamp};

use super::SignIn;
use crate::AccountError;
use crate::directory::Kind;
use crate::password::{Keys, Password, PasswordHash};
use crate::settings::SignInSettings;

/// What a new password becomes.
#[derive(Debug)]
pub struct Chosen {
    hash: PasswordHash,
    keys: Keys,
}

impl SignIn {
    /// Judges the password that `address` is to have, and makes its verifiers.
    ///
    /// # Errors
    ///
    /// What the policy has against it, or [`AccountError::Busy`].
    pub async fn choose(&self, text: &str, address: &Address) -> Result<Chosen, AccountError> {
        let settings = self.settings();
        let policy = &settings.policy;
        let password = Password::choose(text, address, policy.length_min)?;
        if self.verifier.is_breached(policy.clone(), password.clone()).await? {
            return Err(AccountError::PasswordBreached);
        }
        if policy.history > 0
            && let Some(account) = self.directory.account(address)
        {
            let credentials = &account.credentials;
            let known = credentials.password.iter().chain(&credentials.history);
            let known: Vec<PasswordHash> = known.take(policy.history).cloned().collect();
            if self.verifier.is_among(known, password.clone()).await? {
                return Err(AccountError::PasswordReused);
            }
        }
        let keys = self.keys(address, password.clone(), &settings).await?;
        let hash = self.verifier.hash(password).await?;
        Ok(Chosen { hash, keys })
    }

    /// Makes an account with the password of [`choose`](Self::choose).
    ///
    /// # Errors
    ///
    /// Those of [`Directory::add_account`](crate::Directory::add_account).
    pub async fn add_account(
        &self,
        address: Address,
        chosen: Chosen,
        kind: Kind,
        now: Timestamp,
    ) -> Result<(), AccountError> {
        let Chosen { hash, keys } = chosen;
        self.directory.add_account(address.clone(), Some(hash.clone()), kind, now).await?;
        if keys != Keys::default() {
            self.directory.renew(&address, &hash, None, keys).await?;
        }
        Ok(())
    }

    /// Gives an account the password of [`choose`](Self::choose).
    ///
    /// # Errors
    ///
    /// Those of [`Directory::set_password`](crate::Directory::set_password).
    pub async fn set_password(
        &self,
        address: &Address,
        chosen: Chosen,
        now: Timestamp,
    ) -> Result<(), AccountError> {
        let remember = self.settings().policy.history;
        self.directory.set_password(address, chosen.hash, chosen.keys, remember, now).await
    }

    /// The verifiers that the configuration wants of `password`.
    pub(super) async fn keys(
        &self,
        address: &Address,
        password: Password,
        settings: &SignInSettings,
    ) -> Result<Keys, AccountError> {
        let (kept, realm) = (settings.kept.clone(), settings.realm.clone());
        self.verifier.keys(kept, password, address.to_string(), realm).await
    }
}
