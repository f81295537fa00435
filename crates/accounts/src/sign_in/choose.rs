//! New passwords: judged, hashed, and given to accounts.

use mail::{Address, Timestamp};
use zeroize::Zeroizing;

use super::SignIn;
use crate::AccountError;
use crate::directory::Kind;
use crate::password::{AppPassword, Keys, Password, PasswordHash, Scope, app_password_as_shown};
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
        let secret = self.directory.secret().to_vec();
        self.verifier.keys(kept, password, address.to_string(), secret, realm).await
    }

    /// Gives an account an app password, and tells its text, which is shown once.
    ///
    /// # Errors
    ///
    /// Those of [`AppPassword::new`] and
    /// [`Directory::add_app_password`](crate::Directory::add_app_password).
    pub async fn add_app_password(
        &self,
        address: &Address,
        name: &str,
        scope: Scope,
        now: Timestamp,
    ) -> Result<(AppPassword, Zeroizing<String>), AccountError> {
        let (mut made, text) = AppPassword::new(name, scope, now)?;
        let password = Password::prepare(&text)?;
        made.keys = self.app_keys(address, &password, &self.settings()).await?;
        self.directory.add_app_password(address, made.clone()).await?;
        Ok((made, text))
    }

    /// The keys that the configuration wants of an app password, however it was typed.
    pub(super) async fn app_keys(
        &self,
        address: &Address,
        password: &Password,
        settings: &SignInSettings,
    ) -> Result<Keys, AccountError> {
        let kept = AppPassword::kept(&settings.kept);
        let Some(shown) = app_password_as_shown(password) else { return Ok(Keys::default()) };
        let settings = SignInSettings { kept, ..settings.clone() };
        self.keys(address, shown, &settings).await
    }
}
