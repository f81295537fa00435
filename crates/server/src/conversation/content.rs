//! The message itself: taken in, judged for each recipient, made durable.

use std::time::Instant;

use ::flow::Usage;
use config::model::Limits;
use evidence::{Decision as DecisionFacts, RuleEffect};
use mail::attachment::{Scanner, TextPart};
use mail::header::{Header, HeaderBuffer, HeaderError};
use mail::{Address, Timestamp};
use rules::{Attachment, Decision, HeaderField, MessageFacts, Outcome, RecipientFacts, Stage};
use sender_auth::Reading;
use smtp::server::{Answer, Commit};
use smtp::{Refusal, Reply};
use store::{Body, BodyWriter, Store, StoreError};

use super::filters::{Filtered, Unfiltered, by_milter};
use super::flow::Charged;
use super::{Conversation, Transaction};
use crate::fax::judge;
use crate::intake::{Fate, Intake, Taken};
use crate::lists::TEXT_MAX_OCTETS;
use crate::message::{Changes, RefusedLate, Way};
use crate::snapshot::Snapshot;

/// A message's content as it comes.
pub(super) struct Incoming {
    body: Option<BodyWriter>,
    header: HeaderBuffer,
    /// Looks for attachments while the content passes, where a rule asks for them.
    scanner: Option<Scanner>,
    /// Looks for who it is from, where that is checked.
    reading: Option<Reading>,
    failure: Option<StoreError>,
}

/// A content that has come to its end.
pub(super) struct Finished {
    pub body: Body,
    pub header: HeaderBuffer,
    pub attachments: Vec<Attachment>,
    /// A filter changed it.
    pub is_changed: bool,
    /// The text to be searched for links.
    pub texts: Vec<TextPart>,
}

impl Incoming {
    pub(super) fn new(store: &Store, snapshot: &Snapshot, reading: Option<Reading>) -> Self {
        let scanner = if snapshot.lists.reads_links() {
            Some(Scanner::with_text(TEXT_MAX_OCTETS))
        } else {
            snapshot.asks_for_attachments.then(Scanner::new)
        };
        Self {
            body: Some(store.body()),
            header: HeaderBuffer::default(),
            scanner,
            reading,
            failure: None,
        }
    }

    /// Takes a piece. A failure of the disk is kept until the peer can be told.
    pub(super) fn take(&mut self, piece: &[u8]) {
        self.header.push(piece);
        if let Some(scanner) = &mut self.scanner {
            scanner.push(piece);
        }
        if let Some(reading) = &mut self.reading {
            reading.push(piece);
        }
        if let Some(body) = &mut self.body
            && let Err(error) = body.write(piece)
        {
            self.failure = Some(error);
            self.body = None;
        }
    }

    pub(super) fn finish(self) -> Result<Finished, StoreError> {
        let body = match (self.body, self.failure) {
            (Some(body), _) => body.finish()?,
            (None, Some(failure)) => return Err(failure),
            (None, None) => return Err(StoreError::Closed),
        };
        let found = self.scanner.map(Scanner::finish).unwrap_or_default();
        let attachment = |found: mail::attachment::Attachment| Attachment {
            name: found.name,
            media_type: found.media_type,
            size_octets: found.octets,
        };
        let attachments = found.attachments.into_iter().map(attachment).collect();
        let texts = found.texts;
        Ok(Finished { body, header: self.header, attachments, texts, is_changed: false })
    }
}

/// What was decided for one recipient.
struct Judged {
    recipient: mail::Recipient,
    facts: RecipientFacts,
    decision: Decision,
}

impl Conversation {
    pub(super) async fn commit(&mut self, commit: Commit) -> Answer {
        let began = Instant::now();
        let answer = match self.transaction.take() {
            Some(transaction) => self.judge(transaction, commit).await,
            None => Answer::Refuse(try_again()),
        };
        self.facts.sender = None;
        self.facts.authentication = None;
        self.authenticity.reset();
        self.facts.message = None;
        self.facts.scan = None;
        self.facts.recipient_count = None;
        self.findings.clear();
        self.forget_lists();
        self.server.metrics.commit_seconds.observe(began.elapsed().as_secs_f64());
        answer
    }

