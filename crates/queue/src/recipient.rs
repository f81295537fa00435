//! Whom a queue entry is for.

use mail::{Address, Notify};
use serde::{Deserialize, Serialize};

/// The open recipients of one entry, as the store keeps them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Recipients(pub Vec<Recipient>);

/// One open recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// The address that was promised: it names the recipient to the end.
    pub promised: Address,
    /// Where it goes, when that is another address: the end of an alias, a redirection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Address>,
    /// When the sender wants to be told.
    #[serde(default = "Notify::default", skip_serializing_if = "is_default")]
    pub notify: Notify,
    /// The recipient as first given (RFC 3461 section 4.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orcpt: Option<String>,
    /// The sender was told that it waits.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub told_of_delay: bool,
    /// The sender was told that it waits for the protection demanded.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub told_of_policy: bool,
}

fn is_default(notify: &Notify) -> bool {
    *notify == Notify::default()
}

impl Recipient {
    /// A recipient to be delivered to as promised.
    pub fn new(recipient: mail::Recipient) -> Self {
        Self {
            promised: recipient.address,
            target: None,
            notify: recipient.notify,
            orcpt: recipient.orcpt,
            told_of_delay: false,
            told_of_policy: false,
        }
    }

    /// The address to deliver to.
    pub fn address(&self) -> &Address {
        self.target.as_ref().unwrap_or(&self.promised)
    }
}

impl Recipients {
    /// What the store keeps.
    pub fn to_json(&self) -> Vec<u8> {
        // Plain data: nothing in it can fail to be written.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads what the store kept.
    ///
    /// # Errors
    ///
    /// When it was not written by [`Self::to_json`]; the entry is then left alone.
    pub fn from_json(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }
}
