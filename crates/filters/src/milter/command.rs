//! What the MTA says.

use std::net::IpAddr;

use super::codec::CONTENT_MAX_OCTETS;
use super::macros::Stage;
use super::options::Steps;

/// The client of an SMTP connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Its name, or its address in brackets.
    pub name: String,
    /// Its address and port; `None` where there is none.
    pub address: Option<(IpAddr, u16)>,
}

/// One step of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command<'a> {
    /// A client has connected.
    Connect(&'a Client),
    /// HELO or EHLO.
    Helo(&'a str),
    /// MAIL: the path in angle brackets and its parameters.
    Mail(&'a [String]),
    /// RCPT: the path in angle brackets and its parameters.
    Rcpt(&'a [String]),
    /// DATA.
    Data,
    /// A command the server does not know.
    Unknown(&'a str),
    /// A header field.
    Header {
        /// Its name.
        name: &'a str,
        /// Its value.
        value: &'a [u8],
    },
    /// The end of the header.
    EndOfHeader,
    /// A piece of the body, at most [`CONTENT_MAX_OCTETS`].
    Body(&'a [u8]),
    /// The end of the message.
    End,
    /// The message is given up; never answered.
    Abort,
    /// The session is over; never answered.
    Quit,
    /// The session is over, and another client's follows on this connection; never answered.
    QuitNewConnection,
}

impl Command<'_> {
    /// Its letter (`SMFIC_`).
    pub const fn kind(&self) -> u8 {
        match self {
            Self::Connect(_) => b'C',
            Self::Helo(_) => b'H',
            Self::Mail(_) => b'M',
            Self::Rcpt(_) => b'R',
            Self::Data => b'T',
            Self::Unknown(_) => b'U',
            Self::Header { .. } => b'L',
            Self::EndOfHeader => b'N',
            Self::Body(_) => b'B',
            Self::End => b'E',
            Self::Abort => b'A',
            Self::Quit => b'Q',
            Self::QuitNewConnection => b'K',
        }
    }

    /// The stage whose macros go before it.
    pub(super) const fn stage(&self) -> Option<Stage> {
        match self {
            Self::Connect(_) => Some(Stage::Connect),
            Self::Helo(_) => Some(Stage::Helo),
            Self::Mail(_) => Some(Stage::Mail),
            Self::Rcpt(_) => Some(Stage::Rcpt),
            Self::Data => Some(Stage::Data),
            Self::EndOfHeader => Some(Stage::EndOfHeader),
            Self::End => Some(Stage::End),
            Self::Unknown(_)
            | Self::Header { .. }
            | Self::Body(_)
            | Self::Abort
            | Self::Quit
            | Self::QuitNewConnection => None,
        }
    }

    /// The bits that leave it out, and that leave its answer out; `None` where there are none.
    pub(super) const fn steps(&self) -> (Option<Steps>, Option<Steps>) {
        match self {
            Self::Connect(_) => (Some(Steps::NO_CONNECT), Some(Steps::UNANSWERED_CONNECT)),
            Self::Helo(_) => (Some(Steps::NO_HELO), Some(Steps::UNANSWERED_HELO)),
            Self::Mail(_) => (Some(Steps::NO_MAIL), Some(Steps::UNANSWERED_MAIL)),
            Self::Rcpt(_) => (Some(Steps::NO_RCPT), Some(Steps::UNANSWERED_RCPT)),
            Self::Data => (Some(Steps::NO_DATA), Some(Steps::UNANSWERED_DATA)),
            Self::Unknown(_) => (Some(Steps::NO_UNKNOWN), Some(Steps::UNANSWERED_UNKNOWN)),
            Self::Header { .. } => (Some(Steps::NO_HEADERS), Some(Steps::UNANSWERED_HEADER)),
            Self::EndOfHeader => (Some(Steps::NO_EOH), Some(Steps::UNANSWERED_EOH)),
            Self::Body(_) => (Some(Steps::NO_BODY), Some(Steps::UNANSWERED_BODY)),
            Self::End | Self::Abort | Self::Quit | Self::QuitNewConnection => (None, None),
        }
    }

    /// The first version that has it.
    pub(super) const fn since(&self) -> u32 {
        match self {
            Self::Unknown(_) => 3,
            Self::Data => 4,
            Self::QuitNewConnection => 6,
            Self::Connect(_)
            | Self::Helo(_)
            | Self::Mail(_)
            | Self::Rcpt(_)
            | Self::Header { .. }
            | Self::EndOfHeader
            | Self::Body(_)
            | Self::End
            | Self::Abort
            | Self::Quit => 2,
        }
    }

    /// Whether a filter answers it at all.
    pub(super) const fn is_answered(&self) -> bool {
        !matches!(self, Self::Abort | Self::Quit | Self::QuitNewConnection)
    }

    /// What stands in its packet.
    pub(super) fn content(&self) -> Vec<u8> {
        match self {
            Self::Connect(client) => connect(client),
            Self::Helo(name) | Self::Unknown(name) => strings([name.as_bytes()]),
            Self::Mail(arguments) | Self::Rcpt(arguments) => {
                strings(arguments.iter().map(String::as_bytes))
            }
            Self::Header { name, value } => strings([name.as_bytes(), *value]),
            Self::Body(piece) => piece.to_vec(),
            Self::Data
            | Self::EndOfHeader
            | Self::End
            | Self::Abort
            | Self::Quit
            | Self::QuitNewConnection => Vec::new(),
        }
    }
}

fn connect(client: &Client) -> Vec<u8> {
    let mut content = strings([client.name.as_bytes()]);
    match client.address {
        None => content.push(b'U'),
        Some((ip, port)) => {
            let ip = ip.to_canonical();
            content.push(if ip.is_ipv4() { b'4' } else { b'6' });
            content.extend_from_slice(&port.to_be_bytes());
            content.extend(strings([ip.to_string().as_bytes()]));
        }
    }
    content
}

/// Texts, each ended by NUL. A text that would not fit into a packet is cut.
fn strings<'a>(texts: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut content: Vec<u8> = Vec::new();
    for text in texts {
        let room = (CONTENT_MAX_OCTETS - 1).saturating_sub(content.len());
        content.extend(text.iter().take(room).map(|&b| if b == 0 { b' ' } else { b }));
        content.push(0);
    }
    content
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_named_with_its_family_port_and_address() {
        let client = |name: &str, address| Client { name: name.to_owned(), address };
        let v4 = client("mx.example", Some(("::ffff:192.0.2.1".parse().unwrap(), 513)));
        assert_eq!(connect(&v4), b"mx.example\x004\x02\x01192.0.2.1\0");
        let v6 = client("[2001:db8::1]", Some(("2001:db8::1".parse().unwrap(), 25)));
        assert_eq!(connect(&v6), b"[2001:db8::1]\x006\0\x192001:db8::1\0");
        assert_eq!(connect(&client("localhost", None)), b"localhost\0U");
    }

    #[test]
    fn a_value_longer_than_a_packet_is_cut_and_still_ends() {
        let long = vec![b'x'; 2 * CONTENT_MAX_OCTETS];
        let content = Command::Header { name: "X", value: &long }.content();
        assert_eq!((content.len(), content.last()), (CONTENT_MAX_OCTETS, Some(&0)));
    }
}
