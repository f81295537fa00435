//! What DNS says, and what it means for the message.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::world::settings;
use delivery::{
    Cause, Egress, Families, Plan, Resolver, ResolverSettings, Route, Settings, Trouble,
};
use lab::{Behaviour, Dns, Records};
use mail::Domain;

fn records() -> Records {
    Records::new()
        .ttl(0)
        .mx("two.test", 20, "mx2.two.test")
        .mx("two.test", 10, "mx1.two.test")
        .a("mx1.two.test", Ipv4Addr::new(127, 0, 0, 11))
        .aaaa("mx1.two.test", std::net::Ipv6Addr::LOCALHOST)
        .a("mx2.two.test", Ipv4Addr::new(127, 0, 0, 12))
        .a("implicit.test", Ipv4Addr::new(127, 0, 0, 13))
        .null_mx("null.test")
        .txt("empty.test", "no mail here")
        .mx("dangling.test", 10, "mx.nowhere.test")
        .mx("half.test", 10, "mx.nowhere.test")
        .mx("half.test", 20, "mx2.two.test")
        .mx("unsure.test", 10, "mx.broken.test")
        .behave("mx.broken.test", Behaviour::ServFail)
        .behave("broken.test", Behaviour::ServFail)
        .behave("refused.test", Behaviour::Refused)
        .behave("silent.test", Behaviour::Silent)
        .mx("loop.test", 10, "mail.clinic.test")
        .mx("backup.test", 10, "mx1.two.test")
        .mx("backup.test", 20, "mail.clinic.test")
        .mx("backup.test", 30, "mx2.two.test")
        .cname("alias.test", "two.test")
        .mx("long.test", 10, "mx1.two.test")
        .behave("long.test", Behaviour::Truncated)
}

async fn resolver() -> (Dns, Resolver) {
    let dns = Dns::start("127.0.0.1:0".parse().unwrap(), records()).await.unwrap();
    let resolver = Resolver::new(ResolverSettings {
        servers: vec![dns.address()],
        timeout: Duration::from_millis(300),
        retries: 0,
        ..ResolverSettings::default()
    })
    .unwrap();
    (dns, resolver)
}

async fn plan(domain: &str, resolver: &Resolver, settings: &Settings) -> Result<String, Trouble> {
    let route = Route::Mx(domain.parse().unwrap());
    let plan = Plan::new(&route, resolver, settings).await?;
    let places: Vec<_> = plan.targets.iter().map(|t| format!("{} {}", t.host, t.place)).collect();
    Ok(places.join(", "))
}

#[tokio::test]
async fn exchangers_are_tried_in_order_and_all_their_addresses() {
    let (_dns, resolver) = resolver().await;
    let mut settings = settings();
    let v4_first = "mx1.two.test 127.0.0.11:25, mx1.two.test [::1]:25, mx2.two.test 127.0.0.12:25";
    assert_eq!(plan("two.test", &resolver, &settings).await.unwrap(), v4_first);
    assert_eq!(plan("alias.test", &resolver, &settings).await.unwrap(), v4_first);
    settings.families = Families::Ipv6First;
    assert_eq!(
        plan("two.test", &resolver, &settings).await.unwrap(),
        "mx1.two.test [::1]:25, mx1.two.test 127.0.0.11:25, mx2.two.test 127.0.0.12:25"
    );
    settings.families = Families::Ipv4Only;
    assert_eq!(
        plan("long.test", &resolver, &settings).await.unwrap(),
        "mx1.two.test 127.0.0.11:25",
        "asked again over TCP"
    );
    assert_eq!(
        plan("implicit.test", &resolver, &settings).await.unwrap(),
        "implicit.test 127.0.0.13:25"
    );
    assert_eq!(
        plan("half.test", &resolver, &settings).await.unwrap(),
        "mx2.two.test 127.0.0.12:25"
    );
    assert_eq!(
        plan("[127.0.0.9]", &resolver, &settings).await.unwrap(),
        "[127.0.0.9] 127.0.0.9:25"
    );
}

#[tokio::test]
async fn no_mail_is_told_apart_from_no_answer() {
    let (_dns, resolver) = resolver().await;
    let settings = settings();
    for (domain, status) in [
        ("nowhere.test", "5.1.2"),
        ("null.test", "5.1.10"),
        ("empty.test", "5.4.4"),
        ("dangling.test", "5.4.4"),
        ("unsure.test", "4.4.3"),
        ("broken.test", "4.4.3"),
        ("refused.test", "4.4.3"),
        ("silent.test", "4.4.3"),
        ("loop.test", "5.4.6"),
    ] {
        let trouble = plan(domain, &resolver, &settings).await.unwrap_err();
        assert_eq!(trouble.status.to_string(), status, "{domain}: {trouble}");
    }
}

