//! Mail from the server to those who look after it.

use std::sync::Arc;

use anyhow::Result;
use evidence::Origin;
use store::Accept;

use crate::letter::Letter;
use crate::server::Server;

/// Writes to the postmaster. A failure is logged: there is nobody else to tell.
pub async fn send(server: &Arc<Server>, subject: &str, text: &str) {
    match compose(server, subject, text) {
        Ok(accept) => match server.store.accept(accept).await {
            Ok(_) => server.dispatcher.wake(),
            Err(error) => tracing::error!(%error, subject, "the postmaster was not told"),
        },
        Err(error) => tracing::error!(%error, subject, "the postmaster was not told"),
    }
}

fn compose(server: &Server, subject: &str, text: &str) -> Result<Accept> {
    let snapshot = server.snapshot();
    let postmaster = &snapshot.config.postmaster.value;
    let origin = Origin::Injected { by: "the server".to_owned() };
    let from = ("Mailkeep", postmaster);
    Letter::plain(&snapshot, origin, from, postmaster, subject, text)?.accept(server, &snapshot)
}
