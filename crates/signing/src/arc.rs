//! Sealing what passes through: one more set of an authenticated received chain (RFC 8617).

use mail::Timestamp;
use mail::header::{Field, Header};
use sender_auth::arc::{FIELDS, SETS_MAX};

use crate::canonical::{BodyHash, relaxed_field};
use crate::dkim::{Signer, sign_field, sign_message};
use crate::fields::covered;
use crate::key::KeyError;

/// Why a message was not sealed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The chain it came with is not known to be good.
    #[error("the chain that it came with did not pass")]
    Chain,
    /// The chain has no room.
    #[error("its chain has {SETS_MAX} sets already")]
    Full,
    /// Nothing was found out about it that could be passed on.
    #[error("it has no results of ours to pass on")]
    NoResults,
    /// The key's.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// The fields of a new set, newest on top, for a message with this header and body. Its
/// `Authentication-Results` under the name `authserv_id` are what is passed on, and must hold
/// `arc=pass` where there is a chain already.
///
/// # Errors
///
/// [`SealError`]; the message then goes on without.
pub fn seal(
    header: &Header<'_>,
    body: BodyHash,
    authserv_id: &str,
    signer: Signer<'_>,
    now: Timestamp,
) -> Result<String, SealError> {
    let results = results(header, authserv_id).ok_or(SealError::NoResults)?;
    let sets = sets(header)?;
    let chain = match (sets.len(), arc_word(&results).as_deref()) {
        (0, _) => "none",
        (_, Some("pass")) => "pass",
        (_, _) => return Err(SealError::Chain),
    };
    let instance = sets.len() + 1;
    if instance > SETS_MAX {
        return Err(SealError::Full);
    }
    let [results_name, message_name, seal_name] = FIELDS;
    let results = format!(" i={instance}; {results}");
    let message = message(header, body, instance, signer, now)?;
    let mut input = Vec::with_capacity(4_096);
    for set in &sets {
        for field in set {
            relaxed_field(field.name(), field.raw_value(), &mut input);
        }
    }
    relaxed_field(results_name, results.as_bytes(), &mut input);
    let (_, message_value) = message.split_once(':').unwrap_or_default();
    relaxed_field(message_name, message_value.as_bytes(), &mut input);
    let value = format!(
        " i={instance}; a={}; t={}; cv={chain};\r\n\td={}; s={};\r\n\tb=",
        signer.key.algorithm().signature_word(),
        now.0.div_euclid(1_000),
        signer.domain,
        signer.selector,
    );
    let seal = sign_field(seal_name, value, input, signer.key)?;
    Ok(format!("{seal}{message}{results_name}:{results}\r\n"))
}

/// The signature of the message, without the seals before it.
fn message(
    header: &Header<'_>,
    body: BodyHash,
    instance: usize,
    signer: Signer<'_>,
    now: Timestamp,
) -> Result<String, KeyError> {
    let mut covered = covered(header);
    let mut signatures: Vec<Field<'_>> = header.all("DKIM-Signature").collect();
    signatures.reverse();
    covered.names.extend(std::iter::repeat_n("DKIM-Signature", signatures.len()));
    covered.fields.extend(signatures);
    sign_message(FIELDS[1], &format!(" i={instance};"), &covered, body, signer, now)
}

/// What we found, on one line: the value of the topmost field of our name.
fn results(header: &Header<'_>, authserv_id: &str) -> Option<String> {
    let ours = header.all("Authentication-Results").map(|field| field.value()).find(|value| {
        let name = value.split([';', ' ', '\t']).find(|word| !word.is_empty());
        name.is_some_and(|name| name.eq_ignore_ascii_case(authserv_id))
    })?;
    let words: Vec<&str> = ours.split_whitespace().collect();
    let value = words.join(" ");
    let found = value.split_once(';').is_some_and(|(_, rest)| rest.trim() != "none");
    found.then(|| value.replace("; ", ";\r\n\t"))
}

