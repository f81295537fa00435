//! Providers that fax by HTTPS: what they are asked, and what their answers mean.
//!
//! Every provider has other names for the same few things, so those are configuration: a
//! [`Template`] for each field of the request, and a [`Reading`] of its answers.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use crate::job::{Outcome, Reason};

/// The longest name that a provider may give a fax, in octets.
pub const ID_MAX_OCTETS: usize = 200;
/// The longest template, in octets.
pub const TEMPLATE_MAX_OCTETS: usize = 1_024;

/// The text of one field, with places for what differs: `"{number}"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Slot(Slot),
}

/// What can stand in a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// The number that is called, `+` and digits.
    Number,
    /// The number shown to the other machine.
    Caller,
    /// The sub-address behind the number; empty without one.
    Subaddress,
    /// Where the provider tells what becomes of the fax.
    Callback,
    /// Our name for the attempt.
    Reference,
    /// The billing code; empty without one.
    Billing,
    /// The pages themselves; it stands alone.
    Document,
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Nothing is called so.
    #[error(
        "{{{0}}} is not known; known are: {{number}} {{caller}} {{subaddress}} {{callback}} \
         {{reference}} {{billing}} {{document}}"
    )]
    Unknown(String),
    /// A brace without its other one.
    #[error("a brace is not closed")]
    Open,
    /// The pages are no part of a text.
    #[error("{{document}} stands alone")]
    NotAlone,
    /// It is longer than [`TEMPLATE_MAX_OCTETS`].
    #[error("it is too long")]
    Long,
}

impl Slot {
    const ALL: [(&'static str, Self); 7] = [
        ("number", Self::Number),
        ("caller", Self::Caller),
        ("subaddress", Self::Subaddress),
        ("callback", Self::Callback),
        ("reference", Self::Reference),
        ("billing", Self::Billing),
        ("document", Self::Document),
    ];
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        if text.len() > TEMPLATE_MAX_OCTETS {
            return Err(TemplateError::Long);
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, behind) = after.split_once('}').ok_or(TemplateError::Open)?;
            let slot = Slot::ALL.iter().find(|(known, _)| *known == name);
            let (_, slot) = slot.ok_or_else(|| TemplateError::Unknown(name.to_owned()))?;
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            pieces.push(Piece::Slot(*slot));
            rest = behind;
        }
        if rest.contains('}') {
            return Err(TemplateError::Open);
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        if pieces.contains(&Piece::Slot(Slot::Document)) && pieces.len() > 1 {
            return Err(TemplateError::NotAlone);
        }
        Ok(Self(pieces))
    }
}

impl Template {
    /// Whether the pages stand here.
    pub fn is_document(&self) -> bool {
        self.has(Slot::Document)
    }

    /// Whether `slot` stands somewhere in it.
    pub fn has(&self, slot: Slot) -> bool {
        self.0.contains(&Piece::Slot(slot))
    }

    /// The text, with what `value` says for each place.
    pub fn fill(&self, value: impl Fn(Slot) -> String) -> String {
        let pieces = self.0.iter().map(|piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Slot(slot) => value(*slot),
        });
        pieces.collect()
    }
}

/// What a provider's word for where a fax stands means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// It waits there.
    Queued,
    /// It is being sent.
    Sending,
    /// The other machine has confirmed it.
    Sent,
    /// The line is busy.
    Busy,
    /// Nobody answers.
    NoAnswer,
    /// No fax machine answers.
    NoCarrier,
    /// The call broke off.
    Interrupted,
    /// The provider gave up; its reason says why.
    Failed,
}

/// The text is no [`Meaning`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("write queued, sending, sent, busy, no-answer, no-carrier, interrupted or failed")]
pub struct MeaningError;

impl FromStr for Meaning {
    type Err = MeaningError;

    fn from_str(text: &str) -> Result<Self, MeaningError> {
        Ok(match text {
            "queued" => Self::Queued,
            "sending" => Self::Sending,
            "sent" => Self::Sent,
            "busy" => Self::Busy,
            "no-answer" => Self::NoAnswer,
            "no-carrier" => Self::NoCarrier,
            "interrupted" => Self::Interrupted,
            "failed" => Self::Failed,
            _ => return Err(MeaningError),
        })
    }
}

/// How the answers of a provider are read: where things stand in its JSON (RFC 6901), and
/// what its words mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// Where its name for the fax is.
    pub id: String,
    /// Where the word for its state is.
    pub status: String,
    /// Where it says why it failed.
    pub reason: String,
    /// Where it says how many pages were confirmed.
    pub pages: String,
    /// What the words mean; upper and lower case are the same.
    pub words: BTreeMap<String, Meaning>,
}

