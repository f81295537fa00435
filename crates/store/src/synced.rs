//! The proof that something is on disk.

use std::ops::Deref;

/// A value whose rows (and body) are durable: the segments were synced, then
/// the transaction committed with a flush. Only the store makes one, after the
/// commit, so a `250` that takes a `Synced` cannot be sent too early.
#[derive(Debug)]
#[must_use = "this is the proof that the peer may be told"]
pub struct Synced<T>(T);

impl<T> Synced<T> {
    pub(crate) fn after_commit(value: T) -> Self {
        Self(value)
    }

    /// The value, leaving the proof behind.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Synced<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}
