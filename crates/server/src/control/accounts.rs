//! `mailkeep account …`.

use accounts::{Entry, Kind};
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
    /// Make another name for an account
    Alias {
        /// The new name
        alias: Address,
        /// The account it stands for
        account: Address,
    },
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
    /// Where the password goes, if the request takes one.
    pub fn password_mut(&mut self) -> Option<&mut String> {
        match self {
            Self::Add { password, .. } | Self::Password { password, .. } => Some(&mut password.0),
            Self::List
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
        Request::Alias { alias, account } => {
            directory.add_alias(alias.clone(), account.clone(), Timestamp::now()).await?;
            (alias, format!("stands for {account}"))
        }
    };
    admin.note_account_change(&address.to_string(), &change).await?;
    let json = json!({ "schema": "mailkeep.account/1", "account": address, "change": change });
    Ok(Answer::new(format!("{address} {change}."), json))
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
