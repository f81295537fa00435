//! Mails that tell the sender what became of a fax. They travel as all mail does, so what is
//! demanded of the way to the sender holds for them too.

use std::fmt::Write as _;

use anyhow::Result;
use config::model::FaxAccount;
use evidence::{
    Accepted, Decision, Digest, Entry, EnvelopeFacts, Event, MessageFacts, Origin, Promise,
    envelope_digest,
};
use fax::State;
use mail::header::NewField;
use mail::{Address, Envelope, Notify, Recipient, ReversePath, Timestamp, TraceId};
use queue::QueuedRecipient;
use rules::{Facts, Moment};
use store::{Accept, NewEntry, Start};

use super::record::Fax;
use crate::dispatch::schedule;
use crate::message::Record;
use crate::server::Server;
use crate::snapshot::Snapshot;

/// The mail that is due where a fax stands now, if one is.
///
/// # Errors
///
/// When it cannot be written.
pub fn compose(
    server: &Server,
    snapshot: &Snapshot,
    fax: &Fax,
    now: Timestamp,
) -> Result<Vec<Accept>> {
    let Some(account) = snapshot.config.fax_account(&fax.row.account) else {
        return Ok(Vec::new());
    };
    let job = &fax.record.job;
    let notices = account.notices;
    let (is_wanted, headline) = match &job.state {
        State::Queued { .. } if job.counters.dials == 0 && job.confirmed == 0 => {
            (notices.accepted, "was accepted and waits for a line")
        }
        State::Sent => (notices.sent, "was sent"),
        State::HandedOver => (notices.sent, "was handed over"),
        State::Failed { .. } => (notices.failed, "was not sent"),
        State::Cancelled => (notices.failed, "was cancelled"),
        State::Queued { .. }
        | State::Held { .. }
        | State::Dialling
        | State::Sending { .. }
        | State::Waiting { .. }
        | State::Uncertain
        | State::Cancelling => (false, ""),
    };
    if !is_wanted {
        return Ok(Vec::new());
    }
    let text = text(account, fax, headline);
    Ok(vec![accept(server, snapshot, fax, &text, headline, now)?])
}

fn text(account: &FaxAccount, fax: &Fax, headline: &str) -> String {
    let job = &fax.record.job;
    let mut text = format!("Your fax to {} {headline}.\r\n\r\n", fax.row.number);
    let mut line = |name: &str, value: &dyn std::fmt::Display| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{name:<16} {value}\r\n");
    };
    if let State::Failed { reason } = &job.state {
        line("Reason", reason);
    }
    line("Number", &fax.row.number);
    line("Pages", &job.pages);
    if job.state.is_final() {
        line("Confirmed pages", &job.confirmed);
        line("Calls", &job.counters.dials);
    }
    if let Some(subject) = fax.record.subject.as_ref().filter(|_| *account.shows_subject) {
        line("Subject", subject);
    }
    if let Some(code) = &fax.record.options.billing {
        line("Billing code", code);
    }
    if let Some(name) = &fax.record.transport_id {
        line("Name at the line", name);
    }
    line("From", &account.organisation.value);
    line("Fax", &fax.row.id);
    line("Message", &fax.row.message);
    if !fax.record.missing.is_empty() {
        let _ = write!(
            text,
            "\r\nThese characters of your text are in no font here; a box stands for each: {}\r\n",
            fax.record.missing
        );
    }
    text
}

