//! What milters and scanners are told, and what their answers mean for the client.

use bytes::Bytes;
use evidence::FilterFinding;
use filters::message::{Change, Message};
use filters::milter::{Client, Macros, Outcome as Said};
use filters::scanner::About;
use mail::{Address, Envelope, Recipient, ReversePath, Timestamp, TraceId};
use rules::scan::{FilterFacts, FilterWord, ScanFacts};
use rules::{RecipientFacts, Stage};
use smtp::server::Answer;
use smtp::{Refusal, Reply};
use store::Body;

use super::Conversation;
use super::content::{Finished, Incoming};
use crate::metrics::Metrics;

/// A message after its filters.
pub(super) struct Filtered {
    pub finished: Finished,
    /// What the filters said, for the rules.
    pub scan: Option<ScanFacts>,
    /// The same for the evidence.
    pub findings: Vec<FilterFinding>,
    /// Recipients that a milter added, and which.
    pub added: Vec<(Address, String)>,
    /// The milter that wants it dropped.
    pub discarded_by: Option<String>,
    /// Why it is to be set aside.
    pub quarantine: Option<String>,
    /// Fields that scanners want at the top.
    pub head: Vec<(String, String)>,
    /// Fields that scanners want gone.
    pub removed: Vec<String>,
}

/// What a message is filtered with.
pub(super) struct Unfiltered<'a> {
    pub trace: TraceId,
    pub finished: Finished,
    pub envelope: &'a mut Envelope,
    pub recipients: &'a mut Vec<RecipientFacts>,
}

impl Conversation {
    /// Tells the milters that a client has connected.
    pub(super) async fn milters_connect(&mut self) -> Result<(), Refusal> {
        if self.filters.is_empty() {
            return Ok(());
        }
        let ip = self.peer.ip().to_canonical();
        let name = match &self.facts.client_name {
            Some(name) => name.to_string(),
            None => format!("[{ip}]"),
        };
        let client = Client { name, address: Some((ip, self.peer.port())) };
        let macros = self.macros(None);
        let said = self.filters.connect(client, &macros).await;
        self.heed(said, Stage::Connect, None)
    }

    /// Tells them what the client said of itself.
    pub(super) async fn milters_hello(&mut self, name: &str) -> Result<(), Refusal> {
        if self.filters.is_empty() {
            return Ok(());
        }
        let macros = self.macros(None);
        let said = self.filters.helo(name, &macros).await;
        self.heed(said, Stage::Hello, None)
    }

    /// Tells them of a line that is no command.
    pub(super) async fn milters_unknown(&mut self, line: &str) -> Result<(), Refusal> {
        if self.filters.is_empty() {
            return Ok(());
        }
        let macros = self.macros(self.transaction.as_ref().map(|t| t.trace));
        match self.filters.unknown(line, &macros).await {
            Said::Continue | Said::Discard { .. } => Ok(()),
            Said::Refuse(refused) => Err(refusal(&refused)),
        }
    }

    /// Tells them of MAIL.
    pub(super) async fn milters_mail(
        &mut self,
        envelope: &Envelope,
        size: Option<u64>,
    ) -> Result<(), Refusal> {
        if self.filters.is_empty() {
            return Ok(());
        }
        let mut arguments = vec![bracketed(&envelope.reverse_path)];
        arguments.extend(size.map(|size| format!("SIZE={size}")));
        match envelope.body {
            mail::envelope::Body::SevenBit => {}
            mail::envelope::Body::EightBitMime => arguments.push("BODY=8BITMIME".to_owned()),
            mail::envelope::Body::BinaryMime => arguments.push("BODY=BINARYMIME".to_owned()),
        }
        if envelope.smtputf8 {
            arguments.push("SMTPUTF8".to_owned());
        }
        let macros = self.macros(self.transaction.as_ref().map(|t| t.trace));
        let said = self.filters.mail(&arguments, &macros).await;
        self.heed(said, Stage::Mail, None)
    }

    /// Tells them of RCPT.
    pub(super) async fn milters_rcpt(
        &mut self,
        recipient: &Recipient,
        facts: &RecipientFacts,
    ) -> Result<(), Refusal> {
        if self.filters.is_empty() {
            return Ok(());
        }
        let mut macros = self.macros(self.transaction.as_ref().map(|t| t.trace));
        let address = &recipient.address;
        macros.set("{rcpt_addr}", address.to_string());
        macros.set("{rcpt_host}", address.domain().to_string());
        macros.set("{rcpt_mailer}", if facts.is_local { "local" } else { "smtp" });
        let said = self.filters.rcpt(&[format!("<{address}>")], &macros).await;
        self.heed(said, Stage::Rcpt, Some(recipient))
    }

