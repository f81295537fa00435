//! `sign-in { }`: how people and programs prove who they are.

use super::{Absent, Context, Directive, block, many, one, values};
use crate::value::{Bounds, Kind};

/// `sign-in { }`
pub static SIGN_IN: Context = Context {
    name: "sign-in",
    doc: "How accounts sign in, and what their passwords must be. Which mechanisms are offered on a connection is for rules to say (`auth-on-tls`); those that could succeed for no account are never offered.",
    entry: None,
    ordered: false,
    directives: &[
        Directive::new(
            "verifiers",
            &[values(&[many(
                "mechanism",
                Kind::OneOf(&[
                    ("none", "only the Argon2id hash: PLAIN and LOGIN work"),
                    ("scram-sha-256", "for SCRAM-SHA-256 and SCRAM-SHA-256-PLUS"),
                    ("scram-sha-1", "for SCRAM-SHA-1 and SCRAM-SHA-1-PLUS"),
                    ("cram-md5", "for CRAM-MD5; who steals it can sign in with it"),
                    ("digest-md5", "for DIGEST-MD5; who steals it can sign in with it"),
                ]),
            )])],
            Absent::Value("none"),
            "What is kept of each password beside its Argon2id hash, for mechanisms in which the password does not travel. Each is made when a password is set, and at the next sign-in by PLAIN or LOGIN; one that is no longer named is removed in the same way. The keys of SCRAM do not let a thief sign in; those of CRAM-MD5 and DIGEST-MD5 do.",
            "verifiers scram-sha-256 scram-sha-1",
        ),
        Directive::new(
            "password-length",
            &[values(&[one("characters", Kind::Number(Bounds::new(8, 128)))])],
            Absent::Value("12"),
            "The fewest characters of a new password.",
            "password-length 16",
        ),
        Directive::new(
            "breached-passwords",
            &[values(&[one("file", Kind::Path)])],
            Absent::Derived("a small built-in list"),
            "Passwords that may not be chosen, as sorted SHA-1 hashes, one a line: the form in which \"Have I Been Pwned\" publishes them. The file is searched where it lies, so its size does not matter.",
            "breached-passwords /var/lib/pwned/sha1-ordered-by-hash.txt",
        ),
        Directive::new(
            "password-history",
            &[values(&[one("passwords", Kind::Number(Bounds::new(0, 24)))])],
            Absent::Value("0"),
            "How many passwords back none may be chosen again.",
            "password-history 5",
        ),
        Directive::new(
            "password-expiry",
            &[values(&[one(
                "time",
                Kind::Time(Bounds::seconds(3_600, 10 * 366 * 86_400).or_off()),
            )])],
            Absent::Value("off"),
            "How long a password holds. Off, as NIST SP 800-63B advises: people who must change their passwords choose weaker ones.",
            "password-expiry 365d",
        ),
        Directive::new(
            "client-certificates",
            &[values(&[one(
                "by",
                Kind::OneOf(&[
                    ("off", "EXTERNAL is not offered"),
                    ("fingerprint", "by its SHA-256, given with `mailkeep account certificate`"),
                    (
                        "address",
                        "the same, or by the one mail address it was issued for, if the listener trusts its authority",
                    ),
                ]),
            )])],
            Absent::Value("off"),
            "How a TLS client certificate names an account, for EXTERNAL. The listener must ask for certificates.",
            "client-certificates fingerprint",
        ),
        Directive::new(
            "sender-must-match",
            &[values(&[one(
                "addresses",
                Kind::OneOf(&[
                    ("off", "who signed in may send from any address"),
                    ("envelope", "the envelope's sender must belong to the account"),
                    ("envelope-and-header", "and so must every address in the From field"),
                ]),
            )])],
            Absent::Value("off"),
            "Which sender addresses must belong to the account that signed in: its own address with or without a tag, its aliases, and the groups it is in. Others are refused with 553 5.7.1 by the built-in rules `sender-must-match` and `from-must-match`, which `explain` shows.",
            "sender-must-match envelope-and-header",
        ),
        Directive::new(
            "tokens",
            &[block(&[], &TOKENS)],
            Absent::Derived("OAUTHBEARER and XOAUTH2 are not offered"),
            "Takes tokens of an identity provider in place of passwords, by OAUTHBEARER and XOAUTH2.",
            "tokens { issuer https://id.example.com; audience mail; keys jwks.json }",
        ),
        Directive::new(
            "gssapi",
            &[block(&[], &GSSAPI)],
            Absent::Derived("GSSAPI is not offered"),
            "Takes Kerberos tickets in place of passwords, by GSSAPI (RFC 4752) without a security layer. Only builds with the feature `gssapi` can; others say so.",
            "gssapi { realm EXAMPLE.COM }",
        ),
    ],
};

/// `gssapi { }` in `sign-in { }`
pub static GSSAPI: Context = Context {
    name: "gssapi",
    doc: "Which Kerberos tickets open which account: `ann@EXAMPLE.COM` opens `ann` of the domain. The key of the service is in the keytab of the Kerberos library (`default_keytab_name` in `krb5.conf`, or `KRB5_KTNAME` in the server's environment), and must be readable for the server's user. Who may sign in must have an account; principals of other realms, services and hosts have none.",
    entry: None,
    ordered: false,
    directives: &[
        Directive::new(
            "realm",
            &[values(&[one("realm", Kind::Text)])],
            Absent::Required,
            "The realm of those who sign in, as Kerberos writes it.",
            "realm EXAMPLE.COM",
        ),
        Directive::new(
            "service",
            &[values(&[one("principal", Kind::Text)])],
            Absent::Derived("smtp/ and the hostname, in the realm"),
            "The principal for which clients get their tickets.",
            "service smtp/mail.example.com@EXAMPLE.COM",
        ),
        Directive::new(
            "domain",
            &[values(&[one("name", Kind::Domain)])],
            Absent::Derived("the realm, in small letters"),
            "The domain of their accounts.",
            "domain example.com",
        ),
    ],
};

/// `tokens { }` in `sign-in { }`
pub static TOKENS: Context = Context {
    name: "tokens",
    doc: "Which signed tokens (JWT) open which account. RS256, ES256 and EdDSA are accepted.",
    entry: None,
    ordered: false,
    directives: &[
        Directive::new(
            "issuer",
            &[values(&[one("text", Kind::Text)])],
            Absent::Required,
            "The `iss` of every token, exactly.",
            "issuer https://id.example.com/realms/staff",
        ),
        Directive::new(
            "audience",
            &[values(&[many("text", Kind::Text)])],
            Absent::Required,
            "One of these must be in the `aud` of the token; tokens for other services open nothing here.",
            "audience mail",
        ),
        Directive::new(
            "keys",
            &[values(&[one("place", Kind::Text)])],
            Absent::Required,
            "Where the provider's keys are (a JSON Web Key Set): a file, or an https address. They are read again every five minutes, and when a token names a key that is not among them.",
            "keys https://id.example.com/realms/staff/certs",
        ),
        Directive::new(
            "scope",
            &[values(&[one("text", Kind::Text)])],
            Absent::Derived("none is asked for"),
            "What the `scope` (or `scp`) of a token must hold.",
            "scope mail.send",
        ),
        Directive::new(
            "claim",
            &[values(&[one("name", Kind::Text)])],
            Absent::Value("email"),
            "The claim with the account's address. An `email` that the provider calls unverified opens nothing.",
            "claim preferred_username",
        ),
    ],
};
