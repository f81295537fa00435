//! The lines to gateways: opened as the configuration says, and again when it says otherwise.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use config::model::{FaxGateway, Host};
use t38::sip::{Line, PORT, Settings};
use tokio::sync::watch;

use crate::server::Server;
use crate::snapshot::Snapshot;

/// Between two looks whether the configuration, or an address, has changed.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The lines that are open, by the names of their gateways, and the calls on them.
#[derive(Default)]
pub struct Lines {
    open: Mutex<HashMap<String, Open>>,
    calls: watch::Sender<usize>,
}

/// A call under way, until this is dropped.
pub struct OnCall<'a>(&'a watch::Sender<usize>);

impl Drop for OnCall<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|calls| *calls -= 1);
    }
}

struct Open {
    settings: Settings,
    /// `None` when it could not be opened.
    line: Option<Arc<Line>>,
    /// What stood in the way last; it is not said twice.
    trouble: Option<String>,
}

impl Lines {
    /// Counts a call, so that stopping can wait until what came of it is kept.
    pub fn on_call(&self) -> OnCall<'_> {
        self.calls.send_modify(|calls| *calls += 1);
        OnCall(&self.calls)
    }

    /// Waits until there is no call.
    pub async fn idle(&self) {
        let mut calls = self.calls.subscribe();
        // The other end lives as long as this does.
        let _idle = calls.wait_for(|calls| *calls == 0).await;
    }

    /// The line to a gateway.
    ///
    /// # Errors
    ///
    /// When it is not open; why, in words.
    pub fn get(&self, gateway: &str) -> Result<Arc<Line>> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let open = open.get(gateway).context("the line to the gateway is not open yet")?;
        match (&open.line, &open.trouble) {
            (Some(line), _) => Ok(Arc::clone(line)),
            (None, trouble) => bail!("{}", trouble.as_deref().unwrap_or("the line is not open")),
        }
    }

    /// Whether a line is as these settings say; then there is nothing to do.
    fn is_as(&self, gateway: &str, settings: &Settings) -> bool {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(gateway).is_some_and(|open| open.settings == *settings && open.line.is_some())
    }

    /// Lets go of a line; calls on it go on to their end.
    fn close(&self, gateway: &str) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = open.get_mut(gateway) {
            open.line = None;
        }
    }

    /// Keeps what came of opening a line; gives whether there is something new to say.
    fn set(&self, gateway: &str, settings: Settings, opened: Result<Arc<Line>, String>) -> bool {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let before = open.get(gateway).and_then(|open| open.trouble.clone());
        let (line, trouble) = match opened {
            Ok(line) => (Some(line), None),
            Err(trouble) => (None, Some(trouble)),
        };
        let is_news = before != trouble || line.is_some();
        open.insert(gateway.to_owned(), Open { settings, line, trouble });
        is_news
    }

    fn retain(&self, is_wanted: impl Fn(&str) -> bool) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|name, _| is_wanted(name));
    }
}

/// Keeps the lines as the configuration says, until the server is gone.
pub fn tend(server: &Arc<Server>) {
    let server = Arc::downgrade(server);
    tokio::spawn(async move {
        let mut is_first = true;
        loop {
            let Some(server) = server.upgrade() else { return };
            if *server.stopping().borrow() {
                // Nobody calls a server that goes; calls under way have their own time.
                server.fax_lines.retain(|_| false);
                return;
            }
            if std::mem::take(&mut is_first)
                && let Err(error) = super::receive::after_restart(&server).await
            {
                tracing::error!(error = format!("{error:#}"), "pages that came are still here");
            }
            let snapshot = server.snapshot();
            server.fax_lines.retain(|name| snapshot.config.fax_gateway(name).is_some());
            for gateway in &snapshot.config.fax_gateways {
                look(&server, &snapshot, gateway).await;
            }
            drop((server, snapshot));
            tokio::time::sleep(LOOK_EVERY).await;
        }
    });
}

async fn look(server: &Arc<Server>, snapshot: &Snapshot, gateway: &FaxGateway) {
    let (name, lines) = (&gateway.name.value, &server.fax_lines);
    let settings = match settings(snapshot, gateway).await {
        Ok(settings) => settings,
        Err(error) => {
            // The line that is open is as good as it was before the name could not be looked up.
            tracing::debug!(gateway = name, error = format!("{error:#}"), "no address");
            return;
        }
    };
    if lines.is_as(name, &settings) {
        return;
    }
    lines.close(name);
    let opened = match Line::open(settings.clone()).await {
        Ok((line, mut calls)) => {
            let (server, name) = (Arc::downgrade(server), name.clone());
            tokio::spawn(async move {
                while let Some(call) = calls.recv().await {
                    let Some(server) = server.upgrade() else { return };
                    tokio::spawn(super::receive::answer(server, name.clone(), call));
                }
            });
            Ok(Arc::new(line))
        }
        Err(error) => Err(format!("{} cannot be opened: {error}", settings.listen)),
    };
    let (is_open, trouble) = (opened.is_ok(), opened.as_ref().err().cloned());
    if lines.set(name, settings.clone(), opened) {
        match trouble {
            Some(trouble) => tracing::error!(gateway = name, trouble, "no fax line"),
            None => tracing::info!(gateway = name, at = %settings.listen, is_open, "a fax line"),
        }
    }
}

async fn settings(snapshot: &Snapshot, gateway: &FaxGateway) -> Result<Settings> {
    let target = &gateway.server.value;
    let port = target.port.unwrap_or(PORT);
    let address = match &target.host {
        Host::Address(address) => SocketAddr::new(*address, port),
        Host::Name(name) => {
            let is_like_ours = |found: &SocketAddr| found.is_ipv4() == gateway.listen.is_ipv4();
            tokio::net::lookup_host((name.as_str(), port))
                .await?
                .find(is_like_ours)
                .with_context(|| format!("{name} has no address like {}", gateway.listen.ip()))?
        }
    };
    if !snapshot.egress.allows(address.ip()) {
        bail!("the demo does not connect beyond this machine");
    }
    let credentials = gateway.credentials.as_deref().and_then(|name| snapshot.credentials(name));
    let peers: Vec<IpAddr> = gateway.peers.clone();
    Ok(Settings {
        listen: *gateway.listen,
        gateway: address,
        domain: gateway.domain.clone().unwrap_or_else(|| match &target.host {
            Host::Address(_) => address.to_string(),
            Host::Name(name) => name.to_string(),
        }),
        media_ports: gateway.media_ports.clone(),
        peers,
        calls_max: gateway.calls,
        credentials: credentials
            .map(|found| (found.username().to_owned(), found.password().to_owned())),
    })
}
