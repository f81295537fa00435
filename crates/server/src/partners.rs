//! What is known of the protection that partners offer, so that a sender hears at
//! RCPT what is known to be impossible.

use mail::{Domain, Recipient, Timestamp};
use rules::{Facts, RecipientFacts, Stage};
use serde::{Deserialize, Serialize};
use store::{ProbeRow, StoreError};
use tls::Level;

use crate::server::Server;
use crate::snapshot::Snapshot;

/// A partner that could not do what is demanded when it was last contacted.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Shortfall {
    /// In words, for the reply.
    text: String,
}

impl Server {
    /// Why mail to `recipient` cannot be protected as demanded, if that was found lately
    /// and is still demanded.
    pub async fn known_shortfall(
        &self,
        snapshot: &Snapshot,
        facts: &Facts,
        recipient: &Recipient,
    ) -> Option<String> {
        let now = Timestamp::now();
        let domain = recipient.address.domain();
        let mut facts = facts.clone();
        facts.recipient = Some(RecipientFacts {
            address: recipient.address.clone(),
            is_local: false,
            account: None,
        });
        let settings = snapshot.policy.decide(&facts, Stage::Relay).settings;
        let demands = snapshot.policy.demands(&settings, domain, None, None, now);
        if demands.joined().level < Level::Encrypted {
            return None;
        }
        let row = match self.store.probe(domain.as_str(), now).await {
            Ok(row) => row?,
            Err(error) => {
                tracing::warn!(%error, "what is known of partners cannot be read");
                return None;
            }
        };
        serde_json::from_slice::<Shortfall>(&row.row).ok().map(|shortfall| shortfall.text)
    }

    /// Remembers that `domain` could not do what was demanded.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn remember_shortfall(&self, domain: &Domain, text: &str) -> Result<(), StoreError> {
        let now = Timestamp::now();
        let until = now.plus(*self.snapshot().config.delivery.probe_cache);
        let shortfall = Shortfall { text: text.to_owned() };
        let row = ProbeRow {
            name: domain.to_string(),
            until,
            row: serde_json::to_vec(&shortfall).unwrap_or_default(),
        };
        self.store.put_probe(row, now).await.map(drop)
    }

    /// Forgets what is known of a domain; of all, if none is named.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn forget_shortfalls(&self, domain: Option<&Domain>) -> Result<(), StoreError> {
        self.store.forget_probes(domain.map(Domain::as_str)).await.map(drop)
    }
}
