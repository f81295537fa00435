//! Who a message is from.

use std::time::Duration;

use ipnet::IpNet;
use mail::Domain;

use crate::located::Located;

/// `sender-authentication { }`. What follows from each result is in the rules.
#[derive(Debug, Clone, PartialEq)]
pub struct SenderAuthentication {
    /// Whether what is found has consequences.
    pub mode: Located<AuthenticationMode>,
    /// Clients that are not checked.
    pub exempt: Located<Vec<IpNet>>,
    /// Signatures that leave the end of the body unsigned count too.
    pub partial_bodies: Located<bool>,
    /// How many signatures of a message are looked at.
    pub signatures: Located<u32>,
    /// The shortest RSA key that counts, in bits.
    pub min_rsa_bits: Located<u32>,
    /// How far ahead the clock of a signer may be.
    pub clock_skew: Located<Duration>,
    /// What failing mail of a domain gets, whatever it asks for.
    pub overrides: Vec<DmarcOverride>,
    /// Handlers whose word counts.
    pub trusted_sealers: Located<Vec<Domain>>,
}

/// Whether what is found has consequences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthenticationMode {
    /// It has.
    Enforce,
    /// It is only written down.
    Annotate,
    /// Nothing is checked.
    Off,
}

/// A line `override DOMAIN POLICY`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DmarcOverride {
    /// The domain; those below it are meant too.
    pub domain: Located<Domain>,
    /// What its failing mail gets.
    pub policy: DmarcPolicy,
}

/// The policies of DMARC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DmarcPolicy {
    /// Nothing is done.
    None,
    /// What is done for `quarantine`.
    Quarantine,
    /// What is done for `reject`.
    Reject,
}
