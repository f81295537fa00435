//! App passwords: one for each program, made here, scoped, and revoked alone.

use std::fmt;
use std::net::IpAddr;

use aws_lc_rs::{digest, rand};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ipnet::IpNet;
use mail::Timestamp;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::{Kept, Keys, Password};
use crate::AccountError;

/// App passwords of one account.
pub const APP_PASSWORDS_MAX: usize = 32;
/// Characters of the name of one.
pub const APP_PASSWORD_NAME_MAX_CHARS: usize = 64;
/// Networks of one.
pub const APP_PASSWORD_NETWORKS_MAX: usize = 16;
const LETTERS: usize = 20;
const GROUP: usize = 5;
const SALT_OCTETS: usize = 16;

/// What signs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Service {
    /// Sending mail: SMTP and submission.
    Smtp,
    /// Reading mail.
    Imap,
}

impl Service {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Smtp => "smtp",
            Self::Imap => "imap",
        }
    }
}

/// A password of one program. It was drawn by us and has 94 bits, so that its hash needs to
/// be neither slow nor large.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppPassword {
    /// Tells it from the account's others: eight hexadecimal digits.
    pub id: String,
    /// What it is for, in its owner's words.
    pub name: String,
    salt: String,
    sha256: String,
    /// Its keys for SCRAM, as far as the configuration wants them.
    #[serde(default, skip_serializing_if = "Keys::is_empty")]
    pub(crate) keys: Keys,
    /// Services it opens; empty means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<Service>,
    /// Networks it may come from; empty means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<IpNet>,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends to hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

/// Where and how long a new app password holds.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Services it opens; empty means all.
    pub services: Vec<Service>,
    /// Networks it may come from; empty means all.
    pub networks: Vec<IpNet>,
    /// When it ends to hold.
    pub expires: Option<Timestamp>,
}

impl AppPassword {
    /// A new one, and its text, which is shown once and known nowhere afterwards:
    /// `abcde-fghij-klmno-pqrst`.
    ///
    /// # Errors
    ///
    /// [`AccountError::AppPassword`] when name or networks are too many, or the system has no
    /// randomness.
    pub fn new(
        name: &str,
        scope: Scope,
        now: Timestamp,
    ) -> Result<(Self, Zeroizing<String>), AccountError> {
        let wrong = |why: &'static str| AccountError::AppPassword(why);
        let length = name.chars().count();
        if length == 0 || length > APP_PASSWORD_NAME_MAX_CHARS || name.chars().any(char::is_control)
        {
            return Err(wrong("its name has 1 to 64 characters and no controls"));
        }
        if scope.networks.len() > APP_PASSWORD_NETWORKS_MAX {
            return Err(wrong("it can have 16 networks at most"));
        }
        let random = |_| wrong("the system has no randomness");
        let mut id = [0; 4];
        let mut salt = [0; SALT_OCTETS];
        rand::fill(&mut id).map_err(random)?;
        rand::fill(&mut salt).map_err(random)?;
        let letters = draw().ok_or(wrong("the system has no randomness"))?;
        let salt = BASE64_STANDARD.encode(salt);
        let made = Self {
            id: crate::sasl::md5::hex(&id),
            name: name.to_owned(),
            sha256: hash(&salt, &letters),
            salt,
            keys: Keys::default(),
            services: scope.services,
            networks: scope.networks,
            created: now,
            expires: scope.expires,
        };
        Ok((made, Zeroizing::new(shown(&letters))))
    }

    /// How its keys are made of it: from the text as it was shown, which is what SCRAM clients
    /// must be given, and for SCRAM only. Keys as good as a password are not worth a password
    /// of its own.
    pub(crate) fn kept(kept: &[Kept]) -> Vec<Kept> {
        let scram = |kind: &Kept| match kind {
            Kept::ScramSha1 | Kept::ScramSha256 => true,
            Kept::CramMd5 | Kept::DigestMd5 => false,
        };
        kept.iter().copied().filter(scram).collect()
    }

    /// Whether it holds for `service` from `ip` at `now`.
    pub fn holds(&self, service: Service, ip: IpAddr, now: Timestamp) -> bool {
        let ip = ip.to_canonical();
        (self.services.is_empty() || self.services.contains(&service))
            && (self.networks.is_empty() || self.networks.iter().any(|net| net.contains(&ip)))
            && self.expires.is_none_or(|expires| now < expires)
    }

