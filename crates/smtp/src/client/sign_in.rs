//! Signing in to a smart host: AUTH PLAIN and LOGIN (RFC 4954, RFC 4616).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::extensions::Extensions;
use crate::mechanism::Mechanism;
use crate::reply::Reply;

/// The longest user name or password, in octets.
pub const SECRET_MAX_OCTETS: usize = 1_024;

/// A user name and a password.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Credentials {
    username: String,
    password: String,
}

impl Credentials {
    /// Credentials, if both are non-empty, hold no NUL (RFC 4616 section 2) and
    /// have at most [`SECRET_MAX_OCTETS`] each.
    pub fn new(username: impl Into<String>, password: impl Into<String>) -> Option<Self> {
        let credentials = Self { username: username.into(), password: password.into() };
        let fine =
            |s: &str| !s.is_empty() && s.len() <= SECRET_MAX_OCTETS && !s.as_bytes().contains(&0);
        (fine(&credentials.username) && fine(&credentials.password)).then_some(credentials)
    }

    /// The user name.
    pub fn username(&self) -> &str {
        &self.username
    }

    /// The password, for a protocol of its own. Never to be logged or shown.
    pub fn password(&self) -> &str {
        &self.password
    }

    fn plain(&self) -> String {
        STANDARD.encode(format!("\0{}\0{}", self.username, self.password))
    }
}

impl fmt::Debug for Credentials {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

/// Why signing in failed. The session is still whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignInError {
    /// The connection is not encrypted; nothing was sent.
    #[error("a password is only sent over TLS")]
    InTheClear,
    /// The peer offers neither PLAIN nor LOGIN.
    #[error("the peer offers no AUTH mechanism that we can use")]
    NoMechanism,
    /// The peer said no.
    #[error("the peer refused the credentials: {}", .0.summary())]
    Refused(Reply),
}

/// An exchange under way.
#[derive(Debug)]
pub(super) struct Exchange {
    credentials: Credentials,
    next: Next,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// PLAIN: the peer may still ask for what came with the command.
    Initial,
    Username,
    Password,
    Nothing,
}

impl Exchange {
    /// Begins with the best mechanism offered; gives the command line.
    pub(super) fn begin(
        credentials: Credentials,
        offered: &Extensions,
    ) -> Result<(Self, String), SignInError> {
        if offered.auth.contains(&Mechanism::Plain) {
            let line = format!("AUTH PLAIN {}\r\n", credentials.plain());
            Ok((Self { credentials, next: Next::Initial }, line))
        } else if offered.auth.contains(&Mechanism::Login) {
            let line = "AUTH LOGIN\r\n".to_owned();
            Ok((Self { credentials, next: Next::Username }, line))
        } else {
            Err(SignInError::NoMechanism)
        }
    }

    /// Answers a 334. When there is nothing more to say, cancels.
    pub(super) fn answer(&mut self) -> String {
        let (answer, next) = match self.next {
            Next::Initial => (self.credentials.plain(), Next::Nothing),
            Next::Username => (STANDARD.encode(&self.credentials.username), Next::Password),
            Next::Password => (STANDARD.encode(&self.credentials.password), Next::Nothing),
            Next::Nothing => ("*".to_owned(), Next::Nothing),
        };
        self.next = next;
        answer + "\r\n"
    }
}
