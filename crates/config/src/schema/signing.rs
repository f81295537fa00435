//! Directives about vouching for mail that leaves.

use super::{Absent, Context, Directive, keyword, many, one, values};
use crate::value::{Bounds, Kind};

const DAY: u64 = 86_400;

/// `signing { }`
pub static SIGNING: Context = Context {
    name: "signing",
    doc: "Which mail of ours leaves with DKIM signatures. Ours is what people send who have signed in, what comes from `trusted-networks`, and what this server writes itself; mail that merely passes is never signed. Keys are made with `mailkeep dkim-key new DOMAIN` and shown for DNS by `mailkeep dns DOMAIN`.",
    entry: None,
    ordered: false,
    directives: &[
        Directive::new(
            "sign",
            &[
                // The form with the most keywords first: the first that fits is taken.
                values(&[
                    one("who", Kind::Text),
                    keyword("as"),
                    one("domain", Kind::Domain),
                    keyword("keys"),
                    many("selector", Kind::Text),
                ]),
                values(&[one("who", Kind::Text), keyword("keys"), many("selector", Kind::Text)]),
                values(&[one("who", Kind::Text), keyword("as"), one("domain", Kind::Domain)]),
                values(&[one("who", Kind::Text)]),
            ],
            Absent::Derived("nothing is signed"),
            "Whose mail is signed, by the author in `From`: an address, a domain, or `*.DOMAIN` for every domain below one. The closest line counts. The domain vouches for its own mail unless `as` names another; every key of it that is in use signs, RSA and Ed25519 side by side, unless `keys` names selectors.",
            "sign *.example.com as example.com",
        )
        .repeatable(),
        Directive::new(
            "publish-first",
            &[values(&[one("time", Kind::Time(Bounds::seconds(0, 60 * DAY)))])],
            Absent::Value("2d"),
            "How long the new key of `mailkeep dkim-key rotate` stands in DNS before it signs and the old one no longer does. Longer than the time to live of the zone.",
            "publish-first 4h",
        ),
    ],
};

/// `arc-sealing { }`
pub static ARC_SEALING: Context = Context {
    name: "arc-sealing",
    doc: "Seals mail that passes through this server to named partners (ARC, RFC 8617), so that they can believe what was found here where forwarding broke SPF or a signature. Mail that came with a broken chain, and mail about which nothing was found, goes on without a seal.",
    entry: None,
    ordered: false,
    directives: &[
        Directive::new(
            "for",
            &[values(&[many("domain", Kind::Domain)])],
            Absent::Required,
            "The recipients' domains that get sealed mail.",
            "for partner.example",
        ),
        Directive::new(
            "domain",
            &[values(&[one("name", Kind::Domain)])],
            Absent::Required,
            "The domain that seals, with its DKIM key: an RSA key where it has one.",
            "domain example.com",
        ),
    ],
};

/// `dmarc-reports { }`
pub static DMARC_REPORTS: Context = Context {
    name: "dmarc-reports",
    doc: "Aggregate reports about who sends mail in the name of a domain (DMARC).",
    entry: None,
    ordered: false,
    directives: &[
        Directive::new(
            "receive-at",
            &[values(&[one("address", Kind::Address)])],
            Absent::Derived("reports are mail like any other"),
            "Where reports about our domains arrive. Reports to this address are read and kept for `mailkeep dmarc`; where it has no mailbox, a message that is no report goes to the postmaster. `mailkeep dns` then names the address in the DMARC record.",
            "receive-at dmarc@example.com",
        ),
        Directive::new(
            "send",
            &[values(&[one("switch", Kind::Switch)])],
            Absent::Value("off"),
            "Whether domains that ask for it (`rua=` in their DMARC record) are sent a report each day, of the mail that came here in their name. The reports come from `receive-at`, else from the postmaster, and name addresses of mail servers, no people.",
            "send on",
        ),
    ],
};

/// `srs { }`
pub static SRS: Context = Context {
    name: "srs",
    doc: "Rewrites the sender of mail that an alias or a redirection sends on to another domain, so that SPF passes there and bounces find their way back through this server (the sender rewriting scheme).",
    entry: None,
    ordered: false,
    directives: &[
        Directive::new(
            "domain",
            &[values(&[one("name", Kind::Domain)])],
            Absent::Required,
            "The domain of rewritten senders. Its mail must come to this server, and its SPF record must allow this server: see `mailkeep dns`.",
            "domain srs.example.com",
        ),
        Directive::new(
            "lifetime",
            &[values(&[one("time", Kind::Time(Bounds::seconds(DAY, 365 * DAY)))])],
            Absent::Value("21d"),
            "How long a rewritten sender is good for bounces.",
            "lifetime 10d",
        ),
    ],
};
