//! What one client is told: questions of its session become facts, facts become
//! decisions, decisions become answers.

mod authenticity;
mod content;
mod filters;
mod flow;
mod lists;
mod ownership;
mod recipient;
mod sign_in;

use std::net::SocketAddr;
use std::sync::Arc;

use ::flow::Standing;
use accounts::security::Abuse;
use mail::{Domain, Envelope, Recipient, ReversePath, Timestamp, TraceId};
use rules::{Decision, Facts, FlowFacts, Moment, Outcome, Stage};
use smtp::server::{Answer, Incident, Question};
use smtp::{Extensions, Refusal, Reply};
use tls::{Failure, Handshake};

use crate::metrics::Metrics;
use crate::server::Server;
use crate::site::Site;
use crate::snapshot::Snapshot;

pub(crate) use authenticity::spf_question;
pub(crate) use content::refuses_header;
pub(crate) use flow::{
    amount, direction, exceeded, groups_of, reached_in_words, standing_word, word_of,
};
pub(crate) use recipient::recipient_facts;

use authenticity::Authenticity;
use content::Incoming;
use sign_in::SignIn;

/// The server's side of one session.
pub struct Conversation {
    server: Arc<Server>,
    /// The configuration that decides; a transaction keeps the one it began under.
    snapshot: Arc<Snapshot>,
    site: Arc<Site>,
    peer: SocketAddr,
    facts: Facts,
    extended: bool,
    sign_in: SignIn,
    authenticity: Authenticity,
    flow: flow::Flow,
    /// What lists are being asked about the client.
    lookup: lists::Lookup,
    transaction: Option<Transaction>,
    /// The milters of this connection.
    filters: ::filters::milter::Chain,
    /// What filters said of the message that is being decided, for its refusal.
    findings: Vec<evidence::FilterFinding>,
}

/// A mail transaction under way.
struct Transaction {
    trace: TraceId,
    recipients: Vec<rules::RecipientFacts>,
    incoming: Incoming,
}

impl Conversation {
    /// A conversation with a client that has just connected.
    pub fn new(
        server: Arc<Server>,
        site: Arc<Site>,
        peer: SocketAddr,
        standing: Option<Standing>,
    ) -> Self {
        let snapshot = server.snapshot();
        let facts = Facts {
            now: Some(Moment(Timestamp::now())),
            listener: Some(site.name.clone()),
            client_ip: Some(peer.ip()),
            flow: flow_facts(standing),
            ..Facts::default()
        };
        let filters = snapshot.filters.chain(&site.name);
        Self {
            server,
            snapshot,
            site,
            peer,
            facts,
            extended: false,
            sign_in: SignIn::default(),
            authenticity: Authenticity::default(),
            flow: flow::Flow::default(),
            lookup: None,
            transaction: None,
            filters,
            findings: Vec::new(),
        }
    }

    /// Answers a question of the session.
    pub async fn answer(&mut self, question: Question) -> Answer {
        match question {
            Question::Connect => self.connect().await,
            Question::Hello { name, extended } => self.hello(name, extended).await,
            Question::AuthStart { mechanism, initial } => {
                self.sign_in_start(mechanism, initial).await
            }
            Question::AuthContinue(response) => self.sign_in_continue(response).await,
            Question::Mail { envelope, declared_octets } => {
                self.mail(&envelope, declared_octets).await
            }
            Question::Rcpt(recipient) => self.rcpt(recipient).await,
            Question::Data => self.data().await,
            Question::Commit(commit) => self.commit(*commit).await,
            Question::Unknown(line) => match self.milters_unknown(&line).await {
                Ok(()) => Answer::Yes,
                Err(refusal) => Answer::Refuse(refusal),
            },
            Question::Vrfy(_) if self.site.answers_vrfy() => Answer::Yes,
            Question::Vrfy(_) => {
                Answer::Refuse(Refusal::new(Reply::new(502, 5, 1, "VRFY is not offered here")))
            }
        }
    }

