//! The delivery agent: attempts, one after another or many at once.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use mail::envelope::Body as BodyType;
use mail::{Domain, Envelope, Status};
use smtp::client::{Credentials, Failure, Fate, Protocol, Report, Transaction};
use tls::{Client, Identity};

use crate::demander::{Approach, Demander};
use crate::dial::{Dialler, Errand, NoWay};
use crate::link::Link;
use crate::maildir::Maildirs;
use crate::outcome::{Attempt, Cause, Contact, Outcome, RemoteReply, Trouble};
use crate::pace::{Traffic, Turn};
use crate::plan::{CONTACTS_MAX, Plan, Target};
use crate::pool::{Key, Lent, Pool};
use crate::resolver::Resolver;
use crate::route::{Job, Route};
use crate::settings::Settings;
use crate::tally::{Host, Tally};

/// Finds our certificate of a name, as it is now.
pub type Certificates = Arc<dyn Fn(&str) -> Option<Arc<Identity>> + Send + Sync>;

/// Delivers messages. One for the whole process; cheap to clone.
#[derive(Clone)]
pub struct Agent {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) settings: Arc<Settings>,
    pub(crate) resolver: Resolver,
    pub(crate) dialler: Dialler,
    certificates: Certificates,
    pool: Arc<Pool>,
    traffic: Traffic,
    maildirs: Maildirs,
}

/// Credentials and certificate for a smart host.
type Own<'a> = (Option<&'a Credentials>, Option<Arc<Identity>>);

/// An attempt under way.
struct Run<'a> {
    job: &'a Job,
    demander: &'a dyn Demander,
    tally: Tally,
    contacts: Vec<Contact>,
    /// Hosts that answered an envelope. Their other addresses are not asked again.
    answered: HashSet<Domain>,
}

/// What came of giving a message to one host.
struct Visit {
    failure: Option<Failure>,
    last_reply: Option<RemoteReply>,
    /// The kept connection was dead, and the host knows nothing of the message: a
    /// fresh one is tried.
    untouched: bool,
}

