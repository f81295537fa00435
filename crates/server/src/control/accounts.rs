//! `mailkeep account …`.

use std::path::PathBuf;

use accounts::import::{self, Planned, Secret, What};
use accounts::{AccountError, Entry, Kind};
use clap::Subcommand;
use mail::{Address, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Answer;
use crate::admin::Admin;

/// What can be done with accounts.
#[derive(Debug, Clone, Serialize, Deserialize, Subcommand)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Every account
    List,
    /// Make an account; its password is read from standard input
    Add {
        /// The account's address: ann@clinic.example
        address: Address,
        /// Read from standard input, never from the command line.
        #[arg(skip)]
        password: Typed,
    },
    /// Give an account a new password, read from standard input
    Password {
        /// The account's address
        address: Address,
        /// Read from standard input, never from the command line.
        #[arg(skip)]
        password: Typed,
    },
    /// Keep the account's mail, but let nobody sign in or write to it
    Disable {
        /// The account's address
        address: Address,
    },
    /// Undo "disable"
    Enable {
        /// The account's address
        address: Address,
    },
    /// Remove an account; its mail stays where it was delivered
    Remove {
        /// The account's address
        address: Address,
    },
    /// Let a TLS client certificate open an account (EXTERNAL), or no longer
    Certificate {
        /// The account's address
        address: Address,
        /// SHA-256 of the certificate, with or without colons
        sha256: String,
        /// Take it back
        #[arg(long)]
        remove: bool,
    },
    /// Note that an account has a second factor: its password alone then opens no mail protocol
    SecondFactor {
        /// The account's address
        address: Address,
        /// on or off
        state: Switch,
    },
    /// Make another name for an account; * in it stands for any text
    Alias {
        /// The new name: office@clinic.example, or sales-*@clinic.example
        alias: Address,
        /// The account it stands for
        account: Address,
    },
    /// Make a name for many, or replace its members
    Group {
        /// The group's address
        group: Address,
        /// Accounts, aliases, other groups, and addresses elsewhere
        #[arg(required = true)]
        members: Vec<Address>,
    },
    /// Make many accounts, aliases and groups from comma-separated values
    Import {
        /// The file; its first line names the columns: address, kind, password, password-hash,
        /// targets, disabled
        file: PathBuf,
        /// Only look for mistakes
        #[arg(long)]
        dry_run: bool,
        /// Read by the command line.
        #[arg(skip)]
        text: Typed,
    },
    /// Every account, alias and group as comma-separated values, without passwords
    Export,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Switch {
    /// On.
    On,
    /// Off.
    Off,
}

/// A password on its way from the terminal to its hash; never shown.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Typed(pub String);

impl std::fmt::Debug for Typed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(a password)")
    }
}

impl Request {
    /// The file whose text goes into the request, and where, if the request takes one.
    pub fn file_mut(&mut self) -> Option<(&std::path::Path, &mut String)> {
        match self {
            Self::Import { file, text, .. } => Some((file, &mut text.0)),
            Self::List
            | Self::Export
            | Self::Group { .. }
            | Self::Add { .. }
            | Self::Password { .. }
            | Self::Disable { .. }
            | Self::Enable { .. }
            | Self::Remove { .. }
            | Self::Certificate { .. }
            | Self::SecondFactor { .. }
            | Self::Alias { .. } => None,
        }
    }

    /// Where the password goes, if the request takes one.
    pub fn password_mut(&mut self) -> Option<&mut String> {
        match self {
            Self::Add { password, .. } | Self::Password { password, .. } => Some(&mut password.0),
            Self::List
            | Self::Export
            | Self::Group { .. }
            | Self::Import { .. }
            | Self::Disable { .. }
            | Self::Enable { .. }
            | Self::Remove { .. }
            | Self::Certificate { .. }
            | Self::SecondFactor { .. }
            | Self::Alias { .. } => None,
        }
    }
}

/// Answers a request.
///
/// # Errors
///
/// What the directory has against it, in words.
pub async fn answer(admin: &Admin, request: Request) -> anyhow::Result<Answer> {
    let directory = admin.accounts().directory();
    let (address, change) = match request {
        Request::List => return Ok(list(&directory.entries())),
        Request::Add { address, password: Typed(password) } => {
            let accounts = admin.accounts();
            let chosen = accounts.choose(&password, &address).await?;
            let now = Timestamp::now();
            accounts.add_account(address.clone(), chosen, Kind::Person, now).await?;
            (address, "can receive mail and sign in".to_owned())
        }
        Request::Password { address, password: Typed(password) } => {
            let accounts = admin.accounts();
            let chosen = accounts.choose(&password, &address).await?;
            accounts.set_password(&address, chosen, Timestamp::now()).await?;
            (address, "has a new password".to_owned())
        }
        Request::Disable { address } => {
            directory.set_disabled(&address, true).await?;
            (address, "is disabled".to_owned())
        }
        Request::Enable { address } => {
            directory.set_disabled(&address, false).await?;
            (address, "is enabled".to_owned())
        }
        Request::Remove { address } => {
            directory.remove(&address).await?;
            (address, "is removed; its delivered mail stays where it is".to_owned())
        }
        Request::Certificate { address, sha256, remove: false } => {
            directory.add_certificate(&address, &sha256).await?;
            (address, format!("can sign in by the certificate {sha256}"))
        }
        Request::Certificate { address, sha256, remove: true } => {
            directory.remove_certificate(&address, &sha256).await?;
            (address, format!("can no longer sign in by the certificate {sha256}"))
        }
        Request::SecondFactor { address, state } => {
            directory.set_second_factor(&address, state == Switch::On).await?;
            let change = match state {
                Switch::On => "has a second factor: mail programs need app passwords from now on",
                Switch::Off => "has no second factor: its password opens mail programs again",
            };
            (address, change.to_owned())
        }
        Request::Export => {
            let text = import::export(&directory.entries());
            let json = json!({ "schema": "mailkeep.export/1", "csv": text });
            return Ok(Answer::new(text, json));
        }
        Request::Import { text, dry_run, .. } => return import(admin, &text.0, dry_run).await,
        Request::Group { group, members } => {
            let count = members.len();
            directory.put_group(group.clone(), members, Timestamp::now()).await?;
            (group, format!("stands for {count} members"))
        }
        Request::Alias { alias, account } => {
            directory.add_alias(alias.clone(), account.clone(), Timestamp::now()).await?;
            (alias, format!("stands for {account}"))
        }
    };
    admin.note_account_change(&address.to_string(), &change).await?;
    let json = json!({ "schema": "mailkeep.account/1", "account": address, "change": change });
    Ok(Answer::new(format!("{address} {change}."), json))
}

