//! Keys in DNS (RFC 6376 section 3.6).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Fault, Signature};
use crate::crypto::{Algorithm, KeyError, PublicKey};
use crate::tags::Tags;
use crate::{Dns, Lack, Outcome, Question, Record};

/// Texts under one name that are tried; there should be one.
pub const KEYS_MAX: usize = 4;

/// A key and what its owner says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The key.
    pub public: PublicKey,
    /// `t=y`: the domain is only trying.
    pub is_testing: bool,
    /// `t=s`: `i=` must not be below `d=`.
    pub is_strict: bool,
}

/// The key that made `signature`, if it may.
pub(crate) async fn look_up(
    dns: &dyn Dns,
    signature: &Signature,
    rsa_min_bits: usize,
) -> Result<Key, Fault> {
    let name = format!("{}._domainkey.{}", signature.selector, signature.domain);
    let permanent = |reason: &str| Fault::new(Outcome::PermError, reason);
    let Some(name) = crate::name::askable(&name) else {
        return Err(permanent("the key has no name that DNS can be asked about"));
    };
    let records = match dns.ask(name, Question::Txt).await {
        Ok(records) => records,
        Err(Lack::NoSuchName | Lack::NoRecords) => return Err(permanent("there is no key")),
        Err(Lack::Temporary(detail)) => {
            return Err(Fault::new(Outcome::TempError, format!("the key: {detail}")));
        }
    };
    let texts = records.iter().filter_map(|record| match record {
        Record::Txt(text) => Some(text),
        Record::A(_) | Record::Aaaa(_) | Record::Mx(..) | Record::Ptr(_) => None,
    });
    let mut fault = permanent("there is no key");
    for text in texts.take(KEYS_MAX) {
        match Key::parse(text, signature.algorithm, rsa_min_bits) {
            Ok(key) if key.is_strict && signature.is_for_a_name_below() => {
                fault = permanent("the key is not for names below its domain");
            }
            Ok(key) => return Ok(key),
            Err(found) => fault = found,
        }
    }
    Err(fault)
}

impl Key {
    /// Reads the text of a key that should verify signatures of `algorithm`.
    pub(crate) fn parse(
        text: &[u8],
        algorithm: Algorithm,
        rsa_min_bits: usize,
    ) -> Result<Self, Fault> {
        let permanent = |reason: String| Fault::new(Outcome::PermError, reason);
        let tags = Tags::parse(text).map_err(|error| permanent(format!("the key: {error}")))?;
        let version_is_first = tags.first().is_some_and(|(name, _)| name == "v");
        match tags.get("v") {
            Some("DKIM1") if version_is_first => {}
            None => {}
            Some(_) => return Err(permanent("the key is of another version".to_owned())),
        }
        let kind = tags.get("k").unwrap_or("rsa");
        if kind != algorithm.key_word() {
            return Err(permanent(format!("the key is not for {}", algorithm.word())));
        }
        if tags.colons("h").is_some_and(|hashes| !hashes.contains(&"sha256")) {
            return Err(permanent("the key is not for sha256".to_owned()));
        }
        if tags.colons("s").is_some_and(|s| !s.contains(&"*") && !s.contains(&"email")) {
            return Err(permanent("the key is not for mail".to_owned()));
        }
        let flags = tags.colons("t").unwrap_or_default();
        let octets = match tags.compact("p").as_deref() {
            None => return Err(permanent("the key is missing in its record".to_owned())),
            Some("") => return Err(permanent("the key was revoked".to_owned())),
            Some(text) => {
                STANDARD.decode(text).map_err(|_| permanent("the key is not base64".to_owned()))?
            }
        };
        let weak = |bits| {
            Fault::new(Outcome::Policy, format!("an RSA key of {bits} bits is not accepted"))
        };
        let public = PublicKey::new(algorithm, octets).map_err(|error| match error {
            KeyError::Unreadable => permanent(error.to_string()),
            KeyError::Length(bits) => weak(bits),
        })?;
        if let Some(bits) = public.rsa_bits().filter(|bits| *bits < rsa_min_bits) {
            return Err(weak(bits));
        }
        Ok(Self { public, is_testing: flags.contains(&"y"), is_strict: flags.contains(&"s") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED25519: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

    fn read(text: &str) -> Result<Key, String> {
        let key = Key::parse(text.as_bytes(), Algorithm::Ed25519Sha256, 1024);
        key.map_err(|fault| format!("{} {}", fault.outcome, fault.reason))
    }

    #[test]
    fn a_key_says_for_what_it_is() {
        let key = read(&format!("v=DKIM1; k=ed25519; t=y:s; n=a note; p={ED25519}")).unwrap();
        assert!(key.is_testing && key.is_strict);
        for (tags, reason) in [
            ("", "permerror the key is not for ed25519-sha256"),
            ("k=rsa; ", "permerror the key is not for ed25519-sha256"),
            ("v=DKIM2; k=ed25519; ", "permerror the key is of another version"),
            ("k=ed25519; v=DKIM1; ", "permerror the key is of another version"),
            ("k=ed25519; h=sha1; ", "permerror the key is not for sha256"),
            ("k=ed25519; s=tlsrpt; ", "permerror the key is not for mail"),
            ("k=ed25519; k=ed25519; ", "permerror the key: the tag k= stands twice"),
        ] {
            assert_eq!(read(&format!("{tags}p={ED25519}")).unwrap_err(), reason, "{tags}");
        }
        assert!(read(&format!("k=ed25519; h=sha1:sha256; s=email; p={ED25519}")).is_ok());
    }

    #[test]
    fn a_key_that_cannot_be_read_says_how() {
        for (key, reason) in [
            ("", "permerror the key was revoked"),
            ("*", "permerror the key is not base64"),
            ("AAAA", "permerror the key cannot be read"),
        ] {
            assert_eq!(read(&format!("k=ed25519; p={key}")).unwrap_err(), reason);
        }
        assert_eq!(read("k=ed25519").unwrap_err(), "permerror the key is missing in its record");
    }
}
