//! Mail that the server writes itself: notices, warnings, reports. It has no sender to tell
//! of failures, and evidence of its own.

use anyhow::{Context, Result};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use evidence::{
    Accepted, Decision, Digest, Entry, EnvelopeFacts, Event, MessageFacts, Origin, Promise,
    envelope_digest,
};
use mail::header::NewField;
use mail::{Address, DsnReturn, Envelope, Notify, Recipient, ReversePath, Timestamp, TraceId};
use queue::QueuedRecipient;
use rules::{Facts, Moment};
use store::{Accept, NewEntry, Start};

use crate::dispatch::schedule;
use crate::message::Record;
use crate::server::Server;
use crate::snapshot::Snapshot;

/// A file that goes with a letter.
pub(crate) struct Attachment {
    /// Its name: letters, digits, dots and the like.
    pub name: String,
    /// Its media type.
    pub kind: &'static str,
    /// What is in it.
    pub octets: Vec<u8>,
}

/// Columns of a line of base64 (RFC 2045 section 6.8).
const COLUMNS: usize = 76;

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

    /// A letter of plain text, with a file behind it (RFC 2046 section 5.1.3).
    ///
    /// # Errors
    ///
    /// When the letter has no header.
    pub fn with(mut self, file: Attachment) -> Result<Self> {
        let text = String::from_utf8_lossy(&self.content);
        let (head, body) = text.split_once("\r\n\r\n").context("a letter has a header")?;
        let (head, of_text) =
            head.split_once("Content-Type:").context("a letter says what is in it")?;
        let boundary = format!("=_{}", self.trace);
        let Attachment { name, kind, octets } = file;
        let mut content = format!(
            "{head}Content-Type: multipart/mixed; boundary=\"{boundary}\"\r\n\r\n\
             --{boundary}\r\nContent-Type:{of_text}\r\n\r\n{body}\r\n\
             --{boundary}\r\nContent-Type: {kind}\r\n\
             Content-Transfer-Encoding: base64\r\n\
             Content-Disposition: attachment; filename=\"{name}\"\r\n\r\n"
        );
        for line in BASE64_STANDARD.encode(octets).as_bytes().chunks(COLUMNS) {
            content.push_str(&String::from_utf8_lossy(line));
            content.push_str("\r\n");
        }
        content.push_str(&format!("--{boundary}--\r\n"));
        self.content = content.into_bytes();
        Ok(self)
    }

    /// The letter as a message from the null sender, ready to be accepted.
    ///
    /// # Errors
    ///
    /// When the content cannot be kept.
    pub fn accept(self, server: &Server, snapshot: &Snapshot) -> Result<Accept> {
        self.post(server, snapshot, Sending::silent())
    }

    /// The letter as a message that is sent as `sending` says, ready to be accepted.
    ///
    /// # Errors
    ///
    /// When the content cannot be kept.
    pub fn post(self, server: &Server, snapshot: &Snapshot, sending: Sending) -> Result<Accept> {
        let Self { trace, at, origin, to, content, body, smtputf8 } = self;
        let Sending { reverse_path, notify, dsn_return, envid, gives_up } = sending;
        let mut envelope = Envelope::from(reverse_path.clone());
        envelope.dsn_return = dsn_return;
        envelope.envid = envid;
        envelope.body = body;
        envelope.smtputf8 = smtputf8;
        let mut body = server.store.body();
        body.write(&content)?;
        let body = body.finish()?;
        let facts =
            Facts { now: Some(Moment(at)), sender: Some(reverse_path.clone()), ..Facts::default() };
        let record = Record {
            envelope: envelope.clone(),
            facts,
            head: String::new(),
            revision: snapshot.revision,
        };
        envelope.recipients = to.iter().cloned().map(Recipient::new).collect();
        let expires = schedule(&snapshot.config).expires(at, &reverse_path);
        let expires = gives_up.map_or(expires, |gives_up| gives_up.min(expires));
        let entries: Result<Vec<NewEntry>> =
            to.iter().map(|address| entry(server, address, notify, at, expires)).collect();
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
                    from: reverse_path.clone(),
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
            reverse_path: reverse_path.clone(),
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

/// How a letter is sent, and who hears of it.
pub(crate) struct Sending {
    /// Where notices go.
    pub reverse_path: ReversePath,
    /// What is asked to be told.
    pub notify: Notify,
    /// How much of the letter comes back with it.
    pub dsn_return: Option<DsnReturn>,
    /// The name of the transaction in what is told.
    pub envid: Option<String>,
    /// When it is given up, if that is before the queue would.
    pub gives_up: Option<Timestamp>,
}

impl Sending {
    /// Nobody hears what becomes of it.
    const fn silent() -> Self {
        Self {
            reverse_path: ReversePath::Null,
            notify: Notify::NEVER,
            dsn_return: None,
            envid: None,
            gives_up: None,
        }
    }
}

fn promise(address: &Address) -> Promise {
    Promise { address: address.clone(), verdict: "deliver".to_owned(), rule: None }
}

fn entry(
    server: &Server,
    address: &Address,
    notify: Notify,
    now: Timestamp,
    expires: Timestamp,
) -> Result<NewEntry> {
    let resolution = server.accounts.directory().resolve(address);
    let address = resolution.redirected().unwrap_or(address).clone();
    let destination = address.domain().to_string();
    let recipient = Recipient { notify, ..Recipient::new(address) };
    Ok(NewEntry {
        destination,
        route: None,
        recipients: queue::encode(&[QueuedRecipient::new(recipient)])?,
        recipient_count: 1,
        expires,
        start: Start::Due(now),
    })
}
