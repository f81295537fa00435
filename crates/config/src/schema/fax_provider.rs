//! Providers that fax by HTTPS.

use super::{Absent, Context, Directive, keyword, one, values};
use crate::value::{Bounds, Kind};

/// What a provider's word may mean.
const MEANINGS: Kind = Kind::OneOf(&[
    ("queued", "it waits there"),
    ("sending", "it is being sent"),
    ("sent", "the other machine has confirmed it"),
    ("busy", "the line is busy"),
    ("no-answer", "nobody answers"),
    ("no-carrier", "no fax machine answers"),
    ("interrupted", "the call broke off"),
    ("failed", "it was given up, for the reason in the answer"),
]);

/// `fax-provider NAME { }`
pub static FAX_PROVIDER: Context = Context {
    name: "fax-provider",
    doc: "A provider that faxes by HTTPS: what it is asked, how its answers are read, how it tells what becomes of a fax. It is told by signed webhooks, by asking again and again, or both.",
    entry: None,
    ordered: false,
    directives: &[
        Directive::new(
            "preset",
            &[values(&[one(
                "name",
                Kind::OneOf(&[(
                    "sinch",
                    "Sinch Fax API v3: `send` is https://fax.api.sinch.com/v3/projects/PROJECT/faxes; asked again and again, because its callbacks are not signed",
                )]),
            )])],
            Absent::Derived("none"),
            "What holds where nothing else is written here.",
            "preset sinch",
        ),
        Directive::new(
            "send",
            &[values(&[one("place", Kind::Text)])],
            Absent::Required,
            "Where a fax is sent by POST. Only `https`, unless the server is this machine.",
            "send https://api.provider.example/faxes",
        ),
        Directive::new(
            "status",
            &[
                values(&[keyword("off")]),
                values(&[one("place", Kind::Text)]),
            ],
            Absent::Derived("the same as `send`, with the fax behind a stroke"),
            "Where it is asked what became of a fax; `{id}` in it is the provider's name for the fax. `off`: it is not asked, and only webhooks tell.",
            "status \"https://api.provider.example/status/{id}\"",
        ),
        Directive::new(
            "poll",
            &[values(&[one("time", Kind::Time(Bounds::new(100, 3_600_000)))])],
            Absent::Value("30s"),
            "How often it is asked what became of a fax.",
            "poll 1m",
        ),
        Directive::new(
            "credentials",
            &[values(&[one("name", Kind::Name)])],
            Absent::Derived("none"),
            "What to sign in with.",
            "credentials smarthost",
        ),
        Directive::new(
            "sign-in",
            &[
                values(&[keyword("bearer")]),
                values(&[keyword("basic")]),
                values(&[keyword("header"), one("field", Kind::Text)]),
            ],
            Absent::Derived("`basic` for `preset sinch`, else `bearer`"),
            "How: the password as a bearer token (RFC 6750), user and password (RFC 7617), or the password in a header field of this name.",
            "sign-in header X-Api-Key",
        ),
        Directive::new(
            "body",
            &[values(&[one(
                "kind",
                Kind::OneOf(&[
                    ("form", "multipart/form-data, the pages as a file (RFC 7578)"),
                    ("json", "an object of texts, the pages in base 64"),
                ]),
            )])],
            Absent::Value("form"),
            "How the fields are sent.",
            "body json",
        ),
        Directive::new(
            "field",
            &[values(&[one("name", Kind::Text), one("text", Kind::Text)])],
            Absent::Derived("to \"{number}\", from \"{caller}\", file \"{document}\", and callback_url \"{callback}\" where there is a callback; one that is written replaces them all"),
            "A field of the request. In its text stand `{number}`, `{caller}`, `{subaddress}`, `{callback}`, `{reference}`, `{billing}`; `{document}` stands alone. In JSON a dot in the name leads into an object.",
            "field data.to \"{number}\"",
        )
        .repeatable(),
        Directive::new(
            "document",
            &[values(&[one(
                "kind",
                Kind::OneOf(&[
                    ("tiff", "TIFF-F in profile S"),
                    ("pdf", "PDF, one picture a page, dot for dot"),
                ]),
            )])],
            Absent::Derived("`pdf` for `preset sinch`, else `tiff`"),
            "What the pages are sent as.",
            "document pdf",
        ),
        Directive::new(
            "idempotency-key",
            &[
                values(&[keyword("off")]),
                values(&[one("field", Kind::Text)]),
            ],
            Absent::Derived("`off` for `preset sinch`, else Idempotency-Key"),
            "The header field that names the attempt, so that a request that comes twice makes one fax. With `off` a request that was not answered is never repeated: the fax has failed, and the sender is told that nobody knows whether it arrived.",
            "idempotency-key X-Request-Id",
        ),
        Directive::new(
            "answer",
            &[values(&[
                one(
                    "what",
                    Kind::OneOf(&[
                        ("id", "its name for the fax"),
                        ("status", "the word for where it stands"),
                        ("reason", "why it failed"),
                        ("pages", "how many pages were confirmed"),
                    ]),
                ),
                one("pointer", Kind::Text),
            ])],
            Absent::Derived("id /id, status /status, reason /reason, pages /pages"),
            "Where something stands in its JSON (RFC 6901).",
            "answer id /data/id",
        )
        .repeatable(),
        Directive::new(
            "word",
            &[values(&[one("text", Kind::Text), one("meaning", MEANINGS)])],
            Absent::Derived("the meanings themselves"),
            "What a word of the provider means, in any case of letters. One that is written replaces them all.",
            "word delivered sent",
        )
        .repeatable(),
        Directive::new(
            "timeout",
            &[values(&[one("time", Kind::Time(Bounds::new(100, 600_000)))])],
            Absent::Value("60s"),
            "How long an answer is waited for, from the connection to its last octet.",
            "timeout 2m",
        ),
        Directive::new(
            "callback",
            &[values(&[one("place", Kind::Text)])],
            Absent::Derived("none: the provider is asked"),
            "The address under which the provider reaches a listener with `protocol webhooks`; `/fax/NAME/FAX` is put behind it. Needs `webhook-secret`.",
            "callback https://fax.example.com",
        ),
        Directive::new(
            "webhook-secret",
            &[values(&[one("secret", Kind::Secret)])],
            Absent::Derived("none"),
            "Where the secret is kept that webhooks are signed with (Standard Webhooks: HMAC-SHA256 over id, time and body; `whsec_` and base 64, or the text itself).",
            "webhook-secret credential:provider-webhooks",
        ),
        Directive::new(
            "webhook-window",
            &[values(&[one("time", Kind::Time(Bounds::seconds(5, 3_600)))])],
            Absent::Value("5m"),
            "How old a webhook may be, or ahead of our clock.",
            "webhook-window 1m",
        ),
        Directive::new(
            "webhook-fax",
            &[values(&[one("pointer", Kind::Text)])],
            Absent::Derived("the whole: it is like an answer"),
            "Where in a webhook the fax stands that `answer` is read from (RFC 6901).",
            "webhook-fax /data",
        ),
    ],
};