    /// Tells them of DATA.
    pub(super) async fn milters_data(&mut self) -> Result<(), Refusal> {
        if self.filters.is_empty() {
            return Ok(());
        }
        let macros = self.macros(self.transaction.as_ref().map(|t| t.trace));
        let said = self.filters.data(&macros).await;
        self.heed(said, Stage::Data, None)
    }

    /// Shows a message to the milters in order, then to the scanners at once.
    pub(super) async fn filter(&mut self, unfiltered: Unfiltered<'_>) -> Result<Filtered, Answer> {
        let Unfiltered { trace, finished, envelope, recipients } = unfiltered;
        let mut filtered = Filtered {
            finished,
            scan: None,
            findings: Vec::new(),
            added: Vec::new(),
            discarded_by: None,
            quarantine: None,
            head: Vec::new(),
            removed: Vec::new(),
        };
        let scans = self.snapshot.filters.scans(&self.site.name);
        if self.filters.is_empty() && !scans {
            return Ok(filtered);
        }
        let snapshot = std::sync::Arc::clone(&self.snapshot);
        let _place = snapshot.filters.place().await;
        let whole = self.whole(&filtered.finished.body).await?;
        if !self.filters.is_empty() {
            self.run_milters(trace, &whole, envelope, recipients, &mut filtered).await?;
        }
        if filtered.discarded_by.is_none() && scans {
            let whole = if filtered.finished.is_changed {
                self.whole(&filtered.finished.body).await?
            } else {
                whole
            };
            let about = self.about(trace, envelope);
            let listener = &self.site.name;
            let scanned =
                snapshot.filters.scan(listener, vec![whole], about, Timestamp::now()).await;
            let facts = filtered.scan.get_or_insert_default();
            facts.viruses = scanned.facts.viruses;
            facts.spam_score = scanned.facts.spam_score;
            facts.spam_action = scanned.facts.spam_action;
            facts.failed = scanned.facts.failed;
            facts.filters.extend(scanned.facts.filters);
            let finding = |(by, what)| FilterFinding { by, what };
            filtered.findings.extend(scanned.findings.into_iter().map(finding));
            filtered.head = scanned.add;
            filtered.removed = scanned.remove;
        }
        for finding in &filtered.findings {
            tracing::info!(id = %trace, by = %finding.by, said = %finding.what, "filtered");
        }
        Ok(filtered)
    }

    async fn run_milters(
        &mut self,
        trace: TraceId,
        whole: &Bytes,
        envelope: &mut Envelope,
        recipients: &mut Vec<RecipientFacts>,
        filtered: &mut Filtered,
    ) -> Result<(), Answer> {
        let mut message = match Message::read(whole) {
            Ok(message) => message,
            Err(error) => return Err(Answer::Refuse(self.bad_header(&error))),
        };
        let mut macros = self.macros(Some(trace));
        macros.set("{nrcpts}", recipients.len().to_string());
        if let Some(id) = filtered.finished.header.header().ok().and_then(|h| h.message_id()) {
            macros.set("{msg_id}", id);
        }
        let (said, changes) = self.filters.message(&mut message, &macros, |_| true).await;
        let mut facts = ScanFacts::default();
        for told in self.filters.take_findings() {
            let failed = told.what.starts_with("no answer");
            let said = if failed { FilterWord::Failed } else { FilterWord::Passed };
            facts.filters.push(FilterFacts { name: told.by.clone(), is_milter: true, said });
            let by = format!("milter {}", told.by);
            filtered.findings.push(FilterFinding { by, what: told.what });
        }
        for told in self.filters.take_quarantine() {
            if let Some(by) = facts.filters.iter_mut().find(|filter| filter.name == told.by)
                && by.said == FilterWord::Passed
            {
                by.said = FilterWord::Quarantined;
            }
            filtered.quarantine.get_or_insert_with(|| format!("milter {}: {}", told.by, told.what));
        }
        filtered.scan = Some(facts);
        self.findings.clone_from(&filtered.findings);
        if let Said::Discard { by } = said {
            filtered.discarded_by = Some(by);
            return Ok(());
        }
        self.heed(said, Stage::Data, None).map_err(Answer::Refuse)?;
        for (by, change) in changes {
            self.change_envelope(by, change, envelope, recipients, &mut filtered.added);
        }
        if message.is_changed() {
            let mut again = Incoming::new(&self.server.store, &self.snapshot, None);
            again.take(&message.head());
            for piece in message.body().chunks(store::BODY_IN_MEMORY_MAX_OCTETS) {
                again.take(piece);
            }
            match again.finish() {
                Ok(finished) => {
                    filtered.finished = Finished { is_changed: true, ..finished };
                }
                Err(error) => return Err(Answer::Refuse(self.not_stored(&error))),
            }
        }
        Ok(())
    }

