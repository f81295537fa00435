//! A request to trust email domains: who asks, what they certify, how it ended.
//!
//! ```text
//!  open ─▶ approved   by another person, with every domain proven by its challenge in DNS
//!    ├───▶ denied     by another person, with the reason
//!    └───▶ ended      nobody decided in time
//! ```
//!
//! A request may be made and approved only while a lock restrains who sends for the account.

use mail::{Domain, Timestamp};
use serde::{Deserialize, Serialize};

use crate::security::Security;

/// The most domains of one request.
pub const DOMAINS_MAX: usize = 20;
/// The longest certification or reason, in characters.
pub const WORDS_MAX_CHARS: usize = 500;
/// What the challenge's name puts before the domain.
const CHALLENGE_LABEL: &str = "_mailkeep-challenge";
/// How the text of a challenge begins.
const CHALLENGE_PREFIX: &str = "mailkeep-fax=";

/// A request to trust domains of one fax account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustRequest {
    /// The fax account.
    pub account: String,
    /// The domains, each exactly as it will be trusted.
    pub domains: Vec<Domain>,
    /// Who asks.
    pub by: String,
    /// When it was asked.
    pub at: Timestamp,
    /// When it ends undecided.
    pub ends: Timestamp,
    /// What who asks certifies: that the domains are their own, and that sources are restrained.
    pub certification: String,
    /// What the challenge in DNS must hold. It cannot be guessed.
    pub token: String,
    /// Where it stands.
    pub standing: Standing,
}

/// Where a request stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It waits for another person.
    Open,
    /// The domains are trusted.
    Approved {
        /// Who approved.
        by: String,
        /// When.
        at: Timestamp,
        /// The revision of the configuration that trusts them.
        revision: u64,
    },
    /// They are not.
    Denied {
        /// Who denied.
        by: String,
        /// When.
        at: Timestamp,
        /// Why.
        reason: String,
    },
    /// Nobody decided in time.
    Ended,
}

/// Why a request is not made, or not decided so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Nothing restrains who sends.
    #[error(
        "the fax account {0} accepts mail from every mail server; \
         set its mail-server-white-list or spoofing-protection first"
    )]
    Unrestrained(String),
    /// The number of domains.
    #[error("a request names 1 to {DOMAINS_MAX} domains")]
    DomainCount,
    /// An address literal is nobody's domain.
    #[error("{0} is no domain that can be proven in DNS")]
    Literal(Domain),
    /// One of the domains is trusted.
    #[error("{0} is trusted already")]
    Known(Domain),
    /// The certification or reason cannot be.
    #[error("{0} has 1 to {WORDS_MAX_CHARS} characters and no controls")]
    Words(&'static str),
    /// The one who asked may not decide.
    #[error("{0} asked for it, so another administrator must decide")]
    SamePerson(String),
    /// It was decided or has ended.
    #[error("the request is {0}; nothing is left to decide")]
    Closed(&'static str),
}

impl Standing {
    /// The word for it.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Approved { .. } => "approved",
            Self::Denied { .. } => "denied",
            Self::Ended => "ended",
        }
    }
}

impl TrustRequest {
    /// Whether it is in order to ask this of an account under `security`.
    ///
    /// # Errors
    ///
    /// The first [`Refused`] that holds.
    pub fn check(&self, security: &Security) -> Result<(), Refused> {
        self.check_restraint(security)?;
        if self.domains.is_empty() || self.domains.len() > DOMAINS_MAX {
            return Err(Refused::DomainCount);
        }
        words("the certification", &self.certification)?;
        if let Some(literal) = self.domains.iter().find(|domain| domain.literal().is_some()) {
            return Err(Refused::Literal(literal.clone()));
        }
        match self.domains.iter().find(|domain| security.trusted_domains.contains(domain)) {
            Some(known) => Err(Refused::Known(known.clone())),
            None => Ok(()),
        }
    }

    /// Whether the account still restrains who sends.
    ///
    /// # Errors
    ///
    /// [`Refused::Unrestrained`].
    pub fn check_restraint(&self, security: &Security) -> Result<(), Refused> {
        if security.is_open() {
            return Err(Refused::Unrestrained(self.account.clone()));
        }
        Ok(())
    }

    /// Whether `who` may decide it at `now`.
    ///
    /// # Errors
    ///
    /// [`Refused::Closed`] and [`Refused::SamePerson`].
    pub fn may_be_decided(&self, who: &str, now: Timestamp) -> Result<(), Refused> {
        match self.standing_at(now) {
            Standing::Open if who.trim().eq_ignore_ascii_case(self.by.trim()) => {
                Err(Refused::SamePerson(self.by.clone()))
            }
            Standing::Open => Ok(()),
            closed => Err(Refused::Closed(closed.word())),
        }
    }

