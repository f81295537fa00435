//! The chain of those who handled a message on its way (RFC 8617), verified.

use mail::Domain;
use mail::header::Header;

use crate::canonical::{self, Canonicalization};
use crate::crypto::Algorithm;
use crate::dkim::{self, Fault, HashedBody, Key, Signature, parts, without_signature};
use crate::name::is_within;
use crate::tags::Tags;
use crate::{Dns, Outcome};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The most handlers of a chain (RFC 8617 section 4.2.1).
pub const SETS_MAX: usize = 50;

/// The three fields of a set, in the order they are sealed.
pub const FIELDS: [&str; 3] = ["ARC-Authentication-Results", "ARC-Message-Signature", "ARC-Seal"];

/// What was found about the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it came to: none, pass, fail or temperror.
    pub outcome: Outcome,
    /// Who sealed, the oldest first: `d=` of each seal.
    pub sealers: Vec<String>,
    /// What each of them says it found, beginning after the instance.
    pub results: Vec<String>,
    /// What is wrong.
    pub reason: Option<String>,
}

impl Finding {
    /// Whether handlers in `trusted` found that DMARC passed when the message came to them:
    /// the chain passes, and one of them, after whom only others of them handled it, says so.
    pub fn vouches(&self, trusted: &[Domain]) -> bool {
        let is_trusted =
            |sealer: &String| trusted.iter().any(|domain| is_within(sealer, domain.as_str()));
        self.outcome == Outcome::Pass
            && self
                .sealers
                .iter()
                .zip(&self.results)
                .rev()
                .take_while(|(sealer, _)| is_trusted(sealer))
                .any(|(_, results)| says_dmarc_passed(results))
    }
}

/// Whether results of a handler hold `dmarc=pass`.
fn says_dmarc_passed(results: &str) -> bool {
    results.split(';').any(|result| {
        let Some((method, rest)) = result.split_once('=') else { return false };
        let word = rest.trim_start().split(|c: char| !c.is_ascii_alphanumeric()).next();
        method.trim().eq_ignore_ascii_case("dmarc")
            && word.is_some_and(|word| word.eq_ignore_ascii_case("pass"))
    })
}

/// The chain of a message as its header has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Chain {
    /// There is none.
    Absent,
    /// It is broken without any look at a signature.
    Broken { reason: String },
    /// Its form is right.
    Whole(Vec<Set>),
}

/// What one handler added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Set {
    /// The numbers of its fields in the header, as in [`FIELDS`].
    at: [usize; 3],
    results: String,
    pub message: Signature,
    seal: Seal,
}

/// `ARC-Seal` (RFC 8617 section 4.1.3).
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seal {
    algorithm: Algorithm,
    value: Vec<u8>,
    chain: ChainWord,
    domain: String,
    selector: String,
}

/// `cv=`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ChainWord {
    None,
    Pass,
    Fail,
}

impl Chain {
    /// Reads the fields of all sets (RFC 8617 section 5.2, steps 1 to 3).
    pub(crate) fn read(header: &Header<'_>) -> Self {
        match sets(header) {
            Ok(sets) if sets.is_empty() => Self::Absent,
            Ok(sets) => Self::Whole(sets),
            Err(reason) => Self::Broken { reason },
        }
    }

    /// The signature of the latest handler: the only one whose body must still fit.
    pub(crate) fn latest(&self) -> Option<&Signature> {
        match self {
            Self::Whole(sets) => sets.last().map(|set| &set.message),
            Self::Absent | Self::Broken { .. } => None,
        }
    }

    /// Verifies the latest signature and every seal.
    pub(crate) async fn verify(
        &self,
        dns: &dyn Dns,
        header: &Header<'_>,
        bodies: &[HashedBody],
        rsa_min_bits: usize,
    ) -> Finding {
        let nothing =
            |outcome, reason| Finding { outcome, sealers: Vec::new(), results: Vec::new(), reason };
        let sets = match self {
            Self::Absent => return nothing(Outcome::None, None),
            Self::Broken { reason } => return nothing(Outcome::Fail, Some(reason.clone())),
            Self::Whole(sets) => sets,
        };
        let verified = verify(dns, header, sets, bodies, rsa_min_bits).await;
        let (outcome, reason) = match verified {
            Ok(()) => (Outcome::Pass, None),
            Err(fault) if fault.outcome == Outcome::TempError => {
                (Outcome::TempError, Some(fault.reason))
            }
            // RFC 8617 knows no other result of a chain that does not pass.
            Err(fault) => (Outcome::Fail, Some(fault.reason)),
        };
        Finding {
            outcome,
            sealers: sets.iter().map(|set| set.seal.domain.clone()).collect(),
            results: sets.iter().map(|set| set.results.clone()).collect(),
            reason,
        }
    }
}

