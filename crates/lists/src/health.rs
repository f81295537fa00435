//! Whether a list can be believed: its test points (RFC 5782 section 5) and what it answers.

use std::fmt;
use std::net::Ipv4Addr;

use crate::codes::{Meaning, Refusal};

/// Failures in a row after which a list is asked no more until its test succeeds.
pub const FAILURES_MAX: u32 = 5;

/// What came back for one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// These addresses.
    Addresses(Vec<Ipv4Addr>),
    /// There is no such name, or it has no address: not listed.
    Nothing,
    /// No answer in time, or a failure of the servers. Says nothing about the client.
    Failed(String),
}

/// What is wrong with a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It lists the address or name that no list holds.
    ListsEverything,
    /// It does not list the address or name that every list holds.
    ListsNothing,
    /// It refuses our questions.
    Refuses(Refusal),
    /// It answers with addresses that are none of a list.
    Nonsense(Ipv4Addr),
    /// It does not answer.
    Silent(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ListsEverything => {
                f.write_str("it lists everything, even its test for \"not listed\"")
            }
            Self::ListsNothing => f.write_str("it lists nothing, not even its test for \"listed\""),
            Self::Refuses(refusal) => write!(f, "it refuses to answer, {refusal}"),
            Self::Nonsense(answer) => write!(f, "it answers with {answer}, which no list does"),
            Self::Silent(detail) => write!(f, "it does not answer: {detail}"),
        }
    }
}

/// What the test points of a list answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// For what must be listed.
    pub listed: Answer,
    /// For what must not be listed.
    pub unlisted: Answer,
    /// The same two for IPv6, where it is asked.
    pub ipv6: Option<(Answer, Answer)>,
}

/// How a list is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum State {
    /// Its test has not come back yet.
    #[default]
    Untested,
    /// It answers as a list should.
    Working {
        /// About IPv6 addresses too.
        ipv6: bool,
    },
    /// It is not asked until its test succeeds.
    Suspended(Fault),
}

/// A change that people should hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The list is not asked any more.
    Suspended(Fault),
    /// The list is asked again, or for the first time.
    Works,
}

/// Keeps the state of one list.
#[derive(Debug, Clone, Default)]
pub struct Health {
    state: State,
    failures: u32,
}

impl Health {
    /// A list without test points: believed until it answers nonsense.
    pub fn untestable() -> Self {
        Self { state: State::Working { ipv6: true }, failures: 0 }
    }

    /// How the list is.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Whether a question about an address of this family, or a name, is worth asking.
    pub fn answers(&self, ipv6: bool) -> bool {
        match &self.state {
            State::Untested | State::Suspended(_) => false,
            State::Working { ipv6: knows } => *knows || !ipv6,
        }
    }

    /// Takes the result of a test.
    pub fn tested(&mut self, probe: &Probe) -> Option<Change> {
        self.failures = 0;
        let state = match fault(&probe.listed, &probe.unlisted) {
            Some(fault) => State::Suspended(fault),
            None => match &probe.ipv6 {
                None => State::Working { ipv6: false },
                Some((listed, unlisted)) => match fault(listed, unlisted) {
                    None => State::Working { ipv6: true },
                    // Many lists know no IPv6 address, not even the one they should.
                    Some(Fault::ListsNothing | Fault::Silent(_)) => State::Working { ipv6: false },
                    Some(fault) => State::Suspended(fault),
                },
            },
        };
        self.turn(state)
    }

    /// Takes what an everyday question said. A list that refuses, or fails too often, is
    /// suspended without waiting for its next test.
    pub fn answered(&mut self, meaning: &Meaning) -> Option<Change> {
        self.failures = 0;
        let fault = match meaning {
            Meaning::Refused(refusal) if refusal.is_general() => Fault::Refuses(*refusal),
            Meaning::Nonsense(answer) => Fault::Nonsense(*answer),
            Meaning::Unlisted | Meaning::Listed { .. } | Meaning::Refused(_) => return None,
        };
        self.turn(State::Suspended(fault))
    }

    /// Takes a failure of an everyday question.
    pub fn failed(&mut self, detail: &str) -> Option<Change> {
        self.failures += 1;
        if self.failures < FAILURES_MAX {
            return None;
        }
        self.turn(State::Suspended(Fault::Silent(detail.to_owned())))
    }

    fn turn(&mut self, state: State) -> Option<Change> {
        let change = match (&self.state, &state) {
            (State::Suspended(old), State::Suspended(new)) if old == new => None,
            (_, State::Suspended(fault)) => Some(Change::Suspended(fault.clone())),
            (State::Working { .. }, State::Working { .. }) | (_, State::Untested) => None,
            (_, State::Working { .. }) => Some(Change::Works),
        };
        self.state = state;
        change
    }
}

