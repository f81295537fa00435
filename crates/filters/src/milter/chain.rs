//! Several milters in order, for one SMTP connection.

use std::sync::Arc;
use std::time::Duration;

use mail::Status;

use super::codec::CONTENT_MAX_OCTETS;
use super::command::{Client, Command};
use super::link::{Failure, Link};
use super::macros::Macros;
use super::reply::Reply;
use super::settings::{Milter, OnFailure};
use crate::dial::Dialer;
use crate::message::{Change, Message};

/// The milters of one SMTP connection. Connections to them are made when the client's is
/// there, and are closed with it.
pub struct Chain {
    dialer: Dialer,
    members: Vec<Member>,
    /// What was said so far, for a milter that has to be reached again.
    client: Option<Client>,
    helo: Option<String>,
    discarded_by: Option<String>,
    findings: Vec<Told>,
    quarantine: Vec<Told>,
}

struct Member {
    milter: Arc<Milter>,
    link: Option<Link>,
    interest: Interest,
    /// MAIL was said, and the message is not over.
    in_message: bool,
}

/// How far a message was shown.
enum Shown {
    /// The answer to its end, with the changes.
    ToTheEnd(Reply, Vec<Change>),
    /// An answer that made the rest needless.
    Until(Reply),
}

/// What a milter still wants to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Interest {
    /// All that comes.
    Open,
    /// Nothing more of this message.
    NotThisMessage,
    /// Nothing more of this connection.
    Done,
    /// It failed; it is reached again for the next message.
    Failed,
}

/// What a milter said of a step or a message, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The milter.
    pub by: String,
    /// What it said.
    pub what: String,
}

/// What the milters make of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Go on.
    Continue,
    /// Refuse.
    Refuse(Refusal),
    /// Take the message and drop it.
    Discard {
        /// The milter that wants it.
        by: String,
    },
}

/// A refusal for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The milter.
    pub by: String,
    /// From 400 to 599.
    pub code: u16,
    /// The enhanced status.
    pub status: Status,
    /// The text.
    pub text: String,
    /// Whether the connection is closed.
    pub close: bool,
}

impl Chain {
    /// A chain of `milters` in order.
    pub fn new(milters: impl IntoIterator<Item = Arc<Milter>>, dialer: Dialer) -> Self {
        let member =
            |milter| Member { milter, link: None, interest: Interest::Failed, in_message: false };
        Self {
            dialer,
            members: milters.into_iter().map(member).collect(),
            client: None,
            helo: None,
            discarded_by: None,
            findings: Vec::new(),
            quarantine: Vec::new(),
        }
    }

    /// Whether there is no milter at all.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// What the milters said of the message so far, and forgets it.
    pub fn take_findings(&mut self) -> Vec<Told> {
        std::mem::take(&mut self.findings)
    }

    /// Who wants the message set aside and why, and forgets it.
    pub fn take_quarantine(&mut self) -> Vec<Told> {
        std::mem::take(&mut self.quarantine)
    }

    /// A client has connected. A milter that cannot be reached is reached again at MAIL.
    pub async fn connect(&mut self, client: Client, macros: &Macros) -> Outcome {
        self.client = Some(client.clone());
        for at in 0..self.members.len() {
            let reply = match self.reach(at).await {
                Ok(()) => self.ask(at, &Command::Connect(&client), macros).await,
                Err(failure) => Err(failure),
            };
            if let Some(outcome) = self.on_connection(at, reply) {
                return outcome;
            }
        }
        Outcome::Continue
    }

    /// The client said who it is. Under TLS it does so anew.
    pub async fn helo(&mut self, name: &str, macros: &Macros) -> Outcome {
        self.abort().await;
        self.helo = Some(name.to_owned());
        for at in 0..self.members.len() {
            if self.members[at].interest == Interest::Open {
                let reply = self.ask(at, &Command::Helo(name), macros).await;
                if let Some(outcome) = self.on_connection(at, reply) {
                    return outcome;
                }
            }
        }
        Outcome::Continue
    }

    /// MAIL, with its path in angle brackets and its parameters.
    pub async fn mail(&mut self, arguments: &[String], macros: &Macros) -> Outcome {
        self.abort().await;
        self.discarded_by = None;
        self.findings.clear();
        self.quarantine.clear();
        for at in 0..self.members.len() {
            match self.members[at].interest {
                Interest::Failed => {
                    if let Err(failure) = self.reach_again(at, macros).await
                        && let Some(outcome) = self.failed(at, &failure)
                    {
                        return outcome;
                    }
                }
                Interest::NotThisMessage => self.members[at].interest = Interest::Open,
                Interest::Open | Interest::Done => {}
            }
        }
        self.each(&Command::Mail(arguments), macros).await
    }

