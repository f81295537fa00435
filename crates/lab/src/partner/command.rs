//! The commands a partner understands (RFC 5321 section 4.1), read strictly.

/// A command line, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    Ehlo(String),
    Lhlo(String),
    Helo(String),
    StartTls,
    Auth {
        mechanism: String,
        initial: Option<String>,
    },
    Mail {
        path: String,
        parameters: Vec<String>,
    },
    Rcpt {
        path: String,
        parameters: Vec<String>,
    },
    Data,
    Bdat {
        octets: usize,
        last: bool,
    },
    Rset,
    Noop,
    Quit,
    /// Known, and wrongly put.
    Malformed,
    Unknown,
}

pub(super) fn parse(line: &str) -> Command {
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    match verb.to_ascii_uppercase().as_str() {
        "EHLO" => named(rest, Command::Ehlo),
        "LHLO" => named(rest, Command::Lhlo),
        "HELO" => named(rest, Command::Helo),
        "STARTTLS" if rest.is_empty() => Command::StartTls,
        "AUTH" => auth(rest),
        "MAIL" => path("FROM:", rest)
            .map_or(Command::Malformed, |(path, parameters)| Command::Mail { path, parameters }),
        "RCPT" => path("TO:", rest)
            .filter(|(path, _)| !path.is_empty())
            .map_or(Command::Malformed, |(path, parameters)| Command::Rcpt { path, parameters }),
        "DATA" if rest.is_empty() => Command::Data,
        "BDAT" => bdat(rest),
        "RSET" if rest.is_empty() => Command::Rset,
        "NOOP" => Command::Noop,
        "QUIT" if rest.is_empty() => Command::Quit,
        "STARTTLS" | "DATA" | "RSET" | "QUIT" => Command::Malformed,
        _ => Command::Unknown,
    }
}

fn named(rest: &str, make: fn(String) -> Command) -> Command {
    if rest.is_empty() || rest.contains(' ') { Command::Malformed } else { make(rest.to_owned()) }
}

fn auth(rest: &str) -> Command {
    let mut words = rest.split(' ');
    match (words.next(), words.next(), words.next()) {
        (Some(mechanism), initial, None) if !mechanism.is_empty() => Command::Auth {
            mechanism: mechanism.to_ascii_uppercase(),
            initial: initial.map(str::to_owned),
        },
        _ => Command::Malformed,
    }
}

/// `FROM:<path> parameters`; a quoted local part may hold `>` and spaces.
fn path(keyword: &str, rest: &str) -> Option<(String, Vec<String>)> {
    let head = rest.get(..keyword.len())?;
    let bracketed = rest.get(keyword.len()..)?.strip_prefix('<')?;
    if !head.eq_ignore_ascii_case(keyword) {
        return None;
    }
    let mut quoted = false;
    let mut escaped = false;
    let end = bracketed.char_indices().find_map(|(at, c)| {
        let here = c == '>' && !quoted;
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        here.then_some(at)
    })?;
    let path = bracketed[..end].to_owned();
    let parameters = match bracketed[end + 1..].strip_prefix(' ') {
        Some(parameters) => parameters.split(' ').map(str::to_owned).collect(),
        None if bracketed.len() == end + 1 => Vec::new(),
        None => return None,
    };
    if parameters.iter().any(String::is_empty) { None } else { Some((path, parameters)) }
}

fn bdat(rest: &str) -> Command {
    let mut words = rest.split(' ');
    let octets = words.next().and_then(|octets| octets.parse().ok());
    match (octets, words.next(), words.next()) {
        (Some(octets), None, None) => Command::Bdat { octets, last: false },
        (Some(octets), Some(last), None) if last.eq_ignore_ascii_case("LAST") => {
            Command::Bdat { octets, last: true }
        }
        _ => Command::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_with_their_parameters() {
        assert_eq!(
            parse("MAIL FROM:<> SIZE=12 BODY=8BITMIME"),
            Command::Mail {
                path: String::new(),
                parameters: vec!["SIZE=12".into(), "BODY=8BITMIME".into()]
            }
        );
        assert_eq!(
            parse("rcpt to:<\"a> b\\\"\"@partner.test>"),
            Command::Rcpt { path: "\"a> b\\\"\"@partner.test".into(), parameters: Vec::new() }
        );
        for malformed in
            ["MAIL FROM: <a@b>", "MAIL FROM:<a@b>X", "RCPT TO:<>", "MAIL FROM:<a@b", "DATA now"]
        {
            assert_eq!(parse(malformed), Command::Malformed, "{malformed}");
        }
    }

    #[test]
    fn chunks_say_their_size() {
        assert_eq!(parse("BDAT 86 LAST"), Command::Bdat { octets: 86, last: true });
        assert_eq!(parse("BDAT 0"), Command::Bdat { octets: 0, last: false });
        assert_eq!(parse("BDAT -1"), Command::Malformed);
    }
}