    /// A piece of content.
    pub fn content(&mut self, piece: &[u8]) {
        if let Some(transaction) = &mut self.transaction {
            transaction.incoming.take(piece);
        }
    }

    /// The transaction is over without a message.
    pub fn reset(&mut self) {
        self.transaction = None;
        self.facts.sender = None;
        self.facts.authentication = None;
        self.authenticity.reset();
        self.forget_lists();
    }

    /// The connection is under TLS now. What was said before is not believed (RFC 3207
    /// section 4.2).
    pub fn encrypted(&mut self, handshake: Handshake, binding: tls::Binding) {
        Metrics::count(&self.server.metrics.handshakes, &handshake.version.to_string());
        self.facts.helo = None;
        self.facts.authenticated = None;
        self.facts.tls = Some(Box::new(handshake));
        self.sign_in = SignIn::under(binding);
        self.authenticity.forget();
        self.reset();
    }

    /// The handshake failed.
    pub fn handshake_failed(&self, failure: &Failure) {
        self.count_incident(::flow::Incident::BadTls);
        Metrics::count(&self.server.metrics.handshakes, "failed");
        tracing::info!(ip = %self.peer.ip(), listener = %self.site.name, %failure, "TLS handshake failed");
    }

    /// Something the security log should know.
    pub fn incident(&self, incident: Incident) {
        use ::flow::Incident as Counted;
        match incident {
            Incident::StartTlsInjection => self.abuse(Abuse::Pipelining, Counted::Pipelining),
            Incident::EarlyTalker => self.abuse(Abuse::EarlyTalker, Counted::EarlyTalker),
            Incident::Abuse => self.abuse(Abuse::Errors, Counted::Errors),
            Incident::HttpClient | Incident::ContentLineEnding | Incident::Endless => {
                let (ip, service) = (self.peer.ip(), self.site.service());
                tracing::warn!(%ip, service, incident = incident.name(), "incident");
                self.count_incident(Counted::Errors);
            }
            // Each failure has its line and has been counted already.
            Incident::AuthFailures => {
                let (ip, service) = (self.peer.ip(), self.site.service());
                tracing::warn!(%ip, service, incident = incident.name(), "incident");
            }
        }
    }

    async fn connect(&mut self) -> Answer {
        if self.snapshot.asks_for_client_names {
            self.facts.client_name = self.server.confirmed_name(self.peer.ip()).await;
        }
        self.ask_lists();
        let decision = self.snapshot.policy.decide(&self.facts, Stage::Connect);
        match self.refusal(&decision) {
            Some(refusal) => Answer::Refuse(Refusal { close: true, ..refusal }),
            None => match self.milters_connect().await {
                Ok(()) => Answer::Yes,
                Err(refusal) => Answer::Refuse(Refusal { close: true, ..refusal }),
            },
        }
    }

    /// The connection is over.
    pub async fn end(&mut self) {
        self.filters.quit().await;
    }

    async fn hello(&mut self, name: String, extended: bool) -> Answer {
        self.snapshot = self.server.snapshot();
        self.facts.helo = Some(name.clone());
        self.authenticity.forget();
        self.extended = extended;
        let decision = self.snapshot.policy.decide(&self.facts, Stage::Hello);
        let offer = self.offer(&decision);
        self.sign_in.offered.clone_from(&offer.auth);
        match self.refusal(&decision) {
            // MAIL tells it, where it still holds: only this reply leads to STARTTLS.
            Some(_) if offer.starttls && self.may_change_under_tls(&decision) => {
                Answer::Offer(offer)
            }
            Some(refusal) => {
                self.note_refusal(&decision, &refusal, None);
                Answer::Refuse(refusal)
            }
            None => match self.milters_hello(&name).await {
                Ok(()) => Answer::Offer(offer),
                Err(refusal) => Answer::Refuse(refusal),
            },
        }
    }

