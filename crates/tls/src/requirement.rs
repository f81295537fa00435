//! How much protection is demanded: a lattice whose join is "the most demanding wins".

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::algorithm::Suite;
use crate::fingerprint::Fingerprint;
use crate::observed::Anchor;
use crate::version::{Versions, WordError};

/// The degrees of protection, weakest first.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// TLS is not even tried.
    None,
    /// TLS if the peer can, else in the clear; the certificate does not matter.
    #[default]
    Opportunistic,
    /// TLS with any certificate, or not at all.
    Encrypted,
    /// TLS with a peer that proved who it is, or not at all.
    Authenticated,
}

/// A way in which a peer can prove who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// A chain to a trusted authority, for the name that was asked for (RFC 5280, RFC 6125).
    WebPki,
    /// The same, for a name that the domain's MTA-STS policy lists (RFC 8461).
    MtaSts,
    /// A secure TLSA record (RFC 7672).
    Dane,
    /// A certificate or public key that the administrator named.
    Pin,
}

/// A choice of proofs: any one of them is enough.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Proofs {
    /// [`Proof::WebPki`] is accepted.
    pub web_pki: bool,
    /// [`Proof::MtaSts`] is accepted.
    pub mta_sts: bool,
    /// [`Proof::Dane`] is accepted.
    pub dane: bool,
    /// [`Proof::Pin`] is accepted for these, of a certificate or of its public key.
    pub pins: BTreeSet<Fingerprint>,
}

/// What a connection must show before an envelope is sent over it.
///
/// Versions, suites and proofs bind from [`Level::Encrypted`] upwards. Below that
/// they only narrow what is offered to the peer, since mail may go in the clear anyway.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Requirement {
    /// How much protection.
    pub level: Level,
    /// The versions that will do.
    pub versions: Versions,
    /// The suites that will do; `None` is every suite.
    pub suites: Option<BTreeSet<Suite>>,
    /// Each choice must be met. An empty set at [`Level::Authenticated`] is the same as
    /// [`Proofs::any`].
    pub proofs: BTreeSet<Proofs>,
    /// How well the name that web PKI verifies must itself be known.
    pub anchor: Anchor,
}

impl Requirement {
    /// Nothing is demanded beyond `level`.
    pub fn at(level: Level) -> Self {
        Self {
            level,
            versions: Versions::ALL,
            suites: None,
            proofs: BTreeSet::new(),
            anchor: Anchor::UnsignedDns,
        }
    }

    /// TLS is not tried.
    pub fn none() -> Self {
        Self::at(Level::None)
    }

    /// TLS if the peer can.
    pub fn opportunistic() -> Self {
        Self::at(Level::Opportunistic)
    }

    /// TLS or not at all.
    pub fn encrypted() -> Self {
        Self::at(Level::Encrypted)
    }

    /// A proven peer or not at all; web PKI, MTA-STS or DANE will do as proof.
    pub fn authenticated() -> Self {
        Self::proven_by(Proofs::any())
    }

    /// A peer proven by one of `proofs`.
    pub fn proven_by(proofs: Proofs) -> Self {
        Self { proofs: BTreeSet::from([proofs.in_one_form()]), ..Self::at(Level::Authenticated) }
    }

    /// A peer that shows a certificate or public key with one of these fingerprints.
    pub fn pinned(pins: impl IntoIterator<Item = Fingerprint>) -> Self {
        Self::proven_by(Proofs { pins: pins.into_iter().collect(), ..Proofs::default() })
    }

    /// The same, with only these versions.
    #[must_use]
    pub fn with_versions(self, versions: Versions) -> Self {
        Self { versions, ..self }
    }

    /// The same, with only these suites.
    #[must_use]
    pub fn with_suites(self, suites: impl IntoIterator<Item = Suite>) -> Self {
        Self { suites: Some(suites.into_iter().collect()), ..self }
    }

    /// The same, with names that are known at least as well as `anchor`.
    #[must_use]
    pub fn with_anchor(self, anchor: Anchor) -> Self {
        Self { anchor, ..self }
    }

    /// What satisfies both. Commutative, associative, idempotent; [`Requirement::none`] is neutral.
    #[must_use]
    pub fn join(&self, other: &Self) -> Self {
        let suites = match (&self.suites, &other.suites) {
            (None, any) | (any, None) => any.clone(),
            (Some(ours), Some(theirs)) => Some(ours & theirs),
        };
        Self {
            level: self.level.max(other.level),
            versions: self.versions.intersection(other.versions),
            suites,
            proofs: without_implied(&(&self.choices() | &other.choices())),
            anchor: self.anchor.max(other.anchor),
        }
    }

    /// The choices of proofs, where none is written too.
    fn choices(&self) -> BTreeSet<Proofs> {
        if self.level == Level::Authenticated && self.proofs.is_empty() {
            return BTreeSet::from([Proofs::any()]);
        }
        self.proofs.clone()
    }

    /// Whether everything that meets this requirement also meets `other`.
    pub fn is_at_least(&self, other: &Self) -> bool {
        self.join(other) == self.join(self)
    }

    /// Whether no connection at all can meet it: no version or no suite is left.
    pub fn is_impossible(&self) -> bool {
        self.level >= Level::Encrypted
            && (self.versions.is_empty() || self.suites.as_ref().is_some_and(BTreeSet::is_empty))
    }
}

