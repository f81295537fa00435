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
//! be judged at its end; a mechanism with stored keys asks for them in its middle, and at its
//! end what follows from the proof.

mod bearer;
mod cram_md5;
mod digest_md5;
mod external;
pub(crate) mod gssapi;
mod login;
pub(crate) mod md5;
mod plain;
mod scram;
pub(crate) mod text;

use std::fmt;

use mail::Status;

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use crate::password::{CramKey, DigestKey, Kept, Password, ScramHash, ScramRing, Which};
use crate::sign_in::Authenticated;
use crate::token::Token;

pub use gssapi::Negotiation;
pub use text::USER_MAX_OCTETS;

/// Mechanisms that [`begin`] knows, by their registered names, the best first.
pub const MECHANISMS: [&str; 12] = [
    "SCRAM-SHA-256-PLUS",
    "SCRAM-SHA-1-PLUS",
    "SCRAM-SHA-256",
    "SCRAM-SHA-1",
    "EXTERNAL",
    "GSSAPI",
    "OAUTHBEARER",
    "XOAUTH2",
    "PLAIN",
    "LOGIN",
    "DIGEST-MD5",
    "CRAM-MD5",
];
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

/// Goes to the next state; a failure leaves the one that is there.
fn went<S>(state: &mut S, next: Result<(S, Step), Failure>) -> Step {
    match next {
        Ok((next, step)) => {
            *state = next;
            step
        }
        Err(failure) => Step::Failed(failure),
    }
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

/// The connection that an exchange goes over.
#[derive(Debug, Clone, Default)]
pub struct Channel {
    /// What `tls-exporter` binds to (RFC 9266): of TLS 1.3 only.
    pub exporter: Option<[u8; 32]>,
    /// Whether the client was offered a -PLUS form.
    pub plus_offered: bool,
    /// The server's name, which is also the realm.
    pub realm: String,
    /// The service, as SASL has it registered: `smtp`.
    pub service: &'static str,
    /// The certificate that the client showed and proved to hold the key of.
    pub certificate: Option<ClientCertificate>,
}

/// A client's certificate, as far as EXTERNAL looks at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Its SHA-256, 64 small hexadecimal digits without colons.
    pub sha256: String,
    /// The mail addresses among its subject's alternative names.
    pub emails: Vec<String>,
    /// An authority that the listener trusts vouches for it.
    pub trusted: bool,
}

/// What an exchange cannot know by itself.
#[derive(Debug)]
pub enum Question {
    /// Whether this is somebody's password.
    Password(Credentials),
    /// The keys of a user's passwords for SCRAM. Answer: [`Finding::Scram`], keys of nobody if
    /// there is no such user.
    Scram {
        /// The user name.
        user: String,
        /// The hash.
        hash: ScramHash,
    },
    /// The key of a user for CRAM-MD5. Answer: [`Finding::Cram`].
    Cram {
        /// The user name.
        user: String,
    },
    /// The key of a user for DIGEST-MD5. Answer: [`Finding::Digest`].
    Digest {
        /// The user name.
        user: String,
    },
    /// What follows from a proof that the exchange has checked.
    Proved(Proved),
    /// Whose token this is.
    Token {
        /// Whom the client names, where it does.
        user: Option<String>,
        /// The token.
        token: Token,
    },
    /// What to say to a client with a Kerberos ticket. Answer: [`Finding::Ticket`] while there
    /// is more to say.
    Ticket {
        /// How far it is; nothing for the first response.
        negotiation: Option<Box<Negotiation>>,
        /// The client's response.
        response: Vec<u8>,
    },
    /// Whose certificate this is.
    Certificate {
        /// The certificate.
        certificate: ClientCertificate,
        /// Whom the client names, where it does.
        act_as: Option<String>,
    },
}

