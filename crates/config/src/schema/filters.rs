//! Directives of milters, scanners and what follows from them.

use super::{Absent, Context, Directive, many, one, values};
use crate::value::{Bounds, Kind};

const HOUR: u64 = 3_600;
/// How long a filter may be waited for.
const PATIENCE: Kind = Kind::Time(Bounds::new(10, HOUR * 1_000));

/// `milter NAME { }`
pub static MILTER: Context = Context {
    name: "milter",
    doc: "A filter that speaks the Sendmail milter protocol. Milters are asked in the order in which they are written, each after the changes of those before it.",
    entry: None,
    ordered: false,
    directives: &[
        Directive::new(
            "at",
            &[values(&[one("place", Kind::Text)])],
            Absent::Required,
            "Where it listens: `HOST:PORT` or `unix:/PATH`.",
            "at unix:/run/opendkim/opendkim.sock",
        ),
        Directive::new(
            "listeners",
            &[values(&[many("listener", Kind::Name)])],
            Absent::Derived("all that take mail"),
            "Only mail that these listeners take is shown to it.",
            "listeners mx",
        ),
        Directive::new(
            "on-failure",
            &[values(&[one(
                "course",
                Kind::OneOf(&[
                    ("accept", "the mail goes on without it"),
                    ("tempfail", "the client is told to come again"),
                    ("reject", "the client is refused"),
                    ("quarantine", "the mail is taken and set aside"),
                ]),
            )])],
            Absent::Value("tempfail"),
            "What happens when it cannot be reached, gives no answer in time or breaks the protocol.",
            "on-failure accept",
        ),
        Directive::new(
            "connect-timeout",
            &[values(&[one("time", PATIENCE)])],
            Absent::Value("10s"),
            "How long its connection is waited for.",
            "connect-timeout 3s",
        ),
        Directive::new(
            "command-timeout",
            &[values(&[one("time", PATIENCE)])],
            Absent::Value("30s"),
            "How long its answer to a command is waited for.",
            "command-timeout 10s",
        ),
        Directive::new(
            "content-timeout",
            &[values(&[one("time", PATIENCE)])],
            Absent::Value("30s"),
            "How long its answer to a piece of a message is waited for.",
            "content-timeout 10s",
        ),
        Directive::new(
            "end-timeout",
            &[values(&[one("time", PATIENCE)])],
            Absent::Value("2m"),
            "How long its answer to the end of a message is waited for; a sign of progress begins the wait anew.",
            "end-timeout 1m",
        ),
        Directive::new(
            "message-timeout",
            &[values(&[one("time", PATIENCE)])],
            Absent::Value("5m"),
            "The longest it may take over one message, whatever progress it reports.",
            "message-timeout 3m",
        ),
    ],
};

/// `scanner NAME { }`
pub static SCANNER: Context = Context {
    name: "scanner",
    doc: "A virus or spam scanner. Scanners are asked at the same time, after the milters.",
    entry: None,
    ordered: false,
    directives: &[
        Directive::new(
            "type",
            &[values(&[one(
                "protocol",
                Kind::OneOf(&[
                    ("clamd", "ClamAV's daemon"),
                    ("rspamd", "Rspamd's normal worker, by HTTP"),
                    ("spamd", "SpamAssassin's daemon"),
                ]),
            )])],
            Absent::Required,
            "What it is.",
            "type clamd",
        ),
        Directive::new(
            "at",
            &[values(&[one("place", Kind::Text)])],
            Absent::Required,
            "Where it listens: `HOST:PORT` or `unix:/PATH`; for `rspamd` also `https://HOST:PORT`.",
            "at unix:/run/clamav/clamd.ctl",
        ),
        Directive::new(
            "listeners",
            &[values(&[many("listener", Kind::Name)])],
            Absent::Derived("all that take mail, so that outgoing mail is scanned too"),
            "Only mail that these listeners take is shown to it.",
            "listeners mx",
        ),
        Directive::new(
            "on-failure",
            &[values(&[one(
                "course",
                Kind::OneOf(&[
                    ("open", "the mail goes on without a verdict"),
                    ("closed", "the client is told to come again"),
                ]),
            )])],
            Absent::Value("closed"),
            "What happens when it cannot be reached or gives no verdict in time.",
            "on-failure open",
        ),
        Directive::new(
            "oversized",
            &[values(&[one(
                "course",
                Kind::OneOf(&[
                    ("pass", "the mail goes on without a verdict"),
                    ("fail", "it counts as a failure of the scanner"),
                ]),
            )])],
            Absent::Value("pass"),
            "What happens to messages longer than `max-size`.",
            "oversized fail",
        ),
        Directive::new(
            "max-size",
            &[values(&[one("size", Kind::Size(Bounds::new(1_024, 256 << 20)))])],
            Absent::Value("25MB"),
            "The longest message that is shown to it. Keep it below the scanner's own limit.",
            "max-size 10MB",
        ),
        Directive::new(
            "connect-timeout",
            &[values(&[one("time", PATIENCE)])],
            Absent::Value("5s"),
            "How long its connection is waited for.",
            "connect-timeout 2s",
        ),
        Directive::new(
            "timeout",
            &[values(&[one("time", PATIENCE)])],
            Absent::Value("1m"),
            "How long its verdict is waited for, in all.",
            "timeout 20s",
        ),
    ],
};

