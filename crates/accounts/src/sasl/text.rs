//! Text in responses.

use icu_normalizer::ComposingNormalizerBorrowed;

use super::{Failure, RESPONSE_MAX_OCTETS};

/// Octets of a user name: a local part, `@`, a domain.
pub const USER_MAX_OCTETS: usize = 320;

/// A response as text; it has no NUL unless the mechanism wants one.
pub(super) fn utf8(response: &[u8]) -> Result<&str, Failure> {
    if response.len() > RESPONSE_MAX_OCTETS {
        return Err(Failure::TooLong);
    }
    std::str::from_utf8(response).map_err(|_| Failure::Malformed)
}

/// A user name in composed form; case is left to the directory.
pub(super) fn user(text: &str) -> Result<String, Failure> {
    let name = ComposingNormalizerBorrowed::new_nfc().normalize(text);
    if name.is_empty() || name.len() > USER_MAX_OCTETS || name.chars().any(char::is_control) {
        return Err(Failure::Malformed);
    }
    Ok(name.into_owned())
}

/// A user name as SCRAM prepares it (RFC 5802 section 5.1: SASLprep, RFC 4013).
pub(super) fn saslprep(text: &str) -> Result<String, Failure> {
    stringprep::saslprep(text).map(std::borrow::Cow::into_owned).map_err(|_| Failure::Malformed)
}