    /// Where it stands at `now`: one that is open after its time has ended.
    pub fn standing_at(&self, now: Timestamp) -> Standing {
        match &self.standing {
            Standing::Open if now >= self.ends => Standing::Ended,
            standing => standing.clone(),
        }
    }

    /// The same as approved.
    #[must_use]
    pub fn approved(&self, by: &str, at: Timestamp, revision: u64) -> Self {
        let standing = Standing::Approved { by: by.to_owned(), at, revision };
        Self { standing, ..self.clone() }
    }

    /// The same as denied.
    ///
    /// # Errors
    ///
    /// [`Refused::Words`] when the reason cannot be.
    pub fn denied(&self, by: &str, at: Timestamp, reason: &str) -> Result<Self, Refused> {
        words("the reason", reason)?;
        let standing = Standing::Denied { by: by.to_owned(), at, reason: reason.to_owned() };
        Ok(Self { standing, ..self.clone() })
    }

    /// The same as ended.
    #[must_use]
    pub fn ended(&self) -> Self {
        Self { standing: Standing::Ended, ..self.clone() }
    }

    /// The text that the challenge of each domain must hold.
    pub fn challenge(&self) -> String {
        format!("{CHALLENGE_PREFIX}{}", self.token)
    }

    /// Whether one of the texts found at the challenge's name is the challenge.
    pub fn is_proven_by<'t>(&self, texts: impl IntoIterator<Item = &'t [u8]>) -> bool {
        let wanted = self.challenge();
        texts.into_iter().any(|text| text.trim_ascii() == wanted.as_bytes())
    }
}

/// The name in DNS where `domain` publishes its challenge.
pub fn challenge_name(domain: &Domain) -> String {
    format!("{CHALLENGE_LABEL}.{domain}")
}

fn words(name: &'static str, text: &str) -> Result<(), Refused> {
    let fits = text.chars().count() <= WORDS_MAX_CHARS && !text.chars().any(char::is_control);
    if text.trim().is_empty() || !fits { Err(Refused::Words(name)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::security::SoftFail;

    fn domain(name: &str) -> Domain {
        Domain::parse(name).unwrap()
    }

    fn request() -> TrustRequest {
        TrustRequest {
            account: "clinic".to_owned(),
            domains: vec![domain("partner.example")],
            by: "ann".to_owned(),
            at: Timestamp(0),
            ends: Timestamp(1_000),
            certification: "They are ours.".to_owned(),
            token: "4f1c".to_owned(),
            standing: Standing::Open,
        }
    }

    #[test]
    fn nobody_asks_for_trust_while_everyone_may_send() {
        let mut security = Security::default();
        assert_eq!(request().check(&security), Err(Refused::Unrestrained("clinic".to_owned())));
        security.spoofing_protection = Some(SoftFail::Reject);
        assert_eq!(request().check(&security), Ok(()));
        security.trusted_domains.push(domain("partner.example"));
        assert_eq!(request().check(&security), Err(Refused::Known(domain("partner.example"))));
    }

    #[test]
    fn a_request_without_domains_or_certification_is_none() {
        let security =
            Security { spoofing_protection: Some(SoftFail::Reject), ..Security::default() };
        let none = TrustRequest { domains: Vec::new(), ..request() };
        assert_eq!(none.check(&security), Err(Refused::DomainCount));
        for certification in ["", "  ", "a\nb", &"x".repeat(WORDS_MAX_CHARS + 1)] {
            let blank = TrustRequest { certification: certification.to_owned(), ..request() };
            assert!(matches!(blank.check(&security), Err(Refused::Words(_))));
        }
    }

    #[test]
    fn the_one_who_asked_does_not_decide_and_nobody_decides_twice_or_late() {
        let now = Timestamp(10);
        let open = request();
        assert_eq!(open.may_be_decided(" Ann ", now), Err(Refused::SamePerson("ann".to_owned())));
        assert_eq!(open.may_be_decided("bob", now), Ok(()));
        assert_eq!(open.may_be_decided("bob", Timestamp(1_000)), Err(Refused::Closed("ended")));
        let approved = open.approved("bob", now, 7);
        assert_eq!(approved.may_be_decided("eve", now), Err(Refused::Closed("approved")));
        let denied = open.denied("bob", now, "not yours").unwrap();
        assert_eq!(denied.may_be_decided("eve", now), Err(Refused::Closed("denied")));
        assert!(open.denied("bob", now, "").is_err());
    }

    #[test]
    fn only_the_whole_token_proves_a_domain() {
        assert_eq!(
            challenge_name(&domain("partner.example")),
            "_mailkeep-challenge.partner.example"
        );
        let proven = |texts: &[&str]| request().is_proven_by(texts.iter().map(|t| t.as_bytes()));
        assert!(proven(&["v=spf1 -all", " mailkeep-fax=4f1c "]));
        assert!(!proven(&["mailkeep-fax=4f1", "mailkeep-fax=4f1cc", "4f1c", ""]));
        assert!(!proven(&[]));
    }
}
