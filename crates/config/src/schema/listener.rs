//! Directives of listeners, and of the limits and times of sessions.

use super::{Absent, Context, Directive, block, keyword, many, one, optional, values};
use crate::value::{Bounds, Kind};

const KB: u64 = 1 << 10;
const MB: u64 = 1 << 20;
const COUNT_MAX: u64 = 1_000_000;

/// `listener NAME { }`
pub static LISTENER: Context = Context {
    name: "listener",
    doc: "An address and port where the server takes mail, and what it offers there.",
    entry: None,
    ordered: false,
    directives: &[
        Directive::new(
            "address",
            &[values(&[many("ip", Kind::Ip)])],
            Absent::Value("0.0.0.0 ::"),
            "The addresses to listen on. `0.0.0.0` and `::` are all of IPv4 and all of IPv6.",
            "address 127.0.0.1 ::1",
        ),
        Directive::new(
            "port",
            &[values(&[one("number", Kind::Port)])],
            Absent::Required,
            "The port. 0 lets the system choose a free one, which the log then shows.",
            "port 2525",
        ),
        Directive::new(
            "protocol",
            &[values(&[one(
                "name",
                Kind::OneOf(&[
                    ("smtp", "mail from other servers (RFC 5321)"),
                    ("submission", "mail from people's programs (RFC 6409)"),
                    ("lmtp", "mail from a server in front of this one (RFC 2033)"),
                    ("metrics", "Prometheus metrics over HTTP, no mail"),
                    ("webhooks", "what fax providers tell, over HTTP, no mail"),
                ]),
            )])],
            Absent::Derived("`submission` on ports 587 and 465, else `smtp`"),
            "What is spoken. On `submission` missing Date and Message-ID fields are added, and recipients known to be out of reach are refused at once.",
            "protocol submission",
        ),
        Directive::new(
            "tls",
            &[values(&[one(
                "mode",
                Kind::OneOf(&[
                    ("starttls", "offered by STARTTLS (RFC 3207)"),
                    ("implicit", "from the first octet (RFC 8314)"),
                    ("off", "never"),
                ]),
            )])],
            Absent::Derived(
                "`implicit` on port 465 and for `webhooks`, `off` for `lmtp` and `metrics`, else `starttls`",
            ),
            "When TLS begins.",
            "tls implicit",
        ),
        Directive::new(
            "certificate",
            &[values(&[one("certificate", Kind::Name)])],
            Absent::Derived("needed unless `tls off`"),
            "The certificate, by the name of its block.",
            "certificate mail",
        ),
        Directive::new(
            "certificate-for",
            &[values(&[one("host", Kind::Domain), one("certificate", Kind::Name)])],
            Absent::Derived("every client sees `certificate`"),
            "Another certificate for clients that ask for this host name (SNI).",
            "certificate-for mx.example.org other",
        )
        .repeatable(),
        Directive::new(
            "tls-versions",
            &[values(&[many("version", Kind::TlsVersion)])],
            Absent::Derived("those of `tls-policy`"),
            "The TLS versions spoken.",
            "tls-versions 1.3",
        ),
        Directive::new(
            "tls-suites",
            &[values(&[many("suite", Kind::TlsSuite)])],
            Absent::Derived("all that have forward secrecy and AEAD"),
            "The cipher suites spoken, and no others.",
            "tls-suites TLS_AES_256_GCM_SHA384",
        ),
        Directive::new(
            "client-certificate",
            &[
                values(&[keyword("off")]),
                values(&[keyword("ask"), optional("authorities", Kind::Path)]),
                values(&[keyword("require"), one("authorities", Kind::Path)]),
            ],
            Absent::Value("off"),
            "Whether clients are asked for a certificate. `ask` serves a client without one all the same, `require` does not. The file holds the authorities that clients' certificates must come from; PEM.",
            "client-certificate require /etc/mailkeep/tls/clients.pem",
        ),
        Directive::new(
            "auth",
            &[values(&[one(
                "need",
                Kind::OneOf(&[
                    ("required", "without it no mail is taken"),
                    ("optional", "offered; rules can withdraw it"),
                    ("off", "never offered"),
                ]),
            )])],
            Absent::Derived(
                "`required` for `submission`, `optional` for `smtp` with TLS, else `off`",
            ),
            "Whether clients may or must sign in. Before TLS it is offered only where a rule says `plain-connections authenticated`.",
            "auth required",
        ),
        Directive::new(
            "from",
            &[values(&[many("network", Kind::Network)])],
            Absent::Derived("everyone"),
            "The only clients that are served here; others are refused with 554 in the greeting.",
            "from 10.20.0.0/16",
        ),
        Directive::new(
            "proxy-protocol",
            &[values(&[keyword("from"), many("network", Kind::Network)])],
            Absent::Derived("no client may speak it"),
            "Balancers whose connections begin with a PROXY protocol header, version 1 or 2. From them it must come; from others it is an error.",
            "proxy-protocol from 10.0.0.10 10.0.0.11",
        ),
        Directive::new(
            "without",
            &[values(&[many(
                "extension",
                Kind::OneOf(&[
                    ("pipelining", "PIPELINING"),
                    ("size", "SIZE"),
                    ("8bitmime", "8BITMIME"),
                    ("smtputf8", "SMTPUTF8"),
                    ("dsn", "DSN"),
                    ("chunking", "CHUNKING"),
                    ("binarymime", "BINARYMIME"),
                    ("enhancedstatuscodes", "ENHANCEDSTATUSCODES"),
                    ("requiretls", "REQUIRETLS"),
                    ("limits", "LIMITS"),
                    ("vrfy", "the VRFY command"),
                ]),
            )])],
            Absent::Derived("all are offered"),
            "Extensions and commands that are not offered.",
            "without chunking binarymime",
        ),
        Directive::new(
            "hostname",
            &[values(&[one("host", Kind::Domain)])],
            Absent::Derived("the server's"),
            "The name shown in the greeting and to EHLO here.",
            "hostname mx.example.org",
        ),
        Directive::new(
            "limits",
            &[block(&[], &LIMITS)],
            Absent::Derived("those outside"),
            "Limits of this listener, where they differ from those outside.",
            "limits { message 10MB }",
        ),
    ],
};

