//! What is asked: the configuration in force, the one in the file, or a candidate.

use std::sync::Arc;

use accounts::Directory;
use config::Config;
use config::model::{Auth, Listener, Protocol};
use flow::size::Direction;
use flow::{Sender, Usage};
use mail::Address;
use rules::{Facts, FlowFacts};

use super::{Candidate, Request};
use crate::admin::Admin;
use crate::control::columns::time;
use crate::control::{Answer, exit};
use crate::conversation::{direction, exceeded, groups_of, standing_word, word_of};
use crate::fax::{judge, quota};
use crate::server::domain_settings;
use crate::snapshot::Snapshot;

/// A configuration with the directory under it.
pub struct Ground {
    /// The configuration.
    pub snapshot: Arc<Snapshot>,
    /// Who is there.
    pub directory: Arc<Directory>,
    /// What is asked, in words.
    pub title: String,
    /// Its number in the history.
    pub revision: Option<u64>,
}

impl Ground {
    /// Finds what is to be asked; the inner error is an answer.
    pub async fn find(
        admin: &Admin,
        candidate: Option<&Candidate>,
    ) -> anyhow::Result<Result<Self, Answer>> {
        if let Some(candidate) = candidate {
            return Self::of_candidate(admin, candidate).await;
        }
        let directory = Arc::clone(admin.accounts().directory());
        if let Some(server) = admin.server() {
            let snapshot = server.snapshot();
            let number = snapshot.revision;
            let title = match admin.store().revision(Some(number)).await? {
                Some(row) => format!("Config v{number} ({}, {}).", time(row.at), row.author),
                None => format!("Config v{number}."),
            };
            return Ok(Ok(Self { snapshot, directory, title, revision: Some(number) }));
        }
        let (Some(config), Some(file)) = (admin.config_at_rest(), admin.file()) else {
            let text = "There is no configuration to ask; name one with --config.";
            return Ok(Err(Answer::failure(exit::NO_INPUT, text)));
        };
        let title = format!("{}; no server runs.", file.display());
        let snapshot = dry(admin, config.clone(), &directory)?;
        Ok(Ok(Self { snapshot, directory, title, revision: None }))
    }

    async fn of_candidate(
        admin: &Admin,
        candidate: &Candidate,
    ) -> anyhow::Result<Result<Self, Answer>> {
        let world = config::Disk { text_only: true };
        let outcome = config::read(&candidate.path, &candidate.text, &world);
        let Some(config) = outcome.config.clone() else {
            let answer = Answer::new(outcome.render(), outcome.to_json());
            return Ok(Err(answer.with_exit(exit::CONFIGURATION)));
        };
        // Its own directory: that of the server must not hear of the candidate's domains.
        let directory = Arc::new(Directory::open(admin.store().clone()).await?);
        directory.configure(domain_settings(&config));
        let title = format!("{}, which is not in force.", candidate.path.display());
        let snapshot = dry(admin, config, &directory)?;
        Ok(Ok(Self { snapshot, directory, title, revision: None }))
    }

    /// The listener that the message would come to.
    pub fn listener(&self, request: &Request) -> Result<&Listener, Answer> {
        let all = &self.snapshot.config.listeners;
        if let Some(name) = &request.listener {
            return all.iter().find(|listener| *listener.name == *name).ok_or_else(|| {
                let names: Vec<&str> = all.iter().map(|listener| listener.name.as_str()).collect();
                let text =
                    format!("There is no listener \"{name}\"; there are {}.", names.join(", "));
                Answer::failure(exit::USAGE, text)
            });
        }
        let mail = || {
            all.iter().filter(|listener| {
                !matches!(*listener.protocol, Protocol::Metrics | Protocol::Webhooks)
            })
        };
        let signs_in = |listener: &&Listener| {
            *listener.protocol == Protocol::Submission || *listener.auth == Auth::Required
        };
        let fits = match request.authenticated {
            Some(_) => mail().find(signs_in).or_else(|| mail().find(|l| *l.auth != Auth::Off)),
            None => mail().find(|listener| !signs_in(listener)),
        };
        fits.or_else(|| mail().next()).ok_or_else(|| {
            Answer::failure(exit::CONFIGURATION, "No listener of this configuration takes mail.")
        })
    }
}

fn dry(admin: &Admin, config: Config, directory: &Arc<Directory>) -> anyhow::Result<Arc<Snapshot>> {
    let data = admin.store().dir();
    Ok(Arc::new(Snapshot::dry_run(config, data, Arc::clone(directory))?))
}

/// Whose limits hold, and which way the mail goes.
fn whose<'a>(
    ground: &Ground,
    request: &'a Request,
    account: Option<&str>,
    to: Option<&'a Address>,
) -> (Direction, Option<&'a Address>) {
    match direction(&ground.snapshot, account, request.client) {
        Direction::Out => {
            let own = request.authenticated.as_ref().or_else(|| request.from.address());
            (Direction::Out, own)
        }
        Direction::In => (Direction::In, to),
    }
}

impl Ground {
    /// The largest message, where `size-limits` says something about it.
    pub fn message_limit(&self, request: &Request, facts: &Facts) -> Option<u64> {
        let to = facts.recipient.as_ref().map(|recipient| &recipient.address);
        let account = facts.authenticated.as_deref();
        let (way, whose) = whose(self, request, account, to);
        self.snapshot.flow.sizes.limits(way, whose).message
    }
}

/// What flow control would find: a ban, a limit, a quota that is used up.
pub fn flow(
    admin: &Admin,
    ground: &Ground,
    request: &Request,
    facts: &Facts,
    to: &Address,
) -> Option<FlowFacts> {
    let policy = &ground.snapshot.flow;
    let now = mail::Timestamp::now();
    let mut found = FlowFacts::default();
    let guard = admin.server().map(|server| &server.guard);
    found.standing = match guard {
        Some(guard) => guard.standing(policy, request.client, now).map(standing_word),
        None => None,
    };
    let account = facts.authenticated.as_deref();
    let (way, whose) = whose(ground, request, account, Some(to));
    let limits = policy.sizes.limits(way, whose);
    let header = request.message.as_ref().map_or(0, |content| content.header_octets);
    let count = facts.recipient_count.unwrap_or(0);
    let message = facts.message.clone().unwrap_or_default();
    found.exceeded = exceeded(&limits, &message, header, count).map(|(word, _)| word);
    let usage = Usage {
        messages: 1,
        recipients: u64::from(count.max(1)),
        octets: message.size_octets.max(1),
        ..Usage::default()
    };
    let groups = groups_of(account, &policy.quotas, &ground.directory);
    let sender =
        Sender { account, groups: &groups, client: Some(request.client), fax_account: None };
    let reached = guard.and_then(|guard| guard.check(policy, &sender, usage, now).err());
    let from = facts.sender.as_ref().and_then(|path| path.address());
    let faxing = from.zip(judge::asked(&ground.snapshot, to));
    let reached = reached.or_else(|| {
        let server = admin.server()?;
        let (from, account) = faxing?;
        let faxing = quota::Faxing { from, account: &account.name.value };
        quota::check(server, &ground.snapshot, faxing, u64::from(count.max(1)), now).err()
    });
    found.quota = reached.map(|reached| word_of(reached.limit.what));
    (found != FlowFacts::default()).then_some(found)
}
