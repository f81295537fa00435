//! What SMTP says about a message.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::address::{Address, ReversePath};

/// One mail transaction: who is told, who receives, and how it may travel
/// (RFC 5321 section 2.3.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// Where notifications go.
    pub reverse_path: ReversePath,
    /// Who receives, in the order given.
    pub recipients: Vec<Recipient>,
    /// How the content is encoded.
    pub body: Body,
    /// The transaction asked for SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
    /// The transaction asked for REQUIRETLS (RFC 8689).
    pub require_tls: bool,
    /// How much of the message a failure notice returns (RFC 3461 section 4.3).
    pub dsn_return: Option<DsnReturn>,
    /// The sender's name for the transaction, decoded from xtext (RFC 3461 section 4.4).
    pub envid: Option<String>,
}

impl Envelope {
    /// A transaction from `reverse_path` with no recipient yet and nothing asked for.
    pub fn from(reverse_path: ReversePath) -> Self {
        Self {
            reverse_path,
            recipients: Vec::new(),
            body: Body::SevenBit,
            smtputf8: false,
            require_tls: false,
            dsn_return: None,
            envid: None,
        }
    }
}

/// One recipient of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// The forward-path.
    pub address: Address,
    /// When the sender wants to be told (RFC 3461 section 4.1).
    #[serde(default, skip_serializing_if = "Notify::is_default")]
    pub notify: Notify,
    /// The recipient as first given, `type;address` decoded from xtext (RFC 3461 section 4.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orcpt: Option<String>,
}

impl Recipient {
    /// A recipient without DSN wishes.
    pub fn new(address: Address) -> Self {
        Self { address, notify: Notify::default(), orcpt: None }
    }
}

/// How the content of a message is encoded (RFC 6152, RFC 3030).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Body {
    /// `BODY=7BIT`, the default.
    #[default]
    SevenBit,
    /// `BODY=8BITMIME`.
    EightBitMime,
    /// `BODY=BINARYMIME`: only by BDAT.
    BinaryMime,
}

/// How much of the message a failure notice returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DsnReturn {
    /// The whole message.
    Full,
    /// Its headers only.
    Headers,
}

/// When the sender wants to be told about a recipient (RFC 3461 section 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notify {
    /// On delivery, or on relay to a host that does not know DSN.
    pub success: bool,
    /// When the message cannot be delivered.
    pub failure: bool,
    /// When the message is delayed.
    pub delay: bool,
}

impl Notify {
    /// `NOTIFY=NEVER`.
    pub const NEVER: Self = Self { success: false, failure: false, delay: false };

    #[allow(clippy::trivially_copy_pass_by_ref)] // The shape that serde calls.
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for Notify {
    /// Failure and delay: what a sender who said nothing is told.
    fn default() -> Self {
        Self { success: false, failure: true, delay: true }
    }
}

impl fmt::Display for Notify {
    /// As a value of `NOTIFY=`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::NEVER {
            return f.write_str("NEVER");
        }
        let chosen = [("SUCCESS", self.success), ("FAILURE", self.failure), ("DELAY", self.delay)];
        let mut first = true;
        for (word, _) in chosen.iter().filter(|(_, on)| *on) {
            if !std::mem::take(&mut first) {
                f.write_str(",")?;
            }
            f.write_str(word)?;
        }
        Ok(())
    }
}

/// The text is not a value of `NOTIFY=`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("NOTIFY takes NEVER, or SUCCESS, FAILURE and DELAY with commas between")]
pub struct NotifyError;

impl FromStr for Notify {
    type Err = NotifyError;
    fn from_str(text: &str) -> Result<Self, NotifyError> {
        if text.eq_ignore_ascii_case("NEVER") {
            return Ok(Self::NEVER);
        }
        let mut notify = Self::NEVER;
        for word in text.split(',') {
            match word.to_ascii_uppercase().as_str() {
                "SUCCESS" => notify.success = true,
                "FAILURE" => notify.failure = true,
                "DELAY" => notify.delay = true,
                _ => return Err(NotifyError),
            }
        }
        Ok(notify)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notify_is_read_and_written_as_smtp_has_it() {
        let notify: Notify = "success,Delay".parse().unwrap();
        assert_eq!(notify, Notify { success: true, failure: false, delay: true });
        assert_eq!(notify.to_string(), "SUCCESS,DELAY");
        assert_eq!("never".parse(), Ok(Notify::NEVER));
        assert!("NEVER,SUCCESS".parse::<Notify>().is_err());
        assert!("".parse::<Notify>().is_err());
    }
}
