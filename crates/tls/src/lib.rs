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
pub mod demand;
pub mod fingerprint;
pub mod observed;
pub mod requirement;
pub mod verdict;

pub use admit::{Connected, Ready, Refused};
pub use algorithm::{Group, Suite};
pub use demand::{Demand, Demands, MtaStsMode, Source};
pub use fingerprint::{Fingerprint, FingerprintError};
pub use observed::{
    Anchor, Certificate, Distrust, Failure, FailureKind, Handshake, Observed, Plaintext,
    Verification,
};
pub use requirement::{Level, Proof, Proofs, Requirement, Version, Versions, WordError};
pub use verdict::{Outcome, Protection, Shortfall, Verdict, judge};
