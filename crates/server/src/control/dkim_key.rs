//! `mailkeep dkim-key …`: the keys that sign mail.

use std::time::Duration;

use clap::Subcommand;
use mail::{Domain, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use signing::{Algorithm, KEYS_MAX, Key, KeyRow, Phase};
use store::DkimKeyRow;

use super::columns::{Put, time};
use super::{Answer, NotThere};
use crate::admin::Admin;

/// The longest name of a key, in octets (RFC 1035 section 2.3.4).
const SELECTOR_MAX_OCTETS: usize = 63;

/// What can be done with the keys that sign mail (DKIM).
#[derive(Debug, Clone, Serialize, Deserialize, Subcommand)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Every key, what it does now, and when that changes
    List {
        /// Only this domain's
        domain: Option<Domain>,
    },
    /// Make keys for a domain, RSA and Ed25519; they sign at once
    New {
        /// The domain
        domain: Domain,
        /// Only this kind
        #[arg(long, value_enum)]
        only: Option<Kind>,
        /// Sign later, when DNS has learnt of them: 4h, 2d
        #[arg(long, value_name = "TIME", value_parser = wait)]
        after: Option<Duration>,
    },
    /// Make new keys that take over from those in use, after they have stood in DNS for a while
    Rotate {
        /// The domain
        domain: Domain,
        /// How long they stand in DNS first [default: "publish-first" of the configuration]
        #[arg(long, value_name = "TIME", value_parser = wait)]
        after: Option<Duration>,
    },
    /// Take a key that was made elsewhere, in PEM, from standard input
    Import {
        /// The domain
        domain: Domain,
        /// Its name in DNS: SELECTOR._domainkey.DOMAIN
        selector: String,
        /// Read from standard input, never from the command line.
        #[arg(skip)]
        pem: Pem,
    },
    /// Sign with a key no longer; its record stays in DNS a week, for mail under way
    Retire {
        /// The domain
        domain: Domain,
        /// The key
        selector: String,
    },
    /// Remove a key that signs no longer
    Remove {
        /// The domain
        domain: Domain,
        /// The key
        selector: String,
    },
}

/// A kind of key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// RSA of 2,048 bits, which every verifier knows
    Rsa,
    /// Ed25519, short and fast
    Ed25519,
}

/// A private key on its way into the store; never shown.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pem(pub String);

impl std::fmt::Debug for Pem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(a private key)")
    }
}

impl Request {
    /// Where the private key goes, if the request takes one.
    pub fn pem_mut(&mut self) -> Option<&mut String> {
        match self {
            Self::Import { pem, .. } => Some(&mut pem.0),
            Self::List { .. }
            | Self::New { .. }
            | Self::Rotate { .. }
            | Self::Retire { .. }
            | Self::Remove { .. } => None,
        }
    }
}

fn wait(text: &str) -> Result<Duration, String> {
    config::quantity::parse_duration(text).ok_or_else(|| "write a time: 30m, 4h, 2d".to_owned())
}

/// Every key that is kept, without the keys themselves.
///
/// # Errors
///
/// The store's.
pub(super) async fn rows(admin: &Admin) -> anyhow::Result<Vec<(KeyRow, DkimKeyRow)>> {
    let mut rows = Vec::new();
    for kept in admin.store().dkim_keys().await? {
        rows.push((serde_json::from_slice(&kept.row)?, kept));
    }
    Ok(rows)
}

/// Answers a request.
///
/// # Errors
///
/// The store's, and what is not there or not as asked.
pub async fn answer(admin: &Admin, request: Request) -> anyhow::Result<Answer> {
    let now = Timestamp::now();
    match request {
        Request::List { domain } => list(admin, domain.as_ref(), now).await,
        Request::New { domain, only, after } => {
            let kinds = match only {
                Some(Kind::Rsa) => vec![Algorithm::Rsa],
                Some(Kind::Ed25519) => vec![Algorithm::Ed25519],
                None => vec![Algorithm::Rsa, Algorithm::Ed25519],
            };
            let from = now.plus(after.unwrap_or_default());
            let rows = rows(admin).await?;
            let made = make(&domain, &kinds, from, now, &rows)?;
            keep(admin, made, "made", now).await
        }
        Request::Rotate { domain, after } => rotate(admin, &domain, after, now).await,
        Request::Import { domain, selector, pem } => {
            import(admin, domain, selector, &pem.0, now).await
        }
        Request::Retire { domain, selector } => {
            let (mut row, kept) = one(admin, &domain, &selector).await?;
            if matches!(row.phase(now), Phase::Retired | Phase::Gone) {
                return Err(NotThere(format!("{selector} of {domain} signs no longer")).into());
            }
            row.signs_until = Some(now);
            keep(admin, vec![(row, kept.private)], "retired", now).await
        }
        Request::Remove { domain, selector } => remove(admin, &domain, &selector, now).await,
    }
}

