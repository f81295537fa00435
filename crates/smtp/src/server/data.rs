//! DATA and BDAT: content, from the permission to bring it to the word that it is ours.

use bytes::Bytes;
use mail::Body;

use super::content::{Decoder, Form, Progress};
use super::exchange::{Commit, Incident, Output, Question};
use super::farewell::Farewell;
use super::session::Session;
use super::settings::{CONTENT_OVERRUN_MAX_OCTETS, CONTENT_PIECE_MAX_OCTETS, Protocol};
use super::state::{Asked, Content, Drain, State, Transaction};
use crate::command::Chunk;
use crate::refusal::{Fault, Refusal};
use crate::reply::Reply;

impl Session {
    /// DATA.
    pub(super) fn data(&mut self, transaction: Box<Transaction>) -> State {
        if transaction.envelope.body == Body::BinaryMime {
            let fault = Fault::BadSequence("BODY=BINARYMIME takes BDAT, not DATA");
            return self.refuse(State::Addressing(transaction), fault);
        }
        match without_recipients(&transaction) {
            Some(fault) => self.refuse(State::Addressing(transaction), fault),
            None => self.ask(Question::Data, Asked::Data(transaction)),
        }
    }

    /// Policy decided whether content may come.
    pub(super) fn data_answered(
        &mut self,
        transaction: Transaction,
        permission: Result<(), Refusal>,
    ) -> State {
        match permission {
            Ok(()) => {
                let content = self.content(transaction, Form::Dotted);
                let go_on = Reply::plain(354, "End data with <CR><LF>.<CR><LF>");
                self.say(State::Receiving(content), go_on)
            }
            Err(refusal) => {
                self.push(Output::Reset);
                self.refuse(State::Greeted, refusal)
            }
        }
    }

    /// Content by DATA.
    pub(super) fn receive(&mut self, mut content: Box<Content>, input: &[u8]) -> (usize, State) {
        match self.decode(&mut content.decoder, input) {
            Progress::More => (input.len(), State::Receiving(content)),
            Progress::Ended(taken) => (taken, self.complete(*content)),
            Progress::Overrun => (input.len(), self.overrun(&State::Receiving(content))),
        }
    }

    /// BDAT. Its octets follow at once, so they are passed over when it is refused.
    pub(super) fn bdat(&mut self, state: State, chunk: Chunk) -> State {
        if chunk.octets == 0 && !chunk.last && !self.counts_as_idle() {
            return self.part(&state, Farewell::TooManyCommands);
        }
        if !self.peer.offered.chunking {
            let fault = Fault::NotOffered("BDAT");
            return self.refuse_chunk(state, chunk, 1, fault);
        }
        match state {
            State::Addressing(transaction) => match without_recipients(&transaction) {
                Some(fault) => self.refuse_chunk(State::Addressing(transaction), chunk, 1, fault),
                None if self.exceeds(0, chunk) => self.refuse_large(&transaction, chunk),
                None => self.ask(Question::Data, Asked::FirstChunk(transaction, chunk)),
            },
            State::Chunking(content) if self.exceeds(content.decoder.octets(), chunk) => {
                self.refuse_large(&content.transaction, chunk)
            }
            State::Chunking(content) => self.begin_chunk(content, chunk),
            other => {
                let fault = Fault::BadSequence("MAIL and RCPT come before BDAT");
                self.refuse_chunk(other, chunk, 1, fault)
            }
        }
    }

    /// Policy decided whether content may come.
    pub(super) fn first_chunk_answered(
        &mut self,
        transaction: Box<Transaction>,
        chunk: Chunk,
        permission: Result<(), Refusal>,
    ) -> State {
        match permission {
            Ok(()) => {
                let form = match transaction.envelope.body {
                    Body::BinaryMime => Form::Binary,
                    Body::SevenBit | Body::EightBitMime => Form::Chunked,
                };
                let content = self.content(*transaction, form);
                self.begin_chunk(content, chunk)
            }
            Err(refusal) => {
                self.push(Output::Reset);
                let replies = self.replies(&transaction, chunk.last);
                self.refuse_chunk(State::Greeted, chunk, replies, refusal)
            }
        }
    }

    /// Content within a chunk.
    pub(super) fn receive_chunk(
        &mut self,
        mut content: Box<Content>,
        chunk: Chunk,
        input: &[u8],
    ) -> (usize, State) {
        let taken = usize::try_from(chunk.octets).map_or(input.len(), |n| n.min(input.len()));
        let progress = self.decode(&mut content.decoder, &input[..taken]);
        let left = Chunk { octets: chunk.octets - taken as u64, ..chunk };
        match progress {
            Progress::More | Progress::Ended(_) if left.octets == 0 => {
                (taken, self.end_chunk(content, chunk.last))
            }
            Progress::More | Progress::Ended(_) => (taken, State::InChunk(content, left)),
            Progress::Overrun => (taken, self.overrun(&State::InChunk(content, left))),
        }
    }

    /// Passes over octets of a refused chunk.
    pub(super) fn drain(&mut self, mut drain: Drain, input: &[u8]) -> (usize, State) {
        let taken = usize::try_from(drain.octets).map_or(input.len(), |n| n.min(input.len()));
        drain.octets -= taken as u64;
        let state = if drain.octets == 0 {
            self.refuse_times(drain.replies, *drain.next, drain.refusal)
        } else {
            State::Draining(drain)
        };
        (taken, state)
    }

