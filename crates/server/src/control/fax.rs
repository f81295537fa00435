//! `mailkeep fax …`.

use std::path::PathBuf;

use ::fax::{Event, State};
use anyhow::Context;
use clap::Subcommand;
use config::Config;
use config::model::{FaxAccount, FaxTransport};
use mail::{Timestamp, TraceId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{FAXES_PAGE_MAX, FaxQuery};

use super::columns::{Put, time};
use super::{Answer, NotThere, exit, running};
use crate::admin::Admin;
use crate::fax::record::{self, Fax};

/// What can be done with faxes. `ID` is a fax's id, or as much of its beginning as names one.
#[derive(Debug, Clone, Serialize, Deserialize, Subcommand)]
#[serde(rename_all = "kebab-case")]
#[command(after_help = "Examples:\n  \
    mailkeep fax jobs --account clinic\n  \
    mailkeep fax pages 01JNX8Z4 --to /tmp/pages\n  \
    mailkeep fax test-number clinic \"020 7946 0958\"")]
pub enum Request {
    /// The fax accounts and their security
    Accounts,
    /// Faxes, newest first
    Jobs {
        /// Only those of this account
        #[arg(long, value_name = "NAME")]
        account: Option<String>,
        /// Only those that stand so: queued, waiting, sending, sent, failed …
        #[arg(long, value_name = "STATE")]
        state: Option<String>,
        /// At most this many
        #[arg(long, value_name = "NUMBER", default_value_t = 50)]
        limit: u32,
    },
    /// One fax: where it stands, what was tried
    Show {
        /// The fax
        id: String,
    },
    /// Write the pages of a fax as pictures
    Pages {
        /// The fax
        id: String,
        /// A folder for the pictures; it is made if it is not there
        #[arg(long, value_name = "FOLDER")]
        to: PathBuf,
    },
    /// Try now, without waiting for the next attempt
    Resend {
        /// The fax
        id: String,
    },
    /// Stop a fax; pages that were confirmed have arrived
    Cancel {
        /// The fax
        id: String,
    },
    /// What an account makes of a number or address; nothing is sent
    TestNumber {
        /// The account
        account: String,
        /// What stands before the @
        number: String,
    },
}

/// Answers a request.
///
/// # Errors
///
/// The store's, and what the words of the request do not name.
pub async fn answer(admin: &Admin, request: Request) -> anyhow::Result<Answer> {
    match request {
        Request::Accounts => with_config(admin, |config| Ok(accounts(config))),
        Request::Jobs { account, state, limit } => jobs(admin, account, state, limit).await,
        Request::Show { id } => show(admin, &id).await,
        Request::Pages { id, to } => pages(admin, &id, to).await,
        Request::Resend { id } => resend(admin, &id).await,
        Request::Cancel { id } => cancel(admin, &id).await,
        Request::TestNumber { account, number } => {
            with_config(admin, |config| test_number(config, &account, &number))
        }
    }
}

fn with_config(
    admin: &Admin,
    answer: impl FnOnce(&Config) -> anyhow::Result<Answer>,
) -> anyhow::Result<Answer> {
    match (admin.server(), admin.config_at_rest()) {
        (Some(server), _) => answer(&server.snapshot().config),
        (None, Some(config)) => answer(config),
        (None, None) => Err(NotThere("There is no configuration".to_owned()).into()),
    }
}

fn accounts(config: &Config) -> Answer {
    let mut text = String::new();
    for account in &config.fax_accounts {
        let security = &account.security;
        text.put(format_args!("{}  {}\n", account.name.value, account.organisation.value));
        let mut line = |name: &str, value: String| {
            text.put(format_args!("  {name:<24} {value}\n"));
        };
        line("domains", listed(account.domains.iter().map(|domain| &domain.value), ""));
        line("main number", account.main_number.to_string());
        let white_list = listed(&security.white_list, "empty: accepts every mail server");
        line("mail server white list", white_list);
        line("spoofing protection", spoofing(account).to_owned());
        line("users", listed(&security.users, "none"));
        line("trusted domains", listed(&security.trusted_domains, "none"));
        line("transport", transport(account));
    }
    if text.is_empty() {
        text.push_str(
            "There is no fax account. The manual of the configuration shows one: fax NAME.\n",
        );
    }
    let rows: Vec<Value> = config
        .fax_accounts
        .iter()
        .map(|account| {
            json!({ "name": *account.name, "organisation": *account.organisation,
                "domains": account.domains.iter().map(|d| d.to_string()).collect::<Vec<_>>(),
                "main-number": account.main_number,
                "mail-server-white-list": account.security.white_list,
                "spoofing-protection": spoofing(account), "users": account.security.users,
                "trusted-domains": account.security.trusted_domains,
                "transport": transport(account) })
        })
        .collect();
    Answer::new(text, json!({ "schema": "mailkeep.fax-accounts/1", "accounts": rows }))
}

