//! The text of a record (RFC 7208 sections 4.6.1, 5 and 6, grammar in section 12).

use std::net::{Ipv4Addr, Ipv6Addr};

use super::macros::{Place, Text};
use crate::Outcome;

/// The longest record that is read, in octets. DNS allows more, and nobody has use for it.
pub const RECORD_MAX_OCTETS: usize = 16 * 1024;

/// A record that was read without an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SpfRecord {
    pub directives: Vec<Directive>,
    pub redirect: Option<Text>,
    pub explanation: Option<Text>,
}

/// A mechanism and what follows when it matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Directive {
    pub outcome: Outcome,
    pub mechanism: Mechanism,
    /// As it is written.
    pub text: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mechanism {
    All,
    Include(Text),
    A(Option<Text>, Prefixes),
    Mx(Option<Text>, Prefixes),
    Ptr(Option<Text>),
    Ip4(Ipv4Addr, u8),
    Ip6(Ipv6Addr, u8),
    Exists(Text),
}

/// How many bits of an address count, for each family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Prefixes {
    pub v4: u8,
    pub v6: u8,
}

/// Whether a text is a record of this version (RFC 7208 section 4.5).
pub(super) fn is_spf(text: &[u8]) -> bool {
    let version = text.split(|byte| *byte == b' ').next().unwrap_or_default();
    version.eq_ignore_ascii_case(b"v=spf1")
}

impl SpfRecord {
    /// Reads a record whole; the error says what is wrong with it.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        if text.len() > RECORD_MAX_OCTETS {
            return Err(format!("the record is longer than {RECORD_MAX_OCTETS} octets"));
        }
        if let Some(odd) = text.iter().find(|byte| !matches!(byte, b' '..=b'~')) {
            return Err(format!("the record has the octet {odd:#04x}"));
        }
        let text = std::str::from_utf8(text).map_err(|_| "the record is not ASCII".to_owned())?;
        let mut record = Self { directives: Vec::new(), redirect: None, explanation: None };
        for term in text.split(' ').skip(1).filter(|term| !term.is_empty()) {
            record.term(term)?;
        }
        Ok(record)
    }

    fn term(&mut self, term: &str) -> Result<(), String> {
        if let Some((name, value)) = modifier(term) {
            if name.eq_ignore_ascii_case("redirect") {
                once(&mut self.redirect, "redirect", value)
            } else if name.eq_ignore_ascii_case("exp") {
                once(&mut self.explanation, "exp", value)
            } else {
                Text::parse(value, Place::Modifier).map(|_| ())
            }
        } else {
            let (outcome, rest) = match term.as_bytes().first() {
                Some(b'+') => (Outcome::Pass, &term[1..]),
                Some(b'-') => (Outcome::Fail, &term[1..]),
                Some(b'~') => (Outcome::SoftFail, &term[1..]),
                Some(b'?') => (Outcome::Neutral, &term[1..]),
                Some(_) | None => (Outcome::Pass, term),
            };
            let mechanism = mechanism(rest)?;
            self.directives.push(Directive { outcome, mechanism, text: term.to_owned() });
            Ok(())
        }
    }

    /// Whether a mechanism always matches, so that `redirect` is not looked at.
    pub(super) fn has_all(&self) -> bool {
        self.directives.iter().any(|directive| directive.mechanism == Mechanism::All)
    }
}

/// `name=value`, where the name has no other character than a name has.
fn modifier(term: &str) -> Option<(&str, &str)> {
    let (name, value) = term.split_once('=')?;
    let first = name.bytes().next()?.is_ascii_alphabetic();
    let others = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    (first && others).then_some((name, value))
}

fn once(place: &mut Option<Text>, name: &str, value: &str) -> Result<(), String> {
    if place.is_some() {
        return Err(format!("{name}= stands twice"));
    }
    *place = Some(Text::parse(value, Place::Domain)?);
    Ok(())
}

fn mechanism(text: &str) -> Result<Mechanism, String> {
    let end = text.find([':', '/']).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let wrong = || format!("\"{text}\" is not written as it should be");
    let needed = || match rest.strip_prefix(':') {
        Some(domain) => Text::parse(domain, Place::Domain),
        None => Err(wrong()),
    };
    match name.to_ascii_lowercase().as_str() {
        "all" if rest.is_empty() => Ok(Mechanism::All),
        "all" => Err(wrong()),
        "include" => needed().map(Mechanism::Include),
        "exists" => needed().map(Mechanism::Exists),
        "a" => domain_and_prefixes(rest).map(|(domain, prefixes)| Mechanism::A(domain, prefixes)),
        "mx" => domain_and_prefixes(rest).map(|(domain, prefixes)| Mechanism::Mx(domain, prefixes)),
        "ptr" if rest.is_empty() => Ok(Mechanism::Ptr(None)),
        "ptr" => needed().map(|domain| Mechanism::Ptr(Some(domain))),
        "ip4" => {
            let network = rest.strip_prefix(':').ok_or_else(wrong)?;
            let (address, prefix) = split_prefix(network, 32).ok_or_else(wrong)?;
            Ok(Mechanism::Ip4(address.parse().map_err(|_| wrong())?, prefix))
        }
        "ip6" => {
            let network = rest.strip_prefix(':').ok_or_else(wrong)?;
            let (address, prefix) = split_prefix(network, 128).ok_or_else(wrong)?;
            Ok(Mechanism::Ip6(address.parse().map_err(|_| wrong())?, prefix))
        }
        _ => Err(format!("there is no mechanism \"{name}\"")),
    }
}