    async fn judge(&mut self, transaction: Transaction, mut commit: Commit) -> Answer {
        let Transaction { trace, mut recipients, mut incoming } = transaction;
        let reading = incoming.reading.take();
        let mut finished = match incoming.finish() {
            Ok(finished) => finished,
            Err(error) => return Answer::Refuse(self.not_stored(&error)),
        };
        let limits = &self.site.listener().limits;
        match finished.header.header() {
            Ok(header) => {
                // Where there are limits of size by account, the header's is among them.
                let octets =
                    if self.has_size_limits() { 0 } else { header.as_bytes().len() as u64 };
                if let Some(refusal) = refuses_header(limits, header.received_count(), octets) {
                    return Answer::Refuse(refusal);
                }
                let texts = std::mem::take(&mut finished.texts);
                self.forget_waiting();
                self.read_links(&header, texts).await;
            }
            Err(error) => return Answer::Refuse(self.bad_header(&error)),
        }
        self.check_message(reading).await;
        let promised: Vec<Address> =
            commit.envelope.recipients.iter().map(|r| r.address.clone()).collect();
        let unfiltered = Unfiltered {
            trace,
            finished,
            envelope: &mut commit.envelope,
            recipients: &mut recipients,
        };
        let filtered = match self.filter(unfiltered).await {
            Ok(filtered) => filtered,
            Err(answer) => return answer,
        };
        let Filtered { finished, scan, findings, added, discarded_by, quarantine, head, removed } =
            filtered;
        let Finished { body, header, attachments, is_changed: _, texts: _ } = finished;
        self.findings = findings;
        let is_spam = scan.as_ref().is_some_and(crate::filtering::is_bad);
        let holds = self.holds(is_spam, &promised).await;
        let snapshot = std::sync::Arc::clone(&self.snapshot);
        let header = match header.header() {
            Ok(header) => header,
            Err(error) => return Answer::Refuse(self.bad_header(&error)),
        };
        self.facts.scan = scan;
        if let Some(bad) = self.scanned_badly() {
            self.remember_sender(bad);
        }
        let octets = header.as_bytes().len() as u64;
        self.facts.recipient_count = u32::try_from(recipients.len()).ok();
        self.facts.ownership = self.header_ownership(&header);
        self.facts.message = Some(self.message_facts(&header, &body, attachments));
        let whole = usage(recipients.len(), &body);
        let authors = judge::authors(&header);
        let (judged, refusals): (Vec<Judged>, Vec<Option<Refusal>>) = commit
            .envelope
            .recipients
            .iter()
            .cloned()
            .zip(recipients)
            .map(|(recipient, facts)| {
                self.flow_at_data(&recipient.address, octets, whole);
                self.facts.recipient = Some(facts.clone());
                self.facts.fax = judge::facts(
                    &snapshot,
                    &self.facts,
                    &recipient.address,
                    // What was not asked by now proves nothing.
                    self.known_spf().or(Some(fax::Spf::TempError)),
                    Some(&authors),
                );
                let decision = snapshot.policy.decide(&self.facts, Stage::Data);
                let refusal = self.refusal(&decision);
                (Judged { recipient, facts, decision }, refusal)
            })
            .unzip();
        self.facts.recipient = None;
        self.facts.fax = None;
        self.clear_flow();
        if let Some(judged) = judged.iter().find(|j| j.decision.settings.tarpit.is_some()) {
            self.tarpit(&judged.decision.settings).await;
        }
        for (judged, refusal) in judged.iter().zip(&refusals) {
            if let Some(refusal) = refusal {
                self.note_refusal(&judged.decision, refusal, Some(&judged.recipient));
            }
        }
        if let Some(refusal) = self.refusal_of_all(&refusals) {
            return Answer::Refuse(refusal);
        }
        for address in chosen_by_rules(&judged).chain(added.iter().map(|(address, _)| address)) {
            if let Err(refusal) = self.look_up(address).await {
                return Answer::Refuse(refusal);
            }
        }
        let sent = usage(refusals.iter().filter(|refusal| refusal.is_none()).count(), &body);
        let taken = judged.iter().zip(&refusals).filter(|(_, refusal)| refusal.is_none());
        let faxes = self.faxes(taken.map(|(judged, _)| &judged.recipient.address));
        let charged = match self.charge(sent, &faxes) {
            Ok(charged) => charged,
            Err(refusal) => return Answer::Refuse(refusal),
        };
        let mut fates = self.fates(&judged);
        for (address, by) in added {
            fates.push(Fate::added(address, Some(by_milter(&by)), &self.server));
        }
        for fate in &mut fates {
            if let Some(by) = &discarded_by {
                fate.discard_by(by_milter(by));
            } else if let Some(reason) = &quarantine {
                fate.set_aside(reason);
            }
            if let Some(reason) = &holds {
                fate.hold(reason);
            }
            fate.way.changes.removed.extend(removed.iter().cloned());
        }
        let intake = Intake {
            trace,
            received: Timestamp::now(),
            snapshot: &snapshot,
            facts: &self.facts,
            envelope: &commit.envelope,
            header: &header,
            body,
            is_submission: self.site.is_submission(),
            origin: self.origin(commit.envelope.smtputf8),
            protocol: self.protocol(commit.envelope.smtputf8),
            authenticated: self.authenticated(),
            results: self.authenticity_fields(),
            sender: self.authenticity_evidence(),
            decision: self.decision_facts(&judged),
            fates,
            filters: self.findings.clone(),
            fields: head,
        };
        let now = Timestamp::now();
        // The counters are asked for first, so they are kept with the message or before it.
        let guard = &self.server.guard;
        let counters = async {
            for taken in charged.faxes.iter().chain([&charged.mail]) {
                if let Err(error) = guard.keep(taken, now).await {
                    tracing::error!(%error, "a quota's counters were not kept");
                }
            }
        };
        let ((), accepted) = tokio::join!(counters, intake.accept(&self.server));
        match accepted {
            Ok(taken) => {
                let faxing = self.facts.sender.as_ref().and_then(|path| path.address()).cloned();
                let Charged { mail, faxes } = charged;
                self.server.warn_soon(&snapshot, trace, self.own_account(), mail.warnings);
                let near = faxes.into_iter().flat_map(|taken| taken.warnings).collect();
                self.server.warn_soon(&snapshot, trace, faxing, near);
                if self.scanned_badly().is_none() {
                    self.remember_sender(crate::lists::Outcome::Accepted);
                }
                self.taken(taken, &promised, &judged, &refusals)
            }
            Err(error) => {
                charged.give_back(guard);
                Answer::Refuse(self.not_stored(&error))
            }
        }
    }

