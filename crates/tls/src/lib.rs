//! What protection is demanded, what was seen, and the verdict.
//!
//! [`Demands`] are joined into one [`Requirement`], [`Observed`] is what the
//! connection showed, and [`judge`] is the one function that sets them against
//! each other. The [`Verdict`] is what the log, the DSN, the trace, the evidence
//! and `explain` print. Only a [`Connected`] stream that was admitted becomes
//! [`Ready`], and only a `Ready` stream sends an envelope.
//!
//! Deliberately absent: sockets being opened, DNS, SMTP replies, the choice of rules.

pub mod admit;
pub mod algorithm;
pub mod authority;
pub mod binding;
pub mod certificate;
pub mod client;
pub mod demand;
pub mod error;
pub mod fingerprint;
mod handshake;
pub mod keyring;
pub mod observed;
mod provider;
pub mod requirement;
pub mod server;
pub mod shortfall;
pub mod trust;
pub mod verdict;
pub mod version;

pub use admit::{Connected, Ready, Refused};
pub use algorithm::{Group, Suite};
pub use authority::{Authority, Issued, Leaf};
pub use binding::Binding;
pub use certificate::{Identity, Warning};
pub use client::{Client, Offer, Peer};
pub use demand::{Demand, Demands, MtaStsMode, Source};
pub use error::Error;
pub use fingerprint::{Fingerprint, FingerprintError};
pub use keyring::{Entry, Keyring, Origin};
pub use observed::{
    Anchor, Certificate, Distrust, Failure, FailureKind, Handshake, Observed, Plaintext,
    Verification,
};
pub use requirement::{Level, Proof, Proofs, Requirement};
pub use server::{ClientCertificate, Server};
pub use shortfall::Shortfall;
pub use trust::{RootSources, Roots};
pub use verdict::{Outcome, Protection, Verdict, judge};
pub use version::{Version, Versions, WordError};
