//! What a listener sets for its sessions, and the bounds they keep.

use mail::Domain;

use crate::extensions::{Extensions, Limits};

/// The longest command line, in octets with its CRLF. RFC 5321 section 4.5.3.1.4 asks for
/// 512; every extension adds its parameters' lengths.
pub const COMMAND_LINE_MAX_OCTETS: usize = 2_048;
/// The longest line of an AUTH exchange, in octets with its CRLF (RFC 4954 section 4).
pub const AUTH_LINE_MAX_OCTETS: usize = 12_288;
/// How much of an overlong or malformed line is passed over in search of its end, in octets.
pub const LINE_OVERRUN_MAX_OCTETS: usize = 1_048_576;
/// How far content may exceed the size limit and still be read to its end, in octets;
/// beyond it the connection is closed.
pub const CONTENT_OVERRUN_MAX_OCTETS: u64 = 16 * 1_048_576;
/// The largest piece in which content is handed out, in octets.
pub const CONTENT_PIECE_MAX_OCTETS: usize = 65_536;
/// The most input a session keeps while a question is open, in octets. A driver that
/// heeds [`Session::wants_input`](super::Session::wants_input) and reads at most this
/// much at once never meets it.
pub const UNREAD_MAX_OCTETS: usize = 262_144;

/// What a listener sets for its sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Our name, in the greeting and as the domain of `<postmaster>`.
    pub hostname: Domain,
    /// What is spoken.
    pub protocol: Protocol,
    /// What the greeting says after name and protocol.
    pub banner: String,
    /// What happens to a client that speaks before our greeting.
    pub early_talkers: EarlyTalkers,
    /// The largest message, in octets. [`Extensions::size`], where offered with a number, goes before it.
    pub message_max_octets: u64,
    /// The longest line of content, in octets without CRLF (RFC 5322 section 2.1.1 allows 998).
    pub text_line_max_octets: usize,
    /// The most recipients in one transaction; more get 452. [`Limits::rcpt_max`], where
    /// offered, goes before it if it is lower.
    pub recipients_max: u32,
    /// The most transactions in one session; no bound if `None`.
    pub messages_max: Option<u32>,
    /// The most errors since the last accepted message; the next closes the connection.
    pub errors_max: u32,
    /// The most commands since the last accepted message that bring no message nearer (NOOP, RSET,
    /// VRFY, HELP, a second EHLO, an empty BDAT).
    pub idle_commands_max: u32,
    /// The most commands of any kind since the last accepted message.
    pub commands_max: u32,
    /// The most failed authentications; the last closes the connection.
    pub auth_failures_max: u32,
}

/// What is spoken on a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// SMTP (RFC 5321): EHLO or HELO, one reply a message.
    Smtp,
    /// LMTP (RFC 2033): LHLO, one reply a recipient.
    Lmtp,
}

/// What happens to a client that speaks before our greeting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EarlyTalkers {
    /// It is served; the driver is told.
    Serve,
    /// It is refused with 554 and the connection is closed.
    Refuse,
}

impl Settings {
    /// Common settings for a listener called `hostname`.
    pub fn new(hostname: Domain, protocol: Protocol) -> Self {
        Self {
            hostname,
            protocol,
            banner: "Mailkeep".to_owned(),
            early_talkers: EarlyTalkers::Serve,
            message_max_octets: 50 * 1_048_576,
            text_line_max_octets: 998,
            recipients_max: 1_000,
            messages_max: None,
            errors_max: 20,
            idle_commands_max: 100,
            commands_max: 10_000,
            auth_failures_max: 5,
        }
    }

    /// Everything the session can do, as the answer to [`Question::Hello`](super::Question::Hello)
    /// to start from: all but STARTTLS and AUTH, which policy adds. What does not
    /// fit the connection (REQUIRETLS in the clear) the session leaves out by itself.
    pub fn offer(&self) -> Extensions {
        Extensions {
            pipelining: true,
            size: Some(self.message_max_octets),
            eight_bit_mime: true,
            smtputf8: true,
            dsn: true,
            chunking: true,
            binary_mime: true,
            enhanced_status_codes: true,
            starttls: false,
            require_tls: true,
            auth: Vec::new(),
            limits: Limits {
                mail_max: self.messages_max,
                rcpt_max: Some(self.recipients_max),
                rcpt_domain_max: None,
            },
        }
    }
}
