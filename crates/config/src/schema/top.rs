//! Directives outside all blocks, and the small blocks.

use super::{
    ARC_SEALING, Absent, BANS, Context, DELIVERY, DIRECTORY, DMARC_REPORTS, DNSBL, Directive, FAX,
    FAX_GATEWAY, FAX_PROVIDER, FLOW, FORCE_ENCRYPT, GREYLISTING, HOLDING, LIMITS, LISTENER, MILTER,
    QUARANTINE, QUEUE, QUOTA, RATE_CLASS, REPUTATION, RULES, SCANNER, SCANNING, SIGN_IN, SIGNING,
    SIZE_LIMITS, SRS, TABLE, TIMEOUTS, URIBL, block, keyword, lines, many, one, values,
};
use crate::value::{Bounds, Kind};

/// The words of a level of protection, as in rules.
pub(super) const LEVELS: &[(&str, &str)] = &[
    ("none", "TLS is not tried"),
    ("opportunistic", "TLS if the other side can"),
    ("required", "TLS with any certificate, or not at all"),
    ("verified", "TLS with a proven certificate, or not at all"),
];

/// Everything outside blocks.
pub static TOP: Context = Context {
    name: "the file",
    doc: "Directives outside all blocks.",
    entry: None,
    ordered: false,
    directives: &[
        Directive::new(
            "hostname",
            &[values(&[one("name", Kind::Domain)])],
            Absent::Required,
            "This server's name: in greetings, EHLO, Received fields and notifications. It should resolve to this server's addresses, and they back to it.",
            "hostname mail.example.com",
        ),
        Directive::new(
            "postmaster",
            &[values(&[one("address", Kind::Address)])],
            Absent::Derived("postmaster at the host name"),
            "Who looks after the mail here. Notifications name this address, and mail to `postmaster` without a domain goes there (RFC 5321 section 4.5.1).",
            "postmaster postmaster@example.com",
        ),
        Directive::new(
            "data",
            &[values(&[one("folder", Kind::Path)])],
            Absent::Value("/var/lib/mailkeep"),
            "The folder of everything the server keeps: queue, mailboxes, evidence, accounts, keys.",
            "data /srv/mailkeep",
        ),
        Directive::new(
            "control",
            &[values(&[keyword("off")]), values(&[one("socket", Kind::Path)])],
            Absent::Derived("`control.sock` in the data folder"),
            "The Unix socket through which `mailkeep queue`, `account` and other commands reach the running server.",
            "control /run/mailkeep/control.sock",
        ),
        Directive::new(
            "authserv-id",
            &[values(&[one("name", Kind::Domain)])],
            Absent::Derived("the host name"),
            "The name under which this server writes Authentication-Results (RFC 8601 section 2.5). Fields of that name that arrive from outside are removed.",
            "authserv-id example.com",
        ),
        Directive::new(
            "greeting",
            &[values(&[one("text", Kind::Text)])],
            Absent::Value("\"Mailkeep\""),
            "The words after the host name in the greeting of SMTP.",
            "greeting \"ESMTP ready\"",
        ),
        Directive::new(
            "tls-policy",
            &[values(&[one(
                "policy",
                Kind::OneOf(&[
                    ("modern", "TLS 1.3 and 1.2, what Mozilla calls intermediate"),
                    ("strict", "TLS 1.3 only"),
                ]),
            )])],
            Absent::Value("modern"),
            "Which TLS is spoken, in and out, where `tls-versions` says nothing else. All suites have forward secrecy and AEAD, and key exchange is hybrid post-quantum where the other side can.",
            "tls-policy strict",
        ),
        Directive::new(
            "trusted-networks",
            &[values(&[many("network", Kind::Network)])],
            Absent::Derived("none, not even loopback"),
            "Clients that may relay without signing in. Every program on these machines can then send mail in your name.",
            "trusted-networks 10.20.0.0/16 2001:db8:20::/48",
        ),
        Directive::new(
            "ca-bundle",
            &[values(&[one("file", Kind::Path)])],
            Absent::Derived("only the system's authorities are trusted"),
            "Certificate authorities trusted beside those of the system when a peer's certificate is verified; PEM.",
            "ca-bundle /etc/mailkeep/authorities.pem",
        ),
        Directive::new(
            "include",
            &[values(&[one("files", Kind::Text)])],
            Absent::Derived("nothing"),
            "Reads other files as if their text stood here. The name may hold `*` and `?` in its last part; a relative one starts at the folder of this file. Also allowed inside `rules`.",
            "include domains/*.conf",
        )
        .repeatable(),
        Directive::new(
            "dns",
            &[block(&[], &DNS)],
            Absent::Derived("its defaults"),
            "How names are looked up.",
            "dns { server 127.0.0.1:5353 }",
        ),
        Directive::new(
            "hosts",
            &[block(&[], &HOSTS)],
            Absent::Derived("nothing"),
            "Addresses of names, used instead of DNS.",
            "hosts { smarthost.example.com 192.0.2.25 }",
        ),
        Directive::new(
            "mx",
            &[block(&[], &MX)],
            Absent::Derived("nothing"),
            "Where mail for a domain goes instead of to the MX hosts that DNS names.",
            "mx { partner.example 192.0.2.25:2525 }",
        ),
        Directive::new(
            "credentials",
            &[block(&[one("name", Kind::Name)], &CREDENTIALS)],
            Absent::Derived("none"),
            "A user name and password to sign in with at a smart host.",
            "credentials smarthost { user mailkeep; password env:SMARTHOST_PASSWORD }",
        )
        .repeatable(),
        Directive::new(
            "certificate",
            &[block(&[one("name", Kind::Name)], &CERTIFICATE)],
            Absent::Derived("none"),
            "A certificate that listeners, and rules with `relay-host`, use by its name. Files are read again when they change, without dropping a session.",
            "certificate mail { file mail.pem; key mail.key }",
        )
        .repeatable(),
        Directive::new(
            "listener",
            &[block(&[one("name", Kind::Name)], &LISTENER)],
            Absent::Derived("none; the server then takes no mail"),
            "An address and port where the server takes mail.",
            "listener mx { port 25; tls starttls; certificate mail }",
        )
        .repeatable(),
        Directive::new(
            "domain",
            &[block(&[one("name", Kind::Domain)], &DOMAIN)],
            Absent::Derived("none; every recipient is then relaying"),
            "A domain that is ours: mail for it is taken from everyone.",
            "domain example.com { mailboxes local }",
        )
        .repeatable(),
        Directive::new(
            "directory",
            &[block(&[one("name", Kind::Name)], &DIRECTORY)],
            Absent::Derived("none"),
            "An LDAP directory that knows people of our domains.",
            "directory staff { server ldaps://dc1.example.com; domains example.com; base \"DC=example,DC=com\" }",
        )
        .repeatable(),
        Directive::new(
            "sign-in",
            &[block(&[], &SIGN_IN)],
            Absent::Derived("its defaults"),
            "How accounts sign in, and what their passwords must be.",
            "sign-in { password-length 16 }",
        ),
        Directive::new(
            "fax-provider",
            &[block(&[one("name", Kind::Name)], &FAX_PROVIDER)],
            Absent::Derived("none"),
            "A provider that faxes by HTTPS, for `transport provider NAME`.",
            "fax-provider line { send https://api.provider.example/faxes }",
        )
        .repeatable(),
        Directive::new(
            "fax-gateway",
            &[block(&[one("name", Kind::Name)], &FAX_GATEWAY)],
            Absent::Derived("none"),
            "A gateway that faxes by T.38, for `transport t38 NAME` and `from t38 NAME`.",
            "fax-gateway trunk { server sip.example.net; listen 192.0.2.10 }",
        )
        .repeatable(),
        Directive::new(
            "fax",
            &[block(&[one("name", Kind::Name)], &FAX)],
            Absent::Derived("none; nothing is faxed"),
            "An enterprise account that turns mail into faxes.",
            "fax clinic { domains fax.example.com; organisation \"Clinic\"; main-number +12025550100; country US; user ann@example.com; mail-server-white-list 10.20.0.0/16 }",
        )
        .repeatable(),
        Directive::new(
            "table",
            &[
                values(&[
                    one("name", Kind::Name),
                    one("kind", TABLE_KIND),
                    keyword("file"),
                    one("path", Kind::Path),
                ]),
                lines(&[one("name", Kind::Name), one("kind", TABLE_KIND)], &TABLE),
            ],
            Absent::Derived("none"),
            "A list that rules look in with `in table NAME`: in a block, or in a file, one entry a line.",
            "table partners domains { partner.example }",
        )
        .repeatable(),
        Directive::new(
            "rules",
            &[block(&[], &RULES)],
            Absent::Derived("the built-in rules only"),
            "The rules, read top to bottom. Several `rules` blocks are read one after the other.",
            "rules { rule all { accept } }",
        )
        .repeatable(),
        Directive::new(
            "force-encrypt",
            &[
                values(&[keyword("file"), one("path", Kind::Path)]),
                lines(&[], &FORCE_ENCRYPT),
            ],
            Absent::Derived("nothing"),
            "Domains and addresses that get and send mail only under TLS: in a block, or in a file, one entry a line.",
            "force-encrypt { partner.example }",
        )
        .repeatable(),
        Directive::new(
            "limits",
            &[block(&[], &LIMITS)],
            Absent::Derived("its defaults"),
            "What one client may ask of the server, on every listener without limits of its own.",
            "limits { message 25MB }",
        ),
        Directive::new(
            "size-limits",
            &[block(&[one("name", Kind::Name)], &SIZE_LIMITS)],
            Absent::Derived("none; the limits of the listener hold"),
            "How large messages may be, by direction, domain or account.",
            "size-limits scanners { accounts scanner@example.com; message 100MB }",
        )
        .repeatable(),
        Directive::new(
            "quota",
            &[block(&[one("name", Kind::Name)], &QUOTA)],
            Absent::Derived("none"),
            "How much each account may send in a time.",
            "quota sending { messages 100 per hour }",
        )
        .repeatable(),
        Directive::new(
            "flow",
            &[block(&[], &FLOW)],
            Absent::Derived("its defaults"),
            "Which clients are let in before anything is said.",
            "flow { deny 198.51.100.0/24 }",
        ),
        Directive::new(
            "bans",
            &[block(&[], &BANS)],
            Absent::Derived("its defaults"),
            "When a client is turned away for a time.",
            "bans { incidents 5 }",
        ),
        Directive::new(
            "timeouts",
            &[block(&[], &TIMEOUTS)],
            Absent::Derived("its defaults"),
            "How long the server waits.",
            "timeouts { command 1m }",
        ),
        Directive::new(
            "queue",
            &[block(&[], &QUEUE)],
            Absent::Derived("its defaults"),
            "How long mail waits, how often it is tried, and when its sender is told.",
            "queue { retry 1m 5m 30m; lifetime 2d }",
        ),
        Directive::new(
            "delivery",
            &[block(&[], &DELIVERY)],
            Absent::Derived("its defaults"),
            "How mail leaves.",
            "delivery { default-encryption required }",
        ),
        Directive::new(
            "rate-class",
            &[block(&[one("name", Kind::Name)], &RATE_CLASS)],
            Absent::Derived("none"),
            "A class that the action `rate-class` puts messages in, to send them at a slower rate.",
            "rate-class bulk { messages 100; period 1h }",
        )
        .repeatable(),
        Directive::new(
            "signing",
            &[block(&[], &SIGNING)],
            Absent::Derived("nothing is signed"),
            "Which mail of ours leaves with DKIM signatures.",
            "signing { sign example.com }",
        ),
        Directive::new(
            "srs",
            &[block(&[], &SRS)],
            Absent::Derived("senders are not rewritten"),
            "Rewrites the sender of mail that is sent on to another domain.",
            "srs { domain srs.example.com }",
        ),
        Directive::new(
            "milter",
            &[block(&[one("name", Kind::Name)], &MILTER)],
            Absent::Derived("none"),
            "A filter that sees each message and may change it, by the Sendmail milter protocol.",
            "milter opendkim { at unix:/run/opendkim/opendkim.sock }",
        )
        .repeatable(),
        Directive::new(
            "scanner",
            &[block(&[one("name", Kind::Name)], &SCANNER)],
            Absent::Derived("none"),
            "A virus or spam scanner that is asked about each message.",
            "scanner clamav { type clamd; at unix:/run/clamav/clamd.ctl }",
        )
        .repeatable(),
        Directive::new(
            "scanning",
            &[block(&[], &SCANNING)],
            Absent::Derived("its defaults"),
            "What happens to what scanners find.",
            "scanning { virus quarantine }",
        ),
        Directive::new(
            "dnsbl",
            &[block(&[one("name", Kind::Name)], &DNSBL)],
            Absent::Derived("none"),
            "A list of clients.",
            "dnsbl zen.spamhaus.org { action reject }",
        )
        .repeatable(),
        Directive::new(
            "uribl",
            &[block(&[one("name", Kind::Name)], &URIBL)],
            Absent::Derived("none"),
            "A list of domains, for the links in messages.",
            "uribl dbl.spamhaus.org { test-listed dbltest.com; test-unlisted example.com }",
        )
        .repeatable(),
        Directive::new(
            "greylisting",
            &[block(&[], &GREYLISTING)],
            Absent::Derived("strangers are treated like everyone"),
            "Asks strangers to come again.",
            "greylisting { delay 5m }",
        ),
        Directive::new(
            "reputation",
            &[block(&[], &REPUTATION)],
            Absent::Derived("nothing is remembered, and everyone's score is 50"),
            "Remembers what came of the mail of senders.",
            "reputation { half-life 7d }",
        ),
        Directive::new(
            "arc-sealing",
            &[block(&[], &ARC_SEALING)],
            Absent::Derived("nothing is sealed"),
            "Seals mail that passes through to named partners.",
            "arc-sealing { for partner.example; domain example.com }",
        ),
        Directive::new(
            "dmarc-reports",
            &[block(&[], &DMARC_REPORTS)],
            Absent::Derived("reports are mail like any other"),
            "Aggregate reports about who sends mail in the name of a domain.",
            "dmarc-reports { receive-at dmarc@example.com }",
        ),
        Directive::new(
            "holding",
            &[block(&[], &HOLDING)],
            Absent::Derived("its defaults"),
            "When the outgoing mail of an account is held.",
            "holding { first-time-recipients 100 }",
        ),
        Directive::new(
            "quarantine",
            &[block(&[], &QUARANTINE)],
            Absent::Derived("its defaults"),
            "How long mail that was set aside is kept.",
            "quarantine { keep 14d }",
        ),
        Directive::new(
            "evidence",
            &[block(&[], &EVIDENCE)],
            Absent::Derived("its defaults"),
            "The record of what was decided and seen at every hop.",
            "evidence { checkpoint-every 5m }",
        ),
        Directive::new(
            "sender-authentication",
            &[block(&[], &super::SENDER_AUTHENTICATION)],
            Absent::Derived("its defaults, with loopback exempt"),
            "Whether mail is from whom it says: SPF, DKIM, DMARC and ARC.",
            "sender-authentication { mode annotate }",
        ),
        Directive::new(
            "log",
            &[block(&[], &LOG)],
            Absent::Derived("its defaults"),
            "What the server writes to standard error, for journald or a container's log.",
            "log { format json }",
        ),
    ],
};

