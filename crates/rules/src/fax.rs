//! What account security says of a message for a fax account.

use serde::{Deserialize, Serialize};

use crate::test::Word;

/// What is known of a message for a fax account, as far as it has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaxFacts {
    /// The account.
    pub account: String,
    /// Why it may not be faxed; `None` while nothing is against it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denial: Option<FaxDenial>,
}

/// Why a source may not fax.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaxDenial {
    /// The reverse-path is null, or nobody the account knows.
    UnknownSender,
    /// The client is not on the Mail Server White List.
    WhiteList,
    /// SPF does not prove the reverse-path.
    Spoofing,
    /// SPF cannot be evaluated now.
    SpfUnavailable,
    /// The author is not of the domain that is proven.
    Misaligned,
}

impl FaxDenial {
    /// Every denial, in the order of its rules.
    pub const ALL: [Self; 5] = [
        Self::UnknownSender,
        Self::WhiteList,
        Self::Spoofing,
        Self::SpfUnavailable,
        Self::Misaligned,
    ];

    /// The word that conditions use.
    pub const fn word(self) -> Word {
        match self {
            Self::UnknownSender => Word::UnknownSender,
            Self::WhiteList => Word::WhiteList,
            Self::Spoofing => Word::Spoofing,
            Self::SpfUnavailable => Word::SpfUnavailable,
            Self::Misaligned => Word::Misaligned,
        }
    }

    /// What the sender is told.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::UnknownSender => "This sender may not send faxes here",
            Self::WhiteList => "This mail server may not send faxes here",
            Self::Spoofing => "SPF does not confirm the sender's domain, so no fax is sent",
            Self::SpfUnavailable => "SPF of the sender's domain cannot be checked now",
            Self::Misaligned => "The author is not of the sender's domain, so no fax is sent",
        }
    }
}