    fn is(&self, letters: &str) -> bool {
        hash(&self.salt, letters).as_bytes().ct_eq(self.sha256.as_bytes()).into()
    }
}

/// The text of an app password as it was shown, however it was typed.
pub(crate) fn as_shown(password: &Password) -> Option<Password> {
    let letters = letters(std::str::from_utf8(password.as_bytes()).ok()?)?;
    Password::prepare(&Zeroizing::new(shown(&letters))).ok()
}

/// The one among `all` that `password` is.
pub(crate) fn find<'a>(all: &'a [AppPassword], password: &Password) -> Option<&'a AppPassword> {
    let letters = letters(std::str::from_utf8(password.as_bytes()).ok()?)?;
    all.iter().find(|one| one.is(&letters))
}

/// The letters of an app password as somebody typed it: with or without hyphens and blanks,
/// in any case. `None` for what is none.
fn letters(text: &str) -> Option<Zeroizing<String>> {
    let mut letters = Zeroizing::new(String::with_capacity(LETTERS));
    for c in text.chars().filter(|c| !matches!(c, '-' | ' ')) {
        if !c.is_ascii_alphabetic() || letters.len() == LETTERS {
            return None;
        }
        letters.push(c.to_ascii_lowercase());
    }
    (letters.len() == LETTERS).then_some(letters)
}

/// Draws letters, each equally likely.
fn draw() -> Option<Zeroizing<String>> {
    let mut letters = Zeroizing::new(String::with_capacity(LETTERS));
    // Of 256 octets 234 are used, so that this many are enough but for a chance of 10^-20.
    let mut octets = Zeroizing::new([0_u8; 4 * LETTERS]);
    rand::fill(&mut *octets).ok()?;
    for octet in octets.iter().filter(|octet| **octet < 234).take(LETTERS) {
        letters.push(char::from(b'a' + octet % 26));
    }
    (letters.len() == LETTERS).then_some(letters)
}

fn shown(letters: &str) -> String {
    let groups: Vec<&str> =
        (0..LETTERS / GROUP).filter_map(|at| letters.get(at * GROUP..(at + 1) * GROUP)).collect();
    groups.join("-")
}

fn hash(salt: &str, letters: &str) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(salt.as_bytes());
    context.update(letters.as_bytes());
    BASE64_STANDARD.encode(context.finish())
}

impl fmt::Debug for AppPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppPassword").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const NOW: Timestamp = Timestamp(1_780_000_000_000);

    fn typed(text: &str) -> Password {
        Password::prepare(text).unwrap()
    }

    #[test]
    fn it_is_found_however_it_was_typed() {
        let (made, text) = AppPassword::new("Outlook", Scope::default(), NOW).unwrap();
        let (other, _) = AppPassword::new("Phone", Scope::default(), NOW).unwrap();
        assert_eq!(text.len(), 23);
        let all = [other, made.clone()];
        for typing in
            [text.to_string(), text.to_uppercase(), text.replace('-', " "), text.replace('-', "")]
        {
            assert_eq!(find(&all, &typed(&typing)), Some(&made), "{typing}");
        }
        for wrong in
            ["aaaaa-aaaaa-aaaaa-aaaaa", "aaaaa", "correct horse battery", &format!("{}a", *text)]
        {
            assert_eq!(find(&all, &typed(wrong)), None);
        }
        assert!(!serde_json::to_string(&made).unwrap().contains(&text.replace('-', "")));
    }

    #[test]
    fn it_holds_for_its_services_networks_and_time_only() {
        let scope = Scope {
            services: vec![Service::Smtp],
            networks: vec!["192.0.2.0/24".parse().unwrap()],
            expires: Some(NOW.plus(Duration::from_secs(60))),
        };
        let (made, _) = AppPassword::new("printer", scope, NOW).unwrap();
        let inside: IpAddr = "192.0.2.9".parse().unwrap();
        assert!(made.holds(Service::Smtp, inside, NOW));
        assert!(made.holds(Service::Smtp, "::ffff:192.0.2.9".parse().unwrap(), NOW));
        assert!(!made.holds(Service::Imap, inside, NOW));
        assert!(!made.holds(Service::Smtp, "198.51.100.1".parse().unwrap(), NOW));
        assert!(!made.holds(Service::Smtp, inside, NOW.plus(Duration::from_secs(60))));
    }

    #[test]
    fn a_name_is_needed() {
        for name in ["", "a\nb", &"x".repeat(65)] {
            assert!(AppPassword::new(name, Scope::default(), NOW).is_err());
        }
    }
}
