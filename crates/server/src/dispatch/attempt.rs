//! One attempt at one entry, from its record to its settlement.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use delivery::{Approach, Attempt, Cause, Job, Outcome, Route};
use mail::dsn::{Reason, Shortfall};
use mail::{Domain, Envelope, ReversePath, Status, Timestamp};
use queue::{DoubleBounce, QueuedRecipient, Subject, Trouble, transition};
use rules::settings::Settings;
use rules::{RecipientFacts, Stage};
use store::Settle;

use super::content::{Outgoing, outgoing};
use super::{Work, fax, lease_end, report, route, schedule};
use crate::fax::t37::{self, Passage};
use crate::message::Way;
use crate::metrics::Metrics;
use crate::notices;
use crate::server::Server;
use crate::snapshot::Snapshot;

/// The first wait before a settlement that could not be written is tried again; it doubles.
const SETTLE_AGAIN_MIN: Duration = Duration::from_millis(500);
/// The longest such wait.
const SETTLE_AGAIN_MAX: Duration = Duration::from_secs(15);
/// When an entry whose attempt could not even begin comes back.
const AGAIN_AFTER_FAILURE: Duration = Duration::from_secs(30);

/// Recipients of an entry that go the same way under the same settings.
struct Part {
    domain: Domain,
    route: Route,
    settings: Settings,
    places: Vec<usize>,
}

/// What one part's attempt came to, for the evidence.
pub(super) struct Tried {
    pub(super) route: Route,
    pub(super) attempt: Attempt,
    pub(super) recipients: Vec<mail::Address>,
    /// The signatures it left with.
    pub(super) signed: Vec<String>,
}

/// Attempts `work` and settles it.
///
/// # Errors
///
/// When the store fails: the entry then comes back, soon where nothing was attempted, and
/// when its lease has run out where the outcome could not be written for so long.
pub(super) async fn run(server: &Arc<Server>, work: Work) -> Result<()> {
    let snapshot = server.snapshot();
    let recipients = queue::decode(&work.recipients)?;
    let way: Way = match &work.route {
        Some(json) => serde_json::from_slice(json).context("its way cannot be read")?,
        None => Way::default(),
    };
    let passage = match t37::begin(server, &snapshot, &work.reverse_path, work.trace).await {
        Ok(passage) => passage,
        Err(error) => {
            soon_again(server, &work).await?;
            return Err(error);
        }
    };
    let (outcomes, tried) = match (&way.refused, &passage) {
        (Some(refused), _) => {
            let reason = Reason::Rule(refused.text.clone());
            let trouble = Trouble::new(refused.status, reason, refused.text.clone());
            (vec![queue::Outcome::Permanent(trouble); recipients.len()], Vec::new())
        }
        (None, Passage::Stopped) => {
            let stopped = queue::Outcome::Permanent(Passage::stopped());
            (vec![stopped; recipients.len()], Vec::new())
        }
        (None, Passage::Ordinary | Passage::Fax(_)) => {
            match attempt(server, &snapshot, &work, &way, &recipients).await {
                Ok(found) => found,
                Err(error) => {
                    passage.put_back(server, &snapshot).await;
                    soon_again(server, &work).await?;
                    return Err(error);
                }
            }
        }
    };
    settle(server, &snapshot, work, &recipients, &outcomes, &tried, passage).await
}

/// Nothing was attempted: the entry comes back before its lease would end.
async fn soon_again(server: &Server, work: &Work) -> Result<()> {
    let soon = Timestamp::now().plus(AGAIN_AFTER_FAILURE);
    let shortened = server.store.renew(&work.lease, soon).await;
    shortened.context("its lease stands")?.into_inner();
    Ok(())
}

async fn attempt(
    server: &Arc<Server>,
    snapshot: &Arc<Snapshot>,
    work: &Work,
    way: &Way,
    recipients: &[QueuedRecipient],
) -> Result<(Vec<queue::Outcome>, Vec<Tried>)> {
    // An entry has one destination.
    let Some(to) = recipients.first().map(|queued| queued.recipient.address.domain()) else {
        return Ok((Vec::new(), Vec::new()));
    };
    let Outgoing { content, signed } = outgoing(server, snapshot, work, way, to).await?;
    let untried = queue::Outcome::NotTried { again_after: Duration::ZERO };
    let mut outcomes = vec![untried; recipients.len()];
    let mut tried = Vec::new();
    let now = Timestamp::now();
    for part in parts(snapshot, work, way, recipients, &mut outcomes) {
        if let Some(class) = &part.settings.rate_class
            && let Err(again_after) = snapshot.rates.take(&class.value, now)
        {
            for place in &part.places {
                if let Some(slot) = outcomes.get_mut(*place) {
                    *slot = queue::Outcome::NotTried { again_after };
                }
            }
            continue;
        }
        let envelope = envelope(&work.record.envelope, &part, recipients, way);
        if let Route::Fax(account) = &part.route {
            let attempt = fax::attempt(server, snapshot, work, account, &envelope).await;
            note(&mut outcomes, &part.places, &attempt, &part.domain);
            tried.push(told_of(part.route, attempt, &part.places, recipients, Vec::new()));
            continue;
        }
        let require_tls = envelope.require_tls;
        let asked = Arc::clone(snapshot);
        let settings = part.settings;
        let route = part.route.clone();
        let demander = move |approach: &Approach<'_>| {
            route::demands(&asked, &settings, &route, require_tls, approach, now)
        };
        let job =
            Job { domain: part.domain, route: part.route, envelope, content: content.clone() };
        let attempt = snapshot.agent.attempt(&job, &demander).await;
        note(&mut outcomes, &part.places, &attempt, &job.domain);
        learn(server, &job.domain, &attempt).await;
        tried.push(told_of(job.route, attempt, &part.places, recipients, signed.clone()));
    }
    Ok((outcomes, tried))
}

