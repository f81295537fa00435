//! DNS for the lab: one name server on loopback that answers for every name it knows
//! and denies all others, over UDP and TCP (RFC 1035, RFC 6891).
//!
//! It answers like the resolver of a stub: recursion is "available", and the whole tree
//! is its own. Answers are not signed; a client that insists on DNSSEC finds no chain.

mod records;
mod server;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use hickory_proto::rr::RecordType;
pub use records::{Behaviour, NAMES_MAX, Records, TTL_DEFAULT_SECS};

use crate::LabError;
use crate::error::only_loopback;

/// Questions remembered; older ones are forgotten.
pub const QUESTIONS_KEPT: usize = 1_000;

/// A running name server. Dropping it stops it.
#[derive(Debug)]
pub struct Dns {
    address: SocketAddr,
    shared: Arc<Shared>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

/// A question that was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The name, in lower case, without its final dot.
    pub name: String,
    /// The type of record.
    pub kind: RecordType,
    /// Whether it came over TCP.
    pub tcp: bool,
}

#[derive(Debug)]
struct Shared {
    records: Mutex<Records>,
    asked: Mutex<VecDeque<Asked>>,
}

impl Dns {
    /// Opens UDP and TCP sockets at `address` (port 0: any one free for both) and answers
    /// from `records` until dropped.
    ///
    /// # Errors
    ///
    /// [`LabError::NotLoopback`], [`LabError::Bind`], or the mistake in `records`.
    pub async fn start(address: SocketAddr, records: Records) -> Result<Self, LabError> {
        let (udp, tcp) = server::open(only_loopback(address)?).await?;
        let address = tcp.local_addr().map_err(|source| LabError::Bind { address, source })?;
        let shared =
            Arc::new(Shared { records: Mutex::new(records.checked()?), asked: Mutex::default() });
        let tasks = vec![
            tokio::spawn(server::serve_udp(udp, Arc::clone(&shared))),
            tokio::spawn(server::serve_tcp(tcp, Arc::clone(&shared))),
        ];
        Ok(Self { address, shared, tasks })
    }

    /// Where it listens, over UDP and TCP.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes `records` in place of everything it answered before.
    ///
    /// # Errors
    ///
    /// The mistake in `records`; the old ones then stay.
    pub fn replace(&self, records: Records) -> Result<(), LabError> {
        *self.shared.records() = records.checked()?;
        Ok(())
    }

    /// Takes `records` for the names they mention, in place of what those names had.
    ///
    /// # Errors
    ///
    /// The mistake in `records`; the old ones then stay.
    pub fn update(&self, records: Records) -> Result<(), LabError> {
        self.shared.records().merge(records.checked()?)
    }

    /// Makes `name` behave so for every type of record.
    ///
    /// # Errors
    ///
    /// [`LabError::Name`] when `name` is not one.
    pub fn behave(&self, name: &str, behaviour: Behaviour) -> Result<(), LabError> {
        self.shared.records().set_behaviour(name, None, behaviour)
    }

    /// Makes `name` behave so for one type of record.
    ///
    /// # Errors
    ///
    /// [`LabError::Name`] when `name` is not one.
    pub fn behave_for(
        &self,
        name: &str,
        kind: RecordType,
        behaviour: Behaviour,
    ) -> Result<(), LabError> {
        self.shared.records().set_behaviour(name, Some(kind), behaviour)
    }

    /// The last [`QUESTIONS_KEPT`] questions, oldest first.
    pub fn asked(&self) -> Vec<Asked> {
        lock(&self.shared.asked).iter().cloned().collect()
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Shared {
    fn records(&self) -> MutexGuard<'_, Records> {
        lock(&self.records)
    }

    fn note(&self, asked: Asked) {
        let mut kept = lock(&self.asked);
        if kept.len() == QUESTIONS_KEPT {
            kept.pop_front();
        }
        kept.push_back(asked);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
