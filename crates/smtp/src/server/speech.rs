//! What the session says, and how it ends.

use bytes::BytesMut;

use super::exchange::{Output, Question};
use super::farewell::Farewell;
use super::line::Lines;
use super::session::Session;
use super::state::{Asked, State};
use crate::refusal::Refusal;
use crate::reply::Reply;

impl Session {
    pub(super) fn push(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    pub(super) fn say(&mut self, state: State, reply: Reply) -> State {
        self.push(Output::Reply(reply));
        state
    }

    pub(super) fn ask(&mut self, question: Question, asked: Asked) -> State {
        self.push(Output::Ask(question));
        State::Asking(asked)
    }

    /// Answers a command that brings no message nearer.
    pub(super) fn idle(&mut self, state: State, reply: Reply) -> State {
        if self.counts_as_idle() {
            self.say(state, reply)
        } else {
            self.part(&state, Farewell::TooManyCommands)
        }
    }

    /// Counts a command that brings no message nearer; `false` when there were too many.
    pub(super) fn counts_as_idle(&mut self) -> bool {
        self.counters.idle_commands += 1;
        self.counters.idle_commands <= self.settings.idle_commands_max
    }

    /// Refuses a command and goes on in `state`, unless the refusal or too many errors end it all.
    pub(super) fn refuse(&mut self, state: State, refusal: impl Into<Refusal>) -> State {
        let Refusal { reply, close } = refusal.into();
        let close = close || reply.code() == CLOSING_CODE;
        self.counters.errors += u32::from(reply.is_permanent());
        self.push(Output::Reply(reply));
        if close {
            self.abandon(&state);
            return self.close();
        }
        if self.counters.errors > self.settings.errors_max {
            return self.part(&state, Farewell::TooManyErrors);
        }
        state
    }

    /// Says the last words and closes.
    pub(super) fn part(&mut self, state: &State, farewell: Farewell) -> State {
        self.abandon(state);
        if let Some(incident) = farewell.incident() {
            self.push(Output::Security(incident));
        }
        // During a handshake nothing can be said.
        if !matches!(state, State::Handshaking) {
            self.push(Output::Reply(farewell.reply(&self.settings.hostname)));
        }
        self.close()
    }

    /// Tells the driver what is over without a result.
    pub(super) fn abandon(&mut self, state: &State) {
        if state.transaction().is_some() {
            self.push(Output::Reset);
        }
        if state.is_authenticating() {
            self.push(Output::AuthAbandoned);
        }
    }

    pub(super) fn close(&mut self) -> State {
        self.push(Output::Close);
        self.unread = BytesMut::new();
        self.lines = Lines::default();
        State::Closed
    }

    pub(super) fn quit(&mut self, state: &State) -> State {
        self.abandon(state);
        self.push(Output::Reply(Reply::new(221, 0, 0, "Bye")));
        self.close()
    }
}

/// The reply code that always ends a connection (RFC 5321 section 4.2.3).
const CLOSING_CODE: u16 = 421;