/// `address/prefix`, or an address alone.
fn split_prefix(text: &str, max: u8) -> Option<(&str, u8)> {
    match text.split_once('/') {
        Some((address, digits)) => Some((address, prefix(digits, max)?)),
        None => Some((text, max)),
    }
}

/// `[":" domain-spec] ["/" v4] ["//" v6]`. The slashes that belong to the domain are told
/// from the others by looking from the end.
fn domain_and_prefixes(text: &str) -> Result<(Option<Text>, Prefixes), String> {
    let wrong = || format!("\"{text}\" is not a domain and prefix lengths");
    let mut rest = text;
    let mut prefixes = Prefixes { v4: 32, v6: 128 };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some((before, after)) = rest.rsplit_once("//").filter(|(_, after)| digits(after)) {
        prefixes.v6 = prefix(after, 128).ok_or_else(wrong)?;
        rest = before;
    }
    if let Some((before, after)) = rest.rsplit_once('/').filter(|(_, after)| digits(after)) {
        prefixes.v4 = prefix(after, 32).ok_or_else(wrong)?;
        rest = before;
    }
    match rest.strip_prefix(':') {
        Some(domain) => Ok((Some(Text::parse(domain, Place::Domain)?), prefixes)),
        None if rest.is_empty() => Ok((None, prefixes)),
        None => Err(wrong()),
    }
}

/// A length of a prefix without leading zeros.
fn prefix(digits: &str, max: u8) -> Option<u8> {
    let plain = digits.bytes().all(|b| b.is_ascii_digit());
    let padded = digits.len() > 1 && digits.starts_with('0');
    digits.parse().ok().filter(|length| plain && !padded && *length <= max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_begins_with_its_version_alone() {
        assert!(is_spf(b"v=spf1") && is_spf(b"V=SPF1 -all") && is_spf(b"v=spf1  "));
        assert!(!is_spf(b"v=spf10") && !is_spf(b" v=spf1") && !is_spf(b"v=spf1\t-all"));
        assert!(!is_spf(b""));
    }

    #[test]
    fn any_error_makes_the_whole_record_wrong() {
        for bad in [
            "all.",
            "-all:x",
            "all/8",
            "include",
            "include:",
            "include:x.org/24",
            "a:",
            "a/33",
            "a//129",
            "a/24/64",
            "a/024",
            "a/",
            "a//",
            "a:x.org/",
            "a:org",
            "a:x.1",
            "mx:/8",
            "ptr/0",
            "ptr:",
            "ip4",
            "ip4:1.2.3",
            "ip4:1.2.3.4/33",
            "ip4:1.2.3.4//32",
            "ip4:01.2.3.4",
            "ip4:1.2.3.4/",
            "ip6:1.2.3.4",
            "ip6:::1/129",
            "ip6:::1//64",
            "exists",
            "exists:x.org/8",
            "moo",
            "redirect:x.org",
            "redirect=",
            "exp=",
            "redirect=a.b redirect=a.b",
            "exp=a.b exp=c.d",
            "a=%",
            "x/y=1",
            "=x",
            "+redirect=x.org",
            "a b=\u{e9}",
            "-",
            "a\t-all",
        ] {
            let record = format!("v=spf1 {bad}");
            assert!(SpfRecord::parse(record.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn odd_but_right_records_are_read() {
        for good in [
            "",
            " ",
            "a  -all ",
            "A:x.org/24//64",
            "a//0",
            "a/0//0",
            "mx:foo:bar/baz.example.com",
            "Include:%{d}.x.org",
            "x=%{c}",
            "x=",
            "x=1 x=2",
            "moo.cow-far_out=man:dog/cat",
            "ip6:::ffff:1.2.3.4/96",
            "ptr:x.org",
            "exists:%{i}",
            "?all ~all",
            "a:%{d/}/8",
        ] {
            let record = format!("v=spf1 {good}");
            SpfRecord::parse(record.as_bytes()).unwrap_or_else(|e| panic!("{good}: {e}"));
        }
    }
}
