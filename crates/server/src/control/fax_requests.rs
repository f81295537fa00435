//! `mailkeep fax requests`, `request`, `approve` and `deny`: who may ask that the domains of
//! others be trusted, and who decides.

use std::path::Path;

use ::fax::TrustRequest;
use ::fax::request::{Refused, Standing, challenge_name};
use anyhow::Context;
use config::edit;
use mail::{Domain, Timestamp, TraceId};
use serde_json::{Value, json};
use store::FAX_REQUESTS_OPEN_MAX;

use super::columns::{Put, time};
use super::{Answer, NotThere, configuration, exit, running};
use crate::admin::Admin;
use crate::cli::serve::folder;
use crate::fax::requests::Kept;
use crate::revision::Texts;

/// Requests of one list.
const LIST_MAX: u32 = 200;
/// Octets of randomness in a token.
const TOKEN_OCTETS: usize = 16;

/// Answers `fax requests`.
pub async fn list(admin: &Admin) -> anyhow::Result<Answer> {
    let now = Timestamp::now();
    let mut text = String::new();
    let mut rows = Vec::new();
    for row in admin.store().fax_requests(None, false, LIST_MAX).await? {
        let kept = Kept::of(&row)?;
        text.put(format_args!("{}\n", shown(&kept, now)));
        rows.push(told(&kept, now));
    }
    if text.is_empty() {
        text.push_str("Nobody has asked that a domain be trusted.\n");
    }
    Ok(Answer::new(text, json!({ "schema": "mailkeep.fax-requests/1", "requests": rows })))
}

/// Answers `fax request`.
pub async fn ask(
    admin: &Admin,
    account: String,
    mut domains: Vec<Domain>,
    certification: String,
) -> anyhow::Result<Answer> {
    domains.sort();
    domains.dedup();
    let now = Timestamp::now();
    let checked = admin.with_config(|config| {
        let fax = config
            .and_then(|config| config.fax_account(&account))
            .ok_or_else(|| NotThere(format!("There is no fax account \"{account}\"")))?;
        let request = TrustRequest {
            account: account.clone(),
            domains,
            by: admin.by().to_owned(),
            at: now,
            ends: now.plus(*fax.requests_end),
            certification,
            token: String::new(),
            standing: Standing::Open,
        };
        Ok::<_, NotThere>(request.check(&fax.security).map(|()| request))
    })?;
    let request = match checked {
        Ok(request) => request,
        Err(why) => return Ok(refusal(&why)),
    };
    let kept =
        Kept { id: TraceId::generate(now.0), request: TrustRequest { token: token()?, ..request } };
    let certified = format!("certified: {}", kept.request.certification);
    let evidence = kept.step(admin, "fax request", certified);
    if !admin.store().add_fax_request(kept.row()?, evidence).await?.into_inner() {
        let text = format!("The account has {FAX_REQUESTS_OPEN_MAX} open requests; decide those.");
        return Ok(Answer::failure(exit::FOUND, text));
    }
    let mut json = told(&kept, now);
    json["schema"] = json!("mailkeep.fax-request/1");
    Ok(Answer::new(shown(&kept, now), json))
}

/// Answers `fax approve`: the domains become part of the configuration, as a revision of it.
pub async fn approve(admin: &Admin, id: &str) -> anyhow::Result<Answer> {
    let server = match running(admin) {
        Ok(server) => server,
        Err(answer) => return Ok(answer),
    };
    let now = Timestamp::now();
    let kept = one(admin, id).await?;
    if let Err(why) = kept.request.may_be_decided(admin.by(), now) {
        return Ok(refusal(&why));
    }
    let snapshot = server.snapshot();
    let Some(account) = snapshot.config.fax_account(&kept.request.account) else {
        let text = format!("There is no fax account \"{}\" any more", kept.request.account);
        return Err(NotThere(text).into());
    };
    if let Err(why) = kept.request.check_restraint(&account.security) {
        return Ok(refusal(&why));
    }
    let resolver = snapshot.agent.resolver();
    // What was not there a minute ago may be remembered as missing.
    resolver.flush();
    let unproven = kept.unproven(resolver).await;
    if !unproven.is_empty() {
        return not_proven(admin, &kept, &unproven).await;
    }
    let known = &account.security.trusted_domains;
    let new: Vec<&Domain> = kept.request.domains.iter().filter(|d| !known.contains(d)).collect();
    let revision = if new.is_empty() {
        // The revision was made, and then the power failed before the request knew of it.
        snapshot.revision
    } else {
        let answer = put_in_force(admin, &kept, &new).await?;
        match answer.json["revision"].as_u64() {
            Some(revision) => revision,
            None => return Ok(answer),
        }
    };
    let approved = Kept { request: kept.request.approved(admin.by(), now, revision), ..kept };
    let detail = format!("asked by {}; revision {revision}", approved.request.by);
    close(admin, &approved, "fax approve", detail).await
}

