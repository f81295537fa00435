//! Email to fax: enterprise accounts.

use std::path::PathBuf;

use mail::{Address, Domain};

use super::Target;
use crate::located::Located;

/// `fax NAME { }`: an enterprise account.
#[derive(Debug, Clone, PartialEq)]
pub struct FaxAccount {
    /// Its name.
    pub name: Located<String>,
    /// The domains whose local parts are fax numbers; never none.
    pub domains: Vec<Located<Domain>>,
    /// Who sends, in header lines and on cover pages.
    pub organisation: Located<String>,
    /// The number shown to the other machine for who has none of their own.
    pub main_number: fax::Number,
    /// Which numbers are called, and how national ones are read.
    pub plan: fax::Plan,
    /// Who may send.
    pub security: fax::Security,
    /// The users with what is theirs, in the order of `security.users`.
    pub users: Vec<FaxUser>,
    /// What holds where a sender asks for nothing: cover, resolution, paper and language.
    pub defaults: fax::Options,
    /// What is said about confidentiality instead of the words of the language.
    pub confidentiality: Option<Located<String>>,
    /// Whether the subject is printed on cover pages and repeated in notices.
    pub shows_subject: Located<bool>,
    /// The most pages of a fax.
    pub pages_max: Located<u32>,
    /// What carries the faxes.
    pub transport: Located<FaxTransport>,
    /// What senders are told of.
    pub notices: FaxNotices,
}

/// `user ADDRESS { }`: a user of an account, with what is theirs.
#[derive(Debug, Clone, PartialEq)]
pub struct FaxUser {
    /// The sender address.
    pub address: Address,
    /// The number shown instead of the main number.
    pub number: Option<fax::Number>,
    /// What holds where this sender asks for nothing.
    pub defaults: fax::Options,
}

/// What carries faxes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaxTransport {
    /// Nothing: faxes wait, and say so.
    None,
    /// Each fax is put into a folder of this one, for another program.
    Spool(PathBuf),
    /// HylaFAX, by its own protocol.
    Hylafax {
        /// The server; port 4559 unless said.
        server: Target,
        /// The name of the credentials to sign in with.
        credentials: Option<String>,
    },
}

/// What senders are told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaxNotices {
    /// That a fax was drawn and waits for a line.
    pub accepted: bool,
    /// That it was sent.
    pub sent: bool,
    /// That it was not.
    pub failed: bool,
}

impl FaxAccount {
    /// The user whose sender address this is.
    pub fn user(&self, sender: &Address) -> Option<&FaxUser> {
        let key = sender.to_key();
        self.users.iter().find(|user| user.address.to_key() == key)
    }
}
