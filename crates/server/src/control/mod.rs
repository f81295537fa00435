//! What an operator can ask a running server, and its answers.
//!
//! The command line sends one [`Request`] over the control socket and prints
//! the [`Answer`]. When no server runs, the command line opens the store itself
//! and calls the same functions, so both ways do the same thing.

pub mod accounts;
pub mod app_passwords;
pub mod ban;
pub mod columns;
pub mod configuration;
pub mod dkim_key;
pub mod dmarc;
pub mod dns;
pub mod domains;
mod ending;
pub mod evidence;
pub mod explain;
pub mod fax;
mod fax_requests;
pub mod force_encrypt;
pub mod hold;
pub mod ledger;
pub mod lists;
pub mod quarantine;
pub mod queue;
pub mod quota;
pub mod socket;
pub mod status;
pub mod trace;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::admin::Admin;
use crate::server::Server;

/// A request, and who makes it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Asked {
    /// The operator, for the evidence: the name of a user of this machine.
    pub by: String,
    /// What is asked.
    #[serde(flatten)]
    pub request: Request,
}

/// One thing an operator asks. The parts that the command line reads as they
/// are derive both forms, so there is one definition of each.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "command", content = "with", rename_all = "kebab-case")]
pub enum Request {
    /// One screen: is mail flowing?
    Status,
    /// Reads the configuration and certificate files again.
    Reload,
    /// `dns …`.
    Dns(dns::Request),
    /// `dmarc …`.
    Dmarc(dmarc::Request),
    /// `dkim-key …`.
    DkimKey(dkim_key::Request),
    /// `domain …`.
    Domain(domains::Request),
    /// `account …`.
    Account(accounts::Request),
    /// `app-password …`.
    AppPassword(app_passwords::Request),
    /// `queue …`.
    Queue(queue::Request),
    /// `hold …`.
    Hold(hold::Request),
    /// `quarantine …`.
    Quarantine(quarantine::Request),
    /// `ban …`.
    Ban(ban::Request),
    /// `quota …`.
    Quota(quota::Request),
    /// `trace …`.
    Trace(trace::Request),
    /// `explain …`.
    Explain(Box<explain::Request>),
    /// `evidence …` and `proof`.
    Evidence(evidence::Request),
    /// `ledger …`.
    Ledger(ledger::Request),
    /// `lists …`.
    Lists(lists::Request),
    /// `config …`, as far as it touches a server.
    Config(configuration::Request),
    /// `force-encrypt …`.
    ForceEncrypt(force_encrypt::Request),
    /// `fax …`.
    Fax(fax::Request),
}

/// Answers `request` with what `admin` reaches. A failure is an answer too.
pub async fn answer(admin: &Admin, request: Request) -> Answer {
    let outcome = match request {
        Request::Status => status::answer(admin).await,
        Request::Reload => configuration::reload(admin).await,
        Request::Dns(request) => dns::answer(admin, request).await,
        Request::Dmarc(request) => dmarc::answer(admin, request).await,
        Request::DkimKey(request) => dkim_key::answer(admin, request).await,
        Request::Domain(request) => domains::answer(admin, request).await,
        Request::Account(request) => accounts::answer(admin, request).await,
        Request::AppPassword(request) => app_passwords::answer(admin, request).await,
        Request::Queue(request) => queue::answer(admin, request).await,
        Request::Hold(request) => hold::answer(admin, request).await,
        Request::Quarantine(request) => quarantine::answer(admin, request).await,
        Request::Ban(request) => ban::answer(admin, request).await,
        Request::Quota(request) => quota::answer(admin, request).await,
        Request::Trace(request) => trace::answer(admin, request).await,
        Request::Explain(request) => explain::answer(admin, *request).await,
        Request::Evidence(request) => evidence::answer(admin, request).await,
        Request::Ledger(request) => ledger::answer(admin, request).await,
        Request::Lists(request) => lists::answer(admin, request).await,
        Request::Config(request) => configuration::answer(admin, request).await,
        Request::ForceEncrypt(request) => force_encrypt::answer(admin, request).await,
        Request::Fax(request) => fax::answer(admin, request).await,
    };
    told(outcome)
}

/// What an operator reads of an outcome.
fn told(outcome: anyhow::Result<Answer>) -> Answer {
    outcome.unwrap_or_else(|error| Answer::failure(exit_of(&error), format!("{error:#}.")))
}

/// What was asked for is not there, or not as asked. The operator's slip, not a failure.
#[derive(Debug)]
pub struct NotThere(pub String);

impl fmt::Display for NotThere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotThere {}

fn exit_of(error: &anyhow::Error) -> u8 {
    let directory = error.downcast_ref::<::accounts::AccountError>();
    match directory {
        Some(::accounts::AccountError::Store(_)) => exit::FAILED,
        Some(_) => exit::FOUND,
        None if error.is::<NotThere>() => exit::FOUND,
        None => exit::FAILED,
    }
}

/// The server, where a request needs one that runs.
fn running(admin: &Admin) -> Result<&Arc<Server>, Answer> {
    admin.server().ok_or_else(|| {
        Answer::failure(
            exit::UNAVAILABLE,
            "No server is running; start it with \"mailkeep serve\".",
        )
    })
}

/// What the operator gets back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Answer {
    /// The exit code of the command line (UX: 0 fine, 2 a failure was found, 75 try again …).
    pub exit: u8,
    /// For people.
    pub text: String,
    /// For programs: an object whose `schema` names its form.
    pub json: Value,
}

impl Answer {
    /// A success that shows `text` to people and `json` to programs.
    pub fn new(text: impl Into<String>, json: Value) -> Self {
        Self { exit: exit::FINE, text: text.into(), json }
    }

    /// The same with another exit code.
    #[must_use]
    pub fn with_exit(mut self, exit: u8) -> Self {
        self.exit = exit;
        self
    }

    /// A refusal in words.
    pub fn failure(exit: u8, text: impl Into<String>) -> Self {
        let text = text.into();
        let json = serde_json::json!({ "schema": "mailkeep.error/1", "error": text });
        Self { exit, text, json }
    }
}

/// Exit codes, after sysexits where those exist.
pub mod exit {
    /// Fine.
    pub const FINE: u8 = 0;
    /// Unexpected failure.
    pub const FAILED: u8 = 1;
    /// Looked, and found a failure.
    pub const FOUND: u8 = 2;
    /// Found warnings, where those are not allowed either.
    pub const WARNED: u8 = 3;
    /// Wrong usage.
    pub const USAGE: u8 = 64;
    /// Input is missing.
    pub const NO_INPUT: u8 = 66;
    /// The server does not run or cannot be reached.
    pub const UNAVAILABLE: u8 = 69;
    /// Try again.
    pub const TEMPORARY: u8 = 75;
    /// Not allowed.
    pub const NOT_ALLOWED: u8 = 77;
    /// Bad configuration.
    pub const CONFIGURATION: u8 = 78;
}
