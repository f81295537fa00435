//! Scripted mail servers: good ones, and every kind of bad one.

mod command;
mod record;
mod script;
mod session;
mod tls;
mod wire;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore};

pub use record::{
    AuthSeen, CONTENT_KEPT_OCTETS, Counters, LINES_KEPT, MESSAGES_KEPT, Message, Outcome,
    Recipient, TlsSeen, VIOLATIONS_KEPT,
};
pub use script::{
    CONTENT_MAX_OCTETS, ClientCertificates, Fault, Protocol, RECIPIENTS_MAX, Script, Stage, Tls,
    Versions,
};

use crate::LabError;
use crate::error::only_loopback;
use record::Record;
use script::Act;

/// Connections served at a time; more wait.
pub const CONNECTIONS_MAX: usize = 256;
/// Wait after a failed accept, so that a lack of descriptors is no busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// A running scripted server. Dropping it stops it from taking connections.
#[derive(Debug)]
pub struct Partner {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

/// The wait for messages ended without enough of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} has {had} messages, not {wanted}, after {waited:?}; it saw:\n{transcript}")]
pub struct Waited {
    /// The partner.
    pub name: String,
    /// Accepted messages it has.
    pub had: usize,
    /// Accepted messages it should have.
    pub wanted: usize,
    /// How long the wait was.
    pub waited: Duration,
    /// The last lines of its connections.
    pub transcript: String,
}

#[derive(Debug)]
struct Shared {
    play: Mutex<Play>,
    record: Mutex<Record>,
    changed: Notify,
}

/// The script in force, with the faults as they have been used up.
#[derive(Debug)]
struct Play {
    script: Arc<Script>,
    tls: Option<Arc<ServerConfig>>,
    faults: Vec<Fault>,
}

impl Partner {
    /// Listens at `address` (port 0: any) and follows `script` until dropped.
    ///
    /// # Errors
    ///
    /// [`LabError::NotLoopback`], [`LabError::Bind`], or what is wrong with its certificate.
    pub async fn start(address: SocketAddr, script: Script) -> Result<Self, LabError> {
        let wrong = |source| LabError::Bind { address, source };
        let listener = TcpListener::bind(only_loopback(address)?).await.map_err(wrong)?;
        let address = listener.local_addr().map_err(wrong)?;
        let shared = Arc::new(Shared {
            play: Mutex::new(Play::new(script)?),
            record: Mutex::default(),
            changed: Notify::new(),
        });
        let task = tokio::spawn(listen(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, task })
    }

    /// Listens at any port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub async fn start_anywhere(script: Script) -> Result<Self, LabError> {
        Self::start(([127, 0, 0, 1], 0).into(), script).await
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Follows `script` on connections from here on.
    ///
    /// # Errors
    ///
    /// What is wrong with its certificate; the old script then stays.
    pub fn follow(&self, script: Script) -> Result<(), LabError> {
        let play = Play::new(script)?;
        *self.shared.play() = play;
        Ok(())
    }

    /// Adds a fault, also for connections that are open. Older ones come first.
    pub fn add_fault(&self, fault: Fault) {
        self.shared.play().faults.push(fault);
    }

    /// Removes every fault, also for connections that are open.
    pub fn clear_faults(&self) {
        self.shared.play().faults.clear();
    }

    /// The messages it accepted, oldest first, as far as it remembers
    /// ([`MESSAGES_KEPT`], [`CONTENT_KEPT_OCTETS`]).
    pub fn messages(&self) -> Vec<Message> {
        self.accepted().collect()
    }

    /// All messages whose content arrived in full, whatever the client was told.
    pub fn complete_messages(&self) -> Vec<Message> {
        self.shared.record().messages().cloned().collect()
    }

    /// Forgets the messages it remembers; the counters stay.
    pub fn forget_messages(&self) {
        self.shared.record().forget_messages();
    }

    /// How often things happened.
    pub fn counters(&self) -> Counters {
        self.shared.record().counters
    }

    /// What clients did against the rules of SMTP: bare line ends, lines over 998 octets,
    /// pipelining where it was not offered, octets ahead of a handshake.
    pub fn violations(&self) -> Vec<String> {
        self.shared.record().violations()
    }

    /// The last [`LINES_KEPT`] commands (`C`), replies (`S`) and TLS events (`-`), each after
    /// the number of its connection. Passwords are left out.
    pub fn transcript(&self) -> Vec<String> {
        self.shared.record().lines()
    }

    /// Waits until `wanted` messages have been accepted and returns them.
    ///
    /// # Errors
    ///
    /// [`Waited`] when they are not there after `patience`.
    pub async fn wait_for(
        &self,
        wanted: usize,
        patience: Duration,
    ) -> Result<Vec<Message>, Waited> {
        let arrived = async {
            loop {
                let changed = self.shared.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                let messages = self.messages();
                if messages.len() >= wanted {
                    return messages;
                }
                changed.await;
            }
        };
        tokio::time::timeout(patience, arrived).await.map_err(|_| Waited {
            name: self.shared.play().script.name.clone(),
            had: self.accepted().count(),
            wanted,
            waited: patience,
            transcript: self.transcript().join("\n"),
        })
    }

    fn accepted(&self) -> impl Iterator<Item = Message> {
        self.complete_messages().into_iter().filter(|message| message.outcome == Outcome::Accepted)
    }
}

impl Drop for Partner {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Play {
    fn new(mut script: Script) -> Result<Self, LabError> {
        let tls = tls::configuration(&script)?;
        let faults = std::mem::take(&mut script.faults);
        Ok(Self { script: Arc::new(script), tls, faults })
    }
}

impl Shared {
    fn play(&self) -> MutexGuard<'_, Play> {
        self.play.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the script does at `stage` in place of the proper reply.
    fn fault(&self, stage: Stage, recipient: Option<&str>) -> Option<Act> {
        let mut play = self.play();
        play.faults
            .iter_mut()
            .find_map(|fault| fault.strikes(stage, recipient).then(|| fault.act.clone()))
    }

    fn keep(&self, message: Message) {
        self.record().keep(message);
        self.changed.notify_waiters();
    }
}

async fn listen(listener: TcpListener, shared: Arc<Shared>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        // Replies are small and awaited; a failure to say so only costs speed.
        let _ = stream.set_nodelay(true);
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            session::serve(stream, peer, shared).await;
            drop(place);
        });
    }
}
