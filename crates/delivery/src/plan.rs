//! From a destination to the hosts to try, in order.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use mail::{Domain, Status};
use smtp::client::Protocol;
use tls::Anchor;
use tokio::task::JoinSet;

use crate::outcome::{Cause, Trouble};
use crate::resolver::{Addresses, Exchanger, ResolveError, Resolver};
use crate::route::{Lmtp, Route, SmartHost};
use crate::settings::Settings;

/// The most hosts contacted in one attempt.
pub const CONTACTS_MAX: usize = 32;

/// The hosts to try for a destination, in order. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// At most [`CONTACTS_MAX`].
    pub targets: Vec<Target>,
}

/// A host to try.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// Its name, or its address as a literal; the name that its certificate must bear.
    pub host: Domain,
    /// Where it is.
    pub place: Place,
    /// What it speaks.
    pub protocol: Protocol,
    /// TLS from the first byte.
    pub implicit_tls: bool,
    /// How well its name is known.
    pub anchor: Anchor,
    /// Its name and address came from DNSSEC-signed records that validated.
    pub dns_secure: bool,
}

/// Where a host is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place {
    /// At an address and port.
    Tcp(SocketAddr),
    /// At a Unix socket of this machine.
    Unix(PathBuf),
}

impl Target {
    /// What people call it: its name, or the path of its socket.
    pub fn name(&self) -> String {
        match &self.place {
            Place::Tcp(_) => self.host.to_string(),
            Place::Unix(path) => path.display().to_string(),
        }
    }
}

