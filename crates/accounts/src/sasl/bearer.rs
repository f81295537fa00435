//! OAUTHBEARER (RFC 7628) and XOAUTH2, its vendor's forerunner: a token of an identity
//! provider in place of a password.

use super::{Exchange, Failure, Finding, Question, Step, text};
use crate::token::Token;

/// An exchange of either mechanism.
#[derive(Debug)]
pub(super) struct Bearer {
    form: Form,
    state: State,
}

/// How the client writes its only message.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form {
    /// OAUTHBEARER: a GS2 header, then key and value pairs.
    OAuthBearer,
    /// XOAUTH2: the pairs alone, `user` among them.
    XOAuth2,
}

#[derive(Debug)]
enum State {
    Begun,
    Asked,
    /// The client was told why in JSON, and its dummy response comes before the refusal.
    Told(Failure),
    Over,
}

impl Bearer {
    pub(super) fn new(form: Form) -> Self {
        Self { form, state: State::Begun }
    }
}

impl Exchange for Bearer {
    fn step(&mut self, response: Option<&[u8]>) -> Step {
        match (std::mem::replace(&mut self.state, State::Over), response) {
            (State::Begun, None) => {
                self.state = State::Begun;
                Step::Challenge(Vec::new())
            }
            (State::Begun, Some(response)) => match read(self.form, response) {
                Ok((user, token)) => {
                    self.state = State::Asked;
                    Step::Ask(Question::Token { user, token })
                }
                Err(failure) => Step::Failed(failure),
            },
            // RFC 7628 section 3.2.3 wants %x01 here; XOAUTH2 clients send nothing.
            (State::Told(failure), Some(_)) => Step::Failed(failure),
            (State::Told(_) | State::Asked | State::Over, _) => Step::Failed(Failure::Malformed),
        }
    }

    fn answer(&mut self, finding: Finding) -> Step {
        match (std::mem::replace(&mut self.state, State::Over), finding) {
            (State::Asked, Finding::Authenticated(authenticated)) => Step::Done(authenticated),
            (State::Asked, Finding::Refused(failure)) if failure.counts() => {
                self.state = State::Told(failure);
                let told = match self.form {
                    Form::OAuthBearer => r#"{"status":"invalid_token"}"#,
                    Form::XOAuth2 => r#"{"status":"401","schemes":"bearer"}"#,
                };
                Step::Challenge(told.as_bytes().to_vec())
            }
            (_, Finding::Refused(failure)) => Step::Failed(failure),
            (
                State::Begun | State::Asked | State::Told(_) | State::Over,
                Finding::Authenticated(_)
                | Finding::Scram(_)
                | Finding::Cram(_)
                | Finding::Digest(_)
                | Finding::Ticket { .. },
            ) => Step::Failed(Failure::Malformed),
        }
    }
}

/// The user the client names, where it does, and its token.
fn read(form: Form, response: &[u8]) -> Result<(Option<String>, Token), Failure> {
    let message = text::utf8(response)?;
    let (named, pairs) = match form {
        Form::OAuthBearer => {
            let (header, pairs) = message.split_once('\x01').ok_or(Failure::Malformed)?;
            (gs2(header)?, pairs)
        }
        Form::XOAuth2 => (None, message),
    };
    let pairs = pairs.strip_suffix("\x01\x01").ok_or(Failure::Malformed)?;
    let (mut user, mut token) = (named, None);
    for pair in pairs.split('\x01').take(PAIRS_MAX) {
        match pair.split_once('=').ok_or(Failure::Malformed)? {
            ("user", name) => user = Some(text::user(name)?),
            ("auth", credential) => {
                let (scheme, value) = credential.split_once(' ').ok_or(Failure::Malformed)?;
                if token.is_some() || !scheme.eq_ignore_ascii_case("bearer") {
                    return Err(Failure::Malformed);
                }
                token = Some(Token::new(value.trim()));
            }
            // `host` and `port` say where the client meant to go (RFC 7628 section 3.1).
            (_, _) => {}
        }
    }
    Ok((user, token.ok_or(Failure::Malformed)?))
}

/// `n,a=ann@clinic.example,`: no channel binding, and perhaps whom to act as.
fn gs2(header: &str) -> Result<Option<String>, Failure> {
    let inner = header.strip_prefix("n,").or_else(|| header.strip_prefix("y,"));
    let inner = inner.and_then(|rest| rest.strip_suffix(',')).ok_or(Failure::Malformed)?;
    match inner.strip_prefix("a=") {
        Some(name) => text::user(&name.replace("=2C", ",").replace("=3D", "=")).map(Some),
        None if inner.is_empty() => Ok(None),
        None => Err(Failure::Malformed),
    }
}

/// Key and value pairs of one message.
const PAIRS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(form: Form, message: &str) -> (Option<String>, String) {
        match Bearer::new(form).step(Some(message.as_bytes())) {
            Step::Ask(Question::Token { user, token }) => (user, token.expose().to_owned()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_example_of_rfc_7628_is_read() {
        let message = "n,a=user@example.com,\x01host=server.example.com\x01port=587\x01\
            auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01";
        let (user, token) = asked(Form::OAuthBearer, message);
        assert_eq!(user.as_deref(), Some("user@example.com"));
        assert_eq!(token, "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==");
    }

    #[test]
    fn the_forerunner_names_its_user_in_a_pair() {
        let message = "user=someuser@example.com\x01auth=Bearer ya29.vF9dft4qmTc2Nvb3Rlck\x01\x01";
        let (user, token) = asked(Form::XOAuth2, message);
        assert_eq!(user.as_deref(), Some("someuser@example.com"));
        assert_eq!(token, "ya29.vF9dft4qmTc2Nvb3Rlck");
    }

    #[test]
    fn a_bad_token_is_told_in_json_before_the_refusal() {
        let mut exchange = Bearer::new(Form::OAuthBearer);
        exchange.step(Some(b"n,,\x01auth=Bearer x\x01\x01"));
        let Step::Challenge(told) = exchange.answer(Finding::Refused(Failure::BadToken)) else {
            panic!("not told");
        };
        assert!(String::from_utf8(told).unwrap().contains("invalid_token"));
        assert!(matches!(exchange.step(Some(b"\x01")), Step::Failed(Failure::BadToken)));
    }

    #[test]
    fn malformed_messages_end_the_exchange() {
        for message in [
            "",
            "n,,",
            "n,,\x01auth=Bearer x",
            "n,,\x01auth=Basic x\x01\x01",
            "n,,\x01auth=Bearer x\x01auth=Bearer y\x01\x01",
            "p=tls-exporter,,\x01auth=Bearer x\x01\x01",
            "n,x=y,\x01auth=Bearer x\x01\x01",
            "n,,\x01host=x\x01\x01",
        ] {
            let step = Bearer::new(Form::OAuthBearer).step(Some(message.as_bytes()));
            assert!(matches!(step, Step::Failed(Failure::Malformed)), "{message}");
        }
    }
}
