//! `mailkeep explain …`: what the policy would do, with nothing done.
//!
//! The rules are asked as live mail asks them. What else can refuse a message (the
//! listener, the directory, limits) is an [`Obstacle`] at its stage.
//! Nothing is written, counted or connected to, and nothing is looked up in DNS but SPF of the
//! sender of a fax, where the account's Spoofing Protection wants to know and nobody says.

mod ground;
mod obstacle;
mod way;

use std::net::IpAddr;
use std::path::PathBuf;

use config::model::{Auth, Listener};
use mail::{Address, Domain, ReversePath};
use rules::explanation::Explanation;
use rules::story::{Chapter, Story};
use rules::{Facts, ListFacts, MessageFacts, Moment, SignIn, Stage};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tls::Version;

use super::columns::Put;
use super::{Answer, exit};
use crate::admin::Admin;
use crate::fax::judge;
use ground::Ground;
use obstacle::Obstacle;

/// A message that might come.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    /// Who from; empty for the null sender.
    pub from: ReversePath,
    /// Who to.
    pub to: Vec<Address>,
    /// From which address it would come.
    pub client: IpAddr,
    /// The name of that address in DNS.
    pub client_name: Option<Domain>,
    /// What the client would say in EHLO.
    pub helo: String,
    /// The connection.
    pub channel: Channel,
    /// Who would have signed in.
    pub authenticated: Option<Address>,
    /// To which listener; one that fits if none is named.
    pub listener: Option<String>,
    /// What SPF would say of the sender, for faxes; the running server asks if nobody says.
    #[serde(default)]
    pub spf: Option<fax::Spf>,
    /// The domains of the author in From, for faxes, where it is known.
    #[serde(default)]
    pub authors: Option<Vec<Domain>>,
    /// What the rules see of the message, where it is at hand.
    pub message: Option<Content>,
    /// Its size, where only that is known.
    pub size_octets: Option<u64>,
    /// A configuration to ask in place of the one in force.
    pub candidate: Option<Candidate>,
}

/// What the connection is under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Channel {
    /// The best that the listener has.
    Best,
    /// Nothing.
    Plain,
    /// This version of TLS.
    Tls(Version),
}

/// A message, as far as anything looks at it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Content {
    /// What rules see.
    pub facts: MessageFacts,
    /// The size of the header.
    pub header_octets: u64,
    /// `Received` fields.
    pub hops: usize,
}

/// A configuration that is not in force.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Candidate {
    /// Its file.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

/// The story of one recipient.
struct Told {
    recipient: Address,
    story: Story,
    accepted: bool,
    way: Option<Value>,
}

/// Answers a request: exit code 0 when every recipient is taken, 2 when one is not.
///
/// # Errors
///
/// The store's.
pub async fn answer(admin: &Admin, request: Request) -> anyhow::Result<Answer> {
    let ground = match Ground::find(admin, request.candidate.as_ref()).await? {
        Ok(ground) => ground,
        Err(answer) => return Ok(answer),
    };
    let listener = match ground.listener(&request) {
        Ok(listener) => listener,
        Err(answer) => return Ok(answer),
    };
    let mut facts = facts(&request, listener);
    facts.ownership = request.authenticated.as_ref().map(|account| rules::Ownership {
        sender: Some(
            request.from.address().is_none_or(|from| ground.directory.may_send_as(account, from)),
        ),
        from: None,
    });
    facts.lists = listed(admin, &request).await;
    let mut text = format!("Nothing is delivered. {}\n", ground.title);
    let mut recipients = Vec::new();
    let mut all = true;
    for to in &request.to {
        let told = tell(admin, &ground, listener, &request, &facts, to).await;
        let from = facts.sender.as_ref().and_then(ReversePath::address);
        let from = from.map_or_else(|| "<>".to_owned(), Address::to_string);
        text.put(format_args!("\n{from} to {to}\n{}", told.story));
        all &= told.accepted;
        recipients.push(json!({ "recipient": told.recipient, "accepted": told.accepted,
            "story": told.story, "way": told.way }));
    }
    let json = json!({ "schema": "mailkeep.explain/1", "ok": all, "revision": ground.revision,
        "configuration": ground.title, "listener": *listener.name, "recipients": recipients });
    if facts.lists.is_some() {
        text = ListFacts::worded(facts.lists.as_ref(), &text);
    }
    let answer = Answer::new(text, json);
    Ok(if all { answer } else { answer.with_exit(exit::FOUND) })
}

/// What the lists of the running server say about the client now.
async fn listed(admin: &Admin, request: &Request) -> Option<ListFacts> {
    let snapshot = admin.server()?.snapshot();
    let is_judged = snapshot.lists.reads_clients()
        && request.authenticated.is_none()
        && !snapshot.config.trusted_networks.iter().any(|n| n.contains(&request.client));
    if !is_judged {
        return None;
    }
    let client = Some(snapshot.lists.client(request.client).await);
    Some(ListFacts { client, ..ListFacts::default() })
}

