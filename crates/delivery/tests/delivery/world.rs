//! An agent whose internet is the lab.

use std::sync::Arc;
use std::time::Duration;

use delivery::{
    Agent, Approach, Attempt, Content, Egress, Families, Job, Outcome, Pace, Resolver,
    ResolverSettings, Route, Settings, Timeouts, Trouble,
};
use lab::World;
use mail::{Domain, Envelope, Recipient, ReversePath};
use tls::{Client, Demands, Identity, Requirement, Roots};

pub const BODY: &str = "From: ann@clinic.test\r\nSubject: Results\r\n\r\nAll is well.\r\n";

/// Mail from `ann@clinic.test` through the demo's world.
pub struct Internet {
    pub world: World,
    pub agent: Agent,
}

impl Internet {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let world = World::start("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let agent = agent(&world, None, change);
        Self { world, agent }
    }
}

pub fn agent(
    world: &World,
    identity: Option<Arc<Identity>>,
    change: impl FnOnce(&mut Settings),
) -> Agent {
    let mut settings = settings();
    settings.mx_port = world.port().expect("the partners share a port");
    change(&mut settings);
    let resolver = Resolver::new(ResolverSettings {
        servers: vec![world.dns().address()],
        timeout: Duration::from_millis(300),
        retries: 0,
        ..ResolverSettings::default()
    })
    .unwrap();
    agent_with(settings, resolver, &[world.authority().pem()], identity)
}

pub fn settings() -> Settings {
    let mut settings = Settings::new("mail.clinic.test".parse().unwrap());
    settings.egress = Egress::LoopbackOnly;
    settings.ourselves.loopback_is_us = false;
    settings.families = Families::Ipv4First;
    settings.timeouts = Timeouts {
        connect: Duration::from_secs(2),
        greeting: Duration::from_secs(2),
        hello: Duration::from_secs(2),
        handshake: Duration::from_secs(2),
        ..Timeouts::default()
    };
    settings.pace = Pace { concurrency_start: 50, concurrency_max: 50, ..Pace::default() };
    settings
}

pub fn agent_with(
    settings: Settings,
    resolver: Resolver,
    authorities: &[String],
    identity: Option<Arc<Identity>>,
) -> Agent {
    let client = Client::new(Arc::new(Roots::only(authorities).unwrap()));
    let certificates = move |name: &str| identity.clone().filter(|_| name == "ours");
    Agent::new(settings, resolver, Arc::new(client), Arc::new(certificates))
}

pub fn demanding(requirement: Requirement) -> impl Fn(&Approach<'_>) -> Demands + Send + Sync {
    move |_: &Approach<'_>| Demands::by_default(requirement.clone())
}

pub fn opportunistic() -> impl Fn(&Approach<'_>) -> Demands + Send + Sync {
    demanding(Requirement::opportunistic())
}

pub fn encrypted() -> impl Fn(&Approach<'_>) -> Demands + Send + Sync {
    demanding(Requirement::encrypted())
}

pub fn envelope(recipients: &[&str]) -> Envelope {
    let mut envelope = Envelope::from(ReversePath::Address("ann@clinic.test".parse().unwrap()));
    envelope.recipients = recipients.iter().map(|r| Recipient::new(r.parse().unwrap())).collect();
    envelope
}

/// A message for `recipients`, by the exchangers of the first one's domain.
pub fn job(recipients: &[&str]) -> Job {
    let envelope = envelope(recipients);
    let domain: Domain = envelope.recipients[0].address.domain().clone();
    Job {
        route: Route::Mx(domain.clone()),
        domain,
        envelope,
        content: Content::in_memory(&b""[..], BODY.as_bytes()),
    }
}

pub fn by(route: Route, recipients: &[&str]) -> Job {
    Job { route, ..job(recipients) }
}

/// The only recipient's outcome.
pub fn only(attempt: &Attempt) -> &Outcome {
    let [outcome] = &attempt.outcomes[..] else { panic!("not one recipient: {attempt:?}") };
    outcome
}

/// The only recipient's trouble.
pub fn trouble(attempt: &Attempt) -> &Trouble {
    only(attempt).trouble().unwrap_or_else(|| panic!("delivered: {attempt:?}"))
}

pub fn status(attempt: &Attempt) -> String {
    only(attempt).status().to_string()
}

/// A smart host that does what `play` says with its first connection.
pub async fn raw<F, P>(play: P) -> Route
where
    P: FnOnce(tokio::net::TcpStream) -> F + Send + 'static,
    F: Future<Output = ()> + Send,
{
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        play(stream).await;
    });
    Route::SmartHost(delivery::SmartHost::new(address.ip().into(), address.port()))
}
