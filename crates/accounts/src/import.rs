//! Many accounts at once, from and to comma-separated values (RFC 4180).
//!
//! ```text
//! address,kind,password,targets,disabled
//! ann@clinic.example,person,open sesame please,,
//! scanner@clinic.example,service,,,
//! office@clinic.example,alias,,ann@clinic.example,
//! staff@clinic.example,group,,ann@clinic.example bob@clinic.example,
//! ```
//!
//! The first line names the columns, in any order; only `address` must be there. Everything is
//! checked before anything is made, and every mistake is told with its line.

use std::collections::{BTreeMap, HashMap};

use mail::Address;

use crate::directory::{Directory, Entry, Kind, MEMBERS_MAX};
use crate::password::{Password, PasswordHash};

/// Lines of one file.
pub const LINES_MAX: usize = 20_000;
/// Octets of one field.
pub const FIELD_MAX_OCTETS: usize = 64 * 1024;

/// The columns there are.
pub const COLUMNS: [&str; 6] =
    ["address", "kind", "password", "password-hash", "targets", "disabled"];

/// One line that can be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// Its line.
    pub line: usize,
    /// The new address.
    pub address: Address,
    /// What it is to be.
    pub what: What,
}

/// What a new address is to be.
#[derive(Clone, PartialEq, Eq)]
pub enum What {
    /// An account.
    Account {
        /// Whose.
        kind: Kind,
        /// How it signs in.
        secret: Secret,
        /// Nobody signs in, and nothing is delivered.
        disabled: bool,
    },
    /// Another name.
    Alias(Address),
    /// A name for many.
    Group(Vec<Address>),
}

/// How a new account signs in.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// It cannot.
    None,
    /// By this password, which is to be hashed.
    Password(zeroize::Zeroizing<String>),
    /// By the password of this hash.
    Hash(PasswordHash),
}

/// A mistake, and the line it stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub text: String,
}

/// What a file asks for, or all that is wrong with it.
///
/// # Errors
///
/// Every mistake, in the order of the lines.
pub fn plan(
    text: &str,
    directory: &Directory,
    length_min: usize,
) -> Result<Vec<Planned>, Vec<Mistake>> {
    let mut mistakes = Vec::new();
    let (rows, broken) = rows(text);
    mistakes.extend(broken);
    let mut rows = rows.into_iter();
    let Some((line, names)) = rows.next() else {
        mistakes.push(Mistake { line: 1, text: "the file is empty".to_owned() });
        return Err(mistakes);
    };
    let columns = match columns(&names) {
        Ok(columns) => columns,
        Err(text) => {
            mistakes.push(Mistake { line, text });
            return Err(mistakes);
        }
    };
    let mut planned: Vec<Planned> = Vec::new();
    let mut lines: HashMap<String, usize> = HashMap::new();
    for (line, fields) in rows {
        let mut wrong = |text: String| mistakes.push(Mistake { line, text });
        if fields.len() != names.len() {
            wrong(format!("{} fields, where the first line names {}", fields.len(), names.len()));
            continue;
        }
        let field = |name: &str| {
            columns.get(name).and_then(|at| fields.get(*at)).map_or("", String::as_str).trim()
        };
        let address = match Address::parse(field("address")) {
            Ok(address) => address,
            Err(error) => {
                wrong(format!("{:?} is no address: {error}", field("address")));
                continue;
            }
        };
        if !directory.is_ours(address.domain()) {
            wrong(format!("{} is not a domain of this server", address.domain()));
        } else if directory.entry(&address).is_some() {
            wrong(format!("{address} is there already"));
        }
        if let Some(first) = lines.insert(address.to_key(), line) {
            wrong(format!("{address} stands in line {first} too"));
        }
        match what(&field, &address, length_min) {
            Ok(what) => planned.push(Planned { line, address, what }),
            Err(texts) => texts.into_iter().for_each(wrong),
        }
    }
    for Planned { line, what, .. } in &planned {
        let targets = match what {
            What::Account { .. } => &[][..],
            What::Alias(target) => std::slice::from_ref(target),
            What::Group(members) => members,
        };
        for target in targets {
            let known = lines.contains_key(&target.to_key())
                || !directory.is_ours(target.domain())
                || directory.resolve(target).refusal().is_none();
            if !known {
                let text = format!("there is no account {target}, here or in this file");
                mistakes.push(Mistake { line: *line, text });
            }
        }
    }
    mistakes.sort_by_key(|mistake| mistake.line);
    if mistakes.is_empty() { Ok(in_order(planned)) } else { Err(mistakes) }
}

