//! The keys of this server, and signing with them away from the threads that serve.

use std::sync::{Arc, PoisonError, RwLock};

use anyhow::{Context, Result};
use mail::header::Header;
use mail::{Domain, Timestamp};
use rules::Facts;
use signing::arc;
use signing::dkim::{self, Signer};
use signing::{BodyHasher, Key, KeyRing, KeyRow, Srs};
use store::{DkimKeyRow, Store};
use tokio::sync::Semaphore;

use crate::snapshot::Snapshot;

/// The name of the key of rewritten senders among the store's settings.
const SRS_KEY: &str = "srs-key";
/// Its length.
const SRS_KEY_OCTETS: usize = 32;

/// Holds the keys that sign mail.
pub struct Signatory {
    ring: RwLock<Arc<KeyRing>>,
    /// Messages being signed: each keeps a core busy.
    places: Semaphore,
    /// Proves that a rewritten sender was made here.
    srs_key: Vec<u8>,
}

/// What vouches for one message.
pub struct Mandate {
    domain: Domain,
    keys: Vec<(KeyRow, Arc<Key>)>,
    kind: Kind,
}

/// How it vouches.
enum Kind {
    /// As the author's own domain.
    Sign,
    /// As one through whose hands it passes, with the results under this name.
    Seal { authserv_id: String },
}

/// Signatures, and who made them.
#[derive(Debug, Default)]
pub struct Signatures {
    /// The fields, ready to stand before the message.
    pub fields: String,
    /// Each as DOMAIN/SELECTOR, for the evidence.
    pub by: Vec<String>,
}

impl Signatory {
    /// Reads the keys.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn open(store: &Store) -> Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let ring = RwLock::new(Arc::new(read(store).await?));
        let mut fresh = vec![0; SRS_KEY_OCTETS];
        aws_lc_rs::rand::fill(&mut fresh).ok().context("there are no random numbers")?;
        let srs_key = store.setting_or(SRS_KEY, fresh).await?.into_inner();
        Ok(Self { ring, places: Semaphore::new(cores), srs_key })
    }

    /// Reads the keys again after they were changed.
    ///
    /// # Errors
    ///
    /// The store's; the keys that were read stay.
    pub async fn reload(&self, store: &Store) -> Result<()> {
        let ring = Arc::new(read(store).await?);
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = ring;
        Ok(())
    }

    /// What rewrites senders, where the configuration wants that.
    pub fn srs(&self, snapshot: &Snapshot) -> Option<Srs> {
        let srs = snapshot.config.srs.as_ref()?;
        Some(Srs::new(&self.srs_key, srs.domain.value.clone(), *srs.lifetime))
    }

    /// The keys that sign a message of ours with this header, by the signing table. `None`
    /// where nothing signs it.
    pub fn mandate(
        &self,
        snapshot: &Snapshot,
        header: &Header<'_>,
        now: Timestamp,
    ) -> Option<Mandate> {
        let author = signing::author(header)?;
        let entry = snapshot.config.signing.table.find(&author)?;
        let ring = Arc::clone(&self.ring.read().unwrap_or_else(PoisonError::into_inner));
        let keys: Vec<_> = ring
            .signing(&entry.domain, &entry.selectors, now)
            .map(|(row, key)| (row.clone(), Arc::clone(key)))
            .collect();
        if keys.is_empty() {
            tracing::debug!(domain = %entry.domain, "is to be signed, but no key of it is in use");
            return None;
        }
        Some(Mandate { domain: entry.domain.clone(), keys, kind: Kind::Sign })
    }

    /// The key that seals mail that passes to `partner`; an RSA key if there is one, which is
    /// all that RFC 8617 knows.
    pub fn seal_mandate(
        &self,
        snapshot: &Snapshot,
        partner: &Domain,
        now: Timestamp,
    ) -> Option<Mandate> {
        let sealing = snapshot.config.arc_sealing.as_ref()?;
        if !sealing.partners.contains(partner) {
            return None;
        }
        let domain = sealing.domain.value.clone();
        let ring = Arc::clone(&self.ring.read().unwrap_or_else(PoisonError::into_inner));
        let key = ring.signing(&domain, &[], now).min_by_key(|(row, _)| row.algorithm);
        let Some((row, key)) = key else {
            tracing::warn!(%domain, "is to seal, but no key of it is in use");
            return None;
        };
        let keys = vec![(row.clone(), Arc::clone(key))];
        let authserv_id = snapshot.config.authserv_id.as_str().to_owned();
        Some(Mandate { domain, keys, kind: Kind::Seal { authserv_id } })
    }

    /// Signs or seals: `body` hands the octets after the header to the hasher, once, on a thread that
    /// may block.
    ///
    /// # Errors
    ///
    /// The disk's, or the key's.
    pub async fn sign(
        &self,
        mandate: Mandate,
        head: Vec<u8>,
        body: impl FnOnce(&mut BodyHasher) -> std::io::Result<()> + Send + 'static,
        now: Timestamp,
    ) -> Result<Signatures> {
        let _place = self.places.acquire().await?;
        let signing = tokio::task::spawn_blocking(move || {
            let mut hasher = BodyHasher::default();
            body(&mut hasher).context("the body could not be read")?;
            let hash = hasher.finish();
            let header = Header::scan(&head)?;
            let mut made = Signatures::default();
            for (row, key) in &mandate.keys {
                let signer = Signer { domain: &mandate.domain, selector: &row.selector, key };
                let (fields, what) = match &mandate.kind {
                    Kind::Sign => (dkim::sign(&header, hash, signer, now)?, ""),
                    Kind::Seal { authserv_id } => {
                        (arc::seal(&header, hash, authserv_id, signer, now)?, " (ARC)")
                    }
                };
                made.fields.push_str(&fields);
                made.by.push(format!("{}/{}{what}", mandate.domain, row.selector));
            }
            anyhow::Ok(made)
        });
        signing.await?
    }
}

/// Whether a message is ours to vouch for: its sender has signed in, it comes from a network
/// we trust, or this server wrote it.
pub fn is_ours(snapshot: &Snapshot, facts: &Facts) -> bool {
    facts.authenticated.is_some()
        || facts.client_ip.is_none_or(|ip| {
            snapshot.config.trusted_networks.iter().any(|network| network.contains(&ip))
        })
}

async fn read(store: &Store) -> Result<KeyRing> {
    let mut keys = Vec::new();
    for kept in store.dkim_keys().await? {
        match opened(&kept) {
            Ok(key) => keys.push(key),
            Err(error) => {
                let (domain, selector) = (&kept.domain, &kept.selector);
                tracing::error!(%domain, selector, error = format!("{error:#}"),
                    "a signing key cannot be used");
            }
        }
    }
    Ok(KeyRing::new(keys))
}

fn opened(kept: &DkimKeyRow) -> Result<(KeyRow, Arc<Key>)> {
    let row = serde_json::from_slice(&kept.row).context("its row cannot be read")?;
    Ok((row, Arc::new(Key::from_der(&kept.private)?)))
}
