//! The hash of a password, as it is stored.

use std::fmt;

use argon2::password_hash::rand_core::{OsRng, RngCore};
use argon2::password_hash::{
    self, Output, ParamsString, PasswordHasher, PasswordVerifier, SaltString,
};
use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};

use super::Password;
use crate::AccountError;

/// The most memory that a stored hash may ask for, in KiB.
pub const MEMORY_MAX_KIB: u32 = 256 * 1024;
/// The most passes that a stored hash may ask for.
pub const PASSES_MAX: u32 = 16;
const LANES_MAX: u32 = 16;
/// Octets of a PHC string.
const HASH_MAX_OCTETS: usize = 512;

/// What a new hash costs to compute, and an attacker to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Memory, in KiB; at most [`MEMORY_MAX_KIB`].
    pub memory_kib: u32,
    /// Passes over the memory; at most [`PASSES_MAX`].
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Default for Cost {
    /// 19 MiB, two passes, one lane: about 20 ms of one core.
    fn default() -> Self {
        Self { memory_kib: 19 * 1024, passes: 2, lanes: 1 }
    }
}

/// An Argon2id hash in PHC form: `$argon2id$v=19$m=19456,t=2,p=1$salt$hash`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PasswordHash(Box<str>);

impl PasswordHash {
    /// Hashes `password` with a fresh salt. Takes tens of milliseconds and the memory of
    /// `cost`: not for an async thread (see [`Verifier::hash`](super::Verifier::hash)).
    ///
    /// # Errors
    ///
    /// [`AccountError::Hashing`] when `cost` is out of bounds.
    pub fn new(password: &Password, cost: Cost) -> Result<Self, AccountError> {
        let salt = SaltString::generate(&mut OsRng);
        let hashed = cost
            .hasher()
            .and_then(|hasher| Ok(hasher.hash_password(password.as_bytes(), &salt)?.to_string()))
            .map_err(|error| AccountError::Hashing(error.to_string()))?;
        Self::parse(&hashed)
    }

    /// A hash of `cost` that no password is known to have: random octets. Looks like any other
    /// and takes as long to compare with, but takes no time to make.
    ///
    /// # Errors
    ///
    /// [`AccountError::Hashing`] when `cost` is out of bounds.
    pub fn of_nobody(cost: Cost) -> Result<Self, AccountError> {
        let salt = SaltString::generate(&mut OsRng);
        let mut octets = [0; Params::DEFAULT_OUTPUT_LEN];
        OsRng.fill_bytes(&mut octets);
        let phc = || -> password_hash::Result<String> {
            let hasher = cost.hasher()?;
            let phc = password_hash::PasswordHash {
                algorithm: Algorithm::Argon2id.ident(),
                version: Some(Version::V0x13.into()),
                params: ParamsString::try_from(hasher.params())?,
                salt: Some(salt.as_salt()),
                hash: Some(Output::new(&octets)?),
            };
            Ok(phc.to_string())
        };
        Self::parse(&phc().map_err(|error| AccountError::Hashing(error.to_string()))?)
    }

    /// Reads a PHC string.
    ///
    /// # Errors
    ///
    /// [`AccountError::Hash`] when it is not Argon2id version 19, or would cost more than our
    /// limits: a row of the store must not be able to take all memory.
    pub fn parse(text: &str) -> Result<Self, AccountError> {
        let wrong = |why: &str| AccountError::Hash(why.to_owned());
        if text.len() > HASH_MAX_OCTETS {
            return Err(wrong("too long"));
        }
        let parsed =
            password_hash::PasswordHash::new(text).map_err(|error| wrong(&error.to_string()))?;
        let params = Params::try_from(&parsed).map_err(|error| wrong(&error.to_string()))?;
        if parsed.algorithm != Algorithm::Argon2id.ident()
            || parsed.version != Some(Version::V0x13.into())
        {
            return Err(wrong("not Argon2id version 19"));
        }
        if params.m_cost() > MEMORY_MAX_KIB
            || params.t_cost() > PASSES_MAX
            || params.p_cost() > LANES_MAX
        {
            return Err(wrong("costs too much"));
        }
        if parsed.salt.is_none() || parsed.hash.is_none() {
            return Err(wrong("no salt or no hash"));
        }
        Ok(Self(text.into()))
    }