    /// Says that the message was taken; LMTP hears of each recipient.
    fn taken(
        &self,
        Taken { id }: Taken,
        promised: &[Address],
        judged: &[Judged],
        refusals: &[Option<Refusal>],
    ) -> Answer {
        if !self.site.is_lmtp() {
            return Answer::Accepted(id);
        }
        // Filters may have added or removed some; the client hears of those it named.
        let each = |address: &Address| {
            let at = judged.iter().position(|j| j.recipient.address == *address);
            let refusal = at.and_then(|at| refusals.get(at).cloned().flatten());
            refusal.map_or_else(|| Ok(id.clone()), Err)
        };
        Answer::PerRecipient(promised.iter().map(each).collect())
    }

    /// The reply that refuses the whole message. SMTP has one reply for all recipients: it
    /// refuses when all are refused, and defers when any is deferred, so that nothing is
    /// delivered twice when the client comes again. LMTP has a reply for each.
    fn refusal_of_all(&self, refusals: &[Option<Refusal>]) -> Option<Refusal> {
        let temporary = |refusal: &&Refusal| refusal.reply.is_temporary();
        let deferred = refusals.iter().flatten().find(temporary);
        let all = refusals.iter().all(Option::is_some);
        match deferred {
            Some(deferred) if !self.site.is_lmtp() => Some(deferred.clone()),
            Some(_) | None if all => refusals.first().cloned().flatten(),
            Some(_) | None => None,
        }
    }

    /// What becomes of each recipient, and of those that rules add.
    fn fates(&self, judged: &[Judged]) -> Vec<Fate> {
        let mut fates = Vec::with_capacity(judged.len());
        let mut added: Vec<(Address, &Decision)> = Vec::new();
        for Judged { recipient, facts, decision } in judged {
            let rule = decision.by.and_then(|id| self.snapshot.rule_ref(id));
            let way = Way { changes: Changes::of(&decision.settings), ..Way::default() };
            let mut fate = Fate::deliver(recipient.clone(), facts.is_local, way, rule);
            match &decision.outcome {
                Outcome::Continue | Outcome::Accept => {
                    if let Some(redirect) = &decision.settings.redirect {
                        fate.redirect((*redirect.value).clone(), &self.server);
                    }
                }
                // LMTP tells the client by its own reply to each recipient.
                Outcome::Reject(_) | Outcome::Defer(_) if self.site.is_lmtp() => continue,
                // The others are taken, and there is no reply for one alone: the
                // sender is told by a notice.
                Outcome::Reject(response) | Outcome::Defer(response) => {
                    let mut response = (**response).clone();
                    let lists = self.facts.lists.as_ref();
                    response.text = rules::ListFacts::worded(lists, &response.text);
                    fate.way.refused = Some(RefusedLate::from(&response));
                }
                Outcome::Discard => fate.discard(),
                Outcome::Quarantine(reason) => fate.quarantine(reason),
            }
            if decision.outcome.refusal().is_none() {
                for address in &decision.settings.add_recipients {
                    if !added.iter().any(|(known, _)| *known == *address.value) {
                        added.push(((*address.value).clone(), decision));
                    }
                }
            }
            fates.push(fate);
        }
        for (address, decision) in added {
            let rule = decision.settings.add_recipients.iter().find(|a| *a.value == address);
            let rule = rule.and_then(|chosen| self.snapshot.rule_ref(chosen.by));
            fates.push(Fate::added(address, rule, &self.server));
        }
        fates
    }