async fn verify(
    dns: &dyn Dns,
    header: &Header<'_>,
    sets: &[Set],
    bodies: &[HashedBody],
    rsa_min_bits: usize,
) -> Result<(), Fault> {
    let of = |number: usize, fault: Fault| Fault {
        reason: format!("i={number}: {}", fault.reason),
        ..fault
    };
    if let Some(latest) = sets.last() {
        let signature = &latest.message;
        let check = async {
            dkim::check_body(signature, bodies, true)?;
            let key = dkim::look_up(dns, signature, rsa_min_bits).await?;
            dkim::check_header(header, latest.at[1], signature, &key)
        };
        check.await.map_err(|fault| of(sets.len(), fault))?;
    }
    for number in (1..=sets.len()).rev() {
        let sealed = &sets[..number];
        verify_seal(dns, header, sealed, rsa_min_bits).await.map_err(|fault| of(number, fault))?;
    }
    Ok(())
}

/// Verifies the last seal of `sets` (RFC 8617 section 5.1.1 says what it is made over).
async fn verify_seal(
    dns: &dyn Dns,
    header: &Header<'_>,
    sets: &[Set],
    rsa_min_bits: usize,
) -> Result<(), Fault> {
    let Some(Set { seal, message, .. }) = sets.last() else { return Ok(()) };
    let by = Signature {
        algorithm: seal.algorithm,
        domain: seal.domain.clone(),
        selector: seal.selector.clone(),
        identity: None,
        ..message.clone()
    };
    let key: Key = dkim::look_up(dns, &by, rsa_min_bits).await?;
    let fields: Vec<&[u8]> = header.fields().map(|field| field.as_bytes()).collect();
    let mut data = Vec::with_capacity(2_048);
    for (number, set) in sets.iter().enumerate() {
        for (place, at) in set.at.into_iter().enumerate() {
            let (name, value) = parts(fields.get(at).copied().unwrap_or_default());
            let is_last = number + 1 == sets.len() && place + 1 == FIELDS.len();
            if is_last {
                let value = without_signature(value);
                canonical::field(Canonicalization::Relaxed, name, &value, &mut data);
            } else {
                canonical::field(Canonicalization::Relaxed, name, value, &mut data);
            }
        }
    }
    data.truncate(data.len().saturating_sub(2));
    if key.public.verifies(&data, &seal.value) {
        Ok(())
    } else {
        Err(Fault::new(Outcome::Fail, "the seal does not fit"))
    }
}

/// The sets in order, if each is there once and says what it must.
fn sets(header: &Header<'_>) -> Result<Vec<Set>, String> {
    let mut found: Vec<(usize, usize, usize, &[u8])> = Vec::new();
    for (at, field) in header.fields().enumerate() {
        let (name, value) = parts(field.as_bytes());
        let name = name.trim_ascii_end();
        let kind = FIELDS.iter().position(|known| name.eq_ignore_ascii_case(known.as_bytes()));
        let Some(kind) = kind else { continue };
        if found.len() == SETS_MAX * FIELDS.len() {
            return Err(format!("the chain has more than {SETS_MAX} sets"));
        }
        let instance = instance(kind, value).map_err(|why| format!("{}: {why}", FIELDS[kind]))?;
        found.push((instance, kind, at, value));
    }
    let count = found.len().div_ceil(FIELDS.len());
    let mut sets = Vec::with_capacity(count);
    for number in 1..=count {
        let mut of_kind = [None; 3];
        for (_, kind, at, value) in found.iter().filter(|(instance, ..)| *instance == number) {
            if of_kind[*kind].replace((*at, *value)).is_some() {
                return Err(format!("{} i={number} stands twice", FIELDS[*kind]));
            }
        }
        let [Some(results), Some(message), Some(seal)] = of_kind else {
            return Err(format!("the set i={number} is not complete"));
        };
        sets.push(set(number, [results, message, seal])?);
    }
    if found.len() != count * FIELDS.len() {
        return Err("the chain has fields that belong to no set".to_owned());
    }
    Ok(sets)
}