impl Agent {
    /// An agent that asks `resolver`, secures connections with `tls`, and shows
    /// the certificates that `certificates` finds by name.
    pub fn new(
        settings: Settings,
        resolver: Resolver,
        tls: Arc<Client>,
        certificates: Certificates,
    ) -> Self {
        let settings = Arc::new(settings);
        let inner = Inner {
            resolver,
            dialler: Dialler::new(Arc::clone(&settings), tls),
            certificates,
            pool: Arc::new(Pool::new(settings.pool.clone())),
            traffic: Traffic::new(settings.pace.clone()),
            maildirs: Maildirs::new(settings.hello.clone()),
            settings,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Tries once to deliver `job` to all its recipients.
    ///
    /// Waits for a turn at the destination first. Every host of the destination is
    /// tried until all recipients are served or refused for good.
    pub async fn attempt(&self, job: &Job, demander: &dyn Demander) -> Attempt {
        self.inner.attempt(job, demander).await
    }

    /// Whether an attempt for `route` would begin at once. A scheduler that asks
    /// first keeps one slow destination from holding its workers.
    pub fn has_room(&self, route: &Route) -> bool {
        self.inner.traffic.has_room(route)
    }

    /// The resolver in use.
    pub fn resolver(&self) -> &Resolver {
        &self.inner.resolver
    }

    /// How many unused connections are open.
    pub fn idle_connections(&self) -> usize {
        self.inner.pool.len()
    }

    /// Closes unused connections, politely. For the end of the process and for new settings.
    pub async fn close_idle(&self) {
        self.inner.pool.close().await;
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agent").field("settings", &self.inner.settings).finish_non_exhaustive()
    }
}

impl Inner {
    async fn attempt(&self, job: &Job, demander: &dyn Demander) -> Attempt {
        let started = self.dialler.now();
        let recipients = job.envelope.recipients.len();
        let failed =
            |trouble: Trouble| Attempt::without_contact(started, recipients, &Outcome::of(trouble));
        if let Route::Maildir(maildir) = &job.route {
            return self.maildirs.attempt(job, maildir, self.settings.now).await;
        }
        if let Err(bare) = job.content.survey()
            && job.envelope.body != BodyType::BinaryMime
        {
            let text = format!("{bare}; such a message cannot be sent");
            return failed(Trouble::new(Status::new(5, 6, 0), Cause::Content, text));
        }
        let turn = match self.traffic.turn(&job.route).await {
            Ok(turn) => turn,
            Err(wait) => {
                let text = format!("the rate limit for {} is reached", job.route);
                let trouble = Trouble::new(Status::new(4, 3, 2), Cause::Throttled, text);
                return failed(trouble.retry_after(wait));
            }
        };
        let plan = match Plan::new(&job.route, &self.resolver, &self.settings).await {
            Ok(plan) => plan,
            Err(trouble) => return failed(trouble),
        };
        let mut run = Run {
            job,
            demander,
            tally: Tally::new(recipients),
            contacts: Vec::with_capacity(1),
            answered: HashSet::new(),
        };
        for target in &plan.targets {
            if run.tally.is_settled() || run.contacts.len() >= CONTACTS_MAX {
                break;
            }
            if !run.answered.contains(&target.host) {
                self.visit(&mut run, target).await;
            }
        }
        run.finish(turn, started, self.dialler.now())
    }

    /// Gives one host the message for everyone who is still open.
    async fn visit(&self, run: &mut Run<'_>, target: &Target) {
        let job = run.job;
        let demands = run.demander.demands(&Approach {
            domain: &job.domain,
            host: target.host.as_str(),
            ip: target.place.address().map(|address| address.ip()),
            dns_secure: target.dns_secure,
        });
        let (credentials, identity) = match self.sign_in_of(&job.route) {
            Ok(ours) => ours,
            Err(trouble) => return run.tally.note_all(&trouble),
        };
        let key = Key {
            target: target.clone(),
            domain: matches!(job.route, Route::Mx(_)).then(|| job.domain.clone()),
            credentials: credentials.cloned(),
            identity: identity.as_ref().map(|own| own.facts().sha256),
        };
        let errand =
            Errand { target, domain: &job.domain, demands: &demands, credentials, identity };
        let started = self.dialler.now();
        let mut may_reuse = true;
        loop {
            let kept = if may_reuse { self.pool.take(&key, &demands) } else { None };
            let lent = match kept {
                Some(lent) => Ok(lent),
                None => self.fresh(&errand).await,
            };
            let mut lent = match lent {
                Ok(lent) => lent,
                Err(no_way) => return run.no_way(target, *no_way, started, self.dialler.now()),
            };
            let visit = self.converse(run, &mut lent, target).await;
            if visit.untouched {
                may_reuse = false;
                continue;
            }
            run.contacts.push(Contact {
                host: target.name(),
                address: target.place.address(),
                dns_secure: target.dns_secure,
                reused: lent.reused,
                verdict: Some(Arc::clone(&lent.verdict)),
                last_reply: visit.last_reply,
                trouble: visit.failure.as_ref().map(ToString::to_string),
                started,
                ended: self.dialler.now(),
            });
            if visit.failure.is_none() {
                run.answered.insert(target.host.clone());
                self.pool.put(key, lent);
            }
            return;
        }
    }

    async fn fresh(&self, errand: &Errand<'_>) -> Result<Lent, Box<NoWay>> {
        let ready = self.dialler.dial(errand).await?;
        let verdict = Arc::new(ready.verdict().clone());
        Ok(Lent { ready, verdict, demands: errand.demands.clone(), reused: false })
    }

    /// What we show a smart host.
    pub(crate) fn sign_in_of<'a>(&self, route: &'a Route) -> Result<Own<'a>, Trouble> {
        let Route::SmartHost(smart) = route else { return Ok((None, None)) };
        let identity = match smart.client_certificate.as_deref() {
            None => None,
            Some(name) => Some((self.certificates)(name).ok_or_else(|| {
                let text = format!("there is no client certificate named \"{name}\"");
                Trouble::new(Status::new(4, 3, 5), Cause::SignIn, text).at(smart.host.as_str())
            })?),
        };
        Ok((smart.credentials.as_ref(), identity))
    }