const TABLE_KIND: Kind = Kind::OneOf(&[
    ("domains", "domains, and with a leading dot the names below one"),
    ("addresses", "mail addresses"),
    ("networks", "IP addresses and networks"),
    ("patterns", "texts with * and ?, or regular expressions between slashes"),
]);

/// `dns { }`
pub static DNS: Context = Context {
    name: "dns",
    doc: "How names are looked up.",
    entry: None,
    ordered: false,
    directives: &[
        Directive::new(
            "server",
            &[values(&[many("address", Kind::Socket { port: 53 })])],
            Absent::Derived("the system's resolvers"),
            "Resolvers, asked in turn.",
            "server 127.0.0.1:5353 192.0.2.53",
        ),
        Directive::new(
            "timeout",
            &[values(&[one("time", Kind::Time(Bounds::new(50, 60_000)))])],
            Absent::Value("5s"),
            "How long one question waits for its answer.",
            "timeout 2s",
        ),
        Directive::new(
            "attempts",
            &[values(&[one("count", Kind::Number(Bounds::new(1, 10)))])],
            Absent::Value("2"),
            "How often a question is asked before it has failed; mail then waits.",
            "attempts 3",
        ),
        Directive::new(
            "cache",
            &[values(&[one("switch", Kind::Switch)])],
            Absent::Value("on"),
            "Whether answers are kept for their time to live. A time of 0 is never kept.",
            "cache off",
        ),
    ],
};