/// Brings every choice into its one form and drops those that a narrower choice in
/// the set already implies, so that equal requirements are equal values.
fn without_implied(all: &BTreeSet<Proofs>) -> BTreeSet<Proofs> {
    let all: BTreeSet<_> = all.iter().cloned().map(Proofs::in_one_form).collect();
    all.iter()
        .filter(|choice| !all.iter().any(|other| other != *choice && other.is_within(choice)))
        .cloned()
        .collect()
}

impl Proofs {
    /// Web PKI, MTA-STS or DANE.
    pub fn any() -> Self {
        Self { web_pki: true, dane: true, ..Self::default() }
    }

    /// Whether every proof accepted here is accepted by `wider`.
    ///
    /// MTA-STS is web PKI with a listed name, so it lies within web PKI.
    pub fn is_within(&self, wider: &Self) -> bool {
        (!self.web_pki || wider.web_pki)
            && (!self.mta_sts || wider.mta_sts || wider.web_pki)
            && (!self.dane || wider.dane)
            && self.pins.is_subset(&wider.pins)
    }

    /// The same choice without what another part of it implies: web PKI accepts any
    /// name, so it says all that MTA-STS says.
    fn in_one_form(self) -> Self {
        Self { mta_sts: self.mta_sts && !self.web_pki, ..self }
    }

    /// The kinds accepted.
    pub fn kinds(&self) -> impl Iterator<Item = Proof> {
        [
            (self.web_pki, Proof::WebPki),
            (self.mta_sts && !self.web_pki, Proof::MtaSts),
            (self.dane, Proof::Dane),
            (!self.pins.is_empty(), Proof::Pin),
        ]
        .into_iter()
        .filter_map(|(accepted, proof)| accepted.then_some(proof))
    }
}

impl FromStr for Level {
    type Err = WordError;

    /// Reads the level's own word, or the words administrators use for it:
    /// `required` for encrypted and `verified` for authenticated.
    fn from_str(text: &str) -> Result<Self, WordError> {
        match text.to_ascii_lowercase().as_str() {
            "none" => Ok(Self::None),
            "opportunistic" => Ok(Self::Opportunistic),
            "encrypted" | "required" => Ok(Self::Encrypted),
            "authenticated" | "verified" => Ok(Self::Authenticated),
            _ => Err(WordError::new(
                "level of protection",
                text,
                &["none", "opportunistic", "encrypted", "verified"],
            )),
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::None => "none",
            Self::Opportunistic => "opportunistic",
            Self::Encrypted => "encrypted",
            Self::Authenticated => "authenticated",
        })
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WebPki => "web PKI",
            Self::MtaSts => "MTA-STS",
            Self::Dane => "DANE",
            Self::Pin => "pin",
        })
    }
}

impl fmt::Display for Proofs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds: Vec<_> = self.kinds().map(|kind| kind.to_string()).collect();
        if kinds.is_empty() { f.write_str("no proof") } else { f.write_str(&kinds.join(" or ")) }
    }
}

impl fmt::Display for Requirement {
    /// For example `authenticated by web PKI or DANE, TLS 1.3`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.level)?;
        let mut choices = self.proofs.iter();
        if let (Level::Authenticated, Some(first)) = (self.level, choices.next()) {
            write!(f, " by {first}")?;
            for choice in choices {
                write!(f, " and by {choice}")?;
            }
        }
        if self.versions != Versions::ALL {
            write!(f, ", {}", self.versions)?;
        }
        if let Some(suites) = &self.suites {
            let names: Vec<_> = suites.iter().map(ToString::to_string).collect();
            let names = if names.is_empty() { "no suite".to_owned() } else { names.join(" or ") };
            write!(f, ", {names}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::version::Version;

    #[test]
    fn levels_are_read_as_administrators_write_them() {
        assert_eq!("required".parse(), Ok(Level::Encrypted));
        assert_eq!("Verified".parse(), Ok(Level::Authenticated));
        assert!("mandatory".parse::<Level>().unwrap_err().to_string().contains("verified"));
    }

    #[test]
    fn a_pin_beside_verification_asks_for_both() {
        let pin = Fingerprint::of(b"key");
        let both = Requirement::authenticated().join(&Requirement::pinned([pin]));
        assert_eq!(both.proofs.len(), 2);
        assert!(both.is_at_least(&Requirement::authenticated()));
        assert!(!Requirement::authenticated().is_at_least(&both));
        assert_eq!(
            both.join(&Requirement::encrypted().with_versions(Versions::only(Version::Tls13)))
                .to_string(),
            "authenticated by pin and by web PKI or DANE, TLS 1.3"
        );
    }

    #[test]
    fn a_narrower_choice_of_proofs_replaces_a_wider_one() {
        let dane = Requirement::proven_by(Proofs { dane: true, ..Proofs::default() });
        assert_eq!(Requirement::authenticated().join(&dane), dane);
    }

    #[test]
    fn versions_without_overlap_are_impossible() {
        let only = |version| Requirement::encrypted().with_versions(Versions::only(version));
        assert!(only(Version::Tls12).join(&only(Version::Tls13)).is_impossible());
        assert!(!only(Version::Tls12).is_impossible());
    }
}