    /// As many transactions as the host needs for everyone who is open.
    async fn converse(&self, run: &mut Run<'_>, lent: &mut Lent, target: &Target) -> Visit {
        let (reused, link) = (lent.reused, lent.ready.stream_mut());
        let mut waiting = run.tally.open();
        let mut visit = Visit { failure: None, last_reply: None, untouched: false };
        let mut first = true;
        loop {
            let batch = self.batch(&mut waiting, &run.job.envelope, link);
            if batch.is_empty() {
                return visit;
            }
            let (report, failure) = transact(link, run.job, &batch).await;
            // A kept connection may have been closed at the other end meanwhile.
            if reused && first && is_stale(&report, failure.as_ref()) {
                return Visit { failure, untouched: true, ..visit };
            }
            first = false;
            let host = Host {
                name: target.host.as_str(),
                contact: run.contacts.len(),
                is_final: target.protocol == Protocol::Lmtp,
            };
            let remainder = run.tally.report(&batch, report, &host);
            visit.last_reply = remainder.last_reply.or(visit.last_reply);
            if failure.is_some() {
                return Visit { failure, ..visit };
            }
            waiting.splice(0..0, remainder.again);
        }
    }

    /// The next recipients for one transaction.
    fn batch(&self, waiting: &mut Vec<usize>, envelope: &Envelope, link: &Link) -> Vec<usize> {
        let limits = &link.session().extensions().limits;
        let most = |limit: Option<u32>| limit.map_or(usize::MAX, |limit| (limit as usize).max(1));
        let recipients_max = self.settings.pace.recipients_max.max(1).min(most(limits.rcpt_max));
        let domains_max = most(limits.rcpt_domain_max);
        let mut domains = HashSet::new();
        let mut end = 0;
        for &at in waiting.iter().take(recipients_max) {
            if domains_max != usize::MAX {
                domains.insert(envelope.recipients[at].address.domain());
            }
            if domains.len() > domains_max {
                break;
            }
            end += 1;
        }
        waiting.drain(..end).collect()
    }
}

impl Run<'_> {
    fn no_way(
        &mut self,
        target: &Target,
        no_way: NoWay,
        started: mail::Timestamp,
        ended: mail::Timestamp,
    ) {
        let NoWay { trouble, verdict } = no_way;
        self.tally.note_all(&trouble);
        self.contacts.push(Contact {
            host: target.name(),
            address: target.place.address(),
            dns_secure: target.dns_secure,
            reused: false,
            verdict: verdict.map(|verdict| Arc::new(*verdict)),
            last_reply: trouble.reply,
            trouble: Some(trouble.text),
            started,
            ended,
        });
    }

    fn finish(self, turn: Turn, started: mail::Timestamp, ended: mail::Timestamp) -> Attempt {
        // A dead address beside a live one is no reason to go slower.
        if self.answered.is_empty() {
            turn.went_badly();
        } else {
            turn.went_well();
        }
        let untried = || {
            let text = "no host was left to try in this attempt";
            Trouble::new(Status::new(4, 4, 1), Cause::Connect, text)
        };
        Attempt { started, ended, outcomes: self.tally.outcomes(untried), contacts: self.contacts }
    }
}

async fn transact(link: &mut Link, job: &Job, batch: &[usize]) -> (Report, Option<Failure>) {
    let some;
    let envelope = if batch.len() == job.envelope.recipients.len() {
        &job.envelope
    } else {
        let recipients = batch.iter().map(|&at| job.envelope.recipients[at].clone()).collect();
        some = Envelope { recipients, ..without_recipients(&job.envelope) };
        &some
    };
    let content = match job.envelope.body {
        BodyType::BinaryMime => job.content.survey_as_binary(),
        // What cannot travel by DATA was turned away before.
        BodyType::SevenBit | BodyType::EightBitMime => {
            job.content.survey().unwrap_or(job.content.survey_as_binary())
        }
    };
    link.transact(&Transaction { envelope, content }, &job.content).await
}

fn without_recipients(envelope: &Envelope) -> Envelope {
    Envelope {
        reverse_path: envelope.reverse_path.clone(),
        recipients: Vec::new(),
        body: envelope.body,
        smtputf8: envelope.smtputf8,
        require_tls: envelope.require_tls,
        dsn_return: envelope.dsn_return,
        envid: envelope.envid.clone(),
    }
}

/// Whether the session ended before the host could have taken anything.
fn is_stale(report: &Report, failure: Option<&Failure>) -> bool {
    let closed = matches!(
        failure,
        Some(Failure::Lost { .. } | Failure::Closing { .. } | Failure::Unsolicited)
    );
    closed
        && report.fates.iter().all(|fate| match fate {
            Fate::Broken { uncertain, .. } => !uncertain,
            Fate::Accepted(_) | Fate::Refused { .. } | Fate::Unfit(_) => false,
        })
}
