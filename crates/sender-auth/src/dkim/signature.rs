//! The field of a signature (RFC 6376 section 3.5), and its kin in ARC (RFC 8617 section 4.1.2).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Fault, Finding};
use crate::Outcome;
use crate::canonical::Canonicalization;
use crate::crypto::Algorithm;
use crate::name::{askable, is_within};
use crate::tags::Tags;

/// The most names in `h=`.
pub const HEADERS_MAX: usize = 512;
/// Characters of the signature that tell it from others (RFC 6008 section 4).
const START_CHARACTERS: usize = 8;
/// Octets of a SHA-256.
const HASH_OCTETS: usize = 32;

/// A signature as its field has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// `a=`
    pub algorithm: Algorithm,
    /// `b=`
    pub value: Vec<u8>,
    /// `bh=`
    pub body_hash: Vec<u8>,
    /// `c=`, first half.
    pub header: Canonicalization,
    /// `c=`, second half.
    pub body: Canonicalization,
    /// `d=`, lower case.
    pub domain: String,
    /// `s=`
    pub selector: String,
    /// `h=`
    pub headers: Vec<String>,
    /// `i=` of DKIM.
    pub identity: Option<String>,
    /// `l=`, in octets.
    pub length: Option<u64>,
    /// `t=`, in seconds since 1970.
    pub signed_secs: Option<u64>,
    /// `x=`, in seconds since 1970.
    pub expires_secs: Option<u64>,
}

/// Which field a signature stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Dkim,
    Arc,
}

impl Signature {
    /// Reads the value of a `DKIM-Signature` field.
    ///
    /// # Errors
    ///
    /// What is wrong with it, with as much as could be read.
    pub fn parse(value: &[u8]) -> Result<Self, Box<Finding>> {
        Self::of(value, Kind::Dkim).map_err(|fault| {
            let finding = Tags::parse(value).map(|tags| about(&tags)).unwrap_or_default();
            Box::new(Finding {
                outcome: Some(fault.outcome),
                reason: Some(fault.reason),
                ..finding
            })
        })
    }

