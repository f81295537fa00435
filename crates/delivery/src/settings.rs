//! How the delivery agent behaves, whatever the destination.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use mail::{Domain, Timestamp};

/// How long each step may take (RFC 5321 section 4.5.3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    /// Until a TCP connection stands.
    pub connect: Duration,
    /// Until the greeting: 5 minutes.
    pub greeting: Duration,
    /// Until the reply to EHLO, STARTTLS, AUTH: 5 minutes.
    pub hello: Duration,
    /// Until TLS stands.
    pub handshake: Duration,
    /// Until the reply to MAIL: 5 minutes.
    pub mail: Duration,
    /// Until the reply to RCPT: 5 minutes.
    pub rcpt: Duration,
    /// Until the reply to DATA: 2 minutes.
    pub data_start: Duration,
    /// Until a piece of content is written: 3 minutes.
    pub data_block: Duration,
    /// Until the reply to the end of the data: 10 minutes. Shorter means duplicates (RFC 1047).
    pub data_end: Duration,
    /// Until the reply to RSET or QUIT.
    pub quit: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(30),
            greeting: Duration::from_secs(300),
            hello: Duration::from_secs(300),
            handshake: Duration::from_secs(60),
            mail: Duration::from_secs(300),
            rcpt: Duration::from_secs(300),
            data_start: Duration::from_secs(120),
            data_block: Duration::from_secs(180),
            data_end: Duration::from_secs(600),
            quit: Duration::from_secs(5),
        }
    }
}

/// Where connections may go at all. Enforced where they are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Egress {
    /// Anywhere.
    #[default]
    Anywhere,
    /// To loopback addresses alone: the demo.
    LoopbackOnly,
}

impl Egress {
    /// Whether a connection to `ip` may be made.
    pub fn allows(self, ip: IpAddr) -> bool {
        match self {
            Self::Anywhere => true,
            Self::LoopbackOnly => ip.to_canonical().is_loopback(),
        }
    }
}

/// Which addresses are tried, and which first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Families {
    /// IPv6 first, then IPv4.
    #[default]
    Ipv6First,
    /// IPv4 first, then IPv6.
    Ipv4First,
    /// IPv4 alone.
    Ipv4Only,
    /// IPv6 alone.
    Ipv6Only,
}

/// Who we are, so that mail does not come back to us by MX (RFC 5321 section 5.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ourselves {
    /// Our host names.
    pub names: HashSet<Domain>,
    /// Our own addresses.
    pub addresses: HashSet<IpAddr>,
    /// Whether a mail exchanger at a loopback or unspecified address counts as
    /// us. On, except where tests and the demo use loopback as their internet.
    pub loopback_is_us: bool,
}

impl Ourselves {
    /// Whether a mail exchanger at `ip` is us.
    pub fn is_at(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.addresses.contains(&ip)
            || self.loopback_is_us && (ip.is_loopback() || ip.is_unspecified())
    }
}

/// Connections kept and shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolSettings {
    /// How long an unused connection is kept.
    pub idle: Duration,
    /// The most messages over one connection.
    pub messages_max: u32,
    /// The most unused connections kept for one host.
    pub idle_per_host_max: usize,
    /// The most unused connections kept in all.
    pub idle_max: usize,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(10),
            messages_max: 1_000,
            idle_per_host_max: 20,
            idle_max: 500,
        }
    }
}

/// How hard one destination is pressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pace {
    /// Attempts at once to a destination we know nothing of.
    pub concurrency_start: usize,
    /// Attempts at once that success may lead to.
    pub concurrency_max: usize,
    /// Messages a minute to one destination; `None` for no limit.
    pub messages_per_minute: Option<u32>,
    /// The most recipients in one transaction (RFC 5321 section 4.5.3.1.8 lets a server stop at 100).
    pub recipients_max: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            concurrency_start: 5,
            concurrency_max: 20,
            messages_per_minute: None,
            recipients_max: 100,
        }
    }
}

/// All of it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The name we give in EHLO.
    pub hello: Domain,
    /// Each step's patience.
    pub timeouts: Timeouts,
    /// Where connections may go.
    pub egress: Egress,
    /// Which address families.
    pub families: Families,
    /// Who we are.
    pub ourselves: Ourselves,
    /// The port of mail exchangers: 25.
    pub mx_port: u16,
    /// The address connections come from, where it matters.
    pub source_ipv4: Option<Ipv4Addr>,
    /// The same for IPv6.
    pub source_ipv6: Option<Ipv6Addr>,
    /// Kept connections.
    pub pool: PoolSettings,
    /// Limits for each destination.
    pub pace: Pace,
    /// The clock that times attempts.
    pub now: fn() -> Timestamp,
}

impl Settings {
    /// The defaults, for a server that calls itself `hello`.
    pub fn new(hello: Domain) -> Self {
        let ourselves = Ourselves {
            names: HashSet::from([hello.clone()]),
            addresses: HashSet::new(),
            loopback_is_us: true,
        };
        Self {
            hello,
            timeouts: Timeouts::default(),
            egress: Egress::default(),
            families: Families::default(),
            ourselves,
            mx_port: 25,
            source_ipv4: None,
            source_ipv6: None,
            pool: PoolSettings::default(),
            pace: Pace::default(),
            now: Timestamp::now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_reaches_loopback_alone() {
        for (ip, allowed) in [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("0.0.0.0", false),
            ("::", false),
            ("192.0.2.1", false),
            ("10.0.0.1", false),
            ("2001:db8::1", false),
            ("::ffff:192.0.2.1", false),
        ] {
            assert_eq!(Egress::LoopbackOnly.allows(ip.parse().unwrap()), allowed, "{ip}");
        }
    }

    #[test]
    fn an_exchanger_on_loopback_is_us_unless_told_otherwise() {
        let mut ourselves = Ourselves { loopback_is_us: true, ..Ourselves::default() };
        ourselves.addresses.insert("192.0.2.7".parse().unwrap());
        assert!(ourselves.is_at("127.0.0.2".parse().unwrap()));
        assert!(ourselves.is_at("0.0.0.0".parse().unwrap()));
        assert!(ourselves.is_at("::ffff:192.0.2.7".parse().unwrap()));
        assert!(!ourselves.is_at("192.0.2.8".parse().unwrap()));
        ourselves.loopback_is_us = false;
        assert!(!ourselves.is_at("127.0.0.2".parse().unwrap()));
    }
}