/// Puts what became of the recipients at `places` in their slots.
fn note(outcomes: &mut [queue::Outcome], places: &[usize], attempt: &Attempt, domain: &Domain) {
    for (place, outcome) in places.iter().zip(&attempt.outcomes) {
        if let Some(slot) = outcomes.get_mut(*place) {
            *slot = meant(outcome, attempt, domain);
        }
    }
}

fn told_of(
    route: Route,
    attempt: Attempt,
    places: &[usize],
    recipients: &[QueuedRecipient],
    signed: Vec<String>,
) -> Tried {
    let addresses = places.iter().filter_map(|place| recipients.get(*place));
    let recipients = addresses.map(|queued| queued.recipient.address.clone()).collect();
    Tried { route, attempt, recipients, signed }
}

/// Divides the recipients by route and settings. A recipient that has no route gets its
/// fate here.
fn parts(
    snapshot: &Snapshot,
    work: &Work,
    way: &Way,
    recipients: &[QueuedRecipient],
    outcomes: &mut [queue::Outcome],
) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    let mut facts = work.record.facts.clone();
    for (place, queued) in recipients.iter().enumerate() {
        let address = &queued.recipient.address;
        let domain = address.domain();
        facts.recipient = Some(RecipientFacts {
            address: address.clone(),
            is_local: snapshot.is_ours(domain),
            account: None,
        });
        let settings = snapshot.policy.decide(&facts, Stage::Relay).settings;
        match route::choose(snapshot, &settings, domain, way.by.as_deref()) {
            Ok(route) => {
                let same = |part: &&mut Part| {
                    part.domain == *domain && part.route == route && part.settings == settings
                };
                match parts.iter_mut().find(same) {
                    Some(part) => part.places.push(place),
                    None => parts.push(Part {
                        domain: domain.clone(),
                        route,
                        settings,
                        places: vec![place],
                    }),
                }
            }
            Err(error) => {
                if let Some(slot) = outcomes.get_mut(place) {
                    *slot = no_route(&error);
                }
            }
        }
    }
    parts
}

/// A mistake of the configuration is mended, so the message waits.
fn no_route(error: &anyhow::Error) -> queue::Outcome {
    tracing::error!(error = format!("{error:#}"), "a message has no route");
    let text = "This server is not set up to send this message at the moment";
    let reason = Reason::Other(text.to_owned());
    queue::Outcome::Temporary(Trouble::new(Status::new(4, 3, 5), reason, text))
}

fn envelope(
    original: &Envelope,
    part: &Part,
    recipients: &[QueuedRecipient],
    way: &Way,
) -> Envelope {
    let recipients = part.places.iter().filter_map(|place| recipients.get(*place));
    let rewritten = way.sender.clone().map(ReversePath::Address);
    Envelope {
        reverse_path: rewritten.unwrap_or_else(|| original.reverse_path.clone()),
        recipients: recipients.map(|queued| queued.recipient.clone()).collect(),
        ..original.clone()
    }
}

/// What an attempt's outcome means to the queue.
fn meant(outcome: &Outcome, attempt: &Attempt, domain: &Domain) -> queue::Outcome {
    match outcome {
        Outcome::Delivered(delivered) => queue::Outcome::Delivered(queue::Delivered {
            onward: match delivered.onward {
                delivery::Onward::WithDsn => queue::Onward::WithDsn,
                delivery::Onward::Relayed => queue::Onward::Relayed,
                delivery::Onward::Final => queue::Onward::Final,
            },
            // A mailbox of our own is no other server.
            host: attempt
                .taker(outcome)
                .filter(|contact| contact.address.is_some())
                .map(|contact| contact.host.clone()),
            reply: delivered.reply.as_ref().map(ToString::to_string),
        }),
        Outcome::Temporary(trouble) => queue::Outcome::Temporary(told(trouble, attempt, domain)),
        Outcome::Permanent(trouble) => queue::Outcome::Permanent(told(trouble, attempt, domain)),
    }
}

