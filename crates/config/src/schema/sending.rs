//! Directives of the queue and of delivery.

use super::top::LEVELS;
use super::{Absent, Context, Directive, many, one, values};
use crate::value::{Bounds, Kind};

const DAY: u64 = 86_400;

/// `queue { }`
pub static QUEUE: Context = Context {
    name: "queue",
    doc: "How long mail waits, how often it is tried, and when its sender is told.",
    entry: None,
    ordered: false,
    directives: &[
        Directive::new(
            "retry",
            &[values(&[many("wait", Kind::Time(Bounds::new(100, 7 * DAY * 1_000)))])],
            Absent::Value("1m 5m 15m 30m 1h 2h 4h"),
            "The waits between attempts; the last one repeats.",
            "retry 1m 5m 30m",
        ),
        Directive::new(
            "jitter",
            &[values(&[one("percent", Kind::Number(Bounds::new(0, 50)))])],
            Absent::Value("10"),
            "How far a wait is moved at random, in percent of it, so that mail does not come back all at once.",
            "jitter 0",
        ),
        Directive::new(
            "lifetime",
            &[values(&[one("time", Kind::Time(Bounds::seconds(1, 60 * DAY)))])],
            Absent::Value("5d"),
            "After this a message that still waits is returned to its sender.",
            "lifetime 2d",
        ),
        Directive::new(
            "bounce-lifetime",
            &[values(&[one("time", Kind::Time(Bounds::seconds(1, 60 * DAY)))])],
            Absent::Value("1d"),
            "The same for notifications, which nobody is told about.",
            "bounce-lifetime 6h",
        ),
        Directive::new(
            "delay-notice",
            &[values(&[one("time", Kind::Time(Bounds::seconds(1, 60 * DAY).or_off()))])],
            Absent::Value("4h"),
            "When the sender is told that a message still waits.",
            "delay-notice 1h",
        ),
        Directive::new(
            "policy-notice",
            &[values(&[one("time", Kind::Time(Bounds::seconds(0, 60 * DAY).or_off()))])],
            Absent::Value("5m"),
            "The same where a message waits because the other side does not offer the protection demanded.",
            "policy-notice 1m",
        ),
        Directive::new(
            "failure-copies",
            &[values(&[one("switch", Kind::Switch)])],
            Absent::Value("off"),
            "Whether the postmaster gets a copy of every notification of failure.",
            "failure-copies on",
        ),
        Directive::new(
            "concurrency",
            &[values(&[one("count", Kind::Number(Bounds::new(1, 10_000)))])],
            Absent::Value("200"),
            "Deliveries at a time.",
            "concurrency 50",
        ),
        Directive::new(
            "per-destination",
            &[values(&[one("count", Kind::Number(Bounds::new(1, 1_000)))])],
            Absent::Value("10"),
            "Deliveries at a time to one destination.",
            "per-destination 2",
        ),
    ],
};

/// `delivery { }`
pub static DELIVERY: Context = Context {
    name: "delivery",
    doc: "How mail leaves.",
    entry: None,
    ordered: false,
    directives: &[
        Directive::new(
            "default-encryption",
            &[values(&[one("level", Kind::OneOf(LEVELS))])],
            Absent::Value("opportunistic"),
            "The protection demanded of every destination for which no rule sets `relay-encryption`. A rule may demand less than this, and the checker then warns (C209); Force Encrypt, the message itself and the destination's own policy only ever demand more.",
            "default-encryption required",
        ),
        Directive::new(
            "relay-host",
            &[values(&[many("words", Kind::Text)])],
            Absent::Derived("mail goes to the MX hosts of its domain"),
            "The smart host for all mail that no rule sends elsewhere: `HOST[:PORT] [tls implicit|starttls] [credentials NAME] [certificate NAME]`, as the action of the same name.",
            "relay-host smarthost.example.com:587 credentials smarthost",
        ),
        Directive::new(
            "tls-versions",
            &[values(&[many("version", Kind::TlsVersion)])],
            Absent::Derived("those of `tls-policy`"),
            "The TLS versions spoken outwards.",
            "tls-versions 1.3",
        ),
        Directive::new(
            "port",
            &[values(&[one("number", Kind::Number(Bounds::new(1, 65_535)))])],
            Absent::Value("25"),
            "The port of MX hosts.",
            "port 2525",
        ),
        Directive::new(
            "hostname",
            &[values(&[one("host", Kind::Domain)])],
            Absent::Derived("the server's"),
            "The name said in EHLO.",
            "hostname out.example.com",
        ),
        Directive::new(
            "addresses",
            &[values(&[one(
                "family",
                Kind::OneOf(&[
                    ("both", "IPv6 and IPv4"),
                    ("ipv4", "IPv4 only"),
                    ("ipv6", "IPv6 only"),
                ]),
            )])],
            Absent::Value("both"),
            "Which addresses of a host are connected to.",
            "addresses ipv4",
        ),
        Directive::new(
            "source-address",
            &[values(&[many("ip", Kind::Ip)])],
            Absent::Derived("the system chooses"),
            "The addresses to connect from, at most one of each family.",
            "source-address 192.0.2.7 2001:db8::7",
        ),
        Directive::new(
            "loopback",
            &[values(&[one("switch", Kind::Switch)])],
            Absent::Value("off"),
            "Whether MX hosts with loopback addresses are connected to. Off, a domain that points there cannot make the server talk to itself; hosts that this file names are always connected to.",
            "loopback on",
        ),
        Directive::new(
            "messages-per-connection",
            &[values(&[one("count", Kind::Number(Bounds::new(1, 10_000)))])],
            Absent::Value("100"),
            "Messages sent over one connection before it is closed.",
            "messages-per-connection 1",
        ),
        Directive::new(
            "idle",
            &[values(&[one("time", Kind::Time(Bounds::new(0, 300_000)))])],
            Absent::Value("5s"),
            "How long an unused connection is kept for the next message to the same host.",
            "idle 30s",
        ),
        Directive::new(
            "probe-cache",
            &[values(&[one("time", Kind::Time(Bounds::seconds(0, 7 * DAY)))])],
            Absent::Value("10m"),
            "How long the finding that a destination does not offer the protection demanded is believed, to refuse its recipients at once.",
            "probe-cache 1m",
        ),
    ],
};

/// `rate-class NAME { }`
pub static RATE_CLASS: Context = Context {
    name: "rate-class",
    doc: "A class that rules put messages in, to send them at a slower rate.",
    entry: None,
    ordered: false,
    directives: &[
        Directive::new(
            "messages",
            &[values(&[one("count", Kind::Number(Bounds::new(1, 10_000_000)))])],
            Absent::Required,
            "How many messages of the class leave in each period; the others wait.",
            "messages 100",
        ),
        Directive::new(
            "period",
            &[values(&[one("time", Kind::Time(Bounds::seconds(1, 7 * DAY)))])],
            Absent::Value("1h"),
            "The period.",
            "period 1m",
        ),
    ],
};