    /// Whether this is the hash of `password`; compared in constant time. As slow as
    /// [`new`](Self::new): not for an async thread.
    pub fn matches(&self, password: &Password) -> bool {
        let Ok(parsed) = password_hash::PasswordHash::new(&self.0) else { return false };
        Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok()
    }

    /// Whether it was made with another cost, so that it is made anew when the password is
    /// next seen.
    pub fn is_outdated(&self, cost: Cost) -> bool {
        let params =
            password_hash::PasswordHash::new(&self.0).and_then(|parsed| Params::try_from(&parsed));
        params.map_or(true, |params| {
            (params.m_cost(), params.t_cost(), params.p_cost())
                != (cost.memory_kib, cost.passes, cost.lanes)
        })
    }

    /// The PHC string.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Cost {
    fn hasher(self) -> password_hash::Result<Argon2<'static>> {
        let bounded = self.memory_kib <= MEMORY_MAX_KIB
            && self.passes <= PASSES_MAX
            && self.lanes <= LANES_MAX;
        if !bounded {
            return Err(password_hash::Error::ParamsMaxExceeded);
        }
        let params = Params::new(self.memory_kib, self.passes, self.lanes, None)?;
        Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(...)")
    }
}

impl TryFrom<String> for PasswordHash {
    type Error = AccountError;
    fn try_from(text: String) -> Result<Self, AccountError> {
        Self::parse(&text)
    }
}

impl From<PasswordHash> for String {
    fn from(hash: PasswordHash) -> Self {
        hash.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: Cost = Cost { memory_kib: 64, passes: 1, lanes: 1 };

    fn password(text: &str) -> Password {
        Password::prepare(text).unwrap()
    }

    #[test]
    fn a_hash_knows_its_password_alone() {
        let hash = PasswordHash::new(&password("correct horse"), CHEAP).unwrap();
        assert!(hash.matches(&password("correct horse")));
        assert!(!hash.matches(&password("correct horsf")));
        let again = PasswordHash::new(&password("correct horse"), CHEAP).unwrap();
        assert_ne!(hash, again, "each has its own salt");
    }

    #[test]
    fn the_form_names_algorithm_and_cost() {
        let hash = PasswordHash::new(&password("correct horse"), Cost::default()).unwrap();
        assert!(hash.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.as_str());
        assert!(!hash.is_outdated(Cost::default()));
        assert!(hash.is_outdated(CHEAP));
        let json = serde_json::to_string(&hash).unwrap();
        assert_eq!(serde_json::from_str::<PasswordHash>(&json).unwrap(), hash);
    }

    #[test]
    fn the_hash_of_nobody_looks_like_any_other_and_opens_nothing() {
        let nobody = PasswordHash::of_nobody(CHEAP).unwrap();
        let somebody = PasswordHash::new(&password("correct horse"), CHEAP).unwrap();
        let form = |hash: &PasswordHash| hash.as_str().split('$').map(str::len).collect::<Vec<_>>();
        assert_eq!(form(&nobody), form(&somebody));
        assert!(!nobody.is_outdated(CHEAP));
        assert!(!nobody.matches(&password("correct horse")));
        assert_ne!(nobody, PasswordHash::of_nobody(CHEAP).unwrap());
    }

    #[test]
    fn a_stored_hash_cannot_ask_for_all_memory() {
        let good = PasswordHash::new(&password("correct horse"), CHEAP).unwrap();
        for bad in [
            good.as_str().replace("m=64", "m=4194304"),
            good.as_str().replace("t=1", "t=1000"),
            good.as_str().replace("argon2id", "argon2d"),
            good.as_str().replace("v=19", "v=16"),
            good.as_str().rsplit_once('$').unwrap().0.to_owned(),
            "$2b$10$abcdefghijklmnopqrstuv".to_owned(),
            String::new(),
        ] {
            assert!(matches!(PasswordHash::parse(&bad), Err(AccountError::Hash(_))), "{bad}");
        }
    }
}
