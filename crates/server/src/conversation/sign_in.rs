//! Signing in: the exchange a client began, and its outcome.

use accounts::sasl::{self, Channel, ClientCertificate, Exchange, Failure, Step};
use accounts::security;
use mail::Timestamp;
use smtp::server::Answer;
use smtp::{Mechanism, Refusal, Reply, Secret};

use super::Conversation;
use crate::metrics::Metrics;

/// The mechanisms that are known here, in the order in which they are offered.
const KNOWN: [Mechanism; 12] = [
    Mechanism::ScramSha256Plus,
    Mechanism::ScramSha256,
    Mechanism::ScramSha1Plus,
    Mechanism::ScramSha1,
    Mechanism::External,
    Mechanism::GssApi,
    Mechanism::OAuthBearer,
    Mechanism::XOAuth2,
    Mechanism::Plain,
    Mechanism::Login,
    Mechanism::DigestMd5,
    Mechanism::CramMd5,
];

/// How far a client is with signing in.
#[derive(Default)]
pub(super) struct SignIn {
    under_way: Option<(Mechanism, Box<dyn Exchange>)>,
    done: Option<(Mechanism, String)>,
    /// What TLS gave to sign in with.
    binding: tls::Binding,
    /// The mechanisms the client was offered last.
    pub(super) offered: Vec<Mechanism>,
}

impl SignIn {
    /// Nobody yet, on a connection that has just come under TLS.
    pub(super) fn under(binding: tls::Binding) -> Self {
        Self { binding, ..Self::default() }
    }

    /// The account the client signed in to.
    pub(super) fn identity(&self) -> Option<&str> {
        self.done.as_ref().map(|(_, identity)| identity.as_str())
    }

    /// By which mechanism.
    pub(super) fn mechanism(&self) -> Option<Mechanism> {
        self.done.as_ref().map(|(mechanism, _)| *mechanism)
    }
}

impl Conversation {
    /// The mechanisms a rule names, as far as any account could succeed by them here; all of
    /// those if it names none.
    pub(super) fn mechanisms(&self, chosen: &[Mechanism]) -> Vec<Mechanism> {
        let channel = self.channel();
        let works = |mechanism: &Mechanism| {
            (chosen.is_empty() || chosen.contains(mechanism))
                && self.server.accounts.works(mechanism.name(), &channel)
        };
        KNOWN.into_iter().filter(works).collect()
    }

    /// The connection as exchanges see it.
    fn channel(&self) -> Channel {
        let plus = [Mechanism::ScramSha256Plus, Mechanism::ScramSha1Plus];
        let binding = &self.sign_in.binding;
        let handshake = self.facts.tls.as_deref();
        let certificate = handshake.and_then(|tls| tls.peer_chain.first().map(|leaf| (tls, leaf)));
        let certificate = certificate.map(|(tls, leaf)| ClientCertificate {
            sha256: leaf.sha256.to_string().replace(':', ""),
            emails: binding.client_addresses.clone(),
            trusted: matches!(tls.verification, tls::Verification::Trusted { .. }),
        });
        Channel {
            exporter: binding.exporter,
            plus_offered: plus.iter().any(|mechanism| self.sign_in.offered.contains(mechanism)),
            realm: self.server.accounts.settings().realm.clone(),
            service: "smtp",
            certificate,
        }
    }

    pub(super) async fn sign_in_start(
        &mut self,
        mechanism: Mechanism,
        initial: Option<Secret>,
    ) -> Answer {
        match sasl::begin(mechanism.name(), &self.channel()) {
            Ok(mut exchange) => {
                let step = exchange.step(initial.as_ref().map(Secret::expose));
                self.sign_in_step(mechanism, exchange, step).await
            }
            Err(failure) => refuse(failure),
        }
    }

    pub(super) async fn sign_in_continue(&mut self, response: Secret) -> Answer {
        match self.sign_in.under_way.take() {
            Some((mechanism, mut exchange)) => {
                let step = exchange.step(Some(response.expose()));
                self.sign_in_step(mechanism, exchange, step).await
            }
            None => refuse(Failure::Malformed),
        }
    }

    /// The exchange is over without a result.
    pub fn sign_in_abandoned(&mut self) {
        self.sign_in.under_way = None;
    }

    /// Whether the account was signed in to from here lately: somebody at home mistypes.
    fn is_known(&self, user: &str) -> bool {
        self.server.accounts.failures().knows(self.peer.ip(), user, Timestamp::now())
    }

    async fn sign_in_step(
        &mut self,
        mechanism: Mechanism,
        mut exchange: Box<dyn Exchange>,
        mut step: Step,
    ) -> Answer {
        let mut user = String::new();
        loop {
            match step {
                Step::Challenge(challenge) => {
                    self.sign_in.under_way = Some((mechanism, exchange));
                    return Answer::Challenge(challenge);
                }
                Step::Ask(question) => {
                    let accounts = &self.server.accounts;
                    let judged = accounts.judge(question, self.peer.ip(), Timestamp::now()).await;
                    tokio::time::sleep(judged.delay).await;
                    user = judged.user;
                    step = exchange.answer(judged.finding);
                }
                Step::Done(authenticated) => {
                    let identity = authenticated.address().to_string();
                    Metrics::count(&self.server.metrics.sign_ins, "done");
                    tracing::info!(ip = %self.peer.ip(), listener = %self.site.name, %identity,
                        mechanism = mechanism.name(), "signed in");
                    self.sign_in.done = Some((mechanism, identity.clone()));
                    self.facts.authenticated = Some(identity.clone());
                    return Answer::Authenticated { identity };
                }
                Step::Failed(failure) => {
                    Metrics::count(&self.server.metrics.sign_ins, failure.word());
                    if failure.counts() {
                        self.remember_sender(crate::lists::Outcome::AuthFailure);
                    }
                    if failure.counts() && !self.is_known(&user) {
                        self.count_incident(flow::Incident::AuthFailure);
                    }
                    if failure.counts() || failure == Failure::LockedOut {
                        tracing::warn!(target: "mailkeep", "{}", security::security_line(
                            self.peer.ip(), self.site.service(), &user, failure));
                    } else {
                        tracing::info!(ip = %self.peer.ip(), listener = %self.site.name, ?user,
                            mechanism = mechanism.name(), reason = failure.word(), "sign-in failed");
                    }
                    return refuse(failure);
                }
            }
        }
    }
}

fn refuse(failure: Failure) -> Answer {
    let (code, status, text) = failure.reply();
    Answer::Refuse(Refusal::new(Reply::new(code, status.subject, status.detail, text)))
}
