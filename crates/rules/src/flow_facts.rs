//! What flow control knows of a client and a transaction.

use serde::{Deserialize, Serialize};

use crate::test::Word;

/// Bans, limits and quotas, as far as something is to be said of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FlowFacts {
    /// The client is `friendly`, `denied` or `banned`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standing: Option<Word>,
    /// The message is over a limit: `message`, `header`, `attachment`, `attachments` or
    /// `recipients`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exceeded: Option<Word>,
    /// A quota has no room for more `messages`, `recipients` or `octets`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota: Option<Word>,
}
