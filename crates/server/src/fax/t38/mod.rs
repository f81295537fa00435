//! Faxes by T.38: lines to gateways, and the faxes that go out and come in by them.

pub mod lines;
pub mod receive;
pub mod send;

pub use lines::Lines;

use std::time::Duration;

use t38::engine::Engine;
use t38::engine::EngineError;
use t38::engine::work::Task;

use super::draw::OWN_PROGRAM;
use crate::server::Server;

/// How long a call that is over may take to say goodbye.
const GOODBYE_MAX: Duration = Duration::from_secs(10);

/// Until the server stops: a call does not outlive it, so it is ended while that can be said.
async fn stops(server: &Server) {
    if server.stopping().wait_for(|stops| *stops).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// A fax machine, ready for a call.
async fn machine(task: &Task, pages: &[u8]) -> Result<Engine, EngineError> {
    Engine::ready(OWN_PROGRAM.as_ref(), task, pages).await
}
