//! The life of one fax to one number.
//!
//! ```text
//!            ┌───────────── waiting (busy, no answer, …) ◀──────────┐
//!            ▼                                                      │
//!  queued ─▶ dialling ─▶ sending page n ─▶ sent                     │
//!    ▲ │        │  └──────────┴──────────────▶ the attempt ended ───┤
//!    │ ▼        │ restart                                           └─▶ failed
//!   held        └─▶ uncertain ─▶ asked at the transport ─▶ as it says
//!
//!  dialling ─▶ mailed ─▶ dialling ─▶ handed over ─▶ a report ─▶ sent, or failed
//!
//!  any of these but the last ─▶ cancelling ─▶ cancelled
//! ```
//!
//! Only [`Job::apply`] changes a job. It is `sent` only when the other machine confirmed its
//! last page, `handed over` when a relay took it, and after a crash it is never sent again
//! before the transport was asked what became of it. An off-ramp gets it by mail, which waits
//! in the queue as all mail does; what the off-ramp reports later is the last word.

use std::fmt;
use std::time::Duration;

use mail::Timestamp;
use serde::{Deserialize, Serialize};

/// One fax to one number, as far as it has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Where it stands.
    pub state: State,
    /// How many pages it has.
    pub pages: u32,
    /// How many of them the other machine has confirmed.
    pub confirmed: u32,
    /// What was tried.
    pub counters: Counters,
    /// When it is given up.
    pub expires: Timestamp,
}

/// Where a job stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Sent as soon as its time has come and a line is free.
    Queued {
        /// Not before this.
        due: Timestamp,
    },
    /// Not sent until a person lets it go.
    Held {
        /// Why.
        because: String,
    },
    /// The transport has it and calls.
    Dialling,
    /// The other machine takes pages.
    Sending {
        /// The page under way, from 1.
        page: u32,
    },
    /// An attempt ended without success; there will be another.
    Waiting {
        /// Why it ended.
        reason: Reason,
        /// When the next one begins.
        due: Timestamp,
    },
    /// Its mail to an off-ramp waits in the queue for the next attempt.
    Mailed {
        /// What stood in the way last.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        because: Option<String>,
        /// When to look whether it still waits there.
        due: Timestamp,
    },
    /// Nobody knows whether it was sent: the server stopped in the middle. The transport is
    /// asked; it is not sent again before it has answered.
    Uncertain,
    /// A person cancelled it; the transport was asked to stop.
    Cancelling,
    /// The other machine confirmed the last page.
    Sent,
    /// A relay took it; whether it arrived is not known here unless the relay reports it.
    HandedOver,
    /// It will not be sent.
    Failed {
        /// Why.
        reason: Reason,
    },
    /// A person cancelled it. Pages that were confirmed before have arrived.
    Cancelled,
}

/// Why an attempt, or a job, ended without success.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The line is busy.
    Busy,
    /// Nobody answers.
    NoAnswer,
    /// A voice, or no fax machine.
    NoCarrier,
    /// The call broke off between pages.
    Interrupted,
    /// The transport cannot be reached or has no line.
    TransportDown,
    /// No transport is configured for the account.
    NoTransport,
    /// The transport refuses the number.
    NumberRefused,
    /// The transport refuses the document.
    DocumentRefused,
    /// It waited longer than it may.
    Expired,
    /// After a restart nobody could say what became of it.
    Unknown,
    /// The transport says why, in its own words.
    Told(String),
}

/// What was tried, each kind counted apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// Calls begun.
    pub dials: u32,
    /// Calls in which the other machine answered as one.
    pub tries: u32,
    /// Attempts that ended busy.
    pub busy: u32,
    /// That nobody answered.
    pub no_answer: u32,
    /// That met no fax machine.
    pub no_carrier: u32,
    /// That broke off.
    pub interrupted: u32,
}

