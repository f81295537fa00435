//! Commands: what a client says (RFC 5321 section 4.1), read from one line.

use mail::{Address, AddressError, ReversePath};

use crate::parameters::{MailParameters, RcptParameters};
use crate::refusal::Fault;
use crate::secret::Secret;

/// The longest name after EHLO, HELO or LHLO, in octets.
pub const HELLO_NAME_MAX_OCTETS: usize = 255;

/// One command. Whether it may be said now is the session's to judge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// EHLO, HELO or LHLO, and the client's name for itself.
    Hello(Greeting, String),
    /// MAIL FROM.
    Mail(Mail),
    /// RCPT TO.
    Rcpt(Rcpt),
    /// DATA.
    Data,
    /// BDAT (RFC 3030).
    Bdat(Chunk),
    /// RSET.
    Rset,
    /// NOOP.
    Noop,
    /// VRFY and what follows it.
    Vrfy(String),
    /// EXPN.
    Expn,
    /// HELP.
    Help,
    /// QUIT.
    Quit,
    /// STARTTLS (RFC 3207).
    StartTls,
    /// AUTH (RFC 4954): the mechanism's name and the initial response, still in base64.
    Auth {
        /// The mechanism as named by the client.
        mechanism: String,
        /// The initial response, base64; `=` stands for an empty one.
        initial: Option<Secret>,
    },
    /// The first line of a web browser or of a form it was made to post.
    Http,
    /// A line that is no command at all.
    Unknown(String),
}

/// How a client greets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Greeting {
    /// HELO: no extensions.
    Helo,
    /// EHLO.
    Ehlo,
    /// LHLO: LMTP (RFC 2033).
    Lhlo,
}

/// MAIL FROM and its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The reverse-path.
    pub path: ReversePath,
    /// The path as given is not ASCII.
    pub beyond_ascii: bool,
    /// What follows the path.
    pub parameters: MailParameters,
}

/// RCPT TO and its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rcpt {
    /// The forward-path; `None` is `<postmaster>` without a domain (RFC 5321 section 4.5.1).
    pub address: Option<Address>,
    /// The path as given is not ASCII.
    pub beyond_ascii: bool,
    /// What follows the path.
    pub parameters: RcptParameters,
}

/// The announcement of a chunk of content (RFC 3030 section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// How many octets follow the command.
    pub octets: u64,
    /// Whether the message ends with them.
    pub last: bool,
}

impl Command {
    /// Reads one line without its CRLF.
    ///
    /// # Errors
    ///
    /// [`Fault`] says what is wrong with the line.
    pub fn parse(line: &[u8]) -> Result<Self, Fault> {
        let text = std::str::from_utf8(line).map_err(|_| Fault::NotUtf8)?;
        if text.bytes().any(|b| b.is_ascii_control() && b != b'\t') {
            return Err(Fault::ControlCharacter);
        }
        let text = text.trim_end_matches([' ', '\t']);
        let (verb, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
        let rest = rest.trim_start_matches([' ', '\t']);
        let mut upper = [0; VERB_MAX_OCTETS];
        let Some(verb_upper) = to_upper(verb, &mut upper) else {
            return Ok(if is_http(text) { Self::Http } else { Self::Unknown(text.to_owned()) });
        };
        match verb_upper {
            b"EHLO" => parse_hello(Greeting::Ehlo, rest),
            b"HELO" => parse_hello(Greeting::Helo, rest),
            b"LHLO" => parse_hello(Greeting::Lhlo, rest),
            b"MAIL" => parse_mail(rest),
            b"RCPT" => parse_rcpt(rest),
            b"DATA" => alone(rest, Self::Data, "DATA"),
            b"BDAT" => parse_bdat(rest),
            b"RSET" => alone(rest, Self::Rset, "RSET"),
            b"NOOP" => Ok(Self::Noop),
            b"VRFY" if rest.is_empty() => Err(Fault::Syntax("VRFY address")),
            b"VRFY" => Ok(Self::Vrfy(rest.to_owned())),
            b"EXPN" => Ok(Self::Expn),
            b"HELP" => Ok(Self::Help),
            b"QUIT" => alone(rest, Self::Quit, "QUIT"),
            b"STARTTLS" => alone(rest, Self::StartTls, "STARTTLS"),
            b"AUTH" => parse_auth(rest),
            _ if is_http(text) => Ok(Self::Http),
            _ => Ok(Self::Unknown(text.to_owned())),
        }
    }
}

/// The verb in upper case, if it is short enough to be one.
fn to_upper<'a>(verb: &str, buffer: &'a mut [u8; VERB_MAX_OCTETS]) -> Option<&'a [u8]> {
    let upper = buffer.get_mut(..verb.len())?;
    upper.copy_from_slice(verb.as_bytes());
    upper.make_ascii_uppercase();
    Some(upper)
}

