//! LOGIN (draft-murchison-sasl-login): user name and password, each asked for.

use super::{Credentials, Exchange, Failure, Finding, Question, Step, conclude, text};
use crate::password::Password;

/// A LOGIN exchange.
#[derive(Debug, Default)]
pub(super) struct Login {
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Begun,
    User,
    Password(String),
    Asked,
    Over,
}

impl Exchange for Login {
    fn step(&mut self, response: Option<&[u8]>) -> Step {
        let state = std::mem::replace(&mut self.state, State::Over);
        let (next, step) = match (state, response) {
            (State::Begun, None) => (State::User, Step::Challenge(b"Username:".to_vec())),
            // Many clients send the user name as an initial response.
            (State::Begun | State::User, Some(response)) => {
                match text::utf8(response).and_then(text::user) {
                    Ok(user) => (State::Password(user), Step::Challenge(b"Password:".to_vec())),
                    Err(failure) => (State::Over, Step::Failed(failure)),
                }
            }
            (State::Password(user), Some(response)) => match password(response) {
                Ok(password) => {
                    let credentials = Credentials { user, act_as: None, password };
                    (State::Asked, Step::Ask(Question::Password(credentials)))
                }
                Err(failure) => (State::Over, Step::Failed(failure)),
            },
            (State::User | State::Password(_) | State::Asked | State::Over, _) => {
                (State::Over, Step::Failed(Failure::Malformed))
            }
        };
        self.state = next;
        step
    }

    fn answer(&mut self, finding: Finding) -> Step {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Asked => conclude(finding),
            State::Begun | State::User | State::Password(_) | State::Over => {
                Step::Failed(Failure::Malformed)
            }
        }
    }
}

fn password(response: &[u8]) -> Result<Password, Failure> {
    Password::prepare(text::utf8(response)?).map_err(|_| Failure::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge(step: Step) -> String {
        match step {
            Step::Challenge(octets) => String::from_utf8(octets).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn user_name_and_password_are_asked_for() {
        let mut login = Login::default();
        assert_eq!(challenge(login.step(None)), "Username:");
        assert_eq!(challenge(login.step(Some(b"ann@clinic.example"))), "Password:");
        let Step::Ask(Question::Password(credentials)) = login.step(Some(b"open sesame")) else {
            panic!("not asked");
        };
        assert_eq!(credentials.user, "ann@clinic.example");
        assert_eq!(credentials.password.as_bytes(), b"open sesame");
    }

    #[test]
    fn the_user_name_may_come_first() {
        let mut login = Login::default();
        assert_eq!(challenge(login.step(Some(b"ann@clinic.example"))), "Password:");
    }

    #[test]
    fn nothing_follows_a_malformed_response() {
        let mut login = Login::default();
        assert!(matches!(login.step(Some(b"a\0b")), Step::Failed(Failure::Malformed)));
        assert!(matches!(login.step(Some(b"ann")), Step::Failed(Failure::Malformed)));
        let mut login = Login::default();
        login.step(Some(b"ann"));
        assert!(matches!(login.step(Some(b"")), Step::Failed(Failure::Malformed)));
    }
}