fn listed<T: ToString>(values: impl IntoIterator<Item = T>, none: &str) -> String {
    let all: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
    if all.is_empty() { none.to_owned() } else { all.join(", ") }
}

fn spoofing(account: &FaxAccount) -> &'static str {
    match account.security.spoofing_protection {
        None => "off",
        Some(::fax::SoftFail::Accept) => "on, softfail accepted",
        Some(::fax::SoftFail::Reject) => "on, softfail rejected",
    }
}

fn transport(account: &FaxAccount) -> String {
    match &account.transport.value {
        FaxTransport::None => "none configured: faxes wait and are not sent".to_owned(),
        FaxTransport::Spool(folder) => format!("spool folder {}", folder.display()),
        FaxTransport::Hylafax { server, credentials: _ } => format!("HylaFAX at {server}"),
    }
}

fn test_number(config: &Config, account: &str, number: &str) -> anyhow::Result<Answer> {
    let Some(account) = config.fax_account(account) else {
        return Err(NotThere(format!("There is no fax account \"{account}\"")).into());
    };
    let schema = "mailkeep.fax-number/1";
    Ok(match ::fax::Recipient::read(number, &account.plan) {
        Ok(recipient) => {
            let text = format!("{number} is dialled as {}.", recipient.number);
            let json = json!({ "schema": schema, "number": recipient.number,
                "options": recipient.options });
            Answer::new(text, json)
        }
        Err(error) => {
            let json = json!({ "schema": schema, "number": null, "why": error.to_string() });
            Answer::new(format!("{number} is refused: {error}."), json).with_exit(exit::FOUND)
        }
    })
}

async fn jobs(
    admin: &Admin,
    account: Option<String>,
    state: Option<String>,
    limit: u32,
) -> anyhow::Result<Answer> {
    let limit = limit.clamp(1, FAXES_PAGE_MAX);
    let query = FaxQuery { account, state, limit, ..FaxQuery::default() };
    let mut text = String::new();
    let mut rows = Vec::new();
    for row in admin.store().faxes(query).await? {
        let fax = Fax::of(row)?;
        let job = &fax.record.job;
        text.put(format_args!(
            "{}  {}  {:<10}  {:<17}  {:>3} pages  {}\n",
            fax.row.id,
            time(fax.row.created),
            fax.row.account,
            fax.row.number,
            job.pages,
            job.state
        ));
        rows.push(told(&fax));
    }
    if text.is_empty() {
        text.push_str("There is no such fax.\n");
    }
    Ok(Answer::new(text, json!({ "schema": "mailkeep.faxes/1", "faxes": rows })))
}

fn told(fax: &Fax) -> Value {
    let job = &fax.record.job;
    json!({ "id": fax.row.id, "message": fax.row.message, "account": fax.row.account,
        "number": fax.row.number, "recipient": fax.row.recipient, "sender": fax.record.sender,
        "created": fax.row.created.to_rfc3339(), "state": fax.row.state,
        "detail": job.state.to_string(), "due": fax.row.due.map(Timestamp::to_rfc3339),
        "pages": job.pages, "confirmed": job.confirmed, "counters": job.counters,
        "expires": job.expires.to_rfc3339(), "billing": fax.record.options.billing,
        "transport-id": fax.record.transport_id, "sha256": fax.record.sha256 })
}

async fn show(admin: &Admin, id: &str) -> anyhow::Result<Answer> {
    let fax = one(admin, id).await?;
    let job = &fax.record.job;
    let counters = job.counters;
    let mut text = String::new();
    let mut line = |name: &str, value: String| text.put(format_args!("{name:<12} {value}\n"));
    line("fax", fax.row.id.to_string());
    line("message", format!("{}  (mailkeep trace shows it)", fax.row.message));
    line("account", fax.row.account.clone());
    line("from", fax.record.sender.to_string());
    line("number", fax.row.number.clone());
    line("state", job.state.to_string());
    line("pages", format!("{}, {} confirmed", job.pages, job.confirmed));
    line(
        "calls",
        format!(
            "{} dialled, {} answered; {} busy, {} no answer, {} no fax machine, {} broke off",
            counters.dials,
            counters.tries,
            counters.busy,
            counters.no_answer,
            counters.no_carrier,
            counters.interrupted
        ),
    );
    if let Some(due) = fax.row.due {
        line("next", time(due));
    }
    line("given up", time(job.expires));
    if let Some(name) = &fax.record.transport_id {
        line("at the line", name.clone());
    }
    if let Some(code) = &fax.record.options.billing {
        line("billing", code.clone());
    }
    line("sha256", fax.record.sha256.to_string());
    let mut json = told(&fax);
    json["schema"] = json!("mailkeep.fax/1");
    Ok(Answer::new(text, json))
}

