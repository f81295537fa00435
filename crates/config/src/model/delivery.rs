//! How mail waits and how it leaves.

use std::net::IpAddr;
use std::time::Duration;

use crate::located::Located;

/// `queue { }`
#[derive(Debug, Clone, PartialEq)]
pub struct Queue {
    /// Waits between attempts; the last repeats. Never none.
    pub retry: Located<Vec<Duration>>,
    /// How far a wait is moved at random, in percent of it.
    pub jitter_percent: Located<u32>,
    /// After this a message that still waits is returned.
    pub lifetime: Located<Duration>,
    /// The same for messages from the null sender.
    pub bounce_lifetime: Located<Duration>,
    /// When the sender is first told that a message waits; `None` for never.
    pub delay_notice: Located<Option<Duration>>,
    /// The same where the wait is for lack of demanded protection.
    pub policy_notice: Located<Option<Duration>>,
    /// Whether the postmaster gets a copy of every failure notice.
    pub failure_copies: Located<bool>,
    /// Deliveries at a time.
    pub concurrency: Located<u32>,
    /// Deliveries at a time to one destination.
    pub per_destination: Located<u32>,
}

/// `delivery { }`
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// The protection demanded where nothing demands more.
    pub default_encryption: Located<tls::Level>,
    /// The smart host for all mail that no rule sends elsewhere.
    pub relay_host: Option<Located<rules::RelayHost>>,
    /// The only TLS versions spoken outwards.
    pub tls_versions: Located<tls::Versions>,
    /// The port of MX hosts.
    pub port: Located<u16>,
    /// The name said in EHLO.
    pub hostname: Located<mail::Domain>,
    /// Which address families are connected to.
    pub families: Located<IpFamilies>,
    /// The addresses connected from; empty lets the system choose.
    pub source_addresses: Located<Vec<IpAddr>>,
    /// Whether MX hosts with loopback addresses are connected to.
    pub loopback: Located<bool>,
    /// Messages over one connection.
    pub messages_per_connection: Located<u32>,
    /// How long an unused connection is kept for the next message.
    pub idle: Located<Duration>,
    /// How long a finding about a destination's protection is believed at RCPT.
    pub probe_cache: Located<Duration>,
}

/// Which address families are connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IpFamilies {
    /// Both, IPv6 first.
    Both,
    /// IPv4 only.
    Ipv4,
    /// IPv6 only.
    Ipv6,
}

/// `rate-class NAME { }`
#[derive(Debug, Clone, PartialEq)]
pub struct RateClass {
    /// The name that rules use.
    pub name: Located<String>,
    /// Messages in each period.
    pub messages: Located<u32>,
    /// The period.
    pub period: Located<Duration>,
}