/// `limits { }`
pub static LIMITS: Context = Context {
    name: "limits",
    doc: "What one client may ask of the server.",
    entry: None,
    ordered: false,
    directives: &[
        Directive::new(
            "message",
            &[values(&[one("size", Kind::Size(Bounds::new(KB, 2_000 * MB)))])],
            Absent::Value("50MB"),
            "The largest message. It is announced with SIZE; larger ones get 552 5.3.4.",
            "message 25MB",
        ),
        Directive::new(
            "header",
            &[values(&[one("size", Kind::Size(Bounds::new(KB, 16 * MB)))])],
            Absent::Value("256KB"),
            "The largest header section of a message.",
            "header 64KB",
        ),
        Directive::new(
            "line",
            &[values(&[one("octets", Kind::Number(Bounds::new(998, 65_536)))])],
            Absent::Value("998"),
            "The longest line of a message, in octets (RFC 5322 section 2.1.1 allows 998).",
            "line 4096",
        ),
        Directive::new(
            "recipients",
            &[values(&[one("count", Kind::Number(Bounds::new(1, 100_000)))])],
            Absent::Value("1000"),
            "Recipients of one message; more get 452 4.5.3, and the client sends the message again for them. RFC 5321 asks for at least 100.",
            "recipients 100",
        ),
        Directive::new(
            "connections",
            &[values(&[one("count", Kind::Number(Bounds::new(1, COUNT_MAX).or_off()))])],
            Absent::Value("10000"),
            "Connections at a time; more get 421.",
            "connections 500",
        ),
        Directive::new(
            "connections-per-network",
            &[values(&[one("count", Kind::Number(Bounds::new(1, COUNT_MAX).or_off()))])],
            Absent::Value("200"),
            "Connections at a time from one network (IPv4 /24, IPv6 /56); more get 421. Trusted networks are not counted.",
            "connections-per-network 20",
        ),
        Directive::new(
            "messages-per-connection",
            &[values(&[one("count", Kind::Number(Bounds::new(1, COUNT_MAX).or_off()))])],
            Absent::Value("1000"),
            "Messages in one connection; then it is closed with 421.",
            "messages-per-connection 100",
        ),
        Directive::new(
            "commands",
            &[values(&[one("count", Kind::Number(Bounds::new(10, 100 * COUNT_MAX).or_off()))])],
            Absent::Value("off"),
            "Commands in one connection; then it is closed with 421.",
            "commands 10000",
        ),
        Directive::new(
            "errors",
            &[values(&[one("count", Kind::Number(Bounds::new(1, COUNT_MAX).or_off()))])],
            Absent::Value("20"),
            "Refused commands in one connection; then it is closed with 421.",
            "errors 5",
        ),
        Directive::new(
            "sign-in-failures",
            &[values(&[one("count", Kind::Number(Bounds::new(1, 1_000).or_off()))])],
            Absent::Value("3"),
            "Failed sign-ins in one connection; then it is closed with 421.",
            "sign-in-failures 1",
        ),
        Directive::new(
            "received-hops",
            &[values(&[one("count", Kind::Number(Bounds::new(1, 1_000)))])],
            Absent::Value("100"),
            "Received fields of a message; with more it is taken to be in a loop and refused with 554 5.4.6 (RFC 5321 section 6.3).",
            "received-hops 50",
        ),
        Directive::new(
            "data-rate",
            &[values(&[one("octets", Kind::Size(Bounds::new(1, 100 * MB).or_off()))])],
            Absent::Value("100"),
            "The slowest that message content may come, in octets a second, measured over a minute; slower clients are closed with 421.",
            "data-rate 1KB",
        ),
    ],
};

