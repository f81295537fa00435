//! Directives of flow control: whom to let in, whom to ban, how much anyone may send.

use super::{Absent, Context, Directive, keyword, many, one, values};
use crate::value::{Bounds, Kind};

const DAY: u64 = 86_400;
const KB: u64 = 1_000;
const GB: u64 = 1_000_000_000;

/// A rate, or `off`.
const RATES: &[super::Form] = &[
    values(&[keyword("off")]),
    values(&[
        one("count", Kind::Number(Bounds::new(1, 1_000_000))),
        one("time", Kind::Time(Bounds::seconds(1, DAY))),
    ]),
];

const fn rate(name: &'static str, doc: &'static str, example: &'static str) -> Directive {
    Directive::new(name, RATES, Absent::Derived("`off`"), doc, example)
}

/// `flow { }`
pub static FLOW: Context = Context {
    name: "flow",
    doc: "Who is let in before anything is said. Networks can also be lists in files: `table NAME` names a table of networks.",
    entry: None,
    ordered: false,
    directives: &[
        Directive::new(
            "friendly",
            &[
                values(&[keyword("table"), one("name", Kind::Name)]),
                values(&[keyword("none")]),
                values(&[many("network", Kind::Network)]),
            ],
            Absent::Derived("loopback"),
            "Clients that are never banned, denied or slowed down, whatever they do. `none` leaves not even loopback.",
            "friendly 10.20.0.0/16",
        )
        .repeatable(),
        Directive::new(
            "deny",
            &[
                values(&[keyword("table"), one("name", Kind::Name)]),
                values(&[many("network", Kind::Network)]),
            ],
            Absent::Derived("nobody"),
            "Clients that are turned away with 554 before a greeting, for as long as this stands here.",
            "deny 198.51.100.0/24",
        )
        .repeatable(),
        rate(
            "client-rate",
            "How many connections one client (an IPv4 address, an IPv6 /64) may open in a time; more are turned away with 421.",
            "client-rate 30 10s",
        ),
        rate(
            "network-rate",
            "The same for a client and its neighbours together: IPv4 /24, IPv6 /56.",
            "network-rate 300 10s",
        ),
    ],
};

/// The words of incidents.
const INCIDENTS: &[(&str, &str)] = &[
    ("auth-failure", "a sign-in failed; weighs 1"),
    ("rcpt-scan", "names were tried to find mailboxes; weighs 3"),
    ("early-talker", "the client spoke before the greeting; weighs 2"),
    ("pipelining", "commands came ahead of a handshake; weighs 2"),
    ("errors", "a session was ended for its errors; weighs 1"),
    ("spamtrap", "mail was addressed to a spamtrap; weighs 5"),
    ("bad-tls", "a TLS handshake failed; weighs 0"),
    ("flood", "connections came faster than the rate; weighs 0"),
];

/// `bans { }`
pub static BANS: Context = Context {
    name: "bans",
    doc: "When a client is turned away for a time. A ban holds on every listener, survives a restart, and is seen and ended with `mailkeep ban`.",
    entry: None,
    ordered: false,
    directives: &[
        Directive::new(
            "incidents",
            &[values(&[one("count", Kind::Number(Bounds::new(1, 1_000_000).or_off()))])],
            Absent::Value("10"),
            "The weight of incidents that leads to a ban; `off` leaves bans to operators.",
            "incidents 5",
        ),
        Directive::new(
            "within",
            &[values(&[one("time", Kind::Time(Bounds::seconds(1, 30 * DAY)))])],
            Absent::Value("10m"),
            "The time in which incidents add up.",
            "within 1h",
        ),
        Directive::new(
            "time",
            &[values(&[one("length", Kind::Time(Bounds::seconds(1, 365 * DAY)))])],
            Absent::Value("1h"),
            "How long a first ban lasts; each further one within 30 days lasts twice as long.",
            "time 15m",
        ),
        Directive::new(
            "time-max",
            &[values(&[one("length", Kind::Time(Bounds::seconds(1, 365 * DAY)))])],
            Absent::Value("7d"),
            "The longest a ban lasts that no operator made.",
            "time-max 1d",
        ),
        Directive::new(
            "weight",
            &[values(&[
                one("incident", Kind::OneOf(INCIDENTS)),
                one("count", Kind::Number(Bounds::new(0, 1_000_000))),
            ])],
            Absent::Derived("as named above"),
            "How much an incident of a kind weighs; 0 does not count it.",
            "weight spamtrap 10",
        )
        .repeatable(),
        Directive::new(
            "spamtrap",
            &[values(&[many("address", Kind::Address)])],
            Absent::Derived("none"),
            "Addresses that nobody writes to who has not stolen or guessed them. Mail to them is refused like mail to anyone unknown.",
            "spamtrap sales99@example.com",
        )
        .repeatable(),
        Directive::new(
            "entries",
            &[values(&[one("count", Kind::Number(Bounds::new(10, 1_000_000)))])],
            Absent::Value("100000"),
            "The most bans kept; beyond it those that end first go.",
            "entries 20000",
        ),
    ],
};