    /// RCPT.
    pub async fn rcpt(&mut self, arguments: &[String], macros: &Macros) -> Outcome {
        self.each(&Command::Rcpt(arguments), macros).await
    }

    /// DATA.
    pub async fn data(&mut self, macros: &Macros) -> Outcome {
        self.each(&Command::Data, macros).await
    }

    /// A command the server does not know. It is part of no message: a milter can only
    /// choose the words of its refusal.
    pub async fn unknown(&mut self, command: &str, macros: &Macros) -> Outcome {
        for at in 0..self.members.len() {
            if self.members[at].interest != Interest::Open {
                continue;
            }
            let outcome = match self.ask(at, &Command::Unknown(command), macros).await {
                Ok(reply) => reply.and_then(|reply| self.outcome(at, &reply)),
                Err(failure) => self.failed(at, &failure),
            };
            if let Some(refused @ Outcome::Refuse(_)) = outcome {
                return refused;
            }
        }
        Outcome::Continue
    }

    /// Shows the message to the milters that `selected` names, each with the changes of
    /// those before it, and makes their changes to it. Changes to the envelope are given
    /// back in order, each with its milter.
    pub async fn message(
        &mut self,
        message: &mut Message,
        macros: &Macros,
        selected: impl Fn(&str) -> bool,
    ) -> (Outcome, Vec<(String, Change)>) {
        let mut envelope = Vec::new();
        if let Some(by) = self.discarded_by.clone() {
            self.abort().await;
            return (Outcome::Discard { by }, envelope);
        }
        for at in 0..self.members.len() {
            if self.members[at].interest != Interest::Open {
                continue;
            }
            if !selected(&self.members[at].milter.name) {
                self.abort_one(at).await;
                continue;
            }
            let limit = self.members[at].milter.timeouts.message;
            let shown = tokio::time::timeout(limit, self.show(at, message, macros));
            let shown = shown.await.unwrap_or(Err(Failure::Timeout));
            let (reply, changes) = match shown {
                Ok(Shown::ToTheEnd(reply, changes)) => {
                    self.members[at].in_message = false;
                    (reply, changes)
                }
                Ok(Shown::Until(reply)) => {
                    self.abort_one(at).await;
                    (reply, Vec::new())
                }
                Err(failure) => match self.failed(at, &failure) {
                    Some(outcome) => return (outcome, envelope),
                    None => continue,
                },
            };
            self.note(at, &reply, &changes);
            if let Some(outcome) = self.outcome(at, &reply) {
                self.abort().await;
                return (outcome, envelope);
            }
            let by = self.members[at].milter.name.clone();
            let leading_space =
                self.members[at].link.as_ref().is_some_and(|link| link.session().leading_space());
            for change in changes {
                message.apply(&change, leading_space);
                match change {
                    Change::Quarantine { reason } => {
                        self.quarantine.push(Told { by: by.clone(), what: reason });
                    }
                    Change::Sender { .. }
                    | Change::AddRecipient { .. }
                    | Change::RemoveRecipient { .. } => envelope.push((by.clone(), change)),
                    Change::AddField { .. }
                    | Change::InsertField { .. }
                    | Change::ChangeField { .. }
                    | Change::Body(_) => {}
                }
            }
        }
        (Outcome::Continue, envelope)
    }

    /// The message is given up.
    pub async fn abort(&mut self) {
        for at in 0..self.members.len() {
            self.abort_one(at).await;
        }
    }

    /// The connection is over.
    pub async fn quit(&mut self) {
        for member in &mut self.members {
            if let Some(link) = &mut member.link {
                // It closes in any case; a milter that does not hear it sees that.
                let _ = link.ask(&Command::Quit, &Macros::default(), QUIT_MAX).await;
            }
            member.link = None;
            member.interest = Interest::Failed;
        }
    }

    async fn abort_one(&mut self, at: usize) {
        let member = &mut self.members[at];
        if !std::mem::take(&mut member.in_message) {
            return;
        }
        let limit = member.milter.timeouts.command;
        if let Some(link) = &mut member.link
            && link.ask(&Command::Abort, &Macros::default(), limit).await.is_err()
        {
            member.link = None;
            member.interest = Interest::Failed;
        }
    }

