//! Actions from words.

use std::time::Duration;

use mail::{Address, Domain, Status};
use smtp::Mechanism;
use tls::Level;

use super::{Problem, WordError, Words};
use crate::action::{Action, IMPLICIT_TLS_PORT, RelayHost, Response, Setting, SignIn, Verdict};

/// The longest text of a reply, a tag or a reason, in octets: with its codes it fits
/// one reply line (RFC 5321 section 4.5.3.1.5).
pub const TEXT_MAX_OCTETS: usize = 400;
/// The longest value of an added header field, in octets: with its name it fits one
/// line (RFC 5322 section 2.1.1).
pub const HEADER_MAX_OCTETS: usize = 900;
/// The longest name of a rate class, in octets.
pub const NAME_MAX_OCTETS: usize = 64;

/// The longest delay of a reply: well under the least a client waits for one (RFC 5321
/// section 4.5.3.2).
pub const TARPIT_MAX_SECS: u64 = 30;

/// The port of a smart host when none is given: submission with STARTTLS (RFC 6409).
pub const RELAY_PORT: u16 = 587;

const ACTIONS: [&str; 18] = [
    "plain-connections",
    "tls-connections",
    "starttls",
    "relay-host",
    "relay-encryption",
    "relay-tls-versions",
    "add-header",
    "remove-header",
    "tag-subject",
    "redirect",
    "add-recipient",
    "rate-class",
    "tarpit",
    "accept",
    "reject",
    "defer",
    "discard",
    "quarantine",
];

/// Reads one action: `reject 550 5.7.10 "Use TLS"`, `relay-encryption required`.
///
/// # Errors
///
/// [`WordError`] names the word at fault.
pub fn parse_action(words: &[&str]) -> Result<Action, WordError> {
    let mut words = Words::new(words);
    let action = match words.word("an action")? {
        "plain-connections" => Action::Set(Setting::PlainConnections(sign_in(&mut words)?)),
        "tls-connections" => Action::Set(Setting::TlsConnections(sign_in(&mut words)?)),
        "starttls" => {
            let choices = [("offered", true), ("on", true), ("off", false)];
            Action::Set(Setting::StartTls(words.one_of("offered or off", &choices)?))
        }
        "relay-host" => Action::Set(Setting::RelayHost(relay_host(&mut words)?)),
        "relay-encryption" => {
            let choices = [
                ("none", Level::None),
                ("opportunistic", Level::Opportunistic),
                ("optional", Level::Opportunistic),
                ("required", Level::Encrypted),
                ("encrypted", Level::Encrypted),
                ("verified", Level::Authenticated),
            ];
            Action::Set(Setting::RelayEncryption(words.one_of("a level", &choices)?))
        }
        "relay-tls-versions" => {
            let mut versions = vec![words.read("a TLS version", str::parse)?];
            while words.peek().is_some() {
                versions.push(words.read("a TLS version", str::parse)?);
            }
            versions.sort_unstable();
            versions.dedup();
            Action::Set(Setting::RelayTlsVersions(versions))
        }
        "add-header" => {
            let name = words.read("the name of a header field", field_name)?;
            let value = words.read("a value", |word| text(word, HEADER_MAX_OCTETS))?;
            Action::Set(Setting::AddHeader { name, value })
        }
        "remove-header" => Action::Set(Setting::RemoveHeader {
            name: words.read("the name of a header field", field_name)?,
        }),
        "tag-subject" => {
            Action::Set(Setting::TagSubject(words.read("a text", |w| text(w, TEXT_MAX_OCTETS))?))
        }
        "redirect" => Action::Set(Setting::Redirect(words.read("an address", Address::parse)?)),
        "add-recipient" => {
            Action::Set(Setting::AddRecipient(words.read("an address", Address::parse)?))
        }
        "rate-class" => Action::Set(Setting::RateClass(words.read("a name", name)?)),
        "tarpit" => Action::Set(Setting::Tarpit(words.read("a time from 1s to 30s", seconds)?)),
        "accept" => Action::Verdict(Verdict::Accept),
        "reject" => Action::Verdict(Verdict::Reject(response(&mut words, 5)?)),
        "defer" => Action::Verdict(Verdict::Defer(response(&mut words, 4)?)),
        "discard" => Action::Verdict(Verdict::Discard),
        "quarantine" => {
            let reason = match words.peek() {
                Some(_) => words.read("a reason", |word| text(word, TEXT_MAX_OCTETS))?,
                None => String::from("Held for review"),
            };
            Action::Verdict(Verdict::Quarantine { reason })
        }
        found => {
            let (found, allowed) = (found.to_owned(), ACTIONS.to_vec());
            let problem = Problem::UnknownAction { found, allowed };
            return Err(WordError { word: 0, problem });
        }
    };
    words.end()?;
    Ok(action)
}

