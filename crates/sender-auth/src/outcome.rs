//! The one word that a check comes to.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a check came to, in the words of RFC 8601 section 2.7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// There was nothing to check.
    None,
    /// It is as it should be.
    Pass,
    /// It is not, and the domain says that this means something.
    Fail,
    /// It is probably not (SPF only).
    SoftFail,
    /// Nothing follows from it.
    Neutral,
    /// It holds, but not in a way that is accepted here.
    Policy,
    /// DNS gave no reliable answer. It may be otherwise later.
    TempError,
    /// What the domain publishes or the message carries cannot be understood.
    PermError,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 8] = [
        Self::None,
        Self::Pass,
        Self::Fail,
        Self::SoftFail,
        Self::Neutral,
        Self::Policy,
        Self::TempError,
        Self::PermError,
    ];

    /// The word of RFC 8601.
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::SoftFail => "softfail",
            Self::Neutral => "neutral",
            Self::Policy => "policy",
            Self::TempError => "temperror",
            Self::PermError => "permerror",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}