/// Accounts before aliases before groups, so that what is pointed at is there. Aliases of
/// aliases are made by trying again.
fn in_order(mut planned: Vec<Planned>) -> Vec<Planned> {
    planned.sort_by_key(|planned| match planned.what {
        What::Account { .. } => 0,
        What::Alias(_) => 1,
        What::Group(_) => 2,
    });
    planned
}

fn what<'a>(
    field: &impl Fn(&str) -> &'a str,
    address: &Address,
    length_min: usize,
) -> Result<What, Vec<String>> {
    let mut wrong = Vec::new();
    let mut targets = Vec::new();
    for word in field("targets").split([' ', ';']).filter(|word| !word.is_empty()) {
        match Address::parse(word) {
            Ok(target) => targets.push(target),
            Err(error) => wrong.push(format!("{word:?} is no address: {error}")),
        }
    }
    let secret = match (field("password"), field("password-hash")) {
        ("", "") => Secret::None,
        ("", hash) => match PasswordHash::parse(hash) {
            Ok(hash) => Secret::Hash(hash),
            Err(error) => {
                wrong.push(error.to_string());
                Secret::None
            }
        },
        (text, "") => {
            if let Err(error) = Password::choose(text, address, length_min) {
                wrong.push(error.to_string());
            }
            Secret::Password(zeroize::Zeroizing::new(text.to_owned()))
        }
        (_, _) => {
            wrong.push("a password and a hash cannot both be given".to_owned());
            Secret::None
        }
    };
    let disabled = match field("disabled") {
        "" | "no" | "false" | "0" => false,
        "yes" | "true" | "1" => true,
        other => {
            wrong.push(format!("disabled is yes or no, not {other:?}"));
            false
        }
    };
    let kind = field("kind");
    let is_name = matches!(kind, "alias" | "group");
    if is_name && (secret != Secret::None || disabled) {
        wrong.push(format!("an {kind} has no password and cannot be disabled"));
    }
    if !is_name && !targets.is_empty() {
        wrong.push("only an alias or a group has targets".to_owned());
    }
    let account = |kind| What::Account { kind, secret: secret.clone(), disabled };
    let what = match kind {
        "" | "person" => Some(account(Kind::Person)),
        "service" => Some(account(Kind::Service)),
        "alias" => match &targets[..] {
            [target] => Some(What::Alias(target.clone())),
            _ => {
                wrong.push(format!("an alias has one target, not {}", targets.len()));
                None
            }
        },
        "group" => {
            if targets.is_empty() || targets.len() > MEMBERS_MAX {
                wrong.push(format!("a group has 1 to {MEMBERS_MAX} targets"));
            }
            Some(What::Group(targets))
        }
        other => {
            wrong.push(format!("kind is person, service, alias or group, not {other:?}"));
            None
        }
    };
    match what {
        Some(what) if wrong.is_empty() => Ok(what),
        Some(_) | None => Err(wrong),
    }
}

fn columns(names: &[String]) -> Result<BTreeMap<&str, usize>, String> {
    let mut columns = BTreeMap::new();
    for (at, name) in names.iter().enumerate() {
        let name = name.trim();
        if !COLUMNS.contains(&name) {
            let known = COLUMNS.join(", ");
            return Err(format!("there is no column {name:?}; there are {known}"));
        }
        if columns.insert(name, at).is_some() {
            return Err(format!("the column {name} is there twice"));
        }
    }
    if columns.contains_key("address") {
        Ok(columns)
    } else {
        Err("the first line names no column \"address\"".to_owned())
    }
}