const fn time(min_millis: u64, max_secs: u64) -> Kind {
    Kind::Time(Bounds::new(min_millis, max_secs * 1_000))
}

const DAY_SECS: u64 = 86_400;

/// `timeouts { }`
pub static TIMEOUTS: Context = Context {
    name: "timeouts",
    doc: "How long the server waits; the defaults are those of RFC 5321 section 4.5.3.2.",
    entry: None,
    ordered: false,
    directives: &[
        Directive::new(
            "command",
            &[values(&[one("time", time(10, DAY_SECS))])],
            Absent::Value("5m"),
            "Mail in: for the next command.",
            "command 1m",
        ),
        Directive::new(
            "data",
            &[values(&[one("time", time(10, DAY_SECS))])],
            Absent::Value("5m"),
            "Mail in: for the next part of a message's content.",
            "data 2m",
        ),
        Directive::new(
            "handshake",
            &[values(&[one("time", time(10, 3_600))])],
            Absent::Value("1m"),
            "Both ways: for a TLS handshake, and for a PROXY header.",
            "handshake 10s",
        ),
        Directive::new(
            "session",
            &[values(&[one("time", Kind::Time(Bounds::new(10, 7 * DAY_SECS * 1_000).or_off()))])],
            Absent::Value("1h"),
            "Mail in: for a whole connection, when no message is being received.",
            "session 10m",
        ),
        Directive::new(
            "shutdown",
            &[values(&[one("time", time(0, 3_600))])],
            Absent::Value("30s"),
            "For sessions that still run when the server is stopped.",
            "shutdown 5s",
        ),
        Directive::new(
            "connect",
            &[values(&[one("time", time(10, 3_600))])],
            Absent::Value("1m"),
            "Mail out: for a connection.",
            "connect 10s",
        ),
        Directive::new(
            "greeting",
            &[values(&[one("time", time(10, 3_600))])],
            Absent::Value("5m"),
            "Mail out: for the greeting.",
            "greeting 30s",
        ),
        Directive::new(
            "reply",
            &[values(&[one("time", time(10, 3_600))])],
            Absent::Value("5m"),
            "Mail out: for the reply to a command.",
            "reply 1m",
        ),
        Directive::new(
            "data-start",
            &[values(&[one("time", time(10, 3_600))])],
            Absent::Value("2m"),
            "Mail out: for the reply to DATA.",
            "data-start 30s",
        ),
        Directive::new(
            "data-block",
            &[values(&[one("time", time(10, 3_600))])],
            Absent::Value("3m"),
            "Mail out: until a part of the content is taken.",
            "data-block 1m",
        ),
        Directive::new(
            "data-end",
            &[values(&[one("time", time(10, 7_200))])],
            Absent::Value("10m"),
            "Mail out: for the reply after the content.",
            "data-end 1m",
        ),
    ],
};
