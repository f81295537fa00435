//! The server side of SMTP and LMTP (RFC 5321, RFC 2033).
//!
//! A driver owns socket and policy; this is all it does with a [`Session`]:
//!
//! ```
//! use std::sync::Arc;
//! use smtp::server::{Answer, Channel, Input, Output, Protocol, Question, Session, Settings};
//!
//! let settings = Arc::new(Settings::new("mx.example".parse()?, Protocol::Smtp));
//! let mut session = Session::new(settings.clone(), Channel::Clear);
//! let mut to_write = Vec::new();
//! for input in ["EHLO a.example\r\nMAIL FROM:<ann@a.example>\r\n", "QUIT\r\n"] {
//!     while let Some(output) = session.poll() {
//!         match output {
//!             Output::Reply(reply) => reply.write_to(&mut to_write),
//!             Output::Ask(Question::Hello { .. }) => {
//!                 session.handle(Input::Answer(Answer::Offer(settings.offer())));
//!             }
//!             Output::Ask(_) => session.handle(Input::Answer(Answer::Yes)),
//!             Output::Content(_) | Output::Reset | Output::AuthAbandoned => {}
//!             Output::Security(_) | Output::StartTls | Output::Close => {}
//!         }
//!     }
//!     // Here the driver writes `to_write` in one go, reads, and reports timeouts.
//!     session.handle(Input::Bytes(input.as_bytes()));
//! }
//! assert!(to_write.starts_with(b"220 mx.example ESMTP Mailkeep\r\n250-mx.example\r\n"));
//! assert!(to_write.ends_with(b"250 2.1.0 Ok\r\n"));
//! # Ok::<(), mail::DomainError>(())
//! ```

mod auth;
mod content;
mod data;
mod exchange;
mod farewell;
mod greeting;
mod line;
mod session;
mod settings;
mod speech;
mod state;
mod transaction;

pub use exchange::{Answer, Commit, ContentFacts, Incident, Input, Output, Question, Timeout};
pub use session::{Channel, Session};
pub use settings::{
    AUTH_LINE_MAX_OCTETS, COMMAND_LINE_MAX_OCTETS, CONTENT_OVERRUN_MAX_OCTETS,
    CONTENT_PIECE_MAX_OCTETS, EarlyTalkers, LINE_OVERRUN_MAX_OCTETS, Protocol, Settings,
    UNREAD_MAX_OCTETS,
};
pub use state::Phase;