/// A proof that was checked. Only the exchanges make one.
#[derive(Debug)]
pub struct Proved {
    pub(crate) user: String,
    pub(crate) act_as: Option<String>,
    /// Why it was wrong, if it was.
    pub(crate) refused: Option<Failure>,
    /// The verifier that it was checked with.
    pub(crate) by: Kept,
    /// The password that it proves.
    pub(crate) which: Which,
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
    /// The keys asked for.
    Scram(ScramRing),
    /// The key asked for; without one no answer is right.
    Cram(Option<CramKey>),
    /// The key asked for; without one no answer is right.
    Digest(Option<DigestKey>),
    /// What a client with a Kerberos ticket is told.
    Ticket {
        /// How far it is.
        negotiation: Box<Negotiation>,
        /// What to tell.
        challenge: Vec<u8>,
    },
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
    /// The channel binding is not that of this connection, or was taken away on the way.
    #[error("the channel binding does not fit this connection")]
    ChannelBinding,
    /// A token opens no account.
    #[error("the token is not valid here")]
    BadToken,
    /// The client showed no certificate that belongs to an account.
    #[error("no certificate of an account")]
    NoCertificate,
    /// The password is right, and its time is over.
    #[error("the password has expired")]
    PasswordExpired,
    /// The password is right, and the account wants an app password here.
    #[error("an app password is needed")]
    AppPasswordNeeded,
    /// The app password is right, and not for this service or network, or its time is over.
    #[error("the app password does not hold here")]
    AppPasswordScope,
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
            Self::UnknownUser
            | Self::WrongPassword
            | Self::Disabled
            | Self::ActAs
            | Self::ChannelBinding
            | Self::BadToken
            | Self::NoCertificate
            | Self::AppPasswordScope => {
                (535, Status::new(5, 7, 8), "Authentication credentials invalid")
            }
            // Only who knows the password hears these two.
            Self::PasswordExpired => {
                (535, Status::new(5, 7, 8), "This password has expired, choose a new one")
            }
            Self::AppPasswordNeeded => {
                (534, Status::new(5, 7, 9), "This account needs an app password here")
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
            Self::ChannelBinding => "channel-binding",
            Self::BadToken => "bad-token",
            Self::NoCertificate => "no-certificate",
            Self::PasswordExpired => "password-expired",
            Self::AppPasswordNeeded => "app-password-needed",
            Self::AppPasswordScope => "app-password-scope",
            Self::Cancelled => "cancelled",
            Self::Mechanism => "unknown-mechanism",
        }
    }

    /// Whether it counts against the client: it tried credentials that were wrong.
    pub fn counts(self) -> bool {
        match self {
            Self::UnknownUser
            | Self::WrongPassword
            | Self::Disabled
            | Self::ActAs
            | Self::ChannelBinding
            | Self::BadToken
            | Self::NoCertificate
            | Self::AppPasswordScope => true,
            // Who knows the password does not guess; a program that was not told goes on trying.
            Self::PasswordExpired
            | Self::AppPasswordNeeded
            | Self::Malformed
            | Self::TooLong
            | Self::LockedOut
            | Self::Unavailable
            | Self::Cancelled
            | Self::Mechanism => false,
        }
    }
}

