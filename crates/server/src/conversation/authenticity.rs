//! Whether mail is from whom it says: what is checked when, and what rules, fields, trace
//! and evidence learn of it.

use std::collections::HashSet;
use std::net::IpAddr;

use config::model::{AuthenticationMode, DmarcPolicy, SenderAuthentication};
use mail::{Address, Domain, Timestamp};
use rules::built_in::authentication::{DMARC, SPF, UNCLEAR_FROM};
use rules::{AuthenticationFacts, Decision, Facts, SignatureFacts, Word};
use sender_auth::dkim::Terms;
use sender_auth::dmarc::{Evidence, Exception, Local, Policy};
use sender_auth::results::{Findings, Session, sentence};
use sender_auth::{Message, Outcome, Reading, dmarc, spf};

use super::Conversation;
use crate::fax::judge;
use crate::snapshot::Snapshot;

/// What SPF is asked about the reverse-path of a message from `client`.
pub(crate) fn spf_question<'a>(
    snapshot: &'a Snapshot,
    facts: &'a Facts,
    client: IpAddr,
) -> spf::Question<'a> {
    let address = facts.sender.as_ref().and_then(|sender| sender.address());
    spf::Question {
        client,
        helo: facts.helo.as_deref().unwrap_or_default(),
        sender: address.map(|address| (address.local(), address.domain().as_str())),
        identity: spf::Identity::MailFrom,
        receiver: snapshot.config.hostname.as_str(),
        now_secs: Timestamp::now().0 / MS_A_SECOND,
    }
}

/// What is known of the sender of the transaction under way.
#[derive(Default)]
pub(super) struct Authenticity {
    /// What the name in EHLO came to; asked once for each name.
    helo: Option<spf::Finding>,
    /// What was found, once it was looked for.
    found: Option<Findings>,
    /// What SPF says of the reverse-path, asked for a fax where nobody else asks.
    for_fax: Option<Outcome>,
    /// Why nobody can say who the author is.
    unclear: Option<String>,
}

impl Authenticity {
    /// The transaction is over.
    pub(super) fn reset(&mut self) {
        self.found = None;
        self.for_fax = None;
        self.unclear = None;
    }

    /// The client gave itself a new name, or the connection is another now.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

impl Conversation {
    /// Whether the sender of mail on this connection is checked at all.
    fn checks_senders(&self) -> bool {
        let settings = &self.snapshot.config.sender_authentication;
        let client = self.peer.ip().to_canonical();
        let trusted = self.snapshot.config.trusted_networks.iter();
        *settings.mode != AuthenticationMode::Off
            && self.site.is_smtp()
            && self.facts.authenticated.is_none()
            && !trusted.chain(settings.exempt.iter()).any(|network| network.contains(&client))
    }

    /// Asks SPF about the name in EHLO and the reverse-path, which is known now.
    pub(super) async fn check_sender(&mut self) {
        self.authenticity.reset();
        self.facts.authentication = None;
        if !self.checks_senders() {
            return;
        }
        let known = self.authenticity.helo.take();
        let question = self.spf_question();
        let of_helo = spf::Question { identity: spf::Identity::Helo, ..question };
        let dns = self.snapshot.agent.resolver();
        let helo_finding = async {
            match known {
                Some(known) => known,
                None => spf::check(dns, &of_helo).await,
            }
        };
        let (helo, spf) = match question.sender {
            Some(_) => {
                let (helo, spf) = tokio::join!(helo_finding, spf::check(dns, &question));
                (helo, Some(spf))
            }
            None => (helo_finding.await, None),
        };
        // An answer that DNS could not give is asked for again.
        if helo.outcome != Outcome::TempError {
            self.authenticity.helo = Some(helo.clone());
        }
        let findings = Findings { spf, spf_helo: Some(helo), ..Findings::default() };
        self.facts.authentication = Some(Box::new(facts_of(&findings)));
        self.authenticity.found = Some(findings);
    }

