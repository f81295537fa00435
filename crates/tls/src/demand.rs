//! Who demands protection, and how much.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::observed::Anchor;
use crate::requirement::{Level, Proofs, Requirement};

/// Where a demand comes from. `Display` is how people read it everywhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The global default.
    Default,
    /// A rule of the configuration.
    Rule {
        /// Its name.
        name: String,
        /// Its line.
        line: u32,
    },
    /// An entry of the Force Encrypt table.
    ForceEncrypt {
        /// The entry: a domain, an address or a range.
        entry: String,
        /// Its line.
        line: u32,
    },
    /// The route to a smart host.
    SmartHost {
        /// The host as configured.
        host: String,
    },
    /// The settings of a listener.
    Listener {
        /// Its name.
        name: String,
    },
    /// TLSA records of the MX (RFC 7672).
    Dane {
        /// The MX.
        host: String,
    },
    /// The MTA-STS policy of the recipient's domain (RFC 8461).
    MtaSts {
        /// The domain.
        domain: String,
        /// Whether it binds.
        mode: MtaStsMode,
    },
    /// The sender asked for it with REQUIRETLS (RFC 8689 section 2).
    RequireTls,
    /// The sender waived DANE and MTA-STS with `TLS-Required: No` (RFC 8689 section 3).
    TlsRequiredNo,
}

/// What an MTA-STS policy asks for (RFC 8461 section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MtaStsMode {
    /// A failure stops the mail.
    Enforce,
    /// A failure is reported only.
    Testing,
}

/// One source and what it demands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demand {
    /// Who.
    pub source: Source,
    /// How much.
    pub requirement: Requirement,
}

/// All demands on one connection, in the order in which they were found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Demands(Vec<Demand>);

/// Whether a demand takes part in the join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It binds.
    Binding,
    /// It is reported and does not bind: MTA-STS in testing mode.
    Testing,
    /// The sender waived it with `TLS-Required: No`.
    Waived,
    /// DANE stands in its place (RFC 8461 section 2).
    Replaced,
}

impl Demand {
    /// A demand with its source.
    pub fn new(source: Source, requirement: Requirement) -> Self {
        Self { source, requirement }
    }

    /// Usable and secure TLSA records: DANE or not at all (RFC 7672 section 2.2).
    pub fn dane(host: impl Into<String>) -> Self {
        let proofs = Proofs { dane: true, ..Proofs::default() };
        Self::new(Source::Dane { host: host.into() }, Requirement::proven_by(proofs))
    }

    /// Secure TLSA records of which none can be used: TLS without authentication
    /// (RFC 7672 section 2.2).
    pub fn dane_unusable(host: impl Into<String>) -> Self {
        Self::new(Source::Dane { host: host.into() }, Requirement::encrypted())
    }

    /// An MTA-STS policy: web PKI for a listed name (RFC 8461 section 4).
    pub fn mta_sts(domain: impl Into<String>, mode: MtaStsMode) -> Self {
        let proofs = Proofs { mta_sts: true, ..Proofs::default() };
        Self::new(Source::MtaSts { domain: domain.into(), mode }, Requirement::proven_by(proofs))
    }

    /// REQUIRETLS: a proven peer whose name is itself secure (RFC 8689 section 4.2.1).
    pub fn require_tls() -> Self {
        let requirement = Requirement::authenticated().with_anchor(Anchor::SecureDns);
        Self::new(Source::RequireTls, requirement)
    }

    /// `TLS-Required: No`, which waives DANE and MTA-STS and nothing else.
    pub fn tls_required_no() -> Self {
        Self::new(Source::TlsRequiredNo, Requirement::none())
    }
}

impl Demands {
    /// No demand at all.
    pub fn new() -> Self {
        Self::default()
    }

    /// The demand of the global default alone.
    pub fn by_default(requirement: Requirement) -> Self {
        Self(vec![Demand::new(Source::Default, requirement)])
    }

    /// Adds a demand.
    pub fn push(&mut self, demand: Demand) {
        self.0.push(demand);
    }

    /// The same with one demand more.
    #[must_use]
    pub fn and(mut self, source: Source, requirement: Requirement) -> Self {
        self.push(Demand::new(source, requirement));
        self
    }

    /// Every demand, binding or not.
    pub fn iter(&self) -> impl Iterator<Item = &Demand> {
        self.0.iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every demand with its standing beside the others.
    pub fn standings(&self) -> impl Iterator<Item = (&Demand, Standing)> {
        let has = |wanted: fn(&Source) -> bool| self.0.iter().any(|demand| wanted(&demand.source));
        // REQUIRETLS makes the header void (RFC 8689 section 4.1).
        let waived = has(|source| matches!(source, Source::TlsRequiredNo))
            && !has(|source| matches!(source, Source::RequireTls));
        let dane = self.0.iter().any(|demand| {
            matches!(demand.source, Source::Dane { .. })
                && demand.requirement.level == Level::Authenticated
        });
        self.0.iter().map(move |demand| (demand, standing(&demand.source, waived, dane)))
    }

    /// The demands that bind.
    pub fn binding(&self) -> impl Iterator<Item = &Demand> {
        self.standings()
            .filter(|&(_, standing)| standing == Standing::Binding)
            .map(|(demand, _)| demand)
    }

    /// What satisfies every binding demand. Without any it is [`Requirement::none`].
    pub fn joined(&self) -> Requirement {
        self.binding().fold(Requirement::none(), |joined, demand| joined.join(&demand.requirement))
    }

    /// The sources that set the joined level.
    pub fn deciding(&self) -> Vec<&Source> {
        let level = self.joined().level;
        self.binding()
            .filter(|demand| demand.requirement.level == level)
            .map(|demand| &demand.source)
            .collect()
    }
}

fn standing(source: &Source, waived: bool, dane: bool) -> Standing {
    match source {
        Source::Dane { .. } | Source::MtaSts { .. } if waived => Standing::Waived,
        Source::MtaSts { .. } if dane => Standing::Replaced,
        Source::MtaSts { mode: MtaStsMode::Testing, .. } => Standing::Testing,
        Source::Default
        | Source::Rule { .. }
        | Source::ForceEncrypt { .. }
        | Source::SmartHost { .. }
        | Source::Listener { .. }
        | Source::Dane { .. }
        | Source::MtaSts { mode: MtaStsMode::Enforce, .. }
        | Source::RequireTls
        | Source::TlsRequiredNo => Standing::Binding,
    }
}

impl FromIterator<Demand> for Demands {
    fn from_iter<I: IntoIterator<Item = Demand>>(demands: I) -> Self {
        Self(demands.into_iter().collect())
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("the default"),
            Self::Rule { name, line } => write!(f, "rule \"{name}\" (line {line})"),
            Self::ForceEncrypt { entry, line } => {
                write!(f, "Force Encrypt \"{entry}\" (line {line})")
            }
            Self::SmartHost { host } => write!(f, "smart host {host}"),
            Self::Listener { name } => write!(f, "listener \"{name}\""),
            Self::Dane { host } => write!(f, "DANE for {host}"),
            Self::MtaSts { domain, mode: MtaStsMode::Enforce } => write!(f, "MTA-STS of {domain}"),
            Self::MtaSts { domain, mode: MtaStsMode::Testing } => {
                write!(f, "MTA-STS of {domain} (testing)")
            }
            Self::RequireTls => f.write_str("REQUIRETLS"),
            Self::TlsRequiredNo => f.write_str("\"TLS-Required: No\""),
        }
    }
}
