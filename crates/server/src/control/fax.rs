//! `mailkeep fax …`.

use std::path::PathBuf;

use ::fax::{Event, State};
use anyhow::Context;
use clap::Subcommand;
use config::Config;
use config::model::FaxAccount;
use mail::{Domain, Timestamp, TraceId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{FAXES_PAGE_MAX, FaxQuery};

use super::columns::{Put, time};
use super::{Answer, NotThere, exit, fax_requests, running};
use crate::admin::Admin;
use crate::fax::record::{self, Fax};

/// What can be done with faxes. `ID` is a fax's id, or as much of its beginning as names one.
#[derive(Debug, Clone, Serialize, Deserialize, Subcommand)]
#[serde(rename_all = "kebab-case")]
#[command(after_help = "Examples:\n  \
    mailkeep fax jobs --account clinic\n  \
    mailkeep fax jobs --csv --limit 1000 > faxes.csv\n  \
    mailkeep fax pages 01JNX8Z4 --to /tmp/pages\n  \
    mailkeep fax request clinic partner.example --certify \"It is ours; SPF names our servers.\"\n  \
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
        /// As a table for other programs: comma-separated values (RFC 4180)
        #[arg(long)]
        #[serde(default)]
        csv: bool,
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
    /// Requests to trust email domains, newest first
    Requests,
    /// Ask that a fax account trusts email domains; another administrator decides
    #[command(name = "request")]
    Ask {
        /// The account
        account: String,
        /// The domains, each exactly
        #[arg(required = true, value_name = "DOMAIN")]
        domains: Vec<Domain>,
        /// In your words: that the domains are yours, and that only your servers may send
        #[arg(long, value_name = "TEXT")]
        certify: String,
    },
    /// Trust the domains of a request, if each is proven in DNS; a new revision
    Approve {
        /// The request
        id: String,
    },
    /// Do not trust the domains of a request
    Deny {
        /// The request
        id: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// What an account makes of a number or address; nothing is sent
    TestNumber {
        /// The account
        account: String,
        /// What stands before the @
        number: String,
    },
}

impl Request {
    /// The newest faxes of every account.
    pub fn newest() -> Self {
        Self::Jobs { account: None, state: None, limit: 50, csv: false }
    }
}

/// Answers a request.
///
/// # Errors
///
/// The store's, and what the words of the request do not name.
pub async fn answer(admin: &Admin, request: Request) -> anyhow::Result<Answer> {
    match request {
        Request::Accounts => with_config(admin, |config| Ok(accounts(config))),
        Request::Jobs { account, state, limit, csv } => {
            let limit = limit.clamp(1, FAXES_PAGE_MAX);
            let query = FaxQuery { account, state, limit, ..FaxQuery::default() };
            if csv { table(admin, query).await } else { jobs(admin, query).await }
        }
        Request::Show { id } => show(admin, &id).await,
        Request::Pages { id, to } => pages(admin, &id, to).await,
        Request::Resend { id } => resend(admin, &id).await,
        Request::Cancel { id } => cancel(admin, &id).await,
        Request::Requests => fax_requests::list(admin).await,
        Request::Ask { account, domains, certify } => {
            fax_requests::ask(admin, account, domains, certify).await
        }
        Request::Approve { id } => fax_requests::approve(admin, &id).await,
        Request::Deny { id, reason } => fax_requests::deny(admin, &id, &reason).await,
        Request::TestNumber { account, number } => {
            with_config(admin, |config| test_number(config, &account, &number))
        }
    }
}

/// The answer to what the configuration alone can say; `None` for the other requests.
pub fn by_configuration(config: &Config, request: &Request) -> Option<Answer> {
    match request {
        Request::Accounts => Some(accounts(config)),
        Request::TestNumber { account, number } => {
            Some(super::told(test_number(config, account, number)))
        }
        Request::Jobs { .. }
        | Request::Show { .. }
        | Request::Pages { .. }
        | Request::Resend { .. }
        | Request::Cancel { .. }
        | Request::Requests
        | Request::Ask { .. }
        | Request::Approve { .. }
        | Request::Deny { .. } => None,
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
        line("transport", transports(account));
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
                "transport": transports(account) })
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

/// The transports in their order, each with the numbers it is limited to.
fn transports(account: &FaxAccount) -> String {
    let each = account.transports.iter().map(|transport| {
        let limit: Vec<String> = transport.prefixes.iter().map(ToString::to_string).collect();
        match limit.as_slice() {
            [] => transport.line.to_string(),
            limit => format!("{} for {}", transport.line, limit.join(" ")),
        }
    });
    listed(each, "none configured: faxes wait and are not sent")
}

fn test_number(config: &Config, account: &str, number: &str) -> anyhow::Result<Answer> {
    let Some(account) = config.fax_account(account) else {
        return Err(NotThere(format!("There is no fax account \"{account}\"")).into());
    };
    let schema = "mailkeep.fax-number/1";
    Ok(match ::fax::Recipient::read(number, &account.plan) {
        Ok(recipient) => {
            let lines = account.lines_for(&recipient.number);
            let by = listed(&lines, "no transport: it waits").replace(", ", ", else ");
            let text = format!("{number} is dialled as {}, by {by}.", recipient.number);
            let json = json!({ "schema": schema, "number": recipient.number,
                "options": recipient.options,
                "lines": lines.iter().map(ToString::to_string).collect::<Vec<_>>() });
            Answer::new(text, json)
        }
        Err(error) => {
            let json = json!({ "schema": schema, "number": null, "why": error.to_string() });
            Answer::new(format!("{number} is refused: {error}."), json).with_exit(exit::FOUND)
        }
    })
}

/// The columns of the table of faxes.
const COLUMNS: &str = "fax,message,account,sender,number,billing,created,ended,state,pages,\
                       confirmed,calls,transport,sha256\r\n";

/// Faxes as CSV, for who bills them.
async fn table(admin: &Admin, query: FaxQuery) -> anyhow::Result<Answer> {
    let mut text = COLUMNS.to_owned();
    for row in admin.store().faxes(query).await? {
        let fax = Fax::of(row)?;
        let (row, record, job) = (&fax.row, &fax.record, &fax.record.job);
        let fields = [
            row.id.to_string(),
            row.message.to_string(),
            row.account.clone(),
            record.sender.to_string(),
            row.number.clone(),
            record.options.billing.clone().unwrap_or_default(),
            row.created.to_rfc3339(),
            fax.ended().map(Timestamp::to_rfc3339).unwrap_or_default(),
            job.state.to_string(),
            job.pages.to_string(),
            job.confirmed.to_string(),
            job.counters.dials.to_string(),
            record.line.clone().unwrap_or_default(),
            record.sha256.to_string(),
        ];
        let fields: Vec<String> = fields.iter().map(|field| cell(field)).collect();
        text.put(format_args!("{}\r\n", fields.join(",")));
    }
    let json = json!({ "schema": "mailkeep.export/1", "csv": text });
    Ok(Answer::new(text, json))
}

/// A field of the table, always in quotes. What a spreadsheet would calculate is marked as
/// text: billing codes come from senders.
fn cell(text: &str) -> String {
    let mark = if text.starts_with(['=', '+', '-', '@', '\t']) { "'" } else { "" };
    let plain = text.replace(char::is_control, " ").replace('"', "\"\"");
    format!("\"{mark}{plain}\"")
}

async fn jobs(admin: &Admin, query: FaxQuery) -> anyhow::Result<Answer> {
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
        "line": fax.record.line, "transport-id": fax.record.transport_id, "sha256": fax.record.sha256 })
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
    if let Some(name) = &fax.record.line {
        line("by", name.clone());
    }
    if let Some(name) = &fax.record.transport_id {
        line("at the line", name.clone());
    }
    if let Some(code) = &fax.record.options.billing {
        line("billing", code.clone());
    }
    for left_out in &fax.record.left_out {
        line("left out", left_out.to_string());
    }
    if !fax.record.missing.is_empty() {
        line("warning", format!("{}; a box stands for each", fax.record.missing));
    }
    if let Some(at) = fax.record.pages_removed {
        line("removed", format!("its pages, {}", time(at)));
    }
    line("sha256", fax.record.sha256.to_string());
    let mut json = told(&fax);
    if !fax.record.missing.is_empty() {
        let missing = &fax.record.missing;
        json["missing-glyphs"] = json!({ "count": missing.count, "scripts": missing.scripts,
            "characters": missing.characters });
    }
    if !fax.record.left_out.is_empty() {
        json["left-out"] = json!(fax.record.left_out);
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_text_whatever_a_sender_wrote() {
        for (text, written) in [
            ("4711", "\"4711\""),
            ("a,\"b\"", "\"a,\"\"b\"\"\""),
            ("=HYPERLINK(1)", "\"'=HYPERLINK(1)\""),
            ("+12025550100", "\"'+12025550100\""),
            ("a\r\nb", "\"a  b\""),
        ] {
            assert_eq!(cell(text), written);
        }
    }
}