fn accept(
    server: &Server,
    snapshot: &Snapshot,
    fax: &Fax,
    text: &str,
    headline: &str,
    now: Timestamp,
) -> Result<Accept> {
    let id = TraceId::generate(now.0);
    let hostname = &snapshot.config.hostname;
    let from = fax_service(fax, snapshot);
    let to = &fax.record.sender;
    let subject = format!("Fax to {} {headline}", fax.row.number);
    let fields = [
        ("From", format!("Fax service <{from}>")),
        ("To", format!("<{to}>")),
        ("Subject", subject),
        ("Date", now.to_rfc5322()),
        ("Message-ID", format!("<{id}@{}>", hostname.value)),
        ("Auto-Submitted", "auto-generated".to_owned()),
        ("MIME-Version", "1.0".to_owned()),
        ("Content-Type", "text/plain; charset=utf-8".to_owned()),
        ("Content-Transfer-Encoding", "8bit".to_owned()),
    ];
    let mut content = String::new();
    for (name, value) in fields {
        content.push_str(NewField::new(name, &value)?.as_str());
    }
    content.push_str("\r\n");
    content.push_str(text);
    let mut body = server.store.body();
    body.write(content.as_bytes())?;
    let body = body.finish()?;
    let mut envelope = Envelope::from(ReversePath::Null);
    if !text.is_ascii() {
        envelope.body = mail::Body::EightBitMime;
    }
    let facts =
        Facts { now: Some(Moment(now)), sender: Some(ReversePath::Null), ..Facts::default() };
    let record = Record {
        envelope: envelope.clone(),
        facts,
        head: String::new(),
        revision: snapshot.revision,
    };
    let recipient = Recipient { notify: Notify::NEVER, ..Recipient::new(to.clone()) };
    envelope.recipients = vec![recipient];
    let entry = entry(server, snapshot, to, now)?;
    let evidence = if server.keeps_evidence() {
        vec![evidence(fax, id, &envelope, &body, snapshot, now)]
    } else {
        Vec::new()
    };
    Ok(Accept {
        trace: id,
        received: now,
        reverse_path: ReversePath::Null,
        facts: serde_json::to_vec(&record)?,
        message_id: Some(format!("{id}@{}", hostname.value)),
        parties: vec![to.clone()],
        body,
        entries: vec![entry],
        ended: Vec::new(),
        evidence,
    })
}

/// The address that notices come from.
fn fax_service(fax: &Fax, snapshot: &Snapshot) -> Address {
    Address::parse(&fax.row.recipient)
        .and_then(|address| Address::new("fax", address.domain().clone()))
        .unwrap_or_else(|_| snapshot.config.postmaster.value.clone())
}

fn entry(server: &Server, snapshot: &Snapshot, to: &Address, now: Timestamp) -> Result<NewEntry> {
    let resolution = server.accounts.directory().resolve(to);
    let address = resolution.redirected().unwrap_or(to).clone();
    let destination = address.domain().to_string();
    let recipient = Recipient { notify: Notify::NEVER, ..Recipient::new(address) };
    Ok(NewEntry {
        destination,
        route: None,
        recipients: queue::encode(&[QueuedRecipient::new(recipient)])?,
        recipient_count: 1,
        expires: schedule(&snapshot.config).expires(now, &ReversePath::Null),
        start: Start::Due(now),
    })
}

fn evidence(
    fax: &Fax,
    id: TraceId,
    envelope: &Envelope,
    body: &store::Body,
    snapshot: &Snapshot,
    now: Timestamp,
) -> store::Evidence {
    let accepted = Event::Accepted(Box::new(Accepted {
        origin: Origin::Notice { about: fax.row.message },
        message: MessageFacts {
            sha256: Digest::from_bytes(*body.sha256()),
            octets: body.len_octets(),
            subject: None,
            message_id: None,
        },
        envelope: EnvelopeFacts {
            sha256: envelope_digest(envelope),
            from: ReversePath::Null,
            require_tls: false,
        },
        authenticated: None,
        tls: None,
        decision: Decision {
            revision: snapshot.revision,
            rules: Vec::new(),
            verdict: "notice".to_owned(),
        },
        recipients: envelope
            .recipients
            .iter()
            .map(|recipient| Promise {
                address: recipient.address.clone(),
                verdict: "deliver".to_owned(),
                rule: None,
            })
            .collect(),
    }));
    Entry::about(id, now, accepted).to_evidence()
}
