//! The one function that sets demands against what was seen.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::demand::{Demands, Source, Standing};
use crate::observed::{Anchor, FailureKind, Handshake, Observed, Verification};
use crate::requirement::{Level, Proof, Proofs, Requirement};
use crate::shortfall::Shortfall;

/// Demands set against an observation. Kept as evidence either way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// What was demanded, and by whom.
    pub demands: Demands,
    /// What was seen.
    pub observed: Observed,
    /// The proofs that the peer gave, demanded or not.
    pub proofs: Vec<Proof>,
    /// Whether it is enough.
    pub outcome: Outcome,
    /// The word that people see.
    pub protection: Protection,
}

/// Whether what was seen is enough.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// An envelope may be sent.
    Met,
    /// Nothing may be sent over this connection.
    NotMet(Shortfall),
}

/// The fixed words for protection. Never a bare padlock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Protection {
    /// TLS with a peer that proved who it is.
    #[serde(rename = "PROVEN")]
    Proven,
    /// TLS with a peer that may be anyone.
    #[serde(rename = "ENCRYPTED")]
    Encrypted,
    /// In the clear.
    #[serde(rename = "NOT ENCRYPTED")]
    NotEncrypted,
    /// Refused rather than sent with less than was demanded.
    #[serde(rename = "NOT SENT")]
    NotSent,
    /// It did not leave this server.
    #[serde(rename = "LOCAL")]
    Local,
}

/// Sets `observed` against `demands`. Pure, total, and the only place that decides.
///
/// [`Observed::Failed`] is met where nothing above [`Level::Opportunistic`] is
/// demanded: the mail may then go over a new connection in the clear. Failed DNS is
/// the exception, for what is demanded is then itself unknown.
pub fn judge(demands: &Demands, observed: &Observed) -> Verdict {
    let required = demands.joined();
    let outcome = match shortfall(&required, observed) {
        None => Outcome::Met,
        Some(shortfall) => Outcome::NotMet(shortfall),
    };
    let given = match observed {
        Observed::Encrypted(handshake) => given(handshake, demands),
        Observed::Local | Observed::Plaintext(_) | Observed::Failed(_) => Vec::new(),
    };
    let protection = match (&outcome, observed) {
        (Outcome::NotMet(_), _) => Protection::NotSent,
        (Outcome::Met, Observed::Local) => Protection::Local,
        (Outcome::Met, Observed::Encrypted(handshake)) if is_proof(&given, handshake) => {
            Protection::Proven
        }
        (Outcome::Met, Observed::Encrypted(_)) => Protection::Encrypted,
        (Outcome::Met, Observed::Plaintext(_) | Observed::Failed(_)) => Protection::NotEncrypted,
    };
    Verdict {
        demands: demands.clone(),
        observed: observed.clone(),
        proofs: given,
        outcome,
        protection,
    }
}

/// The first thing missing, in the order in which a person would ask.
fn shortfall(required: &Requirement, observed: &Observed) -> Option<Shortfall> {
    if let Observed::Failed(failure) = observed
        && failure.kind == FailureKind::Dns
    {
        return Some(Shortfall::Failed(failure.clone()));
    }
    if required.level < Level::Encrypted {
        return None;
    }
    let handshake = match observed {
        Observed::Local => return None,
        Observed::Plaintext(why) => return Some(Shortfall::InClear(why.clone())),
        Observed::Failed(failure) => return Some(Shortfall::Failed(failure.clone())),
        Observed::Encrypted(handshake) => handshake,
    };
    if !required.versions.contains(handshake.version) {
        let (found, allowed) = (handshake.version, required.versions);
        return Some(Shortfall::Version { found, allowed });
    }
    if required.suites.as_ref().is_some_and(|suites| !suites.contains(&handshake.suite)) {
        return Some(Shortfall::Suite { found: handshake.suite });
    }
    if required.level < Level::Authenticated {
        return None;
    }
    required.proofs.iter().find_map(|choice| unproven(choice, required.anchor, handshake))
}

