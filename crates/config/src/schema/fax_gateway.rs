//! Gateways that fax by T.38.

use super::{Absent, Context, Directive, many, one, values};
use crate::value::{Bounds, Kind};

/// A port that is one.
const PORTS: Bounds = Bounds { min: 1_024, max: 65_535, off: false };

/// `fax-gateway NAME { }`
pub static FAX_GATEWAY: Context = Context {
    name: "fax-gateway",
    doc: "A gateway to the telephone network, or another fax server, that is called by SIP and takes faxes by T.38 over UDPTL. A call that it does not take as fax at once is begun as voice and changed, as gateways expect. It needs `libspandsp.so.2` (Debian: `libspandsp2`), which runs in a process of its own without files and network. SIP goes over UDP and is not encrypted, as T.38 is not: let the way to the gateway be your own network or a tunnel.",
    entry: None,
    ordered: false,
    directives: &[
        Directive::new(
            "server",
            &[values(&[one("server", Kind::Target)])],
            Absent::Required,
            "The gateway; port 5060 unless written.",
            "server sip2.example.net",
        ),
        Directive::new(
            "listen",
            &[values(&[one("address", Kind::Socket { port: 5_060 })])],
            Absent::Required,
            "Our own address towards the gateway. It is told to the gateway, so it is one address of this machine, and the same for the packets of calls.",
            "listen 192.0.2.11",
        ),
        Directive::new(
            "domain",
            &[values(&[one("host", Kind::Text)])],
            Absent::Derived("the server as it is written"),
            "The host in the addresses that are called: `sip:+12025550123@HOST`.",
            "domain trunk.example.net",
        ),
        Directive::new(
            "media-ports",
            &[values(&[one("first", Kind::Number(PORTS)), one("last", Kind::Number(PORTS))])],
            Absent::Value("40000 40999"),
            "The ports (UDP) for the packets of calls; a call has one.",
            "media-ports 30000 30099",
        ),
        Directive::new(
            "peers",
            &[values(&[many("address", Kind::Ip)])],
            Absent::Derived("the server's alone"),
            "Addresses beside the server's whose calls are taken. Nothing from any other address is looked at.",
            "peers 192.0.2.21 192.0.2.22",
        ),
        Directive::new(
            "credentials",
            &[values(&[one("name", Kind::Name)])],
            Absent::Derived("none"),
            "What to sign in with where the gateway asks for it (digest, RFC 8760).",
            "credentials smarthost",
        ),
        Directive::new(
            "calls",
            &[values(&[one("number", Kind::Number(Bounds { min: 1, max: 200, off: false }))])],
            Absent::Value("8"),
            "The most calls at a time, in both directions together. A fax that finds no line free waits; a caller is told that the line is busy.",
            "calls 30",
        ),
        Directive::new(
            "pacing",
            &[values(&[one("line", Kind::Switch)])],
            Absent::Value("on"),
            "Whether packets go out as fast as a telephone line takes them, which gateways need. `off` for another fax server on the network, which takes a page in a second.",
            "pacing off",
        ),
    ],
};
