//! The session: what comes in, what goes out, and the one place that branches on both.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;

use bytes::{Buf, BytesMut};
use mail::Envelope;

use super::exchange::{Answer, Incident, Input, Output, Question};
use super::farewell::Farewell;
use super::line::{Expected, Line, Lines};
use super::settings::{EarlyTalkers, Protocol, Settings, UNREAD_MAX_OCTETS};
use super::state::{Asked, Phase, State};
use crate::command::Command;
use crate::extensions::Extensions;
use crate::refusal::Fault;
use crate::reply::Reply;

/// One SMTP or LMTP connection, seen from the server.
///
/// ```text
///              EHLO           MAIL              DATA              "."
///  Connected ──────▶ Greeted ──────▶ Addressing ─────▶ Receiving ─────▶ Greeted
///      ▲             │  │ ▲            ▲  │ RCPT         BDAT LAST       ▲
///      │    STARTTLS │  │ └─ AUTH      └──┤                              │
///      └ Handshaking ◀  └─▶ Authenticating│ BDAT    ┌──▶ InChunk ────────┘
///                                         └─────────┴─── Chunking
/// ```
///
/// Before each step that policy decides the session is *asking*: it reads no
/// further until [`Input::Answer`] comes. Drain [`poll`](Self::poll) after each
/// [`handle`](Self::handle), and read from the client only when
/// [`wants_input`](Self::wants_input) says so; what came earlier is kept within
/// [`UNREAD_MAX_OCTETS`]. Command order is RFC 5321 section 4.1.4.
#[derive(Debug)]
pub struct Session {
    pub(super) settings: Arc<Settings>,
    pub(super) channel: Channel,
    pub(super) peer: Peer,
    pub(super) counters: Counters,
    pub(super) state: State,
    pub(super) lines: Lines,
    pub(super) unread: BytesMut,
    pub(super) outputs: VecDeque<Output>,
    early: bool,
    stopping: bool,
    ended: bool,
}

/// Whether others can read along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Octets travel in the clear.
    Clear,
    /// TLS is active.
    Tls,
}

/// What the client said of itself and what it was offered. STARTTLS forgets all of it.
#[derive(Debug, Default)]
pub(super) struct Peer {
    pub name: Option<String>,
    pub extended: bool,
    pub offered: Extensions,
    pub identity: Option<String>,
}

/// What is bounded over the whole session.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub errors: u32,
    pub idle_commands: u32,
    pub commands: u32,
    pub messages: u32,
    pub auth_failures: u32,
}

impl Session {
    /// A session over a connection just accepted; `channel` is [`Channel::Tls`] where TLS comes
    /// before the first command. The first output asks [`Question::Connect`].
    pub fn new(settings: Arc<Settings>, channel: Channel) -> Self {
        Self {
            settings,
            channel,
            peer: Peer::default(),
            counters: Counters::default(),
            state: State::Asking(Asked::Connect),
            lines: Lines::default(),
            unread: BytesMut::new(),
            outputs: VecDeque::from([Output::Ask(Question::Connect)]),
            early: false,
            stopping: false,
            ended: false,
        }
    }

    /// Takes one input. Bytes given before [`Question::Connect`] is answered mark the
    /// client as an early talker. After [`Output::Close`] every input is ignored, as is an answer
    /// that was not asked for.
    pub fn handle(&mut self, input: Input<'_>) {
        match input {
            Input::Bytes(bytes) => self.bytes(bytes),
            Input::TlsReady => self.tls_ready(),
            Input::Answer(answer) => match self.take_state() {
                State::Asking(asked) => {
                    self.state = self.answer(asked, answer);
                    self.resume();
                }
                other => self.state = other,
            },
            Input::Timeout(timeout) => self.part_now(Farewell::Timeout(timeout)),
            Input::Shutdown => {
                self.stopping = true;
                self.resume();
            }
            Input::End => self.ended = true,
        }
        let waits = matches!(self.state, State::Asking(_) | State::Closed);
        if self.ended && !waits {
            let state = self.take_state();
            self.abandon(&state);
            self.state = self.close();
        }
    }

