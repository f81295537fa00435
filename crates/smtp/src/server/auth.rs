//! AUTH: carries the exchange, judges nothing (RFC 4954).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::exchange::{Answer, Output, Question};
use super::farewell::Farewell;
use super::session::{Channel, Session};
use super::state::{Asked, State};
use crate::mechanism::Mechanism;
use crate::refusal::{Fault, Refusal};
use crate::reply::Reply;
use crate::secret::Secret;

impl Session {
    /// AUTH, outside any transaction.
    pub(super) fn auth(&mut self, mechanism: &str, initial: Option<Secret>) -> State {
        match self.check_auth(mechanism, initial) {
            Ok(question) => self.ask(question, Asked::Auth),
            Err(fault) => self.refuse(State::Greeted, fault),
        }
    }

    fn check_auth(&self, mechanism: &str, initial: Option<Secret>) -> Result<Question, Fault> {
        let offered = &self.peer.offered;
        if self.peer.identity.is_some() {
            return Err(Fault::BadSequence("already authenticated"));
        }
        if offered.auth.is_empty() {
            let hidden = offered.starttls && self.channel == Channel::Clear;
            return Err(if hidden { Fault::AuthNeedsTls } else { Fault::NotOffered("AUTH") });
        }
        let mechanism: Mechanism = mechanism.parse().map_err(|_| Fault::MechanismNotOffered)?;
        if !offered.auth.contains(&mechanism) {
            return Err(Fault::MechanismNotOffered);
        }
        let initial = match initial {
            // RFC 4954 section 4: "=" is a response of no octets.
            Some(secret) if secret.expose() == b"=" => Some(Secret::from(Vec::new())),
            Some(secret) => Some(decode(secret.expose())?),
            None => None,
        };
        Ok(Question::AuthStart { mechanism, initial })
    }

    /// The client's response to a challenge.
    pub(super) fn auth_response(&mut self, line: &[u8]) -> State {
        if line == b"*" {
            return self.abandon_auth(Fault::AuthCancelled);
        }
        match decode(line) {
            Ok(response) => self.ask(Question::AuthContinue(response), Asked::Auth),
            Err(fault) => self.abandon_auth(fault),
        }
    }

    /// Ends the exchange without a result.
    pub(super) fn abandon_auth(&mut self, fault: Fault) -> State {
        self.push(Output::AuthAbandoned);
        self.refuse(State::Greeted, fault)
    }

    /// Policy went on with the exchange, or ended it.
    pub(super) fn auth_answered(&mut self, answer: Answer) -> State {
        match answer {
            Answer::Challenge(octets) => {
                let challenge = Reply::plain(334, STANDARD.encode(octets));
                self.say(State::Authenticating, challenge)
            }
            Answer::Authenticated { identity } => {
                self.peer.identity = Some(identity);
                self.say(State::Greeted, Reply::new(235, 7, 0, "Authentication successful"))
            }
            Answer::Refuse(refusal) => self.auth_refused(refusal),
            Answer::Yes | Answer::Offer(_) | Answer::Accepted(_) | Answer::PerRecipient(_) => {
                self.auth_refused(Fault::Misanswered.into())
            }
        }
    }

    fn auth_refused(&mut self, refusal: Refusal) -> State {
        self.counters.auth_failures += u32::from(refusal.reply.is_permanent());
        match self.refuse(State::Greeted, refusal) {
            State::Closed => State::Closed,
            state if self.counters.auth_failures >= self.settings.auth_failures_max => {
                self.part(&state, Farewell::TooManyAuthFailures)
            }
            state => state,
        }
    }
}

fn decode(base64: &[u8]) -> Result<Secret, Fault> {
    STANDARD.decode(base64).map(Secret::from).map_err(|_| Fault::NotBase64)
}
