//! Where a recipient's mail goes, and what is demanded on the way.

use anyhow::{Context, Result, bail};
use config::model::{self, LmtpTarget};
use delivery::{Approach, Lmtp, MaildirRoute, Route, SmartHost};
use mail::{Domain, Timestamp};
use rules::RelayHost;
use rules::settings::Settings;
use tls::{Demand, Demands, Requirement, Source};

use crate::snapshot::{Snapshot, host};

/// The port of servers that a name alone stands for.
const SMTP_PORT: u16 = 25;
/// The port of LMTP servers (RFC 2033 section 5 forbids 25).
const LMTP_PORT: u16 = 24;

/// The route to `domain` under the rules' settings. `by` is an operator's wish, which goes
/// before everything.
///
/// # Errors
///
/// When the wish cannot be read, or a smart host's credentials are not there.
pub fn choose(
    snapshot: &Snapshot,
    settings: &Settings,
    domain: &Domain,
    by: Option<&str>,
) -> Result<Route> {
    if let Some(wish) = by {
        let target = model::Target::parse(wish)
            .with_context(|| format!("\"{wish}\" is neither HOST nor HOST:PORT"))?;
        return Ok(smart_host(&target));
    }
    if let Some(ours) = snapshot.domain(domain) {
        return Ok(match &*ours.route {
            model::Route::Mailboxes => Route::Maildir(mailboxes(snapshot)),
            model::Route::Maildir(root) => Route::Maildir(MaildirRoute { root: root.clone() }),
            model::Route::Lmtp(LmtpTarget::Unix(path)) => Route::Lmtp(Lmtp::Unix(path.clone())),
            model::Route::Lmtp(LmtpTarget::Tcp(target)) => Route::Lmtp(Lmtp::Tcp {
                host: host(&target.host),
                port: target.port.unwrap_or(LMTP_PORT),
            }),
            model::Route::Fax(account) => Route::Fax(account.clone()),
            model::Route::Smtp(targets) => match &targets[..] {
                [target] => smart_host(target),
                _ => Route::Mx(domain.clone()),
            },
        });
    }
    if snapshot.is_ours(domain) {
        return Ok(Route::Maildir(mailboxes(snapshot)));
    }
    let chosen = settings.relay_host.as_ref().map(|chosen| &*chosen.value);
    match chosen.or(snapshot.config.delivery.relay_host.as_deref()) {
        Some(relay) => relay_host(snapshot, relay),
        None => Ok(Route::Mx(domain.clone())),
    }
}

fn mailboxes(snapshot: &Snapshot) -> MaildirRoute {
    MaildirRoute { root: snapshot.data.join("mail") }
}

fn smart_host(target: &model::Target) -> Route {
    Route::SmartHost(SmartHost::new(host(&target.host), target.port.unwrap_or(SMTP_PORT)))
}

fn relay_host(snapshot: &Snapshot, relay: &RelayHost) -> Result<Route> {
    let credentials = match &relay.credentials {
        Some(name) => match snapshot.credentials(name) {
            Some(credentials) => Some(credentials.clone()),
            None => bail!("there are no credentials \"{name}\" for {}", relay.host),
        },
        None => None,
    };
    Ok(Route::SmartHost(SmartHost {
        implicit_tls: relay.implicit_tls,
        credentials,
        client_certificate: relay.client_certificate.clone(),
        ..SmartHost::new(relay.host.clone(), relay.port)
    }))
}

/// What is demanded of a host about to be contacted: by the rules or the default, by the
/// domain's own route, by Force Encrypt, and by the message itself.
///
/// A password goes only to a smart host that has proved who it is, unless a rule says what
/// protection is enough.
pub fn demands(
    snapshot: &Snapshot,
    settings: &Settings,
    route: &Route,
    require_tls: bool,
    approach: &Approach<'_>,
    now: Timestamp,
) -> Demands {
    let mut demands = match snapshot.domain(approach.domain) {
        Some(ours) => {
            let source = Source::SmartHost { host: approach.host.to_owned() };
            Demands::new().and(source, Requirement::at(*ours.encryption))
        }
        None => {
            let host = Domain::parse(approach.host).ok();
            snapshot.policy.demands(settings, approach.domain, host.as_ref(), approach.ip, now)
        }
    };
    if let Route::SmartHost(SmartHost { host, credentials: Some(_), .. }) = route
        && !settings
            .relay_encryption
            .as_ref()
            .is_some_and(|chosen| snapshot.policy.is_written(chosen.by))
    {
        let source = Source::SmartHost { host: host.to_string() };
        demands.push(Demand::new(source, Requirement::authenticated()));
    }
    let versions = *snapshot.config.delivery.tls_versions;
    if versions != tls::Versions::ALL {
        demands.push(Demand::new(Source::Default, Requirement::none().with_versions(versions)));
    }
    if require_tls {
        demands.push(Demand::require_tls());
    }
    demands
}
