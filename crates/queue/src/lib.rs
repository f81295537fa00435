//! Schedule, leases, outcomes and the decision to notify: pure transitions over the store.
