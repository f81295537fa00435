//! Who signs in: the judge of SASL's questions, and the proof it gives.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mail::{Address, Timestamp};

use crate::AccountError;
use crate::directory::{Account, Directory};
use crate::failures::{Failures, Gate};
use crate::password::Verifier;
use crate::sasl::{Credentials, Failure, Finding, Question};

/// An account that proved itself. Only [`SignIn`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticated {
    account: Arc<Account>,
}

impl Authenticated {
    /// The account.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// The account's address: the identity that rules, logs and evidence know.
    pub fn address(&self) -> &Address {
        &self.account.address
    }
}

/// Judges sign-ins against the directory, and counts the failures.
#[derive(Debug)]
pub struct SignIn {
    directory: Arc<Directory>,
    verifier: Verifier,
    failures: Mutex<Failures>,
}

/// A judged sign-in.
#[derive(Debug)]
pub struct Judged {
    /// For [`Exchange::answer`](crate::sasl::Exchange::answer).
    pub finding: Finding,
    /// The name the client gave: for [`security_line`](crate::security::security_line) when
    /// the finding is a refusal, and for the log.
    pub user: String,
    /// How long the driver waits before it tells the client.
    pub delay: Duration,
}

impl SignIn {
    /// A judge over `directory`.
    pub fn new(directory: Arc<Directory>, verifier: Verifier, failures: Failures) -> Self {
        Self { directory, verifier, failures: Mutex::new(failures) }
    }

    /// Answers an exchange's question for a client at `ip`.
    ///
    /// A client that is locked out is refused unchecked ([`Failure::LockedOut`]). An account
    /// that does not exist, one that is disabled and a wrong password take the same work.
    pub async fn judge(&self, question: Question, ip: IpAddr, now: Timestamp) -> Judged {
        match question {
            Question::Password(credentials) => self.judge_password(credentials, ip, now).await,
        }
    }

    async fn judge_password(&self, given: Credentials, ip: IpAddr, now: Timestamp) -> Judged {
        let Credentials { user, act_as, password } = given;
        let gate = self.failures().gate(ip, &user, now);
        if let Gate::Locked(_) = gate {
            let finding = Finding::Refused(Failure::LockedOut);
            return Judged { finding, user, delay: Duration::ZERO };
        }
        let account = self.directory.sign_in_account(&user);
        let hash = account.as_ref().and_then(|account| account.credentials.password.clone());
        let right = self.verifier.verify(hash, password).await;
        let result = match (right, account) {
            (Err(error), _) => {
                report(&error);
                Err(Failure::Unavailable)
            }
            (Ok(_), None) => Err(Failure::UnknownUser),
            (Ok(false), Some(_)) => Err(Failure::WrongPassword),
            (Ok(true), Some(account)) if account.disabled => Err(Failure::Disabled),
            (Ok(true), Some(account)) if !acts_as_itself(act_as.as_deref(), &account) => {
                Err(Failure::ActAs)
            }
            (Ok(true), Some(account)) => Ok(Authenticated { account }),
        };
        let mut failures = self.failures();
        let (finding, gate) = match result {
            Ok(authenticated) => {
                failures.succeeded(ip, &user, now);
                (Finding::Authenticated(authenticated), gate)
            }
            Err(failure) if failure.counts() => {
                (Finding::Refused(failure), failures.failed(ip, &user, now))
            }
            Err(failure) => (Finding::Refused(failure), gate),
        };
        let delay = match gate {
            Gate::Slow(delay) => delay,
            Gate::Open | Gate::Locked(_) => Duration::ZERO,
        };
        Judged { finding, user, delay }
    }

    /// The directory it judges against.
    pub fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    /// Makes hashes for new passwords.
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// The failures counted so far.
    pub fn failures(&self) -> MutexGuard<'_, Failures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nobody acts as another; naming oneself, in whatever case, is no such wish.
fn acts_as_itself(act_as: Option<&str>, account: &Account) -> bool {
    act_as.is_none_or(|name| {
        Address::parse(name).is_ok_and(|name| name.to_key() == account.address.to_key())
    })
}

fn report(error: &AccountError) {
    tracing::warn!(%error, "a sign-in could not be checked");
}