    /// Says a command of a message to everyone who wants to hear it.
    async fn each(&mut self, command: &Command<'_>, macros: &Macros) -> Outcome {
        if self.discarded_by.is_some() {
            return Outcome::Continue;
        }
        for at in 0..self.members.len() {
            if self.members[at].interest != Interest::Open {
                continue;
            }
            self.members[at].in_message |= matches!(command, Command::Mail(_));
            match self.ask(at, command, macros).await {
                Err(failure) => {
                    if let Some(outcome) = self.failed(at, &failure) {
                        return outcome;
                    }
                }
                Ok(None) => {}
                Ok(Some(Reply::Accept)) => {
                    self.note(at, &Reply::Accept, &[]);
                    self.members[at].interest = Interest::NotThisMessage;
                    self.abort_one(at).await;
                }
                Ok(Some(reply)) => match self.outcome(at, &reply) {
                    None => {}
                    Some(Outcome::Discard { by }) => {
                        self.note(at, &reply, &[]);
                        self.discarded_by = Some(by);
                        return Outcome::Continue;
                    }
                    Some(outcome) => {
                        self.note(at, &reply, &[]);
                        return outcome;
                    }
                },
            }
        }
        Outcome::Continue
    }

    /// Connects to a milter.
    async fn reach(&mut self, at: usize) -> Result<(), Failure> {
        let member = &mut self.members[at];
        member.link = None;
        member.interest = Interest::Failed;
        member.link = Some(Link::open(&member.milter, &self.dialer).await?);
        member.interest = Interest::Open;
        Ok(())
    }

    /// Connects to a milter that was lost, and says what it has missed.
    async fn reach_again(&mut self, at: usize, macros: &Macros) -> Result<(), Failure> {
        self.reach(at).await?;
        if let Some(client) = self.client.clone() {
            let reply = self.ask(at, &Command::Connect(&client), macros).await?;
            self.accepted_connection(at, reply.as_ref());
        }
        if let Some(helo) = self.helo.clone()
            && self.members[at].interest == Interest::Open
        {
            let reply = self.ask(at, &Command::Helo(&helo), macros).await?;
            self.accepted_connection(at, reply.as_ref());
        }
        Ok(())
    }

    fn accepted_connection(&mut self, at: usize, reply: Option<&Reply>) {
        if reply == Some(&Reply::Accept) {
            self.members[at].interest = Interest::Done;
        }
    }

    /// What an answer to connect or HELO means.
    fn on_connection(
        &mut self,
        at: usize,
        reply: Result<Option<Reply>, Failure>,
    ) -> Option<Outcome> {
        match reply {
            // It is reached again at MAIL, and its failure counts then.
            Err(_) => {
                self.members[at].link = None;
                self.members[at].interest = Interest::Failed;
                None
            }
            Ok(None) => None,
            Ok(Some(Reply::Accept)) => {
                self.members[at].interest = Interest::Done;
                None
            }
            Ok(Some(reply)) => self.outcome(at, &reply),
        }
    }

    async fn ask(
        &mut self,
        at: usize,
        command: &Command<'_>,
        macros: &Macros,
    ) -> Result<Option<Reply>, Failure> {
        let Member { milter, link, .. } = &mut self.members[at];
        let Some(link) = link else { return Err(Failure::Closed) };
        let asked = link.ask(command, macros, milter.timeouts.command);
        // Progress may lengthen the wait, but not without end.
        let answer = tokio::time::timeout(milter.timeouts.message, asked);
        let answer = answer.await.unwrap_or(Err(Failure::Timeout))?;
        Ok(answer.map(|(reply, _)| reply))
    }

    /// Shows a message to one milter; gives its last answer.
    async fn show(
        &mut self,
        at: usize,
        message: &Message,
        macros: &Macros,
    ) -> Result<Shown, Failure> {
        let Member { milter, link, .. } = &mut self.members[at];
        let Some(link) = link else { return Err(Failure::Closed) };
        let limit = milter.timeouts.content;
        let ends = |reply: &Reply| !matches!(reply, Reply::Continue | Reply::Skip);
        let leading_space = link.session().leading_space();
        for field in message.fields() {
            let value = field.value(leading_space);
            let command = Command::Header { name: field.name(), value: &value };
            if let Some((reply, _)) = link.ask(&command, macros, limit).await?
                && ends(&reply)
            {
                return Ok(Shown::Until(reply));
            }
        }
        if let Some((reply, _)) = link.ask(&Command::EndOfHeader, macros, limit).await?
            && ends(&reply)
        {
            return Ok(Shown::Until(reply));
        }
        for piece in message.body().chunks(CONTENT_MAX_OCTETS) {
            match link.ask(&Command::Body(piece), macros, limit).await? {
                None | Some((Reply::Continue, _)) => {}
                Some((Reply::Skip, _)) => break,
                Some((reply, _)) => return Ok(Shown::Until(reply)),
            }
        }
        let answer = link.ask(&Command::End, macros, milter.timeouts.end).await?;
        let (reply, changes) = answer.unwrap_or((Reply::Continue, Vec::new()));
        Ok(Shown::ToTheEnd(reply, changes))
    }