    /// Holds the client to these limits from now on, where it was offered any: a message's
    /// octets, and recipients. For limits that depend on who has signed in.
    pub fn limit(&mut self, message_max_octets: u64, recipients_max: u32) {
        if let Some(size) = &mut self.peer.offered.size {
            *size = message_max_octets;
        }
        self.peer.offered.limits.rcpt_max = Some(recipients_max);
    }

    /// The next thing the driver has to do, in order.
    pub fn poll(&mut self) -> Option<Output> {
        let output = self.outputs.pop_front();
        if output.is_none() && self.outputs.capacity() > IDLE_OUTPUTS_MAX {
            self.outputs = VecDeque::new();
        }
        output
    }

    /// Whether the driver should read from the client now: nothing is asked, no
    /// handshake is due, and the session is not over.
    pub fn wants_input(&self) -> bool {
        match self.phase() {
            Phase::Command | Phase::AuthResponse | Phase::Content => true,
            Phase::Answer | Phase::Handshake | Phase::Closed => false,
        }
    }

    /// What the session waits for.
    pub fn phase(&self) -> Phase {
        self.state.phase()
    }

    /// Whether the session waits for a command and no part of one has come, with no transaction open.
    pub fn is_idle(&self) -> bool {
        self.phase() == Phase::Command
            && !self.lines.is_amid()
            && self.state.transaction().is_none()
    }

    /// Whether TLS is active.
    pub fn channel(&self) -> Channel {
        self.channel
    }

    /// The name the client gave after EHLO, HELO or LHLO under the present channel.
    pub fn hello(&self) -> Option<&str> {
        self.peer.name.as_deref()
    }

    /// The account the client authenticated as.
    pub fn identity(&self) -> Option<&str> {
        self.peer.identity.as_deref()
    }

    /// What the client was offered.
    pub fn offered(&self) -> &Extensions {
        &self.peer.offered
    }

    /// The envelope of the transaction under way. At [`Question::Commit`] it has moved into the question.
    pub fn envelope(&self) -> Option<&Envelope> {
        self.state.transaction().map(|transaction| &transaction.envelope)
    }

    /// How a message arrives here, for the `with` clause of `Received` (RFC 3848, RFC 6531
    /// section 4.3): for example `ESMTPSA`.
    pub fn transmission_type(&self, smtputf8: bool) -> String {
        let base = match (self.settings.protocol, smtputf8, self.peer.extended) {
            (Protocol::Lmtp, true, _) => "UTF8LMTP",
            (Protocol::Lmtp, false, _) => "LMTP",
            (Protocol::Smtp, true, _) => "UTF8SMTP",
            (Protocol::Smtp, false, true) => "ESMTP",
            (Protocol::Smtp, false, false) => return "SMTP".to_owned(),
        };
        let secure = if self.channel == Channel::Tls { "S" } else { "" };
        let authenticated = if self.peer.identity.is_some() { "A" } else { "" };
        format!("{base}{secure}{authenticated}")
    }

    /// How much input is kept, in octets: within [`UNREAD_MAX_OCTETS`] and one line.
    pub fn held_octets(&self) -> usize {
        self.unread.len() + self.lines.held_octets()
    }

    fn bytes(&mut self, bytes: &[u8]) {
        if matches!(self.state, State::Closed) {
            return;
        }
        if matches!(self.state, State::Handshaking) {
            // The 220 is out, so there is nothing left to say.
            self.part_now(Farewell::StartTlsInjection);
            return;
        }
        self.early |= matches!(self.state, State::Asking(Asked::Connect)) && !bytes.is_empty();
        if self.unread.is_empty() {
            let taken = self.run(bytes);
            if !matches!(self.state, State::Closed) {
                self.unread.extend_from_slice(&bytes[taken..]);
            }
        } else {
            self.unread.extend_from_slice(bytes);
            self.resume();
        }
        if self.unread.len() > UNREAD_MAX_OCTETS {
            self.part_now(Farewell::TooMuchUnread);
        }
    }

