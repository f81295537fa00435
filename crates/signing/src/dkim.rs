//! Making DKIM signatures (RFC 6376 section 5, RFC 8463).

use base64::prelude::{BASE64_STANDARD, Engine as _};
use mail::header::Header;
use mail::{Domain, Timestamp};

use crate::canonical::{BodyHash, relaxed_field};
use crate::fields::{Covered, covered};
use crate::key::{Key, KeyError};

/// The name of the field.
const FIELD: &str = "DKIM-Signature";
/// Columns before a line is folded.
const FOLD_AT: usize = 76;

/// Who vouches, with which key.
#[derive(Debug, Clone, Copy)]
pub struct Signer<'k> {
    /// The domain that vouches: `d=`.
    pub domain: &'k Domain,
    /// Where its key is published: `s=`.
    pub selector: &'k str,
    /// The key.
    pub key: &'k Key,
}

/// A `DKIM-Signature` field, with its line end, for a message with this header and body.
///
/// # Errors
///
/// The key's.
pub fn sign(
    header: &Header<'_>,
    body: BodyHash,
    signer: Signer<'_>,
    now: Timestamp,
) -> Result<String, KeyError> {
    sign_message(FIELD, " v=1;", &covered(header), body, signer, now)
}

/// A field that signs what is covered; its value begins with `lead`.
pub(crate) fn sign_message(
    name: &str,
    lead: &str,
    covered: &Covered<'_>,
    body: BodyHash,
    signer: Signer<'_>,
    now: Timestamp,
) -> Result<String, KeyError> {
    let mut value = format!(
        "{lead} a={}; c=relaxed/relaxed; d={};\r\n\ts={}; t={};\r\n\t",
        signer.key.algorithm().signature_word(),
        signer.domain,
        signer.selector,
        now.0.div_euclid(1_000)
    );
    fold_names(&covered.names, &mut value);
    value.push_str(&format!("\r\n\tbh={};\r\n\tb=", BASE64_STANDARD.encode(body.0)));
    let mut input = Vec::with_capacity(2_048);
    for field in &covered.fields {
        relaxed_field(field.name(), field.raw_value(), &mut input);
    }
    sign_field(name, value, input, signer.key)
}

/// A field whose value ends in an empty `b=`: signs `input` and the field itself, and fills it in.
pub(crate) fn sign_field(
    name: &str,
    mut value: String,
    mut input: Vec<u8>,
    key: &Key,
) -> Result<String, KeyError> {
    relaxed_field(name, value.as_bytes(), &mut input);
    // The field itself has no line end in what is signed (RFC 6376 section 3.7).
    input.truncate(input.len() - 2);
    let signature = BASE64_STANDARD.encode(key.sign(&input)?);
    let mut column = "\tb=".len() + 7;
    for (at, octet) in signature.chars().enumerate() {
        if column >= FOLD_AT && at > 0 {
            value.push_str("\r\n\t ");
            column = 9;
        }
        value.push(octet);
        column += 1;
    }
    Ok(format!("{name}:{value}\r\n"))
}

/// `h=` with its names, folded.
fn fold_names(names: &[&str], value: &mut String) {
    value.push_str("h=");
    let mut column = 10;
    for (at, name) in names.iter().enumerate() {
        if at > 0 {
            value.push(':');
            column += 1;
        }
        if column + name.len() >= FOLD_AT {
            value.push_str("\r\n\t ");
            column = 9;
        }
        value.push_str(name);
        column += name.len();
    }
    value.push(';');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canonical::BodyHasher;
    use crate::key::Algorithm;

    fn hash(body: &[u8]) -> BodyHash {
        let mut hasher = BodyHasher::default();
        hasher.update(body);
        hasher.finish()
    }

    #[test]
    fn a_signature_says_who_vouches_for_what_and_stays_within_its_lines() {
        let key = Key::generate(Algorithm::Rsa).unwrap();
        let domain = Domain::parse("example.com").unwrap();
        let signer = Signer { domain: &domain, selector: "s1", key: &key };
        let header = Header::scan(b"From: a@example.com\r\nSubject: Hi\r\n\r\n").unwrap();
        let field = sign(&header, hash(b"Hello.\r\n"), signer, Timestamp(1_000_999)).unwrap();
        assert!(field.starts_with("DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.com;\r\n\ts=s1; t=1000;\r\n\th=From:From:"), "{field}");
        assert!(field.ends_with("\r\n"));
        for line in field.split("\r\n") {
            assert!(line.len() <= 78, "{line}");
        }
        let read = Header::scan(field.as_bytes()).unwrap();
        assert_eq!(read.fields().count(), 1);
    }

    #[test]
    fn the_key_signs_what_the_standard_says_it_signs() {
        use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
        let key = Key::generate(Algorithm::Ed25519).unwrap();
        let domain = Domain::parse("example.com").unwrap();
        let signer = Signer { domain: &domain, selector: "s1", key: &key };
        let header = Header::scan(b"From: a@example.com\r\n\r\n").unwrap();
        let field = sign(&header, hash(b""), signer, Timestamp(0)).unwrap();
        let (signed, b) = field.split_once("\tb=").unwrap();
        let b: String = b.split_whitespace().collect();
        let mut input = b"from:a@example.com\r\n".to_vec();
        let (_, value) = signed.split_once(':').unwrap();
        relaxed_field(FIELD, format!("{value}\tb=").as_bytes(), &mut input);
        input.truncate(input.len() - 2);
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &input);
        let public = UnparsedPublicKey::new(&ED25519, key.public().unwrap());
        public.verify(digest.as_ref(), &BASE64_STANDARD.decode(b).unwrap()).unwrap();
    }
}
