//! One mail transaction: its commands, and what each reply means for whom.

use std::collections::VecDeque;
use std::fmt::Write as _;

use mail::envelope::Body;
use mail::{DsnReturn, Envelope, Notify, Recipient};

use super::content::{Content, DotStuffing};
use super::report::{Failure, Fate, Phase, Report, Unfit};
use super::session::Protocol;
use crate::extensions::Extensions;
use crate::reply::Reply;
use crate::xtext;

/// The most commands sent before their replies are read (RFC 2920 section 3.1:
/// neither side may wait for the other to read).
const PIPELINE_MAX_COMMANDS: usize = 128;

/// A message to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transaction<'a> {
    /// From whom, to whom, and how it may travel.
    pub envelope: &'a Envelope,
    /// What [`Survey`](super::Survey) found in its content.
    pub content: Content,
}

/// What a transaction needs of the peer.
#[derive(Debug, Clone, Copy)]
struct Needs {
    smtputf8: bool,
    eight_bit: bool,
    binary: bool,
    dsn: bool,
}

/// A transaction under way.
#[derive(Debug)]
pub(super) struct Mailing {
    protocol: Protocol,
    pipelining: bool,
    /// The commands not sent yet, and in `unsent` where each ends.
    commands: Vec<u8>,
    sent_octets: usize,
    unsent: VecDeque<(Step, usize)>,
    awaited: VecDeque<Step>,
    fates: Vec<Option<Fate>>,
    accepted: Vec<usize>,
    mail_taken: bool,
    dsn_passed_on: bool,
    binary_octets: Option<u64>,
    content: Sending,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Reset,
    Mail,
    Rcpt(usize),
    Data,
    /// The reply to the end of the data, for all accepted recipients.
    End,
    /// The same, for one recipient (RFC 2033 section 4.2).
    EndOf(usize),
    /// The reply to a lone dot that ended a transaction without recipients.
    EndOfNothing,
}

#[derive(Debug)]
enum Sending {
    Not,
    Stuffed(DotStuffing),
    Binary { left: u64, lead: Vec<u8> },
    Ended,
}

/// What the session does next.
#[derive(Debug)]
pub(super) enum Next {
    /// Write these octets and read on.
    Send(Vec<u8>),
    /// Read on.
    Wait,
    /// Ask the driver for the content.
    Content,
    /// It is over; the peer is ready for another, after RSET if `reset`.
    Done { report: Report, reset: bool },
    /// It is over, and so is the session.
    Fail { report: Report, failure: Failure },
}

impl Mailing {
    /// Looks at what the peer offers and writes the commands. `reset`: RSET goes first.
    pub(super) fn begin(
        transaction: &Transaction<'_>,
        offered: &Extensions,
        protocol: Protocol,
        reset: bool,
    ) -> Self {
        let envelope = transaction.envelope;
        let needs = Needs::of(transaction);
        let mut mailing = Self {
            protocol,
            pipelining: offered.pipelining,
            commands: Vec::with_capacity(64 * (2 + envelope.recipients.len())),
            sent_octets: 0,
            unsent: VecDeque::with_capacity(3 + envelope.recipients.len()),
            awaited: VecDeque::with_capacity(3 + envelope.recipients.len()),
            fates: vec![None; envelope.recipients.len()],
            accepted: Vec::with_capacity(envelope.recipients.len()),
            mail_taken: false,
            dsn_passed_on: offered.dsn,
            binary_octets: needs.binary.then_some(transaction.content.octets),
            content: Sending::Not,
        };
        if let Err(unfit) = needs.fit(transaction, offered) {
            mailing.decide_rest(|| Fate::Unfit(unfit));
            return mailing;
        }
        for (at, recipient) in envelope.recipients.iter().enumerate() {
            if recipient.address.needs_smtputf8() && !offered.smtputf8 {
                mailing.fates[at] = Some(Fate::Unfit(Unfit::SmtpUtf8));
            }
        }
        if mailing.fates.iter().all(Option::is_some) {
            return mailing;
        }
        if reset {
            mailing.add(Step::Reset, "RSET\r\n");
        }
        mailing.add(Step::Mail, &mail_line(transaction, needs, offered));
        for (at, recipient) in envelope.recipients.iter().enumerate() {
            if mailing.fates[at].is_none() {
                mailing.add(Step::Rcpt(at), &rcpt_line(recipient, offered.dsn));
            }
        }
        if !needs.binary {
            mailing.add(Step::Data, "DATA\r\n");
        }
        mailing
    }

