//! `mailkeep explain …`

use std::io::Read;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use mail::attachment::Scanner;
use mail::header::{Header, HeaderBuffer};
use mail::{Address, Domain, ReversePath};
use rules::{Attachment, HeaderField, MessageFacts};
use tls::Version;

use super::{Global, ask};
use crate::control::explain::{Candidate, Channel, Content, Request};
use crate::control::{Answer, Request as Any, exit};
use crate::fax::judge;

/// A message that might come.
#[derive(Args)]
#[command(after_help = "Examples:\n  \
    mailkeep explain --from ana@partner.example --to dr.lee@clinic.example --tls none\n  \
    mailkeep explain --auth dr.lee@clinic.example --to dr@bank.example message.eml\n  \
    mailkeep explain --candidate new.conf --from ana@partner.example --to dr.lee@clinic.example\n\
    Exit code: 0 when every recipient would be taken, 2 when one would not.")]
pub struct Options {
    /// A message, or - for standard input; without --from and --to, its header says who
    message: Option<PathBuf>,
    /// Who from; "" for the null sender
    #[arg(long, value_name = "ADDRESS")]
    from: Option<String>,
    /// Who to; may be repeated
    #[arg(long, value_name = "ADDRESS")]
    to: Vec<Address>,
    /// From which address
    #[arg(long, value_name = "IP", default_value = "198.51.100.9")]
    client: IpAddr,
    /// The name of that address in DNS
    #[arg(long, value_name = "NAME")]
    client_name: Option<Domain>,
    /// What the client says in EHLO
    #[arg(long, value_name = "NAME", default_value = "client.example")]
    helo: String,
    /// The TLS of the connection [default: the best that the listener has]
    #[arg(long, value_enum)]
    tls: Option<Tls>,
    /// Who has signed in
    #[arg(long, value_name = "ADDRESS")]
    auth: Option<Address>,
    /// What SPF says of the sender, for faxes [default: the running server asks]
    #[arg(long, value_name = "RESULT", value_parser = spf)]
    spf: Option<fax::Spf>,
    /// The address in From, for faxes; that DMARC confirms it is not assumed [default: the
    /// message's]
    #[arg(long, value_name = "ADDRESS")]
    author: Option<Address>,
    /// To which listener [default: one that fits]
    #[arg(long, value_name = "NAME")]
    listener: Option<String>,
    /// How large, where there is no message
    #[arg(long, value_name = "OCTETS", conflicts_with = "message")]
    size: Option<u64>,
    /// Ask this configuration, and not the one in force
    #[arg(long, value_name = "FILE")]
    candidate: Option<PathBuf>,
}

/// `--tls`
#[derive(Clone, Copy, ValueEnum)]
enum Tls {
    /// Not under TLS
    None,
    /// TLS 1.2
    #[value(name = "1.2")]
    Tls12,
    /// TLS 1.3
    #[value(name = "1.3")]
    Tls13,
}

/// The largest message that is read.
const MESSAGE_MAX_OCTETS: u64 = 1024 * 1024 * 1024;

/// Runs the command.
pub fn run(global: &Global, options: Options) -> u8 {
    let answer = match request(options) {
        Ok(request) => ask::answer(global, &Any::Explain(Box::new(request))),
        Err(failure) => failure,
    };
    ask::print(global, &answer)
}

fn request(options: Options) -> Result<Request, Answer> {
    let message = options.message.as_deref().map(Message::read).transpose()?;
    let from = match (&options.from, &message) {
        (Some(text), _) => sender(text)?,
        (None, Some(message)) => message.sender(),
        (None, None) => {
            return Err(Answer::failure(
                exit::USAGE,
                "Say who it comes from: --from, or a message.",
            ));
        }
    };
    let to = match &message {
        Some(message) if options.to.is_empty() => message.recipients(),
        Some(_) | None => options.to,
    };
    if to.is_empty() {
        return Err(Answer::failure(exit::USAGE, "Say who it goes to: --to."));
    }
    Ok(Request {
        from,
        to,
        client: options.client,
        client_name: options.client_name,
        helo: options.helo,
        channel: match options.tls {
            None => Channel::Best,
            Some(Tls::None) => Channel::Plain,
            Some(Tls::Tls12) => Channel::Tls(Version::Tls12),
            Some(Tls::Tls13) => Channel::Tls(Version::Tls13),
        },
        authenticated: options.auth,
        spf: options.spf,
        authors: match (options.author, &message) {
            (Some(author), _) => Some(vec![author.domain().clone()]),
            (None, Some(message)) => Some(message.authors.clone()),
            (None, None) => None,
        },
        listener: options.listener,
        message: message.map(|message| message.content),
        size_octets: options.size,
        candidate: options.candidate.as_deref().map(candidate).transpose()?,
    })
}

fn spf(text: &str) -> Result<fax::Spf, String> {
    fax::Spf::parse(text).ok_or_else(|| {
        "write none, neutral, pass, fail, softfail, temperror or permerror".to_owned()
    })
}

fn sender(text: &str) -> Result<ReversePath, Answer> {
    let bare = text.trim().trim_start_matches('<').trim_end_matches('>');
    ReversePath::try_from(bare.to_owned())
        .map_err(|error| Answer::failure(exit::USAGE, format!("--from {text}: {error}")))
}

