//! `mailkeep app-password …`.

use std::time::Duration;

use accounts::password::{AppPassword, Scope, Service};
use clap::Subcommand;
use ipnet::IpNet;
use mail::{Address, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Answer, NotThere};
use crate::admin::Admin;

/// What can be done with app passwords.
#[derive(Debug, Clone, Serialize, Deserialize, Subcommand)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Make one; it is shown once and cannot be shown again
    New {
        /// The account's address
        address: Address,
        /// What it is for: "Outlook", "printer on the 2nd floor"
        name: String,
        /// Services it opens [default: all]
        #[arg(long = "for", value_name = "SERVICE", value_delimiter = ',')]
        services: Vec<Scoped>,
        /// Networks it may come from [default: all]
        #[arg(long, value_name = "NETWORK", value_delimiter = ',')]
        from: Vec<IpNet>,
        /// Days until it ends to hold [default: never]
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=3_660))]
        days: Option<u32>,
    },
    /// The app passwords of an account, without their secrets
    List {
        /// The account's address
        address: Address,
    },
    /// Revoke one; the others go on
    Revoke {
        /// The account's address
        address: Address,
        /// Its id, as `list` shows it
        id: String,
    },
}

/// A service that an app password opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Scoped {
    /// Sending mail.
    Smtp,
    /// Reading mail.
    Imap,
}

/// Answers a request.
///
/// # Errors
///
/// What the directory has against it, in words.
pub async fn answer(admin: &Admin, request: Request) -> anyhow::Result<Answer> {
    let directory = admin.accounts().directory();
    match request {
        Request::New { address, name, services, from, days } => {
            let now = Timestamp::now();
            let day = Duration::from_secs(24 * 60 * 60);
            let services = services.into_iter().map(|service| match service {
                Scoped::Smtp => Service::Smtp,
                Scoped::Imap => Service::Imap,
            });
            let scope = Scope {
                services: services.collect(),
                networks: from,
                expires: days.map(|days| now.plus(day * days)),
            };
            let accounts = admin.accounts();
            let (made, text) = accounts.add_app_password(&address, &name, scope, now).await?;
            let (id, shown) = (made.id.clone(), describe(&made));
            let change = format!("has a new app password {id} \"{name}\"");
            admin.note_account_change(&address.to_string(), &change).await?;
            let json = json!({ "schema": "mailkeep.app-password/1", "account": address,
                "id": id, "name": name, "password": *text });
            let text = format!(
                "{}\n\nThis is the app password of {address} for \"{name}\" ({shown}).\n\
                 It is not shown again. Revoke it with: mailkeep app-password revoke {address} {id}",
                *text
            );
            Ok(Answer::new(text, json))
        }
        Request::List { address } => {
            let account = directory.account(&address);
            let account =
                account.ok_or_else(|| NotThere(format!("there is no account {address}")))?;
            let all = &account.credentials.app_passwords;
            let mut lines: Vec<String> = all
                .iter()
                .map(|one| format!("{}  {:<24} {}", one.id, one.name, describe(one)))
                .collect();
            if lines.is_empty() {
                lines.push(format!("{address} has no app password."));
            }
            let rows: Vec<_> = all.iter().map(row).collect();
            let json = json!({ "schema": "mailkeep.app-passwords/1", "account": address,
                "app-passwords": rows });
            Ok(Answer::new(lines.join("\n"), json))
        }
        Request::Revoke { address, id } => {
            directory.revoke_app_password(&address, &id).await?;
            let change = format!("has lost the app password {id}");
            admin.note_account_change(&address.to_string(), &change).await?;
            let json = json!({ "schema": "mailkeep.account/1", "account": address,
                "change": change });
            Ok(Answer::new(format!("{address} {change}."), json))
        }
    }
}

/// Where and how long one holds, in words.
fn describe(one: &AppPassword) -> String {
    let services: Vec<&str> = one.services.iter().map(|service| service.word()).collect();
    let networks: Vec<String> = one.networks.iter().map(IpNet::to_string).collect();
    let services =
        if services.is_empty() { "every service".to_owned() } else { services.join(", ") };
    let networks = if networks.is_empty() {
        "anywhere".to_owned()
    } else {
        format!("from {}", networks.join(", "))
    };
    let until = one.expires.map_or_else(
        || "until revoked".to_owned(),
        |expires| format!("until {}", expires.to_rfc3339()),
    );
    format!("{services}, {networks}, {until}")
}

fn row(one: &AppPassword) -> serde_json::Value {
    let services: Vec<&str> = one.services.iter().map(|service| service.word()).collect();
    json!({ "id": one.id, "name": one.name, "services": services, "networks": one.networks,
        "created": one.created.to_rfc3339(),
        "expires": one.expires.map(mail::Timestamp::to_rfc3339) })
}