/// Answers `fax deny`.
pub async fn deny(admin: &Admin, id: &str, reason: &str) -> anyhow::Result<Answer> {
    let now = Timestamp::now();
    let kept = one(admin, id).await?;
    let denied = kept
        .request
        .may_be_decided(admin.by(), now)
        .and_then(|()| kept.request.denied(admin.by(), now, reason));
    match denied {
        Ok(request) => {
            let detail = format!("asked by {}; {reason}", request.by);
            close(admin, &Kept { request, ..kept }, "fax deny", detail).await
        }
        Err(why) => Ok(refusal(&why)),
    }
}

async fn close(admin: &Admin, kept: &Kept, action: &str, detail: String) -> anyhow::Result<Answer> {
    let now = Timestamp::now();
    let evidence = kept.step(admin, action, detail);
    let row = serde_json::to_vec(&kept.request)?;
    admin.store().close_fax_request(kept.id, row, evidence).await?.into_inner();
    let mut json = told(kept, now);
    json["schema"] = json!("mailkeep.fax-request/1");
    Ok(Answer::new(shown(kept, now), json))
}

/// Writes the domains behind those that are trusted, in the file that has the account, and
/// runs on it. What else is changed in the files meanwhile is nobody's to put in force here.
async fn put_in_force(admin: &Admin, kept: &Kept, new: &[&Domain]) -> anyhow::Result<Answer> {
    let Some(file) = admin.file() else {
        return Ok(Answer::failure(exit::USAGE, "The demo has no configuration file to change."));
    };
    let outcome = config::load(file);
    let newest = admin.store().revision(None).await?.context("there is no revision yet")?;
    let Some(mut texts) = Texts::of(file, &outcome.sources).filter(|texts| texts.are(&newest))
    else {
        let text = format!(
            "{} was changed after revision {} and the change is not in force. Put it in force \
             (mailkeep reload) or take it back, then approve again; \"mailkeep config diff\" \
             shows it. Nothing was changed.",
            file.display(),
            newest.number
        );
        return Ok(Answer::failure(exit::FOUND, text));
    };
    let section = format!("fax {}", kept.request.account);
    let path = [section.as_str(), "trusted-domains"];
    let words: Vec<&str> = new.iter().map(|domain| domain.as_str()).collect();
    let account = outcome.config.as_ref().and_then(|c| c.fax_account(&kept.request.account));
    let place = account.and_then(|account| account.name.span).map(|span| span.file);
    let written = outcome.sources.numbered().find(|(known, _)| Some(*known) == place);
    let included = written.and_then(|(_, source)| texts.files.get_mut(&relative(file, source)));
    let text = included.unwrap_or(&mut texts.root);
    *text = edit::append(text, &path, &words.join(" "))
        .with_context(|| format!("the account {section} cannot be changed in its file"))?;
    let reason = format!(
        "{section} trusts {}: asked by {}, approved by {}, request {}",
        words.join(", "),
        kept.request.by,
        admin.by(),
        kept.id
    );
    let outcome = texts.read(file);
    configuration::put_in_force(admin, file, outcome, Some(texts), Some(newest.number), &reason)
        .await
}

/// The name of an included file among the texts of a revision.
fn relative(file: &Path, source: &config::source::File) -> String {
    let path = source.path().strip_prefix(folder(file)).unwrap_or(source.path());
    path.to_string_lossy().into_owned()
}

