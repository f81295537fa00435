//! `directory NAME { }`: people whom an LDAP directory keeps.

use super::{Absent, Context, Directive, many, one, values};
use crate::value::{Bounds, Kind};

/// `directory NAME { }`
pub static DIRECTORY: Context = Context {
    name: "directory",
    doc: "An LDAP directory, such as OpenLDAP or Active Directory, that knows the people of domains of ours. An address that has no account here is looked up there, and a password is judged by binding as the person found. While the directory is down mail waits outside (451), and nobody is taken for unknown.",
    entry: None,
    ordered: false,
    directives: &[
        Directive::new(
            "server",
            &[values(&[one("address", Kind::Text)])],
            Absent::Required,
            "Where it is: `ldaps://HOST` for TLS from the first octet, `ldap://HOST` for STARTTLS; ports 636 and 389 unless written.",
            "server ldaps://dc1.example.com",
        ),
        Directive::new(
            "starttls",
            &[values(&[one("switch", Kind::Switch)])],
            Absent::Value("on"),
            "Whether `ldap://` demands STARTTLS. Without it passwords travel in the clear, so it can be switched off for this machine alone.",
            "starttls off",
        ),
        Directive::new(
            "domains",
            &[values(&[many("domain", Kind::Domain)])],
            Absent::Required,
            "The domains whose people it knows. Each needs its `domain` block too.",
            "domains example.com",
        ),
        Directive::new(
            "base",
            &[values(&[one("name", Kind::Text)])],
            Absent::Required,
            "The entry below which people are looked for.",
            "base \"OU=Staff,DC=example,DC=com\"",
        ),
        Directive::new(
            "filter",
            &[values(&[one("text", Kind::Text)])],
            Absent::Value("(mail=%u)"),
            "How a person is found by an address: `%u` is the address, `%l` its local part, `%d` its domain. What is put in is never read as part of the filter.",
            "filter \"(|(mail=%u)(proxyAddresses=smtp:%u))\"",
        ),
        Directive::new(
            "address-attribute",
            &[values(&[one("name", Kind::Text)])],
            Absent::Value("mail"),
            "The attribute with the person's own address; other addresses that find the person are aliases of it.",
            "address-attribute userPrincipalName",
        ),
        Directive::new(
            "bind-dn",
            &[values(&[one("name", Kind::Text)])],
            Absent::Derived("people are looked for as nobody"),
            "As whom people are looked for.",
            "bind-dn \"CN=mailkeep,OU=Services,DC=example,DC=com\"",
        ),
        Directive::new(
            "bind-password",
            &[values(&[one("secret", Kind::Secret)])],
            Absent::Derived("none, without `bind-dn`"),
            "Where the password for that is kept.",
            "bind-password env:LDAP_PASSWORD",
        ),
        Directive::new(
            "timeout",
            &[values(&[one("time", Kind::Time(Bounds::new(100, 60_000)))])],
            Absent::Value("5s"),
            "How long one question may take.",
            "timeout 2s",
        ),
        Directive::new(
            "cache",
            &[values(&[one("time", Kind::Time(Bounds::new(0, 86_400_000)))])],
            Absent::Value("5m"),
            "How long an answer is believed. Passwords are never remembered.",
            "cache 1h",
        ),
    ],
};
