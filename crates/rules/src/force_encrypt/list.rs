//! A pasted list of entries: one a line, comments and order kept.

use std::fmt;

use crate::force_encrypt::entry::Entry;
use crate::rule::Origin;

/// The most lines of one list.
pub const LINES_MAX: usize = 1_000_000;
/// The longest line, in octets.
const LINE_MAX_OCTETS: usize = 4_096;

/// A list as it was written, and its entries.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct List {
    text: String,
    entries: Vec<Entry>,
}

/// A line that is no entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct LineError {
    /// The line, from 1.
    pub line: u32,
    /// What is wrong with it, and what was meant where that can be told.
    pub message: String,
}

impl List {
    /// Reads a whole list. `file` names it in the entries' origins; `#` begins a comment.
    ///
    /// # Errors
    ///
    /// Every bad line by its number; then nothing of the list is taken.
    pub fn parse(text: &str, file: &str) -> Result<Self, Vec<LineError>> {
        let mut entries = Vec::new();
        let mut errors = Vec::new();
        for (number, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
            if number as usize > LINES_MAX {
                let message = format!("the list has more than {LINES_MAX} lines");
                errors.push(LineError { line: number, message });
                break;
            }
            match parse_line(line, Origin::new(file, number, 0)) {
                Ok(entry) => entries.extend(entry),
                Err(message) => errors.push(LineError { line: number, message }),
            }
        }
        if errors.is_empty() { Ok(Self { text: text.to_owned(), entries }) } else { Err(errors) }
    }

    /// The entries, in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The same, without the text.
    pub fn into_entries(self) -> Vec<Entry> {
        self.entries
    }
}

impl fmt::Display for List {
    /// The text as it was pasted.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The entry of one line; `None` for a blank one or a comment.
fn parse_line(line: &str, origin: Origin) -> Result<Option<Entry>, String> {
    if line.len() > LINE_MAX_OCTETS {
        return Err(format!("the line is longer than {LINE_MAX_OCTETS} octets"));
    }
    let words = split(line)?;
    if words.is_empty() {
        return Ok(None);
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let entry = Entry::parse(&words, origin).map_err(|error| {
        let second = words.get(1).filter(|_| error.word == 1);
        match second.map(|word| super::Key::parse(word)) {
            Some(Ok(_)) => format!("{error}; write one entry a line"),
            Some(Err(_)) | None => error.to_string(),
        }
    })?;
    Ok(Some(entry))
}

/// Words between blanks and commas, quoted where they hold such, as everywhere in the
/// configuration.
fn split(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut chars = line.chars().peekable();
    loop {
        while chars.next_if(|c| c.is_whitespace() || *c == ',').is_some() {}
        match chars.peek() {
            None | Some('#') => return Ok(words),
            Some('"') => {
                chars.next();
                let mut word = String::new();
                loop {
                    match chars.next() {
                        None => return Err("the quote is not closed".into()),
                        Some('"') => break,
                        Some('\\') => match chars.next() {
                            Some(c @ ('"' | '\\')) => word.push(c),
                            Some(_) | None => return Err("only \\\" and \\\\ are escapes".into()),
                        },
                        Some(c) => word.push(c),
                    }
                }
                words.push(word);
            }
            Some(_) => {
                let mut word = String::new();
                while let Some(c) = chars.next_if(|c| !c.is_whitespace() && *c != ',') {
                    word.push(c);
                }
                words.push(word);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PASTED: &str = "# partners of the clinic\r\n\
        their_domain.com\r\n\
        \r\n\
        204.10.243.26\r\n\
        207.219.44.0/24   # the insurer\r\n\
        bank.example, verified, reason \"Contract, 7\"\r\n";

    #[test]
    fn a_pasted_list_keeps_its_text_and_numbers_its_lines() {
        let list = List::parse(PASTED, "partners.txt").unwrap();
        assert_eq!(list.to_string(), PASTED);
        let seen: Vec<_> =
            list.entries().iter().map(|e| (e.to_string(), e.origin.to_string())).collect();
        assert_eq!(
            seen,
            [
                ("their_domain.com".into(), "partners.txt:2".into()),
                ("204.10.243.26".into(), "partners.txt:4".into()),
                ("207.219.44.0/24".into(), "partners.txt:5".into()),
                (
                    "bank.example verified reason \"Contract, 7\"".to_owned(),
                    "partners.txt:6".to_owned()
                ),
            ]
        );
    }

    #[test]
    fn each_bad_line_is_named_and_nothing_is_taken() {
        let text = "bank.example\n207.219.44.5/24\nclinic.example\na.example b.example\n\"open\n";
        let errors = List::parse(text, "").unwrap_err();
        let shown: Vec<_> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "line 2: \"207.219.44.5/24\" is not a domain, an IP address or a network: \
                 the network is 207.219.44.0/24",
                "line 4: \"b.example\" cannot stand here; write one entry a line",
                "line 5: the quote is not closed",
            ]
        );
    }

    proptest! {
        #[test]
        fn no_list_makes_the_parser_panic(text in "[ -~\\n#\"é]{0,80}") {
            let _ = List::parse(&text, "");
        }
    }
}