/// Begins an exchange of the mechanism with this registered name, in any case, over `channel`.
///
/// # Errors
///
/// [`Failure::Mechanism`] when there is none of that name ([`MECHANISMS`] has those there
/// are), or it binds to a channel that this one is not.
pub fn begin(mechanism: &str, channel: &Channel) -> Result<Box<dyn Exchange>, Failure> {
    let plus = |hash| match scram::Scram::plus(hash, channel) {
        Some(scram) => Ok(Box::new(scram) as Box<dyn Exchange>),
        None => Err(Failure::Mechanism),
    };
    match mechanism.to_ascii_uppercase().as_str() {
        "PLAIN" => Ok(Box::new(plain::Plain::default())),
        "LOGIN" => Ok(Box::new(login::Login::default())),
        "CRAM-MD5" => Ok(Box::new(cram_md5::CramMd5::new(channel))),
        "DIGEST-MD5" => Ok(Box::new(digest_md5::DigestMd5::new(channel))),
        "SCRAM-SHA-1" => Ok(Box::new(scram::Scram::new(ScramHash::Sha1, channel))),
        "SCRAM-SHA-256" => Ok(Box::new(scram::Scram::new(ScramHash::Sha256, channel))),
        "SCRAM-SHA-1-PLUS" => plus(ScramHash::Sha1),
        "SCRAM-SHA-256-PLUS" => plus(ScramHash::Sha256),
        "OAUTHBEARER" => Ok(Box::new(bearer::Bearer::new(bearer::Form::OAuthBearer))),
        "XOAUTH2" => Ok(Box::new(bearer::Bearer::new(bearer::Form::XOAuth2))),
        "GSSAPI" => Ok(Box::new(gssapi::GssApi::new())),
        "EXTERNAL" => Ok(Box::new(external::External::new(channel))),
        _ => Err(Failure::Mechanism),
    }
}

/// A nonce of the server: 24 letters and digits of 144 bits. `None` when the system has no
/// randomness.
fn nonce() -> Option<String> {
    let mut octets = [0; 18];
    rand::fill(&mut octets).ok()?;
    Some(BASE64_URL_SAFE_NO_PAD.encode(octets))
}

/// What mechanisms that end with the finding make of it.
fn conclude(finding: Finding) -> Step {
    match finding {
        Finding::Authenticated(account) => Step::Done(account),
        Finding::Refused(failure) => Step::Failed(failure),
        Finding::Scram(_) | Finding::Cram(_) | Finding::Digest(_) | Finding::Ticket { .. } => {
            Step::Failed(Failure::Malformed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::password::Owner;
    use proptest::prelude::*;

    #[test]
    fn mechanisms_are_found_by_their_registered_names() {
        for name in MECHANISMS {
            assert!(begin(&name.to_ascii_lowercase(), &bound()).is_ok(), "{name}");
        }
        assert_eq!(begin("X-OTHER", &bound()).err(), Some(Failure::Mechanism));
        let unbound = begin("SCRAM-SHA-256-PLUS", &Channel::default());
        assert_eq!(unbound.err(), Some(Failure::Mechanism));
    }

    fn bound() -> Channel {
        Channel { exporter: Some([7; 32]), realm: "mail.example".into(), ..Channel::default() }
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
                let mut exchange = begin(name, &bound()).unwrap();
                for response in &responses {
                    if let Step::Ask(question) = exchange.step(response.as_deref()) {
                        let _ = exchange.answer(found(&question));
                    }
                }
            }
        }

        #[test]
        fn no_text_makes_an_exchange_panic(
            responses in proptest::collection::vec(
                "(n,,|y,,|p=tls-exporter,,|)(c=|n=|username=\"|auth=Bearer |user=)?.{0,40}(,r=[a-z]{1,4}|\u{1}\u{1})?", 1..4)
        ) {
            for name in MECHANISMS {
                let mut exchange = begin(name, &bound()).unwrap();
                for response in &responses {
                    if let Step::Ask(question) = exchange.step(Some(response.as_bytes())) {
                        let _ = exchange.answer(found(&question));
                    }
                }
            }
        }
    }

    fn found(question: &Question) -> Finding {
        match question {
            Question::Scram { hash, user } => {
                Finding::Scram(ScramRing::of_nobody(*hash, &Owner { user, secret: b"secret" }))
            }
            Question::Cram { .. } => Finding::Cram(None),
            Question::Digest { .. } => Finding::Digest(None),
            Question::Password(_)
            | Question::Proved(_)
            | Question::Token { .. }
            | Question::Ticket { .. }
            | Question::Certificate { .. } => Finding::Refused(Failure::WrongPassword),
        }
    }
}
