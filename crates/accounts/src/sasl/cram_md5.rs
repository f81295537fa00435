//! CRAM-MD5 (RFC 2195): a challenge, and its HMAC under the password.

use super::{Channel, Exchange, Failure, Finding, Proved, Question, Step, conclude, nonce, text};
use crate::password::{Kept, Which};

/// A CRAM-MD5 exchange.
#[derive(Debug)]
pub(super) struct CramMd5 {
    challenge: Option<String>,
    state: State,
}

#[derive(Debug)]
enum State {
    Begun,
    Challenged,
    Asked { user: String, digest: String },
    Judged,
    Over,
}

impl CramMd5 {
    pub(super) fn new(channel: &Channel) -> Self {
        let challenge = nonce().map(|nonce| format!("<{nonce}@{}>", channel.realm));
        Self { challenge, state: State::Begun }
    }
}

impl Exchange for CramMd5 {
    fn step(&mut self, response: Option<&[u8]>) -> Step {
        match (std::mem::replace(&mut self.state, State::Over), response) {
            (State::Begun, None) => {
                let Some(challenge) = &self.challenge else {
                    return Step::Failed(Failure::Unavailable);
                };
                self.state = State::Challenged;
                Step::Challenge(challenge.clone().into_bytes())
            }
            (State::Challenged, Some(response)) => match read(response) {
                Ok((user, digest)) => {
                    self.state = State::Asked { user: user.clone(), digest };
                    Step::Ask(Question::Cram { user })
                }
                Err(failure) => Step::Failed(failure),
            },
            // The server speaks first, so an initial response cannot be an answer.
            (
                State::Begun
                | State::Challenged
                | State::Asked { .. }
                | State::Judged
                | State::Over,
                _,
            ) => Step::Failed(Failure::Malformed),
        }
    }

    fn answer(&mut self, finding: Finding) -> Step {
        match (std::mem::replace(&mut self.state, State::Over), finding) {
            (State::Asked { user, digest }, Finding::Cram(key)) => {
                let challenge = self.challenge.take().unwrap_or_default();
                let right = key.is_some_and(|key| key.admits(challenge.as_bytes(), &digest));
                let refused = (!right).then_some(Failure::WrongPassword);
                self.state = State::Judged;
                Step::Ask(Question::Proved(Proved {
                    user,
                    act_as: None,
                    refused,
                    by: Kept::CramMd5,
                    which: Which::Account,
                }))
            }
            (State::Judged, finding) => conclude(finding),
            (_, Finding::Refused(failure)) => Step::Failed(failure),
            (
                State::Begun | State::Challenged | State::Asked { .. } | State::Over,
                Finding::Authenticated(_)
                | Finding::Scram(_)
                | Finding::Cram(_)
                | Finding::Digest(_)
                | Finding::Ticket { .. },
            ) => Step::Failed(Failure::Malformed),
        }
    }
}

/// A user name, which may hold blanks, and 32 hexadecimal digits.
fn read(response: &[u8]) -> Result<(String, String), Failure> {
    let (user, digest) = text::utf8(response)?.rsplit_once(' ').ok_or(Failure::Malformed)?;
    if digest.len() != 32 || !digest.bytes().all(|octet| octet.is_ascii_hexdigit()) {
        return Err(Failure::Malformed);
    }
    Ok((text::user(user)?, digest.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::password::{CramKey, Password};

    fn example() -> CramMd5 {
        let mut exchange = CramMd5::new(&Channel::default());
        exchange.challenge = Some("<1896.697170952@postoffice.reston.mci.net>".to_owned());
        exchange
    }

    fn key() -> CramKey {
        CramKey::new(&Password::prepare("tanstaaftanstaaf").unwrap())
    }

    fn outcome(response: &str, key: Option<CramKey>) -> Option<Failure> {
        let mut exchange = example();
        assert!(matches!(exchange.step(None), Step::Challenge(_)));
        let Step::Ask(Question::Cram { user }) = exchange.step(Some(response.as_bytes())) else {
            panic!("not asked");
        };
        assert_eq!(user, "tim");
        match exchange.answer(Finding::Cram(key)) {
            Step::Ask(Question::Proved(proved)) => proved.refused,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_example_of_rfc_2195_succeeds() {
        let response = "tim b913a602c7eda7a495b4e6e7334d3890";
        assert_eq!(outcome(response, Some(key())), None);
        assert_eq!(outcome(response, None), Some(Failure::WrongPassword));
        let wrong = "tim b913a602c7eda7a495b4e6e7334d3891";
        assert_eq!(outcome(wrong, Some(key())), Some(Failure::WrongPassword));
    }

    #[test]
    fn an_answer_to_another_challenge_is_wrong() {
        let mut exchange = CramMd5::new(&Channel::default());
        exchange.step(None);
        exchange.step(Some(b"tim b913a602c7eda7a495b4e6e7334d3890"));
        let Step::Ask(Question::Proved(proved)) = exchange.answer(Finding::Cram(Some(key())))
        else {
            panic!("not asked");
        };
        assert_eq!(proved.refused, Some(Failure::WrongPassword));
    }

    #[test]
    fn malformed_responses_end_the_exchange() {
        let mut early = example();
        assert!(matches!(early.step(Some(b"tim x")), Step::Failed(Failure::Malformed)));
        for response in ["", "tim", "tim zz", "b913a602c7eda7a495b4e6e7334d3890", " \0 "] {
            let mut exchange = example();
            exchange.step(None);
            let step = exchange.step(Some(response.as_bytes()));
            assert!(matches!(step, Step::Failed(Failure::Malformed)), "{response}");
        }
    }
}