impl Place {
    /// The address, if it has one.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

impl Plan {
    /// The hosts for `route`. Asks DNS only where the route has a name.
    ///
    /// # Errors
    ///
    /// The [`Trouble`] that every recipient has then: DNS says there is no way,
    /// or not now, or the way leads back to us. A [`Route::Maildir`] has no
    /// hosts; asking for them is a trouble too.
    pub async fn new(
        route: &Route,
        resolver: &Resolver,
        settings: &Settings,
    ) -> Result<Self, Trouble> {
        let mut targets = match route {
            Route::Mx(domain) => mail_exchangers(domain, resolver, settings).await?,
            Route::SmartHost(smart) => smart_host(smart, resolver, settings).await?,
            Route::Lmtp(Lmtp::Tcp { host, port }) => {
                let one = |address| Target {
                    protocol: Protocol::Lmtp,
                    ..configured(host, address, false)
                };
                addresses(host, *port, resolver, settings).await?.into_iter().map(one).collect()
            }
            Route::Lmtp(Lmtp::Unix(path)) => vec![Target {
                host: settings.hello.clone(),
                place: Place::Unix(path.clone()),
                protocol: Protocol::Lmtp,
                implicit_tls: false,
                anchor: Anchor::Configured,
                dns_secure: false,
            }],
            Route::Maildir(_) | Route::Fax(_) => Vec::new(),
        };
        targets.truncate(CONTACTS_MAX);
        if targets.is_empty() {
            let text = format!("there is no host to try for {route}");
            return Err(Trouble::new(Status::new(5, 4, 4), Cause::Dns, text));
        }
        Ok(Self { targets })
    }
}

async fn smart_host(
    smart: &SmartHost,
    resolver: &Resolver,
    settings: &Settings,
) -> Result<Vec<Target>, Trouble> {
    let addresses = addresses(&smart.host, smart.port, resolver, settings).await?;
    let one = |address| configured(&smart.host, address, smart.implicit_tls);
    Ok(addresses.into_iter().map(one).collect())
}

fn configured(host: &Domain, address: SocketAddr, implicit_tls: bool) -> Target {
    Target {
        host: host.clone(),
        place: Place::Tcp(address),
        protocol: Protocol::Smtp,
        implicit_tls,
        anchor: Anchor::Configured,
        dns_secure: false,
    }
}

/// A configured host must resolve; that it does not is our own mistake or a
/// passing one, so the mail waits.
async fn addresses(
    host: &Domain,
    port: u16,
    resolver: &Resolver,
    settings: &Settings,
) -> Result<Vec<SocketAddr>, Trouble> {
    match resolver.addresses(host, settings.families).await {
        Ok(found) => Ok(found.list.into_iter().map(|ip| SocketAddr::new(ip, port)).collect()),
        Err(error) => {
            let text = format!("the configured host cannot be found: {error}");
            Err(Trouble::new(Status::new(4, 4, 3), Cause::Dns, text))
        }
    }
}

async fn mail_exchangers(
    domain: &Domain,
    resolver: &Resolver,
    settings: &Settings,
) -> Result<Vec<Target>, Trouble> {
    let found = resolver.exchangers(domain).await?;
    let mut list = found.list;
    let is_us = |exchanger: &Exchanger| settings.ourselves.names.contains(&exchanger.host);
    before_us(&mut list, |exchanger| !found.configured && is_us(exchanger));
    if list.is_empty() {
        return Err(loops_back(domain));
    }
    let answers = resolve_all(&list, resolver, settings).await;
    let mut places: Vec<(Exchanger, Addresses)> = Vec::new();
    let mut failed = None;
    for (exchanger, result) in list.into_iter().zip(answers) {
        match result {
            Ok(addresses) => places.push((exchanger, addresses)),
            Err(error) => {
                // One that may exist later outweighs those that do not exist.
                if failed.is_none() || matches!(error, ResolveError::Failed { .. }) {
                    failed = Some(error);
                }
            }
        }
    }
    if places.is_empty() {
        return Err(match failed {
            // The domain exists; its exchangers do not.
            Some(ResolveError::NoSuchDomain(host)) if !found.implicit => {
                Trouble::from(ResolveError::NoAddress(host))
            }
            Some(error) => error.into(),
            None => ResolveError::NoAddress(domain.clone()).into(),
        });
    }
    let is_us = |(_, addresses): &(Exchanger, Addresses)| {
        !found.configured && addresses.list.iter().any(|&ip| settings.ourselves.is_at(ip))
    };
    let ours = places.iter().filter(|p| is_us(p)).map(|(e, _)| e.preference).min();
    places.retain(|(exchanger, _)| ours.is_none_or(|ours| exchanger.preference < ours));
    if places.is_empty() {
        return Err(loops_back(domain));
    }
    Ok(places
        .into_iter()
        .flat_map(|(exchanger, addresses)| {
            let secure = found.secure && addresses.secure;
            let anchor = if found.configured {
                Anchor::Configured
            } else {
                anchor(domain, &exchanger.host, found.secure)
            };
            let port = exchanger.port.unwrap_or(settings.mx_port);
            addresses.list.into_iter().map(move |ip| Target {
                host: exchanger.host.clone(),
                place: Place::Tcp(SocketAddr::new(ip, port)),
                protocol: Protocol::Smtp,
                implicit_tls: false,
                anchor,
                dns_secure: secure,
            })
        })
        .collect())
}

/// The addresses of each exchanger, asked at the same time, in the order given.
async fn resolve_all(
    list: &[Exchanger],
    resolver: &Resolver,
    settings: &Settings,
) -> Vec<Result<Addresses, ResolveError>> {
    if let [only] = list {
        return vec![resolver.addresses(&only.host, settings.families).await];
    }
    let mut asking = JoinSet::new();
    for (at, exchanger) in list.iter().enumerate() {
        let (resolver, host, families) =
            (resolver.clone(), exchanger.host.clone(), settings.families);
        asking.spawn(async move { (at, resolver.addresses(&host, families).await) });
    }
    let unanswered = |exchanger: &Exchanger| {
        Err(ResolveError::Failed {
            name: exchanger.host.clone(),
            detail: "the question was given up".to_owned(),
        })
    };
    let mut answers: Vec<_> = list.iter().map(unanswered).collect();
    while let Some(answer) = asking.join_next().await {
        if let Ok((at, answer)) = answer {
            answers[at] = answer;
        }
    }
    answers
}

/// Keeps the exchangers that are preferred to us, if we are among them
/// (RFC 5321 section 5.1, next to last paragraph).
fn before_us(list: &mut Vec<Exchanger>, is_us: impl Fn(&Exchanger) -> bool) {
    let ours = list.iter().filter(|exchanger| is_us(exchanger)).map(|e| e.preference).min();
    list.retain(|exchanger| ours.is_none_or(|ours| exchanger.preference < ours));
}

fn loops_back(domain: &Domain) -> Trouble {
    let text = format!("mail for {domain} would come back to this server, which does not take it");
    Trouble::new(Status::new(5, 4, 6), Cause::Loop, text)
}

/// How well the name of an exchanger that DNS names is known.
fn anchor(domain: &Domain, host: &Domain, secure: bool) -> Anchor {
    if secure {
        Anchor::SecureDns
    } else if host == domain || host.is_below(domain) {
        Anchor::RecipientDomain
    } else {
        Anchor::UnsignedDns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchanger(preference: u16, host: &str) -> Exchanger {
        Exchanger { preference, host: host.parse().unwrap(), port: None }
    }

    #[test]
    fn exchangers_not_preferred_to_us_are_left_out() {
        let all = [exchanger(5, "a"), exchanger(10, "us"), exchanger(10, "b"), exchanger(20, "c")];
        let mut list = all.to_vec();
        before_us(&mut list, |e| e.host.as_str() == "us");
        assert_eq!(list, all[..1]);
        let mut list = all.to_vec();
        before_us(&mut list, |_| false);
        assert_eq!(list, all);
    }

    #[test]
    fn a_name_below_the_domain_is_better_known_than_a_stranger() {
        let domain = "example.org".parse().unwrap();
        let below = "mx.example.org".parse().unwrap();
        let stranger = "mx.example.net".parse().unwrap();
        assert_eq!(anchor(&domain, &below, false), Anchor::RecipientDomain);
        assert_eq!(anchor(&domain, &stranger, false), Anchor::UnsignedDns);
        assert_eq!(anchor(&domain, &stranger, true), Anchor::SecureDns);
    }
}
