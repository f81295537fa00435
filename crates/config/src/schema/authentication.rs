//! Directives about who a message is from.

use super::{Absent, Context, Directive, block, many, one, values};
use crate::value::{Bounds, Kind};

/// What can be done with a message for what a check came to.
const TREATMENT: Kind = Kind::OneOf(&[
    ("accept", "nothing is done; rules of your own can look at it"),
    ("reject", "it is refused for good"),
    ("defer", "it is refused for now; its sender tries again"),
    ("quarantine", "it is held for a person to look at"),
]);

const POLICY: Kind = Kind::OneOf(&[
    ("none", "nothing is done"),
    ("quarantine", "what `quarantine` of this block says"),
    ("reject", "what `reject` of this block says"),
]);

const fn treatment(
    name: &'static str,
    default: &'static str,
    doc: &'static str,
    example: &'static str,
) -> Directive {
    Directive::new(name, TREATED, Absent::Value(default), doc, example)
}

const TREATED: &[super::Form] = &[values(&[one("treatment", TREATMENT)])];

/// `sender-authentication { }`
pub static SENDER_AUTHENTICATION: Context = Context {
    name: "sender-authentication",
    doc: "Whether mail is from whom it says: SPF, DKIM, DMARC and ARC, checked on listeners with `protocol smtp` for clients that have not signed in and are not in `trusted-networks`.",
    entry: None,
    ordered: false,
    directives: &[
        Directive::new(
            "mode",
            &[values(&[one(
                "mode",
                Kind::OneOf(&[
                    ("enforce", "checked, written down, and what the blocks say is done"),
                    ("annotate", "checked and written down, never refused"),
                    ("off", "not checked"),
                ]),
            )])],
            Absent::Value("enforce"),
            "Whether what is found has consequences. In every mode but `off` it is written to Authentication-Results, Received-SPF, the trace and the evidence, and rules can look at it.",
            "mode annotate",
        ),
        Directive::new(
            "exempt",
            &[values(&[many("network", Kind::Network)])],
            Absent::Derived("nobody; loopback where no `sender-authentication` block is written"),
            "Clients that are not checked, such as a server of yours in front of this one.",
            "exempt 192.0.2.0/28 2001:db8:20::/64",
        ),
        Directive::new(
            "spf",
            &[block(&[], &SPF)],
            Absent::Derived("its defaults"),
            "What follows from SPF (RFC 7208), which is checked at MAIL.",
            "spf { softfail quarantine }",
        ),
        Directive::new(
            "dkim",
            &[block(&[], &DKIM)],
            Absent::Derived("its defaults"),
            "Which signatures count (RFC 6376, 8301, 8463).",
            "dkim { min-rsa-bits 2048 }",
        ),
        Directive::new(
            "dmarc",
            &[block(&[], &DMARC)],
            Absent::Derived("its defaults"),
            "What follows from DMARC (RFC 9989).",
            "dmarc { quarantine accept }",
        ),
        Directive::new(
            "arc",
            &[block(&[], &ARC)],
            Absent::Derived("its defaults"),
            "Whose word counts for mail that was changed on its way (RFC 8617).",
            "arc { trusted-sealers list.example.org }",
        ),
    ],
};

/// `spf { }`
pub static SPF: Context = Context {
    name: "spf",
    doc: "What is done for each result of SPF.",
    entry: None,
    ordered: false,
    directives: &[
        treatment(
            "fail",
            "reject",
            "The sender's domain does not let the client send for it. The reply is 550 5.7.23 with the domain's own words, if it has any.",
            "fail quarantine",
        ),
        treatment(
            "helo-fail",
            "reject",
            "The name in EHLO does not let the client use it.",
            "helo-fail accept",
        ),
        treatment(
            "softfail",
            "accept",
            "The sender's domain probably does not let the client send for it.",
            "softfail quarantine",
        ),
        treatment("neutral", "accept", "The sender's domain does not say.", "neutral quarantine"),
        treatment("none", "accept", "The sender's domain has no record.", "none quarantine"),
        treatment(
            "permerror",
            "accept",
            "The record of the sender's domain cannot be used.",
            "permerror reject",
        ),
        treatment(
            "temperror",
            "defer",
            "DNS gave no reliable answer. The reply is 451 4.4.3.",
            "temperror accept",
        ),
    ],
};

/// `dkim { }`
pub static DKIM: Context = Context {
    name: "dkim",
    doc: "Which signatures count. One that does not counts as none.",
    entry: None,
    ordered: false,
    directives: &[
        Directive::new(
            "partial-bodies",
            &[values(&[one(
                "choice",
                Kind::OneOf(&[
                    ("refuse", "such a signature does not count"),
                    ("accept", "it counts for the whole message"),
                ]),
            )])],
            Absent::Value("refuse"),
            "Signatures that leave the end of the body unsigned (`l=`), so that anybody can add to it.",
            "partial-bodies accept",
        ),
        Directive::new(
            "signatures",
            &[values(&[one("count", Kind::Number(Bounds::new(1, 12)))])],
            Absent::Value("12"),
            "How many signatures of a message are looked at, the topmost first.",
            "signatures 5",
        ),
        Directive::new(
            "min-rsa-bits",
            &[values(&[one("bits", Kind::Number(Bounds::new(1_024, 4_096)))])],
            Absent::Value("1024"),
            "The shortest RSA key whose signatures count.",
            "min-rsa-bits 2048",
        ),
        Directive::new(
            "clock-skew",
            &[values(&[one("time", Kind::Time(Bounds::new(0, 86_400_000)))])],
            Absent::Value("5m"),
            "How far ahead the clock of a signer may be.",
            "clock-skew 1h",
        ),
    ],
};

/// `dmarc { }`
pub static DMARC: Context = Context {
    name: "dmarc",
    doc: "What is done where the author's domain does not stand behind a message.",
    entry: None,
    ordered: false,
    directives: &[
        treatment(
            "reject",
            "reject",
            "The domain asks to refuse it. The reply is 550 5.7.26.",
            "reject quarantine",
        ),
        treatment(
            "quarantine",
            "quarantine",
            "The domain asks for suspicion.",
            "quarantine accept",
        ),
        treatment(
            "temperror",
            "defer",
            "DNS gave no reliable answer, and the domain may have a policy. The reply is 451 4.4.3.",
            "temperror accept",
        ),
        treatment(
            "unclear-from",
            "reject",
            "There is no From field, there are several, or the one has no address that can be understood.",
            "unclear-from quarantine",
        ),
        Directive::new(
            "override",
            &[values(&[one("domain", Kind::Domain), one("policy", POLICY)])],
            Absent::Derived("none; domains get what they ask for"),
            "What failing mail of a domain and of those below it gets, whatever the domain asks for.",
            "override partner.example none",
        )
        .repeatable(),
    ],
};

/// `arc { }`
pub static ARC: Context = Context {
    name: "arc",
    doc: "Handlers whose word counts.",
    entry: None,
    ordered: false,
    directives: &[Directive::new(
        "trusted-sealers",
        &[values(&[many("domain", Kind::Domain)])],
        Absent::Derived("nobody"),
        "Domains whose seal counts: a message that fails DMARC is taken where its chain passes and one of them, and all after it, found that DMARC passed when it came.",
        "trusted-sealers list.example.org",
    )],
};