    fn spf_question(&self) -> spf::Question<'_> {
        spf_question(&self.snapshot, &self.facts, self.peer.ip())
    }

    /// What SPF says of the reverse-path, where Spoofing Protection of the fax account of
    /// `recipient` wants to know: asked here if the sender is not checked otherwise, because a
    /// trusted network vouches for relaying and not for who may fax.
    pub(super) async fn spf_for_fax(&mut self, recipient: &Address) -> Option<fax::Spf> {
        if !judge::asks_spf(&self.snapshot, recipient) {
            return None;
        }
        if let Some(known) = self.known_spf() {
            return Some(known);
        }
        let dns = self.snapshot.agent.resolver();
        let outcome = spf::check(dns, &self.spf_question()).await.outcome;
        self.authenticity.for_fax = Some(outcome);
        Some(judge::spf(outcome))
    }

    /// What SPF said of the reverse-path, where it was asked.
    pub(super) fn known_spf(&self) -> Option<fax::Spf> {
        let found = self.authenticity.found.as_ref().and_then(|found| found.spf.as_ref());
        found.map(|finding| finding.outcome).or(self.authenticity.for_fax).map(judge::spf)
    }

    /// What looks at the message while it comes, where its sender is checked.
    pub(super) fn reading(&self) -> Option<Reading> {
        self.authenticity.found.as_ref()?;
        let settings = &self.snapshot.config.sender_authentication;
        Some(Reading::new(Terms {
            partial_bodies: *settings.partial_bodies,
            signatures: *settings.signatures as usize,
            rsa_min_bits: *settings.min_rsa_bits as usize,
            clock_skew_secs: settings.clock_skew.as_secs(),
        }))
    }

    /// Verifies the message, which is complete now.
    pub(super) async fn check_message(&mut self, reading: Option<Reading>) {
        let (Some(reading), Some(mut findings)) = (reading, self.authenticity.found.take()) else {
            return;
        };
        let message = reading.finish();
        let snapshot = std::sync::Arc::clone(&self.snapshot);
        let dns = snapshot.agent.resolver();
        let now_secs = u64::try_from(Timestamp::now().0 / MS_A_SECOND).unwrap_or_default();
        let (dkim, arc) = tokio::join!(message.verify_dkim(dns, now_secs), message.verify_arc(dns));
        findings.dkim = dkim;
        findings.dkim_checked = true;
        findings.arc = Some(arc);
        let authors = self.check_author(&message, &mut findings).await;
        let mut facts = facts_of(&findings);
        facts.author = authors;
        self.facts.authentication = Some(Box::new(facts));
        if snapshot.config.dmarc_reports.send {
            let sender = self.facts.sender.as_ref().and_then(|sender| sender.address());
            let domain = sender.map(|sender| sender.domain().as_str()).unwrap_or_default();
            let counts = &self.server.reports.counts;
            counts.note(self.peer.ip(), &findings, domain, Timestamp::now());
        }
        self.authenticity.found = Some(findings);
    }

    /// Evaluates DMARC for each author, and keeps what has the gravest consequence.
    async fn check_author(&mut self, message: &Message, findings: &mut Findings) -> Vec<Domain> {
        let authors = match message.author() {
            Ok(authors) => authors.domains,
            Err(error) => {
                let reason = error.to_string();
                findings.dmarc = Some(dmarc::Finding::unclear(&reason));
                self.authenticity.unclear = Some(reason);
                return Vec::new();
            }
        };
        let settings = &self.snapshot.config.sender_authentication;
        let evidence = evidence_of(findings);
        let local = Local { overrides: overrides(settings) };
        let dns = self.snapshot.agent.resolver();
        let mut gravest: Option<dmarc::Finding> = None;
        for author in &authors {
            let sample = fastrand::u8(0..100);
            let found = dmarc::evaluate(dns, author, &evidence, &local, sample).await;
            if gravest.as_ref().is_none_or(|known| known.gravity() < found.gravity()) {
                gravest = Some(found);
            }
        }
        let vouched =
            findings.arc.as_ref().is_some_and(|arc| arc.vouches(&settings.trusted_sealers));
        if let Some(found) = gravest.as_mut().filter(|found| found.outcome == Outcome::Fail)
            && vouched
            && found.disposition != Policy::None
        {
            found.disposition = Policy::None;
            found.exception = Some(Exception::TrustedForwarder);
        }
        findings.dmarc = gravest;
        authors
    }