fn candidate(file: &Path) -> Result<Candidate, Answer> {
    let unreadable = |error: std::io::Error| {
        Answer::failure(exit::NO_INPUT, format!("{} cannot be read: {error}", file.display()))
    };
    let text = std::fs::read_to_string(file).map_err(unreadable)?;
    // The server may stand in another folder.
    let path = std::path::absolute(file).map_err(unreadable)?;
    Ok(Candidate { path, text })
}

/// A message that was read: what is asked about, and the fields that name people.
struct Message {
    content: Content,
    senders: String,
    authors: Vec<Domain>,
    people: String,
}

impl Message {
    fn read(file: &Path) -> Result<Self, Answer> {
        let name = if file == Path::new("-") {
            "standard input".into()
        } else {
            file.display().to_string()
        };
        let mut octets = Vec::new();
        let read = if file == Path::new("-") {
            std::io::stdin().take(MESSAGE_MAX_OCTETS).read_to_end(&mut octets)
        } else {
            std::fs::File::open(file)
                .and_then(|f| f.take(MESSAGE_MAX_OCTETS).read_to_end(&mut octets))
        };
        read.map_err(|error| {
            Answer::failure(exit::NO_INPUT, format!("{name} cannot be read: {error}"))
        })?;
        Self::of(&as_sent(&octets))
            .map_err(|error| Answer::failure(exit::FOUND, format!("{name}: {error}")))
    }

    fn of(octets: &[u8]) -> Result<Self, mail::header::HeaderError> {
        let mut buffer = HeaderBuffer::default();
        buffer.push(octets);
        let header = buffer.header()?;
        let mut scanner = Scanner::new();
        scanner.push(octets);
        let attachments = scanner.finish().attachments.into_iter().map(|found| Attachment {
            name: found.name,
            media_type: found.media_type,
            size_octets: found.octets,
        });
        let headers = header
            .fields()
            .map(|field| HeaderField { name: field.name().to_owned(), value: field.text() });
        let facts = MessageFacts {
            size_octets: octets.len() as u64,
            subject: header.first("Subject").map(|_| header.subject()),
            headers: headers.collect(),
            attachments: attachments.collect(),
        };
        let content = Content {
            facts,
            header_octets: header.as_bytes().len() as u64,
            hops: header.received_count(),
        };
        let all = |names: &[&str]| -> String {
            let fields = names.iter().flat_map(|name| values(&header, name));
            fields.collect::<Vec<_>>().join(", ")
        };
        let senders = all(&["Return-Path", "Sender", "From"]);
        let authors = judge::authors(&header);
        Ok(Self { content, senders, authors, people: all(&["To", "Cc", "Bcc"]) })
    }

    /// The first address that its sender fields name.
    fn sender(&self) -> ReversePath {
        let first = addresses(&self.senders).into_iter().next();
        first.map_or(ReversePath::Null, ReversePath::Address)
    }

    fn recipients(&self) -> Vec<Address> {
        let mut found = addresses(&self.people);
        let mut seen = std::collections::HashSet::new();
        found.retain(|address| seen.insert(address.clone()));
        found
    }
}

fn values(header: &Header<'_>, name: &str) -> Vec<String> {
    header.all(name).map(|field| field.value().into_owned()).collect()
}

/// The message with the line ends of a transmission.
fn as_sent(octets: &[u8]) -> Vec<u8> {
    let mut sent = Vec::with_capacity(octets.len());
    let mut before = 0;
    for &octet in octets {
        if octet == b'\n' && before != b'\r' {
            sent.push(b'\r');
        }
        sent.push(octet);
        before = octet;
    }
    sent
}

/// The addresses in a list of mailboxes (RFC 5322 section 3.4): what stands in angle
/// brackets, or alone between commas. Comments, names and groups are passed over.
fn addresses(list: &str) -> Vec<Address> {
    let mut found = Vec::new();
    let mut part = String::new();
    let (mut quoted, mut comment) = (false, 0_u32);
    for c in list.chars().chain([',']) {
        match c {
            '"' if comment == 0 => {
                quoted = !quoted;
                part.push(c);
            }
            '(' if !quoted => comment += 1,
            ')' if !quoted => comment = comment.saturating_sub(1),
            _ if comment > 0 => {}
            ',' | ';' if !quoted => {
                let inner = part.rsplit_once('<').map_or(part.as_str(), |(_, rest)| rest);
                let inner = inner.trim().trim_end_matches('>').trim();
                let bare = inner.rsplit_once(':').map_or(inner, |(_, rest)| rest.trim());
                found.extend(Address::parse(bare).ok());
                part.clear();
            }
            c => part.push(c),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_among_names_comments_and_groups() {
        let list = "Ann Lee <ann@clinic.example>, \"Lee, Bob\" <bob@clinic.example>, \
                    cy@clinic.example (Cy, of course), Staff: dee@clinic.example;, nobody";
        let found: Vec<String> = addresses(list).iter().map(Address::to_string).collect();
        assert_eq!(found, ["ann", "bob", "cy", "dee"].map(|name| format!("{name}@clinic.example")));
    }

    #[test]
    fn a_message_is_read_with_the_line_ends_of_a_transmission() {
        let text = b"From: ann@clinic.example\nTo: bob@partner.example\nSubject: x\n\nhi\r\n";
        let message = Message::of(&as_sent(text)).unwrap();
        assert_eq!(message.content.facts.size_octets, text.len() as u64 + 4);
        assert_eq!(message.content.facts.subject.as_deref(), Some("x"));
        assert_eq!(message.sender().to_string(), "ann@clinic.example");
        assert_eq!(message.recipients().len(), 1);
    }
}
