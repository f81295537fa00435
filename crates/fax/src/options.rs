//! What a sender may ask for: in the address, in the subject, in header fields.
//!
//! All three speak the same words; [`Options::set`] is their one table. A word that is not
//! known is refused, because a mistyped option must not become a page.

use serde::{Deserialize, Serialize};

/// The longest value of an option, in characters.
pub const VALUE_MAX_CHARS: usize = 60;
/// The most digits of a sub-address (ITU-T T.33 section 5.3).
pub const SUBADDRESS_MAX_DIGITS: usize = 20;
/// How a subject begins to speak to the fax service.
const SUBJECT_TAG: &str = "[fax:";
/// How the names of header fields for the fax service begin.
const FIELD_PREFIX: &str = "x-fax-";

/// What a sender asks for. What is absent is decided by the account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Options {
    /// Whether there is a cover page.
    pub cover: Option<Cover>,
    /// How fine the page is.
    pub resolution: Option<Resolution>,
    /// The size of the page.
    pub paper: Option<Paper>,
    /// The language of the cover page.
    pub language: Option<Language>,
    /// The code that the costs are booked on.
    pub billing: Option<String>,
    /// The person the fax is for.
    pub name: Option<String>,
    /// The company the fax is for.
    pub company: Option<String>,
    /// The sub-address behind the number (ITU-T T.33).
    pub subaddress: Option<String>,
}

/// When there is a cover page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cover {
    /// Always.
    Always,
    /// If the message has text: the text stands on it.
    Text,
    /// Never: text becomes plain pages.
    Never,
}

/// How many rows an inch a page has; columns are always 204 an inch (ITU-T T.4 table 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resolution {
    /// 98 rows an inch.
    Standard,
    /// 196 rows an inch.
    Fine,
    /// 391 rows an inch.
    Superfine,
}

/// The size of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Paper {
    /// 210 by 297 mm.
    A4,
    /// 8.5 by 11 inches.
    Letter,
}

/// The language of cover pages and notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// English.
    En,
    /// French.
    Fr,
}

/// Why an option is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// Nobody knows it.
    #[error("the fax option \"{0}\" is not known; known are: {KNOWN}")]
    Unknown(String),
    /// Its value cannot be.
    #[error("the fax option {name} cannot be \"{value}\": write {expected}")]
    Value {
        /// The option.
        name: &'static str,
        /// What was written.
        value: String,
        /// What could be.
        expected: &'static str,
    },
    /// A subject says `[fax:` and no `]`.
    #[error("the subject begins fax options with \"[fax:\" and does not end them with \"]\"")]
    OpenTag,
}

const KNOWN: &str =
    "cover, nocover, standard, fine, superfine, a4, letter, lang, bill, to, company, t33s";

impl Options {
    /// Sets one option, written `name` or `name=value`, in any case.
    ///
    /// # Errors
    ///
    /// [`OptionError`] when the option or its value is not known.
    pub fn set(&mut self, name: &str, value: Option<&str>) -> Result<(), OptionError> {
        let unknown = || OptionError::Unknown(shortened(name));
        let name = name.trim().to_ascii_lowercase();
        let value = value.map(str::trim);
        match (name.as_str(), value) {
            ("nocover", None) => self.cover = Some(Cover::Never),
            ("cover", None) => self.cover = Some(Cover::Always),
            ("cover", Some(value)) => self.cover = Some(cover(value)?),
            ("standard" | "coarse", None) => self.resolution = Some(Resolution::Standard),
            ("fine", None) => self.resolution = Some(Resolution::Fine),
            ("superfine", None) => self.resolution = Some(Resolution::Superfine),
            ("res" | "resolution", Some(value)) => self.resolution = Some(resolution(value)?),
            ("a4", None) => self.paper = Some(Paper::A4),
            ("letter", None) => self.paper = Some(Paper::Letter),
            ("paper", Some(value)) => self.paper = Some(paper(value)?),
            ("lang" | "language", Some(value)) => self.language = Some(language(value)?),
            ("bill" | "billing" | "billing-code", Some(value)) => {
                self.billing = Some(text("bill", value)?);
            }
            ("to" | "attn", Some(value)) => self.name = Some(text("to", value)?),
            ("company" | "org", Some(value)) => self.company = Some(text("company", value)?),
            ("t33s" | "subaddress", Some(value)) => self.subaddress = Some(subaddress(value)?),
            _ => return Err(unknown()),
        }
        Ok(())
    }

    /// Sets one option written as one word: `nocover`, `bill=1234`.
    ///
    /// # Errors
    ///
    /// As [`Self::set`].
    pub fn set_word(&mut self, word: &str) -> Result<(), OptionError> {
        match word.split_once('=') {
            Some((name, value)) => self.set(name, Some(value)),
            None => self.set(word, None),
        }
    }

