//! How one milter is used.

use std::time::Duration;

use crate::dial::Endpoint;

/// One milter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Milter {
    /// Its name, for rules, logs and evidence.
    pub name: String,
    /// Where it listens.
    pub endpoint: Endpoint,
    /// How long it is waited for.
    pub timeouts: Timeouts,
    /// What happens when it gives no answer.
    pub on_failure: OnFailure,
    /// The longest body it may put in place of another, in octets.
    pub body_max_octets: usize,
}

/// How long a milter is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For its connection.
    pub connect: Duration,
    /// For its answer to a command.
    pub command: Duration,
    /// For its answer to a piece of a message.
    pub content: Duration,
    /// For its answer at the end of a message; each sign of progress begins it anew.
    pub end: Duration,
    /// For everything about one message, whatever progress it reports.
    pub message: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            command: Duration::from_secs(30),
            content: Duration::from_secs(30),
            end: Duration::from_secs(120),
            message: Duration::from_secs(300),
        }
    }
}

/// What a message meets whose milter gives no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFailure {
    /// It goes on without the milter.
    Accept,
    /// The client is told to come again.
    #[default]
    Tempfail,
    /// The client is refused.
    Reject,
    /// It is set aside.
    Quarantine,
}
