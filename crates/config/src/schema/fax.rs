//! Email to fax.

use super::{Absent, Argument, Context, Directive, block, keyword, many, one, values};
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
/// A time up to ten years.
const KEPT: Kind = Kind::Time(Bounds::seconds(1, 3_650 * 24 * 3_600).or_off());
/// A time up to 90 days.
const DECIDED: Kind = Kind::Time(Bounds::seconds(1, 90 * 24 * 3_600));
/// A line that the modem tells of a call.
const CALL_ID: Kind = Kind::Number(Bounds { min: 1, max: 8, off: false });
const LANGUAGES: Kind = Kind::OneOf(&[("en", "English"), ("fr", "French")]);

// The parts of `transport` and `from`.
const FOLDER: Argument = one("folder", Kind::Path);
const SERVER: Argument = one("server", Kind::Target);
const SIGNS_IN: Argument = keyword("credentials");
const NAME: Argument = one("name", Kind::Name);
const FOR: Argument = keyword("for");
const PREFIXES: Argument = many("prefixes", Kind::Text);

/// `fax NAME { }`
pub static FAX: Context = Context {
    name: "fax",
    doc: "An enterprise account that turns mail into faxes: `2025550100@fax.example.com` rings 202 555 0100. Who may send is decided by the Mail Server White List, Spoofing Protection and the users and trusted domains together; whatever is set must be met.",
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
            "area-code",
            &[values(&[one("digits", Kind::Text)])],
            Absent::Derived("none: seven digits are refused"),
            "What stands before numbers of seven digits in countries of the North American plan, whose code is +1. Without it such a number is refused in words: seven digits are dialled nowhere as they are.",
            "area-code 202",
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
            "requests-end",
            &[values(&[one("time", DECIDED)])],
            Absent::Value("14d"),
            "How long a request to trust domains (`mailkeep fax request`) waits for another administrator before it ends.",
            "requests-end 3d",
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
            "cover-template",
            &[values(&[one("language", LANGUAGES), one("file", Kind::Path)])],
            Absent::Derived("a template of the program's for each language"),
            "A template of your own for cover pages in a language. Its lines are `title LEFT | RIGHT`, `field LABEL | VALUE` (left out where the value is empty), `rule`, `body` (the text of the mail begins here) and `notice TEXT` (small, at the foot); `{to}`, `{company}`, `{number}`, `{from}`, `{organisation}`, `{from_number}`, `{date}`, `{pages}`, `{subject}`, `{billing}` and `{notice}` stand for their values. It is read with the configuration.",
            "cover-template fr /etc/mailkeep/cover-fr.txt",
        )
        .repeatable(),
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
            "fonts",
            &[values(&[many("file", Kind::Path)])],
            Absent::Derived("the fonts of the program alone"),
            "Font files (TrueType, OpenType or a collection, at most eight of 32 MiB) for what the fonts of the program do not have, in the order in which they are asked. The program's own, DejaVu, have Latin, Greek, Cyrillic, Armenian, Georgian, Arabic and Hebrew. For Chinese, Japanese and Korean name a font of the system's, such as `fonts-noto-cjk` or `fonts-wqy-microhei` of Debian. What is in no font is a box on the page, and the sender is warned.",
            "fonts /usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
        ),
        Directive::new(
            "office",
            &[values(&[keyword("off")]), values(&[one("program", Kind::Path)])],
            Absent::Value("/usr/bin/soffice"),
            "LibreOffice, which makes PDF of attached docx, doc, odt, rtf, xlsx, xls, ods, pptx, ppt and odp files; Debian has it as `libreoffice-writer-nogui`, `libreoffice-calc-nogui` and `libreoffice-impress-nogui`. Where the program is not installed, or with `off`, such mail comes back and asks for a PDF. It runs once for each file with a profile of its own, without network and macros, for at most 90 seconds, and needs `unshare`, `prlimit` and `setpriv` of util-linux.",
            "office off",
        ),
        Directive::new(
            "bad-attachments",
            &[values(&[one(
                "choice",
                Kind::OneOf(&[
                    ("refuse", "the message is not faxed at all and comes back with the reason"),
                    ("leave-out", "the rest is faxed, and says what is not there and why"),
                ]),
            )])],
            Absent::Value("refuse"),
            "What becomes of a message with an attachment that cannot become pages: of another type, damaged, with a password, too large, with too many pages. What is left out is named above the text, in the language of the cover page, and in the notices to the sender; with `subject private` without its file's name. Where nothing is left, the message comes back.",
            "bad-attachments leave-out",
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
                values(&[keyword("spool"), FOLDER, FOR, PREFIXES]),
                values(&[keyword("spool"), FOLDER]),
                values(&[keyword("hylafax"), SERVER, SIGNS_IN, NAME, FOR, PREFIXES]),
                values(&[keyword("hylafax"), SERVER, FOR, PREFIXES]),
                values(&[keyword("hylafax"), SERVER, SIGNS_IN, NAME]),
                values(&[keyword("hylafax"), SERVER]),
                values(&[keyword("t37"), one("domain", Kind::Domain), FOR, PREFIXES]),
                values(&[keyword("t37"), one("domain", Kind::Domain)]),
                values(&[keyword("provider"), NAME, FOR, PREFIXES]),
                values(&[keyword("provider"), NAME]),
                values(&[keyword("t38"), NAME, FOR, PREFIXES]),
                values(&[keyword("t38"), NAME]),
            ],
            Absent::Value("none"),
            "What carries the faxes. `none`: they wait until there is a transport, and are never called sent. `spool`: each is put into a folder for another program, which answers with a file. `hylafax`: a HylaFAX server by its own protocol, port 4559 unless written; the protocol has no TLS, so let it be on this machine or behind a tunnel. `t37`: each is mailed as a TIFF to an off-ramp, `FAX=+12025550123@DOMAIN`, by the same routes and under the same demands as all mail, Force Encrypt with them; it is handed over then, and sent when the off-ramp reports it. `provider`: a provider that faxes by HTTPS, see `fax-provider`. `t38`: a gateway that is called by SIP, see `fax-gateway`. Written more than once: `for +1 +44` limits a transport to numbers that begin so; the longest beginning wins, then the order; where a transport is down, the next one that fits is tried.",
            "transport hylafax 127.0.0.1",
        )
        .repeatable(),
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
        Directive::new(
            "notice-pages",
            &[values(&[one("attached", Kind::Switch)])],
            Absent::Value("off"),
            "Whether notices that a fax was sent or has failed have its pages as PDF. Not beside `subject private`.",
            "notice-pages on",
        ),
        Directive::new(
            "inbound",
            &[block(&[], &FAX_INBOUND)],
            Absent::Derived("no faxes come in"),
            "How faxes that come in are fetched, and who gets them as mail with a PDF of the pages.",
            "inbound {\n    from hylafax 127.0.0.1\n    catch-all reception@example.com\n}",
        ),
        Directive::new(
            "keep-pages",
            &[values(&[one("time", KEPT)])],
            Absent::Value("7d"),
            "How long the drawn pages of a fax are kept after it has ended. What is known of it stays without them. `off` keeps them until somebody removes them.",
            "keep-pages 30d",
        ),
        Directive::new(
            "keep-records",
            &[values(&[one("time", KEPT)])],
            Absent::Value("400d"),
            "How long `mailkeep fax` knows of a fax after it has ended: number, sender, result, billing code. The evidence stays as long as evidence does.",
            "keep-records off",
        ),
    ],
};