fn facts(request: &Request, listener: &Listener) -> Facts {
    let tls = match (request.channel, &listener.tls) {
        (Channel::Plain, _) | (Channel::Best, None) => None,
        (Channel::Tls(version), _) => Some(version),
        (Channel::Best, Some(tls)) => tls.versions.iter().max(),
    };
    let message = request.message.as_ref().map(|content| content.facts.clone());
    let sized = request
        .size_octets
        .map(|size_octets| MessageFacts { size_octets, ..MessageFacts::default() });
    Facts {
        authentication: None,
        now: Some(Moment(mail::Timestamp::now())),
        listener: Some(listener.name.value.clone()),
        client_ip: Some(request.client),
        client_name: request.client_name.clone(),
        helo: Some(request.helo.clone()),
        tls: tls.map(|version| Box::new(rules::hints::handshake(version))),
        authenticated: request.authenticated.as_ref().map(Address::to_string),
        sender: Some(request.from.clone()),
        recipient: None,
        fax: None,
        recipient_count: u32::try_from(request.to.len()).ok(),
        message: message.or(sized),
        scan: None,
        ownership: None,
        flow: None,
        lists: None,
    }
}

async fn tell(
    admin: &Admin,
    ground: &Ground,
    listener: &Listener,
    request: &Request,
    facts: &Facts,
    to: &Address,
) -> Told {
    let resolution = ground.directory.resolve(to);
    let mut facts = facts.clone();
    facts.recipient = Some(crate::conversation::recipient_facts(to, &resolution));
    facts.flow = ground::flow(admin, ground, request, &facts, to);
    let spf = spf_for_fax(admin, ground, request, &facts, to).await;
    facts.fax = judge::facts(&ground.snapshot, &facts, to, spf, request.authors.as_deref());
    let policy = &ground.snapshot.policy;
    let mut story = policy.story(&facts);
    let decision = policy.decide_through(&facts, Stage::Data);
    let refused = decision.outcome.refusal().is_some().then_some(decision.stage);
    let first =
        obstacle::first(admin, ground, listener, request, &facts, &resolution, refused).await;
    if let Some(obstacle) = first {
        offers(&mut story, listener, &facts, ground);
        hinder(&mut story, obstacle);
        return Told { recipient: to.clone(), story, accepted: false, way: None };
    }
    offers(&mut story, listener, &facts, ground);
    let accepted = refused.is_none();
    let way = accepted.then(|| way::add(ground, &facts, &decision, &mut story)).flatten();
    Told { recipient: to.clone(), story, accepted, way }
}

/// What SPF says of the sender of a fax, where the account wants to know.
async fn spf_for_fax(
    admin: &Admin,
    ground: &Ground,
    request: &Request,
    facts: &Facts,
    to: &Address,
) -> Option<fax::Spf> {
    if !judge::asks_spf(&ground.snapshot, to) {
        return None;
    }
    if request.spf.is_some() {
        return request.spf;
    }
    let snapshot = admin.server()?.snapshot();
    let question = crate::conversation::spf_question(&snapshot, facts, request.client);
    let answer = sender_auth::spf::check(snapshot.agent.resolver(), &question).await;
    Some(judge::spf(answer.outcome))
}

/// Says in the chapter of EHLO what this listener offers: the rules can only offer less.
fn offers(story: &mut Story, listener: &Listener, facts: &Facts, ground: &Ground) {
    let Some(chapter) = story.chapters.iter_mut().find(|told| told.stage == Stage::Hello) else {
        return;
    };
    let hello = Facts { authenticated: None, ..facts.clone() };
    let settings = ground.snapshot.policy.decide(&hello, Stage::Hello).settings;
    let starttls = match (&listener.tls, &facts.tls) {
        (_, Some(_)) => "",
        (Some(_), None) if settings.offers_starttls() => "STARTTLS offered; ",
        (Some(_) | None, None) => "STARTTLS not offered; ",
    };
    let auth = match settings.sign_in(facts.tls.is_some()) {
        _ if *listener.auth == Auth::Off => {
            chapter.because.clear();
            format!("AUTH not offered: listener {} has auth off", *listener.name)
        }
        SignIn::Off => "AUTH not offered".to_owned(),
        SignIn::Mechanisms(_) => "AUTH offered".to_owned(),
    };
    chapter.headline = format!("{starttls}{auth}");
}

/// Ends the story at what the rules do not decide.
fn hinder(story: &mut Story, obstacle: Obstacle) {
    let Obstacle { stage, before_rules, why, outcome } = obstacle;
    story.chapters.retain(|told| told.stage < stage || (told.stage == stage && !before_rules));
    put(story, stage, why);
    story.outcome = outcome;
    story.by = None;
    story.not_reached.clear();
    // They tell what the rules would do, and it is not the rules that decide here.
    story.hints.clear();
}

/// Adds a line of ours to the chapter of a stage.
fn put(story: &mut Story, stage: Stage, line: String) {
    if let Some(chapter) = story.chapters.iter_mut().find(|told| told.stage == stage) {
        if !chapter.headline.is_empty() {
            chapter.headline.push_str(NEXT_LINE);
        }
        chapter.headline.push_str(&line);
        return;
    }
    let at = story.chapters.partition_point(|told| told.stage < stage);
    let explanation = Explanation {
        stage,
        rules: Vec::new(),
        not_reached: Vec::new(),
        outcome: String::new(),
        by: None,
    };
    story.chapters.insert(at, Chapter { stage, headline: line, because: Vec::new(), explanation });
}

/// What begins another line under the first in a chapter.
const NEXT_LINE: &str = "\n            ";