fn sign_in(words: &mut Words<'_>) -> Result<SignIn, WordError> {
    let on = words.one_of(
        "authenticated or not-authenticated",
        &[("authenticated", true), ("not-authenticated", false), ("off", false)],
    )?;
    if !on {
        return Ok(SignIn::Off);
    }
    let mut mechanisms = Vec::new();
    while words.peek().is_some() {
        let mechanism: Mechanism = words.read("a SASL mechanism", |word| {
            let known = Mechanism::ALL.into_iter().find(|m| m.name().eq_ignore_ascii_case(word));
            known.ok_or_else(|| {
                let names = Mechanism::ALL.map(|m| m.name().to_ascii_lowercase());
                format!("write one of {}", names.join(", "))
            })
        })?;
        if !mechanisms.contains(&mechanism) {
            mechanisms.push(mechanism);
        }
    }
    Ok(SignIn::Mechanisms(mechanisms))
}

fn relay_host(words: &mut Words<'_>) -> Result<RelayHost, WordError> {
    let (host, port) =
        words.read("a host and port such as smarthost.example.com:587", host_and_port)?;
    let mut relay = RelayHost {
        host,
        port,
        implicit_tls: port == IMPLICIT_TLS_PORT,
        credentials: None,
        client_certificate: None,
    };
    while words.peek().is_some() {
        #[derive(Clone)]
        enum Option {
            Tls,
            Credentials,
            Certificate,
        }
        let options = [
            ("tls", Option::Tls),
            ("credentials", Option::Credentials),
            ("certificate", Option::Certificate),
        ];
        match words.one_of("an option", &options)? {
            Option::Tls => {
                let choices = [("implicit", true), ("starttls", false)];
                relay.implicit_tls = words.one_of("implicit or starttls", &choices)?;
            }
            Option::Credentials => {
                relay.credentials = Some(words.read("the name of credentials", name)?);
            }
            Option::Certificate => {
                relay.client_certificate = Some(words.read("the name of a certificate", name)?);
            }
        }
    }
    Ok(relay)
}

/// Reads `host`, `host:port`, `192.0.2.1:port`, `[192.0.2.1]:port` or `[2001:db8::1]:port`.
fn host_and_port(word: &str) -> Result<(Domain, u16), String> {
    let (host, port) = match word.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
        Some(_) | None => (word, None),
    };
    let port = match port {
        None => RELAY_PORT,
        Some(port) => match port.parse::<u16>() {
            Ok(port) if port > 0 => port,
            Ok(_) | Err(_) => return Err(format!("\"{port}\" is not a port")),
        },
    };
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    let host = match bare.parse::<std::net::IpAddr>() {
        Ok(ip) => Domain::from(ip),
        Err(_) => Domain::parse(host).map_err(|error| error.to_string())?,
    };
    Ok((host, port))
}

/// `550 5.7.10 "text"`; the code, the status or both may be left out.
fn response(words: &mut Words<'_>, class: u8) -> Result<Response, WordError> {
    let (code, subject, expected, words_of_it) = if class == 5 {
        (550, 1, "a code from 500 to 599", "Refused by policy")
    } else {
        (450, 1, "a code from 400 to 499", "Try again later")
    };
    let mut response =
        Response { code, status: Status::new(class, 7, subject), text: words_of_it.to_owned() };
    let is_code = |word: &str| word.len() == 3 && word.bytes().all(|b| b.is_ascii_digit());
    if words.peek().is_some_and(is_code) {
        response.code = words.read(expected, |word| {
            let code: u16 = word.parse().unwrap_or_default();
            if code / 100 == u16::from(class) { Ok(code) } else { Err("") }
        })?;
    }
    let is_status = |word: &str| word.parse::<Status>().is_ok();
    if words.peek().is_some_and(is_status) {
        response.status =
            words.read("an enhanced status", |word| match word.parse::<Status>() {
                Ok(status) if status.class == class => Ok(status),
                Ok(_) => Err(format!("it must begin with {class}, as the code does")),
                Err(error) => Err(error.to_string()),
            })?;
    }
    if words.peek().is_some() {
        response.text = words.read("a text", |word| text(word, TEXT_MAX_OCTETS))?;
    }
    Ok(response)
}

/// A text for one line: not empty, no control character, at most `max` octets.
fn text(word: &str, max: usize) -> Result<String, String> {
    if word.len() > max {
        return Err(format!("it is longer than {max} octets"));
    }
    if word.is_empty() || word.chars().any(char::is_control) {
        return Err("it must be a line of text".into());
    }
    Ok(word.to_owned())
}

