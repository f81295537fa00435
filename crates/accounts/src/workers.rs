//! Work that takes long or may block, on threads of its own, a few at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::AccountError;

/// Pieces of work that may wait for their turn; more are [`AccountError::Busy`].
pub const WAITING_MAX: usize = 256;

/// However much is asked for, only so many pieces of work run at a time, and at most
/// [`WAITING_MAX`] wait.
#[derive(Debug)]
pub(crate) struct Workers {
    pub(crate) places: Arc<Semaphore>,
    pub(crate) waiting: AtomicUsize,
}

impl Workers {
    /// Workers for `at_a_time` pieces of work (at least one).
    pub(crate) fn new(at_a_time: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(at_a_time.clamp(1, Semaphore::MAX_PERMITS))),
            waiting: AtomicUsize::new(0),
        }
    }

    /// The result of `work`.
    ///
    /// # Errors
    ///
    /// [`AccountError::Busy`] when too many wait, [`AccountError::Hashing`] when the work did
    /// not come to its end.
    pub(crate) async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, AccountError> {
        let place = self.place().await?;
        // The place goes with the work, so that a client that leaves does not free it early.
        let worked = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(place);
            result
        });
        worked.await.map_err(|error| AccountError::Hashing(error.to_string()))
    }

    async fn place(&self) -> Result<OwnedSemaphorePermit, AccountError> {
        let waiting = Waiting::among(&self.waiting).ok_or(AccountError::Busy)?;
        let place = Arc::clone(&self.places).acquire_owned().await;
        drop(waiting);
        place.map_err(|_| AccountError::Busy)
    }
}

/// One of those that wait, for as long as it lives.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn among(waiting: &'a AtomicUsize) -> Option<Self> {
        let place = Self(waiting);
        let before = waiting.fetch_add(1, Ordering::Relaxed);
        (before < WAITING_MAX).then_some(place)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