    /// Whether the rules may decide otherwise once the connection is under TLS: one that was
    /// asked looks at TLS.
    fn may_change_under_tls(&self, decision: &Decision) -> bool {
        let policy = &self.snapshot.policy;
        let asked = policy.rules().take_while(|(id, ..)| decision.by.is_none_or(|by| *id <= by));
        asked.flat_map(|(_, _, rule)| rule.when.tests()).any(|test| test.fact.is_of_tls())
    }

    /// What is offered to the client as the connection is now.
    fn offer(&self, decision: &Decision) -> Extensions {
        let under_tls = self.facts.tls.is_some();
        let mut offer = self.site.offer.clone();
        offer.starttls =
            !under_tls && self.site.offers_starttls() && decision.settings.offers_starttls();
        if let Some((octets, recipients)) = self.limits() {
            offer.size = offer.size.map(|_| octets);
            offer.limits.rcpt_max = offer.limits.rcpt_max.map(|_| recipients);
        }
        offer.auth = match decision.settings.sign_in(under_tls) {
            rules::SignIn::Off => Vec::new(),
            rules::SignIn::Mechanisms(_) if !self.site.allows_sign_in() => Vec::new(),
            rules::SignIn::Mechanisms(chosen) => self.mechanisms(chosen),
        };
        offer
    }

    async fn mail(&mut self, envelope: &Envelope, declared_octets: Option<u64>) -> Answer {
        self.snapshot = self.server.snapshot();
        self.reset();
        if self.site.requires_sign_in() && self.facts.authenticated.is_none() {
            return Answer::Refuse(Refusal::new(Reply::new(530, 7, 0, "Authentication required")));
        }
        self.facts.sender = Some(envelope.reverse_path.clone());
        self.facts.authenticated = self.sign_in.identity().map(str::to_owned);
        self.facts.ownership = self.sender_ownership(&envelope.reverse_path);
        self.check_sender().await;
        if self.is_banned_by_now() {
            let reply = Reply::new(421, 7, 0, "Your network is banned for a time");
            return Answer::Refuse(Refusal::closing(reply));
        }
        self.recall_sender().await;
        self.flow_at_mail(declared_octets);
        let decision = self.snapshot.policy.decide(&self.facts, Stage::Mail);
        self.tarpit(&decision.settings).await;
        if let Some(refusal) = self.refusal(&decision) {
            self.note_refusal(&decision, &refusal, None);
            return Answer::Refuse(refusal);
        }
        self.transaction = Some(Transaction {
            trace: TraceId::generate(Timestamp::now().0),
            recipients: Vec::new(),
            incoming: Incoming::new(&self.server.store, &self.snapshot, self.reading()),
        });
        match self.milters_mail(envelope, declared_octets).await {
            Ok(()) => Answer::Yes,
            Err(refusal) => {
                self.reset();
                Answer::Refuse(refusal)
            }
        }
    }

    async fn rcpt(&mut self, recipient: Recipient) -> Answer {
        let considered = match self.consider(&recipient).await {
            Ok(facts) => self.milters_rcpt(&recipient, &facts).await.map(|()| facts),
            Err(refusal) => Err(refusal),
        };
        match considered {
            Ok(facts) => {
                if let Some(transaction) = &mut self.transaction {
                    transaction.recipients.push(facts);
                }
                Answer::Yes
            }
            Err(refusal) => Answer::Refuse(refusal),
        }
    }

    async fn data(&mut self) -> Answer {
        match &self.transaction {
            Some(_) => match self.milters_data().await {
                Ok(()) => Answer::Yes,
                Err(refusal) => Answer::Refuse(refusal),
            },
            None => Answer::Refuse(Refusal::new(Reply::new(451, 3, 0, "Try again later"))),
        }
    }

