//! A recipient while it is in the queue, and how it is kept there.

use mail::{Recipient, Status, Timestamp};
use serde::{Deserialize, Serialize};

/// A recipient that has not ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedRecipient {
    /// Who, and what the sender wants to be told.
    #[serde(flatten)]
    pub recipient: Recipient,
    /// What the sender was told so far.
    #[serde(default, skip_serializing_if = "is_default")]
    pub told: Told,
    /// What stood in the way last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<LastTrouble>,
}

/// What the sender was told of one recipient. Each is told once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Told {
    /// That protection is not to be had so far.
    #[serde(skip_serializing_if = "is_default")]
    pub protection: bool,
    /// That the message is delayed.
    #[serde(skip_serializing_if = "is_default")]
    pub delay: bool,
}

/// What the last attempt failed with, for the queue list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastTrouble {
    /// When.
    pub at: Timestamp,
    /// The status.
    pub status: Status,
    /// In words.
    pub text: String,
}

impl QueuedRecipient {
    /// A recipient before its first attempt.
    pub fn new(recipient: Recipient) -> Self {
        Self { recipient, told: Told::default(), last: None }
    }
}

/// Left out where it says nothing.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The recipients of an entry as they are kept, with the version of the form.
#[derive(Serialize, Deserialize)]
struct Kept<R> {
    v: u32,
    recipients: R,
}

/// The recipients of a queue entry are not readable.
#[derive(Debug, thiserror::Error)]
pub enum RecipientsError {
    /// Not the JSON that is expected.
    #[error("the recipients of the queue entry are not readable: {0}")]
    Form(#[from] serde_json::Error),
    /// Written by a later release.
    #[error(
        "the recipients of the queue entry have form {found}; this release knows up to {VERSION}"
    )]
    Version {
        /// The form's version.
        found: u32,
    },
}

/// The recipients as a queue entry keeps them.
///
/// # Errors
///
/// [`RecipientsError::Form`] never for values of these types, but JSON may say so.
pub fn encode(recipients: &[QueuedRecipient]) -> Result<Vec<u8>, RecipientsError> {
    Ok(serde_json::to_vec(&Kept { v: VERSION, recipients })?)
}

/// The recipients that a queue entry keeps.
///
/// # Errors
///
/// [`RecipientsError`] when they are of another form; the entry is held, not lost.
pub fn decode(kept: &[u8]) -> Result<Vec<QueuedRecipient>, RecipientsError> {
    #[derive(Deserialize)]
    struct Form {
        v: u32,
    }
    let Form { v: found } = serde_json::from_slice(kept)?;
    if found > VERSION {
        return Err(RecipientsError::Version { found });
    }
    let kept: Kept<Vec<QueuedRecipient>> = serde_json::from_slice(kept)?;
    Ok(kept.recipients)
}

/// The form written now. A form, once released, is read for ever.
const VERSION: u32 = 1;
/// The longest text of a trouble that is kept, in characters.
pub(crate) const TEXT_MAX_CHARS: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;
    use mail::{Address, Notify};

    fn bob() -> QueuedRecipient {
        QueuedRecipient::new(Recipient::new(Address::parse("bob@clinic.example").unwrap()))
    }

    #[test]
    fn recipients_are_kept_briefly_and_read_back() {
        let mut told = bob();
        told.recipient.notify = Notify::NEVER;
        told.recipient.orcpt = Some("rfc822;b@x.example".to_owned());
        told.told.delay = true;
        told.last = Some(LastTrouble {
            at: Timestamp(7),
            status: Status::new(4, 4, 1),
            text: "no answer".to_owned(),
        });
        let kept = encode(&[bob(), told.clone()]).unwrap();
        assert_eq!(decode(&kept).unwrap(), [bob(), told]);
        let one = String::from_utf8(encode(&[bob()]).unwrap()).unwrap();
        assert_eq!(one, r#"{"v":1,"recipients":[{"address":"bob@clinic.example"}]}"#);
    }

    #[test]
    fn a_later_form_is_named_and_rubbish_is_refused() {
        assert!(matches!(
            decode(br#"{"v":2,"recipients":{}}"#),
            Err(RecipientsError::Version { found: 2 })
        ));
        assert!(matches!(decode(b"[]"), Err(RecipientsError::Form(_))));
    }
}
