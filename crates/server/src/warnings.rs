//! Warnings by mail to an account that comes near a quota.

use std::sync::Arc;

use anyhow::Result;
use evidence::Origin;
use flow::Warning;
use mail::{Address, TraceId};
use store::Accept;

use crate::conversation::amount;
use crate::letter::Letter;
use crate::server::Server;
use crate::snapshot::Snapshot;

impl Server {
    /// Warns `account` of the quotas it comes near, a moment later.
    pub fn warn_soon(
        self: &Arc<Self>,
        snapshot: &Arc<Snapshot>,
        about: TraceId,
        account: Option<Address>,
        warnings: Vec<Warning>,
    ) {
        let Some(account) = account.filter(|_| !warnings.is_empty()) else { return };
        let (server, snapshot) = (Arc::clone(self), Arc::clone(snapshot));
        tokio::spawn(async move {
            tracing::info!(%account, quotas = warnings.len(), "comes near a sending quota");
            let warned = match compose(&server, &snapshot, about, &account, &warnings) {
                Ok(accept) => server.store.accept(accept).await.map_err(anyhow::Error::from),
                Err(error) => Err(error),
            };
            match warned {
                Ok(_) => server.dispatcher.wake(),
                Err(error) => tracing::error!(%account, %error, "was not warned of its quota"),
            }
        });
    }
}

fn compose(
    server: &Server,
    snapshot: &Snapshot,
    about: TraceId,
    account: &Address,
    warnings: &[Warning],
) -> Result<Accept> {
    let postmaster = &snapshot.config.postmaster.value;
    let mut lines = String::new();
    for Warning { quota, limit, used } in warnings {
        let (used, max) = (amount(limit.what, *used), amount(limit.what, limit.max));
        let period = limit.period.word();
        lines.push_str(&format!("  {quota}: {used} of {max} per {period}\r\n"));
    }
    let text = format!(
        "Your account has sent most of what it may send:\r\n\r\n{lines}\r\n\
         When a limit is reached, your mail is refused for a time; your mail program shows\r\n\
         until when. If you have not sent this much, somebody else may know your password:\r\n\
         change it, and tell {postmaster}.\r\n",
    );
    let from = ("Mailkeep", postmaster);
    let subject = "You come near a sending quota";
    Letter::plain(snapshot, Origin::Notice { about }, from, account, subject, &text)?
        .accept(server, snapshot)
}
