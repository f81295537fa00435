//! `dnsbl NAME { }`, `uribl NAME { }`, `greylisting { }` and `reputation { }`.

use super::{Absent, Context, Directive, Form, block, many, one, optional, values};
use crate::value::{Bounds, Kind};

const DAY: u64 = 86_400;
const WEIGHTS: Bounds = Bounds::new(1, 1_000);

const ACTIONS: Kind = Kind::OneOf(&[
    ("reject", "who is listed is refused, unless allow lists outweigh it"),
    ("score", "the weight counts in `dnsbl-score` or `uribl-score`, for rules"),
    ("shadow", "the listing is recorded and changes nothing"),
    ("allow", "the weight counts for the client or domain, not against it"),
]);

// What lists of clients and lists of domains have alike.
const ZONE: Directive = Directive::new(
    "zone",
    &[values(&[one("domain", Kind::Domain)])],
    Absent::Derived("the list's name is its zone"),
    "The zone of DNS in which the list is asked.",
    "zone bl.example.net",
);
const FILE: Directive = Directive::new(
    "file",
    &[values(&[one("path", Kind::Path)])],
    Absent::Derived("the list is asked over DNS"),
    "A list of your own, read at start and at reload: on each line an address, a network or a domain, and after it perhaps the reason; `#` begins a comment.",
    "file blocked.txt",
);
const ACTION: Directive = Directive::new(
    "action",
    &[values(&[one("action", ACTIONS)])],
    Absent::Value("reject"),
    "What a listing does.",
    "action score",
);
const WEIGHT: Directive = Directive::new(
    "weight",
    &[values(&[one("number", Kind::Number(WEIGHTS))])],
    Absent::Value("1"),
    "How much a listing weighs where its code has no weight of its own. An allow list outweighs the others when it weighs at least as much as they together.",
    "weight 5",
);
static CODE_FORMS: [Form; 1] = [block(&[], &CODES)];
const CODES_OF_A_LIST: Directive = Directive::new(
    "codes",
    &CODE_FORMS,
    Absent::Derived("every answer in 127.0.0.0/8 is a listing"),
    "What the answers mean; others are then no listing. Whatever is written here, 127.255.255.0/24 and 127.0.0.1 mean that the list refuses to answer.",
    "codes { 127.0.0.2 spam 5 }",
);
const TIMEOUT: Directive = Directive::new(
    "timeout",
    &[values(&[one("time", Kind::Time(Bounds::new(50, 10_000)))])],
    Absent::Value("3s"),
    "How long its answers are waited for. All lists are asked at once, and a list that does not answer in time holds no mail.",
    "timeout 1s",
);
const SELF_TEST: Directive = Directive::new(
    "self-test",
    &[values(&[one("switch", Kind::Switch)])],
    Absent::Value("on"),
    "Whether its test points (RFC 5782 section 5) are asked at start and regularly. A list that fails is suspended until they are right again; `off` is for lists without test points.",
    "self-test off",
);
const TEST_EVERY: Directive = Directive::new(
    "test-every",
    &[values(&[one("time", Kind::Time(Bounds::seconds(1, 86_400)))])],
    Absent::Value("1m"),
    "How often the test points are asked.",
    "test-every 10m",
);

/// `dnsbl NAME { }`
pub static DNSBL: Context = Context {
    name: "dnsbl",
    doc: "A list of clients, asked when a client connects. Nobody who signs in, is in `trusted-networks` or has a private address is looked up.",
    entry: None,
    ordered: false,
    directives: &[
        ZONE,
        FILE,
        ACTION,
        WEIGHT,
        CODES_OF_A_LIST,
        TIMEOUT,
        SELF_TEST,
        TEST_EVERY,
        Directive::new(
            "except",
            &[values(&[many("network", Kind::Network)])],
            Absent::Derived("none"),
            "Clients it is not asked about.",
            "except 198.51.100.0/24",
        ),
    ],
};

/// `codes { }`
pub static CODES: Context = Context {
    name: "codes",
    doc: "One meaning a line: the answers, a name, and perhaps a weight. Each octet of the answers is a number, a range such as `4-7`, `*`, or `&2`: has this bit. `127.0.0.4-7 exploits 5`.",
    directives: &[],
    entry: Some(&Directive::new(
        "",
        &[values(&[
            one("answers", Kind::Text),
            one("name", Kind::Name),
            optional("weight", Kind::Number(WEIGHTS)),
        ])],
        Absent::Derived("nothing"),
        "An answer and what it means.",
        "127.0.0.2 spam 5",
    )),
    ordered: false,
};