async fn list(admin: &Admin, only: Option<&Domain>, now: Timestamp) -> anyhow::Result<Answer> {
    let mut rows = rows(admin).await?;
    rows.retain(|(row, _)| only.is_none_or(|only| *only == row.domain));
    let mut text = String::new();
    for (row, _) in &rows {
        text.put(format_args!(
            "{:<28} {:<12} {:<8} {}\n",
            row.domain.to_string(),
            row.selector,
            row.algorithm.to_string(),
            said(row, now)
        ));
    }
    if rows.is_empty() {
        text.push_str("There is no key. Make some: mailkeep dkim-key new example.com");
    }
    let keys: Vec<Value> = rows.iter().map(|(row, _)| shown(row, now)).collect();
    Ok(Answer::new(text, json!({ "schema": "mailkeep.dkim-keys/1", "keys": keys })))
}

/// What a key does now, and until when.
pub(super) fn said(row: &KeyRow, now: Timestamp) -> String {
    match (row.phase(now), row.signs_until) {
        (Phase::Waits, _) => format!("waits, signs from {}", time(row.signs_from)),
        (Phase::Signs, None) => format!("signs since {}", time(row.signs_from)),
        (Phase::Signs, Some(until)) => format!("signs until {}", time(until)),
        (Phase::Retired, _) => {
            let gone = row.signs_until.unwrap_or(now).plus(signing::STAYS);
            format!("retired, leave its record in DNS until {}", time(gone))
        }
        (Phase::Gone, _) => "retired, its record can go".to_owned(),
    }
}

fn shown(row: &KeyRow, now: Timestamp) -> Value {
    json!({ "domain": row.domain, "selector": row.selector, "algorithm": row.algorithm,
        "phase": row.phase(now).word(), "made": row.made.to_rfc3339(),
        "signs_from": row.signs_from.to_rfc3339(),
        "signs_until": row.signs_until.map(Timestamp::to_rfc3339),
        "record_name": row.record_name() })
}

async fn one(
    admin: &Admin,
    domain: &Domain,
    selector: &str,
) -> anyhow::Result<(KeyRow, DkimKeyRow)> {
    let mut rows = rows(admin).await?.into_iter();
    let found = rows.find(|(row, _)| row.domain == *domain && row.selector == selector);
    Ok(found.ok_or_else(|| NotThere(format!("{domain} has no key {selector}")))?)
}

/// New keys of these kinds.
fn make(
    domain: &Domain,
    kinds: &[Algorithm],
    from: Timestamp,
    now: Timestamp,
    rows: &[(KeyRow, DkimKeyRow)],
) -> anyhow::Result<Vec<(KeyRow, Vec<u8>)>> {
    if rows.len() + kinds.len() > KEYS_MAX {
        return Err(NotThere(format!("There are {KEYS_MAX} keys; remove old ones first")).into());
    }
    let taken =
        |name: &str| rows.iter().any(|(row, _)| row.domain == *domain && row.selector == name);
    let mut made = Vec::new();
    for &algorithm in kinds {
        let key = Key::generate(algorithm)?;
        let row = KeyRow {
            domain: domain.clone(),
            selector: signing::selector(algorithm, now, taken),
            algorithm,
            made: now,
            signs_from: from,
            signs_until: None,
        };
        made.push((row, key.to_pkcs8()?.to_vec()));
    }
    Ok(made)
}

async fn rotate(
    admin: &Admin,
    domain: &Domain,
    after: Option<Duration>,
    now: Timestamp,
) -> anyhow::Result<Answer> {
    let rows = rows(admin).await?;
    let old: Vec<_> =
        rows.iter().filter(|(row, _)| row.domain == *domain && row.signs_until.is_none()).collect();
    if old.is_empty() {
        let text = format!("{domain} has no key in use. Make some: mailkeep dkim-key new {domain}");
        return Err(NotThere(text).into());
    }
    if let Some((row, _)) = old.iter().find(|(row, _)| row.phase(now) == Phase::Waits) {
        let text = format!(
            "{} of {domain} already waits to take over, from {}",
            row.selector,
            time(row.signs_from)
        );
        return Err(NotThere(text).into());
    }
    let first = admin.with_config(|config| config.map(|c| *c.signing.publish_first));
    let from = now.plus(after.or(first).unwrap_or(PUBLISH_FIRST));
    let mut kinds: Vec<Algorithm> = old.iter().map(|(row, _)| row.algorithm).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let mut changed = make(domain, &kinds, from, now, &rows)?;
    for (row, kept) in old {
        let row = KeyRow { signs_until: Some(from), ..row.clone() };
        changed.push((row, kept.private.clone()));
    }
    keep(admin, changed, "rotated", now).await
}

