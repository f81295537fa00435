//! SASL exchanges (RFC 4422), without I/O and without policy.
//!
//! ```text
//!            response                    Question
//!  client ────────────▶ Exchange::step ───────────▶ SignIn, or another judge
//!         ◀────────────       ▲                          │
//!           Challenge         └───── Exchange::answer ◀──┘ Finding
//! ```
//!
//! An exchange may ask once or more, before or after challenges: PLAIN asks for a password to
//! be judged at its end; a mechanism with stored keys would ask for them in its middle.

mod login;
mod plain;
mod text;

use std::fmt;

use mail::Status;

use crate::password::Password;
use crate::sign_in::Authenticated;

pub use text::USER_MAX_OCTETS;

/// Mechanisms that [`begin`] knows, by their registered names, the best first.
pub const MECHANISMS: [&str; 2] = ["PLAIN", "LOGIN"];
/// Octets of one response, decoded.
pub const RESPONSE_MAX_OCTETS: usize = 9_216;

/// One exchange, from its start to [`Step::Done`] or [`Step::Failed`].
pub trait Exchange: fmt::Debug + Send + Sync {
    /// Takes the client's response: first the initial one, where it sent one (`Some(b"")` is
    /// an empty one), then one for each [`Step::Challenge`].
    fn step(&mut self, response: Option<&[u8]>) -> Step;

    /// Takes the finding to a [`Step::Ask`].
    fn answer(&mut self, finding: Finding) -> Step;
}

/// What comes next in an exchange.
#[derive(Debug)]
pub enum Step {
    /// Send this to the client, and give its response to [`Exchange::step`].
    Challenge(Vec<u8>),
    /// Find this out, and give it to [`Exchange::answer`].
    Ask(Question),
    /// The client is this account.
    Done(Authenticated),
    /// It is over.
    Failed(Failure),
}

/// What an exchange cannot know by itself.
#[derive(Debug)]
pub enum Question {
    /// Whether this is somebody's password.
    Password(Credentials),
}

/// A user name and a password, as a client gave them.
#[derive(Debug)]
pub struct Credentials {
    /// The user name, in composed form and the case given; at most [`USER_MAX_OCTETS`].
    pub user: String,
    /// Whom the client wants to act as, where it said so and it is not `user` itself.
    pub act_as: Option<String>,
    /// The password.
    pub password: Password,
}

/// The answer to a [`Question`].
#[derive(Debug)]
pub enum Finding {
    /// The client proved to be this account.
    Authenticated(Authenticated),
    /// It did not, for this reason.
    Refused(Failure),
}

/// Why an exchange failed. [`reply`](Self::reply) is for the client and tells no more than
/// RFC 4954 section 6 wants; `Display` is for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// A response is not what the mechanism prescribes.
    #[error("malformed response")]
    Malformed,
    /// A response is longer than [`RESPONSE_MAX_OCTETS`].
    #[error("response too long")]
    TooLong,
    /// There is no account of that name.
    #[error("unknown user")]
    UnknownUser,
    /// The account exists and the password is another.
    #[error("wrong password")]
    WrongPassword,
    /// The account is disabled.
    #[error("account disabled")]
    Disabled,
    /// The client wants to act as somebody else.
    #[error("not allowed to act as another")]
    ActAs,
    /// Too many failures before this; nothing was checked.
    #[error("locked out after too many failures")]
    LockedOut,
    /// The check could not be made now.
    #[error("the check could not be made")]
    Unavailable,
    /// The client gave up (`*`).
    #[error("cancelled by the client")]
    Cancelled,
    /// The mechanism is not known here.
    #[error("unknown mechanism")]
    Mechanism,
}

impl Failure {
    /// Code, enhanced status and text for the client (RFC 4954 section 6). All that would tell
    /// whether an account exists share one reply.
    pub fn reply(self) -> (u16, Status, &'static str) {
        match self {
            Self::Malformed => (501, Status::new(5, 5, 2), "Cannot read this response"),
            Self::TooLong => (500, Status::new(5, 5, 6), "Response too long"),
            Self::UnknownUser | Self::WrongPassword | Self::Disabled | Self::ActAs => {
                (535, Status::new(5, 7, 8), "Authentication credentials invalid")
            }
            Self::LockedOut => {
                (454, Status::new(4, 7, 0), "Too many failed attempts, try again later")
            }
            Self::Unavailable => (454, Status::new(4, 7, 0), "Temporary authentication failure"),
            Self::Cancelled => (501, Status::new(5, 7, 0), "Authentication cancelled"),
            Self::Mechanism => (504, Status::new(5, 5, 4), "Unrecognized authentication mechanism"),
        }
    }

    /// The fixed word for the security log; it never changes.
    pub fn word(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::TooLong => "too-long",
            Self::UnknownUser => "unknown-user",
            Self::WrongPassword => "wrong-password",
            Self::Disabled => "disabled",
            Self::ActAs => "act-as",
            Self::LockedOut => "locked-out",
            Self::Unavailable => "unavailable",
            Self::Cancelled => "cancelled",
            Self::Mechanism => "unknown-mechanism",
        }
    }

    /// Whether it counts against the client: it tried credentials that were wrong.
    pub fn counts(self) -> bool {
        match self {
            Self::UnknownUser | Self::WrongPassword | Self::Disabled | Self::ActAs => true,
            Self::Malformed
            | Self::TooLong
            | Self::LockedOut
            | Self::Unavailable
            | Self::Cancelled
            | Self::Mechanism => false,
        }
    }
}

/// Begins an exchange of the mechanism with this registered name, in any case.
///
/// # Errors
///
/// [`Failure::Mechanism`] when there is none of that name; [`MECHANISMS`] has those there are.
pub fn begin(mechanism: &str) -> Result<Box<dyn Exchange>, Failure> {
    match mechanism.to_ascii_uppercase().as_str() {
        "PLAIN" => Ok(Box::new(plain::Plain::default())),
        "LOGIN" => Ok(Box::new(login::Login::default())),
        _ => Err(Failure::Mechanism),
    }
}

/// What PLAIN and LOGIN make of the finding to their only question.
fn conclude(finding: Finding) -> Step {
    match finding {
        Finding::Authenticated(account) => Step::Done(account),
        Finding::Refused(failure) => Step::Failed(failure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn mechanisms_are_found_by_their_registered_names() {
        for name in MECHANISMS {
            assert!(begin(&name.to_ascii_lowercase()).is_ok(), "{name}");
        }
        assert_eq!(begin("X-OTHER").err(), Some(Failure::Mechanism));
    }

    #[test]
    fn no_reply_tells_whether_an_account_exists() {
        let told = Failure::UnknownUser.reply();
        for failure in [Failure::WrongPassword, Failure::Disabled, Failure::ActAs] {
            assert_eq!(failure.reply(), told);
        }
    }

    proptest! {
        #[test]
        fn no_response_makes_an_exchange_panic(
            responses in proptest::collection::vec(proptest::option::of(any::<Vec<u8>>()), 1..4)
        ) {
            for name in MECHANISMS {
                let mut exchange = begin(name).unwrap();
                for response in &responses {
                    let _ = exchange.step(response.as_deref());
                }
            }
        }
    }
}
