//! Who may turn mail into faxes: the account security of a fax account, as one pure decision.
//!
//! Two locks may be set, and a source must open both (the most restrictive holds):
//!
//! - the **Mail Server White List** names the mail servers that may deliver; empty accepts
//!   all of them;
//! - **Spoofing Protection** demands that SPF (RFC 7208) says `pass` for the domain of the
//!   reverse-path. What `softfail` means is the administrator's choice; every other result
//!   is fixed, see [`Spf`].
//!
//! Beside the locks a source must be someone: a user of the account, or anyone of a trusted
//! email domain. SPF proves the reverse-path and nothing else, so the author in `From:` must
//! be of that same domain, or proven by DMARC.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use mail::{Address, Domain};
use serde::{Deserialize, Serialize};

/// The security settings of one fax account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Security {
    /// The mail servers that may deliver; empty accepts all.
    pub white_list: Vec<IpNet>,
    /// Spoofing Protection, if it is on.
    pub spoofing_protection: Option<SoftFail>,
    /// The users of the account.
    pub users: Vec<Address>,
    /// Domains whose every address may fax, each exactly as it is written.
    pub trusted_domains: Vec<Domain>,
}

/// What the SPF result `softfail` means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SoftFail {
    /// As good as `pass`.
    Accept,
    /// As bad as `fail`.
    Reject,
}

/// A result of SPF for the reverse-path (RFC 7208 section 2.6), and what it means where
/// Spoofing Protection is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Spf {
    /// The domain says nothing: refused, because nothing is proven.
    None,
    /// The domain does not want to say: refused, as `none`.
    Neutral,
    /// The client may send for the domain: passed.
    Pass,
    /// It may not: refused.
    Fail,
    /// It probably may not: as the administrator chose.
    SoftFail,
    /// DNS did not answer: refused for now, so that the sender tries again.
    TempError,
    /// The record of the domain is broken: refused, because nothing is proven.
    PermError,
}

/// Where a message comes from, as far as it is known.
#[derive(Debug, Clone)]
pub struct Source<'a> {
    /// The address of the client.
    pub client: IpAddr,
    /// The reverse-path; `None` for the null one.
    pub sender: Option<&'a Address>,
    /// The account that signed in. It proves the reverse-path if both are the same address.
    pub signed_in: Option<&'a str>,
    /// SPF for the reverse-path; `None` while it is not evaluated.
    pub spf: Option<Spf>,
    /// The author; `None` while the header is not there.
    pub author: Option<Author<'a>>,
}

/// What `From:` says.
#[derive(Debug, Clone)]
pub struct Author<'a> {
    /// The domains of the addresses in `From:`; empty when it holds none.
    pub domains: &'a [Domain],
    /// DMARC (RFC 7489) passes for it.
    pub dmarc_passes: bool,
}

/// Who faxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Principal {
    /// A user of the account, with their own settings.
    Registered,
    /// Someone of a trusted email domain: the default profile, language and main number.
    Trusted,
}

/// Why a source may not fax. Each is the name of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Denial {
    /// The client is not on the Mail Server White List.
    WhiteList,
    /// The reverse-path is null, or nobody the account knows.
    UnknownSender,
    /// SPF does not prove the reverse-path.
    Spoofing,
    /// SPF cannot be evaluated now.
    SpfUnavailable,
    /// The author is not of the domain that is proven.
    Misaligned,
}

impl Denial {
    /// The word for it in facts, traces and tables.
    pub const fn word(self) -> &'static str {
        match self {
            Self::WhiteList => "white-list",
            Self::UnknownSender => "unknown-sender",
            Self::Spoofing => "spoofing",
            Self::SpfUnavailable => "spf-unavailable",
            Self::Misaligned => "misaligned",
        }
    }
}

impl Security {
    /// Decides whether `source` may fax, as far as it is known: what is not yet known denies
    /// nothing, so the decision is asked again when more is.
    ///
    /// # Errors
    ///
    /// The first [`Denial`] that holds.
    pub fn decide(&self, source: &Source<'_>) -> Result<Principal, Denial> {
        let sender = source.sender.ok_or(Denial::UnknownSender)?;
        let principal = self.principal(sender).ok_or(Denial::UnknownSender)?;
        if !self.white_list.is_empty()
            && !self.white_list.iter().any(|network| network.contains(&source.client))
        {
            return Err(Denial::WhiteList);
        }
        let is_proven =
            source.signed_in.is_some_and(|account| account.eq_ignore_ascii_case(&sender.to_key()));
        if let (Some(choice), Some(spf), false) = (self.spoofing_protection, source.spf, is_proven)
        {
            spf.judge(choice)?;
        }
        match &source.author {
            Some(author) if !author.is_of(sender.domain()) => Err(Denial::Misaligned),
            Some(_) | None => Ok(principal),
        }
    }

    /// Who a sender is to the account. A user's own settings go before those of the domain.
    pub fn principal(&self, sender: &Address) -> Option<Principal> {
        let key = sender.to_key();
        if self.users.iter().any(|user| user.to_key() == key) {
            return Some(Principal::Registered);
        }
        self.trusted_domains.contains(sender.domain()).then_some(Principal::Trusted)
    }

    /// Whether nothing restrains who may deliver. Trusted domains are then not allowed.
    pub fn is_open(&self) -> bool {
        self.white_list.is_empty() && self.spoofing_protection.is_none()
    }
}

impl Author<'_> {
    /// Everyone in `From:` is of `domain`, or DMARC has proven them.
    fn is_of(&self, domain: &Domain) -> bool {
        !self.domains.is_empty()
            && (self.dmarc_passes || self.domains.iter().all(|author| author == domain))
    }
}

impl Spf {
    /// What the result means where Spoofing Protection is on.
    const fn judge(self, softfail: SoftFail) -> Result<(), Denial> {
        match (self, softfail) {
            (Self::Pass, _) | (Self::SoftFail, SoftFail::Accept) => Ok(()),
            (Self::TempError, _) => Err(Denial::SpfUnavailable),
            (Self::None | Self::Neutral | Self::Fail | Self::PermError, _)
            | (Self::SoftFail, SoftFail::Reject) => Err(Denial::Spoofing),
        }
    }

    /// The result by its word in RFC 7208.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "none" => Self::None,
            "neutral" => Self::Neutral,
            "pass" => Self::Pass,
            "fail" => Self::Fail,
            "softfail" => Self::SoftFail,
            "temperror" => Self::TempError,
            "permerror" => Self::PermError,
            _ => return None,
        })
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_yet_known_denies_nothing() {
        let security = Security {
            spoofing_protection: Some(SoftFail::Reject),
            trusted_domains: vec![Domain::parse("example.com").unwrap()],
            ..Security::default()
        };
        let sender = Address::parse("ann@example.com").unwrap();
        let source = Source {
            client: "192.0.2.1".parse().unwrap(),
            sender: Some(&sender),
            signed_in: None,
            spf: None,
            author: None,
        };
        assert_eq!(security.decide(&source), Ok(Principal::Trusted));
    }

    #[test]
    fn a_message_without_an_author_is_of_nobody() {
        let security = Security {
            users: vec![Address::parse("ann@example.com").unwrap()],
            ..Security::default()
        };
        let sender = Address::parse("Ann@Example.com").unwrap();
        let source = Source {
            client: "192.0.2.1".parse().unwrap(),
            sender: Some(&sender),
            signed_in: None,
            spf: None,
            author: Some(Author { domains: &[], dmarc_passes: true }),
        };
        assert_eq!(security.decide(&source), Err(Denial::Misaligned));
    }
}
