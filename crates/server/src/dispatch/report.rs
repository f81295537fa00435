//! What an attempt leaves in the evidence and in the log.

use evidence::{
    Attempted, Entry, Event, Finished, FinishedRecipient, Target, TargetKind, Tried as TriedHost,
    TriedRecipient, TriedResult,
};
use mail::{Timestamp, TraceId};

use delivery::{Attempt, Contact, Outcome, Route};
use queue::Transition;
use tls::Protection;

use super::Work;
use super::attempt::Tried;
use crate::metrics::Metrics;
use crate::server::Server;

/// The entries of one attempt, in order: what was tried, then what has ended.
pub(super) fn evidence(
    work: &Work,
    tried: &[Tried],
    followed: &Transition,
    notice: Option<TraceId>,
    at: Timestamp,
) -> Vec<store::Evidence> {
    let next = (!followed.remaining.is_empty()).then_some(followed.due);
    let mut entries: Vec<store::Evidence> = tried
        .iter()
        .map(|tried| {
            let event = Event::Attempted(Box::new(attempted(work, tried, next)));
            Entry::about(work.trace, at, event).to_evidence()
        })
        .collect();
    if !followed.ended.is_empty() {
        let recipients = followed.ended.iter().map(|end| FinishedRecipient {
            address: end.recipient.recipient.address.clone(),
            ending: end.ending.into(),
            reason: (end.ending == store::Ending::Bounced).then(|| end.text.clone()),
            rule: None,
            notice: notice.filter(|_| end.ending == store::Ending::Bounced),
        });
        let event = Event::Finished(Finished { recipients: recipients.collect() });
        entries.push(Entry::about(work.trace, at, event).to_evidence());
    }
    entries
}

fn attempted(work: &Work, tried: &Tried, next: Option<Timestamp>) -> Attempted {
    let Tried { route, attempt, recipients, signed } = tried;
    let taker = attempt.outcomes.iter().find_map(|outcome| attempt.taker(outcome));
    let last = taker.or(attempt.contacts.last());
    let before = attempt
        .contacts
        .iter()
        .filter(|contact| last.is_none_or(|last| !std::ptr::eq(*contact, last)))
        .map(tried_host)
        .collect();
    Attempted {
        number: work.attempts + 1,
        target: target(route),
        host: last.map(|contact| contact.host.clone()),
        ip: last.and_then(|contact| contact.address).map(|address| address.ip()),
        port: last.and_then(|contact| contact.address).map(|address| address.port()),
        tls: last.and_then(|c| c.verdict.as_deref()).map(|v| Box::new(v.clone())),
        before,
        signed: signed.clone(),
        took_ms: u64::try_from(attempt.ended.since(attempt.started).as_millis()).unwrap_or(0),
        reply: last.and_then(|contact| contact.last_reply.as_ref()).map(ToString::to_string),
        recipients: recipients
            .iter()
            .zip(&attempt.outcomes)
            .map(|(address, outcome)| TriedRecipient {
                address: address.clone(),
                result: match outcome {
                    Outcome::Delivered(_) => TriedResult::Taken,
                    Outcome::Temporary(_) => TriedResult::Deferred,
                    Outcome::Permanent(_) => TriedResult::Refused,
                },
                status: Some(outcome.status()),
                reply: outcome.trouble().map(ToString::to_string),
            })
            .collect(),
        next: next.filter(|_| attempt.outcomes.iter().any(Outcome::is_temporary)),
    }
}

fn tried_host(contact: &Contact) -> TriedHost {
    TriedHost {
        host: contact.host.clone(),
        ip: contact.address.map(|address| address.ip()),
        why: contact.trouble.clone().unwrap_or_else(|| "not used".to_owned()),
        tls: contact.verdict.as_deref().map(|verdict| Box::new(verdict.clone())),
    }
}

fn target(route: &Route) -> Target {
    let (way, name) = match route {
        Route::Mx(domain) => (TargetKind::Mx, domain.to_string()),
        Route::SmartHost(smart) => {
            (TargetKind::SmartHost, format!("{}:{}", smart.host, smart.port))
        }
        Route::Lmtp(_) => (TargetKind::Lmtp, route.to_string()),
        Route::Maildir(_) => (TargetKind::Mailbox, "mailbox".to_owned()),
        Route::Fax(account) => (TargetKind::Fax, account.clone()),
    };
    Target { way, name }
}

/// One line for each outcome, and the counts.
pub(super) fn log(server: &Server, work: &Work, tried: &[Tried], followed: &Transition) {
    for Tried { route, attempt, recipients, signed: _ } in tried {
        let protection = protection(attempt);
        Metrics::count(&server.metrics.attempts, &protection.to_string());
        for (address, outcome) in recipients.iter().zip(&attempt.outcomes) {
            tracing::info!(id = %work.trace, to = %address, route = %route,
                attempt = work.attempts + 1, protection = %protection, "{outcome}");
        }
    }
    if !followed.remaining.is_empty() {
        tracing::debug!(id = %work.trace, due = %followed.due.to_rfc3339(), "waits");
    }
}

/// The fixed word for an attempt's protection.
fn protection(attempt: &Attempt) -> Protection {
    let taker = attempt.outcomes.iter().find_map(|outcome| attempt.taker(outcome));
    match taker {
        Some(contact) => {
            contact.verdict.as_ref().map_or(Protection::Local, |verdict| verdict.protection)
        }
        None => Protection::NotSent,
    }
}
