//! Whether the author's domain stands behind a message, and what it asks for if not (RFC 9989).

mod from;
mod record;
mod walk;

use mail::Domain;
use serde::{Deserialize, Serialize};

use crate::{Dns, Lack, Outcome, Question};

pub use from::{AUTHORS_MAX, Author, FromError};
pub use record::{Alignment, Record};
pub use walk::{LABELS_MAX, Walk};

/// What a domain asks for when a message is not from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// Nothing.
    None,
    /// To look at it with suspicion.
    Quarantine,
    /// To refuse it.
    Reject,
}

impl Policy {
    /// The word in `p=`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Quarantine => "quarantine",
            Self::Reject => "reject",
        }
    }

    /// Reads the word of `p=`, `sp=` or `np=`, in any case.
    pub fn parse(word: &str) -> Option<Self> {
        let all = [Self::None, Self::Quarantine, Self::Reject];
        all.into_iter().find(|policy| policy.word().eq_ignore_ascii_case(word))
    }

    /// The next milder one, which a domain that is only trying gets (RFC 9989, `t=y`).
    const fn milder(self) -> Self {
        match self {
            Self::Reject => Self::Quarantine,
            Self::Quarantine | Self::None => Self::None,
        }
    }
}

/// What SPF and DKIM found, as far as DMARC looks at it.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// The domain of the reverse-path, and what SPF says of it.
    pub spf: Option<(String, Outcome)>,
    /// The domains that signed, and what came of it.
    pub dkim: Vec<(String, Outcome)>,
}

/// What the operator knows better than DNS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Local {
    /// What is done with failing mail of a domain and those below it, whatever it asks for.
    pub overrides: Vec<(Domain, Policy)>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What it came to.
    pub outcome: Outcome,
    /// The author's domain.
    pub domain: String,
    /// Where the policy was found.
    pub policy_domain: Option<String>,
    /// The policy as published for this domain.
    pub policy: Option<Policy>,
    /// What follows for this message: never more than the policy asks for, unless the
    /// operator said so.
    pub disposition: Policy,
    /// What made the disposition another than the policy.
    pub exception: Option<Exception>,
    /// Where reports are wanted (`rua=`).
    pub reports: Vec<String>,
    /// The record as it was published.
    pub record: Option<String>,
    /// SPF passed for an aligned domain.
    pub spf_aligned: bool,
    /// A signature passed for an aligned domain.
    pub dkim_aligned: bool,
    /// What is wrong, or worth knowing.
    pub reason: Option<String>,
}

/// Why a policy was not applied as published; the words are those of reports (RFC 9990).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exception {
    /// The domain is only trying (`t=y`).
    PolicyTestMode,
    /// The message was not among those to which the policy applies (`pct=`).
    SampledOut,
    /// The operator's list says otherwise.
    LocalPolicy,
    /// A trusted handler found that it was authentic when it came.
    TrustedForwarder,
}

impl Exception {
    /// The word in reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::PolicyTestMode => "policy_test_mode",
            Self::SampledOut => "sampled_out",
            Self::LocalPolicy => "local_policy",
            Self::TrustedForwarder => "trusted_forwarder",
        }
    }
}

impl Finding {
    /// Of a message whose author nobody can name.
    pub fn unclear(reason: &str) -> Self {
        Self { reason: Some(reason.to_owned()), ..Self::new(Outcome::PermError, "") }
    }

    /// Which of several findings counts: the one with the gravest consequence, and of equals
    /// the one that passes least.
    pub fn gravity(&self) -> (Policy, u8) {
        let rank = match self.outcome {
            Outcome::Pass => 0,
            Outcome::None | Outcome::Policy | Outcome::SoftFail | Outcome::Neutral => 1,
            Outcome::PermError => 2,
            Outcome::Fail => 3,
            Outcome::TempError => 4,
        };
        (self.disposition, rank)
    }

    fn new(outcome: Outcome, domain: &str) -> Self {
        Self {
            outcome,
            domain: domain.to_owned(),
            policy_domain: None,
            policy: None,
            disposition: Policy::None,
            exception: None,
            reports: Vec::new(),
            record: None,
            spf_aligned: false,
            dkim_aligned: false,
            reason: None,
        }
    }
}