#[tokio::test]
async fn mail_is_not_passed_to_exchangers_behind_us() {
    let (_dns, resolver) = resolver().await;
    let mut settings = settings();
    settings.families = Families::Ipv4Only;
    let before_us = "mx1.two.test 127.0.0.11:25";
    assert_eq!(plan("backup.test", &resolver, &settings).await.unwrap(), before_us);
    settings.ourselves.addresses.insert("127.0.0.12".parse().unwrap());
    assert_eq!(plan("two.test", &resolver, &settings).await.unwrap(), before_us);
    settings.ourselves.loopback_is_us = true;
    let trouble = plan("two.test", &resolver, &settings).await.unwrap_err();
    assert_eq!(trouble.cause, Cause::Loop);
}

#[tokio::test]
async fn a_time_to_live_of_zero_is_honoured_and_others_until_flushed() {
    let (dns, resolver) = resolver().await;
    let settings = settings();
    let is_at = |place: Result<String, Trouble>, octet: u8| {
        let place = place.unwrap();
        assert!(place.contains(&format!("127.0.0.{octet}:25")), "{place}");
    };
    is_at(plan("implicit.test", &resolver, &settings).await, 13);
    let moved =
        |ttl, octet| Records::new().ttl(ttl).a("implicit.test", Ipv4Addr::new(127, 0, 0, octet));
    dns.replace(moved(0, 14)).unwrap();
    is_at(plan("implicit.test", &resolver, &settings).await, 14);
    dns.replace(moved(3600, 15)).unwrap();
    is_at(plan("implicit.test", &resolver, &settings).await, 15);
    dns.replace(moved(3600, 16)).unwrap();
    is_at(plan("implicit.test", &resolver, &settings).await, 15);
    resolver.flush();
    is_at(plan("implicit.test", &resolver, &settings).await, 16);
}

#[tokio::test]
async fn configuration_comes_before_dns() {
    let host: Domain = "mx.inside.test".parse().unwrap();
    let exchanger =
        delivery::ExchangerOverride { preference: 10, host: host.clone(), port: Some(2525) };
    let mut given = ResolverSettings {
        servers: vec!["127.0.0.1:1".parse().unwrap()],
        ..ResolverSettings::default()
    };
    given.hosts.insert(host, vec!["127.0.0.7".parse().unwrap()]);
    given.exchangers.insert("inside.test".parse().unwrap(), vec![exchanger]);
    let resolver = Resolver::new(given).unwrap();
    let mut settings = settings();
    // Whoever writes a loopback address into the configuration means it.
    for loopback_is_us in [false, true] {
        settings.ourselves.loopback_is_us = loopback_is_us;
        assert_eq!(
            plan("inside.test", &resolver, &settings).await.unwrap(),
            "mx.inside.test 127.0.0.7:2525"
        );
        assert_eq!(
            plan("mx.inside.test", &resolver, &settings).await.unwrap(),
            "mx.inside.test 127.0.0.7:25"
        );
    }
}

#[tokio::test]
async fn the_demo_sends_nothing_beyond_loopback() {
    let mut given = ResolverSettings::default();
    given.hosts.insert("far.test".parse().unwrap(), vec!["192.0.2.1".parse().unwrap()]);
    let resolver = Resolver::new(given).unwrap();
    let settings = settings();
    assert_eq!(settings.egress, Egress::LoopbackOnly);
    let agent = crate::world::agent_with(settings, resolver, &[], None);
    let attempt =
        agent.attempt(&crate::world::job(&["bob@far.test"]), &crate::world::opportunistic()).await;
    assert_eq!(crate::world::trouble(&attempt).cause, Cause::Egress);
    assert!(!crate::world::only(&attempt).is_temporary());
}

#[tokio::test]
async fn what_does_not_validate_is_no_answer() {
    let dns = Dns::start("127.0.0.1:0".parse().unwrap(), records()).await.unwrap();
    let resolver = Resolver::new(ResolverSettings {
        servers: vec![dns.address()],
        timeout: Duration::from_millis(300),
        retries: 0,
        validate: true,
        ..ResolverSettings::default()
    })
    .unwrap();
    // Nothing here is signed, and the root's key says that everything should be.
    for domain in ["two.test", "implicit.test", "nowhere.test"] {
        let trouble = plan(domain, &resolver, &settings()).await.unwrap_err();
        assert_eq!(trouble.status.to_string(), "4.4.3", "{domain}: {trouble}");
    }
}
