//! Checking passwords off the async threads, a few at a time.

use super::{Cost, Kept, Keys, Owner, Password, PasswordHash, Policy};
use crate::AccountError;
use crate::workers::Workers;

/// Checks and makes password hashes on threads of their own.
///
/// However many clients sign in, at most `at_a_time` computations hold memory
/// ([`Cost::memory_kib`] each), and at most [`WAITING_MAX`](super::WAITING_MAX) wait. An
/// account that does not exist costs the same time as one that does.
#[derive(Debug)]
pub struct Verifier {
    cost: Cost,
    nobody: PasswordHash,
    workers: Workers,
}

impl Verifier {
    /// A verifier that makes hashes of `cost` and computes `at_a_time` at most (at least one).
    ///
    /// # Errors
    ///
    /// [`AccountError::Hashing`] when `cost` is out of bounds.
    pub fn new(cost: Cost, at_a_time: usize) -> Result<Self, AccountError> {
        Ok(Self { cost, nobody: PasswordHash::of_nobody(cost)?, workers: Workers::new(at_a_time) })
    }

    /// Whether `hash` is that of `password`. Without a hash, the answer is no after as much
    /// work.
    ///
    /// # Errors
    ///
    /// [`AccountError::Busy`] when too many wait; the client may come again (454 4.7.0).
    pub async fn verify(
        &self,
        hash: Option<PasswordHash>,
        password: Password,
    ) -> Result<bool, AccountError> {
        let exists = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.nobody.clone());
        self.workers.compute(move || hash.matches(&password) && exists).await
    }

    /// A fresh hash of `password`.
    ///
    /// # Errors
    ///
    /// [`AccountError::Busy`] when too many wait.
    pub async fn hash(&self, password: Password) -> Result<PasswordHash, AccountError> {
        let cost = self.cost;
        self.workers.compute(move || PasswordHash::new(&password, cost)).await?
    }

    /// Fresh verifiers of `password`, as far as they are wanted.
    ///
    /// # Errors
    ///
    /// [`AccountError::Busy`] when too many wait.
    pub(crate) async fn keys(
        &self,
        kept: Vec<Kept>,
        password: Password,
        user: String,
        secret: Vec<u8>,
        realm: String,
    ) -> Result<Keys, AccountError> {
        if kept.is_empty() {
            return Ok(Keys::default());
        }
        let work = move || {
            let owner = Owner { user: &user, secret: &secret };
            Keys::new(&kept, &password, &owner, &realm)
        };
        self.workers.compute(work).await
    }

    /// Whether one of `hashes` is that of `password`.
    ///
    /// # Errors
    ///
    /// [`AccountError::Busy`] when too many wait.
    pub async fn is_among(
        &self,
        hashes: Vec<PasswordHash>,
        password: Password,
    ) -> Result<bool, AccountError> {
        if hashes.is_empty() {
            return Ok(false);
        }
        self.workers.compute(move || hashes.iter().any(|hash| hash.matches(&password))).await
    }

    /// Whether `policy` knows `password` from breaches.
    ///
    /// # Errors
    ///
    /// [`AccountError::Busy`], or [`AccountError::BreachedList`] when the list cannot be read:
    /// then no password is taken, rather than any.
    pub async fn is_breached(
        &self,
        policy: Policy,
        password: Password,
    ) -> Result<bool, AccountError> {
        let judged = self.workers.compute(move || policy.is_breached(&password)).await?;
        judged.map_err(AccountError::BreachedList)
    }

    /// What a new hash costs.
    pub fn cost(&self) -> Cost {
        self.cost
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workers::WAITING_MAX;
    use std::sync::Arc;
    use std::sync::atomic::Ordering;
    use std::time::Instant;

    const CHEAP: Cost = Cost { memory_kib: 64, passes: 1, lanes: 1 };

    fn password(text: &str) -> Password {
        Password::prepare(text).unwrap()
    }

    #[tokio::test]
    async fn an_unknown_account_is_refused_after_the_same_work() {
        let cost = Cost { memory_kib: 4 * 1024, passes: 2, lanes: 1 };
        let verifier = Verifier::new(cost, 1).unwrap();
        let hash = verifier.hash(password("correct horse")).await.unwrap();
        assert!(verifier.verify(Some(hash.clone()), password("correct horse")).await.unwrap());

        let fastest = |hash: Option<PasswordHash>| {
            let verifier = &verifier;
            async move {
                let mut fastest = f64::MAX;
                for _ in 0..9 {
                    let began = Instant::now();
                    let right = verifier.verify(hash.clone(), password("wrong horse")).await;
                    assert!(!right.unwrap());
                    fastest = fastest.min(began.elapsed().as_secs_f64());
                }
                fastest
            }
        };
        let ratio = fastest(None).await / fastest(Some(hash)).await;
        assert!((0.5..2.0).contains(&ratio), "unknown / known = {ratio}");
    }

    #[tokio::test]
    async fn a_flood_is_turned_away_and_others_wait() {
        let verifier = Arc::new(Verifier::new(CHEAP, 1).unwrap());
        let held = Arc::clone(&verifier.workers.places).acquire_owned().await.unwrap();
        let mut flood = Vec::new();
        for _ in 0..WAITING_MAX {
            let verifier = Arc::clone(&verifier);
            flood.push(tokio::spawn(async move {
                verifier.verify(None, password("wrong horse")).await
            }));
        }
        while verifier.workers.waiting.load(Ordering::Relaxed) < WAITING_MAX {
            tokio::task::yield_now().await;
        }
        let refused = verifier.verify(None, password("wrong horse")).await;
        assert!(matches!(refused, Err(AccountError::Busy)));
        drop(held);
        for waiting in flood {
            assert!(!waiting.await.unwrap().unwrap());
        }
        assert_eq!(verifier.workers.waiting.load(Ordering::Relaxed), 0);
    }
}