/// Evaluates a message whose author's domain is `domain`. `sample` is a number from 0 to 99
/// by chance, for `pct=`.
pub async fn evaluate(
    dns: &dyn Dns,
    domain: &Domain,
    evidence: &Evidence,
    local: &Local,
    sample: u8,
) -> Finding {
    let mut walk = Walk::new(dns);
    let domain = domain.as_str();
    let mut finding = match evaluated(&mut walk, domain, evidence).await {
        Ok(finding) => finding,
        Err(detail) => Finding {
            reason: Some(format!("the policy: {detail}")),
            ..Finding::new(Outcome::TempError, domain)
        },
    };
    apply(&mut finding, walk.testing(), walk.percent(), local, sample);
    finding
}

async fn evaluated(
    walk: &mut Walk<'_>,
    domain: &str,
    evidence: &Evidence,
) -> Result<Finding, String> {
    let Some((policy_domain, record)) = walk.policy(domain).await? else {
        return Ok(Finding::new(Outcome::None, domain));
    };
    let mut finding = Finding {
        policy_domain: Some(policy_domain.clone()),
        reports: record.reports.clone(),
        record: Some(record.text.clone()),
        ..Finding::new(Outcome::Fail, domain)
    };
    let Some(requested) = record.policy else {
        finding.reason = Some("the record has no policy that can be understood".to_owned());
        return Ok(Finding { outcome: Outcome::PermError, ..finding });
    };
    finding.policy = Some(if policy_domain == domain {
        requested
    } else if record.missing.is_some() && is_missing(walk.dns(), domain).await? {
        record.missing.unwrap_or(requested)
    } else {
        record.below.unwrap_or(requested)
    });
    let mut unsure = None;
    if let Some((identifier, outcome)) = &evidence.spf {
        let aligned = walk.aligned(identifier, domain, record.spf).await;
        note(*outcome, aligned, &mut finding.spf_aligned, &mut unsure);
    }
    for (identifier, outcome) in &evidence.dkim {
        if finding.dkim_aligned {
            break;
        }
        let aligned = walk.aligned(identifier, domain, record.dkim).await;
        note(*outcome, aligned, &mut finding.dkim_aligned, &mut unsure);
    }
    if finding.spf_aligned || finding.dkim_aligned {
        finding.outcome = Outcome::Pass;
    } else if let Some(why) = unsure {
        finding.outcome = Outcome::TempError;
        finding.reason = Some(why);
    }
    Ok(finding)
}

/// Takes one identifier into account: passing and aligned is what counts, and what may be so
/// when DNS answers is not taken for failing.
fn note(
    outcome: Outcome,
    aligned: Result<bool, String>,
    found: &mut bool,
    unsure: &mut Option<String>,
) {
    match (outcome, aligned) {
        (Outcome::Pass, Ok(true)) => *found = true,
        (Outcome::Pass, Err(detail)) => *unsure = Some(detail),
        (Outcome::TempError, Ok(true) | Err(_)) => {
            *unsure = Some("what would align could not be checked for lack of DNS".to_owned());
        }
        (
            Outcome::Pass
            | Outcome::TempError
            | Outcome::None
            | Outcome::Fail
            | Outcome::SoftFail
            | Outcome::Neutral
            | Outcome::Policy
            | Outcome::PermError,
            _,
        ) => {}
    }
}

/// Sets what follows from a failure.
fn apply(finding: &mut Finding, testing: bool, percent: u8, local: &Local, sample: u8) {
    if finding.outcome != Outcome::Fail {
        return;
    }
    let requested = finding.policy.unwrap_or(Policy::None);
    finding.disposition = requested;
    if requested != Policy::None && testing {
        finding.disposition = requested.milder();
        finding.exception = Some(Exception::PolicyTestMode);
    } else if requested != Policy::None && sample >= percent {
        finding.disposition = requested.milder();
        finding.exception = Some(Exception::SampledOut);
    }
    let of = |domain: &Domain| crate::name::is_within(&finding.domain, domain.as_str());
    let chosen = local.overrides.iter().filter(|(domain, _)| of(domain));
    // The nearest entry counts.
    if let Some((_, policy)) = chosen.max_by_key(|(domain, _)| domain.as_str().len()) {
        finding.disposition = *policy;
        finding.exception = Some(Exception::LocalPolicy);
    }
}

/// Whether a name has neither addresses nor mail exchangers (RFC 9091 section 2.6).
async fn is_missing(dns: &dyn Dns, domain: &str) -> Result<bool, String> {
    for question in [Question::A, Question::Aaaa, Question::Mx] {
        match dns.ask(domain, question).await {
            Ok(_) => return Ok(false),
            Err(Lack::NoSuchName | Lack::NoRecords) => {}
            Err(Lack::Temporary(detail)) => return Err(format!("{domain}: {detail}")),
        }
    }
    Ok(true)
}