    /// Takes the options out of a subject: `Results [fax: nocover bill=1234]`. Gives what
    /// remains of the subject, which may be printed.
    ///
    /// # Errors
    ///
    /// As [`Self::set`], and [`OptionError::OpenTag`].
    pub fn take_from_subject(&mut self, subject: &str) -> Result<String, OptionError> {
        let mut rest = subject;
        let mut plain = String::new();
        while let Some(at) = rest.to_ascii_lowercase().find(SUBJECT_TAG) {
            plain.push_str(&rest[..at]);
            let inside = &rest[at + SUBJECT_TAG.len()..];
            let (tag, after) = inside.split_once(']').ok_or(OptionError::OpenTag)?;
            for word in tag.split([' ', ',', '\t']).filter(|word| !word.is_empty()) {
                self.set_word(word)?;
            }
            rest = after;
        }
        plain.push_str(rest);
        Ok(plain.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    /// Takes an option from a header field, if it is one for the fax service: `X-Fax-Cover`.
    ///
    /// # Errors
    ///
    /// As [`Self::set`].
    pub fn take_from_field(&mut self, name: &str, value: &str) -> Result<(), OptionError> {
        let name = name.to_ascii_lowercase();
        match name.strip_prefix(FIELD_PREFIX) {
            Some(option) => self.set(option, Some(value)),
            None => Ok(()),
        }
    }

    /// These options, and those of `other` where these say nothing.
    #[must_use]
    pub fn or(self, other: &Self) -> Self {
        Self {
            cover: self.cover.or(other.cover),
            resolution: self.resolution.or(other.resolution),
            paper: self.paper.or(other.paper),
            language: self.language.or(other.language),
            billing: self.billing.or_else(|| other.billing.clone()),
            name: self.name.or_else(|| other.name.clone()),
            company: self.company.or_else(|| other.company.clone()),
            subaddress: self.subaddress.or_else(|| other.subaddress.clone()),
        }
    }
}

fn wrong(name: &'static str, value: &str, expected: &'static str) -> OptionError {
    OptionError::Value { name, value: shortened(value), expected }
}

fn cover(value: &str) -> Result<Cover, OptionError> {
    match value.to_ascii_lowercase().as_str() {
        "always" | "yes" => Ok(Cover::Always),
        "text" | "auto" => Ok(Cover::Text),
        "never" | "no" => Ok(Cover::Never),
        _ => Err(wrong("cover", value, "always, text or never")),
    }
}

fn resolution(value: &str) -> Result<Resolution, OptionError> {
    match value.to_ascii_lowercase().as_str() {
        "standard" => Ok(Resolution::Standard),
        "fine" => Ok(Resolution::Fine),
        "superfine" => Ok(Resolution::Superfine),
        _ => Err(wrong("res", value, "standard, fine or superfine")),
    }
}

fn paper(value: &str) -> Result<Paper, OptionError> {
    match value.to_ascii_lowercase().as_str() {
        "a4" => Ok(Paper::A4),
        "letter" => Ok(Paper::Letter),
        _ => Err(wrong("paper", value, "a4 or letter")),
    }
}

fn language(value: &str) -> Result<Language, OptionError> {
    match value.to_ascii_lowercase().as_str() {
        "en" => Ok(Language::En),
        "fr" => Ok(Language::Fr),
        _ => Err(wrong("lang", value, "en or fr")),
    }
}

fn text(name: &'static str, value: &str) -> Result<String, OptionError> {
    let plain = value.replace('_', " ");
    let fits = plain.chars().count() <= VALUE_MAX_CHARS && !plain.chars().any(char::is_control);
    if plain.is_empty() || !fits {
        return Err(wrong(name, value, "1 to 60 characters"));
    }
    Ok(plain)
}

fn subaddress(value: &str) -> Result<String, OptionError> {
    let is_digits = value.bytes().all(|b| b.is_ascii_digit() || b == b'#');
    if value.is_empty() || value.len() > SUBADDRESS_MAX_DIGITS || !is_digits {
        return Err(wrong("t33s", value, "1 to 20 digits"));
    }
    Ok(value.to_owned())
}

/// A text short enough and plain enough for a reply.
fn shortened(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_speaks_to_the_service_and_what_it_says_is_not_printed() {
        let mut options = Options::default();
        let subject = options
            .take_from_subject("Results [fax: NoCover res=superfine bill=1234] of  May")
            .unwrap();
        assert_eq!(subject, "Results of May");
        assert_eq!(options.cover, Some(Cover::Never));
        assert_eq!(options.resolution, Some(Resolution::Superfine));
        assert_eq!(options.billing.as_deref(), Some("1234"));
    }

    #[test]
    fn a_header_field_speaks_to_the_service_too() {
        let mut options = Options::default();
        options.take_from_field("Subject", "x").unwrap();
        options.take_from_field("X-Fax-Paper", "Letter").unwrap();
        options.take_from_field("X-Fax-To", "Anne Anderson").unwrap();
        options.take_from_field("x-fax-language", "fr").unwrap();
        assert_eq!(options.paper, Some(Paper::Letter));
        assert_eq!(options.name.as_deref(), Some("Anne Anderson"));
        assert_eq!(options.language, Some(Language::Fr));
    }

    #[test]
    fn what_is_not_known_is_refused_in_words() {
        let mut options = Options::default();
        for (subject, says) in [
            ("[fax: nocovr]", "the fax option \"nocovr\" is not known"),
            ("[fax: res=ultra]", "cannot be \"ultra\": write standard, fine or superfine"),
            ("[fax: nocover=1]", "\"nocover\" is not known"),
            ("[fax: t33s=12a]", "write 1 to 20 digits"),
            ("[fax: bill=]", "write 1 to 60 characters"),
            ("[fax: nocover", "does not end them"),
        ] {
            let error = options.take_from_subject(subject).unwrap_err().to_string();
            assert!(error.contains(says), "{subject}: {error}");
        }
        assert!(options.take_from_field("X-Fax-Password", "x").is_err());
    }

    #[test]
    fn the_nearer_word_wins() {
        let nearer = Options { paper: Some(Paper::A4), ..Options::default() };
        let further =
            Options { paper: Some(Paper::Letter), cover: Some(Cover::Never), ..Options::default() };
        let both = nearer.or(&further);
        assert_eq!((both.paper, both.cover), (Some(Paper::A4), Some(Cover::Never)));
    }
}
