//! Taking responsibility for a message: from what was decided to rows that are durable.

use std::collections::{BTreeMap, HashSet};

use evidence::{
    Accepted as AcceptedFacts, Authenticated, Decision, Digest, Ending, Entry, EnvelopeFacts,
    Event, FilterFinding, Finished, FinishedRecipient, MessageFacts, Origin, Promise, RuleRef,
    envelope_digest,
};
use mail::header::{Header, NewField, complete_submission};
use mail::received::{Protocol, Received, TlsClause};
use mail::{Address, Envelope, Notify, Recipient, Timestamp, TraceId};
use queue::QueuedRecipient;
use rules::Facts;
use sender_auth::results;
use signing::Srs;
use std::sync::Arc;
use store::{Accept, Body, Hold, NewEntry, Start, StoreError};

use crate::message::{Record, Way};
use crate::metrics::Metrics;
use crate::server::Server;
use crate::snapshot::Snapshot;

/// The beginning of the reason why a message in quarantine is held.
pub const QUARANTINE: &str = "quarantine: ";

/// A message about to be accepted.
pub struct Intake<'a> {
    /// Its name.
    pub trace: TraceId,
    /// Now.
    pub received: Timestamp,
    /// The configuration that decided.
    pub snapshot: &'a Snapshot,
    /// What the rules saw.
    pub facts: &'a Facts,
    /// The envelope as it came.
    pub envelope: &'a Envelope,
    /// Its header.
    pub header: &'a Header<'a>,
    /// Its content.
    pub body: Body,
    /// It comes from a person's mail program.
    pub is_submission: bool,
    /// Where it comes from.
    pub origin: Origin,
    /// How it came.
    pub protocol: Protocol,
    /// Who signed in.
    pub authenticated: Option<Authenticated>,
    /// The fields that say who the sender is found to be, with their line ends.
    pub results: String,
    /// The same for the evidence, if it was checked.
    pub sender: Option<Box<evidence::SenderAuthentication>>,
    /// What the rules said.
    pub decision: Decision,
    /// What becomes of each recipient.
    pub fates: Vec<Fate>,
    /// What filters said.
    pub filters: Vec<FilterFinding>,
    /// Fields they want at the top.
    pub fields: Vec<(String, String)>,
}

/// An accepted message: proof that it is durable.
pub struct Taken {
    /// Its name, for the reply.
    pub id: String,
}

/// What becomes of one recipient. Its address is where the mail goes in the end; an alias or
/// a redirection is kept as the original recipient (RFC 3461 section 4.2).
#[derive(Clone)]
pub struct Fate {
    recipient: Recipient,
    given: Address,
    is_local: bool,
    /// How it travels.
    pub way: Way,
    rule: Option<RuleRef>,
    course: Course,
    /// It goes elsewhere than where its sender wrote.
    forwarded: bool,
}

#[derive(Clone)]
enum Course {
    Deliver,
    Discard,
    Quarantine(String),
    /// Held because of the account that sent it, with the reason.
    Hold(String),
}

impl Fate {
    /// Delivered, as the configuration routes it.
    pub fn deliver(recipient: Recipient, is_local: bool, way: Way, rule: Option<RuleRef>) -> Self {
        let given = recipient.address.clone();
        Self { recipient, given, is_local, way, rule, course: Course::Deliver, forwarded: false }
    }

    /// A recipient that a rule adds. Its sender does not know of it and hears nothing of it.
    pub fn added(address: Address, rule: Option<RuleRef>, server: &Server) -> Self {
        let is_local = server.accounts.directory().is_ours(address.domain());
        let recipient = Recipient { notify: Notify::NEVER, ..Recipient::new(address) };
        let fate = Self::deliver(recipient, is_local, Way::default(), rule);
        Self { forwarded: true, ..fate }
    }

    /// Goes to `address` instead.
    pub fn redirect(&mut self, address: Address, server: &Server) {
        self.is_local = server.accounts.directory().is_ours(address.domain());
        self.go_to(address);
    }

    fn go_to(&mut self, address: Address) {
        let given = &self.given;
        self.recipient.orcpt.get_or_insert_with(|| {
            let kind = if given.needs_smtputf8() { "utf-8" } else { "rfc822" };
            format!("{kind};{given}")
        });
        self.recipient.address = address;
        self.forwarded = true;
    }

    /// Is dropped.
    pub fn discard(&mut self) {
        self.course = Course::Discard;
    }

    /// Is dropped because a filter says so.
    pub fn discard_by(&mut self, rule: RuleRef) {
        self.course = Course::Discard;
        self.rule = Some(rule);
    }

    /// Is held because a filter says so, unless it is dropped or held anyway.
    pub fn set_aside(&mut self, reason: &str) {
        if matches!(self.course, Course::Deliver) {
            self.course = Course::Quarantine(reason.to_owned());
        }
    }