    /// The words of the reply when a built-in rule about the sender refused: they name who
    /// said so.
    pub(super) fn authenticity_text(&self, decision: &Decision) -> Option<String> {
        let rule = self.snapshot.policy.rule(decision.by?)?;
        if !rule.origin.is_built_in() {
            return None;
        }
        let findings = self.authenticity.found.as_ref()?;
        let name = rule.name.as_str();
        if name == UNCLEAR_FROM {
            return self.authenticity.unclear.clone();
        }
        if name.starts_with(SPF) {
            let of_helo = name == SPF_HELO_FAIL;
            let finding = if of_helo { None } else { findings.spf.as_ref() };
            let finding = finding.or(findings.spf_helo.as_ref())?;
            let mut text = format!("SPF: {}", sentence(finding, &self.session("")));
            if let Some(reason) = finding.explanation.as_ref().or(finding.problem.as_ref()) {
                text.extend([": ", reason]);
            }
            return Some(text);
        }
        let dmarc = findings.dmarc.as_ref().filter(|_| name.starts_with(DMARC))?;
        Some(match (dmarc.outcome, &dmarc.policy_domain) {
            (Outcome::Fail, Some(at)) => format!(
                "DMARC: {} does not stand behind this message, and the policy of {at} is {}",
                dmarc.domain,
                dmarc.policy.unwrap_or(dmarc.disposition).word()
            ),
            _ => format!(
                "DMARC: {} could not be checked for lack of DNS, try again later",
                dmarc.domain
            ),
        })
    }

    /// The fields that say what was found: Authentication-Results and Received-SPF.
    pub(super) fn authenticity_fields(&self) -> String {
        let sender = self.facts.sender.as_ref().and_then(|sender| sender.address());
        let sender = sender.map(Address::to_string).unwrap_or_default();
        let session = self.session(&sender);
        // Who signed in, for those who read the message later (RFC 8601 section 2.7.4).
        let signed_in = self.sign_in.identity().map(|who| format!("auth=pass smtp.auth={who}"));
        let first: Vec<String> = signed_in.into_iter().collect();
        match &self.authenticity.found {
            Some(findings) => {
                findings.results_field(&session, &first) + &findings.received_spf(&session)
            }
            None => Findings::default().results_field(&session, &first),
        }
    }

    fn session<'a>(&'a self, mail_from: &'a str) -> Session<'a> {
        Session {
            authserv_id: self.snapshot.config.authserv_id.as_str(),
            receiver: self.snapshot.config.hostname.as_str(),
            client: self.peer.ip(),
            helo: self.facts.helo.as_deref().unwrap_or_default(),
            mail_from,
        }
    }

    /// The same for the evidence.
    pub(super) fn authenticity_evidence(&self) -> Option<Box<evidence::SenderAuthentication>> {
        let found = self.authenticity.found.as_ref()?;
        let joined =
            |words: &[Option<&str>]| words.iter().copied().flatten().collect::<Vec<_>>().join(" ");
        let spf = |finding: &spf::Finding| {
            joined(&[Some(finding.outcome.word()), Some(&finding.domain), finding.term.as_deref()])
        };
        let dkim = found.dkim.iter().map(|finding| {
            joined(&[
                Some(finding.outcome().word()),
                finding.domain.as_deref(),
                finding.selector.as_deref(),
                finding.reason.as_deref(),
            ])
        });
        Some(Box::new(evidence::SenderAuthentication {
            spf: found.spf.as_ref().map(spf),
            spf_helo: found.spf_helo.as_ref().map(spf),
            dkim: dkim.collect(),
            dmarc: found.dmarc.as_ref().map(|finding| {
                let policy = finding.policy.map(|policy| format!("p={}", policy.word()));
                let why = finding.exception.map(|exception| format!("({})", exception.word()));
                joined(&[
                    Some(finding.outcome.word()),
                    Some(&finding.domain),
                    policy.as_deref(),
                    why.as_deref(),
                ])
            }),
            arc: found.arc.as_ref().filter(|arc| arc.outcome != Outcome::None).map(|arc| {
                joined(&[
                    Some(arc.outcome.word()),
                    arc.sealers.last().map(String::as_str),
                    arc.reason.as_deref(),
                ])
            }),
        }))
    }
}