    fn add(&mut self, step: Step, line: &str) {
        self.commands.extend_from_slice(line.as_bytes());
        self.unsent.push_back((step, self.commands.len()));
    }

    /// What to do when no reply is awaited.
    pub(super) fn advance(&mut self) -> Next {
        if !self.awaited.is_empty() {
            return Next::Wait;
        }
        let most = if self.pipelining { PIPELINE_MAX_COMMANDS } else { 1 };
        let mut end = self.sent_octets;
        while self.awaited.len() < most
            && let Some(&(step, step_end)) = self.unsent.front()
        {
            // DATA goes along with RCPT only in SMTP, where a lone dot ends a
            // transaction without recipients; LMTP would leave us without a reply.
            let alone = self.awaited.is_empty();
            let hold = step == Step::Data && !alone && self.protocol == Protocol::Lmtp;
            let void = step == Step::Data && alone && self.accepted.is_empty();
            if hold || void {
                break;
            }
            self.unsent.pop_front();
            self.awaited.push_back(step);
            end = step_end;
        }
        if !self.awaited.is_empty() {
            let octets = if self.sent_octets == 0 && end == self.commands.len() {
                std::mem::take(&mut self.commands)
            } else {
                self.commands[self.sent_octets..end].to_vec()
            };
            self.sent_octets = end;
            return Next::Send(octets);
        }
        match self.binary_octets {
            Some(octets) if !self.accepted.is_empty() => {
                let lead = format!("BDAT {octets} LAST\r\n").into_bytes();
                self.content = Sending::Binary { left: octets, lead };
                self.await_end();
                Next::Content
            }
            Some(_) | None => self.done(),
        }
    }

    /// What the peer's next reply means.
    pub(super) fn reply(&mut self, reply: Reply) -> Next {
        let Some(step) = self.awaited.pop_front() else {
            return self.fail(Failure::Unsolicited);
        };
        let phase = step.phase();
        if reply.code() == 421 && !matches!(step, Step::End | Step::EndOf(_)) {
            return self.fail(Failure::Closing { phase, reply });
        }
        match (step, reply.class()) {
            (Step::Mail, 2) => self.mail_taken = true,
            (Step::Mail, 4 | 5) => {
                self.unsent.clear();
                self.decide_rest(|| Fate::Refused { phase, reply: reply.clone() });
            }
            (Step::Rcpt(at), 2) if self.fates[at].is_none() => self.accepted.push(at),
            (Step::Rcpt(at), 4 | 5) if self.fates[at].is_none() => {
                self.fates[at] = Some(Fate::Refused { phase, reply });
            }
            // The latter: MAIL was refused, so no reply to its RCPT commands counts.
            (Step::Reset, 2) | (Step::Rcpt(_), 2 | 4 | 5) => {}
            (Step::Data, 3) if self.accepted.is_empty() => {
                self.awaited.push_back(Step::EndOfNothing);
                return Next::Send(b".\r\n".to_vec());
            }
            (Step::Data, 3) => {
                self.content = Sending::Stuffed(DotStuffing::new());
                self.await_end();
                return Next::Content;
            }
            (Step::Data, 4 | 5) => {
                self.accepted.clear();
                self.decide_rest(|| Fate::Refused { phase, reply: reply.clone() });
            }
            (Step::EndOfNothing, _) => self.mail_taken = false,
            (Step::End | Step::EndOf(_), 2 | 4 | 5) => return self.end(step, reply),
            (
                Step::Reset | Step::Mail | Step::Rcpt(_) | Step::Data | Step::End | Step::EndOf(_),
                _,
            ) => return self.fail(Failure::Unexpected { phase, reply }),
        }
        self.advance()
    }