/// What a pair of test points shows.
fn fault(listed: &Answer, unlisted: &Answer) -> Option<Fault> {
    let bare = crate::codes::Codes::default();
    let meaning = |answer: &Answer| match answer {
        Answer::Addresses(addresses) => Ok(bare.meaning(addresses)),
        Answer::Nothing => Ok(Meaning::Unlisted),
        Answer::Failed(detail) => Err(Fault::Silent(detail.clone())),
    };
    match (meaning(listed), meaning(unlisted)) {
        (Err(fault), _) | (_, Err(fault)) => Some(fault),
        (Ok(Meaning::Nonsense(answer)), _) | (_, Ok(Meaning::Nonsense(answer))) => {
            Some(Fault::Nonsense(answer))
        }
        (Ok(Meaning::Refused(refusal)), _) | (_, Ok(Meaning::Refused(refusal))) => {
            Some(Fault::Refuses(refusal))
        }
        (_, Ok(Meaning::Listed { .. })) => Some(Fault::ListsEverything),
        (Ok(Meaning::Unlisted), _) => Some(Fault::ListsNothing),
        (Ok(Meaning::Listed { .. }), Ok(Meaning::Unlisted)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(addresses: &[[u8; 4]]) -> Answer {
        if addresses.is_empty() {
            return Answer::Nothing;
        }
        Answer::Addresses(addresses.iter().copied().map(Ipv4Addr::from).collect())
    }

    fn probe(listed: &[[u8; 4]], unlisted: &[[u8; 4]]) -> Probe {
        Probe { listed: answer(listed), unlisted: answer(unlisted), ipv6: None }
    }

    fn state_after(probe: &Probe) -> State {
        let mut health = Health::default();
        health.tested(probe);
        health.state
    }

    const LISTED: &[[u8; 4]] = &[[127, 0, 0, 2]];

    #[test]
    fn a_list_that_answers_everything_or_nothing_is_suspended() {
        assert_eq!(state_after(&probe(LISTED, &[])), State::Working { ipv6: false });
        for (probe, fault) in [
            (probe(LISTED, LISTED), Fault::ListsEverything),
            (probe(&[], &[]), Fault::ListsNothing),
            (probe(&[[127, 255, 255, 254]], &[]), Fault::Refuses(Refusal::PublicResolver)),
            (
                probe(&[[203, 0, 113, 1]], &[[203, 0, 113, 1]]),
                Fault::Nonsense([203, 0, 113, 1].into()),
            ),
        ] {
            assert_eq!(state_after(&probe), State::Suspended(fault));
        }
        let silent = Probe { listed: Answer::Failed("timed out".into()), ..probe(&[], &[]) };
        assert!(matches!(state_after(&silent), State::Suspended(Fault::Silent(_))));
    }

    #[test]
    fn a_list_without_ipv6_works_for_ipv4() {
        let both = |v6: (Answer, Answer)| Probe { ipv6: Some(v6), ..probe(LISTED, &[]) };
        assert_eq!(
            state_after(&both((answer(LISTED), Answer::Nothing))),
            State::Working { ipv6: true }
        );
        let without = both((Answer::Nothing, Answer::Nothing));
        assert_eq!(state_after(&without), State::Working { ipv6: false });
        let everything = both((answer(LISTED), answer(LISTED)));
        assert_eq!(state_after(&everything), State::Suspended(Fault::ListsEverything));
    }

    #[test]
    fn people_hear_of_a_change_once() {
        let mut health = Health::default();
        assert!(!health.answers(false));
        assert_eq!(health.tested(&probe(LISTED, &[])), Some(Change::Works));
        assert!(health.answers(false) && !health.answers(true));
        assert_eq!(health.tested(&probe(LISTED, &[])), None);
        let refused = Meaning::Refused(Refusal::TooMany);
        let fault = Fault::Refuses(Refusal::TooMany);
        assert_eq!(health.answered(&refused), Some(Change::Suspended(fault)));
        assert_eq!(health.answered(&refused), None);
        assert!(!health.answers(false));
        assert_eq!(health.tested(&probe(LISTED, &[])), Some(Change::Works));
    }

    #[test]
    fn failures_in_a_row_suspend_and_an_answer_forgives_them() {
        let mut health = Health::untestable();
        for _ in 1..FAILURES_MAX {
            assert_eq!(health.failed("timed out"), None);
        }
        health.answered(&Meaning::Unlisted);
        for _ in 1..FAILURES_MAX {
            assert_eq!(health.failed("timed out"), None);
        }
        assert!(matches!(health.failed("timed out"), Some(Change::Suspended(Fault::Silent(_)))));
    }

    #[test]
    fn a_list_of_names_that_is_asked_for_an_address_goes_on() {
        let mut health = Health::untestable();
        assert_eq!(health.answered(&Meaning::Refused(Refusal::NamesOnly)), None);
        assert!(health.answers(false));
    }
}