    /// Waits until an administrator has looked at the account that sent it.
    pub fn hold(&mut self, reason: &str) {
        if matches!(self.course, Course::Deliver) {
            self.course = Course::Hold(reason.to_owned());
        }
    }

    /// Is held for a person to look at.
    pub fn quarantine(&mut self, reason: &str) {
        self.course = Course::Quarantine(reason.to_owned());
    }

    fn verdict(&self) -> &'static str {
        match (&self.course, self.is_local) {
            _ if self.way.refused.is_some() => "refuse",
            (Course::Deliver, true) => "deliver",
            (Course::Deliver, false) => "relay",
            (Course::Discard, _) => "discard",
            (Course::Quarantine(_), _) => "quarantine",
            (Course::Hold(_), _) => "hold",
        }
    }

    /// Gives mail that is sent on to somebody elsewhere a sender of ours, so that it is
    /// neither refused for its sender's SPF nor its bounce lost.
    fn rewrite_sender(&mut self, srs: &Srs, sender: &Address, server: &Server, now: Timestamp) {
        let directory = server.accounts.directory();
        if !self.forwarded
            || directory.is_ours(self.recipient.address.domain())
            || directory.is_ours(sender.domain())
            || sender.domain() == srs.domain()
        {
            return;
        }
        match srs.forward(sender, now) {
            Ok(rewritten) => self.way.sender = Some(rewritten),
            Err(error) => tracing::warn!(%sender, to = %self.recipient.address, "{error}"),
        }
    }

    /// Follows a rewritten sender back to the sender it stands for.
    fn follow_back(&mut self, srs: &Srs, now: Timestamp) {
        if srs.is_rewritten(&self.recipient.address)
            && let Ok(sender) = srs.reverse(&self.recipient.address, now)
        {
            self.go_to(sender);
        }
    }

    /// Follows an alias or a catch-all to the address that has a mailbox.
    fn resolve(&mut self, server: &Server) {
        let resolution = server.accounts.directory().resolve(&self.recipient.address);
        let target = match &resolution {
            accounts::Resolution::Account { account, .. } => Some(&account.address),
            accounts::Resolution::Alias { target, .. }
            | accounts::Resolution::CatchAll { target, .. } => Some(target),
            accounts::Resolution::Group(_)
            | accounts::Resolution::AnyRecipient
            | accounts::Resolution::Disabled(_)
            | accounts::Resolution::NoSuchUser
            | accounts::Resolution::NotOurs => None,
        };
        if let Some(target) = target.filter(|target| **target != self.recipient.address).cloned() {
            self.go_to(target);
        }
    }
}

/// The fates with every group in them opened: each member has a fate of its own, and so a
/// delivery and a result of its own.
fn open_groups(fates: Vec<Fate>, server: &Server) -> Vec<Fate> {
    let mut opened = Vec::with_capacity(fates.len());
    for fate in fates {
        let expansion = match fate.course {
            Course::Deliver | Course::Quarantine(_) | Course::Hold(_) => {
                server.accounts.directory().expand(&fate.recipient.address)
            }
            Course::Discard => None,
        };
        let Some(expansion) = expansion else {
            opened.push(fate);
            continue;
        };
        if expansion.cut || !expansion.gone.is_empty() {
            tracing::warn!(group = %fate.recipient.address, gone = ?expansion.gone,
                cut = expansion.cut, "members of a group get no mail");
        }
        for member in expansion.members {
            let mut each = fate.clone();
            each.redirect(member, server);
            opened.push(each);
        }
    }
    opened
}

/// What entries are made of: recipients with the same destination, way and course.
type Groups = BTreeMap<(String, Vec<u8>, Option<String>), Vec<QueuedRecipient>>;