    /// A reply to the end of the data, or instead of it.
    fn end(&mut self, step: Step, reply: Reply) -> Next {
        let phase = Phase::DataEnd;
        if !matches!(self.content, Sending::Ended) {
            // The peer gave up before the end. Its refusal counts, but what
            // we sent cannot be ended cleanly any more.
            return if reply.is_positive() {
                self.fail(Failure::Unexpected { phase: Phase::DataBlock, reply })
            } else {
                let fate = Fate::Refused { phase: Phase::DataBlock, reply: reply.clone() };
                self.decide_rest(|| fate.clone());
                self.fail(Failure::Refused { phase: Phase::DataBlock, reply })
            };
        }
        let closing = reply.code() == 421;
        let mut fate = || {
            let reply = reply.clone();
            if reply.is_positive() { Fate::Accepted(reply) } else { Fate::Refused { phase, reply } }
        };
        match step {
            Step::EndOf(at) => self.fates[at] = Some(fate()),
            Step::End
            | Step::Reset
            | Step::Mail
            | Step::Rcpt(_)
            | Step::Data
            | Step::EndOfNothing => self.decide_rest(&mut fate),
        }
        if closing {
            return self.fail(Failure::Closing { phase, reply });
        }
        if !self.awaited.is_empty() {
            return Next::Wait;
        }
        self.mail_taken = false;
        self.done()
    }

    /// The next piece of content in the form it travels in.
    pub(super) fn content(&mut self, piece: &[u8], last: bool) -> Result<Vec<u8>, Failure> {
        let mut out = Vec::new();
        match &mut self.content {
            Sending::Stuffed(stuffing) => {
                stuffing.encode(piece, &mut out)?;
                if last {
                    stuffing.finish(&mut out)?;
                }
            }
            Sending::Binary { left, lead } => {
                let octets = piece.len() as u64;
                if octets > *left || (last && octets != *left) {
                    return Err(Failure::ContentLength);
                }
                *left -= octets;
                out.append(lead);
                out.extend_from_slice(piece);
            }
            Sending::Not | Sending::Ended => return Err(Failure::ContentLength),
        }
        if last {
            self.content = Sending::Ended;
        }
        Ok(out)
    }

    /// What is awaited.
    pub(super) fn phase(&self) -> Phase {
        match (&self.content, self.awaited.front()) {
            (Sending::Stuffed(_) | Sending::Binary { .. }, _) => Phase::DataBlock,
            (Sending::Not | Sending::Ended, Some(step)) => step.phase(),
            (Sending::Not | Sending::Ended, None) => Phase::Idle,
        }
    }

    /// Whether the driver is asked for content.
    pub(super) fn wants_content(&self) -> bool {
        matches!(self.content, Sending::Stuffed(_) | Sending::Binary { .. })
    }

    /// Ends the transaction because the session failed.
    pub(super) fn fail(&mut self, failure: Failure) -> Next {
        let uncertain = matches!(self.content, Sending::Ended);
        self.decide_rest(|| Fate::Broken { failure: failure.clone(), uncertain });
        Next::Fail { report: self.report(), failure }
    }

    fn await_end(&mut self) {
        match self.protocol {
            Protocol::Smtp => self.awaited.push_back(Step::End),
            Protocol::Lmtp => self.awaited.extend(self.accepted.iter().map(|&at| Step::EndOf(at))),
        }
    }

    fn done(&mut self) -> Next {
        Next::Done { report: self.report(), reset: self.mail_taken }
    }

    fn report(&mut self) -> Report {
        // Every recipient is decided before a transaction is done; one that were
        // not would count as not sent.
        let lost =
            || Fate::Broken { failure: Failure::Lost { phase: Phase::Idle }, uncertain: false };
        let fates = self.fates.iter_mut().map(|fate| fate.take().unwrap_or_else(lost)).collect();
        Report { fates, dsn_passed_on: self.dsn_passed_on }
    }

    fn decide_rest(&mut self, mut fate: impl FnMut() -> Fate) {
        for slot in self.fates.iter_mut().filter(|slot| slot.is_none()) {
            *slot = Some(fate());
        }
    }
}

