//! PLAIN (RFC 4616): one response, `[authzid] NUL authcid NUL password`.

use super::{Credentials, Exchange, Failure, Finding, Question, Step, conclude, text};
use crate::password::Password;

/// A PLAIN exchange.
#[derive(Debug, Default)]
pub(super) struct Plain {
    state: State,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Begun,
    Challenged,
    Asked,
    Over,
}

impl Exchange for Plain {
    fn step(&mut self, response: Option<&[u8]>) -> Step {
        match (&self.state, response) {
            (State::Begun, None) => {
                self.state = State::Challenged;
                Step::Challenge(Vec::new())
            }
            (State::Begun | State::Challenged, Some(response)) => match read(response) {
                Ok(credentials) => {
                    self.state = State::Asked;
                    Step::Ask(Question::Password(credentials))
                }
                Err(failure) => self.fail(failure),
            },
            (State::Challenged | State::Asked | State::Over, _) => self.fail(Failure::Malformed),
        }
    }

    fn answer(&mut self, finding: Finding) -> Step {
        if std::mem::replace(&mut self.state, State::Over) == State::Asked {
            conclude(finding)
        } else {
            Step::Failed(Failure::Malformed)
        }
    }
}

impl Plain {
    fn fail(&mut self, failure: Failure) -> Step {
        self.state = State::Over;
        Step::Failed(failure)
    }
}

fn read(response: &[u8]) -> Result<Credentials, Failure> {
    let mut parts = text::utf8(response)?.split('\0');
    let (Some(act_as), Some(user), Some(password), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Failure::Malformed);
    };
    let user = text::user(user)?;
    let act_as = match act_as {
        "" => None,
        other => Some(text::user(other)?).filter(|other| *other != user),
    };
    let password = Password::prepare(password).map_err(|_| Failure::Malformed)?;
    Ok(Credentials { user, act_as, password })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(step: Step) -> Credentials {
        match step {
            Step::Ask(Question::Password(credentials)) => credentials,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_response_comes_at_once_or_after_an_empty_challenge() {
        let message = b"\0ann@clinic.example\0open sesame";
        let first = asked(Plain::default().step(Some(message)));
        assert_eq!(first.user, "ann@clinic.example");
        assert_eq!(first.act_as, None);
        assert_eq!(first.password.as_bytes(), b"open sesame");
        let mut late = Plain::default();
        assert!(matches!(late.step(None), Step::Challenge(challenge) if challenge.is_empty()));
        assert_eq!(asked(late.step(Some(message))).user, "ann@clinic.example");
    }

    #[test]
    fn acting_as_oneself_is_no_acting() {
        let own = asked(Plain::default().step(Some(b"ann\0ann\0pw")));
        assert_eq!(own.act_as, None);
        let other = asked(Plain::default().step(Some(b"bob\0ann\0pw")));
        assert_eq!(other.act_as.as_deref(), Some("bob"));
    }

    #[test]
    fn what_is_not_three_parts_is_malformed() {
        let long = [b"\0".to_vec(), vec![b'a'; 321], b"\0pw".to_vec()].concat();
        for bad in [
            &b""[..],
            b"ann",
            b"\0ann",
            b"\0ann\0",
            b"\0\0pw",
            b"\0ann\0p\0w",
            b"\0ann\0\xff",
            b"\0a\nn\0pw",
            &long,
        ] {
            let step = Plain::default().step(Some(bad));
            assert!(matches!(step, Step::Failed(Failure::Malformed)), "{bad:?}");
        }
        let huge = vec![b'a'; 10_000];
        assert!(matches!(Plain::default().step(Some(&huge)), Step::Failed(Failure::TooLong)));
    }

    #[test]
    fn a_finding_without_a_question_ends_in_failure() {
        let step = Plain::default().answer(Finding::Refused(Failure::WrongPassword));
        assert!(matches!(step, Step::Failed(Failure::Malformed)));
    }
}