    /// Goes on with what was kept.
    fn resume(&mut self) {
        let mut unread = mem::take(&mut self.unread);
        let taken = self.run(&unread);
        unread.advance(taken);
        // What is left waits for an answer; an idle session holds no buffer.
        if !unread.is_empty() && !matches!(self.state, State::Closed) {
            self.unread = unread;
        }
    }

    /// Takes input until there is none or a question is open; gives how much was taken.
    fn run(&mut self, input: &[u8]) -> usize {
        let mut at = 0;
        loop {
            let phase = self.phase();
            if self.stopping && matches!(phase, Phase::Command | Phase::AuthResponse) {
                self.part_now(Farewell::Shutdown);
            }
            let rest = &input[at..];
            if rest.is_empty() || !self.wants_input() {
                return at;
            }
            let state = self.take_state();
            let (taken, state) = self.step(state, rest);
            self.state = state;
            at += taken;
        }
    }

    fn step(&mut self, state: State, input: &[u8]) -> (usize, State) {
        match state {
            State::Receiving(content) => self.receive(content, input),
            State::InChunk(content, chunk) => self.receive_chunk(content, chunk, input),
            State::Draining(drain) => self.drain(drain, input),
            State::Connected if self.is_tls_in_clear(input) => {
                (input.len(), self.part(&State::Connected, Farewell::TlsInClear))
            }
            State::Rejected
            | State::Connected
            | State::Greeted
            | State::Addressing(_)
            | State::Chunking(_)
            | State::Authenticating => self.line(state, input),
            State::Asking(_) | State::Handshaking | State::Closed => (0, state),
        }
    }

    /// A client that begins TLS on a port that begins in the clear sends no line, and would wait for ever.
    fn is_tls_in_clear(&self, input: &[u8]) -> bool {
        const HANDSHAKE_RECORD: u8 = 0x16;
        self.channel == Channel::Clear
            && self.counters.commands == 0
            && !self.lines.is_amid()
            && input.first() == Some(&HANDSHAKE_RECORD)
    }

    /// Reads one line and does what it says.
    fn line(&mut self, state: State, input: &[u8]) -> (usize, State) {
        let authenticating = matches!(state, State::Authenticating);
        let expected = if authenticating { Expected::AuthResponse } else { Expected::Command };
        let (taken, line) = self.lines.read(input, expected);
        let said = match line {
            Line::Partial => return (taken, state),
            Line::Endless => return (taken, self.part(&state, Farewell::EndlessLine)),
            Line::Bad(fault) => Err(fault),
            Line::Whole(line) if authenticating => {
                let line = line.to_vec();
                self.lines.release();
                return (taken, self.auth_response(&line));
            }
            Line::Whole(line) => {
                let said = Command::parse(line);
                self.lines.release();
                said
            }
        };
        self.counters.commands += 1;
        if self.counters.commands > self.settings.commands_max {
            return (taken, self.part(&state, Farewell::TooManyCommands));
        }
        let more = taken < input.len();
        let state = match said {
            Ok(command) => self.command(state, command, more),
            Err(fault) if authenticating => self.abandon_auth(fault),
            Err(fault) => self.refuse(state, fault),
        };
        (taken, state)
    }