    /// Notes a milter's failure and does what was chosen for it.
    fn failed(&mut self, at: usize, failure: &Failure) -> Option<Outcome> {
        let member = &mut self.members[at];
        member.link = None;
        member.interest = Interest::Failed;
        member.in_message = false;
        let by = member.milter.name.clone();
        let what = format!("no answer: {failure}");
        self.findings.push(Told { by: by.clone(), what: what.clone() });
        let refuse = |code, status, text: &str| {
            let text = text.to_owned();
            Some(Outcome::Refuse(Refusal { by: by.clone(), code, status, text, close: false }))
        };
        match member.milter.on_failure {
            OnFailure::Accept => None,
            OnFailure::Tempfail => {
                refuse(451, Status::new(4, 7, 1), "The message cannot be checked now")
            }
            OnFailure::Reject => refuse(550, Status::new(5, 7, 1), "The message cannot be checked"),
            OnFailure::Quarantine => {
                self.quarantine.push(Told { by, what });
                None
            }
        }
    }

    /// What an answer means for the client; `None` to go on.
    fn outcome(&self, at: usize, reply: &Reply) -> Option<Outcome> {
        let by = self.members[at].milter.name.clone();
        let refuse = |by, code, status, text: &str, close| {
            Outcome::Refuse(Refusal { by, code, status, text: text.to_owned(), close })
        };
        let later = Status::new(4, 7, 1);
        Some(match reply {
            Reply::Continue
            | Reply::Accept
            | Reply::Skip
            | Reply::Progress
            | Reply::Change(_)
            | Reply::BodyPiece(_) => return None,
            Reply::Reject => refuse(by, 550, Status::new(5, 7, 1), "Refused by a filter", false),
            Reply::Tempfail | Reply::ConnectionFailed => {
                refuse(by, 451, later, "Try again later", false)
            }
            Reply::Shutdown => refuse(by, 421, later, "Try again later", true),
            Reply::Code(code) => refuse(by, code.code, code.status, &code.text, code.code == 421),
            Reply::Discard => Outcome::Discard { by },
        })
    }

    fn note(&mut self, at: usize, reply: &Reply, changes: &[Change]) {
        let mut what = match reply {
            Reply::Continue | Reply::Skip | Reply::Progress => "passed".to_owned(),
            Reply::Change(_) | Reply::BodyPiece(_) => "changed".to_owned(),
            Reply::Accept => "accepted".to_owned(),
            Reply::Reject => "rejected".to_owned(),
            Reply::Tempfail | Reply::ConnectionFailed | Reply::Shutdown => "deferred".to_owned(),
            Reply::Discard => "discarded".to_owned(),
            Reply::Code(code) => format!("refused with {} {}", code.code, code.text),
        };
        for change in changes.iter().take(CHANGES_NAMED_MAX) {
            what.push_str("; ");
            what.push_str(&match change {
                Change::AddField { name, .. } | Change::InsertField { name, .. } => {
                    format!("added {name}")
                }
                Change::ChangeField { name, value, .. } if value.is_empty() => {
                    format!("removed {name}")
                }
                Change::ChangeField { name, .. } => format!("changed {name}"),
                Change::Sender { path, .. } => format!("changed the sender to {path}"),
                Change::AddRecipient { path, .. } => format!("added recipient {path}"),
                Change::RemoveRecipient { path } => format!("removed recipient {path}"),
                Change::Body(_) => "changed the body".to_owned(),
                Change::Quarantine { reason } => format!("set aside: {reason}"),
            });
        }
        if changes.len() > CHANGES_NAMED_MAX {
            what.push_str(&format!("; and {} more", changes.len() - CHANGES_NAMED_MAX));
        }
        self.findings.push(Told { by: self.members[at].milter.name.clone(), what });
    }
}

/// How long the end of a connection is waited for.
const QUIT_MAX: Duration = Duration::from_secs(1);
/// Changes that are named one by one.
const CHANGES_NAMED_MAX: usize = 20;