    pub(crate) fn of(value: &[u8], kind: Kind) -> Result<Self, Fault> {
        let wrong = |reason: String| Fault::new(Outcome::PermError, reason);
        let tags =
            Tags::parse(value).map_err(|error| Fault::new(Outcome::Neutral, error.to_string()))?;
        let needed = |name: &'static str| {
            tags.get(name).ok_or_else(|| wrong(format!("the tag {name}= is missing")))
        };
        if kind == Kind::Dkim && needed("v")? != "1" {
            return Err(wrong("the signature is of another version".to_owned()));
        }
        let algorithm = algorithm(needed("a")?)?;
        let base64 = |name: &'static str| {
            let text = tags.compact(name).filter(|text| !text.is_empty());
            let text = text.ok_or_else(|| wrong(format!("the tag {name}= is missing")))?;
            STANDARD.decode(text).map_err(|_| wrong(format!("the tag {name}= is not base64")))
        };
        let body_hash = base64("bh")?;
        if body_hash.len() != HASH_OCTETS {
            return Err(wrong("the tag bh= is not a SHA-256".to_owned()));
        }
        let (header, body) = match tags.get("c") {
            Some(text) => Canonicalization::parse(text)
                .ok_or_else(|| wrong("the tag c= names no canonical form".to_owned()))?,
            None if kind == Kind::Dkim => (Canonicalization::Simple, Canonicalization::Simple),
            // The public test suite of RFC 8617 and those who seal understand it so.
            None => (Canonicalization::Relaxed, Canonicalization::Relaxed),
        };
        let domain = needed("d")?.to_ascii_lowercase();
        let domain = askable(&domain)
            .filter(|name| !name.contains(char::is_whitespace))
            .ok_or_else(|| wrong("the tag d= is not a domain".to_owned()))?
            .to_owned();
        let selector = needed("s")?;
        if askable(selector).is_none() {
            return Err(wrong("the tag s= is not a selector".to_owned()));
        }
        needed("h")?;
        let headers: Vec<String> = tags
            .colons("h")
            .unwrap_or_default()
            .into_iter()
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect();
        if headers.len() > HEADERS_MAX {
            return Err(wrong(format!("more than {HEADERS_MAX} fields are signed")));
        }
        let has = |name: &str| headers.iter().any(|known| known.eq_ignore_ascii_case(name));
        match kind {
            Kind::Dkim if !has("From") => return Err(wrong("From is not signed".to_owned())),
            // RFC 8617 section 4.1.2.
            Kind::Arc if has("ARC-Seal") => return Err(wrong("ARC-Seal is signed".to_owned())),
            Kind::Dkim | Kind::Arc => {}
        }
        if tags.colons("q").is_some_and(|ways| !ways.contains(&"dns/txt")) {
            return Err(wrong("the key is not to be found by dns/txt".to_owned()));
        }
        let identity = match kind {
            Kind::Dkim => tags.get("i").map(str::to_owned),
            Kind::Arc => None,
        };
        if let Some(identity) = &identity {
            let below = identity.rsplit_once('@').map_or("", |(_, domain)| domain);
            if !is_within(below, &domain) {
                return Err(wrong("the tag i= is not within d=".to_owned()));
            }
        }
        let number = |name: &'static str| match tags.get(name) {
            Some(text) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
                Ok(Some(text.parse().unwrap_or(u64::MAX)))
            }
            Some(_) => Err(wrong(format!("the tag {name}= is not a number"))),
            None => Ok(None),
        };
        let (signed_secs, expires_secs) = (number("t")?, number("x")?);
        if signed_secs.zip(expires_secs).is_some_and(|(signed, expires)| expires <= signed) {
            return Err(wrong("the signature ends before it begins".to_owned()));
        }
        Ok(Self {
            algorithm,
            value: base64("b")?,
            body_hash,
            header,
            body,
            domain,
            selector: selector.to_owned(),
            headers,
            identity,
            length: number("l")?,
            signed_secs,
            expires_secs,
        })
    }

    /// What can be said of it before it is verified.
    pub(crate) fn about(&self) -> Finding {
        Finding {
            outcome: None,
            domain: Some(self.domain.clone()),
            selector: Some(self.selector.clone()),
            identity: self.identity.clone(),
            algorithm: Some(self.algorithm.word().to_owned()),
            start: Some(STANDARD.encode(&self.value).chars().take(START_CHARACTERS).collect()),
            reason: None,
        }
    }

    /// Whether `i=` names a domain below `d=`.
    pub(crate) fn is_for_a_name_below(&self) -> bool {
        let domain = self.identity.as_deref().and_then(|i| i.rsplit_once('@')).map(|(_, d)| d);
        domain.is_some_and(|domain| !domain.eq_ignore_ascii_case(&self.domain))
    }

    pub(crate) fn check_times(&self, now_secs: u64, skew_secs: u64) -> Result<(), Fault> {
        if self.expires_secs.is_some_and(|expires| expires < now_secs) {
            return Err(Fault::new(Outcome::Fail, "the signature has expired"));
        }
        if self.signed_secs.is_some_and(|signed| signed > now_secs.saturating_add(skew_secs)) {
            return Err(Fault::new(Outcome::Policy, "the signature is from the future"));
        }
        Ok(())
    }
}

fn about(tags: &Tags<'_>) -> Finding {
    let short = |text: &str| text.chars().filter(|c| !c.is_control()).take(255).collect();
    let start = tags.compact("b").filter(|text| !text.is_empty());
    Finding {
        domain: tags.get("d").map(str::to_ascii_lowercase).filter(|d| askable(d).is_some()),
        selector: tags.get("s").map(short),
        algorithm: tags.get("a").map(short),
        start: start.map(|text| text.chars().take(START_CHARACTERS).collect()),
        ..Finding::default()
    }
}

