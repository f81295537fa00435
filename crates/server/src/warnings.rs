//! Warnings by mail to an account that comes near a quota.

use std::sync::Arc;

use anyhow::Result;
use evidence::{
    Accepted, Decision, Digest, Entry, EnvelopeFacts, Event, MessageFacts, Origin, Promise,
    envelope_digest,
};
use flow::Warning;
use mail::{Address, Envelope, Recipient, ReversePath, Timestamp, TraceId};
use rules::{Facts, Moment};
use store::Accept;

use crate::conversation::amount;
use crate::dispatch::schedule;
use crate::message::Record;
use crate::notices::entry;
use crate::server::Server;
use crate::snapshot::Snapshot;

impl Server {
    /// Warns `account` of the quotas it comes near, a moment later.
    pub fn warn_soon(
        self: &Arc<Self>,
        snapshot: &Arc<Snapshot>,
        about: TraceId,
        account: Option<Address>,
        warnings: Vec<Warning>,
    ) {
        let Some(account) = account.filter(|_| !warnings.is_empty()) else { return };
        let (server, snapshot) = (Arc::clone(self), Arc::clone(snapshot));
        tokio::spawn(async move {
            tracing::info!(%account, quotas = warnings.len(), "comes near a sending quota");
            let warned = match accept(&server, &snapshot, about, &account, &warnings) {
                Ok(accept) => server.store.accept(accept).await.map_err(anyhow::Error::from),
                Err(error) => Err(error),
            };
            match warned {
                Ok(_) => server.dispatcher.wake(),
                Err(error) => tracing::error!(%account, %error, "was not warned of its quota"),
            }
        });
    }
}

fn accept(
    server: &Server,
    snapshot: &Snapshot,
    about: TraceId,
    account: &Address,
    warnings: &[Warning],
) -> Result<Accept> {
    let now = Timestamp::now();
    let id = TraceId::generate(now.0);
    let mut body = server.store.body();
    body.write(text(snapshot, id, now, account, warnings).as_bytes())?;
    let body = body.finish()?;
    let mut envelope = Envelope::from(ReversePath::Null);
    let facts =
        Facts { now: Some(Moment(now)), sender: Some(ReversePath::Null), ..Facts::default() };
    envelope.smtputf8 = account.needs_smtputf8();
    let record = Record {
        envelope: envelope.clone(),
        facts,
        head: String::new(),
        revision: snapshot.revision,
    };
    envelope.recipients = vec![Recipient::new(account.clone())];
    let expires = schedule(&snapshot.config).expires(now, &ReversePath::Null);
    let accepted = Event::Accepted(Box::new(Accepted {
        origin: Origin::Notice { about },
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
        filters: Vec::new(),
        lists: Vec::new(),
        sender: None,
        decision: Decision {
            revision: snapshot.revision,
            rules: Vec::new(),
            verdict: "notice".to_owned(),
        },
        recipients: vec![Promise {
            address: account.clone(),
            verdict: "deliver".to_owned(),
            rule: None,
        }],
    }));
    let evidence = if server.keeps_evidence() {
        vec![Entry::about(id, now, accepted).to_evidence()]
    } else {
        Vec::new()
    };
    Ok(Accept {
        trace: id,
        received: now,
        reverse_path: ReversePath::Null,
        facts: serde_json::to_vec(&record)?,
        message_id: Some(format!("{id}@{}", snapshot.config.hostname.value)),
        parties: vec![account.clone()],
        body,
        entries: vec![entry(server, account, now, expires)?],
        ended: Vec::new(),
        evidence,
    })
}

fn text(
    snapshot: &Snapshot,
    id: TraceId,
    now: Timestamp,
    account: &Address,
    warnings: &[Warning],
) -> String {
    let hostname = &snapshot.config.hostname.value;
    let mut lines = String::new();
    for Warning { quota, limit, used } in warnings {
        let (used, max) = (amount(limit.what, *used), amount(limit.what, limit.max));
        let period = limit.period.word();
        lines.push_str(&format!("  {quota}: {used} of {max} per {period}\r\n"));
    }
    format!(
        "From: {hostname} <{}>\r\nTo: <{account}>\r\nSubject: You come near a sending quota\r\n\
         Date: {}\r\nMessage-ID: <{id}@{hostname}>\r\nAuto-Submitted: auto-generated\r\n\
         MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Transfer-Encoding: 8bit\r\n\r\n\
         Your account has sent most of what it may send:\r\n\r\n{lines}\r\n\
         When a limit is reached, your mail is refused for a time; your mail program shows\r\n\
         until when. If you have not sent this much, somebody else may know your password:\r\n\
         change it, and tell {}.\r\n",
        snapshot.config.postmaster.value,
        now.to_rfc5322(),
        snapshot.config.postmaster.value,
    )
}
