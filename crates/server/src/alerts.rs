//! Mail from the server to those who look after it.

use std::sync::Arc;

use anyhow::Result;
use evidence::{
    Accepted, Decision, Digest, Entry, EnvelopeFacts, Event, MessageFacts, Origin, Promise,
    envelope_digest,
};
use mail::{Address, Envelope, Notify, Recipient, ReversePath, Timestamp, TraceId};
use queue::QueuedRecipient;
use rules::{Facts, Moment};
use store::{Accept, NewEntry, Start};

use crate::message::Record;
use crate::server::Server;

/// Writes to the postmaster. A failure is logged: there is nobody else to tell.
pub async fn send(server: &Arc<Server>, subject: &str, text: &str) {
    match compose(server, subject, text) {
        Ok(accept) => match server.store.accept(accept).await {
            Ok(_) => server.dispatcher.wake(),
            Err(error) => tracing::error!(%error, subject, "the postmaster was not told"),
        },
        Err(error) => tracing::error!(%error, subject, "the postmaster was not told"),
    }
}

fn compose(server: &Server, subject: &str, text: &str) -> Result<Accept> {
    let snapshot = server.snapshot();
    let now = Timestamp::now();
    let trace = TraceId::generate(now.0);
    let postmaster = snapshot.config.postmaster.value.clone();
    let hostname = &snapshot.config.hostname.value;
    let subject = mail::header::NewField::new("Subject", subject)?;
    let content = format!(
        "From: Mailkeep <{postmaster}>\r\nTo: {postmaster}\r\n{}Date: {}\r\n\
         Message-ID: <{trace}@{hostname}>\r\nAuto-Submitted: auto-generated\r\n\
         MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text}",
        subject.as_str(),
        now.to_rfc5322(),
    );
    let mut body = server.store.body();
    body.write(content.as_bytes())?;
    let body = body.finish()?;
    let resolution = server.accounts.directory().resolve(&postmaster);
    let to: Address = resolution.redirected().unwrap_or(&postmaster).clone();
    let recipient = Recipient { notify: Notify::NEVER, ..Recipient::new(to.clone()) };
    let mut envelope = Envelope::from(ReversePath::Null);
    envelope.recipients = vec![recipient.clone()];
    let facts =
        Facts { now: Some(Moment(now)), sender: Some(ReversePath::Null), ..Facts::default() };
    let record = Record {
        envelope: Envelope { recipients: Vec::new(), ..envelope.clone() },
        facts,
        head: String::new(),
        revision: snapshot.revision,
    };
    let schedule = crate::dispatch::schedule(&snapshot.config);
    let entry = NewEntry {
        destination: to.domain().to_string(),
        route: None,
        recipients: queue::encode(&[QueuedRecipient::new(recipient)])?,
        recipient_count: 1,
        expires: schedule.expires(now, &ReversePath::Null),
        start: Start::Due(now),
    };
    let accepted = Event::Accepted(Box::new(Accepted {
        origin: Origin::Injected { by: "the server".to_owned() },
        message: MessageFacts {
            sha256: Digest::from_bytes(*body.sha256()),
            octets: body.len_octets(),
            subject: None,
            message_id: None,
        },
        envelope: EnvelopeFacts {
            sha256: envelope_digest(&envelope),
            from: ReversePath::Null,
            require_tls: false,
        },
        authenticated: None,
        tls: None,
        sender: None,
        decision: Decision {
            revision: snapshot.revision,
            rules: Vec::new(),
            verdict: "notice".to_owned(),
        },
        recipients: vec![Promise {
            address: to.clone(),
            verdict: "deliver".to_owned(),
            rule: None,
        }],
        filters: Vec::new(),
        lists: Vec::new(),
    }));
    let keeps = server.keeps_evidence();
    let evidence = keeps.then(|| Entry::about(trace, now, accepted).to_evidence());
    Ok(Accept {
        trace,
        received: now,
        reverse_path: ReversePath::Null,
        facts: serde_json::to_vec(&record)?,
        message_id: Some(format!("{trace}@{hostname}")),
        parties: vec![to],
        body,
        entries: vec![entry],
        ended: Vec::new(),
        evidence: evidence.into_iter().collect(),
    })
}
