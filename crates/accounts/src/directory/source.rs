//! Accounts that another directory keeps: found when they are asked for, remembered for a
//! while, and never written down here.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use mail::{Address, Domain, Timestamp};

use crate::password::Password;

/// Addresses that are remembered at most, of all sources together.
pub const REMEMBERED_MAX: usize = 50_000;

/// A directory elsewhere, such as LDAP.
pub trait Source: fmt::Debug + Send + Sync {
    /// Its name in the configuration.
    fn name(&self) -> &str;

    /// Whether it knows the people of this domain.
    fn serves(&self, domain: &Domain) -> bool;

    /// How long an answer is believed.
    fn keeps(&self) -> Duration;

    /// Who is at this address. An error says why nobody knows, and never that nobody is there.
    fn find<'a>(&'a self, address: &'a Address, now: Timestamp) -> Asking<'a, Option<Person>>;

    /// Whether this is the person's password. An error is no answer.
    fn is_password<'a>(
        &'a self,
        id: &'a str,
        password: &'a Password,
        now: Timestamp,
    ) -> Asking<'a, bool>;
}

/// A question under way.
pub type Asking<'a, T> = Pin<Box<dyn Future<Output = Result<T, String>> + Send + 'a>>;

/// Somebody a source knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// What the source calls them: a distinguished name.
    pub id: String,
    /// The address that is theirs; the one asked for may be another name of it.
    pub address: Address,
}

/// Whom a source vouches for.
#[derive(Debug, Clone)]
pub struct Voucher {
    /// The source.
    pub source: Arc<dyn Source>,
    /// What the source calls them.
    pub id: String,
}

/// A source could not be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the directory {source_name} cannot be asked: {why}")]
pub struct Unavailable {
    /// The source.
    pub source_name: String,
    /// Why.
    pub why: String,
}

/// What sources have said lately.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    by_address: HashMap<String, Said>,
}

/// What was said of one address.
#[derive(Debug)]
struct Said {
    address: Address,
    /// Nothing: a source has been replaced since, and the new one is to be asked.
    at: Option<Timestamp>,
    voucher: Option<Voucher>,
}

impl Remembered {
    /// What was said of `address` within the time of its source; the outer `None` is nothing.
    pub(super) fn fresh(
        &self,
        address: &Address,
        source: &dyn Source,
        now: Timestamp,
    ) -> Option<bool> {
        let said = self.by_address.get(&address.to_key())?;
        (now.since(said.at?) < source.keeps()).then_some(said.voucher.is_some())
    }

    /// Who vouches for `address`, however long ago that was.
    pub(super) fn voucher(&self, address: &Address) -> Option<Voucher> {
        self.by_address.get(&address.to_key())?.voucher.clone()
    }

    /// Remembers what was said. When there is no room everything is forgotten: it is asked
    /// again, and nobody who floods us with names holds more memory than this. Says whether
    /// all was forgotten.
    pub(super) fn note(
        &mut self,
        address: &Address,
        said: Option<Voucher>,
        now: Timestamp,
    ) -> bool {
        let full = self.by_address.len() >= REMEMBERED_MAX;
        if full {
            self.by_address.clear();
        }
        let said = Said { address: address.clone(), at: Some(now), voucher: said };
        self.by_address.insert(address.to_key(), said);
        full
    }

    /// Lets the source of the same name vouch from now on; nothing that was said is fresh any
    /// more. Gives the addresses that have no such source, which are forgotten.
    pub(super) fn change_sources(&mut self, sources: &[Arc<dyn Source>]) -> Vec<Address> {
        let mut gone = Vec::new();
        self.by_address.retain(|_, said| {
            let heir = said.voucher.as_ref().and_then(|voucher| {
                let is_heir = |source: &&Arc<dyn Source>| {
                    source.name() == voucher.source.name() && source.serves(said.address.domain())
                };
                sources.iter().find(is_heir)
            });
            match (heir, &mut said.voucher) {
                (Some(heir), Some(voucher)) => {
                    voucher.source = Arc::clone(heir);
                    said.at = None;
                    true
                }
                (None, _) | (_, None) => {
                    gone.push(said.address.clone());
                    false
                }
            }
        });
        gone
    }
}
