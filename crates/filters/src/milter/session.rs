//! What may be said and answered when, as a value.

use bytes::{Bytes, BytesMut};

use super::codec::{self, BadLength, Decoder};
use super::command::Command;
use super::macros::Macros;
use super::options::{Actions, Disagreement, Options, Steps, offer};
use super::reply::{BadReply, Reply};
use crate::message::Change;

/// One connection to a filter, seen from the MTA.
///
/// ```text
///        offer            answer            say            answer
///  New ────────▶ Offered ────────▶ Quiet ────────▶ Asked ────────▶ Quiet
/// ```
///
/// After each [`feed`](Self::feed) drain [`poll`](Self::poll). An error is final.
#[derive(Debug)]
pub struct Session {
    decoder: Decoder,
    phase: Phase,
    options: Options,
    /// What the filter has changed since it was asked.
    changes: Vec<Change>,
    /// Octets of the changes so far, without a body.
    change_octets: usize,
    body: Option<BytesMut>,
    body_max_octets: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    New,
    Offered,
    Quiet,
    /// The command of this kind is open.
    Asked(u8),
}

/// What became of a command that was to be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// The filter does not want it.
    LeftOut,
    /// It is said, and no answer comes.
    Unanswered,
    /// It is said, and the answer is to be awaited.
    Asked,
}

/// What came of the filter's octets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The options are agreed.
    Ready,
    /// The filter is still at work.
    Progress,
    /// The answer to the command, with the changes that came before it.
    Answer(Reply, Vec<Change>),
}