    /// Makes a milter's change to the envelope. What is no address is left alone.
    fn change_envelope(
        &mut self,
        by: String,
        change: Change,
        envelope: &mut Envelope,
        recipients: &mut Vec<RecipientFacts>,
        added: &mut Vec<(Address, String)>,
    ) {
        match change {
            Change::Sender { path, .. } => {
                let path = match bare(&path) {
                    "" => Some(ReversePath::Null),
                    address => Address::parse(address).ok().map(ReversePath::Address),
                };
                if let Some(path) = path {
                    envelope.reverse_path = path.clone();
                    self.facts.sender = Some(path);
                }
            }
            Change::AddRecipient { path, .. } => {
                let Ok(address) = Address::parse(bare(&path)) else { return };
                let known = envelope.recipients.iter().any(|r| r.address == address)
                    || added.iter().any(|(known, _)| *known == address);
                if !known && added.len() < RECIPIENTS_ADDED_MAX {
                    added.push((address, by));
                }
            }
            Change::RemoveRecipient { path } => {
                let Ok(address) = Address::parse(bare(&path)) else { return };
                added.retain(|(known, _)| *known != address);
                let at = envelope.recipients.iter().position(|r| r.address == address);
                if let Some(at) = at.filter(|at| *at < recipients.len()) {
                    envelope.recipients.remove(at);
                    recipients.remove(at);
                }
            }
            Change::AddField { .. }
            | Change::InsertField { .. }
            | Change::ChangeField { .. }
            | Change::Body(_)
            | Change::Quarantine { .. } => {}
        }
    }

    /// The whole of a message.
    async fn whole(&self, body: &Body) -> Result<Bytes, Answer> {
        if let Some(memory) = body.in_memory() {
            return Ok(memory);
        }
        let read = self.server.store.reader_of(body).read_all(body.len_octets()).await;
        read.map_err(|error| Answer::Refuse(self.not_stored(&error)))
    }

    /// What a milter's answer means for the client.
    fn heed(&self, said: Said, stage: Stage, recipient: Option<&Recipient>) -> Result<(), Refusal> {
        let refused = match said {
            // What is dropped is dropped when it is there.
            Said::Continue | Said::Discard { .. } => return Ok(()),
            Said::Refuse(refused) => refused,
        };
        let refusal = refusal(&refused);
        self.note_filter(&refused.by, &refusal, stage, recipient);
        Err(refusal)
    }

    /// Logs, counts and records a milter's refusal.
    fn note_filter(
        &self,
        by: &str,
        refusal: &Refusal,
        stage: Stage,
        recipient: Option<&Recipient>,
    ) {
        Metrics::count(&self.server.metrics.refused, stage.word());
        tracing::info!(
            ip = %self.peer.ip(),
            listener = %self.site.name,
            stage = stage.word(),
            from = %self.sender(),
            to = recipient.map(|r| r.address.to_string()),
            milter = by,
            reply = %refusal.reply.summary(),
            "refused"
        );
        let event = evidence::Refused {
            origin: self.origin(false),
            stage: stage.word().to_owned(),
            from: self.facts.sender.clone(),
            recipient: recipient.map(|r| r.address.clone()),
            authenticated: self.authenticated(),
            tls: self.facts.tls.clone(),
            sender: self.authenticity_evidence(),
            reply: refusal.reply.summary(),
            lists: super::listings(&self.facts),
            rule: Some(by_milter(by)),
            revision: self.snapshot.revision,
            filters: self.findings.clone(),
        };
        self.server.record_refusal(
            self.facts.sender.clone().unwrap_or(ReversePath::Null),
            recipient.map(|r| r.address.clone()),
            event,
        );
    }