/// A request line, or a header a browser sends early. Nothing in SMTP looks like them.
fn is_http(text: &str) -> bool {
    const METHODS: [&str; 7] = ["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "CONNECT"];
    const HEADERS: [&str; 5] =
        ["Host:", "User-Agent:", "Accept:", "Connection:", "Content-Length:"];
    let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
    let begins = |header: &&str| {
        text.get(..header.len()).is_some_and(|start| start.eq_ignore_ascii_case(header))
    };
    (METHODS.contains(&verb) && rest.contains("HTTP/")) || HEADERS.iter().any(begins)
}

fn alone(rest: &str, command: Command, form: &'static str) -> Result<Command, Fault> {
    if rest.is_empty() { Ok(command) } else { Err(Fault::Syntax(form)) }
}

/// Lenient: many clients have names that DNS does not allow, none needs more than these characters.
fn parse_hello(greeting: Greeting, name: &str) -> Result<Command, Fault> {
    let allowed = |c: char| {
        c.is_ascii_alphanumeric() || "-._:[]%".contains(c) || (!c.is_ascii() && c.is_alphanumeric())
    };
    if name.is_empty() || name.len() > HELLO_NAME_MAX_OCTETS || !name.chars().all(allowed) {
        return Err(Fault::HelloName);
    }
    Ok(Command::Hello(greeting, name.to_owned()))
}

fn parse_mail(rest: &str) -> Result<Command, Fault> {
    const FORM: Fault = Fault::Syntax("MAIL FROM:<address> [parameters]");
    let (path, rest) = path_after("FROM:", rest).ok_or(FORM)?;
    let reverse_path = match without_route(path) {
        "" => ReversePath::Null,
        address => ReversePath::Address(Address::parse(address).map_err(Fault::Sender)?),
    };
    Ok(Command::Mail(Mail {
        path: reverse_path,
        beyond_ascii: !path.is_ascii(),
        parameters: MailParameters::parse(rest)?,
    }))
}

fn parse_rcpt(rest: &str) -> Result<Command, Fault> {
    const FORM: Fault = Fault::Syntax("RCPT TO:<address> [parameters]");
    let (path, rest) = path_after("TO:", rest).ok_or(FORM)?;
    let address = match without_route(path) {
        "" => return Err(Fault::Recipient(AddressError::NoLocalPart)),
        name if name.eq_ignore_ascii_case("postmaster") => None,
        address => Some(Address::parse(address).map_err(Fault::Recipient)?),
    };
    Ok(Command::Rcpt(Rcpt {
        address,
        beyond_ascii: !path.is_ascii(),
        parameters: RcptParameters::parse(rest)?,
    }))
}

/// What stands between `<` and `>` after `keyword`, and the text after it. A space
/// between colon and bracket is let pass, as many clients write one.
fn path_after<'a>(keyword: &str, text: &'a str) -> Option<(&'a str, &'a str)> {
    let (start, rest) = text.split_at_checked(keyword.len())?;
    let inner = rest.trim_start_matches(' ').strip_prefix('<')?;
    if !start.eq_ignore_ascii_case(keyword) {
        return None;
    }
    let (mut quoted, mut escaped) = (false, false);
    let end = inner.bytes().position(|byte| match byte {
        _ if escaped => {
            escaped = false;
            false
        }
        b'\\' if quoted => {
            escaped = true;
            false
        }
        b'"' => {
            quoted = !quoted;
            false
        }
        b'>' => !quoted,
        _ => false,
    })?;
    let after = &inner[end + 1..];
    (after.is_empty() || after.starts_with([' ', '\t'])).then_some((&inner[..end], after))
}

/// The mailbox after a source route, which is read and forgotten (RFC 5321 appendix C).
fn without_route(path: &str) -> &str {
    match path.split_once(':') {
        Some((route, mailbox)) if route.starts_with('@') => mailbox,
        Some(_) | None => path,
    }
}

fn parse_bdat(rest: &str) -> Result<Command, Fault> {
    let mut words = rest.split_ascii_whitespace();
    let digits = words.next().filter(|word| word.bytes().all(|b| b.is_ascii_digit()));
    let octets = digits.and_then(|digits| digits.parse().ok()).ok_or(Fault::ChunkSize)?;
    let last = match words.next() {
        None => false,
        Some(word) if word.eq_ignore_ascii_case("LAST") => true,
        Some(_) => return Err(Fault::ChunkSize),
    };
    if words.next().is_some() {
        return Err(Fault::ChunkSize);
    }
    Ok(Command::Bdat(Chunk { octets, last }))
}

