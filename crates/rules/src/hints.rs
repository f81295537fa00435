//! "Change one thing": which single change of the facts would change the outcome.

use std::fmt;

use serde::{Deserialize, Serialize};
use tls::{Handshake, Suite, Verification, Version};

use crate::decision::Outcome;
use crate::facts::Facts;
use crate::policy::Policy;
use crate::stage::Stage;

/// A single change of the facts and what would come of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hint {
    /// The change.
    pub change: Change,
    /// The outcome with it.
    pub outcome: String,
    /// The name of the rule that would decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// Changes that are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// The connection is under TLS 1.3.
    Tls13,
    /// The connection is under TLS 1.2.
    Tls12,
    /// The connection is not under TLS.
    NoTls,
    /// The client signed in.
    SignedIn,
    /// The client did not sign in.
    NotSignedIn,
    /// There is no attachment.
    NoAttachments,
    /// There is one recipient.
    OneRecipient,
}

impl Change {
    const ALL: [Self; 7] = [
        Self::Tls13,
        Self::Tls12,
        Self::NoTls,
        Self::SignedIn,
        Self::NotSignedIn,
        Self::NoAttachments,
        Self::OneRecipient,
    ];

    /// The facts with this change, if it changes them.
    fn apply(self, facts: &Facts) -> Option<Facts> {
        let version = facts.tls.as_ref().map(|tls| tls.version);
        let mut changed = facts.clone();
        match self {
            Self::Tls13 if version != Some(Version::Tls13) => {
                changed.tls = Some(Box::new(handshake(Version::Tls13)));
            }
            // One hint about TLS is enough where there is none yet.
            Self::Tls12 if version == Some(Version::Tls13) => {
                changed.tls = Some(Box::new(handshake(Version::Tls12)));
            }
            Self::NoTls if version.is_some() => changed.tls = None,
            Self::SignedIn if facts.authenticated.is_none() => {
                let sender = facts.sender.as_ref().and_then(|path| path.address());
                let account = sender.map_or_else(|| "postmaster".to_owned(), mail::Address::to_key);
                changed.authenticated = Some(account);
            }
            Self::NotSignedIn if facts.authenticated.is_some() => changed.authenticated = None,
            Self::NoAttachments => match &mut changed.message {
                Some(message) if !message.attachments.is_empty() => message.attachments.clear(),
                Some(_) | None => return None,
            },
            Self::OneRecipient if facts.recipient_count.is_some_and(|count| count > 1) => {
                changed.recipient_count = Some(1);
            }
            Self::Tls13
            | Self::Tls12
            | Self::NoTls
            | Self::SignedIn
            | Self::NotSignedIn
            | Self::OneRecipient => return None,
        }
        Some(changed)
    }
}

/// A handshake of `version` without a client certificate, as a dry run needs one.
pub fn handshake(version: Version) -> Handshake {
    let suite = match version {
        Version::Tls12 => Suite(0xc02b),
        Version::Tls13 => Suite(0x1301),
    };
    Handshake {
        version,
        suite,
        group: None,
        sni: None,
        alpn: None,
        resumed: false,
        peer_chain: Vec::new(),
        verification: Verification::NoCertificate,
        own_certificate: None,
    }
}

/// Tries each [`Change`] by itself and tells those that change the outcome for the
/// recipient in the facts.
pub fn change_one_thing(policy: &Policy, facts: &Facts) -> Vec<Hint> {
    let outcome = |facts: &Facts| policy.decide_through(facts, Stage::Data);
    let now = outcome(facts).outcome;
    let tried = Change::ALL.into_iter().filter_map(|change| {
        let decision = outcome(&change.apply(facts)?);
        let by = decision.by.and_then(|id| policy.rule(id)).map(|rule| rule.name.clone());
        (kind(&decision.outcome) != kind(&now) || decision.outcome != now).then(|| Hint {
            change,
            outcome: decision.outcome.to_string(),
            by,
        })
    });
    tried.collect()
}

fn kind(outcome: &Outcome) -> std::mem::Discriminant<Outcome> {
    std::mem::discriminant(outcome)
}

impl fmt::Display for Change {
    /// In the words of the dry run's options.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Tls13 => "with --tls 1.3",
            Self::Tls12 => "with --tls 1.2",
            Self::NoTls => "with --tls none",
            Self::SignedIn => "signed in",
            Self::NotSignedIn => "not signed in",
            Self::NoAttachments => "without attachments",
            Self::OneRecipient => "with one recipient",
        })
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} the result is {}", self.change, self.outcome)
    }
}
