//! The certificates of a configuration: read from files, or made by the local authority.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use config::Config;
use config::model::CertificateSource;
use mail::{Domain, Timestamp};
use tls::authority::{write_public, write_secret};
use tls::{Authority, Identity, Leaf, Origin};

/// A certificate of the local authority is made anew when it has less than this left.
const RENEW_BEFORE: Duration = Duration::from_secs(30 * 24 * 3600);
/// What the local authority calls itself.
const AUTHORITY_NAME: &str = "Mailkeep local authority";

/// Every certificate of a configuration, by its name there.
#[derive(Default)]
pub struct Certificates {
    origins: HashMap<String, (Origin, Arc<Identity>)>,
}

impl Certificates {
    /// Reads or makes every certificate that `config` names; what is made is kept under `data`.
    ///
    /// # Errors
    ///
    /// Names the certificate, the file and the way out.
    pub fn load(config: &Config, data: &Path, now: Timestamp) -> Result<Self> {
        let mut origins = HashMap::new();
        for certificate in &config.certificates {
            let name = certificate.name.value.clone();
            let origin = match &certificate.source {
                CertificateSource::Files { chain, key } => {
                    Origin::Files { chain: chain.value.clone(), key: key.value.clone() }
                }
                CertificateSource::LocalAuthority { names } => local(data, &name, names, now)?,
            };
            let Origin::Files { chain, key } = &origin else { continue };
            let identity = Identity::load(chain, key)
                .with_context(|| format!("certificate \"{name}\" cannot be used"))?;
            for warning in identity.warnings(now) {
                tracing::warn!(certificate = %name, "{warning}");
            }
            origins.insert(name, (origin, Arc::new(identity)));
        }
        Ok(Self { origins })
    }

    /// Where the certificate of a name comes from.
    pub fn origin(&self, name: &str) -> Option<Origin> {
        self.origins.get(name).map(|(origin, _)| origin.clone())
    }

    /// The certificate of a name, as it was when the configuration was read.
    pub fn identity(&self, name: &str) -> Option<Arc<Identity>> {
        self.origins.get(name).map(|(_, identity)| Arc::clone(identity))
    }
}

/// The certificate of the local authority that others are to trust.
pub fn authority_file(data: &Path) -> PathBuf {
    data.join("authority/ca.pem")
}

/// A certificate of the local authority: the one kept, unless it is for other names or
/// ends soon.
fn local(data: &Path, name: &str, names: &[Domain], now: Timestamp) -> Result<Origin> {
    let folder = data.join("certificates");
    let (chain, key) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
    let wanted: Vec<String> = names.iter().map(host_name).collect();
    let kept = Identity::load(&chain, &key).ok().filter(|identity| {
        let facts = identity.facts();
        wanted.iter().all(|name| facts.names.contains(name))
            && facts.not_after > now.plus(RENEW_BEFORE)
    });
    if kept.is_none() {
        fs::create_dir_all(&folder)
            .with_context(|| format!("{} cannot be made", folder.display()))?;
        let issued = authority(data, now)?.issue(&Leaf::new(wanted, now))?;
        write_public(&chain, &issued.chain_pem)?;
        write_secret(&key, &issued.key_pem)?;
    }
    Ok(Origin::Files { chain, key })
}

/// The name or address as certificates have it.
fn host_name(name: &Domain) -> String {
    name.literal().map_or_else(|| name.to_string(), |ip| ip.to_string())
}

/// The local authority of a data folder, made the first time it is asked for.
fn authority(data: &Path, now: Timestamp) -> Result<Authority> {
    let certificate = authority_file(data);
    let key = certificate.with_extension("key");
    if certificate.exists() && key.exists() {
        let read = |path: &Path| {
            fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
        };
        return Ok(Authority::from_pem(&read(&certificate)?, &read(&key)?)?);
    }
    let folder = certificate.parent().unwrap_or(data);
    fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let (authority, issued) = Authority::create(AUTHORITY_NAME, now)?;
    write_secret(&key, &issued.key_pem)?;
    write_public(&certificate, &issued.chain_pem)?;
    Ok(authority)
}