/// `uribl NAME { }`
pub static URIBL: Context = Context {
    name: "uribl",
    doc: "A list of domains, asked about the links in the text and the header of each message. Mail of who signed in is not looked through.",
    entry: None,
    ordered: false,
    directives: &[
        ZONE,
        FILE,
        ACTION,
        WEIGHT,
        CODES_OF_A_LIST,
        TIMEOUT,
        SELF_TEST,
        TEST_EVERY,
        Directive::new(
            "except",
            &[values(&[many("domain", Kind::Domain)])],
            Absent::Derived("none"),
            "Domains it is not asked about, nor names below them.",
            "except example.com",
        ),
        Directive::new(
            "ask",
            &[values(&[one(
                "what",
                Kind::OneOf(&[
                    ("registered", "the registered domain: example.co.uk of www.example.co.uk"),
                    ("host", "the whole host name"),
                ]),
            )])],
            Absent::Value("registered"),
            "What it is asked about.",
            "ask host",
        ),
        Directive::new(
            "addresses",
            &[values(&[one("switch", Kind::Switch)])],
            Absent::Value("off"),
            "Whether addresses in links are asked about; not every list takes them.",
            "addresses on",
        ),
        Directive::new(
            "headers",
            &[values(&[many("field", Kind::OneOf(FIELDS))])],
            Absent::Value("from reply-to"),
            "The header fields whose domains are asked about.",
            "headers from reply-to message-id",
        ),
        Directive::new(
            "test-listed",
            &[values(&[one("name", Kind::Domain)])],
            Absent::Value("test"),
            "The name that it must list.",
            "test-listed dbltest.com",
        ),
        Directive::new(
            "test-unlisted",
            &[values(&[one("name", Kind::Domain)])],
            Absent::Value("invalid"),
            "The name that it must not list.",
            "test-unlisted example.com",
        ),
    ],
};

const FIELDS: &[(&str, &str)] = &[
    ("none", "no field"),
    ("from", "From"),
    ("reply-to", "Reply-To"),
    ("sender", "Sender"),
    ("message-id", "Message-ID"),
];

/// `greylisting { }`
pub static GREYLISTING: Context = Context {
    name: "greylisting",
    doc: "A client network (/24, /64), sender and recipient that were never seen together are asked to come again (451). Where SPF passes, the sender's domain stands for the network, so that one who sends from many networks is known in all of them. Who signed in, trusted networks, and clients that allow lists outweigh are exempt.",
    entry: None,
    ordered: false,
    directives: &[
        Directive::new(
            "delay",
            &[values(&[one("time", Kind::Time(Bounds::seconds(1, DAY)))])],
            Absent::Value("5m"),
            "The least time until the second try is taken.",
            "delay 1m",
        ),
        Directive::new(
            "window",
            &[values(&[one("time", Kind::Time(Bounds::seconds(60, 30 * DAY)))])],
            Absent::Value("2d"),
            "A second try after this is a first one again.",
            "window 12h",
        ),
        Directive::new(
            "keep",
            &[values(&[one("time", Kind::Time(Bounds::seconds(60, 400 * DAY)))])],
            Absent::Value("36d"),
            "How long one who came again is known, counted from the last message.",
            "keep 60d",
        ),
        Directive::new(
            "allow-after",
            &[values(&[one("count", Kind::Number(Bounds::new(1, 1_000).or_off()))])],
            Absent::Value("5"),
            "After so many that came again their whole network is known, and their domain where SPF passes.",
            "allow-after off",
        ),
        Directive::new(
            "except",
            &[values(&[many("network", Kind::Network)])],
            Absent::Derived("none"),
            "Clients that never have to come again.",
            "except 198.51.100.0/24",
        ),
    ],
};

/// `reputation { }`
pub static REPUTATION: Context = Context {
    name: "reputation",
    doc: "What came of the mail of each client network, and of each sender domain from that network, for the condition `reputation`.",
    entry: None,
    ordered: false,
    directives: &[Directive::new(
        "half-life",
        &[values(&[one("time", Kind::Time(Bounds::seconds(60, 365 * DAY)))])],
        Absent::Value("7d"),
        "In this time half of what is remembered is forgotten.",
        "half-life 14d",
    )],
};