/// How a filter broke the protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A length that cannot be.
    #[error("it sent {0}")]
    Length(#[from] BadLength),
    /// No agreement.
    #[error("{0}")]
    Options(#[from] Disagreement),
    /// No answer to the options.
    #[error("it answered the options with \"{}\"", char::from(*.0))]
    NotOptions(u8),
    /// An answer that cannot be read.
    #[error("it sent {0}")]
    Reply(#[from] BadReply),
    /// An answer nobody asked for.
    #[error("it answered although nothing was asked")]
    NotAsked,
    /// An answer that does not belong to the command.
    #[error("it answered \"{}\" with \"{}\"", char::from(*.asked), char::from(*.answer))]
    OutOfPhase {
        /// The command.
        asked: u8,
        /// The answer.
        answer: u8,
    },
    /// A change it had not asked leave for.
    #[error("it sent the change \"{}\" without having asked for leave", char::from(*.0))]
    NotAllowed(u8),
    /// More changes than are taken.
    #[error("it sent more changes than are taken")]
    TooManyChanges,
    /// A longer body than is taken.
    #[error("it sent a longer body than the {0} octets that are taken")]
    BodyTooLong(usize),
}

/// Changes to one message.
const CHANGES_MAX: usize = 1_000;
/// Octets of the changes to one message, without a body.
const CHANGE_OCTETS_MAX: usize = 512 * 1024;

impl Session {
    /// A session that takes another body of at most `body_max_octets`.
    pub fn new(body_max_octets: usize) -> Self {
        Self {
            decoder: Decoder::default(),
            phase: Phase::New,
            options: Options::default(),
            changes: Vec::new(),
            change_octets: 0,
            body: None,
            body_max_octets,
        }
    }

    /// The packet with which a session begins.
    pub fn offer(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        codec::encode(&mut out, b'O', &offer());
        self.phase = Phase::Offered;
        out
    }

    /// What was agreed.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Puts `command` with its macros behind `out`, as far as the filter wants to hear it.
    pub fn say(&mut self, command: &Command<'_>, macros: &Macros, out: &mut Vec<u8>) -> Said {
        let (left_out, unanswered) = command.steps();
        let has = |step: Option<Steps>| step.is_some_and(|step| self.options.steps.has(step));
        if has(left_out) || self.options.version < command.since() {
            return Said::LeftOut;
        }
        if let Some(stage) = command.stage()
            && let Some(content) = macros.content(command.kind(), stage, &self.options.symbols)
        {
            codec::encode(out, b'D', &content);
        }
        codec::encode(out, command.kind(), &command.content());
        if !command.is_answered() || has(unanswered) {
            return Said::Unanswered;
        }
        self.phase = Phase::Asked(command.kind());
        self.changes.clear();
        self.change_octets = 0;
        self.body = None;
        Said::Asked
    }

    /// Whether values are passed with the space after the colon.
    pub fn leading_space(&self) -> bool {
        self.options.steps.has(Steps::LEADING_SPACE)
    }

    /// Takes what the filter sent.
    pub fn feed(&mut self, octets: &[u8]) {
        self.decoder.push(octets);
    }

    /// What came of it, if something did.
    ///
    /// # Errors
    ///
    /// [`Violation`]; the connection is of no use any more.
    pub fn poll(&mut self) -> Result<Option<Event>, Violation> {
        while let Some(packet) = self.decoder.next_packet()? {
            match self.phase {
                Phase::New | Phase::Quiet => return Err(Violation::NotAsked),
                Phase::Offered if packet.kind == b'O' => {
                    self.options = Options::read(&packet.content)?;
                    self.phase = Phase::Quiet;
                    return Ok(Some(Event::Ready));
                }
                Phase::Offered => return Err(Violation::NotOptions(packet.kind)),
                Phase::Asked(asked) => {
                    let out_of_phase = Violation::OutOfPhase { asked, answer: packet.kind };
                    let at_end = asked == b'E';
                    match Reply::read(&packet)? {
                        Reply::Progress => return Ok(Some(Event::Progress)),
                        Reply::Change(change) if at_end => self.take(packet.kind, change)?,
                        Reply::BodyPiece(piece) if at_end => self.take_body(&piece)?,
                        Reply::Change(_) | Reply::BodyPiece(_) => return Err(out_of_phase),
                        Reply::Skip if asked != b'B' => return Err(out_of_phase),
                        // A connection that was taken cannot be dropped silently.
                        Reply::Discard if matches!(asked, b'C' | b'H') => return Err(out_of_phase),
                        reply => {
                            self.phase = Phase::Quiet;
                            if let Some(body) = self.body.take() {
                                self.changes.push(Change::Body(body.freeze()));
                            }
                            let changes = std::mem::take(&mut self.changes);
                            return Ok(Some(Event::Answer(reply, changes)));
                        }
                    }
                }
            }
        }
        if self.phase == Phase::Quiet && self.decoder.waiting_octets() > 0 {
            return Err(Violation::NotAsked);
        }
        Ok(None)
    }

    fn take(&mut self, kind: u8, change: Change) -> Result<(), Violation> {
        let (leave, octets) = match &change {
            Change::AddField { name, value } | Change::InsertField { name, value, .. } => {
                (Actions::ADD_FIELDS, name.len() + value.len())
            }
            Change::ChangeField { name, value, .. } => {
                (Actions::CHANGE_FIELDS, name.len() + value.len())
            }
            Change::Sender { path, parameters } => {
                (Actions::CHANGE_SENDER, path.len() + parameters.len())
            }
            Change::AddRecipient { path, parameters } => {
                let leave = if kind == b'2' {
                    Actions::ADD_RECIPIENTS_WITH_PARAMETERS
                } else {
                    Actions::ADD_RECIPIENTS
                };
                (leave, path.len() + parameters.len())
            }
            Change::RemoveRecipient { path } => (Actions::REMOVE_RECIPIENTS, path.len()),
            Change::Quarantine { reason } => (Actions::QUARANTINE, reason.len()),
            Change::Body(body) => (Actions::CHANGE_BODY, body.len()),
        };
        if !self.options.actions.has(leave) {
            return Err(Violation::NotAllowed(kind));
        }
        self.change_octets += octets;
        if self.changes.len() == CHANGES_MAX || self.change_octets > CHANGE_OCTETS_MAX {
            return Err(Violation::TooManyChanges);
        }
        self.changes.push(change);
        Ok(())
    }

    fn take_body(&mut self, piece: &Bytes) -> Result<(), Violation> {
        if !self.options.actions.has(Actions::CHANGE_BODY) {
            return Err(Violation::NotAllowed(b'b'));
        }
        let body = self.body.get_or_insert_default();
        if body.len() + piece.len() > self.body_max_octets {
            return Err(Violation::BodyTooLong(self.body_max_octets));
        }
        body.extend_from_slice(piece);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EVERYTHING: (u32, u32) = (0x1ff, 0x400);

    fn packet(kind: u8, content: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        codec::encode(&mut out, kind, content);
        out
    }

    fn ready(actions: u32, steps: u32) -> Session {
        let mut session = Session::new(10);
        session.offer();
        let options = [6, actions, steps].map(u32::to_be_bytes).concat();
        session.feed(&packet(b'O', &options));
        assert_eq!(session.poll(), Ok(Some(Event::Ready)));
        session
    }

    fn say(session: &mut Session, command: &Command<'_>) -> Said {
        session.say(command, &Macros::default(), &mut Vec::new())
    }

    /// Asks `command` and gives everything that comes of `octets`.
    fn ask(
        session: &mut Session,
        command: &Command<'_>,
        octets: &[u8],
    ) -> Result<Event, Violation> {
        assert_eq!(say(session, command), Said::Asked);
        session.feed(octets);
        session.poll().map(Option::unwrap)
    }

    #[test]
    fn changes_come_with_the_answer_at_the_end_of_a_message() {
        let mut session = ready(EVERYTHING.0, EVERYTHING.1);
        let answer = [
            packet(b'h', b"X\0y\0"),
            packet(b'b', b"new "),
            packet(b'b', b"body"),
            packet(b'q', b"odd\0"),
            packet(b'c', b""),
        ]
        .concat();
        let Ok(Event::Answer(Reply::Continue, changes)) = ask(&mut session, &Command::End, &answer)
        else {
            panic!("no answer")
        };
        assert_eq!(changes.len(), 3);
        assert_eq!(changes[2], Change::Body(Bytes::from_static(b"new body")));
    }

    #[test]
    fn a_change_before_the_end_is_a_violation() {
        for kind in *b"hb" {
            let mut session = ready(EVERYTHING.0, EVERYTHING.1);
            let answer = ask(&mut session, &Command::EndOfHeader, &packet(kind, b"X\0y\0"));
            assert_eq!(answer, Err(Violation::OutOfPhase { asked: b'N', answer: kind }));
        }
    }

    #[test]
    fn a_change_without_leave_is_a_violation() {
        let every = [
            (b'h', &b"X\0y\0"[..]),
            (b'i', b"\0\0\0\0X\0y\0"),
            (b'm', b"\0\0\0\0X\0y\0"),
            (b'b', b"x"),
            (b'e', b"<>\0"),
            (b'+', b"<a@b.example>\0"),
            (b'2', b"<a@b.example>\0"),
            (b'-', b"<a@b.example>\0"),
            (b'q', b"x\0"),
        ];
        for (kind, content) in every {
            let mut session = ready(0, 0);
            let answer = ask(&mut session, &Command::End, &packet(kind, content));
            assert_eq!(answer, Err(Violation::NotAllowed(kind)));
        }
    }

    #[test]
    fn an_answer_nobody_asked_for_is_a_violation() {
        let mut session = ready(0, 0);
        session.feed(&packet(b'c', b""));
        assert_eq!(session.poll(), Err(Violation::NotAsked));
        let mut session = ready(0, 0);
        session.feed(b"\0");
        assert_eq!(session.poll(), Err(Violation::NotAsked));
        let mut session = ready(0, Steps::UNANSWERED_HELO.0);
        assert_eq!(say(&mut session, &Command::Helo("mx")), Said::Unanswered);
        session.feed(&packet(b'c', b""));
        assert_eq!(session.poll(), Err(Violation::NotAsked));
    }

    #[test]
    fn skip_belongs_to_the_body_alone() {
        let mut session = ready(0, EVERYTHING.1);
        let answer = ask(&mut session, &Command::Body(b"x"), &packet(b's', b""));
        assert_eq!(answer, Ok(Event::Answer(Reply::Skip, Vec::new())));
        let answer = ask(&mut session, &Command::End, &packet(b's', b""));
        assert_eq!(answer, Err(Violation::OutOfPhase { asked: b'E', answer: b's' }));
    }

    #[test]
    fn a_filter_is_not_told_what_it_left_out_or_its_version_does_not_know() {
        let mut session = ready(0, Steps::NO_HELO.0 | Steps::NO_BODY.0);
        assert_eq!(say(&mut session, &Command::Helo("mx")), Said::LeftOut);
        assert_eq!(say(&mut session, &Command::Body(b"x")), Said::LeftOut);
        assert_eq!(say(&mut session, &Command::Abort), Said::Unanswered);
        assert_eq!(say(&mut session, &Command::EndOfHeader), Said::Asked);
        let mut old = Session::new(10);
        old.offer();
        old.feed(&packet(b'O', &[2, 0, 0].map(u32::to_be_bytes).concat()));
        old.poll().unwrap();
        assert_eq!(say(&mut old, &Command::Data), Said::LeftOut);
        assert_eq!(say(&mut old, &Command::Unknown("XFOO")), Said::LeftOut);
        assert_eq!(say(&mut old, &Command::QuitNewConnection), Said::LeftOut);
    }

    #[test]
    fn a_body_and_changes_without_end_are_cut_off() {
        let mut session = ready(EVERYTHING.0, 0);
        let answer = ask(&mut session, &Command::End, &packet(b'b', b"eleven octe"));
        assert_eq!(answer, Err(Violation::BodyTooLong(10)));
        let mut session = ready(EVERYTHING.0, 0);
        let answer = ask(&mut session, &Command::End, &packet(b'h', b"X\0y\0").repeat(1_001));
        assert_eq!(answer, Err(Violation::TooManyChanges));
        let mut session = ready(EVERYTHING.0, 0);
        let long = [&b"X\0"[..], &vec![b'y'; 60_000], b"\0"].concat();
        let answer = ask(&mut session, &Command::End, &packet(b'h', &long).repeat(9));
        assert_eq!(answer, Err(Violation::TooManyChanges));
    }

    proptest! {
        #[test]
        fn an_answer_split_anywhere_is_the_same_answer(cut in 1usize..60) {
            let whole = [
                packet(b'p', b""), packet(b'h', b"X\0y\0"), packet(b'b', b"body"),
                packet(b'p', b""), packet(b'y', b"550 5.7.1 no\0"),
            ].concat();
            let mut session = ready(EVERYTHING.0, 0);
            say(&mut session, &Command::End);
            let mut events = Vec::new();
            for piece in whole.chunks(cut) {
                session.feed(piece);
                while let Some(event) = session.poll().unwrap() {
                    events.push(event);
                }
            }
            prop_assert_eq!(events.len(), 3);
            let is_answer = matches!(&events[2], Event::Answer(Reply::Code(_), c) if c.len() == 2);
            prop_assert!(is_answer);
        }

        #[test]
        fn no_octets_make_a_session_panic_or_grow(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..64), 0..32),
        ) {
            let mut session = ready(EVERYTHING.0, EVERYTHING.1);
            say(&mut session, &Command::End);
            for piece in pieces {
                session.feed(&piece);
                if session.poll().is_err() { break }
            }
        }
    }
}
