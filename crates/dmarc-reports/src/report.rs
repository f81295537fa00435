//! What a report says.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// One aggregate report: what one receiver saw of one domain in one span of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Who reports, by name.
    pub organisation: String,
    /// How to reach them.
    pub email: String,
    /// Their name for this report; with the organisation it is unique.
    pub id: String,
    /// The first second it covers, since 1970 UTC.
    pub begin: i64,
    /// The last.
    pub end: i64,
    /// The policy that was found.
    pub policy: Policy,
    /// What was seen.
    pub rows: Vec<Row>,
}

/// A published policy.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Policy {
    /// Where the record was found.
    pub domain: String,
    /// How DKIM domains are compared: `r` or `s`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub adkim: String,
    /// How SPF domains are compared: `r` or `s`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub aspf: String,
    /// What the domain asks for.
    pub p: String,
    /// What it asks for below it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sp: String,
    /// What it asks for below it where there is no such domain.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub np: String,
    /// To how many messages in a hundred it applies; empty counts as 100.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pct: String,
    /// Which failures it wants reports of one message about; empty counts as `0`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub fo: String,
}

/// What was done with messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Disposition {
    /// Nothing.
    None,
    /// They were set aside.
    Quarantine,
    /// They were refused.
    Reject,
}

/// Messages from one address that were alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Where they came from.
    pub source: IpAddr,
    /// How many.
    pub count: u64,
    /// What was done.
    pub disposition: Disposition,
    /// Whether an aligned DKIM signature was good.
    pub dkim: bool,
    /// Whether SPF passed and was aligned.
    pub spf: bool,
    /// Why something else was done than the policy asks for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
    /// The domain of the author.
    pub header_from: String,
    /// The domain of the sender in the envelope.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub envelope_from: String,
    /// Every signature that was looked at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dkim_results: Vec<DkimResult>,
    /// Every look at SPF.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spf_results: Vec<SpfResult>,
}

/// Why a policy was not followed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reason {
    /// One of the words of the schema, such as `local_policy`.
    pub kind: String,
    /// In words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comment: String,
}

/// A DKIM signature and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DkimResult {
    /// Who vouched.
    pub domain: String,
    /// With which key.
    pub selector: String,
    /// `pass`, `fail`, …
    pub result: String,
}

/// A look at SPF and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SpfResult {
    /// Whose record.
    pub domain: String,
    /// Whether it was looked for under the name of HELO, not that of MAIL FROM.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub of_helo: bool,
    /// `pass`, `fail`, …
    pub result: String,
}

impl Disposition {
    /// The word of the schema.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Quarantine => "quarantine",
            Self::Reject => "reject",
        }
    }
}

impl Report {
    /// How many messages it is about.
    pub fn messages(&self) -> u64 {
        self.rows.iter().fold(0, |sum, row| sum.saturating_add(row.count))
    }

    /// How many of them passed.
    pub fn passed(&self) -> u64 {
        let passed = self.rows.iter().filter(|row| row.dkim || row.spf);
        passed.fold(0, |sum, row| sum.saturating_add(row.count))
    }
}