    /// The rules that did something, for the evidence.
    fn decision_facts(&self, judged: &[Judged]) -> DecisionFacts {
        let policy = &self.snapshot.policy;
        let mut rules: Vec<RuleEffect> = Vec::new();
        for Judged { decision, .. } in judged {
            for id in decision.trace.matched().filter(|id| policy.is_written(*id)) {
                let (Some(rule), Some(written)) = (self.snapshot.rule_ref(id), policy.rule(id))
                else {
                    continue;
                };
                if rules.iter().any(|known| known.rule == rule) {
                    continue;
                }
                let effects: Vec<String> =
                    written.then.iter().map(|statement| statement.action.to_string()).collect();
                rules.push(RuleEffect {
                    rule,
                    stage: decision.stage.word().to_owned(),
                    effect: effects.join("; "),
                });
            }
        }
        let verdict = judged.first().map_or("accept", |judged| verdict_word(&judged.decision));
        DecisionFacts { revision: self.snapshot.revision, rules, verdict: verdict.to_owned() }
    }

    fn message_facts(
        &self,
        header: &Header<'_>,
        body: &Body,
        attachments: Vec<Attachment>,
    ) -> MessageFacts {
        let headers = if self.snapshot.asks_for_headers {
            header
                .fields()
                .map(|field| HeaderField { name: field.name().to_owned(), value: field.text() })
                .collect()
        } else {
            Vec::new()
        };
        let subject = header.first("Subject").map(|_| header.subject());
        MessageFacts { size_octets: body.len_octets(), subject, headers, attachments }
    }

    pub(super) fn bad_header(&self, error: &HeaderError) -> Refusal {
        tracing::info!(ip = %self.peer.ip(), %error, "refused for its header");
        Refusal::new(Reply::new(554, 6, 0, format!("The header cannot be read: {error}")))
    }

    pub(super) fn not_stored(&self, error: &StoreError) -> Refusal {
        tracing::error!(ip = %self.peer.ip(), %error, "a message was not stored");
        if error.is_full() {
            return Refusal::new(Reply::new(452, 3, 1, "Out of disk space, try again later"));
        }
        match error {
            StoreError::TooMuch { .. } => Refusal::new(Reply::new(
                452,
                5,
                3,
                "Too many destinations, send to fewer at a time",
            )),
            StoreError::Full(_)
            | StoreError::InUse { .. }
            | StoreError::NewerSchema { .. }
            | StoreError::Corrupt { .. }
            | StoreError::BodyDamaged { .. }
            | StoreError::NotFound(_)
            | StoreError::NotLeased { .. }
            | StoreError::Duplicate(_)
            | StoreError::Io { .. }
            | StoreError::Database { .. }
            | StoreError::Closed => try_again(),
        }
    }
}

/// The refusal of a header that went round in circles or is too large.
pub(crate) fn refuses_header(limits: &Limits, hops: usize, octets: u64) -> Option<Refusal> {
    if hops > *limits.received_hops as usize {
        let text = format!("This message has passed {hops} servers and seems to go in circles");
        return Some(Refusal::new(Reply::new(554, 4, 6, text)));
    }
    (octets > *limits.header).then(|| {
        let text =
            format!("The header has {octets} octets, more than the {} allowed", *limits.header);
        Refusal::new(Reply::new(552, 3, 4, text))
    })
}

/// What a message to `recipients` comes to under a quota.
/// Where rules send the message, beside those it was for.
fn chosen_by_rules(judged: &[Judged]) -> impl Iterator<Item = &Address> {
    let taken = judged.iter().filter(|judged| judged.decision.outcome.refusal().is_none());
    taken.flat_map(|Judged { decision: Decision { settings, .. }, .. }| {
        let redirect = settings.redirect.iter().map(|redirect| &*redirect.value);
        redirect.chain(settings.add_recipients.iter().map(|added| &*added.value))
    })
}

fn usage(recipients: usize, body: &Body) -> Usage {
    let octets = body.len_octets();
    Usage { messages: 1, recipients: recipients as u64, octets, ..Usage::default() }
}

fn try_again() -> Refusal {
    Refusal::new(Reply::new(451, 3, 0, "Try again later"))
}

/// The verdict in a word, as the evidence has it.
fn verdict_word(decision: &Decision) -> &'static str {
    match &decision.outcome {
        Outcome::Continue | Outcome::Accept => "accept",
        Outcome::Reject(_) | Outcome::Defer(_) => "refuse",
        Outcome::Discard => "discard",
        Outcome::Quarantine(_) => "quarantine",
    }
}