/// Makes everything a file asks for, if there is no mistake in it.
async fn import(admin: &Admin, text: &str, dry_run: bool) -> anyhow::Result<Answer> {
    let accounts = admin.accounts();
    let length_min = accounts.settings().policy.length_min;
    let planned = match import::plan(text, accounts.directory(), length_min) {
        Ok(planned) => planned,
        Err(mistakes) => return Ok(with_mistakes(&mistakes)),
    };
    let count = planned.len();
    if !dry_run {
        let mut waiting = planned;
        // Aliases of aliases come in any order: as long as some can be made, the rest may be.
        while !waiting.is_empty() {
            let before = waiting.len();
            let mut later = Vec::new();
            let mut mistakes = Vec::new();
            for one in waiting {
                if let Err(error) = make(admin, &one).await {
                    mistakes.push(import::Mistake { line: one.line, text: error.to_string() });
                    later.push(one);
                }
            }
            if later.len() == before {
                return Ok(with_mistakes(&mistakes));
            }
            waiting = later;
        }
        admin.note_account_change("an import", &format!("has made {count} entries")).await?;
    }
    let done = if dry_run { "could be made; nothing was" } else { "were made" };
    let json = json!({ "schema": "mailkeep.import/1", "entries": count, "dry-run": dry_run });
    Ok(Answer::new(format!("{count} entries {done}."), json))
}

async fn make(admin: &Admin, planned: &Planned) -> Result<(), AccountError> {
    let (accounts, now) = (admin.accounts(), Timestamp::now());
    let directory = accounts.directory();
    let address = planned.address.clone();
    match &planned.what {
        What::Account { kind, secret, disabled } => {
            match secret {
                Secret::None => directory.add_account(address.clone(), None, *kind, now).await?,
                Secret::Hash(hash) => {
                    directory.add_account(address.clone(), Some(hash.clone()), *kind, now).await?;
                }
                Secret::Password(text) => {
                    let chosen = accounts.choose(text, &address).await?;
                    accounts.add_account(address.clone(), chosen, *kind, now).await?;
                }
            }
            if *disabled {
                directory.set_disabled(&address, true).await?;
            }
            Ok(())
        }
        What::Alias(target) => directory.add_alias(address, target.clone(), now).await,
        What::Group(members) => directory.put_group(address, members.clone(), now).await,
    }
}

fn with_mistakes(mistakes: &[import::Mistake]) -> Answer {
    let lines: Vec<String> =
        mistakes.iter().map(|mistake| format!("line {}: {}", mistake.line, mistake.text)).collect();
    let rows: Vec<_> = mistakes
        .iter()
        .map(|mistake| json!({ "line": mistake.line, "mistake": mistake.text }))
        .collect();
    let json = json!({ "schema": "mailkeep.import/1", "entries": 0, "mistakes": rows });
    Answer::new(lines.join("\n"), json).with_exit(super::exit::FOUND)
}

fn list(entries: &[Entry]) -> Answer {
    let mut lines = Vec::new();
    let mut rows = Vec::new();
    for entry in entries {
        match entry {
            Entry::Account(account) => {
                let state = if account.disabled { "disabled" } else { "enabled" };
                lines.push(format!("{:<40} {state}", account.address.to_string()));
                rows.push(json!({ "account": account.address, "disabled": account.disabled,
                    "created": account.created.to_rfc3339() }));
            }
            Entry::Group(group) => {
                let count = group.members.len();
                lines.push(format!("{:<40} group of {count}", group.address.to_string()));
                rows.push(json!({ "group": group.address, "members": group.members }));
            }
            Entry::Alias(alias) => {
                lines.push(format!("{:<40} alias of {}", alias.address.to_string(), alias.target));
                rows.push(json!({ "alias": alias.address, "target": alias.target }));
            }
        }
    }
    if lines.is_empty() {
        lines.push(
            "There is no account. Make one: mailkeep account add ann@clinic.example".to_owned(),
        );
    }
    Answer::new(lines.join("\n"), json!({ "schema": "mailkeep.accounts/1", "accounts": rows }))
}