/// What happens to a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The transport takes it.
    Started,
    /// The other machine answered and takes this page, from 1.
    Sending(u32),
    /// The other machine has confirmed so many pages in all.
    Confirmed(u32),
    /// The attempt ended.
    Ended(Outcome),
    /// A person cancels it.
    Cancel,
    /// It must wait for a person.
    Hold(String),
    /// A person lets it go.
    Release,
    /// The server starts again.
    Restarted,
    /// There is no transport to give it to.
    Unserved,
    /// The transport is down and another may carry it at once.
    Diverted,
    /// Its mail to an off-ramp waits in the queue; with what stood in the way, if it was tried.
    Mailed(Option<String>),
    /// A relay reports what became of it, after it took it or while nobody knows.
    Reported(Outcome),
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Every page was confirmed.
    Sent,
    /// A relay took it.
    HandedOver,
    /// Not.
    Not(Reason),
    /// The transport stopped it as it was asked to.
    Cancelled,
}

/// How often and when an attempt is repeated after one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Attempts in all that may end this way.
    pub attempts_max: u32,
    /// The wait until the next.
    pub wait: Duration,
}

/// An event that makes no sense in a state. Nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a fax that is {state} cannot {event}")]
pub struct Misplaced {
    state: &'static str,
    event: &'static str,
}

/// Between two looks for a transport.
const UNSERVED_WAIT: Duration = minutes(1);
/// Between two looks whether its mail still waits in the queue.
const MAILED_LOOK: Duration = minutes(1);
/// The longest reason in a transport's own words that is kept, in characters.
pub const TOLD_MAX_CHARS: usize = 300;

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

impl Reason {
    /// How often an attempt that ended this way is repeated; `None` for never.
    pub const fn retry(&self) -> Option<Retry> {
        match self {
            Self::Busy => Some(Retry { attempts_max: 5, wait: minutes(2) }),
            Self::NoAnswer => Some(Retry { attempts_max: 3, wait: minutes(10) }),
            Self::NoCarrier => Some(Retry { attempts_max: 2, wait: minutes(5) }),
            Self::Interrupted => Some(Retry { attempts_max: 3, wait: minutes(2) }),
            // Until it expires: the line will come back, or someone will configure one.
            Self::TransportDown | Self::NoTransport => {
                Some(Retry { attempts_max: u32::MAX, wait: minutes(1) })
            }
            Self::NumberRefused
            | Self::DocumentRefused
            | Self::Expired
            | Self::Unknown
            | Self::Told(_) => None,
        }
    }