    /// Why what this account sends has to wait, if it has to.
    pub(super) async fn holds(&self, is_spam: bool, recipients: &[Address]) -> Option<String> {
        let account = self.facts.authenticated.as_deref()?;
        let recipients = recipients.iter().map(ToString::to_string).collect();
        let reason = self.server.holds(account, is_spam, recipients).await?;
        Some(format!("{}{account}: {reason}", crate::holding::ACCOUNT_HELD))
    }

    /// What scanners are told beside the message.
    fn about(&self, trace: TraceId, envelope: &Envelope) -> About {
        About {
            ip: self.facts.client_ip,
            helo: self.facts.helo.clone(),
            client_name: self.facts.client_name.as_ref().map(ToString::to_string),
            from: envelope.reverse_path.address().map(ToString::to_string).unwrap_or_default(),
            recipients: envelope.recipients.iter().map(|r| r.address.to_string()).collect(),
            user: self.facts.authenticated.clone(),
            id: trace.to_string(),
            hostname: self.snapshot.config.hostname.to_string(),
            tls_version: self.facts.tls.as_ref().map(|tls| tls.version.to_string()),
        }
    }

    /// The macros as the connection and the transaction stand.
    fn macros(&self, trace: Option<TraceId>) -> Macros {
        let mut macros = Macros::default();
        let ip = self.peer.ip().to_canonical();
        let name = self.facts.client_name.as_ref().map(ToString::to_string);
        let name = name.unwrap_or_else(|| format!("[{ip}]"));
        macros.set("j", self.snapshot.config.hostname.to_string());
        macros.set("_", format!("{name} [{ip}]"));
        macros.set("v", concat!("Mailkeep ", env!("CARGO_PKG_VERSION")));
        macros.set("{daemon_name}", self.site.name.clone());
        macros.set("{daemon_port}", self.site.address.port().to_string());
        macros.set("{if_addr}", self.site.address.ip().to_canonical().to_string());
        macros.set("{if_name}", self.snapshot.config.hostname.to_string());
        macros.set("{client_addr}", ip.to_string());
        macros.set("{client_name}", name);
        macros.set("{client_port}", self.peer.port().to_string());
        if let Some(tls) = &self.facts.tls {
            macros.set("{tls_version}", tls.version.to_string());
            macros.set("{cipher}", tls.suite.to_string());
            let strong = tls.suite.name().is_some_and(|name| !name.contains("128"));
            macros.set("{cipher_bits}", if strong { "256" } else { "128" });
            if let Some(leaf) = tls.leaf() {
                macros.set("{cert_subject}", leaf.subject.clone());
                macros.set("{cert_issuer}", leaf.issuer.clone());
            }
        }
        if let Some(who) = self.authenticated() {
            macros.set("{auth_type}", who.mechanism);
            macros.set("{auth_authen}", who.identity.clone());
            macros.set("{auth_author}", who.identity);
        }
        if let Some(trace) = trace {
            macros.set("i", trace.to_string());
        }
        if let Some(sender) = &self.facts.sender {
            let address = sender.address();
            macros.set("{mail_addr}", address.map(ToString::to_string).unwrap_or_default());
            macros.set("{mail_mailer}", "smtp");
            if let Some(address) = address {
                macros.set("{mail_host}", address.domain().to_string());
            }
        }
        macros
    }
}

/// A milter as the evidence names what decided.
pub(super) fn by_milter(name: &str) -> evidence::RuleRef {
    evidence::RuleRef { number: None, name: format!("milter {name}"), origin: None }
}

/// A milter's refusal as the client hears it.
fn refusal(refused: &::filters::milter::Refusal) -> Refusal {
    let status = refused.status;
    let reply = Reply::new(refused.code, status.subject, status.detail, refused.text.clone());
    Refusal { reply, close: refused.close }
}

fn bracketed(path: &ReversePath) -> String {
    match path.address() {
        Some(address) => format!("<{address}>"),
        None => "<>".to_owned(),
    }
}

/// A path without its angle brackets.
fn bare(path: &str) -> &str {
    let path = path.trim();
    path.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or(path)
}

/// Recipients that milters may add to one message.
const RECIPIENTS_ADDED_MAX: usize = 100;
