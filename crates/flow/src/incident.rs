//! What a client does that counts towards a ban.

/// Something that honest clients do seldom or never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Incident {
    /// A sign-in failed.
    AuthFailure,
    /// Names were tried to find mailboxes.
    RcptScan,
    /// The client spoke before the greeting.
    EarlyTalker,
    /// Commands came ahead of a handshake.
    Pipelining,
    /// A session was ended for its errors.
    Errors,
    /// Mail was addressed to a spamtrap.
    Spamtrap,
    /// A TLS handshake failed.
    BadTls,
    /// More connections came than the rate allows.
    Flood,
}

impl Incident {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::AuthFailure,
        Self::RcptScan,
        Self::EarlyTalker,
        Self::Pipelining,
        Self::Errors,
        Self::Spamtrap,
        Self::BadTls,
        Self::Flood,
    ];

    /// As configuration, log and lists name it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::AuthFailure => "auth-failure",
            Self::RcptScan => "rcpt-scan",
            Self::EarlyTalker => "early-talker",
            Self::Pipelining => "pipelining",
            Self::Errors => "errors",
            Self::Spamtrap => "spamtrap",
            Self::BadTls => "bad-tls",
            Self::Flood => "flood",
        }
    }

    /// How much one counts when nothing else is said. A failed handshake is most often an
    /// old program, and a crowd most often a large office: neither counts.
    pub const fn weight(self) -> u32 {
        match self {
            Self::AuthFailure | Self::Errors => 1,
            Self::EarlyTalker | Self::Pipelining => 2,
            Self::RcptScan => 3,
            Self::Spamtrap => 5,
            Self::BadTls | Self::Flood => 0,
        }
    }
}