/// The rows with the lines they begin in, and what cannot be read.
fn rows(text: &str) -> (Vec<(usize, Vec<String>)>, Vec<Mistake>) {
    let (mut rows, mut mistakes) = (Vec::new(), Vec::new());
    let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
    let (mut line, mut begun) = (1, 1);
    let mut chars = text.strip_prefix('\u{feff}').unwrap_or(text).chars().peekable();
    let mut flush = |fields: &mut Vec<String>, field: &mut String, begun: usize| {
        fields.push(std::mem::take(field));
        let row = std::mem::take(fields);
        if row.iter().any(|field| !field.trim().is_empty()) {
            rows.push((begun, row));
        }
    };
    while let Some(c) = chars.next() {
        if line > LINES_MAX || field.len() > FIELD_MAX_OCTETS {
            let text =
                format!("a file has at most {LINES_MAX} lines, a field {FIELD_MAX_OCTETS} octets");
            mistakes.push(Mistake { line, text });
            break;
        }
        match (c, quoted) {
            ('"', true) if chars.peek() == Some(&'"') => {
                field.push('"');
                chars.next();
            }
            ('"', true) => quoted = false,
            ('"', false) if field.is_empty() => quoted = true,
            (',', false) => fields.push(std::mem::take(&mut field)),
            ('\r', false) if chars.peek() == Some(&'\n') => {}
            ('\n', false) => {
                flush(&mut fields, &mut field, begun);
                line += 1;
                begun = line;
            }
            (other, _) => {
                line += usize::from(other == '\n');
                field.push(other);
            }
        }
    }
    if quoted {
        mistakes.push(Mistake { line: begun, text: "a quote is not closed".to_owned() });
    }
    flush(&mut fields, &mut field, begun);
    (rows, mistakes)
}

/// All entries in the form that [`plan`] reads, without secrets.
pub fn export(entries: &[Entry]) -> String {
    let mut text = "address,kind,targets,disabled\r\n".to_owned();
    for entry in entries {
        let (kind, targets, disabled) = match entry {
            Entry::Account(account) => {
                let kind = match account.kind {
                    Kind::Person => "person",
                    Kind::Service => "service",
                };
                (kind, String::new(), if account.disabled { "yes" } else { "no" })
            }
            Entry::Alias(alias) => ("alias", alias.target.to_string(), ""),
            Entry::Group(group) => {
                let members: Vec<String> = group.members.iter().map(Address::to_string).collect();
                ("group", members.join(" "), "")
            }
        };
        let fields = [&entry.address().to_string(), kind, &targets, disabled].map(quoted);
        text.push_str(&fields.join(","));
        text.push_str("\r\n");
    }
    text
}

fn quoted(field: &str) -> String {
    if field.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "Secret::None",
            Self::Password(_) => "Secret::Password(...)",
            Self::Hash(_) => "Secret::Hash(...)",
        })
    }
}

impl std::fmt::Debug for What {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Account { kind, disabled, .. } => {
                f.debug_struct("Account").field("kind", kind).field("disabled", disabled).finish()
            }
            Self::Alias(target) => f.debug_tuple("Alias").field(target).finish(),
            Self::Group(members) => f.debug_tuple("Group").field(members).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quotes_blanks_and_line_ends_are_read_as_in_rfc_4180() {
        let text = "\u{feff}a,b\r\n\"x,\"\"y\"\"\nz\", w\r\n\r\nlast,";
        let (rows, mistakes) = rows(text);
        assert!(mistakes.is_empty());
        let row = |line, fields: [&str; 2]| (line, fields.map(str::to_owned).to_vec());
        let expected = [row(1, ["a", "b"]), row(2, ["x,\"y\"\nz", " w"]), row(5, ["last", ""])];
        assert_eq!(rows, expected);
        assert_eq!(super::rows("a,\"b").1.len(), 1);
    }

    proptest! {
        #[test]
        fn what_is_quoted_is_read_again(fields in proptest::collection::vec("[a-z\",\r\n ]{1,8}x", 1..5)) {
            let line = fields.iter().map(|field| quoted(field)).collect::<Vec<_>>().join(",");
            let (rows, mistakes) = rows(&line);
            prop_assert!(mistakes.is_empty());
            prop_assert_eq!(&rows[0].1, &fields);
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in any::<String>()) {
            let _ = rows(&text);
        }
    }
}
