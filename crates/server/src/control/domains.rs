//! `mailkeep domain …`.

use clap::Subcommand;
use mail::{Domain, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Answer;
use crate::admin::Admin;

/// What can be done with domains. Those the configuration names are changed there.
#[derive(Debug, Clone, Serialize, Deserialize, Subcommand)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Every domain of this server
    List,
    /// Take mail for a domain into mailboxes here
    Add {
        /// The domain
        domain: Domain,
    },
    /// Take no more mail for a domain; it must have no accounts left
    Remove {
        /// The domain
        domain: Domain,
    },
}

/// Answers a request.
///
/// # Errors
///
/// What the directory has against it, in words.
pub async fn answer(admin: &Admin, request: Request) -> anyhow::Result<Answer> {
    let directory = admin.accounts().directory();
    let (domain, change, hint) = match request {
        Request::List => return Ok(list(&directory.domains())),
        Request::Add { domain } => {
            directory.add_domain(domain.clone(), Timestamp::now()).await?;
            let hint = format!(" Make accounts with: mailkeep account add ann@{domain}");
            (domain, "is ours", hint)
        }
        Request::Remove { domain } => {
            directory.remove_domain(&domain).await?;
            (domain, "is not ours any more", String::new())
        }
    };
    admin.note_account_change(domain.as_str(), change).await?;
    let json = json!({ "schema": "mailkeep.domain/1", "domain": domain, "change": change });
    Ok(Answer::new(format!("{} {change}.{hint}", domain.to_unicode()), json))
}

fn list(domains: &[Domain]) -> Answer {
    let names: Vec<String> = domains.iter().map(Domain::to_unicode).collect();
    let text = if names.is_empty() {
        "There is no domain. Add one: mailkeep domain add clinic.example".to_owned()
    } else {
        names.join("\n")
    };
    Answer::new(text, json!({ "schema": "mailkeep.domains/1", "domains": domains }))
}