/// What is missing from one choice of proofs.
fn unproven(choice: &Proofs, anchor: Anchor, handshake: &Handshake) -> Option<Shortfall> {
    let wanted = choice.clone();
    if pin_of(choice, handshake) {
        return None;
    }
    match &handshake.verification {
        Verification::Trusted { by, .. } if choice.dane && by.contains(&Proof::Dane) => None,
        Verification::Trusted { by, anchor: found, .. } if by.contains(&Proof::WebPki) => {
            let listed = *found == Anchor::MtaSts;
            if !(choice.web_pki || choice.mta_sts && listed) {
                return Some(Shortfall::Unproven { wanted, reason: None });
            }
            let (found, wanted) = (*found, anchor);
            (found < wanted).then_some(Shortfall::Anchor { found, wanted })
        }
        Verification::Untrusted { reason, .. } if choice.web_pki || choice.mta_sts => {
            Some(Shortfall::Unproven { wanted, reason: Some(reason.clone()) })
        }
        Verification::NoCertificate
        | Verification::Trusted { .. }
        | Verification::Untrusted { .. } => Some(Shortfall::Unproven { wanted, reason: None }),
    }
}

fn pin_of(choice: &Proofs, handshake: &Handshake) -> bool {
    handshake.leaf().is_some_and(|leaf| {
        choice.pins.contains(&leaf.sha256) || choice.pins.contains(&leaf.spki_sha256)
    })
}

/// Every proof the peer gave: what was verified, and the pins among the demands.
fn given(handshake: &Handshake, demands: &Demands) -> Vec<Proof> {
    let mut proofs = Vec::new();
    if let Verification::Trusted { by, anchor, .. } = &handshake.verification {
        proofs.extend(by.iter().copied());
        if by.contains(&Proof::WebPki) && *anchor == Anchor::MtaSts {
            proofs.push(Proof::MtaSts);
        }
    }
    let pinned = demands
        .binding()
        .flat_map(|demand| &demand.requirement.proofs)
        .any(|choice| pin_of(choice, handshake));
    if pinned {
        proofs.push(Proof::Pin);
    }
    proofs.sort_unstable();
    proofs.dedup();
    proofs
}

/// Web PKI for a name that anybody could have supplied is encryption, not proof.
fn is_proof(given: &[Proof], handshake: &Handshake) -> bool {
    given.iter().any(|proof| match proof {
        Proof::Dane | Proof::Pin | Proof::MtaSts => true,
        Proof::WebPki => matches!(
            handshake.verification,
            Verification::Trusted { anchor, .. } if anchor > Anchor::UnsignedDns
        ),
    })
}

impl Verdict {
    /// Whether an envelope may be sent.
    pub fn is_met(&self) -> bool {
        matches!(self.outcome, Outcome::Met)
    }

    /// What is missing, if anything.
    pub fn shortfall(&self) -> Option<&Shortfall> {
        match &self.outcome {
            Outcome::Met => None,
            Outcome::NotMet(shortfall) => Some(shortfall),
        }
    }

    /// The sources of the demand that decided, in words: `Force Encrypt "bank.example" (line 12)`.
    pub fn because(&self) -> String {
        list(&self.demands.deciding())
    }

    /// For the sender: why the message was not sent, in a sentence or two. `None` if met.
    pub fn explanation(&self) -> Option<String> {
        let shortfall = self.shortfall()?;
        let level = match self.demands.joined().level {
            Level::Authenticated => "an encrypted connection to a server that proves who it is",
            Level::None | Level::Opportunistic | Level::Encrypted => "an encrypted connection",
        };
        Some(format!(
            "This message may only be sent over {level}, because of {}. It was not sent: {shortfall}.",
            self.because()
        ))
    }
}

fn list(sources: &[&Source]) -> String {
    let words: Vec<_> = sources.iter().map(ToString::to_string).collect();
    match words.split_last() {
        None => "no demand".to_owned(),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

impl fmt::Display for Verdict {
    /// For example `Authenticated, because Force Encrypt "bank.example" (line 12); met: TLS 1.3,
    /// certificate verified for mx1.bank.example by web PKI`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.demands.joined().level {
            Level::None => "No protection",
            Level::Opportunistic => "Opportunistic",
            Level::Encrypted => "Encrypted",
            Level::Authenticated => "Authenticated",
        };
        write!(f, "{level}, {}", self.cause())?;
        for (demand, standing) in self.demands.standings() {
            match standing {
                Standing::Binding => {}
                Standing::Testing => write!(f, ", {} not enforced", demand.source)?,
                Standing::Waived => write!(f, ", {} waived by the sender", demand.source)?,
                Standing::Replaced => write!(f, ", {} replaced by DANE", demand.source)?,
            }
        }
        match &self.outcome {
            Outcome::Met => write!(f, "; met: {}", Seen(self)),
            Outcome::NotMet(shortfall) => write!(f, "; not met: {shortfall}"),
        }
    }
}