async fn pages(admin: &Admin, id: &str, to: PathBuf) -> anyhow::Result<Answer> {
    let server = match running(admin) {
        Ok(server) => server,
        Err(answer) => return Ok(answer),
    };
    let fax = one(admin, id).await?;
    let path = record::file(server.data(), fax.row.id);
    let file = tokio::fs::read(&path)
        .await
        .with_context(|| format!("the pages of fax {} are no longer kept", fax.row.id))?;
    tokio::fs::create_dir_all(&to).await?;
    let mut written = Vec::new();
    for number in 1..=fax.record.job.pages {
        let png = crate::fax::picture(file.clone(), number).await?;
        let path = to.join(format!("{}-{number}.png", fax.row.id));
        tokio::fs::write(&path, png).await?;
        written.push(path.display().to_string());
    }
    let _synced = admin
        .store()
        .append_evidence(admin.act(
            Some(fax.row.message),
            "fax pages",
            fax.row.id.to_string(),
            Some(format!("written to {}", to.display())),
        ))
        .await?;
    let json = json!({ "schema": "mailkeep.fax-pages/1", "pages": written });
    Ok(Answer::new(written.join("\n"), json))
}

async fn resend(admin: &Admin, id: &str) -> anyhow::Result<Answer> {
    steer(admin, id, &Event::Release, "goes on now").await
}

async fn cancel(admin: &Admin, id: &str) -> anyhow::Result<Answer> {
    let server = match running(admin) {
        Ok(server) => server,
        Err(answer) => return Ok(answer),
    };
    let fax = one(admin, id).await?;
    if server.faxes.cancel(fax.row.id) {
        let who = admin.act(Some(fax.row.message), "fax cancel", fax.row.id.to_string(), None);
        let _synced = server.store.append_evidence(who).await?;
        return Ok(done(&fax, "is asked to stop"));
    }
    steer(admin, id, &Event::Cancel, "is cancelled").await
}

/// Applies what an operator wants to a fax that is not under way.
async fn steer(admin: &Admin, id: &str, event: &Event, what: &str) -> anyhow::Result<Answer> {
    let server = match running(admin) {
        Ok(server) => server,
        Err(answer) => return Ok(answer),
    };
    let mut fax = one(admin, id).await?;
    let snapshot = server.snapshot();
    if let State::Queued { .. } = fax.record.job.state
        && *event == Event::Release
    {
        server.faxes.wake();
        return Ok(done(&fax, "is next already"));
    }
    if let Err(error) = fax.apply(server, &snapshot, event, Timestamp::now()).await {
        return Err(NotThere(format!("{error:#}")).into());
    }
    let action = if *event == Event::Cancel { "fax cancel" } else { "fax resend" };
    let who = admin.act(Some(fax.row.message), action, fax.row.id.to_string(), None);
    let _synced = server.store.append_evidence(who).await?;
    server.faxes.wake();
    Ok(done(&fax, what))
}

fn done(fax: &Fax, what: &str) -> Answer {
    let mut json = told(fax);
    json["schema"] = json!("mailkeep.fax/1");
    Answer::new(format!("Fax {} to {} {what}.", fax.row.id, fax.row.number), json)
}

/// The one fax whose id begins with `prefix`.
async fn one(admin: &Admin, prefix: &str) -> anyhow::Result<Fax> {
    let range = TraceId::range_of_prefix(prefix)
        .ok_or_else(|| NotThere(format!("\"{prefix}\" is no id")))?;
    let query = FaxQuery { ids: Some(range), limit: 2, ..FaxQuery::default() };
    let mut rows = admin.store().faxes(query).await?;
    match (rows.pop(), rows.is_empty()) {
        (Some(row), true) => Fax::of(row),
        (Some(_), false) => {
            let text = format!("More than one fax begins with \"{prefix}\"; give more of its id");
            Err(NotThere(text).into())
        }
        (None, _) => Err(NotThere(format!("No fax begins with \"{prefix}\"")).into()),
    }
}