const MS_A_SECOND: i64 = 1_000;
/// The rule that is about the name in EHLO.
const SPF_HELO_FAIL: &str = "spf-helo-fail";

fn overrides(settings: &SenderAuthentication) -> Vec<(Domain, Policy)> {
    let policy = |policy| match policy {
        DmarcPolicy::None => Policy::None,
        DmarcPolicy::Quarantine => Policy::Quarantine,
        DmarcPolicy::Reject => Policy::Reject,
    };
    settings.overrides.iter().map(|o| (o.domain.value.clone(), policy(o.policy))).collect()
}

/// What DMARC looks at.
fn evidence_of(findings: &Findings) -> Evidence {
    let spf = findings.spf.as_ref().or(findings.spf_helo.as_ref());
    Evidence {
        spf: spf.map(|finding| (finding.domain.clone(), finding.outcome)),
        dkim: findings
            .dkim
            .iter()
            .filter_map(|finding| Some((finding.domain.clone()?, finding.outcome())))
            .collect(),
    }
}

/// What rules see.
fn facts_of(findings: &Findings) -> AuthenticationFacts {
    let mut dkim: Vec<SignatureFacts> = findings
        .dkim
        .iter()
        .map(|finding| SignatureFacts {
            outcome: word(finding.outcome()),
            domain: finding.domain.as_deref().and_then(|domain| Domain::parse(domain).ok()),
        })
        .collect();
    if dkim.is_empty() && findings.dkim_checked {
        dkim.push(SignatureFacts { outcome: Word::None, domain: None });
    }
    let arc = findings.arc.as_ref();
    let mut seen = HashSet::new();
    AuthenticationFacts {
        spf: findings.spf.as_ref().or(findings.spf_helo.as_ref()).map(|f| word(f.outcome)),
        spf_helo: findings.spf_helo.as_ref().map(|f| word(f.outcome)),
        dkim,
        author: Vec::new(),
        dmarc: findings.dmarc.as_ref().map(|f| word(f.outcome)),
        dmarc_policy: findings.dmarc.as_ref().and_then(|f| f.policy).map(policy_word),
        dmarc_disposition: findings.dmarc.as_ref().map(|f| policy_word(f.disposition)),
        arc: arc.map(|finding| word(finding.outcome)),
        sealers: arc
            .filter(|finding| finding.outcome == Outcome::Pass)
            .into_iter()
            .flat_map(|finding| &finding.sealers)
            .filter_map(|sealer| Domain::parse(sealer).ok())
            .filter(|sealer| seen.insert(sealer.clone()))
            .collect(),
    }
}

const fn word(outcome: Outcome) -> Word {
    match outcome {
        Outcome::None => Word::None,
        Outcome::Pass => Word::Pass,
        Outcome::Fail => Word::Fail,
        Outcome::SoftFail => Word::SoftFail,
        Outcome::Neutral => Word::Neutral,
        Outcome::Policy => Word::Policy,
        Outcome::TempError => Word::TempError,
        Outcome::PermError => Word::PermError,
    }
}

const fn policy_word(policy: Policy) -> Word {
    match policy {
        Policy::None => Word::None,
        Policy::Quarantine => Word::Quarantine,
        Policy::Reject => Word::Reject,
    }
}
