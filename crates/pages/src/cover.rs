//! Cover pages, from templates.
//!
//! A template is lines, each of them one of:
//!
//! ```text
//! title LEFT | RIGHT      large, at both sides
//! field LABEL | VALUE     left out where the value is empty
//! rule                    a line across
//! body                    the text of the message begins here
//! notice TEXT             small, at the foot of the page
//! ```
//!
//! In texts `{to}` and the other [`Fields`] stand for their values.

use fax::Language;
use fax::work::Fields;

use crate::error::Trouble;
use crate::flow::{Block, Flow};
use crate::letters::{Face, Fonts};
use crate::sheet::{BOTTOM, Format, MARGIN, Sheet, TOP, WIDTH, width};

/// A template of a cover page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    lines: Vec<Line>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Line {
    Title(String, String),
    Field(String, String),
    Rule,
    Body,
    Notice(String),
}

/// The most lines of a template.
const LINES_MAX: usize = 60;
/// Sizes in points.
const TITLE: f32 = 24.0;
const FIELD: f32 = 11.0;
const NOTICE: f32 = 8.5;
/// Between the longest label and the values, in points.
const LABEL_GAP: f32 = 18.0;

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
    pub fn of(language: Language) -> Result<Self, Trouble> {
        Self::parse(match language {
            Language::En => ENGLISH,
            Language::Fr => FRENCH,
        })
    }

    /// Reads a template.
    ///
    /// # Errors
    ///
    /// [`Trouble::Template`] names the line that is wrong.
    pub fn parse(text: &str) -> Result<Self, Trouble> {
        let mut lines = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let wrong = |why: &str| Trouble::Template { line: number + 1, why: why.to_owned() };
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
                return Err(wrong("there are more than 60 lines"));
            }
        }
        Ok(Self { lines })
    }

    /// The cover page with `text` on it, and the pages that the text goes on to.
    ///
    /// # Errors
    ///
    /// [`Trouble::TooManyPages`].
    pub fn draw(
        &self,
        fields: &Fields,
        text: &[Block],
        format: Format,
        fonts: &Fonts,
        pages_max: usize,
    ) -> Result<Vec<crate::Bitmap>, Trouble> {
        let mut sheet = Sheet::new(format, fonts);
        let mut at = TOP + 12.0;
        let right = WIDTH - MARGIN;
        let value_left = MARGIN + self.label_width(fonts) + LABEL_GAP;
        let mut bottom = format.height() - BOTTOM;
        for line in &self.lines {
            match line {
                Line::Title(left, title) => {
                    at += TITLE;
                    let title = fill(fields, title);
                    let from = right - width(fonts, Face::Bold, TITLE, &title);
                    sheet.write(Face::Bold, TITLE, from, at, &title);
                    let left = fill(fields, left);
                    // A long name is written smaller rather than into the title.
                    let wide = width(fonts, Face::Bold, TITLE * 0.75, &left);
                    let room = from - MARGIN - 20.0;
                    let size = TITLE * 0.75 * (room / wide.max(1.0)).min(1.0);
                    sheet.write(Face::Bold, size, MARGIN, at, &left);
                    at += 8.0;
                }
                Line::Field(label, value) => {
                    let value = fill(fields, value);
                    if value.is_empty() {
                        continue;
                    }
                    sheet.write(Face::Bold, FIELD, MARGIN, at + FIELD, label);
                    for line in fold(fonts, &value, FIELD, right - value_left) {
                        sheet.write(Face::Sans, FIELD, value_left, at + FIELD, &line);
                        at += FIELD * 1.55;
                    }
                }
                Line::Rule => {
                    sheet.rule(MARGIN, right, at + 4.0, 1.2);
                    at += 16.0;
                }
                Line::Body => {}
                Line::Notice(notice) => {
                    let lines = fold(fonts, &fill(fields, notice), NOTICE, right - MARGIN - 16.0);
                    let height = NOTICE * 1.35 * lines.len() as f32 + 14.0;
                    if lines.iter().all(String::is_empty) {
                        continue;
                    }
                    bottom -= height;
                    for (edge, thick) in [(bottom, 0.8), (bottom + height, 0.8)] {
                        sheet.rule(MARGIN, right, edge, thick);
                    }
                    for (number, line) in (1_u16..).zip(&lines) {
                        let standing = bottom + 4.0 + NOTICE * 1.35 * f32::from(number);
                        sheet.write(Face::Sans, NOTICE, MARGIN + 8.0, standing, line);
                    }
                    bottom -= 10.0;
                }
            }
        }
        let has_body = self.lines.contains(&Line::Body);
        let mut flow = Flow::on(sheet, at + 6.0, bottom, format, fonts, pages_max);
        if has_body {
            flow.add(text)?;
        }
        Ok(flow.finish())
    }

    /// The width of the longest label, in points.
    fn label_width(&self, fonts: &Fonts) -> f32 {
        let labels = self.lines.iter().filter_map(|line| match line {
            Line::Field(label, _) => Some(width(fonts, Face::Bold, FIELD, label)),
            Line::Title(..) | Line::Rule | Line::Body | Line::Notice(_) => None,
        });
        labels.fold(0.0, f32::max)
    }
}

/// A text in lines no wider than `room`.
fn fold(fonts: &Fonts, text: &str, size: f32, room: f32) -> Vec<String> {
    /// More lines than this of one value are left out.
    const LINES_MAX: usize = 12;
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let Some(line) = lines.last_mut() else { break };
        let longer = if line.is_empty() { word.to_owned() } else { format!("{line} {word}") };
        if line.is_empty() || width(fonts, Face::Sans, size, &longer) <= room {
            *line = longer;
        } else {
            lines.push(word.to_owned());
        }
    }
    lines.truncate(LINES_MAX);
    lines
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

/// A text with the values in place.
fn fill(fields: &Fields, text: &str) -> String {
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