impl Verdict {
    fn cause(&self) -> String {
        match self.demands.deciding()[..] {
            [] => "since nothing asks for it".to_owned(),
            [Source::Default] => "by default".to_owned(),
            _ => format!("because {}", self.because()),
        }
    }
}

/// What was seen, in words.
struct Seen<'a>(&'a Verdict);

impl fmt::Display for Seen<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let handshake = match &self.0.observed {
            Observed::Local => return f.write_str("it did not leave this server"),
            Observed::Plaintext(why) => return write!(f, "in the clear, {why}"),
            Observed::Failed(failure) => return write!(f, "may go in the clear, {failure}"),
            Observed::Encrypted(handshake) => handshake,
        };
        write!(f, "{}, ", handshake.version)?;
        let proofs: Vec<_> = self.0.proofs.iter().map(ToString::to_string).collect();
        match &handshake.verification {
            Verification::Trusted { name, anchor, .. } => {
                write!(f, "certificate verified for {name} by {}", proofs.join(" and "))?;
                if self.0.protection == Protection::Encrypted {
                    write!(f, ", {anchor}")?;
                }
                Ok(())
            }
            Verification::Untrusted { .. } | Verification::NoCertificate if !proofs.is_empty() => {
                write!(f, "certificate verified by {}", proofs.join(" and "))
            }
            Verification::Untrusted { name, reason } => {
                write!(f, "certificate not verified for {name}: {reason}")
            }
            Verification::NoCertificate => f.write_str("no certificate of the peer"),
        }
    }
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Proven => "PROVEN",
            Self::Encrypted => "ENCRYPTED",
            Self::NotEncrypted => "NOT ENCRYPTED",
            Self::NotSent => "NOT SENT",
            Self::Local => "LOCAL",
        })
    }
}

#[cfg(test)]
#[allow(clippy::needless_raw_string_hashes)] // written by expect-test
mod tests {
    use std::collections::BTreeSet;

    use expect_test::{Expect, expect};

    use super::*;
    use crate::algorithm::Suite;
    use crate::demand::{Demand, MtaStsMode};
    use crate::fingerprint::Fingerprint;
    use crate::observed::Certificate;
    use crate::observed::{Distrust, Failure, Plaintext};
    use crate::version::{Version, Versions};

    fn force_encrypt() -> Source {
        Source::ForceEncrypt { entry: "bank.example".to_owned(), line: 12 }
    }

    fn seen(verification: Verification) -> Observed {
        let leaf = Certificate {
            sha256: Fingerprint::of(b"certificate"),
            spki_sha256: Fingerprint::of(b"key"),
            subject: "CN=mx1.bank.example".to_owned(),
            issuer: "CN=Some CA".to_owned(),
            names: vec!["mx1.bank.example".to_owned()],
            not_before: mail::Timestamp(0),
            not_after: mail::Timestamp(1),
        };
        Observed::Encrypted(Box::new(Handshake {
            version: Version::Tls13,
            suite: Suite(0x1302),
            group: Some(crate::Group::X25519_MLKEM768),
            sni: None,
            alpn: None,
            resumed: false,
            peer_chain: vec![leaf],
            verification,
            own_certificate: None,
        }))
    }

    fn trusted(anchor: Anchor, by: Proof) -> Observed {
        let name = "mx1.bank.example".to_owned();
        seen(Verification::Trusted { name, anchor, by: BTreeSet::from([by]) })
    }

    fn untrusted(reason: Distrust) -> Observed {
        seen(Verification::Untrusted { name: "mx1.bank.example".to_owned(), reason })
    }