    /// A reason in the words of others: one line, at most [`TOLD_MAX_CHARS`] characters.
    pub fn told(words: &str) -> Self {
        let plain = words.chars().map(|c| if c.is_control() { ' ' } else { c });
        let cut: String = plain.take(TOLD_MAX_CHARS).collect();
        Self::Told(cut.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    /// In words for a person.
    pub fn text(&self) -> &str {
        match self {
            Self::Busy => "the line is busy",
            Self::NoAnswer => "nobody answers",
            Self::NoCarrier => "no fax machine answers: a person, or the wrong number",
            Self::Interrupted => "the call broke off",
            Self::TransportDown => "the fax line cannot be reached",
            Self::NoTransport => "no transport is configured, so the fax was not sent",
            Self::NumberRefused => "the fax line refuses the number",
            Self::DocumentRefused => "the fax line refuses the document",
            Self::Expired => "it could not be sent in time",
            Self::Unknown => "the server stopped during the call; whether it arrived is not known",
            Self::Told(words) => words,
        }
    }
}

impl Counters {
    /// Counts an attempt that ended for `reason`; gives how many have ended so in all.
    fn count(&mut self, reason: &Reason) -> u32 {
        let counter = match reason {
            Reason::Busy => &mut self.busy,
            Reason::NoAnswer => &mut self.no_answer,
            Reason::NoCarrier => &mut self.no_carrier,
            Reason::Interrupted => &mut self.interrupted,
            Reason::TransportDown
            | Reason::NoTransport
            | Reason::NumberRefused
            | Reason::DocumentRefused
            | Reason::Expired
            | Reason::Unknown
            | Reason::Told(_) => return 1,
        };
        *counter = counter.saturating_add(1);
        *counter
    }
}

impl State {
    /// The word for it in lists, logs and evidence.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Queued { .. } => "queued",
            Self::Held { .. } => "held",
            Self::Dialling => "dialling",
            Self::Sending { .. } => "sending",
            Self::Waiting { .. } => "waiting",
            Self::Mailed { .. } => "mailed",
            Self::Uncertain => "uncertain",
            Self::Cancelling => "cancelling",
            Self::Sent => "sent",
            Self::HandedOver => "handed over",
            Self::Failed { .. } => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more happens by itself. What was handed over may still be reported on.
    pub const fn is_final(&self) -> bool {
        match self {
            Self::Sent | Self::HandedOver | Self::Failed { .. } | Self::Cancelled => true,
            Self::Queued { .. }
            | Self::Held { .. }
            | Self::Dialling
            | Self::Sending { .. }
            | Self::Waiting { .. }
            | Self::Mailed { .. }
            | Self::Uncertain
            | Self::Cancelling => false,
        }
    }

    /// When something is to be done about it; `None` when nothing, or at once.
    pub const fn due(&self) -> Option<Timestamp> {
        match self {
            Self::Queued { due } | Self::Waiting { due, .. } | Self::Mailed { due, .. } => {
                Some(*due)
            }
            Self::Held { .. }
            | Self::Dialling
            | Self::Sending { .. }
            | Self::Uncertain
            | Self::Cancelling
            | Self::Sent
            | Self::HandedOver
            | Self::Failed { .. }
            | Self::Cancelled => None,
        }
    }

    const fn is_under_way(&self) -> bool {
        matches!(self, Self::Dialling | Self::Sending { .. } | Self::Cancelling)
    }

    /// Whether `event` can be the end of it. What the transport says after a crash is as good
    /// as if it had said it then, and a relay's report may be quicker than its reply.
    fn may_end(&self, event: &Event) -> bool {
        self.is_under_way()
            || matches!(self, Self::Mailed { .. } | Self::Uncertain)
            || (*self == Self::HandedOver && matches!(event, Event::Reported(_)))
    }
}

impl Event {
    const fn word(&self) -> &'static str {
        match self {
            Self::Started => "start",
            Self::Sending(_) => "send a page",
            Self::Confirmed(_) => "have pages confirmed",
            Self::Ended(_) => "end an attempt",
            Self::Cancel => "be cancelled",
            Self::Hold(_) => "be held",
            Self::Release => "be released",
            Self::Restarted => "be restarted",
            Self::Unserved => "be without a transport",
            Self::Diverted => "be given to another transport",
            Self::Mailed(_) => "wait in the mail queue",
            Self::Reported(_) => "be reported on",
        }
    }
}

impl Job {
    /// A job that has its pages and waits for a line.
    pub fn new(pages: u32, due: Timestamp, lifetime: Duration) -> Self {
        Self {
            state: State::Queued { due },
            pages,
            confirmed: 0,
            counters: Counters::default(),
            expires: due.plus(lifetime),
        }
    }

    /// The first page of the next attempt, from 1: what was confirmed is not sent twice.
    pub fn first_page(&self) -> u32 {
        self.confirmed.saturating_add(1).min(self.pages.max(1))
    }

