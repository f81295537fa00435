//! Templates of cover pages.
//!
//! A template is lines, each of them one of:
//!
//! ```text
//! title LEFT | RIGHT      large, at both sides
//! field LABEL | VALUE     left out where the value is empty
//! rule                    a line across
//! body                    the text of the message begins here
//! notice TEXT             small, at the foot of the page
//! # ...                   a comment
//! ```
//!
//! In texts `{to}` and the other [`Fields`] stand for their values.

use crate::options::Language;
use crate::work::Fields;

/// A template of a cover page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// What stands on the page, from its head to its foot; at most [`LINES_MAX`].
    pub lines: Vec<Line>,
}

/// A line of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// Large, at the left and at the right.
    Title(String, String),
    /// A label and a value.
    Field(String, String),
    /// A line across.
    Rule,
    /// The text of the message begins here.
    Body,
    /// Small, at the foot of the page.
    Notice(String),
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the cover page: {why}")]
pub struct TemplateError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: String,
}

/// The most lines of a template.
pub const LINES_MAX: usize = 60;

const ENGLISH: &str = "\
title {organisation} | FAX
rule
field To | {to}
field Company | {company}
field Fax number | {number}
field From | {from}
field Our fax | {from_number}
field Date | {date}
field Pages | {pages}
field Subject | {subject}
field Billing code | {billing}
rule
body
notice {notice}
";

const FRENCH: &str = "\
title {organisation} | TÉLÉCOPIE
rule
field À | {to}
field Société | {company}
field Télécopieur | {number}
field De | {from}
field Notre télécopieur | {from_number}
field Date | {date}
field Pages | {pages}
field Objet | {subject}
field Code de facturation | {billing}
rule
body
notice {notice}
";

/// What is said about confidentiality where the account says nothing else.
pub const fn confidentiality(language: Language) -> &'static str {
    match language {
        Language::En => {
            "CONFIDENTIAL. This fax is for the person named above only and may contain protected \
             information. If you have received it in error, please tell the sender at once and \
             destroy it. Do not read, copy or pass it on."
        }
        Language::Fr => {
            "CONFIDENTIEL. Cette télécopie est destinée uniquement à la personne nommée ci-dessus \
             et peut contenir des renseignements protégés. Si vous l'avez reçue par erreur, veuillez \
             en informer l'expéditeur sans délai et la détruire, sans la lire, la copier ni la \
             transmettre."
        }
    }
}

impl Template {
    /// The template of a language.
    ///
    /// # Errors
    ///
    /// Never; the type is that of [`Self::parse`].
    pub fn of(language: Language) -> Result<Self, TemplateError> {
        Self::parse(match language {
            Language::En => ENGLISH,
            Language::Fr => FRENCH,
        })
    }

    /// Reads a template.
    ///
    /// # Errors
    ///
    /// [`TemplateError`] names the line that is wrong.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut lines = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let wrong = |why: &str| TemplateError { line: number + 1, why: why.to_owned() };
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            let rest = rest.trim();
            let halves = || rest.split_once('|').map(|(a, b)| (a.trim().into(), b.trim().into()));
            check_fields(rest).map_err(|why| wrong(&why))?;
            lines.push(match word {
                "title" => {
                    let (left, right) =
                        halves().ok_or_else(|| wrong("write title LEFT | RIGHT"))?;
                    Line::Title(left, right)
                }
                "field" => {
                    let (label, value) =
                        halves().ok_or_else(|| wrong("write field LABEL | VALUE"))?;
                    Line::Field(label, value)
                }
                "rule" if rest.is_empty() => Line::Rule,
                "body" if rest.is_empty() => Line::Body,
                "notice" => Line::Notice(rest.to_owned()),
                _ => return Err(wrong("write title, field, rule, body or notice")),
            });
            if lines.len() > LINES_MAX {
                return Err(wrong(&format!("there are more than {LINES_MAX} lines")));
            }
        }
        Ok(Self { lines })
    }
}

const NAMES: [&str; 11] = [
    "to",
    "company",
    "number",
    "from",
    "organisation",
    "from_number",
    "date",
    "pages",
    "subject",
    "billing",
    "notice",
];

fn check_fields(text: &str) -> Result<(), String> {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('{') {
        let (name, next) = after.split_once('}').ok_or("a { has no }")?;
        if !NAMES.contains(&name) {
            return Err(format!("there is no {{{name}}}; there are {}", NAMES.join(", ")));
        }
        rest = next;
    }
    Ok(())
}

/// A text of a template with the values in place.
pub fn fill(fields: &Fields, text: &str) -> String {
    let values = [
        &fields.to,
        &fields.company,
        &fields.number,
        &fields.from,
        &fields.organisation,
        &fields.from_number,
        &fields.date,
        &fields.pages,
        &fields.subject,
        &fields.billing,
        &fields.notice,
    ];
    let mut filled = String::new();
    let mut rest = text;
    // One pass: what a value holds is not looked into again.
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let Some((name, next)) = after.split_once('}') else { break };
        if let Some(at) = NAMES.iter().position(|known| *known == name) {
            filled.push_str(values[at]);
        }
        rest = next;
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_template_names_its_line() {
        for (text, says) in [
            ("title a | b\nfeld x | y", "line 2 of the cover page: write title, field"),
            ("field x {to}", "line 1 of the cover page: write field LABEL | VALUE"),
            ("\n\nnotice {patient}", "line 3 of the cover page: there is no {patient}"),
            ("notice {to", "a { has no }"),
        ] {
            let error = Template::parse(text).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
        for language in [Language::En, Language::Fr] {
            assert!(Template::of(language).is_ok());
        }
    }

    #[test]
    fn a_value_is_never_read_as_a_template() {
        let fields = Fields { to: "{notice}".into(), notice: "x".into(), ..Fields::default() };
        assert_eq!(fill(&fields, "To {to}, {notice}"), "To {notice}, x");
    }
}