/// What a provider says of a fax.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its name for the fax.
    pub id: String,
    /// Where it stands; `None` for a word that nobody has explained.
    pub meaning: Option<Meaning>,
    /// The word itself.
    pub word: String,
    /// Why it failed, in its words.
    pub reason: Option<String>,
    /// How many pages of this attempt are confirmed.
    pub pages: Option<u32>,
}

impl Reading {
    /// Reads an answer; `None` where it names no fax. What lies around the fax in a message of
    /// the provider's own is skipped by `at`, a place in it.
    pub fn read(&self, body: &[u8], at: &str) -> Option<Seen> {
        let whole: Value = serde_json::from_slice(body).ok()?;
        let fax = whole.pointer(at)?;
        let id = text(fax.pointer(&self.id)?)?;
        if id.is_empty() || id.len() > ID_MAX_OCTETS || !id.bytes().all(|b| b.is_ascii_graphic()) {
            return None;
        }
        let word = fax.pointer(&self.status).and_then(text).unwrap_or_default();
        let pages = fax.pointer(&self.pages).and_then(text).and_then(|pages| pages.parse().ok());
        Some(Seen {
            id,
            meaning: self.words.get(&word.to_lowercase()).copied(),
            word,
            reason: fax.pointer(&self.reason).and_then(text).filter(|reason| !reason.is_empty()),
            pages,
        })
    }
}

/// A text, or a number as one.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

impl Seen {
    /// How the attempt ended, if it has. `pages` is how many it had: a fax of which fewer were
    /// confirmed is not sent, whatever the word.
    pub fn outcome(&self, pages: u32) -> Option<Outcome> {
        Some(match self.meaning? {
            Meaning::Queued | Meaning::Sending => return None,
            Meaning::Sent if self.pages.is_some_and(|confirmed| confirmed < pages) => {
                Outcome::Not(Reason::Interrupted)
            }
            Meaning::Sent => Outcome::Sent,
            Meaning::Busy => Outcome::Not(Reason::Busy),
            Meaning::NoAnswer => Outcome::Not(Reason::NoAnswer),
            Meaning::NoCarrier => Outcome::Not(Reason::NoCarrier),
            Meaning::Interrupted => Outcome::Not(Reason::Interrupted),
            Meaning::Failed => {
                let why = self.reason.as_deref().unwrap_or(&self.word);
                Outcome::Not(Reason::told(&format!("the provider gave up: {why}")))
            }
        })
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is \"{}\"", self.id, self.word.escape_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading() -> Reading {
        let words =
            [("done", Meaning::Sent), ("going", Meaning::Sending), ("bad", Meaning::Failed)];
        Reading {
            id: "/id".to_owned(),
            status: "/status".to_owned(),
            reason: "/error/text".to_owned(),
            pages: "/pages".to_owned(),
            words: words.map(|(word, meaning)| (word.to_owned(), meaning)).into(),
        }
    }

    #[test]
    fn a_template_says_what_it_does_not_know() {
        let template: Template = "fax {number} for {billing}.".parse().unwrap();
        assert_eq!(template.fill(|slot| format!("{slot:?}")), "fax Number for Billing.");
        assert!("{document}".parse::<Template>().unwrap().is_document());
        for (text, error) in [
            ("{numbr}", TemplateError::Unknown("numbr".to_owned())),
            ("{number", TemplateError::Open),
            ("number}", TemplateError::Open),
            ("x {document}", TemplateError::NotAlone),
        ] {
            assert_eq!(text.parse::<Template>(), Err(error), "{text}");
        }
    }

    #[test]
    fn an_answer_is_read_where_it_stands_and_garbage_is_none() {
        let read = |body: &str, at: &str| reading().read(body.as_bytes(), at);
        let seen = read(r#"{"data":{"id":7,"status":"DONE","pages":"3"}}"#, "/data").unwrap();
        assert_eq!(
            (seen.id.as_str(), seen.meaning, seen.pages),
            ("7", Some(Meaning::Sent), Some(3))
        );
        assert_eq!(seen.outcome(3), Some(Outcome::Sent));
        assert_eq!(seen.outcome(4), Some(Outcome::Not(Reason::Interrupted)), "a page is missing");
        let seen = read(r#"{"id":"a","status":"strange"}"#, "").unwrap();
        assert_eq!((seen.meaning, seen.outcome(1)), (None, None));
        let failed = read(r#"{"id":"a","status":"bad","error":{"text":"no\nline"}}"#, "").unwrap();
        let Some(Outcome::Not(reason)) = failed.outcome(1) else { panic!("{failed:?}") };
        assert_eq!(reason.to_string(), "the provider gave up: no line");
        for body in ["", "[]", "{", r#"{"id":""}"#, r#"{"id":{}}"#, r#"{"id":"a b"}"#] {
            assert_eq!(read(body, ""), None, "{body}");
        }
    }
}