/// The times that quotas count in.
const PERIODS: &[(&str, &str)] = &[
    ("minute", "any 60 seconds"),
    ("hour", "any 60 minutes"),
    ("day", "any 24 hours"),
    ("month", "any 30 days"),
];

const fn limit(
    name: &'static str,
    form: &'static [super::Form],
    doc: &'static str,
    example: &'static str,
) -> Directive {
    Directive::new(name, form, Absent::Derived("no limit"), doc, example).repeatable()
}

const NUMBERS: &[super::Form] = &[values(&[
    one("count", Kind::Number(Bounds::new(1, 1_000_000_000))),
    keyword("per"),
    one("period", Kind::OneOf(PERIODS)),
])];
const SIZES: &[super::Form] = &[values(&[
    one("size", Kind::Size(Bounds::new(KB, 1_000 * GB))),
    keyword("per"),
    one("period", Kind::OneOf(PERIODS)),
])];

const SELECTIONS: &[super::Form] = &[
    values(&[keyword("accounts"), many("pattern", Kind::Text)]),
    values(&[keyword("groups"), many("address", Kind::Address)]),
    values(&[keyword("networks"), many("network", Kind::Network)]),
    values(&[keyword("table"), one("list", Kind::Name)]),
    values(&[keyword("times"), many("hours", Kind::Text)]),
    values(&[keyword("days"), many("weekday", Kind::OneOf(DAYS))]),
];

/// What a quota holds: the same, and fax accounts.
const HOLDS: &[super::Form] = &[
    values(&[keyword("accounts"), many("pattern", Kind::Text)]),
    values(&[keyword("groups"), many("address", Kind::Address)]),
    values(&[keyword("networks"), many("network", Kind::Network)]),
    values(&[keyword("table"), one("list", Kind::Name)]),
    values(&[keyword("fax-accounts"), many("account", Kind::Name)]),
    values(&[keyword("times"), many("hours", Kind::Text)]),
    values(&[keyword("days"), many("weekday", Kind::OneOf(DAYS))]),
];

const DAYS: &[(&str, &str)] = &[
    ("monday", "Monday, UTC"),
    ("tuesday", "Tuesday, UTC"),
    ("wednesday", "Wednesday, UTC"),
    ("thursday", "Thursday, UTC"),
    ("friday", "Friday, UTC"),
    ("saturday", "Saturday, UTC"),
    ("sunday", "Sunday, UTC"),
];

