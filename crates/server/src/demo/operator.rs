//! What an operator of the demo can ask, over its control socket.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use evidence::{Accepted, Attempted, Event, Finished, PublicKey, Refused};
use mail::{Address, ReversePath, Timestamp};
use serde_json::Value;

use super::Place;
use crate::control::{self, Answer, Request, exit, socket};

/// How long something may take to come true.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// Someone at the demo's control socket.
#[derive(Debug, Clone)]
pub struct Operator {
    place: Place,
}

/// The story of one message, as `mailkeep trace` tells it.
#[derive(Debug, Clone)]
pub struct Trace {
    /// The message.
    pub id: String,
    /// What people read.
    pub text: String,
    /// The same entries with their numbers.
    pub events: Vec<(u64, Event)>,
}

impl Operator {
    /// The operator of the demo in `place`.
    pub fn of(place: &Place) -> Self {
        Self { place: place.clone() }
    }

    /// Whether a server runs in the folder.
    ///
    /// # Errors
    ///
    /// When one runs and does not answer.
    pub async fn is_answered(&self) -> Result<bool> {
        let path = self.place.folder().join("control.sock");
        Ok(socket::ask(&path, &Request::Status).await?.is_some())
    }

    /// Asks the server.
    ///
    /// # Errors
    ///
    /// When none runs, or it breaks off.
    pub async fn ask(&self, request: &Request) -> Result<Answer> {
        let path = self.place.folder().join("control.sock");
        let answer = socket::ask(&path, request).await?;
        answer.with_context(|| format!("no server runs in {}", self.place.folder().display()))
    }

    /// Asks for what must be granted.
    async fn demand(&self, request: &Request) -> Result<Answer> {
        let answer = self.ask(request).await?;
        if answer.exit != exit::FINE {
            bail!("{}", answer.text.trim_end());
        }
        Ok(answer)
    }

    /// Where each listener listens.
    ///
    /// # Errors
    ///
    /// When the server does not say.
    pub async fn listeners(&self) -> Result<BTreeMap<String, SocketAddr>> {
        let status = self.demand(&Request::Status).await?.json;
        let rows = status["listeners"].as_array().context("a status without listeners")?;
        let row = |row: &Value| {
            Some((row["name"].as_str()?.to_owned(), row["address"].as_str()?.parse().ok()?))
        };
        Ok(rows.iter().filter_map(row).collect())
    }

    /// Lets the server forget what DNS said and what partners could not do.
    ///
    /// # Errors
    ///
    /// When it cannot.
    pub async fn flush(&self) -> Result<()> {
        self.demand(&Request::Dns(control::dns::Request::flush())).await.map(drop)
    }

    /// What the policy would do with mail in the clear to a listener.
    ///
    /// # Errors
    ///
    /// When the server does not say.
    pub async fn explain(&self, listener: &str, from: &str, to: &str) -> Result<String> {
        let request = control::explain::Request {
            from: ReversePath::Address(Address::parse(from)?),
            to: vec![Address::parse(to)?],
            client: Ipv4Addr::LOCALHOST.into(),
            client_name: None,
            helo: "laptop.clinic.test".to_owned(),
            channel: control::explain::Channel::Plain,
            authenticated: None,
            spf: None,
            authors: None,
            listener: Some(listener.to_owned()),
            message: None,
            size_octets: None,
            candidate: None,
        };
        // A refusal is an answer here.
        Ok(self.ask(&Request::Explain(Box::new(request))).await?.text)
    }