/// `hosts { }`
pub static HOSTS: Context = Context {
    name: "hosts",
    doc: "One name a line, with its addresses: `smarthost.example.com 192.0.2.25 2001:db8::25`.",
    directives: &[],
    entry: Some(&Directive::new(
        "",
        &[values(&[one("name", Kind::Domain), many("address", Kind::Ip)])],
        Absent::Derived("nothing"),
        "A name and its addresses.",
        "smarthost.example.com 192.0.2.25",
    )),
    ordered: false,
};

/// `mx { }`
pub static MX: Context = Context {
    name: "mx",
    doc: "One domain a line, with the hosts that take its mail, first choice first: `partner.example mx1.partner.example 192.0.2.25:2525`. The port is that of `delivery { port }` unless written.",
    directives: &[],
    entry: Some(&Directive::new(
        "",
        &[values(&[one("domain", Kind::Domain), many("host", Kind::Target)])],
        Absent::Derived("nothing"),
        "A domain and where its mail goes.",
        "partner.example 192.0.2.25:2525",
    )),
    ordered: false,
};

/// `credentials NAME { }`
pub static CREDENTIALS: Context = Context {
    name: "credentials",
    doc: "A user name and where the password is kept.",
    entry: None,
    ordered: false,
    directives: &[
        Directive::new(
            "user",
            &[values(&[one("text", Kind::Text)])],
            Absent::Required,
            "The user name.",
            "user mailkeep@example.com",
        ),
        Directive::new(
            "password",
            &[values(&[one("secret", Kind::Secret)])],
            Absent::Required,
            "Where the password is kept. It is never written into the configuration.",
            "password credential:smarthost",
        ),
    ],
};