fn parse_auth(rest: &str) -> Result<Command, Fault> {
    let mut words = rest.split_ascii_whitespace();
    let mechanism = words.next().ok_or(Fault::Syntax("AUTH mechanism [initial-response]"))?;
    let initial = words.next().map(|word| Secret::from(word.as_bytes().to_vec()));
    if words.next().is_some() {
        return Err(Fault::Syntax("AUTH mechanism [initial-response]"));
    }
    Ok(Command::Auth { mechanism: mechanism.to_owned(), initial })
}

/// The longest verb we know, in octets, and room for the browser's.
const VERB_MAX_OCTETS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mailbox(line: &str) -> Result<String, Fault> {
        match Command::parse(line.as_bytes())? {
            Command::Mail(mail) => Ok(mail.path.to_string()),
            Command::Rcpt(rcpt) => {
                Ok(rcpt.address.map_or("postmaster".to_owned(), |a| a.to_string()))
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn paths_are_read_as_the_standard_writes_them() {
        for (line, expected) in [
            ("MAIL FROM:<>", ""),
            ("mail from:<ann@a.example>", "ann@a.example"),
            ("MAIL FROM: <ann@a.example>  ", "ann@a.example"),
            ("MAIL FROM:<@r.example,@s.example:ann@a.example>", "ann@a.example"),
            ("MAIL FROM:<\"a>b\"@a.example> SIZE=1", "\"a>b\"@a.example"),
            ("MAIL FROM:<\"a\\\">b\"@a.example>", "\"a\\\">b\"@a.example"),
            ("RCPT TO:<Postmaster>", "postmaster"),
            ("RCPT TO:<bob@[192.0.2.1]>", "bob@[192.0.2.1]"),
        ] {
            assert_eq!(mailbox(line).unwrap(), expected, "{line}");
        }
    }

    #[test]
    fn paths_that_are_not_are_refused() {
        for line in [
            "MAIL",
            "MAIL FROM",
            "MAIL FROM:",
            "MAIL FROM:ann@a.example",
            "MAIL FROM:<ann@a.example",
            "MAIL FROM:<ann@a.example>SIZE=1",
            "MAIL TO:<ann@a.example>",
            "MAIL FROM:<ann>",
            "RCPT TO:<>",
            "RCPT TO:<bob@>",
            "RCPT TO:<bob@a.example> NOTIFY=x",
            "MAIL FROM:<<a@b.example>>",
            "MAIL FR\u{e4}M:<>",
        ] {
            assert!(Command::parse(line.as_bytes()).is_err(), "{line}");
        }
    }

    #[test]
    fn a_chunk_needs_a_size_that_can_be_trusted() {
        let chunk = |octets, last| Ok(Command::Bdat(Chunk { octets, last }));
        assert_eq!(Command::parse(b"bdat 10"), chunk(10, false));
        assert_eq!(Command::parse(b"BDAT 0 last "), chunk(0, true));
        for line in [
            "BDAT",
            "BDAT x",
            "BDAT -1",
            "BDAT +1",
            "BDAT 18446744073709551616",
            "BDAT 1 LAS",
            "BDAT 1 LAST x",
            "BDAT LAST",
        ] {
            assert_eq!(Command::parse(line.as_bytes()), Err(Fault::ChunkSize), "{line}");
        }
    }

    #[test]
    fn browsers_are_known_by_their_first_line() {
        for line in [
            "GET / HTTP/1.1",
            "POST /x HTTP/1.0",
            "Host: mx.example",
            "user-agent: x",
            "Content-Length: 5",
        ] {
            assert_eq!(Command::parse(line.as_bytes()), Ok(Command::Http), "{line}");
        }
        assert_eq!(Command::parse(b"GET"), Ok(Command::Unknown("GET".to_owned())));
        let umlaut = Ok(Command::Unknown("MAIL\u{e4} FROM:<>".to_owned()));
        assert_eq!(Command::parse("MAIL\u{e4} FROM:<>".as_bytes()), umlaut);
        assert_eq!(Command::parse(b"HOSTING"), Ok(Command::Unknown("HOSTING".to_owned())));
    }

    #[test]
    fn credentials_do_not_show() {
        let command = Command::parse(b"AUTH PLAIN AGFubgBwYXNz").unwrap();
        assert!(!format!("{command:?}").contains("AGFub"));
    }

    proptest! {
        #[test]
        fn no_line_makes_the_parser_panic(line in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Command::parse(&line);
        }

        #[test]
        fn no_text_after_a_verb_makes_the_parser_panic(
            verb in prop::sample::select(vec!["MAIL FROM:", "RCPT TO:", "BDAT ", "AUTH ", "EHLO ", "MAIL ", ""]),
            rest in "\\PC{0,80}",
        ) {
            let _ = Command::parse(format!("{verb}{rest}").as_bytes());
        }
    }
}
