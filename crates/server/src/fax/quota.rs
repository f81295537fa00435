//! Sending quotas of faxes and pages.
//!
//! They are counted for the reverse-path, which is what account security judges: who faxes
//! need not have signed in. Quotas of fax accounts count what all their senders fax together. Where the client is plays no part, because pages are counted when
//! it has gone.

use flow::{Reached, Sender, Taken, Usage};
use mail::{Address, Timestamp};

use crate::conversation::groups_of;
use crate::server::Server;
use crate::snapshot::Snapshot;

/// Who faxes by which account.
#[derive(Debug, Clone, Copy)]
pub struct Faxing<'a> {
    /// The reverse-path.
    pub from: &'a Address,
    /// The fax account.
    pub account: &'a str,
}

/// Whether `faxes` more may be sent by an account, each of a page at least.
///
/// # Errors
///
/// The limit that leaves no room.
pub fn check(
    server: &Server,
    snapshot: &Snapshot,
    faxing: Faxing<'_>,
    faxes: u64,
    now: Timestamp,
) -> Result<(), Reached> {
    let usage = Usage { faxes, pages: faxes, ..Usage::default() };
    as_sender(server, snapshot, faxing.from, Some(faxing.account), |sender| {
        server.guard.check(&snapshot.flow, sender, usage, now)
    })
}

/// Whether `from` may send `faxes` more in all, by whichever accounts.
///
/// # Errors
///
/// The limit that leaves no room.
pub fn check_sender(
    server: &Server,
    snapshot: &Snapshot,
    from: &Address,
    faxes: u64,
    now: Timestamp,
) -> Result<(), Reached> {
    let usage = Usage { faxes, pages: faxes, ..Usage::default() };
    as_sender(server, snapshot, from, None, |sender| {
        server.guard.check(&snapshot.flow, sender, usage, now)
    })
}

/// Counts `faxes`, whose pages are not known yet.
///
/// # Errors
///
/// As for [`check`]; then nothing was counted.
pub fn take_faxes(
    server: &Server,
    snapshot: &Snapshot,
    faxing: Faxing<'_>,
    faxes: u64,
    now: Timestamp,
) -> Result<Taken, Reached> {
    take(server, snapshot, faxing, Usage { faxes, ..Usage::default() }, now)
}

/// Counts the pages of a fax.
///
/// # Errors
///
/// As for [`check`]; then nothing was counted.
pub fn take_pages(
    server: &Server,
    snapshot: &Snapshot,
    faxing: Faxing<'_>,
    pages: u64,
    now: Timestamp,
) -> Result<Taken, Reached> {
    take(server, snapshot, faxing, Usage { pages, ..Usage::default() }, now)
}

fn take(
    server: &Server,
    snapshot: &Snapshot,
    faxing: Faxing<'_>,
    usage: Usage,
    now: Timestamp,
) -> Result<Taken, Reached> {
    as_sender(server, snapshot, faxing.from, Some(faxing.account), |sender| {
        server.guard.take(&snapshot.flow, sender, usage, now)
    })
}

fn as_sender<T>(
    server: &Server,
    snapshot: &Snapshot,
    from: &Address,
    fax_account: Option<&str>,
    ask: impl FnOnce(&Sender<'_>) -> T,
) -> T {
    let account = from.to_string();
    let groups = groups_of(Some(&account), &snapshot.flow.quotas, server.accounts.directory());
    ask(&Sender { account: Some(&account), groups: &groups, client: None, fax_account })
}
