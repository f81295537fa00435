//! What stands in DNS for a key.

use base64::prelude::{BASE64_STANDARD, Engine as _};

use crate::key::{Key, KeyError};

/// The longest string of a TXT record, in octets (RFC 1035 section 3.3.14).
pub const STRING_MAX_OCTETS: usize = 255;

/// The text of a key's TXT record (RFC 6376 section 3.6.1). Only mail may use the key.
///
/// # Errors
///
/// The key's.
pub fn key_record(key: &Key) -> Result<String, KeyError> {
    let algorithm = key.algorithm();
    let hashes = "h=sha256; ";
    let public = BASE64_STANDARD.encode(key.public()?);
    Ok(format!("v=DKIM1; k={algorithm}; {hashes}s=email; p={public}"))
}

/// A text as the strings of a TXT record.
pub fn strings(text: &str) -> Vec<&str> {
    let mut rest = text;
    let mut strings = Vec::new();
    while rest.len() > STRING_MAX_OCTETS {
        let mut at = STRING_MAX_OCTETS;
        while !rest.is_char_boundary(at) {
            at -= 1;
        }
        let (string, after) = rest.split_at(at);
        strings.push(string);
        rest = after;
    }
    strings.push(rest);
    strings
}

/// A text as a zone file has it: strings in quotes, split as they must be.
pub fn quoted(text: &str) -> String {
    let quoted =
        |string: &&str| format!("\"{}\"", string.replace('\\', "\\\\").replace('"', "\\\""));
    strings(text).iter().map(quoted).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Algorithm;

    #[test]
    fn the_record_of_a_long_key_is_split_where_dns_wants_it() {
        let record = key_record(&Key::generate(Algorithm::Rsa).unwrap()).unwrap();
        assert!(record.starts_with("v=DKIM1; k=rsa; h=sha256; s=email; p=MIIB"), "{record}");
        let strings = strings(&record);
        assert_eq!(strings.len(), 2);
        assert_eq!(strings[0].len(), STRING_MAX_OCTETS);
        assert_eq!(strings.concat(), record);
        assert_eq!(quoted("a\"b"), "\"a\\\"b\"");
    }

    #[test]
    fn the_record_of_a_short_key_is_one_string() {
        let record = key_record(&Key::generate(Algorithm::Ed25519).unwrap()).unwrap();
        assert_eq!(strings(&record).len(), 1);
        let (_, public) = record.split_once("p=").unwrap();
        assert_eq!(BASE64_STANDARD.decode(public).unwrap().len(), 32);
    }
}
