//! Signatures of domains on messages (RFC 6376, 8301, 8463), verified.

mod key;
mod signature;

use mail::header::Header;

use crate::canonical::{self, Canonicalization};
use crate::{Dns, Outcome};

pub(crate) use key::look_up;
pub use key::{KEYS_MAX, Key};
pub use signature::{HEADERS_MAX, Signature};
pub(crate) use signature::{Kind as SignatureKind, algorithm};

/// The field that carries a signature.
pub const FIELD: &str = "DKIM-Signature";
/// How many signatures of a message are looked at, the topmost first. Others are left alone.
pub const SIGNATURES_MAX: usize = 12;

/// What is accepted beyond what the standard asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// A signature may leave the end of the body unsigned (`l=`).
    pub partial_bodies: bool,
    /// How many signatures are looked at, at most [`SIGNATURES_MAX`].
    pub signatures: usize,
    /// The shortest RSA key that counts, in bits; never below 1,024.
    pub rsa_min_bits: usize,
    /// How far ahead of us a signer's clock may be, in seconds.
    pub clock_skew_secs: u64,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            partial_bodies: false,
            signatures: SIGNATURES_MAX,
            rsa_min_bits: crate::crypto::RSA_MIN_BITS,
            clock_skew_secs: 300,
        }
    }
}

/// What was found about one signature.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Finding {
    /// What it came to.
    pub outcome: Option<Outcome>,
    /// The domain that signed (`d=`), lower case.
    pub domain: Option<String>,
    /// The selector of its key (`s=`).
    pub selector: Option<String>,
    /// For whom it signed (`i=`), where it says so.
    pub identity: Option<String>,
    /// How (`a=`).
    pub algorithm: Option<String>,
    /// The beginning of the signature, which tells several apart (RFC 6008).
    pub start: Option<String>,
    /// What is wrong, or worth knowing.
    pub reason: Option<String>,
}

/// Why a signature does not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub outcome: Outcome,
    pub reason: String,
}

impl Fault {
    pub(crate) fn new(outcome: Outcome, reason: impl Into<String>) -> Self {
        Self { outcome, reason: reason.into() }
    }
}

impl Finding {
    /// What it came to, in a word.
    pub fn outcome(&self) -> Outcome {
        self.outcome.unwrap_or(Outcome::None)
    }
}

/// What is known of a body when a signature is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HashedBody {
    pub how: Canonicalization,
    pub limit: Option<u64>,
    pub sha256: Vec<u8>,
    pub octets: u64,
}

/// Verifies one signature of a message: `at` is the number of its field in the header.
pub(crate) async fn verify(
    dns: &dyn Dns,
    header: &Header<'_>,
    (at, signature): (usize, &Signature),
    bodies: &[HashedBody],
    terms: &Terms,
    now_secs: u64,
) -> Result<(), Fault> {
    signature.check_times(now_secs, terms.clock_skew_secs)?;
    let key = look_up(dns, signature, terms.rsa_min_bits).await?;
    let hashed = check_body(signature, bodies, terms.partial_bodies)
        .and_then(|()| check_header(header, at, signature, &key));
    match hashed {
        // What fails while its signer is only trying counts as unsigned (RFC 6376 section 3.6.1).
        Err(fault) if key.is_testing && fault.outcome == Outcome::Fail => {
            Err(Fault::new(Outcome::Neutral, format!("{} (the key is for testing)", fault.reason)))
        }
        other => other,
    }
}

/// Whether the body is the one that was signed.
pub(crate) fn check_body(
    signature: &Signature,
    bodies: &[HashedBody],
    partial: bool,
) -> Result<(), Fault> {
    let body = bodies
        .iter()
        .find(|body| body.how == signature.body && body.limit == signature.length)
        .ok_or_else(|| {
            Fault::new(Outcome::Policy, "the message asks for too many hashes of its body")
        })?;
    if signature.length.is_some_and(|length| length > body.octets) {
        return Err(Fault::new(Outcome::Fail, "the body is shorter than what was signed"));
    }
    if body.sha256 != signature.body_hash {
        return Err(Fault::new(Outcome::Fail, "the body was changed"));
    }
    if signature.length.is_some_and(|length| length < body.octets) && !partial {
        return Err(Fault::new(Outcome::Policy, "only a part of the body is signed (l=)"));
    }
    Ok(())
}

/// Whether the header is the one that was signed.
pub(crate) fn check_header(
    header: &Header<'_>,
    at: usize,
    signature: &Signature,
    key: &Key,
) -> Result<(), Fault> {
    let data = signed_header(header, at, signature);
    if key.public.verifies(&data, &signature.value) {
        Ok(())
    } else {
        Err(Fault::new(Outcome::Fail, "the signature does not fit the header"))
    }
}

/// The octets that a signature is made over (RFC 6376 section 3.7).
fn signed_header(header: &Header<'_>, at: usize, signature: &Signature) -> Vec<u8> {
    let fields: Vec<(&[u8], &[u8])> =
        header.fields().map(|field| parts(field.as_bytes())).collect();
    let mut data = Vec::with_capacity(1_024);
    let mut used: Vec<bool> = vec![false; fields.len()];
    for name in &signature.headers {
        // Of several fields the lowest that is left is meant (RFC 6376 section 5.4.2).
        let fits = |known: &[u8]| known.trim_ascii_end().eq_ignore_ascii_case(name.as_bytes());
        let last = (0..fields.len()).rev().find(|&n| !used[n] && n != at && fits(fields[n].0));
        if let Some(found) = last {
            used[found] = true;
            canonical::field(signature.header, fields[found].0, fields[found].1, &mut data);
        }
    }
    if let Some((name, value)) = fields.get(at) {
        canonical::field(signature.header, name, &without_signature(value), &mut data);
    }
    data.truncate(data.len().saturating_sub(2));
    data
}

/// What stands before and after the colon of a field, without the line end.
pub(crate) fn parts(field: &[u8]) -> (&[u8], &[u8]) {
    let field = field.strip_suffix(b"\n").unwrap_or(field);
    let field = field.strip_suffix(b"\r").unwrap_or(field);
    let colon = field.iter().position(|byte| *byte == b':').unwrap_or(field.len());
    (&field[..colon], field.get(colon + 1..).unwrap_or_default())
}

/// The value of a field with its `b=` tag emptied.
pub(crate) fn without_signature(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    for (number, tag) in value.split(|byte| *byte == b';').enumerate() {
        if number > 0 {
            out.push(b';');
        }
        let equals = tag.iter().position(|byte| *byte == b'=');
        match equals {
            Some(equals) if tag[..equals].trim_ascii() == b"b" => {
                out.extend_from_slice(&tag[..=equals]);
            }
            Some(_) | None => out.extend_from_slice(tag),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_signature_itself_is_emptied() {
        let value = b" a=1; bh=x; b = ab\r\n\tcd=; c=b=1";
        assert_eq!(without_signature(value), b" a=1; bh=x; b =; c=b=1");
    }

    #[test]
    fn a_field_is_cut_at_its_first_colon() {
        assert_eq!(parts(b"A : b:c\r\n d\r\n"), (&b"A "[..], &b" b:c\r\n d"[..]));
        assert_eq!(parts(b"A"), (&b"A"[..], &b""[..]));
    }
}
