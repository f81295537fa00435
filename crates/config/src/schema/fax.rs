//! Email to fax.

use super::{Absent, Context, Directive, block, keyword, many, one, values};
use crate::value::{Bounds, Kind};

const COVERS: Kind = Kind::OneOf(&[
    ("always", "every fax has a cover page"),
    ("text", "a message with text has one, with the text on it"),
    ("never", "text becomes plain pages"),
]);
const RESOLUTIONS: Kind = Kind::OneOf(&[
    ("standard", "98 rows an inch"),
    ("fine", "196 rows an inch"),
    ("superfine", "391 rows an inch"),
]);
const LANGUAGES: Kind = Kind::OneOf(&[("en", "English"), ("fr", "French")]);

/// `fax NAME { }`
pub static FAX: Context = Context {
    name: "fax",
    doc: "An enterprise account that turns mail into faxes: `5550100@fax.example.com` rings 555 0100. Who may send is decided by the Mail Server White List, Spoofing Protection and the users and trusted domains together; whatever is set must be met.",
    entry: None,
    ordered: false,
    directives: &[
        Directive::new(
            "domains",
            &[values(&[many("domain", Kind::Domain)])],
            Absent::Required,
            "Domains whose local parts are fax numbers.",
            "domains fax2.example",
        ),
        Directive::new(
            "organisation",
            &[values(&[one("text", Kind::Text)])],
            Absent::Required,
            "Who sends, in the header line of every page and on cover pages.",
            "organisation \"The other clinic\"",
        ),
        Directive::new(
            "main-number",
            &[values(&[one("number", Kind::Text)])],
            Absent::Required,
            "The fax number of the organisation, shown to the other machine for senders who have none of their own.",
            "main-number \"+1 202 555 0199\"",
        ),
        Directive::new(
            "country",
            &[values(&[one("country", Kind::Text)])],
            Absent::Required,
            "The country whose national numbers are understood, in two letters of ISO 3166.",
            "country FR",
        ),
        Directive::new(
            "mail-server-white-list",
            &[values(&[many("networks", Kind::Text)])],
            Absent::Derived("empty: mail is accepted from every mail server"),
            "The mail servers that may deliver mail to be faxed: addresses and networks, IPv4 and IPv6, separated by commas or blanks. The address that connects is checked.",
            "mail-server-white-list 10.20.0.0/16, 192.0.2.25, 2001:db8::/48",
        ),
        Directive::new(
            "spoofing-protection",
            &[
                values(&[keyword("off")]),
                values(&[
                    keyword("on"),
                    keyword("softfail"),
                    one(
                        "decision",
                        Kind::OneOf(&[
                            ("accept", "SoftFail is as good as Pass"),
                            ("reject", "SoftFail is as bad as Fail"),
                        ]),
                    ),
                ]),
            ],
            Absent::Value("off"),
            "Whether SPF must confirm the domain of the envelope's sender. Pass is accepted; Fail, None, Neutral and PermError are refused, because nothing is proven; TempError is refused for now; what SoftFail means has to be decided. With or without it the author in From: must be of the sender's domain or be confirmed by DMARC.",
            "spoofing-protection on softfail reject",
        ),
        Directive::new(
            "user",
            &[
                block(&[one("address", Kind::Address)], &FAX_USER),
                values(&[one("address", Kind::Address)]),
            ],
            Absent::Derived("no users"),
            "A user of the account, by the sender address.",
            "user ann@example.com { number \"+1 202 555 0101\" }",
        )
        .repeatable(),
        Directive::new(
            "trusted-domains",
            &[values(&[many("domain", Kind::Domain)])],
            Absent::Derived("none"),
            "Domains, each exactly as written, whose every address may send faxes without being a user, with the settings and the main number of the account. Needs `mail-server-white-list` or `spoofing-protection on`.",
            "trusted-domains example.com",
        ),
        Directive::new(
            "language",
            &[values(&[one("which", LANGUAGES)])],
            Absent::Value("en"),
            "The language of cover pages.",
            "language fr",
        ),
        Directive::new(
            "cover",
            &[values(&[one("when", COVERS)])],
            Absent::Value("text"),
            "When there is a cover page, unless the sender asks for something else.",
            "cover always",
        ),
        Directive::new(
            "confidentiality",
            &[values(&[one("text", Kind::Text)])],
            Absent::Derived("a text of the language"),
            "What the foot of cover pages says about confidentiality.",
            "confidentiality \"For the addressee only.\"",
        ),
        Directive::new(
            "subject",
            &[values(&[one(
                "where",
                Kind::OneOf(&[
                    ("shown", "on cover pages and in notices"),
                    ("private", "nowhere; notices then say nothing of the content at all"),
                ]),
            )])],
            Absent::Value("shown"),
            "Whether the subject of the mail is printed and repeated. The subject of a hospital's mail often names a patient.",
            "subject private",
        ),
        Directive::new(
            "resolution",
            &[values(&[one("which", RESOLUTIONS)])],
            Absent::Value("fine"),
            "How fine the pages are, unless the sender asks for something else.",
            "resolution standard",
        ),
        Directive::new(
            "paper",
            &[values(&[one(
                "size",
                Kind::OneOf(&[("a4", "210 by 297 mm"), ("letter", "8.5 by 11 inches")]),
            )])],
            Absent::Value("a4"),
            "The size of the pages, unless the sender asks for something else.",
            "paper letter",
        ),
        Directive::new(
            "pages",
            &[values(&[one("number", Kind::Number(Bounds { min: 1, max: 1_000, off: false }))])],
            Absent::Value("200"),
            "The most pages of one fax; a message that would have more is returned.",
            "pages 50",
        ),
        Directive::new(
            "allow-numbers",
            &[values(&[many("prefix", Kind::Text)])],
            Absent::Derived("all numbers"),
            "If written, only numbers that begin like one of these are called.",
            "allow-numbers +1 +44",
        ),
        Directive::new(
            "deny-numbers",
            &[values(&[many("prefix", Kind::Text)])],
            Absent::Derived("none"),
            "Numbers that begin like one of these are not called. Emergency numbers never are.",
            "deny-numbers +1876",
        ),
        Directive::new(
            "costly-numbers",
            &[values(&[one("allowed", Kind::Switch)])],
            Absent::Value("off"),
            "Whether premium-rate numbers and satellite networks may be called.",
            "costly-numbers on",
        ),
        Directive::new(
            "transport",
            &[
                values(&[keyword("none")]),
                values(&[keyword("spool"), one("folder", Kind::Path)]),
                values(&[
                    keyword("hylafax"),
                    one("server", Kind::Target),
                    keyword("credentials"),
                    one("name", Kind::Name),
                ]),
                values(&[keyword("hylafax"), one("server", Kind::Target)]),
            ],
            Absent::Value("none"),
            "What carries the faxes. `none`: they wait until there is a transport, and are never called sent. `spool`: each is put into a folder for another program, which answers with a file. `hylafax`: a HylaFAX server by its own protocol, port 4559 unless written; the protocol has no TLS, so let it be on this machine or behind a tunnel.",
            "transport hylafax 127.0.0.1",
        ),
        Directive::new(
            "notices",
            &[
                values(&[keyword("off")]),
                values(&[many(
                    "event",
                    Kind::OneOf(&[
                        ("accepted", "the fax is drawn and waits for a line"),
                        ("sent", "every page was confirmed"),
                        ("failed", "it will not be sent"),
                    ]),
                )]),
            ],
            Absent::Value("accepted sent failed"),
            "What the sender gets a mail about.",
            "notices sent failed",
        ),
    ],
};

/// `user ADDRESS { }` inside `fax`.
pub static FAX_USER: Context = Context {
    name: "user",
    doc: "What is a fax user's own.",
    entry: None,
    ordered: false,
    directives: &[
        Directive::new(
            "number",
            &[values(&[one("digits", Kind::Text)])],
            Absent::Derived("the main number of the account"),
            "The number shown to the other machine.",
            "number \"+1 202 555 0101\"",
        ),
        Directive::new(
            "language",
            &[values(&[one("which", LANGUAGES)])],
            Absent::Derived("that of the account"),
            "The language of this user's cover pages.",
            "language fr",
        ),
        Directive::new(
            "cover",
            &[values(&[one("when", COVERS)])],
            Absent::Derived("as the account has it"),
            "When this user's faxes have a cover page.",
            "cover never",
        ),
        Directive::new(
            "resolution",
            &[values(&[one("which", RESOLUTIONS)])],
            Absent::Derived("that of the account"),
            "How fine this user's pages are.",
            "resolution superfine",
        ),
    ],
};