    /// The whole evidence as lines, signed at this moment.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub async fn export(&self) -> Result<String> {
        let all = control::evidence::Request::Export { from: 1, limit: u32::MAX };
        Ok(self.demand(&Request::Evidence(all)).await?.text)
    }

    /// The public key that the evidence is signed with.
    ///
    /// # Errors
    ///
    /// When the server names none.
    pub async fn key(&self) -> Result<PublicKey> {
        let key = self.demand(&Request::Evidence(control::evidence::Request::Key)).await?;
        Ok(key.text.trim().parse()?)
    }

    /// Follows a message until `is_over`.
    ///
    /// # Errors
    ///
    /// When it is not over in time; the error tells how far it is.
    pub async fn follow(&self, id: &str, is_over: impl Fn(&Trace) -> bool) -> Result<Trace> {
        let told = Request::Trace(query(Some(id), None, None));
        self.wait_for(&told, |answer| Trace::read(answer).filter(&is_over)).await
    }

    /// The refusal of mail to `address` since an instant.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub async fn refusal(&self, address: &str, since: Timestamp) -> Result<Trace> {
        let address = Address::parse(address)?;
        let told = Request::Trace(query(None, Some(address), Some(since)));
        let id = self.wait_for(&told, refused_id).await?;
        self.follow(&id, |trace| trace.refused().is_some()).await
    }

    /// The fax that the message `id` became.
    ///
    /// # Errors
    ///
    /// When there is none in time.
    pub async fn fax_of(&self, id: &str) -> Result<Value> {
        let jobs = Request::Fax(control::fax::Request::newest());
        self.wait_for(&jobs, |answer| {
            let faxes = answer.json["faxes"].as_array()?;
            faxes.iter().find(|fax| fax["message"] == id).cloned()
        })
        .await
    }

    /// Has the pages of a fax written to `folder` as pictures, and says where they are.
    ///
    /// # Errors
    ///
    /// When they cannot be drawn or written.
    pub async fn fax_pages(&self, id: &str, folder: &Path) -> Result<Vec<PathBuf>> {
        let (id, to) = (id.to_owned(), folder.to_owned());
        let written = self.demand(&Request::Fax(control::fax::Request::Pages { id, to })).await?;
        Ok(written.text.lines().map(PathBuf::from).collect())
    }

    /// Asks until the answer has what `read` looks for.
    async fn wait_for<T>(
        &self,
        request: &Request,
        read: impl Fn(&Answer) -> Option<T>,
    ) -> Result<T> {
        let until = tokio::time::Instant::now() + PATIENCE;
        loop {
            let answer = self.ask(request).await?;
            if let Some(found) = read(&answer) {
                return Ok(found);
            }
            if tokio::time::Instant::now() > until {
                bail!("after {PATIENCE:?} this is still all:\n{}", answer.text);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

fn query(
    id: Option<&str>,
    address: Option<Address>,
    since: Option<Timestamp>,
) -> control::trace::Request {
    control::trace::Request {
        id: id.map(str::to_owned),
        address,
        domain: None,
        message_id: None,
        since: since.map(Timestamp::to_rfc3339),
        until: None,
        limit: 50,
    }
}

/// The first refusal in an answer, which is the story of one message or a list of them.
fn refused_id(answer: &Answer) -> Option<String> {
    if let Some(trace) = Trace::read(answer) {
        return trace.refused().is_some().then_some(trace.id);
    }
    let rows = answer.json["messages"].as_array()?;
    let row = rows.iter().find(|row| row["refused"] == true)?;
    Some(row["id"].as_str()?.to_owned())
}

impl Trace {
    fn read(answer: &Answer) -> Option<Self> {
        let id = answer.json["trace"].as_str()?.to_owned();
        let read = |entry: &Value| {
            Some((entry["seq"].as_u64()?, serde_json::from_value(entry.clone()).ok()?))
        };
        let events = answer.json["entries"].as_array()?.iter().filter_map(read).collect();
        Some(Self { id, text: answer.text.clone(), events })
    }

    /// How the message was taken.
    pub fn accepted(&self) -> Option<&Accepted> {
        self.events.iter().find_map(|(_, event)| {
            let Event::Accepted(accepted) = event else { return None };
            Some(&**accepted)
        })
    }

    /// How it was refused.
    pub fn refused(&self) -> Option<&Refused> {
        self.events.iter().find_map(|(_, event)| {
            let Event::Refused(refused) = event else { return None };
            Some(&**refused)
        })
    }

    /// The last attempt to pass it on, with the number of its entry.
    pub fn last_attempt(&self) -> Option<(u64, &Attempted)> {
        self.events.iter().rev().find_map(|(seq, event)| {
            let Event::Attempted(attempted) = event else { return None };
            Some((*seq, &**attempted))
        })
    }

    /// How it ended, once it did.
    pub fn finished(&self) -> Option<&Finished> {
        self.events.iter().find_map(|(_, event)| {
            let Event::Finished(finished) = event else { return None };
            Some(finished)
        })
    }

    /// The lines of some sections of the text: `out` and `end`, for example.
    pub fn sections(&self, wanted: &[&str]) -> Vec<String> {
        let mut section = "";
        let mut lines = Vec::new();
        for line in self.text.lines().skip(1) {
            if !line.starts_with("    ") {
                section = line.split_whitespace().next().unwrap_or_default();
            }
            if wanted.contains(&section) {
                lines.push(line.strip_prefix("  ").unwrap_or(line).to_owned());
            }
        }
        lines
    }
}