/// The algorithm of `a=`.
pub(crate) fn algorithm(word: &str) -> Result<Algorithm, Fault> {
    match word.to_ascii_lowercase().as_str() {
        "rsa-sha256" => Ok(Algorithm::RsaSha256),
        "ed25519-sha256" => Ok(Algorithm::Ed25519Sha256),
        "rsa-sha1" => Err(Fault::new(Outcome::Policy, "rsa-sha1 is not accepted (RFC 8301)")),
        _ => Err(Fault::new(Outcome::Neutral, "the algorithm is not known")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

    fn read(change: &str) -> Result<Signature, String> {
        let mut tags: Vec<(String, String)> = [
            ("v", "1"),
            ("a", "rsa-sha256"),
            ("d", "Example.org"),
            ("s", "mail"),
            ("h", "From : To"),
            ("bh", HASH),
            ("b", "AA AA"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        for tag in change.split(';').filter(|tag| !tag.is_empty()) {
            let (name, value) = tag.split_once('=').unwrap();
            tags.retain(|(known, _)| known != name);
            if value != "-" {
                tags.push((name.to_owned(), value.to_owned()));
            }
        }
        let text: Vec<String> =
            tags.iter().map(|(name, value)| format!("{name}={value}")).collect();
        Signature::parse(text.join("; ").as_bytes()).map_err(|finding| {
            format!("{} {}", finding.outcome(), finding.reason.unwrap_or_default())
        })
    }

    #[test]
    fn a_signature_is_read_with_its_defaults() {
        let signature = read("").unwrap();
        assert_eq!(
            (signature.header, signature.body),
            (Canonicalization::Simple, Canonicalization::Simple)
        );
        assert_eq!(
            (signature.domain.as_str(), &signature.headers[..]),
            ("example.org", &["From".to_owned(), "To".to_owned()][..])
        );
        assert_eq!(signature.about().start.as_deref(), Some("AAAA"));
        assert!(read("i=a@b.example.ORG").unwrap().is_for_a_name_below());
        assert!(!read("i=@example.org").unwrap().is_for_a_name_below());
    }

    #[test]
    fn what_makes_a_signature_worthless_is_named() {
        for (change, reason) in [
            ("v=2", "permerror the signature is of another version"),
            ("v=-", "permerror the tag v= is missing"),
            ("a=rsa-sha1", "policy rsa-sha1 is not accepted (RFC 8301)"),
            ("a=rsa-md5", "neutral the algorithm is not known"),
            ("b=", "permerror the tag b= is missing"),
            ("b=!", "permerror the tag b= is not base64"),
            ("bh=AAAA", "permerror the tag bh= is not a SHA-256"),
            ("c=nofws", "permerror the tag c= names no canonical form"),
            ("d=-", "permerror the tag d= is missing"),
            ("d=a..b", "permerror the tag d= is not a domain"),
            ("s=", "permerror the tag s= is not a selector"),
            ("h=To", "permerror From is not signed"),
            ("h=-", "permerror the tag h= is missing"),
            ("q=http", "permerror the key is not to be found by dns/txt"),
            ("i=@fexample.org", "permerror the tag i= is not within d="),
            ("i=@org", "permerror the tag i= is not within d="),
            ("i=x", "permerror the tag i= is not within d="),
            ("l=-1", "permerror the tag l= is not a number"),
            ("t=soon", "permerror the tag t= is not a number"),
            ("t=5;x=5", "permerror the signature ends before it begins"),
        ] {
            assert_eq!(read(change).unwrap_err(), reason, "{change}");
        }
    }

    #[test]
    fn a_signature_counts_between_its_times() {
        let times = |change: &str, now| {
            let fault = read(change).unwrap().check_times(now, 300);
            fault.map_err(|fault| fault.outcome)
        };
        assert_eq!(times("x=100", 100), Ok(()));
        assert_eq!(times("x=100", 101), Err(Outcome::Fail));
        assert_eq!(times("t=1000", 700), Ok(()));
        assert_eq!(times("t=1000", 699), Err(Outcome::Policy));
    }
}