/// `inbound { }` inside `fax`.
pub static FAX_INBOUND: Context = Context {
    name: "inbound",
    doc: "Faxes that come in become mail: to whom `route` names for the called number, else to the user whose number it is, else to `catch-all`. Each is taken once.",
    entry: None,
    ordered: false,
    directives: &[
        Directive::new(
            "from",
            &[
                values(&[keyword("hylafax"), SERVER, SIGNS_IN, NAME]),
                values(&[keyword("hylafax"), SERVER]),
                values(&[keyword("t38"), NAME]),
            ],
            Absent::Required,
            "`t38`: this server is called by a `fax-gateway`, and the account gets the calls to its numbers; calls to numbers that no account has are for the first. No page is confirmed to the caller before it is on the disk. `hylafax`: the HylaFAX server, port 4559 unless written. The protocol has no TLS: use it on this machine or through a tunnel. Received files must be readable for who signs in (`RecvFileMode: 0644` of the modem).",
            "from hylafax 127.0.0.1",
        ),
        Directive::new(
            "every",
            &[values(&[one("time", Kind::Time(Bounds::seconds(1, 3_600)))])],
            Absent::Value("30s"),
            "How long between two looks at HylaFAX.",
            "every 10s",
        ),
        Directive::new(
            "called",
            &[values(&[one("line", CALL_ID)])],
            Absent::Value("4"),
            "Which `CallIDPattern` of the modem's configuration is the called number, from 1. In HylaFAX's own templates `NDID=` is the fourth.",
            "called 2",
        ),
        Directive::new(
            "caller",
            &[values(&[one("line", CALL_ID)])],
            Absent::Value("1"),
            "Which `CallIDPattern` of the modem's configuration is the caller's number, from 1. In HylaFAX's own templates `NMBR=` is the first.",
            "caller 2",
        ),
        Directive::new(
            "route",
            &[values(&[one("number", Kind::Text), one("address", Kind::Address)])],
            Absent::Derived("the numbers of users"),
            "Who gets the faxes to a number. Goes before the numbers of users.",
            "route \"+1 202 555 0102\" laboratory@example.com",
        )
        .repeatable(),
        Directive::new(
            "catch-all",
            &[values(&[one("address", Kind::Address)])],
            Absent::Required,
            "Who gets the faxes to a number that nobody has, or that the line did not tell.",
            "catch-all reception@example.com",
        ),
        Directive::new(
            "junk",
            &[values(&[many("prefix", Kind::Text)])],
            Absent::Derived("nobody"),
            "Faxes of callers whose numbers begin like one of these are taken and given to nobody. The evidence has an entry for each.",
            "junk +1876 +442079460000",
        ),
        Directive::new(
            "delete",
            &[values(&[one("taken", Kind::Switch)])],
            Absent::Value("off"),
            "Whether a file is removed from the server once its mail is on the disk here. HylaFAX lets administrators do that alone: give the credentials an administrator's password in `hosts.hfaxd`, the same as the user's.",
            "delete on",
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