/// `certificate NAME { }`
pub static CERTIFICATE: Context = Context {
    name: "certificate",
    doc: "Either `file` and `key`, or `local-authority` and `names`.",
    entry: None,
    ordered: false,
    directives: &[
        Directive::new(
            "file",
            &[values(&[one("path", Kind::Path)])],
            Absent::Derived("see `local-authority`"),
            "The certificate and its chain, leaf first; PEM.",
            "file /etc/mailkeep/tls/mail.pem",
        ),
        Directive::new(
            "key",
            &[values(&[one("path", Kind::Path)])],
            Absent::Derived("see `local-authority`"),
            "The private key; PEM.",
            "key /etc/mailkeep/tls/mail.key",
        ),
        Directive::new(
            "local-authority",
            &[values(&[])],
            Absent::Derived("`file` and `key` name a certificate"),
            "The certificate is made and renewed by an authority of the server's own, whose `ca.pem` lies in the data folder. For tests, demonstrations and closed networks.",
            "local-authority",
        ),
        Directive::new(
            "names",
            &[values(&[many("domain", Kind::Domain)])],
            Absent::Derived("the host name, with `local-authority`"),
            "The host names that the local authority puts into the certificate.",
            "names mail.example.com",
        ),
    ],
};

/// `domain NAME { }`
pub static DOMAIN: Context = Context {
    name: "domain",
    doc: "Where the mail of a domain of ours goes.",
    entry: None,
    ordered: false,
    directives: &[
        Directive::new(
            "mailboxes",
            &[values(&[keyword("local")])],
            Absent::Derived("`local`, unless `deliver-to` is written"),
            "The mailboxes are kept here, one for each account.",
            "mailboxes local",
        ),
        Directive::new(
            "deliver-to",
            &[
                values(&[keyword("maildir"), one("folder", Kind::Path)]),
                values(&[keyword("lmtp"), one("server", Kind::Lmtp)]),
                values(&[keyword("smtp"), many("host", Kind::Target)]),
            ],
            Absent::Derived("`mailboxes local`"),
            "The mail goes elsewhere: `maildir` to a Maildir for each local part below a folder, `lmtp` to an LMTP server, `smtp` to a mail server behind this one (ports 24 and 25 unless written).",
            "deliver-to lmtp unix:/run/dovecot/lmtp",
        ),
        Directive::new(
            "recipients",
            &[values(&[one(
                "which",
                Kind::OneOf(&[
                    ("accounts", "those with an account here; others are refused"),
                    ("any", "all; where the mailboxes are local, one is made for each"),
                ]),
            )])],
            Absent::Derived("`accounts` for `mailboxes local`, else `any`"),
            "Which recipients are taken.",
            "recipients accounts",
        ),
        Directive::new(
            "catch-all",
            &[values(&[one("address", Kind::Address)])],
            Absent::Derived("unknown recipients are refused"),
            "Who gets mail for recipients that have no account.",
            "catch-all office@example.com",
        ),
        Directive::new(
            "encryption",
            &[values(&[one("level", Kind::OneOf(LEVELS))])],
            Absent::Derived("`opportunistic`"),
            "The protection demanded on the way to the server that `deliver-to` names.",
            "encryption required",
        ),
    ],
};