/// The default of `publish-first`, where there is no configuration.
const PUBLISH_FIRST: Duration = Duration::from_secs(2 * 86_400);

async fn import(
    admin: &Admin,
    domain: Domain,
    selector: String,
    pem: &str,
    now: Timestamp,
) -> anyhow::Result<Answer> {
    let labels = selector.split('.');
    let good = |label: &str| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    if selector.len() > SELECTOR_MAX_OCTETS || !labels.into_iter().all(good) {
        let text = format!("\"{selector}\" cannot be the name of a key");
        return Err(NotThere(text).into());
    }
    if one(admin, &domain, &selector).await.is_ok() {
        return Err(NotThere(format!("{domain} has a key {selector} already")).into());
    }
    let key = Key::from_pem(pem).map_err(|error| NotThere(error.to_string()))?;
    let row = KeyRow {
        domain,
        selector,
        algorithm: key.algorithm(),
        made: now,
        signs_from: now,
        signs_until: None,
    };
    keep(admin, vec![(row, key.to_pkcs8()?.to_vec())], "imported", now).await
}

async fn remove(
    admin: &Admin,
    domain: &Domain,
    selector: &str,
    now: Timestamp,
) -> anyhow::Result<Answer> {
    let (row, _) = one(admin, domain, selector).await?;
    if matches!(row.phase(now), Phase::Signs) {
        let text = format!(
            "{selector} of {domain} signs; first: mailkeep dkim-key retire {domain} {selector}"
        );
        return Err(NotThere(text).into());
    }
    admin.store().remove_dkim_key(domain, selector).await?.into_inner();
    noted(admin, std::slice::from_ref(&row), "removed").await?;
    let text = format!("{selector} of {domain} is removed; its record in DNS can go.");
    let json = json!({ "schema": "mailkeep.dkim-keys-changed/1", "change": "removed",
        "keys": [shown(&row, now)] });
    Ok(Answer::new(text, json))
}

/// Keeps keys, lets the server sign with them, and says what to do next.
async fn keep(
    admin: &Admin,
    keys: Vec<(KeyRow, Vec<u8>)>,
    change: &str,
    now: Timestamp,
) -> anyhow::Result<Answer> {
    let mut kept = Vec::new();
    for (row, private) in &keys {
        kept.push(DkimKeyRow {
            domain: row.domain.clone(),
            selector: row.selector.clone(),
            row: serde_json::to_vec(row)?,
            private: private.clone(),
        });
    }
    admin.store().put_dkim_keys(kept).await?.into_inner();
    let rows: Vec<KeyRow> = keys.into_iter().map(|(row, _)| row).collect();
    noted(admin, &rows, change).await?;
    let mut text = String::new();
    for row in &rows {
        text.put(format_args!("{} ({}) {}\n", row.selector, row.algorithm, said(row, now)));
    }
    if let Some(row) = rows.iter().find(|row| row.phase(now) != Phase::Retired) {
        let domain = &row.domain;
        text.put(format_args!("Publish what this shows: mailkeep dns {domain}\n"));
        let listed = admin.with_config(|config| {
            config.is_some_and(|c| c.signing.table.entries().iter().any(|e| e.domain == *domain))
        });
        if !listed {
            text.put(format_args!(
                "Nothing is signed for it yet; write in the configuration: signing {{ sign {domain} }}\n"
            ));
        }
    }
    let keys: Vec<Value> = rows.iter().map(|row| shown(row, now)).collect();
    let json = json!({ "schema": "mailkeep.dkim-keys-changed/1", "change": change, "keys": keys });
    Ok(Answer::new(text, json))
}

/// Tells the running server and the evidence.
async fn noted(admin: &Admin, rows: &[KeyRow], change: &str) -> anyhow::Result<()> {
    if let Some(server) = admin.server() {
        server.signatory.reload(&server.store).await?;
    }
    let mut evidence = Vec::new();
    for row in rows {
        let subject = format!("{}/{}", row.domain, row.selector);
        evidence.extend(admin.act(None, &format!("DKIM key {change}"), subject, None));
    }
    if !evidence.is_empty() {
        admin.store().append_evidence(evidence).await?.into_inner();
    }
    Ok(())
}