impl Step {
    fn phase(self) -> Phase {
        match self {
            Self::Reset => Phase::Reset,
            Self::Mail => Phase::Mail,
            Self::Rcpt(_) => Phase::Rcpt,
            Self::Data => Phase::DataStart,
            Self::End | Self::EndOf(_) | Self::EndOfNothing => Phase::DataEnd,
        }
    }
}

impl Needs {
    fn of(transaction: &Transaction<'_>) -> Self {
        let Transaction { envelope, content } = transaction;
        let sender_beyond_ascii =
            envelope.reverse_path.address().is_some_and(mail::Address::needs_smtputf8);
        let recipient_beyond_ascii =
            envelope.recipients.iter().any(|recipient| recipient.address.needs_smtputf8());
        Self {
            smtputf8: sender_beyond_ascii
                || recipient_beyond_ascii
                || (envelope.smtputf8 && content.eight_bit_header),
            eight_bit: content.eight_bit_header || content.eight_bit_body,
            binary: envelope.body == Body::BinaryMime,
            dsn: envelope.dsn_return.is_some() || envelope.envid.is_some(),
        }
    }

    /// Whether the peer can take the message at all. A recipient whose address
    /// alone needs SMTPUTF8 is looked at by itself.
    fn fit(self, transaction: &Transaction<'_>, offered: &Extensions) -> Result<(), Unfit> {
        let Transaction { envelope, content } = transaction;
        let sender_beyond_ascii =
            envelope.reverse_path.address().is_some_and(mail::Address::needs_smtputf8);
        let whole_needs_utf8 =
            sender_beyond_ascii || (envelope.smtputf8 && content.eight_bit_header);
        if envelope.require_tls && !offered.require_tls {
            return Err(Unfit::RequireTls);
        }
        if whole_needs_utf8 && !offered.smtputf8 {
            return Err(Unfit::SmtpUtf8);
        }
        if self.binary && !(offered.chunking && offered.binary_mime) {
            return Err(Unfit::Binary);
        }
        // SMTPUTF8 includes 8-bit content (RFC 6531 section 3.1 item 5).
        if self.eight_bit && !offered.eight_bit_mime {
            return Err(Unfit::EightBit);
        }
        match offered.size {
            Some(limit) if limit > 0 && content.octets > limit => {
                Err(Unfit::TooBig { octets: content.octets, limit })
            }
            Some(_) | None => Ok(()),
        }
    }
}

fn mail_line(transaction: &Transaction<'_>, needs: Needs, offered: &Extensions) -> String {
    let Transaction { envelope, content } = transaction;
    let mut line = format!("MAIL FROM:<{}>", envelope.reverse_path);
    let mut add = |parameter: std::fmt::Arguments<'_>| {
        // Writing to memory cannot fail.
        let _ = write!(line, " {parameter}");
    };
    if offered.size.is_some() {
        add(format_args!("SIZE={}", content.octets));
    }
    if needs.binary {
        add(format_args!("BODY=BINARYMIME"));
    } else if needs.eight_bit {
        add(format_args!("BODY=8BITMIME"));
    }
    if needs.smtputf8 && offered.smtputf8 {
        add(format_args!("SMTPUTF8"));
    }
    if envelope.require_tls {
        add(format_args!("REQUIRETLS"));
    }
    if needs.dsn && offered.dsn {
        match envelope.dsn_return {
            Some(DsnReturn::Full) => add(format_args!("RET=FULL")),
            Some(DsnReturn::Headers) => add(format_args!("RET=HDRS")),
            None => {}
        }
        if let Some(envid) = &envelope.envid {
            add(format_args!("ENVID={}", xtext::encode(envid)));
        }
    }
    line.push_str("\r\n");
    line
}

fn rcpt_line(recipient: &Recipient, dsn: bool) -> String {
    let mut line = format!("RCPT TO:<{}>", recipient.address);
    if dsn {
        if recipient.notify != Notify::default() {
            let _ = write!(line, " NOTIFY={}", recipient.notify);
        }
        if let Some((kind, address)) = recipient.orcpt.as_ref().and_then(|o| o.split_once(';')) {
            let _ = write!(line, " ORCPT={};{}", xtext::encode(kind), xtext::encode(address));
        }
    }
    line.push_str("\r\n");
    line
}
