//! What filters said of the message, as far as rules look at it.

use serde::{Deserialize, Serialize};

use crate::test::Word;

/// The verdicts of milters and scanners, put together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScanFacts {
    /// The names of the viruses found.
    pub viruses: Vec<String>,
    /// The highest spam score, in thousandths.
    pub spam_score: Option<i32>,
    /// The sternest action that a spam scanner wants.
    pub spam_action: Option<SpamAction>,
    /// What each filter said, in the order of the configuration.
    pub filters: Vec<FilterFacts>,
    /// A scanner without which no mail is to pass gave no verdict.
    pub failed: bool,
}

/// What one filter said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilterFacts {
    /// Its name.
    pub name: String,
    /// Whether it is a milter; else a scanner.
    pub is_milter: bool,
    /// In a word.
    pub said: FilterWord,
}

/// What a filter can say, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FilterWord {
    /// Nothing against the message.
    Passed,
    /// A virus.
    Infected,
    /// Spam.
    Spam,
    /// It is to be set aside.
    Quarantined,
    /// The message was too long for it.
    Skipped,
    /// It gave no verdict.
    Failed,
}

/// What a spam scanner wants done, mildest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SpamAction {
    /// Nothing.
    None,
    /// Let it come again later.
    Greylist,
    /// Mark it in the header.
    AddHeader,
    /// Mark it in the subject.
    RewriteSubject,
    /// Refuse it for now.
    SoftReject,
    /// Refuse it.
    Reject,
}

impl FilterWord {
    /// The word that conditions use.
    pub const fn word(self) -> Word {
        match self {
            Self::Passed => Word::Passed,
            Self::Infected => Word::Infected,
            Self::Spam => Word::Spam,
            Self::Quarantined => Word::Quarantined,
            Self::Skipped => Word::Skipped,
            Self::Failed => Word::Failed,
        }
    }
}

impl SpamAction {
    /// The word that conditions use.
    pub const fn word(self) -> Word {
        match self {
            Self::None => Word::None,
            Self::Greylist => Word::Greylist,
            Self::AddHeader => Word::AddHeader,
            Self::RewriteSubject => Word::RewriteSubject,
            Self::SoftReject => Word::SoftReject,
            Self::Reject => Word::Reject,
        }
    }
}

/// Where zero lies when scores are put in order as whole numbers.
const ZERO: u64 = 1 << 31;

/// A score in thousandths as a number that keeps its order.
pub(crate) fn to_number(thousandths: i32) -> u64 {
    (i64::from(thousandths) + ZERO as i64) as u64
}

/// A score as people write it, as that number.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || whole.len() > 6 || part.len() > 3 || !number(whole) || !number(part) {
        return None;
    }
    let part = format!("{part:0<3}");
    let thousandths = whole.parse::<i32>().ok()? * 1_000 + part.parse::<i32>().ok()?;
    Some(to_number(if negative { -thousandths } else { thousandths }))
}

/// That number as people write the score.
pub(crate) fn show(number: u64) -> String {
    let thousandths = number as i64 - ZERO as i64;
    let sign = if thousandths < 0 { "-" } else { "" };
    let (whole, part) = (thousandths.unsigned_abs() / 1_000, thousandths.unsigned_abs() % 1_000);
    let part = format!("{part:03}");
    let part = part.trim_end_matches('0');
    if part.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{part}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_read_as_they_are_shown_and_keep_their_order() {
        let texts = ["-12.5", "-0.001", "0", "0.5", "5", "15.25", "999999.999"];
        let numbers = texts.map(|text| parse(text).unwrap());
        assert!(numbers.is_sorted());
        assert_eq!(numbers.map(show), texts);
        for bad in ["", "-", ".5", "1e3", "1.2345", "+1", "9999999", "1,5"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