async fn not_proven(
    admin: &Admin,
    kept: &Kept,
    unproven: &[(Domain, String)],
) -> anyhow::Result<Answer> {
    let mut text = "Not approved: DNS does not prove every domain.\n".to_owned();
    for (domain, why) in unproven {
        text.put(format_args!("  {}: {why}\n", challenge_name(domain)));
    }
    text.put(format_args!("It must hold the text \"{}\".", kept.request.challenge()));
    let names: Vec<&str> = unproven.iter().map(|(domain, _)| domain.as_str()).collect();
    let detail = format!("refused: not proven in DNS: {}", names.join(", "));
    let evidence = kept.step(admin, "fax approve", detail);
    admin.store().append_evidence(evidence).await?.into_inner();
    Ok(Answer::failure(exit::FOUND, text))
}

fn refusal(why: &Refused) -> Answer {
    let exit = match why {
        Refused::SamePerson(_) => exit::NOT_ALLOWED,
        Refused::Unrestrained(_)
        | Refused::DomainCount
        | Refused::Literal(_)
        | Refused::Known(_)
        | Refused::Words(_)
        | Refused::Closed(_) => exit::FOUND,
    };
    Answer::failure(exit, format!("Refused: {why}."))
}

/// What cannot be guessed.
fn token() -> anyhow::Result<String> {
    let mut octets = [0; TOKEN_OCTETS];
    aws_lc_rs::rand::fill(&mut octets).ok().context("there are no random numbers")?;
    Ok(octets.iter().map(|octet| format!("{octet:02x}")).collect())
}

/// The one request whose id begins with `prefix`.
async fn one(admin: &Admin, prefix: &str) -> anyhow::Result<Kept> {
    let range = TraceId::range_of_prefix(prefix)
        .ok_or_else(|| NotThere(format!("\"{prefix}\" is no id")))?;
    let mut rows = admin.store().fax_requests(Some(range), false, 2).await?;
    match (rows.pop(), rows.is_empty()) {
        (Some(row), true) => Kept::of(&row),
        (Some(_), false) => {
            let text = format!("More than one request begins with \"{prefix}\"; give more of it");
            Err(NotThere(text).into())
        }
        (None, _) => Err(NotThere(format!("No request begins with \"{prefix}\"")).into()),
    }
}

fn shown(kept: &Kept, now: Timestamp) -> String {
    let request = &kept.request;
    let domains: Vec<&str> = request.domains.iter().map(Domain::as_str).collect();
    let mut text = String::new();
    text.put(format_args!(
        "{}  {:<8}  {}: trust {}\n  asked by {} at {}: {}\n",
        kept.id,
        request.standing_at(now).word(),
        request.account,
        domains.join(", "),
        request.by,
        time(request.at),
        request.certification
    ));
    match request.standing_at(now) {
        Standing::Open => {
            for domain in &request.domains {
                let (name, challenge) = (challenge_name(domain), request.challenge());
                text.put(format_args!("  to publish: {name}. TXT \"{challenge}\"\n"));
            }
            text.put(format_args!(
                "  another administrator decides before {}: mailkeep fax approve {}\n",
                time(request.ends),
                kept.id
            ));
        }
        Standing::Approved { by, at, revision } => {
            let at = time(at);
            text.put(format_args!("  approved by {by} at {at}: revision {revision}\n"));
        }
        Standing::Denied { by, at, reason } => {
            text.put(format_args!("  denied by {by} at {}: {reason}\n", time(at)));
        }
        Standing::Ended => {
            text.put(format_args!("  nobody decided before {}\n", time(request.ends)));
        }
    }
    text
}

fn told(kept: &Kept, now: Timestamp) -> Value {
    let request = &kept.request;
    let standing = request.standing_at(now);
    let names: Vec<String> = request.domains.iter().map(challenge_name).collect();
    let mut json = json!({ "id": kept.id, "account": request.account, "domains": request.domains,
        "by": request.by, "at": request.at.to_rfc3339(), "ends": request.ends.to_rfc3339(),
        "certification": request.certification, "standing": standing.word(),
        "challenge": { "names": names, "text": request.challenge() } });
    match standing {
        Standing::Open | Standing::Ended => {}
        Standing::Approved { by, at, revision } => {
            json["decided"] = json!({ "by": by, "at": at.to_rfc3339(), "revision": revision });
        }
        Standing::Denied { by, at, reason } => {
            json["decided"] = json!({ "by": by, "at": at.to_rfc3339(), "reason": reason });
        }
    }
    json
}