/// Whole seconds, at most [`TARPIT_MAX_SECS`].
fn seconds(word: &str) -> Result<Duration, &'static str> {
    let secs = word.strip_suffix('s').and_then(|digits| digits.parse().ok());
    match secs {
        Some(secs @ 1..=TARPIT_MAX_SECS) => Ok(Duration::from_secs(secs)),
        Some(_) | None => Err(""),
    }
}

/// A name of something in the configuration.
fn name(word: &str) -> Result<String, &'static str> {
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if word.is_empty() || word.len() > NAME_MAX_OCTETS || !word.bytes().all(good) {
        return Err("letters, digits, \"-\", \"_\" and \".\" make a name, at most 64 of them");
    }
    Ok(word.to_owned())
}

/// The name of a header field (RFC 5322 section 2.2).
fn field_name(word: &str) -> Result<String, &'static str> {
    let good = |b: u8| b.is_ascii_graphic() && b != b':';
    if word.is_empty() || word.len() > NAME_MAX_OCTETS || !word.bytes().all(good) {
        return Err("printable ASCII without a colon, at most 64 characters");
    }
    Ok(word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Action, WordError> {
        parse_action(words)
    }

    #[test]
    fn every_action_is_shown_as_it_is_read() {
        for text in [
            "plain-connections not-authenticated",
            "tls-connections authenticated plain login scram-sha-256",
            "tls-connections authenticated",
            "starttls off",
            "starttls offered",
            "relay-host smarthost.example.com:465",
            "relay-host smarthost.example.com:2465 tls implicit credentials smart certificate ours",
            "relay-host [192.0.2.1]:25",
            "relay-host [IPv6:2001:db8::1]:25",
            "relay-encryption none",
            "relay-encryption opportunistic",
            "relay-encryption required",
            "relay-encryption verified",
            "relay-tls-versions 1.2 1.3",
            "remove-header X-Originating-IP",
            "redirect ann@clinic.example",
            "add-recipient journal@clinic.example",
            "rate-class bulk",
            "tarpit 10s",
            "accept",
            "discard",
        ] {
            let words: Vec<_> = text.split(' ').collect();
            let action = read(&words).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(action.to_string(), text);
        }
        for (words, shown) in [
            (&["reject", "550", "5.7.10", "Use TLS"][..], "reject 550 5.7.10 \"Use TLS\""),
            (&["reject", "Say \"please\""], "reject 550 5.7.1 \"Say \\\"please\\\"\""),
            (&["reject"], "reject 550 5.7.1 \"Refused by policy\""),
            (&["defer", "451", "Later"], "defer 451 4.7.1 \"Later\""),
            (&["quarantine"], "quarantine \"Held for review\""),
            (&["add-header", "X-Via", "the gate"], "add-header X-Via \"the gate\""),
            (&["tag-subject", "[EXT]"], "tag-subject \"[EXT]\""),
            (&["relay-host", "192.0.2.1"], "relay-host [192.0.2.1]:587"),
            (&["relay-host", "[2001:db8::1]:465"], "relay-host [IPv6:2001:db8::1]:465"),
            (&["relay-encryption", "optional"], "relay-encryption opportunistic"),
        ] {
            assert_eq!(read(words).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn an_error_points_at_its_word() {
        for (words, word, part) in [
            (&["relay-tls-version", "1.2"][..], 0, "unknown action"),
            (&["relay-tls-versions", "1.3", "1.1"], 2, "RFC 8996"),
            (&["tls-connections", "authenticated", "plan"], 2, "write one of plain"),
            (&["reject", "450", "no"], 1, "a code from 500 to 599"),
            (&["reject", "550", "4.7.1", "no"], 2, "must begin with 5"),
            (&["reject", "550", "5.7.1", "no", "really"], 4, "one word too many"),
            (&["relay-host", "smart:0"], 1, "\"0\" is not a port"),
            (&["relay-encryption"], 1, "missing"),
            (&["accept", "all"], 1, "one word too many"),
            (&["reject", "two\r\nlines"], 1, "a line of text"),
            (&["add-header", "X:Y", "z"], 1, "without a colon"),
            (&["redirect", "nobody"], 1, "not an address"),
        ] {
            let error = read(words).unwrap_err();
            assert_eq!(error.word, word, "{words:?}: {error}");
            assert!(error.to_string().contains(part), "{words:?}: {error}");
        }
        let allowed = read(&["relay-tls-version"]).unwrap_err();
        assert!(allowed.problem.allowed().contains(&"relay-tls-versions"));
    }
}
