//! Passwords: prepared, judged, hashed with Argon2id (RFC 9106), checked.

mod app;
mod hash;
mod keys;
mod policy;
mod verifier;

use std::fmt;

use icu_normalizer::ComposingNormalizerBorrowed;
use mail::Address;
use zeroize::Zeroizing;

pub use app::{
    APP_PASSWORD_NAME_MAX_CHARS, APP_PASSWORD_NETWORKS_MAX, APP_PASSWORDS_MAX, AppPassword, Scope,
    Service,
};
pub(crate) use app::{as_shown as app_password_as_shown, find as find_app_password};
pub use hash::{Cost, MEMORY_MAX_KIB, PASSES_MAX, PasswordHash};
#[cfg(test)]
pub(crate) use keys::tests as tests_keys;
pub use keys::{
    CramKey, DigestKey, Kept, Keys, SCRAM_ITERATIONS, SCRAM_ITERATIONS_MAX, SCRAM_SALT_OCTETS,
    ScramHash, ScramKeys, ScramRing,
};
pub(crate) use keys::{Owner, Which};
pub use policy::{HISTORY_MAX, Policy};
pub use verifier::Verifier;

use crate::AccountError;
pub use crate::workers::WAITING_MAX;

/// The fewest characters of a new password unless a policy says otherwise.
pub const PASSWORD_MIN_CHARS: usize = 12;
/// The most octets of a password, before and after preparation.
pub const PASSWORD_MAX_OCTETS: usize = 1_024;

/// A password in its prepared form (RFC 8265, OpaqueString): spaces of every kind are U+0020
/// and characters are composed, so that one password typed on two systems is one.
///
/// Its memory is wiped when it goes; it is never shown.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// Prepares a password as somebody typed it.
    ///
    /// # Errors
    ///
    /// [`AccountError::PasswordLong`] or [`AccountError::PasswordCharacters`].
    pub fn prepare(text: &str) -> Result<Self, AccountError> {
        if text.len() > PASSWORD_MAX_OCTETS {
            return Err(AccountError::PasswordLong);
        }
        // Enough capacity from the start, so that growing leaves no unwiped copy behind.
        let mut spaced = Zeroizing::new(String::with_capacity(text.len()));
        for c in text.chars() {
            if c.is_control() {
                return Err(AccountError::PasswordCharacters);
            }
            spaced.push(if c.is_whitespace() { ' ' } else { c });
        }
        let prepared = if spaced.is_ascii() {
            spaced
        } else {
            let composed = ComposingNormalizerBorrowed::new_nfc().normalize(&spaced);
            Zeroizing::new(composed.into_owned())
        };
        match prepared.len() {
            0 => Err(AccountError::PasswordCharacters),
            octets if octets > PASSWORD_MAX_OCTETS => Err(AccountError::PasswordLong),
            _ => Ok(Self(prepared)),
        }
    }

    /// Prepares a password that `address` is to have from now on, and judges it: at least
    /// `length_min` characters, and not made of the address.
    ///
    /// # Errors
    ///
    /// Those of [`prepare`](Self::prepare), [`AccountError::PasswordShort`] and
    /// [`AccountError::PasswordIsAddress`].
    pub fn choose(text: &str, address: &Address, length_min: usize) -> Result<Self, AccountError> {
        let password = Self::prepare(text)?;
        if password.0.chars().count() < length_min {
            return Err(AccountError::PasswordShort(length_min));
        }
        let lower = Zeroizing::new(password.0.to_lowercase());
        let made_of = |part: &str| !part.is_empty() && lower.replace(part, "").is_empty();
        if made_of(&address.to_key())
            || made_of(&address.local().to_lowercase())
            || made_of(address.domain().as_str())
        {
            return Err(AccountError::PasswordIsAddress);
        }
        Ok(password)
    }

    /// The form in which SCRAM derives its keys (SASLprep, RFC 4013); where that refuses a
    /// character, the form we hash.
    pub(crate) fn saslprep(&self) -> Zeroizing<String> {
        match stringprep::saslprep(&self.0) {
            Ok(prepared) => Zeroizing::new(prepared.into_owned()),
            Err(_) => self.0.clone(),
        }
    }

    /// The octets that are hashed, or sent to a directory that judges them.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(...)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(text: &str) -> Vec<u8> {
        Password::prepare(text).unwrap().as_bytes().to_vec()
    }

    #[test]
    fn one_password_typed_in_two_ways_is_one() {
        assert_eq!(prepared("pa\u{308}ss wort"), prepared("p\u{e4}ss\u{a0}wort"));
        assert_ne!(prepared("Password"), prepared("password"));
    }

    #[test]
    fn what_is_no_password_is_refused() {
        assert!(matches!(Password::prepare(""), Err(AccountError::PasswordCharacters)));
        assert!(matches!(Password::prepare("a\0b"), Err(AccountError::PasswordCharacters)));
        assert!(matches!(Password::prepare("a\nb"), Err(AccountError::PasswordCharacters)));
        let long = "a".repeat(PASSWORD_MAX_OCTETS + 1);
        assert!(matches!(Password::prepare(&long), Err(AccountError::PasswordLong)));
    }

    #[test]
    fn a_new_password_is_long_and_not_the_address() {
        let ann = Address::parse("Ann@clinic.example").unwrap();
        assert!(matches!(
            Password::choose("eleven char", &ann, 12),
            Err(AccountError::PasswordShort(12))
        ));
        assert!(Password::choose("twelve chars", &ann, 12).is_ok());
        assert!(Password::choose("zwölf Zeichn", &ann, 12).is_ok());
        for made in ["ann@CLINIC.example", "annANNannann", "clinic.example"] {
            assert!(
                matches!(Password::choose(made, &ann, 12), Err(AccountError::PasswordIsAddress)),
                "{made}"
            );
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        let shown = format!("{:?}", Password::prepare("open sesame").unwrap());
        assert_eq!(shown, "Password(...)");
    }
}
