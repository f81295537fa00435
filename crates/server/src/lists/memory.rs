//! What is remembered of senders: greylisting and reputation, in the store.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use lists::greylist::{self, Network, Sighting};
use lists::reputation::{self, Reputation};
use mail::{Address, Domain, ReversePath, Timestamp};
use serde::de::DeserializeOwned;
use store::{MemoryKind, Remembered, StoreError};

pub use lists::reputation::Outcome;

use super::Lists;
use crate::server::Server;

/// A known sender is written down again only after this part of the time it is kept, so
/// that everyday mail costs no write.
const REFRESH_PART: u32 = 16;

impl Lists {
    /// Whether the sender is a stranger who has to come again; `proven` is the domain that SPF
    /// proves for it. When the store fails, nobody has to.
    pub async fn is_waiting(
        &self,
        server: &Server,
        ip: IpAddr,
        proven: Option<&Domain>,
        sender: &ReversePath,
        recipient: &Address,
    ) -> bool {
        let Some(greylisting) = &self.greylisting else { return false };
        if greylisting.except.iter().any(|network| network.contains(&ip.to_canonical())) {
            return false;
        }
        let clients = greylist::clients(ip.to_canonical(), proven);
        match judge(server, &greylisting.settings, &clients, sender, recipient).await {
            Ok(answer) => {
                let word = match answer {
                    greylist::Answer::Wait(_) => "waiting",
                    greylist::Answer::Passed => "passed",
                    greylist::Answer::Known => "known",
                };
                crate::metrics::Metrics::count(&server.metrics.greylisting, word);
                matches!(answer, greylist::Answer::Wait(_))
            }
            Err(error) => {
                tracing::warn!(%error, "greylisting lets everyone pass");
                false
            }
        }
    }

    /// The score of a sender: the worse of its network's and of its domain's.
    pub async fn reputation(
        &self,
        server: &Server,
        ip: IpAddr,
        domain: Option<&Domain>,
    ) -> Option<u32> {
        let half_life = self.half_life?;
        let mut worst = None;
        for name in names(ip, domain) {
            let now = Timestamp::now();
            let row = match server.store.recall(MemoryKind::Reputation, &name, now).await {
                Ok(row) => row,
                Err(error) => {
                    tracing::warn!(%error, "a reputation was not read");
                    None
                }
            };
            let score = read::<Reputation>(row).unwrap_or_default().at(now, half_life).score();
            worst = Some(worst.map_or(score, |worst: u32| worst.min(score)));
        }
        worst
    }

    /// Remembers what came of a sender's mail, soon; not at all when too much is being
    /// written already.
    pub fn remember(
        &self,
        server: &Arc<Server>,
        ip: IpAddr,
        domain: Option<&Domain>,
        outcome: Outcome,
    ) {
        let Some(half_life) = self.half_life else { return };
        let Ok(permit) = Arc::clone(&self.writes).try_acquire_owned() else { return };
        let (server, names) = (Arc::clone(server), names(ip, domain));
        tokio::spawn(async move {
            for name in names {
                let now = Timestamp::now();
                let change = move |row| {
                    let known = read::<Reputation>(row).unwrap_or_default();
                    let changed = known.with(outcome, now, half_life);
                    let until = Timestamp(changed.until(half_life));
                    Remembered { row: written(&changed), until, answer: () }
                };
                let kind = MemoryKind::Reputation;
                if let Err(error) = server.store.remember(kind, &name, now, change).await {
                    tracing::warn!(%error, "a reputation was not written");
                }
            }
            drop(permit);
        });
    }
}

fn names(ip: IpAddr, domain: Option<&Domain>) -> Vec<String> {
    let ip = ip.to_canonical();
    let network = reputation::of_network(ip);
    std::iter::once(network).chain(domain.map(|domain| reputation::of_domain(domain, ip))).collect()
}

async fn judge(
    server: &Server,
    settings: &greylist::Settings,
    clients: &[String],
    sender: &ReversePath,
    recipient: &Address,
) -> Result<greylist::Answer, StoreError> {
    let (store, now) = (&server.store, Timestamp::now());
    let after = settings.after.map_or(&[][..], |_| clients);
    for client in after {
        let row = store.recall(MemoryKind::Network, client, now).await?;
        if let Some(known) = read::<Network>(row)
            && greylist::is_known(&known, now, settings)
        {
            if since(known.last, now) > settings.keep / REFRESH_PART {
                remember_client(server, client, now, settings, 0).await?;
            }
            return Ok(greylist::Answer::Known);
        }
    }
    let client = clients.last().map_or("", String::as_str);
    let name = greylist::triplet(client, sender, recipient);
    let seen = read::<Sighting>(store.recall(MemoryKind::Triplet, &name, now).await?);
    let (next, answer) = greylist::judge(seen, now, settings);
    let worth_writing = seen.is_none_or(|seen| {
        seen.known != next.known
            || seen.first != next.first
            || (next.known && since(seen.last, now) > settings.keep / REFRESH_PART)
    });
    if !worth_writing {
        return Ok(answer);
    }
    let rules = settings.clone();
    let change = move |row| {
        let (next, answer) = greylist::judge(read::<Sighting>(row), now, &rules);
        let until = Timestamp(greylist::until(&next, &rules));
        Remembered { row: written(&next), until, answer }
    };
    let answer = store.remember(MemoryKind::Triplet, &name, now, change).await?.into_inner();
    if answer == greylist::Answer::Passed {
        for client in after {
            remember_client(server, client, now, settings, 1).await?;
        }
    }
    Ok(answer)
}

async fn remember_client(
    server: &Server,
    client: &str,
    now: Timestamp,
    settings: &greylist::Settings,
    more: u32,
) -> Result<(), StoreError> {
    let until = Timestamp(now.0.saturating_add(settings.keep.as_millis() as i64));
    let change = move |row| {
        let known = read::<Network>(row).unwrap_or_default();
        let next = Network { known: known.known.saturating_add(more), last: now.0 };
        Remembered { row: written(&next), until, answer: () }
    };
    server.store.remember(MemoryKind::Network, client, now, change).await?.into_inner();
    Ok(())
}

fn since(at: i64, now: Timestamp) -> Duration {
    Duration::from_millis(now.0.saturating_sub(at).max(0) as u64)
}

/// A row that cannot be read is none.
fn read<T: DeserializeOwned>(row: Option<Vec<u8>>) -> Option<T> {
    serde_json::from_slice(&row?).ok()
}

fn written<T: serde::Serialize>(row: &T) -> Vec<u8> {
    serde_json::to_vec(row).unwrap_or_default()
}
