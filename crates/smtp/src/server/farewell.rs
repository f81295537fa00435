//! Why the session itself ends a connection, and its last words.

use mail::Domain;

use super::exchange::{Incident, Timeout};
use crate::reply::Reply;

/// Why the session ends the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Farewell {
    Timeout(Timeout),
    Shutdown,
    TooManyErrors,
    TooManyCommands,
    TooManyMessages,
    TooManyAuthFailures,
    EndlessLine,
    EndlessContent { limit_octets: u64 },
    TooMuchUnread,
    EarlyTalker,
    Http,
    TlsInClear,
    StartTlsInjection,
}

impl Farewell {
    /// The last reply. RFC 5321 section 3.8 has 421 begin with our name.
    pub(super) fn reply(self, host: &Domain) -> Reply {
        let host = host.as_str();
        let closing = |subject, detail, text: &str| {
            Reply::new(421, subject, detail, format!("{host} {text}, closing connection"))
        };
        match self {
            Self::Timeout(Timeout::Idle) => closing(4, 2, "Timeout: nothing came for too long"),
            Self::Timeout(Timeout::Slow) => closing(4, 2, "Timeout: content comes too slowly"),
            Self::Timeout(Timeout::Session) => closing(4, 2, "Timeout: the session is too long"),
            Self::Shutdown => closing(3, 2, "Service is shutting down"),
            Self::TooManyErrors => closing(7, 0, "Too many errors"),
            Self::TooManyCommands => closing(7, 0, "Too many commands without a message"),
            Self::TooManyMessages => closing(7, 0, "Too many messages in one session"),
            Self::TooManyAuthFailures => closing(7, 0, "Too many failed authentications"),
            Self::EndlessLine => closing(7, 0, "A line has no end"),
            Self::EndlessContent { limit_octets } => Reply::new(
                552,
                3,
                4,
                format!("Message is far larger than {limit_octets} octets, closing connection"),
            ),
            Self::TooMuchUnread => closing(7, 0, "Too much input ahead of our replies"),
            Self::EarlyTalker => Reply::new(554, 5, 1, "You spoke before the greeting"),
            Self::Http => closing(7, 0, "This is a mail server, not a web server"),
            Self::TlsInClear => {
                closing(7, 0, "TLS on a port that begins in the clear: use STARTTLS")
            }
            Self::StartTlsInjection => closing(7, 0, "Input after STARTTLS and before TLS"),
        }
    }

    /// What the security log is told.
    pub(super) fn incident(self) -> Option<Incident> {
        match self {
            Self::Timeout(_) | Self::Shutdown | Self::TooManyMessages | Self::TlsInClear => None,
            Self::TooManyErrors | Self::TooManyCommands => Some(Incident::Abuse),
            Self::TooManyAuthFailures => Some(Incident::AuthFailures),
            Self::EndlessLine | Self::EndlessContent { .. } | Self::TooMuchUnread => {
                Some(Incident::Endless)
            }
            Self::EarlyTalker => Some(Incident::EarlyTalker),
            Self::Http => Some(Incident::HttpClient),
            Self::StartTlsInjection => Some(Incident::StartTlsInjection),
        }
    }
}