    /// The refusal a decision makes, with the rule's text.
    fn refusal(&self, decision: &Decision) -> Option<Refusal> {
        let response = decision.outcome.refusal()?;
        let refusal = Refusal::new(Reply::new(
            response.code,
            response.status.subject,
            response.status.detail,
            self.authenticity_text(decision).unwrap_or_else(|| {
                rules::ListFacts::worded(self.facts.lists.as_ref(), &response.text)
            }),
        ));
        Some(self.flow_refusal(decision, refusal))
    }

    /// Logs and counts a refusal; the evidence has it when the configuration keeps evidence.
    fn note_refusal(&self, decision: &Decision, refusal: &Refusal, recipient: Option<&Recipient>) {
        Metrics::count(&self.server.metrics.refused, decision.stage.word());
        let rule = decision.by.and_then(|id| self.snapshot.policy.rule(id));
        tracing::info!(
            ip = %self.peer.ip(),
            listener = %self.site.name,
            stage = decision.stage.word(),
            from = %self.sender(),
            to = recipient.map(|r| r.address.to_string()),
            rule = rule.map(|rule| rule.name.as_str()),
            place = rule.map(|rule| rule.origin.to_string()),
            reply = %refusal.reply.summary(),
            "refused"
        );
        self.note_listed(decision);
        let event = self.refused_event(decision, refusal, recipient);
        self.server.record_refusal(
            self.facts.sender.clone().unwrap_or(ReversePath::Null),
            recipient.map(|r| r.address.clone()),
            event,
        );
    }

    fn refused_event(
        &self,
        decision: &Decision,
        refusal: &Refusal,
        recipient: Option<&Recipient>,
    ) -> evidence::Refused {
        evidence::Refused {
            origin: self.origin(false),
            stage: decision.stage.word().to_owned(),
            from: self.facts.sender.clone(),
            recipient: recipient.map(|r| r.address.clone()),
            authenticated: self.authenticated(),
            tls: self.facts.tls.clone(),
            sender: self.authenticity_evidence(),
            reply: refusal.reply.summary(),
            lists: listings(&self.facts),
            rule: decision.by.and_then(|id| self.snapshot.rule_ref(id)),
            revision: self.snapshot.revision,
            filters: self.findings.clone(),
        }
    }

    /// Where the message comes from, for the evidence.
    fn origin(&self, smtputf8: bool) -> evidence::Origin {
        evidence::Origin::Listener {
            name: self.site.name.clone(),
            port: self.site.address.port(),
            protocol: self.protocol(smtputf8).keyword().to_owned(),
            client: evidence::Client {
                ip: self.peer.ip(),
                name: self.facts.client_name.as_ref().map(Domain::to_string),
                helo: self.facts.helo.clone(),
            },
        }
    }

    fn protocol(&self, smtputf8: bool) -> mail::received::Protocol {
        mail::received::Protocol {
            lmtp: self.site.is_lmtp(),
            extended: self.extended,
            smtputf8,
            tls: self.facts.tls.is_some(),
            authenticated: self.facts.authenticated.is_some(),
        }
    }

    fn authenticated(&self) -> Option<evidence::Authenticated> {
        Some(evidence::Authenticated {
            identity: self.sign_in.identity()?.to_owned(),
            mechanism: self.sign_in.mechanism()?.name().to_owned(),
        })
    }

    fn sender(&self) -> String {
        self.facts.sender.as_ref().map_or_else(String::new, ReversePath::to_string)
    }
}

/// What is known of a client before it speaks.
fn flow_facts(standing: Option<Standing>) -> Option<FlowFacts> {
    let standing = standing.map(standing_word)?;
    Some(FlowFacts { standing: Some(standing), ..FlowFacts::default() })
}

/// What lists found, for the evidence.
pub(crate) fn listings(facts: &Facts) -> Vec<::lists::Finding> {
    let found = facts.lists.iter().flat_map(|lists| lists.client.iter().chain(&lists.content));
    found.flat_map(|listings| listings.0.iter().cloned()).collect()
}

/// Whether a decision leaves the recipient in.
fn is_open(outcome: &Outcome) -> bool {
    outcome.refusal().is_none()
}
