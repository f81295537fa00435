//! Looking at a destination without sending anything.

use mail::{Domain, Timestamp};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use tls::Verdict;

use crate::agent::Agent;
use crate::demander::{Approach, Demander};
use crate::dial::{Errand, NoWay};
use crate::outcome::{Cause, Trouble};
use crate::plan::{Plan, Target};
use crate::route::Route;
use crate::tally::join;

/// What would happen to a message for a domain, as far as connections show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// The recipients' domain.
    pub domain: Domain,
    /// When the look was taken.
    pub at: Timestamp,
    /// Why there is no host to ask, if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_host: Option<Trouble>,
    /// Every host, in the order in which a message would try them.
    pub hosts: Vec<Probed>,
}

/// What one host showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probed {
    /// Its name; a path for a Unix socket.
    pub host: String,
    /// Where it was reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<SocketAddr>,
    /// Its name and address came from DNSSEC-signed records that validated.
    pub dns_secure: bool,
    /// Its greeting, without the code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub greeting: Option<String>,
    /// What its EHLO offers at last, under TLS where that came about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub offers: Vec<String>,
    /// The protection demanded and found, where it came so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Why it would not get a message. `None`: it would.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
}

impl Probe {
    /// Why a message could not be sent now. `None` if some host would get it.
    /// Permanent only if no host leaves hope.
    pub fn trouble(&self) -> Option<Trouble> {
        if let Some(trouble) = &self.no_host {
            return Some(trouble.clone());
        }
        let mut joined = None;
        for host in &self.hosts {
            joined = Some(join(joined, host.trouble.clone()?));
        }
        joined
    }

    /// Whether mail for the domain is known to be impossible under the demanded
    /// protection: every host answered and none can. Then a recipient is refused
    /// at RCPT already.
    pub fn is_impossible(&self) -> bool {
        self.trouble().is_some_and(|trouble| {
            trouble.cause == Cause::Protection && !trouble.status.is_temporary()
        })
    }
}

impl Agent {
    /// Connects to every host that a message for `domain` by `route` would try,
    /// goes as far as TLS and sign-in, and says QUIT. No envelope is sent.
    pub async fn probe(&self, domain: &Domain, route: &Route, demander: &dyn Demander) -> Probe {
        let inner = self.inner();
        let mut probe = Probe {
            domain: domain.clone(),
            at: inner.dialler.now(),
            no_host: None,
            hosts: Vec::new(),
        };
        if matches!(route, Route::Maildir(_) | Route::Fax(_)) {
            return probe;
        }
        match Plan::new(route, &inner.resolver, &inner.settings).await {
            Ok(plan) => {
                for target in &plan.targets {
                    probe.hosts.push(self.probe_host(domain, route, target, demander).await);
                }
            }
            Err(trouble) => probe.no_host = Some(trouble),
        }
        probe
    }

    async fn probe_host(
        &self,
        domain: &Domain,
        route: &Route,
        target: &Target,
        demander: &dyn Demander,
    ) -> Probed {
        let inner = self.inner();
        let demands = demander.demands(&Approach {
            domain,
            host: target.host.as_str(),
            ip: target.place.address().map(|address| address.ip()),
            dns_secure: target.dns_secure,
        });
        let mut probed = Probed {
            host: target.name(),
            address: target.place.address(),
            dns_secure: target.dns_secure,
            greeting: None,
            offers: Vec::new(),
            verdict: None,
            trouble: None,
        };
        let (credentials, identity) = match inner.sign_in_of(route) {
            Ok(ours) => ours,
            Err(trouble) => return Probed { trouble: Some(trouble), ..probed },
        };
        let errand = Errand { target, domain, demands: &demands, credentials, identity };
        match inner.dialler.dial(&errand).await {
            Ok(ready) => {
                let (link, verdict) = ready.into_parts();
                let session = link.session();
                probed.greeting = session.greeting().map(|reply| reply.text().to_owned());
                probed.offers = session.extensions().to_lines();
                probed.verdict = Some(verdict);
                link.quit().await;
            }
            Err(no_way) => {
                let NoWay { trouble, verdict } = *no_way;
                probed.trouble = Some(trouble);
                probed.verdict = verdict.map(|verdict| *verdict);
            }
        }
        probed
    }
}