impl Intake<'_> {
    /// Accepts the message; what may leave at once is on its way when this returns.
    ///
    /// # Errors
    ///
    /// The store's; nothing was kept then.
    pub async fn accept(mut self, server: &Arc<Server>) -> Result<Taken, StoreError> {
        let head = self.head();
        let mut fates = open_groups(std::mem::take(&mut self.fates), server);
        self.take_reports(server, &mut fates).await;
        let srs = server.signatory.srs(self.snapshot);
        for fate in &mut fates {
            if let Some(srs) = &srs {
                fate.follow_back(srs, self.received);
            }
            fate.resolve(server);
            if let (Some(srs), Some(sender)) = (&srs, self.envelope.reverse_path.address()) {
                fate.rewrite_sender(srs, sender, server, self.received);
            }
        }
        for name in self.forged() {
            for fate in &mut fates {
                fate.way.changes.removed.push(name.to_owned());
            }
        }
        let mut seen = HashSet::new();
        // Two aliases of one mailbox are one delivery.
        fates.retain(|fate| seen.insert(fate.recipient.address.clone()));
        let record = Record {
            envelope: Envelope { recipients: Vec::new(), ..self.envelope.clone() },
            facts: self.kept_facts(),
            head,
            revision: self.snapshot.revision,
        };
        let evidence = if server.keeps_evidence() { self.evidence(&fates) } else { Vec::new() };
        let parties = self.parties(&fates);
        let discarded = fates.iter().filter(|f| matches!(f.course, Course::Discard)).count();
        let places = server.dispatcher.places();
        let groups = group(fates);
        let schedule = crate::dispatch::schedule(&self.snapshot.config);
        let expires = schedule.expires(self.received, &self.envelope.reverse_path);
        let mut entries = Vec::with_capacity(groups.len());
        for ((destination, way, hold), recipients) in groups {
            let start = match hold {
                Some(reason) => Start::Held(Hold { reason }),
                None if entries.len() < places => {
                    Start::Leased { until: crate::dispatch::lease_end(self.received) }
                }
                None => Start::Due(self.received),
            };
            entries.push(NewEntry {
                destination,
                route: (!way.is_empty()).then_some(way),
                recipient_count: u32::try_from(recipients.len()).unwrap_or(u32::MAX),
                recipients: queue::encode(&recipients).map_err(unwritable)?,
                expires,
                start,
            });
        }
        let accept = Accept {
            trace: self.trace,
            received: self.received,
            reverse_path: self.envelope.reverse_path.clone(),
            facts: serde_json::to_vec(&record).unwrap_or_default(),
            message_id: self.header.message_id(),
            parties,
            body: self.body.clone(),
            entries: entries.clone(),
            ended: if discarded > 0 {
                vec![(store::Ending::Discarded, u32::try_from(discarded).unwrap_or(u32::MAX))]
            } else {
                Vec::new()
            },
            evidence,
        };
        let synced = server.store.accept(accept).await?;
        server.metrics.accepted.inc();
        server.metrics.accepted_octets.inc_by(self.body.len_octets());
        if discarded > 0 {
            Metrics::count(&server.metrics.ended, store::Ending::Discarded.word());
        }
        tracing::info!(id = %self.trace, from = %self.envelope.reverse_path,
            recipients = self.envelope.recipients.len(), octets = self.body.len_octets(),
            tls = self.facts.tls.as_ref().map(|tls| tls.version.to_string()),
            "accepted");
        // Only what the store has synced is answered with 250 or delivered.
        let accepted = synced.into_inner();
        server.dispatcher.take(server, accepted, entries, &record, self.received, &self.body);
        Ok(Taken { id: self.trace.to_string() })
    }

    /// Reads what comes for the address for reports. Where that has no mailbox, a report ends
    /// here, and anything else goes to the postmaster.
    async fn take_reports(&self, server: &Server, fates: &mut [Fate]) {
        let Some(address) = &self.snapshot.config.dmarc_reports.receive_at else { return };
        let is_for_it = |fate: &&mut Fate| {
            fate.recipient.address == address.value && matches!(fate.course, Course::Deliver)
        };
        let Some(fate) = fates.iter_mut().find(is_for_it) else { return };
        let was_report = server.reports.take(server, &self.body, self.received).await;
        let has_mailbox = !matches!(
            server.accounts.directory().resolve(address),
            accounts::Resolution::NoSuchUser | accounts::Resolution::NotOurs
        );
        match (was_report, has_mailbox) {
            (_, true) => {}
            (true, false) => fate.discard(),
            (false, false) => fate.redirect(self.snapshot.config.postmaster.value.clone(), server),
        }
    }

    /// The fields that go before the message: how it came, and what a submission lacks.
    fn head(&self) -> String {
        let tls = self.facts.tls.as_deref();
        let version = tls.map(|tls| tls.version.to_string());
        let suite = tls.and_then(|tls| tls.suite.name()).unwrap_or("unknown");
        let clause = version.as_deref().map(|version| TlsClause {
            version,
            suite,
            group: tls.and_then(|tls| tls.group.and_then(tls::Group::name)),
        });
        let alone = match &self.envelope.recipients[..] {
            [recipient] => Some(&recipient.address),
            _ => None,
        };
        let received = Received {
            helo: self.facts.helo.as_deref().unwrap_or("unknown"),
            // The address of a person at home is nobody else's business.
            client: self.facts.client_ip.filter(|_| self.authenticated.is_none()),
            client_name: self.facts.client_name.as_ref(),
            by: &self.snapshot.config.hostname,
            protocol: self.protocol,
            tls: clause,
            id: self.trace,
            recipient: alone,
            at: self.received,
        };
        let mut head = self.results.clone();
        head.push_str(received.to_field().as_str());
        for (name, value) in &self.fields {
            if let Ok(field) = NewField::new(name, value) {
                head.push_str(field.as_str());
            }
        }
        if self.is_submission {
            let hostname = &self.snapshot.config.hostname;
            for field in complete_submission(self.header, self.received, self.trace, hostname) {
                head.push_str(field.as_str());
            }
        }
        head
    }

    /// The fields that came with results under our own name, which only we may write (RFC 8601
    /// section 5, RFC 7208 section 9.1).
    fn forged(&self) -> Vec<&'static str> {
        let id = self.snapshot.config.authserv_id.as_str();
        let claims = |value: &str| {
            results::authserv_id(value).is_some_and(|name| name.eq_ignore_ascii_case(id))
        };
        let is_receiver = |value: &str| {
            let hostname = self.snapshot.config.hostname.as_str();
            results::receiver(value).is_some_and(|name| name.eq_ignore_ascii_case(hostname))
        };
        let mut forged = Vec::new();
        if self.header.all(results::RESULTS).any(|field| claims(&field.value())) {
            forged.push(results::RESULTS);
        }
        if self.header.all(results::RECEIVED_SPF).any(|field| is_receiver(&field.value())) {
            forged.push(results::RECEIVED_SPF);
        }
        forged
    }

    /// The facts a later decision wants; the header is in the message itself.
    fn kept_facts(&self) -> Facts {
        let mut facts = self.facts.clone();
        facts.recipient = None;
        facts.flow = None;
        if !self.snapshot.asks_for_headers
            && let Some(message) = &mut facts.message
        {
            message.headers.clear();
        }
        facts
    }

    fn parties(&self, fates: &[Fate]) -> Vec<Address> {
        let mut parties: Vec<Address> =
            self.envelope.reverse_path.address().cloned().into_iter().collect();
        for fate in fates {
            parties.push(fate.given.clone());
            if fate.given != fate.recipient.address {
                parties.push(fate.recipient.address.clone());
            }
        }
        parties
    }

    fn evidence(&self, fates: &[Fate]) -> Vec<store::Evidence> {
        let promises = fates.iter().map(|fate| Promise {
            address: fate.recipient.address.clone(),
            verdict: fate.verdict().to_owned(),
            rule: fate.rule.clone(),
        });
        let accepted = Event::Accepted(Box::new(AcceptedFacts {
            origin: self.origin.clone(),
            message: MessageFacts {
                sha256: Digest::from_bytes(*self.body.sha256()),
                octets: self.body.len_octets(),
                subject: self.facts.message.as_ref().and_then(|message| message.subject.clone()),
                message_id: self.header.message_id(),
            },
            envelope: EnvelopeFacts {
                sha256: envelope_digest(self.envelope),
                from: self.envelope.reverse_path.clone(),
                require_tls: self.envelope.require_tls,
            },
            authenticated: self.authenticated.clone(),
            tls: self.facts.tls.clone(),
            sender: self.sender.clone(),
            lists: crate::conversation::listings(self.facts),
            decision: self.decision.clone(),
            recipients: promises.collect(),
            filters: self.filters.clone(),
        }));
        let mut evidence = vec![Entry::about(self.trace, self.received, accepted).to_evidence()];
        let discarded: Vec<FinishedRecipient> = fates
            .iter()
            .filter(|fate| matches!(fate.course, Course::Discard))
            .map(|fate| FinishedRecipient {
                address: fate.recipient.address.clone(),
                ending: Ending::Discarded,
                reason: None,
                rule: fate.rule.clone(),
                notice: None,
            })
            .collect();
        if !discarded.is_empty() {
            let finished = Event::Finished(Finished { recipients: discarded });
            evidence.push(Entry::about(self.trace, self.received, finished).to_evidence());
        }
        evidence
    }
}

/// What cannot be written down cannot be kept; it never happens with our own types.
fn unwritable(error: queue::RecipientsError) -> StoreError {
    StoreError::Database { what: "write down the recipients", detail: error.to_string() }
}

/// Recipients that travel together: same destination, same way, same hold.
fn group(fates: Vec<Fate>) -> Groups {
    let mut groups = Groups::new();
    for fate in fates {
        let hold = match &fate.course {
            Course::Deliver => None,
            Course::Discard => continue,
            Course::Quarantine(reason) => Some(format!("{QUARANTINE}{reason}")),
            Course::Hold(reason) => Some(reason.clone()),
        };
        let destination = fate.recipient.address.domain().to_string();
        let way = if fate.way.is_plain() {
            Vec::new()
        } else {
            serde_json::to_vec(&fate.way).unwrap_or_default()
        };
        groups
            .entry((destination, way, hold))
            .or_default()
            .push(QueuedRecipient::new(fate.recipient));
    }
    groups
}
