//! From a listening socket to sessions.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use flow::rate::TooOften;
use flow::{Incident, Standing};
use mail::Timestamp;
use smtp::server::{Channel, Session};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::connection::Connection;
use crate::conversation::{self, Conversation};
use crate::listener::{self, Crowded};
use crate::metrics::Metrics;
use crate::proxy;
use crate::server::Server;
use crate::site::Site;
use crate::snapshot::Snapshot;
use crate::stream::Stream;
use crate::webhooks;

/// How long a client that is turned away may take to read why.
const FAREWELL: Duration = Duration::from_secs(2);
/// Told to a client that connects too often.
const TOO_OFTEN: &str = "421 4.7.0 Too many connections from your network, try again later\r\n";
/// How long a scraper may take to ask.
const SCRAPE: Duration = Duration::from_secs(10);
/// The longest request of a scraper.
const SCRAPE_MAX_OCTETS: usize = 8 * 1024;

/// Accepts connections of one listener until the task is aborted. `site` changes
/// with the configuration; sessions keep the one they began with.
pub async fn accept(server: Arc<Server>, listener: TcpListener, site: watch::Receiver<Arc<Site>>) {
    loop {
        let (stream, peer) = listener::accept(&listener).await;
        let site = Arc::clone(&site.borrow());
        Metrics::count(&server.metrics.connections, &site.name);
        tokio::spawn(welcome(Arc::clone(&server), site, stream, peer));
    }
}

/// Finds out who connects, checks the limits, and serves.
async fn welcome(
    server: Arc<Server>,
    site: Arc<Site>,
    mut stream: TcpStream,
    mut peer: SocketAddr,
) {
    if site.is_balancer(peer.ip()) {
        match proxy::read_header(&mut stream).await {
            Ok(Some(client)) => peer = client,
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(balancer = %peer.ip(), %error, "no PROXY header");
                return;
            }
        }
    }
    if !site.serves(peer.ip()) {
        Metrics::count(&server.metrics.turned_away, "network");
        return turn_away(stream, &site, "554 5.7.1 This service is not for your network\r\n")
            .await;
    }
    let now = Timestamp::now();
    let snapshot = server.snapshot();
    let standing = server.guard.standing(&snapshot.flow, peer.ip(), now);
    match standing {
        Some(standing @ (Standing::Denied | Standing::Banned)) => {
            let text = not_served(&snapshot, &site, peer, standing);
            let kind = conversation::standing_word(standing).word();
            Metrics::count(&server.metrics.turned_away, kind);
            tracing::debug!(ip = %peer.ip(), kind, "turned away");
            return turn_away(stream, &site, &text).await;
        }
        None => {
            if let Err(which) = server.guard.connect(&snapshot.flow, peer.ip(), now) {
                let kind = match which {
                    TooOften::Client => "client-rate",
                    TooOften::Neighbours => "network-rate",
                };
                Metrics::count(&server.metrics.turned_away, kind);
                server.note_incident(&snapshot, peer.ip(), site.service(), Incident::Flood);
                return turn_away(stream, &site, TOO_OFTEN).await;
            }
        }
        Some(Standing::Friendly) => {}
    }
    let limits = &site.listener().limits;
    let place =
        site.occupancy.enter(peer.ip(), *limits.connections, *limits.connections_per_network);
    let _place = match place {
        Ok(place) => place,
        Err(crowded) => {
            let (limit, text) = match crowded {
                Crowded::Listener => {
                    ("listener", "421 4.3.2 Too many connections, try again later\r\n")
                }
                Crowded::Network => (
                    "network-limit",
                    "421 4.7.0 Too many connections from your network, try again later\r\n",
                ),
            };
            Metrics::count(&server.metrics.turned_away, limit);
            return turn_away(stream, &site, text).await;
        }
    };
    let _counted = Counted::new(&server);
    let outcome = if site.is_metrics() {
        scrape(&server, stream).await
    } else if site.takes_webhooks() {
        take_webhook(&server, &site, stream).await
    } else {
        serve(Arc::clone(&server), site, stream, peer, standing).await
    };
    if let Err(error) = outcome {
        tracing::debug!(ip = %peer.ip(), %error, "a connection ended early");
    }
}

