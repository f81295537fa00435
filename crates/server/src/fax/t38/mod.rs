//! Faxes by T.38: lines to gateways, and the faxes that go out and come in by them.

pub mod lines;
pub mod receive;
pub mod send;

pub use lines::Lines;

use std::time::Duration;

use t38::engine::Engine;
use t38::engine::EngineError;
use t38::engine::work::Task;

use tokio::sync::watch;

use super::draw::OWN_PROGRAM;

/// How long a call that is over may take to say goodbye.
const GOODBYE_MAX: Duration = Duration::from_secs(10);

/// Until a flag is raised: that the server stops, because no call outlives it, or that somebody
/// wants a fax stopped. Where nobody is left who could raise it, for ever.
async fn raised(mut flag: watch::Receiver<bool>) {
    if flag.wait_for(|is_raised| *is_raised).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// A fax machine, ready for a call.
async fn machine(task: &Task, pages: &[u8]) -> Result<Engine, EngineError> {
    Engine::ready(OWN_PROGRAM.as_ref(), task, pages).await
}
