//! The stages of a message's way in and out, at which facts become known.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A point on a message's way. Facts of a stage are known at it and at every later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The connection is there.
    Connect,
    /// EHLO, HELO or LHLO was said; said again after STARTTLS.
    Hello,
    /// AUTH succeeded, or was not tried.
    Auth,
    /// MAIL: from here on neither TLS nor the signed-in account changes.
    Mail,
    /// RCPT, for one recipient.
    Rcpt,
    /// The whole message is there, for one recipient.
    Data,
    /// The message leaves, for one recipient.
    Relay,
}

impl Stage {
    /// Every stage, in order.
    pub const ALL: [Self; 7] =
        [Self::Connect, Self::Hello, Self::Auth, Self::Mail, Self::Rcpt, Self::Data, Self::Relay];

    /// The word for it in explanations.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Hello => "ehlo",
            Self::Auth => "auth",
            Self::Mail => "mail",
            Self::Rcpt => "rcpt",
            Self::Data => "data",
            Self::Relay => "relay",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}