    /// What each command means in each state. `more` tells that input follows it already.
    fn command(&mut self, state: State, command: Command, more: bool) -> State {
        match (state, command) {
            (state, Command::Quit) => self.quit(&state),
            (state, Command::Http) => self.part(&state, Farewell::Http),
            (state, Command::Bdat(chunk)) => self.bdat(state, chunk),
            (State::Rejected, _) => {
                self.refuse(State::Rejected, Fault::BadSequence("QUIT is expected"))
            }
            (state, Command::Unknown(line)) => {
                self.ask(Question::Unknown(line), Asked::Unknown(Box::new(state)))
            }
            (state, Command::Hello(greeting, name)) => self.hello_command(state, greeting, name),
            (state, Command::Noop) => self.idle(state, Reply::new(250, 0, 0, "Ok")),
            (state, Command::Help) => self.idle(state, help()),
            (state, Command::Vrfy(who)) => self.vrfy(state, who),
            (state, Command::Expn) => self.refuse(state, Fault::NotOffered("EXPN")),
            (state, Command::Rset) => self.rset(&state),
            (State::Connected, _) => {
                self.refuse(State::Connected, Fault::BadSequence("greet with EHLO first"))
            }
            (State::Greeted, Command::StartTls) => self.start_tls(more),
            (State::Greeted, Command::Auth { mechanism, initial }) => {
                self.auth(&mechanism, initial)
            }
            (State::Greeted, Command::Mail(mail)) => self.mail(mail),
            (State::Greeted, Command::Rcpt(_) | Command::Data) => {
                self.refuse(State::Greeted, Fault::BadSequence("MAIL comes first"))
            }
            (State::Addressing(transaction), Command::Rcpt(rcpt)) => self.rcpt(transaction, rcpt),
            (State::Addressing(transaction), Command::Data) => self.data(transaction),
            (state @ State::Chunking(_), Command::Data | Command::Rcpt(_)) => {
                self.refuse(state, Fault::BadSequence("only BDAT or RSET may follow BDAT"))
            }
            (state, _) => self.refuse(state, Fault::BadSequence("a transaction is under way")),
        }
    }

    fn answer(&mut self, asked: Asked, answer: Answer) -> State {
        match asked {
            Asked::Connect => self.connected(answer.permission()),
            Asked::Hello { name, extended } => self.greeted(name, extended, answer.offer()),
            Asked::Auth => self.auth_answered(answer),
            Asked::Mail(transaction) => self.mail_answered(transaction, answer.permission()),
            Asked::Rcpt(transaction, recipient) => {
                self.rcpt_answered(transaction, recipient, answer.permission())
            }
            Asked::Data(transaction) => self.data_answered(*transaction, answer.permission()),
            Asked::FirstChunk(transaction, chunk) => {
                self.first_chunk_answered(transaction, chunk, answer.permission())
            }
            Asked::Commit { recipients } => self.committed(answer.outcomes(recipients)),
            Asked::Vrfy(state) => self.vrfy_answered(*state, answer.permission()),
            Asked::Unknown(state) => {
                let refusal = answer.permission().err();
                self.refuse(*state, refusal.unwrap_or_else(|| Fault::UnknownCommand.into()))
            }
        }
    }

    /// Whether the client spoke too early, and is to be refused for it.
    pub(super) fn refuses_early_talker(&mut self) -> bool {
        match (self.early, self.settings.early_talkers) {
            (true, EarlyTalkers::Refuse) => true,
            (true, EarlyTalkers::Serve) => {
                self.push(Output::Security(Incident::EarlyTalker));
                false
            }
            (false, EarlyTalkers::Refuse | EarlyTalkers::Serve) => false,
        }
    }

    fn part_now(&mut self, farewell: Farewell) {
        let state = self.take_state();
        if !matches!(state, State::Closed) {
            self.state = self.part(&state, farewell);
        }
    }

    fn take_state(&mut self) -> State {
        mem::replace(&mut self.state, State::Closed)
    }

    fn tls_ready(&mut self) {
        if matches!(self.state, State::Handshaking) {
            self.channel = Channel::Tls;
            self.state = State::Connected;
            self.resume();
        }
    }
}

fn help() -> Reply {
    Reply::new(
        214,
        0,
        0,
        "EHLO HELO LHLO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP STARTTLS AUTH QUIT\n\
         See RFC 5321; what is offered stands in the reply to EHLO",
    )
}

/// How much room for outputs an idle session keeps.
const IDLE_OUTPUTS_MAX: usize = 16;