/// Says why, where that can be said in the clear, and closes.
async fn turn_away(mut stream: TcpStream, site: &Site, text: &str) {
    if !site.is_implicit() {
        let _ = timeout(FAREWELL, stream.write_all(text.as_bytes())).await;
    }
    let _ = timeout(FAREWELL, stream.shutdown()).await;
}

/// What a client is told that is denied or banned: the words of the built-in rule.
fn not_served(snapshot: &Snapshot, site: &Site, peer: SocketAddr, standing: Standing) -> String {
    let flow = rules::FlowFacts {
        standing: Some(conversation::standing_word(standing)),
        ..rules::FlowFacts::default()
    };
    let facts = rules::Facts {
        now: Some(rules::Moment(Timestamp::now())),
        listener: Some(site.name.clone()),
        client_ip: Some(peer.ip()),
        flow: Some(flow),
        ..rules::Facts::default()
    };
    let decision = snapshot.policy.decide(&facts, rules::Stage::Connect);
    match decision.outcome.refusal() {
        Some(response) => format!("{} {} {}\r\n", response.code, response.status, response.text),
        None => "554 5.7.1 Not served\r\n".to_owned(),
    }
}

async fn serve(
    server: Arc<Server>,
    site: Arc<Site>,
    stream: TcpStream,
    peer: SocketAddr,
    standing: Option<Standing>,
) -> std::io::Result<()> {
    let mut conversation =
        Box::new(Conversation::new(Arc::clone(&server), Arc::clone(&site), peer, standing));
    let (stream, channel) = match &site.tls {
        Some(tls) if site.is_implicit() => {
            match Box::pin(tls.accept(stream, Timestamp::now())).await {
                Ok((stream, handshake)) => {
                    conversation.encrypted(handshake, tls::Binding::of(&stream));
                    (Stream::Tls(Box::new(stream)), Channel::Tls)
                }
                Err(failure) => {
                    conversation.handshake_failed(&failure);
                    return Ok(());
                }
            }
        }
        Some(_) | None => (Stream::Plain(stream), Channel::Clear),
    };
    let connection = Connection {
        stream,
        session: Session::new(Arc::clone(&site.settings), channel),
        conversation,
        tls: site.tls.clone(),
        patience: site.patience.clone(),
        stopping: server.stopping(),
    };
    connection.serve().await
}

/// Takes one webhook, under TLS where the listener has it.
async fn take_webhook(server: &Server, site: &Site, stream: TcpStream) -> std::io::Result<()> {
    let Some(tls) = &site.tls else { return webhooks::serve(server, stream).await };
    match Box::pin(tls.accept(stream, Timestamp::now())).await {
        Ok((stream, _handshake)) => webhooks::serve(server, stream).await,
        Err(failure) => {
            tracing::debug!(listener = %site.name, %failure, "no handshake for a webhook");
            Ok(())
        }
    }
}

/// Answers one HTTP request with the page of metrics.
async fn scrape(server: &Server, mut stream: TcpStream) -> std::io::Result<()> {
    let mut request = Vec::new();
    let asked = timeout(SCRAPE, async {
        let mut piece = [0; 1024];
        while !request.windows(4).any(|end| end == b"\r\n\r\n") && request.len() < SCRAPE_MAX_OCTETS
        {
            match stream.read(&mut piece).await? {
                0 => break,
                read => request.extend_from_slice(&piece[..read]),
            }
        }
        std::io::Result::Ok(())
    });
    asked.await??;
    let (status, kind, page) = if request.starts_with(b"GET /metrics ") {
        let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        ("200 OK", kind, server.metrics.page())
    } else {
        ("404 Not Found", "text/plain", "Ask for /metrics\n".to_owned())
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        page.len()
    );
    timeout(SCRAPE, async {
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(page.as_bytes()).await?;
        stream.shutdown().await
    })
    .await?
}

/// A session that is counted while it lasts.
struct Counted<'a>(&'a Server);

impl<'a> Counted<'a> {
    fn new(server: &'a Server) -> Self {
        server.metrics.open.inc();
        server.sessions().send_modify(|open| *open += 1);
        Self(server)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.metrics.open.dec();
        self.0.sessions().send_modify(|open| *open = open.saturating_sub(1));
    }
}
