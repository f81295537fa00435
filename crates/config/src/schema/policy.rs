//! Directives of rules, tables and Force Encrypt. The words of conditions and actions are
//! read by `rules`; here they have their place in the manual.

use super::{Absent, Argument, Context, Directive, Form, Inside, lines, many, one, values};
use crate::value::Kind;

/// `rules { }`
pub static RULES: Context = Context {
    name: "rules",
    doc: "Rules are read top to bottom. A setting holds until a later rule changes it; the first verdict ends the evaluation for that recipient.",
    entry: None,
    ordered: true,
    directives: &[
        Directive::new(
            "rule",
            &[lines(&[one("name", Kind::Name)], &RULE)],
            Absent::Derived("the built-in rules only"),
            "A rule: its conditions in `when`, and its actions.",
            "rule no_big_mail { when all { message size over 25MB }; reject }",
        )
        .repeatable(),
        Directive::new(
            "include",
            &[values(&[one("files", Kind::Text)])],
            Absent::Derived("nothing"),
            "Reads rules from other files, as if they stood here.",
            "include rules/*.conf",
        )
        .repeatable(),
    ],
};

/// Actions are read by `rules`, which knows how many words each takes.
const ACTION_FORMS: &[Form] = &[Form { arguments: ACTION_WORDS, inside: Inside::Nothing }];
const ACTION_WORDS: &[Argument] = &[many("words", Kind::Text)];

const fn action(name: &'static str, doc: &'static str, example: &'static str) -> Directive {
    Directive::new(name, ACTION_FORMS, Absent::Derived("nothing"), doc, example).repeatable()
}

/// `rule NAME { }`
pub static RULE: Context = Context {
    name: "rule",
    doc: "`when` and actions. Without `when` the rule always applies.",
    entry: None,
    ordered: true,
    directives: &[
        Directive::new(
            "when",
            &[lines(
                &[one(
                    "join",
                    Kind::OneOf(&[
                        ("all", "every condition holds"),
                        ("any", "at least one holds"),
                        ("none", "not one holds"),
                    ]),
                )],
                &CONDITIONS,
            )],
            Absent::Derived("always"),
            "When the rule applies.",
            "when all { connection is not tls }",
        ),
        action(
            "plain-connections",
            "Setting. Signing in before TLS: `not-authenticated`, or `authenticated` and the SASL mechanisms offered (all that work, if none is named).",
            "plain-connections not-authenticated",
        ),
        action(
            "tls-connections",
            "Setting. Signing in under TLS: `not-authenticated`, or `authenticated` and the SASL mechanisms offered.",
            "tls-connections authenticated plain login",
        ),
        action(
            "starttls",
            "Setting. Whether STARTTLS is offered: `offered` or `off`.",
            "starttls off",
        ),
        action(
            "relay-host",
            "Setting. The smart host: `HOST[:PORT] [tls implicit|starttls] [credentials NAME] [certificate NAME]`. Port 587 unless written; TLS comes first on 465.",
            "relay-host smarthost.example.com:465 credentials smarthost",
        ),
        action(
            "relay-encryption",
            "Setting. The least protection on the way out: `none`, `opportunistic`, `required` or `verified`. It cannot weaken Force Encrypt.",
            "relay-encryption required",
        ),
        action(
            "relay-tls-versions",
            "Setting. The only TLS versions on the way out.",
            "relay-tls-versions 1.2 1.3",
        ),
        action(
            "add-header",
            "Setting. Adds a header field at the top.",
            "add-header X-Gateway \"checked\"",
        ),
        action(
            "remove-header",
            "Setting. Removes every header field of this name.",
            "remove-header X-Internal-Id",
        ),
        action("tag-subject", "Setting. Puts a text before the subject.", "tag-subject [external]"),
        action(
            "redirect",
            "Setting. The message goes to this address instead.",
            "redirect office@example.com",
        ),
        action(
            "add-recipient",
            "Setting. The message goes to this address too, as for a journal.",
            "add-recipient journal@example.com",
        ),
        action(
            "rate-class",
            "Setting. The message leaves at the rate of this `rate-class`.",
            "rate-class bulk",
        ),
        action(
            "tarpit",
            "Setting. The reply comes this much later, from 1s to 30s; at most 256 replies wait at a time, and beyond that none does.",
            "tarpit 10s",
        ),
        action("accept", "Verdict. The message is taken; later rules are not looked at.", "accept"),
        action(
            "reject",
            "Verdict. Refused for good: `[CODE] [STATUS] [TEXT]`. `{dnsbl}` and `{uribl}` in the text stand for what those lists found.",
            "reject 550 5.7.10 \"Use STARTTLS\"",
        ),
        action(
            "defer",
            "Verdict. Refused for now: `[CODE] [STATUS] [TEXT]`.",
            "defer 450 4.7.1 \"Try again later\"",
        ),
        action("discard", "Verdict. Taken and dropped; the evidence names the rule.", "discard"),
        action(
            "quarantine",
            "Verdict. Taken and held for a person to look at, with the reason.",
            "quarantine \"Held for review\"",
        ),
    ],
};

/// `when all|any|none { }`
pub static CONDITIONS: Context = Context {
    name: "when",
    doc: "One condition a line: `SUBJECT is VALUE ...`, `is not`, `in table NAME`, `not in table NAME`, `matches PATTERN ...`, `over NUMBER`, `under NUMBER`. Blocks `all { }`, `any { }` and `none { }` nest.",
    directives: &[],
    entry: None,
    ordered: true,
};

/// `table NAME KIND { }`
pub static TABLE: Context = Context {
    name: "table",
    doc: "One entry a line.",
    directives: &[],
    entry: None,
    ordered: true,
};

/// `force-encrypt { }`
pub static FORCE_ENCRYPT: Context = Context {
    name: "force-encrypt",
    doc: "One entry a line: a domain, `.domain` for the names below it, an IP address or a network; then, in any order, `encrypted` (the default) or `verified`, `min-tls 1.3`, `pin sha256:DIGITS` (repeatable), `until YYYY-MM-DD`, `owner \"...\"`, `reason \"...\"`, `direction in|out|both`.",
    directives: &[],
    entry: None,
    ordered: true,
};
