//! LDAP directories as the accounts ask them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use accounts::Password;
use accounts::directory::{Asking, Person, Source};
use anyhow::{Context, Result};
use config::Config;
use config::model::LdapDirectory;
use delivery::{Agent, Egress, Families, Resolver};
use ldap::{Addresses, Client, Limits, Names, Values};
use mail::{Address, Domain, Timestamp};
use tls::{RootSources, Roots};

/// The directories of a configuration.
///
/// # Errors
///
/// A secret that is not there, or the authorities of the system.
pub fn sources(config: &Config, agent: &Agent, egress: Egress) -> Result<Vec<Arc<dyn Source>>> {
    if config.directories.is_empty() {
        return Ok(Vec::new());
    }
    let roots = Arc::new(Roots::load(&RootSources {
        built_in: true,
        bundles: config.ca_bundle.iter().map(|bundle| bundle.value.clone()).collect(),
        ..RootSources::default()
    })?);
    let source = |settings: &LdapDirectory| {
        let people = People::new(settings, &roots, agent.resolver(), egress)
            .with_context(|| format!("directory \"{}\"", *settings.name))?;
        Ok(Arc::new(people) as Arc<dyn Source>)
    };
    config.directories.iter().map(source).collect()
}

/// The people of one LDAP directory.
struct People {
    settings: LdapDirectory,
    bind: Option<(String, config::secret::Revealed)>,
    client: Client,
}

impl People {
    fn new(
        settings: &LdapDirectory,
        roots: &Arc<Roots>,
        resolver: &Resolver,
        egress: Egress,
    ) -> Result<Self> {
        let bind = match &settings.bind {
            Some((dn, secret)) => {
                Some((dn.value.clone(), secret.resolve(&config::Disk::default())?))
            }
            None => None,
        };
        let timeout = *settings.timeout;
        let limits = Limits { connect: timeout.min(CONNECT_MAX), total: timeout };
        let tls = Arc::new(tls::Client::new(Arc::clone(roots)));
        let names = Arc::new(Dns(resolver.clone()));
        let client = Client::new(settings.server.value.clone(), tls, names, limits)
            .loopback_only(egress == Egress::LoopbackOnly);
        Ok(Self { settings: settings.clone(), bind, client })
    }

    async fn look_for(&self, address: &Address, now: Timestamp) -> Result<Option<Person>, String> {
        let text = address.to_string();
        let domain = address.domain().to_string();
        let values = Values { address: &text, local: address.local(), domain: &domain };
        let reader =
            self.bind.as_ref().map(|(dn, secret)| (dn.as_str(), secret.reveal().as_bytes()));
        let attribute = self.settings.address_attribute.as_str();
        let found = self
            .client
            .find(reader, &self.settings.base, &self.settings.filter, values, &[attribute], now)
            .await
            .map_err(|error| in_full(&error))?;
        let Some(found) = found else { return Ok(None) };
        let own = found.attributes.get(&attribute.to_ascii_lowercase());
        let mut own = own.into_iter().flatten().filter_map(|text| Address::parse(text).ok());
        // The first of several is the person's own; the others are aliases of it.
        let own = own.find(|own| self.serves(own.domain()));
        let address = own.unwrap_or_else(|| address.clone());
        Ok(Some(Person { id: found.dn, address }))
    }
}

impl Source for People {
    fn name(&self) -> &str {
        &self.settings.name
    }

    fn serves(&self, domain: &Domain) -> bool {
        self.settings.domains.contains(domain)
    }

    fn keeps(&self) -> Duration {
        *self.settings.cache
    }

    fn find<'a>(&'a self, address: &'a Address, now: Timestamp) -> Asking<'a, Option<Person>> {
        Box::pin(self.look_for(address, now))
    }

    fn is_password<'a>(
        &'a self,
        id: &'a str,
        password: &'a Password,
        now: Timestamp,
    ) -> Asking<'a, bool> {
        Box::pin(async move {
            let judged = self.client.is_password(id, password.as_bytes(), now).await;
            judged.map_err(|error| in_full(&error))
        })
    }
}

impl fmt::Debug for People {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("People").field(&*self.settings.name).finish()
    }
}

/// Host names, by the server's resolver.
struct Dns(Resolver);

impl Names for Dns {
    fn addresses<'a>(&'a self, host: &'a Domain) -> Addresses<'a> {
        Box::pin(async move {
            let found = self.0.addresses(host, Families::Ipv6First).await;
            found.map(|found| found.list).map_err(|error| error.to_string())
        })
    }
}

/// An error with its causes.
fn in_full(error: &ldap::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// How long one attempt to connect may take.
const CONNECT_MAX: Duration = Duration::from_secs(3);