/// What follows `arc=`.
fn arc_word(results: &str) -> Option<String> {
    let found = results.split(';').find_map(|result| result.trim().strip_prefix("arc="))?;
    Some(found.split_whitespace().next()?.to_ascii_lowercase())
}

/// The sets of the chain, oldest first: results, message, seal.
fn sets<'a>(header: &Header<'a>) -> Result<Vec<[Field<'a>; 3]>, SealError> {
    let count = header.all(FIELDS[2]).count();
    if count > SETS_MAX {
        return Err(SealError::Full);
    }
    (1..=count)
        .map(|instance| {
            let one =
                |name| header.all(name).find(|field| instance_of(&field.value()) == Some(instance));
            match (one(FIELDS[0]), one(FIELDS[1]), one(FIELDS[2])) {
                (Some(results), Some(message), Some(seal)) => Ok([results, message, seal]),
                (_, _, _) => Err(SealError::Chain),
            }
        })
        .collect()
}

/// The number behind `i=`.
fn instance_of(value: &str) -> Option<usize> {
    value.split(';').find_map(|tag| {
        let (name, number) = tag.split_once('=')?;
        (name.trim() == "i").then(|| number.trim().parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use mail::Domain;

    use super::*;
    use crate::canonical::BodyHasher;
    use crate::key::{Algorithm, Key};

    const MESSAGE: &str = "Authentication-Results: mx.example;\r\n\tspf=pass;\r\n\tarc=none\r\n\
        From: a@x.example\r\nSubject: Hi\r\n\r\nHello.\r\n";

    fn sealed(message: &str, domain: &str, key: &Key) -> Result<String, SealError> {
        let header = Header::scan(message.as_bytes()).unwrap();
        let mut hasher = BodyHasher::default();
        hasher.update(&message.as_bytes()[header.body_start()..]);
        let domain = Domain::parse(domain).unwrap();
        let signer = Signer { domain: &domain, selector: "s", key };
        let fields = seal(&header, hasher.finish(), "mx.example", signer, Timestamp(0))?;
        Ok(format!("{fields}{message}"))
    }

    #[test]
    fn a_chain_grows_by_one_set_where_it_passed_and_stops_where_it_did_not() {
        let key = Key::generate(Algorithm::Ed25519).unwrap();
        let one = sealed(MESSAGE, "one.example", &key).unwrap();
        assert!(one.starts_with("ARC-Seal: i=1; a=ed25519-sha256; t=0; cv=none;"), "{one}");
        assert!(
            one.contains("ARC-Authentication-Results: i=1; mx.example;\r\n\tspf=pass;"),
            "{one}"
        );
        assert!(one.contains("ARC-Message-Signature: i=1; a=ed25519-sha256; c=relaxed/relaxed;"));
        assert_eq!(sealed(&one, "two.example", &key), Err(SealError::Chain), "arc=none, but one");
        let passed = one.replacen("arc=none\r\nFrom", "arc=pass\r\nFrom", 1);
        let two = sealed(&passed, "two.example", &key).unwrap();
        assert!(two.starts_with("ARC-Seal: i=2; a=ed25519-sha256; t=0; cv=pass;"), "{two}");
        let torn = passed.replacen("ARC-Message-Signature: i=1", "ARC-Message-Signature: i=3", 1);
        assert_eq!(sealed(&torn, "two.example", &key), Err(SealError::Chain));
    }

    #[test]
    fn without_results_of_ours_there_is_nothing_to_seal() {
        let key = Key::generate(Algorithm::Ed25519).unwrap();
        for other in [
            MESSAGE.replace("mx.example", "other.example"),
            MESSAGE.replace(";\r\n\tspf=pass;\r\n\tarc=none", "; none"),
            "From: a@x.example\r\n\r\n".to_owned(),
        ] {
            assert_eq!(sealed(&other, "one.example", &key), Err(SealError::NoResults), "{other}");
        }
    }
}
