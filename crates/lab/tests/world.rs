//! The demo's world, asked through a real resolver and visited by a raw client.

mod client;

use std::net::SocketAddr;
use std::time::Duration;

use client::{connect, trusting};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use lab::dns::RecordType;
use lab::world::{SMARTHOST_PASSWORD, SMARTHOST_USER};
use lab::{Behaviour, Dns, Records, World};

const ANYWHERE: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

fn resolver(address: SocketAddr) -> TokioResolver {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    let server = NameServerConfig::new(address.ip(), true, connections.into());
    let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    builder.options_mut().timeout = Duration::from_millis(300);
    builder.options_mut().attempts = 0;
    builder.build().unwrap()
}

async fn lookup(resolver: &TokioResolver, name: &str, kind: RecordType) -> Vec<String> {
    match resolver.lookup(name, kind).await {
        Ok(found) => found.answers().iter().map(|record| record.data.to_string()).collect(),
        Err(error) => vec![format!("error: {error}")],
    }
}

#[tokio::test]
async fn a_resolver_finds_the_partners_and_a_client_reaches_them() {
    let world = World::start(ANYWHERE.into()).await.unwrap();
    let resolver = resolver(world.dns().address());
    assert_eq!(lookup(&resolver, "partner.test.", RecordType::MX).await, ["10 mx.partner.test."]);
    assert_eq!(
        lookup(&resolver, "twomx.test.", RecordType::MX).await.len(),
        2,
        "both servers of twomx.test"
    );
    let partner = world.partner("partner.test").unwrap();
    assert_eq!(
        lookup(&resolver, "mx.partner.test.", RecordType::A).await,
        [partner.address().ip().to_string()]
    );
    let mut client = connect(partner.address()).await;
    client.talk(&[("", "220"), ("EHLO client.test", "250"), ("STARTTLS", "220")]).await;
    let config = trusting(world.authority(), None);
    client.encrypt(config, "mx.partner.test").await.unwrap();
    assert_eq!(world.servers().count(), 18);
    let routes = world.routes();
    assert_eq!(routes["partner.test"], [("mx.partner.test", partner.address())]);
    let names: Vec<&str> = routes["twomx.test"].iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["mx1.twomx.test", "mx2.twomx.test"]);
    assert!(world.partner("smarthost.test").is_some());
    assert!(!SMARTHOST_USER.is_empty() && SMARTHOST_PASSWORD.len() >= 12);
}

#[tokio::test]
async fn names_misbehave_as_told_and_while_running() {
    let records = Records::new()
        .ttl(0)
        .a("host.test", [127, 0, 0, 3])
        .txt("host.test", &"long ".repeat(400))
        .behave("broken.test", Behaviour::ServFail)
        .behave("silent.test", Behaviour::Silent)
        .a("tcp.test", [127, 0, 0, 4])
        .behave("tcp.test", Behaviour::Truncated)
        .null_mx("nomail.test")
        .tlsa("_25._tcp.host.test", 3, 1, 1, &[7; 32]);
    let dns = Dns::start(ANYWHERE.into(), records).await.unwrap();
    let resolver = resolver(dns.address());
    let first = |found: Vec<String>| found.into_iter().next().unwrap_or_default();
    let kind = RecordType::A;
    assert_eq!(first(lookup(&resolver, "host.test.", kind).await), "127.0.0.3");
    assert_eq!(first(lookup(&resolver, "tcp.test.", kind).await), "127.0.0.4");
    assert!(dns.asked().iter().any(|asked| asked.name == "tcp.test" && asked.tcp));
    assert_eq!(first(lookup(&resolver, "nomail.test.", RecordType::MX).await), "0 .");
    let text = first(lookup(&resolver, "host.test.", RecordType::TXT).await);
    assert!(text.len() >= 2_000, "{} octets over TCP", text.len());
    for (name, wanted) in
        [("broken.test.", "failure"), ("silent.test.", "timed out"), ("none.test.", "no records")]
    {
        let found = first(lookup(&resolver, name, kind).await).to_lowercase();
        assert!(found.contains("error") && found.contains(wanted), "{name}: {found}");
    }
    dns.update(Records::new().ttl(0).a("host.test", [127, 0, 0, 5])).unwrap();
    assert_eq!(first(lookup(&resolver, "host.test.", kind).await), "127.0.0.5");
    dns.behave("host.test", Behaviour::NxDomain).unwrap();
    assert!(first(lookup(&resolver, "host.test.", kind).await).contains("error"));
}