/// `evidence { }`
pub static EVIDENCE: Context = Context {
    name: "evidence",
    doc: "The record of what was decided and seen at every hop.",
    entry: None,
    ordered: false,
    directives: &[
        Directive::new(
            "record",
            &[values(&[one("switch", Kind::Switch)])],
            Absent::Value("on"),
            "Whether evidence is kept. Without it `trace` and `ledger check` know nothing.",
            "record off",
        ),
        Directive::new(
            "checkpoint-every",
            &[values(&[one("time", Kind::Time(Bounds::seconds(1, 86_400)))])],
            Absent::Value("1m"),
            "The longest time between two signed checkpoints, while entries are written.",
            "checkpoint-every 5m",
        ),
        Directive::new(
            "checkpoint-entries",
            &[values(&[one("count", Kind::Number(Bounds::new(1, 1_000_000)))])],
            Absent::Value("1000"),
            "The most entries between two signed checkpoints.",
            "checkpoint-entries 100",
        ),
    ],
};

/// `log { }`
pub static LOG: Context = Context {
    name: "log",
    doc: "What the server writes to standard error.",
    entry: None,
    ordered: false,
    directives: &[
        Directive::new(
            "format",
            &[values(&[one(
                "form",
                Kind::OneOf(&[("text", "lines for people"), ("json", "one JSON object a line")]),
            )])],
            Absent::Value("text"),
            "The form of a line. The fixed `security:` lines for Fail2Ban are the same in both.",
            "format json",
        ),
        Directive::new(
            "level",
            &[values(&[one(
                "least",
                Kind::OneOf(&[
                    ("error", "what needs someone now"),
                    ("warn", "what needs someone soon"),
                    ("info", "each message and sign-in"),
                    ("debug", "each step"),
                    ("trace", "each line of a session that holds no secret"),
                ]),
            )])],
            Absent::Value("info"),
            "The least level that is written.",
            "level debug",
        ),
    ],
};