/// `quota NAME { }`
pub static QUOTA: Context = Context {
    name: "quota",
    doc: "How much each sender may send, counted for each account by itself. Times slide: no hour, wherever it begins, sees more than an hour's limit. Who reaches a limit is told 450 or 452 and when there is room again; several quotas hold together.",
    entry: None,
    ordered: false,
    directives: &[
        limit(
            "messages",
            NUMBERS,
            "How many messages. Several lines hold together, each in its own time.",
            "messages 100 per hour",
        ),
        limit("recipients", NUMBERS, "How many recipients.", "recipients 500 per day"),
        limit(
            "octets",
            SIZES,
            "How many octets of messages, each counted once however many recipients it has.",
            "octets 1GB per month",
        ),
        limit(
            "faxes",
            NUMBERS,
            "How many faxes, one for each number, counted for the address in MAIL FROM, whether it signed in or a fax account knows it otherwise.",
            "faxes 40 per day",
        ),
        limit(
            "pages",
            NUMBERS,
            "How many pages of faxes, for each number again, counted for the address in MAIL FROM. How many a message has is known once it is drawn: numbers are refused where nothing is left, and a fax that has more pages than are left comes back to its sender.",
            "pages 500 per month",
        ),
        Directive::new(
            "for",
            HOLDS,
            Absent::Derived("everyone who has signed in"),
            "Whom it holds: accounts (`ann@example.com`, or `@example.com` for everyone there), the members of groups, networks of clients that do not sign in, or a table of addresses or networks; or the faxes and pages of fax accounts, each account's counted together whoever sends them; and, if `times` (UTC) or `days` are given, only then.",
            "for accounts @example.com",
        )
        .repeatable(),
        Directive::new(
            "except",
            SELECTIONS,
            Absent::Derived("nobody"),
            "Whom it does not hold, and when it does not; `times` and `days` hold together.",
            "except groups press@example.com",
        )
        .repeatable(),
        Directive::new(
            "warn-at",
            &[values(&[one("percent", Kind::Number(Bounds::new(1, 100).or_off()))])],
            Absent::Value("80"),
            "The percentage of a limit at which the account gets a warning by mail, once in the limit's time.",
            "warn-at 90",
        ),
    ],
};

/// `size-limits NAME { }`
pub static SIZE_LIMITS: Context = Context {
    name: "size-limits",
    doc: "How large messages may be, by direction, domain or account. The most specific limit wins, each for itself: an account's before its domain's before everyone's before that of the listener; and at each of these one for a direction before one for both.",
    entry: None,
    ordered: false,
    directives: &[
        Directive::new(
            "direction",
            &[values(&[one(
                "way",
                Kind::OneOf(&[
                    ("in", "mail from elsewhere; accounts and domains are the recipient's"),
                    ("out", "mail from who signed in or a trusted network; they are the sender's"),
                ]),
            )])],
            Absent::Derived("both"),
            "For mail of one direction only.",
            "direction out",
        ),
        Directive::new(
            "accounts",
            &[values(&[many("address", Kind::Address)])],
            Absent::Derived("all"),
            "For these accounts or addresses.",
            "accounts scanner@example.com",
        ),
        Directive::new(
            "domains",
            &[values(&[many("domain", Kind::Domain)])],
            Absent::Derived("all"),
            "For everyone at these domains.",
            "domains example.com",
        ),
        Directive::new(
            "message",
            &[values(&[one("size", Kind::Size(Bounds::new(KB, 2 * GB)))])],
            Absent::Derived("that of the listener"),
            "The largest message; larger ones are refused with 552 5.3.4, at MAIL if the client says the size. EHLO announces it after signing in.",
            "message 100MB",
        ),
        Directive::new(
            "header",
            &[values(&[one("size", Kind::Size(Bounds::new(KB, 16_000 * KB)))])],
            Absent::Derived("that of the listener"),
            "The largest header section.",
            "header 64KB",
        ),
        Directive::new(
            "attachment",
            &[values(&[one("size", Kind::Size(Bounds::new(1, 2 * GB)))])],
            Absent::Derived("no limit"),
            "The largest single attachment, decoded.",
            "attachment 10MB",
        ),
        Directive::new(
            "attachments",
            &[values(&[one("size", Kind::Size(Bounds::new(1, 2 * GB)))])],
            Absent::Derived("no limit"),
            "All attachments of a message together, decoded.",
            "attachments 25MB",
        ),
        Directive::new(
            "recipients",
            &[values(&[one("count", Kind::Number(Bounds::new(1, 100_000)))])],
            Absent::Derived("that of the listener"),
            "Recipients of one message; more are refused with 452 4.5.3, for another transaction.",
            "recipients 50",
        ),
    ],
};