/// `holding { }`
pub static HOLDING: Context = Context {
    name: "holding",
    doc: "When the outgoing mail of an account that signed in is held: it is taken and waits, the account can still sign in, and the postmaster is told by mail. `mailkeep hold release` lets it go.",
    entry: None,
    ordered: false,
    directives: &[
        Directive::new(
            "spam",
            &[values(&[one("messages", Kind::Number(Bounds::new(1, 10_000).or_off()))])],
            Absent::Value("5"),
            "After so many messages with spam or a virus within the window.",
            "spam 2",
        ),
        Directive::new(
            "first-time-recipients",
            &[values(&[one("recipients", Kind::Number(Bounds::new(1, 9_999).or_off()))])],
            Absent::Value("off"),
            "After more than so many recipients within the window that the account has never written to before.",
            "first-time-recipients 100",
        ),
        Directive::new(
            "window",
            &[values(&[one("time", Kind::Time(Bounds::seconds(1, 30 * 24 * HOUR)))])],
            Absent::Value("1h"),
            "The time in which messages and recipients are counted.",
            "window 10m",
        ),
    ],
};

/// `quarantine { }`
pub static QUARANTINE: Context = Context {
    name: "quarantine",
    doc: "Mail that was set aside.",
    entry: None,
    ordered: false,
    directives: &[Directive::new(
        "keep",
        &[values(&[one("time", Kind::Time(Bounds::seconds(1, 3_650 * 24 * HOUR).or_off()))])],
        Absent::Value("30d"),
        "After this it is removed without telling its sender; `off` keeps it until somebody looks.",
        "keep 14d",
    )],
};

const COURSES: &[(&str, &str)] = &[
    ("reject", "it is refused"),
    ("quarantine", "it is taken and set aside"),
    ("rules", "nothing is built in; rules decide"),
];

/// `scanning { }`
pub static SCANNING: Context = Context {
    name: "scanning",
    doc: "What happens to what scanners find. Each course is a built-in rule, which `mailkeep rules list` shows.",
    entry: None,
    ordered: false,
    directives: &[
        Directive::new(
            "virus",
            &[values(&[one("course", Kind::OneOf(COURSES))])],
            Absent::Value("reject"),
            "What happens to a message with a virus.",
            "virus quarantine",
        ),
        Directive::new(
            "spam",
            &[values(&[one("course", Kind::OneOf(COURSES))])],
            Absent::Value("reject"),
            "What happens to a message that a spam scanner wants refused. What it wants refused for now is deferred, unless this says `rules`.",
            "spam quarantine",
        ),
        Directive::new(
            "headers",
            &[values(&[one("switch", Kind::Switch)])],
            Absent::Value("off"),
            "Whether X-Virus-Scanned, X-Spam-Flag, X-Spam-Score and X-Spam-Status are written, and those that came from outside removed.",
            "headers on",
        ),
    ],
};
