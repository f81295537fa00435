//! The certificates a server shows, by host name, exchangeable while it runs.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::certificate::Identity;
use crate::error::Error;
use crate::fingerprint::Fingerprint;

/// Where a certificate comes from.
#[derive(Debug, Clone)]
pub enum Origin {
    /// PEM files, read again at [`Keyring::reload`].
    Files {
        /// The certificate and its issuers.
        chain: PathBuf,
        /// The private key.
        key: PathBuf,
    },
    /// Already in memory: from the store, an ACME order or the local authority.
    Given(Arc<Identity>),
}

/// A certificate and the names it is shown for.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The certificate.
    pub origin: Origin,
    /// Host names beside those in the certificate; `*.domain` covers one label.
    pub names: Vec<String>,
}

/// The certificates of a listener. The first entry is the default, shown to clients
/// that ask for no name or an unknown one. Several entries may be for the same name
/// with keys of different kinds (ECDSA and RSA); the client's first match is taken.
///
/// Sessions keep what they have; a change is for new handshakes.
#[derive(Debug)]
pub struct Keyring {
    table: RwLock<(Vec<Entry>, Arc<Table>)>,
}

#[derive(Debug)]
struct Table {
    default: Vec<Arc<Identity>>,
    by_name: HashMap<String, Vec<Arc<Identity>>>,
    all: Vec<Arc<Identity>>,
}

impl Entry {
    /// Files, shown for the names in the certificate.
    pub fn files(chain: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        let origin = Origin::Files { chain: chain.into(), key: key.into() };
        Self { origin, names: Vec::new() }
    }

    /// A certificate in memory, shown for the names in it.
    pub fn given(identity: Identity) -> Self {
        Self { origin: Origin::Given(Arc::new(identity)), names: Vec::new() }
    }

    fn read(&self) -> Result<Arc<Identity>, Error> {
        match &self.origin {
            Origin::Files { chain, key } => Identity::load(chain, key).map(Arc::new),
            Origin::Given(identity) => Ok(Arc::clone(identity)),
        }
    }
}

impl Keyring {
    /// Reads every entry.
    ///
    /// # Errors
    ///
    /// The first entry that cannot be used, or [`Error::NoDefault`].
    pub fn load(entries: Vec<Entry>) -> Result<Self, Error> {
        let table = Arc::new(Table::read(&entries)?);
        Ok(Self { table: RwLock::new((entries, table)) })
    }

    /// Reads every file again. True if any certificate changed.
    ///
    /// # Errors
    ///
    /// The first entry that cannot be used; everything then stays as it was.
    pub fn reload(&self) -> Result<bool, Error> {
        let entries = self.read().0.clone();
        self.replace(entries)
    }

    /// Takes other entries from now on. True if any certificate changed.
    ///
    /// # Errors
    ///
    /// The first entry that cannot be used; everything then stays as it was.
    pub fn replace(&self, entries: Vec<Entry>) -> Result<bool, Error> {
        let table = Arc::new(Table::read(&entries)?);
        let mut current = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let changed = current.1.fingerprints().ne(table.fingerprints());
        *current = (entries, table);
        Ok(changed)
    }

    /// The certificates in use, default first.
    pub fn identities(&self) -> Vec<Arc<Identity>> {
        self.snapshot().all.clone()
    }

    /// The certificate for a client that asks for `name` and can verify any kind of key.
    pub fn find(&self, name: Option<&str>) -> Option<Arc<Identity>> {
        self.snapshot().candidates(name).first().cloned()
    }

    /// The certificate that this client is shown.
    pub(crate) fn choose(&self, hello: &ClientHello<'_>) -> Option<Arc<Identity>> {
        let table = self.snapshot();
        let candidates = table.candidates(hello.server_name());
        let fits = |identity: &&Arc<Identity>| {
            identity.certified().key.choose_scheme(hello.signature_schemes()).is_some()
        };
        candidates.iter().find(fits).or(candidates.first()).cloned()
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, (Vec<Entry>, Arc<Table>)> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn snapshot(&self) -> Arc<Table> {
        Arc::clone(&self.read().1)
    }
}

impl Table {
    fn read(entries: &[Entry]) -> Result<Self, Error> {
        let mut by_name: HashMap<String, Vec<Arc<Identity>>> = HashMap::new();
        let mut all = Vec::with_capacity(entries.len());
        for entry in entries {
            let identity = entry.read()?;
            let written = entry.names.iter().map(|name| name.to_ascii_lowercase());
            for name in written.chain(identity.facts().names.iter().cloned()) {
                let named = by_name.entry(name).or_default();
                if !named.iter().any(|known| Arc::ptr_eq(known, &identity)) {
                    named.push(Arc::clone(&identity));
                }
            }
            all.push(identity);
        }
        let first = all.first().ok_or(Error::NoDefault)?;
        // Every certificate for the default's names can stand in for it.
        let mut default = vec![Arc::clone(first)];
        for other in &all[1..] {
            if other.facts().names == first.facts().names {
                default.push(Arc::clone(other));
            }
        }
        Ok(Self { default, by_name, all })
    }

    fn candidates(&self, name: Option<&str>) -> &[Arc<Identity>] {
        let Some(name) = name.map(str::to_ascii_lowercase) else {
            return &self.default;
        };
        let wildcard = || {
            let (_, parent) = name.split_once('.')?;
            self.by_name.get(&format!("*.{parent}"))
        };
        self.by_name.get(&name).or_else(wildcard).unwrap_or(&self.default)
    }

    fn fingerprints(&self) -> impl Iterator<Item = Fingerprint> {
        self.all.iter().map(|identity| identity.facts().sha256)
    }
}

impl ResolvesServerCert for Keyring {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(&hello).map(|identity| Arc::clone(identity.certified()))
    }
}