    /// What becomes of the job.
    ///
    /// # Errors
    ///
    /// [`Misplaced`] when the event makes no sense now; the job stays as it is.
    pub fn apply(&self, event: &Event, now: Timestamp) -> Result<Self, Misplaced> {
        let mut next = self.clone();
        next.state = match (&self.state, event) {
            (
                State::Queued { .. } | State::Waiting { .. } | State::Mailed { .. },
                Event::Started,
            ) => {
                if now >= self.expires {
                    State::Failed { reason: Reason::Expired }
                } else {
                    next.counters.dials = next.counters.dials.saturating_add(1);
                    State::Dialling
                }
            }
            // No attempt was made, so none is counted.
            (State::Queued { .. } | State::Waiting { .. }, Event::Unserved) => {
                if now >= self.expires {
                    State::Failed { reason: Reason::Expired }
                } else {
                    let due = now.plus(UNSERVED_WAIT);
                    State::Waiting { reason: Reason::NoTransport, due }
                }
            }
            (State::Dialling, Event::Sending(page)) => {
                next.counters.tries = next.counters.tries.saturating_add(1);
                State::Sending { page: (*page).clamp(1, self.pages.max(1)) }
            }
            (State::Sending { .. }, Event::Sending(page)) => {
                State::Sending { page: (*page).clamp(1, self.pages.max(1)) }
            }
            (
                State::Sending { .. } | State::Cancelling | State::Uncertain,
                Event::Confirmed(pages),
            ) => {
                // Confirmed pages are never unconfirmed.
                next.confirmed = (*pages).clamp(self.confirmed, self.pages);
                self.state.clone()
            }
            (state, Event::Ended(outcome) | Event::Reported(outcome)) if state.may_end(event) => {
                next.end(outcome, now)
            }
            // Nothing was handed over, and another transport is as good.
            (State::Dialling | State::Sending { .. }, Event::Diverted) => {
                State::Waiting { reason: Reason::TransportDown, due: now }
            }
            (State::Dialling, Event::Mailed(because)) => {
                // Where nothing stood in the way nothing was tried, so it is not counted.
                if because.is_none() {
                    next.counters.dials = next.counters.dials.saturating_sub(1);
                }
                State::Mailed { because: because.clone(), due: now.plus(MAILED_LOOK) }
            }
            (State::Dialling | State::Sending { .. } | State::Uncertain, Event::Cancel) => {
                State::Cancelling
            }
            (
                State::Queued { .. }
                | State::Waiting { .. }
                | State::Mailed { .. }
                | State::Held { .. },
                Event::Cancel,
            )
            | (State::Cancelling, Event::Diverted | Event::Mailed(_)) => State::Cancelled,
            (State::Queued { .. } | State::Waiting { .. }, Event::Hold(because)) => {
                State::Held { because: because.clone() }
            }
            (State::Held { .. } | State::Waiting { .. }, Event::Release) => {
                State::Queued { due: now }
            }
            // What a person wanted is not forgotten; the transport is asked, and asked to stop.
            (State::Cancelling, Event::Restarted) => State::Cancelling,
            (state, Event::Restarted) if state.is_under_way() => State::Uncertain,
            (state, Event::Restarted) => state.clone(),
            (state, event) => {
                return Err(Misplaced { state: state.word(), event: event.word() });
            }
        };
        Ok(next)
    }

    /// The state after an attempt ended; counts it.
    fn end(&mut self, outcome: &Outcome, now: Timestamp) -> State {
        let is_cancelled = self.state == State::Cancelling;
        match outcome {
            // It arrived before the wish to cancel did.
            Outcome::Sent => {
                self.confirmed = self.pages;
                State::Sent
            }
            Outcome::HandedOver => State::HandedOver,
            Outcome::Cancelled => State::Cancelled,
            Outcome::Not(_) if is_cancelled => State::Cancelled,
            Outcome::Not(reason) => {
                let ended = self.counters.count(reason);
                match reason.retry() {
                    None => State::Failed { reason: reason.clone() },
                    Some(retry) if ended >= retry.attempts_max => {
                        State::Failed { reason: reason.clone() }
                    }
                    Some(_) if now >= self.expires => State::Failed { reason: Reason::Expired },
                    Some(retry) => {
                        State::Waiting { reason: reason.clone(), due: now.plus(retry.wait) }
                    }
                }
            }
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting { reason, .. } | Self::Failed { reason } => {
                write!(f, "{}: {reason}", self.word())
            }
            Self::Sending { page } => write!(f, "sending page {page}"),
            Self::Held { because } => write!(f, "held: {because}"),
            Self::Mailed { because: Some(because), .. } => write!(f, "mailed: {because}"),
            Self::Queued { .. }
            | Self::Dialling
            | Self::Mailed { because: None, .. }
            | Self::Uncertain
            | Self::Cancelling
            | Self::Sent
            | Self::HandedOver
            | Self::Cancelled => f.write_str(self.word()),
        }
    }
}
