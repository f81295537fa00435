//! What the queue keeps of a message beside its body.

use mail::header::{Edit, FieldError, Header, NewField};
use mail::{Address, Envelope, Status};
use rules::settings::{HeaderEdit, Settings};
use rules::{Facts, Response};
use serde::{Deserialize, Serialize};

/// Everything about a message that delivery, notices, trace and a later
/// decision want back. Written once, when the message is accepted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// The envelope as it came. Whom an entry is for stands in the entry.
    pub envelope: Envelope,
    /// The facts the rules saw, without a recipient. Of the message only what
    /// the rules ask for at delivery: its size and subject.
    pub facts: Facts,
    /// Header fields put before the message: `Received`, and what a submission lacked.
    pub head: String,
    /// The revision of the configuration that decided.
    pub revision: u64,
}

/// How one entry of a message travels, where it does not simply follow the
/// configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Way {
    /// Changes to the header.
    #[serde(skip_serializing_if = "Changes::is_empty")]
    pub changes: Changes,
    /// A rule refused this recipient after others of the message were taken;
    /// the sender is told by a notice instead of a reply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<RefusedLate>,
    /// The sender it leaves with, where that is rewritten.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender: Option<Address>,
    /// An operator sends it by this host: `HOST` or `HOST:PORT`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// Changes to a header that rules asked for, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Changes {
    /// Names and values of fields put at the top.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<(String, String)>,
    /// Names of fields that go.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<String>,
    /// A text put before the subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
}

/// A refusal that came too late for a reply.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RefusedLate {
    /// What the reply would have been.
    pub code: u16,
    /// Its enhanced status.
    pub status: Status,
    /// Its text.
    pub text: String,
}

impl From<&Response> for RefusedLate {
    fn from(response: &Response) -> Self {
        Self { code: response.code, status: response.status, text: response.text.clone() }
    }
}

impl Way {
    /// Whether the entry simply follows the configuration.
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}

impl Changes {
    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The changes that these settings ask for.
    pub fn of(settings: &Settings) -> Self {
        let mut changes = Self::default();
        for edit in &settings.headers {
            match &*edit.value {
                HeaderEdit::Add { name, value } => {
                    changes.added.push((name.clone(), value.clone()));
                }
                HeaderEdit::Remove { name } => changes.removed.push(name.clone()),
            }
        }
        changes.tag = settings.subject_tag.as_ref().map(|tag| tag.value.to_string());
        changes
    }

    /// The header of `message` with the changes made: what replaces it, and
    /// where the message goes on.
    ///
    /// # Errors
    ///
    /// When a rule's field cannot stand in a header; the checker should have said so.
    pub fn apply(&self, header: &Header<'_>) -> Result<(Vec<u8>, usize), FieldError> {
        let mut edit = Edit::default();
        for (name, value) in &self.added {
            edit.add(NewField::new(name, value)?);
        }
        for name in &self.removed {
            edit.remove(name);
        }
        if let Some(tag) = &self.tag {
            edit.tag_subject(tag);
        }
        let edited = edit.apply(header);
        Ok((edited.head, edited.body_from))
    }
}
