//! What the process that draws pages is asked, and what it answers.
//!
//! The request is a line of JSON, followed by the message; the answer is a line of JSON,
//! followed by the files it announces, one after the other.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::left_out::{LeftOut, Why};
use crate::options::{Cover, Language, Paper, Resolution};

/// The first argument that makes the program a process that draws pages, and nothing else.
pub const COMMAND: &str = "draw-pages";
/// The longest line of JSON in either direction, in octets.
pub const LINE_MAX_OCTETS: usize = 4 * 1024 * 1024;

/// One message, to any number of recipients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Rows an inch.
    pub resolution: Resolution,
    /// The size of pages.
    pub paper: Paper,
    /// When there is a cover page.
    pub cover: Cover,
    /// The language of the cover page.
    pub language: Language,
    /// A template of the account's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// The most pages a fax may have, its cover page with them.
    pub pages_max: usize,
    /// Whether an attachment that cannot become pages is left out; else there is no fax.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub leaves_out: bool,
    /// Whether what is left out is named by its file's name.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub names_left_out: bool,
    /// What is known not to become pages from earlier requests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<Without>,
    /// What is on each recipient's cover page; none are drawn without one.
    pub recipients: Vec<Fields>,
}

/// An attachment that is left out without being looked at again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Without {
    /// Which part of the message it is.
    pub part: usize,
    /// Why.
    pub why: Why,
}

/// What stands on a cover page and in the header line. What is empty is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Fields {
    /// The person the fax is for.
    pub to: String,
    /// Their company.
    pub company: String,
    /// The number that is called.
    pub number: String,
    /// Who sends it.
    pub from: String,
    /// The sender's organisation.
    pub organisation: String,
    /// The sender's own fax number.
    pub from_number: String,
    /// When, in words.
    pub date: String,
    /// How many pages, the cover page with them; the drawing program counts.
    pub pages: String,
    /// The subject, where it may be printed.
    pub subject: String,
    /// The billing code.
    pub billing: String,
    /// What is said about confidentiality; empty for the words of the language.
    pub notice: String,
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// The faxes, one for each recipient; their files follow.
    Drawn {
        /// In the order of the recipients.
        faxes: Vec<Drawn>,
        /// Characters that no font has; a box stands for each.
        #[serde(flatten)]
        missing: Missing,
        /// Attachments that are not in them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        left_out: Vec<LeftOut>,
        /// Font files that could not be read, and why.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        unread: Vec<String>,
    },
    /// An attachment is being drawn, so that it is known which one brought the process down; no
    /// more of them with `None`. Another answer follows. Only where attachments are left out.
    Drawing {
        /// Which part of the message it is.
        part: Option<usize>,
    },
    /// Office files have to become PDF first; they follow. Then it is asked again.
    Convert {
        /// In the order of the message.
        files: Vec<OfficeFile>,
    },
    /// There will be no fax. The words are for the sender.
    Refused {
        /// Why.
        why: String,
    },
}

/// Characters of a text that no font has. [`fmt::Display`] is for its sender.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Missing {
    /// The first of them.
    #[serde(rename = "missing", skip_serializing_if = "String::is_empty")]
    pub characters: String,
    /// How many different ones there are.
    #[serde(rename = "missing_count", skip_serializing_if = "is_zero")]
    pub count: usize,
    /// The scripts they belong to, in English.
    #[serde(rename = "missing_scripts", skip_serializing_if = "Vec::is_empty")]
    pub scripts: Vec<String>,
}

impl Missing {
    /// Whether every character could be written.
    pub fn is_empty(&self) -> bool {
        self.count == 0 && self.characters.is_empty()
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = self.characters.chars().count();
        // What was kept before they were counted has the characters alone.
        let count = self.count.max(told);
        write!(f, "{count} missing {}", if count == 1 { "glyph" } else { "glyphs" })?;
        if !self.scripts.is_empty() {
            write!(f, " ({})", self.scripts.join(", "))?;
        }
        write!(f, ": {}{}", self.characters, if count > told { " …" } else { "" })
    }
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// An office file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfficeFile {
    /// Which part of the message it is.
    pub part: usize,
    /// What its sender calls it.
    pub name: String,
    /// What it is, as an extension.
    pub extension: String,
    /// How many octets it has.
    pub octets: usize,
}

/// The most fonts that are named beside those of the program.
pub const FONTS_MAX: usize = 8;

/// One fax, ready to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drawn {
    /// How many pages it has.
    pub pages: usize,
    /// How many octets its file has.
    pub octets: usize,
}