    fn check(demands: &Demands, observed: &Observed, words: &Expect) {
        let verdict = judge(demands, observed);
        let mut text = format!("{verdict}\n{}", verdict.protection);
        if let (Some(shortfall), Some(explanation)) = (verdict.shortfall(), verdict.explanation()) {
            text = format!("{text} {}\n{explanation}", shortfall.status());
        }
        words.assert_eq(&text);
    }

    #[test]
    fn a_met_demand_says_who_asked_and_what_was_proven() {
        let opportunistic = Demands::by_default(Requirement::opportunistic());
        let verified = opportunistic.clone().and(force_encrypt(), Requirement::authenticated());
        check(
            &verified,
            &trusted(Anchor::RecipientDomain, Proof::WebPki),
            &expect![[r#"
            Authenticated, because Force Encrypt "bank.example" (line 12); met: TLS 1.3, certificate verified for mx1.bank.example by web PKI
            PROVEN"#]],
        );
        check(
            &opportunistic,
            &untrusted(Distrust::SelfSigned),
            &expect![[r#"
                Opportunistic, by default; met: TLS 1.3, certificate not verified for mx1.bank.example: it is self-signed
                ENCRYPTED"#]],
        );
        check(
            &opportunistic,
            &Observed::Plaintext(Plaintext::NotOffered),
            &expect![[r#"
                Opportunistic, by default; met: in the clear, the peer does not offer STARTTLS
                NOT ENCRYPTED"#]],
        );
        check(
            &opportunistic,
            &Observed::Local,
            &expect![[r#"
                Opportunistic, by default; met: it did not leave this server
                LOCAL"#]],
        );
        check(
            &verified,
            &trusted(Anchor::UnsignedDns, Proof::WebPki),
            &expect![[r#"
            Authenticated, because Force Encrypt "bank.example" (line 12); met: TLS 1.3, certificate verified for mx1.bank.example by web PKI, a name from unsigned DNS
            ENCRYPTED"#]],
        );
        let pin = Requirement::pinned([Fingerprint::of(b"key")]);
        let pinned = Demands::new().and(force_encrypt(), pin);
        check(
            &pinned,
            &untrusted(Distrust::SelfSigned),
            &expect![[r#"
            Authenticated, because Force Encrypt "bank.example" (line 12); met: TLS 1.3, certificate verified by pin
            PROVEN"#]],
        );
        check(
            &Demands::new(),
            &Observed::Plaintext(Plaintext::NotTried),
            &expect![[r#"
                No protection, since nothing asks for it; met: in the clear, TLS was not tried
                NOT ENCRYPTED"#]],
        );
    }

    #[test]
    fn an_unmet_demand_says_what_is_missing_in_words_for_the_sender() {
        let encrypted = Demands::new().and(force_encrypt(), Requirement::encrypted());
        let verified = Demands::new().and(force_encrypt(), Requirement::authenticated());
        check(
            &encrypted,
            &Observed::Plaintext(Plaintext::NotOffered),
            &expect![[r#"
            Encrypted, because Force Encrypt "bank.example" (line 12); not met: the peer does not offer STARTTLS
            NOT SENT 5.7.10
            This message may only be sent over an encrypted connection, because of Force Encrypt "bank.example" (line 12). It was not sent: the peer does not offer STARTTLS."#]],
        );
        let later = Plaintext::Refused { code: 454, text: "4.7.0 TLS is busy".to_owned() };
        check(
            &encrypted,
            &Observed::Plaintext(later),
            &expect![[r#"
            Encrypted, because Force Encrypt "bank.example" (line 12); not met: the peer refused STARTTLS with "454 4.7.0 TLS is busy"
            NOT SENT 4.7.10
            This message may only be sent over an encrypted connection, because of Force Encrypt "bank.example" (line 12). It was not sent: the peer refused STARTTLS with "454 4.7.0 TLS is busy"."#]],
        );
        let broken = Failure::new(FailureKind::Handshake, "received corrupt message");
        check(
            &encrypted,
            &Observed::Failed(broken),
            &expect![[r#"
            Encrypted, because Force Encrypt "bank.example" (line 12); not met: the TLS handshake failed (received corrupt message)
            NOT SENT 4.7.5
            This message may only be sent over an encrypted connection, because of Force Encrypt "bank.example" (line 12). It was not sent: the TLS handshake failed (received corrupt message)."#]],
        );
        check(
            &verified,
            &untrusted(Distrust::Expired { not_after: None }),
            &expect![[r#"
            Authenticated, because Force Encrypt "bank.example" (line 12); not met: the certificate of the peer proves nothing: it has expired
            NOT SENT 4.7.5
            This message may only be sent over an encrypted connection to a server that proves who it is, because of Force Encrypt "bank.example" (line 12). It was not sent: the certificate of the peer proves nothing: it has expired."#]],
        );
        let presented = ["a", "b", "c", "d"].map(|name| format!("{name}.example")).to_vec();
        check(
            &verified,
            &untrusted(Distrust::WrongName { presented }),
            &expect![[r#"
            Authenticated, because Force Encrypt "bank.example" (line 12); not met: the certificate of the peer proves nothing: it is for a.example, b.example, c.example and others
            NOT SENT 4.7.5
            This message may only be sent over an encrypted connection to a server that proves who it is, because of Force Encrypt "bank.example" (line 12). It was not sent: the certificate of the peer proves nothing: it is for a.example, b.example, c.example and others."#]],
        );
        let tls12 = Requirement::encrypted().with_versions(Versions::only(Version::Tls12));
        let rule = Source::Rule { name: "old_scanner".to_owned(), line: 40 };
        check(
            &Demands::new().and(rule, tls12),
            &trusted(Anchor::RecipientDomain, Proof::WebPki),
            &expect![[r#"
                Encrypted, because rule "old_scanner" (line 40); not met: the connection uses TLS 1.3 and only TLS 1.2 is allowed
                NOT SENT 5.7.10
                This message may only be sent over an encrypted connection, because of rule "old_scanner" (line 40). It was not sent: the connection uses TLS 1.3 and only TLS 1.2 is allowed."#]],
        );
        let mut require_tls = Demands::new();
        require_tls.push(Demand::require_tls());
        check(
            &require_tls,
            &trusted(Anchor::UnsignedDns, Proof::WebPki),
            &expect![[r#"
            Authenticated, because REQUIRETLS; not met: the certificate is for a name from unsigned DNS, where a name from DNSSEC is demanded
            NOT SENT 5.7.5
            This message may only be sent over an encrypted connection to a server that proves who it is, because of REQUIRETLS. It was not sent: the certificate is for a name from unsigned DNS, where a name from DNSSEC is demanded."#]],
        );
    }

    #[test]
    fn what_does_not_bind_is_said_beside_what_does() {
        let demands: Demands = [
            Demand::new(Source::Default, Requirement::opportunistic()),
            Demand::mta_sts("bank.example", MtaStsMode::Testing),
        ]
        .into_iter()
        .collect();
        check(
            &demands,
            &untrusted(Distrust::UnknownIssuer),
            &expect![[r#"
                Opportunistic, by default, MTA-STS of bank.example (testing) not enforced; met: TLS 1.3, certificate not verified for mx1.bank.example: its issuer is not a trusted authority
                ENCRYPTED"#]],
        );
        let demands: Demands = [
            Demand::new(force_encrypt(), Requirement::authenticated()),
            Demand::mta_sts("bank.example", MtaStsMode::Enforce),
            Demand::dane("mx1.bank.example"),
        ]
        .into_iter()
        .collect();
        check(
            &demands,
            &trusted(Anchor::UnsignedDns, Proof::Dane),
            &expect![[r#"
            Authenticated, because Force Encrypt "bank.example" (line 12) and DANE for mx1.bank.example, MTA-STS of bank.example replaced by DANE; met: TLS 1.3, certificate verified for mx1.bank.example by DANE
            PROVEN"#]],
        );
        let mut waived = demands;
        waived.push(Demand::tls_required_no());
        check(
            &waived,
            &untrusted(Distrust::SelfSigned),
            &expect![[r#"
            Authenticated, because Force Encrypt "bank.example" (line 12), MTA-STS of bank.example waived by the sender, DANE for mx1.bank.example waived by the sender; not met: the certificate of the peer proves nothing: it is self-signed
            NOT SENT 4.7.5
            This message may only be sent over an encrypted connection to a server that proves who it is, because of Force Encrypt "bank.example" (line 12). It was not sent: the certificate of the peer proves nothing: it is self-signed."#]],
        );
    }
}
