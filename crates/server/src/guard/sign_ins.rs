//! Failed sign-ins and known networks, kept over a restart.

use accounts::Failures;
use accounts::failures::FailureRow;
use mail::Timestamp;
use store::{FlowKind, FlowRow, Store, StoreError};

/// Changes of each kind written at once.
const BATCH_MAX: usize = 1_024;

/// What the store remembers.
///
/// # Errors
///
/// The store's.
pub async fn load(store: &Store, now: Timestamp) -> Result<Failures, StoreError> {
    let mut failures = Failures::default();
    for FlowRow { name, until, row } in super::rows(store, FlowKind::SignIn, now).await? {
        let until = until.unwrap_or_default();
        if !failures.restore(&FailureRow { name, until, row }) {
            tracing::warn!("a count of failed sign-ins in the store cannot be read");
        }
    }
    Ok(failures)
}

/// Writes what has changed, many changes at a time.
///
/// # Errors
///
/// The store's; what was to be written is then in memory only.
pub async fn keep(
    accounts: &accounts::SignIn,
    store: &Store,
    now: Timestamp,
) -> Result<(), StoreError> {
    let changes = accounts.failures().take_changes(BATCH_MAX);
    if changes.is_empty() {
        return Ok(());
    }
    let row = |FailureRow { name, until, row }| FlowRow { name, until: Some(until), row };
    let rows = changes.into_iter().map(row).collect();
    store.put_flow(FlowKind::SignIn, rows, Vec::new(), now).await?.into_inner();
    Ok(())
}