fn set(number: usize, fields: [(usize, &[u8]); 3]) -> Result<Set, String> {
    let [results, message, seal] = fields;
    let of = |name: usize, why: String| format!("{} i={number}: {why}", FIELDS[name]);
    let message_signature =
        Signature::of(message.1, dkim::SignatureKind::Arc).map_err(|fault| of(1, fault.reason))?;
    let sealed = Seal::parse(seal.1).map_err(|why| of(2, why))?;
    match (number, sealed.chain) {
        (1, ChainWord::None) | (2.., ChainWord::Pass) => {}
        (_, ChainWord::Fail) => return Err(of(2, "it says that the chain was broken".to_owned())),
        (_, ChainWord::None | ChainWord::Pass) => {
            return Err(of(2, "it has the wrong cv=".to_owned()));
        }
    }
    let text = String::from_utf8_lossy(results.1);
    let text = text.split_once(';').map_or("", |(_, results)| results).trim().to_owned();
    Ok(Set {
        at: [results.0, message.0, seal.0],
        results: text,
        message: message_signature,
        seal: sealed,
    })
}

/// The number of the set that a field belongs to: `i=`, which must come first in the results.
fn instance(kind: usize, value: &[u8]) -> Result<usize, String> {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|number| digits && (1..=SETS_MAX).contains(number))
    };
    let wrong = || "the tag i= is not the number of a set".to_owned();
    if kind == 0 {
        let first = value.split(|byte| *byte == b';').next().unwrap_or_default();
        let first = String::from_utf8_lossy(first);
        let (name, text) = first.split_once('=').ok_or_else(wrong)?;
        return Some(text.trim()).filter(|_| name.trim() == "i").and_then(number).ok_or_else(wrong);
    }
    let tags = Tags::parse(value).map_err(|error| error.to_string())?;
    tags.get("i").and_then(number).ok_or_else(wrong)
}

impl Seal {
    fn parse(value: &[u8]) -> Result<Self, String> {
        let tags = Tags::parse(value).map_err(|error| error.to_string())?;
        let needed = |name: &'static str| {
            tags.get(name)
                .filter(|value| !value.is_empty())
                .ok_or_else(|| format!("the tag {name}= is missing"))
        };
        if tags.get("h").is_some() {
            return Err("a seal has no h=".to_owned());
        }
        let algorithm = dkim::algorithm(needed("a")?).map_err(|fault| fault.reason)?;
        let chain = match needed("cv")?.to_ascii_lowercase().as_str() {
            "none" => ChainWord::None,
            "pass" => ChainWord::Pass,
            "fail" => ChainWord::Fail,
            _ => return Err("the tag cv= is not known".to_owned()),
        };
        if tags.get("t").is_some_and(|t| t.is_empty() || !t.bytes().all(|b| b.is_ascii_digit())) {
            return Err("the tag t= is not a number".to_owned());
        }
        needed("b")?;
        let value = tags.compact("b").unwrap_or_default();
        let value = STANDARD.decode(value).map_err(|_| "the tag b= is not base64".to_owned())?;
        let domain = needed("d")?.to_ascii_lowercase();
        let selector = needed("s")?.to_owned();
        Ok(Self { algorithm, value, chain, domain, selector })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vouches(outcome: Outcome, sets: &[(&str, &str)]) -> bool {
        let finding = Finding {
            outcome,
            sealers: sets.iter().map(|(sealer, _)| (*sealer).to_owned()).collect(),
            results: sets.iter().map(|(_, results)| (*results).to_owned()).collect(),
            reason: None,
        };
        finding.vouches(&["list.example".parse().unwrap(), "fwd.example".parse().unwrap()])
    }

    #[test]
    fn the_word_of_trusted_handlers_counts_if_nobody_else_came_after_them() {
        let good = "list.example; spf=fail smtp.mailfrom=a@b; dmarc = pass (p=none) header.from=b";
        assert!(vouches(Outcome::Pass, &[("mx.list.example", good)]));
        assert!(vouches(
            Outcome::Pass,
            &[("list.example", good), ("fwd.example", "x; dmarc=fail")]
        ));
        assert!(vouches(
            Outcome::Pass,
            &[("else.example", "x; dmarc=fail"), ("list.example", good)]
        ));
        assert!(!vouches(Outcome::Fail, &[("list.example", good)]));
        assert!(!vouches(Outcome::Pass, &[("list.example", good), ("else.example", good)]));
        assert!(!vouches(Outcome::Pass, &[("evil-list.example", good)]));
        assert!(!vouches(Outcome::Pass, &[("list.example", "x; dmarc=passed; y=dmarc=pass")]));
        assert!(!vouches(Outcome::Pass, &[]));
    }
}