/// A trouble in the terms that the sender is told.
fn told(trouble: &delivery::Trouble, attempt: &Attempt, domain: &Domain) -> Trouble {
    let verdict = attempt
        .contacts
        .iter()
        .rev()
        .find_map(|contact| contact.verdict.as_deref().filter(|verdict| !verdict.is_met()));
    let reason = match (trouble.cause, verdict) {
        // The sender must hear who demands what, and what was found.
        (Cause::Protection, Some(verdict)) => Reason::Protection(Shortfall {
            domain: domain.clone(),
            demanded: demanded(verdict),
            demanded_by: verdict.because(),
            found: verdict.shortfall().map_or_else(|| trouble.text.clone(), ToString::to_string),
        }),
        (_, _) if trouble.reply.is_some() => Reason::Refused,
        (Cause::Dns, _) if !trouble.status.is_temporary() => Reason::NoSuchDomain,
        (Cause::Dns | Cause::Connect | Cause::Session, _) => {
            Reason::Unreachable(trouble.text.clone())
        }
        (
            Cause::Protection
            | Cause::Loop
            | Cause::Egress
            | Cause::SignIn
            | Cause::Refused
            | Cause::Unfit
            | Cause::Content
            | Cause::Disk
            | Cause::Throttled,
            _,
        ) => Reason::Other(trouble.text.clone()),
    };
    let subject =
        if trouble.cause == Cause::Protection { Subject::Protection } else { Subject::Other };
    Trouble {
        subject,
        host: trouble.host.clone(),
        reply: trouble.reply.as_ref().map(ToString::to_string),
        retry_after: trouble.retry_after_ms.map(Duration::from_millis),
        ..Trouble::new(trouble.status, reason, trouble.text.clone())
    }
}

/// What a verdict demanded, in words for the sender.
fn demanded(verdict: &tls::Verdict) -> String {
    match verdict.demands.joined().level {
        tls::Level::Authenticated => "an encrypted connection to a verified server".to_owned(),
        tls::Level::None | tls::Level::Opportunistic | tls::Level::Encrypted => {
            "an encrypted connection".to_owned()
        }
    }
}

/// Keeps what the attempt showed about the partner, for the next recipient at RCPT.
async fn learn(server: &Server, domain: &Domain, attempt: &Attempt) {
    let shortfall = attempt.outcomes.iter().find_map(|outcome| match outcome {
        Outcome::Permanent(trouble) if trouble.cause == Cause::Protection => Some(&trouble.text),
        Outcome::Permanent(_) | Outcome::Temporary(_) | Outcome::Delivered(_) => None,
    });
    let Some(text) = shortfall else { return };
    if let Err(error) = server.remember_shortfall(domain, text).await {
        tracing::warn!(%error, "what was found about a partner was not kept");
    }
}

/// Writes what follows from the attempt, in one transaction with its evidence.
async fn settle(
    server: &Arc<Server>,
    snapshot: &Arc<Snapshot>,
    work: Work,
    recipients: &[QueuedRecipient],
    outcomes: &[queue::Outcome],
    tried: &[Tried],
    passage: Passage,
) -> Result<()> {
    let at = Timestamp::now();
    let entry = queue::Entry {
        reverse_path: &work.reverse_path,
        received: work.received,
        expires: work.expires,
        attempts: work.attempts,
        recipients,
    };
    let schedule = schedule(&snapshot.config);
    let bounces = DoubleBounce::default();
    let followed = transition(&schedule, &bounces, &entry, outcomes, at, fastrand::u32(..));
    t37::end(server, snapshot, passage, &followed).await;
    let notices = notices::compose(server, snapshot, &work, &followed, at).await?;
    let evidence = if server.keeps_evidence() {
        report::evidence(&work, tried, &followed, notices.first().map(|notice| notice.trace), at)
    } else {
        Vec::new()
    };
    report::log(server, &work, tried, &followed);
    for ended in &followed.ended {
        Metrics::count(&server.metrics.ended, ended.ending.word());
    }
    let notified = !notices.is_empty();
    let settle = Arc::new(queue::settle(work.lease, &followed, at, evidence, notices)?);
    written(server, &settle, at).await?;
    if notified || !followed.remaining.is_empty() {
        server.dispatcher.wake();
    }
    Ok(())
}

/// Writes a settlement, again and again while the disk is full or refuses: the attempt was
/// made, and forgetting it would send the message twice.
async fn written(server: &Server, settle: &Arc<Settle>, at: Timestamp) -> Result<()> {
    let stopping = server.stopping();
    let mut pause = SETTLE_AGAIN_MIN;
    loop {
        let error = match server.store.settle(Arc::clone(settle)).await {
            Ok(_settled) => return Ok(()),
            Err(error) => error,
        };
        let until = Timestamp::now().plus(pause);
        if !error.may_pass() || *stopping.borrow() || until >= lease_end(at) {
            return Err(error.into());
        }
        tracing::warn!(%error, "what became of an attempt cannot be written; trying again");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(SETTLE_AGAIN_MAX);
    }
}