    /// The driver took the message, or did not.
    pub(super) fn committed(&mut self, outcomes: Vec<Result<String, Refusal>>) -> State {
        let accepted = outcomes.iter().any(Result::is_ok);
        let outcomes = match self.settings.protocol {
            Protocol::Lmtp => outcomes,
            // One reply speaks for all: a refusal, if there is any.
            Protocol::Smtp => {
                let refused = outcomes.iter().position(Result::is_err).unwrap_or(0);
                outcomes.into_iter().skip(refused).take(1).collect()
            }
        };
        if accepted {
            self.counters.errors = 0;
            self.counters.idle_commands = 0;
            self.counters.commands = 0;
        }
        let mut close = false;
        for outcome in outcomes {
            let reply = match outcome {
                Ok(id) => Reply::new(250, 0, 0, format!("Ok: queued as {id}")),
                Err(refusal) => {
                    close |= refusal.close;
                    refusal.reply
                }
            };
            self.push(Output::Reply(reply));
        }
        if close { self.close() } else { State::Greeted }
    }

    fn content(&self, transaction: Transaction, form: Form) -> Box<Content> {
        let decoder =
            Decoder::new(form, self.message_max_octets(), self.settings.text_line_max_octets);
        Box::new(Content { transaction, decoder })
    }

    /// Decodes a piece and hands its content out.
    fn decode(&mut self, decoder: &mut Decoder, input: &[u8]) -> Progress {
        let mut octets = Vec::with_capacity(input.len());
        let progress = decoder.decode(input, &mut octets);
        let mut content = Bytes::from(octets);
        while !content.is_empty() {
            let piece = content.split_to(content.len().min(CONTENT_PIECE_MAX_OCTETS));
            self.push(Output::Content(piece));
        }
        progress
    }

    /// The end of the content is here.
    fn complete(&mut self, content: Content) -> State {
        let recipients = content.transaction.envelope.recipients.len();
        let replies = self.replies(&content.transaction, true);
        match content.decoder.finish() {
            Ok(facts) => {
                let envelope = content.transaction.envelope;
                let commit = Commit { envelope, content: facts };
                self.ask(Question::Commit(Box::new(commit)), Asked::Commit { recipients })
            }
            Err(flaw) => self.refuse_content(replies, flaw),
        }
    }

    fn begin_chunk(&mut self, content: Box<Content>, chunk: Chunk) -> State {
        if chunk.octets == 0 {
            return self.end_chunk(content, chunk.last);
        }
        State::InChunk(content, chunk)
    }

    fn end_chunk(&mut self, content: Box<Content>, last: bool) -> State {
        if last {
            return self.complete(*content);
        }
        if let Some(flaw) = content.decoder.flaw() {
            let flaw = flaw.clone();
            return self.refuse_content(1, flaw);
        }
        let text = format!("{} octets received", content.decoder.octets());
        self.say(State::Chunking(content), Reply::new(250, 0, 0, text))
    }

    /// Drops the transaction because of its content.
    fn refuse_content(&mut self, replies: usize, flaw: Fault) -> State {
        self.push(Output::Reset);
        if flaw == Fault::ContentLineEnding {
            self.push(Output::Security(Incident::ContentLineEnding));
        }
        self.refuse_times(replies, State::Greeted, flaw)
    }

    fn exceeds(&self, octets: u64, chunk: Chunk) -> bool {
        octets.saturating_add(chunk.octets) > self.message_max_octets()
    }

    fn refuse_large(&mut self, transaction: &Transaction, chunk: Chunk) -> State {
        self.push(Output::Reset);
        let replies = self.replies(transaction, chunk.last);
        let fault = Fault::TooLarge { limit_octets: self.message_max_octets() };
        self.refuse_chunk(State::Greeted, chunk, replies, fault)
    }

    /// Refuses a chunk after passing over its octets; one that is far too large ends the connection.
    fn refuse_chunk(
        &mut self,
        next: State,
        chunk: Chunk,
        replies: usize,
        refusal: impl Into<Refusal>,
    ) -> State {
        let mut refusal = refusal.into();
        let bound = self.message_max_octets().saturating_add(CONTENT_OVERRUN_MAX_OCTETS);
        refusal.close |= chunk.octets > bound;
        if chunk.octets == 0 || refusal.close {
            return self.refuse_times(replies, next, refusal);
        }
        State::Draining(Drain { octets: chunk.octets, refusal, replies, next: Box::new(next) })
    }

    /// Says the same refusal to each of `replies` recipients; it counts as one error.
    fn refuse_times(&mut self, replies: usize, next: State, refusal: impl Into<Refusal>) -> State {
        let refusal = refusal.into();
        for _ in 1..replies {
            self.push(Output::Reply(refusal.reply.clone()));
        }
        self.refuse(next, refusal)
    }

    /// How many replies the client waits for after the end of the content (RFC 2033 section 4.2).
    fn replies(&self, transaction: &Transaction, last: bool) -> usize {
        match self.settings.protocol {
            Protocol::Lmtp if last => transaction.envelope.recipients.len(),
            Protocol::Lmtp | Protocol::Smtp => 1,
        }
    }

    fn overrun(&mut self, state: &State) -> State {
        let limit_octets = self.message_max_octets();
        self.part(state, Farewell::EndlessContent { limit_octets })
    }
}

/// What to say to content for nobody.
fn without_recipients(transaction: &Transaction) -> Option<Fault> {
    match (transaction.envelope.recipients.is_empty(), transaction.refused) {
        (true, true) => Some(Fault::NoRecipients),
        (true, false) => Some(Fault::BadSequence("RCPT comes first")),
        (false, true | false) => None,
    }
}
