//! Mail that the server writes itself: notices, warnings, reports. It has no sender to tell
//! of failures, and evidence of its own.

use anyhow::Result;
use evidence::{
    Accepted, Decision, Digest, Entry, EnvelopeFacts, Event, MessageFacts, Origin, Promise,
    envelope_digest,
};
use mail::header::NewField;
use mail::{Address, Envelope, Notify, Recipient, ReversePath, Timestamp, TraceId};
use queue::QueuedRecipient;
use rules::{Facts, Moment};
use store::{Accept, NewEntry, Start};

use crate::dispatch::schedule;
use crate::message::Record;
use crate::server::Server;
use crate::snapshot::Snapshot;

/// A message of the server's own.
pub(crate) struct Letter {
    /// Its name.
    pub trace: TraceId,
    /// When it is written.
    pub at: Timestamp,
    /// Why it is written.
    pub origin: Origin,
    /// Who gets it.
    pub to: Vec<Address>,
    /// Header and body.
    pub content: Vec<u8>,
    /// What its content asks of the way.
    pub body: mail::Body,
    /// Whether an address in it is not ASCII (RFC 6531).
    pub smtputf8: bool,
}

impl Letter {
    /// A letter of plain text, in lines that end with CRLF.
    ///
    /// # Errors
    ///
    /// When the subject is no header field.
    pub fn plain(
        snapshot: &Snapshot,
        origin: Origin,
        from: (&str, &Address),
        to: &Address,
        subject: &str,
        text: &str,
    ) -> Result<Self> {
        let at = Timestamp::now();
        let trace = TraceId::generate(at.0);
        let (name, address) = from;
        let fields = [
            ("From", format!("{name} <{address}>")),
            ("To", format!("<{to}>")),
            ("Subject", subject.to_owned()),
            ("Date", at.to_rfc5322()),
            ("Message-ID", format!("<{trace}@{}>", snapshot.config.hostname.value)),
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
        let body = if text.is_ascii() { mail::Body::default() } else { mail::Body::EightBitMime };
        Ok(Self {
            trace,
            at,
            origin,
            to: vec![to.clone()],
            content: content.into_bytes(),
            body,
            smtputf8: to.needs_smtputf8() || address.needs_smtputf8(),
        })
    }

    /// The letter as a message from the null sender, ready to be accepted.
    ///
    /// # Errors
    ///
    /// When the content cannot be kept.
    pub fn accept(self, server: &Server, snapshot: &Snapshot) -> Result<Accept> {
        let Self { trace, at, origin, to, content, body, smtputf8 } = self;
        let mut envelope = Envelope::from(ReversePath::Null);
        envelope.body = body;
        envelope.smtputf8 = smtputf8;
        let mut body = server.store.body();
        body.write(&content)?;
        let body = body.finish()?;
        let facts =
            Facts { now: Some(Moment(at)), sender: Some(ReversePath::Null), ..Facts::default() };
        let record = Record {
            envelope: envelope.clone(),
            facts,
            head: String::new(),
            revision: snapshot.revision,
        };
        envelope.recipients = to.iter().cloned().map(Recipient::new).collect();
        let expires = schedule(&snapshot.config).expires(at, &ReversePath::Null);
        let entries: Result<Vec<NewEntry>> =
            to.iter().map(|address| entry(server, address, at, expires)).collect();
        let accepted = || {
            Event::Accepted(Box::new(Accepted {
                origin,
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
                lists: Vec::new(),
                decision: Decision {
                    revision: snapshot.revision,
                    rules: Vec::new(),
                    verdict: "notice".to_owned(),
                },
                recipients: to.iter().map(promise).collect(),
                filters: Vec::new(),
            }))
        };
        let evidence =
            server.keeps_evidence().then(|| Entry::about(trace, at, accepted()).to_evidence());
        Ok(Accept {
            trace,
            received: at,
            reverse_path: ReversePath::Null,
            facts: serde_json::to_vec(&record)?,
            message_id: Some(format!("{trace}@{}", snapshot.config.hostname.value)),
            parties: to,
            body,
            entries: entries?,
            ended: Vec::new(),
            evidence: evidence.into_iter().collect(),
        })
    }
}

fn promise(address: &Address) -> Promise {
    Promise { address: address.clone(), verdict: "deliver".to_owned(), rule: None }
}

/// An entry for one recipient, who is told of nothing.
///
/// # Errors
///
/// When it cannot be written.
pub(crate) fn entry(
    server: &Server,
    address: &Address,
    now: Timestamp,
    expires: Timestamp,
) -> Result<NewEntry> {
    let resolution = server.accounts.directory().resolve(address);
    let address = resolution.redirected().unwrap_or(address).clone();
    let destination = address.domain().to_string();
    let recipient = Recipient { notify: Notify::NEVER, ..Recipient::new(address) };
    Ok(NewEntry {
        destination,
        route: None,
        recipients: queue::encode(&[QueuedRecipient::new(recipient)])?,
        recipient_count: 1,
        expires,
        start: Start::Due(now),
    })
}
